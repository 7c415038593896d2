/* One record's tokens against the grammar of JSON (RFC 8259), and the values that are asked
 * for on the way. Every token is looked at, wanted or not: what passes here is JSON. */
#include <string.h>

#include "steps/json_priv.h"

/* The next token's first byte; 0 at the record's end. */
static inline char token(const struct belt_json_walk *w)
{
    return *w->token < w->end ? w->text[*w->token] : 0;
}

static bool flaw(struct belt_json_walk *w, const char *expected)
{
    w->flaw = expected;
    w->flaw_at = *w->token < w->end ? *w->token : w->end;
    return false;
}

/* Where the word or string that begins at `at`, before the next token, ends. */
static inline uint32_t end_of(const struct belt_json_walk *w, uint32_t at)
{
    uint32_t end = *w->token < w->end ? *w->token : w->end;
    for (; end > at + 1; end--) {
        char c = w->text[end - 1];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
    }
    return end;
}

static inline void found(struct belt_json_walk *w, const struct belt_json_node *node,
                         enum belt_json_kind kind, uint32_t at, uint32_t end)
{
    if (!node || node->slot < 0)
        return;
    w->found |= UINT64_C(1) << node->slot;
    w->values[node->slot] = (struct belt_json_value){ kind, at, end - at };
}

/* ---- words ----------------------------------------------------------------------- */

static inline const char *past_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static bool is_number(const char *at, const char *end)
{
    at += *at == '-';
    const char *digits = at;
    at = past_digits(at, end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return false;
    if (at < end && *at == '.') {
        digits = ++at;
        at = past_digits(at, end);
        if (at == digits)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        at = past_digits(at, end);
        if (at == digits)
            return false;
    }
    return at == end;
}

static bool word(struct belt_json_walk *w, const struct belt_json_node *node)
{
    static const struct {
        const char *text;
        uint32_t size;
        enum belt_json_kind kind;
    } words[] = { { "null", 4, BELT_JSON_NULL },
                  { "true", 4, BELT_JSON_TRUE },
                  { "false", 5, BELT_JSON_FALSE } };
    uint32_t at = *w->token++, end = end_of(w, at);
    const char *text = w->text + at;
    if (*text == '-' || (*text >= '0' && *text <= '9')) {
        if (is_number(text, w->text + end)) {
            found(w, node, BELT_JSON_NUMBER, at, end);
            return true;
        }
        w->token--;
        return flaw(w, "number");
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (end - at == words[i].size && memcmp(text, words[i].text, words[i].size) == 0) {
            found(w, node, words[i].kind, at, end);
            return true;
        }
    w->token--;
    return flaw(w, "value");
}

/* ---- strings --------------------------------------------------------------------- */

/* The string at the next token: where it begins and how long it is, without its quotes. */
static inline bool string(struct belt_json_walk *w, uint32_t *at, uint32_t *size)
{
    *at = *w->token++ + 1;
    *size = end_of(w, *at) - 1 - *at;
    if (w->escapes && !belt_json_escapes_valid(w->text + *at, *size)) {
        w->token--;
        return flaw(w, "valid escape in the string");
    }
    return true;
}

static inline bool is_name(const struct belt_json_walk *w, const struct belt_json_node *node,
                           uint32_t at, uint32_t size)
{
    const char *text = w->text + at;
    if (!node->name)
        return false;
    if (node->name_size == size)
        return memcmp(text, node->name, size) == 0;
    return w->escapes && size > node->name_size &&
           belt_json_says(text, size, node->name, node->name_size);
}

static inline const struct belt_json_node *member(const struct belt_json_walk *w,
                                                  const struct belt_json_node *node, uint32_t at,
                                                  uint32_t size)
{
    const struct belt_json_node *nodes = w->paths->nodes;
    for (uint32_t n = node ? node->child : 0; n; n = nodes[n].next)
        if (is_name(w, &nodes[n], at, size))
            return &nodes[n];
    return NULL;
}

static const struct belt_json_node *element(const struct belt_json_walk *w,
                                            const struct belt_json_node *node, uint32_t index)
{
    const struct belt_json_node *nodes = w->paths->nodes;
    for (uint32_t n = node ? node->child : 0; n; n = nodes[n].next)
        if (!nodes[n].name && nodes[n].index == index)
            return &nodes[n];
    return NULL;
}

/* ---- values ---------------------------------------------------------------------- */

static bool value(struct belt_json_walk *w, const struct belt_json_node *node, uint32_t depth);

static bool object(struct belt_json_walk *w, const struct belt_json_node *node, uint32_t depth)
{
    uint32_t begin = *w->token++, at, size;
    char next = token(w);
    if (next == '}')
        w->token++;
    while (next != '}') {
        if (token(w) != '"')
            return flaw(w, "name in quotes");
        if (!string(w, &at, &size))
            return false;
        if (token(w) != ':')
            return flaw(w, "':'");
        w->token++;
        const struct belt_json_node *child = member(w, node, at, size);
        if (child)
            w->found &= ~child->below; /* the last of two counts, with all that is in it */
        if (!value(w, child, depth))
            return false;
        next = token(w);
        if (next != ',' && next != '}')
            return flaw(w, "',' or '}'");
        w->token++;
    }
    found(w, node, BELT_JSON_OBJECT, begin, w->token[-1] + 1);
    return true;
}

static bool array(struct belt_json_walk *w, const struct belt_json_node *node, uint32_t depth)
{
    uint32_t begin = *w->token++;
    char next = token(w);
    if (next == ']')
        w->token++;
    for (uint32_t index = 0; next != ']'; index++) {
        if (!value(w, element(w, node, index), depth))
            return false;
        next = token(w);
        if (next != ',' && next != ']')
            return flaw(w, "',' or ']'");
        w->token++;
    }
    found(w, node, BELT_JSON_ARRAY, begin, w->token[-1] + 1);
    return true;
}

static bool value(struct belt_json_walk *w, const struct belt_json_node *node, uint32_t depth)
{
    uint32_t at, size;
    switch (token(w)) {
    case '"':
        if (!string(w, &at, &size))
            return false;
        found(w, node, BELT_JSON_STRING, at, at + size);
        return true;
    case '{':
    case '[':
        if (depth == BELT_JSON_DEPTH)
            return flaw(w, "level beyond 256");
        return (token(w) == '{' ? object : array)(w, node, depth + 1);
    case 0: return flaw(w, "value");
    default: return word(w, node);
    }
}

bool belt_json_walk(struct belt_json_walk *w)
{
    w->found = 0;
    if (*w->token >= w->end)
        return flaw(w, NULL);
    if (token(w) != '{')
        return flaw(w, "object");
    if (!object(w, w->paths->nodes, 1))
        return false;
    return *w->token >= w->end || flaw(w, "end of the record");
}
