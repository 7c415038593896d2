/* The sink `file` with sync: batch, over a disk that is late, and one that fails. */
#include "sink_fixture.h"

#include <errno.h>

TestSuite(sink_durable, .init = io_make_directory, .fini = io_remove_directory);

static struct belt_file_sink *open_durable(struct sink *s, const char *rest)
{
    char settings[128];
    snprintf(settings, sizeof settings, "mode: append, sync: batch%s%s", *rest ? ", " : "", rest);
    cr_assert_eq(sink_open(s, "", settings_for("out", settings)), 0, "%s", s->part.err.text);
    struct belt_file_sink *state = s->state;
    use_fault(&state->writer);
    state->writer.done = on_done;
    return state;
}

static struct belt_batch batches[64];
static char texts[64][16];
static uint64_t now = 1000000000;

static void hand_over(struct sink *s, int i)
{
    codes[i] = 99;
    batches[i].attempt++;
    int rc = belt_sink_file.batch(s->state, &batches[i], &s->part.err);
    if (rc != BELT_PENDING)
        on_done(&batches[i], rc, s->part.err.text);
}

static void make_rows(int rows)
{
    for (int i = 0; i < rows; i++) {
        snprintf(texts[i], sizeof texts[i], "row%02d\n", i);
        batches[i] = batch_of("", texts[i]);
        batches[i].user = (void *)(intptr_t)i;
    }
}

/* Until all of the first `rows` ended; those that failed are handed over again, at most
 * `attempts` times each. */
static void await(struct sink *s, int rows, uint32_t attempts)
{
    for (bool open = true; open;) {
        belt_sink_file.tick(s->state, now += 1000000);
        belt_sink_file.poll(s->state);
        open = false;
        for (int i = 0; i < rows; i++) {
            if (codes[i] < 0 && batches[i].attempt < attempts)
                hand_over(s, i);
            open |= codes[i] == 99;
        }
    }
}

static void write_rows(struct sink *s, int rows, uint32_t attempts)
{
    make_rows(rows);
    for (int i = 0; i < rows; i++)
        hand_over(s, i);
    await(s, rows, attempts);
}

/* How often each row is in the named files. */
static void expect_each_once(int rows, const char *const *names)
{
    for (int i = 0; i < rows; i++) {
        int times = 0;
        for (int f = 0; names[f]; f++)
            times += strstr(io_text(names[f]), texts[i]) != NULL;
        cr_assert_eq(times, 1, "row %d: %d times", i, times);
    }
}

Test(sink_durable, settles_no_batch_before_a_sync_that_began_after_its_write)
{
    struct sink s;
    open_durable(&s, "");
    write_rows(&s, 40, 1);
    for (int i = 0; i < 40; i++)
        cr_assert(codes[i] == 0 && covered_at[i] >= 6 * (i + 1), "row %d: code %d, %d on disk", i,
                  codes[i], covered_at[i]);
    cr_assert_eq(sink_finish(&s, true), 0);
    expect_each_once(40, (const char *[]){ "out", NULL });
    sink_close(&s);
}

Test(sink_durable, covers_many_batches_with_one_sync)
{
    struct sink s;
    open_durable(&s, "");
    write_rows(&s, 40, 1);
    cr_assert(fault.sync_next > 0 && fault.sync_next < 20, "%u syncs", fault.sync_next);
    sink_close(&s);
}

Test(sink_durable, syncs_no_more_often_than_it_is_told)
{
    struct sink s;
    struct belt_file_sink *state = open_durable(&s, "sync_every: 1s");
    cr_assert_eq(belt_sink_file.tick(s.state, now), UINT64_MAX);
    write_rows(&s, 1, 1); /* the first round is due at once */
    uint32_t syncs = fault.sync_next;
    hand_over(&s, 0);
    for (int i = 0; i < 100; i++)
        belt_sink_file.poll(s.state);
    cr_assert_eq(codes[0], 99);
    uint64_t due = belt_sink_file.tick(s.state, now + 1);
    cr_assert(due > now + 1 && due <= now + 1000000000u, "due %llu", (unsigned long long)due);
    cr_assert_eq(fault.sync_next, syncs);
    belt_sink_file.tick(s.state, due);
    for (int i = 0; i < 100 && codes[0] == 99; i++)
        belt_sink_file.poll(s.state);
    cr_assert_eq(codes[0], 0);
    cr_assert_eq(state->writer.dirty, NULL);
    sink_close(&s);
}

static void poll_often(struct sink *s)
{
    for (int i = 0; i < 100; i++)
        belt_sink_file.poll(s->state);
}

Test(sink_durable, gathers_a_few_batches_for_a_sync_when_nothing_else_is_set)
{
    struct sink s;
    open_durable(&s, "");
    belt_sink_file.tick(s.state, now);
    make_rows(16);
    hand_over(&s, 15);
    poll_often(&s);
    cr_assert_eq(codes[15], 0, "the first round is not begun at once");
    for (int i = 0; i < 7; i++)
        hand_over(&s, i);
    poll_often(&s);
    cr_assert_eq(codes[0], 99, "seven batches were not worth waiting for");
    hand_over(&s, 7);
    poll_often(&s);
    cr_assert_eq(codes[7], 0, "eight batches wait for more");
    hand_over(&s, 8);
    poll_often(&s);
    cr_assert_eq(codes[8], 99);
    uint64_t due = belt_sink_file.tick(s.state, now + 1);
    cr_assert(due > now && due < now + 20000000, "due %llu", (unsigned long long)due);
    belt_sink_file.tick(s.state, due);
    poll_often(&s);
    cr_assert_eq(codes[8], 0);
    sink_close(&s);
}

Test(sink_durable, begins_a_new_file_when_a_sync_failed_and_writes_all_else_again)
{
    struct sink s;
    open_durable(&s, "");
    io_write("out", "before\n", 7);
    fault.syncs[2] = -EIO;
    write_rows(&s, 40, 3);
    int again = 0;
    for (int i = 0; i < 40; i++) {
        cr_assert_eq(codes[i], 0);
        again += batches[i].attempt > 1;
    }
    cr_assert_gt(again, 0);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    cr_assert_eq(strncmp(io_text("out"), "before\n", 7), 0);
    expect_each_once(40, (const char *[]){ "out", "out.1", NULL });
    cr_assert_str_eq(io_text("out.2"), "(none)");
    sink_close(&s);
}

Test(sink_durable, says_which_sync_failed)
{
    struct sink s;
    open_durable(&s, "");
    fault.syncs[0] = -EIO;
    make_rows(1);
    hand_over(&s, 0);
    while (codes[0] == 99)
        belt_sink_file.poll(s.state);
    cr_assert_eq(codes[0], -EIO);
    cr_assert_not_null(strstr(reasons[0], "/out: Input/output error"), "%s", reasons[0]);
    cr_assert_eq(strncmp(reasons[0], "sync ", 5), 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out"), "");
    sink_close(&s);
}

Test(sink_durable, never_overwrites_what_an_earlier_failure_left)
{
    struct sink s;
    open_durable(&s, "");
    io_write("out.1", "old\n", 4);
    fault.syncs[0] = -EIO;
    write_rows(&s, 1, 2);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_str_eq(io_text("out.1"), "old\n");
    cr_assert_str_eq(io_text("out.2"), "row00\n");
    sink_close(&s);
}

Test(sink_durable, gives_up_a_disk_that_syncs_nothing)
{
    struct sink s;
    open_durable(&s, "");
    for (int i = 0; i < 16; i++)
        fault.syncs[i] = -EIO;
    write_rows(&s, 1, 20);
    cr_assert_eq(codes[0], -EIO);
    cr_assert_not_null(strstr(reasons[0], "no sync of the last 8 files"), "%s", reasons[0]);
    cr_assert_eq(fault.sync_next, 8);
    sink_close(&s);
}

Test(sink_durable, cuts_a_torn_row_and_goes_on_when_there_is_room_again)
{
    struct sink s;
    open_durable(&s, "");
    memcpy(fault.script, (int64_t[]){ 0, 3, -ENOSPC, -ENOSPC, 0 }, 5 * sizeof(int64_t));
    write_rows(&s, 8, 4);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(codes[i], 0);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_eq(strlen(io_text("out")), 8 * 6);
    expect_each_once(8, (const char *[]){ "out", NULL });
    sink_close(&s);
}

/* Of 300,000 bytes each. */
static void write_large_rows(struct sink *s, int rows, uint32_t attempts)
{
    static char large[300001];
    memset(large, 'x', 300000);
    make_rows(rows);
    for (int i = 0; i < rows; i++) {
        batches[i].bytes = large;
        batches[i].bytes_size = 300000;
        hand_over(s, i);
    }
    await(s, rows, attempts);
}

Test(sink_durable, has_whole_pages_written_back_at_once)
{
    struct sink s;
    open_durable(&s, "");
    write_large_rows(&s, 3, 1);
    cr_assert_eq(fault.backs, 3);
    cr_assert_eq(fault.back_end, 900000 / 4096 * 4096);
    sink_close(&s);
}

Test(sink_durable, begins_a_new_file_when_writing_back_failed)
{
    struct sink s;
    open_durable(&s, "");
    fault.back_fails = 2;
    write_large_rows(&s, 4, 3);
    expect_all_done(&s, 4);
    expect_two_files(4, 300000);
}

Test(sink_durable, begins_a_new_file_when_a_write_failed_other_than_for_want_of_room)
{
    struct sink s;
    open_durable(&s, "");
    fault.script[3] = -EIO;
    write_rows(&s, 20, 3);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(codes[i], 0, "row %d: %s", i, reasons[i]);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    expect_each_once(20, (const char *[]){ "out", "out.1", NULL });
    cr_assert(*io_text("out") && strcmp(io_text("out.1"), "(none)") != 0);
    sink_close(&s);
}

Test(sink_durable, refuses_what_a_later_run_would_replace)
{
    struct sink s;
    cr_assert_lt(sink_open(&s, "", settings_for("out", "sync: batch")), 0);
    cr_assert_not_null(strstr(s.part.err.text, "set mode: append"), "%s", s.part.err.text);
    sink_close(&s);
    cr_assert_lt(sink_open(&s, "", settings_for("out", "sync: end, sync_every: 1s")), 0);
    cr_assert_not_null(strstr(s.part.err.text, "sync_every needs sync: batch"));
    sink_close(&s);
}
