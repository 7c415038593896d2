/* The ledger of one source instance: what became of each message, two bits
 * each, for the window of messages that are not all settled yet.
 *
 * Sequences are given out in words of 64, so that a frame's bitmaps are the
 * operands that settle it. The source alone issues and frees; anybody settles.
 *            issue   settle   free
 *   issue      X       -       X       X: callers must exclude each other
 *   settle     -       -       -       -: may run at the same time
 *   free       X       -       X
 * Settling the same message again changes nothing. */
#ifndef BELT_LEDGER_PRIV_H
#define BELT_LEDGER_PRIV_H

#include <stdint.h>

#include "core/batch_priv.h"
#include "rings/atomic.h"

#define BELT_RUN_SOURCE(word) ((uint32_t)((word) >> 48))
#define BELT_RUN_WORD(word) ((word)&0xffffffffffffull)
#define BELT_RUN_JOINS 0x8000u  /* + a processor's number: children of messages (join_priv.h) */
#define BELT_RUN_NOBODY 0xffffu /* settled before: settles nothing */

struct belt_ledger {
    uint64_t *done, *failed; /* [words], word w of the sequence at w & mask */
    uint64_t *owed;          /* [words]: not told upstream yet; NULL: nobody is. Source only */
    uint8_t *options;        /* atomics, [words * 64]: belt_acked.options; NULL: no step asks */
    uint64_t words, mask;    /* the window; a power of two at least as large, less 1 */
    uint64_t next, low;      /* words issued; words below `low` are settled and free. Source only */
    uint64_t issued;         /* messages that got a ticket. Source only */
    uint64_t settled_failed; /* in the freed words. Source only */
};

/* Messages are settled: `mask` of the 64 in this word of this ledger. */
static inline void belt_ledger_settle(struct belt_ledger *ledger, uint64_t word, uint64_t mask)
{
    /* R1, pairs with A1 in belt_ledger_free(), and with A2 in belt_ledger_tell(): whoever
     * sees the bit sees all that was done with the message before; without it the source
     * could acknowledge upstream, or reuse the word, ahead of the sink's stores. All bits
     * of a word at once need no exchange: nobody has another one to set. */
    if (mask == UINT64_MAX)
        belt_store_release(&ledger->done[word & ledger->mask], mask);
    else
        belt_fetch_or(&ledger->done[word & ledger->mask], mask);
}

static inline void belt_ledger_fail(struct belt_ledger *ledger, uint64_t word, uint64_t mask)
{
    /* Published by the settle that follows. */
    belt_fetch_or(&ledger->failed[word & ledger->mask], mask);
    belt_ledger_settle(ledger, word, mask);
}

/* Words for `count` messages; the first one's number. Room must be there:
 * belt_ledger_room() >= words. */
uint64_t belt_ledger_issue(struct belt_ledger *ledger, uint32_t count);
/* Words of memory for a window of so many. */
static inline uint64_t belt_ledger_words(uint64_t window)
{
    return window > 1 ? UINT64_C(1) << (64 - __builtin_clzll(window - 1)) : 1;
}
uint64_t belt_ledger_room(const struct belt_ledger *ledger);
/* Frees what is settled in order. How many words. */
uint64_t belt_ledger_free(struct belt_ledger *ledger);
/* Calls tell() for what is settled and still owed: in order up to the first word that is
 * not settled whole, or (any) of every word. Before belt_ledger_free(). */
typedef void belt_tell_fn(void *ctx, uint64_t word, uint64_t done, uint64_t failed);
void belt_ledger_tell(struct belt_ledger *ledger, bool any, belt_tell_fn *tell, void *ctx);
struct belt_ledger_counts {
    uint64_t issued, unsettled, failed; /* messages */
};
/* By looking at every word of the window: exact while nobody works on it. */
struct belt_ledger_counts belt_ledger_count(const struct belt_ledger *ledger);

#endif
