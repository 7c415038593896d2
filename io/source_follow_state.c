/* Where to go on after a restart. A position moves when all messages before it are
 * settled, and is on the disk before the next one is written: what a restart gives
 * again was not settled, or in the last tenth of a second. The file is replaced by
 * rename, so it is whole whenever the process ends.
 *
 *   beltway positions 1
 *   DEVICE INODE FIRST-BYTES THEIR-HASH BYTE LINE PATH      (one line a file) */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash_priv.h"
#include "io/source_follow_priv.h"

#define HEAD "beltway positions 1\n"
#define COOKIE 1

struct follow_print follow_print_of(int fd, uint64_t size)
{
    char first[FOLLOW_PRINT + BELT_PAD] = { 0 };
    size_t want = size < FOLLOW_PRINT ? (size_t)size : FOLLOW_PRINT;
    ssize_t got = pread(fd, first, want, 0);
    uint32_t have = got > 0 ? (uint32_t)got : 0;
    return (struct follow_print){ have, have ? belt_hash(first, have) : 0 };
}

/* ---- reading ------------------------------------------------------------------- */

static int refuse(const char *path, uint64_t line, struct belt_error *err)
{
    return belt_error_set(err, -EBADMSG,
                          "%s:%" PRIu64 ": these are no positions of files: name another file as "
                          "state, or remove it to begin anew",
                          path, line);
}

static int add_saved(struct source_conf *conf, const struct follow_saved *one,
                     struct belt_error *err)
{
    size_t room = (conf->saved_used + 1) * sizeof *conf->saved;
    struct follow_saved *grown = realloc(conf->saved, room);
    if (!grown)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", conf->state);
    conf->saved = grown;
    conf->saved[conf->saved_used++] = *one;
    return 0;
}

static int read_line(struct source_conf *conf, char *text, uint64_t line, struct belt_error *err)
{
    struct follow_saved one = { 0 };
    int end = 0;
    int got = sscanf(
        text, "%" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %" SCNu64 " %" SCNu64 " %n",
        &one.dev, &one.ino, &one.print.size, &one.print.hash, &one.next.at, &one.next.line, &end);
    size_t size = strlen(text);
    if (got != 6 || !text[end] || text[size - 1] != '\n' || one.print.size > FOLLOW_PRINT)
        return refuse(conf->state, line, err);
    text[size - 1] = 0;
    one.path = strdup(text + end);
    return one.path ? add_saved(conf, &one, err)
                    : belt_error_set(err, -ENOMEM, "%s: out of memory", conf->state);
}

/* Known before anything is read: it is replaced by a file beside it. */
static bool can_be_written(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    return access(dirname(folder), W_OK | X_OK) == 0;
}

int follow_load(struct source_conf *conf, struct belt_error *err)
{
    char *text = NULL;
    size_t room = 0;
    int rc = 0;
    if (!conf->state)
        return 0;
    FILE *in = fopen(conf->state, "re");
    if (!in && errno == ENOENT && can_be_written(conf->state))
        return 0; /* the first start */
    if (!in)
        return belt_error_set(err, -errno,
                              "%s: the state of followed files cannot be kept there: %s",
                              conf->state, strerror(errno));
    for (uint64_t line = 1; rc == 0; line++) {
        ssize_t size = getline(&text, &room, in);
        if (line == 1)
            rc = size < 0 || strcmp(text, HEAD) ? refuse(conf->state, 1, err) : 0;
        else if (size < 0)
            break;
        else
            rc = read_line(conf, text, line, err);
    }
    free(text);
    fclose(in);
    conf->resumes = true;
    return rc;
}

void follow_forget(struct source_conf *conf)
{
    for (size_t i = 0; i < conf->saved_used; i++)
        free(conf->saved[i].path);
    free(conf->saved);
    conf->saved = NULL;
    conf->saved_used = 0;
}

/* A device's number may be another one after a boot: then the path speaks for it. */
struct follow_saved *follow_saved_of(struct source_conf *conf, const char *path, int fd,
                                     uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < conf->saved_used; i++) {
        struct follow_saved *one = &conf->saved[i];
        if (one->found || one->ino != ino || (one->dev != dev && strcmp(one->path, path) != 0))
            continue;
        struct follow_print now = follow_print_of(fd, one->print.size);
        if (now.size == one->print.size && now.hash == one->print.hash)
            return one;
    }
    return NULL;
}

/* ---- writing ------------------------------------------------------------------- */

static int failed(struct follow *w, int code, struct belt_error *err)
{
    return belt_error_set(err, code,
                          "%s: the state of followed files cannot be written: %s: without it a "
                          "restart would not know where to go on",
                          w->conf->state, strerror(-code));
}

static int write_down(struct follow *w)
{
    struct follow_saver *saver = &w->saver;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return -ENOMEM;
    fputs(HEAD, out);
    for (uint32_t i = 0; i < w->used; i++) {
        const struct follow_file *file = &w->files[i];
        if (file->is == FOLLOW_FREE)
            continue;
        struct follow_print print = file->print;
        if (print.size > file->settled.at)
            print = follow_print_of(file->fd, file->settled.at);
        fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %" PRIu64 " %" PRIu64 " %s\n",
                file->dev, file->ino, print.size, print.hash, file->settled.at, file->settled.line,
                w->conf->inputs[i].path);
    }
    int bad = ferror(out);
    if (fclose(out) || bad) {
        free(text);
        return -ENOMEM;
    }
    free(saver->text);
    saver->text = text;
    saver->size = size;
    return 0;
}

static int begin_save(struct follow *w)
{
    struct follow_saver *saver = &w->saver;
    int rc = write_down(w);
    if (rc < 0)
        return rc;
    if (!saver->temporary && asprintf(&saver->temporary, "%s.next", w->conf->state) < 0) {
        saver->temporary = NULL;
        return -ENOMEM;
    }
    saver->fd = open(saver->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (saver->fd < 0)
        return -errno;
    saver->dirty = false;
    return 0;
}

static int end_save(struct follow *w)
{
    struct follow_saver *saver = &w->saver;
    saver->does = SAVER_IDLE;
    follow_wait_io(w, false);
    close(saver->fd);
    saver->fd = -1;
    return rename(saver->temporary, w->conf->state) < 0 ? -errno : 0;
}

/* The result of what was under way, and what comes after it. */
static int go_on(struct follow *w, int64_t result)
{
    struct follow_saver *saver = &w->saver;
    struct belt_backend *backend = w->s->backend;
    if (result < 0)
        return (int)result;
    if (saver->does == SAVER_SYNCS)
        return end_save(w);
    if ((size_t)result != saver->size)
        return -ENOSPC;
    saver->does = SAVER_SYNCS;
    return backend->ops->fsync(backend, saver->fd, COOKIE);
}

static int begin_write(struct follow *w, uint64_t now)
{
    struct follow_saver *saver = &w->saver;
    struct belt_backend *backend = w->s->backend;
    int rc = begin_save(w);
    if (rc < 0)
        return rc;
    saver->does = SAVER_WRITES;
    follow_wait_io(w, true);
    saver->due = now + FOLLOW_LOOK;
    return backend->ops->write(backend, saver->fd, saver->text, (uint32_t)saver->size, 0, COOKIE);
}

int follow_save(struct follow *w, uint64_t now, struct belt_error *err)
{
    struct follow_saver *saver = &w->saver;
    struct belt_backend *backend = w->s->backend;
    struct belt_io_done done;
    int rc = 0;
    if (!w->conf->state)
        return 0;
    if (saver->does == SAVER_IDLE && saver->dirty && now >= saver->due)
        rc = begin_write(w, now);
    while (rc == 0 && saver->does != SAVER_IDLE && backend->ops->reap(backend, &done, 1, false))
        rc = go_on(w, done.result);
    if (rc < 0)
        return failed(w, rc, err);
    /* What settles in another lane does not wake this one. */
    if (w->unsettled || saver->dirty)
        follow_wake_at(w, saver->due > now ? saver->due : now + FOLLOW_LOOK);
    return 0;
}

void follow_save_last(struct follow *w)
{
    struct follow_saver *saver = &w->saver;
    if (saver->fd >= 0)
        close(saver->fd); /* of a write that was under way; its text is whole again below */
    saver->fd = -1;
    if (!w->conf->state || begin_save(w) < 0)
        return;
    ssize_t put = write(saver->fd, saver->text, saver->size);
    if (put == (ssize_t)saver->size && fdatasync(saver->fd) == 0)
        (void)!rename(saver->temporary, w->conf->state);
    close(saver->fd);
    saver->fd = -1;
}
