/* The step `rename`: fields under other names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/setup_priv.h"
#include "steps/steps_priv.h"

struct rename_conf {
    const struct belt_node *fields;
    struct move {
        int from, to;
        bool text;
    } moves[BELT_COLUMNS];
    size_t count;
};

static const struct belt_setting rename_settings[] = {
    { "fields", BELT_SET_TREE, offsetof(struct rename_conf, fields), NULL,
      "{ old: new, ... }; payload stays as well", NULL, 0, 0 },
    { 0 },
};

static int add_move(struct rename_conf *rename, struct belt_setup *setup, size_t i,
                    struct belt_error *err)
{
    const struct belt_node *node = belt_node_at(rename->fields, i);
    const char *name = belt_node_text(node);
    struct move *move = &rename->moves[i];
    if (!name)
        return belt_node_error(err, node, "%s gets one new name", belt_node_key(rename->fields, i));
    move->from = belt_setup_field(setup, node, belt_node_key(rename->fields, i), err);
    if (move->from < 0)
        return move->from;
    const struct belt_column_info *info = belt_setup_info(setup, move->from);
    move->text = info->type == BELT_TEXT;
    move->to = belt_setup_add(setup, node, name, info->type, info->digits, err);
    return move->to < 0 ? move->to : 0;
}

static int rename_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct rename_conf *rename = conf;
    size_t count = belt_node_count(rename->fields);
    if (belt_node_kind(rename->fields) != BELT_NODE_MAP || count == 0)
        return belt_node_error(err, rename->fields, "rename takes a map: { old: new }");
    if (count > BELT_COLUMNS)
        return belt_node_error(err, rename->fields, "more than %d fields", BELT_COLUMNS);
    for (size_t i = 0; i < count; i++) {
        int rc = add_move(rename, setup, i, err);
        if (rc < 0)
            return rc;
    }
    rename->count = count;
    for (size_t i = 0; i < count; i++)
        if (rename->moves[i].from > 0)
            belt_setup_hide(setup, rename->moves[i].from);
    return 0;
}

/* A column is not renamed in place: other branches of the processors know it, too. Values
 * of any type have 8 bytes; texts are not touched. */
static uint32_t rename_frame(void *state, struct belt_view *view)
{
    const struct rename_conf *rename = ((struct belt_step_state *)state)->conf;
    const size_t first = view->first, count = view->end - view->first;
    _Static_assert(sizeof(struct belt_span) == sizeof(int64_t), "a value of another size");
    for (size_t i = 0; i < rename->count; i++) {
        const struct belt_column *from = &view->columns[rename->moves[i].from];
        struct belt_column *to = &view->columns[rename->moves[i].to];
        if (rename->moves[i].text)
            belt_step_borrow(view, rename->moves[i].to, rename->moves[i].from);
        memcpy(to->as.numbers + first, from->as.numbers + first, count * sizeof(int64_t));
    }
    return view->end;
}

const struct belt_step belt_rename_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "rename",
        .help = "fields under other names",
        .settings = rename_settings,
        .conf_size = sizeof(struct rename_conf),
        .state_size = sizeof(struct belt_step_state),
        .prepare = rename_prepare,
        .init = belt_step_init,
        .scalar = "fields",
    },
    .frame = rename_frame,
};
