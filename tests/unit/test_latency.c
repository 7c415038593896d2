/* Where the time went, on the fake clock: a turn is a millisecond. */
#include <errno.h>

#include "core/run_priv.h"
#include "core/telemetry.h"
#include "tests/unit/pipeline_fixture.h"

#define MS 1000000u

static struct belt_hist h;

static void read_hist(struct belt_pipeline *p, const char *stage, const char *name)
{
    cr_assert_eq(belt_pipeline_histogram(p, stage, name, &h), 0, "%s %s", stage, name);
}

static struct belt_pipeline *run_of(const char *yaml)
{
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    return p;
}

Test(latency, of_a_frame_is_the_time_until_its_last_message_is_settled, .timeout = 10)
{
    struct belt_pipeline *p = run_of("source: { say: 'a,b' }\n"
                                     "batcher: { size: 10, timeout: 1s, sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_latency(p, &h), 0);
    cr_assert_eq(belt_hist_count(&h), 1);
    uint64_t once = belt_hist_most(&h);
    cr_assert_geq(once, 1 * MS);
    cr_assert_leq(once, 5 * MS);
    belt_pipeline_free(p);
}

Test(latency, has_the_wait_for_a_batch_to_become_old_in_it, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a', endless: true } }\n"
                                          "batcher: { size: 1000, timeout: 20ms,\n"
                                          "           sink: keep_all }\n");
    struct belt_error err = { 0 };
    for (uint64_t now = MS; now < 200 * MS; now += MS)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_latency(p, &h), 0);
    cr_assert_geq(belt_hist_most(&h), 20 * MS);
    cr_assert_leq(belt_hist_most(&h), 24 * MS);
    cr_assert_leq(belt_hist_least(&h), 6 * MS, "the last of a batch waits least");
    read_hist(p, "batcher", "batch_age_ns");
    cr_assert_eq(belt_hist_least(&h), 20 * MS);
    cr_assert_eq(belt_hist_most(&h), 20 * MS);
    belt_pipeline_free(p);
}

Test(latency, batches_say_how_full_they_were, .timeout = 10)
{
    struct belt_pipeline *p = run_of("source: { say: { words: 'a,b,c', repeat: 5 } }\n"
                                     "batcher: { size: 4, sink: keep_all }\n");
    read_hist(p, "batcher", "batch_fill");
    cr_assert_eq(belt_hist_most(&h), 4);
    cr_assert_gt(belt_hist_count(&h), 1);
    read_hist(p, "batcher", "batch_ns");
    cr_assert_gt(belt_hist_count(&h), 1);
    belt_pipeline_free(p);
}

static int slow_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch, (void)err;
    nanosleep(&(struct timespec){ 0, 2 * MS }, NULL);
    return 0;
}

static const struct belt_sink slow_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "slow", .help = "takes its time" },
    .batch = slow_batch,
};

Test(latency, lanes_of_their_own_measure_turns_and_batches, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_with(&slow_sink.part, "source: { say: { words: 'a,b', repeat: 10 } }\n"
                                       "batcher: { size: 2, sink: slow }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    read_hist(p, "batcher", "batch_ns");
    cr_assert_geq(belt_hist_count(&h), 5);
    cr_assert_geq(belt_hist_least(&h), 2 * MS);
    read_hist(p, "batcher", "turn_ns");
    cr_assert_geq(belt_hist_most(&h), 2 * MS);
    read_hist(p, "source", "ack_ns");
    cr_assert_geq(belt_hist_least(&h), 2 * MS);
    belt_pipeline_free(p);
}

Test(latency, a_stage_or_histogram_that_is_not_there_is_said_so, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a' }\n");
    cr_assert_eq(belt_pipeline_latency(p, &h), -EINVAL);
    cr_assert_eq(belt_pipeline_histogram(p, "source", "ack_ns", &h), -EINVAL);
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE);
    cr_assert_eq(belt_pipeline_histogram(p, "sauce", "ack_ns", &h), -ENOENT);
    cr_assert_eq(belt_pipeline_histogram(p, "source", "ack", &h), -ENOENT);
    belt_pipeline_free(p);
}

Test(latency, the_report_has_each_histogram_once, .timeout = 10)
{
    struct belt_pipeline *p = run_of("source: { say: 'a,b' }\nbatcher: { sink: keep_all }\n");
    char *text;
    size_t size;
    struct belt_error err = { 0 };
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(belt_pipeline_report(p, out, &err), 0, "%s", err.text);
    fclose(out);
    const char *first = strstr(text, "{\"stage\": \"source\", \"name\": \"ack_ns\", \"values\": {");
    cr_assert(first, "%s", text);
    cr_assert(!strstr(strstr(first, "ack_ns") + 1, "ack_ns"), "%s", text);
    cr_assert(strstr(text, "\"name\": \"batch_fill\", \"values\": {\"count\": 1, \"min\": 2"), "%s",
              text);
    free(text);
    belt_pipeline_free(p);
}

static int events;

static void count_acks(const struct belt_event *event, void *arg)
{
    uint64_t *latency = arg;
    *latency = belt_event_value(event, BELT_FIELD_LATENCY);
    events++;
}

Test(latency, is_told_as_an_event_too, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b' }\nbatcher: { sink: keep_all }\n");
    struct belt_error err = { 0 };
    uint64_t latency = 0;
    cr_assert_geq(belt_telemetry_attach(p, "beltway.source.ack", count_acks, &latency, &err), 0);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE);
    belt_pipeline_latency(p, &h);
    cr_assert_eq(events, 1);
    cr_assert_eq(latency, belt_hist_most(&h));
    belt_pipeline_free(p);
}

/* ---- stamps ---------------------------------------------------------------------------- */

static int stamp_and_settle(uint64_t frames, uint64_t apart, uint64_t latency)
{
    static struct belt_source_stage s;
    static struct belt_hist hists[BELT_HISTS];
    static struct belt_lane lane;
    static struct belt_plan plan = { .caller = true };
    static struct belt_engine_run run = { .plan = &plan };
    memset(&s, 0, sizeof s);
    memset(hists, 0, sizeof hists);
    s.stage.hists = hists;
    s.stage.lane = &lane;
    s.stage.run = &run;
    for (uint64_t f = 0; f < frames; f++) {
        uint64_t now = (f + 1) * apart;
        if (now > latency)
            s.ledger.low = (now - latency) / apart;
        lane.now = now;
        belt_latency_settled(&s);
        if (now >= s.stamps.due)
            belt_latency_read(&s, f + 1, now);
    }
    uint64_t most = belt_hist_most(&hists[BELT_HIST_ack_ns]);
    cr_assert_geq(most, latency);
    cr_assert_leq(most, latency + apart);
    cr_assert_geq(belt_hist_least(&hists[BELT_HIST_ack_ns]), latency);
    return (int)belt_hist_count(&hists[BELT_HIST_ack_ns]);
}

Test(latency, samples_never_run_out_of_room_however_long_it_takes)
{
    int fast = stamp_and_settle(1000000, 500, 10000);
    cr_assert(fast > 15000 && fast < 16000, "one in 32 us of half a second, not %d", fast);
    int slow = stamp_and_settle(1000000, 500, 100000000);
    cr_assert(slow > 128 && slow < 2000, "%d", slow);
}
