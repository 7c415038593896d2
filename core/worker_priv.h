/* Workers: forked processes that run the steps of a chain (isolation: process).
 *
 *   source --input frames--> worker --results--> chain stage --rows--> batchers
 *                              |                     |
 *                     runs user code only    settles, releases, restarts
 *
 * A worker owns nothing: it reads input frames, writes into results that nobody
 * sees before they are published, and stores its intended cursors before one
 * commit word. Whoever finds it dead redoes the stores of a committed turn, or
 * does nothing. Input frames are released by the chain stage, so a frame that a
 * worker died over is still there for the next one.
 *
 * Workers come from a zygote: a copy of the process made before any thread,
 * ring or topology existed. */
#ifndef BELT_WORKER_PRIV_H
#define BELT_WORKER_PRIV_H

#include <sys/types.h>

#include "core/edge_priv.h"
#include "core/nap_priv.h"
#include "core/spec_priv.h"
#include "core/turn_priv.h"
#include "core/view_priv.h"

#define BELT_OWN_LINE __attribute__((aligned(BELT_LINES)))

struct belt_zygote;
struct belt_engine_run;

/* Of a process that waits to become the worker. The zygote's, from when it is asked for
 * one until it answered; else the chain stage's. */
struct belt_spare {
    uint32_t answered; /* 1: what follows is there */
    uint32_t gate;     /* it waits behind it */
    pid_t pid;         /* 0: there is none, the fork failed */
    int status;        /* of the dead worker that was to be buried */
};

/* Shared by a chain stage and its worker.
 * Checklist: adding a word?
 *   1. who writes it, in a comment   2. is it valid after a death at any point?
 *   3. tests/stress/worker_kill.c must still hold */
struct belt_worker_block {
    struct belt_turns turns;   /* worker only */
    uint64_t at BELT_OWN_LINE; /* careful: 1 + the message under work; 0: none */
    uint64_t calls;            /* of callbacks, when there is a time-out */
    uint64_t told;             /* results that the lane was woken for */
    uint32_t ready;
    char error[256];               /* why it cannot begin; before exit */
    uint32_t asleep BELT_OWN_LINE; /* the worker is; cleared by whoever wakes it */
    uint32_t end;                  /* chain stage: no input will come any more */
    struct belt_spare spare BELT_OWN_LINE;
    /* Chain stage only, while no worker lives; `death` also while one lives that does not
     * look at it, since no message of its frame has used up its attempts. */
    uint64_t careful BELT_OWN_LINE; /* 1 + the input frame to run one message at a time */
    uint8_t attempts[BELT_FRAME];   /* of the careful frame's messages */
    char death[80];                 /* how the last worker died */
};

enum { BELT_LAST_PART = 1 };

/* What the steps made of (a part of) an input frame. Columns follow in memory. */
struct belt_result {
    uint32_t first, end, flags;
    uint32_t routed, any_failed, any_also, any_acked, any_flush, any_option, any_final;
    uint64_t live[BELT_WORDS], dropped[BELT_WORDS], failed[BELT_WORDS], acked[BELT_WORDS];
    uint64_t flush[BELT_WORDS];
    uint64_t final[BELT_WORDS]; /* when any_final: failed, and not to be tried again */
    uint64_t keyed[BELT_WORDS]; /* when the ordered field is a step's: see struct belt_engine */
    uint64_t heard, heard_ns;   /* messages that `failed` of steps was called for, and how long */
    uint64_t bases[BELT_COLUMNS], values[BELT_COLUMNS]; /* bytes from the region's start */
    uint64_t reasons;
    uint8_t batcher[BELT_FRAME];
    uint16_t also[BELT_FRAME];
    uint8_t option[BELT_FRAME];
};

/* Where a worker finds its things: bytes from the region's start. */
struct belt_worker_map {
    uint32_t index, count; /* instance of its processor, */
    uint32_t processor;    /* which is this one of the spec; unless: */
    uint32_t sink;         /* 1 + the batcher whose sink it runs, on jobs at `intake` */
    uint64_t block, intake, intake_size, results, results_size;
    uint32_t room_size, slots; /* slots: of `results` */
    uint32_t fed;              /* 1: frames at `intake` are struct belt_fed_frame */
    int cpu;                   /* to stay on; -1: any */
};

/* ---- worker_limits.c: how long, how often; on any clock --------------------------- */

/* Deaths within a window, and the wait before the next start. */
struct belt_budget {
    uint64_t window;             /* ns */
    uint64_t first, most;        /* the wait, ns: after the first start in vain, and at most */
    uint64_t wait;               /* the last */
    uint32_t deaths, used, next; /* allowed; noted; where the next one goes */
    uint64_t *times;             /* [deaths] */
};

/* Whether a death at `now` may be survived. */
bool belt_budget_allows(const struct belt_budget *budget, uint64_t now);
/* A death at `now`. False: there were more within the window than allowed. */
bool belt_budget_spend(struct belt_budget *budget, uint64_t now);
/* The wait before the next start: none when the worker had got anywhere. */
uint64_t belt_budget_wait(struct belt_budget *budget, bool got_on);

/* Whether somebody who owes something stands still. */
struct belt_watch {
    uint64_t seen, looked, still; /* count at the last look; when; for how long unchanged */
};

/* A look at `now`: `count` moves while it gets on. True: it stood still for `limit`. */
bool belt_watch_look(struct belt_watch *watch, uint64_t now, uint64_t count, uint64_t limit);
/* When the next look is due. */
uint64_t belt_watch_due(const struct belt_watch *watch, uint64_t limit);

/* ---- the chain stage's side ------------------------------------------------------- */

struct belt_worker {
    struct belt_zygote *zygote;
    const struct belt_worker_conf *conf;
    struct belt_worker_map map;
    struct belt_worker_block *block;
    struct belt_rx results;
    int pidfd;                /* -1: none lives */
    pid_t pid;                /* for the zygote to name */
    int wake_fd;              /* the lane's eventfd */
    uint32_t slots;           /* of `results` */
    struct belt_feed *feed;   /* of a source, or NULL */
    struct belt_lane *writer; /* of the input; NULL: the same lane */
    uint64_t told;            /* input that the worker knows of */
    uint32_t freed;           /* results given back that nobody was told of */
    bool ending;              /* it was told to end */
    uint64_t allowed;         /* results to take, told or not */
    uint64_t quiet_due;       /* when to look for some that are held back; UINT64_MAX: never */
    bool quiet;               /* no result since that was set */
    uint32_t looks;           /* without a result */
    uint64_t began;           /* when it was started, or (none lives) is to be */
    uint64_t turns;           /* committed when it was started */
    uint32_t stood;           /* at death: the message under work, of the frame in hand; or none */
    uint64_t look_due;        /* when watch() wants to be called; UINT64_MAX: any time */
    struct belt_watch watch;
    struct belt_budget budget;
    uint32_t failed_starts;
    bool asked;        /* for a spare: it is there or will be */
    pid_t asked_about; /* the dead one that was asked about with it, or 0 */
    pid_t unburied;    /* a dead one of which it is not known how it died, or 0 */
    bool exhausted;    /* what it died over has no attempt left */
    bool learned;      /* the death says at what, or leads to a search for it */
    /* At the end of a death that is not about messages of a frame; under_work: 1 + the
     * input it was in, or 0. */
    void (*died)(struct belt_worker *worker, uint64_t under_work, bool its_fault);
    void *owner;
    const char *killed_for; /* by us: the time-out that had passed, or NULL */
    uint64_t limit;         /* its length */
    uint64_t restarts, attempts, hangs;
    uint64_t known;   /* restarts whose reason is in block->death */
    uint64_t times[]; /* the budget's */
};

/* Bytes of a struct belt_worker. */
size_t belt_worker_size(const struct belt_worker_conf *conf);
void belt_worker_init(struct belt_worker *worker, struct belt_zygote *zygote,
                      const struct belt_worker_conf *conf);
int belt_worker_start(struct belt_worker *worker, uint64_t now, struct belt_error *err);
/* All results are taken and no input will come: it calls fini() of its steps and leaves. */
void belt_worker_end(struct belt_worker *worker);
/* No worker from now on. Waits for one that was told to end, but not longer than for a
 * callback, nor once `aborting` is set; then, and all others, it kills. */
void belt_worker_stop(struct belt_worker *worker, const uint32_t *aborting);
/* Nothing is asked of it for now: it ends as by end() and stop(), and may be started again. */
int belt_worker_retire(struct belt_worker *worker, const uint32_t *aborting,
                       struct belt_error *err);
static inline bool belt_worker_lives(const struct belt_worker *worker)
{
    return worker->pidfd >= 0;
}
/* The oldest result or NULL. */
const struct belt_result *belt_worker_peek(struct belt_worker *worker);
/* The oldest result, and the input of it if this was its last, were released. */
void belt_worker_release(struct belt_worker *worker);
/* The lane is about to wait: whoever waits for what was released goes on. */
void belt_worker_tell_freed(struct belt_worker *worker);
/* Tells the worker of `input` frames published so far, when that is news. */
void belt_worker_tell(struct belt_worker *worker, uint64_t input);
/* When there is no result; `owes`: there is a frame to make one of. Kills a worker
 * that hangs, finishes what a dead one committed, starts the next when it is time.
 * 1: something changed, 0: nothing, negative: the run cannot go on. */
int belt_worker_watch(struct belt_worker *worker, bool owes, uint64_t now, struct belt_error *err);

/* While there are results, which may take milliseconds to go through: has it died meanwhile? Its
 * successor begins beside them. What ends the run is left to belt_worker_watch(), when the
 * message that it died over is at hand. As that one. */
int belt_worker_glance(struct belt_worker *worker, uint64_t now, struct belt_error *err);

/* When belt_worker_watch() wants to be called. */
static inline uint64_t belt_worker_deadline(const struct belt_worker *worker)
{
    return worker->look_due < worker->quiet_due ? worker->look_due : worker->quiet_due;
}

size_t belt_result_size(const struct belt_spec *spec, uint32_t room_size);
static inline char *belt_result_memory(const struct belt_result *result)
{
    return (char *)(uintptr_t)result + sizeof *result;
}

/* ---- worker_spare.c --------------------------------------------------------------- */

/* For one, and for the status of `unburied`; none was asked for since the last was taken. */
int belt_spare_ask(struct belt_worker *worker, struct belt_error *err);
bool belt_spare_answered(const struct belt_worker *worker);
/* It becomes the worker: its pidfd. -1: there is none. */
int belt_spare_promote(struct belt_worker *worker);
void belt_spare_drop(struct belt_worker *worker);

/* ---- zygote.c --------------------------------------------------------------------- */

int belt_zygote_new(struct belt_zygote **out, const struct belt_spec *spec, struct belt_error *err);
/* The region's memfd; before the first spawn. */
int belt_zygote_region(struct belt_zygote *zygote, int fd, struct belt_error *err);
/* A worker for this map; its pidfd. Any thread. */
int belt_zygote_spawn(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      pid_t *pid, struct belt_error *err);
/* Asks for a spare with this map; what there is to know of it and of `dead` (0: nobody)
 * comes later: in the block, then wake_fd is written to. Any thread. */
int belt_zygote_spare(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      pid_t dead, struct belt_error *err);
/* What waitpid() says of a worker that is dead (0: nothing), when all that was asked for
 * before is done. Once for each. Any thread. */
int belt_zygote_bury(struct belt_zygote *zygote, const struct belt_worker_map *map, pid_t pid,
                     int *status, struct belt_error *err);
pid_t belt_zygote_pid(const struct belt_zygote *zygote);
/* All workers die with it. */
void belt_zygote_free(struct belt_zygote *zygote);

/* ---- worker_main.c: the life of a worker; never returns --------------------------- */

/* `spare`: its time comes when the gate of its block opens. */
_Noreturn void belt_worker_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                                char *region, int wake_fd, bool spare);

#endif
