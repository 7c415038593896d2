/* The reader sleeps as soon as it finds nothing, so that every item is a chance to
 * lose a wake-up. The writer sleeps as well when the ring is full, or is paced: it
 * publishes a random moment after the reader took the last item, to meet it just
 * between its two looks. By belt_rx_wait, by belt_rx_wait_any, by a descriptor; of
 * every kind; threads and processes. A descriptor that misses a wake-up blocks until
 * the limit; a wait that does wakes by itself to ask who lives, and is counted.
 * Usage: ring_wake [SEED] */
#include <poll.h>

#include "ring_common.h"

enum { PHASE_MS = 120, LIMIT_MS = 20000, LONGEST_DELAY = 512, RINGS = 3 };
/* A wait as long as this has been woken by nobody, or the machine was busy. */
enum { LATE_NS = 18 * 1000 * 1000, ENOUGH = 20 };

enum way { BY_WAIT, BY_ANY, BY_FD };

static const struct {
    const char *name;
    enum belt_kind kind;
    enum belt_body body;
} shapes[] = {
    { "spans", BELT_SPSC, BELT_BODY_SPANS },
    { "in-band", BELT_SPSC, BELT_BODY_INBAND },
    { "mpmc", BELT_MPMC, BELT_BODY_AUTO },
    { "crash-unsafe", BELT_MPMC_CRASH_UNSAFE, BELT_BODY_AUTO },
    { "sharded", BELT_SHARDED, BELT_BODY_AUTO },
    { "broadcast", BELT_BROADCAST, BELT_BODY_AUTO },
    { "lossy", BELT_LOSSY, BELT_BODY_AUTO },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct belt {
    struct belt_mem mem[RINGS];
    int rings;
    enum way way;
    bool paced;
    uint64_t until, sent, taken; /* taken: the reader's alone */
};

struct side {
    struct belt *belt;
    uint64_t seed, waits, late;
    bool writes;
};

/* How long the wait was: counted. */
static void count_wait(struct side *side, uint64_t since)
{
    side->waits++;
    side->late += now_ns() - since >= LATE_NS;
}

/* ---- the writer -------------------------------------------------------------- */

/* Until the reader has taken everything, and a moment longer. */
static void pace(struct side *side)
{
    struct belt_idle idle = belt_idle_of(BELT_WAIT_YIELD);
    while (belt_load_acquire(&side->belt->taken) != side->belt->sent)
        belt_idle_step(&idle);
    for (uint64_t i = next_random(&side->seed) % LONGEST_DELAY; i > 0; i--)
        belt_fence_compiler();
}

static void write_one(struct side *side, struct belt_tx *tx)
{
    struct belt *belt = side->belt;
    uint64_t since = now_ns();
    while (!belt_push(tx, &belt->sent, sizeof belt->sent)) {
        CHECK(belt_tx_wait(tx, belt_deadline(LIMIT_MS * 1000000ull)) == 0);
        count_wait(side, since);
    }
    belt->sent++;
}

static void *writer(struct side *side)
{
    struct belt *belt = side->belt;
    struct belt_tx tx[RINGS];
    for (int i = 0; i < belt->rings; i++)
        CHECK(belt_tx_open(&tx[i], belt->mem[i]) == 0);
    while (now_ns() < belt->until) {
        if (belt->paced)
            pace(side);
        write_one(side, &tx[next_random(&side->seed) % (uint64_t)belt->rings]);
    }
    for (int i = 0; i < belt->rings; i++) {
        belt_close(&tx[i]);
        belt_tx_leave(&tx[i]);
    }
    return NULL;
}

/* ---- the reader -------------------------------------------------------------- */

/* The ring's number, or -EPIPE. */
static int by_wait(struct belt_rx *rx, int rings)
{
    (void)rings;
    return belt_rx_wait(rx, belt_deadline(LIMIT_MS * 1000000ull));
}

static int by_any(struct belt_rx *rx, int rings)
{
    struct belt_rx *rxs[RINGS];
    for (int i = 0; i < rings; i++)
        rxs[i] = &rx[i];
    return belt_rx_wait_any(rxs, (uint32_t)rings, belt_deadline(LIMIT_MS * 1000000ull));
}

static int by_fd(struct belt_rx *rx, int rings)
{
    struct pollfd p = { .fd = belt_rx_fd(rx), .events = POLLIN };
    (void)rings;
    CHECK(p.fd >= 0);
    if (!belt_rx_arm(rx))
        CHECK(poll(&p, 1, LIMIT_MS) == 1);
    belt_rx_disarm(rx);
    return belt_rx_ended(rx) ? -EPIPE : 0;
}

static void *reader(struct side *side)
{
    static int (*const waits[])(struct belt_rx *, int) = { by_wait, by_any, by_fd };
    struct belt *belt = side->belt;
    struct belt_rx rx[RINGS];
    uint64_t item, taken = 0;
    for (int i = 0; i < belt->rings; i++)
        CHECK(belt_rx_open(&rx[i], belt->mem[i]) == 0);
    for (;;) {
        uint64_t since = now_ns();
        int found = waits[belt->way](rx, belt->rings);
        if (found == -EPIPE)
            break;
        CHECK(found >= 0);
        count_wait(side, since);
        while (belt_pop(&rx[found], &item, sizeof item)) {
            CHECK(item == taken || belt->rings > 1);
            belt_store_release(&belt->taken, ++taken);
        }
    }
    for (int i = 0; i < belt->rings; i++)
        belt_rx_leave(&rx[i]);
    return NULL;
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    return side->writes ? writer(side) : reader(side);
}

/* ---- phases ------------------------------------------------------------------ */

static void phase(int shape, enum way way, bool paced, bool processes, uint64_t seed)
{
    struct belt *belt = shared_bytes(sizeof *belt);
    struct side *sides = shared_bytes(2 * sizeof *sides);
    *belt = (struct belt){ .rings = way == BY_ANY ? RINGS : 1, .way = way, .paced = paced };
    for (int i = 0; i < belt->rings; i++) {
        int s = (shape + i) % SHAPES;
        struct belt_ring_conf conf = { .size = sizeof conf,
                                       .kind = shapes[s].kind,
                                       .body = shapes[s].body,
                                       .item_size = 8,
                                       .items = 2,
                                       .wait = BELT_WAIT_BLOCK };
        belt->mem[i] = ring_in_new_memory(&conf);
    }
    belt->until = belt_deadline(PHASE_MS * 1000000ull);
    for (int i = 0; i < 2; i++)
        sides[i] = (struct side){ .belt = belt, .seed = seed + (uint64_t)i, .writes = i == 0 };
    run_sides(processes, run_side, (char *)sides, sizeof *sides, 2);
    CHECK(belt->sent == belt->taken);
    uint64_t late = sides[0].late + sides[1].late, waits = sides[0].waits + sides[1].waits;
    /* Not when the machine hardly lets us run. */
    if (way != BY_FD && waits > ENOUGH && late > waits / 4) {
        fprintf(stderr, "%s, way %d%s%s: %" PRIu64 " of %" PRIu64 " waits were woken by nobody\n",
                shapes[shape].name, way, paced ? ", paced" : "", processes ? ", processes" : "",
                late, waits);
        exit(1);
    }
    for (int i = 0; i < belt->rings; i++)
        belt_mem_unmap(&belt->mem[i]);
    munmap(belt, sizeof *belt);
    munmap(sides, 2 * sizeof *sides);
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_from(argc, argv);
    int phases = 0;
    for (int shape = 0; shape < SHAPES; shape++)
        for (int way = BY_WAIT; way <= BY_FD; way++)
            for (int paced = 0; paced < 2; paced++)
                for (int processes = 0; processes <= PROCESSES_TOO; processes++) {
                    if (shapes[shape].kind == BELT_LOSSY || way == BY_ANY)
                        paced = 1; /* it never waits, or loses what is not taken at once */
                    phase(shape, (enum way)way, paced, processes, next_random(&seed));
                    phases++;
                }
    printf("%d phases, no wake-up lost\n", phases);
    return 0;
}
