/* BELT_SPSC and what both kinds share: set-up, opening, closing, recovery. */
#include <criterion/criterion.h>
#include <errno.h>

#include "rings/ring.h"

struct fixture {
    struct belt_mem mem;
    struct belt_ring *ring;
    struct belt_tx tx;
    struct belt_rx rx;
};

static struct belt_ring_conf conf_of(uint32_t items, uint32_t item_size)
{
    return (struct belt_ring_conf){ .size = sizeof(struct belt_ring_conf),
                                    .items = items,
                                    .item_size = item_size };
}

/* Exactly the footprint, between guards, so that a sanitizer sees one byte too far. */
static struct fixture fixture_from(struct belt_ring_conf conf)
{
    struct fixture f;
    size_t size = belt_ring_footprint(&conf);
    void *base = NULL;
    cr_assert_eq(posix_memalign(&base, BELT_LINES, size), 0);
    memset(base, 0xa5, size);
    f.mem = belt_mem_of(base, size);
    f.ring = base;
    cr_assert_eq(belt_ring_format(f.mem, &conf), 0);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    return f;
}

static struct fixture ring_at(uint64_t start, uint32_t items, uint32_t item_size)
{
    struct belt_ring_conf conf = conf_of(items, item_size);
    conf.start = start;
    return fixture_from(conf);
}

static void done(struct fixture *f)
{
    cr_assert_eq(belt_ring_check(f->ring, f->mem.size), 0);
    free(f->mem.base);
}

static bool push(struct fixture *f, uint64_t value)
{
    return belt_push(&f->tx, &value, sizeof value);
}

static uint64_t pop(struct fixture *f)
{
    uint64_t value = 0;
    cr_assert(belt_pop(&f->rx, &value, sizeof value), "empty");
    return value;
}

static bool is_empty(struct fixture *f)
{
    return belt_peek(&f->rx, 1).count == 0;
}

/* ---- refuses bad input --------------------------------------------------------- */

Test(ring_conf, refuses_kinds_and_bodies_that_are_not_built_in)
{
    struct belt_ring_conf conf = conf_of(8, 8);
    conf.kind = BELT_BROADCAST;
    cr_assert_eq(belt_ring_conf_check(&conf), -ENOTSUP);
    cr_assert_eq(belt_ring_footprint(&conf), 0);
    conf.kind = BELT_SHARDED;
    cr_assert_eq(belt_ring_conf_check(&conf), -ENOTSUP);
    conf.kind = BELT_SPSC;
    conf.body = BELT_BODY_INBAND;
    cr_assert_eq(belt_ring_conf_check(&conf), -ENOTSUP);
}

Test(ring_conf, refuses_sizes_out_of_range)
{
    struct belt_ring_conf conf = conf_of(8, 0);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL, "items of no bytes");
    conf = conf_of(BELT_RING_ITEMS_MAX + 1, 8);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL, "too many items");
    conf = conf_of(8, BELT_RING_ITEM_SIZE_MAX + 1);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL, "too big an item");
    conf = conf_of(8, 8);
    conf.size = 4;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL, "a conf of another time");
    cr_assert_eq(belt_ring_conf_check(NULL), -EINVAL);
}

Test(ring_conf, refuses_words_that_are_no_kind_body_or_wait)
{
    struct belt_ring_conf conf = conf_of(8, 8);
    conf.kind = (enum belt_kind)77;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    conf = conf_of(8, 8);
    conf.body = (enum belt_body)77;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    conf = conf_of(8, 8);
    conf.wait = (enum belt_wait)77;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
}

Test(ring_conf, refuses_a_second_writer_of_an_spsc_ring)
{
    struct belt_ring_conf conf = conf_of(8, 8);
    conf.writers = 2;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
}

Test(ring_conf, takes_a_longer_conf_only_if_the_unknown_part_is_zero)
{
    struct {
        struct belt_ring_conf conf;
        uint64_t later;
    } wide = { .conf = conf_of(8, 8) };
    wide.conf.size = sizeof wide;
    cr_assert_eq(belt_ring_conf_check(&wide.conf), 0);
    wide.later = 1;
    cr_assert_eq(belt_ring_conf_check(&wide.conf), -E2BIG);
}

Test(ring_format, refuses_memory_too_small_or_not_aligned)
{
    static _Alignas(BELT_LINES) char bytes[4096];
    struct belt_ring_conf conf = conf_of(8, 8);
    size_t size = belt_ring_footprint(&conf);
    cr_assert_eq(belt_ring_format(belt_mem_of(bytes, size - 1), &conf), -ENOSPC);
    cr_assert_eq(belt_ring_format(belt_mem_of(bytes + 8, size), &conf), -EINVAL);
    cr_assert_eq(belt_ring_format(belt_mem_of(NULL, size), &conf), -EINVAL);
}

Test(ring_open, refuses_what_is_no_ring_or_does_not_fit)
{
    struct fixture f = ring_at(0, 8, 8);
    struct belt_mem cut = belt_mem_of(f.mem.base, f.mem.size - 1);
    cr_assert_eq(belt_tx_open(&f.tx, cut), -EMSGSIZE, "cut off");
    f.ring->layout++;
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), -EPROTO, "another layout");
    f.ring->layout--;
    f.ring->slots = 7;
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), -EMSGSIZE, "geometry");
    f.ring->slots = 8;
    f.ring->magic++;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), -EINVAL, "magic");
    f.ring->magic--;
    done(&f);
}

/* ---- geometry ------------------------------------------------------------------ */

Test(ring_geometry, rounds_items_up_to_a_power_of_two)
{
    static const uint32_t asked[] = { 1, 2, 3, 8, 9, 1000 }, got[] = { 2, 2, 4, 8, 16, 1024 };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct fixture f = ring_at(0, asked[i], 8);
        cr_assert_eq(f.ring->slots, got[i], "%u asked, %u got", asked[i], f.ring->slots);
        done(&f);
    }
}

Test(ring_geometry, defaults_to_16_kib_of_slots)
{
    struct fixture small = ring_at(0, 0, 8), odd = ring_at(0, 0, 24), big = ring_at(0, 0, 100000);
    cr_assert_eq(small.ring->slots, 2048);
    cr_assert_eq(odd.ring->slots, 512, "a power of two that stays within");
    cr_assert_eq(big.ring->slots, 8, "but never fewer than 8");
    done(&small);
    done(&odd);
    done(&big);
}

Test(ring_geometry, aligns_slots_of_a_line_and_more_to_lines)
{
    struct fixture f = ring_at(0, 4, 65);
    struct belt_slots s = belt_claim(&f.tx, 4);
    cr_assert_eq((uintptr_t)s.first % 64, 0);
    cr_assert_eq(f.tx.slot_size, 128);
    done(&f);
}

Test(ring_geometry, carries_items_from_1_byte_to_1_mib)
{
    static const uint32_t sizes[] = { 1, 3, 8, 12, 63, 64, 4097, 1u << 20 };
    static unsigned char in[1 << 20], out[1 << 20];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct fixture f = ring_at(UINT64_MAX - 2, 4, sizes[k]);
        for (int round = 0; round < 9; round++) {
            memset(in, round + 1, sizes[k]);
            cr_assert(belt_push(&f.tx, in, sizes[k]));
            cr_assert(belt_pop(&f.rx, out, sizes[k]));
            cr_assert_eq(memcmp(in, out, sizes[k]), 0, "item of %u bytes", sizes[k]);
        }
        done(&f);
    }
}

/* ---- does its work --------------------------------------------------------------- */

Test(spsc, keeps_order_when_cursors_wrap)
{
    struct fixture f = ring_at(UINT64_MAX - 3, 8, 8);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq((push(&f, i), pop(&f)), i);
    done(&f);
}

Test(spsc, holds_as_many_as_it_has_slots_and_not_one_more)
{
    struct fixture f = ring_at(UINT64_MAX - 3, 8, 8);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert(push(&f, i));
    cr_assert_not(push(&f, 8));
    cr_assert_eq(pop(&f), 0);
    cr_assert(push(&f, 8), "one was released");
    for (uint64_t i = 1; i <= 8; i++)
        cr_assert_eq(pop(&f), i);
    cr_assert(is_empty(&f));
    done(&f);
}

Test(spsc, works_with_two_slots)
{
    struct fixture f = ring_at(UINT64_MAX, 2, 8);
    for (uint64_t i = 0; i < 10; i += 2) {
        cr_assert(push(&f, i) && push(&f, i + 1) && !push(&f, 99));
        cr_assert_eq(pop(&f), i);
        cr_assert_eq(pop(&f), i + 1);
    }
    done(&f);
}

Test(spsc, shows_nothing_before_it_is_published)
{
    struct fixture f = ring_at(0, 8, 8);
    struct belt_slots s = belt_claim(&f.tx, 3);
    cr_assert_eq(s.count, 3);
    cr_assert(is_empty(&f));
    belt_publish(&f.tx, 2);
    cr_assert_eq(belt_peek(&f.rx, 8).count, 2, "only what was published");
    done(&f);
}

Test(spsc, reuses_nothing_before_it_is_released)
{
    struct fixture f = ring_at(0, 4, 8);
    for (uint64_t i = 0; i < 4; i++)
        push(&f, i);
    cr_assert_eq(belt_peek(&f.rx, 4).count, 4);
    cr_assert_eq(belt_claim(&f.tx, 1).count, 0, "lent to the reader");
    belt_release(&f.rx, 3);
    cr_assert_eq(belt_claim(&f.tx, 4).count, 3);
    done(&f);
}

Test(spsc, gives_one_run_up_to_the_end_of_the_ring)
{
    struct fixture f = ring_at(6, 8, 8);
    struct belt_slots s = belt_claim(&f.tx, 5);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(s.ticket, 6);
    belt_publish(&f.tx, 2);
    s = belt_claim(&f.tx, 3);
    cr_assert_eq(s.count, 3);
    cr_assert_eq((char *)s.first, f.tx.first, "from the beginning");
    done(&f);
}

Test(spsc, peeks_past_the_oldest_without_releasing_it)
{
    struct fixture f = ring_at(UINT64_MAX - 1, 4, 8);
    for (uint64_t i = 0; i < 4; i++)
        push(&f, i);
    struct belt_slots s = belt_peek_at(&f.rx, 3, 4);
    cr_assert_eq(s.count, 1);
    cr_assert_eq(*(uint64_t *)s.first, 3);
    cr_assert_eq(s.ticket, (uint64_t)1, "tickets wrap as well");
    cr_assert_eq(belt_peek_at(&f.rx, 4, 1).count, 0);
    cr_assert_eq(belt_rx_next(&f.rx), UINT64_MAX - 1, "nothing was released");
    done(&f);
}

Test(spsc, claims_past_what_is_claimed_but_unpublished)
{
    struct fixture f = ring_at(3, 4, 8);
    *(uint64_t *)belt_claim_at(&f.tx, 0, 1).first = 10;
    *(uint64_t *)belt_claim_at(&f.tx, 1, 1).first = 11;
    cr_assert_eq(belt_claim_at(&f.tx, 4, 1).count, 0);
    belt_publish(&f.tx, 2);
    cr_assert_eq(pop(&f), 10);
    cr_assert_eq(pop(&f), 11);
    done(&f);
}

Test(spsc, sees_released_room_though_the_cached_room_is_too_small)
{
    struct fixture f = ring_at(0, 4, 8);
    push(&f, 0);
    push(&f, 1);
    pop(&f);
    pop(&f);
    /* Cached: two free; after the pops there are four. */
    cr_assert_eq(belt_claim_at(&f.tx, 2, 2).count, 2);
    done(&f);
}

Test(spsc, asks_for_all_with_the_biggest_want)
{
    struct fixture f = ring_at(0, 8, 8);
    cr_assert_eq(belt_claim(&f.tx, UINT32_MAX).count, 8);
    belt_publish(&f.tx, 8);
    cr_assert_eq(belt_peek(&f.rx, UINT32_MAX).count, 8);
    cr_assert_eq(belt_peek_at(&f.rx, UINT32_MAX, UINT32_MAX).count, 0);
    done(&f);
}

Test(spsc, moves_arrays_across_the_end_of_the_ring)
{
    struct fixture f = ring_at(UINT64_MAX - 6, 16, 8);
    uint64_t in[11], out[16];
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 11; i++)
            in[i] = round * 11 + i;
        cr_assert_eq(belt_push_n(&f.tx, in, 11, sizeof *in), 11);
        cr_assert_eq(belt_pop_n(&f.rx, out, 16, sizeof *out), 11);
        cr_assert_arr_eq(in, out, sizeof in);
    }
    done(&f);
}

Test(spsc, takes_as_many_of_an_array_as_fit)
{
    struct fixture f = ring_at(5, 8, 4);
    uint32_t in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10];
    cr_assert_eq(belt_push_n(&f.tx, in, 10, sizeof *in), 8);
    cr_assert_eq(belt_push_n(&f.tx, in, 1, sizeof *in), 0);
    cr_assert_eq(belt_pop_n(&f.rx, out, 3, sizeof *out), 3);
    cr_assert_eq(belt_pop_n(&f.rx, out + 3, 7, sizeof *out), 5);
    cr_assert_arr_eq(in, out, 8 * sizeof *in);
    cr_assert_eq(belt_pop_n(&f.rx, out, 1, sizeof *out), 0);
    done(&f);
}

/* ---- the end --------------------------------------------------------------------- */

Test(ring_close, is_seen_after_the_last_item)
{
    struct fixture f = ring_at(UINT64_MAX, 4, 8);
    push(&f, 1);
    cr_assert_not(belt_rx_ended(&f.rx), "open");
    belt_close(&f.tx);
    cr_assert_not(belt_rx_ended(&f.rx), "one left");
    pop(&f);
    cr_assert(belt_rx_ended(&f.rx));
    done(&f);
}

Test(ring_close, takes_back_claims_and_allows_no_more)
{
    struct fixture f = ring_at(0, 4, 8);
    belt_claim(&f.tx, 2);
    belt_close(&f.tx);
    cr_assert_eq(belt_claim(&f.tx, 1).count, 0);
    cr_assert_not(push(&f, 1));
    cr_assert(belt_rx_ended(&f.rx));
    done(&f);
}

Test(ring_close, holds_for_the_next_owner_too)
{
    struct fixture f = ring_at(0, 4, 8);
    belt_close(&f.tx);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_not(push(&f, 1));
    done(&f);
}

/* ---- looking in ------------------------------------------------------------------ */

Test(ring_stat, tells_cursors_and_the_end)
{
    struct fixture f = ring_at(40, 4, 8);
    struct belt_ring_stat stat;
    push(&f, 1);
    push(&f, 2);
    pop(&f);
    belt_ring_stat(f.ring, &stat);
    cr_assert(stat.published == 42 && stat.released == 41 && stat.slots == 4 && !stat.closed);
    belt_close(&f.tx);
    belt_ring_stat(f.ring, &stat);
    cr_assert(stat.closed);
    done(&f);
}

Test(ring_check, numbers_the_broken_rule)
{
    struct fixture f = ring_at(0, 4, 8);
    size_t size = f.mem.size;
    struct belt_ring good = *f.ring;
    f.ring->magic = 0;
    cr_assert_eq(belt_ring_check(f.ring, size), 1);
    *f.ring = good, f.ring->layout = 0;
    cr_assert_eq(belt_ring_check(f.ring, size), 2);
    *f.ring = good, f.ring->slots = 1;
    cr_assert_eq(belt_ring_check(f.ring, size), 3);
    *f.ring = good, f.ring->slot_size = 12;
    cr_assert_eq(belt_ring_check(f.ring, size), 4);
    *f.ring = good, f.ring->footprint--;
    cr_assert_eq(belt_ring_check(f.ring, size), 5);
    *f.ring = good, f.ring->kind = BELT_BROADCAST;
    cr_assert_eq(belt_ring_check(f.ring, size), 6);
    *f.ring = good, f.ring->published = 5;
    cr_assert_eq(belt_ring_check(f.ring, size), 7);
    *f.ring = good, f.ring->released = 1;
    cr_assert_eq(belt_ring_check(f.ring, size), 7, "released before published");
    *f.ring = good;
    done(&f);
}

/* ---- recovery -------------------------------------------------------------------- */

Test(ring_recovery, a_new_reader_sees_again_what_was_not_released)
{
    struct fixture f = ring_at(UINT64_MAX, 4, 8);
    push(&f, 1);
    push(&f, 2);
    pop(&f);
    belt_peek(&f.rx, 1);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    cr_assert_eq(pop(&f), 2);
    done(&f);
}

Test(ring_recovery, a_new_writer_continues_after_what_was_published)
{
    struct fixture f = ring_at(UINT64_MAX, 4, 8);
    push(&f, 1);
    *(uint64_t *)belt_claim(&f.tx, 1).first = 99;
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_tx_next(&f.tx), 0);
    push(&f, 2);
    cr_assert_eq(pop(&f), 1);
    cr_assert_eq(pop(&f), 2);
    done(&f);
}

Test(ring_recovery, redo_moves_a_cursor_once_and_never_back)
{
    struct fixture f = ring_at(UINT64_MAX, 4, 8);
    *(uint64_t *)belt_claim(&f.tx, 1).first = 7;
    cr_assert_eq(belt_ring_redo_publish(f.ring, 0), 0);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 0), 0, "twice");
    cr_assert_eq(belt_ring_redo_publish(f.ring, UINT64_MAX), 0, "back");
    cr_assert_eq(pop(&f), 7);
    cr_assert_eq(belt_ring_redo_release(f.ring, UINT64_MAX), 0, "back");
    cr_assert_eq(f.ring->published, 0);
    cr_assert_eq(f.ring->released, 0);
    done(&f);
}

Test(ring_recovery, redo_refuses_cursors_beyond_the_other_end)
{
    struct fixture f = ring_at(UINT64_MAX - 1, 4, 8);
    cr_assert_eq(belt_ring_redo_publish(f.ring, 3), -EINVAL, "five of four slots");
    cr_assert_eq(belt_ring_redo_publish(f.ring, 2), 0, "four of four");
    cr_assert_eq(belt_ring_redo_release(f.ring, 3), -EINVAL, "more than was published");
    cr_assert_eq(belt_ring_redo_release(f.ring, 2), 0);
    done(&f);
}
