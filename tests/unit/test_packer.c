/* Members of gzip and frames of zstd, read back by the libraries' own readers. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "io/packer_priv.h"

static char *text_of(size_t size)
{
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = "abcdefghij klmno\n"[(i * i / 7 + i) % 17];
    return text;
}

static size_t pack(struct belt_packer *p, const char *text, size_t size, char **out)
{
    const char *piece;
    uint32_t piece_size;
    size_t used = 0;
    belt_packer_begin(p, text, size);
    for (*out = NULL;; used += piece_size) {
        cr_assert_eq(belt_packer_next(p, &piece, &piece_size), 0);
        if (!piece_size)
            return used;
        *out = realloc(*out, used + piece_size);
        memcpy(*out + used, piece, piece_size);
    }
}

/* One member, whole, and nothing behind it. */
static void expect_gz(const char *bytes, size_t size, const char *want, size_t want_size)
{
    char *got = malloc(want_size + 1);
    z_stream z = { .next_in = (Bytef *)(uintptr_t)bytes,
                   .avail_in = (uInt)size,
                   .next_out = (Bytef *)got,
                   .avail_out = (uInt)want_size + 1 };
    cr_assert_eq(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    cr_assert(z.total_out == want_size && z.avail_in == 0);
    cr_assert_eq(memcmp(got, want, want_size), 0);
    inflateEnd(&z);
    free(got);
}

static void expect_zstd(const char *bytes, size_t size, const char *want, size_t want_size)
{
    char *got = malloc(want_size + 1);
    cr_assert_eq(ZSTD_findFrameCompressedSize(bytes, size), size);
    cr_assert_eq(ZSTD_decompress(got, want_size + 1, bytes, size), want_size);
    cr_assert_eq(memcmp(got, want, want_size), 0);
    free(got);
}

static void expect_sizes(enum belt_packing packing, int level,
                         void (*expect)(const char *, size_t, const char *, size_t))
{
    static const size_t sizes[] = { 0, 1, 17, 4096, 262143, 262144, 262145, 3000001 };
    struct belt_packer *p;
    struct belt_error err;
    cr_assert_eq(belt_packer_new(&p, packing, level, &err), 0, "%s", err.text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = text_of(sizes[i]), *packed;
        size_t size = pack(p, text, sizes[i], &packed);
        expect(packed, size, text, sizes[i]);
        free(packed);
        free(text);
    }
    belt_packer_free(p);
}

Test(packer, makes_whole_members_of_gzip)
{
    expect_sizes(BELT_PACK_GZ, 0, expect_gz);
    expect_sizes(BELT_PACK_GZ, 1, expect_gz);
    expect_sizes(BELT_PACK_GZ, 9, expect_gz);
}

Test(packer, makes_whole_frames_of_zstd)
{
    expect_sizes(BELT_PACK_ZSTD, 0, expect_zstd);
    expect_sizes(BELT_PACK_ZSTD, 1, expect_zstd);
    expect_sizes(BELT_PACK_ZSTD, 19, expect_zstd);
}

/* Noise does not shrink: more pieces than one. */
static void expect_noise(enum belt_packing packing,
                         void (*expect)(const char *, size_t, const char *, size_t))
{
    size_t size = 1 << 20;
    char *noise = malloc(size), *packed;
    uint64_t seed = 88172645463325252u;
    struct belt_packer *p;
    struct belt_error err;
    for (size_t i = 0; i < size; i++, seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17)
        noise[i] = (char)seed;
    cr_assert_eq(belt_packer_new(&p, packing, 0, &err), 0);
    size_t used = pack(p, noise, size, &packed);
    cr_assert_gt(used, size);
    expect(packed, used, noise, size);
    free(packed);
    free(noise);
    belt_packer_free(p);
}

Test(packer, takes_what_does_not_shrink)
{
    expect_noise(BELT_PACK_GZ, expect_gz);
    expect_noise(BELT_PACK_ZSTD, expect_zstd);
}

Test(packer, drops_what_was_begun)
{
    struct belt_packer *p;
    struct belt_error err;
    const char *piece;
    uint32_t size;
    for (int packing = BELT_PACK_GZ; packing <= BELT_PACK_ZSTD; packing++) {
        char *noise = malloc(1 << 20), *packed;
        for (int i = 0; i < 1 << 20; i++)
            noise[i] = (char)(i * 2654435761u >> 13);
        cr_assert_eq(belt_packer_new(&p, packing, 0, &err), 0);
        belt_packer_begin(p, noise, 1 << 20);
        cr_assert_eq(belt_packer_next(p, &piece, &size), 0);
        size_t used = pack(p, "row\n", 4, &packed);
        (packing == BELT_PACK_GZ ? expect_gz : expect_zstd)(packed, used, "row\n", 4);
        free(packed);
        free(noise);
        belt_packer_free(p);
    }
}
