/* What the control calls share. */
#ifndef BELT_CONTROL_PRIV_H
#define BELT_CONTROL_PRIV_H

#include "core/pipeline_priv.h"
#include "core/push_priv.h"

/* How much has to be through. */
enum belt_rest {
    BELT_REST,        /* every frame */
    BELT_REST_CLEAR,  /* rows beside full edges, too */
    BELT_REST_SETTLED /* all messages: open batches go */
};
/* Sources stop giving, until belt_pipeline_resume(), also when it fails; 0: at rest. */
int belt_pipeline_rest(struct belt_pipeline *p, uint64_t until, enum belt_rest how,
                       struct belt_error *err);

/* The lanes' clock: the caller's, where the pipeline runs by turns. */
uint64_t belt_pipeline_now(const struct belt_pipeline *p);
/* Index of a source by its name, NULL: the only one; or negative, with err set. */
int belt_pipeline_find_source(const struct belt_pipeline *p, const char *name,
                              struct belt_error *err);
/* Messages not settled, of every source's instance, by where they are. Nobody moves. */
int belt_check_places(const struct belt_engine_run *run, uint64_t (*places)[BELT_IN_PLACES],
                      struct belt_error *err);
/* Conf of a push source; NULL, with err set: there is none of this name. */
void *belt_pipeline_push_conf(const struct belt_pipeline *p, const char *source,
                              struct belt_error *err);
/* Something was handed in: its lanes look. */
void belt_pipeline_wake_source(const struct belt_pipeline *p, const void *conf);

#endif
