/* The setting `placement`, as the planner wants it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_priv.h"

/* "processor.1": the stage's name up to the last dot, and the instance. */
static int read_pin(const struct belt_node *pin, size_t i, struct belt_place_pin *out, char *name,
                    size_t room, const struct belt_topology *topology, struct belt_error *err)
{
    const char *key = belt_node_key(pin, i), *dot = strrchr(key, '.');
    const struct belt_node *value = belt_node_at(pin, i);
    char why[400];
    if (!belt_node_text(value))
        return belt_node_error(err, value, "pin: a CPU or a list of them: processor.0: 3");
    out->instance = BELT_PLACE_EVERY;
    size_t length = strlen(key);
    if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1)) {
        out->instance = (uint32_t)strtoul(dot + 1, NULL, 10);
        length = (size_t)(dot - key);
    }
    snprintf(name, room, "%.*s", (int)length, key);
    out->stage = name;
    if (belt_topology_parse(topology, &out->cpus, belt_node_text(value),
                            belt_topology_allowed(topology), why, sizeof why) < 0)
        return belt_node_error(err, value, "pin %s: %s", key, why);
    return 0;
}

int belt_plan_read(struct belt_plan_in *x, const struct belt_spec *spec,
                   const struct belt_topology *topology, struct belt_error *err)
{
    char why[400];
    const struct belt_node *pin = spec->placement.pin;
    if (spec->placement.cpus && *spec->placement.cpus) {
        if (belt_topology_parse(topology, &x->cpus, spec->placement.cpus,
                                belt_topology_allowed(topology), why, sizeof why) < 0)
            return belt_error_config(err, "cpus: %s", why);
        x->in.cpus = &x->cpus;
    }
    if (pin && belt_node_kind(pin) != BELT_NODE_MAP)
        return belt_node_error(err, pin, "pin is a map: pin: { processor.0: 3 }");
    size_t count = pin ? belt_node_count(pin) : 0;
    if (count > BELT_PINS)
        return belt_node_error(err, pin, "more than %d pins", BELT_PINS);
    for (size_t i = 0; i < count; i++) {
        int rc = read_pin(pin, i, &x->pins[i], x->names[i], sizeof x->names[i], topology, err);
        if (rc < 0)
            return rc;
    }
    x->in.pins = x->pins;
    x->in.pin_count = (uint32_t)count;
    x->in.fuse = (enum belt_fuse)spec->placement.fuse;
    x->in.wait = (enum belt_wait)spec->placement.wait;
    x->in.wait_by_hand = spec->placement.wait_by_hand;
    x->in.lanes = (uint32_t)spec->placement.lanes;
    x->in.topology = topology;
    return 0;
}
