#include "core/edge_priv.h"
#include "core/lane_priv.h"
#include "core/overflow_priv.h"
#include "core/spans_priv.h"

/* ---- where records lie -------------------------------------------------------- */

bool belt_fifo_put(struct belt_fifo *fifo, uint64_t size, uint64_t *at)
{
    if (size > fifo->size)
        return false;
    uint64_t to_end = fifo->size - fifo->tail % fifo->size;
    uint64_t skip = size > to_end ? to_end : 0;
    if (fifo->tail - fifo->head + skip + size > fifo->size)
        return false;
    if (skip) {
        fifo->end = fifo->tail;
        fifo->wrapped = true;
        fifo->tail += skip;
    }
    *at = fifo->tail % fifo->size;
    fifo->tail += size;
    return true;
}

bool belt_fifo_at(const struct belt_fifo *fifo, uint64_t *cursor, uint64_t *at)
{
    if (*cursor == fifo->tail)
        return false;
    if (fifo->wrapped && *cursor == fifo->end)
        *cursor += fifo->size - *cursor % fifo->size;
    *at = *cursor % fifo->size;
    return true;
}

void belt_fifo_drop(struct belt_fifo *fifo, uint64_t size)
{
    uint64_t at, cursor = fifo->head;
    bool any = belt_fifo_at(fifo, &cursor, &at);
    assert(any);
    (void)any;
    fifo->wrapped &= cursor == fifo->head;
    fifo->head = cursor + size;
    /* Empty: from the start again, so that whatever is not longer than all of it fits. */
    if (fifo->head == fifo->tail)
        fifo->head = fifo->tail = 0;
}

/* ---- a frame as a record ------------------------------------------------------ */

static uint64_t record_size(const struct belt_packed *packed, bool keyed)
{
    uint64_t row = (packed->row_size ? 0 : sizeof(uint32_t)) +
                   (keyed ? sizeof(struct belt_span) + sizeof(uint32_t) : 0);
    uint64_t size = sizeof *packed + packed->runs_used * sizeof(struct belt_run) +
                    packed->count * row + packed->bytes + packed->key_bytes;
    return (size + 7) & ~UINT64_C(7);
}

uint64_t belt_overflow_record(uint32_t capacity)
{
    struct belt_packed most = { .count = BELT_FRAME, .runs_used = BELT_FRAME, .bytes = capacity };
    return record_size(&most, true);
}

/* Rows lie one behind another, so their sizes say where; and often these are the same. */
static uint32_t pack_sizes(const struct belt_row_frame *frame, uint32_t *sizes)
{
    if (frame->row_size)
        return frame->row_size;
    if (frame->count && frame->rows[0].size && belt_spans_even(frame->rows, frame->count))
        return frame->rows[0].size;
    for (uint32_t i = 0; i < frame->count; i++)
        sizes[i] = frame->rows[i].size;
    return 0;
}

void belt_pack(struct belt_overflow *over, struct belt_packed *packed,
               const struct belt_row_frame *frame)
{
    *packed = (struct belt_packed){
        .chunk = frame->chunk,
        .epoch = frame->epoch,
        .count = frame->count,
        .flags = frame->flags,
        .bytes = frame->bytes,
        .key_bytes = frame->key_bytes,
        .runs_used = frame->runs_used,
        .row_size = pack_sizes(frame, over->sizes),
    };
    packed->size = record_size(packed, over->keyed);
}

void belt_unpack(const struct belt_overflow *over, struct belt_row_frame *frame,
                 const struct belt_packed *packed)
{
    uint32_t at = 0;
    frame->chunk = packed->chunk;
    frame->epoch = packed->epoch;
    frame->count = packed->count;
    frame->flags = packed->flags;
    frame->bytes = packed->bytes;
    frame->key_bytes = packed->key_bytes;
    frame->runs_used = packed->runs_used;
    frame->row_size = packed->row_size;
    for (uint32_t i = 0; !frame->row_size && i < packed->count; at += frame->rows[i++].size)
        frame->rows[i] = (struct belt_span){ at, over->sizes[i] };
}

void belt_pieces(struct belt_overflow *over, const struct belt_packed *packed,
                 const struct belt_row_frame *frame, struct iovec pieces[BELT_PIECES])
{
    struct belt_row_frame *f = (struct belt_row_frame *)(uintptr_t)frame;
    uint32_t keys = over->keyed ? packed->count : 0;
    pieces[0] = (struct iovec){ f->runs, packed->runs_used * sizeof *f->runs };
    pieces[1] =
        (struct iovec){ over->sizes, packed->row_size ? 0 : packed->count * sizeof *over->sizes };
    pieces[2] = (struct iovec){ f->keys, keys * sizeof *f->keys };
    pieces[3] = (struct iovec){ f->hashes, keys * sizeof *f->hashes };
    pieces[4] = (struct iovec){ f->data, packed->bytes };
    pieces[5] = (struct iovec){ f->data + over->capacity + BELT_PAD - packed->key_bytes,
                                packed->key_bytes };
}

/* ---- in memory ---------------------------------------------------------------- */

void belt_pack_into(struct belt_overflow *over, const struct belt_packed *packed,
                    const struct belt_row_frame *frame, char *to)
{
    struct iovec pieces[BELT_PIECES];
    memcpy(to, packed, sizeof *packed);
    to += sizeof *packed;
    belt_pieces(over, packed, frame, pieces);
    for (int i = 0; i < BELT_PIECES; to += pieces[i++].iov_len)
        memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
}

uint64_t belt_unpack_from(struct belt_overflow *over, struct belt_row_frame *frame,
                          const char *from)
{
    struct belt_packed packed;
    struct iovec pieces[BELT_PIECES];
    memcpy(&packed, from, sizeof packed);
    from += sizeof packed;
    belt_pieces(over, &packed, frame, pieces);
    for (int i = 0; i < BELT_PIECES; from += pieces[i++].iov_len)
        memcpy(pieces[i].iov_base, from, pieces[i].iov_len);
    belt_unpack(over, frame, &packed);
    return packed.size;
}

static bool hold(struct belt_overflow *over, const struct belt_row_frame *frame)
{
    struct belt_packed packed;
    uint64_t at;
    belt_pack(over, &packed, frame);
    if (!belt_fifo_put(&over->held, packed.size, &at))
        return false;
    belt_pack_into(over, &packed, frame, over->memory + at);
    return true;
}

static void take_held(struct belt_overflow *over, struct belt_row_frame *frame)
{
    uint64_t at = 0, cursor = over->held.head;
    belt_fifo_at(&over->held, &cursor, &at);
    belt_fifo_drop(&over->held, belt_unpack_from(over, frame, over->memory + at));
}

/* ---- the three of them -------------------------------------------------------- */

bool belt_overflow_push(struct belt_overflow *over)
{
    const struct belt_row_frame *frame = over->staging;
    bool filed = over->filed.tail != over->filed.head;
    if (over->full)
        return false;
    /* What is in the file is older than this, and must stay ahead of it. */
    over->full = (filed || !hold(over, frame)) && !belt_spill_put(over, frame);
    if (over->full)
        return false;
    belt_count(&over->stats->held_back, frame->count);
    return true;
}

static bool take_oldest(struct belt_overflow *over, struct belt_row_frame *slot, int *rc,
                        struct belt_error *err)
{
    if (over->held.tail != over->held.head)
        take_held(over, slot);
    else
        *rc = belt_spill_take(over, slot, err);
    return *rc == 0;
}

int belt_overflow_drain(struct belt_row_out *out, struct belt_error *err)
{
    struct belt_overflow *over = out->over;
    int rc = 0;
    while (rc == 0 && (belt_overflow_waits(over) || out->open == over->staging)) {
        struct belt_slots slot = belt_claim(&out->tx, 1);
        if (!slot.count)
            break;
        over->full = false;
        if (!belt_overflow_waits(over)) {
            /* Nothing waits any more but what is staged: it goes on in the edge. */
            belt_row_frame_copy(slot.first, over->staging, out->capacity, over->keyed);
            out->open = slot.first;
            break;
        }
        if (take_oldest(over, slot.first, &rc, err)) {
            belt_publish(&out->tx, 1);
            belt_lane_wake(out->reader);
        }
    }
    return rc;
}

void belt_overflow_each_run(const struct belt_overflow *over, belt_run_fn *fn, void *ctx)
{
    uint64_t at, cursor = over->held.head;
    while (belt_fifo_at(&over->held, &cursor, &at)) {
        struct belt_packed packed;
        memcpy(&packed, over->memory + at, sizeof packed);
        for (uint32_t r = 0; r < packed.runs_used; r++) {
            struct belt_run run;
            memcpy(&run, over->memory + at + sizeof packed + r * sizeof run, sizeof run);
            fn(ctx, &run);
        }
        cursor += packed.size;
    }
    belt_spill_each_run(over, fn, ctx);
}
