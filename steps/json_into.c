/* The setting `into` of the step `json`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/tree_priv.h"
#include "steps/json_priv.h"
#include "steps/number_priv.h"
#include "steps/type_priv.h"

/* ---- into ------------------------------------------------------------------------ */

static int read_kind(struct belt_json_field *field, const struct belt_node *node,
                     struct belt_error *err)
{
    const char *text = belt_node_text(node);
    field->raw = text && strcmp(text, "raw") == 0;
    field->truth = text && strcmp(text, "bool") == 0;
    if (field->raw || field->truth) {
        field->type = field->raw ? BELT_TEXT : BELT_INT;
        return 0;
    }
    static const char *const more[] = { "bool", "raw" };
    const char *near = text ? belt_nearest(text, more, 2) : NULL;
    if (near)
        return belt_node_error(err, node, "field %s: no type '%s'; did you mean '%s'?", field->name,
                               text, near);
    return belt_type_read(node, field->name, false, &field->type, &field->digits, err);
}

/* The text of `default` as a value of the field's type. */
static int read_fallback(struct belt_json_field *field, const struct belt_node *node,
                         struct belt_error *err)
{
    enum belt_flaw flaw = BELT_FLAW_NONE;
    const char *text = belt_node_text(node);
    if (!text)
        return belt_node_error(err, node, "field %s: default is one value", field->name);
    if (node->null)
        return belt_node_error(err, node,
                               "field %s: a default is '' for an empty text and 'null' for JSON's "
                               "null, in quotes; leave it out for none",
                               field->name);
    size_t size = strlen(text);
    field->fallback = text;
    field->fallback_size = (uint32_t)size;
    if (field->truth) {
        field->number = strcmp(text, "true") == 0;
        return field->number || strcmp(text, "false") == 0
                   ? 0
                   : belt_node_error(err, node, "field %s: default is true or false", field->name);
    }
    if (field->type == BELT_FLOAT)
        flaw = belt_float_parse(text, size, &field->real);
    else if (field->type != BELT_TEXT)
        flaw = belt_number_parse(text, size, field->digits, &field->number);
    if (flaw == BELT_FLAW_NONE)
        return 0;
    char reason[BELT_REASON];
    belt_flaw_text(reason, sizeof reason, flaw, field->name, field->type, field->digits, text,
                   size);
    return belt_node_error(err, node, "%s", reason);
}

/* { path: user.id, type: int, default: 0 } */
static int read_long(struct belt_json_field *field, const struct belt_node *node,
                     const struct belt_node **path, struct belt_error *err)
{
    static const char *const keys[] = { "path", "type", "default" };
    const struct belt_node *type = belt_node_get(node, "type");
    for (size_t i = 0; i < belt_node_count(node); i++) {
        const char *key = belt_node_key(node, i);
        size_t k = 0;
        while (k < 3 && strcmp(key, keys[k]) != 0)
            k++;
        if (k == 3)
            return belt_node_error(err, belt_node_at(node, i),
                                   "field %s: no setting '%s'; there are: path, type, default",
                                   field->name, key);
    }
    if (!type)
        return belt_node_error(err, node, "field %s: its type is missing: { path: a.b, type: int }",
                               field->name);
    int rc = read_kind(field, type, err);
    const struct belt_node *fallback = belt_node_get(node, "default");
    if (rc == 0 && fallback)
        rc = read_fallback(field, fallback, err);
    *path = belt_node_get(node, "path");
    if (rc == 0 && *path && !belt_node_text(*path))
        return belt_node_error(err, *path, "field %s: a path is one text", field->name);
    return rc;
}

static int read_field(struct belt_json *json, struct belt_setup *setup, size_t i,
                      struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(json->into, i), *path = NULL;
    struct belt_json_field *field = &json->fields[i];
    field->name = belt_node_key(json->into, i);
    int rc = belt_node_kind(node) == BELT_NODE_MAP ? read_long(field, node, &path, err)
                                                   : read_kind(field, node, err);
    if (rc < 0)
        return rc;
    field->path = path ? belt_node_text(path) : field->name;
    field->slot = belt_json_path_add(&json->paths, field->path, path ? path : node, err);
    if (field->slot < 0)
        return field->slot;
    field->column = belt_setup_add(setup, node, field->name, field->type, field->digits, err);
    return field->column < 0 ? field->column : 0;
}

int belt_json_read_into(struct belt_json *json, struct belt_setup *setup, struct belt_error *err)
{
    size_t count = json->into ? belt_node_count(json->into) : 0;
    if (json->into && (belt_node_kind(json->into) != BELT_NODE_MAP || count == 0))
        return belt_node_error(err, json->into, "into names the fields: { name: type, ... }");
    json->fields = calloc(count + 1, sizeof *json->fields);
    if (!json->fields)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", belt_setup_path(setup));
    for (size_t i = 0; i < count; i++) {
        int rc = i < BELT_COLUMNS ? read_field(json, setup, i, err)
                                  : belt_node_error(err, belt_node_at(json->into, i),
                                                    "more than %d fields", BELT_COLUMNS);
        if (rc < 0)
            return rc;
        json->fields_used++;
    }
    return 0;
}
