/* BELT_MPMC: what one thread alone can show. Many are in tests/stress/ring_mpmc.c. */
#include <criterion/criterion.h>
#include <errno.h>

#include "rings/ring.h"

struct fixture {
    struct belt_mem mem;
    struct belt_ring *ring;
    struct belt_tx tx, tx2;
    struct belt_rx rx, rx2;
};

static struct fixture mpmc_at(uint64_t start, uint32_t items, uint32_t item_size)
{
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_MPMC,
                                   .items = items,
                                   .item_size = item_size,
                                   .writers = 2,
                                   .readers = 2,
                                   .start = start };
    struct fixture f;
    size_t size = belt_ring_footprint(&conf);
    void *base = NULL;
    cr_assert_eq(posix_memalign(&base, BELT_LINES, size), 0);
    memset(base, 0xa5, size);
    f.mem = belt_mem_of(base, size);
    f.ring = base;
    cr_assert_eq(belt_ring_format(f.mem, &conf), 0);
    cr_assert(belt_tx_open(&f.tx, f.mem) == 0 && belt_tx_open(&f.tx2, f.mem) == 0);
    cr_assert(belt_rx_open(&f.rx, f.mem) == 0 && belt_rx_open(&f.rx2, f.mem) == 0);
    return f;
}

static void done(struct fixture *f)
{
    cr_assert_eq(belt_ring_check(f->ring, f->mem.size), 0);
    free(f->mem.base);
}

static bool push(struct belt_tx *tx, uint64_t value)
{
    return belt_push(tx, &value, sizeof value);
}

static uint64_t pop(struct belt_rx *rx)
{
    uint64_t value = 0;
    cr_assert(belt_pop(rx, &value, sizeof value), "empty");
    return value;
}

Test(mpmc, keeps_one_order_over_writers_and_readers_when_cursors_wrap)
{
    struct fixture f = mpmc_at(UINT64_MAX - 4, 8, 8);
    for (uint64_t i = 0; i < 100; i += 2) {
        cr_assert(push(&f.tx, i) && push(&f.tx2, i + 1));
        cr_assert_eq(pop(&f.rx2), i);
        cr_assert_eq(pop(&f.rx), i + 1);
    }
    done(&f);
}

Test(mpmc, holds_as_many_as_it_has_slots_and_not_one_more)
{
    struct fixture f = mpmc_at(UINT64_MAX - 4, 8, 8);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert(push(&f.tx, i));
    cr_assert_not(push(&f.tx2, 8));
    cr_assert_eq(pop(&f.rx), 0);
    cr_assert(push(&f.tx2, 8));
    for (uint64_t i = 1; i <= 8; i++)
        cr_assert_eq(pop(&f.rx), i);
    uint64_t none;
    cr_assert_not(belt_pop(&f.rx, &none, sizeof none));
    done(&f);
}

Test(mpmc, moves_arrays_across_the_end_of_the_ring)
{
    struct fixture f = mpmc_at(UINT64_MAX - 6, 16, 8);
    uint64_t in[11], out[16];
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 11; i++)
            in[i] = round * 11 + i;
        cr_assert_eq(belt_push_n(&f.tx, in, 11, sizeof *in), 11);
        cr_assert_eq(belt_push_n(&f.tx, in, 11, sizeof *in), 5, "what fits");
        cr_assert_eq(belt_pop_n(&f.rx, out, 16, sizeof *out), 16);
        cr_assert_arr_eq(in, out, sizeof in);
        cr_assert_arr_eq(in, out + 11, 5 * sizeof *in);
    }
    done(&f);
}

Test(mpmc, carries_items_from_1_byte_to_1_mib)
{
    static const uint32_t sizes[] = { 1, 3, 8, 12, 55, 56, 64, 4097, 1u << 20 };
    static unsigned char in[1 << 20], out[1 << 20];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct fixture f = mpmc_at(UINT64_MAX - 2, 4, sizes[k]);
        for (int round = 0; round < 9; round++) {
            memset(in, round + 1, sizes[k]);
            cr_assert(belt_push(&f.tx, in, sizes[k]));
            cr_assert(belt_pop(&f.rx, out, sizes[k]));
            cr_assert_eq(memcmp(in, out, sizes[k]), 0, "item of %u bytes", sizes[k]);
        }
        done(&f);
    }
}

Test(mpmc, ends_when_every_writer_has_closed_and_all_is_taken)
{
    struct fixture f = mpmc_at(0, 4, 8);
    push(&f.tx, 1);
    belt_close(&f.tx);
    belt_close(&f.tx);
    pop(&f.rx);
    cr_assert_not(belt_rx_ended(&f.rx), "the other writer is open");
    cr_assert_not(push(&f.tx, 2), "closed");
    cr_assert(push(&f.tx2, 2));
    belt_close(&f.tx2);
    cr_assert_not(belt_rx_ended(&f.rx), "one left");
    pop(&f.rx2);
    cr_assert(belt_rx_ended(&f.rx) && belt_rx_ended(&f.rx2));
    done(&f);
}

Test(mpmc, lends_no_slots)
{
    struct fixture f = mpmc_at(5, 4, 8);
    push(&f.tx, 1);
    cr_assert_eq(belt_claim(&f.tx, 1).count, 0);
    cr_assert_eq(belt_peek(&f.rx, 1).count, 0);
    done(&f);
}

Test(mpmc, has_no_cursor_to_redo)
{
    struct fixture f = mpmc_at(0, 4, 8);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 1), -ENOTSUP);
    cr_assert_eq(belt_ring_redo_release(f.ring, 1), -ENOTSUP);
    done(&f);
}

Test(mpmc, check_finds_a_claim_that_was_never_filled)
{
    struct fixture f = mpmc_at(0, 4, 8);
    f.ring->published++;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 8);
    f.ring->published--;
    done(&f);
}

Test(mpmc, looks_empty_behind_a_claim_that_is_not_filled_yet)
{
    struct fixture f = mpmc_at(0, 4, 8);
    uint64_t ticket = 0, none;
    cr_assert_eq(
        belt_mpmc_take(&f.ring->published, f.tx.first, f.tx.mask, f.tx.slot_size, 1, 0, &ticket),
        1);
    cr_assert(push(&f.tx2, 2));
    cr_assert_not(belt_pop(&f.rx, &none, sizeof none), "order before speed");
    uint64_t *slot = belt_mpmc_slot(f.tx.first, f.tx.mask, f.tx.slot_size, ticket);
    slot[1] = 1;
    belt_mpmc_pass(slot, ticket + 1);
    cr_assert_eq(pop(&f.rx), 1);
    cr_assert_eq(pop(&f.rx), 2);
    done(&f);
}
