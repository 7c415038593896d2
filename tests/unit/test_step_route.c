/* The step `route`. */
#include "tests/unit/view_fixture.h"

#define FIELDS "- split: { into: { action: text, n: int } }\n"

/* A digit for the batcher of each message, or its fate when it has none. */
static const char *ways(const char *route, const char *text)
{
    static char out[BELT_FRAME + 1];
    char steps[1000];
    snprintf(steps, sizeof steps, FIELDS "- route: %s", route);
    struct chain *c = chain_new(steps);
    chain_run(c, text);
    snprintf(out, sizeof out, "%s", chain_fates(c));
    for (uint32_t i = 0; i < c->engine.count; i++)
        if (out[i] == '+')
            out[i] = (char)('0' + (c->engine.routed ? c->engine.batcher[i] : 0));
    chain_free(c);
    return out;
}

static const char *reason(const char *route, const char *text)
{
    static char out[BELT_REASON];
    char steps[1000];
    snprintf(steps, sizeof steps, FIELDS "- route: %s", route);
    struct chain *c = chain_new(steps);
    chain_run(c, text);
    snprintf(out, sizeof out, "%s", chain_reason(c, 0));
    chain_free(c);
    return out;
}

Test(route, goes_by_the_value_of_a_field)
{
    cr_expect_str_eq(ways("{ field: action, to: { install: second, upgrade: third }, "
                          "else: first }",
                          "install,1\nupgrade,2\nremove,3\nupgrade,4"),
                     "1202");
}

Test(route, compares_numbers_as_numbers)
{
    cr_expect_str_eq(ways("{ field: n, to: { 7: third }, else: first }", "a,07\nb,8"), "20");
}

Test(route, takes_the_first_condition_that_holds)
{
    cr_expect_str_eq(ways("{ when: [ { if: { n: { from: 10 } }, to: third }, "
                          "{ if: { action: a }, to: second } ], else: first }",
                          "a,10\na,9\nb,9"),
                     "210");
}

Test(route, may_drop_or_fail_instead)
{
    cr_expect_str_eq(ways("{ field: action, to: { a: drop, b: fail, c: second }, else: drop }",
                          "a,1\nb,1\nc,1\nd,1"),
                     "-!1-");
}

Test(route, fails_what_has_no_way_unless_told)
{
    cr_expect_str_eq(ways("{ field: action, to: { a: second } }", "a,1\nb,2"), "1!");
}

Test(route, leaves_failed_messages_alone)
{
    cr_expect_str_eq(ways("{ field: action, to: { a: second }, else: drop }", "a,x\na,1"), "!1");
}

Test(route, says_why_it_failed_a_message)
{
    cr_expect_str_eq(reason("{ field: action, to: { a: second } }", "b,2"),
                     "action: no batcher for 'b'");
    cr_expect_str_eq(reason("{ field: n, to: { 1: second } }", "b,-2"), "n: no batcher for '-2'");
    cr_expect_str_eq(reason("{ when: [ { if: { n: 1 }, to: first } ] }", "b,2"),
                     "route: no condition holds");
    cr_expect_str_eq(reason("{ when: [ { if: { n: 1 }, to: fail } ], else: first }", "b,1"),
                     "route: condition 1 says fail");
}

Test(route_conf, refuses_batchers_that_do_not_exist)
{
    refused(FIELDS "- route: { field: action, to: { a: secnd } }",
            "p.yaml:3:36: no batcher 'secnd'; did you mean 'second'?");
    refused(FIELDS "- route: { field: action, to: { a: first }, else: others }",
            "p.yaml:3:51: no batcher 'others' in this pipeline");
    refused(FIELDS "- route: { field: action, to: { a: [] } }",
            "p.yaml:3:36: a route ends in the name of a batcher, drop or fail");
    refused(FIELDS "- route: { field: action, to: { a: [first, drop] } }",
            "p.yaml:3:44: drop and fail are not among several targets");
    refused(FIELDS "- route: { field: action, to: { a: [first, secnd] } }",
            "p.yaml:3:44: no batcher 'secnd'; did you mean 'second'?");
}

Test(route_conf, refuses_fields_and_values_that_do_not_fit)
{
    refused(FIELDS "- route: { field: actoin, to: { a: first } }",
            "p.yaml:3:19: no field 'actoin' here; did you mean 'action'?");
    refused(FIELDS "- route: { field: n, to: { many: first } }",
            "p.yaml:3:34: n: 'many' is not an int");
}

Test(route_conf, refuses_to_mix_its_two_forms)
{
    static const char words[] = "p.yaml:2:10: route takes either field and to, or when";
    refused("- route: { field: payload }", words);
    refused("- route: { to: { a: first } }", words);
    refused("- route: { else: first }", words);
    refused("- route: { field: payload, when: [ { if: { payload: a }, to: first } ] }", words);
}

Test(route_conf, refuses_shapes_that_mean_nothing)
{
    refused("- route: { field: payload, to: [first] }",
            "p.yaml:2:32: to takes a map: { value: batcher }");
    refused("- route: { when: { if: { payload: a }, to: first } }",
            "p.yaml:2:18: when takes a list: [ { if: { field: value }, to: batcher } ]");
    refused("- route: { when: [ { if: { payload: a }, two: first } ] }",
            "p.yaml:2:20: when holds pairs: { if: { field: value }, to: batcher }");
    refused("- route: { when: [ first ] }",
            "p.yaml:2:20: when holds pairs: { if: { field: value }, to: batcher }");
}
