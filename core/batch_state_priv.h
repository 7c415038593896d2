/* What core/batch.c and core/batch_make.c share: the insides of open batches. */
#ifndef BELT_BATCH_STATE_PRIV_H
#define BELT_BATCH_STATE_PRIV_H

#include <stddef.h>

#include "core/batch_priv.h"
#include "core/buddy_priv.h"
#include "rings/mem.h"

/* A key seen once costs its control block (512 B with a key of up to ~130
 * bytes) and 256 B of rows; everything doubles from there. */
#define BELT_FIRST_SPANS 6u
#define BELT_FIRST_RUNS 8u
#define BELT_BATCH_CONTROL 512u
#define BELT_LAST_REASONS 32u
/* A row's span and its mark: that a message fails must be said, however full it is. */
#define BELT_ROW_INDEX (sizeof(struct belt_span) + sizeof(uint16_t))

/* A batch is in exactly one list. OPEN: in the order of first_at; CUT: in the
 * order of cutting; BEHIND: cut, and another of its key is out; FLIGHT: lent to the
 * sink; RETRY: to be lent again; FAILED: its rows are on their way to `failed`. */
enum {
    BELT_BATCH_OPEN,
    BELT_BATCH_CUT,
    BELT_BATCH_BEHIND,
    BELT_BATCH_FLIGHT,
    BELT_BATCH_RETRY,
    BELT_BATCH_FAILED,
    BELT_BATCH_STATES
};

struct belt_batch_list {
    struct belt_open_batch *first, *last;
    uint32_t count;
};

struct belt_batch_slot {
    struct belt_open_batch *batch; /* NULL: empty */
    uint32_t hash;
};

struct belt_batches {
    struct belt_open_batch *last;  /* the open batch used last, or NULL: keys come in rows */
    struct belt_open_batch *spare; /* empty, for belt_batches_whole(), or NULL */
    uint64_t limit;                /* bytes: cut at */
    struct belt_batches_conf conf;
    struct belt_batch_list lists[BELT_BATCH_STATES];
    struct belt_batch_slot *slots; /* open batches by key, probed in line */
    uint32_t slot_mask, slot_shift;
    uint32_t row_limit;
    uint32_t most_rows; /* of any batch: limits may have been higher */
    uint64_t most_bytes;
    struct belt_buddy buddy;
    struct belt_mem mem; /* of the arena when it is ours */
    /* Reasons of batches that fail when the arena is full, one each; a bit for each in use. */
    char last_reasons[BELT_LAST_REASONS][BELT_REASON];
    uint32_t last_reasons_used;
};

/* What lies in a control block, the key after it. */
struct belt_batch_control {
    struct belt_open_batch open;
    struct belt_span spans[BELT_FIRST_SPANS];
    uint16_t marks[BELT_FIRST_SPANS]; /* right behind them */
    struct belt_run runs[BELT_FIRST_RUNS];
    char key[];
};

_Static_assert(offsetof(struct belt_batch_control, open) == 0, "one address for both");
_Static_assert(sizeof(struct belt_batch_control) + 64 <= BELT_BATCH_CONTROL,
               "short keys fit the first block");

static inline struct belt_batch_control *belt_batch_control(struct belt_open_batch *open)
{
    return (struct belt_batch_control *)(void *)open;
}

/* A batch of no row in no list, or NULL: no memory. */
struct belt_open_batch *belt_batches_make(struct belt_batches *batches, const char *key,
                                          uint32_t key_size, uint32_t hash, uint64_t bytes,
                                          uint64_t now);
/* Room for so much more, or false: the arena is used up. */
bool belt_batches_reserve(struct belt_batches *batches, struct belt_open_batch *open,
                          uint64_t bytes, uint32_t rows, uint32_t runs);
/* To the end of its first list. */
void belt_batches_append(struct belt_batches *batches, struct belt_open_batch *open,
                         uint32_t state);
/* The tickets of the first `count` rows. */
void belt_batch_move_tickets(struct belt_open_batch *open, struct belt_rows *rows, uint32_t count);
/* Was it handed over where its rows lay: then it is the spare one now. */
bool belt_batches_keep_spare(struct belt_batches *batches, struct belt_open_batch *open);
/* Cuts an open batch that is beyond the limits. */
void belt_batches_cut_if_full(struct belt_batches *batches, struct belt_open_batch *open);
/* To the end of another list. */
void belt_batches_move(struct belt_batches *batches, struct belt_open_batch *open, uint32_t state);
/* A bigger block with the same contents, or NULL; `fixed` is not the arena's. */
void *belt_batches_grow(struct belt_batches *batches, void *old, const void *fixed, uint64_t used,
                        uint64_t need, uint64_t *room);
/* No batch of its key is out any more: the next one may go. */
void belt_batches_unblock(struct belt_batches *batches, struct belt_open_batch *open);
void belt_batch_forget_reasons(struct belt_open_batch *open);

static inline bool belt_batches_may_take(const struct belt_batches *batches)
{
    return batches->lists[BELT_BATCH_FLIGHT].count < batches->conf.max_batches_in_flight;
}

/* Of the oldest open batch; UINT64_MAX: none is open, or none times out. */
static inline uint64_t belt_batches_first_deadline(const struct belt_batches *batches)
{
    const struct belt_open_batch *open = batches->lists[BELT_BATCH_OPEN].first;
    uint64_t deadline = open ? open->first_at + batches->conf.timeout_ns : UINT64_MAX;
    return open && deadline < open->first_at ? UINT64_MAX : deadline;
}

/* Lanes get keys by bits of the same hash: the product spreads what is left. */
static inline uint32_t belt_batches_home(const struct belt_batches *batches, uint32_t hash)
{
    return (hash * 0x9e3779b1u) >> batches->slot_shift;
}

#endif
