/* What a record that has been walked looks like between its values. */
#include <string.h>

#include "steps/json_shape_priv.h"

static bool is_name(const struct belt_json_walk *walk, const uint32_t *token)
{
    return walk->text[token[0]] == '"' && walk->text[token[1]] == ':';
}

static bool is_value(const struct belt_json_walk *walk, const uint32_t *token)
{
    return !memchr("{}[]:,", walk->text[*token], 6) && !is_name(walk, token);
}

/* The slot of the value at `at`, or -1. */
static int slot_at(const struct belt_json_walk *walk, uint32_t at)
{
    for (uint64_t slots = walk->found; slots; slots &= slots - 1) {
        int slot = __builtin_ctzll(slots);
        if (walk->values[slot].at == at)
            return slot;
    }
    return -1;
}

/* Objects and arrays have no place in a shape. */
static bool are_scalar(const struct belt_json_walk *walk)
{
    for (uint64_t slots = walk->found; slots; slots &= slots - 1)
        if (walk->values[__builtin_ctzll(slots)].kind >= BELT_JSON_OBJECT)
            return false;
    return true;
}

/* The bytes [from, to) are the next ones between values. */
static bool add(struct belt_json_shape *shape, const char *text, uint32_t from, uint32_t to)
{
    uint32_t size = to - from;
    if (size > BELT_JSON_PIECE || size > BELT_JSON_BETWEEN - shape->used)
        return false;
    memcpy(shape->between + shape->used, text + from, size);
    shape->used += size;
    return true;
}

static bool learn(struct belt_json_shape *shape, const struct belt_json_walk *walk,
                  const uint32_t *token, uint32_t from)
{
    const char *text = walk->text;
    uint32_t values = 0;
    for (; token < walk->token; token++) {
        if (!is_value(walk, token))
            continue;
        char first = text[*token];
        uint32_t at = *token + (first == '"'), before = shape->used;
        uint32_t end = belt_json_end_of(walk, token + 1, at) - (first == '"');
        if (values == BELT_JSON_PIECES || !add(shape, text, from, at))
            return false;
        bool word = first == 't' || first == 'f' || first == 'n';
        shape->pieces[values++] =
            (struct belt_json_piece){ .at = (uint16_t)before,
                                      .size = (uint16_t)(shape->used - before),
                                      .kind = first == '"' ? BELT_JSON_STRING
                                              : word       ? BELT_JSON_NULL
                                                           : BELT_JSON_NUMBER,
                                      .slot = (int8_t)slot_at(walk, at) };
        from = end;
    }
    shape->last = walk->end - from;
    if (!add(shape, text, from, walk->end))
        return false;
    shape->values = values;
    return true;
}

void belt_json_shape_learn(struct belt_json_shape *shape, const struct belt_json_walk *walk,
                           const uint32_t *first, uint32_t begin)
{
    shape->values = shape->used = 0;
    shape->found = walk->found;
    if (are_scalar(walk))
        learn(shape, walk, first, begin);
}
