/* The end of a batch: what the sink took is settled; what it refused is handed over
 * again, later, or goes to `failed` row by row. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/hash_priv.h"
#include "core/sink_worker_priv.h"
#include "core/telemetry_priv.h"

/* ---- settling --------------------------------------------------------------- */

static void settle_run(void *ctx, uint64_t word, uint64_t mask)
{
    struct belt_batcher_stage *b = ctx;
    /* What comes through `failed` has failed, whatever its sink says. */
    if (b->failed)
        belt_run_settle_failed(b->stage.run, word, mask);
    else
        belt_run_settle(b->stage.run, word, mask);
}

static void settle_batch(struct belt_batcher_stage *b, struct belt_open_batch *open, bool failed)
{
    for (uint32_t r = 0; r < open->run_count; r++) {
        const struct belt_run *run = &open->runs[r];
        if (run->mask && failed)
            belt_run_settle_failed(b->stage.run, run->word, run->mask);
        else if (run->mask)
            settle_run(b, run->word, run->mask);
    }
    belt_batches_give_back(b->batches, open);
}

static void wake_sources(struct belt_batcher_stage *b)
{
    struct belt_engine_run *run = b->stage.run;
    for (uint32_t s = 0; s < run->sources_used; s++)
        if (run->sources[s].stage.lane != b->stage.lane)
            belt_lane_wake(run->sources[s].stage.lane);
}

/* ---- refusals --------------------------------------------------------------- */

static void try_again(struct belt_batcher_stage *b, struct belt_open_batch *open)
{
    const struct belt_retry_conf *retry = &b->spec->retry;
    uint64_t wait = retry->backoff;
    for (uint32_t a = 1; a < open->batch.attempt && wait < retry->backoff_max; a++)
        wait *= 2;
    if (wait > retry->backoff_max)
        wait = retry->backoff_max;
    belt_batches_again(b->batches, open, b->now + wait);
}

/* Rows are in the order of their tickets, low bits first. */
static void tell_reasons(struct belt_batcher_stage *b, const struct belt_open_batch *open)
{
    uint32_t i = 0;
    for (uint32_t r = 0; b->stage.run->wants_reasons && r < open->run_count; r++)
        for (uint64_t rest = open->runs[r].mask; rest; rest &= rest - 1, i++) {
            struct belt_ticket ticket = { open->runs[r].word, rest & -rest };
            belt_acks_reason(b->stage.run, ticket, belt_batch_reason(&open->batch, i));
        }
}

void belt_refused_gone(struct belt_batcher_stage *b, struct belt_open_batch *open)
{
    if (b->sends_refused && !b->sink_error.code)
        belt_batches_give_up(b->batches, open);
    else
        settle_batch(b, open, true);
}

static void call_failed(struct belt_batcher_stage *b, struct belt_batch *batch, int code,
                        const char *reason)
{
    bool told = belt_wants(&b->stage, BELT_WANT_FAILED);
    uint64_t began = told ? belt_tell_handle_failed(&b->stage, batch->count) : 0;
    b->sink->failed(b->state, batch, code, reason);
    if (told)
        belt_tell_handle_failed_end(&b->stage, batch->count, began);
}

static void give_up(struct belt_batcher_stage *b, struct belt_open_batch *open, int code)
{
    struct belt_batch *batch = &open->batch;
    const char *reason = belt_batch_reason(batch, 0);
    belt_count(&b->stage.stats.failed, batch->count);
    tell_reasons(b, open);
    if (!b->failed)
        belt_run_count_failed(b->stage.run, batch->count);
    if (!b->failures++)
        snprintf(b->failure.reason, sizeof b->failure.reason, "%s", reason);
    if (b->sink->failed && b->worker) {
        belt_sink_worker_give(b->worker, BELT_CALL_FAILED, open, code);
        return;
    }
    if (b->sink->failed)
        call_failed(b, batch, code, reason);
    belt_refused_gone(b, open);
}

static void refused(struct belt_batcher_stage *b, struct belt_open_batch *open, int code)
{
    belt_batch_own(open);
    belt_batch_keep_failed(open, settle_run, b);
    bool again = open->batch.attempt < b->spec->retry.attempts && !open->final;
    /* Nobody reads what we write, or nobody is left to take failed messages: going
     * on would only fail the rest. */
    if (code == -EPIPE || (b->failed && !again))
        belt_error_set(&b->sink_error, code ? code : -EIO, "%s: %s", b->spec->path,
                       belt_batch_reason(&open->batch, 0));
    if (again && !b->sink_error.code)
        try_again(b, open);
    else
        give_up(b, open, code);
}

static const char *first_reason(const struct belt_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (*belt_batch_reason(batch, i))
            return belt_batch_reason(batch, i);
    return "";
}

void belt_batch_done(struct belt_batch *batch, int code, const char *reason)
{
    struct belt_open_batch *open = belt_open_batch_of(batch);
    struct belt_batcher_stage *b = open->owner;
    if (code < 0)
        belt_batch_fail_rest(open, reason ? reason : "the sink gave no reason");
    if (open->handed_at)
        belt_hist_record(&b->stage.hists[BELT_HIST_batch_ns],
                         belt_tell_now(&b->stage) - open->handed_at);
    if (belt_wants(&b->stage, BELT_WANT(BATCH_STOP)))
        belt_tell_batch_end(b, open, b->failed ? batch->count : open->failed_count,
                            first_reason(batch));
    if (open->failed_count)
        refused(b, open, code);
    else
        settle_batch(b, open, false);
    wake_sources(b);
}

/* ---- rows on their way to `failed` ------------------------------------------ */

struct refused_row {
    struct belt_column columns[BELT_FAILED_COLUMNS];
    struct belt_span payload, reason, batcher, file;
    int64_t place, attempts;
    uint64_t live;
    struct belt_view view;
};

/* The payload is the row without what ends it. */
static void make_row(struct refused_row *row, const struct belt_batcher_stage *b,
                     const struct belt_open_batch *open, uint32_t i)
{
    const struct belt_format *format =
        (const struct belt_format *)(const void *)b->spec->format.part;
    struct belt_span payload = open->spans[i];
    const struct belt_batch *batch = &open->batch;
    const char *reason = belt_batch_reason(batch, i);
    *row = (struct refused_row){ .payload = { payload.at, payload.size - format->end_size },
                                 .reason = { 0, (uint32_t)strlen(reason) },
                                 .batcher = { 0, (uint32_t)strlen(batch->batcher) },
                                 .place = -1, /* a row does not know where it came from */
                                 .attempts = batch->attempt,
                                 .live = 1 };
    const struct belt_column columns[BELT_FAILED_COLUMNS] = {
        [BELT_FAILED_PAYLOAD] = { open->bytes, { .spans = &row->payload } },
        [BELT_FAILED_REASON] = { reason, { .spans = &row->reason } },
        [BELT_FAILED_FILE] = { "", { .spans = &row->file } },
        [BELT_FAILED_PLACE] = { NULL, { .numbers = &row->place } },
        [BELT_FAILED_ATTEMPTS] = { NULL, { .numbers = &row->attempts } },
        [BELT_FAILED_BATCHER] = { batch->batcher, { .spans = &row->batcher } },
    };
    memcpy(row->columns, columns, sizeof columns);
    row->view = (struct belt_view){ .size = sizeof row->view,
                                    .end = 1,
                                    .columns_used = BELT_FAILED_COLUMNS,
                                    .live = &row->live,
                                    .columns = row->columns };
}

/* False: no room now. A row that never fits is settled as failed and that is all. */
static bool move_row(struct belt_batcher_stage *b, struct belt_open_batch *open, uint32_t i)
{
    const struct belt_batcher_spec *to = &b->stage.run->spec->batchers[b->stage.run->spec->failed];
    const struct belt_format *format = (const struct belt_format *)(const void *)to->format.part;
    struct refused_row row;
    make_row(&row, b, open, i);
    uint32_t key_size = 0;
    const char *key = to->key >= 0 ? belt_text(&row.view, to->key, 0, &key_size) : "";
    size_t bound = format->bound(to->format.conf, &row.view, 0);
    bool fits = bound + key_size <= b->refused.capacity;
    struct belt_row_frame *frame =
        fits ? belt_row_out_room(&b->refused, (uint32_t)bound, key_size) : NULL;
    if (fits && !frame)
        return false;
    struct belt_run ticket = belt_batch_take_ticket(open);
    if (!ticket.mask) /* of an aggregate */
        ticket = (struct belt_run){ (uint64_t)BELT_RUN_NOBODY << 48, 1 };
    if (!fits) {
        belt_run_settle_failed(b->stage.run, ticket.word, ticket.mask);
        return true;
    }
    size_t size = format->row(to->format.conf, &row.view, 0, frame->data + frame->bytes);
    belt_row_key(frame, b->refused.capacity, key, key_size,
                 to->key >= 0 ? belt_hash(key, key_size) : 0);
    belt_row_add(frame, (uint32_t)size, ticket.word, ticket.mask);
    return true;
}

bool belt_refused_move(struct belt_batcher_stage *b)
{
    struct belt_open_batch *open = belt_batches_failed(b->batches);
    bool moved = false;
    if (!open)
        return false;
    for (; open; open = belt_batches_failed(b->batches)) {
        for (; open->moved < open->batch.count; open->moved++, moved = true)
            if (!move_row(b, open, open->moved))
                return moved;
        belt_batches_give_back(b->batches, open);
        moved = true;
    }
    belt_row_out_flush(&b->refused, 0, 0, 0);
    wake_sources(b);
    return moved;
}
