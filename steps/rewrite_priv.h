/* Texts that lie in the record but are not what the field says: a doubled quote
 * is one, a byte that is no UTF-8 is U+FFFD. Those few are made anew, in the
 * frame's room. */
#ifndef BELT_STEPS_REWRITE_PRIV_H
#define BELT_STEPS_REWRITE_PRIV_H

#include <stdint.h>

#include "core/part.h"

struct belt_rewrite {
    const int *columns; /* [count]: texts that the step itself has set in this call */
    uint32_t count;
    uint64_t (*rows)[BELT_WORDS]; /* [count]: bit i: message i's text is to be made anew */
    uint32_t growth;              /* a text becomes at most so many times as long */
    /* Writes it, of column columns[c]; its size. */
    uint32_t (*make)(void *own, uint32_t c, char *out, const char *text, uint32_t size);
    void *own;
};

/* After all texts of [first, end) are set: makes those anew. The index after the last message
 * that is ready: what the step's frame() returns. A message whose texts can never fit fails. */
uint32_t belt_rewrite(struct belt_view *view, const struct belt_rewrite *rewrite);

#endif
