/* Where Broadway loses or repeats acknowledgements: ours, decided otherwise. The comment above
 * a test says what Broadway does. */
#include "tests/conformance/conformance.h"

static int fails_second(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    if (batch->count > 1)
        belt_batch_fail(batch, 1, "the second");
    return 0;
}

static const struct belt_sink second = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "second", .help = "for a test" },
    .batch = fails_second,
};

/* Messages missing from what handle_batch returns are logged and never acknowledged. */
Test(better, what_a_batch_callback_does_not_mention_is_acknowledged)
{
    struct belt_pipeline *p = acked_pipeline(&second.part, "source: { acked: 'a,b,c,d' }\n"
                                                           "batcher: { sink: second }\n");
    end_and_free(p);
    expect_acks(4, "dfdd");
}

static int ack_then_fail(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    belt_ack(view, i);
    belt_fail_message(view, i, "after all");
    return 0;
}

static const struct belt_step ack_then_fail_step = STEP("ack_then_fail", ack_then_fail);

/* ack_immediately and then an exception acknowledges twice: first as successful, then as failed. */
Test(better, acknowledged_and_then_failed_is_told_once)
{
    struct belt_pipeline *p =
        acked_pipeline(&ack_then_fail_step.part, "source: { acked: 'a,b' }\n"
                                                 "processor: { steps: [ ack_then_fail: {} ] }\n"
                                                 "batcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_eq(acks.done + acks.failed, 2);
    cr_assert_null(strchr(acks.by_ticket, '2'), "%s", acks.by_ticket);
    belt_pipeline_free(p);
}

static int refuse_all(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch;
    return belt_error_set(err, -EIO, "not today");
}

static const struct belt_sink refuser = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "refuser", .help = "for a test" },
    .batch = refuse_all,
};

/* An acknowledger that raises loses the acknowledgements of all others of its chunk. */
Test(better, a_sink_that_refuses_costs_no_other_sink_its_outcome)
{
    struct belt_pipeline *p = acked_pipeline(
        &refuser.part, "source: { acked: 'a,b,a,b' }\n"
                       "processor: { steps: [ { letter: {} },\n"
                       "  { route: { field: letter, to: { a: good, b: bad } } } ] }\n"
                       "batchers: { good: { sink: keep_all },\n"
                       "            bad: { sink: refuser } }\n");
    end_and_free(p);
    expect_acks(4, "dfdf");
}

/* A message failed in prepare_messages still goes to handle_message. */
Test(better, what_failed_in_one_step_is_not_seen_by_the_next)
{
    struct belt_pipeline *p =
        acked_pipeline(NULL, "source: { acked: 'a,bad,b' }\n"
                             "processor: { steps: [ { mark: {} }, { grow: { to: 4 } } ] }\n"
                             "batcher: { sink: keep_all }\n"
                             "failed: { sink: { file: { path: /dev/null } } }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:aaaa|bbbb|]");
    expect_acks(3, "dfd");
    expect_failure(p, "it is bad");
    belt_pipeline_free(p);
}

/* An unknown batcher is found by the message that is sent to it. */
Test(better, an_unknown_batcher_is_found_before_the_start)
{
    expect_refused(NULL,
                   "source: { say: a }\n"
                   "processor: { steps: [ { letter: {} },\n"
                   "  { route: { field: letter, to: { a: secnd } } } ] }\n"
                   "batchers: { second: { sink: keep_all } }\n",
                   "did you mean 'second'?");
}

/* Messages inside a processor that crashes get no acknowledgement of any kind. */
Test(better, a_crash_leaves_no_message_without_an_outcome, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = acked_pipeline(
        &poison.part, "source: { acked: 'a,segv,b,c' }\n"
                      "processor: { isolation: process, concurrency: 1, max_attempts: 1,\n"
                      "             steps: [ poison: {} ] }\n"
                      "batcher: { sink: keep_all }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    expect_acks(4, "dfdd");
    belt_pipeline_free(p);
}
