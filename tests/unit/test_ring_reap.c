/* What dead processes had of an MPMC ring comes back. */
#include "refuse_fixture.h"
#include "ring_fixture.h"
#include "rings/kind_priv.h"

static const struct shape *const mpmc = &shapes[2];

static struct fixture ring_at(uint64_t start, uint32_t items)
{
    struct fixture f = SHARED_RING(mpmc, .items = items, .start = start);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    return f;
}

static struct belt_reaped reap(struct fixture *f)
{
    struct belt_reaped out = { 77, 77, 77 };
    cr_assert_eq(belt_ring_reap(f->mem, &out), 0);
    return out;
}

static void expect_reaped(struct fixture *f, uint32_t processes, uint32_t gaps, uint32_t returned)
{
    struct belt_reaped out = reap(f);
    cr_assert(out.processes == processes && out.gaps == gaps && out.returned == returned,
              "%u processes, %u gaps, %u returned", out.processes, out.gaps, out.returned);
}

static belt_owner dead_owner(void)
{
    return UINT64_C(12345) << 22 | (belt_owner)getpid();
}

static belt_owner live_owner(void)
{
    int rc;
    return belt_owner_self(&rc);
}

static uint64_t *word_at(struct belt_tx *tx, uint64_t ticket)
{
    return belt_mpmc_slot(tx->first, tx->mask, tx->slot_size, ticket);
}

/* ---- refuses ----------------------------------------------------------------- */

Test(reap, is_for_rings_that_need_it)
{
    for (EACH_SHAPE(s)) {
        struct fixture f = RING(s, .items = 4);
        cr_assert_eq(belt_ring_reap(f.mem, NULL), s == mpmc ? 0 : -ENOTSUP, "%s", s->name);
        f.ring->layout++;
        cr_assert_eq(belt_ring_reap(f.mem, NULL), -EPROTO, "%s", s->name);
        f.ring->layout--;
        done(&f);
    }
    cr_assert_eq(belt_ring_reap(belt_mem_of(NULL, 0), NULL), -EINVAL);
}

static int without_proc(void *arg)
{
    CHILD_CHECK(refuse_files(EACCES) == 0);
    CHILD_CHECK(belt_ring_reap(((struct fixture *)arg)->mem, NULL) == -ESRCH);
    return 0;
}

Test(reap, tells_that_proc_cannot_be_read)
{
    struct fixture f = ring_at(0, 8);
    expect_refused(without_proc, &f);
    unshare_ring(&f);
}

Test(reap, leaves_the_living_alone)
{
    struct fixture f = ring_at(0, 8);
    push(&f.tx, 1);
    push(&f.tx, 2);
    cr_assert_eq(belt_claim(&f.tx, 2).count, 2);
    cr_assert_eq(belt_peek(&f.rx, 1).count, 1);
    expect_reaped(&f, 0, 0, 0);
    belt_release(&f.rx, 1);
    belt_publish(&f.tx, 0);
    cr_assert_eq(pop(&f.rx), 2);
    cr_assert(is_empty(&f.rx));
    unshare_ring(&f);
}

Test(reap, is_for_one_at_a_time)
{
    struct fixture f = ring_at(0, 8);
    f.ring->reaper = live_owner();
    cr_assert_eq(belt_ring_reap(f.mem, NULL), -EBUSY);
    f.ring->reaper = dead_owner();
    cr_assert_eq(belt_ring_reap(f.mem, NULL), 0, "it died at it");
    cr_assert_eq(f.ring->reaper, 0);
    unshare_ring(&f);
}

/* ---- claims ------------------------------------------------------------------ */

static int claim_three(void *arg)
{
    struct fixture *f = arg;
    struct belt_tx tx;
    CHILD_CHECK(belt_tx_open(&tx, f->mem) == 0);
    CHILD_CHECK(push(&tx, 1));
    CHILD_CHECK(belt_claim(&tx, 3).count == 3);
    return 0;
}

Test(reap, makes_gaps_of_what_the_dead_had_claimed)
{
    for (int k = 0; k < STARTS; k++) {
        struct fixture f = ring_at(starts[k] & ~UINT64_C(7), 8);
        in_child_that_dies(claim_three, &f);
        cr_assert(push(&f.tx, 2));
        cr_assert_eq(pop(&f.rx), 1, "what it had published stays");
        cr_assert(is_empty(&f.rx), "behind its claim");
        expect_reaped(&f, 1, 3, 0);
        cr_assert_eq(pop(&f.rx), 2);
        expect_reaped(&f, 0, 0, 0);
        cr_assert_eq(fill_up(&f.tx, 0), 8, "all slots are back");
        unshare_ring(&f);
    }
}

Test(reap, of_many_dead_at_once)
{
    struct fixture f = ring_at(0, 64);
    for (uint64_t i = 0; i < 5; i++) {
        in_child_that_dies(claim_three, &f);
        cr_assert(push(&f.tx, 2));
    }
    cr_assert_eq(stat_of(&f).writers, 6);
    expect_reaped(&f, 5, 15, 0);
    cr_assert_eq(stat_of(&f).writers, 1, "their words are free");
    for (uint64_t i = 0; i < 5; i++) {
        cr_assert_eq(pop(&f.rx), 1);
        cr_assert_eq(pop(&f.rx), 2);
    }
    unshare_ring(&f);
}

/* ---- items ------------------------------------------------------------------- */

static int take_three(void *arg)
{
    struct fixture *f = arg;
    struct belt_rx rx;
    CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0);
    CHILD_CHECK(belt_peek(&rx, 3).count == 3);
    return 0;
}

Test(reap, gives_again_what_the_dead_had_taken)
{
    for (int k = 0; k < STARTS; k++) {
        struct fixture f = ring_at(starts[k] & ~UINT64_C(7), 8);
        for (uint64_t i = 0; i < 5; i++)
            cr_assert(push(&f.tx, i));
        in_child_that_dies(take_three, &f);
        cr_assert_eq(pop(&f.rx), 3);
        cr_assert_eq(pop(&f.rx), 4);
        cr_assert(is_empty(&f.rx));
        expect_reaped(&f, 1, 0, 3);
        for (uint64_t i = 0; i < 3; i++)
            cr_assert_eq(pop(&f.rx), i, "out of order, but once");
        cr_assert(is_empty(&f.rx));
        cr_assert_eq(fill_up(&f.tx, 0), 8);
        unshare_ring(&f);
    }
}

static int release_one_of_three(void *arg)
{
    struct fixture *f = arg;
    struct belt_rx rx;
    CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0);
    CHILD_CHECK(belt_peek(&rx, 3).count == 3);
    CHILD_CHECK(belt_release(&rx, 1));
    return 0;
}

Test(reap, gives_again_only_what_was_not_released)
{
    struct fixture f = ring_at(0, 8);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert(push(&f.tx, i));
    in_child_that_dies(release_one_of_three, &f);
    expect_reaped(&f, 1, 0, 2);
    for (uint64_t i = 1; i < 4; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert(is_empty(&f.rx));
    unshare_ring(&f);
}

/* As belt_release() does it, from behind; but killed half-way. */
static int release_halfway(void *arg)
{
    struct fixture *f = arg;
    struct belt_rx rx;
    CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0);
    CHILD_CHECK(belt_peek(&rx, 4).count == 4);
    for (uint32_t i = 3; i >= 2; i--)
        belt_mpmc_pass(word_at(&f->tx, rx.next + i),
                       belt_mpmc_word(rx.next + i + 8, 0, 4 - i, BELT_MPMC_FREE));
    return 0;
}

Test(reap, gives_again_what_a_half_done_release_left)
{
    struct fixture f = ring_at(0, 8);
    for (uint64_t i = 0; i < 5; i++)
        cr_assert(push(&f.tx, i));
    in_child_that_dies(release_halfway, &f);
    expect_reaped(&f, 1, 0, 2);
    static const uint64_t want[] = { 0, 1, 4 };
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pop(&f.rx), want[i]);
    cr_assert(is_empty(&f.rx));
    cr_assert_eq(fill_up(&f.tx, 0), 8);
    unshare_ring(&f);
}

/* A reader died while it made a gap free. */
static int clear_halfway(void *arg)
{
    struct fixture *f = arg;
    struct belt_rx rx;
    struct belt_tx tx;
    CHILD_CHECK(belt_rx_open(&rx, f->mem) == 0 && belt_tx_open(&tx, f->mem) == 0);
    CHILD_CHECK(belt_claim(&tx, 4).count == 4);
    uint64_t first = tx.next;
    belt_publish(&tx, 0);
    belt_mpmc_pass(word_at(&tx, first), belt_mpmc_word(first, rx.me, 4, BELT_MPMC_CLEARING));
    belt_mpmc_pass(word_at(&tx, first + 3), belt_mpmc_word(first + 3 + 8, 0, 1, BELT_MPMC_FREE));
    return 0;
}

Test(reap, finishes_what_a_half_done_clearing_left)
{
    struct fixture f = ring_at(0, 8);
    in_child_that_dies(clear_halfway, &f);
    cr_assert(push(&f.tx, 9));
    expect_reaped(&f, 1, 0, 0);
    cr_assert_eq(pop(&f.rx), 9);
    cr_assert(is_empty(&f.rx));
    cr_assert_eq(fill_up(&f.tx, 0), 8);
    unshare_ring(&f);
}

/* ---- waiting for it ---------------------------------------------------------- */

Test(reap, wakes_who_waits_for_what_comes_back)
{
    struct fixture f = ring_at(0, 8);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert(push(&f.tx, i));
    in_child_that_dies(take_three, &f);
    cr_assert_geq(belt_rx_fd(&f.rx), 0);
    cr_assert_not(belt_rx_arm(&f.rx));
    expect_reaped(&f, 1, 0, 3);
    cr_assert_eq(belt_rx_wait(&f.rx, 0), 0);
    cr_assert(belt_rx_arm(&f.rx));
    belt_rx_disarm(&f.rx);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(pop(&f.rx), i);
    unshare_ring(&f);
}

Test(reap, ends_a_ring_whose_last_writer_died_closed)
{
    struct fixture f = ring_at(0, 8);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert(push(&f.tx, i));
    belt_close(&f.tx);
    in_child_that_dies(take_three, &f);
    cr_assert(is_empty(&f.rx));
    cr_assert_not(belt_rx_ended(&f.rx), "three may come back");
    expect_reaped(&f, 1, 0, 3);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(pop(&f.rx), i);
    cr_assert(belt_rx_ended(&f.rx));
    unshare_ring(&f);
}

/* ---- hostile words ----------------------------------------------------------- */

Test(reap, leaves_words_alone_that_cannot_be)
{
    struct fixture f = ring_at(0, 8);
    in_child_that_dies(claim_three, &f);
    cr_assert_eq(f.ring->owners, BELT_MPMC_OWNERS);
    uint32_t dead = f.tx.me + 1u;
    uint64_t lies[] = {
        belt_mpmc_word(5, dead, 63, BELT_MPMC_CLAIMED), /* over the end */
        belt_mpmc_word(4, dead, 1, BELT_MPMC_TAKEN),    /* another slot's ticket */
        belt_mpmc_word(5, dead, 1, BELT_MPMC_FILLED),   /* filled, but named */
        belt_mpmc_word(5, 200, 1, BELT_MPMC_TAKEN),     /* nobody's name */
    };
    uint64_t *words = (uint64_t *)(void *)((char *)f.ring + f.ring->owners_at);
    uint64_t was = words[dead - 1];
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        words[dead - 1] = was;
        *word_at(&f.tx, 5) = lies[i];
        reap(&f);
        cr_assert_eq(*word_at(&f.tx, 5), lies[i], "lie %zu", i);
    }
    belt_mem_unmap(&f.mem);
}
