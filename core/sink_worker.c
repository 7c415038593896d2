/* The batcher stage's side of a worker that runs its sink: jobs, replies, deaths. */
#include "core/sink_worker_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/telemetry_priv.h"

static struct belt_sink_job *job_at(struct belt_sink_worker *w, uint64_t number)
{
    return &w->jobs->at[number % BELT_SINK_JOBS];
}

/* ---- jobs ------------------------------------------------------------------------- */

static void give(struct belt_sink_worker *w, enum belt_sink_call call, struct belt_open_batch *open,
                 int code)
{
    struct belt_sink_job *job = job_at(w, w->given);
    *job = (struct belt_sink_job){ .call = call, .code = code };
    job->base = w->b->stage.run->region.base;
    if (open)
        job->open = *open;
    if (open && open->reasons_used)
        memcpy(job->reason, open->reasons[0], sizeof job->reason);
    w->out[w->given++ % BELT_SINK_JOBS] = open;
    /* R1, pairs with A1 in next_job() of core/sink_main.c: the job and the batch. */
    belt_store_release(&w->jobs->given, w->given);
    belt_nap_end(&w->worker.block->asleep);
}

void belt_sink_worker_give(struct belt_sink_worker *w, enum belt_sink_call call,
                           struct belt_open_batch *open, int code)
{
    give(w, call, open, code);
}

int belt_sink_worker_finish(struct belt_sink_worker *w, bool complete, struct belt_error *err)
{
    struct belt_batcher_stage *b = w->b;
    if (b->sink->finish && !b->finished)
        give(w, BELT_CALL_FINISH, NULL, complete);
    b->finished = true;
    if (b->sink->finish && !w->finished)
        return 0;
    if (w->finish_error.code < 0) {
        *err = w->finish_error;
        return err->code;
    }
    belt_worker_end(&w->worker);
    return 1;
}

/* ---- replies ---------------------------------------------------------------------- */

static void call_over(struct belt_sink_worker *w, const struct belt_sink_reply *reply)
{
    struct belt_open_batch *open = w->out[w->done % BELT_SINK_JOBS];
    struct belt_sink_job *job = job_at(w, w->done++);
    switch (job->call) {
    case BELT_CALL_BATCH: belt_batch_done(&open->batch, reply->code, reply->text); break;
    case BELT_CALL_FAILED:
        if (reply->code == 0 && belt_wants(&w->b->stage, BELT_WANT_FAILED))
            belt_tell_handle_failed_apart(&w->b->stage, open->batch.count, reply->ns);
        belt_refused_gone(w->b, open);
        break;
    case BELT_CALL_FINISH:
        w->finished = true;
        if (reply->code < 0)
            belt_error_set(&w->finish_error, reply->code, "%s", reply->text);
    }
}

static bool take_replies(struct belt_sink_worker *w)
{
    bool any = false;
    for (;;) {
        struct belt_slots slot = belt_peek(&w->worker.results, 1);
        const struct belt_sink_reply *reply = slot.first;
        if (!slot.count)
            break;
        if (reply->what == BELT_REPLY_DONE)
            call_over(w, reply);
        else
            belt_batch_fail(&w->out[w->done % BELT_SINK_JOBS]->batch, reply->row, reply->text);
        belt_release(&w->worker.results, 1);
        any = true;
    }
    if (any)
        belt_nap_end(&w->worker.block->asleep); /* it may wait for room */
    return any;
}

/* ---- deaths ----------------------------------------------------------------------- */

/* The call that it died in is made again; from the last attempt on what it said of the
 * batch stays. */
static void died(struct belt_worker *worker, uint64_t under_work, bool its_fault)
{
    struct belt_sink_worker *w = worker->owner;
    take_replies(w);
    struct belt_open_batch *open = w->out[w->done % BELT_SINK_JOBS];
    struct belt_sink_job *job = job_at(w, w->done);
    if (!under_work || w->done == w->given)
        return;
    job->deaths += its_fault;
    worker->exhausted = job->deaths >= worker->conf->max_attempts;
    if (job->call != BELT_CALL_BATCH)
        return;
    open->final = worker->exhausted;
    if (open->final)
        return;
    belt_batch_once_more(open);
    job->open = *open;
    belt_count(&w->b->stage.stats.batches_again, 1);
}

/* ---- life ------------------------------------------------------------------------- */

struct belt_sink_worker *belt_sink_worker_new(struct belt_batcher_stage *b)
{
    const struct belt_worker_conf *conf = &b->spec->workers;
    size_t size = sizeof(struct belt_sink_worker) + belt_worker_size(conf);
    struct belt_sink_worker *w = calloc(1, size);
    if (!w)
        return NULL;
    w->b = b;
    belt_worker_init(&w->worker, b->stage.run->zygote, conf);
    w->worker.owner = w;
    w->worker.died = died;
    return w;
}

/* In its words it is "worker 0", of which there are others. */
static int refuse(const struct belt_sink_worker *w, int rc, struct belt_error *err)
{
    struct belt_error why = *err;
    belt_error_set(err, rc, "%s: %s", w->b->spec->path, why.text);
    err->config = why.config;
    return rc;
}

int belt_sink_worker_start(struct belt_sink_worker *w, struct belt_error *err)
{
    int rc = belt_worker_start(&w->worker, belt_now(), err);
    return rc < 0 ? refuse(w, rc, err) : 0;
}

int belt_sink_worker_turn(struct belt_sink_worker *w, uint64_t now, struct belt_error *err)
{
    struct belt_worker *worker = &w->worker;
    struct belt_stats *stats = &w->b->stage.stats;
    bool moved = take_replies(w);
    if (worker->ending)
        return moved;
    uint64_t known = worker->known;
    int rc = belt_worker_watch(worker, w->given != w->done, now, err);
    belt_store_relaxed(&stats->restarts, worker->restarts);
    belt_store_relaxed(&stats->attempts, worker->attempts);
    belt_store_relaxed(&stats->hangs, worker->hangs);
    if (worker->known != known && belt_wants(&w->b->stage, BELT_WANT(WORKER_RESTART)))
        belt_tell_restart(&w->b->stage, worker);
    return rc < 0 ? refuse(w, rc, err) : moved || rc;
}
