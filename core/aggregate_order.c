/* Aggregate: the order of the groups. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_table_priv.h"

/* As a number in the order of the bytes. */
static uint64_t first_bytes(const char *text, uint32_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, text, size < 8 ? size : 8);
    return __builtin_bswap64(bytes);
}

/* Unsigned numbers in the order of what they stand for; of a text, its first 8 bytes. */
static uint64_t rank_of(const struct belt_agg *agg, const struct belt_agg_group *group, int o)
{
    const struct belt_agg_spec *spec = agg->spec;
    const uint64_t sign = UINT64_C(1) << 63, infinity = UINT64_C(0x7ff) << 52;
    if (spec->infos[o].type == BELT_TEXT) {
        uint32_t size;
        const char *text = belt_agg_field_of(agg, group, &spec->outputs[o], &size);
        return first_bytes(text, size);
    }
    uint64_t bits = belt_agg_value(agg, group, o);
    if (spec->infos[o].type != BELT_FLOAT)
        return bits ^ sign;
    if ((bits & ~sign) > infinity) /* NaN comes last, whatever its sign */
        return UINT64_MAX;
    return bits & sign ? ~bits : bits | sign;
}

static int compare_bytes(const char *a, uint32_t a_size, const char *b, uint32_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_texts(const struct belt_agg *agg, const struct belt_agg_group *a,
                         const struct belt_agg_group *b, int o)
{
    uint32_t a_size, b_size;
    const char *a_text = belt_agg_field_of(agg, a, &agg->spec->outputs[o], &a_size);
    const char *b_text = belt_agg_field_of(agg, b, &agg->spec->outputs[o], &b_size);
    return compare_bytes(a_text, a_size, b_text, b_size);
}

bool belt_agg_key_before(const struct belt_agg *agg, const struct belt_agg_entry *a,
                         const struct belt_agg_entry *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    uint32_t a_size, b_size;
    const char *a_key = belt_agg_key_bytes(agg, a->group, &a_size);
    const char *b_key = belt_agg_key_bytes(agg, b->group, &b_size);
    return compare_bytes(a_key, a_size, b_key, b_size) < 0;
}

bool belt_agg_row_before(const struct belt_agg *agg, const struct belt_agg_entry *a,
                         const struct belt_agg_entry *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    for (int s = 0; s < agg->spec->sort_used; s++) {
        int o = agg->spec->sort[s], order;
        if (agg->spec->infos[o].type == BELT_TEXT) {
            order = compare_texts(agg, a->group, b->group, o);
        } else {
            uint64_t a_rank = rank_of(agg, a->group, o), b_rank = rank_of(agg, b->group, o);
            order = (a_rank > b_rank) - (a_rank < b_rank);
        }
        if (order)
            return order < 0;
    }
    return false;
}

static void merge_parts(const struct belt_agg *agg, const struct belt_agg_entry *from,
                        struct belt_agg_entry *to, uint64_t middle, uint64_t end,
                        belt_agg_before *before)
{
    for (uint64_t a = 0, b = middle, i = 0; i < end; i++)
        to[i] =
            a < middle && (b == end || !before(agg, &from[b], &from[a])) ? from[a++] : from[b++];
}

/* Merge sort between two arrays: it needs no memory but the reserved. */
void belt_agg_sort_entries(struct belt_agg *agg, belt_agg_before *before)
{
    uint64_t count = agg->sorted;
    for (uint64_t run = 1; run < count; run *= 2) {
        for (uint64_t at = 0; at < count; at += 2 * run) {
            uint64_t end = count - at < 2 * run ? count - at : 2 * run;
            merge_parts(agg, agg->order + at, agg->order_spare + at, run < end ? run : end, end,
                        before);
        }
        struct belt_agg_entry *merged = agg->order_spare;
        agg->order_spare = agg->order;
        agg->order = merged;
    }
}

static int too_wide(const struct belt_agg *agg, const struct belt_agg_group *group, int o,
                    struct belt_error *err)
{
    uint32_t size;
    const char *key = belt_agg_key_bytes(agg, group, &size);
    return belt_error_set(err, -EOVERFLOW,
                          "aggregate: column '%s': the sum of group '%.*s' is beyond 64 bits; "
                          "use mean, or an input with fewer digits",
                          agg->spec->infos[o].name, size < 100 ? (int)size : 100, key);
}

int belt_agg_check_sums(const struct belt_agg *agg, const struct belt_agg_group *group,
                        struct belt_error *err)
{
    for (int o = 0; agg->wide && o < agg->spec->outputs_used; o++) {
        const struct belt_agg_output *output = &agg->spec->outputs[o];
        if (output->op == BELT_AGG_SUM && agg->spec->infos[o].type != BELT_FLOAT &&
            belt_agg_high(agg, group)[output->cell])
            return too_wide(agg, group, o, err);
    }
    return 0;
}

struct belt_agg_entry belt_agg_entry(const struct belt_agg *agg, struct belt_agg_group *group,
                                     bool by_key)
{
    uint64_t prefix = 0;
    if (by_key) {
        uint32_t size;
        const char *key = belt_agg_key_bytes(agg, group, &size);
        prefix = first_bytes(key, size);
    } else if (agg->spec->sort_used) {
        prefix = rank_of(agg, group, agg->spec->sort[0]);
    }
    return (struct belt_agg_entry){ prefix, group };
}

int belt_agg_sort(struct belt_agg *agg, struct belt_error *err)
{
    agg->first = agg->sorted = 0;
    agg->emission++;
    if (agg->runs_used)
        return belt_agg_merge_begin(agg, err);
    for (uint64_t slot = 0; agg->sorted < agg->used; slot++) {
        struct belt_agg_group *group = belt_agg_next(agg, slot);
        slot = belt_agg_slot_of(agg, group);
        int rc = belt_agg_check_sums(agg, group, err);
        if (rc < 0)
            return rc;
        agg->order[agg->sorted++] = belt_agg_entry(agg, group, false);
    }
    if (agg->spec->sort_used)
        belt_agg_sort_entries(agg, belt_agg_row_before);
    return 0;
}
