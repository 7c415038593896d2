/* Loops over spans in forms that compilers make vectors of. */
#ifndef BELT_SPANS_PRIV_H
#define BELT_SPANS_PRIV_H

#include <stdbool.h>
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

/* Some spans as words; read in place, as checked copies would go through the stack. */
#ifdef __AVX2__
#define BELT_SPANS_SOME 4
#else
#define BELT_SPANS_SOME 2
#endif
typedef uint64_t belt_spans_some
    __attribute__((vector_size(8 * BELT_SPANS_SOME), aligned(4), may_alias));

/* Whether all have the size of the first. Of the last ones some twice, which is less than a
 * rest one by one. */
static inline bool belt_spans_even(const struct belt_span *spans, uint32_t count)
{
    uint64_t differ = 0, first, word;
    memcpy(&first, spans, sizeof first);
    if (count >= BELT_SPANS_SOME) {
        const uint32_t some = BELT_SPANS_SOME;
        belt_spans_some all = *(const belt_spans_some *)(spans + count - some) ^ first;
        for (uint32_t i = 0; i + some < count; i += some)
            all |= *(const belt_spans_some *)(spans + i) ^ first;
        for (uint32_t k = 0; k < some; k++)
            differ |= all[k];
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&word, &spans[i], sizeof word);
        differ |= word ^ first;
    }
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return !(uint32_t)differ;
#else
    return !(differ >> 32);
#endif
}

/* The size of those of `mask` when it is one, also of those between them; else 0. */
static inline uint32_t belt_spans_size(const struct belt_span spans[64], uint64_t mask)
{
    uint32_t first = (uint32_t)__builtin_ctzll(mask);
    uint32_t count = 64 - (uint32_t)__builtin_clzll(mask) - first;
    return belt_spans_even(spans + first, count) ? spans[first].size : 0;
}

/* Whether spans of one size lie one after another: as words they differ by that size. */
static inline bool belt_spans_follow(const struct belt_span *spans, uint32_t count)
{
    uint64_t differ = 0, size = spans[0].size, word, next;
    for (uint32_t i = 1; i < count; i++) {
        memcpy(&word, &spans[i - 1], sizeof word);
        memcpy(&next, &spans[i], sizeof next);
        differ |= (next - word) ^ size;
    }
    return !differ;
}

/* Of rows of one size, one after another. */
static inline void belt_spans_fill(struct belt_span *spans, uint32_t count, uint32_t size)
{
    for (uint32_t i = 0; i < count; i++)
        spans[i] = (struct belt_span){ i * size, size };
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
