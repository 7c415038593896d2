/* Executions for people to read: steps, names, choices; and the list of sites. */
#include <stdio.h>
#include <string.h>

#include "tests/proofs/model_priv.h"

enum { NAMES = 64 };

static struct {
    char choices[MODEL_CHOICES];
    size_t length;
    unsigned step;
    const struct model_scenario *named; /* whose names these are */
    unsigned names_used;
    struct {
        const char *at, *text;
        size_t stride;
        unsigned count;
    } names[NAMES];
} tr;

/* ---- choices: a letter a thread, then how many newer messages it passed over ------ */

void trace_clear(void)
{
    tr.length = 0;
    tr.choices[0] = 0;
    tr.step = 0;
}

void trace_choice(unsigned thread, unsigned older)
{
    size_t left = sizeof tr.choices - tr.length;
    int n;
    if (older >= LOSE)
        n = snprintf(tr.choices + tr.length, left, "%c%c", 'a' + thread, older == DIE ? '!' : '?');
    else if (older)
        n = snprintf(tr.choices + tr.length, left, "%c%u", 'a' + thread, older);
    else
        n = snprintf(tr.choices + tr.length, left, "%c", 'a' + thread);
    if ((size_t)n < left)
        tr.length += (size_t)n;
}

int trace_next(const char **at, unsigned *older)
{
    const char *p = *at;
    if (*p < 'a' || *p >= 'a' + MODEL_THREADS)
        return -1;
    int thread = *p++ - 'a';
    *older = 0;
    if (*p == '!' || *p == '?')
        *older = *p++ == '!' ? DIE : LOSE;
    while (*p >= '0' && *p <= '9')
        *older = *older * 10 + (unsigned)(*p++ - '0');
    *at = p;
    return thread;
}

const char *trace_choices(void)
{
    return tr.choices;
}

/* ---- names ----------------------------------------------------------------------- */

void model_name(const void *at, size_t stride, unsigned count, const char *name)
{
    if (tr.named != model.scenario)
        tr.names_used = 0;
    tr.named = model.scenario;
    if (tr.names_used == NAMES)
        return;
    tr.names[tr.names_used].at = at;
    tr.names[tr.names_used].stride = stride;
    tr.names[tr.names_used].count = count;
    tr.names[tr.names_used++].text = name;
}

static const char *name_of(unsigned place, char *text, size_t size)
{
    if (place == NOWHERE)
        return "";
    if (place < FIRST_PLACE) {
        snprintf(text, size, "fate of %c", 'a' + place - FATE);
        return text;
    }
    const char *at = memory_at(place)->at;
    for (unsigned i = 0; i < tr.names_used; i++) {
        size_t behind = (size_t)(at - tr.names[i].at);
        if (at < tr.names[i].at || behind >= tr.names[i].stride * tr.names[i].count)
            continue;
        size_t number = behind / tr.names[i].stride, rest = behind % tr.names[i].stride;
        if (tr.names[i].count == 1)
            snprintf(text, size, rest ? "%s+%zu" : "%s", tr.names[i].text, rest);
        else
            snprintf(text, size, rest ? "%s[%zu]+%zu" : "%s[%zu]", tr.names[i].text, number, rest);
        return text;
    }
    snprintf(text, size, "place %u", place);
    return text;
}

/* ---- steps ----------------------------------------------------------------------- */

const char *model_short_path(const char *file)
{
    static const char *const folders[] = { "/rings/", "/core/", "/tests/" };
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const char *found = strstr(file, folders[i]);
        if (found)
            return found + 1;
    }
    return file;
}

static const char *order_text(unsigned order)
{
    static const char *const texts[] = { "relaxed", "acquire", "release", "acq_rel" };
    return order & MODEL_ORDERED ? "full" : texts[order & 3];
}

static unsigned newer_than(unsigned place, uint32_t when)
{
    const struct place *at = memory_at(place);
    unsigned newer = 0;
    for (unsigned i = 0; i < at->count; i++)
        newer += at->messages[i]->when > when;
    return newer;
}

/* After it has been made. */
void trace_step(unsigned t, unsigned option)
{
    const struct thread *thread = &model.threads[t];
    const struct step *step = &thread->next;
    char name[64], what[128] = "";
    printf("%4u  %*s%c  ", ++tr.step, (int)t * 2, "", 'a' + t);
    if (option >= LOSE) {
        printf(option == LOSE ? "dies; its last store was made before those that precede it\n"
                              : "dies\n");
        return;
    }
    const struct place *place = memory_at(step->place);
    bool writes = step->kind < MODEL_FENCE && place->count && thread->stored &&
                  place->messages[place->count - 1]->by == t && step->kind != MODEL_LOAD;
    if (step->kind == MODEL_STORE) {
        snprintf(what, sizeof what, "= %llu", (unsigned long long)step->value);
    } else if (step->kind < MODEL_FENCE || step->kind == MODEL_FUTEX_WAIT) {
        const struct message *read = place->messages[option];
        unsigned newer = newer_than(step->place, read->when);
        int n = snprintf(what, sizeof what, "-> %llu", (unsigned long long)read->value);
        if (writes && read->followed)
            n += snprintf(what + n, sizeof what - (size_t)n, ", = %llu",
                          (unsigned long long)place->messages[place->count - 1]->value);
        else if (newer)
            snprintf(what + n, sizeof what - (size_t)n, " (old: %u newer)", newer);
    }
    printf("%-10s %-22s %-28s %-8s %s:%u\n", step->site->name,
           name_of(step->place, name, sizeof name), what, order_text(step->order),
           model_short_path(step->site->file), step->site->line);
}

void model_note(const char *format, ...)
{
    if (!model.tracing)
        return;
    va_list list;
    printf("      ");
    if (model.self >= 0)
        printf("%*s%c  ", model.self * 2, "", 'a' + model.self);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\n");
}

/* ---- sites ----------------------------------------------------------------------- */

extern struct model_site __start_model_sites[], __stop_model_sites[];

static bool same_place(const struct model_site *a, const struct model_site *b)
{
    return a->line == b->line && a->kind == b->kind &&
           !strcmp(model_short_path(a->file), model_short_path(b->file)) &&
           !strcmp(a->name, b->name);
}

/* All there are; each knows the first of the same place. */
unsigned model_sites(const struct model_site **sites)
{
    static bool known;
    unsigned count = (unsigned)(__stop_model_sites - __start_model_sites);
    *sites = __start_model_sites;
    for (unsigned i = 0; i < count && !known; i++) {
        unsigned first = 0;
        while (!same_place(&__start_model_sites[first], &__start_model_sites[i]))
            first++;
        __start_model_sites[i].same = (uint16_t)first;
    }
    known = true;
    return count;
}
