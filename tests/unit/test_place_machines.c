/* The planner on whole machines: from one core to 8 nodes, and irregular ones. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "numa/place.h"

/* Checked code is several times as slow. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define MOST_MS 1000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOST_MS 1000
#endif
#endif
#ifndef MOST_MS
#define MOST_MS 50
#endif

static struct belt_topology *topology_of(const char *text)
{
    struct belt_topology *topology = NULL;
    char path[512], why[300] = "";
    snprintf(path, sizeof path, "%s/tests/topologies/%s", getenv("SOURCE_DIR"), text);
    if (strncmp(text, "synthetic:", 10) == 0)
        snprintf(path, sizeof path, "%s", text);
    cr_assert_eq(belt_topology_of(&topology, path, why, sizeof why), 0, "%s", why);
    return topology;
}

/* source.i > steps.i > rows, one row batcher for all. */
static const struct belt_place_edge edges[] = { { 0, 1, 64, false }, { 1, 2, 24, true } };

struct fixture {
    struct belt_topology *topology;
    struct belt_place_stage stages[3];
    struct belt_place_in in;
    struct belt_place *place;
};

static struct fixture sensors_on(const char *machine, uint32_t chains, enum belt_fuse fuse)
{
    struct fixture f = { .topology = topology_of(machine) };
    f.in = (struct belt_place_in){ .topology = f.topology, .fuse = fuse };
    if (!chains)
        chains = belt_place_concurrency(&f.in);
    f.stages[0] = (struct belt_place_stage){ .name = "source", .instances = chains, .work = 6 };
    f.stages[1] = (struct belt_place_stage){ .name = "steps", .instances = chains, .work = 8 };
    f.stages[2] = (struct belt_place_stage){ .name = "rows", .instances = 1, .light = true };
    return f;
}

static void plan(struct fixture *f)
{
    char why[400] = "";
    f->in.stages = f->stages;
    f->in.stage_count = 3;
    f->in.edges = edges;
    f->in.edge_count = 2;
    cr_assert_eq(belt_place_new(&f->place, &f->in, why, sizeof why), 0, "%s", why);
}

static void drop(struct fixture *f)
{
    belt_place_free(f->place);
    belt_topology_free(f->topology);
}

static const struct belt_cpu *cpu_of(const struct fixture *f, uint32_t stage, uint32_t instance)
{
    uint32_t lane = belt_place_lane_of(f->place, stage, instance);
    return belt_topology_cpu(f->topology, f->place->lanes[lane].cpu);
}

static double ms_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

Test(machines, of_every_size_get_a_chain_per_core)
{
    static const struct {
        const char *words;
        uint32_t lanes;
    } cases[] = {
        { "synthetic:core:1 pu:1", 1 },
        { "synthetic:core:1 pu:2", 2 },
        { "synthetic:core:2 pu:1", 2 },
        { "synthetic:l3:2 core:4 pu:2", 8 },
        { "synthetic:node:2 core:8 pu:2", 16 },
        { "synthetic:package:2 node:2 l3:2 l2:4 core:2 pu:2", 64 },
        { "synthetic:node:8 l3:8 core:8 pu:2", 512 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = sensors_on(cases[i].words, 0, BELT_FUSE_AUTO);
        plan(&f);
        cr_assert_eq(f.place->lane_count, cases[i].lanes, "%s: %u", cases[i].words,
                     f.place->lane_count);
        cr_assert_eq(f.place->cost.shared, 0);
        cr_assert_leq(belt_place_compare(&f.place->cost, &f.place->naive), 0);
        drop(&f);
    }
}

Test(machines, with_slow_cores_use_them_last_but_before_siblings)
{
    struct fixture f = sensors_on("hybrid.xml", 6, BELT_FUSE_AUTO);
    plan(&f);
    uint32_t slow = 0;
    for (uint32_t i = 0; i < 6; i++)
        slow += cpu_of(&f, 1, i)->speed == 0;
    cr_assert_eq(slow, 2);
    cr_assert_eq(f.place->cost.siblings, 0);
    drop(&f);
}

Test(machines, with_slow_cores_give_them_what_works_least)
{
    struct fixture f = sensors_on("hybrid.xml", 3, BELT_FUSE_NONE);
    plan(&f);
    /* 7 lanes on 4 fast cores: all three chains of steps are on fast ones. */
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(cpu_of(&f, 1, i)->speed, 1, "steps.%u", i);
    cr_assert_eq(cpu_of(&f, 2, 0)->speed, 0);
    drop(&f);
}

Test(machines, with_holes_use_what_is_left)
{
    struct fixture f = sensors_on("holes.xml", 4, BELT_FUSE_AUTO);
    plan(&f);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(cpu_of(&f, 0, i)->node, 1, "the node that they all fit on");
    drop(&f);
}

Test(machines, with_holes_say_which_cpu_is_off)
{
    struct fixture f = sensors_on("holes.xml", 2, BELT_FUSE_AUTO);
    struct belt_cpus off = { { 1 } };
    char why[400];
    f.in.cpus = &off;
    f.in.stages = f.stages;
    f.in.stage_count = 3;
    cr_assert_lt(belt_place_new(&f.place, &f.in, why, sizeof why), 0);
    cr_assert_str_eq(why, "cpus: CPU 0 is switched off: take one of 1,5,8-13, or echo 1 "
                          ">/sys/devices/system/cpu/cpu0/online");
    drop(&f);
}

Test(machines, with_memory_apart_use_it_only_when_told)
{
    struct fixture f = sensors_on("memory_only.xml", 8, BELT_FUSE_AUTO);
    plan(&f);
    for (uint32_t l = 0; l < f.place->lane_count; l++)
        cr_assert_eq(f.place->lanes[l].memory, f.place->lanes[l].node);
    belt_place_free(f.place);
    f.in.memory_by_hand = true;
    f.in.memory_node = 2;
    plan(&f);
    for (uint32_t l = 0; l < f.place->lane_count; l++)
        cr_assert_eq(f.place->lanes[l].memory, 2);
    drop(&f);
}

Test(machines, in_a_ring_keep_chains_on_one_cache)
{
    struct fixture f = sensors_on("ring.xml", 20, BELT_FUSE_NONE);
    plan(&f);
    uint32_t whole = 0;
    for (uint32_t i = 0; i < 20; i++)
        whole += cpu_of(&f, 0, i)->l3 == cpu_of(&f, 1, i)->l3;
    cr_assert_geq(whole, 19, "one may make room for the batcher, which all send to");
    cr_assert_eq(f.place->cost.siblings, 0);
    drop(&f);
}

Test(machines, in_a_ring_fill_neighbouring_nodes)
{
    struct fixture f = sensors_on("ring.xml", 16, BELT_FUSE_AUTO);
    plan(&f);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_leq(
            belt_topology_distance(f.topology, cpu_of(&f, 0, 0)->node, cpu_of(&f, 0, i)->node), 12);
    drop(&f);
}

/* Six CPUs without caches or nodes; measured: 0, 2 and 4 are near, so are 1, 3 and 5. */
Test(machines, that_were_measured_are_planned_by_that)
{
    static const int cpus[] = { 0, 1, 2, 3, 4, 5 };
    float ns[36];
    for (int i = 0; i < 36; i++)
        ns[i] = (i / 6) % 2 == (i % 6) % 2 ? 20.0f : 200.0f;
    const struct belt_place_measured measured = { 6, cpus, ns };
    struct fixture f = sensors_on("synthetic:core:6 pu:1", 3, BELT_FUSE_NONE);
    f.stages[2].instances = 1;
    f.in.measured = &measured;
    f.in.lanes = 6;
    f.stages[0].instances = f.stages[1].instances = 2;
    plan(&f);
    for (uint32_t i = 0; i < 2; i++) {
        int source = f.place->lanes[belt_place_lane_of(f.place, 0, i)].cpu;
        int steps = f.place->lanes[belt_place_lane_of(f.place, 1, i)].cpu;
        cr_assert_eq(source % 2, steps % 2, "chain %u on %d and %d", i, source, steps);
    }
    drop(&f);
}

Test(machines, of_512_threads_are_planned_in_50_ms)
{
    enum { STAGES = 200 };
    struct belt_topology *topology = topology_of("synthetic:node:8 l3:4 core:8 pu:2");
    static struct belt_place_stage stages[STAGES];
    static struct belt_place_edge flows[STAGES];
    static char names[STAGES][16];
    struct belt_place_in in = { .topology = topology, .stages = stages, .edges = flows };
    for (uint32_t s = 0; s < STAGES; s++) {
        snprintf(names[s], sizeof names[s], "stage%u", s);
        stages[s] = (struct belt_place_stage){ .name = names[s],
                                               .instances = s < 8     ? 256
                                                            : s < 100 ? 4
                                                                      : 1,
                                               .chain = s < 8,
                                               .light = s >= 8,
                                               .work = 4 };
        if (s)
            flows[in.edge_count++] = (struct belt_place_edge){ s < 8 ? s - 1 : 7, s, 32, s >= 8 };
    }
    in.stage_count = STAGES;
    for (int fuse = BELT_FUSE_AUTO; fuse <= BELT_FUSE_NONE; fuse++) {
        double best = 1e9;
        for (int i = 0; i < 5; i++) {
            struct belt_place *place = NULL;
            char why[400];
            in.fuse = (enum belt_fuse)fuse;
            double start = ms_now();
            cr_assert_eq(belt_place_new(&place, &in, why, sizeof why), 0, "%s", why);
            double took = ms_now() - start;
            best = took < best ? took : best;
            belt_place_free(place);
        }
        fprintf(stderr, "fuse %d: %.1f ms\n", fuse, best);
        cr_expect_leq(best, MOST_MS, "fuse %d took %.1f ms", fuse, best);
    }
    belt_topology_free(topology);
}
