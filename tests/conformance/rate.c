/* Rate limiting: B092 to B097. */
#include "core/control.h"
#include "tests/conformance/conformance.h"

#define START (1000 * MS)
#define SLOW                                                                                       \
    "source: { say: { words: 'a,b,c', endless: true }, rate: { messages: 100, per: 1s } }\n"       \
    "batcher: { size: 1, sink: keep_all }\n"

/* Turns of half a millisecond until `to`; the messages read so far. */
static uint64_t run_until(struct belt_pipeline *p, uint64_t from, uint64_t to)
{
    struct belt_error err = { 0 };
    for (uint64_t now = from; now < to; now += MS / 2)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    return totals_of(p).received;
}

/* Evenly, not at the beginning of an interval. */
Test(conformance, B092_exact, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(SLOW);
    cr_assert_eq(run_until(p, START, START + 995 * MS), 100);
    cr_assert_eq(run_until(p, START + 995 * MS, START + 1995 * MS), 200);
    belt_pipeline_free(p);
}

Test(conformance, B093_excess, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(SLOW);
    run_until(p, START, START + 3000 * MS);
    for (size_t i = 0; i + 6 <= kept.used && i < 1500; i += 6)
        cr_assert_eq(kept.text[i + 3], "abc"[i / 6 % 3], "%.30s", kept.text + i);
    belt_pipeline_free(p);
    p = pipeline_of(
        "source: { counter: 100000, concurrency: 3, rate: { messages: 100, burst: 10 } }\n"
        "processor: { concurrency: 3 }\n");
    cr_assert_eq(run_until(p, START, START + 996 * MS), 109, "over all instances");
    belt_pipeline_free(p);
}

/* ---- a source that notes what it is asked for ------------------------------------------- */

static uint32_t most_asked;

static int note_most(void *state, struct belt_fill *out, struct belt_error *err)
{
    most_asked = out->most > most_asked ? out->most : most_asked;
    return say_fill(state, out, err);
}

static const struct belt_source noting = {
    .part = { BELT_ABI, BELT_SOURCE, "noting", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = note_most,
    .recycle = say_recycle,
    .stop = say_stop,
};

/* Demand is what fill() is called with: never more than may leave, so nothing is to be kept. */
Test(conformance, B094_demand_buffering, .timeout = 20)
{
    most_asked = 0;
    struct belt_pipeline *p =
        pipeline_with(&noting.part, "source: { noting: { words: 'a,b,c', endless: true },\n"
                                    "          rate: { messages: 100, per: 1s, burst: 2 } }\n");
    run_until(p, START, START + 500 * MS);
    cr_assert_eq(most_asked, 2);
    belt_pipeline_free(p);
}

/* Nothing waits behind the limit: what was read was let through, what was not stays upstream. */
Test(conformance, B095_draining, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(SLOW);
    uint64_t before = run_until(p, START, START + 100 * MS);
    belt_pipeline_stop(p, 1000 * MS);
    expect_end(p);
    cr_assert_leq(totals_of(p).received, before + 1);
    expect_totals(p, totals_of(p).received, 0);
    belt_pipeline_free(p);
}

/* An update acts at once, with and without `reset`: without it what was let through counts. */
Test(conformance, B096_get_and_update, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(SLOW);
    cr_assert_eq(run_until(p, START, START + 995 * MS), 100);
    struct belt_rate rate = { .size = sizeof rate };
    cr_assert_eq(belt_pipeline_rate(p, NULL, &rate, &err), 0, "%s", err.text);
    cr_assert_eq(rate.messages, 100);
    cr_assert_eq(rate.per_ns, 1000 * MS);
    rate.messages = 20;
    cr_assert_eq(belt_pipeline_set_rate(p, NULL, &rate, false, &err), 0, "%s", err.text);
    cr_assert_eq(run_until(p, START + 995 * MS, START + 1995 * MS), 120);
    rate.messages = 1000;
    cr_assert_eq(belt_pipeline_set_rate(p, NULL, &rate, true, &err), 0, "%s", err.text);
    cr_assert_geq(run_until(p, START + 1995 * MS, START + 2095 * MS), 215);
    belt_pipeline_free(p);
}

Test(conformance, B097_bad_options)
{
    expect_refused(NULL, "source: { say: a, rate: { mesages: 1 } }\n",
                   "test.yaml:1:27: unknown setting 'mesages' of source rate; did you mean "
                   "'messages'?");
}
