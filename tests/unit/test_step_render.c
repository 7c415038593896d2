/* The step `render`. */
#include "tests/unit/view_fixture.h"

#define FIELDS "- split: { into: { name: text, n: int, price: decimal(1), load: float } }\n"

/* The text that a template makes of the only message. */
static const char *rendered(const char *template, const char *line)
{
    static char out[ROOM];
    char steps[1000];
    snprintf(steps, sizeof steps, FIELDS "- render: { template: '%s' }", template);
    struct chain *c = chain_new(steps);
    chain_run(c, line);
    snprintf(out, sizeof out, "%s", chain_text(c, "payload", 0));
    chain_free(c);
    return out;
}

Test(render, puts_fields_into_the_payload)
{
    cr_expect_str_eq(rendered("{name} is {price}", "Oslo,1,-0.5,2.5"), "Oslo is -0.5");
    cr_expect_str_eq(rendered("{n}/{load}/{n}", "Oslo,-7,0,2.5"), "-7/2.5/-7");
    cr_expect_str_eq(rendered("[{payload}]", "a,1,2,3"), "[a,1,2,3]");
    cr_expect_str_eq(rendered("", "a,1,2,3"), "");
}

Test(render, never_writes_a_negative_zero)
{
    cr_expect_str_eq(rendered("{price} {load} {n}", "a,-0,-0.0,-0.0"), "0.0 0 0");
}

Test(render, doubled_braces_are_braces)
{
    cr_expect_str_eq(rendered("{{{name}}}", "x,1,2,3"), "{x}");
    cr_expect_str_eq(rendered("{{}}", "x,1,2,3"), "{}");
    cr_expect_str_eq(rendered("a{{b}}c", "x,1,2,3"), "a{b}c");
}

Test(render, quotes_texts_as_asked)
{
    cr_expect_str_eq(rendered("{name:json} {n:json}", "a\\b\"c\td\x01 \xc3\xa4\xff,1,2,3"),
                     "\"a\\\\b\\\"c\\td\\u0001 \xc3\xa4\\ufffd\" 1");
    cr_expect_str_eq(rendered("{name:csv},{n:csv},{payload:csv}", "a\"b,1,2,3"),
                     "\"a\"\"b\",1,\"a\"\"b,1,2,3\"");
    cr_expect_str_eq(rendered("{name:csv}", "plain,1,2,3"), "plain");
    cr_expect_str_eq(rendered("?q={name:url}&n={n:url}", "a b/\xc3\xa4~,-1,2,3"),
                     "?q=a%20b%2F%C3%A4~&n=-1");
    cr_expect_str_eq(rendered("{name:json}{name:csv}{name:url}", ",1,2,3"), "\"\"");
}

Test(render, trims_and_changes_case)
{
    cr_expect_str_eq(rendered("<{name:trim}>", " \t a b \r ,1,2,3"), "<a b>");
    cr_expect_str_eq(rendered("<{name:trim}>", "  ,1,2,3"), "<>");
    cr_expect_str_eq(rendered("{name:upper}{name:lower}", "aB\xc3\xa4z,1,2,3"), "AB\xc3\xa4Z"
                                                                                "ab\xc3\xa4z");
    cr_expect_str_eq(rendered("{name:trim:upper:json}", " \"a\" ,1,2,3"), "\"\\\"A\\\"\"");
    cr_expect_str_eq(rendered("{name:upper:json}", "\x1f"
                                                   "a,1,2,3"),
                     "\"\\u001fA\"");
}

Test(render, says_something_else_for_empty_texts)
{
    cr_expect_str_eq(rendered("{name:json|null} {name|-}{name|}", ",1,2,3"), "null -");
    cr_expect_str_eq(rendered("{name:trim|none}", "  ,1,2,3"), "none");
    cr_expect_str_eq(rendered("{name|none}{n|none}", "x,1,2,3"), "x1");
}

Test(render, widens)
{
    cr_expect_str_eq(rendered("[{name:>5}|{name:<5}|{n:05}|{n:>0}]", "abc,-7,2,3"),
                     "[  abc|abc  |-0007|-7]");
    cr_expect_str_eq(rendered("[{name:>2}{name|-}{name:>3|-}]", "abc,1,2,3"), "[abcabcabc]");
    cr_expect_str_eq(rendered("[{name:>3|-}]", ",1,2,3"), "[  -]");
}

Test(render, rounds_numbers_half_away_from_zero)
{
    cr_expect_str_eq(rendered("{price:.0} {price:.1} {price:.3} {n:.2}", "a,5,2.5,3"),
                     "3 2.5 2.500 5.00");
    cr_expect_str_eq(rendered("{price:.0} {price:.0}", "a,5,-2.5,3"), "-3 -3");
    cr_expect_str_eq(rendered("{price:.0}", "a,5,-0.4,3"), "0");
    cr_expect_str_eq(rendered("{price:.0}", "a,5,922337203685477580.7,3"), "922337203685477581");
    cr_expect_str_eq(rendered("{load:.2} {load:.0} {load:.18}", "a,5,1,0.125"),
                     "0.12 0 0.125000000000000000");
    cr_expect_str_eq(rendered("{load:.2}", "a,5,1,-0.001"), "0.00");
    cr_expect_str_eq(rendered("{load:.2}", "a,5,1,1e300"), "1e+300");
    cr_expect_str_eq(rendered("{load:.3}", "a,5,1,-999999999999999"), "-999999999999999.000");
    cr_expect_str_eq(rendered("{load:.2:08}", "a,5,1,-2"), "-0002.00");
}

Test(render_conf, refuses_ways_that_are_none)
{
#define REFUSES(template, words)                                                                   \
    refused(FIELDS "- render: '" template "'", "p.yaml:3:11: template: " words)
    REFUSES("{name:jsn}", "no way 'jsn' to write a field; did you mean 'json'?");
    REFUSES("{name:}", "no way '' to write a field; there are: trim, lower, upper, json, csv, url, "
                       "a width (<8, >8, 08; up to 1000), places (.2; up to 18)");
    REFUSES("{name:>1001}", "no way '>1001' to write a field; there are: trim, lower, upper, json, "
                            "csv, url, a width (<8, >8, 08; up to 1000), places (.2; up to 18)");
    REFUSES("{name:.2}", ".2 is for numbers; 'name' is a text");
    refused(FIELDS "- render: '{nam:json}'",
            "p.yaml:3:11: no field 'nam' here; did you mean 'name'?");
#undef REFUSES
}

Test(render, a_scalar_is_the_template)
{
    struct chain *c = chain_new("- render: '<{payload}>'");
    chain_run(c, "x");
    cr_expect_str_eq(chain_text(c, "payload", 0), "<x>");
    chain_free(c);
}

Test(render, makes_a_new_field_and_leaves_the_payload)
{
    struct chain *c = chain_new(FIELDS "- render: { template: '{name}!', into: shout }\n"
                                       "- render: { template: '{shout}{shout}', into: twice }");
    chain_run(c, "a,1,2,3\nb,1,2,3");
    cr_expect_str_eq(chain_text(c, "twice", 1), "b!b!");
    cr_expect_str_eq(chain_text(c, "payload", 1), "b,1,2,3");
    chain_free(c);
}

Test(render, leaves_dropped_and_failed_messages_alone)
{
    struct chain *c = chain_new(FIELDS "- drop: { name: b }\n- render: '{name}'");
    chain_run(c, "a,1,2,3\nb,1,2,3\nc\nd,1,2,3");
    cr_expect_str_eq(chain_fates(c), "+-!+");
    cr_expect_str_eq(chain_text(c, "payload", 0), "a");
    cr_expect_str_eq(chain_text(c, "payload", 3), "d");
    chain_free(c);
}

Test(render, stops_where_room_ends_and_goes_on_from_there)
{
    struct chain *c = chain_new("- render: { template: '{payload}{payload}', into: twice }");
    char text[BELT_FRAME * 12] = "", expected[40];
    for (int i = 0; i < BELT_FRAME; i++)
        sprintf(text + strlen(text), "%010d\n", i);
    chain_load(c, text, strlen(text), 0);
    uint32_t from = 0, calls = 0;
    for (uint32_t next; from < BELT_FRAME; from = next, calls++) {
        belt_engine_fresh_room(&c->engine, from);
        c->engine.view.first = from;
        next = chain_step(c, 0);
        cr_assert_gt(next, from);
        for (uint32_t i = from; i < next; i++) {
            snprintf(expected, sizeof expected, "%010u%010u", i, i);
            cr_assert_str_eq(chain_text(c, "twice", i), expected);
        }
    }
    cr_expect_geq(calls, BELT_FRAME * 20 / ROOM);
    cr_expect_null(memchr(chain_fates(c), '!', BELT_FRAME));
    chain_free(c);
}

Test(render, fails_a_text_that_can_never_fit)
{
    struct chain *c = chain_new("- render: { template: '{payload}{payload}', into: twice }");
    char text[ROOM];
    memset(text, 'x', sizeof text - 1);
    strcpy(text + sizeof text - 3, "\ny");
    chain_run(c, text);
    cr_expect_str_eq(chain_fates(c), "!+");
    cr_expect_str_eq(chain_reason(c, 0), "render: a text of 16378 bytes, 8192 fit");
    cr_expect_str_eq(chain_text(c, "twice", 1), "yy");
    chain_free(c);
}

Test(render_conf, refuses_braces_without_a_partner)
{
    refused("- render: 'a {payload'", "p.yaml:2:11: template: a { without its }; a brace itself "
                                      "is written {{");
    refused("- render: 'a } b'", "p.yaml:2:11: template: a } without its {; a brace itself is "
                                 "written }}");
    refused("- render: 'a {pay{load}'", "p.yaml:2:11: template: a { without its }; a brace "
                                        "itself is written {{");
}

Test(render_conf, refuses_fields_that_do_not_exist)
{
    refused("- render: { template: '{paylaod}' }",
            "p.yaml:2:23: no field 'paylaod' here; did you mean 'payload'?");
    refused("- render: '{}'", "p.yaml:2:11: template: {} names no field");
}

Test(render_conf, refuses_a_field_that_is_there_already)
{
    refused(FIELDS "- render: { template: x, into: name }",
            "p.yaml:3:32: there is a field 'name' already");
}
