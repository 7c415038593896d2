/* The work of `csv`. 64 rows without a quote go split's way. Else delimiters and
 * quotes are found 64 bytes at a time: a byte is within quotes when an odd number
 * of them lies before it, so long as quotes stand only where they may: one that
 * opens at a field's start, one that closes at its end, two within for one. A row
 * where one stands elsewhere is gone through byte by byte. */
#include "core/isa.h"
#include "steps/csv_priv.h"
#include "steps/split_vec_priv.h"

static inline uint64_t find(const char *text, char byte)
{
    const vec all = v_all8(byte);
    return v_find32(text, all) | (uint64_t)v_find32(text + 32, all) << 32;
}

static inline uint64_t low_bits(uint32_t count)
{
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

/* Bit i: the parity of bits 0 to i. */
static inline uint64_t parity(uint64_t bits)
{
    for (int by = 1; by < 64; by *= 2)
        bits ^= bits << by;
    return bits;
}

/* A row on its way through. */
struct row {
    const char *text;
    uint32_t size, start, column, next; /* of the field in hand; next: of the layout's order */
    uint64_t inside;                    /* all ones: the block before ended within quotes */
    uint64_t opens;                     /* 1: a quote right at the block's start may open */
};

/* The delimiters of a block that are outside quotes; false where a quote is out of place. */
static inline bool outside(const struct belt_csv *csv, struct row *row, uint32_t from,
                           uint64_t *delimiters)
{
    uint64_t valid = low_bits(row->size - from);
    uint64_t quote = csv->has_quote ? find(row->text + from, csv->quote) & valid : 0;
    *delimiters = find(row->text + from, csv->delimiter) & valid;
    if (quote | row->inside) {
        uint64_t inside = parity(quote) ^ row->inside, edges = *delimiters | quote;
        char next = row->text[from + 64];
        uint64_t last = from + 64 >= row->size
                            ? UINT64_C(1) << (row->size - from - 1)
                            : (uint64_t)(next == csv->delimiter || next == csv->quote) << 63;
        uint64_t bad = quote & inside & ~(edges << 1 | row->opens);
        bad |= quote & ~inside & ~(edges >> 1 | last);
        if (bad)
            return false;
        *delimiters &= ~inside;
        row->inside = (uint64_t)((int64_t)inside >> 63);
    }
    row->opens = (*delimiters | quote) >> 63;
    return true;
}

/* The field that ends at `end`. */
static inline void put(struct belt_csv_state *own, struct row *row, uint32_t k, uint32_t w,
                       uint32_t end)
{
    const struct belt_csv_layout *layout = own->layout;
    struct belt_split_work *work = &own->work;
    if (row->next < layout->count && layout->order[row->next].column == row->column) {
        uint32_t f = layout->order[row->next++].field, size = end - row->start;
        const char *text = row->text + row->start;
        bool quoted = size > 1 && own->csv->has_quote && *text == own->csv->quote;
        if (quoted && __builtin_memchr(text + 1, own->csv->quote, size - 2)) {
            belt_csv_mark(own, f, w * 64 + work->index[k]);
            quoted = false; /* it keeps its quotes until it is made anew */
        }
        work->at[f][k] = work->records[k].at + row->start + quoted;
        work->size[f][k] = size - 2 * quoted;
    }
    row->column++;
    row->start = end + 1;
}

/* 1: cut, 0: not what is asked for, -1: it has to be looked at byte by byte. */
static inline int cut_row(struct belt_csv_state *own, const char *base, uint32_t k, uint32_t w)
{
    const struct belt_csv *csv = own->csv;
    const struct belt_csv_layout *layout = own->layout;
    struct belt_span record = own->work.records[k];
    if (layout->lacks >= 0)
        return 0;
    struct row row = { .text = base + record.at, .size = record.size, .opens = 1 };
    for (uint32_t from = 0; from < row.size; from += 64) {
        uint64_t delimiters;
        if (!outside(csv, &row, from, &delimiters))
            return -1;
        for (; delimiters; delimiters &= delimiters - 1)
            put(own, &row, k, w, from + (uint32_t)__builtin_ctzll(delimiters));
    }
    if (row.inside)
        return -1;
    put(own, &row, k, w, row.size);
    if (row.column == layout->columns)
        return 1;
    if (row.column > layout->columns)
        return csv->split.extra != BELT_EXTRA_FAIL;
    if (csv->missing == BELT_CSV_MISSING_FAIL)
        return 0;
    for (; row.next < layout->count; row.next++) {
        own->work.at[layout->order[row.next].field][k] = record.at + record.size;
        own->work.size[layout->order[row.next].field][k] = 0;
    }
    return 1;
}

uint64_t BELT_HOT(belt_csv_cut)(const struct belt_split *split, struct belt_split_work *work,
                                const char *base, uint32_t w)
{
    struct belt_csv_state *own = work->own;
    uint64_t failed = 0;
    for (uint32_t k = 0; k < work->count; k++) {
        int cut = cut_row(own, base, k, w);
        if (cut > 0 || (cut < 0 && belt_csv_cut_row(own, base, k, w)))
            continue;
        failed |= UINT64_C(1) << k;
        belt_split_blank(split, work, k);
    }
    return failed;
}

/* Is there a quote in any of these rows, or between them? */
static bool any_quote(const struct belt_csv *csv, const struct belt_column *column, uint32_t w,
                      uint64_t rows)
{
    const struct belt_span *spans = column->as.spans + w * 64;
    struct belt_span first = spans[__builtin_ctzll(rows)], last = spans[63 - __builtin_clzll(rows)];
    uint64_t hits = 0;
    if (last.at < first.at || last.at + last.size - first.at > 1u << 16)
        return true; /* they do not follow each other, or are long: each for itself */
    uint32_t end = last.at + last.size;
    for (uint32_t at = first.at; at < end; at += 64)
        hits |= find(column->base + at, csv->quote) & low_bits(end - at);
    return hits;
}

void BELT_HOT(belt_csv_frame)(struct belt_csv_state *own, struct belt_view *view)
{
    const struct belt_csv *csv = own->csv;
    for (uint32_t w = view->first / 64; w * 64 < view->end; w++) {
        uint64_t rows = belt_live_word(view, w);
        if (!rows)
            continue;
        for (uint64_t same; csv->header && rows; rows &= ~same) {
            own->layout = belt_csv_layout_of(own, view, w, rows, &same);
            BELT_HOT(belt_split_word)(&csv->any, &own->work, view, w, same);
        }
        if (!rows)
            continue;
        bool plain = csv->by_place && !(csv->has_quote &&
                                        any_quote(csv, &view->columns[csv->split.source], w, rows));
        BELT_HOT(belt_split_word)(plain ? &csv->split : &csv->any, &own->work, view, w, rows);
    }
}
