/* What io/writer*.c share: one batch's way into a file. */
#ifndef BELT_IO_WRITE_PRIV_H
#define BELT_IO_WRITE_PRIV_H

#include <errno.h>
#include <unistd.h>

#include "io/writer_priv.h"

struct belt_write {
    struct belt_write *next; /* in the list it is in */
    struct belt_write *next_of_all;
    struct belt_target *target;
    struct belt_batch *batch;
    struct belt_packer *packer; /* NULL: rows as they are */
    const char *piece;          /* [piece_size]: in the kernel's hands */
    uint32_t piece_size;
    uint64_t taken, written; /* bytes of rows in pieces so far; bytes of the file so far */
    uint64_t end;            /* of its rows in the file, when they are in blocks */
    int code;                /* 1: under way, else 0 or negative */
    const char *what;        /* that failed: "write" or "sync" */
};

/* The cookie of a sync, or of a write of blocks: its target, marked; else the write. */
#define BELT_SYNC_COOKIE 1u
#define BELT_DIRECT_COOKIE 2u
#define BELT_COOKIE_MARKS 3u

/* Bytes that were there a moment ago; -ESTALE: somebody else has cut the file. */
static inline int belt_read_back(int fd, char *bytes, size_t size, uint64_t at)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = pread(fd, bytes + have, size - have, (off_t)(at + have));
        if (got == 0)
            return -ESTALE;
        if (got < 0 && errno != EINTR)
            return -errno;
        have += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static inline void belt_write_append(struct belt_write_list *list, struct belt_write *write)
{
    write->next = NULL;
    *(list->first ? &list->last->next : &list->first) = write;
    list->last = write;
}

static inline struct belt_write *belt_write_take(struct belt_write_list *list)
{
    struct belt_write *write = list->first;
    if (write)
        list->first = write->next;
    return write;
}

/* The next bytes for the file; a piece of none: all are written. */
int belt_write_next(struct belt_write *write);
/* Its first bytes are the next ones again. */
void belt_write_restart(struct belt_write *write);
/* Its packer is free for others. */
void belt_write_unpack(struct belt_writer *writer, struct belt_write *write);
/* What may have spoiled the file, other than that it is as big as it may be. */
static inline bool belt_write_is_fatal(int code)
{
    return code < 0 && code != -ENOSPC && code != -EDQUOT && code != -EFBIG && code != -ENOMEM;
}

/* ---- io/writer_sync.c ----------------------------------------------------------- */

/* The file has rows that a sync is to cover. */
void belt_sync_want(struct belt_writer *writer, struct belt_target *target);
/* The write has landed: it ends when a sync has covered it. */
void belt_sync_add(struct belt_writer *writer, struct belt_write *write);
/* Starts the syncs that are due, or (`now`) wanted at once. */
void belt_sync_start(struct belt_writer *writer, bool now);
void belt_sync_landed(struct belt_writer *writer, struct belt_target *target, int64_t result);
/* What the sync waited for is in the file. */
void belt_sync_go(struct belt_writer *writer, struct belt_target *target);

/* ---- io/writer_direct.c ----------------------------------------------------------- */

/* True: the write is in blocks, or has failed; false: it has to wait for a block. */
bool belt_direct_take(struct belt_writer *writer, struct belt_write *write);
/* Starts the writes of blocks that are due. */
void belt_direct_start(struct belt_writer *writer);
void belt_direct_landed(struct belt_writer *writer, struct belt_target *target, int64_t result);
/* What is not all in the file fails and is cut off again; what has just begun to fill
 * blocks begins once more. */
void belt_direct_fail(struct belt_writer *writer, struct belt_target *target, int code);
/* What is in blocks goes to the file, whether they are full or not; */
void belt_direct_flush(struct belt_writer *writer, struct belt_target *target);
/* that of this file, or of NULL: all. */
void belt_direct_drain(struct belt_writer *writer, const struct belt_target *target);
/* When belt_direct_start() has to be called at the latest. */
uint64_t belt_direct_deadline(const struct belt_writer *writer);

#endif
