#include "io/packer_priv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#define ROOM (256u << 10) /* a write of so much costs as little a byte as a larger one */
#define GZIP 16           /* added to zlib's window bits: with header and trailer of gzip */
#define ZSTD_LEVELS 19    /* those above want 100 MiB and more to read, too */

struct packer_kind {
    const char *name;
    int levels, fallback;
    int (*create)(struct belt_packer *packer, int level);
    void (*destroy)(struct belt_packer *packer);
    void (*begin)(struct belt_packer *packer);
    int (*run)(struct belt_packer *packer, uint32_t *made); /* fills `out`; sets `ended` */
};

struct belt_packer {
    const struct packer_kind *kind;
    const char *bytes;
    uint64_t left;
    bool ended;
    z_stream gz;
    ZSTD_CCtx *zstd;
    ZSTD_inBuffer in;
    char out[ROOM];
};

/* ---- gzip ---------------------------------------------------------------------- */

static int gz_create(struct belt_packer *p, int level)
{
    int rc = deflateInit2(&p->gz, level, Z_DEFLATED, MAX_WBITS + GZIP, MAX_MEM_LEVEL,
                          Z_DEFAULT_STRATEGY);
    return rc == Z_OK ? 0 : rc == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}

static void gz_destroy(struct belt_packer *p)
{
    deflateEnd(&p->gz);
}

static void gz_begin(struct belt_packer *p)
{
    deflateReset(&p->gz);
    p->gz.avail_in = 0;
}

static int gz_run(struct belt_packer *p, uint32_t *made)
{
    p->gz.next_out = (Bytef *)p->out;
    p->gz.avail_out = ROOM;
    while (p->gz.avail_out && !p->ended) {
        if (!p->gz.avail_in) { /* it counts in 32 bits */
            p->gz.next_in = (const Bytef *)p->bytes;
            p->gz.avail_in = p->left < UINT32_MAX ? (uInt)p->left : UINT32_MAX;
            p->bytes += p->gz.avail_in;
            p->left -= p->gz.avail_in;
        }
        int rc = deflate(&p->gz, p->left ? Z_NO_FLUSH : Z_FINISH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return -EIO;
        p->ended = rc == Z_STREAM_END;
    }
    *made = ROOM - p->gz.avail_out;
    return 0;
}

/* ---- zstd ---------------------------------------------------------------------- */

static int zstd_create(struct belt_packer *p, int level)
{
    p->zstd = ZSTD_createCCtx();
    if (!p->zstd)
        return -ENOMEM;
    size_t rc = ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(rc))
        rc = ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
    if (!ZSTD_isError(rc))
        return 0;
    ZSTD_freeCCtx(p->zstd);
    return -EINVAL;
}

static void zstd_destroy(struct belt_packer *p)
{
    ZSTD_freeCCtx(p->zstd);
}

static void zstd_begin(struct belt_packer *p)
{
    ZSTD_CCtx_reset(p->zstd, ZSTD_reset_session_only);
    p->in = (ZSTD_inBuffer){ p->bytes, p->left, 0 };
}

/* Without a size pledged first it keeps the tables of its level for all batches,
 * small and large, and allocates them once. */
static int zstd_run(struct belt_packer *p, uint32_t *made)
{
    ZSTD_outBuffer out = { p->out, ROOM, 0 };
    while (!p->ended && out.pos < out.size) {
        bool last = p->in.pos == p->in.size;
        size_t rc =
            ZSTD_compressStream2(p->zstd, &out, &p->in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(rc))
            return -EIO;
        p->ended = last && rc == 0;
    }
    *made = (uint32_t)out.pos;
    return 0;
}

/* ---- calls --------------------------------------------------------------------- */

static const struct packer_kind kinds[] = {
    [BELT_PACK_GZ] = { "gz", Z_BEST_COMPRESSION, 6, gz_create, gz_destroy, gz_begin, gz_run },
    [BELT_PACK_ZSTD] = { "zstd", ZSTD_LEVELS, 3, zstd_create, zstd_destroy, zstd_begin, zstd_run },
};

int belt_packer_check(enum belt_packing packing, int64_t level, const struct belt_node *node,
                      struct belt_error *err)
{
    if (packing == BELT_PACK_NONE)
        return level ? belt_node_error(err, node, "level needs compression: gz or zstd") : 0;
    if (level <= kinds[packing].levels)
        return 0;
    return belt_node_error(err, node, "level: %s has at most %d", kinds[packing].name,
                           kinds[packing].levels);
}

/* Memory that the library takes late is taken now. */
static int warm_up(struct belt_packer *p)
{
    const char *out;
    uint32_t size;
    int rc;
    belt_packer_begin(p, "", 0);
    do
        rc = belt_packer_next(p, &out, &size);
    while (rc == 0 && size);
    return rc;
}

int belt_packer_new(struct belt_packer **out, enum belt_packing packing, int level,
                    struct belt_error *err)
{
    const struct packer_kind *kind = &kinds[packing];
    struct belt_packer *p = calloc(1, sizeof *p);
    int rc = p ? kind->create(p, level ? level : kind->fallback) : -ENOMEM;
    if (rc == 0) {
        p->kind = kind;
        rc = warm_up(p);
        if (rc < 0)
            kind->destroy(p);
    }
    if (rc < 0) {
        free(p);
        return belt_error_set(err, rc, "compression %s: %s", kind->name,
                              rc == -ENOMEM ? "out of memory" : "the library refuses the level");
    }
    *out = p;
    return 0;
}

void belt_packer_free(struct belt_packer *packer)
{
    if (packer)
        packer->kind->destroy(packer);
    free(packer);
}

void belt_packer_begin(struct belt_packer *packer, const char *bytes, uint64_t size)
{
    packer->bytes = bytes;
    packer->left = size;
    packer->ended = false;
    packer->kind->begin(packer);
}

int belt_packer_next(struct belt_packer *packer, const char **out, uint32_t *size)
{
    *out = packer->out;
    *size = 0;
    return packer->ended ? 0 : packer->kind->run(packer, size);
}
