/* What the ring stress programs share: a seeded generator, a deadline, waiting. */
#ifndef BELT_RING_COMMON_H
#define BELT_RING_COMMON_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rings/ring.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: every seed is as good as any other. */
static inline uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t next_random(uint64_t *state)
{
    return mix(++*state);
}

/* The seed from the command line, or a new one; printed, to be given again. */
static inline uint64_t seed_from(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns();
    printf("%s: seed %" PRIu64 "\n", argv[0], seed);
    fflush(stdout);
    return seed;
}

static inline struct belt_mem ring_in_new_memory(const struct belt_ring_conf *conf)
{
    struct belt_mem mem;
    CHECK(belt_mem_map(&mem, belt_ring_footprint(conf), BELT_MEM_SHARED) == 0);
    CHECK(belt_ring_format(mem, conf) == 0);
    return mem;
}

#endif
