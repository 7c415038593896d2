/* Waiting beside rings: the ladder of wait.h, then sleep. */
#include "rings/kind_priv.h"
#include "rings/wait_priv.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

enum {
    LOOKS = 64,             /* in vain, between two looks at the clock, which cost 25 ns */
    SHORT_NS = 1000 * 1000, /* sleep where nobody may wake us; a wait too short to ask */
    YIELDS = 32,
    ANY_MAX = 64,
    OTHER_NS = 2000 /* a yield that takes longer let somebody run: alone it is 500 */
};

/* What one call waits for: some readers, or one writer. */
struct watch {
    int (*look)(const struct watch *watch); /* >= 0: found; -EAGAIN: not yet; or -EPIPE */
    bool (*orphaned)(const struct watch *watch);
    void (*listen)(const struct watch *watch, struct belt_bells *all);
    struct belt_rx *const *rxs;
    uint32_t count;
    struct belt_tx *tx;
    bool alone;        /* nobody else can sleep beside the same bells */
    bool *crowded;     /* what the end remembers of its last wait */
    uint64_t deadline; /* CLOCK_MONOTONIC, ns */
    uint64_t began;    /* 0: not yet */
    uint64_t asked;    /* whether the peers live, last; or when it began */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t belt_deadline(uint64_t ns)
{
    uint64_t now = now_ns();
    return ns < BELT_FOR_EVER - now ? now + ns : BELT_FOR_EVER;
}

/* ---- who is dead ----------------------------------------------------------------- */

static bool is_dead(const belt_owner *word)
{
    belt_owner owner = belt_load_relaxed(word); /* relaxed: a name to ask the kernel about */
    return belt_owner_died(owner);
}

/* MPMC: some that took part died, and none but ourselves is left. Until they are
 * reaped: then we wait for whoever comes next. */
static bool others_dead(const belt_owner *words, belt_owner self)
{
    bool dead = false;
    for (uint32_t i = 0; i < BELT_MPMC_OWNERS; i++) {
        belt_owner owner = belt_load_relaxed(&words[i]); /* relaxed: as above */
        if (owner == 0 || owner == self)
            continue;
        if (belt_owner_alive(owner))
            return false;
        dead = true;
    }
    return dead;
}

/* All of them; a word that is 0 is a place that somebody may still take. */
static bool all_dead(const belt_owner *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is_dead(&words[i]))
            return false;
    return true;
}

static bool lanes_orphaned(const struct belt_rx *rx, const belt_owner *words)
{
    bool dead = false;
    for (uint32_t i = 0; i < rx->lanes_used; i++) {
        /* Relaxed: nothing is read because of it. A writer that closed brings nothing. */
        if (belt_load_relaxed32(&rx->lanes[i].ring->closed))
            continue;
        if (!is_dead(&words[i]))
            return false;
        dead = true;
    }
    return dead;
}

static bool rx_orphaned(const struct belt_rx *rx)
{
    if (rx->owner == 0)
        return false;
    const belt_owner *words = belt_ring_owners(rx->ring);
    if (rx->way == BELT_WAY_MPMC)
        return others_dead(words, rx->owner);
    return rx->way == BELT_WAY_SHARDED ? lanes_orphaned(rx, words) : is_dead(&words[0]);
}

static bool tx_orphaned(const struct watch *watch)
{
    const struct belt_tx *tx = watch->tx;
    if (tx->owner == 0)
        return false;
    const belt_owner *words = belt_ring_owners(tx->ring);
    if (tx->way == BELT_WAY_MPMC)
        return others_dead(words, tx->owner);
    if (tx->way == BELT_WAY_SHARDED)
        return all_dead(words + tx->stride, tx->lanes_used);
    return tx->readers ? belt_broadcast_orphaned(tx) : is_dead(&words[1]);
}

/* ---- looking --------------------------------------------------------------------- */

static int look_tx(const struct watch *watch)
{
    struct belt_tx *tx = watch->tx;
    if (tx->closed)
        return -EPIPE;
    return belt_ops_of(tx->way)->tx_ready(tx) ? 0 : -EAGAIN;
}

static void listen_tx(const struct watch *watch, struct belt_bells *all)
{
    struct belt_tx *tx = watch->tx;
    if (tx->way != BELT_WAY_SHARDED)
        belt_bells_add(all, tx->ring, &tx->ring->writers_bell);
    else
        for (uint32_t i = 0; i < tx->lanes_used; i++)
            belt_bells_add(all, tx->ring, &tx->lanes[i].ring->writers_bell);
}

static bool rx_ready(struct belt_rx *rx)
{
    return belt_ops_of(rx->way)->rx_ready(rx);
}

static int look_rx(const struct watch *watch)
{
    struct belt_rx *rx = watch->rxs[0];
    if (rx_ready(rx))
        return 0;
    return belt_rx_ended(rx) ? -EPIPE : -EAGAIN;
}

/* The first after the one found last, so that none is starved. */
static int look_any(const struct watch *watch)
{
    uint32_t last = watch->count - 1, ended = 0;
    for (uint32_t i = 0; i < watch->count; i++)
        if (watch->rxs[i]->found)
            last = i;
    for (uint32_t step = 1; step <= watch->count; step++) {
        uint32_t i = (last + step) % watch->count;
        if (rx_ready(watch->rxs[i])) {
            watch->rxs[last]->found = false;
            watch->rxs[i]->found = true;
            return (int)i;
        }
        ended += belt_rx_ended(watch->rxs[i]);
    }
    return ended == watch->count ? -EPIPE : -EAGAIN;
}

static bool any_orphaned(const struct watch *watch)
{
    for (uint32_t i = 0; i < watch->count; i++)
        if (!rx_orphaned(watch->rxs[i]) && !belt_rx_ended(watch->rxs[i]))
            return false;
    return true;
}

static void listen_rx(struct belt_rx *rx, struct belt_bells *all)
{
    if (rx->way != BELT_WAY_SHARDED)
        belt_bells_add(all, rx->ring, &rx->ring->readers_bell);
    else
        for (uint32_t i = 0; i < rx->lanes_used; i++)
            belt_bells_add(all, rx->ring, &rx->lanes[i].ring->readers_bell);
}

static void listen_any(const struct watch *watch, struct belt_bells *all)
{
    for (uint32_t i = 0; i < watch->count; i++)
        listen_rx(watch->rxs[i], all);
}

/* ---- the loop -------------------------------------------------------------------- */

/* -ETIMEDOUT, -EOWNERDEAD, or 0: go on. */
static int ask_clock(struct watch *watch)
{
    uint64_t now = now_ns();
    bool late = now >= watch->deadline;
    if (watch->began == 0)
        watch->began = watch->asked = now;
    /* Also at the end of a short wait, or a caller that waits again and again for some
     * milliseconds would never learn it; not of a poll, it costs some 10 us. */
    if (now - watch->asked >= BELT_LIVENESS_NS || (late && now - watch->began >= SHORT_NS)) {
        watch->asked = now;
        /* What they did before they died counts: look after asking. */
        if (watch->orphaned(watch))
            return watch->look(watch) == -EAGAIN ? -EOWNERDEAD : 0;
    }
    return late ? -ETIMEDOUT : 0;
}

/* Until a bell rings, the deadline, or the time to ask. After ask_clock(). */
static void sleep_once(struct watch *watch)
{
    struct belt_bells all;
    all.count = 0;
    all.unsure = false;
    watch->listen(watch, &all);
    belt_bells_arm(&all, BELT_BELL_FUTEX);
    if (watch->look(watch) != -EAGAIN) {
        if (watch->alone)
            belt_bells_disarm(&all, BELT_BELL_FUTEX);
        return;
    }
    uint64_t until = all.unsure ? belt_deadline(SHORT_NS) : watch->asked + BELT_LIVENESS_NS;
    belt_bells_sleep(&all, until < watch->deadline ? until : watch->deadline);
}

/* On a crowded CPU whoever brings something may wait for us to get out of the way, and
 * every pause is lost. Yields for as long as somebody else then runs; as look(). */
static int let_others_run(const struct watch *watch)
{
    int rc = watch->look(watch);
    for (uint32_t i = 0; rc == -EAGAIN && *watch->crowded && i < YIELDS; i++) {
        uint64_t before = now_ns();
        if (before >= watch->deadline)
            break;
        sched_yield();
        *watch->crowded = now_ns() - before > OTHER_NS;
        rc = watch->look(watch);
    }
    return rc;
}

static int watch_until(struct watch *watch, uint32_t strategy)
{
    struct belt_idle idle = belt_idle_of((enum belt_wait)strategy);
    enum belt_idle_did did = BELT_IDLE_SPUN;
    int rc = idle.wait == BELT_WAIT_BACKOFF ? let_others_run(watch) : watch->look(watch);
    /* The first look in vain asks the clock at once: the deadline may be over. */
    for (uint32_t vain = watch->deadline == BELT_FOR_EVER; rc == -EAGAIN; vain++) {
        did = belt_idle_step(&idle);
        if (did == BELT_IDLE_SLEEP || vain % LOOKS == 0)
            rc = ask_clock(watch);
        if (rc != -EAGAIN && rc != 0)
            return rc;
        if (did == BELT_IDLE_SLEEP)
            sleep_once(watch);
        rc = watch->look(watch);
    }
    /* Perhaps it came because we yielded; the next wait begins with that, and sees. */
    if (did == BELT_IDLE_YIELDED)
        *watch->crowded = true;
    return rc;
}

/* Others may sleep beside the bell of a kind with many ends of a side. */
static bool alone(uint32_t way, bool broadcast)
{
    return !broadcast &&
           (way == BELT_WAY_SPANS || way == BELT_WAY_INBAND || way == BELT_WAY_SHARDED);
}

static bool rx_alone(const struct belt_rx *rx)
{
    return alone(rx->way, rx->released != &rx->ring->released);
}

int belt_rx_wait(struct belt_rx *rx, uint64_t deadline)
{
    struct watch watch = { .look = look_rx,
                           .orphaned = any_orphaned,
                           .listen = listen_any,
                           .rxs = &rx,
                           .count = 1,
                           .alone = rx_alone(rx),
                           .crowded = &rx->crowded,
                           .deadline = deadline };
    return watch_until(&watch, rx->wait);
}

int belt_tx_wait(struct belt_tx *tx, uint64_t deadline)
{
    struct watch watch = { .look = look_tx,
                           .orphaned = tx_orphaned,
                           .listen = listen_tx,
                           .tx = tx,
                           .alone = alone(tx->way, false),
                           .crowded = &tx->crowded,
                           .deadline = deadline };
    return watch_until(&watch, tx->wait);
}

int belt_rx_wait_any(struct belt_rx *const *rxs, uint32_t n, uint64_t deadline)
{
    if (n == 0 || n > ANY_MAX)
        return -EINVAL;
    struct watch watch = { .look = look_any,
                           .orphaned = any_orphaned,
                           .listen = listen_any,
                           .rxs = rxs,
                           .count = n,
                           .crowded = &rxs[0]->crowded,
                           .deadline = deadline };
    return watch_until(&watch, rxs[0]->wait);
}

/* ---- in an epoll loop ------------------------------------------------------------ */

int belt_rx_fd(struct belt_rx *rx)
{
    if (rx->fd >= 0)
        return rx->fd;
    struct belt_bells all = { .count = 0 };
    listen_rx(rx, &all);
    int fd = belt_bells_listen(&all, &rx->fd_bit);
    if (fd >= 0)
        rx->fd = fd;
    return fd;
}

bool belt_rx_arm(struct belt_rx *rx)
{
    struct belt_bells all = { .count = 0 };
    listen_rx(rx, &all);
    belt_bells_drain(rx->fd);
    rx->armed = true;
    belt_bells_arm(&all, rx->fd_bit);
    /* Unsure: better to look all the time than to miss a wake-up. */
    return all.unsure || rx_ready(rx) || belt_rx_ended(rx);
}

void belt_rx_disarm(struct belt_rx *rx)
{
    if (!rx->armed)
        return;
    struct belt_bells all = { .count = 0 };
    listen_rx(rx, &all);
    rx->armed = false;
    belt_bells_disarm(&all, rx->fd_bit);
    belt_bells_drain(rx->fd);
}
