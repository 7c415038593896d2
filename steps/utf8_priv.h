/* UTF-8: what is valid, and what is made of the rest. For steps that take texts. */
#ifndef BELT_STEPS_UTF8_PRIV_H
#define BELT_STEPS_UTF8_PRIV_H

#include <stdint.h>

#include "core/part.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of it is valid: by simdjson (json_index.cc), for texts that are not ASCII. */
bool belt_utf8_is(const char *text, size_t size);

#ifdef __cplusplus
}
#endif

enum belt_utf8 { BELT_UTF8_KEEP, BELT_UTF8_FAIL, BELT_UTF8_REPLACE };

/* The line of a settings table; `offset`: of an int in conf. */
/* clang-format off */
#define BELT_UTF8_SETTING(offset)                                                                  \
    { "utf8", BELT_SET_CHOICE, (offset), "keep", BELT_UTF8_HELP, "keep|fail|replace", 0, 0 }
/* clang-format on */
#define BELT_UTF8_HELP                                                                             \
    "texts that are not UTF-8: keep them, fail the message, or replace what is wrong by U+FFFD"

/* The number of bytes from the start that are valid; `size` when all are. Reads BELT_PAD
 * bytes past the end. */
uint32_t belt_utf8_valid(const char *text, uint32_t size);

/* `text` with U+FFFD for each longest piece that begins a character and does not end it, and
 * for each other byte that is wrong (as Unicode recommends): out has room for 3 * size. */
uint32_t belt_utf8_replace(char *out, const char *text, uint32_t size);

/* Of the text columns [count] of a step, the messages in [first, end) of `view` whose texts
 * are not valid: they fail with a reason that names the field, or (REPLACE) get their bits in
 * bad[field][word]. */
struct belt_utf8_columns {
    const int *columns;
    const char *const *names;
    uint32_t count;
};
void belt_utf8_check(struct belt_view *view, enum belt_utf8 policy,
                     const struct belt_utf8_columns *of, uint64_t (*bad)[BELT_WORDS]);

#endif
