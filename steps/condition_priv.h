/* The condition grammar, for the steps that choose messages.
 *
 *     { level: error, status: { from: 500, below: 600 } }      all must hold
 *     { level: [error, fatal] }                                any value of a list
 *     { name: { starts_with: a, ends_with: b, contains: [c, d] } }     texts only
 *     { path: { matches: '^/api/v[0-9]+/', ignore_case: true } }       PCRE2
 *     { at: { since: 2026-01-01T00:00:00Z, until: 2026-02-01 } }, { at: { last: 10m } }
 *     { name: { empty: false } }, { price: { above: { field: limit } } }
 *     { any: [ {...}, {...} ] }, { all: [...] }, { not: {...} }
 *
 * from and to include their value, above and below do not. Numbers are compared
 * as numbers of the field's type, exactly; texts byte by byte. Fields named any,
 * all or not cannot be asked about. What cannot be decided fails the message. */
#ifndef BELT_CONDITION_PRIV_H
#define BELT_CONDITION_PRIV_H

#include <stdint.h>

#include "core/part.h"

enum {
    BELT_CONDITION_DEPTH = 16, /* of any, all and not inside each other */
    BELT_CONDITION_TESTS = 1024
};

#define BELT_CONDITION_HELP                                                                        \
    "field: value, field: [values], field: { is, from, to, above, below, starts_with, "            \
    "ends_with, contains, matches, since, until, last, empty, with ignore_case, utf, limit, "      \
    "time }; any: [...], all: [...], not: {...}"

struct belt_condition; /* read-only once made: any thread */

/* 0, or negative with err set to "FILE:LINE:COLUMN: ..."; texts of the tree stay in use. */
int belt_condition_new(struct belt_condition **out, struct belt_setup *setup,
                       const struct belt_node *node, struct belt_error *err);
/* `column` equals what `value` says; `node` is for messages. */
int belt_condition_equal(struct belt_condition **out, struct belt_setup *setup, int column,
                         const char *value, const struct belt_node *node, struct belt_error *err);
void belt_condition_free(struct belt_condition *condition);

/* What one instance needs to ask conditions, any of them: made in its init(). */
struct belt_regex_work;
struct belt_condition_run {
    struct belt_regex_work *regex; /* NULL: none of them has a pattern */
    int64_t clock;                 /* of view->now: ns from the epoch to its zero */
    uint64_t common;               /* patterns (a bit each) whose bytes nearly all texts have */
};
/* For one more condition (NULL: none); the first time *run is zeroed. */
int belt_condition_begin(struct belt_condition_run *run, const struct belt_condition *condition,
                         const char *stage, struct belt_error *err);
void belt_condition_end(struct belt_condition_run *run);

/* Those of *rows, messages of word `w` of the frame, for which it holds. No other
 * message is looked at. Messages for which it could not be decided have failed and
 * are no more in *rows. */
uint64_t belt_condition_rows(const struct belt_condition *condition, struct belt_condition_run *run,
                             struct belt_view *view, uint32_t w, uint64_t *rows);

#endif
