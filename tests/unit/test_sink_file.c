/* The sink `file` through its table, and the writer under it with faults. */
#include "io_fixture.h"

#include <errno.h>

#include "io/sink_file_priv.h"
#include "io/writer_priv.h"

extern const struct belt_sink belt_sink_file;

struct sink {
    struct io_part part;
    void *state;
};

static int sink_open(struct sink *s, const char *header, const char *settings)
{
    memset(s, 0, sizeof *s);
    int rc = io_read(&s->part, &belt_sink_file.part, settings);
    rc = rc < 0 ? rc : io_prepare(&s->part);
    rc = rc < 0 ? rc : belt_sink_file.part.open(s->part.conf, &s->part.err);
    if (rc < 0)
        return rc;
    struct belt_instance in = { .size = sizeof in,
                                .count = 1,
                                .stage = "batchers.default",
                                .header = header,
                                .header_size = (uint32_t)strlen(header),
                                .backend = "posix" };
    s->state = calloc(1, belt_sink_file.part.state_size);
    return belt_sink_file.part.init(s->state, s->part.conf, &in, &s->part.err);
}

static struct belt_batch batch_of(const char *text, const char *bytes)
{
    static char padded[512 + 2 * BELT_PAD]; /* as all keys are */
    char *key = padded + BELT_PAD;
    cr_assert_lt(strlen(text), 512);
    strcpy(key, text);
    return (struct belt_batch){ .size = sizeof(struct belt_batch),
                                .count = 1,
                                .bytes = bytes,
                                .bytes_size = strlen(bytes),
                                .key = key,
                                .key_size = (uint32_t)strlen(key) };
}

static int put(struct sink *s, const char *key, const char *bytes)
{
    struct belt_batch batch = batch_of(key, bytes);
    return belt_sink_file.batch(s->state, &batch, &s->part.err);
}

static int sink_finish(struct sink *s, bool complete)
{
    return belt_sink_file.finish(s->state, complete, &s->part.err);
}

static void sink_close(struct sink *s)
{
    if (s->state)
        belt_sink_file.part.fini(s->state, s->part.conf);
    free(s->state);
    io_free(&s->part);
}

static const char *settings_for(const char *path, const char *rest)
{
    static char settings[512];
    snprintf(settings, sizeof settings, "{ path: '%s'%s%s }", io_path(path), *rest ? ", " : "",
             rest);
    return settings;
}

TestSuite(sink_file, .init = io_make_directory, .fini = io_remove_directory);

/* ---- names --------------------------------------------------------------------- */

static void expect_path(const char *path, const char *key, uint32_t size, const char *want)
{
    char *got = belt_sink_path(path, key, size);
    cr_assert_str_eq(got, want);
    free(got);
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
        cr_assert_eq(sink_open(&s, "h\n", settings_for("out", "mode: append, sync: true")), 0);
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
    cr_assert_eq(sink_open(&s, "h\n", settings_for("{key}.txt", "open_files: 3, sync: true")), 0);
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

/* Every write ends later, in reverse order, and as `script` says: bytes, or negative errno. */
static struct {
    struct belt_backend base;
    struct belt_io_done held[BELT_WRITES];
    uint32_t held_used;
    int64_t script[16];
    uint32_t next, most;
} fault;

static int fault_write(struct belt_backend *backend, int fd, const void *from, uint32_t size,
                       uint64_t offset, uint64_t cookie)
{
    int64_t wish = fault.next < 16 ? fault.script[fault.next++] : 0;
    if (wish >= 0) {
        size = wish && wish < size ? (uint32_t)wish : size;
        wish = pwrite(fd, from, size, (off_t)offset);
    }
    fault.held[fault.held_used++] = (struct belt_io_done){ cookie, wish };
    fault.most = fault.held_used > fault.most ? fault.held_used : fault.most;
    backend->in_flight++;
    return 0;
}

static uint32_t fault_reap(struct belt_backend *backend, struct belt_io_done *done, uint32_t room,
                           bool wait)
{
    static uint32_t calls;
    if (!fault.held_used || !room || (!wait && calls++ % 8 < 7))
        return 0;
    *done = fault.held[--fault.held_used];
    backend->in_flight--;
    return 1;
}

static void fault_destroy(struct belt_backend *backend)
{
    (void)backend;
}

static const struct belt_backend_ops fault_ops = {
    .name = "fault",
    .destroy = fault_destroy,
    .write = fault_write,
    .reap = fault_reap,
};

static int codes[64];
static char reasons[64][BELT_REASON];

static void on_done(struct belt_batch *batch, int code, const char *reason)
{
    int which = (int)(intptr_t)batch->user;
    codes[which] = code;
    snprintf(reasons[which], BELT_REASON, "%.150s", reason ? reason : "");
}

static void open_faulty(struct belt_writer *writer)
{
    struct belt_error err;
    cr_assert_eq(belt_writer_open(writer, "posix", &err), 0);
    writer->backend->ops->destroy(writer->backend);
    fault.base = (struct belt_backend){ .ops = &fault_ops, .depth = BELT_WRITES };
    writer->backend = &fault.base;
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
