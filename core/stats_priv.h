/* Counters of a stage: written by its lane alone, read by anybody. */
#ifndef BELT_STATS_PRIV_H
#define BELT_STATS_PRIV_H

#include "rings/api.h"
#include "rings/atomic.h"

struct belt_stats {
#define BELT_COUNTER(name, unit, help) uint64_t name;
#include "core/stats.def"
#undef BELT_COUNTER
} __attribute__((aligned(BELT_LINES)));

/* Relaxed: only the lane writes; a reader wants a recent value, not an order. */
static inline void belt_count(uint64_t *counter, uint64_t by)
{
    belt_store_relaxed(counter, *counter + by);
}

#endif
