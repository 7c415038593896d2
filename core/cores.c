#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cores.h"
#include "numa/pin.h"
#include "numa/topology.h"
#include "rings/ring.h"

#define ROUNDS 2000
#define WARM_UP 200
#define WAKES 60
#define LINE 64
#define BATCH 64
#define BYTES (UINT64_C(64) << 20)
#define SECOND UINT64_C(1000000000)

/* Two ends of a pair of rings: there and back. */
struct game {
    struct belt_tx tx[2]; /* ours; theirs */
    struct belt_rx rx[2];
    struct belt_mem mem[2];
    int cpu; /* of the other thread */
    const struct shape *shape;
    int refused; /* the other thread: why it could not take part */
    double result;
};

struct shape {
    uint32_t item, items;
    enum belt_body body;
    void (*ours)(struct game *game);
    void (*theirs)(struct game *game);
};

static uint64_t now(void)
{
    return belt_deadline(0);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* ---- the three games -------------------------------------------------------------- */

/* One looks for it without sleeping: the other side is awake, on a CPU of its own. */
static uint64_t take(struct belt_rx *rx)
{
    uint64_t item = 0;
    while (!belt_pop(rx, &item, sizeof item))
        belt_pause();
    return item;
}

static void give(struct belt_tx *tx, uint64_t item)
{
    while (!belt_push(tx, &item, sizeof item))
        belt_pause();
}

static void play_back(struct game *game)
{
    for (int i = 0; i < WARM_UP + ROUNDS; i++)
        give(&game->tx[1], take(&game->rx[1]));
}

static void play(struct game *game)
{
    uint64_t start = 0;
    for (int i = 0; i < WARM_UP + ROUNDS; i++) {
        if (i == WARM_UP)
            start = now();
        give(&game->tx[0], (uint64_t)i);
        take(&game->rx[0]);
    }
    game->result = (double)(now() - start) / ROUNDS / 2;
}

static void pour(struct game *game)
{
    for (uint64_t left = BYTES / LINE; left;) {
        struct belt_slots slots = belt_claim(&game->tx[0], BATCH);
        for (uint32_t i = 0; i < slots.count; i++)
            memset((char *)slots.first + (size_t)i * LINE, (int)left, LINE);
        uint32_t count = slots.count < left ? slots.count : (uint32_t)left;
        belt_publish(&game->tx[0], count);
        left -= count;
        if (!count)
            belt_pause();
    }
}

static void drink(struct game *game)
{
    uint64_t sum = 0, start = now();
    for (uint64_t left = BYTES / LINE; left;) {
        struct belt_slots slots = belt_peek(&game->rx[1], BATCH);
        for (uint32_t i = 0; i < slots.count; i++)
            for (int w = 0; w < LINE; w += 8) {
                uint64_t word;
                memcpy(&word, (const char *)slots.first + (size_t)i * LINE + w, sizeof word);
                sum += word;
            }
        belt_release(&game->rx[1], slots.count);
        left -= slots.count;
        if (!slots.count)
            belt_pause();
    }
    __asm__ volatile("" : : "r"(sum)); /* or nothing would be read */
    game->result = (double)BYTES / (double)(now() - start);
}

/* The sleeper tells when it had the item. */
static void sleep_for_it(struct game *game)
{
    for (int i = 0; i < WAKES; i++) {
        if (belt_rx_wait(&game->rx[1], belt_deadline(10 * SECOND)) < 0)
            return;
        take(&game->rx[1]);
        give(&game->tx[1], now());
    }
}

static void wake_it(struct game *game)
{
    double us[WAKES];
    for (int i = 0; i < WAKES; i++) {
        struct timespec until_it_sleeps = { .tv_nsec = 300000 };
        nanosleep(&until_it_sleeps, NULL);
        uint64_t start = now();
        give(&game->tx[0], start);
        us[i] = (double)(take(&game->rx[0]) - start) / 1000;
    }
    game->result = median(us, WAKES);
}

static const struct shape shapes[] = {
    { sizeof(uint64_t), 64, BELT_BODY_INBAND, play, play_back },
    { LINE, 1024, BELT_BODY_SPANS, pour, drink },
    { sizeof(uint64_t), 64, BELT_BODY_SPANS, wake_it, sleep_for_it },
};

#define SHAPES (sizeof shapes / sizeof *shapes)

/* ---- a pair ------------------------------------------------------------------------ */

static void *other_side(void *arg)
{
    struct game *game = arg;
    game->refused = belt_pin_thread(game->cpu);
    /* The first item says whether there will be any. */
    give(&game->tx[1], (uint64_t)-game->refused);
    if (game->refused == 0)
        game->shape->theirs(game);
    return NULL;
}

/* Ring 0 leads there, ring 1 back, always in single words. */
static int open_ring(struct game *game, int i)
{
    const struct shape *shape = game->shape;
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_SPSC,
                                   .body = shape->body,
                                   .item_size = i == 0 ? shape->item : sizeof(uint64_t),
                                   .items = shape->items,
                                   .wait = BELT_WAIT_BLOCK,
                                   .flags = BELT_NO_ROLES };
    int rc = belt_mem_map(&game->mem[i], belt_ring_footprint(&conf), BELT_MEM_PRIVATE);
    if (rc == 0)
        rc = belt_ring_format(game->mem[i], &conf);
    if (rc == 0)
        rc = belt_tx_open(&game->tx[i], game->mem[i]);
    return rc == 0 ? belt_rx_open(&game->rx[!i], game->mem[i]) : rc;
}

/* Pinned before memory is touched: it is the first CPU's. */
static int play_once(const struct shape *shape, int cpu_a, int cpu_b, double *result)
{
    struct game game = { .cpu = cpu_b, .shape = shape };
    pthread_t other;
    int rc = belt_pin_thread(cpu_a);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = open_ring(&game, i);
    if (rc == 0)
        rc = -pthread_create(&other, NULL, other_side, &game);
    if (rc == 0) {
        rc = -(int)take(&game.rx[0]);
        if (rc == 0)
            shape->ours(&game);
        pthread_join(other, NULL);
        *result = game.result;
    }
    for (int i = 0; i < 2; i++)
        belt_mem_unmap(&game.mem[i]);
    return rc;
}

static int measure_pair(struct belt_cores *cores, uint32_t a, uint32_t b, uint32_t samples)
{
    double *const results[SHAPES] = { cores->ns, cores->gb, cores->wake_us };
    double values[BELT_CORES_SAMPLES];
    for (size_t s = 0; s < SHAPES; s++) {
        for (uint32_t i = 0; i < samples; i++) {
            int rc = play_once(&shapes[s], cores->cpus[a], cores->cpus[b], &values[i]);
            if (rc < 0)
                return rc;
        }
        results[s][a * cores->count + b] = median(values, samples);
    }
    return 0;
}

/* ---- all ----------------------------------------------------------------------------- */

static int make(struct belt_cores *cores, const struct belt_cpus *cpus)
{
    uint32_t n = cores->count = belt_cpus_count(cpus), used = 0;
    double **const all[] = { &cores->ns, &cores->gb, &cores->wake_us };
    cores->cpus = calloc(n, sizeof *cores->cpus);
    bool ok = cores->cpus != NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ok &= (*all[i] = calloc((size_t)n * n, sizeof **all[i])) != NULL;
    if (ok)
        BELT_CPUS_EACH(cpus, cpu)
    cores->cpus[used++] = cpu;
    return ok ? 0 : -ENOMEM;
}

static int measure_all(struct belt_cores *cores, uint32_t samples, belt_cores_told *told, void *ctx,
                       struct belt_error *err)
{
    uint32_t n = cores->count, done = 0;
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++) {
            if (a == b)
                continue;
            if (told)
                told(ctx, done++, n * (n - 1));
            int rc = measure_pair(cores, a, b, samples);
            if (rc < 0)
                return belt_error_set(err, rc, "CPUs %d and %d: %s", cores->cpus[a], cores->cpus[b],
                                      strerror(-rc));
        }
    return 0;
}

static int choose(struct belt_cpus *out, const char *list, struct belt_error *err)
{
    struct belt_topology *topology;
    char why[256];
    int rc = belt_topology_load(&topology, why, sizeof why);
    if (rc < 0)
        return belt_error_set(err, rc, "%s", why);
    struct belt_cpus allowed = *belt_topology_allowed(topology), named = allowed;
    belt_topology_free(topology);
    if (list && belt_cpus_parse(&named, list, &allowed, why, sizeof why) < 0)
        return belt_error_set(err, -EINVAL, "cpus %s: %s", list, why);
    *out = belt_cpus_and(&named, &allowed);
    if (belt_cpus_count(out) < 2)
        return belt_error_set(err, -ENODEV, "it takes two CPUs that this process may use");
    return 0;
}

int belt_cores_measure(struct belt_cores *cores, const char *cpus, uint32_t samples,
                       belt_cores_told *told, void *ctx, struct belt_error *err)
{
    struct belt_cpus chosen;
    cpu_set_t mask;
    *cores = (struct belt_cores){ .count = 0 };
    if (samples < 1 || samples > BELT_CORES_SAMPLES)
        return belt_error_set(err, -EINVAL, "1 to %d samples", BELT_CORES_SAMPLES);
    int rc = choose(&chosen, cpus, err);
    if (rc < 0)
        return rc;
    if (make(cores, &chosen) < 0)
        return belt_error_set(err, -ENOMEM, "out of memory");
    if (sched_getaffinity(0, sizeof mask, &mask) < 0)
        return belt_error_set(err, -errno, "affinity: %s", strerror(errno));
    belt_wait_setup(); /* where it is forbidden, wakers fence */
    rc = measure_all(cores, samples, told, ctx, err);
    sched_setaffinity(0, sizeof mask, &mask);
    return rc;
}

void belt_cores_free(struct belt_cores *cores)
{
    free(cores->cpus);
    free(cores->ns);
    free(cores->gb);
    free(cores->wake_us);
}
