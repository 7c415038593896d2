#include <ctype.h>
#include <string.h>

#include "steps/time_format_priv.h"

struct cursor {
    const char *at, *end;
};

/* One to `most` digits, at least `least`. */
static bool digits(struct cursor *c, int least, int most, int64_t *out)
{
    int64_t value = 0;
    int used = 0;
    for (; used < most && c->at < c->end && isdigit((unsigned char)*c->at); used++)
        value = value * 10 + (*c->at++ - '0');
    *out = value;
    return used >= least;
}

/* A fraction of a second; digits beyond the ninth are passed over. */
static bool fraction(struct cursor *c, int64_t *ns)
{
    const char *from = c->at;
    int64_t value, scale = BELT_SECOND;
    if (!digits(c, 1, 9, &value))
        return false;
    for (const char *at = from; at < c->at; at++)
        scale /= 10;
    while (c->at < c->end && isdigit((unsigned char)*c->at))
        c->at++;
    *ns = value * scale;
    return true;
}

/* Z, +0100, +01:00 or +01. */
static bool zone(struct cursor *c, int *seconds)
{
    int64_t hours, minutes = 0;
    if (c->at == c->end)
        return false;
    char sign = *c->at++;
    if (sign == 'Z' || sign == 'z')
        return true;
    if ((sign != '+' && sign != '-') || !digits(c, 2, 2, &hours))
        return false;
    bool colon = c->at < c->end && *c->at == ':';
    c->at += colon;
    bool more = c->at < c->end && isdigit((unsigned char)*c->at);
    if ((more || colon) && !digits(c, 2, 2, &minutes))
        return false;
    *seconds = (int)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return hours <= 23 && minutes <= 59;
}

static bool byte(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* A whole word, or its first three letters; any case. Which one, or -1. */
static int word(struct cursor *c, const char *const *words, int count)
{
    size_t left = (size_t)(c->end - c->at);
    for (int i = 0; i < count; i++) {
        size_t whole = strlen(words[i]), sizes[] = { whole, whole < 3 ? whole : 3 };
        for (int k = 0; k < 2; k++)
            if (left >= sizes[k] && strncasecmp(c->at, words[i], sizes[k]) == 0) {
                c->at += sizes[k];
                return i;
            }
    }
    return -1;
}

/* ---- conversions --------------------------------------------------------------- */

static bool read_number(const struct belt_conversion *conversion, struct cursor *c,
                        struct belt_moment *moment)
{
    int64_t value;
    if (!digits(c, conversion->least, conversion->most, &value) || value < conversion->low ||
        value > conversion->high)
        return false;
    moment->half |= conversion->letter == 'I';
    if (conversion->to == offsetof(struct belt_moment, year))
        moment->year = value + (conversion->letter == 'Y' ? 0 : value < 69 ? 2000 : 1900);
    else
        *(int *)(void *)((char *)moment + conversion->to) = (int)value;
    return true;
}

static bool read_padded(const struct belt_conversion *conversion, struct cursor *c,
                        struct belt_moment *moment)
{
    while (c->at < c->end && *c->at == ' ')
        c->at++;
    return read_number(conversion, c, moment);
}

static bool read_fraction(const struct belt_conversion *conversion, struct cursor *c,
                          struct belt_moment *moment)
{
    (void)conversion;
    return fraction(c, &moment->ns);
}

static bool read_epoch(const struct belt_conversion *conversion, struct cursor *c,
                       struct belt_moment *moment)
{
    moment->has_epoch = true;
    return digits(c, conversion->least, conversion->most, &moment->epoch);
}

static bool read_zone(const struct belt_conversion *conversion, struct cursor *c,
                      struct belt_moment *moment)
{
    (void)conversion;
    return zone(c, &moment->zone);
}

static bool read_month(const struct belt_conversion *conversion, struct cursor *c,
                       struct belt_moment *moment)
{
    (void)conversion;
    moment->month = word(c, belt_months, 12) + 1;
    return moment->month > 0;
}

static bool read_weekday(const struct belt_conversion *conversion, struct cursor *c,
                         struct belt_moment *moment)
{
    (void)conversion;
    (void)moment;
    return word(c, belt_weekdays, 7) >= 0;
}

static bool read_half(const struct belt_conversion *conversion, struct cursor *c,
                      struct belt_moment *moment)
{
    (void)conversion;
    int half = word(c, belt_halves, 2);
    moment->half = true;
    moment->afternoon = half == 1;
    return half >= 0;
}

static bool (*const readers[])(const struct belt_conversion *, struct cursor *,
                               struct belt_moment *) = {
    [BELT_HOW_NUMBER] = read_number,     [BELT_HOW_PADDED] = read_padded,
    [BELT_HOW_FRACTION] = read_fraction, [BELT_HOW_EPOCH] = read_epoch,
    [BELT_HOW_ZONE] = read_zone,         [BELT_HOW_MONTH] = read_month,
    [BELT_HOW_WEEKDAY] = read_weekday,   [BELT_HOW_HALF] = read_half,
};

static bool read_pieces(const struct belt_time_format *format, struct cursor *c,
                        struct belt_moment *moment)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct belt_time_piece *piece = &format->pieces[i];
        if (piece->conversion) {
            if (!readers[piece->conversion->how](piece->conversion, c, moment))
                return false;
        } else if (piece->byte == ' ') {
            while (c->at < c->end && isspace((unsigned char)*c->at))
                c->at++;
        } else if (!byte(c, piece->byte)) {
            return false;
        }
    }
    return c->at == c->end;
}

/* "2026-01-31T12:00:00", what is the same in all of RFC 3339; 19 bytes. Without a branch
 * for each: texts of logs are times nearly always. */
static bool read_fixed(struct cursor *c, struct belt_moment *moment)
{
    static const uint8_t places[14] = { 0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18 };
    const char *at = c->at;
    unsigned d[14], bad = 0;
    if (c->end - at < 19)
        return false;
    for (int i = 0; i < 14; i++) {
        d[i] = (unsigned)at[places[i]] - '0';
        bad |= d[i] > 9;
    }
    bad |= (at[4] != '-') | (at[7] != '-') | (at[13] != ':') | (at[16] != ':');
    bad |= (at[10] != 'T') & (at[10] != 't') & (at[10] != ' ');
    moment->year = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3];
    moment->month = (int)(d[4] * 10 + d[5]);
    moment->day = (int)(d[6] * 10 + d[7]);
    moment->hour = (int)(d[8] * 10 + d[9]);
    moment->minute = (int)(d[10] * 10 + d[11]);
    moment->second = (int)(d[12] * 10 + d[13]);
    c->at += 19;
    bad |= (moment->month < 1) | (moment->month > 12) | (moment->day < 1) | (moment->hour > 23) |
           (moment->minute > 59) | (moment->second > 60);
    return !bad;
}

static bool read_rfc3339(struct cursor *c, struct belt_moment *moment)
{
    if (!read_fixed(c, moment))
        return false;
    if (c->at < c->end && (*c->at == '.' || *c->at == ',')) {
        c->at++;
        if (!fraction(c, &moment->ns))
            return false;
    }
    return zone(c, &moment->zone) && c->at == c->end;
}

bool belt_moment_read(const struct belt_time_format *format, const char *text, uint32_t size,
                      struct belt_moment *moment)
{
    struct cursor c = { text, text + size };
    return format->rfc3339 ? read_rfc3339(&c, moment) : read_pieces(format, &c, moment);
}
