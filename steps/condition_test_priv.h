/* Between the files that make and run conditions: condition.c (the program and its
 * groups), condition_make.c (the grammar), and one for each kind of test. */
#ifndef BELT_CONDITION_TEST_PRIV_H
#define BELT_CONDITION_TEST_PRIV_H

#include <stdbool.h>

#include "steps/condition_priv.h"
#include "steps/find_priv.h"
#include "steps/regex_priv.h"
#include "steps/time_priv.h"

/* ---- the program --------------------------------------------------------------- */

/* A test about messages of one word. */
struct belt_asked {
    struct belt_condition_run *run;
    struct belt_view *view;
    uint32_t w;
    uint64_t open; /* messages that have not failed */
};

struct belt_test;

/* How tests of one kind are run and freed. Those of `rows` for which it holds. */
struct belt_test_kind {
    uint64_t (*rows)(const struct belt_test *test, struct belt_asked *asked, uint64_t rows);
    void (*free)(struct belt_test *test); /* NULL: nothing of its own */
};

enum belt_group { BELT_GROUP_ALL, BELT_GROUP_ANY, BELT_GROUP_NOT };

/* A group is followed by its members. */
struct belt_test {
    const struct belt_test_kind *kind; /* NULL: a group */
    enum belt_group group;
    uint32_t end; /* index of the test after this one and its members */
    int column;
    const char *name; /* the column's */
    union {
        struct {
            int64_t low, high;
        } number;
        struct {
            double low, high;
            bool above, below; /* the end itself is outside */
        } real;
        struct {
            const char *bytes;
            uint64_t word, mask; /* the first 8 bytes, and which of them it has */
            uint32_t size;
        } text;
        struct {
            int column;
            bool less, same, more; /* which orders hold */
            int64_t scale, other;  /* what brings both to the same number of digits */
        } field;
        struct {
            struct belt_time_format *format;
            struct belt_column_info info;
            int64_t low, high; /* ns, both inside */
            uint64_t last;     /* 0: none; else not earlier than so many ns ago */
        } time;
        struct belt_needles *needles;
        struct {
            struct belt_regex *regex;
            struct belt_needles *needles; /* what all hits have in them; NULL: not known */
        } pattern;
        bool empty;
    } to;
};

/* One message fails; the reason as belt_fail_message takes it. */
void belt_asked_fail(struct belt_asked *asked, uint32_t bit, const char *reason);

/* ---- making -------------------------------------------------------------------- */

struct belt_maker {
    struct belt_condition *condition;
    struct belt_setup *setup;
    struct belt_error *err;
    int range, moment; /* of the field in work: its tests of ranges; -1: none yet */
};

/* The index of a new test, or negative. A group's end is set by belt_maker_end. */
int belt_maker_add(struct belt_maker *m, const struct belt_test_kind *kind, int column,
                   const struct belt_node *node);
int belt_maker_group(struct belt_maker *m, enum belt_group group, const struct belt_node *node);
void belt_maker_end(struct belt_maker *m, int group);
struct belt_test *belt_maker_test(struct belt_maker *m, int index);
const struct belt_column_info *belt_maker_info(struct belt_maker *m, int column);

/* What stands beside the tests of a field: { matches: x, ignore_case: true }. */
struct belt_test_options {
    bool ignore_case;
    int utf;
    int64_t limit;
    const char *time; /* NULL: not given */
    const struct belt_node *time_node;
};

/* One test of a field: `relation` says which, `node` its value. */
struct belt_relation;
struct belt_wanted {
    const struct belt_relation *relation;
    const struct belt_test_options *options;
    int column;
    const struct belt_node *node;
};

enum { BELT_TAKES_CASE = 1, BELT_TAKES_UTF = 2, BELT_TAKES_LIMIT = 4, BELT_TAKES_TIME = 8 };

struct belt_relation {
    const char *name;
    int (*add)(struct belt_maker *m, const struct belt_wanted *wanted);
    unsigned takes;                  /* options that mean something to it */
    const struct belt_test_kind *of; /* texts: one text each */
    const char *before, *after;      /* the same as a pattern stands between these */
    bool list, together;             /* takes several values, any of them; all at once */
    bool low, open;                  /* of ranges: which end, and whether it is outside */
    bool of_fields;                  /* may compare with another field: */
    bool less, same, more;           /* the orders of the two that hold */
};

/* NULL-ended by name; made of the tables of condition_*.c. */
extern const struct belt_relation belt_relations[];

/* `field: value`, and one value of a list; the second for a field that is a text. */
int belt_test_equal(struct belt_maker *m, int column, const struct belt_node *node,
                    const char *text);
int belt_test_equal_text(struct belt_maker *m, int column, const struct belt_node *node,
                         const char *text);
/* Fail when nothing is in the range that a field's relations left. */
int belt_test_time_check(struct belt_maker *m, const struct belt_node *node);
int belt_test_range_check(struct belt_maker *m, const struct belt_node *node);
/* The members of belt_relation.add: of texts, of ranges of either kind, ... */
int belt_test_range(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_text(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_is(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_contains(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_matches(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_empty(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_time(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_last(struct belt_maker *m, const struct belt_wanted *wanted);
int belt_test_fields(struct belt_maker *m, const struct belt_wanted *wanted);

extern const struct belt_test_kind belt_test_same, belt_test_starts, belt_test_ends, belt_test_from,
    belt_test_above, belt_test_to, belt_test_below, belt_test_pattern;

/* The condition at `node`, `depth` groups deep. */
int belt_maker_condition(struct belt_maker *m, const struct belt_node *node, int depth);

#endif
