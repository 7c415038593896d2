/* bench: measures this machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/beltway/app_priv.h"
#include "apps/beltway/cores_priv.h"

#define SAMPLES 9
#define FILES "belt-bench-files"

struct bench {
    const char *what, *cpus, *json, *picture;
    uint64_t samples;
};

enum { KEY_CPUS = 4000, KEY_JSON, KEY_PICTURE, KEY_SAMPLES };

static const struct argp_option options[] = {
    { "cpus", KEY_CPUS, "LIST", 0, "only these: 0-3,6, or not:3 (default: all allowed)", 0 },
    { "samples", KEY_SAMPLES, "N", 0, "of each pair and kind; their median counts (default 9)", 0 },
    { "json", KEY_JSON, "FILE", 0, "the figures, for 'beltway plan --measured FILE'", 0 },
    { "picture", KEY_PICTURE, "FILE", 0, "heat maps, as SVG", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct bench *b = state->input;
    switch (key) {
    case KEY_CPUS: b->cpus = arg; return 0;
    case KEY_JSON: b->json = arg; return 0;
    case KEY_PICTURE: b->picture = arg; return 0;
    case KEY_SAMPLES:
        if (!belt_app_number(arg, &b->samples) || !b->samples || b->samples > BELT_CORES_SAMPLES)
            argp_error(state, "--samples takes a number from 1 to %d", BELT_CORES_SAMPLES);
        return 0;
    case ARGP_KEY_ARG:
        if (b->what)
            return ARGP_ERR_UNKNOWN;
        b->what = arg;
        if (strcmp(arg, "cores") != 0)
            exit(belt_app_unknown("bench", "", arg, (const char *const[]){ "cores", "files" }, 2));
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "which bench? cores or files"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp bench_argp = {
    .options = options,
    .parser = parse,
    .args_doc = "cores\nfiles [OPTION...]",
    .doc = "Measures this machine.\v"
           "cores: latency and bandwidth of a ring from each CPU to each other one, and how long "
           "a sleeping reader takes to wake. About a quarter of a second for each pair: keep the "
           "machine quiet meanwhile.\n"
           "files: jobs on big files beside the limits of this machine and other programs; "
           "'beltway bench files --help' has its options.",
};

static void told(void *ctx, uint32_t done, uint32_t pairs)
{
    (void)ctx;
    fprintf(stderr, "\r\033[Kbench cores: pair %u of %u, %u %%", done + 1, pairs,
            100 * done / pairs);
    fflush(stderr);
}

static int write_to(const char *path, void (*print)(const struct belt_cores *, FILE *),
                    const struct belt_cores *cores)
{
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!path)
        return BELT_APP_OK;
    bool ok = out != NULL;
    if (out) {
        print(cores, out);
        ok = !ferror(out);
        ok &= fclose(out) == 0;
    }
    if (!ok)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return ok ? BELT_APP_OK : BELT_APP_FAILED;
}

/* A program of its own beside this one: it brings loops and steps that no pipeline wants. */
static int bench_files(char **argv)
{
    char path[4096 + sizeof FILES];
    ssize_t size = readlink("/proc/self/exe", path, 4096);
    char *name = size > 0 ? memrchr(path, '/', (size_t)size) : NULL;
    strcpy(name ? name + 1 : path, FILES);
    execv(path, argv);
    fprintf(stderr, "bench files: %s: %s; it is built with -DBELT_BENCH=ON\n", path,
            strerror(errno));
    return BELT_APP_FAILED;
}

int belt_app_bench(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "files") == 0)
        return bench_files(argv + 1);
    struct bench b = { .samples = SAMPLES };
    struct belt_error err;
    struct belt_cores cores;
    bool tells = isatty(STDERR_FILENO);
    int code;
    belt_app_parse(&bench_argp, argc, argv, &b);
    int rc =
        belt_cores_measure(&cores, b.cpus, (uint32_t)b.samples, tells ? told : NULL, NULL, &err);
    if (tells)
        fputs("\r\033[K", stderr);
    if (rc < 0) {
        fprintf(stderr, "bench cores: %s\n", err.text);
        code = rc == -EINVAL ? BELT_APP_USAGE : BELT_APP_FAILED;
    } else {
        belt_cores_table(&cores, stdout);
        code = write_to(b.json, belt_cores_json, &cores);
        if (code == BELT_APP_OK)
            code = write_to(b.picture, belt_cores_svg, &cores);
    }
    belt_cores_free(&cores);
    return code;
}
