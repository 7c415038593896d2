/* A turn is a transaction: what it means to have done is written down, then one
 * word says that it counts. tests/proofs runs this against every order of memory
 * and a death before and after each store. */
#ifndef BELT_TURN_PRIV_H
#define BELT_TURN_PRIV_H

#include "rings/ring.h"

/* What a turn means to have done. */
struct belt_intent {
    uint64_t in;    /* input frames handled */
    uint64_t first; /* messages handled of the next one */
    uint64_t out;   /* results published */
};

/* The worker's. A turn writes the intent that is not in force, then `commit`. */
struct belt_turns {
    struct belt_intent intents[2];
    uint64_t commit __attribute__((aligned(BELT_LINES))); /* intents[commit % 2] is in force */
};

/* The turn's end. A death before the word: nothing happened. After it: whoever finds
 * us dead publishes for us. */
static inline void belt_turn_commit(struct belt_turns *turns, const struct belt_intent *next)
{
    uint64_t turn = belt_load_relaxed(&turns->commit) + 1; /* relaxed: only we write it */
    belt_data_store(&turns->intents[turn % 2], next, sizeof *next);
    /* R2: the intent and the results before the word that says they count, whoever
     * stops us in between; see belt_turn_last(). */
    belt_store_release(&turns->commit, turn);
}

/* Of a worker that is dead, or our own. */
static inline struct belt_intent belt_turn_last(const struct belt_turns *turns)
{
    /* Relaxed: what the dead did is over, by the kernel's word. R2 is for its own order:
     * the word must not be stored, and the worker die, before the intent is. */
    uint64_t turn = belt_load_relaxed(&turns->commit);
    struct belt_intent last;
    belt_data_load(&last, &turns->intents[turn % 2], sizeof last);
    return last;
}

#endif
