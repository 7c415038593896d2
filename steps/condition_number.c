/* Conditions on numbers, exactly, and between two fields. */
#include <math.h>
#include <string.h>

#include "steps/condition_test_priv.h"
#include "steps/number_priv.h"

/* ---- running ------------------------------------------------------------------- */

static uint64_t number_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const int64_t *numbers = asked->view->columns[test->column].as.numbers + asked->w * 64;
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

static bool in_range(const struct belt_test *test, double x)
{
    return (test->to.real.above ? x > test->to.real.low : x >= test->to.real.low) &&
           (test->to.real.below ? x < test->to.real.high : x <= test->to.real.high);
}

static uint64_t float_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const double *floats = asked->view->columns[test->column].as.floats + asked->w * 64;
    uint64_t hits = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        hits |= (uint64_t)in_range(test, floats[i]) << i;
    }
    return hits;
}

static const struct belt_test_kind test_number = { number_rows, NULL };
static const struct belt_test_kind test_float = { float_rows, NULL };

/* ---- between two fields: -1, 0 or 1 -------------------------------------------- */

typedef int order_fn(const struct belt_test *test, const struct belt_view *view, uint32_t i);

static inline __attribute__((always_inline)) uint64_t ordered(order_fn *order,
                                                              const struct belt_test *test,
                                                              struct belt_asked *asked,
                                                              uint64_t rows)
{
    uint64_t hits = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        int by = order(test, asked->view, asked->w * 64 + i);
        bool hit = by < 0 ? test->to.field.less : by ? test->to.field.more : test->to.field.same;
        hits |= (uint64_t)hit << i;
    }
    return hits;
}

static inline int order_texts(const struct belt_test *test, const struct belt_view *view,
                              uint32_t i)
{
    uint32_t size, other_size;
    const char *text = belt_text(view, test->column, i, &size);
    const char *other = belt_text(view, test->to.field.column, i, &other_size);
    int by = memcmp(text, other, size < other_size ? size : other_size);
    return by ? by : (size > other_size) - (size < other_size);
}

static inline int order_numbers(const struct belt_test *test, const struct belt_view *view,
                                uint32_t i)
{
    __int128 number = (__int128)belt_number(view, test->column, i) * test->to.field.scale;
    __int128 other = (__int128)belt_number(view, test->to.field.column, i) * test->to.field.other;
    return (number > other) - (number < other);
}

static inline int order_floats(const struct belt_test *test, const struct belt_view *view,
                               uint32_t i)
{
    double number = view->columns[test->column].as.floats[i];
    double other = view->columns[test->to.field.column].as.floats[i];
    return (number > other) - (number < other);
}

static uint64_t texts_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return ordered(order_texts, t, asked, rows);
}

static uint64_t numbers_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return ordered(order_numbers, t, asked, rows);
}

static uint64_t floats_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return ordered(order_floats, t, asked, rows);
}

/* ---- making -------------------------------------------------------------------- */

static int bad_value(struct belt_maker *m, const struct belt_node *node,
                     const struct belt_column_info *info, enum belt_flaw flaw, const char *text)
{
    char reason[BELT_REASON];
    belt_flaw_text(reason, sizeof reason, flaw, info->name, info->type, info->digits, text,
                   strlen(text));
    return belt_node_error(m->err, node, "%s", reason);
}

/* One end of a range; an open end's own value is outside. */
struct end {
    bool low, open;
    const struct belt_node *node;
    const char *text;
};

static int narrow_float(struct belt_maker *m, struct belt_test *test,
                        const struct belt_column_info *info, const struct end *at)
{
    double x = 0;
    enum belt_flaw flaw = belt_float_parse(at->text, strlen(at->text), &x);
    if (flaw != BELT_FLAW_NONE)
        return bad_value(m, at->node, info, flaw, at->text);
    double *end = at->low ? &test->to.real.low : &test->to.real.high;
    bool *open = at->low ? &test->to.real.above : &test->to.real.below;
    if (x == *end) {
        *open |= at->open;
    } else if (at->low ? x > *end : x < *end) {
        *end = x;
        *open = at->open;
    }
    return 0;
}

static int narrow(struct belt_maker *m, struct belt_test *test, const struct belt_column_info *info,
                  const struct end *at)
{
    int64_t n = 0;
    if (info->type == BELT_FLOAT)
        return narrow_float(m, test, info, at);
    enum belt_flaw flaw = belt_number_parse(at->text, strlen(at->text), info->digits, &n);
    if (flaw != BELT_FLAW_NONE)
        return bad_value(m, at->node, info, flaw, at->text);
    int64_t *end = at->low ? &test->to.number.low : &test->to.number.high;
    if (at->open && n == (at->low ? INT64_MAX : INT64_MIN))
        return belt_node_error(m->err, at->node, "%s: no number is beyond %s", info->name,
                               at->text);
    int64_t inner = at->open ? n + (at->low ? 1 : -1) : n;
    if (at->low ? inner > *end : inner < *end)
        *end = inner;
    return 0;
}

/* A test for all numbers of the field's type, to be narrowed. */
static int add_range(struct belt_maker *m, int column, const struct belt_node *node)
{
    bool real = belt_maker_info(m, column)->type == BELT_FLOAT;
    int at = belt_maker_add(m, real ? &test_float : &test_number, column, node);
    if (at < 0)
        return at;
    struct belt_test *test = belt_maker_test(m, at);
    if (real) {
        test->to.real.low = -INFINITY;
        test->to.real.high = INFINITY;
    } else {
        test->to.number.low = INT64_MIN;
        test->to.number.high = INT64_MAX;
    }
    return at;
}

int belt_test_equal(struct belt_maker *m, int column, const struct belt_node *node,
                    const char *text)
{
    const struct belt_column_info *info = belt_maker_info(m, column);
    if (info->type == BELT_TEXT)
        return belt_test_equal_text(m, column, node, text);
    int at = add_range(m, column, node);
    if (at < 0)
        return at;
    struct belt_test *test = belt_maker_test(m, at);
    int rc = narrow(m, test, info, &(struct end){ true, false, node, text });
    return rc < 0 ? rc : narrow(m, test, info, &(struct end){ false, false, node, text });
}

int belt_test_range(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_column_info *info = belt_maker_info(m, wanted->column);
    if (info->type == BELT_TEXT)
        return belt_test_text(m, wanted);
    if (m->range < 0)
        m->range = add_range(m, wanted->column, wanted->node);
    if (m->range < 0)
        return m->range;
    const struct end end = { wanted->relation->low, wanted->relation->open, wanted->node,
                             belt_node_text(wanted->node) };
    return narrow(m, belt_maker_test(m, m->range), info, &end);
}

static bool no_number(const struct belt_test *test)
{
    if (test->kind == &test_number)
        return test->to.number.low > test->to.number.high;
    bool open = test->to.real.above || test->to.real.below;
    return test->to.real.low > test->to.real.high ||
           (open && test->to.real.low == test->to.real.high);
}

int belt_test_range_check(struct belt_maker *m, const struct belt_node *node)
{
    if (m->range < 0 || !no_number(belt_maker_test(m, m->range)))
        return 0;
    return belt_node_error(m->err, node, "%s: no number is in this range",
                           belt_maker_test(m, m->range)->name);
}

static int64_t power(unsigned digits)
{
    int64_t power = 1;
    while (digits--)
        power *= 10;
    return power;
}

static const struct belt_test_kind *kind_between(const struct belt_column_info *a,
                                                 const struct belt_column_info *b)
{
    static const struct belt_test_kind texts = { texts_rows, NULL },
                                       numbers = { numbers_rows, NULL },
                                       floats = { floats_rows, NULL };
    static const struct belt_test_kind *const kinds[] = { [BELT_TEXT] = &texts,
                                                          [BELT_INT] = &numbers,
                                                          [BELT_DECIMAL] = &numbers,
                                                          [BELT_FLOAT] = &floats };
    return kinds[a->type] == kinds[b->type] ? kinds[a->type] : NULL;
}

/* { above: { field: other } } */
int belt_test_fields(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_node *node = belt_node_get(wanted->node, "field");
    const char *name = node ? belt_node_text(node) : NULL;
    const struct belt_relation *relation = wanted->relation;
    char type[BELT_TYPE_ROOM], other_type[BELT_TYPE_ROOM];
    if (!name || belt_node_count(wanted->node) != 1)
        return belt_node_error(m->err, wanted->node, "%s takes a value, or { field: NAME }",
                               relation->name);
    int column = belt_setup_field(m->setup, node, name, m->err);
    if (column < 0)
        return column;
    const struct belt_column_info *info = belt_maker_info(m, wanted->column);
    const struct belt_column_info *other = belt_maker_info(m, column);
    const struct belt_test_kind *kind = kind_between(info, other);
    if (!kind)
        return belt_node_error(m->err, node, "%s is %s, %s is %s: not to be compared", info->name,
                               belt_type_name(type, info->type, info->digits), other->name,
                               belt_type_name(other_type, other->type, other->digits));
    int at = belt_maker_add(m, kind, wanted->column, node);
    if (at < 0)
        return at;
    struct belt_test *test = belt_maker_test(m, at);
    unsigned digits = info->type == BELT_DECIMAL ? info->digits : 0;
    unsigned other_digits = other->type == BELT_DECIMAL ? other->digits : 0;
    test->to.field.column = column;
    test->to.field.less = relation->less;
    test->to.field.same = relation->same;
    test->to.field.more = relation->more;
    test->to.field.scale = digits < other_digits ? power(other_digits - digits) : 1;
    test->to.field.other = other_digits < digits ? power(digits - other_digits) : 1;
    return 0;
}
