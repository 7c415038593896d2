#include "core/number_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* Digits before `end`, at least one, back to front. Where they start. */
static char *digits_before(char *end, uint64_t value)
{
    for (; value >= 100; value /= 100) {
        end -= 2;
        memcpy(end, pairs + 2 * (value % 100), 2);
    }
    if (value < 10) {
        *--end = (char)('0' + value);
        return end;
    }
    return memcpy(end - 2, pairs + 2 * value, 2);
}

/* The sign goes to *to; the rest without it, right for INT64_MIN too. */
static uint64_t put_sign(char **to, int64_t value)
{
    if (value >= 0)
        return (uint64_t)value;
    *(*to)++ = '-';
    return 0 - (uint64_t)value;
}

char *belt_put_int(char *to, int64_t value)
{
    char room[24], *end = room + sizeof room;
    uint64_t size = put_sign(&to, value);
    char *start = digits_before(end, size);
    memcpy(to, start, (size_t)(end - start));
    return to + (end - start);
}

char *belt_put_decimal(char *to, int64_t value, unsigned digits)
{
    char room[32], *end = room + sizeof room;
    if (!digits)
        return belt_put_int(to, value);
    uint64_t rest = put_sign(&to, value);
    char *start = digits_before(end, rest);
    while ((unsigned)(end - start) <= digits)
        *--start = '0';
    size_t whole = (size_t)(end - start) - digits;
    memcpy(to, start, whole);
    to[whole] = '.';
    memcpy(to + whole + 1, start + whole, digits);
    return to + whole + 1 + digits;
}

char *belt_put_float(char *to, double value)
{
    char room[BELT_NUMBER_ROOM + 8];
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(room, sizeof room, "%.*g", digits, value);
        if (strtod(room, NULL) == value)
            break;
    }
    /* The program's locale may write another decimal point. */
    for (int i = 0; i < size; i++)
        to[i] = strchr("0123456789+-einfa", room[i]) ? room[i] : '.';
    return to + size;
}
