/* Transformer: B059 to B062, B127, B132. Here it is a list of steps of the source: they see what
 * it gives, by whatever path, before those of the processors. */
#include "core/testing.h"
#include "tests/conformance/conformance.h"

static int shout(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    char *room = belt_room(view, size);
    (void)state;
    for (uint32_t at = 0; room && at < size; at++)
        room[at] = (char)(text[at] - 32);
    return room && belt_put_text(view, 0, i, room, size) ? 0 : -1;
}

static const struct belt_step shout_step = STEP("shout", shout);

/* What a descriptor brought. */
static void expect_shouted_pipe(void)
{
    int ends[2];
    char yaml[200];
    struct belt_error err = { 0 };
    cr_assert_eq(pipe(ends), 0);
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: /proc/self/fd/%d }, transform: [ shout: {} ] }\n"
             "batcher: { sink: keep_all }\n",
             ends[0]);
    struct belt_pipeline *p = pipeline_with(&shout_step.part, yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    say(ends, "a\nb\n");
    end_piped(p, ends);
    cr_assert_str_eq(rows(), "A|B|");
}

static struct belt_pipeline *shouting(void)
{
    struct belt_pipeline *p =
        pipeline_with(&shout_step.part, "source: { push: {}, transform: [ shout: {} ] }\n"
                                        "batcher: { sink: keep_all }\n");
    turn_ms(p, 1, 1);
    return p;
}

static void end_shouting(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_push_end(p, NULL, &err), 0);
    end_and_free(p);
    cr_assert_str_eq(kept.text, "[e:A|B|]");
}

/* Records that a descriptor brought. */
Test(conformance, B059_info_path, .timeout = 20)
{
    expect_shouted_pipe();
}

/* A call from outside is a message whose outcome somebody waits for: his reply. */
Test(conformance, B060_call_path)
{
    struct belt_error err = { 0 };
    struct belt_test *reply;
    struct belt_message two[] = { { "a", 1, 0, NULL, 0 }, { "b", 1, 0, NULL, 0 } };
    struct belt_pipeline *p = shouting();
    cr_assert_eq(belt_test_batch(p, NULL, two, 2, &reply, &err), 0, "%s", err.text);
    end_shouting(p);
    cr_assert_eq(belt_test_count(reply, BELT_DONE), 2);
    belt_test_free(reply);
}

/* A push, with nobody waiting. */
Test(conformance, B061_cast_path)
{
    struct belt_error err = { 0 };
    struct belt_message two[] = { { "a", 1, 0, NULL, 0 }, { "b", 1, 0, NULL, 0 } };
    struct belt_pipeline *p = shouting();
    cr_assert_eq(belt_pipeline_push(p, NULL, two, 2, 0, &err), 2, "%s", err.text);
    end_shouting(p);
}

/* A crash there costs the message at fault; neither source nor the rest of the frame. */
Test(conformance, B062_raise, .timeout = 20)
{
    no_cores();
    struct belt_pipeline *p = pipeline_with(
        &poison.part, "source: { say: 'a,segv,b', transform: [ poison: {} ] }\n"
                      "processor: { isolation: process, concurrency: 1, max_attempts: 1 }\n"
                      "batcher: { sink: keep_all }\n");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    expect_totals(p, 2, 1);
    belt_pipeline_free(p);
}

/* As B123, with the step. */
Test(conformance, B127_demand_reply_transformer)
{
    struct belt_pipeline *p =
        pipeline_with(&shout_step.part, "source: { say: 'a,b', transform: [ shout: {} ] }\n"
                                        "batcher: { sink: keep_all }\n");
    end_and_free(p);
    cr_assert_str_eq(kept.text, "[e:A|B|]");
}

/* As B059. */
Test(conformance, B132_info_reply_transformer, .timeout = 20)
{
    expect_shouted_pipe();
}
