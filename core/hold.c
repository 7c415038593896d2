#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/hold_priv.h"
#include "core/telemetry_priv.h"

/* A handle: which store (16 bits), which entry (20), how often that was used (28). */
#define ENTRY_BITS 20
#define USE_BITS 28
#define STORES 64 /* open at a time in a process */
#define NONE UINT32_MAX
#define NO_REASON "no reason was given"

struct held {
    uint64_t handle; /* 0: free */
    struct belt_ticket ticket;
    struct belt_origin origin;
    uint64_t chunk, uses;
    char *bytes; /* NULL: an empty payload */
    uint32_t size, next;
};

struct belt_holds {
    struct belt_engine_run *run;
    struct held *entries; /* [count] */
    uint32_t count, fresh, free, used;
    uint64_t serial;
    struct belt_buddy buddy;
    struct belt_failure_seen failures[BELT_FAILURES];
    uint32_t failures_used;
};

static struct {
    pthread_mutex_t lock;
    struct belt_holds *at[STORES];
    uint64_t serial;
} stores = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the store ----------------------------------------------------------------- */

struct layout {
    uint64_t entries, tags, arena, size; /* offsets, and all of it */
};

static struct layout lay_out(uint64_t messages, uint64_t bytes)
{
    struct layout at = { .entries = sizeof(struct belt_holds) };
    at.tags = at.entries + messages * sizeof(struct held);
    at.arena =
        (at.tags + belt_buddy_tags(bytes) + BELT_BUDDY_MIN - 1) & ~(uint64_t)(BELT_BUDDY_MIN - 1);
    at.size = at.arena + bytes;
    return at;
}

uint64_t belt_holds_footprint(uint64_t messages, uint64_t memory)
{
    return lay_out(messages, memory).size;
}

struct belt_holds *belt_holds_init(char *memory, uint64_t messages, uint64_t bytes,
                                   struct belt_engine_run *run)
{
    struct belt_holds *holds = (struct belt_holds *)(void *)memory;
    struct layout at = lay_out(messages, bytes);
    holds->run = run;
    holds->entries = (struct held *)(void *)(memory + at.entries);
    holds->count = (uint32_t)messages;
    holds->free = NONE;
    belt_buddy_init(&holds->buddy, memory + at.arena, bytes, (uint8_t *)memory + at.tags);
    return holds;
}

int belt_holds_open(struct belt_holds *holds, struct belt_error *err)
{
    int rc = -EMFILE;
    pthread_mutex_lock(&stores.lock);
    for (uint64_t tried = 0; rc < 0 && tried < STORES; tried++) {
        uint64_t serial = ++stores.serial & 0xffff;
        if (stores.at[serial % STORES])
            continue;
        stores.at[serial % STORES] = holds;
        holds->serial = serial;
        rc = 0;
    }
    pthread_mutex_unlock(&stores.lock);
    return rc < 0 ? belt_error_set(err, rc,
                                   "hold_messages: at most %d pipelines of a process "
                                   "can hold messages at a time",
                                   STORES)
                  : 0;
}

void belt_holds_close(struct belt_holds *holds)
{
    pthread_mutex_lock(&stores.lock);
    if (stores.at[holds->serial % STORES] == holds)
        stores.at[holds->serial % STORES] = NULL;
    pthread_mutex_unlock(&stores.lock);
}

/* ---- under the lock ------------------------------------------------------------ */

static struct held *new_entry(struct belt_holds *holds)
{
    uint32_t e = holds->free;
    if (e != NONE)
        holds->free = holds->entries[e].next;
    else if (holds->fresh < holds->count)
        e = holds->fresh++;
    return e == NONE ? NULL : &holds->entries[e];
}

static void free_entry(struct belt_holds *holds, struct held *held)
{
    held->handle = 0;
    held->next = holds->free;
    holds->free = (uint32_t)(held - holds->entries);
}

static struct held *hold(struct belt_holds *holds, const char *bytes, uint32_t size)
{
    struct held *held = new_entry(holds);
    if (!held)
        return NULL;
    held->bytes = size ? belt_buddy_take(&holds->buddy, size) : NULL;
    if (size && !held->bytes) {
        free_entry(holds, held);
        return NULL;
    }
    if (size)
        memcpy(held->bytes, bytes, size);
    held->size = size;
    uint64_t use = ++held->uses & ((UINT64_C(1) << USE_BITS) - 1);
    uint64_t entry = (uint64_t)(held - holds->entries);
    held->handle = holds->serial << (ENTRY_BITS + USE_BITS) | entry << USE_BITS | use;
    holds->used++;
    return held;
}

static struct belt_holds *store_of(uint64_t handle)
{
    uint64_t serial = handle >> (ENTRY_BITS + USE_BITS);
    struct belt_holds *holds = stores.at[serial % STORES];
    return holds && holds->serial == serial ? holds : NULL;
}

static struct held *find(uint64_t handle)
{
    struct belt_holds *holds = store_of(handle);
    uint64_t entry = handle >> USE_BITS & ((1u << ENTRY_BITS) - 1);
    if (!handle || !holds || entry >= holds->fresh || holds->entries[entry].handle != handle)
        return NULL;
    return &holds->entries[entry];
}

static void remember(struct belt_holds *holds, const struct held *held, const char *reason)
{
    if (holds->failures_used == BELT_FAILURES)
        return;
    struct belt_failure_seen *seen = &holds->failures[holds->failures_used++];
    *seen = (struct belt_failure_seen){ .chunk = held->chunk,
                                        .place = held->origin.place,
                                        .file = held->origin.file,
                                        .source = held->origin.source };
    snprintf(seen->reason, sizeof seen->reason, "%s", reason ? reason : NO_REASON);
}

/* ---- what steps and others call ------------------------------------------------ */

uint64_t belt_hold(struct belt_view *view, uint32_t i)
{
    struct belt_engine *engine = view->engine;
    struct belt_chain_stage *chain = engine->chain;
    struct belt_holds *holds = chain ? chain->stage.run->holds : NULL;
    uint64_t handle = 0, bit = UINT64_C(1) << (i % 64);
    uint32_t size;
    if (!holds || !belt_is_live(view, i))
        return 0;
    const char *bytes = belt_text(view, 0, i, &size);
    pthread_mutex_lock(&stores.lock);
    struct held *held = hold(holds, bytes, size);
    if (held) {
        held->ticket = belt_chain_ticket(chain, i);
        belt_acks_put(chain, i);
        held->origin = belt_chain_origin(chain, i);
        held->chunk = chain->frame->chunk;
        handle = held->handle;
    }
    pthread_mutex_unlock(&stores.lock);
    if (!held) {
        engine->hold_full = true;
        return 0;
    }
    if (!engine->any_held)
        memset(engine->held, 0, sizeof engine->held);
    engine->any_held = true;
    engine->held[i / 64] |= bit;
    engine->live[i / 64] &= ~bit;
    return handle;
}

const char *belt_held_bytes(uint64_t handle, uint32_t *size)
{
    pthread_mutex_lock(&stores.lock);
    const struct held *held = find(handle);
    const char *bytes = !held ? NULL : held->bytes ? held->bytes : "";
    *size = held ? held->size : 0;
    pthread_mutex_unlock(&stores.lock);
    return bytes;
}

int belt_held_settle(uint64_t handle, int code, const char *reason)
{
    pthread_mutex_lock(&stores.lock);
    struct held *held = find(handle);
    if (held) {
        struct belt_holds *holds = store_of(handle);
        struct belt_engine_run *run = holds->run;
        struct belt_ticket ticket = held->ticket;
        if (code < 0) {
            remember(holds, held, reason);
            belt_acks_reason(run, ticket, reason ? reason : NO_REASON);
        }
        if (held->bytes)
            belt_buddy_give(&holds->buddy, held->bytes);
        free_entry(holds, held);
        holds->used--;
        if (code < 0) {
            belt_run_settle_failed(run, ticket.word, ticket.bit);
            belt_run_count_failed(run, 1);
        } else {
            belt_run_settle(run, ticket.word, ticket.bit);
        }
        /* Sources wait for tickets, steps for a place to hold in. */
        for (uint32_t l = 0; l < run->lanes_used; l++)
            belt_lane_wake(&run->lanes[l]);
    }
    pthread_mutex_unlock(&stores.lock);
    return held ? 0 : -ESTALE;
}

/* ---- the engine's side --------------------------------------------------------- */

void belt_holds_sort(struct belt_chain_stage *chain)
{
    struct belt_engine *engine = &chain->engine;
    uint64_t count = 0;
    belt_chain_own_tickets(chain);
    for (uint32_t w = 0; w < BELT_WORDS; w++) {
        engine->acked[w] &= ~engine->held[w];
        count += (uint64_t)__builtin_popcountll(engine->held[w]);
        for (uint64_t rest = engine->held[w]; rest; rest &= rest - 1)
            chain->sparse[w * 64 + (uint32_t)__builtin_ctzll(rest)].bit = 0;
    }
    belt_count(&chain->stage.stats.held, count);
    if (belt_wants(&chain->stage, BELT_WANT(PROCESSOR_HOLD)))
        belt_tell(&chain->stage, BELT_EVENT_PROCESSOR_HOLD, &count, "", 0);
    engine->any_held = false;
}

void belt_holds_wait(struct belt_chain_stage *chain)
{
    if (chain->engine.any_held)
        belt_holds_sort(chain);
    belt_dispatch_flush(chain);
}

uint32_t belt_holds_used(struct belt_holds *holds)
{
    pthread_mutex_lock(&stores.lock);
    uint32_t used = holds->used;
    pthread_mutex_unlock(&stores.lock);
    return used;
}

uint32_t belt_holds_failures(const struct belt_holds *holds, const struct belt_failure_seen **out)
{
    *out = holds->failures;
    return holds->failures_used;
}

void belt_holds_each_run(const struct belt_holds *holds, belt_run_fn *fn, void *ctx)
{
    for (uint32_t e = 0; e < holds->fresh; e++) {
        struct belt_run run = { holds->entries[e].ticket.word, holds->entries[e].ticket.bit };
        if (holds->entries[e].handle)
            fn(ctx, &run);
    }
}
