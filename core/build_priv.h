/* What the files that wire a run share. The region is laid out by one walk that is
 * done twice: first without memory, to count, then with it. */
#ifndef BELT_BUILD_PRIV_H
#define BELT_BUILD_PRIV_H

#include "core/run_priv.h"

/* What is carved from now on is used first by the lane of this stage. */
void belt_carve_for(struct belt_engine_run *run, const struct belt_stage *stage);
/* The region, `size` bytes, in huge pages or not (region.c). */
/* Bytes of a page of the region: the least that is of one node. */
uint64_t belt_region_page(const struct belt_engine_run *run);
int belt_region_map(struct belt_engine_run *run, uint64_t size, struct belt_error *err);
/* The next bytes of the region; NULL while counting. */
void *belt_carve(struct belt_engine_run *run, uint64_t size, uint64_t align);
/* A ring in the region, formatted; its base is NULL while counting. */
struct belt_mem belt_carve_ring(struct belt_engine_run *run, struct belt_ring_conf conf);

/* Whom to wake; NULL: nobody, it is the same lane. */
static inline struct belt_lane *belt_other_lane(const struct belt_stage *from,
                                                const struct belt_stage *to)
{
    return from->lane == to->lane ? NULL : to->lane;
}

/* Results and what both sides tell each other; after the edges to the processor. */
void belt_worker_carve(struct belt_engine_run *run, struct belt_chain_stage *chain, uint32_t room);
/* Jobs, replies and the batches' arena. */
void belt_sink_worker_carve(struct belt_engine_run *run, struct belt_batcher_stage *b);

/* ---- homes.c ------------------------------------------------------------------- */

/* These bytes of the region, now run->node's; where they begin. */
void *belt_homes_add(struct belt_engine_run *run, uint64_t from, uint64_t to);

/* ---- link_build.c --------------------------------------------------------------- */

/* The structs for the links of every processor instance. False: out of memory. */
bool belt_links_make(struct belt_engine_run *run);
/* Their rings. */
void belt_links_lay_out(struct belt_engine_run *run);
void belt_links_free(struct belt_chain_stage *chain);

#endif
