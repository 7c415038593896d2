/* SPSC rings with cursors beside the slots: the cold part and the copies of many. */
#include "rings/copy_priv.h"
#include "rings/linger_priv.h"

/* ---- cold ------------------------------------------------------------------------ */

static void spans_format(struct belt_ring *ring, uint64_t start)
{
    /* Relaxed, twice: belt_ring_format() publishes them with the magic. */
    belt_store_relaxed(&ring->published, start);
    belt_store_relaxed(&ring->released, start);
}

static uint64_t bytes_of(uint32_t mask, uint32_t slot_size)
{
    return ((uint64_t)mask + 1) * slot_size;
}

/* Sixteen lines, or an eighth of the ring. None of a bulk ring: its lines come from the
 * cache that all cores share, and fast enough as they are. */
static uint32_t stretch_of(uint32_t mask, uint32_t slot_size)
{
    if (bytes_of(mask, slot_size) >= BELT_BULK)
        return 0;
    uint32_t lines = 16 * BELT_LINE / slot_size, eighth = (mask + 1) / 8;
    return lines < eighth ? lines : eighth;
}

static int spans_tx_open(struct belt_tx *tx)
{
    /* Relaxed: who stored it last was this end's owner, whose end we have seen with
     * its role, or our caller has. */
    tx->next = tx->limit = tx->flow.seen = belt_load_relaxed(&tx->ring->published);
    tx->room = tx->next;
    tx->stretch = stretch_of(tx->mask, tx->slot_size);
    tx->linger = belt_linger_for(tx->ring, tx->mask + 1, bytes_of(tx->mask, tx->slot_size));
    return 0;
}

static int spans_rx_open(struct belt_rx *rx)
{
    /* Relaxed: as in spans_tx_open(). */
    rx->next = rx->limit = rx->flow.seen = belt_load_relaxed(rx->released);
    rx->linger = belt_linger_for(rx->ring, rx->mask + 1, bytes_of(rx->mask, rx->slot_size));
    return 0;
}

static void spans_stat(const struct belt_ring *ring, const struct belt_ring *head,
                       struct belt_ring_stat *out)
{
    (void)head; /* told in out already */
    /* Relaxed, twice: figures, no access to slots. Both may move meanwhile. */
    out->released = belt_load_relaxed(&ring->released);
    out->published = belt_load_relaxed(&ring->published);
    uint64_t items = out->published - out->released;
    out->items = items < out->slots ? items : out->slots;
}

static int spans_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    /* Relaxed, twice: no access to slots. A difference, not an order: both cursors may
     * have wrapped. */
    uint64_t released = belt_load_relaxed(&ring->released);
    return belt_load_relaxed(&ring->published) - released > head->slots ? 7 : 0;
}

static bool spans_ended(const struct belt_rx *rx)
{
    /* Relaxed: the writer had closed before, so it is final. */
    return belt_load_relaxed(&rx->ring->published) == rx->next;
}

/* ---- hot ------------------------------------------------------------------------- */

static bool flows(struct belt_flow *flow, uint64_t next, bool in_vain)
{
    if (in_vain) {
        belt_flow_count(flow, next - flow->seen);
        flow->seen = next;
    }
    return belt_flows(flow);
}

/* A cursor that cannot be tells nothing, and what is claimed stays claimed. */
static uint64_t look_for_room(struct belt_tx *tx)
{
    uint64_t slots = (uint64_t)tx->mask + 1;
    uint64_t room = belt_spans_released(tx) + slots - tx->next;
    if (room <= slots && room > tx->room - tx->next)
        tx->room = tx->next + room;
    return tx->room - tx->next;
}

/* Looks again; in a flow, waits a moment for more than a few slots. */
static void find_room(struct belt_tx *tx)
{
    uint64_t room = look_for_room(tx), before = room;
    /* Not with the reader at our heels: single items go without that delay. */
    tx->touch = room + tx->stretch / 4 < (uint64_t)tx->mask + 1;
    if (room >= tx->linger || !flows(&tx->flow, tx->next, room == 0))
        return;
    for (uint32_t pauses = 1; room < tx->linger; pauses++) {
        belt_pause();
        if (pauses % BELT_LINGER_LOOK != 0)
            continue;
        room = look_for_room(tx);
        if (pauses % BELT_LINGER_IDLE != 0)
            continue;
        if (room == before)
            tx->flow.stream = 0;
        if (room == before || pauses > BELT_LINGER)
            return;
        before = room;
    }
}

/* Stores something into each line of free slots, as in rings/inband.c. */
static void touch(struct belt_tx *tx, uint64_t from, uint64_t to)
{
    uint32_t step = tx->slot_size < BELT_LINE ? BELT_LINE / tx->slot_size : 1;
    for (; (int64_t)(to - from) > 0; from += step) {
        char *slot = tx->first + (size_t)((uint32_t)from & tx->mask) * tx->slot_size;
        for (uint32_t at = 0; at < tx->slot_size; at += BELT_LINE)
            /* Relaxed: nobody reads a free slot. */
            belt_store_relaxed((uint64_t *)(void *)(slot + at), 0);
    }
}

void belt_spans_look_for_room(struct belt_tx *tx, uint64_t asked)
{
    if (tx->closed)
        return;
    if (tx->readers)
        tx->room = tx->limit; /* broadcast knows but the one */
    if (tx->room - tx->next < asked)
        find_room(tx);
    /* What was claimable may be claimed and filled: not to be touched. */
    uint64_t from = tx->limit;
    tx->limit = tx->room;
    if (tx->touch && asked <= tx->stretch / 8) {
        if (tx->room - tx->next > tx->stretch)
            tx->limit = tx->next + tx->stretch;
        touch(tx, from, tx->limit);
    }
}

uint64_t belt_spans_linger(struct belt_rx *rx, uint64_t filled)
{
    if (!flows(&rx->flow, rx->next, filled == 0))
        return filled;
    uint32_t most = belt_linger_pauses(bytes_of(rx->mask, rx->slot_size));
    uint64_t before = filled;
    for (uint32_t pauses = 1; filled < rx->linger && pauses <= most; pauses++) {
        belt_pause();
        if (pauses % BELT_LINGER_LOOK != 0)
            continue;
        filled = belt_spans_filled(rx);
        if (pauses % BELT_LINGER_IDLE != 0)
            continue;
        if (filled == before) {
            rx->flow.stream = 0;
            return filled;
        }
        before = filled;
    }
    /* Bulk: who reads on to the end would be in the writer's cache again. */
    return most == BELT_LINGER_BULK ? filled - filled / 2 : filled;
}

/* Twice round at most: up to the ring's end, then from its beginning; one publish. */
static uint32_t spans_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = belt_spans_claim(tx, done, count - done);
        if (s.count == 0)
            break;
        belt_copy_in((char *)s.first, tx->slot_size, items + done * size, s.count, size);
        done += s.count;
    }
    if (done)
        belt_spans_publish(tx, done);
    return done;
}

static uint32_t spans_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = belt_spans_peek(rx, done, count - done);
        if (s.count == 0)
            break;
        belt_copy_out(items + done * size, (const char *)s.first, rx->slot_size, s.count, size);
        done += s.count;
    }
    if (done)
        belt_spans_release(rx, done);
    return done;
}

static bool spans_rx_ready(struct belt_rx *rx)
{
    return rx->limit != rx->next || belt_spans_filled(rx) != 0;
}

static bool spans_tx_ready(struct belt_tx *tx)
{
    uint64_t slots = (uint64_t)tx->mask + 1;
    return tx->limit != tx->next ||
           (!tx->closed && belt_spans_released(tx) + slots - tx->next - 1 < slots);
}

/* claim to pop are inline. */
const struct belt_kind_ops belt_spans_ops = {
    .format = spans_format,
    .tx_open = spans_tx_open,
    .rx_open = spans_rx_open,
    .stat = spans_stat,
    .check = spans_check,
    .ended = spans_ended,
    .push_n = spans_push_n,
    .pop_n = spans_pop_n,
    .rx_ready = spans_rx_ready,
    .tx_ready = spans_tx_ready,
};
