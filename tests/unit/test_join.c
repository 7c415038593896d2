#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

/* ---- step `copy`: messages that begin with a letter of `to` go to both batchers, one
 * that begins with `A` is acknowledged at once -------------------------------------- */

struct copy_conf {
    const char *to;
    int other;
};

static const struct belt_setting copy_settings[] = {
    { "to", BELT_SET_TEXT, offsetof(struct copy_conf, to), "", "", NULL, 0, 0 },
    { 0 },
};

static int copy_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct copy_conf *c = conf;
    c->other = belt_setup_batcher(setup, NULL, "other", err);
    return c->other < 0 ? c->other : 0;
}

static int copy_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)in, (void)err;
    *(struct copy_conf **)state = conf;
    return 0;
}

static int copy_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct copy_conf *conf = *(struct copy_conf **)state;
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (size && conf->to && strchr(conf->to, text[0]))
        belt_route_also(view, i, conf->other);
    if (size && text[0] == 'A')
        belt_ack(view, i);
    return 0;
}

static const struct belt_step copy_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "copy",
              .help = "to two batchers",
              .settings = copy_settings,
              .conf_size = sizeof(struct copy_conf),
              .state_size = sizeof(struct copy_conf *),
              .prepare = copy_prepare,
              .init = copy_init,
              .scalar = "to" },
    .message = copy_message,
};

static struct belt_pipeline *copying(const char *yaml)
{
    return pipeline_with(&copy_step.part, yaml);
}

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
}

Test(join, writes_one_message_to_several_batchers, .timeout = 10)
{
    struct belt_pipeline *p = copying("source: { say: 'a,b,c' }\n"
                                      "processor: { steps: [ copy: b ] }\n"
                                      "batchers: { one: { sink: keep_all },\n"
                                      "            other: { sink: keep_all } }\n");
    ends(p);
    cr_assert_not_null(strstr(kept.text, "[e:a|b|c|]"), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "[e:b|]"), "%s", kept.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, 3);
    cr_assert_eq(t.unsettled, 0);
    belt_pipeline_free(p);
}

Test(join, settles_a_message_when_the_last_batcher_is_through, .timeout = 10)
{
    struct belt_pipeline *p = copying("source: { say: { words: 'b', repeat: 2, endless: true } }\n"
                                      "processor: { steps: [ copy: b ] }\n"
                                      "batchers: { one: { size: 1, sink: 'null' },\n"
                                      "            other: { size: 1, sink: keep_all } }\n");
    kept.hold = true;
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 10; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_gt(totals_of(p).received, 2);
    cr_assert_eq(totals_of(p).done, 0);
    kept.hold = false;
    for (uint64_t now = 10; now < 14; now++)
        belt_pipeline_turn(p, now, &err);
    cr_assert_gt(totals_of(p).done, 2);
    belt_pipeline_free(p);
}

Test(join, fails_a_message_once_when_one_batcher_fails, .timeout = 10)
{
    struct belt_pipeline *p = copying("source: { say: { words: 'a,b', repeat: 50 } }\n"
                                      "processor: { steps: [ copy: ab ] }\n"
                                      "batchers: { one: { sink: 'null' },\n"
                                      "            other: { size: 7, sink: keep_all } }\n");
    kept.refuse = -EIO;
    ends(p);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.failed, 100);
    cr_assert_eq(t.done, 0);
    cr_assert_eq(t.unsettled, 0);
    belt_pipeline_free(p);
}

Test(join, a_row_too_long_for_one_batcher_fails_its_message_only, .timeout = 10)
{
    struct belt_pipeline *p =
        copying("source: { say: 'bb,a,b' }\n"
                "processor: { steps: [ copy: b, grow: { to: 300000, only: bb } ] }\n"
                "batchers: { one: { memory: 8MiB, bytes: 1MiB, sink: keep_all },\n"
                "            other: { memory: 1MiB, bytes: 64KiB, sink: keep_all } }\n"
                "failed: { memory: 8MiB, sink: { keep_all: { format: { csv: {\n"
                "          columns: [reason] } } } } }\n");
    ends(p);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.failed, 1, "%llu", (unsigned long long)t.failed);
    cr_assert_eq(t.done, 2);
    cr_assert_eq(kept.rows, 5, "%zu", kept.rows);
    belt_pipeline_free(p);
}

Test(join, waits_for_free_joins_and_cuts_the_batches_that_hold_them, .timeout = 60)
{
    /* 32 joined messages a join, 4096 joins: the batches alone would hold more. */
    struct belt_pipeline *p =
        copying("source: { say: { words: 'b,b,b,b,b,b,b,b', repeat: 40000 } }\n"
                "processor: { steps: [ copy: b ] }\n"
                "batchers: { one: { size: 1000000, bytes: 8MiB, memory: 32MiB, timeout: 1h,\n"
                "                   sink: 'null' },\n"
                "            other: { sink: 'null' } }\n");
    struct belt_error err = { 0 };
    uint64_t now = 1;
    int rc = 0;
    while ((rc = belt_pipeline_turn(p, now++, &err)) >= 0)
        if (now % 1000 == 0)
            cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 320000);
    belt_pipeline_free(p);
}

Test(join, folds_into_an_aggregate_and_writes_rows_of_the_same_message, .timeout = 10)
{
    struct belt_pipeline *p =
        copying("source: { say: 'a,b,b' }\n"
                "processor: { steps: [ letter: {}, copy: b ] }\n"
                "batchers: { one: { sink: keep_all },\n"
                "            other: { aggregate: { group_by: letter, columns: { n: count() } },\n"
                "                     sink: { keep_all: { format: csv } } } }\n");
    ends(p);
    cr_assert_not_null(strstr(kept.text, "[e:a|b|b|]"), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "b,2|"), "%s", kept.text);
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

Test(ack, settles_a_message_before_its_batch_is_through, .timeout = 10)
{
    struct belt_pipeline *p = copying("source: { say: 'A,b' }\n"
                                      "processor: { steps: [ copy: x ] }\n"
                                      "batchers: { one: { size: 1, sink: keep_all },\n"
                                      "            other: { sink: 'null' } }\n");
    kept.hold = true;
    struct belt_error err = { 0 };
    for (uint64_t now = 1; now < 10; now++)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 1);
    cr_assert_eq(totals_of(p).unsettled, 1);
    kept.hold = false;
    ends(p);
    cr_assert_not_null(strstr(kept.text, "[s:A|]"), "%s", kept.text);
    cr_assert_eq(totals_of(p).done, 2);
    belt_pipeline_free(p);
}

Test(ack, keeps_a_later_failure_from_the_source, .timeout = 10)
{
    struct belt_pipeline *p = copying("source: { say: { words: 'A1,b,A2', repeat: 30 } }\n"
                                      "processor: { steps: [ copy: A ] }\n"
                                      "batchers: { one: { size: 5, sink: keep_all },\n"
                                      "            other: { sink: 'null' } }\n");
    kept.refuse = -EIO;
    ends(p);
    cr_assert_eq(totals_of(p).done, 60);
    cr_assert_eq(totals_of(p).failed, 30);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}
