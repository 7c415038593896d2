/* What mpmc.c and reap.c share. */
#ifndef BELT_MPMC_PRIV_H
#define BELT_MPMC_PRIV_H

#include "rings/kind_priv.h"

/* The slots of a BELT_MPMC ring, by our own copy of its geometry. */
struct belt_mpmc {
    char *first;
    uint32_t mask, slot_size;
};

static inline uint64_t *belt_mpmc_at(const struct belt_mpmc *q, uint64_t ticket)
{
    return belt_mpmc_slot(q->first, q->mask, q->slot_size, ticket);
}

/* Stores the words of `n` slots of one state, nobody's, the first one last: until
 * then the run is still what its first word said before. Doing it again, from
 * any place in between, is harmless. */
static inline void belt_mpmc_pass_run(const struct belt_mpmc *q, uint64_t ticket, uint32_t n,
                                      enum belt_mpmc_state state)
{
    for (uint32_t i = n; i-- > 0;)
        belt_mpmc_pass(belt_mpmc_at(q, ticket + i), belt_mpmc_word(ticket + i, 0, n - i, state));
}

/* A taken (clearing) run becomes filled (void) again, as far as it was not made
 * free from behind: how many slots that were. Somebody must ring `reaps` then. */
uint32_t belt_mpmc_put_back(const struct belt_mpmc *q, uint64_t ticket, uint32_t n,
                            enum belt_mpmc_state state);
/* Readers start anew: something is there again behind them. */
void belt_mpmc_returned(struct belt_ring *ring);

#endif
