/* Keeping the two ends out of each other's lines.
 *
 * Ends that meet at the same line pay a transfer between cores for every item. An
 * end that finds its peer close, while items flow, therefore waits until there is
 * a stretch of lines between them. Single items, one now and one then, are taken
 * at once: only what comes at least as fast as it is asked for counts as a flow. */
#ifndef BELT_LINGER_PRIV_H
#define BELT_LINGER_PRIV_H

#include "rings/kind_priv.h"

enum {
    BELT_FLOW = 512,      /* items, more than looks in vain, that make a flow */
    BELT_FLOW_MOST = 4096 /* remembered of a flow */
};

static inline bool belt_flows(const struct belt_flow *flow)
{
    return flow->stream >= BELT_FLOW;
}

/* After a look in vain, `gained` items after the one before. Each gap between items
 * counts against them, a long one no more than twice: who polls fast is not punished
 * for it, and single items, each followed by a gap, never add up to a flow. */
static inline void belt_flow_count(struct belt_flow *flow, uint64_t gained)
{
    uint64_t stream = flow->stream + gained;
    if (gained)
        flow->vain = 0;
    if (flow->vain < 2 && stream) {
        flow->vain++;
        stream--;
    }
    flow->stream = (uint32_t)(stream < BELT_FLOW_MOST ? stream : BELT_FLOW_MOST);
}

/* Slots from which on bytes go through the cache that all cores share; 2 MiB of
 * them queued are 3 to 5 times as fast as a reader close behind. */
enum { BELT_BULK = 4 << 20 };

/* Pauses, of 15 ns here: between looks; with no progress; and in all. */
enum { BELT_LINGER_LOOK = 8, BELT_LINGER_IDLE = 32, BELT_LINGER = 800, BELT_LINGER_BULK = 6000 };

static inline uint32_t belt_linger_pauses(uint64_t bytes)
{
    return bytes >= BELT_BULK ? BELT_LINGER_BULK : BELT_LINGER;
}

/* How many of `slots` to wait for. */
static inline uint32_t belt_linger_for(const struct belt_ring *ring, uint32_t slots, uint64_t bytes)
{
    if (ring->flags & BELT_NO_LINGER)
        return 0;
    return bytes >= BELT_BULK ? slots / 2 : slots / 8;
}

#endif
