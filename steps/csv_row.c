/* One row of CSV, byte by byte: what is odd, and what is wrong. */
#include <stdio.h>
#include <string.h>

#include "steps/csv_priv.h"

static uint32_t find(const char *row, uint32_t size, uint32_t at, char byte)
{
    const char *found = at < size ? memchr(row + at, byte, size - at) : NULL;
    return found ? (uint32_t)(found - row) : size;
}

struct belt_csv_field belt_csv_field_at(const struct belt_csv *csv, const char *row, uint32_t size,
                                        uint32_t at)
{
    struct belt_csv_field field = { .at = at, .plain = true };
    uint32_t end = at;
    field.quoted = csv->has_quote && at < size && row[at] == csv->quote;
    if (field.quoted) {
        for (end = find(row, size, at + 1, csv->quote);
             end + 1 < size && row[end + 1] == csv->quote;
             end = find(row, size, end + 2, csv->quote))
            field.plain = false;
        if (end >= size)
            field.flaw = BELT_CSV_OPEN;
        else if (end + 1 < size && row[end + 1] != csv->delimiter)
            field.flaw = BELT_CSV_AFTER;
        end = end < size ? end + 1 : size;
    }
    end = field.flaw == BELT_CSV_OPEN ? size : find(row, size, end, csv->delimiter);
    if (csv->has_quote && !field.quoted && find(row, end, at, csv->quote) < end)
        field.flaw = BELT_CSV_WITHIN;
    field.size = end - at;
    return field;
}

uint32_t belt_csv_unquote(const struct belt_csv *csv, char *out, const char *field, uint32_t size)
{
    uint32_t used = 0, at = 1;
    while (at < size) {
        uint32_t next = find(field, size, at, csv->quote);
        memcpy(out + used, field + at, next - at);
        used += next - at;
        at = next + 1;
        if (at >= size || field[at] != csv->quote)
            break; /* it closes: what is behind, if anything, is as it stands */
        out[used++] = field[at++];
    }
    if (at < size) {
        memcpy(out + used, field + at, size - at);
        used += size - at;
    }
    return used;
}

static void put(struct belt_csv_state *own, uint32_t f, uint32_t k, uint32_t i,
                const struct belt_csv_field *field)
{
    struct belt_split_work *work = &own->work;
    uint32_t inside = field->quoted && field->plain && !field->flaw;
    if (field->quoted && !inside)
        belt_csv_mark(own, f, i);
    work->at[f][k] = work->records[k].at + field->at + inside;
    work->size[f][k] = field->size - 2 * inside;
}

bool belt_csv_cut_row(struct belt_csv_state *own, const char *base, uint32_t k, uint32_t w)
{
    const struct belt_csv *csv = own->csv;
    const struct belt_csv_layout *layout = own->layout;
    struct belt_span record = own->work.records[k];
    if (layout->lacks >= 0)
        return false;
    uint32_t at = 0, column = 0, next = 0, i = w * 64 + own->work.index[k];
    for (;; column++) {
        struct belt_csv_field field = belt_csv_field_at(csv, base + record.at, record.size, at);
        if (field.flaw && csv->quotes == BELT_CSV_STRICT)
            return false;
        if (next < layout->count && layout->order[next].column == column)
            put(own, layout->order[next++].field, k, i, &field);
        at += field.size + 1;
        if (at > record.size)
            break;
    }
    column++;
    struct belt_csv_field none = { .at = record.size };
    if ((column > layout->columns && csv->split.extra == BELT_EXTRA_FAIL) ||
        (column < layout->columns && csv->missing == BELT_CSV_MISSING_FAIL))
        return false;
    for (; next < layout->count; next++)
        put(own, layout->order[next].field, k, i, &none);
    return true;
}

/* ---- reasons --------------------------------------------------------------------- */

static const char *name_of(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                           uint32_t column, char out[32])
{
    for (uint32_t n = 0; n < layout->count; n++)
        if (layout->order[n].column == column)
            return csv->split.fields[layout->order[n].field].name;
    snprintf(out, 32, "%u", column + 1);
    return out;
}

static void say_flaw(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                     enum belt_csv_flaw flaw, uint32_t column, char reason[BELT_REASON])
{
    static const char *const words[] = { [BELT_CSV_AFTER] = "text behind the closing quote of",
                                         [BELT_CSV_WITHIN] = "a quote within the unquoted",
                                         [BELT_CSV_OPEN] = "no closing quote of" };
    char number[32];
    snprintf(reason, BELT_REASON, "%s field %.60s", words[flaw],
             name_of(csv, layout, column, number));
}

/* The first value that its type cannot have. */
static void say_value(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                      const char *row, uint32_t size, char reason[BELT_REASON])
{
    uint32_t at = 0, column = 0;
    for (uint32_t n = 0; n < layout->count; n++, column++) {
        struct belt_csv_field field = { .at = size };
        for (; at <= size; column++) {
            field = belt_csv_field_at(csv, row, size, at);
            at += field.size + 1;
            if (column == layout->order[n].column)
                break;
            field = (struct belt_csv_field){ .at = size };
        }
        const struct belt_split_field *into = &csv->split.fields[layout->order[n].field];
        uint32_t inside = field.quoted && field.plain && !field.flaw;
        const char *text = row + field.at + inside;
        enum belt_flaw flaw = belt_split_flaw(into, text, field.size - 2 * inside);
        if (flaw == BELT_FLAW_NONE)
            continue;
        belt_flaw_text(reason, BELT_REASON, flaw, into->name, into->type, into->digits, text,
                       field.size - 2 * inside);
        return;
    }
}

static void say_header(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                       char reason[BELT_REASON])
{
    char shown[64];
    const char *name = csv->split.fields[layout->lacks].called;
    if (!layout->header)
        snprintf(reason, BELT_REASON, "no header that says which column %.60s is", name);
    else
        snprintf(reason, BELT_REASON, "the header has %s column '%.60s': %s",
                 layout->twice ? "more than one" : "no", name,
                 belt_show(shown, sizeof shown, layout->header, layout->header_size));
}

void belt_csv_fail(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                   struct belt_view *view, uint32_t i)
{
    char reason[BELT_REASON] = "", number[32];
    uint32_t size, column = 0;
    if (layout->lacks >= 0) {
        say_header(csv, layout, reason);
        belt_fail_message(view, i, reason);
        return;
    }
    const char *row = belt_text(view, csv->split.source, i, &size);
    for (uint32_t at = 0; at <= size; column++) {
        struct belt_csv_field field = belt_csv_field_at(csv, row, size, at);
        at += field.size + 1;
        if (!field.flaw || csv->quotes == BELT_CSV_LENIENT)
            continue;
        say_flaw(csv, layout, field.flaw, column, reason);
        belt_fail_message(view, i, reason);
        return;
    }
    if (column > layout->columns && csv->split.extra == BELT_EXTRA_FAIL)
        snprintf(reason, sizeof reason, "%u fields where there should be %u", column,
                 layout->columns);
    else if (column < layout->columns && csv->missing == BELT_CSV_MISSING_FAIL)
        snprintf(reason, sizeof reason, "%u field%s where there should be %u: no %.60s", column,
                 column == 1 ? "" : "s", layout->columns, name_of(csv, layout, column, number));
    else
        say_value(csv, layout, row, size, reason);
    belt_fail_message(view, i, reason);
}
