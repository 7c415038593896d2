/* Messages that fail in the steps of a worker are tried again, by it or by its successor. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/worker_fixture.h"

/* ---- step `flaky`: fails a word "xN..." its first N times -------------------------- */

static _Atomic uint32_t *calls; /* shared with workers: of words that begin with an x */

static int flaky_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (size < 2 || text[0] != 'x')
        return obey_message(state, view, i);
    (*calls)++;
    if (belt_attempt(view, i) < (uint32_t)(text[1] - '0'))
        belt_fail_message(view, i, "not yet");
    return 0;
}

static const struct belt_step flaky_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "flaky", .help = "fails at first" },
    .message = flaky_message,
};

static struct belt_pipeline *retrying(const char *words, const char *failed, const char *processor)
{
    char yaml[1500];
    calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    no_cores();
    snprintf(yaml, sizeof yaml,
             "source: { say: { %s } }\n"
             "processor: { isolation: process, concurrency: 1, %s }\n"
             "batcher: { size: 1000, sink: { keep_all: {} } }\n"
             "failed: { %s }\n",
             words, processor, failed);
    return pipeline_with(&flaky_step.part, yaml);
}

static void runs(struct belt_pipeline *p, uint64_t done, uint64_t failed)
{
    expect_run(p);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, done, "%lu done, %lu failed", t.done, t.failed);
    cr_assert_eq(t.failed, failed, "%lu failed", t.failed);
}

TestSuite(worker_retry, .timeout = 60);

/* ---- what becomes of them ----------------------------------------------------------- */

Test(worker_retry, a_message_that_succeeds_later_is_done_once)
{
    struct belt_pipeline *p = retrying("words: 'a,x2,b'", "attempts: 3", "steps: [ flaky: {} ]");
    runs(p, 3, 0);
    cr_assert_eq(*calls, 3);
    cr_assert_str_eq(rows(), "a|b|x2|");
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

Test(worker_retry, a_message_that_never_succeeds_fails_with_its_attempts)
{
    struct belt_pipeline *p =
        retrying("words: 'a,x9'", "attempts: 3, sink: { keep_all: {} }", "steps: [ flaky: {} ]");
    runs(p, 1, 1);
    cr_assert_eq(*calls, 3);
    expect_failure(p, "not yet");
    cr_assert(strstr(kept.text, "\"attempts\":3"), "%s", kept.text);
    belt_pipeline_free(p);
}

Test(worker_retry, waits_for_its_back_off)
{
    struct belt_pipeline *p =
        retrying("words: 'x2'", "attempts: 3, backoff: 30ms", "steps: [ flaky: {} ]");
    runs(p, 1, 0);
    cr_assert_geq(totals_of(p).elapsed_ns, 90000000);
    belt_pipeline_free(p);
}

Test(worker_retry, those_behind_one_of_their_value_wait_for_it)
{
    struct belt_pipeline *p =
        retrying("words: 'x2,a1,xa,a2,x0'", "attempts: 4, backoff: 5ms, ordered: letter",
                 "steps: [ letter: {}, flaky: {} ]");
    runs(p, 4, 1);
    cr_assert_str_eq(rows(), "a1|a2|x2|x0|");
    belt_pipeline_free(p);
}

/* More than the store takes, many frames, each word tried twice. */
Test(worker_retry, more_fail_than_there_is_room_for)
{
    struct belt_pipeline *p = retrying("words: 'x1,b,x1c,d,x2,x0', repeat: 4000",
                                       "attempts: 3, retry_memory: 64KiB", "steps: [ flaky: {} ]");
    runs(p, 24000, 0);
    cr_assert_eq(*calls, 4000 * (2 + 2 + 3 + 1));
    belt_pipeline_free(p);
}

Test(worker_retry, messages_of_several_sources_keep_their_places)
{
    struct belt_pipeline *p;
    calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p = pipeline_with(&flaky_step.part,
                      "sources: { a: { say: { words: 'x1,a,x9', repeat: 500 } },\n"
                      "           b: { say: { words: 'b,x2,x8', repeat: 500 } } }\n"
                      "processor: { isolation: process, steps: [ flaky: {} ] }\n"
                      "batcher: { order: any, sink: { keep_all: {} } }\n"
                      "failed: { attempts: 3 }\n");
    runs(p, 2000, 1000);
    belt_pipeline_free(p);
}

/* ---- deaths ------------------------------------------------------------------------- */

Test(worker_retry, what_kills_is_not_tried_again)
{
    struct belt_pipeline *p = retrying("words: 'a,x1,abort,x2,b'", "attempts: 5",
                                       "max_attempts: 2, steps: [ flaky: {} ]");
    runs(p, 4, 1);
    expect_failure(p, "2 workers died under it, the last: killed by SIGABRT");
    cr_assert_eq(restarts(p), 3);
    belt_pipeline_free(p);
}

/* Kills at any moment, also in frames of messages that are tried again. */
Test(worker_retry, a_death_costs_nobody_an_attempt_that_was_not_made)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        retrying("words: 'x1,b,x2c,d', repeat: 20000", "attempts: 3, retry_memory: 64KiB",
                 "max_attempts: 100, max_restarts: 100000, steps: [ flaky: {} ]");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (uint64_t done = 0, kills = 0; kills < 20 && done < 70000; kills++) {
        wait_for_done(p, done += 3000);
        signal_worker(p, 0, SIGKILL);
        while (belt_load_relaxed(&p->run->chains[0].stage.stats.restarts) <= kills)
            belt_pipeline_wait(p, 100000, &err);
    }
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, 80000, "%lu failed, %lu unsettled", t.failed, t.unsettled);
    cr_assert_geq(*calls, 20000 * (2 + 3));
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}
