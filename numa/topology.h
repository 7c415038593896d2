/* The CPUs that this process may use, and how near they are to each other. The
 * affinity mask comes first: what lies outside of it does not exist here. A
 * topology is read-only once made. Errors: a negative errno and one line of
 * text in why[room] (cut if need be). */
#ifndef BELT_TOPOLOGY_H
#define BELT_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_CPUS 1024 /* as in the kernel's default configurations */

/* ---- sets of CPUs ----------------------------------------------------------- */

struct belt_cpus {
    uint64_t words[BELT_CPUS / 64];
};

static inline bool belt_cpus_has(const struct belt_cpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < BELT_CPUS && (cpus->words[cpu / 64] >> (cpu % 64) & 1);
}

static inline void belt_cpus_add(struct belt_cpus *cpus, int cpu)
{
    cpus->words[cpu / 64] |= 1ull << (cpu % 64);
}

static inline void belt_cpus_remove(struct belt_cpus *cpus, int cpu)
{
    cpus->words[cpu / 64] &= ~(1ull << (cpu % 64));
}

/* The first CPU of the set at or after `cpu`, -1: none. */
int belt_cpus_next(const struct belt_cpus *cpus, int cpu);
uint32_t belt_cpus_count(const struct belt_cpus *cpus);
struct belt_cpus belt_cpus_and(const struct belt_cpus *a, const struct belt_cpus *b);
struct belt_cpus belt_cpus_minus(const struct belt_cpus *a, const struct belt_cpus *b);

#define BELT_CPUS_EACH(cpus, cpu)                                                                  \
    for (int cpu = belt_cpus_next((cpus), 0); cpu >= 0; cpu = belt_cpus_next((cpus), cpu + 1))

/* Linux lists: "0-3,8-11:2" (every second); "all": those of `all`; "not:3,5": `all`
 * without them. -EINVAL: the text is none of these, or means no CPU. For hwloc's words,
 * too: belt_topology_parse(). */
int belt_cpus_parse(struct belt_cpus *out, const char *text, const struct belt_cpus *all, char *why,
                    size_t room);
/* As a Linux list, "" for none; the length of the whole text, as snprintf. */
int belt_cpus_print(const struct belt_cpus *cpus, char *out, size_t room);

/* ---- topology --------------------------------------------------------------- */

/* Where a CPU is. `node`: the operating system's number; all others count within this
 * topology, in hwloc's order. -1: no such cache; all CPUs have a package and a core. */
struct belt_cpu {
    int pu, core, l2, l3, package, node;
    int smt;   /* 0: first thread of its core, 1: its sibling, ... */
    int speed; /* 0: the slowest kind of core that there is, 1: the next, ... */
};

/* A memory node: its number, and how much of it there is. */
struct belt_memory_node {
    int number;
    bool allowed;   /* by the cgroup */
    bool cpus;      /* some CPU of the machine is on it */
    uint64_t bytes; /* 0: it has none */
};

struct belt_topology;

/* This machine. hwloc is asked once per process, the affinity mask of the calling
 * thread and the cgroup at every call. When hwloc cannot tell, every CPU is a core of
 * node 0. */
int belt_topology_load(struct belt_topology **out, char *why, size_t room);
/* A machine in hwloc's words, all of it allowed: "node:2 core:4 pu:2". */
int belt_topology_synthetic(struct belt_topology **out, const char *spec, char *why, size_t room);
/* Another machine, as `lstopo FILE.xml` wrote it there: what is allowed there is here. */
int belt_topology_xml(struct belt_topology **out, const char *path, char *why, size_t room);
/* "synthetic:WORDS" or "FILE.xml". */
int belt_topology_of(struct belt_topology **out, const char *text, char *why, size_t room);
/* Only these CPUs and nothing about them. */
int belt_topology_plain(struct belt_topology **out, const struct belt_cpus *cpus, char *why,
                        size_t room);
void belt_topology_free(struct belt_topology *topology);

/* Takes CPUs away, as a narrower affinity mask would; for tests and containers.
 * -EINVAL when none would be left. */
int belt_topology_restrict(struct belt_topology *topology, const struct belt_cpus *cpus);
/* As `isolcpus` would: they leave the mask. -EINVAL when none would be left. */
int belt_topology_isolate(struct belt_topology *topology, const struct belt_cpus *cpus);
/* As a cgroup's cpu.max would; thousandths of a CPU, 0: none. */
void belt_topology_limit(struct belt_topology *topology, uint32_t quota);

/* ---- what there is ---------------------------------------------------------------- */

const struct belt_cpus *belt_topology_known(const struct belt_topology *topology);
const struct belt_cpus *belt_topology_allowed(const struct belt_topology *topology);
/* Kept free of other work by the kernel's `isolcpus`; mostly outside of the mask. */
const struct belt_cpus *belt_topology_isolated(const struct belt_topology *topology);
/* Of the machine, but switched off. */
const struct belt_cpus *belt_topology_offline(const struct belt_topology *topology);
/* What the cgroup lets the process use in all, thousandths of a CPU; 0: no limit. */
uint32_t belt_topology_quota(const struct belt_topology *topology);
/* False: another machine, to plan for but not to run on. */
bool belt_topology_here(const struct belt_topology *topology);
/* NULL for a CPU that the machine does not have. */
const struct belt_cpu *belt_topology_cpu(const struct belt_topology *topology, int cpu);
/* Kinds of cores by speed, at least 1. */
uint32_t belt_topology_speeds(const struct belt_topology *topology);

/* Memory nodes of the machine, at least 1. */
uint32_t belt_topology_nodes(const struct belt_topology *topology);
/* Node `index` in hwloc's order; NULL after the last. */
const struct belt_memory_node *belt_topology_node(const struct belt_topology *topology,
                                                  uint32_t index);
/* As the firmware says: 10 for the same node, 20 about twice as far. By their numbers. */
uint32_t belt_topology_distance(const struct belt_topology *topology, int from, int to);
/* The nearest node to `node` that has memory and may be used; `node` itself if nothing
 * is known. */
int belt_topology_memory(const struct belt_topology *topology, int node);

/* ---- words -------------------------------------------------------------------------- */

/* Linux numbers and hwloc's words, in any mix: "0-3,8-11:2", "core:2-3", "numa:0.core:1",
 * "package:1", "l3:0.core:all.pu:0", "all", "not:3" (all but what follows). Words count as
 * lstopo -l does, those after a dot within what is before it, and mean CPUs of the machine;
 * "all" is `all`, and so is what "not:" takes from. -EINVAL as belt_cpus_parse. */
int belt_topology_parse(const struct belt_topology *topology, struct belt_cpus *out,
                        const char *text, const struct belt_cpus *all, char *why, size_t room);
/* The word for one CPU: "core:3", "numa:1.core:0", "core:3.pu:1". As snprintf. */
int belt_topology_word(const struct belt_topology *topology, int cpu, char *out, size_t room);

/* ---- devices ------------------------------------------------------------------------ */

/* The node of the device that this file, or the folder it is in, lies on; -1: the system
 * does not say. Of this machine. */
int belt_device_node(const char *path);

#ifdef __cplusplus
}
#endif
#endif
