/* prepare_messages: B025 to B027. Here it is belt_step.prepare, which is shown a frame before any
 * of its messages is handled; or a step with `frame` before those with `message`. */
#include "tests/conformance/conformance.h"

/* Stops at "b", whatever room there is. */
static uint32_t stop_at_b(void *state, struct belt_view *view)
{
    (void)state;
    BELT_EACH (view, i)
        if (is_text(view, i, "b"))
            return i;
    return view->end;
}

static const struct belt_step stops_at_b = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "stops", .help = "for a test" },
    .frame = stop_at_b,
};

/* Fewer handled than received means "no room": where fresh room does not help, the message that
 * it stopped at fails, alone; the rest goes on. */
Test(conformance, B025_short_return)
{
    struct belt_pipeline *p =
        pipeline_with(&stops_at_b.part, "source: { say: 'a,b,c,b,d' }\n"
                                        "processor: { steps: [ stops: {} ] }\n"
                                        "batcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|c|d|]");
    expect_totals(p, 3, 2);
    belt_pipeline_free(p);
}

static void die_preparing(void *state, struct belt_view *view)
{
    obey_frame(state, view);
}

static const struct belt_step poison_prepare = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "dies as told" },
    .message = obey_message,
    .prepare = die_preparing,
};

/* A crash there costs the message at fault, found by trying one at a time; not its chunk. */
Test(conformance, B026_raise, .timeout = 20)
{
    struct belt_pipeline *w = workers_with(&poison_prepare, "words: 'a,segv,b'",
                                           "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(w);
    cr_assert_str_eq(rows(), "a|b|");
    expect_totals(w, 2, 1);
    belt_pipeline_free(w);
    struct belt_pipeline *p =
        workers_with(&poison_frame, "words: 'a,segv,b'", "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    expect_totals(p, 2, 1);
    belt_pipeline_free(p);
}

/* ---- all before any ---------------------------------------------------------------------- */

static char steps_seen[64];

static void saw(char what, const struct belt_view *view, uint32_t i)
{
    uint32_t size;
    size_t used = strlen(steps_seen);
    steps_seen[used] = what;
    steps_seen[used + 1] = *belt_text(view, 0, i, &size);
}

static void see_frame(void *state, struct belt_view *view)
{
    (void)state;
    BELT_EACH (view, i)
        saw('p', view, i);
}

static int see_message(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    saw('m', view, i);
    return 0;
}

static const struct belt_step prepares = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "prepares", .help = "for a test" },
    .message = see_message,
    .prepare = see_frame,
};

Test(conformance, B027_pass_through)
{
    memset(steps_seen, 0, sizeof steps_seen);
    struct belt_pipeline *p =
        pipeline_with(&prepares.part, "source: { say: 'a,b,c' }\n"
                                      "processor: { steps: [ prepares: {} ] }\n"
                                      "batcher: { sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(steps_seen, "papbpcmambmc");
    cr_assert_str_eq(kept.text, "[e:a|b|c|]");
    belt_pipeline_free(p);
}
