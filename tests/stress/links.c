/* Exchanges, joins and emitted messages on several lanes, with exact sums; also for the
 * thread sanitizer. Plain program. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/pipeline.h"

#define COUNT 200000u

static uint64_t value_of(const struct belt_view *view, uint32_t i)
{
    uint32_t size;
    uint64_t value;
    memcpy(&value, belt_text(view, 0, i, &size), sizeof value);
    return value;
}

/* ---- steps and a sink ---------------------------------------------------------------- */

/* value % 4 copies of itself; sometimes a thousand and more. */
static uint64_t copies_of(uint64_t value)
{
    return value % 10000 == 9999 ? 3000 : value % 4;
}

static int burst(void *state, struct belt_view *view, uint32_t i)
{
    uint64_t value = value_of(view, i);
    (void)state;
    for (uint64_t n = belt_emitted(view, i); n < copies_of(value); n++)
        if (belt_emit(view, i, (const char *)&value, sizeof value) < 0)
            return -1;
    return 0;
}

static const struct belt_step burst_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "burst", .help = "one to many" },
    .message = burst,
    .emits = true,
};

/* Odd ones to the second batcher, too; some are acknowledged early. */
static int share(void *state, struct belt_view *view, uint32_t i)
{
    uint64_t value = value_of(view, i);
    (void)state;
    if (value % 2)
        belt_route_also(view, i, 1);
    if (value % 7 == 0)
        belt_ack(view, i);
    return 0;
}

static const struct belt_step share_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "share", .help = "to two batchers" },
    .message = share,
};

static atomic_ullong rows, sum;

static int count_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    uint64_t mine = 0, value;
    (void)state, (void)err;
    for (uint32_t r = 0; r < batch->count; r++) {
        memcpy(&value, batch->bytes + batch->spans[r].at, sizeof value);
        mine += value;
    }
    atomic_fetch_add(&rows, batch->count);
    atomic_fetch_add(&sum, mine);
    return 0;
}

static const struct belt_sink count_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "count", .help = "counts" },
    .batch = count_batch,
};

/* ---- pipelines --------------------------------------------------------------------------- */

#define SINKS "batchers: { a: { size: 100, sink: count }, b: { size: 33, sink: count } }\n"

/* `twice`: every message comes to the batchers so often; emits: it is a burst. */
static const struct job {
    const char *yaml;
    unsigned times;
    bool emits, shares;
} jobs[] = {
    { "placement: { fuse: none }\nprocessors:\n"
      "  one: { concurrency: 2 }\n"
      "  two: { concurrency: 2, partition_by: payload, steps: [ share: {} ] }\n" SINKS,
      1, false, true },
    { "processors:\n"
      "  one: { concurrency: 2 }\n"
      "  two: { concurrency: 3, dispatch: broadcast, steps: [ share: {} ] }\n" SINKS,
      3, false, true },
    { "processors:\n"
      "  one: { concurrency: 2, steps: [ burst: {} ] }\n"
      "  left: { concurrency: 3, steps: [ share: {} ] }\n"
      "  right: { from: one, concurrency: 2, partition_by: payload, steps: [ share: {} ] }\n" SINKS,
      2, true, true },
    { "placement: { fuse: none }\nprocessors:\n"
      "  one: { concurrency: 2 }\n"
      "  two: { isolation: process, concurrency: 2, partition_by: payload,\n"
      "         steps: [ share: {} ] }\n"
      "  three: { concurrency: 1 }\n" SINKS,
      1, false, true },
};

static void expect(const struct job *job, uint64_t *want_rows, uint64_t *want_sum)
{
    *want_rows = *want_sum = 0;
    for (uint64_t value = 0; value < COUNT; value++) {
        uint64_t n = job->times * (job->emits ? copies_of(value) : 1);
        n *= job->shares && value % 2 ? 2 : 1;
        *want_rows += n;
        *want_sum += n * value;
    }
}

static int run(const struct job *job, bool stop)
{
    const struct belt_part *const parts[] = { &burst_step.part, &share_step.part,
                                              &count_sink.part };
    char yaml[1000];
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int rc = belt_pipeline_new(&p, &err);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = belt_pipeline_add(p, parts[i], &err);
    snprintf(yaml, sizeof yaml, "source: { counter: { count: %u } }\n%s", COUNT, job->yaml);
    atomic_store(&rows, 0);
    atomic_store(&sum, 0);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "links", &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0 && stop) {
        belt_pipeline_wait(p, 5000000, &err);
        belt_pipeline_stop(p, UINT64_C(60000000000));
    }
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    struct belt_totals t = { .size = sizeof t };
    uint64_t want_rows, want_sum;
    belt_pipeline_totals(p, &t);
    expect(job, &want_rows, &want_sum);
    if (rc == 0 && (t.unsettled || t.failed || t.done != t.received || belt_check(p, &err) < 0))
        rc = -1;
    if (rc == 0 && !stop && (t.received != COUNT || rows != want_rows || sum != want_sum))
        rc = -1;
    printf("%s: %llu messages, %llu unsettled, %llu rows: %s %s\n", stop ? "stopped" : "to the end",
           (unsigned long long)t.received, (unsigned long long)t.unsettled,
           (unsigned long long)rows, rc ? "not ok" : "ok", rc ? err.text : "");
    belt_pipeline_free(p);
    return rc;
}

int main(void)
{
    int failed = 0;
    for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++)
        for (int stop = 0; stop < 2; stop++)
            failed |= run(&jobs[j], stop);
    return failed != 0;
}
