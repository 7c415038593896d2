/* Workers that die: what is settled, and what is said about it. Threads and
 * processes of their own; the sink stays here. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/pipeline_priv.h"
#include "core/worker_priv.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- a step that does what the message says ---------------------------------------------- */

static void obey(struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (size == 5 && memcmp(text, "abort", 5) == 0)
        abort();
    if (size == 4 && memcmp(text, "segv", 4) == 0)
        raise(SIGSEGV);
    if (size == 4 && memcmp(text, "exit", 4) == 0)
        _exit(3);
    if (size == 4 && memcmp(text, "fail", 4) == 0)
        belt_fail_message(view, i, "as told");
}

static int obey_message(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    obey(view, i);
    return 0;
}

static uint32_t obey_frame(void *state, struct belt_view *view)
{
    (void)state;
    BELT_EACH (view, i)
        obey(view, i);
    return view->end;
}

static const struct belt_step poison = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "dies as told" },
    .message = obey_message,
};

static const struct belt_step poison_frame = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "dies as told" },
    .frame = obey_frame,
};

/* ---- steps that do not begin ------------------------------------------------------------- */

static int init_dies(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)state;
    (void)conf;
    (void)in;
    (void)err;
    _exit(3);
}

static int init_refuses(void *state, void *conf, const struct belt_instance *in,
                        struct belt_error *err)
{
    (void)state;
    (void)conf;
    (void)in;
    return belt_error_set(err, -EINVAL, "no such model");
}

static const struct belt_step stillborn = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "stillborn",
              .help = "dies in init",
              .init = init_dies },
    .message = obey_message,
};

static const struct belt_step refusing = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "refusing",
              .help = "refuses in init",
              .init = init_refuses },
    .message = obey_message,
};

/* ---- pipelines --------------------------------------------------------------------------- */

static struct belt_pipeline *workers_with(const struct belt_step *step, const char *source,
                                          const char *processor)
{
    const struct rlimit no_cores = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_cores);
    char yaml[4000];
    snprintf(yaml, sizeof yaml,
             "source: { say: { %s } }\nprocessor: { isolation: process, concurrency: 1, %s }\n"
             "batcher: { sink: keep_all }\n",
             source, processor);
    return pipeline_with(step ? &step->part : NULL, yaml);
}

static void expect_run(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
}

static void expect_failure(struct belt_pipeline *p, const char *reason)
{
    struct belt_failure failure = { .reason = "" };
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.reason, reason);
}

static uint64_t restarts(struct belt_pipeline *p)
{
    return p->run->chains[0].stage.stats.restarts;
}

static uint64_t attempts(struct belt_pipeline *p)
{
    return p->run->chains[0].stage.stats.attempts;
}

/* Rows of all batches, without what stands around them. */
static const char *rows(void)
{
    static char out[sizeof kept.text];
    char *to = out;
    for (const char *at = kept.text; *at;) {
        at = strchr(at, ':') + 1;
        size_t size = strcspn(at, "]");
        memcpy(to, at, size);
        to += size;
        at += size + 1;
    }
    *to = 0;
    return out;
}

/* ---- deaths ------------------------------------------------------------------------------ */

Test(worker, passes_every_message_when_nobody_dies, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,b,c', repeat: 1000", "steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 3000);
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

#define DEATH(word)                                                                                \
    do {                                                                                           \
        struct belt_pipeline *p = workers_with(&poison, "words: 'a," word ",b,c'",                 \
                                               "max_attempts: 3, steps: [ poison: {} ]");          \
        expect_run(p);                                                                             \
        cr_assert_str_eq(rows(), "a|b|c|");                                                        \
        expect_failure(p, "3 workers died under it");                                              \
        cr_assert_eq(totals_of(p).failed, 1);                                                      \
        cr_assert_eq(totals_of(p).done, 3);                                                        \
        belt_pipeline_free(p);                                                                     \
    } while (0)

Test(worker, costs_only_the_message_that_aborts_it, .timeout = 20)
{
    DEATH("abort");
}

Test(worker, costs_only_the_message_that_makes_it_crash, .timeout = 20)
{
    DEATH("segv");
}

Test(worker, costs_only_the_message_that_makes_it_exit, .timeout = 20)
{
    DEATH("exit");
}

Test(worker, counts_attempts_and_restarts, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,exit,b'", "max_attempts: 3, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(attempts(p), 3);
    cr_assert_eq(restarts(p), 4, "one death to learn of it, three attempts");
    belt_pipeline_free(p);
}

Test(worker, tries_each_message_as_often_as_it_may, .timeout = 30)
{
    struct belt_pipeline *p = workers_with(&poison, "words: 'exit,a,exit,exit,b,exit'",
                                           "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    cr_assert_eq(totals_of(p).failed, 4);
    cr_assert_eq(attempts(p), 8);
    belt_pipeline_free(p);
}

Test(worker, goes_on_with_the_frames_behind_a_poisoned_one, .timeout = 30)
{
    struct belt_pipeline *p = workers_with(&poison, "words: 'a,exit,b', repeat: 20",
                                           "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).failed, 20);
    cr_assert_eq(totals_of(p).done, 40);
    cr_assert_eq(strlen(rows()), 80);
    for (const char *at = rows(); *at; at += 4)
        cr_assert_eq(memcmp(at, "a|b|", 4), 0);
    belt_pipeline_free(p);
}

Test(worker, finds_the_culprit_of_a_callback_on_whole_frames, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(&poison_frame, "words: 'a,b,exit,c'",
                                           "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|c|");
    expect_failure(p, "2 workers died under it");
    belt_pipeline_free(p);
}

Test(worker, keeps_all_messages_of_a_big_poisoned_frame, .timeout = 30)
{
    char source[4000] = "words: 'exit", *at = source + strlen(source);
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, ",%c", 'a' + i % 26);
    strcpy(at, "'");
    struct belt_pipeline *p =
        workers_with(&poison, source, "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 1000);
    const char *all = rows();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(all[2 * i], 'a' + i % 26, "row %d", i);
    belt_pipeline_free(p);
}

/* ---- what steps do in a worker ----------------------------------------------------------- */

Test(worker, fails_messages_with_the_reason_of_the_step, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(&poison, "words: 'a,fail,b'", "steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    expect_failure(p, "as told");
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

Test(worker, drops_messages, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(NULL, "words: 'a,no,b', repeat: 100", "steps: [ mark: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).dropped, 100);
    cr_assert_eq(totals_of(p).done, 300);
    cr_assert_eq(kept.rows, 200);
    belt_pipeline_free(p);
}

Test(worker, routes_messages, .timeout = 20)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c', repeat: 100 } }\n"
                    "processor: { isolation: process, steps: [ letter: {},\n"
                    "             route: { field: letter, to: { a: one, b: two, c: drop } } ] }\n"
                    "batchers: { two: { sink: 'null' }, one: { sink: keep_all } }\n");
    expect_run(p);
    cr_assert_eq(kept.rows, 100);
    cr_assert_null(strchr(rows(), 'b'));
    cr_assert_eq(totals_of(p).dropped, 100);
    cr_assert_eq(totals_of(p).done, 300);
    belt_pipeline_free(p);
}

Test(worker, goes_on_when_texts_outgrow_its_room, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(NULL, "words: 'a,b,c,d,e,f,g,h,i,j', repeat: 5",
                                           "steps: [ { letter: {} }, { grow: 100000 } ]");
    struct belt_error err = { 0 };
    belt_pipeline_set(p, "batcher.key", "letter", &err);
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 50, "%d failed", (int)totals_of(p).failed);
    cr_assert_eq(kept.rows, 50);
    belt_pipeline_free(p);
}

Test(worker, fails_a_text_that_never_fits_its_room, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(NULL, "words: 'a,b,c'", "steps: [ grow: { to: 2000000, only: b } ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|c|");
    expect_failure(p, "its new text is longer than a frame's room");
    belt_pipeline_free(p);
}

Test(worker, fails_a_text_that_does_not_fit_beside_an_earlier_one, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(
        NULL, "words: 'a,b'", "steps: [ { grow: 500000 }, { grow: { to: 900000, only: a } } ]");
    struct belt_error err = { 0 };
    belt_pipeline_set(p, "batcher.memory", "16MiB", &err);
    expect_run(p);
    expect_failure(p, "its new text is longer than a frame's room");
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(totals_of(p).done, 1);
    belt_pipeline_free(p);
}

Test(worker, keeps_texts_of_messages_before_a_changed_one_after_a_death, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,b,xy,c,exit,d,xz,e'",
                     "max_attempts: 1, steps: [ { poison: {} }, { grow: { to: 4, only: x } } ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|xyxy|c|d|xzxz|e|");
    belt_pipeline_free(p);
}

Test(worker, keeps_fields_of_messages_before_a_changed_one_after_a_death, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(
        &poison, "words: 'a,b,xy,c,exit,d,xz,e'",
        "max_attempts: 1, steps: [ { poison: {} }, { grow: { to: 4, only: x } }, { letter: {} } ]");
    struct belt_error err = { 0 };
    belt_pipeline_set(p, "batcher.key", "letter", &err);
    belt_pipeline_set(p, "batcher.size", "1", &err);
    expect_run(p);
    cr_assert_str_eq(kept.text, "a[s:a|]b[s:b|]x[s:xyxy|]c[s:c|]d[s:d|]x[s:xzxz|]e[s:e|]");
    belt_pipeline_free(p);
}

/* ---- workers that do not begin ----------------------------------------------------------- */

Test(worker, ends_the_run_when_no_worker_gets_ready, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(&stillborn, "words: a", "steps: [ stillborn: {} ]");
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_not_null(strstr(err.text, "before it was ready"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(worker, ends_the_run_with_the_reason_of_init, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(&refusing, "words: a", "steps: [ refusing: {} ]");
    struct belt_error err = { 0 };
    cr_assert_lt(run_to_end(p, &err), 0);
    cr_assert_str_eq(err.text, "worker 0: no such model");
    belt_pipeline_free(p);
}

Test(worker, knows_where_its_messages_are_when_cut_off, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(NULL, "words: 'a,b,c,d,e,f,g,h,i,j', endless: true",
                                           "steps: [ grow: 200000 ]");
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    kept.hold = true;
    cr_assert_eq(belt_pipeline_wait(p, 300000000, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, 0);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- dying without work -------------------------------------------------------------- */

static void wait_for_done(struct belt_pipeline *p, uint64_t done)
{
    struct belt_error err = { 0 };
    while (totals_of(p).done < done)
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT, "%s", err.text);
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

Test(worker, is_replaced_when_it_dies_idle_and_its_lane_sleeps_on, .timeout = 20)
{
    int ends[2];
    char yaml[400];
    struct belt_error err = { 0 };
    cr_assert_eq(pipe(ends), 0);
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: /proc/self/fd/%d } }\n"
             "processor: { isolation: process, steps: [ mark: {} ] }\n"
             "batcher: { timeout: 1ms, sink: keep_all }\n",
             ends[0]);
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(write(ends[1], "a\n", 2), 2);
    wait_for_done(p, 1);
    belt_pipeline_wait(p, 20000000, &err);
    double before = cpu_seconds();
    syscall(SYS_pidfd_send_signal, p->run->chains[0].worker->pidfd, SIGKILL, NULL, 0);
    belt_pipeline_wait(p, 500000000, &err);
    cr_assert_eq(belt_load_relaxed(&p->run->chains[0].stage.stats.restarts), 1);
    cr_assert_lt(cpu_seconds() - before, 0.2); /* not half a second of waking up */
    cr_assert_eq(write(ends[1], "b\n", 2), 2);
    wait_for_done(p, 2);
    close(ends[1]);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 2);
    belt_pipeline_free(p);
}
