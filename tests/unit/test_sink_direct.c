/* The sink `file` past the page cache: what is in the file, when batches end, and a disk that
 * fails. Where the file system of /tmp takes no O_DIRECT there is nothing to look at. */
#include "sink_fixture.h"

#include <errno.h>

static bool can_direct(void)
{
    struct belt_error err;
    return belt_out_check_direct(io_directory, false, &err) == 0;
}

static void skip_elsewhere(void)
{
    io_make_directory();
    if (!can_direct())
        cr_skip_test("no O_DIRECT in %s", io_directory);
}

TestSuite(sink_direct, .init = skip_elsewhere, .fini = io_remove_directory);

#define ROWS 64

static struct belt_batch batches[ROWS];
static char *texts[ROWS];
static uint32_t sizes[ROWS];

/* Row i: so many bytes of a letter, its number in front, a newline behind. */
static void make_row(int i, uint32_t size)
{
    texts[i] = malloc(size + 1);
    memset(texts[i], 'a' + i % 26, size);
    char number[16];
    memcpy(texts[i], number, (size_t)snprintf(number, sizeof number, "%06d:", i));
    texts[i][size - 1] = '\n';
    texts[i][size] = 0;
    sizes[i] = size;
    batches[i] = batch_of("", texts[i]);
    batches[i].user = (void *)(intptr_t)i;
    codes[i] = 99;
}

static struct belt_file_sink *open_direct(struct sink *s, const char *path, const char *rest)
{
    char settings[128];
    snprintf(settings, sizeof settings, "direct: true%s%s", *rest ? ", " : "", rest);
    cr_assert_eq(sink_open(s, "", settings_for(path, settings)), 0, "%s", s->part.err.text);
    struct belt_file_sink *state = s->state;
    state->writer.done = on_done;
    return state;
}

static void hand_over(struct sink *s, int i, const char *key)
{
    struct belt_batch keyed = batch_of(key, "");
    batches[i].key = keyed.key;
    batches[i].key_size = keyed.key_size;
    batches[i].attempt++;
    codes[i] = 99;
    int rc = belt_sink_file.batch(s->state, &batches[i], &s->part.err);
    if (rc != BELT_PENDING)
        on_done(&batches[i], rc, s->part.err.text);
}

/* The file is `before` and rows [from, to) behind it. */
static void expect_rows(const char *name, const char *before, int from, int to)
{
    FILE *file = fopen(io_path(name), "rb");
    cr_assert_not_null(file, "%s", name);
    char *got = malloc(8 << 20);
    size_t size = fread(got, 1, 8 << 20, file), at = strlen(before);
    fclose(file);
    cr_assert(size >= at && memcmp(got, before, at) == 0);
    for (int i = from; i < to; at += sizes[i++])
        cr_assert(size - at >= sizes[i] && memcmp(got + at, texts[i], sizes[i]) == 0,
                  "row %d is not at %zu of %zu", i, at, size);
    cr_assert_eq(at, size, "%zu bytes of %zu are rows", at, size);
    free(got);
}

Test(sink_direct, writes_what_a_buffered_file_would_hold)
{
    uint64_t seed = 7;
    const char *const modes[] = { "", "sync: end", "mode: append, sync: batch", "mode: append" };
    for (int m = 0; m < 4; m++) {
        struct sink s;
        const char *before = m > 1 ? "before\n" : "";
        io_write("out", before, strlen(before));
        struct belt_file_sink *state = open_direct(&s, "out", modes[m]);
        for (int i = 0; i < 40; i++) {
            make_row(i, 8 + io_random(&seed, i % 5 ? 9000 : 600000));
            hand_over(&s, i, "");
            if (i % 7 == 0)
                poll_until_all_ended(&s, i + 1);
            cr_assert_neq(state->outs[0].target.unit, 0, "not past the page cache");
        }
        poll_until_all_ended(&s, 40);
        cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
        sink_close(&s);
        expect_rows("out", before, 0, 40);
        for (int i = 0; i < 40; i++)
            free(texts[i]);
    }
}

Test(sink_direct, gathers_rows_until_their_block_is_full)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "");
    use_fault(&state->writer);
    for (int i = 0; i < 5; i++) {
        make_row(i, 250000);
        hand_over(&s, i, "");
    }
    cr_assert_eq(fault.held_used, 1, "%u writes", fault.held_used);
    cr_assert_eq(fault.held[0].result, BELT_DIRECT_BLOCK);
    cr_assert_eq(belt_sink_file.tick(state, 1), UINT64_MAX, "nobody waits for the time");
    for (int i = 0; i < 16; i++)
        belt_sink_file.poll(s.state);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(codes[i], i < 4 ? 0 : 99, "row %d: %d", i, codes[i]);
    cr_assert_eq(sink_finish(&s, true), 0);
    cr_assert_eq(codes[4], 0);
    sink_close(&s);
    expect_rows("out", "", 0, 5);
}

Test(sink_direct, writes_a_block_that_is_not_full_when_nothing_more_comes)
{
    struct sink s;
    open_direct(&s, "out", "mode: append");
    uint64_t now = 5000000000;
    belt_sink_file.tick(s.state, now);
    make_row(0, 5000);
    hand_over(&s, 0, "");
    uint64_t due = belt_sink_file.tick(s.state, now + 1);
    cr_assert(due > now + 1 && due < now + 100000000, "due %llu", (unsigned long long)due);
    for (int i = 0; i < 9; i++)
        belt_sink_file.poll(s.state);
    cr_assert_eq(codes[0], 99);
    belt_sink_file.tick(s.state, due);
    for (int i = 0; i < 9; i++)
        belt_sink_file.poll(s.state);
    cr_assert_eq(codes[0], 0);
    expect_rows("out", "", 0, 1); /* padded by nothing, and it is open still */
    sink_close(&s);
}

/* Whole units, but no whole block: a file whose rows are all written is not looked at again. */
Test(sink_direct, keeps_no_block_for_rows_that_end_with_a_unit, .timeout = 20)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "{key}", "");
    make_row(0, 8192);
    hand_over(&s, 0, "even");
    poll_until_all_ended(&s, 1);
    for (struct belt_block *b = state->writer.blocks; b < state->writer.blocks + BELT_BLOCKS; b++)
        cr_assert_null(b->target, "block %td", b - state->writer.blocks);
    cr_assert_eq(belt_sink_file.tick(state, 1), UINT64_MAX, "nobody waits for the time");
    /* More batches than may wait for their block: others have to be written. */
    for (int i = 1; i < 13; i++) {
        make_row(i, 100);
        hand_over(&s, i, "odd");
    }
    poll_until_all_ended(&s, 13);
    cr_assert_eq(sink_finish(&s, true), 0);
    sink_close(&s);
    expect_rows("even", "", 0, 1);
    expect_rows("odd", "", 1, 13);
}

Test(sink_direct, has_more_files_with_rows_than_blocks)
{
    struct sink s;
    open_direct(&s, "{key}", "open_files: 3");
    for (int i = 0; i < 60; i++) {
        char key[8];
        make_row(i, 100 + 4096u * (unsigned)(i % 3));
        snprintf(key, sizeof key, "k%d", i % 20);
        hand_over(&s, i, key);
    }
    poll_until_all_ended(&s, 60);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
    for (int k = 0; k < 20; k++) {
        char key[8], *rows = malloc(50000);
        snprintf(key, sizeof key, "k%d", k);
        sprintf(rows, "%s%s%s", texts[k], texts[k + 20], texts[k + 40]);
        cr_assert_str_eq(io_text(key), rows);
        free(rows);
    }
}

/* ---- a disk that fails --------------------------------------------------------- */

/* Hands over what failed, as often as that. */
static void write_again(struct sink *s, int count, int times)
{
    while (times--) {
        for (int i = 0; i < count; i++)
            if (codes[i] < 0)
                hand_over(s, i, "");
        poll_until_all_ended(s, count);
    }
}

static void write_all(struct sink *s, int count, int attempts)
{
    for (int i = 0; i < count; i++)
        hand_over(s, i, "");
    poll_until_all_ended(s, count);
    write_again(s, count, attempts - 1);
}

static void make_rows(int count, uint32_t size)
{
    for (int i = 0; i < count; i++)
        make_row(i, size);
}

Test(sink_direct, settles_no_batch_before_a_sync_that_began_after_its_write)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "mode: append, sync: batch");
    use_fault(&state->writer);
    make_rows(30, 131072); /* so that nothing is written otherwise than through the backend */
    write_all(&s, 30, 1);
    for (int i = 0; i < 30; i++)
        cr_assert(codes[i] == 0 && covered_at[i] >= 131072 * (i + 1), "row %d: %d, %d on disk", i,
                  codes[i], covered_at[i]);
    cr_assert_lt(fault.sync_next, 20);
    cr_assert_eq(sink_finish(&s, true), 0);
    sink_close(&s);
    expect_rows("out", "", 0, 30);
}

Test(sink_direct, goes_on_where_a_short_write_ended)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "mode: append, sync: batch");
    use_fault(&state->writer);
    memcpy(fault.script, (int64_t[]){ 4096, -EINTR, 8192, 0 }, 4 * sizeof(int64_t));
    make_rows(12, 100001);
    write_all(&s, 12, 1);
    cr_assert_eq(sink_finish(&s, true), 0);
    sink_close(&s);
    expect_rows("out", "", 0, 12);
}

Test(sink_direct, cuts_off_what_did_not_fit_and_goes_on_when_there_is_room_again)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "mode: append, sync: batch");
    use_fault(&state->writer);
    memcpy(fault.script, (int64_t[]){ 0, 4096, -ENOSPC, -ENOSPC }, 4 * sizeof(int64_t));
    make_rows(8, 300001);
    write_all(&s, 8, 1);
    int refused = 0;
    for (int i = 0; i < 8; i++)
        refused += codes[i] == -ENOSPC;
    cr_assert(refused > 0 && refused < 8, "%d refused", refused);
    struct stat st;
    cr_assert_eq(stat(io_path("out"), &st), 0);
    cr_assert_eq(st.st_size, (8 - refused) * 300001, "%d rows, %ld bytes", 8 - refused,
                 (long)st.st_size);
    write_again(&s, 8, 3);
    cr_assert_eq(sink_finish(&s, true), 0, "%s", s.part.err.text);
    sink_close(&s);
    cr_assert_eq(stat(io_path("out"), &st), 0);
    cr_assert_eq(st.st_size, 8 * 300001);
}

Test(sink_direct, begins_a_new_file_when_a_write_failed_for_another_reason)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "mode: append, sync: batch");
    use_fault(&state->writer);
    fault.script[1] = -EIO;
    make_rows(8, 300001);
    write_all(&s, 8, 3);
    expect_all_done(&s, 8);
    expect_two_files(8, 300001);
    struct stat st;
    cr_assert_neq(stat(io_path("out.2"), &st), 0);
}

Test(sink_direct, begins_a_new_file_when_a_sync_failed)
{
    struct sink s;
    struct belt_file_sink *state = open_direct(&s, "out", "mode: append, sync: batch");
    use_fault(&state->writer);
    fault.syncs[1] = -EIO;
    make_rows(12, 300001);
    write_all(&s, 12, 3);
    expect_all_done(&s, 12);
    expect_two_files(12, 300001);
}

/* ---- what cannot be so ----------------------------------------------------------- */

Test(sink_direct, refuses_a_file_system_that_cannot)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", "{ path: /proc/self/comm, mode: append, direct: true }"),
                 -ENOTSUP);
    cr_assert_not_null(strstr(s.part.err.text, "/proc/self/comm: its file system cannot be "
                                               "written past the page cache: set direct to"),
                       "%s", s.part.err.text);
    sink_close(&s);
}

Test(sink_direct, writes_through_the_page_cache_where_it_need_not)
{
    struct sink s;
    cr_assert_eq(
        sink_open(&s, "", "{ path: /proc/self/coredump_filter, mode: append, direct: auto }"), 0);
    cr_assert_eq(put(&s, "", "0x33\n"), 0, "%s", s.part.err.text);
    struct belt_file_sink *state = s.state;
    cr_assert_eq(state->outs[0].target.unit, 0);
    sink_close(&s);
}

Test(sink_direct, writes_to_what_is_no_file_as_ever)
{
    struct sink s;
    cr_assert_eq(sink_open(&s, "", "{ path: /dev/null, mode: append, direct: true }"), 0, "%s",
                 s.part.err.text);
    make_row(0, 100);
    hand_over(&s, 0, "");
    poll_until_all_ended(&s, 1);
    cr_assert_eq(codes[0], 0);
    sink_close(&s);
}
