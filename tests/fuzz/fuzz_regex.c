/* Patterns: the first line, over the lines after it. What a look for the bytes that all
 * matches have leaves is what the pattern alone finds: an empty lookahead in front of it says
 * nothing, and stops the look. In any case, and as UTF-8. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

/* Keeps lines that the pattern finds something in; false: it is refused. */
static bool run(const char *before, const char *pattern, const char *options, const uint8_t *lines,
                size_t size, struct fuzz_frame *f)
{
    struct fuzz_part step;
    char yaml[2000];
    size_t used = (size_t)snprintf(yaml, sizeof yaml, "{ payload: { matches: '%s", before);
    for (; *pattern && used < sizeof yaml - 100; pattern++) {
        yaml[used++] = *pattern;
        if (*pattern == '\'')
            yaml[used++] = '\'';
    }
    snprintf(yaml + used, sizeof yaml - used, "', limit: 1000%s } }", options);
    bool ok = fuzz_prepare(&step, fuzz_find(belt_steps_parts, "keep"), yaml, NULL, 0) == 0;
    FUZZ_CHECK(ok || step.err.text[0], "refused without words");
    if (ok) {
        fuzz_frame_new(f, &fuzz_payload, 1, lines, size);
        FUZZ_CHECK(fuzz_step(&step, f) == f->engine.view.end, "not all");
    }
    fuzz_free(&step);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = { "", ", ignore_case: true", ", utf: keep",
                                           ", utf: fail, ignore_case: true" };
    static struct fuzz_frame plain, direct;
    const uint8_t *end = memchr(data, '\n', size);
    size_t head = end ? (size_t)(end - data) : size, rest = end ? size - head - 1 : 0;
    if (head == 0)
        return 0;
    char *pattern = fuzz_text(data + 1, head - 1);
    const char *option = options[*data % 4];
    if (run("", pattern, option, data + size - rest, rest, &plain)) {
        /* (*VERB) counts at the very start only. */
        if (run("(?=)", pattern, option, data + size - rest, rest, &direct)) {
            for (uint32_t i = 0; i < plain.count; i++)
                FUZZ_CHECK(fuzz_live(&plain, i) == fuzz_live(&direct, i) ||
                               fuzz_failed(&plain, i) || fuzz_failed(&direct, i),
                           "row %u of %s", i, pattern);
            fuzz_frame_end(&direct);
        }
        fuzz_frame_end(&plain);
    }
    free(pattern);
    return 0;
}
