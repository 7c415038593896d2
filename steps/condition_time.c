/* Conditions on when something was: between two moments, or not long ago. */
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"
#include "steps/condition_test_priv.h"
#include "steps/number_priv.h"

/* ---- running ------------------------------------------------------------------- */

static void fail(const struct belt_test *test, struct belt_asked *asked, uint32_t bit,
                 enum belt_time_flaw flaw)
{
    const struct belt_column_info *info = &test->to.time.info;
    char reason[BELT_REASON], value[BELT_NUMBER_ROOM], shown[48];
    uint32_t size;
    const char *text = belt_value_text(asked->view, test->column, info->type, info->digits,
                                       asked->w * 64 + bit, value, &size);
    belt_show(shown, sizeof shown, text, size);
    if (flaw == BELT_TIME_RANGE)
        snprintf(reason, sizeof reason, "%s: the time %s is out of range", test->name, shown);
    else
        snprintf(reason, sizeof reason, "%s: '%s' is no time (%s)", test->name, shown,
                 belt_time_format_text(test->to.time.format));
    belt_asked_fail(asked, bit, reason);
}

static enum belt_time_flaw time_of(const struct belt_test *test, const struct belt_view *view,
                                   uint32_t i, int64_t *ns)
{
    const struct belt_column_info *info = &test->to.time.info;
    uint32_t size;
    if (info->type != BELT_TEXT)
        return belt_time_number(view, test->column, info, belt_time_unit(test->to.time.format), i,
                                ns);
    const char *text = belt_text(view, test->column, i, &size);
    return belt_time_parse(test->to.time.format, text, size, ns);
}

static uint64_t time_rows(const struct belt_test *test, struct belt_asked *asked, uint64_t rows)
{
    int64_t low = test->to.time.low, high = test->to.time.high;
    uint64_t hits = 0;
    if (test->to.time.last)
        low = (int64_t)asked->view->now + asked->run->clock - (int64_t)test->to.time.last;
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        int64_t ns = 0;
        enum belt_time_flaw flaw = time_of(test, asked->view, asked->w * 64 + i, &ns);
        hits |= (uint64_t)(flaw == BELT_TIME_FINE && ns >= low && ns <= high) << i;
        if (flaw != BELT_TIME_FINE)
            fail(test, asked, i, flaw);
    }
    return hits;
}

static void time_free(struct belt_test *test)
{
    belt_time_format_free(test->to.time.format);
}

static const struct belt_test_kind test_time = { time_rows, time_free };

/* ---- making -------------------------------------------------------------------- */

/* The field's test of times, made with the first of its relations. */
static int add(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_test_options *options = wanted->options;
    const struct belt_column_info *info = belt_maker_info(m, wanted->column);
    const char *text = options->time ? options->time : "rfc3339";
    const struct belt_node *node = options->time_node ? options->time_node : wanted->node;
    struct belt_time_format *format;
    char type[BELT_TYPE_ROOM];
    if (m->moment >= 0)
        return m->moment;
    int rc = belt_time_format_new(&format, text, node, m->err);
    if (rc < 0)
        return rc;
    if (info->type != BELT_TEXT && !belt_time_unit(format))
        rc = belt_node_error(m->err, node,
                             "'%s' is %s: say its unit: time: seconds, milliseconds, "
                             "microseconds or nanoseconds",
                             info->name, belt_type_name(type, info->type, info->digits));
    if (rc == 0)
        rc = m->moment = belt_maker_add(m, &test_time, wanted->column, wanted->node);
    if (rc < 0) {
        belt_time_format_free(format);
        return rc;
    }
    struct belt_test *test = belt_maker_test(m, rc);
    test->to.time.format = format;
    test->to.time.info = *info;
    test->to.time.low = INT64_MIN;
    test->to.time.high = INT64_MAX;
    return rc;
}

int belt_test_time(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const char *text = belt_node_text(wanted->node);
    int64_t ns = 0;
    int at = add(m, wanted);
    if (at < 0)
        return at;
    enum belt_time_flaw flaw = belt_time_moment(text, &ns);
    if (flaw != BELT_TIME_FINE)
        return belt_node_error(m->err, wanted->node,
                               flaw == BELT_TIME_RANGE ? "%s: %s is out of range: 1677 to 2262"
                                                       : "%s: '%s' is no time: write "
                                                         "2026-01-31T12:00:00Z or 2026-01-31",
                               wanted->relation->name, text);
    struct belt_test *test = belt_maker_test(m, at);
    if (wanted->relation->low)
        test->to.time.low = ns;
    else
        test->to.time.high = ns == INT64_MIN ? ns : ns - 1;
    return 0;
}

int belt_test_last(struct belt_maker *m, const struct belt_wanted *wanted)
{
    struct belt_error inner;
    uint64_t ns = 0;
    if (belt_parse_time(belt_node_text(wanted->node), &ns, &inner) < 0)
        return belt_node_error(m->err, wanted->node, "last: %s", inner.text);
    if (ns == 0)
        return belt_node_error(m->err, wanted->node, "last: nothing was 0 ago: last: 10m");
    int at = add(m, wanted);
    if (at < 0)
        return at;
    belt_maker_test(m, at)->to.time.last = ns;
    return 0;
}

int belt_test_time_check(struct belt_maker *m, const struct belt_node *node)
{
    if (m->moment < 0)
        return 0;
    const struct belt_test *test = belt_maker_test(m, m->moment);
    if (test->to.time.last && test->to.time.low != INT64_MIN)
        return belt_node_error(m->err, node, "%s: either since or last", test->name);
    if (test->to.time.low > test->to.time.high)
        return belt_node_error(m->err, node, "%s: no time is in this range", test->name);
    return 0;
}
