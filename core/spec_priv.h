/* What a pipeline is told to be: the configuration tree checked against the
 * parts' tables. Made by belt_spec_new() without opening anything, read-only
 * afterwards; the run (stage_priv.h) is built from it. */
#ifndef BELT_SPEC_PRIV_H
#define BELT_SPEC_PRIV_H

#include "core/acks_priv.h"
#include "core/part.h"
#include "core/rate_priv.h"
#include "core/tree_priv.h"

#define BELT_STEPS 32
#define BELT_PROCESSORS 16
#define BELT_EVERY_COLUMN UINT32_MAX /* of bits, one for each column */
#define BELT_SOURCES 16
#define BELT_BATCHERS 16 /* the `failed` one included */
#define BELT_HEADER 4096 /* bytes of a format's header */

struct belt_agg_spec;
struct belt_registry;
struct belt_header_use;

/* One part in its place: its settings read, its names resolved. */
struct belt_use {
    const struct belt_part *part;
    void *conf;
    const struct belt_node *node;
    char path[96];
    uint32_t limit;   /* most instances that the part allows; 0: any */
    uint32_t sources; /* a step of these sources' messages alone, a bit each; 0: of all */
    uint64_t memory;  /* bytes that each instance of a step or sink obtains for itself */
};

#define BELT_RESTARTS 64

/* Of an instance that cannot go on: up to `max` times within so long, or the run fails. */
struct belt_restart_conf {
    uint32_t max;             /* 0: never */
    uint64_t within, backoff; /* ns */
};

/* One entry of `sources`, or the single `source`, whose name and path are "source". */
struct belt_source_spec {
    char name[64];
    char path[96]; /* "sources.a" */
    struct belt_use use;
    uint32_t instances;   /* 0: as the planner likes */
    uint32_t slab, slabs; /* its arena, per instance */
    uint64_t window;      /* messages unsettled at a time, per instance */
    uint32_t max_demand;  /* messages in a frame, and on the way to the processors */
    struct belt_rate_conf rate;
    struct belt_restart_conf restart;
    const struct belt_node *transform; /* list of steps of its own, or NULL */
    uint32_t columns, absent;        /* masks: columns that it adds; those of other sources only */
    bool endless, unacked, resumes;  /* as its part asked for in prepare */
    struct belt_header_use *headers; /* of its files, in its conf; NULL: there are none */
};

static inline const struct belt_source *belt_source_part(const struct belt_source_spec *spec)
{
    return (const struct belt_source *)(const void *)spec->use.part;
}

/* Somebody upstream is to be told what became of its messages. */
static inline bool belt_source_acks(const struct belt_source_spec *spec)
{
    return belt_source_part(spec)->ack && !spec->unacked;
}

static inline bool belt_source_rewinds(const struct belt_source_spec *spec)
{
    return belt_source_part(spec)->rewinds && !spec->endless;
}

/* What is tried again, and when: after `backoff` ns, doubled each time up to `backoff_max`. */
struct belt_retry_conf {
    int64_t attempts; /* in all; 1: nothing is tried again */
    uint64_t backoff, backoff_max;
};

enum belt_isolation { BELT_ISOLATION_THREAD, BELT_ISOLATION_PROCESS };
enum belt_sandbox { BELT_SANDBOX_NONE, BELT_SANDBOX_STRICT };

/* isolation: process. Times in ns. */
struct belt_worker_conf {
    int64_t max_attempts;              /* of a message, or a batch, under which a worker died */
    int64_t max_restarts, max_seconds; /* of one worker, or the run fails */
    uint64_t restart_backoff, restart_backoff_max; /* after starts that got nowhere */
    uint64_t timeout, start_timeout;               /* of a callback; of open and init; 0: none */
    uint64_t memory;                               /* bytes a worker may add; 0: any */
    int sandbox;                                   /* enum belt_sandbox */
};

struct belt_batcher_spec {
    char name[64];
    char path[96];
    const struct belt_node *node;
    struct belt_use sink, format;
    struct belt_agg_spec *aggregate;               /* NULL: rows pass through */
    struct belt_column_info columns[BELT_COLUMNS]; /* what the format sees */
    int columns_used;
    int key;                    /* column of the batch key, -1: none */
    int partition;              /* column that says which instance, -1: the key does */
    bool ordered;               /* rows leave in the order of the input */
    uint32_t instances, starts; /* that are made; that get messages from the start */
    int64_t size;               /* a batch is cut at so many messages, */
    uint64_t bytes;             /* so many bytes, */
    uint64_t timeout;           /* or so long after its first message (ns) */
    uint64_t memory;            /* arena of the open batches, bytes */
    uint64_t hold;              /* rows that may wait for an instance whose edge is full, bytes */
    int when_full;              /* enum belt_when_full: and then */
    const char *spill_path;
    uint64_t spill_size; /* for each instance, bytes */
    bool blocking;
    int isolation;                   /* enum belt_isolation, of the sink's callbacks */
    struct belt_worker_conf workers; /* max_attempts: of a batch */
    struct belt_retry_conf retry;    /* of batches that the sink refuses */
    char header[BELT_HEADER];
    size_t header_size;
};

/* What the sink of this batcher is told at init. */
struct belt_instance belt_sink_instance(const struct belt_batcher_spec *batcher, uint32_t index,
                                        uint32_t count, const char *backend, void *const *context);

/* What happens to a row when the edge to its batcher, and what may be held, is full. */
enum belt_when_full { BELT_FULL_WAIT, BELT_FULL_SPILL, BELT_FULL_FAIL };

/* How messages find the instance of a processor. */
enum belt_dispatch {
    BELT_DISPATCH_AUTO,      /* by instance where both sides have as many, else by demand */
    BELT_DISPATCH_DEMAND,    /* any that has room */
    BELT_DISPATCH_PARTITION, /* by the hash of a column */
    BELT_DISPATCH_BROADCAST  /* every one of them */
};

/* A processor as it runs: one of those written, or neighbours that are one chain. */
struct belt_processor_spec {
    char name[128]; /* "processor", "processors.parse", "processors.parse+enrich" */
    const struct belt_node *node;
    int first_step, steps_used; /* of spec->steps */
    uint32_t instances;         /* at the start; 0: as the planner likes */
    uint32_t most;              /* that a resize may go up to; 0: it has no say */
    int isolation;              /* enum belt_isolation */
    struct belt_worker_conf workers;
    bool blocking;     /* lanes of its own */
    bool emits;        /* its last step makes new messages */
    int from;          /* the processor that sends to it; -1: the sources do */
    int children;      /* processors that it sends to; 0: it sends to the batchers */
    int dispatch;      /* enum belt_dispatch, among its instances */
    int partition;     /* column of the sender's messages, -1: none */
    uint32_t visible;  /* columns known at its end, a bit each */
    uint32_t used;     /* columns that its steps asked for by name */
    uint32_t crossing; /* columns that messages bring along from `from` */
};

enum belt_huge { BELT_HUGE_AUTO, BELT_HUGE_RESERVED, BELT_HUGE_OFF };

/* What is asked of the planner, as written; core/plan_read.c makes sense of it. */
struct belt_placement_conf {
    const char *cpus, *topology, *measured;
    const struct belt_node *pin, *fuse, *wait;
    int64_t lanes, memory_node;
    int smt, huge_pages, backend;
    bool touch;
};

struct belt_spec {
    char name[64];
    struct belt_source_spec sources[BELT_SOURCES];
    int sources_used;
    uint32_t slab;                                          /* the largest of all sources */
    struct belt_processor_spec processors[BELT_PROCESSORS]; /* senders first */
    int processors_used;                                    /* at least one */
    struct belt_use steps[BELT_STEPS];                      /* of all processors */
    int steps_used;
    const char *partition_by; /* field, for processors and batchers; "": none */
    struct belt_column_info columns[BELT_COLUMNS];
    int columns_used;
    struct belt_batcher_spec batchers[BELT_BATCHERS];
    int batchers_used;            /* user's batchers */
    int failed;                   /* index of the batcher for failed messages, -1: none */
    struct belt_retry_conf retry; /* failed: { attempts: ... }; batchers may have their own */
    uint64_t hold_messages, hold_memory;           /* that steps may hold */
    uint64_t retry_memory;                         /* of each processor instance, bytes */
    int retry_ordered;                             /* column, -1: none */
    uint8_t column_step[BELT_COLUMNS];             /* 1 + the step that adds it; 0: none */
    bool workers, sink_workers;                    /* some processor has them; some batcher */
    bool transforms;                               /* some source has steps of its own */
    bool keeps_order;                              /* of the input, to behind the processors */
    uint32_t visible;                              /* columns that all messages for batchers have */
    uint32_t used;                                 /* columns that batchers asked for */
    struct belt_ack_option acks[BELT_ACK_OPTIONS]; /* that steps ask for */
    int acks_used;
    uint64_t drain;     /* ns */
    int64_t fail_limit; /* stop early beyond so many failures; -1: never */
    struct belt_placement_conf placement;
    const char *backend; /* how files are read and written */
};

/* The columns of a failed message's row. */
enum {
    BELT_FAILED_PAYLOAD,
    BELT_FAILED_REASON,
    BELT_FAILED_FILE,
    BELT_FAILED_PLACE,
    BELT_FAILED_ATTEMPTS,
    BELT_FAILED_BATCHER,
    BELT_FAILED_COLUMNS
};

static inline bool belt_spec_is_failed(const struct belt_spec *spec,
                                       const struct belt_batcher_spec *batcher)
{
    return spec->failed >= 0 && batcher == &spec->batchers[spec->failed];
}

/* Batchers of the run: the user's and `failed`. */
static inline int belt_spec_outlets(const struct belt_spec *spec)
{
    return spec->batchers_used + (spec->failed >= 0);
}

/* Both own everything they point to but the tree and the parts. */
int belt_spec_new(struct belt_spec **out, struct belt_tree *tree,
                  const struct belt_registry *registry, struct belt_error *err);
void belt_spec_free(struct belt_spec *spec);

/* ---- the pieces (spec*.c) ---------------------------------------------------- */

struct belt_builder {
    struct belt_spec *spec;
    struct belt_tree *tree;
    const struct belt_registry *registry;
    const struct belt_node *root;
    uint32_t *visible, *used; /* of what is being prepared; NULL: all columns */
};

extern const char *const belt_no_keys[];
/* Finds the part, makes its conf and reads its settings. `also`: keys read by others. */
int belt_use_part(struct belt_builder *b, struct belt_use *use, enum belt_part_kind kind,
                  const struct belt_node *node, const char *path, const char *const *also,
                  struct belt_error *err);
/* Runs the part's prepare() with these columns. */
int belt_use_prepare(struct belt_builder *b, struct belt_use *use, struct belt_column_info *columns,
                     int *columns_used, bool batchers, struct belt_error *err);
int belt_spec_add_placement(struct belt_builder *b, struct belt_error *err);
int belt_spec_add_sources(struct belt_builder *b, struct belt_error *err);
/* Steps of single sources, which the first processor runs before its own; `used`: columns
 * that they asked for. Before the processors. */
int belt_spec_add_transforms(struct belt_builder *b, uint32_t *used, struct belt_error *err);
/* What a source does not bring along is empty in its messages. */
void belt_spec_set_absent(struct belt_spec *spec);
/* After the batchers' names, which a step may use. */
int belt_spec_add_processors(struct belt_builder *b, struct belt_error *err);
/* After everything: which columns messages bring along. */
void belt_spec_settle_columns(struct belt_spec *spec);
/* The names of all batchers, before the steps that may use them. */
int belt_spec_name_batchers(struct belt_builder *b, struct belt_error *err);
/* Reads the settings of `table` out of a map that has other keys, too. */
int belt_spec_read_keys(struct belt_builder *b, const struct belt_node *node,
                        const struct belt_setting *table, const char *what, void *conf,
                        struct belt_error *err);
/* Trying again: after all of these. */
int belt_spec_add_retry(struct belt_builder *b, struct belt_error *err);
extern const char *const belt_retry_keys[]; /* of `failed`, read there */
/* Everything else about them, after the steps whose fields they use. */
int belt_spec_add_batchers(struct belt_builder *b, struct belt_error *err);

/* ---- parts by name (registry.c) --------------------------------------------- */

int belt_registry_new(struct belt_registry **out, struct belt_error *err);
void belt_registry_free(struct belt_registry *registry);
int belt_registry_add(struct belt_registry *registry, const struct belt_part *part,
                      struct belt_error *err);
/* Loads a plugin and adds the parts that it exports. */
int belt_registry_plugin(struct belt_registry *registry, const struct belt_node *at,
                         struct belt_error *err);
const struct belt_part *belt_registry_find(const struct belt_registry *registry,
                                           enum belt_part_kind kind, const char *name);
const struct belt_part *belt_registry_at(const struct belt_registry *registry, size_t i);
/* The part named by a map of one key, `{ file: {...} }`, or by a scalar, `null`. */
int belt_registry_pick(const struct belt_registry *registry, enum belt_part_kind kind,
                       const struct belt_node *node, const char *what,
                       const struct belt_part **part, const struct belt_node **settings,
                       struct belt_error *err);

/* ---- the chain as prepare() sees it (setup.c) ------------------------------- */

/* [a-z][a-z0-9_]*: names of fields, sources, processors, batchers. */
bool belt_is_name(const char *name);

struct belt_setup {
    struct belt_spec *spec;
    const struct belt_node *node;
    const char *path;
    uint32_t *limit;
    uint64_t *memory;                 /* of a use; NULL: nobody wants to know */
    struct belt_source_spec *source;  /* whose arena may be asked for; NULL: none */
    struct belt_column_info *columns; /* of the messages at this point */
    int *columns_used;
    uint32_t *visible; /* those of them that messages have here, a bit each; NULL: all */
    uint32_t *used;    /* those that were asked for; NULL: nobody wants to know */
    bool batchers;     /* whether batchers may be named here */
};

#endif
