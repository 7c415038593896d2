/* The hot part of spans: cursors beside the slots. SPSC and broadcast; included
 * by ring.h, which says what it promises. */
#ifndef BELT_SPANS_H
#define BELT_SPANS_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

/* By value: what a call out of line writes through a pointer would stay in memory, for
 * whoever gets it from either. */
static inline struct belt_slots belt_slots_of(void *first, uint32_t count, uint64_t ticket)
{
    struct belt_slots s = { first, count, ticket };
    return s;
}

/* Of `count` slots from `ticket`, those before the ring's end. */
static inline struct belt_slots belt_slots_at(char *first, uint32_t mask, uint32_t slot_size,
                                              uint64_t ticket, uint64_t count)
{
    uint32_t at = (uint32_t)ticket & mask;
    uint64_t to_end = (uint64_t)mask + 1 - at;
    return belt_slots_of(first + (size_t)at * slot_size,
                         (uint32_t)(count < to_end ? count : to_end), ticket);
}

static inline struct belt_slots belt_no_slots(uint64_t ticket)
{
    return belt_slots_of(NULL, 0, ticket);
}

/* Broadcast: the slowest reader's cursor, acquired. */
BELT_API uint64_t belt_spans_slowest(const struct belt_tx *tx);

static inline uint64_t belt_spans_released(const struct belt_tx *tx)
{
    if (tx->readers)
        return belt_spans_slowest(tx);
    /* A1, pairs with R1 in belt_spans_release(): having seen `released` move, we
     * know the reader's loads of those slots are over. A plain load would let our
     * stores overtake them and change what it reads. */
    return belt_load_acquire(&tx->ring->released);
}

/* Not enough free slots were known of: looks again, and in a flow waits a moment for
 * more than a few. */
BELT_API void belt_spans_look_for_room(struct belt_tx *tx, uint64_t asked);
/* How many slots are filled, of which not enough were known. A count that cannot be
 * tells nothing. */
static inline uint64_t belt_spans_filled(const struct belt_rx *rx)
{
    /* A2, pairs with R2 in belt_spans_publish(): having seen `published` move, we see
     * what was written before. A plain load could show us the slots as they were a
     * lap ago. */
    uint64_t filled = belt_load_acquire(&rx->ring->published) - rx->next;
    return filled <= (uint64_t)rx->mask + 1 ? filled : 0;
}

/* They are few: in a flow, waits a moment for more. */
BELT_API uint64_t belt_spans_linger(struct belt_rx *rx, uint64_t filled);

static inline struct belt_slots belt_spans_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    uint64_t asked = (uint64_t)skip + want;
    if (tx->limit - tx->next < asked)
        belt_spans_look_for_room(tx, asked);
    uint64_t room = tx->limit - tx->next;
    if (room <= skip)
        return belt_no_slots(tx->next + skip);
    uint64_t count = (room < asked ? room : asked) - skip;
    return belt_slots_at(tx->first, tx->mask, tx->slot_size, tx->next + skip, count);
}

static inline void belt_spans_publish(struct belt_tx *tx, uint32_t count)
{
    assert(tx->limit - tx->next >= count);
    uint64_t next = tx->next + count;
    tx->next = next;
    /* R2, pairs with A2 in belt_spans_filled(): slot contents before the cursor. */
    belt_store_release(&tx->ring->published, next);
    belt_bell_ring(&tx->ring->readers_bell);
}

static inline struct belt_slots belt_spans_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    uint64_t asked = (uint64_t)skip + want;
    if (rx->limit - rx->next < asked) {
        uint64_t now = belt_spans_filled(rx);
        if (now < rx->linger)
            now = belt_spans_linger(rx, now);
        if (now > rx->limit - rx->next) /* what is lent stays lent */
            rx->limit = rx->next + now;
    }
    uint64_t filled = rx->limit - rx->next;
    if (filled <= skip)
        return belt_no_slots(rx->next + skip);
    uint64_t count = (filled < asked ? filled : asked) - skip;
    return belt_slots_at(rx->first, rx->mask, rx->slot_size, rx->next + skip, count);
}

static inline bool belt_spans_release(struct belt_rx *rx, uint32_t count)
{
    assert(rx->limit - rx->next >= count);
    uint64_t next = rx->next + count;
    rx->next = next;
    /* R1, pairs with A1 in belt_spans_released(): our loads of the slots before it. */
    belt_store_release(rx->released, next);
    belt_bell_ring(&rx->ring->writers_bell);
    return true;
}

BELT_INLINE bool belt_spans_push(struct belt_tx *tx, const void *item, size_t size)
{
    struct belt_slots s = belt_spans_claim(tx, 0, 1);
    if (s.count == 0)
        return false;
    belt_data_store(s.first, item, size);
    belt_spans_publish(tx, 1);
    return true;
}

BELT_INLINE bool belt_spans_pop(struct belt_rx *rx, void *item, size_t size)
{
    struct belt_slots s = belt_spans_peek(rx, 0, 1);
    if (s.count == 0)
        return false;
    belt_data_load(item, s.first, size);
    return belt_spans_release(rx, 1);
}

#endif
