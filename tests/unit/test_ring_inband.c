/* SPSC rings whose lines say themselves what is in them. */
#include "ring_fixture.h"

static const struct shape *const inband = &shapes[1];

static struct fixture ring_at(uint64_t start, uint32_t items, uint32_t item_size)
{
    return RING(inband, .start = start, .items = items, .item_size = item_size);
}

static uint64_t *header_of(struct fixture *f, uint64_t ticket)
{
    return belt_inband_header(f->tx.first, f->tx.mask, ticket);
}

Test(inband, shows_every_item_at_once)
{
    struct fixture f = ring_at(0, 64, 8);
    for (uint64_t i = 0; i < 30; i++) {
        cr_assert(push(&f.tx, i));
        cr_assert_eq(belt_peek(&f.rx, 8).count, 1, "none waits for the rest of its line");
        cr_assert_eq(pop(&f.rx), i);
        cr_assert(is_empty(&f.rx));
    }
    done(&f);
}

Test(inband, gives_runs_within_a_line)
{
    struct fixture f = ring_at(0, 64, 8);
    struct belt_slots run = belt_claim(&f.tx, 100);
    cr_assert(run.count == 7 && run.ticket == 0);
    belt_publish(&f.tx, 3);
    run = belt_claim(&f.tx, 100);
    cr_assert(run.count == 4 && run.ticket == 3);
    belt_publish(&f.tx, 4);
    run = belt_claim(&f.tx, 2);
    cr_assert(run.count == 2 && run.ticket == 8, "the next line");
    belt_publish(&f.tx, 2);
    run = belt_peek(&f.rx, 100);
    cr_assert(run.count == 7 && run.ticket == 0);
    belt_release(&f.rx, 7);
    cr_assert_eq(belt_peek(&f.rx, 100).count, 2);
    cr_assert_eq(belt_claim_at(&f.tx, 1, 1).count, 0, "no skipping");
    cr_assert_eq(belt_peek_at(&f.rx, 1, 1).count, 0);
    done(&f);
}

Test(inband, looks_again_when_more_is_wanted_than_was_seen)
{
    struct fixture f = ring_at(0, 64, 8);
    push(&f.tx, 0);
    cr_assert_eq(belt_peek(&f.rx, 7).count, 1);
    push(&f.tx, 1);
    push(&f.tx, 2);
    cr_assert_eq(belt_peek(&f.rx, 7).count, 3);
    done(&f);
}

Test(inband, gives_back_lines)
{
    struct fixture f = ring_at(0, 8, 8);
    uint32_t n = fill_up(&f.tx, 0);
    for (uint64_t i = 0; i < 6; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert_not(push(&f.tx, 99), "the line is still in use");
    cr_assert_eq(pop(&f.rx), 6);
    cr_assert_eq(belt_peek(&f.rx, 1).count, 1, "which gives back the line before");
    cr_assert_eq(fill_up(&f.tx, n), 7, "all of it");
    done(&f);
}

Test(inband, stays_closed_for_the_next_writer)
{
    struct fixture f = ring_at(0, 8, 8);
    fill_up(&f.tx, 0);
    belt_close(&f.tx);
    belt_tx_leave(&f.tx);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    while (!is_empty(&f.rx))
        ;
    cr_assert_not(push(&f.tx, 1));
    cr_assert_eq(belt_claim(&f.tx, 1).count, 0);
    cr_assert(belt_rx_ended(&f.rx));
    done(&f);
}

Test(inband, finds_its_end_again_at_every_phase)
{
    for (uint32_t size = 8; size <= 56; size += 8) {
        struct fixture f = ring_at(UINT64_MAX - 40, 16, size);
        uint64_t in = 0, out = 0, item[7] = { 0 };
        for (int round = 0; round < 100; round++) {
            for (int i = 0; i < round % 9; i++, in++) {
                item[0] = in;
                cr_assert(belt_push(&f.tx, item, size));
            }
            belt_tx_leave(&f.tx);
            cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
            for (; out < in; out++) {
                cr_assert(belt_pop(&f.rx, item, size));
                cr_assert_eq(item[0], out, "items of %u bytes", size);
            }
        }
        done(&f);
    }
}

Test(inband, finds_its_end_when_full)
{
    struct fixture f = ring_at(0, 8, 8);
    uint32_t n = fill_up(&f.tx, 0);
    belt_tx_leave(&f.tx);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_not(push(&f.tx, n));
    for (uint64_t i = 0; i < 7; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert_eq(pop(&f.rx), 7);
    cr_assert(push(&f.tx, n));
    for (uint64_t i = 8; i <= n; i++)
        cr_assert_eq(pop(&f.rx), i);
    done(&f);
}

/* ---- hostile headers --------------------------------------------------------- */

Test(inband, believes_no_header_that_goes_beyond_its_line)
{
    struct fixture f = ring_at(0, 8, 8);
    static const uint64_t lies[] = { 8, 9, 1000, UINT64_MAX, UINT64_C(1) << 63, 0 };
    uint64_t was = *header_of(&f, 0);
    for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
        *header_of(&f, 0) = lies[k];
        cr_assert(is_empty(&f.rx), "header %#lx", lies[k]);
    }
    *header_of(&f, 0) = was;
    done(&f);
}

Test(inband, is_opened_at_places_that_cannot_be)
{
    struct fixture f = ring_at(0, 8, 24);
    uint64_t item[3] = { 0 }, good = f.ring->released;
    cr_assert(belt_push(&f.tx, item, sizeof item));
    for (uint64_t lie = 1; lie < 8; lie++) {
        belt_rx_leave(&f.rx);
        f.ring->released = lie << 40 | lie;
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        cr_assert_eq(belt_peek(&f.rx, 8).count, 0, "place %lu", lie);
        belt_tx_leave(&f.tx);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        belt_push(&f.tx, item, sizeof item);
    }
    f.ring->released = good;
    belt_tx_leave(&f.tx);
    belt_rx_leave(&f.rx);
    forget(&f);
}

Test(inband, tells_headers_that_cannot_be)
{
    struct fixture f = ring_at(0, 8, 8);
    push(&f.tx, 1);
    uint64_t was = *header_of(&f, 8);
    *header_of(&f, 8) = 8 + 2;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 8, "filled behind a line that is not full");
    *header_of(&f, 8) = was + 1;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 8, "of no lap");
    *header_of(&f, 8) = was;
    f.ring->released += 3;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 8, "amid a line");
    f.ring->released -= 3;
    done(&f);
}

/* ---- misuse ------------------------------------------------------------------ */

Test(inband, stops_a_program_that_publishes_beyond_the_line, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 8, 8);
    belt_claim(&f.tx, 7);
    belt_publish(&f.tx, 8);
}

Test(inband, stops_a_program_that_releases_what_it_did_not_see, .signal = SIGABRT)
{
    struct fixture f = ring_at(0, 8, 8);
    push(&f.tx, 1);
    belt_peek(&f.rx, 4);
    belt_release(&f.rx, 2);
}
