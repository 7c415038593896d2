/* What a pipeline is made of and where it runs, and which pipelines of this process
 * run. */
#ifndef BELT_STAGES_H
#define BELT_STAGES_H

#include "pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- stages ---------------------------------------------------------------------- */

enum belt_role { BELT_ROLE_SOURCE, BELT_ROLE_PROCESSOR, BELT_ROLE_BATCHER };

/* Names are lent until a setting changes, the first turn is made, or the pipeline is freed. */
struct belt_stage_info {
    uint32_t size;      /* sizeof(struct belt_stage_info), set by the caller */
    int role;           /* enum belt_role */
    const char *name;   /* as in settings: "source", "sources.a", "batchers.totals" */
    const char *part;   /* of a source or a sink: "file"; of a processor "" */
    uint32_t instances; /* that there are */
    uint32_t active;    /* that get messages: belt_pipeline_resize(), control.h */
};
/* Stage `index`: sources, then processors as they run (neighbours may be one:
 * "processors.parse+enrich"), then batchers, `failed` last; each kind in the order of the
 * settings. Validates if need be, like belt_pipeline_instance(). -ENOENT: after the last.
 * Control thread. */
BELT_API int belt_pipeline_stage(struct belt_pipeline *p, uint32_t index,
                                 struct belt_stage_info *out, struct belt_error *err);

/* Where one instance of a stage runs. */
struct belt_instance_info {
    uint32_t size;
    uint32_t lane; /* a thread each; 0: the caller's, where it makes the turns */
    int cpu, node; /* -1: not pinned */
};
BELT_API int belt_pipeline_instance(struct belt_pipeline *p, uint32_t stage, uint32_t instance,
                                    struct belt_instance_info *out, struct belt_error *err);

/* All of it as one JSON object: {"name": "...", "lanes": 2, "sources": [{"name": "source",
 * "part": "file", "instances": 2, "active": 2, "lanes": [0, 1], "cpus": [0, 1]}],
 * "processors": [...], "batchers": [...]}; a CPU of -1 is none. */
BELT_API int belt_pipeline_topology(struct belt_pipeline *p, FILE *out, struct belt_error *err);

/* ---- pipelines that run -------------------------------------------------------------- */

#define BELT_NAME 64 /* bytes of a pipeline's name, with its end mark */

/* Copies the names (setting `name`) of up to `room` pipelines of this process that run, the
 * one started first first; how many there are in all. One runs from its start, or its first
 * turn, until all its lanes have ended. Any thread. */
BELT_API size_t belt_pipelines_running(char (*names)[BELT_NAME], size_t room);
/* The one of this name that runs. -ENOENT: there is none; -ENOTUNIQ: there are several. Any
 * thread; whoever may free it must be kept from it by the application while it is used. */
BELT_API int belt_pipeline_find(struct belt_pipeline **out, const char *name,
                                struct belt_error *err);

#ifdef __cplusplus
}
#endif
#endif
