/* Callbacks that do not come back, and those that only seem so. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/worker_fixture.h"

static void expect_hang_costs_only_it(const struct belt_step *step, const char *word)
{
    char source[100];
    snprintf(source, sizeof source, "words: 'a,b,%s,c,d'", word);
    struct belt_pipeline *p =
        workers_with(step, source, "timeout: 200ms, max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|c|d|");
    expect_failure(p, "1 workers died under it, the last: killed: longer than timeout: 200ms");
    cr_assert_eq(attempts(p), 1, "innocents pay nothing");
    cr_assert_eq(hangs(p), 2, "one to learn of it, one attempt");
    belt_pipeline_free(p);
}

Test(worker_hang, costs_only_the_message_that_sleeps_for_good, .timeout = 30)
{
    expect_hang_costs_only_it(&poison, "hang");
}

Test(worker_hang, costs_only_the_message_that_never_stops_computing, .timeout = 30)
{
    expect_hang_costs_only_it(&poison, "spin");
}

Test(worker_hang, costs_only_the_message_in_a_callback_on_whole_frames, .timeout = 30)
{
    expect_hang_costs_only_it(&poison_frame, "hang");
}

Test(worker_hang, costs_only_the_message_that_stops_its_process, .timeout = 30)
{
    expect_hang_costs_only_it(&poison, "stop");
}

Test(worker_hang, is_told_as_a_setting_by_path_like_any_other, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,hang,b'", "max_attempts: 1, steps: [ poison: {} ]");
    cr_assert_eq(belt_pipeline_set(p, "processor.timeout", "200ms", &err), 0, "%s", err.text);
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    belt_pipeline_free(p);
}

/* ---- no hang ---------------------------------------------------------------------- */

Test(worker_hang, is_not_many_short_calls, .timeout = 60)
{
    struct belt_pipeline *p = workers_with(&poison, "words: 'sleep,sleep,sleep,sleep', repeat: 40",
                                           "timeout: 1s, steps: [ poison: {} ]");
    expect_run(p); /* 1.6 s in all */
    cr_assert_eq(restarts(p), 0);
    cr_assert_eq(hangs(p), 0);
    belt_pipeline_free(p);
}

Test(worker_hang, is_not_a_long_call_when_no_limit_is_set, .timeout = 60)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "a\nstop\nb\n");
    cr_assert_eq(belt_pipeline_wait(p, 700000000, &err), -ETIMEDOUT);
    cr_assert_eq(restarts(p), 0);
    signal_worker(p, 0, SIGCONT);
    wait_for_done(p, 3);
    end_piped(p, ends);
}

Test(worker_hang, is_not_a_worker_without_work, .timeout = 60)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "timeout: 200ms, steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    signal_worker(p, 0, SIGSTOP);
    cr_assert_eq(belt_pipeline_wait(p, 1000000000, &err), -ETIMEDOUT);
    cr_assert_eq(hangs(p), 0);
    say(ends, "b\n"); /* now it has some */
    wait_for_done(p, 2);
    cr_assert_eq(hangs(p), 1);
    cr_assert_eq(attempts(p), 0);
    end_piped(p, ends);
}

/* ---- init ------------------------------------------------------------------------- */

static _Atomic int *inits; /* shared with the workers */

static int init_hangs_at_first(void *state, void *conf, const struct belt_instance *in,
                               struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    if ((*inits)++ == 0)
        hang_asleep();
    return 0;
}

static int init_hangs(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    hang_asleep();
    return 0;
}

static const struct belt_step slow_starter = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "poison",
              .help = "hangs once",
              .init = init_hangs_at_first },
    .message = obey_message,
};

static const struct belt_step non_starter = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "poison",
              .help = "hangs",
              .init = init_hangs },
    .message = obey_message,
};

Test(worker_hang, in_init_is_cut_off_and_tried_again, .timeout = 30)
{
    inits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(inits, MAP_FAILED);
    struct belt_pipeline *p =
        workers_with(&slow_starter, "words: 'a,b'", "start_timeout: 500ms, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(rows(), "a|b|");
    cr_assert_eq(hangs(p), 1);
    cr_assert_eq(attempts(p), 0);
    belt_pipeline_free(p);
}

Test(worker_hang, in_init_every_time_ends_the_run, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        workers_with(&non_starter, "words: 'a,b'", "start_timeout: 100ms, steps: [ poison: {} ]");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_not_null(strstr(err.text, "worker 0: died 6 times before it was ready; "
                                        "killed: longer than start_timeout: 100ms"),
                       "%s", err.text);
    belt_pipeline_free(p);
}

Test(worker_hang, is_no_matter_for_a_run_that_is_cut_off, .timeout = 30)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "hang\n");
    cr_assert_eq(belt_pipeline_wait(p, 100000000, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, 50000000);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 1);
    close(ends[0]);
    close(ends[1]);
    belt_pipeline_free(p);
}

/* ---- the watch, on a clock of its own --------------------------------------------- */

#define LIMIT 1000

Test(worker_watch, finds_a_hang_within_a_quarter_more_than_the_limit)
{
    struct belt_watch watch = { .seen = 1 };
    uint64_t now = 5000;
    cr_assert_not(belt_watch_look(&watch, now, 7, LIMIT));
    while (!belt_watch_look(&watch, now = belt_watch_due(&watch, LIMIT), 7, LIMIT))
        ;
    cr_assert_geq(now - 5000, LIMIT);
    cr_assert_leq(now - 5000, LIMIT + LIMIT / 4 + 4);
}

Test(worker_watch, is_content_while_the_count_moves)
{
    struct belt_watch watch = { 0 };
    for (uint64_t now = 0; now < 100 * LIMIT; now += LIMIT - 1)
        cr_assert_not(belt_watch_look(&watch, now, now, LIMIT));
}

Test(worker_watch, does_not_charge_others_for_its_own_sleep)
{
    struct belt_watch watch = { 0 };
    cr_assert_not(belt_watch_look(&watch, 5000, 7, LIMIT));
    cr_assert_not(belt_watch_look(&watch, 5000 + 50 * LIMIT, 7, LIMIT));
}
