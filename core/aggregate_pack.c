/* Aggregate: groups as bytes, for the way from one lane's table to another's.
 *
 * A blob:  total size (4), key size (4), for each value column { min, max, low 64
 * bits of the sum, count, what is above those bits } (40), for each that has one
 * its second cell (32), key, zeros up to 8 bytes. */
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

static void put_blob(const struct belt_agg *agg, const struct belt_agg_group *group,
                     const char *key, uint32_t key_size, char *out, size_t size)
{
    uint32_t head[2] = { (uint32_t)size, key_size };
    const int64_t *high = agg->wide ? belt_agg_high(agg, group) : NULL;
    memset(out + size - 8, 0, 8);
    memcpy(out, head, sizeof head);
    out += HEAD;
    for (int c = 0; c < agg->spec->cells_used; c++, out += sizeof(struct packed_cell)) {
        struct packed_cell cell = { group->cells[c], high ? high[c] : 0 };
        memcpy(out, &cell, sizeof cell);
    }
    memcpy(out, group->cells + agg->spec->cells_used, more_size(agg->spec));
    memcpy(out + more_size(agg->spec), key, key_size);
}

size_t belt_agg_pack(struct belt_agg *agg, uint64_t *cursor, char *out, size_t room,
                     struct belt_span *spans, uint32_t most, uint32_t *count)
{
    size_t at = 0;
    *count = 0;
    if (*cursor == UINT64_MAX)
        return 0;
    const struct belt_agg_group *group = belt_agg_next(agg, *cursor);
    for (; group && *count < most; group = belt_agg_next(agg, *cursor)) {
        uint32_t key_size;
        const char *key = belt_agg_key_bytes(agg, group, &key_size);
        size_t size = blob_size(agg->spec, key_size);
        if (size > room - at)
            break;
        put_blob(agg, group, key, key_size, out + at, size);
        spans[(*count)++] = (struct belt_span){ (uint32_t)at, (uint32_t)size };
        at += size;
        *cursor = belt_agg_slot_of(agg, group) + 1;
    }
    if (!group)
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

int belt_agg_merge(struct belt_agg *agg, const char *blobs, size_t size)
{
    size_t cells = cells_size(agg->spec);
    while (size) {
        uint32_t head[2];
        if (size < HEAD)
            return -EBADMSG;
        memcpy(head, blobs, sizeof head);
        if (head[0] > size || head[1] > BELT_AGG_KEY || head[0] != blob_size(agg->spec, head[1]))
            return -EBADMSG;
        belt_agg_reserve(agg, 1);
        struct belt_agg_group *group = belt_agg_group(agg, blobs + HEAD + cells, head[1]);
        if (!group)
            return -ENOSPC;
        merge_cells(agg, group, blobs + HEAD);
        blobs += head[0];
        size -= head[0];
    }
    return 0;
}
