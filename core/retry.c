#include "core/retry_priv.h"

#include <string.h>

#include "core/run_priv.h"

#define NONE BELT_RETRY_NONE
#define BYTES_EACH 256u /* of payload: an entry for so many */

/* ---- memory -------------------------------------------------------------------- */

static uint32_t entries_for(uint64_t memory)
{
    uint64_t count = memory / BYTES_EACH;
    return (uint32_t)(count < 2 * BELT_FRAME ? 2 * BELT_FRAME : count);
}

static uint32_t power_of_two(uint32_t count)
{
    return 1u << (32 - __builtin_clz(count - 1));
}

struct layout {
    uint64_t entries, buckets, tickets, origins, arena, size; /* offsets, and all of it */
};

static struct layout lay_out(uint64_t memory)
{
    uint64_t count = entries_for(memory);
    struct layout at = { .entries = sizeof(struct belt_retry) };
    at.buckets = at.entries + count * sizeof(struct belt_retry_entry);
    at.tickets = at.buckets + power_of_two((uint32_t)count) * sizeof(uint32_t);
    at.origins = at.tickets + BELT_FRAME * sizeof(struct belt_ticket);
    at.arena = at.origins + BELT_FRAME * sizeof(struct belt_origin) + BELT_PAD;
    at.size = at.arena + memory + BELT_PAD;
    return at;
}

uint64_t belt_retry_footprint(uint64_t memory)
{
    return lay_out(memory).size;
}

struct belt_retry *belt_retry_init(char *memory, uint64_t size, const struct belt_retry_conf *conf,
                                   int ordered)
{
    struct belt_retry *r = (struct belt_retry *)(void *)memory;
    struct layout at = lay_out(size);
    r->entries = (struct belt_retry_entry *)(void *)(memory + at.entries);
    r->buckets = (uint32_t *)(void *)(memory + at.buckets);
    r->tickets = (struct belt_ticket *)(void *)(memory + at.tickets);
    r->origins = (struct belt_origin *)(void *)(memory + at.origins);
    r->arena = memory + at.arena;
    r->size = (uint32_t)size;
    r->count = entries_for(size);
    r->bucket_mask = power_of_two(r->count) - 1;
    r->free = r->lowest = r->highest = NONE;
    r->attempts = (uint32_t)conf->attempts;
    r->backoff = conf->backoff;
    r->backoff_max = conf->backoff_max;
    r->ordered = ordered;
    for (uint32_t b = 0; ordered >= 0 && b <= r->bucket_mask; b++)
        r->buckets[b] = NONE;
    for (int d = 0; d <= BELT_RETRY_DELAYS; d++)
        r->due[d] = (struct belt_retry_queue){ NONE, NONE };
    return r;
}

/* Payloads move down over what was given back. None is in use: a frame in hand that
 * needs room is not the private one. */
static void compact(struct belt_retry *r)
{
    uint32_t top = 0;
    for (uint32_t e = r->lowest; e != NONE; e = r->entries[e].above) {
        struct belt_retry_entry *entry = &r->entries[e];
        memmove(r->arena + top, r->arena + entry->at, entry->size);
        entry->at = top;
        top += entry->size;
    }
    r->top = top;
}

static uint32_t new_entry(struct belt_retry *r)
{
    uint32_t e = r->free;
    if (e != NONE)
        r->free = r->entries[e].next;
    else if (r->fresh < r->count)
        e = r->fresh++;
    return e;
}

uint32_t belt_retry_add(struct belt_retry *r, const char *payload, uint32_t size)
{
    if (size > r->size - r->held)
        return NONE;
    uint32_t e = new_entry(r);
    if (e == NONE)
        return NONE;
    if (size > r->size - r->top)
        compact(r);
    struct belt_retry_entry *entry = &r->entries[e];
    *entry = (struct belt_retry_entry){ .at = r->top,
                                        .size = size,
                                        .next = NONE,
                                        .below = r->highest,
                                        .above = NONE,
                                        .behind = NONE,
                                        .behind_last = NONE,
                                        .same = NONE };
    if (size)
        memcpy(r->arena + r->top, payload, size);
    *(r->highest == NONE ? &r->lowest : &r->entries[r->highest].above) = e;
    r->highest = e;
    r->top += size;
    r->held += size;
    r->used++;
    return e;
}

static void give_back(struct belt_retry *r, uint32_t e)
{
    struct belt_retry_entry *entry = &r->entries[e];
    *(entry->below == NONE ? &r->lowest : &r->entries[entry->below].above) = entry->above;
    *(entry->above == NONE ? &r->highest : &r->entries[entry->above].below) = entry->below;
    r->held -= entry->size;
    r->used--;
    entry->next = r->free;
    r->free = e;
    if (!r->used)
        r->top = 0;
}

/* ---- by value ------------------------------------------------------------------ */

uint32_t belt_retry_find(const struct belt_retry *r, uint32_t hash)
{
    uint32_t e = r->buckets[hash & r->bucket_mask];
    while (e != NONE && r->entries[e].hash != hash)
        e = r->entries[e].same;
    return e;
}

static void forget_first(struct belt_retry *r, uint32_t e)
{
    uint32_t *at = &r->buckets[r->entries[e].hash & r->bucket_mask];
    while (*at != e)
        at = &r->entries[*at].same;
    *at = r->entries[e].same;
}

static void remember_first(struct belt_retry *r, uint32_t e)
{
    uint32_t *bucket = &r->buckets[r->entries[e].hash & r->bucket_mask];
    r->entries[e].same = *bucket;
    *bucket = e;
}

void belt_retry_park(struct belt_retry *r, uint32_t first, uint32_t e)
{
    struct belt_retry_entry *one = &r->entries[first];
    *(one->behind == NONE ? &one->behind : &r->entries[one->behind_last].next) = e;
    one->behind_last = e;
    r->entries[e].waits = true;
}

/* ---- by time ------------------------------------------------------------------- */

static uint64_t delay_of(const struct belt_retry *r, uint32_t attempt)
{
    uint32_t doublings = attempt - 1;
    uint64_t most = r->backoff_max;
    if (!r->backoff)
        return 0;
    return doublings >= 64 || r->backoff > most >> doublings ? most : r->backoff << doublings;
}

/* Those of one queue all wait equally long: it is sorted as it fills. */
static void enqueue(struct belt_retry *r, struct belt_retry_queue *queue, uint32_t e, uint64_t due)
{
    r->entries[e].due = due;
    r->entries[e].next = NONE;
    r->entries[e].waits = true;
    *(queue->first == NONE ? &queue->first : &r->entries[queue->last].next) = e;
    queue->last = e;
}

void belt_retry_wait(struct belt_retry *r, uint32_t e, uint64_t now)
{
    struct belt_retry_entry *entry = &r->entries[e];
    uint32_t level = entry->attempt < BELT_RETRY_DELAYS ? entry->attempt : BELT_RETRY_DELAYS;
    enqueue(r, &r->due[level], e, now + delay_of(r, entry->attempt));
    if (entry->keyed && belt_retry_find(r, entry->hash) == NONE)
        remember_first(r, e);
}

/* The queue whose first entry is due next; -1: none is. */
static int queue_due(const struct belt_retry *r, uint64_t now)
{
    for (int d = 0; d <= BELT_RETRY_DELAYS; d++)
        if (r->due[d].first != NONE && r->entries[r->due[d].first].due <= now)
            return d;
    return -1;
}

uint32_t belt_retry_peek(const struct belt_retry *r, uint64_t now)
{
    int d = queue_due(r, now);
    return d < 0 ? NONE : r->due[d].first;
}

uint32_t belt_retry_take(struct belt_retry *r, uint64_t now)
{
    int d = queue_due(r, now);
    if (d < 0)
        return NONE;
    uint32_t e = r->due[d].first;
    r->due[d].first = r->entries[e].next;
    r->entries[e].waits = false;
    return e;
}

uint64_t belt_retry_next_due(const struct belt_retry *r)
{
    uint64_t first = UINT64_MAX;
    for (int d = 0; r->used && d <= BELT_RETRY_DELAYS; d++) {
        uint32_t e = r->due[d].first;
        if (e != NONE && r->entries[e].due < first)
            first = r->entries[e].due;
    }
    return first;
}

void belt_retry_remove(struct belt_retry *r, uint32_t e)
{
    struct belt_retry_entry *entry = &r->entries[e];
    if (entry->keyed) {
        uint32_t next = entry->behind;
        forget_first(r, e);
        if (next != NONE) {
            struct belt_retry_entry *after = &r->entries[next];
            after->behind = after->next;
            after->behind_last = after->behind == NONE ? NONE : entry->behind_last;
            enqueue(r, &r->due[0], next, 0);
            remember_first(r, next);
        }
    }
    give_back(r, e);
}

void belt_retry_each_run(const struct belt_retry *r, belt_run_fn *fn, void *ctx)
{
    for (uint32_t e = r->lowest; e != NONE; e = r->entries[e].above) {
        struct belt_run run = { r->entries[e].word, r->entries[e].bits };
        if (r->entries[e].waits)
            fn(ctx, &run);
    }
}
