/* A service's log, as plain lines or as JSON objects. */
#include <string.h>
#include <time.h>

#include "apps/beltway/generate_priv.h"

#define START 1767225600 /* 2026-01-01T00:00:00Z */

struct record {
    char ts[25]; /* 2026-01-01T00:00:00.000Z */
    const char *level, *method, *path, *text;
    uint32_t status, ms, user;
};

struct log {
    uint64_t random, now_ms;
    time_t second; /* the one spelt in `ts` */
    struct record record;
};

static const char *const levels[] = { "debug", "info", "info", "info", "warn" };
static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "DELETE" };
static const char *const paths[] = { "/api/v1/orders", "/api/v1/users", "/api/v1/items/search",
                                     "/health", "/static/app.js" };
static const char *const fine[] = {
    "request served from the primary, all well",
    "request served from the cache at once",
    "session renewed, request passed to its shard",
};
static const char *const bad[] = {
    "upstream closed before it had answered",
    "no replica answered in time: gave up at 3",
    "the store refused the write: out of date",
};

#define PICK(list, random) list[belt_generate_below((random), sizeof list / sizeof *list)]

static char *put_text(char *at, const char *text)
{
    size_t size = strlen(text);
    memcpy(at, text, size);
    return at + size;
}

/* Without leading zeros when digits is 0, else with so many digits. */
static char *put_number(char *at, uint32_t value, int digits)
{
    char text[10];
    int used = 0;
    do {
        text[used++] = (char)('0' + value % 10);
        value /= 10;
    } while (value || used < digits);
    while (used)
        *at++ = text[--used];
    return at;
}

static void spell_time(struct log *log)
{
    time_t second = START + (time_t)(log->now_ms / 1000);
    if (second != log->second) {
        struct tm tm;
        gmtime_r(&second, &tm);
        strftime(log->record.ts, sizeof log->record.ts, "%Y-%m-%dT%H:%M:%S.", &tm);
        log->second = second;
    }
    put_text(put_number(log->record.ts + 20, (uint32_t)(log->now_ms % 1000), 3), "Z");
}

static void next(struct log *log)
{
    struct record *r = &log->record;
    uint64_t *random = &log->random;
    log->now_ms += belt_generate_below(random, 10);
    spell_time(log);
    bool error = belt_generate_below(random, 10) == 0;
    r->level = error ? "error" : PICK(levels, random);
    r->method = PICK(methods, random);
    r->path = PICK(paths, random);
    r->text = error ? PICK(bad, random) : PICK(fine, random);
    r->status = error ? 500 + (uint32_t)belt_generate_below(random, 4) : 200;
    r->ms = (uint32_t)belt_generate_below(random, error ? 5000 : 300);
    r->user = (uint32_t)belt_generate_below(random, 1000000);
}

/* Both forms are the same fields in the same order between other words. */
static const char *const line_words[] = { "",        " level=",  " service=api-gateway method=",
                                          " path=",  " status=", " duration_ms=",
                                          " user=u", " msg=\"",  "\"\n" };
static const char *const json_words[] = { "{\"ts\":\"",     "\",\"level\":\"", "\",\"method\":\"",
                                          "\",\"path\":\"", "\",\"status\":",  ",\"ms\":",
                                          ",\"user\":\"u",  "\",\"msg\":\"",   "\"}\n" };

static char *put_record(char *at, const struct record *r, const char *const *words)
{
    at = put_text(put_text(at, words[0]), r->ts);
    at = put_text(put_text(at, words[1]), r->level);
    at = put_text(put_text(at, words[2]), r->method);
    at = put_text(put_text(at, words[3]), r->path);
    at = put_number(put_text(at, words[4]), r->status, 0);
    at = put_number(put_text(at, words[5]), r->ms, 0);
    at = put_number(put_text(at, words[6]), r->user, 6);
    at = put_text(put_text(at, words[7]), r->text);
    return put_text(at, words[8]);
}

static int generate(const struct belt_generate *what, struct belt_generate_out *out,
                    const char *const *words)
{
    struct log log = { .random = what->seed, .second = -1 };
    for (uint64_t i = 0; belt_generate_goes_on(what, out, i); i++) {
        next(&log);
        char *at = belt_generate_row(out);
        belt_generate_end(out, put_record(at, &log.record, words));
    }
    return 0;
}

int belt_generate_lines(const struct belt_generate *what, struct belt_generate_out *out)
{
    return generate(what, out, line_words);
}

int belt_generate_ndjson(const struct belt_generate *what, struct belt_generate_out *out)
{
    return generate(what, out, json_words);
}
