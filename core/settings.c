#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"

/* ---- the nearest word ------------------------------------------------------- */

#define WORD_MAX 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Letters to insert, delete, replace, or to swap with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    size_t length = strlen(b);
    for (size_t j = 0; j <= length; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= length; j++) {
            unsigned replace = last[j - 1] + !same(a[i - 1], b[j - 1]);
            row[j] = min3(last[j] + 1, row[j - 1] + 1, replace);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = min3(row[j], row[j], before[j - 2] + 1);
        }
        unsigned *reuse = before;
        before = last;
        last = row;
        row = reuse;
    }
    return last[length];
}

const char *belt_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    const char *nearest = NULL;
    if (length > WORD_MAX)
        return NULL;
    unsigned allowed = (unsigned)length / 3;
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) > WORD_MAX)
            continue;
        unsigned far = distance(word, candidates[i]);
        if (far > allowed || (nearest && far == allowed))
            continue;
        nearest = candidates[i];
        allowed = far;
    }
    return nearest;
}

/* ---- strict keys ------------------------------------------------------------ */

/* "a, b, c", or as much as there is room for. */
static const char *join(const char *const *words, size_t count, char *out, size_t room)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", i ? ", " : "", words[i]);
    return out;
}

static int unknown_key(const char *place, const char *key, const char *what,
                       const char *const *known, size_t count, struct belt_error *err)
{
    char list[600];
    const char *near = belt_nearest(key, known, count);
    if (near)
        return belt_error_config(err, "%s: unknown setting '%.80s' of %s; did you mean '%s'?",
                                 place, key, what, near);
    if (count == 0)
        return belt_error_config(err, "%s: unknown setting '%.80s' of %s, which has none", place,
                                 key, what);
    return belt_error_config(err, "%s: unknown setting '%.80s' of %s; known are %s", place, key,
                             what, join(known, count, list, sizeof list));
}

static bool is_known(const char *key, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

int belt_keys_check(const struct belt_node *map, const char *what, const char *const *known,
                    bool allow_x, struct belt_error *err)
{
    if (!map || belt_node_null(map))
        return 0;
    if (belt_node_kind(map) != BELT_NODE_MAP)
        return belt_node_error(err, map, "%s takes a map of settings, not %s", what,
                               belt_node_kind_name(map));
    size_t count = 0;
    while (known[count])
        count++;
    for (size_t i = 0; i < belt_node_count(map); i++) {
        const char *key = belt_node_key(map, i);
        if (is_known(key, known, count) || (allow_x && strncmp(key, "x-", 2) == 0))
            continue;
        return unknown_key(belt_node_key_place(map, i), key, what, known, count, err);
    }
    return 0;
}

/* ---- one value -------------------------------------------------------------- */

struct value {
    const struct belt_setting *setting;
    const struct belt_node *node;
    const char *what;
    void *to;
    struct belt_tree *tree;
    struct belt_error *err;
};

/* "PLACE: 'NAME' of WHAT WORDS". */
static int refuse(const struct value *v, const struct belt_node *at, const char *words)
{
    return belt_node_error(v->err, at, "'%s' of %s %s", v->setting->name, v->what, words);
}

static int refuse_number(const struct value *v, const struct belt_error *inner)
{
    return belt_node_error(v->err, v->node, "'%s' of %s: %s", v->setting->name, v->what,
                           inner->text);
}

static int need_scalar(const struct value *v, const char *wanted)
{
    char words[64];
    if (belt_node_kind(v->node) == BELT_NODE_SCALAR)
        return 0;
    snprintf(words, sizeof words, "must be %s, not %s", wanted, belt_node_kind_name(v->node));
    return refuse(v, v->node, words);
}

static int read_text(const struct value *v)
{
    int rc = need_scalar(v, "a text");
    if (rc == 0)
        *(const char **)v->to = belt_node_text(v->node);
    return rc;
}

static int read_bool(const struct value *v)
{
    int rc = need_scalar(v, "true or false");
    if (rc != 0)
        return rc;
    const char *text = belt_node_text(v->node);
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return belt_node_error(v->err, v->node, "'%s' of %s must be true or false, not '%.60s'",
                               v->setting->name, v->what, text);
    *(bool *)v->to = yes;
    return 0;
}

typedef const char *format_fn(uint64_t value, char out[BELT_UNIT_ROOM]);

/* An integer limit as written, with its unit if there is one. */
static const char *show(int64_t value, format_fn *format, char out[BELT_UNIT_ROOM])
{
    if (format && value >= 0)
        return format((uint64_t)value, out);
    snprintf(out, BELT_UNIT_ROOM, "%lld", (long long)value);
    return out;
}

/* A `max` below `min` is no limit: { .min = 1 } is any from 1. */
static int check_range(const struct value *v, int64_t value, format_fn *format)
{
    const struct belt_setting *s = v->setting;
    bool open = s->max < s->min || (s->min == 0 && s->max == 0);
    if (value >= s->min && (open || value <= s->max))
        return 0;
    char low[BELT_UNIT_ROOM], high[BELT_UNIT_ROOM];
    if (open)
        return belt_node_error(v->err, v->node, "'%s' of %s must be at least %s, not %.60s",
                               s->name, v->what, show(s->min, format, low),
                               belt_node_text(v->node));
    return belt_node_error(v->err, v->node, "'%s' of %s must be %s to %s, not %.60s", s->name,
                           v->what, show(s->min, format, low), show(s->max, format, high),
                           belt_node_text(v->node));
}

static int read_int(const struct value *v)
{
    struct belt_error inner;
    int64_t value;
    int rc = need_scalar(v, "a whole number");
    if (rc != 0)
        return rc;
    if (belt_parse_int(belt_node_text(v->node), &value, &inner) != 0)
        return refuse_number(v, &inner);
    rc = check_range(v, value, NULL);
    if (rc == 0)
        *(int64_t *)v->to = value;
    return rc;
}

static int read_quantity(const struct value *v, const char *wanted,
                         int (*parse)(const char *, uint64_t *, struct belt_error *),
                         format_fn *format)
{
    struct belt_error inner;
    uint64_t value;
    int rc = need_scalar(v, wanted);
    if (rc != 0)
        return rc;
    if (parse(belt_node_text(v->node), &value, &inner) != 0)
        return refuse_number(v, &inner);
    rc = check_range(v, (int64_t)value, format);
    if (rc == 0)
        *(uint64_t *)v->to = value;
    return rc;
}

static int read_size(const struct value *v)
{
    return read_quantity(v, "a size like 64KiB", belt_parse_size, belt_format_size);
}

static int read_time(const struct value *v)
{
    return read_quantity(v, "a time like 10ms", belt_parse_time, belt_format_time);
}

/* "a|b|c" as "a, b, c". */
static const char *choice_list(const char *choices, char *out, size_t room)
{
    size_t used = 0;
    for (; *choices && used + 3 < room; choices++) {
        if (*choices != '|') {
            out[used++] = *choices;
            continue;
        }
        out[used++] = ',';
        out[used++] = ' ';
    }
    out[used] = 0;
    return out;
}

static int read_choice(const struct value *v)
{
    const char *text = NULL, *word = v->setting->choices;
    char list[400];
    if (belt_node_kind(v->node) == BELT_NODE_SCALAR) {
        /* As written: null may be one of the words. */
        text = belt_node_written(v->node);
        for (int i = 0; *word; i++) {
            size_t length = strcspn(word, "|");
            if (strlen(text) == length && memcmp(text, word, length) == 0) {
                *(int *)v->to = i;
                return 0;
            }
            word += length + (word[length] == '|');
        }
    }
    choice_list(v->setting->choices, list, sizeof list);
    if (!text)
        return belt_node_error(v->err, v->node, "'%s' of %s must be one of %s, not %s",
                               v->setting->name, v->what, list, belt_node_kind_name(v->node));
    return belt_node_error(v->err, v->node, "'%s' of %s must be one of %s, not '%.60s'",
                           v->setting->name, v->what, list, text);
}

static int read_list(const struct value *v)
{
    bool scalar = belt_node_kind(v->node) == BELT_NODE_SCALAR;
    if (belt_node_kind(v->node) == BELT_NODE_MAP)
        return refuse(v, v->node, "must be a text or a list of texts, not a map");
    size_t count = scalar ? 1 : belt_node_count(v->node);
    const char **at = belt_tree_alloc(v->tree, (count + 1) * sizeof *at);
    if (!at)
        return belt_tree_nomem(v->err, belt_node_place(v->node));
    for (size_t i = 0; i < count; i++) {
        const struct belt_node *item = scalar ? v->node : belt_node_at(v->node, i);
        if (belt_node_kind(item) != BELT_NODE_SCALAR)
            return refuse(v, item, "must be a list of texts");
        if (belt_node_null(item))
            return refuse(v, item, "has an empty entry");
        at[i] = belt_node_text(item);
    }
    *(struct belt_texts *)v->to = (struct belt_texts){ at, count };
    return 0;
}

static int read_tree(const struct value *v)
{
    *(const struct belt_node **)v->to = v->node;
    return 0;
}

static int (*const readers[])(const struct value *v) = {
    [BELT_SET_TEXT] = read_text, [BELT_SET_BOOL] = read_bool, [BELT_SET_INT] = read_int,
    [BELT_SET_SIZE] = read_size, [BELT_SET_TIME] = read_time, [BELT_SET_CHOICE] = read_choice,
    [BELT_SET_LIST] = read_list, [BELT_SET_TREE] = read_tree,
};

/* ---- a part's settings ------------------------------------------------------ */

static int missing(const struct belt_settings_in *in, const struct belt_setting *s,
                   struct belt_error *err)
{
    return belt_node_error(err, in->node ? in->node : in->at, "%s needs '%s': %s", in->what,
                           s->name, s->help);
}

/* Through the same readers as what users write. Only the table's author can get
 * it wrong, hence the assert. */
static int read_fallback(struct value *v)
{
    const char *text = v->setting->fallback;
    enum belt_setting_type type = v->setting->type;
    if (!*text && (type == BELT_SET_TEXT || type == BELT_SET_TREE || type == BELT_SET_LIST)) {
        if (type == BELT_SET_LIST)
            *(struct belt_texts *)v->to = (struct belt_texts){ NULL, 0 };
        else
            *(const void **)v->to = NULL;
        return 0;
    }
    struct belt_node *node;
    int rc = belt_yaml_value(v->tree, text, "default", 0, &node, v->err);
    if (rc == 0) {
        v->node = node;
        rc = readers[type](v);
    }
    assert((rc == 0 || rc == -ENOMEM) && "a settings table with a bad fallback");
    return rc;
}

static int read_setting(const struct belt_settings_in *in, const struct belt_setting *s,
                        const struct belt_node *node, void *conf, struct belt_tree *tree,
                        struct belt_error *err)
{
    struct value value = { s, node, in->what, (char *)conf + s->offset, tree, err };
    /* A choice may have the word null in its list. */
    if (node && (!belt_node_null(node) || (s->type == BELT_SET_CHOICE && *belt_node_written(node))))
        return readers[s->type](&value);
    return s->fallback ? read_fallback(&value) : missing(in, s, err);
}

static const struct belt_setting no_settings[] = { { 0 } };

static const struct belt_setting *find_setting(const struct belt_setting *table, const char *name)
{
    for (const struct belt_setting *s = table; name && s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* The setting that the whole node stands for, if it does. */
static const struct belt_setting *whole_node(const struct belt_settings_in *in,
                                             const struct belt_setting *table)
{
    const struct belt_setting *s = find_setting(table, in->scalar);
    if (!s || !in->node)
        return NULL;
    bool tree = s->type == BELT_SET_TREE;
    bool takes[] = {
        [BELT_NODE_SCALAR] = true,
        [BELT_NODE_LIST] = tree || s->type == BELT_SET_LIST,
        [BELT_NODE_MAP] = tree && !table[1].name,
    };
    return takes[belt_node_kind(in->node)] ? s : NULL;
}

static int check_keys(const struct belt_settings_in *in, const struct belt_setting *table,
                      struct belt_error *err)
{
    const char *known[BELT_SETTINGS_MAX + 1];
    size_t count = 0;
    for (const struct belt_setting *s = table; s->name; s++) {
        assert(count < BELT_SETTINGS_MAX);
        known[count++] = s->name;
    }
    for (const char *const *also = in->also; also && *also; also++) {
        assert(count < BELT_SETTINGS_MAX);
        known[count++] = *also;
    }
    known[count] = NULL;
    return belt_keys_check(in->node, in->what, known, false, err);
}

int belt_settings_read(const struct belt_settings_in *in, void *conf, struct belt_tree *tree,
                       struct belt_error *err)
{
    const struct belt_setting *table = in->table ? in->table : no_settings;
    const struct belt_setting *whole = whole_node(in, table);
    int rc = whole ? 0 : check_keys(in, table, err);
    for (const struct belt_setting *s = table; rc == 0 && s->name; s++) {
        const struct belt_node *node = s == whole ? in->node : NULL;
        if (!whole)
            node = belt_node_get(in->node, s->name);
        rc = read_setting(in, s, node, conf, tree, err);
    }
    return rc;
}
