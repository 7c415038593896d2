#include "io/writer_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST (1u << 30) /* bytes of one write: the kernel takes no more than 2 GiB */

struct belt_write {
    struct belt_write *next; /* in the list it is in */
    struct belt_write *next_of_all;
    struct belt_target *target;
    struct belt_batch *batch;
    uint64_t done;
    int code; /* 1: under way, else 0 or negative */
};

/* ---- SIGPIPE ------------------------------------------------------------------- */

/* Writing to a pipe without a reader raises a signal that would end the
 * program. The result says the same, so we keep it from the program's handlers,
 * for this thread and this moment only. */
struct pipe_guard {
    sigset_t before;
    bool used, was_pending;
};

static struct pipe_guard guard_begin(bool wanted)
{
    struct pipe_guard guard = { .used = wanted };
    sigset_t pipe_only, pending;
    if (!wanted)
        return guard;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    guard.was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &guard.before);
    return guard;
}

static void guard_end(const struct pipe_guard *guard)
{
    const struct timespec now = { 0, 0 };
    sigset_t pipe_only;
    if (!guard->used)
        return;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!guard->was_pending)
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* ---- single writes ------------------------------------------------------------- */

static int refused(const struct belt_target *target, const char *what, int code,
                   struct belt_error *err)
{
    return belt_error_set(err, code, "%s %s: %s", what, target->name, strerror(-code));
}

static void submit(struct belt_writer *writer, struct belt_write *write)
{
    struct belt_target *target = write->target;
    uint64_t left = write->batch->bytes_size - write->done;
    uint64_t at = target->offset == BELT_IO_STREAM ? BELT_IO_STREAM : target->offset + write->done;
    int rc = writer->backend->ops->write(
        writer->backend, target->fd, write->batch->bytes + write->done,
        left < LARGEST ? (uint32_t)left : LARGEST, at, (uint64_t)(uintptr_t)write);
    target->busy = rc >= 0;
    write->code = rc < 0 ? rc : 1;
}

/* Ends the write in its target: the next one goes after it, or where it began. */
static void end(struct belt_write *write, int code)
{
    struct belt_target *target = write->target;
    write->code = code;
    target->busy = false;
    if (target->offset == BELT_IO_STREAM)
        return;
    if (code == 0)
        target->offset += write->done;
    else if (write->done && ftruncate(target->fd, (off_t)target->offset) < 0)
        return; /* a torn row stays unless the next batch covers it */
}

static void landed(struct belt_writer *writer, struct belt_write *write, int64_t result)
{
    if (result == -EAGAIN) {
        /* A descriptor that somebody else made nonblocking. */
        struct pollfd ready = { .fd = write->target->fd, .events = POLLOUT };
        poll(&ready, 1, 100);
    }
    write->done += result > 0 ? (uint64_t)result : 0;
    if (result == -EAGAIN || result == -EINTR ||
        (result > 0 && write->done < write->batch->bytes_size))
        submit(writer, write);
    else
        end(write, result > 0 ? 0 : result < 0 ? (int)result : -EIO);
}

/* ---- the queue ----------------------------------------------------------------- */

/* Starts what may start: the oldest write of each file that has none under way. */
static void start(struct belt_writer *writer)
{
    struct belt_write **link = &writer->waiting;
    while (*link && writer->backend->in_flight < BELT_WRITES) {
        struct belt_write *write = *link;
        if (write->target->busy) {
            link = &write->next;
            continue;
        }
        *link = write->next;
        if (!*link)
            writer->waiting_end = link;
        submit(writer, write);
        if (write->code < 0) {
            write->next = writer->ended;
            writer->ended = write;
        }
    }
}

static void collect(struct belt_writer *writer, bool wait)
{
    struct belt_io_done done[BELT_WRITES];
    uint32_t count;
    while ((count = writer->backend->ops->reap(writer->backend, done, BELT_WRITES, wait))) {
        for (uint32_t i = 0; i < count; i++) {
            struct belt_write *write = (struct belt_write *)(uintptr_t)done[i].cookie;
            landed(writer, write, done[i].result);
            if (write->code == 1)
                continue;
            write->next = writer->ended;
            writer->ended = write;
        }
        start(writer);
        wait = false;
    }
}

void belt_target_account(struct belt_target *target, const struct belt_batch *batch, int code)
{
    bool again = batch->attempt > 1;
    if (code < 0 && !again)
        target->torn++;
    else if (code == 0 && again && target->torn)
        target->torn--;
}

static struct belt_write *take_spare(struct belt_writer *writer)
{
    struct belt_write *write = writer->spare;
    if (write) {
        writer->spare = write->next;
        return write;
    }
    write = calloc(1, sizeof *write);
    if (write) {
        write->next_of_all = writer->all;
        writer->all = write;
    }
    return write;
}

static void give_back(struct belt_writer *writer, struct belt_write *write)
{
    belt_target_account(write->target, write->batch, write->code);
    write->target->queued--;
    write->next = writer->spare;
    writer->spare = write;
}

/* Takes `write` out of the ended ones, if it is there. */
static bool has_ended(struct belt_writer *writer, struct belt_write *write)
{
    for (struct belt_write **link = &writer->ended; *link; link = &(*link)->next)
        if (*link == write) {
            *link = write->next;
            return true;
        }
    return false;
}

/* ---- calls --------------------------------------------------------------------- */

int belt_writer_open(struct belt_writer *writer, const char *backend, struct belt_error *err)
{
    *writer = (struct belt_writer){ .done = belt_batch_done };
    writer->waiting_end = &writer->waiting;
    return belt_backend_open(&writer->backend, backend, BELT_WRITES, err);
}

void belt_writer_close(struct belt_writer *writer)
{
    struct pipe_guard guard = guard_begin(true);
    if (writer->backend)
        writer->backend->ops->destroy(writer->backend);
    guard_end(&guard);
    for (struct belt_write *write = writer->all, *next; write; write = next) {
        next = write->next_of_all;
        free(write);
    }
    *writer = (struct belt_writer){ 0 };
}

int belt_writer_put(struct belt_writer *writer, struct belt_target *target,
                    struct belt_batch *batch, struct belt_error *err)
{
    if (!batch->bytes_size)
        return 0;
    struct belt_write *write = take_spare(writer);
    if (!write) {
        belt_target_account(target, batch, -ENOMEM);
        return refused(target, "write", -ENOMEM, err);
    }
    *write = (struct belt_write){
        .next_of_all = write->next_of_all, .target = target, .batch = batch, .code = 1
    };
    target->queued++;
    *writer->waiting_end = write;
    writer->waiting_end = &write->next;
    struct pipe_guard guard = guard_begin(target->offset == BELT_IO_STREAM);
    start(writer);
    collect(writer, false);
    guard_end(&guard);
    if (!has_ended(writer, write))
        return BELT_PENDING;
    int code = write->code;
    give_back(writer, write);
    return code < 0 ? refused(target, "write", code, err) : 0;
}

int belt_writer_poll(struct belt_writer *writer)
{
    int count = 0;
    if (!writer->backend->in_flight && !writer->ended)
        return 0;
    struct pipe_guard guard = guard_begin(true);
    collect(writer, false);
    guard_end(&guard);
    for (struct belt_write *write; (write = writer->ended); count++) {
        struct belt_batch *batch = write->batch;
        struct belt_error why = { .text = "" };
        int code = write->code;
        if (code < 0)
            refused(write->target, "write", code, &why);
        writer->ended = write->next;
        give_back(writer, write);
        writer->done(batch, code, code < 0 ? why.text : NULL);
    }
    return count;
}

void belt_writer_wait(struct belt_writer *writer)
{
    struct pipe_guard guard = guard_begin(true);
    if (!writer->ended)
        collect(writer, true);
    guard_end(&guard);
}

int belt_writer_header(struct belt_target *target, const char *bytes, uint32_t size,
                       struct belt_error *err)
{
    struct pipe_guard guard = guard_begin(target->offset == BELT_IO_STREAM);
    int code = 0;
    for (uint32_t done = 0; done < size && !code;) {
        ssize_t put = write(target->fd, bytes + done, size - done);
        if (put < 0 && errno == EAGAIN)
            poll(&(struct pollfd){ .fd = target->fd, .events = POLLOUT }, 1, 100);
        else if (put < 0 && errno != EINTR)
            code = -errno;
        done += put > 0 ? (uint32_t)put : 0;
    }
    guard_end(&guard);
    if (code)
        return refused(target, "write", code, err);
    if (target->offset != BELT_IO_STREAM)
        target->offset += size;
    return 0;
}

int belt_writer_sync(struct belt_writer *writer, const struct belt_target *target,
                     struct belt_error *err)
{
    struct belt_io_done done = { 0 };
    int rc = writer->backend->ops->fsync(writer->backend, target->fd, 0);
    while (rc == 0 && writer->backend->ops->reap(writer->backend, &done, 1, true) == 0)
        ;
    if (rc == 0)
        rc = (int)done.result;
    return rc < 0 ? refused(target, "sync", rc, err) : 0;
}
