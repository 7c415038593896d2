/* The barrier: sources stop giving, and all that they gave comes to rest in committed
 * places: edges that wait for order, open batches, stores.
 *
 * Nobody stops. Every lane says, of an epoch, that it found nothing to do, and
 * whether it did anything since it said so of the epoch before. When all have, and
 * none did, nothing moved between the two: the pipeline is at rest. */
#ifndef BELT_BARRIER_PRIV_H
#define BELT_BARRIER_PRIV_H

#include "core/lane_priv.h"

/* Something that a lane does for the control thread while it stands. */
typedef int belt_stage_call(struct belt_stage *stage, struct belt_error *err);

struct belt_barrier {
    uint32_t paused; /* atomic: sources give nothing */
    uint32_t epoch;  /* atomic: lanes are to report on this; 0: nothing is asked */
    uint32_t last;   /* control thread: the last epoch given out */
    uint32_t parked; /* under the run's lock */
    uint32_t clear;  /* atomic: rows beside full edges are not at rest */
    bool flush;      /* control thread: open batches are to go, too; holds `pressure` */
};

#define BELT_BARRIER_GONE UINT32_MAX
#define BELT_BARRIER_FREEZE UINT32_MAX /* an epoch in which lanes stand still between turns */

/* Stands still until the freeze is over. Lane. */
void belt_barrier_park(struct belt_lane *lane);
/* 0: no lane makes a turn until the thaw; -ETIMEDOUT, and none stands. Control thread. */
int belt_barrier_freeze(struct belt_engine_run *run, uint64_t deadline_ns);
void belt_barrier_thaw(struct belt_engine_run *run);

/* Of a lane that stands, or has left: calls this for one of its stages, in its thread.
 * -ETIMEDOUT: it has not come back yet; the next call waits for it.
 * Control thread. */
int belt_barrier_call(struct belt_stage *stage, belt_stage_call *call, uint64_t until,
                      struct belt_error *err);

/* After a round that began when `epoch` was asked for. Lane. */
void belt_barrier_report(struct belt_lane *lane, uint32_t epoch, enum belt_turn outcome);
/* Nothing of the lane's stages is on its way. Between turns. */
bool belt_barrier_quiet(const struct belt_lane *lane);

#endif
