/* How long to look, and sleeping beside a word. */
#include <linux/membarrier.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"

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

Test(sleep, may_end_without_having_been_woken)
{
    struct belt_sleep sleep;
    int fd = belt_sleep_fd();
    belt_sleep_init(&sleep, BELT_THREADS);
    belt_sleep_prepare(&sleep);
    belt_sleep_done(&sleep, fd);
    cr_assert_eq(sleep.asleep & BELT_ASLEEP, 0);
    close(fd);
}

Test(sleep, is_woken_by_a_counter_that_is_full_already)
{
    struct belt_sleep sleep;
    uint64_t full = UINT64_MAX - 1;
    int fd = belt_sleep_fd();
    belt_sleep_init(&sleep, BELT_THREADS);
    belt_sleep_prepare(&sleep);
    cr_assert_eq(write(fd, &full, sizeof full), sizeof full);
    belt_wake(&sleep, fd);
    cr_assert(readable(fd));
    belt_sleep_done(&sleep, fd);
    close(fd);
}

static int interrupted;

static long interrupted_once(long fd, long bytes)
{
    (void)fd;
    (void)bytes;
    return interrupted++ ? -EAGAIN : -EINTR;
}

static int wake_by_interrupted_call(void *arg)
{
    struct belt_sleep sleep = { .asleep = BELT_ASLEEP };
    long call = *(long *)arg;
    interrupted = 0;
    CHILD_CHECK(answer_for(call, interrupted_once) == 0);
    if (call == SYS_write)
        belt_wake(&sleep, 99);
    else
        belt_sleep_done(&sleep, 99);
    CHILD_CHECK(interrupted == 2);
    return 0;
}

Test(sleep, tries_interrupted_calls_again)
{
    static long calls[] = { SYS_read, SYS_write };
    for (int i = 0; i < 2; i++)
        expect_refused(wake_by_interrupted_call, &calls[i]);
}

/* ---- where the kernel refuses ------------------------------------------------ */

static int sleep_with_fences(void *arg)
{
    struct belt_sleep sleep;
    int fd = belt_sleep_fd();
    (void)arg;
    belt_sleep_init(&sleep, BELT_PROCESSES);
    CHILD_CHECK(sleep.asleep == BELT_FENCED);
    CHILD_CHECK(belt_sleep_join(&sleep) == 0);
    belt_sleep_prepare(&sleep);
    belt_wake(&sleep, fd);
    CHILD_CHECK(readable(fd));
    belt_sleep_done(&sleep, fd);
    return 0;
}

static int without_membarrier(void *arg)
{
    CHILD_CHECK(refuse(SYS_membarrier, ENOSYS) == 0);
    CHILD_CHECK(belt_wait_setup() == -ENOSYS);
    return sleep_with_fences(arg);
}

static int without_registering(void *arg)
{
    CHILD_CHECK(refuse_if(SYS_membarrier, 0, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, EPERM) == 0);
    CHILD_CHECK(belt_wait_setup() == -EPERM);
    return sleep_with_fences(arg);
}

static int without_commands(void *arg)
{
    CHILD_CHECK(refuse_if(SYS_membarrier, 0, MEMBARRIER_CMD_GLOBAL_EXPEDITED, EPERM) == 0);
    CHILD_CHECK(belt_wait_setup() == 0);
    return sleep_with_fences(arg);
}

Test(sleep, has_its_wakers_fence_where_membarrier_is_refused)
{
    expect_refused(without_membarrier, NULL);
    expect_refused(without_registering, NULL);
    expect_refused(without_commands, NULL);
}

static int join_refused(void *arg)
{
    struct belt_sleep sleep;
    (void)arg;
    belt_sleep_init(&sleep, BELT_PROCESSES);
    CHILD_CHECK(refuse(SYS_membarrier, EPERM) == 0);
    CHILD_CHECK(belt_sleep_join(&sleep) == -EPERM);
    return 0;
}

Test(sleep, keeps_out_a_waker_that_cannot_be_reached)
{
    expect_refused(join_refused, NULL);
}

static int no_eventfd(void *arg)
{
    (void)arg;
    CHILD_CHECK(refuse(SYS_eventfd2, EMFILE) == 0);
    CHILD_CHECK(belt_sleep_fd() == -EMFILE);
    return 0;
}

Test(sleep, tells_that_there_is_no_descriptor_left)
{
    expect_refused(no_eventfd, NULL);
}
