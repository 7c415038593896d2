/* Regular expressions, bounded: PCRE2, compiled to machine code where the machine
 * lets us. A pattern that would backtrack without end gives up, and says so. */
#ifndef BELT_REGEX_PRIV_H
#define BELT_REGEX_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/part.h"

enum {
    BELT_REGEX_PATTERN = 16384, /* most bytes of a pattern */
    BELT_REGEX_LIMIT = 100000   /* steps of backtracking, unless set */
};

/* What bytes mean: each a character; or UTF-8, where a text that is none fails, or
 * where its bad bytes are matched by nothing. */
enum belt_regex_utf { BELT_UTF_OFF, BELT_UTF_FAIL, BELT_UTF_KEEP };
#define BELT_UTF_CHOICES "off|fail|keep"

struct belt_regex_conf {
    const char *pattern;
    bool ignore_case;
    int utf; /* enum belt_regex_utf */
    int64_t limit;
};

struct belt_regex; /* read-only once made: any thread, and processes forked later */

/* 0, or negative with err set to "FILE:LINE:COLUMN: ..."; `node` stays in use. */
int belt_regex_new(struct belt_regex **out, const struct belt_regex_conf *conf,
                   const struct belt_node *node, struct belt_error *err);
void belt_regex_free(struct belt_regex *regex);
const struct belt_node *belt_regex_node(const struct belt_regex *regex);
enum { BELT_REGEX_NO_GROUP = -1, BELT_REGEX_TWO_GROUPS = -2 };
/* Numbered groups, and the number of a named one, or one of the above. */
uint32_t belt_regex_groups(const struct belt_regex *regex);
int belt_regex_group(const struct belt_regex *regex, const char *name);
/* The names of groups, in order of the alphabet; NULL past the end. */
const char *belt_regex_name(const struct belt_regex *regex, uint32_t index);

/* What one instance needs to match: made in its init(). */
struct belt_regex_work;
int belt_regex_work_new(struct belt_regex_work **out, uint32_t groups, const char *stage,
                        struct belt_error *err);
void belt_regex_work_free(struct belt_regex_work *work);

/* 1: found, 0: not, negative: could not be decided (belt_regex_reason). */
int belt_regex_match(const struct belt_regex *regex, struct belt_regex_work *work, const char *text,
                     uint32_t size);
/* The same from byte `from` on; what is before it is seen by \b and lookbehind. */
int belt_regex_match_from(const struct belt_regex *regex, struct belt_regex_work *work,
                          const char *text, uint32_t size, uint32_t from);
/* Where group `group` (0: the whole) of the last match lies; false: it took no part. */
bool belt_regex_span(const struct belt_regex_work *work, uint32_t group, struct belt_span *span);
/* "NAME: the pattern at FILE:LINE:COLUMN gave up ...". */
void belt_regex_reason(char reason[BELT_REASON], const struct belt_regex *regex,
                       const struct belt_regex_work *work, int code, const char *name);

/* The longest bytes that all texts have in which the pattern, with regard to no case, finds
 * something, into out[strlen(pattern) + 1]; their number, 0: none are known. *whole: there
 * is no more to it. `scratch` is as large. */
size_t belt_regex_literal(const char *pattern, char *out, char *scratch, bool *whole);

#endif
