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

#ifdef __cplusplus
}
#endif
#endif
