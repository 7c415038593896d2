#include "core/edge_priv.h"

#include <sched.h>
#include <string.h>

#include "core/lane_priv.h"
#include "core/nap_priv.h"
#include "core/overflow_priv.h"
#include "core/spans_priv.h"

size_t belt_row_frame_size(uint32_t capacity)
{
    return sizeof(struct belt_row_frame) + capacity + 2 * BELT_PAD;
}

static struct belt_input_frame *pool_frame(struct belt_pool *pool, uint32_t number)
{
    return (struct belt_input_frame *)(void *)(pool->frames +
                                               (size_t)number * sizeof(struct belt_input_frame));
}

static struct belt_input_frame *pool_claim(struct belt_feed *feed)
{
    struct belt_pool *pool = feed->pool;
    if (feed->claimed)
        return feed->claimed;
    uint32_t number = feed->spare - 1;
    if (feed->spare)
        feed->spare = pool_frame(pool, number)->next;
    else if (feed->fresh < pool->each)
        number = feed->source * pool->each + feed->fresh++;
    else
        return NULL;
    feed->claimed = pool_frame(pool, number);
    feed->claimed->number = number;
    feed->claimed->owner = feed->source;
    return feed->claimed;
}

struct belt_input_frame *belt_feed_claim(struct belt_feed *feed)
{
    if (feed->pool)
        return pool_claim(feed);
    struct belt_slots slot = belt_claim(&feed->tx, 1);
    feed->claimed = slot.count ? slot.first : NULL;
    return feed->claimed;
}

/* The rings of numbers are as long as the pool, so a number always finds a place
 * but for one case: a peer that stands between its claim of that very place and
 * the end of its copy. It is a thread of ours, some instructions from done. */
static void pass_number(struct belt_tx *tx, uint32_t number)
{
    while (!belt_push(tx, &number, sizeof number))
        sched_yield();
}

void belt_feed_publish(struct belt_feed *feed)
{
    if (feed->pool)
        pass_number(&feed->tx, feed->claimed->number);
    else
        belt_publish(&feed->tx, 1);
    feed->claimed = NULL;
    if (feed->nap) {
        feed->untold++;
        return;
    }
    for (uint32_t i = 0; i < feed->readers_used; i++)
        belt_lane_wake(feed->readers[i]);
}

void belt_feed_tell(struct belt_feed *feed, uint64_t now)
{
    if (!feed->untold)
        return;
    feed->untold = 0;
    feed->told_at = now;
    belt_nap_end(feed->nap);
}

const struct belt_input_frame *belt_feed_reclaim(struct belt_feed *feed)
{
    if (feed->pool) {
        uint32_t number;
        /* Even with a frame in hand: what came back brings the slabs that are
         * waited for to fill it. */
        if (!belt_pop(&feed->free, &number, sizeof number))
            return NULL;
        struct belt_input_frame *frame = pool_frame(feed->pool, number);
        frame->next = feed->spare;
        feed->spare = number + 1;
        return frame;
    }
    /* A1, pairs with R1 in belt_spans_release() of rings/spans.h: the reader is through
     * with the slabs of these frames; else a slab would be filled under its eyes. */
    uint64_t released = belt_load_acquire(&feed->tx.ring->released);
    if (feed->reclaimed == released)
        return NULL;
    uint32_t at = (uint32_t)feed->reclaimed++ & feed->tx.mask;
    return (const void *)(feed->tx.first + (size_t)at * feed->tx.slot_size);
}

struct belt_input_frame *belt_intake_peek(struct belt_intake *intake)
{
    if (!intake->pool) {
        struct belt_slots slot = belt_peek(&intake->rx, 1);
        return slot.count ? slot.first : NULL;
    }
    uint32_t number;
    if (!intake->taken && belt_pop(&intake->rx, &number, sizeof number))
        intake->taken = pool_frame(intake->pool, number);
    return intake->taken;
}

void belt_intake_release(struct belt_intake *intake)
{
    uint32_t owner = 0;
    if (intake->pool) {
        struct belt_input_frame *frame = intake->taken;
        owner = frame->owner;
        intake->taken = NULL;
        pass_number(&intake->free[owner], frame->number);
    } else {
        belt_release(&intake->rx, 1);
    }
    belt_lane_wake(intake->writers[owner]);
}

bool belt_intake_ended(struct belt_intake *intake)
{
    return !intake->taken && belt_rx_ended(&intake->rx);
}

/* A frame of the edge, or one that waits beside it when it is full, or when others do. */
static struct belt_row_frame *row_claim(struct belt_row_out *out)
{
    if (out->over && belt_overflow_waits(out->over))
        return out->over->staging;
    if (out->local)
        return out->local;
    struct belt_slots slot = belt_claim(&out->tx, 1);
    if (slot.count)
        return slot.first;
    return out->over ? out->over->staging : NULL;
}

static struct belt_row_frame *row_open(struct belt_row_out *out)
{
    if (!out->open) {
        out->open = row_claim(out);
        if (!out->open)
            return NULL;
        out->open->count = out->open->flags = out->open->row_size = 0;
        out->open->bytes = out->open->key_bytes = out->open->runs_used = 0;
        out->open->chunk = out->open->epoch = 0;
    }
    return out->open;
}

struct belt_row_frame *belt_row_out_rooms(struct belt_row_out *out, uint32_t rows, uint32_t bytes,
                                          uint32_t keys)
{
    struct belt_row_frame *frame = row_open(out);
    if (!frame)
        return NULL;
    uint64_t need = (uint64_t)frame->bytes + frame->key_bytes + bytes + keys;
    if (frame->count + rows <= BELT_FRAME - out->less && need <= out->capacity)
        return frame;
    assert(frame->count);
    return belt_row_out_flush(out, 0, frame->chunk, 0) ? row_open(out) : NULL;
}

void belt_row_frame_copy(struct belt_row_frame *to, const struct belt_row_frame *from,
                         uint32_t capacity, bool keyed)
{
    memcpy(to, from, offsetof(struct belt_row_frame, rows));
    if (!from->row_size)
        memcpy(to->rows, from->rows, from->count * sizeof *from->rows);
    memcpy(to->runs, from->runs, from->runs_used * sizeof *from->runs);
    memcpy(to->data, from->data, from->bytes);
    if (!keyed)
        return;
    uint32_t at = capacity + BELT_PAD - from->key_bytes;
    memcpy(to->keys, from->keys, from->count * sizeof *from->keys);
    memcpy(to->hashes, from->hashes, from->count * sizeof *from->hashes);
    memcpy(to->data + at, from->data + at, from->key_bytes);
}

void belt_row_list(struct belt_row_frame *frame)
{
    if (frame->row_size)
        belt_spans_fill(frame->rows, frame->count, frame->row_size);
    frame->row_size = 0;
}

static bool send_local(struct belt_row_out *out)
{
    struct belt_slots slot = belt_claim(&out->tx, 1);
    if (slot.count)
        belt_row_frame_copy(slot.first, out->local, out->capacity, out->keyed);
    return slot.count != 0;
}

static bool same_key(const struct belt_row_frame *frame, const char *key, uint32_t size)
{
    if (!frame->count)
        return false;
    struct belt_span last = frame->keys[frame->count - 1];
    return last.size == size && memcmp(frame->data + last.at, key, size) == 0;
}

void belt_row_key(struct belt_row_frame *frame, uint32_t capacity, const char *key, uint32_t size,
                  uint32_t hash)
{
    uint32_t at = frame->count;
    frame->hashes[at] = hash;
    if (same_key(frame, key, size)) {
        frame->keys[at] = frame->keys[at - 1];
        return;
    }
    frame->key_bytes += size;
    frame->keys[at] = (struct belt_span){ capacity + BELT_PAD - frame->key_bytes, size };
    memcpy(frame->data + frame->keys[at].at, key, size);
}

bool belt_row_out_flush(struct belt_row_out *out, uint32_t flags, uint64_t chunk, uint64_t epoch)
{
    if (!out->open && !flags)
        return true;
    struct belt_row_frame *frame = row_open(out);
    if (!frame)
        return false;
    frame->flags |= flags;
    frame->chunk = chunk;
    frame->epoch = epoch;
    bool held = belt_row_out_held(out);
    if (held ? !belt_overflow_push(out->over) : frame == out->local && !send_local(out)) {
        frame->flags &= BELT_FLUSHES;
        return false;
    }
    out->open = NULL;
    if (held)
        return true;
    belt_publish(&out->tx, 1);
    belt_lane_wake(out->reader);
    return true;
}

struct belt_row_frame *belt_row_in_peek(struct belt_row_in *in)
{
    struct belt_slots slot = belt_peek(&in->rx, 1);
    return slot.count ? slot.first : NULL;
}

void belt_row_in_release(struct belt_row_in *in)
{
    in->row = in->run = 0;
    belt_release(&in->rx, 1);
    belt_lane_wake(in->writer);
}
