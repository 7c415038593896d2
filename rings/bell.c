/* Bells: how sleepers sleep, and what wakes them.
 *
 * A futex sleeper waits for `rung` to move on from what it was before it armed
 * the bell: the bits cannot serve for that, another sleeper may have set the same
 * ones again meanwhile.
 *
 * Descriptors cannot be shared through memory, so a sleeper in an epoll loop has a
 * datagram socket with an abstract name: the bell's number and its own, from 0 to
 * 30. The kernel frees the name when the sleeper dies, and its bit with the next
 * ring. Both processes must be in one network namespace. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rings/wait_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- names ----------------------------------------------------------------------- */

static socklen_t address_of(struct sockaddr_un *to, uint64_t name, uint32_t number)
{
    *to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    /* The first byte stays 0: that is what makes it abstract. */
    int length = snprintf(to->sun_path + 1, sizeof to->sun_path - 1, "beltway-ring-%016llx-%u",
                          (unsigned long long)name, number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int datagram_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

/* The bell's own, or one made up now: the same for all who ask. */
static int name_of(struct belt_bell *bell, uint64_t *name)
{
    uint64_t fresh = 0;
    while (fresh == 0)
        if (getrandom(&fresh, sizeof fresh, 0) < 0 && errno != EINTR)
            return -errno;
    *name = 0;
    /* Relaxed: a number, told on by W2. */
    if (belt_cas_relaxed(&bell->name, name, fresh))
        *name = fresh;
    return 0;
}

/* ---- waking ---------------------------------------------------------------------- */

/* Errors are ignored: the listener is dead, or has a byte waiting already. */
static void wake_listeners(uint64_t name, uint32_t bits)
{
    int fd = datagram_socket();
    if (fd < 0)
        return;
    for (uint32_t number = 0; number < BELT_BELL_FDS; number++) {
        if (!(bits & (2u << number)))
            continue;
        struct sockaddr_un to;
        socklen_t length = address_of(&to, name, number);
        sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    }
    close(fd);
}

void belt_bell_ring_slow(struct belt_bell *bell)
{
    int saved = errno;
    /* Whoever it was arms it again: a sleeper that died costs one call of this. S2, pairs
     * with W2 in belt_bells_arm(): the name that was stored before the bit, and the
     * sleeper's look at `rung`. Without it we could call a name that is none, or count on
     * before that look, and the sleeper would sleep through what it was rung for. */
    uint32_t bits = belt_exchange_acquire32(&bell->asleep, 0);
    if (bits & BELT_BELL_FUTEX) {
        /* Relaxed: a count; the kernel orders it against those who go to sleep on it. */
        belt_fetch_add_relaxed32(&bell->rung, 1);
        syscall(SYS_futex, &bell->rung, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    }
    if (bits & ~(uint32_t)BELT_BELL_FUTEX)
        /* Relaxed: S2 acquired it with the bit. */
        wake_listeners(belt_load_relaxed(&bell->name), bits);
    errno = saved;
}

/* ---- sleeping -------------------------------------------------------------------- */

void belt_bells_arm(struct belt_bells *all, uint32_t bit)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct belt_bell *bell = all->bells[i];
        /* Relaxed: a ring after this load changes it, one before is seen by our look. */
        all->rung[i] = belt_load_relaxed32(&bell->rung);
        /* W2, pairs with S2 in belt_bell_ring_slow(): the bell's name, our look at `rung`. */
        belt_fetch_or_release32(&bell->asleep, bit);
    }
    /* S1, pairs with W1 in belt_bell_ring() of rings/bell.h: orders the bits before our
     * second look (it is a full barrier for its caller, too), and each writer's
     * publishing store before its load of the bits. Without it each side could miss the
     * other. Where it fails nobody sleeps for long. */
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) < 0)
        all->unsure = true;
}

void belt_bells_disarm(const struct belt_bells *all, uint32_t bit)
{
    for (uint32_t i = 0; i < all->count; i++) {
        uint32_t *word = &all->bells[i]->asleep;
        uint32_t seen = belt_load_relaxed32(word); /* relaxed: the exchange below decides */
        /* Relaxed: nobody learns anything from a bit that is gone. */
        while ((seen & bit) && !belt_cas_relaxed32(word, &seen, seen & ~bit))
            ;
    }
}

static struct timespec time_of(uint64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
                              .tv_nsec = (long)(ns % 1000000000) };
}

#ifdef SYS_futex_waitv
/* 0, or -ENOSYS before Linux 5.16. */
static int sleep_any(const struct belt_bells *all, const struct timespec *until)
{
    struct futex_waitv waits[BELT_BELLS_MAX];
    for (uint32_t i = 0; i < all->count; i++)
        waits[i] = (struct futex_waitv){ .val = all->rung[i],
                                         .uaddr = (uintptr_t)&all->bells[i]->rung,
                                         .flags = FUTEX_32 };
    long rc = syscall(SYS_futex_waitv, waits, all->count, 0, until, CLOCK_MONOTONIC);
    return rc < 0 && errno == ENOSYS ? -ENOSYS : 0;
}
#else
static int sleep_any(const struct belt_bells *all, const struct timespec *until)
{
    (void)all;
    (void)until;
    return -ENOSYS;
}
#endif

void belt_bells_sleep(const struct belt_bells *all, uint64_t until)
{
    struct timespec at = time_of(until);
    if (all->count == 1) {
        syscall(SYS_futex, &all->bells[0]->rung, FUTEX_WAIT_BITSET, all->rung[0], &at, NULL,
                FUTEX_BITSET_MATCH_ANY);
        return;
    }
    struct timespec slice = { .tv_nsec = 1000 * 1000 };
    if (sleep_any(all, &at) == -ENOSYS)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &slice, NULL);
}

/* ---- descriptors ----------------------------------------------------------------- */

/* The first number that nobody who lives has bound; or -errno. */
static int bind_first(int fd, uint64_t name)
{
    for (uint32_t number = 0; number < BELT_BELL_FDS; number++) {
        struct sockaddr_un own;
        socklen_t length = address_of(&own, name, number);
        if (bind(fd, (struct sockaddr *)&own, length) == 0)
            return (int)number;
        if (errno != EADDRINUSE)
            return -errno;
    }
    return -EADDRINUSE;
}

int belt_bells_listen(struct belt_bells *all, uint32_t *bit)
{
    uint64_t name = 0;
    int rc = name_of(all->bells[0], &name);
    if (rc < 0)
        return rc;
    /* Sharded: our lanes' bells are ours alone, one socket serves them all. Relaxed: the
     * bit that makes anybody read it is set later. */
    for (uint32_t i = 1; i < all->count; i++)
        belt_store_relaxed(&all->bells[i]->name, name);
    int fd = datagram_socket();
    if (fd < 0)
        return fd;
    int number = bind_first(fd, name);
    if (number < 0) {
        close(fd);
        return number;
    }
    *bit = 2u << number;
    return fd;
}

void belt_bells_drain(int fd)
{
    char bytes[8];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
        ;
}
