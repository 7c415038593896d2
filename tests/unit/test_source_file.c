/* The source `file`: each record exactly once, whatever the sizes. */
#include <errno.h>
#include <fcntl.h>

#include "io/source_file_priv.h"
#include "source_fixture.h"

TestSuite(source_file, .init = io_make_directory, .fini = io_remove_directory);

/* ---- against a naive splitter -------------------------------------------------- */

static size_t make_text(uint64_t *seed, char *text, size_t room)
{
    size_t used = 0, records = io_random(seed, 3000);
    uint32_t longest = 1 + io_random(seed, io_random(seed, 4) ? 60 : 9000);
    for (size_t i = 0; i < records && used + longest + 3 < room; i++) {
        uint32_t size = io_random(seed, longest);
        for (uint32_t k = 0; k < size; k++)
            text[used++] = (char)('a' + io_random(seed, 26));
        if (io_random(seed, 8) == 0)
            text[used++] = '\r';
        if (i + 1 < records || io_random(seed, 2))
            text[used++] = '\n';
    }
    return used;
}

static void compare(const struct run *r, const char *text, size_t size, uint32_t limit)
{
    uint32_t i = 0;
    for (size_t at = 0; at < size; i++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t next = newline ? (size_t)(newline - text) + 1 : size;
        size_t length = next - at - (newline != NULL);
        if (newline && length && newline[-1] == '\r')
            length--;
        bool longer = length > limit;
        length = longer ? limit : length;
        cr_assert_lt(i, r->got_used);
        cr_assert_eq(r->got[i].size, length, "record %u: %u, not %zu", i, r->got[i].size, length);
        cr_assert_eq(memcmp(r->got[i].text, text + at, length), 0, "record %u", i);
        cr_assert_eq(r->got[i].failed, longer, "record %u", i);
        at = next;
    }
    cr_assert_eq(r->got_used, i);
    for (uint64_t c = 0; c < r->chunks; c++)
        cr_assert_eq(r->ended[c], 1, "chunk %llu ended %llu times", (unsigned long long)c,
                     (unsigned long long)r->ended[c]);
}

static void expect_each_record_once(const char *backend, const char *direct)
{
    static char text[400000];
    uint64_t seed = 12345;
    for (int round = 0; round < 60; round++) {
        size_t size = make_text(&seed, text, sizeof text);
        uint32_t limit = io_random(&seed, 2) ? 65536 : 16 + io_random(&seed, 5000);
        char rest[128];
        struct run r;
        io_write("in", text, size);
        snprintf(rest, sizeof rest, "chunk: %uB, max_record: %uB, depth: %u, direct: %s",
                 4096 * (1 + io_random(&seed, 3)), limit, 1 + io_random(&seed, 4), direct);
        run_all(&r, 1 + (int)io_random(&seed, INSTANCES), backend, with_path("in", rest));
        cr_assert_eq(r.result, BELT_FILL_END);
        compare(&r, text, size, limit);
        end(&r);
    }
}

Test(source_file, delivers_each_record_once_by_io_uring)
{
    expect_each_record_once("auto", "false");
}

Test(source_file, delivers_each_record_once_by_pread)
{
    expect_each_record_once("posix", "false");
}

/* Where the file system of the test can do so; whole pages, whatever the file's size. */
Test(source_file, delivers_each_record_once_past_the_page_cache)
{
    expect_each_record_once("auto", "auto");
    expect_each_record_once("posix", "auto");
}

/* What is written comes in pieces of any size, and is read in between. */
Test(source_file, delivers_each_record_of_a_pipe_once)
{
    static char text[400000];
    uint64_t seed = 999;
    cr_assert_eq(mkfifo(io_path("pipe"), 0600), 0);
    for (int round = 0; round < 30; round++) {
        size_t size = make_text(&seed, text, sizeof text);
        uint32_t limit = io_random(&seed, 2) ? 65536 : 16 + io_random(&seed, 5000);
        char rest[128];
        struct run r;
        snprintf(rest, sizeof rest, "chunk: 4KiB, max_record: %uB", limit);
        cr_assert_eq(begin(&r, INSTANCES, "auto", with_path("pipe", rest)), 0);
        cr_assert_eq(r.count, 1);
        int to = open(io_path("pipe"), O_WRONLY);
        for (size_t at = 0; at < size;) {
            size_t piece = 1 + io_random(&seed, 5000);
            piece = piece < size - at ? piece : size - at;
            cr_assert_eq(write(to, text + at, piece), (ssize_t)piece);
            at += piece;
            while (step(&r, 0) >= 0)
                ;
        }
        close(to);
        drain(&r);
        compare(&r, text, size, limit);
        end(&r);
    }
}

/* ---- edges --------------------------------------------------------------------- */

Test(source_file, takes_a_last_line_without_its_end)
{
    struct run r;
    io_write("in", "a\nb", 3);
    run_all(&r, 1, "auto", with_path("in", ""));
    EXPECT(&r, "a", "b");
    end(&r);
}

Test(source_file, gives_nothing_for_an_empty_file)
{
    struct run r;
    io_write("in", "", 0);
    run_all(&r, 2, "auto", with_path("in", ""));
    cr_assert_eq(r.got_used, 0);
    cr_assert_eq(r.result, BELT_FILL_END);
    end(&r);
}

Test(source_file, starts_the_next_chunk_at_a_line_that_ends_with_the_last)
{
    static char text[8192];
    struct run r;
    memset(text, 'x', sizeof text);
    text[4095] = text[8191] = '\n';
    io_write("in", text, sizeof text);
    run_all(&r, 2, "auto", with_path("in", "chunk: 4KiB"));
    cr_assert_eq(r.got_used, 2);
    cr_assert_eq(r.got[0].size, 4095);
    cr_assert_eq(r.got[1].size, 4095);
    cr_assert_eq(r.chunks, 2);
    end(&r);
}

Test(source_file, reads_globs_in_order_and_several_paths)
{
    struct run r;
    char settings[512];
    io_write("b.log", "3\n", 2);
    io_write("a.log", "1\n2\n", 4);
    io_write("empty.log", "", 0);
    io_write("z", "0\n", 2);
    snprintf(settings, sizeof settings, "{ paths: ['%s', '%s'] }", io_path("z"), io_path("*.log"));
    run_all(&r, 1, "auto", settings);
    EXPECT(&r, "0", "1", "2", "3");
    end(&r);
}

Test(source_file, reads_streams_and_files_in_order)
{
    struct run r;
    char settings[512];
    io_write("a", "1\n2", 3);
    io_write("c", "5\n", 2);
    cr_assert_eq(mkfifo(io_path("b"), 0600), 0);
    snprintf(settings, sizeof settings, "{ paths: ['%s', '%s', '%s'] }", io_path("a"), io_path("b"),
             io_path("c"));
    cr_assert_eq(begin(&r, 3, "auto", settings), 0, "%s", r.part.err.text);
    int to = open(io_path("b"), O_WRONLY);
    cr_assert_eq(write(to, "3\n4", 3), 3);
    close(to);
    drain(&r);
    EXPECT(&r, "1", "2", "3", "4", "5");
    end(&r);
}

Test(source_file, delivers_what_a_stream_has_and_then_says_idle)
{
    struct run r;
    cr_assert_eq(mkfifo(io_path("in"), 0600), 0);
    cr_assert_eq(begin(&r, 1, "auto", with_path("in", "")), 0);
    cr_assert_eq(step(&r, 0), BELT_FILL_IDLE);
    cr_assert_geq(belt_source_file.fd(r.states[0]), 0);
    int to = open(io_path("in"), O_WRONLY);
    cr_assert_eq(write(to, "a\nhal", 5), 5);
    cr_assert_eq(step(&r, 0), 1);
    cr_assert_eq(step(&r, 0), BELT_FILL_IDLE);
    cr_assert_eq(write(to, "f\n", 2), 2);
    cr_assert_eq(step(&r, 0), 1);
    cr_assert_str_eq(r.got[1].text, "half");
    close(to);
    end(&r);
}

Test(source_file, fails_a_record_over_the_limit_with_the_limit_in_its_reason)
{
    static char text[70000];
    struct run r;
    memset(text, 'x', sizeof text);
    text[65537] = '\n';
    io_write("in", text, sizeof text - 4000);
    run_all(&r, 1, "auto", with_path("in", ""));
    cr_assert_eq(r.got_used, 2);
    cr_assert(r.got[0].failed && !r.got[1].failed);
    cr_assert_str_eq(r.got[0].reason, "record longer than max_record (64KiB)");
    cr_assert_eq(r.got[0].size, 65536);
    end(&r);
}

Test(source_file, names_file_and_line_of_a_record)
{
    struct run r;
    char want[256];
    io_write("in", "a\nb\n\nd", 6);
    run_all(&r, 1, "auto", with_path("in", "direct: auto"));
    snprintf(want, sizeof want, "%s:4", io_path("in"));
    cr_assert_str_eq(r.where, want);
    end(&r);
}

/* Lanes fail rows of several chunks by turns. By work and not by time: what is read for it. */
Test(source_file, counts_lines_once_in_whatever_order_it_is_asked_for_places)
{
    enum { ROWS = 160000, SIZE = 20, CHUNKS = 8, EACH = ROWS / CHUNKS };
    static char text[ROWS * SIZE + 1], where[256], want[256];
    struct run r;
    uint64_t asked = 0;
    for (uint32_t row = 0; row < ROWS; row++)
        snprintf(text + (size_t)row * SIZE, SIZE + 1, "%19u\n", row);
    io_write("in", text, sizeof text - 1);
    cr_assert_eq(begin(&r, 1, "auto", with_path("in", "")), 0, "%s", r.part.err.text);
    const struct source_conf *conf = r.part.conf;
    for (uint32_t row = 0; row < EACH; row += 10)
        for (uint32_t c = CHUNKS; c-- > 0; asked++) {
            uint32_t failed = c * EACH + row;
            belt_source_file.where(r.part.conf, 0, (uint64_t)failed * SIZE, where, sizeof where);
            snprintf(want, sizeof want, "%s:%u", io_path("in"), failed + 1);
            cr_assert_str_eq(where, want);
        }
    cr_assert_leq(conf->counted, sizeof text + asked * SOURCE_LINES_STEP);
    cr_assert_leq(conf->inputs[0].steps, sizeof text / SOURCE_LINES_STEP);
    drain(&r);
    end(&r);
}

Test(source_file, names_the_line_of_a_record_from_standard_input)
{
    struct run r;
    io_write("in", "a\nb\nc\n", 6);
    cr_assert_not_null(freopen(io_path("in"), "r", stdin));
    run_all(&r, 2, "auto", "'-'");
    EXPECT(&r, "a", "b", "c");
    cr_assert_str_eq(r.where, "stdin:3");
    end(&r);
}

Test(source_file, counts_the_bytes_it_has_consumed)
{
    struct run r;
    uint64_t total;
    static char text[10000];
    memset(text, '\n', sizeof text);
    io_write("in", text, sizeof text);
    run_all(&r, 1, "auto", with_path("in", "chunk: 4KiB"));
    cr_assert_eq(belt_source_file.progress(r.states[0], &total), sizeof text);
    cr_assert_eq(total, sizeof text);
    end(&r);
}

Test(source_file, ends_soon_after_stop)
{
    struct run r;
    static char text[20000];
    memset(text, '\n', sizeof text);
    io_write("in", text, sizeof text);
    cr_assert_eq(begin(&r, 1, "auto", with_path("in", "")), 0);
    cr_assert_eq(step(&r, 0), BELT_FRAME);
    belt_source_file.stop(r.states[0]);
    cr_assert_eq(step(&r, 0), BELT_FILL_END);
    end(&r);
}

Test(source_file, is_idle_while_every_slab_is_lent)
{
    struct run r;
    static char text[40960];
    static struct belt_span spans[BELT_FRAME];
    memset(text, 'x', sizeof text);
    io_write("in", text, sizeof text);
    cr_assert_eq(begin(&r, 1, "auto", with_path("in", "chunk: 4KiB, depth: 1")), 0);
    struct belt_fill fill = { .size = sizeof fill, .spans = spans, .most = BELT_FRAME };
    for (int i = 0; i < 3; i++)
        cr_assert_geq(belt_source_file.fill(r.states[0], &fill, &r.part.err), 0);
    cr_assert_eq(belt_source_file.fill(r.states[0], &fill, &r.part.err), BELT_FILL_IDLE);
    belt_source_file.recycle(r.states[0], fill.slab);
    cr_assert_geq(belt_source_file.fill(r.states[0], &fill, &r.part.err), 0);
    end(&r);
}

/* ---- bad input ----------------------------------------------------------------- */

static void truncate_while_reading(const char *how)
{
    struct run r;
    static char text[40000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 10 == 9 ? '\n' : 'x';
    io_write("in", text, sizeof text);
    cr_assert_eq(begin(&r, 2, "auto", with_path("in", how)), 0);
    cr_assert_eq(truncate(io_path("in"), 10005), 0);
    drain(&r);
    cr_assert_eq(r.result, BELT_FILL_ERROR);
    cr_assert_not_null(strstr(r.part.err.text, "truncated"), "%s", r.part.err.text);
    cr_assert_not_null(strstr(r.part.err.text, io_path("in")));
    cr_assert_eq(r.got_used, 1001);
    cr_assert(!r.got[999].failed && r.got[1000].failed);
    end(&r);
}

Test(source_file, delivers_what_is_left_of_a_truncated_file_and_fails)
{
    truncate_while_reading("chunk: 4KiB");
    truncate_while_reading("chunk: 4KiB, direct: auto");
}

static void expect_refusal(const char *name, const char *words)
{
    struct run r;
    cr_assert_lt(begin(&r, 1, "auto", with_path(name, "")), 0);
    cr_assert_not_null(strstr(r.part.err.text, io_path(name)), "%s", r.part.err.text);
    cr_assert_not_null(strstr(r.part.err.text, words), "%s", r.part.err.text);
    io_free(&r.part);
}

Test(source_file, refuses_a_file_that_is_not_there)
{
    expect_refusal("missing", "No such file");
}

Test(source_file, passes_over_a_file_that_is_not_there_if_asked_to)
{
    struct run r;
    char settings[512];
    io_write("a", "1\n", 2);
    snprintf(settings, sizeof settings, "{ paths: ['%s', '%s'], missing: skip }", io_path("none"),
             io_path("a"));
    run_all(&r, 1, "auto", settings);
    EXPECT(&r, "1");
    end(&r);
}

Test(source_file, refuses_to_read_past_the_page_cache_where_that_cannot_be)
{
    struct run r;
    cr_assert_eq(begin(&r, 1, "auto", "{ paths: /proc/cpuinfo, direct: true }"), -ENOTSUP);
    cr_assert_not_null(strstr(r.part.err.text, "/proc/cpuinfo: its file system cannot"), "%s",
                       r.part.err.text);
    io_free(&r.part);
}

Test(source_file, refuses_a_directory)
{
    expect_refusal("", "is a directory");
}

Test(source_file, refuses_a_glob_without_a_match)
{
    expect_refusal("*.nothing", "no file matches");
}

Test(source_file, refuses_a_file_it_may_not_read)
{
    io_write("secret", "x\n", 2);
    cr_assert_eq(chmod(io_path("secret"), 0), 0);
    cr_assert_eq(chmod(io_directory, 0755), 0);
    if (getuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    struct run r;
    int rc = begin(&r, 1, "auto", with_path("secret", ""));
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(rc, -EACCES);
    io_free(&r.part);
}
