/* help: the overview, a verb, or a part or a block of a pipeline from its settings tables. */
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
    bool open = setting->max < setting->min || setting->max == INT64_MAX;
    if (number && open)
        printf(", at least %" PRId64, setting->min);
    else if (number && (setting->min || setting->max))
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

static bool is_without(const struct belt_section *section, const char *name)
{
    for (const char *const *other = section->without; other && *other; other++)
        if (strcmp(*other, name) == 0)
            return true;
    return false;
}

static void print_section(const struct belt_section *section)
{
    printf("settings of %s: %s\n", section->name, section->help);
    for (int t = 0; t < 2; t++)
        for (const struct belt_setting *s = section->tables[t]; s && s->name; s++)
            if (!is_without(section, s->name))
                print_setting(s);
    if (section->scalar)
        printf("  In short: `%s: VALUE` sets %s.\n", section->name, section->scalar);
}

static bool is_called(const struct belt_section *section, const char *name)
{
    return strcmp(section->name, name) == 0 || (section->also && strcmp(section->also, name) == 0);
}

static void print_overview(struct belt_pipeline *p)
{
    puts("beltway runs pipelines: a source, steps, batchers, sinks.\n"
         "Usage: beltway VERB ...\n");
    for (const struct belt_app_verb *verb = belt_app_verbs; verb->name; verb++)
        printf("  %-10s %s\n", verb->name, verb->help);
    puts("\nBlocks of a pipeline:");
    for (size_t i = 0; belt_section_at(i); i++)
        printf("  %-10s %s\n", belt_section_at(i)->name, belt_section_at(i)->help);
    for (int kind = BELT_SOURCE; kind < KINDS; kind++) {
        printf("\n%c%ss:\n", kinds[kind][0] - 'a' + 'A', kinds[kind] + 1);
        const struct belt_part *part;
        for (size_t i = 0; (part = belt_part_at(p, i)); i++)
            if ((int)part->kind == kind)
                printf("  %-10s %s\n", part->name, part->help);
    }
    puts("\n'beltway help NAME' tells more of a verb, a block or a part.");
}

/* A name may stand for a source and a sink: all of them are shown. */
static int print_named(struct belt_pipeline *p, const char *name)
{
    const char *names[NAMES];
    size_t count = 0, shown = 0;
    for (size_t i = 0; belt_section_at(i); i++) {
        const struct belt_section *section = belt_section_at(i);
        names[count++] = section->also ? section->also : section->name;
        if (is_called(section, name) && ++shown)
            print_section(section);
    }
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
    return shown ? BELT_APP_OK : belt_app_unknown("verb, block or part", "", name, names, count);
}

static int with_parts(const char *name)
{
    struct belt_error err;
    struct belt_pipeline *p;
    int code = BELT_APP_OK;
    if (belt_pipeline_new(&p, &err) < 0)
        return belt_app_error(&err);
    if (name)
        code = print_named(p, name);
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
