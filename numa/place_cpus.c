/* Lanes to CPUs: near each other, one core each as long as there are cores. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "numa/place_priv.h"

/* ---- what was asked for, and what there is ------------------------------------- */

static int refuse_cpu(struct belt_work *work, const char *who, int cpu)
{
    const struct belt_topology *topology = work->in->topology;
    bool isolated = belt_cpus_has(belt_topology_isolated(topology), cpu);
    char mask[128];
    belt_cpus_print(belt_topology_allowed(topology), mask, sizeof mask);
    snprintf(work->why, work->room,
             "%s: CPU %d is outside this process's CPU mask %s%s; "
             "allowed: %s",
             who, cpu, mask, isolated ? " (it is isolated: taskset -c adds it)" : "", mask);
    return -EINVAL;
}

static int check_pin(struct belt_work *work, const struct belt_place_pin *pin)
{
    const struct belt_cpus *allowed = belt_topology_allowed(work->in->topology);
    char who[128], list[128];
    snprintf(who, sizeof who, "pin %s", pin->stage);
    struct belt_cpus outside = belt_cpus_minus(&pin->cpus, allowed);
    int cpu = belt_cpus_next(&outside, 0);
    if (cpu >= 0)
        return refuse_cpu(work, who, cpu);
    outside = belt_cpus_minus(&pin->cpus, &work->usable);
    cpu = belt_cpus_next(&outside, 0);
    if (cpu < 0 && belt_cpus_next(&pin->cpus, 0) >= 0)
        return 0;
    belt_cpus_print(&work->usable, list, sizeof list);
    if (cpu < 0)
        snprintf(work->why, work->room, "%s: no CPU is named; allowed: %s", who, list);
    else
        snprintf(work->why, work->room,
                 "%s: CPU %d is not among the CPUs %s given for the "
                 "pipeline: add it there or pin to one of them",
                 who, cpu, list);
    return -EINVAL;
}

int belt_work_usable(struct belt_work *work)
{
    const struct belt_cpus *allowed = belt_topology_allowed(work->in->topology);
    work->usable = *allowed;
    if (work->in->cpus) {
        struct belt_cpus outside = belt_cpus_minus(work->in->cpus, allowed);
        int cpu = belt_cpus_next(&outside, 0);
        if (cpu >= 0)
            return refuse_cpu(work, "cpus", cpu);
        work->usable = *work->in->cpus;
    }
    if (belt_cpus_next(&work->usable, 0) < 0) {
        snprintf(work->why, work->room, "cpus: no CPU is left");
        return -EINVAL;
    }
    for (uint32_t i = 0; i < work->in->pin_count; i++) {
        int rc = check_pin(work, &work->in->pins[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- closeness ----------------------------------------------------------------- */

/* CPUs that share something: a node or an L3 cache. */
struct group {
    int id;
    uint32_t cores;
    bool near, fits; /* holds a pinned lane; all other lanes get a core in it */
};

struct groups {
    struct group at[BELT_CPUS];
    uint32_t count;
};

struct candidate {
    int cpu;
    uint32_t pass; /* usable CPUs of the same core before it */
    uint32_t node, l3;
    int core;
};

struct order {
    struct groups nodes, l3s;
    struct candidate cpus[BELT_CPUS];
    uint32_t count;
};

static struct group *group_of(struct groups *groups, int id)
{
    uint32_t i = 0;
    while (i < groups->count && groups->at[i].id != id)
        i++;
    if (i == groups->count)
        groups->at[groups->count++] = (struct group){ .id = id };
    return &groups->at[i];
}

/* Near a pinned lane; else the first that all lanes fit in; else the biggest. */
static int compare_groups(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    if (a->near != b->near)
        return a->near ? -1 : 1;
    if (a->fits != b->fits)
        return a->fits ? -1 : 1;
    if (!a->fits && a->cores != b->cores)
        return a->cores > b->cores ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    const int64_t differ[] = {
        (int64_t)a->pass - b->pass, (int64_t)a->node - b->node, (int64_t)a->l3 - b->l3,
        (int64_t)a->core - b->core, (int64_t)a->cpu - b->cpu,
    };
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
        if (differ[i])
            return differ[i] < 0 ? -1 : 1;
    return 0;
}

static uint32_t count_before(const struct belt_topology *topology, const struct belt_cpus *usable,
                             int cpu)
{
    uint32_t before = 0;
    int core = belt_topology_cpu(topology, cpu)->core;
    BELT_CPUS_EACH(usable, other)
    {
        if (other >= cpu)
            break;
        before += belt_topology_cpu(topology, other)->core == core;
    }
    return before;
}

static void sort_groups(struct groups *groups, uint32_t lanes)
{
    for (uint32_t i = 0; i < groups->count; i++)
        groups->at[i].fits = groups->at[i].cores >= lanes;
    qsort(groups->at, groups->count, sizeof *groups->at, compare_groups);
}

/* All usable CPUs; `near`: where a pinned lane is, or -1; `lanes`: still without a CPU. */
static void order_cpus(struct belt_work *work, struct order *order, int near, uint32_t lanes)
{
    const struct belt_topology *topology = work->in->topology;
    BELT_CPUS_EACH(&work->usable, cpu)
    {
        const struct belt_cpu *at = belt_topology_cpu(topology, cpu);
        struct group *node = group_of(&order->nodes, at->node), *l3 = group_of(&order->l3s, at->l3);
        struct candidate *new = &order->cpus[order->count++];
        *new = (struct candidate){ .cpu = cpu, .core = at->core };
        new->pass = count_before(topology, &work->usable, cpu);
        node->cores += new->pass == 0;
        l3->cores += new->pass == 0;
        node->near |= cpu == near;
        l3->near |= cpu == near;
    }
    sort_groups(&order->nodes, lanes);
    sort_groups(&order->l3s, lanes);
    for (uint32_t i = 0; i < order->count; i++) {
        struct candidate *c = &order->cpus[i];
        const struct belt_cpu *at = belt_topology_cpu(topology, c->cpu);
        c->node = (uint32_t)(group_of(&order->nodes, at->node) - order->nodes.at);
        c->l3 = (uint32_t)(group_of(&order->l3s, at->l3) - order->l3s.at);
    }
    qsort(order->cpus, order->count, sizeof *order->cpus, compare_candidates);
    for (uint32_t i = 0; i < order->count; i++)
        work->order[i] = order->cpus[i].cpu;
    work->order_count = order->count;
}

/* ---- choosing ------------------------------------------------------------------ */

int belt_work_pick(struct belt_work *work, const struct belt_cpus *cpus)
{
    int best = -1;
    for (uint32_t i = 0; i < work->order_count; i++) {
        int cpu = work->order[i];
        if (belt_cpus_has(cpus, cpu) && (best < 0 || work->load[cpu] < work->load[best]))
            best = cpu;
    }
    work->load[best]++;
    return best;
}

/* The pinned lane with the fewest CPUs to choose from that has none yet. */
static struct belt_work_lane *next_pinned(struct belt_work *work)
{
    struct belt_work_lane *next = NULL;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < work->lane_count; i++) {
        struct belt_work_lane *lane = &work->lanes[i];
        uint32_t count = belt_cpus_count(&lane->wish.cpus);
        if (lane->wish.by == BELT_NOBODY || lane->cpu >= 0 || count >= fewest)
            continue;
        next = lane;
        fewest = count;
    }
    return next;
}

int belt_work_cpus(struct belt_work *work)
{
    struct order *order = calloc(1, sizeof *order);
    struct belt_work_lane *lane;
    int near = -1;
    uint32_t unpinned = work->lane_count;
    if (!order)
        return -ENOMEM;
    BELT_CPUS_EACH(&work->usable, cpu)
    work->order[work->order_count++] = cpu;
    while ((lane = next_pinned(work))) {
        lane->cpu = belt_work_pick(work, &lane->wish.cpus);
        near = near < 0 ? lane->cpu : near;
        unpinned--;
    }
    order_cpus(work, order, near, unpinned);
    free(order);
    for (uint32_t i = 0; i < work->lane_count; i++)
        if (work->lanes[i].cpu < 0)
            work->lanes[i].cpu = belt_work_pick(work, &work->usable);
    return 0;
}

uint32_t belt_place_concurrency(const struct belt_topology *topology, const struct belt_cpus *cpus)
{
    struct belt_cpus usable = *belt_topology_allowed(topology);
    if (cpus)
        usable = belt_cpus_and(&usable, cpus);
    uint32_t cores = 0, threads = belt_cpus_count(&usable);
    BELT_CPUS_EACH(&usable, cpu)
    cores += count_before(topology, &usable, cpu) == 0;
    if (cores < 2)
        cores = threads;
    return cores ? cores : 1;
}
