/* Which CPUs, whose memory, and how many chains. */
#include "tests/unit/place_fixture.h"

/* ---- nodes, threads, kinds of cores ------------------------------------------------ */

/* source -> parse, one instance to one; parse -> totals, lines, each to each. */
static const struct belt_place_edge flows[] = { { 0, 1, 64, false },
                                                { 1, 2, 8, true },
                                                { 1, 3, 8, true } };

static void with_flows(struct fixture *f)
{
    f->in.edges = flows;
    f->in.edge_count = f->in.stage_count > 2 ? 3 : 1;
}

Test(nodes, hold_whole_chains_when_one_is_too_small)
{
    struct fixture *f = pipeline_on("node:2 core:4 pu:1", 4);
    f->in.fuse = BELT_FUSE_NONE;
    f->in.stage_count = 2;
    with_flows(f);
    place_is(f, "0: source.0; 2: source.1; 4: source.2; 6: source.3; 1: parse.0; 3: parse.1; "
                "5: parse.2; 7: parse.3");
    cr_assert_eq(f->place->cost.siblings + f->place->cost.shared, 0);
    drop(f);
}

Test(nodes, are_left_half_empty_rather_than_cut_a_chain)
{
    struct fixture *f = pipeline_on("node:2 core:3 pu:1", 2);
    f->in.fuse = BELT_FUSE_NONE;
    f->in.stage_count = 2;
    with_flows(f);
    place_is(f, "0: source.0; 3: source.1; 1: parse.0; 4: parse.1");
    drop(f);
}

Test(nodes, with_the_device_come_first)
{
    struct fixture *f = pipeline_on("node:2 core:4 pu:1", 2);
    f->in.stage_count = 2;
    f->in.device_known = true;
    f->in.device_node = 1;
    f->stages[0].reads = true;
    with_flows(f);
    place_is(f, "4: parse.0 source.0; 5: parse.1 source.1");
    drop(f);
}

Test(nodes, give_memory_to_their_own_lanes)
{
    struct fixture *f = pipeline_on("node:2 core:1 pu:1", 2);
    f->in.stage_count = 2;
    place_is(f, "0: parse.0 source.0; 1: parse.1 source.1");
    cr_assert_eq(f->place->lanes[0].memory, 0);
    cr_assert_eq(f->place->lanes[1].memory, 1);
    drop(f);
}

Test(nodes, give_memory_by_hand)
{
    struct fixture *f = pipeline_on("node:2 core:1 pu:1", 2);
    f->in.stage_count = 2;
    f->in.memory_by_hand = true;
    f->in.memory_node = 1;
    place_is(f, "0: parse.0 source.0; 1: parse.1 source.1");
    cr_assert_eq(f->place->lanes[0].memory, 1);
    drop(f);
}

Test(nodes, that_are_not_there_give_no_memory)
{
    struct fixture *f = pipeline_on("node:2 core:1 pu:1", 2);
    f->in.memory_by_hand = true;
    f->in.memory_node = 2;
    refused(f, "memory_node: this machine has no node 2; there are 0,1");
    drop(f);
}

Test(threads, of_one_core_are_cpus_when_smt_is_on)
{
    struct fixture *f = pipeline_on("core:2 pu:2", 3);
    f->in.stage_count = 2;
    f->in.smt = BELT_SMT_ON;
    place_is(f, "0: parse.0 source.0; 1: parse.1 source.1; 2: parse.2 source.2");
    drop(f);
}

Test(threads, of_one_core_are_never_used_when_smt_is_off)
{
    struct fixture *f = pipeline_on("core:2 pu:2", 3);
    f->in.stage_count = 2;
    f->in.smt = BELT_SMT_OFF;
    place_is(f, "0: parse.0 source.0; 2: parse.1 source.1; 0: parse.2 source.2");
    drop(f);
}

Test(threads, cannot_be_pinned_to_when_smt_is_off)
{
    struct fixture *f = pipeline_on("core:2 pu:2", 2);
    f->in.smt = BELT_SMT_OFF;
    pin(f, "parse", 0, "3");
    refused(f, "pin parse: CPU 3 is a thread of the same core as CPU 2, and smt is off: pin to "
               "CPU 2, or set smt to auto");
    drop(f);
}

Test(threads, beside_a_pinned_lane_are_taken_last)
{
    struct fixture *f = pipeline_on("core:2 pu:2", 2);
    f->in.stage_count = 2;
    pin(f, "parse", 1, "1");
    place_is(f, "2: parse.0 source.0; 1: parse.1 source.1");
    drop(f);
}

Test(isolated, cpus_are_left_alone)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 3);
    struct belt_cpus isolated = cpus_of("0-1"), all = cpus_of("0-3");
    belt_topology_isolate(f->topology, &isolated);
    f->in.stage_count = 1;
    place_is(f, "2: source.0; 3: source.1; 2: source.2");
    cr_assert_eq(belt_place_concurrency(&f->in), 2);
    f->in.cpus = &all;
    cr_assert_eq(belt_place_concurrency(&f->in), 4);
    drop(f);
}

Test(isolated, cpus_are_used_when_named)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    struct belt_cpus isolated = cpus_of("0-1");
    belt_topology_isolate(f->topology, &isolated);
    f->in.stage_count = 2;
    pin(f, "parse", 0, "1");
    place_is(f, "1: parse.0 source.0; 2: parse.1 source.1");
    drop(f);
}

/* ---- how many ------------------------------------------------------------------ */

Test(concurrency, is_one_for_each_core)
{
    static const struct {
        const char *machine, *cpus;
        uint32_t expected;
    } cases[] = {
        { "core:4 pu:2", "0-7", 4 },        { "core:4 pu:2", "1,3", 2 },
        { "core:1 pu:2", "0-1", 2 },        { "core:4 pu:2", "0-1", 2 },
        { "node:2 core:4 pu:1", "0-7", 8 }, { "core:4 pu:2", "6", 1 },
        { "core:2 pu:1", "9", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = pipeline_on(cases[i].machine, 1);
        struct belt_cpus cpus = cpus_of(cases[i].cpus);
        cr_assert_eq((f->in.cpus = &cpus, belt_place_concurrency(&f->in)), cases[i].expected,
                     "case %zu", i);
        drop(f);
    }
}

Test(concurrency, counts_all_allowed_cpus_by_default)
{
    struct fixture *f = pipeline_on("core:4 pu:2", 1);
    cr_assert_eq(belt_place_concurrency(&f->in), 4);
    drop(f);
}

Test(concurrency, is_no_more_than_a_limit_rounded_up)
{
    struct fixture *f = pipeline_on("core:4 pu:2", 1);
    belt_topology_limit(f->topology, 1500);
    cr_assert_eq(belt_place_concurrency(&f->in), 2);
    belt_topology_limit(f->topology, 200);
    cr_assert_eq(belt_place_concurrency(&f->in), 1);
    drop(f);
}

Test(concurrency, counts_threads_when_smt_is_on)
{
    struct fixture *f = pipeline_on("core:4 pu:2", 1);
    f->in.smt = BELT_SMT_ON;
    cr_assert_eq(belt_place_concurrency(&f->in), 8);
    drop(f);
}
