/* Sinks in workers: level by level what a death costs, the last calls, cages, settings. */
#include <fcntl.h>

#include "tests/unit/batch_worker_fixture.h"

TestSuite(batch_worker_limits, .timeout = 30);

/* ---- level by level --------------------------------------------------------------- */

Test(batch_worker_limits, level_1_a_batch_that_fails_costs_no_worker)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,refuse,b' }", "max_restarts: 0", "size: 1,");
    expect_run(p);
    expect_ledger(p, 2, 1);
    expect_failure(p, "refused as told");
    belt_pipeline_free(p);
}

Test(batch_worker_limits, level_2_a_worker_that_dies_costs_no_other_batch)
{
    struct belt_pipeline *p = sink_worker_with(&drill, "say: { words: 'a,segv,b' }",
                                               "max_attempts: 1, max_restarts: 1", "size: 1,");
    expect_run(p);
    cr_assert_str_eq(heard->text, "1[s:a|]1[s:b|]");
    expect_ledger(p, 2, 1);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, level_3_too_many_deaths_end_the_run)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,segv,b' }",
                         "max_attempts: 10, max_restarts: 3, max_seconds: 30", "size: 1,");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_str_eq(err.text, "batcher: worker 0: killed by SIGSEGV; more than max_restarts: 3 "
                               "within max_seconds: 30");
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 1);
    cr_assert_eq(totals_of(p).unsettled, 2);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, level_3_holds_for_kills_from_outside)
{
    int ends[2], rc = -ETIMEDOUT;
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "max_restarts: 3, max_seconds: 600");
    say(ends, "a\n");
    wait_for_done(p, 1);
    for (int i = 0; i < 2000 && rc == -ETIMEDOUT; i++) {
        signal_sink(p, SIGKILL);
        rc = belt_pipeline_wait(p, 5000000, &err);
    }
    cr_assert_eq(rc, -ECHILD);
    cr_assert_str_eq(err.text, "batcher: worker 0: killed by SIGKILL; more than max_restarts: 3 "
                               "within max_seconds: 600");
    close(ends[1]);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, level_4_without_its_zygote_the_run_ends)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "");
    say(ends, "a\n");
    wait_for_done(p, 1);
    kill(belt_zygote_pid(p->zygote), SIGKILL);
    cr_assert_eq(belt_pipeline_wait(p, UINT64_C(10000000000), &err), -EPIPE);
    cr_assert_str_eq(err.text, "batcher: worker 0: the zygote, which starts workers, is gone");
    close(ends[1]);
    belt_pipeline_free(p);
}

/* ---- beginning -------------------------------------------------------------------- */

static int refuse_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)state, (void)conf, (void)in;
    return belt_error_set(err, -EINVAL, "no such table");
}

static int die_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    _exit(3);
}

#define BEGINS_BY(function)                                                                        \
    {                                                                                              \
        .part = { .abi = BELT_ABI,                                                                 \
                  .kind = BELT_SINK,                                                               \
                  .name = "drill",                                                                 \
                  .help = "cannot begin",                                                          \
                  .init = function },                                                              \
        .batch = drill_batch                                                                       \
    }

Test(batch_worker_limits, ends_the_run_with_the_reason_of_init)
{
    static const struct belt_sink refusing = BEGINS_BY(refuse_init);
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sink_worker_with(&refusing, "say: { words: a }", "", "");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_str_eq(err.text, "batcher: worker 0: no such table");
    belt_pipeline_free(p);
}

Test(batch_worker_limits, batches_that_all_kill_are_not_spaced_out, .timeout = 20)
{
    struct belt_pipeline *p = sink_worker_with(
        &drill, "say: { words: 'segv,abort,segv,exit,a' }",
        "max_attempts: 3, restart_backoff: 2s, restart_backoff_max: 10s", "size: 1,");
    expect_run(p);
    expect_ledger(p, 1, 4);
    cr_assert_lt(totals_of(p).elapsed_ns, UINT64_C(4000000000));
    belt_pipeline_free(p);
}

Test(batch_worker_limits, spaces_out_starts_that_get_nowhere)
{
    static const struct belt_sink stillborn = BEGINS_BY(die_init);
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sink_worker_with(
        &stillborn, "say: { words: a }", "restart_backoff: 20ms, restart_backoff_max: 200ms", "");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_not_null(strstr(err.text, "before it was ready"), "%s", err.text);
    /* Five restarts: 20, 40, 80, 160, 200. */
    cr_assert_geq(totals_of(p).elapsed_ns, UINT64_C(500000000));
    belt_pipeline_free(p);
}

/* ---- the last calls --------------------------------------------------------------- */

static int refuse_finish(void *state, bool complete, struct belt_error *err)
{
    (void)state, (void)complete;
    return belt_error_set(err, -EIO, "the last page is lost");
}

static int die_finish(void *state, bool complete, struct belt_error *err)
{
    (void)state, (void)complete, (void)err;
    abort();
}

static int die_once_in_finish(void *state, bool complete, struct belt_error *err)
{
    if (heard->die_once && heard->die_once--)
        abort();
    return drill_finish(state, complete, err);
}

static void die_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    (void)state, (void)batch, (void)code, (void)reason;
    heard->failed_calls++;
    abort();
}

static struct belt_pipeline *two_rows(const struct belt_sink *sink)
{
    return sink_worker_with(sink, "say: { words: 'a,fail1' }", "max_attempts: 2", "");
}

Test(batch_worker_limits, ends_the_run_with_the_reason_of_finish)
{
    static const struct belt_sink sink = { DRILL_PART, .finish = refuse_finish };
    struct belt_error err = { 0 };
    struct belt_pipeline *p = two_rows(&sink);
    cr_assert_eq(run_to_end(p, &err), -EIO);
    cr_assert_str_eq(err.text, "the last page is lost");
    belt_pipeline_free(p);
}

Test(batch_worker_limits, ends_the_run_when_finish_kills_at_every_attempt)
{
    static const struct belt_sink sink = { DRILL_PART, .finish = die_finish };
    struct belt_error err = { 0 };
    struct belt_pipeline *p = two_rows(&sink);
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_str_eq(err.text, "2 workers died under finish(), the last: killed by SIGABRT");
    belt_pipeline_free(p);
}

Test(batch_worker_limits, finishes_with_the_next_worker)
{
    static const struct belt_sink sink = { DRILL_PART, .finish = die_once_in_finish };
    struct belt_pipeline *p = two_rows(&sink);
    heard->die_once = 1;
    expect_run(p);
    cr_assert_eq(heard->finished, 1);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, changes_nothing_when_it_dies_while_it_hears_of_failures)
{
    static const struct belt_sink sink = { DRILL_PART, .failed = die_failed };
    struct belt_pipeline *p = two_rows(&sink);
    expect_run(p);
    expect_ledger(p, 1, 1);
    cr_assert_eq(heard->failed_calls, 2);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, tells_finish_that_the_run_was_stopped)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "");
    say(ends, "a\n");
    wait_for_done(p, 1);
    belt_pipeline_stop(p, UINT64_C(10000000000));
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(heard->finished, 2);
    cr_assert_eq(heard->finis, 1);
    belt_pipeline_free(p);
}

/* ---- cages ------------------------------------------------------------------------ */

static int open_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    (void)state, (void)batch;
    if (fd >= 0)
        return close(fd);
    return belt_error_set(err, -errno, "open: %s", strerrorname_np(errno));
}

static const struct belt_sink opening = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "drill", .help = "opens a file" },
    .batch = open_batch,
};

Test(batch_worker_limits, is_caged_when_asked_to)
{
    struct belt_pipeline *p =
        sink_worker_with(&opening, "say: { words: a }", "sandbox: strict", "");
    expect_run(p);
    expect_failure(p, "open: EPERM");
    belt_pipeline_free(p);
    p = sink_worker_with(&opening, "say: { words: a }", "", "");
    expect_run(p);
    expect_ledger(p, 1, 0);
    belt_pipeline_free(p);
}

static int hungry_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch, (void)err;
    void *memory = mmap(NULL, 512u << 20, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return munmap(memory, 512u << 20);
}

Test(batch_worker_limits, has_as_much_memory_as_it_may)
{
    static const struct belt_sink hungry = {
        .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "drill", .help = "eats memory" },
        .batch = hungry_batch,
    };
    struct belt_pipeline *p = sink_worker_with(&hungry, "say: { words: a }", "memory: 256MiB", "");
    expect_run(p);
    expect_failure(p, "2 workers died under it, the last: killed by SIGABRT");
    belt_pipeline_free(p);
    p = sink_worker_with(&hungry, "say: { words: a }", "memory: 1GiB", "");
    expect_run(p);
    expect_ledger(p, 1, 0);
    belt_pipeline_free(p);
}

/* ---- settings --------------------------------------------------------------------- */

static void expect_refused(const char *batcher, const char *text)
{
    char yaml[500];
    struct belt_error err = { 0 };
    snprintf(yaml, sizeof yaml, "source: { say: { words: a } }\nbatcher: { %s }\n", batcher);
    struct belt_pipeline *p = pipeline_with(&drill.part, yaml);
    cr_assert_eq(belt_pipeline_validate(p, &err), -EINVAL);
    cr_assert_eq(err.config, 1);
    cr_assert_not_null(strstr(err.text, text), "%s", err.text);
    belt_pipeline_free(p);
}

Test(batch_worker_limits, refuses_a_sink_with_batches_under_way)
{
    expect_refused("isolation: process, sink: { file: { path: /tmp/belt-none } }",
                   "test.yaml:2:23: batcher: the sink file is not done with a batch when batch() "
                   "returns: it cannot run in a worker: isolation: thread");
    expect_refused("isolation: process, sink: stdout",
                   "test.yaml:2:23: batcher: the sink stdout is not done");
}

Test(batch_worker_limits, refuses_what_a_thread_cannot_keep)
{
    expect_refused("sink: drill, worker: { timeout: 1s }",
                   "test.yaml:2:33: 'worker' of batcher holds for workers only: add isolation: "
                   "process");
}

Test(batch_worker_limits, refuses_a_backoff_beyond_its_maximum)
{
    expect_refused("isolation: process, sink: drill, worker: { restart_backoff: 2s }",
                   "test.yaml:2:72: 'restart_backoff' of batcher.worker is longer than "
                   "restart_backoff_max");
}

Test(batch_worker_limits, guesses_a_name_that_was_misspelt)
{
    expect_refused("isolation: process, sink: drill, worker: { time_out: 2s }",
                   "did you mean 'timeout'?");
    expect_refused("isolation: proces, sink: drill", "'isolation' of batcher must be one of");
}
