/* Steps of a source's own: source: { file: {...}, transform: [ ... ] }. */
#include <stdio.h>

#include "core/spec_priv.h"

static int add_step(struct belt_builder *b, struct belt_source_spec *source, size_t i,
                    struct belt_error *err)
{
    char path[128];
    struct belt_spec *spec = b->spec;
    uint32_t had = *b->visible;
    if (spec->steps_used == BELT_STEPS)
        return belt_node_error(err, source->transform, "more than %d steps", BELT_STEPS);
    struct belt_use *use = &spec->steps[spec->steps_used++];
    snprintf(path, sizeof path, "%s.transform.%zu", source->path, i);
    int rc = belt_use_part(b, use, BELT_STEP, belt_node_at(source->transform, i), path,
                           belt_no_keys, err);
    if (rc < 0)
        return rc;
    use->sources = 1u << (source - spec->sources);
    if (((const struct belt_step *)(const void *)use->part)->emits)
        return belt_node_error(err, use->node,
                               "%s: a step that emits messages belongs to a processor: what it "
                               "emits would miss the steps of other sources' messages",
                               path);
    rc = belt_use_prepare(b, use, spec->columns, &spec->columns_used, true, err);
    /* Of several sources that add a field, the last one's step is behind all of them. */
    for (uint32_t added = *b->visible & ~had; rc == 0 && added; added &= added - 1)
        spec->column_step[__builtin_ctz(added)] = (uint8_t)spec->steps_used;
    return rc;
}

/* They see what their own source brings along, and what they add is its own as well. */
static int add_steps(struct belt_builder *b, struct belt_source_spec *source, uint32_t *used,
                     struct belt_error *err)
{
    uint32_t visible = source->columns | 1;
    int rc = 0;
    if (belt_node_kind(source->transform) != BELT_NODE_LIST)
        return belt_node_error(err, source->transform,
                               "transform of %s is a list: - split: { ... }", source->path);
    b->visible = &visible;
    b->used = used;
    for (size_t i = 0; rc == 0 && i < belt_node_count(source->transform); i++)
        rc = add_step(b, source, i, err);
    b->visible = b->used = NULL;
    source->columns |= visible & ~1u;
    b->spec->transforms = true;
    return rc;
}

int belt_spec_add_transforms(struct belt_builder *b, uint32_t *used, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    int rc = 0;
    for (int s = 0; rc == 0 && s < spec->sources_used; s++)
        if (spec->sources[s].transform)
            rc = add_steps(b, &spec->sources[s], used, err);
    belt_spec_set_absent(spec);
    return rc;
}
