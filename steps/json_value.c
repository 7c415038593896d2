/* What a record's walk found, as columns. */
#include <stdio.h>
#include <string.h>

#include "steps/json_priv.h"
#include "steps/type_priv.h"

static const char *const kinds[] = {
    [BELT_JSON_NULL] = "null",       [BELT_JSON_FALSE] = "false",
    [BELT_JSON_TRUE] = "true",       [BELT_JSON_NUMBER] = "a number",
    [BELT_JSON_STRING] = "a string", [BELT_JSON_OBJECT] = "an object",
    [BELT_JSON_ARRAY] = "an array",
};

static void fail(struct belt_view *view, uint32_t i, const char *name, const char *what,
                 const char *not_what)
{
    char reason[BELT_REASON], shown[64];
    snprintf(reason, sizeof reason, "%s: %s%s%s",
             belt_show(shown, sizeof shown, name, strlen(name)), what, not_what ? ", not " : "",
             not_what ? not_what : "");
    belt_fail_message(view, i, reason);
}

static bool store_fallback(const struct belt_json_field *field, struct belt_view *view, uint32_t i,
                           const char *missing)
{
    struct belt_column *column = &view->columns[field->column];
    if (!field->fallback) {
        fail(view, i, field->path, missing, NULL);
        return false;
    }
    if (field->type == BELT_TEXT)
        column->as.spans[i] = field->fallback_size ? (struct belt_span){ BELT_JSON_FALLBACK, 0 }
                                                   : (struct belt_span){ 0, 0 };
    else if (field->type == BELT_FLOAT)
        column->as.floats[i] = field->real;
    else
        column->as.numbers[i] = field->number;
    return true;
}

static bool store_number(const struct belt_json_field *field, const struct belt_json_walk *walk,
                         const struct belt_json_value *value, struct belt_view *view, uint32_t i)
{
    const struct belt_column_info info = { field->name, field->type, field->digits };
    const char *text = walk->text + value->at;
    enum belt_flaw flaw = belt_type_store(&info, &view->columns[field->column], i, text,
                                          (struct belt_span){ 0, value->size });
    if (flaw == BELT_FLAW_NONE)
        return true;
    char reason[BELT_REASON];
    belt_flaw_text(reason, sizeof reason, flaw, field->path, field->type, field->digits, text,
                   value->size);
    belt_fail_message(view, i, reason);
    return false;
}

static bool store(const struct belt_json_field *field, const struct belt_json_walk *walk,
                  struct belt_view *view, uint32_t i, uint32_t delta)
{
    const struct belt_json_value *value = &walk->values[field->slot];
    struct belt_column *column = &view->columns[field->column];
    char type[BELT_TYPE_ROOM];
    bool there = walk->found >> field->slot & 1;
    if (!there)
        return store_fallback(field, view, i, "it is not there");
    if (field->raw) {
        bool quoted = value->kind == BELT_JSON_STRING;
        column->as.spans[i] =
            (struct belt_span){ delta + value->at - quoted, value->size + 2 * quoted };
        return true;
    }
    if (value->kind == BELT_JSON_NULL)
        return store_fallback(field, view, i, "it is null");
    if (field->truth && (value->kind == BELT_JSON_TRUE || value->kind == BELT_JSON_FALSE)) {
        column->as.numbers[i] = value->kind == BELT_JSON_TRUE;
        return true;
    }
    if (field->type == BELT_TEXT && value->kind == BELT_JSON_STRING) {
        column->as.spans[i] = (struct belt_span){ delta + value->at, value->size };
        return true;
    }
    if (field->type != BELT_TEXT && !field->truth && value->kind == BELT_JSON_NUMBER)
        return store_number(field, walk, value, view, i);
    fail(view, i, field->path, kinds[value->kind],
         field->truth ? "a bool" : belt_type_name(type, field->type, field->digits));
    return false;
}

bool belt_json_store(const struct belt_json *json, const struct belt_json_walk *walk,
                     struct belt_view *view, uint32_t i, uint32_t delta)
{
    for (uint32_t f = 0; f < json->fields_used; f++)
        if (!store(&json->fields[f], walk, view, i, delta))
            return false;
    return true;
}
