/* Fields that messages bring along from their source. */
#include <string.h>

#include "core/run_priv.h"

/* Columns of other sources: 0, or "". */
static void clear(struct belt_view *view, uint32_t columns)
{
    for (; columns; columns &= columns - 1) {
        struct belt_column *column = &view->columns[__builtin_ctz(columns)];
        column->base = view->columns[0].base;
        memset(column->as.numbers + view->first, 0,
               (view->end - view->first) * sizeof *column->as.numbers);
    }
}

void belt_source_load(const struct belt_source_spec *source, struct belt_engine *engine,
                      uint32_t first, uint32_t end)
{
    const struct belt_source *part = (const struct belt_source *)(const void *)source->use.part;
    if (!source->absent && !part->load)
        return;
    engine->view.first = first;
    engine->view.end = end;
    clear(&engine->view, source->absent);
    if (part->load)
        part->load(source->use.conf, &engine->view);
}

void belt_chain_load(struct belt_chain_stage *chain)
{
    const struct belt_engine_run *run = chain->stage.run;
    const struct belt_input_frame *frame = chain->frame;
    if (!chain->origins) {
        chain->engine.source = frame->source;
        belt_source_load(&run->spec->sources[frame->source], &chain->engine, 0, frame->count);
        return;
    }
    chain->engine.source = chain->origins[0].source;
    for (uint32_t first = 0, end; first < frame->count; first = end) {
        uint32_t source = chain->origins[first].source;
        for (end = first + 1; end < frame->count; end++)
            if (chain->origins[end].source != source)
                break;
        belt_source_load(&run->spec->sources[source], &chain->engine, first, end);
    }
}

struct belt_span belt_chain_extent(const struct belt_chain_stage *chain, uint32_t i)
{
    const struct belt_engine_run *run = chain->stage.run;
    const struct belt_source_spec *source = &run->spec->sources[belt_chain_origin(chain, i).source];
    const struct belt_source *part = (const struct belt_source *)(const void *)source->use.part;
    const char *base = (const char *)run->region.base + chain->frame->base;
    struct belt_span span = chain->frame->spans[i];
    return part->extent ? part->extent(source->use.conf, base, span) : span;
}
