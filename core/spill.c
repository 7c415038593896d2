/* What memory does not hold waits in a file without a name: it is gone with the
 * process, however that ends. Records are written and read whole by the chain's
 * lane; the page cache does the rest. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/edge_priv.h"
#include "core/overflow_priv.h"

int belt_spill_open(struct belt_overflow *over, const struct belt_batcher_spec *batcher,
                    struct belt_error *err)
{
    over->fd = open(batcher->spill_path, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (over->fd >= 0)
        return 0;
    int rc = -errno;
    const char *way_out = rc == -EOPNOTSUPP || rc == -EISDIR
                              ? ": this file system has no unnamed files; name a folder on another"
                              : "";
    belt_error_set(err, rc, "%s.spill: '%s': %s%s", batcher->path, batcher->spill_path,
                   strerror(-rc), way_out);
    err->config = 1; /* nothing has been read yet: what was asked for cannot be */
    return rc;
}

static ssize_t bytes_of(const struct iovec *pieces, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return (ssize_t)size;
}

bool belt_spill_put(struct belt_overflow *over, const struct belt_row_frame *frame)
{
    struct belt_packed packed;
    struct iovec pieces[1 + BELT_PIECES] = { { &packed, sizeof packed } };
    struct belt_fifo before = over->filed;
    uint64_t at;
    belt_pack(over, &packed, frame);
    if (!belt_fifo_put(&over->filed, packed.size, &at))
        return false;
    belt_pieces(over, &packed, frame, pieces + 1);
    ssize_t size = bytes_of(pieces, 1 + BELT_PIECES);
    if (pwritev(over->fd, pieces, 1 + BELT_PIECES, (off_t)at) != size) {
        /* A full disk is a full file: the rows stay where they are and wait. */
        over->filed = before;
        return false;
    }
    belt_count(&over->stats->spilled, (uint64_t)size);
    return true;
}

int belt_spill_take(struct belt_overflow *over, struct belt_row_frame *frame,
                    struct belt_error *err)
{
    struct belt_packed packed;
    struct iovec pieces[BELT_PIECES];
    uint64_t at = 0, cursor = over->filed.head;
    belt_fifo_at(&over->filed, &cursor, &at);
    ssize_t got = pread(over->fd, &packed, sizeof packed, (off_t)at);
    if (got == (ssize_t)sizeof packed) {
        belt_pieces(over, &packed, frame, pieces);
        got = preadv(over->fd, pieces, BELT_PIECES, (off_t)(at + sizeof packed));
        if (got == bytes_of(pieces, BELT_PIECES)) {
            belt_unpack(over, frame, &packed);
            belt_fifo_drop(&over->filed, packed.size);
            return 0;
        }
    }
    int rc = got < 0 ? -errno : -EIO;
    return belt_error_set(err, rc, "spill: rows that were written cannot be read again: %s",
                          strerror(-rc));
}

/* The tickets of one record, some at a time. */
static void each_run_at(int fd, off_t from, uint32_t count, belt_run_fn *fn, void *ctx)
{
    struct belt_run runs[64];
    while (count) {
        uint32_t here = count < 64 ? count : 64;
        ssize_t size = (ssize_t)(here * sizeof *runs);
        if (pread(fd, runs, (size_t)size, from) != size)
            return;
        for (uint32_t r = 0; r < here; r++)
            fn(ctx, &runs[r]);
        from += size;
        count -= here;
    }
}

void belt_spill_each_run(const struct belt_overflow *over, belt_run_fn *fn, void *ctx)
{
    uint64_t at, cursor = over->filed.head;
    while (belt_fifo_at(&over->filed, &cursor, &at)) {
        struct belt_packed packed;
        if (pread(over->fd, &packed, sizeof packed, (off_t)at) != (ssize_t)sizeof packed)
            return;
        each_run_at(over->fd, (off_t)(at + sizeof packed), packed.runs_used, fn, ctx);
        cursor += packed.size;
    }
}
