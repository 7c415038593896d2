/* What the rings ask of the system: futexes and barriers are steps of the model,
 * time stands still, a process is a thread. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "rings/kind_priv.h"
#include "tests/proofs/model_priv.h"

enum { PIDFD = 1000, STATFD = 1001, BOX = 2000 /* + thread */ };

/* Mailboxes, one a thread: how much came, and the sockets' names, as numbers, which a
 * lock keeps. */
static struct boxes {
    uint64_t mail[MODEL_THREADS], lock, name[MODEL_THREADS];
} * boxes;

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
        bool gone = is_gone(command);
        errno = ESRCH; /* last: threads share it here */
        return gone ? -1 : PIDFD;
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

/* The kernel's own step. It always finds what was there last: locked instructions
 * follow each other. */
static uint64_t kernel(unsigned kind, uint64_t *word, uint64_t value, const char *name)
{
    struct model_site site = { __FILE__, name, __LINE__, kind, MODEL_ACQ_REL, UINT16_MAX };
    return model_step_as(&site, kind, site.order, word, sizeof *word, value, NULL);
}

static ssize_t take_mail(int fd)
{
    if (kernel(MODEL_EXCHANGE, &boxes->mail[fd - BOX], 0, "receive"))
        return sizeof(uint64_t);
    errno = EAGAIN;
    return -1;
}

ssize_t model_read(int fd, void *to, size_t size)
{
    if (fd >= BOX)
        return take_mail(fd);
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

/* ---- mailboxes ------------------------------------------------------------------- */

void system_clear(void)
{
    cold_thread = 0;
    boxes = model_alloc(sizeof *boxes, 128);
    model_name(boxes->mail, sizeof boxes->mail[0], MODEL_THREADS, "mail");
    model_name(&boxes->lock, sizeof boxes->lock, 1, "sockets' names");
}

static int own_box(void)
{
    return BOX + model_getpid() - 1;
}

int model_eventfd(unsigned count, int flags)
{
    (void)count;
    (void)flags;
    return own_box();
}

ssize_t model_write(int fd, const void *from, size_t size)
{
    (void)from;
    kernel(MODEL_ADD, &boxes->mail[fd - BOX], 1, "send");
    return (ssize_t)size;
}

int model_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return own_box();
}

/* Of a socket address: FNV-1a. Never 0. */
static uint64_t number_of(const struct sockaddr *address, socklen_t length)
{
    uint64_t number = 0xcbf29ce484222325;
    for (socklen_t i = 0; i < length; i++)
        number = (number ^ ((const uint8_t *)address)[i]) * 0x100000001b3;
    return number | 1;
}

/* Whose name it is; -1: nobody's. Under the lock: up to its next step a thread is alone. */
static int box_named(uint64_t name)
{
    kernel(MODEL_ADD, &boxes->lock, 1, "look up");
    int t = MODEL_THREADS - 1;
    while (t >= 0 && boxes->name[t] != name)
        t--;
    return t;
}

int model_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    uint64_t name = number_of(address, length);
    if (box_named(name) >= 0) {
        errno = EADDRINUSE; /* last: threads share it here */
        return -1;
    }
    boxes->name[fd - BOX] = name;
    return 0;
}

ssize_t model_sendto(int fd, const void *from, size_t size, int flags,
                     const struct sockaddr *address, socklen_t length)
{
    (void)fd;
    (void)flags;
    int t = box_named(number_of(address, length));
    if (t >= 0)
        return model_write(BOX + t, from, size);
    errno = ECONNREFUSED;
    return -1;
}

ssize_t model_recv(int fd, void *to, size_t size, int flags)
{
    (void)to;
    (void)size;
    (void)flags;
    return take_mail(fd);
}

bool model_readable(void)
{
    static const struct model_site site = { __FILE__,   "epoll",       __LINE__,
                                            MODEL_LOAD, MODEL_ACQUIRE, UINT16_MAX };
    return model_step(&site, &boxes->mail[own_box() - BOX], sizeof(uint64_t), 0, NULL) != 0;
}

/* Another number for each who asks. */
ssize_t model_getrandom(void *to, size_t size, unsigned flags)
{
    (void)flags;
    memset(to, model_getpid(), size);
    return (ssize_t)size;
}
