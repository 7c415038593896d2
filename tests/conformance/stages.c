/* Stage units: B122 to B134. What a source may answer, and what becomes of it. */
#include "tests/conformance/conformance.h"

/* ---- a source that plays a script --------------------------------------------------------- */

static struct {
    const char *script; /* a record per letter; '.': idle, '!': error, '~': not taken whole */
    int inits, finis;
    void *last_state;
} played;

struct play {
    char *arena;
    size_t at;
};

static int play_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf, (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, 4096, 2);
    return 0;
}

static int play_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    ((struct play *)state)->arena = in->arena;
    played.inits++;
    return 0;
}

static int play_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct play *s = state;
    char what = played.script[s->at];
    if (!what)
        return BELT_FILL_END;
    s->at++;
    if (what == '.')
        return BELT_FILL_IDLE;
    if (what == '!') {
        belt_error_set(err, -EIO, "the line was cut");
        return BELT_FILL_ERROR;
    }
    s->arena[s->at] = what; /* bytes stay where they are: the arena is never full here */
    out->base = s->arena;
    out->spans[0] = (struct belt_span){ (uint32_t)s->at, 1 };
    if (what == '~') {
        out->failed[0] = 1;
        out->failed_reason = "not a record";
    }
    return 1;
}

static void play_fini(void *state, void *conf)
{
    (void)conf;
    played.finis++;
    played.last_state = ((struct play *)state)->arena;
}

static const struct belt_source play = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "play",
              .help = "plays a script",
              .state_size = sizeof(struct play),
              .prepare = play_prepare,
              .init = play_init,
              .fini = play_fini },
    .fill = play_fill,
};

static struct belt_pipeline *playing(const char *script)
{
    memset(&played, 0, sizeof played);
    played.script = script;
    return pipeline_with(&play.part, "source: play\nbatcher: { timeout: 1h, sink: keep_all }\n");
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* What a batcher may have in hand is bytes: `memory`. A batch that it could not hold is refused. */
Test(conformance, B118_batcher_demand_default)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: a }\nbatcher: { sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_validate(p, &err), 0, "%s", err.text);
    cr_assert_geq(p->spec->batchers[0].memory, 2 * p->spec->batchers[0].bytes);
    belt_pipeline_free(p);
    expect_refused(NULL, "source: { say: a }\nbatcher: { bytes: 8MiB, sink: keep_all }\n",
                   "want twice as much memory: set memory");
}

static uint32_t largest;

static uint32_t measure_frame(void *state, struct belt_view *view)
{
    (void)state;
    largest = view->end - view->first > largest ? view->end - view->first : largest;
    return view->end;
}

static const struct belt_step measure = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "measure", .help = "frames" },
    .frame = measure_frame,
};

/* Given to the source: what a frame holds at most, and what is on its way. */
Test(conformance, B120_processor_demand)
{
    largest = 0;
    struct belt_pipeline *p =
        pipeline_with(&measure.part, "source: { counter: 1000, max_demand: 10, min_demand: 5 }\n"
                                     "processor: { steps: [ measure: {} ] }\n");
    end_and_free(p);
    cr_assert_eq(largest, 10);
    expect_refused(NULL, "source: { counter: 10, max_demand: 5, min_demand: 5 }\n",
                   "'min_demand' of source must be below max_demand");
}

/* A part without the function that its kind is about. */
Test(conformance, B122_producer_bad_init)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p;
    struct belt_source none = play;
    none.fill = NULL;
    cr_assert_eq(belt_pipeline_new(&p, &err), 0);
    cr_assert_lt(belt_pipeline_add(p, &none.part, &err), 0);
    cr_assert_str_eq(err.text, "source play has no function fill");
    belt_pipeline_free(p);
    expect_refused(NULL, "source: keep_all\n", "no source named 'keep_all'");
}

/* Demand is a call of fill(); its state is the part's own and stays. */
Test(conformance, B123_demand_reply)
{
    struct belt_pipeline *p = playing("abc");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "[e:a|b|c|]");
}

/* A source that cannot go on ends the run, with its own words; what it read is finished. */
Test(conformance, B125_demand_reply_stop)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = playing("ab!c");
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "the line was cut");
    cr_assert_eq(totals_of(p).received, 2);
    belt_pipeline_free(p);
}

/* What is not a record fails alone; the source goes on. */
Test(conformance, B126_demand_reply_not_a_message)
{
    struct belt_pipeline *p = playing("a~b");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|b|]");
    expect_totals(p, 2, 1);
    expect_failure(p, "not a record");
    belt_pipeline_free(p);
}

/* ---- sources that are told when there is something: by a descriptor ------------------------- */

static struct belt_pipeline *piped(int ends[2], const char *more)
{
    char yaml[400];
    cr_assert_eq(pipe(ends), 0);
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: /proc/self/fd/%d%s } }\n"
             "batcher: { timeout: 1ms, sink: keep_all }\n",
             ends[0], more);
    struct belt_pipeline *p = pipeline_of(yaml);
    start(p);
    return p;
}

/* An event from outside is a descriptor that becomes readable. */
Test(conformance, B128_info_reply, .timeout = 20)
{
    int ends[2];
    struct belt_pipeline *p = piped(ends, "");
    say(ends, "a\n");
    wait_for_done(p, 1);
    say(ends, "b\nc\n");
    wait_for_done(p, 3);
    end_piped(p, ends);
    cr_assert_str_eq(rows(), "a|b|c|");
}

/* The other side closing is an event as well. */
Test(conformance, B130_info_reply_stop, .timeout = 20)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped(ends, "");
    say(ends, "a\n");
    close(ends[1]);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    expect_totals(p, 1, 0);
    cr_assert(totals_of(p).complete);
    close(ends[0]);
    belt_pipeline_free(p);
}

/* As in B126. */
Test(conformance, B131_info_reply_not_a_message, .timeout = 20)
{
    int ends[2];
    struct belt_pipeline *p = piped(ends, ", max_record: 16B");
    say(ends, "a\nfar too long for a record here\nb\n");
    wait_for_done(p, 2);
    end_piped(p, ends);
    cr_assert_str_eq(rows(), "a|b|");
}

/* fini() of each instance whose init() succeeded, with its state. */
Test(conformance, B133_terminate_forwarded)
{
    struct belt_pipeline *p = playing("abc");
    end_and_free(p);
    cr_assert_eq(played.inits, 1);
    cr_assert_eq(played.finis, 1);
    cr_assert_not_null(played.last_state);
}

/* Any function but the one that the kind is about may be NULL. */
Test(conformance, B134_terminate_absent)
{
    struct belt_source bare = play;
    memset(&played, 0, sizeof played);
    played.script = "ab";
    bare.part.fini = NULL;
    struct belt_pipeline *p =
        pipeline_with(&bare.part, "source: play\nbatcher: { sink: keep_all }\n");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "[e:a|b|]");
    cr_assert_eq(played.finis, 0);
}
