/* How much dying is borne, level by level, and what the run says when it is not. */
#include "tests/unit/worker_fixture.h"

/* ---- the budget, on a clock of its own -------------------------------------------- */

static uint64_t times[8];

static struct belt_budget budget_of(uint32_t deaths)
{
    return (struct belt_budget){
        .window = 1000, .first = 10, .most = 100, .deaths = deaths, .times = times
    };
}

Test(worker_budget, bears_as_many_deaths_as_allowed_and_no_more)
{
    struct belt_budget b = budget_of(3);
    for (uint64_t now = 0; now < 3; now++)
        cr_assert(belt_budget_spend(&b, now));
    cr_assert_not(belt_budget_spend(&b, 3));
}

Test(worker_budget, bears_none_when_none_is_allowed)
{
    struct belt_budget b = budget_of(0);
    cr_assert_not(belt_budget_spend(&b, 1));
}

Test(worker_budget, forgets_deaths_that_left_the_window)
{
    struct belt_budget b = budget_of(3);
    for (uint64_t now = 0; now < 100000; now += 334)
        cr_assert(belt_budget_spend(&b, now), "at %d", (int)now);
    cr_assert(belt_budget_spend(&b, 100200 + 1));
    cr_assert_not(belt_budget_spend(&b, 100202));
}

Test(worker_budget, starts_at_once_after_a_worker_that_got_on)
{
    struct belt_budget b = budget_of(3);
    cr_assert_eq(belt_budget_wait(&b, true), 0);
}

Test(worker_budget, waits_twice_as_long_after_each_start_in_vain)
{
    struct belt_budget b = budget_of(3);
    static const uint64_t waits[] = { 10, 20, 40, 80, 100, 100 };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        cr_assert_eq(belt_budget_wait(&b, false), waits[i]);
}

Test(worker_budget, begins_anew_after_quiet)
{
    struct belt_budget b = budget_of(3);
    for (int i = 0; i < 5; i++)
        belt_budget_wait(&b, false);
    belt_budget_wait(&b, true);
    cr_assert_eq(belt_budget_wait(&b, false), 10);
}

/* ---- level by level --------------------------------------------------------------- */

Test(worker_limits, level_1_a_message_that_fails_costs_no_worker, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,fail,b'", "max_restarts: 0, steps: [ poison: {} ]");
    expect_run(p);
    expect_failure(p, "as told");
    belt_pipeline_free(p);
}

Test(worker_limits, level_2_a_worker_that_dies_costs_no_other_message, .timeout = 20)
{
    struct belt_pipeline *p = workers_with(
        &poison, "words: 'a,segv,b'", "max_attempts: 1, max_restarts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    belt_pipeline_free(p);
}

/* The error names the worker, what killed it, and the message. */
Test(worker_limits, level_3_too_many_deaths_end_the_run, .timeout = 20)
{
    char path[] = "/tmp/belt-limits-XXXXXX", yaml[400], wanted[200];
    struct belt_error err = { 0 };
    int file = mkstemp(path);
    cr_assert_eq(write(file, "a\nb\nsegv\nc\n", 11), 11);
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: %s } }\n"
             "processor: { isolation: process, concurrency: 1, max_attempts: 5, max_restarts: 2,\n"
             "             max_seconds: 30, steps: [ poison: {} ] }\n"
             "batcher: { sink: keep_all }\n",
             path);
    struct belt_pipeline *p = pipeline_with(&poison.part, yaml);
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    snprintf(wanted, sizeof wanted,
             "worker 0: killed by SIGSEGV; more than max_restarts: 2 within max_seconds: 30; "
             "it was at %s:3",
             path);
    cr_assert_str_eq(err.text, wanted);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    close(file);
    unlink(path);
    belt_pipeline_free(p);
}

Test(worker_limits, level_3_holds_for_kills_from_outside, .timeout = 20)
{
    int ends[2], rc = -ETIMEDOUT;
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        piped_workers(ends, &poison, "max_restarts: 3, max_seconds: 600, steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    for (int i = 0; i < 2000 && rc == -ETIMEDOUT; i++) {
        signal_worker(p, 0, SIGKILL);
        rc = belt_pipeline_wait(p, 5000000, &err);
    }
    cr_assert_eq(rc, -ECHILD);
    cr_assert_str_eq(err.text, "worker 0: killed by SIGKILL; more than max_restarts: 3 within "
                               "max_seconds: 600");
    cr_assert_eq(restarts(p), 3);
    close(ends[1]);
    belt_pipeline_free(p);
}

Test(worker_limits, level_4_without_its_zygote_the_run_ends, .timeout = 20)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    kill(belt_zygote_pid(p->zygote), SIGKILL);
    cr_assert_eq(belt_pipeline_wait(p, UINT64_C(10000000000), &err), -EPIPE);
    cr_assert_str_eq(err.text, "worker 0: the zygote, which starts workers, is gone");
    close(ends[1]);
    belt_pipeline_free(p);
}

/* ---- back-off --------------------------------------------------------------------- */

static int init_dies(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    _exit(3);
}

static const struct belt_step stillborn = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "poison",
              .help = "dies in init",
              .init = init_dies },
    .message = obey_message,
};

Test(worker_limits, starts_that_get_nowhere_are_spaced_out, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = workers_with(&stillborn, "words: a",
                                           "restart_backoff: 20ms, restart_backoff_max: 200ms, "
                                           "steps: [ poison: {} ]");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    /* Five restarts: 20, 40, 80, 160, 200. */
    cr_assert_geq(totals_of(p).elapsed_ns, UINT64_C(500000000));
    belt_pipeline_free(p);
}

/* Each death uses up an attempt of a message: there is no start in vain. */
Test(worker_limits, messages_that_all_kill_are_not_spaced_out, .timeout = 20)
{
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'segv,segv,abort,segv,exit,segv,a', repeat: 2",
                     "restart_backoff: 2s, restart_backoff_max: 10s, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|a|");
    cr_assert_eq(totals_of(p).failed, 12);
    cr_assert_lt(totals_of(p).elapsed_ns, UINT64_C(4000000000));
    belt_pipeline_free(p);
}

/* ---- settings --------------------------------------------------------------------- */

static void expect_refused(const char *processor, const char *text)
{
    char yaml[500];
    struct belt_error err = { 0 };
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: a } }\nprocessor: { %s }\nbatcher: { sink: keep_all }\n",
             processor);
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(belt_pipeline_validate(p, &err), -EINVAL);
    cr_assert_eq(err.config, 1);
    cr_assert_not_null(strstr(err.text, text), "%s", err.text);
    belt_pipeline_free(p);
}

Test(worker_settings, refuse_a_time_without_a_unit)
{
    expect_refused("isolation: process, timeout: 10", "test.yaml:2:43: 'timeout' of processor: ");
}

Test(worker_settings, refuse_an_unknown_sandbox)
{
    expect_refused("isolation: process, sandbox: loose",
                   "test.yaml:2:43: 'sandbox' of processor must be one of none, strict, not "
                   "'loose'");
}

Test(worker_settings, refuse_what_a_thread_cannot_keep)
{
    static const char *const names[][2] = { { "timeout", "1s" },
                                            { "start_timeout", "1s" },
                                            { "memory", "1GiB" },
                                            { "sandbox", "strict" } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char given[100], text[200];
        snprintf(given, sizeof given, "%s: %s", names[i][0], names[i][1]);
        snprintf(text, sizeof text, "'%s' of processor holds for workers only", names[i][0]);
        expect_refused(given, text);
    }
}

Test(worker_settings, refuse_a_backoff_beyond_its_maximum)
{
    expect_refused("isolation: process, restart_backoff: 2s",
                   "test.yaml:2:51: 'restart_backoff' of processor is longer");
}

Test(worker_settings, guess_a_name_that_was_misspelt)
{
    expect_refused("isolation: process, max_restart: 2", "did you mean 'max_restarts'?");
}
