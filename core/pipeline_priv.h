/* A pipeline: the configuration, what was made of it, and its run. */
#ifndef BELT_PIPELINE_PRIV_H
#define BELT_PIPELINE_PRIV_H

#include "core/pipeline.h"
#include "core/run_priv.h"

struct belt_telemetry;

struct belt_pipeline {
    struct belt_tree *tree;
    struct belt_registry *registry;
    bool plugins_loaded;
    struct belt_spec *spec;           /* after validate */
    struct belt_plan *plan;           /* after validate, for threads or for the caller */
    struct belt_zygote *zygote;       /* isolation: process, after start */
    struct belt_engine_run *run;      /* after start or the first turn */
    struct belt_telemetry *telemetry; /* once somebody was attached */
    bool started, ended, joined;
    void *context; /* of the application, before there is a run */
    char plan_line[512];
    bool listed;                /* belt_pipelines_running() knows it; under its lock, as */
    struct belt_pipeline *next; /* the next one of those */
};

/* How the first source reads: what it really uses, or before it runs what it was asked to
 * (plan_table.c). */
const char *belt_pipeline_means(const struct belt_pipeline *p);
/* A text in JSON, with its quotes (report.c). */
void belt_put_json(const char *text, FILE *out);
/* Among those that run, from here on, and no longer (running.c). */
void belt_running_add(struct belt_pipeline *p);
void belt_running_remove(struct belt_pipeline *p);

#endif
