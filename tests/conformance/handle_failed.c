/* handle_failed: B063 to B071. Of steps it is belt_step.failed, of batches belt_sink.failed; the
 * sink of `failed` gets what both leave. */
#include "core/telemetry.h"
#include "tests/conformance/conformance.h"

/* ---- processors ------------------------------------------------------------------------------ */

static bool kept_has(const char *words)
{
    return strstr(kept.text, words) != NULL;
}

/* Another reason, another text; dies of "deadly". */
static void retell(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    char told[BELT_REASON];
    (void)state;
    if (is_text(view, i, "deadly"))
        die_segv();
    snprintf(told, sizeof told, "%.80s, they say", reason);
    belt_fail_message(view, i, told);
    char *room = belt_room(view, 4);
    if (room)
        belt_put_text(view, 0, i, memcpy(room, "told", 4), 4);
}

static int fail_by_name(void *state, struct belt_view *view, uint32_t i)
{
    obey_message(state, view, i);
    if (is_text(view, i, "bad") || is_text(view, i, "deadly"))
        belt_fail_message(view, i, "it is bad");
    return 0;
}

static const struct belt_step retelling = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "retelling", .help = "for a test" },
    .message = fail_by_name,
    .failed = retell,
};

static struct belt_pipeline *retold(const char *words)
{
    char yaml[400];
    no_cores();
    snprintf(yaml, sizeof yaml,
             "source: { acked: '%s' }\n"
             "processor: { isolation: process, concurrency: 1, max_attempts: 2,\n"
             "             steps: [ retelling: {} ] }\n"
             "batcher: { sink: 'null' }\n"
             "failed: { sink: keep_all }\n",
             words);
    return acked_pipeline(&retelling.part, yaml);
}

/* It sees the message; what it makes of text and reason is what is told and written. */
Test(conformance, B063_processor_user_failure, .timeout = 20)
{
    struct belt_pipeline *p = retold("a,bad");
    expect_run(p);
    expect_acks(2, "df");
    expect_failure(p, "it is bad, they say");
    cr_assert(kept_has("\"payload\":\"told\""), "%s", kept.text);
    cr_assert(kept_has("\"reason\":\"it is bad, they say\""), "%s", kept.text);
    belt_pipeline_free(p);
}

/* The same for one under which workers died. */
Test(conformance, B064_processor_exception, .timeout = 20)
{
    struct belt_pipeline *p = retold("a,segv,b");
    expect_run(p);
    expect_acks(3, "dfd");
    expect_failure(p, "2 workers died under it, the last: killed by SIGSEGV, they say");
    cr_assert(kept_has("\"payload\":\"told\""), "%s", kept.text);
    belt_pipeline_free(p);
}

/* A crash in it changes neither outcome nor text, and costs no other message; the reason is how
 * the workers died that heard of it. A sink of `failed` that refuses at all its attempts ends the
 * run, since nobody is left to take what failed; its messages have failed all the same. */
Test(conformance, B065_processor_contained, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = retold("a,deadly,b");
    expect_run(p);
    expect_acks(3, "dfd");
    expect_failure(p, "4 workers died under it, the last: killed by SIGSEGV");
    cr_assert(kept_has("\"payload\":\"deadly\""), "%s", kept.text);
    belt_pipeline_free(p);
    p = acked_pipeline(NULL, "source: { acked: 'a,bad,b' }\n"
                             "processor: { steps: [ mark: {} ] }\n"
                             "failed: { sink: keep_all }\n");
    kept.refuse = -EIO;
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_not_null(strstr(err.text, "failed"), "%s", err.text);
    expect_acks(3, "dfd");
    belt_pipeline_free(p);
}

/* ---- batches ------------------------------------------------------------------------------- */

static struct {
    char text[400];
    int calls;
    bool all; /* batch() refuses all of it, else rows that begin with 'b' */
} heard;

static int pick(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    if (heard.all)
        return belt_error_set(err, -EIO, "no");
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->bytes[batch->spans[i].at] == 'b')
            belt_batch_fail(batch, i, "it is bad");
    return 0;
}

static void hear_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    char *to = heard.text + strlen(heard.text);
    (void)state, (void)code, (void)reason;
    heard.calls++;
    for (uint32_t i = 0; i < batch->count; i++)
        to += sprintf(to, "%c:%s ", batch->bytes[batch->spans[i].at], belt_batch_reason(batch, i));
    belt_batch_fail(batch, 0, "another reason"); /* too late: ignored */
}

static const struct belt_sink hearing = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "hearing", .help = "for a test" },
    .batch = pick,
    .failed = hear_failed,
};

static struct belt_pipeline *hearing_pipeline(bool all)
{
    memset(&heard, 0, sizeof heard);
    heard.all = all;
    return acked_pipeline(&hearing.part, "source: { acked: 'a,b1,c,b2' }\n"
                                         "batcher: { sink: hearing }\n");
}

Test(conformance, B066_batch_user_failure)
{
    end_and_free(hearing_pipeline(false));
    cr_assert_eq(heard.calls, 1);
    cr_assert_str_eq(heard.text, "b:it is bad b:it is bad ");
    expect_acks(4, "dfdf");
}

/* A callback that returns an error. */
Test(conformance, B067_batch_crash)
{
    end_and_free(hearing_pipeline(true));
    cr_assert_eq(heard.calls, 1);
    cr_assert_str_eq(heard.text, "a:no b:no c:no b:no ");
    expect_acks(4, "ffff");
}

/* It returns nothing and changes nothing: not the outcome, not the reasons. */
Test(conformance, B068_batch_contained)
{
    struct belt_pipeline *p = hearing_pipeline(false);
    expect_end(p);
    cr_assert_eq(heard.calls, 1);
    expect_failure(p, "it is bad");
    expect_acks(4, "dfdf");
    belt_pipeline_free(p);
}

/* ---- telemetry: what failed is in the stop events ------------------------------------------- */

static char told[600];

static void note_event(const struct belt_event *event, void *arg)
{
    char *to = told + strlen(told);
    (void)arg;
    snprintf(to, sizeof told - (size_t)(to - told), "%s %llu %s; ", event->name,
             (unsigned long long)belt_event_value(event, BELT_FIELD_FAILED), event->text);
}

static void expect_event(struct belt_pipeline *p, const char *prefix, const char *event)
{
    struct belt_error err = { 0 };
    memset(told, 0, sizeof told);
    cr_assert_geq(belt_telemetry_attach(p, prefix, note_event, NULL, &err), 0, "%s", err.text);
    end_and_free(p);
    cr_assert_not_null(strstr(told, event), "%s", told);
}

#define MARKED "source: { say: 'a,bad,b' }\nprocessor: { steps: [ mark: {} ] }\n"

/* Messages are not lent to handlers: their number is told, and, by name, each one's reason. */
Test(conformance, B069_telemetry_processor)
{
    expect_event(pipeline_of(MARKED), "beltway.processor", "beltway.processor.stop 1 ; ");
}

Test(conformance, B070_telemetry_batch)
{
    expect_event(hearing_pipeline(false), "beltway.batch_processor",
                 "beltway.batch_processor.stop 2 it is bad; ");
}

/* An exception event carries the reason that a failed message has. */
Test(conformance, B071_telemetry_exception)
{
    expect_event(pipeline_of(MARKED), "beltway.processor.message",
                 "beltway.processor.message.exception 0 it is bad; ");
}
