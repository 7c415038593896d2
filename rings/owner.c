/* Who owns what: processes by pid and start time, and whether they live. */
#include "rings/kind_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PID_BITS = 22, START_FIELD = 22 };

/* Field 22 of /proc/PID/stat, clock ticks since boot, or -errno. */
static int64_t start_time(const char *path)
{
    char text[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    int rc = n < 0 ? -errno : -ESRCH; /* nothing to read: it has just gone */
    close(fd);
    if (n <= 0)
        return rc;
    text[n] = '\0';
    /* The program's name, field 2, may hold spaces and brackets. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at ? (int64_t)strtoull(at, NULL, 10) : -EIO;
}

static belt_owner owner_of(pid_t pid, int64_t start)
{
    return (uint64_t)start << PID_BITS | (uint64_t)pid;
}

belt_owner belt_owner_self(int *rc)
{
    int64_t start = start_time("/proc/self/stat");
    *rc = start < 0 ? -ESRCH : 0;
    return start < 0 ? 0 : owner_of(getpid(), start);
}

static int pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0u);
}

/* Does the process behind the pid have that start time? Yes when nobody tells. */
static bool started_so(belt_owner owner, pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int64_t start = start_time(path);
    return start < 0 ? start != -ESRCH : owner_of(pid, start) == owner;
}

/* The descriptor first: from then on the number cannot go to another process
 * unnoticed. If what has the number now started at another time, ours is gone; if
 * not, the descriptor is of ours, and tells when its last thread has gone. */
bool belt_owner_alive(belt_owner owner)
{
    pid_t pid = (pid_t)(owner & ((1u << PID_BITS) - 1));
    if (pid == 0)
        return false;
    int fd = pidfd_open(pid);
    if (fd < 0 && (errno == ESRCH || errno == EINVAL || errno == ENOENT))
        return false; /* nobody's number, or that of a thread of somebody else */
    if (fd < 0)       /* forbidden, or no descriptor left: ask with less */
        return !(kill(pid, 0) < 0 && errno == ESRCH) && started_so(owner, pid);
    struct pollfd gone = { .fd = fd, .events = POLLIN };
    bool alive = started_so(owner, pid) && poll(&gone, 1, 0) == 0;
    close(fd);
    return alive;
}

static bool was_never_taken(belt_owner owner)
{
    return owner == 0;
}

static bool was_given_back(belt_owner owner)
{
    return owner == BELT_OWNER_LEFT;
}

int belt_owner_take(belt_owner *words, uint32_t n, belt_owner self)
{
    static bool (*const vacant[])(belt_owner) = { belt_owner_died, was_never_taken,
                                                  was_given_back };
    for (uint32_t v = 0; v < sizeof vacant / sizeof *vacant; v++)
        for (uint32_t i = 0; i < n; i++) {
            /* Relaxed: the compare-and-swap verifies it. */
            uint64_t seen = belt_load_relaxed(&words[i]);
            /* O1, pairs with R6 in belt_role_leave() of rings/ring.c: the last owner's loads
             * and stores of the ring are over. A dead one's are, by the kernel's word. */
            if (vacant[v](seen) && belt_cas_acquire(&words[i], &seen, self))
                return (int)i;
        }
    return -EBUSY;
}

int belt_owner_join(belt_owner *words, uint32_t n, belt_owner self)
{
    for (uint32_t i = 0; i < n; i++)
        if (belt_load_relaxed(&words[i]) == self) /* relaxed: this process stored it */
            return (int)i;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t seen = 0;
        /* Relaxed: what the last owner had in the ring was given away before the word was
         * cleared, as reap() of rings/reap.c tells, and slots are seen by M1. */
        if (belt_cas_relaxed(&words[i], &seen, self) || seen == self)
            return (int)i;
    }
    return -EBUSY;
}
