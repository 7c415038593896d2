/* The source of a spec. */
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"

static const char *const source_extra[] = { "concurrency", NULL };

/* The source's own settings stand beside its part: source: { file: {...}, concurrency: 1 }. */
static int split_source(const struct belt_node *node, const struct belt_node **part,
                        int64_t *instances, struct belt_error *err)
{
    *instances = 0;
    *part = node;
    if (belt_node_kind(node) != BELT_NODE_MAP || belt_node_count(node) < 2)
        return 0;
    const struct belt_node *n = belt_node_get(node, source_extra[0]);
    if (!n || belt_node_count(node) != 2)
        return 0; /* belt_registry_pick() says what is wrong */
    struct belt_error why;
    if (!belt_node_text(n) || belt_parse_int(belt_node_text(n), instances, &why) < 0 ||
        *instances < 1 || *instances > 256)
        return belt_node_error(err, n, "source concurrency: a number from 1 to 256");
    return 1;
}

int belt_spec_add_source(struct belt_builder *b, struct belt_error *err)
{
    const struct belt_node *node, *part;
    int64_t instances;
    int rc = belt_spec_take_one(b, "source", "sources", true, &node, err);
    if (rc < 0 || (rc = split_source(node, &part, &instances, err)) < 0)
        return rc;
    if (rc == 1) {
        struct belt_node *only = belt_tree_alloc(b->tree, sizeof *only);
        if (!only)
            return belt_tree_nomem(err, "source");
        *only = *node;
        bool first = strcmp(belt_node_key(node, 0), source_extra[0]) == 0;
        only->entries = node->entries + first;
        only->count = 1;
        part = only;
    }
    b->spec->source_instances = (uint32_t)instances;
    rc = belt_use_part(b, &b->spec->source, BELT_SOURCE, part, "source", belt_no_keys, err);
    if (rc < 0)
        return rc;
    b->spec->columns[0] = (struct belt_column_info){ "payload", BELT_TEXT, 0 };
    b->spec->columns_used = 1;
    return belt_use_prepare(b, &b->spec->source, b->spec->columns, &b->spec->columns_used, false,
                            err);
}
