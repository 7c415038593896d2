/* The hot part of sharded rings: an item more in the lane that had the last one;
 * included by ring.h. All else is in sharded.c. */
#ifndef BELT_SHARDED_H
#define BELT_SHARDED_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

/* Items after which an end goes on to the next of its lanes: long enough that few
 * lines are fetched in vain, short enough that no writer waits long for its reader. */
enum { BELT_SHARDED_TURN = 64 };

BELT_API bool belt_push_other(struct belt_tx *tx, const void *item, size_t size);
BELT_API bool belt_pop_other(struct belt_rx *rx, void *item, size_t size);

static inline bool belt_lane_push(struct belt_tx *lane, const void *item, size_t size)
{
    return lane->way == BELT_WAY_INBAND ? belt_inband_push(lane, item, size)
                                        : belt_spans_push(lane, item, size);
}

static inline bool belt_lane_pop(struct belt_rx *lane, void *item, size_t size)
{
    return lane->way == BELT_WAY_INBAND ? belt_inband_pop(lane, item, size)
                                        : belt_spans_pop(lane, item, size);
}

static inline bool belt_sharded_push(struct belt_tx *tx, const void *item, size_t size)
{
    if (tx->turn < BELT_SHARDED_TURN && belt_lane_push(&tx->lanes[tx->lane], item, size)) {
        tx->turn++;
        return true;
    }
    return belt_push_other(tx, item, size);
}

static inline bool belt_sharded_pop(struct belt_rx *rx, void *item, size_t size)
{
    if (rx->turn < BELT_SHARDED_TURN && belt_lane_pop(&rx->lanes[rx->lane], item, size)) {
        rx->turn++;
        return true;
    }
    return belt_pop_other(rx, item, size);
}

/* All kinds that are neither in-band nor spans, for belt_push(). */
BELT_INLINE bool belt_push_rest(struct belt_tx *tx, const void *item, size_t size)
{
    if (tx->way <= BELT_WAY_MPMC_CRASH_UNSAFE)
        return belt_mpmc_push(tx, item, size);
    if (tx->way == BELT_WAY_SHARDED)
        return belt_sharded_push(tx, item, size);
    return belt_push_other(tx, item, size);
}

#endif
