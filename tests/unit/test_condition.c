/* The condition grammar, through the step `keep`. */
#include "tests/unit/view_fixture.h"

#define FIELDS "- split: { into: { level: text, status: int, price: decimal(2), load: float } }\n"

static const char rows[] = "error,500,1.25,0.5\n"
                           "warn,404,-0.01,2.0\n"
                           "error,599,100.00,1e3\n"
                           "information,600,0.00,-1.5\n"
                           "informatics,200,1.26,0.25\n"
                           ",-1,9.99,0\n";

/* Which of the rows a condition leaves, as letters + and -. */
static const char *kept(const char *condition)
{
    static char fates[BELT_FRAME + 1];
    char steps[2000];
    snprintf(steps, sizeof steps, FIELDS "- keep: %s", condition);
    struct chain *c = chain_new(steps);
    chain_run(c, rows);
    snprintf(fates, sizeof fates, "%s", chain_fates(c));
    chain_free(c);
    return fates;
}

static void refuses(const char *condition, const char *words)
{
    char steps[12000], all[2000];
    snprintf(steps, sizeof steps, FIELDS "- keep: %s", condition);
    snprintf(all, sizeof all, "p.yaml:%s", words);
    refused(steps, all);
}

Test(condition, compares_texts_whole)
{
    cr_expect_str_eq(kept("{ level: error }"), "+-+---");
    cr_expect_str_eq(kept("{ level: information }"), "---+--");
    cr_expect_str_eq(kept("{ level: erro }"), "------");
    cr_expect_str_eq(kept("{ level: '' }"), "-----+");
}

Test(condition, compares_numbers_by_value)
{
    cr_expect_str_eq(kept("{ status: 500 }"), "+-----");
    cr_expect_str_eq(kept("{ status: '+0500' }"), "+-----");
    cr_expect_str_eq(kept("{ price: 1.25 }"), "+-----");
    cr_expect_str_eq(kept("{ price: 100 }"), "--+---");
    cr_expect_str_eq(kept("{ price: -0.0 }"), "---+--");
    cr_expect_str_eq(kept("{ load: 1000 }"), "--+---");
}

Test(condition, several_fields_must_all_hold)
{
    cr_expect_str_eq(kept("{ level: error, status: 599 }"), "--+---");
}

Test(condition, a_list_means_any_of_its_values)
{
    cr_expect_str_eq(kept("{ level: [warn, information, nothing] }"), "-+-+--");
    cr_expect_str_eq(kept("{ status: [404, 200] }"), "-+--+-");
}

Test(condition, ranges_include_from_and_to_but_not_above_and_below)
{
    cr_expect_str_eq(kept("{ status: { from: 500, below: 600 } }"), "+-+---");
    cr_expect_str_eq(kept("{ status: { above: 500, to: 600 } }"), "--++--");
    cr_expect_str_eq(kept("{ price: { above: 1.25 } }"), "--+-++");
    cr_expect_str_eq(kept("{ price: { below: 0 } }"), "-+----");
    cr_expect_str_eq(kept("{ load: { above: 0.25, to: 2 } }"), "++----");
    cr_expect_str_eq(kept("{ load: { from: 0.25, below: 2 } }"), "+---+-");
}

Test(condition, ranges_of_texts_go_by_their_bytes)
{
    cr_expect_str_eq(kept("{ level: { from: error, below: informatics } }"), "+-+---");
    cr_expect_str_eq(kept("{ level: { above: error, to: informatics } }"), "----+-");
    cr_expect_str_eq(kept("{ level: { to: err } }"), "-----+");
    cr_expect_str_eq(kept("{ level: { from: warn } }"), "-+----");
}

Test(condition, looks_into_texts)
{
    cr_expect_str_eq(kept("{ level: { starts_with: informati } }"), "---++-");
    cr_expect_str_eq(kept("{ level: { ends_with: r } }"), "+-+---");
    cr_expect_str_eq(kept("{ level: { contains: format } }"), "---++-");
    cr_expect_str_eq(kept("{ level: { starts_with: inf, ends_with: cs } }"), "----+-");
    cr_expect_str_eq(kept("{ level: { contains: '' } }"), "++++++");
    cr_expect_str_eq(kept("{ payload: { contains: ',-' } }"), "-+-+-+");
}

Test(condition, looks_for_several_texts_at_once)
{
    cr_expect_str_eq(kept("{ level: { contains: [format, rn] } }"), "-+-++-");
    cr_expect_str_eq(kept("{ level: { starts_with: [warn, inf] } }"), "-+-++-");
    cr_expect_str_eq(kept("{ level: { ends_with: [or, ics] } }"), "+-+-+-");
    cr_expect_str_eq(kept("{ level: { is: [warn, error] } }"), "+++---");
    cr_expect_str_eq(kept("{ level: { contains: [nothing, ''] } }"), "++++++");
}

Test(condition, case_can_be_ignored)
{
    cr_expect_str_eq(kept("{ level: { is: ERROR, ignore_case: true } }"), "+-+---");
    cr_expect_str_eq(kept("{ level: { is: ERRO, ignore_case: true } }"), "------");
    cr_expect_str_eq(kept("{ level: { starts_with: Inf, ignore_case: true } }"), "---++-");
    cr_expect_str_eq(kept("{ level: { ends_with: [R, CS], ignore_case: true } }"), "+-+-+-");
    cr_expect_str_eq(kept("{ level: { contains: [FORM, 'W.R'], ignore_case: true } }"), "---++-");
    cr_expect_str_eq(kept("{ payload: { contains: ',0.5', ignore_case: true } }"), "+-----");
}

Test(condition, empty_texts_are_told_from_others)
{
    cr_expect_str_eq(kept("{ level: { empty: true } }"), "-----+");
    cr_expect_str_eq(kept("{ level: { empty: false } }"), "+++++-");
}

/* status int, price decimal(2), load float: of the same kind, digits do not matter. */
Test(condition, compares_two_fields)
{
    cr_expect_str_eq(kept("{ price: { above: { field: status } } }"), "-----+");
    cr_expect_str_eq(kept("{ status: { from: { field: price } } }"), "+++++-");
    cr_expect_str_eq(kept("{ status: { is: { field: status } } }"), "++++++");
    cr_expect_str_eq(kept("{ price: { below: { field: price } } }"), "------");
    cr_expect_str_eq(kept("{ load: { to: { field: load } } }"), "++++++");
    cr_expect_str_eq(kept("{ level: { above: { field: payload } } }"), "------");
    cr_expect_str_eq(kept("{ level: { below: { field: payload } } }"), "++++++");
}

Test(condition, groups_nest)
{
    cr_expect_str_eq(kept("{ any: [{ level: warn }, { status: 200 }] }"), "-+--+-");
    cr_expect_str_eq(kept("{ all: [{ level: error }, { status: 500 }] }"), "+-----");
    cr_expect_str_eq(kept("{ not: { level: error } }"), "-+-+++");
    cr_expect_str_eq(kept("{ not: { level: error, status: 500 } }"), "-+++++");
    cr_expect_str_eq(kept("{ status: { from: 300 }, any: [{ not: { level: [error, warn] } }, "
                          "{ all: [{ price: { above: 50 } }, { not: { load: 7 } }] }] }"),
                     "--++--");
}

/* Full words of the frame take other ways than single messages: both must agree. */
Test(condition, full_frames_and_sparse_ones_agree)
{
    static const char *const conditions[] = { "{ a: abcdefgh }",
                                              "{ a: abcdefghi }",
                                              "{ a: abc }",
                                              "{ a: '' }",
                                              "{ n: { from: 3 } }",
                                              "{ n: 5 }",
                                              "{ not: { a: [abc, abcdefgh], n: { below: 7 } } }",
                                              "{ a: { contains: gh } }" };
    static const char *const names[] = { "abcdefgh", "abcdefghi", "abcdefghj", "abc", "", "abd" };
    char text[20000] = "", steps[300];
    for (int i = 0; i < BELT_FRAME; i++)
        sprintf(text + strlen(text), "%s,%d\n", names[i * 7 % 6], i % 10);
    for (size_t k = 0; k < sizeof conditions / sizeof *conditions; k++) {
        snprintf(steps, sizeof steps, "- split: { into: { a: text, n: int } }\n- keep: %s",
                 conditions[k]);
        struct chain *full = chain_new(steps), *sparse = chain_new(steps);
        chain_run(full, text);
        chain_load(sparse, text, strlen(text), 3);
        chain_step(sparse, 0);
        for (uint32_t i = 0; i < BELT_FRAME; i += 5)
            belt_drop(&sparse->engine.view, i);
        chain_step(sparse, 1);
        for (uint32_t i = 0; i < BELT_FRAME; i++)
            cr_assert(i % 5 == 0 || chain_live(full, i) == chain_live(sparse, i), "%s",
                      conditions[k]);
        cr_assert(memchr(chain_fates(full), '+', BELT_FRAME), "%s", conditions[k]);
        chain_free(full);
        chain_free(sparse);
    }
}

Test(condition_conf, refuses_values_of_the_wrong_type)
{
    refuses("{ status: high }", "3:19: status: 'high' is not an int");
    refuses("{ status: [1, high] }", "3:23: status: 'high' is not an int");
    refuses("{ status: 1.5 }", "3:19: status: '1.5' is not an int");
    refuses("{ price: 1.255 }", "3:18: price: 1.255 has more than 2 decimal digits");
    refuses("{ load: fast }", "3:17: load: 'fast' is not a float");
    refuses("{ status: { from: x } }", "3:27: status: 'x' is not an int");
    refuses("{ status: 99999999999999999999 }",
            "3:19: status: 99999999999999999999 is out of range for int");
}

Test(condition_conf, refuses_fields_and_operators_it_does_not_know)
{
    refuses("{ levle: error }", "3:18: no field 'levle' here; did you mean 'level'?");
    refuses("{ status: { form: 5 } }",
            "3:21: unknown setting 'form' of a condition; did you mean 'from'?");
    refuses("{ level: { start_with: x } }",
            "3:20: unknown setting 'start_with' of a condition; did you mean 'starts_with'?");
    refuses("{ status: { equals: 5 } }",
            "3:21: unknown setting 'equals' of a condition; known are ignore_case, utf, limit, "
            "time, is, from, above, to, below, starts_with, ends_with, contains, matches, since, "
            "until, last, empty");
}

Test(condition_conf, refuses_text_operators_for_numbers)
{
    refuses("{ price: { contains: 5 } }", "3:30: contains is for texts; 'price' is decimal(2)");
}

Test(condition_conf, refuses_fields_that_cannot_be_compared)
{
    refuses("{ price: { above: { field: level } } }",
            "3:36: price is decimal(2), level is text: not to be compared");
    refuses("{ price: { above: { field: load } } }",
            "3:36: price is decimal(2), load is float: not to be compared");
    refuses("{ price: { above: { feld: load } } }",
            "3:27: above takes a value, or { field: NAME }");
    refuses("{ price: { above: { field: lod } } }",
            "3:36: no field 'lod' here; did you mean 'load'?");
}

Test(condition_conf, refuses_options_that_no_test_takes)
{
    refuses("{ level: { contains: a, limit: 5 } }",
            "3:40: 'limit' means nothing to the tests beside it");
    refuses("{ level: { ignore_case: true } }",
            "3:33: 'ignore_case' means nothing to the tests beside it");
    refuses("{ level: { matches: a, limit: 0 } }",
            "3:39: 'limit' of a condition must be 1 to 4294967295, not 0");
    refuses("{ level: { matches: a, utf: maybe } }",
            "3:37: 'utf' of a condition must be one of off, fail, keep, not 'maybe'");
    refuses("{ level: { empty: perhaps } }", "3:27: empty is true or false");
}

Test(condition_conf, refuses_shapes_that_mean_nothing)
{
    refuses("{}", "3:9: a condition is a map: { field: value }");
    refuses("error", "3:9: a condition is a map: { field: value }");
    refuses("{ level: [] }", "3:18: level: the list of values is empty");
    refuses("{ level: [[a]] }", "3:19: level: a list holds values");
    refuses("{ status: {} }", "3:19: status: no test is given: { from: 1, below: 2 }");
    refuses("{ status: { from: [1] } }", "3:27: from takes one value");
    refuses("{ any: { level: error } }",
            "3:16: any takes a list of conditions: any: [ { field: value }, ... ]");
    refuses("{ all: [] }", "3:16: all takes a list of conditions: all: [ { field: value }, ... ]");
    refuses("{ not: [{ level: error }] }", "3:16: a condition is a map: { field: value }");
    refuses("{ any: [error] }", "3:17: a condition is a map: { field: value }");
}

Test(condition_conf, refuses_ranges_without_a_number)
{
    refuses("{ status: { from: 600, below: 500 } }", "3:19: status: no number is in this range");
    refuses("{ load: { above: 1, below: 1 } }", "3:17: load: no number is in this range");
    refuses("{ status: { above: 9223372036854775807 } }",
            "3:28: status: no number is beyond 9223372036854775807");
}

static void nested(char *out, int depth)
{
    *out = 0;
    for (int i = 0; i < depth; i++)
        strcat(out, "{ not: ");
    strcat(out, "{ level: error }");
    for (int i = 0; i < depth; i++)
        strcat(out, " }");
}

Test(condition_conf, nests_sixteen_deep_and_no_deeper)
{
    char condition[500];
    nested(condition, 16);
    cr_expect_str_eq(kept(condition), "+-+---");
    nested(condition, 17);
    refuses(condition, "3:128: conditions nest at most 16 deep");
}

Test(condition_conf, holds_a_thousand_tests_and_not_many_more)
{
    char list[9000] = "{ status: [0";
    for (int i = 1; i < 1100; i++)
        sprintf(list + strlen(list), ",%d", i);
    strcat(list, "] }");
    char steps[10000];
    snprintf(steps, sizeof steps, FIELDS "- keep: %s", list);
    struct chain *c = chain_try(steps);
    cr_assert_lt(c->err.code, 0);
    cr_assert(strstr(c->err.text, "a condition has at most 1024 tests"), "%s", c->err.text);
    chain_free(c);
}
