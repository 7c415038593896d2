/* Messages made of messages: a step with `.emits` ends its chain, and what it emits
 * gathers here until it leaves over the chain's links. A message is done when all
 * made of it are (join_priv.h); one that made none is done at once.
 *
 * Few are children of one join. Of a message whose children do not fit, because the
 * step was stopped in the middle of it or there are more than a join has bits, a
 * count keeps the number, one unit of which the message holds itself until its step
 * is through with it. */
#ifndef BELT_EMIT_PRIV_H
#define BELT_EMIT_PRIV_H

#include "core/join_priv.h"
#include "core/link_priv.h"

struct belt_kids {
    struct belt_engine engine;    /* their columns */
    struct belt_link_shape shape; /* those that are needed behind */
    uint32_t count, ticketed;
    uint32_t of;   /* 1 + the message that emitted last, 0: none of this frame */
    uint64_t sent; /* how many it emitted so far */
    uint16_t parents[BELT_FRAME];
    struct belt_ticket tickets[BELT_FRAME]; /* [ticketed]; no bit: withdrawn, or gone */
};

struct belt_chain_stage;
struct belt_engine_run;

size_t belt_kids_size(const struct belt_engine_run *run, const struct belt_chain_stage *chain);
void belt_kids_init(const struct belt_engine_run *run, struct belt_chain_stage *chain,
                    char *memory);
/* Tickets for all of them, and links for them to leave by. False: no join is free. */
bool belt_kids_sort(struct belt_chain_stage *chain);

static inline void belt_kids_clear(struct belt_kids *kids)
{
    kids->count = kids->ticketed = kids->engine.room_used = 0;
    kids->engine.routed = kids->engine.any_also = kids->engine.any_flush = false;
}

#endif
