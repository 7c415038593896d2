/* The sources of a spec. A source's own settings stand beside its part:
 * source: { file: {...}, concurrency: 1 }. */
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define WINDOW "4194304"

struct source_conf {
    int64_t concurrency, window, max_demand, min_demand;
    const struct belt_node *rate, *restart, *transform;
};

#define AT(field) offsetof(struct source_conf, field)

const struct belt_setting belt_source_settings[] = {
    { "concurrency", BELT_SET_INT, AT(concurrency), "0", "instances; 0: as many as there are cores",
      NULL, 0, 256 },
    { "window", BELT_SET_INT, AT(window), WINDOW,
      "most messages of an instance that may be unsettled at a time", NULL, 64, 1 << 30 },
    { "max_demand", BELT_SET_INT, AT(max_demand), "0",
      "most messages of an instance in a frame, and on the way to processors; 0: what fits", NULL,
      0, 1 << 30 },
    { "min_demand", BELT_SET_INT, AT(min_demand), "0",
      "without effect here: room is asked for as soon as it is there", NULL, 0, 1 << 30 },
    { "rate", BELT_SET_TREE, AT(rate), "",
      "so many messages in a time: { messages: 100, per: 1s, burst: 10 }", NULL, 0, 0 },
    { "restart", BELT_SET_TREE, AT(restart), "",
      "set up again an instance that cannot go on: { max: 3, within: 5s, backoff: 100ms }", NULL, 0,
      0 },
    { "transform", BELT_SET_TREE, AT(transform), "",
      "steps for this source's messages alone, before those of the processors: a list", NULL, 0,
      0 },
    { 0 },
};

struct restart_conf {
    int64_t max;
    uint64_t within, backoff;
};

const struct belt_setting belt_restart_settings[] = {
    { "max", BELT_SET_INT, offsetof(struct restart_conf, max), "3", "so often, of one instance",
      NULL, 1, BELT_RESTARTS },
    { "within", BELT_SET_TIME, offsetof(struct restart_conf, within), "5s",
      "in so long; once more and the run fails", NULL, 0, 0 },
    { "backoff", BELT_SET_TIME, offsetof(struct restart_conf, backoff), "100ms", "wait before it",
      NULL, 0, 0 },
    { 0 },
};

static int read_restart(struct belt_builder *b, struct belt_source_spec *source,
                        const struct belt_node *node, struct belt_error *err)
{
    struct restart_conf conf = { 0 };
    const struct belt_source *part = (const struct belt_source *)(const void *)source->use.part;
    char what[128];
    snprintf(what, sizeof what, "%s restart", source->path);
    struct belt_settings_in in = {
        .table = belt_restart_settings, .node = node, .what = what, .scalar = "max"
    };
    if (!node)
        return 0;
    if (!part->restarts)
        return belt_node_error(err, node, "%s: a source of %s cannot be set up again while it runs",
                               source->path, source->use.part->name);
    int rc = belt_settings_read(&in, &conf, b->tree, err);
    source->restart = (struct belt_restart_conf){ (uint32_t)conf.max, conf.within, conf.backoff };
    return rc;
}

struct rate_conf {
    int64_t messages, burst;
    uint64_t per;
};

const struct belt_setting belt_rate_settings[] = {
    { "messages", BELT_SET_INT, offsetof(struct rate_conf, messages), NULL,
      "so many messages, over all instances", NULL, 1, 0 },
    { "per", BELT_SET_TIME, offsetof(struct rate_conf, per), "1s", "in so long, evenly", NULL, 0,
      0 },
    { "burst", BELT_SET_INT, offsetof(struct rate_conf, burst), "0",
      "most at once after a pause; 0: the messages of 1 ms, at least one", NULL, 0, 1 << 30 },
    { 0 },
};

static int read_rate(struct belt_builder *b, struct belt_source_spec *source,
                     const struct belt_node *node, struct belt_error *err)
{
    struct rate_conf conf = { 0 };
    char what[128];
    snprintf(what, sizeof what, "%s rate", source->path);
    struct belt_settings_in in = {
        .table = belt_rate_settings, .node = node, .what = what, .scalar = "messages"
    };
    if (!node)
        return 0;
    int rc = belt_settings_read(&in, &conf, b->tree, err);
    if (rc < 0)
        return rc;
    if (!conf.per)
        return belt_node_error(err, belt_node_get(node, "per"), "%s: per must be longer than 0s",
                               what);
    source->rate.messages = (uint64_t)conf.messages;
    source->rate.per = conf.per;
    source->rate.burst =
        conf.burst ? (uint64_t)conf.burst : belt_rate_burst(source->rate.messages, conf.per);
    return 0;
}

/* A frame must find tickets when all of the window is free. */
static int read_demand(struct belt_source_spec *source, const struct source_conf *conf,
                       const struct belt_node *own, struct belt_error *err)
{
    source->window = ((uint64_t)conf->window + 63) / 64 * 64;
    source->max_demand = (uint32_t)conf->max_demand;
    if (source->window < BELT_FRAME && (!source->max_demand || source->max_demand > source->window))
        source->max_demand = (uint32_t)source->window;
    if (conf->min_demand && conf->min_demand >= conf->max_demand)
        return belt_node_error(err, belt_node_get(own, "min_demand"),
                               "'min_demand' of %s must be below max_demand", source->path);
    return 0;
}

static bool is_own(const char *key)
{
    for (const struct belt_setting *s = belt_source_settings; s->name; s++)
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
    for (const struct belt_setting *s = belt_source_settings; s->name; s++)
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
    int before = spec->columns_used;
    rc = belt_use_prepare(b, &source->use, spec->columns, &spec->columns_used, false, err);
    for (int c = before; rc == 0 && c < spec->columns_used; c++)
        source->columns |= 1u << c;
    return rc;
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
        .table = belt_source_settings, .node = own, .at = node, .what = source->path
    };
    rc = belt_settings_read(&in, &conf, b->tree, err);
    source->instances = (uint32_t)conf.concurrency;
    source->transform = conf.transform;
    if (rc == 0)
        rc = read_demand(source, &conf, own, err);
    if (rc == 0)
        rc = read_rate(b, source, conf.rate, err);
    if (rc == 0)
        rc = add_part(b, source, part, err);
    return rc < 0 ? rc : read_restart(b, source, conf.restart, err);
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

void belt_spec_set_absent(struct belt_spec *spec)
{
    uint32_t all = 0;
    for (int s = 0; s < spec->sources_used; s++)
        all |= spec->sources[s].columns;
    for (int s = 0; s < spec->sources_used; s++)
        spec->sources[s].absent = all & ~spec->sources[s].columns;
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
    int rc = many ? add_named(b, many, err) : add_source(b, one, "", err);
    belt_spec_set_absent(b->spec);
    return rc;
}
