/* The graph that the planner sees: stages, their work, what flows between them. */
#include "core/plan_priv.h"

/* Cache lines and work of an instance, beside others': orders of magnitude, by measurement
 * of sensors (decisions/004). A source's bytes are all read again by the steps; rows are
 * a part of them; an aggregate hands over a table now and then. */
enum {
    LINES_READ = 64,
    LINES_LINK = 64,
    LINES_ROWS = 24,
    LINES_TABLE = 2,
    LINES_FAILED = 1,
    WORK_SOURCE = 6,
    WORK_CHAIN = 4,
    WORK_STEP = 4,
    WORK_ROWS = 4,
    WORK_TABLE = 1
};

static void add_edge(struct belt_plan_in *x, uint32_t from, uint32_t to, uint32_t weight, bool each)
{
    if (x->in.edge_count < BELT_PLAN_EDGES)
        x->edges[x->in.edge_count++] = (struct belt_place_edge){ from, to, weight, each };
}

static void add_sources(struct belt_plan_in *x, const struct belt_plan *plan,
                        const struct belt_spec *spec)
{
    bool paired = !plan->pooled && plan->sources == plan->heads;
    for (int s = 0; s < spec->sources_used; s++) {
        x->stages[s] = (struct belt_place_stage){ .name = spec->sources[s].path,
                                                  .instances = plan->source_instances[s],
                                                  .chain = 1,
                                                  .reads = true,
                                                  .work = WORK_SOURCE };
        add_edge(x, (uint32_t)s, plan->first_processor, LINES_READ, !paired);
    }
}

static void add_processors(struct belt_plan_in *x, const struct belt_plan *plan,
                           const struct belt_spec *spec)
{
    for (int p = 0; p < spec->processors_used; p++) {
        const struct belt_processor_spec *at = &spec->processors[p];
        x->stages[plan->first_processor + (uint32_t)p] =
            (struct belt_place_stage){ .name = at->name,
                                       .instances = plan->processor_instances[p],
                                       .chain = 1,
                                       .work = WORK_CHAIN + WORK_STEP * (uint32_t)at->steps_used,
                                       .blocking = at->blocking && !plan->caller };
        if (at->from < 0)
            continue;
        bool paired = at->dispatch == BELT_DISPATCH_AUTO &&
                      plan->processor_instances[p] == plan->processor_instances[at->from];
        add_edge(x, plan->first_processor + (uint32_t)at->from, plan->first_processor + (uint32_t)p,
                 LINES_LINK, !paired);
    }
}

static void add_batchers(struct belt_plan_in *x, const struct belt_plan *plan,
                         const struct belt_spec *spec)
{
    for (int i = 0; i < belt_spec_outlets(spec); i++) {
        const struct belt_batcher_spec *at = &spec->batchers[i];
        uint32_t stage = plan->first_batcher + (uint32_t)i;
        bool failed = belt_spec_is_failed(spec, at);
        x->stages[stage] =
            (struct belt_place_stage){ .name = at->path,
                                       .instances = at->instances,
                                       .light = true,
                                       .work = failed || at->aggregate ? WORK_TABLE : WORK_ROWS,
                                       .blocking = at->blocking && !plan->caller };
        for (int p = 0; p < spec->processors_used; p++)
            if (failed || !spec->processors[p].children)
                add_edge(x, plan->first_processor + (uint32_t)p, stage,
                         failed          ? LINES_FAILED
                         : at->aggregate ? LINES_TABLE
                                         : LINES_ROWS,
                         true);
    }
}

void belt_plan_graph(struct belt_plan_in *x, const struct belt_plan *plan,
                     const struct belt_spec *spec)
{
    add_sources(x, plan, spec);
    add_processors(x, plan, spec);
    add_batchers(x, plan, spec);
    x->in.stages = x->stages;
    x->in.edges = x->edges;
    x->in.stage_count = plan->first_batcher + (uint32_t)belt_spec_outlets(spec);
}
