/* Telemetry inside: who wants what, the records in the lanes' rings, and what the
 * stages call. Lanes write, the pipeline's telemetry thread reads.
 *
 * A stage asks belt_wants() (a bit test of its lane's own word) before it calls one
 * of the belt_tell functions; a lane renews that word once a turn. */
#ifndef BELT_TELEMETRY_PRIV_H
#define BELT_TELEMETRY_PRIV_H

#include "core/run_priv.h"
#include "core/telemetry.h"

#define BELT_EVENT_TEXT 100
#define BELT_WANT(kind) (UINT64_C(1) << BELT_EVENT_##kind)
#define BELT_WANT_MESSAGES                                                                         \
    (BELT_WANT(MESSAGE_START) | BELT_WANT(MESSAGE_STOP) | BELT_WANT(MESSAGE_EXCEPTION))
#define BELT_WANT_FRAMES (BELT_WANT(PROCESSOR_START) | BELT_WANT(PROCESSOR_STOP))
#define BELT_WANT_ROWS (BELT_WANT(BATCHER_START) | BELT_WANT(BATCHER_STOP))
#define BELT_WANT_BATCHES (BELT_WANT(BATCH_START) | BELT_WANT(BATCH_STOP))
#define BELT_WANT_RATE (BELT_WANT(RATE_START) | BELT_WANT(RATE_STOP))
#define BELT_WANT_OVERFLOW (BELT_WANT(OVERFLOW_START) | BELT_WANT(OVERFLOW_STOP))
#define BELT_WANT_FAILED (BELT_WANT(FAILED_START) | BELT_WANT(FAILED_STOP))
#define BELT_WANT_WAITS (BELT_WANT(WAIT_START) | BELT_WANT(WAIT_STOP))

static_assert(BELT_EVENTS <= 64, "a bit each");

/* What lies in the rings. */
struct belt_event_record {
    uint64_t time, span;
    const struct belt_stage *stage; /* NULL: the whole */
    uint64_t values[BELT_EVENT_VALUES];
    uint32_t kind;
    char text[BELT_EVENT_TEXT + 8];
};

/* A lane's ring. */
struct belt_events {
    struct belt_tx tx;                                      /* the lane's */
    uint64_t lost;                                          /* the lane's; read by anybody */
    struct belt_rx rx __attribute__((aligned(BELT_LINES))); /* the telemetry thread's */
};

struct belt_telemetry;

/* ---- telemetry.c: the pipeline's side --------------------------------------------- */

/* The run is made: rings, if somebody is attached. Before its lanes begin. */
int belt_telemetry_begin(struct belt_pipeline *p, struct belt_error *err);
/* The lanes are about to begin: a note for who delivers; it calls no handler. */
void belt_telemetry_began(struct belt_pipeline *p);
/* The lanes have ended: what is in the rings is told, and the thread ends. */
void belt_telemetry_end(struct belt_pipeline *p);
/* What handlers see as the application's pointer: when this returns, none has the old one. */
void belt_telemetry_context(struct belt_pipeline *p);
/* Without a thread: what is in the rings is told. */
void belt_telemetry_deliver(struct belt_pipeline *p);
void belt_telemetry_free(struct belt_pipeline *p);

/* ---- telemetry_emit.c: the lanes' side -------------------------------------------- */

static inline bool belt_wants(const struct belt_stage *stage, uint64_t kinds)
{
    return __builtin_expect((stage->lane->wanted & kinds) != 0, 0);
}

/* Somebody wants something: the lane finds its ring. */
void belt_telemetry_turn(struct belt_lane *lane);

/* At the beginning of each turn of a lane. */
static inline void belt_telemetry_look(struct belt_lane *lane, uint64_t now)
{
    lane->now = now;
    /* Relaxed: a turn later is early enough; the ring is acquired by its own pointer. */
    lane->wanted = belt_load_relaxed(&lane->run->wanted);
    if (__builtin_expect(lane->wanted != 0, 0))
        belt_telemetry_turn(lane);
}

/* One record: the values are as many as the event has fields. Lost when the ring is full. */
void belt_tell(const struct belt_stage *stage, enum belt_event_kind kind, const uint64_t *values,
               const char *text, size_t text_size);
/* `now` on the stage's clock: the real one, or the caller's. */
uint64_t belt_tell_now(const struct belt_stage *stage);

void belt_tell_fill(struct belt_source_stage *s, uint32_t count, uint64_t bytes, uint64_t chunk);
void belt_tell_pressure(struct belt_source_stage *s);
/* Its rate lets nothing through now, or something again. */
void belt_tell_rate(struct belt_source_stage *s, bool held_back);
/* A frame in hand begins, and has gone on. */
void belt_tell_frame(struct belt_chain_stage *chain);
void belt_tell_frame_end(struct belt_chain_stage *chain);
/* The first message of a segment alone; what is left of it goes back to chain->segments. */
struct belt_segment belt_tell_cut(struct belt_chain_stage *chain, struct belt_segment segment);
/* It has been through the steps. */
void belt_tell_message(struct belt_chain_stage *chain, struct belt_segment segment);
/* Those of [first, end) that failed in a worker. */
void belt_tell_failed(struct belt_chain_stage *chain, uint32_t first, uint32_t end);
void belt_tell_restart(struct belt_stage *stage, const struct belt_worker *worker);
/* Rows began or ceased to wait beside an edge to this batcher, maybe. */
void belt_tell_overflow(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                        struct belt_overflow *over);
void belt_tell_discard(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                       uint64_t count);
/* Callbacks hear of `count` failed messages from now on; the time, for the end. */
uint64_t belt_tell_handle_failed(struct belt_stage *stage, uint64_t count);
void belt_tell_handle_failed_end(struct belt_stage *stage, uint64_t count, uint64_t began);
/* It was in a worker, and is over. */
void belt_tell_handle_failed_apart(struct belt_stage *stage, uint64_t count, uint64_t ns);
void belt_tell_rows(struct belt_batcher_stage *b, uint32_t count);
void belt_tell_rows_end(struct belt_batcher_stage *b, uint32_t count);
void belt_tell_batch(struct belt_batcher_stage *b, struct belt_open_batch *open);
void belt_tell_batch_end(struct belt_batcher_stage *b, const struct belt_open_batch *open,
                         uint32_t failed, const char *reason);
/* Stages of the lane that began or ceased to wait in this turn. */
void belt_tell_waits(struct belt_lane *lane);

#endif
