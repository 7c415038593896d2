/* The life of a worker that runs a sink: jobs in, replies out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/run_priv.h"
#include "core/sandbox_priv.h"
#include "core/sink_worker_priv.h"

/* Looks in vain before sleeping. */
#define LOOKS 200

struct server {
    struct belt_spec *spec; /* a copy of our own */
    struct belt_batcher_spec *batcher;
    const struct belt_sink *sink;
    const struct belt_worker_map *map;
    void *state;
    bool inited;
    char *region;
    struct belt_worker_block *block;
    struct belt_sink_jobs *jobs;
    struct belt_tx replies;
    int wake_fd;
    struct belt_intent now; /* where we are; in: calls that are over */
};

static void wake_lane(const struct server *s)
{
    const uint64_t one = 1;
    ssize_t ignored = write(s->wake_fd, &one, sizeof one);
    (void)ignored; /* full: it is awake */
}

/* ---- replies ---------------------------------------------------------------------- */

static struct belt_sink_reply *reply_room(struct server *s)
{
    struct belt_slots slot;
    while (!(slot = belt_claim(&s->replies, 1)).count) {
        wake_lane(s);
        belt_nap_prepare(&s->block->asleep);
        if ((slot = belt_claim(&s->replies, 1)).count)
            belt_nap_cancel(&s->block->asleep);
        else
            belt_nap(&s->block->asleep);
    }
    return slot.first;
}

static void reply(struct server *s, int what, uint32_t row, int code, const char *text, uint64_t ns)
{
    struct belt_sink_reply *reply = reply_room(s);
    reply->ns = ns;
    reply->what = what;
    reply->row = row;
    reply->code = code;
    snprintf(reply->text, sizeof reply->text, "%s", text);
    s->now.out++;
    s->now.in += what == BELT_REPLY_DONE;
    belt_turn_commit(&s->block->turns, &s->now);
    belt_publish(&s->replies, 1);
}

/* belt_batch_fail() in batch(). */
static void row_failed(struct belt_open_batch *open, uint32_t row, const char *reason)
{
    reply(open->owner, BELT_REPLY_ROW_FAILED, row, 0, reason, 0);
}

/* ---- jobs ------------------------------------------------------------------------- */

static void end(struct server *s, int status)
{
    if (s->inited && s->sink->part.fini)
        s->sink->part.fini(s->state, s->batcher->sink.conf);
    _exit(status);
}

static const struct belt_sink_job *next_job(struct server *s)
{
    /* A1, pairs with R1 in give() of core/sink_worker.c: the job and the batch. */
    bool any = belt_load_acquire(&s->jobs->given) != s->now.in;
    return any ? &s->jobs->at[s->now.in % BELT_SINK_JOBS] : NULL;
}

static const struct belt_sink_job *wait_for_job(struct server *s)
{
    const struct belt_sink_job *job = next_job(s);
    for (uint32_t looks = 1; !job; looks++) {
        /* Acquire, as in wait_for_work() of core/worker_main.c: all replies are taken. */
        if (belt_load_acquire32(&s->block->end))
            end(s, 0);
        if (looks < LOOKS) {
            belt_pause();
            job = next_job(s);
            continue;
        }
        belt_nap_prepare(&s->block->asleep);
        if ((job = next_job(s)))
            belt_nap_cancel(&s->block->asleep);
        else
            belt_nap(&s->block->asleep);
    }
    return job;
}

/* The lane's pointer into the region as ours. */
static void *here(const struct server *s, const struct belt_sink_job *job, const void *lanes)
{
    return lanes ? s->region + ((const char *)lanes - job->base) : NULL;
}

static struct belt_open_batch copy_of(struct server *s, const struct belt_sink_job *job)
{
    struct belt_open_batch open = job->open;
    open.batch.bytes = here(s, job, open.batch.bytes);
    open.batch.spans = here(s, job, open.batch.spans);
    open.batch.key = here(s, job, open.batch.key);
    open.batch.batcher = s->batcher->name;
    open.batch.user = NULL;
    open.marks = here(s, job, open.marks);
    open.reasons = here(s, job, open.reasons);
    if (open.room_reasons == 1)
        open.reasons = (char(*)[BELT_REASON])(uintptr_t)&job->reason;
    open.owner = s;
    open.tell = row_failed;
    return open;
}

static int call(struct server *s, const struct belt_sink_job *job, struct belt_error *err)
{
    struct belt_open_batch open;
    int rc;
    if (job->call == BELT_CALL_FINISH)
        return s->sink->finish(s->state, job->code, err);
    open = copy_of(s, job);
    if (job->call == BELT_CALL_FAILED) {
        s->sink->failed(s->state, &open.batch, job->code, belt_batch_reason(&open.batch, 0));
        return 0;
    }
    rc = s->sink->batch(s->state, &open.batch, err);
    if (rc <= 0)
        return rc;
    return belt_error_set(err, -EINVAL, "batch() of a sink without poll() returned %d", rc);
}

static void serve(struct server *s, const struct belt_sink_job *job)
{
    static const char *const names[] = { "it", "failed()", "finish()" };
    struct belt_worker_block *block = s->block;
    struct belt_error err = { 0 };
    uint64_t began = belt_now();
    int rc;
    if (job->deaths >= s->batcher->workers.max_attempts) {
        rc = belt_error_set(&err, -ECHILD, "%u workers died under %s, the last: %s", job->deaths,
                            names[job->call], block->death);
    } else {
        belt_store_relaxed(&block->calls, block->calls + 1); /* relaxed: only has to move */
        belt_store_release(&block->at, s->now.in + 1);
        rc = call(s, job, &err);
    }
    reply(s, BELT_REPLY_DONE, 0, rc, err.text, belt_now() - began);
    belt_store_release(&block->at, 0);
    wake_lane(s);
}

/* ---- beginning -------------------------------------------------------------------- */

static int open_ends(struct server *s)
{
    const struct belt_worker_map *map = s->map;
    s->block = (struct belt_worker_block *)(void *)(s->region + map->block);
    s->jobs = (struct belt_sink_jobs *)(void *)(s->region + map->intake);
    s->now = belt_turn_last(&s->block->turns);
    return belt_tx_open(&s->replies, belt_mem_of(s->region + map->results, map->results_size));
}

static int open_sink(struct server *s, struct belt_error *err)
{
    static void *const none = NULL;
    const struct belt_batcher_spec *batcher = s->batcher;
    const struct belt_part *part = &s->sink->part;
    struct belt_instance in =
        belt_sink_instance(batcher, s->map->index, s->map->count, s->spec->backend, &none);
    int rc = belt_use_open(&s->batcher->sink, err);
    if (rc < 0)
        return rc;
    s->state = calloc(1, part->state_size + 1);
    if (!s->state)
        return belt_error_set(err, -ENOMEM, "out of memory");
    rc = part->init ? part->init(s->state, batcher->sink.conf, &in, err) : 0;
    s->inited = rc >= 0;
    return rc;
}

static int begin(struct server *s, struct belt_error *err)
{
    const struct belt_worker_conf *conf = &s->batcher->workers;
    int rc = open_ends(s);
    if (rc < 0)
        return belt_error_set(err, rc, "the pipeline's memory: %s", strerror(-rc));
    if ((rc = belt_sandbox_begin(conf, err)) < 0 || (rc = open_sink(s, err)) < 0)
        return rc;
    return belt_sandbox_shut(conf, err);
}

_Noreturn void belt_sink_main(const struct belt_spec *spec, const struct belt_worker_map *map,
                              char *region, int wake_fd)
{
    static struct server s; /* a process of its own: one worker */
    struct belt_error err = { 0 };
    s = (struct server){ .spec = (struct belt_spec *)(uintptr_t)spec,
                         .map = map,
                         .region = region,
                         .wake_fd = wake_fd };
    s.batcher = &s.spec->batchers[map->sink - 1];
    s.sink = (const struct belt_sink *)(const void *)s.batcher->sink.part;
    if (begin(&s, &err) < 0) {
        snprintf(s.block->error, sizeof s.block->error, "%.250s", err.text);
        end(&s, 1);
    }
    belt_store_release32(&s.block->ready, 1);
    wake_lane(&s); /* from now on another time-out holds */
    for (;;)
        serve(&s, wait_for_job(&s));
}
