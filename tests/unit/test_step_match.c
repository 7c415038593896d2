/* The step `match`. */
#include "core/run_priv.h"
#include "tests/unit/view_fixture.h"

#define PATTERN "'^(?<who>\\w+) (?<n>-?\\d+)(?: (?<price>[\\d.]+))?$'"

Test(step_match, puts_named_groups_into_typed_fields)
{
    struct chain *c =
        chain_new("- match: { pattern: " PATTERN ", into: { n: int, price: decimal(2) } }");
    chain_run(c, "anna 5 1.25\nbert -7 3\n");
    cr_expect_str_eq(chain_fates(c), "++");
    cr_expect_str_eq(chain_text(c, "who", 0), "anna");
    cr_expect_eq(chain_number(c, "n", 0), 5);
    cr_expect_eq(chain_number(c, "price", 0), 125);
    cr_expect_str_eq(chain_text(c, "who", 1), "bert");
    cr_expect_eq(chain_number(c, "n", 1), -7);
    cr_expect_eq(chain_number(c, "price", 1), 300);
    chain_free(c);
}

Test(step_match, groups_without_a_type_are_texts_and_may_be_empty)
{
    struct chain *c = chain_new("- match: " PATTERN);
    chain_run(c, "anna 5\nbert 6 7\n");
    cr_expect_str_eq(chain_text(c, "price", 0), "");
    cr_expect_str_eq(chain_text(c, "price", 1), "7");
    cr_expect_str_eq(chain_text(c, "n", 0), "5");
    chain_free(c);
}

Test(step_match, skipped_groups_take_no_field)
{
    struct chain *c =
        chain_new("- match: { pattern: " PATTERN ", into: { n: skip, price: skip } }");
    cr_expect_eq(c->spec->columns_used, 2);
    chain_free(c);
}

Test(step_match, what_is_not_found_fails_leaves_or_stays)
{
    static const char *const fates[] = { "fail", "+!+", "drop", "+-+", "keep", "+++" };
    for (int i = 0; i < 6; i += 2) {
        char steps[300];
        snprintf(steps, sizeof steps,
                 "- match: { pattern: '(?<a>x+)(?<n>\\d)', into: { n: int }, "
                 "else: %s }",
                 fates[i]);
        struct chain *c = chain_new(steps);
        chain_run(c, "xx1\nnone\n...x2\n");
        cr_expect_str_eq(chain_fates(c), fates[i + 1], "%s", fates[i]);
        cr_expect_str_eq(chain_text(c, "a", 1), "");
        cr_expect_eq(chain_number(c, "n", 1), 0);
        cr_expect_eq(chain_number(c, "n", 2), 2);
        if (i == 0)
            cr_expect_str_eq(chain_reason(c, 1),
                             "payload: the pattern at p.yaml:2:21 finds nothing");
        chain_free(c);
    }
}

Test(step_match, numbers_that_are_none_fail_with_the_field)
{
    struct chain *c = chain_new("- match: { pattern: '^(?<n>\\S*)', into: { n: int } }");
    chain_run(c, "12\n99999999999999999999\nabc\n\n1.5\n");
    cr_expect_str_eq(chain_fates(c), "+!!!!");
    cr_expect_str_eq(chain_reason(c, 1), "n: 99999999999999999999 is out of range for int");
    cr_expect_str_eq(chain_reason(c, 2), "n: 'abc' is not an int");
    cr_expect_str_eq(chain_reason(c, 3), "n: '' is not an int");
    cr_expect_str_eq(chain_reason(c, 4), "n: '1.5' is not an int");
    chain_free(c);
}

Test(step_match, options_are_those_of_conditions)
{
    struct chain *c = chain_new("- match: { pattern: '^(?<a>\\w+)$', utf: fail, ignore_case: true, "
                                "limit: 1000 }");
    chain_run(c, "\xc3\xa4\n\xff\n");
    cr_expect_str_eq(chain_fates(c), "+!");
    cr_expect_str_eq(chain_reason(c, 1),
                     "payload: no UTF-8 at its byte 0, for the pattern at p.yaml:2:21");
    chain_free(c);
    char text[64];
    memset(text, 'a', 63);
    text[62] = '!';
    c = chain_new("- match: { pattern: '^(?<x>(a+)+)$', limit: 1000 }");
    chain_load(c, text, 63, 0);
    chain_step(c, 0);
    cr_expect_str_eq(chain_reason(c, 0),
                     "payload: the pattern at p.yaml:2:21 gave up after 1000 steps back");
    chain_free(c);
}

Test(step_match, nul_bytes_pass)
{
    struct chain *c = chain_new("- match: '^(?<a>.)(?<b>.*)'");
    chain_load(c, "x\0y", 3, 0);
    chain_step(c, 0);
    uint32_t size;
    const char *b = belt_text(&c->engine.view, chain_column(c, "b"), 0, &size);
    cr_expect_eq(size, 2);
    cr_expect_eq(memcmp(b, "\0y", 2), 0);
    chain_free(c);
}

/* A text made by a step lies in room that runs out in the middle of a frame. */
Test(step_match, finds_its_way_in_texts_that_were_made)
{
    struct chain *c = chain_new("- render: { template: 'v={payload};', into: made }\n"
                                "- match: { from: made, pattern: 'v=(?<v>[^;]*);' }\n"
                                "- render: { template: '{v}{v}{v}', into: more }");
    char text[40000] = "";
    for (int i = 0; i < 600; i++)
        sprintf(text + strlen(text), "value-%d\n", i);
    memset(c->memory, 0x7f, 64);
    for (int k = 0; k < c->spec->columns_used; k++)
        memset(c->engine.storage[k], 0x55, BELT_FRAME * 8);
    chain_load(c, text, strlen(text), 0);
    struct belt_chain chain = { .steps = c->steps, .steps_used = c->count };
    struct belt_segment part = { 0, 600, 0, false }, rest[BELT_STEPS + 1];
    int left = 0, turns = 0;
    uint32_t done = 0;
    rest[left++] = part;
    while (left && turns++ < 1000) {
        part = rest[--left];
        belt_engine_fresh_room(&c->engine, part.first);
        part = belt_segment_run(chain, c->states, &c->engine, part, true, rest, &left);
        for (uint32_t i = part.first; i < part.end; i++) {
            char want[100];
            snprintf(want, sizeof want, "value-%uvalue-%uvalue-%u", i, i, i);
            cr_assert_str_eq(chain_text(c, "more", i), want);
            done++;
        }
    }
    cr_expect_eq(done, 600);
    cr_expect_gt(turns, 3);
    chain_free(c);
}

Test(step_match_conf, refuses_what_it_cannot_do)
{
    refused("- match: 'a(b'",
            "p.yaml:2:10: bad pattern at its byte 3: missing closing parenthesis");
    refused("- match: '(a)'",
            "p.yaml:2:10: the pattern has no named group: (?<name>...); to choose "
            "messages use keep: { payload: { matches: ... } }");
    refused("- match: { pattern: '(?<who>.)', into: { whoo: int } }",
            "p.yaml:2:48: the pattern has no group 'whoo'; did you mean 'who'?");
    refused("- match: { pattern: '(?<who>.)', into: { else: int } }",
            "p.yaml:2:48: the pattern has no group 'else': (?<else>...)");
    refused("- match: { pattern: '(?<who>.)', into: { who: number } }",
            "p.yaml:2:47: field who: no type 'number'; there are: text, int, decimal(DIGITS), "
            "float, skip");
    refused("- match: { pattern: '(?<who>.)', into: who }",
            "p.yaml:2:40: into names groups: { name: type, ... }");
    refused("- match: { pattern: '(?J)(?<a>b)|(?<a>c)' }",
            "p.yaml:2:21: the pattern has several groups 'a'");
    refused("- match: { pattern: '(?<Who>.)' }",
            "p.yaml:2:21: 'Who' is no name of a field: use a-z, 0-9 and _, a letter first");
    refused("- match: { pattern: '(?<payload>.)' }",
            "p.yaml:2:21: there is a field 'payload' already");
    refused("- split: { into: { n: int } }\n- match: { pattern: '(?<a>.)', from: n }",
            "p.yaml:3:38: only a text can be searched; 'n' is int");
}
