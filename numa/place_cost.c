/* What a plan costs: CPUs shared, siblings, slow cores, and the ways of the data. */
#include <errno.h>
#include <stdlib.h>

#include "numa/place_priv.h"

/* A cache line from one core to another, ns: what is usual, until somebody has measured
 * (belt_place_in.measured). Nodes by the firmware's distance: 10 is the node itself. */
#define NS_CORE 10
#define NS_L2 20
#define NS_L3 40
#define NS_NODE 100
#define NS_DISTANCE 10 /* for each unit: 21 is 210 ns */

static double usual_ns(const struct belt_place_in *in, int from, int to)
{
    const struct belt_cpu *a = belt_topology_cpu(in->topology, from);
    const struct belt_cpu *b = belt_topology_cpu(in->topology, to);
    if (from == to)
        return 0;
    if (a->core == b->core)
        return NS_CORE;
    if (a->l2 >= 0 && a->l2 == b->l2)
        return NS_L2;
    if (a->l3 >= 0 && a->l3 == b->l3)
        return NS_L3;
    if (a->node == b->node)
        return NS_NODE;
    double far = NS_DISTANCE * (double)belt_topology_distance(in->topology, a->node, b->node);
    return far > NS_NODE ? far : NS_NODE;
}

/* Both ways: what was asked for one way is answered the other. */
static void use_measured(struct belt_ways *w, const struct belt_place_measured *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            int a = m->cpus[i], b = m->cpus[j];
            if (a < 0 || a >= BELT_CPUS || b < 0 || b >= BELT_CPUS || a == b || w->slot[a] < 0 ||
                w->slot[b] < 0)
                continue;
            float ns = (m->ns[i * m->count + j] + m->ns[j * m->count + i]) / 2;
            w->ns[(uint32_t)w->slot[a] * w->slots + (uint32_t)w->slot[b]] = ns;
            w->ns[(uint32_t)w->slot[b] * w->slots + (uint32_t)w->slot[a]] = ns;
        }
}

int belt_ways_new(struct belt_work *work)
{
    struct belt_ways *w = &work->ways;
    int cpus[BELT_CPUS];
    w->slots = 0;
    for (int cpu = 0; cpu < BELT_CPUS; cpu++) {
        bool in = belt_cpus_has(&work->reachable, cpu) || belt_cpus_has(&work->usable, cpu);
        w->slot[cpu] = (int16_t)(in ? (int)w->slots : -1);
        if (in)
            cpus[w->slots++] = cpu;
    }
    w->ns = calloc((size_t)w->slots * w->slots, sizeof *w->ns);
    if (!w->ns)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->slots; i++)
        for (uint32_t j = 0; j < w->slots; j++)
            w->ns[i * w->slots + j] = (float)usual_ns(work->in, cpus[i], cpus[j]);
    if (work->in->measured)
        use_measured(w, work->in->measured);
    return 0;
}

double belt_work_read_ns(const struct belt_work *work, int cpu)
{
    return NS_DISTANCE * (double)belt_topology_distance(work->in->topology,
                                                        belt_work_cpu(work, cpu)->node,
                                                        work->in->device_node);
}

/* ---- between lanes ----------------------------------------------------------------- */

static void add_flow(struct belt_traffic *t, const struct belt_work *work, uint32_t from,
                     uint32_t to, double lines)
{
    uint32_t a = work->items[from].lane, b = work->items[to].lane;
    if (a == BELT_NOBODY || b == BELT_NOBODY)
        return;
    t->total += lines;
    if (a == b)
        return;
    t->between[(size_t)a * t->lanes + b] += (float)lines;
    t->between[(size_t)b * t->lanes + a] += (float)lines;
}

static void add_edge(struct belt_traffic *t, const struct belt_work *work,
                     const struct belt_place_edge *edge)
{
    uint32_t from = work->in->stages[edge->from].instances;
    uint32_t to = work->in->stages[edge->to].instances;
    for (uint32_t i = 0; i < from; i++) {
        uint32_t at = work->first[edge->from] + i;
        if (!edge->each) {
            add_flow(t, work, at, work->first[edge->to] + i % to, edge->weight);
            continue;
        }
        for (uint32_t j = 0; j < to; j++)
            add_flow(t, work, at, work->first[edge->to] + j, (double)edge->weight / to);
    }
}

static void add_reads(struct belt_traffic *t, const struct belt_work *work)
{
    const double lines = 64; /* what a source reads, beside what its edges weigh */
    for (uint32_t i = 0; work->in->device_known && i < work->item_count; i++) {
        if (!belt_work_stage(work, i)->reads || work->items[i].lane == BELT_NOBODY)
            continue;
        t->reads[work->items[i].lane] += (float)lines;
        t->total += lines;
    }
}

int belt_traffic_new(struct belt_traffic *out, const struct belt_work *work)
{
    struct belt_traffic t = { .lanes = work->lane_count };
    /* So many lanes share CPUs by the dozen: which of them talk does not matter any more. */
    if (t.lanes > BELT_CPUS) {
        *out = t;
        return 0;
    }
    t.between = calloc((size_t)t.lanes * t.lanes + t.lanes, sizeof *t.between);
    if (!t.between)
        return -ENOMEM;
    t.reads = t.between + (size_t)t.lanes * t.lanes;
    for (uint32_t e = 0; e < work->in->edge_count; e++)
        add_edge(&t, work, &work->in->edges[e]);
    add_reads(&t, work);
    *out = t;
    return 0;
}

void belt_traffic_free(struct belt_traffic *traffic)
{
    free(traffic->between);
    *traffic = (struct belt_traffic){ 0 };
}

/* ---- the sum ------------------------------------------------------------------------ */

static double flow_ns(const struct belt_work *work, const struct belt_traffic *t, const int *cpus)
{
    double sum = 0;
    for (uint32_t a = 0; t->between && a < t->lanes; a++) {
        const float *row = t->between + (size_t)a * t->lanes;
        if (cpus[a] < 0)
            continue;
        if (t->reads[a] > 0)
            sum += (double)t->reads[a] * belt_work_read_ns(work, cpus[a]);
        for (uint32_t b = a + 1; b < t->lanes; b++)
            if (row[b] > 0 && cpus[b] >= 0)
                sum += (double)row[b] * (double)belt_work_ns(work, cpus[a], cpus[b]);
    }
    return t->total > 0 ? sum / t->total : 0;
}

struct belt_place_cost belt_work_cost(const struct belt_work *work,
                                      const struct belt_traffic *traffic, const int *cpus)
{
    struct belt_place_cost cost = { 0 };
    uint32_t on_cpu[BELT_CPUS] = { 0 }, on_core[2 * BELT_CPUS] = { 0 };
    for (uint32_t l = 0; l < work->lane_count; l++) {
        if (cpus[l] < 0)
            continue;
        const struct belt_cpu *at = belt_work_cpu(work, cpus[l]);
        uint32_t *core = &on_core[at->core % (2 * BELT_CPUS)], *cpu = &on_cpu[cpus[l]];
        cost.shared += *cpu;
        cost.siblings += *core - *cpu;
        cost.slow += work->lanes[l].work * belt_work_slow(work, cpus[l]);
        ++*cpu;
        ++*core;
    }
    cost.ns = flow_ns(work, traffic, cpus);
    return cost;
}

int belt_place_compare(const struct belt_place_cost *a, const struct belt_place_cost *b)
{
    const int64_t differ[] = {
        (int64_t)a->shared - b->shared,
        (int64_t)a->siblings - b->siblings,
        (int64_t)a->slow - b->slow,
    };
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
        if (differ[i])
            return differ[i] < 0 ? -1 : 1;
    /* What a sum of floats in another order may differ by is no difference. */
    double most = a->ns > b->ns ? a->ns : b->ns;
    if (a->ns - b->ns <= 1e-6 * most && b->ns - a->ns <= 1e-6 * most)
        return 0;
    return a->ns < b->ns ? -1 : 1;
}
