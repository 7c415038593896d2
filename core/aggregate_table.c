/* Aggregate: the table. Open addressing in reserved address space that is
 * touched as the table grows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/aggregate_table_priv.h"
#include "core/isa.h"

#define PAGE UINT64_C(65536) /* no page that we know is larger, but for the huge ones */
#define HUGE UINT64_C(0x200000)
#define SLOTS UINT64_C(4096) /* at first; few keys collide less the more slots there are */
#define KEYS_LEAST (UINT64_C(16) << 20)
#define KEY_SHARE UINT64_C(256)         /* of the key store, a group */
#define ROOMY (UINT64_C(8) << 20)       /* bytes of slots */
#define SHARE_LEAST (UINT64_C(1) << 20) /* of `memory`, a table */
#define WINDOWS (UINT64_C(32) << 20)    /* into runs, when `memory` says nothing */

uint64_t belt_agg_most_slots(const struct belt_agg *agg)
{
    uint64_t slots = SLOTS;
    while (slots < 2 * (agg->most + BELT_AGG_BLOCK))
        slots *= 2;
    return slots;
}

static size_t stride_of(const struct belt_agg_spec *spec)
{
    return sizeof(union belt_agg_line) + (size_t)spec->cells_all * sizeof(struct belt_agg_cell);
}

/* Of each slot, in a table of bounded memory: with sums above 64 bits, and with two
 * arrays of entries for the half of them, while they are sorted. */
static uint64_t slot_share(const struct belt_agg_spec *spec)
{
    return stride_of(spec) + (size_t)spec->cells_used * sizeof(int64_t) +
           sizeof(struct belt_agg_entry);
}

static uint64_t least_share(const struct belt_agg_spec *spec)
{
    uint64_t least = 2 * SLOTS * slot_share(spec);
    return least < SHARE_LEAST ? SHARE_LEAST : least;
}

/* While it grows, a table has half as many slots more: three quarters of the memory are
 * for slots, the rest for long keys. */
static void bound(struct belt_agg *agg, const struct belt_agg_spec *spec, uint32_t tables)
{
    uint64_t slots = SLOTS;
    agg->most = spec->max_keys;
    agg->keys_room = agg->most * KEY_SHARE < KEYS_LEAST ? KEYS_LEAST : agg->most * KEY_SHARE;
    agg->windows_room = spec->spill_path ? WINDOWS : 0;
    agg->share = spec->memory / tables;
    if (!spec->memory)
        return;
    while (2 * 2 * slots * slot_share(spec) <= agg->share)
        slots *= 2;
    if (agg->most > slots / 2 - BELT_AGG_BLOCK)
        agg->most = slots / 2 - BELT_AGG_BLOCK;
    agg->keys_room = agg->share - slots * slot_share(spec) * 3 / 2;
    agg->windows_room = spec->spill_path ? agg->share / 2 : 0;
}

int belt_agg_check(const struct belt_agg_spec *spec, uint32_t tables, struct belt_error *err)
{
    uint64_t least = least_share(spec) * tables;
    if (!spec->memory || spec->memory >= least)
        return 0;
    return belt_node_error(err, belt_node_get(spec->node, "memory"),
                           "%s: aggregate.memory: %u tables (one in each lane that folds, one "
                           "where they are put together) with these columns need %llu KiB: raise "
                           "it, or use fewer lanes",
                           spec->path, tables, (unsigned long long)(least + 1023) / 1024);
}

/* Where the parts of the reservation are; with a base of 0 only its size counts. */
static size_t lay_out(struct belt_agg *agg, const struct belt_agg_spec *spec, uintptr_t base)
{
    size_t slots = 2 * belt_agg_most_slots(agg), at = 0;
    bool spills = spec->spill_path != NULL;
    const struct {
        char **part;
        size_t size;
    } parts[] = {
        { &agg->levels, slots * stride_of(spec) },
        { &agg->highs, slots * (size_t)spec->cells_used * sizeof *agg->high },
        { &agg->keys, agg->keys_room },
        { &agg->windows, agg->windows_room }, /* above the keys: offsets from these reach it */
        { (char **)(void *)&agg->runs, spills ? BELT_AGG_RUNS * sizeof *agg->runs : 0 },
        { (char **)(void *)&agg->merge, spills ? belt_agg_merge_size() : 0 },
        { &agg->scratch, BELT_PAD + BELT_AGG_KEY + BELT_PAD },
        { (char **)(void *)&agg->order, (agg->most + BELT_FRAME) * sizeof *agg->order },
        { (char **)(void *)&agg->order_spare, (agg->most + BELT_FRAME) * sizeof *agg->order },
        { (char **)(void *)&agg->frame, sizeof *agg->frame },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].part = (char *)(base + at);
        at += (parts[i].size + PAGE - 1) / PAGE * PAGE;
    }
    return at;
}

size_t belt_agg_memory(const struct belt_agg_spec *spec, uint32_t tables)
{
    struct belt_agg unused;
    bound(&unused, spec, tables);
    return lay_out(&unused, spec, 0) + HUGE;
}

void belt_agg_use_level(struct belt_agg *agg, uint64_t slots)
{
    size_t high_size = (size_t)agg->spec->cells_used * sizeof *agg->high;
    agg->slots = agg->levels + slots * agg->stride;
    agg->high = (int64_t *)(void *)(agg->highs + slots * high_size);
    agg->mask = slots - 1;
    if (slots * agg->stride >= HUGE) /* only a hint */
        (void)madvise(agg->slots, slots * agg->stride, MADV_HUGEPAGE);
    else if (!agg->share) /* the levels below that lie in the first one together */
        (void)madvise(agg->levels, HUGE, MADV_HUGEPAGE);
}

/* Part of a huge page: giving it back would break that, and new pages cost more than
 * zeros. Bounded memory is given back, though. */
static bool is_kept(const struct belt_agg *agg, uint64_t slots, uint64_t most)
{
    return !agg->share && slots * agg->stride <= most;
}

/* Gives a level back: it reads as zeros again. */
static void drop_level(char *slots, int64_t *high, uint64_t count, const struct belt_agg *agg,
                       bool kept)
{
    if (kept)
        memset(slots, 0, count * agg->stride);
    else
        (void)madvise(slots, count * agg->stride, MADV_DONTNEED);
    if (agg->wide)
        (void)madvise(high, count * (size_t)agg->spec->cells_used * sizeof *high, MADV_DONTNEED);
}

static void make_seeds(uint64_t out[4], uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        out[i] = belt_agg_mix(seed, UINT64_C(0xd6e8feb86659fd93) ^ seed >> 32);
    }
}

int belt_agg_new(struct belt_agg **out, const struct belt_agg_spec *spec,
                 const struct belt_agg_conf *conf, uint64_t seed, struct belt_error *err)
{
    struct belt_agg *agg = aligned_alloc(64, (sizeof *agg + 63) / 64 * 64);
    if (!agg)
        return belt_error_set(err, -ENOMEM, "aggregate: out of memory");
    memset(agg, 0, sizeof *agg);
    agg->map_size = belt_agg_memory(spec, conf->tables);
    agg->map = mmap(NULL, agg->map_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (agg->map == MAP_FAILED) {
        int rc = belt_error_set(err, -errno,
                                "aggregate: reserving %zu MiB of address space for max_keys: "
                                "%llu: %s: lower max_keys or raise `ulimit -v`",
                                agg->map_size >> 20, (unsigned long long)spec->max_keys,
                                strerror(errno));
        free(agg);
        return rc;
    }
    agg->spec = spec;
    agg->store = conf->store;
    agg->stride = stride_of(spec);
    bound(agg, spec, conf->tables);
    lay_out(agg, spec, ((uintptr_t)agg->map + HUGE - 1) & -HUGE);
    agg->most_slots = belt_agg_most_slots(agg);
    make_seeds(agg->seed, seed);
    agg->factor = (uint32_t)(agg->seed[0] ^ agg->seed[3] >> 32) | 0x80000001u;
    belt_agg_hot_v2(&agg->hot);
#if defined(__x86_64__)
    if (belt_isa_v3())
        belt_agg_hot_v3(&agg->hot);
#endif
    belt_agg_use_level(agg, SLOTS);
    *out = agg;
    return 0;
}

void belt_agg_free(struct belt_agg *agg)
{
    if (!agg)
        return;
    munmap(agg->map, agg->map_size);
    free(agg);
}

void belt_agg_clear_groups(struct belt_agg *agg)
{
    bool kept = is_kept(agg, agg->mask + 1, ROOMY);
    if (agg->used || agg->merging)
        drop_level(agg->slots, agg->high, agg->mask + 1, agg, kept);
    if (agg->keys_used > HUGE)
        (void)madvise(agg->keys, agg->keys_used, MADV_DONTNEED);
    agg->used = agg->keys_used = agg->sorted = agg->first = 0;
    agg->wide = agg->merging = false;
    memset(agg->bounds, 0, sizeof agg->bounds);
    if (!kept)
        belt_agg_use_level(agg, SLOTS);
}

void belt_agg_clear(struct belt_agg *agg)
{
    belt_agg_clear_groups(agg);
    agg->runs_used = 0;
}

uint64_t belt_agg_groups(const struct belt_agg *agg)
{
    return agg->used;
}

struct belt_agg_group *belt_agg_next(const struct belt_agg *agg, uint64_t slot)
{
    for (; slot <= agg->mask; slot++)
        if (!belt_agg_is_free(belt_agg_slot(agg, slot)))
            return belt_agg_slot(agg, slot);
    return NULL;
}

/* ---- growing ---------------------------------------------------------------- */

static uint64_t hash_of(const struct belt_agg *agg, const union belt_agg_line *line)
{
    return belt_agg_is_long(line) ? line->word[0] : belt_agg_hash_line(agg, line);
}

static struct belt_agg_group *free_slot(const struct belt_agg *agg, uint64_t hash)
{
    uint64_t slot = hash & agg->mask;
    while (!belt_agg_is_free(belt_agg_slot(agg, slot)))
        slot = (slot + 1) & agg->mask;
    return belt_agg_slot(agg, slot);
}

static void grow(struct belt_agg *agg)
{
    struct belt_agg old = *agg;
    size_t high_size = (size_t)agg->spec->cells_used * sizeof *agg->high;
    belt_agg_use_level(agg, 2 * (old.mask + 1));
    for (const struct belt_agg_group *from = belt_agg_next(&old, 0); from;
         from = belt_agg_next(&old, belt_agg_slot_of(&old, from) + 1)) {
        struct belt_agg_group *to = free_slot(agg, hash_of(agg, &from->key));
        memcpy(to, from, agg->stride);
        if (agg->wide)
            memcpy(belt_agg_high(agg, to), belt_agg_high(&old, from), high_size);
    }
    drop_level(old.slots, old.high, old.mask + 1, agg, is_kept(agg, old.mask + 1, HUGE / 2));
}

/* While it is small a table is mostly empty: then nearly all keys are at their first slot,
 * and slots without a group cost no cache, only pages. */
static uint64_t load_of(const struct belt_agg *agg)
{
    uint64_t slots = agg->mask + 1;
    bool roomy = !agg->share && 2 * slots * agg->stride <= ROOMY && slots < agg->most_slots;
    return slots / (roomy ? 32 : 2);
}

void belt_agg_reserve(struct belt_agg *agg, uint64_t more)
{
    if (agg->used + more > load_of(agg))
        grow(agg);
}

/* ---- finding ---------------------------------------------------------------- */

void belt_agg_line(union belt_agg_line *line, const char *key, uint32_t size)
{
    memset(line, (int)size, sizeof *line);
    memcpy(line->bytes, key, size);
}

void belt_agg_start_cells(const struct belt_agg_spec *spec, struct belt_agg_group *group)
{
    for (int c = 0; c < spec->cells_used; c++) {
        if (spec->cells[c].type == BELT_FLOAT) {
            group->cells[c].f.min = group->cells[c].f.max = __builtin_nan("");
        } else {
            group->cells[c].n.min = INT64_MAX;
            group->cells[c].n.max = INT64_MIN;
        }
    }
}

/* A free slot becomes a group, except beyond max_keys. */
static struct belt_agg_group *settle_in(struct belt_agg *agg, struct belt_agg_group *group,
                                        const union belt_agg_line *line)
{
    if (agg->used == agg->most)
        return NULL;
    agg->used++;
    group->key = *line;
    belt_agg_start_cells(agg->spec, group);
    return group;
}

struct belt_agg_group *belt_agg_group_of_line(struct belt_agg *agg, const union belt_agg_line *line,
                                              uint64_t hash)
{
    for (uint64_t slot = hash & agg->mask;; slot = (slot + 1) & agg->mask) {
        struct belt_agg_group *group = belt_agg_slot(agg, slot);
        if (memcmp(&group->key, line, sizeof *line) == 0)
            return group;
        if (belt_agg_is_free(group))
            return settle_in(agg, group, line);
    }
}

static struct belt_agg_group *group_of_long(struct belt_agg *agg, const char *key, uint32_t size)
{
    uint64_t hash = belt_agg_hash_long(key, size, agg->seed), slot = hash & agg->mask;
    struct belt_agg_group *group;
    for (; !belt_agg_is_free(group = belt_agg_slot(agg, slot)); slot = (slot + 1) & agg->mask) {
        const uint64_t *word = group->key.word;
        if (belt_agg_is_long(&group->key) && word[0] == hash && word[2] == size &&
            memcmp(agg->keys + word[1], key, size) == 0)
            return group;
    }
    if (agg->keys_room - agg->keys_used < size)
        return NULL;
    union belt_agg_line line = { .word = { hash, agg->keys_used, size, BELT_AGG_LONG } };
    group = settle_in(agg, group, &line);
    if (group) {
        memcpy(agg->keys + agg->keys_used, key, size);
        agg->keys_used += size;
    }
    return group;
}

struct belt_agg_group *belt_agg_group(struct belt_agg *agg, const char *key, uint32_t size)
{
    if (!belt_agg_fits_line(size))
        return group_of_long(agg, key, size);
    union belt_agg_line line;
    belt_agg_line(&line, key, size);
    return belt_agg_group_of_line(agg, &line, belt_agg_hash_line(agg, &line));
}
