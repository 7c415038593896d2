/* The step `split`: every test of its work runs with both compilations of the
 * hot code, and the last ones hold it against a reader of a few plain lines. */
#include "tests/unit/view_fixture.h"

#include "steps/number_priv.h"

#define SENSOR "- split: { delimiter: ';', into: { sensor: text, value: decimal(1) } }"
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

/* What is left after `field` of the only message: its number, or why it failed. */
static const char *outcome(const char *steps, const char *field, const char *line)
{
    static char out[BELT_REASON];
    struct chain *c = chain_new(steps);
    chain_run(c, line);
    if (chain_reason(c, 0))
        snprintf(out, sizeof out, "%s", chain_reason(c, 0));
    else
        snprintf(out, sizeof out, "%lld", (long long)chain_number(c, field, 0));
    chain_free(c);
    return out;
}

TWICE(split, reads_names_and_decimals)
{
    struct chain *c = chain_new(SENSOR);
    chain_run(c, "Hamburg;12.3\nBulawayo;-8.9\n;0.0\nSt. John's;-0.4\nx;5\ny;+1.5\nz;1234567.8\n"
                 "w;123456789.0");
    static const struct {
        const char *sensor;
        int64_t value;
    } rows[] = { { "Hamburg", 123 }, { "Bulawayo", -89 }, { "", 0 },         { "St. John's", -4 },
                 { "x", 50 },        { "y", 15 },         { "z", 12345678 }, { "w", 1234567890 } };
    cr_expect_str_eq(chain_fates(c), "++++++++");
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_str_eq(chain_text(c, "sensor", i), rows[i].sensor);
        cr_expect_eq(chain_number(c, "value", i), rows[i].value, "%s", rows[i].sensor);
    }
    chain_free(c);
}

TWICE(split, says_why_a_decimal_is_none)
{
    static const char *const rows[][2] = {
        { "a;abc", "value: 'abc' is not a decimal(1)" },
        { "a;", "value: '' is not a decimal(1)" },
        { "a;-", "value: '-' is not a decimal(1)" },
        { "a;.", "value: '.' is not a decimal(1)" },
        { "a;1.", "value: '1.' is not a decimal(1)" },
        { "a;.5", "value: '.5' is not a decimal(1)" },
        { "a;-.5", "value: '-.5' is not a decimal(1)" },
        { "a;--1.5", "value: '--1.5' is not a decimal(1)" },
        { "a;1-2.5", "value: '1-2.5' is not a decimal(1)" },
        { "a;1.-", "value: '1.-' is not a decimal(1)" },
        { "a;12:3", "value: '12:3' is not a decimal(1)" },
        { "a;1.5 ", "value: '1.5 ' is not a decimal(1)" },
        { "a;1,5", "value: '1,5' is not a decimal(1)" },
        { "a;1.25", "value: 1.25 has more than 1 decimal digits" },
        { "a;1000000000000000000", "value: 1000000000000000000 is out of range for decimal(1)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome(SENSOR, "value", rows[i][0]), rows[i][1]);
}

TWICE(split, says_which_delimiter_is_missing_or_too_many)
{
    cr_expect_str_eq(outcome(SENSOR, "value", "no delimiter"), "no ';' after field sensor");
    cr_expect_str_eq(outcome(SENSOR, "value", "12.3"), "no ';' after field sensor");
    cr_expect_str_eq(outcome(SENSOR, "value", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa12.3"),
                     "no ';' after field sensor");
    cr_expect_str_eq(outcome(SENSOR, "value", "a;1.5;"),
                     "more than 2 fields: another ';' after field value");
    cr_expect_str_eq(
        outcome("- split: { delimiter: \"\\t\", into: { a: text, n: int } }", "n", "a 1"),
        "no '\\t' after field a");
}

TWICE(split, an_empty_message_is_one_empty_field)
{
    struct chain *c = chain_new("- split: { into: { a: text } }");
    chain_run(c, "\nx");
    cr_expect_str_eq(chain_fates(c), "++");
    cr_expect_str_eq(chain_text(c, "a", 0), "");
    chain_free(c);
}

TWICE(split, finds_the_delimiter_behind_names_of_any_length)
{
    struct chain *c = chain_new(SENSOR);
    char line[200];
    for (size_t size = 0; size <= 130; size++) {
        memset(line, 'n', sizeof line);
        strcpy(line + size, ";-4.2");
        chain_run(c, line);
        cr_expect_str_eq(chain_fates(c), "+");
        cr_expect_eq(strlen(chain_text(c, "sensor", 0)), size);
        cr_expect_eq(chain_number(c, "value", 0), -42);
    }
    chain_free(c);
}

TWICE(split, reads_integers_to_both_ends_of_their_range)
{
    const char *steps = "- split: { into: { name: text, n: int } }";
    static const char *const rows[][2] = {
        { "a,0", "0" },
        { "a,-1", "-1" },
        { "a,12345678", "12345678" },
        { "a,-12345678", "-12345678" },
        { "a,9223372036854775807", "9223372036854775807" },
        { "a,-9223372036854775808", "-9223372036854775808" },
        { "a,9223372036854775808", "n: 9223372036854775808 is out of range for int" },
        { "a,", "n: '' is not an int" },
        { "a,-", "n: '-' is not an int" },
        { "a,1.5", "n: '1.5' is not an int" },
        { "a,1-", "n: '1-' is not an int" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome(steps, "n", rows[i][0]), rows[i][1]);
}

TWICE(split, reads_decimals_of_any_number_of_digits)
{
    char steps[200], line[100], expected[40];
    for (int digits = 0; digits <= 18; digits++) {
        snprintf(steps, sizeof steps, "- split: { into: { name: text, n: decimal(%d) } }", digits);
        snprintf(line, sizeof line, "a,-1%s%.*s", digits ? "." : "", digits, "234567890123456789");
        snprintf(expected, sizeof expected, "-1%.*s", digits, "234567890123456789");
        cr_expect_str_eq(outcome(steps, "n", line), expected);
    }
}

TWICE(split, takes_many_fields_and_skips_some)
{
    struct chain *c = chain_new("- split: { delimiter: ' ', into: { day: text, _: skip, "
                                "n: int, unused: skip, x: float, rest: text } }");
    chain_run(c, "2024-01-02 noise 42 none 2.5e3 end");
    cr_expect_str_eq(chain_fates(c), "+", "%s", chain_reason(c, 0));
    cr_expect_str_eq(chain_text(c, "day", 0), "2024-01-02");
    cr_expect_eq(chain_number(c, "n", 0), 42);
    cr_expect_eq(chain_float(c, "x", 0), 2500.0);
    cr_expect_str_eq(chain_text(c, "rest", 0), "end");
    cr_expect_eq(c->spec->columns_used, 5);
    chain_free(c);
}

TWICE(split, may_skip_the_name_before_a_number)
{
    cr_expect_str_eq(outcome("- split: { into: { _: skip, n: int } }", "n", "abc,7"), "7");
}

TWICE(split, names_the_first_bad_field)
{
    const char *steps = "- split: { into: { a: int, b: int, c: float } }";
    cr_expect_str_eq(outcome(steps, "a", "1,x,y"), "b: 'x' is not an int");
    cr_expect_str_eq(outcome(steps, "a", "1,2,y"), "c: 'y' is not a float");
    cr_expect_str_eq(outcome(steps, "a", "1,2"), "no ',' after field b");
    cr_expect_str_eq(outcome(steps, "a", "1,2,3,4"),
                     "more than 3 fields: another ',' after field c");
    cr_expect_str_eq(outcome(steps, "a", "5,2,3"), "5");
}

TWICE(split, ignores_extra_fields_when_told)
{
    struct chain *c = chain_new("- split: { into: { a: text, n: int }, extra: ignore }");
    chain_run(c, "x,1,2,3\ny,2\nz");
    cr_expect_str_eq(chain_fates(c), "++!");
    cr_expect_eq(chain_number(c, "n", 0), 1);
    chain_free(c);
}

TWICE(split, leaves_the_rest_to_the_last_text_when_told)
{
    struct chain *c = chain_new("- split: { into: { a: text, b: text }, extra: rest }");
    chain_run(c, "x,1,,2\ny,");
    cr_expect_str_eq(chain_text(c, "b", 0), "1,,2");
    cr_expect_str_eq(chain_text(c, "b", 1), "");
    chain_free(c);
}

TWICE(split, a_long_delimiter_must_be_there_whole_and_once)
{
    struct chain *c = chain_new("- split: { delimiter: '::', into: { a: text, b: text } }");
    chain_run(c, "x::y\nx:y::z\nx:::y\nx:y:\nx::y:\n"
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::b\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::b");
    cr_expect_str_eq(chain_fates(c), "+++!+++");
    cr_expect_str_eq(chain_text(c, "a", 1), "x:y");
    cr_expect_str_eq(chain_text(c, "b", 2), ":y");
    cr_expect_str_eq(chain_text(c, "b", 4), "y:");
    cr_expect_str_eq(chain_text(c, "b", 5), "b");
    cr_expect_str_eq(chain_text(c, "a", 6), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    cr_expect_str_eq(chain_reason(c, 3), "no '::' after field a");
    chain_free(c);
}

TWICE(split, a_delimiter_may_be_a_byte_of_numbers)
{
    struct chain *c = chain_new("- split: { delimiter: '-', into: { a: text, n: int } }");
    chain_run(c, "x-1\nx--1");
    cr_expect_str_eq(chain_fates(c), "+!");
    chain_free(c);
}

TWICE(split, splits_a_field_made_by_an_earlier_step)
{
    struct chain *c = chain_new("- split: { into: { a: text, b: text } }\n"
                                "- split: { from: a, delimiter: '=', "
                                "into: { key: text, n: int } }");
    chain_run(c, "x=1,y\nbad\nz=2,y\nx,y");
    cr_expect_str_eq(chain_fates(c), "+!+!");
    cr_expect_str_eq(chain_reason(c, 3), "no '=' after field key");
    cr_expect_eq(chain_number(c, "n", 2), 2);
    cr_expect_str_eq(chain_text(c, "key", 2), "z");
    chain_free(c);
}

TWICE(split, touches_no_message_outside_its_range_or_dead)
{
    struct chain *c = chain_new(SENSOR);
    char text[64 * 40] = "";
    for (int i = 0; i < 200; i++)
        strcat(text, "name;1.5\n");
    chain_load(c, text, strlen(text), 0);
    for (uint32_t i = 0; i < 200; i++) {
        c->engine.columns[chain_column(c, "value")].as.numbers[i] = 77;
        if (i % 3 == 0)
            belt_drop(&c->engine.view, i);
        if (i % 3 == 0 || i < 70 || i >= 150) /* reading it would crash */
            c->spans[i] = (struct belt_span){ UINT32_MAX - 9, 12 };
    }
    c->engine.view.first = 70;
    c->engine.view.end = 150;
    cr_assert_eq(chain_step(c, 0), 150);
    for (uint32_t i = 0; i < 200; i++)
        cr_expect_eq(chain_number(c, "value", i), i % 3 && i >= 70 && i < 150 ? 15 : 77);
    chain_free(c);
}

/* ---- against a plain reader -------------------------------------------------------- */

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % limit;
}

struct shape {
    const char *step, *delimiter;
    int fields;
    enum { FAIL, IGNORE, REST } extra;
    const char *types; /* t text, i int, d decimal(1), D decimal(9), s skip */
};

static const struct shape shapes[] = {
    { SENSOR, ";", 2, FAIL, "td" },
    { "- split: { into: { f0: text, f1: int } }", ",", 2, FAIL, "ti" },
    { "- split: { into: { _: skip, f1: decimal(9) } }", ",", 2, FAIL, "sD" },
    { "- split: { into: { f0: int, f1: text, f2: decimal(1) }, extra: ignore }", ",", 3, IGNORE,
      "itd" },
    { "- split: { into: { f0: text, f1: text }, extra: rest }", ",", 2, REST, "tt" },
    { "- split: { delimiter: 'ab', into: { f0: text, f1: int, f2: text } }", "ab", 3, FAIL, "tit" },
    { "- split: { into: { f0: int } }", ",", 1, FAIL, "i" },
};

/* Lines of such pieces, which are odd once in `often`: with 12, lines are wrong about as often
 * as they are right. */
static size_t random_lines(const struct shape *shape, char *out, int lines, uint32_t often)
{
    static const char *const odd[] = { "",         "-",        ".",         "-.5",
                                       "1.",       "+3",       "1.25",      "a",
                                       "b",        "0",        "-0.0",      "12345678",
                                       "123456.7", "-99999.9", "1234567.8", "99999999999999999999",
                                       "\xc3\xa4", "5-",       "--2",       "n;longer9",
                                       "n,longer9" };
    char *at = out;
    for (int line = 0; line < lines; line++) {
        int fields = shape->fields + (below(often) == 0) - (below(often) == 0);
        for (int f = 0; f < fields; f++) {
            char type = shape->types[f % shape->fields];
            if (below(often) == 0)
                at += sprintf(at, "%s", odd[below(sizeof odd / sizeof *odd)]);
            else if (type == 'i')
                at += sprintf(at, "%d", (int)below(20000) - 10000);
            else if (type == 'd')
                at += sprintf(at, "%s%u.%u", below(2) ? "-" : "", below(120), below(10));
            else
                for (uint32_t left = below(8) ? below(17) : below(101); left; left--)
                    *at++ = "aabxyz. 1-"[below(10)];
            at += sprintf(at, "%s", f + 1 < fields ? shape->delimiter : "");
        }
        *at++ = '\n';
    }
    return (size_t)(at - out);
}

/* True when the line is as the shape wants it; then the fields. */
static bool plain_read(const struct shape *shape, const char *line, size_t size,
                       struct belt_span *texts, int64_t *numbers)
{
    size_t at = 0, step = strlen(shape->delimiter);
    for (int f = 0; f < shape->fields; f++) {
        size_t end = at;
        while (end < size && (size - end < step || memcmp(line + end, shape->delimiter, step)))
            end++;
        bool last = f + 1 == shape->fields;
        if (last && shape->extra == REST)
            end = size;
        if (last ? end < size && shape->extra == FAIL : end == size)
            return false;
        texts[f] = (struct belt_span){ (uint32_t)at, (uint32_t)(end - at) };
        at = end + step;
    }
    for (int f = 0; f < shape->fields; f++) {
        unsigned digits = shape->types[f] == 'd' ? 1 : shape->types[f] == 'D' ? 9 : 0;
        if (strchr("idD", shape->types[f]) &&
            belt_number_parse(line + texts[f].at, texts[f].size, digits, &numbers[f]))
            return false;
    }
    return true;
}

static void compare(struct chain *c, const struct shape *shape, uint32_t i)
{
    const char *line = c->engine.columns[0].base + c->spans[i].at;
    struct belt_span texts[4];
    int64_t numbers[4];
    bool good = plain_read(shape, line, c->spans[i].size, texts, numbers);
    cr_assert_eq(chain_live(c, i), good, "%.*s: %s", (int)c->spans[i].size, line,
                 good ? chain_reason(c, i) : "taken");
    cr_assert(good || *chain_reason(c, i), "no reason");
    for (int f = 0, column = 1; good && f < shape->fields; f++) {
        if (shape->types[f] == 's')
            continue;
        uint32_t size;
        if (shape->types[f] != 't') {
            cr_assert_eq(belt_number(&c->engine.view, column++, i), numbers[f], "%.*s",
                         (int)c->spans[i].size, line);
            continue;
        }
        const char *text = belt_text(&c->engine.view, column++, i, &size);
        cr_assert_eq(size, texts[f].size);
        cr_assert_eq(text, line + texts[f].at);
    }
}

static void compare_lines(uint32_t often)
{
    static char text[1024 * 600];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct chain *c = chain_new(shapes[s].step);
            int lines = below(4) ? BELT_FRAME : (int)below(BELT_FRAME);
            chain_load(c, text, random_lines(&shapes[s], text, lines, often), below(64));
            cr_assert_eq(chain_step(c, 0), (uint32_t)c->engine.count);
            for (uint32_t i = 0; i < c->engine.count; i++)
                compare(c, &shapes[s], i);
            chain_free(c);
        }
    }
}

TWICE(split_random, agrees_with_a_plain_reader)
{
    compare_lines(12);
}

TWICE(split_random, agrees_with_a_plain_reader_where_hardly_a_line_is_odd)
{
    compare_lines(300);
}

/* Between the first and the last of 64 are as many delimiters as there are messages, but not
 * in these. */
TWICE(split, looks_into_records_that_lie_elsewhere)
{
    struct chain *c = chain_new(SENSOR);
    char text[66 * 12] = "";
    for (int i = 0; i < 64; i++)
        strcat(text, "name;1.5\n");
    strcat(text, "a;longer9;1.5\n");
    chain_load(c, text, strlen(text), 0);
    c->spans[5] = c->spans[64];
    cr_assert_eq(chain_step(c, 0), 65);
    for (uint32_t i = 0; i < 64; i++)
        cr_expect_eq(chain_live(c, i), i != 5, "%u", i);
    chain_free(c);
}

/* Records without anything between them; one that has two delimiters makes up for it. */
TWICE(split, takes_no_delimiter_from_the_record_before)
{
    struct chain *c = chain_new(SENSOR);
    char text[66 * 14] = "";
    strcat(text, "a;longer9;1.5\n");
    for (int i = 1; i < 62; i++)
        strcat(text, "name;1234.5\n");
    strcat(text, "x;12.5\n-");
    chain_load(c, text, strlen(text), 0);
    c->spans[62].size = 3;
    c->spans[63] = (struct belt_span){ c->spans[62].at + 3, 3 };
    cr_assert_eq(chain_step(c, 0), 64);
    for (uint32_t i = 0; i < 64; i++)
        cr_expect_eq(chain_live(c, i), i != 0 && i != 63, "%u", i);
    chain_free(c);
}

/* ---- configuration ------------------------------------------------------------------ */

Test(split_conf, refuses_a_delimiter_of_no_or_nine_bytes)
{
    refused("- split: { delimiter: '', into: { a: text } }",
            "p.yaml:2:23: a delimiter has 1 to 8 bytes, this one has 0");
    refused("- split: { delimiter: '123456789', into: { a: text } }",
            "p.yaml:2:23: a delimiter has 1 to 8 bytes, this one has 9");
}

Test(split_conf, refuses_types_that_do_not_exist)
{
    refused("- split: { into: { a: txt } }",
            "p.yaml:2:23: field a: no type 'txt'; did you mean 'text'?");
    refused("- split: { into: { a: blob } }",
            "p.yaml:2:23: field a: no type 'blob'; there are: text, int, decimal(DIGITS), "
            "float, skip");
    refused("- split: { into: { a: [text] } }",
            "p.yaml:2:23: field a: a type is text, int, decimal(DIGITS), float or skip");
}

Test(split_conf, refuses_decimals_without_or_with_too_many_digits)
{
    static const char *const types[] = { "decimal",     "decimal()", "decimal(19)",
                                         "decimal(-1)", "decimal(1", "decimal(1)x" };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char steps[100], words[200];
        snprintf(steps, sizeof steps, "- split: { into: { a: '%s' } }", types[i]);
        snprintf(words, sizeof words,
                 "p.yaml:2:23: '%s': write decimal(DIGITS), 0 to 18 digits "
                 "after the point",
                 types[i]);
        refused(steps, words);
    }
}

Test(split_conf, refuses_what_names_no_fields)
{
    refused("- split: { into: {} }", "p.yaml:2:18: into names the fields: { name: type, ... }");
    refused("- split: { into: a }", "p.yaml:2:18: into names the fields: { name: type, ... }");
}

Test(split_conf, refuses_a_field_that_is_there_already)
{
    refused("- split: { into: { payload: text } }",
            "p.yaml:2:29: there is a field 'payload' already");
}

Test(split_conf, refuses_to_split_what_is_no_text)
{
    refused("- split: { into: { n: int } }\n- split: { from: n, into: { a: text } }",
            "p.yaml:3:18: only a text can be split; 'n' is int");
    refused("- split: { from: payloda, into: { a: text } }",
            "p.yaml:2:18: no field 'payloda' here; did you mean 'payload'?");
}

Test(split_conf, refuses_to_leave_the_rest_to_a_number)
{
    refused("- split: { into: { a: text, n: int }, extra: rest }",
            "p.yaml:2:46: extra: rest needs a text as the last field; 'n' is none");
}
