/* A record against a shape: its pieces compared, its values read. Every step begins where the
 * one before ended, and nothing is looked for but the ends of strings. */
#include <string.h>

#include "core/isa.h"
#include "steps/json_shape_priv.h"
#include "steps/split_vec_priv.h"
#include "steps/utf8_priv.h"

enum { STEP = 32 };

/* Bits of the 32 bytes at p and q that differ. */
static inline uint32_t differ(const char *p, const char *q)
{
    uint32_t same = 0;
    for (uint32_t i = 0; i < STEP; i += sizeof(vec))
        same |= (uint32_t)V(movemask_epi8)(v_equal8(v_load(p + i), v_load(q + i))) << i;
    return ~same;
}

/* Both may be read up to the next multiple of STEP. */
static inline bool is_same(const char *p, const char *q, uint32_t size)
{
    for (; size > STEP; size -= STEP, p += STEP, q += STEP)
        if (differ(p, q))
            return false;
    return !(differ(p, q) << (STEP - size));
}

/* ---- strings --------------------------------------------------------------------- */

/* Quotes, backslashes, control characters and, with `high`, what is not ASCII. */
static inline uint32_t special(const char *p, bool high)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < STEP; i += sizeof(vec)) {
        vec bytes = v_load(p + i);
        vec mark = v_equal8(bytes, v_all8('"')) | v_equal8(bytes, v_all8('\\'));
        if (high) /* those are negative */
            mark |= V(cmpgt_epi8)(v_all8(' '), bytes);
        else
            mark |= v_equal8(V(min_epu8)(bytes, v_all8(' ' - 1)), bytes);
        bits |= (uint32_t)V(movemask_epi8)(mark) << i;
    }
    return bits;
}

/* The same from p on, where the first byte is that is not plain. */
static __attribute__((noinline)) const char *past_rest(struct belt_json_walk *walk, const char *at,
                                                       const char *p, const char *end)
{
    bool escapes = false;
    while (p < end && *p != '"') {
        uint32_t bits = special(p, false);
        p += bits ? __builtin_ctz(bits) : STEP;
        if (!bits || *p == '"')
            continue;
        if (*p != '\\')
            return NULL;
        escapes = true;
        p += 2;
    }
    uint32_t size = (uint32_t)(p - at);
    if (p >= end || !belt_utf8_is(at, size) || (escapes && !belt_json_escapes_valid(at, size)))
        return NULL;
    walk->escapes |= escapes;
    return p;
}

/* The quote behind the string; NULL: there is none, or what is before it is no string. */
static inline const char *past_string(struct belt_json_walk *walk, const char *at, const char *end)
{
    for (const char *p = at; p < end; p += STEP) {
        uint32_t bits = special(p, true);
        if (!bits)
            continue;
        p += __builtin_ctz(bits);
        return *p == '"' ? p : past_rest(walk, at, p, end);
    }
    return NULL;
}

/* ---- numbers and words ------------------------------------------------------------ */

/* How many digits there are at p, of at most 8. */
static inline uint32_t digits(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    word ^= UINT64_C(0x3030303030303030);
    word = ((word + UINT64_C(0x7676767676767676)) | word) & UINT64_C(0x8080808080808080);
    return word ? (uint32_t)__builtin_ctzll(word) / 8 : 8;
}

static const char *past_any_number(const char *at, const char *end)
{
    const char *p = at;
    while (p < end && ((*p >= '0' && *p <= '9') || (*p && strchr("+-.eE", *p))))
        p++;
    return p > at && belt_json_is_number(at, p) ? p : NULL;
}

/* NULL: there is none. It may end behind `end`. */
static inline const char *past_number(const char *at, const char *end)
{
    const char *p = at + (*at == '-');
    uint32_t whole = digits(p);
    if (whole - 1 > 6 || (*p == '0' && whole > 1))
        return past_any_number(at, end);
    p += whole;
    if (*p == '.') {
        uint32_t more = digits(p + 1);
        if (more - 1 > 6)
            return past_any_number(at, end);
        p += 1 + more;
    }
    return (*p | 0x20) == 'e' ? past_any_number(at, end) : p;
}

static inline const char *past_word(const char *at, enum belt_json_kind *kind)
{
    if (memcmp(at, "true", 4) == 0) {
        *kind = BELT_JSON_TRUE;
        return at + 4;
    }
    *kind = *at == 'n' ? BELT_JSON_NULL : BELT_JSON_FALSE;
    if (*at == 'n')
        return memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
    return memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
}

/* ---- records ----------------------------------------------------------------------- */

bool BELT_HOT(belt_json_match)(const struct belt_json_shape *shape, struct belt_json_walk *walk,
                               const char *text, uint32_t size)
{
    const char *at = text, *end = text + size;
    const struct belt_json_piece *piece = shape->pieces;
    walk->text = text;
    walk->escapes = false;
    for (uint32_t left = shape->values; left; left--, piece++) {
        enum belt_json_kind kind = (enum belt_json_kind)piece->kind;
        if (end - at < piece->size || !is_same(at, shape->between + piece->at, piece->size))
            return false;
        const char *begin = at += piece->size;
        if (kind == BELT_JSON_STRING)
            at = past_string(walk, begin, end);
        else if (kind == BELT_JSON_NUMBER)
            at = past_number(begin, end);
        else
            at = past_word(begin, &kind);
        if (!at)
            return false;
        if (piece->slot >= 0)
            walk->values[piece->slot] =
                (struct belt_json_value){ kind, (uint32_t)(begin - text), (uint32_t)(at - begin) };
    }
    if ((uint32_t)(end - at) != shape->last ||
        !is_same(at, shape->between + shape->used - shape->last, shape->last))
        return false;
    walk->found = shape->found;
    return true;
}
