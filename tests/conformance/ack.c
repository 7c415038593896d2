/* Manual ack: B055 to B058. */
#include "tests/conformance/conformance.h"

/* Acknowledges what begins with an 'A'. */
static int ack_capitals(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (*belt_text(view, 0, i, &size) == 'A')
        belt_ack(view, i);
    return 0;
}

static const struct belt_step ack_step = STEP("ack", ack_capitals);

/* It is told when the frame's steps are through, before the batch is, and not again. */
Test(conformance, B055_ack_now_single)
{
    struct belt_pipeline *p =
        acked_pipeline(&ack_step.part, "source: { acked: 'A,b' }\n"
                                       "processor: { steps: [ ack: {} ] }\n"
                                       "batcher: { size: 1, sink: keep_all }\n");
    kept.hold = true;
    turn_ms(p, 1, 20);
    expect_acks(2, "d.");
    kept.hold = false;
    end_and_free(p);
    expect_acks(2, "dd");
    cr_assert_eq(kept.rows, 2);
}

static int ack_or_fail(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (*belt_text(view, 0, i, &size) == 'F')
        belt_fail_message(view, i, "failed");
    else
        belt_ack(view, i);
    return 0;
}

static const struct belt_step ack_or_fail_step = STEP("ack_or_fail", ack_or_fail);

/* A list is the messages of a frame: those acknowledged and those failed in one call. */
Test(conformance, B056_ack_now_list)
{
    struct belt_pipeline *p =
        acked_pipeline(&ack_or_fail_step.part, "source: { acked: 'a,F,b,F' }\n"
                                               "processor: { steps: [ ack_or_fail: {} ] }\n"
                                               "batcher: { sink: keep_all }\n");
    end_and_free(p);
    expect_acks(4, "dfdf");
    cr_assert_eq(kept.rows, 2);
    cr_assert_leq(acks.calls, 2);
}
