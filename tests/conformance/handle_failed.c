/* handle_failed: B063 to B071. Of batches it is belt_sink.failed. */
#include "core/telemetry.h"
#include "tests/conformance/conformance.h"

static struct {
    char text[400];
    int calls;
    bool all; /* batch() refuses all of it, else rows that begin with 'b' */
} heard;

static int pick(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    if (heard.all)
        return belt_error_set(err, -EIO, "no");
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->bytes[batch->spans[i].at] == 'b')
            belt_batch_fail(batch, i, "it is bad");
    return 0;
}

static void hear_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    char *to = heard.text + strlen(heard.text);
    (void)state, (void)code, (void)reason;
    heard.calls++;
    for (uint32_t i = 0; i < batch->count; i++)
        to += sprintf(to, "%c:%s ", batch->bytes[batch->spans[i].at], belt_batch_reason(batch, i));
    belt_batch_fail(batch, 0, "another reason"); /* too late: ignored */
}

static const struct belt_sink hearing = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "hearing", .help = "for a test" },
    .batch = pick,
    .failed = hear_failed,
};

static struct belt_pipeline *hearing_pipeline(bool all)
{
    memset(&heard, 0, sizeof heard);
    heard.all = all;
    return acked_pipeline(&hearing.part, "source: { acked: 'a,b1,c,b2' }\n"
                                         "batcher: { sink: hearing }\n");
}

Test(conformance, B066_batch_user_failure)
{
    end_and_free(hearing_pipeline(false));
    cr_assert_eq(heard.calls, 1);
    cr_assert_str_eq(heard.text, "b:it is bad b:it is bad ");
    expect_acks(4, "dfdf");
}

/* A callback that returns an error. */
Test(conformance, B067_batch_crash)
{
    end_and_free(hearing_pipeline(true));
    cr_assert_eq(heard.calls, 1);
    cr_assert_str_eq(heard.text, "a:no b:no c:no b:no ");
    expect_acks(4, "ffff");
}

/* It returns nothing and changes nothing: not the outcome, not the reasons. */
Test(conformance, B068_batch_contained)
{
    struct belt_pipeline *p = hearing_pipeline(false);
    expect_end(p);
    cr_assert_eq(heard.calls, 1);
    expect_failure(p, "it is bad");
    expect_acks(4, "dfdf");
    belt_pipeline_free(p);
}
