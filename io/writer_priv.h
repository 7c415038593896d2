/* Batches on their way to files: in order for each file, a few at a time, packed if so
 * set, short writes continued; durable if so set. One for each sink instance, used by
 * its thread. */
#ifndef BELT_IO_WRITER_PRIV_H
#define BELT_IO_WRITER_PRIV_H

#include <stdbool.h>

#include "core/part.h"
#include "io/backend_priv.h"
#include "io/packer_priv.h"
#include "rings/mem.h"

#define BELT_WRITES 4  /* most under way at once */
#define BELT_PACKERS 2 /* of these, most that are packed: one is packed while one is written */
#define BELT_SYNCS 4   /* most syncs under way at once, of one file each */
#define BELT_BLOCKS 8  /* past the page cache: rows of all files, gathered */
#define BELT_DIRECT_BLOCK (1u << 20)

struct belt_write;

struct belt_write_list {
    struct belt_write *first, *last;
};

/* An open file that batches go to. The caller's. */
struct belt_target {
    int fd;
    const char *name; /* for messages; NULL: */
    const char *(*name_of)(struct belt_target *target);
    uint64_t offset; /* of the next write; BELT_IO_STREAM: it has none */
    uint32_t queued; /* batches not yet ended */
    uint32_t torn;   /* batches whose write failed: their rows are missing */
    uint64_t ahead;  /* bytes of rows that wait to be written */
    bool busy;       /* a write is under way */
    /* -------- durable -------- */
    bool syncing;
    int broken;      /* 0, or the code of a failed sync: nothing more goes into this file */
    uint64_t synced; /* so much of it is on the disk: what is settled */
    uint64_t begun;  /* so much is on its way there */
    uint64_t covers; /* that is, when the sync under way ends well */
    struct belt_write_list landed, covered; /* written; the sync under way is for them */
    bool dirty;                             /* in the list of those that wait for a sync */
    struct belt_target *next_dirty;
    /* -------- past the page cache; all of io/writer_direct.c only -------- */
    uint32_t unit;            /* its writes are of so much, at multiples of it; 0: no such file */
    int direct_fd;            /* the same file, opened with O_DIRECT */
    uint64_t filled, written; /* its end with all that is in blocks, and without */
    struct belt_block *block, *last_block; /* full ones, but for the last */
    struct belt_write_list held;           /* in blocks, not all in the file */
    struct belt_write *filling;            /* on its way into blocks, when there are too few */
    bool sending, flush;
    bool sync_next;    /* behind the flush */
    uint64_t flush_to; /* rows before it are not to wait for more */
    int failed;        /* a code: to be told when the write under way is home */
};

/* A piece of a file from a multiple of its unit on. */
struct belt_block {
    struct belt_block *next;
    struct belt_target *target; /* NULL: free */
    char *bytes;                /* [BELT_DIRECT_BLOCK] */
    uint32_t used, sent;        /* sent: is in the file */
    uint64_t since;
};

struct belt_writer { /* stays where it was opened */
    struct belt_backend *backend;
    void (*done)(struct belt_batch *batch, int code, const char *reason); /* belt_batch_done */
    struct belt_write_list waiting;                                       /* in order of arrival */
    struct belt_write_list ended;                                         /* to be told by poll() */
    struct belt_write *spare;
    struct belt_write *all; /* to free */
    uint32_t writes, syncs; /* under way */
    struct belt_packer *packers[BELT_PACKERS];
    uint32_t packers_used; /* 0: nothing is packed; else bit k of `packing`: in use */
    uint32_t packing;
    /* -------- durable: a batch ends when a sync that began after its write has -------- */
    bool durable;
    uint64_t every; /* nanoseconds from one round of syncs to the next, at least; 0: a few ms */
    uint64_t due;   /* when the next one may begin */
    uint64_t now;   /* the owner sets it */
    struct belt_target *dirty, *dirty_last; /* files that wait for their sync */
    /* -------- past the page cache -------- */
    struct belt_mem block_memory;
    struct belt_block blocks[BELT_BLOCKS];
    uint32_t held; /* batches in blocks, not all in their files */
};

int belt_writer_open(struct belt_writer *writer, const char *backend, struct belt_error *err);
/* After open(), before the first batch: rows are packed. */
int belt_writer_pack(struct belt_writer *writer, enum belt_packing packing, int level,
                     struct belt_error *err);
/* After open(): blocks for files that are written past the page cache. */
int belt_writer_direct(struct belt_writer *writer, struct belt_error *err);
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
/* Ends all batches of this file, of NULL: of all, and their syncs, whenever those were due. */
void belt_writer_drain(struct belt_writer *writer, const struct belt_target *target);
/* Sleeps until a write is done, if any is under way; poll() then tells. */
void belt_writer_wait(struct belt_writer *writer);
/* Nothing is under way, nor waits. */
bool belt_writer_idle(const struct belt_writer *writer);
/* When poll() may have work that no descriptor tells of; UINT64_MAX: never. */
uint64_t belt_writer_deadline(const struct belt_writer *writer);
/* Writes what is small and comes first: a header, packed if rows are. At once. Of no bytes,
 * packed: an empty member, without which an empty file is no packed one. */
int belt_writer_header(struct belt_writer *writer, struct belt_target *target, const char *bytes,
                       uint32_t size, struct belt_error *err);
/* To the disk. Only when nothing is queued for it. A failed sync stays failed: the
 * kernel may have dropped the pages, a second one would say all is well. */
int belt_writer_sync(struct belt_writer *writer, struct belt_target *target,
                     struct belt_error *err);
/* "WHAT NAME: reason" */
int belt_target_error(struct belt_target *target, const char *what, int code,
                      struct belt_error *err);

#endif
