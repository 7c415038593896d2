#include "core/view_priv.h"

#include <string.h>

#include "core/worker_priv.h"

#define COLUMN_BYTES (BELT_FRAME * sizeof(uint64_t))

/* Those that failed are to be shown as they are. */
static bool is_needed(const struct belt_engine *engine, uint32_t i)
{
    return (engine->live[i / 64] | engine->failed[i / 64]) >> (i % 64) & 1;
}

void belt_drop_mask(struct belt_view *view, uint32_t w, uint64_t mask)
{
    struct belt_engine *engine = view->engine;
    engine->dropped[w] |= mask & engine->live[w];
    engine->live[w] &= ~mask;
}

void belt_drop(struct belt_view *view, uint32_t i)
{
    belt_drop_mask(view, i / 64, UINT64_C(1) << (i % 64));
}

void belt_fail_message(struct belt_view *view, uint32_t i, const char *reason)
{
    struct belt_engine *engine = view->engine;
    uint64_t bit = UINT64_C(1) << (i % 64);
    if (!is_needed(engine, i))
        return; /* it was dropped, or is held: two places would settle it */
    engine->live[i / 64] &= ~bit;
    engine->failed[i / 64] |= bit;
    engine->any_failed = true;
    size_t size = strnlen(reason, BELT_REASON - 1);
    memcpy(engine->reasons[i], reason, size);
    engine->reasons[i][size] = 0;
}

uint32_t belt_attempt(const struct belt_view *view, uint32_t i)
{
    return view->engine->tries ? view->engine->tries[i] : 0;
}

void *belt_context(const struct belt_view *view)
{
    return view->engine->context ? *view->engine->context : NULL;
}

static bool is_target(struct belt_view *view, uint32_t i, int batcher)
{
    if (batcher >= 0 && (uint32_t)batcher < view->engine->targets)
        return true;
    belt_fail_message(view, i, "sent to a batcher that is not there");
    return false;
}

static void begin_routing(struct belt_engine *engine)
{
    if (engine->routed)
        return;
    memset(engine->batcher, 0, sizeof engine->batcher);
    engine->routed = true;
}

void belt_route(struct belt_view *view, uint32_t i, int batcher)
{
    if (!is_target(view, i, batcher))
        return;
    begin_routing(view->engine);
    view->engine->batcher[i] = (uint8_t)batcher;
}

void belt_route_mask(struct belt_view *view, uint32_t w, uint64_t mask, int batcher)
{
    struct belt_engine *engine = view->engine;
    uint8_t *to = engine->batcher + (size_t)w * 64;
    bool is_one = batcher >= 0 && (uint32_t)batcher < engine->targets;
    /* Nothing was sent anywhere yet: to the first is where all go. */
    if (is_one && batcher == 0 && !engine->routed)
        return;
    begin_routing(engine);
    if (is_one)
        belt_put_mask(to, mask, (uint8_t)batcher);
    for (; mask && !is_one; mask &= mask - 1)
        is_target(view, w * 64 + (uint32_t)__builtin_ctzll(mask), batcher);
}

void belt_route_also(struct belt_view *view, uint32_t i, int batcher)
{
    struct belt_engine *engine = view->engine;
    if (!is_target(view, i, batcher))
        return;
    if (!engine->any_also) {
        memset(engine->also, 0, sizeof engine->also);
        engine->any_also = true;
    }
    engine->also[i] |= (uint16_t)(1u << batcher);
}

void belt_flush(struct belt_view *view, uint32_t i)
{
    struct belt_engine *engine = view->engine;
    if (!engine->any_flush) {
        memset(engine->flush, 0, sizeof engine->flush);
        engine->any_flush = true;
    }
    engine->flush[i / 64] |= UINT64_C(1) << (i % 64);
}

void belt_ack(struct belt_view *view, uint32_t i)
{
    struct belt_engine *engine = view->engine;
    if (!engine->any_acked) {
        memset(engine->acked, 0, sizeof engine->acked);
        engine->any_acked = true;
    }
    engine->acked[i / 64] |= UINT64_C(1) << (i % 64);
}

uint32_t belt_room_limit(const struct belt_view *view)
{
    const struct belt_engine *engine = view->engine;
    uint32_t steps = (uint32_t)(engine->steps > 1 ? engine->steps : 1);
    return (engine->room_size - engine->reserve) / steps;
}

char *belt_room(struct belt_view *view, uint32_t size)
{
    struct belt_engine *engine = view->engine;
    if ((uint64_t)engine->room_used + size > engine->room_share)
        return NULL;
    char *room = engine->rooms[engine->room] + engine->room_used;
    engine->room_used += size;
    return room;
}

/* Copies the column's texts of the messages [from, count) that are needed into
 * the room in use, and makes it the column's base. Those before keep their spans,
 * which mean the old base: a worker may put it back. */
static bool adopt(struct belt_engine *engine, int column, uint32_t from)
{
    struct belt_column *c = &engine->columns[column];
    struct belt_span *to = (struct belt_span *)(void *)engine->storage[column];
    const struct belt_span *spans = c->base ? c->as.spans : NULL;
    uint64_t need = 0;
    for (uint32_t i = from; spans && i < engine->count; i++)
        need += is_needed(engine, i) ? spans[i].size : 0;
    char *room = need <= UINT32_MAX ? belt_room(&engine->view, (uint32_t)need) : NULL;
    if (!room)
        return false;
    char *base = engine->rooms[engine->room];
    for (uint32_t i = from; i < engine->count; i++) {
        bool moves = spans && is_needed(engine, i);
        struct belt_span old = moves ? spans[i] : (struct belt_span){ 0, 0 };
        if (old.size)
            memcpy(room, c->base + old.at, old.size);
        to[i] = (struct belt_span){ (uint32_t)(room - base), old.size };
        room += old.size;
    }
    c->base = base;
    c->as.spans = to;
    return true;
}

/* The frame's own payloads are about to move: their bytes come out of the reserve. */
static void use_reserve(struct belt_engine *engine, int column)
{
    if (column || engine->moved)
        return;
    engine->moved = engine->reserve;
    uint32_t left = engine->room_size - engine->room_share;
    engine->room_share += engine->reserve < left ? engine->reserve : left;
}

bool belt_put_text(struct belt_view *view, int column, uint32_t i, const char *bytes, uint32_t size)
{
    struct belt_engine *engine = view->engine;
    struct belt_column *c = &engine->columns[column];
    if (c->base != engine->rooms[engine->room]) {
        use_reserve(engine, column);
        if (!adopt(engine, column, view->first))
            return false;
    }
    c->as.spans[i] = (struct belt_span){ (uint32_t)(bytes - c->base), size };
    return true;
}

void belt_engine_fresh_room(struct belt_engine *engine, uint32_t from)
{
    if (!engine->room_used)
        return;
    const char *old = engine->rooms[engine->room];
    engine->room = (engine->room + 1) % BELT_ROOMS;
    engine->room_used = 0;
    engine->room_share = engine->room_size;
    for (int c = 0; c < (int)engine->view.columns_used; c++)
        if (engine->types[c] == BELT_TEXT && engine->columns[c].base == old)
            adopt(engine, c, from); /* fits: it is part of what fitted before */
}

size_t belt_engine_size(int columns, uint32_t room_size)
{
    return (size_t)columns * COLUMN_BYTES + (size_t)BELT_FRAME * BELT_REASON +
           BELT_ROOMS * ((size_t)room_size + 2 * BELT_PAD) + 4096;
}

void belt_engine_init(struct belt_engine *engine, const struct belt_column_info *columns, int count,
                      uint32_t room_size, int steps, char *memory)
{
    for (int c = 0; c < count; c++) {
        engine->types[c] = columns[c].type;
        engine->storage[c] = (uint64_t *)(void *)memory;
        memory += COLUMN_BYTES;
    }
    engine->reasons = (char(*)[BELT_REASON])(void *)memory;
    memory += (size_t)BELT_FRAME * BELT_REASON;
    for (int r = 0; r < BELT_ROOMS; r++) {
        engine->rooms[r] = memory + BELT_PAD;
        memory += (size_t)room_size + 2 * BELT_PAD;
    }
    engine->room_size = engine->room_share = room_size;
    engine->room = engine->room_used = engine->reserve = engine->moved = 0;
    engine->steps = steps;
    if (!engine->targets)
        engine->targets = BELT_BATCHERS;
    engine->view = (struct belt_view){
        .size = sizeof(struct belt_view),
        .columns_used = (uint32_t)count,
        .live = engine->live,
        .columns = engine->columns,
        .engine = engine,
    };
}

/* Bytes that the payloads of a frame take when they move: records lie one after
 * another. At most half of the room, so that there is always some for new texts;
 * none for a step that has the room to itself. */
static uint32_t payload_bytes(const struct belt_engine *engine, const struct belt_span *spans,
                              uint32_t count)
{
    uint32_t most = engine->steps > 1 ? engine->room_size / 2 : 0;
    uint32_t bytes = count ? spans[count - 1].at + spans[count - 1].size - spans[0].at : 0;
    return bytes < most ? bytes : most;
}

void belt_engine_load(struct belt_engine *engine, const char *base, struct belt_span *spans,
                      uint32_t count, const uint64_t failed[BELT_WORDS], const char *reason,
                      uint64_t now)
{
    engine->count = count;
    engine->routed = engine->any_failed = engine->any_also = engine->any_acked = false;
    engine->any_flush = engine->any_option = false;
    engine->room_used = engine->moved = 0;
    engine->reserve = payload_bytes(engine, spans, count);
    for (uint32_t w = 0; w < BELT_WORDS; w++) {
        uint32_t here = count > w * 64 ? count - w * 64 : 0;
        engine->live[w] = here >= 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1;
        engine->dropped[w] = engine->failed[w] = 0;
    }
    engine->columns[0].base = base;
    engine->columns[0].as.spans = spans;
    for (uint32_t c = 1; c < engine->view.columns_used; c++) {
        engine->columns[c].base = NULL;
        engine->columns[c].as.spans = (struct belt_span *)(void *)engine->storage[c];
    }
    engine->view.first = 0;
    engine->view.end = count;
    engine->view.now = now;
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        for (uint64_t rest = failed[w]; rest; rest &= rest - 1)
            belt_fail_message(&engine->view, w * 64 + (uint32_t)__builtin_ctzll(rest), reason);
}

void belt_engine_adopt(struct belt_engine *engine, const struct belt_result *result, char *region,
                       uint32_t count, uint64_t now)
{
    engine->count = count;
    engine->routed = result->routed;
    engine->any_failed = result->any_failed;
    engine->any_also = result->any_also;
    engine->any_acked = result->any_acked;
    engine->any_flush = result->any_flush;
    engine->any_option = result->any_option;
    memcpy(engine->live, result->live, sizeof engine->live);
    memcpy(engine->dropped, result->dropped, sizeof engine->dropped);
    memcpy(engine->failed, result->failed, sizeof engine->failed);
    if (result->routed)
        memcpy(engine->batcher, result->batcher, sizeof engine->batcher);
    if (result->any_also)
        memcpy(engine->also, result->also, sizeof engine->also);
    if (result->any_flush)
        memcpy(engine->flush, result->flush, sizeof engine->flush);
    if (result->any_option)
        memcpy(engine->option, result->option, sizeof engine->option);
    if (result->any_acked)
        memcpy(engine->acked, result->acked, sizeof engine->acked);
    if (engine->keyed_step)
        memcpy(engine->keyed, result->keyed, sizeof engine->keyed);
    engine->reasons = (char(*)[BELT_REASON])(void *)(region + result->reasons);
    for (uint32_t c = 0; c < engine->view.columns_used; c++) {
        engine->columns[c].base = region + result->bases[c];
        engine->columns[c].as.spans = (struct belt_span *)(void *)(region + result->values[c]);
    }
    engine->view.first = result->first;
    engine->view.end = result->end;
    engine->view.now = now;
}
