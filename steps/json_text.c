/* What JSON strings say. */
#include <string.h>

#include "steps/json_priv.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* The number that four hexadecimal digits are; negative: they are none. */
static int32_t hex4(const char *at)
{
    int32_t all = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex(at[i]);
        if (digit < 0)
            return -1;
        all = all << 4 | digit;
    }
    return all;
}

bool belt_json_escapes_valid(const char *at, uint32_t size)
{
    const char *end = at + size;
    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        if (end - at < 2)
            return false;
        if (at[1] == 'u' && (end - at < 6 || hex4(at + 2) < 0))
            return false;
        if (!at[1] || !strchr("\"\\/bfnrtu", at[1]))
            return false;
        at += at[1] == 'u' ? 6 : 2;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c >= 0x10000) {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else if (c >= 0x800) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xc0 | c >> 6);
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

/* The character of the \u at *at; a pair of them is one. Moves *at behind it. */
static uint32_t read_u(const char **at, const char *end, bool *lone)
{
    uint32_t first = (uint32_t)hex4(*at + 2), second;
    *at += 6;
    if (first < 0xd800 || first > 0xdfff)
        return first;
    if (first < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        second = (uint32_t)hex4(*at + 2);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((first & 0x3ff) << 10 | (second & 0x3ff));
        }
    }
    *lone = true;
    return 0xfffd;
}

uint32_t belt_json_decode(char *out, const char *at, uint32_t size, bool *lone)
{
    static const char from[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *end = at + size;
    char *to = out;
    while (at < end) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((stop ? stop : end) - at);
        memmove(to, at, plain);
        to += plain;
        at += plain;
        if (at == end)
            break;
        if (at[1] == 'u') {
            to = put_utf8(to, read_u(&at, end, lone));
            continue;
        }
        const char *known = strchr(from, at[1]);
        *to++ = known ? meant[known - from] : at[1];
        at += 2;
    }
    return (uint32_t)(to - out);
}

bool belt_json_says(const char *at, uint32_t size, const char *want, uint32_t want_size)
{
    char said[6 * BELT_JSON_EQUAL]; /* \u0041 is one byte */
    bool lone = false;
    if (!memchr(at, '\\', size))
        return size == want_size && memcmp(at, want, size) == 0;
    return size <= sizeof said && belt_json_decode(said, at, size, &lone) == want_size &&
           memcmp(said, want, want_size) == 0;
}

/* ---- bytes that are not UTF-8 ---------------------------------------------------- */

/* How many bytes the character at `at` has; 0: it is none (RFC 3629). */
static uint32_t character(const unsigned char *at, size_t left)
{
    unsigned char first = at[0], low = 0x80, high = 0xbf;
    uint32_t size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (size == 1)
        return 1;
    if (first < 0xc2 || first > 0xf4 || size > left)
        return 0;
    if (first == 0xe0 || first == 0xf0)
        low = first == 0xe0 ? 0xa0 : 0x90;
    if (first == 0xed || first == 0xf4)
        high = first == 0xed ? 0x9f : 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (uint32_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

static uint32_t copy_mended(char *out, const char *from, uint32_t size, const char *bad,
                            size_t bad_size)
{
    const unsigned char *at = (const void *)from, *end = at + size;
    char *to = out;
    while (at < end) {
        uint32_t good = character(at, (size_t)(end - at));
        memcpy(to, good ? (const char *)at : bad, good ? good : bad_size);
        to += good ? good : bad_size;
        at += good ? good : 1;
    }
    return (uint32_t)(to - out);
}

uint32_t belt_json_mask(char *out, const char *at, uint32_t size)
{
    return copy_mended(out, at, size, "x", 1);
}

uint32_t belt_json_mend(char *out, const char *at, uint32_t size)
{
    return copy_mended(out, at, size, "\xef\xbf\xbd", 3);
}
