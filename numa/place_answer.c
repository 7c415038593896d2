/* The answer: lanes with their items, their memory, how they wait, and why. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place_priv.h"

static const char *const waits[] = { "backoff", "spin", "yield", "block" };

/* What the caller gets, and what only this file looks at behind it. */
struct answer {
    struct belt_place place;
    uint32_t stages;
    uint32_t *first;   /* [stages + 1]: of lane_of */
    uint32_t *lane_of; /* [items] */
};

static void note(struct belt_place *place, const char *text)
{
    size_t used = strlen(place->notes);
    snprintf(place->notes + used, sizeof place->notes - used, "%s\n", text);
}

/* ---- memory ------------------------------------------------------------------------- */

static int check_memory(struct belt_work *work)
{
    const struct belt_topology *topology = work->in->topology;
    const struct belt_memory_node *node, *found = NULL;
    char list[128] = "";
    size_t used = 0;
    if (!work->in->memory_by_hand)
        return 0;
    for (uint32_t i = 0; (node = belt_topology_node(topology, i)); i++) {
        found = node->number == work->in->memory_node ? node : found;
        if (node->allowed && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? "," : "",
                                     node->number);
    }
    int wanted = work->in->memory_node;
    if (!found)
        return belt_work_refuse(work, "memory_node: this machine has no node %d; there are %s",
                                wanted, list);
    if (!found->allowed)
        return belt_work_refuse(work,
                                "memory_node: the cgroup (cpuset.mems) does not let this process "
                                "use node %d; allowed: %s",
                                wanted, list);
    int other = belt_topology_memory(topology, wanted);
    if (!found->bytes && other != wanted)
        return belt_work_refuse(work, "memory_node: node %d has no memory; the nearest is node %d",
                                wanted, other);
    return 0;
}

static int memory_of(const struct belt_work *work, int node)
{
    return work->in->memory_by_hand ? work->in->memory_node
                                    : belt_topology_memory(work->in->topology, node);
}

/* ---- waiting ------------------------------------------------------------------------ */

static uint32_t most_shared(const struct belt_work *work, uint32_t *load)
{
    uint32_t most = 0;
    for (uint32_t l = 0; l < work->lane_count; l++) {
        uint32_t *at = &load[work->lanes[l].cpu];
        most = ++*at > most ? *at : most;
    }
    return most;
}

static bool asked_to_spin(const struct belt_work *work)
{
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (work->lanes[l].wait.by != BELT_NOBODY && work->lanes[l].wait.wait == BELT_WAIT_SPIN)
            return true;
    return work->in->wait_by_hand && work->in->wait == BELT_WAIT_SPIN;
}

/* Two that spin on one CPU wait for each other's time slices. */
static int check_wait(struct belt_work *work, struct belt_place *place)
{
    uint32_t load[BELT_CPUS] = { 0 }, shared = 0;
    uint32_t most = most_shared(work, load), quota = belt_topology_quota(work->in->topology);
    char list[64], text[256];
    place->wait = work->in->wait;
    for (uint32_t l = 0; l < work->lane_count; l++) {
        const struct belt_work_lane *lane = &work->lanes[l];
        enum belt_wait *wait = &place->lanes[l].wait;
        *wait = lane->wait.by == BELT_NOBODY ? work->in->wait : lane->wait.wait;
        if (*wait != BELT_WAIT_SPIN || load[lane->cpu] < 2)
            continue;
        *wait = BELT_WAIT_BACKOFF;
        shared++;
    }
    if (quota && asked_to_spin(work) && quota < work->lane_count * 1000) {
        snprintf(text, sizeof text,
                 "wait: spin uses up the %u.%02u CPUs that the cgroup allows: lanes will be "
                 "stopped now and then; backoff does not",
                 quota / 1000, quota % 1000 / 10);
        note(place, text);
    }
    if (!shared)
        return 0;
    if (asked_to_spin(work)) {
        belt_cpus_print(&work->usable, list, sizeof list);
        return belt_work_refuse(work,
                                "wait: spin wants a CPU for each lane, but up to %u of the %u "
                                "lanes share one of CPUs %s: %s, or wait: backoff",
                                most, work->lane_count, list,
                                work->in->pin_count ? "pin them apart"
                                                    : "more CPUs, fewer lanes (lanes: N)");
    }
    place->wait = BELT_WAIT_BACKOFF;
    return 0;
}

/* ---- reasons ------------------------------------------------------------------------- */

static void say_nodes(struct belt_work *work, const struct belt_place *place)
{
    const struct belt_topology *topology = work->in->topology;
    const struct belt_memory_node *node;
    uint32_t used = 0;
    if (belt_topology_nodes(topology) < 2)
        return;
    for (uint32_t i = 0; (node = belt_topology_node(topology, i)); i++) {
        uint32_t lanes = 0;
        for (uint32_t l = 0; l < place->lane_count; l++)
            lanes += place->lanes[l].node == node->number;
        used += lanes > 0;
        if (lanes)
            belt_work_say(work, "node %d: %u lanes", node->number, lanes);
        if (!node->cpus)
            belt_work_say(work, "node %d has memory, but no CPU: only memory_node uses it",
                          node->number);
    }
    belt_work_say(work, used > 1 ? "more lanes than one node has CPUs: whole chains on each"
                                 : "all lanes fit on one node: nothing crosses");
    if (work->in->device_known)
        belt_work_say(work, "what is read lies on a device of node %d", work->in->device_node);
}

static void say_lane(struct belt_work *work, const struct belt_place *place, uint32_t l)
{
    const struct belt_place_lane *lane = &place->lanes[l];
    char word[64], memory[96] = "";
    belt_topology_word(work->in->topology, lane->cpu, word, sizeof word);
    if (work->in->memory_by_hand)
        snprintf(memory, sizeof memory, ", memory of node %d, as told", lane->memory);
    else if (lane->memory != lane->node)
        snprintf(memory, sizeof memory, ", memory of node %d, the nearest that has any",
                 lane->memory);
    belt_work_say(work, "lane %u on CPU %d (%s): %s%s, wait %s%s", l, lane->cpu, word,
                  lane->pinned     ? "pinned by hand"
                  : lane->blocking ? "a stage that blocks"
                                   : "as near to the others as there is a free one",
                  memory, waits[lane->wait],
                  work->lanes[l].wait.by != BELT_NOBODY ? ", as told" : "");
}

/* ---- the block ------------------------------------------------------------------------- */

static void fill_lanes(const struct belt_work *work, struct answer *a,
                       struct belt_place_item *items)
{
    struct belt_place *place = &a->place;
    uint32_t at = 0;
    for (uint32_t i = 0; i < work->item_count; i++) {
        a->lane_of[i] = work->items[i].lane;
        place->lanes[a->lane_of[i]].item_count++;
    }
    for (uint32_t l = 0; l < work->lane_count; l++) {
        const struct belt_work_lane *from = &work->lanes[l];
        struct belt_place_lane *to = &place->lanes[l];
        to->cpu = from->cpu;
        to->node = belt_work_cpu(work, from->cpu)->node;
        to->memory = memory_of(work, to->node);
        to->pinned = from->wish.by != BELT_NOBODY;
        to->blocking = from->blocking;
        to->items = items + at;
        at += to->item_count;
        to->item_count = 0;
    }
    /* Sinks first: what leaves makes room for what comes. */
    for (uint32_t s = work->in->stage_count; s-- > 0;) {
        a->first[s] = work->first[s];
        for (uint32_t i = 0; i < work->in->stages[s].instances; i++) {
            struct belt_place_lane *to = &place->lanes[a->lane_of[work->first[s] + i]];
            items[to->items - items + to->item_count++] = (struct belt_place_item){ s, i };
        }
    }
}

/* One block: the place, its lanes, their items. */
static struct answer *new_answer(const struct belt_work *work)
{
    size_t lanes = work->lane_count * sizeof(struct belt_place_lane);
    size_t items = work->item_count * sizeof(struct belt_place_item);
    size_t numbers = (work->in->stage_count + 1 + work->item_count) * sizeof(uint32_t);
    struct answer *a = calloc(1, sizeof *a + lanes + items + numbers);
    if (!a)
        return NULL;
    a->place.lanes = (struct belt_place_lane *)(a + 1);
    a->place.lane_count = work->lane_count;
    a->place.cost = work->cost;
    a->place.naive = work->naive;
    struct belt_place_item *first = (struct belt_place_item *)(a->place.lanes + work->lane_count);
    a->stages = work->in->stage_count;
    a->first = (uint32_t *)(first + work->item_count);
    a->lane_of = a->first + a->stages + 1;
    fill_lanes(work, a, first);
    a->first[a->stages] = work->item_count;
    return a;
}

int belt_work_answer(struct belt_work *work, struct belt_place **out)
{
    int rc = check_memory(work);
    if (rc < 0)
        return rc;
    struct answer *a = new_answer(work);
    if (!a)
        return -ENOMEM;
    struct belt_place *place = &a->place;
    uint32_t most = work->in->lanes, wanted = 0;
    for (uint32_t i = 0; i < work->item_count; i++)
        wanted += work->items[i].leader == i && !belt_work_stage(work, i)->blocking;
    if (work->in->fuse != BELT_FUSE_AUTO && most && most < wanted) {
        char text[120];
        snprintf(text, sizeof text,
                 "fuse: %s wants %u lanes, only %u are allowed: some stages share one",
                 work->in->fuse == BELT_FUSE_NONE ? "none" : "by hand", wanted, most);
        note(place, text);
    }
    rc = check_wait(work, place);
    if (rc == 0) {
        say_nodes(work, place);
        for (uint32_t l = 0; l < place->lane_count; l++)
            say_lane(work, place, l);
        rc = work->reasons.failed ? -ENOMEM : 0;
    }
    if (rc < 0) {
        free(a);
        return rc;
    }
    place->reasons = work->reasons.text;
    work->reasons.text = NULL;
    *out = place;
    return 0;
}

void belt_place_free(struct belt_place *place)
{
    if (place)
        free((char *)(uintptr_t)place->reasons);
    free(place);
}

static const struct answer *answer_of(const struct belt_place *place)
{
    return (const struct answer *)(const void *)place;
}

uint32_t belt_place_lane_of(const struct belt_place *place, uint32_t stage, uint32_t instance)
{
    const struct answer *a = answer_of(place);
    if (stage >= a->stages || instance >= a->first[stage + 1] - a->first[stage])
        return BELT_NOBODY;
    return a->lane_of[a->first[stage] + instance];
}

/* ---- other CPUs for the same lanes --------------------------------------------------------- */

int belt_place_cost_of(const struct belt_place *place, const struct belt_place_in *in,
                       const int *cpus, struct belt_place_cost *out)
{
    const struct answer *a = answer_of(place);
    struct belt_work *work = calloc(1, sizeof *work);
    uint32_t count = a->first[a->stages];
    if (!work)
        return -ENOMEM;
    work->in = in;
    work->usable = work->reachable = *belt_topology_known(in->topology);
    work->first = a->first;
    work->item_count = count;
    work->lane_count = place->lane_count;
    work->items = calloc(count, sizeof *work->items);
    work->lanes = calloc(place->lane_count, sizeof *work->lanes);
    int rc = work->items && work->lanes ? belt_ways_new(work) : -ENOMEM;
    for (uint32_t s = 0, i = 0; rc == 0 && s < a->stages; s++)
        for (uint32_t n = 0; n < in->stages[s].instances; n++, i++) {
            work->items[i] =
                (struct belt_work_item){ .stage = s, .instance = n, .lane = a->lane_of[i] };
            work->lanes[a->lane_of[i]].work += in->stages[s].work ? in->stages[s].work : 1;
        }
    if (rc == 0)
        rc = belt_traffic_new(&work->traffic, work);
    if (rc == 0)
        *out = belt_work_cost(work, &work->traffic, cpus);
    belt_traffic_free(&work->traffic);
    free(work->ways.ns);
    free(work->items);
    free(work->lanes);
    free(work);
    return rc;
}
