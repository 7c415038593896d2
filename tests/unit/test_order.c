/* The order of rows: as in the input, or any, over lanes, chunks and batchers. */
#include <errno.h>
#include <unistd.h>

#include "core/pipeline_priv.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- a sink that reads numbers: 8 bytes, as the source `counter` makes them -------------- */

static struct {
    uint64_t rows, last, falls; /* rows that are not above the one before */
    uint64_t seen[1 << 14];     /* a bit for each number, of 2^20 */
    uint64_t twice;
} told;

static int tell(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    (void)err;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value;
        memcpy(&value, batch->bytes + batch->spans[i].at, sizeof value);
        told.falls += told.rows && value <= told.last;
        told.last = value;
        told.rows++;
        uint64_t *word = &told.seen[value / 64 % (1 << 14)], bit = UINT64_C(1) << value % 64;
        told.twice += (*word & bit) != 0;
        *word |= bit;
    }
    return 0;
}

static const struct belt_sink tell_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "tell", .help = "reads numbers" },
    .batch = tell,
};

/* All numbers below `count`, each once. */
static void expect_numbers(struct belt_pipeline *p, uint64_t count)
{
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(told.rows, count);
    cr_assert_eq(told.twice, 0);
    cr_assert_eq(totals_of(p).done, count);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
}

Test(order, is_that_of_one_source_behind_three_processors, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 1000000 }, concurrency: 1 }\n"
                                       "processor: { concurrency: 3 }\n"
                                       "batcher: { size: 1000, sink: tell }\n");
    expect_numbers(p, 1000000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

Test(order, is_that_of_the_input_over_two_fused_lanes, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 1000000 }, concurrency: 2 }\n"
                                       "processor: { concurrency: 2 }\n"
                                       "batcher: { size: 1000, sink: tell }\n");
    expect_numbers(p, 1000000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

Test(order, is_that_of_the_input_with_a_lane_for_each_stage, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "placement: { fuse: none }\n"
                                       "source: { counter: { count: 500000 }, concurrency: 2 }\n"
                                       "processor: { concurrency: 2 }\n"
                                       "batcher: { size: 1000, sink: tell }\n");
    expect_numbers(p, 500000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

Test(order, any_delivers_everything_once, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 1000000 }, concurrency: 2 }\n"
                                       "processor: { concurrency: 3 }\n"
                                       "batcher: { order: any, size: 1000, sink: tell }\n");
    expect_numbers(p, 1000000);
    belt_pipeline_free(p);
}

Test(order, any_needs_no_processor_for_each_source, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 500000 }, concurrency: 3 }\n"
                                       "processor: { concurrency: 1 }\n"
                                       "batcher: { order: any, size: 1000, sink: tell }\n");
    expect_numbers(p, 500000);
    belt_pipeline_free(p);
}

Test(order, of_the_input_wants_one_source_or_equal_numbers, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 10 }, concurrency: 2 }\n"
                                       "processor: { concurrency: 3 }\n"
                                       "batcher: { sink: tell }\n");
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_start(p, &err), 0);
    cr_assert_not_null(strstr(err.text, "order: any"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(order, holds_in_workers, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_with(&tell_sink.part, "source: { counter: { count: 300000 }, concurrency: 1 }\n"
                                       "processor: { concurrency: 2, isolation: process,\n"
                                       "             steps: [ letter: {} ] }\n"
                                       "batcher: { size: 1000, sink: tell }\n");
    expect_numbers(p, 300000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

/* A source that stops leaves chunks that nobody sends: the merge goes past them. */
static void stop_in_the_middle(const char *yaml)
{
    struct belt_pipeline *p = pipeline_with(&tell_sink.part, yaml);
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_wait(p, 30000000, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, UINT64_C(10000000000));
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(totals_of(p).received, told.rows);
    cr_assert_eq(told.falls, 0);
    cr_assert_not(totals_of(p).complete);
    belt_pipeline_free(p);
}

Test(order, leaves_no_stuck_merge_when_one_source_stops, .timeout = 30)
{
    stop_in_the_middle("source: { counter: { count: 1000000000000 }, concurrency: 1 }\n"
                       "processor: { concurrency: 3 }\n"
                       "batcher: { size: 1000, sink: tell }\n");
}

Test(order, leaves_no_stuck_merge_when_two_sources_stop, .timeout = 30)
{
    stop_in_the_middle("source: { counter: { count: 1000000000000 }, concurrency: 2 }\n"
                       "processor: { concurrency: 2 }\n"
                       "batcher: { size: 1000, sink: tell }\n");
}

/* ---- files ------------------------------------------------------------------------------- */

static char dir[] = "/tmp/belt_order_XXXXXX";
static char in_path[100], out_path[100];

/* A file of `lines` lines, some long, some empty. */
static void write_input(int lines)
{
    cr_assert_not_null(mkdtemp(dir));
    snprintf(in_path, sizeof in_path, "%s/in", dir);
    snprintf(out_path, sizeof out_path, "%s/out", dir);
    FILE *file = fopen(in_path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < lines; i++) {
        fprintf(file, "%d", i);
        for (int pad = i * 7 % 90; pad; pad--)
            fputc('x', file);
        fputs(i % 50 ? "\n" : "\n\n", file);
    }
    fclose(file);
}

static void expect_same(void)
{
    FILE *in = fopen(in_path, "r"), *out = fopen(out_path, "r");
    cr_assert_not_null(in);
    cr_assert_not_null(out);
    char a[200], b[200];
    for (int line = 1; fgets(a, sizeof a, in); line++) {
        cr_assert_not_null(fgets(b, sizeof b, out), "the output ends before line %d", line);
        cr_assert_str_eq(a, b, "line %d", line);
    }
    cr_assert_null(fgets(b, sizeof b, out));
    fclose(in);
    fclose(out);
    unlink(in_path);
    unlink(out_path);
    rmdir(dir);
}

static void copy_file(const char *settings)
{
    char yaml[1000];
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: %s, chunk: 64KiB }, concurrency: 2 }\n"
             "processor: { concurrency: 2 }\n"
             "batcher: { %s, sink: { file: { path: %s } } }\n",
             in_path, settings, out_path);
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

Test(order, of_a_file_in_many_chunks_is_kept_by_two_lanes, .timeout = 30)
{
    write_input(60000); /* 3 MB: 45 chunks */
    copy_file("size: 777");
    expect_same();
}

Test(order, of_a_file_is_kept_with_batches_of_one_row, .timeout = 30)
{
    write_input(10000);
    copy_file("size: 1");
    expect_same();
}

/* ---- several batchers -------------------------------------------------------------------- */

Test(order, is_kept_by_each_batcher_of_a_route, .timeout = 30)
{
    /* One row in 3 goes to the kept one; chunks that have none pass it, too. */
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a1,b1,c1,a2,b2,c2,a3', repeat: 3000 } }\n"
                    "processor: { concurrency: 3, steps: [ letter: {},\n"
                    "             route: { field: letter, to: { a: one, b: two, c: three } } ] }\n"
                    "batchers: { one: { size: 3, sink: keep_all }, two: { sink: 'null' },\n"
                    "            three: { order: any, sink: { 'null': {} } } }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 21000);
    cr_assert_eq(kept.rows, 9000);
    for (const char *at = kept.text; *at; at += 13)
        cr_assert_eq(memcmp(at, "[s:a1|a2|a3|]", 13), 0, "%.13s", at);
    belt_pipeline_free(p);
}

Test(order, is_kept_for_each_key_over_several_instances, .timeout = 30)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a1,b1,c1,d1,a2,b2,c2,d2', repeat: 1000 } }\n"
                    "processor: { concurrency: 2, steps: [ letter: {} ] }\n"
                    "batcher: { key: letter, size: 2, concurrency: 1, sink: keep_all }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(kept.rows, 8000);
    for (const char *at = kept.text; *at; at += 11) {
        char row[12];
        snprintf(row, sizeof row, "%c[s:%c1|%c2|]", *at, *at, *at);
        cr_assert_eq(memcmp(at, row, 11), 0, "%.11s", at);
    }
    belt_pipeline_free(p);
}

/* ---- conservation: faults that belt_check() must find ------------------------------------ */

/* Two messages that the sink has and does not give back. */
static struct belt_pipeline *held(void)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b' }\n"
                                          "batcher: { size: 2, sink: keep_all }\n");
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    return p;
}

static void expect_fault(struct belt_pipeline *p, const char *rule)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_check(p, &err), -EPROTO);
    cr_assert_not_null(strstr(err.text, rule), "%s", err.text);
    belt_pipeline_free(p);
}

Test(check, finds_a_message_that_was_settled_while_in_a_batch, .timeout = 10)
{
    struct belt_pipeline *p = held();
    belt_ledger_settle(&p->run->sources[0].ledger, 0, 1);
    expect_fault(p, "a settled message still in a place");
}

Test(check, finds_a_message_that_got_lost, .timeout = 10)
{
    struct belt_pipeline *p = held();
    belt_open_batch_of(kept.held[0])->runs[0].mask &= ~UINT64_C(1);
    expect_fault(p, "not settled and in no place");
}

Test(check, finds_a_message_in_two_places, .timeout = 10)
{
    struct belt_pipeline *p = held();
    struct belt_open_batch *open = belt_open_batch_of(kept.held[0]);
    open->runs[open->run_count++] = (struct belt_run){ open->runs[0].word, 1 };
    expect_fault(p, "a message in two places");
}

Test(check, finds_a_ticket_that_was_never_issued, .timeout = 10)
{
    struct belt_pipeline *p = held();
    belt_open_batch_of(kept.held[0])->runs[0].word += 5;
    expect_fault(p, "outside of its ledger's window");
}
