/* Which files there are. The folders are watched for names that come and go, each
 * file for what is written to it; a look at all paths follows a name's change. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "io/source_follow_priv.h"

#define GLOB_LETTERS "*?["
#define POLL_NS UINT64_C(1000000000)
#define OF_FOLDER                                                                                  \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |         \
     IN_ONLYDIR)
#define OF_FILE (IN_MODIFY | IN_CLOSE_WRITE)

/* ---- being woken --------------------------------------------------------------- */

void follow_wake_at(struct follow *w, uint64_t at)
{
    struct itimerspec when = { .it_value = { (time_t)(at / 1000000000u),
                                             (long)(at % 1000000000u) } };
    if (at >= w->armed)
        return;
    timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &when, NULL);
    w->armed = at;
}

static void wait_for(struct follow *w, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    if (fd >= 0)
        epoll_ctl(w->all, EPOLL_CTL_ADD, fd, &event);
}

void follow_wait_io(struct follow *w, bool on)
{
    struct belt_backend *backend = w->s->backend;
    int fd = backend->ops->fd(backend);
    if (on)
        wait_for(w, fd);
    else if (fd >= 0)
        epoll_ctl(w->all, EPOLL_CTL_DEL, fd, NULL);
}

/* Without inotify there is a look at everything each second. */
static void poll_from_now_on(struct follow *w)
{
    w->polls = true;
    w->look = 0;
    follow_say(w);
}

int follow_watch_open(struct follow *w, struct belt_error *err)
{
    w->notify = w->conf->watch ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->all = epoll_create1(EPOLL_CLOEXEC);
    if (w->timer < 0 || w->all < 0) {
        int code = errno;
        follow_watch_close(w);
        return belt_error_set(err, -code, "source file: no descriptors to wait with: %s",
                              strerror(code));
    }
    wait_for(w, w->notify);
    wait_for(w, w->timer);
    if (w->notify < 0)
        poll_from_now_on(w);
    return 0;
}

void follow_watch_close(struct follow *w)
{
    int fds[] = { w->notify, w->timer, w->all };
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* ---- files --------------------------------------------------------------------- */

static void watch_file(struct follow *w, uint32_t slot)
{
    char path[32]; /* by the descriptor: the name may be another file's by now */
    snprintf(path, sizeof path, "/proc/self/fd/%d", w->files[slot].fd);
    w->watches[slot] = w->notify < 0 ? -1 : inotify_add_watch(w->notify, path, OF_FILE);
    if (w->watches[slot] < 0 && !w->polls)
        poll_from_now_on(w);
}

void follow_close_file(struct follow *w, uint32_t slot)
{
    struct follow_file *file = &w->files[slot];
    if (w->watches[slot] >= 0)
        inotify_rm_watch(w->notify, w->watches[slot]);
    w->watches[slot] = -1;
    close(file->fd);
    file->fd = -1;
    file->is = file->unsettled ? FOLLOW_DONE : FOLLOW_FREE;
    w->saver.dirty = true;
    for (uint32_t i = 0; i < w->used; i++)
        if (w->files[i].after == slot)
            w->files[i].after = FOLLOW_NONE;
}

/* One that is free; of the same path, if there is one: places of failed messages are told
 * by it at the end. */
static uint32_t slot_for(struct follow *w, const char *path)
{
    uint32_t any = FOLLOW_NONE;
    for (uint32_t i = 0; i < w->used; i++) {
        if (w->files[i].is != FOLLOW_FREE)
            continue;
        if (strcmp(w->conf->inputs[i].path, path) == 0)
            return i;
        any = i;
    }
    return w->used < FOLLOW_FILES ? w->used : any;
}

static uint32_t before(const struct follow *w, const char *path)
{
    for (uint32_t i = w->used; i-- > 0;)
        if ((w->files[i].is == FOLLOW_LIVE || w->files[i].is == FOLLOW_LEFT) &&
            strcmp(w->conf->inputs[i].path, path) == 0)
            return i;
    return FOLLOW_NONE;
}

/* The start of the last line, and its number. */
static struct follow_spot end_of(int fd, uint64_t size)
{
    char block[16384];
    struct follow_spot spot = { 0, 1 };
    uint64_t at = 0;
    ssize_t got;
    while (at < size && (got = pread(fd, block, sizeof block, (off_t)at)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            if (block[i] == '\n')
                spot = (struct follow_spot){ at + (uint64_t)i + 1, spot.line + 1 };
        at += (uint64_t)got;
    }
    return spot;
}

/* Where to begin: at the saved place, at the end of what was there when following
 * began, or at the start. */
static struct follow_spot spot_of(struct follow *w, const char *path, int fd, const struct stat *st)
{
    struct source_conf *conf = w->conf;
    struct follow_saved *saved = follow_saved_of(conf, path, fd, st->st_dev, st->st_ino);
    if (saved)
        saved->found = true;
    if (saved && saved->next.at <= (uint64_t)st->st_size)
        return saved->next;
    if (!saved && w->first && !conf->resumes && conf->begin == SOURCE_AT_END)
        return conf->kinds.kind == BELT_RECORDS_LINES
                   ? end_of(fd, (uint64_t)st->st_size)
                   : follow_end_of_records(conf, fd, (uint64_t)st->st_size);
    return (struct follow_spot){ 0, 1 };
}

/* Messages are told by it, in any lane, maybe after its file is closed: kept until the end.
 * A path that comes again costs nothing. */
static bool set_name(struct source_conf *conf, uint32_t slot, const char *path)
{
    struct source_input *input = &conf->inputs[slot];
    if (input->path && strcmp(input->path, path) == 0)
        return true;
    struct follow_name *name = malloc(sizeof *name + strlen(path) + 1);
    if (!name)
        return false;
    strcpy(name->path, path);
    name->next = conf->names;
    conf->names = name;
    input->path = name->path;
    return true;
}

static bool add_file(struct follow *w, const char *path, int fd, const struct stat *st,
                     enum follow_is is, uint64_t now)
{
    uint32_t slot = slot_for(w, path), after = before(w, path);
    if (slot == FOLLOW_NONE || !set_name(w->conf, slot, path))
        return false;
    w->files[slot] = (struct follow_file){ .is = is,
                                           .fd = fd,
                                           .dev = st->st_dev,
                                           .ino = st->st_ino,
                                           .quiet = now,
                                           .scan = w->scan,
                                           .after = after,
                                           .ready = true,
                                           .round = w->files[slot].round + 1 };
    struct follow_file *file = &w->files[slot];
    file->next = file->settled = spot_of(w, path, fd, st);
    file->skipping = file->next.line == FOLLOW_PASSED;
    file->print = follow_print_of(fd, file->next.at);
    w->used += slot == w->used;
    w->saver.dirty = true;
    watch_file(w, slot);
    if (after != FOLLOW_NONE)
        w->files[after].ready = true; /* to its end, before this one begins */
    return true;
}

static struct follow_file *known(struct follow *w, const struct stat *st)
{
    for (uint32_t i = 0; i < w->used; i++) {
        struct follow_file *file = &w->files[i];
        if (file->ino == st->st_ino && file->dev == st->st_dev &&
            (file->is == FOLLOW_LIVE || file->is == FOLLOW_LEFT))
            return file;
    }
    return NULL;
}

/* A path that exists, or one as it was written. */
static int visit(struct source_conf *conf, const char *path, struct belt_error *err)
{
    struct follow *w = conf->followed;
    struct stat st;
    (void)err;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    struct follow_file *file = known(w, &st);
    if (file) {
        file->scan = w->scan;
        file->is = FOLLOW_LIVE;
        return 0;
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool taken = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    /* Packed: what rotation makes of files that were read before. */
    taken = taken && (conf->compression == SOURCE_PLAIN || source_pack_of_file(fd) == SOURCE_PLAIN);
    taken = taken && !strchr(path, '\n'); /* the state file has a line for each */
    taken = taken && add_file(w, path, fd, &st, FOLLOW_LIVE, w->now);
    if (!taken) {
        w->passed++;
        follow_say(w);
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

/* ---- what was renamed while nobody looked -------------------------------------- */

static void find_renamed(struct follow *w, const struct follow_saved *saved)
{
    char folder[PATH_MAX], path[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", saved->path);
    const char *name = dirname(folder);
    DIR *dir = opendir(name);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        if (entry->d_ino != saved->ino ||
            snprintf(path, sizeof path, "%s/%s", name, entry->d_name) >= (int)sizeof path)
            continue;
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 ||
            follow_saved_of(w->conf, saved->path, fd, st.st_dev, st.st_ino) != saved ||
            !add_file(w, saved->path, fd, &st, FOLLOW_LEFT, w->now)) {
            if (fd >= 0)
                close(fd);
        }
    }
    if (dir)
        closedir(dir);
}

/* Before the first scan: the old file under a path is read before the new one. Those
 * that are still there are found by their paths. */
static void resume(struct follow *w)
{
    for (size_t i = 0; i < w->conf->saved_used; i++) {
        struct follow_saved *saved = &w->conf->saved[i];
        struct stat st;
        if (stat(saved->path, &st) == 0 && st.st_ino == saved->ino)
            continue;
        find_renamed(w, saved);
    }
}

/* ---- scans --------------------------------------------------------------------- */

static void watch_folder(struct follow *w, const char *path)
{
    if (inotify_add_watch(w->notify, path, OF_FOLDER) < 0 && errno != ENOENT && errno != ENOTDIR &&
        !w->polls)
        poll_from_now_on(w);
}

/* Every folder in which a name may come: from the one before the first that is a
 * pattern on. */
static void watch_folders(struct follow *w, const char *path)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    const char *last = strrchr(path, '/');
    size_t from = strcspn(path, GLOB_LETTERS);
    for (size_t i = 0; i <= size; i++) {
        bool end_of_folder = path[i] == '/' && (path + i == last || i >= from);
        bool before_pattern =
            path[i] == '/' && i < from && !memchr(path + i + 1, '/', from - i - 1);
        if (!end_of_folder && !before_pattern)
            continue;
        snprintf(part, sizeof part, "%.*s", (int)(i ? i : 1), path);
        glob_t found;
        if (glob(part, 0, NULL, &found) == 0) {
            for (size_t g = 0; g < found.gl_pathc; g++)
                watch_folder(w, found.gl_pathv[g]);
            globfree(&found);
        }
    }
    if (!last)
        watch_folder(w, ".");
}

static void let_go(struct follow *w, uint64_t now)
{
    for (uint32_t i = 0; i < w->used; i++) {
        struct follow_file *file = &w->files[i];
        if (file->is != FOLLOW_LIVE || file->scan == w->scan)
            continue;
        file->is = FOLLOW_LEFT;
        file->ready = true;
        file->closed = false;
        file->quiet = now;
        w->rotated++;
        follow_say(w);
    }
}

static void scan_all(struct follow *w, uint64_t now)
{
    struct belt_error ignored;
    w->rescan = false;
    w->scan++;
    w->now = now;
    for (size_t i = 0; w->notify >= 0 && i < w->conf->paths.count; i++)
        watch_folders(w, w->conf->paths.at[i]);
    if (w->first)
        resume(w);
    source_each_path(w->conf, visit, &ignored);
    let_go(w, now);
    if (w->first)
        follow_forget(w->conf);
    w->first = false;
}

/* ---- events -------------------------------------------------------------------- */

/* Could this name in a folder be one that is followed, or lead to one? */
static bool concerns(const struct follow *w, const char *name)
{
    for (size_t i = 0; i < w->conf->paths.count; i++) {
        const char *path = w->conf->paths.at[i], *last = strrchr(path, '/');
        if (last && strcspn(path, GLOB_LETTERS) < (size_t)(last - path))
            return true;
        if (fnmatch(last ? last + 1 : path, name, 0) == 0)
            return true;
    }
    return false;
}

static void take_event(struct follow *w, const struct inotify_event *event, uint64_t now)
{
    if (event->mask & IN_Q_OVERFLOW) {
        w->look = 0; /* some were lost: everything is looked at */
        return;
    }
    for (uint32_t i = 0; i < w->used; i++) {
        struct follow_file *file = &w->files[i];
        if (w->watches[i] != event->wd)
            continue;
        if (event->mask & IN_MODIFY) {
            file->ready = true;
            file->closed = false;
            file->quiet = now;
        }
        if (event->mask & IN_CLOSE_WRITE)
            file->closed = true;
        return;
    }
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        poll_from_now_on(w); /* a folder is gone: nobody tells when it is there again */
    w->rescan |= !event->len || concerns(w, event->name);
}

static void take_events(struct follow *w, uint64_t now)
{
    _Alignas(struct inotify_event) char events[16384];
    ssize_t got;
    while (w->notify >= 0 && (got = read(w->notify, events, sizeof events)) > 0)
        for (char *at = events; at < events + got;) {
            const struct inotify_event *event = (const void *)at;
            take_event(w, event, now);
            at += sizeof *event + event->len;
        }
}

static void look_at_all(struct follow *w, uint64_t now)
{
    for (uint32_t i = 0; i < w->used; i++)
        w->files[i].ready |= w->files[i].fd >= 0;
    w->rescan = true;
    w->look = w->polls ? now + POLL_NS : UINT64_MAX;
}

void follow_look(struct follow *w, uint64_t now)
{
    uint64_t times;
    if (now >= w->armed) {
        ssize_t ignored = read(w->timer, &times, sizeof times);
        (void)ignored;
        w->armed = UINT64_MAX;
    }
    take_events(w, now);
    if (now >= w->look)
        look_at_all(w, now);
    if (w->rescan)
        scan_all(w, now);
    if (w->polls)
        follow_wake_at(w, w->look);
}
