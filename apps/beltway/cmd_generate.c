/* generate: data for tests and benches. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/beltway/app_priv.h"
#include "apps/beltway/generate_priv.h"

#define NAMES_MOST 10000000u

static const struct kind {
    const char *name;
    int (*run)(const struct belt_generate *what, struct belt_generate_out *out);
} kinds[] = {
    { "sensors", belt_generate_sensors },
    { "lines", belt_generate_lines },
    { "ndjson", belt_generate_ndjson },
};

#define KINDS (sizeof kinds / sizeof *kinds)

struct generate {
    struct belt_generate what;
    const struct kind *kind;
    bool rows_given;
};

enum { KEY_ROWS = 3000, KEY_NAMES, KEY_SEED, KEY_BYTES };

static const struct argp_option options[] = {
    { "rows", KEY_ROWS, "N", 0, "rows to write, such as 100M (default 1M)", 0 },
    { "bytes", KEY_BYTES, "N", 0, "or rows until there are so many bytes, such as 2G", 0 },
    { "names", KEY_NAMES, "K", 0, "sensors: how many names (default 413)", 0 },
    { "seed", KEY_SEED, "S", 0, "the same seed gives the same bytes anywhere (default 1)", 0 },
    { "out", 'o', "FILE", 0, "write here instead of stdout", 0 },
    { 0 },
};

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most,
                       struct argp_state *state)
{
    uint64_t value = 0;
    if (!belt_app_number(text, &value) || value < least || value > most)
        argp_error(state, "--%s takes a number from %lu to %lu, such as 413, 20k or 100M", option,
                   (unsigned long)least, (unsigned long)most);
    return value;
}

static const struct kind *find_kind(const char *word)
{
    const char *names[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
        if (strcmp(word, names[i]) == 0)
            return &kinds[i];
    }
    exit(belt_app_unknown("kind of data", "", word, names, KINDS));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct generate *g = state->input;
    switch (key) {
    case KEY_ROWS:
        g->what.rows = number("rows", arg, 0, INT64_MAX, state);
        g->rows_given = true;
        return 0;
    case KEY_BYTES:
        g->what.bytes = number("bytes", arg, 0, INT64_MAX, state);
        g->what.rows = g->rows_given ? g->what.rows : UINT64_MAX;
        return 0;
    case KEY_NAMES: g->what.names = number("names", arg, 1, NAMES_MOST, state); return 0;
    case KEY_SEED: g->what.seed = number("seed", arg, 0, UINT64_MAX, state); return 0;
    case 'o': g->what.out = arg; return 0;
    case ARGP_KEY_ARG:
        if (g->kind)
            return ARGP_ERR_UNKNOWN;
        g->kind = find_kind(arg);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "which data? sensors, lines or ndjson"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp generate_argp = {
    .options = options,
    .parser = parse,
    .args_doc = "KIND",
    .doc = "Writes test data that depends on the seed alone.\v"
           "sensors: NAME;VALUE, names of 1 to 100 bytes of UTF-8, values with one decimal. "
           "lines: a log of about 177 bytes a line. ndjson: the same log as JSON objects. "
           "One line in ten has the level error.",
};

void belt_generate_flush(struct belt_generate_out *out)
{
    size_t done = 0;
    while (done < out->used && !out->error) {
        ssize_t n = write(out->fd, out->buffer + done, out->used - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            out->error = errno;
    }
    out->written += done;
    out->used = 0;
}

static void tell(const struct generate *g, const struct belt_generate_out *out, double seconds)
{
    char rows[BELT_APP_ROOM], bytes[BELT_APP_ROOM], rate[BELT_APP_ROOM];
    fprintf(stderr, "%s: %s rows, %s in %.2f s: %s/s\n", g->what.out,
            belt_app_count(out->rows, rows), belt_app_scaled((double)out->written, "B", bytes),
            seconds, belt_app_scaled((double)out->written / seconds, "B", rate));
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int write_all(const struct generate *g, struct belt_generate_out *out)
{
    double start = now();
    const char *where = g->what.out ? g->what.out : "stdout";
    int rc = g->kind->run(&g->what, out);
    belt_generate_flush(out);
    if (g->what.out && close(out->fd) != 0 && !out->error)
        out->error = errno;
    if (rc == 0)
        rc = -out->error;
    if (rc == -EPIPE)
        return BELT_APP_PIPE;
    if (rc == 0 && g->what.out)
        tell(g, out, now() - start);
    if (rc)
        fprintf(stderr, "%s: %s\n", where, strerror(-rc));
    return rc ? BELT_APP_FAILED : BELT_APP_OK;
}

int belt_app_generate(int argc, char **argv)
{
    struct generate g = { .what = {
                              .rows = 1000000, .names = 413, .seed = 1, .bytes = UINT64_MAX } };
    struct belt_generate_out out = { .fd = STDOUT_FILENO };
    belt_app_parse(&generate_argp, argc, argv, &g);
    if (g.what.out)
        out.fd = open(g.what.out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out.fd < 0) {
        fprintf(stderr, "%s: %s\n", g.what.out, strerror(errno));
        return BELT_APP_FAILED;
    }
    out.buffer = malloc(BELT_GENERATE_BUFFER);
    if (!out.buffer) {
        fputs("beltway: out of memory\n", stderr);
        return BELT_APP_FAILED;
    }
    int code = write_all(&g, &out);
    free(out.buffer);
    return code;
}
