/* BELT_MPMC, out of line: walks, lingering, runs of many slots, looking in. The protocol
 * is told in mpmc.h. */
#include "rings/mpmc_priv.h"
#include "rings/copy_priv.h"
#include "rings/linger_priv.h"

static struct belt_mpmc of_tx(const struct belt_tx *tx)
{
    return (struct belt_mpmc){ tx->first, tx->mask, tx->slot_size };
}

static struct belt_mpmc of_rx(const struct belt_rx *rx)
{
    return (struct belt_mpmc){ rx->first, rx->mask, rx->slot_size };
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What one claim may have from here: a run never crosses the ring's end. */
static uint32_t most_at(const struct belt_mpmc *q, uint64_t ticket, uint32_t want)
{
    return least(least(want, BELT_MPMC_RUN_MAX), q->mask + 1 - ((uint32_t)ticket & q->mask));
}

/* ---- walking ---------------------------------------------------------------------
 *
 * A place to claim or take must be where a run begins: the end of a run that was
 * seen, or a place whose slot before was seen consumed (then it either begins a
 * run, or was consumed with it and its word says so: runs are made free from
 * behind). Every step goes forward by at least a slot, but for what a hostile
 * peer writes: hence the bound. */

static uint64_t walk_bound(const struct belt_mpmc *q)
{
    return ((uint64_t)q->mask + 1) * 4 + 64;
}

static uint64_t hinted(const struct belt_ring *ring)
{
    /* M2, pairs with N2 in belt_mpmc_hint(): the claims before it, and so what was
     * made free for them. A plain load could let us take the middle of an old run,
     * seen as it was before, for the beginning of one. */
    return belt_load_acquire(&ring->published);
}

/* A writer's step over a word of `ahead` >= 0: the slot's ticket one lap before
 * its own was consumed, so all up to there was claimed. */
static uint64_t step_free(const struct belt_mpmc *q, uint64_t ticket, uint64_t word, int64_t ahead)
{
    if (ahead > 0)
        ticket += (uint64_t)ahead - q->mask - 1;
    return ticket + belt_mpmc_run_of(word);
}

static bool seek_free(struct belt_tx *tx, uint64_t *word)
{
    struct belt_mpmc q = of_tx(tx);
    uint64_t p = tx->next;
    if (tx->closed || tx->claimed)
        return false;
    for (uint64_t left = walk_bound(&q); left > 0; left--) {
        uint64_t w = belt_mpmc_look(belt_mpmc_at(&q, p));
        int64_t ahead = belt_mpmc_ahead(w, p);
        if (ahead == 0 && belt_mpmc_state_of(w) == BELT_MPMC_FREE) {
            tx->next = p;
            *word = w;
            return true;
        }
        if (ahead >= 0) {
            p = step_free(&q, p, w, ahead);
            continue;
        }
        /* Full, unless we slept so long that later looks earlier. */
        uint64_t hint = hinted(tx->ring);
        if ((int64_t)(hint - p) <= 0)
            break;
        p = hint;
    }
    tx->next = p;
    return false;
}

/* All before it is consumed: the hint's slot was claimed, so everything that was
 * in the slots before it a lap ago had been made free. */
static uint64_t oldest_by_hint(const struct belt_ring *ring, const struct belt_mpmc *q)
{
    return hinted(ring) - q->mask - 1;
}

/* A reader's step over a word of `ahead` >= 0. More than a lap ahead, somebody
 * slower than us, or what came back from the dead, may still be in between: only
 * what is two laps before the word's ticket is surely consumed. */
static uint64_t step_filled(const struct belt_mpmc *q, uint64_t ticket, uint64_t word,
                            int64_t ahead)
{
    int64_t two_laps = 2 * ((int64_t)q->mask + 1);
    if (ahead > two_laps)
        ticket += (uint64_t)(ahead - two_laps);
    return ticket + belt_mpmc_run_of(word);
}

/* A void run at the head goes to the writers of the next lap. False: somebody else
 * was first. */
static bool clear(struct belt_rx *rx, const struct belt_mpmc *q, uint64_t ticket, uint64_t word)
{
    uint32_t n = most_at(q, ticket, belt_mpmc_run_of(word));
    uint64_t clearing = belt_mpmc_word(ticket, rx->me, n, BELT_MPMC_CLEARING);
    /* Relaxed: as in belt_mpmc_own(). */
    if (!belt_cas_relaxed(belt_mpmc_at(q, ticket), &word, clearing))
        return false;
    belt_mpmc_pass_run(q, ticket + q->mask + 1, n, BELT_MPMC_FREE);
    belt_bell_ring(&rx->ring->writers_bell);
    return true;
}

/* Where the walk begins: elsewhere when something came back behind us. */
static uint64_t begin_filled(struct belt_rx *rx, const struct belt_mpmc *q)
{
    /* M3, pairs with N3 in belt_mpmc_returned(): the words of what came back. */
    uint64_t reaps = belt_load_acquire(&rx->ring->reaps);
    if (reaps == rx->reaps)
        return rx->next;
    rx->reaps = reaps;
    return rx->next = oldest_by_hint(rx->ring, q);
}

/* `only_look`: changes no word of the ring, and goes over void runs without
 * forgetting them. */
static bool seek_filled(struct belt_rx *rx, uint64_t *word, bool only_look)
{
    struct belt_mpmc q = of_rx(rx);
    bool keep = false;
    if (rx->taken)
        return false;
    uint64_t p = begin_filled(rx, &q);
    for (uint64_t left = walk_bound(&q); left > 0; left--) {
        uint64_t w = belt_mpmc_look(belt_mpmc_at(&q, p));
        int64_t ahead = belt_mpmc_ahead(w, p);
        enum belt_mpmc_state state = belt_mpmc_state_of(w);
        if (ahead < 0) {
            /* Not even free yet, unless we slept so long that later looks earlier. */
            uint64_t oldest = oldest_by_hint(rx->ring, &q);
            if ((int64_t)(oldest - p) <= 0)
                break;
            p = oldest;
        } else if (ahead > 0) {
            p = step_filled(&q, p, w, ahead);
        } else if (state == BELT_MPMC_FREE || state == BELT_MPMC_CLAIMED) {
            rx->stream = 0;
            break;
        } else if (state == BELT_MPMC_FILLED) {
            *word = w;
            if (!keep)
                rx->next = p;
            return true;
        } else if (state != BELT_MPMC_VOID || only_look) {
            keep |= state == BELT_MPMC_VOID;
            p += belt_mpmc_run_of(w);
        } else if (clear(rx, &q, p, w)) {
            p += most_at(&q, p, belt_mpmc_run_of(w));
        }
        if (!keep)
            rx->next = p;
    }
    return false;
}

/* ---- lingering -------------------------------------------------------------------
 *
 * An end that has caught up with its peers would from then on work in the very lines
 * that they work in. In a flow it waits until they are a stretch ahead. */

/* Is the slot in that state for this ticket, or beyond it? */
static bool is_past(const struct belt_mpmc *q, uint64_t ticket, enum belt_mpmc_state state)
{
    /* Relaxed: a guess how far they are; whoever takes a slot looks at it (M1). */
    uint64_t w = belt_load_relaxed(belt_mpmc_at(q, ticket));
    int64_t ahead = belt_mpmc_ahead(w, ticket);
    return ahead > 0 || (ahead == 0 && belt_mpmc_state_of(w) >= state);
}

/* Until the slot `far` on is there, while slots keep coming: a sixteenth of the way at
 * least between two looks, so it ends. */
static void linger(const struct belt_mpmc *q, struct belt_flow *flow, uint32_t far,
                   enum belt_mpmc_state state)
{
    uint64_t next = flow->seen, step = far / 16 + 1, mark = next + step;
    for (uint32_t pauses = 0; !is_past(q, next + far, state); pauses++) {
        if (pauses % BELT_LINGER_IDLE == BELT_LINGER_IDLE - 1) {
            if (!is_past(q, mark, state)) {
                flow->stream = 0;
                return;
            }
            while (mark - next < far && is_past(q, mark, state))
                mark += step;
        }
        belt_pause();
    }
}

/* After a look in vain at `next`: whether it was worth another one. */
static bool lingered(const struct belt_mpmc *q, struct belt_flow *flow, uint64_t next, uint32_t far,
                     enum belt_mpmc_state state)
{
    /* What comes back from the dead lies behind us. */
    bool onward = (int64_t)(next - flow->seen) > 0;
    belt_flow_count(flow, onward ? next - flow->seen : 0);
    flow->seen = next;
    if (far == 0 || !belt_flows(flow))
        return false;
    linger(q, flow, far, state);
    return true;
}

bool belt_mpmc_seek_free(struct belt_tx *tx, uint64_t *word)
{
    struct belt_mpmc q = of_tx(tx);
    if (seek_free(tx, word))
        return true;
    return !tx->closed && !tx->claimed &&
           lingered(&q, &tx->flow, tx->next, tx->linger, BELT_MPMC_FREE) && seek_free(tx, word);
}

bool belt_mpmc_seek_filled(struct belt_rx *rx, uint64_t *word)
{
    struct belt_mpmc q = of_rx(rx);
    if (seek_filled(rx, word, false))
        return true;
    return !rx->taken && lingered(&q, &rx->flow, rx->next, rx->linger, BELT_MPMC_FILLED) &&
           seek_filled(rx, word, false);
}

/* Never for half of a bulk ring: its slots do not come as fast as linger() expects. */
static uint32_t linger_for(const struct belt_ring *ring, uint32_t mask, uint32_t slot_size)
{
    uint64_t bytes = ((uint64_t)mask + 1) * slot_size;
    return bytes < BELT_BULK ? belt_linger_for(ring, mask + 1, bytes) : 0;
}

/* ---- runs ------------------------------------------------------------------------ */

/* How far the state goes on from `ticket`, whose word is `word`, up to `most`. */
static uint32_t run_length(const struct belt_mpmc *q, uint64_t ticket, uint64_t word, uint32_t most)
{
    enum belt_mpmc_state state = belt_mpmc_state_of(word);
    uint32_t n = 0;
    do {
        n += belt_mpmc_run_of(word);
        if (n >= most)
            return most;
        word = belt_mpmc_look(belt_mpmc_at(q, ticket + n));
    } while (belt_mpmc_is(word, ticket + n, state));
    return n;
}

static struct belt_slots slots_at(const struct belt_mpmc *q, uint64_t ticket, uint32_t count)
{
    return (struct belt_slots){ belt_mpmc_at(q, ticket) + 1, count, ticket };
}

static struct belt_slots mpmc_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    struct belt_mpmc q = of_tx(tx);
    assert(skip == 0);
    (void)skip;
    if (tx->claimed || want == 0)
        return slots_at(&q, tx->next, least(want, tx->claimed));
    uint64_t word, *slot;
    uint32_t n;
    do {
        if (!belt_mpmc_seek_free(tx, &word))
            return belt_no_slots(tx->next);
        slot = belt_mpmc_at(&q, tx->next);
        n = run_length(&q, tx->next, word, most_at(&q, tx->next, want));
    } while (!belt_mpmc_own(slot, &word, belt_mpmc_word(tx->next, tx->me, n, BELT_MPMC_CLAIMED)));
    tx->claimed = n;
    return slots_at(&q, tx->next, n);
}

/* The whole claim is passed on. */
static void published(struct belt_tx *tx, uint32_t count)
{
    uint64_t p = tx->next;
    tx->next = p + count;
    tx->claimed = 0;
    belt_mpmc_hint(tx, p, tx->next);
    belt_bell_ring(&tx->ring->readers_bell);
}

static void mpmc_publish(struct belt_tx *tx, uint32_t count)
{
    struct belt_mpmc q = of_tx(tx);
    uint64_t p = tx->next;
    assert(count <= tx->claimed);
    count = least(count, tx->claimed);
    belt_mpmc_pass_run(&q, p + count, tx->claimed - count, BELT_MPMC_VOID);
    belt_mpmc_pass_run(&q, p, count, BELT_MPMC_FILLED);
    published(tx, tx->claimed);
}

static struct belt_slots mpmc_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    struct belt_mpmc q = of_rx(rx);
    assert(skip == 0);
    (void)skip;
    if (rx->taken || want == 0)
        return slots_at(&q, rx->next, least(want, rx->taken));
    uint64_t word, *slot;
    uint32_t n;
    do {
        if (!belt_mpmc_seek_filled(rx, &word))
            return belt_no_slots(rx->next);
        slot = belt_mpmc_at(&q, rx->next);
        n = run_length(&q, rx->next, word, most_at(&q, rx->next, want));
        belt_mpmc_prefetch_run((const char *)slot, (size_t)n * q.slot_size);
    } while (!belt_mpmc_own(slot, &word, belt_mpmc_word(rx->next, rx->me, n, BELT_MPMC_TAKEN)));
    rx->taken = n;
    return slots_at(&q, rx->next, n);
}

/* The first `count` of what was taken are passed on. */
static void released(struct belt_rx *rx, uint32_t count)
{
    rx->next += count;
    rx->taken -= count;
    belt_bell_ring(&rx->ring->writers_bell);
}

static bool mpmc_release(struct belt_rx *rx, uint32_t count)
{
    struct belt_mpmc q = of_rx(rx);
    uint64_t p = rx->next;
    assert(count <= rx->taken);
    count = least(count, rx->taken);
    uint32_t rest = rx->taken - count;
    if (count == 0)
        return true;
    if (rest)
        /* Ours on its own, before the run's first word stops saying so. */
        belt_mpmc_pass(belt_mpmc_at(&q, p + count),
                       belt_mpmc_word(p + count, rx->me, rest, BELT_MPMC_TAKEN));
    belt_mpmc_pass_run(&q, p + q.mask + 1, count, BELT_MPMC_FREE);
    released(rx, count);
    return true;
}

/* Items and words in one pass, from behind. */
static inline void fill_run(const struct belt_mpmc *q, uint64_t ticket, uint32_t n,
                            const char *items, size_t size)
{
    char *slot = (char *)belt_mpmc_at(q, ticket + n - 1);
    uint64_t word = belt_mpmc_word(ticket + n - 1, 0, 1, BELT_MPMC_FILLED);
    for (uint32_t i = n; i-- > 0; slot -= q->slot_size) {
        belt_data_store(slot + sizeof word, items + i * size, size);
        belt_mpmc_pass((uint64_t *)(void *)slot, word);
        word += ((uint64_t)1 << BELT_MPMC_RUN_SHIFT) - ((uint64_t)1 << BELT_MPMC_TICKET_SHIFT);
    }
}

static inline void empty_run(const struct belt_mpmc *q, uint64_t ticket, uint32_t n, char *items,
                             size_t size)
{
    char *slot = (char *)belt_mpmc_at(q, ticket + n - 1);
    uint64_t word = belt_mpmc_word(ticket + q->mask + n, 0, 1, BELT_MPMC_FREE);
    for (uint32_t i = n; i-- > 0; slot -= q->slot_size) {
        belt_data_load(items + i * size, slot + sizeof word, size);
        belt_mpmc_pass((uint64_t *)(void *)slot, word);
        word += ((uint64_t)1 << BELT_MPMC_RUN_SHIFT) - ((uint64_t)1 << BELT_MPMC_TICKET_SHIFT);
    }
}

static uint32_t mpmc_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    struct belt_mpmc q = of_tx(tx);
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = mpmc_claim(tx, 0, count - done);
        if (s.count == 0)
            break;
        if (size == 8)
            fill_run(&q, s.ticket, s.count, items + (size_t)done * 8, 8);
        else
            fill_run(&q, s.ticket, s.count, items + done * size, size);
        published(tx, s.count);
        done += s.count;
    }
    return done;
}

static uint32_t mpmc_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    struct belt_mpmc q = of_rx(rx);
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = mpmc_peek(rx, 0, count - done);
        if (s.count == 0)
            break;
        if (size == 8)
            empty_run(&q, s.ticket, s.count, items + (size_t)done * 8, 8);
        else
            empty_run(&q, s.ticket, s.count, items + done * size, size);
        released(rx, s.count);
        done += s.count;
    }
    return done;
}

static bool mpmc_rx_ready(struct belt_rx *rx)
{
    uint64_t word;
    return rx->taken > 0 || seek_filled(rx, &word, true);
}

static bool mpmc_tx_ready(struct belt_tx *tx)
{
    uint64_t word;
    return tx->claimed > 0 || seek_free(tx, &word);
}

/* ---- set-up ---------------------------------------------------------------------- */

static void mpmc_format(struct belt_ring *ring, uint64_t start)
{
    struct belt_mpmc q = { (char *)ring + ring->head_size, ring->slots - 1, ring->slot_size };
    /* Plain: belt_ring_format() publishes all with the magic. */
    ring->published = start;
    for (uint32_t left = ring->slots; left > 0; left--, start++)
        *belt_mpmc_at(&q, start) =
            belt_mpmc_word(start, 0, most_at(&q, start, left), BELT_MPMC_FREE);
}

static int mpmc_tx_open(struct belt_tx *tx)
{
    tx->next = tx->limit = tx->flow.seen = hinted(tx->ring);
    tx->linger = linger_for(tx->ring, tx->mask, tx->slot_size);
    return 0;
}

static int mpmc_rx_open(struct belt_rx *rx)
{
    struct belt_mpmc q = of_rx(rx);
    /* Relaxed: before each walk begin_filled() acquires it. */
    rx->reaps = belt_load_relaxed(&rx->ring->reaps);
    rx->next = rx->limit = oldest_by_hint(rx->ring, &q);
    rx->flow.seen = rx->next + q.mask + 1;
    rx->linger = linger_for(rx->ring, rx->mask, rx->slot_size);
    return 0;
}

static void mpmc_close(struct belt_tx *tx)
{
    if (tx->claimed)
        mpmc_publish(tx, 0);
}

static void mpmc_rx_leave(struct belt_rx *rx)
{
    struct belt_mpmc q = of_rx(rx);
    if (rx->taken == 0)
        return;
    belt_mpmc_put_back(&q, rx->next, rx->taken, BELT_MPMC_FILLED);
    rx->taken = 0;
    belt_mpmc_returned(rx->ring);
}

/* ---- looking in ------------------------------------------------------------------ */

/* With every writer closed a free slot stays free, so seeing each of them free,
 * though one after the other, is seeing all. What another reader has taken is not
 * over: it may die and leave it to us. */
static bool mpmc_ended(const struct belt_rx *rx)
{
    struct belt_mpmc q = of_rx(rx);
    for (uint64_t at = 0; at <= q.mask; at++)
        if (belt_mpmc_state_of(belt_mpmc_look(belt_mpmc_at(&q, at))) != BELT_MPMC_FREE)
            return false;
    return true;
}

/* The slots of a ring that we have not opened. `head`: its geometry, checked. */
static struct belt_mpmc of_ring(const struct belt_ring *ring, const struct belt_ring *head)
{
    char *first = (char *)(uintptr_t)ring + head->head_size;
    return (struct belt_mpmc){ first, head->slots - 1, head->slot_size };
}

/* Tickets later than `base`, which is one of the ring's (modulo 2^47, as the words). */
struct range {
    uint64_t from, to; /* oldest in use; after the newest in use */
    bool any;
};

static struct range range_of(const struct belt_mpmc *q, uint64_t base)
{
    struct range in_use = { 0, 0, false }, all = in_use;
    for (uint64_t at = 0; at <= q->mask; at++) {
        uint64_t w = belt_mpmc_look(belt_mpmc_at(q, at));
        uint64_t ticket = base + (uint64_t)belt_mpmc_ahead(w, base);
        struct range *r[2] = { &all, &in_use };
        for (int i = 0; i < (belt_mpmc_state_of(w) == BELT_MPMC_FREE ? 1 : 2); i++) {
            if (!r[i]->any || (int64_t)(ticket - r[i]->from) < 0)
                r[i]->from = ticket;
            if (!r[i]->any || (int64_t)(ticket + 1 - r[i]->to) > 0)
                r[i]->to = ticket + 1;
            r[i]->any = true;
        }
    }
    if (!in_use.any)
        in_use.from = in_use.to = all.from; /* the first free one */
    return in_use;
}

static void mpmc_stat(const struct belt_ring *ring, const struct belt_ring *head,
                      struct belt_ring_stat *out)
{
    struct belt_mpmc q = of_ring(ring, head);
    struct range r = range_of(&q, hinted(ring));
    out->released = r.from;
    out->published = r.to;
    uint64_t left = walk_bound(&q);
    for (uint64_t p = r.from; (int64_t)(r.to - p) > 0 && left > 0; left--) {
        uint64_t w = belt_mpmc_look(belt_mpmc_at(&q, p));
        bool here = belt_mpmc_ahead(w, p) == 0;
        uint32_t n = here ? belt_mpmc_run_of(w) : 1;
        if (here && belt_mpmc_state_of(w) == BELT_MPMC_FILLED)
            out->items += n;
        p += n;
    }
}

static int mpmc_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    struct belt_mpmc q = of_ring(ring, head);
    uint64_t base = hinted(ring);
    for (uint64_t at = 0; at <= q.mask; at++) {
        uint64_t w = belt_mpmc_look(belt_mpmc_at(&q, at));
        uint32_t run = (uint32_t)(w >> BELT_MPMC_RUN_SHIFT) & BELT_MPMC_RUN_MAX;
        if (((w >> BELT_MPMC_TICKET_SHIFT) & q.mask) != at || run != most_at(&q, at, run) ||
            run == 0 || belt_mpmc_state_of(w) >= BELT_MPMC_STATES)
            return 8;
    }
    struct range r = range_of(&q, base);
    return r.to - r.from > (uint64_t)q.mask + 1 ? 7 : 0;
}

/* push and pop are inline. */
const struct belt_kind_ops belt_mpmc_ops = {
    .format = mpmc_format,
    .tx_open = mpmc_tx_open,
    .rx_open = mpmc_rx_open,
    .tx_leave = mpmc_close,
    .rx_leave = mpmc_rx_leave,
    .stat = mpmc_stat,
    .check = mpmc_check,
    .close = mpmc_close,
    .ended = mpmc_ended,
    .claim = mpmc_claim,
    .publish = mpmc_publish,
    .peek = mpmc_peek,
    .release = mpmc_release,
    .push_n = mpmc_push_n,
    .pop_n = mpmc_pop_n,
    .rx_ready = mpmc_rx_ready,
    .tx_ready = mpmc_tx_ready,
};
