/* What the verbs of the command share. Data goes to stdout, all else to stderr. */
#ifndef BELT_APP_PRIV_H
#define BELT_APP_PRIV_H

#include <argp.h>

#include "core/pipeline.h"

enum belt_app_exit {
    BELT_APP_OK = 0,     /* everything settled, nothing failed */
    BELT_APP_FAILED = 1, /* finished, something failed */
    BELT_APP_USAGE = 2,
    BELT_APP_UNFINISHED = 3, /* stopped early, work is left */
    BELT_APP_CONFIG = 78,    /* before anything was opened for writing */
    BELT_APP_SIGNAL = 128,   /* plus the number of the signal that ended the run */
    BELT_APP_PIPE = 141      /* the reader of stdout went away */
};

/* ---- verbs (main.c) ------------------------------------------------------------ */

struct belt_app_verb {
    const char *name, *help;
    /* argv[0] is "beltway NAME". The exit code. */
    int (*main)(int argc, char **argv);
};
#define VERB(name, help) int belt_app_##name(int argc, char **argv);
#include "apps/beltway/verbs.def"
#undef VERB
extern const struct belt_app_verb belt_app_verbs[]; /* ended by a name of NULL */
const struct belt_app_verb *belt_app_verb(const char *name);
/* Says "no WHAT 'MARKword'", with the nearest of `names` when one is near. BELT_APP_USAGE. */
int belt_app_unknown(const char *what, const char *mark, const char *word, const char *const *names,
                     size_t count);
/* Prints the error; the exit code that it means. */
int belt_app_error(const struct belt_error *err);

/* ---- options (options.c) ------------------------------------------------------- */

struct belt_app_assign {
    const char *path, *value;
};

/* What run, validate and plan take: a pipeline's files and settings. */
struct belt_app_settings {
    const char *file;
    const char **with;
    struct belt_app_assign *sets;
    size_t with_used, sets_used;
    char *pins, *waits; /* entries of YAML maps, or NULL */
    char *fuse;         /* NULL: as the files say, like */
    const char *wait;
};
extern const struct argp belt_app_settings_argp; /* a child; its input is the struct above */

/* argp_parse() with a suggestion for a misspelt option; ends the program on a
 * usage error. */
void belt_app_parse(const struct argp *argp, int argc, char **argv, void *input);
int belt_app_settings_new(struct belt_app_settings *settings, int argc);
void belt_app_settings_free(struct belt_app_settings *settings);
/* A new pipeline with its files read and its settings made. NULL: printed, *code set. */
struct belt_pipeline *belt_app_open(const struct belt_app_settings *settings, int *code);
/* A count such as 413, 20k, 100M, 1G. False: it is none. */
bool belt_app_number(const char *text, uint64_t *out);

/* ---- words for people (progress.c) ----------------------------------------------- */

#define BELT_APP_ROOM 40
/* 1,234,567 */
const char *belt_app_count(uint64_t value, char out[BELT_APP_ROOM]);
/* 1.23 GB, 1.23 M rows: with the prefix that fits */
const char *belt_app_scaled(double value, const char *unit, char out[BELT_APP_ROOM]);

/* One line on stderr, redrawn in place. */
struct belt_app_progress {
    const char *name;
    bool on;
    uint64_t drawn_ns, rows; /* when and with how many rows it was drawn last */
    double rate;             /* rows per second, smoothed */
};
void belt_app_progress_draw(struct belt_app_progress *progress, const struct belt_totals *totals);
void belt_app_progress_clear(struct belt_app_progress *progress);

/* ---- how a run went (summary.c) -------------------------------------------------- */

/* The first failures, one a line. */
void belt_app_failures(struct belt_pipeline *p, const struct belt_totals *totals);
/* `signal`: what ended the run, or 0; `rc`: what belt_pipeline_wait() said. */
void belt_app_summary(struct belt_pipeline *p, const char *name, const struct belt_totals *totals,
                      int signal, int rc);
/* One line: the time from read to settled. */
void belt_app_latency(struct belt_pipeline *p, const char *name);
/* Writes the JSON report. The exit code. */
int belt_app_report(struct belt_pipeline *p, const char *path);

#endif
