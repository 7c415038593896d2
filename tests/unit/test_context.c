#include <errno.h>

#include "core/control.h"
#include "tests/unit/pipeline_fixture.h"
#include "tests/unit/worker_fixture.h"

#define MS UINT64_C(1000000)

/* ---- what each stage saw last --------------------------------------------------------- */

static _Atomic(void *) seen_by_step, seen_by_sink;
static _Atomic(uint64_t) looks;

static int look(void *state, struct belt_view *view, uint32_t i)
{
    (void)state, (void)i;
    seen_by_step = belt_context(view);
    looks++;
    return 0;
}

static const struct belt_step look_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "look", .help = "sees" },
    .message = look,
};

struct look_sink {
    void *const *context;
};

static int look_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    ((struct look_sink *)state)->context = in->context;
    return 0;
}

static int look_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)batch, (void)err;
    seen_by_sink = *((struct look_sink *)state)->context;
    return 0;
}

static const struct belt_sink look_sink = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "look_sink",
              .help = "sees",
              .state_size = sizeof(struct look_sink),
              .init = look_init },
    .batch = look_batch,
};

static struct belt_pipeline *looking(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&look_step.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &look_sink.part, &err), 0, "%s", err.text);
    return p;
}

static void set(struct belt_pipeline *p, void *context)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_context(p, context, 10000 * MS, &err), 0, "%s", err.text);
}

#define ENDLESS                                                                                    \
    "source: { say: { words: 'a,b', endless: true } }\n"                                           \
    "processor: { steps: [ look: {} ] }\nbatcher: { size: 2, sink: look_sink }\n"

static void turn(struct belt_pipeline *p)
{
    static uint64_t now;
    struct belt_error err = { 0 };
    for (int i = 0; i < 10; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += MS, &err), 0, "%s", err.text);
}

Test(context, is_null_until_it_is_set, .timeout = 10)
{
    struct belt_pipeline *p = looking(ENDLESS);
    seen_by_step = seen_by_sink = p;
    turn(p);
    cr_assert_null(seen_by_step);
    cr_assert_null(seen_by_sink);
    belt_pipeline_free(p);
}

Test(context, set_before_the_start_is_seen_from_the_first_message_on, .timeout = 10)
{
    int mine;
    struct belt_pipeline *p = looking(ENDLESS);
    set(p, &mine);
    turn(p);
    cr_assert_eq(seen_by_step, (void *)&mine);
    cr_assert_eq(seen_by_sink, (void *)&mine);
    belt_pipeline_free(p);
}

Test(context, changes_between_turns, .timeout = 10)
{
    int one, other;
    struct belt_pipeline *p = looking(ENDLESS);
    set(p, &one);
    turn(p);
    set(p, &other);
    turn(p);
    cr_assert_eq(seen_by_step, (void *)&other);
    cr_assert_eq(seen_by_sink, (void *)&other);
    belt_pipeline_free(p);
}

/* ---- lanes that run ----------------------------------------------------------------------- */

static _Atomic(bool) freed[200];
static _Atomic(uint64_t) seen_freed;

static int check(void *state, struct belt_view *view, uint32_t i)
{
    (void)state, (void)i;
    _Atomic(bool) *mine = belt_context(view);
    looks++;
    seen_freed += mine && *mine;
    return 0;
}

static const struct belt_step check_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "check", .help = "uses it" },
    .message = check,
};

Test(context, old_value_is_out_of_use_when_the_call_returns, .timeout = 60)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_with(&check_step.part, "source: { counter: { count: 2000000000 } }\n"
                                        "placement: { fuse: none }\n"
                                        "processor: { concurrency: 2, steps: [ check: {} ] }\n"
                                        "batcher: { order: any, sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (size_t i = 0; i < sizeof freed / sizeof *freed; i++) {
        set(p, &freed[i]);
        if (i)
            freed[i - 1] = true;
    }
    while (!looks)
        belt_pipeline_wait(p, MS, &err);
    belt_pipeline_stop(p, 0);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(seen_freed, 0);
    belt_pipeline_free(p);
}

static _Atomic(bool) stuck, may_go;

static int stick(void *state, struct belt_view *view, uint32_t i)
{
    look(state, view, i);
    stuck = true;
    while (!may_go)
        ;
    return 0;
}

static const struct belt_step stick_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "stick", .help = "takes its time" },
    .message = stick,
};

Test(context, stays_when_a_callback_does_not_return_in_time, .timeout = 20)
{
    int one, other;
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_with(&stick_step.part, "source: { say: 'a,b' }\n"
                                        "processor: { steps: [ stick: {} ] }\n");
    set(p, &one);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    while (!stuck)
        belt_pipeline_wait(p, MS, &err);
    cr_assert_eq(belt_pipeline_context(p, &other, MS, &err), -ETIMEDOUT);
    may_go = true;
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(seen_by_step, (void *)&one);
    belt_pipeline_free(p);
}

/* Fails its message when there is a pointer. */
static int refuse(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    if (belt_context(view))
        belt_fail_message(view, i, "a pointer of another process");
    return 0;
}

static const struct belt_step refuse_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "refuse", .help = "wants none" },
    .message = refuse,
};

Test(context, is_null_in_a_worker, .timeout = 20)
{
    int mine;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(
        &refuse_step.part, "source: { say: 'a,b' }\n"
                           "processor: { isolation: process, steps: [ refuse: {} ] }\n");
    set(p, &mine);
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).received, 2);
    cr_assert_eq(totals_of(p).failed, 0);
    belt_pipeline_free(p);
}
