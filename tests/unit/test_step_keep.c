/* The steps `keep` and `drop`; what conditions can say is in test_condition.c. */
#include "tests/unit/view_fixture.h"

#define FIELDS "- split: { into: { level: text, n: int } }\n"

Test(keep, leaves_what_the_condition_holds_for)
{
    struct chain *c = chain_new(FIELDS "- keep: { level: error }");
    chain_run(c, "error,1\nwarn,2\nerror,3");
    cr_expect_str_eq(chain_fates(c), "+-+");
    chain_free(c);
}

Test(keep, drop_is_the_opposite)
{
    struct chain *c = chain_new(FIELDS "- drop: { level: error }");
    chain_run(c, "error,1\nwarn,2\nerror,3");
    cr_expect_str_eq(chain_fates(c), "-+-");
    chain_free(c);
}

Test(keep, leaves_failed_messages_alone)
{
    struct chain *c = chain_new(FIELDS "- keep: { level: error }\n- drop: { n: 3 }");
    chain_run(c, "error,x\nwarn,2\nerror,3\nerror,4\nwarn");
    cr_expect_str_eq(chain_fates(c), "!--+!");
    chain_free(c);
}

Test(keep, takes_frames_of_none_one_and_all_messages)
{
    char text[BELT_FRAME * 8] = "";
    for (int i = 0; i < BELT_FRAME; i++)
        strcat(text, i % 2 ? "a,1\n" : "b,2\n");
    struct chain *c = chain_new(FIELDS "- keep: { level: a }");
    for (size_t messages = 0; messages <= BELT_FRAME; messages += messages % 64 ? 63 : 1) {
        chain_load(c, text, messages * 4, 0);
        chain_step(c, 0);
        cr_assert_eq(chain_step(c, 1), messages);
        for (uint32_t i = 0; i < messages; i++)
            cr_assert_eq(chain_live(c, i), i % 2);
    }
    chain_free(c);
}

Test(keep, decides_only_within_its_range)
{
    struct chain *c = chain_new("- keep: { payload: a }");
    chain_load(c, "b\nb\nb\nb\n", 8, 0);
    c->engine.view.first = 1;
    c->engine.view.end = 3;
    cr_assert_eq(chain_step(c, 0), 3);
    cr_expect_str_eq(chain_fates(c), "+--+");
    chain_free(c);
}

Test(keep, needs_a_condition)
{
    struct chain *c = chain_try("- keep: ~");
    cr_expect_lt(c->err.code, 0);
    cr_expect(strstr(c->err.text, "p.yaml:2:9: keep needs 'condition'"), "%s", c->err.text);
    chain_free(c);
}
