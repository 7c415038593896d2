/* The end of a packed file: found from behind, by the bytes that members begin with, for
 * what is before the last one was looked at when that was written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/packer_priv.h"
#include "io/write_priv.h"
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#define LEAST (1u << 20) /* of the file's end: most members are smaller */
#define MOST (64u << 20)

struct members {
    const char *begin; /* of each that a packer makes */
    uint32_t begin_size;
    /* Of the one that begins here; 0: it is not whole. */
    size_t (*whole)(const char *bytes, size_t size);
};

static size_t gz_whole(const char *bytes, size_t size)
{
    static const uInt most = UINT32_MAX;
    z_stream gz = { .next_in = (const Bytef *)bytes, .avail_in = size < most ? (uInt)size : most };
    Bytef out[16 << 10];
    if (inflateInit2(&gz, MAX_WBITS + 16) != Z_OK)
        return 0;
    int rc;
    do {
        gz.next_out = out;
        gz.avail_out = sizeof out;
        rc = inflate(&gz, Z_NO_FLUSH);
    } while (rc == Z_OK);
    size_t whole = rc == Z_STREAM_END ? gz.total_in : 0;
    inflateEnd(&gz);
    return whole;
}

static size_t zstd_whole(const char *bytes, size_t size)
{
    char dropped[16 << 10];
    ZSTD_inBuffer in = { bytes, size, 0 };
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    size_t rc = 1;
    for (bool moves = zstd != NULL; moves && rc && !ZSTD_isError(rc);) {
        ZSTD_outBuffer out = { dropped, sizeof dropped, 0 };
        size_t before = in.pos;
        rc = ZSTD_decompressStream(zstd, &out, &in);
        moves = in.pos > before || out.pos;
    }
    ZSTD_freeDCtx(zstd);
    return rc ? 0 : in.pos;
}

/* RFC 1952: deflate, no flags, no time; RFC 8878. */
static const struct members kinds[] = {
    [BELT_PACK_GZ] = { "\x1f\x8b\x08\0\0\0\0\0", 8, gz_whole },
    [BELT_PACK_ZSTD] = { "\x28\xb5\x2f\xfd", 4, zstd_whole },
};

/* All of it, or as much as there is. */
static bool begins(const struct members *kind, const char *bytes, size_t size)
{
    return memcmp(bytes, kind->begin, size < kind->begin_size ? size : kind->begin_size) == 0;
}

/* The end of the last whole member of these bytes; 0: there is none. What is behind it has to
 * look like one that was begun, or like a file made longer whose bytes never came: all else is
 * somebody's. */
static size_t last_whole(const struct members *kind, const char *bytes, size_t size)
{
    for (size_t at = size; at-- > 0;) {
        if (size - at < kind->begin_size || !begins(kind, bytes + at, size - at))
            continue;
        size_t end = at, more;
        while (end < size && (more = kind->whole(bytes + end, size - end)))
            end += more;
        if (end > at && (begins(kind, bytes + end, size - end) || !bytes[end]))
            return end;
    }
    return 0;
}

/* In the last `part` bytes: 1 and *end, 0: there is none, or negative errno. */
static int look(const struct members *kind, int fd, uint64_t size, size_t part, uint64_t *end)
{
    char *bytes = malloc(part);
    int rc = bytes ? belt_read_back(fd, bytes, part, size - part) : -ENOMEM;
    size_t found = rc == 0 ? last_whole(kind, bytes, part) : 0;
    *end = size - part + found;
    bool torn = rc == 0 && !found && part == size && begins(kind, bytes, part) &&
                !kind->whole(bytes, part); /* the first one */
    free(bytes);
    return rc < 0 ? rc : found || torn;
}

int belt_pack_end(enum belt_packing packing, int fd, uint64_t size, uint64_t *end)
{
    int rc = 0;
    for (uint64_t room = LEAST, part = 0; rc == 0 && part < size && part < MOST; room *= 4) {
        part = room < size ? room : size;
        rc = look(&kinds[packing], fd, size, (size_t)part, end);
    }
    if (rc == 0)
        *end = size;
    return rc < 0 ? rc : 0;
}
