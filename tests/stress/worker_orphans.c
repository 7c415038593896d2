/* The engine is killed with -9, whatever its workers are at: within a second, or on a busy
 * machine within as long as it takes to kill twenty others one after another, none of its
 * processes is left. And workers outlive the thread that made them. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/pipeline.h"
#include "tests/stress/worker_common.h"

#define SECOND UINT64_C(1000000000)

static int failures;

static void check(int ok, const char *what, const char *of)
{
    printf("%s: %s: %s\n", ok ? "ok" : "not ok", of, what);
    failures += !ok;
}

/* ---- what a worker is at ---------------------------------------------------------- */

static const char *mode;

static int is(const char *word)
{
    return strcmp(mode, word) == 0;
}

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    while (is("in init"))
        pause_us(100000);
    return 0;
}

static int message(void *state, struct belt_view *view, uint32_t i)
{
    (void)state, (void)view, (void)i;
    while (is("asleep in a callback"))
        pause_us(100000);
    while (is("computing in a callback"))
        ;
    return 0;
}

static const struct belt_step step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "busy", .help = "as told", .init = init },
    .message = message,
};

/* ---- the engine, a child of ours -------------------------------------------------- */

static struct belt_pipeline *pipeline;

static void *start(void *unused)
{
    struct belt_error err = { 0 };
    char yaml[400], source[100] = "counter: { count: 1000000000000 }";
    int ends[2];
    if (is("without work") && pipe(ends) == 0)
        snprintf(source, sizeof source, "file: { paths: /proc/self/fd/%d }", ends[0]);
    snprintf(yaml, sizeof yaml,
             "source: { %s }\n"
             "processor: { isolation: process, concurrency: 2, sandbox: %s, steps: [ busy: {} ] }\n"
             "batcher: { isolation: process, sink: 'null' }\n",
             source, is("in its cage") ? "strict" : "none");
    if (belt_pipeline_new(&pipeline, &err) < 0 ||
        belt_pipeline_add(pipeline, &step.part, &err) < 0 ||
        belt_pipeline_load_text(pipeline, yaml, "orphans", &err) < 0 ||
        belt_pipeline_start(pipeline, &err) < 0) {
        printf("not ok: start: %s\n", err.text);
        exit(1);
    }
    return unused;
}

static _Noreturn void engine_main(void)
{
    pthread_t thread; /* which ends while the pipeline goes on */
    pthread_create(&thread, NULL, start, NULL);
    pthread_join(thread, NULL);
    pause_us(60000000);
    _exit(0);
}

/* ---- the test --------------------------------------------------------------------- */

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int wait_for(pid_t engine, const char *named, int least, pid_t workers[WORKERS],
                    pid_t *zygote)
{
    uint64_t until = now_ns() + UINT64_C(30000000000);
    int count = 0;
    while (count < least && now_ns() < until) {
        pause_us(10000);
        count = find_named(engine, named, workers, zygote);
    }
    return count;
}

static int all_gone(struct pollfd *fds, int count, uint64_t within_ns)
{
    uint64_t until = now_ns() + within_ns;
    int gone = 0;
    for (int i = 0; i < count; i++) {
        uint64_t now = now_ns();
        gone += poll(&fds[i], 1, now < until ? (int)((until - now) / 1000000) : 0) == 1;
    }
    return gone == count;
}

/* How long it takes that a child that does nothing is dead: a measure of the machine. */
static uint64_t time_of_a_death(void)
{
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause_us(1000000);
    struct pollfd fd = { .fd = pidfd_of(child), .events = POLLIN };
    pause_us(1000);
    uint64_t from = now_ns();
    kill(child, SIGKILL);
    poll(&fd, 1, -1);
    uint64_t took = now_ns() - from;
    waitpid(child, NULL, 0);
    close(fd.fd);
    return took;
}

static void kill_engine(const char *what)
{
    pid_t workers[WORKERS], zygote = 0;
    struct pollfd fds[WORKERS + 1];
    mode = what;
    fflush(stdout);
    pid_t engine = fork();
    if (engine == 0)
        engine_main();
    int count = wait_for(engine, "belt/worker", 2, workers, &zygote);
    check(count == 2, "two workers", what);
    check(wait_for(engine, "belt/sink", 1, workers, &zygote) == 1, "and that of the sink", what);
    count = find_named(engine, "belt/", workers, &zygote); /* with spares */
    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){ .fd = pidfd_of(workers[i]), .events = POLLIN };
    fds[count] = (struct pollfd){ .fd = pidfd_of(zygote), .events = POLLIN };
    check(!all_gone(fds, count + 1, 0), "they live without the thread that made them", what);
    if (is("stopped"))
        for (int i = 0; i < count; i++)
            kill(workers[i], SIGSTOP);
    uint64_t within = 20 * time_of_a_death();
    kill(engine, SIGKILL);
    check(all_gone(fds, count + 1, within > SECOND ? within : SECOND), "gone at once", what);
    waitpid(engine, NULL, 0);
    for (int i = 0; i <= count; i++)
        close(fds[i].fd);
}

int main(void)
{
    static const char *const modes[] = {
        "at work", "without work", "in init", "asleep in a callback", "computing in a callback",
        "stopped", "in its cage",
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        kill_engine(modes[i]);
    return failures != 0;
}
