/* Aggregate: what a group's columns are, and the frames that come out. */
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
    case BELT_AGG_EMISSION: return (int64_t)agg->emission;
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
const char *belt_agg_field_of(const struct belt_agg *agg, const struct belt_agg_group *group,
                              const struct belt_agg_output *output, uint32_t *size)
{
    uint32_t key_size;
    const char *key = belt_agg_key_bytes(agg, group, &key_size);
    return belt_agg_key_field(agg->spec, key, key_size, output->cell, size);
}

/* An integer or a float, as its 8 bytes. */
uint64_t belt_agg_value(const struct belt_agg *agg, const struct belt_agg_group *group, int o)
{
    const struct belt_agg_output *output = &agg->spec->outputs[o];
    uint64_t bits;
    if (output->op == BELT_AGG_KEY_FIELD) {
        uint32_t size;
        memcpy(&bits, belt_agg_field_of(agg, group, output, &size), sizeof bits);
    } else if (agg->spec->infos[o].type == BELT_FLOAT) {
        double value = float_of(agg, group, output);
        memcpy(&bits, &value, sizeof bits);
    } else {
        bits = (uint64_t)number_of(agg, group, output);
    }
    return bits;
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
        const char *text = belt_agg_field_of(agg, group, &agg->spec->outputs[o], &size);
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
        uint64_t bits = belt_agg_value(agg, group, o);
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
    for (; count < BELT_FRAME && from - agg->first + count < agg->sorted; count++, text = end) {
        const struct belt_agg_group *group = agg->order[from - agg->first + count].group;
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
