/* Who may open an end: one live process a role. */
#include "refuse_fixture.h"
#include "ring_fixture.h"

static const struct shape *const spsc = &shapes[0], *const mpmc = &shapes[2],
                                 *const unsafe = &shapes[3];

/* Those with a role for each end. */
static bool has_roles(const struct shape *s)
{
    return !is_mpmc(s);
}

Test(ring_roles, of_one_process_are_taken_once)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s))
            continue;
        struct fixture f = RING(s, .items = 8);
        struct belt_tx tx;
        struct belt_rx rx;
        for (int again = 0; again < 2; again++) {
            cr_assert_eq(belt_tx_open(&tx, f.mem), -EBUSY, "%s", s->name);
            cr_assert_eq(belt_rx_open(&rx, f.mem), -EBUSY, "%s", s->name);
        }
        struct belt_ring_stat stat = stat_of(&f);
        cr_assert(stat.writers == 1 && stat.readers == 1, "%s", s->name);
        done(&f);
    }
}

Test(ring_roles, are_free_after_leaving)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s))
            continue;
        struct fixture f = RING(s, .items = 8);
        for (int again = 0; again < 10; again++) {
            belt_tx_leave(&f.tx);
            cr_assert_eq(stat_of(&f).writers, 0, "%s", s->name);
            belt_rx_leave(&f.rx);
            cr_assert_eq(stat_of(&f).readers, 0, "%s", s->name);
            cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s", s->name);
            cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
            cr_assert(push(&f.tx, 1), "%s", s->name);
            cr_assert_eq(pop(&f.rx), 1, "%s", s->name);
        }
        done(&f);
    }
}

Test(ring_roles, are_as_many_as_was_asked)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s) || s->kind == BELT_SPSC)
            continue;
        struct fixture f = closed_ring_from(s, CONF(s, .items = 8, .readers = 3));
        struct belt_rx rx[4];
        for (int i = 0; i < 3; i++)
            cr_assert_eq(belt_rx_open(&rx[i], f.mem), 0, "%s", s->name);
        cr_assert_eq(belt_rx_open(&rx[3], f.mem), -EBUSY, "%s", s->name);
        cr_assert_eq(stat_of(&f).readers, 3, "%s", s->name);
        belt_rx_leave(&rx[1]);
        cr_assert_eq(belt_rx_open(&rx[3], f.mem), 0, "%s: one has left", s->name);
        belt_rx_leave(&rx[0]);
        belt_rx_leave(&rx[2]);
        belt_rx_leave(&rx[3]);
        forget(&f);
    }
}

/* ---- of processes ------------------------------------------------------------ */

static int open_both(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_rx_open(&f->rx, f->mem) == 0);
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    return 0;
}

Test(ring_roles, of_the_dead_are_free)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = SHARED_RING(s, .items = 8);
        for (int again = 0; again < 3; again++) {
            in_child_that_dies(open_both, &f);
            cr_assert(!has_roles(s) || stat_of(&f).writers == 1, "%s", s->name);
        }
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s", s->name);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
        cr_assert(push(&f.tx, 5), "%s", s->name);
        cr_assert_eq(pop(&f.rx), 5, "%s", s->name);
        unshare_ring(&f);
    }
}

static int open_and_stay(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(open_both(f) == 0);
    CHILD_CHECK(push(&f->tx, 1));
    __gcov_dump();
    while (pause() == -1)
        ;
    return 0;
}

static void wait_for_item(const struct fixture *f)
{
    while (stat_of(f).items == 0)
        usleep(1000);
}

Test(ring_roles, of_another_live_process_are_taken)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s))
            continue;
        struct fixture f = SHARED_RING(s, .items = 8);
        pid_t child = fork_to(open_and_stay, &f);
        wait_for_item(&f);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), -EBUSY, "%s", s->name);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), -EBUSY, "%s", s->name);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s: it died", s->name);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
        cr_assert(push(&f.tx, 2));
        unshare_ring(&f);
    }
}

static int push_three(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    CHILD_CHECK(push(&f->tx, 1) && push(&f->tx, 2) && push(&f->tx, 3));
    struct belt_slots run = belt_claim(&f->tx, 2);
    CHILD_CHECK(run.count > 0);
    put(&f->tx, run, 0, 99);
    return 0;
}

Test(ring_roles, a_writers_successor_goes_on_after_what_it_published)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s))
            continue;
        struct fixture f = SHARED_RING(s, .items = 16, .start = UINT64_MAX - 2);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        in_child_that_dies(push_three, &f);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
        cr_assert(push(&f.tx, 4));
        for (uint64_t i = 1; i <= 4; i++)
            cr_assert_eq(pop(&f.rx), i, "%s", s->name);
        cr_assert(is_empty(&f.rx), "%s: what it only claimed", s->name);
        unshare_ring(&f);
    }
}

static int pop_some(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_rx_open(&f->rx, f->mem) == 0);
    for (uint64_t i = 0; i < 9; i++) {
        uint64_t value;
        CHILD_CHECK(belt_pop(&f->rx, &value, sizeof value) && value == i);
    }
    CHILD_CHECK(belt_peek(&f->rx, 2).count > 0);
    return 0;
}

Test(ring_roles, a_readers_successor_goes_on_with_what_it_had_not_released)
{
    for (EACH_SHAPE(s)) {
        if (!has_roles(s) || s->kind == BELT_LOSSY)
            continue;
        struct fixture f = SHARED_RING(s, .items = 64);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        for (uint64_t i = 0; i < 20; i++)
            cr_assert(push(&f.tx, i), "%s", s->name);
        in_child_that_dies(pop_some, &f);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s", s->name);
        uint64_t first = pop(&f.rx);
        /* In-band: what was popped of the line in use comes again. */
        cr_assert(first == 9 || (s->body == BELT_BODY_INBAND && first == 7), "%s: %lu", s->name,
                  first);
        for (uint64_t i = first + 1; i < 20; i++)
            cr_assert_eq(pop(&f.rx), i, "%s", s->name);
        unshare_ring(&f);
    }
}

/* ---- without roles ----------------------------------------------------------- */

static int open_without_proc(void *arg)
{
    struct fixture *f = arg;
    struct belt_tx tx;
    struct belt_rx rx;
    CHILD_CHECK(refuse_files(EACCES) == 0);
    for (int again = 0; again < 2; again++) {
        CHILD_CHECK(belt_tx_open(&tx, f->mem) == 0);
        CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0);
    }
    CHILD_CHECK(push(&tx, 1));
    return 0;
}

Test(ring_roles, are_not_asked_for_where_the_caller_sees_to_them)
{
    struct fixture f = SHARED_RING(spsc, .items = 8, .flags = BELT_NO_ROLES);
    expect_refused(open_without_proc, &f);
    cr_assert_eq(stat_of(&f).writers, 0);
    cr_assert_eq(stat_of(&f).items, 1);
    unshare_ring(&f);
    f = SHARED_RING(unsafe, .items = 8);
    expect_refused(open_without_proc, &f);
    unshare_ring(&f);
}

static int refused_without_proc(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(refuse_files(EACCES) == 0);
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == -ESRCH);
    CHILD_CHECK(belt_rx_open(&f->rx, f->mem) == -ESRCH);
    return 0;
}

Test(ring_roles, are_not_given_where_proc_cannot_be_read)
{
    for (EACH_SHAPE(s)) {
        if (s == unsafe)
            continue;
        struct fixture f = SHARED_RING(s, .items = 8);
        expect_refused(refused_without_proc, &f);
        unshare_ring(&f);
    }
}

/* ---- MPMC: a word a process -------------------------------------------------- */

Test(ring_roles, of_mpmc_are_processes)
{
    struct fixture f = SHARED_RING(mpmc, .items = 8, .writers = 3);
    struct belt_tx tx[3];
    struct belt_rx rx[3];
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(belt_tx_open(&tx[i], f.mem), 0);
        cr_assert_eq(belt_rx_open(&rx[i], f.mem), 0);
    }
    cr_assert_eq(stat_of(&f).writers, 1);
    pid_t child = fork_to(open_and_stay, &f);
    wait_for_item(&f);
    cr_assert_eq(stat_of(&f).writers, 2);
    cr_assert_eq(pop(&rx[2]), 1, "from the other process");
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(belt_ring_reap(f.mem, NULL), 0);
    cr_assert_eq(stat_of(&f).writers, 1);
    for (int i = 0; i < 3; i++) {
        belt_tx_leave(&tx[i]);
        cr_assert(push(&tx[(i + 1) % 3], 1) || i == 2, "the others stay open");
        belt_rx_leave(&rx[i]);
    }
    unshare_ring(&f);
}

Test(ring_roles, of_mpmc_run_out_at_last)
{
    struct fixture f = SHARED_RING(mpmc, .items = 8);
    uint64_t *words = (uint64_t *)(void *)((char *)f.ring + f.ring->owners_at);
    pid_t child = fork_to(open_and_stay, &f);
    wait_for_item(&f);
    for (int i = 1; i < BELT_MPMC_OWNERS; i++)
        words[i] = words[0];
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), -EBUSY);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), -EBUSY);
    uint64_t reaper = words[0];
    f.ring->reaper = reaper;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), -EBUSY, "and somebody reaps already");
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "they died, and were reaped for us");
    cr_assert_eq(stat_of(&f).writers, 1);
    belt_rx_open(&f.rx, f.mem);
    unshare_ring(&f);
}
