/* What is told, to whom, and what it costs when nobody listens in time. */
#include <errno.h>
#include <stdatomic.h>

#include "core/telemetry.h"
#include "tests/unit/worker_fixture.h"

#define MOST 64

/* A handler's notes. */
struct heard {
    struct {
        enum belt_event_kind kind;
        uint64_t values[BELT_EVENT_VALUES], time, span;
        char stage[64], text[128], name[64];
        uint32_t index;
    } at[MOST];
    int used;
    uint64_t all, messages;
};

static void hear(const struct belt_event *event, void *arg)
{
    struct heard *heard = arg;
    heard->all++;
    heard->messages += belt_event_value(event, BELT_FIELD_MESSAGES);
    if (heard->used == MOST)
        return;
    int i = heard->used++;
    heard->at[i].kind = event->kind;
    heard->at[i].time = event->time_ns;
    heard->at[i].span = event->span;
    heard->at[i].index = event->index;
    const enum belt_event_field *fields = belt_event_fields(event->kind);
    for (int f = 0; f < BELT_EVENT_VALUES && fields[f]; f++)
        heard->at[i].values[f] = event->values[f];
    snprintf(heard->at[i].name, sizeof heard->at[i].name, "%s", event->name);
    snprintf(heard->at[i].stage, sizeof heard->at[i].stage, "%s", event->stage);
    snprintf(heard->at[i].text, sizeof heard->at[i].text, "%s", event->text);
}

static int attach(struct belt_pipeline *p, const char *prefix, struct heard *heard)
{
    struct belt_error err = { 0 };
    int id = belt_telemetry_attach(p, prefix, hear, heard, &err);
    cr_assert_geq(id, 0, "%s", err.text);
    return id;
}

static struct belt_pipeline *listen_to(const char *yaml, const char *prefix, struct heard *heard)
{
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_error err = { 0 };
    memset(heard, 0, sizeof *heard);
    attach(p, prefix, heard);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(belt_telemetry_lost(p), 0);
    return p;
}

static uint64_t value(const struct heard *heard, int i, enum belt_event_field field)
{
    struct belt_event event = { .kind = heard->at[i].kind, .values = heard->at[i].values };
    return belt_event_value(&event, field);
}

static const char marked[] = "source: { say: 'a,bad1,no1,b,bad2' }\n"
                             "processor: { steps: [ mark: {} ] }\n"
                             "batcher: { sink: keep_all }\n";

/* ---- what each event says ---------------------------------------------------------- */

Test(telemetry, tells_each_frame_of_a_processor_and_what_became_of_it, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to(marked, "beltway.processor", &heard);
    cr_assert_eq(heard.used, 2);
    cr_assert_str_eq(heard.at[0].name, "beltway.processor.start");
    cr_assert_str_eq(heard.at[1].name, "beltway.processor.stop");
    cr_assert_str_eq(heard.at[1].stage, "processor");
    cr_assert_eq(heard.at[0].span, heard.at[1].span);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_MESSAGES), 5);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_MESSAGES), 5);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_TO_ACK), 1);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_DROPPED), 1);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_TO_FORWARD), 2);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_FAILED), 2);
    belt_pipeline_free(p);
}

Test(telemetry, without_batchers_the_processor_acks, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p =
        listen_to("source: { say: 'a,bad,b' }\nprocessor: { steps: [ mark: {} ] }\n",
                  "beltway.processor.stop", &heard);
    cr_assert_eq(heard.used, 1);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_TO_ACK), 2);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_TO_FORWARD), 0);
    belt_pipeline_free(p);
}

Test(telemetry, what_goes_on_to_another_processor_is_forwarded, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to("source: { say: 'a,no,b' }\n"
                                        "processors: { one: { steps: [ mark: {} ] },\n"
                                        "              two: { from: one }, too: { from: one } }\n",
                                        "beltway.processor.stop", &heard);
    uint64_t forward[2] = { 0 }, ack[2] = { 0 };
    for (int i = 0; i < heard.used; i++) {
        bool second = strstr(heard.at[i].stage, "one") == NULL;
        forward[second] += value(&heard, i, BELT_FIELD_TO_FORWARD);
        ack[second] += value(&heard, i, BELT_FIELD_TO_ACK);
    }
    cr_assert_eq(forward[0], 2);
    cr_assert_eq(ack[0], 1);
    cr_assert_eq(forward[1], 0);
    cr_assert_eq(ack[1], 4, "both have all of them");
    belt_pipeline_free(p);
}

Test(telemetry, tells_each_message_when_asked_by_name, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to(marked, "beltway.processor.message", &heard);
    static const enum belt_event_kind ends[] = { BELT_EVENT_MESSAGE_STOP,
                                                 BELT_EVENT_MESSAGE_EXCEPTION,
                                                 BELT_EVENT_MESSAGE_STOP, BELT_EVENT_MESSAGE_STOP,
                                                 BELT_EVENT_MESSAGE_EXCEPTION };
    cr_assert_eq(heard.used, 10);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(heard.at[2 * i].kind, BELT_EVENT_MESSAGE_START, "%d", i);
        cr_assert_eq(heard.at[2 * i + 1].kind, ends[i], "%d", i);
    }
    cr_assert_str_eq(heard.at[0].text, "a");
    cr_assert_str_eq(heard.at[8].text, "bad2");
    cr_assert_str_eq(heard.at[3].text, "it is bad");
    cr_assert_eq(value(&heard, 5, BELT_FIELD_DROPPED), 1);
    belt_pipeline_free(p);
}

Test(telemetry, telling_each_message_changes_nothing_of_the_result, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p =
        listen_to("source: { say: { words: 'apple,bee,bad,ant,no,bat', repeat: 50 } }\n"
                  "processor: { steps: [ mark: {}, letter: {}, grow: 3000 ] }\n"
                  "batcher: { key: letter, size: 7, sink: keep_all }\n",
                  "beltway.processor.message", &heard);
    size_t used = kept.used;
    char *with = strdup(kept.text);
    belt_pipeline_free(p);
    p = listen_to("source: { say: { words: 'apple,bee,bad,ant,no,bat', repeat: 50 } }\n"
                  "processor: { steps: [ mark: {}, letter: {}, grow: 3000 ] }\n"
                  "batcher: { key: letter, size: 7, sink: keep_all }\n",
                  "beltway.topology", &heard);
    cr_assert_eq(kept.used, used);
    cr_assert_arr_eq(kept.text, with, used);
    cr_assert_eq(totals_of(p).failed, 50);
    free(with);
    belt_pipeline_free(p);
}

Test(telemetry, tells_batches_with_key_size_and_trigger, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to("source: { say: 'aa,ab,b' }\n"
                                        "processor: { steps: [ letter: {} ] }\n"
                                        "batcher: { key: letter, size: 2, sink: keep_all }\n",
                                        "beltway.batch_processor", &heard);
    cr_assert_eq(heard.used, 4);
    cr_assert_str_eq(heard.at[0].stage, "batcher");
    cr_assert_str_eq(heard.at[0].text, "a");
    cr_assert_eq(value(&heard, 0, BELT_FIELD_MESSAGES), 2);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_BYTES), 6);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_TRIGGER), BELT_TRIGGER_SIZE);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_SUCCESSFUL), 2);
    cr_assert_str_eq(heard.at[2].text, "b");
    cr_assert_eq(value(&heard, 2, BELT_FIELD_TRIGGER), BELT_TRIGGER_END);
    cr_assert_neq(heard.at[1].span, heard.at[2].span);
    belt_pipeline_free(p);
}

static int refuse(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch;
    return belt_error_set(err, -EIO, "the disk is full of holes");
}

Test(telemetry, tells_why_a_batch_failed, .timeout = 10)
{
    static struct heard heard;
    static const struct belt_sink holes = {
        .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "holes", .help = "refuses" },
        .batch = refuse,
    };
    struct belt_pipeline *p =
        pipeline_with(&holes.part, "source: { say: 'a,b' }\nbatcher: { sink: holes }\n");
    struct belt_error err = { 0 };
    attach(p, "beltway.batch_processor.stop", &heard);
    turn_to_end(p, &err);
    cr_assert_eq(heard.used, 1);
    cr_assert_str_eq(heard.at[0].text, "the disk is full of holes");
    cr_assert_eq(value(&heard, 0, BELT_FIELD_FAILED), 2);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_SUCCESSFUL), 0);
    belt_pipeline_free(p);
}

Test(telemetry, tells_of_sources_batchers_and_the_whole, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to(marked, "beltway.source.fill", &heard);
    cr_assert_eq(heard.used, 1);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_MESSAGES), 5);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_BYTES), strlen("a,bad1,no1,b,bad2"));
    belt_pipeline_free(p);
    p = listen_to(marked, "beltway.batcher", &heard);
    cr_assert_eq(heard.used, 2);
    cr_assert_eq(heard.at[1].kind, BELT_EVENT_BATCHER_STOP);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_MESSAGES), 2);
    belt_pipeline_free(p);
    p = listen_to(marked, "beltway.topology", &heard);
    cr_assert_eq(heard.used, 2);
    cr_assert_eq(value(&heard, 0, BELT_FIELD_STAGES), 3);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_MESSAGES), 5);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_FAILED), 2);
    belt_pipeline_free(p);
}

Test(telemetry, waits_begin_and_end_in_turns, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b', repeat: 20 } }\n"
                                          "batcher: { size: 1, sink: keep_all }\n");
    struct belt_error err = { 0 };
    attach(p, "beltway.wait", &heard);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    bool waits[3] = { false };
    cr_assert_gt(heard.used, 0);
    for (int i = 0; i < heard.used; i++) {
        bool *is = &waits[*heard.at[i].stage == 's' ? 0 : *heard.at[i].stage == 'p' ? 1 : 2];
        cr_assert_eq(*is, heard.at[i].kind == BELT_EVENT_WAIT_STOP, "event %d", i);
        *is = !*is;
        if (!*is)
            cr_assert_gt(value(&heard, i, BELT_FIELD_DURATION), 0);
    }
    belt_pipeline_free(p);
}

Test(telemetry, tells_that_a_worker_was_started_anew, .timeout = 30)
{
    static struct heard heard;
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,abort,b'", "max_attempts: 1, steps: [ poison: {} ]");
    attach(p, "beltway.worker", &heard);
    attach(p, "beltway.processor.message.exception", &heard);
    expect_run(p);
    cr_assert_eq(heard.used, 3);
    cr_assert_eq(heard.at[0].kind, BELT_EVENT_WORKER_RESTART);
    cr_assert_str_eq(heard.at[0].text, "killed by SIGABRT");
    cr_assert_eq(value(&heard, 1, BELT_FIELD_RESTARTS), 2);
    cr_assert_eq(value(&heard, 1, BELT_FIELD_ATTEMPTS), 1);
    cr_assert_eq(heard.at[2].kind, BELT_EVENT_MESSAGE_EXCEPTION);
    belt_pipeline_free(p);
}

/* ---- who is told ------------------------------------------------------------------- */

Test(telemetry, all_does_not_mean_every_message, .timeout = 10)
{
    static struct heard heard;
    struct belt_pipeline *p = listen_to(marked, "beltway", &heard);
    cr_assert_gt(heard.used, 5);
    for (int i = 0; i < heard.used; i++)
        cr_assert(!strstr(heard.at[i].name, ".message."), "%s", heard.at[i].name);
    belt_pipeline_free(p);
}

Test(telemetry, a_prefix_ends_at_a_dot)
{
    struct belt_pipeline *p = pipeline_of(marked);
    struct belt_error err = { 0 };
    static struct heard heard;
    cr_assert_eq(belt_telemetry_attach(p, "beltway.proc", hear, &heard, &err), -EINVAL);
    cr_assert(strstr(err.text, "no event is named 'beltway.proc'"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(telemetry, there_are_only_so_many_handlers)
{
    struct belt_pipeline *p = pipeline_of(marked);
    struct belt_error err = { 0 };
    static struct heard heard;
    for (int i = 0; i < BELT_HANDLERS; i++)
        cr_assert_eq(attach(p, "beltway", &heard), i);
    cr_assert_eq(belt_telemetry_attach(p, "beltway", hear, &heard, &err), -ENOSPC);
    cr_assert_eq(belt_telemetry_detach(p, 5), 0);
    cr_assert_eq(belt_telemetry_detach(p, 5), -ENOENT);
    cr_assert_eq(attach(p, "beltway", &heard), 5);
    belt_pipeline_free(p);
}

static struct belt_pipeline *detached_by;

static void detach_itself(const struct belt_event *event, void *arg)
{
    hear(event, arg);
    belt_telemetry_detach(detached_by, 0);
}

Test(telemetry, a_handler_may_detach_itself, .timeout = 10)
{
    static struct heard heard;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b', repeat: 20 } }\n");
    detached_by = p;
    cr_assert_eq(belt_telemetry_attach(p, "beltway.processor", detach_itself, &heard, &err), 0);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(heard.all, 1);
    belt_pipeline_free(p);
}

Test(telemetry, attached_in_the_middle_of_a_run_hears_the_rest, .timeout = 10)
{
    static struct heard heard;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b', repeat: 20 } }\n");
    uint64_t now = 1;
    for (; totals_of(p).received < 10; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    uint64_t before = totals_of(p).received;
    int id = attach(p, "beltway.source.fill", &heard);
    for (; totals_of(p).received < 30; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_eq(heard.messages, totals_of(p).received - before);
    uint64_t messages = heard.messages;
    cr_assert_eq(belt_telemetry_detach(p, id), 0);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(heard.messages, messages);
    belt_pipeline_free(p);
}

/* ---- with lanes and a thread of its own ----------------------------------------------- */

static const char many[] = "source: { counter: { count: 3000000 } }\n";

Test(telemetry, when_the_run_has_ended_everything_was_told_or_counted_as_lost, .timeout = 30)
{
    static struct heard heard;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(many);
    attach(p, "beltway.processor.stop", &heard);
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    uint64_t frames = heard.all + belt_telemetry_lost(p);
    frames -= belt_telemetry_lost(p) ? 1 : 0; /* that some were lost is an event, too */
    cr_assert_geq(frames, 3000000 / BELT_FRAME);
    if (!belt_telemetry_lost(p))
        cr_assert_eq(heard.messages, 3000000);
    belt_pipeline_free(p);
}

static _Atomic bool hold;
static _Atomic uint64_t lost_heard;

static void hold_up(const struct belt_event *event, void *arg)
{
    (void)arg;
    while (hold)
        pause_ms(1);
    if (event->kind == BELT_EVENT_LOST)
        lost_heard += belt_event_value(event, BELT_FIELD_EVENTS);
}

Test(telemetry, a_slow_handler_costs_events_that_are_counted_and_no_message, .timeout = 60)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { counter: { count: 20000000 } }\n");
    hold = true;
    cr_assert_geq(belt_telemetry_attach(p, "beltway.source", hold_up, NULL, &err), 0);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    while (totals_of(p).done < 20000000)
        pause_ms(1);
    cr_assert_gt(belt_telemetry_lost(p), 0);
    hold = false;
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(lost_heard, belt_telemetry_lost(p));
    belt_pipeline_free(p);
}

Test(telemetry, the_start_waits_for_no_handler, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { counter: { count: 1000 } }\n");
    hold = true;
    cr_assert_geq(belt_telemetry_attach(p, "beltway.topology", hold_up, NULL, &err), 0);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    hold = false;
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

Test(telemetry, attach_and_detach_beside_running_lanes, .timeout = 30)
{
    static struct heard heard;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b,c', endless: true } }\n"
                                          "batcher: { size: 3, sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (int i = 0; i < 20; i++) {
        uint64_t all = heard.all;
        int id = attach(p, "beltway", &heard);
        while (*(volatile uint64_t *)&heard.all == all)
            pause_ms(1);
        cr_assert_eq(belt_telemetry_detach(p, id), 0);
    }
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}
