/* Rings where the kernel refuses what they would like: slower, never stuck. Each
 * test in a child of its own, for filters stay. */
#include <pthread.h>
#include <stdlib.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"

enum { MS = 1000 * 1000 };

static const struct shape *const spsc = &shapes[0];

static const enum belt_wait strategies[] = { BELT_WAIT_BACKOFF, BELT_WAIT_BLOCK };

static void *push_later(void *arg)
{
    usleep(20000);
    return push(arg, 7) ? arg : NULL;
}

/* A thread wakes us, whatever the filter does. */
static int wake_up(const struct shape *s, enum belt_wait wait, bool any)
{
    struct fixture f = RING(s, .items = 8, .wait = wait), other = RING(spsc, .items = 8);
    struct belt_rx *rxs[] = { &f.rx, &other.rx };
    pthread_t thread;
    void *pushed;
    CHILD_CHECK(pthread_create(&thread, NULL, push_later, &f.tx) == 0);
    CHILD_CHECK(
        (any ? belt_rx_wait_any(rxs, 2, BELT_FOR_EVER) : belt_rx_wait(&f.rx, BELT_FOR_EVER)) == 0);
    pthread_join(thread, &pushed);
    CHILD_CHECK(pushed && pop(&f.rx) == 7);
    CHILD_CHECK(belt_rx_wait(&f.rx, belt_deadline(3 * MS)) == -ETIMEDOUT);
    CHILD_CHECK(belt_rx_wait_any(rxs, 2, belt_deadline(3 * MS)) == -ETIMEDOUT);
    done(&f);
    done(&other);
    return 0;
}

static int wake_up_all(void)
{
    for (EACH_SHAPE(s))
        for (int k = 0; k < 2; k++)
            for (int any = 0; any < 2; any++)
                CHILD_CHECK(wake_up(s, strategies[k], any) == 0);
    return 0;
}

static int without_membarrier(void *arg)
{
    (void)arg;
    CHILD_CHECK(refuse(SYS_membarrier, EPERM) == 0);
    return wake_up_all();
}

Test(ring_refused, wakes_without_membarrier, .timeout = 60)
{
    expect_refused(without_membarrier, NULL);
}

static int arm_without_membarrier(void *arg)
{
    (void)arg;
    CHILD_CHECK(refuse(SYS_membarrier, EPERM) == 0);
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        CHILD_CHECK(belt_rx_fd(&f.rx) >= 0);
        CHILD_CHECK(belt_rx_arm(&f.rx)); /* it may miss a publish: look instead of blocking */
        belt_rx_disarm(&f.rx);
        done(&f);
    }
    return 0;
}

Test(ring_refused, tells_a_loop_not_to_block_without_membarrier)
{
    expect_refused(arm_without_membarrier, NULL);
}

/* Only the other process cannot be reached. */
static int open_without_membarrier(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(refuse(SYS_membarrier, EPERM) == 0);
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    usleep(30000);
    CHILD_CHECK(push(&f->tx, 7));
    return 0;
}

Test(ring_refused, wakes_beside_a_process_without_membarrier, .timeout = 60)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 8, .wait = BELT_WAIT_BLOCK);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        pid_t child = fork_to(open_without_membarrier, &f);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0, "%s", s->name);
        cr_assert_eq(pop(&f.rx), 7);
        cr_assert(belt_rx_arm(&f.rx), "%s: unsure for ever", s->name);
        expect_exit(child, 0);
        unshare_ring(&f);
    }
}

static int without_waitv(void *arg)
{
    (void)arg;
    CHILD_CHECK(refuse(SYS_futex_waitv, ENOSYS) == 0);
    return wake_up_all();
}

Test(ring_refused, wakes_without_futex_waitv, .timeout = 60)
{
    expect_refused(without_waitv, NULL);
}

/* Futexes themselves serve the C library as well; only the timed wait is refused. */
static int without_timed_futex(void *arg)
{
    enum { FUTEX_WAIT_BITSET_OP = 9 };
    (void)arg;
    CHILD_CHECK(refuse_if(SYS_futex, 1, FUTEX_WAIT_BITSET_OP, EPERM) == 0);
    return wake_up(spsc, BELT_WAIT_BLOCK, false);
}

Test(ring_refused, looks_all_the_time_without_futexes)
{
    expect_refused(without_timed_futex, NULL);
}

/* ---- memory ------------------------------------------------------------------ */

#ifndef __SANITIZE_ADDRESS__ /* which has its own */
static bool no_memory;

/* In place of the C library's, for the whole program. */
void *calloc(size_t count, size_t size)
{
    void *bytes = no_memory ? NULL : reallocarray(NULL, count, size);
    return bytes ? memset(bytes, 0, count * size) : NULL;
}

Test(ring_refused, tells_that_there_is_no_memory_for_lanes_and_gives_the_role_back)
{
    const struct shape *s = &shapes[4]; /* sharded */
    struct fixture f = closed_ring_from(s, CONF(s, .items = 8));
    no_memory = true;
    int tx = belt_tx_open(&f.tx, f.mem), rx = belt_rx_open(&f.rx, f.mem);
    no_memory = false;
    cr_assert(tx == -ENOMEM && rx == -ENOMEM);
    cr_assert(stat_of(&f).writers == 0 && stat_of(&f).readers == 0);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    done(&f);
}
#endif
