/* run: one pipeline from start to end, with signals, progress and an exit code. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/beltway/app_priv.h"
#include "core/control.h"
#include "core/placement.h"

#define RELOAD_NS UINT64_C(30000000000) /* most time for a change to be made */
#define TICK_NS 100000000u              /* how late a signal or the progress line may be */
#define MOVED_NS 1000000000u
#define MOVED_ROOM 4096

enum { KEY_REPORT = 2000, KEY_PROGRESS, KEY_LATENCY };

struct run {
    struct belt_app_settings settings;
    const char *report;
    bool quiet, latency;
    struct belt_app_progress progress;
    int signal, signals; /* the first that came, and how many */
    uint64_t looked_ns;  /* when it was looked where the lanes are */
    char moved[MOVED_ROOM];
};

static const struct argp_option run_options[] = {
    { NULL, 0, NULL, 0, "What it tells:", 3 },
    { "report", KEY_REPORT, "FILE", 0, "write everything counted as JSON", 3 },
    { "latency", KEY_LATENCY, NULL, 0, "say at the end how long it took from read to settled", 3 },
    { "progress", KEY_PROGRESS, "WHEN", 0, "auto (on a terminal), always or never", 3 },
    { "quiet", 'q', NULL, 0, "only errors on stderr", 3 },
    { 0 },
};

static const struct argp_child children[] = { { &belt_app_settings_argp, 0, NULL, 0 }, { 0 } };

/* A report that cannot be written should be known before a long run, not after it. */
static void check_report(const char *path, struct argp_state *state)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    if (access(path, F_OK) == 0 ? access(path, W_OK) : access(dirname(folder), W_OK | X_OK))
        argp_error(state, "--report %s: %s", path, strerror(errno));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &run->settings; return 0;
    case KEY_REPORT:
        check_report(arg, state);
        run->report = arg;
        return 0;
    case KEY_PROGRESS:
        if (strcmp(arg, "auto") && strcmp(arg, "always") && strcmp(arg, "never"))
            argp_error(state, "--progress is auto, always or never, not '%s'", arg);
        run->progress.on = *arg == 'a' && (arg[1] == 'l' || isatty(STDERR_FILENO));
        return 0;
    case KEY_LATENCY: run->latency = true; return 0;
    case 'q': run->quiet = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp run_argp = {
    .options = run_options,
    .parser = parse,
    .args_doc = "FILE",
    .doc = "Runs a pipeline until its input ends.\v"
           "Exit codes: 0 all settled; 1 finished, something failed; 2 usage; 3 stopped early "
           "with work left; 78 configuration; 130, 143 ended by a signal; 141 the reader of "
           "stdout went away. The first SIGINT or SIGTERM lets what is inside finish, the "
           "second stops at once. SIGUSR1 reads FILE and its overlays again and changes rates, "
           "size, bytes and timeout of batches, and concurrency up to max_concurrency while it "
           "runs; nothing is lost.",
    .children = children,
};

/* Blocked everywhere, so that lanes and workers never see them: the loop below
 * takes them one by one. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR1);
    sigprocmask(SIG_BLOCK, set, NULL);
}

/* Whatever is wrong with it, the run goes on. */
static void reload(struct run *run, struct belt_pipeline *p)
{
    struct belt_error err;
    int code, changes = 0;
    struct belt_pipeline *told = belt_app_open(&run->settings, &code);
    belt_app_progress_clear(&run->progress);
    if (told && (changes = belt_pipeline_reload(p, told, RELOAD_NS, &err)) < 0)
        belt_app_error(&err);
    if (told && changes >= 0 && !run->quiet)
        fprintf(stderr, "%s: read again, %d setting%s changed\n", run->progress.name, changes,
                changes == 1 ? "" : "s");
    belt_pipeline_free(told);
}

static void take_signals(struct run *run, struct belt_pipeline *p, const sigset_t *set)
{
    static const struct timespec now = { 0, 0 };
    for (int signal; (signal = sigtimedwait(set, NULL, &now)) > 0;) {
        if (signal == SIGUSR1) {
            reload(run, p);
            continue;
        }
        if (run->signals == 0)
            run->signal = signal;
        belt_pipeline_stop(p, run->signals++ == 0 ? BELT_FOREVER : 0);
    }
}

/* Says once that somebody else moved lanes, and again when that changes. */
static void look_at_lanes(struct run *run, struct belt_pipeline *p, uint64_t now_ns)
{
    char moved[MOVED_ROOM];
    if (now_ns < run->looked_ns + MOVED_NS)
        return;
    run->looked_ns = now_ns;
    belt_pipeline_moved(p, moved, sizeof moved);
    if (strcmp(moved, run->moved) == 0)
        return;
    belt_app_progress_clear(&run->progress);
    fprintf(stderr, "%s: %s", run->progress.name, *moved ? moved : "lanes are as planned again\n");
    strcpy(run->moved, moved);
}

static int wait_for_end(struct run *run, struct belt_pipeline *p, const sigset_t *set,
                        struct belt_error *err)
{
    for (;;) {
        int rc = belt_pipeline_wait(p, TICK_NS, err);
        if (rc != -ETIMEDOUT)
            return rc;
        struct belt_totals totals = { .size = sizeof totals };
        belt_pipeline_totals(p, &totals);
        take_signals(run, p, set);
        belt_app_progress_draw(&run->progress, &totals);
        look_at_lanes(run, p, totals.elapsed_ns);
    }
}

static int exit_code(const struct run *run, const struct belt_totals *totals, int rc)
{
    bool left = !totals->complete || totals->unsettled;
    if (rc == -EPIPE)
        return BELT_APP_PIPE;
    if (run->signal && left)
        return BELT_APP_SIGNAL + run->signal;
    if (left)
        return BELT_APP_UNFINISHED;
    return rc < 0 || totals->failed ? BELT_APP_FAILED : BELT_APP_OK;
}

static int finish(struct run *run, struct belt_pipeline *p, int rc, const struct belt_error *err)
{
    struct belt_totals totals = { .size = sizeof totals };
    belt_pipeline_totals(p, &totals);
    belt_app_progress_clear(&run->progress);
    if (rc < 0 && rc != -EPIPE)
        belt_app_error(err);
    belt_app_failures(p, &totals);
    if (!run->quiet)
        belt_app_summary(p, run->progress.name, &totals, run->signal, rc);
    if (run->latency)
        belt_app_latency(p, run->progress.name);
    int code = exit_code(run, &totals, rc);
    int told = run->report ? belt_app_report(p, run->report) : BELT_APP_OK;
    return code ? code : told;
}

/* A start that failed so was told a file or a folder that cannot be used. Nothing
 * has been written yet: sinks open their files with the first batch. */
static bool is_place_wrong(int code)
{
    static const int codes[] = {
        ENOENT, EACCES, EPERM, EISDIR, ENOTDIR, ELOOP, EROFS, ENAMETOOLONG
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == -codes[i])
            return true;
    return false;
}

static int run_pipeline(struct run *run, struct belt_pipeline *p)
{
    struct belt_error err;
    sigset_t set;
    block_signals(&set);
    if (belt_pipeline_start(p, &err) < 0) {
        err.config |= is_place_wrong(err.code);
        return belt_app_error(&err);
    }
    run->progress.name = belt_pipeline_name(p);
    int rc = wait_for_end(run, p, &set, &err);
    return finish(run, p, rc, &err);
}

int belt_app_run(int argc, char **argv)
{
    struct run run = { .progress.on = isatty(STDERR_FILENO) };
    int code = belt_app_settings_new(&run.settings, argc);
    if (code)
        return code;
    belt_app_parse(&run_argp, argc, argv, &run);
    run.progress.on = run.progress.on && !run.quiet;
    struct belt_pipeline *p = belt_app_open(&run.settings, &code);
    if (p) {
        code = run_pipeline(&run, p);
        belt_pipeline_free(p);
    }
    belt_app_settings_free(&run.settings);
    return code;
}
