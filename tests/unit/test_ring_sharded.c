/* BELT_SHARDED: lanes between each writer and each reader. */
#include <stdlib.h>

#include "ring_fixture.h"

static const struct shape *const lanes = &shapes[4], *const lines = &shapes[5];

#define EACH_BODY(s)                                                                               \
    const struct shape *s = lanes;                                                                 \
    s <= lines;                                                                                    \
    s++

enum { WRITERS = 2, READERS = 3, NUMBER_BITS = 32 };

struct many {
    struct fixture f;
    struct belt_tx tx[WRITERS];
    struct belt_rx rx[READERS];
};

static struct many many_of(const struct shape *s, uint32_t items)
{
    struct many m;
    m.f = closed_ring_from(
        s, CONF(s, .items = items, .writers = WRITERS, .readers = READERS, .start = UINT64_MAX));
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(belt_tx_open(&m.tx[i], m.f.mem), 0);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(belt_rx_open(&m.rx[i], m.f.mem), 0);
    return m;
}

static void many_done(struct many *m)
{
    cr_assert_eq(belt_ring_check(m->f.ring, m->f.mem.size), 0);
    for (int i = 0; i < WRITERS; i++)
        belt_tx_leave(&m->tx[i]);
    for (int i = 0; i < READERS; i++)
        belt_rx_leave(&m->rx[i]);
    forget(&m->f);
}

static uint64_t item_of(int writer, uint64_t number)
{
    return (uint64_t)writer << NUMBER_BITS | number;
}

/* What each reader saw last of each writer; and how much of each in all. */
struct seen {
    uint64_t next[READERS][WRITERS], count[WRITERS], sum[WRITERS];
};

static void see(struct seen *seen, int reader, uint64_t item)
{
    uint64_t writer = item >> NUMBER_BITS, number = item & UINT32_MAX;
    cr_assert_lt(writer, WRITERS);
    cr_assert_geq(number, seen->next[reader][writer], "FIFO per pair");
    seen->next[reader][writer] = number + 1;
    seen->count[writer]++;
    seen->sum[writer] += number;
}

static void expect_each_once(const struct seen *seen, uint64_t items)
{
    for (int w = 0; w < WRITERS; w++) {
        cr_assert_eq(seen->count[w], items);
        cr_assert_eq(seen->sum[w], items * (items - 1) / 2);
    }
}

Test(sharded, keeps_order_of_each_pair_one_by_one)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        struct seen seen = { { { 0 } }, { 0 }, { 0 } };
        uint64_t sent[WRITERS] = { 0 }, item;
        while (seen.count[0] < 1000 || seen.count[1] < 1000) {
            for (int w = 0; w < WRITERS; w++)
                while (sent[w] < 1000 && push(&m.tx[w], item_of(w, sent[w])))
                    sent[w]++;
            for (int r = 0; r < READERS; r++)
                for (int i = 0; i <= r && belt_pop(&m.rx[r], &item, sizeof item); i++)
                    see(&seen, r, item);
        }
        expect_each_once(&seen, 1000);
        many_done(&m);
    }
}

Test(sharded, keeps_order_of_each_pair_in_arrays)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 16);
        struct seen seen = { { { 0 } }, { 0 }, { 0 } };
        uint64_t sent[WRITERS] = { 0 }, items[50];
        while (seen.count[0] < 3000 || seen.count[1] < 3000) {
            for (int w = 0; w < WRITERS; w++) {
                uint32_t want = 3000 - sent[w] < 37 ? (uint32_t)(3000 - sent[w]) : 37;
                for (uint32_t i = 0; i < want; i++)
                    items[i] = item_of(w, sent[w] + i);
                sent[w] += belt_push_n(&m.tx[w], items, want, sizeof *items);
            }
            for (int r = 0; r < READERS; r++) {
                uint32_t n = belt_pop_n(&m.rx[r], items, 20 + (uint32_t)r, sizeof *items);
                for (uint32_t i = 0; i < n; i++)
                    see(&seen, r, items[i]);
            }
        }
        expect_each_once(&seen, 3000);
        many_done(&m);
    }
}

Test(sharded, keeps_order_of_each_pair_in_place)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 16);
        struct seen seen = { { { 0 } }, { 0 }, { 0 } };
        uint64_t sent[WRITERS] = { 0 };
        while (seen.count[0] < 2000 || seen.count[1] < 2000) {
            for (int w = 0; w < WRITERS; w++) {
                struct belt_slots run = belt_claim(&m.tx[w], 9);
                uint32_t n = 0;
                for (; n < run.count && sent[w] < 2000; n++)
                    put(&m.tx[w], run, n, item_of(w, sent[w]++));
                if (n > 3) { /* in two goes */
                    belt_publish(&m.tx[w], 3);
                    n -= 3;
                }
                belt_publish(&m.tx[w], n);
            }
            for (int r = 0; r < READERS; r++) {
                struct belt_slots run = belt_peek(&m.rx[r], 5);
                for (uint32_t i = 0; i < run.count; i++)
                    see(&seen, r, get(&m.rx[r], run, i));
                if (run.count > 2)
                    cr_assert(belt_release(&m.rx[r], 2));
                if (run.count)
                    cr_assert(belt_release(&m.rx[r], run.count > 2 ? run.count - 2 : run.count));
            }
        }
        expect_each_once(&seen, 2000);
        many_done(&m);
    }
}

Test(sharded, fills_the_lanes_of_other_readers_when_its_own_is_full)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        uint32_t n = fill_up(&m.tx[0], 0), read[READERS] = { 0 };
        cr_assert_geq(n, READERS * 8, "%s: %u", s->name, n);
        cr_assert_eq(belt_tx_wait(&m.tx[0], 0), -ETIMEDOUT);
        cr_assert(push(&m.tx[1], 1), "%s: the other writer has its own", s->name);
        for (int r = 0; r < READERS; r++)
            while (!is_empty(&m.rx[r]))
                read[r]++;
        cr_assert_eq(read[0] + read[1] + read[2], n + 1);
        cr_assert(read[0] >= 8 && read[1] >= 8 && read[2] >= 8);
        cr_assert_eq(belt_tx_wait(&m.tx[0], 0), 0);
        many_done(&m);
    }
}

Test(sharded, reads_every_writer_in_turn)
{
    for (EACH_BODY(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 256, .writers = WRITERS));
        struct belt_tx tx[WRITERS];
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        for (int w = 0; w < WRITERS; w++) {
            cr_assert_eq(belt_tx_open(&tx[w], f.mem), 0);
            cr_assert_geq(fill_up(&tx[w], item_of(w, 0)), 256);
        }
        uint32_t taken[WRITERS] = { 0 };
        for (int i = 0; i < 256; i++)
            taken[pop(&f.rx) >> NUMBER_BITS]++;
        cr_assert(taken[0] > 50 && taken[1] > 50, "%s: %u and %u", s->name, taken[0], taken[1]);
        for (int w = 0; w < WRITERS; w++)
            belt_tx_leave(&tx[w]);
        belt_rx_leave(&f.rx);
        forget(&f);
    }
}

Test(sharded, serves_every_reader_of_its_own_in_turn)
{
    for (EACH_BODY(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 512, .readers = READERS));
        struct belt_rx rx[READERS];
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        for (int r = 0; r < READERS; r++)
            cr_assert_eq(belt_rx_open(&rx[r], f.mem), 0);
        for (uint64_t i = 0; i < 512; i++)
            cr_assert(push(&f.tx, i));
        for (int r = 0; r < READERS; r++) {
            cr_assert_not(is_empty(&rx[r]), "%s: nothing for reader %d", s->name, r);
            belt_rx_leave(&rx[r]);
        }
        belt_tx_leave(&f.tx);
        forget(&f);
    }
}

/* ---- who gets what ----------------------------------------------------------- */

Test(sharded, lets_the_writer_choose_its_reader)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        for (uint32_t r = 0; r < READERS; r++) {
            struct belt_tx *to = belt_tx_to(&m.tx[1], r);
            cr_assert(to && push(to, 10 + r), "%s", s->name);
        }
        for (int r = 0; r < READERS; r++) {
            cr_assert_eq(pop(&m.rx[r]), 10 + (uint64_t)r, "%s", s->name);
            cr_assert(is_empty(&m.rx[r]));
        }
        cr_assert_null(belt_tx_to(&m.tx[0], READERS));
        many_done(&m);
    }
}

Test(sharded, is_the_only_kind_with_lanes_to_choose)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        cr_assert_eq(belt_tx_to(&f.tx, 0) != NULL, s->kind == BELT_SHARDED, "%s", s->name);
        done(&f);
    }
}

/* ---- the end ----------------------------------------------------------------- */

Test(sharded, ends_when_every_writer_has_closed)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        cr_assert(push(&m.tx[0], 1) && push(&m.tx[1], 2));
        belt_close(&m.tx[0]);
        belt_close(&m.tx[0]);
        cr_assert_not(stat_of(&m.f).closed, "%s", s->name);
        for (int r = 0; r < READERS; r++) {
            while (!is_empty(&m.rx[r]))
                ;
            cr_assert_not(belt_rx_ended(&m.rx[r]), "%s: one writes on", s->name);
        }
        belt_close(&m.tx[1]);
        cr_assert(stat_of(&m.f).closed, "%s", s->name);
        for (int r = 0; r < READERS; r++)
            cr_assert(belt_rx_ended(&m.rx[r]), "%s", s->name);
        many_done(&m);
    }
}

Test(sharded, is_not_closed_twice_by_a_writer_and_its_successor)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        for (int again = 0; again < 3; again++) {
            belt_close(&m.tx[0]);
            belt_tx_leave(&m.tx[0]);
            cr_assert_eq(belt_tx_open(&m.tx[0], m.f.mem), 0);
            cr_assert_not(push(&m.tx[0], 1), "%s: its place stays closed", s->name);
        }
        cr_assert_not(belt_rx_ended(&m.rx[0]), "%s: the other writes on", s->name);
        cr_assert(push(&m.tx[1], 1));
        many_done(&m);
    }
}

static int close_half(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    belt_close(belt_tx_to(&f->tx, 0));
    return 0;
}

Test(sharded, is_closed_to_the_end_by_the_successor_of_who_died_closing)
{
    for (EACH_BODY(s)) {
        struct fixture f = SHARED_RING(s, .items = 8, .readers = 2);
        struct belt_rx rx[2];
        cr_assert(belt_rx_open(&rx[0], f.mem) == 0 && belt_rx_open(&rx[1], f.mem) == 0);
        in_child_that_dies(close_half, &f);
        cr_assert(belt_rx_ended(&rx[0]) && !belt_rx_ended(&rx[1]), "%s", s->name);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        belt_close(&f.tx);
        cr_assert(belt_rx_ended(&rx[0]) && belt_rx_ended(&rx[1]), "%s", s->name);
        belt_rx_leave(&rx[0]);
        belt_rx_leave(&rx[1]);
        unshare_ring(&f);
    }
}

static int write_one(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0 && push(&f->tx, 1));
    return 0;
}

Test(sharded, has_only_dead_writers_when_the_others_have_closed)
{
    for (EACH_BODY(s)) {
        struct fixture f = SHARED_RING(s, .items = 8, .writers = 2);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        in_child_that_dies(write_one, &f);
        cr_assert_eq(pop(&f.rx), 1);
        cr_assert_eq(belt_rx_wait(&f.rx, belt_deadline(70 * 1000 * 1000)), -ETIMEDOUT);
        belt_close(&f.tx);
        cr_assert_eq(belt_rx_wait(&f.rx, BELT_FOR_EVER), -EOWNERDEAD, "%s", s->name);
        unshare_ring(&f);
    }
}

Test(sharded, has_room_only_in_lanes_that_are_open)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        for (uint32_t r = 0; r < READERS; r++)
            belt_close(belt_tx_to(&m.tx[0], r));
        cr_assert_eq(belt_tx_wait(&m.tx[0], 0), -ETIMEDOUT, "%s", s->name);
        cr_assert_not(stat_of(&m.f).closed, "%s: the other writer's are open", s->name);
        belt_close(&m.tx[1]);
        many_done(&m);
        m = many_of(s, 8);
        belt_close(&m.tx[1]);
        cr_assert_not(stat_of(&m.f).closed, "%s", s->name);
        many_done(&m);
    }
}

Test(sharded, stays_with_the_lane_that_it_holds_something_of)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 256);
        for (int w = 0; w < WRITERS; w++)
            for (uint64_t i = 0; i < 200; i++)
                cr_assert(push(belt_tx_to(&m.tx[w], 0), item_of(w, i)));
        struct seen seen = { { { 0 } }, { 0 }, { 0 } };
        for (;;) {
            struct belt_slots run = belt_peek(&m.rx[0], 5);
            if (run.count == 0)
                break;
            for (uint32_t left = run.count; left > 0; left--) {
                run = belt_peek(&m.rx[0], left);
                see(&seen, 0, get(&m.rx[0], run, 0));
                cr_assert(belt_release(&m.rx[0], 1));
            }
        }
        expect_each_once(&seen, 200);
        many_done(&m);
    }
}

/* ---- looking in -------------------------------------------------------------- */

static struct belt_ring *lane_of(struct many *m, uint32_t writer, uint32_t reader)
{
    uint64_t number = (uint64_t)writer * READERS + reader;
    return (struct belt_ring *)(void *)((char *)m->f.ring + m->f.ring->head_size +
                                        number * m->f.ring->lane_size);
}

Test(sharded, counts_all_lanes)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        for (uint32_t r = 0; r < READERS; r++)
            cr_assert(push(belt_tx_to(&m.tx[0], r), 1) && push(belt_tx_to(&m.tx[1], r), 1));
        struct belt_ring_stat stat = stat_of(&m.f);
        cr_assert(stat.items == 6 && stat.writers == WRITERS && stat.readers == READERS);
        many_done(&m);
    }
}

Test(sharded, tells_a_broken_lane)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 8);
        struct belt_ring *lane = lane_of(&m, 1, 2);
        lane->magic++;
        cr_assert_eq(belt_ring_check(m.f.ring, m.f.mem.size), 9, "%s", s->name);
        cr_assert_eq(stat_of(&m.f).items, 0, "%s: it is not counted", s->name);
        belt_tx_leave(&m.tx[1]);
        belt_rx_leave(&m.rx[2]);
        cr_assert_eq(belt_tx_open(&m.tx[1], m.f.mem), -EINVAL, "%s", s->name);
        cr_assert_eq(belt_rx_open(&m.rx[2], m.f.mem), -EINVAL, "%s", s->name);
        lane->magic--;
        cr_assert_eq(belt_tx_open(&m.tx[1], m.f.mem), 0, "%s: the role was given back", s->name);
        cr_assert_eq(belt_rx_open(&m.rx[2], m.f.mem), 0, "%s", s->name);
        many_done(&m);
    }
}

/* Another ring's geometry, which a hostile peer could write: each fits into the lane. */
static void expect_refused(struct many *m, struct belt_ring_conf conf)
{
    struct belt_ring *lane = lane_of(m, 1, 2), was = *lane;
    size_t head = offsetof(struct belt_ring, published);
    struct fixture other = closed_ring_from(lanes, conf);
    cr_assert_leq(other.mem.size, m->f.ring->lane_size);
    memcpy(lane, other.ring, head);
    forget(&other);
    cr_assert_eq(belt_ring_check(m->f.ring, m->f.mem.size), 9);
    cr_assert_eq(stat_of(&m->f).items, 0, "it is not counted");
    belt_tx_leave(&m->tx[1]);
    belt_rx_leave(&m->rx[2]);
    cr_assert_eq(belt_tx_open(&m->tx[1], m->f.mem), -EMSGSIZE);
    cr_assert_eq(belt_rx_open(&m->rx[2], m->f.mem), -EMSGSIZE);
    memcpy(lane, &was, head);
    cr_assert_eq(belt_tx_open(&m->tx[1], m->f.mem), 0);
    cr_assert_eq(belt_rx_open(&m->rx[2], m->f.mem), 0);
}

Test(sharded, refuses_lanes_of_another_geometry)
{
    for (EACH_BODY(s)) {
        struct many m = many_of(s, 256);
        struct shape lane = { s->name, BELT_SPSC, s->body, s->biggest };
        expect_refused(&m, CONF(s, .item_size = 8, .items = 16));
        expect_refused(&m, CONF(&lane, .item_size = 8, .items = 16));
        expect_refused(&m, CONF(&lane, .item_size = 16, .items = 64));
        expect_refused(&m, CONF(&lane, .item_size = 7, .items = 256));
        many_done(&m);
    }
}

/* ---- misuse ------------------------------------------------------------------ */

Test(sharded, stops_a_program_that_publishes_what_it_did_not_claim, .signal = SIGABRT)
{
    struct many m = many_of(lanes, 8);
    belt_claim(&m.tx[0], 1);
    belt_publish(&m.tx[0], 2);
}

Test(sharded, stops_a_program_that_peeks_behind_a_peek, .signal = SIGABRT)
{
    struct many m = many_of(lanes, 8);
    belt_peek_at(&m.rx[0], 1, 1);
}
