/* Conditions as a flat program of tests. A group (any, all, not) is followed by
 * its members and knows where they end, so the program is read forwards; every
 * test is handed just the messages that the ones before it left open. */
#include <errno.h>
#include <stdlib.h>

#include "core/clock_priv.h"
#include "steps/condition_test_priv.h"

struct belt_condition {
    uint32_t count, room;
    struct belt_test *tests;
};

/* ---- running ------------------------------------------------------------------- */

void belt_asked_fail(struct belt_asked *asked, uint32_t bit, const char *reason)
{
    asked->open &= ~(UINT64_C(1) << bit);
    belt_fail_message(asked->view, asked->w * 64 + bit, reason);
}

/* Recursion is bounded by BELT_CONDITION_DEPTH. */
static uint64_t rows_of(const struct belt_test *tests, uint32_t at, struct belt_asked *asked,
                        uint64_t rows)
{
    const struct belt_test *test = &tests[at];
    uint64_t left = rows, hits = 0;
    if (test->kind)
        return test->kind->rows(test, asked, rows);
    if (test->group == BELT_GROUP_NOT)
        return rows & ~rows_of(tests, at + 1, asked, rows);
    for (uint32_t i = at + 1; i < test->end && left; i = tests[i].end) {
        hits = rows_of(tests, i, asked, left);
        left = (test->group == BELT_GROUP_ALL ? hits : left & ~hits) & asked->open;
    }
    return test->group == BELT_GROUP_ALL ? left : rows & ~left;
}

uint64_t belt_condition_rows(const struct belt_condition *condition, struct belt_condition_run *run,
                             struct belt_view *view, uint32_t w, uint64_t *rows)
{
    struct belt_asked asked = { run, view, w, UINT64_MAX };
    uint64_t hits = rows_of(condition->tests, 0, &asked, *rows);
    *rows &= asked.open;
    return hits & *rows;
}

static bool has_pattern(const struct belt_condition *condition)
{
    for (uint32_t i = 0; condition && i < condition->count; i++)
        if (condition->tests[i].kind == &belt_test_pattern)
            return true;
    return false;
}

int belt_condition_begin(struct belt_condition_run *run, const struct belt_condition *condition,
                         const char *stage, struct belt_error *err)
{
    run->clock = belt_epoch() - (int64_t)belt_now();
    return !run->regex && has_pattern(condition) ? belt_regex_work_new(&run->regex, 0, stage, err)
                                                 : 0;
}

void belt_condition_end(struct belt_condition_run *run)
{
    belt_regex_work_free(run->regex);
    run->regex = NULL;
}

/* ---- making -------------------------------------------------------------------- */

static int add(struct belt_maker *m, const struct belt_test *test, const struct belt_node *node)
{
    struct belt_condition *c = m->condition;
    if (c->count == BELT_CONDITION_TESTS)
        return belt_node_error(m->err, node, "a condition has at most %d tests",
                               BELT_CONDITION_TESTS);
    if (c->count == c->room) {
        uint32_t room = c->room ? 2 * c->room : 8;
        struct belt_test *more = realloc(c->tests, room * sizeof *more);
        if (!more)
            return belt_error_set(m->err, -ENOMEM, "condition: out of memory");
        c->tests = more;
        c->room = room;
    }
    c->tests[c->count] = *test;
    c->tests[c->count].end = c->count + 1;
    return (int)c->count++;
}

int belt_maker_add(struct belt_maker *m, const struct belt_test_kind *kind, int column,
                   const struct belt_node *node)
{
    struct belt_test test = { .kind = kind, .column = column };
    test.name = belt_maker_info(m, column)->name;
    return add(m, &test, node);
}

int belt_maker_group(struct belt_maker *m, enum belt_group group, const struct belt_node *node)
{
    return add(m, &(struct belt_test){ .group = group }, node);
}

void belt_maker_end(struct belt_maker *m, int group)
{
    m->condition->tests[group].end = m->condition->count;
}

struct belt_test *belt_maker_test(struct belt_maker *m, int index)
{
    return &m->condition->tests[index];
}

const struct belt_column_info *belt_maker_info(struct belt_maker *m, int column)
{
    return belt_setup_info(m->setup, column);
}

static int make(struct belt_condition **out, int rc, struct belt_condition *condition)
{
    if (rc < 0)
        belt_condition_free(condition);
    else
        *out = condition;
    return rc;
}

int belt_condition_new(struct belt_condition **out, struct belt_setup *setup,
                       const struct belt_node *node, struct belt_error *err)
{
    struct belt_maker m = { calloc(1, sizeof *m.condition), setup, err, -1, -1 };
    if (!m.condition)
        return belt_error_set(err, -ENOMEM, "condition: out of memory");
    return make(out, belt_maker_condition(&m, node, 0), m.condition);
}

int belt_condition_equal(struct belt_condition **out, struct belt_setup *setup, int column,
                         const char *value, const struct belt_node *node, struct belt_error *err)
{
    struct belt_maker m = { calloc(1, sizeof *m.condition), setup, err, -1, -1 };
    if (!m.condition)
        return belt_error_set(err, -ENOMEM, "condition: out of memory");
    return make(out, belt_test_equal(&m, column, node, value), m.condition);
}

void belt_condition_free(struct belt_condition *condition)
{
    for (uint32_t i = 0; condition && i < condition->count; i++) {
        struct belt_test *test = &condition->tests[i];
        if (test->kind && test->kind->free)
            test->kind->free(test);
    }
    if (condition)
        free(condition->tests);
    free(condition);
}
