/* The step `time`: a time in another form: a number for a text, a text for a number. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "steps/number_priv.h"
#include "steps/steps_priv.h"
#include "steps/time_priv.h"

enum otherwise { ELSE_FAIL, ELSE_KEEP };

struct time_conf {
    const char *from, *format_text, *into, *to_text;
    uint64_t floor;
    int otherwise;
    struct belt_time_format *format, *to;
    int source, column;
    struct belt_column_info info; /* of source */
};

static const struct belt_setting time_settings[] = {
    { "from", BELT_SET_TEXT, offsetof(struct time_conf, from), NULL, "the field with the time",
      NULL, 0, 0 },
    { "format", BELT_SET_TEXT, offsetof(struct time_conf, format_text), "rfc3339",
      "what it has: rfc3339, seconds, milliseconds, microseconds, nanoseconds, or a pattern like "
      "'%d/%b/%Y:%T %z'",
      NULL, 0, 0 },
    { "into", BELT_SET_TEXT, offsetof(struct time_conf, into), NULL, "the name of a new field",
      NULL, 0, 0 },
    { "to", BELT_SET_TEXT, offsetof(struct time_conf, to_text), "nanoseconds",
      "what it gets, in UTC: the same words; numbers are ints, rounded down", NULL, 0, 0 },
    { "floor", BELT_SET_TIME, offsetof(struct time_conf, floor), "0s",
      "rounded down to a multiple of this since 1970: 1h", NULL, 0, 0 },
    { "else", BELT_SET_CHOICE, offsetof(struct time_conf, otherwise), "fail",
      "what is no time: fail the message, or keep it with a field that is empty or 0", "fail|keep",
      0, 0 },
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

static int time_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct time_conf *time = conf;
    const struct belt_node *format = belt_step_place(setup, "format");
    char type[BELT_TYPE_ROOM];
    time->source = belt_setup_field(setup, belt_step_place(setup, "from"), time->from, err);
    if (time->source < 0)
        return time->source;
    time->info = *belt_setup_info(setup, time->source);
    int rc = belt_time_format_new(&time->format, time->format_text, format, err);
    if (rc == 0)
        rc = belt_time_format_new(&time->to, time->to_text, belt_step_place(setup, "to"), err);
    if (rc < 0)
        return rc;
    if (time->info.type != BELT_TEXT && !belt_time_unit(time->format))
        return belt_node_error(err, format,
                               "'%s' is %s: say its unit: format: seconds, milliseconds, "
                               "microseconds or nanoseconds",
                               time->from,
                               belt_type_name(type, time->info.type, time->info.digits));
    time->column = belt_setup_add(setup, belt_step_place(setup, "into"), time->into,
                                  belt_time_unit(time->to) ? BELT_INT : BELT_TEXT, 0, err);
    return time->column < 0 ? time->column : 0;
}

static void time_close(void *conf)
{
    struct time_conf *time = conf;
    belt_time_format_free(time->format);
    belt_time_format_free(time->to);
    time->format = time->to = NULL;
}

/* ---- the work ------------------------------------------------------------------ */

static int64_t round_down(int64_t ns, int64_t unit)
{
    int64_t rest = ns % unit;
    if (rest < 0)
        rest += unit;
    /* The first moment of all is the bound. */
    return ns < INT64_MIN + rest ? INT64_MIN : ns - rest;
}

static int64_t divide_down(int64_t ns, int64_t unit)
{
    return ns / unit - (ns % unit < 0);
}

static enum belt_time_flaw time_of(const struct time_conf *time, const struct belt_view *view,
                                   uint32_t i, int64_t *ns)
{
    uint32_t size;
    if (time->info.type != BELT_TEXT)
        return belt_time_number(view, time->source, &time->info, belt_time_unit(time->format), i,
                                ns);
    const char *text = belt_text(view, time->source, i, &size);
    return belt_time_parse(time->format, text, size, ns);
}

static void fail(const struct time_conf *time, struct belt_view *view, uint32_t i,
                 enum belt_time_flaw flaw)
{
    char reason[BELT_REASON], value[BELT_NUMBER_ROOM], shown[48];
    uint32_t size;
    const char *text =
        belt_value_text(view, time->source, time->info.type, time->info.digits, i, value, &size);
    belt_show(shown, sizeof shown, text, size);
    snprintf(reason, sizeof reason,
             flaw == BELT_TIME_RANGE ? "%s: the time %s is out of range"
                                     : "%s: '%s' is no time (%s)",
             time->from, shown, time->format_text);
    belt_fail_message(view, i, reason);
}

static bool put(const struct time_conf *time, struct belt_view *view, uint32_t i, bool known,
                int64_t ns)
{
    char text[BELT_TIME_ROOM];
    const int64_t unit = belt_time_unit(time->to);
    if (unit) {
        view->columns[time->column].as.numbers[i] = known ? divide_down(ns, unit) : 0;
        return true;
    }
    uint32_t size = known ? (uint32_t)belt_time_write(time->to, ns, text) : 0;
    char *room = belt_room(view, size);
    if (!room)
        return false;
    memcpy(room, text, size);
    return belt_put_text(view, time->column, i, room, size);
}

static int time_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct time_conf *time = ((struct belt_step_state *)state)->conf;
    int64_t ns = 0;
    enum belt_time_flaw flaw = time_of(time, view, i, &ns);
    bool known = flaw == BELT_TIME_FINE;
    if (known && time->floor)
        ns = round_down(ns, (int64_t)time->floor);
    if (!known && time->otherwise == ELSE_FAIL) {
        fail(time, view, i, flaw);
        return 0;
    }
    return put(time, view, i, known, ns) ? 0 : -ENOBUFS;
}

const struct belt_step belt_time_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "time",
        .help = "a time in another form, or rounded down",
        .settings = time_settings,
        .conf_size = sizeof(struct time_conf),
        .state_size = sizeof(struct belt_step_state),
        .prepare = time_prepare,
        .init = belt_step_init,
        .close = time_close,
    },
    .message = time_message,
};
