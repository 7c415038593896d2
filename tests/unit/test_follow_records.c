/* Follow mode where records are no lines: one is there when its end is. */
#include "follow_fixture.h"

TestSuite(follow_records, .init = io_make_directory, .fini = io_remove_directory, .timeout = 60);

static void append_bytes(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(io_path(name), "ab");
    fwrite(bytes, 1, size, file);
    fclose(file);
}

#define TRUNCATED_REASON "the file was truncated before all that was there had been read"

Test(follow_records, delivers_a_csv_row_when_its_end_is_outside_of_quotes)
{
    struct run r;
    append("a.csv", "1,x\n2,\"half\n");
    follow(&r, in_directory("a.csv", ", records: csv"));
    expect(&r, "1,x|");
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.csv", "and \"\"half\"\"\",y\n3,");
    expect(&r, "2,\"half\nand \"\"half\"\"\",y|");
    cr_assert(strstr(r.where, "a.csv:record 2"), "%s", r.where);
    append("a.csv", "z\r\n");
    expect(&r, "3,z|");
    end(&r);
}

Test(follow_records, fails_a_csv_row_that_rotation_left_within_quotes)
{
    struct run r;
    append("a.csv", "1\n\"2\n3\n");
    follow(&r, in_directory("a.csv", ", records: csv"));
    expect(&r, "1|");
    cr_assert_eq(rename(io_path("a.csv"), io_path("a.1")), 0);
    expect(&r, "\"2(a quoted field does not end before the input does)|3|");
    append("a.csv", "new\n");
    expect(&r, "new|");
    end(&r);
}

Test(follow_records, takes_a_rotated_files_last_csv_row_without_its_end)
{
    struct run r;
    append("a.csv", "1\n\"2\"");
    follow(&r, in_directory("a.csv", ", records: csv"));
    expect(&r, "1|");
    cr_assert_eq(rename(io_path("a.csv"), io_path("a.1")), 0);
    expect(&r, "\"2\"|");
    end(&r);
}

Test(follow_records, finds_the_next_csv_row_behind_one_that_is_too_long)
{
    struct run r;
    append("a.csv", "\"0123456789abcdefghijklmnopqrstu");
    follow(&r, in_directory("a.csv", ", records: csv, max_record: 16B"));
    expect(&r, "\"0123456789abcde(record longer than max_record (16B))|");
    append("a.csv", "more");
    while (step(&r) != BELT_FILL_IDLE)
        ;
    append("a.csv", " of it\nnext\n");
    expect(&r, "next|");
    end(&r);
}

Test(follow_records, delivers_fixed_records_when_they_are_whole)
{
    struct run r;
    append("a.bin", "aaaabb");
    follow(&r, in_directory("a.bin", ", records: { fixed: 4B }"));
    expect(&r, "aaaa|");
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append("a.bin", "bbcccc");
    expect(&r, "bbbb|cccc|");
    cr_assert(strstr(r.where, "a.bin:record 3"), "%s", r.where);
    end(&r);
}

Test(follow_records, fails_a_fixed_record_that_rotation_or_truncation_tore)
{
    struct run r;
    append("a.bin", "aaaabb");
    follow(&r, in_directory("a.bin", ", records: { fixed: 4B }"));
    expect(&r, "aaaa|");
    cr_assert_eq(rename(io_path("a.bin"), io_path("a.1")), 0);
    expect(&r, "bb(the input ends inside this record)|");
    append("a.bin", "ccccd");
    expect(&r, "cccc|");
    cr_assert_eq(truncate(io_path("a.bin"), 0), 0);
    append("a.bin", "e");
    expect(&r, "(" TRUNCATED_REASON ")|");
    append("a.bin", "eee");
    expect(&r, "eeee|");
    end(&r);
}

Test(follow_records, delivers_a_record_with_a_length_when_all_of_it_is_there)
{
    struct run r;
    append_bytes("a.bin", "\0\003one\0", 6);
    follow(&r, in_directory("a.bin", ", records: { length: u16be }"));
    expect(&r, "one|");
    append_bytes("a.bin", "\005th", 3);
    cr_assert_eq(step(&r), BELT_FILL_IDLE);
    append_bytes("a.bin", "ree\0\0\0\001x", 8);
    expect(&r, "three||x|");
    append_bytes("a.bin", "\0\010torn", 6);
    cr_assert_eq(rename(io_path("a.bin"), io_path("a.1")), 0);
    expect(&r, "torn(the input ends inside this record)|");
    end(&r);
}

Test(follow_records, fails_a_message_for_the_length_that_a_truncation_left_without_its_record)
{
    struct run r;
    append_bytes("a.bin", "\003one\003t", 6);
    follow(&r, in_directory("a.bin", ", records: { length: u8 }"));
    expect(&r, "one|");
    cr_assert_eq(truncate(io_path("a.bin"), 0), 0);
    append_bytes("a.bin", "\003two", 4);
    expect(&r, "(" TRUNCATED_REASON ")|two|");
    end(&r);
}

Test(follow_records, goes_on_at_the_record_whose_end_was_not_there)
{
    struct run r;
    char rest[200];
    snprintf(rest, sizeof rest, ", records: csv, state: '%s/positions'", io_directory);
    append("a.csv", "1\n\"2\n");
    follow(&r, in_directory("a.csv", rest));
    expect(&r, "1|");
    settle(&r, 1);
    end(&r);
    append("a.csv", "\"\n3\n");
    follow(&r, in_directory("a.csv", rest));
    expect(&r, "\"2\n\"|3|");
    cr_assert(strstr(r.where, "a.csv:record 3"), "%s", r.where);
    end(&r);
}

/* Nothing behind a length that is none can be trusted, nor after a restart. */
Test(follow_records, passes_over_a_file_behind_a_wrong_length_until_it_begins_again)
{
    struct run r;
    char rest[200];
    snprintf(rest, sizeof rest, ", records: { length: u8 }, max_record: 16B, state: '%s/positions'",
             io_directory);
    append("a.bin", "\001a\377345678901234567");
    follow(&r, in_directory("a.bin", rest));
    expect(&r, "a|\377345678901234567(no length, or one above max_record (16B): the input from "
               "here on cannot be cut)|");
    append("a.bin", "\001b");
    while (step(&r) != BELT_FILL_IDLE)
        ;
    cr_assert_str_eq(r.text, "");
    settle(&r, r.frames_used);
    end(&r);
    append("a.bin", "\001c");
    follow(&r, in_directory("a.bin", rest));
    while (step(&r) != BELT_FILL_IDLE)
        ;
    cr_assert_str_eq(r.text, "");
    cr_assert_eq(truncate(io_path("a.bin"), 0), 0);
    append("a.bin", "\001d");
    expect(&r, "d|");
    end(&r);
}

Test(follow_records, begins_at_the_record_that_is_not_whole_yet_if_asked_to)
{
    static const struct {
        const char *records, *old, *rest, *got, *where;
    } cases[] = {
        { "csv", "1\n\"2\n\"\n\"3\n", "\"\n", "\"3\n\"|", "record 3" },
        { "{ fixed: 2B }", "11223", "3", "33|", "record 3" },
        { "{ length: u8 }", "\001a\002b", "b", "bb|", "record 2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        char rest[200];
        snprintf(rest, sizeof rest, ", begin: end, records: %s", cases[i].records);
        unlink(io_path("a.bin"));
        append("a.bin", cases[i].old);
        follow(&r, in_directory("a.bin", rest));
        cr_assert_eq(step(&r), BELT_FILL_IDLE);
        append("a.bin", cases[i].rest);
        expect(&r, cases[i].got);
        cr_assert(strstr(r.where, cases[i].where), "%s", r.where);
        end(&r);
    }
}
