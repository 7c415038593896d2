/* Links: messages on their way from processor to processor. A link frame is a copy:
 * the payload and the columns that somebody behind asks for, each message with its
 * ticket and its origin. Between two instances there is one writer, one reader, and
 * so an order; the reader works on the frame in place and releases it.
 *
 *   chain --todo--> link_out ==ring of link frames==> link_in --> chain */
#ifndef BELT_LINK_PRIV_H
#define BELT_LINK_PRIV_H

#include "core/edge_priv.h"
#include "core/join_priv.h"
#include "core/spec_priv.h"
#include "core/view_priv.h"

/* Where one message came from: source of the spec, and as in belt_source.where(). */
struct belt_origin {
    uint64_t place;
    uint32_t file, source;
};

/* What the frames to one processor hold. */
struct belt_link_shape {
    int columns[BELT_COLUMNS]; /* [used], the payload first */
    bool texts[BELT_COLUMNS];
    int used;
    uint32_t capacity; /* bytes of texts */
};

struct belt_link_frame {
    uint32_t count, flags, bytes;
    bool routed, any_also, any_flush;
    uint64_t chunk;
    struct belt_ticket tickets[BELT_FRAME]; /* what is still owed: the reader clears them */
    struct belt_origin origins[BELT_FRAME];
    uint8_t batcher[BELT_FRAME]; /* when routed */
    uint16_t also[BELT_FRAME];   /* when any_also */
    uint64_t flush[BELT_WORDS];  /* when any_flush */
    uint64_t values[];           /* [shape->used][BELT_FRAME], BELT_PAD, texts, BELT_PAD */
};

static_assert(sizeof(struct belt_span) == sizeof(uint64_t), "a column has 8 bytes a message");

static inline char *belt_link_texts(const struct belt_link_frame *frame,
                                    const struct belt_link_shape *shape)
{
    return (char *)(uintptr_t)(frame->values + (size_t)shape->used * BELT_FRAME) + BELT_PAD;
}

size_t belt_link_frame_size(const struct belt_link_shape *shape);
/* Of the frames to processor `p`. */
void belt_link_shape(struct belt_link_shape *shape, const struct belt_spec *spec, int p);

struct belt_link_out {
    struct belt_tx tx;
    struct belt_link_frame *open; /* claimed, being filled */
    struct belt_lane *reader;     /* NULL: the same lane */
    uint64_t todo[BELT_WORDS];    /* of the frame in hand, still to be written */
};

struct belt_link_in {
    struct belt_rx rx;
    struct belt_lane *writer; /* NULL: the same lane */
};

/* Links to the instances of one processor. */
struct belt_fanout {
    const struct belt_processor_spec *to;
    const struct belt_link_shape *shape;
    struct belt_link_out *outs; /* [outs_used] */
    uint32_t outs_used;         /* 1: our own counterpart */
    uint32_t active;            /* of these, those that get messages: the first ones */
    enum belt_dispatch dispatch;
    uint32_t turn;             /* on demand: who gets the next frame */
    uint64_t todo[BELT_WORDS]; /* on demand: for whoever has room */
    bool marked;               /* the mark of this chunk is out */
};

struct belt_chain_stage;

/* ---- the writer's side ---------------------------------------------------- */

/* Live messages of `mask` in word w: who gets each. */
void belt_links_sort(struct belt_chain_stage *chain, uint32_t w, uint64_t mask);
/* Writes messages while there is room; true when all are written. */
bool belt_links_write(struct belt_chain_stage *chain);
/* The frame in hand ends its chunk. True when every link has the mark. */
bool belt_links_mark(struct belt_chain_stage *chain);
/* What is half full leaves. */
void belt_links_flush(struct belt_chain_stage *chain);
void belt_links_close(struct belt_chain_stage *chain);
/* Of the frame in hand: not written yet, in word w. */
uint64_t belt_links_todo(const struct belt_chain_stage *chain, uint32_t w);

/* ---- the reader's side ---------------------------------------------------- */

/* The next frame of any link, each in turn; NULL: none. It becomes the frame in hand. */
struct belt_link_frame *belt_links_take(struct belt_chain_stage *chain);
/* Its columns into an engine: ours, or a worker's. */
void belt_link_load(struct belt_engine *engine, struct belt_link_frame *frame,
                    const struct belt_link_shape *shape, uint64_t now);
void belt_links_release(struct belt_chain_stage *chain);
bool belt_links_ended(const struct belt_chain_stage *chain);

#endif
