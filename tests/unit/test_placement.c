/* Where threads really are while a pipeline runs, and what is said of it. */
#include <dirent.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "core/placement.h"
#include "core/telemetry.h"
#include "numa/pin.h"
#include "tests/unit/pipeline_fixture.h"

#define ENDLESS "source: { counter: 1000000000000 }\nbatcher: { sink: \"null\" }\n"

static struct belt_pipeline *started(const char *yaml)
{
    struct belt_pipeline *p = pipeline_of(yaml);
    struct belt_error err;
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    return p;
}

static void stop(struct belt_pipeline *p)
{
    belt_pipeline_stop(p, 0);
    belt_pipeline_wait(p, BELT_FOREVER, NULL);
    belt_pipeline_free(p);
}

/* The thread of this name; 0: none. */
static int thread_named(const char *wanted)
{
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *in = fopen(path, "r");
        if (in && fgets(name, sizeof name, in) && strncmp(name, wanted, strlen(wanted)) == 0)
            found = atoi(entry->d_name);
        if (in)
            fclose(in);
    }
    closedir(tasks);
    return found;
}

static struct belt_cpus mask_of(int tid)
{
    struct belt_cpus cpus;
    cr_assert_eq(belt_thread_cpus(tid, &cpus), 0);
    return cpus;
}

static void heard(const struct belt_event *event, void *arg)
{
    if (event->kind == BELT_EVENT_LANE_MOVED)
        __atomic_store_n((uint64_t *)arg, belt_event_value(event, BELT_FIELD_CPUS) + 1,
                         __ATOMIC_RELEASE);
}

Test(placement, pins_lanes_and_nobody_else)
{
    struct belt_cpus before = mask_of(0);
    struct belt_pipeline *p = pipeline_of(ENDLESS);
    struct belt_error err;
    uint64_t moved = 0;
    belt_telemetry_attach(p, "beltway.lane", heard, &moved, &err);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    struct belt_cpus lane = mask_of(thread_named("belt/lane.0"));
    struct belt_cpus telemetry = mask_of(thread_named("belt/telemetry"));
    struct belt_cpus ours = mask_of(0);
    cr_assert_eq(belt_cpus_count(&lane), 1);
    cr_assert_eq(memcmp(&telemetry, &before, sizeof before), 0);
    cr_assert_eq(memcmp(&ours, &before, sizeof before), 0);
    stop(p);
}

/* A thread that is pinned itself attaches: the telemetry thread is not to stay there. */
Test(placement, lets_helpers_go_where_the_process_may)
{
    struct belt_cpus before = mask_of(0);
    struct belt_pipeline *p = pipeline_of(ENDLESS);
    struct belt_error err;
    uint64_t moved = 0;
    cr_assert_eq(belt_pipeline_validate(p, &err), 0, "%s", err.text);
    belt_pin_thread(belt_cpus_next(&before, 0));
    belt_telemetry_attach(p, "beltway.lane", heard, &moved, &err);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    struct belt_cpus telemetry = mask_of(thread_named("belt/telemetry"));
    cr_assert_eq(memcmp(&telemetry, &before, sizeof before), 0);
    stop(p);
}

Test(placement, tells_of_lanes_that_somebody_else_moved)
{
    struct belt_cpus all = mask_of(0);
    if (belt_cpus_count(&all) < 2)
        cr_skip_test("one CPU");
    struct belt_pipeline *p = pipeline_of(ENDLESS "placement: { lanes: 1 }\n");
    struct belt_error err;
    uint64_t moved = 0;
    char text[512];
    belt_telemetry_attach(p, "beltway.lane.moved", heard, &moved, &err);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_moved(p, text, sizeof text), 0);
    cr_assert_str_eq(text, "");
    int tid = thread_named("belt/lane.0");
    cr_assert_eq(sched_setaffinity(tid, sizeof all, (const cpu_set_t *)(const void *)&all), 0);
    cr_assert_eq(belt_pipeline_moved(p, text, sizeof text), 1);
    cr_assert_not_null(strstr(text, "lane 0 may run on CPUs "), "%s", text);
    for (int i = 0; i < 1000 && !__atomic_load_n(&moved, __ATOMIC_ACQUIRE); i++)
        usleep(10000);
    cr_assert_eq(moved, belt_cpus_count(&all) + 1, "the event tells how many CPUs it has now");
    stop(p);
}

Test(placement, says_what_it_got)
{
    struct belt_pipeline *p = pipeline_of(ENDLESS);
    char got[512] = "x";
    cr_assert_eq(belt_pipeline_got(p, got, sizeof got), 0, "nothing before the start");
    cr_assert_str_eq(got, "");
    belt_pipeline_free(p);
    p = started(ENDLESS "placement: { wait: yield }\n");
    belt_pipeline_got(p, got, sizeof got);
    cr_assert_not_null(strstr(got, "MiB touched"), "%s", got);
    cr_assert_not_null(strstr(got, "wait yield; threads"), "%s", got);
    stop(p);
}

Test(placement, refuses_to_run_on_another_machine)
{
    struct belt_pipeline *p =
        pipeline_of(ENDLESS "placement: { topology: 'synthetic:core:2 pu:1' }\n");
    struct belt_error err;
    cr_assert_lt(belt_pipeline_start(p, &err), 0);
    cr_assert(err.config);
    cr_assert_not_null(strstr(err.text, "another machine"), "%s", err.text);
    belt_pipeline_free(p);
}
