/* Conditions on texts: what they are, begin with, contain, match. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/condition_test_priv.h"
#include "steps/number_priv.h"

/* A shorter one is in too many texts for a look at it to pay. */
enum { LITERAL_LEAST = 3 };

/* ---- running ------------------------------------------------------------------- */

typedef bool text_fn(const char *text, uint32_t size, const struct belt_test *test);

static inline __attribute__((always_inline)) uint64_t each(text_fn *hit,
                                                           const struct belt_test *test,
                                                           struct belt_asked *asked, uint64_t rows)
{
    const struct belt_column *column = &asked->view->columns[test->column];
    const struct belt_span *spans = column->as.spans + asked->w * 64;
    uint64_t hits = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        hits |= (uint64_t)hit(column->base + spans[i].at, spans[i].size, test) << i;
    }
    return hits;
}

static inline bool same(const char *text, uint32_t size, const struct belt_test *test)
{
    return size == test->to.text.size && memcmp(text, test->to.text.bytes, size) == 0;
}

/* BELT_PAD makes 8 bytes readable. */
static inline bool begins(const char *text, const struct belt_test *test)
{
    uint64_t own;
    memcpy(&own, text, sizeof own);
    return (own & test->to.text.mask) == test->to.text.word;
}

static inline bool starts(const char *text, uint32_t size, const struct belt_test *test)
{
    uint32_t want = test->to.text.size;
    return size >= want && begins(text, test) &&
           (want <= 8 || memcmp(text, test->to.text.bytes, want) == 0);
}

static inline bool ends(const char *text, uint32_t size, const struct belt_test *test)
{
    uint32_t tail = test->to.text.size;
    return size >= tail && memcmp(text + size - tail, test->to.text.bytes, tail) == 0;
}

static inline int order(const char *text, uint32_t size, const struct belt_test *test)
{
    uint32_t other = test->to.text.size;
    int by_bytes = memcmp(text, test->to.text.bytes, size < other ? size : other);
    return by_bytes ? by_bytes : (size > other) - (size < other);
}

static inline bool from(const char *text, uint32_t size, const struct belt_test *test)
{
    return order(text, size, test) >= 0;
}

static inline bool above(const char *text, uint32_t size, const struct belt_test *test)
{
    return order(text, size, test) > 0;
}

static inline bool to(const char *text, uint32_t size, const struct belt_test *test)
{
    return order(text, size, test) <= 0;
}

static inline bool below(const char *text, uint32_t size, const struct belt_test *test)
{
    return order(text, size, test) < 0;
}

static inline bool is_empty(const char *text, uint32_t size, const struct belt_test *test)
{
    (void)text;
    return (size == 0) == test->to.empty;
}

static uint64_t starts_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(starts, t, asked, rows);
}

static uint64_t ends_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(ends, t, asked, rows);
}

static uint64_t from_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(from, t, asked, rows);
}

static uint64_t above_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(above, t, asked, rows);
}

static uint64_t to_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(to, t, asked, rows);
}

static uint64_t below_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(below, t, asked, rows);
}

static uint64_t empty_rows(const struct belt_test *t, struct belt_asked *asked, uint64_t rows)
{
    return each(is_empty, t, asked, rows);
}

/* By size and first 8 bytes, without a branch; what is left of longer texts only
 * for the hits. */
static uint64_t same_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const struct belt_column *column = &asked->view->columns[test->column];
    const struct belt_span *spans = column->as.spans + asked->w * 64;
    const uint32_t size = test->to.text.size;
    uint64_t hits = 0;
    if (rows != UINT64_MAX)
        return each(same, test, asked, rows);
    for (uint32_t i = 0; i < 64; i++)
        hits |= (uint64_t)((spans[i].size == size) & begins(column->base + spans[i].at, test)) << i;
    return size <= 8 ? hits : each(same, test, asked, hits);
}

const struct belt_test_kind belt_test_same = { same_rows, NULL },
                            belt_test_starts = { starts_rows, NULL },
                            belt_test_ends = { ends_rows, NULL },
                            belt_test_from = { from_rows, NULL },
                            belt_test_above = { above_rows, NULL },
                            belt_test_to = { to_rows, NULL },
                            belt_test_below = { below_rows, NULL };
static const struct belt_test_kind test_empty = { empty_rows, NULL };

static uint64_t find_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const struct belt_column *column = &asked->view->columns[test->column];
    return belt_find_rows(test->to.needles, column->base, column->as.spans + asked->w * 64, rows);
}

static void find_free(struct belt_test *test)
{
    belt_needles_free(test->to.needles);
}

static const struct belt_test_kind test_contains = { find_rows, find_free };

/* Those that have what all hits have. Where nearly all rows have it, looking does not pay:
 * a frame's first word tells for the others. */
static uint64_t literal_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const struct belt_column *column = &asked->view->columns[test->column];
    const uint64_t bit = UINT64_C(1) << (test->end % 64); /* shared: slower, never wrong */
    bool first = asked->w == asked->view->first / 64;
    if (!first && (asked->run->common & bit))
        return rows;
    uint64_t hits = belt_find_rows(test->to.pattern.needles, column->base,
                                   column->as.spans + asked->w * 64, rows);
    if (first && 4 * __builtin_popcountll(hits) > 3 * __builtin_popcountll(rows))
        asked->run->common |= bit;
    else if (first)
        asked->run->common &= ~bit;
    return hits;
}

static uint64_t pattern_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    const struct belt_column *column = &asked->view->columns[test->column];
    const struct belt_span *spans = column->as.spans + asked->w * 64;
    const struct belt_regex *regex = test->to.pattern.regex;
    uint64_t hits = 0;
    if (test->to.pattern.needles)
        rows = literal_rows(test, asked, rows);
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        int rc =
            belt_regex_match(regex, asked->run->regex, column->base + spans[i].at, spans[i].size);
        hits |= (uint64_t)(rc > 0) << i;
        if (rc < 0) {
            char reason[BELT_REASON];
            belt_regex_reason(reason, regex, asked->run->regex, rc, test->name);
            belt_asked_fail(asked, i, reason);
        }
    }
    return hits;
}

static void pattern_free(struct belt_test *test)
{
    belt_regex_free(test->to.pattern.regex);
    belt_needles_free(test->to.pattern.needles);
}

const struct belt_test_kind belt_test_pattern = { pattern_rows, pattern_free };

/* ---- making -------------------------------------------------------------------- */

static int add_text(struct belt_maker *m, const struct belt_test_kind *kind, int column,
                    const struct belt_node *node, const char *text)
{
    int at = belt_maker_add(m, kind, column, node);
    if (at < 0)
        return at;
    struct belt_test *test = belt_maker_test(m, at);
    size_t size = strlen(text), head = size < 8 ? size : 8;
    test->to.text.bytes = text;
    test->to.text.size = (uint32_t)size;
    memcpy(&test->to.text.word, text, head);
    test->to.text.mask = head ? UINT64_MAX >> (64 - 8 * head) : 0;
    return 0;
}

static int text_only(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_column_info *info = belt_maker_info(m, wanted->column);
    char type[BELT_TYPE_ROOM];
    if (info->type == BELT_TEXT)
        return 0;
    return belt_node_error(m->err, wanted->node, "%s is for texts; '%s' is %s",
                           wanted->relation->name, info->name,
                           belt_type_name(type, info->type, info->digits));
}

static int needles_of(struct belt_needles **out, const char *const *texts, size_t count, bool fold,
                      struct belt_error *err)
{
    return (fold ? belt_needles_folded : belt_needles_new)(out, texts, count, err);
}

/* What every hit has in it is looked for first, in all rows at once. Not with utf: letters
 * there may have more than two cases, and bad texts are to fail. */
static int add_literal(struct belt_maker *m, struct belt_test *test,
                       const struct belt_regex_conf *conf, bool *whole)
{
    size_t room = strlen(conf->pattern) + 1;
    char *literal = malloc(2 * room);
    int rc = literal ? 0 : belt_error_set(m->err, -ENOMEM, "condition: out of memory");
    bool plain = conf->utf == BELT_UTF_OFF || (conf->utf == BELT_UTF_KEEP && !conf->ignore_case);
    if (literal && plain &&
        belt_regex_literal(conf->pattern, literal, literal + room, whole) >= LITERAL_LEAST)
        rc = needles_of(&test->to.pattern.needles, (const char *[]){ literal }, 1,
                        conf->ignore_case, m->err);
    *whole &= test->to.pattern.needles != NULL;
    free(literal);
    return rc;
}

static int add_pattern(struct belt_maker *m, const struct belt_wanted *wanted, const char *pattern)
{
    const struct belt_regex_conf conf = { .pattern = pattern,
                                          .ignore_case = wanted->options->ignore_case,
                                          .utf = wanted->options->utf,
                                          .limit = wanted->options->limit };
    struct belt_test made = { 0 };
    bool whole = false;
    int rc = belt_regex_new(&made.to.pattern.regex, &conf, wanted->node, m->err);
    if (rc == 0)
        rc = add_literal(m, &made, &conf, &whole);
    if (rc == 0)
        rc = belt_maker_add(m, whole ? &test_contains : &belt_test_pattern, wanted->column,
                            wanted->node);
    if (rc < 0) {
        pattern_free(&made);
        return rc;
    }
    if (whole) {
        belt_regex_free(made.to.pattern.regex);
        belt_maker_test(m, rc)->to.needles = made.to.pattern.needles;
    } else {
        belt_maker_test(m, rc)->to.pattern = made.to.pattern;
    }
    return 0;
}

/* A text without regard to case is a pattern that means nothing but itself. */
static int add_quoted(struct belt_maker *m, const struct belt_wanted *wanted, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ";
    const struct belt_relation *relation = wanted->relation;
    size_t room = 2 * strlen(text) + 8, used = 0;
    char *pattern = malloc(room);
    if (!pattern)
        return belt_error_set(m->err, -ENOMEM, "condition: out of memory");
    used = (size_t)sprintf(pattern, "%s", relation->before);
    for (; *text; text++) {
        if ((unsigned char)*text < 0x80 && !strchr(plain, *text))
            pattern[used++] = '\\';
        pattern[used++] = *text;
    }
    strcpy(pattern + used, relation->after);
    int rc = add_pattern(m, wanted, pattern);
    free(pattern);
    return rc;
}

static bool is_quoted(const struct belt_test_options *options)
{
    return options->ignore_case || options->utf != BELT_UTF_OFF;
}

int belt_test_text(struct belt_maker *m, const struct belt_wanted *wanted)
{
    int rc = text_only(m, wanted);
    if (rc < 0)
        return rc;
    const char *text = belt_node_text(wanted->node);
    return is_quoted(wanted->options)
               ? add_quoted(m, wanted, text)
               : add_text(m, wanted->relation->of, wanted->column, wanted->node, text);
}

int belt_test_is(struct belt_maker *m, const struct belt_wanted *wanted)
{
    if (is_quoted(wanted->options))
        return belt_test_text(m, wanted);
    return belt_test_equal(m, wanted->column, wanted->node, belt_node_text(wanted->node));
}

int belt_test_equal_text(struct belt_maker *m, int column, const struct belt_node *node,
                         const char *text)
{
    return add_text(m, &belt_test_same, column, node, text);
}

int belt_test_matches(struct belt_maker *m, const struct belt_wanted *wanted)
{
    int rc = text_only(m, wanted);
    return rc < 0 ? rc : add_pattern(m, wanted, belt_node_text(wanted->node));
}

static int add_needles(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_node *list = wanted->node;
    bool one = belt_node_kind(list) != BELT_NODE_LIST;
    size_t count = one ? 1 : belt_node_count(list);
    const char **texts = calloc(count, sizeof *texts);
    struct belt_needles *needles = NULL;
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = belt_node_text(one ? list : belt_node_at(list, i));
    int rc = texts ? needles_of(&needles, texts, count, wanted->options->ignore_case, m->err)
                   : belt_error_set(m->err, -ENOMEM, "condition: out of memory");
    free(texts);
    int at = rc < 0 ? rc : belt_maker_add(m, &test_contains, wanted->column, list);
    if (at < 0) {
        belt_needles_free(needles);
        return at;
    }
    belt_maker_test(m, at)->to.needles = needles;
    return 0;
}

int belt_test_contains(struct belt_maker *m, const struct belt_wanted *wanted)
{
    int rc = text_only(m, wanted);
    if (rc == 0)
        /* With utf case is more than two letters, and bad texts may have to fail. */
        rc = wanted->options->utf != BELT_UTF_OFF
                 ? add_quoted(m, wanted, belt_node_text(wanted->node))
                 : add_needles(m, wanted);
    return rc;
}

int belt_test_empty(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const char *text = belt_node_text(wanted->node);
    bool yes = text && strcmp(text, "true") == 0;
    int rc = text_only(m, wanted);
    if (rc < 0)
        return rc;
    if (!yes && (!text || strcmp(text, "false") != 0))
        return belt_node_error(m->err, wanted->node, "empty is true or false");
    int at = belt_maker_add(m, &test_empty, wanted->column, wanted->node);
    if (at < 0)
        return at;
    belt_maker_test(m, at)->to.empty = yes;
    return 0;
}
