/* Which edges 64 rows go to, by the texts of a column: compiled for two instruction sets. */
#ifndef BELT_ROW_EDGES_PRIV_H
#define BELT_ROW_EDGES_PRIV_H

#include <stdint.h>

#include "core/isa.h"
#include "core/view.h"

/* edges[k]: belt_edge_of() the hash of text k of the 64 from `spans` on, for those of `mask`. */
typedef void belt_row_edges_fn(const struct belt_span *spans, const char *base, uint64_t mask,
                               uint32_t instances, uint8_t edges[64]);
belt_row_edges_fn belt_row_edges_v2, belt_row_edges_v3;

static inline belt_row_edges_fn *belt_row_edges(void)
{
    return belt_isa_v3() ? belt_row_edges_v3 : belt_row_edges_v2;
}

#endif
