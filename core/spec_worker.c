/* Workers as they are asked for: what is the same for steps and sinks, and what is
 * special about a sink's. */
#include <stddef.h>
#include <stdio.h>

#include "core/settings_priv.h"
#include "core/worker_settings_priv.h"

int belt_worker_conf_check(const struct belt_worker_conf *conf, const struct belt_node *node,
                           const char *path, struct belt_error *err)
{
    if (conf->restart_backoff <= conf->restart_backoff_max)
        return 0;
    const struct belt_node *at = belt_node_get(node, "restart_backoff");
    return belt_node_error(err, at ? at : belt_node_get(node, "restart_backoff_max"),
                           "'restart_backoff' of %s is longer than restart_backoff_max", path);
}

/* ---- of a batcher's sink ---------------------------------------------------------- */

const struct belt_setting belt_worker_settings[] = {
#define BELT_WORKER_SETTING(field, type, fallback, help, choices, min, max)                        \
    { #field, type, offsetof(struct belt_worker_conf, field), fallback, help, choices, min, max },
#include "core/worker_settings.def"
#undef BELT_WORKER_SETTING
    { 0 },
};

/* A sink that leaves batches under way holds what only its own process knows of them. */
static int check_sink(const struct belt_batcher_spec *batcher, struct belt_error *err)
{
    const struct belt_sink *sink = (const struct belt_sink *)(const void *)batcher->sink.part;
    if (!sink->poll)
        return 0;
    return belt_node_error(err, belt_node_get(batcher->node, "isolation"),
                           "%s: the sink %s is not done with a batch when batch() returns: it "
                           "cannot run in a worker: isolation: thread",
                           batcher->path, sink->part.name);
}

int belt_spec_add_sink_worker(struct belt_builder *b, struct belt_batcher_spec *batcher,
                              int isolation, const struct belt_node *settings,
                              struct belt_error *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s.worker", batcher->path);
    struct belt_settings_in in = {
        .table = belt_worker_settings, .node = settings, .at = batcher->node, .what = path
    };
    batcher->isolation = isolation;
    if (isolation != BELT_ISOLATION_PROCESS && settings)
        return belt_node_error(err, settings,
                               "'worker' of %s holds for workers only: add isolation: process",
                               batcher->path);
    int rc = belt_settings_read(&in, &batcher->workers, b->tree, err);
    if (rc == 0)
        rc = belt_worker_conf_check(&batcher->workers, settings, path, err);
    if (rc < 0 || isolation != BELT_ISOLATION_PROCESS)
        return rc;
    b->spec->sink_workers = true;
    return check_sink(batcher, err);
}
