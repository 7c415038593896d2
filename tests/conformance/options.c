/* Module and options: B001 to B019. */
#include "tests/conformance/conformance.h"

#define ONE_WORD "source: { say: a }\n"

/* A text by which the report and the plan call it. */
Test(conformance, B003_bad_name)
{
    expect_refused(NULL, "name: [ a, b ]\n" ONE_WORD, "test.yaml:1:7: 'name' of pipeline");
    expect_refused(NULL, "name: ''\n" ONE_WORD, "test.yaml:1:7: 'name' of pipeline");
    expect_refused(
        NULL,
        "name: a_name_that_no_buffer_of_BELT_NAME_bytes_would_hold_with_its_end_mark\n" ONE_WORD,
        "'name' of pipeline must have 1 to 63 bytes, not 69");
}

Test(conformance, B004_bad_nested_key)
{
    const char *yaml = ONE_WORD "batchers: { one: { sink: keep_all, colour: red } }\n";
    expect_refused(NULL, yaml,
                   "test.yaml:2:36: unknown setting 'colour' of batchers.one; known are key, ");
}

Test(conformance, B006_splitter_shape)
{
    expect_refused(NULL, ONE_WORD "batcher: { sink: keep_all, size: 0 }\n",
                   "test.yaml:2:34: 'size' of batcher");
    expect_refused(NULL, ONE_WORD "batcher: { sink: keep_all, size: many }\n",
                   "test.yaml:2:34: 'size' of batcher");
}

/* ---- how many ------------------------------------------------------------------------- */

static struct belt_pipeline *planned(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(belt_pipeline_validate(p, &err), 0, "%s", err.text);
    return p;
}

static uint32_t lanes_of_this_machine(struct belt_pipeline *p)
{
    return belt_place_concurrency(&(struct belt_place_in){ .topology = p->plan->topology });
}

/* The default is one per core, not one: a source that can only be one says so itself. */
Test(conformance, B008_producer_default)
{
    struct belt_pipeline *p = planned(ONE_WORD "batcher: { sink: keep_all }\n");
    cr_assert_eq(p->plan->sources, 1, "`say` can be one only");
    belt_pipeline_free(p);
    p = planned("source: { counter: { count: 10 } }\n");
    cr_assert_eq(p->plan->sources, lanes_of_this_machine(p));
    belt_pipeline_free(p);
}

Test(conformance, B009_producer_count)
{
    struct belt_pipeline *p = planned("source: { counter: { count: 10 }, concurrency: 3 }\n");
    cr_assert_eq(p->plan->sources, 3);
    belt_pipeline_free(p);
}

/* One per core, not two: a lane does not wait, so that a second one has nothing to fill. */
Test(conformance, B010_processor_default)
{
    struct belt_pipeline *p = planned("source: { counter: { count: 10 } }\n");
    cr_assert_eq(p->plan->processors, lanes_of_this_machine(p));
    belt_pipeline_free(p);
}

Test(conformance, B011_processor_count)
{
    struct belt_pipeline *p = planned(ONE_WORD "processor: { concurrency: 5 }\n");
    cr_assert_eq(p->plan->processors, 5);
    belt_pipeline_free(p);
}

/* Batcher and batch processor are one stage here: instances of the batcher. */
Test(conformance, B012_batch_processor_default)
{
    struct belt_pipeline *p = planned(ONE_WORD "batcher: { sink: keep_all }\n");
    cr_assert_eq(p->spec->batchers[0].instances, 1);
    belt_pipeline_free(p);
}

Test(conformance, B013_batch_processor_count)
{
    struct belt_pipeline *p = planned(ONE_WORD "processor: { steps: [ letter: {} ] }\n"
                                               "batchers: { one: { sink: keep_all },\n"
                                               "  three: { key: letter, sink: keep_all, "
                                               "concurrency: 3 } }\n");
    cr_assert_eq(p->spec->batchers[0].instances, 1);
    cr_assert_eq(p->spec->batchers[1].instances, 3);
    belt_pipeline_free(p);
}

/* ---- before the start ----------------------------------------------------------------- */

/* What was called, in order: a letter each. */
static char calls[64];

static void called(char what)
{
    size_t used = strlen(calls);
    cr_assert_lt(used + 1, sizeof calls);
    calls[used] = what;
}

struct life_conf {
    int64_t size;
    int fails; /* in prepare, when 1; instances allowed, when above */
};

static const struct belt_setting life_settings[] = {
    { "size", BELT_SET_INT, offsetof(struct life_conf, size), "1", "", NULL, 0, 100 },
    { 0 },
};

static int life_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct life_conf *c = conf;
    called('p');
    c->size *= 2; /* rewritten: what the rest of its life sees */
    if (c->size > 100)
        return belt_node_error(err, belt_setup_node(setup), "size: at most 50 here");
    belt_setup_limit(setup, 2);
    return 0;
}

static int life_open(void *conf, struct belt_error *err)
{
    (void)err;
    called('o');
    cr_assert_eq(((struct life_conf *)conf)->size, 6);
    return 0;
}

static int life_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)state, (void)conf, (void)err;
    called((char)('0' + in->index));
    cr_assert_eq(in->count, 2);
    cr_assert_str_eq(in->stage, "source");
    return 0;
}

static int life_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    (void)state, (void)out, (void)err;
    called('f');
    return BELT_FILL_END;
}

static void life_close(void *conf)
{
    (void)conf;
    called('c');
}

static const struct belt_source life = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "life",
              .help = "notes its calls",
              .settings = life_settings,
              .conf_size = sizeof(struct life_conf),
              .prepare = life_prepare,
              .open = life_open,
              .init = life_init,
              .close = life_close },
    .fill = life_fill,
};

static void *seen_context;

static int see_context(void *state, struct belt_view *view, uint32_t i)
{
    (void)state, (void)i;
    seen_context = belt_context(view);
    return 0;
}

static const struct belt_step sees_context = STEP("sees_context", see_context);

/* NULL; what is not given of a part's settings, which are a context as well, is as its table
 * says. */
Test(conformance, B014_context_default)
{
    seen_context = &seen_context;
    struct belt_pipeline *p = pipeline_with(
        &sees_context.part, "source: { say: a }\nprocessor: { steps: [ sees_context: {} ] }\n");
    expect_end(p);
    cr_assert_null(seen_context);
    const struct say_conf *conf = p->spec->sources[0].use.conf;
    cr_assert_eq(conf->repeat, 1);
    cr_assert_eq(conf->endless, false);
    belt_pipeline_free(p);
}

/* prepare() may rewrite its settings; what it needs beside it, open() starts: before any init. */
Test(conformance, B015_prepare_for_start)
{
    memset(calls, 0, sizeof calls);
    struct belt_pipeline *p =
        pipeline_with(&life.part, "source: { life: { size: 3 }, concurrency: 2 }\n");
    end_and_free(p);
    cr_assert_str_eq(calls, "po01ffc");
}

/* A refusal instead of a malformed value: its text, at its place in the file. */
Test(conformance, B016_prepare_for_start_return)
{
    expect_refused(&life.part, "source: { life: { size: 51 } }\n",
                   "test.yaml:1:17: size: at most 50 here");
}

/* What prepare() says is checked against what was asked for. */
Test(conformance, B017_prepare_for_start_revalidation)
{
    expect_refused(&life.part, "source: { life: { size: 3 }, concurrency: 3 }\n",
                   "source concurrency: at most 2 here");
}

/* Each instance is told its number, their count and its stage; settings come by the part's
 * own table. */
Test(conformance, B018_injected_config)
{
    memset(calls, 0, sizeof calls);
    struct belt_pipeline *p =
        pipeline_with(&life.part, "source: { life: { size: 3 }, concurrency: 2 }\n");
    end_and_free(p);
    cr_assert_not_null(strstr(calls, "01"), "%s", calls);
}
