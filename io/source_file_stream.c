/* What cannot be cut into chunks beforehand: standard input, pipes, devices.
 * A slab is a chunk; a record begun at its end is carried to the next one. What
 * is there is delivered at once, a slab is never waited for to be full. */
#include <errno.h>
#include <string.h>

#include "io/source_file_priv.h"
#include "rings/atomic.h"

void source_stream_begin(struct source_state *s, struct source_job *job)
{
    if (job->offset == 0) {
        const struct source_input *input = &s->conf->inputs[job->input];
        s->carry_size = 0;
        s->line = 1;
        s->cut = (struct belt_cut){ .at = 0 };
        s->heads = s->conf->kinds.header;
        s->skipping = s->ended = s->torn = false;
        source_unpack_begin(s->unpack, input->pack, input->fd, input->stream);
    }
    /* The slab may be the one in which the carried bytes lie: nothing has
     * written to it since, its frames are released or it would not be free. */
    if (s->carry_size)
        memmove(source_slab(s, job->slab), s->carry, s->carry_size);
    job->at = 0;
    job->have = job->least = s->carry_size;
    job->stop = s->carry_size + (uint32_t)s->conf->chunk;
}

/* False: nothing there right now. */
static bool read_now(struct source_state *s, struct source_job *job)
{
    const struct source_input *input = &s->conf->inputs[job->input];
    uint64_t taken = source_unpack_taken(s->unpack);
    struct belt_error failed = { 0 };
    int64_t got = source_unpack_read(s->unpack, source_slab(s, job->slab) + job->have,
                                     job->stop - job->have, input->path, &failed);
    /* Relaxed: a figure for the progress line; only this thread writes it. */
    belt_store_relaxed(&s->consumed, s->consumed + source_unpack_taken(s->unpack) - taken);
    if (got == -EAGAIN)
        return false;
    if (got < 0 && !s->failed.code)
        s->failed = failed;
    s->torn = got < 0;
    s->ended = got <= 0;
    if (got > 0)
        job->have += (uint32_t)got;
    return true;
}

/* Passes over the rest of a record of which too much came already. */
static void skip(struct source_state *s, struct source_job *job)
{
    const char *slab = source_slab(s, job->slab);
    const char *newline = memchr(slab + job->at, '\n', job->have - job->at);
    job->at = newline ? (uint32_t)(newline - slab) + 1 : job->have;
    s->skipping = !newline;
}

static uint32_t records(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    const char *slab = source_slab(s, job->slab);
    uint32_t count = 0;
    if (s->conf->kinds.kind != BELT_RECORDS_LINES)
        return source_cut_stream(s, job, out);
    if (s->skipping)
        skip(s, job);
    if (job->least < job->at)
        job->least = job->at;
    /* A long record that comes in small pieces is not looked through from its start each time. */
    if (memchr(slab + job->least, '\n', job->have - job->least))
        count = s->scan(slab, job->at, job->have, out->spans, out->most, &job->at);
    uint32_t rest = job->have - job->at;
    if (count < out->most) {
        job->least = job->have;
        s->skipping = s->skipping || rest >= s->conf->max_record + 2;
        if (rest && (s->ended || s->skipping)) {
            if (s->torn)
                source_mark(out, count, SOURCE_TORN);
            out->spans[count++] = (struct belt_span){ job->at, rest };
            job->at = job->have;
        }
    }
    source_limit(s, out, count);
    s->line += count;
    return count;
}

/* A stream that is one chunk goes on in another slab. */
static bool next_slab(struct source_state *s, struct source_job *job)
{
    if (!s->free_used)
        return false;
    job->slab = s->free[--s->free_used];
    job->bare = false;
    job->offset += s->conf->chunk;
    source_stream_begin(s, job);
    return true;
}

int source_stream_fill(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    if (job->bare && !next_slab(s, job))
        return BELT_FILL_IDLE;
    out->base = source_slab(s, job->slab);
    out->slab = job->slab;
    out->chunk = job->number;
    out->file = job->input | SOURCE_STREAM;
    out->place = s->line;
    uint32_t count = records(s, job, out);
    while (!count && !s->ended && job->have < job->stop) {
        if (!read_now(s, job)) {
            s->waits = true;
            return BELT_FILL_IDLE;
        }
        count = records(s, job, out);
    }
    if (count < out->most && !job->unfinished && (s->ended || job->have == job->stop)) {
        s->carry = source_slab(s, job->slab) + job->at;
        s->carry_size = job->have - job->at;
        out->last_of_slab = true;
        job->bare = job->lone && !s->ended;
        if (!job->bare)
            source_job_end(s, out);
    }
    return (int)count;
}
