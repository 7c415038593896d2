/* Waking whoever sleeps beside a ring; included by ring.h.
 *
 * The sleeper pays: it stores its bit into the bell, makes every other process's
 * earlier stores visible (membarrier), looks at the ring once more and only then
 * sleeps. A writer pays one plain load after each publish, of a line that nobody
 * writes while nobody sleeps. */
#ifndef BELT_BELL_H
#define BELT_BELL_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

/* Who sleeps: some in a futex, and up to 31 each behind a socket of its own. */
enum { BELT_BELL_FUTEX = 1, BELT_BELL_FDS = 31 };

/* Wakes them all. Some microseconds: system calls. */
BELT_API void belt_bell_ring_slow(struct belt_bell *bell);

/* After every publish (release). */
static inline void belt_bell_ring(struct belt_bell *bell)
{
    /* W1, pairs with S1 in belt_bells_arm() of rings/bell.c: its membarrier makes this
     * compiler fence a full one. Without it the load could be done before the
     * publishing store is visible, both sides would miss, and the sleeper would
     * sleep beside a filled ring. */
    belt_fence_compiler();
    /* Relaxed: the fence has ordered it, and the word carries no data. */
    if (__builtin_expect(belt_load_relaxed32(&bell->asleep) != 0, 0))
        belt_bell_ring_slow(bell);
}

#endif
