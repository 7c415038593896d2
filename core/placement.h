/* Where a pipeline runs: the plan in several forms, what the machine really gave, and
 * threads that somebody else moved. */
#ifndef BELT_PLACEMENT_H
#define BELT_PLACEMENT_H

#include "pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_plan_form {
    BELT_PLAN_TABLE,   /* for people */
    BELT_PLAN_EXPLAIN, /* the table, and why each thing is so */
    BELT_PLAN_JSON,    /* one object, all of it */
    BELT_PLAN_PICTURE, /* SVG: packages, nodes, caches, cores, the lanes on them, what flows */
    BELT_PLAN_OVERLAY  /* YAML which, laid over the pipeline, gives this plan again */
};

/* The plan, of this machine or of the one in placement.topology. Validates if need be;
 * nothing is opened. Control thread. */
BELT_API int belt_pipeline_plan(struct belt_pipeline *p, enum belt_plan_form form, FILE *out,
                                struct belt_error *err);

/* One line: what the run got of pages, nodes, io, waiting and isolation ("22.0 MiB, 20.0 of
 * it on huge pages, all of node 0; io_uring; wait backoff; threads"). While its memory is
 * there: after start, before free. Writes as snprintf; "" before the start. Control thread. */
BELT_API size_t belt_pipeline_got(struct belt_pipeline *p, char *out, size_t room);

/* Lanes that somebody else's hand (taskset, a cgroup's cpuset, a CPU taken off line) lets run
 * elsewhere than planned, a line each ("lane 1 may run on CPUs 0,1, not on 1 alone"); how
 * many. Looks at the threads now; the event `beltway.lane.moved` tells the same. Control
 * thread, while it runs. */
BELT_API uint32_t belt_pipeline_moved(struct belt_pipeline *p, char *out, size_t room);

#ifdef __cplusplus
}
#endif
#endif
