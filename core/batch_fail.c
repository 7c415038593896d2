/* Batches that failed, whole or in part: which of their messages, and why. */
#include <string.h>

#include "core/batch_state_priv.h"

#define MOST_REASONS 65534u /* an index has 16 bits, 0 means none */
#define NO_MEMORY "failed; its reason found no room in the batcher's memory"

/* ---- reasons ---------------------------------------------------------------- */

static bool has_last_reason(const struct belt_open_batch *open)
{
    const struct belt_batches *home = open->home;
    return open->reasons >= home->last_reasons &&
           open->reasons < home->last_reasons + BELT_LAST_REASONS;
}

static void *take_last_reason(struct belt_batches *home)
{
    if (home->last_reasons_used == UINT32_MAX)
        return NULL;
    int at = __builtin_ctz(~home->last_reasons_used);
    home->last_reasons_used |= 1u << at;
    return home->last_reasons[at];
}

static void give_reasons(struct belt_open_batch *open)
{
    struct belt_batches *home = open->home;
    if (has_last_reason(open))
        home->last_reasons_used &= ~(1u << (open->reasons - home->last_reasons));
    else if (open->reasons)
        belt_buddy_give(&home->buddy, open->reasons);
    open->reasons = NULL;
}

/* Room for one more; false: there is none. */
static bool grow_reasons(struct belt_open_batch *open)
{
    uint32_t used = open->reasons_used;
    uint64_t room = BELT_REASON, size = (uint64_t)used * BELT_REASON;
    /* `fixed`: it goes back by give_reasons(). */
    void *block = belt_batches_grow(open->home, open->reasons, open->reasons, size,
                                    used ? 2 * size : BELT_REASON, &room);
    if (!block && !used)
        block = take_last_reason(open->home);
    if (!block)
        return false;
    give_reasons(open);
    open->reasons = block;
    open->room_reasons = (uint32_t)(room / BELT_REASON);
    return true;
}

/* 1 + its index; 0: no room for it. Failures of one cause come in rows: one text. */
static uint16_t keep_reason(struct belt_open_batch *open, const char *reason)
{
    uint32_t used = open->reasons_used;
    if (used && strncmp(open->reasons[used - 1], reason, BELT_REASON - 1) == 0)
        return (uint16_t)used;
    if (used == MOST_REASONS || (used == open->room_reasons && !grow_reasons(open)))
        return 0;
    size_t length = strnlen(reason, BELT_REASON - 1);
    memcpy(open->reasons[used], reason, length);
    open->reasons[used][length] = 0;
    return (uint16_t)++open->reasons_used;
}

void belt_batch_forget_reasons(struct belt_open_batch *open)
{
    give_reasons(open);
    open->marks = NULL;
    open->reasons_used = open->room_reasons = open->failed_count = 0;
}

/* ---- failing ---------------------------------------------------------------- */

/* A mark without a reason: its text found no room. */
#define MARK_ALONE UINT16_MAX

static void make_marks(struct belt_open_batch *open)
{
    if (open->marks)
        return;
    open->marks = (uint16_t *)(void *)(open->spans + open->room_spans);
    memset(open->marks, 0, open->batch.count * sizeof *open->marks);
}

void belt_batch_fail_rest(struct belt_open_batch *open, const char *reason)
{
    uint16_t kept = keep_reason(open, reason);
    for (uint32_t i = 0; open->marks && i < open->batch.count; i++)
        if (!open->marks[i])
            open->marks[i] = kept ? kept : MARK_ALONE;
    open->failed_count = open->batch.count;
}

void belt_batch_fail(struct belt_batch *batch, uint32_t i, const char *reason)
{
    struct belt_open_batch *open = belt_open_batch_of(batch);
    if (i >= batch->count || open->failed_count == batch->count)
        return;
    if (open->tell) {
        open->tell(open, i, reason);
        return;
    }
    make_marks(open);
    if (open->marks[i])
        return;
    uint16_t kept = keep_reason(open, reason);
    open->marks[i] = kept ? kept : MARK_ALONE;
    open->failed_count++;
}

const char *belt_batch_reason(const struct belt_batch *batch, uint32_t i)
{
    const struct belt_open_batch *open = (const struct belt_open_batch *)(const void *)batch;
    uint32_t mark = open->marks ? open->marks[i] : open->failed_count ? open->reasons_used : 0;
    if (i >= batch->count || (!mark && !open->failed_count) || (open->marks && !mark))
        return "";
    return mark && mark <= open->reasons_used ? open->reasons[mark - 1] : NO_MEMORY;
}

/* ---- what is left of a batch ------------------------------------------------ */

static bool has_failed(const struct belt_open_batch *open, uint32_t i)
{
    return !open->marks || open->marks[i];
}

static void settle_others(struct belt_open_batch *open, belt_settle_fn *settle, void *ctx)
{
    uint32_t i = 0, kept = 0;
    for (uint32_t r = 0; r < open->run_count; r++) {
        struct belt_run run = open->runs[r];
        uint64_t done = 0;
        for (uint64_t rest = run.mask; rest; rest &= rest - 1, i++)
            if (!has_failed(open, i))
                done |= rest & -rest;
        if (done)
            settle(ctx, run.word, done);
        if (run.mask & ~done)
            open->runs[kept++] = (struct belt_run){ run.word, run.mask & ~done };
    }
    open->run_count = kept;
}

void belt_batch_keep_failed(struct belt_open_batch *open, belt_settle_fn *settle, void *ctx)
{
    struct belt_batch *batch = &open->batch;
    uint32_t kept = 0;
    uint64_t bytes = 0;
    if (open->failed_count == batch->count)
        return;
    settle_others(open, settle, ctx);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct belt_span row = open->spans[i];
        if (!has_failed(open, i))
            continue;
        memmove(open->bytes + bytes, open->bytes + row.at, row.size);
        open->spans[kept] = (struct belt_span){ (uint32_t)bytes, row.size };
        open->marks[kept++] = open->marks[i];
        bytes += row.size;
    }
    batch->count = kept;
    batch->bytes_size = bytes;
}

struct belt_run belt_batch_take_ticket(struct belt_open_batch *open)
{
    for (; open->taken < open->run_count; open->taken++) {
        struct belt_run *run = &open->runs[open->taken];
        uint64_t bit = run->mask & -run->mask;
        run->mask &= ~bit;
        if (bit)
            return (struct belt_run){ run->word, bit };
    }
    return (struct belt_run){ 0, 0 };
}

void belt_batch_once_more(struct belt_open_batch *open)
{
    belt_batch_forget_reasons(open);
    open->batch.attempt++;
}

/* ---- where it goes ---------------------------------------------------------- */

void belt_batches_again(struct belt_batches *batches, struct belt_open_batch *open, uint64_t due)
{
    belt_batch_forget_reasons(open);
    open->due = due;
    belt_batches_move(batches, open, BELT_BATCH_RETRY);
}

void belt_batches_give_up(struct belt_batches *batches, struct belt_open_batch *open)
{
    belt_batches_move(batches, open, BELT_BATCH_FAILED);
    belt_batches_unblock(batches, open);
}

struct belt_open_batch *belt_batches_failed(const struct belt_batches *batches)
{
    return batches->lists[BELT_BATCH_FAILED].first;
}
