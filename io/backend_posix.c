/* pread and pwrite, done when submitted: where io_uring is forbidden. Also the
 * choice between the two. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/backend_priv.h"

struct posix_backend {
    struct belt_backend base;
    struct belt_io_done done[]; /* [depth], the first in_flight used */
};

static int posix_create(struct belt_backend **out, uint32_t depth, struct belt_error *err)
{
    struct posix_backend *posix = calloc(1, sizeof *posix + depth * sizeof posix->done[0]);
    if (!posix)
        return belt_error_set(err, -ENOMEM, "backend posix: out of memory");
    posix->base = (struct belt_backend){ .ops = &belt_backend_posix, .depth = depth };
    *out = &posix->base;
    return 0;
}

static void posix_destroy(struct belt_backend *backend)
{
    free(backend);
}

static void posix_lend(struct belt_backend *backend, void *memory, size_t size)
{
    (void)backend, (void)memory, (void)size;
}

static int keep(struct belt_backend *backend, int64_t result, uint64_t cookie)
{
    struct posix_backend *posix = (struct posix_backend *)backend;
    posix->done[backend->in_flight++] =
        (struct belt_io_done){ cookie, result < 0 ? -errno : result };
    return 0;
}

static int posix_read(struct belt_backend *backend, int fd, void *to, uint32_t size,
                      uint64_t offset, uint64_t cookie)
{
    if (backend->in_flight == backend->depth)
        return -EBUSY;
    ssize_t got =
        offset == BELT_IO_STREAM ? read(fd, to, size) : pread(fd, to, size, (off_t)offset);
    return keep(backend, got, cookie);
}

static int posix_write(struct belt_backend *backend, int fd, const void *from, uint32_t size,
                       uint64_t offset, uint64_t cookie)
{
    if (backend->in_flight == backend->depth)
        return -EBUSY;
    ssize_t put =
        offset == BELT_IO_STREAM ? write(fd, from, size) : pwrite(fd, from, size, (off_t)offset);
    return keep(backend, put, cookie);
}

int64_t belt_backend_write_now(int fd, const void *from, uint32_t size, uint64_t offset)
{
    ssize_t put = pwrite(fd, from, size, (off_t)offset);
    return put > 0 ? put : put < 0 ? -errno : -EIO;
}

int belt_backend_write_back(int fd, uint64_t offset, uint64_t size)
{
    if (sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE) == 0)
        return 0;
    /* Not for this file, or not on this system. */
    return errno == EINVAL || errno == ESPIPE || errno == ENOSYS ? 0 : -errno;
}

static int posix_fsync(struct belt_backend *backend, int fd, uint64_t cookie)
{
    if (backend->in_flight == backend->depth)
        return -EBUSY;
    return keep(backend, fdatasync(fd), cookie);
}

static uint32_t posix_reap(struct belt_backend *backend, struct belt_io_done *done, uint32_t room,
                           bool wait)
{
    struct posix_backend *posix = (struct posix_backend *)backend;
    uint32_t count = backend->in_flight < room ? backend->in_flight : room;
    (void)wait;
    memcpy(done, posix->done, count * sizeof *done);
    backend->in_flight -= count;
    memmove(posix->done, posix->done + count, backend->in_flight * sizeof *done);
    return count;
}

static int posix_fd(const struct belt_backend *backend)
{
    (void)backend;
    return -1;
}

const struct belt_backend_ops belt_backend_posix = {
    .name = "posix",
    .create = posix_create,
    .destroy = posix_destroy,
    .lend = posix_lend,
    .read = posix_read,
    .write = posix_write,
    .write_now = belt_backend_write_now,
    .write_back = belt_backend_write_back,
    .fsync = posix_fsync,
    .reap = posix_reap,
    .fd = posix_fd,
};

int belt_backend_open(struct belt_backend **out, const char *name, uint32_t depth,
                      struct belt_error *err)
{
    bool any = !name || strcmp(name, "auto") == 0;
    if (any || strcmp(name, belt_backend_uring.name) == 0) {
        int rc = belt_backend_uring.create(out, depth, err);
        if (rc == 0 || !any)
            return rc;
    } else if (strcmp(name, belt_backend_posix.name) != 0) {
        return belt_error_config(err, "no backend '%s': use auto, io_uring or posix", name);
    }
    return belt_backend_posix.create(out, depth, err);
}
