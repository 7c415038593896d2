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
