/* The format `ndjson`: a JSON object each, a line each. */
#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "io/rows_priv.h"

#define NAMES 2048 /* bytes of all names with what is around them */

struct ndjson_conf {
    struct belt_texts columns;
    struct belt_row_columns rows;
    char names[NAMES]; /* {"a": , "b": and so on, one after another */
    struct belt_span name[BELT_COLUMNS];
};

static const struct belt_setting settings[] = {
    { "columns", BELT_SET_LIST, offsetof(struct ndjson_conf, columns), "",
      "fields to write, in order; all but the payload if not given", NULL, 0, 0 },
    { 0 },
};

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct ndjson_conf *conf = part_conf;
    int rc = belt_rows_prepare(&conf->rows, &conf->columns, setup, err);
    uint32_t used = 0;
    for (int c = 0; c < conf->rows.used && rc == 0; c++) {
        const char *name = conf->rows.info[c].name; /* [a-z0-9_]: nothing to escape */
        uint32_t size = (uint32_t)strlen(name);
        if (used + size + 4 > NAMES)
            return belt_node_error(err, belt_setup_node(setup),
                                   "the names of the fields are longer than %d bytes", NAMES);
        conf->name[c] = (struct belt_span){ used, size + 4 };
        conf->names[used++] = c ? ',' : '{';
        conf->names[used++] = '"';
        memcpy(conf->names + used, name, size);
        used += size;
        conf->names[used++] = '"';
        conf->names[used++] = ':';
    }
    return rc;
}

/* ---- text ---------------------------------------------------------------------- */

/* How many of these bytes are one well-formed UTF-8 character beyond ASCII; 0:
 * none (overlong forms, surrogates and what is above U+10FFFF are none). */
static uint32_t utf8_size(const unsigned char *at, uint32_t left)
{
    unsigned char first = at[0], low = 0x80, high = 0xbf;
    uint32_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size > left)
        return 0;
    if (first == 0xe0 || first == 0xf0)
        low = first == 0xe0 ? 0xa0 : 0x90;
    if (first == 0xed || first == 0xf4)
        high = first == 0xed ? 0x9f : 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (uint32_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

static char *put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
    const char *known = memchr(from, c, sizeof from - 1);
    *to++ = '\\';
    if (known) {
        *to++ = letter[known - from];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = hex[c >> 4];
    to[4] = hex[c & 15];
    return to + 5;
}

/* Not 0 if one of the eight bytes needs a closer look: a control character, a
 * quote, a backslash, or beyond ASCII. */
static inline uint64_t is_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101U, high = ones << 7;
    uint64_t quote = word ^ ones * '"', back = word ^ ones * '\\';
    return ((word - ones * 0x20) | (quote - ones) | (back - ones) | word) & high;
}

/* One character that is not plain, or one plain byte; moves *text past it. */
static char *put_char(char *to, const unsigned char **text, const unsigned char *end)
{
    unsigned char c = **text;
    uint32_t size = 1;
    if (c >= 0x80) {
        size = utf8_size(*text, (uint32_t)(end - *text));
        if (!size) {
            ++*text;
            return (char *)memcpy(to, "\\ufffd", 6) + 6;
        }
    } else if (c < 0x20 || c == '"' || c == '\\') {
        ++*text;
        return put_escape(to, c);
    }
    memcpy(to, *text, size);
    *text += size;
    return to + size;
}

/* The same of 16 bytes; false where there are no vectors. */
static inline bool is_plain16(const unsigned char *text)
{
#if defined(__SSE2__)
    __m128i bytes = _mm_loadu_si128((const void *)text);
    __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                 _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    /* As signed numbers, what is beyond ASCII is below a space, too. */
    __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));
    return !_mm_movemask_epi8(_mm_or_si128(marks, low));
#else
    (void)text;
    return false;
#endif
}

static inline bool is_plain8(const unsigned char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return !is_special(word);
}

static char *put_string(char *to, const char *from, uint32_t size)
{
    const unsigned char *text = (const unsigned char *)from, *end = text + size;
    const unsigned char *plain = text; /* copied as it is from here on */
    *to++ = '"';
    while (text < end) {
        size_t left = (size_t)(end - text), most = left >= 16 && is_plain16(text) ? 16 : 8;
        if (most == 16 || (left >= 8 && is_plain8(text))) {
            memcpy(to, text, most);
            to += most;
            text += most;
        } else if (left < 8 && end - plain >= 8 && is_plain8(end - 8)) {
            memcpy(to + left - 8, end - 8, 8); /* what is before them once more */
            to += left;
            text = end;
        } else {
            to = put_char(to, &text, end);
            plain = text;
        }
    }
    *to++ = '"';
    return to;
}

/* ---- rows ---------------------------------------------------------------------- */

static size_t bound(const void *part_conf, const struct belt_view *view, uint32_t i)
{
    const struct ndjson_conf *conf = part_conf;
    size_t most = 2;
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        most += conf->name[c].size;
        most += conf->rows.info[c].type == BELT_TEXT ? 6 * (size_t)column->as.spans[i].size + 2
                                                     : BELT_NUMBER_ROOM;
    }
    return most;
}

static size_t row(const void *part_conf, const struct belt_view *view, uint32_t i, char *out)
{
    const struct ndjson_conf *conf = part_conf;
    char *to = out;
    for (int c = 0; c < conf->rows.used; c++) {
        const struct belt_column *column = &view->columns[conf->rows.column[c]];
        const struct belt_column_info *info = &conf->rows.info[c];
        memcpy(to, conf->names + conf->name[c].at, conf->name[c].size);
        to += conf->name[c].size;
        if (info->type == BELT_TEXT)
            to = put_string(to, column->base + column->as.spans[i].at, column->as.spans[i].size);
        else if (info->type == BELT_FLOAT && !isfinite(column->as.floats[i]))
            to = (char *)memcpy(to, "null", 4) + 4; /* JSON has no word for it */
        else
            to = belt_put_number(to, column, info, i);
    }
    *to++ = '}';
    *to++ = '\n';
    return (size_t)(to - out);
}

const struct belt_format belt_format_ndjson = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "ndjson",
        .help = "a JSON object each, a line each",
        .settings = settings,
        .conf_size = sizeof(struct ndjson_conf),
        .prepare = prepare,
        .scalar = "columns",
    },
    .bound = bound,
    .row = row,
    .end_size = 1,
};
