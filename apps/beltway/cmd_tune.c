/* tune: tries plans for a pipeline on its own data and keeps the best one.
 *
 * One setting after the other, each value against the best plan so far, in turns, so that
 * a machine that drifts does so for both. What is better has to be so once more before it
 * is taken; what is not clearly better is left as it was. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/beltway/app_priv.h"
#include "core/placement.h"
#include "core/stages.h"

#define LOOK_NS 1000000u /* how late the end of a trial may be seen */
#define MOST_ROUNDS 64
#define MOST_SETS 8
#define VALUES 16
#define BETTER 1.02 /* than the best so far, to be taken */

/* Values of placement.PATH to try; none: numbers of lanes. */
struct dial {
    const char *path;
    const char *values[VALUES];
};

struct plan {
    struct belt_app_assign sets[MOST_SETS];
    size_t used;
};

struct tune {
    struct belt_app_settings settings;
    const char *save;
    bool keeps_sinks, tells;
    uint64_t first, rounds;
    uint32_t tried, trials; /* plans, for the progress line */
    struct plan best;
    char lanes[VALUES][12];
};

static const struct dial dials[] = {
    { "lanes", { NULL } },       { "smt", { "on", "off" } },
    { "fuse", { "none" } },      { "wait", { "spin", "yield", "block" } },
    { "huge_pages", { "off" } },
};

#define DIALS (sizeof dials / sizeof *dials)

/* ---- options ---------------------------------------------------------------------- */

enum { KEY_FIRST = 5000, KEY_ROUNDS, KEY_SAVE, KEY_SINKS };

static const struct argp_option options[] = {
    { NULL, 0, NULL, 0, "How it tries:", 3 },
    { "first", KEY_FIRST, "SIZE", 0, "so much of the input in each trial (default 1GiB)", 3 },
    { "rounds", KEY_ROUNDS, "N", 0, "trials of each plan, in turns (default 5)", 3 },
    { "save", KEY_SAVE, "FILE", 0, "write the best plan, for --with FILE", 3 },
    { "sinks", KEY_SINKS, "HOW", 0,
      "null: nothing is written (default); keep: every trial writes, over and over", 3 },
    { 0 },
};

static const struct argp_child children[] = { { &belt_app_settings_argp, 0, NULL, 0 }, { 0 } };

static uint64_t size_of(const char *text, struct argp_state *state)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
    char *end;
    errno = 0;
    uint64_t size = strtoull(text, &end, 10);
    for (size_t u = 0; !errno && end != text && u < sizeof units / sizeof *units; u++)
        if (strcmp(end, units[u]) == 0 && size && size <= UINT64_MAX >> (10 * u + 1))
            return size << (10 * u);
    argp_error(state, "--first takes a size such as 256MiB or 1GiB, not '%s'", text);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct tune *tune = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &tune->settings; return 0;
    case KEY_FIRST: tune->first = size_of(arg, state); return 0;
    case KEY_ROUNDS:
        if (!belt_app_number(arg, &tune->rounds) || !tune->rounds || tune->rounds > MOST_ROUNDS)
            argp_error(state, "--rounds takes a number from 1 to %d", MOST_ROUNDS);
        return 0;
    case KEY_SAVE: tune->save = arg; return 0;
    case KEY_SINKS:
        if (strcmp(arg, "null") && strcmp(arg, "keep"))
            argp_error(state, "--sinks is null or keep, not '%s'", arg);
        tune->keeps_sinks = *arg == 'k';
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp tune_argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .doc = "Tries plans for a pipeline on its own input and says which is the fastest.\v"
           "Lanes, second threads of cores, fusing, waiting and huge pages are tried one after "
           "the other, each against the best so far in turns. To be taken a value has to be 2 % "
           "better and ahead in three of four turns, twice. What the command line sets is part "
           "of every trial. Keep the machine quiet meanwhile.",
    .children = children,
};

/* ---- a trial ---------------------------------------------------------------------- */

static int set_plan(struct belt_pipeline *p, const struct plan *plan, struct belt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < plan->used; i++) {
        char path[64];
        snprintf(path, sizeof path, "placement.%s", plan->sets[i].path);
        rc = belt_pipeline_set(p, path, plan->sets[i].value, err);
    }
    return rc;
}

static int silence_sinks(struct belt_pipeline *p, struct belt_error *err)
{
    char paths[64][128];
    size_t used = 0;
    int rc;
    struct belt_stage_info info = { .size = sizeof info };
    for (uint32_t s = 0; (rc = belt_pipeline_stage(p, s, &info, err)) >= 0; s++)
        if (info.role == BELT_ROLE_BATCHER && used < sizeof paths / sizeof *paths)
            snprintf(paths[used++], sizeof *paths, "%s.sink", info.name);
    if (rc != -ENOENT)
        return rc;
    rc = 0;
    for (size_t i = 0; rc >= 0 && i < used; i++)
        rc = belt_pipeline_set(p, paths[i], "{ null: {} }", err);
    return rc;
}

/* Messages a second; negative: what went wrong is in *err. */
static double measure(const struct tune *tune, struct belt_pipeline *p, struct belt_error *err)
{
    struct belt_totals totals = { .size = sizeof totals };
    if (belt_pipeline_start(p, err) < 0)
        return -1;
    int rc;
    do {
        rc = belt_pipeline_wait(p, LOOK_NS, err);
        belt_pipeline_totals(p, &totals);
    } while (rc == -ETIMEDOUT && totals.bytes_in < tune->first);
    if (rc == -ETIMEDOUT) {
        struct belt_error ignored; /* that it was stopped early */
        belt_pipeline_stop(p, 0);
        belt_pipeline_wait(p, BELT_FOREVER, &ignored);
    } else if (rc < 0) {
        return -1;
    }
    if (totals.received && totals.elapsed_ns)
        return (double)totals.received / (double)totals.elapsed_ns * 1e9;
    belt_error_set(err, -ENODATA, "the source brought nothing to measure with");
    return -1;
}

static double try_once(const struct tune *tune, const struct plan *plan, struct belt_error *err)
{
    int code;
    struct belt_pipeline *p = belt_app_open(&tune->settings, &code);
    if (!p)
        exit(code); /* it was said */
    double rate = -1;
    if (set_plan(p, plan, err) >= 0 && (tune->keeps_sinks || silence_sinks(p, err) >= 0))
        rate = measure(tune, p, err);
    belt_pipeline_free(p);
    return rate;
}

/* ---- comparing -------------------------------------------------------------------- */

struct rates {
    double best, other; /* medians; negative: cannot be */
    double ratio;       /* of other to best, median over the turns */
    uint64_t ahead;     /* turns in which other was */
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint64_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static struct rates compare(const struct tune *tune, const struct plan *other,
                            struct belt_error *err)
{
    double best[MOST_ROUNDS], others[MOST_ROUNDS], ratios[MOST_ROUNDS];
    struct rates rates = { -1, -1, 0, 0 };
    for (uint64_t i = 0; i < tune->rounds; i++) {
        others[i] = try_once(tune, other, err);
        best[i] = others[i] < 0 ? -1 : try_once(tune, &tune->best, err);
        if (best[i] < 0)
            return rates;
        ratios[i] = others[i] / best[i];
        rates.ahead += ratios[i] > 1;
    }
    rates.best = median(best, tune->rounds);
    rates.other = median(others, tune->rounds);
    rates.ratio = median(ratios, tune->rounds);
    return rates;
}

static bool is_better(const struct tune *tune, const struct rates *rates)
{
    return rates->other > 0 && rates->ratio > BETTER && 4 * rates->ahead >= 3 * tune->rounds;
}

/* What would run, as text to compare; NULL: it cannot be, or no memory. */
static char *plan_text(const struct tune *tune, const struct plan *plan)
{
    int code;
    struct belt_error err;
    char *text = NULL;
    size_t size;
    struct belt_pipeline *p = belt_app_open(&tune->settings, &code);
    if (!p)
        exit(code); /* it was said */
    FILE *out = open_memstream(&text, &size);
    bool ok = out && set_plan(p, plan, &err) >= 0 &&
              belt_pipeline_plan(p, BELT_PLAN_TABLE, out, &err) >= 0;
    if (out)
        fclose(out);
    if (!ok) {
        free(text);
        text = NULL;
    }
    belt_pipeline_free(p);
    return text;
}

static bool is_same(const struct tune *tune, const struct plan *plan)
{
    char *one = plan_text(tune, &tune->best), *other = plan_text(tune, plan);
    bool same = one && other && strcmp(one, other) == 0;
    free(one);
    free(other);
    return same;
}

/* "lanes 2, wait spin" */
static void name_plan(const struct plan *plan, char *out, size_t room)
{
    size_t used = (size_t)snprintf(out, room, "%s", plan->used ? "" : "as it is");
    for (size_t i = 0; i < plan->used && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s %s", i ? ", " : "",
                                 plan->sets[i].path, plan->sets[i].value);
}

static void tell(struct tune *tune, const char *name)
{
    if (tune->tells)
        fprintf(stderr, "\r\033[Ktune: plan %u of %u: %s", tune->tried + 1, tune->trials, name);
    tune->tried++;
}

static void print_line(const struct tune *tune, const char *name, double rate, const char *verdict)
{
    char text[BELT_APP_ROOM];
    if (tune->tells)
        fputs("\r\033[K", stderr);
    if (rate > 0)
        printf("%-40s %14s/s  %s\n", name, belt_app_scaled(rate, "msg", text), verdict);
    else
        printf("%-40s %16s  %s\n", name, "", verdict);
    fflush(stdout);
}

/* How much better than the best so far; 0: it is not, or cannot be. */
static double try_plan(struct tune *tune, const struct plan *plan, bool may_be_same)
{
    struct belt_error err;
    char name[256], verdict[300];
    name_plan(plan, name, sizeof name);
    tell(tune, name);
    if (may_be_same && is_same(tune, plan)) {
        print_line(tune, name, 0, "the same plan");
        return 0;
    }
    struct rates rates = compare(tune, plan, &err), again = rates;
    if (is_better(tune, &rates))
        again = compare(tune, plan, &err);
    if (again.other < 0) {
        snprintf(verdict, sizeof verdict, "not here: %.250s", err.text);
        print_line(tune, name, 0, verdict);
        return 0;
    }
    snprintf(verdict, sizeof verdict, "%.2fx", again.ratio);
    print_line(tune, name, again.other, verdict);
    return is_better(tune, &again) ? again.ratio : 0;
}

/* ---- all -------------------------------------------------------------------------- */

static bool is_given(const struct tune *tune, const char *dial)
{
    for (size_t i = 0; i < tune->settings.sets_used; i++) {
        const char *path = tune->settings.sets[i].path;
        if (strncmp(path, "placement.", 10) == 0 && strcmp(path + 10, dial) == 0)
            return true;
    }
    return false;
}

/* 1, 2, 4 .. and all. */
static void fill_lanes(struct tune *tune, const char **values)
{
    cpu_set_t mask;
    int cpus = sched_getaffinity(0, sizeof mask, &mask) < 0 ? 1 : CPU_COUNT(&mask);
    size_t used = 0;
    for (int n = 1; used < VALUES - 1; n = 2 * n < cpus ? 2 * n : cpus) {
        snprintf(tune->lanes[used], sizeof tune->lanes[used], "%d", n);
        values[used] = tune->lanes[used];
        used++;
        if (n >= cpus)
            break;
    }
    values[used] = NULL;
}

/* Those of a setting that the command line gives are not tried. */
static void fill_values(struct tune *tune, const struct dial *dial, const char **values)
{
    memcpy(values, dial->values, sizeof dial->values);
    if (!*values)
        fill_lanes(tune, values);
    if (is_given(tune, dial->path))
        *values = NULL;
}

/* Values of one setting exclude each other: the best of them is taken, if it is better. */
static void turn_dial(struct tune *tune, const struct dial *dial)
{
    const char *values[VALUES];
    struct plan chosen = tune->best;
    double most = 0;
    /* The plan does not show them. */
    bool may_be_same = strcmp(dial->path, "huge_pages") != 0;
    fill_values(tune, dial, values);
    for (size_t v = 0; values[v]; v++) {
        struct plan plan = tune->best;
        plan.sets[plan.used++] = (struct belt_app_assign){ dial->path, values[v] };
        double ratio = try_plan(tune, &plan, may_be_same);
        if (ratio > most) {
            most = ratio;
            chosen = plan;
        }
    }
    tune->best = chosen;
}

static uint32_t count_trials(struct tune *tune)
{
    const char *values[VALUES];
    uint32_t count = 2; /* the first run, and the best once more */
    for (size_t d = 0; d < DIALS; d++) {
        fill_values(tune, &dials[d], values);
        for (size_t v = 0; values[v]; v++)
            count++;
    }
    return count;
}

static int save(const struct tune *tune, double ratio)
{
    FILE *out = fopen(tune->save, "w");
    bool ok = out != NULL;
    if (out) {
        fprintf(out, "# beltway tune %s: %.2fx as it was.\nplacement:%s\n", tune->settings.file,
                ratio, tune->best.used ? "" : " {}");
        for (size_t i = 0; i < tune->best.used; i++)
            fprintf(out, "  %s: %s\n", tune->best.sets[i].path, tune->best.sets[i].value);
        ok = !ferror(out);
        ok &= fclose(out) == 0;
    }
    if (!ok)
        fprintf(stderr, "%s: %s\n", tune->save, strerror(errno));
    return ok ? BELT_APP_OK : BELT_APP_FAILED;
}

static int tune_pipeline(struct tune *tune)
{
    struct belt_error err;
    struct plan none = { .used = 0 };
    char name[256], verdict[64];
    tune->trials = count_trials(tune);
    tell(tune, "warming up");
    double rate = try_once(tune, &none, &err); /* warms up, and says what is wrong */
    if (rate < 0)
        return belt_app_error(&err);
    print_line(tune, "as it is", rate, "first run");
    for (size_t d = 0; d < DIALS; d++)
        turn_dial(tune, &dials[d]);
    name_plan(&tune->best, name, sizeof name);
    tell(tune, "the best, once more");
    struct rates rates = { .ratio = 1 };
    if (tune->best.used)
        rates = compare(tune, &none, &err);
    if (rates.other < 0)
        return belt_app_error(&err);
    double ratio = 1 / rates.ratio;
    snprintf(verdict, sizeof verdict, "best: %.2fx as it is", ratio);
    print_line(tune, name, rates.best, verdict);
    return tune->save ? save(tune, ratio) : BELT_APP_OK;
}

int belt_app_tune(int argc, char **argv)
{
    struct tune tune = { .first = UINT64_C(1) << 30, .rounds = 5, .tells = isatty(STDERR_FILENO) };
    int code = belt_app_settings_new(&tune.settings, argc);
    if (code)
        return code;
    belt_app_parse(&tune_argp, argc, argv, &tune);
    code = tune_pipeline(&tune);
    belt_app_settings_free(&tune.settings);
    return code;
}
