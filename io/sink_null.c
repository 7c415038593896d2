/* The sink `null`: takes every batch and keeps nothing. */
#include "core/part.h"

static int batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)batch, (void)err;
    return 0;
}

const struct belt_sink belt_sink_null = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SINK,
        .name = "null",
        .help = "takes everything, keeps nothing",
    },
    .batch = batch,
};
