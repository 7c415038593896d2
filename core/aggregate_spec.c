/* Aggregate: reading the `aggregate:` block. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/aggregate_table_priv.h"
#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define MAX_KEYS INT64_C(10000000) /* unless set */
#define MAX_KEYS_TEXT "10000000"
#define MAX_KEYS_MOST INT64_C(1000000000)
#define WORD 64 /* bytes of a name within an expression, with its end mark */

struct reader {
    struct belt_agg_spec *spec;
    struct belt_setup *setup;
    struct belt_error *err;
};

#define FUNCTIONS "min, max, mean, sum, var, stddev, var_pop, stddev_pop, count, emission"
static const struct {
    const char *name;
    enum belt_agg_op op;
} functions[] = {
    { "min", BELT_AGG_MIN },         { "max", BELT_AGG_MAX },
    { "mean", BELT_AGG_MEAN },       { "sum", BELT_AGG_SUM },
    { "var", BELT_AGG_VAR },         { "stddev", BELT_AGG_STDDEV },
    { "var_pop", BELT_AGG_VAR_POP }, { "stddev_pop", BELT_AGG_STDDEV_POP },
    { "count", BELT_AGG_COUNT },     { "emission", BELT_AGG_EMISSION },
};
#define OPS (sizeof functions / sizeof *functions)

/* A setting that may be one text or a list of them: its parts. */
static size_t part_count(const struct belt_node *node)
{
    if (!node || belt_node_null(node))
        return 0;
    return belt_node_kind(node) == BELT_NODE_SCALAR ? 1 : belt_node_count(node);
}

static const struct belt_node *part_at(const struct belt_node *node, size_t i)
{
    return belt_node_kind(node) == BELT_NODE_SCALAR ? node : belt_node_at(node, i);
}

static int check_texts(struct reader *in, const struct belt_node *node, const char *what)
{
    if (node && belt_node_kind(node) == BELT_NODE_MAP)
        return belt_node_error(in->err, node, "aggregate: %s is a name or a list of names", what);
    for (size_t i = 0, count = part_count(node); i < count; i++)
        if (!belt_node_text(part_at(node, i)))
            return belt_node_error(in->err, part_at(node, i),
                                   "aggregate: %s is a name or a list of names", what);
    return 0;
}

static int add_output(struct reader *in, const struct belt_node *at, struct belt_column_info info,
                      struct belt_agg_output output)
{
    struct belt_agg_spec *spec = in->spec;
    struct belt_setup made = *in->setup;
    made.columns = spec->infos;
    made.columns_used = &spec->outputs_used;
    if (spec->outputs_used == BELT_COLUMNS - 1) /* the payload is one, too */
        return belt_node_error(in->err, at, "aggregate: more than %d columns", BELT_COLUMNS - 1);
    int id = belt_setup_add(&made, at, info.name, info.type, info.digits, in->err);
    if (id >= 0)
        spec->outputs[id] = output;
    return id;
}

static int read_group_by(struct reader *in, const struct belt_node *node)
{
    struct belt_agg_spec *spec = in->spec;
    int rc = check_texts(in, node, "group_by");
    for (size_t i = 0, count = part_count(node); i < count && rc >= 0; i++) {
        const struct belt_node *at = part_at(node, i);
        int column = belt_setup_field(in->setup, at, belt_node_text(at), in->err);
        if (column < 0)
            return column;
        const struct belt_column_info *info = belt_setup_info(in->setup, column);
        struct belt_agg_output output = { BELT_AGG_KEY_FIELD, spec->keys_used };
        rc = add_output(in, at, *info, output);
        spec->keys[spec->keys_used++] =
            (struct belt_agg_field){ .column = column, .type = info->type };
    }
    return rc;
}

/* ---- columns ---------------------------------------------------------------- */

/* The cell that folds a column; its number. */
static int cell_of(struct belt_agg_spec *spec, int column, enum belt_type type)
{
    for (int c = 0; c < spec->cells_used; c++)
        if (spec->cells[c].column == column)
            return c;
    spec->cells[spec->cells_used] = (struct belt_agg_field){ .column = column, .type = type };
    return spec->cells_used++;
}

static bool is_spread(enum belt_agg_op op)
{
    return op >= BELT_AGG_VAR && op <= BELT_AGG_STDDEV_POP;
}

/* Second cells lie behind the first ones, whose number is known now. */
static void place_more(struct belt_agg_spec *spec)
{
    spec->cells_all = spec->cells_used;
    for (int c = 0; c < spec->cells_used; c++)
        if (spec->cells[c].squares || spec->cells[c].type == BELT_FLOAT)
            spec->cells[c].more = spec->cells_all++;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Copies the word at *text and moves behind it and its blanks. */
static bool take_word(const char **text, char word[WORD])
{
    size_t size = strcspn(*text, " \t()");
    if (size >= WORD)
        return false;
    memcpy(word, *text, size);
    word[size] = '\0';
    *text = skip_blanks(*text + size);
    return true;
}

static bool take_mark(const char **text, char mark)
{
    if (**text != mark)
        return false;
    *text = skip_blanks(*text + 1);
    return true;
}

static int read_op(struct reader *in, const struct belt_node *at, const char *word,
                   enum belt_agg_op *op)
{
    const char *names[OPS];
    for (size_t i = 0; i < OPS; i++) {
        names[i] = functions[i].name;
        if (strcmp(names[i], word) == 0) {
            *op = functions[i].op;
            return 0;
        }
    }
    const char *near = belt_nearest(word, names, OPS);
    if (near)
        return belt_node_error(in->err, at, "aggregate: no function '%s'; did you mean '%s'?", word,
                               near);
    return belt_node_error(in->err, at, "aggregate: no function '%s'; there are " FUNCTIONS, word);
}

static int read_expression(struct reader *in, const struct belt_node *node, const char *name)
{
    const char *text = belt_node_text(node);
    char word[WORD], field[WORD];
    text = text ? skip_blanks(text) : "";
    if (!take_word(&text, word) || !take_mark(&text, '(') || !take_word(&text, field) ||
        !take_mark(&text, ')') || *text)
        return belt_node_error(in->err, node,
                               "aggregate: column '%s' is written as FUNCTION(FIELD), such as "
                               "mean(value), or count()",
                               name);
    enum belt_agg_op op = BELT_AGG_COUNT;
    int rc = read_op(in, node, word, &op);
    if (rc < 0)
        return rc;
    struct belt_column_info info = { name, BELT_INT, 0 };
    if (op == BELT_AGG_COUNT || op == BELT_AGG_EMISSION) {
        if (*field)
            return belt_node_error(in->err, node, "aggregate: %s() takes no field", word);
        return add_output(in, node, info, (struct belt_agg_output){ op, 0 });
    }
    if (!*field)
        return belt_node_error(in->err, node, "aggregate: %s() needs a field", word);
    int column = belt_setup_field(in->setup, node, field, in->err);
    if (column < 0)
        return column;
    const struct belt_column_info *from = belt_setup_info(in->setup, column);
    if (from->type == BELT_TEXT)
        return belt_node_error(in->err, node, "aggregate: %s(%s): '%s' is text; numbers have a %s",
                               word, field, field, word);
    bool floats = is_spread(op) || (op == BELT_AGG_MEAN && from->type == BELT_INT);
    info.type = floats ? BELT_FLOAT : from->type;
    info.digits = is_spread(op) ? 0 : from->digits;
    struct belt_agg_output output = { op, cell_of(in->spec, column, from->type) };
    struct belt_agg_field *cell = &in->spec->cells[output.cell];
    cell->squares |= is_spread(op);
    cell->digits = from->digits;
    return add_output(in, node, info, output);
}

static int read_columns(struct reader *in, const struct belt_node *node)
{
    if (node && !belt_node_null(node) && belt_node_kind(node) != BELT_NODE_MAP)
        return belt_node_error(in->err, node,
                               "aggregate: columns is a map: columns: { NAME: max(FIELD) }");
    int rc = 0;
    for (size_t i = 0, count = node ? belt_node_count(node) : 0; i < count && rc >= 0; i++)
        rc = read_expression(in, belt_node_at(node, i), belt_node_key(node, i));
    /* Every group has a cell, whose count says how many messages it has. */
    if (!in->spec->cells_used)
        in->spec->cells[in->spec->cells_used++] =
            (struct belt_agg_field){ .column = -1, .type = BELT_INT };
    place_more(in->spec);
    return rc;
}

/* ---- the rest --------------------------------------------------------------- */

static int read_every(struct reader *in, const struct belt_node *every)
{
    struct belt_error why;
    const char *text = belt_node_text(every);
    if (!text)
        return belt_node_error(in->err, every, "aggregate: every is a time, such as 10s");
    if (belt_parse_time(text, &in->spec->every, &why) < 0)
        return belt_node_error(in->err, every, "aggregate: every: %s", why.text);
    if (!in->spec->every)
        return belt_node_error(in->err, every, "aggregate: every: more than 0 is needed");
    return 0;
}

static int read_early(struct reader *in, const struct belt_node *early)
{
    const char *text = belt_node_text(early);
    if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return belt_node_error(in->err, early, "aggregate: early is true or false");
    in->spec->early = *text == 't';
    return 0;
}

static int read_emit(struct reader *in, const struct belt_node *node)
{
    static const char *const known[] = { "every", "early", NULL };
    if (!node || belt_node_null(node))
        return 0;
    const char *text = belt_node_text(node);
    in->spec->early = text && strcmp(text, "early") == 0;
    if (in->spec->early || (text && strcmp(text, "at_end") == 0))
        return 0;
    if (belt_node_kind(node) != BELT_NODE_MAP || !belt_node_count(node))
        return belt_node_error(in->err, node,
                               "aggregate: emit is 'at_end', 'early' (when a table is full, and at "
                               "the end) or a time between emissions: emit: { every: 10s }");
    int rc = belt_keys_check(node, "emit", known, false, in->err);
    const struct belt_node *every = belt_node_get(node, "every");
    const struct belt_node *early = belt_node_get(node, "early");
    if (rc >= 0 && every)
        rc = read_every(in, every);
    return rc >= 0 && early ? read_early(in, early) : rc;
}

static int find_output(const struct belt_agg_spec *spec, const char *name)
{
    for (int i = 0; i < spec->outputs_used; i++)
        if (strcmp(spec->infos[i].name, name) == 0)
            return i;
    return -1;
}

static int no_output(struct reader *in, const struct belt_node *at, const char *name)
{
    const char *names[BELT_COLUMNS];
    for (int i = 0; i < in->spec->outputs_used; i++)
        names[i] = in->spec->infos[i].name;
    const char *near = belt_nearest(name, names, (size_t)in->spec->outputs_used);
    return belt_node_error(in->err, at, "aggregate: sort_by: no column '%s' comes out%s%s%s", name,
                           near ? "; did you mean '" : " of group_by and columns", near ? near : "",
                           near ? "'?" : "");
}

static int read_sort_by(struct reader *in, const struct belt_node *node)
{
    struct belt_agg_spec *spec = in->spec;
    int rc = check_texts(in, node, "sort_by");
    if (rc < 0)
        return rc;
    size_t count = part_count(node);
    if (count > BELT_COLUMNS)
        return belt_node_error(in->err, node, "aggregate: sort_by: more than %d columns",
                               BELT_COLUMNS);
    for (size_t i = 0; i < count; i++) {
        const struct belt_node *at = part_at(node, i);
        int output = find_output(spec, belt_node_text(at));
        if (output < 0)
            return no_output(in, at, belt_node_text(at));
        spec->sort[spec->sort_used++] = output;
    }
    /* Rows that are equal so far follow their keys, so that every run has the same order. */
    for (int f = 0; count && f < spec->keys_used; f++)
        spec->sort[spec->sort_used++] = f;
    return 0;
}

static int read_max_keys(struct reader *in, const struct belt_node *node)
{
    int64_t value = MAX_KEYS;
    if (node && !belt_node_null(node)) {
        const char *text = belt_node_text(node);
        struct belt_error why;
        if (!text)
            return belt_node_error(in->err, node, "aggregate: max_keys is a number");
        if (belt_parse_int(text, &value, &why) < 0)
            return belt_node_error(in->err, node, "aggregate: max_keys: %s", why.text);
        if (value < 1 || value > MAX_KEYS_MOST)
            return belt_node_error(in->err, node, "aggregate: max_keys: 1 to %lld, not %lld",
                                   (long long)MAX_KEYS_MOST, (long long)value);
    }
    in->spec->max_keys = (uint64_t)value;
    return 0;
}

static int read_size(struct reader *in, const struct belt_node *node, const char *name,
                     uint64_t least, uint64_t *out)
{
    const char *text = belt_node_text(node);
    struct belt_error why;
    if (!text)
        return belt_node_error(in->err, node, "aggregate: %s is a size, such as 256MiB", name);
    if (belt_parse_size(text, out, &why) < 0)
        return belt_node_error(in->err, node, "aggregate: %s: %s", name, why.text);
    if (*out < least || *out > INT64_MAX)
        return belt_node_error(in->err, node, "aggregate: %s: %llu MiB at least", name,
                               (unsigned long long)least >> 20);
    return 0;
}

static int read_memory(struct reader *in, const struct belt_node *node)
{
    if (!node || belt_node_null(node))
        return 0;
    return read_size(in, node, "memory", 1 << 20, &in->spec->memory);
}

static int read_spill(struct reader *in, const struct belt_node *node)
{
    static const char *const known[] = { "path", "size", NULL };
    if (!node || belt_node_null(node))
        return 0;
    if (in->spec->early)
        return belt_node_error(in->err, node,
                               "aggregate: a full table is emitted (emit: early) or goes to a file "
                               "(spill), not both");
    const struct belt_node *path = belt_node_get(node, "path"), *size = belt_node_get(node, "size");
    if (belt_node_kind(node) != BELT_NODE_MAP ||
        belt_keys_check(node, "spill", known, false, in->err) < 0)
        return belt_node_kind(node) == BELT_NODE_MAP
                   ? -EINVAL
                   : belt_node_error(
                         in->err, node,
                         "aggregate: spill is a folder and a limit: spill: { path: DIR, "
                         "size: 10GiB }");
    if (!path || !belt_node_text(path) || !*belt_node_text(path) || !size)
        return belt_node_error(in->err, path ? path : node,
                               "aggregate: spill needs a folder and a limit: spill: { path: DIR, "
                               "size: 10GiB }");
    in->spec->spill_path = belt_node_text(path);
    return read_size(in, size, "spill.size", 1 << 20, &in->spec->spill_size);
}

/* One reader for each, in this order. */
const struct belt_setting belt_aggregate_settings[] = {
    { "group_by", BELT_SET_LIST, 0, "", "fields whose values make a group; without: one group",
      NULL, 0, 0 },
    { "columns", BELT_SET_TREE, 0, "",
      "what comes out of each: { low: min(value), all: count() }; " FUNCTIONS, NULL, 0, 0 },
    { "emit", BELT_SET_TREE, 0, "at_end",
      "when: at_end; { every: 10s }; early, when a table is full: a group may come several times; "
      "{ every: 10s, early: true }",
      NULL, 0, 0 },
    { "sort_by", BELT_SET_LIST, 0, "", "columns that rows are sorted by; without: as they lie",
      NULL, 0, 0 },
    { "max_keys", BELT_SET_INT, 0, MAX_KEYS_TEXT,
      "most groups of a table; one more and the run fails, unless emit or spill says else", NULL, 1,
      MAX_KEYS_MOST },
    { "memory", BELT_SET_SIZE, 0, "0B",
      "of all its tables: one in each lane that folds, and one where they are put together; 0B: as "
      "max_keys",
      NULL, 0, 0 },
    { "spill", BELT_SET_TREE, 0, "",
      "{ path: DIR, size: SIZE }: full tables go to a file there that has no name, and come out as "
      "one row a group",
      NULL, 0, 0 },
    { 0 },
};

static int read_all(struct reader *in, const struct belt_node *node)
{
    static int (*const read[])(struct reader *, const struct belt_node *) = {
        read_group_by, read_columns, read_emit,  read_sort_by,
        read_max_keys, read_memory,  read_spill,
    };
    const char *known[sizeof read / sizeof *read + 1] = { NULL };
    for (size_t i = 0; belt_aggregate_settings[i].name; i++)
        known[i] = belt_aggregate_settings[i].name;
    if (belt_node_kind(node) != BELT_NODE_MAP)
        return belt_node_error(in->err, node,
                               "aggregate is a map: { group_by: FIELD, columns: { ... } }");
    int rc = belt_keys_check(node, "aggregate", known, false, in->err);
    for (size_t i = 0; rc >= 0 && known[i]; i++)
        rc = read[i](in, belt_node_get(node, known[i]));
    if (rc >= 0 && !in->spec->outputs_used)
        rc = belt_node_error(in->err, node,
                             "aggregate: neither group_by nor columns: no column "
                             "comes out");
    return rc;
}

int belt_agg_spec_new(struct belt_agg_spec **out, const struct belt_node *node,
                      struct belt_setup *in_columns, struct belt_error *err)
{
    struct belt_agg_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return belt_error_set(err, -ENOMEM, "aggregate: out of memory");
    spec->path = in_columns->path;
    spec->node = node;
    struct reader in = { spec, in_columns, err };
    int rc = read_all(&in, node);
    if (rc < 0) {
        free(spec);
        return rc;
    }
    *out = spec;
    return 0;
}

void belt_agg_spec_free(struct belt_agg_spec *spec)
{
    free(spec);
}

uint64_t belt_agg_every(const struct belt_agg_spec *spec)
{
    return spec->every;
}

bool belt_agg_early(const struct belt_agg_spec *spec)
{
    return spec->early;
}

int belt_agg_outputs(const struct belt_agg_spec *spec, const struct belt_column_info **infos)
{
    *infos = spec->infos;
    return spec->outputs_used;
}
