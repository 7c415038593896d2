/* From a spec and this machine to a plan. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_priv.h"

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
            return belt_node_error(err, source->use.node,
                                   "%s concurrency: at most %u here, for its input cannot be "
                                   "shared by more; leave it out",
                                   source->path, source->use.limit);
        instances = source->use.limit;
    }
    plan->source_instances[s] = instances;
    return 0;
}

/* The first processor; how many instances of each source it leaves us to choose. Where
 * chunks are dealt out to instances in turn, by order or to workers, one source deals. */
static uint32_t count_heads(struct belt_plan *plan, const struct belt_spec *spec, bool shared,
                            uint32_t usual)
{
    const struct belt_processor_spec *first = &spec->processors[0];
    uint32_t active = first->instances;
    if (!first->most)
        return active ? active : usual;
    if (!active)
        active = usual < first->most ? usual : first->most;
    plan->processor_active[0] = active;
    plan->heads = first->most;
    return shared ? active : 1;
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

/* Each instance has one counterpart, now and when they are resized. */
static bool is_paired(const struct belt_plan *plan, const struct belt_spec *spec, int p)
{
    const struct belt_processor_spec *to = &spec->processors[p];
    return to->from >= 0 && to->dispatch == BELT_DISPATCH_AUTO &&
           to->most == spec->processors[to->from].most &&
           plan->processor_instances[p] == plan->processor_instances[to->from] &&
           plan->processor_active[p] == plan->processor_active[to->from];
}

/* Those that the sources send to are counted; now those that others do. */
static int count_processors(struct belt_plan *plan, const struct belt_spec *spec, uint32_t usual,
                            struct belt_error *err)
{
    plan->processors = 0;
    for (int p = 0; p < spec->processors_used; p++) {
        const struct belt_processor_spec *at = &spec->processors[p];
        uint32_t active = p ? at->instances : plan->processor_active[0];
        if (!active)
            active =
                spec->processors[at->from].instances ? usual : plan->processor_active[at->from];
        plan->processor_instances[p] = p ? at->most : plan->heads;
        if (!plan->processor_instances[p])
            plan->processor_instances[p] = active;
        if (active > plan->processor_instances[p])
            active = plan->processor_instances[p];
        plan->processor_active[p] = active;
        plan->processor_paired[p] = is_paired(plan, spec, p);
        plan->processor_chains[p] = plan->processors;
        plan->processors += plan->processor_instances[p];
    }
    if (plan->processors > BELT_INSTANCES)
        return belt_error_config(err, "more than %d instances of processors", BELT_INSTANCES);
    int rc = 0;
    for (int p = 0; rc == 0 && p < spec->processors_used; p++)
        rc = check_copies(plan, spec, p, err);
    return rc;
}

/* What is tried again keeps its order within an instance: so nobody chooses several for him
 * who wants that, and a source's messages go to one. */
static int check_ordered(const struct belt_plan *plan, const struct belt_spec *spec,
                         struct belt_error *err)
{
    bool one_each = !plan->pooled && plan->sources == plan->heads;
    if (spec->retry_ordered < 0 || plan->heads == 1 || one_each)
        return 0;
    return belt_node_error(err, spec->processors[0].node,
                           "failed: ordered: messages of one value would go to any of %u instances "
                           "of this processor, where they cannot wait for each other: "
                           "concurrency: 1",
                           plan->heads);
}

static int count_instances(struct belt_plan *plan, const struct belt_spec *spec,
                           const struct belt_place_in *in, struct belt_error *err)
{
    bool one = plan->caller || spec->retry_ordered >= 0;
    uint32_t usual = one ? 1 : belt_place_concurrency(in);
    uint32_t stages =
        (uint32_t)(spec->sources_used > spec->processors_used ? spec->sources_used
                                                              : spec->processors_used);
    /* A machine may have more cores than a stage instances. */
    if (usual > BELT_INSTANCES / stages)
        usual = BELT_INSTANCES / stages;
    if (spec->placement.lanes && spec->placement.lanes < usual)
        usual = (uint32_t)spec->placement.lanes;
    const struct belt_processor_spec *first = &spec->processors[0];
    uint32_t sources = 0, processors = first->instances;
    bool threads = first->isolation == BELT_ISOLATION_THREAD, several = spec->sources_used > 1;
    bool shared = !any_ordered(spec) && threads, sized = first->most != 0;
    uint32_t each = count_heads(plan, spec, shared, usual);
    for (int s = 0; s < spec->sources_used; s++) {
        int rc = count_source(plan, spec, s, each, err);
        if (rc < 0)
            return rc;
        sources += plan->source_instances[s];
    }
    if (!processors && !sized)
        processors = several && threads ? usual : sources;
    if (!sized)
        plan->processor_active[0] = plan->heads = processors;
    if (sources > BELT_INSTANCES || plan->heads > BELT_INSTANCES)
        return belt_error_config(err, "more than %d instances of a stage", BELT_INSTANCES);
    plan->sources = sources;
    plan->first_processor = (uint32_t)spec->sources_used;
    plan->first_batcher = plan->first_processor + (uint32_t)spec->processors_used;
    plan->pooled = (several || sized || sources != processors) && shared;
    if (sized && sources != 1 && !plan->pooled)
        return belt_error_config(err,
                                 "max_concurrency of %s, with order: input or isolation: process, "
                                 "wants one source with concurrency: 1, not %u: or set order: any",
                                 first->name, sources);
    if (!sized && sources != processors && sources != 1 && !plan->pooled)
        return belt_error_config(err,
                                 "order: input and isolation: process want one source or as "
                                 "many as processors, not %u and %u: give them equal "
                                 "concurrency, or set order: any",
                                 sources, processors);
    int rc = check_ordered(plan, spec, err);
    return rc < 0 ? rc : count_processors(plan, spec, usual, err);
}

static int load_topology(struct belt_plan *plan, const struct belt_spec *spec,
                         struct belt_error *err)
{
    char why[400];
    const char *other = spec->placement.topology;
    if (!other || !*other) {
        int rc = belt_topology_load(&plan->topology, why, sizeof why);
        return rc < 0 ? belt_error_set(err, rc, "%s", why) : 0;
    }
    if (belt_topology_of(&plan->topology, other, why, sizeof why) < 0)
        return belt_error_config(err, "placement: %s", why);
    return 0;
}

static int place_stages(struct belt_plan *plan, struct belt_plan_in *x,
                        const struct belt_spec *spec, struct belt_error *err)
{
    char why[600];
    belt_plan_graph(x, plan, spec);
    int rc = belt_plan_fuse(x, spec, err);
    if (rc < 0)
        return rc;
    if (plan->caller) {
        x->in.lanes = 1;
        x->in.pin_count = x->in.wait_count = 0; /* the caller's thread is where it is */
    }
    if (belt_place_new(&plan->place, &x->in, why, sizeof why) < 0)
        return belt_error_config(err, "placement: %s", why);
    return 0;
}

int belt_plan_new(struct belt_plan **out, const struct belt_spec *spec, bool caller,
                  struct belt_error *err)
{
    struct belt_plan *plan = calloc(1, sizeof *plan);
    struct belt_plan_in *x = calloc(1, sizeof *x); /* the plan's, once there is one */
    int rc = plan && x ? 0 : belt_error_set(err, -ENOMEM, "plan: out of memory");
    if (plan)
        plan->in = x;
    if (rc == 0) {
        plan->caller = caller;
        rc = load_topology(plan, spec, err);
    }
    if (rc == 0)
        rc = belt_plan_read(x, spec, plan->topology, err);
    if (rc == 0)
        rc = count_instances(plan, spec, &x->in, err);
    if (rc == 0)
        rc = place_stages(plan, x, spec, err);
    if (rc < 0) {
        if (!plan)
            free(x);
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
    if (plan->in) {
        free(plan->in->measured_cpus);
        free(plan->in->measured_ns);
    }
    free(plan->in);
    free(plan);
}
