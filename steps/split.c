/* The step `split`: delimited fields into typed columns. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "core/settings_priv.h"
#include "steps/number_priv.h"
#include "steps/rewrite_priv.h"
#include "steps/split_priv.h"
#include "steps/steps_priv.h"
#include "steps/type_priv.h"
#include "steps/utf8_priv.h"

static const struct belt_setting split_settings[] = {
    { "delimiter", BELT_SET_TEXT, offsetof(struct belt_split, delimiter), ",",
      "what stands between fields, 1 to 8 bytes", NULL, 0, 0 },
    { "into", BELT_SET_TREE, offsetof(struct belt_split, into), NULL,
      "the fields in order: { name: text | int | decimal(DIGITS) | float | skip }; _ is skipped",
      NULL, 0, 0 },
    { "from", BELT_SET_TEXT, offsetof(struct belt_split, from), "payload",
      "the text field that is split", NULL, 0, 0 },
    { "extra", BELT_SET_CHOICE, offsetof(struct belt_split, extra), "fail",
      "when there are more fields than named: fail the message, ignore them, or leave "
      "the rest to the last one",
      "fail|ignore|rest", 0, 0 },
    BELT_UTF8_SETTING(offsetof(struct belt_split, utf8)),
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

/* See struct belt_split_layout. A word holds a digit, the point, and 6 digits. */
static void lay_out(struct belt_split_field *field)
{
    field->wide = field->digits > 6;
    if (field->wide)
        return;
    if (field->digits == 0) {
        field->layout = (struct belt_split_layout){ .need = UINT64_MAX << 56, .after = UINT64_MAX };
        return;
    }
    unsigned point = 8 * (7 - field->digits);
    field->layout = (struct belt_split_layout){
        .need = UINT64_MAX << (point - 8),
        .dot = UINT64_C(0xff) << point,
        .dot_byte = (uint64_t)('.' ^ '0') << point,
        .before = (UINT64_C(1) << point) - 1,
        .after = UINT64_MAX << point << 8,
    };
}

/* int, or { column: 'Order ID', type: int }. */
static int read_type(const struct belt_split *split, struct belt_split_field *field,
                     const struct belt_node *node, struct belt_error *err)
{
    static const char *const known[] = { "column", "type", NULL };
    const struct belt_node *type = node, *column = NULL;
    if (belt_node_kind(node) == BELT_NODE_MAP) {
        if (!split->named)
            return belt_node_error(err, node,
                                   "field %s: a type is one word, as int; { column, type } is for "
                                   "csv with header: true",
                                   field->name);
        int rc = belt_keys_check(node, field->name, known, false, err);
        if (rc < 0)
            return rc;
        type = belt_node_get(node, "type");
        column = belt_node_get(node, "column");
        if (!type || !column || !belt_node_text(column))
            return belt_node_error(err, node,
                                   "field %s: write { column: NAME, type: int }, the name as it "
                                   "stands in the header",
                                   field->name);
    }
    field->called = column ? belt_node_text(column) : field->name;
    return belt_type_read(type, field->name, !column, &field->type, &field->digits, err);
}

static int add_field(struct belt_split *split, struct belt_setup *setup, size_t i,
                     struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(split->into, i);
    struct belt_split_field *field = &split->fields[i];
    field->name = belt_node_key(split->into, i);
    int rc = read_type(split, field, node, err);
    if (rc < 0)
        return rc;
    field->column = BELT_SPLIT_SKIP;
    field->text = -1;
    if (rc == BELT_TYPE_SKIP || strcmp(field->name, "_") == 0)
        return 0;
    lay_out(field);
    field->column = belt_setup_add(setup, node, field->name, field->type, field->digits, err);
    if (field->column < 0 || field->type != BELT_TEXT)
        return field->column < 0 ? field->column : 0;
    field->text = (int)split->texts.count++;
    split->texts.columns[field->text] = field->column;
    split->texts.names[field->text] = field->name;
    return 0;
}

static int add_fields(struct belt_split *split, struct belt_setup *setup, struct belt_error *err)
{
    size_t count = belt_node_count(split->into);
    if (belt_node_kind(split->into) != BELT_NODE_MAP || count == 0)
        return belt_node_error(err, split->into, "into names the fields: { name: type, ... }");
    if (count > BELT_SPLIT_FIELDS)
        return belt_node_error(err, split->into, "more than %d fields", BELT_SPLIT_FIELDS);
    split->fields = calloc(count, sizeof *split->fields);
    if (!split->fields)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", belt_setup_path(setup));
    split->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        int rc = add_field(split, setup, i, err);
        if (rc < 0)
            return rc;
    }
    const struct belt_split_field *last = &split->fields[count - 1];
    if (split->extra == BELT_EXTRA_REST && last->column != BELT_SPLIT_SKIP &&
        last->type != BELT_TEXT)
        return belt_node_error(err, belt_step_place(setup, "extra"),
                               "extra: rest needs a text as the last field; '%s' is none",
                               last->name);
    return 0;
}

/* A number has no such byte, so a delimiter too many makes it a bad one. */
static bool is_two(const struct belt_split *split)
{
    return split->count == 2 && split->delimiter_size == 1 && split->extra == BELT_EXTRA_FAIL &&
           split->fields[0].type == BELT_TEXT && split->fields[1].column != BELT_SPLIT_SKIP &&
           !split->fields[1].wide &&
           (split->fields[1].type == BELT_INT || split->fields[1].type == BELT_DECIMAL) &&
           !strchr("0123456789+-.", split->delimiter[0]);
}

int belt_split_make(struct belt_split *split, struct belt_setup *setup, struct belt_error *err)
{
    size_t size = strlen(split->delimiter);
    if (size == 0 || size > BELT_SPLIT_DELIMITER)
        return belt_node_error(err, belt_step_place(setup, "delimiter"),
                               "a delimiter has 1 to %d bytes, this one has %zu",
                               BELT_SPLIT_DELIMITER, size);
    split->delimiter_size = (uint32_t)size;
    memcpy(&split->delimiter_word, split->delimiter, size);
    split->delimiter_mask = UINT64_MAX >> (64 - 8 * size);
    split->source = belt_text_field(setup, "from", split->from, "split", err);
    if (split->source < 0)
        return split->source;
    int rc = add_fields(split, setup, err);
    if (rc < 0)
        return rc;
    split->two = is_two(split);
    split->frame = belt_isa_v3() ? belt_split_frame_v3 : belt_split_frame_v2;
    return 0;
}

static int split_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    return belt_split_make(conf, setup, err);
}

void belt_split_close(void *conf)
{
    struct belt_split *split = conf;
    free(split->fields);
    split->fields = NULL;
}

/* ---- reasons ------------------------------------------------------------------- */

enum belt_flaw belt_split_flaw(const struct belt_split_field *field, const char *text, size_t size)
{
    int64_t number;
    double value;
    if (field->column == BELT_SPLIT_SKIP || field->type == BELT_TEXT)
        return BELT_FLAW_NONE;
    if (field->type == BELT_FLOAT)
        return belt_float_parse(text, size, &value);
    return belt_number_parse(text, size, field->digits, &number);
}

/* The end of the field that begins at `text`: the next delimiter or `end`. */
static const char *field_end(const struct belt_split *split, const char *text, const char *end)
{
    const char *cut = memmem(text, (size_t)(end - text), split->delimiter, split->delimiter_size);
    return cut ? cut : end;
}

/* False when the record has not just as many fields as are named. */
static bool count_reason(const struct belt_split *split, const char *text, const char *end,
                         char *reason)
{
    char shown[2 * BELT_SPLIT_DELIMITER];
    belt_show(shown, sizeof shown, split->delimiter, split->delimiter_size);
    for (uint32_t f = 0; f + 1 < split->count; f++) {
        const char *cut = field_end(split, text, end);
        if (cut == end) {
            snprintf(reason, BELT_REASON, "no '%s' after field %s", shown, split->fields[f].name);
            return false;
        }
        text = cut + split->delimiter_size;
    }
    if (split->extra != BELT_EXTRA_FAIL || field_end(split, text, end) == end)
        return true;
    snprintf(reason, BELT_REASON, "more than %u field%s: another '%s' after field %s", split->count,
             split->count == 1 ? "" : "s", shown, split->fields[split->count - 1].name);
    return false;
}

void belt_split_fail(const struct belt_split *split, struct belt_view *view, uint32_t i)
{
    char reason[BELT_REASON] = "";
    uint32_t size;
    const char *text = belt_text(view, split->source, i, &size), *end = text + size;
    bool counted = count_reason(split, text, end, reason);
    for (uint32_t f = 0; counted && f < split->count; f++) {
        const struct belt_split_field *field = &split->fields[f];
        bool rest = f + 1 == split->count && split->extra == BELT_EXTRA_REST;
        const char *cut = rest ? end : field_end(split, text, end);
        enum belt_flaw flaw = belt_split_flaw(field, text, (size_t)(cut - text));
        if (flaw != BELT_FLAW_NONE) {
            belt_flaw_text(reason, sizeof reason, flaw, field->name, field->type, field->digits,
                           text, (size_t)(cut - text));
            break;
        }
        text = cut + split->delimiter_size;
    }
    belt_fail_message(view, i, reason);
}

/* ---- the step ------------------------------------------------------------------ */

struct split_state {
    const struct belt_split *split;
    struct belt_split_work work;
    belt_split_rows rows;
};

static int split_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct split_state *)state)->split = conf;
    return 0;
}

void belt_split_base(const struct belt_split *split, struct belt_view *view)
{
    for (uint32_t t = 0; t < split->texts.count; t++)
        belt_step_borrow(view, split->texts.columns[t], split->source);
}

uint32_t belt_split_end(const struct belt_split *split, struct belt_view *view,
                        belt_split_rows rows,
                        uint32_t (*make)(void *own, uint32_t c, char *out, const char *text,
                                         uint32_t size))
{
    const struct belt_utf8_columns of = { split->texts.columns, split->texts.names,
                                          split->texts.count };
    const struct belt_rewrite rewrite = {
        .columns = split->texts.columns,
        .count = split->texts.count,
        .rows = rows,
        .growth = split->utf8 == BELT_UTF8_REPLACE ? 4 : 1,
        .make = make,
        .own = (void *)(uintptr_t)split,
    };
    belt_utf8_check(view, split->utf8, &of, rows);
    return belt_rewrite(view, &rewrite);
}

static uint32_t make_valid(void *own, uint32_t c, char *out, const char *text, uint32_t size)
{
    (void)own;
    (void)c;
    return belt_utf8_replace(out, text, size);
}

static uint32_t split_frame(void *state, struct belt_view *view)
{
    struct split_state *own = state;
    const struct belt_split *split = own->split;
    belt_split_base(split, view);
    split->frame(split, &own->work, view);
    if (split->utf8 == BELT_UTF8_KEEP)
        return view->end;
    memset(own->rows, 0, split->texts.count * sizeof own->rows[0]);
    return belt_split_end(split, view, own->rows, make_valid);
}

const struct belt_step belt_split_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "split",
        .help = "delimited fields of a text into typed fields",
        .settings = split_settings,
        .conf_size = sizeof(struct belt_split),
        .state_size = sizeof(struct split_state),
        .prepare = split_prepare,
        .init = split_init,
        .close = belt_split_close,
    },
    .frame = split_frame,
};
