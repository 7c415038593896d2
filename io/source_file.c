/* The source `file`: records from files, pipes and standard input. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/settings_priv.h"
#include "io/source_follow_priv.h"
#include "rings/atomic.h"

static const struct belt_setting settings[] = {
    { "paths", BELT_SET_LIST, offsetof(struct source_conf, paths), NULL,
      "files to read: paths and globs, or - for standard input", NULL, 0, 0 },
    { "records", BELT_SET_TREE, offsetof(struct source_conf, records), "lines",
      "lines; csv or { csv: { delimiter: \",\", quote: '\"', header: false } }; { fixed: SIZE };\n"
      "                 { length: u32be } or { length: { prefix: u32be, counts_itself: false } }:\n"
      "                 u8, u16, u32, u64 with le or be, or varint",
      NULL, 0, 0 },
    { "max_record", BELT_SET_SIZE, offsetof(struct source_conf, max_record), "64KiB",
      "a longer record fails; its first bytes, this many, are its payload", NULL, 16, 16 << 20 },
    { "chunk", BELT_SET_SIZE, offsetof(struct source_conf, chunk), "256KiB",
      "bytes that an instance claims and reads at a time, rounded up to pages; with direct 1MiB",
      NULL, 4096, 64 << 20 },
    { "depth", BELT_SET_INT, offsetof(struct source_conf, depth), "2",
      "chunks under way at once where reads have to wait for the disk; with direct 4", NULL, 1,
      SOURCE_DEPTH },
    { "compression", BELT_SET_CHOICE, offsetof(struct source_conf, compression), "auto",
      "what the bytes are packed with; auto: as the first ones of each file say",
      "auto|none|gz|zstd", 0, 0 },
    { "max_window", BELT_SET_SIZE, offsetof(struct source_conf, max_window), "128MiB",
      "a zstd frame that needs more memory than this fails", NULL, 1 << 10, INT64_C(1) << 31 },
    { "missing", BELT_SET_CHOICE, offsetof(struct source_conf, missing), "fail",
      "a file that is not there when it is opened: refuse to start, or pass it over", "fail|skip",
      0, 0 },
    { "direct", BELT_SET_CHOICE, offsetof(struct source_conf, direct), "false",
      "read past the page cache (O_DIRECT); auto: where the file system can", "false|true|auto", 0,
      0 },
    { "follow", BELT_SET_BOOL, offsetof(struct source_conf, follow), "false",
      "read what is written to the files, and files that come later, until stopped", NULL, 0, 0 },
    { "begin", BELT_SET_CHOICE, offsetof(struct source_conf, begin), "start",
      "follow: where in files that are there already; with state, at the first start only",
      "start|end", 0, 0 },
    { "state", BELT_SET_TEXT, offsetof(struct source_conf, state), "",
      "follow: file of positions, by which a restart goes on where all was settled", NULL, 0, 0 },
    { "rotated_wait", BELT_SET_TIME, offsetof(struct source_conf, rotated_wait), "5s",
      "follow: a renamed or deleted file is over when so long nothing was written", NULL, 0, 0 },
    { "watch", BELT_SET_CHOICE, offsetof(struct source_conf, watch), "auto",
      "follow: auto: as inotify tells; poll: look each second", "auto|poll", 0, 0 },
    { 0 },
};

static uint64_t round_up(uint64_t size)
{
    return (size + SOURCE_PAGE - 1) / SOURCE_PAGE * SOURCE_PAGE;
}

/* Nothing reads ahead but we: with chunks of 256 KiB, 2 under way, two lanes had 0.42 GB/s of
 * a disk that gave 0.70, with these 0.68 (docs/decisions/013-file-figures.md). */
static void choose_direct(struct source_conf *conf, const struct belt_node *node)
{
    bool map = belt_node_kind(node) == BELT_NODE_MAP;
    if (!map || !belt_node_get(node, "chunk"))
        conf->chunk = 1 << 20;
    if (!map || !belt_node_get(node, "depth"))
        conf->depth = 4;
}

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct source_conf *conf = part_conf;
    if (conf->paths.count == 0)
        return belt_node_error(err, belt_setup_node(setup), "paths: name at least one file");
    int rc = belt_records_read(&conf->kinds, conf->records, conf->max_record, err);
    if (rc < 0)
        return rc;
    conf->max_record = conf->kinds.limit;
    if (conf->direct)
        choose_direct(conf, belt_setup_node(setup));
    if (conf->kinds.header)
        belt_setup_headers(setup, &conf->headers);
    conf->chunk = round_up(conf->chunk);
    rc = source_refuse_folders(conf, belt_setup_node(setup), err);
    if (rc == 0)
        rc = source_each_path(conf, source_look, err);
    conf->single |= conf->lone && conf->count == 1;
    conf->count = 0;
    if (rc == 0)
        rc = follow_prepare(conf, setup, err);
    if (conf->single)
        belt_setup_limit(setup, 1);
    /* A lead of a page, the chunk, and the longest record with what is around it. */
    belt_setup_arena(
        setup,
        (uint32_t)(SOURCE_PAGE + conf->chunk + round_up(conf->max_record + BELT_RECORD_EDGE)),
        (uint32_t)conf->depth + 2);
    return rc;
}

/* ---- claiming ------------------------------------------------------------------ */

/* The last input whose first chunk is not after `number`; empty ones share the number
 * of the input after them, and the last of equals is the one that has chunks. */
static uint32_t input_of(const struct source_conf *conf, uint64_t number)
{
    uint32_t low = 0, high = conf->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (conf->inputs[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool claim_shared(struct source_state *s, struct source_job *job)
{
    struct source_conf *conf = s->conf;
    /* Relaxed: the number is all that is handed over; the table was complete before
     * any instance was started. */
    uint64_t number = belt_fetch_add_relaxed(&conf->next, 1);
    if (number >= conf->chunks)
        return false;
    uint32_t input = input_of(conf, number);
    *job = (struct source_job){ .number = number,
                                .input = input,
                                .lone = source_is_stream(&conf->inputs[input]),
                                .state = source_is_stream(&conf->inputs[input]) ? JOB_STREAM
                                                                                : JOB_READING,
                                .offset = (number - conf->inputs[input].first) * conf->chunk };
    return true;
}

/* In order; nothing after a stream before it has ended, for its chunks have no
 * numbers yet. */
static bool claim_single(struct source_state *s, struct source_job *job)
{
    struct source_conf *conf = s->conf;
    for (; s->input < conf->count; s->input++, s->input_at = 0) {
        struct source_input *input = &conf->inputs[s->input];
        bool stream = source_is_stream(input);
        if (stream ? s->ended : s->input_at >= input->size) {
            s->ended = false;
            continue;
        }
        if (stream && s->jobs_used)
            return false;
        *job = (struct source_job){ .number = s->single_next++,
                                    .input = s->input,
                                    .offset = s->input_at,
                                    .state = stream ? JOB_STREAM : JOB_READING };
        s->input_at += conf->chunk;
        return true;
    }
    s->exhausted = true;
    return false;
}

bool source_claim(struct source_state *s, struct source_job *job)
{
    if (s->conf->single)
        return claim_single(s, job);
    /* One stream at a time, and nothing beside it that would take its slabs. */
    if (s->jobs_used && source_job_at(s, s->jobs_used - 1)->state == JOB_STREAM)
        return false;
    s->exhausted = s->exhausted || !claim_shared(s, job);
    return !s->exhausted;
}

/* ---- an instance --------------------------------------------------------------- */

static void fini(void *state, void *conf)
{
    struct source_state *s = state;
    (void)conf;
    if (s->backend)
        s->backend->ops->destroy(s->backend);
    s->backend = NULL;
    if (s->follow)
        follow_fini(s);
    source_unpack_free(s->unpack);
    s->unpack = NULL;
    free(s->free);
    s->free = NULL;
}

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct source_state *s = state;
    s->conf = conf;
    s->arena = in->arena;
    s->slab_size = in->slab;
    s->scan = belt_scan_choose();
    s->line = 1;
    s->instances = in->count;
    s->free = calloc(in->slabs, sizeof *s->free);
    bool reads = (s->conf->single || s->conf->packed) && !s->conf->follow;
    s->unpack = reads ? source_unpack_new(s->conf->packed, s->conf->max_window) : NULL;
    if (!s->free || (reads && !s->unpack)) {
        free(s->free);
        return belt_error_set(err, -ENOMEM, "%s: out of memory", in->stage);
    }
    while (s->free_used < in->slabs) {
        s->free[s->free_used] = in->slabs - 1 - s->free_used;
        s->free_used++;
    }
    bool alone = s->conf->follow || s->conf->kinds.kind == BELT_RECORDS_LINES;
    int rc = alone ? 0 : source_wait_open(s, err);
    if (rc == 0)
        rc = belt_backend_open(&s->backend, in->backend, SOURCE_DEPTH, err);
    if (rc < 0) {
        source_unpack_free(s->unpack);
        free(s->free);
        return rc;
    }
    s->means = s->conf->directs ? "O_DIRECT" : s->backend->ops->name;
    s->backend->ops->lend(s->backend, s->arena, (size_t)in->slab * in->slabs);
    if (s->conf->follow && (rc = follow_init(s, in, err)) < 0)
        fini(s, conf);
    return rc;
}

/* The one that was used last is taken last: the kernel copies into memory that has left the
 * second cache a quarter faster than into lines that lie there changed, and what it copied is
 * in the cache all the same (docs/decisions/013-file-figures.md). */
static void recycle(void *state, uint32_t slab)
{
    struct source_state *s = state;
    memmove(s->free + 1, s->free, s->free_used++ * sizeof *s->free);
    s->free[0] = slab;
}

static int fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct source_state *s = state;
    return s->follow ? follow_fill(s, out, err) : source_fill(s, out, err);
}

static void ack(void *state, const struct belt_acked *acked)
{
    follow_ack(((struct source_state *)state)->follow, acked);
}

static const char *means(void *state)
{
    return ((struct source_state *)state)->means;
}

static void stop(void *state)
{
    ((struct source_state *)state)->stopped = true;
}

static int fd(void *state)
{
    struct source_state *s = state;
    if (s->follow)
        return s->stopped ? -1 : s->follow->all;
    if (s->waits_for_chunk)
        return source_wait_fd(s);
    if (s->waits)
        return s->conf->inputs[s->jobs[s->head].input].fd;
    return s->backend->in_flight ? s->backend->ops->fd(s->backend) : -1;
}

static uint64_t progress(void *state, uint64_t *total)
{
    struct source_state *s = state;
    *total = s->conf->single ? 0 : s->conf->bytes;
    return belt_load_relaxed(&s->consumed); /* a figure to look at, orders nothing */
}

/* ---- places -------------------------------------------------------------------- */

static int where(void *part_conf, uint32_t file, uint64_t place, char *out, size_t room)
{
    struct source_conf *conf = part_conf;
    uint32_t input = file & ~SOURCE_STREAM;
    if (input >= conf->count)
        return -EINVAL;
    enum belt_records_kind kind = conf->kinds.kind;
    const char *unit = "";
    if (file & SOURCE_STREAM)
        unit = kind == BELT_RECORDS_LINES ? "" : "record ";
    else if (kind == BELT_RECORDS_FIXED || kind == BELT_RECORDS_LENGTH)
        unit = kind == BELT_RECORDS_FIXED ? "record " : "byte ";
    if (!(file & SOURCE_STREAM))
        place = kind == BELT_RECORDS_FIXED    ? place / conf->kinds.size + 1
                : kind == BELT_RECORDS_LENGTH ? place
                                              : source_line_of(conf, input, place);
    return snprintf(out, room, "%s:%s%llu", conf->inputs[input].path, unit,
                    (unsigned long long)place);
}

static const char *name(void *part_conf, uint32_t file)
{
    const struct source_conf *conf = part_conf;
    uint32_t input = file & ~SOURCE_STREAM;
    return input < conf->count ? conf->inputs[input].path : "";
}

/* Of a glob the folder is looked at, which it names. */
static const char *first_path(const void *part_conf)
{
    const struct source_conf *conf = part_conf;
    return conf->paths.count && strcmp(conf->paths.at[0], "-") != 0 ? conf->paths.at[0] : NULL;
}

const struct belt_source belt_source_file = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SOURCE,
        .name = "file",
        .help = "records from files, globs, pipes and standard input",
        .settings = settings,
        .conf_size = sizeof(struct source_conf),
        .state_size = sizeof(struct source_state),
        .prepare = prepare,
        .open = source_open,
        .init = init,
        .fini = fini,
        .close = source_close,
        .scalar = "paths",
    },
    .fill = fill,
    .ack = ack,
    .recycle = recycle,
    .stop = stop,
    .fd = fd,
    .name = name,
    .path = first_path,
    .where = where,
    .progress = progress,
    .means = means,
    .rewinds = true,
};
