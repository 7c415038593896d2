/* What most scenarios are made of: one ring, its ends opened by the threads that
 * use them, numbered items, and what must be true of them in the end. */
#ifndef SCENE_H
#define SCENE_H

#include "rings/ring.h"
#include "tests/proofs/model.h"

/* struct model_scenario's p[]. */
enum scene_parameter {
    P_KIND,  /* enum belt_kind, and SCENE_INBAND */
    P_SLOTS, /* items that the ring is made for */
    P_ENDS,  /* writers * 16 + readers: threads 0 to writers - 1 write, then readers read */
    P_ITEMS, /* of each writer; + 16 * those of all but the first, if not the same */
    P_HOW,   /* of SCENE_* below */
    P_BATCH, /* items that one call moves at most */
    P_START, /* how far before 2^64 the tickets start; 0: at 0 */
    P_SHARE  /* items that each reader takes, as P_ITEMS; 0: all, until the end */
};

enum {
    SCENE_INBAND = 64,
    /* how writers write */
    SCENE_PUSH = 0,
    SCENE_PUSH_N = 1,
    SCENE_SPANS = 2, /* claim, fill, publish */
    SCENE_PART = 3,  /* claim two, publish one */
    SCENE_WRITES = 7,
    /* how readers read */
    SCENE_POP = 0,
    SCENE_POP_N = 8,
    SCENE_PEEK = 16,   /* peek, use, release */
    SCENE_PIECES = 24, /* peek two, release them one by one */
    SCENE_READS = 56,
    SCENE_CLOSE = 64,     /* writers close; readers read until the end */
    SCENE_WAIT = 128,     /* belt_rx_wait */
    SCENE_WAIT_TX = 2048, /* belt_tx_wait */
    SCENE_BIG = 256,      /* items of 24 bytes: in-band 2 a line */
    SCENE_ROLES = 512,    /* not BELT_NO_ROLES */
    SCENE_LATE = 1024     /* readers' ends are not opened yet */
};

enum { SCENE_GOT = 24 };

struct scene_end {
    struct belt_tx tx;
    struct belt_rx rx;
    uint32_t sent, got_n; /* items whose call has returned */
    uint32_t under;       /* items in a call that was begun: may be gone or there */
    uint64_t got[SCENE_GOT];
};

struct scene {
    struct belt_mem mem;
    struct belt_ring *ring;
    struct scene_end end[MODEL_THREADS];
    uint64_t flag; /* for the scenario's own use */
};

extern struct scene *scene;

static inline unsigned scene_writers(const struct model_scenario *s)
{
    return (unsigned)s->p[P_ENDS] / 16;
}

static inline unsigned scene_readers(const struct model_scenario *s)
{
    return (unsigned)s->p[P_ENDS] % 16;
}

uint32_t scene_items(const struct model_scenario *s, unsigned writer);
void scene_setup(const struct model_scenario *s);
/* The i-th item of a writer. */
uint64_t scene_item(unsigned writer, uint32_t i);
/* Threads: all items, or the share. */
void scene_writer(const struct model_scenario *s, unsigned me);
void scene_reader(const struct model_scenario *s, unsigned me);
/* Their parts: writes items from end.sent on; takes one call's items, false: there
 * are none now. */
void scene_write_from(const struct model_scenario *s, struct scene_end *end, unsigned writer);
bool scene_take(const struct model_scenario *s, struct scene_end *end);

/* Each item once, those of one writer in order with each reader, nothing left. */
void scene_check(const struct model_scenario *s);
/* belt_ring_check() */
void scene_check_ring(void);
/* What a reader got of a writer has no gaps and is in order; how many. `first`: index. */
uint32_t scene_got_of(const struct scene_end *end, unsigned writer, uint32_t *first);

#endif
