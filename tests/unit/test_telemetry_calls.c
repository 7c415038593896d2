/* Events of what callbacks and settings do: failures told, messages held, rates. */
#include <errno.h>
#include <sched.h>

#include "core/control.h"
#include "core/telemetry.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- step `asked`: holds "h...", fails "bad..." and hears of it ------------------------ */

static uint64_t handle;
static uint64_t failures_heard;

static int asked_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    if (size && text[0] == 'h')
        handle = belt_hold(view, i);
    else if (size >= 3 && memcmp(text, "bad", 3) == 0)
        belt_fail_message(view, i, "it is bad");
    return 0;
}

static void asked_failed(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    (void)state, (void)view, (void)i, (void)reason;
    failures_heard++;
}

static const struct belt_step asked_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "asked", .help = "holds and fails" },
    .message = asked_message,
    .failed = asked_failed,
};

/* ---- sink `refuses`: all, and hears of it ----------------------------------------------- */

static int refuses_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch;
    return belt_error_set(err, -EIO, "not today");
}

static void refuses_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    (void)state, (void)code, (void)reason;
    failures_heard += batch->count;
}

static const struct belt_sink refuses_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "refuses", .help = "takes nothing" },
    .batch = refuses_batch,
    .failed = refuses_failed,
};

/* ---- a handler that writes it all down ------------------------------------------------- */

static struct {
    char text[2000];
    uint64_t durations;
    uint64_t context; /* atomic */
} heard;

static void hear(const struct belt_event *event, void *arg)
{
    size_t used = strlen(heard.text);
    (void)arg;
    snprintf(heard.text + used, sizeof heard.text - used, "%s %llu; ", event->name,
             (unsigned long long)belt_event_value(event, BELT_FIELD_MESSAGES));
    heard.durations += belt_event_value(event, BELT_FIELD_DURATION);
    belt_store_release(&heard.context, (uint64_t)(uintptr_t)event->context);
}

static struct belt_pipeline *listen_to(const char *yaml, const char *prefix)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&asked_step.part, yaml);
    memset(&heard, 0, sizeof heard);
    failures_heard = handle = 0;
    cr_assert_eq(belt_pipeline_add(p, &refuses_sink.part, &err), 0, "%s", err.text);
    cr_assert_geq(belt_telemetry_attach(p, prefix, hear, NULL, &err), 0, "%s", err.text);
    return p;
}

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
}

#define ASKED "source: { say: 'a,bad1,b,bad2' }\nprocessor: { steps: [ asked: {} ] }\n"

Test(telemetry_calls, steps_that_hear_of_failures_are_seen_to, .timeout = 10)
{
    struct belt_pipeline *p = listen_to(ASKED, "beltway.handle_failed");
    ends(p);
    cr_assert_eq(failures_heard, 2);
    cr_assert_str_eq(heard.text, "beltway.handle_failed.start 2; beltway.handle_failed.stop 2; ");
    belt_pipeline_free(p);
}

Test(telemetry_calls, steps_in_workers_that_hear_of_failures_are_seen_to, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        listen_to("source: { say: 'a,bad1,b,bad2' }\n"
                  "processor: { isolation: process, concurrency: 1, steps: [ asked: {} ] }\n",
                  "beltway.handle_failed");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_str_eq(heard.text, "beltway.handle_failed.start 2; beltway.handle_failed.stop 2; ");
    belt_pipeline_free(p);
}

Test(telemetry_calls, sinks_in_workers_that_hear_of_failures_are_seen_to, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        listen_to("source: { say: 'a,b,c' }\nbatcher: { isolation: process, sink: refuses }\n",
                  "beltway.handle_failed");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_str_eq(heard.text, "beltway.handle_failed.start 3; beltway.handle_failed.stop 3; ");
    belt_pipeline_free(p);
}

Test(telemetry_calls, where_nothing_failed_nothing_is_told, .timeout = 10)
{
    struct belt_pipeline *p = listen_to(
        "source: { say: 'a,b' }\nprocessor: { steps: [ asked: {} ] }\n", "beltway.handle_failed");
    ends(p);
    cr_assert_str_eq(heard.text, "");
    belt_pipeline_free(p);
}

Test(telemetry_calls, steps_that_do_not_listen_to_failures_are_not_told_of, .timeout = 10)
{
    struct belt_pipeline *p = listen_to(
        "source: { say: 'a,bad' }\nprocessor: { steps: [ mark: {} ] }\n", "beltway.handle_failed");
    ends(p);
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_str_eq(heard.text, "");
    belt_pipeline_free(p);
}

Test(telemetry_calls, sinks_that_hear_of_failures_are_seen_to, .timeout = 10)
{
    struct belt_pipeline *p = listen_to("source: { say: 'a,b,c' }\nbatcher: { sink: refuses }\n",
                                        "beltway.handle_failed");
    ends(p);
    cr_assert_eq(failures_heard, 3);
    cr_assert_str_eq(heard.text, "beltway.handle_failed.start 3; beltway.handle_failed.stop 3; ");
    belt_pipeline_free(p);
}

Test(telemetry_calls, messages_that_steps_hold_are_counted_by_frame, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        listen_to("hold_messages: 10\nsource: { say: 'a,h1,b' }\n"
                  "processor: { steps: [ asked: {} ] }\nbatcher: { sink: keep_all }\n",
                  "beltway.processor.hold");
    uint64_t now = 1000000000;
    for (int i = 0; i < 1000 && !handle; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += 1000000, &err), 0, "%s", err.text);
    cr_assert_eq(belt_held_settle(handle, 0, NULL), 0);
    ends(p);
    cr_assert_str_eq(heard.text, "beltway.processor.hold 1; ");
    belt_pipeline_free(p);
}

/* One at once, then one every 10 turns of a millisecond. */
Test(telemetry_calls, a_rate_that_holds_a_source_back_is_told, .timeout = 10)
{
    struct belt_pipeline *p =
        listen_to("source: { say: 'a,b,c', rate: { messages: 100, per: 1s, burst: 1 } }\n"
                  "batcher: { sink: keep_all }\n",
                  "beltway.source.rate");
    ends(p);
    cr_assert_eq(
        strncmp(heard.text, "beltway.source.rate.start 0; beltway.source.rate.stop 0; ", 56), 0,
        "%s", heard.text);
    cr_assert_geq(heard.durations, 18000000);
    cr_assert_leq(heard.durations, 40000000);
    belt_pipeline_free(p);
}

Test(telemetry_calls, handlers_see_the_applications_pointer, .timeout = 10)
{
    int first, second;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = listen_to("source: { say: { words: 'a,b', endless: true } }\n"
                                        "batcher: { sink: 'null' }\n",
                                        "beltway.processor.stop");
    cr_assert_eq(belt_pipeline_context(p, &first, 0, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    while (belt_load_acquire(&heard.context) != (uint64_t)(uintptr_t)&first)
        sched_yield();
    cr_assert_eq(belt_pipeline_context(p, &second, BELT_FOREVER, &err), 0, "%s", err.text);
    belt_store_release(&heard.context, 0);
    while (!belt_load_acquire(&heard.context))
        sched_yield();
    cr_assert_eq(belt_load_acquire(&heard.context), (uint64_t)(uintptr_t)&second);
    belt_pipeline_stop(p, 0);
    belt_pipeline_free(p);
}
