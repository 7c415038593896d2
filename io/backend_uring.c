/* io_uring: one ring for each instance, made in the thread that uses it. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/backend_priv.h"

struct uring_backend {
    struct belt_backend base;
    struct io_uring ring;
    /* Readable when completions wait. Not the ring's own descriptor: with
     * DEFER_TASKRUN a sleeper in ppoll on that is not woken by deferred work
     * (seen on 6.18: a lane that read a cold file slept for ever). */
    int event;
    char *lent; /* registered as buffer 0; NULL: none */
    size_t lent_size;
};

#define CANCEL_COOKIE UINT64_MAX /* the cancel operation's own result: not the caller's */

static struct uring_backend *uring_of(struct belt_backend *backend)
{
    return (struct uring_backend *)backend;
}

/* Completions wait for the owner's own call (DEFER_TASKRUN): no interrupt of the
 * lane in the middle of a frame. Kernels before 6.1 refuse the flags. */
static int ring_init(struct io_uring *ring, uint32_t entries)
{
    int rc =
        io_uring_queue_init(entries, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    return rc == -EINVAL ? io_uring_queue_init(entries, ring, 0) : rc;
}

/* A kernel may give a ring and still refuse reads and writes by filter. */
static int ring_probe(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe)
        return -ENOSYS;
    int fit = io_uring_opcode_supported(probe, IORING_OP_READ) &&
              io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
              io_uring_opcode_supported(probe, IORING_OP_FSYNC) &&
              io_uring_opcode_supported(probe, IORING_OP_ASYNC_CANCEL);
    io_uring_free_probe(probe);
    return fit ? 0 : -ENOSYS;
}

static int uring_create(struct belt_backend **out, uint32_t depth, struct belt_error *err)
{
    struct uring_backend *uring = calloc(1, sizeof *uring);
    if (!uring)
        return belt_error_set(err, -ENOMEM, "backend io_uring: out of memory");
    uring->base = (struct belt_backend){ .ops = &belt_backend_uring, .depth = depth };
    int rc = ring_init(&uring->ring, depth + 1); /* one more for the cancel at the end */
    if (rc < 0) {
        free(uring);
        goto refused;
    }
    uring->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rc = uring->event < 0 ? -errno : ring_probe(&uring->ring);
    if (rc == 0)
        rc = io_uring_register_eventfd(&uring->ring, uring->event);
    if (rc < 0) {
        io_uring_queue_exit(&uring->ring);
        if (uring->event >= 0)
            close(uring->event);
        free(uring);
        goto refused;
    }
    *out = &uring->base;
    return 0;
refused:
    return belt_error_set(err, rc,
                          "backend io_uring: this machine refuses it (%s): "
                          "set placement.backend to auto or posix",
                          strerror(-rc));
}

static void uring_lend(struct belt_backend *backend, void *memory, size_t size)
{
    struct uring_backend *uring = uring_of(backend);
    struct iovec whole = { memory, size };
    /* Pinned pages count against the memlock limit: without room for them plain
     * reads do, about 1.2x slower from the page cache. */
    if (!uring->lent && io_uring_register_buffers(&uring->ring, &whole, 1) == 0) {
        uring->lent = memory;
        uring->lent_size = size;
    }
}

/* An entry of the submission queue; NULL when `depth` operations are under way. */
static struct io_uring_sqe *entry(struct belt_backend *backend)
{
    if (backend->in_flight == backend->depth)
        return NULL;
    return io_uring_get_sqe(&uring_of(backend)->ring);
}

/* What the page cache holds is read within this call. */
static int submit(struct belt_backend *backend, struct io_uring_sqe *sqe, uint64_t cookie)
{
    int rc;
    sqe->user_data = cookie;
    do
        rc = io_uring_submit(&uring_of(backend)->ring);
    while (rc == -EINTR || rc == -EAGAIN);
    if (rc >= 0)
        backend->in_flight++;
    return rc < 0 ? rc : 0;
}

static int uring_read(struct belt_backend *backend, int fd, void *to, uint32_t size,
                      uint64_t offset, uint64_t cookie)
{
    struct uring_backend *uring = uring_of(backend);
    struct io_uring_sqe *sqe = entry(backend);
    if (!sqe)
        return -EBUSY;
    size_t at = (size_t)((uintptr_t)to - (uintptr_t)uring->lent);
    if (uring->lent && at < uring->lent_size && size <= uring->lent_size - at)
        io_uring_prep_read_fixed(sqe, fd, to, size, offset, 0);
    else
        io_uring_prep_read(sqe, fd, to, size, offset);
    return submit(backend, sqe, cookie);
}

static int uring_write(struct belt_backend *backend, int fd, const void *from, uint32_t size,
                       uint64_t offset, uint64_t cookie)
{
    struct io_uring_sqe *sqe = entry(backend);
    if (!sqe)
        return -EBUSY;
    io_uring_prep_write(sqe, fd, from, size, offset);
    return submit(backend, sqe, cookie);
}

static int uring_fsync(struct belt_backend *backend, int fd, uint64_t cookie)
{
    struct io_uring_sqe *sqe = entry(backend);
    if (!sqe)
        return -EBUSY;
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    return submit(backend, sqe, cookie);
}

static uint32_t uring_reap(struct belt_backend *backend, struct belt_io_done *done, uint32_t room,
                           bool wait)
{
    struct uring_backend *uring = uring_of(backend);
    struct io_uring_cqe *cqe;
    uint32_t count = 0;
    if (!backend->in_flight)
        return 0;
    uint64_t events;
    ssize_t ignored = read(uring->event, &events, sizeof events); /* before looking */
    (void)ignored;
    if (!io_uring_cq_ready(&uring->ring)) {
        if (wait)
            io_uring_wait_cqe(&uring->ring, &cqe);
        else
            io_uring_get_events(&uring->ring);
    }
    while (count < room && io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        if (cqe->user_data != CANCEL_COOKIE) {
            done[count++] = (struct belt_io_done){ cqe->user_data, cqe->res };
            backend->in_flight--;
        }
        io_uring_cqe_seen(&uring->ring, cqe);
    }
    return count;
}

static void uring_destroy(struct belt_backend *backend)
{
    struct uring_backend *uring = uring_of(backend);
    struct io_uring_sqe *sqe = backend->in_flight ? io_uring_get_sqe(&uring->ring) : NULL;
    if (sqe) {
        /* Without it a write to a pipe that nobody reads would be waited for. */
        io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
        sqe->user_data = CANCEL_COOKIE;
        io_uring_submit(&uring->ring);
    }
    /* The kernel writes to the caller's buffers until each result is here. */
    struct belt_io_done done[8];
    while (backend->in_flight)
        uring_reap(backend, done, 8, true);
    io_uring_queue_exit(&uring->ring);
    close(uring->event);
    free(uring);
}

static int uring_fd(const struct belt_backend *backend)
{
    return ((const struct uring_backend *)backend)->event;
}

const struct belt_backend_ops belt_backend_uring = {
    .name = "io_uring",
    .create = uring_create,
    .destroy = uring_destroy,
    .lend = uring_lend,
    .read = uring_read,
    .write = uring_write,
    /* Where a file system cannot promise not to block (ext4), a buffered write goes to a
     * worker of the kernel that runs on the lane's own CPU: NDJSON to files by key took 558
     * instead of 466 ns of CPU a row, half of the rest for memory that had become cold. */
    .write_now = belt_backend_write_now,
    .write_back = belt_backend_write_back,
    .fsync = uring_fsync,
    .reap = uring_reap,
    .fd = uring_fd,
};
