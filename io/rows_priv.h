/* What the formats share: which columns make a row, and their numbers as text. */
#ifndef BELT_IO_ROWS_PRIV_H
#define BELT_IO_ROWS_PRIV_H

#include <string.h>

#include "core/number_priv.h"
#include "core/part.h"

/* The columns of a row in order. */
struct belt_row_columns {
    int column[BELT_COLUMNS];
    struct belt_column_info info[BELT_COLUMNS];
    int used;
};

/* By the names of the setting `columns`; without any: all but the payload; if
 * there are none: the payload. */
int belt_rows_prepare(struct belt_row_columns *rows, const struct belt_texts *names,
                      struct belt_setup *setup, struct belt_error *err);

/* A column's value of message i, whatever its type: at most BELT_NUMBER_ROOM bytes
 * without an end mark. Returns the end. */
char *belt_put_number(char *to, const struct belt_column *column,
                      const struct belt_column_info *info, uint32_t i);

/* Short texts by two copies that overlap, without a call: not a byte beside them is
 * read, where a source may be writing, or written, where a frame's keys may lie. */
static inline void belt_copy_text(char *to, const char *from, uint32_t size)
{
    if (size >= 4 && size <= 8) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else if (size < 4) {
        for (uint32_t i = 0; i < size; i++)
            to[i] = from[i];
    } else if (size < 16) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size <= 32) {
        memcpy(to, from, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else {
        memcpy(to, from, size);
    }
}

#endif
