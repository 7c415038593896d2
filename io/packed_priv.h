/* Rows of the format `packed`, many at once: compiled for two instruction sets. */
#ifndef BELT_IO_PACKED_PRIV_H
#define BELT_IO_PACKED_PRIV_H

#include <string.h>

#include "core/part.h"
#include "io/rows_priv.h"

/* A column, from the first of 64 messages on. */
struct belt_packed_cells {
    const char *base; /* texts only */
    union {
        const struct belt_span *spans;
        const int64_t *numbers;
    } as;
};

/* Of a text of `size` bytes: how many lie behind the cells. */
static inline uint32_t belt_packed_behind(uint32_t size)
{
    return size <= 4 ? 0 : size;
}

/* A text's cell: its size, and its place or all of it. In two stores: put together in memory
 * and copied from there it would be read back before its halves have reached the cache
 * (10 ns a row). */
static inline void belt_packed_place(char *cell, uint32_t at, const char *text, uint32_t size)
{
    memcpy(cell, &size, sizeof size);
    if (size <= 4)
        at = 0;
    memcpy(cell + 4, &at, sizeof at);
    if (size <= 4)
        belt_copy_text(cell + 4, text, size);
}

/* A bit for each column that is a text: texts. */
typedef size_t belt_packed_rows_fn(const struct belt_packed_cells *cells, int used, uint32_t texts,
                                   uint64_t mask, char *out, uint32_t at, struct belt_span *places);
belt_packed_rows_fn belt_packed_rows_v2, belt_packed_rows_v3;

/* The size of those texts of 64 that are in `mask`, when it is one; else 0. */
typedef uint32_t belt_packed_size_fn(const struct belt_span *spans, uint64_t mask);
belt_packed_size_fn belt_packed_size_v2, belt_packed_size_v3;

#endif
