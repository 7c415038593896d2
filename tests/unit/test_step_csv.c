/* The step `csv`: with both compilations of the hot code, and against a reader of a few plain
 * lines. */
#include "tests/unit/view_fixture.h"

#define TWICE(suite, name)                                                                         \
    static void name(void);                                                                        \
    Test(suite, name##_v2)                                                                         \
    {                                                                                              \
        setenv("BELT_ISA", "v2", 1);                                                               \
        name();                                                                                    \
    }                                                                                              \
    Test(suite, name##_v3)                                                                         \
    {                                                                                              \
        unsetenv("BELT_ISA");                                                                      \
        name();                                                                                    \
    }                                                                                              \
    static void name(void)

#define ABC "into: { a: text, b: text, c: text }"
#define U "\xef\xbf\xbd"

/* ---- rows, which may have newlines in them ---------------------------------------- */

static struct chain *csv_new(const char *settings)
{
    char steps[1000];
    snprintf(steps, sizeof steps, "- csv: { %s }", settings);
    return chain_new(steps);
}

static void load_rows(struct chain *c, const char *const *rows, uint32_t count)
{
    static const uint64_t none[BELT_WORDS];
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += strlen(rows[i]) + 1;
    free(c->text);
    c->text = malloc(size + 2 * BELT_PAD);
    memset(c->text, '"', size + 2 * BELT_PAD); /* what is around a row must not matter */
    char *at = c->text + BELT_PAD;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)strlen(rows[i]);
        memcpy(at, rows[i], length);
        c->spans[i] = (struct belt_span){ (uint32_t)(at - c->text - BELT_PAD), length };
        at += length + 1;
    }
    belt_engine_load(&c->engine, c->text + BELT_PAD, c->spans, count, none, NULL, 0);
}

/* "x|y|z", the texts of fields a, b and c of the only row, or why it failed. */
static const char *outcome(const char *settings, const char *row)
{
    static char out[4 * ROOM];
    struct chain *c = csv_new(settings);
    load_rows(c, &row, 1);
    cr_assert_eq(chain_step(c, 0), 1);
    out[0] = 0;
    for (int k = 1; !chain_reason(c, 0) && k < c->spec->columns_used; k++) {
        strcat(out, k > 1 ? "|" : "");
        strcat(out, chain_text(c, c->spec->columns[k].name, 0));
    }
    if (chain_reason(c, 0))
        strcpy(out, chain_reason(c, 0));
    chain_free(c);
    return out;
}

TWICE(csv, takes_quotes_off_and_halves_those_within)
{
    static const char *const rows[][2] = {
        { "x,y,z", "x|y|z" },
        { ",,", "||" },
        { "\"x\",\"y\",\"z\"", "x|y|z" },
        { "\"\",\"\",\"\"", "||" },
        { "\"a,b\",\"line 1\nline 2\",\"\r\n\"", "a,b|line 1\nline 2|\r\n" },
        { "\"say \"\"hi\"\"\",\"\"\"\",\"\"\"\"\"\"", "say \"hi\"|\"|\"\"" },
        { "\"\"\",\"\"\",\",\",z", "\",\"|,|z" },
        { "a much longer first field than a vector has bytes,\"and a second one that is, too, "
          "quoted \"\"as it is\"\", and long\",z",
          "a much longer first field than a vector has bytes|and a second one that is, too, "
          "quoted \"as it is\", and long|z" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome(ABC, rows[i][0]), rows[i][1], "%s: %s", rows[i][0],
                         outcome(ABC, rows[i][0]));
}

TWICE(csv, says_which_quote_is_out_of_place)
{
    static const char *const rows[][2] = {
        { "x,\"y\"z,w", "text behind the closing quote of field b" },
        { "\"x\" ,y,z", "text behind the closing quote of field a" },
        { "x,y\"y,z", "a quote within the unquoted field b" },
        { "x, \"y\",z", "a quote within the unquoted field b" },
        { "x,y,\"z", "no closing quote of field c" },
        { "x,y,\"z\"\"", "no closing quote of field c" },
        { "x,y,\"", "no closing quote of field c" },
        { "\"x\"\"\"y\",z,w", "text behind the closing quote of field a" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome(ABC, rows[i][0]), rows[i][1], "%s: %s", rows[i][0],
                         outcome(ABC, rows[i][0]));
}

TWICE(csv, takes_odd_quotes_as_text_where_it_may)
{
    static const char *const rows[][2] = {
        { "x,\"y\"z,w", "x|yz|w" },     { "x,y\"y,z", "x|y\"y|z" },
        { "x, \"y\",z", "x| \"y\"|z" }, { "x,y,\"z", "x|y|z" },
        { "x,y,\"z\"\"", "x|y|z\"" },   { "x,\"a\"\"b\"c\"d\",z", "x|a\"bc\"d\"|z" },
        { "x,y,\"", "x|y|" },           { "\"x,1\"2,y,z", "x,12|y|z" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome("quotes: lenient, " ABC, rows[i][0]), rows[i][1], "%s: %s",
                         rows[i][0], outcome("quotes: lenient, " ABC, rows[i][0]));
}

TWICE(csv, counts_fields)
{
    cr_expect_str_eq(outcome(ABC, "x,y"), "2 fields where there should be 3: no c");
    cr_expect_str_eq(outcome(ABC, ""), "1 field where there should be 3: no b");
    cr_expect_str_eq(outcome(ABC, "\"x\",y"), "2 fields where there should be 3: no c");
    cr_expect_str_eq(outcome(ABC, "x,y,z,"), "4 fields where there should be 3");
    cr_expect_str_eq(outcome(ABC, "x,y,z,\"w\""), "4 fields where there should be 3");
    cr_expect_str_eq(outcome("extra: ignore, " ABC, "x,y,z,w"), "x|y|z");
    cr_expect_str_eq(outcome("extra: ignore, " ABC, "x,y,\"z\",w,\"v\""), "x|y|z");
    cr_expect_str_eq(outcome("missing: empty, " ABC, "x"), "x||");
    cr_expect_str_eq(outcome("missing: empty, " ABC, "x,\"y\""), "x|y|");
    cr_expect_str_eq(outcome("missing: empty, quotes: lenient, " ABC, "x,\"y\"y"), "x|yy|");
}

TWICE(csv, reads_numbers_in_quotes_and_without)
{
    struct chain *c = csv_new("delimiter: ';', quote: \"'\", into: { i: int, _: skip, d: "
                              "decimal(2), f: float }");
    static const char *const rows[] = { "1;x;2.25;0.5", "'-7';'a;b';'3.5';'1e3'", "'4''';x;1;1",
                                        "1;x;;1",       "1;'x;1.234;1",           "1;'x';1.234;1" };
    load_rows(c, rows, 6);
    cr_assert_eq(chain_step(c, 0), 6);
    cr_expect_str_eq(chain_fates(c), "++!!!!");
    cr_expect_eq(chain_number(c, "i", 1), -7);
    cr_expect_eq(chain_number(c, "d", 0), 225);
    cr_expect_eq(chain_number(c, "d", 1), 350);
    cr_expect_float_eq(chain_float(c, "f", 1), 1000, 1e-9);
    cr_expect_str_eq(chain_reason(c, 2), "i: ''4'''' is not an int");
    cr_expect_str_eq(chain_reason(c, 3), "d: '' is not a decimal(2)");
    cr_expect_str_eq(chain_reason(c, 4), "no closing quote of field _");
    cr_expect_str_eq(chain_reason(c, 5), "d: 1.234 has more than 2 decimal digits");
    chain_free(c);
}

TWICE(csv, without_a_quote_knows_none)
{
    cr_expect_str_eq(outcome("quote: '', " ABC, "\"x,y\",z"), "\"x|y\"|z");
}

TWICE(csv, goes_through_a_million_columns)
{
    char *row = malloc(1000001), *quoted = malloc(3000001);
    memset(row, ',', 1000000);
    row[1000000] = 0;
    row[1] = 'y';
    for (size_t i = 0; i < 1000000; i++)
        memcpy(quoted + 3 * i, "\"\",", 3);
    quoted[3000000] = 0;
    cr_expect_str_eq(outcome(ABC, row), "1000000 fields where there should be 3");
    cr_expect_str_eq(outcome("extra: ignore, " ABC, row), "|y|");
    cr_expect_str_eq(outcome("extra: ignore, " ABC, quoted), "||");
    free(row);
    free(quoted);
}

TWICE(csv, sees_to_utf8_as_it_is_told)
{
    static const char bad[] = "x,y\xff\xe2\x82,\"\"\"\xc3\xa4\"\"\x80\"";
    cr_expect_str_eq(outcome(ABC, bad), "x|y\xff\xe2\x82|\"\xc3\xa4\"\x80");
    cr_expect_str_eq(outcome("utf8: replace, " ABC, bad), "x|y" U U "|\"\xc3\xa4\"" U);
    cr_expect_str_eq(outcome("utf8: fail, " ABC, bad), "b: not UTF-8 from byte 2 on: ff e2 82");
    cr_expect_str_eq(outcome("utf8: fail, " ABC, "x,\xc3\xa4,\xe2\x82\xac"),
                     "x|\xc3\xa4|\xe2\x82\xac");
    cr_expect_str_eq(outcome("utf8: replace, " ABC, "x,\"y\"\"\",z"), "x|y\"|z");
}

/* ---- room ------------------------------------------------------------------------- */

/* Runs the step until all is handled, as the engine does, with fresh room each time; appends
 * field a of all messages. */
static uint32_t run_in_turns(struct chain *c, char *all)
{
    uint32_t turns = 0, count = c->engine.count, first = 0;
    struct belt_view *view = &c->engine.view;
    *all = 0;
    while (first < count) {
        view->first = first;
        view->end = count;
        uint32_t handled = chain_step(c, 0);
        cr_assert_gt(handled, first);
        for (uint32_t i = first; i < handled; i++) {
            strcat(all, chain_reason(c, i) ? "!" : chain_text(c, "a", i));
            strcat(all, "|");
        }
        first = handled;
        turns++;
        belt_engine_fresh_room(&c->engine, first);
    }
    return turns;
}

/* All texts of a column move with the one that is made anew; what does not fit at once comes
 * in several goes, and nothing fails for what its neighbours need. */
TWICE(csv, makes_texts_anew_in_as_many_goes_as_it_takes)
{
    static char long_text[ROOM / 4], row[ROOM], want[40 * ROOM], got[40 * ROOM];
    const char *rows[60];
    memset(long_text, 'x', sizeof long_text - 1);
    *want = 0;
    for (uint32_t i = 0; i < 60; i++) {
        bool doubled = i % 7 == 3;
        snprintf(row, sizeof row, "\"%u%s%s\",y,z", i, long_text, doubled ? "\"\"" : "");
        rows[i] = strdup(row);
        snprintf(want + strlen(want), ROOM, "%u%s%s|", i, long_text, doubled ? "\"" : "");
    }
    struct chain *c = csv_new(ABC);
    load_rows(c, rows, 60);
    cr_expect_gt(run_in_turns(c, got), 10);
    cr_expect_str_eq(got, want);
    chain_free(c);
    for (uint32_t i = 0; i < 60; i++)
        free((char *)(uintptr_t)rows[i]);
}

TWICE(csv, fails_a_text_that_never_fits)
{
    static char row[2 * ROOM], got[10 * ROOM];
    memset(row, 'x', sizeof row);
    memcpy(row, "\"\"\"", 3);
    strcpy(row + ROOM + 100, "\",y,z");
    const char *const rows[] = { "1,y,z", row, "\"\"\"3\",y,z" };
    struct chain *c = csv_new(ABC);
    load_rows(c, rows, 3);
    run_in_turns(c, got);
    cr_expect_str_eq(got, "1|!|\"3|");
    cr_expect_not_null(strstr(chain_reason(c, 1), "new texts of"), "%s", chain_reason(c, 1));
    chain_free(c);
}

/* What a message that failed before has in the step's columns was never set. */
TWICE(csv, leaves_alone_what_failed_before)
{
    struct chain *c = csv_new(ABC);
    const char *const rows[] = { "1,y,z", "2,y,z", "\"\"\"3\",y,z" };
    load_rows(c, rows, 3);
    memset(c->engine.columns[1].as.spans, 0xee, BELT_FRAME * sizeof(struct belt_span));
    belt_fail_message(&c->engine.view, 1, "before");
    cr_assert_eq(chain_step(c, 0), 3);
    cr_expect_str_eq(chain_fates(c), "+!+");
    cr_expect_str_eq(chain_text(c, "a", 0), "1");
    cr_expect_str_eq(chain_text(c, "a", 2), "\"3");
    chain_free(c);
}

/* ---- against a plain reader --------------------------------------------------------- */

static uint32_t random_below(uint64_t *seed, uint32_t limit)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (uint32_t)((*seed >> 32) % limit);
}

/* The fields of `row` as RFC 4180 has it; their number, 0 when a quote is out of place and
 * that matters. */
static uint32_t plainly(const char *row, bool lenient, char fields[][300], uint32_t most)
{
    uint32_t count = 0;
    for (;; row++) {
        char text[300];
        uint32_t used = 0;
        bool quoted = *row == '"';
        if (quoted) {
            for (row++; *row && (*row != '"' || row[1] == '"'); row++) {
                text[used++] = *row;
                row += *row == '"';
            }
            if (!lenient && (!*row || (row[1] && row[1] != ',')))
                return 0;
            row += *row == '"';
        }
        for (; *row && *row != ','; row++) {
            if (*row == '"' && !lenient)
                return 0;
            text[used++] = *row;
        }
        text[used] = 0;
        if (count < most)
            strcpy(fields[count], text);
        count++;
        if (!*row)
            return count;
    }
}

static void make_row(uint64_t *seed, char *row)
{
    uint32_t kind = random_below(seed, 4), size = random_below(seed, kind ? 30 : 250);
    uint32_t commas = random_below(seed, 3) ? 2 : random_below(seed, 5);
    const char *letters = kind == 1 ? "xy\"\"\"," : kind == 2 ? "abcdefgh\"" : "abcdefghijklmnop";
    char *at = row;
    for (uint32_t f = 0; f <= commas; f++) {
        bool quoted = random_below(seed, 3) == 0 && kind != 3;
        if (quoted)
            *at++ = '"';
        for (uint32_t i = 0; i < size / (commas + 1); i++) {
            char c = letters[random_below(seed, (uint32_t)strlen(letters))];
            if (quoted && random_below(seed, 8) == 0)
                c = ",\n"[random_below(seed, 2)];
            *at++ = c;
            if (c == '"' && quoted && random_below(seed, 20))
                *at++ = '"';
        }
        if (quoted)
            *at++ = '"';
        *at++ = ',';
    }
    at[-1] = 0;
}

static void compare(bool lenient)
{
    static char rows[100][700], fields[100][3][300];
    uint64_t seed = lenient ? 17 : 71;
    struct chain *c = csv_new(lenient ? "quotes: lenient, " ABC : ABC);
    for (int round = 0; round < 300; round++) {
        const char *at[100];
        uint32_t counts[100];
        for (uint32_t i = 0; i < 100; i++) {
            make_row(&seed, rows[i]);
            at[i] = rows[i];
            counts[i] = plainly(rows[i], lenient, fields[i], 3);
        }
        load_rows(c, at, 100);
        for (uint32_t first = 0; first < 100;) {
            c->engine.view.first = first;
            c->engine.view.end = 100;
            uint32_t handled = chain_step(c, 0);
            for (uint32_t i = first; i < handled; i++) {
                cr_assert_eq(chain_live(c, i), counts[i] == 3, "%s: %s", rows[i],
                             chain_live(c, i) ? "taken" : chain_reason(c, i));
                for (int k = 0; chain_live(c, i) && k < 3; k++)
                    cr_assert_str_eq(chain_text(c,
                                                k == 0   ? "a"
                                                : k == 1 ? "b"
                                                         : "c",
                                                i),
                                     fields[i][k], "%s", rows[i]);
            }
            first = handled;
            belt_engine_fresh_room(&c->engine, first);
        }
    }
    chain_free(c);
}

TWICE(csv, reads_any_rows_as_a_plain_reader_does)
{
    compare(false);
}

TWICE(csv, reads_any_rows_leniently_as_a_plain_reader_does)
{
    compare(true);
}

/* ---- settings ----------------------------------------------------------------------- */

static void refuses(const char *settings, const char *words)
{
    char steps[500];
    snprintf(steps, sizeof steps, "- csv: { %s }", settings);
    refused(steps, words);
}

Test(csv_conf, refuses_what_it_cannot_do)
{
    refuses("delimiter: '::', " ABC, "p.yaml:2:21: the delimiter of csv must be one byte and no "
                                     "newline; the step split takes longer ones");
    refuses("quote: '\"\"', " ABC, "p.yaml:2:17: the quote of csv must be one byte and no newline, "
                                   "or \"\" for none");
    refuses("delimiter: \"'\", quote: \"'\", " ABC,
            "p.yaml:2:33: the quote and the delimiter are the same");
    refuses("quotes: loose, " ABC,
            "p.yaml:2:18: 'quotes' of csv must be one of strict, lenient, not 'loose'");
    refuses("missing: null, " ABC, "p.yaml:2:19: 'missing' of csv must be one of fail, empty, not "
                                   "'null'");
    refuses("utf8: drop, " ABC,
            "p.yaml:2:16: 'utf8' of csv must be one of keep, fail, replace, not 'drop'");
    refuses("into: { a: txt }", "p.yaml:2:21: field a: no type 'txt'; did you mean 'text'?");
    refuses("into: { a: { column: A, type: int } }",
            "p.yaml:2:21: field a: a type is one word, as int; { column, type } is for csv with "
            "header: true");
    refuses("header: true, into: { a: { colum: A, type: int } }",
            "p.yaml:2:37: unknown setting 'colum' of a; did you mean 'column'?");
    refuses("header: true, into: { a: { column: A } }",
            "p.yaml:2:35: field a: write { column: NAME, type: int }, the name as it stands in the "
            "header");
    refuses("header: true, into: { a: { column: A, type: skip } }",
            "p.yaml:2:54: field a: no type 'skip'; there are: text, int, decimal(DIGITS), float");
    refuses("colums: 3, " ABC, "p.yaml:2:10: unknown setting 'colums' of csv; known are delimiter, "
                               "quote, into, from, header, quotes, extra, missing, utf8");
}
