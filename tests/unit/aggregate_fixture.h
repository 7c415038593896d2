/* Tables of an aggregate, messages for them, and their rows as text. */
#ifndef BELT_AGGREGATE_FIXTURE_H
#define BELT_AGGREGATE_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/spec_priv.h"

enum { PAYLOAD, NAME, VALUE, NUMBER, RATIO, CITY, COLUMNS };

#define TEXTS (1u << 20)

static struct belt_error err;
static struct belt_tree *tree;
static struct belt_agg_spec *spec;
static struct belt_agg *agg;

/* ---- messages ------------------------------------------------------------------- */

static char *texts; /* with BELT_PAD around */
static uint32_t texts_used;
static struct belt_span spans[COLUMNS][BELT_FRAME];
static int64_t numbers[COLUMNS][BELT_FRAME];
static double ratios[BELT_FRAME];
static struct belt_column columns[COLUMNS];
static struct belt_view view;
static uint64_t mask[BELT_WORDS], failed[BELT_WORDS];

static inline void start_messages(void)
{
    texts = calloc(1, TEXTS + 2 * BELT_PAD);
    for (int c = 0; c < COLUMNS; c++) {
        columns[c].base = texts + BELT_PAD;
        columns[c].as.numbers = numbers[c];
    }
    columns[PAYLOAD].as.spans = spans[PAYLOAD];
    columns[NAME].as.spans = spans[NAME];
    columns[CITY].as.spans = spans[CITY];
    columns[RATIO].as.floats = ratios;
    view = (struct belt_view){ .size = sizeof view, .columns_used = COLUMNS, .columns = columns };
}

static inline void put_text(int column, const char *bytes, size_t size)
{
    memcpy(texts + BELT_PAD + texts_used, bytes, size);
    spans[column][view.end] = (struct belt_span){ texts_used, (uint32_t)size };
    texts_used += (uint32_t)size;
}

static inline int fold(void)
{
    int rc = belt_agg_fold(agg, &view, mask, failed, &err);
    memset(mask, 0, sizeof mask);
    view.end = texts_used = 0;
    return rc;
}

/* Ends message view.end, whose columns have been put. */
static inline void next_message(void)
{
    mask[view.end / 64] |= UINT64_C(1) << (view.end % 64);
    if (++view.end == BELT_FRAME)
        cr_assert_eq(fold(), 0);
}

static inline void add_value(const char *name, int64_t value)
{
    put_text(NAME, name, strlen(name));
    numbers[VALUE][view.end] = numbers[NUMBER][view.end] = value;
    next_message();
}

static inline void add_ratio(const char *name, double ratio)
{
    put_text(NAME, name, strlen(name));
    ratios[view.end] = ratio;
    next_message();
}

/* ---- fixture -------------------------------------------------------------------- */

static struct belt_agg_conf conf = { .tables = 1 };
static struct belt_agg *tables[4];
static size_t tables_used;

static inline struct belt_agg *new_table(uint64_t seed)
{
    struct belt_agg **table = &tables[tables_used++];
    cr_assert_eq(belt_agg_new(table, spec, &conf, seed, &err), 0, "%s", err.text);
    return *table;
}

static inline void use_spec(const char *yaml)
{
    static struct belt_column_info infos[COLUMNS] = {
        { "payload", BELT_TEXT, 0 }, { "name", BELT_TEXT, 0 },   { "value", BELT_DECIMAL, 1 },
        { "number", BELT_INT, 0 },   { "ratio", BELT_FLOAT, 0 }, { "city", BELT_TEXT, 0 },
    };
    static int used = COLUMNS;
    struct belt_setup setup = { .columns = infos, .columns_used = &used, .path = "batcher" };
    tree = belt_tree_new();
    cr_assert_eq(belt_tree_load_text(tree, yaml, "test.yaml", &err), 0, "%s", err.text);
    cr_assert_eq(belt_agg_spec_new(&spec, belt_tree_root(tree), &setup, &err), 0, "%s", err.text);
    start_messages();
}

static inline void use(const char *yaml)
{
    use_spec(yaml);
    agg = new_table(7);
}

static inline void fini(void)
{
    while (tables_used)
        belt_agg_free(tables[--tables_used]);
    belt_agg_spec_free(spec);
    belt_tree_free(tree);
    free(texts);
}

/* For another one in the same test. */
static inline void reset(void)
{
    tree = NULL;
    spec = NULL;
    texts = NULL;
    memset(mask, 0, sizeof mask);
    memset(failed, 0, sizeof failed);
    view.end = texts_used = 0;
}

/* The rows that come out, all columns as text: "a;1.5;2\n...". */
static inline void print_row(FILE *out, const struct belt_view *rows, uint32_t i)
{
    const struct belt_column_info *infos;
    int count = belt_agg_outputs(spec, &infos);
    for (int o = 0; o < count; o++) {
        uint32_t size;
        const struct belt_column *column = &rows->columns[o + 1];
        if (infos[o].type == BELT_TEXT) {
            const char *text = belt_text(rows, o + 1, i, &size);
            fprintf(out, "%.*s", (int)size, text);
        } else if (infos[o].type == BELT_FLOAT) {
            fprintf(out, "%.17g", column->as.floats[i]);
        } else {
            fprintf(out, "%lld", (long long)column->as.numbers[i]);
        }
        fputc(o + 1 < count ? ';' : '\n', out);
    }
}

static char printed[8192];

static inline const char *rows_of(struct belt_agg *table)
{
    FILE *out = fmemopen(printed, sizeof printed, "w");
    struct belt_view rows = { 0 };
    uint64_t from = 0;
    cr_assert_eq(belt_agg_sort(table, &err), 0, "%s", err.text);
    while (belt_agg_rows(table, from, &rows)) {
        for (uint32_t i = 0; i < rows.end; i++)
            print_row(out, &rows, i);
        from += rows.end;
    }
    fputc(0, out);
    fclose(out);
    return printed;
}

static inline void expect(const char *rows)
{
    cr_assert_eq(fold(), 0);
    cr_assert_str_eq(rows_of(agg), rows);
}

static uint64_t random_state = 42;

static inline uint64_t random_below(uint64_t end)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (random_state >> 33) % end;
}

#endif
