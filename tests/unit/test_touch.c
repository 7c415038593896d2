/* Memory that is there before the start, and memory that comes as it is needed. */
#include <unistd.h>

#include "tests/unit/pipeline_fixture.h"

#define HOLD "source: { counter: 1 }\nbatcher: { hold: 64MiB, memory: 32MiB, sink: 'null' }\n"
#define TOUCHED "placement: { touch: true }\n" HOLD

static uint64_t resident(void)
{
    unsigned long long size = 0, pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    cr_assert_eq(fscanf(in, "%llu %llu", &size, &pages), 2);
    fclose(in);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* How much more memory the process has when it has run. */
static uint64_t taken_by(const char *yaml)
{
    struct belt_error err = { 0 };
    uint64_t before = resident();
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    uint64_t taken = resident() - before;
    belt_pipeline_free(p);
    return taken;
}

Test(touch, pages_that_nobody_needs_are_not_taken, .timeout = 10)
{
    cr_assert_lt(taken_by(HOLD), 32u << 20);
}

Test(touch, all_pages_are_there_before_the_start_when_asked_for, .timeout = 10)
{
    cr_assert_geq(taken_by(TOUCHED), 96u << 20);
}
