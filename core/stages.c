/* What a pipeline is made of and where it runs. */
#include "core/stages.h"

#include <errno.h>
#include <string.h>

#include "core/pipeline_priv.h"

static uint32_t stages_of(const struct belt_pipeline *p)
{
    return p->plan->first_batcher + (uint32_t)belt_spec_outlets(p->spec);
}

static void describe(const struct belt_pipeline *p, uint32_t index, struct belt_stage_info *out)
{
    const struct belt_plan *plan = p->plan;
    const struct belt_spec *spec = p->spec;
    if (index < plan->first_processor) {
        const struct belt_source_spec *source = &spec->sources[index];
        out->name = source->path;
        out->part = source->use.part->name;
        out->instances = out->active = plan->source_instances[index];
    } else if (index < plan->first_batcher) {
        uint32_t of = index - plan->first_processor;
        out->role = BELT_ROLE_PROCESSOR;
        out->name = spec->processors[of].name;
        out->part = "";
        out->instances = plan->processor_instances[of];
        out->active = p->run ? p->run->processors_active[of] : plan->processor_active[of];
    } else {
        const struct belt_batcher_spec *batcher = &spec->batchers[index - plan->first_batcher];
        out->role = BELT_ROLE_BATCHER;
        out->name = batcher->path;
        out->part = batcher->sink.part->name;
        out->instances = batcher->instances;
        out->active =
            p->run ? p->run->batchers_active[index - plan->first_batcher] : batcher->starts;
    }
}

int belt_pipeline_stage(struct belt_pipeline *p, uint32_t index, struct belt_stage_info *out,
                        struct belt_error *err)
{
    struct belt_stage_info info = { .size = out->size };
    int rc = belt_pipeline_validate(p, err);
    if (rc < 0)
        return rc;
    if (index >= stages_of(p))
        return belt_error_set(err, -ENOENT, "%s has %u stages", p->spec->name, stages_of(p));
    describe(p, index, &info);
    memcpy(out, &info, out->size < sizeof info ? out->size : sizeof info);
    return 0;
}

int belt_pipeline_instance(struct belt_pipeline *p, uint32_t stage, uint32_t instance,
                           struct belt_instance_info *out, struct belt_error *err)
{
    struct belt_stage_info of = { .size = sizeof of };
    int rc = belt_pipeline_stage(p, stage, &of, err);
    if (rc < 0)
        return rc;
    if (instance >= of.instances)
        return belt_error_set(err, -ENOENT, "%s has %u instances", of.name, of.instances);
    uint32_t lane = belt_place_lane_of(p->plan->place, stage, instance);
    const struct belt_place_lane *at = &p->plan->place->lanes[lane];
    bool pinned = at->cpu >= 0 && !p->plan->caller;
    struct belt_instance_info info = { .size = out->size,
                                       .lane = lane,
                                       .cpu = pinned ? at->cpu : -1,
                                       .node = pinned ? at->node : -1 };
    memcpy(out, &info, out->size < sizeof info ? out->size : sizeof info);
    return 0;
}

/* ---- JSON ---------------------------------------------------------------------- */

static void put_instances(struct belt_pipeline *p, uint32_t stage, uint32_t count, bool cpus,
                          FILE *out)
{
    fprintf(out, ", \"%s\": [", cpus ? "cpus" : "lanes");
    for (uint32_t i = 0; i < count; i++) {
        struct belt_instance_info in = { .size = sizeof in };
        struct belt_error err;
        belt_pipeline_instance(p, stage, i, &in, &err);
        fprintf(out, "%s%d", i ? ", " : "", cpus ? in.cpu : (int)in.lane);
    }
    fputc(']', out);
}

/* Stages of one role; all names are of letters, digits, '_', '.' and '+'. */
static void put_role(struct belt_pipeline *p, int role, const char *name, FILE *out)
{
    struct belt_stage_info info = { .size = sizeof info };
    struct belt_error err;
    const char *before = "";
    fprintf(out, ",\n \"%s\": [", name);
    for (uint32_t s = 0; belt_pipeline_stage(p, s, &info, &err) == 0; s++) {
        if (info.role != role)
            continue;
        fprintf(out, "%s\n  {\"name\": \"%s\"", before, info.name);
        if (*info.part)
            fprintf(out, ", \"part\": \"%s\"", info.part);
        fprintf(out, ", \"instances\": %u, \"active\": %u", info.instances, info.active);
        put_instances(p, s, info.instances, false, out);
        put_instances(p, s, info.instances, true, out);
        fputc('}', out);
        before = ",";
    }
    fprintf(out, "%s]", *before ? "\n " : "");
}

int belt_pipeline_topology(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    int rc = belt_pipeline_validate(p, err);
    if (rc < 0)
        return rc;
    fprintf(out, "{\"name\": ");
    belt_put_json(p->spec->name, out);
    fprintf(out, ", \"lanes\": %u", p->plan->place->lane_count);
    put_role(p, BELT_ROLE_SOURCE, "sources", out);
    put_role(p, BELT_ROLE_PROCESSOR, "processors", out);
    put_role(p, BELT_ROLE_BATCHER, "batchers", out);
    fprintf(out, "\n}\n");
    return ferror(out) ? belt_error_set(err, -EIO, "topology: cannot be written") : 0;
}
