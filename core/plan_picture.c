/* The plan as a picture: boxes in boxes for packages, nodes, caches and cores, the lanes
 * on them, and lines for what flows between them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/picture_priv.h"
#include "core/pipeline_priv.h"
#include "core/plan_priv.h"

/* ---- the machine as boxes in boxes ------------------------------------------------- */

enum level { PACKAGE, NODE, L3, L2, CORE, LEVELS };

static const struct {
    const char *name, *fill, *line;
} looks[LEVELS] = {
    [PACKAGE] = { "package", "#f6f7f9", "#b8bec8" }, [NODE] = { "node", "#eef3fb", "#8fa9d0" },
    [L3] = { "L3", "#e9f5ee", "#93c3a5" },           [L2] = { "L2", "#f7f4e6", "#cbbd7c" },
    [CORE] = { "core", "#ffffff", "#9aa1ab" },
};

static int object_of(const struct belt_cpu *cpu, enum level level)
{
    const int objects[LEVELS] = { cpu->package, cpu->node, cpu->l3, cpu->l2, cpu->core };
    return objects[level];
}

/* The CPUs of `in` that share this one's object; moved out of it. */
static struct belt_cpus take_object(const struct belt_topology *topology, struct belt_cpus *in,
                                    int cpu, enum level level)
{
    struct belt_cpus out = { { 0 } };
    int object = object_of(belt_topology_cpu(topology, cpu), level);
    BELT_CPUS_EACH(in, other)
    if (object_of(belt_topology_cpu(topology, other), level) == object)
        belt_cpus_add(&out, other);
    *in = belt_cpus_minus(in, &out);
    return out;
}

/* No such cache, or one for each core, which the core's own box stands for. */
static bool is_drawn(const struct belt_topology *topology, const struct belt_cpus *cpus,
                     enum level level)
{
    const struct belt_cpu *first = belt_topology_cpu(topology, belt_cpus_next(cpus, 0));
    if (level != L2 && level != L3)
        return true;
    if (object_of(first, level) < 0)
        return false;
    BELT_CPUS_EACH(cpus, cpu)
    if (belt_topology_cpu(topology, cpu)->core != first->core)
        return true;
    return false;
}

/* ---- sizes ----------------------------------------------------------------------- */

#define PAD 8
#define TITLE 16
#define LINE 13

struct picture {
    const struct belt_pipeline *p;
    const struct belt_topology *topology;
    const struct belt_place *place;
    FILE *out;
    uint32_t lines;          /* of stages, in a lane's box */
    int core_width;          /* all cores are as big as the biggest */
    int pu_height[64];       /* by a PU's rank in its core */
    struct belt_point *lane; /* [lanes]: where its lines end, aside of its words */
};

static int columns_of(uint32_t count)
{
    int columns = 1;
    while ((uint32_t)(columns * columns) < count)
        columns++;
    return columns;
}

static uint32_t lanes_on(const struct picture *x, int cpu)
{
    uint32_t count = 0;
    for (uint32_t l = 0; l < x->place->lane_count; l++)
        count += x->place->lanes[l].cpu == cpu;
    return count;
}

static uint32_t lines_of(const struct picture *x, const struct belt_place_lane *lane)
{
    return lane->item_count < x->lines ? lane->item_count : x->lines;
}

static int lane_height(const struct picture *x, const struct belt_place_lane *lane)
{
    return 4 + LINE * (int)(1 + lines_of(x, lane)) + 4;
}

static void measure_pus(struct picture *x)
{
    BELT_CPUS_EACH(belt_topology_known(x->topology), cpu)
    {
        int height = TITLE;
        for (uint32_t l = 0; l < x->place->lane_count; l++)
            if (x->place->lanes[l].cpu == cpu)
                height += lane_height(x, &x->place->lanes[l]);
        int *most = &x->pu_height[belt_topology_cpu(x->topology, cpu)->smt & 63];
        *most = height > *most ? height : *most;
    }
}

/* Of the box for these CPUs from this level down. */
static struct belt_point measure(const struct picture *x, struct belt_cpus cpus, enum level level)
{
    if (level == LEVELS) {
        struct belt_point size = { x->core_width, 0 };
        BELT_CPUS_EACH(&cpus, cpu)
        size.y += x->pu_height[belt_topology_cpu(x->topology, cpu)->smt & 63] + 4;
        return size;
    }
    struct belt_point most = { 0, 0 };
    uint32_t count = 0;
    for (int first; (first = belt_cpus_next(&cpus, 0)) >= 0; count++) {
        struct belt_cpus own = take_object(x->topology, &cpus, first, level);
        struct belt_point size = measure(x, own, level + 1);
        if (is_drawn(x->topology, &own, level)) {
            size.x += 2 * PAD;
            size.y += TITLE + PAD;
        }
        most.x = size.x > most.x ? size.x : most.x;
        most.y = size.y > most.y ? size.y : most.y;
    }
    int columns = columns_of(count), rows = ((int)count + columns - 1) / columns;
    return (struct belt_point){ columns * (most.x + PAD) - PAD, rows * (most.y + PAD) - PAD };
}

/* ---- drawing --------------------------------------------------------------------- */

#define END 14 /* of a lane's lines, from the right edge of its box */

static void draw_lane(struct picture *x, uint32_t index)
{
    const struct belt_place_lane *lane = &x->place->lanes[index];
    int height = lane_height(x, lane) - 4, width = x->core_width - 4;
    int left = x->lane[index].x + END - width, top = x->lane[index].y - height / 2;
    belt_svg_box(x->out, left, top, width, height, lane->blocking ? "#e5d5f5" : "#cfe3ff",
                 lane->pinned ? "#1b3a6b" : "#6f93c9", lane->pinned ? 2 : 1);
    belt_svg_text(x->out, left + 5, top + LINE, "lane", "lane %u%s%s", index,
                  lane->pinned ? ", pinned" : "", lane->blocking ? ", blocking" : "");
    uint32_t shown = lines_of(x, lane);
    for (uint32_t i = 0; i < shown; i++) {
        char name[160];
        /* As data flows. */
        belt_plan_item(x->p->plan, lane->items[lane->item_count - 1 - i], name, sizeof name);
        bool cut = i + 1 == shown && shown < lane->item_count;
        if (cut)
            snprintf(name, sizeof name, "and %u more", lane->item_count - i);
        belt_svg_text(x->out, left + 5, top + LINE * (int)(i + 2), "stage", "%s", name);
    }
}

static const char *state_of(const struct picture *x, int cpu)
{
    if (belt_cpus_has(belt_topology_isolated(x->topology), cpu))
        return ", isolated";
    return belt_cpus_has(belt_topology_allowed(x->topology), cpu) ? "" : ", not allowed";
}

/* The threads of a core, one below the other. */
static void draw_pus(struct picture *x, const struct belt_cpus *cpus, int left, int top)
{
    BELT_CPUS_EACH(cpus, cpu)
    {
        int height = x->pu_height[belt_topology_cpu(x->topology, cpu)->smt & 63];
        char word[64];
        belt_topology_word(x->topology, cpu, word, sizeof word);
        bool used = lanes_on(x, cpu) > 0;
        belt_svg_box(x->out, left, top, x->core_width, height,
                     *state_of(x, cpu) ? "#e3e3e3"
                     : used            ? "#ffffff"
                                       : "#f4f4f4",
                     "#cfd3d9", 1);
        belt_svg_text(x->out, left + 5, top + 12, "pu", "CPU %d  %s%s", cpu, word,
                      state_of(x, cpu));
        int at = top + TITLE;
        for (uint32_t l = 0; l < x->place->lane_count; l++)
            if (x->place->lanes[l].cpu == cpu) {
                int all = lane_height(x, &x->place->lanes[l]);
                x->lane[l] =
                    (struct belt_point){ left + x->core_width - 2 - END, at + (all - 4) / 2 };
                at += all;
            }
        top += height + 4;
    }
}

static void title_of(const struct picture *x, int cpu, enum level level, char *out, size_t room)
{
    const struct belt_cpu *at = belt_topology_cpu(x->topology, cpu);
    const struct belt_memory_node *node;
    snprintf(out, room, "%s %d", looks[level].name, object_of(at, level));
    if (level == CORE && belt_topology_speeds(x->topology) > 1)
        snprintf(out, room, "core %d, speed %d", at->core, at->speed);
    for (uint32_t i = 0; level == NODE && (node = belt_topology_node(x->topology, i)); i++)
        if (node->number == at->node && node->bytes)
            snprintf(out, room, "node %d, %.1f GiB", at->node, (double)node->bytes / (1u << 30));
}

static void draw(struct picture *x, struct belt_cpus cpus, enum level level, int left, int top)
{
    struct belt_cpus left_over = cpus, objects = cpus;
    struct belt_point cell = { 0, 0 };
    uint32_t count = 0, index = 0;
    if (level == LEVELS) {
        draw_pus(x, &cpus, left, top);
        return;
    }
    for (int first; (first = belt_cpus_next(&objects, 0)) >= 0; count++) {
        struct belt_cpus own = take_object(x->topology, &objects, first, level);
        struct belt_point size = measure(x, own, level + 1);
        int frame = is_drawn(x->topology, &own, level);
        size.x += frame * 2 * PAD;
        size.y += frame * (TITLE + PAD);
        cell.x = size.x > cell.x ? size.x : cell.x;
        cell.y = size.y > cell.y ? size.y : cell.y;
    }
    int columns = columns_of(count);
    for (int first; (first = belt_cpus_next(&left_over, 0)) >= 0; index++) {
        struct belt_cpus own = take_object(x->topology, &left_over, first, level);
        int at_x = left + (int)index % columns * (cell.x + PAD);
        int at_y = top + (int)index / columns * (cell.y + PAD);
        if (!is_drawn(x->topology, &own, level)) {
            draw(x, own, level + 1, at_x, at_y);
            continue;
        }
        char title[80];
        title_of(x, first, level, title, sizeof title);
        belt_svg_box(x->out, at_x, at_y, cell.x, cell.y, looks[level].fill, looks[level].line, 1);
        belt_svg_text(x->out, at_x + PAD, at_y + 12, "title", "%s", title);
        draw(x, own, level + 1, at_x + PAD, at_y + TITLE);
    }
}

/* ---- what flows ------------------------------------------------------------------ */

#define FLOWS 200  /* more lines hide what is below */
#define WEIGHTS 24 /* more numbers hide each other */

struct flow {
    uint32_t from, to;
    double lines;
};

static int by_lines(const void *a, const void *b)
{
    const struct flow *x = a, *y = b;
    if (x->lines != y->lines)
        return x->lines > y->lines ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static void add_edge(const struct picture *x, const struct belt_place_edge *edge, float *between)
{
    const struct belt_place_stage *stages = x->p->plan->in->stages;
    uint32_t lanes = x->place->lane_count;
    uint32_t to_count = stages[edge->to].instances;
    for (uint32_t i = 0; i < stages[edge->from].instances; i++)
        for (uint32_t j = 0; j < to_count; j++) {
            if (!edge->each && j != i % to_count)
                continue;
            uint32_t a = belt_place_lane_of(x->place, edge->from, i);
            uint32_t b = belt_place_lane_of(x->place, edge->to, j);
            if (a != b)
                between[(size_t)a * lanes + b] +=
                    (float)edge->weight / (float)(edge->each ? to_count : 1);
        }
}

static const char *colour_of(const struct picture *x, const struct flow *flow)
{
    const struct belt_cpu *a = belt_topology_cpu(x->topology, x->place->lanes[flow->from].cpu);
    const struct belt_cpu *b = belt_topology_cpu(x->topology, x->place->lanes[flow->to].cpu);
    if (a->node != b->node)
        return "#d0342c";
    return a->l3 >= 0 && a->l3 == b->l3 ? "#2c8a4b" : "#d98a00";
}

static void draw_flows(struct picture *x, struct flow *flows, uint32_t count)
{
    uint32_t shown = count < FLOWS ? count : FLOWS;
    qsort(flows, count, sizeof *flows, by_lines);
    for (uint32_t i = shown; i-- > 0;) {
        double part = flows[i].lines / flows[0].lines;
        belt_svg_arrow(x->out, x->lane[flows[i].from], x->lane[flows[i].to],
                       colour_of(x, &flows[i]), 1 + 4 * part);
    }
}

static void draw_weights(struct picture *x, const struct flow *flows, uint32_t count)
{
    for (uint32_t i = 0; count <= WEIGHTS && i < count; i++)
        belt_svg_weight(x->out, x->lane[flows[i].from], x->lane[flows[i].to], flows[i].lines);
}

static int find_flows(struct picture *x, struct flow **out, uint32_t *count)
{
    uint32_t lanes = x->place->lane_count;
    const struct belt_plan_in *in = x->p->plan->in;
    float *between = calloc((size_t)lanes * lanes, sizeof *between);
    struct flow *flows = calloc((size_t)lanes * lanes, sizeof *flows);
    if (!between || !flows) {
        free(between);
        free(flows);
        return -ENOMEM;
    }
    for (uint32_t e = 0; e < in->in.edge_count; e++)
        add_edge(x, &in->edges[e], between);
    *count = 0;
    for (uint32_t a = 0; a < lanes; a++)
        for (uint32_t b = 0; b < lanes; b++)
            if (between[(size_t)a * lanes + b] > 0)
                flows[(*count)++] = (struct flow){ a, b, (double)between[(size_t)a * lanes + b] };
    free(between);
    *out = flows;
    return 0;
}

/* ---- all of it ------------------------------------------------------------------- */

static void draw_legend(struct picture *x, int top, uint32_t flows)
{
    static const char *const lines[][2] = { { "#2c8a4b", "within an L3 cache" },
                                            { "#d98a00", "within a node" },
                                            { "#d0342c", "between nodes" } };
    int left = PAD;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++, left += 160) {
        belt_svg_box(x->out, left, top - 5, 24, 4, lines[i][0], lines[i][0], 1);
        belt_svg_text(x->out, left + 30, top, "stage", "%s", lines[i][1]);
    }
    top += LINE + 3;
    if (flows > FLOWS)
        belt_svg_text(x->out, PAD, top, "stage", "the %u widest of %u ways are drawn", FLOWS,
                      flows);
    else if (flows <= WEIGHTS)
        belt_svg_text(x->out, PAD, top, "stage",
                      "numbers: cache lines, beside those of the other ways");
}

/* Memory that no CPU is on. */
static void draw_memory(struct picture *x, int top)
{
    const struct belt_memory_node *node;
    int left = PAD;
    for (uint32_t i = 0; (node = belt_topology_node(x->topology, i)); i++) {
        if (node->cpus)
            continue;
        belt_svg_box(x->out, left, top, 220, 24, looks[NODE].fill, looks[NODE].line, 1);
        belt_svg_text(x->out, left + PAD, top + 16, "title", "node %d, %.1f GiB, no CPUs",
                      node->number, (double)node->bytes / (1u << 30));
        left += 228;
    }
}

int belt_plan_picture(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    struct picture x = { .p = p,
                         .out = out,
                         .topology = p->plan->topology,
                         .place = p->plan->place,
                         .core_width = 190 };
    struct flow *flows = NULL;
    uint32_t count = 0;
    x.lines = x.place->lane_count <= 32 ? 6 : 3;
    x.lane = calloc(x.place->lane_count, sizeof *x.lane);
    if (!x.lane || find_flows(&x, &flows, &count) < 0) {
        free(x.lane);
        return belt_error_set(err, -ENOMEM, "picture: out of memory");
    }
    measure_pus(&x);
    struct belt_point size = measure(&x, *belt_topology_known(x.topology), PACKAGE);
    int height = size.y + 110;
    belt_svg_begin(out, (size.x < 560 ? 560 : size.x) + 2 * PAD, height);
    belt_svg_text(out, PAD, 20, "head", "%s: %u lane%s, wait %s", p->spec->name,
                  x.place->lane_count, x.place->lane_count == 1 ? "" : "s",
                  belt_plan_waits(p->plan));
    draw(&x, *belt_topology_known(x.topology), PACKAGE, PAD, 34);
    draw_memory(&x, size.y + 42);
    /* Words stay readable: lines end under the boxes. */
    draw_flows(&x, flows, count);
    for (uint32_t l = 0; l < x.place->lane_count; l++)
        draw_lane(&x, l);
    draw_weights(&x, flows, count);
    draw_legend(&x, height - 26, count);
    belt_svg_end(out);
    free(x.lane);
    free(flows);
    return 0;
}
