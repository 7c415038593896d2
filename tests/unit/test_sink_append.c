/* The sink `file` goes on behind what a killed run left: a torn row, a torn member. */
#include "sink_fixture.h"

TestSuite(sink_append, .init = io_make_directory, .fini = io_remove_directory);

static const struct belt_format lines = { .end_size = 1 };
static const struct belt_format csv = { .end_size = 1, .quote = '"' };
static const struct belt_format raw = { .end_size = 0 };

/* One batch for each text, up to NULL. */
static void append(const char *rest, const char *const texts[])
{
    struct sink s;
    char settings[128];
    snprintf(settings, sizeof settings, "mode: append%s", rest);
    cr_assert_eq(sink_open(&s, "", settings_for("out", settings)), 0, "%s", s.part.err.text);
    struct belt_file_sink *state = s.state;
    state->writer.done = on_done;
    for (int i = 0; texts[i]; i++) {
        struct belt_batch batch = batch_of("", texts[i]);
        codes[0] = 99;
        int rc = belt_sink_file.batch(s.state, &batch, &s.part.err);
        if (rc != BELT_PENDING)
            on_done(&batch, rc, s.part.err.text);
        poll_until_all_ended(&s, 1);
        cr_assert_eq(codes[0], 0, "%s", s.part.err.text);
    }
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
}

static void expect_behind(const struct belt_format *format, const char *before, const char *row,
                          const char *all)
{
    static const char *const modes[] = { "", ", sync: batch", ", direct: auto" };
    sink_format = format;
    for (int m = 0; m < 3; m++) {
        io_write("out", before, strlen(before));
        append(modes[m], (const char *const[]){ row, NULL });
        cr_assert_str_eq(io_text("out"), all, "'%s': %s", modes[m], io_text("out"));
    }
}

Test(sink_append, begins_a_line_of_its_own_behind_a_torn_row)
{
    expect_behind(&lines, "a\nb", "b\n", "a\nb\nb\n");
    expect_behind(&lines, "it's \"", "b\n", "it's \"\nb\n");
    expect_behind(&lines, "a\n", "b\n", "a\nb\n");
}

Test(sink_append, closes_the_quotes_of_a_torn_row)
{
    expect_behind(&csv, "1,\"x\ny", "2,z\n", "1,\"x\ny\"\n2,z\n");
    expect_behind(&csv, "1,\"x\"", "2,z\n", "1,\"x\"\n2,z\n");
    expect_behind(&csv, "1,\"x\"\"", "2,z\n", "1,\"x\"\"\"\n2,z\n");
}

Test(sink_append, leaves_the_end_alone_where_rows_have_no_end_mark)
{
    expect_behind(&raw, "ab", "c", "abc");
}

/* ---- packed files ---------------------------------------------------------------- */

static const struct {
    const char *setting, *unpack;
} packings[] = { { ", compression: gz", "gzip -dc" }, { ", compression: zstd", "zstd -q -dc" } };
#define PACKINGS (sizeof packings / sizeof *packings)

static const char *unpacked(const char *with)
{
    static char text[4096];
    char command[512];
    snprintf(command, sizeof command, "%s <'%s' 2>&1", with, io_path("out"));
    FILE *pipe = popen(command, "r");
    size_t size = fread(text, 1, sizeof text - 1, pipe);
    text[size] = 0;
    cr_assert_eq(pclose(pipe), 0, "%s: %s", command, text);
    return text;
}

static off_t size_now(void)
{
    struct stat st;
    cr_assert_eq(stat(io_path("out"), &st), 0);
    return st.st_size;
}

static void write_first(size_t p)
{
    append(packings[p].setting, (const char *const[]){ "one\n", NULL });
}

/* At every byte of the second member. */
Test(sink_append, goes_on_behind_the_last_whole_member)
{
    sink_format = &lines;
    for (size_t p = 0; p < PACKINGS; p++) {
        write_first(p);
        off_t first = size_now(), both = 0;
        for (off_t end = first; !both || end <= both; end++) {
            unlink(io_path("out"));
            write_first(p);
            append(packings[p].setting, (const char *const[]){ "two two\n", NULL });
            both = size_now();
            cr_assert_eq(truncate(io_path("out"), end), 0);
            append(packings[p].setting, (const char *const[]){ "three\n", NULL });
            cr_assert_str_eq(unpacked(packings[p].unpack),
                             end == both ? "one\ntwo two\nthree\n" : "one\nthree\n",
                             "cut at %jd of %jd", (intmax_t)end, (intmax_t)both);
        }
        unlink(io_path("out"));
    }
}

Test(sink_append, begins_anew_where_the_first_member_is_torn)
{
    for (size_t p = 0; p < PACKINGS; p++) {
        write_first(p);
        cr_assert_eq(truncate(io_path("out"), size_now() - 1), 0);
        append(packings[p].setting, (const char *const[]){ "two\n", NULL });
        cr_assert_str_eq(unpacked(packings[p].unpack), "two\n");
        unlink(io_path("out"));
    }
}

/* As after a power failure: the file was made longer, its bytes were not written. */
Test(sink_append, takes_zeros_for_a_member_that_never_came)
{
    for (size_t p = 0; p < PACKINGS; p++) {
        write_first(p);
        cr_assert_eq(truncate(io_path("out"), size_now() + 5000), 0);
        append(packings[p].setting, (const char *const[]){ "two\n", NULL });
        cr_assert_str_eq(unpacked(packings[p].unpack), "one\ntwo\n");
        unlink(io_path("out"));
    }
}

Test(sink_append, cuts_nothing_that_is_no_member)
{
    for (size_t p = 0; p < PACKINGS; p++) {
        static const char text[] = "of somebody else";
        io_write("out", text, strlen(text));
        write_first(p);
        cr_assert_eq(memcmp(io_text("out"), text, strlen(text)), 0);
        unlink(io_path("out"));
        write_first(p);
        FILE *file = fopen(io_path("out"), "a");
        fputs(text, file);
        fclose(file);
        off_t size = size_now();
        write_first(p);
        cr_assert_gt(size_now(), size);
        unlink(io_path("out"));
    }
}
