/* Which memory node each part of a run's region comes from. */
#include <stdlib.h>

#include "core/build_priv.h"
#include "numa/pin.h"

static struct belt_extent *new_extent(struct belt_engine_run *run)
{
    if (run->extents_used == run->extents_room) {
        uint32_t room = run->extents_room ? 2 * run->extents_room : 16;
        struct belt_extent *extents = realloc(run->extents, room * sizeof *extents);
        if (!extents)
            return NULL;
        run->extents = extents;
        run->extents_room = room;
    }
    return &run->extents[run->extents_used++];
}

/* Without the memory for a note nothing is lost but the note. */
static void note(struct belt_engine_run *run, uint64_t from, uint64_t to)
{
    struct belt_extent *last = run->extents_used ? &run->extents[run->extents_used - 1] : NULL;
    if (last && last->node == run->node) {
        last->to = to;
        return;
    }
    struct belt_extent *extent = new_extent(run);
    if (extent)
        *extent = (struct belt_extent){ from, to, run->node };
}

void *belt_homes_add(struct belt_engine_run *run, uint64_t from, uint64_t to)
{
    uint64_t page = belt_region_page(run), first = from / page * page;
    uint64_t end = (to + page - 1) / page * page;
    char *base = run->region.base;
    note(run, from, to);
    /* Advice: without it pages are those of the lane that touches them first. Reserved
     * pages are bound whole or not at all. */
    belt_bind_memory(run->plan->topology, base + first, end - first, run->node);
    return base + from;
}
