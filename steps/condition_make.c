/* The grammar of conditions: maps, lists and groups into tests. */
#include <errno.h>
#include <string.h>

#include "core/settings_priv.h"
#include "steps/condition_test_priv.h"
#include "steps/number_priv.h"

/* ---- what there is ------------------------------------------------------------- */

const struct belt_relation belt_relations[] = {
    { .name = "is",
      .of_fields = true,
      .add = belt_test_is,
      .takes = BELT_TAKES_CASE | BELT_TAKES_UTF,
      .list = true,
      .of = &belt_test_same,
      .before = "\\A",
      .after = "\\z",
      .same = true },
    { .name = "from",
      .of_fields = true,
      .add = belt_test_range,
      .of = &belt_test_from,
      .low = true,
      .same = true,
      .more = true },
    { .name = "above",
      .of_fields = true,
      .add = belt_test_range,
      .of = &belt_test_above,
      .low = true,
      .open = true,
      .more = true },
    { .name = "to",
      .of_fields = true,
      .add = belt_test_range,
      .of = &belt_test_to,
      .same = true,
      .less = true },
    { .name = "below",
      .of_fields = true,
      .add = belt_test_range,
      .of = &belt_test_below,
      .open = true,
      .less = true },
    { .name = "starts_with",
      .add = belt_test_text,
      .takes = BELT_TAKES_CASE | BELT_TAKES_UTF,
      .list = true,
      .of = &belt_test_starts,
      .before = "\\A",
      .after = "" },
    { .name = "ends_with",
      .add = belt_test_text,
      .takes = BELT_TAKES_CASE | BELT_TAKES_UTF,
      .list = true,
      .of = &belt_test_ends,
      .before = "",
      .after = "\\z" },
    { .name = "contains",
      .add = belt_test_contains,
      .takes = BELT_TAKES_CASE | BELT_TAKES_UTF,
      .list = true,
      .together = true,
      .before = "",
      .after = "" },
    { .name = "matches",
      .add = belt_test_matches,
      .takes = BELT_TAKES_CASE | BELT_TAKES_UTF | BELT_TAKES_LIMIT,
      .list = true },
    { .name = "since", .add = belt_test_time, .takes = BELT_TAKES_TIME, .low = true },
    { .name = "until", .add = belt_test_time, .takes = BELT_TAKES_TIME, .open = true },
    { .name = "last", .add = belt_test_last, .takes = BELT_TAKES_TIME },
    { .name = "empty", .add = belt_test_empty },
    { 0 },
};

#define AT(member) offsetof(struct belt_test_options, member)
static const struct belt_setting option_settings[] = {
    { "ignore_case", BELT_SET_BOOL, AT(ignore_case), "false", "", NULL, 0, 0 },
    { "utf", BELT_SET_CHOICE, AT(utf), "off", "", BELT_UTF_CHOICES, 0, 0 },
    { "limit", BELT_SET_INT, AT(limit), "100000", "", NULL, 1, UINT32_MAX },
    { "time", BELT_SET_TEXT, AT(time), "", "", NULL, 0, 0 },
    { 0 },
};

/* Which of them is which bit of belt_relation.takes. */
static const unsigned option_bits[] = { BELT_TAKES_CASE, BELT_TAKES_UTF, BELT_TAKES_LIMIT,
                                        BELT_TAKES_TIME };

static const struct belt_relation *find_relation(const char *name)
{
    for (const struct belt_relation *r = belt_relations; r->name; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

/* ---- options ------------------------------------------------------------------- */

/* Strictly, as the settings of a part; the tree is for defaults only, none of which
 * outlives the call. */
static int read_options(struct belt_maker *m, const struct belt_node *node,
                        struct belt_test_options *options)
{
    const char *also[sizeof belt_relations / sizeof *belt_relations];
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        also[i] = belt_relations[i].name;
    struct belt_tree *tree = belt_tree_new();
    const struct belt_settings_in in = {
        .table = option_settings, .node = node, .at = node, .what = "a condition", .also = also
    };
    int rc = tree ? belt_settings_read(&in, options, tree, m->err)
                  : belt_error_set(m->err, -ENOMEM, "condition: out of memory");
    options->time_node = belt_node_get(node, "time");
    belt_tree_free(tree);
    return rc;
}

/* Every option that is given means something to one of the tests beside it. */
static int check_options(struct belt_maker *m, const struct belt_node *node)
{
    unsigned takes = 0;
    for (size_t i = 0; i < belt_node_count(node); i++) {
        const struct belt_relation *relation = find_relation(belt_node_key(node, i));
        takes |= relation ? relation->takes : 0;
    }
    for (size_t i = 0; i < sizeof option_bits / sizeof *option_bits; i++) {
        const struct belt_node *option = belt_node_get(node, option_settings[i].name);
        if (option && !(takes & option_bits[i]))
            return belt_node_error(m->err, option, "'%s' means nothing to the tests beside it",
                                   option_settings[i].name);
    }
    return 0;
}

/* ---- fields -------------------------------------------------------------------- */

static int add_one(struct belt_maker *m, const struct belt_wanted *wanted)
{
    if (belt_node_kind(wanted->node) == BELT_NODE_MAP && wanted->relation->of_fields)
        return belt_test_fields(m, wanted);
    if (!belt_node_text(wanted->node))
        return belt_node_error(m->err, wanted->node, "%s takes one value", wanted->relation->name);
    return wanted->relation->add(m, wanted);
}

static int check_list(struct belt_maker *m, const struct belt_node *list, const char *name)
{
    size_t count = belt_node_count(list);
    if (count == 0)
        return belt_node_error(m->err, list, "%s: the list of values is empty", name);
    for (size_t i = 0; i < count; i++)
        if (!belt_node_text(belt_node_at(list, i)))
            return belt_node_error(m->err, belt_node_at(list, i), "%s: a list holds values", name);
    return 0;
}

static int add_relation(struct belt_maker *m, const struct belt_wanted *wanted)
{
    const struct belt_relation *relation = wanted->relation;
    const struct belt_node *list = wanted->node;
    if (belt_node_kind(list) != BELT_NODE_LIST || !relation->list)
        return add_one(m, wanted);
    int rc = check_list(m, list, relation->name);
    if (rc < 0 || (relation->together && wanted->options->utf == BELT_UTF_OFF))
        return rc < 0 ? rc : relation->add(m, wanted);
    int group = belt_maker_group(m, BELT_GROUP_ANY, list);
    for (size_t i = 0; group >= 0 && rc >= 0 && i < belt_node_count(list); i++) {
        struct belt_wanted one = *wanted;
        one.node = belt_node_at(list, i);
        rc = relation->add(m, &one);
    }
    if (group < 0 || rc < 0)
        return group < 0 ? group : rc;
    belt_maker_end(m, group);
    return 0;
}

/* { from: 500, below: 600 } */
static int add_relations(struct belt_maker *m, int column, const struct belt_node *node)
{
    struct belt_test_options options = { 0 };
    int tests = 0, rc = read_options(m, node, &options);
    if (rc == 0)
        rc = check_options(m, node);
    int group = rc < 0 ? rc : belt_maker_group(m, BELT_GROUP_ALL, node);
    if (group < 0)
        return group;
    m->range = m->moment = -1;
    for (size_t i = 0; i < belt_node_count(node); i++) {
        const struct belt_relation *relation = find_relation(belt_node_key(node, i));
        const struct belt_wanted wanted = { relation, &options, column, belt_node_at(node, i) };
        tests += relation != NULL;
        rc = relation ? add_relation(m, &wanted) : 0;
        if (rc < 0)
            return rc;
    }
    if (tests == 0)
        return belt_node_error(m->err, node, "%s: no test is given: { from: 1, below: 2 }",
                               belt_maker_info(m, column)->name);
    rc = belt_test_range_check(m, node);
    belt_maker_end(m, group);
    return rc < 0 ? rc : belt_test_time_check(m, node);
}

static int add_list(struct belt_maker *m, int column, const struct belt_node *node)
{
    int rc = check_list(m, node, belt_maker_info(m, column)->name);
    int group = rc < 0 ? rc : belt_maker_group(m, BELT_GROUP_ANY, node);
    if (group < 0)
        return group;
    for (size_t i = 0; i < belt_node_count(node); i++) {
        const struct belt_node *value = belt_node_at(node, i);
        rc = belt_test_equal(m, column, value, belt_node_text(value));
        if (rc < 0)
            return rc;
    }
    belt_maker_end(m, group);
    return 0;
}

static int add_field(struct belt_maker *m, const char *name, const struct belt_node *node)
{
    int column = belt_setup_field(m->setup, node, name, m->err);
    if (column < 0)
        return column;
    const char *text = belt_node_text(node);
    if (text)
        return belt_test_equal(m, column, node, text);
    return belt_node_kind(node) == BELT_NODE_LIST ? add_list(m, column, node)
                                                  : add_relations(m, column, node);
}

/* ---- groups -------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum belt_group group;
} groups[] = { { "any", BELT_GROUP_ANY }, { "all", BELT_GROUP_ALL }, { "not", BELT_GROUP_NOT } };

enum { GROUPS = sizeof groups / sizeof *groups };

/* any: [ {...}, {...} ], all: [ ... ], not: {...} */
static int add_group(struct belt_maker *m, size_t g, const struct belt_node *node, int depth)
{
    const char *name = groups[g].name;
    bool negated = groups[g].group == BELT_GROUP_NOT;
    size_t count = belt_node_count(node);
    if (depth == BELT_CONDITION_DEPTH)
        return belt_node_error(m->err, node, "conditions nest at most %d deep",
                               BELT_CONDITION_DEPTH);
    if (!negated && (belt_node_kind(node) != BELT_NODE_LIST || count == 0))
        return belt_node_error(m->err, node,
                               "%s takes a list of conditions: "
                               "%s: [ { field: value }, ... ]",
                               name, name);
    int group = belt_maker_group(m, groups[g].group, node);
    if (group < 0)
        return group;
    int rc = negated ? belt_maker_condition(m, node, depth + 1) : 0;
    for (size_t i = 0; !negated && i < count && rc == 0; i++)
        rc = belt_maker_condition(m, belt_node_at(node, i), depth + 1);
    if (rc == 0)
        belt_maker_end(m, group);
    return rc;
}

int belt_maker_condition(struct belt_maker *m, const struct belt_node *node, int depth)
{
    size_t count = belt_node_count(node);
    if (belt_node_kind(node) != BELT_NODE_MAP || count == 0)
        return belt_node_error(m->err, node, "a condition is a map: { field: value }");
    int all = belt_maker_group(m, BELT_GROUP_ALL, node);
    if (all < 0)
        return all;
    for (size_t i = 0; i < count; i++) {
        const char *key = belt_node_key(node, i);
        const struct belt_node *value = belt_node_at(node, i);
        size_t g = 0;
        while (g < GROUPS && strcmp(key, groups[g].name) != 0)
            g++;
        int rc = g < GROUPS ? add_group(m, g, value, depth) : add_field(m, key, value);
        if (rc < 0)
            return rc;
    }
    belt_maker_end(m, all);
    return 0;
}
