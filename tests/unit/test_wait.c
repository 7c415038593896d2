#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/wait.h"

enum { LOOKS = 100000 };

static unsigned count(enum belt_wait wait, enum belt_idle_did what)
{
    struct belt_idle idle = belt_idle_of(wait);
    unsigned n = 0;
    for (int i = 0; i < LOOKS / 100; i++)
        n += belt_idle_step(&idle) == what;
    return n;
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct timespec now = { 0, 0 };
    return ppoll(&p, 1, &now, NULL) == 1;
}

Test(idle, backs_off_from_spinning_to_yielding_to_sleeping)
{
    struct belt_idle idle = belt_idle_of(BELT_WAIT_BACKOFF);
    enum belt_idle_did last = BELT_IDLE_SPUN;
    int looks = 0;
    while (last != BELT_IDLE_SLEEP && looks++ < LOOKS) {
        enum belt_idle_did did = belt_idle_step(&idle);
        cr_assert_geq(did, last, "never back to an earlier rung");
        last = did;
    }
    cr_assert_eq(last, BELT_IDLE_SLEEP, "bounded");
    cr_assert_eq(belt_idle_step(&idle), BELT_IDLE_SLEEP, "and stays there");
    belt_idle_reset(&idle);
    cr_assert_eq(belt_idle_step(&idle), BELT_IDLE_SPUN);
}

Test(idle, keeps_to_its_kind)
{
    cr_assert_eq(count(BELT_WAIT_SPIN, BELT_IDLE_SPUN), LOOKS / 100);
    cr_assert_eq(count(BELT_WAIT_BLOCK, BELT_IDLE_SLEEP), LOOKS / 100);
    cr_assert_eq(count(BELT_WAIT_YIELD, BELT_IDLE_SLEEP), 0);
    cr_assert_gt(count(BELT_WAIT_YIELD, BELT_IDLE_YIELDED), 0);
}

Test(sleep, wakes_only_who_is_asleep)
{
    struct belt_sleep sleep;
    int fd = belt_sleep_fd();
    belt_sleep_init(&sleep, BELT_THREADS);
    belt_wake(&sleep, fd);
    cr_assert_not(readable(fd), "awake");
    belt_sleep_prepare(&sleep);
    belt_wake(&sleep, fd);
    belt_wake(&sleep, fd);
    cr_assert(readable(fd), "asleep");
    belt_sleep_done(&sleep, fd);
    cr_assert_not(readable(fd), "emptied");
    belt_wake(&sleep, fd);
    cr_assert_not(readable(fd), "awake again");
    close(fd);
}

Test(sleep, works_by_fences_where_membarrier_is_forbidden)
{
    struct belt_sleep sleep = { .asleep = BELT_FENCED };
    int fd = belt_sleep_fd();
    cr_assert_eq(belt_sleep_join(&sleep), 0, "nothing to register");
    belt_wake(&sleep, fd);
    cr_assert_not(readable(fd));
    belt_sleep_prepare(&sleep);
    belt_wake(&sleep, fd);
    cr_assert(readable(fd));
    belt_sleep_done(&sleep, fd);
    cr_assert_eq(sleep.asleep, BELT_FENCED, "the wakers must go on fencing");
    close(fd);
}

Test(sleep, can_be_set_up_twice)
{
    cr_assert_eq(belt_wait_setup(), belt_wait_setup());
}

Test(sleep, is_ended_by_another_process)
{
    struct belt_sleep *sleep =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(sleep, MAP_FAILED);
    int fd = belt_sleep_fd(), status;
    belt_sleep_init(sleep, BELT_PROCESSES);
    belt_sleep_prepare(sleep);
    pid_t child = fork();
    if (child == 0) {
        if (belt_sleep_join(sleep) < 0)
            _exit(1);
        belt_wake(sleep, fd);
        _exit(0);
    }
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct timespec limit = { 10, 0 };
    cr_assert_eq(ppoll(&p, 1, &limit, NULL), 1);
    belt_sleep_done(sleep, fd);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    close(fd);
    munmap(sleep, 4096);
}
