/* The explorer's own test: small programs whose outcomes under C11 are known.
 *
 * A thread is a text: W store, R load into a register, A add 1, F full fence,
 * B membarrier, D and V plain store and load, E end here if the register is 0.
 *     Wx1  Wx1r (release)  Rxp  Rxpa (acquire)  Ax  Ax- (relaxed)  F  B  Dx  Vx  Ep
 * An outcome is the registers named (p to w) or the places (X, Y) in the end. */
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/proofs/model.h"

struct litmus {
    const char *programs[4], *shows;
    const char *all;        /* the outcomes, exactly; NULL: see below */
    const char *has, *not ; /* one that there must be, and one that must not */
};

static const struct litmus litmus[] = {
    { { "Wx1 Ryp", "Wy1 Rxq" }, "pq", "00 01 10 11", 0, 0 },
    { { "Wx1 F Ryp", "Wy1 F Rxq" }, "pq", "01 10 11", 0, 0 },
    { { "Wx1 B Ryp", "Wy1 Rxq" }, "pq", "01 10 11", 0, 0 },
    { { "Wx1 B Ryp", "Wy1 Rxq", "Rxr" }, "pq", "01 10 11", 0, 0 },
    { { "Wx1 Ax Ryp", "Wy1 Ay Rxq" }, "pq", "00 01 10 11 02 20 12 21 22", "00", 0 },
    { { "Wx1 Wy1", "Ryp Rxq" }, "pq", "00 01 10 11", 0, 0 },
    { { "Wx1 Wy1r", "Rypa Rxq" }, "pq", "00 01 11", 0, 0 },
    { { "Wx1 Wy1r", "Ryp Rxq" }, "pq", "00 01 10 11", 0, 0 },
    { { "Wx1 Wy1", "Rypa Rxq" }, "pq", "00 01 10 11", 0, 0 },
    { { "Wx1 F Wy1", "Ryp F Rxq" }, "pq", "00 01 11", 0, 0 },
    { { "Wx1 F Wy1", "Ryp Rxq" }, "pq", "00 01 10 11", 0, 0 },
    { { "Wx1 Wx2", "Rxp Rxq" }, "pq", "00 01 02 11 12 22", 0, 0 },
    { { "Wx1", "Wx2", "Rxp Rxq" }, "pq", "00 01 02 11 12 21 22", 0, 0 },
    { { "Wx1", "Wx2", "Rxp Rxq", "Rxr Rxs" }, "pqrs", 0, "1212", "1221" },
    { { "Wx1r", "Wy1r", "Rxpa Ryqa", "Ryra Rxsa" }, "pqrs", 0, "1010", 0 },
    { { "Wx1", "Wy1", "Rxp F Ryq", "Ryr F Rxs" }, "pqrs", 0, "1011", "1010" },
    { { "Wx1 Wy2", "Wy1 Wx2" }, "XY", "11 12 21 22", 0, 0 },
    { { "Wx1 Wy2r", "Wy1 Wx2r" }, "XY", "11 12 21 22", 0, 0 },
    { { "Wx1 F Wy2", "Wy1 F Wx2" }, "XY", "12 21 22", 0, 0 },
    { { "Rxp Wy1", "Ryq Wx1" }, "pq", "00 01 10", 0, 0 },
    { { "Wx1", "Rxpa Wy1r", "Ryqa Rxr" }, "pqr", 0, "011", "110" },
    { { "Wx1", "Rxp Wy1r", "Ryqa Rxr" }, "pqr", 0, "111", "110" },
    { { "Wx1", "Rxpa Wy1", "Ryqa Rxr" }, "pqr", 0, "110", 0 },
    { { "Wx1 Wy1r", "Ay-", "Rypa Rxq" }, "pq", 0, "21", "20" },
    { { "Wx1 Wy1r", "Wy2", "Rypa Rxq" }, "pq", 0, "20", "10" },
    { { "Ax", "Ax", "Ax" }, "X", "3", 0, 0 },
    { { "Ax- Rxp", "Ax- Rxq" }, "pq", "12 21 22", 0, 0 },
    { { "Wx5", "Ax", "Ax" }, "X", "5 6 7", 0, 0 },
    { { "Wx1 F Ryp", "Wy1 F Rxq", "Rxr F Rys" }, "pqrs", 0, "0110", "0010" },
    { { "Dx Wy1r", "Rypa Ep Vx" }, "p", "0 1", 0, 0 },
    { { "Dx Wy1", "Rypa Ep Vx" }, "p", "race", 0, 0 },
    { { "Dx Wy1r", "Ryp Ep Vx" }, "p", "race", 0, 0 },
    { { "Dx F Wy1", "Ryp Ep F Vx" }, "p", "0 1", 0, 0 },
    { { "Dx Wy1", "Ryp Ep F Vx" }, "p", "race", 0, 0 },
    { { "Dx F Ryp", "Wy1 F Vx" }, "p", "race", 0, 0 },
};

static struct {
    uint64_t places[2];
    uint64_t data[2];
    uint64_t registers[8];
} * state;

static void setup(const struct model_scenario *scenario)
{
    (void)scenario;
    state = model_alloc(sizeof *state, 64);
    model_name(state->places, 8, 2, "place");
}

/* False: the thread ends. */
static bool instruction(const char *text)
{
    uint64_t *place = &state->places[text[1] == 'y'], value = 0;
    uint64_t *reg = &state->registers[(text[0] == 'E' ? text[1] : text[2]) & 7];
    bool ordered = text[1] && text[2] && text[3] && text[3] != ' ';
    switch (text[0]) {
    case 'W':
        value = (uint64_t)(text[2] - '0');
        if (ordered)
            belt_store_release(place, value);
        else
            belt_store_relaxed(place, value);
        break;
    case 'R': *reg = ordered ? belt_load_acquire(place) : belt_load_relaxed(place); break;
    case 'A':
        if (text[2] == '-')
            belt_fetch_add_relaxed(place, 1);
        else
            belt_fetch_add(place, 1);
        break;
    case 'F': belt_fence_seq(); break;
    case 'B': syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0); break;
    case 'D': belt_data_store(&state->data[text[1] == 'y'], &value, 8); break;
    case 'V': belt_data_load(&value, &state->data[text[1] == 'y'], 8); break;
    default: return *reg != 0;
    }
    return true;
}

static void run(const struct model_scenario *scenario, unsigned me)
{
    const char *text = litmus[scenario->p[0]].programs[me];
    while (text && instruction(text)) {
        text = strchr(text, ' ');
        text += text != NULL;
    }
}

static void check(const struct model_scenario *scenario)
{
    const char *shows = litmus[scenario->p[0]].shows;
    char outcome[8] = "";
    for (unsigned i = 0; shows[i]; i++) {
        uint64_t value =
            shows[i] < 'a' ? state->places[shows[i] == 'Y'] : state->registers[shows[i] & 7];
        outcome[i] = (char)('0' + value);
    }
    model_outcome("%s", outcome);
}

static bool seen(const struct model_result *result, const char *name, size_t length)
{
    for (unsigned i = 0; i < result->outcomes; i++)
        if (strlen(result->outcome[i].name) == length &&
            !memcmp(result->outcome[i].name, name, length))
            return true;
    return false;
}

static bool as_expected(const struct litmus *l, const struct model_result *result)
{
    if (result->failed)
        return l->all && !strcmp(l->all, "race") && strstr(result->why, "data race");
    if (!l->all)
        return seen(result, l->has, strlen(l->has)) &&
               (!l->not || !seen(result, l->not, strlen(l->not )));
    unsigned listed = 0;
    for (const char *at = l->all; *at;) {
        size_t length = strcspn(at, " ");
        if (!seen(result, at, length))
            return false;
        listed++;
        at += length + (at[length] == ' ');
    }
    return listed == result->outcomes;
}

static void verdict(const struct model_scenario *scenario, struct model_result *result)
{
    bool ok = as_expected(&litmus[scenario->p[0]], result);
    bool failed = result->failed;
    result->failed = !ok;
    if (failed)
        return;
    size_t used = (size_t)snprintf(result->why, sizeof result->why, "outcomes:");
    for (unsigned i = 0; i < result->outcomes && used < sizeof result->why; i++)
        used += (size_t)snprintf(result->why + used, sizeof result->why - used, " %s",
                                 result->outcome[i].name);
}

#define LITMUS(n, name_, bounds_, ...)                                                             \
    {                                                                                              \
        .name = "litmus." name_, .bounds = bounds_, .setup = setup, .thread = { __VA_ARGS__ },     \
        .check = check, .verdict = verdict, .p = { n }, .quick = true                              \
    }
#define TWO run, run
#define THREE run, run, run
#define FOUR run, run, run, run

static const struct model_scenario scenarios[] = {
    LITMUS(0, "sb", "store buffering: relaxed", TWO),
    LITMUS(1, "sb.fences", "with full fences", TWO),
    LITMUS(2, "sb.membarrier", "with a membarrier on one side", TWO),
    LITMUS(3, "sb.membarrier.third", "the same beside a third thread", THREE),
    LITMUS(4, "sb.rmw", "read-modify-writes are no fences", TWO),
    LITMUS(5, "mp", "message passing: relaxed", TWO),
    LITMUS(6, "mp.release.acquire", "release and acquire", TWO),
    LITMUS(7, "mp.release", "without the acquire", TWO),
    LITMUS(8, "mp.acquire", "without the release", TWO),
    LITMUS(9, "mp.fences", "fences instead", TWO),
    LITMUS(10, "mp.fence", "one fence", TWO),
    LITMUS(11, "corr", "coherence: one writer", TWO),
    LITMUS(12, "corr.two", "two writers", THREE),
    LITMUS(13, "corr.agree", "two readers agree on the order", FOUR),
    LITMUS(14, "iriw", "readers may disagree about two places", FOUR),
    LITMUS(15, "iriw.fences", "not with fences", FOUR),
    LITMUS(16, "2+2w", "stores of two places cross", TWO),
    LITMUS(17, "2+2w.release", "also when they are releases", TWO),
    LITMUS(18, "2+2w.fences", "not with fences", TWO),
    LITMUS(19, "lb", "load buffering: left out of the model", TWO),
    LITMUS(20, "wrc", "write to read causality", THREE),
    LITMUS(21, "wrc.relaxed", "a relaxed read passes it on, too? no", THREE),
    LITMUS(22, "wrc.store", "without the release in the middle", THREE),
    LITMUS(23, "sequence", "a release goes through an add", THREE),
    LITMUS(24, "sequence.store", "but not through a store", THREE),
    LITMUS(25, "add", "no add is lost", THREE),
    LITMUS(26, "add.reads", "who added sees its own", TWO),
    LITMUS(27, "add.store", "a store lands anywhere but within an add", THREE),
    LITMUS(28, "rwc.fences", "read to write causality", THREE),
    LITMUS(29, "data", "plain data behind release and acquire", TWO),
    LITMUS(30, "data.no.release", "races without the release", TWO),
    LITMUS(31, "data.no.acquire", "races without the acquire", TWO),
    LITMUS(32, "data.fences", "fences serve as well", TWO),
    LITMUS(33, "data.fence", "one does not", TWO),
    LITMUS(34, "data.nothing", "fences alone order no data", TWO),
};

const struct model_suite litmus_suite = { "litmus", scenarios,
                                          sizeof scenarios / sizeof scenarios[0], true };
