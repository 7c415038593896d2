/* Ends that keep away from their peer (see belt_peek) wait a bounded time only, though
 * a little keeps coming all the time. The peer here works at every so many of the
 * end's instructions: the processor's single step stands for a second CPU. */
#include <ucontext.h>

#include "ring_fixture.h"

#if defined(__x86_64__)

enum {
    TRAP_FLAG = 0x100,
    PEER_EVERY = 60,
    FIRST_MOST = 400,
    LINGERED = 10000,
    MOST_STEPS = 3000000
};

static struct fixture f;
static void (*peer)(void);
static uint64_t steps, first_step;
static bool stepping;

static void step(int signal, siginfo_t *info, void *context)
{
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    (void)signal;
    (void)info;
    *flags = stepping ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
    if (!stepping || ++steps < first_step || steps > MOST_STEPS)
        return;
    if ((steps - first_step) % PEER_EVERY == 0)
        peer();
}

/* One call, its peer at work meanwhile. How many instructions it took. */
static uint64_t stepped(void (*call)(void), void (*with)(void))
{
    struct sigaction action = { .sa_sigaction = step, .sa_flags = SA_SIGINFO };
    cr_assert_eq(sigaction(SIGTRAP, &action, NULL), 0);
    peer = with;
    steps = 0;
    stepping = true;
    raise(SIGTRAP);
    call();
    stepping = false;
    return steps;
}

static void push_one(void)
{
    cr_assert(push(&f.tx, 1));
}

static void pop_one(void)
{
    cr_assert_not(is_empty(&f.rx));
}

static void pop_if_there(void)
{
    is_empty(&f.rx);
}

static void push_if_room(void)
{
    push(&f.tx, 1);
}

/* New ends, which see an empty ring; then as many items as it has slots. */
static void fill_at_one_go(void)
{
    belt_tx_leave(&f.tx);
    belt_rx_leave(&f.rx);
    cr_assert_eq(belt_rx_open(&f.rx, f.mem), 0);
    cr_assert_eq(belt_tx_open(&f.tx, f.mem), 0);
    uint32_t slots = stat_of(&f).slots;
    for (uint32_t i = 0; i < slots; i++)
        push_one();
}

static void drain(void)
{
    while (!is_empty(&f.rx))
        ;
}

static const uint32_t sizes[] = { 1u << 10, 1u << 13, 1u << 16 }; /* the last is bulk */
enum { ITEM = 56, BULK_ITEM = 128 };

static void each_ring(uint64_t (*test)(void))
{
    static const int kinds[] = { 0, 1, 2, 6 }; /* spans, in-band, MPMC, broadcast */
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            const struct shape *s = &shapes[kinds[i]];
            uint32_t size = k == 2 && s->biggest > ITEM ? BULK_ITEM : ITEM;
            f = RING(s, .items = sizes[k] - 1, .item_size = size);
            /* The peer begins before, during, after the end's first look. */
            uint64_t took = 0;
            for (first_step = 20; first_step < FIRST_MOST && took < LINGERED; first_step += 20) {
                fill_at_one_go();
                took = test();
                drain();
            }
            done(&f);
        }
}

/* At the first look in vain an end counts what came before: all of a ring at one go. */
static uint64_t push_into_full(void)
{
    uint64_t took = stepped(push_if_room, pop_if_there);
    cr_assert_lt(took, MOST_STEPS, "%s: a push took %lu instructions", f.name, took);
    return took;
}

Test(linger, of_a_writer_is_bounded, .timeout = 120)
{
    each_ring(push_into_full);
}

static uint64_t pop_from_empty(void)
{
    for (uint64_t items = stat_of(&f).items; items > 0; items--)
        pop_one();
    uint64_t took = stepped(pop_if_there, push_if_room);
    cr_assert_lt(took, MOST_STEPS, "%s: a pop took %lu instructions", f.name, took);
    return took;
}

Test(linger, of_a_reader_is_bounded, .timeout = 120)
{
    each_ring(pop_from_empty);
}

#endif
