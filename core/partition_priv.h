/* Which partition a message belongs to: the same for processors and batchers, so that
 * what is together stays together. */
#ifndef BELT_PARTITION_PRIV_H
#define BELT_PARTITION_PRIV_H

#include "core/hash_priv.h"
#include "core/run_priv.h"

/* Of the value of message i in a column of this type; the partition is its remainder by
 * the number of instances. */
static inline uint32_t belt_partition_hash(const struct belt_view *view, int column,
                                           enum belt_type type, uint32_t i)
{
    uint32_t size = sizeof(int64_t);
    const char *value = (const char *)&view->columns[column].as.numbers[i];
    if (type == BELT_TEXT)
        value = belt_text(view, column, i, &size);
    return belt_hash(value, size);
}

/* The edge of this outlet that message i, whose key has this hash, goes to. */
static inline uint32_t belt_row_edge(const struct belt_chain_stage *chain,
                                     const struct belt_outlet *outlet, const struct belt_view *view,
                                     uint32_t i, uint32_t hash)
{
    const struct belt_batcher_spec *to = outlet->batcher;
    if (to->partition >= 0 && outlet->active > 1)
        hash = belt_partition_hash(view, to->partition, to->columns[to->partition].type, i);
    return belt_outlet_edge(chain, outlet, hash);
}

#endif
