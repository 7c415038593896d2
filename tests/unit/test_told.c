/* What a source is told beside an outcome: what a step asked for, and why it failed. */
#include "core/testing.h"
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

#define S UINT64_C(1000000000)

/* ---- step `ask`: asks for what is written in `by` about words with an 'r', thinks better of
 * those with a 'q'; those with a 't' go to a second batcher, those with an 'h' are held, those
 * with an 'a' acknowledged; `fail...` fails, at first or (`failed...`) always ---------------- */

struct ask_conf {
    const char *by;
    int reject, requeue;
};

static const struct belt_setting ask_settings[] = {
    { "by", BELT_SET_TEXT, offsetof(struct ask_conf, by), "reject", "", NULL, 0, 0 },
    { 0 },
};

static struct {
    uint64_t held;
    bool in_failed; /* asks in failed(), not in message() */
} ask;

static int ask_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct ask_conf *c = conf;
    c->reject = belt_setup_ack(setup, NULL, c->by, err);
    if (c->reject >= 0)
        c->requeue = belt_setup_ack(setup, NULL, "requeue", err);
    return c->reject < 0 || c->requeue < 0 ? -EINVAL : 0;
}

static int ask_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)in, (void)err;
    *(struct ask_conf **)state = conf;
    return 0;
}

static bool has(const struct belt_view *view, uint32_t i, char letter)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    return memchr(text, letter, size) != NULL;
}

static bool begins(const struct belt_view *view, uint32_t i, const char *with)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    return size >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static int ask_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct ask_conf *conf = *(struct ask_conf **)state;
    if ((has(view, i, 'r') || has(view, i, 'q')) && !ask.in_failed &&
        belt_configure_ack(view, i, conf->reject) < 0)
        return 0;
    if (has(view, i, 'q'))
        belt_configure_ack(view, i, conf->requeue);
    if (has(view, i, 't'))
        belt_route_also(view, i, 1);
    if (has(view, i, 'h'))
        ask.held = belt_hold(view, i);
    else if (begins(view, i, "failed") || (begins(view, i, "fail") && !belt_attempt(view, i)))
        belt_fail_message(view, i, belt_attempt(view, i) ? "again" : "as told");
    else if (has(view, i, 'a'))
        belt_ack(view, i);
    return 0;
}

static void ask_failed(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    const struct ask_conf *conf = *(struct ask_conf **)state;
    (void)reason;
    if (ask.in_failed)
        belt_configure_ack(view, i, conf->requeue);
}

static const struct belt_step ask_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "ask",
              .help = "asks for acknowledgements",
              .settings = ask_settings,
              .conf_size = sizeof(struct ask_conf),
              .state_size = sizeof(struct ask_conf *),
              .prepare = ask_prepare,
              .init = ask_init,
              .scalar = "by" },
    .message = ask_message,
    .failed = ask_failed,
};

/* ---- step `twice`: two messages of each ------------------------------------------------ */

static int twice_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    for (uint64_t n = belt_emitted(view, i); n < 2; n++)
        if (belt_emit(view, i, text, size) == -EAGAIN)
            return -1;
    return 0;
}

static const struct belt_step twice_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "twice", .help = "one to two" },
    .message = twice_message,
    .emits = true,
};

/* ---- sink `refuse`: no row with an 'n' -------------------------------------------------- */

static int refuse_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    for (uint32_t i = 0; i < batch->count; i++)
        if (memchr(batch->bytes + batch->spans[i].at, 'n', batch->spans[i].size))
            belt_batch_fail(batch, i, i ? "not this one" : "not the first");
    return 0;
}

static const struct belt_sink refuse_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "refuse", .help = "says no" },
    .batch = refuse_batch,
};

/* ---- pipelines -------------------------------------------------------------------------- */

static struct belt_pipeline *with_parts(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&ask_step.part, yaml);
    memset(&ask, 0, sizeof ask);
    cr_assert_eq(belt_pipeline_add(p, &twice_step.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_add(p, &refuse_sink.part, &err), 0, "%s", err.text);
    return p;
}

/* The words, comma-separated, through a pipeline that runs: their outcomes. */
static struct belt_test *hand_in(struct belt_pipeline *p, const char *source, const char *words)
{
    struct belt_error err = { 0 };
    struct belt_message messages[16];
    struct belt_test *test;
    uint32_t count = 0;
    for (const char *at = words; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        messages[count++] = (struct belt_message){ .payload = at,
                                                   .payload_size = (uint32_t)strcspn(at, ","),
                                                   .flags = BELT_MESSAGE_FLUSH };
    cr_assert_eq(belt_test_batch(p, source, messages, count, &test, &err), 0, "%s", err.text);
    return test;
}

static void expect_wait(struct belt_test *test)
{
    cr_assert_eq(belt_test_wait(test, 20 * S), 0);
}

/* What became of message i: its outcome, why, and what was asked for. */
static void expect(struct belt_test *test, uint32_t i, enum belt_outcome outcome,
                   const char *reason, const char *asked)
{
    cr_assert_eq(belt_test_outcome(test, i), outcome, "message %u", i);
    cr_assert_str_eq(belt_test_reason(test, i), reason, "message %u: %s", i,
                     belt_test_reason(test, i));
    cr_assert_str_eq(belt_test_ack(test, i), asked, "message %u: %s", i, belt_test_ack(test, i));
}

static struct belt_pipeline *started(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = with_parts(yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    return p;
}

/* ---- what was asked for ------------------------------------------------------------------ */

static void words_are_told(const char *processors)
{
    char yaml[400];
    snprintf(yaml, sizeof yaml,
             "source: { push: {} }\n%sbatchers: { one: { sink: 'null' }, two: { sink: 'null' } }\n",
             processors);
    struct belt_pipeline *p = started(yaml);
    struct belt_test *test = hand_in(p, NULL, "x,r,q,failr,fail,t,rt,ra,qta");
    expect_wait(test);
    expect(test, 0, BELT_DONE, "", "");
    expect(test, 1, BELT_DONE, "", "reject");
    expect(test, 2, BELT_DONE, "", "requeue");
    expect(test, 3, BELT_FAILED, "as told", "reject");
    expect(test, 4, BELT_FAILED, "as told", "");
    expect(test, 5, BELT_DONE, "", "");
    expect(test, 6, BELT_DONE, "", "reject");
    expect(test, 7, BELT_DONE, "", "reject");
    expect(test, 8, BELT_DONE, "", "requeue");
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(told, what_a_step_asked_for, .timeout = 30)
{
    words_are_told("processor: { steps: [ ask: {} ] }\n");
}

Test(told, what_a_step_in_a_worker_asked_for, .timeout = 30)
{
    words_are_told("processor: { isolation: process, concurrency: 1, steps: [ ask: {} ] }\n");
}

Test(told, what_a_step_behind_a_link_asked_for, .timeout = 30)
{
    words_are_told("processors:\n  first: { concurrency: 1 }\n"
                   "  second: { concurrency: 2, steps: [ ask: {} ] }\n");
}

Test(told, what_a_worker_behind_a_link_asked_for, .timeout = 30)
{
    words_are_told("processors:\n  first: { concurrency: 1 }\n"
                   "  second: { isolation: process, concurrency: 2, steps: [ ask: {} ] }\n");
}

Test(told, what_was_asked_of_one_of_two_children, .timeout = 30)
{
    words_are_told("processors:\n  first: { concurrency: 1, steps: [ twice: {} ] }\n"
                   "  second: { concurrency: 2, dispatch: broadcast, steps: [ ask: {} ] }\n");
}

Test(told, what_was_asked_of_a_message_that_is_held, .timeout = 30)
{
    struct belt_pipeline *p = started("source: { push: {} }\nhold_messages: 10\n"
                                      "processor: { steps: [ ask: {} ] }\n"
                                      "batcher: { sink: 'null' }\n");
    struct belt_test *test = hand_in(p, NULL, "hr");
    while (!*(volatile uint64_t *)&ask.held)
        belt_test_wait(test, S / 100);
    cr_assert_eq(belt_held_settle(ask.held, -EIO, "it came back unread"), 0);
    expect_wait(test);
    expect(test, 0, BELT_FAILED, "it came back unread", "reject");
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(told, what_is_asked_when_a_message_has_failed, .timeout = 30)
{
    struct belt_pipeline *p = started("source: { push: {} }\nprocessor: { steps: [ ask: {} ] }\n"
                                      "batcher: { sink: 'null' }\n");
    ask.in_failed = true;
    struct belt_test *test = hand_in(p, NULL, "r,failed");
    expect_wait(test);
    expect(test, 0, BELT_DONE, "", "");
    expect(test, 1, BELT_FAILED, "as told", "requeue");
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(told, what_was_asked_in_an_earlier_attempt, .timeout = 30)
{
    struct belt_pipeline *p = started("source: { push: {} }\nprocessor: { steps: [ ask: {} ] }\n"
                                      "batcher: { sink: 'null' }\n"
                                      "failed: { attempts: 3, backoff: 1ms, sink: 'null' }\n");
    struct belt_test *test = hand_in(p, NULL, "failr,failed");
    expect_wait(test);
    expect(test, 0, BELT_DONE, "", "reject");
    expect(test, 1, BELT_FAILED, "again", "");
    belt_test_free(test);
    belt_pipeline_free(p);
}

/* ---- sources that do not know it ----------------------------------------------------------- */

Test(told, nothing_that_no_source_knows_can_be_asked_for, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = with_parts("source: { say: a }\n"
                                         "processor: { steps: [ ask: reject ] }\n"
                                         "batcher: { sink: 'null' }\n");
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, "test.yaml:2:28: no source can be told 'reject': source (say): "
                               "nothing can be asked of it");
    belt_pipeline_free(p);
}

Test(told, a_message_whose_source_does_not_know_it_fails, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        with_parts("sources: { words: { say: 'x,r' }, own: { push: {} } }\n"
                   "processor: { steps: [ ask: {} ] }\nbatcher: { sink: 'null' }\n");
    struct belt_failure failures[4];
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    struct belt_test *test = hand_in(p, "own", "r");
    expect_wait(test);
    expect(test, 0, BELT_DONE, "", "reject");
    belt_test_free(test);
    cr_assert_eq(belt_pipeline_push_end(p, "own", &err), 0);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(belt_pipeline_failures(p, failures, 4), 1);
    cr_assert_str_eq(failures[0].reason, "sources.words cannot be told 'reject'");
    belt_pipeline_free(p);
}

Test(told, too_long_a_wish_is_refused, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        with_parts("source: { push: {} }\nbatcher: { sink: 'null' }\nprocessor: { steps: [ ask: "
                   "0123456789012345678901234567890123456789012345678901234567890123 ] }\n");
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, "at most 16 of them, of 63 bytes"), "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- reasons ------------------------------------------------------------------------------- */

Test(told, why_a_sink_refused_which_message, .timeout = 30)
{
    struct belt_pipeline *p =
        started("source: { push: {} }\nprocessor: { steps: [ ask: {} ] }\n"
                "batchers:\n  one: { sink: refuse }\n  two: { sink: refuse }\n"
                "failed: { sink: collect }\n");
    struct belt_test *test = hand_in(p, NULL, "n,x,nt,xr");
    expect_wait(test);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_FAILED);
    cr_assert_eq(strncmp(belt_test_reason(test, 0), "not ", 4), 0);
    expect(test, 1, BELT_DONE, "", "");
    cr_assert_eq(strncmp(belt_test_reason(test, 2), "not ", 4), 0);
    expect(test, 3, BELT_DONE, "", "reject");
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(told, why_a_whole_batch_was_refused, .timeout = 30)
{
    struct belt_pipeline *p = started("source: { push: {} }\nbatcher: { sink: keep_all }\n");
    kept.refuse = -EIO;
    struct belt_test *test = hand_in(p, NULL, "a,b");
    expect_wait(test);
    expect(test, 0, BELT_FAILED, "the sink refuses", "");
    expect(test, 1, BELT_FAILED, "the sink refuses", "");
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(told, nothing_of_what_is_under_way, .timeout = 30)
{
    struct belt_pipeline *p = started("source: { push: {} }\nprocessor: { steps: [ ask: {} ] }\n"
                                      "batcher: { sink: keep_all }\n");
    kept.hold = true;
    struct belt_test *test = hand_in(p, NULL, "r");
    cr_assert_eq(belt_test_wait(test, S / 10), -ETIMEDOUT);
    expect(test, 0, BELT_WAITING, "", "");
    expect(test, 1, BELT_UNSETTLED, "", ""); /* there is no such message */
    kept.hold = false;
    struct belt_test *next = hand_in(p, NULL, "x"); /* wakes the lane */
    expect_wait(next);
    expect_wait(test);
    expect(test, 0, BELT_DONE, "", "reject");
    belt_test_free(next);
    belt_test_free(test);
    belt_pipeline_free(p);
}
