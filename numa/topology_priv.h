/* The inside of a topology, for the files of this folder. */
#ifndef BELT_TOPOLOGY_PRIV_H
#define BELT_TOPOLOGY_PRIV_H

#include <hwloc.h>

#include "numa/topology.h"

#define BELT_NODES 64 /* whose distances are kept; others are far */
#define BELT_SAME_NODE 10
#define BELT_FAR_NODE 20  /* what firmware says of the other package most often, */
#define BELT_NEAR_NODE 12 /* and of the other half of the same one */

struct belt_topology {
    struct belt_cpus known, allowed, isolated, offline;
    uint32_t quota;
    bool here;
    uint32_t nodes_used, packages, speeds;
    struct belt_memory_node nodes[BELT_NODES];
    uint16_t distances[BELT_NODES][BELT_NODES]; /* by index */
    struct belt_cpu cpus[BELT_CPUS];            /* of those known */
};

/* ---- hwloc.c --------------------------------------------------------------------- */

/* A loaded topology of this machine (all NULL), of a made one or of a file; the caller
 * destroys it. -errno when hwloc cannot. */
int belt_hwloc_load(hwloc_topology_t *out, const char *synthetic, const char *xml);
/* Reads cores, caches, nodes and their distances; `topology` is zeroed. */
void belt_topology_read(struct belt_topology *topology, hwloc_topology_t machine);
/* Every CPU a core of its own, on node 0. */
void belt_topology_flatten(struct belt_topology *topology, const struct belt_cpus *cpus);

/* ---- system.c: what the kernel says of this machine ---------------------------------- */

/* The calling thread's mask. -errno. */
int belt_system_mask(struct belt_cpus *out, char *why, size_t room);
/* A list of CPUs in sysfs; empty when it cannot be read. */
void belt_system_list(struct belt_cpus *out, const char *path);
/* What the cgroups of this process let it use, thousandths of a CPU; 0: no limit. */
uint32_t belt_system_quota(void);
/* cpu.max of cgroup v2 ("50000 100000"); 0: "max", or no such text. */
uint32_t belt_quota_of(const char *text);

#endif
