/* Messages that failed in the steps and will be tried again: one store for each
 * processor instance, in its lane.
 *
 *   frame ──failed──> store ──due──> private frame ──> steps ──> rows
 *              ^                                         │
 *              └────────────────failed again─────────────┘
 *
 * A message waits with its payload as it came, its ticket, and where it came from.
 * Its place in the store is its own until it is through, so failing again needs no
 * room. A frame is only taken while the store has room for all of it: nothing that
 * is tried again ever waits for something behind it.
 *
 * With `ordered`, messages whose field has the value of one in the store wait behind
 * that one: what leaves the processor keeps its order. Values are told apart by their
 * hash: two that share it wait for each other. */
#ifndef BELT_RETRY_PRIV_H
#define BELT_RETRY_PRIV_H

#include "core/batch_priv.h"
#include "core/edge_priv.h"
#include "core/link_priv.h"
#include "core/part.h"

#define BELT_RETRY_NONE UINT32_MAX
#define BELT_RETRY_DELAYS 64 /* doublings of a back-off in ns: no more are different */

struct belt_chain_stage;
struct belt_engine_run;

/* In exactly one of: free; a queue of those due; behind another; in hand. Always, unless
 * free, in the list by place in the arena. */
struct belt_retry_entry {
    uint64_t word, bits; /* its ticket */
    uint64_t place, due;
    uint32_t file, source;
    uint32_t at, size;            /* in the arena: payload, and what load() needs around it */
    uint32_t before, payload;     /* bytes before the payload, and of it */
    uint32_t hash;                /* of the ordered field */
    uint32_t attempt;             /* how often it has failed */
    bool keyed;                   /* it has a hash, and is the first with it or behind that one */
    bool waits;                   /* in a queue or behind another: not in hand */
    uint32_t next;                /* in its queue, behind the same one, or free */
    uint32_t below, above;        /* neighbours in the arena */
    uint32_t behind, behind_last; /* of a first: those that wait for it, in order */
    uint32_t same;                /* next first in the bucket */
};

struct belt_retry_queue {
    uint32_t first, last;
};

/* What a worker reads instead of its intake (retry_fed.c). */
struct belt_fed_frame {
    struct belt_input_frame frame; /* first: it is one */
    bool again;                    /* the private one: */
    uint64_t bytes;                /* else: that all of it would take in the store */
    uint16_t tries[BELT_FRAME];
    struct belt_origin origins[BELT_FRAME];
};

struct belt_fed {
    struct belt_tx tx;
    struct belt_rx rx;        /* ours: of the frames that no result was finished of */
    uint32_t frames;          /* of the intake, among these */
    uint64_t messages, bytes; /* of those */
    bool out;                 /* the private frame is among them */
    char *copy;               /* [room]: its payloads */
    uint32_t room;
};

struct belt_retry {
    struct belt_retry_entry *entries; /* [count] */
    uint32_t *buckets;                /* [count rounded up to a power of two] */
    uint32_t count, bucket_mask;
    uint32_t free, fresh, used; /* list of free ones; those never used begin at `fresh` */
    char *arena;                /* [size], BELT_PAD around */
    uint32_t size, top, held;   /* bytes; the next one goes to `top`; sum of all */
    uint32_t lowest, highest;   /* entries by place in the arena */
    struct belt_retry_queue due[BELT_RETRY_DELAYS + 1]; /* by how long they wait; [0]: not at all */
    uint32_t attempts;
    uint64_t backoff, backoff_max;
    int ordered;                  /* column, -1: none */
    uint64_t chunk;               /* of the last frame from upstream */
    uint32_t in_hand[BELT_FRAME]; /* entries of the private frame */
    struct belt_ticket *tickets;
    struct belt_origin *origins;
    uint16_t tries[BELT_FRAME];
    struct belt_input_frame frame;
    struct belt_fed fed; /* where the steps run in a worker */
};

/* ---- the store ----------------------------------------------------------------- */

struct belt_retry_conf;
/* Bytes for a store whose payloads take up to `memory`; made in zeroed memory of that size. */
uint64_t belt_retry_footprint(uint64_t memory);
struct belt_retry *belt_retry_init(char *memory, uint64_t size, const struct belt_retry_conf *conf,
                                   int ordered);
/* A new entry with a copy of the payload; BELT_RETRY_NONE: no room. */
uint32_t belt_retry_add(struct belt_retry *r, const char *payload, uint32_t size);
/* The first entry of this hash, or BELT_RETRY_NONE. */
uint32_t belt_retry_find(const struct belt_retry *r, uint32_t hash);
/* Becomes due `now` plus its back-off; a keyed one is the first of its hash. */
void belt_retry_wait(struct belt_retry *r, uint32_t e, uint64_t now);
/* Waits until the first one of its hash is through. */
void belt_retry_park(struct belt_retry *r, uint32_t first, uint32_t e);
/* The next one that is due, which take() would give; BELT_RETRY_NONE: none is. */
uint32_t belt_retry_peek(const struct belt_retry *r, uint64_t now);
/* The next one that is due is in hand; BELT_RETRY_NONE: none is. */
uint32_t belt_retry_take(struct belt_retry *r, uint64_t now);
/* One in hand is through: the next one behind it is due at once. */
void belt_retry_remove(struct belt_retry *r, uint32_t e);
uint64_t belt_retry_next_due(const struct belt_retry *r); /* UINT64_MAX: never */
/* Tickets of those that wait. */
void belt_retry_each_run(const struct belt_retry *r, belt_run_fn *fn, void *ctx);

/* ---- the processor's side (retry_run.c) ----------------------------------------- */

/* Room for all messages of this frame, which is the next one to be in hand. */
bool belt_retry_may_take(struct belt_chain_stage *chain, struct belt_input_frame *frame);
/* The private frame with what is due, or NULL. */
struct belt_input_frame *belt_retry_frame(struct belt_chain_stage *chain, uint64_t now);
/* chain->frame has been loaded: its own tickets and places, if it is the private one. */
void belt_retry_loaded(struct belt_chain_stage *chain);
/* Takes out of [first, end) what failed and is to be tried again, and what waits behind it. */
void belt_retry_sort(struct belt_chain_stage *chain, uint32_t first, uint32_t end);
/* 1 + the step after which the ordered field is known; 0: from the start. */
int belt_retry_keyed_step(const struct belt_spec *spec, const struct belt_processor_spec *p);
/* chain->frame is through. True: it was the private one. */
bool belt_retry_done(struct belt_chain_stage *chain);

/* ---- with a worker (retry_fed.c) ------------------------------------------------- */

void belt_fed_carve(struct belt_engine_run *run, struct belt_chain_stage *chain);
/* Gives the worker what is due again, and new frames. */
void belt_fed_give(struct belt_chain_stage *chain, uint64_t now);
/* The frame of the next result comes into hand. False: none is with the worker. */
bool belt_fed_take(struct belt_chain_stage *chain);
/* That frame is through. */
void belt_fed_release(struct belt_chain_stage *chain);

#endif
