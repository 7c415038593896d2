/* The format `packed`, as a sink's own default: fields as values. */
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- step `fields`: the letters, their number, half of it -------------------------------- */

struct fields {
    int letters, count, half;
};

static int fields_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct fields *f = conf;
    f->letters = belt_setup_add(setup, NULL, "letters", BELT_TEXT, 0, err);
    f->count = belt_setup_add(setup, NULL, "count", BELT_INT, 0, err);
    f->half = belt_setup_add(setup, NULL, "half", BELT_FLOAT, 0, err);
    return f->half < 0 ? f->half : 0;
}

static int fields_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in, (void)err;
    *(struct fields *)state = *(struct fields *)conf;
    return 0;
}

static uint32_t fields_frame(void *state, struct belt_view *view)
{
    const struct fields *f = state;
    struct belt_column *c = view->columns;
    c[f->letters].base = c[0].base;
    BELT_EACH (view, i) {
        c[f->letters].as.spans[i] = c[0].as.spans[i];
        c[f->count].as.numbers[i] = -(int64_t)c[0].as.spans[i].size;
        c[f->half].as.floats[i] = c[0].as.spans[i].size / 2.0;
    }
    return view->end;
}

static const struct belt_step fields_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "fields",
              .help = "fields of all types",
              .conf_size = sizeof(struct fields),
              .state_size = sizeof(struct fields),
              .prepare = fields_prepare,
              .init = fields_init },
    .frame = fields_frame,
};

/* ---- sink `values` ------------------------------------------------------------------------ */

static char read_back[4096];
static uint64_t rows_read;

/* Of a text of up to 4 bytes. */
static uint64_t cell_of(const char *text, uint32_t size)
{
    uint64_t cell = size;
    for (uint32_t k = 0; k < size; k++)
        cell |= (uint64_t)(unsigned char)text[k] << (32 + 8 * k);
    return cell;
}

static int values_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    for (uint32_t i = 0; i < batch->count; i++, rows_read++) {
        uint32_t size;
        const char *text = belt_batch_text(batch, i, 1, &size);
        uint64_t cell = belt_batch_cell(batch, i, 1);
        cr_assert_eq((uint32_t)cell, size);
        cr_assert(size > 4 || cell == cell_of(text, size), "'%.*s'", (int)size, text);
        cr_assert_eq(batch->spans[i].size % 8, 0);
        size_t used = strlen(read_back);
        if (used + size + 64 < sizeof read_back)
            snprintf(read_back + used, sizeof read_back - used, "%lld,%.*s,%.1f|",
                     (long long)belt_batch_number(batch, i, 0), (int)size, text,
                     belt_batch_float(batch, i, 2));
    }
    return 0;
}

static const struct belt_sink values_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "values", .help = "reads fields" },
    .batch = values_batch,
    .format = "{ packed: { columns: [count, letters, half] } }",
};

static struct belt_pipeline *with_values(const char *yaml)
{
    struct belt_pipeline *p = pipeline_with(&values_sink.part, yaml);
    struct belt_error err = { 0 };
    read_back[0] = 0;
    rows_read = 0;
    cr_assert_eq(belt_pipeline_add(p, &fields_step.part, &err), 0, "%s", err.text);
    return p;
}

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    belt_pipeline_free(p);
}

Test(packed, gives_fields_back_as_they_were, .timeout = 10)
{
    ends(with_values("source: { say: 'a,,abcdefgh,abcdefghi,abcd,abcde' }\n"
                     "processor: { steps: [ fields ] }\n"
                     "batcher: { sink: values }\n"));
    cr_assert_str_eq(read_back, "-1,a,0.5|0,,0.0|-8,abcdefgh,4.0|-9,abcdefghi,4.5|"
                                "-4,abcd,2.0|-5,abcde,2.5|");
}

Test(packed, gives_fields_of_whole_words_of_rows, .timeout = 10)
{
    ends(with_values("source: { say: { words: 'a,bb,ccc,d,e,f,g,h,i,j,k,l', repeat: 300 } }\n"
                     "processor: { steps: [ fields ] }\n"
                     "batcher: { size: 100, key: letters, sink: values }\n"));
    cr_assert_eq(rows_read, 3600);
}

Test(packed, is_not_used_when_another_format_is_set, .timeout = 10)
{
    struct belt_pipeline *p = with_values("source: { say: 'a' }\n"
                                          "processor: { steps: [ fields ] }\n"
                                          "batcher: { sink: { values: { format: nosuch } } }\n");
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, "nosuch"), "%s", err.text);
    belt_pipeline_free(p);
}
