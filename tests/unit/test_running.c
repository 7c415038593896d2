#include <errno.h>

#include "core/stages.h"
#include "tests/unit/pipeline_fixture.h"

static char names[4][BELT_NAME];

static struct belt_pipeline *started(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    return p;
}

#define ENDLESS "source: { counter: { count: 2000000000 } }\n"

Test(running, names_those_that_run_the_one_started_first_first, .timeout = 20)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipelines_running(names, 4), 0);
    struct belt_pipeline *b = started("name: b\n" ENDLESS);
    struct belt_pipeline *a = started("name: a\n" ENDLESS);
    cr_assert_eq(belt_pipelines_running(names, 4), 2);
    cr_assert_str_eq(names[0], "b");
    cr_assert_str_eq(names[1], "a");
    belt_pipeline_stop(b, 0);
    cr_assert_eq(belt_pipeline_wait(b, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipelines_running(names, 4), 1);
    cr_assert_str_eq(names[0], "a");
    belt_pipeline_free(a);
    cr_assert_eq(belt_pipelines_running(names, 4), 0);
    belt_pipeline_free(b);
}

Test(running, counts_those_that_find_no_room, .timeout = 20)
{
    struct belt_pipeline *b = started("name: b\n" ENDLESS);
    struct belt_pipeline *a = started("name: a\n" ENDLESS);
    strcpy(names[1], "untouched");
    cr_assert_eq(belt_pipelines_running(names, 1), 2);
    cr_assert_str_eq(names[0], "b");
    cr_assert_str_eq(names[1], "untouched");
    belt_pipeline_free(a);
    belt_pipeline_free(b);
}

Test(running, ends_with_the_last_lane_though_nobody_waits, .timeout = 20)
{
    struct belt_pipeline *p = started("source: { say: a }\n");
    while (belt_pipelines_running(NULL, 0))
        ;
    belt_pipeline_free(p);
}

Test(running, ends_with_the_last_turn)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("name: c\nsource: { say: a }\n");
    cr_assert_eq(belt_pipelines_running(names, 4), 0);
    cr_assert_eq(belt_pipeline_turn(p, 1, &err), 1, "%s", err.text);
    cr_assert_eq(belt_pipelines_running(names, 4), 1);
    cr_assert_str_eq(names[0], "c");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE);
    cr_assert_eq(belt_pipelines_running(names, 4), 0);
    belt_pipeline_free(p);
}

Test(running, is_found_by_its_name_and_stopped, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *found = NULL;
    struct belt_pipeline *p = started("name: orders\n" ENDLESS);
    cr_assert_eq(belt_pipeline_find(&found, "orders", &err), 0, "%s", err.text);
    cr_assert_eq(found, p);
    belt_pipeline_stop(found, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(found, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_find(&found, "orders", &err), -ENOENT);
    cr_assert_str_eq(err.text, "no pipeline 'orders' runs in this process");
    belt_pipeline_free(p);
}

Test(running, of_two_with_one_name_none_is_found, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *found = NULL;
    struct belt_pipeline *a = started("name: twin\n" ENDLESS), *b = started("name: twin\n" ENDLESS);
    cr_assert_eq(belt_pipeline_find(&found, "twin", &err), -ENOTUNIQ);
    belt_pipeline_free(a);
    cr_assert_eq(belt_pipeline_find(&found, "twin", &err), 0, "%s", err.text);
    cr_assert_eq(found, b);
    belt_pipeline_free(b);
}
