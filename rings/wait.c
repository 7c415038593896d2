/* For syscall and eventfd. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rings/wait.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Looks before the next rung of the ladder. A pause is 25 to 32 ns on the
 * machine measured, a yield 0.5 us: about 5 us of pauses, then 16 us of yields,
 * together what a sleep and its wake-up cost (38 us round trip). */
enum { PAUSES = 192, YIELDS = 32, FOR_EVER = INT32_MAX };

static const struct {
    uint32_t pauses, yields;
} ladder[] = {
    [BELT_WAIT_BACKOFF] = { PAUSES, YIELDS },
    [BELT_WAIT_SPIN] = { FOR_EVER, 0 },
    [BELT_WAIT_YIELD] = { PAUSES, FOR_EVER },
    [BELT_WAIT_BLOCK] = { 0, 0 },
};

enum belt_idle_did belt_idle_step(struct belt_idle *idle)
{
    uint32_t pauses = ladder[idle->wait].pauses, yields = ladder[idle->wait].yields;
    if (idle->step < pauses) {
        idle->step += pauses < FOR_EVER;
        belt_pause();
        return BELT_IDLE_SPUN;
    }
    if (idle->step - pauses < yields) {
        idle->step += yields < FOR_EVER;
        sched_yield();
        return BELT_IDLE_YIELDED;
    }
    return BELT_IDLE_SLEEP;
}

static int membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

int belt_wait_setup(void)
{
    /* Both: the same process may wake threads of its own and be woken by others. */
    int rc = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    return rc < 0 ? rc : membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

/* The commands are tried, not only registered: a filter may allow one alone. */
static int scope_command(uint32_t scope)
{
    return scope == BELT_THREADS ? MEMBARRIER_CMD_PRIVATE_EXPEDITED
                                 : MEMBARRIER_CMD_GLOBAL_EXPEDITED;
}

void belt_sleep_init(struct belt_sleep *sleep, enum belt_scope scope)
{
    bool ordered = belt_wait_setup() == 0 && membarrier(scope_command(scope)) == 0;
    sleep->scope = scope;
    /* Relaxed: no waker runs yet. */
    belt_store_relaxed32(&sleep->asleep, ordered ? 0 : BELT_FENCED);
}

int belt_sleep_join(const struct belt_sleep *sleep)
{
    /* Relaxed: BELT_FENCED was set before this process could know the word. */
    if (belt_load_relaxed32(&sleep->asleep) & BELT_FENCED)
        return 0;
    return belt_wait_setup();
}

int belt_sleep_fd(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void belt_sleep_prepare(struct belt_sleep *sleep)
{
    /* Relaxed, here and in done: only the sleeper writes the word. */
    uint32_t word = belt_load_relaxed32(&sleep->asleep);
    belt_store_relaxed32(&sleep->asleep, word | BELT_ASLEEP);
    /* S1, pairs with W1 in belt_wake() or with W2 in belt_wake_slow(): orders
     * the word before our second look, and each waker's publishing store before
     * its load of the word. Without it each side could miss the other. A
     * membarrier is a full barrier for its caller, too. */
    if (word & BELT_FENCED)
        belt_fence_seq();
    else
        membarrier(scope_command(sleep->scope));
}

void belt_sleep_done(struct belt_sleep *sleep, int fd)
{
    uint32_t word = belt_load_relaxed32(&sleep->asleep);
    belt_store_relaxed32(&sleep->asleep, word & ~(uint32_t)BELT_ASLEEP);
    /* A wake-up written after this read is a spurious one next time: harmless. */
    uint64_t wakes;
    while (read(fd, &wakes, sizeof wakes) < 0 && errno == EINTR)
        ;
}

void belt_wake_slow(const struct belt_sleep *sleep, int fd)
{
    uint32_t word = belt_load_relaxed32(&sleep->asleep);
    if (word & BELT_FENCED) {
        /* W2, pairs with S1: what the sleeper's membarrier would do for us. */
        belt_fence_seq();
        word = belt_load_relaxed32(&sleep->asleep);
    }
    if (!(word & BELT_ASLEEP))
        return;
    /* EAGAIN means the counter is full, so the fd is readable already. */
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}
