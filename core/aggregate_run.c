/* Aggregate: what becomes of a full table: a run of groups in the file, in the order of
 * their keys' bytes, or the end of the run. */
#include <errno.h>

#include "core/aggregate_store_priv.h"

#define BUFFER (UINT32_C(256) << 10)
_Static_assert(BUFFER <= BELT_AGG_TEXT && BELT_AGG_BLOB < BUFFER, "a blob fits the buffer");

int belt_agg_full(const struct belt_agg *agg, struct belt_error *err)
{
    const struct belt_agg_spec *spec = agg->spec;
    bool names = agg->used + BELT_AGG_BLOCK <= agg->most;
    bool memory = spec->memory && (names || agg->most < spec->max_keys);
    return belt_error_set(err, -ENOSPC,
                          "%s: %s than %s has room for: raise aggregate.%s, or let them go to a "
                          "file: aggregate.spill: { path: DIR, size: 10GiB }",
                          spec->path, names ? "longer keys of groups" : "more groups",
                          memory ? "memory" : "max_keys", memory ? "memory" : "max_keys");
}

bool belt_agg_is_full(const struct belt_agg *agg, uint64_t groups, size_t bytes)
{
    return agg->used && (agg->used + groups > agg->most || bytes > agg->keys_room - agg->keys_used);
}

uint64_t belt_agg_spilled(const struct belt_agg *agg)
{
    return agg->spilled;
}

uint32_t belt_agg_seal(const char *blob, size_t size, uint64_t at)
{
    const uint64_t odd = UINT64_C(0xd6e8feb86659fd93);
    uint32_t key_size;
    uint64_t hash, word[2];
    memcpy(&key_size, blob + sizeof key_size, sizeof key_size);
    hash = belt_agg_mix(key_size ^ UINT64_C(0x9e3779b97f4a7c15), at ^ odd);
    for (blob += 8, size -= 8; size >= sizeof word; size -= sizeof word, blob += sizeof word) {
        memcpy(word, blob, sizeof word);
        hash = belt_agg_mix(word[0] ^ odd, word[1] ^ hash);
    }
    memset(word, 0, sizeof word);
    memcpy(word, blob, size); /* 0 or 8 */
    return (uint32_t)belt_agg_mix(hash ^ word[0], odd);
}

/* ---- writing ------------------------------------------------------------------ */

int belt_agg_write_begin(struct belt_agg *agg, struct belt_agg_writer *to, uint64_t most,
                         struct belt_error *err)
{
    int rc = belt_agg_store_claim(agg->store, most, &to->at, err);
    to->end = to->at + most;
    to->buffered = 0;
    to->run = (struct belt_agg_run){ .at = to->at };
    return rc;
}

static int flush(struct belt_agg *agg, struct belt_agg_writer *to, struct belt_error *err)
{
    int rc = belt_agg_store_write(agg->store, to->at, agg->frame->text, to->buffered, err);
    to->at += to->buffered;
    agg->spilled += to->buffered;
    to->buffered = 0;
    return rc;
}

int belt_agg_write(struct belt_agg *agg, struct belt_agg_writer *to,
                   const struct belt_agg_group *group, struct belt_error *err)
{
    size_t size = belt_agg_blob_size(agg, group);
    int rc = size > BUFFER - to->buffered ? flush(agg, to, err) : 0;
    if (rc < 0)
        return rc;
    char *blob = agg->frame->text + to->buffered;
    belt_agg_blob_put(agg, group, blob);
    uint32_t seal = belt_agg_seal(blob, size, to->at + to->buffered);
    memcpy(blob, &seal, sizeof seal);
    to->buffered += (uint32_t)size;
    to->run.size += size;
    if (size > to->run.largest)
        to->run.largest = size;
    return 0;
}

int belt_agg_run_add(struct belt_agg *agg, const struct belt_agg_run *run, struct belt_error *err)
{
    if (agg->runs_used == BELT_AGG_RUNS)
        return belt_error_set(err, -ENOSPC,
                              "%s: a full table went to the file %u times: raise aggregate.memory",
                              agg->spec->path, BELT_AGG_RUNS);
    agg->runs[agg->runs_used++] = *run;
    return 0;
}

int belt_agg_write_end(struct belt_agg *agg, struct belt_agg_writer *to, struct belt_error *err)
{
    int rc = flush(agg, to, err);
    belt_agg_store_drop(agg->store, to->at, to->end - to->at);
    return rc < 0 || !to->run.size ? rc : belt_agg_run_add(agg, &to->run, err);
}

/* ---- a table -------------------------------------------------------------------- */

/* All groups that have values, in agg->order; how many bytes they are as blobs. */
static uint64_t list_groups(struct belt_agg *agg)
{
    uint64_t size = 0;
    agg->sorted = 0;
    for (struct belt_agg_group *group = belt_agg_next(agg, 0); group;
         group = belt_agg_next(agg, belt_agg_slot_of(agg, group) + 1)) {
        if (!group->cells[0].count)
            continue;
        agg->order[agg->sorted++] = belt_agg_entry(agg, group, true);
        size += belt_agg_blob_size(agg, group);
    }
    return size;
}

int belt_agg_spill(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_writer to;
    uint64_t size = list_groups(agg);
    belt_agg_sort_entries(agg, belt_agg_key_before);
    int rc = belt_agg_write_begin(agg, &to, size, err);
    for (uint64_t i = 0; rc == 0 && i < agg->sorted; i++)
        rc = belt_agg_write(agg, &to, agg->order[i].group, err);
    if (rc == 0)
        rc = belt_agg_write_end(agg, &to, err);
    belt_agg_clear_groups(agg);
    return rc;
}

int belt_agg_finish(struct belt_agg *agg, struct belt_error *err)
{
    return agg->runs_used && agg->used ? belt_agg_spill(agg, err) : 0;
}
