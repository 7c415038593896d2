/* memmem() */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/tree_priv.h"

#define ANCHORS 1000
#define ROOT_ID 1 /* libyaml numbers a document's nodes from its root */

/* A YAML text on its way to nodes. */
struct reading {
    struct belt_tree *tree;
    struct belt_error *err;
    const char *text;
    size_t size;
    const char *name;
    bool whole_place; /* `name` is the place of every node, without line and column */
    yaml_parser_t parser;
    yaml_document_t document;
};

/* ---- places ----------------------------------------------------------------- */

/* In the tree's memory; NULL when there is none left. */
static const char *make_place(struct reading *r, yaml_mark_t mark)
{
    static const char format[] = "%s:%zu:%zu";
    if (r->whole_place)
        return r->name;
    int size = snprintf(NULL, 0, format, r->name, mark.line + 1, mark.column + 1);
    char *place = belt_tree_alloc(r->tree, (size_t)size + 1);
    if (place)
        snprintf(place, (size_t)size + 1, format, r->name, mark.line + 1, mark.column + 1);
    return place;
}

/* libyaml gives only a byte offset for text that it cannot even decode. */
static yaml_mark_t mark_of_offset(const struct reading *r, size_t offset)
{
    yaml_mark_t mark = { .index = offset };
    for (size_t i = 0; i < offset && i < r->size; i++) {
        unsigned char byte = (unsigned char)r->text[i];
        if (byte == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((byte & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

/* ---- syntax errors ---------------------------------------------------------- */

/* The rest of the text from `mark`, whose line counts characters, not bytes. */
static const char *text_at(const struct reading *r, yaml_mark_t mark, const char **line)
{
    const char *at = r->text, *end = r->text + r->size;
    for (size_t i = 0; i < mark.line; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            break;
        at = newline + 1;
    }
    *line = at;
    for (size_t i = 0; i < mark.column && at < end; i++)
        do
            at++;
        while (at < end && ((unsigned char)*at & 0xc0) == 0x80);
    return at;
}

/* What probably happened, for the two slips that libyaml words badly. */
static const char *hint(const struct reading *r, yaml_mark_t mark)
{
    const char *line, *end = r->text + r->size;
    const char *at = text_at(r, mark, &line);
    if (at < end && *at == '\t')
        return "; a tab cannot indent, use spaces";
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    if (memmem(line, (size_t)((newline ? newline : end) - line), "${", 2))
        return "; inside [ ] or { } put quotes around \"${...}\"";
    return r->whole_place ? "; a text that begins with [ { \" or ' needs quotes" : "";
}

static int syntax_error(struct reading *r)
{
    const yaml_parser_t *parser = &r->parser;
    bool decoding = parser->error == YAML_READER_ERROR;
    yaml_mark_t mark = decoding ? mark_of_offset(r, parser->problem_offset) : parser->problem_mark;
    const char *place = make_place(r, mark);
    if (!place || parser->error == YAML_MEMORY_ERROR)
        return belt_tree_nomem(r->err, r->name);
    const char *more = decoding ? "" : hint(r, mark);
    if (decoding || !parser->context || r->whole_place)
        return belt_error_config(r->err, "%s: %s%s", place, parser->problem, more);
    return belt_error_config(r->err, "%s: %s (%s from line %zu)%s", place, parser->problem,
                             parser->context, parser->context_mark.line + 1, more);
}

/* ---- variables -------------------------------------------------------------- */

struct variable {
    const char *value;
    size_t size;
    size_t used; /* bytes of ${...} */
};

static int bad_variable(struct reading *r, const char *place, const char *at, size_t size)
{
    return belt_error_config(r->err,
                             "%s: '%.*s' is no variable: write ${NAME} or "
                             "${NAME:-default}, or $${ for a plain ${",
                             place, (int)(size < 40 ? size : 40), at);
}

/* `at` begins with "${". As in a shell, :- also stands in for an empty variable. */
static int find_variable(struct reading *r, const char *place, const char *at, size_t size,
                         struct variable *out)
{
    char name[128];
    const char *close = memchr(at, '}', size);
    if (!close)
        return bad_variable(r, place, at, size);
    size_t inner = (size_t)(close - at) - 2, length = 0;
    const char *body = at + 2;
    while (length < inner && (isalnum((unsigned char)body[length]) || body[length] == '_'))
        length++;
    bool fallback = inner >= length + 2 && memcmp(body + length, ":-", 2) == 0;
    if (length == 0 || isdigit((unsigned char)body[0]) || length >= sizeof name ||
        (length != inner && !fallback) || memmem(body, inner, "${", 2))
        return bad_variable(r, place, at, inner + 3);
    memcpy(name, body, length);
    name[length] = 0;
    const char *value = getenv(name);
    out->used = inner + 3;
    if (fallback && (!value || !*value)) {
        out->value = body + length + 2;
        out->size = inner - length - 2;
        return 0;
    }
    if (!value)
        return belt_error_config(r->err,
                                 "%s: the environment variable %s is not set; set it, or "
                                 "write ${%s:-default}",
                                 place, name, name);
    out->value = value;
    out->size = strlen(value);
    return 0;
}

/* Writes the expanded text to `out`, or only counts when that is NULL. */
static int expand(struct reading *r, const char *place, const char *text, size_t size, char *out,
                  size_t *wrote)
{
    size_t n = 0;
    for (size_t i = 0; i < size;) {
        struct variable put = { text + i, 1, 1 };
        if (size - i >= 3 && memcmp(text + i, "$${", 3) == 0) {
            put = (struct variable){ "${", 2, 3 };
        } else if (size - i >= 2 && memcmp(text + i, "${", 2) == 0) {
            int rc = find_variable(r, place, text + i, size - i, &put);
            if (rc != 0)
                return rc;
        }
        if (out)
            memcpy(out + n, put.value, put.size);
        n += put.size;
        i += put.used;
    }
    *wrote = n;
    return 0;
}

/* ---- nodes ------------------------------------------------------------------ */

static bool means_null(const char *text)
{
    return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 ||
           strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0;
}

static int set_text(struct reading *r, struct belt_node *node, const char *text, size_t size)
{
    size_t wrote;
    if (memchr(text, 0, size))
        return belt_error_config(r->err, "%s: a text cannot hold a NUL byte", node->place);
    int rc = expand(r, node->place, text, size, NULL, &wrote);
    if (rc != 0)
        return rc;
    char *copy = belt_tree_alloc(r->tree, wrote + 1);
    if (!copy)
        return belt_tree_nomem(r->err, node->place);
    node->null = !node->quoted && means_null(text);
    node->text = copy;
    return expand(r, node->place, text, size, copy, &wrote);
}

static int convert(struct reading *r, int id, unsigned depth, struct belt_node **out);

static int convert_scalar(struct reading *r, const yaml_node_t *from, unsigned depth,
                          struct belt_node *to)
{
    (void)depth;
    to->quoted = from->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return set_text(r, to, (const char *)from->data.scalar.value, from->data.scalar.length);
}

static int convert_list(struct reading *r, const yaml_node_t *from, unsigned depth,
                        struct belt_node *to)
{
    const yaml_node_item_t *end = from->data.sequence.items.top;
    for (const yaml_node_item_t *item = from->data.sequence.items.start; item < end; item++) {
        struct belt_entry entry = { 0 };
        int rc = convert(r, *item, depth + 1, &entry.value);
        if (rc == 0)
            rc = belt_tree_append(r->tree, to, &entry, r->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Adds the entries of a map named by "<<"; keys already there stay. */
static int merge_map(struct reading *r, struct belt_node *to, const struct belt_node *from)
{
    if (from->kind != BELT_NODE_MAP)
        return belt_node_error(r->err, from, "<< takes a map or a list of maps, not %s",
                               belt_node_kind_name(from));
    for (size_t i = 0; i < from->count; i++) {
        struct belt_entry entry = from->entries[i];
        entry.merged = true;
        if (belt_node_find(to, entry.key))
            continue;
        int rc = belt_tree_append(r->tree, to, &entry, r->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int merge_key(struct reading *r, struct belt_node *to, const struct belt_node *from)
{
    if (from->kind != BELT_NODE_LIST)
        return merge_map(r, to, from);
    int rc = 0;
    for (size_t i = 0; i < from->count && rc == 0; i++)
        rc = merge_map(r, to, from->entries[i].value);
    return rc;
}

static int add_key(struct reading *r, struct belt_node *to, const struct belt_entry *entry)
{
    struct belt_entry *old = belt_node_find(to, entry->key);
    if (!old)
        return belt_tree_append(r->tree, to, entry, r->err);
    if (!old->merged)
        return belt_error_config(r->err, "%s: '%.80s' is given twice, first at %s",
                                 entry->key_place, entry->key, old->key_place);
    *old = *entry;
    return 0;
}

static int read_key(struct reading *r, int id, struct belt_entry *entry)
{
    const yaml_node_t *node = yaml_document_get_node(&r->document, id);
    entry->key_place = make_place(r, node->start_mark);
    if (!entry->key_place)
        return belt_tree_nomem(r->err, r->name);
    if (node->type != YAML_SCALAR_NODE)
        return belt_error_config(r->err, "%s: a key must be a text", entry->key_place);
    const char *text = (const char *)node->data.scalar.value;
    if (memchr(text, 0, node->data.scalar.length))
        return belt_error_config(r->err, "%s: a key cannot hold a NUL byte", entry->key_place);
    entry->key = belt_tree_copy(r->tree, text, node->data.scalar.length);
    return entry->key ? 0 : belt_tree_nomem(r->err, entry->key_place);
}

static int convert_map(struct reading *r, const yaml_node_t *from, unsigned depth,
                       struct belt_node *to)
{
    const yaml_node_pair_t *end = from->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = from->data.mapping.pairs.start; pair < end; pair++) {
        struct belt_entry entry = { 0 };
        int rc = read_key(r, pair->key, &entry);
        if (rc == 0)
            rc = convert(r, pair->value, depth + 1, &entry.value);
        if (rc == 0)
            rc = strcmp(entry.key, "<<") == 0 ? merge_key(r, to, entry.value)
                                              : add_key(r, to, &entry);
        if (rc != 0)
            return rc;
    }
    return 0;
}

struct conversion {
    enum belt_node_kind kind;
    const char *tag;
    int (*convert)(struct reading *r, const yaml_node_t *from, unsigned depth,
                   struct belt_node *to);
};

static const struct conversion conversions[] = {
    [YAML_SCALAR_NODE] = { BELT_NODE_SCALAR, YAML_STR_TAG, convert_scalar },
    [YAML_SEQUENCE_NODE] = { BELT_NODE_LIST, YAML_SEQ_TAG, convert_list },
    [YAML_MAPPING_NODE] = { BELT_NODE_MAP, YAML_MAP_TAG, convert_map },
};

static int too_deep(struct reading *r, const char *place)
{
    return belt_error_config(r->err, "%s: nested deeper than %d levels", place, BELT_TREE_DEPTH);
}

/* An alias is converted anew at each use, so that overlays and overrides change
 * one place only. An alias to its own parent ends at the depth limit. */
static int convert(struct reading *r, int id, unsigned depth, struct belt_node **out)
{
    const yaml_node_t *from = yaml_document_get_node(&r->document, id);
    const struct conversion *as = &conversions[from->type];
    const char *place = make_place(r, from->start_mark);
    if (!place)
        return belt_tree_nomem(r->err, r->name);
    if (depth >= BELT_TREE_DEPTH)
        return too_deep(r, place);
    if (strcmp((const char *)from->tag, as->tag) != 0)
        return belt_error_config(r->err, "%s: the tag %.80s has no meaning here", place,
                                 (const char *)from->tag);
    struct belt_node *node;
    int rc = belt_tree_node(r->tree, as->kind, place, &node, r->err);
    if (rc == 0)
        rc = as->convert(r, from, depth, node);
    if (rc == 0)
        *out = node;
    return rc;
}

/* ---- documents -------------------------------------------------------------- */

/* What is counted while the text is looked over before it is loaded. libyaml's
 * loader takes hours for a few MiB of brackets, and for as many anchors: both
 * are quadratic. */
struct survey {
    unsigned depth, documents, anchors;
    unsigned values; /* keys are among them */
};

static const struct {
    bool value, opens, closes;
} event_kinds[] = {
    [YAML_ALIAS_EVENT] = { .value = true },
    [YAML_SCALAR_EVENT] = { .value = true },
    [YAML_SEQUENCE_START_EVENT] = { .value = true, .opens = true },
    [YAML_SEQUENCE_END_EVENT] = { .closes = true },
    [YAML_MAPPING_START_EVENT] = { .value = true, .opens = true },
    [YAML_MAPPING_END_EVENT] = { .closes = true },
};

static bool has_anchor(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

static int survey_event(struct reading *r, struct survey *s, const yaml_event_t *event)
{
    bool value = event_kinds[event->type].value;
    s->values += value;
    s->anchors += has_anchor(event);
    s->documents += event->type == YAML_DOCUMENT_START_EVENT;
    bool deep = value && s->depth >= BELT_TREE_DEPTH;
    if (!deep && s->documents <= 1 && s->anchors <= ANCHORS && s->values <= 2 * BELT_TREE_NODES) {
        s->depth += event_kinds[event->type].opens;
        s->depth -= event_kinds[event->type].closes;
        return 0;
    }
    const char *place = make_place(r, event->start_mark);
    if (!place)
        return belt_tree_nomem(r->err, r->name);
    if (deep)
        return too_deep(r, place);
    if (s->documents > 1)
        return belt_error_config(r->err,
                                 "%s: a second document begins here; one file is one "
                                 "configuration",
                                 place);
    if (s->anchors > ANCHORS)
        return belt_error_config(r->err, "%s: more than %d anchors", place, ANCHORS);
    return belt_error_config(r->err, "%s: more than %d values in the configuration", place,
                             BELT_TREE_NODES);
}

static int survey(struct reading *r)
{
    struct survey counts = { 0 };
    for (bool end = false; !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return syntax_error(r);
        int rc = survey_event(r, &counts, &event);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (rc != 0)
            return rc;
    }
    if (counts.documents == 0)
        return belt_error_config(r->err,
                                 "%s: nothing in it, a pipeline is a map "
                                 "(name: ..., source: ...)",
                                 r->name);
    return 0;
}

static int load_document(struct reading *r)
{
    return yaml_parser_load(&r->parser, &r->document) ? 0 : syntax_error(r);
}

static int with_parser(struct reading *r, int (*pass)(struct reading *r))
{
    if (!yaml_parser_initialize(&r->parser))
        return belt_tree_nomem(r->err, r->name);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->size);
    int rc = pass(r);
    yaml_parser_delete(&r->parser);
    return rc;
}

static int read_text(struct reading *r, unsigned depth, struct belt_node **out)
{
    int rc = with_parser(r, survey);
    if (rc == 0)
        rc = with_parser(r, load_document);
    if (rc != 0)
        return rc;
    rc = convert(r, ROOT_ID, depth, out);
    yaml_document_delete(&r->document);
    return rc;
}

int belt_yaml_file(struct belt_tree *tree, const char *text, size_t size, const char *name,
                   struct belt_node **out, struct belt_error *err)
{
    struct reading r = { .tree = tree, .err = err, .text = text, .size = size, .name = name };
    return read_text(&r, 0, out);
}

int belt_yaml_value(struct belt_tree *tree, const char *value, const char *place, unsigned depth,
                    struct belt_node **out, struct belt_error *err)
{
    struct reading r = { .tree = tree,
                         .err = err,
                         .text = value,
                         .size = strlen(value),
                         .name = place,
                         .whole_place = true };
    char first = value[strspn(value, " ")];
    if (first && strchr("[{\"'", first))
        return read_text(&r, depth, out);
    int rc = belt_tree_node(tree, BELT_NODE_SCALAR, place, out, err);
    return rc != 0 ? rc : set_text(&r, *out, value, r.size);
}
