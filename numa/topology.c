#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/topology_priv.h"

/* ---- hwloc ------------------------------------------------------------------ */

/* Memory nodes hang on packages and groups: without them all CPUs share all nodes. */
static const struct {
    hwloc_obj_type_t type;
    enum hwloc_type_filter_e filter;
} kept[] = {
    { HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_STRUCTURE },
    { HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE },
    { HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL },
    { HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL },
};

int belt_hwloc_load(hwloc_topology_t *out, const char *synthetic)
{
    hwloc_topology_t machine;
    if (hwloc_topology_init(&machine) < 0)
        return -errno;
    int rc = 0;
    /* Devices and instruction caches would cost most of the time and tell us nothing.
     * Reading them may also move the thread about, which is not ours to do. */
    hwloc_topology_set_all_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        hwloc_topology_set_type_filter(machine, kept[i].type, kept[i].filter);
    hwloc_topology_set_flags(machine, HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING);
    if (synthetic)
        rc = hwloc_topology_set_synthetic(machine, synthetic);
    if (rc == 0)
        rc = hwloc_topology_load(machine);
    if (rc < 0) {
        rc = errno ? -errno : -EINVAL;
        hwloc_topology_destroy(machine);
        return rc;
    }
    *out = machine;
    return 0;
}

static int ancestor(hwloc_topology_t machine, hwloc_obj_t pu, hwloc_obj_type_t type)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(machine, type, pu);
    return object ? (int)object->logical_index : -1;
}

/* Threads of one core are neighbours in hwloc's order. */
static int smt_rank(const struct belt_topology *topology, hwloc_obj_t pu, int core)
{
    hwloc_obj_t before = pu->prev_cousin;
    if (!before || before->os_index >= BELT_CPUS || topology->cpus[before->os_index].core != core)
        return 0;
    return topology->cpus[before->os_index].smt + 1;
}

void belt_topology_read(struct belt_topology *topology, hwloc_topology_t machine)
{
    hwloc_obj_t pu = NULL;
    int cores = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE);
    while ((pu = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, pu))) {
        if (pu->os_index >= BELT_CPUS)
            continue;
        int core = ancestor(machine, pu, HWLOC_OBJ_CORE);
        if (core < 0) /* the machine does not say: each is its own */
            core = cores + (int)pu->logical_index;
        int node = hwloc_bitmap_first(pu->nodeset);
        topology->cpus[pu->os_index] = (struct belt_cpu){
            .core = core,
            .l3 = ancestor(machine, pu, HWLOC_OBJ_L3CACHE),
            .node = node < 0 ? 0 : node,
            .smt = smt_rank(topology, pu, core),
        };
        belt_cpus_add(&topology->known, (int)pu->os_index);
    }
    int nodes = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_NUMANODE);
    topology->nodes = nodes > 0 ? (uint32_t)nodes : 1;
}

void belt_topology_flatten(struct belt_topology *topology, const struct belt_cpus *cpus)
{
    topology->known = *cpus;
    topology->nodes = 1;
    BELT_CPUS_EACH(cpus, cpu)
    topology->cpus[cpu] = (struct belt_cpu){ .core = cpu, .l3 = -1, .node = 0, .smt = 0 };
}

/* ---- this machine, once ----------------------------------------------------- */

static struct belt_topology machine; /* nothing known: hwloc could not tell */
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

static void read_isolated(struct belt_cpus *out)
{
    char text[4096], why[1];
    static const struct belt_cpus none;
    FILE *file = fopen("/sys/devices/system/cpu/isolated", "re");
    if (!file)
        return;
    if (fgets(text, sizeof text, file) && text[0] != '\n')
        /* Unreadable text is as good as none: the set only words messages. */
        (void)belt_cpus_parse(out, text, &none, why, sizeof why);
    fclose(file);
}

static void load_machine(void)
{
    hwloc_topology_t loaded = NULL; /* gcc 12 does not see that 0 means set */
    if (belt_hwloc_load(&loaded, NULL) == 0) {
        belt_topology_read(&machine, loaded);
        hwloc_topology_destroy(loaded);
    }
    read_isolated(&machine.isolated);
}

static int read_mask(struct belt_cpus *out, char *why, size_t room)
{
    /* The kernel refuses a mask smaller than its own: machines of up to 8,192 CPUs. */
    unsigned long words[8192 / (8 * sizeof(unsigned long))] = { 0 };
    if (sched_getaffinity(0, sizeof words, (cpu_set_t *)words) < 0) {
        int rc = -errno;
        snprintf(why, room, "sched_getaffinity: %s", strerror(-rc));
        return rc;
    }
    memcpy(out, words, sizeof *out);
    if (belt_cpus_next(out, 0) >= 0)
        return 0;
    snprintf(why, room,
             "this process may only use CPUs from %d up: start it with taskset -c "
             "and CPUs below",
             BELT_CPUS);
    return -EINVAL;
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
    int rc = read_mask(&mask, why, room);
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
    *out = topology;
    return 0;
}

int belt_topology_synthetic(struct belt_topology **out, const char *spec, char *why, size_t room)
{
    hwloc_topology_t made = NULL;
    int rc = belt_hwloc_load(&made, spec);
    if (rc < 0) {
        snprintf(why, room, "topology '%s': %s", spec, strerror(-rc));
        return rc;
    }
    struct belt_topology *topology = new_topology(why, room);
    if (topology) {
        belt_topology_read(topology, made);
        topology->allowed = topology->known;
        *out = topology;
    }
    hwloc_topology_destroy(made);
    return topology ? 0 : -ENOMEM;
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

const struct belt_cpus *belt_topology_allowed(const struct belt_topology *topology)
{
    return &topology->allowed;
}

const struct belt_cpus *belt_topology_isolated(const struct belt_topology *topology)
{
    return &topology->isolated;
}

const struct belt_cpu *belt_topology_cpu(const struct belt_topology *topology, int cpu)
{
    return belt_cpus_has(&topology->known, cpu) ? &topology->cpus[cpu] : NULL;
}

uint32_t belt_topology_nodes(const struct belt_topology *topology)
{
    return topology->nodes;
}
