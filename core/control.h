/* A pipeline that runs, told what to do and asked what it is. All calls from the
 * control thread unless they say otherwise. A source is named by its key under
 * `sources`; NULL means the only one. */
#ifndef BELT_CONTROL_H
#define BELT_CONTROL_H

#include "pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rate of a source -------------------------------------------------------- */

/* In any stretch of time t at most burst + t * messages / per messages leave a
 * source, over all its instances. */
struct belt_rate {
    uint32_t size;     /* sizeof(struct belt_rate), set by the caller */
    uint64_t messages; /* 0: no limit */
    uint64_t per_ns;   /* 0: a second */
    uint64_t burst;    /* 0: the messages of a millisecond, at least one */
};
/* -EINVAL: not started, or no source of this name. Any thread. */
BELT_API int belt_pipeline_rate(struct belt_pipeline *p, const char *source, struct belt_rate *out,
                                struct belt_error *err);
/* At once. What was let through counts against the new rate, unless `reset`. One
 * thread at a time. */
BELT_API int belt_pipeline_set_rate(struct belt_pipeline *p, const char *source,
                                    const struct belt_rate *rate, bool reset,
                                    struct belt_error *err);

/* ---- pause ---------------------------------------------------------------------- */

enum { BELT_PAUSE_FLUSH = 1 }; /* open batches go to their sinks, and are settled */

/* Sources stop giving, and what they gave comes to rest: every frame is through, and
 * what is not settled lies in open batches, stores, or edges that wait for order.
 * Nothing is lost; batches still go when their time is over. -ETIMEDOUT: it did not
 * come to rest within deadline_ns and goes on as before; -EPIPE: it ends. Where the
 * caller turns the pipeline, this turns it, with the clock standing still. */
BELT_API int belt_pipeline_pause(struct belt_pipeline *p, uint64_t deadline_ns, unsigned flags,
                                 struct belt_error *err);
/* Goes on. A stop does so by itself. */
BELT_API void belt_pipeline_resume(struct belt_pipeline *p);

/* ---- instances of a stage --------------------------------------------------------- */

/* So many instances of a processor or batcher ("processors.parse", "batcher": as in the
 * settings) get messages from now on: 1 up to its setting max_concurrency. Sources stop
 * giving, all that they gave comes to rest, then messages go to those alone that there are
 * to be: nothing is lost, and each partition keeps its order. Processors that send one to
 * one are resized together. Steps of an instance are set up (init) when it first gets
 * messages and, unless they have some to try again or hold, end (fini) when it gets none;
 * sinks live from start to end, and a batcher's open batches go out first.
 * -ETIMEDOUT: it did not come to rest in deadline_ns; -EPIPE: it ends; what init() said:
 * an instance cannot be set up. Nothing is changed then, and all goes on as before. One
 * that is out of use ends later, if it cannot in time. */
BELT_API int belt_pipeline_resize(struct belt_pipeline *p, const char *stage, uint32_t instances,
                                  uint64_t deadline_ns, struct belt_error *err);

/* ---- batches of a batcher -------------------------------------------------------- */

/* As in its settings; 0: as it is. */
struct belt_batching {
    uint32_t size;       /* sizeof(struct belt_batching), set by the caller */
    uint32_t messages;   /* a batch is cut at so many, */
    uint64_t bytes;      /* at so many bytes, */
    uint64_t timeout_ns; /* so long after its first message; BELT_FOREVER: never */
};
/* From the next turn on; open batches beyond the new limits are cut. All lanes stand
 * still for it between two turns; -ETIMEDOUT: one did not get there in deadline_ns, and
 * nothing is changed. `batcher` by its key ("failed" too), NULL: the first. */
BELT_API int belt_pipeline_set_batching(struct belt_pipeline *p, const char *batcher,
                                        const struct belt_batching *batching, uint64_t deadline_ns,
                                        struct belt_error *err);

/* ---- all of these -------------------------------------------------------------------- */

/* Rates, limits of batches, and concurrency (where it may be changed: max_concurrency) as
 * `told` says, another pipeline that was loaded and is not started: of stages of the same
 * names. How many settings changed; all else that it says is ignored. Negative: `told` is not
 * valid, and nothing changed; or what refused, and what came before it has changed. */
BELT_API int belt_pipeline_reload(struct belt_pipeline *p, struct belt_pipeline *told,
                                  uint64_t deadline_ns, struct belt_error *err);

/* ---- the application's pointer ----------------------------------------------------- */

/* What steps see as belt_context(), sources and sinks in belt_instance.context, handlers
 * of telemetry in belt_event.context; NULL until it is set. Before the start: at once.
 * While it runs all lanes stand still for it between two turns: when this returns 0 no
 * callback works with the old value, and none will see it again, so that it may be freed,
 * unless a part kept it; -ETIMEDOUT: a lane did not get there in deadline_ns, and nothing
 * is changed. Workers (isolation: process) see NULL: the pointer means nothing in them.
 * Not from a callback. */
BELT_API int belt_pipeline_context(struct belt_pipeline *p, void *context, uint64_t deadline_ns,
                                   struct belt_error *err);

/* ---- what is left ------------------------------------------------------------- */

enum belt_remainder_place {
    BELT_IN_PROCESSORS, /* in frames for processors */
    BELT_IN_EDGES,      /* rows on their way to batchers, or held before them */
    BELT_IN_STORES,     /* to be tried again, or held by a step */
    BELT_IN_BATCHES,    /* in batches that are open or with a sink */
    BELT_IN_SHARED,     /* in several of these, by several rows */
    BELT_IN_PLACES
};

/* Messages of a source that are not settled, and where they are. */
struct belt_remainder {
    uint32_t size;
    const char *source; /* "sources.a"; lent until the pipeline is freed */
    uint64_t unsettled;
    uint64_t in[BELT_IN_PLACES];
};
/* After the end, or between turns: an entry for each source; their number. -EBUSY: it
 * still runs. */
BELT_API int belt_pipeline_remainder(struct belt_pipeline *p, struct belt_remainder *out,
                                     size_t room, struct belt_error *err);

/* ---- handing messages in: source: { push: { fields: { user: text } } } -------- */

struct belt_field {
    const char *name;
    enum belt_type type; /* as declared */
    union {
        struct {
            const char *at;
            uint32_t size;
        } text;
        int64_t number; /* INT; DECIMAL in its smallest unit */
        double real;
    } as;
};

enum { BELT_MESSAGE_FLUSH = 1 };

struct belt_message {
    const char *payload;
    uint32_t payload_size;
    uint32_t fields_used;
    const struct belt_field *fields; /* those not given are 0, or "" */
    uint32_t flags;                  /* BELT_MESSAGE_FLUSH: its batch does not wait for more */
};

/* Copies messages in, in their order; how many. When there is no room for the first,
 * waits for up to wait_ns (0: not at all; BELT_FOREVER), then -EAGAIN; -EPIPE: it was
 * ended, or the pipeline stops; -EMSGSIZE, -EINVAL: of the first message. Any thread;
 * until the pipeline is freed. They wait for the source's rate like any others. */
BELT_API int64_t belt_pipeline_push(struct belt_pipeline *p, const char *source,
                                    const struct belt_message *messages, uint32_t count,
                                    uint64_t wait_ns, struct belt_error *err);
/* No more messages will come: the source ends after those that were taken. Any thread. */
BELT_API int belt_pipeline_push_end(struct belt_pipeline *p, const char *source,
                                    struct belt_error *err);

#ifdef __cplusplus
}
#endif
#endif
