/* The lanes of a run, as the plan has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/run_priv.h"

static struct belt_stage *stage_at(struct belt_engine_run *run, struct belt_place_item item)
{
    const struct belt_plan *plan = run->plan;
    if (item.stage < plan->first_processor)
        return &run->sources[belt_plan_source(plan, item.stage, item.instance)].stage;
    if (item.stage < plan->first_batcher)
        return &run->chains[plan->processor_chains[item.stage - plan->first_processor] +
                            item.instance]
                    .stage;
    return &run->batchers[item.stage - plan->first_batcher][item.instance].stage;
}

int belt_lanes_new(struct belt_engine_run *run, struct belt_error *err)
{
    const struct belt_place *place = run->plan->place;
    run->lanes_used = place->lane_count;
    if (posix_memalign((void **)&run->lanes, BELT_LINES, run->lanes_used * sizeof *run->lanes))
        return belt_error_set(err, -ENOMEM, "lanes: out of memory");
    memset(run->lanes, 0, run->lanes_used * sizeof *run->lanes);
    for (uint32_t l = 0; l < run->lanes_used; l++)
        run->lanes[l].fd = -1;
    for (uint32_t l = 0; l < run->lanes_used; l++) {
        struct belt_lane *lane = &run->lanes[l];
        if (place->lanes[l].item_count > BELT_LANE_STAGES)
            return belt_error_config(err, "more than %d stages on a lane", BELT_LANE_STAGES);
        lane->index = l;
        lane->cpu = run->plan->caller ? -1 : place->lanes[l].cpu;
        lane->run = run;
        /* Workers want CPUs, too: a lane does not spin on theirs. */
        bool shared = run->zygote && place->lanes[l].wait == BELT_WAIT_BACKOFF;
        lane->idle = belt_idle_of(shared ? BELT_WAIT_BLOCK : place->lanes[l].wait);
        belt_sleep_init(&lane->sleep, BELT_THREADS);
        if (shared) /* it sleeps often: a fence of each waker is less than its membarrier */
            belt_store_relaxed32(&lane->sleep.asleep, BELT_FENCED); /* relaxed: no waker yet */
        lane->fd = belt_sleep_fd();
        if (lane->fd < 0)
            return belt_error_set(err, lane->fd, "lane %u: eventfd: %s", l, strerror(-lane->fd));
    }
    return 0;
}

int belt_lanes_fill(struct belt_engine_run *run, struct belt_error *err)
{
    for (uint32_t l = 0; l < run->lanes_used; l++) {
        const struct belt_place_lane *planned = &run->plan->place->lanes[l];
        for (uint32_t i = 0; i < planned->item_count; i++)
            run->lanes[l].stages[run->lanes[l].stages_used++] = stage_at(run, planned->items[i]);
    }
    return belt_latency_new(run, err);
}
