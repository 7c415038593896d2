/* Fields that messages bring along from their source. */
#include <string.h>

#include "core/run_priv.h"

/* Columns of other sources: 0, or "". */
static void clear(struct belt_engine *engine, uint32_t columns)
{
    struct belt_view *view = &engine->view;
    for (; columns; columns &= columns - 1) {
        struct belt_column *column = &view->columns[__builtin_ctz(columns)];
        column->base = view->columns[0].base;
        memset(column->as.numbers, 0, view->end * sizeof *column->as.numbers);
    }
}

void belt_source_load(const struct belt_spec *spec, const struct belt_input_frame *frame,
                      struct belt_engine *engine)
{
    const struct belt_source_spec *source = &spec->sources[frame->source];
    const struct belt_source *part = (const struct belt_source *)(const void *)source->use.part;
    if (!source->absent && !part->load)
        return;
    engine->view.first = 0;
    engine->view.end = frame->count;
    clear(engine, source->absent);
    if (part->load)
        part->load(source->use.conf, &engine->view);
}
