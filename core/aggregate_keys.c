/* Aggregate: keys. A group's key is bytes: of one text field the text itself;
 * else the fields one after another, a number as its 8 bytes, a text as its size
 * in 2 bytes and the text. */
#include <string.h>

#include "core/aggregate_table_priv.h"

static bool is_plain_text(const struct belt_agg_spec *spec)
{
    return spec->keys_used == 1 && spec->keys[0].type == BELT_TEXT;
}

/* Equal numbers have equal bytes: one zero, one NaN. */
static double plain_float(double value)
{
    return value == 0 ? 0.0 : value != value ? __builtin_nan("") : value;
}

/* Appends a field at scratch + at; the new end, or 0: too long. */
static uint32_t put_field(char *key, uint32_t at, const struct belt_view *view,
                          const struct belt_agg_field *field, uint32_t i)
{
    char number[8];
    uint32_t size = sizeof number;
    const char *bytes = number;
    if (field->type == BELT_TEXT) {
        bytes = belt_text(view, field->column, i, &size);
        if (size > BELT_AGG_KEY - 2 || at > BELT_AGG_KEY - 2 - size)
            return 0;
        memcpy(key + at, &(uint16_t){ (uint16_t)size }, 2);
        at += 2;
    } else if (field->type == BELT_FLOAT) {
        double value = plain_float(view->columns[field->column].as.floats[i]);
        memcpy(number, &value, sizeof number);
    } else {
        memcpy(number, &view->columns[field->column].as.numbers[i], sizeof number);
    }
    if (at > BELT_AGG_KEY - size)
        return 0;
    memcpy(key + at, bytes, size);
    return at + size;
}

const char *belt_agg_key_of(struct belt_agg *agg, const struct belt_view *view, uint32_t i,
                            uint32_t *size)
{
    const struct belt_agg_spec *spec = agg->spec;
    if (is_plain_text(spec)) {
        const char *text = belt_text(view, spec->keys[0].column, i, size);
        return *size > BELT_AGG_KEY ? NULL : text;
    }
    *size = 0;
    for (int f = 0; f < spec->keys_used; f++)
        if (!(*size = put_field(agg->scratch, *size, view, &spec->keys[f], i)))
            return NULL;
    return agg->scratch;
}

const char *belt_agg_key_bytes(const struct belt_agg *agg, const struct belt_agg_group *group,
                               uint32_t *size)
{
    const uint64_t *word = group->key.word;
    if (word[3] == BELT_AGG_LONG) {
        *size = (uint32_t)word[2];
        return agg->keys + word[1];
    }
    *size = (uint32_t)group->key.bytes[31];
    return group->key.bytes;
}

const char *belt_agg_key_field(const struct belt_agg_spec *spec, const char *key, uint32_t key_size,
                               int f, uint32_t *size)
{
    if (is_plain_text(spec)) {
        *size = key_size;
        return key;
    }
    for (int before = 0;; before++) {
        *size = 8;
        if (spec->keys[before].type == BELT_TEXT) {
            uint16_t text_size;
            memcpy(&text_size, key, 2);
            *size = text_size;
            key += 2;
        }
        if (before == f)
            return key;
        key += *size;
    }
}
