/* Every way to die: the message at fault fails, with what it did; all others pass. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/worker_fixture.h"

#define HARMLESS 300

/* What happens to a message that kills, among others that do not. */
static void expect_only_it_fails(const struct belt_step *step, const char *word, const char *death,
                                 const char *settings)
{
    char source[4000], processor[200], reason[BELT_REASON];
    char *at = source + sprintf(source, "words: 'a,%s", word);
    for (int i = 1; i < HARMLESS; i++)
        at += sprintf(at, ",a");
    strcpy(at, "'");
    snprintf(processor, sizeof processor, "max_attempts: 2, %s steps: [ poison: {} ]", settings);
    struct belt_pipeline *p = workers_with(step, source, processor);
    expect_run(p);
    snprintf(reason, sizeof reason, "2 workers died under it, the last: %s", death);
    expect_failure(p, reason);
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(totals_of(p).done, HARMLESS);
    cr_assert_eq(attempts(p), 2, "innocents pay nothing");
    cr_assert_eq(restarts(p), 3, "one death to learn of it, two attempts");
    belt_pipeline_free(p);
}

#define DIES(name, word, death)                                                                    \
    Test(worker_death, in_message_##name, .timeout = 30)                                           \
    {                                                                                              \
        expect_only_it_fails(&poison, word, death, "");                                            \
    }                                                                                              \
    Test(worker_death, in_frame_##name, .timeout = 30)                                             \
    {                                                                                              \
        expect_only_it_fails(&poison_frame, word, death, "");                                      \
    }

DIES(by_a_wrong_pointer, "segv", "killed by SIGSEGV")
DIES(by_abort, "abort", "killed by SIGABRT")
DIES(by_exit_as_if_all_were_well, "exit0", "left with exit code 0")
DIES(by_underscore_exit, "exit", "left with exit code 3")
DIES(by_kill_nine, "kill", "killed by SIGKILL")
DIES(by_running_out_of_stack, "overflow", "killed by SIGSEGV")

/* ---- out of memory ---------------------------------------------------------------- */

/* "oom" takes all there is, and does not look whether it got it. */
static int hungry_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (memcmp(belt_text(view, 0, i, &size), "oom", 3) != 0)
        return 0;
    for (int block = 0; block < 1024; block++) {
        char *memory = mmap(NULL, 16u << 20, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            abort();
    }
    return 0;
}

static const struct belt_step hungry = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "eats memory" },
    .message = hungry_message,
};

Test(worker_death, by_running_out_of_memory, .timeout = 30)
{
    expect_only_it_fails(&hungry, "oom", "killed by SIGABRT", "memory: 256MiB,");
}

Test(worker_death, leaves_memory_alone_that_is_not_limited, .timeout = 30)
{
    struct belt_pipeline *p =
        workers_with(&hungry, "words: 'a,oom,a'", "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 3);
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

/* ---- who hears of it --------------------------------------------------------------- */

/* Words that steps were told of as failed; "deaf" kills who is told. Shared with workers. */
static struct told {
    char text[4000];
    uint32_t used;
} * told;

static void hear_of(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    uint32_t size;
    (void)state;
    const char *text = belt_text(view, 0, i, &size);
    told->used += (uint32_t)sprintf(told->text + told->used, "%.*s|", (int)size, text);
    if (size == 4 && memcmp(text, "deaf", 4) == 0)
        abort();
    belt_fail_message(view, i, strstr(reason, "workers died") ? "it killed" : reason);
}

static int obey_or_go_deaf(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (size == 4 && memcmp(text, "deaf", 4) == 0)
        belt_fail_message(view, i, "as told");
    return obey_message(state, view, i);
}

static const struct belt_step hears = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "hears of failures" },
    .message = obey_or_go_deaf,
    .failed = hear_of,
};

Test(worker_death, is_heard_of_by_steps_as_every_failure, .timeout = 30)
{
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct belt_pipeline *p =
        workers_with(&hears, "words: 'a,abort,b,fail,c'", "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(told->text, "abort|fail|");
    cr_assert_str_eq(rows(), "a|b|c|");
    expect_failure(p, "it killed");
    cr_assert_eq(totals_of(p).failed, 2);
    belt_pipeline_free(p);
}

/* In `message` nobody dies of it: the message is told as often as it would be tried. */
Test(worker_death, of_hearing_of_a_failure_ends, .timeout = 30)
{
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct belt_pipeline *p =
        workers_with(&hears, "words: 'a,deaf,b'", "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_str_eq(told->text, "deaf|deaf|deaf|deaf|deaf|");
    cr_assert_str_eq(rows(), "a|b|");
    expect_failure(p, "4 workers died under it, the last: killed by SIGABRT");
    belt_pipeline_free(p);
}

/* ---- what a death must not do ----------------------------------------------------- */

static _Atomic int *exits; /* shared with the workers */

static void count_exit(void)
{
    (*exits)++;
}

Test(worker_death, runs_no_exit_handler_of_the_application, .timeout = 30)
{
    exits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(exits, MAP_FAILED);
    atexit(count_exit);
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,exit0'", "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    cr_assert_eq(restarts(p), 2);
    cr_assert_eq(*exits, 0);
    belt_pipeline_free(p);
}

static void count_signal(int number)
{
    (void)number;
    (*exits)++;
}

Test(worker_death, runs_no_signal_handler_of_the_application, .timeout = 30)
{
    exits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(exits, MAP_FAILED);
    signal(SIGABRT, count_signal);
    struct belt_pipeline *p =
        workers_with(&poison, "words: 'a,abort'", "max_attempts: 1, steps: [ poison: {} ]");
    expect_run(p);
    expect_failure(p, "1 workers died under it, the last: killed by SIGABRT");
    cr_assert_eq(*exits, 0);
    belt_pipeline_free(p);
}

/* A terminal or a service manager tells all processes; the engine alone drains. */
Test(worker_death, does_not_come_from_a_request_to_stop, .timeout = 30)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    int ends[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends, &poison, "steps: [ poison: {} ]");
    say(ends, "a\n");
    wait_for_done(p, 1);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        signal_worker(p, 0, stops[i]);
        kill(belt_zygote_pid(p->zygote), stops[i]);
    }
    belt_pipeline_wait(p, 50000000, &err);
    say(ends, "b\n");
    wait_for_done(p, 2);
    cr_assert_eq(restarts(p), 0);
    end_piped(p, ends);
}

Test(worker_death, leaves_the_other_workers_alone, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(
        &poison.part, "source: { counter: { count: 100000000000 } }\n"
                      "processor: { isolation: process, concurrency: 2, steps: [ poison: {} ] }\n"
                      "batcher: { sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    wait_for_done(p, 10000);
    pid_t other = p->run->chains[1].worker->pid;
    for (uint64_t i = 1; i <= 5; i++) {
        signal_worker(p, 0, SIGKILL);
        while (belt_load_relaxed(&p->run->chains[0].stage.stats.restarts) < i)
            belt_pipeline_wait(p, 1000000, &err);
    }
    cr_assert_eq(belt_load_relaxed(&p->run->chains[1].stage.stats.restarts), 0);
    cr_assert_eq(p->run->chains[1].worker->pid, other);
    belt_pipeline_stop(p, UINT64_C(10000000000));
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}
