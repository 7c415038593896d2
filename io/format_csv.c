/* The format `csv`: RFC 4180 with '\n' as the line's end, quoted only where needed. */
#include <string.h>

#include "io/rows_priv.h"

#define HEADER 4096 /* bytes of the first line: what the core has room for */

struct csv_conf {
    struct belt_texts columns;
    bool header;
    const char *delimiter_text;
    char delimiter;
    struct belt_row_columns rows;
};

static const struct belt_setting settings[] = {
    { "columns", BELT_SET_LIST, offsetof(struct csv_conf, columns), "",
      "fields to write, in order; all but the payload if not given", NULL, 0, 0 },
    { "header", BELT_SET_BOOL, offsetof(struct csv_conf, header), "true",
      "names of the fields as the first line of a new file", NULL, 0, 0 },
    { "delimiter", BELT_SET_TEXT, offsetof(struct csv_conf, delimiter_text), ",",
      "one byte between the fields", NULL, 0, 0 },
    { 0 },
};

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct csv_conf *conf = part_conf;
    const struct belt_node *node = belt_setup_node(setup);
    const char *delimiter = conf->delimiter_text;
    if (strlen(delimiter) != 1 || strchr("\"\r\n", *delimiter)) {
        const struct belt_node *at = belt_node_get(node, "delimiter");
        return belt_node_error(err, at ? at : node,
                               "delimiter: one byte, and neither a quote "
                               "nor the end of a line");
    }
    conf->delimiter = *delimiter;
    int rc = belt_rows_prepare(&conf->rows, &conf->columns, setup, err);
    size_t size = 0;
    for (int c = 0; c < conf->rows.used; c++)
        size += strlen(conf->rows.info[c].name) + 1;
    if (rc == 0 && size > HEADER)
        rc = belt_node_error(err, node, "the names of the fields are longer than %d bytes", HEADER);
    return rc;
}

/* 0x80 in each byte of `word` that is `c`; also, seldom, in the byte after one. */
static inline uint64_t has_byte(uint64_t word, char c)
{
    const uint64_t ones = 0x0101010101010101U;
    word ^= ones * (uint8_t)c;
    return (word - ones) & ~word & (ones << 7);
}

static bool needs_quotes(const char *text, uint32_t size, char delimiter)
{
    uint64_t hits = 0, word;
    for (; size >= 8; size -= 8, text += 8) {
        memcpy(&word, text, 8);
        hits |= has_byte(word, delimiter) | has_byte(word, '"') | has_byte(word, '\n') |
                has_byte(word, '\r');
    }
    if (hits)
        return true;
    for (; size; size--, text++)
        if (*text == delimiter || *text == '"' || *text == '\n' || *text == '\r')
            return true;
    return false;
}

static char *put_text(char *to, const char *text, uint32_t size, char delimiter, bool alone)
{
    /* A row of one empty field would be an empty line, which many readers skip. */
    if (size ? !needs_quotes(text, size, delimiter) : !alone) {
        memcpy(to, text, size);
        return to + size;
    }
    *to++ = '"';
    for (uint32_t i = 0; i < size; i++) {
        if (text[i] == '"')
            *to++ = '"';
        *to++ = text[i];
    }
    *to++ = '"';
    return to;
}

static size_t header(const void *part_conf, char *out, size_t room)
{
    const struct csv_conf *conf = part_conf;
    size_t used = 0;
    for (int c = 0; conf->header && c < conf->rows.used; c++) {
        size_t size = strlen(conf->rows.info[c].name);
        if (used + size + 1 > room)
            return 0;
        memcpy(out + used, conf->rows.info[c].name, size);
        used += size;
        out[used++] = c + 1 < conf->rows.used ? conf->delimiter : '\n';
    }
    return used;
}

static size_t bound(const void *part_conf, const struct belt_view *view, uint32_t i)
{
    const struct csv_conf *conf = part_conf;
    size_t most = 1;
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        most += conf->rows.info[c].type == BELT_TEXT ? 2 * (size_t)column->as.spans[i].size + 3
                                                     : BELT_NUMBER_ROOM + 1;
    }
    return most;
}

static size_t row(const void *part_conf, const struct belt_view *view, uint32_t i, char *out)
{
    const struct csv_conf *conf = part_conf;
    char *to = out;
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        uint32_t size;
        if (conf->rows.info[c].type == BELT_TEXT) {
            const char *text = belt_text(view, conf->rows.column[c], i, &size);
            to = put_text(to, text, size, conf->delimiter, conf->rows.used == 1);
        } else {
            to = belt_put_number(to, column, &conf->rows.info[c], i);
        }
        *to++ = conf->delimiter;
    }
    to[-1] = '\n';
    return (size_t)(to - out);
}

const struct belt_format belt_format_csv = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "csv",
        .help = "fields with a delimiter between them, quoted where needed",
        .settings = settings,
        .conf_size = sizeof(struct csv_conf),
        .prepare = prepare,
        .scalar = "columns",
    },
    .header = header,
    .bound = bound,
    .row = row,
    .end_size = 1,
    .quote = '"',
};
