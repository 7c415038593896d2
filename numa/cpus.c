/* Sets of CPUs and their text. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/topology.h"

#define WORDS (BELT_CPUS / 64)

int belt_cpus_next(const struct belt_cpus *cpus, int cpu)
{
    while (cpu < BELT_CPUS) {
        uint64_t rest = cpus->words[cpu / 64] >> (cpu % 64);
        if (rest)
            return cpu + __builtin_ctzll(rest);
        cpu = (cpu / 64 + 1) * 64;
    }
    return -1;
}

uint32_t belt_cpus_count(const struct belt_cpus *cpus)
{
    uint32_t count = 0;
    for (int w = 0; w < WORDS; w++)
        count += (uint32_t)__builtin_popcountll(cpus->words[w]);
    return count;
}

struct belt_cpus belt_cpus_and(const struct belt_cpus *a, const struct belt_cpus *b)
{
    struct belt_cpus both;
    for (int w = 0; w < WORDS; w++)
        both.words[w] = a->words[w] & b->words[w];
    return both;
}

struct belt_cpus belt_cpus_minus(const struct belt_cpus *a, const struct belt_cpus *b)
{
    struct belt_cpus rest;
    for (int w = 0; w < WORDS; w++)
        rest.words[w] = a->words[w] & ~b->words[w];
    return rest;
}

/* ---- parsing ---------------------------------------------------------------- */

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\n");
}

/* A number below `limit`; moves *text behind it. -1: there is none. */
static long read_number(const char **text, long limit)
{
    char *end;
    if (**text < '0' || **text > '9')
        return -1;
    errno = 0;
    long number = strtol(*text, &end, 10);
    *text = end;
    return errno || number >= limit ? -1 : number;
}

/* "3", "0-3" or "0-7:2". False: it is none of these. */
static bool read_range(struct belt_cpus *cpus, const char **text)
{
    long first = read_number(text, BELT_CPUS), last = first, step = 1;
    if (first >= 0 && **text == '-') {
        ++*text;
        last = read_number(text, BELT_CPUS);
        if (last >= 0 && **text == ':') {
            ++*text;
            step = read_number(text, BELT_CPUS + 1);
        }
    }
    if (first < 0 || last < first || step < 1)
        return false;
    for (long cpu = first; cpu <= last; cpu += step)
        belt_cpus_add(cpus, (int)cpu);
    return true;
}

static bool read_list(struct belt_cpus *cpus, const char *text)
{
    *cpus = (struct belt_cpus){ { 0 } };
    for (;;) {
        text = skip_blanks(text);
        if (!read_range(cpus, &text))
            return false;
        text = skip_blanks(text);
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
}

int belt_cpus_parse(struct belt_cpus *out, const char *text, const struct belt_cpus *all, char *why,
                    size_t room)
{
    struct belt_cpus listed;
    const char *words = skip_blanks(text);
    bool not = strncmp(words, "not:", 4) == 0;
    if (strcmp(words, "all") == 0) {
        *out = *all;
        return 0;
    }
    if (!read_list(&listed, not ? words + 4 : words)) {
        snprintf(why, room,
                 "'%s' is no list of CPUs below %d: write 0-3,6 or 0-6:2 or all or "
                 "not:3",
                 text, BELT_CPUS);
        return -EINVAL;
    }
    if (not )
        listed = belt_cpus_minus(all, &listed);
    if (belt_cpus_next(&listed, 0) < 0) {
        char list[128];
        belt_cpus_print(all, list, sizeof list);
        snprintf(why, room, "'%s' leaves no CPU of %s", text, list);
        return -EINVAL;
    }
    *out = listed;
    return 0;
}

/* ---- printing --------------------------------------------------------------- */

struct out {
    char *text;
    size_t room, length;
};

static void put(struct out *out, const char *format, ...)
{
    size_t left = out->length < out->room ? out->room - out->length : 0;
    va_list args;
    va_start(args, format);
    int more = vsnprintf(left ? out->text + out->length : NULL, left, format, args);
    va_end(args);
    out->length += more > 0 ? (size_t)more : 0;
}

int belt_cpus_print(const struct belt_cpus *cpus, char *text, size_t room)
{
    struct out out = { text, room, 0 };
    if (room)
        *text = 0;
    for (int first = belt_cpus_next(cpus, 0), last; first >= 0;
         first = belt_cpus_next(cpus, last + 1)) {
        for (last = first; belt_cpus_has(cpus, last + 1); last++)
            ;
        put(&out, "%s%d", out.length ? "," : "", first);
        if (last > first)
            put(&out, "%c%d", last > first + 1 ? '-' : ',', last);
    }
    return (int)out.length;
}
