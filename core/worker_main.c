/* The life of a worker: frames in, results out, one commit word a turn. */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/run_priv.h"
#include "core/worker_priv.h"

/* Looks in vain before sleeping. Few: a worker shares its lane's CPU, and while it
 * spins the lane cannot give it work (sensors, 2 CPUs: 2,000 looks 28, 200 54,
 * 20 67 M rows/s). */
#define LOOKS 20

struct worker {
    const struct belt_spec *spec;
    const struct belt_worker_map *map;
    char *region;
    struct belt_worker_block *block;
    struct belt_rx in;
    struct belt_tx out;
    int wake_fd;
    void *states[BELT_STEPS];
    struct belt_engine engine;
    struct belt_intent now; /* where we are */
};

/* Not FUTEX_PRIVATE: the other side is another process. The time-out is a net
 * under a lost wake, not how wakes work. */
static void nap(struct worker *w, uint32_t seen)
{
    struct timespec most = { 0, 100000000 };
    belt_store_release32(&w->block->sleeping, 1);
    syscall(SYS_futex, &w->block->wake, FUTEX_WAIT, seen, &most, NULL, 0);
    belt_store_release32(&w->block->sleeping, 0);
}

/* The input frame to work on and a free result. Waits for both. */
static const struct belt_input_frame *wait_for_work(struct worker *w, struct belt_result **result)
{
    for (uint32_t looks = 0;; looks++) {
        /* A1, pairs with R1 in belt_worker_tell(): what was published before the
         * wake word moved is seen below; else we would sleep on a full ring. */
        uint32_t seen = belt_load_acquire32(&w->block->wake);
        w->in.next = w->now.in; /* released by the chain stage, not by us */
        struct belt_slots in = belt_peek(&w->in, 1);
        struct belt_slots out = belt_claim(&w->out, 1);
        if (in.count && out.count) {
            *result = out.first;
            return in.first;
        }
        if (looks > LOOKS)
            nap(w, seen);
        else
            belt_pause();
    }
}

/* ---- running the chain ------------------------------------------------------ */

static void load(struct worker *w, const struct belt_input_frame *frame, struct belt_result *result)
{
    belt_engine_init(&w->engine, w->spec->columns, w->spec->columns_used, w->map->room_size,
                     w->spec->steps_used, belt_result_memory(result));
    belt_engine_load(&w->engine, w->region + frame->base,
                     (struct belt_span *)(uintptr_t)frame->spans, frame->count, frame->failed,
                     frame->failed_reason, belt_now());
}

/* Runs messages [first, end) as far as the room lasts; the index behind them. The
 * rest is begun anew in the next turn: what this process knows of it would die
 * with it. So each turn must get on: a message that uses up the room alone fails. */
static uint32_t run_range(struct worker *w, uint32_t first, uint32_t end)
{
    struct belt_segment part = { first, end, 0 }, rest[BELT_STEPS + 1];
    int left = 0;
    uint32_t through =
        belt_segment_run(w->spec, w->states, &w->engine, part, true, rest, &left).end;
    if (!left || through > first)
        return through;
    belt_fail_message(&w->engine.view, first, BELT_TEXT_TOO_LONG);
    return first + 1;
}

/* One message a turn, its number in the index word: should we die, it is known
 * under which. Not several in one result: steps move a column as a whole, and what
 * stands before the message in hand would not be moved with it. */
static uint32_t run_careful(struct worker *w)
{
    struct belt_worker_block *block = w->block;
    struct belt_view *view = &w->engine.view;
    uint32_t i = belt_next_live(view, (uint32_t)w->now.first);
    if (i == w->engine.count)
        return i;
    w->engine.count = i + 1; /* texts behind it stay where they are */
    if (block->attempts[i] >= w->spec->max_attempts) {
        char reason[BELT_REASON];
        snprintf(reason, sizeof reason, "%u workers died under it", block->attempts[i]);
        belt_fail_message(view, i, reason);
        return i + 1;
    }
    belt_store_release(&block->at, i + 1);
    run_range(w, i, i + 1);
    belt_store_release(&block->at, 0);
    return i + 1;
}

/* How many messages of the frame are through after this result. */
static uint32_t run(struct worker *w, const struct belt_input_frame *frame)
{
    if (w->block->careful == w->now.in + 1)
        return run_careful(w);
    return run_range(w, (uint32_t)w->now.first, frame->count);
}

/* ---- results ---------------------------------------------------------------- */

static void describe(struct worker *w, struct belt_result *result, uint32_t end, uint32_t count)
{
    struct belt_engine *engine = &w->engine;
    result->first = (uint32_t)w->now.first;
    result->end = end;
    result->flags = end == count ? BELT_LAST_PART : 0;
    result->routed = engine->routed;
    result->any_failed = engine->any_failed;
    memcpy(result->live, engine->live, sizeof result->live);
    memcpy(result->dropped, engine->dropped, sizeof result->dropped);
    memcpy(result->failed, engine->failed, sizeof result->failed);
    if (engine->routed)
        memcpy(result->batcher, engine->batcher, sizeof result->batcher);
    result->reasons = (uint64_t)((char *)engine->reasons - w->region);
    for (int c = 0; c < w->spec->columns_used; c++) {
        const struct belt_column *column = &engine->columns[c];
        result->bases[c] = column->base ? (uint64_t)(column->base - w->region) : 0;
        result->values[c] = (uint64_t)((char *)column->as.spans - w->region);
    }
}

static void commit(struct worker *w, uint32_t end, uint32_t count)
{
    struct belt_intent next = w->now;
    next.out++;
    next.first = end == count ? 0 : end;
    next.in += end == count;
    belt_turn_commit(&w->block->turns, &next);
    belt_publish(&w->out, 1);
    w->now = next;
    uint64_t one = 1;
    ssize_t ignored = write(w->wake_fd, &one, sizeof one);
    (void)ignored;
}

/* ---- beginning -------------------------------------------------------------- */

static int open_all(struct worker *w, int region_fd, struct belt_error *err)
{
    struct belt_mem region;
    const struct belt_worker_map *map = w->map;
    int rc = belt_mem_attach(&region, region_fd, 1);
    if (rc < 0)
        return rc;
    w->region = region.base;
    w->block = (struct belt_worker_block *)(void *)(w->region + map->block);
    rc = belt_rx_open(&w->in, belt_mem_of(w->region + map->intake, map->intake_size));
    if (rc == 0)
        rc = belt_tx_open(&w->out, belt_mem_of(w->region + map->results, map->results_size));
    if (rc < 0)
        return rc;
    w->now = belt_turn_last(&w->block->turns);
    /* Our own copy of the spec: what is opened here is ours. */
    int ready = 0;
    rc = belt_steps_open((struct belt_spec *)(uintptr_t)w->spec, err);
    if (rc < 0)
        return rc;
    for (int s = 0; s < w->spec->steps_used; s++)
        if (!(w->states[s] = calloc(1, w->spec->steps[s].part->state_size + 1)))
            return -ENOMEM;
    return belt_steps_init(w->spec, w->states, &ready, map->index, map->count, err);
}

_Noreturn void belt_worker_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                                int region_fd, int wake_fd)
{
    static struct worker w; /* a process of its own: one worker */
    struct belt_error err = { 0 };
    char name[16];
    snprintf(name, sizeof name, "belt/worker.%u", map->index % 1000);
    prctl(PR_SET_NAME, name);
    w = (struct worker){ .spec = spec, .map = map, .wake_fd = wake_fd };
    if (open_all(&w, region_fd, &err) < 0) {
        if (w.block)
            snprintf(w.block->error, sizeof w.block->error, "%.250s", err.text);
        _exit(1);
    }
    belt_store_release32(&w.block->ready, 1);
    for (;;) {
        struct belt_result *result;
        const struct belt_input_frame *frame = wait_for_work(&w, &result);
        load(&w, frame, result);
        uint32_t end = run(&w, frame);
        describe(&w, result, end, frame->count);
        commit(&w, end, frame->count);
    }
}
