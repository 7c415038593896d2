/* The sink `stdout`: rows to descriptor 1. When the reader goes away a batch
 * ends with -EPIPE; the program is not killed by a signal. */
#include <unistd.h>

#include "io/writer_priv.h"

struct stdout_conf {
    int compression;
    int64_t level;
};

static const struct belt_setting settings[] = {
    { "compression", BELT_SET_CHOICE, offsetof(struct stdout_conf, compression), "none",
      "each batch a gzip member, or a zstd frame, of its own", BELT_PACKINGS, 0, 0 },
    { "level", BELT_SET_INT, offsetof(struct stdout_conf, level), "0",
      "of compression: 1 is fastest, gz up to 9, zstd to 19; 0: 6 or 3", NULL, 0, 19 },
    { 0 },
};

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    const struct stdout_conf *conf = part_conf;
    return belt_packer_check(conf->compression, conf->level, belt_setup_node(setup), err);
}

struct stdout_state {
    struct belt_writer writer;
    struct belt_target target;
    const char *header;
    uint32_t header_size;
    bool begun; /* rows are written, or the header is */
};

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct stdout_state *s = state;
    const struct stdout_conf *c = conf;
    s->target =
        (struct belt_target){ .fd = STDOUT_FILENO, .name = "stdout", .offset = BELT_IO_STREAM };
    s->header = in->header;
    s->header_size = in->header_size;
    int rc = belt_writer_open(&s->writer, in->backend, err);
    if (rc < 0)
        return rc;
    rc = belt_writer_pack(&s->writer, c->compression, (int)c->level, err);
    if (rc < 0)
        belt_writer_close(&s->writer);
    return rc;
}

static int begin(struct stdout_state *s, struct belt_error *err)
{
    s->begun = true;
    return belt_writer_header(&s->writer, &s->target, s->header, s->header_size, err);
}

static int batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    struct stdout_state *s = state;
    int rc = s->begun || !s->header_size ? 0 : begin(s, err);
    s->begun = true;
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
    struct stdout_state *s = state;
    return complete && !s->begun ? begin(s, err) : 0;
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
        .settings = settings,
        .conf_size = sizeof(struct stdout_conf),
        .state_size = sizeof(struct stdout_state),
        .prepare = prepare,
        .init = init,
        .fini = fini,
    },
    .batch = batch,
    .poll = poll_writes,
    .finish = finish,
    .fd = fd,
};
