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
 * without them. -EINVAL: the text is none of these, or means no CPU. */
int belt_cpus_parse(struct belt_cpus *out, const char *text, const struct belt_cpus *all, char *why,
                    size_t room);
/* As a Linux list, "" for none; the length of the whole text, as snprintf. */
int belt_cpus_print(const struct belt_cpus *cpus, char *out, size_t room);

/* ---- topology --------------------------------------------------------------- */

/* Where a CPU is. `core`, `l3`: numbers within this topology, in its order; `l3`
 * -1: no such cache. `node`: the operating system's number. */
struct belt_cpu {
    int core, l3, node;
    int smt; /* 0: first thread of its core, 1: its sibling, ... */
};

struct belt_topology;

/* This machine. hwloc is asked once per process, the affinity mask of the calling
 * thread at every call. When hwloc cannot tell, every CPU is a core of node 0. */
int belt_topology_load(struct belt_topology **out, char *why, size_t room);
/* A machine in hwloc's words, all of it allowed: "node:2 core:4 pu:2". */
int belt_topology_synthetic(struct belt_topology **out, const char *spec, char *why, size_t room);
/* Only these CPUs and nothing about them. */
int belt_topology_plain(struct belt_topology **out, const struct belt_cpus *cpus, char *why,
                        size_t room);
void belt_topology_free(struct belt_topology *topology);
/* Takes CPUs away, as a narrower affinity mask would; for tests and containers.
 * -EINVAL when none would be left. */
int belt_topology_restrict(struct belt_topology *topology, const struct belt_cpus *cpus);

const struct belt_cpus *belt_topology_allowed(const struct belt_topology *topology);
/* Kept free of other work by the kernel's `isolcpus`; mostly outside of the mask. */
const struct belt_cpus *belt_topology_isolated(const struct belt_topology *topology);
/* NULL for a CPU that the machine does not have. */
const struct belt_cpu *belt_topology_cpu(const struct belt_topology *topology, int cpu);
/* Memory nodes of the machine, at least 1. */
uint32_t belt_topology_nodes(const struct belt_topology *topology);

#ifdef __cplusplus
}
#endif
#endif
