/* Batching and batch mode: B042 to B048, B053, B054. */
#include "tests/conformance/conformance.h"

#define BY_LETTER                                                                                  \
    "processor: { steps: [ { letter: {} }, { route: { field: letter, to: {\n"                      \
    "  a: one, b: two } } } ] }\n"

/* What a sink was given, by the name of its stage. */
static char seen[2][400];

static int note_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    *(int *)state = strcmp(in->stage, "batchers.two") == 0;
    return 0;
}

static int note_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    char *to = seen[*(int *)state];
    (void)err;
    to += strlen(to);
    to += sprintf(to, "%u%c", batch->count, "sbtepfc"[batch->trigger]);
    return 0;
}

static const struct belt_sink note = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "note",
              .help = "counts and triggers",
              .state_size = sizeof(int),
              .init = note_init },
    .batch = note_batch,
};

static struct belt_pipeline *noted(const char *yaml)
{
    memset(seen, 0, sizeof seen);
    return pipeline_with(&note.part, yaml);
}

Test(conformance, B042_batcher_routing_by_size)
{
    struct belt_pipeline *p = noted("source: { say: 'a1,b1,a2,b2,a3,b3,a4,b4,b5,b6' }\n" BY_LETTER
                                    "batchers: { one: { size: 2, sink: note },\n"
                                    "            two: { size: 3, sink: note } }\n");
    end_and_free(p);
    cr_assert_str_eq(seen[0], "2s2s");
    cr_assert_str_eq(seen[1], "3s3s");
}

Test(conformance, B044_batch_key_by_size)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a1,b1,a2,b2,c1,a3' }\n"
                                          "processor: { steps: [ letter: {} ] }\n"
                                          "batcher: { key: letter, size: 2, sink: keep_all }\n");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "a[s:a1|a2|]b[s:b1|b2|]c[e:c1|]a[e:a3|]");
}

/* ---- flush --------------------------------------------------------------------------------- */

/* Flushes messages that end in '!'. */
static int hurry_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    if (size && text[size - 1] == '!')
        belt_flush(view, i);
    return 0;
}

static const struct belt_step hurry = STEP("hurry", hurry_message);

static struct belt_pipeline *hurried(const struct belt_sink *sink, const char *yaml)
{
    struct belt_error err = { 0 };
    memset(seen, 0, sizeof seen);
    struct belt_pipeline *p = pipeline_with(&hurry.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &sink->part, &err), 0, "%s", err.text);
    return p;
}

Test(conformance, B043_batcher_flush)
{
    struct belt_pipeline *p =
        hurried(&note, "source: { say: 'a1!,b1,a2!,b2,b3' }\n"
                       "processor: { steps: [ { hurry: {} }, { letter: {} }, { route: {\n"
                       "  field: letter, to: { a: one, b: two } } } ] }\n"
                       "batchers: { one: { size: 10, sink: note }, two: { size: 10, sink: note } "
                       "}\n");
    end_and_free(p);
    cr_assert_str_eq(seen[0], "2f");
    cr_assert_str_eq(seen[1], "3e");
}

Test(conformance, B045_batch_key_flush)
{
    struct belt_pipeline *p = hurried(&note, "source: { say: 'a1,b1,c1,a2!,c2,b2!' }\n"
                                             "processor: { steps: [ { hurry: {} }, { letter: {} } "
                                             "] }\n"
                                             "batcher: { key: letter, sink: keep_all }\n");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "a[f:a1|a2!|]b[f:b1|b2!|]c[e:c1|c2|]");
}

/* All messages of one key in a frame leave in one batch, without waiting. */
Test(conformance, B053_flush)
{
    struct belt_pipeline *p =
        hurried(&note, "source: { say: { words: 'a!,b!', endless: true } }\n"
                       "processor: { steps: [ hurry: {} ] }\n"
                       "batcher: { size: 100, timeout: 1h, order: any, sink: keep_all }\n");
    turn_ms(p, 1, 4);
    cr_assert_eq(memcmp(kept.text, "[f:a!|b!|]", 10), 0, "%.40s", kept.text);
    belt_pipeline_free(p);
}

/* ---- a source that says its words and then stays silent ------------------------------------ */

static int once_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    const struct say_state *s = state;
    return s->round ? BELT_FILL_IDLE : say_fill(state, out, err);
}

static const struct belt_source once = {
    .part = { BELT_ABI, BELT_SOURCE, "once", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = once_fill,
    .recycle = say_recycle,
    .stop = say_stop,
};

/* ---- a sink that cuts ---------------------------------------------------------------------- */

/* A batch may have so many rows as its first one says: "a3". */
static bool by_first_row(void *state, void *per_batch, const struct belt_batch *so_far,
                         const char *row, uint32_t size)
{
    int64_t *left = per_batch;
    (void)state, (void)size;
    if (!so_far->count)
        *left = row[1] - '0';
    return --*left <= 0;
}

static const struct belt_sink cutting = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "cutting", .help = "for a test" },
    .batch = keep_batch,
    .cut = by_first_row,
};

/* The state is a batch's own, 64 bytes that are zero when it begins. */
Test(conformance, B046_custom_splitter_keys)
{
    struct belt_pipeline *p = hurried(&cutting, "source: { say: 'a2,b3,a0,b0,a1,b0,b8' }\n"
                                                "processor: { steps: [ letter: {} ] }\n"
                                                "batcher: { key: letter, sink: cutting }\n");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "a[c:a2|a0|]a[c:a1|]b[c:b3|b0|b0|]b[e:b8|]");
}

static bool after_two(void *state, void *per_batch, const struct belt_batch *so_far,
                      const char *row, uint32_t size)
{
    (void)state, (void)per_batch, (void)row, (void)size;
    return so_far->count == 1;
}

static const struct belt_sink pairing = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "pairing",
              .help = "for a test",
              .state_size = sizeof(int),
              .init = note_init },
    .batch = note_batch,
    .cut = after_two,
};

/* The trigger of a batch that its sink cut says so; leftovers leave by timeout as ever. */
Test(conformance, B047_custom_splitter_batchers)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        hurried(&cutting, "source: { once: 'a3,b1,a1,b2,a1,b3,a9' }\n" BY_LETTER
                          "batchers: { one: { timeout: 5ms, sink: cutting },\n"
                          "            two: { timeout: 5ms, sink: pairing } }\n");
    cr_assert_eq(belt_pipeline_add(p, &pairing.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_add(p, &once.part, &err), 0, "%s", err.text);
    turn_ms(p, 1, 30);
    cr_assert_str_eq(kept.text, "[c:a3|a1|a1|][t:a9|]");
    cr_assert_str_eq(seen[1], "2c1t");
    belt_pipeline_free(p);
}

Test(conformance, B048_custom_splitter_flush)
{
    struct belt_pipeline *p = hurried(&cutting, "source: { say: 'a5,a1!,a4,a1' }\n"
                                                "processor: { steps: [ hurry: {} ] }\n"
                                                "batcher: { sink: cutting }\n");
    end_and_free(p);
    cr_assert_eq(memcmp(kept.text, "[f:", 3), 0, "%s", kept.text);
}

/* ---- bulk ---------------------------------------------------------------------------------- */

/* Bulk: a remainder waits for its timeout, counted from the batch's first message. */
Test(conformance, B054_bulk)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c', endless: true } }\n"
                    "batcher: { size: 1000000, bytes: 8MiB, memory: 16MiB, timeout: 20ms,\n"
                    "           sink: keep_all }\n");
    turn_ms(p, 1, 15);
    cr_assert_eq(kept.batches, 0);
    turn_ms(p, 16, 20);
    cr_assert_eq(memcmp(kept.text, "[t:a|b|c|", 9), 0, "%.40s", kept.text);
    belt_pipeline_free(p);
}
