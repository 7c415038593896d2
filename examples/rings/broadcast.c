/* One writer, and readers that each see every item: reliably, where the slowest
 * holds the writer back, and lossy, where nobody does and the slow are told. */
#include <pthread.h>
#include <stdio.h>

#include <beltway/ring.h>

enum { READERS = 3, ITEMS = 100000 };

static void *count_in_order(void *arg)
{
    struct belt_rx *rx = arg;
    uint64_t next = 0, n;
    while (belt_rx_wait(rx, BELT_FOR_EVER) == 0)
        while (belt_pop(rx, &n, sizeof n))
            next += n == next;
    return (void *)(uintptr_t)next;
}

static int make(struct belt_mem *mem, enum belt_kind kind, uint32_t items)
{
    struct belt_ring_conf conf = {
        .size = sizeof conf, .item_size = 8, .items = items, .kind = kind, .readers = READERS
    };
    int rc = belt_mem_map(mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE);
    return rc < 0 ? rc : belt_ring_format(*mem, &conf);
}

static int reliable(void)
{
    struct belt_mem mem;
    struct belt_tx tx;
    struct belt_rx rx[READERS];
    pthread_t threads[READERS];
    int complete = 0;

    if (make(&mem, BELT_BROADCAST, 256) < 0 || belt_tx_open(&tx, mem) < 0)
        return -1;
    /* Each of the conf.readers places gates from the start: who opens late misses nothing. */
    for (int i = 0; i < READERS; i++)
        if (belt_rx_open(&rx[i], mem) < 0 ||
            pthread_create(&threads[i], NULL, count_in_order, &rx[i]) != 0)
            return -1;
    for (uint64_t n = 0; n < ITEMS; n++)
        while (!belt_push(&tx, &n, sizeof n))
            belt_tx_wait(&tx, BELT_FOR_EVER);
    belt_close(&tx);
    for (int i = 0; i < READERS; i++) {
        void *got;
        pthread_join(threads[i], &got);
        complete += (uintptr_t)got == ITEMS;
        belt_rx_leave(&rx[i]);
    }
    belt_tx_leave(&tx);
    belt_mem_unmap(&mem);
    return complete;
}

/* One thread plays both, so that who laps whom is no matter of luck. */
static int lossy(uint64_t *seen, uint64_t *missed)
{
    struct belt_mem mem;
    struct belt_tx tx;
    struct belt_rx rx;
    uint64_t n = 0;
    if (make(&mem, BELT_LOSSY, 64) < 0 || belt_tx_open(&tx, mem) < 0 || belt_rx_open(&rx, mem) < 0)
        return -1;
    for (int round = 0; round < 100; round++) {
        struct belt_slots s = belt_peek(&rx, 16);
        /* Every tenth round the writer laps us while we look at the items. */
        for (int i = round % 10 ? 10 : 500; i > 0; i--, n++)
            belt_push(&tx, &n, sizeof n); /* never full */
        if (belt_release(&rx, s.count))
            *seen += s.count; /* only now it is sure that they were what was sent */
    }
    for (uint64_t item; belt_pop(&rx, &item, sizeof item);)
        ++*seen;
    *missed = rx.missed;
    belt_mem_unmap(&mem);
    return *seen + *missed == n && *missed > 0 ? 0 : -1;
}

int main(void)
{
    uint64_t seen = 0, missed = 0;
    int complete = reliable();
    printf("broadcast: %d of %d readers saw all %d items\n", complete, READERS, ITEMS);
    int rc = lossy(&seen, &missed);
    printf("lossy: %llu seen, %llu missed, none unnoticed\n", (unsigned long long)seen,
           (unsigned long long)missed);
    return complete == READERS && rc == 0 ? 0 : 1;
}
