#include "tests/unit/place_fixture.h"

/* ---- stages to lanes ----------------------------------------------------------- */

Test(place, fuses_chains_and_deals_batchers_out)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    place_is(f, "0: totals.0 parse.0 source.0; 1: lines.0 parse.1 source.1");
    cr_assert_str_eq(f->place->notes, "");
    drop(f);
}

Test(place, gives_every_instance_a_lane_when_nothing_is_fused)
{
    struct fixture *f = pipeline_on("core:8 pu:1", 2);
    f->in.fuse = BELT_FUSE_NONE;
    place_is(f, "0: source.0; 2: source.1; 1: parse.0; 3: parse.1; 4: totals.0; 5: lines.0");
    drop(f);
}

Test(place, keeps_a_batcher_and_its_sink_together)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 3);
    f->stages[2] =
        (struct belt_place_stage){ .name = "totals", .instances = 3, .chain = 2, .light = true };
    f->stages[3] =
        (struct belt_place_stage){ .name = "sink", .instances = 3, .chain = 2, .light = true };
    place_is(f, "0: sink.0 totals.0 parse.0 source.0; 1: sink.1 totals.1 parse.1 source.1; "
                "2: sink.2 totals.2 parse.2 source.2");
    drop(f);
}

Test(place, gives_blocking_stages_lanes_of_their_own)
{
    struct fixture *f = pipeline_on("core:8 pu:1", 2);
    f->stages[1].blocking = true;
    place_is(f, "0: totals.0 source.0; 2: lines.0 source.1; 1: parse.0; 3: parse.1");
    cr_assert(f->place->lanes[2].blocking);
    cr_assert_not(f->place->lanes[0].blocking);
    drop(f);
}

Test(place, lets_one_source_feed_several_processors)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 3);
    f->stages[0].instances = 1;
    place_is(f, "0: parse.0 source.0; 1: totals.0 parse.1; 2: lines.0 parse.2");
    drop(f);
}

Test(place, stays_within_its_most_lanes)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 3);
    f->in.lanes = 2;
    place_is(f, "0: parse.0 parse.2 source.0 source.2; 1: lines.0 totals.0 parse.1 source.1");
    drop(f);
}

Test(place, says_that_unfused_stages_share_lanes)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 1);
    f->in.fuse = BELT_FUSE_NONE;
    f->in.lanes = 2;
    place_is(f, "0: totals.0 source.0; 1: lines.0 parse.0");
    cr_assert_str_eq(f->place->notes,
                     "fuse: none wants 4 lanes, only 2 are allowed: some stages share one\n");
    drop(f);
}

Test(place, finds_the_lane_of_an_instance)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    place_is(f, "0: totals.0 parse.0 source.0; 1: lines.0 parse.1 source.1");
    cr_assert_eq(belt_place_lane_of(f->place, 1, 1), 1);
    cr_assert_eq(belt_place_lane_of(f->place, 2, 0), 0);
    cr_assert_eq(belt_place_lane_of(f->place, 2, 1), UINT32_MAX);
    drop(f);
}

Test(place, refuses_a_stage_without_instances)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    f->stages[3].instances = 0;
    refused(f, "lines: no instances");
    drop(f);
}

/* ---- lanes to CPUs ------------------------------------------------------------- */

Test(place, takes_cores_before_siblings)
{
    struct fixture *f = pipeline_on("core:2 pu:2", 3);
    f->in.stage_count = 2;
    place_is(f, "0: parse.0 source.0; 2: parse.1 source.1; 1: parse.2 source.2");
    drop(f);
}

Test(place, keeps_a_pipeline_on_one_node_if_it_fits)
{
    struct fixture *f = pipeline_on("node:2 core:4 pu:2", 3);
    struct belt_cpus mask = cpus_of("0,2,8,10,12,14");
    f->in.stage_count = 2;
    belt_topology_restrict(f->topology, &mask);
    place_is(f, "8: parse.0 source.0; 10: parse.1 source.1; 12: parse.2 source.2");
    cr_assert_eq(f->place->lanes[0].node, 1);
    drop(f);
}

Test(place, begins_on_the_biggest_node_if_none_is_enough)
{
    struct fixture *f = pipeline_on("node:2 core:2 pu:1", 3);
    struct belt_cpus mask = cpus_of("0,2,3");
    f->in.stage_count = 2;
    belt_topology_restrict(f->topology, &mask);
    place_is(f, "2: parse.0 source.0; 3: parse.1 source.1; 0: parse.2 source.2");
    drop(f);
}

Test(place, keeps_a_pipeline_on_one_cache_if_it_fits)
{
    struct fixture *f = pipeline_on("node:1 l3:2 core:3 pu:1", 2);
    struct belt_cpus mask = cpus_of("0,3-5");
    f->in.stage_count = 2;
    belt_topology_restrict(f->topology, &mask);
    place_is(f, "3: parse.0 source.0; 4: parse.1 source.1");
    drop(f);
}

Test(place, puts_the_other_lanes_near_a_pinned_one)
{
    struct fixture *f = pipeline_on("node:2 core:4 pu:1", 2);
    f->in.stage_count = 2;
    pin(f, "parse", 1, "6");
    place_is(f, "4: parse.0 source.0; 6: parse.1 source.1");
    cr_assert(f->place->lanes[1].pinned);
    cr_assert_not(f->place->lanes[0].pinned);
    drop(f);
}

Test(place, uses_only_the_cpus_given)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    f->cpus = cpus_of("2,3");
    f->in.cpus = &f->cpus;
    place_is(f, "2: totals.0 parse.0 source.0; 3: lines.0 parse.1 source.1");
    drop(f);
}

Test(place, shares_cpus_evenly_when_there_are_too_few)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 4);
    f->in.stage_count = 1;
    place_is(f, "0: source.0; 1: source.1; 0: source.2; 1: source.3");
    drop(f);
}

Test(place, answers_the_same_every_time)
{
    struct fixture *f = pipeline_on("node:2 l3:2 core:3 pu:2", 7);
    static const char plan[] = "0: source.0; 2: source.1; 4: source.2; 6: source.3; 8: source.4; "
                               "10: source.5; 12: source.6";
    f->in.stage_count = 1;
    for (int i = 0; i < 3; i++) {
        place_is(f, plan);
        belt_place_free(f->place);
        f->place = NULL;
    }
    drop(f);
}

/* ---- pins ---------------------------------------------------------------------- */

Test(place, spreads_a_pin_for_all_instances)
{
    struct fixture *f = pipeline_on("core:8 pu:1", 3);
    f->in.stage_count = 2;
    pin(f, "parse", BELT_PLACE_EVERY, "5-7");
    place_is(f, "5: parse.0 source.0; 6: parse.1 source.1; 7: parse.2 source.2");
    drop(f);
}

Test(place, gives_the_lane_with_fewest_choices_its_cpu_first)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    f->in.stage_count = 2;
    pin(f, "parse", 0, "0-1");
    pin(f, "parse", 1, "0");
    place_is(f, "1: parse.0 source.0; 0: parse.1 source.1");
    drop(f);
}

Test(place, puts_a_pinned_batcher_on_the_lane_of_that_cpu)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "totals", 0, "1");
    place_is(f, "0: lines.0 parse.0 source.0; 1: totals.0 parse.1 source.1");
    drop(f);
}

Test(place, makes_a_lane_for_a_pinned_batcher_elsewhere)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "totals", 0, "3");
    place_is(f, "0: parse.0 source.0; 1: parse.1 source.1; 3: lines.0 totals.0");
    cr_assert(f->place->lanes[2].pinned);
    drop(f);
}

Test(place, makes_only_lanes_that_are_used)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 1);
    f->stages[0].blocking = f->stages[1].blocking = true;
    f->in.stage_count = 3;
    pin(f, "totals", 0, "3");
    place_is(f, "0: source.0; 1: parse.0; 3: totals.0");
    drop(f);
}

Test(place, refuses_a_lane_for_a_pin_beyond_the_most_lanes)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 1);
    f->in.lanes = 1;
    pin(f, "totals", 0, "3");
    refused(f, "pin totals.0: no lane runs on CPU 3 and no more than 1 lane may be made: pin it "
               "to a lane's CPU, or allow more");
    drop(f);
}

Test(place, refuses_pins_that_pull_a_lane_apart)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "source", 1, "0");
    pin(f, "parse", 1, "3");
    refused(f, "pin: source.1 and parse.1 share a lane but are pinned to 0 and 3: pin both to one "
               "CPU, or take them apart (fuse: none)");
    drop(f);
}

Test(place, takes_pins_apart_when_nothing_is_fused)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 1);
    f->in.fuse = BELT_FUSE_NONE;
    f->in.stage_count = 2;
    pin(f, "source", 0, "2");
    pin(f, "parse", 0, "1");
    place_is(f, "2: source.0; 1: parse.0");
    drop(f);
}

Test(place, refuses_a_pin_of_no_stage)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "prase", 0, "0");
    refused(f, "pin prase: no such stage; there are source, parse, totals, lines");
    drop(f);
}

Test(place, refuses_a_pin_of_no_instance)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "parse", 2, "0");
    refused(f, "pin parse.2: parse has 2 instances, numbered from 0");
    drop(f);
}

/* ---- the mask ------------------------------------------------------------------ */

Test(place, refuses_a_cpu_outside_the_mask)
{
    struct fixture *f = pipeline_on("core:8 pu:1", 2);
    struct belt_cpus mask = cpus_of("0-1");
    belt_topology_restrict(f->topology, &mask);
    f->cpus = cpus_of("0,7");
    f->in.cpus = &f->cpus;
    refused(f, "cpus: CPU 7 is outside this process's CPU mask 0,1; allowed: 0,1");
    drop(f);
}

Test(place, refuses_a_pin_outside_the_mask)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    pin(f, "parse", 0, "9");
    refused(f, "pin parse: this machine has no CPU 9; allowed: 0-3");
    drop(f);
}

Test(place, refuses_a_pin_outside_the_cpus_given)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    f->cpus = cpus_of("0-1");
    f->in.cpus = &f->cpus;
    pin(f, "parse", 0, "3");
    refused(f, "pin parse: CPU 3 is not among the CPUs 0,1 given for the pipeline: add it there or "
               "pin to one of them");
    drop(f);
}

/* ---- waiting ------------------------------------------------------------------- */

Test(place, keeps_spinning_when_every_lane_has_a_cpu)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 2);
    f->in.wait = BELT_WAIT_SPIN;
    place_is(f, "0: totals.0 parse.0 source.0; 1: lines.0 parse.1 source.1");
    cr_assert_eq(f->place->wait, BELT_WAIT_SPIN);
    drop(f);
}

Test(place, refuses_spinning_lanes_that_would_share_a_cpu)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 3);
    f->in.stage_count = 1;
    f->in.wait = BELT_WAIT_SPIN;
    f->in.wait_by_hand = true;
    refused(f, "wait: spin wants a CPU for each lane, but up to 2 of the 3 lanes share one of CPUs "
               "0,1: more CPUs, fewer lanes (lanes: N), or wait: backoff");
    drop(f);
}

Test(place, backs_off_silently_when_nobody_asked_for_spinning)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 3);
    f->in.wait = BELT_WAIT_SPIN;
    cr_assert_eq(belt_place_new(&f->place, &f->in, f->why, sizeof f->why), 0);
    cr_assert_eq(f->place->wait, BELT_WAIT_BACKOFF);
    cr_assert_str_eq(f->place->notes, "");
    drop(f);
}

Test(place, refuses_spinning_lanes_pinned_to_one_cpu)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 2);
    f->in.wait = BELT_WAIT_SPIN;
    f->in.wait_by_hand = true;
    pin(f, "parse", BELT_PLACE_EVERY, "1");
    refused(f, "wait: spin wants a CPU for each lane, but up to 2 of the 2 lanes share one of CPUs "
               "0,1: pin them apart, or wait: backoff");
    drop(f);
}

Test(place, leaves_other_waits_as_they_are)
{
    struct fixture *f = pipeline_on("core:1 pu:1", 3);
    f->in.wait = BELT_WAIT_YIELD;
    cr_assert_eq(belt_place_new(&f->place, &f->in, f->why, sizeof f->why), 0);
    cr_assert_eq(f->place->wait, BELT_WAIT_YIELD);
    drop(f);
}

Test(place, lets_single_stages_wait_otherwise)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    const struct belt_place_wait waits[] = { { "parse", 1, BELT_WAIT_SPIN },
                                             { "source", BELT_PLACE_EVERY, BELT_WAIT_BLOCK } };
    f->in.fuse = BELT_FUSE_NONE;
    f->in.stage_count = 2;
    f->in.waits = waits;
    f->in.wait_count = 2;
    place_is(f, "0: source.0; 2: source.1; 1: parse.0; 3: parse.1");
    cr_assert_eq(f->place->lanes[0].wait, BELT_WAIT_BLOCK);
    cr_assert_eq(f->place->lanes[1].wait, BELT_WAIT_BLOCK);
    cr_assert_eq(f->place->lanes[2].wait, BELT_WAIT_BACKOFF);
    cr_assert_eq(f->place->lanes[3].wait, BELT_WAIT_SPIN);
    drop(f);
}

Test(place, refuses_two_ways_to_wait_on_one_lane)
{
    struct fixture *f = pipeline_on("core:4 pu:1", 2);
    const struct belt_place_wait waits[] = { { "parse", 1, BELT_WAIT_SPIN },
                                             { "source", BELT_PLACE_EVERY, BELT_WAIT_BLOCK } };
    f->in.waits = waits;
    f->in.wait_count = 2;
    refused(f, "wait: source.1 and parse.1 share a lane but are to block and to spin: give both "
               "the same, or take them apart (fuse: none)");
    drop(f);
}

Test(place, says_that_spinning_uses_up_a_limit)
{
    struct fixture *f = pipeline_on("core:2 pu:1", 2);
    belt_topology_limit(f->topology, 1500);
    f->in.wait = BELT_WAIT_SPIN;
    f->in.wait_by_hand = true;
    place_is(f, "0: totals.0 parse.0 source.0; 1: lines.0 parse.1 source.1");
    cr_assert_eq(f->place->wait, BELT_WAIT_SPIN);
    cr_assert_str_eq(f->place->notes,
                     "wait: spin uses up the 1.50 CPUs that the cgroup allows: lanes will be "
                     "stopped now and then; backoff does not\n");
    drop(f);
}
