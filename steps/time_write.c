#include <string.h>

#include "core/number_priv.h"
#include "steps/time_format_priv.h"

/* The other way round of days_of() in time.c. */
static void date_of(int64_t days, struct belt_moment *moment)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, in_era = days - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * in_year + 2) / 153);
    moment->day = (int)(in_year - (153 * month + 2) / 5) + 1;
    moment->month = month < 10 ? month + 3 : month - 9;
    moment->year = year + era * 400 + (moment->month <= 2);
}

static int day_of_year(const struct belt_moment *moment)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    int64_t year = moment->year;
    bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
    return before[moment->month - 1] + moment->day + (leap && moment->month > 2);
}

static void unsettle(int64_t ns, struct belt_moment *moment)
{
    int64_t seconds = ns / BELT_SECOND - (ns % BELT_SECOND < 0), days = seconds / 86400;
    days -= seconds % 86400 < 0;
    int in_day = (int)(seconds - days * 86400);
    int64_t rest = ns % BELT_SECOND;
    *moment = (struct belt_moment){ .ns = rest < 0 ? rest + BELT_SECOND : rest, .epoch = seconds };
    date_of(days, moment);
    moment->hour = in_day / 3600;
    moment->minute = in_day / 60 % 60;
    moment->second = in_day % 60;
    moment->weekday = (int)(((days + 4) % 7 + 7) % 7);
    moment->yearday = day_of_year(moment);
}

static size_t write_zone(char *out)
{
    memcpy(out, "+0000", 5);
    return 5;
}

/* `width` digits; printf() took half of the time of all of a format. */
static void put_digits(char *out, int64_t value, int width)
{
    for (char *at = out + width; at > out; value /= 10)
        *--at = (char)('0' + value % 10);
}

static size_t put_name(char *out, const char *name, int most)
{
    size_t size = strnlen(name, (size_t)most);
    memcpy(out, name, size);
    return size;
}

static size_t write_conversion(const struct belt_conversion *conversion,
                               const struct belt_moment *moment, char *out)
{
    const char *name = conversion->how == BELT_HOW_MONTH     ? belt_months[moment->month - 1]
                       : conversion->how == BELT_HOW_WEEKDAY ? belt_weekdays[moment->weekday]
                       : conversion->how == BELT_HOW_HALF    ? belt_halves[moment->hour >= 12]
                                                             : NULL;
    int most = conversion->most;
    if (name)
        return put_name(out, name, most);
    if (conversion->how == BELT_HOW_ZONE)
        return write_zone(out);
    if (conversion->how == BELT_HOW_EPOCH)
        return (size_t)(belt_put_int(out, moment->epoch) - out);
    int64_t value = conversion->how == BELT_HOW_FRACTION
                        ? moment->ns
                        : *(const int *)(const void *)((const char *)moment + conversion->to);
    if (conversion->to == offsetof(struct belt_moment, year))
        value = conversion->letter == 'y' ? moment->year % 100 : moment->year;
    if (conversion->letter == 'I')
        value = (moment->hour + 11) % 12 + 1;
    put_digits(out, value, most);
    for (char *at = out; conversion->how == BELT_HOW_PADDED && at + 1 < out + most && *at == '0';)
        *at++ = ' ';
    return (size_t)most;
}

/* As short as it can be said: no fraction, or 3, 6 or 9 digits of it. */
static size_t write_rfc3339(const struct belt_moment *moment, char *out)
{
    const struct {
        int64_t value;
        int width;
        char behind;
    } parts[] = {
        { moment->year, 4, '-' }, { moment->month, 2, '-' },  { moment->day, 2, 'T' },
        { moment->hour, 2, ':' }, { moment->minute, 2, ':' }, { moment->second, 2, '.' }
    };
    char *at = out;
    int64_t ns = moment->ns;
    int places = ns == 0 ? 0 : ns % 1000 ? 9 : ns % 1000000 ? 6 : 3;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        put_digits(at, parts[i].value, parts[i].width);
        at += parts[i].width;
        *at++ = parts[i].behind;
    }
    put_digits(at, ns, 9);
    at += places ? places : -1;
    *at++ = 'Z';
    return (size_t)(at - out);
}

static size_t write_unit(int64_t ns, int64_t unit, char *out)
{
    unsigned places = 0;
    for (int64_t left = unit; left > 1; left /= 10)
        places++;
    for (; places > 0 && ns % 10 == 0; places--)
        ns /= 10;
    return (size_t)(belt_put_decimal(out, ns, places) - out);
}

size_t belt_time_write(const struct belt_time_format *format, int64_t ns, char out[BELT_TIME_ROOM])
{
    struct belt_moment moment;
    size_t used = 0;
    if (format->unit)
        return write_unit(ns, format->unit, out);
    unsettle(ns, &moment);
    if (format->rfc3339)
        return write_rfc3339(&moment, out);
    for (size_t i = 0; i < format->count; i++) {
        const struct belt_time_piece *piece = &format->pieces[i];
        if (piece->conversion)
            used += write_conversion(piece->conversion, &moment, out + used);
        else
            out[used++] = piece->byte;
    }
    return used;
}
