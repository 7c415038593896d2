/* The sink `file` with rotate: by size and by a fake clock. */
#include "sink_fixture.h"

#include <dirent.h>
#include <errno.h>

TestSuite(sink_rotate, .init = io_make_directory, .fini = io_remove_directory);

#define HOUR UINT64_C(3600000000000)

static void open_rotating(struct sink *s, const char *path, const char *rotate)
{
    char rest[128];
    snprintf(rest, sizeof rest, "rotate: { %s }", rotate);
    cr_assert_eq(sink_open(s, "", settings_for(path, rest)), 0, "%s", s->part.err.text);
}

static int count_files(void)
{
    DIR *dir = opendir(io_path(""));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

Test(sink_rotate, begins_a_new_file_before_one_is_too_large)
{
    struct sink s;
    open_rotating(&s, "log-{n}", "size: 10B");
    const char *rows[] = { "four\n", "five\n", "six-\n", "longer than a file\n", "x\n" };
    for (int i = 0; i < 5; i++)
        cr_assert_eq(put(&s, "", rows[i]), 0);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
    cr_assert_str_eq(io_text("log-000001"), "four\nfive\n");
    cr_assert_str_eq(io_text("log-000002"), "six-\n");
    cr_assert_str_eq(io_text("log-000003"), "longer than a file\n");
    cr_assert_str_eq(io_text("log-000004"), "x\n");
    cr_assert_eq(count_files(), 4);
}

Test(sink_rotate, begins_each_file_with_the_header)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "h\n", settings_for("{n}", "rotate: { size: 4B }")), 0);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(put(&s, "", "b\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("000001"), "h\na\n");
    cr_assert_str_eq(io_text("000002"), "h\nb\n");
    sink_close(&s);
}

Test(sink_rotate, begins_a_new_file_at_each_hour_of_the_clock)
{
    struct sink s;
    open_rotating(&s, "log-{n}", "every: 1h");
    struct belt_file_sink *state = s.state;
    state->wall_less_now = UINT64_C(1795284000000000000) - 5 * HOUR; /* a full hour, at 5 h */
    uint64_t due = belt_sink_file.tick(s.state, 5 * HOUR + 1);
    cr_assert_eq(due, 6 * HOUR);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    belt_sink_file.tick(s.state, 6 * HOUR - 1);
    cr_assert_eq(put(&s, "", "b\n"), 0);
    cr_assert_str_eq(io_text("log-000001"), "(none)");
    belt_sink_file.tick(s.state, 6 * HOUR); /* no row comes, the file is complete */
    cr_assert_str_eq(io_text("log-000001"), "a\nb\n");
    belt_sink_file.tick(s.state, 9 * HOUR);
    cr_assert_eq(put(&s, "", "c\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("log-000002"), "c\n");
    cr_assert_eq(count_files(), 2);
    sink_close(&s);
}

Test(sink_rotate, goes_on_behind_the_numbers_that_are_there)
{
    struct sink s;
    io_write("log-000004", "old\n", 4);
    io_write("log-000007.partial", "died\n", 5);
    io_write("log-12", "not one of ours\n", 16);
    io_write("log-000009.gz", "nor this\n", 9);
    open_rotating(&s, "log-{n}", "size: 1MiB");
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("log-000008"), "a\n");
    cr_assert_str_eq(io_text("log-000007.partial"), "died\n");
    cr_assert_str_eq(io_text("log-000004"), "old\n");
    sink_close(&s);
}

Test(sink_rotate, keeps_so_many_files_of_each_key)
{
    struct sink s;
    io_write("a.000001", "old\n", 4);
    io_write("b.000001.other", "not ours\n", 9);
    open_rotating(&s, "{key}.{n}", "size: 2B, keep: 2");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(put(&s, "a", "1\n"), 0);
        cr_assert_eq(put(&s, "b", "2\n"), 0);
    }
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
    cr_assert_str_eq(io_text("a.000003"), "(none)");
    cr_assert_str_eq(io_text("a.000005"), "1\n");
    cr_assert_str_eq(io_text("b.000002"), "(none)");
    cr_assert_str_eq(io_text("b.000003"), "2\n");
    cr_assert_str_eq(io_text("b.000001.other"), "not ours\n");
    cr_assert_eq(count_files(), 5);
}

Test(sink_rotate, names_files_by_the_time_of_their_beginning)
{
    struct sink s;
    open_rotating(&s, "{date}-{n}.log", "size: 1kB");
    struct belt_file_sink *state = s.state;
    state->wall_less_now = UINT64_C(1795284000000000000) - HOUR;
    belt_sink_file.tick(s.state, HOUR);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("20261121T180000Z-000001.log"), "a\n");
    sink_close(&s);
}

Test(sink_rotate, ends_what_is_under_way_first)
{
    struct sink s;
    static struct belt_batch batches[30];
    static char texts[30][16];
    open_rotating(&s, "log-{n}", "size: 24B");
    struct belt_file_sink *state = s.state;
    use_fault(&state->writer);
    state->writer.done = on_done;
    for (int i = 0; i < 30; i++) {
        snprintf(texts[i], sizeof texts[i], "row%02d\n", i);
        batches[i] = batch_of("", texts[i]);
        batches[i].user = (void *)(intptr_t)i;
        codes[i] = 99;
        int rc = belt_sink_file.batch(s.state, &batches[i], &s.part.err);
        cr_assert_geq(rc, 0, "%s", s.part.err.text);
        if (rc == 0)
            codes[i] = 0;
    }
    cr_assert_eq(sink_finish(&s, true), 0);
    sink_close(&s);
    for (int i = 0; i < 30; i++) {
        char name[16];
        cr_assert_eq(codes[i], 0);
        snprintf(name, sizeof name, "log-%06d", i / 4 + 1);
        cr_assert_eq(strlen(io_text(name)), i < 28 ? 24 : 12);
        cr_assert_not_null(strstr(io_text(name), texts[i]));
    }
}

static void expect_refusal(const char *path, const char *rest, const char *words)
{
    struct sink s;
    cr_assert_lt(sink_open(&s, "", settings_for(path, rest)), 0);
    cr_assert_not_null(strstr(s.part.err.text, words), "%s", s.part.err.text);
    sink_close(&s);
}

Test(sink_rotate, refuses_settings_that_cannot_be)
{
    expect_refusal("log", "rotate: { size: 1MiB }", "put {n} into path");
    expect_refusal("log-{n}", "rotate: { keep: 3 }", "set size, or every, or both");
    expect_refusal("log-{n}", "rotate: { every: 10ms }", "every is at least 1s");
    expect_refusal("log-{n}", "rotate: { sise: 1MiB }", "did you mean 'size'");
    expect_refusal("{n}/log", "rotate: { size: 1MiB }", "not to its directory");
    expect_refusal("log-{n}", "mode: append", "leave mode: append away");
}
