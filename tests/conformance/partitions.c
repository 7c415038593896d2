/* Partitioning: B049 to B052. */
#include "tests/conformance/conformance.h"

/* ---- a sink that looks whom it gets, and keeps batches for a turn -------------------------- */

static struct {
    unsigned partitions[256]; /* by the row's first letter: those that it came in, a bit each */
    int mixed;                /* rows beside another partition's or another key's */
    int overlaps;             /* batches handed over before an earlier one of theirs was done */
    char order[4000];         /* rows as they came */
    struct belt_batch *held[32];
    int held_used;
} parts;

static int parts_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    for (uint32_t i = 0; i < batch->count; i++) {
        const char *row = batch->bytes + batch->spans[i].at;
        parts.partitions[row[0] & 255] |= 1u << batch->partition;
        parts.mixed += batch->key_size && row[0] != batch->key[0];
        strncat(parts.order, row, 2);
    }
    for (int i = 0; i < parts.held_used; i++)
        parts.overlaps += parts.held[i]->partition == batch->partition &&
                          parts.held[i]->key_size == batch->key_size &&
                          memcmp(parts.held[i]->key, batch->key, batch->key_size) == 0;
    parts.held[parts.held_used++] = batch;
    return BELT_PENDING;
}

static int parts_poll(void *state)
{
    int ended = parts.held_used;
    (void)state;
    for (int i = 0; i < ended; i++)
        belt_batch_done(parts.held[i], 0, NULL);
    parts.held_used = 0;
    return ended;
}

static const struct belt_sink parting = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "parting", .help = "for a test" },
    .batch = parts_batch,
    .poll = parts_poll,
};

static void run_parts(const char *batcher)
{
    char yaml[600];
    memset(&parts, 0, sizeof parts);
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: 'a1,b1,c1,d1,a2,b2,c2,d2,a3,b3,c3,d3', repeat: 10 } }\n"
             "processor: { steps: [ letter: {} ] }\n"
             "batcher: { %s, size: 2, sink: parting }\n",
             batcher);
    struct belt_pipeline *p = pipeline_with(&parting.part, yaml);
    expect_end(p);
    expect_totals(p, 120, 0);
    belt_pipeline_free(p);
    unsigned all = 0;
    for (int letter = 'a'; letter <= 'd'; letter++) {
        cr_assert_eq(__builtin_popcount(parts.partitions[letter]), 1, "%c", letter);
        all |= parts.partitions[letter];
    }
    cr_assert_neq(all & (all - 1), 0, "all in one partition");
    cr_assert_eq(parts.overlaps, 0);
}

/* Rows of one letter, in the order in which they came. */
static void expect_order(char letter)
{
    int count = 0;
    for (const char *at = parts.order; *at; at += 2)
        if (at[0] == letter)
            cr_assert_eq(at[1], '1' + count++ % 3, "row %d of %c", count, letter);
    cr_assert_eq(count, 30);
}

/* A field, hashed, instead of a function; the next batch of a partition waits for the last one. */
Test(conformance, B050_batch_order)
{
    run_parts("partition_by: letter, concurrency: 3");
    for (char letter = 'a'; letter <= 'd'; letter++)
        expect_order(letter);
}

Test(conformance, B051_with_batch_key)
{
    run_parts("partition_by: letter, key: letter, concurrency: 3");
    cr_assert_eq(parts.mixed, 0);
}

/* ---- processors --------------------------------------------------------------------------- */

static struct {
    unsigned by[256]; /* by letter: processors that saw it, a bit each */
    int last[256];    /* digit of the last message of this letter */
    int out_of_order;
} spied;

static int spy_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)conf, (void)err;
    *(uint32_t *)state = in->index;
    return 0;
}

static int spy_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    int letter = text[0] & 255, digit = text[1] - '0';
    spied.by[letter] |= 1u << *(uint32_t *)state;
    spied.out_of_order += digit != spied.last[letter] % 3 + 1;
    spied.last[letter] = digit;
    return 0;
}

static const struct belt_step spy = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "spy",
              .help = "who saw what",
              .state_size = sizeof(uint32_t),
              .init = spy_init },
    .message = spy_message,
};

static void run_spied(const char *yaml)
{
    memset(&spied, 0, sizeof spied);
    memset(&parts, 0, sizeof parts);
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&spy.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &parting.part, &err), 0, "%s", err.text);
    expect_end(p);
    expect_totals(p, 120, 0);
    belt_pipeline_free(p);
}

static void expect_one_processor_each(void)
{
    unsigned all = 0;
    for (int letter = 'a'; letter <= 'd'; letter++) {
        cr_assert_eq(__builtin_popcount(spied.by[letter]), 1, "%c", letter);
        all |= spied.by[letter];
    }
    cr_assert_neq(all & (all - 1), 0, "all in one processor");
    cr_assert_eq(spied.out_of_order, 0);
}

#define LETTERS "source: { say: { words: 'a1,b1,c1,d1,a2,b2,c2,d2,a3,b3,c3,d3', repeat: 10 } }\n"

Test(conformance, B049_processor_order)
{
    run_spied(LETTERS "processors: { first: { concurrency: 1, steps: [ letter: {} ] },\n"
                      "  second: { concurrency: 3, partition_by: letter, steps: [ spy: {} ] } }\n");
    expect_one_processor_each();
}

#define BY_LETTER                                                                                  \
    "partition_by: letter\n"                                                                       \
    "source: { say: { words: 'a1,b1,c1,d1,a2,b2,c2,d2,a3,b3,c3,d3', repeat: 10 },\n"               \
    "          transform: [ letter: {} ] }\n"

static bool partitions_divide_letters(void)
{
    unsigned divided = 0;
    for (int letter = 'a'; letter <= 'd'; letter++)
        divided |= __builtin_popcount(parts.partitions[letter]) > 1;
    return divided;
}

/* The pipeline's field holds for processors and batchers that say nothing else; each may have
 * one of its own: here the letter, and the whole payload. */
Test(conformance, B052_per_level_functions)
{
    run_spied(BY_LETTER "processor: { concurrency: 3, steps: [ spy: {} ] }\n"
                        "batcher: { concurrency: 3, size: 2, sink: parting }\n");
    expect_one_processor_each();
    cr_assert_not(partitions_divide_letters());
    run_spied(BY_LETTER "processor: { concurrency: 3, steps: [ spy: {} ] }\n"
                        "batcher: { partition_by: payload, concurrency: 3, size: 2, sink: parting "
                        "}\n");
    expect_one_processor_each();
    cr_assert(partitions_divide_letters());
    run_spied(BY_LETTER "processor: { partition_by: payload, concurrency: 3, steps: [ spy: {} ] }\n"
                        "batcher: { concurrency: 3, size: 2, sink: parting }\n");
    cr_assert_gt(__builtin_popcount(spied.by['a'] | spied.by['b']), 1);
    cr_assert_not(partitions_divide_letters());
}
