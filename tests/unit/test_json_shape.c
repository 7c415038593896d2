/* Records against the shape of another: what fits it is JSON, and its values are those that
 * the walk finds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "steps/json_shape_priv.h"

static const char *const paths[] = { "t", "n", "o.a[0]", "o.a[1]", "e", "s" };
#define PATHS (sizeof paths / sizeof *paths)
static const char record[] =
    "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}";

enum { ROOM = 4096 };

struct fixture {
    struct belt_json_paths paths;
    struct belt_json_index index;
    struct belt_json_walk walked, matched;
    struct belt_json_shape shape;
    char memory[2 * BELT_PAD + ROOM], *text;
    uint32_t size;
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct belt_error err;
    for (size_t p = 0; p < PATHS; p++)
        cr_assert_eq(belt_json_path_add(&f->paths, paths[p], NULL, &err), (int)p);
    cr_assert_eq(belt_json_index_open(&f->index, ROOM), 0);
    f->walked.paths = f->matched.paths = &f->paths;
    f->text = f->memory + BELT_PAD;
    return f;
}

static void fixture_free(struct fixture *f)
{
    belt_json_index_close(&f->index);
    belt_json_paths_free(&f->paths);
    free(f);
}

/* `tail` is what is behind it in memory. */
static void load(struct fixture *f, const char *text, uint32_t size, char tail)
{
    cr_assert_leq(size, ROOM);
    memset(f->memory, tail, sizeof f->memory);
    memcpy(f->text, text, size);
    f->size = size;
}

static bool walk(struct fixture *f)
{
    if (belt_json_index_make(&f->index, f->text, f->size) != BELT_JSON_OK)
        return false;
    f->walked.text = f->text;
    f->walked.token = f->index.at;
    f->walked.end = f->size;
    f->walked.escapes = memchr(f->text, '\\', f->size);
    return belt_json_walk(&f->walked);
}

static void learn(struct fixture *f, const char *text)
{
    load(f, text, (uint32_t)strlen(text), ' ');
    cr_assert(walk(f), "%s", text);
    belt_json_shape_learn(&f->shape, &f->walked, f->index.at, 0);
}

static bool match(struct fixture *f, belt_json_match_fn *match)
{
    return match(&f->shape, &f->matched, f->text, f->size);
}

/* Both compilations agree with each other, and with the walk if the record fits. */
static bool fits(struct fixture *f)
{
    bool fit = match(f, belt_json_match_v2);
    if (belt_isa_v3())
        cr_assert_eq(match(f, belt_json_match_v3), fit, "%.*s", (int)f->size, f->text);
    if (!fit)
        return false;
    cr_assert(walk(f), "%.*s", (int)f->size, f->text);
    cr_assert_eq(f->matched.found, f->walked.found);
    cr_assert_eq(f->matched.text, f->walked.text);
    cr_assert_eq(f->matched.escapes, f->walked.escapes);
    for (size_t slot = 0; slot < PATHS; slot++) {
        struct belt_json_value m = f->matched.values[slot], w = f->walked.values[slot];
        if (f->matched.found >> slot & 1)
            cr_assert(m.kind == w.kind && m.at == w.at && m.size == w.size, "%s of %.*s",
                      paths[slot], (int)f->size, f->text);
    }
    return true;
}

static bool text_fits(struct fixture *f, const char *text)
{
    load(f, text, (uint32_t)strlen(text), '\n');
    return fits(f);
}

Test(json_shape, takes_other_values_of_the_same_kinds)
{
#define END "\"s\":\"\",\"e\":null}"
    static const char *const same[] = {
        record,
        "{\"t\":\"\",\"n\":-0,\"o\":{\"a\":[1e9, false]},\"s\":\"s\",\"e\":true}",
        "{\"t\":\"a\\\"b\\u00e9\",\"n\":1234567890123,\"o\":{\"a\":[0, null]}," END,
        "{\"t\":\"caf\xc3\xa9\",\"n\":0,\"o\":{\"a\":[-1.25E-3, true]},\"s\":\"\",\"e\":false}",
        ("{\"t\":\"a text of more than a vector's bytes, and of more than two's\",\"n\":7,"
         "\"o\":{\"a\":[1234567.7654321, true]}," END),
    };
    struct fixture *f = fixture_new();
    learn(f, record);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        cr_expect(text_fits(f, same[i]), "%s", same[i]);
    fixture_free(f);
}

Test(json_shape, leaves_all_else_to_the_walk)
{
    static const char *const other[] = {
        "{\"t\":\"x yz\",\"n\":\"12\",\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5,true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"S\":\"\",\"e\":null}",
        "{\"t\":\"x yz\",\"n\":012,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x yz\",\"n\":12.,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x\\qz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x\xffz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x\tz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null}",
        "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":nul}",
        "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null",
        "{\"t\":\"x yz\",\"n\":12,\"o\":{\"a\":[1.5, true]},\"s\":\"\",\"e\":null} ",
        "",
    };
    struct fixture *f = fixture_new();
    learn(f, record);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        cr_expect_not(text_fits(f, other[i]), "%s", other[i]);
    fixture_free(f);
}

static const char odd[] = "\"\\{}[]:,01-.eEtn u\x01\xc3\xa9\xed";

/* Every byte left out, replaced by each odd one, or preceded by it; and every beginning. */
Test(json_shape, agrees_with_the_walk_on_records_with_one_byte_changed)
{
    struct fixture *f = fixture_new();
    const uint32_t size = sizeof record - 1;
    uint32_t fitting = 0;
    char text[ROOM];
    learn(f, record);
    for (uint32_t at = 0; at < size; at++)
        for (size_t k = 0; k < sizeof odd - 1; k++)
            for (uint32_t way = 0; way < 4; way++) {
                uint32_t gone = way == 0 || way == 2 ? 1 : 0, put = way == 0 || way == 1 ? 1 : 0;
                memcpy(text, record, size);
                memmove(text + at + put, record + at + gone, size - at - gone);
                if (put)
                    text[at] = odd[k];
                load(f, text, way == 3 ? at : size - gone + put, odd[k]);
                fitting += fits(f);
            }
    cr_expect_gt(fitting, 100);
    fixture_free(f);
}

Test(json_shape, agrees_with_the_walk_on_records_with_some_bytes_changed)
{
    struct fixture *f = fixture_new();
    const uint32_t size = sizeof record - 1;
    uint32_t fitting = 0;
    char text[ROOM];
    learn(f, record);
    srand(9);
    for (int round = 0; round < 200000; round++) {
        memcpy(text, record, size);
        for (int changes = 1 + rand() % 3; changes; changes--)
            text[(uint32_t)rand() % size] = odd[(size_t)rand() % (sizeof odd - 1)];
        load(f, text, size, '"');
        fitting += fits(f);
    }
    cr_expect_gt(fitting, 100);
    fixture_free(f);
}

Test(json_shape, remembers_nothing_of_records_too_large_or_with_a_wanted_object)
{
    char text[ROOM] = "{";
    struct fixture *f = fixture_new();
    learn(f, "{\"t\":{\"x\":1}}");
    cr_expect_eq(f->shape.values, 0);
    for (int i = 0; i <= BELT_JSON_PIECES; i++)
        sprintf(text + strlen(text), "%s\"m%d\":1", i ? "," : "", i);
    strcat(text, "}");
    learn(f, text);
    cr_expect_eq(f->shape.values, 0);
    sprintf(text, "{\"%0*d\":1}", BELT_JSON_PIECE, 0);
    learn(f, text);
    cr_expect_eq(f->shape.values, 0);
    learn(f, record);
    cr_expect_eq(f->shape.values, PATHS);
    fixture_free(f);
}
