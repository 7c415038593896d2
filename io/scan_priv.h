/* Lines out of text: where each record lies, found 64 bytes at a time. */
#ifndef BELT_IO_SCAN_PRIV_H
#define BELT_IO_SCAN_PRIV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/part.h"

/* Writes the spans of the complete lines of text[at, end) to spans[room], but at
 * most BELT_FRAME, and returns their number; *next is where the line after the
 * last one begins. `at` is the start of a line. A span has neither the '\n' nor a
 * '\r' right before it. Reads one byte before `at` and BELT_PAD bytes past `end`. */
typedef uint32_t belt_scan_fn(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                              uint32_t room, uint32_t *next);

belt_scan_fn belt_scan_plain; /* byte by byte: what the others are compared with */
belt_scan_fn belt_scan_swar;  /* eight bytes a word, any machine */
belt_scan_fn belt_scan_v2, belt_scan_v3;

/* The fastest for this machine. */
belt_scan_fn *belt_scan_choose(void);

/* ---- what the block scanners share --------------------------------------------- */

/* Bits of 64 bytes of text: where '\n' is; not 0 if one of them follows a '\r'. */
struct belt_scan_mask {
    uint64_t newline, after_cr;
};

static inline uint64_t belt_scan_low(uint32_t bits)
{
    return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/* Bits below the lowest one that is set; of 0, any number from 0 to 64. */
static inline uint32_t belt_scan_lowest(uint64_t bits)
{
#if defined(__BMI__)
    return (uint32_t)__builtin_ia32_tzcnt_u64(bits);
#else
    return (uint32_t)__builtin_ctzll(bits | (uint64_t)1 << 63);
#endif
}

/* Writes where the next line begins after the `count` lowest newlines at least;
 * what is beyond the last one is garbage. */
#define BELT_SCAN_PUT(count)                                                                       \
    do {                                                                                           \
        for (uint32_t k = 0; k < (count); k++) {                                                   \
            *to++ = after + belt_scan_lowest(newline);                                             \
            newline &= newline - 1;                                                                \
        }                                                                                          \
    } while (0)

/* Writes up to 64 starts for one block and returns how many of them count. How
 * many lines there are in 64 bytes is what a branch predictor cannot know, so
 * two are always written and seven if there are more: one of these is right for
 * nearly every block of short lines, and of long ones. */
static inline uint32_t belt_scan_starts(uint32_t from, uint64_t newline, uint32_t *to)
{
    uint32_t count = (uint32_t)__builtin_popcountll(newline), after = from + 1;
#pragma GCC unroll 2
    BELT_SCAN_PUT(2);
    if (count <= 2)
        return count;
#pragma GCC unroll 5
    BELT_SCAN_PUT(5);
    for (uint32_t done = 7; __builtin_expect(done < count, 0); done++)
        BELT_SCAN_PUT(1);
    return count;
}

typedef uint32_t belt_four __attribute__((vector_size(16)));

/* starts[count + 1] -> spans[count]: a line ends before its newline. */
static inline void belt_scan_spans(const uint32_t *starts, struct belt_span *spans, uint32_t count)
{
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        belt_four at, next;
        memcpy(&at, starts + i, 16);
        memcpy(&next, starts + i + 1, 16);
        belt_four size = next - at - 1;
        belt_four low = __builtin_shufflevector(at, size, 0, 4, 1, 5);
        belt_four high = __builtin_shufflevector(at, size, 2, 6, 3, 7);
        memcpy(spans + i, &low, 16);
        memcpy(spans + i + 2, &high, 16);
    }
    for (; i < count; i++)
        spans[i] = (struct belt_span){ starts[i], starts[i + 1] - starts[i] - 1 };
}

/* A scanner from a function that makes a block's mask. Inlined into each. */
static inline __attribute__((always_inline)) uint32_t belt_scan_blocks(
    struct belt_scan_mask (*mask_of)(const char *), const char *text, uint32_t at, uint32_t end,
    struct belt_span *spans, uint32_t room, uint32_t *next)
{
    uint32_t starts[1 + BELT_FRAME + 64];
    uint32_t count = 0;
    uint64_t after_cr = 0;
    room = room < BELT_FRAME ? room : BELT_FRAME;
    starts[0] = at;
    for (uint32_t from = at; from < end && count < room; from += 64) {
        struct belt_scan_mask mask = mask_of(text + from);
        after_cr |= mask.after_cr;
        count +=
            belt_scan_starts(from, mask.newline & belt_scan_low(end - from), starts + 1 + count);
    }
    count = count < room ? count : room;
    belt_scan_spans(starts, spans, count);
    for (uint32_t i = 0; after_cr && i < count; i++)
        if (spans[i].size && text[spans[i].at + spans[i].size - 1] == '\r')
            spans[i].size--;
    *next = starts[count];
    return count;
}

#endif
