/* Needles in rows: both searches, in both compilations, against memmem. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "steps/find_priv.h"

enum { TEXT = 20000 };

static char memory[TEXT + 2 * BELT_PAD];
static struct belt_span spans[64];

static bool is_in(const char *text, size_t size, const char *needle, bool fold)
{
    size_t length = strlen(needle);
    if (!fold)
        return memmem(text, size, needle, length) != NULL;
    for (size_t at = 0; at + length <= size; at++)
        if (strncasecmp(text + at, needle, length) == 0)
            return true;
    return false;
}

static uint64_t expected(const char *const *texts, size_t count, bool fold, uint64_t rows)
{
    uint64_t hits = 0;
    for (uint32_t i = 0; i < 64; i++)
        for (size_t k = 0; k < count; k++)
            if (is_in(memory + BELT_PAD + spans[i].at, spans[i].size, texts[k], fold))
                hits |= UINT64_C(1) << i;
    return hits & rows;
}

static void agree_on(const char *const *texts, size_t count, bool fold, uint64_t rows)
{
    struct belt_needles *needles;
    int rc = (fold ? belt_needles_folded : belt_needles_new)(&needles, texts, count, NULL);
    cr_assert_eq(rc, 0);
    belt_find_fn *const all[] = { count > 1 ? belt_find_many_v2 : belt_find_one_v2,
                                  count > 1 ? belt_find_many_v3 : belt_find_one_v3 };
    uint64_t want = expected(texts, count, fold, rows);
    for (int i = 0; i < 1 + belt_isa_v3(); i++) {
        needles->find = all[i];
        uint64_t got = belt_find_rows(needles, memory + BELT_PAD, spans, rows);
        cr_assert_eq(got, want, "'%s' of %zu, way %d: %llx, not %llx", texts[0], count, i,
                     (unsigned long long)got, (unsigned long long)want);
    }
    belt_needles_free(needles);
}

static void agree(const char *const *texts, size_t count, uint64_t rows)
{
    agree_on(texts, count, false, rows);
    agree_on(texts, count, true, rows);
}

static void agree_or(const char *text, char byte, uint64_t rows)
{
    const char bytes[] = { byte, 0 };
    const char *const texts[] = { text, bytes };
    uint64_t want = expected(texts, 2, false, rows);
    struct belt_needles *needles;
    cr_assert_eq(belt_needles_or(&needles, text, byte, NULL), 0);
    belt_find_fn *const all[] = { belt_find_one_or_v2, belt_find_one_or_v3 };
    for (int i = 0; i < 1 + belt_isa_v3(); i++) {
        needles->find = all[i];
        uint64_t got = belt_find_rows(needles, memory + BELT_PAD, spans, rows);
        cr_assert_eq(got, want, "'%s' or '%c', way %d: %llx, not %llx", text, byte, i,
                     (unsigned long long)got, (unsigned long long)want);
    }
    belt_needles_free(needles);
}

static uint64_t seed = 1;

static uint32_t draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

/* Also [ and {, @ and `, which differ as A and a do, but are no letters. */
static char letter(uint32_t letters)
{
    static const char some[] = "ab[{cdA`B@zZ";
    return some[draw(letters)];
}

/* Rows of up to `most` bytes out of `letters` letters; together, apart, or in disorder. */
static void scatter(uint32_t most, uint32_t letters, uint32_t gap, bool disorder)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < TEXT; i++)
        memory[BELT_PAD + i] = letter(letters);
    for (uint32_t i = 0; i < 64; i++) {
        spans[i] = (struct belt_span){ at, draw(most + 1) };
        at += spans[i].size + draw(gap + 1);
    }
    for (uint32_t i = 0; disorder && i < 64; i++) {
        uint32_t k = draw(64);
        struct belt_span span = spans[i];
        spans[i] = spans[k];
        spans[k] = span;
    }
}

static const char *word(uint32_t letters, uint32_t size)
{
    static char words[64][64];
    static uint32_t next;
    char *text = words[next++ % 64];
    for (uint32_t i = 0; i < size; i++)
        text[i] = letter(letters);
    text[size] = 0;
    return text;
}

Test(find, agrees_with_memmem_on_random_rows)
{
    static const uint32_t sizes[] = { 3, 20, 70, 250 }, gaps[] = { 0, 1, 40 };
    for (uint32_t round = 0; round < 4000; round++) {
        uint32_t letters = 1 + draw(12);
        scatter(sizes[draw(4)], letters, gaps[draw(3)], draw(4) == 0);
        const char *texts[40];
        size_t count = draw(2) ? 1 : 2 + draw(38);
        for (size_t k = 0; k < count; k++)
            texts[k] = word(letters, 1 + draw(draw(2) ? 4 : 40));
        uint64_t rows = draw(2) ? UINT64_MAX : (uint64_t)draw(UINT32_MAX) << draw(33);
        agree(texts, count, rows);
        /* The byte is rare in half of the rounds, as where this is used. */
        for (uint32_t k = draw(20); k > 0; k--)
            memory[BELT_PAD + draw(TEXT)] = '#';
        agree_or(texts[0], draw(2) ? '#' : letter(letters), rows);
    }
}

Test(find, does_not_take_a_text_that_two_rows_share)
{
    memcpy(memory + BELT_PAD, "xxerrorxx", 9);
    for (uint32_t i = 0; i < 64; i++)
        spans[i] = (struct belt_span){ i < 9 ? i : 9, i < 9 };
    spans[0] = (struct belt_span){ 0, 4 };
    spans[1] = (struct belt_span){ 4, 5 };
    for (uint32_t i = 2; i < 64; i++)
        spans[i] = (struct belt_span){ 9, 0 };
    agree((const char *[]){ "error" }, 1, UINT64_MAX);
    agree((const char *[]){ "error", "rx" }, 2, UINT64_MAX);
    cr_assert_eq(expected((const char *[]){ "error" }, 1, false, UINT64_MAX), 0);
}

Test(find, an_empty_text_is_in_every_row)
{
    struct belt_needles *needles;
    cr_assert_eq(belt_needles_new(&needles, (const char *[]){ "a", "" }, 2, NULL), 0);
    cr_assert_eq(belt_find_rows(needles, memory + BELT_PAD, spans, 0xff), 0xff);
    belt_needles_free(needles);
}

Test(find, no_rows_have_no_hits)
{
    agree((const char *[]){ "a" }, 1, 0);
    agree((const char *[]){ "a", "b" }, 2, 0);
}
