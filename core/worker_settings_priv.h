/* What can be set about workers (worker_settings.def), where it is the same for steps and
 * for sinks. */
#ifndef BELT_WORKER_SETTINGS_PRIV_H
#define BELT_WORKER_SETTINGS_PRIV_H

#include "core/spec_priv.h"

/* What no table can check; `node` is the map that they were in, `path` its path. */
int belt_worker_conf_check(const struct belt_worker_conf *conf, const struct belt_node *node,
                           const char *path, struct belt_error *err);
/* isolation: process of a batcher, after its sink is known; `settings`: its `worker`, or NULL. */
int belt_spec_add_sink_worker(struct belt_builder *b, struct belt_batcher_spec *batcher,
                              int isolation, const struct belt_node *settings,
                              struct belt_error *err);

#endif
