/* Pipelines on several lanes for the thread sanitizer: every kind of edge, the
 * aggregate, sleeping lanes, a stop in the middle. Plain program. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/pipeline.h"

static const char *const pipelines[] = {
    /* fused pairs, nothing downstream */
    "source: { counter: { count: 2000000 } }\n",
    /* a lane per stage, rows in order */
    "placement: { fuse: none }\nsource: { counter: { count: 300000 } }\n"
    "batcher: { size: 100, sink: 'null' }\n",
    /* one source, three processors, a pool */
    "source: { counter: { count: 300000 }, concurrency: 1 }\nprocessor: { concurrency: 3 }\n"
    "batcher: { order: any, size: 100, concurrency: 2, sink: 'null' }\n",
    /* one source, two processors, in order */
    "source: { counter: { count: 300000 }, concurrency: 1 }\nprocessor: { concurrency: 2 }\n"
    "batcher: { size: 1000, sink: 'null' }\n",
    /* two instances that are behind: rows wait in memory, then in a file */
    "source: { counter: { count: 1000000 } }\n"
    "batcher: { order: any, key: payload, concurrency: 2, size: 10, memory: 1MiB, hold: 1MiB,\n"
    "           when_full: spill, spill: { path: /tmp, size: 64MiB }, blocking: true,\n"
    "           sink: 'null' }\n",
    /* the same in the order of the input */
    "placement: { fuse: none }\nsource: { counter: { count: 1000000 } }\n"
    "processor: { concurrency: 2 }\n"
    "batcher: { size: 10, memory: 1MiB, hold: 4MiB, blocking: true, sink: 'null' }\n",
    /* groups by the payload's text */
    "source: { counter: { count: 100000 } }\n"
    "batcher: { aggregate: { group_by: payload, columns: { n: count() }, emit: at_end },\n"
    "           sink: 'null' }\n",
};

static int run(const char *yaml, bool stop)
{
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int rc = belt_pipeline_new(&p, &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "lanes", &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0 && stop) {
        struct belt_totals t = { .size = sizeof t };
        belt_pipeline_wait(p, 2000000, &err);
        belt_pipeline_totals(p, &t);
        belt_pipeline_stop(p, UINT64_C(30000000000));
    }
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    if (rc == 0 && (t.unsettled || t.failed || (!stop && !t.complete) || belt_check(p, &err) < 0))
        rc = -1;
    printf("%s%s: %llu messages, %llu unsettled: %s %s\n", stop ? "stopped " : "", "pipeline",
           (unsigned long long)t.received, (unsigned long long)t.unsettled, rc ? "not ok" : "ok",
           rc ? err.text : "");
    belt_pipeline_free(p);
    return rc;
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
        failures += run(pipelines[i], false) != 0;
        failures += run(pipelines[i], true) != 0;
    }
    return failures != 0;
}
