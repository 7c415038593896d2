#include "core/stages.h"

#include <errno.h>

#include "tests/unit/pipeline_fixture.h"

#define THREE                                                                                      \
    "name: three\n"                                                                                \
    "sources: { b: { say: a }, a: { counter: 10, concurrency: 2 } }\n"                             \
    "processors: { one: { concurrency: 2, steps: [ mark: {} ] },\n"                                \
    "              two: { concurrency: 3, steps: [ letter: {} ] } }\n"                             \
    "batchers: { y: { sink: keep_all, order: any },\n"                                             \
    "            x: { sink: 'null', order: any, concurrency: 2 } }\n"                              \
    "failed: { sink: 'null' }\n"

static struct belt_stage_info stage(struct belt_pipeline *p, uint32_t index)
{
    struct belt_error err = { 0 };
    struct belt_stage_info info = { .size = sizeof info };
    cr_assert_eq(belt_pipeline_stage(p, index, &info, &err), 0, "%s", err.text);
    return info;
}

Test(stages, are_told_in_the_order_of_the_settings)
{
    struct belt_pipeline *p = pipeline_of(THREE);
    static const struct {
        const char *name, *part;
        int role;
        uint32_t instances;
    } expected[] = { { "sources.b", "say", BELT_ROLE_SOURCE, 1 },
                     { "sources.a", "counter", BELT_ROLE_SOURCE, 2 },
                     { "processors.one", "", BELT_ROLE_PROCESSOR, 2 },
                     { "processors.two", "", BELT_ROLE_PROCESSOR, 3 },
                     { "batchers.y", "keep_all", BELT_ROLE_BATCHER, 1 },
                     { "batchers.x", "null", BELT_ROLE_BATCHER, 2 },
                     { "failed", "null", BELT_ROLE_BATCHER, 1 } };
    for (uint32_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct belt_stage_info info = stage(p, i);
        cr_assert_str_eq(info.name, expected[i].name);
        cr_assert_str_eq(info.part, expected[i].part);
        cr_assert_eq(info.role, expected[i].role);
        cr_assert_eq(info.instances, expected[i].instances, "%s: %u", info.name, info.instances);
    }
    struct belt_error err = { 0 };
    struct belt_stage_info info = { .size = sizeof info };
    cr_assert_eq(belt_pipeline_stage(p, 7, &info, &err), -ENOENT);
    belt_pipeline_free(p);
}

Test(stages, say_where_each_instance_runs)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(THREE "placement: { fuse: none }\n");
    struct belt_instance_info a = { .size = sizeof a }, b = { .size = sizeof b };
    cr_assert_eq(belt_pipeline_instance(p, 2, 0, &a, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_instance(p, 2, 1, &b, &err), 0, "%s", err.text);
    cr_assert_neq(a.lane, b.lane);
    cr_assert_geq(a.cpu, 0);
    cr_assert_eq(belt_pipeline_instance(p, 2, 2, &b, &err), -ENOENT);
    cr_assert_str_eq(err.text, "processors.one has 2 instances");
    belt_pipeline_free(p);
}

Test(stages, of_one_who_makes_the_turns_are_pinned_nowhere)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: a }\n");
    struct belt_instance_info a = { .size = sizeof a };
    cr_assert_eq(belt_pipeline_turn(p, 1, &err), 1, "%s", err.text);
    cr_assert_eq(belt_pipeline_instance(p, 0, 0, &a, &err), 0, "%s", err.text);
    cr_assert_eq(a.lane, 0);
    cr_assert_eq(a.cpu, -1);
    cr_assert_eq(stage(p, 1).role, BELT_ROLE_PROCESSOR);
    cr_assert_eq(belt_pipeline_stage(p, 2, &(struct belt_stage_info){ .size = 4 }, &err), -ENOENT);
    belt_pipeline_free(p);
}

Test(stages, of_settings_that_are_wrong_are_not_told)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { sya: a }\n");
    struct belt_stage_info info = { .size = sizeof info };
    cr_assert_lt(belt_pipeline_stage(p, 0, &info, &err), 0);
    cr_assert_not_null(strstr(err.text, "test.yaml:1:"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(stages, as_json)
{
    char *text;
    size_t size;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("name: 'a \"b\"'\nsource: { say: a }\n"
                                          "batcher: { sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_turn(p, 1, &err), 1, "%s", err.text);
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(belt_pipeline_topology(p, out, &err), 0, "%s", err.text);
    fclose(out);
    cr_assert_str_eq(
        text, "{\"name\": \"a \\\"b\\\"\", \"lanes\": 1,\n \"sources\": [\n"
              "  {\"name\": \"source\", \"part\": \"say\", \"instances\": 1, \"active\": 1, "
              "\"lanes\": [0], \"cpus\": [-1]}\n ],\n \"processors\": [\n"
              "  {\"name\": \"processor\", \"instances\": 1, \"active\": 1, "
              "\"lanes\": [0], \"cpus\": [-1]}\n ],\n \"batchers\": [\n"
              "  {\"name\": \"batcher\", \"part\": \"keep_all\", \"instances\": 1, \"active\": 1, "
              "\"lanes\": [0], \"cpus\": [-1]}\n ]\n}\n");
    free(text);
    belt_pipeline_free(p);
}
