/* The setting `placement`, as the planner wants it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_priv.h"

#define ALL "all" /* every instance, every stage */

const char *const belt_wait_names[] = { "backoff", "spin", "yield", "block", NULL };

/* "processor.1", "processor.all", "processor": the stage's name and the instance. */
static uint32_t read_key(const char *key, char *name, size_t room)
{
    const char *dot = strrchr(key, '.');
    size_t length = strlen(key);
    uint32_t instance = BELT_PLACE_EVERY;
    if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1)) {
        instance = (uint32_t)strtoul(dot + 1, NULL, 10);
        length = (size_t)(dot - key);
    } else if (dot && strcmp(dot + 1, ALL) == 0) {
        length = (size_t)(dot - key);
    }
    snprintf(name, room, "%.*s", (int)length, key);
    return instance;
}

/* ---- pins ------------------------------------------------------------------------ */

static int read_pin(struct belt_plan_in *x, size_t i, const struct belt_node *pin,
                    const struct belt_topology *topology, struct belt_error *err)
{
    const struct belt_node *value = belt_node_at(pin, i);
    const char *key = belt_node_key(pin, i), *text = belt_node_text(value);
    char why[400];
    if (!text)
        return belt_node_error(err, value, "pin: a CPU or a list of them: processor.0: 3");
    x->pins[i].instance = read_key(key, x->pin_names[i], sizeof x->pin_names[i]);
    x->pins[i].stage = x->pin_names[i];
    if (belt_topology_parse(topology, &x->pins[i].cpus, text, belt_topology_allowed(topology), why,
                            sizeof why) < 0)
        return belt_node_error(err, value, "pin %s: %s", key, why);
    return 0;
}

static int read_pins(struct belt_plan_in *x, const struct belt_node *pin,
                     const struct belt_topology *topology, struct belt_error *err)
{
    size_t count = pin ? belt_node_count(pin) : 0;
    if (pin && belt_node_kind(pin) != BELT_NODE_MAP)
        return belt_node_error(err, pin, "pin is a map: pin: { processor.0: 3 }");
    if (count > BELT_PINS)
        return belt_node_error(err, pin, "more than %d pins", BELT_PINS);
    for (size_t i = 0; i < count; i++) {
        int rc = read_pin(x, i, pin, topology, err);
        if (rc < 0)
            return rc;
    }
    x->in.pins = x->pins;
    x->in.pin_count = (uint32_t)count;
    return 0;
}

/* ---- waiting --------------------------------------------------------------------- */

static int read_how(const struct belt_node *node, enum belt_wait *out, struct belt_error *err)
{
    const char *text = belt_node_text(node);
    size_t count = 0;
    for (; text && belt_wait_names[count]; count++)
        if (strcmp(text, belt_wait_names[count]) == 0) {
            *out = (enum belt_wait)count;
            return 0;
        }
    const char *near = text ? belt_nearest(text, belt_wait_names, count) : NULL;
    if (near)
        return belt_node_error(err, node,
                               "wait: '%s' is none of backoff, spin, yield, block; "
                               "did you mean '%s'?",
                               text, near);
    return belt_node_error(err, node,
                           "wait is backoff, spin, yield or block, or a map of stages: "
                           "{ all: backoff, processor.0: spin }");
}

static int read_waits(struct belt_plan_in *x, const struct belt_node *wait, struct belt_error *err)
{
    size_t count = wait ? belt_node_count(wait) : 0;
    if (!wait)
        return 0;
    if (belt_node_kind(wait) != BELT_NODE_MAP) {
        x->in.wait_by_hand = true;
        return read_how(wait, &x->in.wait, err);
    }
    if (count > BELT_PINS)
        return belt_node_error(err, wait, "more than %d ways to wait", BELT_PINS);
    for (size_t i = 0; i < count; i++) {
        struct belt_place_wait *to = &x->waits[x->in.wait_count];
        int rc = read_how(belt_node_at(wait, i), &to->wait, err);
        if (rc < 0)
            return rc;
        if (strcmp(belt_node_key(wait, i), ALL) == 0) {
            x->in.wait = to->wait;
            x->in.wait_by_hand = true;
            continue;
        }
        char *name = x->wait_names[x->in.wait_count++];
        to->instance = read_key(belt_node_key(wait, i), name, sizeof x->wait_names[0]);
        to->stage = name;
    }
    x->in.waits = x->waits;
    return 0;
}

/* ---- fusing ---------------------------------------------------------------------- */

/* The stage that `text` begins with: the longest name, for some have a '+' themselves.
 * Its size; 0: none. */
static size_t stage_at(const struct belt_place_in *in, const char *text, size_t size,
                       uint32_t *stage)
{
    char name[200];
    for (size_t end = size; end > 0; end--) {
        if (end < size && text[end] != '+')
            continue;
        snprintf(name, sizeof name, "%.*s", (int)end, text);
        *stage = belt_place_stage_of(in, name);
        if (*stage != UINT32_MAX)
            return end;
    }
    return 0;
}

static int refuse_fuse(const struct belt_plan_in *x, const struct belt_node *node, const char *text,
                       size_t size, struct belt_error *err)
{
    char list[400] = "";
    size_t used = 0;
    for (uint32_t s = 0; s < x->in.stage_count && used < sizeof list; s++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", s ? ", " : "",
                                 x->stages[s].name);
    return belt_node_error(err, node,
                           "fuse: '%.*s' is neither auto nor none nor stages such as %s+%s; there "
                           "are %s",
                           (int)size, text, x->stages[0].name, x->stages[1].name, list);
}

/* "source+parse": they get the chain number `group`. */
static int read_group(struct belt_plan_in *x, const struct belt_node *node, const char *text,
                      size_t size, uint32_t group, struct belt_error *err)
{
    uint32_t stage, members = 0;
    for (size_t at = 0, found; at < size; at += found + 1, members++) {
        found = stage_at(&x->in, text + at, size - at, &stage);
        if (!found)
            return refuse_fuse(x, node, text, size, err);
        if (x->stages[stage].blocking)
            return belt_node_error(err, node,
                                   "fuse: %s is `blocking: true` and has lanes of its own: leave "
                                   "it out, or take blocking away",
                                   x->stages[stage].name);
        if (x->stages[stage].chain)
            return belt_node_error(err, node,
                                   "fuse: %s is named twice: a stage shares the lanes "
                                   "of one group",
                                   x->stages[stage].name);
        x->stages[stage].chain = group;
    }
    return members < 2 ? refuse_fuse(x, node, text, size, err) : 0;
}

/* One text: groups with commas between them. */
static int read_groups(struct belt_plan_in *x, const struct belt_node *node, uint32_t *groups,
                       struct belt_error *err)
{
    const char *text = belt_node_text(node);
    if (!text)
        return belt_node_error(err, node, "fuse is auto, none, or a list of source+parse");
    for (;; text++) {
        size_t size = strcspn(text, ",");
        int rc = read_group(x, node, text, size, ++*groups, err);
        if (rc < 0)
            return rc;
        text += size;
        if (!*text)
            return 0;
    }
}

int belt_plan_fuse(struct belt_plan_in *x, const struct belt_spec *spec, struct belt_error *err)
{
    const struct belt_node *fuse = spec->placement.fuse;
    const char *text = fuse ? belt_node_text(fuse) : NULL;
    uint32_t groups = 0;
    if (!fuse || (text && strcmp(text, "auto") == 0))
        return 0;
    for (uint32_t s = 0; s < x->in.stage_count; s++)
        x->stages[s].chain = 0;
    x->in.fuse = text && strcmp(text, "none") == 0 ? BELT_FUSE_NONE : BELT_FUSE_GROUPS;
    if (x->in.fuse == BELT_FUSE_NONE)
        return 0;
    if (belt_node_kind(fuse) != BELT_NODE_LIST)
        return read_groups(x, fuse, &groups, err);
    for (size_t i = 0; i < belt_node_count(fuse); i++) {
        int rc = read_groups(x, belt_node_at(fuse, i), &groups, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- all of it -------------------------------------------------------------------- */

/* Where the files lie; of another machine nobody knows. */
static void find_device(struct belt_plan_in *x, const struct belt_spec *spec)
{
    int node = -1;
    for (int s = 0; node < 0 && s < spec->sources_used; s++) {
        const struct belt_use *use = &spec->sources[s].use;
        const struct belt_source *part = (const struct belt_source *)(const void *)use->part;
        const char *path = part->path ? part->path(use->conf) : NULL;
        node = path ? belt_device_node(path) : -1;
    }
    x->in.device_known = node >= 0;
    x->in.device_node = node;
}

int belt_plan_read(struct belt_plan_in *x, const struct belt_spec *spec,
                   const struct belt_topology *topology, struct belt_error *err)
{
    char why[400];
    const struct belt_placement_conf *conf = &spec->placement;
    if (conf->cpus && *conf->cpus) {
        if (belt_topology_parse(topology, &x->cpus, conf->cpus, belt_topology_allowed(topology),
                                why, sizeof why) < 0)
            return belt_error_config(err, "cpus: %s", why);
        x->in.cpus = &x->cpus;
    }
    x->in.topology = topology;
    x->in.smt = (enum belt_smt)conf->smt;
    x->in.lanes = (uint32_t)conf->lanes;
    x->in.memory_by_hand = conf->memory_node >= 0;
    x->in.memory_node = (int)conf->memory_node;
    if (belt_topology_here(topology))
        find_device(x, spec);
    int rc = read_pins(x, conf->pin, topology, err);
    if (rc == 0 && conf->measured && *conf->measured)
        rc = belt_plan_measured(x, conf->measured, err);
    return rc < 0 ? rc : read_waits(x, conf->wait, err);
}
