/* Crashes: B072 to B080. What crashes is a worker; what it crashes by is a message or a kill
 * from outside. Broadway loses what was inside; here nothing is lost. */
#include "tests/conformance/conformance.h"
#include "tests/unit/batch_worker_fixture.h"

/* ---- a source that breaks after each record ------------------------------------------------ */

static struct {
    int given, lives, others; /* of this source; init() calls of it and of the step */
} frail;

struct frail_state {
    char *arena;
    int given;
};

static int frail_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf, (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, 4096, 2);
    return 0;
}

static int frail_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)conf, (void)err;
    ((struct frail_state *)state)->arena = in->arena;
    frail.lives++;
    return 0;
}

static int frail_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct frail_state *s = state;
    if (frail.given == 3)
        return BELT_FILL_END;
    if (s->given == 1) {
        belt_error_set(err, -EIO, "the line went down");
        return BELT_FILL_ERROR;
    }
    s->arena[0] = 'x';
    out->spans[0] = (struct belt_span){ 0, 1 };
    out->base = s->arena;
    out->last_of_slab = out->last_of_chunk = true;
    out->chunk = (uint64_t)frail.given++;
    s->given++;
    return 1;
}

static const struct belt_source frail_source = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "frail",
              .help = "breaks",
              .state_size = sizeof(struct frail_state),
              .prepare = frail_prepare,
              .init = frail_init },
    .fill = frail_fill,
    .restarts = true,
};

static int count_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    frail.others++;
    return 0;
}

static const struct belt_step counted = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "counted",
              .help = "counts its lives",
              .init = count_init },
    .message = obey_message,
};

static struct belt_pipeline *with_frail_source(void)
{
    struct belt_error err = { 0 };
    memset(&frail, 0, sizeof frail);
    struct belt_pipeline *p = pipeline_with(
        &frail_source.part, "sources: { down: { frail: {}, restart: { max: 5, within: 60s,\n"
                            "                           backoff: 10ms } },\n"
                            "           up: { say: { words: 'a,b', repeat: 5 } } }\n"
                            "processor: { concurrency: 1, steps: [ counted: {} ] }\n"
                            "batcher: { order: any, sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_add(p, &counted.part, &err), 0, "%s", err.text);
    return p;
}

/* What crashes is fill(), by saying ERROR; with `restart` its instance is set up again, alone. */
Test(conformance, B072_producer_crash_isolated)
{
    struct belt_pipeline *p = with_frail_source();
    expect_end(p);
    cr_assert_eq(frail.lives, 3);
    cr_assert_eq(frail.others, 1);
    expect_totals(p, 13, 0);
    belt_pipeline_free(p);
}

/* Nobody subscribes: the edges stay, and the new instance goes on behind the last record. */
Test(conformance, B073_producer_resubscription)
{
    struct belt_pipeline *p = with_frail_source();
    expect_end(p);
    size_t found = 0;
    for (const char *at = rows(); *at; at++)
        found += *at == 'x';
    cr_assert_eq(found, 3);
    belt_pipeline_free(p);
}

/* ---- workers ---------------------------------------------------------------------------- */

/* Kills the only worker and waits for the next one. */
static void kill_worker(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    uint64_t before = belt_load_relaxed(&p->run->chains[0].stage.stats.restarts);
    signal_worker(p, 0, SIGKILL);
    while (belt_load_relaxed(&p->run->chains[0].stage.stats.restarts) == before)
        cr_assert_eq(belt_pipeline_wait(p, MS, &err), -ETIMEDOUT, "%s", err.text);
}

Test(conformance, B074_processor_restart, .timeout = 20)
{
    int ends[2];
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    kill_worker(p);
    say(ends, "b\n");
    wait_for_done(p, 2);
    end_piped(p, ends);
    cr_assert_str_eq(rows(), "a|b|");
}

/* Nothing else goes down: rows from before and after a crash leave in one batch. */
Test(conformance, B075_processor_cascade, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,b,segv,c'", "max_attempts: 1, steps: [ poison: {} ]");
    cr_assert_eq(belt_pipeline_set(p, "batcher.timeout", "1h", &err), 0, "%s", err.text);
    expect_run(p);
    cr_assert_str_eq(kept.text, "[e:a|b|c|]");
    belt_pipeline_free(p);
}

/* Messages delivered to a worker that dies are delivered again: only the one at fault is tried. */
Test(conformance, B076_processor_loss, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(&poison, "words: 'a,b,segv,c,d', repeat: 3",
                                           "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|c|d|a|b|c|d|a|b|c|d|");
    expect_totals(p, 12, 3);
    belt_pipeline_free(p);
}

Test(conformance, B077_processor_loss_batches, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = workers_with(&poison, "words: 'a,b,segv,c,d', repeat: 2",
                                           "max_attempts: 1, steps: [ poison: {} ]");
    cr_assert_eq(belt_pipeline_set(p, "batcher.size", "4", &err), 0, "%s", err.text);
    expect_run(p);
    cr_assert_str_eq(kept.text, "[s:a|b|c|d|][s:a|b|c|d|]");
    belt_pipeline_free(p);
}

/* ---- sinks in workers --------------------------------------------------------------------- */

/* A batcher forms batches in a lane, which cannot crash alone; what crashes is its sink. */
Test(conformance, B078_batcher_restart, .timeout = 20)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "");
    say(ends, "a\n");
    wait_for_done(p, 1);
    pid_t before = heard->worker;
    signal_sink(p, SIGKILL);
    while (!belt_load_relaxed(&sink_stats(p)->restarts))
        cr_assert_eq(belt_pipeline_wait(p, MS, &err), -ETIMEDOUT, "%s", err.text);
    say(ends, "b\n");
    wait_for_done(p, 2);
    cr_assert_neq(heard->worker, before);
    end_piped(p, ends);
    cr_assert_str_eq(heard->text, "1[t:a|]1[t:b|]");
}

/* Nothing else goes down: the processor's worker lives on, and no input is read again. */
Test(conformance, B079_batcher_cascade, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,b,frail,c' }", "max_attempts: 1", "size: 1,");
    heard->die_once = 1;
    cr_assert_eq(belt_pipeline_add(p, &poison.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_set(p, "processor.isolation", "process", &err), 0);
    cr_assert_eq(belt_pipeline_set(p, "processor.steps.0", "poison", &err), 0, "%s", err.text);
    expect_run(p);
    cr_assert_eq(restarts(p), 0);
    cr_assert_eq(sink_stats(p)->restarts, 1);
    cr_assert_eq(totals_of(p).received, 4);
    cr_assert_str_eq(heard->text, "1[s:a|]1[s:b|]1[s:c|]");
    belt_pipeline_free(p);
}

/* Nothing is lost: the batch that was with the sink is handed over again; only one that kills
 * at every attempt fails, and is told as failed. */
Test(conformance, B080_batcher_loss, .timeout = 20)
{
    share_heard();
    struct belt_pipeline *p = acked_pipeline(
        &drill.part, "source: { acked: 'a,frail,segv,b' }\nprocessor: { concurrency: 1 }\n"
                     "batcher: { isolation: process, worker: { max_attempts: 2 }, size: 1,\n"
                     "           sink: drill }\n");
    heard->die_once = 1;
    expect_run(p);
    expect_acks(4, "ddfd");
    cr_assert_str_eq(heard->text, "1[s:a|]2[s:frail|]1[s:b|]");
    belt_pipeline_free(p);
}
