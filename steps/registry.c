/* The built-in steps, for the core to find (core/registry.c). */
#include "core/part.h"

extern const struct belt_part *const belt_steps_parts[];

#define BELT_STEP_PART(name) extern const struct belt_step belt_##name##_step;
#include "steps/steps.def"
#undef BELT_STEP_PART

#define BELT_STEP_PART(name) &belt_##name##_step.part,
const struct belt_part *const belt_steps_parts[] = {
#include "steps/steps.def"
    NULL,
};
