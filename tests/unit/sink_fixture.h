/* The sink `file` through its table, and a backend under it that misbehaves. */
#ifndef SINK_FIXTURE_H
#define SINK_FIXTURE_H

#include "io/sink_file_priv.h"
#include "io_fixture.h"

#include <errno.h>

extern const struct belt_sink belt_sink_file;

struct sink {
    struct io_part part;
    void *state;
};

/* Of sinks that are opened from here on. */
UNUSED static const struct belt_format *sink_format;

UNUSED static int sink_open(struct sink *s, const char *header, const char *settings)
{
    memset(s, 0, sizeof *s);
    int rc = io_read(&s->part, &belt_sink_file.part, settings);
    rc = rc < 0 ? rc : io_prepare(&s->part);
    rc = rc < 0 ? rc : belt_sink_file.part.open(s->part.conf, &s->part.err);
    if (rc < 0)
        return rc;
    struct belt_instance in = { .size = sizeof in,
                                .count = 1,
                                .stage = "batchers.default",
                                .header = header,
                                .header_size = (uint32_t)strlen(header),
                                .backend = "posix",
                                .format = sink_format };
    s->state = calloc(1, belt_sink_file.part.state_size);
    return belt_sink_file.part.init(s->state, s->part.conf, &in, &s->part.err);
}

UNUSED static struct belt_batch batch_of(const char *text, const char *bytes)
{
    static char padded[512 + 2 * BELT_PAD]; /* as all keys are */
    char *key = padded + BELT_PAD;
    cr_assert_lt(strlen(text), 512);
    strcpy(key, text);
    return (struct belt_batch){ .size = sizeof(struct belt_batch),
                                .count = 1,
                                .bytes = bytes,
                                .bytes_size = strlen(bytes),
                                .key = key,
                                .key_size = (uint32_t)strlen(key) };
}

UNUSED static int put(struct sink *s, const char *key, const char *bytes)
{
    struct belt_batch batch = batch_of(key, bytes);
    return belt_sink_file.batch(s->state, &batch, &s->part.err);
}

UNUSED static int sink_finish(struct sink *s, bool complete)
{
    return belt_sink_file.finish(s->state, complete, &s->part.err);
}

UNUSED static void sink_close(struct sink *s)
{
    if (s->state)
        belt_sink_file.part.fini(s->state, s->part.conf);
    free(s->state);
    io_free(&s->part);
}

UNUSED static const char *settings_for(const char *path, const char *rest)
{
    static char settings[512];
    snprintf(settings, sizeof settings, "{ path: '%s'%s%s }", io_path(path), *rest ? ", " : "",
             rest);
    return settings;
}

/* ---- a backend that misbehaves -------------------------------------------------- */

/* Every write ends later, in reverse order, and as `script` says: bytes, or negative errno;
 * so do syncs, as `syncs` says. */
static struct {
    struct belt_backend base;
    struct belt_io_done held[BELT_WRITES + BELT_SYNCS];
    uint32_t held_used;
    int64_t script[16], syncs[16];
    uint32_t next, sync_next, most;
    uint32_t backs, back_fails; /* calls of write_back(); the one that fails, from 1 */
    uint64_t back_end;
    uint64_t written, covers, covered; /* bytes of writes told of; of them, by the syncs */
} fault;

static int fault_write(struct belt_backend *backend, int fd, const void *from, uint32_t size,
                       uint64_t offset, uint64_t cookie)
{
    int64_t wish = fault.next < 16 ? fault.script[fault.next++] : 0;
    if (wish >= 0) {
        size = wish && wish < size ? (uint32_t)wish : size;
        wish = pwrite(fd, from, size, (off_t)offset);
    }
    fault.held[fault.held_used++] = (struct belt_io_done){ cookie, wish };
    fault.most = fault.held_used > fault.most ? fault.held_used : fault.most;
    backend->in_flight++;
    return 0;
}

static int fault_fsync(struct belt_backend *backend, int fd, uint64_t cookie)
{
    (void)fd;
    fault.covers = fault.written;
    int64_t result = fault.sync_next < 16 ? fault.syncs[fault.sync_next++] : 0;
    fault.held[fault.held_used++] = (struct belt_io_done){ cookie, result };
    backend->in_flight++;
    return 0;
}

static uint32_t fault_reap(struct belt_backend *backend, struct belt_io_done *done, uint32_t room,
                           bool wait)
{
    static uint32_t calls;
    if (!fault.held_used || !room || (!wait && calls++ % 8 < 7))
        return 0;
    *done = fault.held[--fault.held_used];
    if (done->cookie & 1)
        fault.covered = done->result == 0 ? fault.covers : fault.covered;
    else if (done->result > 0)
        fault.written += (uint64_t)done->result;
    backend->in_flight--;
    return 1;
}

static int fault_write_back(int fd, uint64_t offset, uint64_t size)
{
    (void)fd;
    fault.backs++;
    fault.back_end = offset + size;
    return fault.back_fails && fault.backs == fault.back_fails ? -EIO : 0;
}

static void fault_destroy(struct belt_backend *backend)
{
    (void)backend;
}

UNUSED static const struct belt_backend_ops fault_ops = {
    .name = "fault",
    .destroy = fault_destroy,
    .write = fault_write,
    .write_back = fault_write_back,
    .fsync = fault_fsync,
    .reap = fault_reap,
};

/* What became of batch `user`; 99: nothing yet. */
UNUSED static int codes[64];
UNUSED static int covered_at[64]; /* bytes of the one file that were on the disk then */
UNUSED static char reasons[64][BELT_REASON];

UNUSED static void on_done(struct belt_batch *batch, int code, const char *reason)
{
    int which = (int)(intptr_t)batch->user;
    codes[which] = code;
    covered_at[which] = (int)fault.covered;
    snprintf(reasons[which], BELT_REASON, "%.150s", reason ? reason : "");
}

/* Before the first batch: what the sink had is exchanged for it. */
/* The first rows are all in files, and it ends well. */
/* Batches 0 to count - 1 have codes of their own, 99 as long as they are under way. */
UNUSED static void poll_until_all_ended(struct sink *s, int count)
{
    uint64_t now = belt_sink_file.tick(s->state, 1);
    for (int turn = 0; turn < 10000; turn++) {
        bool open = false;
        for (int i = 0; i < count; i++)
            open |= codes[i] == 99;
        if (!open)
            return;
        belt_sink_file.tick(s->state, now = now == UINT64_MAX ? 1 : now + 1000000);
        belt_sink_file.poll(s->state);
    }
    cr_assert_fail("a batch never ended");
}

UNUSED static void expect_all_done(struct sink *s, int rows)
{
    for (int i = 0; i < rows; i++)
        cr_assert_eq(codes[i], 0, "row %d: %s", i, reasons[i]);
    cr_assert_eq(sink_finish(s, true), 0, "%s", s->part.err.text);
    sink_close(s);
}

/* Rows of one size, whole ones in "out", and the others in "out.1". */
UNUSED static void expect_two_files(int rows, long size)
{
    struct stat a, b;
    cr_assert_eq(stat(io_path("out"), &a), 0);
    cr_assert_eq(stat(io_path("out.1"), &b), 0);
    cr_assert_eq(a.st_size % size, 0);
    cr_assert_eq(a.st_size + b.st_size, rows * size);
}

UNUSED static void use_fault(struct belt_writer *writer)
{
    writer->backend->ops->destroy(writer->backend);
    fault.base = (struct belt_backend){ .ops = &fault_ops, .depth = BELT_WRITES + BELT_SYNCS };
    writer->backend = &fault.base;
}

#endif
