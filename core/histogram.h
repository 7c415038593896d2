/* Histograms of 64-bit values (nanoseconds, messages, bytes): log-linear, of fixed
 * size, exact up to 127, above that in slots 1/64 as wide as their values are large.
 * What is read out of a slot is its middle: wrong by at most 1/128 (0.8 %) of the
 * value. Count, sum, least and most are exact.
 *
 *              record    read
 *   record       X        -      X: callers must exclude each other (one writer)
 *   read         -        -      -: at the same time, from any thread
 * A reader beside a writer sees every value up to some moment and maybe some later
 * ones. All zero is a valid empty histogram. Nothing allocates, nothing fails. */
#ifndef BELT_HISTOGRAM_H
#define BELT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#if __has_include("atomic.h") /* installed, all headers lie in one folder */
#include "atomic.h"
#else
#include "rings/atomic.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Slots of each power of two, as a power of two. A part of the ABI. */
#define BELT_HIST_BITS 6
#define BELT_HIST_SLOTS ((65 - BELT_HIST_BITS) << BELT_HIST_BITS)

/* 29.5 KiB, of which only the pages are touched that hold recorded values. */
struct belt_hist {
    uint64_t sum;
    uint64_t most, least_not; /* least_not: ~least, so that zero means none yet */
    uint64_t slots[BELT_HIST_SLOTS];
};

/* ---- hot: the writer (about 2 ns) ----------------------------------------------- */

/* Where a value is counted. */
static inline uint32_t belt_hist_slot(uint64_t value)
{
    uint32_t top = 63 - (uint32_t)__builtin_clzll(value | UINT64_C(1) << BELT_HIST_BITS);
    uint32_t shift = top - BELT_HIST_BITS;
    return (shift << BELT_HIST_BITS) + (uint32_t)(value >> shift);
}

/* `value`, `count` times. Relaxed: readers want recent counts, not an order. */
static inline void belt_hist_record_many(struct belt_hist *h, uint64_t value, uint64_t count)
{
    uint64_t *slot = &h->slots[belt_hist_slot(value)];
    belt_store_relaxed(slot, *slot + count);
    belt_store_relaxed(&h->sum, h->sum + value * count);
    if (value > h->most)
        belt_store_relaxed(&h->most, value);
    if (~value > h->least_not)
        belt_store_relaxed(&h->least_not, ~value);
}

static inline void belt_hist_record(struct belt_hist *h, uint64_t value)
{
    belt_hist_record_many(h, value, 1);
}

/* Of a loop that waits for each answer but should have asked every `pace` (> 0): a
 * late answer also stands for the questions that were not asked meanwhile, each
 * later by one pace (coordinated omission). Not for values taken from intended
 * start times: those are right already. */
BELT_API void belt_hist_record_paced(struct belt_hist *h, uint64_t value, uint64_t pace);
/* The writer's: forgets everything. A reader beside it may see a part of it. */
BELT_API void belt_hist_reset(struct belt_hist *h);

/* ---- cold: any thread ----------------------------------------------------------- */

/* Empty: all of these are 0. */
BELT_API uint64_t belt_hist_count(const struct belt_hist *h);
BELT_API uint64_t belt_hist_least(const struct belt_hist *h);
BELT_API uint64_t belt_hist_most(const struct belt_hist *h);
BELT_API double belt_hist_mean(const struct belt_hist *h);
/* The value below or at which the part `q` of all lie: 0 is the least, 1 the most. */
BELT_API uint64_t belt_hist_quantile(const struct belt_hist *h, double q);

/* For the next three `out` is the caller's alone. */
BELT_API void belt_hist_snapshot(struct belt_hist *out, const struct belt_hist *h);
/* Adds what `h` has: the histograms of several lanes become one. */
BELT_API void belt_hist_merge(struct belt_hist *out, const struct belt_hist *h);
/* What came between two snapshots of one histogram. Its least and most are ends of
 * slots: not exact. `out` may be `later`. */
BELT_API void belt_hist_delta(struct belt_hist *out, const struct belt_hist *later,
                              const struct belt_hist *earlier);

/* A table of value, part of all, number up to there; values are divided by `unit`
 * (1000: ns become us). */
BELT_API void belt_hist_print(const struct belt_hist *h, double unit, FILE *out);
/* {"count": .., "min": .., "mean": .., "p50": .., "p90": .., "p99": .., "p99_9": .., "max": ..} */
BELT_API void belt_hist_json(const struct belt_hist *h, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
