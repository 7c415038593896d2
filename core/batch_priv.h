/* Open batches of one batcher lane: formatted rows collected by key until a
 * trigger cuts them. One thread; all memory is one arena of fixed size; after
 * belt_batches_new() nothing allocates.
 *
 *      room + add / add_many       full, due, oldest, any        give_back
 *   rows ----------------> open ---------------------> in flight ---------> arena
 *                           \--> full (cut, waits to be taken) --/  \--> failed, retry
 *
 * A batch that reached its size or bytes leaves the open table at once, so the
 * next row of its key opens a new one. All four takers hand out cut batches
 * first, first cut first: batches of one key are taken in the order they were
 * filled. A taken batch is the caller's until belt_batches_give_back().
 * belt_batches_whole() makes a batch of rows that nobody need copy. */
#ifndef BELT_BATCH_PRIV_H
#define BELT_BATCH_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/part.h"

/* Tickets of one source instance: 64 neighbours, those in `mask`. */
struct belt_run {
    uint64_t word; /* source instance << 48 | sequence / 64 */
    uint64_t mask; /* bit sequence % 64 */
};

struct belt_batches_conf {
    uint32_t size;        /* messages: cut at; at least 1 */
    uint64_t bytes;       /* most in a batch, unless one row alone has more; 0: the row limit */
    uint64_t timeout_ns;  /* since the batch's first row; UINT64_MAX: never */
    uint64_t arena_bytes; /* rows, spans, runs, keys; at least BELT_BATCHES_ARENA_MIN */
    char *arena;          /* the caller's, aligned to 256, BELT_PAD around; NULL: obtained here */
    uint32_t max_keys;    /* open at a time; at least 1 */
    uint32_t max_batches_in_flight; /* at least 1 */
    void *owner;                    /* copied into every batch */
    const char *name;               /* batch.batcher; NULL: "" */
    uint32_t partition;             /* batch.partition */
    uint32_t user_bytes; /* of the caller's own in every batch, zeroed: belt_batches_last() */
    bool in_turn;        /* one batch of a key at a time is out: the next one waits for its end */
};

#define BELT_BATCHES_ARENA_MIN 8192u

/* `batch` is handed to the sink and is the first member: the address of one is
 * the address of the other. Fields above the line may be read by the engine. */
struct belt_open_batch {
    struct belt_batch batch;
    /* The tickets of all rows: the k-th set bit, low bits first, is row k's. None at
     * all: rows of an aggregate, whose messages are settled. */
    struct belt_run *runs;
    uint32_t run_count;
    uint32_t hash;
    uint64_t first_at;  /* `now` of the first row */
    uint64_t handed_at; /* when the sink got it; 0: nobody wants to know */
    uint64_t number;    /* in telemetry, of this stage */
    uint64_t due;       /* in RETRY: when it is to be handed out again */
    void *owner;
    uint32_t moved;        /* FAILED: rows that are on in `failed` */
    uint32_t failed_count; /* messages that belt_batch_fail() has named */
    bool final;            /* it fails for good, whatever attempts are left */
    /* In a worker: belt_batch_fail() tells the batcher's lane. NULL: it is there. */
    void (*tell)(struct belt_open_batch *open, uint32_t i, const char *reason);
    /* -------- core/batch*.c only -------- */
    struct belt_open_batch *next, *prev; /* of the list for its state */
    struct belt_span *spans;             /* [room_spans], and behind them room for as many marks */
    char *bytes;
    uint64_t room_bytes;
    uint32_t room_spans, room_runs, state;
    bool blocks;                    /* a batch of its key waits for its end */
    bool whole;                     /* its rows are where they were: belt_batches_whole() */
    uint32_t even_size, even_count; /* spans are those of so many rows of one size */
    /* -------- core/batch_fail.c only -------- */
    struct belt_batches *home;
    uint16_t *marks;              /* [count]: 0, or 1 + index of the reason; NULL: of the batch */
    char (*reasons)[BELT_REASON]; /* [room_reasons]; NULL: none */
    uint32_t reasons_used, room_reasons, taken; /* taken: runs without a ticket left */
};

static inline struct belt_open_batch *belt_open_batch_of(struct belt_batch *batch)
{
    return (struct belt_open_batch *)(void *)batch;
}

struct belt_batches;

int belt_batches_new(struct belt_batches **out, const struct belt_batches_conf *conf,
                     struct belt_error *err);
void belt_batches_free(struct belt_batches *batches);
/* All bytes that belt_batches_new() obtains with this conf, for the plan. */
uint64_t belt_batches_footprint(const struct belt_batches_conf *conf);

/* Other limits from now on; what is open and beyond them is cut. Between turns. The
 * timeout of open batches counts from their first row as ever. */
int belt_batches_set_limits(struct belt_batches *batches, uint32_t size, uint64_t bytes,
                            uint64_t timeout_ns, struct belt_error *err);

/* ---- filling ---------------------------------------------------------------- */

/* Where up to `row_bytes` bytes of a row of this key may be written; a successful
 * room() is followed by add() before any other call. `now` never goes back.
 * NULL: the arena has no room or max_keys are open. Then cut the oldest batch
 * (or wait for one in flight) and ask again; with nothing open and nothing in
 * flight a row and a key of at most belt_batches_row_limit() always fit. */
char *belt_batch_room(struct belt_batches *batches, const char *key, uint32_t key_size,
                      uint32_t hash, uint32_t row_bytes, uint64_t now);
/* The row is written: `row_bytes` as asked for, or fewer. `word` and `bit`: its ticket. */
void belt_batch_add(struct belt_batches *batches, uint32_t row_bytes, uint64_t word, uint64_t bit);

/* The batch that a row goes into after a successful room(), as it is so far, and the
 * caller's bytes of it. */
struct belt_batch *belt_batches_last(struct belt_batches *batches, void **user);
/* After add(): cuts that batch, unless it is cut already. */
void belt_batches_cut_last(struct belt_batches *batches, enum belt_trigger trigger);

/* Rows of one key that lie one after another in memory, in order, and at least as
 * many tickets: the set bits of `runs`, low bits first. Consumed from the front. */
struct belt_rows {
    const char *base;              /* what the spans are relative to */
    const struct belt_span *spans; /* [count], each beginning where the one before ends */
    uint32_t count;
    struct belt_run *runs; /* masks lose the bits consumed */
    uint32_t run_count;
    uint32_t row_size; /* for belt_batches_whole(): of every row, the first at `base`, and
                        * `spans` is nothing; 0: as said */
};
/* Takes rows until none is left or there is no room (as belt_batch_room); how many. */
uint32_t belt_batch_add_many(struct belt_batches *batches, const char *key, uint32_t key_size,
                             uint32_t hash, struct belt_rows *rows, uint64_t now);

/* Without keys: the next batch from the front of `rows`, in flight, its rows left where
 * they are until it is given back or belt_batch_own() makes it as any other. NULL: there
 * are too few rows, or others wait in a batch: then belt_batch_add_many(). */
struct belt_open_batch *belt_batches_whole(struct belt_batches *batches, struct belt_rows *rows,
                                           uint64_t now);
void belt_batch_own(struct belt_open_batch *open);

/* Rows (and keys) above this never fit: fail the message. */
uint32_t belt_batches_row_limit(const struct belt_batches *batches);

/* ---- taking ----------------------------------------------------------------- */

/* Cuts the open batch of a key, if there is one; it is handed out as a full one is. */
void belt_batches_cut(struct belt_batches *batches, const char *key, uint32_t key_size,
                      uint32_t hash, enum belt_trigger trigger);
/* Each: NULL when there is none or max_batches_in_flight are out. batch.trigger says why
 * it was cut. Cut batches first, with their own trigger; only then: */
struct belt_open_batch *belt_batches_full(struct belt_batches *batches); /* nothing else */
struct belt_open_batch *belt_batches_due(struct belt_batches *batches, uint64_t now);
struct belt_open_batch *belt_batches_oldest(struct belt_batches *batches); /* PRESSURE */
struct belt_open_batch *belt_batches_any(struct belt_batches *batches);    /* END */
/* Its memory is free again; the pointer is dead. */
void belt_batches_give_back(struct belt_batches *batches, struct belt_open_batch *batch);

/* ---- batches that failed, whole or in part (batch_fail.c) --------------------- */

/* All messages fail that have no reason yet. */
void belt_batch_fail_rest(struct belt_open_batch *open, const char *reason);
typedef void belt_settle_fn(void *ctx, uint64_t word, uint64_t mask);
/* In flight: the sink's worker died and the next one gets it, as another attempt;
 * reasons are forgotten. */
void belt_batch_once_more(struct belt_open_batch *open);
/* What did not fail is given to `settle` and leaves the batch. */
void belt_batch_keep_failed(struct belt_open_batch *open, belt_settle_fn *settle, void *ctx);
/* From in flight: to be handed out again by belt_batches_retry() at `due`; reasons are
 * forgotten, the others of its key wait if `in_turn`. */
void belt_batches_again(struct belt_batches *batches, struct belt_open_batch *open, uint64_t due);
struct belt_open_batch *belt_batches_retry(struct belt_batches *batches, uint64_t now);
/* From in flight: failed for good. It stays, in order, until it is given back. */
void belt_batches_give_up(struct belt_batches *batches, struct belt_open_batch *open);
struct belt_open_batch *belt_batches_failed(const struct belt_batches *batches);
/* The ticket of the first row that still has one; {0, 0}: none has. It is taken out. */
struct belt_run belt_batch_take_ticket(struct belt_open_batch *open);

/* ---- looking in ------------------------------------------------------------- */

/* When belt_batches_due() has work next; 0: now (a cut batch waits); UINT64_MAX: never,
 * or not before one in flight is given back. */
uint64_t belt_batches_next_deadline(const struct belt_batches *batches);
uint32_t belt_batches_count_open(const struct belt_batches *batches); /* cut ones included */
/* Those that wait for another attempt or to be given back failed included. */
uint32_t belt_batches_count_in_flight(const struct belt_batches *batches);
uint64_t belt_batches_used(const struct belt_batches *batches); /* bytes of the arena, now */
uint64_t belt_batches_peak(const struct belt_batches *batches); /* and at most so far */

/* The memory that rows go to. */
void *belt_batches_arena(const struct belt_batches *batches, uint64_t *size);
/* Gets all pages of the arena now, for the calling thread's node. */
int belt_batches_touch(const struct belt_batches *batches, struct belt_error *err);

typedef void belt_run_fn(void *ctx, const struct belt_run *run);
/* Every run of every batch, open, cut or in flight. */
void belt_batches_each_run(const struct belt_batches *batches, belt_run_fn *fn, void *ctx);
/* 0, or the number of the first broken rule. */
int belt_batches_check(const struct belt_batches *batches);

#endif
