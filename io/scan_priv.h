/* Lines out of text: where each record lies, found 64 bytes at a time. */
#ifndef BELT_IO_SCAN_PRIV_H
#define BELT_IO_SCAN_PRIV_H

#include <stdbool.h>
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

/* Not all 0: there is a '\r'. Gathered over many blocks, looked at once. */
typedef uint64_t belt_scan_cr __attribute__((vector_size(32)));

/* Bits of 64 bytes of text: where '\n' is. */
typedef uint64_t belt_scan_mask_fn(const char *text, belt_scan_cr *cr);

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

/* Where the line after the lowest newline begins, to to[k]. Written out instead of in a
 * loop: clang 14 leaves `#pragma GCC unroll` alone there, and takes half as long again. */
#define BELT_SCAN_PUT(to, k, after, bits)                                                          \
    (to)[k] = (after) + belt_scan_lowest(bits);                                                    \
    (bits) &= (bits)-1

/* `most` starts, constant when inlined; those that are too many are garbage. */
static inline __attribute__((always_inline)) void belt_scan_put(uint32_t *to, uint32_t after,
                                                                uint64_t newline, uint32_t most)
{
    BELT_SCAN_PUT(to, 0, after, newline);
    if (most > 1) {
        BELT_SCAN_PUT(to, 1, after, newline);
        BELT_SCAN_PUT(to, 2, after, newline);
    }
    if (most > 3) {
        BELT_SCAN_PUT(to, 3, after, newline);
        BELT_SCAN_PUT(to, 4, after, newline);
        BELT_SCAN_PUT(to, 5, after, newline);
    }
    if (most > 6) {
        BELT_SCAN_PUT(to, 6, after, newline);
        BELT_SCAN_PUT(to, 7, after, newline);
        BELT_SCAN_PUT(to, 8, after, newline);
        BELT_SCAN_PUT(to, 9, after, newline);
    }
}

static inline uint32_t *belt_scan_put_all(uint32_t *to, uint32_t after, uint64_t newline)
{
    for (; newline; newline &= newline - 1)
        *to++ = after + belt_scan_lowest(newline);
    return to;
}

/* Writes up to 64 starts for one block, three at least, and returns how many of them count. */
static inline uint32_t belt_scan_starts(uint32_t from, uint64_t newline, uint32_t *to)
{
    uint32_t count = (uint32_t)__builtin_popcountll(newline);
    if (count <= 3)
        belt_scan_put(to, from + 1, newline, 3);
    else if (count <= 10)
        belt_scan_put(to, from + 1, newline, 10);
    else
        belt_scan_put_all(to, from + 1, newline);
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

/* What a scan knows between its blocks. */
struct belt_scan_work {
    const char *text;
    uint32_t from, end; /* the block that is next */
    uint32_t count, room;
    belt_scan_cr cr;
    uint32_t starts[1 + BELT_FRAME + 2 * 64 + 16];
};

/* Two blocks a turn. How many lines there are in 64 bytes is what a branch predictor cannot
 * know: `most` are always written, and it is chosen so that there are hardly ever more. */
static inline __attribute__((always_inline)) void belt_scan_pairs(struct belt_scan_work *work,
                                                                  belt_scan_mask_fn *mask_of,
                                                                  uint32_t most)
{
    /* In locals: what is written to starts[] could change all of `work`. */
    const char *text = work->text;
    uint32_t from = work->from, count = work->count, end = work->end, room = work->room;
    belt_scan_cr cr = work->cr;
    for (; end - from >= 128 && count < room; from += 128) {
        uint64_t one = mask_of(text + from, &cr);
        uint64_t two = mask_of(text + from + 64, &cr);
        uint32_t first = (uint32_t)__builtin_popcountll(one);
        uint32_t second = (uint32_t)__builtin_popcountll(two);
        uint32_t *to = work->starts + 1 + count;
        count += first + second;
        if (__builtin_expect(first <= most && second <= most, 1)) {
            belt_scan_put(to, from + 1, one, most);
            belt_scan_put(to + first, from + 65, two, most);
        } else {
            to = belt_scan_put_all(to, from + 1, one);
            belt_scan_put_all(to, from + 65, two);
        }
    }
    work->from = from;
    work->count = count;
    work->cr = cr;
}

/* The most lines in one of the first eight blocks: others will be like them. */
static inline __attribute__((always_inline)) uint32_t belt_scan_density(
    const struct belt_scan_work *work, belt_scan_mask_fn *mask_of)
{
    belt_scan_cr ignored = { 0 };
    uint32_t most = 0;
    for (uint32_t i = 0; i < 8 && i * 64 < work->end - work->from; i++) {
        uint64_t newline = mask_of(work->text + work->from + i * 64, &ignored);
        uint32_t count = (uint32_t)__builtin_popcountll(newline);
        most = count > most ? count : most;
    }
    return most;
}

/* Takes all blocks that go by twos, of text as dense as this. */
typedef void belt_scan_many_fn(struct belt_scan_work *work, belt_scan_mask_fn *mask_of,
                               uint32_t density);

static inline __attribute__((always_inline)) void belt_scan_many(struct belt_scan_work *work,
                                                                 belt_scan_mask_fn *mask_of,
                                                                 uint32_t density)
{
    if (density <= 1)
        belt_scan_pairs(work, mask_of, 1);
    else if (density <= 3)
        belt_scan_pairs(work, mask_of, 3);
    else if (density <= 6)
        belt_scan_pairs(work, mask_of, 6);
    else
        belt_scan_pairs(work, mask_of, 10);
}

/* A scanner from functions that make a block's mask, take many blocks, and make spans of
 * starts. Inlined into each. */
static inline __attribute__((always_inline)) uint32_t belt_scan_blocks(
    belt_scan_mask_fn *mask_of, belt_scan_many_fn *many,
    void (*spans_of)(const uint32_t *starts, struct belt_span *spans, uint32_t count),
    const char *text, uint32_t at, uint32_t end, struct belt_span *spans, uint32_t room,
    uint32_t *next)
{
    struct belt_scan_work work;
    work.text = text;
    work.from = work.starts[0] = at;
    work.end = end > at ? end : at;
    work.room = room < BELT_FRAME ? room : BELT_FRAME;
    work.count = 0;
    work.cr = (belt_scan_cr){ 0 };
    many(&work, mask_of, belt_scan_density(&work, mask_of));
    for (; work.from < end && work.count < work.room; work.from += 64) {
        uint64_t newline = mask_of(text + work.from, &work.cr) & belt_scan_low(end - work.from);
        work.count += belt_scan_starts(work.from, newline, work.starts + 1 + work.count);
    }
    uint32_t count = work.count < work.room ? work.count : work.room;
    spans_of(work.starts, spans, count);
    bool any_cr = (work.cr[0] | work.cr[1] | work.cr[2] | work.cr[3]) != 0;
    for (uint32_t i = 0; any_cr && i < count; i++)
        if (spans[i].size && text[spans[i].at + spans[i].size - 1] == '\r')
            spans[i].size--;
    *next = work.starts[count];
    return count;
}

#endif
