/* The sink `collect`: batches kept in memory. */
#ifndef BELT_COLLECT_PRIV_H
#define BELT_COLLECT_PRIV_H

#include "core/testing.h"

struct belt_collect; /* the part's conf, shared by its instances */

extern const struct belt_sink belt_sink_collect;
int64_t belt_collect_count(struct belt_collect *collect);
/* False: there are not so many. */
bool belt_collect_at(struct belt_collect *collect, uint64_t i, struct belt_collected *out);

#endif
