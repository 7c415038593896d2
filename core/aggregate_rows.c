/* Aggregate: the order of the groups, and the frames that come out. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_table_priv.h"

/* ---- what a group's columns are --------------------------------------------- */

static __int128 exact_sum(const struct belt_agg *agg, const struct belt_agg_group *group, int cell)
{
    __int128 high = agg->wide ? belt_agg_high(agg, group)[cell] : 0;
    return high * ((__int128)1 << 64) + (int64_t)group->cells[cell].n.sum;
}

/* Half goes up, towards +infinity. The quotient of integers cannot be -0. */
static int64_t rounded_mean(__int128 sum, uint64_t count)
{
    __int128 twice = 2 * sum + count, by = 2 * (__int128)count, mean = twice / by;
    return (int64_t)(mean - (twice % by < 0));
}

static int64_t number_of(const struct belt_agg *agg, const struct belt_agg_group *group,
                         const struct belt_agg_output *output)
{
    const struct belt_agg_cell *cell = &group->cells[output->cell];
    switch (output->op) {
    case BELT_AGG_MIN: return cell->n.min;
    case BELT_AGG_MAX: return cell->n.max;
    case BELT_AGG_SUM: return (int64_t)cell->n.sum; /* belt_agg_sort() has seen that it is all */
    case BELT_AGG_MEAN: return rounded_mean(exact_sum(agg, group, output->cell), cell->count);
    default: return (int64_t)cell->count;
    }
}

static double float_of(const struct belt_agg *agg, const struct belt_agg_group *group,
                       const struct belt_agg_output *output)
{
    const struct belt_agg_cell *cell = &group->cells[output->cell];
    const struct belt_agg_field *field = &agg->spec->cells[output->cell];
    bool floats = field->type == BELT_FLOAT;
    if (output->op >= BELT_AGG_VAR && output->op <= BELT_AGG_STDDEV_POP)
        return belt_agg_spread(agg->spec, group, output->cell, output->op,
                               floats ? 0 : exact_sum(agg, group, output->cell));
    if (!floats) /* a mean of ints */
        return (double)((long double)exact_sum(agg, group, output->cell) /
                        (long double)cell->count);
    switch (output->op) {
    case BELT_AGG_MIN: return cell->f.min;
    case BELT_AGG_MAX: return cell->f.max;
    default: break;
    }
    double sum = belt_agg_float_sum(cell, (const void *)&group->cells[field->more]);
    return output->op == BELT_AGG_SUM ? sum : sum / (double)cell->count;
}

/* Texts and, for an output of group_by, the 8 bytes of a number. */
static const char *field_of(const struct belt_agg *agg, const struct belt_agg_group *group,
                            const struct belt_agg_output *output, uint32_t *size)
{
    uint32_t key_size;
    const char *key = belt_agg_key_bytes(agg, group, &key_size);
    return belt_agg_key_field(agg->spec, key, key_size, output->cell, size);
}

/* An integer or a float, as its 8 bytes. */
static uint64_t value_of(const struct belt_agg *agg, const struct belt_agg_group *group, int o)
{
    const struct belt_agg_output *output = &agg->spec->outputs[o];
    uint64_t bits;
    if (output->op == BELT_AGG_KEY_FIELD) {
        uint32_t size;
        memcpy(&bits, field_of(agg, group, output, &size), sizeof bits);
    } else if (agg->spec->infos[o].type == BELT_FLOAT) {
        double value = float_of(agg, group, output);
        memcpy(&bits, &value, sizeof bits);
    } else {
        bits = (uint64_t)number_of(agg, group, output);
    }
    return bits;
}

/* ---- order ------------------------------------------------------------------ */

/* Unsigned numbers in the order of what they stand for; of a text, its first 8 bytes. */
static uint64_t rank_of(const struct belt_agg *agg, const struct belt_agg_group *group, int o)
{
    const struct belt_agg_spec *spec = agg->spec;
    const uint64_t sign = UINT64_C(1) << 63, infinity = UINT64_C(0x7ff) << 52;
    if (spec->infos[o].type == BELT_TEXT) {
        uint32_t size;
        const char *text = field_of(agg, group, &spec->outputs[o], &size);
        uint64_t bytes = 0;
        memcpy(&bytes, text, size < 8 ? size : 8);
        return __builtin_bswap64(bytes);
    }
    uint64_t bits = value_of(agg, group, o);
    if (spec->infos[o].type != BELT_FLOAT)
        return bits ^ sign;
    if ((bits & ~sign) > infinity) /* NaN comes last, whatever its sign */
        return UINT64_MAX;
    return bits & sign ? ~bits : bits | sign;
}

static int compare_texts(const struct belt_agg *agg, const struct belt_agg_group *a,
                         const struct belt_agg_group *b, int o)
{
    uint32_t a_size, b_size;
    const char *a_text = field_of(agg, a, &agg->spec->outputs[o], &a_size);
    const char *b_text = field_of(agg, b, &agg->spec->outputs[o], &b_size);
    int order = memcmp(a_text, b_text, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static bool is_before(const struct belt_agg *agg, const struct belt_agg_entry *a,
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

static void merge_runs(const struct belt_agg *agg, const struct belt_agg_entry *from,
                       struct belt_agg_entry *to, uint64_t middle, uint64_t end)
{
    for (uint64_t a = 0, b = middle, i = 0; i < end; i++)
        to[i] =
            a < middle && (b == end || !is_before(agg, &from[b], &from[a])) ? from[a++] : from[b++];
}

/* Merge sort between two arrays: it needs no memory but the reserved. */
static void sort_entries(struct belt_agg *agg)
{
    uint64_t count = agg->sorted;
    for (uint64_t run = 1; run < count; run *= 2) {
        for (uint64_t at = 0; at < count; at += 2 * run) {
            uint64_t end = count - at < 2 * run ? count - at : 2 * run;
            merge_runs(agg, agg->order + at, agg->order_spare + at, run < end ? run : end, end);
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

static int check_sums(const struct belt_agg *agg, const struct belt_agg_group *group,
                      struct belt_error *err)
{
    for (int o = 0; o < agg->spec->outputs_used; o++) {
        const struct belt_agg_output *output = &agg->spec->outputs[o];
        if (output->op == BELT_AGG_SUM && agg->spec->infos[o].type != BELT_FLOAT &&
            belt_agg_high(agg, group)[output->cell])
            return too_wide(agg, group, o, err);
    }
    return 0;
}

int belt_agg_sort(struct belt_agg *agg, struct belt_error *err)
{
    const struct belt_agg_spec *spec = agg->spec;
    agg->sorted = 0;
    for (uint64_t slot = 0; agg->sorted < agg->used; slot++) {
        struct belt_agg_group *group = belt_agg_next(agg, slot);
        slot = belt_agg_slot_of(agg, group);
        int rc = agg->wide ? check_sums(agg, group, err) : 0;
        if (rc < 0)
            return rc;
        agg->order[agg->sorted++] =
            (struct belt_agg_entry){ spec->sort_used ? rank_of(agg, group, spec->sort[0]) : 0,
                                     group };
    }
    if (spec->sort_used)
        sort_entries(agg);
    return 0;
}

/* ---- frames ----------------------------------------------------------------- */

/* Puts row i's texts at `at`; where they end, or 0: they do not fit. */
static uint32_t put_texts(struct belt_agg *agg, const struct belt_agg_group *group, uint32_t i,
                          uint32_t at)
{
    for (int o = 0; o < agg->spec->keys_used; o++) {
        if (agg->spec->keys[o].type != BELT_TEXT)
            continue;
        uint32_t size;
        const char *text = field_of(agg, group, &agg->spec->outputs[o], &size);
        if (size > BELT_AGG_TEXT - at)
            return 0;
        memcpy(agg->frame->text + at, text, size);
        agg->frame->values[o + 1].spans[i] = (struct belt_span){ at, size };
        at += size;
    }
    return at;
}

static void put_numbers(struct belt_agg *agg, const struct belt_agg_group *group, uint32_t i)
{
    for (int o = 0; o < agg->spec->outputs_used; o++) {
        if (agg->spec->infos[o].type == BELT_TEXT)
            continue;
        uint64_t bits = value_of(agg, group, o);
        memcpy(&agg->frame->values[o + 1].numbers[i], &bits, sizeof bits);
    }
}

static void set_columns(struct belt_agg *agg)
{
    for (int c = 0; c <= agg->spec->outputs_used; c++) {
        struct belt_column *column = &agg->frame->columns[c];
        column->base = agg->frame->text;
        if (c == 0 || agg->spec->infos[c - 1].type == BELT_TEXT)
            column->as.spans = agg->frame->values[c].spans;
        else if (agg->spec->infos[c - 1].type == BELT_FLOAT)
            column->as.floats = agg->frame->values[c].floats;
        else
            column->as.numbers = agg->frame->values[c].numbers;
    }
    for (int f = 0; f < agg->spec->keys_used; f++)
        if (agg->spec->keys[f].column == 0)
            agg->frame->columns[0] = agg->frame->columns[f + 1];
}

uint32_t belt_agg_rows(struct belt_agg *agg, uint64_t from, struct belt_view *view)
{
    struct belt_agg_frame *frame = agg->frame;
    uint32_t count = 0, text = BELT_PAD, end;
    memset(frame->live, 0, sizeof frame->live);
    for (; count < BELT_FRAME && from + count < agg->sorted; count++, text = end) {
        const struct belt_agg_group *group = agg->order[from + count].group;
        end = put_texts(agg, group, count, text);
        if (!end)
            break;
        put_numbers(agg, group, count);
        frame->values[0].spans[count] = (struct belt_span){ BELT_PAD, 0 };
        frame->live[count / 64] |= UINT64_C(1) << (count % 64);
    }
    set_columns(agg);
    view->size = sizeof *view;
    view->first = 0;
    view->end = count;
    view->columns_used = (uint32_t)agg->spec->outputs_used + 1;
    view->columns = frame->columns;
    view->live = frame->live;
    return count;
}
