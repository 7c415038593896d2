/* NAME;VALUE rows as in the One Billion Row Challenge. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apps/beltway/generate_priv.h"

#define CITIES 413     /* up to so many names are as short as those of cities */
#define NAME_MOST 100u /* bytes */
#define HEAD 16u       /* bytes of a name that are copied in any case */
#define TENTHS 999     /* values are -99.9 to 99.9 */

struct name {
    uint32_t at;
    int16_t mean; /* tenths */
    uint8_t size;
};

struct names {
    struct name *list;
    char *pool;      /* the names one after the other, HEAD bytes more at the end */
    uint32_t *slots; /* index + 1 by hash of the name: no name twice */
    uint32_t count, mask;
    uint32_t used; /* bytes of the pool */
};

/* Value v is values[TENTHS + v]: its text with the end of the line. */
struct value {
    char text[7];
    uint8_t size;
};

static const char *const vowels[] = { "a", "e", "i", "o", "u", "a", "e",
                                      "i", "o", "é", "ü", "ø", "ā", "ı" };
static const char *const consonants[] = { "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r",
                                          "s", "t", "v", "z", "l", "n", "r", "s", "ñ", "ł", "ş" };
static const char *const symbols[] = { "Ж",  "д",  "ё", "я", "Ω", "λ", "α", "東", "京", "市",
                                       "서", "울", "ا", "ب", "א", "क", "𐍈", " ",  "-",  "'" };

#define COUNT(list) (sizeof list / sizeof *list)

static uint32_t city_size(uint64_t *random)
{
    uint32_t size = 3 + (uint32_t)belt_generate_below(random, 6);
    return size + (uint32_t)belt_generate_below(random, 6);
}

/* 4 + 2500 (u - 0.372)^7 of an even u below 1, as in the billion row challenge's file of
 * 10,000 names, but 4 bytes at least: 11 in the mean, more than 31 for one name in ten,
 * 100 at most. */
static uint32_t heavy_size(uint64_t *random)
{
    __int128 u = (__int128)belt_generate_below(random, 1001) - 372, power = u * u * u;
    __int128 thousand = 1000, unit = thousand * thousand * thousand;
    __int128 more = 2500 * power * power * u / unit / unit / thousand;
    return more < 0 ? 4 : 4 + (uint32_t)more;
}

static const char *letter(uint64_t *random, uint32_t place, bool symbols_too)
{
    if (symbols_too && belt_generate_below(random, 8) == 0)
        return symbols[belt_generate_below(random, COUNT(symbols))];
    if (place % 2)
        return vowels[belt_generate_below(random, COUNT(vowels))];
    return consonants[belt_generate_below(random, COUNT(consonants))];
}

static void spell(char *out, uint32_t size, bool symbols_too, uint64_t *random)
{
    out[0] = (char)('A' + belt_generate_below(random, 26));
    for (uint32_t at = 1, place = 1; at < size; place++) {
        const char *text = letter(random, place, symbols_too && at + 1 < size);
        uint32_t bytes = (uint32_t)strlen(text);
        if (at + bytes > size) {
            text = "e";
            bytes = 1;
        }
        memcpy(out + at, text, bytes);
        at += bytes;
    }
}

/* FNV-1a. False: the name is there already. */
static bool enter(struct names *names, uint32_t index)
{
    const struct name *name = &names->list[index];
    const char *text = names->pool + name->at;
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < name->size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    uint32_t slot = hash & names->mask;
    for (; names->slots[slot]; slot = (slot + 1) & names->mask) {
        const struct name *other = &names->list[names->slots[slot] - 1];
        if (other->size == name->size && memcmp(names->pool + other->at, text, name->size) == 0)
            return false;
    }
    names->slots[slot] = index + 1;
    return true;
}

static void fill_names(struct names *names, uint64_t *random)
{
    bool cities = names->count <= CITIES;
    for (uint32_t i = 0; i < names->count; i++) {
        struct name *name = &names->list[i];
        name->at = names->used;
        name->size = (uint8_t)(cities ? city_size(random) : heavy_size(random));
        spell(names->pool + name->at, name->size, !cities, random);
        for (int tries = 1; !enter(names, i); tries++) {
            /* Of few bytes there are not so many. */
            if (tries % 16 == 0 && name->size < NAME_MOST)
                name->size++;
            spell(names->pool + name->at, name->size, !cities, random);
        }
        name->mean = (int16_t)((int)belt_generate_below(random, 501) - 150);
        names->used += name->size;
    }
}

static void free_names(struct names *names)
{
    free(names->list);
    free(names->pool);
    free(names->slots);
}

static int make_names(struct names *names, uint32_t count, uint64_t *random)
{
    uint32_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    *names = (struct names){
        .list = calloc(count, sizeof *names->list),
        .pool = malloc((size_t)count * NAME_MOST + HEAD),
        .slots = calloc(slots, sizeof *names->slots),
        .count = count,
        .mask = slots - 1,
    };
    if (!names->list || !names->pool || !names->slots)
        return -ENOMEM;
    fill_names(names, random);
    memset(names->pool + names->used, 0, HEAD);
    return 0;
}

static void make_values(struct value *values)
{
    for (int v = -TENTHS; v <= TENTHS; v++) {
        char *at = values[TENTHS + v].text;
        unsigned tenths = (unsigned)(v < 0 ? -v : v);
        if (v < 0)
            *at++ = '-';
        if (tenths >= 100)
            *at++ = (char)('0' + tenths / 100);
        *at++ = (char)('0' + tenths / 10 % 10);
        *at++ = '.';
        *at++ = (char)('0' + tenths % 10);
        *at++ = '\n';
        values[TENTHS + v].size = (uint8_t)(at - values[TENTHS + v].text);
    }
}

/* The sum of four bytes is bell-shaped with a deviation of 147.8: here 10.0 degrees. */
static int spread(uint32_t random)
{
    int sum = (int)((random & 255) + (random >> 8 & 255) + (random >> 16 & 255) + (random >> 24));
    return (sum - 510) * 100 / 148;
}

static char *put_row(char *at, const struct names *names, const struct value *values,
                     uint64_t random)
{
    const struct name *name = &names->list[(random >> 32) * names->count >> 32];
    const struct value *value = &values[TENTHS + name->mean + spread((uint32_t)random)];
    const char *text = names->pool + name->at;
    memcpy(at, text, HEAD);
    if (name->size > HEAD)
        memcpy(at + HEAD, text + HEAD, name->size - HEAD);
    at += name->size;
    *at++ = ';';
    memcpy(at, value->text, sizeof value->text);
    return at + value->size;
}

int belt_generate_sensors(const struct belt_generate *what, struct belt_generate_out *out)
{
    struct value values[2 * TENTHS + 1] = { 0 };
    struct names names;
    uint64_t random = what->seed;
    int rc = make_names(&names, (uint32_t)what->names, &random);
    make_values(values);
    for (uint64_t i = 0; rc == 0 && belt_generate_goes_on(what, out, i); i++) {
        char *at = belt_generate_row(out);
        belt_generate_end(out, put_row(at, &names, values, belt_generate_next(&random)));
    }
    free_names(&names);
    return rc;
}
