/* Batch processor: B081 to B085. Here it is the batcher's sink. */
#include "tests/conformance/conformance.h"
#include "tests/unit/batch_worker_fixture.h"

/* Refuses a batch that holds "bad". */
static int refuse_bad(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->bytes[batch->spans[i].at] == 'b')
            return belt_error_set(err, -EINVAL, "row %u is bad", i);
    return 0;
}

static const struct belt_sink picky = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "picky", .help = "refuses bad" },
    .batch = refuse_bad,
};

/* Only its bad rows fail. */
static int fail_bad(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->bytes[batch->spans[i].at] == 'b')
            belt_batch_fail(batch, i, "it is bad");
    return 0;
}

static const struct belt_sink some = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "some", .help = "fails bad rows" },
    .batch = fail_bad,
};

/* One call for the neighbours among 64 that are settled together, successes and failures in it. */
Test(conformance, B081_ack_grouping)
{
    struct belt_pipeline *p = acked_pipeline(&some.part, "source: { acked: 'a,c,bad,d,e,f' }\n"
                                                         "batcher: { sink: some }\n");
    end_and_free(p);
    expect_acks(6, "ddfddd");
    cr_assert_leq(acks.calls, 2);
}

/* A callback that returns an error: all of its batch fails with it, the next batch goes on. */
Test(conformance, B082_raise)
{
    struct belt_pipeline *p = pipeline_with(&picky.part, "source: { say: 'a,bad,c,d' }\n"
                                                         "batcher: { size: 2, sink: picky }\n");
    expect_end(p);
    expect_totals(p, 2, 2);
    expect_failure(p, "row 1 is bad");
    belt_pipeline_free(p);
}

/* ---- the sink as who acknowledges ------------------------------------------------------- */

static struct belt_batch *lent[8];
static int lent_used;

static int lend(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    lent[lent_used++] = batch;
    return BELT_PENDING;
}

static int give_back(void *state)
{
    (void)state;
    if (!lent_used)
        return 0;
    struct belt_batch *batch = lent[--lent_used];
    belt_batch_done(batch, batch->bytes[0] == 'b' ? -EIO : 0, "not taken after all");
    return 1;
}

static const struct belt_sink lender = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "lender", .help = "answers later" },
    .batch = lend,
    .poll = give_back,
};

/* An answer that comes later and is an error costs its own batch only. */
Test(conformance, B084_bad_acker)
{
    struct belt_pipeline *p = pipeline_with(&lender.part, "source: { say: 'a,bad,c' }\n"
                                                          "batcher: { size: 1, sink: lender }\n");
    expect_end(p);
    expect_totals(p, 2, 1);
    expect_failure(p, "not taken after all");
    belt_pipeline_free(p);
}

static int fail_a_stranger(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    if (batch->bytes[0] != 'b')
        return 0;
    return belt_error_set(err, -EINVAL, "no such row");
}

static const struct belt_sink stranger = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "stranger", .help = "for a test" },
    .batch = fail_a_stranger,
};

/* Nothing is returned but a code, so that nothing in it can be no message: a code below 0. */
Test(conformance, B083_bad_return)
{
    struct belt_pipeline *p =
        acked_pipeline(&stranger.part, "source: { acked: 'a,c,bad,d' }\n"
                                       "batcher: { size: 2, sink: stranger }\n");
    end_and_free(p);
    expect_acks(4, "ddff");
}

/* A linked process is the sink's worker itself: it leaves in the middle of the callback. The
 * whole batch fails with how it left; the next one is handled by the next worker. */
Test(conformance, B085_broken_link, .timeout = 20)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,exit,b,c' }", "max_attempts: 1", "size: 2,");
    expect_run(p);
    expect_totals(p, 2, 2);
    expect_failure(p, "1 workers died under it, the last: left with exit code 3");
    cr_assert_str_eq(heard->text, "1[s:b|c|]");
    belt_pipeline_free(p);
}
