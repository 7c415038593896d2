/* Rows that wait beside a full edge, so that one slow batcher does not stop the
 * others. One per edge that may hold rows; the chain's lane alone.
 *
 *   rows ──> edge                      while it has room and nothing waits
 *   rows ──> staging ──> memory ──> edge           (hold)
 *               └──> blocks ──> file ┘             (spill; behind what is in memory)
 *
 * A thread of its own writes blocks to files: the lane copies, as for `hold`, and
 * writes itself only when the disk is behind.
 *
 * Order: nothing goes to the edge, or to memory, while something older waits
 * behind it. Tickets travel with the rows: what waits here is unsettled. */
#ifndef BELT_OVERFLOW_PRIV_H
#define BELT_OVERFLOW_PRIV_H

#include <sys/uio.h>

#include "core/batch_priv.h"
#include "core/spec_priv.h"
#include "core/stats_priv.h"

struct belt_row_frame;
struct belt_row_out;

/* First in, first out, of records of any size that are never cut: where each lies
 * in `size` bytes of a memory or a file. */
struct belt_fifo {
    uint64_t size;
    uint64_t head, tail; /* bytes taken and put so far, at head % size */
    uint64_t end;        /* where the records before the wrap end; only if `wrapped` */
    bool wrapped;
};

/* Where a record of `size` bytes goes; false: no room now. */
bool belt_fifo_put(struct belt_fifo *fifo, uint64_t size, uint64_t *at);
/* Where the record at `*cursor` lies; false: there is none. Begin with `head`. */
bool belt_fifo_at(const struct belt_fifo *fifo, uint64_t *cursor, uint64_t *at);
/* The oldest record, of `size` bytes, is gone. */
void belt_fifo_drop(struct belt_fifo *fifo, uint64_t size);

#define BELT_SPILL_BLOCKS 16
#define BELT_SPILL_BLOCK (256u << 10)

/* Bytes [from, to) of a file that are, or were, to be written; bytes[0] is that at
 * `begin`. */
struct belt_spill_block {
    struct belt_spill_block *next; /* to be written after this */
    char *bytes;                   /* [BELT_SPILL_BLOCK] */
    uint64_t begin, from, to;
    int fd;
    int state; /* spiller.c */
};

struct belt_spiller;
struct belt_topology;

struct belt_overflow {
    struct belt_row_frame *staging; /* what does not fit the edge is written here first */
    uint32_t capacity;              /* of its data, as of the edge's frames */
    bool keyed;                     /* rows have keys */
    bool full;                      /* what is staged found no room, and nothing has left since */
    uint32_t *sizes;                /* [BELT_FRAME]: of a frame's rows, on their way */
    char *memory;                   /* [held.size] */
    struct belt_fifo held, filed;   /* filed.size 0: no file */
    int fd;                         /* of the file, -1: none */
    struct belt_spiller *spiller;   /* of the run */
    struct belt_spill_block blocks[BELT_SPILL_BLOCKS], *open; /* open: being filled, or NULL */
    struct belt_stats *stats;                                 /* the chain's */
    uint64_t waits_since; /* since when something waits, as telemetry told; 0: nothing */
};

/* What a batcher's settings ask for (spec_overflow.c). */
struct belt_hold_conf {
    uint64_t hold;                 /* bytes */
    int when_full;                 /* enum belt_when_full */
    const struct belt_node *spill; /* { path, size } */
};
int belt_spec_add_hold(struct belt_builder *b, struct belt_batcher_spec *batcher,
                       const struct belt_hold_conf *conf, struct belt_error *err);
static inline bool belt_batcher_holds(const struct belt_batcher_spec *batcher)
{
    return batcher->hold || batcher->when_full != BELT_FULL_WAIT;
}

/* Most bytes of one record of an edge with frames of this capacity. */
uint64_t belt_overflow_record(uint32_t capacity);
/* Something waits in memory or in the file. */
static inline bool belt_overflow_waits(const struct belt_overflow *over)
{
    return over->held.tail != over->held.head || over->filed.tail != over->filed.head;
}
/* Puts the staging frame behind what waits. False: no room, the frame stays. */
bool belt_overflow_push(struct belt_overflow *over);
/* Moves what waits to the edge while that has room. Negative: the file is lost. */
int belt_overflow_drain(struct belt_row_out *out, struct belt_error *err);
/* The tickets of all that waits but for the staging frame. Tests only: reads the file. */
void belt_overflow_each_run(const struct belt_overflow *over, belt_run_fn *fn, void *ctx);

/* ---- spill.c: records in a file that has no name ----------------------------- */

/* A descriptor, or negative with err set. */
int belt_spill_file(const char *whose, const char *setting, const char *path,
                    struct belt_error *err);
int belt_spill_open(struct belt_overflow *over, const struct belt_batcher_spec *batcher,
                    struct belt_error *err);
/* False: no room, or the disk has none: then it waits in memory as before. */
bool belt_spill_put(struct belt_overflow *over, const struct belt_row_frame *frame);
/* The oldest record into `frame`. */
int belt_spill_take(struct belt_overflow *over, struct belt_row_frame *frame,
                    struct belt_error *err);
void belt_spill_each_run(const struct belt_overflow *over, belt_run_fn *fn, void *ctx);

/* ---- spiller.c: blocks on their way to files ------------------------------------- */

/* NULL: out of memory. Until it is started there is no thread: who puts writes, when no block
 * is free. */
struct belt_spiller *belt_spiller_new(const struct belt_topology *topology);
int belt_spiller_start(struct belt_spiller *spiller, struct belt_error *err);
/* Ends the thread. What is not written is not: its file has no name. */
void belt_spiller_free(struct belt_spiller *spiller);
/* Memory for `size` bytes, at most a block, that belong to [at, at + size) of the file, where
 * nothing that is there is wanted any more. NULL: the disk takes nothing. */
char *belt_spiller_room(struct belt_overflow *over, uint64_t at, uint32_t size);
/* The same for bytes that the caller writes itself: no block has any of them after this. */
void belt_spiller_forget(struct belt_overflow *over, uint64_t at, uint64_t size);
/* Bytes that belong to [at, at + size), when they are still here; NULL: they are in the file. */
const char *belt_spiller_find(const struct belt_overflow *over, uint64_t at, uint64_t size);

/* ---- a frame as a record ------------------------------------------------------ */

struct belt_packed {
    uint64_t size; /* of the record, this included */
    uint64_t chunk, epoch;
    uint32_t count, flags, bytes, key_bytes, runs_used;
    uint32_t row_size; /* of all rows; 0: they differ */
};

#define BELT_PIECES 6

/* The head of a frame's record, and over->sizes. */
void belt_pack(struct belt_overflow *over, struct belt_packed *packed,
               const struct belt_row_frame *frame);
/* Where the parts of a frame lie, or are to be read to, that follow its head; tickets first. */
void belt_pieces(struct belt_overflow *over, const struct belt_packed *packed,
                 const struct belt_row_frame *frame, struct iovec pieces[BELT_PIECES]);
/* A record of packed->size bytes. */
void belt_pack_into(struct belt_overflow *over, const struct belt_packed *packed,
                    const struct belt_row_frame *frame, char *to);
/* Its size. */
uint64_t belt_unpack_from(struct belt_overflow *over, struct belt_row_frame *frame,
                          const char *from);
/* After its pieces were filled: the rest of the frame. */
void belt_unpack(const struct belt_overflow *over, struct belt_row_frame *frame,
                 const struct belt_packed *packed);

#endif
