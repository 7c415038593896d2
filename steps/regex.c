#include "steps/regex_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    STACK_FIRST = 32 << 10, /* of compiled patterns: what is mapped at first, */
    STACK_MOST = 1 << 20,   /* and at most */
    HEAP_MOST = 8192        /* KiB for interpreted ones */
};

struct belt_regex {
    pcre2_code *code;
    const struct belt_node *node;
    uint32_t limit, groups;
    /* Compiled, and needs no look at the text beforehand: calls go straight in. */
    bool direct;
    const char *names; /* PCRE2's table: [names_used] of name_size bytes, 2 of the number first */
    uint32_t names_used, name_size;
};

struct belt_regex_work {
    pcre2_match_data *found;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    const PCRE2_SIZE *pairs;
    uint32_t limit; /* the context's */
};

/* ---- making -------------------------------------------------------------------- */

static uint32_t flags_of(const struct belt_regex_conf *conf)
{
    static const uint32_t utf[] = {
        [BELT_UTF_OFF] = 0,
        [BELT_UTF_FAIL] = PCRE2_UTF | PCRE2_UCP,
        [BELT_UTF_KEEP] = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF,
    };
    /* \C would cut characters in two; (*UTF) and (*UCP) are for the setting to say. */
    uint32_t flags = PCRE2_NEVER_BACKSLASH_C | utf[conf->utf];
    flags |= conf->utf == BELT_UTF_OFF ? PCRE2_NEVER_UTF : 0;
    return flags | (conf->ignore_case ? PCRE2_CASELESS : 0);
}

static int refuse(const struct belt_node *node, int code, size_t at, struct belt_error *err)
{
    PCRE2_UCHAR words[160] = "";
    pcre2_get_error_message(code, words, sizeof words);
    return belt_node_error(err, node, "bad pattern at its byte %zu: %s", at, (const char *)words);
}

static void look_up(struct belt_regex *regex)
{
    const uint32_t wanted[] = { PCRE2_INFO_NAMECOUNT, PCRE2_INFO_NAMEENTRYSIZE,
                                PCRE2_INFO_CAPTURECOUNT };
    uint32_t *const to[] = { &regex->names_used, &regex->name_size, &regex->groups };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        pcre2_pattern_info(regex->code, wanted[i], to[i]);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &regex->names);
}

static int compile(struct belt_regex *regex, const struct belt_regex_conf *conf,
                   const struct belt_node *node, struct belt_error *err)
{
    int code = 0;
    size_t at = 0, jit_size = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)conf->pattern, PCRE2_ZERO_TERMINATED, flags_of(conf),
                                &code, &at, NULL);
    if (!regex->code)
        return refuse(node, code, at, err);
    /* In prepare(), so before any fork: workers in a sandbox inherit the code. Where no
     * memory may be made executable, the pattern is interpreted. */
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    pcre2_pattern_info(regex->code, PCRE2_INFO_JITSIZE, &jit_size);
    regex->direct = jit_size > 0 && conf->utf != BELT_UTF_FAIL;
    look_up(regex);
    return 0;
}

int belt_regex_new(struct belt_regex **out, const struct belt_regex_conf *conf,
                   const struct belt_node *node, struct belt_error *err)
{
    if (strlen(conf->pattern) > BELT_REGEX_PATTERN)
        return belt_node_error(err, node, "a pattern has at most %d bytes, this one has %zu",
                               BELT_REGEX_PATTERN, strlen(conf->pattern));
    struct belt_regex *regex = calloc(1, sizeof *regex);
    if (!regex)
        return belt_error_set(err, -ENOMEM, "pattern: out of memory");
    regex->node = node;
    regex->limit = (uint32_t)conf->limit;
    int rc = compile(regex, conf, node, err);
    if (rc < 0)
        belt_regex_free(regex);
    else
        *out = regex;
    return rc;
}

void belt_regex_free(struct belt_regex *regex)
{
    if (regex)
        pcre2_code_free(regex->code);
    free(regex);
}

const struct belt_node *belt_regex_node(const struct belt_regex *regex)
{
    return regex->node;
}

uint32_t belt_regex_groups(const struct belt_regex *regex)
{
    return regex->groups;
}

const char *belt_regex_name(const struct belt_regex *regex, uint32_t index)
{
    return index < regex->names_used ? regex->names + index * regex->name_size + 2 : NULL;
}

int belt_regex_group(const struct belt_regex *regex, const char *name)
{
    int rc = pcre2_substring_number_from_name(regex->code, (PCRE2_SPTR)name);
    return rc >= 0                               ? rc
           : rc == PCRE2_ERROR_NOUNIQUESUBSTRING ? BELT_REGEX_TWO_GROUPS
                                                 : BELT_REGEX_NO_GROUP;
}

/* ---- matching ------------------------------------------------------------------ */

int belt_regex_work_new(struct belt_regex_work **out, uint32_t groups, const char *stage,
                        struct belt_error *err)
{
    struct belt_regex_work *work = calloc(1, sizeof *work);
    if (work) {
        work->found = pcre2_match_data_create(groups + 1, NULL);
        work->context = pcre2_match_context_create(NULL);
        work->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, NULL);
    }
    /* No stack of its own: there is no compiled code in this PCRE2. */
    if (!work || !work->found || !work->context) {
        belt_regex_work_free(work);
        return belt_error_set(err, -ENOMEM, "%s: pattern: out of memory", stage);
    }
    work->pairs = pcre2_get_ovector_pointer(work->found);
    pcre2_set_heap_limit(work->context, HEAP_MOST);
    if (work->stack)
        pcre2_jit_stack_assign(work->context, NULL, work->stack);
    *out = work;
    return 0;
}

void belt_regex_work_free(struct belt_regex_work *work)
{
    if (!work)
        return;
    pcre2_jit_stack_free(work->stack);
    pcre2_match_context_free(work->context);
    pcre2_match_data_free(work->found);
    free(work);
}

static void set_limit(struct belt_regex_work *work, uint32_t limit)
{
    work->limit = limit;
    pcre2_set_match_limit(work->context, limit);
    pcre2_set_depth_limit(work->context, limit);
}

int belt_regex_match_from(const struct belt_regex *regex, struct belt_regex_work *work,
                          const char *text, uint32_t size, uint32_t from)
{
    if (work->limit != regex->limit)
        set_limit(work, regex->limit);
    int rc = regex->direct ? pcre2_jit_match(regex->code, (PCRE2_SPTR)text, size, from, 0,
                                             work->found, work->context)
                           : pcre2_match(regex->code, (PCRE2_SPTR)text, size, from, 0, work->found,
                                         work->context);
    /* 0: found, with more groups than there is room for. */
    return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : rc;
}

int belt_regex_match(const struct belt_regex *regex, struct belt_regex_work *work, const char *text,
                     uint32_t size)
{
    return belt_regex_match_from(regex, work, text, size, 0);
}

bool belt_regex_span(const struct belt_regex_work *work, uint32_t group, struct belt_span *span)
{
    PCRE2_SIZE from = work->pairs[2 * group], to = work->pairs[2 * group + 1];
    /* \K in a lookahead can put the start behind the end. */
    if (from == PCRE2_UNSET || from > to)
        return false;
    *span = (struct belt_span){ (uint32_t)from, (uint32_t)(to - from) };
    return true;
}

void belt_regex_reason(char reason[BELT_REASON], const struct belt_regex *regex,
                       const struct belt_regex_work *work, int code, const char *name)
{
    const char *place = belt_node_place(regex->node);
    PCRE2_UCHAR words[100] = "";
    if (code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21) {
        snprintf(reason, BELT_REASON, "%s: no UTF-8 at its byte %zu, for the pattern at %s", name,
                 pcre2_get_startchar(work->found), place);
        return;
    }
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT) {
        snprintf(reason, BELT_REASON, "%s: the pattern at %s gave up after %u steps back", name,
                 place, regex->limit);
        return;
    }
    if (code == PCRE2_ERROR_JIT_STACKLIMIT || code == PCRE2_ERROR_HEAPLIMIT) {
        snprintf(reason, BELT_REASON, "%s: the pattern at %s wants too much memory for it", name,
                 place);
        return;
    }
    pcre2_get_error_message(code, words, sizeof words);
    snprintf(reason, BELT_REASON, "%s: the pattern at %s: %s", name, place, (const char *)words);
}
