#include "core/histogram.h"

#include <string.h>

/* The values counted in a slot are [low, low + width). */
static uint64_t low_of(uint32_t slot)
{
    uint32_t row = slot >> BELT_HIST_BITS;
    uint32_t shift = row ? row - 1 : 0;
    return (uint64_t)(slot - (shift << BELT_HIST_BITS)) << shift;
}

static uint64_t width_of(uint32_t slot)
{
    uint32_t row = slot >> BELT_HIST_BITS;
    return UINT64_C(1) << (row ? row - 1 : 0);
}

/* ---- the writer --------------------------------------------------------------- */

void belt_hist_record_paced(struct belt_hist *h, uint64_t value, uint64_t pace)
{
    belt_hist_record(h, value);
    while (value > pace) {
        value -= pace;
        belt_hist_record(h, value);
    }
}

void belt_hist_reset(struct belt_hist *h)
{
    belt_store_relaxed(&h->sum, 0);
    belt_store_relaxed(&h->most, 0);
    belt_store_relaxed(&h->least_not, 0);
    for (uint32_t i = 0; i < BELT_HIST_SLOTS; i++)
        if (h->slots[i]) /* pages that were never touched stay so */
            belt_store_relaxed(&h->slots[i], 0);
}

/* ---- readers ------------------------------------------------------------------ */

uint64_t belt_hist_count(const struct belt_hist *h)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < BELT_HIST_SLOTS; i++)
        count += belt_load_relaxed(&h->slots[i]);
    return count;
}

uint64_t belt_hist_least(const struct belt_hist *h)
{
    uint64_t least_not = belt_load_relaxed(&h->least_not);
    /* 0 is stored for "none", and for a least that is the greatest value of all. */
    return least_not ? ~least_not : belt_load_relaxed(&h->most);
}

uint64_t belt_hist_most(const struct belt_hist *h)
{
    return belt_load_relaxed(&h->most);
}

double belt_hist_mean(const struct belt_hist *h)
{
    uint64_t count = belt_hist_count(h);
    return count ? (double)belt_load_relaxed(&h->sum) / (double)count : 0;
}

static uint64_t within(const struct belt_hist *h, uint64_t value)
{
    uint64_t least = belt_hist_least(h), most = belt_hist_most(h);
    return value < least ? least : value > most ? most : value;
}

uint64_t belt_hist_quantile(const struct belt_hist *h, double q)
{
    uint64_t count = belt_hist_count(h), seen = 0;
    if (!count || q <= 0)
        return belt_hist_least(h);
    /* 0.069 of 20000 is 1380, not a hair more and so the next one. */
    double exact = q * (double)count * (1 - 1e-12);
    uint64_t rank = exact >= (double)count ? count : (uint64_t)exact;
    rank += (double)rank < exact && rank < count;
    if (rank == count)
        return belt_hist_most(h);
    for (uint32_t i = 0; i < BELT_HIST_SLOTS; i++) {
        seen += belt_load_relaxed(&h->slots[i]);
        if (seen >= rank)
            return within(h, low_of(i) + width_of(i) / 2);
    }
    return belt_hist_most(h);
}

/* ---- copies ------------------------------------------------------------------- */

void belt_hist_snapshot(struct belt_hist *out, const struct belt_hist *h)
{
    memset(out, 0, sizeof *out);
    belt_hist_merge(out, h);
}

void belt_hist_merge(struct belt_hist *out, const struct belt_hist *h)
{
    uint64_t most = belt_load_relaxed(&h->most), least_not = belt_load_relaxed(&h->least_not);
    out->sum += belt_load_relaxed(&h->sum);
    out->most = most > out->most ? most : out->most;
    out->least_not = least_not > out->least_not ? least_not : out->least_not;
    for (uint32_t i = 0; i < BELT_HIST_SLOTS; i++) {
        uint64_t count = belt_load_relaxed(&h->slots[i]);
        if (count)
            out->slots[i] += count;
    }
}

void belt_hist_delta(struct belt_hist *out, const struct belt_hist *later,
                     const struct belt_hist *earlier)
{
    out->sum = later->sum - earlier->sum;
    uint64_t most = 0, least_not = 0;
    for (uint32_t i = 0; i < BELT_HIST_SLOTS; i++) {
        out->slots[i] = later->slots[i] - earlier->slots[i];
        if (!out->slots[i])
            continue;
        if (!least_not)
            least_not = ~low_of(i);
        most = low_of(i) + (width_of(i) - 1);
    }
    /* The ends of the whole are closer wherever they are within. */
    out->most = most < later->most ? most : later->most;
    out->least_not = least_not < later->least_not ? least_not : later->least_not;
}

/* ---- text --------------------------------------------------------------------- */

/* In halves of what is left, five steps each, as far as there are values. */
#define STEPS_PER_HALF 5

void belt_hist_print(const struct belt_hist *h, double unit, FILE *out)
{
    uint64_t count = belt_hist_count(h);
    double left = 1;
    fprintf(out, "%14s %12s %14s\n", "value", "part", "number");
    while (count) {
        for (int i = 0; i < STEPS_PER_HALF; i++) {
            double q = 1 - left + left / 2 * i / STEPS_PER_HALF;
            fprintf(out, "%14.3f %12.7f %14.0f\n", (double)belt_hist_quantile(h, q) / unit, q,
                    q * (double)count);
        }
        left /= 2;
        if (left * (double)count < 1)
            break;
    }
    fprintf(out, "%14.3f %12.7f %14llu\n", (double)belt_hist_most(h) / unit, 1.0,
            (unsigned long long)count);
    fprintf(out, "# mean %.3f, least %.3f\n", belt_hist_mean(h) / unit,
            (double)belt_hist_least(h) / unit);
}

void belt_hist_json(const struct belt_hist *h, FILE *out)
{
    static const struct {
        const char *name;
        double q;
    } parts[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99_9", 0.999 } };
    fprintf(out, "{\"count\": %llu, \"min\": %llu, \"mean\": %.1f",
            (unsigned long long)belt_hist_count(h), (unsigned long long)belt_hist_least(h),
            belt_hist_mean(h));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        fprintf(out, ", \"%s\": %llu", parts[i].name,
                (unsigned long long)belt_hist_quantile(h, parts[i].q));
    fprintf(out, ", \"max\": %llu}", (unsigned long long)belt_hist_most(h));
}
