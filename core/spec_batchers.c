/* The batchers of a spec, and `failed`, which is one for messages that failed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/overflow_priv.h"
#include "core/settings_priv.h"
#include "core/worker_settings_priv.h"

#define MEMORY_LEAST (1 << 20)

struct batcher_conf {
    const char *key, *partition_by;
    int64_t size, concurrency, most, attempts;
    uint64_t bytes, timeout, memory, backoff, backoff_max;
    int order, isolation;
    bool blocking;
    struct belt_hold_conf hold;
    const struct belt_node *sink, *aggregate, *worker;
};

#define AT(field) offsetof(struct batcher_conf, field)

const struct belt_setting belt_batcher_settings[] = {
    { "key", BELT_SET_TEXT, AT(key), "", "a text field: messages of one key go together", NULL, 0,
      0 },
    { "partition_by", BELT_SET_TEXT, AT(partition_by), "",
      "a field: each of its values belongs to one instance, one batch of a key at a time", NULL, 0,
      0 },
    { "size", BELT_SET_INT, AT(size), "10000", "a batch is cut at so many messages", NULL, 1,
      1 << 30 },
    { "bytes", BELT_SET_SIZE, AT(bytes), "256KiB", "or at so many bytes", NULL, 1, 1 << 30 },
    { "timeout", BELT_SET_TIME, AT(timeout), "1s", "or so long after its first message", NULL, 0,
      0 },
    { "memory", BELT_SET_SIZE, AT(memory), "4MiB", "for open batches and those on their way", NULL,
      MEMORY_LEAST, INT64_MAX },
    { "concurrency", BELT_SET_INT, AT(concurrency), "1",
      "instances; each key, or without one each lane, belongs to one", NULL, 1, 256 },
    { "max_concurrency", BELT_SET_INT, AT(most), "0",
      "instances that it may be resized to while it runs; 0: no others", NULL, 0, 256 },
    { "order", BELT_SET_CHOICE, AT(order), "input", "input: as in the source; any: as they come",
      "input|any", 0, 0 },
    { "blocking", BELT_SET_BOOL, AT(blocking), "false", "the sink may wait: a lane of its own",
      NULL, 0, 0 },
    { "isolation", BELT_SET_CHOICE, AT(isolation), "thread",
      "process: the sink runs in a worker whose death costs no batch", "thread|process", 0, 0 },
    { "worker", BELT_SET_TREE, AT(worker), "",
      "of isolation: process: { timeout: TIME, max_restarts: N, sandbox: strict, ... }", NULL, 0,
      0 },
    { "hold", BELT_SET_SIZE, AT(hold.hold), "0B",
      "rows that may wait for an instance that is behind, while others go on", NULL, 0, 0 },
    { "when_full", BELT_SET_CHOICE, AT(hold.when_full), "wait",
      "and then: all wait, or rows go to a file, or their messages fail", "wait|spill|fail", 0, 0 },
    { "spill", BELT_SET_TREE, AT(hold.spill), "", "the file: { path: DIR, size: SIZE }", NULL, 0,
      0 },
    { "attempts", BELT_SET_INT, AT(attempts), "0",
      "try what the sink refuses, with `failed` what steps fail, too, so often in all; 0: as "
      "`failed` says, or once",
      NULL, 0, 1 << 20 },
    { "backoff", BELT_SET_TIME, AT(backoff), "0s",
      "wait before the second attempt, then twice that; 0s: 100ms", NULL, 0, 0 },
    { "backoff_max", BELT_SET_TIME, AT(backoff_max), "0s", "and so on, up to this; 0s: 30s", NULL,
      0, 0 },
    { "sink", BELT_SET_TREE, AT(sink), "", "where batches go: { NAME: { ... } }", NULL, 0, 0 },
    { "aggregate", BELT_SET_TREE, AT(aggregate), "", "fold messages instead of passing them on",
      NULL, 0, 0 },
    { 0 },
};

static const char *const sink_also[] = { "format", NULL };

/* ---- names ------------------------------------------------------------------ */

static int name_batcher(struct belt_builder *b, const struct belt_node *node, const char *name,
                        const char *path, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    if (spec->batchers_used == BELT_BATCHERS - 1)
        return belt_node_error(err, node, "more than %d batchers", BELT_BATCHERS - 1);
    struct belt_batcher_spec *batcher = &spec->batchers[spec->batchers_used];
    if (!belt_is_name(name) || strlen(name) >= sizeof batcher->name)
        return belt_node_error(err, node,
                               "'%s' is no name of a batcher: use a-z, 0-9 and _, a "
                               "letter first",
                               name);
    snprintf(batcher->name, sizeof batcher->name, "%s", name);
    snprintf(batcher->path, sizeof batcher->path, "%s", path);
    batcher->node = node;
    spec->batchers_used++;
    return 0;
}

int belt_spec_name_batchers(struct belt_builder *b, struct belt_error *err)
{
    const struct belt_node *one = belt_node_get(b->root, "batcher");
    const struct belt_node *many = belt_node_get(b->root, "batchers");
    b->spec->failed = -1;
    if (one && many)
        return belt_node_error(err, many, "batcher and batchers: give one of them");
    if (one)
        return name_batcher(b, one, "batcher", "batcher", err);
    if (many && belt_node_kind(many) != BELT_NODE_MAP)
        return belt_node_error(err, many, "batchers is a map: batchers: { NAME: { sink: ... } }");
    for (size_t i = 0; many && i < belt_node_count(many); i++) {
        char path[96];
        const char *name = belt_node_key(many, i);
        snprintf(path, sizeof path, "batchers.%.64s", name);
        int rc = name_batcher(b, belt_node_at(many, i), name, path, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- settings --------------------------------------------------------------- */

static int add_aggregate(struct belt_builder *b, struct belt_batcher_spec *batcher,
                         const struct batcher_conf *conf, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    struct belt_setup setup = { .spec = spec,
                                .node = conf->aggregate,
                                .path = batcher->path,
                                .columns = spec->columns,
                                .columns_used = &spec->columns_used,
                                .visible = &spec->visible,
                                .used = &spec->used };
    int rc = belt_agg_spec_new(&batcher->aggregate, conf->aggregate, &setup, err);
    if (rc < 0)
        return rc;
    if (conf->concurrency != 1 || conf->most > 1)
        return belt_node_error(err, batcher->node,
                               "an aggregate has one instance: its groups are "
                               "combined in the processors' lanes");
    for (int s = 0; s < spec->sources_used; s++) {
        const struct belt_source_spec *source = &spec->sources[s];
        if (belt_source_acks(source) && !belt_source_rewinds(source) &&
            !belt_source_part(source)->ack_folded)
            return belt_node_error(err, conf->aggregate,
                                   "an aggregate keeps messages in memory, and %s (%s) would be "
                                   "told that they are done: it cannot give them again",
                                   source->path, source->use.part->name);
    }
    const struct belt_column_info *infos;
    int outputs = belt_agg_outputs(batcher->aggregate, &infos);
    memcpy(batcher->columns + 1, infos, (size_t)outputs * sizeof *infos);
    batcher->columns_used = outputs + 1;
    b->visible = b->used = NULL; /* from here on it has columns of its own */
    batcher->ordered = false;
    return 0;
}

static int add_key(struct belt_builder *b, struct belt_batcher_spec *batcher, const char *key,
                   struct belt_error *err)
{
    struct belt_setup setup = { .spec = b->spec,
                                .node = batcher->node,
                                .path = batcher->path,
                                .columns = batcher->columns,
                                .columns_used = &batcher->columns_used,
                                .visible = b->visible,
                                .used = b->used };
    batcher->key = -1;
    if (!key || !*key)
        return 0;
    const struct belt_node *at = belt_node_get(batcher->node, "key");
    batcher->key = belt_setup_field(&setup, at, key, err);
    if (batcher->key < 0)
        return batcher->key;
    if (batcher->columns[batcher->key].type != BELT_TEXT)
        return belt_node_error(err, at, "key: '%s' is a number; a batch key is a text field", key);
    return batcher->aggregate ? belt_node_error(err, at, "an aggregate has no batch key") : 0;
}

static int add_partition(struct belt_builder *b, struct belt_batcher_spec *batcher,
                         const char *field, struct belt_error *err)
{
    struct belt_setup setup = { .spec = b->spec,
                                .node = batcher->node,
                                .path = batcher->path,
                                .columns = batcher->columns,
                                .columns_used = &batcher->columns_used,
                                .visible = b->visible,
                                .used = b->used };
    const struct belt_node *at = belt_node_get(batcher->node, "partition_by");
    batcher->partition = -1;
    if (!field || !*field) {
        struct belt_error unknown; /* the pipeline's holds where its field is known */
        bool inherits = *b->spec->partition_by && batcher->instances > 1 && !batcher->aggregate;
        if (inherits)
            batcher->partition = belt_setup_field(&setup, NULL, b->spec->partition_by, &unknown);
        if (batcher->partition < 0)
            batcher->partition = -1;
        return 0;
    }
    if (batcher->aggregate)
        return belt_node_error(err, at, "an aggregate has no partitions");
    batcher->partition = belt_setup_field(&setup, at, field, err);
    return batcher->partition < 0 ? batcher->partition : 0;
}

static int add_format(struct belt_builder *b, struct belt_batcher_spec *batcher,
                      const char *fallback, struct belt_error *err)
{
    const struct belt_node *node = belt_node_get(batcher->sink.node, "format");
    struct belt_node *made;
    char path[128];
    if (!node) {
        const struct belt_sink *sink = (const struct belt_sink *)(const void *)batcher->sink.part;
        int rc = belt_yaml_value(b->tree, sink->format ? sink->format : fallback,
                                 belt_node_place(batcher->node), 1, &made, err);
        if (rc < 0)
            return rc;
        node = made;
    }
    snprintf(path, sizeof path, "%s.sink.format", batcher->path);
    int rc = belt_use_part(b, &batcher->format, BELT_FORMAT, node, path, NULL, err);
    if (rc == 0)
        rc = belt_use_prepare(b, &batcher->format, batcher->columns, &batcher->columns_used, false,
                              err);
    if (rc < 0)
        return rc;
    const struct belt_format *format =
        (const struct belt_format *)(const void *)batcher->format.part;
    if (format->header)
        batcher->header_size =
            format->header(batcher->format.conf, batcher->header, sizeof batcher->header);
    return 0;
}

struct belt_instance belt_sink_instance(const struct belt_batcher_spec *batcher, uint32_t index,
                                        uint32_t count, const char *backend, void *const *context)
{
    return (struct belt_instance){
        .size = sizeof(struct belt_instance),
        .index = index,
        .count = count,
        .stage = batcher->path,
        .header = batcher->header,
        .header_size = (uint32_t)batcher->header_size,
        .backend = backend,
        .context = context,
        .format = (const struct belt_format *)(const void *)batcher->format.part,
    };
}

/* Between sources there is no order to keep; behind an exchange chunks have none any
 * more, only the messages of a partition among each other. */
static int set_order(const struct belt_spec *spec, struct belt_batcher_spec *batcher, bool ordered,
                     struct belt_error *err)
{
    const struct belt_node *asked = belt_node_get(batcher->node, "order");
    bool several = spec->sources_used > 1;
    batcher->ordered = ordered && !several && spec->keeps_order;
    if (batcher->ordered || !ordered || !asked)
        return 0;
    if (!several)
        return belt_node_error(err, asked,
                               "%s: order: input cannot be kept behind processors that exchange "
                               "messages: order: any (partition_by keeps the order of each "
                               "partition)",
                               batcher->path);
    return belt_node_error(err, asked,
                           "%s: order: input has no meaning with %d sources, whose messages have "
                           "no order among each other: order: any",
                           batcher->path, spec->sources_used);
}

/* What is not said is as `failed` says, or as always. */
static struct belt_retry_conf retry_of(const struct batcher_conf *conf,
                                       const struct belt_retry_conf *general)
{
    return (struct belt_retry_conf){
        .attempts = conf->attempts ? conf->attempts : general->attempts,
        .backoff = conf->backoff ? conf->backoff : general->backoff,
        .backoff_max = conf->backoff_max ? conf->backoff_max : general->backoff_max,
    };
}

static int check_retry(const struct belt_builder *b, const struct belt_batcher_spec *batcher,
                       struct belt_error *err)
{
    const struct belt_retry_conf *retry = &batcher->retry;
    const struct belt_node *first = belt_node_get(batcher->node, "backoff");
    const struct belt_node *at = first ? first : belt_node_get(batcher->node, "backoff_max");
    if (at && retry->backoff > retry->backoff_max)
        return belt_node_error(err, at, "'backoff' of %s is longer than backoff_max",
                               batcher->path);
    if (!at || retry->attempts > 1 || belt_spec_is_failed(b->spec, batcher))
        return 0; /* of failed: all batchers' that say nothing else */
    return belt_node_error(err, at,
                           "'%s' of %s is for batches that are handed over again: attempts: 3",
                           first ? "backoff" : "backoff_max", batcher->path);
}

static int set_size(struct belt_batcher_spec *batcher, const struct batcher_conf *conf,
                    struct belt_error *err)
{
    const struct belt_node *at = belt_node_get(batcher->node, "max_concurrency");
    batcher->starts = (uint32_t)conf->concurrency;
    batcher->instances = conf->most ? (uint32_t)conf->most : batcher->starts;
    if (batcher->instances >= batcher->starts)
        return 0;
    return belt_node_error(err, at, "max_concurrency of %s is less than its concurrency: %u",
                           batcher->path, batcher->starts);
}

/* What every batcher has; `columns` are those of the messages it is sent. */
static int add_batcher(struct belt_builder *b, struct belt_batcher_spec *batcher,
                       const char *format, struct belt_error *err)
{
    struct batcher_conf conf = { 0 };
    struct belt_settings_in in = { .table = belt_batcher_settings,
                                   .node = batcher->node,
                                   .at = b->root,
                                   .what = batcher->path,
                                   .also = belt_spec_is_failed(b->spec, batcher) ? belt_retry_keys
                                                                                 : NULL };
    int rc = belt_settings_read(&in, &conf, b->tree, err);
    if (rc < 0)
        return rc;
    /* Not conf.sink: `null`, which settings take for nothing, is a sink. */
    const struct belt_node *sink = belt_node_get(batcher->node, "sink");
    if (!sink)
        return belt_node_error(err, batcher->node, "%s needs a sink: sink: { NAME: { ... } }",
                               batcher->path);
    if (conf.bytes > conf.memory / 2)
        return belt_node_error(err, batcher->node,
                               "%s: batches of %llu bytes want twice as much "
                               "memory: set memory, or smaller bytes",
                               batcher->path, (unsigned long long)conf.bytes);
    batcher->size = conf.size;
    batcher->bytes = conf.bytes;
    batcher->timeout = conf.timeout ? conf.timeout : UINT64_MAX;
    batcher->memory = conf.memory;
    rc = set_size(batcher, &conf, err);
    if (rc == 0)
        rc = set_order(b->spec, batcher, conf.order == 0, err);
    if (rc < 0)
        return rc;
    batcher->blocking = conf.blocking;
    batcher->retry = retry_of(&conf, &b->spec->retry);
    rc = check_retry(b, batcher, err);
    char path[128];
    snprintf(path, sizeof path, "%s.sink", batcher->path);
    if (rc == 0 && conf.aggregate)
        rc = add_aggregate(b, batcher, &conf, err);
    if (rc == 0)
        rc = belt_spec_add_hold(b, batcher, &conf.hold, err);
    if (rc == 0)
        rc = add_key(b, batcher, conf.key, err);
    if (rc == 0)
        rc = add_partition(b, batcher, conf.partition_by, err);
    if (rc == 0)
        rc = belt_use_part(b, &batcher->sink, BELT_SINK, sink, path, sink_also, err);
    if (rc == 0)
        rc = belt_use_prepare(b, &batcher->sink, batcher->columns, &batcher->columns_used, false,
                              err);
    if (rc == 0)
        rc = belt_spec_add_sink_worker(b, batcher, conf.isolation, conf.worker, err);
    if (rc == 0 && batcher->sink.limit && batcher->instances > batcher->sink.limit)
        rc = belt_node_error(err, batcher->sink.node, "%s: at most %u instance%s can write there",
                             batcher->path, batcher->sink.limit,
                             batcher->sink.limit == 1 ? "" : "s");
    return rc < 0 ? rc : add_format(b, batcher, format, err);
}

/* The text of a sink's `path`, or of the sink itself where that stands for it. */
static const char *path_of(const struct belt_batcher_spec *batcher)
{
    const char *scalar = batcher->sink.part->scalar;
    bool stands_for_it = scalar && strcmp(scalar, "path") == 0;
    const char *whole = stands_for_it ? belt_node_text(batcher->sink.node) : NULL;
    const struct belt_node *path = belt_node_get(batcher->sink.node, "path");
    return path ? belt_node_text(path) : whole;
}

/* Without a key all instances would write one file, each from its beginning on. */
static int check_key(const struct belt_batcher_spec *batcher, struct belt_error *err)
{
    const char *path = path_of(batcher);
    if (!path || !strstr(path, "{key}") || batcher->key >= 0)
        return 0;
    const struct belt_node *at = belt_node_get(batcher->sink.node, "path");
    return belt_node_error(err, at ? at : batcher->sink.node,
                           "'%s' has a file for each key: say of which field, %s.key: FIELD", path,
                           batcher->path);
}

/* Two sinks of one part with one path would destroy each other's file. */
static int check_paths(const struct belt_spec *spec, int batchers, struct belt_error *err)
{
    int rc = 0;
    for (int i = 0; i < batchers && rc == 0; i++)
        rc = check_key(&spec->batchers[i], err);
    for (int i = 0; i < batchers && rc == 0; i++)
        for (int j = 0; j < i; j++) {
            const struct belt_batcher_spec *a = &spec->batchers[j], *c = &spec->batchers[i];
            const char *one = path_of(a), *other = path_of(c);
            if (a->sink.part == c->sink.part && one && other && *one && strcmp(one, other) == 0)
                return belt_node_error(err, c->sink.node,
                                       "%s writes '%s' as well: give each "
                                       "its own path",
                                       a->path, one);
        }
    return rc;
}

/* The columns that a failed message has: dispatch.c and refused.c fill them. */
static const struct belt_column_info failed_columns[BELT_FAILED_COLUMNS] = {
    [BELT_FAILED_PAYLOAD] = { "payload", BELT_TEXT, 0 },
    [BELT_FAILED_REASON] = { "reason", BELT_TEXT, 0 },
    [BELT_FAILED_FILE] = { "file", BELT_TEXT, 0 },
    [BELT_FAILED_PLACE] = { "place", BELT_INT, 0 },
    [BELT_FAILED_ATTEMPTS] = { "attempts", BELT_INT, 0 },
    [BELT_FAILED_BATCHER] = { "batcher", BELT_TEXT, 0 },
};

#define FAILED_FORMAT "{ ndjson: { columns: [file, place, batcher, attempts, reason, payload] } }"
#define BACKOFF UINT64_C(100000000)
#define BACKOFF_MAX UINT64_C(30000000000)

/* `failed: { attempts: ... }` holds for all: it is read before them. */
static int read_retry(struct belt_builder *b, struct belt_error *err)
{
    static const struct belt_retry_conf once = { 1, BACKOFF, BACKOFF_MAX };
    const struct belt_node *node = belt_node_get(b->root, "failed");
    struct batcher_conf conf = { 0 };
    struct belt_settings_in in = { .table = belt_batcher_settings,
                                   .node = node,
                                   .at = b->root,
                                   .what = "failed",
                                   .also = belt_retry_keys };
    int rc = node ? belt_settings_read(&in, &conf, b->tree, err) : 0;
    b->spec->retry = retry_of(&conf, &once);
    return rc;
}

const char *const belt_failed_without[] = { "aggregate", "concurrency", "order", NULL };

static int check_failed(const struct belt_node *node, struct belt_error *err)
{
    for (const char *const *key = belt_failed_without; *key; key++)
        if (belt_node_get(node, *key))
            return belt_node_error(err, belt_node_get(node, *key),
                                   "failed: '%s' is for batchers: failed messages go to one "
                                   "instance, as they come",
                                   *key);
    return 0;
}

static int add_failed(struct belt_builder *b, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    const struct belt_node *node = belt_node_get(b->root, "failed");
    /* Without a sink it just says how often to try. */
    bool sends = belt_node_get(node, "sink") || !belt_node_get(node, "attempts");
    if (!node || !sends)
        return check_paths(spec, spec->batchers_used, err);
    struct belt_batcher_spec *batcher = &spec->batchers[spec->batchers_used];
    b->visible = b->used = NULL;
    snprintf(batcher->name, sizeof batcher->name, "failed");
    snprintf(batcher->path, sizeof batcher->path, "failed");
    batcher->node = node;
    memcpy(batcher->columns, failed_columns, sizeof failed_columns);
    batcher->columns_used = BELT_FAILED_COLUMNS;
    spec->failed = spec->batchers_used;
    int rc = check_failed(node, err);
    if (rc == 0)
        rc = add_batcher(b, batcher, FAILED_FORMAT, err);
    batcher->ordered = false;
    batcher->instances = batcher->starts = 1;
    return rc < 0 ? rc : check_paths(spec, spec->batchers_used + 1, err);
}

int belt_spec_add_batchers(struct belt_builder *b, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    int retry = read_retry(b, err);
    if (retry < 0)
        return retry;
    for (int i = 0; i < spec->batchers_used; i++) {
        struct belt_batcher_spec *batcher = &spec->batchers[i];
        b->visible = &spec->visible;
        b->used = &spec->used;
        memcpy(batcher->columns, spec->columns, sizeof spec->columns);
        batcher->columns_used = spec->columns_used;
        int rc = add_batcher(b, batcher, "lines", err);
        if (rc < 0)
            return rc;
    }
    return add_failed(b, err);
}
