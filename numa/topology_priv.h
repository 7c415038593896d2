/* The inside of a topology, for the files of this folder. */
#ifndef BELT_TOPOLOGY_PRIV_H
#define BELT_TOPOLOGY_PRIV_H

#include <hwloc.h>

#include "numa/topology.h"

struct belt_topology {
    struct belt_cpus known, allowed, isolated;
    uint32_t nodes;
    struct belt_cpu cpus[BELT_CPUS]; /* of those known */
};

/* Reads cores, L3 caches and nodes of a loaded hwloc topology; `known` is filled. */
void belt_topology_read(struct belt_topology *topology, hwloc_topology_t machine);
/* Every CPU a core of its own, on node 0. */
void belt_topology_flatten(struct belt_topology *topology, const struct belt_cpus *cpus);
/* A loaded topology of this machine (`synthetic` NULL) or of a made one; the caller
 * destroys it. -errno when hwloc cannot. */
int belt_hwloc_load(hwloc_topology_t *out, const char *synthetic);

#endif
