/* What the formats share: which columns make a row, and their numbers as text. */
#ifndef BELT_IO_ROWS_PRIV_H
#define BELT_IO_ROWS_PRIV_H

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

#endif
