/* Aggregates through whole pipelines: when groups are emitted, and what they hold. */
#include <errno.h>
#include <unistd.h>

#include "tests/unit/pipeline_fixture.h"

static void expect_end(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
}

/* What the rows "text,count" of all emissions add up to for `text`; -1: none. */
static long sum_of(const char *text)
{
    long sum = -1;
    char from[80];
    snprintf(from, sizeof from, "%s,", text);
    for (const char *at = kept.text; (at = strstr(at, from)); at++)
        if (at[-1] == '|' || at[-1] == ':')
            sum = (sum < 0 ? 0 : sum) + atol(at + strlen(from));
    return sum;
}

static int count_of(const char *text)
{
    int count = 0;
    for (const char *at = kept.text; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

#define SPLIT "processor: { steps: [ split: { delimiter: ';', into: { k: text, v: int } } ] }\n"
#define CSV "sink: { keep_all: { format: { csv: { header: false } } } }"

/* ---- at the end -------------------------------------------------------------------------- */

Test(total, emits_each_group_once_at_the_end, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'b;2,a;1,b;3', repeat: 1000 } }\n" SPLIT
                    "batcher: { aggregate: { group_by: k, columns: { n: count(), sum: sum(v) },\n"
                    "           sort_by: k }, " CSV " }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a,1000,1000|b,2000,5000|]");
    cr_assert_eq(totals_of(p).done, 3000);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(total, emits_least_greatest_and_mean, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: 'a;-5,a;7,a;4' }\n"
                    "processor: { steps: [ split: { delimiter: ';',\n"
                    "             into: { k: text, v: decimal(1) } } ] }\n"
                    "batcher: { aggregate: { group_by: k,\n"
                    "  columns: { low: min(v), middle: mean(v), high: max(v) } }, " CSV " }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a,-5.0,2.0,7.0|]");
    belt_pipeline_free(p);
}

Test(total, is_one_group_without_group_by, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a;1,b;2', repeat: 10 } }\n" SPLIT
                    "batcher: { aggregate: { columns: { sum: sum(v) } }, " CSV " }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:30|]");
    belt_pipeline_free(p);
}

Test(total, emits_nothing_for_no_messages, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: a, repeat: 0 } }\n"
        "batcher: { aggregate: { group_by: payload, columns: { n: count() } }, " CSV " }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "");
    cr_assert_eq(kept.finished, 1);
    belt_pipeline_free(p);
}

Test(total, leaves_out_what_failed_or_was_dropped, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: 'a,bad,no,a', repeat: 5 } }\n"
        "processor: { steps: [ mark: {} ] }\n"
        "batcher: { aggregate: { group_by: payload, columns: { n: count() } }, " CSV " }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a,10|]");
    cr_assert_eq(totals_of(p).failed, 5);
    cr_assert_eq(totals_of(p).dropped, 5);
    belt_pipeline_free(p);
}

Test(total, adds_up_over_several_processors, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a;1,b;2,c;3', repeat: 20000 } }\n"
                    "processor: { concurrency: 3, steps: [ split: { delimiter: ';',\n"
                    "             into: { k: text, v: int } } ] }\n"
                    "batcher: { aggregate: { group_by: k, columns: { n: count(), sum: sum(v) },\n"
                    "           sort_by: k }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_str_eq(kept.text, "[e:a,20000,20000|b,20000,40000|c,20000,60000|]");
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

Test(total, carries_more_groups_than_a_frame_holds, .timeout = 30)
{
    /* 50,000 groups: numbers of 8 bytes, each seen once. */
    struct belt_pipeline *p =
        pipeline_of("source: { counter: { count: 50000 }, concurrency: 1 }\n"
                    "batcher: { size: 1000, aggregate: { group_by: payload,\n"
                    "           columns: { n: count() } }, sink: keep_all }\n");
    expect_end(p);
    cr_assert_eq(kept.rows, 50000);
    cr_assert_eq(totals_of(p).done, 50000);
    belt_pipeline_free(p);
}

Test(total, waits_for_a_sink_that_takes_its_time, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of("source: { counter: { count: 20000 }, concurrency: 1 }\n"
                    "batcher: { size: 1000, aggregate: { group_by: payload,\n"
                    "           columns: { n: count() } }, sink: keep_all }\n");
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 500; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    kept.hold = false;
    expect_end(p);
    cr_assert_eq(kept.rows, 20000);
    belt_pipeline_free(p);
}

/* ---- now and then ------------------------------------------------------------------------ */

Test(total, emits_every_so_often_and_loses_nothing, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b', repeat: 200 } }\n"
                    "batcher: { timeout: 1ms, aggregate: { group_by: payload,\n"
                    "           columns: { n: count() }, emit: { every: 20ms } }, " CSV " }\n");
    expect_end(p);
    cr_assert_eq(sum_of("a"), 200);
    cr_assert_eq(sum_of("b"), 200);
    /* A turn is a millisecond and takes a frame: about ten times, and the rest. */
    cr_assert(count_of("a,") >= 5 && count_of("a,") <= 15, "%d emissions", count_of("a,"));
    belt_pipeline_free(p);
}

Test(total, emits_an_epoch_once, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: a, endless: true } }\n"
                    "batcher: { timeout: 1ms, aggregate: { group_by: payload,\n"
                    "           columns: { n: count() }, emit: { every: 10ms } }, " CSV " }\n");
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    for (int i = 0; i < 106; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(count_of("a,"), 10, "%s", kept.text);
    belt_pipeline_stop(p, 1000000000);
    expect_end(p);
    cr_assert_eq((uint64_t)sum_of("a"), totals_of(p).received);
    belt_pipeline_free(p);
}

Test(total, emits_every_so_often_from_several_lanes, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c', repeat: 100000 } }\n"
                    "processor: { concurrency: 3 }\n"
                    "batcher: { timeout: 1ms, aggregate: { group_by: payload,\n"
                    "           columns: { n: count() }, emit: { every: 2ms } }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(sum_of("a"), 100000);
    cr_assert_eq(sum_of("c"), 100000);
    cr_assert_eq(totals_of(p).done, 300000);
    belt_pipeline_free(p);
}

Test(total, keeps_the_time_of_each_aggregate, .timeout = 20)
{
    /* One now and then, one at the end: the end's is emitted once. */
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b', repeat: 200 } }\n"
                    "processor: { steps: [ letter: {},\n"
                    "             route: { field: letter, to: { a: often, b: late } } ] }\n"
                    "batchers:\n"
                    "  often: { timeout: 1ms, aggregate: { group_by: letter,\n"
                    "           columns: { n: count() }, emit: { every: 10ms } }, " CSV " }\n"
                    "  late: { timeout: 1ms, aggregate: { group_by: letter,\n"
                    "          columns: { n: count() } }, " CSV " }\n");
    expect_end(p);
    cr_assert_gt(count_of("a,"), 3);
    cr_assert_eq(sum_of("a"), 200);
    cr_assert_eq(sum_of("b"), 200);
    cr_assert_eq(count_of("b,"), 1, "%s", kept.text);
    belt_pipeline_free(p);
}

Test(total, keeps_each_interval_of_two_aggregates, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b', endless: true } }\n"
                    "processor: { steps: [ letter: {},\n"
                    "             route: { field: letter, to: { a: often, b: seldom } } ] }\n"
                    "batchers:\n"
                    "  often: { timeout: 1ms, aggregate: { group_by: letter,\n"
                    "           columns: { n: count() }, emit: { every: 10ms } }, " CSV " }\n"
                    "  seldom: { timeout: 1ms, aggregate: { group_by: letter,\n"
                    "            columns: { n: count() }, emit: { every: 40ms } }, " CSV " }\n");
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    for (int i = 0; i < 126; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(count_of("a,"), 12, "%s", kept.text);
    cr_assert_eq(count_of("b,"), 3, "%s", kept.text);
    belt_pipeline_free(p);
}

/* ---- full tables ------------------------------------------------------------------------- */

#define NUMBERS(options)                                                                           \
    "source: { counter: { count: 60000 }, concurrency: 2 }\n"                                      \
    "processor: { concurrency: 2 }\n"                                                              \
    "batcher: { size: 1000, aggregate: { group_by: payload, columns: { n: count() }, " options     \
    " }, sink: keep_all }\n"

Test(total, emits_each_group_once_through_a_file, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of(NUMBERS("max_keys: 1500, spill: { path: ., size: 64MiB }"));
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(kept.rows, 60000);
    cr_assert_eq(totals_of(p).done, 60000);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(total, puts_groups_of_several_lanes_and_runs_together, .timeout = 30)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: 'a;1,b;2,c;3,d;4,e;5,f;6', repeat: 2000 } }\n"
        "processor: { concurrency: 3, steps: [ split: { delimiter: ';',\n"
        "             into: { k: text, v: int } } ] }\n"
        "batcher: { aggregate: { group_by: k, columns: { n: count(), sum: sum(v) },\n"
        "  sort_by: [n, k], max_keys: 2, spill: { path: ., size: 64MiB } }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_str_eq(kept.text, "[e:a,2000,2000|b,2000,4000|c,2000,6000|d,2000,8000|"
                                "e,2000,10000|f,2000,12000|]");
    belt_pipeline_free(p);
}

Test(total, spills_in_each_epoch, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d', repeat: 300 } }\n"
                    "batcher: { timeout: 1ms, aggregate: { group_by: payload, max_keys: 2,\n"
                    "           spill: { path: ., size: 64MiB }, columns: { n: count() },\n"
                    "           emit: { every: 20ms } }, " CSV " }\n");
    expect_end(p);
    cr_assert_eq(sum_of("a"), 300);
    cr_assert_eq(sum_of("d"), 300);
    cr_assert_eq(count_of("a,"), count_of("d,"), "each emission has each group once");
    belt_pipeline_free(p);
}

Test(total, emits_a_full_table_early_and_loses_nothing, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d,e', repeat: 400 } }\n"
                    "processor: { concurrency: 2 }\n"
                    "batcher: { timeout: 1ms, aggregate: { group_by: payload, max_keys: 3,\n"
                    "           emit: early, columns: { n: count() } }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_gt(count_of("a,"), 1);
    for (char name[] = "a"; name[0] <= 'e'; name[0]++)
        cr_assert_eq(sum_of(name), 400, "%s", name);
    cr_assert_eq(totals_of(p).done, 2000);
    belt_pipeline_free(p);
}

Test(total, early_waits_for_a_sink_that_takes_its_time, .timeout = 30)
{
    struct belt_pipeline *p = pipeline_of(NUMBERS("max_keys: 2000, emit: early"));
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 2000; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    kept.hold = false;
    expect_end(p);
    cr_assert_eq(kept.rows, 60000);
    cr_assert_eq(totals_of(p).done, 60000);
    belt_pipeline_free(p);
}

Test(total, a_full_file_fails_the_run_with_work_left, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of(NUMBERS("max_keys: 1500, spill: { path: ., size: 1MiB }"));
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), -ENOSPC);
    cr_assert_not_null(strstr(err.text, "aggregate.spill.size"), "%s", err.text);
    cr_assert_eq(kept.rows, 0);
    belt_pipeline_free(p);
}

Test(total, refuses_memory_that_is_too_small_for_its_lanes, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: a }\nprocessor: { concurrency: 7 }\n"
                    "batcher: { aggregate: { group_by: payload, memory: 7MiB }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "8 tables"), "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- what ends a run --------------------------------------------------------------------- */

Test(total, fails_the_run_beyond_max_keys_and_names_the_setting, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: 'a,b,c,d,e' }\n"
                    "batcher: { aggregate: { group_by: payload, columns: { n: count() },\n"
                    "           max_keys: 3 }, " CSV " }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -ENOSPC);
    cr_assert_not_null(strstr(err.text, "max_keys"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "batcher"), "%s", err.text);
    cr_assert_str_eq(kept.text, "");
    cr_assert_eq(kept.finished, 2);
    belt_pipeline_free(p);
}

Test(total, fails_the_run_when_only_all_lanes_together_have_too_many_groups, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { counter: { count: 400000 }, concurrency: 2 }\n"
                    "processor: { concurrency: 2 }\n"
                    "batcher: { aggregate: { group_by: payload, columns: { n: count() },\n"
                    "           max_keys: 250000 }, sink: keep_all }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), -ENOSPC);
    cr_assert_not_null(strstr(err.text, "max_keys"), "%s", err.text);
    belt_pipeline_free(p);
}

static void stop_early(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, 1000000000);
    expect_end(p);
}

Test(total, keeps_half_of_its_groups_to_itself_when_the_source_can_be_read_again, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { again: { words: a, endless: true } }\n"
        "batcher: { aggregate: { group_by: payload, columns: { n: count() } }, " CSV " }\n");
    stop_early(p);
    cr_assert_str_eq(kept.text, "");
    cr_assert_eq(kept.finished, 2);
    cr_assert_not(totals_of(p).complete);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(total, gives_out_what_it_has_when_the_source_is_gone, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: a, endless: true } }\n"
        "batcher: { aggregate: { group_by: payload, columns: { n: count() } }, " CSV " }\n");
    stop_early(p);
    cr_assert_eq((uint64_t)sum_of("a"), totals_of(p).received);
    belt_pipeline_free(p);
}

/* ---- into a file ------------------------------------------------------------------------- */

/* The pipeline's file, as text; "": there is none. */
static const char *file_of(const char *dir, const char *sort_by, const char *source, bool stop)
{
    static char text[10000], path[200], yaml[2000];
    snprintf(path, sizeof path, "%s/out.csv", dir);
    snprintf(yaml, sizeof yaml,
             "source: { %s }\n" SPLIT
             "batcher: { aggregate: { group_by: k, columns: { n: count(), v: sum(v) },\n"
             "           sort_by: %s }, sink: { file: { path: %s, format: csv } } }\n",
             source, sort_by, path);
    struct belt_pipeline *p = pipeline_of(yaml);
    if (stop)
        stop_early(p);
    else
        expect_end(p);
    belt_pipeline_free(p);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[size] = 0;
    if (file)
        fclose(file);
    unlink(path);
    return text;
}

Test(total, writes_a_header_and_sorted_rows_into_a_file, .timeout = 20)
{
    char dir[] = "/tmp/belt_total_XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    const char *words = "say: 'c;1,a;9,b;9,ab;5'";
    cr_assert_str_eq(file_of(dir, "k", words, false), "k,n,v\na,1,9\nab,1,5\nb,1,9\nc,1,1\n");
    cr_assert_str_eq(file_of(dir, "v", words, false), "k,n,v\nc,1,1\nab,1,5\na,1,9\nb,1,9\n");
    rmdir(dir);
}

Test(total, leaves_no_file_after_an_early_stop, .timeout = 20)
{
    char dir[] = "/tmp/belt_total_XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_str_eq(file_of(dir, "k", "again: { words: 'a;1', endless: true }", true), "");
    cr_assert_eq(rmdir(dir), 0, "nothing is left in the folder");
}
