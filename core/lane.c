#include "core/barrier_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/telemetry_priv.h"
#include "numa/pin.h"

/* ---- turns ------------------------------------------------------------------ */

/* Time between two looks at the clock goes to exactly one share. */
static void count_time(struct belt_stage *stage, uint64_t ns)
{
    struct belt_stats *stats = &stage->stats;
    switch (stage->last) {
    case BELT_TURN_BUSY:
        belt_count(&stats->busy_ns, ns);
        belt_count(&stats->turns, 1);
        break;
    case BELT_TURN_OUT: belt_count(&stats->wait_out_ns, ns); break;
    default: belt_count(&stats->wait_in_ns, ns);
    }
}

enum belt_turn belt_lane_turn(struct belt_lane *lane, uint64_t now, struct belt_error *err)
{
    bool busy = false, ended = true;
    belt_telemetry_look(lane, now);
    bool timed = belt_sample_due(&lane->sample_due, now);
    for (uint32_t i = 0; i < lane->stages_used; i++) {
        struct belt_stage *stage = lane->stages[i];
        if (stage->ended)
            continue;
        stage->last = stage->kind->turn(stage, now, err);
        if (timed)
            now = belt_latency_turn(stage, now);
        if (stage->last == BELT_TURN_FAILED)
            return BELT_TURN_FAILED;
        stage->ended = stage->last == BELT_TURN_ENDED;
        busy |= stage->ended || stage->last == BELT_TURN_BUSY;
        ended &= stage->ended;
    }
    if (lane->wanted & BELT_WANT_WAITS)
        belt_tell_waits(lane);
    return ended ? BELT_TURN_ENDED : busy ? BELT_TURN_BUSY : BELT_TURN_IN;
}

/* The stages of a lane share its time: when one of them worked, the others'
 * waiting cost nothing, so the turn's time goes to those that worked. */
static void share_time(struct belt_lane *lane, uint64_t ns, bool busy)
{
    uint32_t sharers = 0;
    for (uint32_t i = 0; i < lane->stages_used; i++)
        sharers += lane->stages[i]->last == BELT_TURN_BUSY;
    for (uint32_t i = 0; i < lane->stages_used; i++) {
        struct belt_stage *stage = lane->stages[i];
        if (stage->ended)
            continue;
        if (!busy || stage->last != BELT_TURN_BUSY)
            count_time(stage, ns);
        else
            count_time(stage, ns / sharers);
    }
}

int belt_lane_init(struct belt_lane *lane, struct belt_error *err)
{
    for (uint32_t i = 0; i < lane->stages_used; i++) {
        struct belt_stage *stage = lane->stages[i];
        int rc = stage->kind->init ? stage->kind->init(stage, err) : 0;
        if (rc < 0)
            return rc;
        stage->inited = true;
    }
    return 0;
}

void belt_lane_fini(struct belt_lane *lane)
{
    for (uint32_t i = lane->stages_used; i-- > 0;) {
        struct belt_stage *stage = lane->stages[i];
        if (stage->inited && stage->kind->fini)
            stage->kind->fini(stage);
        stage->inited = false;
    }
}

/* ---- sleeping --------------------------------------------------------------- */

static uint64_t next_deadline(const struct belt_lane *lane)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < lane->stages_used; i++) {
        const struct belt_stage *stage = lane->stages[i];
        uint64_t wanted = UINT64_MAX;
        if (!stage->ended && stage->kind->deadline)
            wanted = stage->kind->deadline(stage);
        at = wanted < at ? wanted : at;
    }
    return at;
}

/* Sleeps until woken, until a descriptor is readable, or until a stage's deadline. */
static void sleep_lane(struct belt_lane *lane, uint64_t now)
{
    struct pollfd fds[BELT_LANE_FDS] = { { .fd = lane->fd, .events = POLLIN } };
    nfds_t count = 1;
    for (uint32_t i = 0; i < lane->stages_used && count < BELT_LANE_FDS; i++) {
        struct belt_stage *stage = lane->stages[i];
        int fd = !stage->ended && stage->kind->fd ? stage->kind->fd(stage) : -1;
        if (fd >= 0)
            fds[count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    uint64_t at = next_deadline(lane);
    struct timespec wait = { 0 }, *timeout = NULL;
    if (at != UINT64_MAX) {
        uint64_t ns = at > now ? at - now : 0;
        wait = (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        timeout = &wait;
    }
    ppoll(fds, count, timeout, NULL);
}

static enum belt_turn round_of(struct belt_lane *lane, uint64_t now, struct belt_error *err)
{
    /* A2, pairs with R2 in ask(): what others had done when it was asked is seen in this
     * round; else it would be called quiet with work in its edges. */
    uint32_t epoch = belt_load_acquire32(&lane->run->barrier.epoch);
    if (epoch == BELT_BARRIER_FREEZE) {
        belt_barrier_park(lane);
        epoch = 0;
    }
    enum belt_turn outcome = belt_lane_turn(lane, now, err);
    /* Also before anybody asks: what a turn sent that began too early to be asked may come
     * after the reader's report. */
    lane->worked |= outcome == BELT_TURN_BUSY;
    if (epoch)
        belt_barrier_report(lane, epoch, outcome);
    return outcome;
}

/* Nothing to do: spin, yield, or say so, look once more, and sleep. */
static enum belt_turn idle(struct belt_lane *lane, struct belt_error *err)
{
    if (belt_idle_step(&lane->idle) != BELT_IDLE_SLEEP)
        return BELT_TURN_IN;
    belt_sleep_prepare(&lane->sleep);
    uint64_t now = belt_now();
    enum belt_turn again = round_of(lane, now, err);
    if (again == BELT_TURN_IN && !belt_run_aborting(lane->run))
        sleep_lane(lane, now);
    belt_sleep_done(&lane->sleep, lane->fd);
    return again;
}

static int run_lane(struct belt_lane *lane, struct belt_error *err)
{
    uint64_t now = belt_now();
    while (!belt_run_aborting(lane->run)) {
        enum belt_turn outcome = round_of(lane, now, err);
        /* Behind a turn: by now it knows who wants to hear of it. */
        if (__builtin_expect(now >= lane->look_due, 0))
            belt_lane_look(lane, now);
        if (outcome == BELT_TURN_IN)
            outcome = idle(lane, err);
        else
            belt_idle_reset(&lane->idle);
        uint64_t before = now;
        now = belt_now();
        share_time(lane, now - before, outcome == BELT_TURN_BUSY);
        if (outcome == BELT_TURN_FAILED)
            return err->code < 0 ? err->code : -EIO;
        if (outcome == BELT_TURN_ENDED)
            return 0;
    }
    return 0;
}

/* ---- the thread ------------------------------------------------------------- */

/* All lanes begin together: a lane whose stages could not be set up keeps the
 * others from writing anything. */
static bool wait_for_go(struct belt_lane *lane, bool ready)
{
    struct belt_engine_run *run = lane->run;
    pthread_mutex_lock(&run->lock);
    run->lanes_ready++;
    pthread_cond_broadcast(&run->changed);
    while (ready && !run->go && !belt_run_aborting(run))
        pthread_cond_wait(&run->changed, &run->lock);
    bool go = run->go;
    pthread_mutex_unlock(&run->lock);
    return ready && go;
}

static void leave(struct belt_lane *lane)
{
    struct belt_engine_run *run = lane->run;
    belt_store_release32(&lane->reported, BELT_BARRIER_GONE);
    pthread_mutex_lock(&run->lock);
    run->lanes_left++;
    if (run->lanes_left == run->lanes_used)
        run->ended_ns = belt_now();
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

/* Signals are the application's: they go to threads that it made itself. */
static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

void *belt_lane_main(void *arg)
{
    struct belt_lane *lane = arg;
    struct belt_error err = { 0 };
    block_signals();
    char name[16];
    snprintf(name, sizeof name, "belt/lane.%u", lane->index);
    belt_name_thread(name);
    if (lane->run->zygote)
        belt_short_slices(); /* it shares its CPU with a worker; refused: it waits longer */
    int rc = belt_lane_settle(lane);
    if (rc < 0)
        belt_error_set(&err, rc, "lane %u: CPU %d: %s", lane->index, lane->cpu, strerror(-rc));
    bool ready = rc == 0 && belt_lane_init(lane, &err) == 0;
    if (!ready)
        belt_run_fail(lane->run, &err);
    if (wait_for_go(lane, ready) && run_lane(lane, &err) < 0)
        belt_run_fail(lane->run, &err);
    belt_lane_fini(lane);
    leave(lane);
    return NULL;
}
