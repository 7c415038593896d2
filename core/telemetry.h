/* Telemetry: what happens in a pipeline, told to handlers. Lanes write records of
 * fixed size into rings of their own and never wait; one thread of the pipeline
 * reads them and calls the handlers (with belt_pipeline_turn: the caller's, at the
 * end of each turn). A full ring loses what comes next, which is counted and told
 * as `beltway.telemetry.lost`. With nothing attached a lane looks at one flag a turn.
 *
 * Names, fields and texts: docs/telemetry.md, from core/telemetry.def. Events of one
 * stage come in order; of several lanes they are mixed, and `time_ns` tells.
 *
 *     static void slow(const struct belt_event *event, void *arg)
 *     {
 *         if (belt_event_value(event, BELT_FIELD_DURATION) > 1000000)
 *             fprintf(arg, "%s.%u took long\n", event->stage, event->index);
 *     }
 *     belt_telemetry_attach(p, "beltway.processor.stop", slow, stderr, &err);
 */
#ifndef BELT_TELEMETRY_H
#define BELT_TELEMETRY_H

#include <stdint.h>

#include "error.h"
#include "histogram.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_EVENT_VALUES 7
#define BELT_HANDLERS 32 /* most of one pipeline */

enum belt_event_field {
    BELT_FIELD_NONE,
#define BELT_FIELD(id, name, unit, help) BELT_FIELD_##id,
#define BELT_EVENT(...)
#include "telemetry.def"
#undef BELT_FIELD
#undef BELT_EVENT
    BELT_FIELDS
};

enum belt_event_kind {
#define BELT_FIELD(...)
#define BELT_EVENT(id, ...) BELT_EVENT_##id,
#include "telemetry.def"
#undef BELT_FIELD
#undef BELT_EVENT
    BELT_EVENTS
};

/* Lent to the handler until it returns. */
struct belt_event {
    uint32_t size; /* sizeof(struct belt_event) */
    enum belt_event_kind kind;
    const char *name;     /* "beltway.processor.stop" */
    const char *pipeline; /* its setting `name` */
    const char *stage;    /* "source", "processor", "batchers.totals"; "" for the whole */
    uint32_t index;       /* of the stage's instances */
    uint32_t lane;
    uint64_t time_ns;       /* CLOCK_MONOTONIC; with belt_pipeline_turn the caller's clock */
    uint64_t span;          /* the same in start and stop of one thing, within one stage */
    const uint64_t *values; /* of belt_event_fields(kind), in their order */
    const char *text;       /* ended by 0, cut after 99 bytes; "" when there is none */
    void *context;          /* belt_pipeline_context(), as it is when the handler is called */
};

struct belt_pipeline;
typedef void belt_telemetry_fn(const struct belt_event *event, void *arg);

/* Events whose name is `prefix` or begins with it and a dot ("beltway" or "": all)
 * go to `fn` from now on. `beltway.processor.message` only when the prefix names it
 * so far: messages then go through the steps one at a time. Before the start or
 * while it runs; control thread, or in a handler. The handler's id, or -EINVAL (no
 * event is named so), -ENOSPC (BELT_HANDLERS), -ENOMEM. `prefix` is copied.
 *
 * Handlers are called one at a time; one that is slow costs events, not messages.
 * All but `beltway.topology` come from the telemetry thread; those from the control
 * thread, before all others and after them. They may attach, detach, and call what
 * any thread may; not wait, turn or free. */
BELT_API int belt_telemetry_attach(struct belt_pipeline *p, const char *prefix,
                                   belt_telemetry_fn *fn, void *arg, struct belt_error *err);
/* After it has returned the handler is not called again. 0, -ENOENT: no such id.
 * Control thread, or in a handler. */
BELT_API int belt_telemetry_detach(struct belt_pipeline *p, int id);
/* Events lost so far for want of room. Any thread that may use `p`. */
BELT_API uint64_t belt_telemetry_lost(struct belt_pipeline *p);

/* ---- where the time goes; any thread, after the start ----------------------------- */

/* A histogram of a stage ("source", "processor", "batchers.totals") from
 * core/histograms.def ("turn_ns", "batch_fill", ..), its instances merged. Samples:
 * at most one in 32 us of each instance. 0; -EINVAL: not started; -ENOENT: no such
 * stage or histogram. */
BELT_API int belt_pipeline_histogram(struct belt_pipeline *p, const char *stage, const char *name,
                                     struct belt_hist *out);
/* `ack_ns` of all sources: from the read until a frame and all before it were settled.
 * 0; -EINVAL: not started. */
BELT_API int belt_pipeline_latency(struct belt_pipeline *p, struct belt_hist *out);

/* ---- what there is; any thread --------------------------------------------------- */

/* "beltway.processor.stop"; NULL: no such kind. */
BELT_API const char *belt_event_name(enum belt_event_kind kind);
/* Its fields, BELT_EVENT_VALUES of them, BELT_FIELD_NONE after the last. */
BELT_API const enum belt_event_field *belt_event_fields(enum belt_event_kind kind);
/* What `text` is ("" : there is none), and when it is told. */
BELT_API const char *belt_event_text(enum belt_event_kind kind);
BELT_API const char *belt_event_help(enum belt_event_kind kind);
BELT_API const char *belt_field_name(enum belt_event_field field);
BELT_API const char *belt_field_unit(enum belt_event_field field);
BELT_API const char *belt_field_help(enum belt_event_field field);
/* The value of this field; 0 when the event has no such field. */
BELT_API uint64_t belt_event_value(const struct belt_event *event, enum belt_event_field field);

#ifdef __cplusplus
}
#endif
#endif
