/* Templates: the first line, over "TEXT;INT;DECIMAL;FLOAT" in each one after it. JSON made of
 * anything is ASCII quotes around what has none but escaped ones. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

static const struct belt_column_info columns[] = {
    { "payload", BELT_TEXT, 0 }, { "name", BELT_TEXT, 0 },   { "count", BELT_INT, 0 },
    { "mean", BELT_DECIMAL, 1 }, { "ratio", BELT_FLOAT, 0 },
};
#define COLUMNS 5

static const char into[] = "{ delimiter: ';', extra: ignore, into: { name: text, count: int, "
                           "mean: decimal(1), ratio: float } }";

/* Whether the template was one. */
static bool run(const char *template, const uint8_t *rows, size_t size, struct fuzz_frame *f)
{
    struct fuzz_part step, split;
    int rc = fuzz_prepare(&step, fuzz_find(belt_steps_parts, "render"), template, columns + 1,
                          COLUMNS - 1);
    /* A new field is one more than the frame has. */
    bool rendered = rc == 0 && step.spec->columns_used == COLUMNS;
    if (rendered) {
        FUZZ_CHECK(fuzz_prepare(&split, fuzz_find(belt_steps_parts, "split"), into, NULL, 0) == 0,
                   "%s", split.err.text);
        fuzz_frame_new(f, columns, COLUMNS, rows, size);
        fuzz_step(&split, f);
        uint32_t handled = fuzz_step(&step, f);
        FUZZ_CHECK(handled <= f->engine.view.end, "%u", handled);
        fuzz_free(&split);
    } else {
        FUZZ_CHECK(rc == 0 || step.err.text[0], "refused without words");
    }
    fuzz_free(&step);
    return rendered;
}

static void check_json(const struct fuzz_frame *f, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(&f->engine.view, 0, i, &size);
    FUZZ_CHECK(size >= 2 && text[0] == '"' && text[size - 1] == '"', "row %u", i);
    for (uint32_t k = 1; k + 1 < size; k++) {
        FUZZ_CHECK((unsigned char)text[k] >= ' ' && text[k] != '"', "row %u", i);
        k += text[k] == '\\';
        FUZZ_CHECK(k + 1 < size, "row %u ends in a backslash", i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_frame frame;
    const uint8_t *end = memchr(data, '\n', size);
    size_t head = end ? (size_t)(end - data) : size, rest = end ? size - head - 1 : 0;
    char *template = fuzz_text(data, head);
    run(template, data + size - rest, rest, &frame);
    fuzz_frame_end(&frame);
    FUZZ_CHECK(run("{ template: '{name:json}' }", data + size - rest, rest, &frame), "not run");
    for (uint32_t i = 0; i < frame.count && rest < FUZZ_ROOM / 8; i++)
        if (fuzz_live(&frame, i))
            check_json(&frame, i);
    fuzz_frame_end(&frame);
    free(template);
    return 0;
}
