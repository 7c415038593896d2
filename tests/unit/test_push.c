#include "core/testing.h"
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>
#include <pthread.h>

#define MS UINT64_C(1000000)

static uint64_t now;

static void turn(struct belt_pipeline *p, int turns)
{
    struct belt_error err = { 0 }, broken = { 0 };
    for (int i = 0; i < turns; i++) {
        int rc = belt_pipeline_turn(p, now += MS, &err);
        cr_assert(rc >= 0 || rc == -EPIPE, "%s", err.text);
        cr_assert_eq(belt_check(p, &broken), 0, "%s", broken.text);
    }
}

static struct belt_pipeline *turned(const char *yaml)
{
    struct belt_pipeline *p = pipeline_of(yaml);
    now = 1000 * MS;
    turn(p, 1);
    return p;
}

static int64_t push_word(struct belt_pipeline *p, const char *source, const char *word)
{
    struct belt_error err = { 0 };
    struct belt_message m = { .payload = word, .payload_size = (uint32_t)strlen(word) };
    return belt_pipeline_push(p, source, &m, 1, 0, &err);
}

Test(push, messages_pass_in_their_order, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = turned("source: { push: {} }\nbatcher: { sink: keep_all }\n");
    cr_assert_eq(push_word(p, NULL, "a"), 1);
    cr_assert_eq(push_word(p, NULL, "b"), 1);
    turn(p, 3);
    cr_assert_eq(push_word(p, "source", ""), 1);
    cr_assert_eq(belt_pipeline_push_end(p, NULL, &err), 0);
    turn(p, 10);
    cr_assert_str_eq(kept.text, "[e:a|b||]");
    cr_assert_eq(totals_of(p).done, 3);
    cr_assert(totals_of(p).complete);
    cr_assert_eq(push_word(p, NULL, "c"), -EPIPE);
    belt_pipeline_free(p);
}

Test(push, a_full_queue_refuses_and_takes_again_what_found_room, .timeout = 10)
{
    struct belt_pipeline *p = turned("source: { push: { capacity: 4KiB } }\n"
                                     "batcher: { sink: 'null' }\n");
    char word[1000];
    memset(word, 'x', sizeof word);
    struct belt_message m[5];
    struct belt_error err = { 0 };
    for (int i = 0; i < 5; i++)
        m[i] = (struct belt_message){ .payload = word, .payload_size = sizeof word };
    int64_t total = 0;
    for (int i = 0; i < 50; i++) {
        int64_t given = belt_pipeline_push(p, NULL, m, 5, 0, &err);
        cr_assert_leq(given, 4);
        cr_assert_geq(given, 3);
        cr_assert_eq(belt_pipeline_push(p, NULL, m, 2, 0, &err), -EAGAIN);
        total += given;
        turn(p, 2);
    }
    turn(p, 10);
    cr_assert_eq(totals_of(p).received, (uint64_t)total);
    belt_pipeline_free(p);
}

Test(push, a_message_that_can_never_fit_is_refused, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = turned("source: { push: { capacity: 4KiB } }\n"
                                     "batcher: { sink: 'null' }\n");
    char word[3000] = "";
    struct belt_message m = { .payload = word, .payload_size = sizeof word };
    cr_assert_eq(belt_pipeline_push(p, NULL, &m, 1, BELT_FOREVER, &err), -EMSGSIZE);
    belt_pipeline_free(p);
}

Test(push, only_a_source_of_push_takes_messages, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_message m = { .payload = "" };
    struct belt_pipeline *p =
        pipeline_of("sources: { a: { say: { words: x, endless: true } }, b: { push: {} } }\n"
                    "batcher: { sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_push(p, "b", &m, 1, 0, &err), -EINVAL, "not started");
    turn(p, 1);
    cr_assert_eq(belt_pipeline_push(p, "a", &m, 1, 0, &err), -EINVAL);
    cr_assert_str_eq(err.text, "sources.a is a source of say: messages go into a source of push");
    cr_assert_eq(belt_pipeline_push(p, NULL, &m, 1, 0, &err), -EINVAL);
    cr_assert_eq(belt_pipeline_push(p, "b", &m, 1, 0, &err), 1);
    belt_pipeline_free(p);
}

#define TEXT(field, word)                                                                          \
    {                                                                                              \
        .name = field, .type = BELT_TEXT, .as.text = { word, sizeof word - 1 }                     \
    }

Test(push, fields_come_along, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = turned(
        "source: { push: { fields: { user: text, price: decimal(2), n: int, f: float } } }\n"
        "batcher: { sink: collect }\n"
        "processor: { steps: [ render: { template: '{user}/{price}/{n}/{f}/{payload}' } ] }\n");
    const struct belt_field fields[] = {
        TEXT("user", "ann"),
        { .name = "price", .type = BELT_DECIMAL, .as.number = 150 },
        { .name = "n", .type = BELT_INT, .as.number = -7 },
        { .name = "f", .type = BELT_FLOAT, .as.real = 0.5 }
    };
    struct belt_message m[] = { { "one", 3, 4, fields, 0 }, { "two", 3, 1, fields + 2, 0 } };
    cr_assert_eq(belt_pipeline_push(p, NULL, m, 2, 0, &err), 2, "%s", err.text);
    cr_assert_eq(belt_pipeline_push_end(p, NULL, &err), 0);
    turn(p, 10);
    struct belt_collected got = { .size = sizeof got };
    cr_assert_eq(belt_test_collected_at(p, NULL, 0, &got, &err), 0, "%s", err.text);
    cr_assert_eq(got.bytes_size, strlen("ann/1.50/-7/0.5/one\n/0.00/-7/0/two\n"));
    cr_assert_eq(memcmp(got.bytes, "ann/1.50/-7/0.5/one\n/0.00/-7/0/two\n", got.bytes_size), 0,
                 "%.*s", (int)got.bytes_size, got.bytes);
    belt_pipeline_free(p);
}

Test(push, fields_of_another_source_are_empty, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        turned("sources: { a: { push: { fields: { user: text } } }, b: { push: {} },\n"
               "           c: { push: { fields: { user: text, n: int } } } }\n"
               "batcher: { sink: collect }\n"
               "processor: { steps: [ render: { template: '{user}/{n}/{payload}' } ] }\n");
    const struct belt_field fields[] = { TEXT("user", "ann"),
                                         { .name = "n", .type = BELT_INT, .as.number = 3 } };
    for (int round = 0; round < 2; round++)
        for (int s = 0; s < 3; s++) {
            struct belt_message m = { "x", 1, s == 0 ? 1 : s == 1 ? 0 : 2, fields, 0 };
            const char name[] = { (char)('a' + s), 0 };
            cr_assert_eq(belt_pipeline_push(p, name, &m, 1, 0, &err), 1, "%s", err.text);
            turn(p, 3);
        }
    for (int s = 0; s < 3; s++)
        cr_assert_eq(belt_pipeline_push_end(p, (const char[]){ (char)('a' + s), 0 }, &err), 0);
    turn(p, 10);
    struct belt_collected got = { .size = sizeof got };
    cr_assert_eq(belt_test_collected_at(p, NULL, 0, &got, &err), 0, "%s", err.text);
    const char want[] = "ann/0/x\n/0/x\nann/3/x\nann/0/x\n/0/x\nann/3/x\n";
    cr_assert_eq(got.bytes_size, strlen(want), "%.*s", (int)got.bytes_size, got.bytes);
    cr_assert_eq(memcmp(got.bytes, want, got.bytes_size), 0, "%.*s", (int)got.bytes_size,
                 got.bytes);
    belt_pipeline_free(p);
}

/* Fails every message once. */
static int once_message(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    if (belt_attempt(view, i) == 1)
        belt_fail_message(view, i, "once");
    return 0;
}

static const struct belt_step once_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "once", .help = "fails once" },
    .message = once_message,
};

Test(push, fields_are_there_when_a_message_is_tried_again, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(
        &once_step.part,
        "sources: { a: { push: { fields: { user: text, n: int } } }, b: { push: {} } }\n"
        "batcher: { sink: collect }\nfailed: { attempts: 2, backoff: 1ms, sink: 'null' }\n"
        "processor: { steps: [ render: { template: '{user}/{n}/{payload}' }, once: {} ] }\n");
    const struct belt_field fields[] = { TEXT("user", "ann"),
                                         { .name = "n", .type = BELT_INT, .as.number = 3 } };
    struct belt_message m = { "x", 1, 2, fields, 0 }, plain = { "yy", 2, 0, NULL, 0 };
    turn(p, 1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(belt_pipeline_push(p, "a", &m, 1, 0, &err), 1, "%s", err.text);
        cr_assert_eq(belt_pipeline_push(p, "b", &plain, 1, 0, &err), 1, "%s", err.text);
    }
    belt_pipeline_push_end(p, "a", &err);
    belt_pipeline_push_end(p, "b", &err);
    turn(p, 50);
    cr_assert_eq(totals_of(p).done, 6);
    struct belt_collected got = { .size = sizeof got };
    cr_assert_eq(belt_test_collected_at(p, NULL, 0, &got, &err), 0, "%s", err.text);
    const char want[] = "/0/yy\n/0/yy\n/0/yy\nann/3/x\nann/3/x\nann/3/x\n";
    cr_assert_eq(got.bytes_size, strlen(want), "%.*s", (int)got.bytes_size, got.bytes);
    cr_assert_eq(memcmp(got.bytes, want, got.bytes_size), 0, "%.*s", (int)got.bytes_size,
                 got.bytes);
    belt_pipeline_free(p);
}

static void refuses(const char *yaml, const char *text)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, text);
    belt_pipeline_free(p);
}

Test(push, fields_are_checked, .timeout = 10)
{
    refuses("source: { push: { fields: { a: txt } } }\n",
            "test.yaml:1:32: the type of 'a' must be text, int, float or decimal(DIGITS), as in { "
            "price: decimal(2) }");
    refuses("source: { push: { fields: { payload: text } } }\n",
            "test.yaml:1:38: there is a field 'payload' already");
    struct belt_error err = { 0 };
    struct belt_pipeline *p = turned("source: { push: { fields: { a: int } } }\n");
    struct belt_field field = TEXT("a", "x");
    struct belt_message m = { "x", 1, 1, &field, 0 };
    cr_assert_eq(belt_pipeline_push(p, NULL, &m, 1, 0, &err), -EINVAL);
    cr_assert_str_eq(err.text, "push: the field 'a' has another type");
    field.name = "b";
    cr_assert_eq(belt_pipeline_push(p, NULL, &m, 1, 0, &err), -EINVAL);
    cr_assert_str_eq(err.text, "push: no field 'b' in the source's `fields`");
    belt_pipeline_free(p);
}

/* ---- threads --------------------------------------------------------------------- */

static void *push_many(void *arg)
{
    struct belt_error err = { 0 };
    struct belt_message m[16];
    for (int i = 0; i < 16; i++)
        m[i] = (struct belt_message){ .payload = "0123456789", .payload_size = 10 };
    for (int left = 20000; left > 0;) {
        uint32_t want = left < 16 ? (uint32_t)left : 16;
        int64_t given = belt_pipeline_push(arg, NULL, m, want, BELT_FOREVER, &err);
        if (given < 0)
            return "failed";
        left -= (int)given;
    }
    return NULL;
}

Test(push, from_several_threads_loses_nothing, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { push: { capacity: 8KiB } }\n"
                                          "batcher: { sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, push_many, p), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    belt_pipeline_stop(p, BELT_FOREVER); /* what was taken is still given */
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 60000);
    belt_pipeline_free(p);
}

/* ---- outcomes -------------------------------------------------------------------- */

static const struct belt_message words[] = { { "a", 1, 0, NULL, 0 },
                                             { "bad", 3, 0, NULL, 0 },
                                             { "no", 2, 0, NULL, 0 } };

#define MARKED                                                                                     \
    "source: { push: {} }\nprocessor: { steps: [ mark: {} ] }\n"                                   \
    "batcher: { timeout: 20ms, sink: collect }\nfailed: { sink: collect }\n"

Test(testing, tells_the_outcome_of_each_message, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = turned(MARKED);
    cr_assert_eq(belt_test_batch(p, NULL, words, 3, &test, &err), 0, "%s", err.text);
    cr_assert_eq(belt_test_wait(test, 0), -ETIMEDOUT);
    turn(p, 5);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_WAITING);
    cr_assert_eq(belt_test_outcome(test, 2), BELT_DONE);
    turn(p, 2000);
    cr_assert_eq(belt_test_wait(test, 0), 0);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_DONE);
    cr_assert_eq(belt_test_outcome(test, 1), BELT_FAILED);
    cr_assert_eq(belt_test_count(test, BELT_DONE), 2);
    cr_assert_eq(belt_test_collected(p, NULL, &err), 1);
    cr_assert_eq(belt_test_collected(p, "failed", &err), 1);
    cr_assert_eq(belt_test_collected(p, "none", &err), -EINVAL);
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(testing, works_while_lanes_run, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_test *tests[50];
    struct belt_pipeline *p = pipeline_of(
        "sources: { busy: { say: { words: 'a,b', endless: true } }, test: { push: {} } }\n"
        "processor: { steps: [ mark: {} ] }\nbatcher: { size: 10, timeout: 5ms, sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(belt_test_batch(p, "test", words, 3, &tests[i], &err), 0, "%s", err.text);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(belt_test_wait(tests[i], 10000 * MS), 0);
        cr_assert_eq(belt_test_count(tests[i], BELT_FAILED), 1);
        cr_assert_eq(belt_test_count(tests[i], BELT_DONE), 2);
        belt_test_free(tests[i]);
    }
    belt_pipeline_free(p);
}

Test(testing, an_end_before_the_outcome_is_told_too, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_test *taken, *queued;
    struct belt_pipeline *p = turned("source: { push: {} }\nbatcher: { sink: keep_all }\n");
    kept.hold = true;
    cr_assert_eq(belt_test_message(p, NULL, "a", 1, &taken, &err), 0, "%s", err.text);
    turn(p, 5);
    cr_assert_eq(belt_test_message(p, NULL, "b", 1, &queued, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
    cr_assert_eq(belt_test_wait(taken, 0), 0);
    cr_assert_eq(belt_test_outcome(taken, 0), BELT_UNSETTLED);
    cr_assert_eq(belt_test_outcome(queued, 0), BELT_UNSETTLED);
    belt_test_free(taken);
    belt_test_free(queued);
}

Test(testing, a_single_message_does_not_wait_for_its_batch, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = turned("source: { push: {} }\n"
                                     "batcher: { size: 100, timeout: 1h, sink: collect }\n");
    cr_assert_eq(belt_test_message(p, NULL, "a", 1, &test, &err), 0, "%s", err.text);
    turn(p, 5);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_DONE);
    struct belt_collected got = { .size = sizeof got };
    cr_assert_eq(belt_test_collected_at(p, NULL, 0, &got, &err), 0, "%s", err.text);
    cr_assert_eq(got.trigger, BELT_TRIGGER_FLUSH);
    belt_test_free(test);
    belt_pipeline_free(p);
}

Test(testing, a_handle_may_be_freed_before_its_messages, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = turned(MARKED);
    cr_assert_eq(belt_test_batch(p, NULL, words, 3, &test, &err), 0, "%s", err.text);
    belt_test_free(test);
    turn(p, 1500);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(testing, a_collect_that_is_full_fails_its_batches, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = turned("source: { push: {} }\n"
                                     "batcher: { size: 1, sink: { collect: { memory: 2B } } }\n");
    push_word(p, NULL, "a");
    push_word(p, NULL, "b");
    turn(p, 20);
    cr_assert_eq(belt_test_collected(p, NULL, &err), 1);
    cr_assert_eq(totals_of(p).failed, 1);
    belt_pipeline_free(p);
}
