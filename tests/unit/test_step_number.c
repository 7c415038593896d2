/* Numbers as text, both ways. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "steps/number_priv.h"

static enum belt_flaw parse(const char *text, unsigned digits, int64_t *out)
{
    return belt_number_parse(text, strlen(text), digits, out);
}

static const char *written(int64_t value, unsigned digits)
{
    static char out[BELT_NUMBER_ROOM + 1];
    *belt_put_decimal(out, value, digits) = 0;
    return out;
}

static const char *float_written(double value)
{
    static char out[BELT_NUMBER_ROOM + 1];
    out[belt_float_write(out, value)] = 0;
    return out;
}

static double float_of(const char *text)
{
    double value = NAN;
    cr_assert_eq(belt_float_parse(text, strlen(text), &value), BELT_FLAW_NONE, "%s", text);
    return value;
}

Test(number, reads_what_is_exact)
{
    static const struct {
        const char *text;
        unsigned digits;
        int64_t value;
    } rows[] = {
        { "0", 0, 0 },
        { "-0", 0, 0 },
        { "+7", 0, 7 },
        { "007", 0, 7 },
        { "-12.3", 1, -123 },
        { "5", 1, 50 },
        { "5.2", 3, 5200 },
        { "-0.5", 1, -5 },
        { "-0.0", 1, 0 },
        { "9223372036854775807", 0, INT64_MAX },
        { "-9223372036854775808", 0, INT64_MIN },
        { "9.223372036854775807", 18, INT64_MAX },
        { "000000000000000000000000000001", 0, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = 99;
        cr_expect_eq(parse(rows[i].text, rows[i].digits, &value), BELT_FLAW_NONE);
        cr_expect_eq(value, rows[i].value, "%s", rows[i].text);
    }
}

Test(number, refuses_with_the_kind_of_flaw)
{
    static const struct {
        const char *text;
        unsigned digits;
        enum belt_flaw flaw;
    } rows[] = {
        { "", 1, BELT_FLAW_SYNTAX },
        { "-", 1, BELT_FLAW_SYNTAX },
        { ".", 1, BELT_FLAW_SYNTAX },
        { "1.", 1, BELT_FLAW_SYNTAX },
        { ".5", 1, BELT_FLAW_SYNTAX },
        { "--1", 1, BELT_FLAW_SYNTAX },
        { "1-", 1, BELT_FLAW_SYNTAX },
        { " 1", 1, BELT_FLAW_SYNTAX },
        { "1e3", 1, BELT_FLAW_SYNTAX },
        { "1.2.3", 1, BELT_FLAW_SYNTAX },
        { "0x1", 0, BELT_FLAW_SYNTAX },
        { "1.25", 1, BELT_FLAW_DIGITS },
        { "1.20", 1, BELT_FLAW_DIGITS },
        { "1.5", 0, BELT_FLAW_DIGITS },
        { "9223372036854775808", 0, BELT_FLAW_RANGE },
        { "-9223372036854775809", 0, BELT_FLAW_RANGE },
        { "99999999999999999999999", 0, BELT_FLAW_RANGE },
        { "10", 18, BELT_FLAW_RANGE },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = 99;
        cr_expect_eq(parse(rows[i].text, rows[i].digits, &value), rows[i].flaw, "%s", rows[i].text);
        cr_expect_eq(value, 99);
    }
}

Test(number, writes_decimals_with_all_their_digits)
{
    cr_expect_str_eq(written(0, 0), "0");
    cr_expect_str_eq(written(0, 1), "0.0");
    cr_expect_str_eq(written(-5, 1), "-0.5");
    cr_expect_str_eq(written(123, 1), "12.3");
    cr_expect_str_eq(written(-7, 3), "-0.007");
    cr_expect_str_eq(written(INT64_MIN, 0), "-9223372036854775808");
    cr_expect_str_eq(written(INT64_MIN, 18), "-9.223372036854775808");
}

Test(number, reads_back_what_it_wrote)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        int64_t value = (int64_t)random >> (random % 64), back = 0;
        unsigned digits = (unsigned)(i % 19);
        cr_assert_eq(parse(written(value, digits), digits, &back), BELT_FLAW_NONE);
        cr_assert_eq(back, value);
    }
}

Test(number, reads_the_nearest_float)
{
    cr_expect_eq(float_of("0.1"), 0.1);
    cr_expect_eq(float_of("-12.25"), -12.25);
    cr_expect_eq(float_of("1e3"), 1000.0);
    cr_expect_eq(float_of("1.7976931348623157e308"), 1.7976931348623157e308);
    cr_expect_eq(float_of("123456789012345678901234567890"), 123456789012345678901234567890.0);
    cr_expect_eq(float_of("9007199254740993"), 9007199254740992.0);
    cr_expect_eq(float_of("1e-400"), 0.0);
}

Test(number, refuses_floats_that_are_none)
{
    static const char *const texts[] = { "",    "-",  "nan", "inf", "0x10", "1e",
                                         "1e+", ".5", "5.",  "1 ",  "1,5" };
    double value;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_eq(belt_float_parse(texts[i], strlen(texts[i]), &value), BELT_FLAW_SYNTAX, "%s",
                     texts[i]);
    cr_expect_eq(belt_float_parse("1e999", 5, &value), BELT_FLAW_RANGE);
}

Test(number, writes_floats_short_and_without_a_negative_zero)
{
    cr_expect_str_eq(float_written(0.1), "0.1");
    cr_expect_str_eq(float_written(-0.0), "0");
    cr_expect_str_eq(float_written(1.0 / 3), "0.3333333333333333");
    cr_expect_eq(float_of(float_written(0.1 + 0.2)), 0.1 + 0.2);
}

Test(number, says_what_is_wrong)
{
    char out[BELT_REASON];
    belt_flaw_text(out, sizeof out, BELT_FLAW_SYNTAX, "value", BELT_DECIMAL, 1, "abc", 3);
    cr_expect_str_eq(out, "value: 'abc' is not a decimal(1)");
    belt_flaw_text(out, sizeof out, BELT_FLAW_DIGITS, "value", BELT_DECIMAL, 1, "1.25", 4);
    cr_expect_str_eq(out, "value: 1.25 has more than 1 decimal digits");
    belt_flaw_text(out, sizeof out, BELT_FLAW_DIGITS, "n", BELT_INT, 0, "1.5", 3);
    cr_expect_str_eq(out, "n: '1.5' is not an int");
    belt_flaw_text(out, sizeof out, BELT_FLAW_RANGE, "n", BELT_INT, 0, "99999999999999999999", 20);
    cr_expect_str_eq(out, "n: 99999999999999999999 is out of range for int");
}

Test(number, shows_long_and_odd_texts_in_one_piece)
{
    char out[16];
    cr_expect_str_eq(belt_show(out, sizeof out, "a\tb\001c", 5), "a\\tb?c");
    cr_expect_str_eq(belt_show(out, sizeof out, "0123456789abcdef", 16), "0123456789a...");
    cr_expect_str_eq(belt_show(out, sizeof out, "0123456789\xc3\xa4\xc3\xa4\xc3\xa4", 16),
                     "0123456789...");
}
