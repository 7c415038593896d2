/* A pipeline: made, told its settings, started, waited for. All calls from one
 * control thread, except belt_pipeline_stop and _stats: any thread. Settings go
 * by the same paths as in YAML and `-s`.
 *
 *     belt_pipeline_new(&p, &err);
 *     belt_pipeline_load(p, "pipeline.yaml", &err);
 *     belt_pipeline_set(p, "source.file.paths", "data.txt", &err);
 *     belt_pipeline_start(p, &err);
 *     belt_pipeline_wait(p, BELT_FOREVER, &err);
 *     belt_pipeline_free(p);
 */
#ifndef BELT_PIPELINE_H
#define BELT_PIPELINE_H

#include <stdio.h>

#include "part.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_FOREVER UINT64_MAX

struct belt_pipeline;

BELT_API int belt_pipeline_new(struct belt_pipeline **out, struct belt_error *err);
/* Makes a linked-in part known by its name. Before the load that names it. */
BELT_API int belt_pipeline_add(struct belt_pipeline *p, const struct belt_part *part,
                               struct belt_error *err);
/* Reads a YAML file; the next one overlays it: maps merge, all else replaces. */
BELT_API int belt_pipeline_load(struct belt_pipeline *p, const char *path, struct belt_error *err);
/* The same from memory; `name` stands for the file in messages. */
BELT_API int belt_pipeline_load_text(struct belt_pipeline *p, const char *text, const char *name,
                                     struct belt_error *err);
/* One setting by its path ("processor.steps.0.split.delimiter"); `value` is YAML. */
BELT_API int belt_pipeline_set(struct belt_pipeline *p, const char *path, const char *value,
                               struct belt_error *err);
/* Checks everything that can be checked without opening anything. */
BELT_API int belt_pipeline_validate(struct belt_pipeline *p, struct belt_error *err);

/* Validates, plans, obtains all memory, opens sources, then sinks, starts the lanes. */
BELT_API int belt_pipeline_start(struct belt_pipeline *p, struct belt_error *err);
/* Instead of start: everything in the calling thread, on the caller's clock.
 * Each turn runs every stage once. 1: something moved, 0: idle, -EPIPE: ended,
 * else negative. The first call does what start does. */
BELT_API int belt_pipeline_turn(struct belt_pipeline *p, uint64_t now_ns, struct belt_error *err);
/* 0: ended, -ETIMEDOUT after `timeout_ns`, else what made the run fail. */
BELT_API int belt_pipeline_wait(struct belt_pipeline *p, uint64_t timeout_ns,
                                struct belt_error *err);
/* Sources stop, all that is inside is finished, at most for `deadline_ns` (0: not at
 * all, BELT_FOREVER: for as long as the setting `drain` says); then lanes
 * stop where they are and what is left is counted as unsettled. Safe in a signal handler. */
BELT_API void belt_pipeline_stop(struct belt_pipeline *p, uint64_t deadline_ns);
BELT_API void belt_pipeline_free(struct belt_pipeline *p);

/* ---- looking in ------------------------------------------------------------- */

struct belt_totals {
    uint32_t size; /* sizeof(struct belt_totals), set by the caller */
    uint64_t received, done, dropped, failed, unsettled; /* messages */
    uint64_t bytes_in, bytes_total;                      /* of sources; total 0: unknown */
    uint64_t bytes_out, batches;                         /* handed to sinks */
    uint64_t elapsed_ns;
    bool ended, complete; /* complete: every source was read to its end */
};
BELT_API void belt_pipeline_totals(struct belt_pipeline *p, struct belt_totals *out);

/* One of the first failures, in the order they were seen. `where` is "FILE:LINE". */
struct belt_failure {
    char where[256];
    char reason[BELT_REASON];
};
/* Up to `room` of them; after the end. Their number. */
BELT_API size_t belt_pipeline_failures(struct belt_pipeline *p, struct belt_failure *out,
                                       size_t room);

/* The plan as text: stages, lanes, CPUs, edges, memory. Valid after validate. */
BELT_API int belt_pipeline_print_plan(struct belt_pipeline *p, FILE *out, struct belt_error *err);
/* The setting `name`; valid after validate. */
BELT_API const char *belt_pipeline_name(const struct belt_pipeline *p);
/* The plan in one line ("2 lanes on CPUs 0,1, ..."); after start. */
BELT_API const char *belt_pipeline_plan_line(struct belt_pipeline *p);
/* Everything counted, as one JSON object. */
BELT_API int belt_pipeline_report(struct belt_pipeline *p, FILE *out, struct belt_error *err);
/* Conservation: every unsettled ticket is in exactly one committed place. Only
 * between turns or after the end. 0, or negative with the first broken rule. */
BELT_API int belt_check(struct belt_pipeline *p, struct belt_error *err);

/* What can be set beside the parts, by name ("processor", "failed"), for help pages. */
struct belt_section {
    const char *name, *also; /* also: another name, or NULL */
    const char *help;
    const char *scalar;                   /* the setting that a scalar means, or NULL */
    const struct belt_setting *tables[2]; /* each ended by a name of NULL; the second may be NULL */
    const char *const *without; /* names in them that do not hold here, NULL-ended; or NULL */
};
BELT_API const struct belt_section *belt_section_at(size_t i); /* NULL after the last */
/* Built-in and added parts by kind, for help pages. NULL after the last. */
BELT_API const struct belt_part *belt_part_at(struct belt_pipeline *p, size_t i);

#ifdef __cplusplus
}
#endif
#endif
