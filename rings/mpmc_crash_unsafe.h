/* The hot part of BELT_MPMC_CRASH_UNSAFE; included by mpmc.h.
 *
 * Every slot begins with a turn: the ticket and whether its slot is free for that
 * ticket's writer, filled for its reader, or void, claimed but left empty. A run
 * of slots is claimed by moving the shared cursor of the side over it; the slots
 * themselves are handed over one by one. Who dies in between leaves slots whose
 * turn never comes: everybody waits. */
#ifndef BELT_MPMC_CRASH_UNSAFE_H
#define BELT_MPMC_CRASH_UNSAFE_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

enum belt_slot_turn { BELT_TURN_FREE = 0, BELT_TURN_FILLED = 1, BELT_TURN_VOID = 2 };

static inline uint64_t belt_turn_word(uint64_t ticket, enum belt_slot_turn turn)
{
    return ticket << 2 | (uint32_t)turn;
}

static inline uint64_t belt_turn_look(const uint64_t *slot)
{
    /* M6, pairs with N6 in belt_turn_pass(): with the turn comes the slot, its
     * contents written (or read) to the end. A plain load could give us last
     * lap's item, or let us overwrite one that is still being copied. */
    return belt_load_acquire(slot);
}

/* The slot goes to whoever waits for it. */
static inline void belt_turn_pass(uint64_t *slot, uint64_t ticket, enum belt_slot_turn turn)
{
    /* N6, pairs with M6 in belt_turn_look(): our stores to (loads of) the item. */
    belt_store_release(slot, belt_turn_word(ticket, turn));
}

/* Up to `want` slots in that turn, from where the cursor stands: moves it over
 * them. Their number; *ticket is the first, or where there was none. */
BELT_API uint32_t belt_turn_take(uint64_t *cursor, char *first, uint32_t mask, uint32_t slot_size,
                                 enum belt_slot_turn turn, uint32_t want, uint64_t *ticket);

/* The slot at the cursor, for one item; NULL: not its turn. *next is its ticket,
 * or where the cursor stands. */
static inline uint64_t *belt_turn_take_one(uint64_t *cursor, char *first, uint32_t mask,
                                           uint32_t slot_size, enum belt_slot_turn turn,
                                           uint64_t *next)
{
    /* Relaxed: a guess, which the compare-and-swap verifies. */
    uint64_t ticket = belt_load_relaxed(cursor);
    uint64_t *slot = belt_mpmc_slot(first, mask, slot_size, ticket);
    /* A slot whose turn it is stays so until the cursor passes it. Relaxed: M6 acquired
     * the slot, and the cursor carries nothing. */
    bool taken = belt_turn_look(slot) == belt_turn_word(ticket, turn) &&
                 belt_cas_relaxed(cursor, &ticket, ticket + 1);
    if (!taken && belt_turn_take(cursor, first, mask, slot_size, turn, 1, &ticket) == 0)
        slot = NULL;
    else if (!taken)
        slot = belt_mpmc_slot(first, mask, slot_size, ticket);
    *next = ticket;
    return slot;
}

static inline bool belt_mpmc_crash_unsafe_push(struct belt_tx *tx, const void *item, size_t size)
{
    uint64_t *slot;
    if (tx->closed | (tx->claimed > 0) ||
        !(slot = belt_turn_take_one(&tx->ring->published, tx->first, tx->mask, tx->slot_size,
                                    BELT_TURN_FREE, &tx->next)))
        return false;
    uint64_t ticket = tx->next++;
    belt_data_store(slot + 1, item, size);
    belt_turn_pass(slot, ticket, BELT_TURN_FILLED);
    belt_bell_ring(&tx->ring->readers_bell);
    return true;
}

static inline bool belt_mpmc_crash_unsafe_pop(struct belt_rx *rx, void *item, size_t size)
{
    uint64_t *slot;
    if (rx->taken > 0 || !(slot = belt_turn_take_one(&rx->ring->released, rx->first, rx->mask,
                                                     rx->slot_size, BELT_TURN_FILLED, &rx->next)))
        return false;
    uint64_t ticket = rx->next++;
    belt_data_load(item, slot + 1, size);
    belt_turn_pass(slot, ticket + rx->mask + 1, BELT_TURN_FREE);
    belt_bell_ring(&rx->ring->writers_bell);
    return true;
}

#endif
