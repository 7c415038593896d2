/* ck_ring with its loops in C: the header of Debian's ck 0.7.1 is no C++. */
#ifndef BELT_RINGS_CK_H
#define BELT_RINGS_CK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_ck;

/* `slots` a power of two; one of them stays empty. NULL: out of memory. */
struct bench_ck *bench_ck_new(unsigned slots);
void bench_ck_free(struct bench_ck *ring);

/* Sends 1 to n as pointers; receives n of them and returns their sum. */
void bench_ck_spsc_produce(struct bench_ck *ring, uint64_t n);
uint64_t bench_ck_spsc_consume(struct bench_ck *ring, uint64_t n);
void bench_ck_mpmc_produce(struct bench_ck *ring, uint64_t n);
uint64_t bench_ck_mpmc_consume(struct bench_ck *ring, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
