/* Live resize: how many instances of a stage get messages, changed at rest. All instances
 * that there may be are made at the start (docs/decisions/011): what changes is who is
 * sent messages, and whose steps are set up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/control_priv.h"
#include "core/settings_priv.h"

/* ---- who gets messages ------------------------------------------------------------ */

static uint32_t copies_of(const struct belt_chain_stage *chain)
{
    uint32_t copies = 0;
    for (uint32_t f = 0; f < chain->fanouts_used; f++)
        copies +=
            chain->fanouts[f].dispatch == BELT_DISPATCH_BROADCAST ? chain->fanouts[f].active : 1;
    return copies;
}

static void size_chain(struct belt_engine_run *run, struct belt_chain_stage *chain)
{
    for (uint32_t f = 0; f < chain->fanouts_used; f++) {
        struct belt_fanout *fan = &chain->fanouts[f];
        if (fan->outs_used > 1)
            fan->active = run->processors_active[fan->to - run->spec->processors];
    }
    chain->copies = copies_of(chain);
    for (int o = 0; o < chain->outlets_used; o++)
        chain->outlets[o].active =
            run->batchers_active[chain->outlets[o].batcher - run->spec->batchers];
}

/* A chunk whose beginning went to an instance that is idle now goes on at another: all of
 * that is through. */
static void size_source(struct belt_engine_run *run, struct belt_source_stage *s)
{
    s->feeds_active = s->feeds_used > 1 ? run->processors_active[0] : 1;
    s->feed %= s->feeds_active;
    if (run->plan->pooled)
        s->feeds[0].readers_used = run->processors_active[0];
}

void belt_run_apply_sizes(struct belt_engine_run *run)
{
    const struct belt_plan *plan = run->plan;
    for (int p = 0; p < run->spec->processors_used; p++)
        for (uint32_t i = 0; i < plan->processor_instances[p]; i++)
            run->chains[plan->processor_chains[p] + i].idle = i >= run->processors_active[p];
    for (uint32_t c = 0; c < run->chains_used; c++)
        size_chain(run, &run->chains[c]);
    for (uint32_t s = 0; s < run->sources_used; s++)
        size_source(run, &run->sources[s]);
}

bool belt_stage_is_idle(const struct belt_stage *stage)
{
    if (stage->kind == &belt_chain_kind)
        return ((const struct belt_chain_stage *)(const void *)stage)->idle;
    if (stage->kind != &belt_batcher_kind)
        return false;
    const struct belt_batcher_stage *b = (const struct belt_batcher_stage *)(const void *)stage;
    return stage->index >= stage->run->batchers_active[b->spec - stage->run->spec->batchers];
}

/* ---- which stage ------------------------------------------------------------------ */

#define STAGE_NAME 128 /* bytes of a stage's name */
#define NAMES 64

/* A processor with those that are paired with it, or a batcher. */
struct sized {
    const char *name;
    bool batcher;
    int index; /* of the first of the processors; of the batcher */
    uint32_t now, most;
};

/* "processors.parse+enrich" is processors.parse, and processors.enrich, too: the name that
 * begins at *at, which moves behind it. False: there are no more. */
static bool next_name(const char *stage, const char **at, char out[STAGE_NAME])
{
    const char *dot = strchr(stage, '.');
    if (!**at)
        return false;
    size_t before = dot && *at != stage ? (size_t)(dot - stage) + 1 : 0, size = strcspn(*at, "+");
    snprintf(out, STAGE_NAME, "%.*s%.*s", (int)before, stage, (int)size, *at);
    *at += size + ((*at)[size] == '+');
    return true;
}

static bool is_called(const char *stage, const char *name)
{
    char part[STAGE_NAME];
    const char *at = stage;
    bool same = strcmp(stage, name) == 0;
    while (!same && next_name(stage, &at, part))
        same = strcmp(part, name) == 0;
    return same;
}

static struct sized processor_at(const struct belt_pipeline *p, int i)
{
    const struct belt_plan *plan = p->plan;
    while (plan->processor_paired[i])
        i = p->spec->processors[i].from;
    const struct belt_processor_spec *of = &p->spec->processors[i];
    return (struct sized){ of->name, false, i, p->run->processors_active[i], of->most };
}

static struct sized batcher_at(const struct belt_pipeline *p, int i)
{
    const struct belt_batcher_spec *of = &p->spec->batchers[i];
    uint32_t most = of->instances > 1 ? of->instances : 0;
    return (struct sized){ of->path, true, i, p->run->batchers_active[i], most };
}

static int not_found(const struct belt_pipeline *p, const char *name, struct belt_error *err)
{
    const struct belt_spec *spec = p->spec;
    char parts[NAMES][STAGE_NAME];
    const char *names[NAMES + BELT_BATCHERS];
    int used = 0;
    for (int s = 0; s < spec->sources_used; s++)
        if (strcmp(spec->sources[s].path, name) == 0)
            return belt_error_set(err, -EINVAL,
                                  "%s: a source shares out its input at the start and cannot be "
                                  "resized: its rate can be set, and processors be resized",
                                  name);
    for (int i = 0; i < spec->processors_used; i++) {
        const char *stage = spec->processors[i].name, *at = stage;
        while (used < NAMES && next_name(stage, &at, parts[used])) {
            names[used] = parts[used];
            used++;
        }
    }
    for (int i = 0; i < spec->batchers_used; i++)
        names[used++] = spec->batchers[i].path;
    const char *near = belt_nearest(name, names, (size_t)used);
    return belt_error_set(err, -EINVAL, "%s has no processor or batcher '%s'%s%s%s", spec->name,
                          name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int find(const struct belt_pipeline *p, const char *name, struct sized *out,
                struct belt_error *err)
{
    for (int i = 0; i < p->spec->processors_used; i++)
        if (is_called(p->spec->processors[i].name, name)) {
            *out = processor_at(p, i);
            return 0;
        }
    for (int i = 0; i < p->spec->batchers_used; i++)
        if (strcmp(p->spec->batchers[i].path, name) == 0) {
            *out = batcher_at(p, i);
            return 0;
        }
    return not_found(p, name, err);
}

static int check(const struct belt_pipeline *p, const char *name, uint32_t instances,
                 struct sized *out, struct belt_error *err)
{
    if (!p->run)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    if (p->ended)
        return belt_error_set(err, -EPIPE, "%s has ended", p->spec->name);
    int rc = find(p, name, out, err);
    if (rc < 0)
        return rc;
    if (!out->most)
        return belt_error_set(err, -EINVAL,
                              "%s cannot be resized: start it with max_concurrency: N", out->name);
    if (instances && instances <= out->most)
        return 0;
    return belt_error_set(err, -EINVAL,
                          "%s may have 1 to %u instances, not %u: its "
                          "max_concurrency, from the start, is the most",
                          out->name, out->most, instances);
}

/* ---- at rest ---------------------------------------------------------------------- */

static bool is_one_of(const struct belt_pipeline *p, const struct sized *of, int processor)
{
    while (p->plan->processor_paired[processor])
        processor = p->spec->processors[processor].from;
    return !of->batcher && processor == of->index;
}

static int call_one(struct belt_pipeline *p, struct belt_stage *stage, belt_stage_call *call,
                    uint64_t until, struct belt_error *err)
{
    return p->started ? belt_barrier_call(stage, call, until, err) : call(stage, err);
}

/* For instances [first, end) of the processors. */
static int call_all(struct belt_pipeline *p, const struct sized *of, uint32_t first, uint32_t end,
                    belt_stage_call *call, uint64_t until, struct belt_error *err)
{
    int rc = 0;
    for (int q = 0; q < p->spec->processors_used; q++)
        for (uint32_t i = first; rc >= 0 && is_one_of(p, of, q) && i < end; i++)
            rc = call_one(p, &p->run->chains[p->plan->processor_chains[q] + i].stage, call, until,
                          err);
    return rc;
}

static void set(struct belt_pipeline *p, const struct sized *of, uint32_t instances)
{
    if (of->batcher)
        p->run->batchers_active[of->index] = instances;
    for (int q = 0; q < p->spec->processors_used; q++)
        if (is_one_of(p, of, q))
            p->run->processors_active[q] = instances;
    belt_run_apply_sizes(p->run);
}

/* Lanes stand. New instances are set up before they are sent anything; when one cannot
 * be, those that could end again. How old ones end changes nothing: they are out of use. */
static int change(struct belt_pipeline *p, const struct sized *of, uint32_t instances,
                  uint64_t until, struct belt_error *err)
{
    struct belt_error ignored;
    int rc = call_all(p, of, of->now, instances, belt_chain_begin, until, err);
    if (rc < 0) {
        call_all(p, of, of->now, instances, belt_chain_end, until, &ignored);
        return rc;
    }
    set(p, of, instances);
    call_all(p, of, instances, of->now, belt_chain_end, until, &ignored);
    return 0;
}

static int change_standing(struct belt_pipeline *p, const struct sized *of, uint32_t instances,
                           uint64_t until, struct belt_error *err)
{
    uint64_t now = belt_now();
    if (!p->started)
        return change(p, of, instances, until, err);
    int rc = belt_barrier_freeze(p->run, until > now ? until - now : 0);
    if (rc < 0)
        return belt_error_set(err, rc, "%s did not stand still in time: nothing is changed",
                              p->spec->name);
    /* Sources go through a pause when they are to stop, so there may be messages again. */
    if (belt_run_stopping(p->run) || belt_run_aborting(p->run))
        rc = belt_error_set(err, -EPIPE, "%s ends", p->spec->name);
    else
        rc = change(p, of, instances, until, err);
    belt_barrier_thaw(p->run);
    return rc;
}

int belt_pipeline_resize(struct belt_pipeline *p, const char *stage, uint32_t instances,
                         uint64_t deadline_ns, struct belt_error *err)
{
    struct sized of = { 0 };
    int rc = check(p, stage, instances, &of, err);
    if (rc < 0 || instances == of.now)
        return rc;
    uint64_t now = belt_now();
    uint64_t until = deadline_ns > UINT64_MAX - now ? UINT64_MAX : now + deadline_ns;
    bool paused = belt_load_relaxed32(&p->run->barrier.paused) != 0;
    /* Rows of a key in an open batch of one instance would be passed by those in another's. */
    rc = belt_pipeline_rest(p, until, of.batcher ? BELT_REST_SETTLED : BELT_REST_CLEAR, err);
    if (rc == 0)
        rc = change_standing(p, &of, instances, until, err);
    if (!paused)
        belt_pipeline_resume(p);
    return rc;
}
