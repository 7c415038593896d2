/* The life of a worker: frames in, results out, one commit word a turn. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/headers_priv.h"
#include "core/run_priv.h"
#include "core/sandbox_priv.h"
#include "core/sink_worker_priv.h"
#include "numa/pin.h"

/* Looks in vain before sleeping. */
#define LOOKS 200

/* The lane is woken for half a ring of results, or for those that are so old. Each
 * wake takes the CPU from somebody for some microseconds. */
#define HELD_BACK 100000 /* ns */

/* A step whose calls are counted: the chain stage sees it get on. */
struct counted {
    struct belt_step table; /* stands in for: */
    const struct belt_step *step;
    void *state;
    uint64_t *calls;
};

struct worker {
    struct belt_spec *spec; /* a copy of our own */
    const struct belt_processor_spec *processor;
    struct belt_chain chain;
    struct belt_link_shape shape; /* of frames from another processor */
    const struct belt_worker_map *map;
    char *region;
    struct belt_worker_block *block;
    struct belt_rx in;
    struct belt_tx out;
    int wake_fd;
    uint32_t untold;  /* results that the lane was not woken for */
    uint64_t told_at; /* when it last was */
    bool any_final;
    uint64_t final[BELT_WORDS]; /* when any_final: who died under them will not be tried again */
    int steps_ready;            /* states that init saw */
    void *states[BELT_STEPS];
    struct counted counted[BELT_STEPS];
    struct belt_engine engine;
    struct belt_intent now; /* where we are */
};

static void wake_lane(struct worker *w, uint64_t now)
{
    const uint64_t one = 1;
    w->untold = 0;
    w->told_at = now;
    /* R4, pairs with A4 in belt_worker_peek(): the results before their count. */
    belt_store_release(&w->block->told, w->now.out);
    ssize_t ignored = write(w->wake_fd, &one, sizeof one);
    (void)ignored; /* full: it is awake */
}

static void count_no_more(struct worker *w)
{
    for (int s = 0; s < w->chain.steps_used; s++) {
        if (!w->counted[s].step)
            continue;
        w->states[s] = w->counted[s].state;
        w->spec->steps[w->processor->first_step + s].part = &w->counted[s].step->part;
    }
}

/* All that was asked of it is done, or its steps could not begin. */
static _Noreturn void end(struct worker *w, int status)
{
    count_no_more(w);
    belt_steps_fini(w->chain, w->states, &w->steps_ready);
    _exit(status);
}

/* The input frame to work on and a free result; or NULL. */
static const void *look(struct worker *w, struct belt_result **result)
{
    w->in.next = w->now.in; /* released by the chain stage, not by us */
    struct belt_slots in = belt_peek(&w->in, 1);
    struct belt_slots out = belt_claim(&w->out, 1);
    if (!in.count || !out.count)
        return NULL;
    *result = out.first;
    return in.first;
}

/* The input frame to work on and a free result. Waits for both. */
static const void *wait_for_work(struct worker *w, struct belt_result **result)
{
    const void *frame = look(w, result);
    for (uint32_t looks = 1; !frame; looks++) {
        if (belt_load_acquire32(&w->block->end)) /* A5, pairs with R5 in belt_worker_end() */
            end(w, 0);
        if (looks < LOOKS) {
            belt_pause();
            frame = look(w, result);
            continue;
        }
        if (w->untold)
            wake_lane(w, belt_now());
        belt_nap_prepare(&w->block->asleep);
        if ((frame = look(w, result)))
            belt_nap_cancel(&w->block->asleep);
        else
            belt_nap(&w->block->asleep);
    }
    return frame;
}

/* ---- running the chain ------------------------------------------------------ */

static void load(struct worker *w, const void *input, struct belt_result *result)
{
    const struct belt_input_frame *frame = input;
    w->engine.spec = w->spec;
    w->engine.heard = w->engine.heard_ns = 0;
    w->any_final = false;
    memset(w->final, 0, sizeof w->final);
    memset(w->engine.keyed, 0, sizeof w->engine.keyed);
    belt_engine_init(&w->engine, w->spec->columns, w->spec->columns_used, w->map->room_size,
                     w->chain.steps_used, belt_result_memory(result));
    if (w->processor->from >= 0) {
        struct belt_link_frame *link = (struct belt_link_frame *)(uintptr_t)input;
        belt_link_load(&w->engine, link, &w->shape, belt_now());
        w->engine.origins = link->origins;
        return;
    }
    belt_engine_load(&w->engine, w->region + frame->base,
                     (struct belt_span *)(uintptr_t)frame->spans, frame->count, frame->failed,
                     frame->failed_reason, belt_now());
    w->engine.source = frame->source;
    w->engine.file = frame->file;
    if (w->map->fed) {
        const struct belt_fed_frame *fed = input;
        w->engine.tries = fed->again ? fed->tries : NULL;
        w->engine.origins = fed->again ? fed->origins : NULL;
    }
    belt_source_load(&w->spec->sources[frame->source], &w->engine, 0, frame->count);
}

/* Runs messages [first, end) as far as the room lasts; the index behind them. The
 * rest is begun anew in the next turn: what this process knows of it would die
 * with it. So each turn must get on: a message that uses up the room alone fails. */
static uint32_t run_range(struct worker *w, uint32_t first, uint32_t end, bool fresh)
{
    struct belt_segment part = { first, end, 0, false }, rest[BELT_STEPS + 1];
    int left = 0;
    uint32_t through =
        belt_segment_run(w->chain, w->states, &w->engine, part, fresh, rest, &left).end;
    if (!left || through > first || !fresh)
        return through;
    belt_fail_message(&w->engine.view, first, BELT_TEXT_TOO_LONG);
    return first + 1;
}

/* ---- one at a time ------------------------------------------------------------ */

/* A text column whose base is not what it was: texts of earlier messages in this
 * result would be looked for in the wrong place. */
static bool columns_moved(const struct belt_engine *engine, const struct belt_column *before)
{
    for (uint32_t c = 0; c < engine->view.columns_used; c++)
        if (engine->types[c] == BELT_TEXT && engine->columns[c].base != before[c].base)
            return true;
    return false;
}

/* Message i, its number in the index word: should we die, it is known under which.
 * False: it must have a result of its own, and is begun anew in the next turn;
 * `fresh`: this one is. */
static bool run_marked(struct worker *w, uint32_t i, bool fresh)
{
    struct belt_engine *engine = &w->engine;
    struct belt_column before[BELT_COLUMNS];
    const size_t size = engine->view.columns_used * sizeof *before;
    memcpy(before, engine->columns, size);
    belt_store_release(&w->block->at, i + 1);
    uint32_t through = run_range(w, i, i + 1, fresh);
    belt_store_release(&w->block->at, 0);
    if (fresh || (through > i && !columns_moved(engine, before)))
        return true;
    memcpy(engine->columns, before, size);
    return false;
}

static void give_up(struct worker *w, uint32_t i)
{
    char reason[BELT_REASON];
    snprintf(reason, sizeof reason, "%u workers died under it, the last: %s", w->block->attempts[i],
             w->block->death);
    belt_fail_message(&w->engine.view, i, reason);
    w->any_final = true;
    w->final[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Those that have failed, too: steps hear of them. Who dies of hearing is told as often as
 * others are tried. */
static bool is_hopeless(const struct worker *w, uint32_t i)
{
    return w->block->attempts[i] >= 2 * w->processor->workers.max_attempts ||
           w->block->attempts[i] == UINT8_MAX;
}

/* The frame that a worker died over, message by message, all in one result where
 * the steps allow it: a turn for each would cost a thousand times as much. */
static uint32_t run_careful(struct worker *w)
{
    const uint32_t count = w->engine.count;
    bool fresh = true;
    for (uint32_t i = (uint32_t)w->now.first; i < count; i++) {
        bool live = w->engine.live[i / 64] >> (i % 64) & 1;
        if (live && w->block->attempts[i] >= w->processor->workers.max_attempts)
            give_up(w, i);
        if (is_hopeless(w, i))
            continue;
        if (!run_marked(w, i, fresh))
            return i;
        fresh = false;
    }
    return count;
}

/* How many messages of the frame are through after this result. */
static uint32_t run(struct worker *w)
{
    if (w->block->careful == w->now.in + 1)
        return run_careful(w);
    return run_range(w, (uint32_t)w->now.first, w->engine.count, true);
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
    result->any_also = engine->any_also;
    result->any_acked = engine->any_acked;
    result->any_flush = engine->any_flush;
    result->any_option = engine->any_option;
    result->any_final = w->any_final;
    if (w->any_final)
        memcpy(result->final, w->final, sizeof result->final);
    if (engine->keyed_step)
        memcpy(result->keyed, engine->keyed, sizeof result->keyed);
    result->heard = engine->heard;
    result->heard_ns = engine->heard_ns;
    memcpy(result->live, engine->live, sizeof result->live);
    memcpy(result->dropped, engine->dropped, sizeof result->dropped);
    memcpy(result->failed, engine->failed, sizeof result->failed);
    if (engine->routed)
        memcpy(result->batcher, engine->batcher, sizeof result->batcher);
    if (engine->any_also)
        memcpy(result->also, engine->also, sizeof result->also);
    if (engine->any_flush)
        memcpy(result->flush, engine->flush, sizeof result->flush);
    if (engine->any_option)
        memcpy(result->option, engine->option, sizeof result->option);
    if (engine->any_acked)
        memcpy(result->acked, engine->acked, sizeof result->acked);
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
    uint64_t now = belt_now();
    if (++w->untold >= w->map->slots / 2 || now - w->told_at > HELD_BACK)
        wake_lane(w, now);
}

/* ---- time-outs ---------------------------------------------------------------- */

static void count_call(struct counted *c)
{
    /* Relaxed: only we write it; who looks wants to see it move, no more. */
    belt_store_relaxed(c->calls, *c->calls + 1);
}

static uint32_t counted_frame(void *state, struct belt_view *view)
{
    struct counted *c = state;
    count_call(c);
    return c->step->frame(c->state, view);
}

static int counted_message(void *state, struct belt_view *view, uint32_t i)
{
    struct counted *c = state;
    count_call(c);
    return c->step->message(c->state, view, i);
}

static void counted_prepare(void *state, struct belt_view *view)
{
    struct counted *c = state;
    count_call(c);
    c->step->prepare(c->state, view);
}

static void counted_failed(void *state, struct belt_view *view, uint32_t i, const char *reason)
{
    struct counted *c = state;
    count_call(c);
    c->step->failed(c->state, view, i, reason);
}

/* Puts a counter before each callback; where there is no time-out, there is none. */
static void count_calls(struct worker *w)
{
    for (int s = 0; w->processor->workers.timeout && s < w->chain.steps_used; s++) {
        struct belt_use *use = &w->spec->steps[w->processor->first_step + s];
        const struct belt_step *step = (const struct belt_step *)(const void *)use->part;
        struct counted *c = &w->counted[s];
        *c = (struct counted){ .step = step, .state = w->states[s], .calls = &w->block->calls };
        c->table = *step;
        c->table.frame = step->frame ? counted_frame : NULL;
        c->table.message = step->message ? counted_message : NULL;
        c->table.prepare = step->prepare ? counted_prepare : NULL;
        c->table.failed = step->failed ? counted_failed : NULL;
        w->states[s] = c;
        use->part = &c->table.part;
    }
}

/* ---- beginning -------------------------------------------------------------- */

static int attach(struct worker *w)
{
    const struct belt_worker_map *map = w->map;
    int rc = belt_rx_open(&w->in, belt_mem_of(w->region + map->intake, map->intake_size));
    if (rc == 0)
        rc = belt_tx_open(&w->out, belt_mem_of(w->region + map->results, map->results_size));
    w->now = belt_turn_last(&w->block->turns);
    /* What our predecessor had handled may not be released yet. A cursor beyond `limit`
     * would make every slot look filled: a frame of the lap before would be run again. */
    w->in.next = w->in.limit = w->now.in;
    if (rc == 0 && map->cpu >= 0)
        belt_pin_thread(map->cpu); /* refused: then it is where the kernel wants it */
    return rc;
}

static int open_steps(struct worker *w, struct belt_error *err)
{
    static void *const none = NULL;
    struct belt_instance in = { .size = sizeof in,
                                .context = &none,
                                .index = w->map->index,
                                .count = w->map->count,
                                .stage = w->processor->name,
                                .header = "",
                                .backend = w->spec->backend };
    int rc = belt_steps_open(w->spec, w->processor, err);
    if (rc < 0)
        return rc;
    for (int s = 0; s < w->chain.steps_used; s++)
        if (!(w->states[s] = calloc(1, w->chain.steps[s].part->state_size + 1)))
            return belt_error_set(err, -ENOMEM, "out of memory");
    return belt_steps_init(w->chain, w->states, &w->steps_ready, &in, err);
}

static int begin(struct worker *w, struct belt_error *err)
{
    int rc = attach(w);
    if (rc < 0)
        return belt_error_set(err, rc, "the pipeline's memory: %s", strerror(-rc));
    if ((rc = belt_sandbox_begin(&w->processor->workers, err)) < 0 || (rc = open_steps(w, err)) < 0)
        return rc;
    count_calls(w);
    return belt_sandbox_shut(&w->processor->workers, err);
}

/* A callback that calls exit(): what the application registered with atexit(), and
 * the bytes in its stdio buffers, are the engine's process's to handle. */
static void leave(int status, void *unused)
{
    (void)unused;
    _exit(status);
}

static void call_me(const struct worker *w, const char *what)
{
    char name[16];
    snprintf(name, sizeof name, "belt/%s.%u", what, w->map->index % 1000);
    prctl(PR_SET_NAME, name);
}

static void wait_for_turn(const struct worker *w)
{
    call_me(w, "spare");
    belt_gate_wait(&w->block->spare.gate);
}

_Noreturn void belt_worker_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                                char *region, int wake_fd, bool spare)
{
    static struct worker w; /* a process of its own: one worker */
    struct belt_error err = { 0 };
    void *block = region + map->block;
    on_exit(leave, NULL);
    w = (struct worker){ .spec = (struct belt_spec *)(uintptr_t)spec,
                         .map = map,
                         .region = region,
                         .block = block,
                         .wake_fd = wake_fd };
    if (spare)
        wait_for_turn(&w);
    call_me(&w, map->sink ? "sink" : "worker");
    if (map->sink)
        belt_sink_main(spec, map, region, wake_fd);
    w.processor = &spec->processors[map->processor];
    w.chain = belt_chain_of(spec, w.processor);
    belt_link_shape(&w.shape, spec, (int)map->processor);
    w.engine.targets = (uint32_t)spec->batchers_used;
    w.engine.keyed_step = belt_retry_keyed_step(spec, w.processor);
    belt_headers_map(spec, region);
    if (begin(&w, &err) < 0) {
        snprintf(w.block->error, sizeof w.block->error, "%.250s", err.text);
        end(&w, 1);
    }
    belt_store_release32(&w.block->ready, 1);
    wake_lane(&w, 0); /* from now on another time-out holds */
    for (;;) {
        struct belt_result *result;
        const void *input = wait_for_work(&w, &result);
        load(&w, input, result);
        uint32_t end = run(&w), count = w.engine.count;
        describe(&w, result, end, count);
        commit(&w, end, count);
    }
}
