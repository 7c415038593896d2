/* The chain stage's side of a spare: a process that the zygote forked in advance, which
 * becomes the worker when the one before has died. So a successor waits for no fork, and
 * how the dead one died is asked for when there is time. */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/worker_priv.h"

int belt_spare_ask(struct belt_worker *worker, struct belt_error *err)
{
    worker->asked = true;
    worker->asked_about = worker->unburied;
    return belt_zygote_spare(worker->zygote, &worker->map, worker->wake_fd, worker->unburied, err);
}

bool belt_spare_answered(const struct belt_worker *worker)
{
    /* A6, pairs with R6 in make_spare() of zygote.c: the pid and the status. */
    return worker->asked && belt_load_acquire32(&worker->block->spare.answered);
}

/* Its pidfd, or -1: there is none. From now on it is no spare. Its number cannot be
 * somebody else's before it is buried. */
static int take(struct belt_worker *worker, pid_t *pid)
{
    struct belt_spare *spare = &worker->block->spare;
    if (!belt_spare_answered(worker))
        return -1;
    *pid = spare->pid;
    spare->answered = 0;
    worker->asked = false;
    return *pid > 0 ? (int)syscall(SYS_pidfd_open, *pid, 0) : -1;
}

int belt_spare_promote(struct belt_worker *worker)
{
    int status, pidfd = take(worker, &worker->pid);
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };
    struct belt_error ignored;
    if (pidfd < 0)
        return -1;
    if (poll(&fd, 1, 0) == 0) {
        belt_gate_open(&worker->block->spare.gate);
        return pidfd;
    }
    close(pidfd);
    belt_zygote_bury(worker->zygote, &worker->map, worker->pid, &status, &ignored);
    return -1;
}

void belt_spare_drop(struct belt_worker *worker)
{
    pid_t pid;
    int status, pidfd = take(worker, &pid);
    struct belt_error ignored;
    if (pidfd < 0)
        return;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    close(pidfd);
    belt_zygote_bury(worker->zygote, &worker->map, pid, &status, &ignored);
}
