/* Set-up: what is refused and with which number, and the geometry that comes of it. */
#include <limits.h>

#include "ring_fixture.h"

static const struct shape *const spsc = &shapes[0], *const inband = &shapes[1],
                                 *const mpmc = &shapes[2], *const sharded = &shapes[4],
                                 *const broadcast = &shapes[6];

#define ASK(shape, ...) belt_ring_conf_check(&CONF(shape, __VA_ARGS__))

/* ---- confs ------------------------------------------------------------------- */

Test(ring_conf, takes_every_shape)
{
    for (EACH_SHAPE(s)) {
        struct belt_ring_conf conf = CONF(s, .item_size = 8);
        cr_assert_eq(belt_ring_conf_check(&conf), 0, "%s", s->name);
        cr_assert_gt(belt_ring_footprint(&conf), 0, "%s", s->name);
        cr_assert_eq(belt_ring_footprint(&conf) % BELT_LINES, 0, "%s", s->name);
    }
}

Test(ring_conf, refuses_sizes_out_of_range)
{
    cr_assert_eq(ASK(spsc, .item_size = 0), -EINVAL, "items of no bytes");
    cr_assert_eq(ASK(spsc, .item_size = 8, .items = BELT_RING_ITEMS_MAX + 1), -EINVAL);
    cr_assert_eq(ASK(spsc, .item_size = BELT_RING_ITEM_SIZE_MAX + 1), -EINVAL);
    cr_assert_eq(ASK(spsc, .item_size = UINT32_MAX), -EINVAL);
    cr_assert_eq(belt_ring_footprint(&CONF(spsc, .item_size = 0)), 0);
}

Test(ring_conf, refuses_words_that_are_no_kind_body_or_wait)
{
    struct belt_ring_conf conf = CONF(spsc, .item_size = 8);
    conf.kind = (enum belt_kind)(BELT_LOSSY + 1);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    conf.kind = (enum belt_kind)UINT_MAX;
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    conf = CONF(spsc, .item_size = 8);
    conf.body = (enum belt_body)(BELT_BODY_INBAND + 1);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    conf = CONF(spsc, .item_size = 8);
    conf.wait = (enum belt_wait)(BELT_WAIT_BLOCK + 1);
    cr_assert_eq(belt_ring_conf_check(&conf), -EINVAL);
    cr_assert_eq(ASK(spsc, .item_size = 8, .flags = 1u << 31), -EINVAL, "an unknown flag");
}

Test(ring_conf, refuses_in_band_bodies_of_big_items_and_of_kinds_without_bodies)
{
    cr_assert_eq(ASK(inband, .item_size = BELT_INBAND_ITEM_MAX), 0);
    cr_assert_eq(ASK(inband, .item_size = BELT_INBAND_ITEM_MAX + 1), -EINVAL);
    for (EACH_SHAPE(s)) {
        struct belt_ring_conf conf = CONF(s, .item_size = 8);
        conf.body = BELT_BODY_INBAND;
        int want = s->kind == BELT_SPSC || s->kind == BELT_SHARDED ? 0 : -EINVAL;
        cr_assert_eq(belt_ring_conf_check(&conf), want, "%s", s->name);
    }
}

Test(ring_conf, refuses_more_ends_than_the_kind_has)
{
    cr_assert_eq(ASK(spsc, .item_size = 8, .writers = 2), -EINVAL);
    cr_assert_eq(ASK(spsc, .item_size = 8, .readers = 2), -EINVAL);
    cr_assert_eq(ASK(broadcast, .item_size = 8, .writers = 2), -EINVAL);
    cr_assert_eq(ASK(&shapes[LOSSY_SHAPE], .item_size = 8, .writers = 2), -EINVAL);
    cr_assert_eq(ASK(broadcast, .item_size = 8, .readers = 255), 0);
    cr_assert_eq(ASK(broadcast, .item_size = 8, .readers = 256), -EINVAL);
    cr_assert_eq(ASK(sharded, .item_size = 8, .writers = 256), -EINVAL);
    cr_assert_eq(ASK(mpmc, .item_size = 8, .writers = 1000000, .readers = 1000000), 0);
}

Test(ring_conf, lets_only_kinds_that_can_go_without_roles)
{
    for (EACH_SHAPE(s)) {
        bool can = s->kind == BELT_SPSC || s->kind == BELT_MPMC_CRASH_UNSAFE;
        cr_assert_eq(ASK(s, .item_size = 8, .flags = BELT_NO_ROLES), can ? 0 : -EINVAL, "%s",
                     s->name);
        cr_assert_eq(ASK(s, .item_size = 8, .flags = BELT_NO_LINGER), 0, "%s", s->name);
    }
}

Test(ring_conf, takes_one_of_another_length_when_it_says_nothing_unknown)
{
    struct {
        struct belt_ring_conf conf;
        uint64_t later;
    } wide = { .conf = CONF(spsc, .item_size = 8) };
    wide.conf.size = sizeof wide;
    cr_assert_eq(belt_ring_conf_check(&wide.conf), 0);
    wide.later = 1;
    cr_assert_eq(belt_ring_conf_check(&wide.conf), -E2BIG);

    struct belt_ring_conf older = CONF(spsc, .item_size = 8, .flags = 1u << 31);
    older.size = offsetof(struct belt_ring_conf, flags);
    cr_assert_eq(belt_ring_conf_check(&older), 0, "flags are beyond its end");
    older.size = 4;
    cr_assert_eq(belt_ring_conf_check(&older), -EINVAL);
    cr_assert_eq(belt_ring_conf_check(NULL), -EINVAL);
}

Test(ring_conf, refuses_more_memory_than_there_are_addresses)
{
    struct belt_ring_conf conf = CONF(sharded, .item_size = BELT_RING_ITEM_SIZE_MAX,
                                      .items = BELT_RING_ITEMS_MAX, .writers = 255, .readers = 255);
    conf.body = BELT_BODY_SPANS;
    cr_assert_eq(belt_ring_conf_check(&conf), -E2BIG);
    cr_assert_eq(belt_ring_footprint(&conf), 0);
    conf = CONF(spsc, .item_size = BELT_RING_ITEM_SIZE_MAX, .items = BELT_RING_ITEMS_MAX);
    cr_assert_eq(belt_ring_conf_check(&conf), 0, "2^60 bytes are counted");
    cr_assert_geq(belt_ring_footprint(&conf), (size_t)1 << 60);
}

Test(ring_conf, refuses_more_lines_than_a_ring_has)
{
    cr_assert_lt(ASK(inband, .item_size = 56, .items = BELT_RING_ITEMS_MAX), 0);
    cr_assert_lt(ASK(sharded + 1, .item_size = 56, .items = BELT_RING_ITEMS_MAX), 0);
    cr_assert_eq(ASK(inband, .item_size = 8, .items = BELT_RING_ITEMS_MAX), 0);
}

/* ---- memory ------------------------------------------------------------------ */

Test(ring_format, refuses_memory_too_small_or_not_aligned)
{
    for (EACH_SHAPE(s)) {
        struct belt_ring_conf conf = CONF(s, .item_size = 8, .items = 8);
        size_t size = belt_ring_footprint(&conf);
        char *bytes = aligned_bytes(size + BELT_LINES);
        cr_assert_eq(belt_ring_format(belt_mem_of(bytes, size - 1), &conf), -ENOSPC, "%s", s->name);
        cr_assert_eq(belt_ring_format(belt_mem_of(bytes + 8, size), &conf), -EINVAL, "%s", s->name);
        cr_assert_eq(belt_ring_format(belt_mem_of(NULL, size), &conf), -EINVAL, "%s", s->name);
        conf.item_size = 0;
        cr_assert_eq(belt_ring_format(belt_mem_of(bytes, size), &conf), -EINVAL, "%s", s->name);
        free(bytes);
    }
}

Test(ring_format, makes_a_used_ring_new)
{
    for (EACH_SHAPE(s)) {
        struct belt_ring_conf conf = CONF(s, .item_size = 8, .items = 8, .start = 77);
        struct fixture f = ring_from(s, conf);
        cr_assert(push(&f.tx, 1));
        belt_close(&f.tx);
        belt_tx_leave(&f.tx);
        belt_rx_leave(&f.rx);
        cr_assert_eq(belt_ring_format(f.mem, &conf), 0);
        cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
        cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
        cr_assert(is_empty(&f.rx), "%s", s->name);
        cr_assert_not(belt_rx_ended(&f.rx), "%s", s->name);
        cr_assert(push(&f.tx, 2), "%s", s->name);
        cr_assert_eq(pop(&f.rx), 2, "%s", s->name);
        done(&f);
    }
}

static int open_tx(struct belt_mem mem)
{
    struct belt_tx tx;
    int rc = belt_tx_open(&tx, mem);
    if (rc == 0)
        belt_tx_leave(&tx);
    return rc;
}

static int open_rx(struct belt_mem mem)
{
    struct belt_rx rx;
    int rc = belt_rx_open(&rx, mem);
    if (rc == 0)
        belt_rx_leave(&rx);
    return rc;
}

static int look(struct belt_mem mem)
{
    struct belt_ring_stat stat;
    return belt_ring_stat(mem, &stat);
}

/* Every call that takes memory from elsewhere. */
static int (*const opening[])(struct belt_mem) = { open_tx, open_rx, look };
#define EACH_OPENING(k)                                                                            \
    size_t k = 0;                                                                                  \
    k < sizeof opening / sizeof *opening;                                                          \
    k++

Test(ring_open, refuses_what_is_no_ring)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 8));
        for (EACH_OPENING(k)) {
            cr_assert_eq(opening[k](f.mem), 0, "%s", s->name);
            cr_assert_eq(opening[k](belt_mem_of(NULL, f.mem.size)), -EINVAL, "%s", s->name);
            cr_assert_eq(opening[k](belt_mem_of(f.mem.base, 8)), -EINVAL, "%s: a stump", s->name);
            cr_assert_eq(opening[k](belt_mem_of((char *)f.mem.base + 8, f.mem.size)), -EINVAL);
            f.ring->magic++;
            cr_assert_eq(opening[k](f.mem), -EINVAL, "%s: magic", s->name);
            f.ring->magic--;
            f.ring->layout++;
            cr_assert_eq(opening[k](f.mem), -EPROTO, "%s: another layout", s->name);
            f.ring->layout--;
            cr_assert_eq(opening[k](belt_mem_of(f.mem.base, f.mem.size - 1)), -EMSGSIZE, "%s: cut",
                         s->name);
        }
        forget(&f);
    }
}

/* A word of the head, and what a peer may have written there. */
static const struct {
    size_t at;
    uint32_t value;
    int broken; /* the rule's number in belt_ring_check() */
} lies[] = {
    { offsetof(struct belt_ring, slots), 0, 3 },
    { offsetof(struct belt_ring, slots), 1, 3 },
    { offsetof(struct belt_ring, slots), 7, 3 },
    { offsetof(struct belt_ring, slots), 1u << 31, 3 },
    { offsetof(struct belt_ring, slots), 1u << 20, 5 },
    { offsetof(struct belt_ring, slot_size), 12, 4 },
    { offsetof(struct belt_ring, slot_size), 4096, 4 },
    { offsetof(struct belt_ring, slot_size), 0, 4 },
    { offsetof(struct belt_ring, item_size), 0, 4 },
    { offsetof(struct belt_ring, footprint), 1, 5 },
    { offsetof(struct belt_ring, footprint), UINT32_MAX, 5 },
    { offsetof(struct belt_ring, head_size), 1u << 30, 5 },
    { offsetof(struct belt_ring, head_size), 0, 5 },
    { offsetof(struct belt_ring, owners), 12345, 5 },
    { offsetof(struct belt_ring, owners_at), 8, 5 },
    { offsetof(struct belt_ring, cursors_at), 1u << 20, 5 },
    { offsetof(struct belt_ring, lane_size), 1u << 20, 5 },
    { offsetof(struct belt_ring, kind), BELT_LOSSY + 1, 6 },
    { offsetof(struct belt_ring, kind), UINT32_MAX, 6 },
    { offsetof(struct belt_ring, body), BELT_BODY_AUTO, 6 },
    { offsetof(struct belt_ring, body), 9, 6 },
    { offsetof(struct belt_ring, wait), 9, 6 },
    { offsetof(struct belt_ring, writers), 0, 6 },
    { offsetof(struct belt_ring, readers), 0, 6 },
    { offsetof(struct belt_ring, flags), 1u << 30, 6 },
};

Test(ring_open, refuses_every_lie_about_geometry_by_its_number)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 8));
        for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
            uint32_t *word = (uint32_t *)(void *)((char *)f.ring + lies[k].at), was = *word;
            *word = lies[k].value;
            cr_assert_eq(belt_ring_check(f.ring, f.mem.size), lies[k].broken,
                         "%s: lie %zu, rule %d", s->name, k, belt_ring_check(f.ring, f.mem.size));
            for (EACH_OPENING(j))
                cr_assert_eq(opening[j](f.mem), -EMSGSIZE, "%s: lie %zu", s->name, k);
            *word = was;
        }
        cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 0, "%s", s->name);
        forget(&f);
    }
}

Test(ring_open, refuses_more_ends_and_bigger_items_than_the_shape_allows)
{
    struct fixture f = closed_ring_from(spsc, CONF(spsc, .items = 8));
    f.ring->writers = 2;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 6);
    f.ring->writers = 1, f.ring->readers = 2;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 6);
    f.ring->readers = 1, f.ring->item_size = BELT_RING_ITEM_SIZE_MAX + 1;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 4);
    f.ring->item_size = 65;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 4, "does not fit its slot");
    f.ring->item_size = 8, f.ring->body = BELT_BODY_INBAND, f.ring->kind = BELT_MPMC;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 6, "a kind without bodies");
    forget(&f);
    f = closed_ring_from(inband, CONF(inband, .items = 8));
    f.ring->item_size = BELT_INBAND_ITEM_MAX + 1;
    cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 6);
    forget(&f);
}

Test(ring_check, begins_with_size_magic_and_layout)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = closed_ring_from(s, CONF(s, .items = 8));
        cr_assert_eq(belt_ring_check(f.ring, 16), 1, "%s: a stump", s->name);
        f.ring->magic = 0;
        cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 1, "%s", s->name);
        f.ring->magic = BELT_RING_MAGIC, f.ring->layout = 0;
        cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 2, "%s", s->name);
        f.ring->layout = BELT_RING_LAYOUT;
        cr_assert_eq(belt_ring_check(f.ring, f.mem.size - 1), 5, "%s: cut", s->name);
        forget(&f);
    }
}

/* ---- geometry ---------------------------------------------------------------- */

Test(ring_geometry, rounds_items_up_to_a_power_of_two)
{
    static const uint32_t asked[] = { 1, 2, 3, 8, 9, 1000 }, got[] = { 2, 2, 4, 8, 16, 1024 };
    for (EACH_SHAPE(s)) {
        if (s->body == BELT_BODY_INBAND)
            continue;
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            struct fixture f = RING(s, .items = asked[i]);
            cr_assert_eq(f.ring->slots, got[i], "%s: %u", s->name, asked[i]);
            done(&f);
        }
    }
}

Test(ring_geometry, defaults_to_16_kib_of_slots)
{
    struct fixture small = RING(spsc, .items = 0), odd = RING(spsc, .item_size = 24),
                   big = RING(spsc, .item_size = 100000), lines = RING(inband, .items = 0);
    cr_assert_eq(small.ring->slots, 2048);
    cr_assert_eq(odd.ring->slots, 512, "a power of two that stays within");
    cr_assert_eq(big.ring->slots, 8, "but never fewer than 8");
    cr_assert_eq(lines.ring->slots, 256, "lines");
    done(&small);
    done(&odd);
    done(&big);
    done(&lines);
}

Test(ring_geometry, chooses_a_body_by_item_size_and_batch)
{
    struct shape by_itself = { "auto", BELT_SPSC, BELT_BODY_AUTO, 8 };
    struct fixture one = RING(&by_itself, .item_size = 56), big = RING(&by_itself, .item_size = 57),
                   many = RING(&by_itself, .item_size = 8, .batch = 2),
                   single = RING(&by_itself, .item_size = 8, .batch = 1);
    cr_assert_eq(stat_of(&one).body, BELT_BODY_INBAND);
    cr_assert_eq(stat_of(&big).body, BELT_BODY_SPANS);
    cr_assert_eq(stat_of(&many).body, BELT_BODY_SPANS);
    cr_assert_eq(stat_of(&single).body, BELT_BODY_INBAND);
    done(&one);
    done(&big);
    done(&many);
    done(&single);
}

Test(ring_geometry, puts_as_many_items_into_a_line_as_fit)
{
    static const uint32_t sizes[] = { 1, 8, 9, 16, 17, 24, 25, 28, 29, 56 },
                          most[] = { 7, 7, 3, 3, 2, 2, 1, 1, 1, 1 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct fixture f = RING(inband, .item_size = sizes[k], .items = 1);
        struct belt_slots run = belt_claim(&f.tx, 100);
        cr_assert_eq(run.count, most[k], "%u bytes: %u", sizes[k], run.count);
        done(&f);
    }
}

Test(ring_geometry, aligns_slots_of_a_line_and_more_to_lines)
{
    struct fixture f = RING(spsc, .items = 4, .item_size = 65);
    struct belt_slots run = belt_claim(&f.tx, 4);
    cr_assert_eq((uintptr_t)run.first % 64, 0);
    cr_assert_eq(f.tx.slot_size, 128);
    done(&f);
}
