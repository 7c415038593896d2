/* All scenarios. One file each ends in its suite. */
#ifndef MODEL_SUITES_H
#define MODEL_SUITES_H

#include "tests/proofs/model.h"

extern const struct model_suite litmus_suite, spsc_suite, mpmc_suite, sharded_suite,
    broadcast_suite, wait_suite, turn_suite;

static const struct model_suite *const model_suites[] = {
    &litmus_suite,    &spsc_suite, &mpmc_suite, &sharded_suite,
    &broadcast_suite, &wait_suite, &turn_suite,
};

#endif
