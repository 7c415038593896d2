#include "core/control.h"
#include "core/testing.h"
#include "tests/unit/worker_fixture.h"

#include <errno.h>

#define MS UINT64_C(1000000)

static uint64_t now;

static void turn(struct belt_pipeline *p, int turns)
{
    struct belt_error err = { 0 };
    for (int i = 0; i < turns; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += MS, &err), 0, "%s", err.text);
}

static void expect_whole(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
}

#define ENDLESS "source: { say: { words: 'a,b,c', endless: true } }\n"

Test(pause, keeps_sources_from_giving_until_it_is_resumed, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(ENDLESS "batcher: { size: 1000, sink: keep_all }\n");
    turn(p, 50);
    cr_assert_eq(belt_pipeline_pause(p, 0, 0, &err), 0, "%s", err.text);
    uint64_t received = totals_of(p).received;
    expect_whole(p);
    turn(p, 50);
    cr_assert_eq(totals_of(p).received, received);
    belt_pipeline_resume(p);
    turn(p, 50);
    cr_assert_gt(totals_of(p).received, received);
    belt_pipeline_free(p);
}

Test(pause, leaves_open_batches_open_unless_told_to_flush, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(
        ENDLESS "batcher: { size: 100000, bytes: 1MiB, timeout: 1h, sink: keep_all }\n");
    turn(p, 50);
    cr_assert_eq(belt_pipeline_pause(p, 0, 0, &err), 0, "%s", err.text);
    cr_assert_eq(kept.batches, 0);
    cr_assert_gt(totals_of(p).unsettled, 0);
    cr_assert_eq(belt_pipeline_pause(p, 0, BELT_PAUSE_FLUSH, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(kept.rows, totals_of(p).received);
    belt_pipeline_resume(p);
    turn(p, 10);
    cr_assert_gt(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(pause, that_finds_no_rest_lets_everything_go_on, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(ENDLESS "batcher: { size: 10, sink: keep_all }\n");
    kept.hold = true;
    turn(p, 5);
    cr_assert_eq(belt_pipeline_pause(p, 0, BELT_PAUSE_FLUSH, &err), -ETIMEDOUT);
    kept.hold = false;
    uint64_t received = totals_of(p).received;
    turn(p, 50);
    cr_assert_gt(totals_of(p).received, received);
    belt_pipeline_free(p);
}

#define LANES                                                                                      \
    "sources: { a: { counter: { count: 2000000000 }, concurrency: 2 },\n"                          \
    "           b: { counter: { count: 2000000000 }, concurrency: 1 } }\n"                         \
    "placement: { fuse: none }\nprocessor: { concurrency: 2, steps: [ mark: {} ] }\n"              \
    "batcher: { size: 1000, order: any, concurrency: 2, sink: 'null' }\n"

Test(pause, brings_lanes_to_rest_again_and_again, .timeout = 60)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(LANES);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    uint64_t before = 0;
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(belt_pipeline_wait(p, 2 * MS, &err), -ETIMEDOUT);
        cr_assert_eq(belt_pipeline_pause(p, 10000 * MS, i % 2 ? BELT_PAUSE_FLUSH : 0, &err), 0,
                     "%s", err.text);
        struct belt_totals at_rest = totals_of(p);
        if (i % 2)
            cr_assert_eq(at_rest.unsettled, 0);
        cr_assert_eq(belt_pipeline_wait(p, MS, &err), -ETIMEDOUT);
        cr_assert_eq(totals_of(p).received, at_rest.received);
        cr_assert_geq(at_rest.received, before);
        before = at_rest.received;
        belt_pipeline_resume(p);
    }
    cr_assert_gt(before, 0);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(totals_of(p).done + totals_of(p).failed, totals_of(p).received);
    expect_whole(p);
    belt_pipeline_free(p);
}

Test(batching, changes_while_turns_are_made, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d', endless: true } }\n"
                    "batchers: { x: { size: 2, timeout: 1h, sink: keep_all } }\n");
    struct belt_batching batching = { .size = sizeof batching, .messages = 4 };
    turn(p, 5);
    cr_assert_eq(memcmp(kept.text, "[s:a|b|][s:c|d|]", 16), 0, "%s", kept.text);
    cr_assert_eq(belt_pipeline_set_batching(p, "x", &batching, 0, &err), 0, "%s", err.text);
    kept.used = 0;
    turn(p, 5);
    cr_assert_not_null(strstr(kept.text, "[s:a|b|c|d|]"), "%s", kept.text);
    cr_assert_eq(belt_pipeline_set_batching(p, "y", &batching, 0, &err), -EINVAL);
    cr_assert_str_eq(err.text, "pipeline has no batcher 'y'");
    belt_pipeline_free(p);
}

Test(batching, changes_under_lanes_that_run, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(LANES);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (uint32_t i = 0; i < 100; i++) {
        struct belt_batching batching = { .size = sizeof batching,
                                          .messages = i % 2 ? 10 : 5000,
                                          .timeout_ns = MS };
        cr_assert_eq(belt_pipeline_set_batching(p, NULL, &batching, 10000 * MS, &err), 0, "%s",
                     err.text);
    }
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    expect_whole(p);
    belt_pipeline_free(p);
}

Test(pause, a_stop_goes_through_it, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(LANES);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_pause(p, 10000 * MS, 0, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, 10000 * MS, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_pause(p, 0, 0, &err), -EPIPE);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(pause, with_workers, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { counter: { count: 2000000000 }, concurrency: 1 }\n"
                    "processor: { concurrency: 1, isolation: process, steps: [ mark: {} ] }\n"
                    "batcher: { sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(belt_pipeline_wait(p, 5 * MS, &err), -ETIMEDOUT);
        cr_assert_eq(belt_pipeline_pause(p, 10000 * MS, BELT_PAUSE_FLUSH, &err), 0, "%s", err.text);
        cr_assert_eq(totals_of(p).unsettled, 0);
        belt_pipeline_resume(p);
    }
    belt_pipeline_free(p);
}

/* Its lane waits for the worker, and that is no rest. */
Test(pause, waits_for_workers_behind_other_processors, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(
        &poison.part, "source: { say: { words: 'sleep,sleep,sleep', endless: true }, "
                      "concurrency: 1 }\n"
                      "processors: { in: { concurrency: 1 },\n"
                      "              out: { isolation: process, steps: [ poison: {} ] } }\n"
                      "batcher: { size: 1, sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(belt_pipeline_wait(p, 30 * MS, &err), -ETIMEDOUT);
        cr_assert_eq(belt_pipeline_pause(p, 20000 * MS, 0, &err), 0, "%s", err.text);
        cr_assert_eq(totals_of(p).unsettled, 0);
        cr_assert_gt(totals_of(p).received, 0);
        belt_pipeline_resume(p);
    }
    belt_pipeline_free(p);
}
