/* What a built-in step may do besides part.h while the pipeline is put together. */
#ifndef BELT_SETUP_PRIV_H
#define BELT_SETUP_PRIV_H

#include "core/part.h"

/* Messages do not have this field any more from here on: its name is free again. */
void belt_setup_hide(struct belt_setup *setup, int column);
/* A step or a sink: so many bytes each instance obtains. They are a part of the plan's sum. */
void belt_setup_memory(struct belt_setup *setup, uint64_t bytes);

#endif
