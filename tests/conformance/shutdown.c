/* Shutdown: B086 to B091. */
#include <sys/wait.h>

#include "tests/conformance/conformance.h"

/* The inner supervisor is the zygote, which starts all workers: without it the run ends. */
Test(conformance, B086_supervisor_killed, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        workers_with(&poison, "words: a, endless: true", "steps: [ poison: {} ]");
    start(p);
    wait_for_done(p, 1);
    kill(belt_zygote_pid(p->zygote), SIGKILL);
    cr_assert_lt(belt_pipeline_wait(p, BELT_FOREVER, &err), 0);
    cr_assert(*err.text);
    belt_pipeline_free(p);
}

static int order[8], order_used;

static void note_fini(void *state, void *conf)
{
    (void)state, (void)conf;
    order[order_used++] = 1;
}

static const struct belt_step last_words = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "last_words",
              .help = "notes its end",
              .fini = note_fini },
    .message = obey_message,
};

/* wait() returns after every stage's fini(). */
Test(conformance, B087_order, .timeout = 20)
{
    struct belt_error err = { 0 };
    order_used = 0;
    struct belt_pipeline *p = pipeline_with(
        &last_words.part, "source: { say: { words: a, endless: true } }\n"
                          "processor: { concurrency: 1, steps: [ last_words: {} ] }\n");
    start(p);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    order[order_used++] = 2;
    cr_assert_eq(order_used, 2);
    cr_assert_eq(order[0], 1);
    belt_pipeline_free(p);
}

Test(conformance, B088_drain)
{
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b,c,d', endless: true } }\n"
                                          "batcher: { timeout: 1h, sink: keep_all }\n");
    turn_ms(p, 1, 1);
    belt_pipeline_stop(p, 1000000000);
    expect_end(p);
    cr_assert_eq(kept.batches, 1);
    cr_assert_eq(kept.rows, totals_of(p).received);
    expect_totals(p, totals_of(p).received, 0);
    belt_pipeline_free(p);
}

Test(conformance, B089_partial_batches)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a1,b1,c1', endless: true } }\n"
                    "processor: { steps: [ letter: {} ] }\n"
                    "batcher: { key: letter, size: 1000000, timeout: 1h, sink: keep_all }\n");
    turn_ms(p, 1, 1);
    belt_pipeline_stop(p, 1000000000);
    expect_end(p);
    cr_assert_eq(kept.batches, 3, "one of each key");
    expect_totals(p, totals_of(p).received, 0);
    belt_pipeline_free(p);
}

/* ---- a source that has more to say when it is told to stop ------------------------------- */

struct tail {
    char *arena;
    int after; /* records since it was told to stop */
    bool stopping;
};

static int tail_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf, (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, 4096, 2);
    return 0;
}

static int tail_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    ((struct tail *)state)->arena = in->arena;
    return 0;
}

static int tail_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct tail *t = state;
    (void)err;
    if (t->stopping && t->after == 3)
        return BELT_FILL_END;
    t->after += t->stopping;
    t->arena[0] = t->arena[1] = 'x';
    out->base = t->arena;
    out->spans[0] = (struct belt_span){ t->stopping, 1 };
    return 1;
}

static void tail_stop(void *state)
{
    ((struct tail *)state)->stopping = true;
}

static const struct belt_source tail = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "tail",
              .help = "three more after stop",
              .state_size = sizeof(struct tail),
              .prepare = tail_prepare,
              .init = tail_init },
    .fill = tail_fill,
    .stop = tail_stop,
};

/* What fill() gives after stop() is taken, until it says END; then it is not called again. */
Test(conformance, B090_during_drain)
{
    struct belt_pipeline *p =
        pipeline_with(&tail.part, "source: tail\nbatcher: { sink: keep_all }\n");
    turn_ms(p, 1, 5);
    uint64_t before = totals_of(p).received;
    belt_pipeline_stop(p, 1000000000);
    expect_end(p);
    expect_totals(p, before + 3, 0);
    belt_pipeline_free(p);
}

/* A callback that hangs forever is a worker's: a thread's would have to be waited for. */
Test(conformance, B091_deadline, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = workers_with(&poison, "words: 'a,hang'", "steps: [ poison: {} ]");
    start(p);
    cr_assert_eq(belt_pipeline_wait(p, 100 * MS, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, 100 * MS);
    uint64_t before = totals_of(p).elapsed_ns;
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_lt(t.elapsed_ns - before, 5000 * MS);
    cr_assert_geq(t.unsettled, 1, "it says what is left");
    belt_pipeline_free(p);
}
