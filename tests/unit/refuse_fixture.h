/* System calls that fail, or answer what a test wants: by a filter, which stays for
 * the rest of its thread's life. So tests run such bodies by refusing(). */
#ifndef BELT_REFUSE_FIXTURE_H
#define BELT_REFUSE_FIXTURE_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static inline int refuse_by(struct sock_filter *code, unsigned short length)
{
    struct sock_fprog program = { length, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* 0: from now on the call fails with `error`. */
static inline int refuse(long nr, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return refuse_by(code, sizeof code / sizeof *code);
}

/* As refuse(), where the low half of argument `arg` is `value`. */
static inline int refuse_if(long nr, unsigned arg, unsigned value, int error)
{
    unsigned at = (unsigned)offsetof(struct seccomp_data, args) + 8 * arg;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return refuse_by(code, sizeof code / sizeof *code);
}

/* Files cannot be opened any more. */
static inline int refuse_files(int error)
{
    return refuse(SYS_openat, error) < 0 ? -1 : refuse(SYS_open, error);
}

/* ---- answers of our own ------------------------------------------------------ */

/* What the call returns to whoever made it: a result or -errno. */
typedef long (*call_answer)(long first, long second);

static call_answer answer_now;

static inline void answer_call(int signal, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    (void)signal;
    (void)info;
#if defined(__x86_64__)
    greg_t *regs = at->uc_mcontext.gregs;
    regs[REG_RAX] = answer_now((long)regs[REG_RDI], (long)regs[REG_RSI]);
#elif defined(__aarch64__)
    at->uc_mcontext.regs[0] =
        (uint64_t)answer_now((long)at->uc_mcontext.regs[0], (long)at->uc_mcontext.regs[1]);
#endif
}

/* 0: from now on `answer` is asked instead of the kernel. One call at a time. */
static inline int answer_for(long nr, call_answer answer)
{
    struct sigaction action = { .sa_sigaction = answer_call, .sa_flags = SA_SIGINFO };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    answer_now = answer;
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return -1;
    return refuse_by(code, sizeof code / sizeof *code);
}

/* ---- a thread with its own filters ------------------------------------------- */

struct refusing {
    int (*body)(void *arg);
    void *arg;
    int rc;
};

static inline void *refusing_thread(void *arg)
{
    struct refusing *refusing = arg;
    refusing->rc = refusing->body(refusing->arg);
    return NULL;
}

/* What body returned: 0, when all went as it should. */
static inline int refusing(int (*body)(void *arg), void *arg)
{
    struct refusing refusing = { body, arg, -1 };
    pthread_t thread;
    if (pthread_create(&thread, NULL, refusing_thread, &refusing) == 0)
        pthread_join(thread, NULL);
    return refusing.rc;
}

#define expect_refused(body, arg) cr_assert_eq(refusing((body), (arg)), 0, "see above")

#endif
