/* Conditions: `keep` and `drop` of any text up to a line "--", over the rows after it: each row
 * is kept by one of the two. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

static const struct belt_column_info columns[] = {
    { "payload", BELT_TEXT, 0 }, { "name", BELT_TEXT, 0 },   { "count", BELT_INT, 0 },
    { "mean", BELT_DECIMAL, 1 }, { "ratio", BELT_FLOAT, 0 },
};
#define COLUMNS 5

static const char into[] = "{ delimiter: ';', extra: ignore, into: { name: text, count: int, "
                           "mean: decimal(1), ratio: float } }";

/* Splits the rows, then runs `name`; the frame afterwards. False: the condition is refused. */
static bool run(const char *name, const char *yaml, const uint8_t *rows, size_t size,
                struct fuzz_frame *f)
{
    struct fuzz_part step, split;
    bool ok =
        fuzz_prepare(&step, fuzz_find(belt_steps_parts, name), yaml, columns + 1, COLUMNS - 1) == 0;
    if (!ok)
        FUZZ_CHECK(step.err.text[0], "refused without words");
    if (ok) {
        FUZZ_CHECK(fuzz_prepare(&split, fuzz_find(belt_steps_parts, "split"), into, NULL, 0) == 0,
                   "%s", split.err.text);
        fuzz_frame_new(f, columns, COLUMNS, rows, size);
        FUZZ_CHECK(fuzz_step(&split, f) == f->engine.view.end, "no room for the fields");
        FUZZ_CHECK(fuzz_step(&step, f) == f->engine.view.end, "no room to choose");
        fuzz_free(&split);
    }
    fuzz_free(&step);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memmem(data, size, "\n--\n", 4);
    size_t head = end ? (size_t)(end - data) : size, rest = end ? size - head - 4 : 0;
    char *yaml = fuzz_text(data, head);
    static struct fuzz_frame kept, dropped;
    if (run("keep", yaml, data + size - rest, rest, &kept)) {
        FUZZ_CHECK(run("drop", yaml, data + size - rest, rest, &dropped), "drop refuses %s", yaml);
        for (uint32_t i = 0; i < kept.count; i++) {
            FUZZ_CHECK(fuzz_failed(&kept, i) == fuzz_failed(&dropped, i), "row %u fails once", i);
            FUZZ_CHECK(fuzz_failed(&kept, i) || fuzz_live(&kept, i) != fuzz_live(&dropped, i),
                       "row %u is kept by %s", i, fuzz_live(&kept, i) ? "both" : "none");
        }
        fuzz_frame_end(&kept);
        fuzz_frame_end(&dropped);
    }
    free(yaml);
    return 0;
}
