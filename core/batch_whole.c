/* Batches that lie whole in a frame of rows: handed over where they are. Frames for a
 * batcher without a key hold a multiple of its batches (belt_row_out.less), so that in
 * steady flow no row is copied twice. What a sink does not take at once is copied then,
 * into room set aside before: the frame goes back as ever. */
#include <string.h>

#include "core/batch_state_priv.h"
#include "core/spans_priv.h"

static bool is_idle(const struct belt_batches *batches)
{
    const struct belt_batch_list *lists = batches->lists;
    return !lists[BELT_BATCH_OPEN].first && !lists[BELT_BATCH_CUT].first &&
           !lists[BELT_BATCH_BEHIND].first && !lists[BELT_BATCH_FLIGHT].first &&
           !lists[BELT_BATCH_RETRY].first;
}

static uint64_t bytes_of(const struct belt_rows *rows, uint32_t count)
{
    if (rows->row_size)
        return (uint64_t)rows->row_size * count;
    const struct belt_span *last = &rows->spans[count - 1];
    return (uint64_t)last->at + last->size - rows->spans[0].at;
}

/* One that is kept for the next such batch, with room for this one. */
static struct belt_open_batch *take_spare(struct belt_batches *batches, uint64_t bytes,
                                          uint32_t rows, uint32_t runs, uint64_t now)
{
    struct belt_open_batch *open = batches->spare;
    if (!open)
        open = batches->spare = belt_batches_make(batches, "", 0, 0, bytes, now);
    const struct belt_span *spans = open ? open->spans : NULL;
    if (!open || !belt_batches_reserve(batches, open, bytes, rows, runs))
        return NULL;
    if (open->spans != spans)
        open->even_count = 0;
    batches->spare = NULL;
    open->first_at = now;
    open->run_count = open->moved = open->taken = 0;
    open->number = open->due = 0;
    return open;
}

/* Rows of one size: the same spans as last time. */
static void place_even(struct belt_open_batch *open, struct belt_rows *rows, uint32_t count)
{
    if (open->even_size != rows->row_size || open->even_count < count) {
        belt_spans_fill(open->spans, count, rows->row_size);
        open->even_size = rows->row_size;
        open->even_count = count;
    }
    open->batch.bytes = rows->base;
    open->batch.spans = open->spans;
    rows->base += (size_t)rows->row_size * count;
}

static void place(struct belt_open_batch *open, struct belt_rows *rows, uint32_t count)
{
    if (rows->row_size) {
        place_even(open, rows, count);
        return;
    }
    open->even_count = 0;
    uint32_t from = rows->spans[0].at;
    open->batch.bytes = rows->base + from;
    open->batch.spans = rows->spans;
    if (!from)
        return;
    belt_spans_move(open->spans, rows->spans, count, -from);
    open->batch.spans = open->spans;
}

struct belt_open_batch *belt_batches_whole(struct belt_batches *batches, struct belt_rows *rows,
                                           uint64_t now)
{
    uint32_t count = batches->conf.size;
    if (rows->count < count || !is_idle(batches))
        return NULL;
    uint64_t bytes = bytes_of(rows, count);
    uint32_t runs = rows->run_count < count ? rows->run_count : count;
    struct belt_open_batch *open =
        bytes <= batches->limit ? take_spare(batches, bytes, count, runs, now) : NULL;
    if (!open)
        return NULL;
    place(open, rows, count);
    open->batch.count = count;
    open->batch.bytes_size = bytes;
    open->batch.trigger = BELT_TRIGGER_SIZE;
    open->batch.user = NULL;
    open->batch.attempt = 1;
    open->whole = true;
    belt_batch_move_tickets(open, rows, count);
    rows->spans += rows->row_size ? 0 : count;
    rows->count -= count;
    belt_batches_append(batches, open, BELT_BATCH_FLIGHT);
    return open;
}

void belt_batch_own(struct belt_open_batch *open)
{
    struct belt_batch *batch = &open->batch;
    if (!open->whole)
        return;
    if (batch->bytes_size)
        memcpy(open->bytes, batch->bytes, batch->bytes_size);
    if (batch->spans != open->spans)
        memcpy(open->spans, batch->spans, batch->count * sizeof *open->spans);
    batch->bytes = open->bytes;
    batch->spans = open->spans;
    open->whole = false;
}

bool belt_batches_keep_spare(struct belt_batches *batches, struct belt_open_batch *open)
{
    if (!open->whole)
        return false;
    open->whole = false;
    open->batch.count = 0;
    open->batch.bytes_size = 0;
    batches->spare = open;
    return true;
}
