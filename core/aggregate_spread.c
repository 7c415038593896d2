/* Aggregate: how far the values of a group lie apart.
 *
 * Of ints and decimals the count n, the sum S and the sum of squares Q are exact, and
 * so is n Q - S S, in 256 bits: it is rounded once. Of floats: Welford, and Chan's way
 * to put two groups together. */
#include <math.h>

#include "core/aggregate_table_priv.h"

struct wide {
    uint64_t part[4]; /* low ones first */
};

void belt_agg_merge_squares(uint64_t to[3], const uint64_t from[3])
{
    unsigned __int128 sum = 0;
    for (int i = 0; i < 3; i++) {
        sum += (unsigned __int128)to[i] + from[i];
        to[i] = (uint64_t)sum;
        sum >>= 64;
    }
}

/* to += a b, from part `at` on. */
static void add_product(struct wide *to, int at, uint64_t a, uint64_t b)
{
    unsigned __int128 sum = (unsigned __int128)a * b;
    for (; at < 4; at++) {
        sum += to->part[at];
        to->part[at] = (uint64_t)sum;
        sum >>= 64;
    }
}

static struct wide minus(struct wide a, const struct wide *b)
{
    __int128 rest = 0;
    for (int i = 0; i < 4; i++) {
        rest += (__int128)a.part[i] - b->part[i];
        a.part[i] = (uint64_t)rest;
        rest >>= 64;
    }
    return a;
}

/* n Q - S S, which is n n times the variance. */
static long double scaled(uint64_t n, const uint64_t square[3], __int128 sum)
{
    unsigned __int128 size = sum < 0 ? -(unsigned __int128)sum : (unsigned __int128)sum;
    uint64_t low = (uint64_t)size, high = (uint64_t)(size >> 64);
    struct wide all = { { 0 } }, mean = { { 0 } };
    for (int i = 0; i < 3; i++)
        add_product(&all, i, square[i], n);
    add_product(&mean, 0, low, low);
    add_product(&mean, 1, low, high);
    add_product(&mean, 1, low, high);
    add_product(&mean, 2, high, high);
    all = minus(all, &mean);
    long double value = 0;
    for (int i = 3; i >= 0; i--)
        value = value * 0x1p64L + (long double)all.part[i];
    return value;
}

/* The values are whole numbers of 10^-digits. */
static long double variance_of_numbers(const struct belt_agg_field *field, uint64_t n,
                                       long double by, const uint64_t square[3], __int128 sum)
{
    long double variance = scaled(n, square, sum) / (long double)n / by;
    for (unsigned d = 0; d < 2 * field->digits; d++)
        variance /= 10;
    return variance;
}

double belt_agg_spread(const struct belt_agg_spec *spec, const struct belt_agg_group *group,
                       int cell, enum belt_agg_op op, __int128 sum)
{
    const struct belt_agg_field *field = &spec->cells[cell];
    const struct belt_agg_more *more = (const void *)&group->cells[field->more];
    uint64_t n = group->cells[cell].count;
    bool sample = op == BELT_AGG_VAR || op == BELT_AGG_STDDEV;
    if (sample && n < 2)
        return NAN;
    long double by = (long double)(sample ? n - 1 : n);
    double variance = field->type == BELT_FLOAT
                          ? more->f.apart / (double)by
                          : (double)variance_of_numbers(field, n, by, more->square, sum);
    return op == BELT_AGG_STDDEV || op == BELT_AGG_STDDEV_POP ? sqrt(variance) : variance;
}

/* ---- floats ------------------------------------------------------------------- */

static void add_float(struct belt_agg_cell *to, struct belt_agg_more *more, double value)
{
    double sum = to->f.sum + value;
    more->f.lost +=
        fabs(value) > fabs(to->f.sum) ? (value - sum) + to->f.sum : (to->f.sum - sum) + value;
    to->f.sum = sum;
}

void belt_agg_merge_floats(struct belt_agg_cell *to, struct belt_agg_more *more,
                           const struct belt_agg_cell *from, const struct belt_agg_more *others)
{
    double mine = (double)to->count, theirs = (double)from->count, all = mine + theirs;
    double between = others->f.mean - more->f.mean;
    if (from->f.min < to->f.min || to->f.min != to->f.min)
        to->f.min = from->f.min;
    if (from->f.max > to->f.max || to->f.max != to->f.max)
        to->f.max = from->f.max;
    add_float(to, more, from->f.sum);
    add_float(to, more, others->f.lost);
    if (!to->count) {
        more->f.mean = others->f.mean;
        more->f.apart = others->f.apart;
    } else if (theirs > 0) {
        more->f.mean += between * (theirs / all);
        more->f.apart += others->f.apart + between * between * (mine / all * theirs);
    }
}

/* Beyond the greatest double, what was lost on the way means nothing. */
double belt_agg_float_sum(const struct belt_agg_cell *cell, const struct belt_agg_more *more)
{
    return isfinite(cell->f.sum) ? cell->f.sum + more->f.lost : cell->f.sum;
}
