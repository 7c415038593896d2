/* The depth-first search over what threads may do next. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/proofs/model_priv.h"

enum { NODES = 2048 };

/* Where a choice was made. Bits are options of each thread's next step. */
struct node {
    uint64_t asleep[MODEL_THREADS]; /* searched already, from a node above */
    uint64_t done[MODEL_THREADS];   /* searched already, from here */
    uint64_t todo[MODEL_THREADS];
    uint8_t thread, option; /* under way */
};

static struct {
    struct node nodes[NODES];
    unsigned depth, nodes_used;
    uint64_t asleep[MODEL_THREADS];
    const char *replay;
} x;

/* ---- one execution --------------------------------------------------------------- */

static void begin(void)
{
    memory_restore();
    model.run++;
    model.deaths = model.scenario->deaths ? model.scenario->deaths : 1;
    model.cold = false;
    x.depth = 0;
    fibers.over = false;
    memset(x.asleep, 0, sizeof x.asleep);
    for (unsigned t = 0; t < model.count; t++) {
        memset(&model.threads[t], 0, sizeof model.threads[t]);
        model.threads[t].view.at[t] = 1;
        model.threads[t].may_die = true;
    }
    trace_clear();
    for (unsigned t = 0; t < model.count && !fibers.over; t++)
        resume(t, true);
}

static bool is_queued(const struct thread *thread, unsigned place)
{
    for (unsigned i = 0; i < thread->queued_n; i++)
        if (thread->queued[i] == place)
            return true;
    return false;
}

void explore_wake(unsigned place)
{
    for (unsigned t = 0; t < model.count; t++) {
        struct thread *thread = &model.threads[t];
        if (!is_queued(thread, place))
            continue;
        thread->woken = true;
        if (thread->state != ASLEEP)
            continue;
        thread->state = PARKED;
        thread->queued_n = 0;
        thread->result = 0;
    }
}

static void unpark(void)
{
    for (unsigned t = 0; t < model.count && !fibers.over; t++) {
        struct thread *thread = &model.threads[t];
        if (thread->state != PARKED)
            continue;
        bool woken = thread->woken;
        if (!woken && !memory_is_news(&thread->before))
            continue;
        if (model.scenario->no_retries && !woken && !thread->stored_before)
            give_up(REDUNDANT);
        if (woken) {
            memory_fence(thread);
            thread->woken = false;
        }
        thread->state = AT_STEP;
        resume(t, false);
    }
}

static uint8_t others_alive(unsigned t)
{
    uint8_t alive = 0;
    for (unsigned u = 0; u < model.count; u++)
        if (u != t && model.threads[u].state != ENDED)
            alive |= (uint8_t)(1u << u);
    return alive;
}

/* Nothing that others may still do changes what this step can do, nor the reverse:
 * so it may as well be made now. */
static bool is_alone(unsigned t)
{
    const struct step *step = &model.threads[t].next;
    uint8_t others = others_alive(t);
    if (model.known.barriers & others)
        return false;
    if (step->kind == MODEL_STORE)
        return true;
    if (step->kind == MODEL_MEMBARRIER)
        return others == 0;
    unsigned place = step->kind >= MODEL_FENCE ? NOWHERE : step->place;
    if (step->kind == MODEL_FUTEX_WAIT && model.known.writers[step->place] & others)
        return false;
    return !(model.known.writers[place] & others);
}

static uint64_t options_of(unsigned t)
{
    const struct thread *thread = &model.threads[t];
    if (thread->state != AT_STEP)
        return 0;
    uint64_t options = memory_options(thread, &thread->next);
    if (model.deaths && thread->may_die && model.scenario->mortal >> t & 1)
        options |= UINT64_C(1) << DIE | (uint64_t)memory_can_lose(thread) << LOSE;
    return options;
}

/* Whether thread t's sleeping `option` stays the same when u has made its step. */
static bool independent(unsigned t, unsigned option, unsigned u, unsigned did)
{
    const struct step *a = &model.threads[t].next, *b = &model.threads[u].next;
    if (did >= LOSE || option >= LOSE)
        return true;
    if (a->kind == MODEL_MEMBARRIER || b->kind == MODEL_MEMBARRIER)
        return false;
    bool fence_a = a->kind >= MODEL_FENCE, fence_b = b->kind >= MODEL_FENCE;
    if (fence_a || fence_b)
        return !(fence_a && fence_b);
    return a->place != b->place || !memory_writes(a, option) || !memory_writes(b, did);
}

/* Before u's step is made: what sleeps through it. */
static void filter_sleep(unsigned u, unsigned did)
{
    for (unsigned t = 0; t < model.count; t++) {
        if (t == u || model.threads[t].state != AT_STEP) {
            x.asleep[t] = 0;
            continue;
        }
        for (uint64_t left = x.asleep[t]; left; left &= left - 1) {
            unsigned option = (unsigned)__builtin_ctzll(left);
            if (!independent(t, option, u, did))
                x.asleep[t] &= ~(UINT64_C(1) << option);
        }
    }
}

static unsigned older_than(unsigned place, unsigned option)
{
    struct place *at = memory_at(place);
    unsigned newer = 0;
    for (unsigned i = 0; i < at->count; i++)
        newer += at->messages[i]->when > at->messages[option]->when;
    return newer;
}

static void perform(unsigned t, unsigned option)
{
    struct thread *thread = &model.threads[t];
    bool plain = thread->next.kind < MODEL_FENCE || thread->next.kind == MODEL_FUTEX_WAIT;
    trace_choice(t, option >= LOSE ? option : plain ? older_than(thread->next.place, option) : 0);
    filter_sleep(t, option);
    if (option >= LOSE) {
        if (option == LOSE)
            memory_lose(thread);
        model.deaths--;
        if (model.tracing)
            trace_step(t, option);
        end_thread(t, MODEL_DIED);
        return;
    }
    thread->may_die = false;
    thread->result = 0;
    memory_step(t, option);
    if (model.tracing)
        trace_step(t, option);
    if (thread->state == AT_STEP)
        resume(t, false);
}

/* ---- choosing -------------------------------------------------------------------- */

/* A thread all of whose options are asleep needs news; is there anybody who may
 * bring it, and is not waiting for such news himself? */
static bool is_stuck(const uint64_t *options)
{
    uint8_t stuck = 0, was;
    for (unsigned t = 0; t < model.count; t++)
        if (model.threads[t].state == AT_STEP && !(options[t] & ~x.asleep[t]))
            stuck |= (uint8_t)(1u << t);
    do {
        was = stuck;
        for (unsigned t = 0; t < model.count; t++) {
            const struct step *step = &model.threads[t].next;
            if (!(stuck >> t & 1) || !options[t])
                continue;
            bool fence = step->kind >= MODEL_FENCE;
            uint8_t helpers = model.known.writers[fence ? NOWHERE : step->place];
            if (fence && step->kind == MODEL_FUTEX_WAIT)
                helpers |= model.known.writers[step->place];
            if (model.known.barriers)
                helpers = UINT8_MAX;
            if (!(helpers & others_alive(t) & ~stuck))
                return true;
        }
    } while (stuck != was);
    return false;
}

/* A new node for these options; false: all of it has been searched elsewhere. */
static bool open_node(const uint64_t *options, int alone)
{
    if (x.nodes_used == NODES)
        model_fail("too many choices for the model");
    if (is_stuck(options))
        return false;
    struct node *node = &x.nodes[x.nodes_used];
    memset(node, 0, sizeof *node);
    uint64_t any = 0;
    for (unsigned t = 0; t < model.count; t++) {
        node->asleep[t] = x.asleep[t];
        if (alone < 0 || alone == (int)t)
            node->todo[t] = options[t] & ~x.asleep[t];
        any |= node->todo[t];
    }
    x.nodes_used += any != 0;
    return any != 0;
}

static void take_next(struct node *node)
{
    unsigned t = 0;
    while (!node->todo[t])
        t++;
    node->thread = (uint8_t)t;
    /* The newest first: what goes wrong is sooner found at the far end. */
    uint64_t steps = node->todo[t] & ~(UINT64_C(3) << LOSE);
    node->option = (uint8_t)(63 - __builtin_clzll(steps ? steps : node->todo[t]));
    node->todo[t] &= ~(UINT64_C(1) << node->option);
}

/* Follows the node at x.depth. */
static void follow(const struct node *node)
{
    for (unsigned t = 0; t < model.count; t++)
        x.asleep[t] = node->asleep[t] | node->done[t];
    x.depth++;
    perform(node->thread, node->option);
}

static void follow_replay(const uint64_t *options)
{
    unsigned older;
    int t = trace_next(&x.replay, &older);
    if (t < 0 || (unsigned)t >= model.count || !options[t])
        model_fail("the choices do not fit the scenario");
    const struct step *step = &model.threads[t].next;
    bool plain = step->kind < MODEL_FENCE || step->kind == MODEL_FUTEX_WAIT;
    for (uint64_t left = options[t]; left; left &= left - 1) {
        unsigned option = (unsigned)__builtin_ctzll(left);
        if (option >= LOSE ? older == option
                           : older == (plain ? older_than(step->place, option) : 0)) {
            perform((unsigned)t, option);
            return;
        }
    }
    model_fail("the choices do not fit the scenario");
}

static void choose(const uint64_t *options)
{
    int alone = -1;
    for (unsigned t = 0; t < model.count && alone < 0; t++)
        if (options[t] && is_alone(t))
            alone = (int)t;
    if (alone >= 0 && !(options[alone] & (options[alone] - 1))) {
        if (options[alone] & x.asleep[alone])
            give_up(REDUNDANT);
        perform((unsigned)alone, (unsigned)__builtin_ctzll(options[alone]));
        return;
    }
    if (x.depth == x.nodes_used) {
        if (!open_node(options, alone))
            give_up(REDUNDANT);
        take_next(&x.nodes[x.depth]);
    }
    follow(&x.nodes[x.depth]);
}

static void advance(void)
{
    uint64_t options[MODEL_THREADS], any = 0;
    bool waiting = false;
    unpark();
    if (fibers.over)
        return;
    for (unsigned t = 0; t < model.count; t++) {
        any |= options[t] = options_of(t);
        waiting |= model.threads[t].state == PARKED || model.threads[t].state == ASLEEP;
    }
    if (any) {
        if (x.replay)
            follow_replay(options);
        else
            choose(options);
        return;
    }
    if (waiting && !model.scenario->may_wedge)
        model_fail("wedged: who still waits will wait for ever");
    fibers.end = COMPLETE;
    fibers.over = true;
}

static enum end run_once(void)
{
    if (_setjmp(fibers.loop) == 0)
        begin();
    while (!fibers.over)
        if (_setjmp(fibers.loop) == 0)
            advance();
    model.cold = true;
    if (fibers.end == COMPLETE && _setjmp(fibers.loop) == 0 && model.scenario->check)
        model.scenario->check(model.scenario);
    return fibers.end;
}

/* ---- the search ------------------------------------------------------------------ */

static bool backtrack(void)
{
    while (x.nodes_used) {
        struct node *node = &x.nodes[x.nodes_used - 1];
        node->done[node->thread] |= UINT64_C(1) << node->option;
        for (unsigned t = 0; t < model.count; t++)
            if (node->todo[t]) {
                take_next(node);
                return true;
            }
        x.nodes_used--;
    }
    return false;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void count_from_zero(struct model_result *result)
{
    result->executions = result->redundant = 0;
    result->outcomes = 0;
    x.nodes_used = 0;
}

static void prepare(const struct model_scenario *scenario, const struct model_options *options,
                    struct model_result *result)
{
    memset(result, 0, sizeof *result);
    memset(&model.known, 0, sizeof model.known);
    memset(&model.found, 0, sizeof model.found);
    model.scenario = scenario;
    model.options = options;
    model.result = result;
    model.cold = true;
    for (model.count = 0; model.count < MODEL_THREADS && scenario->thread[model.count];)
        model.count++;
    memory_clear();
    count_from_zero(result);
    fibers.over = false;
    if (_setjmp(fibers.loop) == 0) {
        system_clear();
        scenario->setup(scenario);
    }
    memory_keep();
    make_fibers();
    x.replay = NULL;
    model.replaying = false;
    model.tracing = false;
}

static void search(double until)
{
    struct model_result *result = model.result;
    while (!result->failed) {
        enum end end = run_once();
        if (end == LEARNED) {
            model.known = model.found;
            count_from_zero(result);
            continue;
        }
        result->executions += end == COMPLETE;
        result->redundant += end == REDUNDANT;
        if (result->failed || !backtrack())
            return;
        if ((result->executions + result->redundant) % 256 == 0 && seconds_now() > until) {
            result->unfinished = true;
            return;
        }
    }
}

/* Facts belong to choices: as many as the search had found by then are found first. */
static void replay(const char *choices)
{
    struct model_result *result = model.result;
    search(seconds_now() + 2);
    result->failed = false;
    x.replay = choices;
    model.replaying = true;
    model.tracing = true;
    run_once();
    model.tracing = false;
}

void model_explore(const struct model_scenario *scenario, const struct model_options *options,
                   struct model_result *result)
{
    double from = seconds_now();
    prepare(scenario, options, result);
    if (result->failed)
        return;
    if (options->replay) {
        replay(options->replay);
        return;
    }
    search(options->seconds > 0 ? from + options->seconds : 1e18);
    if (result->failed)
        snprintf(result->choices, sizeof result->choices, "%s", trace_choices());
    if (scenario->verdict)
        scenario->verdict(scenario, result);
    result->seconds = seconds_now() - from;
}

void model_outcome(const char *format, ...)
{
    struct model_result *result = model.result;
    char name[32];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    unsigned i = 0;
    while (i < result->outcomes && strcmp(result->outcome[i].name, name))
        i++;
    if (i == MODEL_OUTCOMES)
        model_fail("too many outcomes for the model");
    if (i == result->outcomes) {
        memcpy(result->outcome[i].name, name, sizeof name);
        result->outcome[i].count = 0;
        result->outcomes++;
    }
    result->outcome[i].count++;
}
