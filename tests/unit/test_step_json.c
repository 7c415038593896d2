/* The step `json`: what it reads, what it refuses and why. */
#include "tests/unit/view_fixture.h"

#define N "- json: { into: { n: int } }"

/* What is left after `steps` of the only message: field `field`, or why it failed. */
static const char *outcome(const char *steps, const char *field, const char *line)
{
    static char out[ROOM];
    struct chain *c = chain_new(steps);
    chain_run(c, line);
    cr_assert_eq(c->engine.count, 1);
    if (chain_reason(c, 0)) {
        snprintf(out, sizeof out, "%s", chain_reason(c, 0));
    } else if (!chain_live(c, 0)) {
        strcpy(out, "dropped");
    } else {
        const struct belt_column_info *info = &c->spec->columns[chain_column(c, field)];
        if (info->type == BELT_TEXT)
            snprintf(out, sizeof out, "%s", chain_text(c, field, 0));
        else if (info->type == BELT_FLOAT)
            snprintf(out, sizeof out, "%g", chain_float(c, field, 0));
        else
            snprintf(out, sizeof out, "%lld", (long long)chain_number(c, field, 0));
    }
    chain_free(c);
    return out;
}

static const char *text_of(const char *line)
{
    return outcome("- json: { into: { a: text } }", "a", line);
}

/* ---- values ---------------------------------------------------------------------- */

Test(json, reads_every_type)
{
    struct chain *c = chain_new("- json: { into: { t: text, i: int, d: decimal(2), f: float, "
                                "b: bool, r: raw } }");
    chain_run(c, "{\"t\":\"x y\",\"i\":-7,\"d\":12.5,\"f\":1e3,\"b\":true,\"r\":[1, {\"a\":2}]}\n"
                 " { \"r\" : \"q\" , \"b\" : false , \"f\" : -0.5 , \"d\" : -1 , \"i\" : 0 , "
                 "\"t\" : \"\" }\t");
    cr_assert_str_eq(chain_fates(c), "++");
    cr_expect_str_eq(chain_text(c, "t", 0), "x y");
    cr_expect_eq(chain_number(c, "i", 0), -7);
    cr_expect_eq(chain_number(c, "d", 0), 1250);
    cr_expect_eq(chain_float(c, "f", 0), 1000);
    cr_expect_eq(chain_number(c, "b", 0), 1);
    cr_expect_str_eq(chain_text(c, "r", 0), "[1, {\"a\":2}]");
    cr_expect_str_eq(chain_text(c, "t", 1), "");
    cr_expect_eq(chain_number(c, "i", 1), 0);
    cr_expect_eq(chain_number(c, "d", 1), -100);
    cr_expect_eq(chain_float(c, "f", 1), -0.5);
    cr_expect_eq(chain_number(c, "b", 1), 0);
    cr_expect_str_eq(chain_text(c, "r", 1), "\"q\"");
    chain_free(c);
}

Test(json, a_text_without_escapes_stays_where_it_lies)
{
    struct chain *c = chain_new("- json: { into: { a: text } }");
    chain_run(c, "{\"a\":\"plain\"}");
    const struct belt_column *a = &c->engine.view.columns[chain_column(c, "a")];
    cr_expect_eq(a->base, c->engine.view.columns[0].base);
    cr_expect_eq(a->as.spans[0].at, 6);
    chain_free(c);
}

Test(json, goes_through_objects_and_elements)
{
    const char *line = "{\"a\":{\"b\":[10,{\"c\":\"deep\"},[30]]},\"x.y\":5,\"a/b~\":6}";
    cr_expect_str_eq(outcome("- json: { into: { v: { path: 'a.b[0]', type: int } } }", "v", line),
                     "10");
    cr_expect_str_eq(
        outcome("- json: { into: { v: { path: 'a.b[1].c', type: text } } }", "v", line), "deep");
    cr_expect_str_eq(
        outcome("- json: { into: { v: { path: 'a.b[2][0]', type: int } } }", "v", line), "30");
    cr_expect_str_eq(outcome("- json: { into: { v: { path: /a/b/1/c, type: text } } }", "v", line),
                     "deep");
    cr_expect_str_eq(outcome("- json: { into: { v: { path: /x.y, type: int } } }", "v", line), "5");
    cr_expect_str_eq(outcome("- json: { into: { v: { path: /a~1b~0, type: int } } }", "v", line),
                     "6");
    cr_expect_str_eq(outcome("- json: { into: { v: { path: 'a.b[3]', type: int } } }", "v", line),
                     "a.b[3]: it is not there");
}

Test(json, one_value_may_become_two_fields_and_its_parents_too)
{
    struct chain *c = chain_new("- json: { into: { whole: { path: a, type: raw }, n: { path: a.n, "
                                "type: int }, t: { path: a.n, type: raw } } }");
    chain_run(c, "{\"a\":{\"n\":5}}");
    cr_expect_str_eq(chain_text(c, "whole", 0), "{\"n\":5}");
    cr_expect_eq(chain_number(c, "n", 0), 5);
    cr_expect_str_eq(chain_text(c, "t", 0), "5");
    chain_free(c);
}

Test(json, decodes_escapes)
{
    cr_expect_str_eq(text_of("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"), "\"\\/\b\f\n\r\t");
    cr_expect_str_eq(text_of("{\"a\":\"caf\\u00e9 \\u20AC\"}"), "caf\xc3\xa9 \xe2\x82\xac");
    cr_expect_str_eq(text_of("{\"a\":\"\\ud83d\\ude00!\"}"), "\xf0\x9f\x98\x80!");
    cr_expect_str_eq(text_of("{\"\\u0061\":\"name\"}"), "name");
    cr_expect_str_eq(outcome("- json: { into: { a: raw } }", "a", "{\"a\":\"\\u00e9\"}"),
                     "\"\\u00e9\"");
}

Test(json, escapes_in_one_message_leave_the_texts_of_others)
{
    struct chain *c = chain_new("- json: { into: { a: text, b: text } }");
    chain_run(c, "{\"a\":\"one\",\"b\":\"uno\"}\n{\"a\":\"t\\u0077o\",\"b\":\"dos\"}\nbad\n"
                 "{\"a\":\"three\",\"b\":\"tr\\u0065s\"}");
    cr_assert_str_eq(chain_fates(c), "++!+");
    static const char *const want[][2] = {
        { "one", "uno" }, { "two", "dos" }, { 0 }, { "three", "tres" }
    };
    for (uint32_t i = 0; i < 4; i++)
        if (want[i][0]) {
            cr_expect_str_eq(chain_text(c, "a", i), want[i][0]);
            cr_expect_str_eq(chain_text(c, "b", i), want[i][1]);
        }
    chain_free(c);
}

Test(json, a_nul_in_an_escape_is_a_byte_of_the_text)
{
    struct chain *c = chain_new("- json: { into: { a: text } }");
    uint32_t size;
    chain_run(c, "{\"a\":\"x\\u0000y\"}");
    const char *text = belt_text(&c->engine.view, chain_column(c, "a"), 0, &size);
    cr_expect_eq(size, 3);
    cr_expect(memcmp(text, "x\0y", 3) == 0);
    chain_free(c);
}

Test(json, the_last_of_two_members_with_one_name_counts)
{
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1,\"n\":2}"), "2");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1,\"\\u006e\":2}"), "2");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1,\"n\":null}"), "n: it is null");
    cr_expect_str_eq(outcome("- json: { into: { n: { path: a.n, type: int } } }", "n",
                             "{\"a\":{\"n\":1},\"a\":{\"m\":2}}"),
                     "a.n: it is not there");
}

Test(json, what_is_not_there_fails_or_is_the_default)
{
    cr_expect_str_eq(outcome(N, "n", "{}"), "n: it is not there");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":null}"), "n: it is null");
    static const char *const types[][3] = {
        { "int", "-3", "-3" },   { "decimal(1)", "0.5", "5" }, { "float", "2.5", "2.5" },
        { "bool", "true", "1" }, { "text", "none", "none" },   { "text", "''", "" },
        { "raw", "'[]'", "[]" }
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char steps[200];
        snprintf(steps, sizeof steps, "- json: { into: { n: { type: %s, default: %s } } }",
                 types[i][0], types[i][1]);
        cr_expect_str_eq(outcome(steps, "n", "{\"m\":1}"), types[i][2]);
        if (strcmp(types[i][0], "raw") != 0)
            cr_expect_str_eq(outcome(steps, "n", "{\"n\":null}"), types[i][2]);
    }
    cr_expect_str_eq(outcome("- json: { into: { n: raw } }", "n", "{\"n\":null}"), "null");
}

Test(json, a_value_of_another_type_fails)
{
    cr_expect_str_eq(outcome(N, "n", "{\"n\":\"1\"}"), "n: a string, not int");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":true}"), "n: true, not int");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":[1]}"), "n: an array, not int");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":{}}"), "n: an object, not int");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1.5}"), "n: '1.5' is not an int");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1e3}"), "n: '1e3' is not an int");
    cr_expect_str_eq(text_of("{\"a\":1}"), "a: a number, not text");
    cr_expect_str_eq(outcome("- json: { into: { b: bool } }", "b", "{\"b\":1}"),
                     "b: a number, not a bool");
    cr_expect_str_eq(outcome("- json: { into: { d: decimal(1) } }", "d", "{\"d\":1.25}"),
                     "d: 1.25 has more than 1 decimal digits");
}

Test(json, a_number_out_of_range_fails_where_it_is_wanted)
{
    cr_expect_str_eq(outcome(N, "n", "{\"n\":9223372036854775807}"), "9223372036854775807");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":9223372036854775808}"),
                     "n: 9223372036854775808 is out of range for int");
    cr_expect_str_eq(outcome("- json: { into: { f: float } }", "f", "{\"f\":1e400}"),
                     "f: 1e400 is out of range for float");
    cr_expect_str_eq(outcome("- json: { into: { f: raw } }", "f", "{\"f\":1e400}"), "1e400");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":4,\"big\":1e400,\"huge\":123456789012345678901234}"),
                     "4");
}

Test(json, reads_another_field_than_the_payload)
{
    const char *steps = "- split: { delimiter: '|', into: { k: text, doc: text } }\n"
                        "- json: { from: doc, into: { n: int, s: text } }";
    struct chain *c = chain_new(steps);
    chain_run(c, "a|{\"n\":1,\"s\":\"x\"}\nb|{\"n\":2,\"s\":\"\\u0079\"}\nc|{\"n\":\nd|{\"n\":3");
    cr_expect_str_eq(chain_fates(c), "++!!");
    cr_expect_str_eq(chain_text(c, "s", 1), "y");
    cr_expect_str_eq(chain_text(c, "k", 1), "b");
    chain_free(c);
}

/* ---- what is no JSON ------------------------------------------------------------- */

Test(json, says_what_is_wrong_with_a_record)
{
    static const char *const rows[][2] = {
        { "{\"n\":1", "not JSON: no ',' or '}' at byte 7" },
        { "{\"n\":", "not JSON: no value at byte 6" },
        { "{\"n\"", "not JSON: no ':' at byte 5" },
        { "{\"n", "not JSON: a string without its closing quote" },
        { "{", "not JSON: no name in quotes at byte 2" },
        { "{\"n\":1,}", "not JSON: no name in quotes at byte 8" },
        { "{,\"n\":1}", "not JSON: no name in quotes at byte 2" },
        { "{\"n\" 1}", "not JSON: no ':' at byte 6" },
        { "{\"n\":1 2}", "not JSON: no ',' or '}' at byte 8" },
        { "{\"n\":[1,]}", "not JSON: no value at byte 9" },
        { "{\"n\":[1}", "not JSON: no ',' or ']' at byte 8" },
        { "{\"n\":1]", "not JSON: no ',' or '}' at byte 7" },
        { "{\"n\":1}}", "not JSON: no end of the record at byte 8" },
        { "{\"n\":1} x", "not JSON: no end of the record at byte 9" },
        { "{\"n\":1}{\"n\":2}", "not JSON: no end of the record at byte 8" },
        { "{\"n\":01}", "not JSON: no number at byte 6" },
        { "{\"n\":+1}", "not JSON: no value at byte 6" },
        { "{\"n\":1.}", "not JSON: no number at byte 6" },
        { "{\"n\":.5}", "not JSON: no value at byte 6" },
        { "{\"n\":1e}", "not JSON: no number at byte 6" },
        { "{\"n\":-}", "not JSON: no number at byte 6" },
        { "{\"n\":1,\"m\":00}", "not JSON: no number at byte 12" },
        { "{\"n\":1,\"m\":nul}", "not JSON: no value at byte 12" },
        { "{\"n\":1,\"m\":NaN}", "not JSON: no value at byte 12" },
        { "{\"n\":1,\"m\":'x'}", "not JSON: no value at byte 12" },
        { "{n:1}", "not JSON: no name in quotes at byte 2" },
        { "{\"n\":1,\"m\":\"\\x\"}", "not JSON: no valid escape in the string at byte 12" },
        { "{\"n\":1,\"m\":\"\\u12g4\"}", "not JSON: no valid escape in the string at byte 12" },
        { "{\"n\":1,\"m\":\"\\u12\"}", "not JSON: no valid escape in the string at byte 12" },
        { "{\"n\":1,\"m\":\"a\tb\"}", "not JSON: a control character in a string" },
        { "{\"n\":1,\"m\":\"\xff\"}", "not JSON: not UTF-8" },
        { "{\"n\":1,\"m\":\"\xed\xa0\x80\"}", "not JSON: not UTF-8" },
        { "[1]", "not JSON: no object at byte 1" },
        { "5", "not JSON: no object at byte 1" },
        { "\"n\"", "not JSON: no object at byte 1" },
        { "null", "not JSON: no object at byte 1" },
        { " ", "not JSON: nothing in it" },
        { "\xef\xbb\xbf{\"n\":1}", "not JSON: no object at byte 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(outcome(N, "n", rows[i][0]), rows[i][1], "%s: %s", rows[i][0],
                         outcome(N, "n", rows[i][0]));
}

Test(json, an_empty_line_fails)
{
    struct chain *c = chain_new(N);
    chain_run(c, "{\"n\":1}\n\n{\"n\":2}\n");
    cr_expect_str_eq(chain_fates(c), "+!+");
    cr_expect_str_eq(chain_reason(c, 1), "not JSON: nothing in it");
    chain_free(c);
}

/* Nothing behind a record is read as a part of it. */
Test(json, does_not_read_on_behind_a_record)
{
    static const char tails[] = "}]\",:1 \\";
    struct chain *c = chain_new(N);
    for (const char *tail = tails; *tail; tail++) {
        char line[200] = "{\"n\":{\"n\":{\"n\":1}";
        size_t size = strlen(line);
        memset(line + size, *tail, 100);
        chain_load(c, line, size, 0);
        memset(c->text + BELT_PAD + size, *tail, BELT_PAD);
        cr_assert_eq(chain_step(c, 0), 1);
        cr_expect_str_eq(chain_fates(c), "!");
    }
    chain_free(c);
}

Test(json, nests_256_deep_and_no_deeper)
{
    char line[3000] = "{\"n\":1,\"x\":";
    size_t begin = strlen(line);
    for (int depth = 255; depth <= 256; depth++) {
        memset(line + begin, '[', (size_t)depth);
        memset(line + begin + depth, ']', (size_t)depth);
        strcpy(line + begin + 2 * depth, "}");
        cr_expect_str_eq(outcome(N, "n", line),
                         depth == 255 ? "1" : "not JSON: no level beyond 256 at byte 267", "%s",
                         outcome(N, "n", line));
    }
}

Test(json, a_hundred_thousand_brackets_do_no_harm)
{
    size_t size = 100000;
    char *line = malloc(size);
    struct chain *c = chain_new(N);
    memset(line, '[', size);
    memcpy(line, "{\"n\":", 5);
    chain_load(c, line, size, 0);
    cr_assert_eq(chain_step(c, 0), 1);
    cr_expect_str_eq(chain_fates(c), "!");
    chain_free(c);
    free(line);
}

Test(json, half_a_surrogate_pair_fails_or_is_replaced)
{
    static const char *const lines[] = { "{\"a\":\"x\\ud83d\"}", "{\"a\":\"x\\ude00\"}",
                                         "{\"a\":\"x\\ude00\"}", "{\"a\":\"x\\ud83d\"}" };
    for (size_t i = 0; i < 4; i++) {
        cr_expect_str_eq(text_of(lines[i]), "a: half a surrogate pair");
        cr_expect_str_eq(outcome("- json: { utf8: replace, into: { a: text } }", "a", lines[i]),
                         "x\xef\xbf\xbd");
        cr_expect_str_eq(outcome("- json: { utf8: keep, into: { a: text } }", "a", lines[i]),
                         "x\xef\xbf\xbd");
    }
    cr_expect_str_eq(outcome("- json: { utf8: replace, into: { a: text } }", "a",
                             "{\"a\":\"\\ud83d\\ud83d\\ude00\"}"),
                     "\xef\xbf\xbd\xf0\x9f\x98\x80");
    cr_expect_str_eq(outcome(N, "n", "{\"n\":1,\"other\":\"\\ud83d\"}"), "1");
}

Test(json, bytes_that_are_not_utf8_fail_or_stay_or_are_replaced)
{
    const char *line = "{\"b\xff\":1,\"a\":\"x\xffy\xe2\x82z\\u0041\"}";
    cr_expect_str_eq(text_of(line), "not JSON: not UTF-8");
    cr_expect_str_eq(outcome("- json: { utf8: keep, into: { a: text } }", "a", line),
                     "x\xffy\xe2\x82zA");
    cr_expect_str_eq(outcome("- json: { utf8: replace, into: { a: text } }", "a", line),
                     "x\xef\xbf\xbdy\xef\xbf\xbdzA");
    cr_expect_str_eq(outcome("- json: { utf8: replace, into: { a: raw } }", "a", line),
                     "\"x\xef\xbf\xbdy\xef\xbf\xbdz\\u0041\"");
    cr_expect_str_eq(outcome("- json: { utf8: keep, into: { a: text } }", "a", "{\"a\":\xff}"),
                     "not JSON: no value at byte 6");
}

Test(json, a_record_longer_than_set_fails)
{
    char line[2000];
    snprintf(line, sizeof line, "{\"n\":1,\"x\":\"%01500d\"}", 0);
    cr_expect_str_eq(outcome("- json: { longest: 1KiB, into: { n: int } }", "n", line),
                     "json: 1514 bytes, longest is 1024");
    cr_expect_str_eq(outcome("- json: { longest: 2KiB, into: { n: int } }", "n", line), "1");
}

Test(json, a_text_with_escapes_that_does_not_fit_fails)
{
    char *line = malloc(2 * ROOM);
    snprintf(line, 2 * ROOM, "{\"a\":\"\\n%0*d\"}", ROOM, 0);
    cr_expect_str_eq(text_of(line), "json: texts of up to 8194 bytes, 8192 fit");
    free(line);
}

Test(json, stops_when_room_runs_out_and_goes_on)
{
    struct chain *c = chain_new("- json: { into: { a: text } }");
    char *lines = calloc(40, 1000);
    for (int i = 0; i < 40; i++)
        sprintf(lines + strlen(lines), "{\"a\":\"\\n%0500d\"}\n", i);
    chain_load(c, lines, strlen(lines), 0);
    uint32_t seen = 0, calls = 0;
    while (seen < 40) {
        c->engine.view.first = seen;
        uint32_t end = chain_step(c, 0);
        cr_assert_gt(end, seen);
        for (; seen < end; seen++)
            cr_expect_eq(atoi(chain_text(c, "a", seen) + 1), (int)seen);
        belt_engine_fresh_room(&c->engine, seen);
        calls++;
    }
    cr_expect_gt(calls, 1);
    chain_free(c);
    free(lines);
}

Test(json, reads_a_million_members)
{
    size_t room = 16 << 20, size = 1;
    char *line = malloc(room);
    struct chain *c = chain_new("- json: { longest: 16MiB, into: { n: int } }");
    line[0] = '{';
    for (int i = 0; i < 1000000; i++)
        size += (size_t)sprintf(line + size, "\"k%d\":%d,", i, i % 10);
    size += (size_t)sprintf(line + size, "\"n\":77}");
    cr_assert_lt(size, room);
    chain_load(c, line, size, 0);
    cr_assert_eq(chain_step(c, 0), 1);
    cr_expect_str_eq(chain_fates(c), "+");
    cr_expect_eq(chain_number(c, "n", 0), 77);
    chain_free(c);
    free(line);
}
