/* Stages to lanes. */
#include "numa/place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place_priv.h"

/* ---- words ----------------------------------------------------------------------- */

void belt_work_say(struct belt_work *work, const char *format, ...)
{
    struct belt_lines *to = &work->reasons;
    char line[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t kept = size < 0 ? 0 : (size_t)size < sizeof line ? (size_t)size : sizeof line - 1;
    if (to->used + kept + 2 > to->room) {
        size_t room = 2 * to->room + kept + 1024;
        char *text = realloc(to->text, room);
        to->failed |= !text;
        if (!text)
            return;
        to->text = text;
        to->room = room;
    }
    memcpy(to->text + to->used, line, kept);
    to->used += kept;
    to->text[to->used++] = '\n';
    to->text[to->used] = 0;
}

int belt_work_refuse(struct belt_work *work, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(work->why, work->room, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- items ------------------------------------------------------------------------- */

static int check_stages(struct belt_work *work)
{
    const struct belt_place_in *in = work->in;
    for (uint32_t s = 0; s < in->stage_count; s++) {
        if (!in->stages[s].instances)
            return belt_work_refuse(work, "%s: no instances", in->stages[s].name);
        work->item_count += in->stages[s].instances;
    }
    return work->item_count ? 0 : belt_work_refuse(work, "no stages");
}

/* The first stage of a chain that has such an instance leads it. */
static uint32_t leader_of(const struct belt_work *work, uint32_t item)
{
    const struct belt_place_stage *stage = belt_work_stage(work, item), *at = work->in->stages;
    uint32_t instance = work->items[item].instance;
    if (work->in->fuse == BELT_FUSE_NONE || !stage->chain || stage->blocking)
        return item;
    for (uint32_t s = 0; s < work->items[item].stage; s++)
        if (at[s].chain == stage->chain && !at[s].blocking && instance < at[s].instances)
            return work->first[s] + instance;
    return item;
}

static void list_items(struct belt_work *work)
{
    uint32_t item = 0;
    for (uint32_t s = 0; s < work->in->stage_count; s++) {
        work->first[s] = item;
        for (uint32_t i = 0; i < work->in->stages[s].instances; i++, item++) {
            struct belt_work_item *at = &work->items[item];
            at->stage = s;
            at->instance = i;
            at->wish.by = at->wait.by = BELT_NOBODY;
            at->lane = BELT_NOBODY;
            at->leader = leader_of(work, item);
            at->light = work->in->stages[s].light && work->in->fuse == BELT_FUSE_AUTO;
            work->items[at->leader].light &= at->light;
        }
    }
}

/* ---- lanes --------------------------------------------------------------------------- */

/* A light item goes where there is room when the lanes have their CPUs. */
static bool comes_later(const struct belt_work *work, uint32_t item)
{
    return work->items[work->items[item].leader].light && !belt_work_stage(work, item)->blocking;
}

/* Lanes for what has no other place; at least one, if there is anything to put there. */
static uint32_t lanes_wanted(const struct belt_work *work)
{
    uint32_t widest = 0, all = 0;
    for (uint32_t i = 0; i < work->item_count; i++) {
        const struct belt_work_item *item = &work->items[i];
        if (belt_work_stage(work, i)->blocking)
            continue;
        bool unpinned = work->items[item->leader].wish.by == BELT_NOBODY;
        uint32_t lanes = !comes_later(work, i) ? item->instance + 1 : unpinned;
        widest = lanes > widest ? lanes : widest;
        all += item->leader == i;
    }
    return work->in->fuse == BELT_FUSE_AUTO ? widest : all;
}

static uint32_t add_lane(struct belt_work *work, bool blocking)
{
    work->lanes[work->lane_count] = (struct belt_work_lane){ .wish.by = BELT_NOBODY,
                                                             .wait.by = BELT_NOBODY,
                                                             .strand = BELT_NOBODY,
                                                             .cpu = -1,
                                                             .blocking = blocking };
    return work->lane_count++;
}

/* Whether instance i of this stage has to do with instance i of others alone. */
static bool in_strand(const struct belt_work *work, uint32_t stage)
{
    const struct belt_place_in *in = work->in;
    for (uint32_t e = 0; e < in->edge_count; e++)
        if (!in->edges[e].each && (in->edges[e].from == stage || in->edges[e].to == stage))
            return true;
    return in->stages[stage].chain != 0;
}

static void put_on(struct belt_work *work, uint32_t item, uint32_t lane)
{
    const struct belt_place_stage *stage = belt_work_stage(work, item);
    struct belt_work_lane *at = &work->lanes[lane];
    work->items[item].lane = lane;
    if (!at->used && in_strand(work, work->items[item].stage))
        at->strand = work->items[item].instance;
    at->used = true;
    at->work += stage->work ? stage->work : 1;
}

static int assign_lanes(struct belt_work *work, uint32_t width)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < width; i++)
        add_lane(work, false);
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct belt_work_item *item = &work->items[i];
        uint32_t lane;
        if (comes_later(work, i))
            continue;
        if (item->leader != i)
            lane = work->items[item->leader].lane;
        else if (belt_work_stage(work, i)->blocking)
            lane = add_lane(work, true);
        else
            lane = (work->in->fuse == BELT_FUSE_AUTO ? item->instance : all++) % width;
        put_on(work, i, lane);
        int rc = belt_work_narrow(work, &work->lanes[lane].wish, &item->wish);
        if (rc == 0)
            rc = belt_work_narrow_wait(work, &work->lanes[lane].wait, &item->wait);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- light items ------------------------------------------------------------------------ */

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
    return belt_work_refuse(work,
                            "pin %s.%u: no lane runs on CPU %s and no more than %u lane%s "
                            "may be made: pin it to a lane's CPU, or allow more",
                            belt_work_stage(work, wish->by)->name, work->items[wish->by].instance,
                            list, work->in->lanes, work->in->lanes == 1 ? "" : "s");
}

/* What this item and those on the lanes so far would send each other, times its way. */
static double way_of(const struct belt_work *work, uint32_t item, uint32_t lane)
{
    const struct belt_place_in *in = work->in;
    uint32_t stage = work->items[item].stage;
    double sum = 0;
    for (uint32_t e = 0; e < in->edge_count; e++) {
        const struct belt_place_edge *edge = &in->edges[e];
        if (edge->from != stage && edge->to != stage)
            continue;
        uint32_t other = edge->from == stage ? edge->to : edge->from;
        for (uint32_t i = 0; i < in->stages[other].instances; i++) {
            uint32_t at = work->items[work->first[other] + i].lane;
            if (at != BELT_NOBODY && at != lane)
                sum += edge->weight *
                       (double)belt_work_ns(work, work->lanes[at].cpu, work->lanes[lane].cpu);
        }
    }
    return sum;
}

#define LOOKS 16 /* lanes with equally much to do whose ways are compared */

/* The lane with the least to do; of several the one nearest to what the item talks to. */
static uint32_t lane_with_room(const struct belt_work *work, uint32_t item)
{
    uint32_t best = BELT_NOBODY, least = UINT32_MAX, looks = 0;
    double way = 0;
    for (uint32_t l = 0; l < work->lane_count; l++)
        if (!work->lanes[l].blocking && work->lanes[l].work < least)
            least = work->lanes[l].work;
    for (uint32_t l = 0; l < work->lane_count && looks < LOOKS; l++) {
        if (work->lanes[l].blocking || work->lanes[l].work != least)
            continue;
        double here = way_of(work, item, l);
        looks++;
        if (best != BELT_NOBODY && here >= way)
            continue;
        best = l;
        way = here;
    }
    return best;
}

/* A pinned one goes to the lane of that CPU, or gets one. */
static int pinned_lane(struct belt_work *work, const struct belt_wish *wish, uint32_t *width,
                       uint32_t *out)
{
    *out = lane_on(work, &wish->cpus);
    if (*out != BELT_NOBODY) {
        /* From now on the lane stays where it is. */
        work->lanes[*out].wish.by =
            work->lanes[*out].wish.by == BELT_NOBODY ? wish->by : work->lanes[*out].wish.by;
        return 0;
    }
    if (work->in->lanes && (*width)++ >= work->in->lanes)
        return refuse_lane(work, wish);
    int cpu = belt_work_pick(work, &wish->cpus);
    if (cpu < 0)
        return cpu;
    *out = add_lane(work, false);
    work->lanes[*out].wish = *wish;
    work->lanes[*out].cpu = cpu;
    return 0;
}

static int assign_light(struct belt_work *work, uint32_t width)
{
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct belt_work_item *item = &work->items[i];
        uint32_t lane;
        int rc = 0;
        if (!comes_later(work, i))
            continue;
        if (item->leader != i)
            lane = work->items[item->leader].lane;
        else if (item->wish.by != BELT_NOBODY)
            rc = pinned_lane(work, &item->wish, &width, &lane);
        else
            lane = lane_with_room(work, i);
        if (rc < 0)
            return rc;
        put_on(work, i, lane);
        rc = belt_work_narrow_wait(work, &work->lanes[lane].wait, &item->wait);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void say_lanes(struct belt_work *work, uint32_t wanted, uint32_t width)
{
    static const char *const hows[] = {
        "auto: the stages of a chain share a lane, batchers sit where there is least to do",
        "none: every instance has a lane of its own",
        "by hand: only the stages named together share a lane",
    };
    belt_work_say(work, "fuse %s: %u lane%s", hows[work->in->fuse], width, width == 1 ? "" : "s");
    if (width < wanted)
        belt_work_say(work, "%u lanes would be used, %u are allowed (lanes)", wanted, width);
    uint32_t blocking = 0;
    for (uint32_t l = 0; l < work->lane_count; l++)
        blocking += work->lanes[l].blocking;
    if (blocking)
        belt_work_say(work, "%u more lanes for stages that block", blocking);
}

static int plan(struct belt_work *work, struct belt_place **out)
{
    list_items(work);
    int rc = belt_work_wishes(work);
    uint32_t wanted = lanes_wanted(work), most = work->in->lanes, width = wanted;
    if (most && width > most)
        width = most;
    if (rc == 0)
        rc = assign_lanes(work, width);
    if (rc == 0) {
        say_lanes(work, wanted, width);
        rc = belt_ways_new(work);
    }
    if (rc == 0)
        rc = belt_work_cpus(work);
    if (rc == 0)
        rc = assign_light(work, width);
    if (rc == 0)
        rc = belt_work_improve(work);
    return rc < 0 ? rc : belt_work_answer(work, out);
}

static void free_work(struct belt_work *work)
{
    if (!work)
        return;
    belt_traffic_free(&work->traffic);
    free(work->ways.ns);
    free(work->reasons.text);
    free(work->items);
    free(work->lanes);
    free(work->first);
    free(work);
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
        rc = check_stages(work);
    }
    if (rc == 0)
        rc = belt_work_usable(work);
    if (rc == 0) {
        work->items = calloc(work->item_count, sizeof *work->items);
        work->lanes = calloc(work->item_count, sizeof *work->lanes);
        work->first = calloc(in->stage_count, sizeof *work->first);
        rc = work->items && work->lanes && work->first ? plan(work, out) : -ENOMEM;
    }
    if (rc == -ENOMEM)
        snprintf(why, room, "out of memory");
    free_work(work);
    return rc;
}
