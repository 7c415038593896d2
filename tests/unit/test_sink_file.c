/* The sink `file` through its table, and the writer under it with faults. */
#include "sink_fixture.h"

#include <errno.h>

TestSuite(sink_file, .init = io_make_directory, .fini = io_remove_directory);

/* ---- names --------------------------------------------------------------------- */

static void expect_path(const char *path, const char *key, uint32_t size, const char *want)
{
    char got[PATH_MAX];
    struct belt_out_name name = { key, size, 7, UINT64_C(1795282800000000000) };
    cr_assert_eq(belt_out_path(got, path, &name), (int)strlen(want));
    cr_assert_str_eq(got, want);
}

Test(sink_file, puts_the_key_into_the_path_wherever_it_is_named)
{
    expect_path("a/{key}/b-{key}.csv", "x_1", 3, "a/x_1/b-x_1.csv");
}

Test(sink_file, lets_no_key_leave_the_directory)
{
    expect_path("out/{key}", "../../etc/x", 11, "out/%2E.%2F..%2Fetc%2Fx");
    expect_path("out/{key}", "..", 2, "out/%2E.");
    expect_path("out/{key}", "a\0b%", 4, "out/a%00b%25");
    expect_path("out/{key}", "", 0, "out/%");
    expect_path("out/{key}", "\xc3\xa4", 2, "out/%C3%A4");
}

/* ---- modes --------------------------------------------------------------------- */

Test(sink_file, replaces_the_old_file_only_when_complete)
{
    struct sink s;
    io_write("out", "old\n", 4);
    cr_assert_eq(sink_open(&s, "h\n", settings_for("out", "")), 0);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(put(&s, "", "b\n"), 0);
    cr_assert_str_eq(io_text("out"), "old\n");
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out"), "h\na\nb\n");
    cr_assert_str_eq(io_text("out.partial"), "(none)");
    sink_close(&s);
}

Test(sink_file, leaves_the_partial_file_of_a_run_that_stopped_early)
{
    struct sink s;
    io_write("out", "old\n", 4);
    cr_assert_eq(sink_open(&s, "", settings_for("out", "")), 0);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(sink_finish(&s, false), 0);
    sink_close(&s);
    cr_assert_str_eq(io_text("out"), "old\n");
    cr_assert_str_eq(io_text("out.partial"), "a\n");
}

Test(sink_file, starts_over_what_an_earlier_run_left_partial)
{
    struct sink s;
    io_write("out.partial", "left over\n", 10);
    cr_assert_eq(sink_open(&s, "", settings_for("out", "")), 0);
    cr_assert_eq(put(&s, "", "a\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out"), "a\n");
    sink_close(&s);
}

Test(sink_file, appends_with_a_header_only_to_an_empty_file)
{
    for (int round = 0; round < 2; round++) {
        struct sink s;
        cr_assert_eq(sink_open(&s, "h\n", settings_for("out", "mode: append, sync: end")), 0);
        cr_assert_eq(put(&s, "", round ? "b\n" : "a\n"), 0);
        cr_assert_eq(sink_finish(&s, true), 0);
        sink_close(&s);
    }
    cr_assert_str_eq(io_text("out"), "h\na\nb\n");
}

Test(sink_file, leaves_a_file_with_its_header_when_there_were_no_rows)
{
    struct sink s;
    io_write("out", "old\n", 4);
    cr_assert_eq(sink_open(&s, "h\n", settings_for("out", "")), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out"), "h\n");
    sink_close(&s);
}

/* ---- keys ---------------------------------------------------------------------- */

Test(sink_file, keeps_more_files_than_it_may_have_open)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "h\n", settings_for("{key}.txt", "open_files: 3, sync: end")), 0);
    for (int i = 0; i < 1000; i++) {
        char key[8], row[16];
        snprintf(key, sizeof key, "k%d", i * 7 % 10);
        snprintf(row, sizeof row, "%d\n", i);
        cr_assert_eq(put(&s, key, row), 0, "%s", s.part.err.text);
    }
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
    for (int k = 0; k < 10; k++) {
        char name[24], want[2048] = "h\n";
        for (int i = 0; i < 1000; i++)
            if (i * 7 % 10 == k)
                snprintf(want + strlen(want), 16, "%d\n", i);
        snprintf(name, sizeof name, "k%d.txt", k);
        cr_assert_str_eq(io_text(name), want);
    }
}

Test(sink_file, ignores_keys_when_the_path_has_none)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", settings_for("out", "")), 0);
    cr_assert_eq(put(&s, "x", "a\n"), 0);
    cr_assert_eq(put(&s, "y", "b\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out"), "a\nb\n");
    sink_close(&s);
}

/* ---- bad places ---------------------------------------------------------------- */

static void expect_refusal(const char *path, const char *words)
{
    struct sink s;
    cr_assert_lt(sink_open(&s, "", settings_for(path, "")), 0);
    cr_assert_not_null(strstr(s.part.err.text, words), "%s", s.part.err.text);
    sink_close(&s);
}

Test(sink_file, refuses_a_missing_directory_before_anything_is_written)
{
    expect_refusal("no/where/out", "no/where: No such file or directory");
}

Test(sink_file, refuses_a_missing_directory_above_the_key_too)
{
    expect_refusal("no/{key}.txt", "no: No such file or directory");
}

Test(sink_file, refuses_a_directory_as_file)
{
    expect_refusal("", "is a directory");
}

Test(sink_file, fails_the_batch_whose_directory_is_missing)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", settings_for("{key}/out", "")), 0);
    cr_assert_eq(put(&s, "x", "a\n"), -ENOENT);
    cr_assert_not_null(strstr(s.part.err.text, "x/out"), "%s", s.part.err.text);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
}

Test(sink_file, fails_the_batch_when_the_disk_is_full)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", "/dev/full"), 0);
    cr_assert_eq(put(&s, "", "a\n"), -ENOSPC);
    cr_assert_str_eq(s.part.err.text, "write /dev/full: No space left on device");
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_eq(access("/dev/full", F_OK), 0);
    sink_close(&s);
}

/* ---- the writer, with a backend that misbehaves --------------------------------- */

static void open_faulty(struct belt_writer *writer)
{
    struct belt_error err;
    cr_assert_eq(belt_writer_open(writer, "posix", &err), 0);
    use_fault(writer);
    writer->done = on_done;
}

/* Writes rows "0\n", "1\n", ... to `targets` files in turn. */
static void write_rows(struct belt_writer *writer, struct belt_target *targets, int files, int rows)
{
    static char texts[64][24];
    static struct belt_batch batches[64];
    for (int i = 0; i < rows; i++) {
        struct belt_error err = { 0 };
        snprintf(texts[i], sizeof texts[i], "row%d\n", i);
        batches[i] = batch_of("", texts[i]);
        batches[i].user = (void *)(intptr_t)i;
        codes[i] = 99;
        int rc = belt_writer_put(writer, &targets[i % files], &batches[i], &err);
        if (rc != BELT_PENDING)
            on_done(&batches[i], rc, err.text);
    }
    for (int i = 0; i < rows; i++)
        while (codes[i] == 99)
            belt_writer_poll(writer);
}

static struct belt_target target_at(const char *name)
{
    io_write(name, "", 0);
    FILE *file = fopen(io_path(name), "r+");
    struct belt_target target = { .fd = dup(fileno(file)), .name = name };
    fclose(file);
    return target;
}

Test(sink_file, keeps_the_order_of_a_file_when_writes_end_late)
{
    struct belt_writer writer;
    open_faulty(&writer);
    struct belt_target targets[6];
    for (int i = 0; i < 6; i++)
        targets[i] = target_at((const char *[]){ "a", "b", "c", "d", "e", "f" }[i]);
    write_rows(&writer, targets, 6, 18);
    cr_assert_str_eq(io_text("a"), "row0\nrow6\nrow12\n");
    cr_assert_str_eq(io_text("f"), "row5\nrow11\nrow17\n");
    cr_assert_eq(fault.most, BELT_WRITES);
    belt_writer_close(&writer);
}

Test(sink_file, continues_short_and_interrupted_writes)
{
    struct belt_writer writer;
    open_faulty(&writer);
    struct belt_target target = target_at("a");
    memcpy(fault.script, (int64_t[]){ 2, 1, -EINTR, 1, -EAGAIN, 0, 3 }, 7 * sizeof(int64_t));
    write_rows(&writer, &target, 1, 3);
    cr_assert_str_eq(io_text("a"), "row0\nrow1\nrow2\n");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(codes[i], 0);
    belt_writer_close(&writer);
}

Test(sink_file, leaves_no_torn_row_behind_a_failed_write)
{
    struct belt_writer writer;
    open_faulty(&writer);
    struct belt_target target = target_at("a");
    memcpy(fault.script, (int64_t[]){ 0, 2, -ENOSPC, 0 }, 4 * sizeof(int64_t));
    write_rows(&writer, &target, 1, 3);
    cr_assert_str_eq(io_text("a"), "row0\nrow2\n");
    cr_assert_eq(codes[1], -ENOSPC);
    cr_assert_str_eq(reasons[1], "write a: No space left on device");
    belt_writer_close(&writer);
}

Test(sink_file, misses_no_row_that_was_written_when_handed_over_again)
{
    struct belt_writer writer;
    struct belt_error err = { 0 };
    open_faulty(&writer);
    struct belt_target target = target_at("a");
    memcpy(fault.script, (int64_t[]){ 0, -EIO, 0, -EIO, 0 }, 5 * sizeof(int64_t));
    write_rows(&writer, &target, 1, 3);
    cr_assert_eq(target.torn, 1);
    struct belt_batch again = batch_of("", "row1\n");
    for (again.attempt = 2; again.attempt < 4; again.attempt++) {
        codes[0] = 99;
        int rc = belt_writer_put(&writer, &target, &again, &err);
        while (rc == BELT_PENDING && codes[0] == 99)
            belt_writer_poll(&writer);
        cr_assert_eq(target.torn, again.attempt == 2);
    }
    cr_assert_str_eq(io_text("a"), "row0\nrow2\nrow1\n");
    belt_writer_close(&writer);
}

static void expect_rows_by(const char *backend)
{
    struct belt_writer writer;
    struct belt_error err;
    if (belt_writer_open(&writer, backend, &err) < 0)
        cr_skip("%s", err.text);
    writer.done = on_done;
    struct belt_target target = target_at("a");
    write_rows(&writer, &target, 1, 40);
    char want[512] = "";
    for (int i = 0; i < 40; i++)
        snprintf(want + strlen(want), 24, "row%d\n", i);
    cr_assert_str_eq(io_text("a"), want);
    cr_assert_eq(belt_writer_sync(&writer, &target, &err), 0);
    belt_writer_close(&writer);
}

Test(sink_file, writes_rows_by_io_uring)
{
    expect_rows_by("io_uring");
}

Test(sink_file, writes_rows_by_pwrite)
{
    expect_rows_by("posix");
}

/* ---- keys that do harm --------------------------------------------------------- */

Test(sink_file, fails_the_batch_of_a_key_longer_than_a_name)
{
    struct sink s;
    char key[301];
    memset(key, 'k', 300);
    key[300] = 0;
    cr_assert_eq(sink_open(&s, "", settings_for("{key}.txt", "")), 0);
    cr_assert_eq(put(&s, key, "a\n"), -ENAMETOOLONG);
    cr_assert_not_null(strstr(s.part.err.text, "300 bytes"), "%s", s.part.err.text);
    key[250] = 0; /* as a key it would do, with .txt.partial it does not */
    cr_assert_eq(put(&s, key, "a\n"), -ENAMETOOLONG);
    cr_assert_eq(put(&s, "k", "a\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    cr_assert_str_eq(io_text("k.txt"), "a\n");
    sink_close(&s);
}

Test(sink_file, takes_no_more_keys_than_max_files)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", settings_for("{key}", "max_files: 2")), 0);
    cr_assert_eq(put(&s, "a", "1\n"), 0);
    cr_assert_eq(put(&s, "b", "1\n"), 0);
    cr_assert_eq(put(&s, "c", "1\n"), -ENOSPC);
    cr_assert_not_null(strstr(s.part.err.text, "more than 2 keys: raise max_files"));
    cr_assert_eq(put(&s, "a", "2\n"), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("a"), "1\n2\n");
    sink_close(&s);
}

Test(sink_file, closes_the_file_unused_for_longest)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", settings_for("{key}", "open_files: 2")), 0);
    const char *keys[] = { "a", "b", "a", "c" }; /* b is the one to go */
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put(&s, keys[i], "x\n"), 0);
    struct belt_file_sink *state = s.state;
    cr_assert_geq(state->outs[0].target.fd, 0);
    cr_assert_eq(state->outs[1].target.fd, -1);
    cr_assert_geq(state->outs[2].target.fd, 0);
    sink_close(&s);
}

Test(sink_file, writes_no_hole_into_a_file_that_somebody_else_has_cut)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", settings_for("{key}", "open_files: 1")), 0);
    cr_assert_eq(put(&s, "a", "1\n"), 0);
    cr_assert_eq(put(&s, "b", "1\n"), 0);
    cr_assert_eq(truncate(io_path("a.partial"), 0), 0);
    cr_assert_eq(put(&s, "a", "2\n"), -ESTALE);
    cr_assert_not_null(strstr(s.part.err.text, "somebody else has changed it"));
    sink_close(&s);
}
