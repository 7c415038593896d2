#include "core/control.h"
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>
#include <unistd.h>

/* ---- step `spy`: remembers which instance saw what, as "name/index:text " ---------- */

struct spy_conf {
    const char *as;
    int column;
};

struct spy_state {
    const struct spy_conf *conf;
    uint32_t index, count;
};

static struct {
    char text[1 << 18];
    size_t used;
} seen;

static const struct belt_setting spy_settings[] = {
    { "as", BELT_SET_TEXT, offsetof(struct spy_conf, as), NULL, "", NULL, 0, 0 },
    { 0 },
};

static int spy_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)err;
    *(struct spy_state *)state = (struct spy_state){ conf, in->index, in->count };
    return 0;
}

static int spy_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct spy_state *s = state;
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (seen.used + size + 40 < sizeof seen.text)
        seen.used += (size_t)sprintf(seen.text + seen.used, "%s/%u:%.*s ", s->conf->as, s->index,
                                     (int)size, text);
    return 0;
}

static const struct belt_step spy_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "spy",
              .help = "remembers",
              .settings = spy_settings,
              .conf_size = sizeof(struct spy_conf),
              .state_size = sizeof(struct spy_state),
              .init = spy_init,
              .scalar = "as" },
    .message = spy_message,
};

static struct belt_pipeline *linked(const char *yaml)
{
    memset(&seen, 0, sizeof seen);
    return pipeline_with(&spy_step.part, yaml);
}

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done + t.failed, t.received);
}

static int count_of(const char *in, const char *what)
{
    int n = 0;
    for (const char *at = in; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void refused(const char *yaml, const char *because)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = linked(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, because), "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- processors that are one chain ------------------------------------------------- */

Test(processors, in_a_row_are_one_chain, .timeout = 10)
{
    struct belt_pipeline *p = linked("source: { say: 'a,bad,b' }\n"
                                     "processors:\n"
                                     "  first: { steps: [ mark: {} ] }\n"
                                     "  second: { steps: [ letter: {}, spy: s ] }\n"
                                     "batcher: { key: letter, sink: keep_all }\n");
    char *plan;
    size_t size;
    FILE *out = open_memstream(&plan, &size);
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_print_plan(p, out, &err), 0, "%s", err.text);
    fclose(out);
    cr_assert_not_null(strstr(plan, "processors.first+second.0"), "%s", plan);
    free(plan);
    ends(p);
    cr_assert_str_eq(kept.text, "a[e:a|]b[e:b|]");
    cr_assert_str_eq(seen.text, "s/0:a s/0:b ");
    belt_pipeline_free(p);
}

Test(processors, are_named_in_errors, .timeout = 10)
{
    refused("source: { say: a }\nprocessors: { one: {}, two: { steps: [ grow: { too: 1 } ] } }\n",
            "processors.two.steps.0 grow");
    refused("source: { say: a }\nprocessors: { one: { timeout: 1s } }\n",
            "'timeout' of processors.one holds for workers only");
}

Test(processors, are_refused_when_they_make_no_sense, .timeout = 10)
{
    refused("source: { say: a }\nprocessors: { one: {}, two: { from: onne } }\n",
            "test.yaml:2:37: processors.two: no processor 'onne' before; did you mean 'one'?");
    refused("source: { say: a }\nprocessors: { one: { from: two }, two: {} }\n",
            "no processor 'two' before it");
    refused("source: { say: a }\nprocessors: { one: {}, two: { dispatch: partition } }\n",
            "dispatch: partition wants a field");
    refused("source: { say: a }\nprocessors: { one: {}, two: { dispatch: demand, "
            "partition_by: payload } }\n",
            "partition_by wants dispatch: partition");
    refused("source: { say: a }\nprocessors: { one: {}, two: { partition_by: lettr } }\n",
            "no field 'lettr' here");
    refused("source: { say: a }\nprocessors: { One: {} }\n", "'One' is no name of a processor");
    refused("source: { say: a }\nprocessor: {}\nprocessors: { a: {} }\n", "give one of them");
    refused("source: { say: a }\n"
            "processors: { one: { concurrency: 2 }, two: { dispatch: demand } }\n"
            "batcher: { order: input, sink: 'null' }\n",
            "order: input cannot be kept behind processors that exchange");
}

/* ---- exchanges ----------------------------------------------------------------------- */

Test(link, on_demand_every_message_goes_to_one_instance, .timeout = 10)
{
    struct belt_pipeline *p = linked("source: { say: { words: 'a,b,c', repeat: 3000 } }\n"
                                     "processors: { one: { concurrency: 1 },\n"
                                     "              two: { concurrency: 3, steps: [ spy: t ] } }\n"
                                     "batcher: { sink: keep_all }\n");
    ends(p);
    cr_assert_eq(kept.rows, 9000);
    for (int i = 0; i < 3; i++) {
        char who[16];
        sprintf(who, "t/%d:", i);
        cr_assert_gt(count_of(seen.text, who), 10, "%s", who);
    }
    belt_pipeline_free(p);
}

Test(link, a_partition_stays_with_one_instance_and_in_order, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'a1,b1,c1,a2,b2,c2,d1,a3', repeat: 20 } }\n"
               "processors: { one: { concurrency: 1, steps: [ letter: {} ] },\n"
               "              two: { concurrency: 3, partition_by: letter,\n"
               "                     steps: [ spy: t ] } }\n"
               "batcher: { key: letter, size: 3, sink: keep_all }\n");
    ends(p);
    for (char c = 'a'; c <= 'd'; c++) {
        int instances = 0, last = 0;
        for (int i = 0; i < 3; i++) {
            char who[16];
            sprintf(who, "t/%d:%c", i, c);
            instances += count_of(seen.text, who) > 0;
        }
        cr_assert_eq(instances, 1, "%c", c);
        char what[4] = { ':', c };
        int most = c == 'a' ? 3 : c == 'd' ? 1 : 2;
        for (const char *at = seen.text; (at = strstr(at, what)); at += 3) {
            cr_assert_eq(at[2] - '0', last % most + 1);
            last = at[2] - '0';
        }
    }
    cr_assert_eq(count_of(kept.text, "a[s:a1|a2|a3|]"), 20, "%s", kept.text);
    belt_pipeline_free(p);
}

Test(link, the_field_of_the_pipeline_partitions_where_it_is_known, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("partition_by: letter\n"
               "source: { say: { words: 'a1,b1,a2', repeat: 5 } }\n"
               "processors: { one: { concurrency: 2, steps: [ letter: {} ] },\n"
               "              two: { steps: [ spy: t ] }, three: { steps: [ spy: u ] } }\n");
    char *plan;
    size_t size;
    FILE *out = open_memstream(&plan, &size);
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_print_plan(p, out, &err), 0, "%s", err.text);
    fclose(out);
    cr_assert_not_null(strstr(plan, "processors.two+three.1"), "%s", plan);
    free(plan);
    ends(p);
    cr_assert_eq(count_of(seen.text, "t/0:a") * count_of(seen.text, "t/1:a"), 0);
    cr_assert_eq(count_of(seen.text, "u/"), 15);
    belt_pipeline_free(p);
}

Test(link, partitions_the_first_processor_behind_one_that_takes_in, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'x,y,z,x', repeat: 10 } }\n"
               "processor: { concurrency: 2, partition_by: payload, steps: [ spy: t ] }\n"
               "batcher: { sink: keep_all }\n");
    ends(p);
    cr_assert_eq(count_of(seen.text, "t/0:x") * count_of(seen.text, "t/1:x"), 0);
    cr_assert_eq(kept.rows, 40);
    belt_pipeline_free(p);
}

static void expect_one_instance_each(const char *yaml)
{
    struct belt_pipeline *p = linked(yaml);
    ends(p);
    cr_assert_eq(count_of(seen.text, "t/0:a") * count_of(seen.text, "t/1:a"), 0, "%s", seen.text);
    cr_assert_eq(count_of(seen.text, "t/"), 40);
    cr_assert_eq(kept.rows, 40);
    belt_pipeline_free(p);
}

Test(link, the_field_of_the_pipeline_partitions_the_first_processor_too, .timeout = 10)
{
    expect_one_instance_each("partition_by: payload\n"
                             "source: { say: { words: 'a,b,c,d', repeat: 10 } }\n"
                             "processor: { concurrency: 2, steps: [ spy: t ] }\n"
                             "batcher: { sink: keep_all }\n");
    expect_one_instance_each("partition_by: letter\n"
                             "source: { say: { words: 'a1,b1,a2,b2', repeat: 10 },\n"
                             "          transform: [ letter: {} ] }\n"
                             "processor: { concurrency: 2, steps: [ spy: t ] }\n"
                             "batcher: { sink: keep_all }\n");
}

Test(link, a_single_processor_needs_no_exchange_for_the_field_of_the_pipeline, .timeout = 10)
{
    struct belt_pipeline *p = linked("partition_by: payload\nsource: { say: 'b,a,b' }\n"
                                     "processor: { concurrency: 1, steps: [ spy: t ] }\n"
                                     "batcher: { sink: keep_all }\n"
                                     "failed: { attempts: 2 }\n");
    ends(p);
    cr_assert_str_eq(kept.text, "[e:b|a|b|]");
    belt_pipeline_free(p);
}

Test(link, a_field_of_the_pipeline_that_nobody_has_is_refused, .timeout = 10)
{
    refused("partition_by: lettr\nsource: { say: a }\nprocessor: { steps: [ letter: {} ] }\n",
            "test.yaml:1:15: partition_by: no field 'lettr' anywhere; did you mean 'letter'?");
}

Test(link, broadcast_shows_every_message_to_every_instance_and_settles_it_once, .timeout = 10)
{
    struct belt_pipeline *p = linked("source: { say: { words: 'a,b', repeat: 40 } }\n"
                                     "processors: { one: { concurrency: 2 },\n"
                                     "              two: { concurrency: 3, dispatch: broadcast,\n"
                                     "                     steps: [ spy: t ] } }\n"
                                     "batcher: { sink: keep_all }\n");
    ends(p);
    for (int i = 0; i < 3; i++) {
        char who[16];
        sprintf(who, "t/%d:", i);
        cr_assert_eq(count_of(seen.text, who), 80);
    }
    cr_assert_eq(kept.rows, 240);
    cr_assert_eq(totals_of(p).done, 80);
    belt_pipeline_free(p);
}

Test(link, processors_from_the_same_one_each_get_every_message, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'a,bad,b', repeat: 7 } }\n"
               "processors: { one: {}, left: { steps: [ letter: {}, spy: l ] },\n"
               "              right: { from: one, steps: [ mark: {}, letter: {}, spy: r ] } }\n"
               "batcher: { key: letter, sink: keep_all }\n");
    ends(p);
    cr_assert_eq(count_of(seen.text, "l/0:"), 21);
    cr_assert_eq(count_of(seen.text, "r/0:"), 14);
    cr_assert_eq(kept.rows, 35);
    cr_assert_eq(totals_of(p).failed, 7);
    cr_assert_eq(totals_of(p).done, 14);
    belt_pipeline_free(p);
}

Test(link, fields_of_one_branch_are_unknown_in_the_other, .timeout = 10)
{
    refused("source: { say: a }\n"
            "processors: { one: {}, left: { steps: [ letter: {} ] }, right: { from: one } }\n"
            "batcher: { key: letter, sink: 'null' }\n",
            "no field 'letter' here");
}

Test(link, fields_and_failures_keep_their_places, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: 'x;1,y;2,bad;3,x;4' }\n"
               "processors:\n"
               "  one: { concurrency: 1,\n"
               "         steps: [ split: { delimiter: ';', into: { name: text, n: int } } ] }\n"
               "  two: { concurrency: 2, partition_by: n, steps: [ mark: {} ] }\n"
               "batcher: { aggregate: { group_by: name, columns: { s: sum(n) }, sort_by: name },\n"
               "           sink: { keep_all: { format: csv } } }\n"
               "failed: { sink: { keep_all: { format: { csv: { columns: [place, payload] } } } "
               "} }\n");
    ends(p);
    cr_assert_not_null(strstr(kept.text, "x,5|y,2|"), "%s", kept.text);
    cr_assert_not_null(strstr(kept.text, "8,bad;3|"), "%s", kept.text);
    belt_pipeline_free(p);
}

Test(link, routes_given_before_a_link_hold_behind_it, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'a,b,a', repeat: 3 } }\n"
               "processors:\n"
               "  one: { concurrency: 1, steps: [ letter: {}, route: { field: letter,\n"
               "         to: { a: first, b: other } } ] }\n"
               "  two: { concurrency: 2, steps: [ spy: t ] }\n"
               "batchers: { other: { sink: keep_all }, first: { sink: 'null' } }\n");
    ends(p);
    cr_assert_eq(count_of(kept.text, "b|"), 3, "%s", kept.text);
    cr_assert_eq(count_of(kept.text, "a|"), 0);
    belt_pipeline_free(p);
}

static int twice_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    const char *text = belt_text(view, 0, i, &size);
    for (uint64_t n = belt_emitted(view, i); n < 2; n++) {
        int rc = belt_emit(view, i, text, size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const struct belt_step twice_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "twice", .help = "emits two" },
    .message = twice_message,
    .emits = true,
};

static void expect_flushed(const char *processors, const char *kept_text)
{
    char yaml[400];
    struct belt_error err = { 0 };
    snprintf(yaml, sizeof yaml,
             "source: { push: {} }\nprocessors: { %s }\n"
             "batcher: { timeout: 1h, order: any, sink: keep_all }\n",
             processors);
    struct belt_pipeline *p = linked(yaml);
    cr_assert_eq(belt_pipeline_add(p, &twice_step.part, &err), 0, "%s", err.text);
    const struct belt_message all[] = { { "b", 1, 0, NULL, 0 },
                                        { "b", 1, 0, NULL, BELT_MESSAGE_FLUSH } };
    for (uint64_t now = 1; now < 20; now++) {
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
        if (now == 1)
            cr_assert_eq(belt_pipeline_push(p, NULL, all, 2, 0, &err), 2, "%s", err.text);
    }
    cr_assert_str_eq(kept.text, kept_text);
    belt_pipeline_free(p);
}

Test(link, a_flush_is_not_forgotten_on_the_way, .timeout = 10)
{
    expect_flushed("one: { concurrency: 1 }, two: { concurrency: 2, partition_by: payload }",
                   "[f:b|b|]");
    expect_flushed("one: { steps: [ twice: {} ] }, two: { steps: [ spy: t ] }", "[f:b|b|b|b|]");
}

Test(link, order_of_the_input_lasts_from_counterpart_to_counterpart, .timeout = 10)
{
    struct belt_pipeline *p = linked("source: { say: { words: 'a,b,c,d', repeat: 50 } }\n"
                                     "processors: { one: { concurrency: 2 },\n"
                                     "              two: { blocking: true, steps: [ spy: t ] } }\n"
                                     "batcher: { size: 1000, sink: keep_all }\n");
    ends(p);
    const char *at = kept.text + 3;
    for (int i = 0; i < 200; i++, at += 2)
        cr_assert_eq(*at, 'a' + i % 4, "%d: %s", i, kept.text);
    cr_assert_gt(count_of(seen.text, "t/1:"), 0);
    belt_pipeline_free(p);
}

Test(link, a_message_too_long_for_it_fails_alone, .timeout = 10)
{
    struct belt_pipeline *p =
        linked("source: { say: 'a,bb,c' }\n"
               "processors: { one: { concurrency: 1, steps: [ grow: { to: 500000, only: bb } ] },\n"
               "              two: { concurrency: 2 } }\n"
               "batcher: { memory: 16MiB, sink: keep_all }\n");
    ends(p);
    cr_assert_eq(totals_of(p).failed, 1);
    struct belt_failure failure;
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_not_null(strstr(failure.reason, "500000 bytes"), "%s", failure.reason);
    belt_pipeline_free(p);
}

Test(link, long_messages_fill_frames_by_their_bytes, .timeout = 20)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'a,b,c,d', repeat: 200 } }\n"
               "processors: { one: { concurrency: 1, steps: [ grow: 50000 ] },\n"
               "              two: { concurrency: 2, partition_by: payload,\n"
               "                     steps: [ grow: 60000 ] } }\n"
               "batcher: { memory: 16MiB, sink: 'null' }\n");
    ends(p);
    cr_assert_eq(totals_of(p).done, 800);
    cr_assert_eq(totals_of(p).bytes_out, 800 * 60001);
    belt_pipeline_free(p);
}

Test(link, a_slow_reader_stops_its_writer_and_nothing_is_lost, .timeout = 20)
{
    struct belt_pipeline *p =
        linked("source: { say: { words: 'a,b,c,d', endless: true } }\n"
               "processors: { one: { concurrency: 2, steps: [ letter: {} ] },\n"
               "              two: { concurrency: 2, partition_by: letter } }\n"
               "batcher: { size: 4, sink: keep_all }\n");
    kept.hold = true;
    struct belt_error err = { 0 };
    int rc = 1;
    uint64_t now = 1;
    for (int i = 0; i < 200000 && rc > 0; i++) {
        rc = belt_pipeline_turn(p, now++, &err);
        if (i % 500 == 0)
            cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
    cr_assert_eq(rc, 0);
    cr_assert_gt(totals_of(p).unsettled, 1000);
    kept.hold = false;
    belt_pipeline_stop(p, BELT_FOREVER);
    ends(p);
    belt_pipeline_free(p);
}

/* ---- in threads, and in workers ----------------------------------------------------- */

static void runs(const char *yaml, uint64_t done)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = linked(yaml);
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, done, "%llu", (unsigned long long)totals_of(p).done);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(link, works_between_lanes, .timeout = 30)
{
    runs("source: { say: { words: 'a,b,c,d,e,f,g,h', repeat: 20000 } }\n"
         "placement: { fuse: none }\n"
         "processors: { one: { concurrency: 2, steps: [ letter: {} ] },\n"
         "              two: { concurrency: 2, partition_by: letter },\n"
         "              three: { concurrency: 3, dispatch: broadcast } }\n"
         "batcher: { concurrency: 2, key: letter, sink: 'null' }\n",
         160000);
}

Test(link, works_into_workers_and_out_of_them, .timeout = 30)
{
    runs("source: { say: { words: 'a,b,c,d,e,f,g,h', repeat: 2000 } }\n"
         "processors: { one: { concurrency: 2, steps: [ letter: {} ] },\n"
         "              two: { isolation: process, steps: [ mark: {} ] },\n"
         "              three: { concurrency: 2, isolation: process, partition_by: letter,\n"
         "                       steps: [ grow: 3 ] },\n"
         "              four: { concurrency: 1 } }\n"
         "batcher: { key: letter, sink: 'null' }\n",
         16000);
}
