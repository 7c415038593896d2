/* Chunks of regular files into slabs, and the records out of them. A record
 * belongs to the chunk in which it begins: a chunk is read from the byte before
 * it, which tells whether a record begins right at its start, to a little past
 * its end, and on from there while its last record has no end yet. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "io/source_file_priv.h"
#include "rings/atomic.h"

#define TAIL 512              /* read past a chunk's end at once: most last records end in it */
#define EXTEND 4096u          /* least bytes of a further read for one that does not */
#define HINT (1u << 20)       /* bytes that the kernel is told of at a time, */
#define HINT_AHEAD (8u << 20) /* so far before they are read, */
#define HINT_CHUNKS 1024      /* for so many chunks after one that had to wait */

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- reading ------------------------------------------------------------------- */

uint32_t source_text_at(const struct source_state *s, uint32_t slab)
{
    uintptr_t start = (uintptr_t)source_slab(s, slab);
    return SOURCE_PAGE - (uint32_t)(start % SOURCE_PAGE);
}

static uint64_t file_at(const struct source_job *job, uint32_t at)
{
    return job->offset + at - job->text;
}

static uint64_t size_of(const struct source_state *s, const struct source_job *job)
{
    return s->conf->inputs[job->input].size;
}

/* The rest cannot be read: what is there is delivered, the run fails at the end. */
static void fail_rest(struct source_state *s, struct source_job *job, int code)
{
    const struct source_input *input = &s->conf->inputs[job->input];
    unsigned long long from = file_at(job, job->have);
    job->torn = true;
    job->state = JOB_READ;
    if (s->failed.code)
        return;
    if (code)
        belt_error_set(&s->failed, code, "%s: bytes %llu to %llu cannot be read: %s", input->path,
                       from, (unsigned long long)file_at(job, job->want), strerror(-code));
    else
        belt_error_set(&s->failed, -ESTALE,
                       "%s: bytes %llu to %llu are missing: the file was truncated while it was "
                       "read; run again when nothing writes to it",
                       input->path, from, (unsigned long long)input->size);
}

/* Direct reads are of whole pages, in memory and in the file: from the one that holds
 * the next byte, to the one that holds the last. Bytes that are there already come again
 * as they are. */
static void read_more(struct source_state *s, struct source_job *job)
{
    const struct source_input *input = &s->conf->inputs[job->input];
    uint32_t to = job->want;
    job->from = job->have;
    if (input->direct) {
        job->from -= (job->have - job->text) % SOURCE_PAGE;
        to += (job->text - to) % SOURCE_PAGE;
    }
    job->state = JOB_READING;
    int rc =
        s->backend->ops->read(s->backend, input->fd, source_slab(s, job->slab) + job->from,
                              to - job->from, file_at(job, job->from), (uint64_t)(job - s->jobs));
    if (rc < 0)
        fail_rest(s, job, rc);
}

static void landed(struct source_state *s, struct source_job *job, int64_t result)
{
    uint32_t end = job->from + (result > 0 ? (uint32_t)result : 0), before = job->have;
    if (end > job->have)
        job->have = least_of(end, job->want);
    bool more = job->have > before;
    if (result == -EINTR || result == -EAGAIN || (more && job->have < job->want))
        read_more(s, job);
    else if (!more)
        fail_rest(s, job, result < 0 ? (int)result : 0);
    else
        job->state = JOB_READ;
}

static void collect(struct source_state *s)
{
    struct belt_io_done done[SOURCE_DEPTH];
    uint32_t count;
    /* Again while something came: a short read is continued and may be there at once. */
    while ((count = s->backend->ops->reap(s->backend, done, SOURCE_DEPTH, false)))
        for (uint32_t i = 0; i < count; i++)
            landed(s, &s->jobs[done[i].cookie], done[i].result);
}

/* A file that is not in the page cache is read into it well ahead, which makes more of
 * the device than reads as deep as the chunks in hand: 0.84 instead of 0.46 GB/s, with
 * O_DIRECT 0.69 (docs/decisions/013-file-figures.md). Of one that is, nothing is told. */
static void hint(struct source_state *s, const struct source_job *job)
{
    struct source_input *input = &s->conf->inputs[job->input];
    uint64_t end = job->offset + HINT_AHEAD;
    s->cold = s->ahead ? HINT_CHUNKS : s->cold;
    if (!s->cold || input->direct)
        return;
    s->cold--;
    end = end < input->size ? end : input->size;
    uint64_t at = belt_load_relaxed(&input->hinted); /* relaxed: who takes which part, no more */
    while (at < end) {
        uint64_t from = at < job->offset ? job->offset : at;
        if (!belt_cas_relaxed(&input->hinted, &at, from + HINT))
            continue;
        posix_fadvise(input->fd, (off_t)from, HINT, POSIX_FADV_WILLNEED);
        at = from + HINT;
    }
}

static void begin(struct source_state *s, struct source_job *job)
{
    uint64_t left = size_of(s, job) - job->offset;
    uint32_t chunk = (uint32_t)s->conf->chunk;
    job->text = source_text_at(s, job->slab);
    job->have = job->text - (job->offset > 0);
    job->stop = job->text + (left < chunk ? (uint32_t)left : chunk);
    job->want = job->text + (left < chunk + TAIL ? (uint32_t)left : chunk + TAIL);
    read_more(s, job);
    collect(s);
    /* From the page cache a read ends within its submission, and reading ahead
     * would only push the chunk at hand out of the processor's cache. */
    s->ahead = job->state == JOB_READING;
    hint(s, job);
}

static void start_jobs(struct source_state *s)
{
    while (s->jobs_used < (s->ahead ? (uint32_t)s->conf->depth : 1) && s->free_used) {
        struct source_job *job = source_job_at(s, s->jobs_used);
        if (s->exhausted || !source_claim(s, job))
            return;
        job->slab = s->free[--s->free_used];
        s->jobs_used++;
        if (job->state == JOB_STREAM)
            source_stream_begin(s, job);
        else
            begin(s, job);
    }
}

/* ---- records ------------------------------------------------------------------- */

void source_mark(struct belt_fill *out, uint32_t i, const char *reason)
{
    out->failed[i / 64] |= (uint64_t)1 << (i % 64);
    out->failed_reason = reason;
}

void source_limit(const struct source_state *s, struct belt_fill *out, uint32_t count)
{
    uint32_t limit = (uint32_t)s->conf->max_record;
    if (!count)
        return;
    const struct belt_span *last = &out->spans[count - 1];
    if (last->at + last->size - out->spans[0].at <= limit)
        return; /* all of them together are no longer than one may be */
    for (uint32_t i = 0; i < count; i++)
        if (out->spans[i].size > limit) {
            out->spans[i].size = limit;
            source_mark(out, i, s->conf->kinds.too_long);
        }
}

void source_job_end(struct source_state *s, struct belt_fill *out)
{
    out->last_of_chunk = out->last_of_slab = true;
    s->head = (s->head + 1) % SOURCE_DEPTH;
    s->jobs_used--;
}

static void find_first(struct source_job *job, const char *slab)
{
    uint32_t end = least_of(job->stop, job->have);
    job->begun = true;
    job->at = job->stop;
    if (job->offset == 0 || (job->have >= job->text && slab[job->text - 1] == '\n')) {
        job->at = job->text;
    } else if (end > job->text) {
        const char *newline = memchr(slab + job->text, '\n', end - job->text);
        if (newline)
            job->at = (uint32_t)(newline - slab) + 1;
    }
}

/* The record that begins in the chunk and does not end in it. 1: it is spanned
 * and the chunk is done; 0: more of the file is needed. */
static uint32_t last_record(struct source_state *s, struct source_job *job, struct belt_span *span)
{
    const char *slab = source_slab(s, job->slab);
    uint32_t from = job->least > job->at ? job->least : job->at;
    const char *newline = memchr(slab + from, '\n', job->have - from);
    bool whole = file_at(job, job->have) == size_of(s, job);
    uint32_t end = newline ? (uint32_t)(newline - slab) : job->have;
    job->least = job->have;
    if (!newline && !whole && !job->torn && job->have - job->at < s->conf->max_record + 2)
        return 0;
    *span = (struct belt_span){ job->at, end - job->at };
    if (newline && span->size && newline[-1] == '\r')
        span->size--;
    job->at = job->stop;
    return 1;
}

void source_extend(struct source_state *s, struct source_job *job, uint32_t at)
{
    uint64_t left = size_of(s, job) - file_at(job, job->have);
    uint32_t limit = at + (uint32_t)s->conf->max_record + BELT_RECORD_EDGE, got = job->have - at;
    uint32_t want = least_of(job->have + (got > EXTEND ? got : EXTEND), limit);
    job->want = left < want - job->have ? job->have + (uint32_t)left : want;
    read_more(s, job);
}

static uint32_t take(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    const char *slab = source_slab(s, job->slab);
    uint32_t end = least_of(job->stop, job->have), count = 0;
    if (!job->begun)
        find_first(job, slab);
    if (job->at < end)
        count = s->scan(slab, job->at, end, out->spans, out->most, &job->at);
    if (job->at < job->stop && count < out->most && !(job->torn && count)) {
        bool torn = job->torn && !memchr(slab + job->at, '\n', job->have - job->at);
        if (torn && job->at >= job->have)
            job->at = job->stop;
        else if (!last_record(s, job, &out->spans[count]))
            source_extend(s, job, job->at);
        else if (count++, torn)
            source_mark(out, count - 1, SOURCE_TORN);
    }
    source_limit(s, out, count);
    return count;
}

static int fill_from(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    out->base = source_slab(s, job->slab);
    out->slab = job->slab;
    out->chunk = job->number;
    out->file = job->input;
    out->place = job->offset - job->text; /* may wrap: a span's `at` brings it back */
    uint32_t count = s->conf->kinds.kind == BELT_RECORDS_LINES ? take(s, job, out)
                                                               : source_cut_chunk(s, job, out);
    if (job->at >= job->stop) {
        /* Relaxed: a figure for the progress line; only this thread writes it. */
        belt_store_relaxed(&s->consumed, s->consumed + job->stop - job->text);
        source_job_end(s, out);
    } else if (!count) {
        return BELT_FILL_IDLE;
    }
    return (int)count;
}

static int nothing_left(struct source_state *s, struct belt_error *err)
{
    if (s->stopped)
        return BELT_FILL_END;
    if (!s->exhausted)
        return BELT_FILL_IDLE; /* every slab is lent */
    if (!s->told_over) {
        s->told_over = true;
        /* Relaxed: who sees the last of them has nothing else to see. */
        belt_fetch_add_relaxed(&s->conf->over, 1);
    }
    if (!s->failed.code)
        return BELT_FILL_END;
    /* An error stops the run: the others finish their files first. Each one's end
     * wakes us. */
    if (belt_load_relaxed(&s->conf->over) < s->instances)
        return BELT_FILL_IDLE;
    *err = s->failed;
    return BELT_FILL_ERROR;
}

int source_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct source_state *s = state;
    s->waits = false;
    source_wait_over(s);
    if (s->stopped)
        return BELT_FILL_END;
    for (;;) {
        collect(s);
        start_jobs(s);
        if (!s->jobs_used)
            return nothing_left(s, err);
        if (s->conf->kinds.kind != BELT_RECORDS_LINES)
            source_hand_over(s);
        struct source_job *job = source_job_at(s, 0);
        if (job->state == JOB_STREAM)
            return source_stream_fill(s, job, out);
        if (job->state == JOB_READING)
            return BELT_FILL_IDLE;
        int count = fill_from(s, job, out);
        if (count != BELT_FILL_IDLE)
            return count;
        collect(s); /* the last record's end was asked for */
        if (job->state == JOB_READING || s->waits_for_chunk)
            return BELT_FILL_IDLE;
    }
}
