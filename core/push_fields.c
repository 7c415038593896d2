/* Fields of messages that are handed in: declared, checked, written, read. */
#include <errno.h>
#include <string.h>

#include "core/push_priv.h"

static const struct {
    const char *name;
    enum belt_type type;
} types[] = {
    { "text", BELT_TEXT }, { "int", BELT_INT }, { "decimal", BELT_DECIMAL }, { "float", BELT_FLOAT }
};

/* "text", "int", "float", "decimal(2)". */
static bool read_type(const char *text, struct belt_column_info *info)
{
    size_t length = strcspn(text, "(");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (strlen(types[t].name) != length || memcmp(types[t].name, text, length) != 0)
            continue;
        info->type = types[t].type;
        if (info->type != BELT_DECIMAL)
            return !text[length];
        const char *digits = text + length + 1;
        size_t count = text[length] ? strspn(digits, "0123456789") : 0;
        for (size_t i = 0; i < count && info->digits < 100; i++)
            info->digits = info->digits * 10 + (unsigned)(digits[i] - '0');
        return count && strcmp(digits + count, ")") == 0 && info->digits <= 18;
    }
    return false;
}

int belt_push_fields_read(struct belt_push_fields *fields, const struct belt_node *node,
                          struct belt_setup *setup, struct belt_error *err)
{
    if (node && belt_node_kind(node) != BELT_NODE_MAP)
        return belt_node_error(err, node, "fields is a map: fields: { user: text, price: int }");
    for (size_t i = 0; node && i < belt_node_count(node); i++) {
        const struct belt_node *type = belt_node_at(node, i);
        struct belt_push_field *field = &fields->at[fields->used];
        if (fields->used == BELT_PUSH_FIELDS)
            return belt_node_error(err, node, "more than %d fields", BELT_PUSH_FIELDS);
        field->name = belt_node_key(node, i);
        if (!belt_node_text(type) || !read_type(belt_node_text(type), &field->info))
            return belt_node_error(err, type,
                                   "the type of '%s' must be text, int, float or decimal(DIGITS), "
                                   "as in { price: decimal(2) }",
                                   field->name);
        field->column =
            belt_setup_add(setup, type, field->name, field->info.type, field->info.digits, err);
        if (field->column < 0)
            return field->column;
        fields->used++;
    }
    return 0;
}

static int find(const struct belt_push_fields *fields, const struct belt_field *field)
{
    for (uint32_t f = 0; f < fields->used; f++)
        if (strcmp(fields->at[f].name, field->name) == 0)
            return (int)f;
    return -1;
}

int64_t belt_push_size(const struct belt_push_fields *fields, const struct belt_message *message,
                       struct belt_error *err)
{
    uint64_t size = belt_push_slots(fields) + message->payload_size;
    for (uint32_t i = 0; i < message->fields_used; i++) {
        const struct belt_field *field = &message->fields[i];
        int f = find(fields, field);
        if (f < 0)
            return belt_error_set(err, -EINVAL, "push: no field '%s' in the source's `fields`",
                                  field->name);
        if (fields->at[f].info.type != field->type)
            return belt_error_set(err, -EINVAL, "push: the field '%s' has another type",
                                  field->name);
        size += field->type == BELT_TEXT ? field->as.text.size : 0;
    }
    return (int64_t)((size + 7) / 8 * 8);
}

void belt_push_write(const struct belt_push_fields *fields, const struct belt_message *message,
                     char *to)
{
    char *payload = to + belt_push_slots(fields);
    uint32_t at = message->payload_size;
    uint64_t flags = message->flags;
    memset(to, 0, belt_push_slots(fields));
    memcpy(to, &flags, sizeof flags);
    if (at)
        memcpy(payload, message->payload, at);
    for (uint32_t i = 0; i < message->fields_used; i++) {
        const struct belt_field *field = &message->fields[i];
        char *slot = to + 8 + 8 * (size_t)find(fields, field);
        if (field->type != BELT_TEXT) {
            memcpy(slot, &field->as, 8);
            continue;
        }
        struct belt_span span = { at, field->as.text.size };
        memcpy(slot, &span, sizeof span);
        if (span.size)
            memcpy(payload + at, field->as.text.at, span.size);
        at += span.size;
    }
}

void belt_push_load(const struct belt_push_fields *fields, struct belt_view *view)
{
    const struct belt_column *payload = &view->columns[0];
    BELT_EACH (view, i) {
        uint64_t flags;
        memcpy(&flags, payload->base + payload->as.spans[i].at - belt_push_slots(fields), 8);
        if (flags & BELT_MESSAGE_FLUSH)
            belt_flush(view, i);
    }
    for (uint32_t f = 0; f < fields->used; f++) {
        struct belt_column *column = &view->columns[fields->at[f].column];
        bool text = fields->at[f].info.type == BELT_TEXT;
        if (text)
            column->base = payload->base;
        for (uint32_t i = view->first; i < view->end; i++) {
            uint32_t at = payload->as.spans[i].at;
            const char *slot = payload->base + at - belt_push_slots(fields) + 8 + 8 * (size_t)f;
            memcpy(&column->as.numbers[i], slot, 8);
            if (text)
                column->as.spans[i].at += at;
        }
    }
}

struct belt_span belt_push_extent(const struct belt_push_fields *fields, const char *base,
                                  struct belt_span payload)
{
    uint32_t slots = belt_push_slots(fields);
    uint32_t size = slots + payload.size;
    for (uint32_t f = 0; f < fields->used; f++) {
        struct belt_span text;
        memcpy(&text, base + payload.at - slots + 8 + 8 * (size_t)f, sizeof text);
        size += fields->at[f].info.type == BELT_TEXT ? text.size : 0;
    }
    return (struct belt_span){ payload.at - slots, size };
}
