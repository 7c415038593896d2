/* The formats lines, csv and ndjson: a message as a row. */
#include "io_fixture.h"

#include <locale.h>
#include <math.h>

#include "io/rows_priv.h"

extern const struct belt_format belt_format_lines, belt_format_csv, belt_format_ndjson,
    belt_format_packed;

/* One message: payload, name (text), count (int), mean (decimal 1), ratio (float). */
struct message {
    const char *payload, *name;
    uint32_t name_size; /* 0: strlen */
    int64_t count, mean;
    double ratio;
};

struct format {
    struct io_part part;
    const struct belt_format *format;
    char row[4096], header[4096];
};

static int format_open(struct format *f, const struct belt_format *format, const char *settings,
                       int columns)
{
    static const struct belt_column_info infos[] = {
        { "name", BELT_TEXT, 0 },
        { "count", BELT_INT, 0 },
        { "mean", BELT_DECIMAL, 1 },
        { "ratio", BELT_FLOAT, 0 },
    };
    f->format = format;
    int rc = io_read(&f->part, &format->part, settings);
    memcpy(f->part.spec->columns + 1, infos, (size_t)columns * sizeof *infos);
    f->part.spec->columns_used = 1 + columns;
    rc = rc < 0 ? rc : io_prepare(&f->part);
    if (rc == 0 && format->header)
        f->header[format->header(f->part.conf, f->header, sizeof f->header)] = 0;
    return rc;
}

/* The row of a message; checks that it keeps within bound(). */
static const char *row(struct format *f, struct message m)
{
    char text[2048 + 2 * BELT_PAD];
    uint32_t payload = (uint32_t)strlen(m.payload ? m.payload : "");
    uint32_t name = m.name_size ? m.name_size : (uint32_t)strlen(m.name ? m.name : "");
    memcpy(text + BELT_PAD, m.payload ? m.payload : "", payload);
    memcpy(text + BELT_PAD + payload, m.name ? m.name : "", name);
    struct belt_span spans[2] = { { BELT_PAD, payload }, { BELT_PAD + payload, name } };
    struct belt_column columns[] = {
        { text, { .spans = &spans[0] } },  { text, { .spans = &spans[1] } },
        { NULL, { .numbers = &m.count } }, { NULL, { .numbers = &m.mean } },
        { NULL, { .floats = &m.ratio } },
    };
    uint64_t live[BELT_WORDS] = { 1 };
    struct belt_view view = {
        .size = sizeof view, .end = 1, .columns_used = 5, .live = live, .columns = columns
    };
    size_t bound = f->format->bound(f->part.conf, &view, 0);
    cr_assert_lt(bound, sizeof f->row);
    size_t size = f->format->row(f->part.conf, &view, 0, f->row);
    cr_assert_leq(size, bound);
    f->row[size] = 0;
    return f->row;
}

static const char *once(const struct belt_format *format, const char *settings, int columns,
                        struct message m)
{
    static struct format f;
    cr_assert_eq(format_open(&f, format, settings, columns), 0, "%s", f.part.err.text);
    const char *text = row(&f, m);
    io_free(&f.part);
    return text;
}

/* ---- lines --------------------------------------------------------------------- */

Test(format, lines_is_the_payload_and_an_end)
{
    cr_assert_str_eq(once(&belt_format_lines, "{}", 1, (struct message){ .payload = "a,\"b" }),
                     "a,\"b\n");
}

/* ---- csv ----------------------------------------------------------------------- */

Test(format, csv_writes_all_fields_but_the_payload)
{
    struct message m = { "raw", "Oslo", 0, 3, -5, 0.1 };
    cr_assert_str_eq(once(&belt_format_csv, "{}", 4, m), "Oslo,3,-0.5,0.1\n");
}

Test(format, csv_writes_the_payload_where_there_is_nothing_else)
{
    cr_assert_str_eq(once(&belt_format_csv, "{}", 0, (struct message){ .payload = "x" }), "x\n");
}

Test(format, csv_takes_columns_and_delimiter_as_set)
{
    struct message m = { "raw", "a,b", 0, 3, 12, 0 };
    const char *settings = "{ columns: [mean, name, payload], delimiter: ';' }";
    cr_assert_str_eq(once(&belt_format_csv, settings, 4, m), "1.2;a,b;raw\n");
}

Test(format, csv_quotes_only_where_needed)
{
    static const char *const cases[][2] = {
        { "plain text", "plain text,0\n" },
        { "a,b", "\"a,b\",0\n" },
        { "say \"x\"", "\"say \"\"x\"\"\",0\n" },
        { "two\nlines and more", "\"two\nlines and more\",0\n" },
        { "0123456789\r", "\"0123456789\r\",0\n" },
        { "", ",0\n" },
        { "+-./_: ", "+-./_: ,0\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_str_eq(once(&belt_format_csv, "{}", 2, (struct message){ .name = cases[i][0] }),
                         cases[i][1]);
}

Test(format, csv_never_writes_an_empty_line)
{
    cr_assert_str_eq(once(&belt_format_csv, "name", 1, (struct message){ .name = "" }), "\"\"\n");
}

Test(format, csv_names_its_fields_in_the_header)
{
    struct format f;
    cr_assert_eq(format_open(&f, &belt_format_csv, "{ columns: [mean, name] }", 4), 0);
    cr_assert_str_eq(f.header, "mean,name\n");
    io_free(&f.part);
    cr_assert_eq(format_open(&f, &belt_format_csv, "{ header: false }", 4), 0);
    cr_assert_str_eq(f.header, "");
    io_free(&f.part);
}

Test(format, csv_refuses_a_field_that_is_not_there)
{
    struct format f;
    cr_assert_lt(format_open(&f, &belt_format_csv, "{ columns: [mean, nmae] }", 4), 0);
    cr_assert_not_null(strstr(f.part.err.text, "p.yaml:1:"), "%s", f.part.err.text);
    cr_assert_not_null(strstr(f.part.err.text, "'nmae'"), "%s", f.part.err.text);
    io_free(&f.part);
}

Test(format, csv_refuses_a_delimiter_that_is_not_one_byte)
{
    static const char *const bad[] = { "{ delimiter: '' }", "{ delimiter: ', ' }",
                                       "{ delimiter: '\"' }" };
    for (int i = 0; i < 3; i++) {
        struct format f;
        cr_assert_lt(format_open(&f, &belt_format_csv, bad[i], 4), 0, "%s", bad[i]);
        io_free(&f.part);
    }
}

/* ---- ndjson -------------------------------------------------------------------- */

Test(format, ndjson_writes_an_object)
{
    struct message m = { "raw", "Oslo", 0, -3, 1234, 2.5 };
    cr_assert_str_eq(once(&belt_format_ndjson, "{}", 4, m),
                     "{\"name\":\"Oslo\",\"count\":-3,\"mean\":123.4,\"ratio\":2.5}\n");
}

static void expect_json(const char *text, uint32_t size, const char *want)
{
    char line[256];
    snprintf(line, sizeof line, "{\"name\":\"%s\"}\n", want);
    struct message m = { .name = text, .name_size = size };
    cr_assert_str_eq(once(&belt_format_ndjson, "name", 1, m), line);
}

Test(format, ndjson_escapes_what_json_must_not_hold)
{
    expect_json("a\"b\\c/d and so on", 0, "a\\\"b\\\\c/d and so on");
    expect_json("\n\r\t\b\f\x01\x1f\x7f", 0, "\\n\\r\\t\\b\\f\\u0001\\u001f\x7f");
    expect_json("\0zero", 5, "\\u0000zero");
    expect_json("0123456\x1f", 0, "0123456\\u001f");
}

/* Bytes are copied several at a time: wherever one of them needs more, at any length. */
Test(format, ndjson_escapes_a_byte_anywhere_in_a_text)
{
    static struct format f;
    cr_assert_eq(format_open(&f, &belt_format_ndjson, "name", 1), 0);
    for (uint32_t size = 1; size <= 50; size++)
        for (uint32_t at = 0; at <= size; at++) {
            char text[64], want[128];
            for (uint32_t i = 0; i < size; i++)
                text[i] = (char)('A' + i % 26);
            text[size] = 0;
            if (at < size)
                text[at] = '"';
            sprintf(want, "{\"name\":\"%.*s%s%s\"}\n", (int)at, text, at < size ? "\\\"" : "",
                    at < size ? text + at + 1 : "");
            cr_assert_str_eq(row(&f, (struct message){ .name = text, .name_size = size }), want);
        }
    io_free(&f.part);
}

Test(format, ndjson_keeps_utf8_and_replaces_what_is_none)
{
    const char *good = "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80";
    expect_json(good, 0, good);
    expect_json("\xff"
                "a\x80",
                0, "\\ufffda\\ufffd");
    expect_json("\xc3", 0, "\\ufffd");
    expect_json("\xc0\xaf", 0, "\\ufffd\\ufffd");
    expect_json("\xed\xa0\x80", 0, "\\ufffd\\ufffd\\ufffd");
    expect_json("\xf4\x90\x80\x80", 0, "\\ufffd\\ufffd\\ufffd\\ufffd");
    expect_json("abcdefgh\xe2\x82", 0, "abcdefgh\\ufffd\\ufffd");
}

Test(format, ndjson_has_null_for_numbers_that_are_none)
{
    struct message m = { .ratio = NAN };
    cr_assert_str_eq(once(&belt_format_ndjson, "ratio", 4, m), "{\"ratio\":null}\n");
    m.ratio = -INFINITY;
    cr_assert_str_eq(once(&belt_format_ndjson, "ratio", 4, m), "{\"ratio\":null}\n");
}

/* ---- numbers ------------------------------------------------------------------- */

static void expect_decimal(int64_t value, unsigned digits, const char *want)
{
    char text[BELT_NUMBER_ROOM + 1];
    *belt_put_decimal(text, value, digits) = 0;
    cr_assert_str_eq(text, want);
}

Test(format, decimals_have_their_exact_digits)
{
    expect_decimal(0, 1, "0.0");
    expect_decimal(-1, 1, "-0.1");
    expect_decimal(123, 1, "12.3");
    expect_decimal(5, 3, "0.005");
    expect_decimal(-100, 2, "-1.00");
    expect_decimal(42, 0, "42");
    expect_decimal(INT64_MAX, 18, "9.223372036854775807");
    expect_decimal(INT64_MIN, 18, "-9.223372036854775808");
    expect_decimal(INT64_MIN, 0, "-9223372036854775808");
}

Test(format, ints_agree_with_printf)
{
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        int64_t value = (int64_t)((uint64_t)io_random(&seed, UINT32_MAX) << 32 |
                                  io_random(&seed, UINT32_MAX)) >>
                        io_random(&seed, 64);
        char got[BELT_NUMBER_ROOM + 1], want[32];
        *belt_put_int(got, value) = 0;
        snprintf(want, sizeof want, "%lld", (long long)value);
        cr_assert_str_eq(got, want);
    }
}

Test(format, floats_are_the_shortest_that_read_back)
{
    static const struct {
        double value;
        const char *want;
    } cases[] = {
        { 0.1, "0.1" },
        { 1.0 / 3, "0.3333333333333333" },
        { 1e300, "1e+300" },
        { -2, "-2" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 123456789012345680.0, "1.2345678901234568e+17" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[BELT_NUMBER_ROOM + 1];
        *belt_put_float(text, cases[i].value) = 0;
        cr_assert_str_eq(text, cases[i].want);
    }
}

/* ---- packed -------------------------------------------------------------------- */

/* 64 messages: payload, name, count, mean, ratio. */
struct many {
    char text[64 * 64 + 2 * BELT_PAD];
    struct belt_span payloads[64], names[64];
    int64_t counts[64], means[64];
    double ratios[64];
    struct belt_column columns[5];
    struct belt_view view;
};

static void fill_many(struct many *m)
{
    for (uint32_t i = 0; i < 64; i++) {
        m->payloads[i] = (struct belt_span){ BELT_PAD + i * 64, (uint32_t)rand() % 20 };
        m->names[i] = (struct belt_span){ BELT_PAD + i * 64 + 20, (uint32_t)rand() % 40 };
        memset(m->text + BELT_PAD + i * 64, (int)('A' + i % 26), 64);
        m->counts[i] = rand();
        m->means[i] = -rand();
        m->ratios[i] = rand() / 3.0;
    }
    m->columns[0] = (struct belt_column){ m->text, { .spans = m->payloads } };
    m->columns[1] = (struct belt_column){ m->text, { .spans = m->names } };
    m->columns[2] = (struct belt_column){ NULL, { .numbers = m->counts } };
    m->columns[3] = (struct belt_column){ NULL, { .numbers = m->means } };
    m->columns[4] = (struct belt_column){ NULL, { .floats = m->ratios } };
    m->view =
        (struct belt_view){ .size = sizeof m->view, .columns_used = 5, .columns = m->columns };
}

/* All names of so many bytes: without places. */
static void packs_even(const char *settings, bool text, uint32_t size)
{
    static struct format f;
    static struct many m;
    static char one[256], all[64 * 256];
    cr_assert_eq(format_open(&f, &belt_format_packed, settings, 4), 0, "%s", f.part.err.text);
    for (int round = 0; round < 20; round++) {
        uint64_t mask = round ? (uint64_t)rand() << 33 | (uint64_t)rand() << 5 | 3 : UINT64_MAX;
        fill_many(&m);
        for (uint32_t i = 0; i < 64; i++)
            m.names[i].size = size;
        size_t each = f.format->even(f.part.conf, &m.view, 0, mask), at = 0;
        cr_assert_neq(each, 0);
        cr_assert_eq(f.format->rows(f.part.conf, &m.view, 0, mask, all, 16, NULL),
                     each * (size_t)__builtin_popcountll(mask));
        for (uint64_t rest = mask; rest; rest &= rest - 1, at += each) {
            uint32_t i = (uint32_t)__builtin_ctzll(rest);
            cr_assert_eq(f.format->row(f.part.conf, &m.view, i, one), each);
            cr_assert_eq(memcmp(one, all + at, each), 0, "%s, %u", settings, size);
        }
        m.names[1].size++;
        cr_assert_eq(f.format->even(f.part.conf, &m.view, 0, mask) == 0, text);
    }
    io_free(&f.part);
}

Test(format, packed_needs_no_places_for_rows_of_one_size)
{
    for (uint32_t size = 1; size < 40; size++) {
        packs_even("{ columns: [name, count] }", true, size);
        packs_even("{ columns: [count, name] }", true, size);
        packs_even("{ columns: [name, name, ratio] }", true, size);
    }
    packs_even("{ columns: [count] }", false, 1);
    packs_even("{ columns: [count, mean] }", false, 1);
}

static void packs_the_same(const char *settings)
{
    static struct format f;
    static struct many m;
    static char one[64 * 256], all[64 * 256];
    struct belt_span places[64];
    cr_assert_eq(format_open(&f, &belt_format_packed, settings, 4), 0, "%s", f.part.err.text);
    srand(1);
    for (int round = 0; round < 200; round++) {
        uint64_t mask = ((uint64_t)rand() << 33) | ((uint64_t)rand() << 5) | 1u << round % 32;
        if (round % 8 == 0)
            mask = UINT64_MAX;
        size_t at = 0;
        fill_many(&m);
        size_t bound = f.format->bounds(f.part.conf, &m.view, 0, mask);
        size_t size = f.format->rows(f.part.conf, &m.view, 0, mask, all, 16, places);
        uint32_t n = 0;
        for (uint64_t rest = mask; rest; rest &= rest - 1, n++) {
            size_t row =
                f.format->row(f.part.conf, &m.view, (uint32_t)__builtin_ctzll(rest), one + at);
            cr_assert_eq(places[n].at, 16 + at);
            cr_assert_eq(places[n].size, row);
            at += row;
        }
        cr_assert_eq(size, at);
        cr_assert_leq(size, bound);
        cr_assert_eq(memcmp(one, all, at), 0);
    }
    io_free(&f.part);
}

Test(format, packed_packs_many_as_it_packs_one)
{
    packs_the_same("{}");
    packs_the_same("{ columns: [count] }");
    packs_the_same("{ columns: [count, mean] }");
    packs_the_same("{ columns: [name, count] }");
    packs_the_same("{ columns: [count, name] }");
    packs_the_same("{ columns: [name, payload, ratio] }");
}
