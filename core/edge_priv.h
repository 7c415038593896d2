/* Edges: how frames travel from stage to stage.
 *
 * From source to processor goes an input frame: spans into the source's slabs,
 * nothing is copied. One writer and one reader share a ring of such frames; many
 * processors that share unordered work share a pool, and the frames' numbers
 * travel through MPMC rings, filled ones forth and free ones back.
 *
 * From processor to batcher goes a row frame: rows as the sink will write them,
 * copied, since here a message leaves its lane by its key. */
#ifndef BELT_EDGE_PRIV_H
#define BELT_EDGE_PRIV_H

#include "core/batch_priv.h"
#include "core/overflow_priv.h"
#include "core/part.h"
#include "rings/ring.h"

enum {
    BELT_LAST_OF_CHUNK = 1, /* no later frame of this edge has rows of this chunk */
    BELT_LAST_OF_SLAB = 2,  /* no later frame uses this slab */
    BELT_EPOCH = 4,         /* an aggregate's partial results up to `epoch` are all sent */
    BELT_FLUSHES = 8        /* rows of this frame flush their batches: belt_row_flush() */
};

struct belt_input_frame {
    uint32_t count, flags;
    uint64_t chunk;
    uint64_t word; /* ticket of message 0: source instance << 48 | word of the ledger */
    uint64_t base; /* bytes from the region's start to what the spans index */
    uint32_t slab, file, source; /* source: index in the spec */
    uint64_t place;
    uint64_t failed[BELT_WORDS];
    const char *failed_reason; /* static text of the source */
    uint32_t number, owner;    /* in a shared pool: which frame, and whose */
    uint32_t next;             /* of those that came back: 1 + the number, 0: none */
    struct belt_span spans[BELT_FRAME];
};

/* A source that gives line numbers instead of offsets sets this bit of `file`. */
#define BELT_FILE_LINES 0x80000000u

/* Where message i came from, as belt_source.where() wants it. */
static inline uint64_t belt_input_place(const struct belt_input_frame *frame, uint32_t i)
{
    return frame->place + (frame->file & BELT_FILE_LINES ? i : frame->spans[i].at);
}

#define BELT_KEY_FLUSHES 0x80000000u /* in the size of a row's key */

struct belt_row_frame {
    uint32_t count, flags;
    uint64_t chunk, epoch;
    uint32_t bytes, key_bytes, runs_used;
    uint32_t row_size;                 /* of every row, and `rows` is not written; 0: it is */
    struct belt_span rows[BELT_FRAME]; /* into `data`, each beginning where the one before ends */
    struct belt_span keys[BELT_FRAME]; /* into `data` too, from the end downwards */
    uint32_t hashes[BELT_FRAME];
    struct belt_run runs[BELT_FRAME]; /* tickets of the rows; the reader clears what it moved on */
    char data[]; /* capacity, BELT_PAD bytes between rows and keys, BELT_PAD more */
};

/* Writes `rows` if it is not. */
void belt_row_list(struct belt_row_frame *frame);

struct belt_lane;

/* ---- source to processor ---------------------------------------------------- */

/* Unordered work of all sources for all processors. */
struct belt_pool {
    char *frames; /* `count` input frames, `each` for every source */
    uint32_t count, each;
    struct belt_mem ready; /* MPMC ring of uint32_t frame numbers, filled */
    struct belt_mem *free; /* [sources]: the same, released */
};

/* The writer's end. Exactly one of pool (shared) or a ring of frames. */
struct belt_feed {
    struct belt_tx tx; /* frames, or numbers of filled ones */
    struct belt_pool *pool;
    struct belt_rx free;    /* pool: numbers that came back */
    uint32_t fresh, source; /* pool: frames of ours not used before */
    uint32_t spare;         /* pool: frames that came back, a list by number + 1; 0: none */
    struct belt_input_frame *claimed;
    uint64_t reclaimed;         /* ring: frames looked at after their release */
    struct belt_lane **readers; /* [readers_used]: to wake */
    uint32_t readers_used;      /* of a pool: those that get messages */
    uint32_t *nap;    /* of the worker that takes them, instead of `readers` (nap_priv.h) */
    uint32_t untold;  /* frames that it was not woken for */
    uint64_t told_at; /* when it last was */
};

/* The reader's end. */
struct belt_intake {
    struct belt_rx rx;
    struct belt_pool *pool;
    struct belt_tx *free;           /* pool: [sources] */
    struct belt_input_frame *taken; /* pool: the frame in hand */
    struct belt_lane **writers;     /* [sources] of a pool, else [1]; an entry of NULL: same lane */
};

struct belt_input_frame *belt_feed_claim(struct belt_feed *feed);
void belt_feed_publish(struct belt_feed *feed);
/* Wakes the worker that takes the frames: before its writer waits, and now and then. */
void belt_feed_tell(struct belt_feed *feed, uint64_t now);
/* The next frame that came back since the last call, or NULL. Before claiming. */
const struct belt_input_frame *belt_feed_reclaim(struct belt_feed *feed);
struct belt_input_frame *belt_intake_peek(struct belt_intake *intake);
void belt_intake_release(struct belt_intake *intake);
bool belt_intake_ended(struct belt_intake *intake);

/* ---- processor to batcher --------------------------------------------------- */

struct belt_row_out {
    struct belt_tx tx;
    struct belt_row_frame *open; /* being filled: claimed, `local`, or what waits in `over` */
    /* To another lane: filled here and copied when it leaves. Small stores wait one by one for
     * lines that the reader has; one long copy has many under way (docs/decisions/012). */
    struct belt_row_frame *local;
    uint32_t capacity; /* bytes of `data` */
    uint32_t less;     /* than BELT_FRAME rows in a frame: those beyond whole batches */
    struct belt_lane *reader;
    struct belt_overflow *over; /* NULL: a full edge stops its writer */
    bool keyed;                 /* rows have keys */
};

struct belt_row_in {
    struct belt_rx rx;
    uint32_t row, run; /* how far the oldest frame has been handled */
    uint64_t epoch;    /* of the last mark taken */
    bool ended;
    struct belt_lane *writer;
};

/* The open frame waits beside the edge. */
static inline bool belt_row_out_held(const struct belt_row_out *out)
{
    return out->over && out->open == out->over->staging;
}
/* A frame's rows, as they lie, into another of this capacity. */
void belt_row_frame_copy(struct belt_row_frame *to, const struct belt_row_frame *from,
                         uint32_t capacity, bool keyed);
/* Nothing is left to be sent. */
static inline bool belt_row_out_empty(const struct belt_row_out *out)
{
    return !out->open && (!out->over || !belt_overflow_waits(out->over));
}
/* Rows that the frame written next still takes. */
static inline uint32_t belt_row_out_left(const struct belt_row_out *out)
{
    uint32_t most = BELT_FRAME - out->less, used = out->open ? out->open->count : 0;
    return used < most ? most - used : most;
}
/* The open frame with room for so many more rows, and for so many bytes of them and
 * of their keys, or NULL: no frame is free. */
struct belt_row_frame *belt_row_out_rooms(struct belt_row_out *out, uint32_t rows, uint32_t bytes,
                                          uint32_t keys);
static inline struct belt_row_frame *belt_row_out_room(struct belt_row_out *out, uint32_t row,
                                                       uint32_t key)
{
    return belt_row_out_rooms(out, 1, row, key);
}
/* The key of the row that belt_row_add() adds next. Keys grow from the end of `data`
 * downwards, so that rows lie one after another. */
void belt_row_key(struct belt_row_frame *frame, uint32_t capacity, const char *key, uint32_t size,
                  uint32_t hash);
/* The row added last flushes the batch of its key; `keyed`: there are keys. */
static inline void belt_row_flush(struct belt_row_frame *frame, bool keyed)
{
    frame->flags |= BELT_FLUSHES;
    if (keyed)
        frame->keys[frame->count - 1].size |= BELT_KEY_FLUSHES;
}

/* The key of a row without that mark. */
static inline struct belt_span belt_row_key_at(const struct belt_row_frame *frame, uint32_t row)
{
    struct belt_span key = frame->keys[row];
    return (struct belt_span){ key.at, key.size & ~BELT_KEY_FLUSHES };
}

/* Publishes the open frame with these flags, claiming an empty one when there is
 * none and flags ask for a frame. False: no frame is free. */
bool belt_row_out_flush(struct belt_row_out *out, uint32_t flags, uint64_t chunk, uint64_t epoch);
/* The oldest frame or NULL. */
struct belt_row_frame *belt_row_in_peek(struct belt_row_in *in);
void belt_row_in_release(struct belt_row_in *in);

/* Appends a row already written at data + bytes. */
static inline void belt_row_add(struct belt_row_frame *frame, uint32_t size, uint64_t word,
                                uint64_t bit)
{
    belt_row_list(frame);
    frame->rows[frame->count++] = (struct belt_span){ frame->bytes, size };
    frame->bytes += size;
    uint32_t last = frame->runs_used;
    /* Low bits first is the order of their rows, here and in a batch. */
    if (last && frame->runs[last - 1].word == word && frame->runs[last - 1].mask < bit) {
        frame->runs[last - 1].mask |= bit;
    } else {
        frame->runs[last] = (struct belt_run){ word, bit };
        frame->runs_used = last + 1;
    }
}

static_assert(offsetof(struct belt_row_frame, data) % 8 == 0, "blobs of groups are 8-aligned");

size_t belt_row_frame_size(uint32_t capacity);

#endif
