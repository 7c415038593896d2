/* From the configuration tree to a spec: every key known, every part found,
 * every name resolved, nothing opened. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/hold_priv.h"
#include "core/settings_priv.h"
#include "core/spec_priv.h"

/* ---- parts in their places -------------------------------------------------- */

const char *const belt_no_keys[] = { NULL };

int belt_use_part(struct belt_builder *b, struct belt_use *use, enum belt_part_kind kind,
                  const struct belt_node *node, const char *path, const char *const *also,
                  struct belt_error *err)
{
    const struct belt_node *settings;
    char what[128];
    snprintf(use->path, sizeof use->path, "%s", path);
    int rc = belt_registry_pick(b->registry, kind, node, path, &use->part, &settings, err);
    if (rc < 0)
        return rc;
    use->node = settings ? settings : node;
    use->conf = calloc(1, use->part->conf_size ? use->part->conf_size : 1);
    if (!use->conf)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", path);
    snprintf(what, sizeof what, "%s %s", path, use->part->name);
    struct belt_settings_in in = { .table = use->part->settings,
                                   .node = settings,
                                   .at = node,
                                   .what = what,
                                   .scalar = use->part->scalar,
                                   .also = also };
    return belt_settings_read(&in, use->conf, b->tree, err);
}

static struct belt_source_spec *source_of(struct belt_use *use)
{
    if (use->part->kind != BELT_SOURCE)
        return NULL;
    return (struct belt_source_spec *)(void *)((char *)use -
                                               offsetof(struct belt_source_spec, use));
}

int belt_use_prepare(struct belt_builder *b, struct belt_use *use, struct belt_column_info *columns,
                     int *columns_used, bool batchers, struct belt_error *err)
{
    struct belt_setup setup = { .spec = b->spec,
                                .source = source_of(use),
                                .node = use->node,
                                .path = use->path,
                                .limit = &use->limit,
                                .memory = &use->memory,
                                .columns = columns,
                                .columns_used = columns_used,
                                .visible = b->visible,
                                .used = b->used,
                                .batchers = batchers };
    return use->part->prepare ? use->part->prepare(use->conf, &setup, err) : 0;
}

/* ---- the rest of the top level ---------------------------------------------- */

struct top_conf {
    const char *name, *partition_by;
    uint64_t drain;
    int64_t fail_limit;
    const struct belt_node *elsewhere; /* read by others, each with its own table */
};

#define ELSEWHERE(name, help)                                                                      \
    {                                                                                              \
        name, BELT_SET_TREE, offsetof(struct top_conf, elsewhere), "", help, NULL, 0, 0            \
    }

const struct belt_setting belt_top_settings[] = {
    { "name", BELT_SET_TEXT, offsetof(struct top_conf, name), "pipeline",
      "the pipeline's name in messages and reports", NULL, 0, 0 },
    { "drain", BELT_SET_TIME, offsetof(struct top_conf, drain), "30s",
      "how long a stopped pipeline may take to finish what is inside", NULL, 0, 0 },
    { "fail_limit", BELT_SET_INT, offsetof(struct top_conf, fail_limit), "-1",
      "stop early when more messages than this failed; -1: never", NULL, -1, INT64_MAX },
    { "partition_by", BELT_SET_TEXT, offsetof(struct top_conf, partition_by), "",
      "a field: its messages keep their order in processors and batchers that know it", NULL, 0,
      0 },
    ELSEWHERE("plugins", "shared objects that have parts: [./libmine.so]"),
    ELSEWHERE("source", "where messages come from; this or sources is required"),
    ELSEWHERE("sources", "several, by name: { NAME: { ... } }"),
    ELSEWHERE("processor", "what is done to each message"),
    ELSEWHERE("processors", "several, by name, each from the one before"),
    ELSEWHERE("batcher", "where messages are gathered for a sink"),
    ELSEWHERE("batchers", "several, by name; the first gets what no step routes"),
    ELSEWHERE("failed", "what becomes of messages that fail"),
    ELSEWHERE("placement", "which CPUs and lanes"),
    { 0 },
};

static int check_top(struct belt_builder *b, struct belt_error *err)
{
    const struct belt_setting *const tables[] = { belt_top_settings, belt_hold_settings };
    const char *known[BELT_SETTINGS_MAX] = { NULL };
    size_t count = 0;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct belt_setting *s = tables[t]; s->name; s++)
            known[count++] = s->name;
    return belt_keys_check(b->root, "a pipeline", known, true, err);
}

int belt_spec_read_keys(struct belt_builder *b, const struct belt_node *node,
                        const struct belt_setting *table, const char *what, void *conf,
                        struct belt_error *err)
{
    struct belt_entry entries[BELT_SETTINGS_MAX];
    struct belt_node own = { .kind = BELT_NODE_MAP,
                             .place = belt_node_place(node ? node : b->root),
                             .entries = entries };
    for (const struct belt_setting *s = table; s->name; s++) {
        const struct belt_node *given = belt_node_get(node, s->name);
        if (given)
            entries[own.count++] =
                (struct belt_entry){ .key = s->name,
                                     .key_place = belt_node_place(given),
                                     .value = (struct belt_node *)(uintptr_t)given };
    }
    struct belt_settings_in in = { .table = table, .node = &own, .at = b->root, .what = what };
    return belt_settings_read(&in, conf, b->tree, err);
}

static int add_top(struct belt_builder *b, struct belt_error *err)
{
    struct top_conf conf = { 0 };
    int rc = check_top(b, err);
    if (rc < 0)
        return rc;
    rc = belt_spec_read_keys(b, b->root, belt_top_settings, "pipeline", &conf, err);
    if (rc < 0)
        return rc;
    if (!*conf.name || strlen(conf.name) >= sizeof b->spec->name)
        return belt_node_error(err, belt_node_get(b->root, "name"),
                               "'name' of pipeline must have 1 to %zu bytes, not %zu",
                               sizeof b->spec->name - 1, strlen(conf.name));
    snprintf(b->spec->name, sizeof b->spec->name, "%s", conf.name);
    b->spec->drain = conf.drain;
    b->spec->partition_by = conf.partition_by ? conf.partition_by : "";
    b->spec->fail_limit = conf.fail_limit;
    return 0;
}

/* Stages that do not have it go without; a name that none has is a slip. */
static int check_partition(const struct belt_builder *b, struct belt_error *err)
{
    const struct belt_spec *spec = b->spec;
    const struct belt_node *at = belt_node_get(b->root, "partition_by");
    const char *names[BELT_COLUMNS];
    if (!*spec->partition_by)
        return 0;
    for (int c = 0; c < spec->columns_used; c++) {
        names[c] = spec->columns[c].name;
        if (strcmp(names[c], spec->partition_by) == 0)
            return 0;
    }
    const char *near = belt_nearest(spec->partition_by, names, (size_t)spec->columns_used);
    if (near)
        return belt_node_error(err, at, "partition_by: no field '%s' anywhere; did you mean '%s'?",
                               spec->partition_by, near);
    return belt_node_error(err, at,
                           "partition_by: no source and no step gives a field '%s'; 'payload' is "
                           "the whole message",
                           spec->partition_by);
}

/* ---- all of it -------------------------------------------------------------- */

int belt_spec_new(struct belt_spec **out, struct belt_tree *tree,
                  const struct belt_registry *registry, struct belt_error *err)
{
    struct belt_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return belt_error_set(err, -ENOMEM, "pipeline: out of memory");
    struct belt_builder b = {
        .spec = spec, .tree = tree, .registry = registry, .root = belt_tree_root(tree)
    };
    int rc = add_top(&b, err);
    if (rc == 0)
        rc = belt_spec_add_placement(&b, err);
    if (rc == 0)
        rc = belt_spec_add_sources(&b, err);
    if (rc == 0)
        rc = belt_spec_name_batchers(&b, err);
    if (rc == 0)
        rc = belt_spec_add_processors(&b, err);
    if (rc == 0)
        rc = check_partition(&b, err);
    if (rc == 0)
        rc = belt_spec_add_batchers(&b, err);
    if (rc == 0)
        rc = belt_spec_add_retry(&b, err);
    if (rc == 0)
        rc = belt_spec_add_hold_all(&b, err);
    if (rc == 0)
        belt_spec_settle_columns(spec);
    if (rc < 0) {
        belt_spec_free(spec);
        return rc;
    }
    *out = spec;
    return 0;
}

static void free_use(struct belt_use *use)
{
    if (use->conf && use->part->close)
        use->part->close(use->conf);
    free(use->conf);
}

void belt_spec_free(struct belt_spec *spec)
{
    if (!spec)
        return;
    for (int s = 0; s < spec->sources_used; s++)
        free_use(&spec->sources[s].use);
    for (int s = 0; s < spec->steps_used; s++)
        free_use(&spec->steps[s]);
    for (int i = 0; i < BELT_BATCHERS; i++) {
        free_use(&spec->batchers[i].format);
        free_use(&spec->batchers[i].sink);
        belt_agg_spec_free(spec->batchers[i].aggregate);
    }
    free(spec);
}
