/* From a spec and this machine to a plan. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/run_priv.h"

#define PINS 128

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
    if (belt_cpus_parse(&out->cpus, belt_node_text(value), belt_topology_allowed(topology), why,
                        sizeof why) < 0)
        return belt_node_error(err, value, "pin %s: %s", key, why);
    return 0;
}

struct inputs {
    struct belt_place_stage stages[BELT_SOURCES + BELT_PROCESSORS + BELT_BATCHERS];
    struct belt_place_pin pins[PINS];
    char names[PINS][96];
    struct belt_cpus cpus;
    struct belt_place_in in;
};

static int read_placement(struct inputs *x, const struct belt_spec *spec,
                          const struct belt_topology *topology, struct belt_error *err)
{
    char why[400];
    const struct belt_node *pin = spec->placement.pin;
    if (spec->placement.cpus && *spec->placement.cpus) {
        if (belt_cpus_parse(&x->cpus, spec->placement.cpus, belt_topology_allowed(topology), why,
                            sizeof why) < 0)
            return belt_error_config(err, "cpus: %s", why);
        x->in.cpus = &x->cpus;
    }
    if (pin && belt_node_kind(pin) != BELT_NODE_MAP)
        return belt_node_error(err, pin, "pin is a map: pin: { processor.0: 3 }");
    size_t count = pin ? belt_node_count(pin) : 0;
    if (count > PINS)
        return belt_node_error(err, pin, "more than %d pins", PINS);
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

static bool any_ordered(const struct belt_spec *spec)
{
    for (int i = 0; i < spec->batchers_used; i++)
        if (spec->batchers[i].ordered && !spec->batchers[i].aggregate)
            return true;
    return false;
}

static int count_source(struct belt_plan *plan, const struct belt_spec *spec, int s, uint32_t usual,
                        struct belt_error *err)
{
    const struct belt_source_spec *source = &spec->sources[s];
    uint32_t instances = source->instances ? source->instances : usual;
    if (source->use.limit && instances > source->use.limit) {
        if (source->instances)
            return belt_node_error(err, source->use.node, "%s concurrency: at most %u here",
                                   source->path, source->use.limit);
        instances = source->use.limit;
    }
    plan->source_instances[s] = instances;
    return 0;
}

/* Copies of a message are children of one join. */
static int check_copies(const struct belt_plan *plan, const struct belt_spec *spec, int from,
                        struct belt_error *err)
{
    uint32_t copies = 0;
    for (int p = from + 1; p < spec->processors_used; p++)
        if (spec->processors[p].from == from)
            copies += spec->processors[p].dispatch == BELT_DISPATCH_BROADCAST
                          ? plan->processor_instances[p]
                          : 1;
    if (copies <= 64)
        return 0;
    return belt_error_config(err,
                             "%s: %u copies of each message, at most 64: less concurrency for "
                             "those that it sends to",
                             spec->processors[from].name, copies);
}

/* Those that others send to; `heads`: what the sources send to. */
static int count_processors(struct belt_plan *plan, const struct belt_spec *spec, uint32_t heads,
                            uint32_t usual, struct belt_error *err)
{
    plan->processors = 0;
    for (int p = 0; p < spec->processors_used; p++) {
        const struct belt_processor_spec *at = &spec->processors[p];
        uint32_t instances = p ? at->instances : heads;
        if (!instances)
            instances =
                spec->processors[at->from].instances ? usual : plan->processor_instances[at->from];
        plan->processor_instances[p] = instances;
        plan->processor_chains[p] = plan->processors;
        plan->processors += instances;
    }
    if (plan->processors > BELT_INSTANCES)
        return belt_error_config(err, "more than %d instances of processors", BELT_INSTANCES);
    int rc = 0;
    for (int p = 0; rc == 0 && p < spec->processors_used; p++)
        rc = check_copies(plan, spec, p, err);
    return rc;
}

static int count_instances(struct belt_plan *plan, const struct belt_spec *spec,
                           const struct belt_cpus *cpus, struct belt_error *err)
{
    uint32_t usual = plan->caller ? 1 : belt_place_concurrency(plan->topology, cpus);
    if (spec->placement.lanes && spec->placement.lanes < usual)
        usual = (uint32_t)spec->placement.lanes;
    const struct belt_processor_spec *first = &spec->processors[0];
    uint32_t sources = 0, processors = first->instances;
    bool threads = first->isolation == BELT_ISOLATION_THREAD, several = spec->sources_used > 1;
    for (int s = 0; s < spec->sources_used; s++) {
        int rc = count_source(plan, spec, s, processors ? processors : usual, err);
        if (rc < 0)
            return rc;
        sources += plan->source_instances[s];
    }
    if (!processors)
        processors = several && threads ? usual : sources;
    if (sources > BELT_INSTANCES || processors > BELT_INSTANCES)
        return belt_error_config(err, "more than %d instances of a stage", BELT_INSTANCES);
    plan->sources = sources;
    plan->heads = processors;
    plan->first_processor = (uint32_t)spec->sources_used;
    plan->first_batcher = plan->first_processor + (uint32_t)spec->processors_used;
    plan->pooled = (several || sources != processors) && !any_ordered(spec) && threads;
    if (sources != processors && sources != 1 && !plan->pooled)
        return belt_error_config(err,
                                 "order: input and isolation: process want one source or as "
                                 "many as processors, not %u and %u: give them equal "
                                 "concurrency, or set order: any",
                                 sources, processors);
    return count_processors(plan, spec, processors, usual, err);
}

static void name_stages(struct inputs *x, const struct belt_plan *plan,
                        const struct belt_spec *spec)
{
    for (int s = 0; s < spec->sources_used; s++)
        x->stages[s] = (struct belt_place_stage){ .name = spec->sources[s].path,
                                                  .instances = plan->source_instances[s],
                                                  .chain = 1 };
    for (int p = 0; p < spec->processors_used; p++)
        x->stages[plan->first_processor + (uint32_t)p] =
            (struct belt_place_stage){ .name = spec->processors[p].name,
                                       .instances = plan->processor_instances[p],
                                       .chain = 1,
                                       .blocking = spec->processors[p].blocking && !plan->caller };
    for (int i = 0; i < belt_spec_outlets(spec); i++)
        x->stages[plan->first_batcher + (uint32_t)i] =
            (struct belt_place_stage){ .name = spec->batchers[i].path,
                                       .instances = spec->batchers[i].instances,
                                       .light = true,
                                       .blocking = spec->batchers[i].blocking && !plan->caller };
    x->in.stages = x->stages;
    x->in.stage_count = plan->first_batcher + (uint32_t)belt_spec_outlets(spec);
}

int belt_plan_new(struct belt_plan **out, const struct belt_spec *spec, bool caller,
                  struct belt_error *err)
{
    char why[600];
    struct belt_plan *plan = calloc(1, sizeof *plan);
    struct inputs *x = calloc(1, sizeof *x);
    int rc = plan && x ? 0 : belt_error_set(err, -ENOMEM, "plan: out of memory");
    if (rc == 0)
        plan->caller = caller;
    if (rc == 0 && (rc = belt_topology_load(&plan->topology, why, sizeof why)) < 0)
        rc = belt_error_set(err, rc, "%s", why);
    if (rc == 0)
        rc = read_placement(x, spec, plan->topology, err);
    if (rc == 0)
        rc = count_instances(plan, spec, x->in.cpus, err);
    if (rc == 0) {
        name_stages(x, plan, spec);
        if (caller) {
            x->in.lanes = 1;
            x->in.pin_count = 0; /* the caller's thread is where it is */
        }
        if (belt_place_new(&plan->place, &x->in, why, sizeof why) < 0)
            rc = belt_error_config(err, "placement: %s", why);
    }
    free(x);
    if (rc < 0) {
        belt_plan_free(plan);
        return rc;
    }
    *out = plan;
    return 0;
}

void belt_plan_free(struct belt_plan *plan)
{
    if (!plan)
        return;
    belt_place_free(plan->place);
    belt_topology_free(plan->topology);
    free(plan);
}
