/* The chain stage's side of a worker: starting, watching, and finishing what a
 * dead one committed. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/worker_priv.h"

#define MOST_FAILED_STARTS 5

size_t belt_result_size(const struct belt_spec *spec, uint32_t room_size)
{
    return sizeof(struct belt_result) + belt_engine_size(spec->columns_used, room_size);
}

int belt_worker_start(struct belt_worker *worker, struct belt_error *err)
{
    worker->block->ready = 0;
    worker->block->error[0] = 0;
    int pidfd = belt_zygote_spawn(worker->zygote, &worker->map, worker->wake_fd, err);
    if (pidfd < 0)
        return pidfd;
    worker->pidfd = pidfd;
    return 0;
}

void belt_worker_stop(struct belt_worker *worker)
{
    if (worker->pidfd < 0)
        return;
    syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
    close(worker->pidfd);
    worker->pidfd = -1;
}

static void wake(struct belt_worker *worker)
{
    struct belt_worker_block *block = worker->block;
    /* R1, pairs with A1 in wait_for_work(): published frames (freed results) before
     * the word. fetch_add is a full barrier, so `sleeping` is read after it. */
    belt_fetch_add32(&block->wake, 1);
    belt_fence_seq();
    if (belt_load_acquire32(&block->sleeping))
        syscall(SYS_futex, &block->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

const struct belt_result *belt_worker_peek(struct belt_worker *worker)
{
    struct belt_slots slot = belt_peek(&worker->results, 1);
    return slot.count ? slot.first : NULL;
}

void belt_worker_release(struct belt_worker *worker)
{
    belt_release(&worker->results, 1);
    wake(worker);
}

void belt_worker_tell(struct belt_worker *worker, uint64_t input)
{
    if (worker->told == input)
        return;
    worker->told = input;
    wake(worker);
}

/* Redo-or-nothing: the stores of a committed turn are done again, which changes
 * nothing where they were done; what was not committed never happened. */
static void finish_turn(struct belt_worker *worker)
{
    struct belt_worker_block *block = worker->block;
    struct belt_intent last = belt_turn_last(&block->turns);
    belt_ring_redo_publish(worker->results.ring, last.out);
    uint64_t under_work = last.in + 1, at = belt_load_acquire(&block->at);
    if (block->careful != under_work)
        memset(block->attempts, 0, sizeof block->attempts);
    else if (at && block->attempts[at - 1] < UINT8_MAX)
        block->attempts[at - 1]++;
    worker->attempts += at != 0;
    block->careful = under_work;
    block->at = 0;
    block->sleeping = 0;
}

int belt_worker_watch(struct belt_worker *worker, struct belt_error *err)
{
    struct pollfd fd = { .fd = worker->pidfd, .events = POLLIN };
    if (worker->pidfd >= 0 && poll(&fd, 1, 0) == 0)
        return 0;
    if (worker->pidfd >= 0)
        close(worker->pidfd);
    worker->pidfd = -1;
    worker->restarts++;
    if (worker->block->error[0])
        return belt_error_set(err, -ECHILD, "worker %u: %s", worker->map.index,
                              worker->block->error);
    worker->failed_starts = worker->block->ready ? 0 : worker->failed_starts + 1;
    if (worker->failed_starts > MOST_FAILED_STARTS)
        return belt_error_set(err, -ECHILD, "worker %u: died %u times before it was ready",
                              worker->map.index, worker->failed_starts);
    finish_turn(worker);
    int rc = belt_worker_start(worker, err);
    return rc < 0 ? rc : 1;
}
