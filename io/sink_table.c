/* The files of a sink: by key, and those that are open by their last use. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash_priv.h"
#include "io/sink_file_priv.h"

/* ---- by key -------------------------------------------------------------------- */

static const char *name_of(struct belt_target *target)
{
    struct belt_out *out = (struct belt_out *)(void *)target;
    struct belt_file_sink *s = out->sink;
    struct belt_out_name name = { out->key, out->key_size, out->n, out->wall };
    return belt_out_path(s->name, s->conf->path, &name) < 0 ? s->conf->path : s->name;
}

int belt_outs_new(struct belt_file_sink *s, struct belt_error *err)
{
    uint32_t buckets = 1;
    s->outs_most = s->keyed ? (uint32_t)s->conf->max_files : 1;
    while (buckets < s->outs_most)
        buckets *= 2;
    /* Pages of it come when they are first used. */
    s->outs = calloc(s->outs_most, sizeof *s->outs);
    s->buckets = calloc(buckets, sizeof *s->buckets);
    s->keys = calloc(s->outs_most, NAME_MAX + BELT_PAD);
    s->bucket_mask = buckets - 1;
    if (s->outs && s->buckets && s->keys)
        return 0;
    belt_outs_free(s);
    return belt_error_set(err, -ENOMEM, "sink file: no memory for %u files: lower max_files",
                          s->outs_most);
}

static int close_it(struct belt_target *target)
{
    int rc = close(target->fd) < 0 && errno != EINTR ? -errno : 0;
    if (target->unit)
        close(target->direct_fd); /* each of its writes has said what became of it */
    target->fd = -1;
    target->unit = 0;
    return rc;
}

void belt_outs_free(struct belt_file_sink *s)
{
    for (uint32_t i = 0; i < s->outs_used; i++)
        if (s->outs[i].target.fd >= 0)
            close_it(&s->outs[i].target);
    free(s->outs);
    free(s->buckets);
    free(s->keys);
    s->outs = NULL;
    s->buckets = NULL;
    s->keys = NULL;
    s->outs_used = 0;
}

static struct belt_out *add(struct belt_file_sink *s, const char *key, uint32_t size, uint32_t hash,
                            struct belt_error *err)
{
    if (size > NAME_MAX) {
        belt_error_set(err, -ENAMETOOLONG, "a key of %u bytes is longer than a file's name", size);
        return NULL;
    }
    if (s->outs_used == s->outs_most) {
        belt_error_set(err, -ENOSPC, "%s: more than %u keys: raise max_files", s->conf->path,
                       s->outs_most);
        return NULL;
    }
    struct belt_out *out = &s->outs[s->outs_used++];
    uint32_t *bucket = &s->buckets[hash & s->bucket_mask];
    char *copy = s->keys + s->keys_used;
    memcpy(copy, key, size);
    s->keys_used += size;
    *out = (struct belt_out){ .target = { .fd = -1, .name_of = name_of },
                              .sink = s,
                              .key = copy,
                              .key_size = size,
                              .hash = hash,
                              .next_of_bucket = *bucket };
    *bucket = s->outs_used;
    return out;
}

struct belt_out *belt_outs_of(struct belt_file_sink *s, const char *key, uint32_t size,
                              struct belt_error *err)
{
    size = s->keyed ? size : 0;
    uint32_t hash = belt_hash(key, size);
    for (uint32_t at = s->buckets[hash & s->bucket_mask]; at; at = s->outs[at - 1].next_of_bucket) {
        struct belt_out *out = &s->outs[at - 1];
        if (out->hash == hash && out->key_size == size && memcmp(out->key, key, size) == 0)
            return out;
    }
    return add(s, key, size, hash, err);
}

/* ---- by use -------------------------------------------------------------------- */

static void unlink_use(struct belt_file_sink *s, struct belt_out *out)
{
    *(out->older ? &out->older->newer : &s->oldest) = out->newer;
    *(out->newer ? &out->newer->older : &s->newest) = out->older;
}

static void link_newest(struct belt_file_sink *s, struct belt_out *out)
{
    out->older = s->newest;
    out->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = out;
    s->newest = out;
}

void belt_outs_touch(struct belt_file_sink *s, struct belt_out *out)
{
    if (out == s->newest)
        return;
    unlink_use(s, out);
    link_newest(s, out);
}

void belt_outs_opened(struct belt_file_sink *s, struct belt_out *out)
{
    link_newest(s, out);
    s->open++;
}

int belt_outs_close(struct belt_file_sink *s, struct belt_out *out)
{
    unlink_use(s, out);
    s->open--;
    return close_it(&out->target);
}

void belt_outs_evict(struct belt_file_sink *s)
{
    for (;;) {
        for (struct belt_out *out = s->oldest; out; out = out->newer) {
            if (out->target.queued)
                continue;
            int rc = belt_outs_close(s, out);
            if (rc < 0 && !s->late.code)
                belt_target_error(&out->target, "close", rc, &s->late);
            return;
        }
        belt_writer_drain(&s->writer, &s->oldest->target);
    }
}
