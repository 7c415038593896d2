/* Follow mode of the source `file`: lines, each once, whatever happens to their file. */
#include "follow_fixture.h"

static int open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

TestSuite(source_follow, .init = io_make_directory, .fini = io_remove_directory, .timeout = 60);

/* ---- what comes ---------------------------------------------------------------- */

Test(source_follow, delivers_a_line_when_it_has_its_end)
{
    struct run r;
    append("a.log", "one\ntw");
    follow(&r, in_directory("a.log", ""));
    expect(&r, "one|");
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.log", "o\nthree\r\n");
    expect(&r, "two|three|");
    cr_assert(strstr(r.where, "a.log:3"), "%s", r.where);
    end(&r);
}

Test(source_follow, finds_files_that_come_later)
{
    struct run r;
    follow(&r, in_directory("*.log", ""));
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("b.log", "b\n");
    append("c.txt", "no\n");
    expect(&r, "b|");
    append("a.log", "a\n");
    expect(&r, "a|");
    end(&r);
}

Test(source_follow, finds_files_in_folders_that_come_later)
{
    struct run r;
    follow(&r, in_directory("*/x.log", ""));
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    cr_assert_eq(mkdir(io_path("new"), 0755), 0);
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("new/x.log", "x\n");
    expect(&r, "x|");
    end(&r);
}

Test(source_follow, looks_each_second_where_there_is_no_inotify)
{
    struct run r;
    follow(&r, in_directory("a.log", ", watch: poll"));
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.log", "a\n");
    expect(&r, "a|");
    cr_assert_str_eq(belt_source_file.means(r.state), "looking every second");
    end(&r);
}

Test(source_follow, begins_at_the_end_of_what_is_there_if_asked_to)
{
    struct run r;
    append("a.log", "old\nhal");
    follow(&r, in_directory("*.log", ", begin: end"));
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.log", "f\n");
    expect(&r, "half|");
    cr_assert(strstr(r.where, "a.log:2"), "%s", r.where);
    append("b.log", "new\n");
    expect(&r, "new|");
    end(&r);
}

Test(source_follow, fails_a_record_that_is_too_long_and_finds_the_next_one)
{
    struct run r;
    append("a.log", "0123456789abcdefXY");
    follow(&r, in_directory("a.log", ", max_record: 16B"));
    expect(&r, "0123456789abcdef(record longer than max_record (16B))|");
    append("a.log", "more of it");
    cr_assert_neq(step(&r), BELT_FILL_ERROR);
    append("a.log", " and its end\nnext\n");
    expect(&r, "next|");
    cr_assert(strstr(r.where, "a.log:2"), "%s", r.where);
    end(&r);
}

/* ---- rotation ------------------------------------------------------------------ */

Test(source_follow, reads_a_renamed_file_to_its_end_before_the_new_one)
{
    struct run r;
    append("a.log", "1\n");
    follow(&r, in_directory("a.log", ", rotated_wait: 20s"));
    expect(&r, "1|");
    FILE *writer = fopen(io_path("a.log"), "ab");
    fputs("2\nth", writer);
    fflush(writer);
    cr_assert_eq(rename(io_path("a.log"), io_path("a.1")), 0);
    append("a.log", "new\n");
    expect(&r, "2|new|");
    fputs("ree\nlast", writer); /* whoever has it open still writes to it */
    fflush(writer);
    expect(&r, "three|");
    fclose(writer);
    expect(&r, "last|"); /* nobody can end that line any more */
    end(&r);
}

Test(source_follow, never_joins_the_rest_of_a_rotated_file_to_the_next)
{
    struct run r;
    append("a.log", "1\nha");
    follow(&r, in_directory("a.log", ""));
    expect(&r, "1|");
    cr_assert_eq(rename(io_path("a.log"), io_path("a.1")), 0);
    expect(&r, "ha|");
    append("a.log", "lf\n");
    expect(&r, "lf|");
    end(&r);
}

Test(source_follow, begins_again_when_a_file_was_truncated)
{
    struct run r;
    append("a.log", "one\ntwo\n");
    follow(&r, in_directory("a.log", ""));
    expect(&r, "one|two|");
    cr_assert_eq(truncate(io_path("a.log"), 0), 0);
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.log", "three\n");
    expect(&r, "three|");
    cr_assert(strstr(r.where, "a.log:1"), "%s", r.where);
    cr_assert(strstr(belt_source_file.means(r.state), "truncated 1"));
    end(&r);
}

Test(source_follow, notices_a_truncation_behind_which_as_much_was_written)
{
    struct run r;
    append("a.log", "one\ntwo\n");
    follow(&r, in_directory("a.log", ""));
    expect(&r, "one|two|");
    cr_assert_eq(truncate(io_path("a.log"), 0), 0);
    append("a.log", "ONE\nTWO\nTHREE\n");
    expect(&r, "ONE|TWO|THREE|");
    end(&r);
}

Test(source_follow, fails_a_message_for_what_a_truncation_took)
{
    struct run r;
    append("a.log", "one\ntw");
    follow(&r, in_directory("a.log", ""));
    expect(&r, "one|");
    cr_assert_eq(truncate(io_path("a.log"), 0), 0);
    append("a.log", "1\n");
    expect(&r, "(the file was truncated before all that was there had been read)|1|");
    end(&r);
}

Test(source_follow, lets_go_of_deleted_files)
{
    struct run r;
    append("a.log", "a\n");
    follow(&r, in_directory("*.log", ""));
    expect(&r, "a|");
    int before = open_files();
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.log", i);
        append(name, "x");
        unlink(io_path(name));
        while (step(&r) != BELT_FILL_IDLE)
            ;
    }
    unlink(io_path("a.log"));
    while (open_files() >= before) {
        struct pollfd ready = { .fd = belt_source_file.fd(r.state), .events = POLLIN };
        cr_assert_eq(poll(&ready, 1, 20000), 1);
        step(&r);
    }
    end(&r);
}

/* ---- restarts ------------------------------------------------------------------ */

static const char *with_state(const char *names)
{
    char rest[200];
    snprintf(rest, sizeof rest, ", state: '%s/positions'", io_directory);
    return in_directory(names, rest);
}

Test(source_follow, goes_on_where_everything_was_settled)
{
    struct run r;
    append("a.log", "1\n2\n");
    cr_assert_eq(begin(&r, with_state("*.log")), 0, "%s", r.part.err.text);
    expect(&r, "1|2|");
    append("a.log", "3\n");
    expect(&r, "3|");
    settle(&r, 1);
    end(&r);
    append("b.log", "b\n"); /* came while nobody looked */
    cr_assert_eq(begin(&r, with_state("*.log")), 0, "%s", r.part.err.text);
    expect(&r, "3|b|");
    cr_assert_eq(r.frames_used, 2);
    settle(&r, 2);
    end(&r);
    append("a.log", "4\n");
    cr_assert_eq(begin(&r, with_state("*.log")), 0, "%s", r.part.err.text);
    expect(&r, "4|");
    cr_assert(strstr(r.where, "a.log:4"), "%s", r.where);
    end(&r);
}

Test(source_follow, finds_the_rest_of_a_file_that_was_renamed_while_nobody_looked)
{
    struct run r;
    append("a.log", "1\n");
    cr_assert_eq(begin(&r, with_state("a.log")), 0, "%s", r.part.err.text);
    expect(&r, "1|");
    settle(&r, 1);
    end(&r);
    append("a.log", "2\n");
    cr_assert_eq(rename(io_path("a.log"), io_path("a.log.1")), 0);
    append("a.log", "3\n");
    cr_assert_eq(begin(&r, with_state("a.log")), 0, "%s", r.part.err.text);
    expect(&r, "2|3|");
    end(&r);
}

Test(source_follow, begins_anew_with_a_file_that_has_other_bytes_now)
{
    struct run r;
    append("a.log", "1\n");
    cr_assert_eq(begin(&r, with_state("a.log")), 0, "%s", r.part.err.text);
    expect(&r, "1|");
    settle(&r, 1);
    end(&r);
    cr_assert_eq(truncate(io_path("a.log"), 0), 0);
    append("a.log", "x\ny\n");
    cr_assert_eq(begin(&r, with_state("a.log")), 0, "%s", r.part.err.text);
    expect(&r, "x|y|");
    end(&r);
}

Test(source_follow, keeps_positions_while_it_runs)
{
    struct run r;
    append("a.log", "1\n");
    cr_assert_eq(begin(&r, with_state("a.log")), 0, "%s", r.part.err.text);
    expect(&r, "1|");
    settle(&r, 1);
    while (!strstr(io_text("positions"), " 2 2 ")) {
        struct pollfd ready = { .fd = belt_source_file.fd(r.state), .events = POLLIN };
        cr_assert_eq(poll(&ready, 1, 20000), 1, "%s", io_text("positions"));
        cr_assert_eq(step(&r), BELT_FILL_IDLE);
    }
    end(&r);
}

/* ---- refusals ------------------------------------------------------------------ */

static void expect_refusal(const char *settings, const char *words)
{
    struct run r;
    cr_assert_lt(begin(&r, settings), 0);
    cr_assert_not_null(strstr(r.part.err.text, words), "%s", r.part.err.text);
    io_free(&r.part);
}

Test(source_follow, refuses_what_it_cannot_follow)
{
    append("a.log", "1\n");
    expect_refusal("{ paths: '-', follow: true }", "only files can be followed");
    expect_refusal(in_directory("a.log", ", compression: gz"), "packed files cannot be followed");
    expect_refusal("{ paths: a, follow: true, records: { csv: { header: true } } }",
                   "p.yaml:1:42: records: csv with a header cannot be followed");
    cr_assert_eq(mkdir(io_path("logs"), 0755), 0);
    expect_refusal(in_directory("logs/", ""), "/logs/*.log'");
    expect_refusal("{ paths: x, begin: end }", "p.yaml:1:26: begin is for files that are followed");
    expect_refusal("{ paths: x, state: y }", "state is for files that are followed");
    expect_refusal("{ paths: x, rotated_wait: 1s }", "rotated_wait is for files");
    expect_refusal("{ paths: x, watch: poll }", "watch is for files");
}

Test(source_follow, refuses_a_state_that_is_none)
{
    append("positions", "beltway positions 1\nnonsense\n");
    expect_refusal(with_state("a.log"), "positions:2: these are no positions of files");
    io_write("positions", "", 0);
    expect_refusal(with_state("a.log"), "positions:1: these are no positions of files");
    expect_refusal(in_directory("a.log", ", state: /nowhere/positions"),
                   "/nowhere/positions: the state of followed files cannot be kept there");
}
