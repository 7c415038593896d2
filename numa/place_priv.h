/* The planner's working state, between numa/place.c (stages to lanes) and
 * numa/place_cpus.c (lanes to CPUs). */
#ifndef BELT_PLACE_PRIV_H
#define BELT_PLACE_PRIV_H

#include "numa/place.h"

#define BELT_NOBODY UINT32_MAX

/* The CPUs asked for by hand, and by which item; BELT_NOBODY: any will do. */
struct belt_wish {
    struct belt_cpus cpus;
    uint32_t by;
};

/* An instance of a stage. Items that stay together have one leader, the first. */
struct belt_work_item {
    uint32_t stage, instance;
    uint32_t leader, lane;
    bool light;            /* leader: all its items are */
    struct belt_wish wish; /* leader: of all its items */
};

struct belt_work_lane {
    struct belt_wish wish;
    int cpu; /* -1: not chosen yet */
    bool blocking;
};

struct belt_work {
    const struct belt_place_in *in;
    struct belt_cpus usable;
    struct belt_work_item *items; /* in the order of stages, then instances */
    struct belt_work_lane *lanes; /* room for as many as items */
    uint32_t item_count, lane_count;
    uint32_t load[BELT_CPUS]; /* lanes on each CPU */
    int order[BELT_CPUS];     /* usable CPUs, the best first */
    uint32_t order_count;
    char *why;
    size_t room;
};

/* Checks the wishes against the affinity mask; sets usable. */
int belt_work_usable(struct belt_work *work);
/* Chooses for every lane. 0 or -ENOMEM. */
int belt_work_cpus(struct belt_work *work);
/* The least loaded of these CPUs, the nearest of several; counted as loaded. */
int belt_work_pick(struct belt_work *work, const struct belt_cpus *cpus);

#endif
