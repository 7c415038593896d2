/* The rows of up to 64 messages. Usual shapes have code of their own, in which which
 * column is what is known: half of the instructions of the loop over columns. */
#include <string.h>

#include "core/isa.h"
#include "core/spans_priv.h"
#include "io/packed_priv.h"
#include "io/rows_priv.h"

#define ALWAYS static inline __attribute__((always_inline))

/* The row of message k; its bytes. The zeros may lie behind them: there is room, and
 * the next row comes later. */
ALWAYS uint32_t put_row(const struct belt_packed_cells *cells, int used, uint32_t texts, uint32_t k,
                        char *out)
{
    uint32_t end = 8 * (uint32_t)used;
    for (int c = 0; c < used; c++) {
        if (!(texts >> c & 1)) {
            memcpy(out + 8 * c, &cells[c].as.numbers[k], 8);
            continue;
        }
        struct belt_span from = cells[c].as.spans[k];
        belt_packed_place(out + 8 * c, end, cells[c].base + from.at, from.size);
        if (!belt_packed_behind(from.size))
            continue;
        belt_copy_text(out + end, cells[c].base + from.at, from.size);
        end += from.size;
    }
    if (texts)
        memset(out + end, 0, 8);
    return (end + 7) & ~7u;
}

ALWAYS size_t put_rows(const struct belt_packed_cells *cells, int used, uint32_t texts,
                       uint64_t mask, char *out, uint32_t at, struct belt_span *places)
{
    uint32_t bytes = 0;
    for (; mask; mask &= mask - 1) {
        uint32_t size = put_row(cells, used, texts, (uint32_t)__builtin_ctzll(mask), out + bytes);
        if (places)
            *places++ = (struct belt_span){ at + bytes, size };
        bytes += size;
    }
    return bytes;
}

/* A text and a number; all texts have one size from 4 to 8. In locals, and each cell by
 * one store. */
ALWAYS size_t put_short(const struct belt_packed_cells *cells, uint32_t size, uint64_t mask,
                        char *out)
{
    const struct belt_span *spans = cells[0].as.spans;
    const int64_t *numbers = cells[1].as.numbers;
    const char *base = cells[0].base;
    const uint64_t behind = (uint64_t)size | UINT64_C(16) << 32;
    char *to = out;
    for (; mask; mask &= mask - 1, to += size == 4 ? 16 : 24) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask), low, high;
        const char *text = base + spans[k].at;
        memcpy(&low, text, 4); /* two that overlap: not a byte beside it is read */
        memcpy(&high, text + size - 4, 4);
        uint64_t cell = low | (uint64_t)high << 8 * (size - 4);
        uint64_t place = size == 4 ? 4 | cell << 32 : behind;
        memcpy(to, &place, 8);
        memcpy(to + 8, &numbers[k], 8);
        if (size != 4)
            memcpy(to + 16, &cell, 8);
    }
    return (size_t)(to - out);
}

size_t BELT_HOT(belt_packed_rows)(const struct belt_packed_cells *cells, int used, uint32_t texts,
                                  uint64_t mask, char *out, uint32_t at, struct belt_span *places)
{
    uint32_t first = texts & 1 ? cells[0].as.spans[__builtin_ctzll(mask)].size : 0;
    bool of_text_and_number = used == 2 && texts == 1;
    if (!places && of_text_and_number && first == 4)
        return put_short(cells, 4, mask, out);
    if (!places && of_text_and_number && first > 4 && first <= 8)
        return put_short(cells, first, mask, out);
    if (used == 1 && texts == 0)
        return put_rows(cells, 1, 0, mask, out, at, places);
    if (used == 2 && texts == 0)
        return put_rows(cells, 2, 0, mask, out, at, places);
    if (of_text_and_number)
        return put_rows(cells, 2, 1, mask, out, at, places);
    return put_rows(cells, used, texts, mask, out, at, places);
}

uint32_t BELT_HOT(belt_packed_size)(const struct belt_span *spans, uint64_t mask)
{
    return belt_spans_size(spans, mask);
}
