/* Lanes: threads that run the stages placed on them, one bounded turn each, in
 * turn, sinks first, and sleep when none of them got anywhere. */
#ifndef BELT_LANE_PRIV_H
#define BELT_LANE_PRIV_H

#include <pthread.h>

#include "core/error.h"
#include "core/latency_priv.h"
#include "core/stats_priv.h"
#include "numa/topology.h"
#include "rings/wait.h"

#define BELT_LANE_STAGES 64
#define BELT_LANE_FDS 32

struct belt_engine_run; /* the whole run: run_priv.h */
struct belt_events;     /* telemetry_priv.h */
struct belt_lane;
struct belt_stage;

enum belt_turn {
    BELT_TURN_IN,    /* waits for input, a completion or its deadline */
    BELT_TURN_OUT,   /* waits for room */
    BELT_TURN_BUSY,  /* did something */
    BELT_TURN_ENDED, /* has nothing left to do, ever */
    BELT_TURN_FAILED /* err is set: the run cannot go on */
};

/* What a kind of stage can do. Every stage struct begins with struct belt_stage. */
struct belt_stage_kind {
    const char *name;
    int (*init)(struct belt_stage *stage, struct belt_error *err);
    enum belt_turn (*turn)(struct belt_stage *stage, uint64_t now, struct belt_error *err);
    void (*fini)(struct belt_stage *stage);
    uint64_t (*deadline)(const struct belt_stage *stage); /* next turn wanted at; NULL: never */
    /* Nothing is on its way here; NULL: as soon as a turn waits for input. */
    bool (*quiet)(const struct belt_stage *stage);
    int (*fd)(struct belt_stage *stage); /* readable: a turn is wanted; NULL: none */
};

/* What telemetry remembers of a stage: of spans that have begun. */
struct belt_told {
    uint64_t began, span, message_began; /* began 0: nobody wanted to know */
    uint64_t dropped, failed, folded;    /* of its counters, then */
    uint64_t waits_since;                /* 0: it does not wait */
    enum belt_turn waits;                /* for what */
};

struct belt_stage {
    const struct belt_stage_kind *kind;
    char name[88]; /* "source.0", "batchers.totals.0" */
    uint32_t index;
    struct belt_engine_run *run;
    struct belt_lane *lane;
    bool inited, ended;
    enum belt_turn last; /* outcome of the last turn */
    struct belt_told told;
    struct belt_hist *hists; /* [BELT_HISTS] */
    struct belt_stats stats;
};

struct belt_lane {
    struct belt_sleep sleep __attribute__((aligned(BELT_LINES)));
    int fd; /* eventfd that wakes it */
    uint32_t index;
    int cpu;               /* -1: not pinned */
    int tid;               /* once the thread runs */
    struct belt_cpus seen; /* where it may run, when it looked last */
    uint64_t look_due;     /* when it looks again */
    struct belt_engine_run *run;
    struct belt_stage *stages[BELT_LANE_STAGES]; /* sinks first */
    uint32_t stages_used;
    struct belt_idle idle;
    uint64_t now;                   /* of the turn */
    uint64_t wanted, wanted_before; /* events, a bit each; renewed every turn */
    struct belt_events *events;     /* while something is wanted */
    uint64_t sample_due;            /* when turns are timed next */
    uint32_t reported;              /* atomic: epoch of the barrier << 1 | worked since */
    bool worked; /* also by sending what was half full, in a turn that found no input */
    /* What it is to do while it stands (barrier.c); under the run's lock. */
    struct belt_stage *called;
    int (*call)(struct belt_stage *stage, struct belt_error *err);
    int call_rc;
    struct belt_error call_error;
    pthread_t thread;
    bool started;
};

/* One round. BUSY when any stage did something, ENDED when all have ended. */
enum belt_turn belt_lane_turn(struct belt_lane *lane, uint64_t now, struct belt_error *err);
int belt_lane_init(struct belt_lane *lane, struct belt_error *err);
void belt_lane_fini(struct belt_lane *lane);
/* The calling thread is this lane's from now on: pins it. 0 or -errno (placed.c). */
int belt_lane_settle(struct belt_lane *lane);
/* Looks whether somebody else moved the thread, and tells. */
void belt_lane_look(struct belt_lane *lane, uint64_t now);
/* The thread's body; `arg` is the lane. */
void *belt_lane_main(void *arg);

/* After publishing or releasing; NULL: the peer is on the same lane. */
static inline void belt_lane_wake(const struct belt_lane *lane)
{
    if (lane)
        belt_wake(&lane->sleep, lane->fd);
}

#endif
