/* Packed input: every byte before the damage, then words that name the place. */
#include "io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "io/source_unpack_priv.h"

#define TEXT 1000000
#define WINDOW (128u << 20)

static char text[TEXT], got[TEXT + 1000], packed[2 * TEXT];

static void setup(void)
{
    uint64_t seed = 3;
    io_make_directory();
    for (size_t i = 0; i < TEXT; i++)
        text[i] = (char)(i % 20 == 19 ? '\n' : 'a' + (char)io_random(&seed, 20));
}

TestSuite(source_unpack, .init = setup, .fini = io_remove_directory);

static size_t gz(char *out, size_t room, const char *from, size_t size)
{
    struct isal_zstream z;
    isal_deflate_init(&z);
    z.gzip_flag = IGZIP_GZIP;
    z.end_of_stream = 1;
    z.next_in = (uint8_t *)(uintptr_t)from;
    z.avail_in = (uint32_t)size;
    z.next_out = (uint8_t *)out;
    z.avail_out = (uint32_t)room;
    cr_assert_eq(isal_deflate(&z), COMP_OK);
    cr_assert_eq(z.internal_state.state, ZSTATE_END);
    return z.total_out;
}

static size_t zst(char *out, size_t room, const char *from, size_t size)
{
    size_t made = ZSTD_compress(out, room, from, size, 3);
    cr_assert(!ZSTD_isError(made));
    return made;
}

/* In three members or frames, the middle one empty. */
static size_t pack_three(size_t (*pack)(char *, size_t, const char *, size_t))
{
    size_t at = pack(packed, sizeof packed, text, 400001);
    at += pack(packed + at, sizeof packed - at, "", 0);
    return at + pack(packed + at, sizeof packed - at, text + 400001, TEXT - 400001);
}

struct answer {
    size_t size;
    int64_t last; /* what the last call returned */
    struct belt_error err;
};

static struct answer unpack_file(enum source_pack pack, uint32_t room, uint64_t window)
{
    struct answer a = { 0 };
    int fd = open(io_path("in"), O_RDONLY);
    cr_assert_geq(fd, 0);
    struct source_unpack *u = source_unpack_new(true, window);
    source_unpack_begin(u, pack, fd, false);
    do {
        uint32_t most = room < sizeof got - a.size ? room : (uint32_t)(sizeof got - a.size);
        a.last = source_unpack_read(u, got + a.size, most, "in", &a.err);
        if (a.last > 0)
            a.size += (size_t)a.last;
    } while (a.last > 0);
    source_unpack_free(u);
    close(fd);
    return a;
}

static void expect_all(enum source_pack pack, uint32_t room)
{
    struct answer a = unpack_file(pack, room, WINDOW);
    cr_assert_eq(a.last, 0, "%s", a.err.text);
    cr_assert_eq(a.size, TEXT);
    cr_assert_eq(memcmp(got, text, TEXT), 0);
}

Test(source_unpack, joins_members_and_frames_whatever_the_room)
{
    static const uint32_t rooms[] = { 1000000, 65536, 4096, 77 };
    for (size_t i = 0; i < 4; i++) {
        io_write("in", packed, pack_three(gz));
        expect_all(SOURCE_AUTO, rooms[i]);
        expect_all(SOURCE_GZ, rooms[i]);
        io_write("in", packed, pack_three(zst));
        expect_all(SOURCE_AUTO, rooms[i]);
        expect_all(SOURCE_ZSTD, rooms[i]);
    }
}

Test(source_unpack, knows_what_it_is_by_the_first_bytes_alone)
{
    cr_assert_eq(source_pack_of("\x1f\x8b\x08", 3), SOURCE_GZ);
    cr_assert_eq(source_pack_of("\x1f\x8b", 2), SOURCE_AUTO);
    cr_assert_eq(source_pack_of("\x1f\x8c", 2), SOURCE_PLAIN);
    cr_assert_eq(source_pack_of("\x28\xb5\x2f\xfd", 4), SOURCE_ZSTD);
    cr_assert_eq(source_pack_of("\x5a\x2a\x4d\x18", 4), SOURCE_ZSTD);
    cr_assert_eq(source_pack_of("", 0), SOURCE_AUTO);
    cr_assert_eq(source_pack_of("a", 1), SOURCE_PLAIN);
}

Test(source_unpack, gives_plain_bytes_as_they_are)
{
    io_write("in", text, TEXT);
    expect_all(SOURCE_AUTO, 4096);
    expect_all(SOURCE_PLAIN, 4096);
    io_write("in", "\x1f", 1); /* begins like a gz file and ends */
    struct answer a = unpack_file(SOURCE_AUTO, 4096, WINDOW);
    cr_assert(a.last == 0 && a.size == 1 && got[0] == 0x1f);
    io_write("in", "", 0);
    cr_assert_eq(unpack_file(SOURCE_AUTO, 4096, WINDOW).size, 0);
    cr_assert_eq(unpack_file(SOURCE_GZ, 4096, WINDOW).last, 0);
}

Test(source_unpack, unpacks_a_stream_that_comes_byte_by_byte)
{
    int ends[2];
    struct belt_error err = { 0 };
    size_t size = zst(packed, sizeof packed, text, 5000), have = 0;
    cr_assert_eq(pipe(ends), 0);
    struct source_unpack *u = source_unpack_new(true, WINDOW);
    source_unpack_begin(u, SOURCE_AUTO, ends[0], true);
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(source_unpack_read(u, got + have, 4096, "in", &err), -EAGAIN);
        cr_assert_eq(write(ends[1], packed + i, 1), 1);
        int64_t some;
        while ((some = source_unpack_read(u, got + have, 4096, "in", &err)) > 0)
            have += (size_t)some;
        cr_assert_eq(some, -EAGAIN, "%s", err.text);
    }
    close(ends[1]);
    cr_assert_eq(source_unpack_read(u, got + have, 4096, "in", &err), 0);
    cr_assert(have == 5000 && memcmp(got, text, 5000) == 0);
    source_unpack_free(u);
    close(ends[0]);
}

/* ---- damage -------------------------------------------------------------------- */

static void expect_damage(const struct answer *a, size_t least, const char *words)
{
    cr_assert_eq(a->last, -EBADMSG);
    cr_assert_not_null(strstr(a->err.text, "in: byte "), "%s", a->err.text);
    cr_assert_not_null(strstr(a->err.text, words), "%s", a->err.text);
    cr_assert_geq(a->size, least);
    cr_assert_eq(memcmp(got, text, a->size), 0);
}

/* Whatever can be unpacked of a file cut off anywhere is there before the error. */
Test(source_unpack, gives_all_before_a_cut)
{
    size_t size = pack_three(gz);
    for (size_t cut = 1; cut < 9; cut++) {
        io_write("in", packed, size * cut / 9);
        struct answer a = unpack_file(SOURCE_AUTO, 65536, WINDOW);
        expect_damage(&a, TEXT / 10 * cut - 100000, "damaged gz data: it ends too early");
    }
    size = pack_three(zst);
    for (size_t cut = 1; cut < 9; cut++) {
        io_write("in", packed, size * cut / 9);
        struct answer a = unpack_file(SOURCE_AUTO, 65536, WINDOW);
        expect_damage(&a, cut > 2 ? TEXT / 10 * cut - 200000 : 0,
                      "damaged zstd data: it ends too early");
    }
}

Test(source_unpack, notices_a_wrong_checksum)
{
    size_t size = gz(packed, sizeof packed, text, TEXT);
    packed[size - 6] ^= 1;
    io_write("in", packed, size);
    struct answer a = unpack_file(SOURCE_AUTO, 4096, WINDOW);
    expect_damage(&a, TEXT, "its checksum is wrong");
}

Test(source_unpack, refuses_what_is_not_packed_as_said)
{
    io_write("in", text, TEXT);
    struct answer a = unpack_file(SOURCE_GZ, 4096, WINDOW);
    expect_damage(&a, 0, "no gz header");
    a = unpack_file(SOURCE_ZSTD, 4096, WINDOW);
    expect_damage(&a, 0, "damaged zstd data");
}

Test(source_unpack, refuses_what_follows_the_last_member_unless_it_is_zeros)
{
    size_t size = gz(packed, sizeof packed, text, TEXT);
    memset(packed + size, 0, 20000);
    io_write("in", packed, size + 20000);
    expect_all(SOURCE_AUTO, 4096);
    memcpy(packed + size + 700, "tail", 4);
    io_write("in", packed, size + 20000);
    struct answer a = unpack_file(SOURCE_AUTO, 4096, WINDOW);
    expect_damage(&a, TEXT, "no gz header");
}

Test(source_unpack, keeps_a_zstd_window_within_its_limit)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 24);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    ZSTD_outBuffer out = { packed, sizeof packed, 0 };
    ZSTD_inBuffer in = { text, TEXT, 0 };
    while (ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue) && in.pos < in.size)
        ;
    while (ZSTD_compressStream2(c, &out, &in, ZSTD_e_end))
        ;
    ZSTD_freeCCtx(c);
    io_write("in", packed, out.pos);
    expect_all(SOURCE_AUTO, 65536);
    struct answer a = unpack_file(SOURCE_AUTO, 65536, 8 << 20);
    cr_assert_eq(a.last, -E2BIG);
    cr_assert_not_null(strstr(a.err.text, "above max_window (8MiB): raise it"), "%s", a.err.text);
}
