/* What the control calls share. */
#ifndef BELT_CONTROL_PRIV_H
#define BELT_CONTROL_PRIV_H

#include "core/pipeline_priv.h"

/* The lanes' clock: the caller's, where the pipeline runs by turns. */
uint64_t belt_pipeline_now(const struct belt_pipeline *p);
/* Index of a source by its name, NULL: the only one; or negative, with err set. */
int belt_pipeline_find_source(const struct belt_pipeline *p, const char *name,
                              struct belt_error *err);

#endif
