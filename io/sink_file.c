/* The sink `file`: batches into one file, or into one for each key. With mode
 * `replace` a file is written beside its place as PATH.partial and renamed when it is
 * complete; a run that stops early leaves the .partial files there and the old ones as
 * they were. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/settings_priv.h"
#include "core/setup_priv.h"
#include "io/sink_file_priv.h"

#define AT(field) offsetof(struct belt_file_conf, field)
#define IN_ROTATE(field) offsetof(struct belt_rotate_conf, field)

static const struct belt_setting settings[] = {
    { "path", BELT_SET_TEXT, AT(path), NULL,
      "file to write; {key} in it stands for the batch key, a file each; {n} and {date} for the "
      "number and the beginning of a file",
      NULL, 0, 0 },
    { "mode", BELT_SET_CHOICE, AT(mode), "replace",
      "replace: a new file takes the place of the old one at the end; append: add to it",
      "replace|append", 0, 0 },
    { "rotate", BELT_SET_TREE, AT(rotate_node), "",
      "a new file by size and time: { size: 1GiB, every: 1h, keep: 24 }; with {n} in path", NULL, 0,
      0 },
    { "compression", BELT_SET_CHOICE, AT(compression), "none",
      "each batch a gzip member, or a zstd frame, of its own", BELT_PACKINGS, 0, 0 },
    { "level", BELT_SET_INT, AT(level), "0",
      "of compression: 1 is fastest, gz up to 9, zstd to 19; 0: 6 or 3", NULL, 0, 19 },
    { "sync", BELT_SET_CHOICE, AT(sync), "none",
      "end: the disk holds the files before the run ends; batch: before a message is settled",
      "none|end|batch", 0, 0 },
    { "direct", BELT_SET_CHOICE, AT(direct), "false",
      "write past the page cache (O_DIRECT), in blocks of 1 MiB; auto: where the file system can",
      "false|true|auto", 0, 0 },
    { "sync_every", BELT_SET_TIME, AT(sync_every), "0s",
      "with sync: batch, one sync of a file so often, for all batches since; 0s: 5 ms after the "
      "last one, or when eight batches wait",
      NULL, 0, 0 },
    { "open_files", BELT_SET_INT, AT(open_files), "64", "most files kept open at once", NULL, 1,
      1 << 20 },
    { "max_files", BELT_SET_INT, AT(max_files), "100000",
      "most keys, of each instance; batches of others fail", NULL, 1, 1 << 26 },
    { 0 },
};

static const struct belt_setting rotate_settings[] = {
    { "size", BELT_SET_SIZE, IN_ROTATE(size), "0B",
      "most bytes of a file, unless one batch alone has more", NULL, 0, 0 },
    { "every", BELT_SET_TIME, IN_ROTATE(every), "0s", "so often, by the clock: 1h: at each hour",
      NULL, 0, 0 },
    { "keep", BELT_SET_INT, IN_ROTATE(keep), "0",
      "most complete files; older ones are removed; 0: all", NULL, 0, INT32_MAX },
    { 0 },
};

/* ---- before anything is written ------------------------------------------------ */

static int check_rotate(struct belt_file_conf *conf, struct belt_error *err)
{
    const struct belt_node *node = conf->rotate_node;
    struct belt_settings_in in = {
        .table = rotate_settings, .node = node, .at = node, .what = "rotate"
    };
    if (!node)
        return 0;
    struct belt_tree *tree = belt_tree_new(); /* of defaults, read at once */
    if (!tree)
        return belt_error_set(err, -ENOMEM, "rotate: out of memory");
    int rc = belt_settings_read(&in, &conf->rotate, tree, err);
    belt_tree_free(tree);
    if (rc < 0)
        return rc;
    if (!belt_out_has(conf->path, "{n}"))
        return belt_node_error(err, node,
                               "rotate: the files need different names: put {n} into "
                               "path, as in log-{n}.txt");
    if (!conf->rotate.size && !conf->rotate.every)
        return belt_node_error(err, node, "rotate: set size, or every, or both");
    if (conf->rotate.every && conf->rotate.every < 1000000000u)
        return belt_node_error(err, node, "rotate: every is at least 1s");
    return 0;
}

static int check_names(const struct belt_file_conf *conf, const struct belt_node *node,
                       struct belt_error *err)
{
    const char *slash = strrchr(conf->path, '/');
    const char *n = strstr(conf->path, "{n}"), *date = strstr(conf->path, "{date}");
    int size;
    const char *unknown = belt_out_unknown(conf->path, &size);
    if (unknown)
        return belt_node_error(err, node,
                               "path: no %.*s in names of files; there are {key}, {n} and {date}; "
                               "for a file each value of a field: {key}, and key: FIELD at the "
                               "batcher",
                               size, unknown);
    if (slash && ((n && n < slash) || (date && date < slash)))
        return belt_node_error(err, node,
                               "path: {n} and {date} belong to a file's name, not to "
                               "its directory");
    if (n && conf->mode == BELT_MODE_APPEND)
        return belt_node_error(err, node,
                               "path: with {n} each file is a new one: leave mode: append away");
    return 0;
}

static int check_sync(const struct belt_file_conf *conf, const struct belt_setup *setup,
                      struct belt_error *err)
{
    const struct belt_node *node = belt_setup_node(setup);
    bool replaces = conf->mode == BELT_MODE_REPLACE && !belt_out_has(conf->path, "{n}");
    if (conf->sync == BELT_SYNC_BATCH && replaces)
        return belt_node_error(err, node,
                               "sync: batch: what is settled must not be replaced by a "
                               "later run: set mode: append, put {n} into path, or sync: end");
    if (replaces && belt_setup_resumed(setup))
        return belt_node_error(err, node,
                               "path: a run would replace what the one before has written, and "
                               "the source goes on behind that: set mode: append, or put {n} "
                               "into path");
    if (conf->sync_every && conf->sync != BELT_SYNC_BATCH)
        return belt_node_error(err, node, "sync_every needs sync: batch");
    return 0;
}

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct belt_file_conf *conf = part_conf;
    const struct belt_node *node = belt_setup_node(setup);
    if (!*conf->path)
        return belt_node_error(err, node, "path: name the file to write");
    int rc = check_rotate(conf, err);
    if (rc == 0)
        rc = check_names(conf, node, err);
    if (rc == 0)
        rc = check_sync(conf, setup, err);
    if (rc == 0)
        rc = belt_packer_check(conf->compression, conf->level, node, err);
    if (rc == 0 && !belt_out_has(conf->path, "{key}"))
        belt_setup_limit(setup, 1); /* two writers would overwrite each other */
    if (conf->direct)
        belt_setup_memory(setup, BELT_BLOCKS * (uint64_t)BELT_DIRECT_BLOCK);
    return rc;
}

static int check_directory(const char *path, size_t size, bool direct, struct belt_error *err)
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
    else if (direct)
        rc = belt_out_check_direct(directory, false, err);
    free(directory);
    return rc;
}

/* Bytes of `path` before the first part that is filled in; all of it without one. */
static size_t known_size(const char *path)
{
    static const char *const words[] = { "{key}", "{n}", "{date}" };
    size_t size = strlen(path);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const char *at = strstr(path, words[w]);
        size = at && (size_t)(at - path) < size ? (size_t)(at - path) : size;
    }
    return size;
}

/* What can be known of the place: its directory as far as nothing is filled in. */
static int check_place(void *part_conf, struct belt_error *err)
{
    const struct belt_file_conf *conf = part_conf;
    struct stat st;
    size_t size = known_size(conf->path);
    int there = conf->path[size] ? -1 : stat(conf->path, &st);
    while (size && conf->path[size - 1] != '/')
        size--;
    if (there == 0 && S_ISDIR(st.st_mode))
        return belt_error_set(err, -EISDIR, "cannot write %s: it is a directory", conf->path);
    bool direct = conf->direct == BELT_OUT_DIRECT;
    bool in_place = there == 0 && (conf->mode == BELT_MODE_APPEND || !S_ISREG(st.st_mode));
    if (!in_place)
        return check_directory(conf->path, size > 1 ? size - 1 : size, direct, err);
    if (access(conf->path, W_OK) < 0)
        return belt_error_set(err, -errno,
                              "cannot write %s: %s; write elsewhere or change its "
                              "permissions",
                              conf->path, strerror(errno));
    return direct ? belt_out_check_direct(conf->path, true, err) : 0;
}

/* ---- an instance --------------------------------------------------------------- */

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct belt_file_sink *s = state;
    s->conf = conf;
    s->keyed = belt_out_has(s->conf->path, "{key}");
    s->numbered = belt_out_has(s->conf->path, "{n}");
    s->format = in->format;
    s->header = in->header;
    s->header_size = in->header_size;
    s->now = belt_now();
    s->wall_less_now = (uint64_t)belt_epoch() - s->now;
    int rc = belt_outs_new(s, err);
    if (rc < 0)
        return rc;
    rc = belt_writer_open(&s->writer, in->backend, err);
    if (rc == 0) {
        s->writer.durable = s->conf->sync == BELT_SYNC_BATCH;
        s->writer.every = s->conf->sync_every;
        rc = belt_writer_pack(&s->writer, s->conf->compression, (int)s->conf->level, err);
        if (rc == 0 && s->conf->direct)
            rc = belt_writer_direct(&s->writer, err);
        if (rc < 0)
            belt_writer_close(&s->writer);
    }
    if (rc < 0)
        belt_outs_free(s);
    return rc;
}

/* Open, and with room for so many bytes more. */
static int make_ready(struct belt_file_sink *s, struct belt_out *out, uint64_t size,
                      struct belt_error *err)
{
    int rc = 0;
    if (out->target.broken) {
        belt_writer_drain(&s->writer, &out->target);
        rc = belt_out_give_up(s, out, err);
    } else if (belt_out_over(s, out, size)) {
        rc = belt_out_rotate(s, out, err);
    }
    if (rc < 0)
        return rc;
    if (out->target.fd < 0)
        return belt_out_open(s, out, err);
    belt_outs_touch(s, out);
    return 0;
}

static int batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    struct belt_file_sink *s = state;
    struct belt_out *out = belt_outs_of(s, batch->key, batch->key_size, err);
    if (!out)
        return err->code;
    int rc = make_ready(s, out, batch->bytes_size, err);
    if (rc == 0)
        return belt_writer_put(&s->writer, &out->target, batch, err);
    belt_target_account(&out->target, batch, rc);
    return rc;
}

static int poll_writes(void *state)
{
    return belt_writer_poll(&((struct belt_file_sink *)state)->writer);
}

static int fd(void *state)
{
    const struct belt_backend *backend = ((struct belt_file_sink *)state)->writer.backend;
    return backend->in_flight ? backend->ops->fd(backend) : -1;
}

/* Files whose time is over are complete although no row comes. */
static uint64_t tick(void *state, uint64_t now)
{
    struct belt_file_sink *s = state;
    uint64_t every = s->conf->rotate.every, before = belt_sink_wall(s);
    s->now = s->writer.now = now;
    uint64_t wall = belt_sink_wall(s), due = belt_writer_deadline(&s->writer);
    if (!every)
        return due;
    for (uint32_t i = 0; before / every != wall / every && i < s->outs_used; i++) {
        struct belt_error err;
        if (belt_out_over(s, &s->outs[i], 0) && belt_out_rotate(s, &s->outs[i], &err) < 0 &&
            !s->late.code)
            s->late = err;
    }
    uint64_t next = now + every - wall % every;
    return next < due ? next : due;
}

/* A complete run leaves a file even when there was no row for it. */
static int finish(void *state, bool complete, struct belt_error *err)
{
    struct belt_file_sink *s = state;
    if (!complete)
        return 0;
    belt_writer_drain(&s->writer, NULL);
    int rc = 0;
    struct belt_out *only = s->keyed ? NULL : belt_outs_of(s, "", 0, err);
    if (only && !only->begun && !(only->n > 1 || only->more))
        rc = belt_out_open(s, only, err);
    for (uint32_t i = 0; i < s->outs_used && rc == 0; i++) {
        struct belt_out *out = &s->outs[i];
        if (out->begun)
            rc =
                out->target.broken ? belt_out_give_up(s, out, err) : belt_out_complete(s, out, err);
    }
    if (rc == 0 && s->late.code) {
        *err = s->late;
        rc = err->code;
    }
    return rc;
}

static void fini(void *state, void *conf)
{
    struct belt_file_sink *s = state;
    (void)conf;
    belt_writer_close(&s->writer);
    belt_outs_free(s);
}

const struct belt_sink belt_sink_file = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SINK,
        .name = "file",
        .help = "rows into a file, or into one for each batch key",
        .settings = settings,
        .conf_size = sizeof(struct belt_file_conf),
        .state_size = sizeof(struct belt_file_sink),
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
    .tick = tick,
};
