/* gz by ISA-L, which unpacks 2.5 to 3 times as fast as zlib (docs/sources.md), zstd
 * by its own library. Each call makes as much as there is room for: a file that
 * unpacks to a thousand times its size costs time, not memory. */
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/settings_priv.h"
#include "io/source_unpack_priv.h"

#define IN_ROOM (128u << 10)
#define MAGIC 4       /* bytes that tell what it is */
#define ZSTD_HEADER 6 /* least bytes of a frame's header */

struct source_unpack {
    enum source_pack pack;
    int fd;
    bool stream;
    bool over;      /* the file has ended */
    bool inside;    /* a member or frame has begun and not ended */
    bool followed;  /* one has ended before */
    bool more;      /* the room was filled: there may be more without further input */
    uint64_t taken; /* bytes of the file read so far */
    uint32_t at, have;
    size_t next;       /* bytes that zstd wants for its next block */
    const char *fault; /* to be told when all before it is out; NULL: none */
    uint64_t max_window;
    struct inflate_state *gz;
    ZSTD_DCtx *zstd;
    unsigned char in[IN_ROOM];
};

/* ---- what it is ---------------------------------------------------------------- */

struct magic {
    enum source_pack pack;
    unsigned char bytes[MAGIC], mask[MAGIC]; /* mask 0: any */
};

static const struct magic magics[] = {
    { SOURCE_GZ, { 0x1f, 0x8b, 0x08 }, { 0xff, 0xff, 0xff } },
    { SOURCE_ZSTD, { 0x28, 0xb5, 0x2f, 0xfd }, { 0xff, 0xff, 0xff, 0xff } },
    { SOURCE_ZSTD, { 0x50, 0x2a, 0x4d, 0x18 }, { 0xf0, 0xff, 0xff, 0xff } }, /* to be skipped */
};

enum source_pack source_pack_of(const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    bool open = false;
    for (size_t m = 0; m < sizeof magics / sizeof *magics; m++) {
        size_t i = 0;
        while (i < MAGIC && i < size && (b[i] & magics[m].mask[i]) == magics[m].bytes[i])
            i++;
        if (i == MAGIC || (i < MAGIC && !magics[m].mask[i]))
            return magics[m].pack;
        open |= i == size;
    }
    return open ? SOURCE_AUTO : SOURCE_PLAIN;
}

enum source_pack source_pack_of_file(int fd)
{
    unsigned char first[MAGIC];
    ssize_t got = pread(fd, first, sizeof first, 0);
    enum source_pack pack = got > 0 ? source_pack_of(first, (size_t)got) : SOURCE_PLAIN;
    return pack == SOURCE_AUTO ? SOURCE_PLAIN : pack;
}

/* ---- set-up -------------------------------------------------------------------- */

static int window_log(uint64_t window)
{
    return 63 - __builtin_clzll(window | 1);
}

struct source_unpack *source_unpack_new(bool packed, uint64_t max_window)
{
    struct source_unpack *u = calloc(1, sizeof *u);
    if (!u || !packed)
        return u;
    u->max_window = max_window;
    u->gz = calloc(1, sizeof *u->gz);
    u->zstd = ZSTD_createDCtx();
    if (!u->gz || !u->zstd ||
        ZSTD_isError(
            ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, window_log(max_window)))) {
        source_unpack_free(u);
        return NULL;
    }
    return u;
}

void source_unpack_free(struct source_unpack *u)
{
    if (!u)
        return;
    ZSTD_freeDCtx(u->zstd);
    free(u->gz);
    free(u);
}

void source_unpack_begin(struct source_unpack *u, enum source_pack pack, int fd, bool stream)
{
    u->pack = u->gz ? pack : SOURCE_PLAIN;
    u->fd = fd;
    u->stream = stream;
    u->over = u->inside = u->followed = u->more = false;
    u->taken = u->at = u->have = 0;
    u->next = 0;
    u->fault = NULL;
}

uint64_t source_unpack_taken(const struct source_unpack *u)
{
    return u->taken;
}

/* ---- bytes as they lie there --------------------------------------------------- */

/* As read() says it, and -EAGAIN. Asks first and leaves the descriptor's flags
 * alone, for whoever else has standard input open shares them. */
static int64_t read_raw(struct source_unpack *u, void *to, size_t room)
{
    struct pollfd ready = { .fd = u->fd, .events = POLLIN };
    if (u->stream && poll(&ready, 1, 0) <= 0)
        return -EAGAIN;
    ssize_t got = u->stream ? read(u->fd, to, room) : pread(u->fd, to, room, (off_t)u->taken);
    if (got < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    u->taken += (uint64_t)got;
    u->over = got == 0;
    return got;
}

/* More of the file behind what is there of it; 0: it has ended. */
static int64_t refill(struct source_unpack *u)
{
    memmove(u->in, u->in + u->at, u->have - u->at);
    u->have -= u->at;
    u->at = 0;
    int64_t got = read_raw(u, u->in + u->have, IN_ROOM - u->have);
    if (got > 0)
        u->have += (uint32_t)got;
    return got;
}

static int64_t read_plain(struct source_unpack *u, void *to, uint32_t room)
{
    uint32_t kept = u->have - u->at < room ? u->have - u->at : room;
    if (!kept)
        return u->over ? 0 : read_raw(u, to, room);
    memcpy(to, u->in + u->at, kept); /* what it was told by */
    u->at += kept;
    return kept;
}

static int64_t decide(struct source_unpack *u)
{
    while (u->pack == SOURCE_AUTO) {
        u->pack = source_pack_of(u->in, u->have);
        if (u->pack != SOURCE_AUTO)
            return 0;
        int64_t got = refill(u);
        if (got < 0)
            return got;
        if (got == 0)
            u->pack = SOURCE_PLAIN;
    }
    return 0;
}

/* ---- unpacking ----------------------------------------------------------------- */

/* One call of a library: bytes made. NULL, or what is wrong. */
typedef const char *step_fn(struct source_unpack *u, void *to, uint32_t room, uint32_t *made);

static const char *gz_fault(int code)
{
    static const char *const faults[] = {
        [-ISAL_INVALID_BLOCK] = "an impossible block",
        [-ISAL_INVALID_SYMBOL] = "an impossible symbol",
        [-ISAL_INVALID_LOOKBACK] = "a reference to before the start",
        [-ISAL_INVALID_WRAPPER] = "no gz header",
        [-ISAL_UNSUPPORTED_METHOD] = "an unknown method",
        [-ISAL_INCORRECT_CHECKSUM] = "its checksum is wrong: records before may be, too",
    };
    size_t at = (size_t)-code;
    return at < sizeof faults / sizeof *faults && faults[at] ? faults[at] : "it makes no sense";
}

/* Zeros behind the last member fill up the blocks of tapes and disks. */
static bool gz_padding(struct source_unpack *u)
{
    while (u->followed && u->at < u->have && !u->in[u->at])
        u->at++;
    return u->at == u->have;
}

static const char *gz_step(struct source_unpack *u, void *to, uint32_t room, uint32_t *made)
{
    struct inflate_state *gz = u->gz;
    if (!u->inside) {
        if (gz_padding(u))
            return NULL;
        isal_inflate_init(gz);
        gz->crc_flag = ISAL_GZIP;
        u->inside = true;
    }
    gz->next_in = u->in + u->at;
    gz->avail_in = u->have - u->at;
    gz->next_out = to;
    gz->avail_out = room;
    int rc = isal_inflate(gz);
    u->at = u->have - gz->avail_in;
    *made = room - gz->avail_out;
    u->inside = gz->block_state != ISAL_BLOCK_FINISH;
    u->followed |= !u->inside;
    return rc < 0 ? gz_fault(rc) : NULL;
}

/* A block at a time: of a call that fails the library says nothing about what it
 * made before the damage. */
static const char *zstd_step(struct source_unpack *u, void *to, uint32_t room, uint32_t *made)
{
    size_t want = u->next ? u->next : ZSTD_HEADER, there = u->have - u->at;
    ZSTD_inBuffer in = { u->in + u->at, want < there ? want : there, 0 };
    ZSTD_outBuffer out = { to, room, 0 };
    if (!u->inside)
        ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
    u->next = ZSTD_decompressStream(u->zstd, &out, &in);
    u->at += (uint32_t)in.pos;
    *made = (uint32_t)out.pos;
    u->inside = u->next != 0;
    if (!ZSTD_isError(u->next))
        return NULL;
    return ZSTD_getErrorCode(u->next) == ZSTD_error_frameParameter_windowTooLarge
               ? ""
               : ZSTD_getErrorName(u->next);
}

static int damaged(const struct source_unpack *u, const char *fault, const char *path,
                   struct belt_error *err)
{
    char size[BELT_UNIT_ROOM];
    const char *kind = u->pack == SOURCE_GZ ? "gz" : "zstd";
    unsigned long long byte = u->taken - (u->have - u->at);
    if (!*fault)
        return belt_error_set(err, -E2BIG,
                              "%s: byte %llu: this zstd frame needs a window above max_window "
                              "(%s): raise it",
                              path, byte, belt_format_size(u->max_window, size));
    return belt_error_set(err, -EBADMSG,
                          "%s: byte %llu: damaged %s data: %s; what came before it was read: "
                          "get the file again",
                          path, byte, kind, fault);
}

static int64_t unpack(struct source_unpack *u, step_fn *step, void *to, uint32_t room,
                      const char *path, struct belt_error *err)
{
    uint32_t made = 0;
    for (;;) {
        while (!u->fault && (u->more || u->at < u->have)) {
            u->fault = step(u, to, room, &made);
            u->more = u->inside && made == room;
            if (made)
                return made;
        }
        if (u->fault)
            return damaged(u, u->fault, path, err);
        if (u->over)
            return u->inside ? damaged(u, "it ends too early", path, err) : 0;
        int64_t got = refill(u);
        if (got < 0)
            return got;
    }
}

int64_t source_unpack_read(struct source_unpack *u, void *to, uint32_t room, const char *path,
                           struct belt_error *err)
{
    int64_t got = decide(u);
    if (got == 0)
        got = u->pack == SOURCE_PLAIN
                  ? read_plain(u, to, room)
                  : unpack(u, u->pack == SOURCE_GZ ? gz_step : zstd_step, to, room, path, err);
    if (got < 0 && got != -EAGAIN && !err->code)
        belt_error_set(err, (int)got, "%s: cannot be read: %s", path, strerror((int)-got));
    return got;
}
