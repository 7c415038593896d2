/* Pipelines with workers, and a step that does to its process what the message
 * says. Threads and processes of their own; the sink stays in the test. */
#ifndef WORKER_FIXTURE_H
#define WORKER_FIXTURE_H

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/pipeline_priv.h"
#include "core/worker_priv.h"
#include "tests/unit/pipeline_fixture.h"

static inline void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

/* ---- ways to die ------------------------------------------------------------------ */

/* By way of a variable: compilers know what a constant would do. */
static inline void die_segv(void)
{
    volatile uintptr_t nowhere = 64;
    *(volatile int *)nowhere = 1;
}

static inline void die_exit0(void)
{
    exit(0);
}

static inline void die_exit3(void)
{
    _exit(3);
}

/* Not a tail call, and every page of it is touched. */
static int fall(volatile char *above, volatile unsigned *steps)
{
    volatile char here[4096];
    here[0] = *above;
    return --*steps ? fall(here, steps) + here[0] : 0;
}

static inline void die_overflow(void)
{
    volatile unsigned steps = UINT32_MAX;
    volatile char top = 0;
    fall(&top, &steps);
}

static inline void die_kill(void)
{
    kill(getpid(), SIGKILL);
}

static inline void hang_asleep(void)
{
    for (;;)
        pause_ms(1000);
}

static inline void hang_awake(void)
{
    for (volatile int i = 0;; i++)
        ;
}

static inline void hang_stopped(void)
{
    raise(SIGSTOP);
}

static inline void sleep_10ms(void)
{
    pause_ms(10);
}

static const struct {
    const char *word;
    void (*act)(void);
} acts[] = {
    { "abort", abort },      { "segv", die_segv },   { "exit", die_exit3 },
    { "exit0", die_exit0 },  { "kill", die_kill },   { "overflow", die_overflow },
    { "hang", hang_asleep }, { "spin", hang_awake }, { "stop", hang_stopped },
    { "sleep", sleep_10ms },
};

static inline void obey_text(const char *text, uint32_t size)
{
    for (size_t a = 0; a < sizeof acts / sizeof *acts; a++)
        if (size == strlen(acts[a].word) && memcmp(text, acts[a].word, size) == 0)
            acts[a].act();
}

static inline void obey(struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    obey_text(text, size);
    if (size == 4 && memcmp(text, "fail", 4) == 0)
        belt_fail_message(view, i, "as told");
}

static inline int obey_message(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    obey(view, i);
    return 0;
}

static inline uint32_t obey_frame(void *state, struct belt_view *view)
{
    (void)state;
    BELT_EACH (view, i)
        obey(view, i);
    return view->end;
}

static const struct belt_step poison __attribute__((unused)) = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "dies as told" },
    .message = obey_message,
};

static const struct belt_step poison_frame __attribute__((unused)) = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "dies as told" },
    .frame = obey_frame,
};

/* ---- pipelines -------------------------------------------------------------------- */

/* Deaths leave nothing behind. */
static inline void no_cores(void)
{
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
}

static inline struct belt_pipeline *workers_with(const struct belt_step *step, const char *source,
                                                 const char *processor)
{
    no_cores();
    char yaml[5000];
    snprintf(yaml, sizeof yaml,
             "source: { say: { %s } }\nprocessor: { isolation: process, concurrency: 1, %s }\n"
             "batcher: { sink: keep_all }\n",
             source, processor);
    return pipeline_with(step ? &step->part : NULL, yaml);
}

static inline void expect_run(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
}

static inline void expect_failure(struct belt_pipeline *p, const char *reason)
{
    struct belt_failure failure = { .reason = "" };
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.reason, reason);
}

static inline uint64_t restarts(struct belt_pipeline *p)
{
    return p->run->chains[0].stage.stats.restarts;
}

static inline uint64_t attempts(struct belt_pipeline *p)
{
    return p->run->chains[0].stage.stats.attempts;
}

static inline uint64_t hangs(struct belt_pipeline *p)
{
    return p->run->chains[0].stage.stats.hangs;
}

/* Rows of all batches, without what stands around them. */
static inline const char *rows(void)
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

/* ---- while it runs ---------------------------------------------------------------- */

static inline void wait_for_done(struct belt_pipeline *p, uint64_t done)
{
    struct belt_error err = { 0 };
    while (totals_of(p).done < done)
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT, "%s", err.text);
}

static inline void signal_worker(struct belt_pipeline *p, int chain, int number)
{
    syscall(SYS_pidfd_send_signal, p->run->chains[chain].worker->pidfd, number, NULL, 0);
}

/* A pipeline that reads a pipe: ends[1] is its input. */
static inline struct belt_pipeline *piped_workers(int ends[2], const struct belt_step *step,
                                                  const char *processor)
{
    char yaml[2000];
    struct belt_error err = { 0 };
    cr_assert_eq(pipe(ends), 0);
    snprintf(yaml, sizeof yaml,
             "source: { file: { paths: /proc/self/fd/%d } }\n"
             "processor: { isolation: process, concurrency: 1, %s }\n"
             "batcher: { timeout: 1ms, sink: keep_all }\n",
             ends[0], processor);
    struct belt_pipeline *p = pipeline_with(&step->part, yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    return p;
}

static inline void say(int ends[2], const char *lines)
{
    cr_assert_eq(write(ends[1], lines, strlen(lines)), (ssize_t)strlen(lines));
}

static inline void end_piped(struct belt_pipeline *p, int ends[2])
{
    struct belt_error err = { 0 };
    close(ends[1]);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
    close(ends[0]);
    belt_pipeline_free(p);
}

#endif
