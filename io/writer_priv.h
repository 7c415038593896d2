/* Batches on their way to files: in order for each file, a few at a time,
 * short writes continued. One for each sink instance, used by its thread. */
#ifndef BELT_IO_WRITER_PRIV_H
#define BELT_IO_WRITER_PRIV_H

#include <stdbool.h>

#include "core/part.h"
#include "io/backend_priv.h"

#define BELT_WRITES 4 /* most under way at once */

/* An open file that batches go to. The caller's. */
struct belt_target {
    int fd;
    const char *name; /* for messages */
    uint64_t offset;  /* of the next write; BELT_IO_STREAM: it has none */
    uint32_t queued;  /* batches not yet ended */
    bool busy;        /* a write is under way */
    uint32_t torn;    /* batches whose write failed: their rows are missing */
};

struct belt_write;

struct belt_writer { /* stays where it was opened */
    struct belt_backend *backend;
    void (*done)(struct belt_batch *batch, int code, const char *reason); /* belt_batch_done */
    struct belt_write *waiting, **waiting_end;                            /* in order of arrival */
    struct belt_write *ended;                                             /* to be told by poll() */
    struct belt_write *spare;
    struct belt_write *all; /* to free */
};

int belt_writer_open(struct belt_writer *writer, const char *backend, struct belt_error *err);
/* Waits until the kernel has let go of every batch; tells nobody. */
void belt_writer_close(struct belt_writer *writer);
/* As a sink's batch(): 0 written, BELT_PENDING, or negative with the reason in err. */
int belt_writer_put(struct belt_writer *writer, struct belt_target *target,
                    struct belt_batch *batch, struct belt_error *err);
/* A batch for this target ended, or did not get so far: what is handed over again and
 * then written is not missing any more. The writer does it for what it was given. */
void belt_target_account(struct belt_target *target, const struct belt_batch *batch, int code);
/* Ends the batches that are done. Their number. */
int belt_writer_poll(struct belt_writer *writer);
/* Sleeps until a write is done, if any is under way; poll() then tells. */
void belt_writer_wait(struct belt_writer *writer);
/* Writes what is small and comes first: a header. At once. */
int belt_writer_header(struct belt_target *target, const char *bytes, uint32_t size,
                       struct belt_error *err);
/* To the disk. Only when nothing is queued for it. A failed sync stays failed: the
 * kernel may have dropped the pages, a second one would say all is well. */
int belt_writer_sync(struct belt_writer *writer, const struct belt_target *target,
                     struct belt_error *err);

#endif
