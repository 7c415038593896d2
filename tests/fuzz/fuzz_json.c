/* The step `json` over lines of anything: which rows `where` keeps, with the search beforehand
 * and without; and what three ways to take bytes that are not UTF-8 have in common. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

#define INTO                                                                                       \
    "longest: 64KiB, into: { t: { path: 'a.b[1]', type: text, default: none }, n: { type: "        \
    "decimal(2), default: 0 }, r: { path: /level, type: raw, default: 'null' }, f: { type: "       \
    "float, default: 1.5 }, b: { type: bool, default: false } }"
enum { COLUMNS = 6 };

/* The frame afterwards; the caller ends it. */
static void run(const char *yaml, const uint8_t *data, size_t size, struct fuzz_frame *f)
{
    struct fuzz_part json;
    const struct belt_part *part = fuzz_find(belt_steps_parts, "json");
    FUZZ_CHECK(fuzz_prepare(&json, part, yaml, NULL, 0) == 0, "%s", json.err.text);
    FUZZ_CHECK(json.spec->columns_used == COLUMNS, "%d columns", json.spec->columns_used);
    fuzz_frame_new(f, json.spec->columns, COLUMNS, data, size);
    for (uint32_t done; (done = fuzz_step(&json, f)) < f->engine.view.end;) {
        FUZZ_CHECK(done > f->engine.view.first, "row %u is never handled", done);
        f->engine.view.first = done;
        belt_engine_fresh_room(&f->engine, done);
    }
    fuzz_free(&json);
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
    return 0;
}
