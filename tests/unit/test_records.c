/* Records that are no lines: the same ones, whatever the chunks, pieces and instances. */
#include <fcntl.h>

#include "io/records_priv.h"
#include "source_fixture.h"

#define TEXT 300000

static char text[TEXT];
static size_t text_size;

TestSuite(records, .init = io_make_directory, .fini = io_remove_directory);

/* ---- CSV, one byte after another ------------------------------------------------ */

struct want {
    size_t at, size;
    bool failed;
};

static struct want wanted[TEXT + 1];
static uint32_t wanted_used;

static size_t without_cr(size_t at, size_t end)
{
    return end > at && text[end - 1] == '\r' ? end - 1 : end;
}

/* The end of the record at `at`: its newline, or the text's end; `open`: within quotes. */
static size_t record_end(size_t at, bool *open)
{
    enum { START, PLAIN, QUOTED, CLOSED } state = START;
    for (; at < text_size; at++) {
        char c = text[at];
        if (state == QUOTED) {
            state = c == '"' ? CLOSED : QUOTED;
        } else if (c == '\n') {
            break;
        } else if (c == '"' && state != PLAIN) {
            state = QUOTED;
        } else {
            state = c == ',' ? START : PLAIN;
        }
    }
    *open = state == QUOTED;
    return at;
}

static void want(size_t at, size_t end, size_t limit, bool failed)
{
    size_t size = end - at;
    wanted[wanted_used++] = (struct want){ at, size < limit ? size : limit, failed };
}

static void want_csv(size_t limit)
{
    wanted_used = 0;
    for (size_t at = 0; at < text_size;) {
        bool open;
        size_t end = record_end(at, &open), next = end + 1;
        size_t size = (end < text_size ? without_cr(at, end) : end) - at;
        bool whole = !open && size <= limit;
        if (!whole) { /* its first line */
            const char *newline = memchr(text + at, '\n', text_size - at);
            end = newline ? (size_t)(newline - text) : text_size;
            next = end + 1;
            size = (newline ? without_cr(at, end) : end) - at;
        }
        want(at, at + size, limit, !whole);
        at = next;
    }
}

/* ---- texts ---------------------------------------------------------------------- */

static void put(const char *bytes, size_t size)
{
    size_t room = TEXT - text_size;
    memcpy(text + text_size, bytes, size < room ? size : room);
    text_size += size < room ? size : room;
}

static void put_field(uint64_t *seed)
{
    bool quoted = io_random(seed, 3) == 0;
    uint32_t size = io_random(seed, io_random(seed, 50) ? 12 : 700);
    if (quoted)
        put("\"", 1);
    for (uint32_t i = 0; i < size; i++) {
        static const char *const odd[] = { "\n", "\r\n", ",", "\"\"", "\"\"\"\"" };
        const char letter = (char)('a' + io_random(seed, 26));
        const char *special = odd[io_random(seed, 5)];
        if (quoted && io_random(seed, 4) == 0)
            put(special, strlen(special));
        else
            put(&letter, 1);
    }
    if (quoted)
        put("\"", 1);
}

/* As RFC 4180 has it. */
static void make_csv(uint64_t *seed)
{
    uint32_t records = io_random(seed, 2000);
    text_size = 0;
    for (uint32_t r = 0; r < records && text_size < TEXT - 8000; r++) {
        for (uint32_t f = io_random(seed, 6) + 1; f; f--) {
            put_field(seed);
            if (f > 1)
                put(",", 1);
        }
        if (r + 1 < records || io_random(seed, 2))
            put("\r\n", 2);
        if (io_random(seed, 2) && text_size && text[text_size - 1] == '\n')
            text[text_size - 2] = '\n', text_size--;
    }
}

/* As nobody has it: quotes, delimiters and ends of lines anywhere. */
static void make_noise(uint64_t *seed)
{
    uint32_t letters = 1 + io_random(seed, 60), quotes = io_random(seed, 8);
    uint32_t lines = 1 + io_random(seed, 8);
    for (text_size = 0; text_size < io_random(seed, TEXT - 10) && text_size < TEXT - 1;) {
        uint32_t pick = io_random(seed, letters + quotes + lines + 4);
        put(pick < quotes               ? "\""
            : pick < quotes + lines     ? "\n"
            : pick < quotes + lines + 1 ? "\r"
            : pick < quotes + lines + 3 ? ","
                                        : "x",
            1);
    }
}

static void compare(const struct run *r)
{
    cr_assert_eq(r->result, BELT_FILL_END, "%s", r->part.err.text);
    for (uint32_t i = 0; i < wanted_used && i < r->got_used; i++) {
        const struct got *got = &r->got[i];
        cr_assert_eq(got->size, wanted[i].size, "record %u at %zu: %u bytes, not %zu", i,
                     wanted[i].at, got->size, wanted[i].size);
        cr_assert_eq(memcmp(got->text, text + wanted[i].at, got->size), 0, "record %u", i);
        cr_assert_eq(got->failed, wanted[i].failed, "record %u at %zu: '%.40s' %s", i, wanted[i].at,
                     got->text, got->failed ? got->reason : "has not failed");
    }
    cr_assert_eq(r->got_used, wanted_used);
    for (uint64_t c = 0; c < r->chunks; c++)
        cr_assert_eq(r->ended[c], 1, "chunk %llu", (unsigned long long)c);
}

static void read_file(uint64_t *seed, const char *kind, uint32_t limit)
{
    char rest[200];
    struct run r;
    io_write("in", text, text_size);
    snprintf(rest, sizeof rest, "records: %s, chunk: %uB, max_record: %uB, depth: %u", kind,
             4096 * (1 + io_random(seed, 3)), limit, 1 + io_random(seed, 4));
    run_all(&r, 1 + (int)io_random(seed, INSTANCES), io_random(seed, 2) ? "auto" : "posix",
            with_path("in", rest));
    compare(&r);
    end(&r);
}

static uint32_t any_limit(uint64_t *seed)
{
    return io_random(seed, 2) ? 65536 : 16 + io_random(seed, io_random(seed, 2) ? 200 : 9000);
}

Test(records, of_good_csv_are_found_wherever_chunks_begin)
{
    uint64_t seed = 4711;
    for (int round = 0; round < 60; round++) {
        make_csv(&seed);
        want_csv(65536);
        for (uint32_t i = 0; i < wanted_used; i++)
            cr_assert(!wanted[i].failed);
        read_file(&seed, "csv", 65536);
    }
}

Test(records, of_good_csv_over_the_limit_cost_lines)
{
    uint64_t seed = 815;
    for (int round = 0; round < 60; round++) {
        uint32_t limit = any_limit(&seed);
        make_csv(&seed);
        want_csv(limit);
        read_file(&seed, "csv", limit);
    }
}

Test(records, of_any_bytes_are_the_same_however_they_are_read)
{
    uint64_t seed = 1234567;
    for (int round = 0; round < 150; round++) {
        uint32_t limit = any_limit(&seed);
        make_noise(&seed);
        want_csv(limit);
        read_file(&seed, "csv", limit);
    }
}

/* Lines that leave open what was open, and open what was not. */
static void make_open(uint64_t *seed)
{
    static const char *const lines[] = { "a\"b,\"c\n", "a\"b,\"cd\n", "x\n", "z\",w\n", "\"y\n" };
    uint32_t size = io_random(seed, 60000), others = io_random(seed, 400);
    for (text_size = 0; text_size < size;) {
        const char *line = lines[io_random(seed, 400) < others ? io_random(seed, 5) : 0];
        put(line, strlen(line));
    }
}

Test(records, without_an_end_are_looked_for_no_longer_than_once)
{
    uint64_t seed = 2026;
    for (int round = 0; round < 60; round++) {
        uint32_t limit = any_limit(&seed);
        make_open(&seed);
        want_csv(limit);
        read_file(&seed, "csv", limit);
    }
}

/* ---- pipes ---------------------------------------------------------------------- */

/* What is written comes in pieces of any size, and is read in between. */
static void read_pipe(uint64_t *seed, const char *kind, uint32_t limit)
{
    char rest[200];
    struct run r;
    unlink(io_path("pipe"));
    cr_assert_eq(mkfifo(io_path("pipe"), 0600), 0);
    snprintf(rest, sizeof rest, "records: %s, chunk: 4096B, max_record: %uB", kind, limit);
    cr_assert_eq(begin(&r, 1, "auto", with_path("pipe", rest)), 0, "%s", r.part.err.text);
    int to = open(io_path("pipe"), O_WRONLY);
    for (size_t at = 0; at < text_size;) {
        size_t piece = 1 + io_random(seed, io_random(seed, 4) ? 3000 : 20);
        piece = piece < text_size - at ? piece : text_size - at;
        cr_assert_eq(write(to, text + at, piece), (ssize_t)piece);
        at += piece;
        while (step(&r, 0) >= 0)
            ;
    }
    close(to);
    drain(&r);
    compare(&r);
    end(&r);
}

Test(records, of_csv_come_out_of_a_pipe_as_out_of_a_file)
{
    uint64_t seed = 31;
    for (int round = 0; round < 30; round++) {
        uint32_t limit = any_limit(&seed);
        if (round % 3 == 0)
            make_csv(&seed);
        else if (round % 3 == 1)
            make_noise(&seed);
        else
            make_open(&seed);
        want_csv(limit);
        read_pipe(&seed, "csv", limit);
    }
}

/* ---- fixed sizes, lengths ------------------------------------------------------- */

static void make_bytes(uint64_t *seed)
{
    text_size = io_random(seed, 50000);
    for (size_t i = 0; i < text_size; i++)
        text[i] = (char)io_random(seed, 256);
}

Test(records, of_a_fixed_size_follow_each_other)
{
    uint64_t seed = 77;
    for (int round = 0; round < 60; round++) {
        uint32_t size = 1 + io_random(&seed, io_random(&seed, 2) ? 40 : 9000);
        char kind[64];
        make_bytes(&seed);
        wanted_used = 0;
        for (size_t at = 0; at < text_size; at += size) {
            bool torn = text_size - at < size;
            want(at, torn ? text_size : at + size, size, torn);
        }
        snprintf(kind, sizeof kind, "{ fixed: %uB }", size);
        read_file(&seed, kind, 16);
        read_pipe(&seed, kind, 16);
    }
}

struct prefix {
    const char *name;
    uint32_t size;
    bool big;
};

static const struct prefix prefixes[] = { { "u8", 1, false },   { "u16le", 2, false },
                                          { "u16be", 2, true }, { "u32le", 4, false },
                                          { "u32be", 4, true }, { "u64le", 8, false },
                                          { "u64be", 8, true }, { "varint", 0, false } };

static uint32_t head_size(const struct prefix *prefix, uint64_t value)
{
    uint32_t size = 1;
    for (; !prefix->size && value > 0x7f; value >>= 7)
        size++;
    return prefix->size ? prefix->size : size;
}

static void put_head(const struct prefix *prefix, uint64_t value)
{
    uint32_t size = head_size(prefix, value);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t shift = prefix->big ? 8 * (size - 1 - i) : 8 * i;
        char byte = (char)(value >> shift);
        if (!prefix->size)
            byte = (char)((value >> (7 * i) & 0x7f) | (i + 1 < size ? 0x80 : 0));
        put(&byte, 1);
    }
}

/* Records behind their lengths, until there is no room left. */
static void make_lengths(uint64_t *seed, const struct prefix *prefix, bool all, uint32_t limit)
{
    uint32_t records = io_random(seed, 2000);
    text_size = wanted_used = 0;
    for (uint32_t r = 0; r < records; r++) {
        uint32_t most = prefix->size == 1 && limit > 240 ? 240 : limit + 1;
        uint32_t size = io_random(seed, io_random(seed, 20) && most > 60 ? 60 : most);
        uint64_t value = size;
        for (int k = 0; all && k < 3; k++) /* of a varint, its own size may add a byte to it */
            value = size + head_size(prefix, value);
        if (text_size + size + 16 > TEXT)
            break;
        put_head(prefix, value);
        want(text_size, text_size + size, limit, false);
        for (uint32_t i = 0; i < size; i++) {
            char byte = (char)io_random(seed, 256);
            put(&byte, 1);
        }
    }
}

Test(records, behind_their_lengths_are_found)
{
    uint64_t seed = 99;
    for (int round = 0; round < 96; round++) {
        const struct prefix *prefix = &prefixes[round % 8];
        bool all = round / 8 % 2;
        uint32_t limit = 16 + io_random(&seed, io_random(&seed, 2) ? 300 : 9000);
        char kind[100];
        snprintf(kind, sizeof kind, "{ length: { prefix: %s, counts_itself: %s } }", prefix->name,
                 all ? "true" : "false");
        make_lengths(&seed, prefix, all, limit);
        read_file(&seed, kind, limit);
        read_pipe(&seed, kind, limit);
    }
}

/* Reads `bytes` with 4 KiB chunks by three instances; the records, as far as there are some. */
static struct run *read_bytes(const char *bytes, size_t size, const char *kind)
{
    static struct run r;
    char rest[200];
    io_write("in", bytes, size);
    snprintf(rest, sizeof rest, "records: %s, max_record: 16B, chunk: 4096B", kind);
    run_all(&r, INSTANCES, "auto", with_path("in", rest));
    cr_assert_eq(r.result, BELT_FILL_END);
    return &r;
}

static void expect_record(const struct run *r, uint32_t i, const char *bytes, const char *reason)
{
    cr_assert_lt(i, r->got_used);
    cr_assert_str_eq(r->got[i].text, bytes);
    cr_assert_eq(r->got[i].failed, reason != NULL);
    if (reason)
        cr_assert_not_null(strstr(r->got[i].reason, reason), "%s", r->got[i].reason);
}

Test(records, of_which_the_input_has_not_all_fail)
{
    struct run *r = read_bytes("abcdefgh", 8, "{ fixed: 3B }");
    cr_assert_eq(r->got_used, 3);
    expect_record(r, 1, "def", NULL);
    expect_record(r, 2, "gh", "ends inside");
    cr_assert_str_eq(r->where + strlen(r->where) - 9, ":record 3");
    end(r);
    r = read_bytes("\x02"
                   "ab\x05"
                   "cd",
                   6, "{ length: u8 }");
    cr_assert_eq(r->got_used, 2);
    expect_record(r, 0, "ab", NULL);
    expect_record(r, 1, "cd", "ends inside");
    cr_assert_str_eq(r->where + strlen(r->where) - 7, ":byte 4");
    end(r);
    r = read_bytes("\0\0\0\2ab\0\0\0", 9, "{ length: u32be }");
    cr_assert_eq(r->got_used, 2);
    expect_record(r, 1, "", "ends inside");
    end(r);
}

/* Nothing behind a length that is none can be trusted: one failure, and the input is over. */
Test(records, behind_a_bad_length_are_not_guessed)
{
    char bytes[20000];
    memset(bytes, 1, sizeof bytes);
    for (size_t i = 10000; i < 10004; i++)
        bytes[i] = 0x7f;
    struct run *r = read_bytes(bytes, sizeof bytes, "{ length: u8 }");
    cr_assert_eq(r->got_used, 5001);
    cr_assert_eq(r->got[4999].failed, false);
    cr_assert_eq(r->got[5000].failed, true);
    cr_assert_eq(r->got[5000].size, 16);
    cr_assert_not_null(strstr(r->got[5000].reason, "cannot be cut"));
    end(r);
    r = read_bytes("\x01"
                   "a",
                   2, "{ length: { prefix: u16le, counts_itself: true } }");
    cr_assert_eq(r->got_used, 1);
    end(r);
    r = read_bytes("\x01\0zz", 4, "{ length: { prefix: u16le, counts_itself: true } }");
    cr_assert_eq(r->got_used, 1);
    expect_record(r, 0, "\x01", "no length");
    end(r);
}

/* A varint has at most 64 bits. */
Test(records, behind_a_varint_without_end_are_not_guessed)
{
    struct run *r = read_bytes("\x01"
                               "a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02zzzzzzzz",
                               20, "{ length: varint }");
    cr_assert_eq(r->got_used, 2);
    cr_assert(!r->got[0].failed && r->got[1].failed);
    end(r);
}

Test(records, whose_quote_never_closes_cost_a_line)
{
    struct run *r = read_bytes("a,b\n\"c,d\ne,f\ng,h\ni,j\nk,l\nm,n\n", 29, "csv");
    cr_assert_eq(r->got_used, 7);
    expect_record(r, 0, "a,b", NULL);
    expect_record(r, 1, "\"c,d", "quoted field does not end within max_record (16B)");
    for (uint32_t i = 2; i < 7; i++)
        cr_assert(!r->got[i].failed);
    expect_record(r, 2, "e,f", NULL);
    expect_record(r, 6, "m,n", NULL);
    end(r);
    r = read_bytes("\"a\nb\n", 5, "csv");
    cr_assert_eq(r->got_used, 2);
    expect_record(r, 0, "\"a", "does not end before the input does");
    expect_record(r, 1, "b", NULL);
    end(r);
}

Test(records, of_csv_may_have_nul_bytes_and_other_marks)
{
    struct run *r = read_bytes("a;'x\ny'\n\0;b\n", 12, "{ csv: { delimiter: ';', quote: \"'\" } }");
    cr_assert_eq(r->got_used, 2);
    expect_record(r, 0, "a;'x\ny'", NULL);
    cr_assert_eq(r->got[1].size, 3);
    end(r);
}

Test(records, of_csv_without_quotes_are_lines)
{
    struct run *r =
        read_bytes("a;\"x\ny\";\"\r\n\n\"z", 14, "{ csv: { delimiter: ';', quote: '' } }");
    cr_assert_eq(r->got_used, 4);
    expect_record(r, 0, "a;\"x", NULL);
    expect_record(r, 1, "y\";\"", NULL);
    expect_record(r, 2, "", NULL);
    expect_record(r, 3, "\"z", NULL);
    end(r);
}

static void refuses(const char *kind, const char *message)
{
    struct run r;
    char rest[200];
    io_write("in", "x", 1);
    snprintf(rest, sizeof rest, "records: %s", kind);
    cr_assert_lt(begin(&r, 1, "auto", with_path("in", rest)), 0, "%s", kind);
    cr_assert_not_null(strstr(r.part.err.text, message), "%s: %s", kind, r.part.err.text);
    cr_assert_not_null(strstr(r.part.err.text, "p.yaml:1:"), "%s", r.part.err.text);
    io_free(&r.part);
}

Test(records, that_are_not_known_are_refused)
{
    refuses("tsv", "must be lines, csv");
    refuses("[csv]", "must be lines, csv");
    refuses("{ csv: {}, fixed: 3B }", "must be lines, csv");
    refuses("{ cvs: {} }", "did you mean 'csv'");
    refuses("{ csv: { delimeter: ';' } }", "did you mean 'delimiter'");
    refuses("{ csv: { delimiter: ';;' } }", "one byte");
    refuses("{ csv: { quote: ',' } }", "are the same");
    refuses("{ csv: { quote: 'ab' } }", "one byte, and no line's end, or \"\" for none");
    refuses("{ csv: { delimiter: '' } }", "must be one byte");
    refuses("{ csv: [1] }", "csv");
    refuses("{ fixed: 0B }", "1B to 16MiB");
    refuses("{ fixed: 10 }", "needs a unit");
    refuses("{ fixed: { size: 3B } }", "needs a size");
    refuses("{ length: u31be }", "did you mean 'u32be'");
    refuses("{ length: [u8] }", "must be one of");
    refuses("{ length: { counts_itself: true } }", "needs 'prefix'");
    refuses("{ length: { prefix: u8, counts_itself: yes } }", "true or false");
}
