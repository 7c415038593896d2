/* Messages as a stage written in C sees them: columns of typed values, up to a
 * frame at a time, and what a callback may do with each message. */
#ifndef BELT_VIEW_H
#define BELT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_FRAME 1024 /* most messages in a frame */
#define BELT_WORDS (BELT_FRAME / 64)
#define BELT_PAD 64     /* bytes readable around any text */
#define BELT_REASON 160 /* bytes of a failure's reason, with its end mark */
#define BELT_COLUMNS 32 /* most columns of a pipeline's messages */

enum belt_type {
    BELT_TEXT,    /* bytes: spans into `base` */
    BELT_INT,     /* int64_t */
    BELT_DECIMAL, /* int64_t in units of 10^-digits: 12.3 with one digit is 123 */
    BELT_FLOAT    /* double */
};

struct belt_span {
    uint32_t at, size; /* bytes [at, at + size) from the column's base */
};

/* One value per message. Column 0 is always the payload, a text. */
struct belt_column {
    const char *base; /* texts only */
    union {
        struct belt_span *spans;
        int64_t *numbers; /* INT, DECIMAL */
        double *floats;
    } as;
};

struct belt_column_info {
    const char *name;
    enum belt_type type;
    unsigned digits; /* DECIMAL: 0 to 18 */
};

struct belt_engine; /* the stage behind a view */

/* Up to BELT_FRAME messages as a stage sees them. Pointers are lent for the
 * call. Append-only: check `size` before touching a later field. A step may
 * change live[] only through belt_drop/belt_fail_message, and may write the
 * arrays of columns that it added or puts into. */
struct belt_view {
    uint32_t size;       /* sizeof(struct belt_view) in the engine that calls */
    uint32_t first, end; /* the messages to handle: [first, end) of those live */
    uint32_t columns_used;
    const uint64_t *live;        /* bit i: message i is neither dropped nor failed */
    struct belt_column *columns; /* [columns_used] */
    uint64_t now;                /* monotonic ns, read once per turn */
    struct belt_engine *engine;
};

static inline bool belt_is_live(const struct belt_view *view, uint32_t i)
{
    return view->live[i / 64] >> (i % 64) & 1;
}

static inline uint32_t belt_next_live(const struct belt_view *view, uint32_t i)
{
    while (i < view->end) {
        uint64_t rest = view->live[i / 64] >> (i % 64);
        if (rest) {
            i += (uint32_t)__builtin_ctzll(rest);
            return i < view->end ? i : view->end;
        }
        i = (i / 64 + 1) * 64;
    }
    return view->end;
}

/* Those of word w of 64 messages: bit k: message 64 * w + k is to be handled. */
static inline uint64_t belt_live_word(const struct belt_view *view, uint32_t w)
{
    uint32_t from = view->first > w * 64 ? view->first - w * 64 : 0;
    uint32_t to = view->end > w * 64 ? view->end - w * 64 : 0;
    uint64_t before_to = to >= 64 ? UINT64_MAX : (UINT64_C(1) << to) - 1;
    return from >= 64 ? 0 : view->live[w] & before_to & (UINT64_MAX << from);
}

/* Visits the live messages in [first, end). The body may drop or fail `i`. */
#define BELT_EACH(view, i)                                                                         \
    for (uint32_t i = belt_next_live((view), (view)->first); i < (view)->end;                      \
         i = belt_next_live((view), i + 1))

static inline const char *belt_text(const struct belt_view *view, int column, uint32_t i,
                                    uint32_t *size)
{
    const struct belt_column *c = &view->columns[column];
    *size = c->as.spans[i].size;
    return c->base + c->as.spans[i].at;
}

static inline int64_t belt_number(const struct belt_view *view, int column, uint32_t i)
{
    return view->columns[column].as.numbers[i];
}

/* It leaves the pipeline here, settled as done. Of drop, fail and hold the first call holds. */
BELT_API void belt_drop(struct belt_view *view, uint32_t i);
/* The message goes to `failed` with this reason (copied, cut at BELT_REASON - 1 bytes). */
BELT_API void belt_fail_message(struct belt_view *view, uint32_t i, const char *reason);
/* The application's pointer (belt_pipeline_context), as it is now; NULL in a worker. Not to
 * be kept beyond this call of the step. */
BELT_API void *belt_context(const struct belt_view *view);
/* How often the message has been through these steps before and failed: `failed: { attempts:
 * N }`. 0 the first time, N - 1 the last. */
BELT_API uint32_t belt_attempt(const struct belt_view *view, uint32_t i);
/* Takes message i out of the frame, to be settled later: it goes to no batcher, and stays
 * unsettled until belt_held_settle(). Its payload is copied. The handle, or 0 when
 * hold_messages or hold_memory are used up: fail the message, or return how many were
 * handled so far, to be called again when one was settled. Always 0 in a worker. */
BELT_API uint64_t belt_hold(struct belt_view *view, uint32_t i);
/* Settles it: 0: done, negative: failed with `reason` (copied; not sent to `failed`). Any
 * thread, also one of yours, until the pipeline is freed. -ESTALE: it was settled before, or
 * its pipeline is gone. The end of a run waits for what is held, a drain until its deadline. */
BELT_API int belt_held_settle(uint64_t handle, int code, const char *reason);
/* Its payload, lent until it is settled; NULL: stale. Not padded. Any thread. */
BELT_API const char *belt_held_bytes(uint64_t handle, uint32_t *size);
/* Many at once: word w of the 64 messages from 64 * w; `mask` must be within live[w]. */
BELT_API void belt_drop_mask(struct belt_view *view, uint32_t w, uint64_t mask);
/* Sends the message to the batcher of this id (belt_setup_batcher). Default: the first.
 * With an id that is none, here and below, the message fails. */
BELT_API void belt_route(struct belt_view *view, uint32_t i, int batcher);
/* The same for many: `mask` of word w, as for belt_drop_mask. */
BELT_API void belt_route_mask(struct belt_view *view, uint32_t w, uint64_t mask, int batcher);
/* Sends the message to this batcher as well: it is done when all of them are through
 * with it, and failed when any of them failed, once. Several calls add up. */
BELT_API void belt_route_also(struct belt_view *view, uint32_t i, int batcher);
/* Settles the message as done when this frame's steps are through, without waiting for
 * batchers: what becomes of it later (a failure, too) is told to nobody upstream. */
BELT_API void belt_ack(struct belt_view *view, uint32_t i);
/* Message i's source is told this (belt_setup_ack) beside the message's outcome, whatever that
 * is; the last call holds, in later steps, processors and attempts, too. 0, or negative: its
 * source does not know it, and the message has failed. Without effect once it was
 * acknowledged. */
BELT_API int belt_configure_ack(struct belt_view *view, uint32_t i, int option);
/* The batch of this message's key leaves as soon as the message is in it, with all that
 * waits there (trigger BELT_TRIGGER_FLUSH). Nothing for messages that are dropped,
 * failed or folded into an aggregate. */
BELT_API void belt_flush(struct belt_view *view, uint32_t i);
/* In a step with `.emits`: a new message, made of message i: payload and fields are
 * copied; fields not given are those of i, and so are its origin and its batcher. i
 * itself goes no further: it is done when all made of it are, failed when one failed.
 * For message i from its own callback, or in ascending order. 0; -EAGAIN: no room now:
 * return as when belt_room has none, and go on from belt_emitted() when called again;
 * other negatives: message i has failed. */
struct belt_emit_field {
    int column; /* belt_setup_add, belt_setup_field; not 0 */
    union {
        struct {
            const char *bytes;
            uint32_t size;
        } text;
        int64_t number; /* INT, DECIMAL */
        double real;    /* FLOAT */
    } as;
};
BELT_API int belt_emit(struct belt_view *view, uint32_t i, const char *bytes, uint32_t size);
BELT_API int belt_emit_fields(struct belt_view *view, uint32_t i, const char *bytes, uint32_t size,
                              const struct belt_emit_field *fields, uint32_t count);
/* How many message i has emitted so far, in earlier calls too. */
BELT_API uint64_t belt_emitted(const struct belt_view *view, uint32_t i);
/* Room for `size` bytes of new text in this frame's own memory (plus BELT_PAD around),
 * or NULL when the frame's room is used up: then return how many messages were
 * handled so far from frame(); it is called again for the rest with fresh room. A
 * single text above belt_room_limit() can never fit: fail that message. */
BELT_API char *belt_room(struct belt_view *view, uint32_t size);
BELT_API uint32_t belt_room_limit(const struct belt_view *view);
/* Points message i's text in `column` (0: the payload) at bytes got from belt_room
 * in this call. Other messages keep theirs. False: room is used up, as above. */
BELT_API bool belt_put_text(struct belt_view *view, int column, uint32_t i, const char *bytes,
                            uint32_t size);

#ifdef __cplusplus
}
#endif
#endif
