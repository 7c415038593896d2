/* no_new_privs, landlock and seccomp, by hand: the filter is small, and a library
 * for it would be one more thing to install. */
#include "core/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Other architectures: two lines here, and a run of tests/unit/test_worker_sandbox.c. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define FOREIGN 0x40000000u /* x32: the same architecture, other numbers */
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define FOREIGN UINT32_MAX
#else
#error "core/sandbox.c: name this architecture"
#endif

static int refuse(struct belt_error *err, const char *what)
{
    int rc = -errno;
    return belt_error_set(err, rc, "sandbox: strict: %s: %s", what, strerror(-rc));
}

/* ---- system calls ----------------------------------------------------------------- */

enum test { ALWAYS, HAS_BIT, IS };

/* The call is answered with `answer`; with a test only when its argument `arg`
 * passes it, else refused. */
struct rule {
    uint32_t number, answer;
    enum test test;
    uint32_t arg, value;
};

#define ALLOW(name)                                                                                \
    {                                                                                              \
        SYS_##name, SECCOMP_RET_ALLOW, ALWAYS, 0, 0                                                \
    }
#define ALLOW_IF(name, arg, test, value)                                                           \
    {                                                                                              \
        SYS_##name, SECCOMP_RET_ALLOW, test, arg, value                                            \
    }
/* Not death: a callback that is refused can say so, and its message fails at once. */
#define REFUSED (SECCOMP_RET_ERRNO | EPERM)
#define REFUSE(name)                                                                               \
    {                                                                                              \
        SYS_##name, REFUSED, ALWAYS, 0, 0                                                          \
    }

/* From before open() and init() on: what would outlive the cage, or act beside
 * it. A kernel thread of io_uring opens files unseen by any filter. Threads are
 * fine: they are in the cage with us. clone3 hides its flags in memory, and libc
 * turns to clone where there is none. */
static const struct rule forbidden[] = {
    REFUSE(io_uring_setup),
    REFUSE(io_uring_enter),
    REFUSE(io_uring_register),
    REFUSE(execve),
    REFUSE(execveat),
#ifdef SYS_fork
    REFUSE(fork),
    REFUSE(vfork),
#endif
    ALLOW_IF(clone, 0, HAS_BIT, CLONE_THREAD),
    { SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS, ALWAYS, 0, 0 },
};

/* From the first message on: all that there is. */
static const struct rule allowed[] = {
    /* the engine's own, and time */
    ALLOW(futex),
    ALLOW(write),
    ALLOW(clock_gettime),
    ALLOW(clock_getres),
    ALLOW(gettimeofday),
    ALLOW(clock_nanosleep),
    ALLOW(nanosleep),
    ALLOW(restart_syscall),
    ALLOW(sched_yield),
    ALLOW(membarrier),
    /* memory */
    ALLOW(brk),
    ALLOW(mmap),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(mprotect),
    ALLOW(madvise),
    /* what init() opened: a model, a connection. No new address to send to. */
    ALLOW(read),
    ALLOW(readv),
    ALLOW(writev),
    ALLOW(pread64),
    ALLOW(pwrite64),
    ALLOW(lseek),
    ALLOW(fstat),
    ALLOW(close),
    ALLOW(recvfrom),
    ALLOW_IF(sendto, 4, IS, 0),
    ALLOW(ppoll),
    ALLOW(epoll_pwait),
#ifdef SYS_poll
    ALLOW(poll),
    ALLOW(epoll_wait),
#endif
    /* itself: who it is, its signals, its end */
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(getuid),
    ALLOW(geteuid),
    ALLOW(getgid),
    ALLOW(getegid),
    ALLOW(getcpu),
    ALLOW(sched_getaffinity),
    ALLOW(uname),
    ALLOW(getrandom),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigreturn),
    ALLOW(sigaltstack),
    ALLOW(set_robust_list),
    ALLOW(rseq), /* with the above: a thread of init()'s that begins late */
    ALLOW(exit),
    ALLOW(exit_group),
};

#define MOST_CODE 512

struct program {
    struct sock_filter code[MOST_CODE];
    unsigned short used;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    p->code[p->used++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct program *p, size_t at)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void answer(struct program *p, uint32_t with)
{
    emit(p, BPF_RET | BPF_K, with, 0, 0);
}

static void begin(struct program *p)
{
    p->used = 0;
    load(p, offsetof(struct seccomp_data, arch));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
    emit(p, BPF_JMP | BPF_JGE | BPF_K, FOREIGN, 0, 1);
    answer(p, SECCOMP_RET_KILL_PROCESS);
}

/* Expects the call's number to be loaded. An argument has two halves. */
static void add(struct program *p, const struct rule *rule)
{
    const size_t low = offsetof(struct seccomp_data, args) + rule->arg * sizeof(uint64_t);
    static const uint8_t checks[] = { [ALWAYS] = 1, [HAS_BIT] = 4, [IS] = 6 };
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, rule->number, 0, checks[rule->test]);
    if (rule->test != ALWAYS)
        load(p, low);
    if (rule->test == HAS_BIT)
        emit(p, BPF_JMP | BPF_JSET | BPF_K, rule->value, 0, 1);
    if (rule->test == IS) {
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 3);
        load(p, low + sizeof(uint32_t));
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    }
    answer(p, rule->answer);
    if (rule->test != ALWAYS)
        answer(p, REFUSED);
}

/* TSYNC: threads that init() started are in it, too. */
static int install(struct program *p, struct belt_error *err)
{
    struct sock_fprog program = { p->used, p->code };
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (rc > 0)
        return belt_error_set(err, -EBUSY,
                              "sandbox: strict: seccomp: a thread has a filter of its own");
    return rc < 0 ? refuse(err, "seccomp") : 0;
}

static int filter(const struct rule *rules, size_t count, uint32_t otherwise,
                  struct belt_error *err)
{
    /* Signals to itself: abort() sends one. */
    const struct rule own = ALLOW_IF(tgkill, 0, IS, (uint32_t)getpid());
    struct program p;
    begin(&p);
    for (size_t i = 0; i < count; i++)
        add(&p, &rules[i]);
    add(&p, &own);
    answer(&p, otherwise);
    return install(&p, err);
}

/* ---- the file system -------------------------------------------------------------- */

/* What each version of landlock can take away; with no rule added, all of it goes.
 * The kernel's header is older than the kernel on many machines. */
struct landlock {
    uint64_t files, network, scope;
};

static const struct {
    int version;
    size_t size; /* of struct landlock in this version */
    struct landlock takes;
} landlocks[] = {
    { 1, 8, { 0x1fff, 0, 0 } },           /* reading, writing, making, removing */
    { 2, 8, { 1 << 13, 0, 0 } },          /* renaming across directories */
    { 3, 8, { 1 << 14, 0, 0 } },          /* truncating */
    { 4, 16, { 0, 1 << 0 | 1 << 1, 0 } }, /* TCP: bind, connect */
    { 5, 16, { 1 << 15, 0, 0 } },         /* ioctl on devices */
    { 6, 24, { 0, 0, 1 << 0 | 1 << 1 } }, /* abstract sockets, signals */
};

static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
}

static int close_files(struct belt_error *err)
{
    struct landlock all = { 0 };
    size_t size = 0;
    long version = landlock_version();
    for (size_t i = 0; i < sizeof landlocks / sizeof *landlocks; i++) {
        if (landlocks[i].version > version)
            break;
        all.files |= landlocks[i].takes.files;
        all.network |= landlocks[i].takes.network;
        all.scope |= landlocks[i].takes.scope;
        size = landlocks[i].size;
    }
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
    if (rules < 0)
        return refuse(err, "landlock");
    int rc = syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? refuse(err, "landlock") : 0;
    close(rules);
    return rc;
}

/* ---- limits ----------------------------------------------------------------------- */

static int limit(int what, uint64_t most, const char *name, struct belt_error *err)
{
    const struct rlimit limit = { most, most };
    if (setrlimit((__rlimit_resource_t)what, &limit) == 0)
        return 0;
    int rc = -errno;
    return belt_error_set(err, rc, "worker's limit of %s: %s", name, strerror(-rc));
}

/* On top of what there is: the pipeline's region and the program are mapped already. */
static int limit_memory(uint64_t more, struct belt_error *err)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    int got = file ? fscanf(file, "%llu", &pages) : 0;
    if (file)
        fclose(file);
    if (got != 1)
        return belt_error_set(err, -EIO, "memory: cannot read /proc/self/statm");
    return limit(RLIMIT_AS, pages * (uint64_t)sysconf(_SC_PAGESIZE) + more, "memory", err);
}

/* Its stdin and stdout are the engine's, which may be a source and a sink. */
static int give_up_streams(struct belt_error *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return refuse(err, "/dev/null");
    close(null);
    return 0;
}

/* ---- all of it -------------------------------------------------------------------- */

int belt_sandbox_check(const struct belt_worker_conf *conf, const char *whose,
                       struct belt_error *err)
{
    const uint32_t action = SECCOMP_RET_ERRNO;
    if (conf->sandbox == BELT_SANDBOX_NONE)
        return 0;
    const char *lacks = NULL;
    if (landlock_version() < 1)
        lacks = "landlock (Linux 5.13, and `landlock` in its list of security modules)";
    else if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
        lacks = "seccomp filters";
    if (!lacks)
        return 0;
    return belt_error_config(err,
                             "'sandbox' of %s: strict needs %s, which this kernel does not "
                             "offer; sandbox: none runs without",
                             whose, lacks);
}

int belt_sandbox_begin(const struct belt_worker_conf *conf, struct belt_error *err)
{
    int rc = conf->memory ? limit_memory(conf->memory, err) : 0;
    if (rc < 0 || conf->sandbox == BELT_SANDBOX_NONE)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return refuse(err, "no_new_privs");
    rc = limit(RLIMIT_CORE, 0, "core files", err);
    if (rc == 0)
        rc = give_up_streams(err);
    return rc < 0 ? rc
                  : filter(forbidden, sizeof forbidden / sizeof *forbidden, SECCOMP_RET_ALLOW, err);
}

int belt_sandbox_shut(const struct belt_worker_conf *conf, struct belt_error *err)
{
    if (conf->sandbox == BELT_SANDBOX_NONE)
        return 0;
    int rc = close_files(err);
    return rc < 0 ? rc : filter(allowed, sizeof allowed / sizeof *allowed, REFUSED, err);
}
