/* Sinks in workers: what passes, what fails and for whom, every way to die. */
#include "tests/unit/batch_worker_fixture.h"

TestSuite(batch_worker, .timeout = 30);

/* ---- nobody dies ------------------------------------------------------------------ */

Test(batch_worker, passes_every_batch_in_order)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,b,c,d,e', repeat: 2 }", "", "size: 3,");
    expect_run(p);
    cr_assert_str_eq(heard->text, "1[s:a|b|c|]1[s:d|e|a|]1[s:b|c|d|]1[e:e|]");
    cr_assert_eq(heard->finished, 1);
    cr_assert_eq(heard->inits, 1);
    cr_assert_eq(heard->finis, 1);
    cr_assert_neq(heard->worker, getpid());
    expect_ledger(p, 10, 0);
    belt_pipeline_free(p);
}

Test(batch_worker, passes_the_key)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'ab,ba,ac' }", "", "key: letter,");
    cr_assert_eq(belt_pipeline_set(p, "processor.steps.0", "letter", &err), 0, "%s", err.text);
    expect_run(p);
    cr_assert_str_eq(heard->text, "1a[e:ab|ac|]1b[e:ba|]");
    belt_pipeline_free(p);
}

Test(batch_worker, passes_many_batches)
{
    struct belt_pipeline *p = sink_worker_with(
        &drill, "say: { words: 'a,b,c,d,e,f,g,h,i,j', repeat: 5000 }", "", "size: 7,");
    expect_run(p);
    expect_ledger(p, 50000, 0);
    cr_assert_eq(heard->through, 7143);
    belt_pipeline_free(p);
}

Test(batch_worker, runs_in_the_lane_where_the_caller_makes_the_turns)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sink_worker_with(&drill, "say: { words: 'a,b' }", "", "");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(heard->worker, getpid());
    expect_ledger(p, 2, 0);
    belt_pipeline_free(p);
}

/* ---- messages that fail ----------------------------------------------------------- */

Test(batch_worker, fails_only_the_messages_that_it_names)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,fail1,b,fail2,c' }", "max_restarts: 0", "");
    expect_run(p);
    expect_ledger(p, 3, 2);
    expect_failure(p, "row fail1 is bad");
    cr_assert_str_eq(heard->failed, "fail1=row fail1 is bad|fail2=row fail2 is bad|;");
    belt_pipeline_free(p);
}

/* Many more than replies fit at a time. */
Test(batch_worker, fails_any_number_of_messages)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'fail1,fail2,a,fail3', repeat: 500 }", "", "");
    expect_run(p);
    expect_ledger(p, 500, 1500);
    belt_pipeline_free(p);
}

Test(batch_worker, tries_a_refused_batch_again)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,b,refuse,c' }", "max_restarts: 0",
                         "size: 2, attempts: 3, backoff: 1ms,");
    expect_run(p);
    expect_ledger(p, 2, 2);
    expect_failure(p, "refused as told");
    cr_assert_eq(heard->begun, 4);
    cr_assert_str_eq(heard->failed, "refuse=refused as told|c=refused as told|;");
    belt_pipeline_free(p);
}

Test(batch_worker, fails_a_batch_that_is_left_pending)
{
    struct belt_pipeline *p = sink_worker_with(&drill, "say: { words: 'pending' }", "", "");
    expect_run(p);
    expect_failure(p, "batch() of a sink without poll() returned 1");
    belt_pipeline_free(p);
}

/* ---- every way to die ------------------------------------------------------------- */

static void expect_only_it_fails(const char *word, const char *death, const char *worker)
{
    char source[200], settings[100], reason[BELT_REASON];
    snprintf(source, sizeof source, "say: { words: 'a,b,c,%s,d,e' }", word);
    snprintf(settings, sizeof settings, "max_attempts: 3, %s", worker);
    struct belt_pipeline *p = sink_worker_with(&drill, source, settings, "size: 2,");
    expect_run(p);
    snprintf(reason, sizeof reason, "3 workers died under it, the last: %s", death);
    expect_failure(p, reason);
    expect_ledger(p, 4, 2);
    cr_assert_str_eq(heard->text, "1[s:a|b|]1[s:d|e|]");
    cr_assert_eq(sink_stats(p)->attempts, 3);
    cr_assert_eq(sink_stats(p)->restarts, 3);
    cr_assert_eq(sink_stats(p)->batches_again, 2);
    cr_assert_eq(heard->failed_calls, 1);
    belt_pipeline_free(p);
}

#define DIES(name, word, death)                                                                    \
    Test(batch_worker, dies_##name)                                                                \
    {                                                                                              \
        expect_only_it_fails(word, death, "");                                                     \
    }

DIES(by_a_wrong_pointer, "segv", "killed by SIGSEGV")
DIES(by_abort, "abort", "killed by SIGABRT")
DIES(by_exit_as_if_all_were_well, "exit0", "left with exit code 0")
DIES(by_underscore_exit, "exit", "left with exit code 3")
DIES(by_kill_nine, "kill", "killed by SIGKILL")
DIES(by_running_out_of_stack, "overflow", "killed by SIGSEGV")

#define HANGS(name, word)                                                                          \
    Test(batch_worker, hangs_##name)                                                               \
    {                                                                                              \
        expect_only_it_fails(word, "killed: longer than timeout: 100ms", "timeout: 100ms");        \
    }

HANGS(asleep, "hang")
HANGS(awake, "spin")
HANGS(stopped, "stop")

Test(batch_worker, is_no_hang_while_it_has_no_batch)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "timeout: 50ms");
    say(ends, "a\n");
    wait_for_done(p, 1);
    belt_pipeline_wait(p, 300000000, &err);
    say(ends, "b\n");
    wait_for_done(p, 2);
    cr_assert_eq(sink_stats(p)->hangs, 0);
    end_piped(p, ends);
}

/* ---- what a death costs ----------------------------------------------------------- */

Test(batch_worker, gets_the_batch_that_the_last_one_died_in_as_another_attempt)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,b,frail,c,d,e' }", "", "size: 2,");
    heard->die_once = 1;
    expect_run(p);
    cr_assert_str_eq(heard->text, "1[s:a|b|]2[s:frail|c|]1[s:d|e|]");
    expect_ledger(p, 6, 0);
    cr_assert_eq(heard->inits, 2);
    cr_assert_eq(heard->finis, 1);
    belt_pipeline_free(p);
}

Test(batch_worker, forgets_what_the_dead_said_of_the_batch)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'fail1,frail,a' }", "max_attempts: 2", "");
    heard->die_once = 1;
    expect_run(p);
    expect_ledger(p, 2, 1); /* fail1 by the second attempt, once */
    cr_assert_str_eq(heard->failed, "fail1=row fail1 is bad|;");
    belt_pipeline_free(p);
}

/* Those that it had named keep their own reason. */
Test(batch_worker, fails_all_of_the_batch_that_kills_at_every_attempt)
{
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,fail1,segv' }", "max_attempts: 2", "");
    expect_run(p);
    expect_ledger(p, 0, 3);
    cr_assert_str_eq(heard->failed, "a=2 workers died under it, the last: killed by SIGSEGV|"
                                    "fail1=row fail1 is bad|"
                                    "segv=2 workers died under it, the last: killed by SIGSEGV|;");
    belt_pipeline_free(p);
}

/* What kills is not given more attempts than it may have, whatever a refusal would get. */
Test(batch_worker, does_not_take_a_killer_for_a_refusal)
{
    struct belt_pipeline *p = sink_worker_with(&drill, "say: { words: 'segv' }", "max_attempts: 2",
                                               "attempts: 10, backoff: 1ms,");
    expect_run(p);
    expect_ledger(p, 0, 1);
    cr_assert_eq(heard->begun, 2);
    belt_pipeline_free(p);
}

Test(batch_worker, keeps_the_order_of_a_key_over_deaths)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sink_worker_with(&drill, "say: { words: 'f1,frail,f2,f3,f4' }", "",
                                               "key: letter, size: 1,");
    cr_assert_eq(belt_pipeline_set(p, "processor.steps.0", "letter", &err), 0, "%s", err.text);
    heard->die_once = 1;
    expect_run(p);
    cr_assert_str_eq(heard->text, "1f[s:f1|]2f[s:frail|]1f[s:f2|]1f[s:f3|]1f[s:f4|]");
    belt_pipeline_free(p);
}

Test(batch_worker, costs_nothing_when_it_is_killed_idle)
{
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_sink_worker(ends, &drill, "max_attempts: 1");
    for (uint64_t i = 1; i < 20; i++) {
        say(ends, "a\n");
        wait_for_done(p, i);
        signal_sink(p, SIGKILL);
        while (belt_load_relaxed(&sink_stats(p)->restarts) < i)
            cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT, "%s", err.text);
    }
    cr_assert_eq(sink_stats(p)->attempts, 0);
    end_piped(p, ends);
}

Test(batch_worker, settles_what_is_with_a_worker_in_no_other_place)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,hang,b' }", "", "size: 1,");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    while (belt_load_acquire32(&heard->begun) < 2 || totals_of(p).done < 1)
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, 0);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 1);
    cr_assert_eq(totals_of(p).unsettled, 2);
    cr_assert_eq(heard->finis, 0);
    belt_pipeline_free(p);
}

/* ---- with other features ---------------------------------------------------------- */

static bool cut_after_x(void *state, void *per_batch, const struct belt_batch *so_far,
                        const char *row, uint32_t size)
{
    (void)per_batch, (void)so_far, (void)size;
    ++*(uint32_t *)state;
    return *row == 'x';
}

/* The rule is asked in the lane, which has a state of its own for it. */
Test(batch_worker, leaves_cutting_to_the_lane)
{
    static const struct belt_sink cutting = { DRILL, .cut = cut_after_x };
    struct belt_pipeline *p =
        sink_worker_with(&cutting, "say: { words: 'a,x,segv,b,x,c' }", "max_attempts: 1", "");
    expect_run(p);
    cr_assert_str_eq(heard->text, "1[c:a|x|]1[e:c|]");
    cr_assert_eq(heard->inits, 3);
    cr_assert_eq(heard->finis, 2);
    belt_pipeline_free(p);
}

Test(batch_worker, takes_the_groups_of_an_aggregate)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'aa,ba,ab', repeat: 10 }", "",
                         "aggregate: { group_by: letter, columns: { n: count() } },");
    cr_assert_eq(belt_pipeline_set(p, "processor.steps.0", "letter", &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_set(p, "batcher.sink", "{ drill: { format: csv } }", &err), 0);
    expect_run(p);
    expect_ledger(p, 30, 0);
    cr_assert_not_null(strstr(heard->text, "a,20"), "%s", heard->text);
    cr_assert_not_null(strstr(heard->text, "b,10"), "%s", heard->text);
    belt_pipeline_free(p);
}

/* Of an instance of its own each: neither knows of the other's death. */
Test(batch_worker, leaves_the_other_workers_alone)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sink_worker_with(&drill, "say: { words: 'a,b,segv,c,d', repeat: 20 }", "max_attempts: 1",
                         "key: letter, size: 1, concurrency: 2,");
    cr_assert_eq(belt_pipeline_set(p, "processor.steps.0", "letter", &err), 0, "%s", err.text);
    expect_run(p);
    expect_ledger(p, 80, 20);
    cr_assert_eq(heard->inits, 22);
    belt_pipeline_free(p);
}

/* Its rows are failed messages; a batch that cannot be put down ends the run, as ever. */
Test(batch_worker, may_be_that_of_failed_messages)
{
    struct belt_error err = { 0 };
    share_heard();
    struct belt_pipeline *p = pipeline_with(
        &drill.part, "source: { say: { words: 'a,bad1,b,bad2' } }\n"
                     "processor: { concurrency: 1, steps: [ mark: {} ] }\n"
                     "batcher: { sink: null }\n"
                     "failed: { isolation: process, sink: { drill: { format: raw } } }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    expect_ledger(p, 2, 2);
    cr_assert_str_eq(heard->text, "1[e:bad1|bad2|]");
    belt_pipeline_free(p);
}

static int die_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch, (void)err;
    abort();
}

Test(batch_worker, ends_the_run_when_it_cannot_put_down_failed_messages)
{
    static const struct belt_sink deadly = {
        .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "drill", .help = "dies" },
        .batch = die_batch,
    };
    struct belt_error err = { 0 };
    share_heard();
    struct belt_pipeline *p =
        pipeline_with(&deadly.part, "source: { say: { words: 'a,bad1' } }\n"
                                    "processor: { concurrency: 1, steps: [ mark: {} ] }\n"
                                    "batcher: { sink: null }\n"
                                    "failed: { isolation: process, sink: drill }\n");
    cr_assert_eq(run_to_end(p, &err), -ECHILD);
    cr_assert_str_eq(err.text, "failed: 2 workers died under it, the last: killed by SIGABRT");
    belt_pipeline_free(p);
}
