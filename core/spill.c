/* What memory does not hold waits in a file without a name: it is gone with the
 * process, however that ends. Records go there in blocks (spiller.c); one that is longer
 * than a block is written by the chain's lane, which reads them all. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/edge_priv.h"
#include "core/overflow_priv.h"

int belt_spill_file(const char *whose, const char *setting, const char *path,
                    struct belt_error *err)
{
    int fd = open(path, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600), rc = -errno;
    if (fd >= 0)
        return fd;
    const char *way_out = rc == -EOPNOTSUPP || rc == -EISDIR
                              ? ": this file system has no unnamed files; name a folder on another"
                              : ": name a folder that is there and can be written";
    belt_error_set(err, rc, "%s.%s: '%s': %s%s", whose, setting, path, strerror(-rc), way_out);
    err->config = 1; /* nothing has been read yet: what was asked for cannot be */
    return rc;
}

int belt_spill_open(struct belt_overflow *over, const struct belt_batcher_spec *batcher,
                    struct belt_error *err)
{
    over->fd = belt_spill_file(batcher->path, "spill", batcher->spill_path, err);
    return over->fd < 0 ? over->fd : 0;
}

static ssize_t bytes_of(const struct iovec *pieces, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return (ssize_t)size;
}

static bool put_long(struct belt_overflow *over, const struct belt_packed *packed,
                     const struct belt_row_frame *frame, uint64_t at)
{
    struct iovec pieces[1 + BELT_PIECES] = { { (void *)(uintptr_t)packed, sizeof *packed } };
    belt_spiller_forget(over, at, packed->size);
    belt_pieces(over, packed, frame, pieces + 1);
    return pwritev(over->fd, pieces, 1 + BELT_PIECES, (off_t)at) ==
           bytes_of(pieces, 1 + BELT_PIECES);
}

static bool put_short(struct belt_overflow *over, const struct belt_packed *packed,
                      const struct belt_row_frame *frame, uint64_t at)
{
    char *to = belt_spiller_room(over, at, (uint32_t)packed->size);
    if (to)
        belt_pack_into(over, packed, frame, to);
    return to != NULL;
}

bool belt_spill_put(struct belt_overflow *over, const struct belt_row_frame *frame)
{
    struct belt_packed packed;
    struct belt_fifo before = over->filed;
    uint64_t at;
    belt_pack(over, &packed, frame);
    if (!belt_fifo_put(&over->filed, packed.size, &at))
        return false;
    if (!(packed.size > BELT_SPILL_BLOCK ? put_long : put_short)(over, &packed, frame, at)) {
        /* A full disk is a full file: the rows stay where they are and wait. */
        over->filed = before;
        return false;
    }
    belt_count(&over->stats->spilled, packed.size);
    return true;
}

/* Negative: it cannot be read. */
static ssize_t take_filed(struct belt_overflow *over, struct belt_row_frame *frame, off_t at)
{
    struct belt_packed packed;
    struct iovec pieces[BELT_PIECES];
    ssize_t got = pread(over->fd, &packed, sizeof packed, at);
    if (got != (ssize_t)sizeof packed)
        return got < 0 ? -errno : -EIO;
    belt_pieces(over, &packed, frame, pieces);
    got = preadv(over->fd, pieces, BELT_PIECES, at + (off_t)sizeof packed);
    if (got != bytes_of(pieces, BELT_PIECES))
        return got < 0 ? -errno : -EIO;
    belt_unpack(over, frame, &packed);
    return (ssize_t)packed.size;
}

int belt_spill_take(struct belt_overflow *over, struct belt_row_frame *frame,
                    struct belt_error *err)
{
    uint64_t at = 0, cursor = over->filed.head;
    belt_fifo_at(&over->filed, &cursor, &at);
    const char *here = belt_spiller_find(over, at, sizeof(struct belt_packed));
    ssize_t size =
        here ? (ssize_t)belt_unpack_from(over, frame, here) : take_filed(over, frame, (off_t)at);
    if (size < 0)
        return belt_error_set(err, (int)size,
                              "spill: rows that were written cannot be read "
                              "again: %s",
                              strerror((int)-size));
    belt_fifo_drop(&over->filed, (uint64_t)size);
    return 0;
}

static bool read_at(const struct belt_overflow *over, void *to, size_t size, uint64_t at)
{
    const char *here = belt_spiller_find(over, at, size);
    if (!here)
        return pread(over->fd, to, size, (off_t)at) == (ssize_t)size;
    memcpy(to, here, size);
    return true;
}

/* The tickets of one record, some at a time. */
static void each_run_at(const struct belt_overflow *over, uint64_t from, uint32_t count,
                        belt_run_fn *fn, void *ctx)
{
    struct belt_run runs[64];
    while (count) {
        uint32_t here = count < 64 ? count : 64;
        if (!read_at(over, runs, here * sizeof *runs, from))
            return;
        for (uint32_t r = 0; r < here; r++)
            fn(ctx, &runs[r]);
        from += here * sizeof *runs;
        count -= here;
    }
}

void belt_spill_each_run(const struct belt_overflow *over, belt_run_fn *fn, void *ctx)
{
    uint64_t at, cursor = over->filed.head;
    while (belt_fifo_at(&over->filed, &cursor, &at)) {
        struct belt_packed packed;
        if (!read_at(over, &packed, sizeof packed, at))
            return;
        each_run_at(over, at + sizeof packed, packed.runs_used, fn, ctx);
        cursor += packed.size;
    }
}
