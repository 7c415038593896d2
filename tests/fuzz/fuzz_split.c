/* The step split: the first byte chooses among settings, the rest are rows. Both instruction
 * sets must do the same, and fields must be where a plain search finds them. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_part *const belt_steps_parts[];

static const struct {
    const char *yaml, *delimiter;
    int texts; /* so many fields, all text, and no more are allowed; 0: others */
} cases[] = {
    { "{ delimiter: ';', into: { name: text, value: decimal(1) } }", ";", 0 },
    { "{ delimiter: ';', into: { name: text, value: int } }", ";", 0 },
    { "{ delimiter: ';', into: { name: text, value: float } }", ";", 0 },
    { "{ delimiter: ';', into: { value: decimal(6) }, extra: ignore }", ";", 0 },
    { "{ delimiter: ',', into: { a: text, b: text, c: text } }", ",", 3 },
    { "{ delimiter: '::', into: { a: text, b: text } }", "::", 2 },
    { "{ delimiter: '12345678', into: { a: text, b: text } }", "12345678", 2 },
    { "{ delimiter: ' ', into: { a: text, b: skip, c: decimal(18), d: text }, extra: rest }", " ",
      0 },
    { "{ delimiter: ',', into: { a: int, b: float, c: decimal(3), d: int } }", ",", 0 },
    { "{ delimiter: ',', into: { a: text } }", ",", 1 },
};

struct run {
    bool begun; /* of the next input that chooses this case, too */
    struct fuzz_part part;
    struct fuzz_frame frame;
};

static void prepare(struct run *r, const char *isa, const char *yaml)
{
    setenv("BELT_ISA", isa, 1); /* looked at by prepare */
    FUZZ_CHECK(fuzz_prepare(&r->part, fuzz_find(belt_steps_parts, "split"), yaml, NULL, 0) == 0,
               "%s", r->part.err.text);
    r->begun = true;
}

static void begin(struct run *r, const char *isa, const char *yaml, const uint8_t *data,
                  size_t size)
{
    if (!r->begun)
        prepare(r, isa, yaml);
    fuzz_frame_new(&r->frame, r->part.spec->columns, r->part.spec->columns_used, data, size);
    FUZZ_CHECK(fuzz_step(&r->part, &r->frame) == r->frame.engine.view.end, "no room");
}

static void compare_row(struct run *a, struct run *b, uint32_t i)
{
    struct belt_view *one = &a->frame.engine.view, *other = &b->frame.engine.view;
    FUZZ_CHECK(fuzz_live(&a->frame, i) == fuzz_live(&b->frame, i), "row %u lives once", i);
    if (!fuzz_live(&a->frame, i)) {
        FUZZ_CHECK(strcmp(a->frame.engine.reasons[i], b->frame.engine.reasons[i]) == 0, "%s",
                   a->frame.engine.reasons[i]);
        return;
    }
    for (int c = 1; c < a->part.spec->columns_used; c++) {
        if (a->part.spec->columns[c].type != BELT_TEXT) {
            FUZZ_CHECK(
                memcmp(&one->columns[c].as.numbers[i], &other->columns[c].as.numbers[i], 8) == 0,
                "row %u column %d", i, c);
            continue;
        }
        uint32_t size, size_too;
        const char *text = belt_text(one, c, i, &size), *too = belt_text(other, c, i, &size_too);
        FUZZ_CHECK(size == size_too && memcmp(text, too, size) == 0, "row %u column %d", i, c);
    }
}

/* All fields are texts: as many as there are, where a search finds them. */
static void check_texts(struct run *r, const char *delimiter, int texts, uint32_t i)
{
    uint32_t size, left;
    const char *at = belt_text(&r->frame.engine.view, 0, i, &left);
    size_t step = strlen(delimiter);
    int field = 0;
    for (bool last = false; !last; field++) {
        const char *stop = memmem(at, left, delimiter, step);
        last = !stop;
        size_t length = stop ? (size_t)(stop - at) : left;
        if (fuzz_live(&r->frame, i)) {
            FUZZ_CHECK(field < texts, "row %u has more fields", i);
            const char *text = belt_text(&r->frame.engine.view, 1 + field, i, &size);
            FUZZ_CHECK(size == length && memcmp(text, at, size) == 0, "row %u field %d", i, field);
        }
        at += length + step;
        left -= (uint32_t)(length + (last ? 0 : step));
    }
    FUZZ_CHECK(fuzz_live(&r->frame, i) == (field == texts), "row %u: %d fields", i, field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run runs[sizeof cases / sizeof *cases][2];
    if (!size)
        return 0;
    size_t c = data[0] % (sizeof cases / sizeof *cases);
    struct run *v2 = &runs[c][0], *v3 = &runs[c][1];
    begin(v2, "v2", cases[c].yaml, data + 1, size - 1);
    begin(v3, "v3", cases[c].yaml, data + 1, size - 1);
    for (uint32_t i = 0; i < v2->frame.count; i++) {
        compare_row(v2, v3, i);
        if (cases[c].texts)
            check_texts(v2, cases[c].delimiter, cases[c].texts, i);
    }
    fuzz_frame_end(&v2->frame);
    fuzz_frame_end(&v3->frame);
    return 0;
}
