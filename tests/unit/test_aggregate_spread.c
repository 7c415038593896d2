/* Variance and standard deviation of groups, and sums of floats. */
#include "tests/unit/aggregate_fixture.h"

TestSuite(aggregate_spread, .fini = fini);

#define SPREADS(f) "a: var(" f "), b: var_pop(" f "), c: stddev(" f "), d: stddev_pop(" f ")"

Test(aggregate_spread, is_of_a_sample_or_of_all)
{
    use("{ group_by: name, columns: { " SPREADS("number") " } }");
    for (int i = 1; i <= 5; i++)
        add_value("x", i * 2); /* apart: 16 + 4 + 0 + 4 + 16 */
    expect("x;10;8;3.1622776601683795;2.8284271247461903\n");
}

Test(aggregate_spread, of_one_value_is_nothing_or_zero)
{
    use("{ group_by: name, columns: { " SPREADS("number") " } }");
    add_value("x", 7);
    expect("x;nan;0;nan;0\n");
}

Test(aggregate_spread, of_decimals_is_in_their_unit)
{
    use("{ group_by: name, columns: { v: var(value), s: stddev(value) } }");
    for (int i = 1; i <= 3; i++)
        add_value("x", i); /* 0.1, 0.2, 0.3 */
    expect("x;0.01;0.10000000000000001\n");
}

Test(aggregate_spread, small_differences_of_large_numbers_are_exact)
{
    use("{ group_by: name, columns: { v: var(number) } }");
    for (int i = 0; i < 3000; i++)
        add_value("x", INT64_MAX - i % 3);
    expect("x;0.66688896298766254\n"); /* 2000 / 2999 */
}

Test(aggregate_spread, the_ends_of_64_bits_do_not_overflow)
{
    use("{ group_by: name, columns: { v: var_pop(number), n: count(), s: stddev_pop(number) } }");
    for (int i = 0; i < 4096; i++)
        add_value("x", i % 2 ? INT64_MAX : INT64_MIN);
    expect("x;8.5070591730234616e+37;4096;9.2233720368547758e+18\n");
}

/* The same messages whatever the number of tables that they are dealt to. */
static void add_random(size_t count, int messages)
{
    random_state = 4711;
    for (int i = 0; i < messages; i++) {
        agg = tables[(size_t)i % count];
        put_text(NAME, &"xyz"[random_below(3)], 1);
        numbers[VALUE][0] = numbers[NUMBER][0] = (int64_t)(random_below(UINT64_C(1) << 31) << 32) -
                                                 (INT64_C(1) << 61) - (int64_t)random_below(1000);
        ratios[0] = 1e9 + (double)random_below(1000) / 7;
        mask[0] = 1;
        view.end = 1;
        cr_assert_eq(fold(), 0);
    }
}

static struct belt_agg *merged(size_t count)
{
    _Alignas(8) static char out[BELT_AGG_BLOB];
    static struct belt_span blobs[BELT_FRAME];
    for (size_t t = 1; t < count; t++)
        for (uint64_t cursor = 0; cursor != UINT64_MAX;) {
            uint32_t used;
            size_t size =
                belt_agg_pack(tables[t], &cursor, out, sizeof out, blobs, BELT_FRAME, &used);
            cr_assert_eq(belt_agg_merge(tables[0], out, size, &err), 0);
        }
    return tables[0];
}

Test(aggregate_spread, numbers_have_the_same_bits_from_any_number_of_tables)
{
    char one[8192];
    use("{ group_by: name, sort_by: name, columns: { " SPREADS("value") ", m: mean(number) } }");
    add_random(1, 5000);
    strcpy(one, rows_of(agg));
    belt_agg_clear(agg);
    new_table(8);
    new_table(9);
    add_random(3, 5000);
    cr_assert_str_eq(rows_of(merged(3)), one);
}

Test(aggregate_spread, floats_keep_their_digits_over_several_tables)
{
    use("{ group_by: name, sort_by: name, columns: { v: var(ratio), m: mean(ratio) } }");
    new_table(8);
    new_table(9);
    add_random(3, 20000);
    struct belt_view rows = { 0 };
    struct belt_agg *all = merged(3);
    cr_assert_eq(belt_agg_sort(all, &err), 0);
    cr_assert_eq(belt_agg_rows(all, 0, &rows), 3);
    double expected = (1000.0 * 1000 - 1) / 12 / 49; /* of even values 0/7 ... 999/7 */
    for (uint32_t i = 0; i < 3; i++) {
        double variance = rows.columns[2].as.floats[i], mean = rows.columns[3].as.floats[i];
        cr_assert_float_eq(variance, expected, expected * 0.05, "%.17g", variance);
        cr_assert_float_eq(mean, 1e9 + 999.0 / 14, 3, "%.17g", mean);
    }
}

Test(aggregate_spread, of_floats_far_from_zero_is_not_lost)
{
    use("{ group_by: name, columns: { v: var(ratio) } }");
    static const double values[] = { 4, 7, 13, 16 };
    for (int i = 0; i < 4; i++)
        add_ratio("x", 1e9 + values[i]);
    expect("x;30\n");
}

Test(aggregate_spread, merging_groups_of_floats_is_as_folding_them)
{
    use("{ group_by: name, sort_by: name, columns: { v: var(ratio), s: sum(ratio) } }");
    struct belt_agg *first = agg;
    static const double values[] = { 1, 2, 3, 4, 5, 6 };
    for (int i = 0; i < 3; i++)
        add_ratio("x", values[i]);
    cr_assert_eq(fold(), 0);
    agg = new_table(8);
    for (int i = 3; i < 6; i++)
        add_ratio("x", values[i]);
    add_ratio("y", 5); /* in this table alone */
    add_ratio("y", 6);
    cr_assert_eq(fold(), 0);
    agg = first;
    cr_assert_str_eq(rows_of(merged(2)), "x;3.5;21\ny;0.5;11\n");
}

Test(aggregate_spread, sums_of_floats_keep_what_an_addition_loses)
{
    use("{ group_by: name, columns: { s: sum(ratio), m: mean(ratio) } }");
    add_ratio("x", 1);
    add_ratio("x", 1e100);
    add_ratio("x", 1);
    add_ratio("x", -1e100);
    expect("x;2;0.5\n");
}

Test(aggregate_spread, sums_beyond_the_greatest_float_are_infinite)
{
    use("{ group_by: name, sort_by: name, columns: { s: sum(ratio), v: var(ratio) } }");
    add_ratio("x", 1.7e308);
    add_ratio("x", 1.7e308);
    add_ratio("y", NAN);
    add_ratio("y", 1);
    add_ratio("z", INFINITY);
    add_ratio("z", 1);
    cr_assert_eq(fold(), 0);
    const char *rows = rows_of(agg);
    cr_assert(strstr(rows, "x;inf;0\n") && strstr(rows, "y;nan;") && strstr(rows, "z;inf;"), "%s",
              rows);
}

Test(aggregate_spread, beside_other_columns_and_long_names)
{
    use("{ group_by: [city, name], sort_by: name, columns: { n: count(), v: var_pop(number), "
        "hi: max(ratio), w: var_pop(ratio), lo: min(value), m: mean(ratio) } }");
    static const char name[] = "a name that is longer than the line of a group has room for";
    for (int i = 0; i < 4; i++) {
        put_text(CITY, "c", 1);
        ratios[view.end] = i / 2.0;
        add_value(name, i);
    }
    char want[200];
    snprintf(want, sizeof want, "c;%s;4;1.25;1.5;0.3125;0;0.75\n", name);
    expect(want);
}
