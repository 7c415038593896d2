/* Loops over spans in forms that compilers make vectors of. */
#ifndef BELT_SPANS_PRIV_H
#define BELT_SPANS_PRIV_H

#include <string.h>

#include "core/view.h"

/* The sum of their sizes. A span as one word: clang makes 64 loads of two halves each. */
static inline uint64_t belt_spans_bytes(const struct belt_span *spans, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, &spans[i], sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        bytes += (uint32_t)word;
#else
        bytes += word >> 32;
#endif
    }
    return bytes;
}

/* Copies them, moved on by so many bytes (modulo 2^32). */
static inline void belt_spans_move(struct belt_span *restrict to,
                                   const struct belt_span *restrict from, uint32_t count,
                                   uint32_t by)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] = (struct belt_span){ from[i].at + by, from[i].size };
}

#endif
