/* Aggregate: folding messages into groups. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_table_priv.h"

/* Where a block's values come from: the columns themselves when all 64 messages
 * of a word are folded, else copies of those that are. */
struct source {
    const struct belt_view *view;
    uint32_t first; /* message of bit 0 */
    bool dense;
};

static const int64_t no_values[BELT_AGG_BLOCK];
static const uint8_t all[BELT_AGG_BLOCK] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
};

static void list_messages(struct belt_agg_block *block, uint64_t mask)
{
    uint32_t count = 0;
    if (mask == UINT64_MAX) {
        memcpy(block->index, all, sizeof all);
        block->count = BELT_AGG_BLOCK;
        return;
    }
    for (; mask; mask &= mask - 1)
        block->index[count++] = (uint8_t)__builtin_ctzll(mask);
    block->count = count;
}

static const struct belt_span *spans_of(struct belt_agg_block *block, const struct source *from,
                                        int column)
{
    const struct belt_span *spans = from->view->columns[column].as.spans + from->first;
    if (from->dense)
        return spans;
    for (uint32_t k = 0; k < block->count; k++)
        block->spans[k] = spans[block->index[k]];
    for (uint32_t k = block->count; k % 4; k++)
        block->spans[k] = block->spans[0];
    return block->spans;
}

/* 8 bytes each, integers or floats alike. */
static const int64_t *values_of(struct belt_agg_block *block, const struct source *from,
                                const struct belt_agg_field *field)
{
    if (field->column < 0)
        return no_values;
    const int64_t *values = from->view->columns[field->column].as.numbers + from->first;
    if (from->dense)
        return values;
    for (uint32_t k = 0; k < block->count; k++)
        memcpy(&block->numbers[k], &values[block->index[k]], sizeof *values);
    return block->numbers;
}

/* ---- groups ----------------------------------------------------------------- */

/* Keys of several fields or of a number; bit k: fits no line. */
static uint64_t make_keys(struct belt_agg *agg, const struct source *from)
{
    struct belt_agg_block *block = &agg->block;
    uint64_t unfit = 0;
    for (uint32_t k = 0; k < block->count; k++) {
        uint32_t size;
        const char *key = belt_agg_key_of(agg, from->view, from->first + block->index[k], &size);
        if (key && belt_agg_fits_line(size))
            belt_agg_line(&block->keys[k], key, size);
        else
            unfit |= UINT64_C(1) << k;
    }
    return unfit;
}

/* Takes the messages of `refused` (by their place in the block) out of it. */
static void leave_out(struct belt_agg_block *block, uint64_t refused, uint64_t *failed)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < block->count; k++) {
        if (refused >> k & 1) {
            *failed |= UINT64_C(1) << block->index[k];
            continue;
        }
        block->groups[kept] = block->groups[k];
        block->index[kept++] = block->index[k];
    }
    block->count = kept;
}

/* What was not at its first slot: neighbours, new keys, long keys. */
static int find_rest(struct belt_agg *agg, const struct source *from, uint64_t missed,
                     uint64_t unfit, uint64_t *failed)
{
    struct belt_agg_block *block = &agg->block;
    uint64_t refused = 0;
    for (; missed; missed &= missed - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(missed), size;
        struct belt_agg_group *group;
        if (unfit >> k & 1) {
            const char *key =
                belt_agg_key_of(agg, from->view, from->first + block->index[k], &size);
            if (!key) {
                refused |= missed & -missed;
                continue;
            }
            group = belt_agg_group(agg, key, size);
        } else {
            group = belt_agg_group_of_line(agg, &block->keys[k], block->hashes[k]);
        }
        if (!group)
            return -ENOSPC;
        block->groups[k] = group;
    }
    if (refused)
        leave_out(block, refused, failed);
    return 0;
}

/* Groups stay where they are from the reservation on to the last use of one. */
static int find_groups(struct belt_agg *agg, struct source *from, uint64_t *failed)
{
    const struct belt_agg_spec *spec = agg->spec;
    uint64_t unfit, missed;
    belt_agg_reserve(agg, BELT_AGG_BLOCK);
    if (spec->keys_used == 1 && spec->keys[0].type == BELT_TEXT) {
        int column = spec->keys[0].column;
        const struct belt_span *spans = spans_of(&agg->block, from, column);
        const char *base = from->view->columns[column].base;
        unfit = agg->hot.text_keys(agg, base, spans);
        if (unfit)
            agg->hot.hash_long(agg, base, spans, unfit);
        missed = agg->hot.find(agg, unfit);
        if (unfit)
            missed &= ~agg->hot.find_long(agg, base, spans, unfit);
    } else {
        unfit = make_keys(agg, from);
        agg->hot.hash(agg);
        missed = agg->hot.find(agg, unfit);
    }
    if (!missed)
        return 0;
    int rc = find_rest(agg, from, missed, unfit, failed);
    from->dense = from->dense && agg->block.count == BELT_AGG_BLOCK;
    return rc;
}

/* ---- cells ------------------------------------------------------------------ */

void belt_agg_add_sum(struct belt_agg *agg, struct belt_agg_group *group, int cell, uint64_t low,
                      int64_t high)
{
    uint64_t *sum = &group->cells[cell].n.sum;
    int64_t exact;
    /* The 64 bits are a signed number, so what goes above is what makes it one again. */
    if (__builtin_add_overflow((int64_t)*sum, (int64_t)low, &exact))
        high += (int64_t)low < 0 ? -1 : 1;
    *sum = (uint64_t)exact;
    if (!high)
        return;
    belt_agg_high(agg, group)[cell] += high;
    agg->wide = true;
}

static void add_exactly(struct belt_agg *agg, int cell, const int64_t *values)
{
    for (uint32_t k = 0; k < agg->block.count; k++) {
        struct belt_agg_cell *to = &agg->block.groups[k]->cells[cell];
        int64_t value = values[k];
        to->n.min = value < to->n.min ? value : to->n.min;
        to->n.max = value > to->n.max ? value : to->n.max;
        to->count++;
        belt_agg_add_sum(agg, agg->block.groups[k], cell, (uint64_t)value, 0);
    }
}

/* Whether no sum can leave 64 bits by these values: a bound on all sums together
 * is kept, which ordinary numbers never bring near the edge. */
static bool stays_narrow(struct belt_agg *agg, int cell, const int64_t *values)
{
    uint64_t *bound = &agg->bounds[cell], rise;
    if (*bound > INT64_MAX)
        return false;
    if (__builtin_mul_overflow(agg->hot.bound(values, agg->block.count), agg->block.count, &rise) ||
        __builtin_add_overflow(*bound, rise, bound))
        *bound = UINT64_MAX;
    return *bound <= INT64_MAX;
}

static void fold_floats(struct belt_agg *agg, int c, const double *values)
{
    const struct belt_agg_field *field = &agg->spec->cells[c];
    size_t offset = belt_agg_offset(c), more = belt_agg_offset(field->more);
    if (field->squares)
        agg->hot.add_apart(&agg->block, offset, more, values);
    else
        agg->hot.add_floats(&agg->block, offset, more, values);
}

static void fold_values(struct belt_agg *agg, const struct source *from)
{
    for (int c = 0; c < agg->spec->cells_used; c++) {
        const struct belt_agg_field *field = &agg->spec->cells[c];
        const int64_t *values = values_of(&agg->block, from, field);
        size_t offset = belt_agg_offset(c);
        if (field->type == BELT_FLOAT) {
            fold_floats(agg, c, (const double *)(const void *)values);
            continue;
        }
        if (field->squares)
            agg->hot.add_squares(&agg->block, belt_agg_offset(field->more), values);
        if (stays_narrow(agg, c, values))
            agg->hot.add(&agg->block, offset, values);
        else
            add_exactly(agg, c, values);
    }
}

/* 0, or -ENOSPC: none of them is folded, but groups without values may be new. */
static int fold_some(struct belt_agg *agg, const struct belt_view *view, uint32_t w, uint64_t mask,
                     uint64_t *failed)
{
    struct source from = { view, w * 64, mask == UINT64_MAX };
    list_messages(&agg->block, mask);
    int rc = find_groups(agg, &from, failed);
    if (rc == 0)
        fold_values(agg, &from);
    return rc;
}

static uint64_t half_of(uint64_t mask)
{
    uint64_t half = mask;
    for (int i = __builtin_popcountll(mask) / 2; i > 0; i--)
        half &= half - 1;
    return mask & ~half;
}

/* The table is full: of others (`fresh` false), or of these messages alone. What is to
 * be folded next, or negative as belt_agg_fold(). */
static int make_room(struct belt_agg *agg, bool fresh, uint64_t *some, struct belt_error *err)
{
    if (fresh && (*some & (*some - 1)) && (agg->store || agg->spec->early)) {
        belt_agg_clear_groups(agg);
        *some = half_of(*some);
        return 0;
    }
    if (!fresh && agg->store)
        return belt_agg_spill(agg, err);
    return !fresh && agg->spec->early ? -EAGAIN : belt_agg_full(agg, err);
}

static int fold_word(struct belt_agg *agg, const struct belt_view *view, uint32_t w, uint64_t *mask,
                     uint64_t *failed, struct belt_error *err)
{
    for (uint64_t some = *mask; *mask;) {
        bool fresh = !agg->used;
        int rc = fold_some(agg, view, w, some, failed);
        if (rc == 0) {
            *mask &= ~some;
            some = *mask;
        } else if ((rc = make_room(agg, fresh, &some, err)) < 0) {
            return rc;
        }
    }
    return 0;
}

int belt_agg_fold(struct belt_agg *agg, const struct belt_view *view, uint64_t mask[BELT_WORDS],
                  uint64_t failed[BELT_WORDS], struct belt_error *err)
{
    for (uint32_t w = 0; w < BELT_WORDS; w++) {
        int rc = mask[w] ? fold_word(agg, view, w, &mask[w], &failed[w], err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
