#include "io/rows_priv.h"

static int use_column(struct belt_row_columns *rows, struct belt_setup *setup, int column,
                      struct belt_error *err)
{
    if (column < 0)
        return column;
    const struct belt_column_info *info = belt_setup_info(setup, column);
    if (!info)
        return 0; /* messages do not have it here */
    if (rows->used == BELT_COLUMNS)
        return belt_node_error(err, belt_setup_node(setup), "columns: more than %d", BELT_COLUMNS);
    rows->column[rows->used] = column;
    rows->info[rows->used++] = *info;
    return 0;
}

int belt_rows_prepare(struct belt_row_columns *rows, const struct belt_texts *names,
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

char *belt_put_number(char *to, const struct belt_column *column,
                      const struct belt_column_info *info, uint32_t i)
{
    if (info->type == BELT_FLOAT)
        return belt_put_float(to, column->as.floats[i]);
    return belt_put_decimal(to, column->as.numbers[i],
                            info->type == BELT_DECIMAL ? info->digits : 0);
}
