/* Sinks in workers (isolation: process of a batcher).
 *
 *   batcher stage --jobs--> worker: batch(), failed(), finish() of the sink
 *                 <--replies--
 *
 * A job names a batch, whose rows lie in the region; replies say which of its messages fail,
 * and at last that the call is over. A reply counts once it is published, by the worker or,
 * after a commit (turn_priv.h), by the lane that finds it dead. The call that a worker died
 * in is made again by the next one, whole: what the dead had said of the batch is forgotten. */
#ifndef BELT_SINK_WORKER_PRIV_H
#define BELT_SINK_WORKER_PRIV_H

#include "core/batch_priv.h"
#include "core/worker_priv.h"

/* More than batches in flight, and finish(). */
#define BELT_SINK_JOBS 32u

enum belt_sink_call { BELT_CALL_BATCH, BELT_CALL_FAILED, BELT_CALL_FINISH };

struct belt_sink_job {
    enum belt_sink_call call;
    uint32_t deaths;             /* of workers in this call */
    int code;                    /* FAILED: of the refusal; FINISH: whether it is complete */
    const char *base;            /* of the region, where `open` has its pointers from */
    struct belt_open_batch open; /* a copy */
    char reason[BELT_REASON];    /* FAILED: the first, which may lie outside of the region */
};

/* The lane's; the worker reads what is given. A job is changed only while none lives. */
struct belt_sink_jobs {
    uint64_t given BELT_OWN_LINE;
    struct belt_sink_job at[BELT_SINK_JOBS] BELT_OWN_LINE;
};

enum { BELT_REPLY_ROW_FAILED, BELT_REPLY_DONE };

struct belt_sink_reply {
    int what;
    uint32_t row; /* ROW_FAILED */
    int code;     /* DONE: what the call returned */
    uint64_t ns;  /* DONE: how long it took */
    char text[sizeof(((struct belt_error *)0)->text)];
};

/* The batcher stage's side. */
struct belt_sink_worker {
    struct belt_batcher_stage *b;
    struct belt_sink_jobs *jobs;
    uint64_t given, done;
    struct belt_open_batch *out[BELT_SINK_JOBS]; /* what job n is about, or NULL */
    bool finished;                               /* finish() has returned */
    struct belt_error finish_error;
    struct belt_worker worker; /* the last: it has no fixed size */
};

/* NULL: out of memory. */
struct belt_sink_worker *belt_sink_worker_new(struct belt_batcher_stage *b);
int belt_sink_worker_start(struct belt_sink_worker *w, struct belt_error *err);
/* Takes replies, looks after the process. 1: something changed; negative: the run cannot
 * go on. */
int belt_sink_worker_turn(struct belt_sink_worker *w, uint64_t now, struct belt_error *err);
/* A call about a batch in flight. What it comes to is told by belt_batch_done(), or (FAILED)
 * belt_refused_gone(). */
void belt_sink_worker_give(struct belt_sink_worker *w, enum belt_sink_call call,
                           struct belt_open_batch *open, int code);
/* The last call, and the worker's end. 1: it is over, 0: not yet, negative: it failed. */
int belt_sink_worker_finish(struct belt_sink_worker *w, bool complete, struct belt_error *err);

/* Its life (sink_main.c); never returns. */
_Noreturn void belt_sink_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                              char *region, int wake_fd);

#endif
