/* Batches whose rows stay where they are: the same as any other for the sink, and made
 * so when it does not take them at once. */
#include "batch_fixture.h"
#include "tests/unit/pipeline_fixture.h"

#define ROWS 12

/* Rows "00" to "11" at `gap` bytes from the base, tickets 0 to 11. */
struct frame {
    char bytes[64];
    struct belt_span spans[ROWS];
    struct belt_run runs[1];
    struct belt_rows rows;
};

static void frame_of(struct frame *f, uint32_t gap)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        char text[12];
        snprintf(text, sizeof text, "%02u", i);
        memcpy(f->bytes + gap + 2 * i, text, 2);
        f->spans[i] = (struct belt_span){ gap + 2 * i, 2 };
    }
    f->runs[0] = (struct belt_run){ WHERE, (1u << ROWS) - 1 };
    f->rows = (struct belt_rows){ f->bytes, f->spans, ROWS, f->runs, 1, 0 };
}

static void expect_sizes(const struct belt_open_batch *open, uint32_t size)
{
    for (uint32_t i = 0; i < open->batch.count; i++) {
        cr_assert_eq(open->batch.spans[i].at, size * i);
        cr_assert_eq(open->batch.spans[i].size, size);
    }
}

static void expect_spans(const struct belt_open_batch *open)
{
    expect_sizes(open, 2);
}

Test(batch_whole, leaves_the_rows_where_they_are)
{
    struct belt_batches *batches = made(&usual);
    struct frame f;
    static const char *const parts[] = { "00010203", "04050607", "08091011" };
    frame_of(&f, 0);
    for (uint32_t n = 0; n < 3; n++) {
        struct belt_open_batch *open = belt_batches_whole(batches, &f.rows, n);
        expect(open, "", parts[n], 4, BELT_TRIGGER_SIZE);
        expect_spans(open);
        cr_assert_eq(open->batch.bytes, f.bytes + 8 * n);
        cr_assert_eq(open->batch.attempt, 1);
        cr_assert_eq(open->first_at, n);
        cr_assert_eq(open->runs[0].mask, UINT64_C(15) << 4 * n);
        belt_batches_give_back(batches, open);
    }
    cr_assert_null(belt_batches_whole(batches, &f.rows, 0));
    cr_assert_eq(f.runs[0].mask, 0);
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_free(batches);
}

/* As a frame whose rows are of one size: nobody wrote where they are. */
static void frame_of_size(struct frame *f, uint32_t size)
{
    frame_of(f, 0);
    f->rows.spans = NULL;
    f->rows.row_size = size;
    f->rows.count = 2 * ROWS / size;
}

Test(batch_whole, knows_where_rows_of_one_size_are)
{
    struct belt_batches *batches = made(&usual);
    static const uint32_t sizes[] = { 2, 4, 1, 2, 3 }; /* those of the last one are not kept */
    struct frame f;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t size = sizes[s], whole = 2 * ROWS / size / 4;
        frame_of_size(&f, size);
        for (uint32_t n = 0; n < whole && n * 4 < ROWS; n++) {
            struct belt_open_batch *open = belt_batches_whole(batches, &f.rows, 0);
            cr_assert_not_null(open);
            cr_assert_eq(open->batch.bytes, f.bytes + (size_t)4 * size * n);
            cr_assert_eq(open->batch.bytes_size, 4 * size);
            expect_sizes(open, size);
            belt_batches_give_back(batches, open);
        }
    }
    belt_batches_free(batches);
}

Test(batch_whole, owns_rows_of_one_size)
{
    struct belt_batches *batches = made(&usual);
    struct frame f;
    frame_of_size(&f, 2);
    struct belt_open_batch *open = belt_batches_whole(batches, &f.rows, 0);
    belt_batch_own(open);
    memset(&f, 'x', sizeof f);
    expect(open, "", "00010203", 4, BELT_TRIGGER_SIZE);
    expect_spans(open);
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_give_back(batches, open);
    belt_batches_free(batches);
}

Test(batch_whole, does_not_overtake_rows_that_wait)
{
    struct belt_batches *batches = made(&usual);
    struct frame f;
    frame_of(&f, 0);
    add(batches, "", "x", 70, 0);
    cr_assert_null(belt_batches_whole(batches, &f.rows, 0));
    struct belt_open_batch *open = belt_batches_any(batches);
    cr_assert_null(belt_batches_whole(batches, &f.rows, 0), "one is out");
    belt_batches_give_back(batches, open);
    cr_assert_not_null(belt_batches_whole(batches, &f.rows, 0));
    belt_batches_free(batches);
}

Test(batch_whole, is_not_beyond_the_limit_of_bytes)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 7;
    struct belt_batches *batches = made(&conf);
    struct frame f;
    frame_of(&f, 0);
    cr_assert_null(belt_batches_whole(batches, &f.rows, 0));
    cr_assert_eq(f.rows.count, ROWS);
    belt_batches_free(batches);
}

Test(batch_whole, outlives_its_frame_once_it_is_its_own)
{
    struct belt_batches *batches = made(&usual);
    struct frame f;
    frame_of(&f, 5);
    struct belt_open_batch *open = belt_batches_whole(batches, &f.rows, 0);
    belt_batch_own(open);
    memset(&f, 'x', sizeof f);
    expect(open, "", "00010203", 4, BELT_TRIGGER_SIZE);
    expect_spans(open);
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_again(batches, open, 0);
    cr_assert_eq(belt_batches_retry(batches, 0)->batch.attempt, 2);
    belt_batches_give_back(batches, open);
    cr_assert_eq(belt_batches_used(batches), 0);
    belt_batches_free(batches);
}

Test(batch_whole, fails_single_messages_as_any_batch)
{
    struct belt_batches *batches = made(&usual);
    struct frame f;
    frame_of(&f, 5);
    struct belt_open_batch *open = belt_batches_whole(batches, &f.rows, 0);
    belt_batch_fail(&open->batch, 2, "odd");
    cr_assert_str_eq(belt_batch_reason(&open->batch, 2), "odd");
    belt_batch_own(open);
    expect(open, "", "00010203", 4, BELT_TRIGGER_SIZE);
    belt_batches_give_back(batches, open);
    belt_batches_free(batches);
}

Test(batch_whole, leaves_all_memory_to_batches_that_are_open)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 0;
    struct belt_batches *batches = made(&conf);
    struct frame f;
    frame_of(&f, 0);
    belt_batches_give_back(batches, belt_batches_whole(batches, &f.rows, 0));
    uint32_t limit = belt_batches_row_limit(batches);
    cr_assert_not_null(belt_batch_room(batches, "", 0, 0, limit, 0));
    belt_batches_free(batches);
}

/* ---- a pipeline whose sink refuses what lies in frames -------------------------------- */

static struct {
    uint64_t calls, taken, letters;
} moody;

/* At the first attempt: every third batch, of the others the seventh message. */
static int moody_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    bool first = batch->attempt == 1;
    if (first && moody.calls++ % 3 == 0)
        return belt_error_set(err, -EIO, "not now");
    for (uint32_t i = 0; i < batch->count; i++) {
        if (first && i == 7) {
            belt_batch_fail(batch, i, "not this one");
            continue;
        }
        for (uint32_t k = 0; k < batch->spans[i].size; k++)
            moody.letters += (uint64_t)batch->bytes[batch->spans[i].at + k] - 'a' + 1;
        moody.taken++;
    }
    return 0;
}

static const struct belt_sink moody_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "moody", .help = "refuses at first" },
    .batch = moody_batch,
    .format = "raw",
};

Test(batch_whole, comes_again_as_it_was, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_with(
        &moody_sink.part, "source: { say: { words: 'a,bb,ccc,dd', repeat: 1500 } }\n"
                          "batcher: { size: 100, attempts: 2, backoff: 1ms, sink: moody }\n");
    struct belt_error err = { 0 };
    memset(&moody, 0, sizeof moody);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 6000);
    cr_assert_eq(moody.taken, 6000);
    cr_assert_eq(moody.letters, 1500 * (1 + 4 + 9 + 8));
    belt_pipeline_free(p);
}

/* `with`: words beside four of one size each, in the same frames or in frames of their own. */
static void comes_in_sizes(const char *with, uint64_t letters)
{
    char yaml[400];
    snprintf(yaml, sizeof yaml,
             "sources: { same: { say: { words: 'aa,bb,cc,dd', repeat: 1500 } },\n"
             "  other: { say: { words: '%s', repeat: 1500 } } }\n"
             "batcher: { size: 100, attempts: 2, backoff: 1ms, sink: moody }\n",
             with);
    struct belt_pipeline *p = pipeline_with(&moody_sink.part, yaml);
    struct belt_error err = { 0 };
    memset(&moody, 0, sizeof moody);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(moody.taken, 12000);
    cr_assert_eq(moody.letters, 1500 * (20 + letters));
    belt_pipeline_free(p);
}

Test(batch_whole, comes_in_one_size_or_in_several, .timeout = 20)
{
    comes_in_sizes("bb,dd,ff,aa", 2 * (2 + 4 + 6 + 1));
    comes_in_sizes("bbb,ddd,fff,aaa", 3 * (2 + 4 + 6 + 1));
    comes_in_sizes("a,bb,ccc,dd", 1 + 4 + 9 + 8);
}
