/* Waiting beside rings: what each call answers, and that who sleeps is woken. The
 * race between the two looks is in tests/stress/ring_wake.c. */
#include <pthread.h>
#include <time.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"

enum { MS = 1000 * 1000, A_WHILE = 30 * MS };

static const enum belt_wait strategies[] = { BELT_WAIT_BACKOFF, BELT_WAIT_SPIN, BELT_WAIT_YIELD,
                                             BELT_WAIT_BLOCK };
enum { STRATEGIES = sizeof strategies / sizeof *strategies };

static const struct shape *const spsc = &shapes[0], *const inband = &shapes[1],
                                 *const sharded = &shapes[4];

static uint64_t now(void)
{
    return belt_deadline(0);
}

static void sleep_ns(long ns)
{
    struct timespec t = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&t, NULL);
}

Test(ring_deadline, is_now_and_so_much_more_but_never_past_the_end_of_time)
{
    uint64_t before = now(), later = belt_deadline(1000 * MS);
    cr_assert_geq(later, before + 1000 * (uint64_t)MS);
    cr_assert_leq(later, now() + 1000 * (uint64_t)MS);
    cr_assert_eq(belt_deadline(BELT_FOR_EVER), BELT_FOR_EVER);
    cr_assert_eq(belt_deadline(BELT_FOR_EVER - 5), BELT_FOR_EVER);
}

/* ---- without sleeping -------------------------------------------------------- */

Test(ring_wait, returns_at_once_when_something_is_there)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        struct belt_rx *rxs[] = { &f.rx };
        cr_assert_eq(belt_tx_wait(&f.tx, 0), 0, "%s: room", s->name);
        cr_assert(push(&f.tx, 1));
        cr_assert_eq(belt_rx_wait(&f.rx, 0), 0, "%s", s->name);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0, "%s", s->name);
        cr_assert_eq(belt_rx_wait_any(rxs, 1, 0), 0, "%s", s->name);
        cr_assert_eq(pop(&f.rx), 1, "%s: it only looked", s->name);
        done(&f);
    }
}

Test(ring_wait, ends_with_the_deadline)
{
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STRATEGIES; k++) {
            struct fixture f = RING(s, .items = 2, .wait = strategies[k]);
            struct belt_rx *rxs[] = { &f.rx, &f.rx };
            uint64_t deadline = belt_deadline(2 * MS);
            cr_assert_eq(belt_rx_wait(&f.rx, 0), -ETIMEDOUT, "%s", s->name);
            cr_assert_eq(belt_rx_wait(&f.rx, deadline), -ETIMEDOUT, "%s", s->name);
            cr_assert_geq(now(), deadline, "%s: too early", s->name);
            cr_assert_eq(belt_rx_wait_any(rxs, 2, belt_deadline(2 * MS)), -ETIMEDOUT);
            if (s->kind != BELT_LOSSY) {
                fill_up(&f.tx, 0);
                deadline = belt_deadline(2 * MS);
                cr_assert_eq(belt_tx_wait(&f.tx, 0), -ETIMEDOUT, "%s", s->name);
                cr_assert_eq(belt_tx_wait(&f.tx, deadline), -ETIMEDOUT, "%s", s->name);
                cr_assert_geq(now(), deadline, "%s: too early", s->name);
            }
            done(&f);
        }
    }
}

Test(ring_wait, goes_on_for_long_beside_live_peers)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 2);
        cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(70 * MS)), -ETIMEDOUT, "%s", s->name);
        if (s->kind != BELT_LOSSY) {
            fill_up(&f.tx, 0);
            cr_assert_eq(belt_tx_wait(&f.tx, belt_deadline(70 * MS)), -ETIMEDOUT, "%s", s->name);
        }
        done(&f);
    }
}

Test(ring_wait, goes_on_where_nobody_has_come_yet)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 2));
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(70 * MS)), -ETIMEDOUT, "%s", s->name);
        belt_rx_leave(&f.rx);
        forget(&f);
    }
}

Test(ring_wait, tells_the_end)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4);
        struct belt_rx *rxs[] = { &f.rx };
        cr_assert(push(&f.tx, 1));
        belt_close(&f.tx);
        cr_assert_eq(belt_tx_wait(&f.tx, BELT_FOR_EVER), -EPIPE, "%s", s->name);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0, "%s: one left", s->name);
        pop(&f.rx);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), -EPIPE, "%s", s->name);
        cr_assert_eq(belt_rx_wait_any(rxs, 1, BELT_FOR_EVER), -EPIPE, "%s", s->name);
        done(&f);
    }
}

/* A peer may have written there what it likes. */
Test(ring_wait, takes_a_strategy_that_there_is_not_for_the_usual_one)
{
    struct fixture f = RING(spsc, .items = 4);
    f.ring->wait = 77;
    cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(2 * MS)), -ETIMEDOUT);
    cr_assert(push(&f.tx, 1));
    cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0);
    f.ring->wait = BELT_WAIT_BACKOFF;
    done(&f);
}

/* ---- on a crowded CPU: yields that take long --------------------------------------- */

static struct fixture *crowd;
static uint32_t yields, push_at;

static long others_run(long first, long second)
{
    (void)first;
    (void)second;
    for (uint64_t until = belt_deadline(100 * 1000); now() < until;)
        belt_pause();
    if (++yields == push_at)
        push(&crowd->tx, 7);
    return 0;
}

/* In the crowd from the first yield on: so the second wait yields at once. */
static int wait_in_a_crowd(void *arg)
{
    crowd = arg;
    CHILD_CHECK(answer_for(SYS_sched_yield, others_run) == 0);
    static const uint32_t turns[] = { 1, 5, 40 }; /* 40: after it gave up to yield at once */
    for (int i = 0; i < 3; i++) {
        yields = 0, push_at = turns[i];
        CHILD_CHECK(belt_rx_wait(&crowd->rx, belt_deadline(10000 * (uint64_t)MS)) == 0);
        CHILD_CHECK(pop(&crowd->rx) == 7);
    }
    push_at = 0;
    CHILD_CHECK(belt_rx_wait(&crowd->rx, 0) == -ETIMEDOUT);
    CHILD_CHECK(belt_rx_wait(&crowd->rx, belt_deadline(2 * MS)) == -ETIMEDOUT);
    return 0;
}

Test(ring_wait, works_on_a_crowded_cpu)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        expect_refused(wait_in_a_crowd, &f);
        f.rx.crowded = true;
        cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(2 * MS)), -ETIMEDOUT, "%s", s->name);
        done(&f);
    }
}

/* ---- woken by another thread ------------------------------------------------- */

struct friend
{
    struct fixture *f;
    void (*act)(struct fixture * f);
};

static void *act_later(void *arg)
{
    struct friend *friend = arg;
    sleep_ns(A_WHILE);
    friend->act(friend->f);
    return NULL;
}

static void push_one(struct fixture *f)
{
    cr_assert(push(&f->tx, 7));
}

static void publish_one(struct fixture *f)
{
    cr_assert_eq(write_run(&f->tx, 7, 1), 1);
}

static void push_array(struct fixture *f)
{
    uint64_t item = 7;
    cr_assert_eq(belt_push_n(&f->tx, &item, 1, sizeof item), 1);
}

static void take_all(struct fixture *f)
{
    while (!is_empty(&f->rx))
        ;
}

static void take_all_in_runs(struct fixture *f)
{
    struct belt_slots run;
    while ((run = belt_peek(&f->rx, 3)).count > 0)
        belt_release(&f->rx, run.count);
}

static void take_all_as_array(struct fixture *f)
{
    uint64_t items[5];
    while (belt_pop_n(&f->rx, items, 5, sizeof *items) > 0)
        ;
}

static void close_it(struct fixture *f)
{
    belt_close(&f->tx);
}

/* How `wait` ends when a friend acts in the meantime. */
static int wait_while(struct fixture *f, void (*act)(struct fixture *f), bool writer)
{
    struct friend friend = { f, act };
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, act_later, &friend), 0);
    int rc = writer ? belt_tx_wait(&f->tx, BELT_FOR_EVER) : belt_rx_wait(&f->rx, BELT_FOR_EVER);
    pthread_join(thread, NULL);
    return rc;
}

Test(ring_wait, wakes_a_reader, .timeout = 60)
{
    static void (*const acts[])(struct fixture *) = { push_one, publish_one, push_array };
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STRATEGIES; k++) {
            struct fixture f = RING(s, .items = 4, .wait = strategies[k]);
            for (int a = 0; a < 3; a++) {
                cr_assert_eq(wait_while(&f, acts[a], false), 0, "%s", s->name);
                cr_assert_eq(pop(&f.rx), 7, "%s", s->name);
            }
            cr_assert_eq(wait_while(&f, close_it, false), -EPIPE, "%s", s->name);
            done(&f);
        }
    }
}

Test(ring_wait, wakes_a_writer, .timeout = 60)
{
    static void (*const acts[])(struct fixture *) = { take_all, take_all_in_runs,
                                                      take_all_as_array };
    for (EACH_FULL_SHAPE(s)) {
        for (int k = 0; k < STRATEGIES; k++) {
            struct fixture f = RING(s, .items = 4, .wait = strategies[k]);
            for (int a = 0; a < 3; a++) {
                fill_up(&f.tx, 0);
                cr_assert_eq(wait_while(&f, acts[a], true), 0, "%s", s->name);
                cr_assert(push(&f.tx, 1), "%s", s->name);
            }
            done(&f);
        }
    }
}

static void redo(struct fixture *f)
{
    cr_assert_eq(belt_ring_redo_publish(f->ring, f->rx.next + 1), 0);
}

Test(ring_wait, wakes_a_reader_by_what_is_done_in_the_place_of_the_dead)
{
    struct fixture f = RING(spsc, .items = 4, .wait = BELT_WAIT_BLOCK);
    cr_assert_eq(wait_while(&f, redo, false), 0);
    done(&f);
}

/* ---- by another process ------------------------------------------------------ */

static int push_later(void *arg)
{
    struct fixture *f = arg;
    struct belt_tx tx;
    CHILD_CHECK(belt_tx_open(&tx, f->mem) == 0);
    sleep_ns(A_WHILE);
    CHILD_CHECK(push(&tx, 7));
    belt_close(&tx);
    belt_tx_leave(&tx);
    return 0;
}

Test(ring_wait, wakes_a_reader_in_another_process, .timeout = 60)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 4, .wait = BELT_WAIT_BLOCK);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        pid_t child = fork_to(push_later, &f);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0, "%s", s->name);
        cr_assert_eq(pop(&f.rx), 7);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), -EPIPE, "%s", s->name);
        expect_exit(child, 0);
        unshare_ring(&f);
    }
}

/* ---- beside the dead --------------------------------------------------------- */

static int push_two(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    CHILD_CHECK(push(&f->tx, 1) && push(&f->tx, 2));
    return 0;
}

static bool knows_its_writers(const struct shape *s)
{
    return s->kind != BELT_MPMC_CRASH_UNSAFE;
}

Test(ring_wait, tells_that_the_writer_died, .timeout = 60)
{
    for (EACH_SHAPE(s)) {
        if (!knows_its_writers(s))
            continue;
        for (int k = 0; k < STRATEGIES; k++) {
            struct fixture f = SHARED_RING(s, .items = 4, .wait = strategies[k]);
            struct belt_rx *rxs[] = { &f.rx };
            cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
            in_child_that_dies(push_two, &f);
            for (uint64_t i = 1; i <= 2; i++) {
                cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), 0, "%s", s->name);
                cr_assert_eq(pop(&f.rx), i, "%s", s->name);
            }
            cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), -EOWNERDEAD, "%s", s->name);
            cr_assert_eq(belt_rx_wait_any(rxs, 1, BELT_FOR_EVER), -EOWNERDEAD, "%s", s->name);
            unshare_ring(&f);
        }
    }
}

static int push_and_close(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(push_two(f) == 0);
    belt_close(&f->tx);
    return 0;
}

Test(ring_wait, tells_the_end_though_the_writer_died_after_it)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 4);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        in_child_that_dies(push_and_close, &f);
        pop(&f.rx);
        pop(&f.rx);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), -EPIPE, "%s", s->name);
        unshare_ring(&f);
    }
}

static int read_none(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_rx_open(&f->rx, f->mem) == 0);
    return 0;
}

Test(ring_wait, tells_that_the_reader_died, .timeout = 60)
{
    for (EACH_FULL_SHAPE(s)) {
        if (!knows_its_writers(s))
            continue;
        struct fixture f = SHARED_RING(s, .items = 4);
        in_child_that_dies(read_none, &f);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        cr_assert_eq(belt_tx_wait(&f.tx, BELT_FOR_EVER), 0, "%s: there is room", s->name);
        fill_up(&f.tx, 0);
        cr_assert_eq(belt_tx_wait(&f.tx, BELT_FOR_EVER), -EOWNERDEAD, "%s", s->name);
        unshare_ring(&f);
    }
}

static struct fixture *asked;

/* The last item comes while the kernel is asked about its writer. */
static long dead_but_pushed(long pid, long flags)
{
    (void)pid;
    (void)flags;
    push(&asked->tx, 7);
    return -ESRCH;
}

static int wait_for_the_last(void *arg)
{
    asked = arg;
    CHILD_CHECK(answer_for(SYS_pidfd_open, dead_but_pushed) == 0);
    CHILD_CHECK(belt_rx_wait(&asked->rx, BELT_FOR_EVER) == 0);
    return 0;
}

Test(ring_wait, finds_what_came_just_before_the_death)
{
    for (EACH_SHAPE(s)) {
        if (!knows_its_writers(s) || s->kind == BELT_MPMC)
            continue;
        struct fixture f = RING(s, .items = 8);
        expect_refused(wait_for_the_last, &f);
        cr_assert_eq(pop(&f.rx), 7, "%s", s->name);
        done(&f);
    }
}

Test(ring_wait, does_not_ask_for_the_dead_without_roles)
{
    struct fixture f = SHARED_RING(spsc, .items = 4, .flags = BELT_NO_ROLES);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    in_child_that_dies(push_two, &f);
    pop(&f.rx);
    pop(&f.rx);
    cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(70 * MS)), -ETIMEDOUT);
    in_child_that_dies(read_none, &f);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    fill_up(&f.tx, 0);
    cr_assert_eq(belt_tx_wait(&f.tx, belt_deadline(70 * MS)), -ETIMEDOUT);
    unshare_ring(&f);
}

/* ---- any of several ---------------------------------------------------------- */

enum { RINGS = 5, MOST_RINGS = 64 };

static const struct shape *mixed(int i)
{
    return &shapes[i % (int)(sizeof shapes / sizeof *shapes)];
}

Test(ring_wait_any, refuses_none_and_more_than_64)
{
    struct fixture f = RING(spsc, .items = 4);
    struct belt_rx *rxs[MOST_RINGS + 1];
    for (int i = 0; i <= MOST_RINGS; i++)
        rxs[i] = &f.rx;
    cr_assert_eq(belt_rx_wait_any(rxs, 0, 0), -EINVAL);
    cr_assert_eq(belt_rx_wait_any(rxs, MOST_RINGS + 1, 0), -EINVAL);
    cr_assert_eq(belt_rx_wait_any(rxs, MOST_RINGS, 0), -ETIMEDOUT);
    done(&f);
}

Test(ring_wait_any, finds_the_one_and_starves_none)
{
    struct fixture f[RINGS];
    struct belt_rx *rxs[RINGS];
    for (int i = 0; i < RINGS; i++) {
        f[i] = RING(mixed(i), .items = 4);
        rxs[i] = &f[i].rx;
    }
    for (int i = RINGS - 1; i >= 0; i--) {
        cr_assert(push(&f[i].tx, (uint64_t)i));
        cr_assert_eq(belt_rx_wait_any(rxs, RINGS, BELT_FOR_EVER), i);
        cr_assert_eq(pop(rxs[i]), (uint64_t)i);
    }
    for (int i = 0; i < RINGS; i++)
        cr_assert(push(&f[i].tx, 1) && push(&f[i].tx, 1));
    unsigned found[RINGS] = { 0 };
    for (int i = 0; i < 2 * RINGS; i++)
        found[belt_rx_wait_any(rxs, RINGS, BELT_FOR_EVER)]++;
    for (int i = 0; i < RINGS; i++) {
        cr_assert_eq(found[i], 2, "each in its turn");
        take_all(&f[i]);
        done(&f[i]);
    }
}

Test(ring_wait_any, ends_when_all_have_ended)
{
    struct fixture f[RINGS];
    struct belt_rx *rxs[RINGS];
    for (int i = 0; i < RINGS; i++) {
        f[i] = RING(mixed(i), .items = 4);
        rxs[i] = &f[i].rx;
    }
    for (int i = 0; i < RINGS; i++) {
        cr_assert_eq(belt_rx_wait_any(rxs, RINGS, belt_deadline(MS)), -ETIMEDOUT);
        belt_close(&f[i].tx);
    }
    cr_assert_eq(belt_rx_wait_any(rxs, RINGS, BELT_FOR_EVER), -EPIPE);
    for (int i = 0; i < RINGS; i++)
        done(&f[i]);
}

Test(ring_wait_any, goes_on_while_one_writer_lives)
{
    struct fixture dead = SHARED_RING(inband, .items = 4), live = SHARED_RING(spsc, .items = 4);
    struct belt_rx *rxs[] = { &dead.rx, &live.rx };
    cr_assert_eq(belt_rx_open(&dead.rx, dead.mem), 0);
    cr_assert_eq(belt_rx_open(&live.rx, live.mem), 0);
    cr_assert_eq(belt_tx_open(&live.tx, live.mem), 0);
    in_child_that_dies(push_two, &dead);
    take_all(&dead);
    cr_assert_eq(belt_rx_wait_any(rxs, 2, belt_deadline(70 * MS)), -ETIMEDOUT);
    belt_tx_leave(&live.tx);
    in_child_that_dies(push_two, &live);
    take_all(&live);
    cr_assert_eq(belt_rx_wait_any(rxs, 2, BELT_FOR_EVER), -EOWNERDEAD);
    unshare_ring(&dead);
    unshare_ring(&live);
}

struct any {
    struct fixture f[RINGS];
    uint64_t turn;
};

static void *push_to_each(void *arg)
{
    struct any *any = arg;
    for (int i = 0; i < RINGS; i++) {
        sleep_ns(A_WHILE);
        cr_assert(push(&any->f[i].tx, (uint64_t)i));
    }
    return NULL;
}

static void wake_by_each(enum belt_wait wait, const struct shape *(*shape_of)(int))
{
    struct any any;
    struct belt_rx *rxs[RINGS];
    pthread_t thread;
    for (int i = 0; i < RINGS; i++) {
        any.f[i] = RING(shape_of(i), .items = 4, .wait = wait, .writers = 1, .readers = 1);
        rxs[i] = &any.f[i].rx;
    }
    cr_assert_eq(pthread_create(&thread, NULL, push_to_each, &any), 0);
    for (int i = 0; i < RINGS; i++) {
        cr_assert_eq(belt_rx_wait_any(rxs, RINGS, BELT_FOR_EVER), i);
        cr_assert_eq(pop(rxs[i]), (uint64_t)i);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < RINGS; i++)
        done(&any.f[i]);
}

Test(ring_wait_any, is_woken_by_each, .timeout = 60)
{
    for (int k = 0; k < STRATEGIES; k++)
        wake_by_each(strategies[k], mixed);
}

/* More bells than a sleeper can listen to: it looks by itself from time to time. */
Test(ring_wait_any, sees_what_it_cannot_listen_to, .timeout = 60)
{
    enum { WRITERS = 100 };
    struct fixture f[2];
    struct belt_rx *rxs[2];
    for (int i = 0; i < 2; i++) {
        f[i] = RING(sharded, .items = 2, .writers = WRITERS, .wait = BELT_WAIT_BLOCK);
        rxs[i] = &f[i].rx;
    }
    struct belt_tx more[WRITERS - 1];
    for (int i = 0; i < WRITERS - 1; i++)
        cr_assert_eq(belt_tx_open(&more[i], f[1].mem), 0);
    struct fixture last = f[1];
    last.tx = more[WRITERS - 2];
    struct friend friend = { &last, push_one };
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, act_later, &friend), 0);
    cr_assert_eq(belt_rx_wait_any(rxs, 2, BELT_FOR_EVER), 1);
    pthread_join(thread, NULL);
    cr_assert_eq(pop(rxs[1]), 7);
    for (int i = 0; i < WRITERS - 1; i++)
        belt_tx_leave(&more[i]);
    done(&f[0]);
    done(&f[1]);
}
