#include "core/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/pipeline_priv.h"
#include "core/telemetry_priv.h"
#include "core/worker_priv.h"

/* How often belt_pipeline_wait() looks for a stop's deadline. A signal handler may
 * call stop, and cannot wake a condition. The end of the run wakes it at once. */
#define LOOK_NS 10000000u
#define IDLE_LOOK_NS 250000000u

/* ---- telling it what to be -------------------------------------------------- */

int belt_pipeline_new(struct belt_pipeline **out, struct belt_error *err)
{
    struct belt_pipeline *p = calloc(1, sizeof *p);
    if (!p)
        return belt_error_set(err, -ENOMEM, "pipeline: out of memory");
    p->tree = belt_tree_new();
    int rc = p->tree ? belt_registry_new(&p->registry, err)
                     : belt_error_set(err, -ENOMEM, "pipeline: out of memory");
    if (rc < 0) {
        belt_pipeline_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

static int not_started(const struct belt_pipeline *p, struct belt_error *err)
{
    if (p->run)
        return belt_error_set(err, -EBUSY, "the pipeline has started: its settings are fixed");
    return 0;
}

/* What was made of the settings is made anew when they change. */
static void forget(struct belt_pipeline *p)
{
    belt_plan_free(p->plan);
    belt_spec_free(p->spec);
    p->plan = NULL;
    p->spec = NULL;
}

int belt_pipeline_add(struct belt_pipeline *p, const struct belt_part *part, struct belt_error *err)
{
    return belt_registry_add(p->registry, part, err);
}

int belt_pipeline_load(struct belt_pipeline *p, const char *path, struct belt_error *err)
{
    int rc = not_started(p, err);
    forget(p);
    return rc < 0 ? rc : belt_tree_load(p->tree, path, err);
}

int belt_pipeline_load_text(struct belt_pipeline *p, const char *text, const char *name,
                            struct belt_error *err)
{
    int rc = not_started(p, err);
    forget(p);
    return rc < 0 ? rc : belt_tree_load_text(p->tree, text, name, err);
}

int belt_pipeline_set(struct belt_pipeline *p, const char *path, const char *value,
                      struct belt_error *err)
{
    int rc = not_started(p, err);
    forget(p);
    return rc < 0 ? rc : belt_tree_set(p->tree, path, value, err);
}

static int load_plugins(struct belt_pipeline *p, struct belt_error *err)
{
    const struct belt_node *list = belt_node_get(belt_tree_root(p->tree), "plugins");
    if (!list || p->plugins_loaded)
        return 0;
    if (belt_node_kind(list) != BELT_NODE_LIST)
        return belt_node_error(err, list, "plugins is a list of paths: [./libmine.so]");
    p->plugins_loaded = true;
    for (size_t i = 0; i < belt_node_count(list); i++) {
        int rc = belt_registry_plugin(p->registry, belt_node_at(list, i), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int prepare(struct belt_pipeline *p, bool caller, struct belt_error *err)
{
    if (p->spec && p->plan && p->plan->caller == caller)
        return 0;
    forget(p);
    int rc = load_plugins(p, err);
    if (rc == 0)
        rc = belt_spec_new(&p->spec, p->tree, p->registry, err);
    return rc < 0 ? rc : belt_plan_new(&p->plan, p->spec, caller, err);
}

int belt_pipeline_validate(struct belt_pipeline *p, struct belt_error *err)
{
    return p->run ? 0 : prepare(p, false, err);
}

/* ---- running ---------------------------------------------------------------- */

static int make_run(struct belt_pipeline *p, bool caller, struct belt_error *err)
{
    int rc = prepare(p, caller, err);
    if (rc == 0 && !belt_topology_here(p->plan->topology))
        rc = belt_error_config(err, "placement.topology: this is a plan for another machine; leave "
                                    "topology out to run here");
    /* Before files, rings and threads: workers are to inherit none of them. */
    if (rc == 0 && (p->spec->workers || p->spec->sink_workers) && !caller)
        rc = belt_zygote_new(&p->zygote, p->spec, err);
    if (rc == 0)
        rc = belt_run_open(p->spec, p->zygote != NULL, err);
    if (rc == 0)
        rc = belt_run_new(&p->run, p->spec, p->plan, p->zygote, err);
    if (rc == 0)
        p->run->context = p->context;
    if (rc == 0)
        rc = belt_telemetry_begin(p, err);
    return rc;
}

static void join_lanes(struct belt_pipeline *p)
{
    if (p->joined)
        return;
    p->joined = true;
    belt_running_remove(p);
    for (uint32_t l = 0; l < p->run->lanes_used; l++)
        if (p->run->lanes[l].started)
            pthread_join(p->run->lanes[l].thread, NULL);
    for (uint32_t s = 0; s < p->run->sources_used; s++)
        belt_ledger_free(&p->run->sources[s].ledger);
    belt_telemetry_end(p);
}

static int start_lanes(struct belt_pipeline *p, struct belt_error *err)
{
    struct belt_engine_run *run = p->run;
    for (uint32_t l = 0; l < run->lanes_used; l++) {
        struct belt_lane *lane = &run->lanes[l];
        int rc = -pthread_create(&lane->thread, NULL, belt_lane_main, lane);
        if (rc < 0) {
            belt_error_set(err, rc, "lane %u: %s", l, strerror(-rc));
            belt_run_fail(run, err);
            return rc;
        }
        lane->started = true;
    }
    pthread_mutex_lock(&run->lock);
    while (run->lanes_ready < run->lanes_used)
        pthread_cond_wait(&run->changed, &run->lock);
    int rc = run->error.code;
    if (rc < 0) {
        *err = run->error;
    } else {
        run->started_ns = belt_now();
        belt_run_ready(run);
        belt_telemetry_began(p); /* before any lane has anything to tell */
        run->go = true;
    }
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return rc;
}

int belt_pipeline_start(struct belt_pipeline *p, struct belt_error *err)
{
    int rc = not_started(p, err);
    if (rc == 0)
        rc = make_run(p, false, err);
    if (rc == 0) {
        rc = start_lanes(p, err);
        p->started = true;
    }
    if (rc == 0)
        belt_running_add(p);
    if (rc < 0 && p->started)
        join_lanes(p);
    return rc;
}

static int turn_ended(struct belt_pipeline *p, int rc)
{
    p->ended = true;
    belt_running_remove(p);
    belt_lane_fini(&p->run->lanes[0]);
    for (uint32_t s = 0; s < p->run->sources_used; s++)
        belt_ledger_free(&p->run->sources[s].ledger);
    belt_telemetry_end(p);
    return rc;
}

int belt_pipeline_turn(struct belt_pipeline *p, uint64_t now_ns, struct belt_error *err)
{
    if (p->started)
        return belt_error_set(err, -EBUSY, "the pipeline runs in lanes of its own");
    if (p->ended)
        return -EPIPE;
    int rc = 0;
    if (!p->run) {
        rc = make_run(p, true, err);
        if (rc < 0)
            return rc;
        p->run->started_ns = now_ns;
        rc = belt_lane_init(&p->run->lanes[0], err);
        if (rc < 0)
            return turn_ended(p, rc);
        belt_run_ready(p->run);
        belt_telemetry_began(p);
        belt_running_add(p);
    }
    p->run->ended_ns = now_ns;
    enum belt_turn outcome = belt_lane_turn(&p->run->lanes[0], now_ns, err);
    belt_telemetry_deliver(p);
    switch (outcome) {
    case BELT_TURN_BUSY: return 1;
    case BELT_TURN_ENDED:
        if (p->run->error.code && err)
            *err = p->run->error;
        return turn_ended(p, p->run->error.code ? p->run->error.code : -EPIPE);
    case BELT_TURN_FAILED:
        belt_run_fail(p->run, err);
        return turn_ended(p, err->code < 0 ? err->code : -EIO);
    default: return 0;
    }
}

/* A drain that takes too long is cut off by whoever waits. */
static void watch_deadline(struct belt_engine_run *run)
{
    uint64_t deadline = belt_load_relaxed(&run->stop_deadline);
    if (belt_run_stopping(run) && deadline && belt_now() >= deadline) {
        belt_store_release32(&run->incomplete, 1);
        belt_store_release32(&run->aborting, 1);
        belt_run_wake(run);
    }
}

int belt_pipeline_wait(struct belt_pipeline *p, uint64_t timeout_ns, struct belt_error *err)
{
    struct belt_engine_run *run = p->run;
    if (!run || !p->started)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    uint64_t now = belt_now();
    uint64_t until = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
    pthread_mutex_lock(&run->lock);
    while (run->lanes_left < run->lanes_used && now < until) {
        /* Looks up now and then, for a stop whose deadline has passed. */
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        uint64_t most = belt_run_stopping(run) ? LOOK_NS : IDLE_LOOK_NS;
        uint64_t ns = until - now < most ? until - now : most;
        uint64_t sum = (uint64_t)at.tv_nsec + ns;
        at.tv_sec += (time_t)(sum / 1000000000u);
        at.tv_nsec = (long)(sum % 1000000000u);
        pthread_cond_timedwait(&run->changed, &run->lock, &at);
        pthread_mutex_unlock(&run->lock);
        watch_deadline(run);
        pthread_mutex_lock(&run->lock);
        now = belt_now();
    }
    bool left = run->lanes_left == run->lanes_used;
    pthread_mutex_unlock(&run->lock);
    if (!left)
        return -ETIMEDOUT;
    join_lanes(p);
    p->ended = true;
    belt_run_place_error(run);
    if (run->error.code && err)
        *err = run->error;
    return run->error.code;
}

void belt_pipeline_stop(struct belt_pipeline *p, uint64_t deadline_ns)
{
    struct belt_engine_run *run = p->run;
    if (!run)
        return;
    uint64_t now = belt_now();
    if (deadline_ns == BELT_FOREVER)
        deadline_ns = p->spec->drain;
    uint64_t at = deadline_ns > UINT64_MAX - now ? UINT64_MAX : now + deadline_ns;
    belt_store_relaxed(&run->stop_deadline, at ? at : 1);
    belt_store_release32(&run->stopping, 1);
    if (!deadline_ns) {
        belt_store_release32(&run->incomplete, 1);
        belt_store_release32(&run->aborting, 1);
    }
    belt_run_wake(run);
}

void belt_pipeline_free(struct belt_pipeline *p)
{
    if (!p)
        return;
    if (p->run && p->started && !p->joined) {
        belt_pipeline_stop(p, 0);
        join_lanes(p);
    } else if (p->run && !p->started && !p->ended) {
        belt_running_remove(p);
        belt_lane_fini(&p->run->lanes[0]);
    }
    belt_telemetry_free(p);
    belt_run_free(p->run);
    belt_zygote_free(p->zygote);
    forget(p);
    belt_registry_free(p->registry);
    belt_tree_free(p->tree);
    free(p);
}
