/* Batches that a sink refuses, whole or in part: tried again, then `failed`. */
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- sink `picky`: says no as told, and remembers ---------------------------------- */

static struct {
    char text[8192];
    size_t used;
    int refusals;     /* batches that are still to be refused */
    const char *word; /* rows that begin so fail, others do not */
    bool later;       /* answers in poll() */
    struct belt_batch *held[16];
    int held_used;
    uint64_t times[64], now; /* of every call */
    int calls, failed_calls;
} picky;

static void note(const char *what, const struct belt_batch *batch)
{
    char *at = picky.text + picky.used;
    if (picky.used + batch->bytes_size + 64 > sizeof picky.text)
        return;
    at += sprintf(at, "%s%u%.*s[", what, batch->attempt, (int)batch->key_size, batch->key);
    for (uint64_t i = 0; i < batch->bytes_size; i++)
        *at++ = batch->bytes[i] == '\n' ? '|' : batch->bytes[i];
    at += sprintf(at, "]");
    picky.used = (size_t)(at - picky.text);
}

static int fail_words(struct belt_batch *batch, struct belt_error *err)
{
    if (picky.refusals && picky.refusals--)
        return belt_error_set(err, -EIO, "not now");
    size_t size = picky.word ? strlen(picky.word) : 0;
    for (uint32_t i = 0; size && i < batch->count; i++) {
        struct belt_span row = batch->spans[i];
        char reason[64];
        snprintf(reason, sizeof reason, "row %u", i);
        if (row.size > size && memcmp(batch->bytes + row.at, picky.word, size) == 0)
            belt_batch_fail(batch, i, reason);
    }
    return 0;
}

static int picky_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    note("", batch);
    if (picky.calls < 64)
        picky.times[picky.calls] = picky.now;
    picky.calls++;
    if (!picky.later)
        return fail_words(batch, err);
    picky.held[picky.held_used++] = batch;
    return BELT_PENDING;
}

static int picky_poll(void *state)
{
    (void)state;
    int ended = picky.held_used;
    for (int i = 0; i < ended; i++) {
        struct belt_error err = { 0 };
        int rc = fail_words(picky.held[i], &err);
        belt_batch_done(picky.held[i], rc, err.text);
    }
    picky.held_used = 0;
    return ended;
}

static void picky_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    (void)state;
    picky.failed_calls++;
    if (batch->count > 8)
        return;
    char *at = picky.text + picky.used;
    at += sprintf(at, "!%d:%s:", code, reason);
    for (uint32_t i = 0; i < batch->count; i++)
        at += sprintf(at, "%s,", belt_batch_reason(batch, i));
    picky.used = (size_t)(at - picky.text);
    note("", batch);
}

static const struct belt_sink picky_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "picky", .help = "says no" },
    .batch = picky_batch,
    .poll = picky_poll,
    .failed = picky_failed,
};

static struct belt_pipeline *picky_pipeline(const char *yaml)
{
    memset(&picky, 0, sizeof picky);
    return pipeline_with(&picky_sink.part, yaml);
}

/* As turn_to_end(), telling the sink the time. */
static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 }, broken = { 0 };
    int rc = 0;
    picky.now = 1000000000;
    for (int i = 0; i < 1000000 && rc >= 0; i++) {
        rc = belt_pipeline_turn(p, picky.now += 1000000, &err);
        cr_assert_eq(belt_check(p, &broken), 0, "%s", broken.text);
    }
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
}

#define WORDS "source: { say: 'a1,b1,a2,b2,a3' }\n"

/* ---- in part ----------------------------------------------------------------------- */

Test(refused, fails_single_messages_of_a_batch, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\n");
    picky.word = "b";
    ends(p);
    cr_assert_eq(totals_of(p).failed, 2);
    cr_assert_eq(totals_of(p).done, 3);
    struct belt_failure failure;
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.reason, "row 1");
    belt_pipeline_free(p);
}

Test(refused, fails_single_messages_of_a_batch_that_ends_later, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\n");
    picky.word = "a";
    picky.later = true;
    ends(p);
    cr_assert_eq(totals_of(p).failed, 3);
    belt_pipeline_free(p);
}

Test(refused, sends_failed_messages_of_a_batch_to_failed, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\n"
                                                   "failed: { sink: keep_all }\n");
    picky.word = "b";
    ends(p);
    cr_assert_str_eq(kept.text,
                     "[e:{\"file\":\"\",\"place\":-1,\"batcher\":\"batcher\",\"attempts\":1,"
                     "\"reason\":\"row 1\",\"payload\":\"b1\"}|"
                     "{\"file\":\"\",\"place\":-1,\"batcher\":\"batcher\",\"attempts\":1,"
                     "\"reason\":\"row 3\",\"payload\":\"b2\"}|]");
    cr_assert_eq(totals_of(p).failed, 2);
    belt_pipeline_free(p);
}

Test(refused, tells_the_sink_what_failed_before_it_is_settled, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\n");
    picky.word = "b";
    ends(p);
    cr_assert_str_eq(picky.text, "1[a1|b1|a2|b2|a3|]!0:row 1:row 1,row 3,1[b1|b2|]");
    belt_pipeline_free(p);
}

/* ---- whole ------------------------------------------------------------------------- */

Test(refused, sends_every_row_of_a_refused_batch_to_failed, .timeout = 10)
{
    struct belt_pipeline *p =
        picky_pipeline(WORDS "batchers: { out: { size: 2, sink: picky } }\n"
                             "failed: { sink: { keep_all: { format: { csv: { columns: [batcher,\n"
                             "          reason, attempts, payload] } } } } }\n");
    picky.refusals = 1;
    ends(p);
    cr_assert_str_eq(kept.text, "[e:out,not now,1,a1|out,not now,1,b1|]", "%s", kept.text);
    cr_assert_eq(totals_of(p).failed, 2);
    cr_assert_eq(picky.failed_calls, 1);
    belt_pipeline_free(p);
}

Test(refused, counts_against_the_fail_limit, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline("source: { say: { words: a, endless: true } }\n"
                                             "fail_limit: 3\n"
                                             "batcher: { size: 1, sink: picky }\n");
    picky.refusals = 1000000;
    ends(p);
    cr_assert_not(totals_of(p).complete);
    belt_pipeline_free(p);
}

Test(refused, fails_the_run_when_failed_refuses, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline("source: { say: 'bad,a' }\n"
                                             "processor: { steps: [ mark: {} ] }\n"
                                             "batcher: { sink: keep_all }\n"
                                             "failed: { attempts: 3, sink: picky }\n");
    struct belt_error err = { 0 };
    picky.refusals = 3;
    cr_assert_eq(turn_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "failed: not now");
    cr_assert_eq(picky.calls, 3);
    belt_pipeline_free(p);
}

Test(refused, hands_failed_messages_over_again_where_attempts_are_left, .timeout = 10)
{
    struct belt_pipeline *p =
        picky_pipeline("source: { say: 'bad1,a,bad2' }\n"
                       "processor: { steps: [ mark: {} ] }\n"
                       "batcher: { sink: keep_all }\n"
                       "failed: { attempts: 3, sink: { picky: { format: raw } } }\n");
    struct belt_error err = { 0 };
    picky.refusals = 2;
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(picky.calls, 3);
    cr_assert_not_null(strstr(picky.text, "3[bad1bad2]"), "%s", picky.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, 1);
    cr_assert_eq(t.failed, 2);
    cr_assert_eq(t.unsettled, 0);
    belt_pipeline_free(p);
}

static void expect_refused(const char *settings, const char *because)
{
    char yaml[300];
    struct belt_error err = { 0 };
    snprintf(yaml, sizeof yaml, "source: { say: a }\n%s", settings);
    struct belt_pipeline *p = picky_pipeline(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0, "%s", settings);
    cr_assert_str_eq(err.text, because);
    belt_pipeline_free(p);
}

Test(refused, settings_that_mean_nothing_are_refused, .timeout = 10)
{
    expect_refused("batcher: { attempts: 3, backoff: 10s, backoff_max: 1s, sink: picky }\n",
                   "test.yaml:2:34: 'backoff' of batcher is longer than backoff_max");
    expect_refused("batcher: { sink: picky }\n"
                   "failed: { attempts: 3, backoff: 10s, backoff_max: 1s, sink: picky }\n",
                   "test.yaml:3:33: 'backoff' of failed is longer than backoff_max");
    expect_refused("batcher: { backoff: 10ms, sink: picky }\n",
                   "test.yaml:2:21: 'backoff' of batcher is for batches that are handed over "
                   "again: attempts: 3");
}

Test(refused, moves_more_rows_than_the_way_to_failed_holds, .timeout = 60)
{
    struct belt_pipeline *p =
        picky_pipeline("source: { say: { words: 'aaaaaaaaaaaaaaaa,b,c,d', repeat: 20000 } }\n"
                       "batcher: { size: 1000, sink: picky }\n"
                       "failed: { size: 100, sink: keep_all }\n");
    picky.refusals = 1000;
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 80000);
    cr_assert_eq(kept.rows, 80000);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(refused, sends_rows_of_an_aggregate_to_failed, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(
        "source: { say: 'a1,b1,a2' }\n"
        "processor: { steps: [ letter: {} ] }\n"
        "batcher: { sink: { picky: { format: csv } },\n"
        "           aggregate: { group_by: letter, sort_by: letter } }\n"
        "failed: { sink: { keep_all: { format: { csv: { columns: [payload] } } } } }\n");
    picky.refusals = 1;
    ends(p);
    cr_assert_str_eq(kept.text, "[e:a|b|]", "%s", kept.text);
    belt_pipeline_free(p);
}

/* ---- again ------------------------------------------------------------------------- */

Test(refused, hands_a_refused_batch_over_again, .timeout = 10)
{
    struct belt_pipeline *p =
        picky_pipeline(WORDS "batcher: { attempts: 3, backoff: 10ms, sink: picky }\n");
    picky.refusals = 2;
    ends(p);
    cr_assert_str_eq(picky.text, "1[a1|b1|a2|b2|a3|]2[a1|b1|a2|b2|a3|]3[a1|b1|a2|b2|a3|]");
    cr_assert_eq(totals_of(p).failed, 0);
    cr_assert_eq(totals_of(p).batches, 1);
    belt_pipeline_free(p);
}

Test(refused, waits_twice_as_long_each_time_up_to_a_limit, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(
        WORDS "batcher: { attempts: 6, backoff: 10ms, backoff_max: 30ms, sink: picky }\n");
    picky.refusals = 5;
    ends(p);
    static const uint64_t waits[] = { 10, 20, 30, 30, 30 };
    cr_assert_eq(picky.calls, 6);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(picky.times[i + 1] - picky.times[i], waits[i] * 1000000, "%d", i);
    belt_pipeline_free(p);
}

Test(refused, hands_over_only_the_messages_that_failed, .timeout = 10)
{
    struct belt_pipeline *p =
        picky_pipeline(WORDS "batcher: { attempts: 2, backoff: 1ms, sink: picky }\n"
                             "failed: { sink: { keep_all: { format: { csv: { columns: [attempts,\n"
                             "          payload] } } } } }\n");
    picky.word = "b";
    ends(p);
    cr_assert_str_eq(picky.text, "1[a1|b1|a2|b2|a3|]2[b1|b2|]!0:row 0:row 0,row 1,2[b1|b2|]");
    cr_assert_str_eq(kept.text, "[e:2,b1|2,b2|]");
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

Test(refused, keeps_the_order_of_a_key_while_it_is_tried_again, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(
        "source: { say: 'a1,b1,a2,b2,a3' }\n"
        "processor: { steps: [ letter: {} ] }\n"
        "batcher: { key: letter, size: 1, attempts: 2, backoff: 10ms, sink: picky }\n");
    picky.refusals = 1;
    ends(p);
    cr_assert_str_eq(picky.text, "1a[a1|]1b[b1|]1b[b2|]2a[a1|]1a[a2|]1a[a3|]");
    belt_pipeline_free(p);
}

Test(refused, takes_attempts_for_all_batchers_from_failed, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\n"
                                                   "failed: { attempts: 4, backoff: 1ms }\n");
    picky.refusals = 3;
    ends(p);
    cr_assert_eq(picky.calls, 4);
    cr_assert_eq(totals_of(p).failed, 0);
    belt_pipeline_free(p);
}

Test(refused, wants_a_sink_or_attempts_of_failed, .timeout = 10)
{
    struct belt_pipeline *p = picky_pipeline(WORDS "batcher: { sink: picky }\nfailed: {}\n");
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, "test.yaml:3:9: failed needs a sink: sink: { NAME: { ... } }", "%s",
                     err.text);
    belt_pipeline_free(p);
}

/* ---- what a batch says of itself ----------------------------------------------------- */

static char said[128];

static int say_itself(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    snprintf(said, sizeof said, "%s %d %u %u", batch->batcher,
             batch->partition == BELT_NO_PARTITION ? -1 : (int)batch->partition, batch->attempt,
             batch->count);
    return 0;
}

static const struct belt_sink itself_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "itself", .help = "says" },
    .batch = say_itself,
};

Test(refused, batch_says_its_batcher_partition_and_attempt, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_with(
        &itself_sink.part, "source: { say: 'a,b' }\nbatchers: { totals: { sink: itself } }\n");
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_str_eq(said, "totals -1 1 2");
    belt_pipeline_free(p);
}
