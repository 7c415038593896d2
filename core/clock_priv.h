/* The only file that reads clocks. A lane reads once per turn (about 20 ns). */
#ifndef BELT_CLOCK_PRIV_H
#define BELT_CLOCK_PRIV_H

#include <stdint.h>
#include <time.h>

static inline uint64_t belt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Wall clock, ns since 1970, for comparing with times that messages carry. */
static inline int64_t belt_epoch(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
