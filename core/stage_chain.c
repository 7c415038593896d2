/* The processor stage: takes a frame, runs the chain of steps over it, hands
 * what came out to the batchers, releases the frame. One frame a turn. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/clock_priv.h"
#include "core/telemetry_priv.h"
#include "core/worker_priv.h"

static struct belt_chain_stage *chain_of(struct belt_stage *stage)
{
    return (struct belt_chain_stage *)(void *)stage;
}

static struct belt_chain chain_steps(const struct belt_chain_stage *chain)
{
    return belt_chain_of(chain->stage.run->spec, chain->processor);
}

static int begin_steps(struct belt_chain_stage *chain, struct belt_error *err)
{
    struct belt_stage *stage = &chain->stage;
    const struct belt_engine_run *run = stage->run;
    struct belt_instance in = {
        .size = sizeof in,
        .index = stage->index,
        .count = run->plan->processor_instances[chain->processor - run->spec->processors],
        .stage = chain->processor->name,
        .header = "",
        .backend = run->spec->backend,
        .context = &run->context
    };
    return belt_steps_init(chain_steps(chain), chain->states, &chain->steps_ready, &in, err);
}

/* Keeps what it has begun when some of it fails: so at the start. */
static int chain_init(struct belt_stage *stage, struct belt_error *err)
{
    struct belt_chain_stage *chain = chain_of(stage);
    if (chain->idle)
        return 0;
    return chain->worker ? belt_worker_start(chain->worker, belt_now(), err)
                         : begin_steps(chain, err);
}

int belt_chain_begin(struct belt_stage *stage, struct belt_error *err)
{
    struct belt_chain_stage *chain = chain_of(stage);
    if (stage->ended || chain->steps_ready)
        return 0;
    if (chain->worker)
        return belt_worker_lives(chain->worker) ? 0
                                                : belt_worker_start(chain->worker, belt_now(), err);
    int rc = begin_steps(chain, err);
    if (rc < 0)
        belt_steps_fini(chain_steps(chain), chain->states, &chain->steps_ready);
    return rc;
}

/* What it still has to do, or may have to, is done by its steps. */
static bool is_needed(const struct belt_chain_stage *chain)
{
    const struct belt_engine_run *run = chain->stage.run;
    return chain->stage.ended || (chain->retry && chain->retry->used) ||
           (run->holds && belt_holds_used(run->holds));
}

int belt_chain_end(struct belt_stage *stage, struct belt_error *err)
{
    struct belt_chain_stage *chain = chain_of(stage);
    struct belt_chain steps = chain_steps(chain);
    if (is_needed(chain))
        return 0;
    if (chain->worker)
        return belt_worker_retire(chain->worker, &stage->run->aborting, err);
    belt_steps_fini(steps, chain->states, &chain->steps_ready);
    for (int s = 0; s < steps.steps_used; s++)
        memset(chain->states[s], 0, steps.steps[s].part->state_size);
    return 0;
}

static void chain_fini(struct belt_stage *stage)
{
    struct belt_chain_stage *chain = chain_of(stage);
    if (chain->worker)
        belt_worker_stop(chain->worker, &stage->run->aborting);
    else
        belt_steps_fini(chain_steps(chain), chain->states, &chain->steps_ready);
}

/* ---- input ------------------------------------------------------------------ */

/* The next frame comes into hand, from a source or from another processor. What is due
 * again comes first; then input, while there is room for all of it to fail. */
static bool take_frame(struct belt_chain_stage *chain, uint64_t now)
{
    if (chain->ins_used)
        return belt_links_take(chain) != NULL;
    chain->sparse = NULL;
    chain->frame = chain->retry ? belt_retry_frame(chain, now) : NULL;
    if (chain->frame)
        return true;
    struct belt_input_frame *frame = chain->idle ? NULL : belt_intake_peek(&chain->intake);
    bool may = frame && (!chain->retry || belt_retry_may_take(chain, frame));
    chain->frame = may ? frame : NULL;
    return may;
}

static void release_frame(struct belt_chain_stage *chain)
{
    bool again = chain->retry && belt_retry_done(chain);
    if (chain->retry && chain->worker)
        belt_fed_release(chain);
    chain->frame = NULL;
    if (again)
        return;
    if (chain->ins_used)
        belt_links_release(chain);
    else
        belt_intake_release(&chain->intake);
}

static bool input_ended(struct belt_chain_stage *chain)
{
    return chain->ins_used ? belt_links_ended(chain) : belt_intake_ended(&chain->intake);
}

static void load_frame(struct belt_chain_stage *chain, uint64_t now)
{
    struct belt_input_frame *frame = chain->frame;
    const char *base = (const char *)chain->stage.run->region.base + frame->base;
    if (chain->link)
        belt_link_load(&chain->engine, chain->link, chain->shape, now);
    else
        belt_engine_load(&chain->engine, base, frame->spans, frame->count, frame->failed,
                         frame->failed_reason, now);
    chain->segments[0] = (struct belt_segment){ 0, frame->count, 0, false };
    chain->segments_used = 1;
    if (chain->kids)
        chain->kids->of = 0;
    struct belt_stats *stats = &chain->stage.stats;
    belt_count(&stats->messages, frame->count);
    belt_count(&stats->frames, 1);
    if (chain->retry)
        belt_retry_loaded(chain);
    if (!chain->link) /* whose frames bring fields along as any others */
        belt_chain_load(chain);
    if (belt_wants(&chain->stage, BELT_WANT_FRAMES))
        belt_tell_frame(chain);
}

static bool has_part(const struct belt_chain_stage *chain)
{
    bool kids = chain->kids && chain->kids->ticketed < chain->kids->count;
    return chain->part.first < chain->part.end || kids;
}

/* Messages that are through the steps: to be sorted, then written. As
 * belt_dispatch_begin(). */
static int begin_dispatch(struct belt_chain_stage *chain, uint32_t first, uint32_t end,
                          struct belt_error *err)
{
    chain->part = (struct belt_segment){ first, end, 0, false };
    chain->joined = first;
    chain->dispatching = true;
    return belt_dispatch_begin(chain, err);
}

/* 1: all sorted and written. */
static int go_on(struct belt_chain_stage *chain, struct belt_error *err)
{
    int rc = has_part(chain) ? belt_dispatch_begin(chain, err) : 1;
    return rc > 0 ? belt_dispatch_rows(chain, err) : rc;
}

/* A step wants to hold its first message, and nothing can be held right now. */
static bool is_stuck(const struct belt_chain_stage *chain, struct belt_segment done)
{
    return done.first == done.end && chain->segments_used && !(chain->kids && chain->kids->count) &&
           chain->segments[chain->segments_used - 1].first == done.end;
}

/* 1: through. 0: without room downstream, the rest is done in a later turn. */
static int run_frame(struct belt_chain_stage *chain, struct belt_error *err)
{
    for (;;) {
        if (chain->dispatching) {
            int rc = go_on(chain, err);
            if (rc <= 0)
                return rc;
            chain->dispatching = false;
        }
        if (!chain->segments_used)
            return belt_dispatch_mark(chain);
        struct belt_segment segment = chain->segments[--chain->segments_used];
        bool told = belt_wants(&chain->stage, BELT_WANT_MESSAGES);
        if (told)
            segment = belt_tell_cut(chain, segment);
        belt_engine_fresh_room(&chain->engine, segment.first);
        if (chain->kids)
            belt_kids_clear(chain->kids);
        segment = belt_segment_run(chain_steps(chain), chain->states, &chain->engine, segment, true,
                                   chain->segments, &chain->segments_used);
        if (told)
            belt_tell_message(chain, segment);
        if (is_stuck(chain, segment)) {
            belt_holds_wait(chain);
            return 0;
        }
        int rc = begin_dispatch(chain, segment.first, segment.end, err);
        if (rc <= 0)
            return rc;
    }
}

/* ---- turns ------------------------------------------------------------------ */

static void close_outlets(struct belt_chain_stage *chain)
{
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++) {
            belt_close(&chain->outlets[o].outs[i].tx);
            belt_lane_wake(chain->outlets[o].outs[i].reader);
        }
}

static enum belt_turn no_input(struct belt_chain_stage *chain, uint64_t now, struct belt_error *err)
{
    belt_dispatch_flush(chain);
    belt_links_flush(chain);
    if (!input_ended(chain) || (chain->retry && chain->retry->used))
        return BELT_TURN_IN;
    int sent = belt_dispatch_partials(chain, now, true, err);
    if (sent <= 0)
        return sent < 0 ? BELT_TURN_FAILED : BELT_TURN_OUT;
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++)
            if (!belt_row_out_empty(&chain->outlets[o].outs[i]))
                return BELT_TURN_OUT;
    close_outlets(chain);
    belt_links_close(chain);
    if (chain->worker)
        belt_worker_end(chain->worker);
    return BELT_TURN_ENDED;
}

/* Input frames that the worker may have seen so far. */
static uint64_t published(const struct belt_chain_stage *chain)
{
    /* Relaxed: a count; who takes the frames acquires them (belt_peek_at). */
    return belt_load_relaxed(&belt_worker_input(chain)->ring->published);
}

/* The frame that the oldest result is of. */
static bool take_given(struct belt_chain_stage *chain, uint64_t now)
{
    return chain->retry ? belt_fed_take(chain) : take_frame(chain, now);
}

/* The run ends because of its worker: with the message that it died over, if any. */
static enum belt_turn worker_failed(struct belt_chain_stage *chain, struct belt_error *err)
{
    uint32_t i = chain->worker->stood;
    bool in_hand = chain->frame != NULL;
    bool known = (in_hand || take_given(chain, 0)) && i < chain->frame->count;
    struct belt_failure_seen seen = { 0 };
    if (known) {
        struct belt_origin origin = belt_chain_origin(chain, i);
        seen = (struct belt_failure_seen){ .file = origin.file,
                                           .source = origin.source,
                                           .place = origin.place };
    }
    if (!in_hand)
        chain->frame = NULL; /* it stays where it is */
    belt_run_fail_at(chain->stage.run, err, known ? &seen : NULL);
    return BELT_TURN_FAILED;
}

static int look_after(struct belt_chain_stage *chain, bool owes, uint64_t now,
                      struct belt_error *err)
{
    struct belt_worker *worker = chain->worker;
    struct belt_stats *stats = &chain->stage.stats;
    uint64_t known = worker->known;
    int rc = chain->result ? belt_worker_glance(worker, now, err)
                           : belt_worker_watch(worker, owes, now, err);
    belt_store_relaxed(&stats->restarts, worker->restarts);
    belt_store_relaxed(&stats->attempts, worker->attempts);
    belt_store_relaxed(&stats->hangs, worker->hangs);
    if (worker->known != known && belt_wants(&chain->stage, BELT_WANT(WORKER_RESTART)))
        belt_tell_restart(&chain->stage, worker);
    return rc;
}

/* There is no result. Without input, too: a dead worker's descriptor would keep
 * the lane awake. */
static enum belt_turn watch_worker(struct belt_chain_stage *chain, uint64_t now,
                                   struct belt_error *err)
{
    bool owes = published(chain) != chain->taken;
    int rc = look_after(chain, owes, now, err);
    if (rc < 0)
        return worker_failed(chain, err);
    if (rc)
        return BELT_TURN_BUSY;
    return owes ? BELT_TURN_IN : no_input(chain, now, err);
}

/* isolation: process. The steps ran elsewhere: take what they made of a frame. */
static enum belt_turn take_result(struct belt_chain_stage *chain, uint64_t now,
                                  struct belt_error *err)
{
    struct belt_worker *worker = chain->worker;
    if (chain->retry)
        belt_fed_give(chain, now);
    belt_worker_tell(worker, published(chain));
    chain->result = belt_worker_peek(worker);
    if (chain->result) {
        if (!chain->frame)
            take_given(chain, now);
        if (look_after(chain, true, now, err) < 0)
            return worker_failed(chain, err);
        belt_engine_adopt(&chain->engine, chain->result, chain->stage.run->region.base,
                          chain->frame->count, now);
        if (!chain->result->first) {
            belt_count(&chain->stage.stats.messages, chain->frame->count);
            belt_count(&chain->stage.stats.frames, 1);
            if (belt_wants(&chain->stage, BELT_WANT_FRAMES))
                belt_tell_frame(chain);
        }
        if (belt_wants(&chain->stage, BELT_WANT(MESSAGE_EXCEPTION)))
            belt_tell_failed(chain, chain->result->first, chain->result->end);
        if (chain->result->heard && belt_wants(&chain->stage, BELT_WANT_FAILED))
            belt_tell_handle_failed_apart(&chain->stage, chain->result->heard,
                                          chain->result->heard_ns);
        /* The part of the frame that is still to come; nobody runs it here. */
        chain->segments[0] =
            (struct belt_segment){ chain->result->end, chain->frame->count, 0, false };
        chain->segments_used = 1;
        int rc = begin_dispatch(chain, chain->result->first, chain->result->end, err);
        return rc < 0 ? BELT_TURN_FAILED : BELT_TURN_BUSY;
    }
    return watch_worker(chain, now, err);
}

static enum belt_turn finish_result(struct belt_chain_stage *chain, struct belt_error *err)
{
    bool last = chain->result->flags & BELT_LAST_PART;
    int rc = go_on(chain, err);
    if (rc < 0)
        return BELT_TURN_FAILED;
    if (rc == 0 || (last && !belt_dispatch_mark(chain))) {
        belt_worker_tell_freed(chain->worker);
        return BELT_TURN_OUT;
    }
    chain->dispatching = false;
    chain->result = NULL;
    if (last) {
        if (belt_wants(&chain->stage, BELT_WANT_FRAMES))
            belt_tell_frame_end(chain);
        chain->segments_used = 0;
        chain->taken++;
        release_frame(chain);
    }
    belt_worker_release(chain->worker);
    return BELT_TURN_BUSY;
}

/* A resize left it without messages, and none is to be tried again. */
static bool is_idle(const struct belt_chain_stage *chain)
{
    return chain->idle && !(chain->retry && chain->retry->used);
}

static enum belt_turn worker_turn(struct belt_chain_stage *chain, uint64_t now,
                                  struct belt_error *err)
{
    if (!chain->result) {
        enum belt_turn outcome = take_result(chain, now, err);
        if (!chain->result || outcome == BELT_TURN_FAILED)
            return outcome;
    }
    return finish_result(chain, err);
}

/* Without room its death does not matter yet, and would keep the lane awake. */
static int chain_fd(struct belt_stage *stage)
{
    struct belt_chain_stage *chain = chain_of(stage);
    return chain->worker && stage->last == BELT_TURN_IN ? chain->worker->pidfd : -1;
}

static enum belt_turn chain_turn(struct belt_stage *stage, uint64_t now, struct belt_error *err)
{
    struct belt_chain_stage *chain = chain_of(stage);
    if (chain->holds && belt_overflow_serve(chain, err) < 0)
        return BELT_TURN_FAILED;
    int sent = chain->frame ? 1 : belt_dispatch_partials(chain, now, false, err);
    if (sent <= 0)
        return sent < 0 ? BELT_TURN_FAILED : BELT_TURN_OUT;
    if (chain->worker)
        return is_idle(chain) ? no_input(chain, now, err) : worker_turn(chain, now, err);
    if (!chain->frame) {
        if (!take_frame(chain, now))
            return no_input(chain, now, err);
        load_frame(chain, now);
    }
    int rc = run_frame(chain, err);
    if (rc <= 0)
        return rc < 0 ? BELT_TURN_FAILED : BELT_TURN_OUT;
    if (belt_wants(&chain->stage, BELT_WANT_FRAMES))
        belt_tell_frame_end(chain);
    release_frame(chain);
    return BELT_TURN_BUSY;
}

static uint64_t chain_deadline(const struct belt_stage *stage)
{
    const struct belt_chain_stage *chain = (const struct belt_chain_stage *)(const void *)stage;
    bool watching = chain->worker && !is_idle(chain) && stage->last == BELT_TURN_IN;
    uint64_t first = watching ? belt_worker_deadline(chain->worker) : UINT64_MAX;
    uint64_t again = chain->retry && !chain->frame ? belt_retry_next_due(chain->retry) : first;
    first = again < first ? again : first;
    for (int o = 0; o < chain->outlets_used; o++) {
        const struct belt_outlet *outlet = &chain->outlets[o];
        uint64_t every = outlet->partial ? belt_agg_every(outlet->batcher->aggregate) : 0;
        uint64_t at = stage->run->started_ns + (outlet->epoch + 1) * every;
        if (every && at < first)
            first = at;
    }
    return first;
}

/* Waiting for its worker is no rest. Rows beside a full edge are in a committed place, but
 * would be passed by those that a resize sends another way. */
static bool chain_quiet(const struct belt_stage *stage)
{
    const struct belt_chain_stage *chain = (const struct belt_chain_stage *)(const void *)stage;
    if (stage->last != BELT_TURN_IN || (chain->worker && published(chain) != chain->taken))
        return false;
    if (!belt_load_relaxed32(&stage->run->barrier.clear)) /* relaxed: of the round's epoch */
        return true;
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++)
            if (!belt_row_out_empty(&chain->outlets[o].outs[i]))
                return false;
    return true;
}

const struct belt_stage_kind belt_chain_kind = {
    .name = "processor",
    .init = chain_init,
    .turn = chain_turn,
    .fini = chain_fini,
    .deadline = chain_deadline,
    .quiet = chain_quiet,
    .fd = chain_fd,
};
