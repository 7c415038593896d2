/* The steps `rename`, `sample` and `time`. */
#include "tests/unit/view_fixture.h"

/* ---- rename ---------------------------------------------------------------------- */

Test(step_rename, gives_fields_of_any_type_another_name)
{
    struct chain *c = chain_new("- split: { into: { a: text, n: int, f: float } }\n"
                                "- rename: { a: name, n: count, f: share, payload: line }");
    chain_run(c, "anna,5,0.5\nbert,6,1e3\n");
    cr_expect_str_eq(chain_text(c, "name", 1), "bert");
    cr_expect_eq(chain_number(c, "count", 0), 5);
    cr_expect_eq(chain_float(c, "share", 1), 1000);
    cr_expect_str_eq(chain_text(c, "line", 0), "anna,5,0.5");
    cr_expect_str_eq(chain_text(c, "payload", 0), "anna,5,0.5");
    chain_free(c);
}

Test(step_rename_conf, refuses_what_it_cannot_do)
{
#define AB "- split: { into: { a: text, b: int } }\n"
    refused(AB "- rename: { x: y }", "p.yaml:3:16: no field 'x' here; there are: payload, a, b");
    refused(AB "- rename: { a: b }", "p.yaml:3:16: there is a field 'b' already");
    refused(AB "- rename: { a: A }",
            "p.yaml:3:16: 'A' is no name of a field: use a-z, 0-9 and _, a letter first");
    refused(AB "- rename: { a: [c] }", "p.yaml:3:16: a gets one new name");
    refused(AB "- rename: {}", "p.yaml:3:11: rename takes a map: { old: new }");
    refused(AB "- rename: a", "p.yaml:3:11: rename takes a map: { old: new }");
}

/* ---- sample ---------------------------------------------------------------------- */

static const char *sampled(const char *sample, int rows)
{
    static char out[BELT_FRAME + 1];
    char steps[300], text[20000] = "";
    snprintf(steps, sizeof steps, "- split: { into: { n: int, f: float } }\n- sample: %s", sample);
    for (int i = 0; i < rows; i++)
        sprintf(text + strlen(text), "%d,%d\n", i / 2, i % 5);
    struct chain *c = chain_new(steps);
    chain_run(c, text);
    snprintf(out, sizeof out, "%s", chain_fates(c));
    chain_free(c);
    return out;
}

static int count_of(const char *fates)
{
    int count = 0;
    for (; *fates; fates++)
        count += *fates == '+';
    return count;
}

Test(step_sample, keeps_the_first_of_every_so_many)
{
    cr_expect_str_eq(sampled("3", 10), "+--+--+--+");
    cr_expect_str_eq(sampled("{ every: 1 }", 3), "+++");
    cr_expect_str_eq(sampled("{ every: 1000000 }", 3), "+--");
}

Test(step_sample, keeps_a_share_evenly)
{
    cr_expect_str_eq(sampled("{ rate: 0.5 }", 8), "-+-+-+-+");
    cr_expect_str_eq(sampled("{ rate: 0.4 }", 10), "--+-+--+-+");
    cr_expect_str_eq(sampled("{ rate: 1 }", 3), "+++");
    cr_expect_str_eq(sampled("{ rate: 0 }", 3), "---");
    cr_expect_eq(count_of(sampled("{ rate: 0.333 }", 1000)), 333);
}

Test(step_sample, goes_on_in_the_next_frame)
{
    struct chain *c = chain_new("- sample: 3");
    chain_run(c, "a\nb\n");
    cr_expect_str_eq(chain_fates(c), "+-");
    chain_run(c, "a\nb\n");
    cr_expect_str_eq(chain_fates(c), "-+");
    chain_free(c);
}

Test(step_sample, by_a_field_values_stay_whole)
{
    const char *fates = sampled("{ rate: 0.3, by: n }", 1000);
    for (int i = 0; i < 1000; i += 2)
        cr_assert_eq(fates[i], fates[i + 1]);
    cr_expect(count_of(fates) > 200 && count_of(fates) < 400, "%d", count_of(fates));
    cr_expect(count_of(sampled("{ every: 10, by: payload }", 1000)) > 50);
    cr_expect(count_of(sampled("{ every: 10, by: payload }", 1000)) < 150);
    cr_expect_eq(count_of(sampled("{ rate: 1, by: f }", 1000)), 1000);
    cr_expect_eq(count_of(sampled("{ every: 1, by: n }", 1000)), 1000);
}

Test(step_sample, the_seed_decides_which_values)
{
    char first[BELT_FRAME + 1];
    strcpy(first, sampled("{ rate: 0.5, by: n, seed: 1 }", 1000));
    cr_expect_str_eq(sampled("{ rate: 0.5, by: n, seed: 1 }", 1000), first);
    cr_expect_str_neq(sampled("{ rate: 0.5, by: n, seed: 2 }", 1000), first);
}

Test(step_sample_conf, refuses_what_it_cannot_do)
{
    refused("- sample: {}", "p.yaml:2:11: sample takes either every: N or rate: SHARE");
    refused("- sample: { every: 2, rate: 0.5 }",
            "p.yaml:2:11: sample takes either every: N or rate: SHARE");
    refused("- sample: 0", "p.yaml:2:11: sample takes either every: N or rate: SHARE");
    refused("- sample: { rate: 1.5 }",
            "p.yaml:2:19: a rate is a number from 0 to 1, with 18 digits at most, not '1.5'");
    refused("- sample: { rate: 10% }",
            "p.yaml:2:19: a rate is a number from 0 to 1, with 18 digits at most, not '10%'");
    refused("- sample: { every: 2, by: x }", "p.yaml:2:27: no field 'x' here; there are: payload");
}

/* ---- time ------------------------------------------------------------------------ */

Test(step_time, makes_a_number_of_a_text)
{
    struct chain *c = chain_new("- time: { from: payload, into: ns }\n"
                                "- time: { from: payload, into: s, to: seconds }\n"
                                "- time: { from: payload, into: hour, to: rfc3339, floor: 1h }");
    chain_run(c, "1970-01-01T01:00:00.5Z\n1969-12-31T23:59:59.5Z\nnever\n");
    cr_expect_str_eq(chain_fates(c), "++!");
    cr_expect_eq(chain_number(c, "ns", 0), INT64_C(3600500000000));
    cr_expect_eq(chain_number(c, "s", 0), 3600);
    cr_expect_eq(chain_number(c, "s", 1), -1);
    cr_expect_str_eq(chain_text(c, "hour", 0), "1970-01-01T01:00:00Z");
    cr_expect_str_eq(chain_text(c, "hour", 1), "1969-12-31T23:00:00Z");
    cr_expect_str_eq(chain_reason(c, 2), "payload: 'never' is no time (rfc3339)");
    chain_free(c);
}

Test(step_time, makes_a_text_of_a_number)
{
    struct chain *c = chain_new("- split: { into: { t: decimal(3) } }\n"
                                "- time: { from: t, format: seconds, into: at, "
                                "to: '%d/%b/%Y:%T.%f %z' }");
    chain_run(c, "1769862896.250\n9223372036.855\n");
    cr_expect_str_eq(chain_text(c, "at", 0), "31/Jan/2026:12:34:56.250000000 +0000");
    cr_expect_str_eq(chain_reason(c, 1), "t: the time 9223372036.855 is out of range");
    chain_free(c);
}

Test(step_time, may_keep_what_is_none)
{
    struct chain *c = chain_new("- time: { from: payload, into: ns, else: keep }\n"
                                "- time: { from: payload, into: at, to: rfc3339, else: keep }");
    chain_run(c, "soon\n1970-01-01T00:00:01Z\n");
    cr_expect_str_eq(chain_fates(c), "++");
    cr_expect_eq(chain_number(c, "ns", 0), 0);
    cr_expect_str_eq(chain_text(c, "at", 0), "");
    cr_expect_str_eq(chain_text(c, "at", 1), "1970-01-01T00:00:01Z");
    chain_free(c);
}

Test(step_time, rounds_down_to_the_first_moment_of_all)
{
    struct chain *c =
        chain_new("- time: { from: payload, format: nanoseconds, into: t, floor: 1s }");
    chain_run(c, "-9223372036854775808\n-1\n1999999999\n");
    cr_expect_eq(chain_number(c, "t", 0), INT64_MIN);
    cr_expect_eq(chain_number(c, "t", 1), -1000000000);
    cr_expect_eq(chain_number(c, "t", 2), 1000000000);
    chain_free(c);
}

Test(step_time_conf, refuses_what_it_cannot_do)
{
    refused("- time: { from: payload, into: t, format: '%Q' }",
            "p.yaml:2:43: '%Q' is no format of a time: there is no %Q");
    refused("- time: { from: payload, into: t, to: milisecond }",
            "p.yaml:2:39: 'milisecond' is no format of a time: did you mean 'milliseconds'?");
    refused("- time: { from: x, into: t }", "p.yaml:2:17: no field 'x' here; there are: payload");
    refused("- time: { from: payload, into: payload }",
            "p.yaml:2:32: there is a field 'payload' already");
    refused("- split: { into: { n: int } }\n- time: { from: n, into: t }",
            "p.yaml:3:9: 'n' is int: say its unit: format: seconds, milliseconds, microseconds or "
            "nanoseconds");
}
