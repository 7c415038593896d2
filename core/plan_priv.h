/* What the planner is told of a pipeline, between the files core/plan*.c. */
#ifndef BELT_PLAN_PRIV_H
#define BELT_PLAN_PRIV_H

#include "core/run_priv.h"

#define BELT_PLAN_STAGES (BELT_SOURCES + BELT_PROCESSORS + BELT_BATCHERS)
#define BELT_PLAN_EDGES 512
#define BELT_PINS 128

struct belt_plan_in {
    struct belt_place_stage stages[BELT_PLAN_STAGES];
    struct belt_place_edge edges[BELT_PLAN_EDGES];
    struct belt_place_pin pins[BELT_PINS];
    char names[BELT_PINS][96];
    struct belt_cpus cpus;
    struct belt_place_in in;
};

/* The setting `placement` (plan_read.c); before the instances are counted. */
int belt_plan_read(struct belt_plan_in *x, const struct belt_spec *spec,
                   const struct belt_topology *topology, struct belt_error *err);
/* Stages and what flows between them (plan_graph.c); after it. */
void belt_plan_graph(struct belt_plan_in *x, const struct belt_plan *plan,
                     const struct belt_spec *spec);

#endif
