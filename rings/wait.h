/* Waiting: the sleeper pays.
 *
 * A thread that is about to sleep says so in a word that its peers can read,
 * makes every peer's earlier stores visible (membarrier), looks once more, and
 * only then blocks in ppoll on its eventfd and whatever else it waits for. A
 * peer that publishes pays one plain load of that word and no fence.
 *
 *     sleeper                              waker
 *     belt_sleep_prepare(sleep)            belt_publish(tx, n)
 *     look again: anything?                belt_wake(sleep, fd)
 *     ppoll(fd and others)
 *     belt_sleep_done(sleep, fd)
 *
 * Either the waker's load sees the word and it writes to the eventfd, or the
 * sleeper's second look sees what was published: never neither.
 *
 * Progress: only ppoll blocks. Cost: a wake one load, or a system call when somebody
 * sleeps; prepare a membarrier (0.4 us, more when another CPU runs a waker). */
#ifndef BELT_WAIT_H
#define BELT_WAIT_H

#include "api.h"
#include "atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_wait {
    BELT_WAIT_BACKOFF = 0, /* spin some microseconds, yield some times, then sleep */
    BELT_WAIT_SPIN,        /* never leaves the CPU: wants one of its own */
    BELT_WAIT_YIELD,       /* never sleeps, but lets others run */
    BELT_WAIT_BLOCK        /* sleeps at once */
};

/* ---- how long to look before sleeping ------------------------------------------ */

enum belt_idle_did { BELT_IDLE_SPUN, BELT_IDLE_YIELDED, BELT_IDLE_SLEEP };

struct belt_idle {
    enum belt_wait wait;
    uint32_t step; /* looks in vain since the last reset */
};

static inline struct belt_idle belt_idle_of(enum belt_wait wait)
{
    struct belt_idle idle = { wait, 0 };
    return idle;
}

/* After every look that found something. */
static inline void belt_idle_reset(struct belt_idle *idle)
{
    idle->step = 0;
}

/* After a look in vain: pauses or yields, and says which; then look again.
 * BELT_IDLE_SLEEP: nothing was done, the caller is to sleep now. */
BELT_API enum belt_idle_did belt_idle_step(struct belt_idle *idle);

/* ---- sleeping ------------------------------------------------------------------ */

enum belt_scope {
    BELT_THREADS = 0, /* all wakers are threads of the sleeper's process */
    BELT_PROCESSES    /* some are not */
};

enum { BELT_ASLEEP = 1, BELT_FENCED = 2 };

/* In memory that sleeper and wakers share, on a line nobody else writes. */
struct belt_sleep {
    uint32_t asleep; /* sleeper only: BELT_ASLEEP | BELT_FENCED (wakers must fence) */
    uint32_t scope;  /* enum belt_scope; set by belt_sleep_init */
};

/* Registers the process for membarrier; once is enough, more is harmless, any
 * thread. 0, or -errno when the kernel or a filter forbids it: sleepers made
 * afterwards then ask their wakers for a full fence. */
BELT_API int belt_wait_setup(void);

/* In the sleeper's process, before any waker runs. */
BELT_API void belt_sleep_init(struct belt_sleep *sleep, enum belt_scope scope);
/* In every further process that will wake it, before the first belt_wake. 0, or
 * -errno: this process cannot be reached by membarrier and must not take part. */
BELT_API int belt_sleep_join(const struct belt_sleep *sleep);

/* A non-blocking eventfd, closed on exec; or -errno. The caller's. */
BELT_API int belt_sleep_fd(void);

/* Sleeper only. After prepare: look again, and block only if there is nothing. */
BELT_API void belt_sleep_prepare(struct belt_sleep *sleep);
/* Whether or not it did block. Empties the eventfd. */
BELT_API void belt_sleep_done(struct belt_sleep *sleep, int fd);

/* The rest of belt_wake(), when somebody may be asleep. */
BELT_API void belt_wake_slow(const struct belt_sleep *sleep, int fd);

/* After publishing. Any thread; `fd` is the sleeper's eventfd. */
static inline void belt_wake(const struct belt_sleep *sleep, int fd)
{
    /* W1, pairs with S1 in belt_sleep_prepare(): its membarrier makes this
     * compiler fence a full one. Without it the load could be done before the
     * publishing store is visible, both sides would miss, and the sleeper
     * would sleep on a full ring. */
    belt_fence_compiler();
    /* Relaxed: the fence has ordered it, and the word carries no data. */
    if (__builtin_expect(belt_load_relaxed32(&sleep->asleep) != 0, 0))
        belt_wake_slow(sleep, fd);
}

#ifdef __cplusplus
}
#endif
#endif
