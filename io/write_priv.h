/* What io/writer.c and io/writer_sync.c share: one batch's way into a file. */
#ifndef BELT_IO_WRITE_PRIV_H
#define BELT_IO_WRITE_PRIV_H

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
    int code;                /* 1: under way, else 0 or negative */
    const char *what;        /* that failed: "write" or "sync" */
};

/* The cookie of a sync: its target, marked; that of a write is the write. */
#define BELT_SYNC_COOKIE 1u

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

/* The write has landed: it ends when a sync has covered it. */
void belt_sync_add(struct belt_writer *writer, struct belt_write *write);
/* Starts the syncs that are due, or (`now`) wanted at once. */
void belt_sync_start(struct belt_writer *writer, bool now);
void belt_sync_landed(struct belt_writer *writer, struct belt_target *target, int64_t result);

#endif
