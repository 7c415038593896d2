/* What the planner is told of a pipeline, between the files core/plan*.c. */
#ifndef BELT_PLAN_PRIV_H
#define BELT_PLAN_PRIV_H

#include <stdio.h>

#include "core/run_priv.h"

#define BELT_PLAN_STAGES (BELT_SOURCES + BELT_PROCESSORS + BELT_BATCHERS)
#define BELT_PLAN_EDGES 512
#define BELT_PINS 128

struct belt_plan_in {
    struct belt_place_stage stages[BELT_PLAN_STAGES];
    struct belt_place_edge edges[BELT_PLAN_EDGES];
    struct belt_place_pin pins[BELT_PINS];
    char pin_names[BELT_PINS][96];
    struct belt_place_wait waits[BELT_PINS];
    char wait_names[BELT_PINS][96];
    struct belt_cpus cpus;
    struct belt_place_measured measured; /* of the two arrays, which are ours */
    int *measured_cpus;
    float *measured_ns;
    struct belt_place_in in;
};

/* The setting `placement` (plan_read.c); before the instances are counted. */
int belt_plan_read(struct belt_plan_in *x, const struct belt_spec *spec,
                   const struct belt_topology *topology, struct belt_error *err);
/* placement.measured (plan_measured.c). */
int belt_plan_measured(struct belt_plan_in *x, const char *path, struct belt_error *err);
/* Stages and what flows between them (plan_graph.c); after it. */
void belt_plan_graph(struct belt_plan_in *x, const struct belt_plan *plan,
                     const struct belt_spec *spec);
/* Which stages share lanes, by their names (plan_read.c); after it. */
int belt_plan_fuse(struct belt_plan_in *x, const struct belt_spec *spec, struct belt_error *err);

/* "backoff", "backoff and spin": how lanes wait (plan_table.c). */
const char *belt_plan_waits(const struct belt_plan *plan);
/* "processor.0", of the planner's stages. As snprintf. */
int belt_plan_item(const struct belt_plan *plan, struct belt_place_item item, char *out,
                   size_t room);
/* Bytes that a run of it would obtain before its start. */
int belt_plan_memory(struct belt_pipeline *p, uint64_t *out, struct belt_error *err);

/* The plan as JSON, as an overlay, as a picture: plan_json.c, plan_overlay.c, plan_picture.c. */
int belt_plan_json(struct belt_pipeline *p, FILE *out, struct belt_error *err);
int belt_plan_overlay(struct belt_pipeline *p, FILE *out, struct belt_error *err);
int belt_plan_picture(struct belt_pipeline *p, FILE *out, struct belt_error *err);

extern const char *const belt_wait_names[]; /* by enum belt_wait, ended by NULL */

#endif
