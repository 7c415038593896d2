/* The sink `file`: batches into one file, or into one for each key. With mode
 * `replace` a file is written beside its place as PATH.partial and renamed when
 * the run is complete; a run that stops early leaves the .partial files there
 * and the old ones as they were. */
#include "io/sink_file_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash_priv.h"
#include "io/writer_priv.h"

enum { MODE_REPLACE, MODE_APPEND };

struct sink_conf {
    const char *path;
    int mode;
    int64_t open_files;
    bool sync;
};

struct out_file {
    struct belt_target target; /* fd -1: not open; offset kept over an eviction */
    char *path, *partial;      /* partial NULL: written in place */
    char *key;
    uint32_t key_size, hash;
    bool begun; /* opened before: what is in it is ours */
    struct out_file *next_of_bucket, *next_of_all;
    struct out_file *older, *newer; /* among the open ones, by last use */
};

struct sink_state {
    struct sink_conf *conf;
    struct belt_writer writer;
    const char *header;
    uint32_t header_size;
    bool keyed;
    struct out_file *all;
    struct out_file **buckets;
    uint32_t buckets_used, files; /* buckets: a power of two */
    struct out_file *newest, *oldest;
    int64_t open;
};

static const struct belt_setting settings[] = {
    { "path", BELT_SET_TEXT, offsetof(struct sink_conf, path), NULL,
      "file to write; {key} in it stands for the batch key, a file each", NULL, 0, 0 },
    { "mode", BELT_SET_CHOICE, offsetof(struct sink_conf, mode), "replace",
      "replace: a new file takes the place of the old one at the end; append: add to it",
      "replace|append", 0, 0 },
    { "open_files", BELT_SET_INT, offsetof(struct sink_conf, open_files), "64",
      "most files kept open at once", NULL, 1, 1 << 20 },
    { "sync", BELT_SET_BOOL, offsetof(struct sink_conf, sync), "false",
      "have the disk hold the files before the run ends", NULL, 0, 0 },
    { 0 },
};

/* ---- names --------------------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static char *put_key(char *to, const char *key, uint32_t size)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!size)
        *to++ = '%';
    for (uint32_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)key[i];
        if (is_plain(c) && (c != '.' || i)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

char *belt_sink_path(const char *path, const char *key, uint32_t key_size)
{
    size_t keys = 0;
    for (const char *at = path; (at = strstr(at, "{key}")); at += 5)
        keys++;
    char *out = malloc(strlen(path) + keys * (3 * (size_t)key_size + 1) + 1);
    char *to = out;
    while (out && *path) {
        if (strncmp(path, "{key}", 5) == 0) {
            to = put_key(to, key, key_size);
            path += 5;
        } else {
            *to++ = *path++;
        }
    }
    if (out)
        *to = 0;
    return out;
}

/* ---- before anything is written ------------------------------------------------ */

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    const struct sink_conf *conf = part_conf;
    if (!*conf->path)
        return belt_node_error(err, belt_setup_node(setup), "path: name the file to write");
    if (!strstr(conf->path, "{key}"))
        belt_setup_limit(setup, 1); /* two writers would overwrite each other */
    return 0;
}

static int check_directory(const char *path, size_t size, struct belt_error *err)
{
    char *directory = size ? strndup(path, size) : strdup(".");
    struct stat st;
    int rc = 0;
    if (!directory)
        return belt_error_set(err, -ENOMEM, "sink file: out of memory");
    if (stat(directory, &st) < 0)
        rc = belt_error_set(err, -errno, "cannot write %s: directory %s: %s; make it first", path,
                            directory, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        rc = belt_error_set(err, -ENOTDIR, "cannot write %s: %s is no directory", path, directory);
    else if (access(directory, W_OK | X_OK) < 0)
        rc = belt_error_set(err, -errno,
                            "cannot write %s: directory %s: %s; write elsewhere or "
                            "change its permissions",
                            path, directory, strerror(errno));
    free(directory);
    return rc;
}

/* What can be known of the place: its directory as far as no key is in it. */
static int check_place(void *part_conf, struct belt_error *err)
{
    const struct sink_conf *conf = part_conf;
    const char *key = strstr(conf->path, "{key}");
    struct stat st;
    size_t size = key ? (size_t)(key - conf->path) : strlen(conf->path);
    while (size && conf->path[size - 1] != '/')
        size--;
    int there = key ? -1 : stat(conf->path, &st);
    if (there == 0 && S_ISDIR(st.st_mode))
        return belt_error_set(err, -EISDIR, "cannot write %s: it is a directory", conf->path);
    bool in_place = there == 0 && (conf->mode == MODE_APPEND || !S_ISREG(st.st_mode));
    if (!in_place)
        return check_directory(conf->path, size > 1 ? size - 1 : size, err);
    if (access(conf->path, W_OK) < 0)
        return belt_error_set(err, -errno,
                              "cannot write %s: %s; write elsewhere or change its "
                              "permissions",
                              conf->path, strerror(errno));
    return 0;
}

/* ---- open files ---------------------------------------------------------------- */

static void unlink_use(struct sink_state *s, struct out_file *file)
{
    *(file->older ? &file->older->newer : &s->oldest) = file->newer;
    *(file->newer ? &file->newer->older : &s->newest) = file->older;
}

static void link_newest(struct sink_state *s, struct out_file *file)
{
    file->older = s->newest;
    file->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = file;
    s->newest = file;
}

static void close_file(struct sink_state *s, struct out_file *file)
{
    unlink_use(s, file);
    close(file->target.fd);
    file->target.fd = -1;
    s->open--;
}

/* Closes the file unused for longest that has no batch under way. */
static void evict(struct sink_state *s)
{
    for (;;) {
        for (struct out_file *file = s->oldest; file; file = file->newer)
            if (!file->target.queued) {
                close_file(s, file);
                return;
            }
        belt_writer_wait(&s->writer);
        belt_writer_poll(&s->writer);
    }
}

/* Written beside its place, unless something other than a file is there
 * (/dev/null, a pipe): that must not be renamed over. */
static int choose_name(struct sink_state *s, struct out_file *file, struct belt_error *err)
{
    struct stat st;
    bool there = stat(file->path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return belt_error_set(err, -EISDIR, "write %s: it is a directory", file->path);
    if (s->conf->mode == MODE_APPEND || (there && !S_ISREG(st.st_mode)))
        return 0;
    file->partial = malloc(strlen(file->path) + sizeof ".partial");
    if (!file->partial)
        return belt_error_set(err, -ENOMEM, "write %s: out of memory", file->path);
    strcat(strcpy(file->partial, file->path), ".partial");
    file->target.name = file->partial;
    return 0;
}

static int begin(struct sink_state *s, struct out_file *file, struct belt_error *err)
{
    struct stat st;
    bool regular = fstat(file->target.fd, &st) == 0 && S_ISREG(st.st_mode);
    file->target.offset = regular ? (uint64_t)st.st_size : BELT_IO_STREAM;
    file->begun = true;
    if (regular && lseek(file->target.fd, 0, SEEK_END) > 0)
        return 0;
    return belt_writer_header(&file->target, s->header, s->header_size, err);
}

static int open_file(struct sink_state *s, struct out_file *file, struct belt_error *err)
{
    int rc = file->begun || file->partial ? 0 : choose_name(s, file, err);
    if (rc < 0)
        return rc;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    if (file->partial && !file->begun)
        flags |= O_TRUNC; /* left by a run that stopped early */
    while (s->open >= s->conf->open_files)
        evict(s);
    while ((file->target.fd = open(file->target.name, flags, 0666)) < 0 && errno == EMFILE &&
           s->open)
        evict(s);
    if (file->target.fd < 0)
        return belt_error_set(err, -errno, "write %s: %s", file->target.name, strerror(errno));
    link_newest(s, file);
    s->open++;
    rc = file->begun ? 0 : begin(s, file, err);
    if (rc < 0) {
        close_file(s, file);
        file->begun = false;
    }
    return rc;
}

/* ---- by key -------------------------------------------------------------------- */

static void grow(struct sink_state *s)
{
    uint32_t size = s->buckets_used ? 2 * s->buckets_used : 64;
    struct out_file **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return; /* longer chains, no harm */
    free(s->buckets);
    s->buckets = buckets;
    s->buckets_used = size;
    for (struct out_file *file = s->all; file; file = file->next_of_all) {
        file->next_of_bucket = buckets[file->hash & (size - 1)];
        buckets[file->hash & (size - 1)] = file;
    }
}

static void free_file(struct out_file *file)
{
    free(file->path);
    free(file->partial);
    free(file->key);
    free(file);
}

static struct out_file *add_file(struct sink_state *s, const char *key, uint32_t size,
                                 uint32_t hash)
{
    if (s->files >= s->buckets_used)
        grow(s);
    struct out_file *file = s->buckets ? calloc(1, sizeof *file) : NULL;
    if (!file)
        return NULL;
    file->path = belt_sink_path(s->conf->path, key, size);
    file->key = malloc((size_t)size + 1);
    if (!file->path || !file->key) {
        free_file(file);
        return NULL;
    }
    memcpy(file->key, key, size);
    file->key_size = size;
    file->hash = hash;
    file->target = (struct belt_target){ .fd = -1, .name = file->path };
    file->next_of_all = s->all;
    s->all = file;
    file->next_of_bucket = s->buckets[hash & (s->buckets_used - 1)];
    s->buckets[hash & (s->buckets_used - 1)] = file;
    s->files++;
    return file;
}

/* The file of a key; without "{key}" in the path there is one for all. */
static struct out_file *file_of(struct sink_state *s, const char *key, uint32_t size)
{
    if (!s->keyed)
        size = 0;
    uint32_t hash = belt_hash(key, size);
    struct out_file *file = s->buckets ? s->buckets[hash & (s->buckets_used - 1)] : NULL;
    for (; file; file = file->next_of_bucket)
        if (file->hash == hash && file->key_size == size && memcmp(file->key, key, size) == 0)
            return file;
    return add_file(s, key, size, hash);
}

/* ---- an instance --------------------------------------------------------------- */

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct sink_state *s = state;
    s->conf = conf;
    s->keyed = strstr(s->conf->path, "{key}") != NULL;
    s->header = in->header;
    s->header_size = in->header_size;
    return belt_writer_open(&s->writer, in->backend, err);
}

static int batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    struct sink_state *s = state;
    struct out_file *file = file_of(s, batch->key, batch->key_size);
    if (!file)
        return belt_error_set(err, -ENOMEM, "write %s: out of memory", s->conf->path);
    if (file->target.fd < 0) {
        int rc = open_file(s, file, err);
        if (rc < 0) {
            belt_target_account(&file->target, batch, rc);
            return rc;
        }
    } else if (file != s->newest) {
        unlink_use(s, file);
        link_newest(s, file);
    }
    return belt_writer_put(&s->writer, &file->target, batch, err);
}

static int poll_writes(void *state)
{
    return belt_writer_poll(&((struct sink_state *)state)->writer);
}

static int fd(void *state)
{
    const struct belt_backend *backend = ((struct sink_state *)state)->writer.backend;
    return backend->in_flight ? backend->ops->fd(backend) : -1;
}

/* A new name is on the disk when its directory is. */
static int sync_directory(const char *path, struct belt_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + (slash == path) : 1;
    char *directory = strndup(slash ? path : ".", size);
    int at = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = at >= 0 && fsync(at) == 0 ? 0 : -1;
    if (rc < 0)
        rc = belt_error_set(err, -errno, "sync %s: %s", directory ? directory : path,
                            strerror(errno));
    if (at >= 0)
        close(at);
    free(directory);
    return rc;
}

static int complete_file(struct sink_state *s, struct out_file *file, struct belt_error *err)
{
    int rc = 0;
    if (s->conf->sync && file->target.offset != BELT_IO_STREAM) {
        rc = file->target.fd < 0 ? open_file(s, file, err) : 0;
        rc = rc < 0 ? rc : belt_writer_sync(&s->writer, &file->target, err);
    }
    if (file->target.fd >= 0)
        close_file(s, file);
    /* Rows are missing, as was reported: the old file is the better one, and what
     * could be written stays beside it. */
    if (rc < 0 || !file->partial || file->target.torn)
        return rc;
    if (rename(file->partial, file->path) < 0)
        return belt_error_set(err, -errno, "rename %s to %s: %s", file->partial, file->path,
                              strerror(errno));
    return s->conf->sync ? sync_directory(file->path, err) : 0;
}

/* A complete run leaves a file even when there was no row for it. */
static int finish(void *state, bool complete, struct belt_error *err)
{
    struct sink_state *s = state;
    if (!complete)
        return 0;
    while (s->writer.backend->in_flight || s->writer.ended) {
        belt_writer_wait(&s->writer);
        belt_writer_poll(&s->writer);
    }
    int rc = 0;
    struct out_file *only = s->keyed ? NULL : file_of(s, "", 0);
    if (only && !only->begun)
        rc = open_file(s, only, err);
    for (struct out_file *file = s->all; file; file = file->next_of_all)
        if (file->begun && rc == 0)
            rc = complete_file(s, file, err);
    return rc;
}

static void fini(void *state, void *conf)
{
    struct sink_state *s = state;
    (void)conf;
    belt_writer_close(&s->writer);
    for (struct out_file *file = s->all, *next; file; file = next) {
        next = file->next_of_all;
        if (file->target.fd >= 0)
            close(file->target.fd);
        free_file(file);
    }
    free(s->buckets);
    s->all = NULL;
    s->buckets = NULL;
}

const struct belt_sink belt_sink_file = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SINK,
        .name = "file",
        .help = "rows into a file, or into one for each batch key",
        .settings = settings,
        .conf_size = sizeof(struct sink_conf),
        .state_size = sizeof(struct sink_state),
        .prepare = prepare,
        .open = check_place,
        .init = init,
        .fini = fini,
        .scalar = "path",
    },
    .batch = batch,
    .poll = poll_writes,
    .finish = finish,
    .fd = fd,
};
