/* What the stages tell: records into their lane's ring. Only ever called when
 * somebody wants to know. */
#include <string.h>

#include "core/clock_priv.h"
#include "core/telemetry_priv.h"
#include "core/worker_priv.h"

void belt_telemetry_turn(struct belt_lane *lane)
{
    /* A1, pairs with R1 in publish_rings() of core/telemetry.c: the rings are made. */
    uint64_t at = belt_load_acquire(&lane->run->events);
    lane->events = at ? (struct belt_events *)(uintptr_t)at + lane->index : NULL;
    if (!lane->events)
        lane->wanted = 0; /* seen before the rings: the next turn */
    if (lane->wanted == lane->wanted_before)
        return;
    lane->wanted_before = lane->wanted;
    /* What began while nobody wanted to know has no start: it gets no end. */
    for (uint32_t i = 0; i < lane->stages_used; i++)
        lane->stages[i]->told.began = lane->stages[i]->told.waits_since = 0;
}

uint64_t belt_tell_now(const struct belt_stage *stage)
{
    return stage->run->plan->caller ? stage->lane->now : belt_now();
}

static void put(const struct belt_stage *stage, enum belt_event_kind kind, uint64_t time,
                uint64_t span, const uint64_t *values, const char *text, size_t text_size)
{
    struct belt_events *events = stage->lane->events;
    struct belt_slots slot = belt_claim(&events->tx, 1);
    if (!slot.count) {
        belt_store_relaxed(&events->lost, events->lost + 1);
        return;
    }
    struct belt_event_record *record = slot.first;
    const enum belt_event_field *fields = belt_event_fields(kind);
    record->time = time;
    record->span = span;
    record->stage = stage;
    record->kind = kind;
    for (int i = 0; i < BELT_EVENT_VALUES && fields[i]; i++)
        record->values[i] = values[i];
    size_t size = text_size < BELT_EVENT_TEXT ? text_size : BELT_EVENT_TEXT - 1;
    memcpy(record->text, text, size);
    record->text[size] = 0;
    belt_publish(&events->tx, 1);
}

void belt_tell(const struct belt_stage *stage, enum belt_event_kind kind, const uint64_t *values,
               const char *text, size_t text_size)
{
    if (stage->lane->wanted & UINT64_C(1) << kind)
        put(stage, kind, belt_tell_now(stage), stage->told.span, values, text, text_size);
}

/* A span begins at `told.began`, for whoever wants its start or its end. */
static void begin(struct belt_stage *stage, enum belt_event_kind kind, const uint64_t *values)
{
    stage->told.began = belt_tell_now(stage);
    stage->told.span++;
    if (stage->lane->wanted & UINT64_C(1) << kind)
        put(stage, kind, stage->told.began, stage->told.span, values, "", 0);
}

/* ---- sources ------------------------------------------------------------------- */

void belt_tell_fill(struct belt_source_stage *s, uint32_t count, uint64_t bytes, uint64_t chunk)
{
    uint64_t values[] = { count, bytes, chunk, belt_ledger_room(&s->ledger) * 64 };
    belt_tell(&s->stage, BELT_EVENT_SOURCE_FILL, values, "", 0);
}

void belt_tell_pressure(struct belt_source_stage *s)
{
    uint64_t room = belt_ledger_room(&s->ledger) * 64;
    belt_tell(&s->stage, s->starved ? BELT_EVENT_PRESSURE_START : BELT_EVENT_PRESSURE_STOP, &room,
              "", 0);
}

void belt_tell_rate(struct belt_source_stage *s, bool held_back)
{
    uint64_t now = belt_tell_now(&s->stage);
    if (held_back && !s->held_back_at) {
        uint64_t wait = s->due > now ? s->due - now : 0;
        s->held_back_at = now;
        belt_tell(&s->stage, BELT_EVENT_RATE_START, &wait, "", 0);
    } else if (!held_back && s->held_back_at) {
        uint64_t ns = now - s->held_back_at;
        s->held_back_at = 0;
        belt_tell(&s->stage, BELT_EVENT_RATE_STOP, &ns, "", 0);
    }
}

/* ---- processors ---------------------------------------------------------------- */

void belt_tell_frame(struct belt_chain_stage *chain)
{
    const struct belt_stats *stats = &chain->stage.stats;
    struct belt_told *told = &chain->stage.told;
    told->dropped = stats->dropped;
    told->failed = stats->failed;
    told->folded = stats->folded;
    begin(&chain->stage, BELT_EVENT_PROCESSOR_START,
          (uint64_t[]){ chain->frame->count, chain->frame->chunk });
}

void belt_tell_frame_end(struct belt_chain_stage *chain)
{
    const struct belt_stats *stats = &chain->stage.stats;
    const struct belt_told *told = &chain->stage.told;
    const struct belt_input_frame *frame = chain->frame;
    if (!told->began) /* it began before anybody wanted to know */
        return;
    uint64_t dropped = stats->dropped - told->dropped, failed = stats->failed - told->failed;
    uint64_t ended = dropped + stats->folded - told->folded;
    uint64_t forward = frame->count > ended + failed ? frame->count - ended - failed : 0;
    int batchers = chain->outlets_used;
    batchers -= batchers && chain->outlets[batchers - 1].failed;
    bool last = !batchers && !chain->fanouts_used;
    uint64_t values[] = { frame->count,
                          last ? ended + forward : ended,
                          last ? 0 : forward,
                          failed,
                          dropped,
                          frame->chunk,
                          belt_tell_now(&chain->stage) - told->began };
    belt_tell(&chain->stage, BELT_EVENT_PROCESSOR_STOP, values, "", 0);
    chain->stage.told.began = 0;
}

struct belt_segment belt_tell_cut(struct belt_chain_stage *chain, struct belt_segment segment)
{
    if (segment.end - segment.first > 1)
        chain->segments[chain->segments_used++] =
            (struct belt_segment){ segment.first + 1, segment.end, segment.step, segment.prepared };
    segment.end = segment.first + 1;
    uint32_t size;
    const char *text = belt_text(&chain->engine.view, 0, segment.first, &size);
    uint64_t values[] = { size, chain->frame->chunk };
    if (segment.step == 0)
        belt_tell(&chain->stage, BELT_EVENT_MESSAGE_START, values, text, size);
    chain->stage.told.message_began = belt_tell_now(&chain->stage);
    return segment;
}

void belt_tell_message(struct belt_chain_stage *chain, struct belt_segment segment)
{
    uint32_t i = segment.first;
    if (segment.end == i)
        return; /* without room for now: it comes again */
    const struct belt_engine *engine = &chain->engine;
    uint64_t bit = UINT64_C(1) << (i % 64);
    uint64_t values[] = { belt_tell_now(&chain->stage) - chain->stage.told.message_began,
                          (engine->dropped[i / 64] & bit) != 0 };
    if (!(engine->failed[i / 64] & bit))
        belt_tell(&chain->stage, BELT_EVENT_MESSAGE_STOP, values, "", 0);
    else
        belt_tell(&chain->stage, BELT_EVENT_MESSAGE_EXCEPTION, values, engine->reasons[i],
                  strlen(engine->reasons[i]));
}

void belt_tell_failed(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    const struct belt_engine *engine = &chain->engine;
    const uint64_t none = 0;
    for (uint32_t w = first / 64; w < BELT_WORDS && w * 64 < end; w++) {
        uint64_t failed = engine->failed[w] & belt_range_mask(w, first, end);
        for (; failed; failed &= failed - 1) {
            const char *reason = engine->reasons[w * 64 + (uint32_t)__builtin_ctzll(failed)];
            belt_tell(&chain->stage, BELT_EVENT_MESSAGE_EXCEPTION, &none, reason, strlen(reason));
        }
    }
}

void belt_tell_restart(struct belt_stage *stage, const struct belt_worker *worker)
{
    uint64_t values[] = { worker->restarts, worker->attempts, worker->hangs };
    const char *death = worker->block->death;
    belt_tell(stage, BELT_EVENT_WORKER_RESTART, values, death,
              strnlen(death, sizeof worker->block->death));
}

void belt_tell_overflow(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                        struct belt_overflow *over)
{
    const char *batcher = outlet->batcher->path;
    bool waits = belt_overflow_waits(over);
    uint64_t now = belt_tell_now(&chain->stage);
    if (waits == (over->waits_since != 0))
        return;
    uint64_t ns = now - over->waits_since;
    over->waits_since = waits ? now : 0;
    belt_tell(&chain->stage, waits ? BELT_EVENT_OVERFLOW_START : BELT_EVENT_OVERFLOW_STOP, &ns,
              batcher, strlen(batcher));
}

void belt_tell_discard(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                       uint64_t count)
{
    const char *batcher = outlet->batcher->path;
    belt_tell(&chain->stage, BELT_EVENT_DISCARD, &count, batcher, strlen(batcher));
}

/* ---- callbacks that hear of failures ----------------------------------------------- */

uint64_t belt_tell_handle_failed(struct belt_stage *stage, uint64_t count)
{
    belt_tell(stage, BELT_EVENT_FAILED_START, &count, "", 0);
    return belt_tell_now(stage);
}

void belt_tell_handle_failed_end(struct belt_stage *stage, uint64_t count, uint64_t began)
{
    uint64_t values[] = { count, belt_tell_now(stage) - began };
    belt_tell(stage, BELT_EVENT_FAILED_STOP, values, "", 0);
}

void belt_tell_handle_failed_apart(struct belt_stage *stage, uint64_t count, uint64_t ns)
{
    uint64_t values[] = { count, ns };
    belt_tell(stage, BELT_EVENT_FAILED_START, values, "", 0);
    belt_tell(stage, BELT_EVENT_FAILED_STOP, values, "", 0);
}

/* ---- batchers ------------------------------------------------------------------ */

void belt_tell_rows(struct belt_batcher_stage *b, uint32_t count)
{
    begin(&b->stage, BELT_EVENT_BATCHER_START, &(uint64_t){ count });
}

void belt_tell_rows_end(struct belt_batcher_stage *b, uint32_t count)
{
    if (!b->stage.told.began)
        return;
    uint64_t values[] = { count, belt_tell_now(&b->stage) - b->stage.told.began };
    belt_tell(&b->stage, BELT_EVENT_BATCHER_STOP, values, "", 0);
    b->stage.told.began = 0;
}

void belt_tell_batch(struct belt_batcher_stage *b, struct belt_open_batch *open)
{
    const struct belt_batch *batch = &open->batch;
    uint64_t now = open->handed_at = belt_tell_now(&b->stage);
    uint64_t values[] = { batch->count, batch->bytes_size, batch->trigger,
                          now > open->first_at ? now - open->first_at : 0 };
    open->number = b->stage.stats.batches;
    if (b->stage.lane->wanted & BELT_WANT(BATCH_START))
        put(&b->stage, BELT_EVENT_BATCH_START, now, open->number, values, batch->key,
            batch->key_size);
}

void belt_tell_batch_end(struct belt_batcher_stage *b, const struct belt_open_batch *open,
                         uint32_t failed, const char *reason)
{
    uint32_t count = open->batch.count;
    uint64_t now = belt_tell_now(&b->stage);
    uint64_t values[] = { count - failed, failed, open->handed_at ? now - open->handed_at : 0 };
    put(&b->stage, BELT_EVENT_BATCH_STOP, now, open->handed_at ? open->number : 0, values, reason,
        strlen(reason));
}

/* ---- waiting ------------------------------------------------------------------- */

static const char *awaited(enum belt_turn waits)
{
    return waits == BELT_TURN_IN ? "input" : "room";
}

static void tell_wait(struct belt_stage *stage, uint64_t now)
{
    struct belt_told *told = &stage->told;
    bool waits = !stage->ended && (stage->last == BELT_TURN_IN || stage->last == BELT_TURN_OUT);
    if (told->waits_since && waits && stage->last == told->waits)
        return;
    if (told->waits_since) {
        uint64_t ns = now - told->waits_since;
        belt_tell(stage, BELT_EVENT_WAIT_STOP, &ns, awaited(told->waits),
                  strlen(awaited(told->waits)));
    }
    told->waits = stage->last;
    told->waits_since = waits ? now : 0;
    if (waits)
        belt_tell(stage, BELT_EVENT_WAIT_START, NULL, awaited(told->waits),
                  strlen(awaited(told->waits)));
}

void belt_tell_waits(struct belt_lane *lane)
{
    for (uint32_t i = 0; i < lane->stages_used; i++)
        tell_wait(lane->stages[i], lane->now);
}
