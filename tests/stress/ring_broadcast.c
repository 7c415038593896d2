/* One writer, several readers that each see all: broadcast, where readers come and go,
 * and lossy, where they are lapped. Items must come whole and in order; of a
 * broadcast ring without a gap as long as a reader stays, of a lossy one each is
 * either seen or counted as missed. Usage: ring_broadcast [SEED] */
#include "ring_common.h"

enum { ROUNDS = 40, ROUND_MS = 150, READERS = 3, SIDES = 1 + READERS };

struct side {
    struct belt_mem mem;
    uint64_t seed, until, count, missed;
    uint64_t *open; /* readers that have opened their end */
    uint64_t readers;
    uint32_t size;
    bool lossy, writes;
    bool wanders;
    bool joined; /* anew: the next item may be any later one */
};

/* All from the beginning: a reader that comes late finds another's place. */
static void wait_for_all(const struct side *side)
{
    while (belt_load_acquire(side->open) < side->readers)
        sched_yield();
}

static void *writer(struct side *side)
{
    struct end *end = end_new(side->seed, side->size);
    CHECK(belt_tx_open(&end->tx, side->mem) == 0);
#ifdef BELT_TSAN
    end->by_copy = side->lossy; /* in place, a lossy ring races by design */
#endif
    wait_for_all(side);
    while (now_ns() < side->until)
        for (int i = 0; i < 32; i++)
            side->count += end_write(end, 0, side->count);
    belt_close(&end->tx);
    belt_tx_leave(&end->tx);
    free(end);
    return NULL;
}

/* Leaves and comes back: what was published meanwhile is not for it. */
static void wander(struct side *side, struct end *end)
{
    belt_rx_leave(&end->rx);
    if (next_random(&end->seed) % 2)
        sched_yield();
    CHECK(belt_rx_open(&end->rx, side->mem) == 0);
    side->joined = true;
}

static void *broadcast_reader(struct side *side, struct end *end)
{
    uint64_t stream, number;
    while (!belt_rx_ended(&end->rx)) {
        uint32_t n = end_read(end);
        for (uint32_t i = 0; i < n; i++) {
            const unsigned char *item = end->items + i * end->size;
            item_read(item, &stream, &number);
            CHECK(item_is(item, end->size, 0, number));
            CHECK(side->joined ? number >= side->count : number == side->count);
            side->joined = false;
            side->count = number + 1;
        }
        if (side->wanders && next_random(&end->seed) % 512 == 0)
            wander(side, end);
    }
    return NULL;
}

static void *lossy_reader(struct side *side, struct end *end)
{
    uint64_t stream, number, next = 0;
    while (!belt_rx_ended(&end->rx)) {
        uint32_t n = end_read(end);
        for (uint32_t i = 0; i < n; i++) {
            const unsigned char *item = end->items + i * end->size;
            item_read(item, &stream, &number);
            CHECK(item_is(item, end->size, 0, number));
            CHECK(number >= next);
            next = number + 1;
            side->count++;
        }
    }
    side->missed = end->rx.missed;
    return NULL;
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    if (side->writes)
        return writer(side);
    struct end *end = end_new(side->seed, side->size);
    CHECK(belt_rx_open(&end->rx, side->mem) == 0);
    belt_fetch_add(side->open, 1);
    wait_for_all(side);
#ifdef BELT_TSAN
    end->by_copy = side->lossy;
#endif
    if (side->lossy)
        lossy_reader(side, end);
    else
        broadcast_reader(side, end);
    belt_rx_leave(&end->rx);
    free(end);
    return NULL;
}

static void expect(const struct side *sides, uint32_t readers)
{
    for (uint32_t r = 1; r <= readers; r++) {
        uint64_t seen = sides[r].count + sides[r].missed;
        /* Who wanders may be away at the end. */
        CHECK(sides[r].wanders ? seen <= sides[0].count : seen == sides[0].count);
    }
}

static uint64_t run_round(uint64_t *seed, bool lossy)
{
    static const uint32_t sizes[] = { 8, 8, 9, 15, 24, 56, 57, 64, 100, 1000, 4096 };
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = lossy ? BELT_LOSSY : BELT_BROADCAST };
    conf.item_size = ANY_OF(seed, sizes);
    conf.items = random_items(seed);
    conf.start = random_start(seed);
    conf.readers = 1 + (uint32_t)next_random(seed) % READERS;
    bool processes = PROCESSES_TOO && next_random(seed) % 3 == 0;
    bool wanders = !lossy && next_random(seed) % 2;
    struct belt_mem mem = ring_in_new_memory(&conf);
    struct side *sides = shared_bytes(SIDES * sizeof *sides + sizeof *sides->open);
    for (uint32_t i = 0; i <= conf.readers; i++)
        sides[i] = (struct side){ .mem = mem,
                                  .seed = next_random(seed),
                                  .until = belt_deadline(ROUND_MS * 1000000ull),
                                  .size = conf.item_size,
                                  .lossy = lossy,
                                  .wanders = wanders,
                                  .open = (uint64_t *)(void *)(sides + SIDES),
                                  .readers = conf.readers,
                                  .writes = i == 0 };
    run_sides(processes, run_side, (char *)sides, sizeof *sides, 1 + (int)conf.readers);
    expect(sides, conf.readers);
    uint64_t count = sides[0].count;
    CHECK(belt_ring_check(mem.base, mem.size) == 0);
    munmap(sides, SIDES * sizeof *sides + sizeof *sides->open);
    belt_mem_unmap(&mem);
    return count;
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv), items[2] = { 0 };
    for (int round = 0; round < ROUNDS; round++)
        items[round % 2] += run_round(&seed, round % 2);
    printf("%" PRIu64 " items broadcast, %" PRIu64 " with losses\n", items[0], items[1]);
    return 0;
}
