/* The formats csv and ndjson: rows keep within their bound; csv, read back, gives the same
 * fields; ndjson is JSON whatever the bytes are. Fields are the lines of the input. */
#include "tests/fuzz/fuzz.h"

extern const struct belt_format belt_format_csv, belt_format_ndjson;

static const struct belt_column_info columns[] = { { "a", BELT_TEXT, 0 }, { "b", BELT_TEXT, 0 } };

struct fields {
    const uint8_t *text[2];
    uint32_t size[2];
};

/* The bytes of the row of one message with these fields; the caller frees. */
static char *row_of(struct fuzz_part *p, const struct belt_format *format, const struct fields *f,
                    size_t *size)
{
    if (!p->part)
        FUZZ_CHECK(fuzz_prepare(p, &format->part, "{ columns: [a, b] }", columns, 2) == 0, "%s",
                   p->err.text);
    struct belt_span spans[3] = { { 0, 0 },
                                  { BELT_PAD, f->size[0] },
                                  { BELT_PAD + f->size[0], f->size[1] } };
    char *text = malloc(2 * BELT_PAD + f->size[0] + f->size[1]);
    memset(text, '"', 2 * BELT_PAD + f->size[0] + f->size[1]);
    memcpy(text + BELT_PAD, f->text[0], f->size[0]);
    memcpy(text + BELT_PAD + f->size[0], f->text[1], f->size[1]);
    struct belt_column values[3] = { { text, { .spans = &spans[0] } },
                                     { text, { .spans = &spans[1] } },
                                     { text, { .spans = &spans[2] } } };
    uint64_t live[BELT_WORDS] = { 1 };
    struct belt_view view = {
        .size = sizeof view, .end = 1, .columns_used = 3, .live = live, .columns = values
    };
    size_t bound = format->bound(p->conf, &view, 0);
    char *out = malloc(bound + BELT_PAD);
    *size = format->row(p->conf, &view, 0, out);
    FUZZ_CHECK(*size <= bound, "%zu bytes, and a bound of %zu", *size, bound);
    FUZZ_CHECK(*size && out[*size - 1] == '\n', "no end of the line");
    free(text);
    return out;
}

/* ---- csv ------------------------------------------------------------------------ */

/* Takes one field off *at and compares it; then what ends it. */
static void expect_field(const char **at, const char *end, const uint8_t *text, uint32_t size,
                         char stop)
{
    bool quoted = *at < end && **at == '"';
    *at += quoted;
    for (uint32_t i = 0; i < size; i++) {
        FUZZ_CHECK(*at < end && **at == (char)text[i], "byte %u of a field", i);
        FUZZ_CHECK(quoted || !memchr(",\"\n\r", text[i], 4), "unquoted");
        if (quoted && text[i] == '"')
            FUZZ_CHECK(*++*at == '"', "a quote alone");
        ++*at;
    }
    if (quoted)
        FUZZ_CHECK(*at < end && *(*at)++ == '"', "no end of the quotes");
    FUZZ_CHECK(*at < end && *(*at)++ == stop, "no end of the field");
}

static void check_csv(const struct fields *f)
{
    size_t size;
    static struct fuzz_part part;
    char *row = row_of(&part, &belt_format_csv, f, &size);
    const char *at = row, *end = row + size;
    expect_field(&at, end, f->text[0], f->size[0], ',');
    expect_field(&at, end, f->text[1], f->size[1], '\n');
    FUZZ_CHECK(at == end, "%zu bytes more", (size_t)(end - at));
    free(row);
}

/* ---- ndjson --------------------------------------------------------------------- */

/* The size of a well-formed character beyond ASCII, 0: it is none. By its code point. */
static size_t utf8_size(const unsigned char *at, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc0 || at[0] > 0xf7 || size > left)
        return 0;
    uint32_t code = at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[size] || code > 0x10ffff || surrogate ? 0 : size;
}

/* Behind a string's closing quote; *at is behind its opening one. */
static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"') {
        unsigned char c = (unsigned char)*at;
        FUZZ_CHECK(c >= 0x20, "a control character");
        if (c >= 0x80) {
            size_t size = utf8_size((const unsigned char *)at, (size_t)(end - at));
            FUZZ_CHECK(size, "no UTF-8");
            at += size;
        } else if (c == '\\') {
            FUZZ_CHECK(end - at > 1 && strchr("\"\\/bfnrtu", at[1]), "an escape");
            if (at[1] == 'u')
                FUZZ_CHECK(end - at > 6 && strspn(at + 2, "0123456789abcdef") >= 4, "\\u");
            at += at[1] == 'u' ? 6 : 2;
        } else {
            at++;
        }
    }
    FUZZ_CHECK(at < end, "no end of a string");
    return at + 1;
}

static void check_json(const struct fields *f)
{
    size_t size;
    static struct fuzz_part part;
    char *row = row_of(&part, &belt_format_ndjson, f, &size);
    const char *at = row, *end = row + size;
    FUZZ_CHECK(size > 6 && memcmp(at, "{\"a\":\"", 6) == 0, "the first name");
    at = string_end(at + 6, end);
    FUZZ_CHECK(end - at > 6 && memcmp(at, ",\"b\":\"", 6) == 0, "the second name");
    at = string_end(at + 6, end);
    FUZZ_CHECK(end - at == 2 && memcmp(at, "}\n", 2) == 0, "the end");
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *half = memchr(data, 0xff, size);
    uint32_t first = (uint32_t)(half ? (size_t)(half - data) : size);
    struct fields f = { { data, data + first }, { first, (uint32_t)size - first } };
    check_csv(&f);
    check_json(&f);
    return 0;
}
