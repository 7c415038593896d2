/* One thread hands numbers to another: the first half by copy, the rest in place. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <beltway/ring.h>

enum { HALF = 500000, ALL = 2 * HALF, BATCH = 32 };

/* Full and empty are no errors: wait, then go on. */
static void *write_numbers(void *arg)
{
    struct belt_tx *tx = arg;
    uint64_t n = 0;
    while (n < HALF) {
        if (belt_push(tx, &n, sizeof n))
            n++;
        else
            belt_tx_wait(tx, BELT_FOR_EVER);
    }
    while (n < ALL) {
        struct belt_slots s = belt_claim(tx, ALL - n < BATCH ? (uint32_t)(ALL - n) : BATCH);
        if (s.count == 0)
            belt_tx_wait(tx, BELT_FOR_EVER);
        for (uint32_t i = 0; i < s.count; i++, n++)
            memcpy((char *)s.first + (size_t)i * tx->slot_size, &n, sizeof n);
        belt_publish(tx, s.count);
    }
    belt_close(tx); /* what makes the reader's wait return -EPIPE, once all is read */
    return NULL;
}

static uint64_t read_numbers(struct belt_rx *rx)
{
    uint64_t next = 0, n;
    while (belt_rx_wait(rx, BELT_FOR_EVER) == 0) {
        while (next < HALF && belt_pop(rx, &n, sizeof n))
            if (n != next++)
                return 0;
        struct belt_slots s = belt_peek(rx, next < HALF ? 0 : BATCH);
        for (uint32_t i = 0; i < s.count; i++) {
            memcpy(&n, (char *)s.first + (size_t)i * rx->slot_size, sizeof n);
            if (n != next++)
                return 0;
        }
        belt_release(rx, s.count); /* from here on the writer may fill them anew */
    }
    return next;
}

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = sizeof(uint64_t) };
    struct belt_mem mem;
    struct belt_tx tx;
    struct belt_rx rx;
    pthread_t writer;

    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE) < 0 ||
        belt_ring_format(mem, &conf) < 0 || belt_tx_open(&tx, mem) < 0 ||
        belt_rx_open(&rx, mem) < 0)
        return 1;
    if (pthread_create(&writer, NULL, write_numbers, &tx) != 0)
        return 1;
    uint64_t got = read_numbers(&rx);
    pthread_join(writer, NULL);
    belt_tx_leave(&tx);
    belt_rx_leave(&rx);
    belt_mem_unmap(&mem);
    printf("threads: %llu of %d numbers, in order\n", (unsigned long long)got, ALL);
    return got == ALL ? 0 : 1;
}
