/* Between the files of time formats: time.c (formats, the calendar), time_read.c and
 * time_write.c. */
#ifndef BELT_TIME_FORMAT_PRIV_H
#define BELT_TIME_FORMAT_PRIV_H

#include "steps/time_priv.h"

#define BELT_SECOND INT64_C(1000000000) /* ns */

enum { BELT_TIME_PIECES = 64 };

/* What is read of a time, or to be written. */
struct belt_moment {
    int64_t year;
    int month, day, hour, minute, second, weekday, yearday; /* yearday: 1 to 366, 0: not given */
    int64_t ns, epoch;                                      /* epoch: seconds, with %s */
    int zone;                                               /* seconds east */
    bool has_epoch, half, afternoon;
};

enum belt_how {
    BELT_HOW_NUMBER,
    BELT_HOW_PADDED,
    BELT_HOW_FRACTION,
    BELT_HOW_EPOCH,
    BELT_HOW_ZONE,
    BELT_HOW_MONTH,
    BELT_HOW_WEEKDAY,
    BELT_HOW_HALF
};

/* One letter of a pattern. A number has `least` to `most` digits, is within
 * [low, high] and goes to the int at `to`. */
struct belt_conversion {
    char letter;
    enum belt_how how;
    int least, most, low, high;
    size_t to; /* in struct belt_moment */
};

/* A byte of the pattern as it stands, or a conversion. */
struct belt_time_piece {
    const struct belt_conversion *conversion; /* NULL: */
    char byte;                                /* a space is any number of them */
};

struct belt_time_format {
    const char *text;
    int64_t unit; /* numbers; else: */
    bool rfc3339; /* else: */
    struct belt_time_piece pieces[BELT_TIME_PIECES];
    size_t count;
};

extern const char *const belt_months[12], *const belt_weekdays[7], *const belt_halves[2];

/* False: the text is not of this format, which is no number's. */
bool belt_moment_read(const struct belt_time_format *format, const char *text, uint32_t size,
                      struct belt_moment *moment);

#endif
