#include "core/link_priv.h"

#include <stdio.h>
#include <string.h>

#include "core/hash_priv.h"
#include "core/run_priv.h"

size_t belt_link_frame_size(const struct belt_link_shape *shape)
{
    return sizeof(struct belt_link_frame) + (size_t)shape->used * BELT_FRAME * sizeof(uint64_t) +
           shape->capacity + 2 * BELT_PAD;
}

void belt_link_shape(struct belt_link_shape *shape, const struct belt_spec *spec, int p)
{
    *shape = (struct belt_link_shape){ .capacity = 128u << 10 };
    if (spec->slab > shape->capacity)
        shape->capacity = spec->slab;
    for (int c = 0; c < spec->columns_used; c++) {
        if (!(spec->processors[p].crossing >> c & 1))
            continue;
        shape->texts[shape->used] = spec->columns[c].type == BELT_TEXT;
        shape->columns[shape->used++] = c;
    }
}

/* ---- who gets what ---------------------------------------------------------- */

/* What leaves: the messages of the frame in hand, or those that they became. */
static const struct belt_engine *engine_of(const struct belt_chain_stage *chain)
{
    return chain->kids ? &chain->kids->engine : &chain->engine;
}

static uint32_t hash_of(const struct belt_chain_stage *chain, int column, uint32_t i)
{
    const struct belt_view *view = &engine_of(chain)->view;
    if (engine_of(chain)->types[column] == BELT_TEXT) {
        uint32_t size;
        const char *text = belt_text(view, column, i, &size);
        return belt_hash(text, size);
    }
    const char *number = (const char *)&view->columns[column].as.numbers[i];
    return belt_hash(number, sizeof(int64_t));
}

static void sort_partitions(struct belt_chain_stage *chain, struct belt_fanout *fan, uint32_t w,
                            uint64_t mask)
{
    for (; mask; mask &= mask - 1) {
        uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(mask);
        uint32_t to = hash_of(chain, fan->to->partition, i) % fan->active;
        fan->outs[to].todo[w] |= mask & -mask;
    }
}

void belt_links_sort(struct belt_chain_stage *chain, uint32_t w, uint64_t mask)
{
    for (uint32_t f = 0; f < chain->fanouts_used; f++) {
        struct belt_fanout *fan = &chain->fanouts[f];
        if (fan->outs_used == 1)
            fan->outs[0].todo[w] |= mask;
        else if (fan->dispatch == BELT_DISPATCH_PARTITION)
            sort_partitions(chain, fan, w, mask);
        else if (fan->dispatch == BELT_DISPATCH_BROADCAST)
            for (uint32_t o = 0; o < fan->active; o++)
                fan->outs[o].todo[w] |= mask;
        else
            fan->todo[w] |= mask;
    }
}

uint64_t belt_links_todo(const struct belt_chain_stage *chain, uint32_t w)
{
    uint64_t todo = 0;
    for (uint32_t f = 0; f < chain->fanouts_used; f++) {
        todo |= chain->fanouts[f].todo[w];
        for (uint32_t o = 0; o < chain->fanouts[f].outs_used; o++)
            todo |= chain->fanouts[f].outs[o].todo[w];
    }
    return todo;
}

/* ---- writing ---------------------------------------------------------------- */

static struct belt_link_frame *open_frame(struct belt_link_out *out, uint64_t chunk)
{
    if (!out->open) {
        struct belt_slots slot = belt_claim(&out->tx, 1);
        if (!slot.count)
            return NULL;
        out->open = slot.first;
        out->open->count = out->open->flags = out->open->bytes = 0;
        out->open->routed = out->open->any_also = out->open->any_flush = false;
        out->open->chunk = chunk;
    }
    return out->open;
}

static void publish(struct belt_link_out *out, uint32_t flags)
{
    out->open->flags = flags;
    out->open = NULL;
    belt_publish(&out->tx, 1);
    belt_lane_wake(out->reader);
}

static uint32_t gather(const uint64_t todo[BELT_WORDS], uint16_t *at, uint32_t most)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        for (uint64_t rest = todo[w]; rest && count < most; rest &= rest - 1)
            at[count++] = (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(rest));
    return count;
}

/* A column that no step wrote for this frame has no base. */
static uint32_t text_size(const struct belt_column *column, uint32_t i)
{
    return column->base ? column->as.spans[i].size : 0;
}

static uint64_t text_bytes(const struct belt_view *view, const struct belt_link_shape *shape,
                           uint32_t i)
{
    uint64_t bytes = 0;
    for (int c = 0; c < shape->used; c++)
        if (shape->texts[c])
            bytes += text_size(&view->columns[shape->columns[c]], i);
    return bytes;
}

/* How many of these the frame has room for. */
static uint32_t fitting(const struct belt_view *view, const struct belt_link_shape *shape,
                        const struct belt_link_frame *frame, const uint16_t *at, uint32_t count)
{
    uint64_t left = shape->capacity - frame->bytes;
    for (uint32_t k = 0; k < count; k++) {
        uint64_t bytes = text_bytes(view, shape, at[k]);
        if (bytes > left)
            return k;
        left -= bytes;
    }
    return count;
}

/* Most texts are short: 32 bytes at once, BELT_PAD lies behind both ends. */
static void copy_text(char *to, const char *from, uint32_t size)
{
    if (size <= 32)
        memcpy(to, from, 32);
    else
        memcpy(to, from, size);
}

static void put_texts(struct belt_link_frame *frame, char *texts, struct belt_span *to,
                      const struct belt_column *column, const uint16_t *at, uint32_t count)
{
    uint32_t bytes = frame->bytes;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t size = text_size(column, at[k]);
        if (size)
            copy_text(texts + bytes, column->base + column->as.spans[at[k]].at, size);
        to[k] = (struct belt_span){ bytes, size };
        bytes += size;
    }
    frame->bytes = bytes;
}

static void put_columns(const struct belt_engine *engine, const struct belt_link_shape *shape,
                        struct belt_link_frame *frame, const uint16_t *at, uint32_t count)
{
    char *texts = belt_link_texts(frame, shape);
    for (int c = 0; c < shape->used; c++) {
        const struct belt_column *column = &engine->columns[shape->columns[c]];
        uint64_t *values = frame->values + (size_t)c * BELT_FRAME + frame->count;
        if (shape->texts[c])
            put_texts(frame, texts, (struct belt_span *)(void *)values, column, at, count);
        else
            for (uint32_t k = 0; k < count; k++)
                values[k] = (uint64_t)column->as.numbers[at[k]];
    }
}

/* What steps said about batchers is for those behind. */
static void put_routes(const struct belt_engine *engine, struct belt_link_frame *frame,
                       const uint16_t *at, uint32_t count)
{
    if (engine->routed && !frame->routed)
        memset(frame->batcher, 0, sizeof frame->batcher);
    if (engine->any_also && !frame->any_also)
        memset(frame->also, 0, sizeof frame->also);
    frame->routed |= engine->routed;
    frame->any_also |= engine->any_also;
    for (uint32_t k = 0; frame->routed && k < count; k++)
        frame->batcher[frame->count + k] = engine->routed ? engine->batcher[at[k]] : 0;
    for (uint32_t k = 0; frame->any_also && k < count; k++)
        frame->also[frame->count + k] = engine->any_also ? engine->also[at[k]] : 0;
}

static void put_flushes(const struct belt_engine *engine, struct belt_link_frame *frame,
                        const uint16_t *at, uint32_t count)
{
    if (!engine->any_flush)
        return;
    if (!frame->any_flush)
        memset(frame->flush, 0, sizeof frame->flush);
    frame->any_flush = true;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t to = frame->count + k;
        frame->flush[to / 64] |= (engine->flush[at[k] / 64] >> (at[k] % 64) & 1) << (to % 64);
    }
}

/* The ticket of one copy. */
static struct belt_ticket take_kid(struct belt_kids *kids, uint32_t k)
{
    struct belt_ticket t = kids->tickets[k];
    t.bit &= -t.bit;
    if (BELT_RUN_SOURCE(t.word) != BELT_RUN_NOBODY)
        kids->tickets[k].bit &= ~t.bit;
    return t;
}

static void put_messages(struct belt_chain_stage *chain, const struct belt_link_shape *shape,
                         struct belt_link_frame *frame, const uint16_t *at, uint32_t count)
{
    put_columns(engine_of(chain), shape, frame, at, count);
    put_routes(engine_of(chain), frame, at, count);
    put_flushes(engine_of(chain), frame, at, count);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = chain->kids ? chain->kids->parents[at[k]] : at[k];
        frame->tickets[frame->count + k] =
            chain->kids ? take_kid(chain->kids, at[k]) : belt_chain_take(chain, i);
        frame->origins[frame->count + k] = belt_chain_origin(chain, i);
    }
    frame->count += count;
}

static void refuse(struct belt_chain_stage *chain, const struct belt_fanout *fan, uint32_t i)
{
    char reason[BELT_REASON];
    snprintf(reason, sizeof reason,
             "%llu bytes of texts are more than a message may bring to %.80s",
             (unsigned long long)text_bytes(&engine_of(chain)->view, fan->shape, i),
             fan->to->name); /* not of kids: belt_emit() has seen that they fit */
    belt_dispatch_fail(chain, NULL, i, reason);
}

static bool any_todo(const uint64_t todo[BELT_WORDS])
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        any |= todo[w];
    return any != 0;
}

/* Messages of `todo` into one frame of this link, which leaves when it is full. False:
 * no frame is free. */
static bool write_frame(struct belt_chain_stage *chain, struct belt_fanout *fan,
                        struct belt_link_out *out, uint64_t todo[BELT_WORDS])
{
    uint16_t at[BELT_FRAME];
    struct belt_link_frame *frame = open_frame(out, chain->frame->chunk);
    if (!frame)
        return false;
    uint32_t count = gather(todo, at, BELT_FRAME - frame->count);
    uint32_t fits = fitting(&engine_of(chain)->view, fan->shape, frame, at, count);
    put_messages(chain, fan->shape, frame, at, fits);
    if (!fits && !frame->count) {
        refuse(chain, fan, at[0]);
        fits = 1;
    } else if (fits < count || frame->count == BELT_FRAME) {
        publish(out, 0);
    }
    for (uint32_t k = 0; k < fits; k++)
        todo[at[k] / 64] &= ~(UINT64_C(1) << (at[k] % 64));
    return true;
}

static bool write_link(struct belt_chain_stage *chain, struct belt_fanout *fan,
                       struct belt_link_out *out)
{
    while (any_todo(out->todo))
        if (!write_frame(chain, fan, out, out->todo))
            return false;
    return true;
}

/* To whoever has room: a frame for each in turn. */
static bool write_demand(struct belt_chain_stage *chain, struct belt_fanout *fan)
{
    for (uint32_t full = 0; full < fan->active && any_todo(fan->todo);) {
        struct belt_link_out *out = &fan->outs[fan->turn % fan->active];
        full = write_frame(chain, fan, out, fan->todo) ? 0 : full + 1;
        fan->turn += !out->open;
    }
    return !any_todo(fan->todo);
}

bool belt_links_write(struct belt_chain_stage *chain)
{
    bool all = true;
    for (uint32_t f = 0; f < chain->fanouts_used; f++) {
        struct belt_fanout *fan = &chain->fanouts[f];
        for (uint32_t o = 0; o < fan->outs_used; o++)
            all &= write_link(chain, fan, &fan->outs[o]);
        if (fan->outs_used > 1 && fan->dispatch <= BELT_DISPATCH_DEMAND)
            all &= write_demand(chain, fan);
    }
    return all;
}

/* Marks travel where chunks keep their order: from counterpart to counterpart. */
bool belt_links_mark(struct belt_chain_stage *chain)
{
    bool ordered = chain->stage.run->ordered;
    for (uint32_t f = 0; ordered && f < chain->fanouts_used; f++) {
        struct belt_fanout *fan = &chain->fanouts[f];
        if (fan->marked)
            continue;
        if (!open_frame(&fan->outs[0], chain->frame->chunk))
            return false;
        publish(&fan->outs[0], BELT_LAST_OF_CHUNK);
        fan->marked = true;
    }
    for (uint32_t f = 0; f < chain->fanouts_used; f++)
        chain->fanouts[f].marked = false;
    return true;
}

void belt_links_flush(struct belt_chain_stage *chain)
{
    for (uint32_t f = 0; f < chain->fanouts_used; f++)
        for (uint32_t o = 0; o < chain->fanouts[f].outs_used; o++)
            if (chain->fanouts[f].outs[o].open) {
                publish(&chain->fanouts[f].outs[o], 0);
                chain->fanouts[f].turn++;
                chain->stage.lane->worked = true;
            }
}

void belt_links_close(struct belt_chain_stage *chain)
{
    for (uint32_t f = 0; f < chain->fanouts_used; f++)
        for (uint32_t o = 0; o < chain->fanouts[f].outs_used; o++) {
            belt_close(&chain->fanouts[f].outs[o].tx);
            belt_lane_wake(chain->fanouts[f].outs[o].reader);
        }
}

/* ---- reading ---------------------------------------------------------------- */

struct belt_link_frame *belt_links_take(struct belt_chain_stage *chain)
{
    for (uint32_t n = 0; n < chain->ins_used; n++) {
        struct belt_link_in *in = &chain->ins[(chain->in_turn + n) % chain->ins_used];
        struct belt_slots slot = belt_peek(&in->rx, 1);
        if (!slot.count)
            continue;
        chain->in_turn += n + 1;
        chain->in = in;
        chain->link = slot.first;
        chain->frame = chain->linked;
        chain->frame->count = chain->link->count;
        chain->frame->flags = chain->link->flags;
        chain->frame->chunk = chain->link->chunk;
        chain->sparse = chain->link->tickets;
        chain->origins = chain->link->origins;
        return chain->link;
    }
    return NULL;
}

void belt_link_load(struct belt_engine *engine, struct belt_link_frame *frame,
                    const struct belt_link_shape *shape, uint64_t now)
{
    static const uint64_t none[BELT_WORDS];
    char *texts = belt_link_texts(frame, shape);
    belt_engine_load(engine, texts, (struct belt_span *)(void *)frame->values, frame->count, none,
                     NULL, now);
    for (int c = 1; c < shape->used; c++) {
        struct belt_column *column = &engine->columns[shape->columns[c]];
        column->base = shape->texts[c] ? texts : NULL;
        column->as.spans = (struct belt_span *)(void *)(frame->values + (size_t)c * BELT_FRAME);
    }
    engine->routed = frame->routed;
    engine->any_also = frame->any_also;
    engine->any_flush = frame->any_flush;
    if (frame->any_flush)
        memcpy(engine->flush, frame->flush, sizeof engine->flush);
    if (frame->routed)
        memcpy(engine->batcher, frame->batcher, frame->count);
    if (frame->any_also)
        memcpy(engine->also, frame->also, frame->count * sizeof *frame->also);
}

void belt_links_release(struct belt_chain_stage *chain)
{
    belt_release(&chain->in->rx, 1);
    belt_lane_wake(chain->in->writer);
    chain->link = NULL;
    chain->in = NULL;
    chain->sparse = NULL;
    chain->origins = NULL;
}

bool belt_links_ended(const struct belt_chain_stage *chain)
{
    for (uint32_t n = 0; n < chain->ins_used; n++)
        if (!belt_rx_ended(&chain->ins[n].rx))
            return false;
    return true;
}
