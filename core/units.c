#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"

struct unit {
    const char *name;
    uint64_t factor;
};

struct units {
    const struct unit *list; /* in the order in which formatting prefers them, then { NULL, 0 } */
    const char *names;       /* for messages */
    const char *suggest[3];
    const char *smallest;
};

static const struct unit size_list[] = {
    { "GiB", 1u << 30 }, { "MiB", 1u << 20 }, { "KiB", 1u << 10 }, { "GB", 1000000000 },
    { "MB", 1000000 },   { "kB", 1000 },      { "B", 1 },          { NULL, 0 },
};
static const struct units sizes = {
    size_list,
    "B, kB, MB, GB, KiB, MiB, GiB",
    { "B", "KiB", "MiB" },
    "bytes",
};

static const struct unit time_list[] = {
    { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 }, { "ms", 1000000 },
    { "us", 1000 },         { "ns", 1 },          { NULL, 0 },
};
static const struct units times = {
    time_list,
    "ns, us, ms, s, m, h",
    { "ms", "s", "m" },
    "nanoseconds",
};

/* A number as written, taken apart without losing a digit. */
struct number {
    uint64_t whole, part, scale; /* whole + part / scale */
    const char *rest;            /* what follows: the unit */
    size_t length;               /* of the number */
    bool overflow;
};

/* Appends one digit; false when it does not fit. */
static bool add_digit(uint64_t *value, char digit)
{
    return !__builtin_mul_overflow(*value, 10, value) &&
           !__builtin_add_overflow(*value, (uint64_t)(digit - '0'), value);
}

static void scan_part(struct number *number, const char *at)
{
    const char *end = at + strspn(at, "0123456789");
    number->rest = end;
    while (end > at && end[-1] == '0')
        end--;
    for (; at < end; at++)
        if (!add_digit(&number->part, *at) || !add_digit(&number->scale, '0'))
            number->overflow = true;
}

/* False: no number begins here. */
static bool scan(const char *text, struct number *out)
{
    struct number number = { .scale = 1 };
    const char *at = text;
    for (; isdigit((unsigned char)*at); at++)
        if (!add_digit(&number.whole, *at))
            number.overflow = true;
    if (at == text)
        return false;
    number.rest = at;
    if (*at == '.' && isdigit((unsigned char)at[1]))
        scan_part(&number, at + 1);
    number.length = (size_t)(number.rest - text);
    *out = number;
    return true;
}

static const struct unit *find_unit(const struct units *units, const char *name)
{
    for (const struct unit *unit = units->list; unit->name; unit++)
        if (strcmp(unit->name, name) == 0)
            return unit;
    return NULL;
}

static int needs_unit(const struct units *units, const char *number, struct belt_error *err)
{
    return belt_error_config(err, "%.40s needs a unit: write %.40s%s, %.40s%s or %.40s%s", number,
                             number, units->suggest[0], number, units->suggest[1], number,
                             units->suggest[2]);
}

static int scale(const struct units *units, const struct unit *unit, const struct number *number,
                 const char *text, uint64_t *out, struct belt_error *err)
{
    uint64_t whole, part;
    if (number->overflow || __builtin_mul_overflow(number->whole, unit->factor, &whole) ||
        __builtin_mul_overflow(number->part, unit->factor, &part))
        return belt_error_config(err, "%.60s is too large or has too many digits", text);
    if (part % number->scale != 0)
        return belt_error_config(err, "%.60s is not a whole number of %s", text, units->smallest);
    if (__builtin_add_overflow(whole, part / number->scale, &whole) || whole > INT64_MAX)
        return belt_error_config(err, "%.60s is too large or has too many digits", text);
    *out = whole;
    return 0;
}

static int parse(const struct units *units, const char *kind, const char *text, uint64_t *out,
                 struct belt_error *err)
{
    struct number number;
    if (text[0] == '-' && scan(text + 1, &number))
        return belt_error_config(err, "%.60s is negative; a %s cannot be", text, kind);
    if (!scan(text, &number))
        return belt_error_config(err, "'%.60s' is not a %s; write a number and a unit (%s)", text,
                                 kind, units->names);
    const char *name = number.rest + (*number.rest == ' ');
    if (!*name) {
        char digits[41];
        snprintf(digits, sizeof digits, "%.*s", (int)(number.length < 40 ? number.length : 40),
                 text);
        return needs_unit(units, digits, err);
    }
    const struct unit *unit = find_unit(units, name);
    if (!unit)
        return belt_error_config(err, "unknown unit '%.40s' in %.60s; units are %s", name, text,
                                 units->names);
    return scale(units, unit, &number, text, out, err);
}

int belt_parse_size(const char *text, uint64_t *out, struct belt_error *err)
{
    return parse(&sizes, "size", text, out, err);
}

int belt_parse_time(const char *text, uint64_t *out, struct belt_error *err)
{
    return parse(&times, "time", text, out, err);
}

int belt_parse_int(const char *text, int64_t *out, struct belt_error *err)
{
    bool negative = text[0] == '-';
    const char *at = text + negative;
    uint64_t value = 0;
    bool fits = true;
    for (; isdigit((unsigned char)*at); at++)
        fits = fits && add_digit(&value, *at);
    if (*at || at == text + negative)
        return belt_error_config(err, "'%.60s' is not a whole number", text);
    if (!fits || value > (uint64_t)INT64_MAX + negative)
        return belt_error_config(err, "%.60s does not fit into 64 bits", text);
    *out = (int64_t)(negative ? -value : value);
    return 0;
}

static const char *format(const struct units *units, uint64_t value, char *out)
{
    const struct unit *unit = units->list;
    while (unit->factor > 1 && (value == 0 || value % unit->factor != 0))
        unit++;
    snprintf(out, BELT_UNIT_ROOM, "%" PRIu64 "%s", value / unit->factor, unit->name);
    return out;
}

const char *belt_format_size(uint64_t bytes, char out[BELT_UNIT_ROOM])
{
    return format(&sizes, bytes, out);
}

const char *belt_format_time(uint64_t ns, char out[BELT_UNIT_ROOM])
{
    return format(&times, ns, out);
}
