/* Workers that die: what is settled, and what is said about it. Threads and
 * processes of their own; the sink stays here. */
#include "tests/unit/worker_fixture.h"

/* ---- steps that do not begin ------------------------------------------------------ */

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

/* ---- deaths ----------------------------------------------------------------------- */

Test(worker, passes_every_message_when_nobody_dies, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,b,c', repeat: 1000", "steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 3000);
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

#define DEATH(word, said)                                                                          \
    do {                                                                                           \
        struct belt_pipeline *p = workers_with(&poison, "words: 'a," word ",b,c'",                 \
                                               "max_attempts: 3, steps: [ poison: {} ]");          \
        expect_run(p);                                                                             \
        cr_assert_str_eq(rows(), "a|b|c|");                                                        \
        expect_failure(p, "3 workers died under it, the last: " said);                             \
        cr_assert_eq(totals_of(p).failed, 1);                                                      \
        cr_assert_eq(totals_of(p).done, 3);                                                        \
        belt_pipeline_free(p);                                                                     \
    } while (0)

Test(worker, costs_only_the_message_that_aborts_it, .timeout = 20)
{
    DEATH("abort", "killed by SIGABRT");
}

Test(worker, costs_only_the_message_that_makes_it_crash, .timeout = 20)
{
    DEATH("segv", "killed by SIGSEGV");
}

Test(worker, costs_only_the_message_that_makes_it_exit, .timeout = 20)
{
    DEATH("exit", "left with exit code 3");
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
    expect_failure(p, "2 workers died under it, the last: left with exit code 3");
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

/* ---- what steps do in a worker ---------------------------------------------------- */

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

/* ---- workers that do not begin ---------------------------------------------------- */

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

/* ---- dying without work ----------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* The worker waits for work. */
static void wait_for_sleep(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    while (!belt_load_relaxed32(&p->run->chains[0].worker->block->asleep))
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT, "%s", err.text);
}

Test(worker, is_replaced_when_it_dies_idle_and_its_lane_sleeps_on, .timeout = 20)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    wait_for_sleep(p);
    signal_worker(p, 0, SIGKILL);
    while (!belt_load_relaxed(&p->run->chains[0].stage.stats.restarts))
        belt_pipeline_wait(p, 1000000, &err);
    wait_for_sleep(p);
    double before = cpu_seconds();
    belt_pipeline_wait(p, 500000000, &err);
    cr_assert_eq(belt_load_relaxed(&p->run->chains[0].stage.stats.restarts), 1);
    cr_assert_lt(cpu_seconds() - before, 0.2); /* not half a second of waking up */
    say(ends, "b\n");
    wait_for_done(p, 2);
    end_piped(p, ends);
}

Test(worker, costs_no_message_an_attempt_when_it_is_killed_idle, .timeout = 20)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        piped_workers(ends, &poison, "max_attempts: 1, steps: [ poison: {} ]");
    for (uint64_t i = 1; i <= 5; i++) {
        say(ends, "a\n");
        wait_for_done(p, i);
        wait_for_sleep(p);
        signal_worker(p, 0, SIGKILL);
        while (belt_load_relaxed(&p->run->chains[0].stage.stats.restarts) < i)
            belt_pipeline_wait(p, 1000000, &err);
    }
    say(ends, "b\n");
    wait_for_done(p, 6);
    cr_assert_eq(attempts(p), 0);
    cr_assert_eq(totals_of(p).failed, 0);
    end_piped(p, ends);
}
