/* What the ring tests share: one ring of any shape with both ends open, items
 * as numbers, and processes that die. */
#ifndef BELT_RING_FIXTURE_H
#define BELT_RING_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/ring.h"

#ifdef BELT_COVERAGE
void __gcov_dump(void);
#else
static inline void __gcov_dump(void) {}
#endif

/* ---- shapes ------------------------------------------------------------------ */

struct shape {
    const char *name;
    enum belt_kind kind;
    enum belt_body body;
    uint32_t biggest; /* item */
};

enum { LOSSY_SHAPE = 7 };

static const struct shape shapes[] = {
    { "spsc spans", BELT_SPSC, BELT_BODY_SPANS, 4096 },
    { "spsc in-band", BELT_SPSC, BELT_BODY_INBAND, BELT_INBAND_ITEM_MAX },
    { "mpmc", BELT_MPMC, BELT_BODY_AUTO, 4096 },
    { "mpmc crash-unsafe", BELT_MPMC_CRASH_UNSAFE, BELT_BODY_AUTO, 4096 },
    { "sharded spans", BELT_SHARDED, BELT_BODY_SPANS, 4096 },
    { "sharded in-band", BELT_SHARDED, BELT_BODY_INBAND, BELT_INBAND_ITEM_MAX },
    { "broadcast", BELT_BROADCAST, BELT_BODY_AUTO, 4096 },
    [LOSSY_SHAPE] = { "lossy", BELT_LOSSY, BELT_BODY_AUTO, 4096 },
};

#define EACH_SHAPE(s)                                                                              \
    const struct shape *s = shapes;                                                                \
    s < shapes + sizeof shapes / sizeof *shapes;                                                   \
    s++
/* Those whose writer is held back by a reader that does not read. */
#define EACH_FULL_SHAPE(s)                                                                         \
    const struct shape *s = shapes;                                                                \
    s < shapes + LOSSY_SHAPE;                                                                      \
    s++

static inline bool is_mpmc(const struct shape *s)
{
    return s->kind == BELT_MPMC || s->kind == BELT_MPMC_CRASH_UNSAFE;
}

/* First tickets from which every counter soon runs over some width. */
static const uint64_t starts[] = {
    0,
    1,
    (UINT64_C(1) << 32) - 5,
    (UINT64_C(1) << 47) - 5,
    (UINT64_C(1) << 61) - 5,
    (UINT64_C(1) << 63) - 5,
    UINT64_MAX - 4,
};
enum { STARTS = sizeof starts / sizeof *starts };

/* ---- a ring with both ends open ---------------------------------------------- */

struct fixture {
    const char *name; /* of the shape, for messages */
    struct belt_mem mem;
    struct belt_ring *ring;
    struct belt_tx tx;
    struct belt_rx rx;
};

/* 8-byte items unless the rest says otherwise. */
#define CONF(shape, ...)                                                                           \
    ((struct belt_ring_conf){ .size = sizeof(struct belt_ring_conf),                               \
                              .kind = (shape)->kind,                                               \
                              .body = (shape)->body,                                               \
                              __VA_ARGS__ })

static inline void *aligned_bytes(size_t size)
{
    void *base = NULL;
    cr_assert_eq(posix_memalign(&base, BELT_LINES, size), 0);
    memset(base, 0xa5, size);
    return base;
}

/* Exactly the footprint, so that a sanitizer sees one byte too far; no end open. */
static inline struct fixture closed_ring_from(const struct shape *s, struct belt_ring_conf conf)
{
    struct fixture f = { .name = s->name };
    if (!conf.item_size)
        conf.item_size = 8;
    size_t size = belt_ring_footprint(&conf);
    cr_assert_gt(size, 0, "%s: no footprint", s->name);
    f.ring = aligned_bytes(size);
    f.mem = belt_mem_of(f.ring, size);
    cr_assert_eq(belt_ring_format(f.mem, &conf), 0, "%s: format", s->name);
    return f;
}

static inline struct fixture ring_from(const struct shape *s, struct belt_ring_conf conf)
{
    struct fixture f = closed_ring_from(s, conf);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0, "%s: rx", s->name);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0, "%s: tx", s->name);
    return f;
}

#define RING(shape, ...) ring_from((shape), CONF((shape), __VA_ARGS__))

static inline void forget(struct fixture *f)
{
    free(f->mem.base);
}

static inline void done(struct fixture *f)
{
    cr_assert_eq(belt_ring_check(f->ring, f->mem.size), 0, "%s: check", f->name);
    belt_tx_leave(&f->tx);
    belt_rx_leave(&f->rx);
    cr_assert_eq(belt_ring_check(f->ring, f->mem.size), 0, "%s: check after leaving", f->name);
    forget(f);
}

/* Memory that children share. */
static inline struct fixture shared_ring_from(const struct shape *s, struct belt_ring_conf conf)
{
    struct fixture f = { .name = s->name };
    if (!conf.item_size)
        conf.item_size = 8;
    cr_assert_eq(belt_mem_map(&f.mem, belt_ring_footprint(&conf), BELT_MEM_SHARED), 0);
    f.ring = f.mem.base;
    cr_assert_eq(belt_ring_format(f.mem, &conf), 0, "%s: format", s->name);
    return f;
}

#define SHARED_RING(shape, ...) shared_ring_from((shape), CONF((shape), __VA_ARGS__))

/* Leaves the ends that this process has opened. */
static inline void unshare_ring(struct fixture *f)
{
    cr_assert_eq(belt_ring_check(f->ring, f->mem.size), 0, "%s: check", f->name);
    if (f->tx.ring)
        belt_tx_leave(&f->tx);
    if (f->rx.ring)
        belt_rx_leave(&f->rx);
    belt_mem_unmap(&f->mem);
}

/* ---- items as numbers -------------------------------------------------------- */

static inline bool push(struct belt_tx *tx, uint64_t value)
{
    return belt_push(tx, &value, sizeof value);
}

static inline uint64_t pop(struct belt_rx *rx)
{
    uint64_t value = 0;
    cr_assert(belt_pop(rx, &value, sizeof value), "empty");
    return value;
}

static inline bool is_empty(struct belt_rx *rx)
{
    uint64_t value;
    return !belt_pop(rx, &value, sizeof value);
}

/* Slot i of a run. */
static inline void *slot_at(struct belt_slots s, uint32_t slot_size, uint32_t i)
{
    return (char *)s.first + (size_t)i * slot_size;
}

static inline void put(struct belt_tx *tx, struct belt_slots s, uint32_t i, uint64_t value)
{
    memcpy(slot_at(s, tx->slot_size, i), &value, sizeof value);
}

static inline uint64_t get(struct belt_rx *rx, struct belt_slots s, uint32_t i)
{
    uint64_t value;
    memcpy(&value, slot_at(s, rx->slot_size, i), sizeof value);
    return value;
}

/* Claims, fills and publishes up to `want`; how many. */
static inline uint32_t write_run(struct belt_tx *tx, uint64_t first, uint32_t want)
{
    struct belt_slots s = belt_claim(tx, want);
    for (uint32_t i = 0; i < s.count; i++)
        put(tx, s, i, first + i);
    if (s.count)
        belt_publish(tx, s.count);
    return s.count;
}

/* Peeks, compares and releases up to `want`; how many. */
static inline uint32_t read_run(struct belt_rx *rx, uint64_t first, uint32_t want)
{
    struct belt_slots s = belt_peek(rx, want);
    for (uint32_t i = 0; i < s.count; i++)
        cr_assert_eq(get(rx, s, i), first + i);
    if (s.count)
        cr_assert(belt_release(rx, s.count));
    return s.count;
}

static inline uint32_t fill_up(struct belt_tx *tx, uint64_t first)
{
    uint32_t n = 0;
    while (push(tx, first + n))
        n++;
    return n;
}

static inline struct belt_ring_stat stat_of(const struct fixture *f)
{
    struct belt_ring_stat stat;
    cr_assert_eq(belt_ring_stat(f->mem, &stat), 0, "%s: stat", f->name);
    return stat;
}

/* ---- processes --------------------------------------------------------------- */

/* In a child: body's result is its exit code. */
static inline pid_t fork_to(int (*body)(void *arg), void *arg)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        int rc = body(arg);
        __gcov_dump();
        _exit(rc);
    }
    return child;
}

static inline void expect_exit(pid_t child, int code)
{
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
    cr_assert_eq(WEXITSTATUS(status), code, "exit code %d", WEXITSTATUS(status));
}

static inline void in_child(int (*body)(void *arg), void *arg)
{
    expect_exit(fork_to(body, arg), 0);
}

/* A child runs body, which must return 0, and is killed there. */
static inline void in_child_that_dies(int (*body)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        int rc = body(arg);
        __gcov_dump();
        if (rc == 0)
            kill(getpid(), SIGKILL);
        _exit(rc);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "exit code %d",
              WEXITSTATUS(status));
}

/* In the body of a child or of refusing(): the line that failed. */
#define CHILD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true in a child: %s\n", __FILE__, __LINE__, #condition);   \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#endif
