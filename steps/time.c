#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/number_priv.h"
#include "steps/time_format_priv.h"

/* ---- the calendar -------------------------------------------------------------- */

/* Days since 1970 of a day of the Gregorian calendar, extended in both directions:
 * years begin in March, so that February, the odd one, is at the end. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, in_era = year - era * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int days_in(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static enum belt_time_flaw scaled(int64_t count, int64_t unit, int64_t more, int64_t *ns)
{
    if (__builtin_mul_overflow(count, unit, ns) || __builtin_add_overflow(*ns, more, ns))
        return BELT_TIME_RANGE;
    return BELT_TIME_FINE;
}

/* The 60th second that some minutes have is the next one's first. */
static enum belt_time_flaw settle(const struct belt_moment *moment, int64_t *ns)
{
    if (moment->has_epoch)
        return scaled(moment->epoch, BELT_SECOND, moment->ns, ns);
    int hour = moment->half ? moment->hour % 12 + 12 * moment->afternoon : moment->hour;
    int64_t days = moment->yearday ? days_of(moment->year, 1, 1) + moment->yearday - 1
                                   : days_of(moment->year, moment->month, moment->day);
    if (!moment->yearday && moment->day > days_in(moment->year, moment->month))
        return BELT_TIME_SYNTAX;
    int64_t seconds = days * 86400 + hour * 3600 + moment->minute * 60 + moment->second;
    /* Before 1970 a time is written as the second before it and what is added. */
    return seconds - moment->zone < 0 && moment->ns
               ? scaled(seconds - moment->zone + 1, BELT_SECOND, moment->ns - BELT_SECOND, ns)
               : scaled(seconds - moment->zone, BELT_SECOND, moment->ns, ns);
}

/* ---- reading ------------------------------------------------------------------- */

/* A number with decimals below the nanosecond has a flaw. */
static enum belt_time_flaw read_unit(int64_t unit, const char *text, uint32_t size, int64_t *ns)
{
    unsigned places = 0;
    for (int64_t left = unit; left > 1; left /= 10)
        places++;
    enum belt_flaw flaw = belt_number_parse(text, size, places, ns);
    return flaw == BELT_FLAW_NONE    ? BELT_TIME_FINE
           : flaw == BELT_FLAW_RANGE ? BELT_TIME_RANGE
                                     : BELT_TIME_SYNTAX;
}

enum belt_time_flaw belt_time_parse(const struct belt_time_format *format, const char *text,
                                    uint32_t size, int64_t *ns)
{
    struct belt_moment moment = { .year = 1970, .month = 1, .day = 1 };
    if (format->unit)
        return read_unit(format->unit, text, size, ns);
    return belt_moment_read(format, text, size, &moment) ? settle(&moment, ns) : BELT_TIME_SYNTAX;
}

enum belt_time_flaw belt_time_moment(const char *text, int64_t *ns)
{
    static const char *const patterns[] = { "%F",    "%FT%R",   "%F %R",  "%FT%T",
                                            "%F %T", "%FT%R%z", "%F %R%z" };
    struct belt_time_format rfc3339 = { .rfc3339 = true };
    uint32_t size = (uint32_t)strlen(text);
    enum belt_time_flaw flaw = belt_time_parse(&rfc3339, text, size, ns);
    for (size_t i = 0; flaw == BELT_TIME_SYNTAX && i < sizeof patterns / sizeof *patterns; i++) {
        struct belt_time_format *format;
        if (belt_time_format_new(&format, patterns[i], NULL, NULL) < 0)
            return BELT_TIME_SYNTAX;
        flaw = belt_time_parse(format, text, size, ns);
        belt_time_format_free(format);
    }
    return flaw;
}

enum belt_time_flaw belt_time_number(const struct belt_view *view, int column,
                                     const struct belt_column_info *info, int64_t unit, uint32_t i,
                                     int64_t *ns)
{
    if (info->type == BELT_FLOAT) {
        double value = view->columns[column].as.floats[i] * (double)unit;
        if (!(value > -9223372036854774784.0 && value < 9223372036854774784.0))
            return BELT_TIME_RANGE;
        *ns = (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
        return BELT_TIME_FINE;
    }
    __int128 value = (__int128)belt_number(view, column, i) * unit;
    for (unsigned d = info->type == BELT_DECIMAL ? info->digits : 0; d > 0; d--)
        value = value / 10 - (value % 10 < 0);
    if (value > INT64_MAX || value < INT64_MIN)
        return BELT_TIME_RANGE;
    *ns = (int64_t)value;
    return BELT_TIME_FINE;
}

/* ---- making -------------------------------------------------------------------- */

const char *const belt_months[12] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };
const char *const belt_weekdays[7] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday" };
const char *const belt_halves[2] = { "AM", "PM" };

static const struct belt_conversion conversions[] = {
#define TO(member) offsetof(struct belt_moment, member)
    { 'm', BELT_HOW_NUMBER, 1, 2, 1, 12, TO(month) },
    { 'd', BELT_HOW_NUMBER, 1, 2, 1, 31, TO(day) },
    { 'e', BELT_HOW_PADDED, 1, 2, 1, 31, TO(day) },
    { 'H', BELT_HOW_NUMBER, 1, 2, 0, 23, TO(hour) },
    { 'k', BELT_HOW_PADDED, 1, 2, 0, 23, TO(hour) },
    { 'I', BELT_HOW_NUMBER, 1, 2, 1, 12, TO(hour) },
    { 'M', BELT_HOW_NUMBER, 1, 2, 0, 59, TO(minute) },
    { 'S', BELT_HOW_NUMBER, 1, 2, 0, 60, TO(second) },
    { 'j', BELT_HOW_NUMBER, 1, 3, 1, 366, TO(yearday) },
    { 'Y', BELT_HOW_NUMBER, 4, 4, 0, 9999, TO(year) },
    { 'y', BELT_HOW_NUMBER, 2, 2, 0, 99, TO(year) },
    { 'f', BELT_HOW_FRACTION, 1, 9, 0, 0, TO(ns) },
    { 's', BELT_HOW_EPOCH, 1, 12, 0, 0, TO(epoch) },
    { 'z', BELT_HOW_ZONE, 0, 0, 0, 0, TO(zone) },
    { 'b', BELT_HOW_MONTH, 3, 3, 0, 0, TO(month) },
    { 'h', BELT_HOW_MONTH, 3, 3, 0, 0, TO(month) },
    { 'B', BELT_HOW_MONTH, 9, 9, 0, 0, TO(month) },
    { 'a', BELT_HOW_WEEKDAY, 3, 3, 0, 0, TO(weekday) },
    { 'A', BELT_HOW_WEEKDAY, 9, 9, 0, 0, TO(weekday) },
    { 'p', BELT_HOW_HALF, 2, 2, 0, 0, 0 },
#undef TO
};

static const struct {
    char letter;
    const char *means;
} shorthands[] = { { 'T', "%H:%M:%S" }, { 'F', "%Y-%m-%d" }, { 'D', "%m/%d/%y" },
                   { 'R', "%H:%M" },    { 'n', " " },        { 't', " " } };

static int refuse(const struct belt_node *node, const char *text, const char *why,
                  struct belt_error *err)
{
    return belt_node_error(err, node, "'%s' is no format of a time: %s", text, why);
}

static const struct belt_conversion *find_conversion(char letter)
{
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        if (conversions[i].letter == letter)
            return &conversions[i];
    return NULL;
}

static const char *find_shorthand(char letter)
{
    for (size_t i = 0; i < sizeof shorthands / sizeof *shorthands; i++)
        if (shorthands[i].letter == letter)
            return shorthands[i].means;
    return NULL;
}

/* Shorthands are one level deep. False: too long, or a letter that is none; `bad` says. */
static bool add_pieces(struct belt_time_format *format, const char *text, char *bad)
{
    for (; *text; text++) {
        struct belt_time_piece piece = { NULL, isspace((unsigned char)*text) ? ' ' : *text };
        if (*text == '%' && text[1] != '%') {
            const char *means = find_shorthand(text[1]);
            *bad = text[1];
            if (means) {
                text++;
                if (!add_pieces(format, means, bad))
                    return false;
                continue;
            }
            piece.conversion = find_conversion(text[1]);
            if (!piece.conversion)
                return false;
        }
        text += *text == '%';
        *bad = 0;
        if (format->count == BELT_TIME_PIECES)
            return false;
        format->pieces[format->count++] = piece;
    }
    return true;
}

static int compile(struct belt_time_format *format, const struct belt_node *node,
                   struct belt_error *err)
{
    static const struct {
        const char *name;
        int64_t unit;
    } names[] = { { "rfc3339", 0 },
                  { "seconds", BELT_SECOND },
                  { "milliseconds", 1000000 },
                  { "microseconds", 1000 },
                  { "nanoseconds", 1 } };
    const char *known[5];
    char bad = 0, why[100];
    for (size_t i = 0; i < 5; i++) {
        known[i] = names[i].name;
        if (strcmp(format->text, known[i]) == 0) {
            format->unit = names[i].unit;
            format->rfc3339 = i == 0;
            return 0;
        }
    }
    if (!strchr(format->text, '%')) {
        const char *near = belt_nearest(format->text, known, 5);
        snprintf(why, sizeof why,
                 near ? "did you mean '%s'?"
                      : "rfc3339, seconds, milliseconds, "
                        "microseconds, nanoseconds or a pattern like %%F %%T",
                 near);
        return refuse(node, format->text, why, err);
    }
    if (add_pieces(format, format->text, &bad))
        return 0;
    snprintf(why, sizeof why, bad ? "there is no %%%c" : "it is too long", bad);
    return refuse(node, format->text, why, err);
}

int belt_time_format_new(struct belt_time_format **out, const char *text,
                         const struct belt_node *node, struct belt_error *err)
{
    struct belt_time_format *format = calloc(1, sizeof *format);
    if (!format)
        return belt_error_set(err, -ENOMEM, "time: out of memory");
    format->text = text;
    int rc = compile(format, node, err);
    if (rc < 0)
        free(format);
    else
        *out = format;
    return rc;
}

void belt_time_format_free(struct belt_time_format *format)
{
    free(format);
}

int64_t belt_time_unit(const struct belt_time_format *format)
{
    return format->unit;
}

const char *belt_time_format_text(const struct belt_time_format *format)
{
    return format->text;
}
