/* What the rings ask of the system: futexes and barriers are steps of the model,
 * time stands still, a process is a thread. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>

#include "rings/kind_priv.h"
#include "tests/proofs/model_priv.h"

enum { PIDFD = 1000, STATFD = 1001 };

static struct model_site futex_site(const struct model_site *site, const char *name)
{
    struct model_site here = *site;
    here.name = name;
    here.same = UINT16_MAX; /* the kernel's own order is not ours to weaken */
    return here;
}

static long sleep_on(const struct model_site *site, void *word, uint32_t value, bool last)
{
    struct model_site wait = futex_site(site, "sleep");
    uint64_t expected = value;
    uint64_t rc = model_step_as(&wait, MODEL_FUTEX_WAIT, MODEL_ORDERED, word, 4, last, &expected);
    errno = rc ? EAGAIN : 0;
    return rc ? -1 : 0;
}

static long futex(const struct model_site *site, void *word, int operation, uint32_t value)
{
    struct model_site wake = futex_site(site, "wake");
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: return sleep_on(site, word, value, true);
    case FUTEX_WAKE:
        model_step_as(&wake, MODEL_FUTEX_WAKE, MODEL_ORDERED, word, 4, 0, NULL);
        return 0;
    default: model_fail("futex operation %d is not in the model", operation);
    }
}

/* The kernel queues for one word after the other, looking at each. */
static long futex_waitv(const struct model_site *site, const struct futex_waitv *waits, int count)
{
    for (int i = 0; i < count; i++)
        if (sleep_on(site, (void *)(uintptr_t)waits[i].uaddr, (uint32_t)waits[i].val,
                     i == count - 1) < 0)
            return -1;
    return 0;
}

/* Whether the process behind a pid is gone. */
static bool is_gone(long pid)
{
    return pid < 1 || pid > MODEL_THREADS || model_fate_of((unsigned)pid - 1) == MODEL_DIED;
}

long model_syscall(const struct model_site *site, long number, ...)
{
    va_list list;
    va_start(list, number);
    void *first = va_arg(list, void *);
    int operation = (int)va_arg(list, long);
    uint32_t value = (uint32_t)va_arg(list, long);
    va_end(list);
    int command = (int)(intptr_t)first;
    if (number == SYS_pidfd_open) {
        errno = ESRCH;
        return is_gone(command) ? -1 : PIDFD;
    }
    if (model.cold)
        return 0;
    if (number == SYS_membarrier) {
        if (command == MEMBARRIER_CMD_GLOBAL_EXPEDITED ||
            command == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
            model_step(site, NULL, 0, 0, NULL);
        return 0;
    }
    if (number == SYS_futex_waitv)
        return futex_waitv(site, first, operation);
    if (number != SYS_futex)
        model_fail("system call %ld is not in the model", number);
    return futex(site, first, operation, value);
}

/* ---- processes ------------------------------------------------------------------- */

static unsigned cold_thread;

void model_be(unsigned thread)
{
    cold_thread = thread;
}

int model_getpid(void)
{
    return 1 + (int)(model.self < 0 ? cold_thread : (unsigned)model.self);
}

/* Of /proc/PID/stat: all were started at the same time. */
int model_open(const char *path, int flags, ...)
{
    (void)path;
    (void)flags;
    return STATFD;
}

ssize_t model_read(int fd, void *to, size_t size)
{
    int n = fd == STATFD ? snprintf(to, size,
                                    "1 (p) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "
                                    "18 19 20 21 99 23")
                         : 0;
    return n;
}

int model_close(int fd)
{
    (void)fd;
    return 0;
}

/* Of a pidfd that could be opened: pidfd_open has asked already. */
int model_poll(struct pollfd *fds, unsigned long count, int timeout)
{
    (void)fds;
    (void)count;
    (void)timeout;
    return 0;
}

int model_clock_gettime(int clock, struct timespec *out)
{
    (void)clock;
    *out = (struct timespec){ .tv_sec = 1000 };
    return 0;
}
