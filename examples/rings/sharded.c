/* Two writers and two readers that never meet at one cursor: a lane for each pair.
 * What one writer sends to one reader stays in order, and nothing else does. */
#include <pthread.h>
#include <stdio.h>

#include <beltway/ring.h>

enum { WRITERS = 2, READERS = 2, EACH = 200000, BATCH = 32 };

static struct belt_mem mem;

struct result {
    struct belt_rx rx;
    uint64_t count, backwards;
};

static void *write_items(void *arg)
{
    struct belt_tx *tx = arg;
    uint64_t items[BATCH];
    for (uint64_t n = 0; n < EACH; n += BATCH) {
        uint32_t done = 0;
        /* tx->me: which of the writers we are; the roles are numbered from 0. */
        for (uint32_t i = 0; i < BATCH; i++)
            items[i] = (uint64_t)tx->me << 32 | (n + i);
        /* Takes the lane of any reader that has room: nobody waits for a slow one. */
        while ((done += belt_push_n(tx, items + done, BATCH - done, sizeof *items)) < BATCH)
            belt_tx_wait(tx, BELT_FOR_EVER);
    }
    belt_close(tx);
    return NULL;
}

static void *read_items(void *arg)
{
    struct result *result = arg;
    uint64_t items[BATCH], last[WRITERS] = { 0 };
    while (belt_rx_wait(&result->rx, BELT_FOR_EVER) == 0) {
        uint32_t count = belt_pop_n(&result->rx, items, BATCH, sizeof *items);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t from = items[i] >> 32, n = (uint32_t)items[i] + 1;
            result->backwards += n <= last[from];
            last[from] = n;
        }
        result->count += count;
    }
    return NULL;
}

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .item_size = 8,
                                   .batch = BATCH,
                                   .kind = BELT_SHARDED,
                                   .writers = WRITERS,
                                   .readers = READERS };
    struct belt_tx tx[WRITERS];
    struct result results[READERS] = { 0 };
    pthread_t threads[WRITERS + READERS];
    uint64_t count = 0, backwards = 0;

    /* The footprint counts a lane for each pair: writers times readers. */
    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE) < 0 ||
        belt_ring_format(mem, &conf) < 0)
        return 1;
    for (uint32_t i = 0; i < WRITERS; i++)
        if (belt_tx_open(&tx[i], mem) < 0 ||
            pthread_create(&threads[i], NULL, write_items, &tx[i]) != 0)
            return 1;
    for (uint32_t i = 0; i < READERS; i++)
        if (belt_rx_open(&results[i].rx, mem) < 0 ||
            pthread_create(&threads[WRITERS + i], NULL, read_items, &results[i]) != 0)
            return 1;
    for (uint32_t i = 0; i < WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < READERS; i++) {
        count += results[i].count;
        backwards += results[i].backwards;
        belt_rx_leave(&results[i].rx);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        belt_tx_leave(&tx[i]);
    belt_mem_unmap(&mem);
    printf("sharded: %llu items, %llu out of order within a pair\n", (unsigned long long)count,
           (unsigned long long)backwards);
    return count == (uint64_t)WRITERS * EACH && !backwards ? 0 : 1;
}
