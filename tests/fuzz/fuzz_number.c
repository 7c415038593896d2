/* Numbers out of text and back. The first byte says how many decimals are wanted; the rest is
 * the number, compared with what the C library makes of it. */
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "steps/number_priv.h"

/* [+-] digits [. digits]; where the digits after the point begin, 0: there are none. */
static bool is_number(const char *text, size_t size, size_t *point)
{
    size_t at = size && (*text == '+' || *text == '-'), first = at;
    while (at < size && isdigit((unsigned char)text[at]))
        at++;
    *point = 0;
    if (at == first || at == size)
        return at == size && at > first;
    if (text[at] != '.')
        return false;
    *point = first = ++at;
    while (at < size && isdigit((unsigned char)text[at]))
        at++;
    return at == size && at > first;
}

/* The same in 128 bits; false: it does not fit, or has too many digits after the point. */
static bool value_of(const char *text, size_t size, size_t point, unsigned digits, int64_t *out)
{
    __int128 value = 0, most = (__int128)INT64_MAX + (*text == '-');
    unsigned after = 0;
    for (size_t i = *text == '+' || *text == '-'; i < size; i++) {
        if (text[i] == '.')
            continue;
        if (point && i >= point && ++after > digits)
            return false;
        value = value * 10 + (text[i] - '0');
        if (value > most)
            return false;
    }
    for (; after < digits; after++)
        if ((value *= 10) > most)
            return false;
    *out = (int64_t)(*text == '-' ? -value : value);
    return true;
}

static void check_decimal(const char *text, size_t size, unsigned digits)
{
    int64_t value = 77, expected, again;
    size_t point;
    char out[BELT_NUMBER_ROOM];
    enum belt_flaw flaw = belt_number_parse(text, size, digits, &value);
    bool is = is_number(text, size, &point);
    FUZZ_CHECK((flaw == BELT_FLAW_SYNTAX) == !is, "'%.*s': flaw %d", (int)size, text, flaw);
    bool fits = is && value_of(text, size, point, digits, &expected);
    FUZZ_CHECK((flaw == BELT_FLAW_NONE) == fits, "'%.*s' of %u: flaw %d", (int)size, text, digits,
               flaw);
    if (!fits) {
        FUZZ_CHECK(value == 77, "touched");
        return;
    }
    FUZZ_CHECK(value == expected, "'%.*s' of %u is %lld, not %lld", (int)size, text, digits,
               (long long)value, (long long)expected);
    size_t used = (size_t)(belt_put_decimal(out, value, digits) - out);
    FUZZ_CHECK(used <= sizeof out, "%zu bytes", used);
    flaw = belt_number_parse(out, used, digits, &again);
    FUZZ_CHECK(flaw == BELT_FLAW_NONE && again == value, "%.*s", (int)used, out);
}

static void check_float(const char *text, size_t size)
{
    char *copy = fuzz_text(text, size), *end, out[BELT_NUMBER_ROOM];
    double value = 77, again;
    errno = 0;
    double expected = strtod(copy, &end);
    if (belt_float_parse(text, size, &value) == BELT_FLAW_NONE) {
        FUZZ_CHECK(!*end && end == copy + size, "'%s' is none to strtod", copy);
        FUZZ_CHECK(value == expected && isfinite(value), "'%s': %.17g, not %.17g", copy, value,
                   expected);
        size_t used = belt_float_write(out, value);
        FUZZ_CHECK(used <= sizeof out, "%zu bytes", used);
        FUZZ_CHECK(belt_float_parse(out, used, &again) == BELT_FLAW_NONE && again == value,
                   "%.*s is not %.17g", (int)used, out, value);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 200)
        return 0;
    /* Number parsers read words: BELT_PAD bytes around the text are theirs to see. */
    char text[200 + 2 * BELT_PAD];
    memset(text, '7', sizeof text);
    memcpy(text + BELT_PAD, data + 1, size - 1);
    check_decimal(text + BELT_PAD, size - 1, data[0] % (BELT_DIGITS_MAX + 1));
    check_float(text + BELT_PAD, size - 1);
    return 0;
}
