/* The step `route`: which batcher a message goes to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/condition_priv.h"
#include "steps/number_priv.h"
#include "steps/steps_priv.h"

enum { TARGET_DROP = -1, TARGET_FAIL = -2 };

struct way {
    struct belt_condition *condition; /* NULL: whatever is left */
    int target;                       /* a batcher's id, or one of the above */
    uint32_t also;                    /* further batchers, a bit each */
};

struct route_conf {
    const char *field, *otherwise;
    const struct belt_node *to, *when;
    struct way *ways; /* tried in order; the last one takes all */
    size_t count;
    int column; /* of `field`; -1: by conditions */
    enum belt_type type;
    unsigned digits;
};

static const struct belt_setting route_settings[] = {
    { "field", BELT_SET_TEXT, offsetof(struct route_conf, field), "",
      "the field whose value decides, with `to`", NULL, 0, 0 },
    { "to", BELT_SET_TREE, offsetof(struct route_conf, to), "",
      "value: batcher, or a list of them, for each value; drop and fail stand for batchers", NULL,
      0, 0 },
    { "when", BELT_SET_TREE, offsetof(struct route_conf, when), "",
      "instead of field and to: [ { if: condition, to: batcher or list }, ... ], the first that "
      "holds",
      NULL, 0, 0 },
    { "else", BELT_SET_TEXT, offsetof(struct route_conf, otherwise), "fail",
      "batcher of the messages that are left, or drop, or fail", NULL, 0, 0 },
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

/* Every node that names a target, and the error when it names none. */
static int read_target(struct way *way, struct belt_setup *setup, const struct belt_node *node,
                       const char *name, struct belt_error *err)
{
    if (!name)
        return belt_node_error(err, node, "a route ends in the name of a batcher, drop or fail");
    if (strcmp(name, "drop") == 0 || strcmp(name, "fail") == 0) {
        way->target = *name == 'd' ? TARGET_DROP : TARGET_FAIL;
        return 0;
    }
    int batcher = belt_setup_batcher(setup, node, name, err);
    way->target = batcher;
    return batcher < 0 ? batcher : 0;
}

/* One name, or a list of batchers that all get the message. */
static int read_targets(struct way *way, struct belt_setup *setup, const struct belt_node *node,
                        struct belt_error *err)
{
    if (belt_node_kind(node) != BELT_NODE_LIST)
        return read_target(way, setup, node, belt_node_text(node), err);
    int rc = belt_node_count(node) ? 0 : read_target(way, setup, node, NULL, err);
    for (size_t i = 0; rc == 0 && i < belt_node_count(node); i++) {
        struct way one = { 0 };
        const struct belt_node *at = belt_node_at(node, i);
        rc = read_target(&one, setup, at, belt_node_text(at), err);
        if (rc == 0 && one.target < 0)
            return belt_node_error(err, at, "drop and fail are not among several targets");
        if (i == 0)
            way->target = one.target;
        else
            way->also |= rc == 0 ? 1u << one.target : 0;
    }
    return rc;
}

static int value_way(struct route_conf *route, struct way *way, size_t i, struct belt_setup *setup,
                     struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(route->to, i);
    int rc = belt_condition_equal(&way->condition, setup, route->column,
                                  belt_node_key(route->to, i), node, err);
    return rc < 0 ? rc : read_targets(way, setup, node, err);
}

static int condition_way(struct route_conf *route, struct way *way, size_t i,
                         struct belt_setup *setup, struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(route->when, i);
    const struct belt_node *condition = belt_node_get(node, "if");
    const struct belt_node *target = belt_node_get(node, "to");
    if (!condition || !target || belt_node_count(node) != 2)
        return belt_node_error(err, node,
                               "when holds pairs: { if: { field: value }, "
                               "to: batcher }");
    int rc = belt_condition_new(&way->condition, setup, condition, err);
    return rc < 0 ? rc : read_targets(way, setup, target, err);
}

static int check_form(struct route_conf *route, struct belt_setup *setup, struct belt_error *err)
{
    const struct belt_node *own = belt_setup_node(setup);
    if (route->when ? route->field || route->to : !route->field || !route->to)
        return belt_node_error(err, own, "route takes either field and to, or when");
    if (route->when &&
        (belt_node_kind(route->when) != BELT_NODE_LIST || belt_node_count(route->when) == 0))
        return belt_node_error(err, route->when,
                               "when takes a list: [ { if: { field: value }, "
                               "to: batcher } ]");
    if (route->to &&
        (belt_node_kind(route->to) != BELT_NODE_MAP || belt_node_count(route->to) == 0))
        return belt_node_error(err, route->to, "to takes a map: { value: batcher }");
    return 0;
}

static int find_field(struct route_conf *route, struct belt_setup *setup, struct belt_error *err)
{
    route->column = -1;
    if (!route->field)
        return 0;
    route->column = belt_setup_field(setup, belt_step_place(setup, "field"), route->field, err);
    if (route->column < 0)
        return route->column;
    const struct belt_column_info *info = belt_setup_info(setup, route->column);
    route->type = info->type;
    route->digits = info->digits;
    return 0;
}

static int route_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct route_conf *route = conf;
    int rc = check_form(route, setup, err);
    if (rc == 0)
        rc = find_field(route, setup, err);
    if (rc < 0)
        return rc;
    size_t count = belt_node_count(route->when ? route->when : route->to);
    route->ways = calloc(count + 1, sizeof *route->ways);
    if (!route->ways)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", belt_setup_path(setup));
    route->count = count + 1;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = (route->when ? condition_way : value_way)(route, &route->ways[i], i, setup, err);
    if (rc < 0)
        return rc;
    return read_target(&route->ways[count], setup, belt_step_place(setup, "else"), route->otherwise,
                       err);
}

static void route_close(void *conf)
{
    struct route_conf *route = conf;
    for (size_t i = 0; i < route->count; i++)
        belt_condition_free(route->ways[i].condition);
    free(route->ways);
    route->ways = NULL;
    route->count = 0;
}

/* ---- the work ------------------------------------------------------------------ */

static void fail_one(const struct route_conf *route, size_t way, struct belt_view *view, uint32_t i)
{
    char reason[BELT_REASON], value[BELT_NUMBER_ROOM], shown[64];
    if (route->column < 0) {
        if (way + 1 == route->count)
            snprintf(reason, sizeof reason, "route: no condition holds");
        else
            snprintf(reason, sizeof reason, "route: condition %zu says fail", way + 1);
    } else {
        uint32_t size;
        const char *text =
            belt_value_text(view, route->column, route->type, route->digits, i, value, &size);
        snprintf(reason, sizeof reason, "%s: no batcher for '%s'", route->field,
                 belt_show(shown, sizeof shown, text, size));
    }
    belt_fail_message(view, i, reason);
}

static void send_also(const struct way *way, struct belt_view *view, uint32_t w, uint64_t rows)
{
    for (uint32_t also = way->also; also; also &= also - 1)
        for (uint64_t rest = rows; rest; rest &= rest - 1)
            belt_route_also(view, w * 64 + (uint32_t)__builtin_ctzll(rest), __builtin_ctz(also));
}

static void send(const struct route_conf *route, size_t way, struct belt_view *view, uint32_t w,
                 uint64_t rows)
{
    int target = route->ways[way].target;
    if (target == TARGET_DROP) {
        belt_drop_mask(view, w, rows);
        return;
    }
    if (target != TARGET_FAIL) {
        belt_route_mask(view, w, rows, target);
        send_also(&route->ways[way], view, w, rows);
        return;
    }
    for (; rows; rows &= rows - 1)
        fail_one(route, way, view, w * 64 + (uint32_t)__builtin_ctzll(rows));
}

struct route_state {
    const struct route_conf *route;
    struct belt_condition_run run;
};

static int route_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    struct route_state *own = state;
    const struct route_conf *route = own->route = conf;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < route->count; i++)
        rc = belt_condition_begin(&own->run, route->ways[i].condition, in->stage, err);
    return rc;
}

static void route_fini(void *state, void *conf)
{
    (void)conf;
    belt_condition_end(&((struct route_state *)state)->run);
}

static uint32_t route_frame(void *state, struct belt_view *view)
{
    struct route_state *own = state;
    const struct route_conf *route = own->route;
    BELT_EACH_WORD(view, w)
    {
        uint64_t rows = belt_live_word(view, w);
        for (size_t i = 0; i < route->count && rows; i++) {
            const struct belt_condition *condition = route->ways[i].condition;
            uint64_t hits =
                condition ? belt_condition_rows(condition, &own->run, view, w, &rows) : rows;
            if (hits)
                send(route, i, view, w, hits);
            rows &= ~hits;
        }
    }
    return view->end;
}

const struct belt_step belt_route_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "route",
        .help = "sends messages to batchers by a field's value or by conditions",
        .settings = route_settings,
        .conf_size = sizeof(struct route_conf),
        .state_size = sizeof(struct route_state),
        .prepare = route_prepare,
        .init = route_init,
        .fini = route_fini,
        .close = route_close,
    },
    .frame = route_frame,
};
