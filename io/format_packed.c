/* The format `packed`: fields as they lie in memory, for sinks that compute: read with
 * belt_batch_number(), belt_batch_float(), belt_batch_text().
 *
 * A row: 8 bytes for each column (a number, or a text's size and place from the row's
 * start), then the texts, zeros up to a multiple of 8. A text of up to 4 bytes lies where
 * its place would be. */
#include <string.h>

#include "core/isa.h"
#include "core/spans_priv.h"
#include "io/packed_priv.h"
#include "io/rows_priv.h"

struct packed_conf {
    struct belt_texts columns;
    struct belt_row_columns rows;
    uint32_t texts; /* a bit for each column that is one */
    belt_packed_rows_fn *put_rows;
    belt_packed_size_fn *one_size;
};

static const struct belt_setting settings[] = {
    { "columns", BELT_SET_LIST, offsetof(struct packed_conf, columns), "",
      "fields to pass on, in order; all but the payload if not given", NULL, 0, 0 },
    { 0 },
};

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct packed_conf *conf = part_conf;
    int rc = belt_rows_prepare(&conf->rows, &conf->columns, setup, err);
    for (int c = 0; rc == 0 && c < conf->rows.used; c++)
        conf->texts |= (uint32_t)(conf->rows.info[c].type == BELT_TEXT) << c;
    conf->put_rows = belt_isa_v3() ? belt_packed_rows_v3 : belt_packed_rows_v2;
    conf->one_size = belt_isa_v3() ? belt_packed_size_v3 : belt_packed_size_v2;
    return rc;
}

static size_t row_size(const struct packed_conf *conf, const struct belt_view *view, uint32_t i)
{
    size_t size = 8 * (size_t)conf->rows.used;
    for (int c = 0; conf->texts && c < conf->rows.used; c++)
        if (conf->rows.info[c].type == BELT_TEXT)
            size += belt_packed_behind(view->columns[conf->rows.column[c]].as.spans[i].size);
    return (size + 7) & ~(size_t)7;
}

static size_t bound(const void *conf, const struct belt_view *view, uint32_t i)
{
    return row_size(conf, view, i);
}

static size_t put_texts(const struct packed_conf *conf, const struct belt_view *view, uint32_t i,
                        char *out)
{
    uint32_t at = 8 * (uint32_t)conf->rows.used;
    size_t size = row_size(conf, view, i);
    memset(out + size - 8, 0, 8); /* a cell, when no text lies behind: written below */
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        if (conf->rows.info[c].type != BELT_TEXT) {
            memcpy(out + 8 * c, &column->as.numbers[i], 8);
            continue;
        }
        struct belt_span text = column->as.spans[i];
        belt_packed_place(out + 8 * c, at, column->base + text.at, text.size);
        if (belt_packed_behind(text.size))
            memcpy(out + at, column->base + text.at, text.size);
        at += belt_packed_behind(text.size);
    }
    return size;
}

static size_t put_numbers(const struct packed_conf *conf, const struct belt_view *view, uint32_t i,
                          char *out)
{
    for (int c = 0; c < conf->rows.used; c++, out += 8)
        memcpy(out, &view->columns[conf->rows.column[c]].as.numbers[i], 8);
    return 8 * (size_t)conf->rows.used;
}

static size_t row(const void *part_conf, const struct belt_view *view, uint32_t i, char *out)
{
    const struct packed_conf *conf = part_conf;
    return conf->texts ? put_texts(conf, view, i, out) : put_numbers(conf, view, i, out);
}

/* ---- many at once ------------------------------------------------------------- */

static size_t texts_size(const struct belt_span *spans, uint64_t mask)
{
    size_t size = 0;
    if (mask == UINT64_MAX)
        return belt_spans_bytes(spans, 64);
    for (; mask; mask &= mask - 1)
        size += spans[__builtin_ctzll(mask)].size;
    return size;
}

static size_t bounds(const void *part_conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    const struct packed_conf *conf = part_conf;
    size_t count = (size_t)__builtin_popcountll(mask);
    size_t size = (8 * (size_t)conf->rows.used + (conf->texts ? 7 : 0)) * count;
    for (int c = 0; c < conf->rows.used; c++)
        if (conf->rows.info[c].type == BELT_TEXT)
            size += texts_size(view->columns[conf->rows.column[c]].as.spans + (size_t)w * 64, mask);
    return size;
}

static size_t even(const void *part_conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    const struct packed_conf *conf = part_conf;
    size_t size = 8 * (size_t)conf->rows.used;
    for (int c = 0; conf->texts && c < conf->rows.used; c++) {
        if (!(conf->texts >> c & 1))
            continue;
        const struct belt_span *spans = view->columns[conf->rows.column[c]].as.spans;
        uint32_t text = conf->one_size(spans + (size_t)w * 64, mask);
        if (!text)
            return 0;
        size += belt_packed_behind(text);
    }
    return (size + 7) & ~(size_t)7;
}

static size_t rows(const void *part_conf, const struct belt_view *view, uint32_t w, uint64_t mask,
                   char *out, uint32_t at, struct belt_span *places)
{
    const struct packed_conf *conf = part_conf;
    struct belt_packed_cells cells[BELT_COLUMNS]; /* filled as far as it is used */
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        cells[c].base = column->base;
        cells[c].as.numbers = column->as.numbers + (size_t)w * 64;
    }
    return conf->put_rows(cells, conf->rows.used, conf->texts, mask, out, at, places);
}

const struct belt_format belt_format_packed = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "packed",
        .help = "fields in memory, for sinks that compute: 8 bytes a number, texts behind",
        .settings = settings,
        .conf_size = sizeof(struct packed_conf),
        .prepare = prepare,
        .scalar = "columns",
    },
    .bound = bound,
    .row = row,
    .bounds = bounds,
    .rows = rows,
    .even = even,
};
