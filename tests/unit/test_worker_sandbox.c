/* sandbox: strict. A step tries what its message says; what it may not do is
 * refused, and the step lets the message fail with the reason. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/worker_fixture.h"

/* ---- what is tried ---------------------------------------------------------------- */

/* Each: negative with errno when refused. What succeeds is undone. */

static long undo_fd(long fd)
{
    if (fd >= 0)
        close((int)fd);
    return fd;
}

static long undo_child(pid_t child)
{
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return child;
}

static long try_read_file(void)
{
    return undo_fd(open("/etc/passwd", O_RDONLY));
}

static long try_write_file(void)
{
    return undo_fd(open("/tmp", O_RDWR | O_TMPFILE, 0600));
}

static long try_stat(void)
{
    struct stat st;
    return stat("/etc/passwd", &st);
}

static long try_socket(void)
{
    return undo_fd(socket(AF_INET, SOCK_DGRAM, 0));
}

static long try_fork(void)
{
    return undo_child(fork());
}

static long try_clone(void)
{
    return undo_child((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static long try_exec(void)
{
    return access("/bin/true", X_OK) < 0 ? -1 : system("/bin/true") == 0 ? 0 : -1;
}

static long try_uring(void)
{
    char params[256] = { 0 };
    return undo_fd(syscall(SYS_io_uring_setup, 8, params));
}

static long try_signal(void)
{
    return kill(getppid(), 0);
}

static long try_trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static long try_limit(void)
{
    struct rlimit files = { 0, 0 };
    getrlimit(RLIMIT_NOFILE, &files);
    return setrlimit(RLIMIT_NOFILE, &files);
}

static long try_outlive(void)
{
    return prctl(PR_SET_PDEATHSIG, 0);
}

static long try_memory(void)
{
    char *memory =
        mmap(NULL, 64u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    memset(memory, 1, 1u << 20);
    return munmap(memory, 64u << 20);
}

static long try_malloc(void)
{
    char *volatile memory = malloc(300000);
    long rc = memory ? 0 : -1;
    free(memory);
    return rc;
}

static long try_sleep(void)
{
    return usleep(1000);
}

static long try_stderr(void)
{
    return (long)write(STDERR_FILENO, "", 0);
}

static long try_handler(void)
{
    return signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : raise(SIGUSR1);
}

static const struct {
    const char *word;
    long (*act)(void);
    bool strict; /* allowed there, too */
} tries[] = {
    { "read_file", try_read_file, false }, { "write_file", try_write_file, false },
    { "stat", try_stat, false },           { "socket", try_socket, false },
    { "fork", try_fork, false },           { "clone", try_clone, false },
    { "exec", try_exec, false },           { "uring", try_uring, false },
    { "signal", try_signal, false },       { "trace", try_trace, false },
    { "limit", try_limit, false },         { "outlive", try_outlive, false },
    { "memory", try_memory, true },        { "malloc", try_malloc, true },
    { "sleep", try_sleep, true },          { "stderr", try_stderr, true },
    { "handler", try_handler, true },
};

#define TRIES (sizeof tries / sizeof *tries)

static int try_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    for (size_t t = 0; t < TRIES; t++) {
        if (size != strlen(tries[t].word) || memcmp(text, tries[t].word, size) != 0)
            continue;
        errno = 0;
        if (tries[t].act() < 0) {
            char reason[BELT_REASON];
            snprintf(reason, sizeof reason, "%s: %s", tries[t].word, strerrorname_np(errno));
            belt_fail_message(view, i, reason);
        }
        return 0;
    }
    obey(view, i);
    return 0;
}

static const struct belt_step trying = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "poison", .help = "tries as told" },
    .message = try_message,
};

static struct belt_pipeline *trying_one(const struct belt_step *step, const char *word,
                                        const char *settings)
{
    char source[100], processor[200];
    snprintf(source, sizeof source, "words: 'a,%s,b'", word);
    snprintf(processor, sizeof processor, "max_attempts: 1, %s, steps: [ poison: {} ]", settings);
    struct belt_pipeline *p = workers_with(step, source, processor);
    expect_run(p);
    cr_assert_eq(restarts(p), 0, "%s", word);
    return p;
}

Test(worker_sandbox, refuses_what_a_callback_has_no_business_with, .timeout = 60)
{
    for (size_t t = 0; t < TRIES; t++) {
        char reason[100];
        snprintf(reason, sizeof reason, "%s: EPERM", tries[t].word);
        struct belt_pipeline *p = trying_one(&trying, tries[t].word, "sandbox: strict");
        if (tries[t].strict)
            cr_assert_eq(totals_of(p).done, 3, "%s", tries[t].word);
        else
            expect_failure(p, reason);
        belt_pipeline_free(p);
    }
}

/* So that what is refused above is refused by the sandbox, not by the machine. */
Test(worker_sandbox, refuses_nothing_when_there_is_none, .timeout = 60)
{
    for (size_t t = 0; t < TRIES; t++) {
        struct belt_pipeline *p = trying_one(&trying, tries[t].word, "sandbox: none");
        if (strcmp(tries[t].word, "uring") != 0) /* containers forbid it */
            cr_assert_eq(totals_of(p).done, 3, "%s", tries[t].word);
        belt_pipeline_free(p);
    }
}

/* ---- dying in it ------------------------------------------------------------------ */

static void expect_death(const char *word, const char *death)
{
    char source[100], reason[BELT_REASON];
    snprintf(source, sizeof source, "words: 'a,%s,b'", word);
    struct belt_pipeline *p = workers_with(
        &trying, source, "max_attempts: 1, sandbox: strict, timeout: 300ms, steps: [ poison: {} ]");
    expect_run(p);
    snprintf(reason, sizeof reason, "1 workers died under it, the last: %s", death);
    expect_failure(p, reason);
    cr_assert_str_eq(rows(), "a|b|");
    belt_pipeline_free(p);
}

Test(worker_sandbox, changes_nothing_about_deaths, .timeout = 60)
{
    expect_death("abort", "killed by SIGABRT");
    expect_death("segv", "killed by SIGSEGV");
    expect_death("exit0", "left with exit code 0");
    expect_death("hang", "killed: longer than timeout: 300ms");
}

/* ---- init ------------------------------------------------------------------------- */

static int model = -1;
static _Atomic int go, answered; /* to and from the thread */

static void *thread_main(void *unused)
{
    (void)unused;
    while (!go)
        sched_yield();
    answered = try_read_file() < 0 ? errno : -1;
    return NULL;
}

static int init_opens(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    pthread_t thread;
    (void)state, (void)conf, (void)in;
    model = open("/proc/self/exe", O_RDONLY);
    if (model < 0 || pthread_create(&thread, NULL, thread_main, NULL) != 0)
        return belt_error_set(err, -EIO, "init cannot open its things");
    if (try_uring() >= 0 || errno != EPERM || try_fork() >= 0 || errno != EPERM)
        return belt_error_set(err, -EIO, "init can do too much");
    return 0;
}

static int use_message(void *state, struct belt_view *view, uint32_t i)
{
    char head[4] = "";
    uint32_t size;
    (void)state;
    const char *text = belt_text(view, 0, i, &size);
    if (*text == 'm' && (pread(model, head, 4, 0) != 4 || memcmp(head, "\177ELF", 4) != 0))
        belt_fail_message(view, i, "cannot read what init opened");
    if (*text == 't') {
        go = 1;
        while (!answered)
            sched_yield();
        if (answered != EPERM)
            belt_fail_message(view, i, "a thread is outside");
    }
    return 0;
}

static const struct belt_step opening = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "poison",
              .help = "opens in init",
              .init = init_opens },
    .message = use_message,
};

Test(worker_sandbox, lets_callbacks_use_what_init_opened, .timeout = 30)
{
    struct belt_pipeline *p = trying_one(&opening, "model", "sandbox: strict");
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

Test(worker_sandbox, holds_threads_that_init_started, .timeout = 30)
{
    struct belt_pipeline *p = trying_one(&opening, "thread", "sandbox: strict");
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

/* ---- memory ----------------------------------------------------------------------- */

Test(worker_sandbox, bounds_memory_also_without_a_cage, .timeout = 30)
{
    struct belt_pipeline *p = trying_one(&trying, "memory", "memory: 32MiB");
    expect_failure(p, "memory: ENOMEM");
    belt_pipeline_free(p);
    p = trying_one(&trying, "malloc", "memory: 32MiB");
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}

/* ---- kernels that lack it --------------------------------------------------------- */

static void lack(long number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void expect_lack(long number, const char *name)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        workers_with(&trying, "words: a", "sandbox: strict, steps: [ poison: {} ]");
    lack(number);
    cr_assert_eq(belt_pipeline_start(p, &err), -EINVAL);
    cr_assert_eq(err.config, 1);
    cr_assert_not_null(strstr(err.text, name), "%s", err.text);
    belt_pipeline_free(p);
}

Test(worker_sandbox, says_that_the_kernel_lacks_landlock, .timeout = 30)
{
    expect_lack(SYS_landlock_create_ruleset, "strict needs landlock");
}

Test(worker_sandbox, says_that_the_kernel_lacks_seccomp, .timeout = 30)
{
    expect_lack(SYS_seccomp, "strict needs seccomp filters");
}
