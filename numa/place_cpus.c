/* Lanes to CPUs: whole chains near each other, one core each as long as there are cores. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place_priv.h"

#define CORES (2 * BELT_CPUS) /* numbers of cores are below */
#define STARTS 16             /* nodes that are tried as the first one */

/* ---- the order of CPUs ---------------------------------------------------------------- */

/* CPUs that share something: a node or an L3 cache. */
struct group {
    int id;
    uint32_t cores, distance; /* of a node: from the first one */
    bool near, fits;          /* holds a pinned lane; all other lanes get a core in it */
};

struct groups {
    struct group at[BELT_CPUS];
    uint32_t count;
};

struct candidate {
    int cpu, core;
    uint32_t pass; /* usable CPUs of the same core before it */
    uint32_t slow, node, l3;
};

struct fill {
    struct groups nodes, l3s;
    struct candidate cpus[BELT_CPUS]; /* the best first */
    uint32_t count;
    uint32_t load[BELT_CPUS], core_load[CORES]; /* lanes there */
    int *lanes;                                 /* the CPU of each, -1: none yet */
    uint32_t *order;                            /* lanes without a CPU, strand by strand */
    uint32_t order_count;
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
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
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
        (int64_t)a->pass - b->pass, (int64_t)a->slow - b->slow, (int64_t)a->node - b->node,
        (int64_t)a->l3 - b->l3,     (int64_t)a->core - b->core, (int64_t)a->cpu - b->cpu,
    };
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
        if (differ[i])
            return differ[i] < 0 ? -1 : 1;
    return 0;
}

static void sort_groups(struct groups *groups, uint32_t lanes)
{
    for (uint32_t i = 0; i < groups->count; i++)
        groups->at[i].fits = groups->at[i].cores >= lanes;
    qsort(groups->at, groups->count, sizeof *groups->at, compare_groups);
}

/* Usable CPUs and the groups that they are in; the same for every start. */
static void list_cpus(const struct belt_work *work, struct fill *f, int near)
{
    uint32_t before[CORES] = { 0 };
    BELT_CPUS_EACH(&work->usable, cpu)
    {
        const struct belt_cpu *at = belt_work_cpu(work, cpu);
        uint32_t pass = before[at->core % CORES]++;
        struct group *node = group_of(&f->nodes, at->node), *l3 = group_of(&f->l3s, at->l3);
        f->cpus[f->count++] = (struct candidate){
            .cpu = cpu,
            .core = at->core,
            .pass = work->in->smt == BELT_SMT_ON ? 0 : pass,
            .slow = belt_work_slow(work, cpu),
        };
        node->cores += pass == 0;
        l3->cores += pass == 0;
        l3->near |= cpu == near;
    }
}

/* Begins at this node, goes on with those next to it. */
static void order_cpus(const struct belt_work *work, struct fill *f, int start)
{
    for (uint32_t i = 0; i < f->nodes.count; i++) {
        struct group *node = &f->nodes.at[i];
        node->distance =
            node->id == start ? 0 : 1 + belt_topology_distance(work->in->topology, start, node->id);
    }
    sort_groups(&f->nodes, f->order_count);
    sort_groups(&f->l3s, f->order_count);
    for (uint32_t i = 0; i < f->count; i++) {
        struct candidate *c = &f->cpus[i];
        const struct belt_cpu *at = belt_work_cpu(work, c->cpu);
        c->node = (uint32_t)(group_of(&f->nodes, at->node) - f->nodes.at);
        c->l3 = (uint32_t)(group_of(&f->l3s, at->l3) - f->l3s.at);
    }
    qsort(f->cpus, f->count, sizeof *f->cpus, compare_candidates);
}

/* ---- filling --------------------------------------------------------------------------- */

static void load_cpu(const struct belt_work *work, struct fill *f, int cpu)
{
    f->load[cpu]++;
    f->core_load[belt_work_cpu(work, cpu)->core % CORES]++;
}

/* Fewer is better: lanes on it first, then lanes on its core's other threads. */
static uint32_t rank_of(const struct belt_work *work, const struct fill *f, int cpu)
{
    uint32_t others = f->core_load[belt_work_cpu(work, cpu)->core % CORES] - f->load[cpu];
    others = others > 7 ? 7 : others;
    return f->load[cpu] * 8 + (work->in->smt == BELT_SMT_ON ? 0 : others);
}

/* Candidates [from, to) that are in one group as far as `l3` or the node says. */
static bool together(const struct candidate *a, const struct candidate *b, bool l3)
{
    return a->pass == b->pass && a->slow == b->slow && a->node == b->node &&
           (!l3 || a->l3 == b->l3);
}

/* The first group that has `count` CPUs as free as the freest; false: none has. */
static bool find_group(const struct belt_work *work, const struct fill *f, uint32_t count, bool l3,
                       uint32_t *from, uint32_t *to)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t rank = rank_of(work, f, f->cpus[i].cpu);
        least = rank < least ? rank : least;
    }
    for (uint32_t i = 0, free; i < f->count; i = *to) {
        free = 0;
        *from = i;
        for (*to = i; *to < f->count && together(&f->cpus[i], &f->cpus[*to], l3); ++*to)
            free += rank_of(work, f, f->cpus[*to].cpu) == least;
        if (free >= count)
            return true;
    }
    return false;
}

static int freest(const struct belt_work *work, const struct fill *f, uint32_t from, uint32_t to)
{
    int best = -1;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = from; i < to; i++) {
        uint32_t rank = rank_of(work, f, f->cpus[i].cpu);
        if (rank < least) {
            least = rank;
            best = f->cpus[i].cpu;
        }
    }
    return best;
}

/* A whole chain at a time: into one L3 if it fits, else into one node. */
static void fill_strands(const struct belt_work *work, struct fill *f)
{
    for (uint32_t i = 0, end; i < f->order_count; i = end) {
        uint32_t strand = work->lanes[f->order[i]].strand, from = 0, to = f->count;
        for (end = i + 1; end < f->order_count && strand != BELT_NOBODY; end++)
            if (work->lanes[f->order[end]].strand != strand)
                break;
        if (end - i > 1 && !find_group(work, f, end - i, true, &from, &to) &&
            !find_group(work, f, end - i, false, &from, &to)) {
            from = 0;
            to = f->count;
        }
        for (uint32_t l = i; l < end; l++) {
            int cpu = freest(work, f, from, to);
            f->lanes[f->order[l]] = cpu;
            load_cpu(work, f, cpu);
        }
    }
}

/* ---- pins -------------------------------------------------------------------------- */

static int pick_of(const struct belt_work *work, const struct fill *f, const struct belt_cpus *cpus)
{
    int best = -1;
    BELT_CPUS_EACH(cpus, cpu)
    if (best < 0 || rank_of(work, f, cpu) < rank_of(work, f, best))
        best = cpu;
    return best;
}

/* The pinned lane with the fewest CPUs to choose from that has none yet. */
static struct belt_work_lane *next_pinned(struct belt_work *work)
{
    struct belt_work_lane *next = NULL;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < work->lane_count; i++) {
        struct belt_work_lane *lane = &work->lanes[i];
        if (lane->wish.by == BELT_NOBODY || lane->cpu >= 0)
            continue;
        uint32_t count = belt_cpus_count(&lane->wish.cpus);
        if (count >= fewest)
            continue;
        next = lane;
        fewest = count;
    }
    return next;
}

/* Sets their CPUs; one of them, or -1. */
static int place_pinned(struct belt_work *work, struct fill *f)
{
    struct belt_work_lane *lane;
    int near = -1;
    while ((lane = next_pinned(work))) {
        lane->cpu = pick_of(work, f, &lane->wish.cpus);
        near = near < 0 ? lane->cpu : near;
        load_cpu(work, f, lane->cpu);
    }
    return near;
}

int belt_work_pick(const struct belt_work *work, const struct belt_cpus *cpus)
{
    struct fill *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (work->lanes[l].cpu >= 0)
            load_cpu(work, f, work->lanes[l].cpu);
    int cpu = pick_of(work, f, cpus);
    free(f);
    return cpu;
}

/* ---- choosing ---------------------------------------------------------------------- */

static int compare_strands(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Strand by strand, those without one last; within one as they were made. */
static int list_lanes(const struct belt_work *work, struct fill *f)
{
    uint64_t *keys = calloc(work->lane_count, sizeof *keys);
    f->lanes = calloc(work->lane_count, sizeof *f->lanes);
    f->order = calloc(work->lane_count, sizeof *f->order);
    if (!keys || !f->lanes || !f->order) {
        free(keys);
        return -ENOMEM;
    }
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (work->lanes[l].cpu < 0)
            keys[f->order_count++] = (uint64_t)work->lanes[l].strand << 32 | l;
    qsort(keys, f->order_count, sizeof *keys, compare_strands);
    for (uint32_t i = 0; i < f->order_count; i++)
        f->order[i] = (uint32_t)keys[i];
    free(keys);
    return 0;
}

void belt_work_naive(const struct belt_work *work, int *cpus)
{
    uint32_t load[BELT_CPUS] = { 0 };
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (work->lanes[l].wish.by != BELT_NOBODY)
            load[cpus[l] = work->lanes[l].cpu]++;
    for (uint32_t l = 0; l < work->lane_count; l++) {
        int best = -1;
        if (work->lanes[l].wish.by != BELT_NOBODY)
            continue;
        BELT_CPUS_EACH(&work->usable, cpu)
        if (best < 0 || load[cpu] < load[best])
            best = cpu;
        load[cpus[l] = best]++;
    }
}

/* Nodes to begin at: where a pinned lane is; else the device's, then the others. */
static uint32_t list_starts(const struct belt_work *work, struct fill *f, int near, int *starts)
{
    uint32_t count = 0;
    if (near >= 0) {
        starts[count++] = belt_work_cpu(work, near)->node;
        return count;
    }
    sort_groups(&f->nodes, f->order_count);
    for (uint32_t i = 0; work->in->device_known && i < f->nodes.count; i++)
        if (f->nodes.at[i].id == work->in->device_node)
            starts[count++] = work->in->device_node;
    uint32_t most = work->lane_count > BELT_CPUS ? 1 : STARTS;
    for (uint32_t i = 0; i < f->nodes.count && count < most; i++)
        if (!count || f->nodes.at[i].id != starts[0])
            starts[count++] = f->nodes.at[i].id;
    return count;
}

/* From each start; the cheapest, the first of several. */
static void choose(struct belt_work *work, struct fill *f, int near,
                   const struct belt_traffic *traffic)
{
    int starts[STARTS + 1];
    struct fill before = *f;
    uint32_t count = list_starts(work, &before, near, starts);
    struct belt_place_cost best = { 0 };
    for (uint32_t s = 0; s < count; s++) {
        *f = before;
        for (uint32_t l = 0; l < work->lane_count; l++)
            f->lanes[l] = work->lanes[l].wish.by == BELT_NOBODY ? -1 : work->lanes[l].cpu;
        order_cpus(work, f, starts[s]);
        fill_strands(work, f);
        struct belt_place_cost cost = belt_work_cost(work, traffic, f->lanes);
        if (s && belt_place_compare(&cost, &best) >= 0)
            continue;
        best = cost;
        for (uint32_t l = 0; l < work->lane_count; l++)
            if (work->lanes[l].wish.by == BELT_NOBODY)
                work->lanes[l].cpu = f->lanes[l];
    }
}

int belt_work_cpus(struct belt_work *work)
{
    struct fill *f = calloc(1, sizeof *f);
    struct belt_traffic traffic = { 0 };
    int rc = f ? belt_traffic_new(&traffic, work) : -ENOMEM;
    if (rc == 0) {
        int near = place_pinned(work, f);
        rc = list_lanes(work, f);
        if (rc == 0) {
            list_cpus(work, f, near);
            choose(work, f, near, &traffic);
        }
    }
    if (f) {
        free(f->lanes);
        free(f->order);
    }
    free(f);
    belt_traffic_free(&traffic);
    return rc;
}
