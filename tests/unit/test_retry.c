/* Messages that fail in the steps are tried again: when, how often, in which order,
 * and what becomes of them. */
#include <errno.h>

#include "core/pipeline_priv.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- step `flaky`: fails a word "xN..." its first N times ---------------------------- */

static struct {
    uint64_t at[64]; /* when each call came, ns */
    int calls;
} flaky;

static int flaky_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    if (size < 2 || text[0] != 'x')
        return 0;
    if (flaky.calls < 64)
        flaky.at[flaky.calls++] = view->now;
    if (belt_attempt(view, i) < (uint32_t)(text[1] - '0'))
        belt_fail_message(view, i, "not yet");
    return 0;
}

static const struct belt_step flaky_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "flaky", .help = "fails at first" },
    .message = flaky_message,
};

static struct belt_pipeline *retrying(const char *words, const char *failed, const char *steps)
{
    char yaml[1500];
    memset(&flaky, 0, sizeof flaky);
    snprintf(yaml, sizeof yaml,
             "source: { say: { %s } }\n"
             "processor: { steps: [ %s ] }\n"
             "batcher: { size: 1000, sink: { keep_all: {} } }\n"
             "failed: { %s }\n",
             words, steps, failed);
    return pipeline_with(&flaky_step.part, yaml);
}

static void runs(struct belt_pipeline *p, uint64_t done, uint64_t failed)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done, done, "%lu done, %lu failed", t.done, t.failed);
    cr_assert_eq(t.failed, failed, "%lu failed", t.failed);
}

/* ---- when and how often -------------------------------------------------------------- */

Test(retry, a_message_that_succeeds_later_is_done_once)
{
    struct belt_pipeline *p =
        retrying("words: 'a,x2,b', repeat: 1", "attempts: 3, backoff: 10ms", "flaky: {}");
    runs(p, 3, 0);
    cr_assert_eq(flaky.calls, 3);
    cr_assert_str_eq(kept.text, "[e:a|b|x2|]");
    belt_pipeline_free(p);
}

Test(retry, waits_double_up_to_the_limit)
{
    struct belt_pipeline *p = retrying(
        "words: 'x9', repeat: 1", "attempts: 6, backoff: 10ms, backoff_max: 30ms", "flaky: {}");
    static const uint64_t waits[] = { 10, 20, 30, 30, 30 };
    runs(p, 0, 1);
    cr_assert_eq(flaky.calls, 6);
    for (int i = 0; i < 5; i++)
        cr_assert_eq((flaky.at[i + 1] - flaky.at[i]) / 1000000, waits[i], "wait %d: %lu ns", i,
                     flaky.at[i + 1] - flaky.at[i]);
    belt_pipeline_free(p);
}

Test(retry, after_the_last_attempt_it_goes_to_failed_with_their_number)
{
    struct belt_pipeline *p = retrying(
        "words: 'x1,a,x9', repeat: 1",
        "attempts: 3, backoff: 1ms, sink: { keep_all: { format: { csv: { columns: [ payload, "
        "attempts, place, reason ] } } } }",
        "flaky: {}");
    runs(p, 2, 1);
    cr_assert(strstr(kept.text, "x9,3,5,not yet"), "%s", kept.text);
    struct belt_failure seen[4];
    cr_assert_eq(belt_pipeline_failures(p, seen, 4), 1, "a message fails once");
    belt_pipeline_free(p);
}

Test(retry, without_attempts_a_failure_is_final)
{
    struct belt_pipeline *p =
        retrying("words: 'a,x1', repeat: 1", "sink: { keep_all: {} }", "flaky: {}");
    runs(p, 1, 1);
    cr_assert_null(p->run->chains[0].retry);
    belt_pipeline_free(p);
}

Test(retry, the_payload_is_tried_as_it_came)
{
    struct belt_pipeline *p =
        retrying("words: 'x1', repeat: 1", "attempts: 2, backoff: 1ms", "grow: 5, flaky: {}");
    runs(p, 1, 0);
    cr_assert_str_eq(kept.text, "[e:x1x1x|]");
    belt_pipeline_free(p);
}

Test(retry, a_thousand_rounds_of_failures_are_all_settled)
{
    struct belt_pipeline *p =
        retrying("words: 'a,x1,x2,b,x3,x9', repeat: 1000",
                 "attempts: 4, backoff: 3ms, retry_memory: 64KiB", "flaky: {}");
    runs(p, 5000, 1000);
    belt_pipeline_free(p);
}

Test(retry, a_full_store_stops_the_input_until_something_is_due)
{
    struct belt_pipeline *p =
        retrying("words: 'x1', repeat: 6000", "attempts: 2, backoff: 5s", "flaky: {}");
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    for (int i = 0; i < 4000; i++) {
        cr_assert_geq(belt_pipeline_turn(p, now += 1000, &err), 0, "%s", err.text);
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
    struct belt_retry *r = p->run->chains[0].retry;
    cr_assert_leq(r->used, r->count);
    runs(p, 6000, 0);
    belt_pipeline_free(p);
}

Test(retry, a_stop_waits_for_what_is_due_later)
{
    struct belt_pipeline *p = retrying("words: 'x2,a', repeat: 1, endless: true",
                                       "attempts: 3, backoff: 50ms", "flaky: {}");
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    for (int i = 0; i < 20; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += 1000000, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.failed, 0);
    cr_assert_gt(t.received, 2);
    cr_assert_eq(t.done, t.received);
    belt_pipeline_free(p);
}

/* ---- order --------------------------------------------------------------------------- */

Test(retry, messages_of_the_same_value_wait_behind_one_that_is_tried_again)
{
    struct belt_pipeline *p =
        retrying("words: 'a1,x2,x0,b', repeat: 2", "attempts: 3, backoff: 10ms, ordered: letter",
                 "letter: {}, flaky: {}");
    runs(p, 8, 0);
    /* 'x0' never fails, but both rounds' x come in order behind the first. */
    cr_assert_str_eq(kept.text, "[e:a1|b|a1|b|x2|x0|x2|x0|]");
    belt_pipeline_free(p);
}

Test(retry, without_order_they_go_ahead)
{
    struct belt_pipeline *p = retrying("words: 'x2,y,x0', repeat: 1", "attempts: 3, backoff: 10ms",
                                       "letter: {}, flaky: {}");
    runs(p, 3, 0);
    cr_assert_str_eq(kept.text, "[e:y|x0|x2|]");
    belt_pipeline_free(p);
}

Test(retry, one_that_fails_for_good_lets_those_behind_it_go)
{
    struct belt_pipeline *p =
        retrying("words: 'x9,x0,y', repeat: 3", "attempts: 2, backoff: 10ms, ordered: letter",
                 "letter: {}, flaky: {}");
    runs(p, 6, 3);
    cr_assert_str_eq(kept.text, "[e:y|y|y|x0|x0|x0|]");
    belt_pipeline_free(p);
}

Test(retry, the_payload_orders_too)
{
    struct belt_pipeline *p = retrying("words: 'x1,y,x1,x1', repeat: 1",
                                       "attempts: 2, backoff: 10ms, ordered: payload", "flaky: {}");
    runs(p, 4, 0);
    cr_assert_str_eq(kept.text, "[e:y|x1|x1|x1|]");
    belt_pipeline_free(p);
}

Test(retry, a_later_processor_keeps_the_order_of_an_earlier_ones_field)
{
    memset(&flaky, 0, sizeof flaky);
    struct belt_pipeline *p = pipeline_with(
        &flaky_step.part, "source: { say: { words: 'x1,y,x0', repeat: 2 } }\n"
                          "processors:\n"
                          "  one: { steps: [ letter: {} ] }\n"
                          "  two: { steps: [ flaky: {} ] }\n"
                          "batcher: { size: 1000, sink: { keep_all: {} } }\n"
                          "failed: { attempts: 2, backoff: 10ms, ordered: letter }\n");
    runs(p, 6, 0);
    cr_assert_str_eq(kept.text, "[e:y|y|x1|x0|x1|x0|]", "%s", kept.text);
    belt_pipeline_free(p);
}

/* ---- instances ------------------------------------------------------------------------ */

static struct belt_pipeline *ordered_by_payload(const char *stages)
{
    char yaml[600];
    snprintf(yaml, sizeof yaml,
             "%s\nbatcher: { order: any, sink: { keep_all: {} } }\n"
             "failed: { attempts: 2, ordered: payload }\n",
             stages);
    return pipeline_of(yaml);
}

static void has_instances(const char *stages, uint32_t sources, uint32_t processors)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = ordered_by_payload(stages);
    cr_assert_eq(belt_pipeline_validate(p, &err), 0, "%s", err.text);
    cr_assert_eq(p->plan->sources, sources, "%u", p->plan->sources);
    cr_assert_eq(p->plan->heads, processors, "%u", p->plan->heads);
    belt_pipeline_free(p);
}

Test(retry, in_order_has_one_instance_unless_each_source_has_its_own)
{
    has_instances("source: { counter: 10 }", 1, 1);
    has_instances("sources: { a: { say: a }, b: { counter: 10 } }", 2, 1);
    has_instances("source: { counter: 10, concurrency: 1 }\nprocessor: { isolation: process }", 1,
                  1);
}

static void has_too_many(const char *stages)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = ordered_by_payload(stages);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0, "%s", stages);
    cr_assert(strstr(err.text, "test.yaml:2:12: failed: ordered: "), "%s", err.text);
    belt_pipeline_free(p);
}

Test(retry, in_order_is_refused_where_instances_would_share_a_value)
{
    has_too_many("source: { say: a }\nprocessor: { concurrency: 2 }");
    has_too_many("sources: { a: { say: a }, b: { say: b } }\nprocessor: { concurrency: 2 }");
    has_too_many("source: { counter: 9 }\nprocessor: { concurrency: 1, max_concurrency: 2 }");
}

/* ---- refused ------------------------------------------------------------------------- */

static void refuses(const char *failed, const char *more, const char *why)
{
    char yaml[600];
    struct belt_error err = { 0 };
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: 'a' } }\nprocessor: { %s steps: [ letter: {} ] }\n"
             "batcher: { sink: { keep_all: {} } }\nfailed: { %s }\n",
             more, failed);
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0, "%s was taken", failed);
    cr_assert(strstr(err.text, why), "%s", err.text);
    cr_assert(strstr(err.text, "test.yaml:4:"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(retry, refuses_what_means_nothing)
{
    refuses("attempts: 3, ordered: lettre", "", "did you mean 'letter'");
    refuses("ordered: letter, sink: 'null'", "", "attempts: 3");
    refuses("attempts: 3, retry_memory: 1KiB", "", "retry_memory");
    refuses("attempts: 3, orderd: letter", "", "orderd");
}
