/* The sink `stdout`: rows to descriptor 1. When the reader goes away a batch
 * ends with -EPIPE; the program is not killed by a signal. */
#include <unistd.h>

#include "io/writer_priv.h"

struct stdout_state {
    struct belt_writer writer;
    struct belt_target target;
    const char *header;
    uint32_t header_size; /* 0: written */
};

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct stdout_state *s = state;
    (void)conf;
    s->target =
        (struct belt_target){ .fd = STDOUT_FILENO, .name = "stdout", .offset = BELT_IO_STREAM };
    s->header = in->header;
    s->header_size = in->header_size;
    return belt_writer_open(&s->writer, in->backend, err);
}

static int write_header(struct stdout_state *s, struct belt_error *err)
{
    uint32_t size = s->header_size;
    s->header_size = 0;
    return belt_writer_header(&s->target, s->header, size, err);
}

static int batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    struct stdout_state *s = state;
    int rc = write_header(s, err);
    return rc < 0 ? rc : belt_writer_put(&s->writer, &s->target, batch, err);
}

static int poll_writes(void *state)
{
    return belt_writer_poll(&((struct stdout_state *)state)->writer);
}

static int fd(void *state)
{
    const struct belt_backend *backend = ((struct stdout_state *)state)->writer.backend;
    return backend->in_flight ? backend->ops->fd(backend) : -1;
}

static int finish(void *state, bool complete, struct belt_error *err)
{
    return complete ? write_header(state, err) : 0;
}

static void fini(void *state, void *conf)
{
    (void)conf;
    belt_writer_close(&((struct stdout_state *)state)->writer);
}

const struct belt_sink belt_sink_stdout = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SINK,
        .name = "stdout",
        .help = "rows to standard output",
        .state_size = sizeof(struct stdout_state),
        .init = init,
        .fini = fini,
    },
    .batch = batch,
    .poll = poll_writes,
    .finish = finish,
    .fd = fd,
};
