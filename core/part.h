/* Stages written in C. A part is a const table: what it is called, its
 * settings, its functions. The same part works linked in
 * (belt_pipeline_add) and from a plugin `.so` that exports
 *     const struct belt_part *const belt_plugin_parts[] = { &mine.part, NULL };
 *
 * Life of a part used by a stage with N instances (lanes):
 *   prepare(conf)            once   names -> ids; opens nothing (`validate` stops here)
 *   open(conf)               once   at start, sources first: files, tables
 *   init(state, conf)        N x    in the thread or worker that will run it
 *   frame/fill/batch ...            the work; calls of one instance never overlap
 *   fini(state, conf)        N x    the same; not in a worker that dies
 *   close(conf)              once   at the end; also after a failed start, even
 *                                   when prepare or open failed or never ran
 * Any of them may be NULL. fini follows only an init that succeeded: one that fails
 * leaves nothing behind. */
#ifndef BELT_PART_H
#define BELT_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "error.h"
#include "tree.h"
#include "view.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_ABI 1

enum belt_part_kind { BELT_SOURCE = 1, BELT_STEP, BELT_SINK, BELT_FORMAT };

/* ---- settings --------------------------------------------------------------- */

enum belt_setting_type {
    BELT_SET_TEXT,   /* const char *                                                  */
    BELT_SET_BOOL,   /* bool: true | false                                            */
    BELT_SET_INT,    /* int64_t within [min, max]                                     */
    BELT_SET_SIZE,   /* uint64_t bytes within [min, max]; unit required: 512B 64KiB 1MiB 1kB 1GB */
    BELT_SET_TIME,   /* uint64_t nanoseconds; unit required: 10ms 1s 5m 1h            */
    BELT_SET_CHOICE, /* int: index in `choices`, words separated by '|'               */
    BELT_SET_LIST,   /* struct belt_texts; one scalar is a list of one                */
    BELT_SET_TREE    /* const struct belt_node *: the part reads it itself in prepare */
};

struct belt_texts {
    const char *const *at;
    size_t count;
};

struct belt_setting {
    const char *name;
    enum belt_setting_type type;
    size_t offset;        /* in conf */
    const char *fallback; /* as it would be written; NULL: required; "": absent is allowed */
    const char *help;     /* one line, no final dot */
    const char *choices;  /* CHOICE only */
    int64_t min, max;     /* INT, SIZE; both 0: any that is not negative */
};

/* ---- set-up ----------------------------------------------------------------- */

struct belt_setup; /* the chain so far, seen from prepare() */

/* Adds a column to the messages; its id, or negative with err set (name taken, too many). */
BELT_API int belt_setup_add(struct belt_setup *setup, const struct belt_node *at, const char *name,
                            enum belt_type type, unsigned digits, struct belt_error *err);
/* The id of a column that an earlier step added ("payload" is 0), or negative
 * with err set: "FILE:LINE:COLUMN: no field 'x' here; did you mean 'y'?". */
BELT_API int belt_setup_field(struct belt_setup *setup, const struct belt_node *at,
                              const char *name, struct belt_error *err);
/* NULL: there is no such column, or messages do not have it here. What a stage reads it
 * must have asked for, here or by its name: other columns may not reach it. */
BELT_API const struct belt_column_info *belt_setup_info(const struct belt_setup *setup, int column);
BELT_API int belt_setup_columns(const struct belt_setup *setup);
/* The id of a batcher of this pipeline, or negative with err set. Steps only. */
BELT_API int belt_setup_batcher(struct belt_setup *setup, const struct belt_node *at,
                                const char *name, struct belt_error *err);
/* The id by which belt_configure_ack() asks a message's source for this ("reject", "requeue
 * later": what there is, a source says), or negative with err set: no source knows it. Steps
 * only. At most 63 bytes, copied. */
BELT_API int belt_setup_ack(struct belt_setup *setup, const struct belt_node *at,
                            const char *option, struct belt_error *err);
/* This stage's own node, for the place in messages, and its path ("processor.steps.0"). */
BELT_API const struct belt_node *belt_setup_node(const struct belt_setup *setup);
BELT_API const char *belt_setup_path(const struct belt_setup *setup);
/* At most so many instances of this stage can run: one that reads stdin, or
 * writes one file. More asked for by hand are refused. Sources and sinks. */
BELT_API void belt_setup_limit(struct belt_setup *setup, uint32_t instances);
/* A source: bytes of arena that each instance wants, in slabs of `slab` bytes. */
BELT_API void belt_setup_arena(struct belt_setup *setup, uint32_t slab, uint32_t slabs);
/* A source that has no end of its own: it does not rewind, and a stop is its end, after which
 * sinks and aggregates finish as ever. */
BELT_API void belt_setup_endless(struct belt_setup *setup);
/* A source: a later run goes on behind what this one settled. */
BELT_API void belt_setup_resumes(struct belt_setup *setup);
/* A sink: whether a source of the pipeline does so. What is settled has to outlive the run then. */
BELT_API bool belt_setup_resumed(const struct belt_setup *setup);
/* A source with ack(): with these settings nobody is to be told. */
BELT_API void belt_setup_unacked(struct belt_setup *setup);

/* What init() gets. */
struct belt_instance {
    uint32_t size;         /* sizeof(struct belt_instance) */
    uint32_t index, count; /* instance `index` of `count` */
    const char *stage;     /* "source", "processor", "batchers.totals", ... */
    char *arena;           /* sources: slab k is at arena + k * slab; BELT_PAD around all */
    uint32_t slab, slabs;
    const char *header; /* sinks: what the format writes at the start of a new file */
    uint32_t header_size;
    const char *backend; /* "io_uring" | "posix" as asked for, "auto" else */
    uint64_t tickets;    /* sources: tickets of unsettled messages differ modulo this */
    /* Where the application's pointer is, as belt_pipeline_context() set it last: to be read
     * in each callback, until fini. In a worker it is always NULL. */
    void *const *context;
    const struct belt_format *format; /* sinks: what wrote the rows; NULL: not known */
};

/* ---- the four kinds --------------------------------------------------------- */

struct belt_part {
    uint32_t abi; /* BELT_ABI */
    enum belt_part_kind kind;
    const char *name;                    /* [a-z][a-z0-9_]* */
    const char *help;                    /* one line, no final dot */
    const struct belt_setting *settings; /* ended by a name of NULL; NULL: none */
    size_t conf_size, state_size;        /* both zeroed before use */
    int (*prepare)(void *conf, struct belt_setup *setup, struct belt_error *err);
    int (*open)(void *conf, struct belt_error *err);
    int (*init)(void *state, void *conf, const struct belt_instance *in, struct belt_error *err);
    void (*fini)(void *state, void *conf);
    void (*close)(void *conf);
    const char *scalar; /* the setting that a scalar means, `keep: x`; NULL: none */
};

/* A step handles the live messages of [first, end) and returns the index after
 * the last one that it handled: view->end, or less when belt_room ran out. Set
 * exactly one of the two: `frame` is the fast form, `message` is called per
 * live message (0: handled, negative: room ran out). */
struct belt_step {
    struct belt_part part;
    uint32_t (*frame)(void *state, struct belt_view *view);
    int (*message)(void *state, struct belt_view *view, uint32_t i);
    bool emits; /* belt_emit: the steps behind see what it emitted, not what it saw. Threads only */
    /* With `message`: called once before it, with all messages that are there together, a
     * frame as a rule; may drop and fail. In a worker that was restarted, again. May be NULL. */
    void (*prepare)(void *state, struct belt_view *view);
    /* For every message of its processor's frames that failed, wherever in the chain, before
     * it is settled, tried again or sent to `failed`. May give another reason
     * (belt_fail_message) or text (belt_put_text); it stays failed. May be NULL. */
    void (*failed)(void *state, struct belt_view *view, uint32_t i, const char *reason);
};

/* What a source fills: up to `most` records whose bytes lie in its arena. */
struct belt_fill {
    uint32_t size;               /* sizeof(struct belt_fill) */
    struct belt_span *spans;     /* [BELT_FRAME], to be written */
    const char *base;            /* set by fill: what the spans are relative to */
    uint32_t slab;               /* set by fill: slab that holds the bytes */
    bool last_of_slab;           /* set by fill: no later frame uses this slab; recycle() follows */
    uint64_t chunk;              /* set by fill: the chunk's position in the order of the input */
    bool last_of_chunk;          /* set by fill: the frame (perhaps empty) that ends its chunk */
    uint32_t file;               /* set by fill: for name(), where(); bit 31: `place` is a line */
    uint64_t place;              /* set by fill: `base`'s offset in the file, or record 0's line */
    uint64_t failed[BELT_WORDS]; /* zero on entry; bit i: record i could not be taken whole */
    const char *failed_reason;   /* set by fill when a bit of failed[] is: static text */
    uint32_t most;               /* at most so many records; 0, only after stop(): end, or idle */
    uint64_t ticket;             /* by which ack() tells record 0; record i's is ticket + i */
};

/* What became of some of the 64 messages from `ticket` on: message i by its bit i. */
struct belt_acked {
    uint32_t size;         /* sizeof(struct belt_acked) */
    uint64_t ticket;       /* a multiple of 64 */
    uint64_t done, failed; /* not both */
    /* [64]: what configure() said of message i, where a step asked for it; 0: none did. NULL:
     * no step of this pipeline asks. Of messages in done and failed; lent for the call. */
    const uint8_t *options;
    struct belt_reasons *reasons;
};

/* Why message i of these failed, in its source's ack(). False, and "": it did not, the source
 * does not say ack_reasons, or some thousand others failed before it was told. */
BELT_API bool belt_acked_reason(const struct belt_acked *acked, uint32_t i, char out[BELT_REASON]);

enum { BELT_FILL_IDLE = -1, BELT_FILL_END = -2, BELT_FILL_ERROR = -3 };

struct belt_source {
    struct belt_part part;
    /* Number of records written (0 allowed, with last_of_chunk or last_of_slab),
     * BELT_FILL_IDLE: nothing right now, BELT_FILL_END: never again,
     * BELT_FILL_ERROR: cannot go on, err set; the run stops with work left. */
    int (*fill)(void *state, struct belt_fill *out, struct belt_error *err);
    /* Every frame of this slab is released. Same thread as fill. */
    void (*recycle)(void *state, uint32_t slab);
    /* The pipeline drains: fill answers BELT_FILL_END as soon as it can. */
    void (*stop)(void *state);
    /* A descriptor that becomes readable when an idle fill is worth another call; -1: none. */
    int (*fd)(void *state);
    /* The path behind a frame's `file`, for rows of failed messages. Any thread. May be NULL. */
    const char *(*name)(void *conf, uint32_t file);
    /* Writes "FILE:LINE" (or "stdin:LINE") for a record: `file`, and the frame's place + span.at
     * (or, with bit 31 of `file`, place + the record's index). Cold; control thread, after the
     * lanes have ended. */
    int (*where)(void *conf, uint32_t file, uint64_t place, char *out, size_t room);
    /* How this instance reads ("io_uring"), for the summary; static text. May be NULL. */
    const char *(*means)(void *state);
    /* Bytes read so far by this instance, and in all (0: unknown), for the progress
     * line. Any thread. */
    uint64_t (*progress)(void *state, uint64_t *total);
    bool rewinds; /* reading again from the start gives the same records */
    /* Acknowledge upstream: the outcome of messages, of each once; what is never told of
     * was not settled. In the order of tickets, those of fill in between missing where a
     * frame was short; or, with ack_any, as they settle. Same thread as fill, and before
     * fini. May be NULL. */
    void (*ack)(void *state, const struct belt_acked *acked);
    bool ack_any;
    /* An aggregate has folded messages in its memory alone. Where that is not enough for
     * upstream (false) and the source does not rewind, the two are refused together. */
    bool ack_folded;
    /* After BELT_FILL_ERROR this instance may be closed and set up again (fini, init),
     * when all that it gave is released, and told to ack(): it goes on where `conf`
     * says. For `restart` of a source's settings. */
    bool restarts;
    /* Fields that the source added in prepare: sets their columns for messages
     * [first, end), from the bytes around the payloads. Lane or worker of a processor. */
    void (*load)(const void *conf, struct belt_view *view);
    /* Which bytes load() needs for the message whose payload is `span` of `base`: what
     * is kept of one that is tried again. NULL: the payload alone. */
    struct belt_span (*extent)(const void *conf, const char *base, struct belt_span span);
    /* What a step may ask for about a message's acknowledgement (belt_setup_ack), once for
     * each text, which lives until close(), before open(): the number by which ack() is told
     * so, 1 to 255; negative, err set: it means nothing here. NULL: nothing can be asked. */
    int (*configure)(void *conf, const char *option, struct belt_error *err);
    bool ack_reasons; /* ack() asks belt_acked_reason(): 700 KiB of memory an instance */
    /* A file that it reads, before anything is opened: its lanes go near the device. NULL, or
     * no such function: nothing to go near to. Lent as long as `conf`. */
    const char *(*path)(const void *conf);
};

#define BELT_CUT_STATE 64

struct belt_sink {
    struct belt_part part;
    /* 0: taken, may be settled; BELT_PENDING; negative errno: the batch fails, its
     * reason is err->text. In a worker (isolation: process), where only sinks without
     * poll() run, a batch may come again when a worker died over it: batch->attempt. */
    int (*batch)(void *state, struct belt_batch *batch, struct belt_error *err);
    /* Looks for completions; how many batches it ended. NULL: never pending, and a batch's
     * rows may lie anywhere until batch() returns. */
    int (*poll)(void *state);
    /* After the last batch; `complete` false: the run stopped early. Negative: the
     * run failed. */
    int (*finish)(void *state, bool complete, struct belt_error *err);
    int (*fd)(void *state); /* readable when poll is worth a call; -1 or NULL: none */
    /* Messages that failed for good, all of one batch in one call (batch->count of
     * them; belt_batch_reason() says why each did), before they are settled and go to
     * `failed`. Nothing it does changes that. `code`: of the refusal, 0 if the sink
     * failed single messages; `reason`: the first one's. May be NULL. */
    void (*failed)(void *state, struct belt_batch *batch, int code, const char *reason);
    /* A rule of its own, asked once for each row before it enters its batch, which is
     * `so_far` (count 0 at first): true: the row is the batch's last one (trigger
     * BELT_TRIGGER_CUT). `per_batch`: BELT_CUT_STATE bytes, 8-aligned, of this batch alone,
     * zero when it begins. `size`, `bytes` and `timeout` cut as ever. May be NULL. */
    bool (*cut)(void *state, void *per_batch, const struct belt_batch *so_far, const char *row,
                uint32_t size);
    /* Its format where none is set, as in YAML: "raw", "{ packed: [name, value] }".
     * NULL: `lines`, in `failed` `ndjson`. */
    const char *format;
    /* The time: called at the start of each turn, before all batches of it. `now`: nanoseconds
     * of a clock that never goes back, a fake one in tests. Returns the time at which it wants
     * to be called at the latest, UINT64_MAX for none. Not for sinks in workers. May be NULL. */
    uint64_t (*tick)(void *state, uint64_t now);
};

/* How a message becomes a row. Chosen by a sink's `format:` setting. */
struct belt_format {
    struct belt_part part;
    /* The header of a new file into out[room]; its size, 0 for none. conf after prepare. */
    size_t (*header)(const void *conf, char *out, size_t room);
    /* Most bytes that row() may write for message i of this view. */
    size_t (*bound)(const void *conf, const struct belt_view *view, uint32_t i);
    /* Writes the row with its end mark; out has bound() + BELT_PAD bytes. The bytes written. */
    size_t (*row)(const void *conf, const struct belt_view *view, uint32_t i, char *out);
    uint32_t end_size; /* bytes of the mark that ends each row: a newline's 1, or 0 */
    char quote;        /* between two of these a newline ends no row; 0: there is no such */
    /* Optional, and much faster for small rows: many at once. The messages are 64 * w + k
     * for each bit k of `mask`, low bits first. The sum of their bounds; */
    size_t (*bounds)(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask);
    /* their rows one after another, each one's place (from `at`) and size in places[]: the
     * bytes written. Both or none of the two; they must agree with bound() and row(). */
    size_t (*rows)(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask,
                   char *out, uint32_t at, struct belt_span *places);
    /* Optional, with these two: the size of each of those rows when it is the same for all
     * of them and that is cheap to see, else 0. Then bounds() is not asked, and `places`
     * of rows() may be NULL: everybody knows them. */
    size_t (*even)(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask);
};

#ifdef __cplusplus
}
#endif
#endif
