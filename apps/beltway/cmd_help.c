/* help: the overview, a verb, or a part from its settings table. */
#include <inttypes.h>
#include <string.h>

#include "apps/beltway/app_priv.h"

static const char *const kinds[] = { NULL, "source", "step", "sink", "format" };

#define KINDS (int)(sizeof kinds / sizeof *kinds)
#define NAMES 300

static const char *type_name(const struct belt_setting *setting)
{
    static const char *const names[] = {
        [BELT_SET_TEXT] = "text",
        [BELT_SET_BOOL] = "true|false",
        [BELT_SET_INT] = "number",
        [BELT_SET_SIZE] = "size (64KiB)",
        [BELT_SET_TIME] = "time (10ms, 1s)",
        [BELT_SET_CHOICE] = NULL,
        [BELT_SET_LIST] = "list of texts",
        [BELT_SET_TREE] = "map or list",
    };
    return setting->type == BELT_SET_CHOICE ? setting->choices : names[setting->type];
}

static void print_setting(const struct belt_setting *setting)
{
    printf("  %-14s %s\n  %-14s %s", setting->name, setting->help, "", type_name(setting));
    bool number = setting->type == BELT_SET_INT || setting->type == BELT_SET_SIZE;
    if (number && (setting->min || setting->max))
        printf(", %" PRId64 " to %" PRId64, setting->min, setting->max);
    if (!setting->fallback)
        puts("; required");
    else if (*setting->fallback)
        printf("; default %s\n", setting->fallback);
    else
        puts("; not set by default");
}

static void print_part(const struct belt_part *part)
{
    printf("%s %s: %s\n", kinds[part->kind], part->name, part->help);
    for (const struct belt_setting *s = part->settings; s && s->name; s++)
        print_setting(s);
    if (part->scalar)
        printf("  In short: `%s: VALUE` sets %s.\n", part->name, part->scalar);
}

static void print_overview(struct belt_pipeline *p)
{
    puts("beltway runs pipelines: a source, steps, batchers, sinks.\n"
         "Usage: beltway VERB ...\n");
    for (const struct belt_app_verb *verb = belt_app_verbs; verb->name; verb++)
        printf("  %-10s %s\n", verb->name, verb->help);
    for (int kind = BELT_SOURCE; kind < KINDS; kind++) {
        printf("\n%c%ss:\n", kinds[kind][0] - 'a' + 'A', kinds[kind] + 1);
        const struct belt_part *part;
        for (size_t i = 0; (part = belt_part_at(p, i)); i++)
            if ((int)part->kind == kind)
                printf("  %-10s %s\n", part->name, part->help);
    }
    puts("\n'beltway help NAME' tells more of a verb or a part.");
}

/* A name may stand for a source and a sink: all of them are shown. */
static int print_parts(struct belt_pipeline *p, const char *name)
{
    const char *names[NAMES];
    size_t count = 0, shown = 0;
    const struct belt_part *part;
    for (size_t i = 0; (part = belt_part_at(p, i)); i++) {
        if (count < NAMES)
            names[count++] = part->name;
        if (strcmp(part->name, name) != 0)
            continue;
        if (shown++)
            putchar('\n');
        print_part(part);
    }
    for (const struct belt_app_verb *verb = belt_app_verbs; verb->name && count < NAMES; verb++)
        names[count++] = verb->name;
    return shown ? BELT_APP_OK : belt_app_unknown("verb or part", "", name, names, count);
}

static int with_parts(const char *name)
{
    struct belt_error err;
    struct belt_pipeline *p;
    int code = BELT_APP_OK;
    if (belt_pipeline_new(&p, &err) < 0)
        return belt_app_error(&err);
    if (name)
        code = print_parts(p, name);
    else
        print_overview(p);
    belt_pipeline_free(p);
    return code;
}

int belt_app_help(int argc, char **argv)
{
    const struct belt_app_verb *verb = argc > 1 ? belt_app_verb(argv[1]) : NULL;
    if (verb && verb->main != belt_app_help) {
        char title[64];
        snprintf(title, sizeof title, "beltway %s", verb->name);
        return verb->main(2, (char *[]){ title, "--help", NULL });
    }
    if (argc > 1 && strncmp(argv[1], "--", 2) != 0 && !verb)
        return with_parts(argv[1]);
    return with_parts(NULL);
}
