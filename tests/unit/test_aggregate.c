/* Aggregates: folding against a naive model, exact sums and means,
 * the way through blobs, and the order of what comes out. */
#include "tests/unit/aggregate_fixture.h"

TestSuite(aggregate, .fini = fini);

/* ---- against a naive model ------------------------------------------------------ */

struct model {
    char key[256];
    uint32_t size;
    int64_t min, max, sum, count;
};

static struct model *models;
static size_t models_used;

static struct model *model_of(const char *key, uint32_t size)
{
    for (size_t i = 0; i < models_used; i++)
        if (models[i].size == size && memcmp(models[i].key, key, size) == 0)
            return &models[i];
    models[models_used] = (struct model){ .size = size, .min = INT64_MAX, .max = INT64_MIN };
    memcpy(models[models_used].key, key, size);
    return &models[models_used++];
}

static void add_to_model(const char *key, uint32_t size, int64_t value)
{
    struct model *m = model_of(key, size);
    m->min = value < m->min ? value : m->min;
    m->max = value > m->max ? value : m->max;
    m->sum += value;
    m->count++;
}

/* Keys of 0 to 200 bytes with NUL and 0xff bytes; many differ in their last byte alone. */
static uint32_t random_key(char *key)
{
    uint32_t size = (uint32_t)(random_below(2) ? random_below(201) : random_below(34));
    memset(key, "\0a\xff"[random_below(3)], size);
    if (size)
        key[size - 1] = (char)random_below(4);
    return size;
}

static void compare_with_model(struct belt_agg *table)
{
    struct belt_view rows = { 0 };
    uint64_t from = 0;
    cr_assert_eq(belt_agg_groups(table), models_used);
    cr_assert_eq(belt_agg_sort(table, &err), 0);
    for (; belt_agg_rows(table, from, &rows); from += rows.end)
        BELT_EACH (&rows, i) {
            uint32_t size;
            const char *key = belt_text(&rows, 1, i, &size);
            const struct model *m = model_of(key, size);
            cr_assert_eq(belt_number(&rows, 2, i), m->min);
            cr_assert_eq(belt_number(&rows, 3, i), m->max);
            cr_assert_eq(belt_number(&rows, 4, i), m->sum);
            cr_assert_eq(belt_number(&rows, 5, i), m->count);
        }
    cr_assert_eq(from, models_used);
}

#define ALL_OF_VALUE "columns: { a: min(value), b: max(value), c: sum(value), n: count() }"

/* Folds random messages, every fourth left out, into the first `count` tables and the model. */
static void fold_random(size_t count, int frames)
{
    models = calloc(4096, sizeof *models);
    for (int f = 0; f < frames; f++) {
        agg = tables[(size_t)f % count];
        for (uint32_t i = 0; i < BELT_FRAME; i++, view.end++) {
            char key[256];
            uint32_t size = random_key(key);
            int64_t value = (int64_t)random_below(2000) - 1000;
            put_text(NAME, key, size);
            numbers[VALUE][i] = value;
            if (f > 1 && random_below(4) == 0) /* the first two frames have full words */
                continue;
            mask[i / 64] |= UINT64_C(1) << (i % 64);
            add_to_model(key, size, value);
        }
        cr_assert_eq(fold(), 0);
    }
}

Test(aggregate, folds_texts_of_any_length_and_bytes_like_the_model)
{
    use("{ group_by: name, " ALL_OF_VALUE " }");
    fold_random(1, 40);
    compare_with_model(agg);
}

Test(aggregate, folds_the_same_on_the_baseline)
{
    setenv("BELT_ISA", "v2", 1);
    use("{ group_by: name, " ALL_OF_VALUE " }");
    fold_random(1, 40);
    compare_with_model(agg);
}

/* Through blobs, in rooms that take one large blob or a few small ones. */
static void ship(struct belt_agg *from, struct belt_agg *to, size_t room, uint32_t most)
{
    _Alignas(8) static char out[2 * BELT_AGG_BLOB];
    static struct belt_span blobs[BELT_FRAME];
    uint64_t cursor = 0, groups = 0;
    while (cursor != UINT64_MAX) {
        uint32_t count;
        size_t size = belt_agg_pack(from, &cursor, out, room, blobs, most, &count);
        cr_assert(size <= room && count <= most && size % 8 == 0);
        cr_assert(count || cursor == UINT64_MAX);
        cr_assert(!count || blobs[count - 1].at + blobs[count - 1].size == size);
        cr_assert_eq(belt_agg_merge(to, out, size, &err), 0);
        groups += count;
    }
    cr_assert_eq(groups, belt_agg_groups(from));
}

Test(aggregate, two_tables_merged_equal_one)
{
    use("{ group_by: name, " ALL_OF_VALUE " }");
    new_table(8);
    struct belt_agg *merged = new_table(9);
    fold_random(2, 41);
    ship(tables[0], merged, BELT_AGG_BLOB, BELT_FRAME);
    ship(tables[1], merged, 2 * BELT_AGG_BLOB, 3);
    compare_with_model(merged);
}

Test(aggregate, packing_an_empty_table_gives_nothing_and_ends)
{
    use("{ group_by: name }");
    ship(agg, agg, BELT_AGG_BLOB, 1);
}

Test(aggregate, merge_refuses_what_is_no_blob)
{
    use("{ group_by: name }");
    static const uint32_t blobs[][4] = { { 8 }, { 64, 16 }, { 48, 70000 }, { UINT32_MAX, 0 } };
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++)
        cr_assert_eq(belt_agg_merge(agg, (const char *)blobs[i], sizeof blobs[i], &err), -EBADMSG);
}

Test(aggregate, keeps_every_group_while_it_grows)
{
    use("{ group_by: name, columns: { n: count(), s: sum(number), t: sum(value) }, sort_by: n }");
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 50000; i++) {
            char name[64];
            snprintf(name, sizeof name, "%d %s", i, i % 5 ? "" : "and forty bytes more of a name");
            add_value(name, i);
        }
    cr_assert_eq(fold(), 0);
    cr_assert_eq(belt_agg_groups(agg), 50000);
    struct belt_view rows = { 0 };
    uint64_t from = 0;
    cr_assert_eq(belt_agg_sort(agg, &err), 0);
    for (; belt_agg_rows(agg, from, &rows); from += rows.end)
        BELT_EACH (&rows, i) {
            uint32_t size;
            cr_assert_eq(belt_number(&rows, 2, i), 2);
            cr_assert_eq(belt_number(&rows, 3, i), 2 * atoi(belt_text(&rows, 1, i, &size)));
            cr_assert_eq(belt_number(&rows, 4, i), belt_number(&rows, 3, i));
        }
    cr_assert_eq(from, 50000);
}

Test(aggregate, starts_anew_after_clear)
{
    use("{ group_by: name, columns: { n: count(), s: sum(number) }, sort_by: name }");
    for (int i = 0; i < 9999; i++) {
        char name[64];
        snprintf(name, sizeof name, "%d and more than thirty-one bytes", i);
        add_value(name, INT64_MAX);
        add_value("x", INT64_MAX);
    }
    cr_assert_eq(fold(), 0);
    belt_agg_clear(agg);
    cr_assert_eq(belt_agg_groups(agg), 0);
    add_value("x", 3);
    expect("x;1;3\n");
}

Test(aggregate, takes_max_keys_groups_and_not_one_more)
{
    use("{ group_by: name, max_keys: 3, columns: { n: count() }, sort_by: name }");
    add_value("a", 0);
    add_value("b", 0);
    add_value("c, a name that does not fit the line", 0);
    add_value("a", 0);
    expect("a;2\nb;1\nc, a name that does not fit the line;1\n");
    add_value("d", 0);
    cr_assert_eq(fold(), -ENOSPC);
    add_value("e, another that does not fit the line", 0);
    cr_assert_eq(fold(), -ENOSPC);
    cr_assert_eq(belt_agg_groups(agg), 3);
}

/* What a table that is full says, after so many names of `size` bytes at most. */
static const char *says_when_full(const char *yaml, int size)
{
    char name[1024];
    int rc = 0;
    use(yaml);
    memset(name, 'x', sizeof name);
    for (int i = 0; i < 200000 && rc == 0; i++) {
        add_value(name, snprintf(name, sizeof name, "%0*d", size, i));
        rc = view.end == 64 ? fold() : 0;
    }
    cr_assert_eq(rc, -ENOSPC, "%d", rc);
    return err.text;
}

Test(aggregate, says_which_setting_a_full_table_wants_raised)
{
    static const struct {
        const char *yaml, *text;
        int size;
    } cases[] = {
        { "{ group_by: name, max_keys: 100 }",
          "more groups than max_keys has room for: raise aggregate.max_keys, or ", 6 },
        { "{ group_by: name, max_keys: 100, memory: 64MiB }",
          "more groups than max_keys has room for: raise aggregate.max_keys, or ", 6 },
        { "{ group_by: name, memory: 2MiB }",
          "more groups than memory has room for: raise aggregate.memory, or ", 6 },
        { "{ group_by: name, memory: 2MiB }",
          "longer keys of groups than memory has room for: raise aggregate.memory, or ", 1000 },
        { "{ group_by: name, max_keys: 60000 }",
          "longer keys of groups than max_keys has room for: raise aggregate.max_keys, or ", 1000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *said = says_when_full(cases[i].yaml, cases[i].size);
        cr_assert_not_null(strstr(said, cases[i].text), "%s: %s", cases[i].yaml, said);
        fini();
        reset();
    }
}

Test(aggregate, fails_keys_beyond_64_kib_one_by_one)
{
    use("{ group_by: name, columns: { n: count(), s: sum(value) } }");
    static char name[BELT_AGG_KEY + 1];
    memset(name, 'x', sizeof name);
    for (uint32_t size = BELT_AGG_KEY - 1; size <= BELT_AGG_KEY + 1; size++) {
        numbers[VALUE][view.end] = size;
        put_text(NAME, name, size);
        next_message();
    }
    add_value("y", 1);
    cr_assert_eq(fold(), 0);
    cr_assert_eq(failed[0], 4);
    cr_assert_eq(belt_agg_groups(agg), 3);
    struct belt_agg *merged = new_table(1);
    ship(agg, merged, BELT_AGG_BLOB, BELT_FRAME);
    cr_assert_eq(belt_agg_groups(merged), 3);
    struct belt_view rows = { 0 };
    int64_t total = 0;
    cr_assert_eq(belt_agg_sort(merged, &err), 0);
    cr_assert_eq(belt_agg_rows(merged, 0, &rows), 3);
    BELT_EACH (&rows, i)
        total += belt_number(&rows, 3, i);
    cr_assert_eq(total, 2 * BELT_AGG_KEY - 1 + 1);
}

Test(aggregate, long_texts_come_out_in_several_frames)
{
    use("{ group_by: name, columns: { n: count() }, sort_by: name }");
    static char name[60000];
    memset(name, 'x', sizeof name);
    for (int i = 0; i < 40; i++) {
        name[59999] = (char)('A' + i);
        put_text(NAME, name, sizeof name);
        next_message();
        if (view.end == 8)
            cr_assert_eq(fold(), 0);
    }
    struct belt_view rows = { 0 };
    uint64_t from = 0;
    cr_assert_eq(belt_agg_sort(agg, &err), 0);
    for (; belt_agg_rows(agg, from, &rows); from += rows.end)
        BELT_EACH (&rows, i) {
            uint32_t size;
            cr_assert_eq(belt_text(&rows, 1, i, &size)[59999], (char)('A' + from + i));
        }
    cr_assert_eq(from, 40);
}

/* ---- keys ----------------------------------------------------------------------- */

Test(aggregate, several_fields_are_one_key)
{
    use("{ group_by: [name, number, city], columns: { n: count() }, sort_by: [number, name] }");
    static const struct {
        const char *name, *city;
        int64_t number;
    } rows[] = {
        { "ab", "c", 2 },  { "a", "bc", 2 },
        { "ab", "c", -1 }, { "", "", 2 },
        { "ab", "c", 2 },  { "ab", "c", -1 },
        { "", "abc", 2 },  { "a name of so many bytes that no line holds it", "c", 2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_text(NAME, rows[i].name, strlen(rows[i].name));
        put_text(CITY, rows[i].city, strlen(rows[i].city));
        numbers[NUMBER][view.end] = rows[i].number;
        next_message();
    }
    expect("ab;-1;c;2\n;2;;1\n;2;abc;1\na;2;bc;1\n"
           "a name of so many bytes that no line holds it;2;c;1\nab;2;c;2\n");
}

Test(aggregate, numbers_are_keys_and_zero_and_nan_are_one_each)
{
    use("{ group_by: ratio, columns: { n: count() }, sort_by: ratio }");
    const double keys[] = { 0.0, NAN, -0.0, -1.5, INFINITY, -NAN, 0.0 };
    for (size_t i = 0; i < 7; i++)
        add_ratio("", keys[i]);
    expect("-1.5;1\n0;3\ninf;1\nnan;2\n");
}

Test(aggregate, without_group_by_all_is_one_group)
{
    use("{ columns: { n: count(), m: max(number) } }");
    add_value("a", 3);
    add_value("b", 4);
    expect("2;4\n");
}

Test(aggregate, without_columns_the_groups_come_out)
{
    use("{ group_by: payload, sort_by: payload }");
    put_text(PAYLOAD, "two", 3);
    next_message();
    put_text(PAYLOAD, "one", 3);
    next_message();
    expect("one\ntwo\n");
    struct belt_view rows = { 0 };
    uint32_t size;
    belt_agg_rows(agg, 0, &rows);
    cr_assert_eq(memcmp(belt_text(&rows, PAYLOAD, 1, &size), "two", 3), 0);
}

/* ---- values --------------------------------------------------------------------- */

Test(aggregate, means_round_half_up_and_are_never_minus_zero)
{
    static const struct {
        int64_t a, b, mean;
    } cases[] = {
        { 1, 2, 2 },
        { 1, 1, 1 },
        { 0, 1, 1 },
        { 0, -1, 0 },
        { -1, -2, -1 },
        { -3, -4, -3 },
        { 3, 4, 4 },
        { -1, 1, 0 },
        { -1, -1, -1 },
        { INT64_MAX, INT64_MAX, INT64_MAX },
        { INT64_MIN, INT64_MIN, INT64_MIN },
        { INT64_MIN, INT64_MAX, 0 },
    };
    use("{ group_by: name, columns: { m: mean(value) } }");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char row[64];
        add_value("x", cases[i].a);
        add_value("x", cases[i].b);
        snprintf(row, sizeof row, "x;%lld\n", (long long)cases[i].mean);
        expect(row);
        belt_agg_clear(agg);
    }
}

Test(aggregate, mean_of_thirds_is_rounded_to_the_nearest)
{
    use("{ group_by: name, sort_by: name, columns: { m: mean(value), i: mean(number) } }");
    for (int i = 0; i < 3; i++) {
        add_value("down", i == 0 ? 4 : 0);
        add_value("minus", i == 0 ? -4 : 0);
        add_value("up", i == 0 ? 5 : 0);
    }
    expect("down;1;1.3333333333333333\nminus;-1;-1.3333333333333333\nup;2;1.6666666666666667\n");
}

Test(aggregate, sums_beyond_64_bits_stay_exact)
{
    use("{ group_by: name, columns: { m: mean(value), s: sum(value), n: count() }, sort_by: s }");
    for (int i = 0; i < 1000; i++) {
        add_value("up and down", INT64_MAX - i);
        add_value("down and up", INT64_MIN + i);
    }
    for (int i = 0; i < 1000; i++) {
        add_value("up and down", -(INT64_MAX - i));
        add_value("down and up", INT64_MAX - i);
    }
    add_value("up and down", 2001);
    expect("down and up;0;-1000;2000\nup and down;1;2001;2001\n");
}

Test(aggregate, wide_sums_survive_growth_and_merging)
{
    use("{ group_by: name, columns: { m: mean(number) , d: mean(value) }, sort_by: name }");
    for (int i = 0; i < 3; i++)
        add_value("wide", INT64_MAX - i);
    for (int i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        add_value(name, 1);
    }
    cr_assert_eq(fold(), 0);
    struct belt_agg *merged = new_table(3);
    ship(agg, merged, BELT_AGG_BLOB, BELT_FRAME);
    ship(agg, merged, BELT_AGG_BLOB, BELT_FRAME);
    belt_agg_sort(merged, &err);
    struct belt_view rows = { 0 };
    cr_assert_eq(belt_agg_rows(merged, 5000, &rows), 1);
    cr_assert_eq(belt_number(&rows, 3, 0), INT64_MAX - 1);
    cr_assert_float_eq(rows.columns[2].as.floats[0], 9223372036854775806.0, 1);
}

Test(aggregate, a_sum_that_does_not_fit_its_column_is_said_not_cut)
{
    use("{ group_by: name, columns: { all: sum(value) } }");
    add_value("huge", INT64_MAX);
    add_value("huge", 1);
    cr_assert_eq(fold(), 0);
    cr_assert_eq(belt_agg_sort(agg, &err), -EOVERFLOW);
    cr_assert(strstr(err.text, "'all'") && strstr(err.text, "'huge'"), "%s", err.text);
}

Test(aggregate, folds_floats)
{
    use("{ columns: { a: min(ratio), b: max(ratio), s: sum(ratio), m: mean(ratio) } }");
    const double values[] = { 0.5, -2.25, 4, 1.75 };
    for (size_t i = 0; i < 4; i++)
        add_ratio("", values[i]);
    cr_assert_eq(fold(), 0);
    struct belt_agg *merged = new_table(3);
    ship(agg, merged, BELT_AGG_BLOB, BELT_FRAME);
    cr_assert_str_eq(rows_of(merged), "-2.25;4;4;1\n");
}

Test(aggregate, nan_is_an_end_only_when_alone)
{
    use("{ group_by: name, columns: { a: min(ratio), b: max(ratio) }, sort_by: name }");
    const double values[] = { NAN, 2, NAN, 1, NAN };
    for (size_t i = 0; i < 5; i++)
        add_ratio(i < 4 ? "some" : "none", values[i]);
    expect("none;nan;nan\nsome;1;2\n");
}

Test(aggregate, sorts_texts_by_their_bytes)
{
    use("{ group_by: name, sort_by: name }");
    const char *const names[] = { "b", "\xc3\xa9",  "a",        "ab",        "",
                                  "B", "abcdefghi", "abcdefgh", "abcdefghj", "Z" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_value(names[i], 0);
    expect("\nB\nZ\na\nab\nabcdefgh\nabcdefghi\nabcdefghj\nb\n\xc3\xa9\n");
}

Test(aggregate, sorts_numbers_by_size_and_equal_ones_by_key)
{
    use("{ group_by: name, columns: { s: sum(value) }, sort_by: s }");
    add_value("d", 10);
    add_value("b", -20);
    add_value("c", 9);
    add_value("a", 10);
    expect("b;-20\nc;9\na;10\nd;10\n");
}
