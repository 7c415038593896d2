/* Starting, failing and freeing a run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/aggregate_priv.h"
#include "core/build_priv.h"
#include "core/clock_priv.h"

/* ---- parts: opened once, sources first -------------------------------------- */

int belt_use_open(struct belt_use *use, struct belt_error *err)
{
    int rc = use->part->open ? use->part->open(use->conf, err) : 0;
    if (rc < 0)
        err->config = 1; /* nothing has been written yet: what was asked for cannot be */
    return rc;
}

int belt_steps_open(struct belt_spec *spec, const struct belt_processor_spec *processor,
                    struct belt_error *err)
{
    int rc = 0;
    for (int s = 0; rc == 0 && s < processor->steps_used; s++)
        rc = belt_use_open(&spec->steps[processor->first_step + s], err);
    return rc;
}

/* In a worker: what a part opens belongs to those who use it. */
static bool is_apart(int isolation, bool workers)
{
    return workers && isolation == BELT_ISOLATION_PROCESS;
}

int belt_run_open(struct belt_spec *spec, bool workers, struct belt_error *err)
{
    int rc = 0;
    for (int s = 0; rc == 0 && s < spec->sources_used; s++)
        rc = belt_use_open(&spec->sources[s].use, err);
    for (int p = 0; rc == 0 && p < spec->processors_used; p++)
        if (!is_apart(spec->processors[p].isolation, workers))
            rc = belt_steps_open(spec, &spec->processors[p], err);
    for (int i = 0; rc == 0 && i < belt_spec_outlets(spec); i++)
        if (!is_apart(spec->batchers[i].isolation, workers))
            rc = belt_use_open(&spec->batchers[i].sink, err);
    return rc;
}

/* ---- waking and failing ----------------------------------------------------- */

/* Also called from belt_pipeline_stop(), so from signal handlers: write() only. */
void belt_run_wake(struct belt_engine_run *run)
{
    const uint64_t one = 1;
    for (uint32_t l = 0; l < run->lanes_used; l++) {
        ssize_t ignored = write(run->lanes[l].fd, &one, sizeof one);
        (void)ignored; /* full: it is awake */
    }
}

void belt_run_press(struct belt_engine_run *run, bool on)
{
    belt_fetch_add32(&run->pressure, on ? 1 : UINT32_MAX);
    if (on)
        belt_run_wake(run);
}

void belt_run_fail(struct belt_engine_run *run, const struct belt_error *err)
{
    belt_run_fail_at(run, err, NULL);
}

/* The first error counts. Under the run's lock. */
static void keep_error(struct belt_engine_run *run, const struct belt_error *err,
                       const struct belt_failure_seen *at)
{
    if (!run->error.code) {
        run->error = *err;
        if (!run->error.code)
            run->error.code = -EIO;
        run->error_placed = at != NULL;
        if (at)
            run->error_at = *at;
    }
    belt_store_release32(&run->incomplete, 1);
}

void belt_run_stop_failed(struct belt_engine_run *run, const struct belt_error *err)
{
    uint64_t drain = run->spec->drain, now = belt_now();
    pthread_mutex_lock(&run->lock);
    keep_error(run, err, NULL);
    pthread_mutex_unlock(&run->lock);
    belt_store_relaxed(&run->stop_deadline, drain > UINT64_MAX - now ? UINT64_MAX : now + drain);
    belt_store_release32(&run->stopping, 1);
    belt_run_wake(run);
}

void belt_run_fail_at(struct belt_engine_run *run, const struct belt_error *err,
                      const struct belt_failure_seen *at)
{
    pthread_mutex_lock(&run->lock);
    keep_error(run, err, at);
    belt_store_release32(&run->aborting, 1);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    belt_run_wake(run);
}

/* ---- freeing ---------------------------------------------------------------- */

static void free_source(struct belt_source_stage *s)
{
    for (uint32_t f = 0; s->feeds && f < s->feeds_used; f++)
        free(s->feeds[f].readers);
    free(s->feeds);
    free(s->slab_frames);
    free(s->slab_closed);
    free(s->state);
    if (s->reasons)
        pthread_mutex_destroy(&s->reasons->lock);
}

static void free_chain(struct belt_chain_stage *chain)
{
    free(chain->intake.writers);
    free(chain->intake.free);
    belt_links_free(chain);
    for (int s = 0; s < BELT_STEPS; s++)
        free(chain->states[s]);
    for (int o = 0; chain->outlets && o < chain->outlets_used; o++) {
        free(chain->outlets[o].outs);
        belt_agg_free(chain->outlets[o].partial);
    }
    free(chain->outlets);
    free(chain->worker);
}

static void free_batcher(struct belt_batcher_stage *b)
{
    belt_batches_free(b->batches);
    belt_agg_free(b->total);
    belt_agg_store_free(b->store);
    free(b->worker);
    free(b->ins);
    free(b->state);
}

void belt_run_free(struct belt_engine_run *run)
{
    if (!run)
        return;
    belt_overflow_stop(run);
    if (run->holds)
        belt_holds_close(run->holds);
    for (uint32_t i = 0; run->sources && i < run->sources_used; i++)
        free_source(&run->sources[i]);
    for (uint32_t i = 0; run->chains && i < run->chains_used; i++)
        free_chain(&run->chains[i]);
    for (int o = 0; o < run->batchers_used; o++) {
        for (uint32_t i = 0; run->batchers[o] && i < run->spec->batchers[o].instances; i++)
            free_batcher(&run->batchers[o][i]);
        free(run->batchers[o]);
    }
    for (uint32_t l = 0; run->lanes && l < run->lanes_used; l++)
        if (run->lanes[l].fd >= 0)
            close(run->lanes[l].fd);
    free(run->sources);
    free(run->chains);
    free(run->pool.free);
    free(run->lanes);
    free(run->hists);
    belt_mem_unmap(&run->region);
    free(run->extents);
    pthread_mutex_destroy(&run->lock);
    pthread_cond_destroy(&run->changed);
    free(run);
}
