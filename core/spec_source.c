/* The sources of a spec. A source's own settings stand beside its part:
 * source: { file: {...}, concurrency: 1 }. */
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define WINDOW "4194304"

struct source_conf {
    int64_t concurrency, window;
};

#define AT(field) offsetof(struct source_conf, field)

static const struct belt_setting source_settings[] = {
    { "concurrency", BELT_SET_INT, AT(concurrency), "0", "instances; 0: as many as there are cores",
      NULL, 0, 256 },
    { "window", BELT_SET_INT, AT(window), WINDOW,
      "most messages of an instance that may be unsettled at a time", NULL, BELT_FRAME, 1 << 30 },
    { 0 },
};

static bool is_own(const char *key)
{
    for (const struct belt_setting *s = source_settings; s->name; s++)
        if (strcmp(s->name, key) == 0)
            return true;
    return false;
}

static struct belt_node *map_like(struct belt_tree *tree, const struct belt_node *node)
{
    struct belt_node *map = belt_tree_alloc(tree, sizeof *map);
    if (!map)
        return NULL;
    *map = *node;
    map->count = 0;
    map->entries = belt_tree_alloc(tree, (node->count + 1) * sizeof *map->entries);
    return map->entries ? map : NULL;
}

/* More than one key that is not the source's own: the first that is no part is a slip. */
static int check_rest(struct belt_builder *b, const struct belt_source_spec *source,
                      const struct belt_node *rest, struct belt_error *err)
{
    const char *known[BELT_SETTINGS_MAX + 1];
    size_t count = 0;
    if (rest->count < 2)
        return 0;
    for (const struct belt_setting *s = source_settings; s->name; s++)
        known[count++] = s->name;
    for (size_t i = 0; i < rest->count && count < BELT_SETTINGS_MAX; i++)
        if (belt_registry_find(b->registry, BELT_SOURCE, belt_node_key(rest, i)))
            known[count++] = belt_node_key(rest, i);
    known[count] = NULL;
    return belt_keys_check(rest, source->path, known, false, err);
}

/* What is the source's own, and what names its part. */
static int split_source(struct belt_builder *b, const struct belt_source_spec *source,
                        const struct belt_node *node, struct belt_node **own,
                        const struct belt_node **part, struct belt_error *err)
{
    *own = NULL;
    *part = node;
    if (belt_node_kind(node) != BELT_NODE_MAP)
        return 0;
    *own = map_like(b->tree, node);
    struct belt_node *rest = map_like(b->tree, node);
    if (!*own || !rest)
        return belt_tree_nomem(err, "source");
    for (size_t i = 0; i < node->count; i++) {
        struct belt_node *to = is_own(belt_node_key(node, i)) ? *own : rest;
        to->entries[to->count++] = node->entries[i];
    }
    *part = rest;
    return check_rest(b, source, rest, err);
}

/* Every source gives the same first column; what its part adds comes behind. */
static int add_part(struct belt_builder *b, struct belt_source_spec *source,
                    const struct belt_node *part, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    int rc = belt_use_part(b, &source->use, BELT_SOURCE, part, source->path, belt_no_keys, err);
    if (rc < 0)
        return rc;
    return belt_use_prepare(b, &source->use, spec->columns, &spec->columns_used, false, err);
}

static int add_source(struct belt_builder *b, const struct belt_node *node, const char *name,
                      struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    struct belt_source_spec *source = &spec->sources[spec->sources_used];
    struct source_conf conf = { 0 };
    struct belt_node *own;
    const struct belt_node *part;
    bool single = !*name;
    snprintf(source->name, sizeof source->name, "%s", single ? "source" : name);
    snprintf(source->path, sizeof source->path, single ? "source" : "sources.%.64s", name);
    spec->sources_used++;
    int rc = split_source(b, source, node, &own, &part, err);
    if (rc < 0)
        return rc;
    struct belt_settings_in in = {
        .table = source_settings, .node = own, .at = node, .what = source->path
    };
    rc = belt_settings_read(&in, &conf, b->tree, err);
    source->instances = (uint32_t)conf.concurrency;
    source->window = ((uint64_t)conf.window + 63) / 64 * 64;
    return rc < 0 ? rc : add_part(b, source, part, err);
}

static int add_named(struct belt_builder *b, const struct belt_node *many, struct belt_error *err)
{
    if (belt_node_kind(many) != BELT_NODE_MAP || !belt_node_count(many))
        return belt_node_error(err, many, "sources is a map: sources: { NAME: { PART: { ... } } }");
    if (belt_node_count(many) > BELT_SOURCES)
        return belt_node_error(err, many, "more than %d sources", BELT_SOURCES);
    for (size_t i = 0; i < belt_node_count(many); i++) {
        const char *name = belt_node_key(many, i);
        if (!belt_is_name(name) || strlen(name) >= sizeof b->spec->sources->name)
            return belt_node_error(err, belt_node_at(many, i),
                                   "'%s' is no name of a source: use a-z, 0-9 and _, a letter "
                                   "first",
                                   name);
        int rc = add_source(b, belt_node_at(many, i), name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int belt_spec_add_sources(struct belt_builder *b, struct belt_error *err)
{
    const struct belt_node *one = belt_node_get(b->root, "source");
    const struct belt_node *many = belt_node_get(b->root, "sources");
    if (one && many)
        return belt_node_error(err, many, "source and sources: give one of them");
    if (!one && !many)
        return belt_node_error(err, b->root,
                               "a pipeline needs a source: source: { NAME: { ... } }");
    b->spec->columns[0] = (struct belt_column_info){ "payload", BELT_TEXT, 0 };
    b->spec->columns_used = 1;
    return many ? add_named(b, many, err) : add_source(b, one, "", err);
}
