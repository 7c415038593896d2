/* Sharded rings: an SPSC ring, a lane, for each pair of writer and reader, all of
 * them after the outer ring's head, a writer's lanes side by side. No two ends share
 * a word that either writes, so nothing is claimed by a locked instruction.
 *
 * A writer stays with its own reader (the same number modulo the readers) while
 * there is room: pairs that run on one CPU find everything in its cache. With more
 * readers than writers each writer has several of its own and takes turns. */
#include "rings/kind_priv.h"

#include <errno.h>
#include <stdlib.h>

/* ---- cold ------------------------------------------------------------------------ */

static struct belt_mem lane_at(char *first, uint64_t lane_size, uint64_t number)
{
    return belt_mem_of(first + number * lane_size, (size_t)lane_size);
}

/* In a ring that we have not opened: `head` is its geometry. */
static struct belt_mem lane_mem(const struct belt_ring *ring, const struct belt_ring *head,
                                uint32_t writer, uint32_t reader)
{
    char *first = (char *)(uintptr_t)ring + head->head_size;
    return lane_at(first, head->lane_size, (uint64_t)writer * head->readers + reader);
}

static void sharded_format(struct belt_ring *ring, uint64_t start)
{
    struct belt_ring_conf conf;
    belt_lane_conf(&conf, ring);
    conf.start = start;
    for (uint32_t w = 0; w < ring->writers; w++)
        for (uint32_t r = 0; r < ring->readers; r++)
            belt_ring_format(lane_mem(ring, ring, w, r), &conf);
}

static void sharded_tx_leave(struct belt_tx *tx)
{
    for (uint32_t r = 0; tx->lanes && r < tx->lanes_used; r++)
        if (tx->lanes[r].ring) /* opened */
            belt_tx_leave(&tx->lanes[r]);
    free(tx->lanes);
    tx->lanes = NULL;
    tx->lanes_used = 0;
}

static void sharded_rx_leave(struct belt_rx *rx)
{
    for (uint32_t w = 0; rx->lanes && w < rx->lanes_used; w++)
        if (rx->lanes[w].ring) /* opened */
            belt_rx_leave(&rx->lanes[w]);
    free(rx->lanes);
    rx->lanes = NULL;
    rx->lanes_used = 0;
}

static int sharded_tx_open(struct belt_tx *tx)
{
    tx->lane = tx->me % tx->lanes_used;
    tx->lanes = calloc(tx->lanes_used, sizeof *tx->lanes);
    int rc = tx->lanes ? 0 : -ENOMEM;
    bool closed = true;
    for (uint32_t r = 0; rc == 0 && r < tx->lanes_used; r++) {
        uint64_t number = (uint64_t)tx->me * tx->lanes_used + r;
        rc = belt_tx_open_lane(&tx->lanes[r], tx, lane_at(tx->first, tx->lane_size, number));
        closed = closed && tx->lanes[r].closed;
    }
    /* Of a writer that died while closing some lanes are open: we close the rest. */
    tx->closed = closed;
    if (rc < 0)
        sharded_tx_leave(tx);
    return rc;
}

static int sharded_rx_open(struct belt_rx *rx)
{
    rx->lane = rx->me % rx->lanes_used;
    rx->lanes = calloc(rx->lanes_used, sizeof *rx->lanes);
    int rc = rx->lanes ? 0 : -ENOMEM;
    for (uint32_t w = 0; rc == 0 && w < rx->lanes_used; w++) {
        uint64_t number = (uint64_t)w * rx->readers + rx->me;
        rc = belt_rx_open_lane(&rx->lanes[w], rx, lane_at(rx->first, rx->lane_size, number));
    }
    if (rc < 0)
        sharded_rx_leave(rx);
    return rc;
}

static void sharded_stat(const struct belt_ring *ring, const struct belt_ring *head,
                         struct belt_ring_stat *out)
{
    for (uint32_t w = 0; w < head->writers; w++)
        for (uint32_t r = 0; r < head->readers; r++) {
            struct belt_mem mem = lane_mem(ring, head, w, r);
            struct belt_ring_stat lane;
            struct belt_ring own;
            if (belt_lane_at(mem, head->slots, head->slot_size, head->item_size, &own) < 0)
                continue;
            belt_ring_stat_of((const struct belt_ring *)mem.base, &own, &lane);
            out->closed = lane.closed && (out->closed || w + r == 0);
            out->published += lane.published;
            out->released += lane.released;
            out->items += lane.items;
        }
}

static int sharded_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    for (uint32_t w = 0; w < head->writers; w++)
        for (uint32_t r = 0; r < head->readers; r++) {
            struct belt_mem mem = lane_mem(ring, head, w, r);
            struct belt_ring own;
            if (belt_lane_at(mem, head->slots, head->slot_size, head->item_size, &own) < 0 ||
                belt_cold_ops_of(&own)->check((const struct belt_ring *)mem.base, &own) != 0)
                return 9;
        }
    return 0;
}

static void sharded_close(struct belt_tx *tx)
{
    for (uint32_t r = 0; r < tx->lanes_used; r++)
        belt_close(&tx->lanes[r]);
}

static bool sharded_ended(const struct belt_rx *rx)
{
    for (uint32_t w = 0; w < rx->lanes_used; w++)
        if (!belt_rx_ended(&rx->lanes[w]))
            return false;
    return true;
}

struct belt_tx *belt_tx_to(struct belt_tx *tx, uint32_t reader)
{
    return tx->way == BELT_WAY_SHARDED && reader < tx->lanes_used ? &tx->lanes[reader] : NULL;
}

/* ---- writing --------------------------------------------------------------------- */

/* The lane to write to now. While something is claimed, the one it was claimed in. */
static struct belt_tx *tx_lane(struct belt_tx *tx)
{
    if (tx->turn >= BELT_SHARDED_TURN && tx->claimed == 0) {
        uint32_t next = tx->lane + tx->stride;
        tx->lane = next < tx->lanes_used ? next : tx->me % tx->lanes_used;
        tx->turn = 0;
    }
    return &tx->lanes[tx->lane];
}

/* The step-th choice after one that was full: our own first. */
static struct belt_tx *tx_other(struct belt_tx *tx, uint32_t step)
{
    tx->lane = (tx->me + step) % tx->lanes_used;
    tx->turn = 0;
    return &tx->lanes[tx->lane];
}

static struct belt_slots sharded_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    assert(skip == 0);
    (void)skip;
    struct belt_slots s = belt_claim(tx_lane(tx), want);
    for (uint32_t step = 0; s.count == 0 && step < tx->lanes_used; step++)
        s = belt_claim(tx_other(tx, step), want);
    tx->claimed = s.count > tx->claimed ? s.count : tx->claimed;
    return s;
}

static void sharded_publish(struct belt_tx *tx, uint32_t count)
{
    assert(count <= tx->claimed);
    belt_publish(&tx->lanes[tx->lane], count);
    tx->claimed -= count;
    tx->turn += count;
}

static bool sharded_push(struct belt_tx *tx, const void *item, size_t size)
{
    bool done = belt_lane_push(tx_lane(tx), item, size);
    for (uint32_t step = 0; !done && step < tx->lanes_used; step++)
        done = belt_lane_push(tx_other(tx, step), item, size);
    tx->turn += done;
    return done;
}

static uint32_t sharded_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    uint32_t done = belt_push_n(tx_lane(tx), items, count, size);
    tx->turn += done;
    for (uint32_t step = 0; done < count && step < tx->lanes_used; step++) {
        uint32_t more = belt_push_n(tx_other(tx, step), items + done * size, count - done, size);
        done += more;
        tx->turn += more;
    }
    return done;
}

static bool sharded_tx_ready(struct belt_tx *tx)
{
    for (uint32_t r = 0; r < tx->lanes_used; r++)
        if (belt_ops_of(tx->lanes[r].way)->tx_ready(&tx->lanes[r]))
            return true;
    return false;
}

/* ---- reading --------------------------------------------------------------------- */

static struct belt_rx *rx_next(struct belt_rx *rx)
{
    rx->lane = rx->lane + 1 < rx->lanes_used ? rx->lane + 1 : 0;
    rx->turn = 0;
    return &rx->lanes[rx->lane];
}

/* The lane to read from now. While something is lent, the one it came from. */
static struct belt_rx *rx_lane(struct belt_rx *rx)
{
    return rx->turn >= BELT_SHARDED_TURN && rx->taken == 0 ? rx_next(rx) : &rx->lanes[rx->lane];
}

static struct belt_slots sharded_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    assert(skip == 0);
    (void)skip;
    struct belt_slots s = belt_peek(rx_lane(rx), want);
    for (uint32_t step = 1; s.count == 0 && step < rx->lanes_used; step++)
        s = belt_peek(rx_next(rx), want);
    rx->taken = s.count > rx->taken ? s.count : rx->taken;
    return s;
}

static bool sharded_release(struct belt_rx *rx, uint32_t count)
{
    assert(count <= rx->taken);
    rx->taken -= count;
    rx->turn += count;
    return belt_release(&rx->lanes[rx->lane], count);
}

static bool sharded_pop(struct belt_rx *rx, void *item, size_t size)
{
    bool done = belt_lane_pop(rx_lane(rx), item, size);
    for (uint32_t step = 1; !done && step < rx->lanes_used; step++)
        done = belt_lane_pop(rx_next(rx), item, size);
    rx->turn += done;
    return done;
}

static uint32_t sharded_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    uint32_t done = belt_pop_n(rx_lane(rx), items, count, size);
    rx->turn += done;
    for (uint32_t step = 1; done < count && step < rx->lanes_used; step++) {
        uint32_t more = belt_pop_n(rx_next(rx), items + done * size, count - done, size);
        done += more;
        rx->turn += more;
    }
    return done;
}

static bool sharded_rx_ready(struct belt_rx *rx)
{
    for (uint32_t w = 0; w < rx->lanes_used; w++)
        if (belt_ops_of(rx->lanes[w].way)->rx_ready(&rx->lanes[w]))
            return true;
    return false;
}

const struct belt_kind_ops belt_sharded_ops = {
    .format = sharded_format,
    .tx_open = sharded_tx_open,
    .rx_open = sharded_rx_open,
    .tx_leave = sharded_tx_leave,
    .rx_leave = sharded_rx_leave,
    .stat = sharded_stat,
    .check = sharded_check,
    .close = sharded_close,
    .ended = sharded_ended,
    .claim = sharded_claim,
    .publish = sharded_publish,
    .peek = sharded_peek,
    .release = sharded_release,
    .push = sharded_push,
    .pop = sharded_pop,
    .push_n = sharded_push_n,
    .pop_n = sharded_pop_n,
    .rx_ready = sharded_rx_ready,
    .tx_ready = sharded_tx_ready,
};
