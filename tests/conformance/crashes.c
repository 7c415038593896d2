/* Crashes: B072 to B080. What crashes is a worker; what it crashes by is a message or a kill
 * from outside. Broadway loses what was inside; here nothing is lost. */
#include "tests/conformance/conformance.h"

/* ---- a source that loses its input for a while ------------------------------------------ */

struct shaky {
    char *arena;
    int calls;
};

static int shaky_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf, (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, 4096, 2);
    return 0;
}

static int shaky_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)conf, (void)err;
    ((struct shaky *)state)->arena = in->arena;
    return 0;
}

/* Two records before the gap of 50 calls, two behind it. */
static int shaky_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct shaky *s = state;
    int call = s->calls++;
    (void)err;
    if (call >= 2 && call < 52)
        return BELT_FILL_IDLE;
    if (call == 54)
        return BELT_FILL_END;
    memcpy(s->arena, "x", 1);
    out->base = s->arena;
    out->spans[0] = (struct belt_span){ 0, 1 };
    return 1;
}

static const struct belt_source shaky = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "shaky",
              .help = "loses its input for a while",
              .state_size = sizeof(struct shaky),
              .prepare = shaky_prepare,
              .init = shaky_init },
    .fill = shaky_fill,
};

/* A source is code of the engine's own process: what it loses is its input, and it says "idle"
 * until it has it back. Nobody else notices. */
Test(conformance, B072_producer_crash_isolated)
{
    struct belt_pipeline *p =
        pipeline_with(&shaky.part, "source: shaky\nbatcher: { timeout: 5ms, sink: keep_all }\n");
    turn_ms(p, 1, 40);
    cr_assert_str_eq(kept.text, "[t:x|x|]", "what was read before is not held up");
    end_and_free(p);
}

/* Nobody subscribes: the same instance goes on where it was. */
Test(conformance, B073_producer_resubscription)
{
    struct belt_pipeline *p =
        pipeline_with(&shaky.part, "source: shaky\nbatcher: { timeout: 5ms, sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[t:x|x|][e:x|x|]");
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
