/* Aggregate: groups as bytes, for the way from one lane's table to another's.
 *
 * A blob:  total size (4), key size (4), for each value column { min, max, low 64
 * bits of the sum, count, what is above those bits } (40), for each that has one
 * its second cell (32), key, zeros up to 8 bytes. A run of them in the file,
 * where a seal stands instead of the size, is named by a blob, too. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_table_priv.h"

#define HEAD 8u

struct packed_cell {
    struct belt_agg_cell cell;
    int64_t high;
};

_Static_assert(sizeof(struct packed_cell) == 40, "no padding goes over the edge");

static size_t more_size(const struct belt_agg_spec *spec)
{
    return (size_t)(spec->cells_all - spec->cells_used) * sizeof(struct belt_agg_more);
}

static size_t cells_size(const struct belt_agg_spec *spec)
{
    return (size_t)spec->cells_used * sizeof(struct packed_cell) + more_size(spec);
}

static size_t blob_size(const struct belt_agg_spec *spec, uint32_t key_size)
{
    return (HEAD + cells_size(spec) + key_size + 7) / 8 * 8;
}

size_t belt_agg_blob_size(const struct belt_agg *agg, const struct belt_agg_group *group)
{
    uint32_t key_size;
    belt_agg_key_bytes(agg, group, &key_size);
    return blob_size(agg->spec, key_size);
}

uint32_t belt_agg_blob_size_of(const struct belt_agg *agg, uint32_t key_size)
{
    return key_size <= BELT_AGG_KEY ? (uint32_t)blob_size(agg->spec, key_size) : 0;
}

void belt_agg_blob_put(const struct belt_agg *agg, const struct belt_agg_group *group, char *out)
{
    uint32_t key_size;
    const char *key = belt_agg_key_bytes(agg, group, &key_size);
    size_t size = blob_size(agg->spec, key_size), more = more_size(agg->spec);
    uint32_t head[2] = { (uint32_t)size, key_size };
    const int64_t *high = agg->wide ? belt_agg_high(agg, group) : NULL;
    memset(out + size - 8, 0, 8);
    memcpy(out, head, sizeof head);
    out += HEAD;
    for (int c = 0; c < agg->spec->cells_used; c++, out += sizeof(struct packed_cell)) {
        struct packed_cell cell = { group->cells[c], high ? high[c] : 0 };
        memcpy(out, &cell, sizeof cell);
    }
    memcpy(out, group->cells + agg->spec->cells_used, more);
    memcpy(out + more, key, key_size);
}

/* A run: what names it, instead of its groups. */
struct packed_run {
    uint32_t size, mark;
    struct belt_agg_run run;
};

#define RUN_MARK UINT32_MAX /* where the size of a key would be */

static bool put_run(const struct belt_agg *agg, uint64_t number, char *out, size_t room)
{
    struct packed_run run = { sizeof run, RUN_MARK, agg->runs[number] };
    if (sizeof run > room)
        return false;
    memcpy(out, &run, sizeof run);
    return true;
}

/* Without values: it was entered just before the table was full. */
static bool is_empty(const struct belt_agg_group *group)
{
    return !group->cells[0].count;
}

/* Of a table without runs. Cursors count slots from runs_used on. */
static bool put_group(struct belt_agg *agg, uint64_t *cursor, char *out, size_t room, size_t *size)
{
    struct belt_agg_group *group = belt_agg_next(agg, *cursor - agg->runs_used);
    while (group && is_empty(group))
        group = belt_agg_next(agg, belt_agg_slot_of(agg, group) + 1);
    if (!group) {
        *cursor = UINT64_MAX;
        return false;
    }
    *size = belt_agg_blob_size(agg, group);
    if (*size > room)
        return false;
    belt_agg_blob_put(agg, group, out);
    *cursor = belt_agg_slot_of(agg, group) + 1 + agg->runs_used;
    return true;
}

size_t belt_agg_pack(struct belt_agg *agg, uint64_t *cursor, char *out, size_t room,
                     struct belt_span *spans, uint32_t most, uint32_t *count)
{
    size_t at = 0, size = sizeof(struct packed_run);
    *count = 0;
    if (agg->spec->early) { /* what an empty table takes whole */
        room = room < agg->keys_room ? room : agg->keys_room;
        most = most < agg->most ? most : (uint32_t)agg->most;
    }
    while (*cursor != UINT64_MAX && *count < most) {
        bool put = *cursor < agg->runs_used && put_run(agg, *cursor, out + at, room - at);
        if (put)
            ++*cursor;
        else if (*cursor < agg->runs_used || !put_group(agg, cursor, out + at, room - at, &size))
            break;
        spans[(*count)++] = (struct belt_span){ (uint32_t)at, (uint32_t)size };
        at += size;
    }
    /* The last frame says that it is. */
    if (*cursor != UINT64_MAX && *cursor >= agg->runs_used && !agg->used)
        *cursor = UINT64_MAX;
    return at;
}

/* ---- merging ---------------------------------------------------------------- */

/* Folds to come rely on the bound. */
static void raise_bound(uint64_t *bound, const struct packed_cell *from)
{
    int64_t sum = (int64_t)from->cell.n.sum;
    uint64_t size = sum < 0 ? -(uint64_t)sum : (uint64_t)sum;
    if (from->high || __builtin_add_overflow(*bound, size, bound))
        *bound = UINT64_MAX;
}

static void merge_numbers(struct belt_agg *agg, struct belt_agg_group *group, int c,
                          const struct packed_cell *from)
{
    struct belt_agg_cell *to = &group->cells[c];
    to->n.min = from->cell.n.min < to->n.min ? from->cell.n.min : to->n.min;
    to->n.max = from->cell.n.max > to->n.max ? from->cell.n.max : to->n.max;
    raise_bound(&agg->bounds[c], from);
    belt_agg_add_sum(agg, group, c, from->cell.n.sum, from->high);
}

static void merge_cells(struct belt_agg *agg, struct belt_agg_group *group, const char *cells)
{
    const struct belt_agg_spec *spec = agg->spec;
    const char *mores = cells + (size_t)spec->cells_used * sizeof(struct packed_cell);
    for (int c = 0; c < spec->cells_used; c++, cells += sizeof(struct packed_cell)) {
        const struct belt_agg_field *field = &spec->cells[c];
        struct packed_cell from;
        struct belt_agg_more others, *more = belt_agg_more(group, field->more);
        memcpy(&from, cells, sizeof from);
        if (field->more)
            memcpy(&others, mores + (field->more - spec->cells_used) * (int)sizeof others,
                   sizeof others);
        if (field->type == BELT_FLOAT)
            belt_agg_merge_floats(&group->cells[c], more, &from.cell, &others);
        else
            merge_numbers(agg, group, c, &from);
        if (field->type != BELT_FLOAT && field->more)
            belt_agg_merge_squares(more->square, others.square);
        group->cells[c].count += from.cell.count;
    }
}

void belt_agg_blob_add(struct belt_agg *agg, struct belt_agg_group *group, const char *blob)
{
    merge_cells(agg, group, blob + HEAD);
}

uint32_t belt_agg_blob_key(const struct belt_agg *agg, const char *blob, const char **key,
                           uint32_t *key_size)
{
    uint32_t head[2];
    memcpy(head, blob, sizeof head);
    *key = blob + HEAD + cells_size(agg->spec);
    *key_size = head[1];
    return head[0];
}

void belt_agg_blob_take(struct belt_agg *agg, struct belt_agg_group *group, const char *blob)
{
    const struct belt_agg_spec *spec = agg->spec;
    const char *key, *from = blob + HEAD;
    uint32_t key_size;
    belt_agg_blob_key(agg, blob, &key, &key_size);
    if (belt_agg_fits_line(key_size))
        belt_agg_line(&group->key, key, key_size);
    else
        group->key = (union belt_agg_line){ .word = { 0, (uint64_t)(key - agg->keys), key_size,
                                                      BELT_AGG_LONG } };
    for (int c = 0; c < spec->cells_used; c++, from += sizeof(struct packed_cell)) {
        struct packed_cell cell;
        memcpy(&cell, from, sizeof cell);
        group->cells[c] = cell.cell;
        if (!agg->wide && !cell.high)
            continue;
        belt_agg_high(agg, group)[c] = cell.high;
        agg->wide = true;
    }
    memcpy(group->cells + spec->cells_used, from, more_size(spec));
}

static int take_run(struct belt_agg *agg, const char *blob, size_t size, struct belt_error *err)
{
    struct packed_run run;
    if (size < sizeof run)
        return -EBADMSG;
    memcpy(&run, blob, sizeof run);
    return run.size == sizeof run && agg->store ? belt_agg_run_add(agg, &run.run, err) : -EBADMSG;
}

/* Into a group of its key. */
static int take_group(struct belt_agg *agg, const char *blob, struct belt_error *err)
{
    const char *key;
    uint32_t key_size;
    belt_agg_blob_key(agg, blob, &key, &key_size);
    for (;;) {
        struct belt_agg_group *group = NULL;
        if (agg->used < agg->most)
            belt_agg_reserve(agg, 1);
        group = belt_agg_group(agg, key, key_size);
        if (group) {
            belt_agg_blob_add(agg, group, blob);
            return 0;
        }
        int rc = agg->store && agg->used ? belt_agg_spill(agg, err) : belt_agg_full(agg, err);
        if (rc < 0)
            return rc;
    }
}

int belt_agg_merge(struct belt_agg *agg, const char *blobs, size_t size, struct belt_error *err)
{
    while (size) {
        uint32_t head[2];
        int rc = -EBADMSG;
        if (size >= HEAD) {
            memcpy(head, blobs, sizeof head);
            if (head[1] == RUN_MARK)
                rc = take_run(agg, blobs, size, err);
            else if (head[0] && head[0] <= size && head[0] == belt_agg_blob_size_of(agg, head[1]))
                rc = take_group(agg, blobs, err);
        }
        if (rc == -EBADMSG)
            return belt_error_set(err, rc, "%s: groups that cannot be read", agg->spec->path);
        if (rc < 0)
            return rc;
        blobs += head[0];
        size -= head[0];
    }
    return 0;
}
