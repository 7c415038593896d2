/* Records other than lines, out of chunks and streams. Where a chunk's first
 * record begins can be told by nobody but who cut the chunk before: a newline
 * may lie within quotes, a length anywhere. So the chunks of a file hand over in
 * their order: each, once it is read and knows where its records begin, is looked
 * through for where the next chunk's begin, before any of its records leaves. All
 * else (reading, and what becomes of the records) is done by all instances at
 * once. Records of a fixed size need none of this. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/source_file_priv.h"
#include "rings/atomic.h"

/* In source_input.begins: not a record begins there, but the search for a newline. */
#define SEEKS (UINT64_C(1) << 63)

/* One instance, as those see it who may have to wake it. */
struct source_wait {
    uint64_t wants; /* number of the chunk that it waits for, plus 1; 0: none */
    int fd;         /* an eventfd */
    struct source_wait *next;
};

/* ---- waiting ------------------------------------------------------------------- */

int source_wait_open(struct source_state *s, struct belt_error *err)
{
    struct source_conf *conf = s->conf;
    struct source_wait *wait = calloc(1, sizeof *wait);
    int fd = wait ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (fd < 0) {
        free(wait);
        return belt_error_set(err, -ENOMEM, "source file: no memory or descriptor to wait with");
    }
    wait->fd = fd;
    uint64_t head = belt_load_relaxed(&conf->waits); /* relaxed: the exchange tells if it is old */
    do
        wait->next = (struct source_wait *)(uintptr_t)head;
    /* R1, pairs with A1 in wake(): the entry before it is found. */
    while (!belt_cas_release(&conf->waits, &head, (uint64_t)(uintptr_t)wait));
    s->wait = wait;
    return 0;
}

void source_waits_close(struct source_conf *conf)
{
    struct source_wait *next, *wait = (struct source_wait *)(uintptr_t)conf->waits;
    for (; wait; wait = next) {
        next = wait->next;
        close(wait->fd);
        free(wait);
    }
    conf->waits = 0;
}

int source_wait_fd(const struct source_state *s)
{
    return s->wait->fd;
}

/* The instance that waits for this chunk, if one does. Nobody else wants it: a chunk
 * is claimed once. */
static void wake(struct source_conf *conf, uint64_t number)
{
    const uint64_t one = 1;
    /* A1, pairs with R1 in source_wait_open(): an entry is complete when it is seen. One that
     * is not seen yet belongs to an instance that has still to look for its chunk. */
    uint64_t at = belt_load_acquire(&conf->waits);
    for (struct source_wait *wait = (struct source_wait *)(uintptr_t)at; wait; wait = wait->next)
        /* Relaxed: the fence before is what orders it after the hand-over. */
        if (belt_load_relaxed(&wait->wants) == number + 1 && write(wait->fd, &one, sizeof one) < 0)
            continue; /* full of wakes: awake it is */
}

void source_wait_over(struct source_state *s)
{
    uint64_t wakes;
    if (!s->waits_for_chunk)
        return;
    s->waits_for_chunk = false;
    belt_store_relaxed(&s->wait->wants, 0); /* relaxed: at worst a wake too many */
    ssize_t ignored = read(s->wait->fd, &wakes, sizeof wakes);
    (void)ignored;
}

/* ---- handing over --------------------------------------------------------------- */

static uint64_t index_of(const struct source_state *s, const struct source_job *job)
{
    return job->offset / s->conf->chunk;
}

static void hand_over(struct source_state *s, struct source_job *job, const struct belt_cut *cut)
{
    struct source_input *input = &s->conf->inputs[job->input];
    input->begins = (job->offset + cut->at - job->text) | (cut->seeks ? SEEKS : 0);
    job->handed = true;
    /* R2, pairs with A2 in begin(): where the records begin before the word that says so. */
    belt_store_release(&input->handed, index_of(s, job) + 1);
    if (s->instances == 1)
        return;
    belt_fence_seq(); /* with the one in begin(): it sees the hand-over, or we that it waits */
    wake(s->conf, job->number + 1);
}

static bool is_handed(const struct source_input *input, uint64_t index)
{
    /* A2, pairs with R2 in hand_over(): else we might begin where an older chunk did. */
    return belt_load_acquire(&input->handed) >= index;
}

/* Finds where the first record of a chunk begins. False: not known yet. */
static bool begin(struct source_state *s, struct source_job *job)
{
    const struct source_input *input = &s->conf->inputs[job->input];
    uint64_t index = index_of(s, job), begins = 0, size = s->conf->kinds.size;
    if (s->conf->kinds.kind == BELT_RECORDS_FIXED) {
        begins = (job->offset + size - 1) / size * size;
        job->handed = true;
    } else if (index) {
        if (!is_handed(input, index))
            return false;
        begins = input->begins; /* of our chunk: the next one is ours to write */
    }
    job->cut = (struct belt_cut){ .seeks = begins & SEEKS };
    job->cut.at = job->cut.seen = (uint32_t)((begins & ~SEEKS) - job->offset) + job->text;
    job->ahead = job->cut;
    job->heads = !index && s->conf->kinds.header;
    job->begun = true;
    return true;
}

static void wait_for(struct source_state *s, struct source_job *job)
{
    s->waits_for_chunk = true;
    belt_store_relaxed(&s->wait->wants, job->number + 1); /* relaxed: the fence orders it */
    belt_fence_seq();                                     /* with the one in hand_over() */
    if (!is_handed(&s->conf->inputs[job->input], index_of(s, job)))
        return;
    source_wait_over(s);
    begin(s, job);
}

/* ---- cutting -------------------------------------------------------------------- */

/* Puts the record at `cut` down as its file's header; one that is none is left for those who
 * take records to fail. False: more is needed to see it. */
static bool take_header(struct source_state *s, uint32_t input, struct belt_cut *cut,
                        const char *text, uint32_t have, bool ended)
{
    struct belt_span span;
    uint64_t failed = 0;
    struct belt_cut after = *cut;
    struct belt_records_out out = { .spans = &span, .room = 1, .failed = &failed };
    if (belt_records_cut(&s->conf->kinds, &after, text, have, UINT32_MAX, ended, NULL, &out))
        return false;
    if (out.count && !failed) {
        belt_header_put(&s->conf->headers, input, text + span.at, span.size);
        *cut = after;
    }
    return true;
}

static bool is_ended(const struct source_state *s, const struct source_job *job)
{
    return job->torn || job->offset + job->have - job->text == s->conf->inputs[job->input].size;
}

static bool take_job_header(struct source_state *s, struct source_job *job)
{
    job->heads = !take_header(s, job->input, &job->cut, source_slab(s, job->slab), job->have,
                              is_ended(s, job));
    if (job->heads)
        source_extend(s, job, job->cut.at);
    job->ahead = job->cut;
    return !job->heads;
}

/* True: more of the file is needed. Else the room is used up or the chunk cut. */
static bool cut_some(struct source_state *s, struct source_job *job, struct belt_cut *cut,
                     struct belt_records_out *out)
{
    const char *torn = job->torn ? SOURCE_TORN : NULL;
    if (cut->at >= job->stop)
        return false;
    if (cut->at <= job->have && belt_records_cut(&s->conf->kinds, cut, source_slab(s, job->slab),
                                                 job->have, job->stop, is_ended(s, job), torn, out))
        return true;
    if (torn && out->count < out->room && cut->at < job->stop) {
        cut->at = job->stop; /* what follows may be there: from its next line on */
        cut->seeks = true;
    }
    return false;
}

/* Looks through the chunk for where the next one's records begin. False: more is needed. */
static bool look_ahead(struct source_state *s, struct source_job *job)
{
    struct belt_span spans[BELT_FRAME];
    uint64_t failed[BELT_WORDS] = { 0 };
    belt_records_skip(&s->conf->kinds, &job->ahead, source_slab(s, job->slab),
                      job->have < job->stop ? job->have : job->stop);
    while (job->ahead.at < job->stop) {
        struct belt_records_out out = { .spans = spans, .room = BELT_FRAME, .failed = failed };
        if (cut_some(s, job, &job->ahead, &out)) {
            source_extend(s, job, job->ahead.at);
            return false;
        }
    }
    hand_over(s, job, &job->ahead);
    return true;
}

void source_hand_over(struct source_state *s)
{
    for (uint32_t i = 0; s->instances > 1 && i < s->jobs_used; i++) {
        struct source_job *job = source_job_at(s, i);
        if (job->state != JOB_READ || (!job->begun && !begin(s, job)))
            continue;
        if (!job->handed && (!job->heads || take_job_header(s, job)))
            look_ahead(s, job);
    }
}

uint32_t source_cut_chunk(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    struct belt_records_out to = { .spans = out->spans, .room = out->most, .failed = out->failed };
    if (!job->begun && !begin(s, job)) {
        wait_for(s, job);
        if (!job->begun)
            return 0;
    }
    if (job->heads && !take_job_header(s, job))
        return 0;
    if (s->instances > 1 && !job->handed && !look_ahead(s, job))
        return 0;
    bool more = cut_some(s, job, &job->cut, &to);
    if (more && !to.count)
        source_extend(s, job, job->cut.at);
    if (to.reason)
        out->failed_reason = to.reason;
    job->at = job->cut.at;
    if (job->at >= job->stop && !job->handed)
        hand_over(s, job, &job->cut);
    return to.count;
}

uint32_t source_cut_stream(struct source_state *s, struct source_job *job, struct belt_fill *out)
{
    struct belt_records_out to = { .spans = out->spans, .room = out->most, .failed = out->failed };
    if (job->at != s->cut.at) { /* a new slab: what was carried lies at its start */
        s->cut.seen -= s->cut.at;
        s->cut.careful = s->cut.careful > s->cut.at ? s->cut.careful - s->cut.at : 0;
        s->cut.known = s->cut.known > s->cut.at ? s->cut.known - s->cut.at : 0;
        s->cut.at = 0;
    }
    if (s->heads) {
        s->heads =
            !take_header(s, job->input, &s->cut, source_slab(s, job->slab), job->have, s->ended);
        s->line += s->cut.at > job->at;
        out->place = s->line;
        job->at = s->cut.at;
        job->unfinished = false;
        if (s->heads)
            return 0;
    }
    job->unfinished =
        !belt_records_cut(&s->conf->kinds, &s->cut, source_slab(s, job->slab), job->have,
                          UINT32_MAX, s->ended, s->torn ? SOURCE_TORN : NULL, &to) &&
        !(s->ended && s->cut.at == job->have);
    if (to.reason)
        out->failed_reason = to.reason;
    job->at = s->cut.at;
    s->line += to.count;
    return to.count;
}
