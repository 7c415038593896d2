/* Death at every instruction: one ring operation, single-stepped in a child that
 * is killed after k instructions, for every k; the parent then goes on with the
 * ring as a survivor would, and counts.
 *
 *   scenes.c  the kinds and states of rings, and how one is brought into a state
 *   ops.c     the operations
 *   trace.c   the child, its steps and its death
 *   verify.c  the survivor
 *   main.c    which of all that, in which order; the table */
#ifndef STEP_PRIV_H
#define STEP_PRIV_H

#include "rings/ring.h"

enum {
    ITEMS = 8,      /* the capacity asked for */
    ITEM_MAX = 24,  /* bytes */
    NUMBERS = 512,  /* every item of a scene has one of its own, from 1 on */
    ENDS = 2,       /* of a side, at most */
    HAND = 4,       /* items that one operation moves, at most */
    DEAD_CLAIMS = 2 /* slots that a process held on each side when it died */
};

/* ---- kinds ------------------------------------------------------------------------ */

enum trait {
    ONE_ORDER = 1,      /* FIFO over all writers; else per pair */
    EACH_SEES_ALL = 2,  /* every reader gets every item */
    REAPED = 4,         /* belt_ring_reap() belongs to the recovery */
    MAY_WEDGE = 8,      /* says so in its name: counted, no failure */
    MAY_MISS = 16,      /* a lapped reader is told what it missed */
    IN_LINES = 32,      /* readers give back lines, not items */
    REDOES = 64,        /* belt_ring_redo_publish() and _release() */
    LEAVING_SKIPS = 128 /* a reader that leaves gives up what it has not read */
};

struct kind {
    const char *name;
    enum belt_kind kind;
    enum belt_body body;
    uint32_t item_size, writers, readers;
    unsigned traits;
};

extern const struct kind kinds[];
extern const uint32_t kind_count;

/* ---- scenes: a ring in a state ---------------------------------------------------- */

enum side { WRITES = 1, READS = 2, BOTH = 3 };

struct state {
    const char *name;
    uint64_t lap_before; /* the ticket at which the ring's end lies; 0: none in particular */
    uint8_t fill;        /* enum fill */
    bool wraps;          /* the operation crosses the ring's end */
    bool claims;         /* a dead process holds slots (MPMC) */
    bool armed;          /* a dead process sleeps beside it */
    bool quick;          /* part of --quick */
};

enum fill { NOTHING, HALF, ALL };

extern const struct state states[];
extern const uint32_t state_count;

struct scene {
    const struct kind *kind;
    const struct state *state;
    enum side side;
    struct belt_mem mem;  /* the ring */
    void *image;          /* what it is like before the operation */
    uint32_t capacity;    /* places for items */
    uint32_t per_line;    /* items that readers give back at once */
    uint32_t first, last; /* items in it: first <= number < last */
    uint32_t before;      /* of these, the reader pops so many before the operation */
    uint8_t writer[NUMBERS];
};

/* 0, or -errno: the ring cannot be made or brought there. */
int scene_make(struct scene *scene, const struct kind *kind, const struct state *state,
               enum side side);
/* As after scene_make(). */
void scene_restore(const struct scene *scene);
void scene_free(struct scene *scene);

void item_make(void *item, uint32_t size, uint32_t number);
/* Its number; 0: no item, or a torn one. */
uint32_t item_number(const void *item, uint32_t size);

/* ---- operations ------------------------------------------------------------------- */

/* Shared with the parent. */
struct hand {
    volatile uint32_t returned;  /* the operation is over */
    uint32_t result;             /* items moved, or the call's own result */
    uint64_t target;             /* of the redo calls */
    uint32_t before;             /* items that it had popped before */
    uint32_t numbers[16];        /* theirs */
    char items[HAND * ITEM_MAX]; /* what the operation took out of the ring, without gaps */
};

/* The child. */
struct actor {
    const struct scene *scene;
    struct belt_tx tx;
    struct belt_rx rx;
    struct hand *hand;
    char fresh[HAND * ITEM_MAX]; /* what it brings, without gaps: numbers from scene->last on */
};

struct op {
    const char *name;
    enum side side;
    uint8_t pushes, pops;
    unsigned traits; /* only for kinds that have all of these */
    enum op_flags {
        COLD = 1,  /* hundreds of instructions: in few states */
        WAITS = 2, /* only where there is something to wait for, or somebody else waited */
        CLOSES = 4
    } flags;
    int (*prepare)(struct actor *a);                                 /* not stepped. 0 or -errno */
    void (*run)(struct actor *a);                                    /* stepped */
    int (*redo)(const struct scene *scene, const struct hand *hand); /* by the survivor */
};

extern const struct op ops[];
extern const uint32_t op_count;

/* ---- dying ------------------------------------------------------------------------ */

struct death {
    uint32_t steps; /* instructions that it lived */
    bool early;     /* it was not through with the operation */
    int failed;     /* -errno of its preparation, or the signal that ended it */
};

/* What is left after some instruction. */
struct remains {
    uint32_t steps;
    struct hand hand;
    void *ring;
};

/* Those before and after each change of the ring. */
struct walk {
    uint32_t steps, count, room;
    struct remains *remains;
};

enum { STEPS_MAX = 1 << 18 };

/* Restores the scene, runs `op` and kills it after `steps` instructions. `walk`
 * (NULL: nobody asks) gets the remains; their owner is dead by now. */
struct death die_after(const struct scene *scene, const struct op *op, struct hand *hand,
                       uint32_t steps, struct walk *walk);

/* ---- verdicts --------------------------------------------------------------------- */

enum verdict { WEDGED, LOST, TORN, DISORDER, AGAIN, REFUSED, VERDICTS };

struct tally {
    uint32_t whole;           /* items that the operation moves when nobody kills it */
    uint64_t points;          /* instructions */
    uint64_t recoveries;      /* of different remains */
    uint64_t kills;           /* processes, each at one of the points */
    uint64_t none, some, all; /* of the operation's items had moved */
    uint64_t again;           /* items that came twice, in the stated window */
    uint64_t bad[VERDICTS];
    uint32_t window; /* the most that came twice after one death */
};

/* What a survivor finds; the first violations are told to stderr. */
void verify(const struct scene *scene, const struct op *op, const struct hand *hand,
            const struct death *death, struct tally *tally);

#endif
