/* Numbers as text, for formats and steps alike. Independent of the locale. */
#ifndef BELT_NUMBER_PRIV_H
#define BELT_NUMBER_PRIV_H

#include <stdint.h>

/* Most bytes of a number: a double in 17 digits, an int64 with 18 decimals. */
#define BELT_NUMBER_ROOM 32

/* Each writes at most BELT_NUMBER_ROOM bytes without an end mark and returns the end. */
char *belt_put_int(char *to, int64_t value);
/* 123 with one digit is 12.3; zero has no sign. */
char *belt_put_decimal(char *to, int64_t value, unsigned digits);
/* The shortest of 15 to 17 digits that reads back as the same number. */
char *belt_put_float(char *to, double value);

#endif
