/* The plan as settings: laid over the pipeline they give it again. */
#include "core/pipeline_priv.h"
#include "core/plan_priv.h"

static bool is_light(const struct belt_plan *plan, uint32_t stage)
{
    return plan->in->stages[stage].light && plan->in->in.fuse == BELT_FUSE_AUTO &&
           !plan->in->stages[stage].blocking;
}

static void put_pin(const struct belt_plan *plan, struct belt_place_item item, int cpu, FILE *out)
{
    char name[160];
    belt_plan_item(plan, item, name, sizeof name);
    fprintf(out, "    \"%s\": \"%d\"\n", name, cpu);
}

/* Whether a batcher that is pinned to this lane's CPU comes to this lane. */
static bool is_first_on_cpu(const struct belt_place *place, const struct belt_place_lane *lane)
{
    const struct belt_place_lane *at = place->lanes;
    while (at->blocking || at->cpu != lane->cpu)
        at++;
    return at == lane;
}

/* The first stage that has the lane for itself pins it, and batchers find it by its CPU. Where
 * lanes share a CPU those on the others find theirs as they did, by what there is to do. */
static void put_lane(const struct belt_plan *plan, const struct belt_place_lane *lane, FILE *out)
{
    bool pinned = false, first = !lane->blocking && is_first_on_cpu(plan->place, lane);
    for (uint32_t i = lane->item_count; i-- > 0;) {
        bool light = is_light(plan, lane->items[i].stage);
        if (light ? first : !pinned)
            put_pin(plan, lane->items[i], lane->cpu, out);
        pinned |= !light;
    }
}

static void put_waits(const struct belt_plan *plan, FILE *out)
{
    const struct belt_place_in *in = &plan->in->in;
    fprintf(out, "  wait:\n    all: %s\n", belt_wait_names[in->wait]);
    for (uint32_t i = 0; i < in->wait_count; i++) {
        fprintf(out, "    \"%s", in->waits[i].stage);
        if (in->waits[i].instance != BELT_PLACE_EVERY)
            fprintf(out, ".%u", in->waits[i].instance);
        fprintf(out, "\": %s\n", belt_wait_names[in->waits[i].wait]);
    }
}

/* Groups have their numbers from 1 up. */
static void put_groups(const struct belt_plan_in *x, FILE *out)
{
    uint32_t most = 0;
    fputs("  fuse:\n", out);
    for (uint32_t s = 0; s < x->in.stage_count; s++)
        most = x->stages[s].chain > most ? x->stages[s].chain : most;
    for (uint32_t group = 1; group <= most; group++) {
        const char *before = "";
        fputs("    - ", out);
        for (uint32_t s = 0; s < x->in.stage_count; s++)
            if (x->stages[s].chain == group) {
                fprintf(out, "%s%s", before, x->stages[s].name);
                before = "+";
            }
        fputc('\n', out);
    }
}

static void put_fuse(const struct belt_plan_in *x, FILE *out)
{
    if (x->in.fuse == BELT_FUSE_GROUPS)
        put_groups(x, out);
    else
        fprintf(out, "  fuse: %s\n", x->in.fuse == BELT_FUSE_NONE ? "none" : "auto");
}

/* By hand, or those that the default is. */
static void put_cpus(const struct belt_plan *plan, FILE *out)
{
    const struct belt_place_in *in = &plan->in->in;
    char list[1024];
    struct belt_cpus cpus = *belt_topology_allowed(plan->topology);
    struct belt_cpus rest = belt_cpus_minus(&cpus, belt_topology_isolated(plan->topology));
    cpus = in->cpus ? *in->cpus : belt_cpus_next(&rest, 0) >= 0 ? rest : cpus;
    for (uint32_t l = 0; l < plan->place->lane_count; l++) /* isolated ones that were pinned to */
        belt_cpus_add(&cpus, plan->place->lanes[l].cpu);
    belt_cpus_print(&cpus, list, sizeof list);
    fprintf(out, "  cpus: \"%s\"\n", list);
}

/* Blocking ones are not counted by `lanes`. */
static uint32_t shared_lanes(const struct belt_place *place)
{
    uint32_t count = 0;
    for (uint32_t l = 0; l < place->lane_count; l++)
        count += !place->lanes[l].blocking;
    return count;
}

int belt_plan_overlay(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    static const char *const smts[] = { "auto", "on", "off" };
    static const char *const pages[] = { "auto", "reserved", "off" };
    const struct belt_plan *plan = p->plan;
    const struct belt_placement_conf *conf = &p->spec->placement;
    (void)err;
    fprintf(out, "# Where %s runs, for --with; made by beltway plan --save.\nplacement:\n",
            p->spec->name);
    put_cpus(plan, out);
    fprintf(out, "  smt: \"%s\"\n", smts[conf->smt]);
    fprintf(out, "  lanes: %u\n", shared_lanes(plan->place));
    put_fuse(plan->in, out);
    put_waits(plan, out);
    fprintf(out, "  huge_pages: \"%s\"\n", pages[conf->huge_pages]);
    if (conf->memory_node >= 0)
        fprintf(out, "  memory_node: %lld\n", (long long)conf->memory_node);
    fputs("  pin:\n", out);
    for (uint32_t l = 0; l < plan->place->lane_count; l++)
        put_lane(plan, &plan->place->lanes[l], out);
    return 0;
}
