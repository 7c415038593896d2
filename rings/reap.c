/* What dead processes held of a BELT_MPMC ring comes back.
 *
 * Every step may be the last of a process that reaps: the next one finds the dead
 * still among the owners and does it all again, which changes nothing that was
 * done. Runs are remade from behind, so the first word, which names the dead,
 * goes last; the dead leave the owners' table after their last run. */
#include "rings/mpmc_priv.h"

#include <errno.h>

uint32_t belt_mpmc_put_back(const struct belt_mpmc *q, uint64_t ticket, uint32_t n,
                            enum belt_mpmc_state state)
{
    uint32_t left = 1; /* the first word, which is the last to go */
    while (left < n &&
           belt_mpmc_is(belt_mpmc_look(belt_mpmc_at(q, ticket + left)), ticket + left, state))
        left++;
    belt_mpmc_pass_run(q, ticket, left, state);
    return left;
}

void belt_mpmc_returned(struct belt_ring *ring)
{
    /* N3, pairs with M3 in begin_filled() of rings/mpmc.c: the words of what came back. */
    belt_fetch_add_release(&ring->reaps, 1);
    belt_bell_ring(&ring->readers_bell);
}

/* ---- one at a time --------------------------------------------------------------- */

static int reaper_enter(struct belt_ring *ring, belt_owner self)
{
    /* Relaxed: the compare-and-swap verifies it. */
    uint64_t holder = belt_load_relaxed(&ring->reaper);
    if (holder != 0 && belt_owner_alive(holder))
        return -EBUSY;
    /* O2, pairs with P2 in reaper_leave(): what the last one did to the words. Without it
     * we could find the same dead once more, with what they held then, and give away
     * what others use by now. A dead reaper's is there by the kernel's word. */
    return belt_cas_acquire(&ring->reaper, &holder, self) ? 0 : -EBUSY;
}

static void reaper_leave(struct belt_ring *ring)
{
    /* P2, pairs with O2 in reaper_enter(): all that we did to the words. */
    belt_store_release(&ring->reaper, 0);
}

/* ---- the dead --------------------------------------------------------------------- */

struct dead {
    uint32_t count;
    belt_owner owners[BELT_MPMC_OWNERS]; /* 0: empty, or alive */
};

static void find_dead(struct dead *dead, const belt_owner *words)
{
    dead->count = 0;
    for (uint32_t i = 0; i < BELT_MPMC_OWNERS; i++) {
        /* Relaxed: a name to ask the kernel about, and with its word comes all that the
         * dead did. A word goes from one to the next only by a reaper's hand. */
        belt_owner owner = belt_load_relaxed(&words[i]);
        bool died = owner != 0 && !belt_owner_alive(owner);
        dead->owners[i] = died ? owner : 0;
        dead->count += died;
    }
}

static bool is_dead(const struct dead *dead, uint32_t index)
{
    return index > 0 && dead->owners[index - 1] != 0; /* 8 bits: at most BELT_MPMC_OWNERS */
}

/* The run that begins here, if a dead process has it. */
static void return_run(const struct belt_mpmc *q, uint64_t at, const struct dead *dead,
                       struct belt_reaped *out)
{
    uint64_t word = belt_mpmc_look(belt_mpmc_at(q, at));
    uint32_t owner = (uint32_t)(word >> BELT_MPMC_OWNER_SHIFT) & 0xff;
    if (!is_dead(dead, owner))
        return;
    uint32_t run = belt_mpmc_run_of(word), to_end = q->mask + 1 - (uint32_t)at;
    uint64_t ticket = word >> BELT_MPMC_TICKET_SHIFT;
    if (run > to_end || (ticket & q->mask) != at) /* no word of ours: a hostile peer's */
        return;
    switch (belt_mpmc_state_of(word)) {
    case BELT_MPMC_CLAIMED:
        belt_mpmc_pass_run(q, ticket, run, BELT_MPMC_VOID);
        out->gaps += run;
        return;
    case BELT_MPMC_TAKEN:
        out->returned += belt_mpmc_put_back(q, ticket, run, BELT_MPMC_FILLED);
        return;
    case BELT_MPMC_CLEARING: belt_mpmc_put_back(q, ticket, run, BELT_MPMC_VOID); return;
    default: return;
    }
}

static void reap(struct belt_ring *ring, const struct belt_mpmc *q, struct belt_reaped *out)
{
    belt_owner *words = belt_ring_owners(ring);
    struct dead dead;
    find_dead(&dead, words);
    if (dead.count == 0)
        return;
    for (uint64_t at = 0; at <= q->mask; at++)
        return_run(q, at, &dead, out);
    belt_mpmc_returned(ring);
    for (uint32_t i = 0; i < BELT_MPMC_OWNERS; i++)
        if (dead.owners[i])
            /* Relaxed: our looks at the slots are over, M1 lets nothing overtake them. Whoever
             * gets the word writes its number into slots only because it got it. */
            belt_cas_relaxed(&words[i], &dead.owners[i], 0);
    out->processes = dead.count;
}

int belt_ring_reap(struct belt_mem mem, struct belt_reaped *out)
{
    struct belt_reaped own = { 0, 0, 0 };
    struct belt_ring head, *ring = (struct belt_ring *)mem.base;
    int rc = belt_ring_at(mem, &head);
    if (rc < 0)
        return rc;
    if (head.kind != BELT_MPMC)
        return -ENOTSUP;
    belt_owner self = belt_owner_self(&rc);
    if (rc == 0)
        rc = reaper_enter(ring, self);
    if (rc < 0)
        return rc;
    struct belt_mpmc q = { (char *)ring + head.head_size, head.slots - 1, head.slot_size };
    reap(ring, &q, &own);
    reaper_leave(ring);
    if (out)
        *out = own;
    return 0;
}
