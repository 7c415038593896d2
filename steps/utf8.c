#include "steps/utf8_priv.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "steps/number_priv.h"

#define WORD 8

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

void belt_utf8_check(struct belt_view *view, enum belt_utf8 policy,
                     const struct belt_utf8_columns *of, uint64_t (*bad)[BELT_WORDS])
{
    for (uint32_t c = 0; policy != BELT_UTF8_KEEP && c < of->count; c++)
        BELT_EACH (view, i) {
            uint32_t size;
            const char *text = belt_text(view, of->columns[c], i, &size);
            uint32_t good = belt_utf8_valid(text, size);
            if (good == size)
                continue;
            if (policy == BELT_UTF8_FAIL)
                fail(view, i, of->names[c], text, size, good);
            else
                bad[c][i / 64] |= UINT64_C(1) << (i % 64);
        }
}
