#include "steps/utf8_priv.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "steps/number_priv.h"
#include "steps/steps_priv.h"

#define WORD 8
#define WORTH_IT 8 /* times the bytes of texts are looked at at once, with what is between them */

static inline uint64_t load8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Bytes of the sequence that begins at `at`; `wrong`: it is none, and these are what there
 * is of one. Which second bytes there are depends on the first: no character is written
 * longer than it must be, none is a surrogate or above U+10FFFF. */
static uint32_t sequence(const unsigned char *at, uint32_t left, bool *wrong)
{
    unsigned first = at[0], low = 0x80, high = 0xbf;
    uint32_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *wrong = size == 0 || first > 0xf4;
    if (*wrong)
        return 1;
    low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
    high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    for (uint32_t i = 1; i < size; i++) {
        *wrong = i == left || at[i] < low || at[i] > high;
        if (*wrong)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

/* Past what is ASCII: eight bytes at a time. */
static uint32_t past_ascii(const char *text, uint32_t at, uint32_t size)
{
    const uint64_t high = 0x8080808080808080U;
    while (size - at >= WORD && !(load8(text + at) & high))
        at += WORD;
    while (at < size && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

uint32_t belt_utf8_valid(const char *text, uint32_t size)
{
    bool wrong;
    for (uint32_t at = past_ascii(text, 0, size); at < size; at = past_ascii(text, at, size))
        for (; at < size && (unsigned char)text[at] >= 0x80;) {
            uint32_t bytes = sequence((const unsigned char *)text + at, size - at, &wrong);
            if (wrong)
                return at;
            at += bytes;
        }
    return size;
}

uint32_t belt_utf8_replace(char *out, const char *text, uint32_t size)
{
    uint32_t used = 0;
    for (uint32_t at = 0; at < size;) {
        bool wrong;
        uint32_t good = past_ascii(text, at, size) - at;
        memcpy(out + used, text + at, good);
        used += good;
        at += good;
        if (at == size)
            break;
        uint32_t bytes = sequence((const unsigned char *)text + at, size - at, &wrong);
        memcpy(out + used, wrong ? "\xef\xbf\xbd" : text + at, wrong ? 3 : bytes);
        used += wrong ? 3 : bytes;
        at += bytes;
    }
    return used;
}

/* ---- columns -------------------------------------------------------------------- */

static void fail(struct belt_view *view, uint32_t i, const char *name, const char *text,
                 uint32_t size, uint32_t good)
{
    char reason[BELT_REASON];
    uint32_t left = size - good < 4 ? size - good : 4;
    char shown[16] = "";
    for (uint32_t k = 0, used = 0; k < left; k++)
        used += (uint32_t)snprintf(shown + used, sizeof shown - used, " %02x",
                                   (unsigned char)text[good + k]);
    snprintf(reason, sizeof reason, "%.60s: not UTF-8 from byte %u on:%s%s", name, good + 1, shown,
             size - good > left ? " ..." : "");
    belt_fail_message(view, i, reason);
}

/* Where the texts of a word of messages lie. */
struct extent {
    uint32_t low, high;
    uint64_t bytes; /* of texts */
};

static inline void add(struct extent *extent, struct belt_span span)
{
    uint32_t low = span.size ? span.at : UINT32_MAX, high = span.size ? span.at + span.size : 0;
    extent->low = low < extent->low ? low : extent->low;
    extent->high = high > extent->high ? high : extent->high;
    extent->bytes += span.size;
}

static void add_rows(struct extent *out, const struct belt_span *spans, uint64_t rows)
{
    struct extent extent = *out;
    if (rows == UINT64_MAX)
        for (uint32_t k = 0; k < 64; k++)
            add(&extent, spans[k]);
    else
        for (; rows; rows &= rows - 1)
            add(&extent, spans[__builtin_ctzll(rows)]);
    *out = extent;
}

/* In a form that compilers make vectors of. */
static bool is_ascii(const char *text, size_t size)
{
    char all = 0;
    for (size_t i = 0; i < size; i++)
        all |= text[i];
    return all >= 0;
}

static inline bool is_inner(char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* A text begins or ends inside of a character. */
static bool is_cut(const struct belt_column *column, const struct belt_span *spans, uint64_t rows)
{
    bool cut = false;
    for (; rows && !cut; rows &= rows - 1) {
        struct belt_span span = spans[__builtin_ctzll(rows)];
        cut = span.size && (is_inner(column->base[span.at]) ||
                            is_inner(column->base[(size_t)span.at + span.size]));
    }
    return cut;
}

/* The texts of these messages are valid as it seems at a glance: so are all bytes from the first
 * text to the last, and none of them cuts a character. False: it is not known. */
static bool seem_valid(const struct belt_view *view, const struct belt_utf8_columns *of, uint32_t w,
                       uint64_t rows)
{
    const char *base = view->columns[of->columns[0]].base;
    struct extent all = { UINT32_MAX, 0, 0 };
    for (uint32_t c = 0; c < of->count; c++) {
        const struct belt_column *column = &view->columns[of->columns[c]];
        if (column->base != base)
            return false;
        add_rows(&all, column->as.spans + (size_t)w * 64, rows);
    }
    uint32_t size = all.high - all.low;
    if (!all.bytes || size > WORTH_IT * all.bytes)
        return !all.bytes;
    if (is_ascii(base + all.low, size))
        return true;
    for (uint32_t c = 0; c < of->count; c++) {
        const struct belt_column *column = &view->columns[of->columns[c]];
        if (is_cut(column, column->as.spans + (size_t)w * 64, rows))
            return false;
    }
    return belt_utf8_is(base + all.low, size);
}

static void check(struct belt_view *view, enum belt_utf8 policy, int column, const char *name,
                  uint32_t i, uint64_t bad[BELT_WORDS])
{
    uint32_t size;
    const char *text = belt_text(view, column, i, &size);
    uint32_t good = belt_utf8_valid(text, size);
    if (good == size)
        return;
    if (policy == BELT_UTF8_FAIL)
        fail(view, i, name, text, size, good);
    else
        bad[i / 64] |= UINT64_C(1) << (i % 64);
}

void belt_utf8_check(struct belt_view *view, enum belt_utf8 policy,
                     const struct belt_utf8_columns *of, uint64_t (*bad)[BELT_WORDS])
{
    if (policy == BELT_UTF8_KEEP || !of->count)
        return;
    BELT_EACH_WORD(view, w)
    {
        uint64_t rows = belt_live_word(view, w);
        if (!rows || seem_valid(view, of, w, rows))
            continue;
        for (uint32_t c = 0; c < of->count; c++)
            for (rows = belt_live_word(view, w); rows; rows &= rows - 1)
                check(view, policy, of->columns[c], of->names[c],
                      w * 64 + (uint32_t)__builtin_ctzll(rows), bad[c]);
    }
}
