/* Introspection and stop: B098 to B103. */
#include "core/stages.h"
#include "tests/conformance/conformance.h"

static void expect_plan(const char *yaml, const char *const names[], const char *absent)
{
    char *plan;
    size_t size;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    FILE *out = open_memstream(&plan, &size);
    cr_assert_eq(belt_pipeline_print_plan(p, out, &err), 0, "%s", err.text);
    fclose(out);
    for (size_t i = 0; names[i]; i++)
        cr_assert_not_null(strstr(plan, names[i]), "no %s in\n%s", names[i], plan);
    cr_assert_null(strstr(plan, absent), "%s in\n%s", absent, plan);
    free(plan);
    belt_pipeline_free(p);
}

/* The plan: every instance of every stage, where it runs, as text. */
Test(conformance, B098_topology_default)
{
    expect_plan("source: { say: a }\nprocessor: { concurrency: 2 }\n"
                "batchers: { one: { sink: keep_all } }\n",
                (const char *const[]){ "source.0 (say)", "processor.0", "processor.1",
                                       "batchers.one.0", NULL },
                "processor.2");
}

Test(conformance, B099_topology_no_batchers)
{
    expect_plan("source: { say: a }\n", (const char *const[]){ "source.0", "processor.0", NULL },
                "batcher");
}

Test(conformance, B100_topology_several_batchers)
{
    expect_plan("source: { say: a }\nprocessor: { concurrency: 1 }\n"
                "batchers: { one: { sink: keep_all }, two: { sink: keep_all } }\n",
                (const char *const[]){ "batchers.one.0", "batchers.two.0", NULL }, "one.1");
}

/* A pipeline is its pointer. */
Test(conformance, B102_stop_by_pid, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: a, endless: true } }\n");
    start(p);
    wait_for_done(p, 1);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert(totals_of(p).ended);
    expect_totals(p, totals_of(p).received, 0);
    belt_pipeline_free(p);
}

/* Those of the process, by the setting `name`. */
Test(conformance, B101_all_running, .timeout = 20)
{
    struct belt_error err = { 0 };
    char names[2][BELT_NAME];
    struct belt_pipeline *a =
        pipeline_of("name: a\nsource: { say: { words: a, endless: true } }\n");
    struct belt_pipeline *b =
        pipeline_of("name: b\nsource: { say: { words: b, endless: true } }\n");
    cr_assert_eq(belt_pipelines_running(names, 2), 0);
    start(a);
    start(b);
    cr_assert_eq(belt_pipelines_running(names, 2), 2);
    cr_assert_str_eq(names[0], "a");
    cr_assert_str_eq(names[1], "b");
    belt_pipeline_stop(a, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(a, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipelines_running(names, 2), 1);
    cr_assert_str_eq(names[0], "b");
    belt_pipeline_free(a);
    belt_pipeline_free(b);
}

/* The setting `name`. */
Test(conformance, B103_stop_by_name, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *found, *p = pipeline_of("name: orders\n"
                                                  "source: { say: { words: a, endless: true } }\n");
    start(p);
    cr_assert_eq(belt_pipeline_find(&found, "orders", &err), 0, "%s", err.text);
    belt_pipeline_stop(found, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(found, BELT_FOREVER, &err), 0, "%s", err.text);
    expect_totals(p, totals_of(p).received, 0);
    cr_assert_eq(belt_pipeline_find(&found, "orders", &err), -ENOENT);
    belt_pipeline_free(p);
}
