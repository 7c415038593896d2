/* Kills workers of sinks, and of steps beside them, at random moments under load, then
 * reads two ledgers. The engine's: every message settled once; failed are those that the
 * sink named, no other. The sink's own, in memory that outlives it: every row was taken, in
 * the order of the input; a batch came again only as a later attempt, with the same rows.
 *
 * sink_kill [--kills N] [--seed S]   200 kills when not told otherwise */
#include <stdbool.h>

#include "tests/stress/kill_common.h"

/* ---- a sink that holds the rows to account ---------------------------------------- */

/* One word is written at the end of each batch: a death leaves it as it was, or done. */
static struct {
    uint64_t taken; /* rows */
    uint64_t batches, again, after_the_fact;
    uint64_t wrong;  /* rows that are not what comes next */
    uint64_t inside; /* a batch is in hand */
} * book;

#define NAMED 7 /* of a thousand rows, this one fails */

static uint64_t value_at(const struct belt_batch *batch, uint32_t i)
{
    uint64_t value;
    memcpy(&value, batch->bytes + batch->spans[i].at, sizeof value);
    return value;
}

/* Slower than its input, so that most kills fall inside and the batcher is always full. */
static void work(const struct belt_batch *batch)
{
    static volatile uint64_t sum;
    for (uint32_t i = 0; i < batch->count; i++)
        for (uint32_t round = 0; round < 200; round++)
            sum = sum + value_at(batch, i) * round;
}

static int account(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    count_call(SINKS, 0);
    belt_store_relaxed(&book->inside, 1);
    uint64_t taken = belt_load_relaxed(&book->taken), first = value_at(batch, 0);
    /* Its predecessor may have written it down and died before it said so. */
    bool known = batch->attempt > 1 && first + batch->count == taken;
    belt_fetch_add(&book->batches, 1);
    belt_fetch_add(&book->again, batch->attempt > 1);
    belt_fetch_add(&book->after_the_fact, known);
    if (!known && first != taken)
        belt_fetch_add(&book->wrong, 1);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (value_at(batch, i) != first + i)
            belt_fetch_add(&book->wrong, 1);
        if ((first + i) % 1000 == NAMED)
            belt_batch_fail(batch, i, "it is the one");
    }
    work(batch);
    belt_store_relaxed(&book->taken, first + batch->count);
    belt_store_relaxed(&book->inside, 0);
    return 0;
}

static const struct belt_sink account_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "account", .help = "checks order" },
    .batch = account,
    .format = "raw",
};

static int pass(void *state, struct belt_view *view, uint32_t i)
{
    (void)view, (void)i;
    count_call(STEPS, *(uint32_t *)state);
    return 0;
}

static int pass_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    *(uint32_t *)state = in->index;
    return 0;
}

static const struct belt_step pass_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "pass",
              .help = "nothing",
              .state_size = sizeof(uint32_t),
              .init = pass_init },
    .message = pass,
};

/* ---- the test --------------------------------------------------------------------- */

static const char yaml[] = "source: { counter: { count: 1000000000000 }, concurrency: 1 }\n"
                           "processor: { isolation: process, concurrency: 2, max_attempts: 100,\n"
                           "             max_restarts: 100000, steps: [ pass: {} ] }\n"
                           "batcher: { isolation: process, size: 100, sink: account,\n"
                           "           worker: { max_attempts: 100, max_restarts: 100000 } }\n";

static int start(struct belt_pipeline **p, struct belt_error *err)
{
    int rc = belt_pipeline_new(p, err);
    if (rc == 0)
        rc = belt_pipeline_add(*p, &account_sink.part, err);
    if (rc == 0)
        rc = belt_pipeline_add(*p, &pass_step.part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(*p, yaml, "sink_kill", err);
    return rc == 0 ? belt_pipeline_start(*p, err) : rc;
}

static int account_for(struct belt_pipeline *p)
{
    int failures = 0;
    struct belt_error err = { 0 };
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    CHECK(t.unsettled == 0);
    CHECK(t.failed == (t.received + 999 - NAMED) / 1000);
    CHECK(t.done + t.failed == t.received);
    CHECK(book->taken == t.received);
    CHECK(book->wrong == 0);
    CHECK(belt_check(p, &err) == 0);
    printf("%llu messages, %llu settled, %llu failed as named; %llu batches, %llu of them again, "
           "%llu of these written down before; %llu wrong\n",
           (unsigned long long)t.received, (unsigned long long)t.done, (unsigned long long)t.failed,
           (unsigned long long)book->batches, (unsigned long long)book->again,
           (unsigned long long)book->after_the_fact, (unsigned long long)book->wrong);
    return failures;
}

/* Of sinks, two thirds while they have a batch: a new process has none for long. */
static void wait_for_batch(uint32_t which)
{
    belt_store_relaxed(&book->inside, 0);
    for (int looks = 0; which < 2 && !belt_load_relaxed(&book->inside) && looks < 2000; looks++)
        pause_us(10);
}

static int run(int kills)
{
    static const char *const names[] = { "belt/sink", "belt/sink", "belt/sink", "belt/worker",
                                         "belt/spare" };
    enum { NAMES = sizeof names / sizeof *names };
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int failures = 0, killed[NAMES] = { 0 };
    if (start(&p, &err) < 0) {
        printf("not ok: start: %s\n", err.text);
        return 1;
    }
    int done = kill_named(p, kills, names, NAMES, killed, wait_for_batch);
    belt_pipeline_stop(p, UINT64_C(60000000000));
    int rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc < 0)
        printf("run: %s\n", err.text);
    CHECK(rc == 0);
    CHECK(done == kills);
    printf("killed: %d of sinks, %d of steps, %d spare\n", killed[0] + killed[1] + killed[2],
           killed[3], killed[4]);
    failures += account_for(p);
    belt_pipeline_free(p);
    return failures;
}

int main(int argc, char **argv)
{
    int kills = 200;
    if (!read_options(argc, argv, "sink_kill", &kills))
        return 2;
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return book == MAP_FAILED || share_instances() < 0 || run(kills) != 0;
}
