#include "numa/topology.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/topology_priv.h"

/* ---- this machine, once ----------------------------------------------------- */

static struct belt_topology machine; /* nothing known: hwloc could not tell */
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

static void load_machine(void)
{
    hwloc_topology_t loaded = NULL; /* gcc 12 does not see that 0 means set */
    if (belt_hwloc_load(&loaded, NULL, NULL) == 0) {
        belt_topology_read(&machine, loaded);
        hwloc_topology_destroy(loaded);
    }
    machine.here = true;
    belt_system_list(&machine.isolated, "/sys/devices/system/cpu/isolated");
    belt_system_list(&machine.offline, "/sys/devices/system/cpu/offline");
}

/* ---- topologies ------------------------------------------------------------- */

static struct belt_topology *new_topology(char *why, size_t room)
{
    struct belt_topology *topology = calloc(1, sizeof *topology);
    if (!topology)
        snprintf(why, room, "topology: out of memory");
    return topology;
}

int belt_topology_load(struct belt_topology **out, char *why, size_t room)
{
    struct belt_cpus mask;
    int rc = belt_system_mask(&mask, why, room);
    if (rc < 0)
        return rc;
    struct belt_topology *topology = new_topology(why, room);
    if (!topology)
        return -ENOMEM;
    pthread_once(&machine_once, load_machine);
    *topology = machine;
    struct belt_cpus unknown = belt_cpus_minus(&mask, &machine.known);
    /* CPUs that hwloc does not know of (hotplug, a failed load) make what it says useless. */
    if (belt_cpus_next(&unknown, 0) >= 0)
        belt_topology_flatten(topology, &mask);
    topology->allowed = mask;
    topology->quota = belt_system_quota();
    *out = topology;
    return 0;
}

static int read_other(struct belt_topology **out, const char *synthetic, const char *xml, char *why,
                      size_t room)
{
    hwloc_topology_t made = NULL;
    const char *name = synthetic ? synthetic : xml;
    int rc = belt_hwloc_load(&made, synthetic, xml);
    if (rc < 0) {
        snprintf(why, room, "topology '%s': %s%s", name, strerror(-rc),
                 synthetic ? ": words such as node:2 core:4 pu:2" : "");
        return rc;
    }
    struct belt_topology *topology = new_topology(why, room);
    if (topology)
        belt_topology_read(topology, made);
    hwloc_topology_destroy(made);
    if (topology && belt_cpus_next(&topology->allowed, 0) < 0) {
        snprintf(why, room, "topology '%s': no CPU of it may be used", name);
        free(topology);
        return -EINVAL;
    }
    *out = topology;
    return topology ? 0 : -ENOMEM;
}

int belt_topology_synthetic(struct belt_topology **out, const char *spec, char *why, size_t room)
{
    return read_other(out, spec, NULL, why, room);
}

int belt_topology_xml(struct belt_topology **out, const char *path, char *why, size_t room)
{
    return read_other(out, NULL, path, why, room);
}

int belt_topology_of(struct belt_topology **out, const char *text, char *why, size_t room)
{
    static const char synthetic[] = "synthetic:";
    if (strncmp(text, synthetic, sizeof synthetic - 1) == 0)
        return belt_topology_synthetic(out, text + sizeof synthetic - 1, why, room);
    return belt_topology_xml(out, text, why, room);
}

int belt_topology_plain(struct belt_topology **out, const struct belt_cpus *cpus, char *why,
                        size_t room)
{
    struct belt_topology *topology = new_topology(why, room);
    if (!topology)
        return -ENOMEM;
    belt_topology_flatten(topology, cpus);
    topology->allowed = *cpus;
    *out = topology;
    return 0;
}

void belt_topology_free(struct belt_topology *topology)
{
    free(topology);
}

int belt_topology_restrict(struct belt_topology *topology, const struct belt_cpus *cpus)
{
    struct belt_cpus both = belt_cpus_and(&topology->allowed, cpus);
    if (belt_cpus_next(&both, 0) < 0)
        return -EINVAL;
    topology->allowed = both;
    return 0;
}

int belt_topology_isolate(struct belt_topology *topology, const struct belt_cpus *cpus)
{
    struct belt_cpus rest = belt_cpus_minus(&topology->allowed, cpus);
    int rc = belt_topology_restrict(topology, &rest);
    if (rc == 0)
        topology->isolated = *cpus;
    return rc;
}

void belt_topology_limit(struct belt_topology *topology, uint32_t quota)
{
    topology->quota = quota;
}

/* ---- what there is ------------------------------------------------------------- */

const struct belt_cpus *belt_topology_known(const struct belt_topology *topology)
{
    return &topology->known;
}

const struct belt_cpus *belt_topology_allowed(const struct belt_topology *topology)
{
    return &topology->allowed;
}

const struct belt_cpus *belt_topology_isolated(const struct belt_topology *topology)
{
    return &topology->isolated;
}

const struct belt_cpus *belt_topology_offline(const struct belt_topology *topology)
{
    return &topology->offline;
}

uint32_t belt_topology_quota(const struct belt_topology *topology)
{
    return topology->quota;
}

bool belt_topology_here(const struct belt_topology *topology)
{
    return topology->here;
}

const struct belt_cpu *belt_topology_cpu(const struct belt_topology *topology, int cpu)
{
    return belt_cpus_has(&topology->known, cpu) ? &topology->cpus[cpu] : NULL;
}

uint32_t belt_topology_speeds(const struct belt_topology *topology)
{
    return topology->speeds;
}

/* ---- nodes --------------------------------------------------------------------- */

uint32_t belt_topology_nodes(const struct belt_topology *topology)
{
    return topology->nodes_used;
}

const struct belt_memory_node *belt_topology_node(const struct belt_topology *topology,
                                                  uint32_t index)
{
    return index < topology->nodes_used ? &topology->nodes[index] : NULL;
}

static int find_node(const struct belt_topology *topology, int number)
{
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        if (topology->nodes[i].number == number)
            return (int)i;
    return -1;
}

uint32_t belt_topology_distance(const struct belt_topology *topology, int from, int to)
{
    int a = find_node(topology, from), b = find_node(topology, to);
    if (a >= 0 && b >= 0)
        return topology->distances[a][b];
    return from == to ? BELT_SAME_NODE : BELT_FAR_NODE;
}

int belt_topology_memory(const struct belt_topology *topology, int node)
{
    int at = find_node(topology, node), best = node;
    uint32_t least = UINT32_MAX;
    bool known = at >= 0 && topology->nodes[at].allowed && topology->nodes[at].bytes;
    for (uint32_t i = 0; !known && i < topology->nodes_used; i++) {
        const struct belt_memory_node *other = &topology->nodes[i];
        uint32_t distance = belt_topology_distance(topology, node, other->number);
        if (other->allowed && other->bytes && distance < least) {
            least = distance;
            best = other->number;
        }
    }
    return best;
}
