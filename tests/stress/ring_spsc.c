/* One writer and one reader, each choosing anew every time how it uses the
 * ring: one item, an array, a span, a span behind a span. Every item must come
 * once, in order, whole; many starts near the wrap of the cursors. */
#include <pthread.h>

#include "ring_common.h"

enum { ROUNDS = 12, ROUND_MS = 200, MOST = 40, WORDS = 3 };

/* Three words that belong together: a torn or stale slot shows. */
struct item {
    uint64_t word[WORDS];
};

struct side {
    struct belt_mem mem;
    uint64_t seed, count, until;
};

static struct item item_of(uint64_t i)
{
    return (struct item){ { i, mix(i), ~i } };
}

static void expect(const struct item *got, uint64_t i)
{
    struct item want = item_of(i);
    for (int w = 0; w < WORDS; w++)
        CHECK(got->word[w] == want.word[w]);
}

static uint32_t write_one(struct belt_tx *tx, uint64_t next, uint32_t want)
{
    (void)want;
    struct item item = item_of(next);
    return belt_push(tx, &item, sizeof item);
}

static uint32_t write_array(struct belt_tx *tx, uint64_t next, uint32_t want)
{
    struct item items[MOST];
    for (uint32_t i = 0; i < want; i++)
        items[i] = item_of(next + i);
    return belt_push_n(tx, items, want, sizeof *items);
}

static void fill(struct belt_tx *tx, struct belt_slots s, uint64_t next)
{
    for (uint32_t i = 0; i < s.count; i++)
        *(struct item *)(void *)((char *)s.first + (size_t)i * tx->slot_size) = item_of(next + i);
}

/* Claims in two goes, the second before the first is published. */
static uint32_t write_spans(struct belt_tx *tx, uint64_t next, uint32_t want)
{
    struct belt_slots s = belt_claim(tx, want);
    if (s.count == 0)
        return 0;
    fill(tx, s, next);
    struct belt_slots more = belt_claim_at(tx, s.count, want);
    fill(tx, more, next + s.count);
    belt_publish(tx, s.count + more.count);
    return s.count + more.count;
}

static void *writer(void *arg)
{
    static uint32_t (*const ways[])(struct belt_tx *, uint64_t,
                                    uint32_t) = { write_one, write_array, write_spans };
    struct side *side = arg;
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    struct belt_tx tx;
    CHECK(belt_tx_open(&tx, side->mem) == 0);
    while (now_ns() < side->until) {
        uint64_t r = next_random(&side->seed);
        uint32_t n = ways[r % 3](&tx, side->count, 1 + (uint32_t)(r >> 32) % MOST);
        side->count += n;
        if (n)
            belt_idle_reset(&idle);
        else
            belt_idle_step(&idle);
    }
    belt_close(&tx);
    return NULL;
}

static uint32_t read_one(struct belt_rx *rx, uint64_t next, uint32_t want)
{
    (void)want;
    struct item item;
    if (!belt_pop(rx, &item, sizeof item))
        return 0;
    expect(&item, next);
    return 1;
}

static uint32_t read_array(struct belt_rx *rx, uint64_t next, uint32_t want)
{
    struct item items[MOST];
    uint32_t n = belt_pop_n(rx, items, want, sizeof *items);
    for (uint32_t i = 0; i < n; i++)
        expect(&items[i], next + i);
    return n;
}

static void expect_all(const struct belt_rx *rx, struct belt_slots s, uint64_t next)
{
    for (uint32_t i = 0; i < s.count; i++)
        expect((struct item *)(void *)((char *)s.first + (size_t)i * rx->slot_size), next + i);
}

/* Looks past what it holds, releases a part, and sees the rest again later. */
static uint32_t read_spans(struct belt_rx *rx, uint64_t next, uint32_t want)
{
    struct belt_slots s = belt_peek(rx, want);
    if (s.count == 0)
        return 0;
    expect_all(rx, belt_peek_at(rx, s.count, want), next + s.count);
    expect_all(rx, s, next);
    uint32_t n = 1 + (uint32_t)next % s.count;
    CHECK(belt_release(rx, n));
    return n;
}

static void *reader(void *arg)
{
    static uint32_t (*const ways[])(struct belt_rx *, uint64_t, uint32_t) = { read_one, read_array,
                                                                              read_spans };
    struct side *side = arg;
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    struct belt_rx rx;
    CHECK(belt_rx_open(&rx, side->mem) == 0);
    while (!belt_rx_ended(&rx)) {
        uint64_t r = next_random(&side->seed);
        uint32_t n = ways[r % 3](&rx, side->count, 1 + (uint32_t)(r >> 32) % MOST);
        side->count += n;
        if (n)
            belt_idle_reset(&idle);
        else
            belt_idle_step(&idle);
    }
    return NULL;
}

static uint64_t run_round(uint64_t *seed)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = sizeof(struct item) };
    conf.items = 2u << next_random(seed) % 9;
    conf.start = 0 - next_random(seed) % 4096;
    struct belt_mem mem = ring_in_new_memory(&conf);
    struct side tx = { mem, next_random(seed), 0, now_ns() + ROUND_MS * 1000000ull };
    struct side rx = { mem, next_random(seed), 0, 0 };
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, writer, &tx) == 0);
    CHECK(pthread_create(&threads[1], NULL, reader, &rx) == 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK(rx.count == tx.count);
    CHECK(belt_ring_check(mem.base, mem.size) == 0);
    belt_mem_unmap(&mem);
    return rx.count;
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv), items = 0;
    for (int round = 0; round < ROUNDS; round++)
        items += run_round(&seed);
    printf("%" PRIu64 " items in order\n", items);
    return 0;
}
