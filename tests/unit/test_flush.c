/* When batches leave before they are full: flushed by a step, cut by their sink; and
 * which instance gets them: partitions. */
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- step `hurry`: flushes messages that end in '!' ----------------------------------- */

static int hurry_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    if (size && text[size - 1] == '!')
        belt_flush(view, i);
    return 0;
}

static const struct belt_step hurry_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "hurry", .help = "flushes" },
    .message = hurry_message,
};

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
}

Test(flush, cuts_the_batch_of_the_message, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_with(&hurry_step.part, "source: { say: 'a,b!,c' }\n"
                                                              "processor: { steps: [ hurry ] }\n"
                                                              "batcher: { sink: keep_all }\n");
    ends(p);
    /* All that waits leaves together, what came after it in its frame too. */
    cr_assert_str_eq(kept.text, "[f:a|b!|c|]");
    belt_pipeline_free(p);
}

Test(flush, leaves_other_keys_alone, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&hurry_step.part, "source: { say: 'a1,b1,a2!,c1,b2,a3,c2!' }\n"
                                        "processor: { steps: [ hurry, letter: {} ] }\n"
                                        "batcher: { key: letter, sink: keep_all }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "a[f:a1|a2!|a3|]c[f:c1|c2!|]b[e:b1|b2|]");
    belt_pipeline_free(p);
}

Test(flush, of_every_message_gives_one_batch_for_a_key, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&hurry_step.part, "source: { say: 'a!,a!,b!,a!,b!' }\n"
                                        "processor: { steps: [ hurry, letter: {} ] }\n"
                                        "batcher: { key: letter, sink: keep_all }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "a[f:a!|a!|a!|]b[f:b!|b!|]");
    belt_pipeline_free(p);
}

Test(flush, does_not_wait_for_more_input, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&hurry_step.part, "source: { say: { words: 'a,b!', endless: true } }\n"
                                        "processor: { steps: [ hurry ] }\n"
                                        "batcher: { order: any, sink: keep_all }\n");
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 5; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_eq(memcmp(kept.text, "[f:a|b!|]", 9), 0, "%.40s", kept.text);
    belt_pipeline_free(p);
}

Test(flush, says_size_when_the_batch_is_full_anyway, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&hurry_step.part, "source: { say: 'a,b!,c' }\n"
                                        "processor: { steps: [ hurry ] }\n"
                                        "batcher: { size: 2, sink: keep_all }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "[s:a|b!|][f:c|]");
    belt_pipeline_free(p);
}

Test(flush, of_rows_that_were_held_back_is_not_forgotten, .timeout = 30)
{
    struct belt_pipeline *p = pipeline_with(
        &hurry_step.part, "source: { say: { words: 'a1!,b1', repeat: 200 } }\n"
                          "processor: { steps: [ hurry, letter: {} ] }\n"
                          "batcher: { key: letter, size: 1000, hold: 1MiB, sink: keep_all }\n");
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 1000; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000, &err), 0, "%s", err.text);
    kept.hold = false;
    ends(p);
    cr_assert_eq(kept.rows, 400);
    cr_assert_not_null(strstr(kept.text, "a[f:a1!|"));
    cr_assert_null(strstr(kept.text, "a[e:"));
    belt_pipeline_free(p);
}

/* ---- a sink with a rule of its own ------------------------------------------------------ */

/* A batch may have so many bytes of text as its first row says: "3..." */
static bool by_first_row(void *state, void *per_batch, const struct belt_batch *so_far,
                         const char *row, uint32_t size)
{
    int64_t *left = per_batch;
    (void)state, (void)size;
    if (!so_far->count) {
        cr_assert_eq(*left, 0);
        *left = row[1] - '0';
    } else {
        cr_assert_eq(so_far->bytes[so_far->spans[0].at + 1] - '0', *left + so_far->count);
    }
    return --*left <= 0;
}

static const struct belt_sink cutting_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "cutting", .help = "cuts" },
    .batch = keep_batch,
    .cut = by_first_row,
};

Test(flush, sink_cuts_its_batches, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&cutting_sink.part, "source: { say: 'a2,a0,a1,a3,a0,a0,a9' }\n"
                                          "batcher: { sink: cutting }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "[c:a2|a0|][c:a1|][c:a3|a0|a0|][e:a9|]");
    belt_pipeline_free(p);
}

Test(flush, sink_cuts_each_key_by_itself, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&cutting_sink.part, "source: { say: 'a2,b3,a0,b0,a1,b0,b8' }\n"
                                          "processor: { steps: [ letter: {} ] }\n"
                                          "batcher: { key: letter, sink: cutting }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "a[c:a2|a0|]a[c:a1|]b[c:b3|b0|b0|]b[e:b8|]");
    belt_pipeline_free(p);
}

Test(flush, sink_cuts_beside_the_limits_of_the_batcher, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&cutting_sink.part, "source: { say: 'a9,a8,a7,a1,a4' }\n"
                                          "batcher: { bytes: 6B, sink: cutting }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "[b:a9|a8|][b:a7|a1|][e:a4|]");
    belt_pipeline_free(p);
}

/* ---- partitions ------------------------------------------------------------------------- */

struct number_conf {
    int column;
};

static int number_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct number_conf *c = conf;
    c->column = belt_setup_add(setup, NULL, "number", BELT_INT, 0, err);
    return c->column < 0 ? c->column : 0;
}

static int number_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in, (void)err;
    *(struct number_conf *)state = *(struct number_conf *)conf;
    return 0;
}

static int number_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    view->columns[((struct number_conf *)state)->column].as.numbers[i] = text[size - 1] - '0';
    return 0;
}

static const struct belt_step number_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "number",
              .help = "the last digit",
              .conf_size = sizeof(struct number_conf),
              .state_size = sizeof(struct number_conf),
              .prepare = number_prepare,
              .init = number_init },
    .message = number_message,
};

/* Whose batches came, how many of each key were out at a time. */
static struct {
    bool by_text; /* else by the digit alone */
    uint32_t partition_of[256], batches, mixed;
    struct belt_batch *held[32];
    int held_used;
} seen;

static int part_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    for (uint32_t i = 0; i < batch->count; i++) {
        unsigned char digit = (unsigned char)batch->bytes[batch->spans[i].at + 1];
        bool other = seen.by_text && batch->bytes[batch->spans[i].at] == 'b';
        uint32_t *known = &seen.partition_of[digit + (other ? 100 : 0)];
        seen.mixed += *known && *known != batch->partition + 1;
        seen.mixed += batch->key_size && batch->bytes[batch->spans[i].at] != *batch->key;
        *known = batch->partition + 1;
    }
    for (int i = 0; i < seen.held_used; i++)
        cr_assert_not(seen.held[i]->partition == batch->partition &&
                      seen.held[i]->key_size == batch->key_size &&
                      memcmp(seen.held[i]->key, batch->key, batch->key_size) == 0);
    seen.batches++;
    seen.held[seen.held_used++] = batch;
    return BELT_PENDING;
}

static int part_poll(void *state)
{
    (void)state;
    int ended = seen.held_used;
    while (seen.held_used)
        belt_batch_done(seen.held[--seen.held_used], 0, NULL);
    return ended;
}

static const struct belt_sink part_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "parts", .help = "partitions" },
    .batch = part_batch,
    .poll = part_poll,
};

#define DIGITS "source: { say: { words: 'a1,a2,b1,a3,b2,b3,a4,b1,a1,a2,b9', repeat: 20 } }\n"

static void ends_in_partitions(bool by_text, const char *yaml)
{
    memset(&seen, 0, sizeof seen);
    seen.by_text = by_text;
    struct belt_pipeline *p = pipeline_with(&part_sink.part, yaml);
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_add(p, &number_step.part, &err), 0, "%s", err.text);
    ends(p);
    cr_assert_eq(totals_of(p).done, 220);
    cr_assert_eq(seen.mixed, 0);
    uint32_t used = 0;
    for (int i = 0; i < 256; i++)
        used |= seen.partition_of[i] ? 1u << seen.partition_of[i] : 0;
    cr_assert_gt(__builtin_popcount(used), 1, "all in one partition");
    belt_pipeline_free(p);
}

Test(partition, by_number_has_one_instance_for_each_value, .timeout = 10)
{
    ends_in_partitions(false, DIGITS "processor: { steps: [ number: {} ] }\n"
                                     "batcher: { partition_by: number, concurrency: 3, size: 2,\n"
                                     "           sink: parts }\n");
}

Test(partition, by_text_has_one_instance_for_each_value, .timeout = 10)
{
    ends_in_partitions(true, DIGITS "batcher: { partition_by: payload, concurrency: 4, size: 3,\n"
                                    "           sink: parts }\n");
}

Test(partition, keeps_keys_apart_within, .timeout = 10)
{
    ends_in_partitions(false, DIGITS
                       "processor: { steps: [ { number: {} }, { letter: {} } ] }\n"
                       "batcher: { partition_by: number, key: letter, concurrency: 3, size: 2,\n"
                       "           sink: parts }\n");
}

Test(partition, by_an_unknown_field_is_refused, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("source: { say: a }\n"
                                          "batcher: { partition_by: paylod, sink: keep_all }\n");
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, "test.yaml:2:26: "), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "payload"), "%s", err.text);
    belt_pipeline_free(p);
}
