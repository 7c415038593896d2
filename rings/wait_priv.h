/* Between bell.c, which knows bells, and ring_wait.c, which knows rings. */
#ifndef BELT_WAIT_PRIV_H
#define BELT_WAIT_PRIV_H

#include "rings/ring.h"

/* As many as futex_waitv takes. */
enum { BELT_BELLS_MAX = 128 };

/* The bells that one sleeper listens to. */
struct belt_bells {
    uint32_t count;
    bool unsure; /* a ring may fill up without our hearing of it: sleep in short slices */
    struct belt_bell *bells[BELT_BELLS_MAX];
    uint32_t rung[BELT_BELLS_MAX]; /* as seen before we armed them */
};

static inline void belt_bells_add(struct belt_bells *all, struct belt_ring *ring,
                                  struct belt_bell *bell)
{
    /* Relaxed: set before its process could publish, and sleeps end by themselves. */
    if (all->count == BELT_BELLS_MAX || belt_load_relaxed32(&ring->without_expedited))
        all->unsure = true;
    if (all->count < BELT_BELLS_MAX)
        all->bells[all->count++] = bell;
}

/* Says that we sleep: from here on who publishes rings. Then look once more.
 * `bit`: BELT_BELL_FUTEX, or that of belt_bells_listen(). */
void belt_bells_arm(struct belt_bells *all, uint32_t bit);
/* Takes it back. Only where nobody else uses the bit. */
void belt_bells_disarm(const struct belt_bells *all, uint32_t bit);
/* Until one has rung since they were armed, or CLOCK_MONOTONIC is `until` ns, or for
 * nothing. */
void belt_bells_sleep(const struct belt_bells *all, uint64_t until);

/* A non-blocking descriptor that becomes readable when one rings; or -errno. */
int belt_bells_listen(struct belt_bells *all, uint32_t *bit);
void belt_bells_drain(int fd);

/* Broadcast: the ring is full, and a dead reader is one of those that hold it so. */
bool belt_broadcast_orphaned(const struct belt_tx *tx);

#endif
