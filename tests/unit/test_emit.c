#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- step `burst`: a message "wordN" emits N messages "word", each with its number; one
 * that begins with `bad` fails after that, with `no` is dropped, with `A` is acknowledged */

struct burst_conf {
    int column;
};

static int burst_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct burst_conf *c = conf;
    c->column = belt_setup_add(setup, NULL, "number", BELT_INT, 0, err);
    return c->column < 0 ? c->column : 0;
}

static int burst_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)in, (void)err;
    *(struct burst_conf **)state = conf;
    return 0;
}

static int burst_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct burst_conf *conf = *(struct burst_conf **)state;
    uint32_t size, word = 0;
    const char *text = belt_text(view, 0, i, &size);
    while (word < size && (text[word] < '0' || text[word] > '9'))
        word++;
    char digits[32] = "";
    memcpy(digits, text + word, size - word);
    uint64_t wanted = strtoull(digits, NULL, 10);
    if (text[0] == 'A')
        belt_ack(view, i);
    for (uint64_t n = belt_emitted(view, i); n < wanted; n++) {
        struct belt_emit_field field = { .column = conf->column, .as.number = (int64_t)n };
        int rc = belt_emit_fields(view, i, text, word, &field, 1);
        if (rc == -EAGAIN)
            return -1;
        if (rc < 0)
            return 0;
    }
    if (word >= 3 && memcmp(text, "bad", 3) == 0)
        belt_fail_message(view, i, "it is bad");
    if (word >= 2 && memcmp(text, "no", 2) == 0)
        belt_drop(view, i);
    return 0;
}

static const struct belt_step burst_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "burst",
              .help = "one to many",
              .conf_size = sizeof(struct burst_conf),
              .state_size = sizeof(struct burst_conf *),
              .prepare = burst_prepare,
              .init = burst_init },
    .message = burst_message,
    .emits = true,
};

static struct belt_pipeline *bursting(const char *yaml)
{
    return pipeline_with(&burst_step.part, yaml);
}

static struct belt_totals ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    return t;
}

Test(emit, one_message_becomes_many_or_none, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: 'a3,b0,c1,d2' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { sink: { keep_all: { format: { csv: {\n"
                                       "  columns: [payload, number] } } } } }\n");
    struct belt_totals t = ends(p);
    cr_assert_not_null(strstr(kept.text, "a,0|a,1|a,2|c,0|d,0|d,1|"), "%s", kept.text);
    cr_assert_eq(t.received, 4);
    cr_assert_eq(t.done, 4);
    belt_pipeline_free(p);
}

Test(emit, steps_behind_see_what_was_emitted, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: 'a2,bad2,b1' }\n"
                                       "processor: { steps: [ burst: {}, letter: {}, grow: 3 ] }\n"
                                       "batcher: { key: letter, sink: keep_all }\n");
    struct belt_totals t = ends(p);
    cr_assert_str_eq(kept.text, "a[e:aaa|aaa|]b[e:bbb|]", "%s", kept.text);
    cr_assert_eq(t.done, 2);
    cr_assert_eq(t.failed, 1);
    belt_pipeline_free(p);
}

Test(emit, a_message_is_settled_when_all_it_became_are, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: 'a5' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { size: 1, sink: keep_all }\n");
    kept.hold = true;
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 10; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_eq(kept.held_used, 5);
    for (int left = 5; left > 0; left--) {
        cr_assert_eq(totals_of(p).done, 0);
        belt_batch_done(kept.held[--kept.held_used], 0, NULL);
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
    cr_assert_eq(totals_of(p).done, 1);
    belt_pipeline_free(p);
}

Test(emit, fails_once_when_some_of_it_fail, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: { words: 'a5,a1,a70', repeat: 10 } }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { size: 2, sink: keep_all }\n");
    kept.refuse = -EIO;
    struct belt_totals t = ends(p);
    cr_assert_eq(t.failed, 30);
    cr_assert_eq(t.done, 0);
    belt_pipeline_free(p);
}

Test(emit, more_than_a_frame_holds_go_out_in_order, .timeout = 30)
{
    struct belt_pipeline *p = bursting("source: { say: 'a3,b5000,c2' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { sink: { keep_all: { format: { csv: {\n"
                                       "  columns: [payload, number] } } } } }\n");
    struct belt_totals t = ends(p);
    cr_assert_eq(kept.rows, 5005);
    cr_assert_eq(t.done, 3);
    const char *at = strstr(kept.text, "a,2|") + 4;
    for (int n = 0; n < 5000; n++) {
        char row[32];
        int size = sprintf(row, "b,%d|", n);
        if (*at == ']' || at[0] == 'n') /* the end of a batch, a header */
            at = strstr(at, "b,");
        cr_assert_eq(strncmp(at, row, (size_t)size), 0, "%.40s instead of %s", at, row);
        at += size;
    }
    belt_pipeline_free(p);
}

Test(emit, far_more_than_there_are_joins_for, .timeout = 60)
{
    struct belt_pipeline *p = bursting("source: { say: 'a1000000,b1' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { size: 100000000, bytes: 8MiB, memory: 64MiB,\n"
                                       "           timeout: 1h, sink: 'null' }\n");
    struct belt_error err = { 0 };
    uint64_t now = 1;
    int rc;
    while ((rc = belt_pipeline_turn(p, now++, &err)) >= 0)
        if (now % 100 == 0)
            cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 2);
    cr_assert_eq(totals_of(p).bytes_out, 2 * 1000001);
    belt_pipeline_free(p);
}

Test(emit, a_message_that_fails_afterwards_takes_back_what_has_not_left, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: 'bad3,a1' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { sink: keep_all }\n"
                                       "failed: { sink: 'null' }\n");
    struct belt_totals t = ends(p);
    cr_assert_str_eq(kept.text, "[e:a|]");
    cr_assert_eq(t.failed, 1);
    cr_assert_eq(t.done, 1);
    belt_pipeline_free(p);
}

Test(emit, a_long_one_that_fails_afterwards_fails_as_a_whole, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: 'a1,bad3000,no2000' }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { sink: 'null' }\n"
                                       "failed: { sink: keep_all }\n");
    struct belt_totals t = ends(p);
    cr_assert_not_null(strstr(kept.text, "it is bad"), "%s", kept.text);
    cr_assert_eq(t.failed, 1);
    cr_assert_eq(t.done, 2);
    belt_pipeline_free(p);
}

Test(emit, what_an_acknowledged_message_emits_settles_nobody, .timeout = 10)
{
    struct belt_pipeline *p = bursting("source: { say: { words: 'A3,A100', repeat: 5 } }\n"
                                       "processor: { steps: [ burst: {} ] }\n"
                                       "batcher: { size: 7, sink: keep_all }\n");
    kept.refuse = -EIO;
    struct belt_totals t = ends(p);
    cr_assert_eq(t.done, 10);
    cr_assert_eq(t.failed, 0);
    belt_pipeline_free(p);
}

Test(emit, is_exchanged_by_fields_of_its_own_and_copied, .timeout = 20)
{
    struct belt_pipeline *p =
        bursting("source: { say: { words: 'a3,b100,c0', repeat: 30 } }\n"
                 "processors: { one: { concurrency: 2, steps: [ burst: {} ] },\n"
                 "              two: { concurrency: 3, partition_by: number },\n"
                 "              three: { concurrency: 2, dispatch: broadcast, from: one } }\n"
                 "batchers: { x: { sink: 'null' }, y: { sink: 'null' } }\n");
    struct belt_totals t = ends(p);
    cr_assert_eq(t.done, 90);
    cr_assert_eq(t.bytes_out, 3 * 30 * 103 * 2);
    belt_pipeline_free(p);
}

Test(emit, works_between_lanes, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        bursting("source: { say: { words: 'a3,b100,c0,d1,e2000', repeat: 200 } }\n"
                 "placement: { fuse: none }\n"
                 "processors: { one: { concurrency: 2, steps: [ burst: {} ] },\n"
                 "              two: { concurrency: 2, partition_by: number } }\n"
                 "batcher: { concurrency: 2, sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 1000);
    cr_assert_eq(totals_of(p).bytes_out, 2 * 200 * 2104);
    belt_pipeline_free(p);
}

Test(emit, is_refused_in_a_worker, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = bursting("source: { say: a }\n"
                                       "processor: { isolation: process, steps: [ burst: {} ] }\n");
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, "a step that emits messages cannot run in a worker"), "%s",
                       err.text);
    belt_pipeline_free(p);
}
