/* BELT_LOSSY: the writer never waits, and who is lapped is told what it missed. */
#include "ring_fixture.h"

static const struct shape *const lossy = &shapes[LOSSY_SHAPE];

static struct fixture ring_at(uint64_t start, uint32_t items)
{
    return RING(lossy, .items = items, .start = start);
}

static void push_range(struct belt_tx *tx, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        cr_assert(push(tx, i));
}

Test(lossy, is_never_full)
{
    for (int k = 0; k < STARTS; k++) {
        struct fixture f = ring_at(starts[k], 8);
        push_range(&f.tx, 0, 1000);
        cr_assert_eq(belt_tx_wait(&f.tx, 0), 0);
        cr_assert_eq(belt_claim(&f.tx, 8).count > 0, true);
        done(&f);
    }
}

Test(lossy, tells_how_many_were_missed)
{
    for (int k = 0; k < STARTS; k++) {
        struct fixture f = ring_at(starts[k], 8);
        uint64_t sent = 0, got = 0, value, next = 0;
        for (uint64_t round = 0; round < 60; round++) {
            push_range(&f.tx, sent, sent + round);
            sent += round;
            while (belt_pop(&f.rx, &value, sizeof value)) {
                cr_assert_geq(value, next, "from %#lx", starts[k]);
                next = value + 1;
                got++;
                cr_assert_eq(next, got + f.rx.missed, "each was got or missed");
            }
            cr_assert_eq(next, sent, "up to the last");
        }
        cr_assert_gt(f.rx.missed, 0);
        done(&f);
    }
}

Test(lossy, misses_nothing_when_the_reader_is_fast_enough)
{
    struct fixture f = ring_at(UINT64_MAX - 20, 8);
    for (uint64_t i = 0; i < 200; i += 8) {
        push_range(&f.tx, i, i + 8);
        for (uint64_t j = i; j < i + 8; j++)
            cr_assert_eq(pop(&f.rx), j, "a whole ring");
    }
    cr_assert_eq(f.rx.missed, 0);
    done(&f);
}

Test(lossy, begins_for_a_late_reader_with_the_oldest_that_is_there)
{
    for (uint64_t sent = 0; sent < 20; sent++) {
        struct fixture f = closed_ring_from(lossy, CONF(lossy, .items = 8, .start = UINT64_MAX));
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        push_range(&f.tx, 0, sent);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        for (uint64_t i = sent > 8 ? sent - 8 : 0; i < sent; i++)
            cr_assert_eq(pop(&f.rx), i, "of %lu", sent);
        cr_assert(is_empty(&f.rx));
        cr_assert_eq(f.rx.missed, 0, "what was before it came is not missed");
        done(&f);
    }
}

Test(lossy, gives_each_reader_its_own_place)
{
    struct fixture f = closed_ring_from(lossy, CONF(lossy, .items = 8, .readers = 2));
    struct belt_rx slow;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert(belt_rx_open(&f.rx, f.mem) == 0 && belt_rx_open(&slow, f.mem) == 0);
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert(push(&f.tx, i));
        cr_assert_eq(pop(&f.rx), i);
    }
    cr_assert_eq(pop(&slow), 12);
    cr_assert(slow.missed == 12 && f.rx.missed == 0);
    belt_rx_leave(&slow);
    done(&f);
}

/* ---- arrays ------------------------------------------------------------------ */

Test(lossy, takes_arrays_longer_than_itself)
{
    struct fixture f = ring_at(UINT64_MAX - 3, 8);
    uint64_t in[50], out[50];
    for (uint64_t i = 0; i < 50; i++)
        in[i] = i;
    cr_assert_eq(belt_push_n(&f.tx, in, 50, sizeof *in), 50);
    cr_assert_eq(belt_pop_n(&f.rx, out, 50, sizeof *out), 8);
    cr_assert_arr_eq(out, in + 42, 8 * sizeof *out);
    cr_assert_eq(f.rx.missed, 42);
    done(&f);
}

/* It knows of eight, and meanwhile three of them go. */
Test(lossy, gives_what_is_left_of_a_run)
{
    struct fixture f = ring_at(0, 8);
    uint64_t out[8];
    push_range(&f.tx, 0, 8);
    cr_assert_eq(belt_rx_wait(&f.rx, 0), 0);
    push_range(&f.tx, 8, 11);
    cr_assert_eq(belt_pop_n(&f.rx, out, 8, sizeof *out), 8);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert_eq(out[i], 3 + i);
    cr_assert_eq(f.rx.missed, 3);
    done(&f);
}

Test(lossy, carries_parts_of_words)
{
    static const uint32_t sizes[] = { 1, 2, 7, 9, 15, 17, 100, 4095 };
    static unsigned char in[3 * 4095], out[3 * 4095];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct fixture f = RING(lossy, .items = 4, .item_size = sizes[k]);
        for (uint32_t i = 0; i < 3 * sizes[k]; i++)
            in[i] = (unsigned char)(i * 7 + k);
        memset(out, 0, sizeof out);
        cr_assert_eq(belt_push_n(&f.tx, in, 3, sizes[k]), 3);
        cr_assert_eq(belt_pop_n(&f.rx, out, 3, sizes[k]), 3);
        cr_assert_arr_eq(in, out, 3 * sizes[k], "%u bytes", sizes[k]);
        done(&f);
    }
}

/* ---- in place ---------------------------------------------------------------- */

Test(lossy, tells_on_release_that_the_reader_was_lapped)
{
    struct fixture f = ring_at(UINT64_MAX - 5, 8);
    push_range(&f.tx, 0, 8);
    cr_assert_eq(belt_peek(&f.rx, 2).count, 2);
    push_range(&f.tx, 8, 10);
    cr_assert_not(belt_release(&f.rx, 2));
    cr_assert_eq(f.rx.missed, 2);
    cr_assert_eq(pop(&f.rx), 2, "and goes on with the oldest");
    done(&f);
}

Test(lossy, tells_on_release_that_the_reader_was_lapped_by_far)
{
    struct fixture f = ring_at(0, 8);
    push_range(&f.tx, 0, 4);
    cr_assert_eq(belt_peek(&f.rx, 2).count, 2);
    push_range(&f.tx, 4, 104);
    cr_assert_not(belt_release(&f.rx, 2));
    cr_assert_eq(f.rx.missed, 96);
    for (uint64_t i = 96; i < 104; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert(is_empty(&f.rx));
    done(&f);
}

Test(lossy, vouches_on_release_for_what_was_lent)
{
    struct fixture f = ring_at(0, 8);
    push_range(&f.tx, 0, 8);
    struct belt_slots run = belt_peek(&f.rx, 5);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(get(&f.rx, run, i), i);
    cr_assert(belt_release(&f.rx, 5));
    cr_assert_eq(f.rx.missed, 0);
    push_range(&f.tx, 8, 13);
    cr_assert_eq(pop(&f.rx), 5);
    done(&f);
}

/* The writer may already be at work in what it has only claimed. */
Test(lossy, does_not_vouch_for_what_the_writer_has_claimed)
{
    struct fixture f = ring_at(0, 8);
    push_range(&f.tx, 0, 8);
    cr_assert_eq(belt_peek(&f.rx, 3).count, 3);
    struct belt_slots run = belt_claim(&f.tx, 2);
    put(&f.tx, run, 0, 99);
    cr_assert_not(belt_release(&f.rx, 3));
    cr_assert_eq(f.rx.missed, 3);
    cr_assert_eq(pop(&f.rx), 3);
    done(&f);
}

Test(lossy, skips_what_is_gone_when_it_looks)
{
    struct fixture f = ring_at(0, 8);
    push_range(&f.tx, 0, 20);
    struct belt_slots run = belt_peek(&f.rx, 3);
    cr_assert(run.count == 3 && get(&f.rx, run, 0) == 12);
    cr_assert_eq(f.rx.missed, 12);
    cr_assert_eq(get(&f.rx, belt_peek_at(&f.rx, 3, 2), 0), 15);
    cr_assert_eq(belt_peek_at(&f.rx, 8, 2).count, 0);
    done(&f);
}

Test(lossy, claims_past_what_is_claimed_up_to_one_lap)
{
    struct fixture f = ring_at(0, 8);
    put(&f.tx, belt_claim_at(&f.tx, 0, 1), 0, 10);
    put(&f.tx, belt_claim_at(&f.tx, 1, 1), 0, 11);
    cr_assert_eq(belt_claim_at(&f.tx, 7, 5).count, 1);
    cr_assert_eq(belt_claim_at(&f.tx, 8, 1).count, 0);
    belt_publish(&f.tx, 2);
    cr_assert(pop(&f.rx) == 10 && pop(&f.rx) == 11);
    done(&f);
}

/* All eight are claimed over: nothing is left but what comes. */
Test(lossy, is_empty_where_all_is_being_written)
{
    struct fixture f = ring_at(0, 8);
    push_range(&f.tx, 0, 8);
    cr_assert_eq(belt_rx_wait(&f.rx, 0), 0);
    cr_assert_eq(belt_claim(&f.tx, 8).count, 8);
    cr_assert(is_empty(&f.rx));
    cr_assert_eq(f.rx.missed, 8);
    belt_publish(&f.tx, 1);
    done(&f);
}

/* ---- successors, looking in -------------------------------------------------- */

static int claim_and_scribble(void *arg)
{
    struct fixture *f = arg;
    CHILD_CHECK(belt_tx_open(&f->tx, f->mem) == 0);
    for (uint64_t i = 0; i < 8; i++)
        CHILD_CHECK(push(&f->tx, i));
    struct belt_slots run = belt_claim(&f->tx, 3);
    put(&f->tx, run, 0, 99);
    return 0;
}

Test(lossy, does_not_show_what_a_dead_writer_was_writing)
{
    struct fixture f = SHARED_RING(lossy, .items = 8);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    in_child_that_dies(claim_and_scribble, &f);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    for (uint64_t i = 3; i < 8; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert_eq(f.rx.missed, 3);
    push_range(&f.tx, 8, 12);
    for (uint64_t i = 8; i < 12; i++)
        cr_assert_eq(pop(&f.rx), i);
    unshare_ring(&f);
}

Test(lossy, tells_cursors_that_cannot_be)
{
    struct fixture f = ring_at(0, 8);
    f.ring->claimed = 9;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 7);
    f.ring->claimed = (uint64_t)-1;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 7);
    f.ring->claimed = 0, f.ring->published = 1000;
    cr_assert_leq(stat_of(&f).items, 8);
    f.ring->published = 0;
    done(&f);
}

Test(lossy, stops_a_program_that_publishes_what_it_did_not_claim, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 8);
    belt_claim(&f.tx, 1);
    belt_publish(&f.tx, 2);
}
