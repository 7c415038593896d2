/* What YAML becomes, where nodes say they are from, the words for what is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/tree_priv.h"

static struct belt_tree *tree;
static struct belt_error err;

static void make_tree(void)
{
    tree = belt_tree_new();
}

static void free_tree(void)
{
    belt_tree_free(tree);
}

TestSuite(tree, .init = make_tree, .fini = free_tree);

/* The tree in one line: {a:[x,"y"],b:~}. */
static void show(const struct belt_node *node, char *out)
{
    static const char *const open[] = { "", "[", "{" }, *const close[] = { "", "]", "}" };
    char *at = out + strlen(out);
    if (belt_node_null(node))
        strcpy(at, "~");
    else if (belt_node_kind(node) == BELT_NODE_SCALAR)
        sprintf(at, belt_node_quoted(node) ? "\"%s\"" : "%s", belt_node_text(node));
    strcat(out, open[belt_node_kind(node)]);
    for (size_t i = 0; i < belt_node_count(node); i++) {
        const char *key = belt_node_key(node, i);
        sprintf(out + strlen(out), "%s%s%s", i ? "," : "", key ? key : "", key ? ":" : "");
        show(belt_node_at(node, i), out);
    }
    strcat(out, close[belt_node_kind(node)]);
}

static void shows(const char *expected)
{
    char out[4000] = "";
    show(belt_tree_root(tree), out);
    cr_assert_str_eq(out, expected);
}

static void load(const char *text)
{
    cr_assert_eq(belt_tree_load_text(tree, text, "p.yaml", &err), 0, "%s", err.text);
}

static void set(const char *path, const char *value)
{
    cr_assert_eq(belt_tree_set(tree, path, value, &err), 0, "%s", err.text);
}

static void becomes(const char *text, const char *expected)
{
    load(text);
    shows(expected);
}

static void refuses(const char *text, const char *message)
{
    cr_assert_eq(belt_tree_load_text(tree, text, "p.yaml", &err), -EINVAL);
    cr_assert_str_eq(err.text, message);
    cr_assert_eq(err.config, 1);
}

static void refuses_set(const char *path, const char *value, const char *message)
{
    cr_assert_eq(belt_tree_set(tree, path, value, &err), -EINVAL);
    cr_assert_str_eq(err.text, message);
    cr_assert_eq(err.config, 1);
}

/* ---- what YAML becomes ----------------------------------------------------------- */

Test(tree, is_an_empty_map_before_the_first_load)
{
    shows("{}");
    cr_assert_str_eq(belt_node_place(belt_tree_root(tree)), "configuration");
}

Test(tree, keeps_maps_lists_and_scalars_in_file_order)
{
    becomes("name: x\nsource:\n  file: { paths: [b, a] }\nempty: {}\nnone: []\n",
            "{name:x,source:{file:{paths:[b,a]}},empty:{},none:[]}");
}

Test(tree, keeps_quoted_numbers_apart)
{
    becomes("a: 123\nb: \"123\"\nc: '123'\n", "{a:123,b:\"123\",c:\"123\"}");
}

Test(tree, knows_null_in_its_spellings)
{
    becomes("a:\nb: ~\nc: null\nd: \"\"\ne: \"null\"\n", "{a:~,b:~,c:~,d:\"\",e:\"null\"}");
}

Test(tree, gives_null_an_empty_text_and_what_was_written)
{
    load("sink: null\n");
    const struct belt_node *node = belt_node_get(belt_tree_root(tree), "sink");
    cr_assert_str_eq(belt_node_text(node), "");
    cr_assert_str_eq(belt_node_written(node), "null");
}

Test(tree, keeps_null_as_a_key)
{
    becomes("sink: { null: {} }\n", "{sink:{null:{}}}");
}

Test(tree, answers_null_where_there_is_nothing)
{
    load("a: [x]\nb: y\n");
    const struct belt_node *root = belt_tree_root(tree), *list = belt_node_get(root, "a");
    cr_assert_null(belt_node_get(root, "c"));
    cr_assert_null(belt_node_get(NULL, "c"));
    cr_assert_null(belt_node_get(list, "x"));
    cr_assert_null(belt_node_at(root, 2));
    cr_assert_null(belt_node_at(list, 1));
    cr_assert_null(belt_node_key(list, 0));
    cr_assert_null(belt_node_key(root, 2));
    cr_assert_null(belt_node_key_place(list, 0));
    cr_assert_null(belt_node_text(list));
    cr_assert_eq(belt_node_count(belt_node_get(root, "b")), 0);
}

Test(tree, places_values_and_keys_by_line_and_column)
{
    load("name: x\nsource:\n  file: { paths: é, records: lines }\n");
    const struct belt_node *file =
        belt_node_get(belt_node_get(belt_tree_root(tree), "source"), "file");
    cr_assert_str_eq(belt_node_place(file), "p.yaml:3:9");
    cr_assert_str_eq(belt_node_key_place(file, 1), "p.yaml:3:21");
    cr_assert_str_eq(belt_node_place(belt_node_at(file, 1)), "p.yaml:3:30");
}

Test(tree, skips_a_byte_order_mark)
{
    becomes("\xef\xbb\xbfname: x\n", "{name:x}");
}

Test(tree, reads_crlf)
{
    becomes("name: x\r\nb:\r\n  c: d\r\n", "{name:x,b:{c:d}}");
}

/* ---- aliases and merge keys ------------------------------------------------------ */

Test(tree, resolves_aliases)
{
    becomes("a: &x { k: [1] }\nb: *x\n", "{a:{k:[1]},b:{k:[1]}}");
}

Test(tree, changes_one_use_of_an_alias_only)
{
    load("a: &x { k: 1 }\nb: *x\n");
    set("b.k", "2");
    shows("{a:{k:1},b:{k:2}}");
}

Test(tree, merges_a_map_by_key)
{
    becomes("a: &x { k: 1, l: 2 }\nb: { <<: *x, l: 3, m: 4 }\n", "{a:{k:1,l:2},b:{k:1,l:3,m:4}}");
}

Test(tree, lets_the_first_of_merged_maps_win)
{
    becomes("a: &x { k: 1 }\nb: &y { k: 2, l: 2 }\nc: { l: 3, <<: [*x, *y] }\n",
            "{a:{k:1},b:{k:2,l:2},c:{l:3,k:1}}");
}

Test(tree, refuses_to_merge_a_text)
{
    refuses("a: { <<: x }\n", "p.yaml:1:10: << takes a map or a list of maps, not a text");
}

Test(tree, refuses_an_unknown_alias)
{
    refuses("a: *x\n", "p.yaml:1:4: found undefined alias");
}

Test(tree, refuses_an_alias_to_its_own_parent)
{
    refuses("a: &x [*x]\n", "p.yaml:1:4: nested deeper than 64 levels");
}

Test(tree, bounds_what_aliases_multiply_to)
{
    char text[2000] = "x-0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; i++) {
        sprintf(text + strlen(text), "x-%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            sprintf(text + strlen(text), "%s*a%d", j ? "," : "", i - 1);
        strcat(text, "]\n");
    }
    refuses(text, "p.yaml:1:27: more than 100000 values in the configuration");
}

Test(tree, gives_up_early_on_very_deep_nesting)
{
    char *text = malloc(1000001);
    memset(text, '[', 1000000);
    text[1000000] = 0;
    refuses(text, "p.yaml:1:65: nested deeper than 64 levels");
    free(text);
}

Test(tree, bounds_the_keys_of_a_map)
{
    char *text = malloc(200000), *at = text;
    for (int i = 0; i < 10001; i++)
        at += sprintf(at, "k%d: x\n", i);
    refuses(text, "p.yaml:10001:1: more than 10000 keys in a map");
    free(text);
}

Test(tree, bounds_anchors)
{
    char text[20000] = "a:\n", *at = text + 3;
    for (int i = 0; i < 1001; i++)
        at += sprintf(at, "- &b%d x\n", i);
    refuses(text, "p.yaml:1002:3: more than 1000 anchors");
}

Test(tree, bounds_what_aliases_to_a_long_text_take)
{
    size_t length = 1 << 20;
    char *text = malloc(length + 2000);
    strcpy(text, "a: &a ");
    memset(text + 6, 'x', length);
    strcpy(text + 6 + length, "\nb: [");
    for (int i = 0; i < 100; i++)
        strcat(text + length, "*a, ");
    strcat(text + length, "]\n");
    cr_assert_eq(belt_tree_load_text(tree, text, "p.yaml", &err), -ENOMEM);
    cr_assert_str_eq(err.text, "p.yaml:1:4: out of memory, or more than 64 MiB of configuration");
    free(text);
}

Test(tree, reads_64_levels_but_not_65)
{
    char text[200] = "a: ";
    memset(text + 3, '[', 64);
    memset(text + 67, ']', 64);
    refuses(text, "p.yaml:1:67: nested deeper than 64 levels");
    memset(text + 66, ']', 63);
    text[66 + 63] = 0;
    load(text);
}

/* ---- refused texts --------------------------------------------------------------- */

Test(tree, refuses_a_key_given_twice)
{
    refuses("a: 1\nb:\n  c: 2\n  c: 3\n", "p.yaml:4:3: 'c' is given twice, first at p.yaml:3:3");
}

Test(tree, refuses_an_empty_file)
{
    refuses("", "p.yaml: nothing in it, a pipeline is a map (name: ..., source: ...)");
}

Test(tree, refuses_a_file_of_comments)
{
    refuses("# a\n\n# b\n", "p.yaml: nothing in it, a pipeline is a map (name: ..., source: ...)");
}

Test(tree, refuses_a_root_that_is_no_map)
{
    refuses("- a\n", "p.yaml:1:1: a pipeline is a map (name: ..., source: ...), not a list");
}

Test(tree, refuses_a_second_document)
{
    refuses("a: 1\n---\nb: 2\n",
            "p.yaml:2:1: a second document begins here; one file is one configuration");
}

Test(tree, takes_one_document_with_its_marks)
{
    becomes("%YAML 1.1\n---\na: 1\n...\n", "{a:1}");
}

Test(tree, places_a_syntax_error)
{
    refuses("a: 1\nb: [x, y\nc: 2\n",
            "p.yaml:3:2: did not find expected ',' or ']' (while parsing a flow sequence from "
            "line 2)");
}

Test(tree, explains_a_tab_that_indents)
{
    refuses("a:\n\tb: 1\n", "p.yaml:2:1: found character that cannot start any token (while "
                            "scanning for the next token from line 2); a tab cannot indent, use "
                            "spaces");
}

Test(tree, explains_a_bare_variable_in_a_flow_map)
{
    refuses("a: { b: ${HOME} }\n",
            "p.yaml:1:10: did not find expected ',' or '}' (while parsing a flow mapping from "
            "line 1); inside [ ] or { } put quotes around \"${...}\"");
}

Test(tree, places_bytes_that_are_not_utf8)
{
    refuses("a: 1\nb: é\xff\n", "p.yaml:2:5: invalid leading UTF-8 octet");
}

Test(tree, places_control_characters)
{
    refuses("a: 1\nb: \x01\n", "p.yaml:2:4: control characters are not allowed");
}

Test(tree, refuses_a_key_that_is_no_text)
{
    refuses("a: { [x]: 1 }\n", "p.yaml:1:6: a key must be a text");
}

Test(tree, refuses_nul_in_a_text)
{
    refuses("a: \"x\\0y\"\n", "p.yaml:1:4: a text cannot hold a NUL byte");
}

Test(tree, refuses_nul_in_a_key)
{
    refuses("\"x\\0y\": a\n", "p.yaml:1:1: a key cannot hold a NUL byte");
}

Test(tree, refuses_a_tag)
{
    refuses("a: !!int 5\n", "p.yaml:1:4: the tag tag:yaml.org,2002:int has no meaning here");
}

Test(tree, is_unchanged_by_a_refused_overlay)
{
    load("a: 1\n");
    refuses("a: 2\nb: 3\nb: 4\n", "p.yaml:3:1: 'b' is given twice, first at p.yaml:2:1");
    shows("{a:1}");
}

/* ---- files ----------------------------------------------------------------------- */

Test(tree, names_a_file_that_is_not_there)
{
    cr_assert_eq(belt_tree_load(tree, "no/such.yaml", &err), -ENOENT);
    cr_assert_str_eq(err.text, "cannot read no/such.yaml: No such file or directory");
    cr_assert_eq(err.code, -ENOENT);
    cr_assert_eq(err.config, 1);
}

Test(tree, refuses_a_directory)
{
    cr_assert_eq(belt_tree_load(tree, "/", &err), -EISDIR);
    cr_assert_str_eq(err.text, "cannot read /: Is a directory");
}

Test(tree, refuses_an_endless_file)
{
    cr_assert_eq(belt_tree_load(tree, "/dev/zero", &err), -EINVAL);
    cr_assert_str_eq(err.text, "/dev/zero: larger than 4 MiB");
}

Test(tree, reads_a_file_and_places_by_its_path)
{
    char path[] = "/tmp/belt_test_tree_XXXXXX", place[64];
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, "a: 1\nb: 2", 9), 9);
    close(fd);
    int rc = belt_tree_load(tree, path, &err);
    unlink(path);
    cr_assert_eq(rc, 0, "%s", err.text);
    shows("{a:1,b:2}");
    snprintf(place, sizeof place, "%s:2:4", path);
    cr_assert_str_eq(belt_node_place(belt_node_at(belt_tree_root(tree), 1)), place);
}

/* ---- overlays -------------------------------------------------------------------- */

Test(tree, overlays_maps_by_key_and_replaces_the_rest)
{
    load("a: { x: 1, y: [1, 2], z: { p: 1 } }\nb: 1\n");
    becomes("c: new\na: { z: { q: 2 }, y: [3], x: { deep: 1 } }\nb: ~\n",
            "{a:{x:{deep:1},y:[3],z:{p:1,q:2}},b:~,c:new}");
}

Test(tree, gives_overlaid_nodes_their_own_places)
{
    load("a: { x: 1, y: 2 }\n");
    cr_assert_eq(belt_tree_load_text(tree, "\na: { y: 3 }\n", "over.yaml", &err), 0);
    const struct belt_node *a = belt_node_get(belt_tree_root(tree), "a");
    cr_assert_str_eq(belt_node_place(a), "p.yaml:1:4");
    cr_assert_str_eq(belt_node_place(belt_node_at(a, 0)), "p.yaml:1:9");
    cr_assert_str_eq(belt_node_place(belt_node_at(a, 1)), "over.yaml:2:9");
    cr_assert_str_eq(belt_node_key_place(a, 1), "over.yaml:2:6");
}

/* ---- single settings ------------------------------------------------------------- */

Test(tree, sets_by_path_through_maps_and_lists)
{
    load("processor: { steps: [ { split: { delimiter: x } }, { keep: y } ] }\n");
    set("processor.steps.0.split.delimiter", ";");
    shows("{processor:{steps:[{split:{delimiter:;}},{keep:y}]}}");
}

Test(tree, places_a_set_value_and_its_key_by_the_option)
{
    set("source.file.paths", "[a, b]");
    const struct belt_node *source = belt_node_get(belt_tree_root(tree), "source");
    const struct belt_node *paths = belt_node_get(belt_node_get(source, "file"), "paths");
    cr_assert_str_eq(belt_node_place(source), "-s source.file.paths");
    cr_assert_str_eq(belt_node_key_place(source, 0), "-s source.file.paths");
    cr_assert_str_eq(belt_node_place(belt_node_at(paths, 1)), "-s source.file.paths");
}

Test(tree, makes_what_is_missing_on_the_way)
{
    set("a.b.0.c", "x");
    set("a.b.1", "y");
    shows("{a:{b:[{c:x},y]}}");
}

Test(tree, makes_a_map_where_nothing_was_written)
{
    load("a:\nb: 1\n");
    set("a.x", "1");
    shows("{a:{x:1},b:1}");
}

Test(tree, sets_flow_values)
{
    set("a", "[x, \"y\"]");
    set("b", "{ k: v }");
    set("c", "'q'");
    set("d", "\"\\t\"");
    set("e", " [z]");
    shows("{a:[x,\"y\"],b:{k:v},c:\"q\",d:\"\t\",e:[z]}");
}

Test(tree, takes_any_other_value_as_it_stands)
{
    static const char *const values[] = { "*.txt", ",", "|",   "#",   "a: b", "x # y", "&a", "!b",
                                          "%",     "@", "- x", "---", " ",    "\t",    "é",  ":" };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        set("a", values[i]);
        cr_assert_str_eq(belt_node_text(belt_node_get(belt_tree_root(tree), "a")), values[i]);
    }
}

Test(tree, sets_null_by_an_empty_value)
{
    set("a", "");
    set("b", "~");
    set("c", "null");
    set("d", "\"\"");
    shows("{a:~,b:~,c:~,d:\"\"}");
}

Test(tree, replaces_a_map_that_is_set)
{
    load("a: { x: 1 }\n");
    set("a", "{ y: 2 }");
    shows("{a:{y:2}}");
}

Test(tree, loads_over_what_was_set_before)
{
    set("a.x", "1");
    becomes("a: { y: 2 }\n", "{a:{x:1,y:2}}");
}

Test(tree, expands_variables_in_set_values)
{
    setenv("BELT_TEST", "v", 1);
    set("a", "${BELT_TEST}");
    shows("{a:v}");
}

Test(tree, refuses_an_empty_name_in_a_path)
{
    refuses_set("a..b", "1", "-s a..b: an empty name in the path");
    refuses_set("", "1", "-s : an empty name in the path");
    refuses_set("a.", "1", "-s a.: an empty name in the path");
}

Test(tree, refuses_an_index_beyond_the_next)
{
    load("a: { b: [x, y] }\n");
    refuses_set("a.b.3", "z", "-s a.b.3: a.b has 2 entries (p.yaml:1:9); the next is a.b.2");
    refuses_set("a.b.99999999999999999999.c", "z",
                "-s a.b.99999999999999999999.c: a.b has 2 "
                "entries (p.yaml:1:9); the next is a.b.2");
}

Test(tree, refuses_an_index_beyond_the_first_of_a_missing_list)
{
    refuses_set("a.b.1.c", "z", "-s a.b.1.c: a.b has 0 entries; the next is a.b.0");
    shows("{}");
}

Test(tree, refuses_a_name_in_a_list)
{
    load("a: [x, y]\n");
    refuses_set("a.split.b", "z",
                "-s a.split.b: a is a list (p.yaml:1:4); write an index of 0 to "
                "2, not 'split'");
}

Test(tree, refuses_to_go_below_a_text)
{
    load("a: { b: x }\n");
    refuses_set("a.b.c", "z",
                "-s a.b.c: a.b is the text 'x' (p.yaml:1:9), which has nothing below it");
}

Test(tree, refuses_broken_flow_in_a_set_value)
{
    refuses_set("a.paths", "[0-9]*.txt",
                "-s a.paths: did not find expected alphabetic or numeric "
                "character; a text that begins with [ { \" or ' needs quotes");
}

Test(tree, refuses_a_path_that_is_too_deep)
{
    char path[200] = "a";
    while (strlen(path) < 125)
        strcat(path, ".a");
    set(path, "x");
    refuses_set(path, "{ b: 1 }",
                "-s a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
                "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: nested deeper "
                "than 64 levels");
    strcat(path, ".a");
    cr_assert_eq(belt_tree_set(tree, path, "x", &err), -EINVAL);
    cr_assert(strstr(err.text, ": more than 64 levels"));
}

/* ---- variables ------------------------------------------------------------------- */

Test(tree, expands_variables_and_their_defaults)
{
    setenv("BELT_TEST", "v: [x]", 1);
    unsetenv("BELT_NONE");
    becomes("a: ${BELT_TEST}\nb: <${BELT_NONE:-d e}>${BELT_TEST:-no}\nc: \"${BELT_NONE:-}\"\n",
            "{a:v: [x],b:<d e>v: [x],c:\"\"}");
}

Test(tree, uses_the_default_for_an_empty_variable)
{
    setenv("BELT_TEST", "", 1);
    becomes("a: x${BELT_TEST}\nb: ${BELT_TEST:-d}\n", "{a:x,b:d}");
}

Test(tree, leaves_escaped_variables_and_other_dollars)
{
    becomes("a: $${HOME}\nb: $HOME $ $$ $$$\n", "{a:${HOME},b:$HOME $ $$ $$$}");
}

Test(tree, never_takes_a_variable_for_null)
{
    setenv("BELT_TEST", "null", 1);
    becomes("a: ${BELT_TEST}\n", "{a:null}");
}

Test(tree, leaves_variables_in_keys)
{
    becomes("${HOME}: 1\n", "{${HOME}:1}");
}

Test(tree, refuses_a_variable_that_is_not_set)
{
    unsetenv("BELT_NONE");
    refuses("a:\n  b: x${BELT_NONE}\n",
            "p.yaml:2:6: the environment variable BELT_NONE is not set; set it, or write "
            "${BELT_NONE:-default}");
}

Test(tree, refuses_malformed_variables)
{
    refuses("a: ${HOME\n", "p.yaml:1:4: '${HOME' is no variable: write ${NAME} or "
                           "${NAME:-default}, or $${ for a plain ${");
    static const char *const bad[] = { "${}", "${1A}", "${A-b}", "${A:b}", "${A:-${B}", "${a b}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64], message[200];
        sprintf(text, "a: \"%s\"\n", bad[i]);
        sprintf(message,
                "p.yaml:1:4: '%s' is no variable: write ${NAME} or ${NAME:-default}, or "
                "$${ for a plain ${",
                bad[i]);
        refuses(text, message);
    }
}
