/* Options that several verbs share, and how they become settings. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "apps/beltway/app_priv.h"

enum { KEY_WITH = 1000, KEY_PIN, KEY_FUSE, KEY_WAIT, KEY_FLAG };

/* In the order of flag_paths. */
static const struct argp_option settings_options[] = {
    { NULL, 0, NULL, 0, "The pipeline:", 1 },
    { "with", KEY_WITH, "FILE", 0, "lay this file over the pipeline: maps merge, else replace", 1 },
    { "set", 's', "PATH=VALUE", 0, "one setting, such as source.file.paths=data.txt", 1 },
    { "fail-limit", KEY_FLAG + 0, "N", 0, "stop early when more than N messages failed", 1 },
    { "drain", KEY_FLAG + 1, "TIME", 0, "most time to finish what is inside after a signal", 1 },
    { NULL, 0, NULL, 0, "Where it runs:", 2 },
    { "cpus", KEY_FLAG + 2, "LIST", 0, "CPUs to use: 0-3,8-11:2, core:2-3, numa:0.core:1, not:3",
      2 },
    { "pin", KEY_PIN, "STAGE.I=LIST", 0, "put instance I of a stage on one of these CPUs", 2 },
    { "memory-node", KEY_FLAG + 3, "N", 0, "take all memory from this node", 2 },
    { "smt", KEY_FLAG + 4, "HOW", 0, "second threads of cores: auto (when short), on, off", 2 },
    { "lanes", KEY_FLAG + 5, "N", 0, "threads to use", 2 },
    { "fuse", KEY_FUSE, "HOW", 0, "what shares a lane: auto (chains), none, or STAGE+STAGE", 2 },
    { "wait", KEY_WAIT, "HOW", 0,
      "of an idle lane: spin, yield, backoff or block; STAGE.I=HOW for that of an instance", 2 },
    { "huge-pages", KEY_FLAG + 6, "HOW", 0, "auto, reserved (of vm.nr_hugepages) or off", 2 },
    { "topology", KEY_FLAG + 7, "MACHINE", 0,
      "plan for another machine: FILE.xml of lstopo, or synthetic:WORDS", 2 },
    { "measured", KEY_FLAG + 8, "FILE", 0, "plan by latencies of 'beltway bench cores --json FILE'",
      2 },
    { "isolation", KEY_FLAG + 9, "HOW", 0, "of the steps: thread or process", 2 },
    { "backend", KEY_FLAG + 10, "HOW", 0, "of files: auto, io_uring or posix", 2 },
    { 0 },
};

static const char *const flag_paths[] = {
    "fail_limit",           "drain",
    "placement.cpus",       "placement.memory_node",
    "placement.smt",        "placement.lanes",
    "placement.huge_pages", "placement.topology",
    "placement.measured",   "processor.isolation",
    "placement.backend",
};

#define FLAGS (int)(sizeof flag_paths / sizeof *flag_paths)

static void add_set(struct belt_app_settings *settings, const char *path, const char *value)
{
    settings->sets[settings->sets_used++] = (struct belt_app_assign){ path, value };
}

static void parse_set(struct belt_app_settings *settings, char *arg, struct argp_state *state)
{
    char *equals = strchr(arg, '=');
    if (!equals || equals == arg)
        argp_error(state, "-s takes PATH=VALUE, such as -s source.file.paths=data.txt");
    *equals = 0;
    add_set(settings, arg, equals + 1);
}

/* To the end of *text, which is NULL at first. */
static void append(char **text, struct argp_state *state, const char *format, ...)
{
    char *more = NULL, *both = NULL;
    va_list args;
    va_start(args, format);
    int rc = vasprintf(&more, format, args);
    va_end(args);
    if (rc < 0 || asprintf(&both, "%s%s", *text ? *text : "", more) < 0)
        argp_failure(state, BELT_APP_FAILED, ENOMEM, "options");
    free(more);
    free(*text);
    *text = both;
}

/* "STAGE.I=VALUE", I a number or "all", and nothing that would end a quoted text. */
static bool is_assignment(const char *arg)
{
    const char *equals = strchr(arg, '=');
    if (!equals || !equals[1] || strpbrk(arg, "\"\\\n"))
        return false;
    const char *dot = memrchr(arg, '.', (size_t)(equals - arg));
    if (!dot || dot == arg || equals - dot < 2)
        return false;
    return strspn(dot + 1, "0123456789") == (size_t)(equals - dot - 1) ||
           strncmp(dot, ".all=", 5) == 0;
}

static void add_assignment(char **text, const char *arg, struct argp_state *state)
{
    int key = (int)(strchr(arg, '=') - arg);
    append(text, state, "    \"%.*s\": \"%s\"\n", key, arg, arg + key + 1);
}

static void parse_pin(struct belt_app_settings *settings, const char *arg, struct argp_state *state)
{
    if (!is_assignment(arg))
        argp_error(state, "--pin takes STAGE.I=CPU, such as --pin parse.1=3 or parse.all=core:0-3");
    add_assignment(&settings->pins, arg, state);
}

static void parse_wait(struct belt_app_settings *settings, const char *arg,
                       struct argp_state *state)
{
    if (!strchr(arg, '=')) {
        settings->wait = arg;
        return;
    }
    if (!is_assignment(arg))
        argp_error(state, "--wait takes HOW or STAGE.I=HOW, such as --wait parse.1=spin");
    add_assignment(&settings->waits, arg, state);
}

/* Several groups are one setting. */
static void parse_fuse(struct belt_app_settings *settings, const char *arg,
                       struct argp_state *state)
{
    append(&settings->fuse, state, "%s%s", settings->fuse ? "," : "", arg);
}

static error_t parse_settings(int key, char *arg, struct argp_state *state)
{
    struct belt_app_settings *settings = state->input;
    if (key >= KEY_FLAG && key < KEY_FLAG + FLAGS) {
        add_set(settings, flag_paths[key - KEY_FLAG], arg);
        return 0;
    }
    switch (key) {
    case KEY_WITH: settings->with[settings->with_used++] = arg; return 0;
    case KEY_PIN: parse_pin(settings, arg, state); return 0;
    case KEY_FUSE: parse_fuse(settings, arg, state); return 0;
    case KEY_WAIT: parse_wait(settings, arg, state); return 0;
    case 's': parse_set(settings, arg, state); return 0;
    case ARGP_KEY_ARG:
        if (settings->file)
            argp_error(state, "one pipeline at a time: '%s' is too many (--with overlays)", arg);
        settings->file = arg;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "which pipeline? Give its FILE"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp belt_app_settings_argp = { .options = settings_options,
                                             .parser = parse_settings };

#define WORDS 64

static size_t long_names(const struct argp *argp, const char **names, size_t used)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->doc); o++)
        if (o->name && used < WORDS)
            names[used++] = o->name;
    for (const struct argp_child *child = argp->children; child && child->argp; child++)
        used = long_names(child->argp, names, used);
    return used;
}

static bool known_option(const char *word, size_t size, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], word, size) == 0) /* getopt takes a beginning, too */
            return true;
    return false;
}

void belt_app_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    const char *names[WORDS + 2];
    size_t count = long_names(argp, names, 0);
    names[count++] = "help";
    names[count++] = "usage";
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(argv[i] + 2, "="), argv[i] + 2);
        if (!known_option(word, strlen(word), names, count))
            exit(belt_app_unknown("option", "--", word, names, count));
    }
    error_t rc = argp_parse(argp, argc, argv, 0, NULL, input);
    if (rc) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(rc));
        exit(BELT_APP_FAILED);
    }
}

int belt_app_settings_new(struct belt_app_settings *settings, int argc)
{
    /* No more of each than there are words on the command line. */
    size_t most = (size_t)argc;
    *settings = (struct belt_app_settings){
        .with = calloc(most, sizeof *settings->with),
        .sets = calloc(most, sizeof *settings->sets),
    };
    if (settings->with && settings->sets)
        return BELT_APP_OK;
    belt_app_settings_free(settings);
    fputs("beltway: out of memory\n", stderr);
    return BELT_APP_FAILED;
}

void belt_app_settings_free(struct belt_app_settings *settings)
{
    free(settings->with);
    free(settings->sets);
    free(settings->pins);
    free(settings->waits);
    free(settings->fuse);
}

/* A map of the command line, laid over that of the files: their other keys stay. */
static int overlay(struct belt_pipeline *p, const char *setting, const char *all,
                   const char *entries, struct belt_error *err)
{
    char *text = NULL, name[32];
    if (asprintf(&text, "placement:\n  %s:\n%s%s%s%s", setting, all ? "    all: " : "",
                 all ? all : "", all ? "\n" : "", entries) < 0)
        return belt_error_set(err, -ENOMEM, "options: out of memory");
    snprintf(name, sizeof name, "--%s", setting);
    int rc = belt_pipeline_load_text(p, text, name, err);
    free(text);
    return rc;
}

static int read_placement(struct belt_pipeline *p, const struct belt_app_settings *settings,
                          struct belt_error *err)
{
    int rc = 0;
    if (settings->fuse)
        rc = belt_pipeline_set(p, "placement.fuse", settings->fuse, err);
    if (rc >= 0 && settings->wait && !settings->waits)
        rc = belt_pipeline_set(p, "placement.wait", settings->wait, err);
    if (rc >= 0 && settings->waits)
        rc = overlay(p, "wait", settings->wait, settings->waits, err);
    if (rc >= 0 && settings->pins)
        rc = overlay(p, "pin", NULL, settings->pins, err);
    return rc;
}

static int read_all(struct belt_pipeline *p, const struct belt_app_settings *settings,
                    struct belt_error *err)
{
    int rc = belt_pipeline_load(p, settings->file, err);
    for (size_t i = 0; rc >= 0 && i < settings->with_used; i++)
        rc = belt_pipeline_load(p, settings->with[i], err);
    for (size_t i = 0; rc >= 0 && i < settings->sets_used; i++)
        rc = belt_pipeline_set(p, settings->sets[i].path, settings->sets[i].value, err);
    return rc < 0 ? rc : read_placement(p, settings, err);
}

struct belt_pipeline *belt_app_open(const struct belt_app_settings *settings, int *code)
{
    struct belt_error err;
    struct belt_pipeline *p;
    if (belt_pipeline_new(&p, &err) < 0) {
        *code = belt_app_error(&err);
        return NULL;
    }
    if (read_all(p, settings, &err) >= 0)
        return p;
    *code = belt_app_error(&err);
    belt_pipeline_free(p);
    return NULL;
}

bool belt_app_number(const char *text, uint64_t *out)
{
    static const char prefixes[] = "kMG";
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || (*end && end[1]))
        return false;
    const char *prefix = *end ? strchr(prefixes, *end) : NULL;
    if (*end && !prefix)
        return false;
    for (const char *at = prefixes; prefix && at <= prefix; at++)
        if (__builtin_mul_overflow(value, 1000, &value))
            return false;
    *out = value;
    return true;
}
