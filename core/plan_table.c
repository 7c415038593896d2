/* The plan for people: a table, the reasons, one line. */
#include <errno.h>
#include <string.h>

#include "core/pipeline_priv.h"
#include "core/placement.h"
#include "core/plan_priv.h"
#include "core/settings_priv.h"

/* ---- words ----------------------------------------------------------------------- */

int belt_plan_item(const struct belt_plan *plan, struct belt_place_item item, char *out,
                   size_t room)
{
    return snprintf(out, room, "%s.%u", plan->in->stages[item.stage].name, item.instance);
}

const char *belt_plan_waits(const struct belt_plan *plan)
{
    static const char *const names[] = {
        "",
        "backoff",
        "spin",
        "backoff and spin",
        "yield",
        "backoff and yield",
        "spin and yield",
        "backoff, spin and yield",
        "block",
        "backoff and block",
        "spin and block",
        "backoff, spin and block",
        "yield and block",
        "backoff, yield and block",
        "spin, yield and block",
        "backoff, spin, yield and block",
    };
    unsigned used = 0;
    for (uint32_t l = 0; l < plan->place->lane_count; l++)
        used |= 1u << plan->place->lanes[l].wait;
    return names[used & 15];
}

const char *belt_pipeline_means(const struct belt_pipeline *p)
{
    const struct belt_use *use = &p->spec->sources[0].use;
    const struct belt_source *part = (const struct belt_source *)(const void *)use->part;
    if (p->run && part->means && belt_load_acquire32(&p->run->ready))
        return part->means(p->run->sources[0].state);
    return p->spec->backend;
}

const char *belt_pipeline_name(const struct belt_pipeline *p)
{
    return p->spec ? p->spec->name : "";
}

static bool is_fused(const struct belt_plan *plan)
{
    return !plan->pooled && plan->sources == plan->heads &&
           belt_place_lane_of(plan->place, 0, 0) ==
               belt_place_lane_of(plan->place, plan->first_processor, 0);
}

const char *belt_pipeline_plan_line(struct belt_pipeline *p)
{
    const struct belt_plan *plan = p->plan;
    if (!plan)
        return "";
    struct belt_cpus cpus = { { 0 } };
    char list[128];
    for (uint32_t l = 0; l < plan->place->lane_count; l++)
        if (plan->place->lanes[l].cpu >= 0)
            belt_cpus_add(&cpus, plan->place->lanes[l].cpu);
    belt_cpus_print(&cpus, list, sizeof list);
    snprintf(p->plan_line, sizeof p->plan_line, "%u lane%s on CPU%s %s%s, %s, wait %s",
             plan->place->lane_count, plan->place->lane_count == 1 ? "" : "s",
             belt_cpus_count(&cpus) == 1 ? "" : "s", list, is_fused(plan) ? " (fused)" : "",
             belt_pipeline_means(p), belt_plan_waits(plan));
    return p->plan_line;
}

/* ---- memory ---------------------------------------------------------------------- */

int belt_plan_memory(struct belt_pipeline *p, uint64_t *out, struct belt_error *err)
{
    struct belt_engine_run *made = NULL;
    int rc = p->run ? 0 : belt_run_new(&made, p->spec, p->plan, NULL, err);
    if (rc < 0)
        return rc;
    *out = p->run ? p->run->memory : made->memory;
    belt_run_free(made);
    return 0;
}

/* ---- the table ------------------------------------------------------------------- */

static void print_stage(const struct belt_pipeline *p, struct belt_place_item item, FILE *out)
{
    char name[160];
    belt_plan_item(p->plan, item, name, sizeof name);
    fputs(name, out);
    if (item.stage < p->plan->first_processor)
        fprintf(out, " (%s)", p->spec->sources[item.stage].use.part->name);
}

static void print_lane(const struct belt_pipeline *p, uint32_t index, int width, FILE *out)
{
    const struct belt_place_lane *lane = &p->plan->place->lanes[index];
    char word[64];
    belt_topology_word(p->plan->topology, lane->cpu, word, sizeof word);
    fprintf(out, "%4u  %3d  %-*s  %4d  ", index, lane->cpu, width, word, lane->node);
    if (lane->memory != lane->node)
        fprintf(out, "%6d  ", lane->memory);
    else
        fprintf(out, "%6s  ", "same");
    fprintf(out, "%-7s  ", belt_wait_names[lane->wait]);
    for (uint32_t i = lane->item_count; i-- > 0;) {
        print_stage(p, lane->items[i], out);
        fputs(i ? " > " : "", out);
    }
    fprintf(out, "%s\n", lane->pinned ? "  (pinned by hand)" : "");
}

static void print_head(const struct belt_pipeline *p, FILE *out)
{
    const struct belt_plan *plan = p->plan;
    const struct belt_place *place = plan->place;
    struct belt_cpus cpus = { { 0 } };
    char list[128];
    for (uint32_t l = 0; l < place->lane_count; l++)
        belt_cpus_add(&cpus, place->lanes[l].cpu);
    belt_cpus_print(&cpus, list, sizeof list);
    uint32_t nodes = belt_topology_nodes(plan->topology);
    fprintf(out, "%s: %u lane%s on CPU%s %s of %u, %u node%s, wait %s%s\n", p->spec->name,
            place->lane_count, place->lane_count == 1 ? "" : "s",
            belt_cpus_count(&cpus) == 1 ? "" : "s", list,
            belt_cpus_count(belt_topology_known(plan->topology)), nodes, nodes == 1 ? "" : "s",
            belt_plan_waits(plan),
            belt_topology_here(plan->topology) ? "" : "; for another machine");
}

static int print_table(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    const struct belt_place *place = p->plan->place;
    char memory[BELT_UNIT_ROOM], word[64];
    uint64_t bytes;
    int rc = belt_plan_memory(p, &bytes, err), width = 5;
    if (rc < 0)
        return rc;
    for (uint32_t l = 0; l < place->lane_count; l++) {
        int size = belt_topology_word(p->plan->topology, place->lanes[l].cpu, word, sizeof word);
        width = size > width ? size : width;
    }
    print_head(p, out);
    fprintf(out, "lane  cpu  %-*s  node  memory  wait     stages, as data flows\n", width, "hwloc");
    for (uint32_t l = 0; l < place->lane_count; l++)
        print_lane(p, l, width, out);
    fprintf(out, "memory: %s for edges, slabs, ledgers, steps, sinks and open batches",
            belt_format_size(bytes, memory));
    for (int o = 0; o < p->spec->batchers_used; o++)
        if (p->spec->batchers[o].aggregate)
            fprintf(out, "; groups of %s beside it, as they come", p->spec->batchers[o].path);
    fprintf(out, "\n%s", place->notes);
    return 0;
}

static int print_reasons(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    int rc = print_table(p, out, err);
    if (rc == 0)
        fprintf(out, "\nwhy:\n%s", p->plan->place->reasons);
    return rc;
}

/* ---- all forms ------------------------------------------------------------------- */

int belt_pipeline_plan(struct belt_pipeline *p, enum belt_plan_form form, FILE *out,
                       struct belt_error *err)
{
    static int (*const forms[])(struct belt_pipeline *, FILE *, struct belt_error *) = {
        [BELT_PLAN_TABLE] = print_table,         [BELT_PLAN_EXPLAIN] = print_reasons,
        [BELT_PLAN_JSON] = belt_plan_json,       [BELT_PLAN_PICTURE] = belt_plan_picture,
        [BELT_PLAN_OVERLAY] = belt_plan_overlay,
    };
    if ((unsigned)form >= sizeof forms / sizeof *forms)
        return belt_error_set(err, -EINVAL, "plan: no such form");
    int rc = belt_pipeline_validate(p, err);
    if (rc == 0)
        rc = forms[form](p, out, err);
    if (rc == 0 && ferror(out))
        rc = belt_error_set(err, -EIO, "plan: cannot be written");
    return rc;
}

int belt_pipeline_print_plan(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    return belt_pipeline_plan(p, BELT_PLAN_TABLE, out, err);
}
