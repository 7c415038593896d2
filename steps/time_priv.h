/* Times as text or numbers, exactly to the nanosecond, both ways. UTC unless the text says
 * otherwise; independent of the locale and of the machine's time zone. */
#ifndef BELT_TIME_PRIV_H
#define BELT_TIME_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/part.h"

enum { BELT_TIME_ROOM = 1024 }; /* bytes for what any format writes: 64 pieces of up to 11 */

enum belt_time_flaw { BELT_TIME_FINE, BELT_TIME_SYNTAX, BELT_TIME_RANGE };

/* "rfc3339": 2026-01-31T12:00:00.5+01:00, the T perhaps a space; "seconds", "milliseconds",
 * "microseconds", "nanoseconds": since 1970, as a number; or a pattern as strptime(3) has:
 * %Y %m %d %e %H %I %M %S %f %p %b %B %a %A %j %y %z %s %T %F %D %R %n %t %%. */
struct belt_time_format; /* read-only once made: any thread */

int belt_time_format_new(struct belt_time_format **out, const char *text,
                         const struct belt_node *node, struct belt_error *err);
void belt_time_format_free(struct belt_time_format *format);
/* Of the formats that are numbers: ns of one of them; 0: it is a text's. */
int64_t belt_time_unit(const struct belt_time_format *format);
const char *belt_time_format_text(const struct belt_time_format *format);

/* *ns: since 1970, UTC. Years 1677 to 2262. */
enum belt_time_flaw belt_time_parse(const struct belt_time_format *format, const char *text,
                                    uint32_t size, int64_t *ns);
/* A number of the column `info`, each `unit` ns. */
enum belt_time_flaw belt_time_number(const struct belt_view *view, int column,
                                     const struct belt_column_info *info, int64_t unit, uint32_t i,
                                     int64_t *ns);
/* Without an end mark; the bytes written. */
size_t belt_time_write(const struct belt_time_format *format, int64_t ns, char out[BELT_TIME_ROOM]);
/* A moment as people write it in a setting: with less than RFC 3339 asks for, down to a
 * date, which is its midnight in UTC. */
enum belt_time_flaw belt_time_moment(const char *text, int64_t *ns);

#endif
