/* Ends that are interrupted between any two instructions by another end at work: a
 * timer's signal handler is the other thread, so that even one CPU meets every race
 * of two, thousands of times a second. */
#include <sys/time.h>

#include "ring_fixture.h"
#include "rings/kind_priv.h"
#include "rings/wait_priv.h"

/* A storm has so many strikes, however little of the CPU it gets; where timers are coarse, as
 * many as come in the longest time. */
enum { STRIKES = 8000, EVERY_US = 25 };
#define LONGEST_NS UINT64_C(10000000000)

static void (*lightning)(void);
static volatile sig_atomic_t struck;

static void strike(int signal)
{
    (void)signal;
    struck++;
    lightning();
}

static void set_timer(long every_us)
{
    struct itimerval timer = { { 0, every_us }, { 0, every_us } };
    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* Runs body again and again, struck by `other` at any point of it. */
static void storm(void (*body)(void), void (*other)(void))
{
    struct sigaction action = { .sa_handler = strike, .sa_flags = SA_RESTART };
    lightning = other;
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    struck = 0;
    set_timer(EVERY_US);
    for (uint64_t until = belt_deadline(LONGEST_NS); struck < STRIKES && belt_deadline(0) < until;)
        for (int i = 0; i < 100; i++)
            body();
    set_timer(0);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

/* ---- MPMC: two writers, two readers ------------------------------------------------ */

/* One thread's ends, and what went through them. */
struct party {
    struct belt_tx tx;
    struct belt_rx rx;
    uint64_t random, number, sent, sum_sent, taken, sum_taken;
    bool failed;
    uint64_t next[2]; /* of each party's items, as this one has seen them */
};

static struct party self, other;

static void sent(struct party *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++, p->sent++)
        p->sum_sent += p->sent * 2 + p->number;
}

static void take(struct party *p, uint64_t item)
{
    uint64_t number = item % 2;
    p->failed |= item / 2 < p->next[number]; /* in the order of each writer */
    p->next[number] = item / 2 + 1;
    p->sum_taken += item;
    p->taken++;
}

static void write_some(struct party *p)
{
    uint64_t r = next_random(&p->random), items[3];
    for (uint64_t i = 0; i < 3; i++)
        items[i] = (p->sent + i) * 2 + p->number;
    if (r % 4 == 0) {
        sent(p, belt_push_n(&p->tx, items, 3, sizeof *items));
    } else if (r % 4 == 1) {
        struct belt_slots s = belt_claim(&p->tx, 3);
        uint32_t n = s.count ? (uint32_t)(r / 4 % (s.count + 1)) : 0;
        for (uint32_t i = 0; i < n; i++)
            put(&p->tx, s, i, items[i]);
        belt_publish(&p->tx, n);
        sent(p, n);
    } else {
        sent(p, belt_push(&p->tx, items, sizeof *items));
    }
}

static void read_some(struct party *p)
{
    uint64_t items[3], r = next_random(&p->random);
    if (r % 3 == 0) {
        uint32_t n = belt_pop_n(&p->rx, items, 3, sizeof *items);
        for (uint32_t i = 0; i < n; i++)
            take(p, items[i]);
    } else if (r % 3 == 1) {
        struct belt_slots s = belt_peek(&p->rx, 2);
        for (uint32_t i = 0; i < s.count; i++)
            take(p, get(&p->rx, s, i));
        belt_release(&p->rx, s.count);
    } else if (belt_pop(&p->rx, items, sizeof *items)) {
        take(p, items[0]);
    }
}

static void do_some(struct party *p)
{
    if (next_random(&p->random) % 2)
        write_some(p);
    else
        read_some(p);
}

static void do_some_ourselves(void)
{
    do_some(&self);
}

static void do_some_as_the_other(void)
{
    for (uint64_t n = next_random(&other.random) % 4; n > 0; n--)
        do_some(&other);
}

Test(storm, loses_and_doubles_nothing_of_many_ends, .timeout = 60)
{
    for (int k = 2; k <= 3; k++) {
        const struct shape *s = &shapes[k];
        struct fixture f = closed_ring_from(
            s, CONF(s, .items = 4, .writers = 2, .readers = 2, .start = UINT64_MAX - 1000));
        self = (struct party){ .random = 1, .number = 0 };
        other = (struct party){ .random = 2, .number = 1 };
        cr_assert(belt_tx_open(&self.tx, f.mem) == 0 && belt_tx_open(&other.tx, f.mem) == 0);
        cr_assert(belt_rx_open(&self.rx, f.mem) == 0 && belt_rx_open(&other.rx, f.mem) == 0);
        storm(do_some_ourselves, do_some_as_the_other);
        belt_close(&self.tx);
        belt_close(&other.tx);
        while (!belt_rx_ended(&self.rx))
            read_some(&self);
        cr_assert_not(self.failed || other.failed, "%s: out of order", s->name);
        cr_assert_eq(self.sent + other.sent, self.taken + other.taken, "%s", s->name);
        cr_assert_eq(self.sum_sent + other.sum_sent, self.sum_taken + other.sum_taken, "%s",
                     s->name);
        cr_assert_gt(other.sent, 100, "%s: the other took part", s->name);
        cr_assert_eq(belt_ring_check(f.ring, f.mem.size), 0, "%s", s->name);
        forget(&f);
    }
}

/* ---- words of roles, of the reaper, of bells ---------------------------------------- */

static uint64_t word, flips[2];
static belt_owner me;
static int took, refused;

static void flip(void)
{
    static uint64_t turn;
    belt_store_release(&word, flips[++turn % 2]);
}

static void count(int rc)
{
    cr_assert(rc == 0 || rc == -EBUSY, "%d", rc);
    took += rc == 0;
    refused += rc != 0;
}

static void take_word(void)
{
    count(belt_owner_take(&word, 1, me));
    belt_store_release(&word, flips[0]);
}

static void join_word(void)
{
    count(belt_owner_join(&word, 1, me));
    belt_store_release(&word, flips[0]);
}

static void storm_of_words(uint64_t one, uint64_t two, void (*body)(void))
{
    int rc;
    me = belt_owner_self(&rc);
    flips[0] = one, flips[1] = two;
    took = refused = 0;
    storm(body, flip);
    cr_assert(took > 0 && refused >= 0);
}

static belt_owner dead_owner(uint64_t start)
{
    return start << 22 | (belt_owner)getpid();
}

Test(storm, takes_words_that_others_take_meanwhile, .timeout = 60)
{
    int rc;
    belt_owner live = belt_owner_self(&rc);
    storm_of_words(0, dead_owner(1), take_word);
    storm_of_words(dead_owner(1), dead_owner(2), take_word);
    storm_of_words(0, dead_owner(1), join_word);
    storm_of_words(0, live, join_word);
}

static struct fixture ring;

static void flip_reaper(void)
{
    static uint64_t turn;
    belt_store_release(&ring.ring->reaper, ++turn % 2 ? dead_owner(turn) : 0);
}

static void reap(void)
{
    count(belt_ring_reap(ring.mem, NULL));
}

Test(storm, reaps_while_others_do, .timeout = 60)
{
    ring = RING(&shapes[2], .items = 4);
    took = 0;
    storm(reap, flip_reaper);
    cr_assert_gt(took, 0);
    done(&ring);
}

/* Our bit, and that of another sleeper who comes and is woken. */
enum { OURS = 4, ANOTHERS = 8 };

static void come_and_be_woken(void)
{
    static uint64_t turn;
    if (++turn % 2)
        belt_fetch_or32(&ring.ring->readers_bell.asleep, ANOTHERS);
    else
        belt_exchange32(&ring.ring->readers_bell.asleep, 0);
}

static void arm_and_disarm(void)
{
    struct belt_bells all = { .count = 0 };
    belt_bells_add(&all, ring.ring, &ring.ring->readers_bell);
    belt_fetch_or32(&ring.ring->readers_bell.asleep, OURS);
    belt_bells_disarm(&all, OURS);
    cr_assert_eq(belt_load_relaxed32(&ring.ring->readers_bell.asleep) & OURS, 0);
}

Test(storm, disarms_bells_that_others_use, .timeout = 60)
{
    ring = RING(&shapes[LOSSY_SHAPE], .items = 4);
    storm(arm_and_disarm, come_and_be_woken);
    done(&ring);
}

/* ---- lossy: a writer that is always faster ----------------------------------------- */

enum { BIG = 512 << 10 };
static char big[BIG];
static int in_vain;

static void lap(void)
{
    struct belt_slots s = belt_claim(&ring.tx, 2);
    belt_publish(&ring.tx, s.count);
}

static void read_in_vain(void)
{
    in_vain += !belt_pop(&ring.rx, big, sizeof big);
}

Test(storm, lets_a_lossy_reader_give_up_for_now, .timeout = 60)
{
    ring = RING(&shapes[LOSSY_SHAPE], .items = 2, .item_size = BIG);
    lap();
    storm(read_in_vain, lap);
    cr_assert_gt(in_vain, 0);
    cr_assert_gt(ring.rx.missed, 0);
    lap();
    cr_assert(belt_pop(&ring.rx, big, sizeof big), "now it has time");
    done(&ring);
}
