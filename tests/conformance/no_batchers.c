/* Without batchers: B038 to B041. */
#include "tests/conformance/conformance.h"

#define ALONE "processor: { steps: [ mark: {} ] }\n"

Test(conformance, B038_no_batcher_tree)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: a }\n" ALONE);
    belt_pipeline_turn(p, MS, &err);
    cr_assert_eq(p->run->batchers_used, 0);
    end_and_free(p);
}

Test(conformance, B039_success)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b,c' }\n" ALONE);
    expect_end(p);
    expect_totals(p, 3, 0);
    belt_pipeline_free(p);
}

Test(conformance, B040_failure)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,bad,c' }\n" ALONE);
    expect_end(p);
    expect_totals(p, 2, 1);
    expect_failure(p, "it is bad");
    belt_pipeline_free(p);
}

Test(conformance, B041_shutdown, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b', endless: true } }\n" ALONE);
    start(p);
    wait_for_done(p, 1000);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done, t.received);
    belt_pipeline_free(p);
}
