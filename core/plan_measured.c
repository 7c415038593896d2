/* placement.measured: what `beltway bench cores --json FILE` found on this machine. YAML
 * takes JSON, so the tree reads it. */
#include <errno.h>
#include <stdlib.h>

#include "core/plan_priv.h"
#include "core/tree_priv.h"

#define NS_MOST 1e9

static int read_ns(const struct belt_node *node, float *out, struct belt_error *err)
{
    const char *text = node ? belt_node_text(node) : NULL;
    char *end = NULL;
    double value = text ? strtod(text, &end) : -1;
    if (!text || end == text || *end || !(value >= 0 && value <= NS_MOST))
        return belt_node_error(err, node, "latency_ns: nanoseconds from 0 to a second, not '%s'",
                               text ? text : "a list");
    *out = (float)value;
    return 0;
}

static int read_cpu(const struct belt_node *node, int *out, struct belt_error *err)
{
    const char *text = node ? belt_node_text(node) : NULL;
    char *end = NULL;
    long cpu = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || cpu < 0 || cpu >= BELT_CPUS)
        return belt_node_error(err, node, "cpus: a number from 0 to %d, not '%s'", BELT_CPUS - 1,
                               text ? text : "a list");
    *out = (int)cpu;
    return 0;
}

/* A row of the matrix: as many numbers as there are CPUs. */
static int read_row(const struct belt_node *row, uint32_t count, float *ns, struct belt_error *err)
{
    if (belt_node_count(row) != count)
        return belt_node_error(err, row, "latency_ns: %u numbers a row, one for each of cpus",
                               count);
    for (uint32_t j = 0; j < count; j++) {
        int rc = read_ns(belt_node_at(row, j), &ns[j], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fill(struct belt_plan_in *x, const struct belt_node *cpus, const struct belt_node *rows,
                struct belt_error *err)
{
    uint32_t count = x->measured.count;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = read_cpu(belt_node_at(cpus, i), &x->measured_cpus[i], err);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = read_row(belt_node_at(rows, i), count, &x->measured_ns[(size_t)i * count], err);
    return rc;
}

static int read_tree(struct belt_plan_in *x, const struct belt_node *root, const char *path,
                     struct belt_error *err)
{
    const struct belt_node *cpus = belt_node_get(root, "cpus");
    const struct belt_node *rows = belt_node_get(root, "latency_ns");
    uint32_t count = cpus ? (uint32_t)belt_node_count(cpus) : 0;
    if (!count || !rows || belt_node_count(rows) != count)
        return belt_error_config(err,
                                 "placement.measured: %s is not what `beltway bench cores --json "
                                 "FILE` writes: it lacks cpus, or latency_ns with a row for each",
                                 path);
    x->measured_cpus = calloc(count, sizeof *x->measured_cpus);
    x->measured_ns = calloc((size_t)count * count, sizeof *x->measured_ns);
    if (!x->measured_cpus || !x->measured_ns)
        return belt_error_set(err, -ENOMEM, "placement.measured: out of memory");
    x->measured = (struct belt_place_measured){ count, x->measured_cpus, x->measured_ns };
    x->in.measured = &x->measured;
    return fill(x, cpus, rows, err);
}

int belt_plan_measured(struct belt_plan_in *x, const char *path, struct belt_error *err)
{
    struct belt_tree *tree = belt_tree_new();
    if (!tree)
        return belt_error_set(err, -ENOMEM, "placement.measured: out of memory");
    int rc = belt_tree_load(tree, path, err);
    if (rc == 0)
        rc = read_tree(x, belt_tree_root(tree), path, err);
    belt_tree_free(tree);
    return rc;
}
