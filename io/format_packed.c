/* The format `packed`: fields as they lie in memory, for sinks that compute: read with
 * belt_batch_number(), belt_batch_float(), belt_batch_text().
 *
 * A row: 8 bytes for each column (a number, or a text's { at, size } from the row's
 * start), then the texts, zeros up to a multiple of 8. */
#include <string.h>

#include "io/rows_priv.h"

struct packed_conf {
    struct belt_texts columns;
    struct belt_row_columns rows;
    bool has_text;
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
        conf->has_text |= conf->rows.info[c].type == BELT_TEXT;
    return rc;
}

static size_t row_size(const struct packed_conf *conf, const struct belt_view *view, uint32_t i)
{
    size_t size = 8 * (size_t)conf->rows.used;
    for (int c = 0; conf->has_text && c < conf->rows.used; c++)
        if (conf->rows.info[c].type == BELT_TEXT)
            size += view->columns[conf->rows.column[c]].as.spans[i].size;
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
    memset(out + size - 8, 0, 8);
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        if (conf->rows.info[c].type != BELT_TEXT) {
            memcpy(out + 8 * c, &column->as.numbers[i], 8);
            continue;
        }
        struct belt_span text = { at, column->as.spans[i].size };
        memcpy(out + 8 * c, &text, sizeof text);
        if (text.size)
            memcpy(out + at, column->base + column->as.spans[i].at, text.size);
        at += text.size;
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
    return conf->has_text ? put_texts(conf, view, i, out) : put_numbers(conf, view, i, out);
}

/* ---- many at once: a column after the other ---------------------------------- */

struct packing {
    const struct belt_view *view;
    uint32_t count, at[64], text[64]; /* of each row: in `out`; where its next text goes */
    uint32_t index[64];               /* of its message */
};

static size_t bounds(const void *part_conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    const struct packed_conf *conf = part_conf;
    size_t count = (size_t)__builtin_popcountll(mask);
    size_t size = (8 * (size_t)conf->rows.used + (conf->has_text ? 7 : 0)) * count;
    for (int c = 0; c < conf->rows.used; c++) {
        if (conf->rows.info[c].type != BELT_TEXT)
            continue;
        const struct belt_span *spans = view->columns[conf->rows.column[c]].as.spans;
        for (uint64_t rest = mask; rest; rest &= rest - 1)
            size += spans[w * 64 + (uint32_t)__builtin_ctzll(rest)].size;
    }
    return size;
}

/* Where each row begins; the bytes of all. */
static size_t lay_out(struct packing *p, const struct packed_conf *conf, uint32_t at,
                      struct belt_span *places)
{
    uint32_t fixed = 8 * (uint32_t)conf->rows.used, bytes = 0;
    for (uint32_t n = 0; n < p->count; n++)
        places[n].size = fixed;
    for (int c = 0; conf->has_text && c < conf->rows.used; c++) {
        if (conf->rows.info[c].type != BELT_TEXT)
            continue;
        const struct belt_span *spans = p->view->columns[conf->rows.column[c]].as.spans;
        for (uint32_t n = 0; n < p->count; n++)
            places[n].size += spans[p->index[n]].size;
    }
    for (uint32_t n = 0; n < p->count; n++) {
        uint32_t size = (places[n].size + 7) & ~7u;
        places[n] = (struct belt_span){ at + bytes, size };
        p->at[n] = bytes;
        p->text[n] = fixed;
        bytes += size;
    }
    return bytes;
}

static void put_text_column(struct packing *p, const struct belt_column *column, uint32_t offset,
                            char *out)
{
    for (uint32_t n = 0; n < p->count; n++) {
        struct belt_span from = column->as.spans[p->index[n]];
        struct belt_span text = { p->text[n], from.size };
        memcpy(out + p->at[n] + offset, &text, sizeof text);
        belt_copy_text(out + p->at[n] + text.at, column->base + from.at, from.size);
        p->text[n] += from.size;
    }
}

static size_t rows(const void *part_conf, const struct belt_view *view, uint32_t w, uint64_t mask,
                   char *out, uint32_t at, struct belt_span *places)
{
    const struct packed_conf *conf = part_conf;
    struct packing p; /* filled as far as it is used */
    p.view = view;
    p.count = 0;
    for (; mask; mask &= mask - 1)
        p.index[p.count++] = w * 64 + (uint32_t)__builtin_ctzll(mask);
    size_t bytes = lay_out(&p, conf, at, places);
    for (uint32_t n = 0; conf->has_text && n < p.count; n++)
        memset(out + p.at[n] + places[n].size - 8, 0, 8);
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        if (conf->rows.info[c].type == BELT_TEXT)
            put_text_column(&p, column, 8 * (uint32_t)c, out);
        else
            for (uint32_t n = 0; n < p.count; n++)
                memcpy(out + p.at[n] + 8 * c, &column->as.numbers[p.index[n]], 8);
    }
    return bytes;
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
};
