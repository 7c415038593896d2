/* What was asked for by hand: pins, and how stages wait. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "numa/place_priv.h"

uint32_t belt_place_stage_of(const struct belt_place_in *in, const char *name)
{
    uint32_t found = BELT_NOBODY;
    for (uint32_t s = 0; s < in->stage_count; s++)
        if (strcmp(in->stages[s].name, name) == 0)
            return s;
    for (uint32_t s = 0; s < in->stage_count; s++) {
        const char *dot = strrchr(in->stages[s].name, '.');
        if (!dot || strcmp(dot + 1, name) != 0)
            continue;
        if (found != BELT_NOBODY)
            return BELT_NOBODY;
        found = s;
    }
    return found;
}

/* ---- one wish and another --------------------------------------------------------- */

static int refuse_apart(struct belt_work *work, const struct belt_wish *a,
                        const struct belt_wish *b)
{
    char lists[2][64];
    belt_cpus_print(&a->cpus, lists[0], sizeof lists[0]);
    belt_cpus_print(&b->cpus, lists[1], sizeof lists[1]);
    return belt_work_refuse(work,
                            "pin: %s.%u and %s.%u share a lane but are pinned to %s and "
                            "%s: pin both to one CPU, or take them apart (fuse: none%s)",
                            belt_work_stage(work, a->by)->name, work->items[a->by].instance,
                            belt_work_stage(work, b->by)->name, work->items[b->by].instance,
                            lists[0], lists[1], work->in->lanes ? ", more lanes" : "");
}

int belt_work_narrow(struct belt_work *work, struct belt_wish *wish, const struct belt_wish *more)
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

int belt_work_narrow_wait(struct belt_work *work, struct belt_wait_wish *wish,
                          const struct belt_wait_wish *more)
{
    static const char *const names[] = { "backoff", "spin", "yield", "block" };
    if (more->by == BELT_NOBODY || (wish->by != BELT_NOBODY && wish->wait == more->wait))
        return 0;
    if (wish->by == BELT_NOBODY) {
        *wish = *more;
        return 0;
    }
    return belt_work_refuse(work,
                            "wait: %s.%u and %s.%u share a lane but are to %s and to %s: give "
                            "both the same, or take them apart (fuse: none%s)",
                            belt_work_stage(work, wish->by)->name, work->items[wish->by].instance,
                            belt_work_stage(work, more->by)->name, work->items[more->by].instance,
                            names[wish->wait], names[more->wait],
                            work->in->lanes ? ", more lanes" : "");
}

/* ---- whom it is about --------------------------------------------------------------- */

/* Stage of a wish, its instance checked; BELT_NOBODY: refused. */
static uint32_t stage_meant(struct belt_work *work, const char *what, const char *name,
                            uint32_t instance)
{
    uint32_t s = belt_place_stage_of(work->in, name);
    if (s != BELT_NOBODY) {
        uint32_t instances = work->in->stages[s].instances;
        if (instance == BELT_PLACE_EVERY || instance < instances)
            return s;
        belt_work_refuse(work, "%s %s.%u: %s has %u instance%s, numbered from 0", what, name,
                         instance, name, instances, instances == 1 ? "" : "s");
        return BELT_NOBODY;
    }
    int at = snprintf(work->why, work->room, "%s %s: no such stage; there are", what, name);
    for (s = 0; s < work->in->stage_count && at > 0 && (size_t)at < work->room; s++)
        at += snprintf(work->why + at, work->room - (size_t)at, "%s %s", s ? "," : "",
                       work->in->stages[s].name);
    return BELT_NOBODY;
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
    uint32_t s = stage_meant(work, "pin", pin->stage, pin->instance);
    if (s == BELT_NOBODY)
        return -EINVAL;
    for (uint32_t n = 0; n < work->in->stages[s].instances; n++) {
        uint32_t i = work->first[s] + n;
        if (pin->instance != BELT_PLACE_EVERY && pin->instance != n)
            continue;
        struct belt_wish wish = { share_of(pin, n), i };
        int rc = belt_work_narrow(work, &work->items[work->items[i].leader].wish, &wish);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_wait(struct belt_work *work, const struct belt_place_wait *wait, bool instances)
{
    uint32_t s = stage_meant(work, "wait", wait->stage, wait->instance);
    if (s == BELT_NOBODY)
        return -EINVAL;
    for (uint32_t n = 0; n < work->in->stages[s].instances; n++)
        if (wait->instance == (instances ? n : BELT_PLACE_EVERY))
            work->items[work->first[s] + n].wait =
                (struct belt_wait_wish){ wait->wait, work->first[s] + n };
    return 0;
}

int belt_work_wishes(struct belt_work *work)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < work->in->pin_count; i++)
        rc = read_pin(work, &work->in->pins[i]);
    for (uint32_t i = 0; rc == 0 && i < work->in->wait_count; i++)
        rc = read_wait(work, &work->in->waits[i], false);
    for (uint32_t i = 0; rc == 0 && i < work->in->wait_count; i++)
        rc = read_wait(work, &work->in->waits[i], true);
    return rc;
}
