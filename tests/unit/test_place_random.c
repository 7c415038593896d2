/* What holds of every plan: over random machines, masks, graphs and wishes. The seed of a
 * failure is printed; PLACE_SEED=N runs that one alone, PLACE_RUNS=N more of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place.h"

enum { STAGES = 12, EDGES = 32, PINS = 3 };

struct random_case {
    uint64_t state;
    struct belt_topology *topology;
    struct belt_place_stage stages[STAGES];
    struct belt_place_edge edges[EDGES];
    struct belt_place_pin pins[PINS];
    struct belt_cpus cpus;
    struct belt_place_in in;
    char machine[200], names[STAGES][8];
};

static uint32_t below(struct random_case *c, uint32_t limit)
{
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) >> 32) % limit;
}

static struct belt_cpus some_of(struct random_case *c, const struct belt_cpus *all)
{
    struct belt_cpus out = { { 0 } };
    while (belt_cpus_next(&out, 0) < 0)
        BELT_CPUS_EACH(all, cpu)
    if (below(c, 3))
        belt_cpus_add(&out, cpu);
    return out;
}

static void make_machine(struct random_case *c)
{
    static const uint32_t nodes[] = { 1, 1, 2, 2, 4, 8 };
    char why[200] = "";
    snprintf(c->machine, sizeof c->machine, "node:%u l3:%u l2:%u core:%u pu:%u", nodes[below(c, 6)],
             1 + below(c, 3), 1 + below(c, 4), 1 + below(c, 2), 1 + below(c, 2));
    cr_assert_eq(belt_topology_synthetic(&c->topology, c->machine, why, sizeof why), 0, "%s", why);
    struct belt_cpus some = some_of(c, belt_topology_allowed(c->topology));
    if (below(c, 2))
        belt_topology_restrict(c->topology, &some);
    some = some_of(c, belt_topology_allowed(c->topology));
    if (!below(c, 4))
        belt_topology_isolate(c->topology, &some);
    if (!below(c, 4))
        belt_topology_limit(c->topology, 500 + below(c, 8000));
}

static void make_graph(struct random_case *c)
{
    uint32_t usual = 1 + below(c, 12);
    c->in.stage_count = 1 + below(c, STAGES);
    for (uint32_t s = 0; s < c->in.stage_count; s++) {
        snprintf(c->names[s], sizeof c->names[s], "s%u", s);
        c->stages[s] = (struct belt_place_stage){
            .name = c->names[s],
            .instances = below(c, 3) ? usual : 1 + below(c, 6),
            .chain = below(c, 3),
            .blocking = !below(c, 8),
            .light = s && !below(c, 3),
            .work = below(c, 20),
        };
        if (s && c->in.edge_count < EDGES)
            c->edges[c->in.edge_count++] =
                (struct belt_place_edge){ below(c, s), s, 1 + below(c, 100), below(c, 2) };
    }
}

static void make_wishes(struct random_case *c)
{
    const struct belt_cpus *allowed = belt_topology_allowed(c->topology);
    c->in.fuse = (enum belt_fuse)below(c, 3);
    c->in.smt = (enum belt_smt)below(c, 3);
    c->in.wait = (enum belt_wait)below(c, 4);
    c->in.lanes = below(c, 3) ? 0 : 1 + below(c, 20);
    if (!below(c, 3)) {
        c->cpus = some_of(c, allowed);
        c->in.cpus = &c->cpus;
    }
    for (uint32_t i = below(c, PINS + 1); i-- > 0 && below(c, 2);) {
        const struct belt_cpus *of = c->in.cpus ? c->in.cpus : allowed;
        uint32_t s = below(c, c->in.stage_count);
        c->pins[c->in.pin_count++] = (struct belt_place_pin){
            c->names[s], below(c, 2) ? BELT_PLACE_EVERY : below(c, c->stages[s].instances),
            some_of(c, of)
        };
    }
}

static void make(struct random_case *c, uint64_t seed)
{
    *c = (struct random_case){ .state = seed };
    make_machine(c);
    make_graph(c);
    make_wishes(c);
    c->in.topology = c->topology;
    c->in.stages = c->stages;
    c->in.edges = c->edges;
    c->in.pins = c->pins;
}

#define holds(what, ...) cr_assert((what), "PLACE_SEED=%lu: " __VA_ARGS__)

/* What a plan may use; pins may name isolated CPUs, too. */
static bool may_use(const struct random_case *c, const struct belt_place_lane *lane)
{
    if (c->in.cpus)
        return belt_cpus_has(c->in.cpus, lane->cpu);
    if (belt_cpus_has(belt_topology_isolated(c->topology), lane->cpu))
        return lane->pinned;
    return belt_cpus_has(belt_topology_allowed(c->topology), lane->cpu);
}

static void every_item_once(struct random_case *c, const struct belt_place *place, uint64_t seed)
{
    uint32_t items = 0, listed = 0;
    for (uint32_t s = 0; s < c->in.stage_count; s++)
        for (uint32_t i = 0; i < c->stages[s].instances; i++, items++) {
            uint32_t lane = belt_place_lane_of(place, s, i), found = 0;
            holds(lane < place->lane_count, "%s.%u has no lane", seed, c->names[s], i);
            for (uint32_t k = 0; k < place->lanes[lane].item_count; k++)
                found += place->lanes[lane].items[k].stage == s &&
                         place->lanes[lane].items[k].instance == i;
            holds(found == 1, "%s.%u is %u times on its lane", seed, c->names[s], i, found);
        }
    for (uint32_t l = 0; l < place->lane_count; l++)
        listed += place->lanes[l].item_count;
    holds(items == listed, "%u items, %u on lanes", seed, items, listed);
}

static bool shares_core(const struct random_case *c, const struct belt_place *place, uint32_t l)
{
    const struct belt_cpu *at = belt_topology_cpu(c->topology, place->lanes[l].cpu);
    for (uint32_t o = 0; o < place->lane_count; o++)
        if (o != l && belt_topology_cpu(c->topology, place->lanes[o].cpu)->core == at->core)
            return true;
    return false;
}

/* A CPU of which nothing is used, though a lane that nobody pinned shares its own. */
static void none_is_wasted(struct random_case *c, const struct belt_place *place, uint64_t seed)
{
    bool used[BELT_CPUS] = { 0 };
    for (uint32_t l = 0; l < place->lane_count; l++) {
        const struct belt_place_lane *lane = &place->lanes[l];
        if (used[lane->cpu] && !lane->pinned && !c->in.pin_count)
            holds(c->in.smt == BELT_SMT_OFF ||
                      place->lane_count > belt_cpus_count(belt_topology_allowed(c->topology)) ||
                      c->in.cpus || belt_cpus_count(belt_topology_isolated(c->topology)),
                  "lane %u shares CPU %d without need", seed, l, lane->cpu);
        used[lane->cpu] = true;
    }
    if (c->in.smt == BELT_SMT_OFF && !c->in.pin_count)
        for (uint32_t l = 0; l < place->lane_count; l++)
            for (uint32_t o = 0; shares_core(c, place, l) && o < l; o++)
                holds(place->lanes[o].cpu == place->lanes[l].cpu ||
                          belt_topology_cpu(c->topology, place->lanes[o].cpu)->core !=
                              belt_topology_cpu(c->topology, place->lanes[l].cpu)->core,
                      "two threads of one core with smt off", seed);
}

static void pins_are_kept(struct random_case *c, const struct belt_place *place, uint64_t seed)
{
    for (uint32_t p = 0; p < c->in.pin_count; p++) {
        const struct belt_place_pin *pin = &c->pins[p];
        uint32_t s = belt_place_stage_of(&c->in, pin->stage);
        for (uint32_t i = 0; i < c->stages[s].instances; i++)
            if (pin->instance == BELT_PLACE_EVERY || pin->instance == i)
                holds(belt_cpus_has(&pin->cpus, place->lanes[belt_place_lane_of(place, s, i)].cpu),
                      "%s.%u is not where it was pinned", seed, pin->stage, i);
    }
}

/* Lanes that nobody pinned, by number on CPUs by number: what anybody would do. */
static void beats_the_naive(struct random_case *c, const struct belt_place *place, uint64_t seed)
{
    uint32_t load[BELT_CPUS] = { 0 };
    int cpus[STAGES * 16];
    struct belt_place_cost naive;
    struct belt_cpus usable = c->in.cpus ? *c->in.cpus : *belt_topology_allowed(c->topology);
    struct belt_cpus rest = belt_cpus_minus(&usable, belt_topology_isolated(c->topology));
    if (!c->in.cpus && belt_cpus_next(&rest, 0) >= 0)
        usable = rest;
    for (uint32_t l = 0; l < place->lane_count; l++)
        if (place->lanes[l].pinned)
            load[cpus[l] = place->lanes[l].cpu]++;
    for (uint32_t l = 0; l < place->lane_count; l++) {
        int best = -1;
        BELT_CPUS_EACH(&usable, cpu)
        if (best < 0 || load[cpu] < load[best])
            best = cpu;
        if (!place->lanes[l].pinned)
            load[cpus[l] = best]++;
    }
    holds(belt_place_cost_of(place, &c->in, cpus, &naive) == 0, "no cost", seed);
    if (c->in.smt == BELT_SMT_OFF) /* the naive one may use more CPUs */
        naive = place->naive;
    holds(belt_place_compare(&place->cost, &naive) <= 0,
          "%u shared %u siblings %u slow %f ns, by number %u %u %u %f", seed, place->cost.shared,
          place->cost.siblings, place->cost.slow, place->cost.ns, naive.shared, naive.siblings,
          naive.slow, naive.ns);
    for (uint32_t l = 0; l < place->lane_count; l++)
        cpus[l] = place->lanes[l].cpu;
    holds(belt_place_cost_of(place, &c->in, cpus, &naive) == 0, "no cost", seed);
    holds(belt_place_compare(&place->cost, &naive) == 0, "its own cost is another", seed);
}

static void is_the_same_again(struct random_case *c, const struct belt_place *place, uint64_t seed)
{
    struct belt_place *again = NULL;
    char why[400];
    holds(belt_place_new(&again, &c->in, why, sizeof why) == 0, "%s", seed, why);
    holds(again->lane_count == place->lane_count, "other lanes", seed);
    for (uint32_t l = 0; l < place->lane_count; l++) {
        holds(again->lanes[l].cpu == place->lanes[l].cpu, "lane %u elsewhere", seed, l);
        holds(again->lanes[l].wait == place->lanes[l].wait, "lane %u waits otherwise", seed, l);
    }
    holds(strcmp(again->reasons, place->reasons) == 0, "other reasons", seed);
    belt_place_free(again);
}

/* 1: there was a plan. */
static int check(uint64_t seed)
{
    static struct random_case c;
    struct belt_place *place = NULL;
    char why[400] = "";
    make(&c, seed);
    int rc = belt_place_new(&place, &c.in, why, sizeof why);
    if (rc < 0) {
        /* Only what was asked by hand can be impossible. */
        holds(rc == -EINVAL && *why, "%d '%s'", seed, rc, why);
        holds(c.in.pin_count, "%s", seed, why);
        belt_topology_free(c.topology);
        return 0;
    }
    for (uint32_t l = 0; l < place->lane_count; l++)
        holds(may_use(&c, &place->lanes[l]), "CPU %d on %s", seed, place->lanes[l].cpu, c.machine);
    every_item_once(&c, place, seed);
    none_is_wasted(&c, place, seed);
    pins_are_kept(&c, place, seed);
    beats_the_naive(&c, place, seed);
    is_the_same_again(&c, place, seed);
    belt_place_free(place);
    belt_topology_free(c.topology);
    return 1;
}

Test(random_plans, keep_what_every_plan_promises)
{
    const char *one = getenv("PLACE_SEED"), *most = getenv("PLACE_RUNS");
    int runs = most ? atoi(most) : 1500, plans = 0;
    if (one) {
        check(strtoull(one, NULL, 10));
        return;
    }
    for (int i = 0; i < runs; i++)
        plans += check((uint64_t)i);
    fprintf(stderr, "%d plans of %d\n", plans, runs);
    cr_assert_gt(plans, runs / 2, "most wishes can be met");
}
