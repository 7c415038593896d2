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
#include <sys/wait.h>
#include <unistd.h>

#include "core/worker_priv.h"

struct belt_zygote {
    int socket;
    pid_t pid;
    pthread_mutex_t lock; /* one request at a time */
};

enum { ASK_REGION, ASK_SPAWN };

struct request {
    int what;
    struct belt_worker_map map;
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

static void answer_spawn(const struct belt_spec *spec, int socket, const struct request *request,
                         int region, int wake_fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(socket);
        belt_worker_main(spec, &request->map, region, wake_fd);
    }
    int rc = pid < 0 ? -errno : 0;
    /* Not reaped before the next request, so the number cannot be somebody else's. */
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (rc == 0 && pidfd < 0)
        rc = -errno;
    send_with_fd(socket, &rc, sizeof rc, pidfd);
    if (pidfd >= 0)
        close(pidfd);
}

/* The process's other files are not ours to hold: a pipe would never end for its
 * reader while a copy of the writing end lives here. */
static int keep_socket_only(int socket)
{
    const int kept = STDERR_FILENO + 1;
    if (socket != kept && dup2(socket, kept) < 0)
        return socket;
    close_range((unsigned)kept + 1, UINT_MAX, 0);
    return kept;
}

static _Noreturn void zygote_main(const struct belt_spec *spec, int socket)
{
    int region = -1, fd;
    struct request request;
    socket = keep_socket_only(socket);
    prctl(PR_SET_NAME, "belt/zygote");
    signal(SIGINT, SIG_IGN); /* the engine decides when to stop */
    while (receive_with_fd(socket, &request, sizeof request, &fd) == sizeof request) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (request.what == ASK_REGION) {
            int rc = 0;
            region = fd;
            send_with_fd(socket, &rc, sizeof rc, -1);
            continue;
        }
        answer_spawn(spec, socket, &request, region, fd);
        close(fd);
    }
    _exit(0); /* the engine is gone; workers follow by PR_SET_PDEATHSIG */
}

/* ---- the engine's side ------------------------------------------------------ */

int belt_zygote_new(struct belt_zygote **out, const struct belt_spec *spec, struct belt_error *err)
{
    int sockets[2];
    struct belt_zygote *zygote = calloc(1, sizeof *zygote);
    if (!zygote)
        return belt_error_set(err, -ENOMEM, "workers: out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        int rc = -errno;
        free(zygote);
        return belt_error_set(err, rc, "workers: socketpair: %s", strerror(-rc));
    }
    zygote->pid = fork();
    if (zygote->pid == 0) {
        close(sockets[0]);
        zygote_main(spec, sockets[1]);
    }
    int rc = zygote->pid < 0 ? -errno : 0;
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

static int ask(struct belt_zygote *zygote, const struct request *request, int fd, int *answer_fd)
{
    int rc = -EPIPE;
    pthread_mutex_lock(&zygote->lock);
    if (send_with_fd(zygote->socket, request, sizeof *request, fd) != sizeof *request ||
        receive_with_fd(zygote->socket, &rc, sizeof rc, answer_fd) != sizeof rc)
        rc = -EPIPE;
    pthread_mutex_unlock(&zygote->lock);
    return rc;
}

int belt_zygote_region(struct belt_zygote *zygote, int fd, struct belt_error *err)
{
    int none;
    int rc = ask(zygote, &(struct request){ .what = ASK_REGION }, fd, &none);
    return rc < 0 ? belt_error_set(err, rc, "workers: the zygote does not answer") : 0;
}

int belt_zygote_spawn(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      struct belt_error *err)
{
    int pidfd = -1;
    struct request request = { .what = ASK_SPAWN, .map = *map };
    int rc = ask(zygote, &request, wake_fd, &pidfd);
    if (rc < 0)
        return belt_error_set(err, rc, "worker %u: %s", map->index, strerror(-rc));
    return pidfd;
}

void belt_zygote_free(struct belt_zygote *zygote)
{
    if (!zygote)
        return;
    close(zygote->socket);
    if (zygote->pid > 0)
        while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    pthread_mutex_destroy(&zygote->lock);
    free(zygote);
}
