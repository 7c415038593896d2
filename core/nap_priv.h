/* The sleep of a worker, which is another process: a word that it and those who have
 * something for it share. A plain futex, since an eventfd would cost it a second
 * system call, and since who wakes it need not know who it is. */
#ifndef BELT_NAP_PRIV_H
#define BELT_NAP_PRIV_H

#include <stdint.h>

#include "rings/atomic.h"

/* Sleeper: says that it is about to sleep. Then look again; then belt_nap(). */
static inline void belt_nap_prepare(uint32_t *asleep)
{
    belt_store_relaxed32(asleep, 1);
    /* S1, pairs with W1 in belt_nap_end(): either we see what was published, or who
     * published sees the word. Without it both could miss. */
    belt_fence_seq();
}

/* Sleeper: there was something after all. */
static inline void belt_nap_cancel(uint32_t *asleep)
{
    belt_store_relaxed32(asleep, 0); /* relaxed: a waker that missed it calls in vain */
}

/* Sleeps until the word is cleared, or a while. */
void belt_nap(uint32_t *asleep);
void belt_nap_wake(uint32_t *asleep);

/* A gate is 1 as long as it is shut; who opens it has written what those behind it read. */
void belt_gate_wait(uint32_t *gate);
void belt_gate_open(uint32_t *gate);

/* After publishing. Any thread of any process. */
static inline void belt_nap_end(uint32_t *asleep)
{
    /* W1, pairs with S1 in belt_nap_prepare(). */
    belt_fence_seq();
    if (__builtin_expect(belt_load_relaxed32(asleep) != 0, 0)) /* relaxed: the fence orders */
        belt_nap_wake(asleep);
}

#endif
