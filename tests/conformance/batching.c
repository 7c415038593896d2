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
    to += sprintf(to, "%u%c", batch->count, "sbtepf"[batch->trigger]);
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
