/* The configuration as a tree: maps, lists and scalars as written in YAML,
 * each node knowing its place. Built by belt_pipeline_load() and _set(), read
 * by parts whose settings have a shape of their own (BELT_SET_TREE). Read-only
 * after the pipeline has started; any thread may read. */
#ifndef BELT_TREE_H
#define BELT_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_node_kind { BELT_NODE_SCALAR, BELT_NODE_LIST, BELT_NODE_MAP };

struct belt_node; /* owned by the tree; lives as long as the pipeline */

BELT_API enum belt_node_kind belt_node_kind(const struct belt_node *node);
/* A scalar's text ("" for null), environment already expanded; NULL for a list or map. */
BELT_API const char *belt_node_text(const struct belt_node *node);
/* Entries of a list or map; 0 for a scalar. */
BELT_API size_t belt_node_count(const struct belt_node *node);
/* Entry `i` in file order: a list's element or a map's value. NULL past the end. */
BELT_API const struct belt_node *belt_node_at(const struct belt_node *node, size_t i);
/* The key of entry `i` of a map; NULL otherwise. */
BELT_API const char *belt_node_key(const struct belt_node *node, size_t i);
/* The value under `key`; NULL when there is none or `map` is NULL or no map. */
BELT_API const struct belt_node *belt_node_get(const struct belt_node *map, const char *key);
/* "pipeline.yaml:12:7", or "-s source.file.paths" for an override. Never NULL. */
BELT_API const char *belt_node_place(const struct belt_node *node);

/* Sets "PLACE: message" with err->config = 1 and returns -EINVAL. */
BELT_API int belt_node_error(struct belt_error *err, const struct belt_node *node,
                             const char *format, ...) BELT_PRINTF(3, 4);

/* The candidate nearest to `word` by edit distance when near enough to be a
 * slip of the pen (at most a third of its letters), else NULL. */
BELT_API const char *belt_nearest(const char *word, const char *const *candidates, size_t count);

#ifdef __cplusplus
}
#endif
#endif
