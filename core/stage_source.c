/* The source stage: gives frames to its part to fill, tickets to the records,
 * and slabs back to the part when all their frames are released. */
#include <errno.h>
#include <string.h>

#include "core/telemetry_priv.h"

/* A sleeping worker is woken for so many frames, or after so many ns: a waker's CPU
 * may be the one that it will run on. */
#define TELL_FRAMES 16
#define TELL_AFTER 50000

static struct belt_source_stage *source_of(struct belt_stage *stage)
{
    return (struct belt_source_stage *)(void *)stage;
}

static int source_init(struct belt_stage *stage, struct belt_error *err)
{
    struct belt_source_stage *s = source_of(stage);
    const struct belt_use *use = &s->spec->use;
    return use->part->init ? use->part->init(s->state, use->conf, &s->in, err) : 0;
}

/* ---- acknowledgements -------------------------------------------------------- */

static void tell(void *ctx, uint64_t word, uint64_t done, uint64_t failed)
{
    struct belt_source_stage *s = ctx;
    const struct belt_ledger *ledger = &s->ledger;
    struct belt_acked acked = { .size = sizeof acked,
                                .ticket = word * 64,
                                .done = done,
                                .failed = failed,
                                .options = ledger->options
                                               ? ledger->options + (word & ledger->mask) * 64
                                               : NULL,
                                .reasons = s->reasons };
    s->part->ack(s->state, &acked);
}

static void settle_window(struct belt_source_stage *s)
{
    if (s->ledger.owed)
        belt_ledger_tell(&s->ledger, s->part->ack_any, tell, s);
    if (belt_ledger_free(&s->ledger))
        belt_latency_settled(s);
}

static void source_fini(struct belt_stage *stage)
{
    struct belt_source_stage *s = source_of(stage);
    settle_window(s);
    const struct belt_use *use = &s->spec->use;
    if (use->part->fini)
        use->part->fini(s->state, use->conf);
}

static int source_fd(struct belt_stage *stage)
{
    struct belt_source_stage *s = source_of(stage);
    return s->part->fd && !s->finished && !s->broken ? s->part->fd(s->state) : -1;
}

static void recycle(struct belt_source_stage *s)
{
    const struct belt_input_frame *frame;
    for (uint32_t f = 0; f < s->feeds_used; f++)
        while ((frame = belt_feed_reclaim(&s->feeds[f]))) {
            s->on_way -= frame->count;
            uint32_t slab = frame->slab;
            s->slab_frames[slab]--;
            s->slab_closed[slab] |= (frame->flags & BELT_LAST_OF_SLAB) != 0;
            if (s->slab_frames[slab] || !s->slab_closed[slab])
                continue;
            s->slab_closed[slab] = false;
            if (s->part->recycle)
                s->part->recycle(s->state, slab);
        }
}

/* Without a ticket nothing can be read until something settles, and what is
 * unsettled may lie in batches that wait for more: ask for them to be cut. */
static bool has_tickets(struct belt_source_stage *s, uint32_t count)
{
    struct belt_engine_run *run = s->stage.run;
    bool enough = belt_ledger_room(&s->ledger) >= (count + 63) / 64;
    if (!enough)
        belt_count(&s->stage.stats.ledger_full, 1);
    if (enough == s->starved) {
        s->starved = !enough;
        belt_run_press(run, !enough);
        if (belt_wants(&s->stage, BELT_WANT(PRESSURE_START) | BELT_WANT(PRESSURE_STOP)))
            belt_tell_pressure(s);
    }
    return enough;
}

static void publish(struct belt_source_stage *s, struct belt_feed *feed,
                    const struct belt_fill *fill, uint32_t count)
{
    struct belt_input_frame *frame = feed->claimed;
    frame->count = count;
    frame->flags = (fill->last_of_chunk ? BELT_LAST_OF_CHUNK : 0) |
                   (fill->last_of_slab ? BELT_LAST_OF_SLAB : 0);
    frame->chunk = fill->chunk;
    frame->word = (uint64_t)s->stage.index << 48 | belt_ledger_issue(&s->ledger, count);
    frame->base = (uint64_t)(fill->base - (const char *)s->stage.run->region.base);
    frame->slab = fill->slab;
    frame->file = fill->file;
    frame->source = (uint32_t)(s->spec - s->stage.run->spec->sources);
    frame->place = fill->place;
    memcpy(frame->failed, fill->failed, sizeof frame->failed);
    frame->failed_reason = fill->failed_reason;
    s->slab_frames[fill->slab]++;
    s->on_way += count;
    belt_feed_publish(feed);
    if (feed->untold >= TELL_FRAMES || s->stage.lane->now - feed->told_at > TELL_AFTER)
        belt_feed_tell(feed, s->stage.lane->now);
    if (s->stage.lane->now >= s->stamps.due)
        belt_latency_read(s, s->ledger.next, belt_tell_now(&s->stage));
    if (fill->last_of_chunk)
        s->feed = (s->feed + 1) % s->feeds_active;
    uint64_t bytes = 0;
    if (count)
        bytes = (uint64_t)frame->spans[count - 1].at + frame->spans[count - 1].size -
                frame->spans[0].at;
    belt_count(&s->stage.stats.messages, count);
    belt_count(&s->stage.stats.bytes, bytes);
    belt_count(&s->stage.stats.frames, 1);
    if (belt_wants(&s->stage, BELT_WANT(SOURCE_FILL)))
        belt_tell_fill(s, count, bytes, fill->chunk);
}

static void finish(struct belt_source_stage *s)
{
    s->finished = true;
    if (s->stopping && (!s->spec->endless || belt_run_failed_too_often(s->stage.run)))
        belt_store_release32(&s->stage.run->incomplete, 1);
    for (uint32_t f = 0; f < s->feeds_used; f++)
        belt_close(&s->feeds[f].tx);
    belt_run_wake(s->stage.run); /* those that sleep without messages, too */
}

/* The end is reached when all that was read is settled: only then is there
 * nothing that could still fail. */
static enum belt_turn rest(struct belt_source_stage *s)
{
    return s->ledger.low == s->ledger.next ? BELT_TURN_ENDED : BELT_TURN_IN;
}

/* Messages that the next frame may have: 0 when enough are on their way. */
static uint32_t demand(const struct belt_source_stage *s)
{
    uint64_t most = s->spec->max_demand;
    if (!most)
        return BELT_FRAME;
    most = s->on_way < most ? most - s->on_way : 0;
    return most < BELT_FRAME ? (uint32_t)most : BELT_FRAME;
}

static int too_many(const struct belt_source_stage *s, int count, uint32_t most,
                    struct belt_error *err)
{
    belt_error_set(err, -EPROTO, "%s: %s gave %d records where at most %u were asked for",
                   s->stage.name, s->spec->use.part->name, count, most);
    return BELT_FILL_ERROR;
}

/* Asks the part for up to `most` messages, or as many as the rate lets through. */
static int fill_frame(struct belt_source_stage *s, struct belt_fill *fill, uint64_t now,
                      struct belt_error *err)
{
    uint32_t most = fill->most;
    s->due = UINT64_MAX;
    fill->ticket = s->ledger.next * 64;
    bool limited = belt_load_relaxed(&s->rate->messages) != 0;
    bool held_back = limited && !(fill->most = belt_rate_take(s->rate, most, now, &s->due));
    if (belt_wants(&s->stage, BELT_WANT_RATE))
        belt_tell_rate(s, held_back);
    if (held_back && !s->stopping)
        return BELT_FILL_IDLE;
    int count = s->part->fill(s->state, fill, err);
    if (count > (int)fill->most)
        count = too_many(s, count, fill->most, err);
    if (limited)
        belt_rate_give_back(s->rate, count > 0 ? fill->most - (uint32_t)count : fill->most);
    return count;
}

/* A stop goes through a pause. */
static bool is_paused(const struct belt_source_stage *s)
{
    return belt_load_relaxed32(&s->stage.run->barrier.paused) && !s->stopping;
}

static enum belt_turn fill_turn(struct belt_stage *stage, uint64_t now, struct belt_error *err)
{
    struct belt_source_stage *s = source_of(stage);
    recycle(s);
    settle_window(s);
    if (s->finished)
        return rest(s);
    if (belt_run_stopping(stage->run) && !s->stopping) {
        s->stopping = true;
        if (s->broken)
            finish(s);
        else if (s->part->stop)
            s->part->stop(s->state);
    }
    if (s->broken)
        return s->finished ? BELT_TURN_BUSY : belt_source_restart(s, now, err);
    if (is_paused(s)) {
        s->due = UINT64_MAX;
        return BELT_TURN_IN;
    }
    struct belt_feed *feed = &s->feeds[s->feed];
    uint32_t most = demand(s);
    if (!most || !has_tickets(s, most) || !belt_feed_claim(feed))
        return BELT_TURN_OUT;
    struct belt_fill fill = { .size = sizeof fill, .spans = feed->claimed->spans, .most = most };
    int count = fill_frame(s, &fill, now, err);
    if (count == BELT_FILL_IDLE)
        return BELT_TURN_IN;
    if (count == BELT_FILL_ERROR && belt_source_may_restart(s, now))
        return BELT_TURN_BUSY;
    if (count == BELT_FILL_ERROR)
        belt_run_stop_failed(stage->run, err); /* what was read before is still worked off */
    if (count == BELT_FILL_ERROR || count == BELT_FILL_END)
        finish(s);
    else
        publish(s, feed, &fill, (uint32_t)count);
    return BELT_TURN_BUSY;
}

/* Workers that sleep are told of several frames at once, and of all before we wait. */
static enum belt_turn source_turn(struct belt_stage *stage, uint64_t now, struct belt_error *err)
{
    struct belt_source_stage *s = source_of(stage);
    enum belt_turn outcome = fill_turn(stage, now, err);
    for (uint32_t f = 0; outcome != BELT_TURN_BUSY && f < s->feeds_used; f++)
        belt_feed_tell(&s->feeds[f], now);
    return outcome;
}

static uint64_t source_deadline(const struct belt_stage *stage)
{
    const struct belt_source_stage *s = (const struct belt_source_stage *)(const void *)stage;
    return s->finished ? UINT64_MAX : s->due;
}

/* All that it gave is released, or, where batches are flushed, settled. */
static bool source_quiet(const struct belt_stage *stage)
{
    const struct belt_source_stage *s = (const struct belt_source_stage *)(const void *)stage;
    /* What steps hold, or what is to be tried again, is settled in its own time. */
    bool stores = stage->run->holds || stage->run->spec->retry.attempts > 1;
    if (belt_load_relaxed32(&stage->run->pressure) && !stores)
        return s->ledger.low == s->ledger.next;
    return (is_paused(s) || s->finished) && !s->on_way;
}

const struct belt_stage_kind belt_source_kind = {
    .name = "source",
    .init = source_init,
    .turn = source_turn,
    .fini = source_fini,
    .deadline = source_deadline,
    .quiet = source_quiet,
    .fd = source_fd,
};
