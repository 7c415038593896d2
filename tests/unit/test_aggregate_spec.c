/* The `aggregate:` block: what comes out of it, and the words for what is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/spec_priv.h"

static struct belt_error err;
static struct belt_tree *tree;
static struct belt_agg_spec *spec;

static int read_spec(const char *yaml)
{
    static struct belt_column_info infos[6] = {
        { "payload", BELT_TEXT, 0 }, { "name", BELT_TEXT, 0 },   { "value", BELT_DECIMAL, 1 },
        { "number", BELT_INT, 0 },   { "ratio", BELT_FLOAT, 0 }, { "city", BELT_TEXT, 0 },
    };
    static int used = 6;
    struct belt_setup setup = { .columns = infos, .columns_used = &used, .path = "batcher" };
    belt_tree_free(tree);
    tree = belt_tree_new();
    cr_assert_eq(belt_tree_load_text(tree, yaml, "test.yaml", &err), 0, "%s", err.text);
    return belt_agg_spec_new(&spec, belt_tree_root(tree), &setup, &err);
}

static void fini(void)
{
    belt_agg_spec_free(spec);
    belt_tree_free(tree);
}

TestSuite(aggregate_spec, .fini = fini);

Test(aggregate_spec, columns_are_group_by_then_columns_with_the_types_of_their_inputs)
{
    static const struct belt_column_info want[] = {
        { "name", BELT_TEXT, 0 }, { "number", BELT_INT, 0 }, { "low", BELT_DECIMAL, 1 },
        { "m", BELT_DECIMAL, 1 }, { "mi", BELT_FLOAT, 0 },   { "s", BELT_FLOAT, 0 },
        { "n", BELT_INT, 0 },     { "d", BELT_FLOAT, 0 },
    };
    cr_assert_eq(read_spec("{ group_by: [name, number], columns: { low: min(value), "
                           "m: mean( value ), mi: ' mean (number) ', s: sum(ratio), n: count(), "
                           "d: stddev(value) } }"),
                 0, "%s", err.text);
    const struct belt_column_info *infos;
    cr_assert_eq(belt_agg_outputs(spec, &infos), 8);
    for (int i = 0; i < 8; i++) {
        cr_assert_str_eq(infos[i].name, want[i].name);
        cr_assert_eq(infos[i].type, want[i].type, "%s", want[i].name);
        cr_assert_eq(infos[i].digits, want[i].digits, "%s", want[i].name);
    }
    cr_assert_eq(belt_agg_every(spec), 0);
}

Test(aggregate_spec, reads_the_time_between_emissions)
{
    cr_assert_eq(read_spec("{ group_by: name, emit: { every: 10s } }"), 0, "%s", err.text);
    cr_assert_eq(belt_agg_every(spec), UINT64_C(10000000000));
}

Test(aggregate_spec, refuses_what_it_cannot_mean_and_says_where)
{
    static const char *const cases[][2] = {
        { "{ group_bye: name }", "did you mean 'group_by'" },
        { "{ group_by: nam }", "test.yaml:1:13: no field 'nam' here; did you mean 'name'?" },
        { "{ group_by: [name, name] }", "1:20: there is a field 'name' already" },
        { "{ group_by: { a: b } }", "group_by is a name or a list of names" },
        { "{ columns: { x: maxi(value) } }", "1:17: aggregate: no function 'maxi'; did you mean" },
        { "{ columns: { x: variance(value) } }", "there are min, max, mean, sum, var, stddev" },
        { "{ columns: { x: max(valu) } }", "no field 'valu' here; did you mean 'value'?" },
        { "{ columns: { x: max(name) } }", "'name' is text" },
        { "{ columns: { x: stdev(value) } }", "did you mean 'stddev'?" },
        { "{ columns: { x: var(name) } }", "'name' is text; numbers have a var" },
        { "{ columns: { x: max() } }", "max() needs a field" },
        { "{ columns: { x: count(name) } }", "count() takes no field" },
        { "{ columns: { x: max value } }", "written as FUNCTION(FIELD)" },
        { "{ columns: { x: max(value) y } }", "written as FUNCTION(FIELD)" },
        { "{ columns: { X: max(value) } }", "'X' is no name of a field" },
        { "{ columns: [x] }", "columns is a map" },
        { "{ group_by: name, columns: { name: count() } }", "a field 'name' already" },
        { "{ group_by: name, sort_by: nam }", "no column 'nam' comes out; did you mean 'name'?" },
        { "{ group_by: name, sort_by: value }", "no column 'value' comes out of group_by and" },
        { "{ group_by: name, emit: never }", "emit is 'at_end', 'early'" },
        { "{ group_by: name, emit: { early: often } }", "early is true or false" },
        { "{ group_by: name, memory: lots }", "1:27: aggregate: memory: " },
        { "{ group_by: name, memory: 1KiB }", "memory: 1 MiB at least" },
        { "{ group_by: name, memory: [1] }", "memory is a size" },
        { "{ group_by: name, spill: /tmp }", "spill is a folder and a limit" },
        { "{ group_by: name, spill: { path: /tmp } }", "spill needs a folder and a limit" },
        { "{ group_by: name, spill: { path: '', size: 1GiB } }", "spill needs a folder" },
        { "{ group_by: name, spill: { path: ., size: 1KiB } }", "spill.size: 1 MiB at least" },
        { "{ group_by: name, spill: { dir: ., size: 1GiB } }", "spill" },
        { "{ group_by: name, emit: early, spill: { path: ., size: 1GiB } }", "not both" },
        { "{ columns: { e: emission(value) } }", "emission() takes no field" },
        { "{ group_by: name, emit: { every: 10 } }", "test.yaml:1:34: aggregate: every: " },
        { "{ group_by: name, emit: { every: 0s } }", "more than 0" },
        { "{ group_by: name, emit: { ever: 1s } }", "did you mean 'every'" },
        { "{ group_by: name, max_keys: 0 }", "1:29: aggregate: max_keys: 1 to " },
        { "{ emit: at_end }", "neither group_by nor columns" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(read_spec(cases[i][0]), -EINVAL, "%s", cases[i][0]);
        cr_assert_eq(err.config, 1);
        cr_assert(strstr(err.text, cases[i][1]), "%s\n%s", cases[i][0], err.text);
    }
}
