/* Messages that a step holds: unsettled until somebody settles them, once. */
#include <errno.h>
#include <pthread.h>

#include "core/control.h"
#include "core/pipeline_priv.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- step `keeper`: holds every word with an h --------------------------------------- */

static struct {
    uint64_t handles[20000];
    int count, refused;
    bool fail; /* what cannot be held fails, instead of waiting */
} keeper;

static int keeper_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    const char *text = belt_text(view, 0, i, &size);
    if (!size || text[0] != 'h')
        return 0;
    if (size > 1 && text[1] == 'x' && belt_attempt(view, i) < 2) {
        belt_fail_message(view, i, "not yet");
        return 0;
    }
    uint64_t handle = belt_hold(view, i);
    if (handle) {
        keeper.handles[keeper.count++] = handle;
        return 0;
    }
    keeper.refused++;
    if (!keeper.fail)
        return -1;
    belt_fail_message(view, i, "no place to hold it");
    return 0;
}

static const struct belt_step keeper_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "keeper", .help = "holds" },
    .message = keeper_message,
};

static struct belt_pipeline *holding(const char *words, const char *settings)
{
    char yaml[1500];
    memset(&keeper, 0, sizeof keeper);
    snprintf(yaml, sizeof yaml,
             "source: { say: { %s } }\nprocessor: { steps: [ mark: {}, keeper: {} ] }\n"
             "batcher: { size: 1000, sink: { keep_all: {} } }\n%s\n",
             words, settings);
    return pipeline_with(&keeper_step.part, yaml);
}

/* Turns that check conservation. */
static void turns(struct belt_pipeline *p, uint64_t *now, int count)
{
    struct belt_error err = { 0 };
    for (int i = 0; i < count; i++) {
        cr_assert_geq(belt_pipeline_turn(p, *now += 1000000, &err), 0, "%s", err.text);
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
}

static void ends(struct belt_pipeline *p, uint64_t done, uint64_t failed)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done, done, "%lu done", t.done);
    cr_assert_eq(t.failed, failed, "%lu failed", t.failed);
}

Test(hold, what_is_held_stays_unsettled_until_it_is_settled)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'a,h1,b,bad,no,h2'", "hold_messages: 10");
    turns(p, &now, 1500);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 2);
    cr_assert_eq(keeper.count, 2);
    cr_assert_eq(belt_held_settle(keeper.handles[0], 0, NULL), 0);
    turns(p, &now, 10);
    cr_assert_eq(totals_of(p).unsettled, 1);
    cr_assert_eq(belt_held_settle(keeper.handles[1], 0, NULL), 0);
    ends(p, 5, 1);
    cr_assert_str_eq(kept.text, "[e:a|b|]", "%s", kept.text);
    belt_pipeline_free(p);
}

Test(hold, its_payload_can_be_read)
{
    uint64_t now = 1000000000;
    uint32_t size;
    struct belt_pipeline *p = holding("words: 'hello'", "hold_messages: 10");
    turns(p, &now, 10);
    const char *bytes = belt_held_bytes(keeper.handles[0], &size);
    cr_assert_eq(size, 5);
    cr_assert_arr_eq(bytes, "hello", 5);
    belt_held_settle(keeper.handles[0], 0, NULL);
    cr_assert_null(belt_held_bytes(keeper.handles[0], &size));
    cr_assert_eq(size, 0);
    ends(p, 1, 0);
    belt_pipeline_free(p);
}

Test(hold, a_failure_is_counted_with_its_reason_and_place)
{
    uint64_t now = 1000000000;
    struct belt_failure seen[2];
    struct belt_pipeline *p = holding("words: 'a,h'", "hold_messages: 10");
    turns(p, &now, 10);
    belt_held_settle(keeper.handles[0], -EIO, "it came back unread");
    ends(p, 1, 1);
    cr_assert_eq(belt_pipeline_failures(p, seen, 2), 1);
    cr_assert_str_eq(seen[0].reason, "it came back unread");
    cr_assert_str_eq(seen[0].where, "record at 2");
    belt_pipeline_free(p);
}

Test(hold, settling_twice_or_after_the_end_is_stale)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'h,h', repeat: 2", "hold_messages: 2");
    turns(p, &now, 10);
    cr_assert_eq(keeper.count, 2);
    uint64_t first = keeper.handles[0];
    cr_assert_eq(belt_held_settle(first, 0, NULL), 0);
    cr_assert_eq(belt_held_settle(first, 0, NULL), -ESTALE);
    turns(p, &now, 10);
    cr_assert_eq(keeper.count, 3, "its place was used again");
    cr_assert_eq(belt_held_settle(first, 0, NULL), -ESTALE);
    cr_assert_eq(belt_held_settle(0, 0, NULL), -ESTALE);
    cr_assert_eq(totals_of(p).unsettled, 3);
    belt_pipeline_free(p);
    cr_assert_eq(belt_held_settle(keeper.handles[2], 0, NULL), -ESTALE);
}

Test(hold, a_step_waits_while_nothing_can_be_held)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'a,h,b,h,h,c', repeat: 50", "hold_messages: 2");
    int settled = 0;
    turns(p, &now, 20);
    cr_assert_eq(keeper.count, 2);
    cr_assert_gt(keeper.refused, 0);
    while (settled < 150) {
        turns(p, &now, 3);
        cr_assert_leq(keeper.count - settled, 2);
        cr_assert_gt(keeper.count, settled, "nothing is held any more, and nothing moves");
        cr_assert_eq(belt_held_settle(keeper.handles[settled++], 0, NULL), 0);
    }
    ends(p, 300, 0);
    belt_pipeline_free(p);
}

Test(hold, or_fails_what_it_cannot_hold)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'h1,h2,h3'", "hold_messages: 2");
    keeper.fail = true;
    turns(p, &now, 10);
    belt_held_settle(keeper.handles[0], 0, NULL);
    belt_held_settle(keeper.handles[1], 0, NULL);
    ends(p, 2, 1);
    belt_pipeline_free(p);
}

Test(hold, one_that_is_tried_again_may_be_held_then)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'hx,a,hx', repeat: 3",
                                      "hold_messages: 4\nfailed: { attempts: 3, backoff: 5ms }");
    int settled = 0;
    turns(p, &now, 10);
    cr_assert_eq(keeper.count, 0);
    for (; settled < 6; settled++) {
        turns(p, &now, 50);
        cr_assert_gt(keeper.count, settled);
        cr_assert_eq(belt_held_settle(keeper.handles[settled], 0, NULL), 0);
    }
    ends(p, 9, 0);
    cr_assert_eq(keeper.count, 6);
    belt_pipeline_free(p);
}

Test(hold, memory_is_a_limit_too)
{
    uint64_t now = 1000000000;
    struct belt_pipeline *p = holding("words: 'h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h'",
                                      "hold_messages: 100\nhold_memory: 4KiB");
    keeper.fail = true;
    turns(p, &now, 10);
    cr_assert_eq(keeper.count, 16); /* of 256 bytes each */
    for (int i = 0; i < keeper.count; i++)
        belt_held_settle(keeper.handles[i], 0, NULL);
    ends(p, 16, 4);
    belt_pipeline_free(p);
}

Test(hold, without_the_setting_nothing_can_be_held)
{
    struct belt_pipeline *p = holding("words: 'a,h'", "");
    keeper.fail = true;
    ends(p, 1, 1);
    belt_pipeline_free(p);
}

/* ---- another thread settles ----------------------------------------------------------- */

#define MANY 12000

static uint64_t published, given;

static int hand_out(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    uint64_t handle = belt_hold(view, i);
    if (!handle)
        return -1;
    belt_store_relaxed(&keeper.handles[given], handle);
    belt_store_release(&published, ++given);
    return 0;
}

static const struct belt_step hand_out_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "hand_out", .help = "to a thread" },
    .message = hand_out,
};

static void *settle_all(void *arg)
{
    uint64_t *failed = arg;
    for (uint64_t i = 0; i < MANY; i++) {
        while (belt_load_acquire(&published) <= i)
            sched_yield();
        int code = i % 10 ? 0 : -EIO;
        *failed += code < 0;
        if (belt_held_settle(belt_load_relaxed(&keeper.handles[i]), code, "tenth") < 0)
            return (void *)"stale";
    }
    return NULL;
}

Test(hold, any_thread_may_settle, .timeout = 60)
{
    struct belt_error err = { 0 };
    pthread_t thread;
    uint64_t failed = 0;
    void *stale;
    given = 0;
    struct belt_pipeline *p = pipeline_with(
        &hand_out_step.part, "source: { say: { words: 'a,b,c,d,e,f', repeat: 2000 } }\n"
                             "processor: { concurrency: 1, steps: [ hand_out: {} ] }\n"
                             "batcher: { sink: 'null' }\nhold_messages: 7\n");
    cr_assert_eq(pthread_create(&thread, NULL, settle_all, &failed), 0);
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    pthread_join(thread, &stale);
    cr_assert_null(stale);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.failed, failed);
    cr_assert_eq(t.done, MANY - failed);
    belt_pipeline_free(p);
}

/* ---- refused -------------------------------------------------------------------------- */

static void refuses(const char *settings, const char *why)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = holding("words: 'a'", settings);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert(strstr(err.text, why), "%s", err.text);
    cr_assert(strstr(err.text, "test.yaml:4:"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(hold, refuses_settings_that_mean_nothing)
{
    refuses("hold_memory: 1MiB", "set hold_messages as well");
    refuses("hold_messages: many", "hold_messages");
    refuses("hold_mesages: 3", "hold_mesages");
    struct belt_error err = { 0 };
    struct belt_pipeline *p = holding("words: 'a'", "hold_messages: 3");
    cr_assert_eq(belt_pipeline_set(p, "processor.isolation", "process", &err), 0);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert(strstr(err.text, "cannot hold messages"), "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- while it runs ------------------------------------------------------------------- */

static struct belt_pipeline *holding_pushed(void)
{
    struct belt_error err = { 0 };
    memset(&keeper, 0, sizeof keeper);
    struct belt_pipeline *p = pipeline_with(
        &keeper_step.part, "source: { push: {} }\nhold_messages: 10\n"
                           "processor: { concurrency: 1, steps: [ letter: {}, keeper: {} ] }\n"
                           "batcher: { partition_by: letter, max_concurrency: 2, order: any,\n"
                           "           timeout: 1h, sink: keep_all }\n");
    uint64_t now = 1000000000;
    turns(p, &now, 1);
    const struct belt_message two[] = { { "a", 1, 0, NULL, 0 }, { "h", 1, 0, NULL, 0 } };
    cr_assert_eq(belt_pipeline_push(p, NULL, two, 2, 0, &err), 2, "%s", err.text);
    turns(p, &now, 5);
    cr_assert_eq(keeper.count, 1);
    cr_assert_eq(kept.rows, 0);
    return p;
}

static void settle_and_end(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(totals_of(p).unsettled, 1);
    belt_held_settle(keeper.handles[0], 0, NULL);
    cr_assert_eq(belt_pipeline_push_end(p, NULL, &err), 0, "%s", err.text);
    ends(p, 2, 0);
    belt_pipeline_free(p);
}

Test(hold, a_pause_sends_batches_out_beside_what_is_held)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = holding_pushed();
    cr_assert_eq(belt_pipeline_pause(p, 0, BELT_PAUSE_FLUSH, &err), 0, "%s", err.text);
    cr_assert_eq(kept.rows, 1);
    belt_pipeline_resume(p);
    settle_and_end(p);
}

Test(hold, a_batcher_is_resized_beside_what_is_held)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = holding_pushed();
    cr_assert_eq(belt_pipeline_resize(p, "batcher", 2, 0, &err), 0, "%s", err.text);
    cr_assert_eq(kept.rows, 1);
    settle_and_end(p);
}
