/* Introspection and stop: B098 to B103. */
#include "tests/conformance/conformance.h"

/* A pipeline is its pointer. */
Test(conformance, B102_stop_by_pid, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: a, endless: true } }\n");
    start(p);
    wait_for_done(p, 1);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert(totals_of(p).ended);
    expect_totals(p, totals_of(p).received, 0);
    belt_pipeline_free(p);
}
