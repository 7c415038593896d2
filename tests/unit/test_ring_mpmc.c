/* BELT_MPMC and BELT_MPMC_CRASH_UNSAFE: what one thread alone can show. Many are in
 * tests/stress/ring_mpmc.c, the dead in test_ring_reap.c. */
#include "ring_fixture.h"

static const struct shape *const safe = &shapes[2], *const unsafe = &shapes[3];

#define EACH_MPMC(s)                                                                               \
    const struct shape *s = safe;                                                                  \
    s <= unsafe;                                                                                   \
    s++

/* Two writers, two readers. */
struct two {
    struct fixture f;
    struct belt_tx *tx, tx2;
    struct belt_rx *rx, rx2;
};

/* `two` stays where it is: it points into itself. */
static void two_at(struct two *two, const struct shape *s, uint64_t start, uint32_t items)
{
    two->f = RING(s, .items = items, .start = start, .writers = 2, .readers = 2);
    two->tx = &two->f.tx;
    two->rx = &two->f.rx;
    cr_assert_eq(belt_tx_open(&two->tx2, two->f.mem), 0);
    cr_assert_eq(belt_rx_open(&two->rx2, two->f.mem), 0);
}

static void two_done(struct two *two)
{
    belt_tx_leave(&two->tx2);
    belt_rx_leave(&two->rx2);
    done(&two->f);
}

static uint64_t *word_at(struct two *q, uint64_t ticket)
{
    return belt_mpmc_slot(q->tx->first, q->tx->mask, q->tx->slot_size, ticket);
}

Test(mpmc, keeps_one_order_over_writers_and_readers)
{
    for (EACH_MPMC(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct two q;
            two_at(&q, s, starts[k], 8);
            for (uint64_t i = 0; i < 100; i += 2) {
                cr_assert(push(q.tx, i) && push(&q.tx2, i + 1), "%s", s->name);
                cr_assert_eq(pop(&q.rx2), i, "%s", s->name);
                cr_assert_eq(pop(q.rx), i + 1, "%s", s->name);
            }
            two_done(&q);
        }
    }
}

Test(mpmc, holds_exactly_its_slots)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, UINT64_MAX - 4, 8);
        cr_assert_eq(fill_up(q.tx, 0), 8, "%s", s->name);
        cr_assert_not(push(&q.tx2, 8), "%s", s->name);
        cr_assert_eq(pop(q.rx), 0);
        cr_assert(push(&q.tx2, 8));
        for (uint64_t i = 1; i <= 8; i++)
            cr_assert_eq(pop(q.rx), i, "%s", s->name);
        cr_assert(is_empty(&q.rx2));
        two_done(&q);
    }
}

Test(mpmc, ends_when_every_writer_has_closed_and_all_is_taken)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 4);
        push(q.tx, 1);
        belt_close(q.tx);
        belt_close(q.tx);
        pop(q.rx);
        cr_assert_not(belt_rx_ended(q.rx), "%s: the other writer is open", s->name);
        cr_assert_not(push(q.tx, 2), "%s: closed", s->name);
        cr_assert(push(&q.tx2, 2), "%s", s->name);
        belt_close(&q.tx2);
        cr_assert_not(belt_rx_ended(q.rx), "%s: one left", s->name);
        pop(&q.rx2);
        cr_assert(belt_rx_ended(q.rx) && belt_rx_ended(&q.rx2), "%s", s->name);
        two_done(&q);
    }
}

Test(mpmc, has_not_ended_while_a_reader_holds_an_item)
{
    struct two q;
    two_at(&q, safe, 0, 4);
    push(q.tx, 1);
    belt_close(q.tx);
    belt_close(&q.tx2);
    cr_assert_eq(belt_peek(q.rx, 1).count, 1);
    cr_assert_not(belt_rx_ended(&q.rx2), "it may come back");
    belt_release(q.rx, 1);
    cr_assert(belt_rx_ended(&q.rx2));
    two_done(&q);
}

/* ---- claims ------------------------------------------------------------------ */

Test(mpmc, looks_empty_behind_a_claim_that_is_not_published_yet)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 3, 8);
        struct belt_slots run = belt_claim(q.tx, 2);
        cr_assert_eq(run.count, 2);
        cr_assert(push(&q.tx2, 3));
        cr_assert(is_empty(q.rx), "%s: order before speed", s->name);
        put(q.tx, run, 0, 1);
        put(q.tx, run, 1, 2);
        belt_publish(q.tx, 2);
        for (uint64_t i = 1; i <= 3; i++)
            cr_assert_eq(pop(q.rx), i, "%s", s->name);
        two_done(&q);
    }
}

Test(mpmc, skips_what_was_claimed_and_not_published)
{
    for (EACH_MPMC(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct two q;
            two_at(&q, s, starts[k], 8);
            uint64_t next = 0;
            for (uint32_t round = 0; round < 40; round++) {
                struct belt_slots run = belt_claim(q.tx, 1 + round % 4);
                uint32_t n = round % (run.count + 1);
                for (uint32_t i = 0; i < n; i++)
                    put(q.tx, run, i, next + i);
                belt_publish(q.tx, n);
                cr_assert(push(&q.tx2, next + n), "%s", s->name);
                cr_assert_eq(stat_of(&q.f).items, n + 1);
                for (uint32_t i = 0; i <= n; i++)
                    cr_assert_eq(pop(i % 2 ? q.rx : &q.rx2), next + i, "%s", s->name);
                next += n + 1;
            }
            cr_assert_eq(fill_up(q.tx, 0), 8, "%s: all slots came back", s->name);
            two_done(&q);
        }
    }
}

Test(mpmc, is_woken_over_by_readers_when_only_gaps_are_there)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 4);
        cr_assert_eq(belt_claim(q.tx, 4).count, 4);
        belt_publish(q.tx, 0);
        cr_assert_not(push(&q.tx2, 1), "%s: no reader has been there", s->name);
        cr_assert(is_empty(q.rx), "%s", s->name);
        cr_assert(push(&q.tx2, 1), "%s", s->name);
        cr_assert_eq(pop(q.rx), 1);
        two_done(&q);
    }
}

Test(mpmc, gives_the_same_claim_again_until_it_is_published)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        struct belt_slots run = belt_claim(q.tx, 3), again = belt_claim(q.tx, 8);
        cr_assert(again.first == run.first && again.count == 3, "%s", s->name);
        cr_assert_eq(belt_claim(q.tx, 2).count, 2, "%s", s->name);
        cr_assert_not(push(q.tx, 9) && push(q.tx, 9), "%s: it has a claim", s->name);
        belt_publish(q.tx, 3);
        two_done(&q);
    }
}

Test(mpmc, makes_gaps_of_the_claims_of_who_leaves)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        cr_assert_eq(belt_claim(q.tx, 3).count, 3);
        belt_tx_leave(q.tx);
        cr_assert(push(&q.tx2, 5));
        cr_assert_eq(pop(q.rx), 5, "%s", s->name);
        cr_assert_eq(belt_tx_open(q.tx, q.f.mem), 0);
        two_done(&q);
    }
}

Test(mpmc, claims_long_runs_in_parts)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 5, 1024);
        uint32_t in = 0, out = 0, n;
        while ((n = write_run(q.tx, in, UINT32_MAX)) > 0) {
            cr_assert_leq(n, BELT_MPMC_RUN_MAX, "%s", s->name);
            in += n;
        }
        cr_assert_eq(in, 1024, "%s", s->name);
        while ((n = read_run(out % 2 ? q.rx : &q.rx2, out, UINT32_MAX)) > 0)
            out += n;
        cr_assert_eq(out, 1024, "%s", s->name);
        two_done(&q);
    }
}

/* ---- what readers hold ------------------------------------------------------- */

Test(mpmc, gives_other_readers_what_comes_after_what_one_holds)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, UINT64_MAX, 4);
        fill_up(q.tx, 0);
        struct belt_slots held = belt_peek(q.rx, 1);
        cr_assert_eq(held.count, 1);
        for (uint64_t i = 1; i < 4; i++)
            cr_assert_eq(pop(&q.rx2), i, "%s", s->name);
        cr_assert_not(push(q.tx, 9), "%s: the oldest slot is lent", s->name);
        cr_assert_eq(get(q.rx, held, 0), 0);
        belt_release(q.rx, 1);
        cr_assert_eq(fill_up(q.tx, 10), 4, "%s", s->name);
        two_done(&q);
    }
}

Test(mpmc, lets_a_reader_release_in_parts)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        fill_up(q.tx, 0);
        struct belt_slots held = belt_peek(q.rx, 4);
        cr_assert_eq(held.count, 4);
        cr_assert(belt_release(q.rx, 0) && belt_release(q.rx, 1));
        held = belt_peek(q.rx, 8);
        cr_assert(held.count == 3 && get(q.rx, held, 0) == 1, "%s: the rest", s->name);
        cr_assert_eq(belt_rx_wait(q.rx, 0), 0, "%s", s->name);
        cr_assert(push(q.tx, 8), "%s", s->name);
        cr_assert_not(push(q.tx, 9), "%s", s->name);
        belt_release(q.rx, 3);
        for (uint64_t i = 4; i <= 8; i++)
            cr_assert_eq(pop(q.rx), i, "%s", s->name);
        two_done(&q);
    }
}

Test(mpmc, puts_back_what_a_reader_held_that_leaves)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        fill_up(q.tx, 0);
        cr_assert_eq(belt_peek(q.rx, 3).count, 3);
        cr_assert_eq(pop(&q.rx2), 3);
        belt_rx_leave(q.rx);
        uint32_t seen = 1u << 3;
        for (int i = 0; i < 7; i++)
            seen |= 1u << pop(&q.rx2);
        cr_assert_eq(seen, 0xff, "%s: each again, in whatever order", s->name);
        cr_assert_eq(belt_rx_open(q.rx, q.f.mem), 0);
        cr_assert_eq(fill_up(q.tx, 0), 8);
        two_done(&q);
    }
}

Test(mpmc, takes_nothing_more_for_a_reader_that_holds_something)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        fill_up(q.tx, 0);
        cr_assert_eq(belt_peek(q.rx, 2).count, 2);
        cr_assert(is_empty(q.rx), "%s", s->name);
        cr_assert(belt_release(q.rx, 2));
        cr_assert_eq(pop(q.rx), 2, "%s", s->name);
        two_done(&q);
    }
}

Test(mpmc, can_be_waited_for_by_ends_that_hold_something)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 4);
        cr_assert_eq(belt_claim(q.tx, 4).count, 4);
        cr_assert_eq(belt_tx_wait(q.tx, 0), 0, "%s: it has room", s->name);
        cr_assert_eq(belt_tx_wait(&q.tx2, 0), -ETIMEDOUT, "%s", s->name);
        belt_publish(q.tx, 4);
        cr_assert_eq(belt_peek(q.rx, 4).count, 4);
        cr_assert_eq(belt_rx_wait(q.rx, 0), 0, "%s: it has items", s->name);
        cr_assert_eq(belt_rx_wait(&q.rx2, 0), -ETIMEDOUT, "%s", s->name);
        belt_release(q.rx, 4);
        two_done(&q);
    }
}

Test(mpmc, is_seen_to_hold_something_behind_gaps)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        cr_assert_eq(belt_claim(q.tx, 2).count, 2);
        belt_publish(q.tx, 0);
        cr_assert(push(&q.tx2, 5));
        cr_assert_eq(belt_rx_wait(q.rx, 0), 0, "%s", s->name);
        cr_assert_eq(belt_peek(&q.rx2, 1).count, 1, "%s", s->name);
        cr_assert_eq(belt_rx_wait(q.rx, 0), -ETIMEDOUT, "%s: another has it", s->name);
        cr_assert(belt_release(&q.rx2, 1));
        two_done(&q);
    }
}

/* ---- who slept --------------------------------------------------------------- */

Test(mpmc, is_found_again_by_ends_that_slept_through_laps)
{
    for (EACH_MPMC(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct two q;
            two_at(&q, s, starts[k], 8);
            uint64_t next = 0;
            for (int laps = 1; laps < 40; laps += 5) {
                for (int i = 0; i < 8 * laps + 3; i++, next++) {
                    cr_assert(push(q.tx, next));
                    cr_assert_eq(pop(q.rx), next);
                }
                cr_assert(push(&q.tx2, next), "%s after %d laps", s->name, laps);
                cr_assert_eq(pop(&q.rx2), next++, "%s after %d laps", s->name, laps);
            }
            two_done(&q);
        }
    }
}

Test(mpmc, is_found_full_and_empty_by_ends_that_slept_through_laps)
{
    for (EACH_MPMC(s)) {
        struct two q;
        two_at(&q, s, 0, 8);
        for (uint64_t i = 0; i < 100; i++) {
            push(q.tx, i);
            pop(q.rx);
        }
        cr_assert(is_empty(&q.rx2), "%s", s->name);
        fill_up(q.tx, 0);
        cr_assert_not(push(&q.tx2, 9), "%s", s->name);
        cr_assert_eq(belt_tx_wait(&q.tx2, 0), -ETIMEDOUT, "%s", s->name);
        two_done(&q);
    }
}

/* Days at full speed: what is later then looks earlier, in 47 bits. */
Test(mpmc, is_found_again_by_ends_that_slept_through_half_of_all_tickets)
{
    struct two q;
    two_at(&q, safe, UINT64_C(1) << 50, 8);
    q.tx2.next -= (UINT64_C(1) << 46) + 8;
    q.rx2.next -= (UINT64_C(1) << 46) + 8;
    cr_assert(push(&q.tx2, 1));
    cr_assert_eq(pop(&q.rx2), 1);
    cr_assert(push(q.tx, 2));
    cr_assert_eq(pop(q.rx), 2);
    two_done(&q);
}

/* ---- hostile words ---------------------------------------------------------------- */

/* Tickets a third of all apart, of which one is always later than the last. */
static uint64_t word_of_a_circle(uint64_t *random, uint64_t slot)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t r = *random >> 33, third = (UINT64_C(1) << 47) / 12 * 4;
    return belt_mpmc_word(third * (r % 3) + slot, 0, (uint32_t)(r / 3 % 8),
                          (enum belt_mpmc_state)(r / 24 % BELT_MPMC_STATES));
}

Test(mpmc, comes_back_from_words_that_lead_in_circles)
{
    uint64_t random = 1;
    for (int round = 0; round < 5000; round++) {
        struct two q;
        struct belt_ring_stat stat;
        two_at(&q, safe, 0, 4);
        for (uint64_t slot = 0; slot < 4; slot++)
            *word_at(&q, slot) = word_of_a_circle(&random, slot);
        push(q.tx, 1);
        is_empty(q.rx);
        belt_rx_wait(&q.rx2, 0);
        belt_tx_wait(&q.tx2, 0);
        cr_assert_eq(belt_ring_stat(q.f.mem, &stat), 0);
        belt_ring_check(q.f.ring, q.f.mem.size);
        belt_ring_reap(q.f.mem, NULL);
        forget(&q.f);
    }
}

/* ---- looking in -------------------------------------------------------------- */

Test(mpmc, tells_words_that_fit_no_state)
{
    struct two q;
    two_at(&q, safe, 0, 4);
    static const uint64_t wrong[] = {
        UINT64_C(1) << BELT_MPMC_TICKET_SHIFT | 1 << BELT_MPMC_RUN_SHIFT, /* another's ticket */
        0,                                                                /* no run */
        5 << BELT_MPMC_RUN_SHIFT,                                         /* over the end */
        1 << BELT_MPMC_RUN_SHIFT | BELT_MPMC_STATES,
    };
    uint64_t was = *word_at(&q, 0);
    for (int i = 0; i < 4; i++) {
        *word_at(&q, 0) = wrong[i];
        cr_assert_eq(belt_ring_check(q.f.ring, q.f.mem.size), 8, "word %d", i);
    }
    *word_at(&q, 0) = belt_mpmc_word(8, 0, 1, BELT_MPMC_FILLED);
    *word_at(&q, 1) = belt_mpmc_word(1, 0, 1, BELT_MPMC_FILLED);
    cr_assert_eq(belt_ring_check(q.f.ring, q.f.mem.size), 7, "two laps at once");
    *word_at(&q, 0) = was;
    forget(&q.f);
}

/* ---- misuse ------------------------------------------------------------------ */

Test(mpmc, stops_a_program_that_claims_behind_a_claim, .signal = SIGABRT)
{
    struct two q;
    two_at(&q, safe, 0, 4);
    belt_claim_at(q.tx, 1, 1);
}

Test(mpmc, stops_a_program_that_publishes_what_it_did_not_claim, .signal = SIGABRT)
{
    struct two q;
    two_at(&q, safe, 0, 4);
    belt_publish(q.tx, 1);
}

Test(mpmc, stops_a_program_that_releases_what_it_did_not_peek, .signal = SIGABRT)
{
    struct two q;
    two_at(&q, unsafe, 0, 4);
    push(q.tx, 1);
    belt_release(q.rx, 1);
}
