/* The hot part of BELT_MPMC, and of BELT_MPMC_CRASH_UNSAFE, whose ends have no role and
 * put down owner 0; included by ring.h, which says what they promise.
 *
 * Every slot begins with a word: whose turn it is, and how far that is true.
 *
 *     ticket (47 bits)   owner (8)   run (6)   state (3)
 *
 *     free(p) -> claimed(p) -> filled(p) -> taken(p) -> free(p + slots)
 *                          \-> void(p) -> clearing(p) -/
 *
 * `run` tells how many slots from this one on share the state; only the words of
 * free, filled and void slots are stored one by one, a claimed or taken run is
 * what its first word says. No cursor is shared: a writer goes on from where it
 * claimed last, over runs that others have claimed, to the first free word, and
 * one compare-and-swap of that word makes the run its own. Nobody can claim the
 * rest of a free run before its first slot, so runs follow each other without
 * gaps, and readers take filled runs in the same manner. The first word of a run
 * is stored last: a batch is there at once, or not at all.
 *
 * `owner` names the process, so that belt_ring_reap() finds what a dead one had.
 * Tickets compare modulo 2^47: an end that sleeps through 2^46 items (days, at full
 * speed) between two instructions would take one lap for another. */
#ifndef BELT_MPMC_H
#define BELT_MPMC_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

#define BELT_SEQUENCE_SIZE 8 /* of the word before the item */

enum belt_mpmc_state {
    BELT_MPMC_FREE = 0,
    BELT_MPMC_CLAIMED,  /* by a writer, whose owner it names */
    BELT_MPMC_FILLED,   /* readable */
    BELT_MPMC_TAKEN,    /* by a reader */
    BELT_MPMC_VOID,     /* claimed, but nothing was or will be published */
    BELT_MPMC_CLEARING, /* a void run that a reader makes free */
    BELT_MPMC_STATES
};

enum {
    BELT_MPMC_RUN_SHIFT = 3,
    BELT_MPMC_RUN_MAX = 63,
    BELT_MPMC_OWNER_SHIFT = 9,
    BELT_MPMC_TICKET_SHIFT = 17,
    BELT_MPMC_PREFETCHED = 16, /* lines of a run */
    BELT_MPMC_AHEAD = 16,      /* slots, of single items */
    /* Pops in a row before a reader asks for lines ahead: near the writer it would
     * take them out of its hands. */
    BELT_MPMC_STREAM = 64
};

static inline uint64_t *belt_mpmc_slot(char *first, uint32_t mask, uint32_t slot_size,
                                       uint64_t ticket)
{
    return (uint64_t *)(void *)(first + (size_t)((uint32_t)ticket & mask) * slot_size);
}

static inline uint64_t belt_mpmc_word(uint64_t ticket, uint32_t owner, uint32_t run,
                                      enum belt_mpmc_state state)
{
    return ticket << BELT_MPMC_TICKET_SHIFT | (uint64_t)owner << BELT_MPMC_OWNER_SHIFT |
           run << BELT_MPMC_RUN_SHIFT | (uint32_t)state;
}

static inline enum belt_mpmc_state belt_mpmc_state_of(uint64_t word)
{
    return (enum belt_mpmc_state)(word & 7);
}

/* At least 1, whatever a hostile peer wrote: walks go on. */
static inline uint32_t belt_mpmc_run_of(uint64_t word)
{
    uint32_t run = (uint32_t)(word >> BELT_MPMC_RUN_SHIFT) & BELT_MPMC_RUN_MAX;
    return run ? run : 1;
}

/* How much later than `ticket` the word's is: a multiple of the ring's slots. */
static inline int64_t belt_mpmc_ahead(uint64_t word, uint64_t ticket)
{
    return (int64_t)(word - (ticket << BELT_MPMC_TICKET_SHIFT)) >> BELT_MPMC_TICKET_SHIFT;
}

/* Is it ticket's, in this state, and no owner's? */
static inline bool belt_mpmc_is(uint64_t word, uint64_t ticket, enum belt_mpmc_state state)
{
    uint64_t rest = word ^ belt_mpmc_word(ticket, 0, 0, state);
    return (rest & ~((uint64_t)BELT_MPMC_RUN_MAX << BELT_MPMC_RUN_SHIFT)) == 0;
}

static inline uint64_t belt_mpmc_look(const uint64_t *slot)
{
    /* M1, pairs with N1 in belt_mpmc_pass(): with the state come the run's slots,
     * their items written (or read) to the end, and the later words of the run. A
     * plain load could give us last lap's item, or let us overwrite one that is
     * still being copied, or show a run's later word as it was a lap ago. */
    return belt_load_acquire(slot);
}

/* Claims (takes) the run that begins here, if its word is still the one we looked at;
 * else *word is what it says now. */
static inline bool belt_mpmc_own(uint64_t *slot, uint64_t *word, uint64_t own)
{
    /* Relaxed: M1 acquired the word that this replaces, and nobody reads anything
     * because of ours. */
    if (belt_cas_relaxed(slot, word, own))
        return true;
    *word = belt_mpmc_look(slot);
    return false;
}

/* A run that is ours, or a word of it, goes on to whoever waits for it. */
static inline void belt_mpmc_pass(uint64_t *slot, uint64_t word)
{
    /* N1, pairs with M1 in belt_mpmc_look(): our stores to (loads of) the items, and
     * the words of the run that we stored before this one. */
    belt_store_release(slot, word);
}

/* Brings the line to be written here before a locked instruction waits for it. */
static inline void belt_mpmc_prefetch(const void *at)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
#endif
}

/* All lines of a run at once, but not more than the processor has in flight. */
static inline void belt_mpmc_prefetch_run(const char *at, size_t bytes)
{
    size_t most = (size_t)BELT_MPMC_PREFETCHED * BELT_LINE;
    for (const char *end = at + (bytes < most ? bytes : most); at < end; at += BELT_LINE)
        belt_mpmc_prefetch(at);
}

/* After a single item: the line that this end comes to BELT_MPMC_AHEAD slots later, asked
 * for once a line. */
static inline void belt_mpmc_prefetch_ahead(char *first, uint32_t mask, uint32_t slot_size,
                                            uint64_t ticket)
{
    const uint64_t *slot = belt_mpmc_slot(first, mask, slot_size, ticket + BELT_MPMC_AHEAD);
    if (((uintptr_t)slot & (BELT_LINE - 1)) < slot_size)
        belt_mpmc_prefetch(slot);
}

/* From tx->next (rx->next) on, to the first run that can be claimed (taken): true,
 * the end's `next` is there, *word is its first word. False: full (empty). */
BELT_API bool belt_mpmc_seek_free(struct belt_tx *tx, uint64_t *word);
BELT_API bool belt_mpmc_seek_filled(struct belt_rx *rx, uint64_t *word);

/* The hint for who opens or has long slept: four times a lap. */
static inline void belt_mpmc_hint(struct belt_tx *tx, uint64_t from, uint64_t to)
{
    if ((from ^ to) > tx->mask >> 2)
        /* N2, pairs with M2 in hinted() of rings/mpmc.c: who starts from here must see
         * that all before is claimed, as we saw it. */
        belt_store_release(&tx->ring->published, to);
}

static inline bool belt_mpmc_push(struct belt_tx *tx, const void *item, size_t size)
{
    if (tx->closed)
        return false;
    uint64_t *slot = belt_mpmc_slot(tx->first, tx->mask, tx->slot_size, tx->next);
    uint64_t word = belt_mpmc_look(slot);
    do {
        if (!belt_mpmc_is(word, tx->next, BELT_MPMC_FREE)) {
            if (!belt_mpmc_seek_free(tx, &word))
                return false;
            slot = belt_mpmc_slot(tx->first, tx->mask, tx->slot_size, tx->next);
        }
    } while (!belt_mpmc_own(slot, &word, belt_mpmc_word(tx->next, tx->me, 1, BELT_MPMC_CLAIMED)));
    uint64_t ticket = tx->next++;
    belt_data_store(slot + 1, item, size);
    belt_mpmc_pass(slot, belt_mpmc_word(ticket, 0, 1, BELT_MPMC_FILLED));
    belt_mpmc_prefetch_ahead(tx->first, tx->mask, tx->slot_size, ticket);
    belt_mpmc_hint(tx, ticket, ticket + 1);
    belt_bell_ring(&tx->ring->readers_bell);
    return true;
}

static inline bool belt_mpmc_pop(struct belt_rx *rx, void *item, size_t size)
{
    uint64_t *slot = belt_mpmc_slot(rx->first, rx->mask, rx->slot_size, rx->next);
    uint64_t word = belt_mpmc_look(slot);
    do {
        if (!belt_mpmc_is(word, rx->next, BELT_MPMC_FILLED)) {
            if (!belt_mpmc_seek_filled(rx, &word))
                return false;
            slot = belt_mpmc_slot(rx->first, rx->mask, rx->slot_size, rx->next);
        }
    } while (!belt_mpmc_own(slot, &word, belt_mpmc_word(rx->next, rx->me, 1, BELT_MPMC_TAKEN)));
    uint64_t ticket = rx->next++;
    belt_data_load(item, slot + 1, size);
    belt_mpmc_pass(slot, belt_mpmc_word(ticket + rx->mask + 1, 0, 1, BELT_MPMC_FREE));
    if (++rx->stream > BELT_MPMC_STREAM)
        belt_mpmc_prefetch_ahead(rx->first, rx->mask, rx->slot_size, ticket);
    belt_bell_ring(&rx->ring->writers_bell);
    return true;
}

#endif
