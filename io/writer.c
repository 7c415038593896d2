#include "io/writer_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/write_priv.h"

#define LARGEST (1u << 30) /* bytes of one write: the kernel takes no more than 2 GiB */
#define SPARES 16          /* made at the start: as many as there are batches out */

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

int belt_target_error(struct belt_target *target, const char *what, int code,
                      struct belt_error *err)
{
    const char *name = target->name ? target->name : target->name_of(target);
    return belt_error_set(err, code, "%s %s: %s", what, name, strerror(-code));
}

int belt_write_next(struct belt_write *write)
{
    if (write->packer)
        return belt_packer_next(write->packer, &write->piece, &write->piece_size);
    uint64_t left = write->batch->bytes_size - write->taken;
    write->piece = write->batch->bytes + write->taken;
    write->piece_size = left < LARGEST ? (uint32_t)left : LARGEST;
    write->taken += write->piece_size;
    return 0;
}

void belt_write_restart(struct belt_write *write)
{
    write->taken = 0;
    write->piece_size = 0;
    if (write->packer)
        belt_packer_begin(write->packer, write->batch->bytes, write->batch->bytes_size);
}

void belt_write_unpack(struct belt_writer *writer, struct belt_write *write)
{
    for (uint32_t p = 0; write->packer && p < writer->packers_used; p++)
        if (writer->packers[p] == write->packer)
            writer->packing &= ~(1u << p);
    write->packer = NULL;
}

/* 0: under way; else bytes written at once, or negative. */
static int64_t submit(struct belt_writer *writer, struct belt_write *write)
{
    const struct belt_target *target = write->target;
    const struct belt_backend_ops *ops = writer->backend->ops;
    bool stream = target->offset == BELT_IO_STREAM;
    uint64_t at = stream ? BELT_IO_STREAM : target->offset + write->written;
    if (ops->write_now && !stream)
        return ops->write_now(target->fd, write->piece, write->piece_size, at);
    return ops->write(writer->backend, target->fd, write->piece, write->piece_size, at,
                      (uint64_t)(uintptr_t)write);
}

/* Ends the write in its target: the next one goes after it, or where it began. */
static void end(struct belt_writer *writer, struct belt_write *write, int code)
{
    struct belt_target *target = write->target;
    write->code = code;
    target->busy = false;
    target->ahead -= write->batch->bytes_size;
    writer->writes--;
    belt_write_unpack(writer, write);
    bool stream = target->offset == BELT_IO_STREAM;
    if (code == 0 && !stream)
        target->offset += write->written;
    else if (write->written && !stream && ftruncate(target->fd, (off_t)target->offset) < 0)
        write->written = 0; /* a torn row stays unless the next batch covers it */
    if (writer->durable && !stream && belt_write_is_fatal(code))
        target->broken = code;
    if (code == 0 && target->broken) {
        write->code = target->broken;
        write->what = "sync";
    }
    if (write->code == 0 && writer->durable && !stream)
        belt_sync_add(writer, write);
    else
        belt_write_append(&writer->ended, write);
}

/* What a write has come to: is there more to do? Else it has failed with *code. */
static bool advance(struct belt_write *write, int64_t result, int *code)
{
    if (result == -EAGAIN) {
        /* A descriptor that somebody else made nonblocking. */
        struct pollfd ready = { .fd = write->target->fd, .events = POLLOUT };
        poll(&ready, 1, 100);
    }
    if (result > 0) {
        write->written += (uint64_t)result;
        write->piece += result;
        write->piece_size -= (uint32_t)result;
    }
    *code = result < 0 ? (int)result : -EIO;
    return result > 0 || result == -EAGAIN || result == -EINTR;
}

/* Goes on with the piece in hand, or the next one, until the kernel takes its time. */
static void go_on(struct belt_writer *writer, struct belt_write *write)
{
    int code = 0;
    for (;;) {
        code = write->piece_size ? 0 : belt_write_next(write);
        if (code < 0 || !write->piece_size)
            break;
        int64_t result = submit(writer, write);
        if (!result)
            return;
        if (!advance(write, result, &code))
            break;
    }
    end(writer, write, code);
}

static void landed(struct belt_writer *writer, struct belt_write *write, int64_t result)
{
    int code;
    if (advance(write, result, &code))
        go_on(writer, write);
    else
        end(writer, write, code);
}

/* ---- the queue ----------------------------------------------------------------- */

static bool take_packer(struct belt_writer *writer, struct belt_write *write)
{
    uint32_t p = (uint32_t)__builtin_ctz(~writer->packing);
    if (!writer->packers_used || write->packer)
        return true;
    if (p >= writer->packers_used)
        return false;
    writer->packing |= 1u << p;
    write->packer = writer->packers[p];
    belt_packer_begin(write->packer, write->batch->bytes, write->batch->bytes_size);
    return true;
}

static void begin(struct belt_writer *writer, struct belt_write *write)
{
    write->target->busy = true;
    writer->writes++;
    if (write->target->broken)
        end(writer, write, 0);
    else
        go_on(writer, write);
}

/* Starts what may start: the oldest write of each file that has none under way. */
static void start(struct belt_writer *writer)
{
    struct belt_write *write, *last = NULL, *next;
    for (write = writer->waiting.first; write; write = next) {
        struct belt_target *target = write->target;
        bool ready = target->unit || (!target->busy && writer->writes < BELT_WRITES);
        next = write->next;
        if (ready && !take_packer(writer, write))
            break;
        if (!ready || (target->unit && !belt_direct_take(writer, write))) {
            last = write;
            continue;
        }
        *(last ? &last->next : &writer->waiting.first) = next;
        if (!next)
            writer->waiting.last = last;
        if (!target->unit)
            begin(writer, write);
    }
    belt_direct_start(writer);
    belt_sync_start(writer, false);
}

static void collect(struct belt_writer *writer, bool wait)
{
    struct belt_io_done done[BELT_WRITES + BELT_SYNCS];
    uint32_t count;
    while ((count = writer->backend->ops->reap(writer->backend, done, BELT_WRITES + BELT_SYNCS,
                                               wait))) {
        for (uint32_t i = 0; i < count; i++) {
            uintptr_t who = (uintptr_t)done[i].cookie & ~(uintptr_t)BELT_COOKIE_MARKS;
            if (done[i].cookie & BELT_SYNC_COOKIE)
                belt_sync_landed(writer, (struct belt_target *)who, done[i].result);
            else if (done[i].cookie & BELT_DIRECT_COOKIE)
                belt_direct_landed(writer, (struct belt_target *)who, done[i].result);
            else
                landed(writer, (struct belt_write *)who, done[i].result);
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

static struct belt_write *make_spare(struct belt_writer *writer)
{
    struct belt_write *write = calloc(1, sizeof *write);
    if (write) {
        write->next_of_all = writer->all;
        writer->all = write;
    }
    return write;
}

static struct belt_write *take_spare(struct belt_writer *writer)
{
    struct belt_write *write = writer->spare;
    if (!write)
        return make_spare(writer);
    writer->spare = write->next;
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
static bool has_ended(struct belt_writer *writer, const struct belt_write *write)
{
    struct belt_write *last = NULL;
    for (struct belt_write *at = writer->ended.first; at; last = at, at = at->next)
        if (at == write) {
            *(last ? &last->next : &writer->ended.first) = at->next;
            if (!at->next)
                writer->ended.last = last;
            return true;
        }
    return false;
}

/* ---- calls --------------------------------------------------------------------- */

int belt_writer_open(struct belt_writer *writer, const char *backend, struct belt_error *err)
{
    *writer = (struct belt_writer){ .done = belt_batch_done };
    int rc = belt_backend_open(&writer->backend, backend, BELT_WRITES + BELT_SYNCS, err);
    for (int i = 0; i < SPARES && rc == 0; i++) {
        struct belt_write *write = make_spare(writer);
        if (!write)
            break; /* made when they are wanted */
        write->next = writer->spare;
        writer->spare = write;
    }
    return rc;
}

int belt_writer_pack(struct belt_writer *writer, enum belt_packing packing, int level,
                     struct belt_error *err)
{
    int rc = 0;
    while (packing != BELT_PACK_NONE && writer->packers_used < BELT_PACKERS && rc == 0) {
        rc = belt_packer_new(&writer->packers[writer->packers_used], packing, level, err);
        writer->packers_used += rc == 0;
    }
    return rc;
}

void belt_writer_close(struct belt_writer *writer)
{
    struct pipe_guard guard = guard_begin(true);
    if (writer->backend)
        writer->backend->ops->destroy(writer->backend);
    guard_end(&guard);
    for (uint32_t p = 0; p < writer->packers_used; p++)
        belt_packer_free(writer->packers[p]);
    belt_mem_unmap(&writer->block_memory);
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
        return belt_target_error(target, "write", -ENOMEM, err);
    }
    *write = (struct belt_write){ .next_of_all = write->next_of_all,
                                  .target = target,
                                  .batch = batch,
                                  .code = 1,
                                  .what = "write" };
    target->queued++;
    target->ahead += batch->bytes_size;
    belt_write_append(&writer->waiting, write);
    struct pipe_guard guard = guard_begin(target->offset == BELT_IO_STREAM);
    start(writer);
    collect(writer, false);
    guard_end(&guard);
    if (!has_ended(writer, write))
        return BELT_PENDING;
    int code = write->code;
    const char *what = write->what;
    give_back(writer, write);
    return code < 0 ? belt_target_error(target, what, code, err) : 0;
}

/* Those that ended, each told once. */
static int tell(struct belt_writer *writer)
{
    int count = 0;
    for (struct belt_write *write; (write = belt_write_take(&writer->ended)); count++) {
        struct belt_batch *batch = write->batch;
        struct belt_error why = { .text = "" };
        int code = write->code;
        if (code < 0)
            belt_target_error(write->target, write->what, code, &why);
        give_back(writer, write);
        writer->done(batch, code, code < 0 ? why.text : NULL);
    }
    return count;
}

int belt_writer_poll(struct belt_writer *writer)
{
    if (belt_writer_idle(writer))
        return 0;
    struct pipe_guard guard = guard_begin(true);
    collect(writer, false);
    start(writer);
    guard_end(&guard);
    return tell(writer);
}

void belt_writer_wait(struct belt_writer *writer)
{
    struct pipe_guard guard = guard_begin(true);
    collect(writer, true);
    guard_end(&guard);
}

bool belt_writer_idle(const struct belt_writer *writer)
{
    return !writer->backend->in_flight && !writer->ended.first && !writer->dirty &&
           !writer->waiting.first && !writer->held;
}

void belt_writer_drain(struct belt_writer *writer, const struct belt_target *target)
{
    while (target ? target->queued : !belt_writer_idle(writer)) {
        struct pipe_guard guard = guard_begin(true);
        belt_direct_drain(writer, target);
        start(writer);
        belt_sync_start(writer, true);
        if (!writer->ended.first)
            collect(writer, true);
        guard_end(&guard);
        tell(writer);
    }
}

static int write_now(const struct belt_target *target, const char *bytes, uint32_t size)
{
    for (uint32_t done = 0; done < size;) {
        ssize_t put = write(target->fd, bytes + done, size - done);
        if (put < 0 && errno == EAGAIN)
            poll(&(struct pollfd){ .fd = target->fd, .events = POLLOUT }, 1, 100);
        else if (put < 0 && errno != EINTR)
            return -errno;
        done += put > 0 ? (uint32_t)put : 0;
    }
    return 0;
}

/* The packers may be at work on batches for other files: it waits for one. */
static int write_packed(struct belt_writer *writer, const struct belt_target *target,
                        const char *bytes, uint32_t size, uint32_t *written)
{
    const char *piece;
    uint32_t piece_size = 0;
    while (writer->packing & 1)
        collect(writer, true);
    belt_packer_begin(writer->packers[0], bytes, size);
    for (;;) {
        int rc = belt_packer_next(writer->packers[0], &piece, &piece_size);
        if (rc < 0 || !piece_size)
            return rc;
        rc = write_now(target, piece, piece_size);
        if (rc < 0)
            return rc;
        *written += piece_size;
    }
}

int belt_writer_header(struct belt_writer *writer, struct belt_target *target, const char *bytes,
                       uint32_t size, struct belt_error *err)
{
    struct pipe_guard guard = guard_begin(true);
    uint32_t written = size;
    int rc = 0;
    if (writer->packers_used) {
        written = 0;
        rc = write_packed(writer, target, bytes, size, &written);
    } else {
        rc = write_now(target, bytes, size);
    }
    guard_end(&guard);
    if (rc < 0)
        return belt_target_error(target, "write", rc, err);
    if (target->offset != BELT_IO_STREAM)
        target->offset += written;
    return 0;
}
