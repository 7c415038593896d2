#include "steps/type_priv.h"

#include <stdlib.h>
#include <string.h>

#include "steps/steps_priv.h"

/* "decimal(2)" -> 2; anything else that begins so is refused with its range. */
static int decimal_digits(const struct belt_node *node, const char *text, unsigned *digits,
                          struct belt_error *err)
{
    char *end;
    long value =
        text[7] == '(' && text[8] >= '0' && text[8] <= '9' ? strtol(text + 8, &end, 10) : -1;
    if (value < 0 || value > BELT_DIGITS_MAX || strcmp(end, ")") != 0)
        return belt_node_error(err, node,
                               "'%s': write decimal(DIGITS), 0 to %d digits after "
                               "the point",
                               text, BELT_DIGITS_MAX);
    *digits = (unsigned)value;
    return 0;
}

int belt_type_read(const struct belt_node *node, const char *field, bool may_skip,
                   enum belt_type *type, unsigned *digits, struct belt_error *err)
{
    static const char *const names[] = { "text", "int", "float", "decimal(1)", "skip" };
    static const enum belt_type types[] = { BELT_TEXT, BELT_INT, BELT_FLOAT };
    const char *text = belt_node_text(node), *skip = may_skip ? " or skip" : "";
    size_t known = may_skip ? 5 : 4;
    if (!text)
        return belt_node_error(err, node, "field %s: a type is text, int, decimal(DIGITS), float%s",
                               field, skip);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, names[i]) == 0) {
            *type = types[i];
            return 0;
        }
    if (may_skip && strcmp(text, "skip") == 0) {
        *type = BELT_TEXT;
        return BELT_TYPE_SKIP;
    }
    if (strncmp(text, "decimal", 7) == 0) {
        *type = BELT_DECIMAL;
        return decimal_digits(node, text, digits, err);
    }
    const char *near = belt_nearest(text, names, known);
    if (near)
        return belt_node_error(err, node, "field %s: no type '%s'; did you mean '%s'?", field, text,
                               near);
    return belt_node_error(err, node,
                           "field %s: no type '%s'; there are: text, int, "
                           "decimal(DIGITS), float%s",
                           field, text, may_skip ? ", skip" : "");
}

enum belt_flaw belt_type_store(const struct belt_column_info *info, struct belt_column *to,
                               uint32_t i, const char *text, struct belt_span span)
{
    if (info->type == BELT_FLOAT)
        return belt_float_parse(text, span.size, &to->as.floats[i]);
    if (info->type != BELT_TEXT)
        return belt_number_parse(text, span.size, info->digits, &to->as.numbers[i]);
    to->as.spans[i] = span;
    return BELT_FLAW_NONE;
}

int belt_text_field(struct belt_setup *setup, const char *setting, const char *name,
                    const char *done, struct belt_error *err)
{
    char type[BELT_TYPE_ROOM];
    int column = belt_setup_field(setup, belt_step_place(setup, setting), name, err);
    if (column < 0)
        return column;
    const struct belt_column_info *info = belt_setup_info(setup, column);
    if (info->type == BELT_TEXT)
        return column;
    return belt_node_error(err, belt_step_place(setup, setting),
                           "only a text can be %s; '%s' is %s", done, name,
                           belt_type_name(type, info->type, info->digits));
}
