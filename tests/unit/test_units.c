/* Sizes, times and whole numbers as written: what they mean, and the exact words
 * for those refused. */
#include <criterion/criterion.h>
#include <errno.h>

#include "core/settings_priv.h"

static struct belt_error err;

static void is_size(const char *text, uint64_t bytes)
{
    uint64_t value;
    cr_assert_eq(belt_parse_size(text, &value, &err), 0, "%s", err.text);
    cr_assert_eq(value, bytes, "%s", text);
}

static void is_time(const char *text, uint64_t ns)
{
    uint64_t value;
    cr_assert_eq(belt_parse_time(text, &value, &err), 0, "%s", err.text);
    cr_assert_eq(value, ns, "%s", text);
}

static void no_size(const char *text, const char *message)
{
    uint64_t value;
    cr_assert_eq(belt_parse_size(text, &value, &err), -EINVAL, "%s", text);
    cr_assert_str_eq(err.text, message);
}

static void no_time(const char *text, const char *message)
{
    uint64_t value;
    cr_assert_eq(belt_parse_time(text, &value, &err), -EINVAL, "%s", text);
    cr_assert_str_eq(err.text, message);
}

Test(units, reads_sizes_in_every_unit)
{
    is_size("0B", 0);
    is_size("7B", 7);
    is_size("3kB", 3000);
    is_size("3MB", 3000000);
    is_size("3GB", 3000000000);
    is_size("64KiB", 65536);
    is_size("2MiB", 2 << 20);
    is_size("4GiB", (uint64_t)4 << 30);
    is_size("64 KiB", 65536);
    is_size("9223372036854775807B", INT64_MAX);
}

Test(units, reads_times_in_every_unit)
{
    is_time("1ns", 1);
    is_time("2us", 2000);
    is_time("10ms", 10000000);
    is_time("5m", 300000000000);
    is_time("1h", 3600000000000);
}

Test(units, reads_exact_fractions)
{
    is_time("1.5s", 1500000000);
    is_time("1.123456789s", 1123456789);
    is_time("0.0010s", 1000000);
    is_time("1.50000000000000000000000000000s", 1500000000);
    is_size("0.25KiB", 256);
    is_size("1.0B", 1);
}

Test(units, refuses_inexact_fractions)
{
    no_time("0.5ns", "0.5ns is not a whole number of nanoseconds");
    no_size("0.1KiB", "0.1KiB is not a whole number of bytes");
}

Test(units, refuses_what_does_not_fit)
{
    no_size("9223372036854775808B", "9223372036854775808B is too large or has too many digits");
    no_size("99999999999GiB", "99999999999GiB is too large or has too many digits");
    no_size("99999999999999999999B", "99999999999999999999B is too large or has too many digits");
    no_time("0.00000000000000000000001h",
            "0.00000000000000000000001h is too large or has too many digits");
}

Test(units, refuses_a_missing_unit)
{
    no_size("10", "10 needs a unit: write 10B, 10KiB or 10MiB");
    no_time("1.5", "1.5 needs a unit: write 1.5ms, 1.5s or 1.5m");
    no_time("0", "0 needs a unit: write 0ms, 0s or 0m");
}

Test(units, refuses_an_unknown_unit)
{
    no_size("64kb", "unknown unit 'kb' in 64kb; units are B, kB, MB, GB, KiB, MiB, GiB");
    no_time("1sec", "unknown unit 'sec' in 1sec; units are ns, us, ms, s, m, h");
    no_time("1.s", "unknown unit '.s' in 1.s; units are ns, us, ms, s, m, h");
}

Test(units, refuses_a_negative_quantity)
{
    no_size("-1KiB", "-1KiB is negative; a size cannot be");
    no_time("-1", "-1 is negative; a time cannot be");
}

Test(units, refuses_what_is_no_number)
{
    no_size("", "'' is not a size; write a number and a unit (B, kB, MB, GB, KiB, MiB, GiB)");
    no_time("soon", "'soon' is not a time; write a number and a unit (ns, us, ms, s, m, h)");
    no_time("+1s", "'+1s' is not a time; write a number and a unit (ns, us, ms, s, m, h)");
    no_time("-", "'-' is not a time; write a number and a unit (ns, us, ms, s, m, h)");
}

static void is_int(const char *text, int64_t expected)
{
    int64_t value;
    cr_assert_eq(belt_parse_int(text, &value, &err), 0, "%s", err.text);
    cr_assert_eq(value, expected);
}

static void no_int(const char *text, const char *message)
{
    int64_t value;
    cr_assert_eq(belt_parse_int(text, &value, &err), -EINVAL, "%s", text);
    cr_assert_str_eq(err.text, message);
}

Test(units, reads_whole_numbers_to_their_ends)
{
    is_int("0", 0);
    is_int("-12", -12);
    is_int("9223372036854775807", INT64_MAX);
    is_int("-9223372036854775808", INT64_MIN);
}

Test(units, refuses_other_numbers)
{
    no_int("", "'' is not a whole number");
    no_int("-", "'-' is not a whole number");
    no_int("1.0", "'1.0' is not a whole number");
    no_int("+1", "'+1' is not a whole number");
    no_int(" 1", "' 1' is not a whole number");
    no_int("9223372036854775808", "9223372036854775808 does not fit into 64 bits");
    no_int("-9223372036854775809", "-9223372036854775809 does not fit into 64 bits");
    no_int("99999999999999999999999", "99999999999999999999999 does not fit into 64 bits");
}

Test(units, writes_the_largest_whole_unit)
{
    char out[BELT_UNIT_ROOM];
    cr_assert_str_eq(belt_format_size(0, out), "0B");
    cr_assert_str_eq(belt_format_size(1023, out), "1023B");
    cr_assert_str_eq(belt_format_size(65536, out), "64KiB");
    cr_assert_str_eq(belt_format_size(3000, out), "3kB");
    cr_assert_str_eq(belt_format_size((uint64_t)5 << 30, out), "5GiB");
    cr_assert_str_eq(belt_format_time(0, out), "0ns");
    cr_assert_str_eq(belt_format_time(1500000000, out), "1500ms");
    cr_assert_str_eq(belt_format_time(90000000000, out), "90s");
    cr_assert_str_eq(belt_format_time(7200000000000, out), "2h");
}

Test(units, reads_back_what_it_writes)
{
    char out[BELT_UNIT_ROOM];
    for (uint64_t value = 1; value < (uint64_t)1 << 62; value = value * 3 + value / 7) {
        is_size(belt_format_size(value, out), value);
        is_time(belt_format_time(value, out), value);
    }
}
