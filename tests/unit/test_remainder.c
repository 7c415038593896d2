#include "core/control.h"
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

#define MS UINT64_C(1000000)

static uint64_t sum(const struct belt_remainder *left)
{
    uint64_t n = 0;
    for (int i = 0; i < BELT_IN_PLACES; i++)
        n += left->in[i];
    return n;
}

Test(remainder, says_how_many_of_which_source_are_where, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_remainder left[3];
    struct belt_pipeline *p = pipeline_of("sources: { a: { say: 'a1,a2,a3' }, b: { say: 'b1' } }\n"
                                          "batcher: { size: 100, timeout: 1h, sink: keep_all }\n");
    kept.hold = true;
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * MS, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_remainder(p, left, 3, &err), 2, "%s", err.text);
    cr_assert_str_eq(left[0].source, "sources.a");
    cr_assert_eq(left[0].unsettled, 3);
    cr_assert_eq(left[0].in[BELT_IN_BATCHES], 3);
    cr_assert_eq(left[1].unsettled, 1);
    cr_assert_eq(sum(&left[1]), 1);
    kept.hold = false;
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(belt_pipeline_remainder(p, left, 3, &err), 2, "%s", err.text);
    cr_assert_eq(left[0].unsettled + left[1].unsettled, 0);
    belt_pipeline_free(p);
}

Test(remainder, after_a_stop_with_a_deadline_adds_up, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_remainder left;
    struct belt_pipeline *p =
        pipeline_of("source: { counter: 2000000000 }\nplacement: { fuse: none }\n"
                    "batcher: { size: 100, sink: 'keep_all' }\n");
    kept.hold = true;
    cr_assert_eq(belt_pipeline_remainder(p, &left, 1, &err), -EINVAL);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_remainder(p, &left, 1, &err), -EBUSY);
    cr_assert_eq(belt_pipeline_wait(p, 20 * MS, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, 50 * MS);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_remainder(p, &left, 1, &err), 1, "%s", err.text);
    cr_assert_gt(left.unsettled, 0);
    cr_assert_eq(left.unsettled, totals_of(p).unsettled);
    cr_assert_eq(sum(&left), left.unsettled);
    cr_assert_gt(left.in[BELT_IN_BATCHES], 0);
    belt_pipeline_free(p);
}
