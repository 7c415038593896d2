/* BELT_MPMC_CRASH_UNSAFE, out of line. The protocol is told in mpmc_crash_unsafe.h. */
#include "rings/kind_priv.h"
#include "rings/copy_priv.h"

/* The slots of one side: its cursor and our own copy of the geometry. */
struct side {
    uint64_t *cursor;
    char *first;
    uint32_t mask, slot_size;
};

static struct side of_tx(const struct belt_tx *tx)
{
    return (struct side){ &tx->ring->published, tx->first, tx->mask, tx->slot_size };
}

static struct side of_rx(const struct belt_rx *rx)
{
    return (struct side){ &rx->ring->released, rx->first, rx->mask, rx->slot_size };
}

static uint64_t *slot_at(const struct side *s, uint64_t ticket)
{
    return belt_mpmc_slot(s->first, s->mask, s->slot_size, ticket);
}

/* ---- taking ---------------------------------------------------------------------- */

static bool has_turn(const struct side *s, uint64_t ticket, enum belt_slot_turn turn)
{
    return belt_turn_look(slot_at(s, ticket)) == belt_turn_word(ticket, turn);
}

static uint32_t turn_run(const struct side *s, uint64_t ticket, uint32_t want,
                         enum belt_slot_turn turn)
{
    uint32_t to_end = s->mask + 1 - ((uint32_t)ticket & s->mask);
    uint32_t most = want < to_end ? want : to_end, n = 1;
    if (!has_turn(s, ticket, turn))
        return 0;
    belt_mpmc_prefetch_run((const char *)slot_at(s, ticket), (size_t)most * s->slot_size);
    while (n < most && has_turn(s, ticket + n, turn))
        n++;
    return n;
}

/* A reader meets a slot that was claimed but left empty: on to the next lap. */
static void skip_void(const struct side *s, uint64_t ticket)
{
    uint64_t seen = ticket;
    if (belt_cas(s->cursor, &seen, ticket + 1))
        belt_turn_pass(slot_at(s, ticket), ticket + s->mask + 1, BELT_TURN_FREE);
}

uint32_t belt_turn_take(uint64_t *cursor, char *first, uint32_t mask, uint32_t slot_size,
                        enum belt_slot_turn turn, uint32_t want, uint64_t *ticket)
{
    const struct side s = { cursor, first, mask, slot_size };
    /* Relaxed: a guess, which the compare-and-swap verifies. */
    *ticket = belt_load_relaxed(cursor);
    for (;;) {
        uint32_t n = turn_run(&s, *ticket, want, turn);
        if (n > 0) {
            /* A slot whose turn it is stays so until the cursor passes it. N7, pairs
             * with M7 in unsafe_stat(): the cursor that was before us at that slot. */
            if (belt_cas(cursor, ticket, *ticket + n))
                return n;
            continue;
        }
        if (turn == BELT_TURN_FILLED &&
            belt_turn_look(slot_at(&s, *ticket)) == belt_turn_word(*ticket, BELT_TURN_VOID))
            skip_void(&s, *ticket);
        /* Another thread took the slot, or it is not our side's turn at all.
         * Relaxed: whoever took it moved the cursor first, and M6 showed us that. */
        uint64_t now = belt_load_relaxed(cursor);
        if (now == *ticket)
            return 0;
        *ticket = now;
    }
}

static struct belt_slots take(const struct side *s, enum belt_slot_turn turn, uint32_t want,
                              uint64_t *next, uint32_t *held)
{
    if (*held == 0 && want > 0)
        *held = belt_turn_take(s->cursor, s->first, s->mask, s->slot_size, turn, want, next);
    uint32_t n = want < *held ? want : *held;
    return (struct belt_slots){ n ? slot_at(s, *next) + 1 : NULL, n, *next };
}

static void pass_run(const struct side *s, uint64_t ticket, uint32_t n, enum belt_slot_turn turn)
{
    for (uint32_t i = 0; i < n; i++)
        belt_turn_pass(slot_at(s, ticket + i), ticket + i, turn);
}

/* ---- both ends -------------------------------------------------------------------- */

static struct belt_slots unsafe_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    const struct side s = of_tx(tx);
    assert(skip == 0);
    (void)skip;
    return take(&s, BELT_TURN_FREE, tx->closed ? 0 : want, &tx->next, &tx->claimed);
}

static void unsafe_publish(struct belt_tx *tx, uint32_t count)
{
    const struct side s = of_tx(tx);
    assert(count <= tx->claimed);
    count = count < tx->claimed ? count : tx->claimed;
    pass_run(&s, tx->next, count, BELT_TURN_FILLED);
    pass_run(&s, tx->next + count, tx->claimed - count, BELT_TURN_VOID);
    tx->next += tx->claimed;
    tx->claimed = 0;
    belt_bell_ring(&tx->ring->readers_bell);
}

static struct belt_slots unsafe_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    const struct side s = of_rx(rx);
    assert(skip == 0);
    (void)skip;
    return take(&s, BELT_TURN_FILLED, want, &rx->next, &rx->taken);
}

static bool unsafe_release(struct belt_rx *rx, uint32_t count)
{
    const struct side s = of_rx(rx);
    assert(count <= rx->taken);
    count = count < rx->taken ? count : rx->taken;
    pass_run(&s, rx->next + s.mask + 1, count, BELT_TURN_FREE);
    rx->next += count;
    rx->taken -= count;
    belt_bell_ring(&rx->ring->writers_bell);
    return true;
}

static bool unsafe_push(struct belt_tx *tx, const void *item, size_t size)
{
    return belt_mpmc_crash_unsafe_push(tx, item, size);
}

static bool unsafe_pop(struct belt_rx *rx, void *item, size_t size)
{
    return belt_mpmc_crash_unsafe_pop(rx, item, size);
}

static inline void fill_run(const struct side *s, uint64_t ticket, uint32_t n, const char *items,
                            size_t size)
{
    char *slot = (char *)slot_at(s, ticket);
    for (uint32_t i = 0; i < n; i++, slot += s->slot_size) {
        belt_data_store(slot + BELT_SEQUENCE_SIZE, items + i * size, size);
        belt_turn_pass((uint64_t *)(void *)slot, ticket + i, BELT_TURN_FILLED);
    }
}

static inline void empty_run(const struct side *s, uint64_t ticket, uint32_t n, char *items,
                             size_t size)
{
    char *slot = (char *)slot_at(s, ticket);
    uint64_t next_lap = ticket + s->mask + 1;
    for (uint32_t i = 0; i < n; i++, slot += s->slot_size) {
        belt_data_load(items + i * size, slot + BELT_SEQUENCE_SIZE, size);
        belt_turn_pass((uint64_t *)(void *)slot, next_lap + i, BELT_TURN_FREE);
    }
}

static uint32_t unsafe_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    const struct side s = of_tx(tx);
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots c = unsafe_claim(tx, 0, count - done);
        if (c.count == 0)
            break;
        if (size == 8)
            fill_run(&s, c.ticket, c.count, items + (size_t)done * 8, 8);
        else
            fill_run(&s, c.ticket, c.count, items + done * size, size);
        tx->next += c.count;
        tx->claimed = 0;
        belt_bell_ring(&tx->ring->readers_bell);
        done += c.count;
    }
    return done;
}

static uint32_t unsafe_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    const struct side s = of_rx(rx);
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots c = unsafe_peek(rx, 0, count - done);
        if (c.count == 0)
            break;
        if (size == 8)
            empty_run(&s, c.ticket, c.count, items + (size_t)done * 8, 8);
        else
            empty_run(&s, c.ticket, c.count, items + done * size, size);
        rx->next += c.count;
        rx->taken = 0;
        belt_bell_ring(&rx->ring->writers_bell);
        done += c.count;
    }
    return done;
}

/* Is it so at the cursor? Only a look. */
static bool is_turn(const struct side *s, enum belt_slot_turn turn, enum belt_slot_turn or_turn)
{
    uint64_t ticket = belt_load_relaxed(s->cursor); /* relaxed: as in belt_turn_take() */
    for (;;) {
        uint64_t word = belt_turn_look(slot_at(s, ticket));
        if (word == belt_turn_word(ticket, turn) || word == belt_turn_word(ticket, or_turn))
            return true;
        /* Only a cursor that stands still says no: another may have taken this slot,
         * and the next one have been filled before we went to sleep. */
        uint64_t now = belt_load_relaxed(s->cursor);
        if (now == ticket)
            return false;
        ticket = now;
    }
}

/* A void slot counts: the next call goes over it. */
static bool unsafe_rx_ready(struct belt_rx *rx)
{
    const struct side s = of_rx(rx);
    return rx->taken > 0 || is_turn(&s, BELT_TURN_FILLED, BELT_TURN_VOID);
}

static bool unsafe_tx_ready(struct belt_tx *tx)
{
    const struct side s = of_tx(tx);
    return tx->claimed > 0 || is_turn(&s, BELT_TURN_FREE, BELT_TURN_FREE);
}

/* ---- set-up, looking in ----------------------------------------------------------- */

static void unsafe_format(struct belt_ring *ring, uint64_t start)
{
    const struct side s = { NULL, (char *)ring + ring->head_size, ring->slots - 1,
                            ring->slot_size };
    /* Plain: belt_ring_format() publishes all with the magic. */
    ring->published = ring->released = start;
    for (uint64_t p = start; p != start + ring->slots; p++)
        *slot_at(&s, p) = belt_turn_word(p, BELT_TURN_FREE);
}

static int unsafe_tx_open(struct belt_tx *tx)
{
    tx->next = tx->limit = belt_load_relaxed(&tx->ring->published); /* relaxed: a figure */
    return 0;
}

static int unsafe_rx_open(struct belt_rx *rx)
{
    rx->next = rx->limit = belt_load_relaxed(&rx->ring->released); /* relaxed: a figure */
    return 0;
}

static void unsafe_close(struct belt_tx *tx)
{
    if (tx->claimed)
        unsafe_publish(tx, 0);
}

/* What was peeked cannot go back behind the cursor: it counts as read. */
static void unsafe_rx_leave(struct belt_rx *rx)
{
    if (rx->taken)
        unsafe_release(rx, rx->taken);
}

static bool unsafe_ended(const struct belt_rx *rx)
{
    /* Relaxed: final since every writer closed; the other only approaches it. */
    return belt_load_relaxed(&rx->ring->released) == belt_load_relaxed(&rx->ring->published);
}

static void unsafe_stat(const struct belt_ring *ring, const struct belt_ring *head,
                        struct belt_ring_stat *out)
{
    (void)head; /* told in out already */
    /* M7, pairs with N7 in belt_turn_take(): `released` first, read second it could be
     * past `published`. */
    out->released = belt_load_acquire(&ring->released);
    out->published = belt_load_relaxed(&ring->published); /* relaxed: a figure */
    out->items = out->published - out->released;
}

/* Filled (or void) from released to published, free for the next lap elsewhere. */
static int unsafe_check(const struct belt_ring *ring)
{
    const struct side s = { NULL, (char *)(uintptr_t)ring + ring->head_size, ring->slots - 1,
                            ring->slot_size };
    uint64_t filled = ring->published - ring->released;
    if (filled > ring->slots)
        return 7;
    for (uint64_t i = 0; i < ring->slots; i++) {
        uint64_t ticket = ring->released + i, turn = belt_turn_look(slot_at(&s, ticket));
        if (turn == belt_turn_word(ticket, BELT_TURN_VOID) && i < filled)
            continue;
        if (turn != belt_turn_word(ticket, i < filled ? BELT_TURN_FILLED : BELT_TURN_FREE))
            return 8;
    }
    return 0;
}

const struct belt_kind_ops belt_mpmc_crash_unsafe_ops = {
    .format = unsafe_format,
    .tx_open = unsafe_tx_open,
    .rx_open = unsafe_rx_open,
    .tx_leave = unsafe_close,
    .rx_leave = unsafe_rx_leave,
    .stat = unsafe_stat,
    .check = unsafe_check,
    .close = unsafe_close,
    .ended = unsafe_ended,
    .claim = unsafe_claim,
    .publish = unsafe_publish,
    .peek = unsafe_peek,
    .release = unsafe_release,
    .push = unsafe_push,
    .pop = unsafe_pop,
    .push_n = unsafe_push_n,
    .pop_n = unsafe_pop_n,
    .rx_ready = unsafe_rx_ready,
    .tx_ready = unsafe_tx_ready,
};
