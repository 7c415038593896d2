/* The step `csv`: rows of RFC 4180 into typed columns. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/headers_priv.h"
#include "core/isa.h"
#include "steps/csv_priv.h"
#include "steps/rewrite_priv.h"
#include "steps/steps_priv.h"
#include "steps/utf8_priv.h"

#define SPLIT(member) offsetof(struct belt_csv, split.member)

static const struct belt_setting csv_settings[] = {
    { "delimiter", BELT_SET_TEXT, SPLIT(delimiter), ",", "the byte between fields", NULL, 0, 0 },
    { "quote", BELT_SET_TEXT, offsetof(struct belt_csv, quote_text), "'\"'",
      "the byte around fields that have delimiters or newlines in them; \"\": none", NULL, 0, 0 },
    { "into", BELT_SET_TREE, SPLIT(into), NULL,
      "the fields in order: { name: text | int | decimal(DIGITS) | float | skip }; _ is skipped;\n"
      "                 with a header also { name: { column: 'Its name', type: int } }",
      NULL, 0, 0 },
    { "from", BELT_SET_TEXT, SPLIT(from), "payload", "the text field that has the row", NULL, 0,
      0 },
    { "header", BELT_SET_BOOL, offsetof(struct belt_csv, header), "false",
      "fields are found by the names in their file's header: the source has `header: true`, too",
      NULL, 0, 0 },
    { "quotes", BELT_SET_CHOICE, offsetof(struct belt_csv, quotes), "strict",
      "a quote within an unquoted field, text behind a closing quote, no closing quote: the "
      "message\n                 fails, or (lenient) they are text like other text",
      "strict|lenient", 0, 0 },
    { "extra", BELT_SET_CHOICE, SPLIT(extra), "fail", "when a row has more fields than there are",
      "fail|ignore", 0, 0 },
    { "missing", BELT_SET_CHOICE, offsetof(struct belt_csv, missing), "fail",
      "when it has fewer: fail the message, or take those that are missing as empty", "fail|empty",
      0, 0 },
    BELT_UTF8_SETTING(SPLIT(utf8)),
    { 0 },
};

/* ---- set-up ---------------------------------------------------------------------- */

static void fail(const struct belt_split *split, struct belt_view *view, uint32_t i)
{
    const struct belt_csv *csv = split->own;
    struct belt_csv_layout layout;
    uint32_t size = 0;
    const char *header = csv->header ? belt_header_of(view, i, &size) : NULL;
    if (csv->header)
        belt_csv_read_header(csv, header, size, &layout);
    else
        belt_csv_places(csv, &layout);
    belt_csv_fail(csv, &layout, view, i);
}

static int prepare_marks(struct belt_csv *csv, struct belt_setup *setup, struct belt_error *err)
{
    size_t size = strlen(csv->split.delimiter), quote = strlen(csv->quote_text);
    if (size != 1 || *csv->split.delimiter == '\n')
        return belt_node_error(err, belt_step_place(setup, "delimiter"),
                               "the delimiter of csv must be one byte and no newline; the step "
                               "split takes longer ones");
    if (quote > 1 || *csv->quote_text == '\n')
        return belt_node_error(
            err, belt_step_place(setup, "quote"),
            "the quote of csv must be one byte and no newline, or \"\" for none");
    csv->delimiter = *csv->split.delimiter;
    csv->quote = *csv->quote_text;
    csv->has_quote = quote;
    if (csv->has_quote && csv->quote == csv->delimiter)
        return belt_node_error(err, belt_step_place(setup, "quote"),
                               "the quote and the delimiter are the same");
    return 0;
}

static int csv_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct belt_csv *csv = conf;
    int rc = prepare_marks(csv, setup, err);
    csv->split.named = csv->header;
    if (rc == 0)
        rc = belt_split_make(&csv->split, setup, err);
    if (rc < 0)
        return rc;
    if (csv->header && !belt_setup_has_headers(setup))
        return belt_node_error(err, belt_step_place(setup, "header"),
                               "header: no source reads headers: write records: { csv: { header: "
                               "true } } there");
    csv->by_place = !csv->header && csv->missing == BELT_CSV_MISSING_FAIL;
    csv->split.own = csv;
    csv->split.fail = fail;
    csv->any = csv->split;
    csv->any.two = false;
    csv->any.cut = belt_isa_v3() ? belt_csv_cut_v3 : belt_csv_cut_v2;
    csv->frame = belt_isa_v3() ? belt_csv_frame_v3 : belt_csv_frame_v2;
    return 0;
}

static void csv_close(void *conf)
{
    belt_split_close(&((struct belt_csv *)conf)->split);
}

/* ---- the step -------------------------------------------------------------------- */

void belt_csv_places(const struct belt_csv *csv, struct belt_csv_layout *layout)
{
    *layout = (struct belt_csv_layout){ .lacks = -1, .columns = csv->split.count };
    layout->count = csv->split.count;
    for (uint32_t f = 0; f < csv->split.count; f++) {
        layout->order[f].column = f;
        layout->order[f].field = f;
    }
}

static int csv_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct belt_csv_state *own = state;
    (void)in;
    (void)err;
    own->csv = conf;
    own->work.own = own;
    belt_csv_places(own->csv, &own->layouts[0]);
    own->layout = &own->layouts[0];
    return 0;
}

/* Doubled quotes and what lenient takes first: then it is text, that may not be UTF-8. */
static uint32_t make(void *split, uint32_t c, char *out, const char *text, uint32_t size)
{
    const struct belt_csv *csv = ((const struct belt_split *)split)->own;
    bool quoted = csv->has_quote && size && *text == csv->quote;
    (void)c;
    if (csv->split.utf8 != BELT_UTF8_REPLACE)
        return belt_csv_unquote(csv, out, text, size);
    char *bare = out + (size_t)size * 3;
    if (quoted)
        size = belt_csv_unquote(csv, bare, text, size);
    return belt_utf8_replace(out, quoted ? bare : text, size);
}

static uint32_t csv_frame(void *state, struct belt_view *view)
{
    struct belt_csv_state *own = state;
    const struct belt_csv *csv = own->csv;
    memset(own->rows, 0, csv->split.texts.count * sizeof own->rows[0]);
    own->any_rows = false;
    belt_split_base(&csv->split, view);
    csv->frame(own, view);
    if (!own->any_rows && csv->split.utf8 == BELT_UTF8_KEEP)
        return view->end;
    return belt_split_end(&csv->split, view, own->rows, make);
}

const struct belt_step belt_csv_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "csv",
        .help = "rows of CSV (RFC 4180: quotes, doubled quotes) into typed fields",
        .settings = csv_settings,
        .conf_size = sizeof(struct belt_csv),
        .state_size = sizeof(struct belt_csv_state),
        .prepare = csv_prepare,
        .init = csv_init,
        .close = csv_close,
    },
    .frame = csv_frame,
};
