/* Rings in an epoll loop. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"

enum { READERS = 40, MOST_FDS = 31, LONG_MS = 20000 };

static const struct shape *const spsc = &shapes[0], *const mpmc = &shapes[2],
                                 *const lossy = &shapes[LOSSY_SHAPE];

static bool readable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
}

Test(ring_fd, is_readable_after_a_publish)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_geq(fd, 0, "%s: %s", s->name, strerror(-fd));
        for (uint64_t i = 0; i < 20; i++) {
            cr_assert_not(belt_rx_arm(&f.rx), "%s: nothing there", s->name);
            cr_assert_not(readable(fd, 0), "%s", s->name);
            cr_assert(push(&f.tx, i));
            cr_assert(readable(fd, LONG_MS), "%s: %lu", s->name, i);
            belt_rx_disarm(&f.rx);
            cr_assert_eq(pop(&f.rx), i, "%s", s->name);
        }
        done(&f);
    }
}

Test(ring_fd, is_readable_after_the_end)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_not(belt_rx_arm(&f.rx), "%s", s->name);
        belt_close(&f.tx);
        cr_assert(readable(fd, LONG_MS), "%s", s->name);
        belt_rx_disarm(&f.rx);
        cr_assert(belt_rx_arm(&f.rx), "%s: it has ended", s->name);
        done(&f);
    }
}

Test(ring_fd, need_not_be_asked_when_something_is_there)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        cr_assert_geq(belt_rx_fd(&f.rx), 0);
        cr_assert(push(&f.tx, 1));
        cr_assert(belt_rx_arm(&f.rx), "%s", s->name);
        belt_rx_disarm(&f.rx);
        cr_assert_eq(pop(&f.rx), 1);
        cr_assert_not(belt_rx_arm(&f.rx), "%s", s->name);
        belt_rx_disarm(&f.rx);
        done(&f);
    }
}

Test(ring_fd, is_silent_when_disarmed)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        int fd = belt_rx_fd(&f.rx);
        belt_rx_disarm(&f.rx); /* was not armed */
        cr_assert(push(&f.tx, 1));
        cr_assert_not(readable(fd, 0), "%s: never armed", s->name);
        pop(&f.rx);
        cr_assert_not(belt_rx_arm(&f.rx));
        belt_rx_disarm(&f.rx);
        cr_assert(push(&f.tx, 1));
        cr_assert_not(readable(fd, 0), "%s: disarmed", s->name);
        pop(&f.rx);
        done(&f);
    }
}

Test(ring_fd, is_emptied_when_disarmed)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_not(belt_rx_arm(&f.rx));
        cr_assert(push(&f.tx, 1));
        cr_assert(readable(fd, LONG_MS), "%s", s->name);
        belt_rx_disarm(&f.rx);
        cr_assert_not(readable(fd, 0), "%s", s->name);
        pop(&f.rx);
        done(&f);
    }
}

Test(ring_fd, is_the_same_until_the_reader_leaves)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_eq(belt_rx_fd(&f.rx), fd);
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC, "%s", s->name);
        cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK, "%s", s->name);
        belt_rx_leave(&f.rx);
        cr_assert_eq(fcntl(fd, F_GETFD), -1, "%s: closed", s->name);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        cr_assert_geq(belt_rx_fd(&f.rx), 0, "%s: the next one's", s->name);
        cr_assert_not(belt_rx_arm(&f.rx));
        cr_assert(push(&f.tx, 1));
        cr_assert(readable(belt_rx_fd(&f.rx), LONG_MS), "%s", s->name);
        done(&f);
    }
}

static void many_readers(const struct shape *s, bool all)
{
    struct fixture f = closed_ring_from(s, CONF(s, .items = 8, .readers = READERS));
    struct belt_rx rx[MOST_FDS + 1];
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    for (int i = 0; i <= MOST_FDS; i++)
        cr_assert_eq(belt_rx_open(&rx[i], f.mem), 0);
    for (int i = 0; i < MOST_FDS; i++) {
        cr_assert_geq(belt_rx_fd(&rx[i]), 0, "%s: reader %d", s->name, i);
        cr_assert_not(belt_rx_arm(&rx[i]));
    }
    cr_assert_eq(belt_rx_fd(&rx[MOST_FDS]), -EADDRINUSE, "%s", s->name);
    cr_assert(push(&f.tx, 1));
    int woken = 0;
    for (int i = 0; i < MOST_FDS; i++)
        woken += readable(belt_rx_fd(&rx[i]), 0);
    cr_assert(all ? woken == MOST_FDS : woken > 0, "%s: %d", s->name, woken);
    belt_rx_leave(&rx[3]);
    cr_assert_geq(belt_rx_fd(&rx[MOST_FDS]), 0, "%s: one has left", s->name);
    for (int i = 0; i <= MOST_FDS; i++)
        if (i != 3)
            belt_rx_leave(&rx[i]);
    belt_tx_leave(&f.tx);
    forget(&f);
}

Test(ring_fd, is_one_of_many_on_one_ring)
{
    many_readers(lossy, true);
    many_readers(mpmc, false);
}

/* ---- processes --------------------------------------------------------------- */

static int push_later(void *arg)
{
    struct fixture *f = arg;
    struct belt_tx tx;
    CHILD_CHECK(belt_tx_open(&tx, f->mem) == 0);
    usleep(30000);
    CHILD_CHECK(push(&tx, 7));
    belt_tx_leave(&tx);
    return 0;
}

Test(ring_fd, is_readable_after_another_process_published)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 8);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_not(belt_rx_arm(&f.rx));
        pid_t child = fork_to(push_later, &f);
        cr_assert(readable(fd, LONG_MS), "%s", s->name);
        belt_rx_disarm(&f.rx);
        cr_assert_eq(pop(&f.rx), 7);
        expect_exit(child, 0);
        unshare_ring(&f);
    }
}

static int arm_it(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_rx_open(&f->rx, f->mem) == 0);
    CHILD_CHECK(belt_rx_fd(&f->rx) >= 0);
    CHILD_CHECK(!belt_rx_arm(&f->rx));
    return 0;
}

Test(ring_fd, of_a_dead_reader_disturbs_nobody)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 32);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        in_child_that_dies(arm_it, &f);
        cr_assert(push(&f.tx, 1), "%s", s->name);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        int fd = belt_rx_fd(&f.rx);
        cr_assert_geq(fd, 0, "%s", s->name);
        while (!is_empty(&f.rx))
            ;
        cr_assert_not(belt_rx_arm(&f.rx));
        cr_assert(push(&f.tx, 2));
        cr_assert(readable(fd, LONG_MS), "%s", s->name);
        unshare_ring(&f);
    }
}

/* ---- refused by the kernel --------------------------------------------------- */

static int fd_without(void *arg)
{
    const long *call = arg;
    struct fixture f = RING(spsc, .items = 8);
    if (refuse(*call, EMFILE) < 0 || belt_rx_fd(&f.rx) != -EMFILE)
        return 1;
    /* And again, with nothing left behind. */
    int rc = belt_rx_fd(&f.rx) == -EMFILE ? 0 : 2;
    done(&f);
    return rc;
}

Test(ring_fd, is_an_error_when_the_kernel_refuses)
{
    static const long calls[] = { SYS_socket, SYS_bind, SYS_getrandom };
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++)
        expect_refused(fd_without, (void *)(uintptr_t)&calls[k]);
}

static int interrupted;

static long interrupted_once(long bytes, long size)
{
    (void)bytes;
    (void)size;
    return interrupted++ ? -EMFILE : -EINTR;
}

static int fd_by_interrupted_call(void *arg)
{
    struct fixture f = RING((const struct shape *)arg, .items = 8);
    CHILD_CHECK(answer_for(SYS_getrandom, interrupted_once) == 0);
    CHILD_CHECK(belt_rx_fd(&f.rx) == -EMFILE && interrupted == 2);
    done(&f);
    return 0;
}

Test(ring_fd, tries_an_interrupted_call_again)
{
    expect_refused(fd_by_interrupted_call, (void *)(uintptr_t)spsc);
}

Test(ring_fd, hears_every_writer_of_a_sharded_ring)
{
    for (int body = 4; body <= 5; body++) {
        const struct shape *s = &shapes[body];
        struct fixture f = closed_ring_from(s, CONF(s, .items = 8, .writers = 3));
        struct belt_tx tx[3];
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        int fd = belt_rx_fd(&f.rx);
        for (uint64_t w = 0; w < 3; w++) {
            cr_assert_eq(belt_tx_open(&tx[w], f.mem), 0);
            cr_assert_not(belt_rx_arm(&f.rx));
            cr_assert(push(&tx[w], w));
            cr_assert(readable(fd, LONG_MS), "writer %lu", w);
            belt_rx_disarm(&f.rx);
            cr_assert_eq(pop(&f.rx), w);
        }
        for (int w = 0; w < 3; w++)
            belt_tx_leave(&tx[w]);
        belt_rx_leave(&f.rx);
        forget(&f);
    }
}

static int wake_without_socket(void *arg)
{
    struct fixture f = RING((const struct shape *)arg, .items = 8);
    CHILD_CHECK(belt_rx_fd(&f.rx) >= 0 && !belt_rx_arm(&f.rx));
    CHILD_CHECK(refuse(SYS_socket, EMFILE) == 0);
    CHILD_CHECK(push(&f.tx, 1) && pop(&f.rx) == 1);
    done(&f);
    return 0;
}

Test(ring_fd, costs_the_writer_nothing_but_the_wake_up_when_it_has_no_socket)
{
    expect_refused(wake_without_socket, (void *)(uintptr_t)spsc);
}
