#include "steps/number_priv.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_TEXT = 512, SHOWN = 48 };

/* The parts of a number's text; only `whole` digits must be there. */
struct shape {
    const char *whole, *fraction, *exponent; /* exponent: behind the 'e', NULL without one */
    size_t whole_size, fraction_size;
    bool negative;
};

static const char *past_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static const char *past_sign(const char *at, const char *end)
{
    return at < end && (*at == '-' || *at == '+') ? at + 1 : at;
}

static bool shape_of(struct shape *shape, const char *text, size_t size, bool exponent)
{
    const char *end = text + size, *at = past_sign(text, end);
    *shape = (struct shape){ .whole = at, .negative = size > 0 && *text == '-' };
    at = past_digits(at, end);
    shape->whole_size = (size_t)(at - shape->whole);
    if (shape->whole_size == 0)
        return false;
    if (at < end && *at == '.') {
        shape->fraction = at + 1;
        at = past_digits(at + 1, end);
        shape->fraction_size = (size_t)(at - shape->fraction);
        if (shape->fraction_size == 0)
            return false;
    }
    if (exponent && at < end && (*at == 'e' || *at == 'E')) {
        shape->exponent = at + 1;
        const char *first = past_sign(at + 1, end);
        at = past_digits(first, end);
        if (at == first)
            return false;
    }
    return at == end;
}

/* False when *value * 10^size + digits leaves uint64_t. */
static bool append_digits(uint64_t *value, const char *digits, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint64_t digit = digits ? (uint64_t)(digits[i] - '0') : 0;
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, digit, value))
            return false;
    }
    return true;
}

enum belt_flaw belt_number_parse(const char *text, size_t size, unsigned digits, int64_t *out)
{
    struct shape shape;
    if (!shape_of(&shape, text, size, false))
        return BELT_FLAW_SYNTAX;
    if (shape.fraction_size > digits)
        return BELT_FLAW_DIGITS;
    uint64_t value = 0;
    if (!append_digits(&value, shape.whole, shape.whole_size) ||
        !append_digits(&value, shape.fraction, shape.fraction_size) ||
        !append_digits(&value, NULL, digits - shape.fraction_size))
        return BELT_FLAW_RANGE;
    if (value > (uint64_t)INT64_MAX + shape.negative)
        return BELT_FLAW_RANGE;
    *out = (int64_t)(shape.negative ? 0 - value : value);
    return BELT_FLAW_NONE;
}

/* Both operands are exact doubles, so one rounding gives the nearest: the text
 * has to have at most 2^53 in digits and a power of ten up to 10^22. */
static bool float_quickly(const struct shape *shape, double *out)
{
    static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    uint64_t value = 0;
    if (shape->exponent || shape->fraction_size >= sizeof powers / sizeof *powers ||
        !append_digits(&value, shape->whole, shape->whole_size) ||
        !append_digits(&value, shape->fraction, shape->fraction_size) || value > UINT64_C(1) << 53)
        return false;
    double magnitude = (double)value / powers[shape->fraction_size];
    *out = shape->negative && value ? -magnitude : magnitude;
    return true;
}

enum belt_flaw belt_float_parse(const char *text, size_t size, double *out)
{
    struct shape shape;
    if (size >= FLOAT_TEXT || !shape_of(&shape, text, size, true))
        return BELT_FLAW_SYNTAX;
    if (float_quickly(&shape, out))
        return BELT_FLAW_NONE;
    char ended[FLOAT_TEXT];
    memcpy(ended, text, size);
    ended[size] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static in libc: no allocation */
    double value = strtod_l(ended, NULL, c);
    freelocale(c);
    if (isinf(value))
        return BELT_FLAW_RANGE;
    *out = value == 0 ? 0 : value;
    return BELT_FLAW_NONE;
}

size_t belt_float_write(char *out, double value)
{
    return (size_t)(belt_put_float(out, value == 0 ? 0.0 : value) - out);
}

const char *belt_value_text(const struct belt_view *view, int column, enum belt_type type,
                            unsigned digits, uint32_t i, char *out, uint32_t *size)
{
    const struct belt_column *c = &view->columns[column];
    if (type == BELT_TEXT)
        return belt_text(view, column, i, size);
    *size = (uint32_t)(type == BELT_FLOAT
                           ? belt_float_write(out, c->as.floats[i])
                           : (size_t)(belt_put_decimal(out, c->as.numbers[i], digits) - out));
    return out;
}

const char *belt_type_name(char out[BELT_TYPE_ROOM], enum belt_type type, unsigned digits)
{
    static const char *const names[] = {
        [BELT_TEXT] = "text", [BELT_INT] = "int", [BELT_DECIMAL] = "decimal", [BELT_FLOAT] = "float"
    };
    if (type == BELT_DECIMAL)
        snprintf(out, BELT_TYPE_ROOM, "decimal(%u)", digits & 31);
    else
        snprintf(out, BELT_TYPE_ROOM, "%s", names[type]);
    return out;
}

const char *belt_show(char *out, size_t room, const char *text, size_t size)
{
    static const char mark[] = "...";
    size_t used = 0, i = 0;
    for (; i < size && used + 2 + sizeof mark <= room; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\t')
            out[used++] = '\\';
        out[used++] = byte == '\t' ? 't' : byte < ' ' || byte == 0x7f ? '?' : text[i];
    }
    /* Never end inside a UTF-8 sequence: step back over its beginning. */
    bool inside = i < size && ((unsigned char)text[i] & 0xc0) == 0x80;
    while (inside && used > 0)
        inside = ((unsigned char)out[--used] & 0xc0) == 0x80;
    memcpy(out + used, i < size ? mark : "", i < size ? sizeof mark : 1);
    return out;
}

void belt_flaw_text(char *out, size_t room, enum belt_flaw flaw, const char *name,
                    enum belt_type type, unsigned digits, const char *text, size_t size)
{
    char shown[SHOWN], kind[BELT_TYPE_ROOM];
    belt_show(shown, sizeof shown, text, size);
    belt_type_name(kind, type, digits);
    if (flaw == BELT_FLAW_DIGITS && type == BELT_DECIMAL)
        snprintf(out, room, "%s: %s has more than %u decimal digits", name, shown, digits);
    else if (flaw == BELT_FLAW_RANGE)
        snprintf(out, room, "%s: %s is out of range for %s", name, shown, kind);
    else
        snprintf(out, room, "%s: '%s' is not %s %s", name, shown, type == BELT_INT ? "an" : "a",
                 kind);
}
