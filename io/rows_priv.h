/* What the formats share: which columns make a row, and numbers as text. */
#ifndef BELT_IO_ROWS_PRIV_H
#define BELT_IO_ROWS_PRIV_H

#include "core/part.h"

/* Most bytes of a number: a double in 17 digits, an int64 with 18 decimals. */
#define BELT_ROWS_NUMBER 32

/* The columns of a row in order. */
struct belt_rows {
    int column[BELT_COLUMNS];
    struct belt_column_info info[BELT_COLUMNS];
    int used;
};

/* By the names of the setting `columns`; without any: all but the payload; if
 * there are none: the payload. */
int belt_rows_prepare(struct belt_rows *rows, const struct belt_texts *names,
                      struct belt_setup *setup, struct belt_error *err);

/* Each writes at most BELT_ROWS_NUMBER bytes without an end mark and returns the
 * end. belt_put_number: a column's value of message i, whatever its type. */
char *belt_put_int(char *to, int64_t value);
/* 123 with one digit is 12.3; zero has no sign. */
char *belt_put_decimal(char *to, int64_t value, unsigned digits);
/* The shortest of 15 to 17 digits that reads back as the same number. */
char *belt_put_float(char *to, double value);
char *belt_put_number(char *to, const struct belt_column *column,
                      const struct belt_column_info *info, uint32_t i);

#endif
