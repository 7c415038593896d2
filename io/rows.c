#include "io/rows_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int use_column(struct belt_rows *rows, struct belt_setup *setup, int column,
                      struct belt_error *err)
{
    if (column < 0)
        return column;
    if (rows->used == BELT_COLUMNS)
        return belt_node_error(err, belt_setup_node(setup), "columns: more than %d", BELT_COLUMNS);
    rows->column[rows->used] = column;
    rows->info[rows->used++] = *belt_setup_info(setup, column);
    return 0;
}

int belt_rows_prepare(struct belt_rows *rows, const struct belt_texts *names,
                      struct belt_setup *setup, struct belt_error *err)
{
    const struct belt_node *list = belt_node_get(belt_setup_node(setup), "columns");
    int rc = 0;
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        const struct belt_node *at = list && belt_node_count(list) ? belt_node_at(list, i) : list;
        rc = use_column(
            rows, setup,
            belt_setup_field(setup, at ? at : belt_setup_node(setup), names->at[i], err), err);
    }
    if (names->count)
        return rc;
    for (int column = 1; column < belt_setup_columns(setup) && rc == 0; column++)
        rc = use_column(rows, setup, column, err);
    return rows->used ? rc : use_column(rows, setup, 0, err);
}

/* ---- numbers ------------------------------------------------------------------- */

static const char pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* Digits before `end`, at least one, back to front. Where they start. */
static char *digits_before(char *end, uint64_t value)
{
    for (; value >= 100; value /= 100) {
        end -= 2;
        memcpy(end, pairs + 2 * (value % 100), 2);
    }
    if (value < 10) {
        *--end = (char)('0' + value);
        return end;
    }
    return memcpy(end - 2, pairs + 2 * value, 2);
}

/* The sign goes to *to; the rest without it, right for INT64_MIN too. */
static uint64_t put_sign(char **to, int64_t value)
{
    if (value >= 0)
        return (uint64_t)value;
    *(*to)++ = '-';
    return 0 - (uint64_t)value;
}

char *belt_put_int(char *to, int64_t value)
{
    char room[24], *end = room + sizeof room;
    uint64_t size = put_sign(&to, value);
    char *start = digits_before(end, size);
    memcpy(to, start, (size_t)(end - start));
    return to + (end - start);
}

char *belt_put_decimal(char *to, int64_t value, unsigned digits)
{
    char room[32], *end = room + sizeof room;
    if (!digits)
        return belt_put_int(to, value);
    uint64_t rest = put_sign(&to, value);
    char *start = digits_before(end, rest);
    while ((unsigned)(end - start) <= digits)
        *--start = '0';
    size_t whole = (size_t)(end - start) - digits;
    memcpy(to, start, whole);
    to[whole] = '.';
    memcpy(to + whole + 1, start + whole, digits);
    return to + whole + 1 + digits;
}

char *belt_put_float(char *to, double value)
{
    char room[BELT_ROWS_NUMBER + 8];
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(room, sizeof room, "%.*g", digits, value);
        if (strtod(room, NULL) == value)
            break;
    }
    /* The program's locale may write another decimal point. */
    for (int i = 0; i < size; i++)
        to[i] = strchr("0123456789+-einfa", room[i]) ? room[i] : '.';
    return to + size;
}

char *belt_put_number(char *to, const struct belt_column *column,
                      const struct belt_column_info *info, uint32_t i)
{
    if (info->type == BELT_FLOAT)
        return belt_put_float(to, column->as.floats[i]);
    return belt_put_decimal(to, column->as.numbers[i],
                            info->type == BELT_DECIMAL ? info->digits : 0);
}
