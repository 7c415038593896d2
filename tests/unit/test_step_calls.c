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

/* ---- step `any`: makes the calls that a word's letters say, in their order ------------- */

static uint64_t any_held[1000];
static int any_held_used;

static void any_hold(struct belt_view *view, uint32_t i)
{
    uint64_t handle = belt_hold(view, i);
    if (handle)
        any_held[any_held_used++] = handle;
}

static void any_put(struct belt_view *view, uint32_t i)
{
    char *room = belt_room(view, 3);
    if (room)
        belt_put_text(view, 0, i, memcpy(room, "put", 3), 3);
}

static void any_call(struct belt_view *view, uint32_t i, char what)
{
    switch (what) {
    case 'a': belt_ack(view, i); break;
    case 'd': belt_drop(view, i); break;
    case 'f': belt_fail_message(view, i, "as told"); break;
    case 'h': any_hold(view, i); break;
    case 'p': any_put(view, i); break;
    case 'r': belt_route(view, i, 1); break;
    case 'n': belt_route(view, i, 99); break;
    case 'o': belt_route_also(view, i, 1); break;
    case 'm': belt_route_also(view, i, -5); break;
    case 'u': belt_flush(view, i); break;
    }
}

#define ANY "adfhprnomu"

static int any_message(void *state, struct belt_view *view, uint32_t i)
{
    char word[16];
    uint32_t size;
    (void)state;
    const char *text = belt_text(view, 0, i, &size);
    memcpy(word, text, size);
    for (uint32_t at = 0; at < size; at++)
        any_call(view, i, word[at]);
    return 0;
}

static const struct belt_step any_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "any", .help = "calls as told" },
    .message = any_message,
};

static struct belt_pipeline *calling(const char *words, const char *failed)
{
    char yaml[6000];
    any_held_used = 0;
    snprintf(yaml, sizeof yaml,
             "source: { say: '%s' }\nhold_messages: 1000\n"
             "processor: { steps: [ letter: {}, any: {} ] }\n"
             "batchers: { main: { size: 7, key: letter, sink: keep_all },\n"
             "            other: { size: 3, sink: 'null' } }\nfailed: { %s }\n",
             words, failed);
    return pipeline_with(&any_step.part, yaml);
}

/* Turns to the end, settling what is held; conservation is checked after each. */
static void settles_all(struct belt_pipeline *p)
{
    struct belt_error err = { 0 }, broken = { 0 };
    uint64_t now = 1;
    int rc = 0;
    for (; rc >= 0 && now < 100000; now++) {
        rc = belt_pipeline_turn(p, now * 1000000, &err);
        cr_assert_eq(belt_check(p, &broken), 0, "%s", broken.text);
        for (; any_held_used; any_held_used--)
            belt_held_settle(any_held[any_held_used - 1], -EIO, "held");
    }
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done + t.failed, t.received);
}

Test(step_calls, two_in_any_order_settle_a_message_once, .timeout = 20)
{
    char words[1000], *at = words;
    for (const char *a = ANY; *a; a++)
        for (const char *b = ANY; *b; b++)
            at += sprintf(at, "%s%c%c", at > words ? "," : "", *a, *b);
    const char *const failed[] = { "sink: 'null'", "attempts: 2, backoff: 2ms, sink: 'null'" };
    for (size_t i = 0; i < 2; i++) {
        struct belt_pipeline *p = calling(words, failed[i]);
        settles_all(p);
        belt_pipeline_free(p);
    }
}

Test(step_calls, four_in_any_order_settle_a_message_once, .timeout = 20)
{
    uint64_t seed = 7;
    for (int round = 0; round < 40; round++) {
        char words[1000] = "", *at = words;
        for (int word = 0; word < 150; word++, *at++ = ',')
            for (int letter = 0; letter < 4; letter++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                *at++ = ANY[(seed >> 33) % (sizeof ANY - 1)];
            }
        at[-1] = 0;
        struct belt_pipeline *p = calling(words, "sink: 'null'");
        settles_all(p);
        belt_pipeline_free(p);
    }
}

/* Of dropping, failing and holding the first one holds. */
Test(step_calls, what_was_dropped_failed_or_held_first_stays_so)
{
    static const struct {
        const char *word;
        uint64_t dropped, failed, held;
    } cases[] = { { "df", 1, 0, 0 }, { "dh", 1, 0, 0 }, { "fd", 0, 1, 0 }, { "fh", 0, 1, 0 },
                  { "hd", 0, 0, 1 }, { "hf", 0, 0, 1 }, { "hh", 0, 0, 1 }, { "dn", 1, 0, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct belt_error err = { 0 };
        struct belt_pipeline *p = calling(cases[i].word, "sink: 'null'");
        for (uint64_t now = 1; now < 10; now++)
            belt_pipeline_turn(p, now * 1000000, &err);
        cr_assert_eq(totals_of(p).dropped, cases[i].dropped, "%s", cases[i].word);
        cr_assert_eq(any_held_used, (int)cases[i].held, "%s: %d", cases[i].word, any_held_used);
        settles_all(p);
        cr_assert_eq(totals_of(p).failed, cases[i].failed + cases[i].held, "%s", cases[i].word);
        belt_pipeline_free(p);
    }
}
