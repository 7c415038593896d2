/* The zygote: a single-threaded copy of the process that forks workers on
 * request. It holds no lock that another thread could have held. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sandbox_priv.h"
#include "core/worker_priv.h"
#include "numa/pin.h"

/* A zygote that says nothing for so long is stopped, or was never scheduled. */
#define ANSWER_SECONDS 10

struct belt_zygote {
    int socket;
    int pidfd;
    pid_t pid;
    pthread_mutex_t lock; /* one request at a time */
};

enum { ASK_REGION, ASK_SPAWN, ASK_SPARE, ASK_BURY };

struct request {
    int what;
    struct belt_worker_map map; /* SPAWN, SPARE */
    pid_t pid;                  /* BURY, SPARE; or 0 */
};

struct answer {
    int rc;
    pid_t pid;  /* SPAWN */
    int status; /* BURY */
};

/* A message of one struct and at most one descriptor; 0 bytes: the peer is gone. */
static ssize_t send_with_fd(int socket, const void *data, size_t size, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { (void *)(uintptr_t)data, size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static ssize_t receive_with_fd(int socket, void *data, size_t size, int *fd)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { data, size };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    ssize_t got;
    *fd = -1;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(head), sizeof *fd);
    return got;
}

/* ---- the zygote's own life -------------------------------------------------- */

struct life {
    const struct belt_spec *spec;
    int socket, engine; /* engine: its pidfd */
    struct belt_mem region;
    pid_t pid;
};

static _Noreturn void be_worker(const struct life *life, const struct request *request, int wake_fd)
{
    char *region = life->region.base;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have died before that: then nobody will tell us. */
    if (getppid() != life->pid)
        _exit(1);
    close(life->socket);
    close(life->engine);
    belt_worker_main(life->spec, &request->map, region, wake_fd, request->what == ASK_SPARE);
}

static struct answer spawn(struct life *life, const struct request *request, int wake_fd,
                           int *pidfd)
{
    pid_t pid = fork();
    if (pid == 0)
        be_worker(life, request, wake_fd);
    if (pid < 0)
        return (struct answer){ .rc = -errno };
    /* Only we reap it, when told: so the number cannot be somebody else's. */
    *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return (struct answer){ .rc = *pidfd < 0 ? -errno : 0, .pid = pid };
}

static struct answer bury(pid_t pid)
{
    struct answer answer = { .pid = pid };
    while (pid && waitpid(pid, &answer.status, 0) < 0)
        if (errno != EINTR)
            return (struct answer){ .rc = -errno };
    return answer;
}

/* Workers have the mapping from us. Of its pages, only those that they touch are mapped. */
static struct answer map_region(struct life *life, int fd)
{
    struct answer answer = { .rc = belt_mem_attach(&life->region, fd, 1) };
    if (answer.rc == 0)
        close(life->region.fd);
    return answer;
}

/* Nobody waits: the answer is written where the chain stage looks for it. */
static void make_spare(const struct life *life, const struct request *request, int wake_fd)
{
    const uint64_t one = 1;
    char *block = (char *)life->region.base + request->map.block;
    struct belt_spare *spare = &((struct belt_worker_block *)(void *)block)->spare;
    spare->status = bury(request->pid).status;
    spare->gate = 1;
    pid_t pid = fork();
    if (pid == 0)
        be_worker(life, request, wake_fd);
    spare->pid = pid < 0 ? 0 : pid;
    /* R6, pairs with A6 in belt_spare_answered(): pid and status before. */
    belt_store_release32(&spare->answered, 1);
    ssize_t ignored = write(wake_fd, &one, sizeof one);
    (void)ignored; /* full: it is awake */
}

static void serve(struct life *life, const struct request *request, int fd)
{
    int pidfd = -1;
    struct answer answer = { 0 };
    if (request->what == ASK_REGION)
        answer = map_region(life, fd);
    else if (request->what == ASK_SPAWN)
        answer = spawn(life, request, fd, &pidfd);
    else if (request->what == ASK_SPARE)
        make_spare(life, request, fd);
    else
        answer = bury(request->pid);
    if (request->what != ASK_SPARE)
        send_with_fd(life->socket, &answer, sizeof answer, pidfd);
    if (pidfd >= 0)
        close(pidfd);
    if (fd >= 0)
        close(fd);
}

/* The process's other files are not ours to hold: a pipe would never end for its
 * reader while a copy of the writing end lives here. */
static void keep_only(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
    const unsigned first = STDERR_FILENO + 1;
    if (low > first)
        close_range(first, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, UINT_MAX, 0);
}

/* What the application does on signals it does in its own process. When to stop
 * is the engine's to say, even if a terminal or a service manager tells us all. */
static void reset_signals(void)
{
    static const int engines[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    sigset_t none;
    for (int s = 1; s < NSIG; s++) {
        struct sigaction now;
        if (sigaction(s, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            signal(s, SIG_DFL);
    }
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        signal(engines[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take away how workers died */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ends with the engine: its end of the socket may live on in children of its own,
 * so its pidfd is asked, too. Workers follow by PR_SET_PDEATHSIG: this process has
 * one thread, which is their parent. */
static _Noreturn void zygote_main(struct life *life)
{
    struct request request;
    struct pollfd fds[] = { { .fd = life->socket, .events = POLLIN },
                            { .fd = life->engine, .events = POLLIN } };
    int fd;
    keep_only(life->socket, life->engine);
    prctl(PR_SET_NAME, "belt/zygote");
    reset_signals();
    belt_short_slices(); /* workers, too; refused: a death costs more of waiting for CPUs */
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents ||
            receive_with_fd(life->socket, &request, sizeof request, &fd) != sizeof request)
            _exit(0);
        serve(life, &request, fd);
    }
}

/* ---- the engine's side ------------------------------------------------------ */

static int fork_zygote(struct belt_zygote *zygote, const struct belt_spec *spec, int sockets[2])
{
    struct life life = { .spec = spec, .socket = sockets[1] };
    life.engine = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (life.engine < 0)
        return -errno;
    zygote->pid = fork();
    if (zygote->pid == 0) {
        life.pid = getpid();
        zygote_main(&life);
    }
    int rc = zygote->pid < 0 ? -errno : 0;
    close(life.engine);
    if (rc == 0)
        zygote->pidfd = (int)syscall(SYS_pidfd_open, zygote->pid, 0);
    return rc;
}

static int check_sandboxes(const struct belt_spec *spec, struct belt_error *err)
{
    int rc = 0;
    for (int p = 0; rc == 0 && p < spec->processors_used; p++)
        if (spec->processors[p].isolation == BELT_ISOLATION_PROCESS)
            rc = belt_sandbox_check(&spec->processors[p].workers, spec->processors[p].name, err);
    for (int i = 0; rc == 0 && i < belt_spec_outlets(spec); i++)
        if (spec->batchers[i].isolation == BELT_ISOLATION_PROCESS)
            rc = belt_sandbox_check(&spec->batchers[i].workers, spec->batchers[i].path, err);
    return rc;
}

int belt_zygote_new(struct belt_zygote **out, const struct belt_spec *spec, struct belt_error *err)
{
    int sockets[2], rc = check_sandboxes(spec, err);
    if (rc < 0)
        return rc;
    struct belt_zygote *zygote = calloc(1, sizeof *zygote);
    if (!zygote)
        return belt_error_set(err, -ENOMEM, "workers: out of memory");
    zygote->pidfd = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        rc = -errno;
        free(zygote);
        return belt_error_set(err, rc, "workers: socketpair: %s", strerror(-rc));
    }
    const struct timeval most = { .tv_sec = ANSWER_SECONDS };
    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    rc = fork_zygote(zygote, spec, sockets);
    close(sockets[1]);
    zygote->socket = sockets[0];
    pthread_mutex_init(&zygote->lock, NULL);
    if (rc < 0) {
        belt_zygote_free(zygote);
        return belt_error_set(err, rc, "workers: fork: %s", strerror(-rc));
    }
    *out = zygote;
    return 0;
}

static struct answer ask(struct belt_zygote *zygote, const struct request *request, int fd,
                         int *answer_fd)
{
    struct answer answer = { .rc = -EPIPE };
    ssize_t got = -1;
    pthread_mutex_lock(&zygote->lock);
    if (send_with_fd(zygote->socket, request, sizeof *request, fd) == sizeof *request)
        got = receive_with_fd(zygote->socket, &answer, sizeof answer, answer_fd);
    if (got != sizeof answer) {
        answer.rc = got < 0 && errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
        shutdown(zygote->socket, SHUT_RDWR); /* a late answer would be taken for the next */
    }
    pthread_mutex_unlock(&zygote->lock);
    return answer;
}

static int refuse(struct belt_error *err, int rc, const char *who)
{
    if (rc == -EPIPE)
        return belt_error_set(err, rc, "%s: the zygote, which starts workers, is gone", who);
    if (rc == -ETIMEDOUT)
        return belt_error_set(err, rc, "%s: the zygote, which starts workers, does not answer",
                              who);
    return belt_error_set(err, rc, "%s: %s", who, strerror(-rc));
}

static int refuse_worker(struct belt_error *err, int rc, const struct belt_worker_map *map)
{
    char who[32];
    snprintf(who, sizeof who, "worker %u", map->index);
    return refuse(err, rc, who);
}

int belt_zygote_region(struct belt_zygote *zygote, int fd, struct belt_error *err)
{
    int none, rc = ask(zygote, &(struct request){ .what = ASK_REGION }, fd, &none).rc;
    return rc < 0 ? refuse(err, rc, "workers") : 0;
}

int belt_zygote_spawn(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      pid_t *pid, struct belt_error *err)
{
    int pidfd = -1;
    struct request request = { .what = ASK_SPAWN, .map = *map };
    struct answer answer = ask(zygote, &request, wake_fd, &pidfd);
    if (answer.rc < 0)
        return refuse_worker(err, answer.rc, map);
    *pid = answer.pid;
    return pidfd;
}

int belt_zygote_spare(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      pid_t dead, struct belt_error *err)
{
    struct request request = { .what = ASK_SPARE, .map = *map, .pid = dead };
    pthread_mutex_lock(&zygote->lock);
    ssize_t sent = send_with_fd(zygote->socket, &request, sizeof request, wake_fd);
    pthread_mutex_unlock(&zygote->lock);
    return sent == sizeof request ? 0 : refuse_worker(err, -EPIPE, map);
}

int belt_zygote_bury(struct belt_zygote *zygote, const struct belt_worker_map *map, pid_t pid,
                     int *status, struct belt_error *err)
{
    int none;
    struct answer answer =
        ask(zygote, &(struct request){ .what = ASK_BURY, .pid = pid }, -1, &none);
    if (answer.rc < 0)
        return refuse_worker(err, answer.rc, map);
    *status = answer.status;
    return 0;
}

pid_t belt_zygote_pid(const struct belt_zygote *zygote)
{
    return zygote->pid;
}

void belt_zygote_free(struct belt_zygote *zygote)
{
    if (!zygote)
        return;
    close(zygote->socket);
    /* By its pidfd: where SIGCHLD is ignored, the number may be somebody else's. And
     * not by the closed socket alone: a stopped zygote would not see it. */
    if (zygote->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, zygote->pidfd, SIGKILL, NULL, 0);
        close(zygote->pidfd);
    }
    if (zygote->pid > 0)
        while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    pthread_mutex_destroy(&zygote->lock);
    free(zygote);
}
