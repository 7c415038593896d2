#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* A source that breaks after every `words` of its list, and goes on behind them. */
static struct {
    int given, lives, ends_after, broken_inits, slab_reused;
    bool slab_out[2];
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
    (void)conf;
    ((struct frail_state *)state)->arena = in->arena;
    if (frail.lives++ && frail.broken_inits-- > 0)
        return belt_error_set(err, -EIO, "still down");
    frail.slab_reused += frail.slab_out[0];
    return 0;
}

static int frail_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct frail_state *s = state;
    if (frail.given == frail.ends_after)
        return BELT_FILL_END;
    if (s->given == 1) {
        belt_error_set(err, -EIO, "the line went down");
        return BELT_FILL_ERROR;
    }
    s->arena[0] = (char)('a' + frail.given);
    out->spans[0] = (struct belt_span){ 0, 1 };
    out->base = s->arena;
    out->slab = 0;
    out->last_of_slab = out->last_of_chunk = true;
    out->chunk = (uint64_t)frail.given++;
    s->given++;
    frail.slab_out[0] = true;
    return 1;
}

static void frail_recycle(void *state, uint32_t slab)
{
    (void)state;
    frail.slab_out[slab] = false;
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
    .recycle = frail_recycle,
    .restarts = true,
};

static struct belt_pipeline *frail_of(int messages, const char *yaml)
{
    memset(&frail, 0, sizeof frail);
    frail.ends_after = messages;
    return pipeline_with(&frail_source.part, yaml);
}

#define RESTART "source: { frail: {}, restart: { max: 3, within: 1s, backoff: 400ms } }\n"

Test(restart, sets_up_a_source_again_that_cannot_go_on, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = frail_of(10, RESTART "batcher: { sink: keep_all }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(frail.lives, 10);
    cr_assert_eq(frail.slab_reused, 0);
    cr_assert_eq(kept.rows, 10);
    cr_assert(totals_of(p).complete);
    belt_pipeline_free(p);
}

Test(restart, fails_the_run_beyond_its_budget, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        frail_of(10, "source: { frail: {}, restart: { max: 3, within: 1s, backoff: 10ms } }\n"
                     "batcher: { sink: keep_all }\n");
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "the line went down");
    cr_assert_eq(frail.lives, 4);
    belt_pipeline_free(p);
}

Test(restart, what_a_source_gave_before_it_failed_is_worked_off, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = frail_of(10, "source: frail\nbatcher: { sink: keep_all }\n");
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "the line went down");
    cr_assert_eq(kept.rows, 1);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_not(totals_of(p).complete);
    belt_pipeline_free(p);
}

static int endless_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    belt_setup_endless(setup);
    return frail_prepare(conf, setup, err);
}

static int patient_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    return ((struct frail_state *)state)->given ? BELT_FILL_IDLE : frail_fill(state, out, err);
}

static void end_soon(void *state)
{
    (void)state;
    frail.ends_after = frail.given;
}

static int until_stopped_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    return frail.ends_after == frail.given ? BELT_FILL_END : patient_fill(state, out, err);
}

Test(restart, a_stop_is_the_end_of_an_endless_source, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_source endless = frail_source;
    endless.part.name = "endless";
    endless.part.prepare = endless_prepare;
    endless.fill = until_stopped_fill;
    endless.stop = end_soon;
    memset(&frail, 0, sizeof frail);
    frail.ends_after = 10;
    struct belt_pipeline *p =
        pipeline_with(&endless.part, "source: endless\nbatcher: { sink: keep_all }\n");
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(kept.rows, 1);
    cr_assert(totals_of(p).complete);
    belt_pipeline_free(p);
}

Test(restart, an_init_that_fails_takes_from_the_budget_too, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = frail_of(2, RESTART "batcher: { sink: keep_all }\n");
    frail.broken_inits = 1;
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(frail.lives, 3);
    cr_assert_eq(kept.rows, 2);
    belt_pipeline_free(p);
    p = frail_of(2, "source: { frail: {}, restart: { max: 3, within: 10s, backoff: 10ms } }\n");
    frail.broken_inits = 5;
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "still down");
    belt_pipeline_free(p);
}

Test(restart, a_stop_does_not_wait_for_it, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = frail_of(
        5, "source: { frail: {}, restart: { backoff: 1h } }\nbatcher: { sink: keep_all }\n");
    for (uint64_t now = 1; now < 20; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(kept.rows, 1);
    cr_assert_not(totals_of(p).complete);
    belt_pipeline_free(p);
}

Test(restart, with_lanes, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = frail_of(
        4,
        "source: { frail: {}, restart: { max: 10, backoff: 5ms } }\nbatcher: { sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 4);
    belt_pipeline_free(p);
}

Test(restart, is_refused_where_the_part_cannot, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: a, restart: { max: 2 } }\n");
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, "test.yaml:1:28: source: a source of say cannot be set up again "
                               "while it runs");
    belt_pipeline_free(p);
}
