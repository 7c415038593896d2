/* Ends that keep away from their peer (see belt_peek) wait a bounded time only, though
 * a little keeps coming all the time. The peer here works at every so many of the
 * end's instructions: the processor's single step stands for a second CPU. */
#include <ucontext.h>

#include "ring_fixture.h"

#if defined(__x86_64__)

enum { TRAP_FLAG = 0x100, PEER_EVERY = 150, MOST_STEPS = 3000000 };

static struct fixture f;
static void (*peer)(void);
static uint64_t steps;
static bool stepping;

static void step(int signal, siginfo_t *info, void *context)
{
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    (void)signal;
    (void)info;
    *flags = stepping ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
    if (stepping && ++steps % PEER_EVERY == 0 && steps < MOST_STEPS)
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

/* A flow of items, ending at some place in the ring. */
static void flow(uint32_t items)
{
    for (uint32_t i = 0; i < items; i++) {
        push_one();
        pop_one();
    }
}

static const uint32_t sizes[] = { 1u << 10, 1u << 13, 1u << 16 }; /* the last is bulk */
enum { ITEM = 56, BULK_ITEM = 128, PHASES = 8 };

static void each_ring(const struct shape *s, void (*test)(uint32_t slots))
{
    for (int k = 0; k < 3; k++) {
        uint32_t size = k == 2 && s->biggest > ITEM ? BULK_ITEM : ITEM;
        f = RING(s, .items = sizes[k] - 1, .item_size = size);
        for (uint32_t phase = 0; phase < PHASES; phase++) {
            flow(f.ring->slots * 2 + f.ring->slots / PHASES * phase);
            test(f.ring->slots);
        }
        done(&f);
    }
}

static void push_into_full(uint32_t slots)
{
    struct belt_ring_stat stat = stat_of(&f);
    for (uint64_t i = stat.items; i < slots; i++)
        if (!push(&f.tx, 1))
            break;
    pop_one();
    pop_one();
    uint64_t took = stepped(push_one, pop_if_there);
    cr_assert_lt(took, MOST_STEPS, "%s: a push took %lu instructions", f.name, took);
    while (!is_empty(&f.rx))
        ;
}

Test(linger, of_a_writer_is_bounded, .timeout = 120)
{
    each_ring(&shapes[0], push_into_full);
    each_ring(&shapes[1], push_into_full);
    each_ring(&shapes[6], push_into_full);
}

static void pop_from_nearly_empty(uint32_t slots)
{
    (void)slots;
    push_one();
    uint64_t took = stepped(pop_one, push_one);
    cr_assert_lt(took, MOST_STEPS, "%s: a pop took %lu instructions", f.name, took);
    while (!is_empty(&f.rx))
        ;
}

Test(linger, of_a_reader_is_bounded, .timeout = 120)
{
    each_ring(&shapes[0], pop_from_nearly_empty);
    each_ring(&shapes[1], pop_from_nearly_empty);
    each_ring(&shapes[6], pop_from_nearly_empty);
}

#endif
