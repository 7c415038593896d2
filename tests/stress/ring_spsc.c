/* One writer and one reader, spans and in-band, each choosing anew every time how it
 * uses the ring. Every item must come once, in order, whole. Usage: ring_spsc [SEED] */
#include "ring_common.h"

enum { ROUNDS = 40, ROUND_MS = 150, BULK_EACH = 4 };

struct side {
    struct belt_mem mem;
    uint64_t seed, count, until;
    uint32_t size;
    bool writes, bulk;
};

/* Spans: claims again before what it claimed is published. */
static uint32_t write_behind(struct end *end, uint64_t next)
{
    struct belt_tx *tx = &end->tx;
    uint32_t want = 1 + (uint32_t)next_random(&end->seed) % MOST;
    struct belt_slots s = belt_claim(tx, want), more;
    if (s.count == 0)
        return 0;
    more = belt_claim_at(tx, s.count, want);
    for (uint32_t i = 0; i < s.count + more.count; i++) {
        struct belt_slots *run = i < s.count ? &s : &more;
        uint32_t at = i < s.count ? i : i - s.count;
        item_make((unsigned char *)run->first + (size_t)at * tx->slot_size, end->size, 0, next + i);
    }
    belt_publish(tx, s.count + more.count);
    return s.count + more.count;
}

static void *writer(struct side *side)
{
    struct end *end = end_new(side->seed, side->size);
    CHECK(belt_tx_open(&end->tx, side->mem) == 0);
    bool spans = end->tx.way == BELT_WAY_SPANS;
    while (now_ns() < side->until)
        for (int i = 0; i < 32; i++)
            side->count += spans && i % 4 == 0 ? write_behind(end, side->count)
                                               : end_write(end, 0, side->count);
    belt_close(&end->tx);
    belt_tx_leave(&end->tx);
    free(end);
    return NULL;
}

/* Spans: looks past what it will release. */
static void look_behind(struct end *end, uint64_t next)
{
    struct belt_slots s = belt_peek(&end->rx, 3), more = belt_peek_at(&end->rx, s.count, 3);
    for (uint32_t i = 0; i < more.count; i++)
        CHECK(item_is((unsigned char *)more.first + (size_t)i * end->rx.slot_size, end->size, 0,
                      next + s.count + i));
}

static void *reader(struct side *side)
{
    struct end *end = end_new(side->seed, side->size);
    CHECK(belt_rx_open(&end->rx, side->mem) == 0);
    bool spans = end->rx.way == BELT_WAY_SPANS;
    while (!belt_rx_ended(&end->rx)) {
        if (spans && side->count % 4 == 0)
            look_behind(end, side->count);
        uint32_t n = end_read(end);
        for (uint32_t i = 0; i < n; i++)
            CHECK(item_is(end->items + i * end->size, end->size, 0, side->count++));
    }
    belt_rx_leave(&end->rx);
    free(end);
    return NULL;
}

/* ---- in bulk: nothing but items, as fast as they come ---------------------------------- */

/* By turns one end is a little slower than the other: the ring is full, empty, neither. */
static void amble(uint64_t count, bool writes)
{
    uint64_t turn = count >> 13 & 3, most = count >> 15 & 3;
    for (uint64_t pauses = 0; pauses < most && turn == (writes ? 1 : 0); pauses++)
        belt_pause();
}

static void *bulk_writer(struct side *side)
{
    struct belt_tx tx;
    CHECK(belt_tx_open(&tx, side->mem) == 0);
    while (now_ns() < side->until)
        for (int i = 0; i < 1000; i++) {
            side->count += belt_push(&tx, &side->count, sizeof side->count);
            amble(side->count, true);
        }
    belt_close(&tx);
    belt_tx_leave(&tx);
    return NULL;
}

static void *bulk_reader(struct side *side)
{
    struct belt_rx rx;
    uint64_t item;
    CHECK(belt_rx_open(&rx, side->mem) == 0);
    while (!belt_rx_ended(&rx))
        for (int i = 0; i < 1000; i++) {
            if (!belt_pop(&rx, &item, sizeof item))
                continue;
            CHECK(item == side->count);
            side->count++;
            amble(side->count, false);
        }
    belt_rx_leave(&rx);
    return NULL;
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    if (side->bulk)
        return side->writes ? bulk_writer(side) : bulk_reader(side);
    return side->writes ? writer(side) : reader(side);
}

static uint64_t run_round(uint64_t *seed, enum belt_body body, int round)
{
    static const uint32_t small[] = { 1, 2, 3, 7, 8, 9, 16, 17, 24, 28, 55, 56 },
                          big[] = { 1, 3, 8, 12, 24, 57, 63, 64, 65, 100, 1000, 4095, 4096 };
    static const uint32_t bulks[] = { 1u << 20, 1u << 9, 1u << 14, 1u << 11 };
    struct belt_ring_conf conf = { .size = sizeof conf, .body = body };
    bool bulk = round % BULK_EACH == 0; /* where ends keep away from each other on purpose */
    conf.item_size = body == BELT_BODY_INBAND ? ANY_OF(seed, small) : ANY_OF(seed, big);
    conf.items = random_items(seed);
    if (bulk) {
        conf.item_size = next_random(seed) % 2 ? 56 : 8; /* a line for each, or not */
        conf.items = bulks[round / BULK_EACH % 4];
    }
    conf.start = random_start(seed);
    conf.flags = next_random(seed) % 4 ? 0 : BELT_NO_LINGER;
    bool processes = PROCESSES_TOO && next_random(seed) % 3 == 0;
    struct belt_mem mem = ring_in_new_memory(&conf);
    struct side *sides = shared_bytes(2 * sizeof *sides);
    for (int i = 0; i < 2; i++)
        sides[i] = (struct side){ .mem = mem,
                                  .seed = next_random(seed),
                                  .until = belt_deadline(ROUND_MS * 1000000ull),
                                  .size = conf.item_size,
                                  .writes = i == 0,
                                  .bulk = bulk };
    run_sides(processes, run_side, (char *)sides, sizeof *sides, 2);
    uint64_t count = sides[1].count;
    CHECK(count == sides[0].count);
    CHECK(belt_ring_check(mem.base, mem.size) == 0);
    munmap(sides, 2 * sizeof *sides);
    belt_mem_unmap(&mem);
    return count;
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv), spans = 0, inband = 0;
    for (int round = 0; round < ROUNDS; round += 2) {
        spans += run_round(&seed, BELT_BODY_SPANS, round);
        inband += run_round(&seed, BELT_BODY_INBAND, round);
    }
    printf("%" PRIu64 " items by spans, %" PRIu64 " in-band, in order\n", spans, inband);
    return 0;
}
