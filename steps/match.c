/* The step `match`: the named groups of a regular expression into typed fields. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/regex_priv.h"
#include "steps/steps_priv.h"
#include "steps/type_priv.h"

enum otherwise { ELSE_FAIL, ELSE_DROP, ELSE_KEEP };

/* A group that goes into a field. */
struct target {
    struct belt_column_info info;
    int column;
    uint32_t group;
};

struct match_conf {
    const char *from;
    const struct belt_node *into;
    struct belt_regex_conf conf;
    int otherwise;
    struct belt_regex *regex;
    struct target targets[BELT_COLUMNS];
    uint32_t count;
    int source;
};

static const struct belt_setting match_settings[] = {
    { "pattern", BELT_SET_TEXT, offsetof(struct match_conf, conf.pattern), NULL,
      "a regular expression (PCRE2) with named groups: '(?<name>...)'", NULL, 0, 0 },
    { "into", BELT_SET_TREE, offsetof(struct match_conf, into), "",
      "the groups' types: { name: text | int | decimal(DIGITS) | float | skip }; those not "
      "named here are texts",
      NULL, 0, 0 },
    { "from", BELT_SET_TEXT, offsetof(struct match_conf, from), "payload",
      "the text field that is searched", NULL, 0, 0 },
    { "else", BELT_SET_CHOICE, offsetof(struct match_conf, otherwise), "fail",
      "where nothing is found: fail the message, drop it, or keep it with fields that are "
      "empty or 0",
      "fail|drop|keep", 0, 0 },
    { "ignore_case", BELT_SET_BOOL, offsetof(struct match_conf, conf.ignore_case), "false",
      "whether A is a, too", NULL, 0, 0 },
    { "utf", BELT_SET_CHOICE, offsetof(struct match_conf, conf.utf), "off",
      "texts are bytes, or UTF-8: one that is not fails, or is searched around its bad bytes",
      BELT_UTF_CHOICES, 0, 0 },
    { "limit", BELT_SET_INT, offsetof(struct match_conf, conf.limit), "100000",
      "steps of backtracking after which the message fails", NULL, 1, UINT32_MAX },
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

static int add_target(struct match_conf *match, struct belt_setup *setup, const char *name,
                      struct belt_error *err)
{
    const struct belt_node *node = match->into ? belt_node_get(match->into, name) : NULL;
    struct target *target = &match->targets[match->count];
    struct belt_column_info *info = &target->info;
    int group = belt_regex_group(match->regex, name);
    *info = (struct belt_column_info){ .name = name, .type = BELT_TEXT };
    int rc = node ? belt_type_read(node, name, true, &info->type, &info->digits, err) : 0;
    if (rc != 0)
        return rc == BELT_TYPE_SKIP ? 0 : rc;
    if (!node)
        node = belt_step_place(setup, "pattern");
    if (group < 0)
        return belt_node_error(err, node, "the pattern has several groups '%s'", name);
    if (match->count == BELT_COLUMNS)
        return belt_node_error(err, node, "more than %d fields", BELT_COLUMNS);
    target->group = (uint32_t)group;
    target->column = belt_setup_add(setup, node, name, info->type, info->digits, err);
    match->count++;
    return target->column < 0 ? target->column : 0;
}

/* Every name in `into` is a group's. */
static int check_into(const struct match_conf *match, struct belt_error *err)
{
    const char *names[BELT_COLUMNS];
    size_t used = 0;
    for (const char *name; used < BELT_COLUMNS && (name = belt_regex_name(match->regex, used));)
        names[used++] = name;
    if (belt_node_kind(match->into) != BELT_NODE_MAP)
        return belt_node_error(err, match->into, "into names groups: { name: type, ... }");
    for (size_t i = 0; i < belt_node_count(match->into); i++) {
        const char *key = belt_node_key(match->into, i);
        const struct belt_node *node = belt_node_at(match->into, i);
        if (belt_regex_group(match->regex, key) != BELT_REGEX_NO_GROUP)
            continue;
        const char *near = belt_nearest(key, names, used);
        if (near)
            return belt_node_error(err, node, "the pattern has no group '%s'; did you mean '%s'?",
                                   key, near);
        return belt_node_error(err, node, "the pattern has no group '%s': (?<%s>...)", key, key);
    }
    return 0;
}

static int match_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct match_conf *match = conf;
    const struct belt_node *place = belt_step_place(setup, "pattern");
    match->source = belt_text_field(setup, "from", match->from, "searched", err);
    if (match->source < 0)
        return match->source;
    int rc = belt_regex_new(&match->regex, &match->conf, place, err);
    if (rc == 0 && match->into)
        rc = check_into(match, err);
    const char *name = NULL, *last = "";
    for (uint32_t i = 0; rc == 0 && (name = belt_regex_name(match->regex, i)); i++) {
        if (strcmp(name, last) != 0)
            rc = add_target(match, setup, name, err);
        last = name;
    }
    if (rc == 0 && match->count == 0)
        rc = belt_node_error(err, place,
                             "the pattern has no named group: (?<name>...); to choose messages "
                             "use keep: { %s: { matches: ... } }",
                             match->from);
    return rc;
}

static void match_close(void *conf)
{
    struct match_conf *match = conf;
    belt_regex_free(match->regex);
    match->regex = NULL;
    match->count = 0;
}

/* ---- the work ------------------------------------------------------------------ */

struct match_state {
    const struct match_conf *match;
    struct belt_regex_work *work;
};

static int match_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    struct match_state *own = state;
    own->match = conf;
    return belt_regex_work_new(&own->work, belt_regex_groups(own->match->regex), in->stage, err);
}

static void match_fini(void *state, void *conf)
{
    struct match_state *own = state;
    (void)conf;
    belt_regex_work_free(own->work);
    own->work = NULL;
}

/* Empty texts, zeroes. */
static void put_nothing(const struct match_conf *match, struct belt_view *view, uint32_t i)
{
    for (uint32_t t = 0; t < match->count; t++) {
        struct belt_column *to = &view->columns[match->targets[t].column];
        if (match->targets[t].info.type == BELT_TEXT)
            to->as.spans[i] = view->columns[match->source].as.spans[i];
        else
            to->as.numbers[i] = 0; /* a double's 0 has the same bits */
        if (match->targets[t].info.type == BELT_TEXT)
            to->as.spans[i].size = 0;
    }
}

/* False, with the reason: a group is not what its field is. */
static bool put_groups(const struct match_state *own, struct belt_view *view, uint32_t i,
                       char reason[BELT_REASON])
{
    const struct match_conf *match = own->match;
    const struct belt_column *source = &view->columns[match->source];
    const uint32_t start = source->as.spans[i].at;
    for (uint32_t t = 0; t < match->count; t++) {
        const struct target *target = &match->targets[t];
        struct belt_span span = { 0, 0 };
        belt_regex_span(own->work, target->group, &span);
        span.at += start;
        const char *text = source->base + span.at;
        enum belt_flaw flaw =
            belt_type_store(&target->info, &view->columns[target->column], i, text, span);
        if (flaw == BELT_FLAW_NONE)
            continue;
        belt_flaw_text(reason, BELT_REASON, flaw, target->info.name, target->info.type,
                       target->info.digits, text, span.size);
        return false;
    }
    return true;
}

static void handle_none(const struct match_conf *match, struct belt_view *view, uint32_t i)
{
    char reason[BELT_REASON];
    put_nothing(match, view, i);
    if (match->otherwise == ELSE_DROP)
        belt_drop(view, i);
    if (match->otherwise != ELSE_FAIL)
        return;
    snprintf(reason, sizeof reason, "%s: the pattern at %s finds nothing", match->from,
             belt_node_place(belt_regex_node(match->regex)));
    belt_fail_message(view, i, reason);
}

static void handle(const struct match_state *own, struct belt_view *view, uint32_t i)
{
    const struct match_conf *match = own->match;
    char reason[BELT_REASON];
    uint32_t size;
    const char *text = belt_text(view, match->source, i, &size);
    int rc = belt_regex_match(match->regex, own->work, text, size);
    if (rc == 0) {
        handle_none(match, view, i);
        return;
    }
    if (rc > 0 && put_groups(own, view, i, reason))
        return;
    if (rc < 0)
        belt_regex_reason(reason, match->regex, own->work, rc, match->from);
    /* The stages to come read it all the same, so it must be readable. */
    put_nothing(match, view, i);
    belt_fail_message(view, i, reason);
}

static uint32_t match_frame(void *state, struct belt_view *view)
{
    const struct match_state *own = state;
    const struct match_conf *match = own->match;
    for (uint32_t t = 0; t < match->count; t++)
        if (match->targets[t].info.type == BELT_TEXT)
            belt_step_borrow(view, match->targets[t].column, match->source);
    BELT_EACH (view, i)
        handle(own, view, i);
    return view->end;
}

const struct belt_step belt_match_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "match",
        .help = "named groups of a regular expression into typed fields",
        .settings = match_settings,
        .conf_size = sizeof(struct match_conf),
        .state_size = sizeof(struct match_state),
        .prepare = match_prepare,
        .init = match_init,
        .fini = match_fini,
        .close = match_close,
        .scalar = "pattern",
    },
    .frame = match_frame,
};
