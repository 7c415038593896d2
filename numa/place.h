/* The planner: which stage runs on which lane, which lane on which CPU. A pure
 * function of its input: no system calls, the same answer every time. */
#ifndef BELT_PLACE_H
#define BELT_PLACE_H

#include "numa/topology.h"
#include "rings/wait.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_fuse { BELT_FUSE_AUTO, BELT_FUSE_NONE };

/* Stages are given in the order of the data, source first. Instance i of all
 * stages with the same `chain` belong together (source and processor; batcher
 * and its sink): with BELT_FUSE_AUTO they share a lane. */
struct belt_place_stage {
    const char *name;
    uint32_t instances; /* at least 1 */
    uint32_t chain;     /* 0: on its own */
    bool blocking;      /* every instance has a lane of its own, always */
    bool light;         /* may sit on any lane (batchers, sinks) */
};

#define BELT_PLACE_EVERY UINT32_MAX

/* --pin STAGE.INSTANCE=CPUS: the lane of this instance takes one of these CPUs. */
struct belt_place_pin {
    const char *stage;
    uint32_t instance; /* BELT_PLACE_EVERY: all of them, spread over the CPUs */
    struct belt_cpus cpus;
};

struct belt_place_in {
    const struct belt_topology *topology;
    const struct belt_place_stage *stages;
    uint32_t stage_count;
    const struct belt_cpus *cpus; /* --cpus; NULL: all that are allowed */
    const struct belt_place_pin *pins;
    uint32_t pin_count;
    enum belt_fuse fuse;
    enum belt_wait wait;
    bool wait_by_hand; /* the user wrote `wait`: say so when it cannot be */
    uint32_t lanes;    /* at most so many, blocking ones not counted; 0: any number */
};

struct belt_place_item {
    uint32_t stage, instance; /* index in `stages` */
};

struct belt_place_lane {
    int cpu, node;
    bool pinned;   /* by hand */
    bool blocking; /* holds one blocking stage */
    uint32_t item_count;
    const struct belt_place_item *items; /* in the order of their turns: sinks first */
};

struct belt_place {
    struct belt_place_lane *lanes;
    uint32_t lane_count;
    enum belt_wait wait;
    char notes[512]; /* what is not as asked for, and why; lines, "" for none */
};

/* -EINVAL: the wishes cannot be met: why[] says what, why, and what works. */
int belt_place_new(struct belt_place **out, const struct belt_place_in *in, char *why, size_t room);
void belt_place_free(struct belt_place *place);
/* Index of the lane that an instance is on. */
uint32_t belt_place_lane_of(const struct belt_place *place, uint32_t stage, uint32_t instance);

/* How many chains to run by default: one per core, SMT siblings only when there is
 * but one core. `cpus` as in belt_place_in. At least 1. */
uint32_t belt_place_concurrency(const struct belt_topology *topology, const struct belt_cpus *cpus);

#ifdef __cplusplus
}
#endif
#endif
