/* Batches as a sink sees them: the rows of messages that go together. All calls
 * here are for the lane thread of the sink that was handed the batch. */
#ifndef BELT_BATCH_H
#define BELT_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"
#include "view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Messages of one key (and one partition), formatted, contiguous, in order. Lent to
 * the sink until done. Append-only: check `size` before touching a later field. */
struct belt_batch {
    uint32_t size;     /* sizeof(struct belt_batch) */
    uint32_t count;    /* messages */
    const char *bytes; /* all rows, one after another */
    uint64_t bytes_size;
    const struct belt_span *spans; /* [count]: each row in `bytes` */
    const char *key;               /* batch key, not ended by 0; "" without one */
    uint32_t key_size;
    uint32_t trigger;    /* enum belt_trigger: why it was cut */
    void *user;          /* the sink's own, until belt_batch_done() */
    const char *batcher; /* the batcher's name */
    uint32_t partition;  /* of `partition_by`; BELT_NO_PARTITION without one */
    uint32_t attempt;    /* 1 at first, 2 when it is handed over again, ... */
};

#define BELT_NO_PARTITION UINT32_MAX

enum belt_trigger {
    BELT_TRIGGER_SIZE,
    BELT_TRIGGER_BYTES,
    BELT_TRIGGER_TIMEOUT,
    BELT_TRIGGER_END,      /* of the input */
    BELT_TRIGGER_PRESSURE, /* memory or tickets were wanted */
    BELT_TRIGGER_FLUSH,    /* a step flushed one of its messages: belt_flush() */
    BELT_TRIGGER_CUT       /* the sink's own cut() said so */
};

enum { BELT_PENDING = 1 };

/* Ends a batch for which batch() returned BELT_PENDING. code 0: its messages are
 * done, but for those that belt_batch_fail() has named; negative: all fail, with
 * `reason` (copied) unless they have one of their own. */
BELT_API void belt_batch_done(struct belt_batch *batch, int code, const char *reason);
/* Message i of the batch fails, the others do not; `reason` is copied and cut at
 * BELT_REASON - 1 bytes. Between the call of batch() and the end of the batch; the
 * first reason of a message stays. When the batcher's memory is used up a
 * reason may be lost, never that a message failed. */
BELT_API void belt_batch_fail(struct belt_batch *batch, uint32_t i, const char *reason);
/* Why message i failed; "" if it did not. In belt_sink.failed(). */
BELT_API const char *belt_batch_reason(const struct belt_batch *batch, uint32_t i);

/* Fields of row i of a batch in the format `packed`. `column` counts the format's
 * `columns` from 0; its type is the sink's to know: belt_setup_field() in prepare(). */
static inline int64_t belt_batch_number(const struct belt_batch *batch, uint32_t i, unsigned column)
{
    int64_t number;
    memcpy(&number, batch->bytes + batch->spans[i].at + 8 * (size_t)column, sizeof number);
    return number;
}

static inline double belt_batch_float(const struct belt_batch *batch, uint32_t i, unsigned column)
{
    double number;
    memcpy(&number, batch->bytes + batch->spans[i].at + 8 * (size_t)column, sizeof number);
    return number;
}

/* The 8 bytes of a field. A text's size is their low half; one of up to 4 bytes is all in
 * there, so that two such texts are the same when their cells are. */
static inline uint64_t belt_batch_cell(const struct belt_batch *batch, uint32_t i, unsigned column)
{
    uint64_t cell;
    memcpy(&cell, batch->bytes + batch->spans[i].at + 8 * (size_t)column, sizeof cell);
    return cell;
}

/* Not ended by 0; BELT_PAD bytes may be read around it. */
static inline const char *belt_batch_text(const struct belt_batch *batch, uint32_t i,
                                          unsigned column, uint32_t *size)
{
    uint32_t at;
    const char *row = batch->bytes + batch->spans[i].at, *cell = row + 8 * (size_t)column;
    memcpy(size, cell, sizeof *size);
    memcpy(&at, cell + 4, sizeof at);
    return *size <= 4 ? cell + 4 : row + at; /* short ones lie in the cell */
}

#ifdef __cplusplus
}
#endif
#endif
