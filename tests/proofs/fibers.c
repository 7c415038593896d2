/* Threads as fibers, and what they call: each step hands over to the search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/proofs/model_priv.h"

enum { STACK = 128 * 1024, MOST_STEPS = 400 };

struct model model = { .cold = true, .self = -1 };

struct fibers fibers;

static ucontext_t contexts[MODEL_THREADS], main_context;
static char *stacks;

/* ---- fibers ---------------------------------------------------------------------- */

static void to_scheduler(void)
{
    if (_setjmp(fibers.here[model.self]) == 0)
        _longjmp(fibers.scheduler, 1);
}

_Noreturn void give_up(enum end end)
{
    fibers.end = end;
    fibers.over = true;
    if (model.self < 0)
        _longjmp(fibers.loop, 1);
    _longjmp(fibers.scheduler, 1);
}

static void learn(unsigned place, unsigned thread)
{
    model.found.writers[place] |= (uint8_t)(1u << thread);
    if (model.found.writers[place] != model.known.writers[place] && !model.replaying)
        give_up(LEARNED);
}

void end_thread(unsigned self, enum model_fate fate)
{
    struct thread *thread = &model.threads[self];
    learn(FATE + self, self);
    thread->state = ENDED;
    thread->fate = fate;
    memory_tell(FATE + self, self, fate);
}

static void fiber(unsigned self)
{
    if (_setjmp(fibers.base[self]) == 0)
        swapcontext(&contexts[self], &main_context);
    model.scenario->thread[self](model.scenario, self);
    end_thread(self, MODEL_FINISHED);
    _longjmp(fibers.scheduler, 1);
}

void make_fibers(void)
{
    if (!stacks) {
        stacks = mmap(NULL, (size_t)STACK * MODEL_THREADS, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stacks == MAP_FAILED)
            abort();
    }
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        getcontext(&contexts[t]);
        contexts[t].uc_stack.ss_sp = stacks + (size_t)t * STACK;
        contexts[t].uc_stack.ss_size = STACK;
        makecontext(&contexts[t], (void (*)(void))fiber, 1, t);
        swapcontext(&main_context, &contexts[t]);
    }
}

void resume(unsigned t, bool begin)
{
    model.self = (int)t;
    if (_setjmp(fibers.scheduler) == 0)
        _longjmp(begin ? fibers.base[t] : fibers.here[t], 1);
    model.self = -1;
}

/* ---- what fibers call ------------------------------------------------------------ */

_Noreturn void model_fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(model.result->why, sizeof model.result->why, format, list);
    va_end(list);
    model.result->failed = true;
    give_up(FAILED);
}

/* What assert() calls. */
_Noreturn void __assert_fail(const char *, const char *, unsigned, const char *);
void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
    model_fail("%s:%u: %s: assertion '%s'", model_short_path(file), line, function, what);
}

static uint64_t cold_step(const struct model_site *site, void *at, unsigned width, uint64_t value,
                          void *expected)
{
    uint64_t old = 0, wanted = 0, new = value;
    if (!at)
        return 0;
    memcpy(&old, at, width);
    switch (site->kind) {
    case MODEL_LOAD: return old;
    case MODEL_ADD: new = old + value; break;
    case MODEL_OR: new = old | value; break;
    case MODEL_AND: new = old &value; break;
    case MODEL_CAS:
        memcpy(&wanted, expected, width);
        memcpy(expected, &old, width);
        if (wanted != old)
            return 0;
        memcpy(at, &new, width);
        return 1;
    default: break;
    }
    memcpy(at, &new, width);
    return old;
}

static unsigned order_of(const struct model_site *site)
{
    if (site->same >= MODEL_SITES)
        return site->order;
    model.result->reached[site->same / 8] |= (uint8_t)(1u << site->same % 8);
    return site->order & ~(unsigned)model.options->taken[site->same];
}

/* What this step may do to others. */
static void learn_step(const struct step *step)
{
    if (step->kind == MODEL_MEMBARRIER) {
        model.found.barriers |= (uint8_t)(1u << model.self);
        if (model.found.barriers != model.known.barriers && !model.replaying)
            give_up(LEARNED);
    } else if (step->kind >= MODEL_FENCE) {
        learn(NOWHERE, (unsigned)model.self);
    } else if (step->kind != MODEL_LOAD) {
        learn(step->place, (unsigned)model.self);
    }
}

uint64_t model_step(const struct model_site *site, const void *at, unsigned width, uint64_t value,
                    void *expected)
{
    if (model.cold)
        return cold_step(site, (void *)(uintptr_t)at, width, value, expected);
    return model_step_as(site, site->kind, order_of(site), at, width, value, expected);
}

uint64_t model_step_as(const struct model_site *site, unsigned kind, unsigned order, const void *at,
                       unsigned width, uint64_t value, void *expected)
{
    struct thread *thread = &model.threads[model.self];
    struct step *step = &thread->next;
    bool is_new = false;
    unsigned place = memory_place(at, width, kind != MODEL_LOAD, &is_new);
    if (is_new && !model.replaying)
        give_up(LEARNED); /* loads of it are steps from now on */
    if (at && place == NOWHERE)
        return memory_plain(at, width); /* nobody ever stores there */
    if (order == 0 && (kind == MODEL_FENCE || kind == MODEL_MEMBARRIER))
        return 0;
    *step = (struct step){ site, kind, order, place, value, 0 };
    if (expected)
        memcpy(&step->expected, expected, width);
    if (++thread->steps > MOST_STEPS)
        model_fail("thread %u makes more than %d steps", (unsigned)model.self, MOST_STEPS);
    learn_step(step);
    to_scheduler();
    if (kind != MODEL_CAS)
        return thread->result;
    memcpy(expected, &thread->result, width);
    return thread->result == step->expected;
}

void model_try(void)
{
    if (model.cold)
        return;
    struct thread *thread = &model.threads[model.self];
    thread->now.count = thread->before.count = 0;
    thread->stored = thread->reread = false;
}

static bool same_reads(const struct reads *a, const struct reads *b)
{
    return a->count == b->count && !memcmp(a->place, b->place, a->count * sizeof a->place[0]) &&
           !memcmp(a->when, b->when, a->count * sizeof a->when[0]);
}

void model_retry(void)
{
    if (model.cold)
        model_fail("what cannot fail without other threads failed");
    struct thread *thread = &model.threads[model.self];
    if (thread->reread && !thread->stored && same_reads(&thread->now, &thread->before))
        give_up(REDUNDANT); /* it could have waited instead */
    if (++thread->steps > MOST_STEPS)
        model_fail("thread %u makes more than %d steps", (unsigned)model.self, MOST_STEPS);
    thread->before = thread->now;
    thread->now.count = 0;
    thread->stored_before = thread->stored;
    thread->stored = false;
    thread->reread = true;
    thread->state = PARKED;
    to_scheduler();
}

enum model_fate model_fate_of(unsigned t)
{
    static const struct model_site site = { __FILE__,   "fate of",     __LINE__,
                                            MODEL_LOAD, MODEL_ACQUIRE, UINT16_MAX };
    struct thread *thread = &model.threads[model.self];
    if (model.cold || model.self == (int)t)
        return MODEL_RUNS;
    thread->next = (struct step){ &site, MODEL_LOAD, MODEL_ACQUIRE, FATE + t, 0, 0 };
    thread->steps++;
    to_scheduler();
    return (enum model_fate)thread->result;
}

enum model_fate model_end_of(unsigned t)
{
    return model.threads[t].fate;
}

unsigned model_self(void)
{
    return model.self < 0 ? MODEL_THREADS : (unsigned)model.self;
}
