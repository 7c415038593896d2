/* The line scanners: each against the plain one, which is against words. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "io/scan_priv.h"

#define TEXT 4096

static uint64_t seed = 88172645463325252U;

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 32) % limit);
}

struct found {
    struct belt_span spans[BELT_FRAME];
    uint32_t count, next;
};

static struct found scan(belt_scan_fn *fn, const char *text, uint32_t at, uint32_t end,
                         uint32_t room)
{
    struct found f = { .next = 0 };
    f.count = fn(text, at, end, f.spans, room, &f.next);
    return f;
}

static void expect_same(belt_scan_fn *fn)
{
    char *memory = calloc(1, TEXT + 2 * BELT_PAD);
    for (int round = 0; round < 4000; round++) {
        char *text = memory + BELT_PAD;
        uint32_t line = 1 + random_below(round % 3 == 0 ? 200 : 20), crs = random_below(4);
        for (uint32_t i = 0; i < TEXT; i++)
            text[i] = random_below(line) == 0             ? '\n'
                      : crs && random_below(crs + 1) == 0 ? '\r'
                                                          : (char)random_below(256);
        uint32_t at = random_below(200), end = at + random_below(TEXT - at);
        uint32_t room = round % 2 ? BELT_FRAME : 1 + random_below(200);
        struct found want = scan(belt_scan_plain, text, at, end, room);
        struct found got = scan(fn, text, at, end, room);
        cr_assert_eq(got.count, want.count, "round %d", round);
        cr_assert_eq(got.next, want.next, "round %d", round);
        cr_assert(memcmp(got.spans, want.spans, want.count * sizeof want.spans[0]) == 0, "round %d",
                  round);
    }
    free(memory);
}

Test(scan, plain_finds_lines_without_their_ends)
{
    const char *text = "ab\n\r\n\nc\rd\r\nrest";
    struct found f = scan(belt_scan_plain, text, 0, (uint32_t)strlen(text), BELT_FRAME);
    const struct belt_span want[] = { { 0, 2 }, { 3, 0 }, { 5, 0 }, { 6, 3 } };
    cr_assert_eq(f.count, 4);
    cr_assert_eq(memcmp(f.spans, want, sizeof want), 0);
    cr_assert_eq(f.next, 11);
}

Test(scan, swar_agrees_with_plain)
{
    expect_same(belt_scan_swar);
}

Test(scan, v2_agrees_with_plain)
{
    expect_same(belt_scan_v2);
}

Test(scan, v3_agrees_with_plain)
{
    if (belt_isa_v3())
        expect_same(belt_scan_v3);
}

Test(scan, does_not_look_before_an_empty_first_line)
{
    char memory[3 * BELT_PAD] = { 0 };
    memory[BELT_PAD - 1] = '\r';
    memory[BELT_PAD] = '\n';
    struct found f = scan(belt_scan_choose(), memory + BELT_PAD, 0, 1, BELT_FRAME);
    cr_assert_eq(f.count, 1);
    cr_assert_eq(f.spans[0].size, 0);
}

Test(scan, of_nothing_finds_nothing)
{
    char memory[3 * BELT_PAD] = { 0 };
    struct found f = scan(belt_scan_choose(), memory + BELT_PAD, 7, 7, BELT_FRAME);
    cr_assert_eq(f.count, 0);
    cr_assert_eq(f.next, 7);
}

Test(scan, never_passes_the_room)
{
    char memory[2048 + 2 * BELT_PAD];
    memset(memory, '\n', sizeof memory);
    struct found f = scan(belt_scan_choose(), memory + BELT_PAD, 0, 2048, BELT_FRAME);
    cr_assert_eq(f.count, BELT_FRAME);
    cr_assert_eq(f.next, BELT_FRAME);
}
