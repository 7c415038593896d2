/* Bounded queues in memory that all ends have mapped: threads or processes.
 *
 *   kind                     ends             order              a claim by a dead process
 *   BELT_SPSC                one, one         FIFO               cannot block anybody
 *   BELT_MPMC                many, many       FIFO               comes back: belt_ring_reap()
 *   BELT_MPMC_CRASH_UNSAFE   many, many       FIFO               blocks its slots for ever
 *   BELT_SHARDED             many, many       FIFO per pair      cannot block anybody
 *   BELT_BROADCAST           one, all of many FIFO, all of it    a dead reader's place waits for
 *                                                               a successor, and the writer with it
 *   BELT_LOSSY               one, all of many FIFO, with gaps    cannot block anybody
 *
 * A writer claims slots, fills and publishes them; a reader peeks, uses them in
 * place, releases. push and pop do it by copy. Which calls may run at once:
 *              claim publish push | peek release pop | stat reap wait_any's others
 *   same tx      X     X      X   |  -     -      -  |  -
 *   same rx      -     -      -   |  X     X      X  |  -
 * X: callers must exclude each other (an end belongs to one thread at a time);
 * -: at the same time, from any thread or process. No call but *_wait* blocks,
 * none allocates but open of a sharded ring, none may be made in a signal handler
 * that interrupted one of the same end.
 *
 * Progress. SPSC, broadcast, lossy: wait-free (a bounded number of steps, lingering
 * included). MPMC: lock-free for claims; a reader finds the ring empty while the oldest
 * item is still being written, and nobody spins for it. Sharded: as SPSC.
 *
 * Cost. Hot calls say theirs; a copy of items comes on top. Cold ones are system calls:
 * open reads /proc (tens of us), format, check, and stat and reap of MPMC go over all slots.
 *
 * A process that dies between any two instructions leaves every ring usable.
 * SPSC, sharded, broadcast: what was published stays, what was released is gone,
 * what was popped since the last release store comes again to the next reader:
 * at most one call's items with spans, one line's (at most 7) in-band, of each lane.
 *
 * The memory holds no pointers: every process may map it elsewhere. An end opened
 * before fork() is the parent's. */
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
#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_RING_ITEMS_MAX (UINT32_C(1) << 30)
#define BELT_RING_ITEM_SIZE_MAX (UINT32_C(1) << 30)
#define BELT_INBAND_ITEM_MAX 56u

enum belt_kind {
    BELT_SPSC = 0,
    BELT_MPMC,
    BELT_MPMC_CRASH_UNSAFE, /* takes no roles; only among threads that live and die together */
    BELT_SHARDED,           /* an SPSC ring per pair of writer and reader */
    BELT_BROADCAST,         /* the slowest reader holds the writer back */
    BELT_LOSSY              /* nobody does: who is lapped is told what it missed */
};

enum belt_body { /* of SPSC rings and of the lanes of sharded ones */
                 BELT_BODY_AUTO =
                     0, /* in-band for items of at most 56 bytes and batch <= 1, else spans */
                 BELT_BODY_SPANS, /* cursors beside the slots: batches, big items */
                 BELT_BODY_INBAND /* validity in the items' own line: small items one at a time */
};

enum belt_ring_flags {
    /* The caller sees to it that an end has one owner: opening takes no role and
     * reads nothing from /proc. For supervisors that watch their processes themselves. */
    BELT_NO_ROLES = 1,
    /* Ends take what is there at once, even when waiting a moment would get both
     * sides out of each other's lines (see belt_peek). */
    BELT_NO_LINGER = 2
};

struct belt_ring_conf {
    uint32_t size;      /* sizeof(struct belt_ring_conf); all else 0 = default */
    uint32_t item_size; /* bytes; required */
    uint32_t items;     /* at least so many fit; rounded up. Default: 16 KiB of slots, at least 8 */
    enum belt_kind kind;
    enum belt_body body;
    enum belt_wait wait;       /* how belt_rx_wait and belt_tx_wait wait */
    uint32_t writers, readers; /* default 1. MPMC: how many belt_close() make its end; sharded,
                                  broadcast, lossy: how many there can be at a time */
    uint64_t start;            /* first ticket; for tests of wrapping cursors */
    uint32_t flags;            /* enum belt_ring_flags */
    uint32_t batch;            /* items that one call usually moves; a hint for BELT_BODY_AUTO */
};

/* ---- cold: set-up, looking in, recovery ---------------------------------------- */

/* 0, or what is wrong: -EINVAL (BELT_BODY_INBAND: items over 56 bytes, or of a kind
 * without bodies), -E2BIG (made for a newer library and using what this one does
 * not know, or more memory than a size_t counts). */
BELT_API int belt_ring_conf_check(const struct belt_ring_conf *conf);
/* Bytes of memory needed, aligned to BELT_LINES; 0 when belt_ring_conf_check refuses. */
BELT_API size_t belt_ring_footprint(const struct belt_ring_conf *conf);
/* Makes an empty ring. Nobody may have it open. -ENOSPC: memory too small. */
BELT_API int belt_ring_format(struct belt_mem mem, const struct belt_ring_conf *conf);

/* Opens one end where its last owner left it and takes its role: a dead process's,
 * else one that nobody had yet, else one that was given back (a writer's that closed
 * stays closed). -EBUSY while every such role belongs to a process that lives (this
 * one included), -ESRCH when /proc cannot be read. -EINVAL: no ring there, -EPROTO:
 * another layout, -EMSGSIZE: geometry does not fit the memory, -ENOMEM (sharded).
 * Any thread; the end may then be copied to, and used by, one thread. A reader of a
 * lossy ring begins at the oldest item that is there, whoever read it before. */
BELT_API int belt_tx_open(struct belt_tx *tx, struct belt_mem mem);
BELT_API int belt_rx_open(struct belt_rx *rx, struct belt_mem mem);
/* Gives the role to whoever opens next, and closes what was opened. What was
 * published stays. A broadcast reader that leaves no longer holds the writer back. */
BELT_API void belt_tx_leave(struct belt_tx *tx);
BELT_API void belt_rx_leave(struct belt_rx *rx);

/* This writer sends no more: once all have said so and the ring is empty it has
 * ended. What it claims afterwards is nothing. */
BELT_API void belt_close(struct belt_tx *tx);
/* Sharded: the writing end of the lane to reader `reader`, for callers that choose
 * themselves who gets what; good until `tx` leaves, and for the same thread. NULL:
 * no such reader, or another kind. */
BELT_API struct belt_tx *belt_tx_to(struct belt_tx *tx, uint32_t reader);
/* Closed by every writer, and nothing is left for this reader to take. */
BELT_API bool belt_rx_ended(const struct belt_rx *rx);

struct belt_ring_stat {
    uint64_t published, released; /* read one after the other while both move: released may lag */
    uint64_t items;               /* waiting for the slowest reader; in-band: with all of the
                                     line that it is in */
    uint32_t slots, slot_size;    /* in-band: places for items, bytes from one to the next */
    enum belt_kind kind;
    enum belt_body body;
    bool closed;
    uint32_t writers, readers; /* roles that are taken; MPMC: processes, in `writers` */
};
/* From any process that has mapped it. 0, or why it is no ring: as belt_rx_open. */
BELT_API int belt_ring_stat(struct belt_mem mem, struct belt_ring_stat *out);

/* Walks the whole ring. Beside live ends the rules from 7 on may seem broken and are not;
 * beside a hostile peer it says anything, but reads nothing outside of the ring. 0, or the
 * first broken rule:
 * 1 magic  2 layout  3 slots no power of two in range  4 slot size  5 footprint
 * 6 kind  7 more published than slots  8 (MPMC) a slot's word fits no state, or
 * (in-band) a line's  9 (sharded) a lane */
BELT_API int belt_ring_check(const struct belt_ring *ring, size_t size);

/* MPMC: what dead processes had claimed comes back. Their unpublished slots
 * become gaps that readers skip, the items they had peeked but not released are
 * there again, out of order. Any process, any time, decided by the kernel's word
 * (pidfd, start time), never by a clock. 0; -EBUSY: a live process is at it;
 * -ENOTSUP: of another kind, which needs none. `out` may be NULL. */
struct belt_reaped {
    uint32_t processes, gaps, returned; /* died, slots given up, items to be read again */
};
BELT_API int belt_ring_reap(struct belt_mem mem, struct belt_reaped *out);

/* For a supervisor, while the dead owner's end is vacant, having seen its
 * commit: stores the cursor that the dead owner meant to store. Doing it twice
 * is harmless, and a cursor never moves back. SPSC spans only (-ENOTSUP);
 * -EINVAL: the cursor is further than the other end allows. */
BELT_API int belt_ring_redo_publish(struct belt_ring *ring, uint64_t published);
BELT_API int belt_ring_redo_release(struct belt_ring *ring, uint64_t released);

/* ---- waiting ------------------------------------------------------------------- */

#define BELT_FOR_EVER UINT64_MAX
/* CLOCK_MONOTONIC ns from now on, for the calls below. */
BELT_API uint64_t belt_deadline(uint64_t ns);

/* 0: something is there (room, for tx). -ETIMEDOUT. -EPIPE: the ring has ended (tx:
 * this end was closed). -EOWNERDEAD: nothing is there, and every process that could
 * bring it is dead and has not closed; looked at every 20 ms of sleep (MPMC: all other
 * processes that took part are dead, until belt_ring_reap()). */
BELT_API int belt_rx_wait(struct belt_rx *rx, uint64_t deadline);
BELT_API int belt_tx_wait(struct belt_tx *tx, uint64_t deadline);
/* Which of n <= 64 has something: its index; else as belt_rx_wait, -EPIPE and
 * -EOWNERDEAD only when true of all. Later calls begin after the last found. */
BELT_API int belt_rx_wait_any(struct belt_rx *const *rxs, uint32_t n, uint64_t deadline);

/* A descriptor that is readable after a publish, for epoll loops; the rx's own, or
 * -errno. Before blocking on it: belt_rx_arm(); true means that something is there
 * already (or the ring has ended), so do not block. Afterwards belt_rx_disarm(). A
 * wake-up for nothing is possible, a missed one is not. All processes must share one
 * network namespace (it is an abstract socket); at most 31 such readers a ring. */
BELT_API int belt_rx_fd(struct belt_rx *rx);
BELT_API bool belt_rx_arm(struct belt_rx *rx);
BELT_API void belt_rx_disarm(struct belt_rx *rx);

/* ---- hot: in place, all kinds -------------------------------------------------- */

#include "bell.h"
#include "spans.h"
#include "inband.h"
#include "mpmc.h"
#include "sharded.h"

BELT_API struct belt_slots belt_claim_other(struct belt_tx *tx, uint32_t skip, uint32_t want);
BELT_API void belt_publish_other(struct belt_tx *tx, uint32_t count);
BELT_API struct belt_slots belt_peek_other(struct belt_rx *rx, uint32_t skip, uint32_t want);
BELT_API bool belt_release_other(struct belt_rx *rx, uint32_t count);
BELT_API bool belt_push_other(struct belt_tx *tx, const void *item, size_t size);
BELT_API bool belt_pop_other(struct belt_rx *rx, void *item, size_t size);

static inline uint64_t belt_tx_next(const struct belt_tx *tx)
{
    return tx->next;
}

static inline uint64_t belt_rx_next(const struct belt_rx *rx)
{
    return rx->next;
}

/* Up to `want` free slots after `skip` that are claimed already but not yet
 * published (MPMC, in-band, sharded: skip must be 0). One run, maybe shorter than
 * asked (the ring's or the line's end); 0: full. Cost: a load of the reader's line
 * when the room last seen is used up, else none; MPMC: one locked instruction. */
BELT_INLINE struct belt_slots belt_claim_at(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    if (tx->way == BELT_WAY_SPANS)
        return belt_spans_claim(tx, skip, want);
    struct belt_slots other = belt_claim_other(tx, skip, want);
    return belt_slots_of(other.first, other.count, other.ticket);
}

BELT_INLINE struct belt_slots belt_claim(struct belt_tx *tx, uint32_t want)
{
    return belt_claim_at(tx, 0, want);
}

/* The first `count` of what was claimed; the rest stays claimable (MPMC: becomes
 * gaps that readers skip). Visible to readers at once. Cost: a store, and a load of
 * a line that changes only when a reader goes to sleep. */
BELT_INLINE void belt_publish(struct belt_tx *tx, uint32_t count)
{
    if (tx->way == BELT_WAY_SPANS)
        belt_spans_publish(tx, count);
    else
        belt_publish_other(tx, count);
}

/* Up to `want` filled slots after the first `skip` unreleased ones, lent until
 * they are released. One run, maybe shorter than asked; 0: nothing (more) there.
 * MPMC, in-band, sharded: skip must be 0. Lossy: what is lent may change under
 * the reader; belt_release() says whether it did. An end that has just moved a lot and
 * catches up lingers, at most some microseconds (4 MiB and more: 90) while items keep
 * coming, to get out of the other's lines (not under BELT_NO_LINGER). Cost: a load of
 * the writer's line when what was last seen is used up; MPMC: one locked instruction. */
BELT_INLINE struct belt_slots belt_peek_at(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    if (rx->way == BELT_WAY_SPANS)
        return belt_spans_peek(rx, skip, want);
    struct belt_slots other = belt_peek_other(rx, skip, want);
    return belt_slots_of(other.first, other.count, other.ticket);
}

BELT_INLINE struct belt_slots belt_peek(struct belt_rx *rx, uint32_t want)
{
    return belt_peek_at(rx, 0, want);
}

/* The oldest `count` slots go back to the writer (MPMC: exactly what was peeked).
 * False: the writer of a lossy ring has lapped us, nothing of it can be trusted;
 * rx->missed has grown by what was lost. Cost: as belt_publish; lossy: a fence. */
BELT_INLINE bool belt_release(struct belt_rx *rx, uint32_t count)
{
    if (rx->way == BELT_WAY_SPANS)
        return belt_spans_release(rx, count);
    return belt_release_other(rx, count);
}

/* ---- hot: items by copy, all kinds --------------------------------------------- */

/* An item up to this many bytes goes to the kinds below as a copy: what they call out of
 * line needs it in memory, and no other kind is to keep it there for their sake. What is
 * popped is not: it has to be where the caller wants it before its slot is given back,
 * or a death in between would lose it. */
enum { BELT_COPIED = 64 };

/* One item of `size` bytes (pass sizeof: the copy becomes plain stores), at most
 * the ring's item_size. False: full. Cost: a claim, a publish. */
BELT_INLINE bool belt_push(struct belt_tx *tx, const void *item, size_t size)
{
    assert(size <= tx->item_size);
    if (tx->way == BELT_WAY_INBAND)
        return belt_inband_push(tx, item, size);
    if (tx->way == BELT_WAY_SPANS)
        return belt_spans_push(tx, item, size);
    if (size > BELT_COPIED) {
        /* The compiler is not to conclude here that a shorter array is read beyond its end. */
        __asm__("" : "+r"(size));
        return belt_push_rest(tx, item, size);
    }
    uint64_t copy[BELT_COPIED / sizeof(uint64_t)];
    belt_copy(copy, item, size);
    return belt_push_rest(tx, copy, size);
}

/* False: nothing there now; belt_rx_ended() tells whether there ever will be. Cost: a
 * peek, a release; in-band that once a line. */
BELT_INLINE bool belt_pop(struct belt_rx *rx, void *item, size_t size)
{
    assert(size <= rx->item_size);
    if (rx->way == BELT_WAY_INBAND)
        return belt_inband_pop(rx, item, size);
    if (rx->way == BELT_WAY_SPANS)
        return belt_spans_pop(rx, item, size);
    if (rx->way <= BELT_WAY_MPMC_CRASH_UNSAFE)
        return belt_mpmc_pop(rx, item, size);
    if (rx->way == BELT_WAY_SHARDED)
        return belt_sharded_pop(rx, item, size);
    return belt_pop_other(rx, item, size);
}

/* Up to `count` items, `size` bytes each, from or to an array without gaps.
 * How many: fewer than asked when the ring is full or empty. Cost: one of the above for
 * all of a run, and a call. */
BELT_API uint32_t belt_push_n(struct belt_tx *tx, const void *items, uint32_t count, size_t size);
BELT_API uint32_t belt_pop_n(struct belt_rx *rx, void *items, uint32_t count, size_t size);

#ifdef __cplusplus
}
#endif
#endif
