/* A file's life: opened beside its place, written, under its name when it is over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sink_file_priv.h"

#define BARREN 8 /* files in a row that no sync went well for: then the disk is broken */

/* ---- names --------------------------------------------------------------------- */

/* Into s->path, and s->partial for what is written meanwhile. */
static int name_it(struct belt_file_sink *s, const struct belt_out *out, struct belt_error *err)
{
    struct belt_out_name name = { out->key, out->key_size, out->n, out->wall };
    const char *path = s->conf->path;
    int size = belt_out_path(s->path, path, &name);
    int room = size < 0 ? -1 : PATH_MAX - size;
    if (room >= 0 && out->more)
        size += snprintf(s->path + size, (size_t)room, ".%u", out->more);
    if (room < 0 || size >= PATH_MAX ||
        snprintf(s->partial, PATH_MAX, "%s.partial", s->path) >= PATH_MAX)
        return belt_error_set(err, -ENAMETOOLONG, "write %s: the name is too long", path);
    return 0;
}

static int refused(int code, const char *what, const char *path, struct belt_error *err)
{
    return belt_error_set(err, code, "%s %s: %s", what, path, strerror(-code));
}

/* A new name is on the disk when its directory is. */
static int sync_directory(struct belt_file_sink *s, struct belt_error *err)
{
    char *slash = strrchr(s->path, '/');
    strcpy(s->name, slash ? s->path : ".");
    if (slash)
        s->name[slash == s->path ? 1 : slash - s->path] = 0;
    int at = open(s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = at >= 0 && fsync(at) == 0 ? 0 : -errno;
    if (at >= 0)
        close(at);
    return rc < 0 ? refused(rc, "sync", s->name, err) : 0;
}

/* ---- what a killed run left -------------------------------------------------------- */

/* Whether `quote` stands in the file an odd number of times, as in a torn field. */
static int is_quoted(int fd, char quote, uint64_t size)
{
    char bytes[64 << 10];
    bool odd = false;
    for (uint64_t at = 0; at < size;) {
        ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : odd;
        at += (uint64_t)got;
        for (ssize_t i = 0; i < got; i++)
            odd ^= bytes[i] == quote;
    }
    return odd;
}

/* The next row begins a line of its own, whatever the last one lacks: it was not settled, and
 * comes again. The bytes that it wants in front, or negative errno. */
static int mend_rows(const struct belt_file_sink *s, int fd, uint64_t size, char mend[2])
{
    char last = '\n', quote = s->format ? s->format->quote : 0;
    if (!s->format || !s->format->end_size || pread(fd, &last, 1, (off_t)size - 1) < 0 ||
        last == '\n')
        return 0;
    int quoted = quote ? is_quoted(fd, quote, size) : 0;
    if (quoted < 0)
        return quoted;
    mend[0] = quoted ? quote : '\n';
    mend[1] = '\n';
    return 1 + quoted;
}

/* Where rows of a file of `size` bytes go on, and mend[], which goes in front: its size, or
 * negative errno. One that may not be read stays as it is. */
static int end_of(struct belt_file_sink *s, uint64_t size, uint64_t *end, char mend[2])
{
    *end = size;
    int fd = belt_out_try_open(s, s->path, O_RDONLY);
    if (fd < 0)
        return fd == -EACCES ? 0 : fd;
    int rc = s->conf->compression == BELT_PACK_NONE
                 ? mend_rows(s, fd, size, mend)
                 : belt_pack_end((enum belt_packing)s->conf->compression, fd, size, end);
    close(fd);
    return rc;
}

/* A file that rows are added to; *size is less when it was cut. */
static int go_on_behind(struct belt_file_sink *s, struct belt_target *target, uint64_t *size,
                        struct belt_error *err)
{
    uint64_t end;
    char mend[2];
    int more = end_of(s, *size, &end, mend);
    if (more < 0)
        return refused(more, "read", s->path, err);
    if (end < *size && ftruncate(target->fd, (off_t)end) < 0)
        return refused(-errno, "cut", s->path, err);
    if (lseek(target->fd, 0, SEEK_END) < 0)
        return refused(-errno, "write", s->path, err);
    target->offset = target->synced = *size = end;
    return more ? belt_writer_header(&s->writer, target, mend, (uint32_t)more, err) : 0;
}

/* ---- opening ------------------------------------------------------------------- */

/* One that must not exist: numbered, or what follows a file that could not be synced. */
static bool is_fresh(const struct belt_file_sink *s, const struct belt_out *out)
{
    return s->numbered || out->more;
}

/* The first number behind those that are there. */
static int number_it(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct belt_out_found found;
    struct belt_out_name name = { out->key, out->key_size, 1, out->wall };
    if (!s->numbered || out->n)
        return 0;
    int rc = belt_out_find(&found, s->conf->path, &name);
    if (rc < 0)
        return refused(rc, "write", s->conf->path, err);
    out->n = found.last + 1;
    return 0;
}

/* Beside its place, unless something other than a file is there (/dev/null, a pipe):
 * that must not be renamed over. 1: the place is taken, another must be looked for. */
static int choose_place(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct stat st;
    bool there = stat(s->path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return belt_error_set(err, -EISDIR, "write %s: it is a directory", s->path);
    if (there && is_fresh(s, out))
        return 1;
    bool append = s->conf->mode == BELT_MODE_APPEND && !s->numbered;
    out->partial = !append && !(there && !S_ISREG(st.st_mode));
    return 0;
}

int belt_out_try_open(struct belt_file_sink *s, const char *path, int flags)
{
    int fd;
    while ((fd = open(path, O_CLOEXEC | flags, 0666)) < 0 && errno == EMFILE && s->open)
        belt_outs_evict(s);
    return fd < 0 ? -errno : fd;
}

static int open_new(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    out->wall = belt_sink_wall(s);
    int rc = number_it(s, out, err);
    for (; rc == 0; s->numbered ? out->n++ : out->more++) {
        rc = name_it(s, out, err);
        int taken = rc < 0 ? rc : choose_place(s, out, err);
        if (taken < 0)
            return taken;
        if (taken)
            continue;
        bool fresh = is_fresh(s, out);
        int fd = belt_out_try_open(s, out->partial ? s->partial : s->path,
                                   O_WRONLY | O_CREAT |
                                       (fresh          ? O_EXCL
                                        : out->partial ? O_TRUNC
                                                       : 0));
        if (fd == -EEXIST && fresh)
            continue;
        return fd < 0 ? refused(fd, "write", s->path, err) : fd;
    }
    return rc;
}

/* It is as we left it, or somebody else has been at it. */
static int open_again(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct stat st;
    int rc = name_it(s, out, err);
    if (rc < 0)
        return rc;
    const char *path = out->partial ? s->partial : s->path;
    int fd = belt_out_try_open(s, path, O_WRONLY);
    if (fd < 0)
        return refused(fd, "write", path, err);
    bool ours = fstat(fd, &st) == 0 &&
                (out->target.offset == BELT_IO_STREAM ||
                 (st.st_ino == out->inode && (uint64_t)st.st_size >= out->target.offset));
    if (ours)
        return fd;
    close(fd);
    return belt_error_set(err, -ESTALE, "write %s: somebody else has changed it", path);
}

/* The descriptor is open: what is there already, and the header. */
static int begin(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct belt_target *target = &out->target;
    struct stat st;
    bool regular = fstat(target->fd, &st) == 0 && S_ISREG(st.st_mode);
    uint64_t size = regular ? (uint64_t)st.st_size : 0;
    out->inode = st.st_ino;
    target->offset = regular ? size : BELT_IO_STREAM;
    target->synced = size;
    out->begun = true;
    int rc = size ? go_on_behind(s, target, &size, err) : 0;
    out->base = size;
    if (rc < 0 || size)
        return rc;
    if (s->header_size)
        rc = belt_writer_header(&s->writer, target, s->header, s->header_size, err);
    if (rc == 0 && regular && s->conf->sync == BELT_SYNC_BATCH)
        rc = sync_directory(s, err);
    return rc;
}

int belt_out_open(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    if (s->barren >= BARREN)
        return belt_error_set(err, -EIO, "%s: no sync of the last %d files went well",
                              s->conf->path, BARREN);
    while (s->open >= s->conf->open_files)
        belt_outs_evict(s);
    int fd = out->begun ? open_again(s, out, err) : open_new(s, out, err);
    if (fd < 0)
        return fd;
    out->target.fd = fd;
    belt_outs_opened(s, out);
    int rc = out->begun ? 0 : begin(s, out, err);
    if (rc == 0 && s->conf->direct)
        rc = belt_out_go_direct(s, out, err);
    if (rc < 0) {
        belt_outs_close(s, out);
        out->begun = false;
    }
    return rc;
}

/* ---- ending -------------------------------------------------------------------- */

/* Another begins with the next row. */
static void forget(struct belt_out *out, uint32_t more)
{
    struct belt_target *target = &out->target;
    out->begun = out->partial = false;
    out->n += out->n ? 1 : 0;
    out->more = more;
    target->offset = target->synced = target->begun = 0;
    target->broken = 0;
}

static int take_place(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    if (out->partial && rename(s->partial, s->path) < 0)
        return belt_error_set(err, -errno, "rename %s to %s: %s", s->partial, s->path,
                              strerror(errno));
    return s->conf->sync == BELT_SYNC_NONE ? 0 : sync_directory(s, err);
}

/* The oldest ones of its key go, until `keep` are left. */
static int remove_old(struct belt_file_sink *s, const struct belt_out *out, struct belt_error *err)
{
    struct belt_out_name name = { out->key, out->key_size, out->n, out->wall };
    struct belt_out_found found;
    int rc = 0;
    while (s->conf->rotate.keep && rc == 0) {
        rc = belt_out_find(&found, s->conf->path, &name);
        if (rc < 0 || found.finished <= s->conf->rotate.keep)
            break;
        char *slash = strrchr(s->path, '/'), *file = slash ? slash + 1 : s->path;
        if ((size_t)(file - s->path) + strlen(found.oldest) >= PATH_MAX)
            return -ENAMETOOLONG;
        strcpy(file, found.oldest);
        rc = unlink(s->path) < 0 ? -errno : 0;
    }
    return rc < 0 ? refused(rc, "remove", s->path, err) : 0;
}

int belt_out_complete(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct belt_target *target = &out->target;
    if (!target->offset && s->conf->compression != BELT_PACK_NONE && target->fd >= 0) {
        int rc = belt_writer_header(&s->writer, target, "", 0, err);
        if (rc < 0)
            return rc;
    }
    bool sync = s->conf->sync != BELT_SYNC_NONE && target->offset != BELT_IO_STREAM &&
                target->offset != target->synced;
    int rc = sync && target->fd < 0 ? belt_out_open(s, out, err) : 0;
    if (sync && rc == 0)
        rc = belt_writer_sync(&s->writer, target, err);
    int closed = target->fd >= 0 ? belt_outs_close(s, out) : 0;
    if (rc == 0 && closed < 0)
        rc = belt_target_error(target, "close", closed, err);
    if (rc == 0)
        rc = name_it(s, out, err);
    /* Rows are missing, as was reported: the old file is the better one, and what
     * could be written stays beside it. */
    if (rc < 0 || (target->torn && !s->numbered))
        return rc;
    if (target->offset != BELT_IO_STREAM)
        rc = take_place(s, out, err);
    return rc < 0 ? rc : remove_old(s, out, err);
}

/* Its end is where the last good sync was: the rest is written again, elsewhere. */
int belt_out_give_up(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct belt_target *target = &out->target;
    uint64_t good = target->synced;
    s->barren = good == out->base ? s->barren + 1 : 0;
    if (target->fd >= 0)
        belt_outs_close(s, out);
    int rc = name_it(s, out, err);
    const char *path = out->partial ? s->partial : s->path;
    if (rc == 0 && truncate(path, (off_t)good) < 0)
        rc = refused(-errno, "cut", path, err);
    if (rc == 0 && out->partial && !good)
        rc = unlink(path) < 0 ? refused(-errno, "remove", path, err) : 0;
    else if (rc == 0)
        rc = take_place(s, out, err);
    forget(out, out->more + 1);
    return rc;
}

/* ---- rotation ------------------------------------------------------------------ */

bool belt_out_over(const struct belt_file_sink *s, const struct belt_out *out, uint64_t more)
{
    const struct belt_rotate_conf *rotate = &s->conf->rotate;
    const struct belt_target *target = &out->target;
    if (!out->begun || target->offset == BELT_IO_STREAM)
        return false;
    if (rotate->every && belt_sink_wall(s) / rotate->every != out->wall / rotate->every)
        return true;
    /* How much packed rows will take nobody knows before. */
    bool packed = s->conf->compression != BELT_PACK_NONE;
    uint64_t ahead = packed ? 0 : target->ahead + more;
    uint64_t end = packed && target->unit ? target->filled : target->offset;
    return rotate->size && (end || target->ahead) && end + ahead > rotate->size - (ahead ? 0 : 1);
}

int belt_out_rotate(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    belt_writer_drain(&s->writer, &out->target);
    if (out->target.broken)
        return belt_out_give_up(s, out, err);
    int rc = belt_out_complete(s, out, err);
    forget(out, 0);
    return rc;
}
