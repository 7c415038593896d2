/* Introspection and stop: B098 to B103. */
#include "core/stages.h"
#include "tests/conformance/conformance.h"

/* "NAME PART x INSTANCES; " of all stages, in the order in which they are told. */
static void expect_stages(const char *yaml, const char *want)
{
    char got[600] = "";
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_stage_info at = { .size = sizeof at };
    for (uint32_t i = 0; belt_pipeline_stage(p, i, &at, &err) == 0; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s %s x %u; ", at.name, at.part,
                 at.instances);
    cr_assert_str_eq(got, want, "%s: %s", got, err.text);
    belt_pipeline_free(p);
}

/* Names as in the settings, with their parts; processors have none. */
Test(conformance, B098_topology_default)
{
    expect_stages("source: { say: a }\nprocessor: { concurrency: 2 }\n"
                  "batcher: { sink: keep_all }\n",
                  "source say x 1; processor  x 2; batcher keep_all x 1; ");
}

Test(conformance, B099_topology_no_batchers)
{
    expect_stages("source: { say: a }\nprocessor: { concurrency: 1 }\n",
                  "source say x 1; processor  x 1; ");
}

Test(conformance, B100_topology_several_batchers)
{
    expect_stages("source: { say: a }\nprocessor: { concurrency: 1 }\n"
                  "batchers: { two: { sink: keep_all }, one: { sink: keep_all, order: any,\n"
                  "                                           concurrency: 3 } }\n",
                  "source say x 1; processor  x 1; batchers.two keep_all x 1; "
                  "batchers.one keep_all x 3; ");
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
