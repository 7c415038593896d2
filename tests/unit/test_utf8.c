/* What is UTF-8, and what is put in place of the rest. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "steps/utf8_priv.h"

static uint32_t valid(const char *text, size_t size)
{
    char room[600];
    memset(room, 0xff, sizeof room);
    memcpy(room + 64, text, size);
    return belt_utf8_valid(room + 64, (uint32_t)size);
}

static const char *replaced(const char *text, size_t size)
{
    static char out[2000];
    uint32_t used = belt_utf8_replace(out, text, (uint32_t)size);
    cr_assert_leq(used, 3 * size);
    out[used] = 0;
    return out;
}

#define U "\xef\xbf\xbd"
#define EXPECT_REPLACED(text, want) cr_expect_str_eq(replaced(text, sizeof(text) - 1), want)

Test(utf8, takes_all_that_unicode_has)
{
    char text[4];
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint32_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
        for (uint32_t i = size - 1, rest = c; i < size; i--, rest >>= 6)
            text[i] = (char)(i ? 0x80 | (rest & 0x3f) : size == 1 ? rest : marks[size] | rest);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        cr_assert_eq(valid(text, size), surrogate ? 0 : size, "U+%04X", c);
    }
}

/* The rows of Unicode's own tables of what is ill-formed (3.9, U+FFFD substitution). */
Test(utf8, replaces_as_unicode_recommends)
{
    EXPECT_REPLACED("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", U U U U U U U U "A");
    EXPECT_REPLACED("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", U U U U U U U U "A");
    EXPECT_REPLACED("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", U U U U U "A" U U "B");
    EXPECT_REPLACED("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", U U U U "A");
    EXPECT_REPLACED("\xe2\x82", U);
    EXPECT_REPLACED("ab\xe2\x82\xac"
                    "cd\xff",
                    "ab\xe2\x82\xac"
                    "cd" U);
    EXPECT_REPLACED("", "");
}

Test(utf8, says_where_it_is_wrong_wherever_that_is)
{
    char text[300];
    for (uint32_t size = 1; size < sizeof text; size += 7)
        for (uint32_t bad = 0; bad < size; bad++) {
            memset(text, 'x', size);
            text[bad] = (char)0x80;
            cr_assert_eq(valid(text, size), bad);
            text[bad] = 'x';
            cr_assert_eq(valid(text, size), size);
        }
}

/* Byte by byte, by the ranges of Unicode's table 3-7. */
static uint32_t plainly(const unsigned char *t, uint32_t size)
{
    static const struct {
        unsigned char low, high, low2, high2;
        uint32_t more;
    } rows[] = { { 0x00, 0x7f, 0, 0, 0 },       { 0xc2, 0xdf, 0x80, 0xbf, 1 },
                 { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
                 { 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 },
                 { 0xf0, 0xf0, 0x90, 0xbf, 3 }, { 0xf1, 0xf3, 0x80, 0xbf, 3 },
                 { 0xf4, 0xf4, 0x80, 0x8f, 3 } };
    uint32_t at = 0;
    while (at < size) {
        size_t r = 0;
        while (r < sizeof rows / sizeof *rows && (t[at] < rows[r].low || t[at] > rows[r].high))
            r++;
        if (r == sizeof rows / sizeof *rows || rows[r].more >= size - at)
            return at;
        for (uint32_t i = 1; i <= rows[r].more; i++)
            if (t[at + i] < (i == 1 ? rows[r].low2 : 0x80) ||
                t[at + i] > (i == 1 ? rows[r].high2 : 0xbf))
                return at;
        at += rows[r].more + 1;
    }
    return size;
}

Test(utf8, agrees_with_a_plain_reader_on_any_bytes)
{
    static const unsigned char odd[] = {
        0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf,
        0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 'a',  'b'
    };
    unsigned char text[200];
    srand(5);
    for (int round = 0; round < 200000; round++) {
        uint32_t size = (uint32_t)rand() % (round % 10 ? 12 : sizeof text);
        for (uint32_t i = 0; i < size; i++)
            text[i] = rand() % 3 ? 'a' : odd[(size_t)rand() % sizeof odd];
        cr_assert_eq(valid((const char *)text, size), plainly(text, size));
    }
}

/* Whole characters and, now and then, what is none. */
static void fill(char *text, uint32_t size, int dirt)
{
    static const char *const pieces[] = { "a", "|", "\xc3\xa9", "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80" };
    static const char dirty[] = "\x80\xc3\xed\xf5";
    for (uint32_t at = 0; at < size;) {
        const char *piece = pieces[dirt ? rand() % 5 : rand() % 2];
        uint32_t bytes = (uint32_t)strlen(piece);
        memcpy(text + at, piece, bytes < size - at ? bytes : size - at);
        if (dirt > 1 && rand() % 300 == 0)
            text[at] = dirty[rand() % 4];
        at += bytes;
    }
}

/* Texts anywhere: in no order, over each other, and cutting characters. */
static void scatter(struct belt_span *spans, const char *text, uint32_t size, bool cut)
{
    for (uint32_t i = 0; i < BELT_FRAME; i++) {
        uint32_t at = (uint32_t)rand() % (size - 40), end = at + (uint32_t)rand() % 40;
        while (!cut && (text[at] & 0xc0) == 0x80)
            at--;
        while (!cut && (text[end] & 0xc0) == 0x80)
            end++;
        spans[i] = (struct belt_span){ at, end - at };
    }
}

Test(utf8, columns_at_once_give_what_each_text_gives_alone)
{
    enum { SIZE = 4000 };
    static char memory[SIZE + 2 * BELT_PAD], *text = memory + BELT_PAD;
    static struct belt_span spans[2][BELT_FRAME];
    static uint64_t bad[2][BELT_WORDS], live[BELT_WORDS];
    struct belt_column columns[] = { { text, { .spans = spans[0] } },
                                     { text, { .spans = spans[1] } } };
    const struct belt_utf8_columns of = { (const int[]){ 0, 1 }, (const char *const[]){ "a", "b" },
                                          2 };
    struct belt_view view = { .columns = columns, .columns_used = 2, .live = live };
    uint32_t wrong = 0;
    srand(11);
    for (int round = 0; round < 300; round++) {
        fill(text, SIZE, round % 3);
        for (int c = 0; c < 2; c++)
            scatter(spans[c], text, SIZE, round % 2);
        for (uint32_t w = 0; w < BELT_WORDS; w++)
            live[w] = rand() % 2 ? UINT64_MAX : (uint64_t)rand() << 31 ^ (uint64_t)rand();
        view.first = (uint32_t)rand() % 100;
        view.end = BELT_FRAME - (uint32_t)rand() % 100;
        memset(bad, 0, sizeof bad);
        belt_utf8_check(&view, BELT_UTF8_REPLACE, &of, bad);
        for (uint32_t i = 0; i < 2 * BELT_FRAME; i++) {
            uint32_t c = i / BELT_FRAME, m = i % BELT_FRAME;
            struct belt_span s = spans[c][m];
            bool looked_at = m >= view.first && m < view.end && belt_is_live(&view, m);
            bool is_bad = plainly((const unsigned char *)text + s.at, s.size) != s.size;
            cr_assert_eq(bad[c][m / 64] >> (m % 64) & 1, looked_at && is_bad, "%d: %u", round, m);
            wrong += is_bad;
        }
    }
    cr_expect_gt(wrong, 1000);
}
