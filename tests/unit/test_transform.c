#include "tests/unit/refuse_fixture.h"
#include "tests/unit/worker_fixture.h"

/* ---- step `prefix`: puts its setting before the payload, or fails what begins with "x" the
 * first time ---------------------------------------------------------------------------- */

struct prefix_conf {
    const char *text;
};

static const struct belt_setting prefix_settings[] = {
    { "text", BELT_SET_TEXT, offsetof(struct prefix_conf, text), NULL, "", NULL, 0, 0 },
    { 0 },
};

static int prefix_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in, (void)err;
    *(struct prefix_conf **)state = conf;
    return 0;
}

static int prefix(void *state, struct belt_view *view, uint32_t i)
{
    const char *before = (*(struct prefix_conf **)state)->text;
    uint32_t size, more = (uint32_t)strlen(before);
    const char *text = belt_text(view, 0, i, &size);
    char *room = belt_room(view, size + more);
    if (!room)
        return -1;
    memcpy(room, before, more);
    memcpy(room + more, text, size);
    return belt_put_text(view, 0, i, room, size + more) ? 0 : -1;
}

static const struct belt_step prefix_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "prefix",
              .help = "longer",
              .settings = prefix_settings,
              .conf_size = sizeof(struct prefix_conf),
              .state_size = sizeof(struct prefix_conf *),
              .init = prefix_init,
              .scalar = "text" },
    .message = prefix,
};

/* ---- step `again`: fails every message the first time -------------------------------------- */

static int again(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    if (!belt_attempt(view, i))
        belt_fail_message(view, i, "not yet");
    return 0;
}

static const struct belt_step again_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "again", .help = "fails once" },
    .message = again,
};

/* ---- step `twin`: emits, which a source's steps may not --------------------------------- */

static const struct belt_step twin_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "twin", .help = "emits" },
    .message = again,
    .emits = true,
};

static struct belt_pipeline *prefixing(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&prefix_step.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &again_step.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_add(p, &twin_step.part, &err), 0, "%s", err.text);
    return p;
}

/* Rows in alphabetical order, so that it does not matter who came first. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *sorted_rows(void)
{
    static char text[sizeof kept.text], out[sizeof kept.text];
    char *row[1000];
    size_t rows = 0, used = 0;
    cr_assert_lt(kept.used, sizeof text);
    memcpy(text, kept.text, kept.used + 1);
    for (char *at = strtok(text, "|]"); at; at = strtok(NULL, "|]"))
        if (!strchr(at, '[') || at[strlen(at) - 1] != ':')
            row[rows++] = strrchr(at, ':') ? strrchr(at, ':') + 1 : at;
    qsort(row, rows, sizeof *row, by_text);
    for (size_t i = 0; i < rows; i++)
        used += (size_t)sprintf(out + used, "%s|", row[i]);
    return out;
}

static void expect_rows(const char *yaml, const char *rows)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = prefixing(yaml);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(totals_of(p).failed, 0);
    belt_pipeline_free(p);
    cr_assert_str_eq(sorted_rows(), rows, "%s", kept.text);
}

#define TWO                                                                                        \
    "sources: { a: { say: '1,2,3', transform: [ prefix: a ] },\n"                                  \
    "           b: { say: '4,5', transform: [ prefix: b, prefix: c ] },\n"                         \
    "           c: { say: '6' } }\n"

Test(transform, runs_for_messages_of_its_source_alone, .timeout = 10)
{
    expect_rows(TWO "batcher: { sink: keep_all }\n", "6|a1|a2|a3|cb4|cb5|");
}

Test(transform, comes_before_the_steps_of_the_processor, .timeout = 10)
{
    expect_rows(TWO "processor: { steps: [ prefix: z ] }\nbatcher: { sink: keep_all }\n",
                "z6|za1|za2|za3|zcb4|zcb5|");
}

Test(transform, of_the_only_source, .timeout = 10)
{
    expect_rows("source: { say: '1,2', transform: [ prefix: a ] }\nbatcher: { sink: keep_all }\n",
                "a1|a2|");
}

Test(transform, comes_before_an_exchange, .timeout = 10)
{
    expect_rows(TWO "processor: { concurrency: 2, partition_by: payload, steps: [ prefix: z ] }\n"
                    "batcher: { order: any, sink: keep_all }\n",
                "z6|za1|za2|za3|zcb4|zcb5|");
}

/* All that failed is due at once, of all sources. */
Test(transform, runs_again_for_its_own_when_messages_are_tried_again, .timeout = 10)
{
    expect_rows(TWO "processor: { steps: [ again: {}, prefix: z ] }\n"
                    "batcher: { sink: keep_all }\n"
                    "failed: { attempts: 2, backoff: 0s, sink: 'null' }\n",
                "z6|za1|za2|za3|zcb4|zcb5|");
    expect_rows(TWO "processor: { steps: [ again: {}, prefix: z ] }\n"
                    "batcher: { sink: keep_all }\n"
                    "failed: { attempts: 2, backoff: 50ms, sink: 'null' }\n",
                "z6|za1|za2|za3|zcb4|zcb5|");
}

Test(transform, may_fail_and_drop_messages, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        prefixing("sources: { a: { say: 'bad,no,1', transform: [ mark: {} ] },\n"
                  "           b: { say: 'bad,no,2' } }\nbatcher: { sink: keep_all }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(totals_of(p).dropped, 1);
    belt_pipeline_free(p);
    cr_assert_str_eq(sorted_rows(), "1|2|bad|no|");
}

Test(transform, gives_fields_that_are_empty_in_others_messages, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        prefixing("sources: { a: { say: 'one,two', transform: [ letter: {} ] },\n"
                  "           b: { say: 'three' } }\n"
                  "batcher: { key: letter, sink: keep_all }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    belt_pipeline_free(p);
    cr_assert_eq(kept.batches, 3);
    cr_assert_not_null(strstr(kept.text, "o[e:one|]"), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "t[e:two|]"), "%s", kept.text);
    cr_assert_eq(strncmp(kept.text, "[e:three|]", 10), 0, "%s", kept.text);
}

Test(transform, of_two_sources_may_give_the_same_field, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        prefixing("sources: { a: { say: 'one', transform: [ letter: {} ] },\n"
                  "           b: { say: 'owl,two', transform: [ letter: {} ] } }\n"
                  "batcher: { key: letter, sink: keep_all }\n"
                  "failed: { attempts: 2, ordered: letter, sink: 'null' }\n"
                  "processor: { steps: [ again: {} ] }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 0);
    belt_pipeline_free(p);
    cr_assert_eq(kept.batches, 2);
    cr_assert_eq(kept.rows, 3);
}

Test(transform, in_a_worker, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = prefixing("source: { say: '1,2', transform: [ prefix: a ] }\n"
                                        "processor: { isolation: process, steps: [ prefix: z ] }\n"
                                        "batcher: { sink: keep_all }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
    cr_assert_str_eq(sorted_rows(), "za1|za2|");
}

Test(transform, with_texts_that_fill_the_room, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        prefixing("sources: { a: { say: { words: 'a,b,c,d,e,f', repeat: 20 },\n"
                  "                transform: [ grow: 300000 ] },\n"
                  "           b: { say: { words: 'g,h', repeat: 20 } } }\n"
                  "processor: { steps: [ grow: { to: 400000, only: g } ] }\n"
                  "batcher: { memory: 16MiB, sink: keep_all }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    struct belt_failure first = { { 0 }, { 0 } };
    belt_pipeline_failures(p, &first, 1);
    cr_assert_eq(totals_of(p).failed, 0, "%s", first.reason);
    cr_assert_eq(totals_of(p).done, 160);
    cr_assert_geq(totals_of(p).bytes_out, 120 * 300000u + 20 * 400000u);
    belt_pipeline_free(p);
}

/* Every message is counted at its source's rate of rows: each source's own get its mark. */
Test(transform, over_several_lanes, .timeout = 60)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        prefixing("sources: { a: { counter: 100000, concurrency: 2, transform: [ prefix: aa ] },\n"
                  "           b: { counter: 100000, transform: [ prefix: b ] } }\n"
                  "placement: { fuse: none }\nprocessor: { concurrency: 3 }\n"
                  "batcher: { order: any, sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, 200000);
    belt_pipeline_free(p);
    p = prefixing("sources: { a: { counter: 100000, concurrency: 2 }, b: { counter: 100000 } }\n"
                  "batcher: { order: any, sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(t.bytes_out, totals_of(p).bytes_out + 100000 * 3);
    belt_pipeline_free(p);
}

static void refused(const char *yaml, const char *text)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = prefixing(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, text);
    belt_pipeline_free(p);
}

Test(transform, that_is_wrong_is_refused)
{
    refused("source: { say: a, transform: { mark: {} } }\n",
            "test.yaml:1:30: transform of source is a list: - split: { ... }");
    refused("sources: { a: { say: a, transform: [ mrak: {} ] } }\n",
            "test.yaml:1:44: no step named 'mrak'; did you mean 'mark'?");
    refused("sources: { a: { say: a, transform: [ letter: {} ] },\n"
            "           b: { say: a, transform: [ keep: { letter: x } ] } }\n",
            "test.yaml:2:54: no field 'letter' here; there are: payload");
    refused("source: { say: a, transform: [ twin: {} ] }\n",
            "test.yaml:1:38: source.transform.0: a step that emits messages belongs to a "
            "processor: what it emits would miss the steps of other sources' messages");
}
