/* CSV: the first byte chooses among settings, the second one how the text comes in pieces. The
 * records are the same for both instruction sets and for any pieces, one behind the other; and
 * the step makes the same of rows with both. */
#include "tests/fuzz/fuzz.h"

#include "io/records_priv.h"

extern const struct belt_part *const belt_steps_parts[];

#define RECORDS 1024

static const char *const cases[] = {
    "{ into: { a: text, b: text, c: text } }",
    "{ quotes: lenient, into: { a: text, b: text, c: text } }",
    "{ utf8: replace, extra: ignore, into: { a: text, b: text } }",
    "{ utf8: fail, missing: empty, quotes: lenient, into: { a: text, b: text, c: text } }",
    "{ into: { a: text, n: decimal(1) } }",
    "{ quote: '', into: { a: int, b: float, c: skip, d: text }, extra: ignore }",
    "{ utf8: replace, quotes: lenient, missing: empty, into: { a: text, b: int, c: text } }",
};

/* ---- records ---------------------------------------------------------------------- */

struct cut {
    struct belt_span spans[RECORDS];
    uint64_t failed[RECORDS / 64];
    uint32_t count;
};

/* What is known of the text grows by `piece` bytes at a time. */
static void cut_text(struct cut *cut, const char *text, uint32_t size, bool vectors, uint32_t piece)
{
    struct belt_records records = {
        .kind = BELT_RECORDS_CSV, .limit = 64, .delimiter = ',', .quote = '"', .vectors = vectors
    };
    struct belt_cut at = { 0 };
    memset(cut, 0, sizeof *cut);
    for (uint32_t have = 0; at.at < size && cut->count < RECORDS;) {
        uint64_t failed[BELT_WORDS] = { 0 };
        struct belt_records_out out = { .spans = cut->spans + cut->count,
                                        .room = 1,
                                        .failed = failed };
        if (belt_records_cut(&records, &at, text, have, UINT32_MAX, have == size, NULL, &out))
            have = size - have < piece ? size : have + piece;
        cut->failed[cut->count / 64] |= (failed[0] & 1) << (cut->count % 64);
        cut->count += out.count;
    }
}

static void check_records(const char *text, uint32_t size, uint32_t piece)
{
    static struct cut whole, other;
    cut_text(&whole, text, size, false, size);
    for (int vectors = 0; vectors < 2; vectors++) {
        cut_text(&other, text, size, vectors, vectors ? piece : piece / 2 + 1);
        FUZZ_CHECK(whole.count == other.count, "%u and %u records", whole.count, other.count);
        FUZZ_CHECK(memcmp(&whole, &other, sizeof whole) == 0, "other records");
    }
    for (uint32_t i = 0; i < whole.count; i++) {
        uint32_t end = whole.spans[i].at + whole.spans[i].size;
        FUZZ_CHECK(end <= size && whole.spans[i].size <= 64, "record %u", i);
        FUZZ_CHECK(i == 0 || whole.spans[i].at >= whole.spans[i - 1].at + whole.spans[i - 1].size,
                   "record %u is not behind its predecessor", i);
    }
}

/* ---- the step --------------------------------------------------------------------- */

struct run {
    bool begun;
    struct fuzz_part part;
    struct fuzz_frame frame;
    uint32_t handled;
};

static void begin(struct run *r, const char *isa, const char *yaml, const uint8_t *data,
                  size_t size)
{
    if (!r->begun) {
        setenv("BELT_ISA", isa, 1); /* looked at by prepare */
        FUZZ_CHECK(fuzz_prepare(&r->part, fuzz_find(belt_steps_parts, "csv"), yaml, NULL, 0) == 0,
                   "%s", r->part.err.text);
        r->begun = true;
    }
    fuzz_frame_new(&r->frame, r->part.spec->columns, r->part.spec->columns_used, data, size);
    r->handled = fuzz_step(&r->part, &r->frame);
    FUZZ_CHECK(r->handled || !r->frame.engine.view.end, "none handled");
}

static void compare_row(struct run *a, struct run *b, uint32_t i)
{
    FUZZ_CHECK(fuzz_live(&a->frame, i) == fuzz_live(&b->frame, i), "row %u lives once", i);
    if (!fuzz_live(&a->frame, i)) {
        const char *reason = a->frame.engine.reasons[i];
        FUZZ_CHECK(*reason && strcmp(reason, b->frame.engine.reasons[i]) == 0, "%s", reason);
        return;
    }
    for (int c = 1; c < a->part.spec->columns_used; c++) {
        uint32_t size, other;
        if (a->part.spec->columns[c].type != BELT_TEXT)
            continue;
        const char *text = belt_text(&a->frame.engine.view, c, i, &size);
        const char *too = belt_text(&b->frame.engine.view, c, i, &other);
        FUZZ_CHECK(size == other && memcmp(text, too, size) == 0, "row %u column %d", i, c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run runs[sizeof cases / sizeof *cases][2];
    if (size < 2)
        return 0;
    struct run *run = runs[data[0] % (sizeof cases / sizeof *cases)];
    const char *yaml = cases[data[0] % (sizeof cases / sizeof *cases)];
    char *text = calloc(1, size + 2 * BELT_PAD);
    memcpy(text + BELT_PAD, data + 2, size - 2);
    check_records(text + BELT_PAD, (uint32_t)size - 2, 1 + data[1]);
    free(text);
    begin(&run[0], "v2", yaml, data + 2, size - 2);
    begin(&run[1], "v3", yaml, data + 2, size - 2);
    FUZZ_CHECK(run[0].handled == run[1].handled, "%u and %u", run[0].handled, run[1].handled);
    for (uint32_t i = 0; i < run[0].handled; i++)
        compare_row(&run[0], &run[1], i);
    fuzz_frame_end(&run[0].frame);
    fuzz_frame_end(&run[1].frame);
    return 0;
}
