#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/buddy_priv.h"

struct fixture {
    struct belt_buddy buddy;
    char *arena;
    uint8_t *tags;
};

static struct fixture arena_of(uint64_t size)
{
    struct fixture f = { .arena = aligned_alloc(BELT_BUDDY_MIN, size),
                         .tags = malloc(belt_buddy_tags(size)) };
    cr_assert(f.arena && f.tags);
    belt_buddy_init(&f.buddy, f.arena, size, f.tags);
    cr_assert_eq(belt_buddy_check(&f.buddy), 0);
    return f;
}

static void drop(struct fixture *f)
{
    free(f->arena);
    free(f->tags);
}

Test(buddy, gives_the_whole_arena_as_one_block)
{
    struct fixture f = arena_of(64 * 1024);
    void *all = belt_buddy_take(&f.buddy, 64 * 1024);
    cr_assert_eq(all, f.arena);
    cr_assert_null(belt_buddy_take(&f.buddy, 1));
    belt_buddy_give(&f.buddy, all);
    cr_assert_eq(belt_buddy_check(&f.buddy), 0);
    drop(&f);
}

Test(buddy, fills_the_arena_to_the_last_unit)
{
    struct fixture f = arena_of(16 * BELT_BUDDY_MIN);
    for (int i = 0; i < 16; i++)
        cr_assert_not_null(belt_buddy_take(&f.buddy, 1));
    cr_assert_null(belt_buddy_take(&f.buddy, 1));
    cr_assert_eq(f.buddy.used, 16 * BELT_BUDDY_MIN);
    cr_assert_eq(belt_buddy_check(&f.buddy), 0);
    drop(&f);
}

Test(buddy, uses_all_of_an_arena_that_is_no_power_of_two)
{
    struct fixture f = arena_of(13 * BELT_BUDDY_MIN);
    cr_assert_eq(belt_buddy_biggest(&f.buddy), 8 * BELT_BUDDY_MIN);
    cr_assert_not_null(belt_buddy_take(&f.buddy, 8 * BELT_BUDDY_MIN));
    cr_assert_not_null(belt_buddy_take(&f.buddy, 4 * BELT_BUDDY_MIN));
    cr_assert_not_null(belt_buddy_take(&f.buddy, 1));
    cr_assert_null(belt_buddy_take(&f.buddy, 1));
    drop(&f);
}

Test(buddy, refuses_more_than_its_arena)
{
    struct fixture f = arena_of(4096);
    cr_assert_null(belt_buddy_take(&f.buddy, 4097));
    cr_assert_null(belt_buddy_take(&f.buddy, UINT64_MAX));
    drop(&f);
}

Test(buddy, rounds_up_to_powers_of_two)
{
    struct fixture f = arena_of(4096);
    void *block = belt_buddy_take(&f.buddy, 257);
    cr_assert_eq(belt_buddy_size(&f.buddy, block), 512);
    cr_assert_eq(belt_buddy_rounded(257), 512);
    cr_assert_eq(belt_buddy_rounded(0), BELT_BUDDY_MIN);
    cr_assert_eq(f.buddy.used, 512);
    drop(&f);
}

Test(buddy, is_whole_again_after_returns_in_any_order)
{
    static const int orders[][4] = {
        { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 }
    };
    struct fixture f = arena_of(4 * BELT_BUDDY_MIN);
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        void *blocks[4];
        for (int i = 0; i < 4; i++)
            blocks[i] = belt_buddy_take(&f.buddy, 1);
        for (int i = 0; i < 4; i++)
            belt_buddy_give(&f.buddy, blocks[orders[o][i]]);
        void *all = belt_buddy_take(&f.buddy, 4 * BELT_BUDDY_MIN);
        cr_assert_not_null(all);
        belt_buddy_give(&f.buddy, all);
    }
    drop(&f);
}

/* Every block is filled with its own byte: an overlap changes somebody's. */
static void verify(const struct fixture *f, char **blocks, int at)
{
    uint64_t size = belt_buddy_size(&f->buddy, blocks[at]);
    for (uint64_t i = 0; i < size; i++)
        cr_assert_eq(blocks[at][i], (char)at, "block %d was overwritten", at);
}

Test(buddy, keeps_blocks_apart_under_random_use)
{
    enum { BLOCKS = 200 };
    struct fixture f = arena_of(77 * 1024);
    char *blocks[BLOCKS] = { 0 };
    unsigned seed = 7;
    for (int step = 0; step < 20000; step++) {
        int at = rand_r(&seed) % BLOCKS;
        if (blocks[at]) {
            verify(&f, blocks, at);
            belt_buddy_give(&f.buddy, blocks[at]);
            blocks[at] = NULL;
        } else {
            uint64_t size = (uint64_t)(rand_r(&seed) % 2000) << rand_r(&seed) % 4;
            blocks[at] = belt_buddy_take(&f.buddy, size);
            if (blocks[at])
                memset(blocks[at], at, belt_buddy_size(&f.buddy, blocks[at]));
        }
        if (step % 64 == 0)
            cr_assert_eq(belt_buddy_check(&f.buddy), 0);
    }
    for (int at = 0; at < BLOCKS; at++)
        if (blocks[at])
            belt_buddy_give(&f.buddy, blocks[at]);
    cr_assert_eq(f.buddy.used, 0);
    cr_assert_eq(belt_buddy_check(&f.buddy), 0);
    drop(&f);
}
