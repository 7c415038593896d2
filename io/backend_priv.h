/* One seam to the kernel's I/O: reads and writes are handed over, their results
 * are collected later. An object belongs to the thread that made it. */
#ifndef BELT_IO_BACKEND_PRIV_H
#define BELT_IO_BACKEND_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define BELT_IO_STREAM UINT64_MAX /* as an offset: where the descriptor stands */

/* What became of one operation: bytes moved, or negative errno. As the kernel
 * says it: short counts, -EINTR and -EAGAIN are the caller's to continue. */
struct belt_io_done {
    uint64_t cookie;
    int64_t result;
};

struct belt_backend {
    const struct belt_backend_ops *ops;
    uint32_t depth;     /* most operations under way: submitting more is refused with -EBUSY */
    uint32_t in_flight; /* submitted and not yet reaped */
};

struct belt_backend_ops {
    const char *name;
    int (*create)(struct belt_backend **out, uint32_t depth, struct belt_error *err);
    /* Cancels what can be cancelled and returns when the kernel uses no buffer any more. */
    void (*destroy)(struct belt_backend *backend);
    /* Promises that reads will go to this memory: may make them cheaper. Never fails. */
    void (*lend)(struct belt_backend *backend, void *memory, size_t size);
    int (*read)(struct belt_backend *backend, int fd, void *to, uint32_t size, uint64_t offset,
                uint64_t cookie);
    int (*write)(struct belt_backend *backend, int fd, const void *from, uint32_t size,
                 uint64_t offset, uint64_t cookie);
    /* The same within the call, for what the page cache takes: bytes, or negative errno. Not
     * for streams and O_DIRECT. NULL: there is no such way. */
    int64_t (*write_now)(int fd, const void *from, uint32_t size, uint64_t offset);
    /* The kernel begins to write these bytes back, where it would wait: 0, or negative errno,
     * as bad as that of fsync. NULL: there is no such way. */
    int (*write_back)(int fd, uint64_t offset, uint64_t size);
    /* What was written is on the disk, with what it takes to find it there: fdatasync. */
    int (*fsync)(struct belt_backend *backend, int fd, uint64_t cookie);
    /* Collects up to `room` results; `wait`: at least one, if any is under way. Their number. */
    uint32_t (*reap)(struct belt_backend *backend, struct belt_io_done *done, uint32_t room,
                     bool wait);
    /* Readable when reap may find something; -1: results are there at once. */
    int (*fd)(const struct belt_backend *backend);
};

/* pwrite, for backends that have nothing better for the page cache. */
int64_t belt_backend_write_now(int fd, const void *from, uint32_t size, uint64_t offset);
/* sync_file_range, likewise. */
int belt_backend_write_back(int fd, uint64_t offset, uint64_t size);

extern const struct belt_backend_ops belt_backend_uring, belt_backend_posix;

/* By name: "io_uring", "posix", or "auto": the first if this machine allows it. */
int belt_backend_open(struct belt_backend **out, const char *name, uint32_t depth,
                      struct belt_error *err);

#endif
