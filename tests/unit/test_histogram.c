/* Histograms against a sorted array of the same values. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/histogram.h"

#define VALUES 20000
#define ERROR_PART 128 /* 1/128 of the value */

static struct belt_hist h, other, third;

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Of every magnitude, so that all rows of slots are met. */
static uint64_t any_value(void)
{
    uint64_t value = next();
    return value >> (next() % 64);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void fill(struct belt_hist *to, uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = any_value();
        belt_hist_record(to, values[i]);
    }
}

Test(histogram, empty_says_zero_everywhere)
{
    cr_assert_eq(belt_hist_count(&h), 0);
    cr_assert_eq(belt_hist_least(&h), 0);
    cr_assert_eq(belt_hist_most(&h), 0);
    cr_assert_eq(belt_hist_quantile(&h, 0.5), 0);
    cr_assert_float_eq(belt_hist_mean(&h), 0, 0);
}

Test(histogram, slots_go_up_without_gaps)
{
    uint32_t before = 0;
    for (uint64_t value = 0; value < 1 << 16; value++) {
        uint32_t slot = belt_hist_slot(value);
        cr_assert(slot == before || slot == before + 1, "%llu", (unsigned long long)value);
        before = slot;
    }
    cr_assert_eq(belt_hist_slot(UINT64_MAX), BELT_HIST_SLOTS - 1);
}

Test(histogram, quantiles_are_those_of_the_sorted_values_within_the_stated_error)
{
    static uint64_t values[VALUES];
    fill(&h, values, VALUES);
    qsort(values, VALUES, sizeof *values, by_value);
    for (int i = 0; i <= 1000; i++) {
        double q = i / 1000.0;
        size_t rank = (size_t)i * VALUES / 1000;
        uint64_t right = values[rank ? rank - 1 : 0], is = belt_hist_quantile(&h, q);
        uint64_t off = is > right ? is - right : right - is;
        cr_assert_leq(off, right / ERROR_PART, "q %f: %llu, not %llu", q, (unsigned long long)is,
                      (unsigned long long)right);
    }
}

Test(histogram, small_values_are_exact)
{
    for (uint64_t value = 0; value < 128; value++)
        belt_hist_record(&h, value);
    for (uint64_t value = 1; value <= 128; value++)
        cr_assert_eq(belt_hist_quantile(&h, (double)value / 128), value - 1);
}

Test(histogram, least_most_sum_and_count_are_exact)
{
    static uint64_t values[VALUES];
    fill(&h, values, VALUES);
    uint64_t sum = 0;
    for (size_t i = 0; i < VALUES; i++)
        sum += values[i];
    qsort(values, VALUES, sizeof *values, by_value);
    cr_assert_eq(belt_hist_count(&h), VALUES);
    cr_assert_eq(belt_hist_least(&h), values[0]);
    cr_assert_eq(belt_hist_most(&h), values[VALUES - 1]);
    cr_assert_eq(h.sum, sum);
}

Test(histogram, the_greatest_value_of_all_is_its_own_least)
{
    belt_hist_record(&h, UINT64_MAX);
    cr_assert_eq(belt_hist_least(&h), UINT64_MAX);
    cr_assert_eq(belt_hist_quantile(&h, 0.5), UINT64_MAX);
}

Test(histogram, many_is_one_many_times)
{
    belt_hist_record_many(&h, 1000, 3);
    for (int i = 0; i < 3; i++)
        belt_hist_record(&other, 1000);
    cr_assert_arr_eq(&h, &other, sizeof h);
}

Test(histogram, merged_parts_are_the_whole)
{
    static uint64_t values[VALUES];
    fill(&h, values, VALUES / 2);
    fill(&other, values + VALUES / 2, VALUES / 2);
    for (size_t i = 0; i < VALUES; i++)
        belt_hist_record(&third, values[i]);
    belt_hist_merge(&h, &other);
    cr_assert_arr_eq(&h, &third, sizeof h);
}

Test(histogram, delta_has_what_came_between)
{
    static uint64_t values[VALUES];
    fill(&h, values, VALUES / 2);
    belt_hist_snapshot(&other, &h);
    memset(&third, 0, sizeof third);
    for (int i = 0; i < 1000; i++) {
        uint64_t value = 5000 + next() % 5000;
        belt_hist_record(&h, value);
        belt_hist_record(&third, value);
    }
    belt_hist_delta(&h, &h, &other);
    cr_assert_arr_eq(h.slots, third.slots, sizeof h.slots);
    cr_assert_eq(h.sum, third.sum);
    cr_assert_leq(belt_hist_least(&h), belt_hist_least(&third));
    cr_assert_geq(belt_hist_most(&h), belt_hist_most(&third));
    cr_assert_leq(belt_hist_most(&h), belt_hist_most(&third) + belt_hist_most(&third) / 64);
}

Test(histogram, reset_is_empty)
{
    static uint64_t values[VALUES];
    fill(&h, values, VALUES);
    belt_hist_reset(&h);
    cr_assert_arr_eq(&h, &third, sizeof h);
}

Test(histogram, a_late_answer_stands_for_the_questions_not_asked)
{
    belt_hist_record_paced(&h, 100, 30);
    cr_assert_eq(belt_hist_count(&h), 4); /* 100, 70, 40, 10 */
    cr_assert_eq(h.sum, 220);
    belt_hist_record_paced(&h, 20, 30);
    cr_assert_eq(belt_hist_count(&h), 5);
}

/* ---- text ------------------------------------------------------------------------ */

static char *text_of(void (*print)(FILE *out))
{
    static char text[8192];
    FILE *out = fmemopen(text, sizeof text, "w");
    print(out);
    fclose(out);
    return text;
}

static void print_json(FILE *out)
{
    belt_hist_json(&h, out);
}

static void print_table(FILE *out)
{
    belt_hist_print(&h, 10, out);
}

Test(histogram, json_has_the_usual_parts)
{
    for (uint64_t value = 1; value <= 100; value++)
        belt_hist_record(&h, value);
    cr_assert_str_eq(text_of(print_json),
                     "{\"count\": 100, \"min\": 1, \"mean\": 50.5, \"p50\": 50, \"p90\": 90, "
                     "\"p99\": 99, \"p99_9\": 100, \"max\": 100}");
}

Test(histogram, the_table_ends_with_the_most_of_all)
{
    for (uint64_t value = 1; value <= 100; value++)
        belt_hist_record(&h, value);
    const char *text = text_of(print_table);
    cr_assert(strstr(text, "         5.000    0.5000000             50\n"), "%s", text);
    cr_assert(strstr(text, "        10.000    1.0000000            100\n"), "%s", text);
}

/* ---- a reader beside the writer -------------------------------------------------- */

#define BESIDE 2000000

static void *write_beside(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= BESIDE; i++)
        belt_hist_record(&h, i % 1000 + 1);
    return NULL;
}

Test(histogram, a_reader_beside_the_writer_never_counts_backwards)
{
    pthread_t writer;
    pthread_create(&writer, NULL, write_beside, NULL);
    uint64_t before = 0;
    while (before < BESIDE) {
        belt_hist_snapshot(&other, &h);
        uint64_t count = belt_hist_count(&other);
        cr_assert_geq(count, before);
        cr_assert_leq(belt_hist_quantile(&other, 0.99), 1000);
        before = count;
    }
    pthread_join(writer, NULL);
    cr_assert_eq(belt_hist_count(&h), BESIDE);
}
