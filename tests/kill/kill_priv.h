/* kill -9 at random moments: writers and readers run at full speed over a shared
 * ring, a supervisor kills and replaces them, and every item is accounted for.
 *
 *   main.c    rounds of kills, ring after ring; the table
 *   actors.c  the writers and readers
 *   ledger.c  items, and what came of each
 *
 * What is known of an item when a writer dies: a push that returned is written down
 * in the next instruction or so (`pushed`), that it was about to begin before it
 * (`meant`). Items between the two may have arrived or not. A reader takes items
 * into a hand that outlives it, and notes them: what lies in a dead one's hand
 * has arrived. */
#ifndef KILL_PRIV_H
#define KILL_PRIV_H

#include <sys/types.h>

#include "rings/ring.h"

enum {
    ENDS = 2,          /* of a side, at most */
    BATCH = 8,         /* items in one call, at most */
    ITEM_MAX = 120,    /* bytes */
    NUMBERS = 1 << 22, /* items of a writer in one round, at most */
    DOUBTS = 4096      /* in one round */
};

struct kind {
    const char *name;
    enum belt_kind kind;
    enum belt_body body;
    uint32_t item_size, writers, readers;
    bool each_sees_all;
    uint32_t window; /* items that may come again after a reader's death (ring.h) */
};

/* ---- shared by all processes ------------------------------------------------------- */

struct writer_log {
    uint64_t meant;  /* numbers before it: the push had begun */
    uint64_t pushed; /* numbers before it: the push had returned */
} __attribute__((aligned(BELT_LINES)));

struct reader_log {
    uint64_t popped, again, late, broken; /* items: noted, come again, out of order, torn */
    uint64_t last[ENDS];                  /* of each writer: the highest number noted, + 1 */
    uint64_t again_now;                   /* in this life */
    uint64_t hand[BATCH * ITEM_MAX / 8];  /* without gaps */
} __attribute__((aligned(BELT_LINES)));

struct place {      /* of a process */
    uint32_t ready; /* it has its role and its log */
    int32_t failed; /* -errno: it could not open its end */
} __attribute__((aligned(BELT_LINES)));

struct ledger {
    uint32_t stop; /* writers are to close, readers to empty the ring */
    struct writer_log writers[ENDS];
    struct reader_log readers[ENDS];
    struct place places[2 * ENDS]; /* writers first */
    /* Whose log each is: place + 1. A role is free as soon as its owner is dead, its log
     * only once the supervisor has read it. */
    uint32_t holders[2 * ENDS];
    uint64_t noted[ENDS][ENDS][NUMBERS / 64]; /* by view, by writer */
};

/* The view that a reader notes in. */
static inline uint32_t view_of(const struct kind *kind, uint32_t reader)
{
    return kind->each_sees_all ? reader : 0;
}

/* ---- items ------------------------------------------------------------------------- */

struct name {
    uint32_t writer;
    uint64_t number;
};

/* Its size, which differs from item to item. */
uint32_t item_make(uint64_t *item, const struct kind *kind, struct name name);
/* False: no item, or not all of it. */
bool item_read(const uint64_t *item, const struct kind *kind, struct name *name);

/* False: it was noted before. */
bool note(struct ledger *ledger, uint32_t view, struct name name);
bool noted(const struct ledger *ledger, uint32_t view, struct name name);

/* ---- processes ---------------------------------------------------------------------- */

struct actor {
    const struct kind *kind;
    struct belt_mem ring;
    struct ledger *ledger;
    uint32_t place;
    uint64_t random;
};

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*state >> 33) % limit);
}

/* The exit code: 0 when it was told to stop and has. */
int writer_run(struct actor *a);
int reader_run(struct actor *a);

/* ---- accounts ------------------------------------------------------------------------ */

struct account {
    uint64_t rounds, writer_kills, reader_kills;
    uint64_t items;        /* pushed, by calls that returned */
    uint64_t doubts, kept; /* pushed by a writer that died meanwhile; of these arrived */
    uint64_t again, most;  /* came again; the most after one death */
    uint64_t in_hand;      /* in a dead reader's hand, not noted by it */
    uint64_t late;         /* out of order, having been given back */
    uint64_t lost, broken, disorder, beyond, wedged; /* violations */
};

/* What a round knows besides the ledger. */
struct round {
    const struct kind *kind;
    struct ledger *ledger;
    struct account *account;
    uint64_t reader_kills, again, late;
    uint32_t doubt_count;
    struct doubt {
        uint32_t writer;
        uint64_t from, to;
    } doubts[DOUBTS];
};

void writer_died(struct round *round, uint32_t log);
void reader_died(struct round *round, uint32_t log);
/* Nobody runs any more: closes the books. */
void settle(struct round *round);

#endif
