/* Settings tables and strict keys: what is taken, and the exact words for
 * everything that is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/settings_priv.h"

struct conf {
    const char *delimiter;
    bool header;
    int64_t lanes, offset;
    uint64_t slab, limit, every;
    int mode;
    struct belt_texts paths, skip;
    const struct belt_node *into;
};

static const struct belt_setting table[] = {
    { "delimiter", BELT_SET_TEXT, offsetof(struct conf, delimiter), "", "byte between fields", NULL,
      0, 0 },
    { "header", BELT_SET_BOOL, offsetof(struct conf, header), "true", "write a header", NULL, 0,
      0 },
    { "lanes", BELT_SET_INT, offsetof(struct conf, lanes), "2", "how many", NULL, 1, 64 },
    { "offset", BELT_SET_INT, offsetof(struct conf, offset), "-1", "where", NULL, -1, INT64_MAX },
    { "slab", BELT_SET_SIZE, offsetof(struct conf, slab), "64KiB", "bytes at once", NULL, 4096,
      1 << 20 },
    { "limit", BELT_SET_SIZE, offsetof(struct conf, limit), "0B", "most bytes", NULL, 0, 0 },
    { "every", BELT_SET_TIME, offsetof(struct conf, every), "1s", "how often", NULL, 1000000, 0 },
    { "mode", BELT_SET_CHOICE, offsetof(struct conf, mode), "append", "what happens to an old file",
      "replace|append|null", 0, 0 },
    { "paths", BELT_SET_LIST, offsetof(struct conf, paths), NULL, "files and patterns", NULL, 0,
      0 },
    { "skip", BELT_SET_LIST, offsetof(struct conf, skip), "[a, b]", "names left out", NULL, 0, 0 },
    { "into", BELT_SET_TREE, offsetof(struct conf, into), "", "fields", NULL, 0, 0 },
    { 0 },
};

static const struct belt_setting condition[] = {
    { "when", BELT_SET_TREE, 0, NULL, "a condition", NULL, 0, 0 },
    { 0 },
};

static struct belt_tree *tree;
static struct belt_error err;
static struct conf conf;
static struct belt_settings_in in;

static void make_tree(void)
{
    tree = belt_tree_new();
    in = (struct belt_settings_in){ .table = table, .what = "source file", .scalar = "paths" };
}

static void free_tree(void)
{
    belt_tree_free(tree);
}

TestSuite(settings, .init = make_tree, .fini = free_tree);
TestSuite(keys, .init = make_tree, .fini = free_tree);

/* Reads the node under `source`. */
static int read(const char *text)
{
    cr_assert_eq(belt_tree_load_text(tree, text, "p.yaml", &err), 0, "%s", err.text);
    in.node = belt_node_get(belt_tree_root(tree), "source");
    return belt_settings_read(&in, &conf, tree, &err);
}

static void takes(const char *text)
{
    cr_assert_eq(read(text), 0, "%s", err.text);
}

static void refuses(const char *text, const char *message)
{
    cr_assert_eq(read(text), -EINVAL);
    cr_assert_str_eq(err.text, message);
    cr_assert_eq(err.config, 1);
}

/* ---- what is taken --------------------------------------------------------------- */

Test(settings, fills_every_type)
{
    takes("source:\n  delimiter: ','\n  header: false\n  lanes: 3\n  offset: -1\n  slab: 4KiB\n"
          "  limit: 1GB\n  every: 1.5ms\n  mode: replace\n  paths: [x, y]\n  skip: z\n"
          "  into: { a: text }\n");
    cr_assert_str_eq(conf.delimiter, ",");
    cr_assert_eq(conf.header, false);
    cr_assert_eq(conf.lanes, 3);
    cr_assert_eq(conf.offset, -1);
    cr_assert_eq(conf.slab, 4096);
    cr_assert_eq(conf.limit, 1000000000);
    cr_assert_eq(conf.every, 1500000);
    cr_assert_eq(conf.mode, 0);
    cr_assert_eq(conf.paths.count, 2);
    cr_assert_str_eq(conf.paths.at[1], "y");
    cr_assert_eq(conf.skip.count, 1);
    cr_assert_str_eq(conf.skip.at[0], "z");
    cr_assert_str_eq(belt_node_text(belt_node_get(conf.into, "a")), "text");
}

Test(settings, fills_in_fallbacks)
{
    memset(&conf, 0xff, sizeof conf);
    takes("source: { paths: x }\n");
    cr_assert_null(conf.delimiter);
    cr_assert_eq(conf.header, true);
    cr_assert_eq(conf.lanes, 2);
    cr_assert_eq(conf.offset, -1);
    cr_assert_eq(conf.slab, 65536);
    cr_assert_eq(conf.limit, 0);
    cr_assert_eq(conf.every, 1000000000);
    cr_assert_eq(conf.mode, 1);
    cr_assert_eq(conf.skip.count, 2);
    cr_assert_str_eq(conf.skip.at[1], "b");
    cr_assert_null(conf.into);
}

Test(settings, treats_null_as_not_given)
{
    takes("source: { paths: x, lanes: ~, delimiter: null, into: , skip: ~ }\n");
    cr_assert_eq(conf.lanes, 2);
    cr_assert_null(conf.delimiter);
    cr_assert_null(conf.into);
    cr_assert_eq(conf.skip.count, 2);
}

Test(settings, keeps_an_empty_text_that_is_quoted)
{
    takes("source: { paths: x, delimiter: \"\" }\n");
    cr_assert_str_eq(conf.delimiter, "");
}

Test(settings, takes_a_quoted_number)
{
    takes("source: { paths: x, lanes: \"7\" }\n");
    cr_assert_eq(conf.lanes, 7);
}

Test(settings, takes_null_as_a_choice_that_is_listed)
{
    takes("source: { paths: x, mode: null }\n");
    cr_assert_eq(conf.mode, 2);
}

Test(settings, takes_an_empty_list)
{
    takes("source: { paths: [] }\n");
    cr_assert_eq(conf.paths.count, 0);
}

Test(settings, reads_a_scalar_as_the_setting_meant)
{
    takes("source: data.txt\n");
    cr_assert_str_eq(conf.paths.at[0], "data.txt");
    cr_assert_eq(conf.lanes, 2);
}

Test(settings, reads_a_list_as_the_setting_meant)
{
    takes("source: [a, b]\n");
    cr_assert_eq(conf.paths.count, 2);
}

Test(settings, gives_a_map_whole_to_a_lone_tree)
{
    const struct belt_node *when = NULL;
    in = (struct belt_settings_in){ condition, NULL, NULL, "step keep", "when", NULL };
    cr_assert_eq(belt_tree_load_text(tree, "keep: { level: error }\n", "p.yaml", &err), 0);
    in.node = belt_node_get(belt_tree_root(tree), "keep");
    cr_assert_eq(belt_settings_read(&in, &when, tree, &err), 0, "%s", err.text);
    cr_assert_eq(when, in.node);
}

Test(settings, leaves_keys_that_others_read)
{
    static const char *const also[] = { "format", "batch_size", NULL };
    in.also = also;
    takes("source: { paths: x, format: { csv: {} }, batch_size: 3 }\n");
}

Test(settings, reads_a_part_without_settings)
{
    in = (struct belt_settings_in){ .what = "sink null" };
    takes("source: {}\n");
    takes("source:\n");
    in.node = NULL;
    cr_assert_eq(belt_settings_read(&in, NULL, tree, &err), 0);
}

Test(settings, lives_as_long_as_the_tree)
{
    takes("source: { paths: [x], delimiter: one }\n");
    cr_assert_eq(belt_tree_set(tree, "source", "{ paths: y }", &err), 0);
    cr_assert_str_eq(conf.delimiter, "one");
    cr_assert_str_eq(conf.paths.at[0], "x");
}

/* ---- what is refused ------------------------------------------------------------- */

Test(settings, suggests_the_key_that_was_meant)
{
    refuses("source:\n  paths: x\n  delimeter: ';'\n",
            "p.yaml:3:3: unknown setting 'delimeter' of source file; did you mean 'delimiter'?");
}

Test(settings, suggests_a_key_read_by_others)
{
    static const char *const also[] = { "format", NULL };
    in.also = also;
    refuses("source: { paths: x, fromat: csv }\n",
            "p.yaml:1:21: unknown setting 'fromat' of source file; did you mean 'format'?");
}

Test(settings, lists_the_keys_when_none_is_near)
{
    refuses("source: { zzz: 1 }\n",
            "p.yaml:1:11: unknown setting 'zzz' of source file; known are delimiter, header, "
            "lanes, offset, slab, limit, every, mode, paths, skip, into");
}

Test(settings, names_the_option_of_an_unknown_key)
{
    cr_assert_eq(belt_tree_set(tree, "source.path", "x", &err), 0);
    in.node = belt_node_get(belt_tree_root(tree), "source");
    cr_assert_eq(belt_settings_read(&in, &conf, tree, &err), -EINVAL);
    cr_assert_str_eq(err.text, "-s source.path: unknown setting 'path' of source file; did you "
                               "mean 'paths'?");
}

Test(settings, refuses_a_key_where_none_is_known)
{
    in = (struct belt_settings_in){ .what = "sink null" };
    refuses("source: { x: 1 }\n", "p.yaml:1:11: unknown setting 'x' of sink null, which has none");
}

Test(settings, refuses_a_missing_setting)
{
    refuses("source:\n  lanes: 1\n", "p.yaml:2:3: source file needs 'paths': files and patterns");
}

Test(settings, refuses_a_required_setting_of_null)
{
    refuses("source: { paths: ~ }\n", "p.yaml:1:9: source file needs 'paths': files and patterns");
}

Test(settings, places_a_missing_setting_where_the_part_is_named)
{
    cr_assert_eq(belt_tree_load_text(tree, "source: file\n", "p.yaml", &err), 0);
    in.at = belt_node_get(belt_tree_root(tree), "source");
    cr_assert_eq(belt_settings_read(&in, &conf, tree, &err), -EINVAL);
    cr_assert_str_eq(err.text, "p.yaml:1:9: source file needs 'paths': files and patterns");
}

Test(settings, refuses_a_scalar_that_means_nothing)
{
    in.scalar = NULL;
    refuses("source: x\n", "p.yaml:1:9: source file takes a map of settings, not a text");
}

Test(settings, refuses_a_list_where_one_is_meant)
{
    in.scalar = "delimiter";
    refuses("source: [x]\n", "p.yaml:1:9: source file takes a map of settings, not a list");
}

Test(settings, refuses_a_list_as_a_text)
{
    refuses("source: { paths: x, delimiter: [a] }\n",
            "p.yaml:1:32: 'delimiter' of source file must be a text, not a list");
}

Test(settings, refuses_yes_as_a_bool)
{
    refuses("source: { paths: x, header: yes }\n",
            "p.yaml:1:29: 'header' of source file must be true or false, not 'yes'");
}

Test(settings, refuses_a_map_as_a_bool)
{
    refuses("source: { paths: x, header: {} }\n",
            "p.yaml:1:29: 'header' of source file must be true or false, not a map");
}

Test(settings, refuses_a_number_with_letters)
{
    refuses("source: { paths: x, lanes: 4k }\n",
            "p.yaml:1:28: 'lanes' of source file: '4k' is not a whole number");
}

Test(settings, refuses_a_list_as_a_number)
{
    refuses("source: { paths: x, lanes: [1] }\n",
            "p.yaml:1:28: 'lanes' of source file must be a whole number, not a list");
}

Test(settings, refuses_a_number_out_of_range)
{
    refuses("source: { paths: x, lanes: 65 }\n",
            "p.yaml:1:28: 'lanes' of source file must be 1 to 64, not 65");
}

Test(settings, refuses_a_size_out_of_range)
{
    refuses("source: { paths: x, slab: 2MiB }\n",
            "p.yaml:1:27: 'slab' of source file must be 4KiB to 1MiB, not 2MiB");
}

Test(settings, refuses_a_time_below_its_least)
{
    refuses("source: { paths: x, every: 10us }\n",
            "p.yaml:1:28: 'every' of source file must be at least 1ms, not 10us");
}

Test(settings, refuses_a_size_without_unit)
{
    refuses("source: { paths: x, slab: 64 }\n",
            "p.yaml:1:27: 'slab' of source file: 64 needs a unit: write 64B, 64KiB or 64MiB");
}

Test(settings, refuses_a_negative_size)
{
    refuses("source: { paths: x, slab: -1KiB }\n",
            "p.yaml:1:27: 'slab' of source file: -1KiB is negative; a size cannot be");
}

Test(settings, refuses_a_list_as_a_size)
{
    refuses("source: { paths: x, slab: [] }\n",
            "p.yaml:1:27: 'slab' of source file must be a size like 64KiB, not a list");
}

Test(settings, refuses_a_time_without_unit)
{
    refuses("source: { paths: x, every: 10 }\n",
            "p.yaml:1:28: 'every' of source file: 10 needs a unit: write 10ms, 10s or 10m");
}

Test(settings, refuses_a_word_that_is_no_choice)
{
    refuses("source: { paths: x, mode: overwrite }\n",
            "p.yaml:1:27: 'mode' of source file must be "
            "one of replace, append, null, not 'overwrite'");
}

Test(settings, refuses_the_beginning_of_a_choice)
{
    refuses("source: { paths: x, mode: re }\n", "p.yaml:1:27: 'mode' of source file must be one of "
                                                "replace, append, null, not 're'");
}

Test(settings, refuses_a_list_as_a_choice)
{
    refuses("source: { paths: x, mode: [append] }\n", "p.yaml:1:27: 'mode' of source file must be "
                                                      "one of replace, append, null, not a list");
}

Test(settings, refuses_a_map_as_a_list)
{
    refuses("source: { paths: { a: b } }\n",
            "p.yaml:1:18: 'paths' of source file must be a text or a list of texts, not a map");
}

Test(settings, refuses_a_list_in_a_list)
{
    refuses("source: { paths: [a, [b]] }\n",
            "p.yaml:1:22: 'paths' of source file must be a list of texts");
}

Test(settings, refuses_an_empty_entry)
{
    refuses("source:\n  paths:\n  - a\n  - \n",
            "p.yaml:4:4: 'paths' of source file has an empty entry");
}

/* ---- keys ------------------------------------------------------------------------ */

static const char *const top[] = { "name", "source", "sources", NULL };

static int check(const char *text, bool allow_x)
{
    cr_assert_eq(belt_tree_load_text(tree, text, "p.yaml", &err), 0, "%s", err.text);
    return belt_keys_check(belt_tree_root(tree), "the pipeline", top, allow_x, &err);
}

Test(keys, takes_those_known)
{
    cr_assert_eq(check("source: 1\nname: 2\n", false), 0);
}

Test(keys, takes_x_where_allowed)
{
    cr_assert_eq(check("x-mine: 1\n", true), 0);
}

Test(keys, refuses_x_elsewhere)
{
    cr_assert_eq(check("x-mine: 1\n", false), -EINVAL);
    cr_assert_str_eq(err.text, "p.yaml:1:1: unknown setting 'x-mine' of the pipeline; known are "
                               "name, source, sources");
}

Test(keys, suggests_the_nearest)
{
    cr_assert_eq(check("name: x\nsuorce: 1\n", true), -EINVAL);
    cr_assert_str_eq(err.text, "p.yaml:2:1: unknown setting 'suorce' of the pipeline; did you mean "
                               "'source'?");
}

Test(keys, takes_nothing_at_all)
{
    cr_assert_eq(belt_keys_check(NULL, "x", top, false, &err), 0);
}

Test(keys, refuses_what_is_no_map)
{
    cr_assert_eq(check("name: [x]\n", false), 0);
    const struct belt_node *list = belt_node_get(belt_tree_root(tree), "name");
    cr_assert_eq(belt_keys_check(list, "placement", top, false, &err), -EINVAL);
    cr_assert_str_eq(err.text, "p.yaml:1:7: placement takes a map of settings, not a list");
}

/* ---- the nearest word ------------------------------------------------------------ */

static const char *nearest(const char *word)
{
    static const char *const words[] = { "paths", "path", "records", "to", "delimiter" };
    const char *found = belt_nearest(word, words, 5);
    return found ? found : "-";
}

Test(nearest, finds_one_slip_of_each_kind)
{
    cr_assert_str_eq(nearest("recrods"), "records");
    cr_assert_str_eq(nearest("recors"), "records");
    cr_assert_str_eq(nearest("recorrds"), "records");
    cr_assert_str_eq(nearest("recoRds"), "records");
    cr_assert_str_eq(nearest("rekords"), "records");
}

Test(nearest, prefers_the_closest)
{
    cr_assert_str_eq(nearest("pathz"), "paths");
    cr_assert_str_eq(nearest("pathh"), "paths");
    cr_assert_str_eq(nearest("path"), "path");
}

Test(nearest, allows_a_third_of_the_letters)
{
    cr_assert_str_eq(nearest("delemeter"), "delimiter");
    cr_assert_str_eq(nearest("dalametar"), "-");
    cr_assert_str_eq(nearest("ot"), "-");
    cr_assert_str_eq(nearest(""), "-");
}

Test(nearest, gives_up_on_a_very_long_word)
{
    char word[400];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = 0;
    cr_assert_str_eq(nearest(word), "-");
}
