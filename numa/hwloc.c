/* Cores, caches, nodes and their distances, from hwloc. */
#include <errno.h>

#include "numa/topology_priv.h"

/* Memory nodes hang on packages and groups: without them all CPUs share all nodes. */
static const struct {
    hwloc_obj_type_t type;
    enum hwloc_type_filter_e filter;
} kept[] = {
    { HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL },
    { HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE },
    { HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL },
    { HWLOC_OBJ_L2CACHE, HWLOC_TYPE_FILTER_KEEP_ALL },
    { HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL },
};

static int tell_source(hwloc_topology_t machine, const char *synthetic, const char *xml)
{
    if (synthetic)
        return hwloc_topology_set_synthetic(machine, synthetic);
    return xml ? hwloc_topology_set_xml(machine, xml) : 0;
}

int belt_hwloc_load(hwloc_topology_t *out, const char *synthetic, const char *xml)
{
    hwloc_topology_t machine;
    errno = 0;
    if (hwloc_topology_init(&machine) < 0)
        return errno ? -errno : -ENOMEM;
    /* Devices and instruction caches would cost most of the time and tell us nothing.
     * Reading them may also move the thread about, which is not ours to do. */
    hwloc_topology_set_all_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        hwloc_topology_set_type_filter(machine, kept[i].type, kept[i].filter);
    hwloc_topology_set_flags(machine, HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING);
    int rc = tell_source(machine, synthetic, xml);
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

/* ---- CPUs ---------------------------------------------------------------------- */

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

/* The node that serves the fewest CPUs is its own; of equals (memory of two kinds) the
 * first, which is the plain one. */
static int node_of(hwloc_topology_t machine, hwloc_obj_t pu)
{
    hwloc_obj_t node = NULL, nearest = NULL;
    int least = 0;
    while ((node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node))) {
        if (!hwloc_bitmap_isset(node->cpuset, pu->os_index))
            continue;
        int weight = hwloc_bitmap_weight(node->cpuset);
        if (!nearest || weight < least) {
            nearest = node;
            least = weight;
        }
    }
    return nearest ? (int)nearest->os_index : 0;
}

static int speed_of(hwloc_topology_t machine, hwloc_obj_t pu)
{
    int kind = hwloc_cpukinds_get_by_cpuset(machine, pu->cpuset, 0), efficiency = -1;
    if (kind < 0 ||
        hwloc_cpukinds_get_info(machine, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) < 0)
        return 0;
    return efficiency < 0 ? 0 : efficiency;
}

static void read_pu(struct belt_topology *topology, hwloc_topology_t machine, hwloc_obj_t pu)
{
    int cores = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE);
    int core = ancestor(machine, pu, HWLOC_OBJ_CORE);
    int package = ancestor(machine, pu, HWLOC_OBJ_PACKAGE);
    if (core < 0) /* the machine does not say: each is its own */
        core = cores + (int)pu->logical_index;
    struct belt_cpu *cpu = &topology->cpus[pu->os_index];
    *cpu = (struct belt_cpu){
        .pu = (int)pu->logical_index,
        .core = core,
        .l2 = ancestor(machine, pu, HWLOC_OBJ_L2CACHE),
        .l3 = ancestor(machine, pu, HWLOC_OBJ_L3CACHE),
        .package = package < 0 ? 0 : package,
        .node = node_of(machine, pu),
        .smt = smt_rank(topology, pu, core),
        .speed = speed_of(machine, pu),
    };
    if ((uint32_t)cpu->speed >= topology->speeds)
        topology->speeds = (uint32_t)cpu->speed + 1;
    belt_cpus_add(&topology->known, (int)pu->os_index);
}

static void copy_cpus(struct belt_cpus *out, hwloc_const_bitmap_t from)
{
    for (int cpu = hwloc_bitmap_first(from); cpu >= 0 && cpu < BELT_CPUS;
         cpu = hwloc_bitmap_next(from, cpu))
        belt_cpus_add(out, cpu);
}

/* ---- nodes --------------------------------------------------------------------- */

static void read_nodes(struct belt_topology *topology, hwloc_topology_t machine)
{
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(machine);
    hwloc_obj_t node = NULL;
    while (topology->nodes_used < BELT_NODES &&
           (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)))
        topology->nodes[topology->nodes_used++] =
            (struct belt_memory_node){ .number = (int)node->os_index,
                                       .allowed = hwloc_bitmap_isset(allowed, node->os_index),
                                       .bytes = node->attr->numanode.local_memory };
    if (!topology->nodes_used)
        topology->nodes[topology->nodes_used++] = (struct belt_memory_node){ .allowed = true };
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        BELT_CPUS_EACH(&topology->known, cpu)
    topology->nodes[i].cpus |= topology->cpus[cpu].node == topology->nodes[i].number;
}

static int index_of(const struct belt_topology *topology, int number)
{
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        if (topology->nodes[i].number == number)
            return (int)i;
    return -1;
}

static void keep_distances(struct belt_topology *topology, const struct hwloc_distances_s *d)
{
    for (unsigned i = 0; i < d->nbobjs; i++)
        for (unsigned j = 0; j < d->nbobjs; j++) {
            int a = index_of(topology, (int)d->objs[i]->os_index);
            int b = index_of(topology, (int)d->objs[j]->os_index);
            uint64_t value = d->values[i * d->nbobjs + j];
            if (a >= 0 && b >= 0)
                topology->distances[a][b] = (uint16_t)(value < UINT16_MAX ? value : UINT16_MAX);
        }
}

static int package_of(const struct belt_topology *topology, int node)
{
    BELT_CPUS_EACH(&topology->known, cpu)
    if (topology->cpus[cpu].node == node)
        return topology->cpus[cpu].package;
    return -1;
}

/* Where the machine does not tell. */
static void guess_distances(struct belt_topology *topology)
{
    int packages[BELT_NODES];
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        packages[i] = package_of(topology, topology->nodes[i].number);
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        for (uint32_t j = 0; j < topology->nodes_used; j++)
            topology->distances[i][j] = i == j ? BELT_SAME_NODE
                                        : packages[i] >= 0 && packages[i] == packages[j]
                                            ? BELT_NEAR_NODE
                                            : BELT_FAR_NODE;
}

static void read_distances(struct belt_topology *topology, hwloc_topology_t machine)
{
    struct hwloc_distances_s *found = NULL;
    unsigned count = 1;
    int rc = hwloc_distances_get_by_type(machine, HWLOC_OBJ_NUMANODE, &count, &found,
                                         HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
    if (rc < 0 || !count)
        return;
    keep_distances(topology, found);
    hwloc_distances_release(machine, found);
}

void belt_topology_read(struct belt_topology *topology, hwloc_topology_t machine)
{
    hwloc_obj_t pu = NULL;
    topology->speeds = 1;
    while ((pu = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, pu)))
        if (pu->os_index < BELT_CPUS)
            read_pu(topology, machine, pu);
    int packages = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PACKAGE);
    topology->packages = packages > 0 ? (uint32_t)packages : 1;
    copy_cpus(&topology->allowed, hwloc_topology_get_allowed_cpuset(machine));
    topology->allowed = belt_cpus_and(&topology->allowed, &topology->known);
    copy_cpus(&topology->offline, hwloc_topology_get_complete_cpuset(machine));
    topology->offline = belt_cpus_minus(&topology->offline, &topology->known);
    read_nodes(topology, machine);
    guess_distances(topology);
    read_distances(topology, machine);
}

void belt_topology_flatten(struct belt_topology *topology, const struct belt_cpus *cpus)
{
    int pu = 0;
    topology->known = *cpus;
    topology->packages = topology->speeds = topology->nodes_used = 1;
    topology->nodes[0] = (struct belt_memory_node){ .allowed = true, .cpus = true };
    topology->distances[0][0] = BELT_SAME_NODE;
    BELT_CPUS_EACH(cpus, cpu)
    topology->cpus[cpu] = (struct belt_cpu){ .pu = pu++, .core = cpu, .l2 = -1, .l3 = -1 };
}
