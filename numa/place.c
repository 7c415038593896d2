/* Stages to lanes. */
#include "numa/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place_priv.h"

/* ---- items and their wishes ---------------------------------------------------- */

static const struct belt_place_stage *stage_of(const struct belt_work *work, uint32_t item)
{
    return &work->in->stages[work->items[item].stage];
}

static int refuse_stages(struct belt_work *work)
{
    const struct belt_place_in *in = work->in;
    for (uint32_t s = 0; s < in->stage_count; s++) {
        if (!in->stages[s].instances) {
            snprintf(work->why, work->room, "%s: no instances", in->stages[s].name);
            return -EINVAL;
        }
        work->item_count += in->stages[s].instances;
    }
    if (work->item_count)
        return 0;
    snprintf(work->why, work->room, "no stages");
    return -EINVAL;
}

/* With which earlier item it shares a lane whatever happens. */
static uint32_t leader_of(const struct belt_work *work, uint32_t item)
{
    const struct belt_place_stage *stage = stage_of(work, item);
    if (work->in->fuse == BELT_FUSE_NONE || !stage->chain || stage->blocking)
        return item;
    for (uint32_t i = 0; i < item; i++)
        if (stage_of(work, i)->chain == stage->chain && !stage_of(work, i)->blocking &&
            work->items[i].instance == work->items[item].instance)
            return i;
    return item;
}

static void list_items(struct belt_work *work)
{
    uint32_t item = 0;
    for (uint32_t s = 0; s < work->in->stage_count; s++)
        for (uint32_t i = 0; i < work->in->stages[s].instances; i++, item++) {
            struct belt_work_item *at = &work->items[item];
            at->stage = s;
            at->instance = i;
            at->wish.by = BELT_NOBODY;
            at->leader = leader_of(work, item);
            at->light = work->in->stages[s].light;
            work->items[at->leader].light &= at->light;
        }
}

static int refuse_apart(struct belt_work *work, const struct belt_wish *a,
                        const struct belt_wish *b)
{
    char lists[2][64];
    belt_cpus_print(&a->cpus, lists[0], sizeof lists[0]);
    belt_cpus_print(&b->cpus, lists[1], sizeof lists[1]);
    snprintf(work->why, work->room,
             "pin: %s.%u and %s.%u share a lane but are pinned to %s and "
             "%s: pin both to one CPU, or take them apart (fuse: none%s)",
             stage_of(work, a->by)->name, work->items[a->by].instance, stage_of(work, b->by)->name,
             work->items[b->by].instance, lists[0], lists[1],
             work->in->lanes ? ", more lanes" : "");
    return -EINVAL;
}

/* Both wishes at once, or -EINVAL. */
static int narrow(struct belt_work *work, struct belt_wish *wish, const struct belt_wish *more)
{
    if (more->by == BELT_NOBODY)
        return 0;
    if (wish->by == BELT_NOBODY) {
        *wish = *more;
        return 0;
    }
    struct belt_cpus both = belt_cpus_and(&wish->cpus, &more->cpus);
    if (belt_cpus_next(&both, 0) < 0)
        return refuse_apart(work, wish, more);
    wish->cpus = both;
    return 0;
}

/* Of a pin for all instances, number `instance` gets the CPU of that number. */
static struct belt_cpus share_of(const struct belt_place_pin *pin, uint32_t instance)
{
    if (pin->instance != BELT_PLACE_EVERY)
        return pin->cpus;
    struct belt_cpus one = { { 0 } };
    int cpu = belt_cpus_next(&pin->cpus, 0);
    for (uint32_t skip = instance % belt_cpus_count(&pin->cpus); skip; skip--)
        cpu = belt_cpus_next(&pin->cpus, cpu + 1);
    belt_cpus_add(&one, cpu);
    return one;
}

static int read_pin(struct belt_work *work, const struct belt_place_pin *pin)
{
    uint32_t instances = 0;
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct belt_work_item *item = &work->items[i];
        if (strcmp(stage_of(work, i)->name, pin->stage) != 0)
            continue;
        instances++;
        if (pin->instance != BELT_PLACE_EVERY && pin->instance != item->instance)
            continue;
        struct belt_wish wish = { share_of(pin, item->instance), i };
        int rc = narrow(work, &work->items[item->leader].wish, &wish);
        if (rc < 0)
            return rc;
    }
    if (instances && (pin->instance == BELT_PLACE_EVERY || pin->instance < instances))
        return 0;
    if (instances) {
        snprintf(work->why, work->room, "pin %s.%u: %s has %u instance%s, numbered from 0",
                 pin->stage, pin->instance, pin->stage, instances, instances == 1 ? "" : "s");
        return -EINVAL;
    }
    int at = snprintf(work->why, work->room, "pin %s: no such stage; there are", pin->stage);
    for (uint32_t s = 0; s < work->in->stage_count && at > 0 && (size_t)at < work->room; s++)
        at += snprintf(work->why + at, work->room - (size_t)at, "%s %s", s ? "," : "",
                       work->in->stages[s].name);
    return -EINVAL;
}

static int read_pins(struct belt_work *work)
{
    for (uint32_t i = 0; i < work->in->pin_count; i++) {
        int rc = read_pin(work, &work->in->pins[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- lanes --------------------------------------------------------------------- */

/* A light item pinned by hand waits for the lanes' CPUs: it goes where its own is. */
static bool waits_for_cpus(const struct belt_work *work, uint32_t item)
{
    const struct belt_work_item *leader = &work->items[work->items[item].leader];
    return work->in->fuse == BELT_FUSE_AUTO && !stage_of(work, item)->blocking && leader->light &&
           leader->wish.by != BELT_NOBODY;
}

/* Lanes for what has no other place. */
static uint32_t lanes_wanted(const struct belt_work *work)
{
    uint32_t widest = 0, all = 0;
    for (uint32_t i = 0; i < work->item_count; i++) {
        const struct belt_work_item *item = &work->items[i];
        if (stage_of(work, i)->blocking || waits_for_cpus(work, i))
            continue;
        uint32_t lanes = work->items[item->leader].light ? 1 : item->instance + 1;
        widest = lanes > widest ? lanes : widest;
        all++;
    }
    return work->in->fuse == BELT_FUSE_NONE ? all : widest;
}

static uint32_t add_lane(struct belt_work *work, bool blocking)
{
    work->lanes[work->lane_count] =
        (struct belt_work_lane){ .wish.by = BELT_NOBODY, .cpu = -1, .blocking = blocking };
    return work->lane_count++;
}

static int assign_lanes(struct belt_work *work, uint32_t width)
{
    uint32_t light = 0, all = 0;
    for (uint32_t i = 0; i < width; i++)
        add_lane(work, false);
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct belt_work_item *item = &work->items[i];
        if (item->leader != i || waits_for_cpus(work, i))
            continue;
        if (stage_of(work, i)->blocking)
            item->lane = add_lane(work, true);
        else if (work->in->fuse == BELT_FUSE_NONE)
            item->lane = all++ % width;
        else
            item->lane = (item->light ? light++ : item->instance) % width;
        int rc = narrow(work, &work->lanes[item->lane].wish, &item->wish);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static uint32_t lane_on(const struct belt_work *work, const struct belt_cpus *cpus)
{
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (!work->lanes[l].blocking && belt_cpus_has(cpus, work->lanes[l].cpu))
            return l;
    return BELT_NOBODY;
}

static int refuse_lane(struct belt_work *work, const struct belt_wish *wish)
{
    char list[64];
    belt_cpus_print(&wish->cpus, list, sizeof list);
    snprintf(work->why, work->room,
             "pin %s.%u: no lane runs on CPU %s and no more than %u lane%s "
             "may be made: pin it to a lane's CPU, or allow more",
             stage_of(work, wish->by)->name, work->items[wish->by].instance, list, work->in->lanes,
             work->in->lanes == 1 ? "" : "s");
    return -EINVAL;
}

/* Items that waited for the lanes' CPUs, and those that follow a leader. */
static int assign_rest(struct belt_work *work, uint32_t width)
{
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct belt_work_item *item = &work->items[i];
        if (item->leader != i) {
            item->lane = work->items[item->leader].lane;
            continue;
        }
        if (!waits_for_cpus(work, i))
            continue;
        item->lane = lane_on(work, &item->wish.cpus);
        if (item->lane != BELT_NOBODY)
            continue;
        if (work->in->lanes && width++ >= work->in->lanes)
            return refuse_lane(work, &item->wish);
        item->lane = add_lane(work, false);
        work->lanes[item->lane].wish = item->wish;
        work->lanes[item->lane].cpu = belt_work_pick(work, &item->wish.cpus);
    }
    return 0;
}

/* ---- the answer ---------------------------------------------------------------- */

static void note(struct belt_place *place, const char *text)
{
    size_t used = strlen(place->notes);
    snprintf(place->notes + used, sizeof place->notes - used, "%s\n", text);
}

/* Two that spin on one CPU wait for each other's time slices. */
static int check_wait(struct belt_work *work, struct belt_place *place)
{
    char list[64], text[200];
    uint32_t most = 0;
    for (int cpu = 0; cpu < BELT_CPUS; cpu++)
        most = work->load[cpu] > most ? work->load[cpu] : most;
    place->wait = work->in->wait;
    if (place->wait != BELT_WAIT_SPIN || most < 2)
        return 0;
    belt_cpus_print(&work->usable, list, sizeof list);
    if (work->in->pin_count) {
        snprintf(work->why, work->room,
                 "wait: spin wants a CPU for each lane, but with these "
                 "pins %u of the %u lanes share one of CPUs %s: pin them "
                 "apart, or wait: backoff",
                 most, work->lane_count, list);
        return -EINVAL;
    }
    place->wait = BELT_WAIT_BACKOFF;
    snprintf(text, sizeof text, "wait: backoff instead of spin: %u lanes share CPUs %s",
             work->lane_count, list);
    if (work->in->wait_by_hand)
        note(place, text);
    return 0;
}

static void fill_lane(const struct belt_work *work, struct belt_place *place, uint32_t lane,
                      struct belt_place_item *items)
{
    const struct belt_work_lane *from = &work->lanes[lane];
    struct belt_place_lane *to = &place->lanes[lane];
    *to = (struct belt_place_lane){
        .cpu = from->cpu,
        .node = belt_topology_cpu(work->in->topology, from->cpu)->node,
        .pinned = from->wish.by != BELT_NOBODY,
        .blocking = from->blocking,
        .items = items,
    };
    /* Sinks first: what leaves makes room for what comes. */
    for (uint32_t s = work->in->stage_count; s-- > 0;)
        for (uint32_t i = 0; i < work->item_count; i++)
            if (work->items[i].stage == s && work->items[i].lane == lane)
                items[to->item_count++] = (struct belt_place_item){ s, work->items[i].instance };
}

/* One block: the place, its lanes, their items. */
static struct belt_place *answer(const struct belt_work *work)
{
    size_t lanes = work->lane_count * sizeof(struct belt_place_lane);
    size_t items = work->item_count * sizeof(struct belt_place_item);
    struct belt_place *place = calloc(1, sizeof *place + lanes + items);
    if (!place)
        return NULL;
    place->lanes = (struct belt_place_lane *)(place + 1);
    place->lane_count = work->lane_count;
    struct belt_place_item *next = (struct belt_place_item *)(place->lanes + work->lane_count);
    for (uint32_t l = 0; l < work->lane_count; l++) {
        fill_lane(work, place, l, next);
        next += place->lanes[l].item_count;
    }
    return place;
}

static int plan(struct belt_work *work, struct belt_place **out)
{
    list_items(work);
    int rc = read_pins(work);
    uint32_t wanted = lanes_wanted(work), most = work->in->lanes, width = wanted;
    if (most && width > most)
        width = most;
    if (rc == 0)
        rc = assign_lanes(work, width);
    if (rc == 0)
        rc = belt_work_cpus(work);
    if (rc == 0)
        rc = assign_rest(work, width);
    if (rc < 0)
        return rc;
    struct belt_place *place = answer(work);
    if (!place)
        return -ENOMEM;
    if (work->in->fuse == BELT_FUSE_NONE && width < wanted) {
        char text[120];
        snprintf(text, sizeof text,
                 "fuse: none wants %u lanes, only %u are allowed: some "
                 "stages share one",
                 wanted, width);
        note(place, text);
    }
    rc = check_wait(work, place);
    if (rc < 0)
        belt_place_free(place);
    else
        *out = place;
    return rc;
}

int belt_place_new(struct belt_place **out, const struct belt_place_in *in, char *why, size_t room)
{
    struct belt_work *work = calloc(1, sizeof *work);
    int rc = work ? 0 : -ENOMEM;
    if (room)
        *why = 0;
    if (work) {
        work->in = in;
        work->why = why;
        work->room = room;
        rc = refuse_stages(work);
    }
    if (rc == 0)
        rc = belt_work_usable(work);
    if (rc == 0) {
        work->items = calloc(work->item_count, sizeof *work->items);
        work->lanes = calloc(work->item_count, sizeof *work->lanes);
        rc = work->items && work->lanes ? plan(work, out) : -ENOMEM;
    }
    if (rc == -ENOMEM)
        snprintf(why, room, "out of memory");
    if (work) {
        free(work->items);
        free(work->lanes);
    }
    free(work);
    return rc;
}

void belt_place_free(struct belt_place *place)
{
    free(place);
}

uint32_t belt_place_lane_of(const struct belt_place *place, uint32_t stage, uint32_t instance)
{
    for (uint32_t l = 0; l < place->lane_count; l++)
        for (uint32_t i = 0; i < place->lanes[l].item_count; i++)
            if (place->lanes[l].items[i].stage == stage &&
                place->lanes[l].items[i].instance == instance)
                return l;
    return UINT32_MAX;
}
