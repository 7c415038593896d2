/* Kills workers at random moments under load, in every way, then reads the ledger:
 * every message settled exactly once, in the order of the input, none lost, none
 * failed. Prints its seed.
 *
 * worker_kill [--kills N] [--seed S]   200 kills when not told otherwise
 *
 * One in eight kills is meant for who waits to become a worker (core/worker_spare.c). */
#include "tests/stress/kill_common.h"

/* ---- a sink that holds the rows to account ---------------------------------------- */

static struct {
    uint64_t rows, last;
    uint64_t out_of_order;
} seen = { .last = UINT64_MAX };

static int account(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    (void)err;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value;
        memcpy(&value, batch->bytes + batch->spans[i].at, sizeof value);
        /* Strictly rising: nothing twice, nothing overtaken. */
        if (seen.last != UINT64_MAX && value <= seen.last)
            seen.out_of_order++;
        seen.last = value;
        seen.rows++;
    }
    return 0;
}

static const struct belt_sink account_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "account", .help = "checks order" },
    .batch = account,
};

/* Enough work per message for a kill to fall inside the callback, too. */
static int work(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    static volatile uint64_t sum;
    count_call(STEPS, *(uint32_t *)state);
    for (int round = 0; round < 20; round++)
        sum = sum + (uint64_t)text[round % 8] * 31;
    return 0;
}

static int work_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    *(uint32_t *)state = in->index;
    return 0;
}

static const struct belt_step work_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "work",
              .help = "some work",
              .state_size = sizeof(uint32_t),
              .init = work_init },
    .message = work,
};

/* ---- the test --------------------------------------------------------------------- */

static const char common[] = "source: { counter: { count: 1000000000000 } }\n"
                             "processor: { isolation: process, max_attempts: 100,\n"
                             "             max_restarts: 100000, steps: [ work: {} ] }\n"
                             "batcher: { sink: account }\n";

static int start(struct belt_pipeline **p, struct belt_error *err)
{
    int rc = belt_pipeline_new(p, err);
    if (rc == 0)
        rc = belt_pipeline_add(*p, &account_sink.part, err);
    if (rc == 0)
        rc = belt_pipeline_add(*p, &work_step.part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(*p, common, "worker_kill", err);
    if (rc == 0)
        rc = belt_pipeline_set(*p, "processor.concurrency", "2", err);
    if (rc == 0)
        rc = belt_pipeline_set(*p, "batcher.size", "1000", err);
    return rc == 0 ? belt_pipeline_start(*p, err) : rc;
}

static int account_for(struct belt_pipeline *p)
{
    int failures = 0;
    struct belt_error err = { 0 };
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    CHECK(t.unsettled == 0);
    CHECK(t.failed == 0);
    CHECK(t.done == t.received);
    CHECK(seen.rows == t.received);
    CHECK(seen.out_of_order == 0);
    CHECK(belt_check(p, &err) == 0);
    printf("%llu messages, %llu settled, %llu failed, %llu rows, %llu out of order\n",
           (unsigned long long)t.received, (unsigned long long)t.done, (unsigned long long)t.failed,
           (unsigned long long)seen.rows, (unsigned long long)seen.out_of_order);
    return failures;
}

static int run(int kills)
{
    static const char *const names[] = {
        "belt/worker", "belt/worker", "belt/worker", "belt/worker",
        "belt/worker", "belt/worker", "belt/worker", "belt/spare"
    };
    enum { NAMES = sizeof names / sizeof *names };
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    int failures = 0, killed[NAMES] = { 0 };
    if (start(&p, &err) < 0) {
        printf("not ok: start: %s\n", err.text);
        return 1;
    }
    int done = kill_named(p, kills, names, NAMES, killed, NULL);
    belt_pipeline_stop(p, UINT64_C(60000000000));
    int rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc < 0)
        printf("run: %s\n", err.text);
    CHECK(rc == 0);
    CHECK(done == kills);
    failures += account_for(p);
    belt_pipeline_free(p);
    return failures;
}

int main(int argc, char **argv)
{
    int kills = 200;
    if (!read_options(argc, argv, "worker_kill", &kills))
        return 2;
    return share_instances() < 0 || run(kills) != 0;
}
