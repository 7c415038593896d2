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
