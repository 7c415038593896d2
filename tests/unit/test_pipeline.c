#include "tests/unit/pipeline_fixture.h"

#define ENDS(p)                                                                                    \
    do {                                                                                           \
        struct belt_error err_ = { 0 };                                                            \
        cr_assert_eq(turn_to_end((p), &err_), -EPIPE, "%s", err_.text);                            \
    } while (0)

#include <errno.h>

Test(pipeline, passes_every_record_to_the_sink_in_order, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b,c' }\n"
                                          "batcher: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_str_eq(kept.text, "[e:a|b|c|]");
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.received, 3);
    cr_assert_eq(t.done, 3);
    cr_assert_eq(t.unsettled, 0);
    cr_assert(t.complete);
    belt_pipeline_free(p);
}

Test(pipeline, settles_everything_without_a_batcher, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b', repeat: 1000 } }\n");
    ENDS(p);
    cr_assert_eq(totals_of(p).done, 2000);
    belt_pipeline_free(p);
}

Test(pipeline, cuts_batches_by_size, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b,c,d,e' }\n"
                                          "batcher: { size: 2, sink: keep_all }\n");
    ENDS(p);
    cr_assert_str_eq(kept.text, "[s:a|b|][s:c|d|][e:e|]");
    belt_pipeline_free(p);
}

Test(pipeline, cuts_batches_by_bytes, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'aaa,bbb,ccc' }\n"
                                          "batcher: { bytes: 8B, sink: keep_all }\n");
    ENDS(p);
    cr_assert_str_eq(kept.text, "[b:aaa|bbb|][e:ccc|]");
    belt_pipeline_free(p);
}

Test(pipeline, has_run_for_as_long_as_the_turns_say, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: a, endless: true } }\n");
    for (uint64_t now = 1; now <= 40; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).elapsed_ns, 39000000);
    belt_pipeline_free(p);
}

Test(pipeline, cuts_a_batch_that_is_old_enough, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: a, endless: true } }\n"
                    "batcher: { size: 1000000, bytes: 8MiB, timeout: 5ms, memory: 16MiB,\n"
                    "           sink: keep_all }\n");
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 40; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    cr_assert_geq(kept.batches, 4);
    cr_assert_eq(memcmp(kept.text, "[t:a|", 5), 0);
    belt_pipeline_free(p);
}

Test(pipeline, groups_messages_by_their_key, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a1,b1,a2,b2,c1' }\n"
                                          "processor: { steps: [ letter: {} ] }\n"
                                          "batcher: { key: letter, size: 2, sink: keep_all }\n");
    ENDS(p);
    cr_assert_str_eq(kept.text, "a[s:a1|a2|]b[s:b1|b2|]c[e:c1|]");
    belt_pipeline_free(p);
}

Test(pipeline, counts_dropped_messages_as_done, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,no,b' }\n"
                                          "processor: { steps: [ mark: {} ] }\n"
                                          "batcher: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_str_eq(kept.text, "[e:a|b|]");
    cr_assert_eq(totals_of(p).dropped, 1);
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

Test(pipeline, sends_failed_messages_to_failed_with_their_reason, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,bad1,b' }\n"
                                          "processor: { steps: [ mark: {} ] }\n"
                                          "batcher: { sink: 'null' }\n"
                                          "failed: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_not_null(strstr(kept.text, "\"reason\":\"it is bad\""), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "\"payload\":\"bad1\""), "%s", kept.text);
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(totals_of(p).done, 2);
    belt_pipeline_free(p);
}

Test(pipeline, counts_failed_messages_without_a_failed_sink, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'bad,a' }\n"
                                          "processor: { steps: [ mark: {} ] }\n"
                                          "batcher: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_eq(totals_of(p).failed, 1);
    struct belt_failure failure;
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.reason, "it is bad");
    belt_pipeline_free(p);
}

Test(pipeline, fails_the_messages_of_a_batch_that_the_sink_refuses, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b' }\nbatcher: { sink: keep_all }\n");
    kept.refuse = -EIO;
    ENDS(p);
    cr_assert_eq(totals_of(p).failed, 2);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(pipeline, stops_early_beyond_the_fail_limit, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: bad, endless: true } }\nfail_limit: 10\n"
                    "processor: { steps: [ mark: {} ] }\nbatcher: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_geq(totals_of(p).failed, 11);
    cr_assert_leq(totals_of(p).failed, 20);
    cr_assert_not(totals_of(p).complete);
    cr_assert_eq(kept.finished, 2);
    belt_pipeline_free(p);
}

Test(pipeline, holds_unsettled_messages_until_the_sink_is_done, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b' }\n"
                                          "batcher: { size: 1, sink: keep_all }\n");
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 100; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 2);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    kept.hold = false;
    ENDS(p);
    cr_assert_eq(totals_of(p).done, 2);
    belt_pipeline_free(p);
}

Test(pipeline, ends_when_its_batches_take_nothing_until_the_end, .timeout = 60)
{
    /* 20 times the arena of the batcher: pressure cuts the oldest batch. */
    char yaml[2000], words[601];
    memset(words, 'x', 600);
    words[600] = 0;
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: '%s', repeat: 35000 } }\n"
             "batcher: { size: 100000000, bytes: 512KiB, timeout: 1h, memory: 1MiB,\n"
             "           sink: keep_all }\n",
             words);
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_error err = { 0 };
    int rc = 0;
    for (uint64_t now = 1; rc >= 0 && now < 10000000; now++)
        rc = belt_pipeline_turn(p, now, &err);
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 35000);
    cr_assert_eq(kept.rows, 35000);
    belt_pipeline_free(p);
}

Test(pipeline, drains_what_is_inside_when_stopped, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b', endless: true } }\n"
                                          "batcher: { size: 7, timeout: 1h, sink: keep_all }\n");
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, 1000000000);
    ENDS(p);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.received, kept.rows);
    cr_assert_not(t.complete);
    belt_pipeline_free(p);
}

Test(pipeline, runs_on_lanes_of_its_own, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,bad,no', repeat: 20000 } }\n"
                    "processor: { concurrency: 2, steps: [ mark: {} ] }\n"
                    "batcher: { size: 100, sink: keep_all }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.received, 80000);
    cr_assert_eq(t.done, 60000);
    cr_assert_eq(t.failed, 20000);
    cr_assert_eq(kept.rows, 40000);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

Test(pipeline, shares_unordered_work_through_a_pool, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b,c', repeat: 20000 } }\n"
                                          "processor: { concurrency: 3 }\n"
                                          "batcher: { order: any, size: 100, sink: keep_all }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 60000);
    cr_assert_eq(kept.rows, 60000);
    belt_pipeline_free(p);
}
