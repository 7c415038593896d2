/* What became of a plan: where threads and pages really are. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/pipeline_priv.h"
#include "core/placement.h"
#include "core/plan_priv.h"
#include "core/telemetry_priv.h"
#include "numa/pin.h"

/* ---- threads --------------------------------------------------------------------- */

#define LOOK_NS 1000000000u /* a system call of a lane a second costs nothing */

int belt_lane_settle(struct belt_lane *lane)
{
    lane->tid = gettid();
    lane->look_due = lane->cpu >= 0 ? 0 : UINT64_MAX;
    if (lane->cpu < 0)
        return 0;
    belt_cpus_add(&lane->seen, lane->cpu);
    return belt_pin_thread(lane->cpu);
}

void belt_lane_look(struct belt_lane *lane, uint64_t now)
{
    struct belt_cpus cpus;
    char list[BELT_EVENT_TEXT];
    lane->look_due = now + LOOK_NS;
    if (belt_thread_cpus(0, &cpus) < 0 || memcmp(&cpus, &lane->seen, sizeof cpus) == 0)
        return;
    lane->seen = cpus;
    if (!lane->stages_used || !belt_wants(lane->stages[0], BELT_WANT(LANE_MOVED)))
        return;
    uint64_t values[] = { (uint64_t)lane->cpu, belt_cpus_count(&cpus) };
    belt_cpus_print(&cpus, list, sizeof list);
    belt_tell(lane->stages[0], BELT_EVENT_LANE_MOVED, values, list, strlen(list));
}

/* Where this lane may run, if that is not the CPU of the plan. */
static bool moved(const struct belt_lane *lane, struct belt_cpus *out)
{
    struct belt_cpus planned = { { 0 } };
    if (!lane->started || lane->cpu < 0)
        return false;
    /* Relaxed: one that is just leaving has its affinity, or no thread any more. */
    if (belt_load_relaxed32(&lane->reported) == BELT_BARRIER_GONE ||
        belt_thread_cpus(lane->tid, out) < 0)
        return false;
    belt_cpus_add(&planned, lane->cpu);
    return memcmp(out, &planned, sizeof planned) != 0;
}

uint32_t belt_pipeline_moved(struct belt_pipeline *p, char *out, size_t room)
{
    struct belt_engine_run *run = p->run;
    size_t used = 0;
    uint32_t count = 0;
    if (room)
        *out = 0;
    for (uint32_t l = 0; run && p->started && !p->joined && l < run->lanes_used; l++) {
        const struct belt_lane *lane = &run->lanes[l];
        struct belt_cpus cpus;
        char list[128];
        if (!moved(lane, &cpus))
            continue;
        belt_cpus_print(&cpus, list, sizeof list);
        count++;
        if (used < room)
            used += (size_t)snprintf(out + used, room - used,
                                     "lane %u may run on CPUs %s, not on %d alone: somebody else "
                                     "changed its affinity\n",
                                     l, list, lane->cpu);
    }
    return count;
}

/* ---- pages ----------------------------------------------------------------------- */

struct pages {
    uint64_t huge, all;         /* bytes */
    uint64_t nodes[BELT_CPUS];  /* pages of each node */
    uint64_t on_nodes, unknown; /* pages in all; unknown: the kernel does not say */
};

static bool overlaps(const struct belt_mem *mem, uint64_t from, uint64_t to)
{
    uint64_t base = (uint64_t)(uintptr_t)mem->base;
    return from < base + mem->size && base < to;
}

/* /proc/self/smaps: a head line for each mapping, then its counters. */
static void read_smaps(const struct belt_mem *region, struct pages *out)
{
    char line[512];
    bool ours = false;
    FILE *in = fopen("/proc/self/smaps", "re");
    while (in && fgets(line, sizeof line, in)) {
        unsigned long long from, to, kib;
        char name[64];
        if (sscanf(line, "%llx-%llx %*4s", &from, &to) == 2)
            ours = overlaps(region, from, to);
        else if (ours && sscanf(line, "%63[A-Za-z_]: %llu kB", name, &kib) == 2) {
            if (strcmp(name, "Rss") == 0 || strstr(name, "_Hugetlb"))
                out->all += kib * 1024;
            if (strcmp(name, "AnonHugePages") == 0 || strcmp(name, "ShmemPmdMapped") == 0 ||
                strstr(name, "_Hugetlb"))
                out->huge += kib * 1024;
        }
    }
    if (in)
        fclose(in);
}

/* /proc/self/numa_maps: "7f.. default anon=512 N0=256 N1=256 kernelpagesize_kB=4". */
static void read_nodes(const struct belt_mem *region, struct pages *out)
{
    char line[4096];
    FILE *in = fopen("/proc/self/numa_maps", "re");
    while (in && fgets(line, sizeof line, in)) {
        unsigned long long from, pages, kib = 4;
        const char *size = strstr(line, "kernelpagesize_kB=");
        int node;
        if (sscanf(line, "%llx ", &from) != 1 || !overlaps(region, from, from + 1))
            continue;
        if (size)
            sscanf(size, "kernelpagesize_kB=%llu", &kib);
        for (const char *at = line; (at = strstr(at, " N")); at += 2)
            if (sscanf(at, " N%d=%llu", &node, &pages) == 2 && node >= 0 && node < BELT_CPUS) {
                out->nodes[node] += pages * kib;
                out->on_nodes += pages * kib;
            }
    }
    if (in)
        fclose(in);
}

static void put_nodes(const struct pages *pages, char *out, size_t room)
{
    size_t used = 0;
    for (int node = 0; node < BELT_CPUS && used < room; node++)
        if (pages->nodes[node])
            used += (size_t)snprintf(out + used, room - used, ", %.0f %% of node %d",
                                     100.0 * (double)pages->nodes[node] / (double)pages->on_nodes,
                                     node);
}

static const char *isolation_of(const struct belt_pipeline *p)
{
    return p->spec->workers ? "steps in processes" : "threads";
}

size_t belt_pipeline_got(struct belt_pipeline *p, char *out, size_t room)
{
    struct pages pages = { 0 };
    char nodes[256] = "";
    if (room)
        *out = 0;
    if (!p->run || !p->started)
        return 0;
    read_smaps(&p->run->region, &pages);
    read_nodes(&p->run->region, &pages);
    put_nodes(&pages, nodes, sizeof nodes);
    const double mib = 1 << 20;
    return (size_t)snprintf(
        out, room, "%.1f of %.1f MiB touched, %.1f on huge pages%s; %s; wait %s; %s",
        (double)pages.all / mib, (double)p->run->region.size / mib, (double)pages.huge / mib, nodes,
        belt_pipeline_means(p), belt_plan_waits(p->plan), isolation_of(p));
}
