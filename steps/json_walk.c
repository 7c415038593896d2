/* One record's tokens against the grammar of JSON (RFC 8259), and the values that are asked
 * for on the way. Every token is looked at, wanted or not: what passes here is JSON. Each
 * function takes the next token and returns the one behind what it read, or NULL: in
 * registers, since a token that went through memory would cost more than to look at it. */
#include <string.h>

#include "steps/json_priv.h"

typedef const uint32_t *token;

/* A token's first byte; 0 at the record's end. */
static inline char byte_of(const struct belt_json_walk *w, token t)
{
    return *t < w->end ? w->text[*t] : 0;
}

static token flaw(struct belt_json_walk *w, token t, const char *expected)
{
    w->flaw = expected;
    w->flaw_at = *t < w->end ? *t : w->end;
    return NULL;
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

static bool is_fraction(const char *at, const char *end)
{
    const char *digits;
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

/* Nothing but up to 8 digits: no branch for each of them, whose number nobody can foresee. */
static inline bool is_digits(const char *at, size_t size)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t other = (word - UINT64_C(0x3030303030303030)) | (word + UINT64_C(0x4646464646464646));
    return size <= 8 && !((other & UINT64_C(0x8080808080808080)) << (64 - 8 * size));
}

static inline bool is_number(const char *at, const char *end)
{
    size_t size = (size_t)(end - at);
    if (is_digits(at, size))
        return size == 1 || *at != '0';
    at += *at == '-';
    const char *digits = at;
    at = past_digits(at, end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return false;
    return at == end || is_fraction(at, end);
}

bool belt_json_is_number(const char *at, const char *end)
{
    return is_number(at, end);
}

static token name_of_value(struct belt_json_walk *w, token t, const struct belt_json_node *node)
{
    static const struct {
        const char *text;
        uint32_t size;
        enum belt_json_kind kind;
    } words[] = { { "null", 4, BELT_JSON_NULL },
                  { "true", 4, BELT_JSON_TRUE },
                  { "false", 5, BELT_JSON_FALSE } };
    uint32_t at = *t, end = belt_json_end_of(w, t + 1, at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (end - at == words[i].size && memcmp(w->text + at, words[i].text, words[i].size) == 0) {
            found(w, node, words[i].kind, at, end);
            return t + 1;
        }
    return flaw(w, t, "value");
}

static inline token number(struct belt_json_walk *w, token t, const struct belt_json_node *node)
{
    uint32_t at = *t, end = belt_json_end_of(w, t + 1, at);
    if (!is_number(w->text + at, w->text + end))
        return flaw(w, t, "number");
    found(w, node, BELT_JSON_NUMBER, at, end);
    return t + 1;
}

/* ---- strings --------------------------------------------------------------------- */

static inline bool is_string(const struct belt_json_walk *w, uint32_t at, uint32_t size)
{
    return !w->escapes || belt_json_escapes_valid(w->text + at, size);
}

/* Without its quotes. */
static inline uint32_t string_size(const struct belt_json_walk *w, token t)
{
    return belt_json_end_of(w, t + 1, *t + 1) - 1 - (*t + 1);
}

static inline token string(struct belt_json_walk *w, token t, const struct belt_json_node *node)
{
    if (!node && !w->escapes)
        return t + 1; /* stage 1 has seen its end */
    uint32_t at = *t + 1, size = string_size(w, t);
    if (!is_string(w, at, size))
        return flaw(w, t, "valid escape in the string");
    found(w, node, BELT_JSON_STRING, at, at + size);
    return t + 1;
}

static bool is_name(const struct belt_json_walk *w, const struct belt_json_node *node, uint32_t at,
                    uint32_t size)
{
    const char *text = w->text + at;
    uint64_t head;
    if (!node->name)
        return false;
    if (node->name_size != size)
        return w->escapes && size > node->name_size &&
               belt_json_says(text, size, node->name, node->name_size);
    memcpy(&head, text, sizeof head);
    return (head & node->mask) == node->word &&
           (size <= 8 || memcmp(text + 8, node->name + 8, size - 8) == 0);
}

static inline const struct belt_json_node *member(const struct belt_json_walk *w,
                                                  const struct belt_json_node *node, uint32_t at,
                                                  uint32_t size)
{
    const struct belt_json_node *nodes = w->paths->nodes;
    if (!node || !(node->members >> belt_json_hash(w->text + at, size) & 1 || w->escapes))
        return NULL;
    for (uint32_t n = node->child; n; n = nodes[n].next)
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

static token object(struct belt_json_walk *w, token t, const struct belt_json_node *node,
                    uint32_t depth);
static token array(struct belt_json_walk *w, token t, const struct belt_json_node *node,
                   uint32_t depth);

static inline __attribute__((always_inline)) token value(struct belt_json_walk *w, token t,
                                                         const struct belt_json_node *node,
                                                         uint32_t depth)
{
    char first = byte_of(w, t);
    if (first == '"')
        return string(w, t, node);
    if (first == '-' || (first >= '0' && first <= '9'))
        return number(w, t, node);
    if (first != '{' && first != '[')
        return first ? name_of_value(w, t, node) : flaw(w, t, "value");
    if (depth == BELT_JSON_DEPTH)
        return flaw(w, t, "level beyond 256");
    return (first == '{' ? object : array)(w, t, node, depth + 1);
}

/* A name and the colon behind it. *child: where its value is wanted, or NULL. */
static inline token name(struct belt_json_walk *w, token t, const struct belt_json_node *node,
                         const struct belt_json_node **child)
{
    if (byte_of(w, t) != '"')
        return flaw(w, t, "name in quotes");
    uint32_t at = *t + 1, size = string_size(w, t);
    if (!is_string(w, at, size))
        return flaw(w, t, "valid escape in the string");
    if (byte_of(w, t + 1) != ':')
        return flaw(w, t + 1, "':'");
    *child = member(w, node, at, size);
    return t + 2;
}

static token object(struct belt_json_walk *w, token t, const struct belt_json_node *node,
                    uint32_t depth)
{
    const struct belt_json_node *child;
    uint32_t begin = *t++;
    char next = byte_of(w, t);
    while (next != '}') {
        t = name(w, t, node, &child);
        if (!t)
            return NULL;
        if (child)
            w->found &= ~child->below; /* the last of two counts, with all that is in it */
        t = value(w, t, child, depth);
        if (!t)
            return NULL;
        next = byte_of(w, t);
        if (next == ',')
            t++;
        else if (next != '}')
            return flaw(w, t, "',' or '}'");
    }
    found(w, node, BELT_JSON_OBJECT, begin, *t + 1);
    return t + 1;
}

static token array(struct belt_json_walk *w, token t, const struct belt_json_node *node,
                   uint32_t depth)
{
    uint32_t begin = *t++;
    char next = byte_of(w, t);
    for (uint32_t index = 0; next != ']'; index++) {
        t = value(w, t, element(w, node, index), depth);
        if (!t)
            return NULL;
        next = byte_of(w, t);
        if (next == ',')
            t++;
        else if (next != ']')
            return flaw(w, t, "',' or ']'");
    }
    found(w, node, BELT_JSON_ARRAY, begin, *t + 1);
    return t + 1;
}

bool belt_json_walk(struct belt_json_walk *w)
{
    token t = w->token;
    w->found = 0;
    if (*t >= w->end)
        t = flaw(w, t, NULL);
    else if (byte_of(w, t) != '{')
        t = flaw(w, t, "object");
    else
        t = object(w, t, w->paths->nodes, 1);
    if (t && *t < w->end)
        t = flaw(w, t, "end of the record");
    if (t)
        w->token = t;
    return t;
}
