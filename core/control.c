/* Telling a running pipeline what to do. */
#include "core/control.h"

#include <errno.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/control_priv.h"
#include "core/settings_priv.h"
#include "core/telemetry_priv.h"

uint64_t belt_pipeline_now(const struct belt_pipeline *p)
{
    return p->started ? belt_now() : p->run->ended_ns;
}

int belt_pipeline_find_source(const struct belt_pipeline *p, const char *name,
                              struct belt_error *err)
{
    const char *names[BELT_SOURCES];
    if (!p->run)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    int count = p->spec->sources_used;
    if (!name && count == 1)
        return 0;
    if (!name)
        return belt_error_set(err, -EINVAL, "%s has %d sources: name one of them", p->spec->name,
                              count);
    for (int s = 0; s < count; s++) {
        names[s] = p->spec->sources[s].name;
        if (strcmp(names[s], name) == 0)
            return s;
    }
    const char *near = belt_nearest(name, names, (size_t)count);
    return belt_error_set(err, -EINVAL, "%s has no source '%s'%s%s%s", p->spec->name, name,
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- rate -------------------------------------------------------------------- */

int belt_pipeline_rate(struct belt_pipeline *p, const char *source, struct belt_rate *out,
                       struct belt_error *err)
{
    int s = belt_pipeline_find_source(p, source, err);
    if (s < 0)
        return s;
    const struct belt_rate_state *rate = &p->run->rates[s];
    struct belt_rate r = { .size = out->size,
                           .messages = belt_load_relaxed(&rate->messages),
                           .per_ns = belt_load_relaxed(&rate->per),
                           .burst = belt_load_relaxed(&rate->burst) };
    memcpy(out, &r, out->size < sizeof r ? out->size : sizeof r);
    return 0;
}

int belt_pipeline_set_rate(struct belt_pipeline *p, const char *source,
                           const struct belt_rate *rate, bool reset, struct belt_error *err)
{
    struct belt_rate r = { 0 };
    int s = belt_pipeline_find_source(p, source, err);
    if (s < 0)
        return s;
    memcpy(&r, rate, rate->size < sizeof r ? rate->size : sizeof r);
    if (!r.per_ns)
        r.per_ns = 1000000000u;
    if (!r.burst)
        r.burst = belt_rate_burst(r.messages, r.per_ns);
    belt_rate_set(&p->run->rates[s], &(struct belt_rate_conf){ r.messages, r.per_ns, r.burst },
                  belt_pipeline_now(p), reset);
    belt_run_wake(p->run);
    return 0;
}

/* ---- batches -------------------------------------------------------------------- */

static int find_batcher(const struct belt_pipeline *p, const char *name, struct belt_error *err)
{
    if (!p->run || p->ended)
        return belt_error_set(err, -EINVAL, "the pipeline does not run");
    for (int i = 0; i < belt_spec_outlets(p->spec); i++)
        if (!name || strcmp(p->spec->batchers[i].name, name) == 0)
            return i;
    return belt_error_set(err, -EINVAL, "%s has no batcher '%s'", p->spec->name, name ? name : "");
}

/* What batches are told to be from now on. */
static int set_batches(struct belt_pipeline *p, int i, const struct belt_batching *b,
                       struct belt_error *err)
{
    struct belt_batcher_spec *spec = &p->spec->batchers[i];
    uint64_t size = b->messages ? b->messages : (uint64_t)spec->size;
    uint64_t bytes = b->bytes ? b->bytes : spec->bytes;
    uint64_t timeout = b->timeout_ns ? b->timeout_ns : spec->timeout;
    int rc = belt_run_set_batches(p->run, i, (uint32_t)size, bytes, timeout, err);
    if (rc < 0)
        return rc;
    spec->size = (int64_t)size;
    spec->bytes = bytes;
    spec->timeout = timeout;
    return 0;
}

/* Between turns: lanes stand, until thaw(). */
static int freeze(struct belt_pipeline *p, uint64_t deadline_ns, struct belt_error *err)
{
    int rc = p->started ? belt_barrier_freeze(p->run, deadline_ns) : 0;
    if (rc < 0)
        belt_error_set(err, rc, "%s did not stand still in time: nothing is changed",
                       p->spec->name);
    return rc;
}

static void thaw(struct belt_pipeline *p)
{
    if (p->started)
        belt_barrier_thaw(p->run);
}

int belt_pipeline_set_batching(struct belt_pipeline *p, const char *batcher,
                               const struct belt_batching *batching, uint64_t deadline_ns,
                               struct belt_error *err)
{
    struct belt_batching b = { 0 };
    int i = find_batcher(p, batcher, err);
    if (i < 0)
        return i;
    memcpy(&b, batching, batching->size < sizeof b ? batching->size : sizeof b);
    int rc = freeze(p, deadline_ns, err);
    if (rc < 0)
        return rc;
    rc = set_batches(p, i, &b, err);
    thaw(p);
    return rc;
}

/* ---- the application's pointer ---------------------------------------------------- */

int belt_pipeline_context(struct belt_pipeline *p, void *context, uint64_t deadline_ns,
                          struct belt_error *err)
{
    int rc = p->run ? freeze(p, deadline_ns, err) : 0;
    if (rc < 0)
        return rc;
    p->context = context;
    belt_telemetry_context(p);
    if (!p->run)
        return 0;
    p->run->context = context;
    thaw(p);
    return 0;
}

/* ---- handing messages in ------------------------------------------------------- */

void *belt_pipeline_push_conf(const struct belt_pipeline *p, const char *source,
                              struct belt_error *err)
{
    int s = belt_pipeline_find_source(p, source, err);
    if (s < 0)
        return NULL;
    const struct belt_source_spec *spec = &p->spec->sources[s];
    if (spec->use.part == &belt_source_push.part)
        return spec->use.conf;
    belt_error_set(err, -EINVAL, "%s is a source of %s: messages go into a source of push",
                   spec->path, spec->use.part->name);
    return NULL;
}

void belt_pipeline_wake_source(const struct belt_pipeline *p, const void *conf)
{
    for (uint32_t i = 0; i < p->run->sources_used; i++)
        if (p->run->sources[i].spec->use.conf == conf)
            belt_lane_wake(p->run->sources[i].stage.lane);
}

int64_t belt_pipeline_push(struct belt_pipeline *p, const char *source,
                           const struct belt_message *messages, uint32_t count, uint64_t wait_ns,
                           struct belt_error *err)
{
    void *conf = belt_pipeline_push_conf(p, source, err);
    if (!conf)
        return -EINVAL;
    int64_t given = belt_push_give(conf, messages, count, NULL, wait_ns, err);
    if (given > 0)
        belt_pipeline_wake_source(p, conf);
    return given;
}

int belt_pipeline_push_end(struct belt_pipeline *p, const char *source, struct belt_error *err)
{
    void *conf = belt_pipeline_push_conf(p, source, err);
    if (!conf)
        return -EINVAL;
    belt_push_end(conf);
    belt_pipeline_wake_source(p, conf);
    return 0;
}
