/* Two writers and two readers on one ring, singly and in arrays. Every item must
 * come exactly once and whole, and each reader must see each writer's items in
 * the order in which they were sent. */
#include <pthread.h>

#include "ring_common.h"

enum { WRITERS = 2, READERS = 2, ROUNDS = 8, ROUND_MS = 250, MOST = 24 };

struct item {
    uint64_t writer, number, check;
};

struct side {
    struct belt_mem mem;
    uint64_t writer, seed, until;
    uint64_t count[WRITERS], sum[WRITERS]; /* by the writer of the item */
};

static uint64_t check_of(uint64_t writer, uint64_t number)
{
    return mix(number << 8 | writer);
}

static void *writer(void *arg)
{
    struct side *side = arg;
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    uint64_t me = side->writer, *count = &side->count[me];
    struct item items[MOST];
    struct belt_tx tx;
    CHECK(belt_tx_open(&tx, side->mem) == 0);
    while (now_ns() < side->until) {
        uint64_t r = next_random(&side->seed);
        uint32_t want = r % 2 ? 1 : 1 + (uint32_t)(r >> 32) % MOST;
        for (uint32_t i = 0; i < want; i++)
            items[i] = (struct item){ me, *count + i, check_of(me, *count + i) };
        uint32_t n = r % 2 ? belt_push(&tx, items, sizeof *items)
                           : belt_push_n(&tx, items, want, sizeof *items);
        for (uint32_t i = 0; i < n; i++)
            side->sum[me] += items[i].check;
        *count += n;
        if (n)
            belt_idle_reset(&idle);
        else
            belt_idle_step(&idle);
    }
    belt_close(&tx);
    return NULL;
}

static void *reader(void *arg)
{
    struct side *side = arg;
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    uint64_t next[WRITERS] = { 0 };
    struct item items[MOST];
    struct belt_rx rx;
    CHECK(belt_rx_open(&rx, side->mem) == 0);
    while (!belt_rx_ended(&rx)) {
        uint64_t r = next_random(&side->seed);
        uint32_t n = r % 2 ? belt_pop(&rx, items, sizeof *items)
                           : belt_pop_n(&rx, items, 1 + (uint32_t)(r >> 32) % MOST, sizeof *items);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(items[i].writer < WRITERS);
            CHECK(items[i].check == check_of(items[i].writer, items[i].number));
            CHECK(items[i].number >= next[items[i].writer]);
            next[items[i].writer] = items[i].number + 1;
            side->count[items[i].writer]++;
            side->sum[items[i].writer] += items[i].check;
        }
        if (n)
            belt_idle_reset(&idle);
        else
            belt_idle_step(&idle);
    }
    return NULL;
}

static uint64_t run_round(uint64_t *seed)
{
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_MPMC,
                                   .writers = WRITERS,
                                   .readers = READERS,
                                   .item_size = sizeof(struct item) };
    conf.items = 2u << next_random(seed) % 8;
    conf.start = 0 - next_random(seed) % 4096;
    struct belt_mem mem = ring_in_new_memory(&conf);
    uint64_t until = now_ns() + ROUND_MS * 1000000ull, items = 0;
    struct side sides[WRITERS + READERS];
    pthread_t threads[WRITERS + READERS];
    for (uint64_t t = 0; t < WRITERS + READERS; t++) {
        sides[t] = (struct side){ mem, t, next_random(seed), until, { 0 }, { 0 } };
        CHECK(pthread_create(&threads[t], NULL, t < WRITERS ? writer : reader, &sides[t]) == 0);
    }
    for (uint64_t t = 0; t < WRITERS + READERS; t++)
        pthread_join(threads[t], NULL);
    for (uint64_t w = 0; w < WRITERS; w++) {
        CHECK(sides[w].count[w] == sides[WRITERS].count[w] + sides[WRITERS + 1].count[w]);
        CHECK(sides[w].sum[w] == sides[WRITERS].sum[w] + sides[WRITERS + 1].sum[w]);
        items += sides[w].count[w];
    }
    CHECK(belt_ring_check(mem.base, mem.size) == 0);
    belt_mem_unmap(&mem);
    return items;
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv), items = 0;
    for (int round = 0; round < ROUNDS; round++)
        items += run_round(&seed);
    printf("%" PRIu64 " items, each once\n", items);
    return 0;
}
