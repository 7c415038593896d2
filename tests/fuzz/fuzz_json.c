/* The step `json` over lines of anything: which rows `where` keeps, with the search beforehand
 * and without; what three ways to take bytes that are not UTF-8 have in common; and that rows
 * give the same whether the first one's shape is known or not. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

#define INTO                                                                                       \
    "longest: 64KiB, into: { t: { path: 'a.b[1]', type: text, default: none }, n: { type: "        \
    "decimal(2), default: 0 }, r: { path: /level, type: raw, default: 'null' }, f: { type: "       \
    "float, default: 1.5 }, b: { type: bool, default: false } }"
enum { TEXT = 1, RAW = 3, COLUMNS = 6 };

/* The first line alone in the first word of rows, from which its shape is known, and the first
 * 64 lines in the second. */
static void behind_first(struct fuzz_frame *f)
{
    static const uint64_t none[BELT_WORDS];
    f->count = f->count < 64 ? f->count : 64;
    memcpy(f->spans + 64, f->spans, f->count * sizeof *f->spans);
    memset(f->spans + 1, 0, 63 * sizeof *f->spans);
    belt_engine_load(&f->engine, f->text + BELT_PAD, f->spans, 64 + f->count, none, NULL, 0);
}

/* The frame afterwards; the caller ends it. */
static void run_as(const char *yaml, const uint8_t *data, size_t size, struct fuzz_frame *f,
                   bool again)
{
    struct fuzz_part json;
    const struct belt_part *part = fuzz_find(belt_steps_parts, "json");
    FUZZ_CHECK(fuzz_prepare(&json, part, yaml, NULL, 0) == 0, "%s", json.err.text);
    FUZZ_CHECK(json.spec->columns_used == COLUMNS, "%d columns", json.spec->columns_used);
    fuzz_frame_new(f, json.spec->columns, COLUMNS, data, size);
    if (again && f->count)
        behind_first(f);
    for (uint32_t done; (done = fuzz_step(&json, f)) < f->engine.view.end;) {
        FUZZ_CHECK(done > f->engine.view.first, "row %u is never handled", done);
        f->engine.view.first = done;
        belt_engine_fresh_room(&f->engine, done);
    }
    fuzz_free(&json);
}

static void run(const char *yaml, const uint8_t *data, size_t size, struct fuzz_frame *f)
{
    run_as(yaml, data, size, f, false);
}

/* Row a of one frame is what row b of the other is. */
static void check_same(const struct fuzz_frame *x, uint32_t a, const struct fuzz_frame *y,
                       uint32_t b)
{
    FUZZ_CHECK(fuzz_live(x, a) == fuzz_live(y, b), "row %u", a);
    FUZZ_CHECK(fuzz_failed(x, a) == fuzz_failed(y, b), "row %u", a);
    if (fuzz_failed(x, a))
        FUZZ_CHECK(strcmp(x->engine.reasons[a], y->engine.reasons[b]) == 0, "row %u: %s, %s", a,
                   x->engine.reasons[a], y->engine.reasons[b]);
    for (int c = 1; fuzz_live(x, a) && c < COLUMNS; c++) {
        const struct belt_column *p = &x->engine.view.columns[c], *q = &y->engine.view.columns[c];
        bool text = c == TEXT || c == RAW;
        if (!text) {
            FUZZ_CHECK(p->as.numbers[a] == q->as.numbers[b], "row %u: column %d", a, c);
            continue;
        }
        struct belt_span s = p->as.spans[a], t = q->as.spans[b];
        FUZZ_CHECK(s.size == t.size && memcmp(p->base + s.at, q->base + t.at, s.size) == 0,
                   "row %u: text %d", a, c);
    }
}

static void check_shape(const uint8_t *data, size_t size)
{
    static struct fuzz_frame walked, shaped;
    if (size > FUZZ_ROOM / 8) /* else what is made of early rows may be gone at the end */
        return;
    run("{ utf8: keep, " INTO " }", data, size, &walked);
    run_as("{ utf8: keep, " INTO " }", data, size, &shaped, true);
    for (uint32_t i = 0; i < shaped.count; i++)
        check_same(&walked, i, &shaped, 64 + i);
    fuzz_frame_end(&walked);
    fuzz_frame_end(&shaped);
}

static void check_where(const uint8_t *data, size_t size)
{
    static struct fuzz_frame searched, parsed;
    run("{ where: { level: error }, " INTO " }", data, size, &searched);
    run("{ where: { level: error }, check: all, " INTO " }", data, size, &parsed);
    for (uint32_t i = 0; i < searched.count; i++) {
        FUZZ_CHECK(fuzz_live(&searched, i) == fuzz_live(&parsed, i), "row %u is kept once", i);
        FUZZ_CHECK(!fuzz_failed(&searched, i) || fuzz_failed(&parsed, i),
                   "row %u fails by the search alone", i);
    }
    fuzz_frame_end(&searched);
    fuzz_frame_end(&parsed);
}

static void check_utf8(const uint8_t *data, size_t size)
{
    static struct fuzz_frame fail, keep, replace;
    run("{ " INTO " }", data, size, &fail);
    run("{ utf8: keep, " INTO " }", data, size, &keep);
    run("{ utf8: replace, " INTO " }", data, size, &replace);
    for (uint32_t i = 0; i < fail.count; i++) {
        FUZZ_CHECK(!fuzz_live(&fail, i) || fuzz_live(&keep, i), "row %u is not kept", i);
        FUZZ_CHECK(!fuzz_live(&fail, i) || fuzz_live(&replace, i), "row %u is not replaced", i);
    }
    fuzz_frame_end(&fail);
    fuzz_frame_end(&keep);
    fuzz_frame_end(&replace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_where(data, size);
    check_utf8(data, size);
    check_shape(data, size);
    return 0;
}
