/* A small pipeline on a made machine, and what its plan is to be. */
#ifndef PLACE_FIXTURE_H
#define PLACE_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place.h"

enum { STAGES = 8, PINS = 8 };

/* A pipeline on a made machine; tests change what they are about. */
struct fixture {
    struct belt_topology *topology;
    struct belt_place_stage stages[STAGES];
    struct belt_place_pin pins[PINS];
    struct belt_cpus cpus;
    struct belt_place_in in;
    struct belt_place *place;
    char why[400];
};

static inline struct belt_cpus cpus_of(const char *list)
{
    struct belt_cpus cpus, none = { { 0 } };
    char why[200] = "";
    cr_assert_eq(belt_cpus_parse(&cpus, list, &none, why, sizeof why), 0, "%s", why);
    return cpus;
}

/* source and processor with `chains` instances, a batcher and a second one. */
static inline struct fixture *pipeline_on(const char *machine, uint32_t chains)
{
    struct fixture *f = calloc(1, sizeof *f);
    cr_assert_eq(belt_topology_synthetic(&f->topology, machine, f->why, sizeof f->why), 0, "%s",
                 f->why);
    f->stages[0] = (struct belt_place_stage){ .name = "source", .instances = chains, .chain = 1 };
    f->stages[1] = (struct belt_place_stage){ .name = "parse", .instances = chains, .chain = 1 };
    f->stages[2] = (struct belt_place_stage){ .name = "totals", .instances = 1, .light = true };
    f->stages[3] = (struct belt_place_stage){ .name = "lines", .instances = 1, .light = true };
    f->in = (struct belt_place_in){
        .topology = f->topology, .stages = f->stages, .stage_count = 4, .pins = f->pins
    };
    return f;
}

static inline void drop(struct fixture *f)
{
    belt_place_free(f->place);
    belt_topology_free(f->topology);
    free(f);
}

static inline void pin(struct fixture *f, const char *stage, uint32_t instance, const char *cpus)
{
    f->pins[f->in.pin_count++] = (struct belt_place_pin){ stage, instance, cpus_of(cpus) };
}

/* "0: lines.0 parse.0 source.0; 1: ...": CPU and items of each lane. */
static inline void place_is(struct fixture *f, const char *expected)
{
    char text[600];
    size_t at = 0;
    cr_assert_eq(belt_place_new(&f->place, &f->in, f->why, sizeof f->why), 0, "%s", f->why);
    for (uint32_t l = 0; l < f->place->lane_count; l++) {
        const struct belt_place_lane *lane = &f->place->lanes[l];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d:", l ? "; " : "", lane->cpu);
        for (uint32_t i = 0; i < lane->item_count; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, " %s.%u",
                                   f->stages[lane->items[i].stage].name, lane->items[i].instance);
    }
    cr_assert_str_eq(text, expected);
}

static inline void refused(struct fixture *f, const char *why)
{
    cr_assert_eq(belt_place_new(&f->place, &f->in, f->why, sizeof f->why), -EINVAL);
    cr_assert_null(f->place);
    cr_assert_str_eq(f->why, why);
}

#endif
