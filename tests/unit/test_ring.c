/* What every kind and body promises through the one API, by one thread. What only
 * some promise is in test_ring_KIND.c. */
#include "ring_fixture.h"

/* Does stat tell n items? In-band, those of the reader's line count until it leaves the
 * line; lossy, until they are overwritten. */
static bool counts(const struct fixture *f, uint64_t n)
{
    struct belt_ring_stat stat = stat_of(f);
    uint64_t more = stat.kind == BELT_LOSSY ? stat.slots : 0;
    return stat.items >= n && stat.items <= n + (stat.body == BELT_BODY_INBAND ? 7 : more);
}

/* ---- does its work ----------------------------------------------------------- */

Test(every_ring, keeps_order_across_the_wraps_of_its_counters)
{
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct fixture f = RING(s, .items = 8, .start = starts[k]);
            for (uint64_t i = 0; i < 200; i++) {
                cr_assert(push(&f.tx, i), "%s from %#lx, item %lu", s->name, starts[k], i);
                cr_assert_eq(pop(&f.rx), i, "%s from %#lx, item %lu", s->name, starts[k], i);
            }
            cr_assert(is_empty(&f.rx));
            done(&f);
        }
    }
}

Test(every_ring, keeps_order_in_runs_across_the_wraps_of_its_counters)
{
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct fixture f = RING(s, .items = 16, .start = starts[k]);
            uint64_t in = 0, out = 0;
            while (out < 500) {
                uint32_t wrote = write_run(&f.tx, in, 1 + (uint32_t)in % 11);
                in += wrote;
                cr_assert_gt(wrote, 0, "%s from %#lx: no room at %lu", s->name, starts[k], in);
                while (out < in) {
                    uint32_t read = read_run(&f.rx, out, 1 + (uint32_t)out % 5);
                    out += read;
                    cr_assert_gt(read, 0, "%s from %#lx: nothing at %lu", s->name, starts[k], out);
                }
            }
            done(&f);
        }
    }
}

Test(every_ring, carries_items_of_every_size_whole)
{
    static const uint32_t sizes[] = { 1,  2,  3,  5,  7,  8,  9,  12,  14,  18,   24,   28,  29,
                                      40, 55, 56, 57, 63, 64, 65, 100, 128, 1000, 4095, 4096 };
    static unsigned char in[4096], out[4096];
    for (EACH_SHAPE(s)) {
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes && sizes[k] <= s->biggest; k++) {
            struct fixture f = RING(s, .items = 4, .item_size = sizes[k], .start = UINT64_MAX - 9);
            for (unsigned round = 0; round < 100; round++) {
                for (uint32_t i = 0; i < sizes[k]; i++)
                    in[i] = (unsigned char)(round * 7 + i * 13);
                cr_assert(belt_push(&f.tx, in, sizes[k]));
                cr_assert(belt_pop(&f.rx, out, sizes[k]));
                cr_assert_arr_eq(in, out, sizes[k], "%s, %u bytes", s->name, sizes[k]);
            }
            done(&f);
        }
    }
}

Test(every_ring, carries_a_part_of_an_item)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4, .item_size = 24);
        for (uint32_t i = 0; i < 50; i++) {
            uint16_t in = (uint16_t)(i * 3), out = 0;
            cr_assert(belt_push(&f.tx, &in, sizeof in));
            cr_assert(belt_pop(&f.rx, &out, sizeof out));
            cr_assert_eq(in, out, "%s", s->name);
        }
        done(&f);
    }
}

Test(every_ring, allows_every_payload)
{
    static const uint64_t values[] = { 0, 1, UINT64_MAX, BELT_RING_MAGIC, UINT64_MAX - 1, 7, 8 };
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 2);
        for (int round = 0; round < 40; round++) {
            cr_assert(push(&f.tx, values[round % 7]));
            cr_assert_eq(pop(&f.rx), values[round % 7], "%s", s->name);
        }
        done(&f);
    }
}

Test(every_ring, moves_arrays)
{
    uint64_t in[11], out[16];
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 32, .start = UINT64_MAX - 6);
        for (uint64_t round = 0; round < 60; round++) {
            for (uint64_t i = 0; i < 11; i++)
                in[i] = round * 11 + i;
            cr_assert_eq(belt_push_n(&f.tx, in, 11, sizeof *in), 11, "%s", s->name);
            cr_assert_eq(belt_pop_n(&f.rx, out, 16, sizeof *out), 11, "%s", s->name);
            cr_assert_arr_eq(in, out, sizeof in, "%s", s->name);
        }
        cr_assert_eq(belt_pop_n(&f.rx, out, 16, sizeof *out), 0, "%s: empty", s->name);
        done(&f);
    }
}

Test(every_ring, moves_arrays_of_any_item_size)
{
    static unsigned char in[7 * 4096], out[7 * 4096];
    static const uint32_t sizes[] = { 1, 3, 8, 13, 56, 64, 100, 4096 };
    for (EACH_SHAPE(s)) {
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes && sizes[k] <= s->biggest; k++) {
            struct fixture f = RING(s, .items = 16, .item_size = sizes[k]);
            for (unsigned round = 0; round < 30; round++) {
                for (uint32_t i = 0; i < 7 * sizes[k]; i++)
                    in[i] = (unsigned char)(i * 31 + round);
                memset(out, 0, sizeof out);
                cr_assert_eq(belt_push_n(&f.tx, in, 7, sizes[k]), 7, "%s", s->name);
                cr_assert_eq(belt_pop_n(&f.rx, out, 7, sizes[k]), 7, "%s", s->name);
                cr_assert_arr_eq(in, out, 7 * sizes[k], "%s, %u bytes", s->name, sizes[k]);
            }
            done(&f);
        }
    }
}

/* ---- empty and full ---------------------------------------------------------- */

Test(every_ring, is_empty_when_new)
{
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct fixture f = RING(s, .items = 8, .start = starts[k]);
            uint64_t none[2];
            cr_assert(is_empty(&f.rx), "%s", s->name);
            cr_assert_eq(belt_peek(&f.rx, 1).count, 0, "%s", s->name);
            cr_assert_eq(belt_pop_n(&f.rx, none, 2, sizeof *none), 0, "%s", s->name);
            cr_assert_not(belt_rx_ended(&f.rx), "%s", s->name);
            done(&f);
        }
    }
}

/* At every phase against its lines' and its own end. */
Test(every_ring_but_lossy, has_room_for_what_was_asked_and_is_full_at_last)
{
    static const uint32_t asked[] = { 1, 2, 3, 7, 8, 15, 64, 1000 };
    for (EACH_FULL_SHAPE(s)) {
        for (size_t k = 0; k < sizeof asked / sizeof *asked; k++) {
            struct fixture f = RING(s, .items = asked[k], .start = UINT64_MAX - 20);
            uint64_t next = 0;
            for (int phase = 0; phase < 30; phase++) {
                uint32_t n = fill_up(&f.tx, next);
                cr_assert_geq(n, asked[k], "%s: %u of %u", s->name, n, asked[k]);
                cr_assert_leq(n, stat_of(&f).slots, "%s", s->name);
                cr_assert(counts(&f, n), "%s: %lu for %u", s->name, stat_of(&f).items, n);
                cr_assert_eq(belt_claim(&f.tx, 1).count, 0, "%s: full", s->name);
                for (uint32_t i = 0; i < n; i++)
                    cr_assert_eq(pop(&f.rx), next + i, "%s", s->name);
                cr_assert(is_empty(&f.rx), "%s", s->name);
                next += n;
                cr_assert(push(&f.tx, next));
                cr_assert_eq(pop(&f.rx), next++);
            }
            done(&f);
        }
    }
}

Test(every_ring_but_lossy, takes_as_many_of_an_array_as_fit)
{
    static uint64_t in[4096], out[4096];
    for (uint64_t i = 0; i < 4096; i++)
        in[i] = i;
    for (EACH_FULL_SHAPE(s)) {
        struct fixture f = RING(s, .items = 24, .start = UINT64_MAX - 3);
        uint32_t n = belt_push_n(&f.tx, in, 4096, sizeof *in);
        cr_assert(n >= 24 && n < 4096, "%s: %u", s->name, n);
        cr_assert_eq(belt_push_n(&f.tx, in, 1, sizeof *in), 0, "%s: full", s->name);
        cr_assert_eq(belt_pop_n(&f.rx, out, 5, sizeof *out), 5, "%s", s->name);
        cr_assert_eq(belt_pop_n(&f.rx, out + 5, 4096, sizeof *out), n - 5, "%s", s->name);
        cr_assert_arr_eq(in, out, n * sizeof *in, "%s", s->name);
        done(&f);
    }
}

Test(every_ring_but_lossy, has_room_again_when_all_was_taken)
{
    for (EACH_FULL_SHAPE(s)) {
        struct fixture f = RING(s, .items = 5);
        for (int round = 0; round < 20; round++) {
            uint32_t n = fill_up(&f.tx, 0);
            for (uint32_t i = 0; i < n; i++)
                cr_assert_eq(pop(&f.rx), i, "%s", s->name);
            cr_assert_gt(belt_claim(&f.tx, 1).count, 0, "%s", s->name);
            belt_publish(&f.tx, 0); /* of MPMC, too, nothing stays claimed */
            while (read_run(&f.rx, 0, 1) > 0)
                ;
        }
        done(&f);
    }
}

Test(every_ring, moves_nothing_when_nothing_is_asked)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4);
        uint64_t item = 3;
        cr_assert_eq(belt_claim(&f.tx, 0).count, 0, "%s", s->name);
        cr_assert_eq(belt_push_n(&f.tx, &item, 0, sizeof item), 0, "%s", s->name);
        cr_assert(is_empty(&f.rx), "%s", s->name);
        cr_assert(push(&f.tx, 3));
        cr_assert_eq(belt_peek(&f.rx, 0).count, 0, "%s", s->name);
        cr_assert_eq(belt_pop_n(&f.rx, &item, 0, sizeof item), 0, "%s", s->name);
        cr_assert_eq(pop(&f.rx), 3, "%s", s->name);
        done(&f);
    }
}

/* ---- in place ---------------------------------------------------------------- */

Test(every_ring, shows_nothing_before_it_is_published)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        struct belt_slots run = belt_claim(&f.tx, 3);
        cr_assert_eq(run.count, 3, "%s", s->name);
        cr_assert_eq(belt_peek(&f.rx, 8).count, 0, "%s", s->name);
        for (uint32_t i = 0; i < 3; i++)
            put(&f.tx, run, i, i);
        cr_assert_eq(belt_peek(&f.rx, 8).count, 0, "%s", s->name);
        belt_publish(&f.tx, 3);
        cr_assert_eq(read_run(&f.rx, 0, 8), 3, "%s", s->name);
        done(&f);
    }
}

Test(every_ring, publishes_fewer_than_it_claimed)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 16, .start = UINT64_MAX - 40);
        uint64_t next = 0;
        for (uint32_t round = 0; round < 60; round++) {
            struct belt_slots run = belt_claim(&f.tx, 5);
            uint32_t n = round % (run.count + 1);
            for (uint32_t i = 0; i < n; i++)
                put(&f.tx, run, i, next + i);
            belt_publish(&f.tx, n);
            for (uint32_t i = 0; i < n; i++)
                cr_assert_eq(pop(&f.rx), next + i, "%s", s->name);
            cr_assert(is_empty(&f.rx), "%s: what was not published", s->name);
            next += n;
        }
        done(&f);
    }
}

Test(every_ring_but_lossy, lends_what_was_peeked_until_it_is_released)
{
    for (EACH_FULL_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4);
        uint64_t in = 0, out = 0;
        while (out < 100) {
            in += fill_up(&f.tx, in);
            struct belt_slots run = belt_peek(&f.rx, 3);
            cr_assert_gt(run.count, 0, "%s", s->name);
            in += fill_up(&f.tx, in);
            cr_assert_not(push(&f.tx, 99), "%s: full", s->name);
            for (uint32_t i = 0; i < run.count; i++)
                cr_assert_eq(get(&f.rx, run, i), out++, "%s: overwritten", s->name);
            cr_assert(belt_release(&f.rx, run.count));
        }
        done(&f);
    }
}

Test(every_ring, shows_again_what_was_not_released)
{
    for (EACH_SHAPE(s)) {
        if (is_mpmc(s))
            continue; /* there a peek takes, and is released whole */
        struct fixture f = RING(s, .items = 16);
        for (uint64_t i = 0; i < 10; i++)
            cr_assert(push(&f.tx, i));
        uint64_t out = 0;
        while (out < 10) {
            struct belt_slots run = belt_peek(&f.rx, 4);
            cr_assert_gt(run.count, 0, "%s at %lu", s->name, out);
            cr_assert_eq(get(&f.rx, run, 0), out, "%s", s->name);
            cr_assert_eq(belt_peek(&f.rx, 4).first, run.first, "%s: the same again", s->name);
            cr_assert(belt_release(&f.rx, 1));
            out++;
        }
        cr_assert(is_empty(&f.rx), "%s", s->name);
        done(&f);
    }
}

Test(every_ring, gives_at_most_what_there_is_to_the_biggest_want)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        struct belt_slots run = belt_claim(&f.tx, UINT32_MAX);
        cr_assert(run.count > 0 && run.count <= stat_of(&f).slots, "%s", s->name);
        for (uint32_t i = 0; i < run.count; i++)
            put(&f.tx, run, i, i);
        belt_publish(&f.tx, run.count);
        uint32_t seen = 0, n;
        while ((n = read_run(&f.rx, seen, UINT32_MAX)) > 0)
            seen += n;
        cr_assert_eq(seen, run.count, "%s", s->name);
        done(&f);
    }
}

Test(every_ring, keeps_runs_within_its_memory)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8, .item_size = s->biggest, .start = UINT64_MAX);
        const char *from = f.mem.base, *to = from + f.mem.size;
        for (int round = 0; round < 50; round++) {
            struct belt_slots in = belt_claim(&f.tx, 3);
            for (uint32_t i = 0; i < in.count; i++) {
                char *slot = slot_at(in, f.tx.slot_size, i);
                cr_assert(slot >= from && slot + s->biggest <= to, "%s", s->name);
                memset(slot, 0xff, s->biggest);
            }
            belt_publish(&f.tx, in.count);
            struct belt_slots out = belt_peek(&f.rx, 3);
            cr_assert_eq(out.first, in.first, "%s: in place", s->name);
            cr_assert_eq(out.count, in.count, "%s", s->name);
            cr_assert_eq(out.ticket, in.ticket, "%s", s->name);
            belt_release(&f.rx, out.count);
        }
        done(&f);
    }
}

/* ---- the end ----------------------------------------------------------------- */

Test(every_ring, ends_after_its_last_item)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4, .start = UINT64_MAX);
        cr_assert(push(&f.tx, 1) && push(&f.tx, 2));
        cr_assert_not(belt_rx_ended(&f.rx), "%s: open", s->name);
        cr_assert_not(stat_of(&f).closed, "%s", s->name);
        belt_close(&f.tx);
        cr_assert(stat_of(&f).closed, "%s", s->name);
        cr_assert_not(belt_rx_ended(&f.rx), "%s: two left", s->name);
        pop(&f.rx);
        cr_assert_not(belt_rx_ended(&f.rx), "%s: one left", s->name);
        pop(&f.rx);
        cr_assert(belt_rx_ended(&f.rx), "%s", s->name);
        cr_assert(is_empty(&f.rx), "%s", s->name);
        done(&f);
    }
}

Test(every_ring, takes_nothing_after_it_was_closed)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        uint64_t item = 1;
        belt_close(&f.tx);
        belt_close(&f.tx);
        cr_assert_eq(belt_claim(&f.tx, 1).count, 0, "%s", s->name);
        cr_assert_not(push(&f.tx, 1), "%s", s->name);
        cr_assert_eq(belt_push_n(&f.tx, &item, 1, sizeof item), 0, "%s", s->name);
        cr_assert(belt_rx_ended(&f.rx), "%s", s->name);
        done(&f);
    }
}

Test(every_ring, takes_back_what_was_claimed_when_it_closes)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        cr_assert(push(&f.tx, 7));
        cr_assert_eq(belt_claim(&f.tx, 2).count, 2, "%s", s->name);
        belt_close(&f.tx);
        cr_assert_eq(pop(&f.rx), 7, "%s", s->name);
        cr_assert(is_empty(&f.rx), "%s", s->name);
        cr_assert(belt_rx_ended(&f.rx), "%s", s->name);
        done(&f);
    }
}

/* ---- owners that follow one another ------------------------------------------ */

Test(every_ring, goes_on_with_the_next_writer_after_what_was_published)
{
    for (EACH_SHAPE(s)) {
        for (int k = 0; k < STARTS; k++) {
            struct fixture f = RING(s, .items = 24, .start = starts[k]);
            for (uint64_t i = 0; i < 12; i++) {
                cr_assert(push(&f.tx, i));
                belt_claim(&f.tx, 1);
                belt_tx_leave(&f.tx);
                cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
            }
            for (uint64_t i = 0; i < 12; i++)
                cr_assert_eq(pop(&f.rx), i, "%s from %#lx", s->name, starts[k]);
            cr_assert(is_empty(&f.rx), "%s", s->name);
            done(&f);
        }
    }
}

Test(every_ring, goes_on_with_the_next_reader_after_what_was_released)
{
    for (EACH_SHAPE(s)) {
        if (s->kind == BELT_BROADCAST || s->kind == BELT_LOSSY)
            continue; /* there every reader has its own place */
        for (int k = 0; k < STARTS; k++) {
            struct fixture f = RING(s, .items = 24, .start = starts[k]);
            for (uint64_t i = 0; i < 12; i++)
                cr_assert(push(&f.tx, i));
            for (uint64_t i = 0; i < 12; i++) {
                cr_assert_eq(pop(&f.rx), i, "%s from %#lx", s->name, starts[k]);
                belt_rx_leave(&f.rx);
                cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s", s->name);
            }
            cr_assert(is_empty(&f.rx), "%s", s->name);
            done(&f);
        }
    }
}

Test(every_ring, does_not_count_a_new_writer_among_those_that_closed)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 8);
        cr_assert(push(&f.tx, 1));
        belt_tx_leave(&f.tx);
        cr_assert_not(belt_rx_ended(&f.rx), "%s: left, but not closed", s->name);
        cr_assert_eq(pop(&f.rx), 1);
        cr_assert_not(belt_rx_ended(&f.rx), "%s", s->name);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s", s->name);
        cr_assert(push(&f.tx, 2), "%s", s->name);
        cr_assert_eq(pop(&f.rx), 2, "%s", s->name);
        done(&f);
    }
}

/* ---- looking in -------------------------------------------------------------- */

Test(every_ring, tells_its_shape_and_what_is_in_it)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 16, .start = UINT64_MAX - 2);
        struct belt_ring_stat stat = stat_of(&f);
        cr_assert_eq(stat.kind, s->kind, "%s", s->name);
        if (s->body != BELT_BODY_AUTO)
            cr_assert_eq(stat.body, s->body, "%s", s->name);
        cr_assert(stat.slots >= 16 && stat.slot_size >= 8, "%s", s->name);
        cr_assert_eq(stat.items, 0, "%s: %lu", s->name, stat.items);
        uint64_t published = stat.published;
        for (uint64_t i = 0; i < 10; i++)
            cr_assert(push(&f.tx, i));
        stat = stat_of(&f);
        cr_assert(counts(&f, 10), "%s: %lu", s->name, stat.items);
        cr_assert_neq(stat.published, published, "%s", s->name);
        for (uint64_t i = 0; i < 10; i++) {
            pop(&f.rx);
            cr_assert(counts(&f, 9 - i), "%s: %lu", s->name, stat_of(&f).items);
        }
        done(&f);
    }
}

Test(every_ring, is_sound_at_every_phase)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 6, .start = UINT64_MAX - 13);
        for (uint32_t round = 0; round < 80; round++) {
            for (uint32_t i = 0; i < round % 7; i++)
                cr_assert(push(&f.tx, i));
            cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 0, "%s: filled", s->name);
            for (uint32_t i = 0; i < round % 7; i++)
                pop(&f.rx);
            cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 0, "%s: drained", s->name);
        }
        done(&f);
    }
}
