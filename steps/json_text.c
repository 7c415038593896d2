/* What JSON strings say. */
#include <string.h>

#include "steps/json_priv.h"
#include "steps/utf8_priv.h"

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

void belt_json_mask(char *out, const char *text, uint32_t size)
{
    memcpy(out, text, size);
    for (uint32_t at = 0; (at += belt_utf8_valid(out + at, size - at)) < size;)
        out[at] = 'x';
}
