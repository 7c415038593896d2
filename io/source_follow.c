/* Reads files as they grow. A slab holds bytes of one file, from the first record
 * that was not delivered on: what has no line end yet is read again when more of it
 * is there, so nothing is carried from slab to slab and a record never spans two files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/settings_priv.h"
#include "io/source_follow_priv.h"
#include "rings/atomic.h"

#define HINT (1u << 20)
#define HINT_AHEAD (8u << 20)
#define TRUNCATED "the file was truncated before all that was there had been read"

/* ---- set-up -------------------------------------------------------------------- */

int follow_prepare(struct source_conf *conf, struct belt_setup *setup, struct belt_error *err)
{
    static const char *const ours[] = { "begin", "state", "rotated_wait", "watch" };
    const struct belt_node *node = belt_setup_node(setup);
    bool map = belt_node_kind(node) == BELT_NODE_MAP;
    for (size_t i = 0; !conf->follow && map && i < sizeof ours / sizeof *ours; i++)
        if (belt_node_get(node, ours[i]))
            return belt_node_error(err, belt_node_get(node, ours[i]),
                                   "%s is for files that are followed: set follow: true", ours[i]);
    if (!conf->follow) {
        belt_setup_unacked(setup);
        return 0;
    }
    if (conf->compression == SOURCE_GZ || conf->compression == SOURCE_ZSTD)
        return belt_node_error(err, belt_node_get(node, "compression"),
                               "compression: packed files cannot be followed");
    if (conf->single)
        return belt_node_error(err, node, "follow: only files can be followed, no stream");
    if (conf->kinds.header)
        return belt_node_error(err, belt_node_get(node, "records"),
                               "records: csv with a header cannot be followed: where a restart "
                               "goes on there is none; set header: false, and drop each file's "
                               "first row by what it says");
    conf->single = true;
    belt_setup_endless(setup);
    if (conf->state)
        belt_setup_resumes(setup);
    else
        belt_setup_unacked(setup);
    return 0;
}

void follow_say(struct follow *w)
{
    const char *by = w->polls ? "looking every second" : "inotify";
    int at = snprintf(w->means, sizeof w->means, "%s", by);
    if (w->rotated || w->truncated || w->passed)
        snprintf(w->means + at, sizeof w->means - (size_t)at,
                 " (files left %llu, truncated %llu, passed over %llu)",
                 (unsigned long long)w->rotated, (unsigned long long)w->truncated,
                 (unsigned long long)w->passed);
}

int follow_init(struct source_state *s, const struct belt_instance *in, struct belt_error *err)
{
    struct follow *w = calloc(1, sizeof *w);
    uint64_t words = in->tickets / 64;
    if (w)
        w->marks = calloc(words, sizeof *w->marks);
    if (!w || !w->marks) {
        free(w);
        return belt_error_set(err, -ENOMEM, "%s: out of memory for the files that it follows",
                              in->stage);
    }
    w->mask = words - 1;
    w->conf = s->conf;
    w->s = s;
    w->saver.fd = -1;
    w->armed = w->look = UINT64_MAX;
    w->chunk = s->conf->chunk;
    w->rescan = w->first = true;
    s->follow = w;
    s->conf->followed = w;
    int rc = follow_watch_open(w, err);
    if (rc < 0) {
        free(w->marks);
        free(w);
        s->follow = s->conf->followed = NULL;
        return rc;
    }
    follow_say(w);
    s->means = w->means;
    return 0;
}

/* After the last ack: what is settled is written down. */
void follow_fini(struct source_state *s)
{
    struct follow *w = s->follow;
    follow_save_last(w);
    follow_watch_close(w);
    for (uint32_t i = 0; i < w->used; i++)
        if (w->files[i].fd >= 0)
            close(w->files[i].fd);
    free(w->saver.text);
    free(w->saver.temporary);
    free(w->marks);
    snprintf(s->conf->means, sizeof s->conf->means, "%s", w->means);
    s->means = s->conf->means;
    free(w);
    s->follow = s->conf->followed = NULL;
}

/* ---- settled ------------------------------------------------------------------- */

static void mark(struct follow *w, const struct belt_fill *out, uint32_t count)
{
    const struct follow_job *job = &w->job;
    struct follow_file *file = &w->files[job->file];
    if (!w->conf->state)
        return; /* nobody tells what is settled, nobody asks */
    uint64_t word = (out->ticket + count - 1) / 64;
    w->marks[word & w->mask] = (struct follow_mark){ job->file + 1, file->round, file->next };
    file->unsettled++;
    w->unsettled++;
}

void follow_ack(struct follow *w, const struct belt_acked *acked)
{
    struct follow_mark *m = &w->marks[acked->ticket / 64 & w->mask];
    if (!m->file)
        return;
    struct follow_file *file = &w->files[m->file - 1];
    if (m->round == file->round)
        file->settled = m->next;
    m->file = 0;
    file->unsettled--;
    w->unsettled--;
    w->saver.dirty = true;
    if (file->is == FOLLOW_DONE && !file->unsettled)
        file->is = FOLLOW_FREE;
}

/* ---- reading ------------------------------------------------------------------- */

static bool are_lines(const struct follow *w)
{
    return w->conf->kinds.kind == BELT_RECORDS_LINES;
}

/* Smaller than what was read of it, or other bytes at its start. */
static bool began_again(const struct follow_file *file, uint64_t size)
{
    if (size < file->next.at)
        return true;
    if (!file->print.size)
        return false;
    struct follow_print now = follow_print_of(file->fd, file->print.size);
    return now.size != file->print.size || now.hash != file->print.hash;
}

static void begin_again(struct follow *w, struct follow_file *file)
{
    file->next = file->settled = (struct follow_spot){ 0, 1 };
    file->print = (struct follow_print){ 0 };
    file->skipping = false;
    file->round++;
    file->seen = file->hinted = 0;
    w->saver.dirty = true;
    w->truncated++;
    follow_say(w);
}

static void know(struct follow_file *file)
{
    uint64_t most = file->next.at < FOLLOW_PRINT ? file->next.at : FOLLOW_PRINT;
    if (file->print.size < most)
        file->print = follow_print_of(file->fd, most);
}

/* A message that fails in the place of what is gone. */
static int tell_truncated(struct follow *w, struct belt_fill *out)
{
    struct follow_job *job = &w->job;
    out->spans[0] = (struct belt_span){ job->at, 0 };
    source_mark(out, 0, TRUNCATED);
    job->have = job->at;
    return 1;
}

/* Passes over the rest of a record of which too much came already. */
static void skip(struct follow *w, struct follow_file *file)
{
    struct follow_job *job = &w->job;
    const char *slab = source_slab(w->s, job->slab);
    const char *newline = memchr(slab + job->at, '\n', job->have - job->at);
    job->at = newline ? (uint32_t)(newline - slab) + 1 : job->have;
    file->skipping = !newline;
}

/* Of what the slab holds. The rest without a line end: too long, the file's last record, or
 * to be read again. */
static uint32_t lines(struct follow *w, struct follow_file *file, struct belt_fill *out)
{
    struct follow_job *job = &w->job;
    const char *slab = source_slab(w->s, job->slab);
    if (file->skipping)
        skip(w, file);
    uint32_t count = w->s->scan(slab, job->at, job->have, out->spans, out->most, &job->at);
    uint32_t rest = job->have - job->at;
    if (count < out->most && rest) {
        bool too_long = rest >= w->conf->max_record + 2;
        if (too_long || job->last) {
            out->spans[count++] = (struct belt_span){ job->at, rest };
            job->at = job->have;
            file->skipping = too_long && !job->last;
        } else {
            job->have = job->at;
        }
    }
    source_limit(w->s, out, count);
    return count;
}

static void end_job(struct follow *w, struct belt_fill *out)
{
    w->job.open = false;
    out->last_of_chunk = out->last_of_slab = true;
    w->s->single_next++;
}

/* The records in hand, as many as a frame takes. */
static int from_job(struct follow *w, struct belt_fill *out, bool truncated)
{
    struct follow_job *job = &w->job;
    struct follow_file *file = &w->files[job->file];
    struct source_state *s = w->s;
    out->base = source_slab(s, job->slab);
    out->slab = job->slab;
    out->chunk = s->single_next;
    out->file = job->file | SOURCE_STREAM;
    out->place = file->next.line;
    uint32_t before = job->at;
    uint32_t count = truncated      ? (uint32_t)tell_truncated(w, out)
                     : are_lines(w) ? lines(w, file, out)
                                    : follow_cut(w, file, out);
    file->next.at = job->offset + job->at;
    file->next.line += truncated ? 0 : count;
    if (file->skipping && w->conf->kinds.kind == BELT_RECORDS_LENGTH)
        file->next.line = FOLLOW_PASSED;
    know(file);
    if (count)
        mark(w, out, count);
    /* Relaxed: a figure for the progress line; only this thread writes it. */
    belt_store_relaxed(&s->consumed, s->consumed + job->at - before);
    if (count < out->most && job->at >= job->have)
        end_job(w, out);
    return (int)count;
}

/* What a reader that lags behind comes to next, in case it is not in the page cache. */
static void announce(struct follow_file *file)
{
    uint64_t from = file->next.at > file->hinted ? file->next.at : file->hinted;
    for (; from < file->next.at + HINT_AHEAD; from += HINT)
        posix_fadvise(file->fd, (off_t)from, HINT, POSIX_FADV_WILLNEED);
    file->hinted = from;
}

/* Reads into a slab what is new in a file. False: nothing is. */
static bool read_file(struct follow *w, uint32_t slot, bool *truncated)
{
    struct follow_file *file = &w->files[slot];
    struct follow_job *job = &w->job;
    struct stat st;
    file->ready = false;
    if (fstat(file->fd, &st) < 0)
        return false;
    if (began_again(file, (uint64_t)st.st_size)) {
        *truncated = file->seen > file->next.at;
        begin_again(w, file);
    }
    char *to = source_slab(w->s, job->slab);
    uint32_t room = (uint32_t)(w->chunk + w->conf->max_record + BELT_RECORD_EDGE);
    ssize_t got = pread(file->fd, to, room, (off_t)file->next.at);
    got = got < 0 ? 0 : got;
    file->ready = (uint32_t)got == room || *truncated;
    job->last = job->last && !file->ready;
    if ((uint32_t)got == room)
        announce(file);
    job->offset = file->next.at;
    job->at = 0;
    job->have = (uint32_t)got;
    job->cut = (struct belt_cut){ .seeks = file->skipping };
    file->seen = file->next.at + (uint64_t)got;
    if (*truncated || !got)
        return *truncated;
    return job->last ||
           (are_lines(w) ? job->have >= w->conf->max_record + 2 || memchr(to, '\n', job->have)
                         : follow_has_record(w, file->skipping, to, job->have));
}

/* Of the slots, in turn. A file waits until the one before it under its path is read. */
static bool next_file(struct follow *w, uint32_t *slot)
{
    for (uint32_t i = 0; i < w->used; i++) {
        uint32_t at = (w->turn + i) % w->used;
        struct follow_file *file = &w->files[at];
        if (!file->ready || (file->is != FOLLOW_LIVE && file->is != FOLLOW_LEFT))
            continue;
        if (file->after != FOLLOW_NONE && w->files[file->after].ready)
            continue;
        *slot = at;
        w->turn = at + 1;
        return true;
    }
    return false;
}

/* A file that was left is over when its writer closed it, or long enough nothing came. */
static bool ending_file(struct follow *w, uint64_t now, uint32_t *slot)
{
    for (uint32_t i = 0; i < w->used; i++) {
        struct follow_file *file = &w->files[i];
        if (file->is != FOLLOW_LEFT || file->ready)
            continue;
        uint64_t over = file->quiet + w->conf->rotated_wait;
        if (file->closed || now >= over) {
            *slot = i;
            return true;
        }
        follow_wake_at(w, over);
    }
    return false;
}

static bool begin_job(struct follow *w, uint64_t now, bool *truncated)
{
    struct source_state *s = w->s;
    struct follow_job *job = &w->job;
    if (!s->free_used)
        return false;
    job->slab = s->free[s->free_used - 1];
    job->last = false;
    while (next_file(w, &job->file))
        if ((job->open = read_file(w, job->file, truncated)))
            break;
    while (!job->open && ending_file(w, now, &job->file)) {
        job->last = true;
        job->open = read_file(w, job->file, truncated);
        if (!job->open)
            follow_close_file(w, job->file);
    }
    if (job->open)
        s->free_used--;
    return job->open;
}

int follow_fill(struct source_state *s, struct belt_fill *out, struct belt_error *err)
{
    struct follow *w = s->follow;
    bool truncated = false;
    if (s->stopped)
        return BELT_FILL_END;
    if (!w->job.open) {
        uint64_t now = belt_now();
        follow_look(w, now);
        bool begun = begin_job(w, now, &truncated);
        if (follow_save(w, now, err) < 0)
            return BELT_FILL_ERROR;
        if (!begun)
            return BELT_FILL_IDLE;
    }
    return from_job(w, out, truncated);
}
