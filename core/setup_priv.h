/* What a built-in step may do besides part.h while the pipeline is put together. */
#ifndef BELT_SETUP_PRIV_H
#define BELT_SETUP_PRIV_H

#include "core/part.h"

/* Messages do not have this field any more from here on: its name is free again. */
void belt_setup_hide(struct belt_setup *setup, int column);

#endif
