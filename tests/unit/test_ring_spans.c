/* SPSC rings with cursors beside the slots. */
#include "ring_fixture.h"

static const struct shape *const spans = &shapes[0];

static struct fixture ring_at(uint64_t start, uint32_t items)
{
    return RING(spans, .start = start, .items = items);
}

Test(spans, hold_exactly_their_slots)
{
    struct fixture f = ring_at(UINT64_MAX - 3, 8);
    cr_assert_eq(fill_up(&f.tx, 0), 8);
    cr_assert_eq(pop(&f.rx), 0);
    cr_assert(push(&f.tx, 8), "one was released");
    cr_assert_not(push(&f.tx, 9));
    for (uint64_t i = 1; i <= 8; i++)
        cr_assert_eq(pop(&f.rx), i);
    done(&f);
}

Test(spans, give_one_run_up_to_the_end_of_the_ring)
{
    struct fixture f = ring_at(6, 8);
    struct belt_slots run = belt_claim(&f.tx, 5);
    cr_assert_eq(run.count, 2);
    cr_assert_eq(run.ticket, 6);
    belt_publish(&f.tx, 2);
    run = belt_claim(&f.tx, 3);
    cr_assert_eq(run.count, 3);
    cr_assert_eq((char *)run.first, f.tx.first, "from the beginning");
    belt_publish(&f.tx, 3);
    cr_assert_eq(belt_peek(&f.rx, 5).count, 2);
    cr_assert_eq(belt_peek_at(&f.rx, 2, 5).count, 3);
    done(&f);
}

Test(spans, peek_past_the_oldest_without_releasing_it)
{
    struct fixture f = ring_at(UINT64_MAX - 1, 4);
    fill_up(&f.tx, 0);
    struct belt_slots run = belt_peek_at(&f.rx, 3, 4);
    cr_assert_eq(run.count, 1);
    cr_assert_eq(get(&f.rx, run, 0), 3);
    cr_assert_eq(run.ticket, (uint64_t)1, "tickets wrap as well");
    cr_assert_eq(belt_peek_at(&f.rx, 4, 1).count, 0);
    cr_assert_eq(belt_rx_next(&f.rx), UINT64_MAX - 1, "nothing was released");
    done(&f);
}

Test(spans, claim_past_what_is_claimed_but_unpublished)
{
    struct fixture f = ring_at(3, 4);
    put(&f.tx, belt_claim_at(&f.tx, 0, 1), 0, 10);
    put(&f.tx, belt_claim_at(&f.tx, 1, 1), 0, 11);
    cr_assert_eq(belt_claim_at(&f.tx, 4, 1).count, 0);
    belt_publish(&f.tx, 2);
    cr_assert_eq(pop(&f.rx), 10);
    cr_assert_eq(pop(&f.rx), 11);
    done(&f);
}

Test(spans, see_released_room_though_the_cached_room_is_too_small)
{
    struct fixture f = ring_at(0, 4);
    push(&f.tx, 0);
    push(&f.tx, 1);
    pop(&f.rx);
    pop(&f.rx);
    /* Cached: two free; after the pops there are four. */
    cr_assert_eq(belt_claim_at(&f.tx, 2, 2).count, 2);
    done(&f);
}

Test(spans, ask_for_all_with_the_biggest_want)
{
    struct fixture f = ring_at(0, 8);
    cr_assert_eq(belt_claim_at(&f.tx, UINT32_MAX, UINT32_MAX).count, 0);
    cr_assert_eq(belt_claim(&f.tx, UINT32_MAX).count, 8);
    belt_publish(&f.tx, 8);
    cr_assert_eq(belt_peek(&f.rx, UINT32_MAX).count, 8);
    cr_assert_eq(belt_peek_at(&f.rx, UINT32_MAX, UINT32_MAX).count, 0);
    done(&f);
}

Test(spans, keep_the_rest_of_a_claim_claimable)
{
    struct fixture f = ring_at(0, 8);
    struct belt_slots run = belt_claim(&f.tx, 4);
    put(&f.tx, run, 0, 1);
    put(&f.tx, run, 1, 2);
    belt_publish(&f.tx, 1);
    cr_assert_eq(belt_claim(&f.tx, 1).first, slot_at(run, f.tx.slot_size, 1), "the same slot");
    belt_publish(&f.tx, 1);
    cr_assert_eq(pop(&f.rx), 1);
    cr_assert_eq(pop(&f.rx), 2, "what was written before is still there");
    done(&f);
}

Test(spans, reuse_slots_as_they_are_released)
{
    struct fixture f = ring_at(0, 4);
    fill_up(&f.tx, 0);
    cr_assert_eq(belt_peek(&f.rx, 4).count, 4);
    cr_assert(belt_release(&f.rx, 3));
    cr_assert_eq(belt_claim(&f.tx, 4).count, 3);
    done(&f);
}

Test(spans, count_tickets)
{
    struct fixture f = ring_at(40, 4);
    push(&f.tx, 1);
    push(&f.tx, 2);
    pop(&f.rx);
    struct belt_ring_stat stat = stat_of(&f);
    cr_assert(stat.published == 42 && stat.released == 41 && stat.slots == 4);
    cr_assert(belt_tx_next(&f.tx) == 42 && belt_rx_next(&f.rx) == 41);
    done(&f);
}

Test(spans, tell_cursors_that_cannot_be)
{
    struct fixture f = ring_at(0, 4);
    f.ring->published = 5;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 7);
    f.ring->published = 0, f.ring->released = 1;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 7, "released before published");
    f.ring->released = 0;
    done(&f);
}

/* ---- misuse ------------------------------------------------------------------ */

Test(spans, stop_a_program_that_publishes_what_it_did_not_claim, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 4);
    belt_claim(&f.tx, 4);
    belt_publish(&f.tx, 5);
}

Test(spans, stop_a_program_that_releases_what_it_did_not_see, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 4);
    push(&f.tx, 1);
    belt_peek(&f.rx, 4);
    belt_release(&f.rx, 2);
}

Test(spans, stop_a_program_that_pushes_more_than_an_item, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 4);
    uint64_t two[2] = { 0 };
    belt_push(&f.tx, two, sizeof two);
}

Test(spans, stop_a_program_that_pops_more_than_an_item, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 4);
    uint64_t two[2];
    belt_pop_n(&f.rx, two, 1, sizeof two);
}

/* ---- recovery ---------------------------------------------------------------- */

Test(spans, show_the_next_reader_what_was_peeked_but_not_released)
{
    struct fixture f = ring_at(UINT64_MAX, 4);
    push(&f.tx, 1);
    push(&f.tx, 2);
    pop(&f.rx);
    belt_peek(&f.rx, 1);
    belt_rx_leave(&f.rx);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    cr_assert_eq(pop(&f.rx), 2);
    done(&f);
}

Test(spans, forget_what_the_last_writer_claimed_but_did_not_publish)
{
    struct fixture f = ring_at(UINT64_MAX, 4);
    push(&f.tx, 1);
    put(&f.tx, belt_claim(&f.tx, 1), 0, 99);
    belt_tx_leave(&f.tx);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_tx_next(&f.tx), 0);
    push(&f.tx, 2);
    cr_assert_eq(pop(&f.rx), 1);
    cr_assert_eq(pop(&f.rx), 2);
    done(&f);
}

Test(spans, stay_closed_for_the_next_writer)
{
    struct fixture f = ring_at(0, 4);
    belt_close(&f.tx);
    belt_tx_leave(&f.tx);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_not(push(&f.tx, 1));
    cr_assert_eq(belt_claim(&f.tx, 1).count, 0);
    done(&f);
}

Test(spans, redo_moves_a_cursor_once_and_never_back)
{
    struct fixture f = ring_at(UINT64_MAX, 4);
    put(&f.tx, belt_claim(&f.tx, 1), 0, 7);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 0), 0);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 0), 0, "twice");
    cr_assert_eq(belt_ring_redo_publish(f.ring, UINT64_MAX), 0, "back");
    cr_assert_eq(pop(&f.rx), 7);
    cr_assert_eq(belt_ring_redo_release(f.ring, UINT64_MAX), 0, "back");
    cr_assert_eq(f.ring->published, 0);
    cr_assert_eq(f.ring->released, 0);
    done(&f);
}

Test(spans, redo_refuses_cursors_beyond_the_other_end)
{
    struct fixture f = ring_at(UINT64_MAX - 1, 4);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 3), -EINVAL, "five of four slots");
    cr_assert_eq(belt_ring_redo_publish(f.ring, 2), 0, "four of four");
    cr_assert_eq(belt_ring_redo_release(f.ring, 3), -EINVAL, "more than was published");
    cr_assert_eq(belt_ring_redo_release(f.ring, 2), 0);
    done(&f);
}

Test(spans, are_the_only_ones_with_cursors_to_redo)
{
    for (EACH_SHAPE(s)) {
        if (s == spans)
            continue;
        struct fixture f = RING(s, .items = 4);
        cr_assert_eq(belt_ring_redo_publish(f.ring, 1), -ENOTSUP, "%s", s->name);
        cr_assert_eq(belt_ring_redo_release(f.ring, 1), -ENOTSUP, "%s", s->name);
        done(&f);
    }
}
