/* Rows of the format `packed`, many at once: compiled for two instruction sets. */
#ifndef BELT_IO_PACKED_PRIV_H
#define BELT_IO_PACKED_PRIV_H

#include "core/part.h"

/* A column, from the first of 64 messages on. */
struct belt_packed_cells {
    const char *base; /* texts only */
    union {
        const struct belt_span *spans;
        const int64_t *numbers;
    } as;
};

/* A bit for each column that is a text: texts. */
typedef size_t belt_packed_rows_fn(const struct belt_packed_cells *cells, int used, uint32_t texts,
                                   uint64_t mask, char *out, uint32_t at, struct belt_span *places);
belt_packed_rows_fn belt_packed_rows_v2, belt_packed_rows_v3;

#endif
