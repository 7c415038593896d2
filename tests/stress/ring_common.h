/* What the ring stress programs share: a seeded generator, items that tell whether
 * they are whole, ends that use the ring in a new way every time, sides as threads
 * or as processes. */
#ifndef BELT_RING_COMMON_H
#define BELT_RING_COMMON_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rings/ring.h"

#ifdef BELT_COVERAGE
void __gcov_dump(void);
#else
static inline void __gcov_dump(void) {}
#endif

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define EACH(i, array)                                                                             \
    size_t i = 0;                                                                                  \
    i < sizeof(array) / sizeof *(array);                                                           \
    i++
#define ANY_OF(seed, array) ((array)[next_random(seed) % (sizeof(array) / sizeof *(array))])

/* ---- time and chance --------------------------------------------------------- */

static inline uint64_t now_ns(void)
{
    return belt_deadline(0);
}

/* splitmix64: every seed is as good as any other. */
static inline uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t next_random(uint64_t *state)
{
    return mix(++*state);
}

/* The seed from the command line, or a new one; printed, to be given again. */
static inline uint64_t seed_from(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns();
    printf("%s: seed %" PRIu64 "\n", argv[0], seed);
    fflush(stdout);
    return seed;
}

/* Near the wraps of every counter width. */
static inline uint64_t random_start(uint64_t *seed)
{
    static const unsigned widths[] = { 32, 47, 61, 63, 64 };
    unsigned bits = ANY_OF(seed, widths);
    uint64_t wrap = bits == 64 ? 0 : UINT64_C(1) << bits;
    return wrap - next_random(seed) % 4096;
}

/* Tiny, small, large; mostly not what would be a power of two by itself. */
static inline uint32_t random_items(uint64_t *seed)
{
    static const uint32_t sizes[] = { 1, 2, 2, 3, 5, 8, 30, 64, 500, 4096 };
    return ANY_OF(seed, sizes);
}

static inline struct belt_mem ring_in_new_memory(const struct belt_ring_conf *conf)
{
    struct belt_mem mem;
    CHECK(belt_mem_map(&mem, belt_ring_footprint(conf), BELT_MEM_SHARED) == 0);
    CHECK(belt_ring_format(mem, conf) == 0);
    return mem;
}

/* ---- items ------------------------------------------------------------------- */

enum { STREAMS = 4, BIGGEST = 4096, MOST = 40 };

/* A number of a stream, and a pattern that belongs to it: a torn or stale item shows.
 * Of small items the pattern is cut off, of very small ones the number. */
static inline void item_make(unsigned char *item, uint32_t size, uint64_t stream, uint64_t number)
{
    uint64_t word = number * STREAMS + stream;
    for (uint32_t at = 0; at < size; at += sizeof word) {
        memcpy(item + at, &word, size - at < sizeof word ? size - at : sizeof word);
        word = mix(word);
    }
}

static inline bool item_is(const unsigned char *item, uint32_t size, uint64_t stream,
                           uint64_t number)
{
    unsigned char want[BIGGEST];
    item_make(want, size, stream, number);
    return memcmp(item, want, size) == 0;
}

/* Of items of 8 bytes and more. */
static inline void item_read(const unsigned char *item, uint64_t *stream, uint64_t *number)
{
    uint64_t word;
    memcpy(&word, item, sizeof word);
    *stream = word % STREAMS;
    *number = word / STREAMS;
}

/* ---- ends -------------------------------------------------------------------- */

struct end {
    uint64_t seed;
    uint32_t size; /* of an item */
    bool by_copy;  /* never in place */
    bool whole;    /* releases all that it has peeked */
    bool gappy;    /* publishes nothing of most of its claims */
    struct belt_idle idle;
    struct belt_tx tx;
    struct belt_rx rx;
    unsigned char items[MOST * BIGGEST]; /* the last ones */
};

static inline struct end *end_new(uint64_t seed, uint32_t size)
{
    struct end *end = calloc(1, sizeof *end);
    CHECK(end);
    end->seed = seed;
    end->size = size;
    end->idle = belt_idle_of(BELT_WAIT_YIELD);
    return end;
}

/* `n` items were moved. Now and then somebody else's turn, in the midst of everything. */
static inline uint32_t end_moved(struct end *end, uint32_t n)
{
    if (n == 0)
        belt_idle_step(&end->idle);
    else
        belt_idle_reset(&end->idle);
    if (next_random(&end->seed) % 256 == 0)
        sched_yield();
    return n;
}

static inline uint32_t write_in_place(struct end *end, uint64_t stream, uint64_t next,
                                      uint32_t want)
{
    struct belt_slots s = belt_claim(&end->tx, want);
    if (s.count == 0)
        return 0;
    /* Now and then fewer than claimed. */
    uint64_t r = next_random(&end->seed);
    uint32_t n = r % 8 ? s.count : want % (s.count + 1);
    if (end->gappy && r / 8 % 4)
        n = 0;
    for (uint32_t i = 0; i < n; i++)
        item_make((unsigned char *)s.first + (size_t)i * end->tx.slot_size, end->size, stream,
                  next + i);
    belt_publish(&end->tx, n);
    return n;
}

/* Some items from number `next` on; how many. */
static inline uint32_t end_write(struct end *end, uint64_t stream, uint64_t next)
{
    uint64_t r = next_random(&end->seed), way = r % (end->by_copy ? 2 : 3);
    if (end->gappy)
        way = 2;
    uint32_t want = way == 0 ? 1 : 1 + (uint32_t)(r >> 32) % MOST;
    if (way == 2)
        return end_moved(end, write_in_place(end, stream, next, want));
    for (uint32_t i = 0; i < want; i++)
        item_make(end->items + i * end->size, end->size, stream, next + i);
    return end_moved(end, way == 0 ? belt_push(&end->tx, end->items, end->size)
                                   : belt_push_n(&end->tx, end->items, want, end->size));
}

static inline uint32_t read_in_place(struct end *end, uint32_t want)
{
    struct belt_slots s = belt_peek(&end->rx, want);
    if (s.count == 0)
        return 0;
    uint32_t n = end->whole ? s.count : 1 + (uint32_t)(next_random(&end->seed) % s.count);
    for (uint32_t i = 0; i < n; i++)
        memcpy(end->items + i * end->size, (char *)s.first + (size_t)i * end->rx.slot_size,
               end->size);
    return belt_release(&end->rx, n) ? n : 0;
}

/* Some items to end->items; how many. */
static inline uint32_t end_read(struct end *end)
{
    uint64_t r = next_random(&end->seed), way = r % (end->by_copy ? 2 : 3);
    uint32_t want = 1 + (uint32_t)(r >> 32) % MOST;
    if (way == 2)
        return end_moved(end, read_in_place(end, want));
    return end_moved(end, way == 0 ? belt_pop(&end->rx, end->items, end->size)
                                   : belt_pop_n(&end->rx, end->items, want, end->size));
}

/* ---- sides: threads or processes --------------------------------------------- */

#ifdef BELT_TSAN
enum { PROCESSES_TOO = 0 }; /* the sanitizer sees one process */
#else
enum { PROCESSES_TOO = 1 };
#endif

static inline void *shared_bytes(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

/* Runs body on each of `n` sides, all at once; they lie in shared_bytes(). */
static inline void run_sides(bool processes, void *(*body)(void *), char *sides, size_t size, int n)
{
    pthread_t threads[16];
    pid_t children[16];
    for (int i = 0; i < n; i++) {
        if (!processes) {
            CHECK(pthread_create(&threads[i], NULL, body, sides + (size_t)i * size) == 0);
            continue;
        }
        fflush(stdout);
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            body(sides + (size_t)i * size);
            __gcov_dump();
            _exit(0);
        }
    }
    for (int i = 0; i < n; i++) {
        int status = 0;
        CHECK(processes ? waitpid(children[i], &status, 0) == children[i]
                        : pthread_join(threads[i], NULL) == 0);
        CHECK(status == 0);
    }
}

#endif
