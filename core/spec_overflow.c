/* hold, when_full and spill of a batcher. */
#include <stdio.h>

#include "core/overflow_priv.h"
#include "core/settings_priv.h"

struct spill_conf {
    const char *path;
    uint64_t size;
};

const struct belt_setting belt_spill_settings[] = {
    { "path", BELT_SET_TEXT, offsetof(struct spill_conf, path), NULL,
      "a folder; the file in it has no name and is gone with the process", NULL, 0, 0 },
    { "size", BELT_SET_SIZE, offsetof(struct spill_conf, size), NULL,
      "most bytes of it, for each instance", NULL, 1 << 20, INT64_MAX },
    { 0 },
};

static int add_spill(struct belt_builder *b, struct belt_batcher_spec *batcher,
                     const struct belt_node *node, struct belt_error *err)
{
    struct spill_conf conf = { 0 };
    char what[128];
    snprintf(what, sizeof what, "%s.spill", batcher->path);
    struct belt_settings_in in = {
        .table = belt_spill_settings, .node = node, .at = batcher->node, .what = what
    };
    int rc = belt_settings_read(&in, &conf, b->tree, err);
    batcher->spill_path = conf.path;
    batcher->spill_size = conf.size;
    return rc;
}

/* Nothing that was asked for may quietly not happen. */
static int refuse(const struct belt_spec *spec, const struct belt_batcher_spec *batcher,
                  const struct belt_hold_conf *conf, struct belt_error *err)
{
    const struct belt_node *full = belt_node_get(batcher->node, "when_full");
    const struct belt_node *at = full ? full : belt_node_get(batcher->node, "hold");
    if (conf->spill && conf->when_full != BELT_FULL_SPILL)
        return belt_node_error(err, conf->spill, "%s: spill is for when_full: spill",
                               batcher->path);
    if (!conf->spill && conf->when_full == BELT_FULL_SPILL)
        return belt_node_error(err, full,
                               "%s: when_full: spill needs a folder and a limit: spill: { path: "
                               "DIR, size: 1GiB }",
                               batcher->path);
    if (!conf->hold && conf->when_full == BELT_FULL_WAIT)
        return 0;
    if (batcher->aggregate)
        return belt_node_error(err, at, "%s: an aggregate holds nothing: its groups wait in tables",
                               batcher->path);
    if (conf->when_full != BELT_FULL_FAIL)
        return 0;
    if (belt_spec_is_failed(spec, batcher))
        return belt_node_error(err, at,
                               "failed: when_full: fail is for messages that have not "
                               "failed yet: wait or spill");
    if (batcher->ordered)
        return belt_node_error(err, at,
                               "%s: when_full: fail wants order: any: the order of the input waits "
                               "for what the slow instance still has to be told",
                               batcher->path);
    return 0;
}

int belt_spec_add_hold(struct belt_builder *b, struct belt_batcher_spec *batcher,
                       const struct belt_hold_conf *conf, struct belt_error *err)
{
    int rc = refuse(b->spec, batcher, conf, err);
    if (rc < 0)
        return rc;
    batcher->hold = conf->hold;
    batcher->when_full = conf->when_full;
    return conf->spill ? add_spill(b, batcher, conf->spill, err) : 0;
}
