#include "steps/render_priv.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/number_priv.h"
#include "steps/utf8_priv.h"

/* Each value is written twice: to know its size, and to where there is room for it. */
struct belt_way_out {
    char *to; /* NULL: the first time */
    uint64_t size;
    char (*letter)(char); /* NULL: as they are */
};

/* ---- bytes ---------------------------------------------------------------------- */

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static char capital(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/* As they are. */
static void put(struct belt_way_out *out, const char *bytes, size_t size)
{
    if (out->to)
        memcpy(out->to + out->size, bytes, size);
    out->size += size;
}

/* Bytes of the text itself. */
static void put_text(struct belt_way_out *out, const char *text, size_t size)
{
    char *to = out->to ? out->to + out->size : NULL;
    put(out, text, size);
    for (size_t i = 0; to && out->letter && i < size; i++)
        to[i] = out->letter(text[i]);
}

/* ---- quotes --------------------------------------------------------------------- */

/* Bytes before the first one that a JSON string has not as it is, eight at a time. */
static uint32_t plain_json(const char *text, uint32_t size)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        uint64_t quote = word ^ ones * '"', back = word ^ ones * '\\';
        uint64_t hits =
            (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((back - ones) & ~back)) &
            high;
        /* The lowest one is exact; those above it may be a borrow's. */
        if (hits && i + (uint32_t)__builtin_ctzll(hits) / 8 < size)
            return i + (uint32_t)__builtin_ctzll(hits) / 8;
    }
    return size;
}

static void put_json_byte(struct belt_way_out *out, char byte)
{
    static const char from[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    const char *known = memchr(from, byte, sizeof from - 1);
    const char escape[] = { '\\', known ? letters[known - from] : 'u' };
    char code[5];
    put(out, escape, sizeof escape);
    if (!known)
        put(out, code, (size_t)snprintf(code, sizeof code, "%04x", (unsigned)(unsigned char)byte));
}

/* A string, with U+FFFD for each byte that is no UTF-8, as the format ndjson has them. */
static void put_json(struct belt_way_out *out, const char *text, uint32_t size)
{
    uint32_t valid = 0; /* bytes from `text` on */
    put(out, "\"", 1);
    while (size) {
        if (valid == 0)
            valid = belt_utf8_valid(text, size);
        if (valid == 0) {
            put(out, "\\ufffd", 6);
            text++;
            size--;
            continue;
        }
        uint32_t some = plain_json(text, valid);
        put_text(out, text, some);
        if (some < valid)
            put_json_byte(out, text[some++]);
        text += some;
        size -= some;
        valid -= some;
    }
    put(out, "\"", 1);
}

static void put_csv(struct belt_way_out *out, const char *text, uint32_t size)
{
    static const char stops[256] = {
        ['"'] = 1, [','] = 1, [';'] = 1, ['\t'] = 1, ['\r'] = 1, ['\n'] = 1
    };
    uint32_t plain = 0;
    while (plain < size && !stops[(unsigned char)text[plain]])
        plain++;
    if (plain == size) {
        put_text(out, text, size);
        return;
    }
    put(out, "\"", 1);
    for (;;) {
        const char *quote = memchr(text, '"', size);
        uint32_t some = quote ? (uint32_t)(quote - text) + 1 : size;
        put_text(out, text, some);
        if (!quote)
            break;
        put(out, "\"", 1);
        text += some;
        size -= some;
    }
    put(out, "\"", 1);
}

static void put_url(struct belt_way_out *out, const char *text, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                     (byte >= 'A' && byte <= 'Z') || (byte && strchr("-._~", byte));
        char hex[4];
        if (plain)
            put_text(out, text + i, 1);
        else
            put(out, hex, (size_t)snprintf(hex, sizeof hex, "%%%02X", (unsigned)byte));
    }
}

/* ---- ways ----------------------------------------------------------------------- */

static const struct belt_way_quote quotes[] = { { "json", put_json, false },
                                                { "csv", put_csv, true },
                                                { "url", put_url, true } };
enum { QUOTES = sizeof quotes / sizeof *quotes };

static const struct {
    const char *name;
    char (*letter)(char);
} cases[] = { { "lower", small }, { "upper", capital } };

static bool is(const char *word, size_t size, const char *name)
{
    return strlen(name) == size && memcmp(word, name, size) == 0;
}

/* ">8", "<8", "08", ".2" */
static bool read_number_way(struct belt_way *way, const char *word, size_t size)
{
    char *end;
    long most = *word == '.' ? BELT_WAY_PLACES : BELT_WAY_WIDTH;
    if (size < 2 || !strchr("<>0.", *word) || word[1] < '0' || word[1] > '9')
        return false;
    long value = strtol(word + 1, &end, 10);
    if (end != word + size || value > most)
        return false;
    if (*word == '.') {
        way->places = (int)value;
    } else {
        way->side = *word;
        way->width = (uint32_t)value;
    }
    return true;
}

static int refuse(const struct belt_node *node, const char *word, size_t size,
                  struct belt_error *err)
{
    static const char *const names[] = { "trim", "lower", "upper", "json", "csv", "url" };
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", (int)size, word);
    const char *near = belt_nearest(copy, names, sizeof names / sizeof *names);
    if (near)
        return belt_node_error(
            err, node, "template: no way '%s' to write a field; did you mean '%s'?", copy, near);
    return belt_node_error(err, node,
                           "template: no way '%s' to write a field; there are: trim, lower, upper, "
                           "json, csv, url, a width (<8, >8, 08; up to %d), places (.2; up to %d)",
                           copy, BELT_WAY_WIDTH, BELT_WAY_PLACES);
}

static bool read_word(struct belt_way *way, const char *word, size_t size)
{
    for (size_t i = 0; i < QUOTES; i++)
        if (is(word, size, quotes[i].name)) {
            way->quote = &quotes[i];
            return true;
        }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is(word, size, cases[i].name)) {
            way->letter = cases[i].letter;
            return true;
        }
    if (!is(word, size, "trim"))
        return read_number_way(way, word, size);
    way->trim = true;
    return true;
}

int belt_way_read(struct belt_way *way, const char *spec, size_t size,
                  const struct belt_column_info *info, const struct belt_node *node,
                  struct belt_error *err)
{
    const char *bar = memchr(spec, '|', size);
    size_t words = bar ? (size_t)(bar - spec) : size;
    *way = (struct belt_way){ .given = size > 0, .places = -1 };
    if (bar) {
        way->otherwise = bar + 1;
        way->otherwise_size = (uint32_t)(size - words - 1);
    }
    while (words) {
        const char *word = spec + 1, *colon = memchr(word, ':', words - 1);
        size_t length = colon ? (size_t)(colon - word) : words - 1;
        if (!read_word(way, word, length))
            return refuse(node, word, length, err);
        words -= length + 1;
        spec += length + 1;
    }
    if (way->places >= 0 && info->type == BELT_TEXT)
        return belt_node_error(err, node, "template: .%d is for numbers; '%s' is a text",
                               way->places, info->name);
    return 0;
}

/* ---- values --------------------------------------------------------------------- */

/* Half away from zero. */
static size_t put_decimal(char *out, int64_t value, unsigned digits, unsigned places)
{
    int64_t scale = 1;
    for (unsigned d = digits; d > places; d--)
        scale *= 10;
    int64_t rest = value % scale;
    value =
        value / scale + (rest >= scale - rest && scale > 1) - (-rest >= scale + rest && scale > 1);
    unsigned kept = digits < places ? digits : places;
    char *end = belt_put_decimal(out, value, kept);
    if (kept == 0 && places > 0)
        *end++ = '.';
    memset(end, '0', places - kept);
    return (size_t)(end - out) + places - kept;
}

/* Numbers that would be long are written as ever. */
static size_t put_float(char *out, double value, unsigned places)
{
    if (!(value > -1e15 && value < 1e15))
        return belt_float_write(out, value);
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static in libc: no allocation */
    locale_t before = uselocale(c);
    int size = snprintf(out, BELT_WAY_NUMBER, "%.*f", (int)places, value);
    uselocale(before);
    freelocale(c);
    /* -0.00 is 0.00. */
    bool zero = *out == '-' && strspn(out, "-0.") == (size_t)size;
    memmove(out, out + zero, (size_t)size);
    return (size_t)size - zero;
}

const char *belt_way_value(const struct belt_way *way, const struct belt_view *view, int column,
                           const struct belt_column_info *info, uint32_t i,
                           char number[BELT_WAY_NUMBER], uint32_t *size)
{
    const struct belt_column *c = &view->columns[column];
    if (way->places < 0)
        return belt_value_text(view, column, info->type, info->digits, i, number, size);
    unsigned digits = info->type == BELT_DECIMAL ? info->digits : 0, places = (unsigned)way->places;
    *size = (uint32_t)(info->type == BELT_FLOAT
                           ? put_float(number, c->as.floats[i], places)
                           : put_decimal(number, c->as.numbers[i], digits, places));
    return number;
}

static void trim(const char **text, uint32_t *size)
{
    static const char blanks[] = " \t\r\n\v\f";
    while (*size && memchr(blanks, (*text)[*size - 1], sizeof blanks - 1))
        --*size;
    while (*size && memchr(blanks, **text, sizeof blanks - 1)) {
        ++*text;
        --*size;
    }
}

/* `width` bytes, not characters. A sign stays before zeroes. */
static void widen(const struct belt_way *way, struct belt_way_out *out, uint64_t size)
{
    uint64_t more = way->width > size ? way->width - size : 0;
    if (out->to && more) {
        bool sign = way->side == '0' && size && *out->to == '-';
        if (way->side == '<') {
            memset(out->to + size, ' ', more);
        } else {
            memmove(out->to + more + sign, out->to + sign, size - sign);
            memset(out->to + sign, way->side == '0' ? '0' : ' ', more);
        }
    }
    out->size += more;
}

uint64_t belt_way_write(const struct belt_way *way, const struct belt_column_info *info,
                        const char *text, uint32_t size, char *to)
{
    struct belt_way_out out = { to, 0, way->letter };
    if (way->trim)
        trim(&text, &size);
    if (way->otherwise && size == 0)
        put(&out, way->otherwise, way->otherwise_size);
    else if (way->quote && (info->type == BELT_TEXT || way->quote->numbers))
        way->quote->put(&out, text, size);
    else
        put_text(&out, text, size);
    if (way->side)
        widen(way, &out, out.size);
    return out.size;
}
