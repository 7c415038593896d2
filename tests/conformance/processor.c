/* Processor: B028 to B037. */
#include "tests/conformance/conformance.h"

Test(conformance, B028_success_status)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b' }\nbatcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|b|]");
    expect_totals(p, 2, 0);
    belt_pipeline_free(p);
}

/* Routed and failed: what it was routed to does not see it. */
static int route_and_fail(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    belt_route(view, i, 1);
    belt_fail_message(view, i, "failed by hand");
    return 0;
}

static const struct belt_step route_and_fail_step = STEP("route_and_fail", route_and_fail);

/* A batcher's name is checked before the start; here the message was sent to another one. */
Test(conformance, B029_failed_status)
{
    struct belt_pipeline *p =
        pipeline_with(&route_and_fail_step.part, "source: { say: a }\n"
                                                 "processor: { steps: [ route_and_fail: {} ] }\n"
                                                 "batchers: { one: { sink: keep_all },\n"
                                                 "            other: { sink: keep_all } }\n");
    expect_end(p);
    cr_assert_eq(kept.batches, 0);
    expect_totals(p, 0, 1);
    expect_failure(p, "failed by hand");
    belt_pipeline_free(p);
}

Test(conformance, B030_failed_not_forwarded)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,bad,b' }\n"
                                          "processor: { steps: [ mark: {} ] }\n"
                                          "batcher: { size: 2, sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[s:a|b|]");
    expect_totals(p, 2, 1);
    belt_pipeline_free(p);
}

/* An exception is a worker that dies: the message fails with how, its neighbours pass. */
Test(conformance, B031_raise, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,abort,b'", "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    expect_totals(p, 2, 1);
    expect_failure(p, "2 workers died under it, the last: killed by SIGABRT");
    belt_pipeline_free(p);
}

static int never_fits(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    return is_text(view, i, "b") ? -1 : 0;
}

static const struct belt_step never_fits_step = STEP("never_fits", never_fits);

/* The one answer that callbacks can give wrong: "no room" that no room helps. */
Test(conformance, B032_bad_return)
{
    struct belt_pipeline *p =
        pipeline_with(&never_fits_step.part, "source: { say: 'a,b,c' }\n"
                                             "processor: { steps: [ never_fits: {} ] }\n"
                                             "batcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|c|]");
    expect_totals(p, 2, 1);
    expect_failure(p, "its new text is longer than a frame's room");
    belt_pipeline_free(p);
}

static int route_nowhere(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    if (is_text(view, i, "b"))
        belt_route(view, i, 99);
    return 0;
}

static const struct belt_step route_nowhere_step = STEP("route_nowhere", route_nowhere);

/* Names are resolved before the start; a number that means no batcher fails its message. */
Test(conformance, B033_bad_batcher)
{
    struct belt_pipeline *p =
        pipeline_with(&route_nowhere_step.part, "source: { say: 'a,b,c' }\n"
                                                "processor: { steps: [ route_nowhere: {} ] }\n"
                                                "batcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|c|]");
    expect_totals(p, 2, 1);
    expect_failure(p, "sent to a batcher that is not there");
    belt_pipeline_free(p);
}

static int fail_one(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    belt_batch_fail(batch, 1, "not this one");
    return 0;
}

static const struct belt_sink fails_one = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "fails_one", .help = "for a test" },
    .batch = fail_one,
};

/* Nothing is returned, so nothing can be missing: what is not named as failed is done. */
Test(conformance, B034_short_batch_return)
{
    struct belt_pipeline *p = acked_pipeline(&fails_one.part, "source: { acked: 'a,b,c' }\n"
                                                              "batcher: { sink: fails_one }\n");
    expect_end(p);
    expect_acks(3, "dfd");
    expect_failure(p, "not this one");
    belt_pipeline_free(p);
}

static int broken_sink(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    if (memcmp(batch->bytes, "bad", 3) == 0)
        return belt_error_set(err, -EIO, "the disk is on fire");
    return 0;
}

static const struct belt_sink broken = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "broken", .help = "refuses bad" },
    .batch = broken_sink,
};

/* Who acknowledges is the sink: what it refuses fails with its words, the rest goes on. */
Test(conformance, B035_bad_acker)
{
    struct belt_pipeline *p = pipeline_with(&broken.part, "source: { say: 'a,bad,b' }\n"
                                                          "batcher: { size: 1, sink: broken }\n");
    expect_end(p);
    expect_totals(p, 2, 1);
    expect_failure(p, "the disk is on fire");
    belt_pipeline_free(p);
}

/* A linked process is the worker itself: it leaves in the middle of the callback. */
Test(conformance, B036_broken_link, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,exit,b'", "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    expect_failure(p, "2 workers died under it, the last: left with exit code 3");
    belt_pipeline_free(p);
}
