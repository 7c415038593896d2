/* Numbers as text, exactly, both ways; for steps that read or write fields.
 *
 * A number is [+-] digits [. digits], with at least one digit on each side of
 * the point: "5", "-0.5" and "+007" are numbers, "", "-", ".5" and "1." are
 * not. A float may have an exponent; there is no inf and no nan. All of it is
 * independent of the locale and safe in any thread. */
#ifndef BELT_STEPS_NUMBER_PRIV_H
#define BELT_STEPS_NUMBER_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "core/number_priv.h"
#include "core/part.h"

enum {
    BELT_DIGITS_MAX = 18, /* most digits of a decimal: 10^18 is the last power in int64_t */
    BELT_TYPE_ROOM = 16   /* bytes that any type's name needs, with its end mark */
};

enum belt_flaw { BELT_FLAW_NONE, BELT_FLAW_SYNTAX, BELT_FLAW_DIGITS, BELT_FLAW_RANGE };

/* *out in units of 10^-digits; untouched when there is a flaw. */
enum belt_flaw belt_number_parse(const char *text, size_t size, unsigned digits, int64_t *out);
/* The nearest double; too big a number is a flaw, too small a one is 0. */
enum belt_flaw belt_float_parse(const char *text, size_t size, double *out);

/* As belt_put_float, but zero never has a sign. The bytes written. */
size_t belt_float_write(char *out, double value);

/* Message i's value in a column of this type, as text: of the column itself or
 * written to out[BELT_NUMBER_ROOM]. No end mark. */
const char *belt_value_text(const struct belt_view *view, int column, enum belt_type type,
                            unsigned digits, uint32_t i, char *out, uint32_t *size);

/* "text", "int", "decimal(1)", "float" with an end mark; returns `out`. */
const char *belt_type_name(char out[BELT_TYPE_ROOM], enum belt_type type, unsigned digits);

/* "NAME: 'abc' is not a decimal(1)" and the like, for the flaw that parsing `text` had. */
void belt_flaw_text(char *out, size_t room, enum belt_flaw flaw, const char *name,
                    enum belt_type type, unsigned digits, const char *text, size_t size);
/* `text` as one may show it: cut with "..." when long, a tab as "\t", other
 * unprintable bytes as '?'. Returns `out`; `room` is at least 8. */
const char *belt_show(char *out, size_t room, const char *text, size_t size);

#endif
