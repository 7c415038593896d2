#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- step `both`: prepare() fails "pre...", drops "skip..."; failed() adds to reasons and
 * payloads; what it saw is in `calls` -------------------------------------------------- */

static struct {
    int prepared, messages, told;
    uint32_t seen; /* messages that prepare() was shown */
} calls;

static void both_prepare(void *state, struct belt_view *view)
{
    (void)state;
    calls.prepared++;
    BELT_EACH (view, i) {
        uint32_t size;
        const char *text = belt_text(view, 0, i, &size);
        calls.seen++;
        if (size >= 3 && memcmp(text, "pre", 3) == 0)
            belt_fail_message(view, i, "prepare says no");
        else if (size >= 4 && memcmp(text, "skip", 4) == 0)
            belt_drop(view, i);
    }
}

static int both_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    calls.messages++;
    if (*belt_text(view, 0, i, &size) == 'x')
        belt_fail_message(view, i, "an x");
    return 0;
}

static void both_failed(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    char longer[BELT_REASON];
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    calls.told++;
    snprintf(longer, sizeof longer, "%s, told", reason);
    belt_fail_message(view, i, longer);
    char *room = belt_room(view, size + 1);
    if (room) {
        memcpy(room, text, size);
        room[size] = '!';
        belt_put_text(view, 0, i, room, size + 1);
    }
    belt_drop(view, i); /* in vain */
}

static const struct belt_step both_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "both", .help = "two more callbacks" },
    .message = both_message,
    .prepare = both_prepare,
    .failed = both_failed,
};

static struct belt_totals runs(const char *yaml)
{
    struct belt_error err = { 0 };
    memset(&calls, 0, sizeof calls);
    struct belt_pipeline *p = pipeline_with(&both_step.part, yaml);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    belt_pipeline_free(p);
    return t;
}

#define FAILED                                                                                     \
    "failed: { sink: { keep_all: { format: { csv: { columns: [payload, reason] } } } } }\n"

Test(step_calls, prepare_sees_a_frame_at_once_and_before_any_message, .timeout = 10)
{
    struct belt_totals t = runs("source: { say: { words: 'a,pre1,skip,b', repeat: 3 } }\n"
                                "processor: { steps: [ both: {} ] }\n" FAILED);
    cr_assert_eq(calls.prepared, 3);
    cr_assert_eq(calls.seen, 12);
    cr_assert_eq(calls.messages, 6);
    cr_assert_eq(t.failed, 3);
    cr_assert_eq(t.dropped, 3);
    cr_assert_not_null(strstr(kept.text, "prepare says no, told"), "%s", kept.text);
}

Test(step_calls, prepare_is_not_repeated_for_the_rest_of_a_split_frame, .timeout = 10)
{
    runs("source: { say: 'a,b,c,d,e,f,g,h' }\n"
         "processor: { steps: [ both: {}, grow: 300000, both: {} ] }\n"
         "batcher: { memory: 16MiB, sink: 'null' }\n");
    cr_assert_eq(calls.messages, 16);
    cr_assert_eq(calls.seen, 16);
}

Test(step_calls, failed_hears_of_every_failure_of_its_processor_once, .timeout = 10)
{
    struct belt_totals t = runs("source: { say: 'bad1,x,a,pre,y' }\n"
                                "processor: { steps: [ both: {}, mark: {}, grow: 2 ] }\n" FAILED);
    cr_assert_eq(calls.told, 3);
    cr_assert_eq(t.failed, 3);
    cr_assert_eq(t.done, 2);
    cr_assert_not_null(strstr(kept.text, "bad1!,\"it is bad, told\""), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "x!,\"an x, told\""), "%s", kept.text);
}

Test(step_calls, a_failed_message_keeps_its_text_when_others_get_new_ones, .timeout = 10)
{
    runs("source: { say: 'a,bad1,b' }\n"
         "processor: { steps: [ mark: {}, grow: 5 ] }\n" FAILED);
    cr_assert_not_null(strstr(kept.text, "bad1,it is bad"), "%s", kept.text);
}

Test(step_calls, work_in_workers_under_a_time_out, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(
        &both_step.part, "source: { say: { words: 'a,pre1,skip,x', repeat: 50 } }\n"
                         "processor: { isolation: process, timeout: 5s, concurrency: 1,\n"
                         "             steps: [ both: {} ] }\n"
                         "batcher: { sink: 'null' }\n" FAILED);
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 100);
    cr_assert_eq(totals_of(p).dropped, 50);
    cr_assert_not_null(strstr(kept.text, "x!,\"an x, told\""), "%s", kept.text);
    belt_pipeline_free(p);
}
