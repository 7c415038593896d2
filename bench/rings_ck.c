#include "bench/rings_ck.h"

#include <ck_ring.h>
#include <stdlib.h>

#include "rings/api.h"
#include "rings/atomic.h"

struct bench_ck {
    ck_ring_t ring __attribute__((aligned(BELT_LINES)));
    ck_ring_buffer_t slots[] __attribute__((aligned(BELT_LINES)));
};

struct bench_ck *bench_ck_new(unsigned slots)
{
    void *memory;
    if (posix_memalign(&memory, BELT_LINES,
                       sizeof(struct bench_ck) + slots * sizeof(ck_ring_buffer_t)) != 0)
        return NULL;
    struct bench_ck *ring = memory;
    ck_ring_init(&ring->ring, slots);
    for (unsigned i = 0; i < slots; i++)
        ring->slots[i].value = NULL; /* no page fault within the measured time */
    return ring;
}

void bench_ck_free(struct bench_ck *ring)
{
    free(ring);
}

void bench_ck_spsc_produce(struct bench_ck *ring, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++)
        while (!ck_ring_enqueue_spsc(&ring->ring, ring->slots, (void *)(uintptr_t)i))
            belt_pause();
}

uint64_t bench_ck_spsc_consume(struct bench_ck *ring, uint64_t n)
{
    uint64_t sum = 0;
    void *item;
    for (uint64_t i = 0; i < n; i++) {
        while (!ck_ring_dequeue_spsc(&ring->ring, ring->slots, &item))
            belt_pause();
        sum += (uintptr_t)item;
    }
    return sum;
}

void bench_ck_mpmc_produce(struct bench_ck *ring, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++)
        while (!ck_ring_enqueue_mpmc(&ring->ring, ring->slots, (void *)(uintptr_t)i))
            belt_pause();
}

uint64_t bench_ck_mpmc_consume(struct bench_ck *ring, uint64_t n)
{
    uint64_t sum = 0;
    void *item;
    for (uint64_t i = 0; i < n; i++) {
        while (!ck_ring_dequeue_mpmc(&ring->ring, ring->slots, &item))
            belt_pause();
        sum += (uintptr_t)item;
    }
    return sum;
}
