/* All that can be changed while a pipeline runs, changed hundreds of times under load, in
 * any order: instances, rates, limits of batches, the context, pauses. Then an exact
 * ledger: what steps saw is what sinks got, each once, in order. Plain program: OPERATIONS
 * SEED; also for the thread sanitizer. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/control.h"

#define MS UINT64_C(1000000)
#define PARTS 13
#define DEADLINE (60000 * MS)

/* ---- the ledger: shared with workers ------------------------------------------------ */

struct ledger {
    _Atomic uint64_t seen, seen_sum, seen_mix;
    _Atomic uint64_t got, got_sum, got_mix;
    _Atomic uint64_t last[PARTS], last_of_all; /* 1 + the number */
    _Atomic uint64_t falls, all_falls, strangers;
};

static struct ledger *ledger;

static uint64_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    return value ^ value >> 29;
}

static uint64_t number_at(const char *text)
{
    uint64_t value;
    memcpy(&value, text, sizeof value);
    return value;
}

/* ---- the application's pointer: one that is out of use is spoilt -------------------- */

struct context {
    uint64_t magic;
};

#define MAGIC UINT64_C(0x626f6c747a656974)

/* ---- step `look`: the field `share`, and what it saw --------------------------------- */

static int look_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    *(int *)conf = belt_setup_add(setup, NULL, "share", BELT_INT, 0, err);
    return *(int *)conf < 0 ? *(int *)conf : 0;
}

static int look_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)in, (void)err;
    *(int *)state = *(int *)conf;
    return 0;
}

static uint32_t look_frame(void *state, struct belt_view *view)
{
    uint64_t seen = 0, sum = 0, mixed = 0;
    struct belt_column *column = &view->columns[*(int *)state];
    const struct context *context = belt_context(view);
    if (context && context->magic != MAGIC)
        atomic_fetch_add(&ledger->strangers, 1);
    BELT_EACH (view, i) {
        uint32_t size;
        uint64_t value = number_at(belt_text(view, 0, i, &size));
        column->as.numbers[i] = (int64_t)(value % PARTS);
        seen++;
        sum += value;
        mixed += mix(value);
    }
    atomic_fetch_add(&ledger->seen, seen);
    atomic_fetch_add(&ledger->seen_sum, sum);
    atomic_fetch_add(&ledger->seen_mix, mixed);
    return view->end;
}

static const struct belt_step look_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "look",
              .help = "keeps a ledger",
              .conf_size = sizeof(int),
              .state_size = sizeof(int),
              .prepare = look_prepare,
              .init = look_init },
    .frame = look_frame,
};

/* ---- step `slip`: some messages fail at their first attempts --------------------------- */

static int slip_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    uint64_t value = number_at(belt_text(view, 0, i, &size));
    (void)state;
    if (value % 101 < 3 && belt_attempt(view, i) <= value % 101)
        belt_fail_message(view, i, "not yet");
    return 0;
}

static const struct belt_step slip_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "slip", .help = "fails at first" },
    .message = slip_message,
};

/* ---- step `pass`: instances come and go ---------------------------------------------- */

static int pass_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)in, (void)err;
    *(uint64_t *)state = MAGIC;
    return 0;
}

static void pass_fini(void *state, void *conf)
{
    (void)conf;
    *(uint64_t *)state = 0;
}

static uint32_t pass_frame(void *state, struct belt_view *view)
{
    if (*(uint64_t *)state != MAGIC)
        atomic_fetch_add(&ledger->strangers, 1);
    return view->end;
}

static const struct belt_step pass_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "pass",
              .help = "knows whether it is set up",
              .state_size = sizeof(uint64_t),
              .init = pass_init,
              .fini = pass_fini },
    .frame = pass_frame,
};

/* ---- sink `book`: now and then it is slow, or refuses --------------------------------- */

static int book_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    uint64_t sum = 0, mixed = 0, *calls = state;
    if (++*calls % 97 == 0)
        nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
    if (*calls % 61 == 0)
        return belt_error_set(err, -EAGAIN, "not now");
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value = number_at(batch->bytes + batch->spans[i].at);
        sum += value;
        mixed += mix(value);
        uint64_t before = atomic_exchange(&ledger->last[value % PARTS], value + 1);
        atomic_fetch_add(&ledger->falls, before > value);
        before = atomic_exchange(&ledger->last_of_all, value + 1);
        atomic_fetch_add(&ledger->all_falls, before > value);
    }
    atomic_fetch_add(&ledger->got, batch->count);
    atomic_fetch_add(&ledger->got_sum, sum);
    atomic_fetch_add(&ledger->got_mix, mixed);
    return 0;
}

static const struct belt_sink book_sink = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "book",
              .help = "keeps a ledger",
              .state_size = sizeof(uint64_t) },
    .batch = book_batch,
};

/* ---- what is run ----------------------------------------------------------------------- */

struct job {
    const char *name, *yaml;
    struct {
        const char *stage;
        uint32_t most;
    } sizes[2];
    bool parts_in_order, all_in_order;
};

#define ONE "source: { counter: { count: 1000000000000 }, concurrency: 1, rate: 500000 }\n"
#define AGAIN "attempts: 1000, backoff: 1ms, backoff_max: 2ms, sink: book"

static const struct job jobs[] = {
    { "partitions",
      ONE "placement: { fuse: none }\n"
          "processors: { in: { concurrency: 1, steps: [ look: {} ] },\n"
          "  work: { concurrency: 2, max_concurrency: 5, partition_by: share,\n"
          "          steps: [ pass: {} ] } }\n"
          "batcher: { order: any, partition_by: share, concurrency: 2, max_concurrency: 4,\n"
          "           hold: 1MiB, when_full: spill, spill: { path: ., size: 256MiB }, " AGAIN
          " }\n",
      { { "processors.work", 5 }, { "batcher", 4 } },
      true,
      false },
    { "a pool",
      "sources: { a: { counter: { count: 1000000000000 }, concurrency: 2, rate: 500000 } }\n"
      "processor: { max_concurrency: 4, steps: [ look: {}, pass: {} ] }\n"
      "batcher: { order: any, " AGAIN " }\n",
      { { "processor", 4 }, { "processor", 4 } },
      false,
      false },
    { "the order of the input",
      ONE "processor: { max_concurrency: 4, steps: [ look: {}, pass: {} ] }\n"
          "batcher: { " AGAIN " }\n",
      { { "processor", 4 }, { "processor", 4 } },
      true,
      true },
    { "workers",
      ONE "processor: { max_concurrency: 3, isolation: process,\n"
          "             steps: [ look: {}, pass: {} ] }\n"
          "batcher: { " AGAIN " }\n",
      { { "processor", 3 }, { "processor", 3 } },
      true,
      true },
    { "workers that try again",
      ONE "processor: { max_concurrency: 3, isolation: process,\n"
          "             steps: [ slip: {}, look: {}, pass: {} ] }\n"
          "batcher: { " AGAIN " }\n"
          "failed: { attempts: 9, backoff: 100us, backoff_max: 2ms, retry_memory: 256KiB }\n",
      { { "processor", 3 }, { "processor", 3 } },
      false,
      false },
    { "batches in workers",
      ONE "processor: { max_concurrency: 3, isolation: process,\n"
          "             steps: [ look: {}, pass: {} ] }\n"
          "batcher: { order: any, partition_by: share, concurrency: 2, max_concurrency: 4,\n"
          "           isolation: process, " AGAIN " }\n",
      { { "processor", 3 }, { "batcher", 4 } },
      false,
      false },
    { "batches in workers, the order of the input",
      ONE "processor: { max_concurrency: 3, steps: [ look: {}, pass: {} ] }\n"
          "batcher: { isolation: process, " AGAIN " }\n",
      { { "processor", 3 }, { "processor", 3 } },
      true,
      true },
};

/* ---- changes ----------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % limit;
}

static uint32_t counts[5];

static int change_size(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    uint32_t which = below(2);
    return belt_pipeline_resize(p, job->sizes[which].stage, 1 + below(job->sizes[which].most),
                                DEADLINE, err);
}

static int change_batches(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    (void)job;
    struct belt_batching batching = { .size = sizeof batching,
                                      .messages = 1 + below(3000),
                                      .bytes = 100 + below(100000),
                                      .timeout_ns = 1 + below(20) * MS };
    return belt_pipeline_set_batching(p, NULL, &batching, DEADLINE, err);
}

static int change_rate(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    (void)job;
    struct belt_rate rate = { .size = sizeof rate, .messages = 100000 + below(900000) };
    return belt_pipeline_set_rate(p, NULL, &rate, below(2), err);
}

static int change_context(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    static struct context contexts[2];
    static uint32_t used;
    (void)job;
    contexts[used ^ 1].magic = MAGIC;
    int rc = belt_pipeline_context(p, &contexts[used ^ 1], DEADLINE, err);
    contexts[used].magic = 0;
    used ^= 1;
    return rc;
}

static int change_pause(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    (void)job;
    int rc = belt_pipeline_pause(p, DEADLINE, below(2) ? BELT_PAUSE_FLUSH : 0, err);
    belt_pipeline_resume(p);
    return rc;
}

static int (*const changes[])(struct belt_pipeline *, const struct job *,
                              struct belt_error *) = { change_size, change_batches, change_rate,
                                                       change_context, change_pause };

static int change_all(struct belt_pipeline *p, const struct job *job, uint32_t operations,
                      struct belt_error *err)
{
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t what = i % 2 ? 0 : below(5); /* most are resizes */
        int rc = changes[what](p, job, err);
        if (rc < 0)
            return rc;
        counts[what]++;
        rc = belt_pipeline_wait(p, below(3) * MS, err);
        if (rc != -ETIMEDOUT)
            return rc < 0 ? rc : -EPIPE;
    }
    return 0;
}

static int compare(struct belt_pipeline *p, const struct job *job, struct belt_error *err)
{
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    bool same = ledger->seen == ledger->got && ledger->seen_sum == ledger->got_sum &&
                ledger->seen_mix == ledger->got_mix && ledger->got == t.received;
    bool settled = !t.unsettled && !t.failed && t.done == t.received && t.received;
    if (!same || !settled || ledger->strangers)
        return belt_error_set(err, -EPROTO,
                              "received %" PRIu64 ", seen %" PRIu64 ", got %" PRIu64
                              ", unsettled %" PRIu64 ", strangers %" PRIu64,
                              t.received, ledger->seen, ledger->got, t.unsettled,
                              ledger->strangers);
    if ((job->parts_in_order && ledger->falls) || (job->all_in_order && ledger->all_falls))
        return belt_error_set(err, -EPROTO, "%" PRIu64 " out of order", ledger->all_falls);
    return belt_check(p, err);
}

static int run(const struct job *job, uint32_t operations)
{
    const struct belt_part *const parts[] = { &look_step.part, &slip_step.part, &pass_step.part,
                                              &book_sink.part };
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int rc = belt_pipeline_new(&p, &err);
    memset(ledger, 0, sizeof *ledger);
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = belt_pipeline_add(p, parts[i], &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, job->yaml, job->name, &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0)
        rc = change_all(p, job, operations, &err);
    if (rc == 0) {
        belt_pipeline_stop(p, DEADLINE);
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    }
    if (rc == 0)
        rc = compare(p, job, &err);
    printf("%s: %u resizes, %u of batches, %u of rates, %u contexts, %u pauses; %" PRIu64
           " messages: %s %s\n",
           job->name, counts[0], counts[1], counts[2], counts[3], counts[4], ledger->got,
           rc ? "not ok:" : "ok", rc ? err.text : "");
    belt_pipeline_free(p);
    return rc;
}

int main(int argc, char **argv)
{
    uint32_t operations = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 300;
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", random_state);
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED)
        return 2;
    int failed = 0;
    for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++)
        failed |= run(&jobs[j], operations);
    return failed != 0;
}
