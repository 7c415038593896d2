/* Which operation in which state of which ring, and the table of what came of it.
 * A row a line, fields between tabs; dev.d/step makes it pleasant to read.
 *
 * Every instruction is a point to die at. The ring is all that a survivor has, so
 * points between which no byte of it changes are one and the same to him: the ring
 * is kept before and after each change, and once its owner is dead, a survivor
 * recovers each of these. Besides, processes are killed for real at instructions
 * evenly spread, as many as the time allows; at all of them with --every. */
#include "tests/step/step_priv.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef STEP_BUILT
#define STEP_BUILT "-O?"
#endif

enum { PATIENCE_S = 20 };

static struct {
    bool quick, every, by_state;
    const char *kind, *op, *state;
} asked;

static struct {
    const struct scene *scene;
    const struct op *op;
} now; /* for the last words */

static void last_words(int sig)
{
    char text[200];
    int n = snprintf(text, sizeof text, "%s, %s, %s: %s\n", now.scene->kind->name, now.op->name,
                     now.scene->state->name,
                     sig == SIGALRM ? "the survivor hangs" : "the survivor crashed");
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

/* ---- dying --------------------------------------------------------------------------- */

/* Lets the operation run to its end once and recovers all that it leaves on the way. */
static bool recover_each(const struct scene *scene, const struct op *op, struct hand *hand,
                         struct walk *walk, struct tally *tally)
{
    struct death death = die_after(scene, op, hand, STEPS_MAX, walk);
    if (death.failed || death.early) {
        death.failed = death.failed ? death.failed : -E2BIG;
        verify(scene, op, hand, &death, tally);
        return false;
    }
    tally->whole = hand->result;
    tally->points += walk->steps + 1;
    for (uint32_t i = 0; i < walk->count; i++) {
        const struct remains *r = &walk->remains[i];
        struct death then = { .steps = r->steps, .early = !r->hand.returned };
        *hand = r->hand;
        memcpy(scene->mem.base, r->ring, scene->mem.size);
        alarm(PATIENCE_S);
        verify(scene, op, hand, &then, tally);
        tally->recoveries++;
    }
    return true;
}

/* From one instruction to kill at to the next: what the time allows. */
static uint32_t stride_for(uint64_t steps)
{
    uint64_t kills = asked.quick ? 5 : 50, work = asked.quick ? 400 : 6000;
    uint64_t by_kills = steps / kills + 1, by_work = steps * steps / 2 / work + 1;
    return asked.every ? 1 : (uint32_t)(by_kills > by_work ? by_kills : by_work);
}

static void try_one(const struct scene *scene, const struct op *op, struct hand *hand,
                    struct tally *tally)
{
    static struct walk walk;
    now.scene = scene;
    now.op = op;
    alarm(PATIENCE_S);
    if (!recover_each(scene, op, hand, &walk, tally))
        return;
    uint32_t stride = stride_for(walk.steps);
    for (uint32_t k = stride / 2; k <= walk.steps; k += stride) {
        alarm(PATIENCE_S);
        struct death death = die_after(scene, op, hand, k, NULL);
        verify(scene, op, hand, &death, tally);
        tally->kills++;
    }
    alarm(0);
}

/* ---- which cases ---------------------------------------------------------------------- */

static bool named(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

static bool applies(const struct kind *kind, const struct state *state, const struct op *op)
{
    if (!named(asked.kind, kind->name) || !named(asked.state, state->name) ||
        !named(asked.op, op->name))
        return false;
    if ((op->traits & kind->traits) != op->traits || (asked.quick && !state->quick))
        return false;
    if (state->claims && kind->kind != BELT_MPMC)
        return false;
    bool calm = !state->wraps && !state->armed;
    if (op->flags & WAITS)
        return state->fill != HALF;
    if (op->flags & COLD)
        return calm && (!asked.quick || state->fill == HALF);
    return !state->armed || op->pushes;
}

static int run_state(const struct kind *kind, const struct state *state, const struct op *op,
                     struct hand *hand, struct tally *tally)
{
    struct scene scene;
    int rc = scene_make(&scene, kind, state, op->side);
    if (rc == 0)
        try_one(&scene, op, hand, tally);
    scene_free(&scene);
    if (rc < 0)
        fprintf(stderr, "%s, %s: no such state: %s\n", kind->name, state->name, strerror(-rc));
    return rc;
}

/* ---- the table ------------------------------------------------------------------------ */

static void print_row(const struct kind *kind, const struct op *op, const char *state,
                      const struct tally *t)
{
    printf("%s\t%s\t%s\t%s\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%u", kind->name, op->name,
           STEP_BUILT, state, (unsigned long long)t->points, (unsigned long long)t->recoveries,
           (unsigned long long)t->kills, (unsigned long long)t->none, (unsigned long long)t->some,
           (unsigned long long)t->all, (unsigned long long)t->again, t->window);
    for (uint32_t i = 0; i < VERDICTS; i++)
        printf("\t%llu", (unsigned long long)t->bad[i]);
    printf("\t%s\n", kind->traits & MAY_WEDGE ? "contrast" : "");
    fflush(stdout);
}

static void add(struct tally *sum, const struct tally *t)
{
    sum->points += t->points;
    sum->recoveries += t->recoveries;
    sum->kills += t->kills;
    sum->none += t->none;
    sum->some += t->some;
    sum->all += t->all;
    sum->again += t->again;
    sum->window = t->window > sum->window ? t->window : sum->window;
    for (uint32_t i = 0; i < VERDICTS; i++)
        sum->bad[i] += t->bad[i];
}

static uint32_t cases; /* so far */

/* How many violations. */
static uint64_t run_op(const struct kind *kind, const struct op *op, struct hand *hand)
{
    struct tally sum = { 0 };
    uint64_t bad = 0;
    uint32_t done = 0;
    for (uint32_t i = 0; i < state_count; i++) {
        struct tally tally = { 0 };
        if (!applies(kind, &states[i], op))
            continue;
        bad += run_state(kind, &states[i], op, hand, &tally) < 0;
        if (asked.by_state)
            print_row(kind, op, states[i].name, &tally);
        add(&sum, &tally);
        done++;
    }
    cases += done;
    char text[16];
    snprintf(text, sizeof text, "%u", done);
    if (done && !asked.by_state)
        print_row(kind, op, text, &sum);
    for (uint32_t i = 0; i < VERDICTS && !(kind->traits & MAY_WEDGE); i++)
        bad += sum.bad[i];
    return bad;
}

static void progress(const struct kind *kind, const struct op *op)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s %s, %s\r", STEP_BUILT, kind->name, op->name);
}

static int options(int argc, char **argv)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },
        { "every", no_argument, NULL, 'e' },
        { "states", no_argument, NULL, 's' },
        { "kind", required_argument, NULL, 'k' },
        { "op", required_argument, NULL, 'o' },
        { "state", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        asked.quick |= c == 'q';
        asked.every |= c == 'e';
        asked.by_state |= c == 's';
        asked.kind = c == 'k' ? optarg : asked.kind;
        asked.op = c == 'o' ? optarg : asked.op;
        asked.state = c == 't' ? optarg : asked.state;
        if (c == '?')
            return -1;
    }
    return optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct belt_mem shared;
    if (options(argc, argv) < 0) {
        fprintf(stderr,
                "usage: %s [--quick] [--every] [--states] [--kind NAME] [--op NAME] "
                "[--state NAME]\n",
                argv[0]);
        return 2;
    }
    if (belt_mem_map(&shared, sizeof(struct hand), BELT_MEM_SHARED) < 0)
        return 2;
    signal(SIGALRM, last_words);
    signal(SIGABRT, last_words);
    signal(SIGSEGV, last_words);
    uint64_t bad = 0;
    for (uint32_t k = 0; k < kind_count; k++)
        for (uint32_t o = 0; o < op_count; o++) {
            progress(&kinds[k], &ops[o]);
            bad += run_op(&kinds[k], &ops[o], (struct hand *)shared.base);
        }
    if (cases == 0)
        fprintf(stderr, "no case of that name\n");
    return bad != 0 || cases == 0;
}
