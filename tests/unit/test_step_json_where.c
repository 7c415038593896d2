/* The step `json`: which records `where` keeps, that the search beforehand changes nothing of
 * it, that neighbours do not either, and settings that are refused. */
#include "tests/unit/view_fixture.h"

/* ---- where ----------------------------------------------------------------------- */

#define WHERE(text) "- json: { into: { n: { type: int, default: 0 } }, where: " text " }"

Test(json, keeps_by_the_last_value_at_a_path)
{
    static const char *const rows[][2] = {
        { "{\"level\":\"error\",\"n\":1}", "+" },
        { "{\"level\":\"\\u0065rror\"}", "+" },
        { "{\"l\\u0065vel\":\"error\"}", "+" },
        { "{\"level\":\"info\"}", "-" },
        { "{\"level\":\"errors\"}", "-" },
        { "{\"level\":\"info\",\"msg\":\"error\"}", "-" },
        { "{\"level\":\"info\",\"a\":{\"level\":\"error\"}}", "-" },
        { "{\"a\":{\"level\":\"error\"}}", "-" },
        { "{\"level\":\"error\",\"level\":\"info\"}", "-" },
        { "{\"level\":\"info\",\"level\":\"error\"}", "+" },
        { "{\"level\":[\"error\"]}", "-" },
        { "{\"level\":null}", "-" },
        { "{\"msg\":\"\\\"error\\\"\"}", "-" },
        { "{}", "-" },
        { "{\"level\":\"error\",\"n\":\"x\"}", "!" },
        { "{\"level\":\"info\",\"n\":\"x\"}", "-" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct chain *c = chain_new(WHERE("{ level: error }"));
        chain_run(c, rows[i][0]);
        cr_expect_str_eq(chain_fates(c), rows[i][1], "%s", rows[i][0]);
        chain_free(c);
    }
}

Test(json, where_takes_lists_paths_numbers_and_words)
{
    struct chain *c = chain_new(WHERE("{ a.s: [500, true, 'null', 'x\"y', ''], m: GET }"));
    chain_run(c, "{\"a\":{\"s\":500},\"m\":\"GET\"}\n{\"a\":{\"s\":\"500\"},\"m\":\"GET\"}\n"
                 "{\"a\":{\"s\":true},\"m\":\"GET\"}\n{\"a\":{\"s\":null},\"m\":\"GET\"}\n"
                 "{\"a\":{\"s\":\"x\\\"y\"},\"m\":\"GET\"}\n{\"a\":{\"s\":\"\"},\"m\":\"GET\"}\n"
                 "{\"a\":{\"s\":500.0},\"m\":\"GET\"}\n{\"a\":{\"s\":500},\"m\":\"PUT\"}\n"
                 "{\"a\":{\"s\":[500]},\"m\":\"GET\"}\n{\"m\":\"GET\"}");
    cr_expect_str_eq(chain_fates(c), "++++++----");
    chain_free(c);
}

/* A record in which the values of `where` cannot be is not looked into: unless told to. */
Test(json, what_cannot_match_is_dropped_unread_if_it_looks_whole)
{
    const char *lines = "{\"level\":info}\n{\"level\":\"info\"\n{\"level\":error}\n\n"
                        "{\"level\":\"error\",}\n{\"level\":\\}";
    struct chain *c = chain_new(WHERE("{ level: error }"));
    chain_run(c, lines);
    cr_expect_str_eq(chain_fates(c), "-!-!!!");
    chain_free(c);
    c = chain_new("- json: { check: all, where: { level: error } }");
    chain_run(c, lines);
    cr_expect_str_eq(chain_fates(c), "!!!!!!");
    chain_free(c);
}

/* ---- properties ------------------------------------------------------------------ */

struct random {
    uint64_t state;
};

static uint32_t pick(struct random *r, uint32_t below)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(r->state >> 33) % below;
}

static const char *const levels[] = { "error",       "errors",          "info", "\\u0065rror",
                                      "err\\u006Fr", "a \\\"error\\\"", "",     "erro",
                                      "\\\\error" };

static size_t put_space(struct random *r, char *to)
{
    static const char *const spaces[] = { "", "", "", " ", "\t", "  " };
    return (size_t)sprintf(to, "%s", spaces[pick(r, 6)]);
}

/* An object; *level: of those at its own level the last one's, as text, or -1. */
static size_t put_object(struct random *r, char *to, int depth, int *level)
{
    static const char *const names[] = { "level", "msg", "l\\u0065vel", "error", "levels" };
    char *begin = to;
    int inner, members = (int)pick(r, 5);
    *level = -1;
    *to++ = '{';
    for (int m = 0; m < members; m++) {
        uint32_t name = pick(r, 5), what = pick(r, 8), text = pick(r, 9);
        to += sprintf(to, "%s\"%s\"", m ? "," : "", names[name]);
        to += put_space(r, to);
        *to++ = ':';
        to += put_space(r, to);
        bool is_level = name == 0 || name == 2;
        if (what == 0 && depth < 3) {
            to += put_object(r, to, depth + 1, &inner);
        } else if (what == 1) {
            to += sprintf(to, "[\"error\",%u,{\"level\":\"error\"}]", pick(r, 100));
        } else if (what == 2) {
            to += sprintf(to, "%u", pick(r, 1000));
        } else {
            to += sprintf(to, "\"%s\"", levels[text]);
        }
        if (is_level)
            *level = what > 2 || (what == 0 && depth >= 3) ? (int)text : -1;
        to += put_space(r, to);
    }
    *to++ = '}';
    return (size_t)(to - begin);
}

static void check_fates(const char *steps, const char *isa, const char *lines, const char *want)
{
    setenv("BELT_ISA", isa, 1);
    struct chain *c = chain_new(steps);
    chain_run(c, lines);
    cr_assert_str_eq(chain_fates(c), want, "%s, %s:\n%s", steps, isa, lines);
    chain_free(c);
}

Test(json, the_search_beforehand_changes_nothing)
{
    struct random r = { 20261121 };
    static char lines[1 << 20], want[BELT_FRAME + 1];
    for (int round = 0; round < 300; round++) {
        char *to = lines;
        uint32_t count = 1 + pick(&r, 200);
        for (uint32_t i = 0; i < count; i++) {
            int level;
            to += put_object(&r, to, 0, &level);
            *to++ = '\n';
            want[i] = level == 0 || level == 3 || level == 4 ? '+' : '-';
        }
        *to = want[count] = 0;
        for (int isa = 0; isa < 2; isa++) {
            const char *name = isa ? "v3" : "v2";
            check_fates("- json: { where: { level: error } }", name, lines, want);
            check_fates("- json: { where: { level: error }, check: all }", name, lines, want);
        }
    }
}

/* Records of a run have their tokens found together: each gets what it gets alone. */
Test(json, records_together_give_what_each_gives_alone)
{
    struct random r = { 7 };
    static char lines[1 << 20];
    struct chain *all = chain_new("- json: { into: { level: { type: raw, default: x } } }");
    struct chain *one = chain_new("- json: { into: { level: { type: raw, default: x } } }");
    for (int round = 0; round < 500; round++) {
        char *to = lines;
        for (uint32_t i = 0; i < 30; i++) {
            int level;
            size_t size = put_object(&r, to, 0, &level);
            /* Most rounds break some records by a byte, or cut them short. */
            if (round % 4 && pick(&r, 8) == 0)
                to[pick(&r, (uint32_t)size)] = "\"\\{}[]:,0x\xc3\x01"[pick(&r, 12)];
            if (round % 4 && pick(&r, 16) == 0)
                size = pick(&r, (uint32_t)size);
            to += size;
            *to++ = '\n';
        }
        *to = 0;
        chain_run(all, lines);
        char *line = lines;
        for (uint32_t i = 0; i < all->engine.count; i++) {
            size_t size = strcspn(line, "\n");
            chain_load(one, line, size + 1, 0);
            cr_assert_eq(chain_step(one, 0), 1);
            const char *reason = chain_reason(all, i), *alone = chain_reason(one, 0);
            cr_assert_str_eq(reason ? reason : "", alone ? alone : "", "%.*s", (int)size, line);
            if (!reason) {
                char got[ROOM];
                strcpy(got, chain_text(all, "level", i));
                cr_assert_str_eq(got, chain_text(one, "level", 0));
            }
            line += size + 1;
        }
    }
    chain_free(all);
    chain_free(one);
}

/* ---- settings -------------------------------------------------------------------- */

Test(json, refuses_bad_settings_with_their_place)
{
    refused("- json: { }", "p.yaml:2:9: json needs into, the fields to read, or where, the "
                           "records to keep");
    refused("- json: { into: [a] }", "p.yaml:2:17: into names the fields: { name: type, ... }");
    refused("- json: { into: { a: txt } }", "p.yaml:2:22: field a: no type 'txt'; did you mean "
                                            "'text'?");
    refused("- json: { into: { a: bol } }", "p.yaml:2:22: field a: no type 'bol'; did you mean "
                                            "'bool'?");
    refused("- json: { into: { a: { path: b } } }",
            "p.yaml:2:22: field a: its type is missing: { path: a.b, type: int }");
    refused("- json: { into: { a: { type: int, defalt: 1 } } }",
            "p.yaml:2:43: field a: no setting 'defalt'; there are: path, type, default");
    refused("- json: { into: { a: { type: int, default: x } } }",
            "p.yaml:2:44: a: 'x' is not an int");
    refused("- json: { into: { a: { type: bool, default: 1 } } }",
            "p.yaml:2:45: field a: default is true or false");
    refused(
        "- json: { into: { a: { type: raw, default: null } } }",
        "p.yaml:2:44: field a: a default is '' for an empty text and 'null' for JSON's null, in "
        "quotes; leave it out for none");
    refused("- json: { into: { a: { path: 'a..b', type: int } } }",
            "p.yaml:2:30: path 'a..b': a name is empty; write a.b[2] or /a/b/2");
    refused("- json: { into: { a: { path: 'a[x]', type: int } } }",
            "p.yaml:2:30: path 'a[x]': an element is a number from 0 on; write a.b[2] or /a/b/2");
    refused("- json: { into: { a: { path: 'a[1', type: int } } }",
            "p.yaml:2:30: path 'a[1': a [ without its ]; write a.b[2] or /a/b/2");
    refused("- json: { into: { a: { path: 'a[1]b', type: int } } }",
            "p.yaml:2:30: path 'a[1]b': behind a ] comes a . or a [; write a.b[2] or /a/b/2");
    refused("- json: { into: { a: { path: '/a~2', type: int } } }",
            "p.yaml:2:30: path '/a~2': a ~ itself is written ~0, a / is ~1; write a.b[2] or "
            "/a/b/2");
    refused("- json: { into: { a: { path: '', type: int } } }",
            "p.yaml:2:30: path '': it is empty; write a.b[2] or /a/b/2");
    refused("- json: { where: error }", "p.yaml:2:18: where is a map: { path: value }");
    refused("- json: { where: { level: [] } }", "p.yaml:2:27: level: the list of values is empty");
    refused("- json: { where: { n: { from: 5 } } }",
            "p.yaml:2:23: n: where compares with a value or a list of values; for all else name "
            "the field in into, and let keep choose");
    refused("- json: { where: { n: null } }",
            "p.yaml:2:23: n: for JSON's null write 'null', in quotes");
    refused("- json: { from: x, into: { a: int } }", "p.yaml:2:17: no field 'x' here; there are: "
                                                     "payload");
    refused("- split: { into: { n: int } }\n- json: { from: n, into: { a: int } }",
            "p.yaml:3:17: only a text can be JSON; 'n' is int");
}
