/* Bounded queues in memory that both ends have mapped: threads or processes.
 *
 * BELT_SPSC: from one thread to one other. The writer claims slots, fills and
 * publishes them; the reader peeks, uses them in place, releases. Cursors count
 * slots in 64 bits and may wrap.
 *            claim  publish  peek  release
 *   claim      X       X       -      -       X: callers must exclude each other
 *   publish    X       X       -      -       -: may run at the same time
 *   peek       -       -       X      X
 *   release    -       -       X      X
 * Every call is wait-free. A reader that dies keeps its slots until a new
 * reader opens the ring at `released`; a writer that dies loses what it claimed
 * and did not publish, nothing else.
 *
 * BELT_MPMC: from any threads to any others, first in first out by the order of
 * the claims, items copied in and out: belt_push, belt_pop and their _n forms
 * only, each thread with a belt_tx or belt_rx of its own. Lock-free but for one
 * case: a thread that stops between its claim and its copy's end keeps that
 * slot, and the ring looks full (or empty) to the others once they reach it.
 *
 * The memory holds no pointers: every process may map it elsewhere. */
#ifndef BELT_RING_H
#define BELT_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api.h"
#include "atomic.h"
#include "mem.h"
#include "wait.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_RING_MAGIC UINT64_C(0x31676e6972746c62) /* "bltring1" */
#define BELT_RING_LAYOUT 1
#define BELT_RING_ITEMS_MAX (UINT32_C(1) << 30)
#define BELT_RING_ITEM_SIZE_MAX (UINT32_C(1) << 30)

/* Kinds and bodies beyond those marked are refused with -ENOTSUP. */
enum belt_kind {
    BELT_SPSC = 0, /* one writer, one reader */
    BELT_MPMC,     /* many, one order */
    BELT_SHARDED,  /* refused: many, an order per pair */
    BELT_BROADCAST /* refused: every reader sees every item */
};

enum belt_body {
    BELT_BODY_AUTO = 0, /* what suits the item size */
    BELT_BODY_SPANS,    /* cursors beside the slots: batches, big items */
    BELT_BODY_INBAND    /* refused: marks inside the slots' lines: small items one at a time */
};

struct belt_ring_conf {
    uint32_t size;      /* sizeof(struct belt_ring_conf); all else 0 = default */
    uint32_t item_size; /* bytes; required */
    uint32_t items;     /* rounded up to a power of two; default: 16 KiB of slots, at least 8 */
    enum belt_kind kind;
    enum belt_body body;
    enum belt_wait wait;       /* a hint for the ends, kept in the ring */
    uint32_t writers, readers; /* default 1; how many belt_close() make the end of an MPMC ring */
    uint64_t start;            /* first ticket; for tests of wrapping cursors */
};

struct belt_ring {
    /* Set by belt_ring_format(), then read-only. */
    uint64_t magic;  /* BELT_RING_MAGIC, stored last */
    uint32_t layout; /* BELT_RING_LAYOUT */
    uint32_t kind, body, wait;
    uint32_t slots;     /* power of two in [2, 2^30] */
    uint32_t slot_size; /* bytes from slot to slot: multiple of 8, of 64 from 64 bytes on */
    uint32_t item_size;
    uint32_t writers, readers;
    uint32_t head_size; /* bytes from here to the first slot */
    uint64_t footprint; /* bytes in all */
    /* SPSC: the writer only; slots before it are readable. MPMC: claimed by writers. */
    uint64_t published __attribute__((aligned(BELT_LINES)));
    uint32_t closed; /* writers that closed, each after its last item */
    /* SPSC: the reader only; slots before it are reusable. MPMC: claimed by readers. */
    uint64_t released __attribute__((aligned(BELT_LINES)));
    /* The slots follow at head_size. A slot of an MPMC ring begins with its
     * sequence: ticket: free for that ticket's writer, ticket + 1: filled. */
} __attribute__((aligned(BELT_LINES)));

static_assert(offsetof(struct belt_ring, published) >= BELT_LINES, "geometry shares lines");
static_assert(offsetof(struct belt_ring, released) - offsetof(struct belt_ring, published) >=
                  BELT_LINES,
              "the two sides share lines");

/* The writing end and the reading end: each belongs to one thread, in memory
 * of its own process that no other thread writes. They hold a copy of the
 * geometry, so that a peer that scribbles over the ring's head cannot lead us
 * outside the slots. */
struct belt_tx {
    uint64_t next;  /* SPSC: first ticket not yet published */
    uint64_t limit; /* SPSC: tickets before it are free, as last seen */
    struct belt_ring *ring;
    char *first; /* slot 0 */
    uint32_t mask, slot_size, item_size;
    bool shared; /* MPMC */
    bool closed;
};

struct belt_rx {
    uint64_t next;  /* SPSC: first ticket not yet released */
    uint64_t limit; /* SPSC: tickets before it are readable, as last seen */
    struct belt_ring *ring;
    char *first;
    uint32_t mask, slot_size, item_size;
    bool shared;
};

/* `count` slots in a row, each slot_size bytes from the one before; the first
 * is ticket `ticket`. count 0: none. */
struct belt_slots {
    void *first;
    uint32_t count;
    uint64_t ticket;
};

/* ---- cold: set-up, looking in, recovery ---------------------------------------- */

/* 0, or what is wrong: -EINVAL, -ENOTSUP (a kind or body not built in), -E2BIG
 * (made for a newer library and using what this one does not know). */
BELT_API int belt_ring_conf_check(const struct belt_ring_conf *conf);
/* Bytes of memory needed, aligned to BELT_LINES; 0 when belt_ring_conf_check refuses. */
BELT_API size_t belt_ring_footprint(const struct belt_ring_conf *conf);
/* Makes an empty ring. Nobody may have it open. -ENOSPC: memory too small. */
BELT_API int belt_ring_format(struct belt_mem mem, const struct belt_ring_conf *conf);

/* Opens one end at the cursor where the last owner left it. -EINVAL: no ring
 * there, -EPROTO: another layout, -EMSGSIZE: geometry does not fit the memory.
 * An SPSC ring has one writer and one reader at a time: the caller sees to it. */
BELT_API int belt_tx_open(struct belt_tx *tx, struct belt_mem mem);
BELT_API int belt_rx_open(struct belt_rx *rx, struct belt_mem mem);

struct belt_ring_stat {
    uint64_t published, released; /* read one after the other while both move: released may lag */
    uint32_t slots, slot_size;
    bool closed;
};
BELT_API void belt_ring_stat(const struct belt_ring *ring, struct belt_ring_stat *out);

/* Only while nobody publishes or releases. 0, or the first broken rule:
 * 1 magic  2 layout  3 slots no power of two in range  4 slot size  5 footprint
 * 6 kind  7 more published than slots  8 (MPMC) a slot's sequence fits neither
 * a free nor a filled slot */
BELT_API int belt_ring_check(const struct belt_ring *ring, size_t size);

/* For a supervisor, while the dead owner's end is vacant, having seen its
 * commit: stores the cursor that the dead owner meant to store. Doing it twice
 * is harmless, and a cursor never moves back. SPSC only (-ENOTSUP); -EINVAL:
 * the cursor is further than the other end allows. */
BELT_API int belt_ring_redo_publish(struct belt_ring *ring, uint64_t published);
BELT_API int belt_ring_redo_release(struct belt_ring *ring, uint64_t released);

/* This writer sends no more. What it claims afterwards is nothing. */
BELT_API void belt_close(struct belt_tx *tx);

/* ---- hot: spans of an SPSC ring ------------------------------------------------ */

static inline uint64_t belt_tx_next(const struct belt_tx *tx)
{
    return tx->next;
}

static inline uint64_t belt_rx_next(const struct belt_rx *rx)
{
    return rx->next;
}

/* Of `count` slots from `ticket`, those before the ring's end. */
static inline struct belt_slots belt_slots_at(char *first, uint32_t mask, uint32_t slot_size,
                                              uint64_t ticket, uint64_t count)
{
    uint32_t at = (uint32_t)ticket & mask;
    uint64_t to_end = (uint64_t)mask + 1 - at;
    struct belt_slots s;
    s.first = first + (size_t)at * slot_size;
    s.count = (uint32_t)(count < to_end ? count : to_end);
    s.ticket = ticket;
    return s;
}

static inline struct belt_slots belt_no_slots(uint64_t ticket)
{
    struct belt_slots s = { NULL, 0, ticket };
    return s;
}

/* Up to `want` free slots after `skip` that are claimed already but not yet
 * published. One run, maybe shorter than asked (the ring's end); 0: full. */
static inline struct belt_slots belt_claim_at(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    uint64_t asked = (uint64_t)skip + want;
    if (tx->limit - tx->next < asked && !tx->closed && !tx->shared)
        /* A1, pairs with R1 in belt_release(): having seen `released` move, we
         * know the reader's loads of those slots are over. A plain load would
         * let our stores overtake them and change what it reads. */
        tx->limit = belt_load_acquire(&tx->ring->released) + tx->mask + 1;
    uint64_t room = tx->limit - tx->next;
    if (room <= skip)
        return belt_no_slots(tx->next + skip);
    uint64_t count = (room < asked ? room : asked) - skip;
    return belt_slots_at(tx->first, tx->mask, tx->slot_size, tx->next + skip, count);
}

static inline struct belt_slots belt_claim(struct belt_tx *tx, uint32_t want)
{
    return belt_claim_at(tx, 0, want);
}

/* The first `count` of what was claimed; the rest stays claimable. */
static inline void belt_publish(struct belt_tx *tx, uint32_t count)
{
    assert(tx->limit - tx->next >= count);
    tx->next += count;
    /* R2, pairs with A2 in belt_peek_at(): slot contents before the cursor. */
    belt_store_release(&tx->ring->published, tx->next);
}

/* Up to `want` filled slots after the first `skip` unreleased ones, lent until
 * they are released. One run, maybe shorter than asked; 0: nothing (more) there. */
static inline struct belt_slots belt_peek_at(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    uint64_t asked = (uint64_t)skip + want;
    if (rx->limit - rx->next < asked && !rx->shared)
        /* A2, pairs with R2 in belt_publish(): having seen `published` move, we
         * see what was written before. A plain load could show us the slots as
         * they were a lap ago. */
        rx->limit = belt_load_acquire(&rx->ring->published);
    uint64_t filled = rx->limit - rx->next;
    if (filled <= skip)
        return belt_no_slots(rx->next + skip);
    uint64_t count = (filled < asked ? filled : asked) - skip;
    return belt_slots_at(rx->first, rx->mask, rx->slot_size, rx->next + skip, count);
}

/* From the oldest unreleased slot on. */
static inline struct belt_slots belt_peek(struct belt_rx *rx, uint32_t want)
{
    return belt_peek_at(rx, 0, want);
}

/* The oldest `count` slots go back to the writer. False: a lossy ring has
 * lapped us (never in the kinds built in). */
static inline bool belt_release(struct belt_rx *rx, uint32_t count)
{
    assert(rx->limit - rx->next >= count);
    rx->next += count;
    /* R1, pairs with A1 in belt_claim_at(): our loads of the slots before it. */
    belt_store_release(&rx->ring->released, rx->next);
    return true;
}

/* Closed by every writer, and nothing is left for this reader to take. */
static inline bool belt_rx_ended(const struct belt_rx *rx)
{
    const struct belt_ring *ring = rx->ring;
    /* A3, pairs with R3 in belt_close(): a writer closes after its last publish,
     * so the cursor read next is final. The other way round an item published
     * in between would be lost. */
    if (belt_load_acquire32(&ring->closed) < ring->writers)
        return false;
    /* Relaxed: compared only, the slots are read after belt_peek()'s acquire. */
    uint64_t taken = rx->shared ? belt_load_relaxed(&ring->released) : rx->next;
    return belt_load_relaxed(&ring->published) == taken;
}

#include "mpmc.h"

/* ---- hot: items by copy, both kinds -------------------------------------------- */

/* One item of `size` bytes (pass sizeof: the copy becomes plain stores), at most
 * the ring's item_size. False: full. */
static inline bool belt_push(struct belt_tx *tx, const void *item, size_t size)
{
    assert(size <= tx->item_size);
    if (tx->shared)
        return belt_mpmc_push(tx, item, size);
    struct belt_slots s = belt_claim(tx, 1);
    if (s.count == 0)
        return false;
    memcpy(s.first, item, size);
    belt_publish(tx, 1);
    return true;
}

/* False: nothing there now; belt_rx_ended() tells whether there ever will be. */
static inline bool belt_pop(struct belt_rx *rx, void *item, size_t size)
{
    assert(size <= rx->item_size);
    if (rx->shared)
        return belt_mpmc_pop(rx, item, size);
    struct belt_slots s = belt_peek(rx, 1);
    if (s.count == 0)
        return false;
    memcpy(item, s.first, size);
    return belt_release(rx, 1);
}

/* Up to `count` items, `size` bytes each, from or to an array without gaps.
 * How many: fewer than asked when the ring is full or empty. */
BELT_API uint32_t belt_push_n(struct belt_tx *tx, const void *items, uint32_t count, size_t size);
BELT_API uint32_t belt_pop_n(struct belt_rx *rx, void *items, uint32_t count, size_t size);

#ifdef __cplusplus
}
#endif
#endif
