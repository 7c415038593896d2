/* What a plan does to threads and memory. 0 or a negative errno. */
#ifndef BELT_PIN_H
#define BELT_PIN_H

#include "numa/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The calling thread, from now on only here. */
int belt_pin_thread(int cpu);
/* Where this thread may run; 0: the calling one. */
int belt_thread_cpus(int tid, struct belt_cpus *out);
/* The calling thread may run on all CPUs allowed again: threads begin with the
 * mask of the one that made them, and a helper must not sit on a lane's CPU. */
int belt_unpin_thread(const struct belt_topology *topology);
/* Names the calling thread, "belt/parse.1". The kernel keeps 15 bytes: a longer
 * name loses its middle, not its number. */
void belt_name_thread(const char *name);
/* The calling thread gives up its CPU sooner and gets it sooner when it wakes; what it
 * forks or starts inherits it. Its share stays. Linux 6.12; before, and under another policy
 * than SCHED_OTHER, nothing changes. */
int belt_short_slices(void);
/* Pages of [memory, memory + size) touched from now on come from this node while it has
 * any. Nothing to do on a machine of one node, or for node -1. -EPERM in some containers. */
int belt_bind_memory(const struct belt_topology *topology, void *memory, size_t size, int node);

#ifdef __cplusplus
}
#endif
#endif
