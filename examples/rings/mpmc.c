/* Two writers and two readers at one queue. It is FIFO as a whole; which reader
 * gets what is whoever asks first. Batches pay for one claim, not one an item. */
#include <pthread.h>
#include <stdio.h>

#include <beltway/ring.h>

enum { WRITERS = 2, READERS = 2, EACH = 200000, BATCH = 32 };

static struct belt_mem mem;

struct result {
    uint64_t count, sum, backwards;
};

/* Every thread opens an end of its own; those of one process share a role. */
static void *write_items(void *arg)
{
    struct belt_tx tx;
    uint64_t items[BATCH], from = (uint64_t)(uintptr_t)arg << 32, n = 0;
    if (belt_tx_open(&tx, mem) < 0)
        return NULL;
    while (n < EACH) {
        uint32_t count = EACH - n < BATCH ? (uint32_t)(EACH - n) : BATCH, done = 0;
        for (uint32_t i = 0; i < count; i++)
            items[i] = from | (n + i);
        while ((done += belt_push_n(&tx, items + done, count - done, sizeof *items)) < count)
            belt_tx_wait(&tx, BELT_FOR_EVER);
        n += count;
    }
    belt_close(&tx); /* the end comes when as many have closed as conf.writers says */
    belt_tx_leave(&tx);
    return NULL;
}

static void *read_items(void *arg)
{
    struct result *result = arg;
    struct belt_rx rx;
    uint64_t items[BATCH], last[WRITERS] = { 0 };
    if (belt_rx_open(&rx, mem) < 0)
        return NULL;
    while (belt_rx_wait(&rx, BELT_FOR_EVER) == 0) {
        uint32_t count = belt_pop_n(&rx, items, BATCH, sizeof *items);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t from = items[i] >> 32, n = (uint32_t)items[i] + 1;
            result->backwards += n <= last[from];
            last[from] = n;
            result->sum += n;
        }
        result->count += count;
    }
    belt_rx_leave(&rx);
    return NULL;
}

int main(void)
{
    struct belt_ring_conf conf = {
        .size = sizeof conf, .item_size = 8, .items = 1024, .kind = BELT_MPMC, .writers = WRITERS
    };
    struct result results[READERS] = { { 0, 0, 0 } }, all = { 0, 0, 0 };
    struct belt_ring_stat stat;
    pthread_t threads[WRITERS + READERS];

    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE) < 0 ||
        belt_ring_format(mem, &conf) < 0)
        return 1;
    for (uintptr_t i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_items, (void *)i);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_create(&threads[WRITERS + i], NULL, read_items, &results[i]);
    for (uint32_t i = 0; i < WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < READERS; i++) {
        all.count += results[i].count;
        all.sum += results[i].sum;
        all.backwards += results[i].backwards;
    }
    /* Any process that has the ring mapped may ask, at any time. */
    if (belt_ring_stat(mem, &stat) < 0 || stat.items != 0 || !stat.closed)
        return 1;
    belt_mem_unmap(&mem);
    printf("mpmc: %llu items, %llu out of order\n", (unsigned long long)all.count,
           (unsigned long long)all.backwards);
    uint64_t sum = (uint64_t)WRITERS * EACH * (EACH + 1) / 2;
    return all.count == (uint64_t)WRITERS * EACH && all.sum == sum && !all.backwards ? 0 : 1;
}
