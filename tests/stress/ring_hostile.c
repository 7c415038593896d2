/* A peer that writes what it likes over all of a ring costs that ring, never the
 * process: no crash, no access outside of the ring, no call that does not return.
 * What comes out is garbage then, which is fine.
 *
 * First one thread scribbles and calls in turn, which a seed repeats exactly; then a
 * second one scribbles while the calls are under way. The ring lies at the end of
 * its pages, with pages that nobody may touch on both sides.
 * Usage: ring_hostile [SEED [ROUNDS]] */
#include <signal.h>

#include "ring_common.h"

enum {
    ROUNDS = 60,  /* of each shape, in turn and at once */
    CALLS = 1500, /* of a round */
    STUCK_S = 60, /* for a round */
    SKIPPED = 77,
};

static const struct {
    const char *name;
    enum belt_kind kind;
    enum belt_body body;
    uint32_t writers, readers;
} shapes[] = {
    { "spans", BELT_SPSC, BELT_BODY_SPANS, 1, 1 },
    { "in-band", BELT_SPSC, BELT_BODY_INBAND, 1, 1 },
    { "mpmc", BELT_MPMC, BELT_BODY_AUTO, 2, 2 },
    { "crash-unsafe", BELT_MPMC_CRASH_UNSAFE, BELT_BODY_AUTO, 2, 2 },
    { "sharded", BELT_SHARDED, BELT_BODY_SPANS, 2, 3 },
    { "sharded in-band", BELT_SHARDED, BELT_BODY_INBAND, 3, 2 },
    { "broadcast", BELT_BROADCAST, BELT_BODY_AUTO, 1, 3 },
    { "lossy", BELT_LOSSY, BELT_BODY_AUTO, 1, 2 },
};

struct victim {
    uint64_t seed;
    struct belt_mem mem, pages; /* the ring; with the guards */
    struct belt_ring head;      /* as it was formatted */
    uint32_t item_size;
    bool tx_open, rx_open;
    struct belt_tx tx;
    struct belt_rx rx;
    uint64_t scribbling, scribbles; /* the peer's: on or off; how many */
    uint64_t peer_seed;
    uint64_t calls;
};

/* ---- the peer ---------------------------------------------------------------- */

/* A word as it might be, or anything. */
static uint64_t some_word(uint64_t *seed, uint64_t was)
{
    uint64_t r = next_random(seed);
    switch (r % 9) {
    case 0: return r;
    case 1: return was + r % 64;
    case 2: return was - r % 64;
    case 3: return was ^ UINT64_C(1) << r / 16 % 64;
    case 4: return r / 16 % 64;
    case 5: return 0 - r / 16 % 64;
    case 6: return was + (UINT64_C(1) << r / 16 % 64);
    case 7: return was << 8 | r >> 56;
    default: return UINT64_MAX;
    }
}

/* Of a shape, as a seed will have it. */
static struct belt_ring_conf conf_of(size_t shape, uint64_t *seed)
{
    static const uint32_t sizes[] = { 1, 8, 9, 24, 56, 64, 200, 4096 };
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = shapes[shape].kind,
                                   .body = shapes[shape].body,
                                   .writers = shapes[shape].writers,
                                   .readers = shapes[shape].readers };
    do
        conf.item_size = ANY_OF(seed, sizes);
    while (conf.body == BELT_BODY_INBAND && conf.item_size > BELT_INBAND_ITEM_MAX);
    conf.items = 1u << next_random(seed) % 7;
    conf.start = random_start(seed);
    conf.wait = (enum belt_wait)(next_random(seed) % 4);
    return conf;
}

/* The whole ring, or a lane of it, has the geometry of another one. */
static void pretend(struct victim *v, uint64_t *seed)
{
    static char other[4 << 20] __attribute__((aligned(BELT_LINES)));
    struct belt_ring_conf conf =
        conf_of(next_random(seed) % (sizeof shapes / sizeof *shapes), seed);
    uint64_t lanes = v->head.lane_size ? (uint64_t)v->head.writers * v->head.readers : 0;
    uint64_t lane = next_random(seed) % (lanes + 1);
    size_t at = lane ? v->head.head_size + (lane - 1) * v->head.lane_size : 0;
    CHECK(belt_ring_format(belt_mem_of(other, sizeof other), &conf) == 0);
    memcpy((char *)v->mem.base + at, other, offsetof(struct belt_ring, published));
}

/* Somewhere in the ring: mostly behind the geometry, so that it can be opened anew. */
static void scribble(struct victim *v, uint64_t *seed)
{
    uint64_t words = v->mem.size / 8, r = next_random(seed);
    if (r >> 58 == 0)
        pretend(v, seed);
    uint64_t head = offsetof(struct belt_ring, published) / 8;
    uint64_t from = r % 32 ? head : 0;
    /* Cursors, bells and owners more often than items. */
    uint64_t span = r / 32 % 2 ? words - from : sizeof(struct belt_ring) / 8 + 32 - from;
    uint64_t *at =
        (uint64_t *)v->mem.base + from + r / 64 % (span < words - from ? span : words - from);
    uint64_t word = some_word(seed, belt_load_relaxed(at));
    if (r >> 62)
        belt_store_relaxed(at, word);
    else
        belt_store_relaxed32((uint32_t *)at + (word >> 63), (uint32_t)word);
    v->scribbles++;
}

static void *peer(void *arg)
{
    struct victim *v = arg;
    while (belt_load_acquire(&v->scribbling))
        scribble(v, &v->peer_seed);
    return NULL;
}

/* ---- calls ------------------------------------------------------------------- */

/* What a program does whose items are bigger than those of the ring that it opened. */
static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t tx_size(const struct victim *v)
{
    return least(v->item_size, v->tx.item_size);
}

static uint32_t rx_size(const struct victim *v)
{
    return least(v->item_size, v->rx.item_size);
}

static void expect_inside(struct victim *v, struct belt_slots s, uint32_t slot_size, uint32_t size)
{
    const char *from = v->mem.base, *to = from + v->mem.size, *first = s.first;
    CHECK(s.count == 0 ||
          (first >= from && first < to && first + (size_t)(s.count - 1) * slot_size + size <= to));
}

static void fill(struct victim *v, struct belt_slots s)
{
    expect_inside(v, s, v->tx.slot_size, tx_size(v));
    for (uint32_t i = 0; i < s.count; i++)
        memset((char *)s.first + (size_t)i * v->tx.slot_size, (int)v->seed, tx_size(v));
}

static void drain(struct victim *v, struct belt_slots s)
{
    static volatile char sum;
    expect_inside(v, s, v->rx.slot_size, rx_size(v));
    for (uint32_t i = 0; i < s.count; i++)
        for (uint32_t b = 0; b < rx_size(v); b += 7)
            sum = (char)(sum + ((char *)s.first)[(size_t)i * v->rx.slot_size + b]);
}

static unsigned char items[MOST * BIGGEST];

static uint32_t some(struct victim *v)
{
    return (uint32_t)(next_random(&v->seed) % MOST);
}

static void do_push(struct victim *v)
{
    belt_push(&v->tx, items, tx_size(v));
}

static void do_push_n(struct victim *v)
{
    CHECK(belt_push_n(&v->tx, items, MOST, tx_size(v)) <= MOST);
}

static void do_claim(struct victim *v)
{
    struct belt_slots s = belt_claim(&v->tx, some(v));
    fill(v, s);
    if (s.count)
        belt_publish(&v->tx, s.count - some(v) % s.count);
}

/* As spans and lossy rings allow. */
static void do_claim_twice(struct victim *v)
{
    if (v->tx.way != BELT_WAY_SPANS && v->tx.way != BELT_WAY_LOSSY)
        return;
    struct belt_slots s = belt_claim(&v->tx, some(v));
    if (s.count == 0)
        return;
    struct belt_slots more = belt_claim_at(&v->tx, s.count, some(v));
    fill(v, s);
    fill(v, more);
    belt_publish(&v->tx, s.count + more.count);
}

static void do_pop(struct victim *v)
{
    belt_pop(&v->rx, items, rx_size(v));
}

static void do_pop_n(struct victim *v)
{
    CHECK(belt_pop_n(&v->rx, items, MOST, rx_size(v)) <= MOST);
}

static void do_peek(struct victim *v)
{
    struct belt_slots s = belt_peek(&v->rx, some(v));
    drain(v, s);
    if (s.count)
        belt_release(&v->rx, s.count);
}

static void do_peek_twice(struct victim *v)
{
    if (v->rx.way != BELT_WAY_SPANS && v->rx.way != BELT_WAY_LOSSY)
        return;
    struct belt_slots s = belt_peek(&v->rx, some(v));
    if (s.count == 0)
        return;
    drain(v, belt_peek_at(&v->rx, s.count, some(v)));
    belt_release(&v->rx, s.count);
}

static uint64_t soon(struct victim *v)
{
    return next_random(&v->seed) % 64 ? 0 : belt_deadline(30 * 1000);
}

static void do_rx_wait(struct victim *v)
{
    belt_rx_wait(&v->rx, soon(v));
    belt_rx_ended(&v->rx);
}

static void do_tx_wait(struct victim *v)
{
    belt_tx_wait(&v->tx, soon(v));
}

static void do_rx_wait_any(struct victim *v)
{
    struct belt_rx *rxs[] = { &v->rx, &v->rx };
    CHECK(belt_rx_wait_any(rxs, 2, soon(v)) < 2);
}

static void do_fd(struct victim *v)
{
    if (next_random(&v->seed) % 8 || belt_rx_fd(&v->rx) < 0)
        return;
    belt_rx_arm(&v->rx);
    belt_rx_disarm(&v->rx);
}

static void do_look(struct victim *v)
{
    struct belt_ring_stat stat;
    struct belt_reaped reaped;
    if (belt_ring_stat(v->mem, &stat) == 0)
        CHECK(stat.slots > 0);
    int rule = belt_ring_check(v->mem.base, v->mem.size);
    CHECK(rule >= 0 && rule <= 9);
    if (next_random(&v->seed) % 16 == 0)
        belt_ring_reap(v->mem, &reaped);
}

static void do_redo(struct victim *v)
{
    belt_ring_redo_publish(v->mem.base, next_random(&v->seed) % 64);
    belt_ring_redo_release(v->mem.base, next_random(&v->seed) % 64);
}

static void reopen_tx(struct victim *v)
{
    if (next_random(&v->seed) % 16)
        return;
    if (next_random(&v->seed) % 4 == 0)
        belt_close(&v->tx);
    belt_tx_leave(&v->tx);
    v->tx_open = belt_tx_open(&v->tx, v->mem) == 0;
}

static void reopen_rx(struct victim *v)
{
    if (next_random(&v->seed) % 16)
        return;
    belt_rx_leave(&v->rx);
    v->rx_open = belt_rx_open(&v->rx, v->mem) == 0;
}

static void (*const tx_calls[])(struct victim *) = { do_push,        do_push_n,  do_claim,
                                                     do_claim_twice, do_tx_wait, reopen_tx };
static void (*const rx_calls[])(struct victim *) = { do_pop,        do_pop_n,   do_peek,
                                                     do_peek_twice, do_rx_wait, do_rx_wait_any,
                                                     do_fd,         reopen_rx };
static void (*const ring_calls[])(struct victim *) = { do_look, do_redo };

static void call(struct victim *v)
{
    uint64_t side = next_random(&v->seed) % 8;
    v->calls++;
    if (side == 0)
        ANY_OF(&v->seed, ring_calls)(v);
    else if (side < 4 && v->tx_open)
        ANY_OF(&v->seed, tx_calls)(v);
    else if (v->rx_open)
        ANY_OF(&v->seed, rx_calls)(v);
}

/* ---- rounds ------------------------------------------------------------------ */

/* A ring whose last byte is the last of its pages. */
static void place(struct victim *v, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    char *at = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    CHECK(mprotect(at + page, whole, PROT_READ | PROT_WRITE) == 0);
    v->pages = belt_mem_of(at, whole + 2 * page);
    v->mem = belt_mem_of(at + page + whole - size, size);
}

static void begin(struct victim *v, size_t shape)
{
    struct belt_ring_conf conf = conf_of(shape, &v->seed);
    v->item_size = conf.item_size;
    place(v, belt_ring_footprint(&conf));
    CHECK(belt_ring_format(v->mem, &conf) == 0);
    memcpy(&v->head, v->mem.base, sizeof v->head);
    v->tx_open = belt_tx_open(&v->tx, v->mem) == 0;
    v->rx_open = belt_rx_open(&v->rx, v->mem) == 0;
    CHECK(v->tx_open && v->rx_open);
    alarm(STUCK_S);
}

static void end(struct victim *v)
{
    if (v->tx_open)
        belt_tx_leave(&v->tx);
    if (v->rx_open)
        belt_rx_leave(&v->rx);
    munmap(v->pages.base, v->pages.size);
}

/* In turn: a scribble or some, a call; until nothing of it can be opened any more. */
static void take_turns(struct victim *v, size_t shape)
{
    begin(v, shape);
    for (int i = 0; i < CALLS && (v->tx_open || v->rx_open); i++) {
        for (uint64_t n = next_random(&v->seed) % 4; n > 0; n--)
            scribble(v, &v->seed);
        call(v);
    }
    end(v);
}

/* At once. */
static void race(struct victim *v, size_t shape)
{
    pthread_t thread;
    begin(v, shape);
    v->peer_seed = next_random(&v->seed);
    v->scribbling = 1;
    CHECK(pthread_create(&thread, NULL, peer, v) == 0);
    for (int i = 0; i < CALLS && (v->tx_open || v->rx_open); i++)
        call(v);
    belt_store_release(&v->scribbling, 0);
    pthread_join(thread, NULL);
    end(v);
}

static void stuck(int signal)
{
    static const char text[] = "a call did not return\n";
    (void)signal;
    (void)!write(2, text, sizeof text - 1);
    _exit(1);
}

int main(int argc, char **argv)
{
#ifdef BELT_TSAN
    return SKIPPED; /* nothing but races */
#endif
    static struct victim v;
    v.seed = seed_from(argc, argv);
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    signal(SIGALRM, stuck);
    for (EACH(s, shapes)) {
        uint64_t calls = v.calls, scribbles = v.scribbles;
        for (int i = 0; i < rounds; i++) {
            take_turns(&v, s);
            race(&v, s);
        }
        printf("%-15s %" PRIu64 " scribbles, %" PRIu64 " calls, all came back\n", shapes[s].name,
               v.scribbles - scribbles, v.calls - calls);
        fflush(stdout);
    }
    return 0;
}
