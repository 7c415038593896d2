/* The batcher stage: rows into open batches, batches to the sink, tickets of
 * what the sink took to the ledgers. The sink comes first in every turn. */
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/sink_worker_priv.h"
#include "core/telemetry_priv.h"

/* Frames that a turn takes at most. What waits in the edges goes before this lane reads more:
 * it is still in the caches, and a lane that has a batcher reads less than one that has none
 * (docs/decisions/013, G7). */
#define TURN_FRAMES 16

static struct belt_batcher_stage *batcher_of(struct belt_stage *stage)
{
    return (struct belt_batcher_stage *)(void *)stage;
}

/* Beside a worker the sink runs here, too, if it has a rule of its own for cutting. */
static bool has_state(const struct belt_batcher_stage *b)
{
    return !b->worker || b->sink->cut;
}

static int batcher_init(struct belt_stage *stage, struct belt_error *err)
{
    struct belt_batcher_stage *b = batcher_of(stage);
    const struct belt_use *use = &b->spec->sink;
    int rc = stage->run->spec->placement.touch ? belt_batches_touch(b->batches, err) : 0;
    if (rc == 0 && has_state(b) && use->part->init)
        rc = use->part->init(b->state, use->conf, &b->in, err);
    if (rc < 0 || !b->worker)
        return rc;
    rc = belt_sink_worker_start(b->worker, err);
    if (rc < 0 && has_state(b) && use->part->fini)
        use->part->fini(b->state, use->conf);
    return rc;
}

static void batcher_fini(struct belt_stage *stage)
{
    struct belt_batcher_stage *b = batcher_of(stage);
    if (b->worker)
        belt_worker_stop(&b->worker->worker, &stage->run->aborting);
    else if (!stage->ended) {
        struct belt_error ignored; /* the run has failed or was cut off: that is reported */
        if (b->sink->finish && !b->finished)
            b->sink->finish(b->state, false, &ignored);
    }
    if (has_state(b) && b->spec->sink.part->fini)
        b->spec->sink.part->fini(b->state, b->spec->sink.conf);
}

static int batcher_fd(struct belt_stage *stage)
{
    struct belt_batcher_stage *b = batcher_of(stage);
    if (b->worker)
        return b->worker->worker.ending ? -1 : b->worker->worker.pidfd;
    return b->sink->fd ? b->sink->fd(b->state) : -1;
}

static uint64_t batcher_deadline(const struct belt_stage *stage)
{
    const struct belt_batcher_stage *b = (const struct belt_batcher_stage *)(const void *)stage;
    uint64_t first = belt_batches_next_deadline(b->batches);
    uint64_t look = b->worker ? belt_worker_deadline(&b->worker->worker) : b->tick_due;
    return look < first ? look : first;
}

/* ---- batches ---------------------------------------------------------------- */

static void count_batch(struct belt_batcher_stage *b, const struct belt_batch *batch)
{
    struct belt_stats *stats = &b->stage.stats;
    if (batch->attempt > 1) {
        belt_count(&stats->batches_again, 1);
        return;
    }
    uint64_t *const by_trigger[] = {
        [BELT_TRIGGER_SIZE] = &stats->batches_size,
        [BELT_TRIGGER_BYTES] = &stats->batches_bytes,
        [BELT_TRIGGER_TIMEOUT] = &stats->batches_timeout,
        [BELT_TRIGGER_END] = &stats->batches_end,
        [BELT_TRIGGER_PRESSURE] = &stats->batches_pressure,
        [BELT_TRIGGER_FLUSH] = &stats->batches_flush,
        [BELT_TRIGGER_CUT] = &stats->batches_cut,
    };
    belt_count(by_trigger[batch->trigger], 1);
    belt_count(&stats->batches, 1);
    belt_count(&stats->messages, batch->count);
    belt_count(&stats->bytes, batch->bytes_size);
}

/* Read before the sink gets it, and when it is done. */
static void time_batch(struct belt_batcher_stage *b, struct belt_open_batch *open)
{
    struct belt_hist *hists = b->stage.hists;
    open->handed_at = belt_tell_now(&b->stage);
    belt_hist_record(&hists[BELT_HIST_batch_age_ns], open->handed_at - open->first_at);
    belt_hist_record(&hists[BELT_HIST_batch_fill], open->batch.count);
}

static bool hand_over(struct belt_batcher_stage *b, struct belt_open_batch *open)
{
    if (!open)
        return false;
    struct belt_error err = { 0 };
    count_batch(b, &open->batch);
    open->handed_at = 0;
    if (belt_sample_due(&b->sample_due, b->stage.lane->now))
        time_batch(b, open);
    if (belt_wants(&b->stage, BELT_WANT_BATCHES))
        belt_tell_batch(b, open);
    if (b->worker) {
        belt_sink_worker_give(b->worker, BELT_CALL_BATCH, open, 0);
        return true;
    }
    int rc = b->sink->batch(b->state, &open->batch, &err);
    if (rc != BELT_PENDING)
        belt_batch_done(&open->batch, rc, err.text);
    else
        belt_batch_own(open);
    return true;
}

bool belt_batcher_make_room(struct belt_batcher_stage *b)
{
    return hand_over(b, belt_batches_oldest(b->batches));
}

/* What is due for the sink. True when anything moved. */
static bool serve_sink(struct belt_batcher_stage *b, uint64_t now)
{
    b->tick_due = b->sink->tick && !b->worker ? b->sink->tick(b->state, now) : UINT64_MAX;
    bool moved = b->sink->poll && b->sink->poll(b->state) > 0; /* none has both: a worker */
    moved |= belt_refused_move(b);
    while (hand_over(b, belt_batches_retry(b->batches, now)))
        moved = true;
    while (hand_over(b, belt_batches_full(b->batches)))
        moved = true;
    while (hand_over(b, belt_batches_due(b->batches, now)))
        moved = true;
    if (belt_load_relaxed32(&b->stage.run->pressure) && belt_batcher_make_room(b))
        moved = true;
    return moved;
}

void belt_batcher_add(struct belt_batcher_stage *b, const char *row, uint32_t size, uint64_t word,
                      uint64_t bit)
{
    void *user;
    const struct belt_batch *so_far = b->sink->cut ? belt_batches_last(b->batches, &user) : NULL;
    bool last = so_far && b->sink->cut(b->state, user, so_far, row, size);
    belt_batch_add(b->batches, size, word, bit);
    if (last)
        belt_batches_cut_last(b->batches, BELT_TRIGGER_CUT);
}

/* The batches that rows of this frame flush, with all that is in them. */
static void flush_batches(struct belt_batcher_stage *b, const struct belt_row_frame *frame)
{
    if (b->spec->key < 0)
        belt_batches_cut(b->batches, "", 0, 0, BELT_TRIGGER_FLUSH);
    for (uint32_t i = 0; b->spec->key >= 0 && i < frame->count; i++) {
        struct belt_span key = belt_row_key_at(frame, i);
        if (key.size != frame->keys[i].size)
            belt_batches_cut(b->batches, frame->data + key.at, key.size, frame->hashes[i],
                             BELT_TRIGGER_FLUSH);
    }
}

/* ---- rows ------------------------------------------------------------------- */

/* Rows from `row` on that have the key of `row`: they go together, unless the sink
 * wants to see each. */
static uint32_t together(const struct belt_batcher_stage *b, const struct belt_row_frame *frame,
                         uint32_t row)
{
    uint32_t end = row + 1;
    if (b->sink->cut)
        return 1;
    if (b->spec->key < 0)
        return frame->count - row;
    struct belt_span key = frame->keys[row];
    while (end < frame->count && frame->keys[end].at == key.at && frame->keys[end].size == key.size)
        end++;
    return end - row;
}

/* Without a key nobody wrote one. */
static struct belt_span key_at(const struct belt_batcher_stage *b,
                               const struct belt_row_frame *frame, uint32_t row, uint32_t *hash)
{
    *hash = b->spec->key < 0 ? 0 : frame->hashes[row];
    return b->spec->key < 0 ? (struct belt_span){ 0, 0 } : belt_row_key_at(frame, row);
}

/* One row whose neighbours have other keys: three times cheaper alone than through
 * belt_batch_add_many() (10 against 31 ns). False: no room. */
static bool take_one(struct belt_batcher_stage *b, struct belt_row_in *in,
                     struct belt_row_frame *frame, uint64_t now)
{
    uint32_t hash;
    belt_row_list(frame);
    struct belt_span key = key_at(b, frame, in->row, &hash), row = frame->rows[in->row];
    char *room = belt_batch_room(b->batches, frame->data + key.at, key.size, hash, row.size, now);
    if (!room)
        return false;
    while (!frame->runs[in->run].mask)
        in->run++;
    struct belt_run *run = &frame->runs[in->run];
    uint64_t bit = run->mask & -run->mask;
    memcpy(room, frame->data + row.at, row.size);
    belt_batcher_add(b, frame->data + row.at, row.size, run->word, bit);
    run->mask &= ~bit;
    in->row++;
    return true;
}

/* Batches that need no copy; not for sinks, or workers, that keep them for a while. */
static void take_whole(struct belt_batcher_stage *b, struct belt_rows *rows, uint64_t now)
{
    while (hand_over(b, belt_batches_whole(b->batches, rows, now)))
        ;
}

/* The rows from in->row on that have one key. False: no room for all of them. */
static bool take_many(struct belt_batcher_stage *b, struct belt_row_in *in,
                      struct belt_row_frame *frame, uint32_t count, uint64_t now)
{
    uint32_t hash;
    struct belt_span key = key_at(b, frame, in->row, &hash);
    struct belt_rows rows = { .base = frame->data + (size_t)frame->row_size * in->row,
                              .spans = frame->rows + in->row,
                              .count = count,
                              .runs = frame->runs + in->run,
                              .run_count = frame->runs_used - in->run,
                              .row_size = frame->row_size };
    if (b->spec->key < 0 && !b->sink->poll && !b->worker)
        take_whole(b, &rows, now);
    in->row += count - rows.count;
    if (rows.count) {
        belt_row_list(frame);
        rows.base = frame->data;
        rows.spans = frame->rows + in->row;
        in->row +=
            belt_batch_add_many(b->batches, frame->data + key.at, key.size, hash, &rows, now);
    }
    in->run = (uint32_t)(rows.runs - frame->runs);
    return rows.count == 0;
}

/* Moves on rows of the frame; false: no room, and nothing to cut for it. */
static bool take_rows(struct belt_batcher_stage *b, struct belt_row_in *in,
                      struct belt_row_frame *frame, uint64_t now)
{
    while (in->row < frame->count) {
        uint32_t count = together(b, frame, in->row);
        bool all = count == 1 ? take_one(b, in, frame, now) : take_many(b, in, frame, count, now);
        if (!all && !belt_batcher_make_room(b))
            return false;
        while (hand_over(b, belt_batches_full(b->batches)))
            ;
    }
    return true;
}

/* In order: the edge whose head continues the chunk in hand. A chunk that nobody
 * will send any more (a source was stopped) is skipped once every edge shows a
 * later one or has ended. */
static struct belt_row_in *next_ordered(struct belt_batcher_stage *b)
{
    uint64_t lowest = UINT64_MAX;
    struct belt_row_in *best = NULL;
    bool all_seen = true;
    for (uint32_t i = 0; i < b->ins_used; i++) {
        const struct belt_row_frame *frame = belt_row_in_peek(&b->ins[i]);
        if (frame && frame->chunk <= b->chunk)
            return &b->ins[i];
        if (!frame && !belt_rx_ended(&b->ins[i].rx))
            all_seen = false;
        if (frame && frame->chunk < lowest) {
            lowest = frame->chunk;
            best = &b->ins[i];
        }
    }
    if (!all_seen || !best)
        return NULL;
    b->chunk = lowest;
    return best;
}

static struct belt_row_in *next_any(struct belt_batcher_stage *b)
{
    for (uint32_t i = 0; i < b->ins_used; i++) {
        struct belt_row_in *in = &b->ins[(b->turn + i) % b->ins_used];
        /* Results of a later epoch wait until all edges have reached it. */
        if (b->total && in->epoch > b->epoch)
            continue;
        if (belt_row_in_peek(in)) {
            b->turn += i + 1;
            return in;
        }
    }
    return NULL;
}

static bool inputs_ended(struct belt_batcher_stage *b)
{
    for (uint32_t i = 0; i < b->ins_used; i++)
        if (!belt_rx_ended(&b->ins[i].rx))
            return false;
    return true;
}

static enum belt_turn take_frame(struct belt_batcher_stage *b, struct belt_row_in *in, uint64_t now,
                                 struct belt_error *err)
{
    struct belt_row_frame *frame = belt_row_in_peek(in);
    if (b->total && belt_total_full(b, frame))
        return BELT_TURN_BUSY;
    if (!in->row && belt_wants(&b->stage, BELT_WANT_ROWS))
        belt_tell_rows(b, frame->count);
    if (b->total) {
        if (belt_total_take(b, in, frame, err) < 0)
            return BELT_TURN_FAILED;
    } else if (!take_rows(b, in, frame, now)) {
        return BELT_TURN_OUT;
    }
    if (frame->flags & BELT_FLUSHES)
        flush_batches(b, frame);
    if (frame->flags & BELT_LAST_OF_CHUNK)
        b->chunk = frame->chunk + 1;
    belt_count(&b->stage.stats.frames, 1);
    if (belt_wants(&b->stage, BELT_WANT_ROWS))
        belt_tell_rows_end(b, frame->count);
    belt_row_in_release(in);
    return BELT_TURN_BUSY;
}

/* 1: it has, 0: its worker is at it. */
static int finish_sink(struct belt_batcher_stage *b, bool complete, struct belt_error *err)
{
    if (b->worker)
        return belt_sink_worker_finish(b->worker, complete, err);
    b->finished = true;
    int rc = b->sink->finish ? b->sink->finish(b->state, complete, err) : 0;
    return rc < 0 ? rc : 1;
}

/* All rows are in batches: the last ones go, then the sink finishes. */
static enum belt_turn finish(struct belt_batcher_stage *b, struct belt_error *err)
{
    bool moved = false;
    while (hand_over(b, belt_batches_any(b->batches)))
        moved = true;
    if (moved)
        return BELT_TURN_BUSY;
    if (belt_batches_count_open(b->batches) || belt_batches_count_in_flight(b->batches))
        return BELT_TURN_IN;
    bool complete = !belt_load_relaxed32(&b->stage.run->incomplete);
    int rc = finish_sink(b, complete, err);
    if (rc <= 0)
        return rc < 0 ? BELT_TURN_FAILED : BELT_TURN_IN;
    if (b->sends_refused) {
        belt_close(&b->refused.tx);
        belt_lane_wake(b->refused.reader);
    }
    return BELT_TURN_ENDED;
}

static enum belt_turn take_next(struct belt_batcher_stage *b, uint64_t now, struct belt_error *err)
{
    struct belt_row_in *in;
    if (b->emitting)
        return belt_total_emit(b, now, err);
    if ((in = b->spec->ordered ? next_ordered(b) : next_any(b)))
        return take_frame(b, in, now, err);
    if (b->total && belt_total_due(b, inputs_ended(b)))
        return BELT_TURN_BUSY;
    return inputs_ended(b) ? finish(b, err) : BELT_TURN_IN;
}

static enum belt_turn batcher_turn(struct belt_stage *stage, uint64_t now, struct belt_error *err)
{
    struct belt_batcher_stage *b = batcher_of(stage);
    b->now = now;
    int answered = b->worker ? belt_sink_worker_turn(b->worker, now, err) : 0;
    if (answered < 0)
        return BELT_TURN_FAILED;
    bool moved = serve_sink(b, now) || answered;
    if (b->sink_error.code) {
        *err = b->sink_error;
        return BELT_TURN_FAILED;
    }
    enum belt_turn outcome;
    uint32_t taken = 0;
    while ((outcome = take_next(b, now, err)) == BELT_TURN_BUSY && !b->sink_error.code &&
           ++taken < TURN_FRAMES)
        moved = true;
    bool waits = outcome == BELT_TURN_IN || outcome == BELT_TURN_OUT;
    return moved && waits ? BELT_TURN_BUSY : outcome;
}

/* Under pressure open batches are to go. */
static bool batcher_quiet(const struct belt_stage *stage)
{
    const struct belt_batcher_stage *b = (const struct belt_batcher_stage *)(const void *)stage;
    bool empty = !belt_batches_count_open(b->batches) && !belt_batches_count_in_flight(b->batches);
    for (uint32_t i = 0; empty && i < b->ins_used; i++)
        empty = !belt_row_in_peek(&b->ins[i]);
    return stage->last == BELT_TURN_IN && (empty || !belt_load_relaxed32(&stage->run->pressure));
}

const struct belt_stage_kind belt_batcher_kind = {
    .name = "batcher",
    .init = batcher_init,
    .turn = batcher_turn,
    .fini = batcher_fini,
    .deadline = batcher_deadline,
    .quiet = batcher_quiet,
    .fd = batcher_fd,
};
