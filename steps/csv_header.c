/* The names in a header, and where fields are then. */
#include <string.h>

#include "core/headers_priv.h"
#include "steps/csv_priv.h"

#define BOM "\xef\xbb\xbf"

/* Does this field of the header say `name`? Compared as it stands between its quotes, doubled
 * ones counting once. */
static bool is_called(const struct belt_csv *csv, const char *field, uint32_t size, bool quoted,
                      const char *name)
{
    size_t length = strlen(name), used = 0;
    if (!quoted)
        return size == length && memcmp(field, name, length) == 0;
    for (uint32_t at = 1; at + 1 < size; at++, used++) {
        if (used == length || field[at] != name[used])
            return false;
        at += field[at] == csv->quote;
    }
    return used == length;
}

/* The column of field f is `column`: kept in the order of columns. */
static void place(struct belt_csv_layout *layout, uint32_t f, uint32_t column)
{
    uint32_t n = layout->count++;
    for (; n && layout->order[n - 1].column > column; n--)
        layout->order[n] = layout->order[n - 1];
    layout->order[n].column = column;
    layout->order[n].field = f;
}

static void look_for(const struct belt_csv *csv, uint32_t f, struct belt_csv_layout *layout)
{
    const char *header = layout->header, *name = csv->split.fields[f].called;
    uint32_t at = 0, column = 0, found = 0, first = 0;
    if (layout->header_size >= 3 && memcmp(header, BOM, 3) == 0)
        at = 3;
    for (; header && at <= layout->header_size; column++) {
        struct belt_csv_field field = belt_csv_field_at(csv, header, layout->header_size, at);
        if (is_called(csv, header + field.at, field.size, field.quoted, name) && found++ == 0)
            first = column;
        at += field.size + 1;
    }
    layout->columns = column;
    if (found == 1) {
        place(layout, f, first);
    } else if (layout->lacks < 0) {
        layout->lacks = (int)f;
        layout->twice = found > 1;
    }
}

void belt_csv_read_header(const struct belt_csv *csv, const char *header, uint32_t size,
                          struct belt_csv_layout *layout)
{
    *layout = (struct belt_csv_layout){ .header = header, .header_size = size, .lacks = -1 };
    for (uint32_t f = 0; f < csv->split.count; f++)
        if (csv->split.fields[f].column != BELT_SPLIT_SKIP)
            look_for(csv, f, layout);
}

static const struct belt_csv_layout *layout_for(struct belt_csv_state *own, const char *header,
                                                uint32_t size)
{
    for (uint32_t n = 0; n < BELT_CSV_LAYOUTS; n++)
        if (header && own->layouts[n].header == header && own->layouts[n].header_size == size)
            return &own->layouts[n];
    struct belt_csv_layout *layout = &own->layouts[own->next_layout++ % BELT_CSV_LAYOUTS];
    belt_csv_read_header(own->csv, header, size, layout);
    return layout;
}

const struct belt_csv_layout *belt_csv_layout_of(struct belt_csv_state *own,
                                                 const struct belt_view *view, uint32_t w,
                                                 uint64_t rows, uint64_t *same)
{
    uint32_t size, others;
    uint32_t first = w * 64 + (uint32_t)__builtin_ctzll(rows);
    const char *header = belt_header_of(view, first, &size);
    *same = rows;
    for (uint64_t rest = belt_header_alike(view) ? 0 : rows; rest; rest &= rest - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(rest);
        if (belt_header_of(view, w * 64 + k, &others) != header)
            *same &= ~(UINT64_C(1) << k);
    }
    return layout_for(own, header, size);
}
