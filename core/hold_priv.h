/* Messages that a step has taken out of its frame and keeps: their payloads, tickets
 * and places, one store for each pipeline. Any thread of the process, under one lock:
 * holding is for messages that wait for something slower than a lock. */
#ifndef BELT_HOLD_PRIV_H
#define BELT_HOLD_PRIV_H

#include "core/batch_priv.h"
#include "core/buddy_priv.h"
#include "core/error.h"

struct belt_builder;
struct belt_chain_stage;
struct belt_engine_run;
struct belt_failure_seen;
struct belt_holds;

/* hold_messages and hold_memory of a pipeline (spec_hold.c). */
int belt_spec_add_hold_all(struct belt_builder *b, struct belt_error *err);

/* Bytes of a store; made in zeroed memory of that size. */
uint64_t belt_holds_footprint(uint64_t messages, uint64_t memory);
struct belt_holds *belt_holds_init(char *memory, uint64_t messages, uint64_t bytes,
                                   struct belt_engine_run *run);
/* Makes handles of the store known in this process, and unknown again. */
int belt_holds_open(struct belt_holds *holds, struct belt_error *err);
void belt_holds_close(struct belt_holds *holds);
/* Before a frame's messages are sorted: those held are no longer the frame's. */
void belt_holds_sort(struct belt_chain_stage *chain);
/* A step waits for a place to hold in: meanwhile nothing else does. */
void belt_holds_wait(struct belt_chain_stage *chain);
uint32_t belt_holds_used(struct belt_holds *holds);
/* The first of those that were settled as failed. */
uint32_t belt_holds_failures(const struct belt_holds *holds, const struct belt_failure_seen **out);
/* Tickets of all that are held. Tests only: while nobody else is in there. */
void belt_holds_each_run(const struct belt_holds *holds, belt_run_fn *fn, void *ctx);

#endif
