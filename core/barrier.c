#include "core/barrier_priv.h"

#include <errno.h>
#include <time.h>

#include "core/clock_priv.h"
#include "core/control_priv.h"

#define NAP_LEAST 20000u
#define NAP_MOST 1000000u
#define TURNS 100000 /* by the caller, before the pipeline is said to be stuck */

/* ---- lanes -------------------------------------------------------------------- */

bool belt_barrier_quiet(const struct belt_lane *lane)
{
    for (uint32_t i = 0; i < lane->stages_used; i++) {
        const struct belt_stage *stage = lane->stages[i];
        bool quiet = stage->kind->quiet ? stage->kind->quiet(stage) : stage->last == BELT_TURN_IN;
        if (!stage->ended && !quiet)
            return false;
    }
    return true;
}

void belt_barrier_report(struct belt_lane *lane, uint32_t epoch, enum belt_turn outcome)
{
    if (lane->reported >> 1 == epoch || outcome == BELT_TURN_BUSY || !belt_barrier_quiet(lane))
        return;
    /* R1, pairs with A1 in all_reported(): what the lane did is done. */
    belt_store_release32(&lane->reported, epoch << 1 | lane->worked);
    lane->worked = false;
}

/* ---- the control thread --------------------------------------------------------- */

/* 1: all, and nobody worked; 0: all; -1: not yet. */
static int all_reported(const struct belt_engine_run *run, uint32_t epoch)
{
    int still = 1;
    for (uint32_t l = 0; l < run->lanes_used; l++) {
        /* A1: of R1. Without it the next epoch could be asked for, and answered, by a
         * lane that does not see yet what this one has published. */
        uint32_t said = belt_load_acquire32(&run->lanes[l].reported);
        if (said == BELT_BARRIER_GONE)
            continue;
        if (said >> 1 != epoch)
            return -1;
        still &= !(said & 1);
    }
    return still;
}

static uint32_t ask(struct belt_engine_run *run)
{
    run->barrier.last = run->barrier.last % (BELT_BARRIER_GONE >> 2) + 1;
    /* R2, pairs with A2 in round_of(): a round that is reported began after this. */
    belt_store_release32(&run->barrier.epoch, run->barrier.last);
    belt_run_wake(run);
    return run->barrier.last;
}

static int rest_in_threads(struct belt_engine_run *run, uint64_t until)
{
    uint64_t nap = NAP_LEAST;
    uint32_t epoch = ask(run);
    for (;;) {
        int said = all_reported(run, epoch);
        if (belt_run_aborting(run) || belt_run_stopping(run))
            return -EPIPE;
        if (said == 1)
            return 0;
        if (belt_now() >= until)
            return -ETIMEDOUT;
        if (said == 0)
            epoch = ask(run);
        struct timespec wait = { 0, (long)nap };
        nanosleep(&wait, NULL);
        nap = nap * 2 < NAP_MOST ? nap * 2 : NAP_MOST;
    }
}

/* The clock stands still: what waits for its time does not come to rest by it. */
static int rest_by_turns(struct belt_pipeline *p, struct belt_error *err)
{
    bool idle = false; /* a turn that only sends what is half full does not say so */
    for (int i = 0; i < TURNS; i++) {
        int rc = belt_pipeline_turn(p, p->run->ended_ns, err);
        if (rc < 0)
            return rc;
        if (rc == 0 && idle)
            return belt_barrier_quiet(&p->run->lanes[0]) ? 0 : -ETIMEDOUT;
        idle = rc == 0;
    }
    return -ETIMEDOUT;
}

/* ---- standing still ------------------------------------------------------------- */

/* Under the run's lock, but for the call. */
static void answer(struct belt_lane *lane)
{
    struct belt_engine_run *run = lane->run;
    struct belt_error err = { 0 };
    pthread_mutex_unlock(&run->lock);
    int rc = lane->call(lane->called, &err);
    pthread_mutex_lock(&run->lock);
    lane->called = NULL;
    lane->call_rc = rc;
    lane->call_error = err;
    pthread_cond_broadcast(&run->changed);
}

void belt_barrier_park(struct belt_lane *lane)
{
    struct belt_engine_run *run = lane->run;
    pthread_mutex_lock(&run->lock);
    run->barrier.parked++;
    pthread_cond_broadcast(&run->changed);
    while (belt_load_relaxed32(&run->barrier.epoch) == BELT_BARRIER_FREEZE)
        if (lane->called)
            answer(lane);
        else
            pthread_cond_wait(&run->changed, &run->lock);
    run->barrier.parked--;
    pthread_mutex_unlock(&run->lock);
}

void belt_barrier_thaw(struct belt_engine_run *run)
{
    pthread_mutex_lock(&run->lock);
    belt_store_relaxed32(&run->barrier.epoch, 0);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    belt_run_wake(run);
}

/* So long from now, on the clock of the run's condition. */
static struct timespec realtime_in(uint64_t ns_from_now)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + ns_from_now % 1000000000u;
    uint64_t seconds = ns_from_now / 1000000000u + ns / 1000000000u;
    at.tv_sec += (time_t)(seconds < INT32_MAX ? seconds : INT32_MAX);
    at.tv_nsec = (long)(ns % 1000000000u);
    return at;
}

/* Under the run's lock: until the lane has answered what it was asked. */
static int wait_for_answer(struct belt_lane *lane, const struct timespec *at)
{
    int rc = 0;
    while (rc == 0 && lane->called)
        rc = -pthread_cond_timedwait(&lane->run->changed, &lane->run->lock, at);
    return lane->called ? rc : 0;
}

int belt_barrier_call(struct belt_stage *stage, belt_stage_call *call, uint64_t until,
                      struct belt_error *err)
{
    struct belt_lane *lane = stage->lane;
    struct belt_engine_run *run = lane->run;
    uint64_t now = belt_now();
    struct timespec at = realtime_in(until > now ? until - now : 0);
    pthread_mutex_lock(&run->lock);
    int rc = wait_for_answer(lane, &at);
    bool gone = belt_load_relaxed32(&lane->reported) == BELT_BARRIER_GONE;
    if (rc == 0 && !gone) {
        lane->call = call;
        lane->called = stage;
        pthread_cond_broadcast(&run->changed);
        rc = wait_for_answer(lane, &at);
        if (rc == 0 && (rc = lane->call_rc) < 0)
            *err = lane->call_error;
    }
    pthread_mutex_unlock(&run->lock);
    return rc == -ETIMEDOUT ? belt_error_set(err, rc, "%s: still busy with it", stage->name) : rc;
}

int belt_barrier_freeze(struct belt_engine_run *run, uint64_t deadline_ns)
{
    struct timespec at = realtime_in(deadline_ns);
    belt_store_relaxed32(&run->barrier.epoch, BELT_BARRIER_FREEZE);
    belt_run_wake(run);
    int rc = 0;
    pthread_mutex_lock(&run->lock);
    while (rc == 0 && run->barrier.parked + run->lanes_left < run->lanes_used)
        rc = -pthread_cond_timedwait(&run->changed, &run->lock, &at);
    pthread_mutex_unlock(&run->lock);
    if (rc < 0)
        belt_barrier_thaw(run);
    return rc;
}

static void press(struct belt_engine_run *run, bool on)
{
    if (run->barrier.flush == on)
        return;
    run->barrier.flush = on;
    belt_fetch_add32(&run->pressure, on ? 1 : UINT32_MAX);
}

int belt_pipeline_rest(struct belt_pipeline *p, uint64_t until, enum belt_rest how,
                       struct belt_error *err)
{
    struct belt_engine_run *run = p->run;
    press(run, how == BELT_REST_SETTLED);
    belt_store_relaxed32(&run->barrier.clear, how != BELT_REST); /* seen by the next epoch */
    belt_store_release32(&run->barrier.paused, 1);
    int rc = p->started ? rest_in_threads(run, until) : rest_by_turns(p, err);
    belt_store_release32(&run->barrier.epoch, 0);
    press(run, false);
    if (rc == -ETIMEDOUT)
        return belt_error_set(err, rc, "%s did not come to rest in time: it goes on",
                              p->spec->name);
    return rc == -EPIPE ? belt_error_set(err, rc, "%s ends", p->spec->name) : rc;
}

int belt_pipeline_pause(struct belt_pipeline *p, uint64_t deadline_ns, unsigned flags,
                        struct belt_error *err)
{
    if (!p->run)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    if (p->ended)
        return belt_error_set(err, -EPIPE, "%s has ended", p->spec->name);
    uint64_t now = belt_now();
    uint64_t until = deadline_ns > UINT64_MAX - now ? UINT64_MAX : now + deadline_ns;
    int rc =
        belt_pipeline_rest(p, until, flags & BELT_PAUSE_FLUSH ? BELT_REST_SETTLED : BELT_REST, err);
    if (rc < 0)
        belt_pipeline_resume(p);
    return rc;
}

void belt_pipeline_resume(struct belt_pipeline *p)
{
    if (!p->run)
        return;
    belt_store_release32(&p->run->barrier.paused, 0);
    belt_run_wake(p->run);
}
