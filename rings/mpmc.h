/* The hot part of BELT_MPMC; included by ring.h, which says what it promises.
 *
 * Every slot begins with a sequence that says whose turn it is: `ticket` means
 * free for the writer of that ticket, `ticket + 1` filled for its reader, who
 * passes it on as `ticket + slots`. A run of slots is claimed by moving the
 * shared cursor over it; the items themselves are handed over slot by slot. */
#ifndef BELT_MPMC_H
#define BELT_MPMC_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

#define BELT_SEQUENCE_SIZE 8

static inline uint64_t *belt_mpmc_slot(char *first, uint32_t mask, uint32_t slot_size,
                                       uint64_t ticket)
{
    return (uint64_t *)(void *)(first + (size_t)((uint32_t)ticket & mask) * slot_size);
}

/* How many of the `want` slots from `ticket` are in the state `turn`: 0 free, 1 filled. */
static inline uint32_t belt_mpmc_run(char *first, uint32_t mask, uint32_t slot_size,
                                     uint64_t ticket, uint32_t want, uint32_t turn)
{
    uint32_t n = 0;
    /* A4, pairs with R4 in belt_mpmc_pass(): with the turn comes the slot, its
     * contents written (or read) to the end. A plain load could give us last
     * lap's item, or let us overwrite one that is still being copied. */
    while (n < want && belt_load_acquire(belt_mpmc_slot(first, mask, slot_size, ticket + n)) ==
                           ticket + n + turn)
        n++;
    return n;
}

/* Moves `cursor` over up to `want` slots in the state `turn`, from *ticket on. Their number. */
static inline uint32_t belt_mpmc_take(uint64_t *cursor, char *first, uint32_t mask,
                                      uint32_t slot_size, uint32_t want, uint32_t turn,
                                      uint64_t *ticket)
{
    /* Relaxed: a guess, which the compare-and-swap verifies. */
    *ticket = belt_load_relaxed(cursor);
    for (;;) {
        uint32_t n = belt_mpmc_run(first, mask, slot_size, *ticket, want, turn);
        if (n > 0) {
            /* A slot whose turn it is stays so until the cursor passes it. */
            if (belt_cas(cursor, ticket, *ticket + n))
                return n;
            continue;
        }
        /* Another thread took the slot, or it is not our side's turn at all.
         * Relaxed: whoever took it moved the cursor first, and A4 showed us that. */
        uint64_t now = belt_load_relaxed(cursor);
        if (now == *ticket)
            return 0;
        *ticket = now;
    }
}

/* The slot goes to whoever waits for `turn`. */
static inline void belt_mpmc_pass(uint64_t *slot, uint64_t turn)
{
    /* R4, pairs with A4 in belt_mpmc_run(): our stores to (loads of) the item. */
    belt_store_release(slot, turn);
}

static inline bool belt_mpmc_push(struct belt_tx *tx, const void *item, size_t size)
{
    uint64_t ticket;
    if (tx->closed ||
        !belt_mpmc_take(&tx->ring->published, tx->first, tx->mask, tx->slot_size, 1, 0, &ticket))
        return false;
    uint64_t *slot = belt_mpmc_slot(tx->first, tx->mask, tx->slot_size, ticket);
    memcpy(slot + 1, item, size);
    belt_mpmc_pass(slot, ticket + 1);
    return true;
}

static inline bool belt_mpmc_pop(struct belt_rx *rx, void *item, size_t size)
{
    uint64_t ticket;
    if (!belt_mpmc_take(&rx->ring->released, rx->first, rx->mask, rx->slot_size, 1, 1, &ticket))
        return false;
    uint64_t *slot = belt_mpmc_slot(rx->first, rx->mask, rx->slot_size, ticket);
    memcpy(item, slot + 1, size);
    belt_mpmc_pass(slot, ticket + rx->mask + 1);
    return true;
}

#endif
