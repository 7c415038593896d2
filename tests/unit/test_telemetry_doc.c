/* docs/telemetry.md says what core/telemetry.def says. A table that differs is
 * printed as it should be. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/telemetry.h"

static char *document(void)
{
    const char *root = getenv("SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/telemetry.md", root ? root : ".");
    FILE *in = fopen(path, "r");
    cr_assert_neq(in, NULL, "%s", path);
    static char text[1 << 16];
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    return text;
}

static void put_events(FILE *out)
{
    fputs("| event | when | measurements | text |\n| --- | --- | --- | --- |\n", out);
    for (int kind = 0; kind < BELT_EVENTS; kind++) {
        const enum belt_event_field *fields = belt_event_fields(kind);
        fprintf(out, "| `%s` | %s | ", belt_event_name(kind), belt_event_help(kind));
        for (int f = 0; f < BELT_EVENT_VALUES && fields[f]; f++)
            fprintf(out, "%s%s", f ? ", " : "", belt_field_name(fields[f]));
        fprintf(out, " | %s |\n", belt_event_text(kind));
    }
}

static void put_fields(FILE *out)
{
    fputs("| measurement | unit | what it says |\n| --- | --- | --- |\n", out);
    for (int field = 1; field < BELT_FIELDS; field++)
        fprintf(out, "| %s | %s | %s |\n", belt_field_name(field), belt_field_unit(field),
                belt_field_help(field));
}

static void expect_in_document(void (*put)(FILE *out))
{
    char *table;
    size_t size;
    FILE *out = open_memstream(&table, &size);
    put(out);
    fclose(out);
    cr_assert(strstr(document(), table), "docs/telemetry.md should have:\n\n%s", table);
    free(table);
}

Test(telemetry_doc, has_every_event)
{
    expect_in_document(put_events);
}

Test(telemetry_doc, has_every_measurement)
{
    expect_in_document(put_fields);
}

/* An event's values fit, and no field is there twice. */
Test(telemetry_doc, events_are_well_formed)
{
    for (int kind = 0; kind < BELT_EVENTS; kind++) {
        const enum belt_event_field *fields = belt_event_fields(kind);
        cr_assert_eq(fields[BELT_EVENT_VALUES], BELT_FIELD_NONE, "%s", belt_event_name(kind));
        for (int f = 0; f < BELT_EVENT_VALUES; f++)
            for (int g = 0; g < f; g++)
                cr_assert(!fields[f] || fields[f] != fields[g], "%s", belt_event_name(kind));
    }
}
