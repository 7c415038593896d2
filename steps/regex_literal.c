/* Bytes that every match of a pattern has in it. Read off patterns that are plain
 * enough; of any other nothing is said. */
#include <string.h>

#include "steps/regex_priv.h"

/* A walk over a pattern's top level. */
struct reading {
    const char *at;
    char *run, *best; /* literal bytes without a gap: those in hand, and the longest so far */
    size_t run_size, best_size;
    bool gaps; /* there is more than literal bytes */
};

static void end_run(struct reading *r)
{
    if (r->run_size > r->best_size) {
        memcpy(r->best, r->run, r->run_size);
        r->best_size = r->run_size;
    }
    r->run_size = 0;
    r->gaps = true;
}

/* Behind the class that begins at `at`; NULL: not one to be sure about. */
static const char *past_class(const char *at)
{
    at += 1 + (at[1] == '^');
    if (*at == ']')
        at++;
    for (; *at != ']'; at++) {
        if (!*at || (*at == '[' && strchr(":.=", at[1])))
            return NULL;
        if (*at == '\\' && (!*++at || strchr("QE", *at)))
            return NULL;
    }
    return at + 1;
}

/* Behind the escape at `at`; NULL: a quotation, whose end is elsewhere. */
static const char *past_escape(const char *at)
{
    return at[1] && !strchr("QE", at[1]) ? at + 2 : NULL;
}

/* Groups that may say something about what is around them, as (?i) does, are not for here. */
static bool is_plain_group(const char *at)
{
    bool named = at[1] == '?' && at[2] == '<' && at[3] != '=' && at[3] != '!';
    return at[1] != '*' && (at[1] != '?' || at[2] == ':' || named);
}

/* Behind the group that begins at `at`; NULL as above. */
static const char *past_group(const char *at)
{
    int depth = 0;
    do {
        if (*at == '\\') {
            at = past_escape(at);
        } else if (*at == '[') {
            at = past_class(at);
        } else {
            if (!*at || (*at == '(' && !is_plain_group(at)))
                return NULL;
            depth += (*at == '(') - (*at == ')');
            at++;
        }
    } while (at && depth > 0);
    return at;
}

/* A backslash and a letter that are a class or an assertion; or a byte that is itself. */
static bool read_escape(struct reading *r)
{
    char byte = r->at[1];
    if (byte && strchr("dDwWsSbBAzZhHvVRN", byte))
        end_run(r);
    else if (byte > 0 && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ", byte))
        r->run[r->run_size++] = byte;
    else
        return false;
    r->at += 2;
    return true;
}

static bool read_nothing(struct reading *r)
{
    (void)r;
    return false;
}

static bool read_class(struct reading *r)
{
    end_run(r);
    return (r->at = past_class(r->at)) != NULL;
}

static bool read_group(struct reading *r)
{
    end_run(r);
    return (r->at = past_group(r->at)) != NULL;
}

/* What is before may be there no time. Where { is a byte, less is said than could be. */
static bool read_quantifier(struct reading *r)
{
    r->run_size -= r->run_size > 0;
    end_run(r);
    r->at += *r->at == '{' ? strcspn(r->at, "}") : 0;
    r->at += *r->at != 0;
    return true;
}

static bool read_gap(struct reading *r)
{
    end_run(r);
    r->at++;
    return true;
}

static bool read_byte(struct reading *r)
{
    /* A quantifier behind it would mean all of a character. */
    if ((unsigned char)*r->at >= 0x80)
        return read_gap(r);
    r->run[r->run_size++] = *r->at++;
    return true;
}

/* One part of the pattern; false: nothing can be said about all of it. */
static bool read_part(struct reading *r)
{
    static bool (*const special[128])(struct reading *) = {
        ['\\'] = read_escape,    ['|'] = read_nothing,    [')'] = read_nothing,
        ['['] = read_class,      ['('] = read_group,      ['*'] = read_quantifier,
        ['?'] = read_quantifier, ['{'] = read_quantifier, ['+'] = read_gap,
        ['.'] = read_gap,        ['^'] = read_gap,        ['$'] = read_gap,
    };
    unsigned char byte = (unsigned char)*r->at;
    return (byte < 128 && special[byte] ? special[byte] : read_byte)(r);
}

size_t belt_regex_literal(const char *pattern, char *out, char *scratch, bool *whole)
{
    struct reading r = { .at = pattern, .best = out, .run = scratch };
    while (*r.at)
        if (!read_part(&r))
            return 0;
    bool gaps = r.gaps;
    end_run(&r);
    *whole = !gaps;
    r.best[r.best_size] = 0;
    return r.best_size;
}
