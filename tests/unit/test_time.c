/* Times as text, against the C library; and as conditions. */
#include <time.h>

#include "core/clock_priv.h"
#include "steps/time_priv.h"
#include "tests/unit/view_fixture.h"

static struct belt_time_format *format_of(const char *text)
{
    struct belt_time_format *format;
    struct belt_error err = { 0 };
    cr_assert_eq(belt_time_format_new(&format, text, NULL, &err), 0, "%s", err.text);
    return format;
}

/* The time in ns, or INT64_MIN when it is none and INT64_MAX when it is out of range. */
static int64_t read(const char *format_text, const char *text)
{
    struct belt_time_format *format = format_of(format_text);
    int64_t ns = 0;
    enum belt_time_flaw flaw = belt_time_parse(format, text, (uint32_t)strlen(text), &ns);
    belt_time_format_free(format);
    return flaw == BELT_TIME_FINE ? ns : flaw == BELT_TIME_SYNTAX ? INT64_MIN : INT64_MAX;
}

static const char *written(const char *format_text, int64_t ns)
{
    static char out[BELT_TIME_ROOM + 1];
    struct belt_time_format *format = format_of(format_text);
    out[belt_time_write(format, ns, out)] = 0;
    belt_time_format_free(format);
    return out;
}

#define S INT64_C(1000000000)
#define NONE INT64_MIN
#define BEYOND INT64_MAX

Test(time, reads_rfc_3339)
{
    cr_expect_eq(read("rfc3339", "1970-01-01T00:00:00Z"), 0);
    cr_expect_eq(read("rfc3339", "2026-01-31T12:34:56Z"), 1769862896 * S);
    cr_expect_eq(read("rfc3339", "2026-01-31t12:34:56.5z"), 1769862896 * S + S / 2);
    cr_expect_eq(read("rfc3339", "2026-01-31 12:34:56.000000001Z"), 1769862896 * S + 1);
    cr_expect_eq(read("rfc3339", "2026-01-31 12:34:56,1234567899Z"), 1769862896 * S + 123456789);
    cr_expect_eq(read("rfc3339", "2026-01-31T12:34:56+01:30"), (1769862896 - 5400) * S);
    cr_expect_eq(read("rfc3339", "2026-01-31T12:34:56-0800"), (1769862896 + 28800) * S);
    cr_expect_eq(read("rfc3339", "1969-12-31T23:59:59.75Z"), -S / 4);
    cr_expect_eq(read("rfc3339", "2016-12-31T23:59:60Z"), 1483228800 * S);
}

Test(time, refuses_what_is_no_rfc_3339)
{
    static const char *const bad[] = { "",
                                       "2026-01-31",
                                       "2026-01-31T12:34:56",
                                       "2026-02-29T00:00:00Z",
                                       "2026-13-01T00:00:00Z",
                                       "2026-00-01T00:00:00Z",
                                       "2026-01-00T00:00:00Z",
                                       "2026-01-31T24:00:00Z",
                                       "2026-01-31T12:60:00Z",
                                       "2026-01-31T12:34:61Z",
                                       "2026-01-31T12:34:56.Z",
                                       "2026-01-31T12:34:56Z ",
                                       "2026-01-31T12:34:56+24:00",
                                       "2026-01-31T12:34:56+1:00",
                                       "2026-1-31T12:34:56Z",
                                       "x026-01-31T12:34:56Z" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(read("rfc3339", bad[i]), NONE, "%s", bad[i]);
    cr_expect_eq(read("rfc3339", "1677-09-21T00:12:43.145224192Z"), INT64_MIN);
    cr_expect_eq(read("rfc3339", "1677-09-21T00:12:43.145224191Z"), BEYOND);
    cr_expect_eq(read("rfc3339", "2262-04-11T23:47:16.854775806Z"), INT64_MAX - 1);
    cr_expect_eq(read("rfc3339", "2262-04-11T23:47:16.854775808Z"), BEYOND);
    cr_expect_eq(read("rfc3339", "9999-12-31T23:59:59Z"), BEYOND);
}

Test(time, reads_numbers_exactly)
{
    cr_expect_eq(read("seconds", "1769862896"), 1769862896 * S);
    cr_expect_eq(read("seconds", "1769862896.000000001"), 1769862896 * S + 1);
    cr_expect_eq(read("milliseconds", "1769862896123"), 1769862896 * S + 123000000);
    cr_expect_eq(read("microseconds", "-1.5"), -1500);
    cr_expect_eq(read("nanoseconds", "42"), 42);
    cr_expect_eq(read("nanoseconds", "4.2"), NONE);
    cr_expect_eq(read("seconds", "99999999999"), BEYOND);
}

Test(time, reads_what_logs_have)
{
    cr_expect_eq(read("%d/%b/%Y:%H:%M:%S %z", "31/Jan/2026:12:34:56 +0100"),
                 (1769862896 - 3600) * S);
    cr_expect_eq(read("%b %e %T %Y", "Jan  1 00:00:01 1970"), S);
    cr_expect_eq(read("%A, %d %B %Y %I:%M %p", "Saturday, 31 january 2026 12:34 pm"),
                 1769862840 * S);
    cr_expect_eq(read("%I %p", "12 AM"), 0);
    cr_expect_eq(read("%F %T.%f", "1970-01-01 00:00:00.25"), S / 4);
    cr_expect_eq(read("%D %R", "01/31/26 12:34"), 1769862840 * S);
    cr_expect_eq(read("%Y-%j", "2024-366"), INT64_C(1735603200) * S);
    cr_expect_eq(read("%s.%f", "1769862896.5"), 1769862896 * S + S / 2);
    cr_expect_eq(read("100%% %y", "100% 69"), -365 * 86400 * S);
    cr_expect_eq(read("%F", "2026-02-30"), NONE);
    cr_expect_eq(read("%F", "2026-02-03x"), NONE);
    cr_expect_eq(read("%b", "Foo"), NONE);
}

/* Days all over the range, each way, as the C library has them. */
Test(time, agrees_with_the_c_library)
{
    static const char pattern[] = "%Y-%m-%d %H:%M:%S %j %a %A %b %B %p %I %e %y %s";
    for (int64_t t = INT64_C(-9223372036); t < INT64_C(9223372036); t += 7000033) {
        time_t seconds = t;
        struct tm tm;
        char text[200], own[300];
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %j %a %A %b %B %p %I %e %y", &tm);
        snprintf(own, sizeof own, "%s %lld", text, (long long)t);
        cr_assert_str_eq(written(pattern, t * S), own);
        if (tm.tm_year + 1900 >= 1678 && tm.tm_year + 1900 < 2262)
            cr_assert_eq(read("%Y-%m-%d %H:%M:%S %j", (text[23] = 0, text)), t * S, "%s", text);
        cr_assert_eq(read("rfc3339", written("rfc3339", t * S + 5)), t * S + 5);
    }
}

Test(time, writes_no_more_than_there_is)
{
    cr_expect_str_eq(written("rfc3339", 0), "1970-01-01T00:00:00Z");
    cr_expect_str_eq(written("rfc3339", S / 2), "1970-01-01T00:00:00.500Z");
    cr_expect_str_eq(written("rfc3339", 1), "1970-01-01T00:00:00.000000001Z");
    cr_expect_str_eq(written("rfc3339", -1000), "1969-12-31T23:59:59.999999Z");
    cr_expect_str_eq(written("rfc3339", INT64_MIN), "1677-09-21T00:12:43.145224192Z");
    cr_expect_str_eq(written("seconds", 1500 * (S / 1000)), "1.5");
    cr_expect_str_eq(written("seconds", -S), "-1");
    cr_expect_str_eq(written("milliseconds", 1), "0.000001");
    cr_expect_str_eq(written("%H:%M:%S.%f%z", S / 4), "00:00:00.250000000+0000");
}

/* ---- conditions ------------------------------------------------------------------ */

/* Which of the lines "TEXT,INT,DECIMAL(3),FLOAT" a condition leaves. */
static const char *fates(const char *condition, const char *text)
{
    static char out[BELT_FRAME + 1];
    char steps[2000];
    snprintf(steps, sizeof steps,
             "- split: { into: { at: text, n: int, d: decimal(3), f: float } }\n- keep: %s",
             condition);
    struct chain *c = chain_new(steps);
    chain_run(c, text);
    snprintf(out, sizeof out, "%s", chain_fates(c));
    chain_free(c);
    return out;
}

static const char moments[] = "2026-01-31T12:34:56Z,1769862896,1769862896.500,1769862896.5\n"
                              "2026-01-31T13:34:56.5+01:00,0,0,0\n"
                              "2026-02-01T00:00:00Z,-1,-0.001,-0.001\n"
                              "yesterday,9223372036854775807,9223372036854775.807,1e300\n";

Test(time_condition, since_is_inside_and_until_outside)
{
    cr_expect_str_eq(fates("{ at: { since: 2026-01-31T12:34:56Z } }", moments), "+++!");
    cr_expect_str_eq(fates("{ at: { since: '2026-01-31T13:34:56.500+01:00' } }", moments), "-++!");
    cr_expect_str_eq(fates("{ at: { until: 2026-02-01 } }", moments), "++-!");
    cr_expect_str_eq(fates("{ at: { since: '2026-01-31 12:34:57', until: 2026-02-02 } }", moments),
                     "--+!");
}

Test(time_condition, numbers_have_their_unit)
{
    cr_expect_str_eq(fates("{ n: { since: 1970-01-01, time: seconds } }", moments), "++-!");
    cr_expect_str_eq(fates("{ n: { until: 1970-02-01, time: milliseconds } }", moments), "+++!");
    cr_expect_str_eq(fates("{ n: { since: 1970-01-01, time: nanoseconds } }", moments), "++-+");
    cr_expect_str_eq(fates("{ d: { since: 2026-01-31T12:34:56.5Z, time: seconds } }", moments),
                     "+--!");
    cr_expect_str_eq(fates("{ f: { until: 1970-01-01, time: seconds } }", moments), "--+!");
}

Test(time_condition, says_what_is_no_time)
{
    struct chain *c = chain_new("- split: { into: { at: text, n: int } }\n"
                                "- keep: { at: { since: 2026-01-01, time: '%F' } }\n"
                                "- keep: { n: { since: 2026-01-01, time: seconds } }\n");
    chain_run(c, "2026-02-01,9223372036854775807\nsoon,0\n");
    cr_expect_str_eq(chain_reason(c, 0), "n: the time 9223372036854775807 is out of range");
    cr_expect_str_eq(chain_reason(c, 1), "at: 'soon' is no time (%F)");
    chain_free(c);
}

Test(time_condition, last_is_measured_from_now)
{
    char text[200];
    long long now = belt_epoch() / S;
    snprintf(text, sizeof text, "%lld\n%lld\n%lld\n", now - 3700, now - 3500, now + 100);
    struct chain *c = chain_new("- split: { into: { n: int } }\n"
                                "- keep: { n: { last: 1h, time: seconds } }");
    chain_load(c, text, strlen(text), 0);
    c->engine.view.now = belt_now();
    chain_step(c, 0);
    chain_step(c, 1);
    cr_expect_str_eq(chain_fates(c), "-++");
    chain_free(c);
}

static void refuses(const char *condition, const char *words)
{
    char steps[2000], all[2000];
    snprintf(steps, sizeof steps, "- split: { into: { at: text, n: int } }\n- keep: %s", condition);
    snprintf(all, sizeof all, "p.yaml:%s", words);
    refused(steps, all);
}

Test(time_condition_conf, refuses_what_is_no_time)
{
    refuses("{ at: { since: soon } }",
            "3:24: since: 'soon' is no time: write 2026-01-31T12:00:00Z or 2026-01-31");
    refuses("{ at: { until: 2300-01-01 } }",
            "3:24: until: 2300-01-01 is out of range: 1677 to 2262");
    refuses("{ at: { last: 10 } }", "3:23: last: 10 needs a unit: write 10ms, 10s or 10m");
    refuses("{ at: { last: 0s } }", "3:23: last: nothing was 0 ago: last: 10m");
    refuses("{ at: { last: 1s, since: 2026-01-01 } }", "3:15: at: either since or last");
    refuses("{ at: { since: 2026-01-02, until: 2026-01-02 } }",
            "3:15: at: no time is in this range");
    refuses("{ n: { since: 2026-01-02 } }",
            "3:23: 'n' is int: say its unit: time: seconds, milliseconds, microseconds or "
            "nanoseconds");
    refuses("{ at: { since: 2026-01-02, time: second } }",
            "3:42: 'second' is no format of a time: did you mean 'seconds'?");
    refuses("{ at: { since: 2026-01-02, time: '%F %Q' } }",
            "3:42: '%F %Q' is no format of a time: there is no %Q");
    refuses("{ at: { since: 2026-01-02, time: iso } }",
            "3:42: 'iso' is no format of a time: rfc3339, seconds, milliseconds, microseconds, "
            "nanoseconds or a pattern like %F %T");
}
