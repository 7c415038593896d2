/* The plan for programs. */
#include <string.h>

#include "core/pipeline_priv.h"
#include "core/plan_priv.h"

static void put_machine(const struct belt_plan *plan, FILE *out)
{
    const struct belt_memory_node *node;
    char list[512];
    belt_cpus_print(belt_topology_allowed(plan->topology), list, sizeof list);
    fprintf(out, "\"machine\": {\"here\": %s, \"cpus\": %u, \"allowed\": \"%s\", \"quota\": %u",
            belt_topology_here(plan->topology) ? "true" : "false",
            belt_cpus_count(belt_topology_known(plan->topology)), list,
            belt_topology_quota(plan->topology));
    fputs(", \"nodes\": [", out);
    for (uint32_t i = 0; (node = belt_topology_node(plan->topology, i)); i++)
        fprintf(out, "%s{\"node\": %d, \"bytes\": %llu, \"cpus\": %s}", i ? ", " : "", node->number,
                (unsigned long long)node->bytes, node->cpus ? "true" : "false");
    fputs("]}", out);
}

static void put_lane(const struct belt_plan *plan, uint32_t index, FILE *out)
{
    const struct belt_place_lane *lane = &plan->place->lanes[index];
    char text[160];
    belt_topology_word(plan->topology, lane->cpu, text, sizeof text);
    fprintf(
        out,
        "%s\n  {\"lane\": %u, \"cpu\": %d, \"hwloc\": \"%s\", \"node\": %d, \"memory_node\": %d, "
        "\"wait\": \"%s\", \"pinned\": %s, \"blocking\": %s, \"stages\": [",
        index ? "," : "", index, lane->cpu, text, lane->node, lane->memory,
        belt_wait_names[lane->wait], lane->pinned ? "true" : "false",
        lane->blocking ? "true" : "false");
    for (uint32_t i = lane->item_count; i-- > 0;) {
        belt_plan_item(plan, lane->items[i], text, sizeof text);
        fprintf(out, "\"%s\"%s", text, i ? ", " : "");
    }
    fputs("]}", out);
}

static void put_edges(const struct belt_plan_in *x, FILE *out)
{
    fputs("\"edges\": [", out);
    for (uint32_t e = 0; e < x->in.edge_count; e++)
        fprintf(out, "%s\n  {\"from\": \"%s\", \"to\": \"%s\", \"lines\": %u, \"each\": %s}",
                e ? "," : "", x->stages[x->edges[e].from].name, x->stages[x->edges[e].to].name,
                x->edges[e].weight, x->edges[e].each ? "true" : "false");
    fputs("]", out);
}

static void put_cost(const char *name, const struct belt_place_cost *cost, FILE *out)
{
    fprintf(out, " \"%s\": {\"shared\": %u, \"siblings\": %u, \"slow\": %u, \"ns\": %.3f},\n", name,
            cost->shared, cost->siblings, cost->slow, cost->ns);
}

static void put_lines(const char *name, const char *text, FILE *out)
{
    char line[600];
    fprintf(out, " \"%s\": [", name);
    for (const char *before = ""; *text; before = ",") {
        size_t size = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, text);
        fprintf(out, "%s\n  ", before);
        belt_put_json(line, out);
        text += size + (text[size] == '\n');
    }
    fputs("]", out);
}

int belt_plan_json(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    const struct belt_plan *plan = p->plan;
    uint64_t bytes;
    int rc = belt_plan_memory(p, &bytes, err);
    if (rc < 0)
        return rc;
    fputs("{\"name\": ", out);
    belt_put_json(p->spec->name, out);
    fputs(",\n ", out);
    put_machine(plan, out);
    fputs(",\n \"lanes\": [", out);
    for (uint32_t l = 0; l < plan->place->lane_count; l++)
        put_lane(plan, l, out);
    fputs("],\n ", out);
    put_edges(plan->in, out);
    fprintf(out, ",\n \"memory_bytes\": %llu,\n", (unsigned long long)bytes);
    put_cost("cost", &plan->place->cost, out);
    put_cost("by_number", &plan->place->naive, out);
    put_lines("notes", plan->place->notes, out);
    fputs(",\n", out);
    put_lines("reasons", plan->place->reasons, out);
    fputs("}\n", out);
    return 0;
}
