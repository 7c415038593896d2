/* hwloc's words for CPUs: "numa:0.core:1-3". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/topology_priv.h"

static const struct kind {
    const char *name;
    size_t offset; /* of its number in struct belt_cpu */
    bool node;
} kinds[] = {
#define KIND(name, member)                                                                         \
    {                                                                                              \
        name, offsetof(struct belt_cpu, member), false                                             \
    }
    KIND("core", core),      KIND("pu", pu),      KIND("package", package),
    KIND("socket", package), KIND("l3", l3),      KIND("l2", l2),
#undef KIND
    { "numa", 0, true },     { "node", 0, true },
};

#define KINDS (sizeof kinds / sizeof *kinds)

/* Nodes are counted in hwloc's order, as all others; the kernel's numbers may have gaps. */
static int node_rank(const struct belt_topology *topology, int number)
{
    for (uint32_t i = 0; i < topology->nodes_used; i++)
        if (topology->nodes[i].number == number)
            return (int)i;
    return -1;
}

/* The number of the object of this kind that the CPU is in; -1: none. */
static int object_of(const struct belt_topology *topology, const struct kind *kind, int cpu)
{
    const struct belt_cpu *at = &topology->cpus[cpu];
    if (kind->node)
        return node_rank(topology, at->node);
    int object = *(const int *)(const void *)((const char *)at + kind->offset);
    return object < BELT_CPUS ? object : -1;
}

/* Bits of object numbers; as many as CPUs. */
struct chosen {
    bool all;
    struct belt_cpus numbers;
};

/* Those of `in` whose object of this kind, counted within `in`, is chosen. */
static struct belt_cpus choose(const struct belt_topology *topology, const struct kind *kind,
                               const struct belt_cpus *in, const struct chosen *chosen)
{
    struct belt_cpus out = { { 0 } }, there = { { 0 } };
    BELT_CPUS_EACH(in, cpu)
    {
        int object = object_of(topology, kind, cpu);
        if (object >= 0)
            belt_cpus_add(&there, object);
    }
    /* Nodes keep their numbers: one without CPUs counts, too. */
    bool absolute = kind->node && memcmp(in, &topology->known, sizeof *in) == 0;
    BELT_CPUS_EACH(in, cpu)
    {
        int object = object_of(topology, kind, cpu), rank = 0;
        for (int o = absolute ? -1 : belt_cpus_next(&there, 0); o >= 0 && o < object;
             o = belt_cpus_next(&there, o + 1))
            rank++;
        rank = absolute ? object : rank;
        if (object >= 0 && (chosen->all || belt_cpus_has(&chosen->numbers, rank)))
            belt_cpus_add(&out, cpu);
    }
    return out;
}

/* "core:1-3" of `text`, which is moved behind it. */
static const struct kind *read_step(const char **text, struct chosen *chosen)
{
    static const struct belt_cpus none;
    char range[64], why[1];
    const char *colon = strchr(*text, ':');
    size_t name = colon ? (size_t)(colon - *text) : 0, size = colon ? strcspn(colon + 1, ".") : 0;
    *chosen = (struct chosen){ 0 };
    for (size_t i = 0; size && size < sizeof range && i < KINDS; i++) {
        if (strlen(kinds[i].name) != name || strncmp(kinds[i].name, *text, name) != 0)
            continue;
        snprintf(range, sizeof range, "%.*s", (int)size, colon + 1);
        chosen->all = strcmp(range, "all") == 0;
        if (!chosen->all && belt_cpus_parse(&chosen->numbers, range, &none, why, sizeof why) < 0)
            return NULL;
        *text = colon + 1 + size;
        return &kinds[i];
    }
    return NULL;
}

static int refuse_word(const char *word, char *why, size_t room)
{
    snprintf(why, room,
             "'%s' is neither a list of CPUs below %d (0-3,6 or 0-6:2) nor one of hwloc's "
             "words: core:2-3, numa:0.core:1, package:1, l3:0, l2:0, pu:4, all, not:3",
             word, BELT_CPUS);
    return -EINVAL;
}

/* The CPUs of `in` that "core:1.pu:0" means, added to *out; false: it is no such word. */
static bool add_word(const struct belt_topology *topology, const char *word,
                     const struct belt_cpus *in, struct belt_cpus *out)
{
    struct chosen chosen;
    const struct kind *kind = read_step(&word, &chosen);
    if (!kind || (*word && *word != '.'))
        return false;
    struct belt_cpus left = choose(topology, kind, in, &chosen);
    if (!*word) {
        BELT_CPUS_EACH(&left, cpu)
        belt_cpus_add(out, cpu);
        return true;
    }
    /* What is behind the dot counts anew within each of them. */
    bool word_ok = true;
    for (int first; word_ok && (first = belt_cpus_next(&left, 0)) >= 0;) {
        struct belt_cpus one = { { 0 } };
        BELT_CPUS_EACH(&left, cpu)
        if (object_of(topology, kind, cpu) == object_of(topology, kind, first))
            belt_cpus_add(&one, cpu);
        left = belt_cpus_minus(&left, &one);
        word_ok = add_word(topology, word + 1, &one, out);
    }
    return word_ok;
}

static int read_word(const struct belt_topology *topology, const char *word, struct belt_cpus *out,
                     char *why, size_t room)
{
    struct belt_cpus found = { { 0 } };
    if (!add_word(topology, word, &topology->known, &found))
        return refuse_word(word, why, room);
    BELT_CPUS_EACH(&found, cpu)
    belt_cpus_add(out, cpu);
    if (belt_cpus_next(&found, 0) >= 0)
        return 0;
    snprintf(why, room, "'%s': this machine has no such CPU", word);
    return -EINVAL;
}

static int read_term(const struct belt_topology *topology, const char *term,
                     const struct belt_cpus *all, struct belt_cpus *out, char *why, size_t room)
{
    struct belt_cpus listed;
    char unused[1];
    /* A range has a colon, too: "0-6:2". */
    if (*term < '0' || *term > '9') {
        if (strcmp(term, "all") != 0)
            return read_word(topology, term, out, why, room);
        listed = *all;
    } else if (belt_cpus_parse(&listed, term, all, unused, sizeof unused) < 0) {
        return refuse_word(term, why, room);
    }
    BELT_CPUS_EACH(&listed, cpu)
    belt_cpus_add(out, cpu);
    return 0;
}

int belt_topology_parse(const struct belt_topology *topology, struct belt_cpus *out,
                        const char *text, const struct belt_cpus *all, char *why, size_t room)
{
    struct belt_cpus set = { { 0 } };
    char term[128];
    const char *at = text + strspn(text, " \t\n");
    bool not = strncmp(at, "not:", 4) == 0;
    at += not ? 4 : 0;
    for (;; at++) {
        at += strspn(at, " \t\n");
        size_t size = strcspn(at, ","), kept = size;
        while (kept && strchr(" \t\n", at[kept - 1]))
            kept--;
        if (!kept || kept >= sizeof term)
            return refuse_word(text, why, room);
        snprintf(term, sizeof term, "%.*s", (int)kept, at);
        int rc = read_term(topology, term, all, &set, why, room);
        if (rc < 0)
            return rc;
        at += size;
        if (!*at)
            break;
    }
    *out = not ? belt_cpus_minus(all, &set) : set;
    if (belt_cpus_next(out, 0) >= 0)
        return 0;
    char list[128];
    belt_cpus_print(all, list, sizeof list);
    snprintf(why, room, "'%s' leaves no CPU of %s", text, list);
    return -EINVAL;
}

/* ---- the word for one ---------------------------------------------------------- */

/* Its object's number among those of `in`. */
static int rank_in(const struct belt_topology *topology, const struct belt_cpu *cpu, bool by_node,
                   bool pu)
{
    struct belt_cpus before = { { 0 } };
    BELT_CPUS_EACH(&topology->known, other)
    {
        const struct belt_cpu *at = &topology->cpus[other];
        if ((by_node && at->node != cpu->node) || (pu && at->core != cpu->core))
            continue;
        int object = pu ? at->pu : at->core;
        if (object < (pu ? cpu->pu : cpu->core))
            belt_cpus_add(&before, object);
    }
    return (int)belt_cpus_count(&before);
}

static bool has_sibling(const struct belt_topology *topology, const struct belt_cpu *cpu)
{
    BELT_CPUS_EACH(&topology->known, other)
    if (topology->cpus[other].core == cpu->core && topology->cpus[other].pu != cpu->pu)
        return true;
    return false;
}

int belt_topology_word(const struct belt_topology *topology, int cpu, char *out, size_t room)
{
    const struct belt_cpu *at = belt_topology_cpu(topology, cpu);
    char node[24] = "", pu[24] = "";
    if (!at)
        return snprintf(out, room, "-");
    bool nodes = topology->nodes_used > 1;
    if (nodes)
        snprintf(node, sizeof node, "numa:%d.", node_rank(topology, at->node));
    if (has_sibling(topology, at))
        snprintf(pu, sizeof pu, ".pu:%d", rank_in(topology, at, false, true));
    return snprintf(out, room, "%score:%d%s", node, rank_in(topology, at, nodes, false), pu);
}
