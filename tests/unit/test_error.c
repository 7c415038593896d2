/* Error texts: every field set, one line, cut cleanly. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/tree_priv.h"

static struct belt_error err;

Test(error, sets_every_field)
{
    memset(&err, 1, sizeof err);
    cr_assert_eq(belt_error_set(&err, -EAGAIN, "ring %s: %d", "x", 3), -EAGAIN);
    cr_assert_eq(err.code, -EAGAIN);
    cr_assert_eq(err.config, 0);
    cr_assert_str_eq(err.text, "ring x: 3");
}

Test(error, returns_the_code_without_a_place_to_write)
{
    cr_assert_eq(belt_error_set(NULL, -EAGAIN, "x"), -EAGAIN);
    cr_assert_eq(belt_error_config(NULL, "x"), -EINVAL);
    cr_assert_eq(belt_node_error(NULL, NULL, "x"), -EINVAL);
}

Test(error, may_quote_its_own_text)
{
    belt_error_set(&err, -EIO, "inner");
    belt_error_set(&err, -EIO, "outer: %s", err.text);
    cr_assert_str_eq(err.text, "outer: inner");
}

Test(error, keeps_one_line)
{
    belt_error_set(&err, -EIO, "a\nb\tc");
    cr_assert_str_eq(err.text, "a b c");
}

Test(error, cuts_a_long_text_on_a_whole_character)
{
    char text[2001] = "";
    for (int i = 0; i < 1000; i++)
        memcpy(text + 2 * i, "é", 3);
    belt_error_set(&err, -EIO, "%s", text);
    cr_assert_eq(strlen(err.text), 999);
    cr_assert_str_eq(err.text + 994, "é...");
}

Test(error, survives_a_place_longer_than_its_room)
{
    struct belt_tree *own = belt_tree_new();
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    cr_assert_eq(belt_tree_load_text(own, "a: 1\n", name, &err), 0);
    cr_assert_eq(belt_node_error(&err, belt_tree_root(own), "message"), -EINVAL);
    cr_assert_eq(strlen(err.text), 999);
    belt_tree_free(own);
}
