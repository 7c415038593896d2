/* The setting `where` of the step `json`: which records it keeps, and which of them cannot
 * be among those, told by their bytes alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/tree_priv.h"
#include "steps/find_priv.h"
#include "steps/json_priv.h"

/* ---- the setting ----------------------------------------------------------------- */

static int read_value(struct belt_json_text *text, const char *path, const struct belt_node *node,
                      struct belt_error *err)
{
    text->bytes = belt_node_text(node);
    if (!text->bytes)
        return belt_node_error(err, node, "%s: a value is one text", path);
    if (node->null)
        return belt_node_error(err, node, "%s: for JSON's null write 'null', in quotes", path);
    text->size = (uint32_t)strlen(text->bytes);
    if (text->size > BELT_JSON_EQUAL)
        return belt_node_error(err, node, "%s: a value has at most %d bytes", path,
                               BELT_JSON_EQUAL);
    return 0;
}

static int read_test(struct belt_json *json, size_t i, struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(json->where, i);
    const char *path = belt_node_key(json->where, i);
    struct belt_json_test *test = &json->tests[i];
    bool list = belt_node_kind(node) == BELT_NODE_LIST;
    size_t count = list ? belt_node_count(node) : 1;
    if (count == 0)
        return belt_node_error(err, node, "%s: the list of values is empty", path);
    if (belt_node_kind(node) == BELT_NODE_MAP)
        return belt_node_error(err, node,
                               "%s: where compares with a value or a list of values; for all "
                               "else name the field in into, and let keep choose",
                               path);
    test->slot = belt_json_path_add(&json->paths, path, node, err);
    if (test->slot < 0)
        return test->slot;
    test->texts = calloc(count, sizeof *test->texts);
    if (!test->texts)
        return belt_error_set(err, -ENOMEM, "json: out of memory");
    json->tests_used++;
    for (; test->count < count; test->count++) {
        int rc = read_value(&test->texts[test->count], path,
                            list ? belt_node_at(node, test->count) : node, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A string of these bytes lies in a record as it is, but for an escape. */
static bool is_plain(const struct belt_json_text *text)
{
    for (uint32_t i = 0; i < text->size; i++)
        if ((unsigned char)text->bytes[i] < ' ' || strchr("\"\\", text->bytes[i]))
            return false;
    return true;
}

/* The value may as well be a number, true, false or null: it has no quotes then. */
static bool is_word(const struct belt_json_text *text)
{
    const char *at = text->bytes;
    return *at == '-' || (*at >= '0' && *at <= '9') || strcmp(at, "true") == 0 ||
           strcmp(at, "false") == 0 || strcmp(at, "null") == 0;
}

static int make_needles(struct belt_json *json, const char *const *texts, size_t count,
                        struct belt_error *err)
{
    static const char *const backslash = "\\";
    if (count == 1)
        return belt_needles_or(&json->needles, texts[0], *backslash, err);
    int rc = belt_needles_new(&json->backslash, &backslash, 1, err);
    return rc < 0 ? rc : belt_needles_new(&json->needles, texts, count, err);
}

/* What is looked for beforehand: by the first condition alone. */
static int choose_needles(struct belt_json *json, struct belt_error *err)
{
    char room[BELT_JSON_NEEDLES][BELT_JSON_EQUAL + 3];
    const struct belt_json_test *test = json->tests;
    const char *texts[BELT_JSON_NEEDLES];
    if (json->tests_used == 0 || test->count > BELT_JSON_NEEDLES ||
        json->check == BELT_JSON_CHECK_ALL)
        return 0;
    for (uint32_t n = 0; n < test->count; n++) {
        const struct belt_json_text *text = &test->texts[n];
        const char *quote = is_word(text) ? "" : "\"";
        if (!is_plain(text))
            return 0;
        snprintf(room[n], sizeof room[n], "%s%s%s", quote, text->bytes, quote);
        texts[n] = room[n];
    }
    return make_needles(json, texts, test->count, err);
}

int belt_json_read_where(struct belt_json *json, struct belt_setup *setup, struct belt_error *err)
{
    size_t count = json->where ? belt_node_count(json->where) : 0;
    if (json->where && (belt_node_kind(json->where) != BELT_NODE_MAP || count == 0))
        return belt_node_error(err, json->where, "where is a map: { path: value }");
    json->tests = calloc(count + 1, sizeof *json->tests);
    if (!json->tests)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", belt_setup_path(setup));
    for (size_t i = 0; i < count; i++) {
        int rc = read_test(json, i, err);
        if (rc < 0)
            return rc;
    }
    return choose_needles(json, err);
}

void belt_json_where_free(struct belt_json *json)
{
    for (uint32_t t = 0; t < json->tests_used; t++)
        free(json->tests[t].texts);
    free(json->tests);
    belt_needles_free(json->needles);
    belt_needles_free(json->backslash);
    json->tests = NULL;
    json->tests_used = 0;
    json->needles = json->backslash = NULL;
}

/* ---- records --------------------------------------------------------------------- */

static inline bool is_object(const char *text, uint32_t size)
{
    return size >= 2 && text[0] == '{' && text[size - 1] == '}';
}

uint64_t belt_json_maybe(const struct belt_json *json, const char *base,
                         const struct belt_span *spans, uint64_t rows)
{
    uint64_t maybe = belt_find_rows(json->needles, base, spans, rows);
    if (json->backslash)
        maybe |= belt_find_rows(json->backslash, base, spans, rows & ~maybe);
    for (uint64_t rest = rows & ~maybe; rest; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        if (!is_object(base + spans[i].at, spans[i].size))
            maybe |= UINT64_C(1) << i;
    }
    return maybe;
}

/* A string by what it says; all else but objects and arrays by its JSON text. */
static bool is_one_of(const struct belt_json_test *test, const struct belt_json_walk *walk)
{
    const struct belt_json_value *value = &walk->values[test->slot];
    const char *text = walk->text + value->at;
    for (uint32_t t = 0; t < test->count; t++) {
        const struct belt_json_text *want = &test->texts[t];
        if (value->kind == BELT_JSON_STRING && walk->escapes
                ? belt_json_says(text, value->size, want->bytes, want->size)
                : value->kind < BELT_JSON_OBJECT && value->size == want->size &&
                      memcmp(text, want->bytes, want->size) == 0)
            return true;
    }
    return false;
}

bool belt_json_holds(const struct belt_json *json, const struct belt_json_walk *walk)
{
    for (uint32_t t = 0; t < json->tests_used; t++) {
        const struct belt_json_test *test = &json->tests[t];
        if (!(walk->found >> test->slot & 1) || !is_one_of(test, walk))
            return false;
    }
    return true;
}
