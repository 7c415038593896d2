/* The reader sleeps as soon as it finds nothing, so that every item is a chance
 * to lose a wake-up: the sleeper is then never woken and ppoll runs into its
 * limit. The writer either sleeps as well, or publishes after a random moment,
 * to meet the reader just between its two looks. Each by membarrier and by
 * fences on both sides. */
#include <poll.h>
#include <pthread.h>

#include "ring_common.h"

enum { PHASE_MS = 1000, LIMIT_S = 20, LONGEST_DELAY = 512, SLOTS = 2 };

struct end {
    _Alignas(BELT_LINES) struct belt_sleep sleep;
    int fd;
};

struct belt {
    struct belt_mem mem;
    struct end writer, reader;
    uint64_t seed, until, sent, taken;
    bool paced;
};

/* Something to read, or a word that there never will be; room to write. */
static bool may_read(struct belt_tx *tx, struct belt_rx *rx)
{
    (void)tx;
    return belt_peek(rx, 1).count > 0 || belt_rx_ended(rx);
}

static bool may_write(struct belt_tx *tx, struct belt_rx *rx)
{
    (void)rx;
    return belt_claim(tx, 1).count > 0;
}

static void sleep_until(bool (*ready)(struct belt_tx *, struct belt_rx *), struct belt_tx *tx,
                        struct belt_rx *rx, struct end *end)
{
    while (!ready(tx, rx)) {
        belt_sleep_prepare(&end->sleep);
        if (!ready(tx, rx)) {
            struct pollfd p = { .fd = end->fd, .events = POLLIN };
            struct timespec limit = { LIMIT_S, 0 };
            CHECK(ppoll(&p, 1, &limit, NULL) == 1);
        }
        belt_sleep_done(&end->sleep, end->fd);
    }
}

/* Until the reader has taken everything, and a moment longer. */
static void pace(struct belt_tx *tx, uint64_t *seed)
{
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    while (belt_claim_at(tx, SLOTS - 1, 1).count == 0)
        belt_idle_step(&idle);
    for (uint64_t i = next_random(seed) % LONGEST_DELAY; i > 0; i--)
        belt_fence_compiler();
}

static void *writer(void *arg)
{
    struct belt *belt = arg;
    struct belt_tx tx;
    CHECK(belt_tx_open(&tx, belt->mem) == 0);
    while (now_ns() < belt->until) {
        if (belt->paced)
            pace(&tx, &belt->seed);
        else
            sleep_until(may_write, &tx, NULL, &belt->writer);
        CHECK(belt_push(&tx, &belt->sent, sizeof belt->sent));
        belt->sent++;
        belt_wake(&belt->reader.sleep, belt->reader.fd);
    }
    belt_close(&tx);
    belt_wake(&belt->reader.sleep, belt->reader.fd);
    return NULL;
}

static void *reader(void *arg)
{
    struct belt *belt = arg;
    struct belt_rx rx;
    uint64_t item;
    CHECK(belt_rx_open(&rx, belt->mem) == 0);
    for (;;) {
        sleep_until(may_read, NULL, &rx, &belt->reader);
        if (!belt_pop(&rx, &item, sizeof item))
            return NULL;
        CHECK(item == belt->taken++);
        belt_wake(&belt->writer.sleep, belt->writer.fd);
    }
}

static void end_open(struct end *end, uint32_t also)
{
    belt_sleep_init(&end->sleep, BELT_THREADS);
    end->sleep.asleep |= also;
    end->fd = belt_sleep_fd();
    CHECK(end->fd >= 0);
}

static void phase(const char *name, uint32_t also, bool paced, uint64_t seed)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = 8, .items = SLOTS };
    static struct belt belt;
    pthread_t threads[2];
    belt.mem = ring_in_new_memory(&conf);
    belt.sent = belt.taken = 0;
    belt.paced = paced;
    belt.seed = seed;
    belt.until = now_ns() + PHASE_MS * 1000000ull;
    end_open(&belt.writer, also);
    end_open(&belt.reader, also);
    CHECK(pthread_create(&threads[0], NULL, writer, &belt) == 0);
    CHECK(pthread_create(&threads[1], NULL, reader, &belt) == 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK(belt.sent == belt.taken);
    printf("%s: %" PRIu64 " items, no wake-up lost\n", name, belt.taken);
    belt_mem_unmap(&belt.mem);
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv);
    phase("membarrier, both sleep", 0, false, seed);
    phase("fences, both sleep", BELT_FENCED, false, seed);
    phase("membarrier, paced", 0, true, seed);
    phase("fences, paced", BELT_FENCED, true, seed);
    return 0;
}
