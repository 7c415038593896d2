/* The planner: which stage runs on which lane, which lane on which CPU, whose memory
 * on which node, and how each lane waits. A pure function of its input: no system
 * calls, the same answer every time. docs/placement.md says what it goes by. */
#ifndef BELT_PLACE_H
#define BELT_PLACE_H

#include "numa/topology.h"
#include "rings/wait.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_fuse {
    BELT_FUSE_AUTO,  /* a chain shares a lane, light stages go where there is room */
    BELT_FUSE_NONE,  /* every instance has a lane of its own */
    BELT_FUSE_GROUPS /* only instances of the same chain number share one */
};

/* Threads of one core: only when there are too few cores; as CPUs like any; never. */
enum belt_smt { BELT_SMT_AUTO, BELT_SMT_ON, BELT_SMT_OFF };

/* Stages are given in the order of the data, source first. Instance i of all
 * stages with the same `chain` belong together (source and processor; batcher
 * and its sink): with BELT_FUSE_AUTO they share a lane. */
struct belt_place_stage {
    const char *name;
    uint32_t instances; /* at least 1 */
    uint32_t chain;     /* 0: on its own */
    bool blocking;      /* every instance has a lane of its own, always */
    bool light;         /* may sit on any lane (batchers, sinks) */
    bool reads;         /* a source of the device below */
    uint32_t work;      /* of an instance, beside others'; 0 counts as 1 */
};

/* What flows from stage to stage, in cache lines of one instance of `from`, beside others'. */
struct belt_place_edge {
    uint32_t from, to; /* index in `stages` */
    uint32_t weight;
    bool each; /* from every instance to every; else from i to i */
};

#define BELT_PLACE_EVERY UINT32_MAX

/* --pin STAGE.INSTANCE=CPUS: the lane of this instance takes one of these CPUs.
 * `stage`: its name, or what is behind its last dot where no other ends so. */
struct belt_place_pin {
    const char *stage;
    uint32_t instance; /* BELT_PLACE_EVERY: all of them, spread over the CPUs */
    struct belt_cpus cpus;
};

/* --wait STAGE.INSTANCE=HOW. One of an instance counts more than one of its stage. */
struct belt_place_wait {
    const char *stage;
    uint32_t instance; /* BELT_PLACE_EVERY: all of them */
    enum belt_wait wait;
};

/* Measured here: ns[i * count + j] is how long a cache line takes from cpus[i] to cpus[j].
 * CPUs that are not in it go by the table of numa/place_cost.c. */
struct belt_place_measured {
    uint32_t count;
    const int *cpus;
    const float *ns;
};

struct belt_place_in {
    const struct belt_topology *topology;
    const struct belt_place_stage *stages;
    uint32_t stage_count;
    const struct belt_place_edge *edges;
    uint32_t edge_count;
    const struct belt_cpus *cpus; /* --cpus; NULL: all that are allowed and not isolated */
    const struct belt_place_pin *pins;
    uint32_t pin_count;
    enum belt_fuse fuse;
    enum belt_smt smt;
    enum belt_wait wait;
    bool wait_by_hand; /* the user wrote `wait`: refused when it cannot be */
    const struct belt_place_wait *waits;
    uint32_t wait_count;
    uint32_t lanes; /* at most so many, blocking ones not counted; 0: any number */
    bool memory_by_hand, device_known;
    int memory_node; /* --memory-node */
    int device_node; /* that `reads` stages read from */
    const struct belt_place_measured *measured;
};

struct belt_place_item {
    uint32_t stage, instance; /* index in `stages` */
};

struct belt_place_lane {
    int cpu, node;
    int memory;    /* the node that its memory comes from */
    bool pinned;   /* by hand */
    bool blocking; /* holds one blocking stage */
    enum belt_wait wait;
    uint32_t item_count;
    const struct belt_place_item *items; /* in the order of their turns: sinks first */
};

/* What a plan costs: less of the first counts more than all of those behind it. */
struct belt_place_cost {
    uint32_t shared;   /* pairs of lanes on one CPU */
    uint32_t siblings; /* pairs of lanes on two threads of one core */
    uint32_t slow;     /* work on slower kinds of cores, times how much slower */
    double ns;         /* for a cache line to the next stage, on average */
};

struct belt_place {
    struct belt_place_lane *lanes;
    uint32_t lane_count;
    enum belt_wait wait; /* of lanes for which nothing else was asked */
    struct belt_place_cost cost;
    struct belt_place_cost naive; /* of the same lanes on CPUs by number */
    char notes[1024];             /* what is not as asked for, and why; lines, "" for none */
    const char *reasons;          /* why all is as it is; lines */
};

/* -EINVAL: the wishes cannot be met: why[] says what, why, and what works. */
int belt_place_new(struct belt_place **out, const struct belt_place_in *in, char *why, size_t room);
void belt_place_free(struct belt_place *place);
/* Index of the lane that an instance is on. */
uint32_t belt_place_lane_of(const struct belt_place *place, uint32_t stage, uint32_t instance);
/* The cost of these lanes on other CPUs, one for each. 0 or -ENOMEM. */
int belt_place_cost_of(const struct belt_place *place, const struct belt_place_in *in,
                       const int *cpus, struct belt_place_cost *out);
/* Below 0: `a` is better. */
int belt_place_compare(const struct belt_place_cost *a, const struct belt_place_cost *b);
/* The stage that a name or its end stands for; UINT32_MAX: none, or several. */
uint32_t belt_place_stage_of(const struct belt_place_in *in, const char *name);

/* How many chains to run by default: one per core, SMT siblings only when there is
 * but one core or `smt` is on; no more than the cgroup's limit, rounded up. At least 1.
 * Of `in` it reads topology, cpus and smt. */
uint32_t belt_place_concurrency(const struct belt_place_in *in);

#ifdef __cplusplus
}
#endif
#endif
