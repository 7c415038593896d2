/* The condition grammar, for the steps that choose messages.
 *
 *     { level: error, status: { from: 500, below: 600 } }     all must hold
 *     { level: [error, fatal] }                               any value of a list
 *     { name: { starts_with: a, ends_with: b, contains: c } } texts only
 *     { any: [ {...}, {...} ] }, { all: [...] }, { not: {...} }
 *
 * from and to include their value, above and below do not. Numbers are compared
 * as numbers of the field's type, exactly; texts byte by byte. Fields named any,
 * all or not cannot be asked about. */
#ifndef BELT_CONDITION_PRIV_H
#define BELT_CONDITION_PRIV_H

#include <stdint.h>

#include "core/part.h"

enum {
    BELT_CONDITION_DEPTH = 16, /* of any, all and not inside each other */
    BELT_CONDITION_TESTS = 1024
};

struct belt_condition; /* read-only once made: any thread */

/* 0, or negative with err set to "FILE:LINE:COLUMN: ..."; texts of the tree stay in use. */
int belt_condition_new(struct belt_condition **out, struct belt_setup *setup,
                       const struct belt_node *node, struct belt_error *err);
/* `column` equals what `value` says; `node` is for messages. */
int belt_condition_equal(struct belt_condition **out, struct belt_setup *setup, int column,
                         const char *value, const struct belt_node *node, struct belt_error *err);
void belt_condition_free(struct belt_condition *condition);

/* Those of `rows`, messages of word `w` of the frame, for which it holds. No
 * other message is looked at. */
uint64_t belt_condition_rows(const struct belt_condition *condition, const struct belt_view *view,
                             uint32_t w, uint64_t rows);

#endif
