/* After the start the engine allocates nothing: every malloc of the process is
 * counted from then on, while pipelines of all shapes run to their end. A plain
 * program, since it replaces the process's malloc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline.h"
#include "rings/atomic.h"

#define SKIPPED 77

#if defined(__SANITIZE_ADDRESS__) || defined(BELT_TSAN)

int main(void)
{
    printf("skipped: the sanitizer has replaced malloc already\n");
    return SKIPPED;
}

#else

static uint64_t calls;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    belt_fetch_add_relaxed(&calls, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    belt_fetch_add_relaxed(&calls, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    belt_fetch_add_relaxed(&calls, 1);
    return __libc_realloc(old, size);
}

static const char *const pipelines[] = {
    "source: { counter: { count: 20000 } }\n"
    "processor: { steps: [ split: { delimiter: ';', into: { a: int, b: int } } ] }\n"
    "batcher: { sink: 'null' }\nfailed: { attempts: 3, backoff: 1ms, sink: 'null' }\n",
    "source: { counter: { count: 3000000 } }\n"
    "batcher: { size: 100, hold: 1MiB, when_full: spill, spill: { path: /tmp, size: 1GiB },\n"
    "           memory: 1MiB, blocking: true, sink: 'null' }\n",
    "source: { counter: { count: 3000000 } }\nbatcher: { size: 100, sink: 'null' }\n",
    "placement: { fuse: none }\nsource: { counter: { count: 300000 } }\n"
    "processor: { steps: [ keep: { payload: { contains: a } } ] }\n"
    "batcher: { size: 100, key: payload, memory: 1MiB, sink: 'null' }\n",
    "source: { counter: { count: 300000 }, concurrency: 1 }\nprocessor: { concurrency: 3 }\n"
    "batcher: { order: any, size: 100, concurrency: 2, sink: 'null' }\n",
    "source: { counter: { count: 100000 } }\n"
    "batcher: { aggregate: { group_by: payload, columns: { n: count() }, emit: at_end },\n"
    "           sink: 'null' }\n",
    "source: { counter: { count: 100000 } }\n"
    "processor: { steps: [ split: { delimiter: ';', into: { a: int, b: int } } ] }\n"
    "batcher: { sink: 'null' }\nfailed: { sink: 'null' }\n",
};

static int run(const char *yaml)
{
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int rc = belt_pipeline_new(&p, &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "no_malloc", &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    uint64_t before = belt_load_relaxed(&calls);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    uint64_t after = belt_load_relaxed(&calls) - before;
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    bool ok = rc == 0 && before && after == 0 && t.received && !t.unsettled;
    printf("%s: %llu messages, %llu allocations %s\n", ok ? "ok" : "not ok",
           (unsigned long long)t.received, (unsigned long long)after, rc ? err.text : "");
    belt_pipeline_free(p);
    return !ok;
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++)
        failures += run(pipelines[i]);
    return failures != 0;
}

#endif
