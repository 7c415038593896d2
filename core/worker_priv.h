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

#include "core/edge_priv.h"
#include "core/spec_priv.h"
#include "core/turn_priv.h"
#include "core/view_priv.h"

#define BELT_OWN_LINE __attribute__((aligned(BELT_LINES)))

struct belt_zygote;
struct belt_engine_run;

/* Shared by a chain stage and its worker.
 * Checklist: adding a word?
 *   1. who writes it, in a comment   2. is it valid after a death at any point?
 *   3. tests/stress/worker_kill.c must still hold */
struct belt_worker_block {
    struct belt_turns turns;   /* worker only */
    uint64_t at BELT_OWN_LINE; /* careful: 1 + the message under work; 0: none */
    uint32_t ready, sleeping;
    char error[256]; /* why init failed; before exit */
    /* Chain stage only, while no worker lives; `wake` at any time. */
    uint64_t careful BELT_OWN_LINE; /* 1 + the input frame to run one message at a time */
    uint32_t wake BELT_OWN_LINE;    /* futex: something changed */
    uint8_t attempts[BELT_FRAME];   /* of the careful frame's messages */
};

enum { BELT_LAST_PART = 1 };

/* What the steps made of (a part of) an input frame. Columns follow in memory. */
struct belt_result {
    uint32_t first, end, flags;
    uint32_t routed, any_failed;
    uint64_t live[BELT_WORDS], dropped[BELT_WORDS], failed[BELT_WORDS];
    uint64_t bases[BELT_COLUMNS], values[BELT_COLUMNS]; /* bytes from the region's start */
    uint64_t reasons;
    uint8_t batcher[BELT_FRAME];
};

/* Where a worker finds its things: bytes from the region's start. */
struct belt_worker_map {
    uint32_t index, count;
    uint64_t block, intake, intake_size, results, results_size;
    uint32_t room_size;
};

struct belt_worker {
    struct belt_zygote *zygote;
    struct belt_worker_map map;
    struct belt_worker_block *block;
    struct belt_rx results;
    int pidfd;     /* -1: none lives */
    int wake_fd;   /* the lane's eventfd */
    uint64_t told; /* input and room that the worker knows of */
    uint32_t failed_starts;
    uint64_t restarts, attempts;
};

/* ---- zygote.c --------------------------------------------------------------- */

int belt_zygote_new(struct belt_zygote **out, const struct belt_spec *spec, struct belt_error *err);
/* The region's memfd; before the first spawn. */
int belt_zygote_region(struct belt_zygote *zygote, int fd, struct belt_error *err);
/* A worker for this map; its pidfd. Any thread. */
int belt_zygote_spawn(struct belt_zygote *zygote, const struct belt_worker_map *map, int wake_fd,
                      struct belt_error *err);
/* All workers die with it. */
void belt_zygote_free(struct belt_zygote *zygote);

/* ---- worker_main.c: the life of a worker; never returns --------------------- */

_Noreturn void belt_worker_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                                int region_fd, int wake_fd);

/* ---- worker.c: the chain stage's side --------------------------------------- */

int belt_worker_start(struct belt_worker *worker, struct belt_error *err);
void belt_worker_stop(struct belt_worker *worker);
/* The oldest result or NULL. */
const struct belt_result *belt_worker_peek(struct belt_worker *worker);
void belt_worker_release(struct belt_worker *worker);
/* Tells the worker of `input` frames published so far, when that is news. */
void belt_worker_tell(struct belt_worker *worker, uint64_t input);
/* Looks whether it died; if so, finishes what it committed and starts the next.
 * 1: it did, 0: it lives, negative: the run cannot go on. */
int belt_worker_watch(struct belt_worker *worker, struct belt_error *err);

size_t belt_result_size(const struct belt_spec *spec, uint32_t room_size);
static inline char *belt_result_memory(const struct belt_result *result)
{
    return (char *)(uintptr_t)result + sizeof *result;
}

#endif
