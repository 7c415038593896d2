/* BELT_BROADCAST: every reader gets all, the slowest holds the writer back. */
#include "ring_fixture.h"

static const struct shape *const broadcast = &shapes[6];

enum { READERS = 3 };

struct many {
    struct fixture f; /* its rx is not used */
    struct belt_rx rx[READERS];
};

static struct many many_of(uint32_t items, uint64_t start)
{
    struct many m;
    m.f = closed_ring_from(broadcast,
                           CONF(broadcast, .items = items, .readers = READERS, .start = start));
    cr_assert_eq(belt_tx_open(&m.f.tx, m.f.mem), 0);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(belt_rx_open(&m.rx[i], m.f.mem), 0);
    return m;
}

static void many_done(struct many *m)
{
    cr_assert_eq(belt_ring_check(m->f.ring, m->f.mem.size), 0);
    for (int i = 0; i < READERS; i++)
        belt_rx_leave(&m->rx[i]);
    belt_tx_leave(&m->f.tx);
    forget(&m->f);
}

static struct belt_cursor *cursor_of(const struct fixture *f, uint32_t reader)
{
    return (struct belt_cursor *)(void *)((char *)f->ring + f->ring->cursors_at) + reader;
}

static void take_all(struct belt_rx *rx)
{
    while (!is_empty(rx))
        ;
}

Test(broadcast, shows_everything_to_every_reader)
{
    for (int k = 0; k < STARTS; k++) {
        struct many m = many_of(8, starts[k]);
        for (uint64_t i = 0; i < 300; i++) {
            cr_assert(push(&m.f.tx, i));
            for (int r = 0; r < READERS; r++)
                cr_assert_eq(pop(&m.rx[(r + (int)i) % READERS]), i);
        }
        many_done(&m);
    }
}

Test(broadcast, shows_everything_in_place)
{
    struct many m = many_of(8, UINT64_MAX - 3);
    uint64_t in = 0, out[READERS] = { 0 };
    while (in < 500) {
        in += write_run(&m.f.tx, in, 5);
        for (int r = 0; r < READERS; r++)
            out[r] += read_run(&m.rx[r], out[r], (uint32_t)r + 1);
    }
    cr_assert(out[0] <= in && out[2] > in - 9);
    many_done(&m);
}

Test(broadcast, is_held_back_by_the_slowest)
{
    struct many m = many_of(8, UINT64_MAX - 3);
    cr_assert_eq(fill_up(&m.f.tx, 0), 8);
    take_all(&m.rx[0]);
    take_all(&m.rx[1]);
    cr_assert_not(push(&m.f.tx, 8));
    cr_assert_eq(stat_of(&m.f).items, 8);
    cr_assert_eq(pop(&m.rx[2]), 0);
    cr_assert_eq(stat_of(&m.f).items, 7);
    cr_assert(push(&m.f.tx, 8));
    cr_assert_not(push(&m.f.tx, 9));
    cr_assert_eq(pop(&m.rx[0]), 8);
    many_done(&m);
}

Test(broadcast, waits_for_readers_that_have_not_come_yet)
{
    struct fixture f = closed_ring_from(broadcast, CONF(broadcast, .items = 4, .readers = 2));
    struct belt_rx late;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    cr_assert_eq(fill_up(&f.tx, 0), 4);
    take_all(&f.rx);
    cr_assert_not(push(&f.tx, 4));
    cr_assert_eq(belt_rx_open(&late, f.mem), 0);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert_eq(pop(&late), i, "from the beginning");
    cr_assert(push(&f.tx, 4));
    belt_rx_leave(&late);
    done(&f);
}

/* ---- leaving, joining -------------------------------------------------------- */

Test(broadcast, waits_no_longer_for_who_left)
{
    struct many m = many_of(4, 0);
    fill_up(&m.f.tx, 0);
    take_all(&m.rx[0]);
    take_all(&m.rx[1]);
    cr_assert_eq(belt_tx_wait(&m.f.tx, 0), -ETIMEDOUT);
    belt_rx_leave(&m.rx[2]);
    cr_assert_eq(belt_tx_wait(&m.f.tx, 0), 0);
    cr_assert_eq(stat_of(&m.f).items, 0);
    cr_assert_eq(stat_of(&m.f).readers, 2);
    cr_assert_eq(fill_up(&m.f.tx, 4), 4);
    cr_assert_eq(belt_rx_open(&m.rx[2], m.f.mem), 0);
    many_done(&m);
}

Test(broadcast, runs_free_when_all_have_left)
{
    struct many m = many_of(4, UINT64_MAX - 40);
    for (int r = 0; r < READERS; r++)
        belt_rx_leave(&m.rx[r]);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert(push(&m.f.tx, i));
    cr_assert_eq(stat_of(&m.f).items, 0);
    for (int r = 0; r < READERS; r++)
        cr_assert_eq(belt_rx_open(&m.rx[r], m.f.mem), 0);
    many_done(&m);
}

Test(broadcast, shows_who_joins_what_comes_from_then_on)
{
    struct many m = many_of(8, UINT64_MAX - 5);
    uint64_t next = 0;
    for (int again = 0; again < 20; again++) {
        belt_rx_leave(&m.rx[1]);
        for (int i = 0; i < 5 + again; i++) {
            cr_assert(push(&m.f.tx, next++));
            pop(&m.rx[0]);
            pop(&m.rx[2]);
        }
        cr_assert_eq(belt_rx_open(&m.rx[1], m.f.mem), 0);
        cr_assert(is_empty(&m.rx[1]));
        cr_assert_eq(fill_up(&m.f.tx, next), 8, "it gates from here");
        take_all(&m.rx[0]);
        take_all(&m.rx[2]);
        cr_assert_not(push(&m.f.tx, 99));
        for (int i = 0; i < 8; i++)
            cr_assert_eq(pop(&m.rx[1]), next++);
    }
    many_done(&m);
}

static int read_two(void *arg)
{
    struct fixture *f = arg;
    struct belt_rx rx;
    uint64_t item;
    CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0);
    CHILD_CHECK(belt_pop(&rx, &item, sizeof item) && belt_pop(&rx, &item, sizeof item));
    return 0;
}

Test(broadcast, waits_for_the_dead_and_goes_on_with_their_successors)
{
    struct fixture f = SHARED_RING(broadcast, .items = 4);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    fill_up(&f.tx, 0);
    in_child_that_dies(read_two, &f);
    cr_assert_eq(fill_up(&f.tx, 4), 2);
    cr_assert_eq(belt_tx_wait(&f.tx, BELT_FOR_EVER), -EOWNERDEAD);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    for (uint64_t i = 2; i < 6; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert(push(&f.tx, 6));
    unshare_ring(&f);
}

Test(broadcast, waits_on_when_the_dead_are_not_the_slowest)
{
    struct fixture f = SHARED_RING(broadcast, .items = 4, .readers = 2);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    fill_up(&f.tx, 0);
    in_child_that_dies(read_two, &f);
    cr_assert_eq(belt_tx_wait(&f.tx, belt_deadline(70 * 1000 * 1000)), -ETIMEDOUT);
    take_all(&f.rx);
    cr_assert_eq(fill_up(&f.tx, 4), 2);
    cr_assert_eq(belt_tx_wait(&f.tx, BELT_FOR_EVER), -EOWNERDEAD);
    unshare_ring(&f);
}

Test(broadcast, waits_on_for_the_living_and_for_who_never_came)
{
    struct fixture f = closed_ring_from(broadcast, CONF(broadcast, .items = 4, .readers = 3));
    struct belt_rx left;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert(belt_rx_open(&left, f.mem) == 0 && belt_rx_open(&f.rx, f.mem) == 0);
    belt_rx_leave(&left);
    fill_up(&f.tx, 0);
    cr_assert_eq(belt_tx_wait(&f.tx, belt_deadline(70 * 1000 * 1000)), -ETIMEDOUT);
    take_all(&f.rx);
    cr_assert_eq(belt_tx_wait(&f.tx, belt_deadline(70 * 1000 * 1000)), -ETIMEDOUT);
    done(&f);
}

/* A reader died between saying that it joins and knowing where. */
Test(broadcast, begins_anew_in_the_place_of_who_died_joining)
{
    struct many m = many_of(8, 0);
    belt_rx_leave(&m.rx[1]);
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert(push(&m.f.tx, i));
        pop(&m.rx[0]);
        pop(&m.rx[2]);
    }
    cursor_of(&m.f, 1)->left = BELT_JOINING;
    cursor_of(&m.f, 1)->released = 3;
    cr_assert_eq(belt_rx_open(&m.rx[1], m.f.mem), 0);
    cr_assert(is_empty(&m.rx[1]));
    cr_assert(push(&m.f.tx, 20));
    cr_assert_eq(pop(&m.rx[1]), 20);
    many_done(&m);
}

/* ---- the end, looking in ----------------------------------------------------- */

Test(broadcast, ends_for_each_reader_by_itself)
{
    struct many m = many_of(8, 0);
    push(&m.f.tx, 1);
    belt_close(&m.f.tx);
    pop(&m.rx[0]);
    cr_assert(belt_rx_ended(&m.rx[0]));
    cr_assert_not(belt_rx_ended(&m.rx[1]));
    many_done(&m);
}

Test(broadcast, tells_cursors_that_cannot_be)
{
    struct many m = many_of(8, 0);
    uint64_t *cursor = &cursor_of(&m.f, 1)->released;
    *cursor = 1;
    cr_assert_eq(belt_ring_check(m.f.ring, m.f.mem.size), 7, "ahead of the writer");
    cr_assert_leq(stat_of(&m.f).items, 8);
    cr_assert_eq(belt_claim(&m.f.tx, 8).count, 0, "a lie holds only its own ring");
    *cursor = (uint64_t)-9;
    cr_assert_eq(belt_ring_check(m.f.ring, m.f.mem.size), 7, "more than a ring behind");
    cr_assert_eq(belt_claim(&m.f.tx, 8).count, 0);
    *cursor = 0;
    cr_assert_eq(belt_claim(&m.f.tx, 8).count, 8);
    many_done(&m);
}
