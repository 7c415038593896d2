/* Lanes that change places or move to free CPUs, and the plan that anybody would have made. */
#include <errno.h>
#include <stdlib.h>

#include "numa/place_priv.h"

/* Flows looked at in all: about 5 ms. A machine of up to 64 lanes is gone through
 * several times, of 512 lanes a part, which the regular filling left little to do. */
#define LOOKS (4u << 20)

static bool is_free(const struct belt_work *work, uint32_t lane)
{
    return work->lanes[lane].wish.by == BELT_NOBODY;
}

/* What two lanes that change places would save. */
static float saving(const struct belt_work *work, uint32_t a, uint32_t b)
{
    const struct belt_traffic *t = &work->traffic;
    const struct belt_ways *w = &work->ways;
    const float *flow_a = t->between + (size_t)a * t->lanes;
    const float *flow_b = t->between + (size_t)b * t->lanes;
    int cpu_a = work->lanes[a].cpu, cpu_b = work->lanes[b].cpu;
    const float *ns_a = w->ns + (size_t)w->slot[cpu_a] * w->slots;
    const float *ns_b = w->ns + (size_t)w->slot[cpu_b] * w->slots;
    float sum = 0;
    for (uint32_t c = 0; c < t->lanes; c++) {
        if (c == a || c == b)
            continue;
        int at = w->slot[work->lanes[c].cpu];
        sum += (flow_a[c] - flow_b[c]) * (ns_a[at] - ns_b[at]);
    }
    if (t->reads[a] != t->reads[b])
        sum += (t->reads[a] - t->reads[b]) *
               (float)(belt_work_read_ns(work, cpu_a) - belt_work_read_ns(work, cpu_b));
    return sum;
}

/* How much less work would be on slow cores. */
static int64_t faster(const struct belt_work *work, uint32_t a, uint32_t b)
{
    int64_t more = (int64_t)work->lanes[a].work - work->lanes[b].work;
    return more * ((int64_t)belt_work_slow(work, work->lanes[a].cpu) -
                   belt_work_slow(work, work->lanes[b].cpu));
}

static bool try_swap(struct belt_work *work, uint32_t a, uint32_t b)
{
    struct belt_work_lane *x = &work->lanes[a], *y = &work->lanes[b];
    if (x->cpu == y->cpu)
        return false;
    int64_t gain = faster(work, a, b);
    /* Below a thousandth of a line's way it is the rounding of floats. */
    if (gain < 0 || (gain == 0 && saving(work, a, b) <= 1e-3f * (float)work->traffic.total))
        return false;
    int cpu = x->cpu;
    x->cpu = y->cpu;
    y->cpu = cpu;
    return true;
}

/* What the lane would save on a CPU that none is on. */
static float saving_there(const struct belt_work *work, uint32_t lane, int cpu)
{
    const struct belt_traffic *t = &work->traffic;
    const struct belt_ways *w = &work->ways;
    const float *flow = t->between + (size_t)lane * t->lanes;
    int from = work->lanes[lane].cpu;
    const float *ns = w->ns + (size_t)w->slot[from] * w->slots;
    const float *there = w->ns + (size_t)w->slot[cpu] * w->slots;
    float sum = 0;
    for (uint32_t c = 0; c < t->lanes; c++) {
        int at = w->slot[work->lanes[c].cpu];
        if (c != lane)
            sum += flow[c] * (ns[at] - there[at]);
    }
    return sum +
           t->reads[lane] * (float)(belt_work_read_ns(work, from) - belt_work_read_ns(work, cpu));
}

/* As fast a CPU, on a core that no other lane is on. */
static bool is_open(const struct belt_work *work, uint32_t lane, int cpu)
{
    int core = belt_work_cpu(work, cpu)->core;
    if (belt_work_slow(work, cpu) > belt_work_slow(work, work->lanes[lane].cpu))
        return false;
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (work->lanes[l].cpu == cpu ||
            (l != lane && belt_work_cpu(work, work->lanes[l].cpu)->core == core))
            return false;
    return true;
}

static bool try_move(struct belt_work *work, uint32_t lane, uint64_t *looks)
{
    int best = -1;
    float most = 1e-3f * (float)work->traffic.total;
    BELT_CPUS_EACH(&work->usable, cpu)
    {
        if ((*looks += 2 * work->lane_count) > LOOKS)
            break;
        float saved = is_open(work, lane, cpu) ? saving_there(work, lane, cpu) : 0;
        if (saved > most) {
            most = saved;
            best = cpu;
        }
    }
    if (best >= 0)
        work->lanes[lane].cpu = best;
    return best >= 0;
}

static uint32_t swap_all(struct belt_work *work)
{
    uint32_t swaps = 0;
    uint64_t looks = 0;
    bool better = work->traffic.between != NULL;
    while (better) {
        better = false;
        for (uint32_t a = 0; a < work->lane_count; a++) {
            bool moved = is_free(work, a) && try_move(work, a, &looks);
            better |= moved;
            swaps += moved;
            for (uint32_t b = a + 1; is_free(work, a) && b < work->lane_count; b++) {
                if (!is_free(work, b))
                    continue;
                if ((looks += work->lane_count) > LOOKS)
                    return swaps;
                bool swapped = try_swap(work, a, b);
                better |= swapped;
                swaps += swapped;
            }
        }
    }
    return swaps;
}

static void say_cost(struct belt_work *work, uint32_t swaps)
{
    const struct belt_place_cost *costs[] = { &work->cost, &work->naive };
    static const char *const whose[] = { "this plan", "lanes on CPUs by number" };
    for (int i = 0; i < 2; i++)
        belt_work_say(work,
                      "%s: %u pairs of lanes share a CPU, %u a core, %u of work on slow cores, "
                      "%.0f ns for a cache line on its way",
                      whose[i], costs[i]->shared, costs[i]->siblings, costs[i]->slow, costs[i]->ns);
    if (swaps)
        belt_work_say(work, "%u times lanes changed places or moved to be nearer to what they read",
                      swaps);
}

int belt_work_improve(struct belt_work *work)
{
    belt_traffic_free(&work->traffic);
    int *cpus = calloc(work->lane_count + 1, sizeof *cpus);
    int rc = cpus ? belt_traffic_new(&work->traffic, work) : -ENOMEM;
    if (rc < 0) {
        free(cpus);
        return rc;
    }
    uint32_t swaps = swap_all(work);
    for (uint32_t l = 0; l < work->lane_count; l++)
        cpus[l] = work->lanes[l].cpu;
    work->cost = belt_work_cost(work, &work->traffic, cpus);
    belt_work_naive(work, cpus);
    work->naive = belt_work_cost(work, &work->traffic, cpus);
    if (belt_place_compare(&work->naive, &work->cost) < 0) {
        work->cost = work->naive;
        for (uint32_t l = 0; l < work->lane_count; l++)
            work->lanes[l].cpu = cpus[l];
    }
    free(cpus);
    say_cost(work, swaps);
    return 0;
}
