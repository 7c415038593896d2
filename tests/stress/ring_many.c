/* Writers and readers on one ring: MPMC, crash-unsafe, sharded. Every item must come
 * exactly once and whole, and each reader must see each writer's items in the order
 * in which they were sent. Usage: ring_many [SEED] */
#include "ring_common.h"

enum { ROUNDS = 45, ROUND_MS = 150, WRITERS = 3, READERS = 3, SIDES = WRITERS + READERS + 1 };
enum role { WRITES, READS, LOOKS };

struct side {
    struct belt_mem mem;
    uint64_t number, seed, until;
    uint32_t size;
    enum role role;
    bool gappy;
    uint64_t count[WRITERS], sum[WRITERS]; /* by the writer of the item */
};

static void *writer(struct side *side)
{
    struct end *end = end_new(side->seed, side->size);
    uint64_t me = side->number, *count = &side->count[me];
    CHECK(belt_tx_open(&end->tx, side->mem) == 0);
    end->gappy = side->gappy;
    while (now_ns() < side->until)
        for (int i = 0; i < 32; i++) {
            uint32_t n = end_write(end, me, *count);
            for (uint32_t j = 0; j < n; j++)
                side->sum[me] += mix((*count)++);
        }
    belt_close(&end->tx);
    belt_tx_leave(&end->tx);
    free(end);
    return NULL;
}

static void *reader(struct side *side)
{
    struct end *end = end_new(side->seed, side->size);
    uint64_t next[WRITERS] = { 0 }, stream, number;
    CHECK(belt_rx_open(&end->rx, side->mem) == 0);
    end->whole = true;
    while (!belt_rx_ended(&end->rx)) {
        uint32_t n = end_read(end);
        for (uint32_t i = 0; i < n; i++) {
            const unsigned char *item = end->items + i * end->size;
            item_read(item, &stream, &number);
            CHECK(stream < WRITERS && item_is(item, end->size, stream, number));
            CHECK(number >= next[stream]);
            next[stream] = number + 1;
            side->count[stream]++;
            side->sum[stream] += mix(number);
        }
    }
    belt_rx_leave(&end->rx);
    free(end);
    return NULL;
}

/* Figures of what is on its way may be off, but they are figures of this ring. */
static void *looker(struct side *side)
{
    struct belt_ring_stat stat;
    while (now_ns() < side->until) {
        CHECK(belt_ring_stat(side->mem, &stat) == 0);
        CHECK(stat.items <= (uint64_t)stat.slots * WRITERS * READERS);
        int rc = belt_ring_reap(side->mem, NULL);
        CHECK(rc == 0 || rc == -ENOTSUP);
        usleep(100);
    }
    return NULL;
}

static void *run_side(void *arg)
{
    static void *(*const roles[])(struct side *) = { writer, reader, looker };
    struct side *side = arg;
    return roles[side->role](side);
}

/* Each once: how many. */
static uint64_t settle(const struct side *sides, uint32_t writers, uint32_t readers)
{
    uint64_t items = 0;
    for (uint32_t w = 0; w < writers; w++) {
        uint64_t count = sides[w].count[w], sum = sides[w].sum[w];
        items += count;
        for (uint32_t r = writers; r < writers + readers; r++) {
            count -= sides[r].count[w];
            sum -= sides[r].sum[w];
        }
        CHECK(count == 0 && sum == 0);
    }
    return items;
}

static uint64_t run_round(uint64_t *seed, enum belt_kind kind)
{
    static const uint32_t sizes[] = { 8, 8, 9, 16, 24, 40, 55, 56, 57, 64, 100, 1000, 4096 };
    struct belt_ring_conf conf = { .size = sizeof conf, .kind = kind };
    conf.item_size = ANY_OF(seed, sizes);
    conf.items = random_items(seed);
    conf.start = random_start(seed);
    conf.writers = 1 + (uint32_t)next_random(seed) % WRITERS;
    conf.readers = 1 + (uint32_t)next_random(seed) % READERS;
    bool gappy = next_random(seed) % 4 == 0;
    bool processes = PROCESSES_TOO && next_random(seed) % 3 == 0;
    struct belt_mem mem = ring_in_new_memory(&conf);
    struct side *sides = shared_bytes(SIDES * sizeof *sides);
    uint32_t ends = conf.writers + conf.readers;
    for (uint32_t i = 0; i <= ends; i++)
        sides[i] = (struct side){ .mem = mem,
                                  .number = i,
                                  .seed = next_random(seed),
                                  .until = belt_deadline(ROUND_MS * 1000000ull),
                                  .size = conf.item_size,
                                  .gappy = gappy,
                                  .role = i < conf.writers ? WRITES
                                          : i < ends       ? READS
                                                           : LOOKS };
    run_sides(processes, run_side, (char *)sides, sizeof *sides, (int)ends + 1);
    uint64_t items = settle(sides, conf.writers, conf.readers);
    CHECK(belt_ring_check(mem.base, mem.size) == 0);
    munmap(sides, SIDES * sizeof *sides);
    belt_mem_unmap(&mem);
    return items;
}

int main(int argc, char **argv)
{
    static const enum belt_kind kinds[] = { BELT_MPMC, BELT_MPMC_CRASH_UNSAFE, BELT_SHARDED };
    uint64_t seed = seed_from(argc, argv), items[3] = { 0 };
    for (int round = 0; round < ROUNDS; round++)
        items[round % 3] += run_round(&seed, kinds[round % 3]);
    printf("%" PRIu64 " items by MPMC, %" PRIu64 " crash-unsafe, %" PRIu64 " sharded, each once\n",
           items[0], items[1], items[2]);
    return 0;
}
