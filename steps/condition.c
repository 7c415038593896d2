/* Conditions as a flat program of tests. A group (any, all, not) is followed by
 * its members and knows where they end, so the program is read forwards; every
 * test is handed just the messages that the ones before it left open. */
#include "steps/condition_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "steps/number_priv.h"

enum op {
    OP_ALL,
    OP_ANY,
    OP_NOT,
    OP_NUMBER,
    OP_FLOAT, /* within [low, high] */
    OP_EQUAL,
    OP_STARTS,
    OP_ENDS,
    OP_CONTAINS,
    OP_FROM,
    OP_ABOVE,
    OP_TO,
    OP_BELOW
};

struct test {
    enum op op;
    uint32_t end; /* index of the test after this one and its members */
    int column;
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
    } to;
};

struct belt_condition {
    uint32_t count, room;
    struct test *tests;
};

/* ---- running ------------------------------------------------------------------- */

static bool same(const char *text, uint32_t size, const struct test *test)
{
    return size == test->to.text.size && memcmp(text, test->to.text.bytes, size) == 0;
}

static bool starts(const char *text, uint32_t size, const struct test *test)
{
    return size >= test->to.text.size && memcmp(text, test->to.text.bytes, test->to.text.size) == 0;
}

static bool ends(const char *text, uint32_t size, const struct test *test)
{
    uint32_t tail = test->to.text.size;
    return size >= tail && memcmp(text + size - tail, test->to.text.bytes, tail) == 0;
}

static bool contains(const char *text, uint32_t size, const struct test *test)
{
    return memmem(text, size, test->to.text.bytes, test->to.text.size) != NULL;
}

static int order(const char *text, uint32_t size, const struct test *test)
{
    uint32_t other = test->to.text.size;
    int by_bytes = memcmp(text, test->to.text.bytes, size < other ? size : other);
    return by_bytes ? by_bytes : (size > other) - (size < other);
}

static bool from(const char *text, uint32_t size, const struct test *test)
{
    return order(text, size, test) >= 0;
}

static bool above(const char *text, uint32_t size, const struct test *test)
{
    return order(text, size, test) > 0;
}

static bool to(const char *text, uint32_t size, const struct test *test)
{
    return order(text, size, test) <= 0;
}

static bool below(const char *text, uint32_t size, const struct test *test)
{
    return order(text, size, test) < 0;
}

typedef bool text_fn(const char *text, uint32_t size, const struct test *test);

static text_fn *const text_tests[] = {
    [OP_EQUAL] = same, [OP_STARTS] = starts, [OP_ENDS] = ends, [OP_CONTAINS] = contains,
    [OP_FROM] = from,  [OP_ABOVE] = above,   [OP_TO] = to,     [OP_BELOW] = below,
};

static uint64_t text_rows(const struct test *test, const struct belt_column *column,
                          const struct belt_span *spans, uint64_t rows)
{
    uint64_t hits = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        bool hit = text_tests[test->op](column->base + spans[i].at, spans[i].size, test);
        hits |= (uint64_t)hit << i;
    }
    return hits;
}

/* By size and first 8 bytes, without a branch (BELT_PAD makes 8 bytes readable);
 * what is left of longer texts only for the hits. */
static uint64_t equal_rows(const struct test *test, const struct belt_column *column,
                           const struct belt_span *spans, uint64_t rows)
{
    const uint64_t word = test->to.text.word, mask = test->to.text.mask;
    const uint32_t size = test->to.text.size;
    uint64_t hits = 0;
    if (rows != UINT64_MAX)
        return text_rows(test, column, spans, rows);
    for (uint32_t i = 0; i < 64; i++) {
        uint64_t own;
        memcpy(&own, column->base + spans[i].at, sizeof own);
        hits |= (uint64_t)((spans[i].size == size) & ((own & mask) == word)) << i;
    }
    return size <= sizeof word ? hits : text_rows(test, column, spans, hits);
}

static uint64_t number_rows(const struct test *test, const int64_t *numbers, uint64_t rows)
{
    const int64_t low = test->to.number.low, high = test->to.number.high;
    uint64_t hits = 0;
    if (rows == UINT64_MAX)
        for (uint32_t i = 0; i < 64; i++)
            hits |= (uint64_t)((numbers[i] >= low) & (numbers[i] <= high)) << i;
    else
        for (; rows; rows &= rows - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(rows);
            hits |= (uint64_t)((numbers[i] >= low) & (numbers[i] <= high)) << i;
        }
    return hits;
}

static bool in_range(const struct test *test, double x)
{
    return (test->to.real.above ? x > test->to.real.low : x >= test->to.real.low) &&
           (test->to.real.below ? x < test->to.real.high : x <= test->to.real.high);
}

static uint64_t float_rows(const struct test *test, const double *floats, uint64_t rows)
{
    uint64_t hits = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        hits |= (uint64_t)in_range(test, floats[i]) << i;
    }
    return hits;
}

static uint64_t leaf_rows(const struct test *test, const struct belt_view *view, uint32_t w,
                          uint64_t rows)
{
    const struct belt_column *column = &view->columns[test->column];
    if (test->op == OP_NUMBER)
        return number_rows(test, column->as.numbers + w * 64, rows);
    if (test->op == OP_FLOAT)
        return float_rows(test, column->as.floats + w * 64, rows);
    if (test->op == OP_EQUAL)
        return equal_rows(test, column, column->as.spans + w * 64, rows);
    return text_rows(test, column, column->as.spans + w * 64, rows);
}

/* Recursion is bounded by BELT_CONDITION_DEPTH. */
static uint64_t rows_of(const struct test *tests, uint32_t at, const struct belt_view *view,
                        uint32_t w, uint64_t rows)
{
    const struct test *test = &tests[at];
    uint64_t left = rows, hits = 0;
    if (test->op > OP_NOT)
        return leaf_rows(test, view, w, rows);
    if (test->op == OP_NOT)
        return rows & ~rows_of(tests, at + 1, view, w, rows);
    for (uint32_t i = at + 1; i < test->end && left; i = tests[i].end) {
        hits = rows_of(tests, i, view, w, left);
        left = test->op == OP_ALL ? hits : left & ~hits;
    }
    return test->op == OP_ALL ? left : rows & ~left;
}

uint64_t belt_condition_rows(const struct belt_condition *condition, const struct belt_view *view,
                             uint32_t w, uint64_t rows)
{
    return rows_of(condition->tests, 0, view, w, rows);
}

/* ---- making: tests ------------------------------------------------------------- */

struct maker {
    struct belt_condition *condition;
    struct belt_setup *setup;
    struct belt_error *err;
};

/* The index of a new test, or negative. */
static int add(struct maker *m, enum op op, const struct belt_node *node)
{
    struct belt_condition *c = m->condition;
    if (c->count == BELT_CONDITION_TESTS)
        return belt_node_error(m->err, node, "a condition has at most %d tests",
                               BELT_CONDITION_TESTS);
    if (c->count == c->room) {
        uint32_t room = c->room ? 2 * c->room : 8;
        struct test *more = realloc(c->tests, room * sizeof *more);
        if (!more)
            return belt_error_set(m->err, -ENOMEM, "condition: out of memory");
        c->tests = more;
        c->room = room;
    }
    c->tests[c->count] = (struct test){ .op = op, .end = c->count + 1 };
    return (int)c->count++;
}

static void end_group(struct maker *m, int group)
{
    m->condition->tests[group].end = m->condition->count;
}

static int add_text(struct maker *m, enum op op, int column, const struct belt_node *node,
                    const char *text)
{
    int at = add(m, op, node);
    if (at < 0)
        return at;
    struct test *test = &m->condition->tests[at];
    size_t size = strlen(text), head = size < 8 ? size : 8;
    test->column = column;
    test->to.text.bytes = text;
    test->to.text.size = (uint32_t)size;
    memcpy(&test->to.text.word, text, head);
    test->to.text.mask = head ? UINT64_MAX >> (64 - 8 * head) : 0;
    return 0;
}

static const struct relation {
    const char *name;
    enum op op;            /* for texts */
    bool range, low, open; /* for numbers */
} relations[] = {
    { "from", OP_FROM, true, true, false },
    { "to", OP_TO, true, false, false },
    { "above", OP_ABOVE, true, true, true },
    { "below", OP_BELOW, true, false, true },
    { "starts_with", OP_STARTS, false, false, false },
    { "ends_with", OP_ENDS, false, false, false },
    { "contains", OP_CONTAINS, false, false, false },
};

enum { FROM, TO, RELATIONS = sizeof relations / sizeof *relations };

static int bad_value(struct maker *m, const struct belt_node *node,
                     const struct belt_column_info *info, enum belt_flaw flaw, const char *text)
{
    char reason[BELT_REASON];
    belt_flaw_text(reason, sizeof reason, flaw, info->name, info->type, info->digits, text,
                   strlen(text));
    return belt_node_error(m->err, node, "%s", reason);
}

static int narrow_float(struct maker *m, struct test *test, const struct belt_column_info *info,
                        const struct relation *relation, const struct belt_node *node,
                        const char *text)
{
    double x = 0;
    enum belt_flaw flaw = belt_float_parse(text, strlen(text), &x);
    if (flaw != BELT_FLAW_NONE)
        return bad_value(m, node, info, flaw, text);
    double *end = relation->low ? &test->to.real.low : &test->to.real.high;
    bool *open = relation->low ? &test->to.real.above : &test->to.real.below;
    if (x == *end) {
        *open |= relation->open;
    } else if (relation->low ? x > *end : x < *end) {
        *end = x;
        *open = relation->open;
    }
    return 0;
}

/* One end of a range; an open end's own value is outside. */
static int narrow(struct maker *m, struct test *test, const struct belt_column_info *info,
                  const struct relation *relation, const struct belt_node *node, const char *text)
{
    int64_t n = 0;
    bool low = relation->low, open = relation->open;
    if (info->type == BELT_FLOAT)
        return narrow_float(m, test, info, relation, node, text);
    enum belt_flaw flaw = belt_number_parse(text, strlen(text), info->digits, &n);
    if (flaw != BELT_FLAW_NONE)
        return bad_value(m, node, info, flaw, text);
    int64_t *end = low ? &test->to.number.low : &test->to.number.high;
    if (open && n == (low ? INT64_MAX : INT64_MIN))
        return belt_node_error(m->err, node, "%s: no number is beyond %s", info->name, text);
    int64_t inner = open ? n + (low ? 1 : -1) : n;
    if (low ? inner > *end : inner < *end)
        *end = inner;
    return 0;
}

/* A test for all numbers of the field's type, to be narrowed. */
static int add_range(struct maker *m, int column, const struct belt_node *node)
{
    bool real = belt_setup_info(m->setup, column)->type == BELT_FLOAT;
    int at = add(m, real ? OP_FLOAT : OP_NUMBER, node);
    if (at < 0)
        return at;
    struct test *test = &m->condition->tests[at];
    test->column = column;
    if (real) {
        test->to.real.low = -INFINITY;
        test->to.real.high = INFINITY;
    } else {
        test->to.number.low = INT64_MIN;
        test->to.number.high = INT64_MAX;
    }
    return at;
}

static int add_equal(struct maker *m, int column, const struct belt_node *node, const char *text)
{
    const struct belt_column_info *info = belt_setup_info(m->setup, column);
    if (info->type == BELT_TEXT)
        return add_text(m, OP_EQUAL, column, node, text);
    int at = add_range(m, column, node);
    if (at < 0)
        return at;
    struct test *test = &m->condition->tests[at];
    int rc = narrow(m, test, info, &relations[FROM], node, text);
    return rc < 0 ? rc : narrow(m, test, info, &relations[TO], node, text);
}

/* ---- making: the grammar ------------------------------------------------------- */

static const struct relation *find_relation(struct maker *m, const struct belt_node *node,
                                            const char *name)
{
    const char *names[RELATIONS];
    for (size_t i = 0; i < RELATIONS; i++) {
        names[i] = relations[i].name;
        if (strcmp(name, names[i]) == 0)
            return &relations[i];
    }
    const char *near = belt_nearest(name, names, RELATIONS);
    if (near)
        belt_node_error(m->err, node, "no operator '%s'; did you mean '%s'?", name, near);
    else
        belt_node_error(m->err, node,
                        "no operator '%s'; there are: from, above, to, below, "
                        "starts_with, ends_with, contains",
                        name);
    return NULL;
}

static int add_relation(struct maker *m, int column, int range, const struct relation *relation,
                        const struct belt_node *node)
{
    const struct belt_column_info *info = belt_setup_info(m->setup, column);
    const char *text = belt_node_text(node);
    char type[BELT_TYPE_ROOM];
    if (!text)
        return belt_node_error(m->err, node, "%s takes one value", relation->name);
    if (info->type == BELT_TEXT)
        return add_text(m, relation->op, column, node, text);
    if (!relation->range)
        return belt_node_error(m->err, node, "%s is for texts; '%s' is %s", relation->name,
                               info->name, belt_type_name(type, info->type, info->digits));
    return narrow(m, &m->condition->tests[range], info, relation, node, text);
}

static bool is_empty(const struct test *test)
{
    if (test->op == OP_NUMBER)
        return test->to.number.low > test->to.number.high;
    bool open = test->to.real.above || test->to.real.below;
    return test->to.real.low > test->to.real.high ||
           (open && test->to.real.low == test->to.real.high);
}

/* { from: 500, below: 600 } */
static int add_relations(struct maker *m, int column, const struct belt_node *node)
{
    const struct belt_column_info *info = belt_setup_info(m->setup, column);
    size_t count = belt_node_count(node);
    if (count == 0)
        return belt_node_error(m->err, node, "%s: no test is given: { from: 1, below: 2 }",
                               info->name);
    bool text = info->type == BELT_TEXT;
    int group = text ? add(m, OP_ALL, node) : add_range(m, column, node);
    if (group < 0)
        return group;
    for (size_t i = 0; i < count; i++) {
        const struct belt_node *value = belt_node_at(node, i);
        const struct relation *relation = find_relation(m, value, belt_node_key(node, i));
        int rc = relation ? add_relation(m, column, group, relation, value) : -EINVAL;
        if (rc < 0)
            return rc;
    }
    if (!text && is_empty(&m->condition->tests[group]))
        return belt_node_error(m->err, node, "%s: no number is in this range", info->name);
    end_group(m, group);
    return 0;
}

static int add_list(struct maker *m, int column, const struct belt_node *node)
{
    const struct belt_column_info *info = belt_setup_info(m->setup, column);
    size_t count = belt_node_count(node);
    if (count == 0)
        return belt_node_error(m->err, node, "%s: the list of values is empty", info->name);
    int group = add(m, OP_ANY, node);
    if (group < 0)
        return group;
    for (size_t i = 0; i < count; i++) {
        const struct belt_node *value = belt_node_at(node, i);
        const char *text = belt_node_text(value);
        int rc = text ? add_equal(m, column, value, text)
                      : belt_node_error(m->err, value, "%s: a list holds values", info->name);
        if (rc < 0)
            return rc;
    }
    end_group(m, group);
    return 0;
}

static int add_field(struct maker *m, const char *name, const struct belt_node *node)
{
    int column = belt_setup_field(m->setup, node, name, m->err);
    if (column < 0)
        return column;
    const char *text = belt_node_text(node);
    if (text)
        return add_equal(m, column, node, text);
    return belt_node_kind(node) == BELT_NODE_LIST ? add_list(m, column, node)
                                                  : add_relations(m, column, node);
}

static int add_condition(struct maker *m, const struct belt_node *node, int depth);

/* any: [ {...}, {...} ], all: [ ... ], not: {...} */
static int add_group(struct maker *m, enum op op, const char *name, const struct belt_node *node,
                     int depth)
{
    size_t count = belt_node_count(node);
    if (depth == BELT_CONDITION_DEPTH)
        return belt_node_error(m->err, node, "conditions nest at most %d deep",
                               BELT_CONDITION_DEPTH);
    int group = add(m, op, node), rc = 0;
    if (group < 0)
        return group;
    if (op == OP_NOT) {
        rc = add_condition(m, node, depth + 1);
    } else if (belt_node_kind(node) != BELT_NODE_LIST || count == 0) {
        return belt_node_error(m->err, node,
                               "%s takes a list of conditions: "
                               "%s: [ { field: value }, ... ]",
                               name, name);
    }
    for (size_t i = 0; op != OP_NOT && i < count && rc == 0; i++)
        rc = add_condition(m, belt_node_at(node, i), depth + 1);
    if (rc == 0)
        end_group(m, group);
    return rc;
}

static int add_condition(struct maker *m, const struct belt_node *node, int depth)
{
    static const struct {
        const char *name;
        enum op op;
    } groups[] = { { "any", OP_ANY }, { "all", OP_ALL }, { "not", OP_NOT } };
    size_t count = belt_node_count(node);
    if (belt_node_kind(node) != BELT_NODE_MAP || count == 0)
        return belt_node_error(m->err, node, "a condition is a map: { field: value }");
    int all = add(m, OP_ALL, node);
    if (all < 0)
        return all;
    for (size_t i = 0; i < count; i++) {
        const char *key = belt_node_key(node, i);
        const struct belt_node *value = belt_node_at(node, i);
        size_t g = 0;
        while (g < 3 && strcmp(key, groups[g].name) != 0)
            g++;
        int rc = g < 3 ? add_group(m, groups[g].op, key, value, depth) : add_field(m, key, value);
        if (rc < 0)
            return rc;
    }
    end_group(m, all);
    return 0;
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
    struct maker m = { calloc(1, sizeof *m.condition), setup, err };
    if (!m.condition)
        return belt_error_set(err, -ENOMEM, "condition: out of memory");
    return make(out, add_condition(&m, node, 0), m.condition);
}

int belt_condition_equal(struct belt_condition **out, struct belt_setup *setup, int column,
                         const char *value, const struct belt_node *node, struct belt_error *err)
{
    struct maker m = { calloc(1, sizeof *m.condition), setup, err };
    if (!m.condition)
        return belt_error_set(err, -ENOMEM, "condition: out of memory");
    return make(out, add_equal(&m, column, node, value), m.condition);
}

void belt_condition_free(struct belt_condition *condition)
{
    if (condition)
        free(condition->tests);
    free(condition);
}
