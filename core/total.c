/* The merged side of an aggregate: partial tables come in as blobs, and when all
 * edges have sent theirs (of an epoch, or the last), rows go out as batches. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/run_priv.h"

static void begin_emission(struct belt_batcher_stage *b)
{
    b->emit_at = 0;
    b->emitting = true;
    b->sorted = false;
}

bool belt_total_full(struct belt_batcher_stage *b, const struct belt_row_frame *frame)
{
    bool full = belt_agg_early(b->spec->aggregate) &&
                belt_agg_is_full(b->total, frame->count, frame->bytes);
    if (full)
        begin_emission(b);
    return full;
}

static void count_spilled(struct belt_batcher_stage *b, uint64_t before)
{
    uint64_t spilled = belt_agg_spilled(b->total);
    if (spilled != before)
        belt_count(&b->stage.stats.spilled, spilled - before);
}

int belt_total_take(struct belt_batcher_stage *b, struct belt_row_in *in,
                    const struct belt_row_frame *frame, struct belt_error *err)
{
    uint64_t spilled = belt_agg_spilled(b->total);
    int rc = belt_agg_merge(b->total, frame->data, frame->bytes, err);
    if (rc < 0)
        return rc;
    count_spilled(b, spilled);
    if (frame->flags & BELT_EPOCH)
        in->epoch = frame->epoch;
    return 0;
}

/* Groups of a source that will be read again from its start are not given out
 * half: the file they would replace is the better answer. */
static bool may_emit(const struct belt_batcher_stage *b)
{
    const struct belt_engine_run *run = b->stage.run;
    bool rewinds = true;
    for (uint32_t s = 0; s < run->sources_used; s++)
        rewinds &= belt_source_rewinds(run->sources[s].spec);
    bool complete = !belt_load_relaxed32(&run->incomplete);
    return complete || belt_agg_every(b->spec->aggregate) || belt_agg_early(b->spec->aggregate) ||
           !rewinds;
}

bool belt_total_due(struct belt_batcher_stage *b, bool ended)
{
    uint64_t reached = UINT64_MAX;
    for (uint32_t i = 0; i < b->ins_used; i++)
        if (b->ins[i].epoch < reached)
            reached = b->ins[i].epoch;
    if (reached == b->epoch || (reached == UINT64_MAX && !ended))
        return false;
    b->epoch = reached;
    if (may_emit(b))
        begin_emission(b);
    return true;
}

/* A row may scribble over BELT_PAD bytes behind its end. */
static size_t row_bound(const struct belt_batcher_stage *b, const struct belt_view *view,
                        uint32_t i)
{
    const struct belt_format *format =
        (const struct belt_format *)(const void *)b->spec->format.part;
    return format->bound(b->spec->format.conf, view, i) + BELT_PAD;
}

/* True when the row found its place in a batch. */
static bool emit_row(struct belt_batcher_stage *b, const struct belt_view *view, uint32_t i,
                     uint64_t now)
{
    const struct belt_format *format =
        (const struct belt_format *)(const void *)b->spec->format.part;
    uint32_t most = (uint32_t)row_bound(b, view, i);
    char *room;
    while (!(room = belt_batch_room(b->batches, "", 0, 0, most, now)))
        if (!belt_batcher_make_room(b))
            return false;
    size_t size = format->row(b->spec->format.conf, view, i, room);
    belt_batcher_add(b, room, (uint32_t)size, 0, 0); /* no ticket: its messages are settled */
    return true;
}

enum belt_turn belt_total_emit(struct belt_batcher_stage *b, uint64_t now, struct belt_error *err)
{
    struct belt_view view = { .now = now };
    uint32_t limit = belt_batches_row_limit(b->batches);
    uint64_t spilled = belt_agg_spilled(b->total);
    if (!b->sorted) {
        if (belt_agg_sort(b->total, err) < 0)
            return BELT_TURN_FAILED;
        b->sorted = true;
    }
    int loading = belt_agg_load(b->total, b->emit_at, err);
    count_spilled(b, spilled); /* runs that were merged into one */
    if (loading)
        return loading < 0 ? BELT_TURN_FAILED : BELT_TURN_BUSY;
    uint32_t count = belt_agg_rows(b->total, b->emit_at, &view);
    if (!count) {
        belt_agg_clear(b->total);
        b->emitting = false;
        return BELT_TURN_BUSY;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (row_bound(b, &view, i) > limit) {
            belt_error_set(err, -E2BIG, "%s: a group's row does not fit its memory: raise memory",
                           b->spec->path);
            return BELT_TURN_FAILED;
        }
        if (!emit_row(b, &view, i, now))
            return i ? BELT_TURN_BUSY : BELT_TURN_OUT;
        b->emit_at++;
    }
    return BELT_TURN_BUSY;
}
