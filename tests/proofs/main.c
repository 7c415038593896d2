/* Explores scenarios, then weakens each memory order alone and sees that one of
 * them notices. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/proofs/model.h"
#include "tests/proofs/suites.h"

static const char usage[] =
    "usage: proofs [OPTION]...\n"
    "  (nothing)            the quick scenarios\n"
    "  --all                all scenarios\n"
    "  --mutate             all scenarios, then each memory order weakened alone\n"
    "  --only TEXT          of these, the scenarios whose name contains it\n"
    "  --jobs N             processes (1)\n"
    "  --seconds N          most for one scenario (no limit)\n"
    "  --mutant FILE:LINE[:ORDER...]  weaken this: acquire, release, failed, ordered;\n"
    "                       may be given again\n"
    "  --replay CHOICES     print one execution of the scenario that --only names\n"
    "  --list               the scenarios\n";

enum {
    SCENARIOS = 160,
    MUTANTS = 512,
    MUTANT_SECONDS = 10, /* for one scenario; what is noticed is noticed much sooner */
    MUTANT_MOST = 40     /* for all of them, before the last one */
};

struct mutant {
    unsigned site, taken;
};

/* In memory that the processes share. */
struct shared {
    atomic_uint next;
    atomic_uint done[SCENARIOS + MUTANTS];
    struct model_result results[SCENARIOS];
    struct {
        int killer; /* the scenario's number; -1: survived */
        double seconds;
        char why[128];
    } mutants[MUTANTS];
};

static struct shared *shared;
static const struct model_scenario *scenarios[SCENARIOS];
static const struct model_suite *suite_of[SCENARIOS];
static struct mutant mutants[MUTANTS];
static unsigned scenarios_used, mutants_used;

static struct {
    bool all, mutate, list;
    const char *only, *replay, *mutants[16];
    unsigned weakened; /* how many mutants */
    unsigned jobs;
    double seconds;
} asked = { .jobs = 1 };

static const struct {
    const char *name;
    unsigned bit;
} orders[] = { { "acquire", 1 }, { "release", 2 }, { "failed", 4 }, { "ordered", 8 } };

/* Of CPU: this process's. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- jobs ------------------------------------------------------------------------ */

static void work(unsigned count, void (*job)(unsigned))
{
    for (;;) {
        unsigned i = atomic_fetch_add(&shared->next, 1);
        if (i >= count)
            return;
        job(i);
        atomic_store(&shared->done[i], 1);
    }
}

/* Does jobs 0 to count in asked.jobs processes; prints each in turn. */
static bool run_jobs(unsigned count, void (*job)(unsigned), void (*print)(unsigned))
{
    bool ok = true;
    atomic_store(&shared->next, 0);
    for (unsigned i = 0; i < count; i++)
        atomic_store(&shared->done[i], 0);
    fflush(stdout);
    for (unsigned j = 0; j < asked.jobs; j++)
        if (fork() == 0) {
            work(count, job);
            _exit(0);
        }
    unsigned left = asked.jobs;
    for (unsigned i = 0; i < count; i++) {
        while (!atomic_load(&shared->done[i]) && left) {
            int status;
            usleep(5000);
            while (left && waitpid(-1, &status, WNOHANG) > 0) {
                left--;
                ok = ok && status == 0;
            }
        }
        if (atomic_load(&shared->done[i]))
            print(i);
        fflush(stdout);
    }
    int status;
    while (left && waitpid(-1, &status, 0) > 0) {
        left--;
        ok = ok && status == 0;
    }
    if (!ok)
        printf("a process of the explorer died\n");
    return ok;
}

/* ---- scenarios ------------------------------------------------------------------- */

static const char *site_text(unsigned number, unsigned taken)
{
    static char text[160];
    const struct model_site *sites;
    model_sites(&sites);
    const char *order = "";
    for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (taken == orders[i].bit)
            order = orders[i].name;
    snprintf(text, sizeof text, "%s:%u:%s (%s)", model_short_path(sites[number].file),
             sites[number].line, order, sites[number].name);
    return text;
}

/* Takes from the options what `text` says. False: there is no such site. */
static bool weaken(struct model_options *options, const char *text)
{
    const struct model_site *sites;
    unsigned count = model_sites(&sites), line, found = 0;
    char names[48] = "", file[128];
    if (sscanf(text, "%127[^:]:%u:%47s", file, &line, names) < 2)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (sites[i].line != line || strcmp(model_short_path(sites[i].file), file))
            continue;
        found++;
        for (unsigned o = 0; o < sizeof orders / sizeof orders[0]; o++)
            if (!names[0] || strstr(names, orders[o].name))
                options->taken[sites[i].same] |= (uint8_t)orders[o].bit;
    }
    return found > 0;
}

static struct model_options options_now(void)
{
    struct model_options options = { .seconds = asked.seconds };
    for (unsigned i = 0; i < asked.weakened; i++)
        if (!weaken(&options, asked.mutants[i])) {
            fprintf(stderr, "proofs: nothing is ordered at %s\n", asked.mutants[i]);
            exit(2);
        }
    return options;
}

static void explore(unsigned i)
{
    struct model_options options = options_now();
    model_explore(scenarios[i], &options, &shared->results[i]);
}

static void print_failure(unsigned i)
{
    struct model_result *r = &shared->results[i];
    printf("FAILED %s: %s\n       see it: proofs --only %s", scenarios[i]->name, r->why,
           scenarios[i]->name);
    for (unsigned m = 0; m < asked.weakened; m++)
        printf(" --mutant %s", asked.mutants[m]);
    printf(" --replay %s\n", r->choices);
}

static void print_scenario(unsigned i)
{
    const struct model_result *r = &shared->results[i];
    printf("%-28s %-50s %12llu %12llu %9.2f%s\n", scenarios[i]->name, scenarios[i]->bounds,
           (unsigned long long)r->executions, (unsigned long long)r->redundant, r->seconds,
           r->unfinished ? "  not finished" : "");
    if (r->failed)
        print_failure(i);
}

static bool run_scenarios(void)
{
    printf("%-28s %-50s %12s %12s %9s\n", "scenario", "bounds", "executions", "given up",
           "seconds");
    bool ok = run_jobs(scenarios_used, explore, print_scenario);
    uint64_t executions = 0;
    double seconds = 0;
    unsigned failed = 0;
    for (unsigned i = 0; i < scenarios_used; i++) {
        const struct model_result *r = &shared->results[i];
        executions += r->executions;
        seconds += r->seconds;
        failed += r->failed || (r->unfinished && !asked.seconds);
    }
    printf("%u scenarios, %llu executions, %u failed; %.0f s of CPU\n", scenarios_used,
           (unsigned long long)executions, failed, seconds);
    return ok && failed == 0;
}

static int replay(void)
{
    if (scenarios_used != 1) {
        fprintf(stderr, "proofs: --replay needs --only with a whole name\n");
        return 2;
    }
    struct model_options options = options_now();
    options.replay = asked.replay;
    struct model_result *r = &shared->results[0];
    printf("%s: %s\n", scenarios[0]->name, scenarios[0]->bounds);
    model_explore(scenarios[0], &options, r);
    printf("%s\n", r->failed ? r->why : "complete, nothing is wrong");
    return r->failed;
}

/* ---- mutants --------------------------------------------------------------------- */

static bool reaches(unsigned scenario, unsigned site)
{
    return shared->results[scenario].reached[site / 8] >> site % 8 & 1;
}

static bool is_of_model(const struct model_site *site)
{
    return strstr(site->file, "tests/") != NULL;
}

static bool is_reached(unsigned site)
{
    for (unsigned s = 0; s < scenarios_used; s++)
        if (!suite_of[s]->no_mutants && reaches(s, site))
            return true;
    return false;
}

static void list_mutants(void)
{
    const struct model_site *sites;
    unsigned count = model_sites(&sites);
    for (unsigned i = 0; i < count; i++) {
        if (sites[i].same != i || is_of_model(&sites[i]) || !is_reached(i))
            continue;
        for (unsigned o = 0; o < sizeof orders / sizeof orders[0]; o++)
            if (sites[i].order & orders[o].bit && mutants_used < MUTANTS)
                mutants[mutants_used++] = (struct mutant){ i, orders[o].bit };
    }
}

/* Orders that no scenario comes by: nothing is known of them. */
static unsigned print_unreached(void)
{
    const struct model_site *sites;
    unsigned count = model_sites(&sites), unreached = 0;
    for (unsigned i = 0; i < count; i++) {
        if (sites[i].same != i || is_of_model(&sites[i]) || !sites[i].order || is_reached(i))
            continue;
        printf("%s:%u (%s) is in no scenario\n", model_short_path(sites[i].file), sites[i].line,
               sites[i].name);
        unreached++;
    }
    return unreached;
}

/* How many orders of the same file it has noticed so far. */
static unsigned kills(unsigned scenario, unsigned site)
{
    const struct model_site *sites;
    unsigned n = 0;
    model_sites(&sites);
    for (unsigned i = 0; i < mutants_used; i++)
        n += atomic_load(&shared->done[i]) && shared->mutants[i].killer == (int)scenario &&
             !strcmp(sites[mutants[i].site].file, sites[site].file);
    return n;
}

static bool is_sooner(unsigned a, unsigned b, unsigned site)
{
    unsigned of_a = kills(a, site), of_b = kills(b, site);
    return of_a != of_b ? of_a > of_b : shared->results[a].seconds < shared->results[b].seconds;
}

/* Scenarios that come by a site, best first: those that noticed others of its file, then
 * the small ones. Those that fail anyway tell nothing. */
static unsigned candidates(unsigned site, unsigned list[SCENARIOS])
{
    unsigned n = 0;
    for (unsigned s = 0; s < scenarios_used; s++) {
        if (suite_of[s]->no_mutants || !reaches(s, site) || shared->results[s].failed)
            continue;
        unsigned at = n++;
        for (; at > 0 && is_sooner(s, list[at - 1], site); at--)
            list[at] = list[at - 1];
        list[at] = s;
    }
    return n;
}

static bool notices(unsigned scenario, unsigned mutant, double seconds)
{
    static struct model_result r;
    struct model_options options = options_now();
    options.taken[mutants[mutant].site] |= (uint8_t)mutants[mutant].taken;
    options.seconds = seconds;
    model_explore(scenarios[scenario], &options, &r);
    if (!r.failed)
        return false;
    shared->mutants[mutant].killer = (int)scenario;
    snprintf(shared->mutants[mutant].why, sizeof shared->mutants[mutant].why, "%.127s", r.why);
    return true;
}

/* First a second of each, then more of what takes longer. */
static void mutate(unsigned i)
{
    double from = now(), most = asked.seconds > 0 ? asked.seconds : MUTANT_SECONDS;
    unsigned list[SCENARIOS], n = candidates(mutants[i].site, list);
    bool noticed = false;
    shared->mutants[i].killer = -1;
    for (unsigned k = 0; k < n && !noticed; k++)
        noticed = notices(list[k], i, 1);
    for (unsigned k = 0; k < n && !noticed && now() - from < MUTANT_MOST; k++)
        noticed = shared->results[list[k]].seconds > 0.7 && notices(list[k], i, most);
    shared->mutants[i].seconds = now() - from;
}

static void print_mutant(unsigned i)
{
    int killer = shared->mutants[i].killer;
    printf("%-52s %-24s %8.2f  %s\n", site_text(mutants[i].site, mutants[i].taken),
           killer < 0 ? "SURVIVED" : scenarios[killer]->name, shared->mutants[i].seconds,
           shared->mutants[i].why);
}

static bool run_mutants(void)
{
    list_mutants();
    printf("\n%-52s %-24s %8s\n", "weakened", "noticed by", "seconds");
    bool ok = run_jobs(mutants_used, mutate, print_mutant);
    unsigned survived = 0, unreached = asked.only ? 0 : print_unreached();
    double seconds = 0;
    for (unsigned i = 0; i < mutants_used; i++) {
        survived += shared->mutants[i].killer < 0;
        seconds += shared->mutants[i].seconds;
    }
    printf("%u orders weakened, %u noticed, %u survived, %u in no scenario; %.0f s of CPU\n",
           mutants_used, mutants_used - survived, survived, unreached, seconds);
    return ok && survived + unreached == 0;
}

/* ---- options --------------------------------------------------------------------- */

static bool wanted(const struct model_scenario *scenario)
{
    if (asked.replay && asked.only)
        return !strcmp(scenario->name, asked.only);
    if (asked.only && !strstr(scenario->name, asked.only))
        return false;
    return asked.all || asked.mutate || asked.list || asked.only || scenario->quick;
}

static void choose_scenarios(void)
{
    for (unsigned s = 0; s < sizeof model_suites / sizeof model_suites[0]; s++)
        for (unsigned i = 0; i < model_suites[s]->count; i++) {
            const struct model_scenario *scenario = &model_suites[s]->scenarios[i];
            if (!wanted(scenario) || scenarios_used == SCENARIOS)
                continue;
            suite_of[scenarios_used] = model_suites[s];
            scenarios[scenarios_used++] = scenario;
        }
}

static bool read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--all"))
            asked.all = true;
        else if (!strcmp(argv[i], "--mutate"))
            asked.mutate = true;
        else if (!strcmp(argv[i], "--list"))
            asked.list = true;
        else if (!value)
            return false;
        else if (!strcmp(argv[i], "--only"))
            asked.only = argv[++i];
        else if (!strcmp(argv[i], "--mutant") && asked.weakened < 16)
            asked.mutants[asked.weakened++] = argv[++i];
        else if (!strcmp(argv[i], "--replay"))
            asked.replay = argv[++i];
        else if (!strcmp(argv[i], "--jobs"))
            asked.jobs = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--seconds"))
            asked.seconds = atof(argv[++i]);
        else
            return false;
    }
    return asked.jobs > 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    if (!read_options(argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    const struct model_site *sites;
    if (model_sites(&sites) > MODEL_SITES)
        return 1;
    choose_scenarios();
    if (asked.list) {
        for (unsigned i = 0; i < scenarios_used; i++)
            printf("%-28s %s\n", scenarios[i]->name, scenarios[i]->bounds);
        return 0;
    }
    if (asked.replay)
        return replay();
    bool ok = run_scenarios();
    if (asked.mutate)
        ok = run_mutants() && ok;
    return !ok;
}
