/* What it costs to go from one CPU to another: measured between every two of them by
 * what pipelines do there, items through rings. */
#ifndef BELT_CORES_H
#define BELT_CORES_H

#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every matrix is [count * count], from the row's CPU to the column's; 0 on the diagonal. */
struct belt_cores {
    uint32_t count;
    int *cpus;       /* [count], as Linux numbers them, ascending */
    double *ns;      /* an 8-byte item through an idle ring, one way */
    double *gb;      /* GB/s: 64-byte items in batches of 64 through a ring of 64 KiB */
    double *wake_us; /* an item to a reader that sleeps, until it has it */
};

#define BELT_CORES_SAMPLES 64 /* most of each pair and kind */
/* Called in the measuring thread before each pair. */
typedef void belt_cores_told(void *ctx, uint32_t done, uint32_t pairs);

/* Medians of `samples` (1 to BELT_CORES_SAMPLES) each; about 25 ms a pair and sample on a
 * quiet machine. `cpus`: a list such as "0-3,6", NULL: all that the calling thread may
 * use; its mask is read first. The calling thread is pinned meanwhile and has its mask
 * back afterwards. -EINVAL: no such CPUs; -ENODEV: fewer than two. What it fills in goes
 * to belt_cores_free(), after a failure too. */
BELT_API int belt_cores_measure(struct belt_cores *cores, const char *cpus, uint32_t samples,
                                belt_cores_told *told, void *ctx, struct belt_error *err);
/* Harmless on a zeroed one. */
BELT_API void belt_cores_free(struct belt_cores *cores);

#ifdef __cplusplus
}
#endif
#endif
