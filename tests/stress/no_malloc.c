/* After the start the engine allocates nothing: every malloc of the process is
 * counted from then on, while pipelines of all shapes run to their end. A plain
 * program, since it replaces the process's malloc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control.h"
#include "core/pipeline.h"
#include "core/telemetry.h"
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

/* ---- steps that do what no setting does -------------------------------------------- */

static uint64_t number_of(const struct belt_view *view, uint32_t i)
{
    uint32_t size;
    uint64_t number = 0;
    memcpy(&number, belt_text(view, 0, i, &size), sizeof number);
    return number;
}

static int twice_message(void *state, struct belt_view *view, uint32_t i)
{
    uint64_t number = number_of(view, i);
    (void)state;
    while (belt_emitted(view, i) < 2)
        if (belt_emit(view, i, (const char *)&number, sizeof number) < 0)
            return -1;
    return 0;
}

static const struct belt_step twice_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "twice", .help = "makes two of one" },
    .message = twice_message,
    .emits = true,
};

/* To both batchers; every tenth is acknowledged early, or fails the first time. */
static int both_message(void *state, struct belt_view *view, uint32_t i)
{
    uint64_t number = number_of(view, i);
    (void)state;
    belt_route_also(view, i, 1);
    if (number % 10 == 3)
        belt_ack(view, i);
    if (number % 10 == 4 && !belt_attempt(view, i))
        belt_fail_message(view, i, "not yet");
    return 0;
}

static const struct belt_step both_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "both", .help = "to two batchers" },
    .message = both_message,
};

/* Held one at a time, and settled when the next one comes; the last at the end. */
static int held_message(void *state, struct belt_view *view, uint32_t i)
{
    uint64_t *handle = state;
    if (*handle)
        belt_held_settle(*handle, 0, NULL);
    *handle = number_of(view, i) % 100 ? 0 : belt_hold(view, i);
    return 0;
}

static const struct belt_step held_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "held",
              .help = "holds some",
              .state_size = sizeof(uint64_t) },
    .message = held_message,
};

static void hear(const struct belt_event *event, void *arg)
{
    (void)event;
    ++*(uint64_t *)arg;
}

/* Beside the running lanes: into the source of `push`, if there is one. */
static void push(struct belt_pipeline *p)
{
    struct belt_message message = { .payload = "12345678", .payload_size = 8 };
    struct belt_error err = { 0 };
    for (int i = 0; i < 100000; i++)
        if (belt_pipeline_push(p, NULL, &message, 1, BELT_FOREVER, &err) < 0)
            return;
    belt_pipeline_push_end(p, NULL, &err);
}

static const char *const pipelines[] = {
    "source: { counter: { count: 100000 }, concurrency: 2 }\n"
    "processors: { one: { concurrency: 2, steps: [ twice: {} ] },\n"
    "              two: { concurrency: 2, partition_by: payload },\n"
    "              tree: { from: one, concurrency: 2, dispatch: broadcast } }\n"
    "batcher: { size: 100, sink: 'null' }\n",
    "source: { counter: { count: 100000 } }\nprocessor: { steps: [ both: {} ] }\n"
    "batchers: { a: { size: 100, sink: 'null' }, b: { size: 7, timeout: 1ms, sink: 'null' } }\n"
    "failed: { attempts: 3, backoff: 1ms, sink: 'null' }\n",
    "hold_messages: 100\nsource: { counter: { count: 99999 }, concurrency: 1 }\n"
    "processor: { concurrency: 1, steps: [ held: {} ] }\nbatcher: { sink: 'null' }\n",
    "source: { push: {}, rate: { messages: 10000000, per: 1s } }\n"
    "batcher: { size: 100, sink: 'null' }\n",
    "placement: { touch: true }\nsources: { a: { counter: { count: 100000 } },\n"
    "           b: { counter: { count: 100000 } } }\n"
    "batcher: { size: 100, order: any, hold: 1MiB, when_full: fail, sink: 'null' }\n",
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

/* `told`: with a handler for all events. */
static int run(const char *yaml, bool told)
{
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    uint64_t heard = 0;
    int rc = belt_pipeline_new(&p, &err);
    const struct belt_part *const parts[] = { &twice_step.part, &both_step.part, &held_step.part };
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = belt_pipeline_add(p, parts[i], &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "no_malloc", &err);
    if (rc == 0 && told)
        rc = belt_telemetry_attach(p, "beltway", hear, &heard, &err) < 0 ? err.code : 0;
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    uint64_t before = belt_load_relaxed(&calls);
    if (rc == 0 && strstr(yaml, "push:"))
        push(p);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    uint64_t after = belt_load_relaxed(&calls) - before;
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    bool ok = rc == 0 && before && after == 0 && t.received && !t.unsettled && !heard == !told;
    printf("%s: %llu messages, %llu allocations %s\n", ok ? "ok" : "not ok",
           (unsigned long long)t.received, (unsigned long long)after, rc ? err.text : "");
    belt_pipeline_free(p);
    return !ok;
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++)
        failures += run(pipelines[i], i % 2 == 0);
    return failures != 0;
}

#endif
