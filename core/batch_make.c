/* Open batches: obtaining their memory, and looking at them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch_state_priv.h"

/* ---- making ----------------------------------------------------------------- */

/* More keys than smallest batches fit the arena need no slots. */
static uint32_t slots_for(const struct belt_batches_conf *conf)
{
    uint64_t fit = conf->arena_bytes / (BELT_BATCH_CONTROL + BELT_BUDDY_MIN) + 1;
    uint64_t keys = conf->max_keys < fit ? conf->max_keys : fit;
    uint64_t slots = 8;
    while (slots < 2 * keys && slots < UINT64_C(1) << 31)
        slots *= 2;
    return (uint32_t)slots;
}

static uint64_t tables_size(const struct belt_batches_conf *conf)
{
    return sizeof(struct belt_batches) + slots_for(conf) * sizeof(struct belt_batch_slot) +
           belt_buddy_tags(conf->arena_bytes);
}

/* BELT_PAD around the arena, in whole units so that it stays aligned. */
#define AROUND ((BELT_PAD + BELT_BUDDY_MIN - 1) / BELT_BUDDY_MIN * BELT_BUDDY_MIN)

uint64_t belt_batches_footprint(const struct belt_batches_conf *conf)
{
    return tables_size(conf) + (conf->arena ? 0 : conf->arena_bytes + 2 * AROUND);
}

static int refuse(const struct belt_batches_conf *conf, struct belt_error *err)
{
    if (!conf->size || !conf->max_keys || !conf->max_batches_in_flight)
        return belt_error_set(err, -EINVAL,
                              "batches: size, max_keys and max_batches_in_flight "
                              "must be at least 1");
    if (conf->arena_bytes < BELT_BATCHES_ARENA_MIN)
        return belt_error_config(err, "batches: %llu bytes of memory are too few: at least %u",
                                 (unsigned long long)conf->arena_bytes, BELT_BATCHES_ARENA_MIN);
    return 0;
}

/* An empty arena always has its biggest block: one half of it for a row, the
 * other for the control block with the key. */
static int set_limits(struct belt_batches *batches, struct belt_error *err)
{
    const struct belt_batches_conf *conf = &batches->conf;
    uint64_t half = belt_buddy_biggest(&batches->buddy) / 2;
    if (half > UINT64_C(1) << 31) /* spans have 32 bits */
        half = UINT64_C(1) << 31;
    batches->row_limit = (uint32_t)(half - BELT_BATCH_CONTROL);
    batches->limit = conf->bytes ? conf->bytes : batches->row_limit;
    if (conf->bytes > half)
        return belt_error_config(err,
                                 "batches of %llu bytes do not fit %llu bytes of memory: "
                                 "at most %llu, or give the batcher more memory",
                                 (unsigned long long)conf->bytes,
                                 (unsigned long long)conf->arena_bytes, (unsigned long long)half);
    if (conf->size > batches->most_rows)
        batches->most_rows = conf->size;
    if (batches->limit > batches->most_bytes)
        batches->most_bytes = batches->limit;
    return 0;
}

int belt_batches_new(struct belt_batches **out, const struct belt_batches_conf *conf,
                     struct belt_error *err)
{
    int rc = refuse(conf, err);
    if (rc < 0)
        return rc;
    struct belt_batches *batches = calloc(1, tables_size(conf));
    if (!batches)
        return belt_error_set(err, -ENOMEM, "batches: no memory for tables of %llu bytes",
                              (unsigned long long)tables_size(conf));
    uint32_t slots = slots_for(conf);
    batches->conf = *conf;
    batches->conf.name = conf->name ? conf->name : "";
    batches->slots = (struct belt_batch_slot *)(batches + 1);
    batches->slot_mask = slots - 1;
    batches->slot_shift = (uint32_t)__builtin_clz(slots) + 1;
    char *arena = conf->arena;
    if (!arena) {
        rc = belt_mem_map(&batches->mem, conf->arena_bytes + 2 * AROUND, BELT_MEM_PRIVATE);
        if (rc < 0) {
            belt_error_set(err, rc, "batches: cannot map %llu bytes: %s",
                           (unsigned long long)conf->arena_bytes, strerror(-rc));
            goto free_batches;
        }
        arena = (char *)batches->mem.base + AROUND;
    }
    belt_buddy_init(&batches->buddy, arena, conf->arena_bytes, (uint8_t *)(batches->slots + slots));
    rc = set_limits(batches, err);
    if (rc < 0)
        goto free_batches;
    *out = batches;
    return 0;
free_batches:
    belt_batches_free(batches);
    return rc;
}

int belt_batches_set_limits(struct belt_batches *batches, uint32_t size, uint64_t bytes,
                            uint64_t timeout_ns, struct belt_error *err)
{
    struct belt_batches_conf conf = batches->conf;
    batches->conf.size = size;
    batches->conf.bytes = bytes;
    batches->conf.timeout_ns = timeout_ns;
    int rc = refuse(&batches->conf, err);
    if (rc == 0)
        rc = set_limits(batches, err);
    if (rc < 0) {
        batches->conf = conf;
        struct belt_error ignored; /* they were good before */
        set_limits(batches, &ignored);
        return rc;
    }
    struct belt_open_batch *open = batches->lists[BELT_BATCH_OPEN].first, *next;
    for (; open; open = next) {
        next = open->next;
        belt_batches_cut_if_full(batches, open);
    }
    return 0;
}

void *belt_batches_arena(const struct belt_batches *batches, uint64_t *size)
{
    *size = batches->conf.arena_bytes;
    return batches->conf.arena ? batches->conf.arena : (char *)batches->mem.base + AROUND;
}

int belt_batches_touch(const struct belt_batches *batches, struct belt_error *err)
{
    int rc = batches->mem.base ? belt_mem_populate(&batches->mem) : 0;
    if (rc < 0)
        return belt_error_set(err, rc, "%s: %llu bytes before the start: %s", batches->conf.name,
                              (unsigned long long)batches->mem.size, strerror(-rc));
    return 0;
}

void belt_batches_free(struct belt_batches *batches)
{
    if (!batches)
        return;
    if (!batches->conf.arena)
        belt_mem_unmap(&batches->mem);
    free(batches);
}

uint32_t belt_batches_row_limit(const struct belt_batches *batches)
{
    return batches->row_limit;
}

/* ---- looking in ------------------------------------------------------------- */

uint64_t belt_batches_next_deadline(const struct belt_batches *batches)
{
    if (!belt_batches_may_take(batches))
        return UINT64_MAX;
    uint64_t first = belt_batches_first_deadline(batches);
    const struct belt_open_batch *open = batches->lists[BELT_BATCH_RETRY].first;
    for (; open; open = open->next)
        if (open->due < first)
            first = open->due;
    return batches->lists[BELT_BATCH_CUT].first ? 0 : first;
}

uint32_t belt_batches_count_open(const struct belt_batches *batches)
{
    const struct belt_batch_list *lists = batches->lists;
    return lists[BELT_BATCH_OPEN].count + lists[BELT_BATCH_CUT].count +
           lists[BELT_BATCH_BEHIND].count;
}

uint32_t belt_batches_count_in_flight(const struct belt_batches *batches)
{
    const struct belt_batch_list *lists = batches->lists;
    return lists[BELT_BATCH_FLIGHT].count + lists[BELT_BATCH_RETRY].count +
           lists[BELT_BATCH_FAILED].count;
}

uint64_t belt_batches_used(const struct belt_batches *batches)
{
    return batches->buddy.used;
}

uint64_t belt_batches_peak(const struct belt_batches *batches)
{
    return batches->buddy.peak;
}

void belt_batches_each_run(const struct belt_batches *batches, belt_run_fn *fn, void *ctx)
{
    for (int state = 0; state < BELT_BATCH_STATES; state++)
        for (const struct belt_open_batch *open = batches->lists[state].first; open;
             open = open->next)
            for (uint32_t i = 0; i < open->run_count; i++)
                fn(ctx, &open->runs[i]);
}

/* ---- invariants ------------------------------------------------------------- */

static int check_batch(const struct belt_batches *batches, const struct belt_open_batch *open)
{
    const struct belt_batch *batch = &open->batch;
    uint64_t at = 0;
    if (!batch->count || batch->count > batches->most_rows)
        return 20;
    if (batch->count > 1 && batch->bytes_size > batches->most_bytes)
        return 21;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (open->spans[i].at != at)
            return 22;
        at += open->spans[i].size;
    }
    if (at != batch->bytes_size || at > open->room_bytes)
        return 23;
    if (batch->count > open->room_spans || open->run_count > open->room_runs)
        return 24;
    return 0;
}

/* Of one key one is out, and who stands behind it has somebody to wait for. */
static int check_turns(const struct belt_batches *batches)
{
    const struct belt_batch_list *lists = batches->lists;
    if (!batches->conf.in_turn)
        return lists[BELT_BATCH_BEHIND].count ? 40 : 0;
    for (const struct belt_open_batch *a = lists[BELT_BATCH_BEHIND].first; a; a = a->next) {
        bool waits = false;
        for (uint32_t s = BELT_BATCH_CUT; s <= BELT_BATCH_RETRY; s++)
            for (const struct belt_open_batch *b = lists[s].first; b; b = b->next)
                waits |= s != BELT_BATCH_BEHIND && b->blocks && b->hash == a->hash;
        if (!waits)
            return 41;
    }
    return 0;
}

static int check_list(const struct belt_batches *batches, uint32_t state)
{
    const struct belt_open_batch *before = NULL;
    uint32_t count = 0;
    for (const struct belt_open_batch *open = batches->lists[state].first; open;
         open = open->next, count++) {
        if (open->state != state || open->prev != before)
            return 10;
        /* The timeout is the same for all: the first is due first. */
        if (state == BELT_BATCH_OPEN && before && before->first_at > open->first_at)
            return 11;
        int rule = check_batch(batches, open);
        if (rule)
            return rule;
        before = open;
    }
    return count == batches->lists[state].count && batches->lists[state].last == before ? 0 : 12;
}

static int check_table(const struct belt_batches *batches)
{
    uint32_t used = 0;
    for (uint32_t at = 0; at <= batches->slot_mask; at++) {
        const struct belt_batch_slot *slot = &batches->slots[at];
        if (!slot->batch)
            continue;
        used++;
        if (slot->batch->state != BELT_BATCH_OPEN || slot->batch->hash != slot->hash)
            return 30;
        /* A gap between home and place would hide the batch from a search. */
        for (uint32_t i = belt_batches_home(batches, slot->hash); i != at;
             i = (i + 1) & batches->slot_mask)
            if (!batches->slots[i].batch)
                return 31;
    }
    return used == batches->lists[BELT_BATCH_OPEN].count ? 0 : 32;
}

int belt_batches_check(const struct belt_batches *batches)
{
    int rule = belt_buddy_check(&batches->buddy);
    for (uint32_t state = 0; !rule && state < BELT_BATCH_STATES; state++)
        rule = check_list(batches, state);
    if (!rule)
        rule = check_turns(batches);
    return rule ? rule : check_table(batches);
}
