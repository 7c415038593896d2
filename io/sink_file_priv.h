/* The sink `file`: names, the table of files, and when one is over. Files:
 *   sink_name.c    the name of a file, and which names of a directory are such
 *   sink_table.c   the file of a key; which are open
 *   sink_open.c    opening one, ending one, giving one up
 *   sink_direct.c  writing one past the page cache
 *   sink_file.c    settings, and the part itself */
#ifndef BELT_IO_SINK_FILE_PRIV_H
#define BELT_IO_SINK_FILE_PRIV_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/writer_priv.h"

/* ---- names --------------------------------------------------------------------- */

/* What goes into a path: {key}, {n}, {date}. */
struct belt_out_name {
    const char *key;
    uint32_t key_size;
    uint32_t n;
    uint64_t wall; /* nanoseconds since 1970 */
};

/* `path` with its parts filled in; its length, or -ENAMETOOLONG. Bytes of a key outside
 * [A-Za-z0-9._-] and a dot at its start become %XX, an empty key "%": two keys never
 * share a file and none leaves its directory. */
int belt_out_path(char out[PATH_MAX], const char *path, const struct belt_out_name *name);
/* "{key}", "{n}" or "{date}" in `path`. */
bool belt_out_has(const char *path, const char *what);
/* The first other word in braces: "{level}", `size` bytes; NULL: there is none. */
const char *belt_out_unknown(const char *path, int *size);

/* What there is of a numbered path, {n} in its file name, in its directory. */
struct belt_out_found {
    uint32_t last;     /* the highest number, of those left .partial too; 0: none */
    uint32_t finished; /* files that are not .partial */
    char oldest[NAME_MAX + 1];
};
/* Those whose key is name->key. 0, or negative errno. */
int belt_out_find(struct belt_out_found *found, const char *path, const struct belt_out_name *name);

/* ---- settings ------------------------------------------------------------------ */

enum { BELT_MODE_REPLACE, BELT_MODE_APPEND };
enum { BELT_SYNC_NONE, BELT_SYNC_END, BELT_SYNC_BATCH };
enum { BELT_OUT_BUFFERED, BELT_OUT_DIRECT, BELT_OUT_TRY_DIRECT };

struct belt_rotate_conf {
    uint64_t size, every; /* 0: never */
    int64_t keep;         /* 0: all */
};

struct belt_file_conf {
    const char *path;
    int mode, sync, compression, direct;
    int64_t open_files, max_files, level;
    uint64_t sync_every;
    const struct belt_node *rotate_node;
    struct belt_rotate_conf rotate;
};

/* ---- files --------------------------------------------------------------------- */

struct belt_out {
    struct belt_target target; /* first; fd -1: not open; offset kept over an eviction */
    struct belt_file_sink *sink;
    const char *key;
    uint32_t key_size, hash;
    uint32_t next_of_bucket; /* 1 + its index; 0: none */
    uint32_t n;              /* of {n}; 0: not chosen */
    uint32_t more;           /* PATH.1, PATH.2: files begun because a sync of the last one failed */
    bool begun;              /* opened before: what is in it from `base` on is ours */
    bool partial;            /* written beside its place */
    uint64_t wall;           /* when it was begun */
    uint64_t base;           /* bytes that were there before */
    uint64_t inode;
    struct belt_out *older, *newer; /* among the open ones, by last use */
};

struct belt_file_sink {
    const struct belt_file_conf *conf;
    struct belt_writer writer;
    const struct belt_format *format;
    const char *header;
    uint32_t header_size;
    bool keyed, numbered;
    struct belt_out *outs; /* [max_files]; memory comes with its use */
    uint32_t outs_used, outs_most;
    uint32_t *buckets; /* 1 + index of an out; a power of two of them */
    uint32_t bucket_mask;
    char *keys;
    size_t keys_used;
    struct belt_out *newest, *oldest;
    int64_t open;
    uint64_t now, wall_less_now;
    uint32_t barren;        /* files in a row of which no sync went well */
    struct belt_error late; /* what cannot be said to a batch: told at the end */
    char path[PATH_MAX], partial[PATH_MAX], name[PATH_MAX];
};

/* Obtains all memory: one file, or max_files of them. */
int belt_outs_new(struct belt_file_sink *s, struct belt_error *err);
void belt_outs_free(struct belt_file_sink *s);
/* The file of a key; without "{key}" in the path there is one for all. */
struct belt_out *belt_outs_of(struct belt_file_sink *s, const char *key, uint32_t size,
                              struct belt_error *err);
/* It is used now: the last one to be closed for others. */
void belt_outs_touch(struct belt_file_sink *s, struct belt_out *out);
void belt_outs_opened(struct belt_file_sink *s, struct belt_out *out);
/* The descriptor is closed; negative: what was written may be lost. */
int belt_outs_close(struct belt_file_sink *s, struct belt_out *out);
/* Closes the one unused for longest that has no batch under way. */
void belt_outs_evict(struct belt_file_sink *s);

static inline uint64_t belt_sink_wall(const struct belt_file_sink *s)
{
    return s->now + s->wall_less_now;
}

/* Opens it: new, or again where it ended. */
int belt_out_open(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err);
/* Open: written past the page cache from now on, if so set and it can be. */
int belt_out_go_direct(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err);
/* Before anything is written: whether files in this directory, or this file, can be so. */
int belt_out_check_direct(const char *path, bool there, struct belt_error *err);
/* A descriptor, or negative errno; closes others when there are too many. */
int belt_out_try_open(struct belt_file_sink *s, const char *path, int flags);
/* Drained: on the disk if so set, closed, under its name. */
int belt_out_complete(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err);
/* A sync failed: what is settled stays under its name; the next open() begins a new file. */
int belt_out_give_up(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err);
/* It is over by its size (`more` bytes are to come) or its time. */
bool belt_out_over(const struct belt_file_sink *s, const struct belt_out *out, uint64_t more);
/* Completes it, whatever is under way, and begins a new one with the next row. */
int belt_out_rotate(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err);

#endif
