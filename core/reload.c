/* What a second pipeline was told, for one that runs: all that can be changed live. */
#include <errno.h>
#include <string.h>

#include "core/control_priv.h"
#include "core/stages.h"

struct reload {
    struct belt_pipeline *p;
    const struct belt_pipeline *told;
    uint64_t deadline_ns;
    int changes;
};

static int reload_rate(struct reload *r, const struct belt_source_spec *from,
                       struct belt_error *err)
{
    struct belt_rate now = { .size = sizeof now }, rate = { .size = sizeof rate,
                                                            .messages = from->rate.messages,
                                                            .per_ns = from->rate.per,
                                                            .burst = from->rate.burst };
    struct belt_error unknown;
    const char *name = r->p->spec->sources_used == 1 ? NULL : from->name;
    if (belt_pipeline_rate(r->p, name, &now, &unknown) < 0)
        return 0;
    bool same = now.messages == rate.messages &&
                (!now.messages || (now.per_ns == rate.per_ns && now.burst == rate.burst));
    r->changes += !same;
    return same ? 0 : belt_pipeline_set_rate(r->p, name, &rate, false, err);
}

static int reload_batching(struct reload *r, const struct belt_batcher_spec *from,
                           struct belt_error *err)
{
    const struct belt_spec *spec = r->p->spec;
    for (int i = 0; i < belt_spec_outlets(spec); i++) {
        const struct belt_batcher_spec *to = &spec->batchers[i];
        bool same =
            to->size == from->size && to->bytes == from->bytes && to->timeout == from->timeout;
        if (strcmp(to->name, from->name) != 0 || same)
            continue;
        struct belt_batching batching = { .size = sizeof batching,
                                          .messages = (uint32_t)from->size,
                                          .bytes = from->bytes,
                                          .timeout_ns = from->timeout };
        r->changes++;
        return belt_pipeline_set_batching(r->p, to->name, &batching, r->deadline_ns, err);
    }
    return 0;
}

/* The stage of the same name, if it can be resized. */
static int reload_size(struct reload *r, const char *name, uint32_t instances,
                       struct belt_error *err)
{
    struct belt_stage_info to = { .size = sizeof to };
    struct belt_error none;
    for (uint32_t s = 0; belt_pipeline_stage(r->p, s, &to, &none) == 0; s++)
        if (strcmp(to.name, name) == 0 && to.active != instances) {
            r->changes++;
            return belt_pipeline_resize(r->p, name, instances, r->deadline_ns, err);
        }
    return 0;
}

static int reload_all(struct reload *r, struct belt_error *err)
{
    const struct belt_spec *spec = r->told->spec;
    int rc = 0;
    for (int s = 0; rc >= 0 && s < spec->sources_used; s++)
        rc = reload_rate(r, &spec->sources[s], err);
    for (int p = 0; rc >= 0 && p < spec->processors_used; p++)
        if (spec->processors[p].most && !r->told->plan->processor_paired[p])
            rc = reload_size(r, spec->processors[p].name, r->told->plan->processor_active[p], err);
    for (int i = 0; rc >= 0 && i < belt_spec_outlets(spec); i++) {
        rc = reload_batching(r, &spec->batchers[i], err);
        if (rc >= 0 && spec->batchers[i].instances > 1)
            rc = reload_size(r, spec->batchers[i].path, spec->batchers[i].starts, err);
    }
    return rc;
}

int belt_pipeline_reload(struct belt_pipeline *p, struct belt_pipeline *told, uint64_t deadline_ns,
                         struct belt_error *err)
{
    struct reload r = { p, told, deadline_ns, 0 };
    int rc = belt_pipeline_validate(told, err);
    if (rc >= 0 && (!p->run || p->ended))
        rc = belt_error_set(err, -EINVAL, "the pipeline does not run");
    if (rc >= 0)
        rc = reload_all(&r, err);
    return rc < 0 ? rc : r.changes;
}
