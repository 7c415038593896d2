/* A run: the stages, lanes, edges and memory made from a spec. Built by
 * belt_run_new() in the control thread; then each stage belongs to its lane. */
#ifndef BELT_RUN_PRIV_H
#define BELT_RUN_PRIV_H

#include <pthread.h>

#include "core/barrier_priv.h"
#include "core/edge_priv.h"
#include "core/emit_priv.h"
#include "core/hold_priv.h"
#include "core/join_priv.h"
#include "core/lane_priv.h"
#include "core/link_priv.h"
#include "core/ledger_priv.h"
#include "core/pipeline.h"
#include "core/rate_priv.h"
#include "core/retry_priv.h"
#include "core/row_edges_priv.h"
#include "core/spec_priv.h"
#include "core/view_priv.h"
#include "numa/place.h"

#define BELT_INSTANCES 256 /* most sources, and most processors */
#define BELT_FAILURES 16   /* first failures kept by each processor */

struct belt_agg;
struct belt_agg_store;
struct belt_plan;
struct belt_zygote;
struct belt_worker;
struct belt_sink_worker;

struct belt_source_stage {
    struct belt_stage stage; /* its index counts over all sources */
    const struct belt_source_spec *spec;
    const struct belt_source *part;
    uint32_t number; /* among its source's instances */
    void *state;
    struct belt_instance in;
    struct belt_feed *feeds;           /* [feeds_used]: each chunk goes to the next one */
    uint32_t feeds_used, feeds_active; /* that there are; that chunks go to */
    struct belt_ledger ledger;
    struct belt_reasons *reasons; /* NULL: its part does not ask */
    struct belt_stamps stamps;
    uint32_t *slab_frames;             /* [slabs]: frames that are out */
    bool *slab_closed;                 /* [slabs]: the last frame was seen */
    uint32_t feed;                     /* where the chunk in hand goes */
    uint64_t on_way;                   /* messages in frames that are out */
    struct belt_rate_state *rate;      /* shared by the source's instances */
    uint64_t due;                      /* when the rate lets something through */
    uint64_t held_back_at;             /* since when it does not, as telemetry told; 0: it does */
    uint64_t progress, progress_total; /* as last told by the part; control thread only */
    uint64_t restarts[BELT_RESTARTS];  /* when, of the last restart.max of them */
    uint32_t restarts_used;            /* all of them */
    bool broken;                       /* fill said that it cannot go on */
    bool starved;                      /* has set `pressure` */
    bool stopping, finished;           /* told to stop; fill said END */
};

/* Rows on their way to one batcher: an edge to each of its instances. */
struct belt_outlet {
    const struct belt_batcher_spec *batcher;
    const struct belt_format *format;
    belt_row_edges_fn *edges_of;
    struct belt_row_out *outs; /* [batcher->instances] */
    uint64_t todo[BELT_WORDS]; /* of the frame in hand, still to be written */
    struct belt_agg *partial;  /* aggregate: this lane's table; NULL: rows pass */
    uint64_t epoch, packed;    /* last epoch begun; cursor of the packing */
    bool packing;              /* a table is being sent */
    uint32_t marked;           /* instances that have the mark of this chunk */
    bool failed;               /* rows are failed messages */
    uint32_t active;           /* instances that get rows: the first ones */
};

struct belt_failure_seen {
    uint64_t chunk, place;
    uint32_t file, source; /* source: of the spec */
    char reason[BELT_REASON];
};

/* Messages of a frame that have been through the steps before `step`. */
struct belt_segment {
    uint32_t first, end;
    int step;
    bool prepared; /* `step` has seen them in its prepare() */
};

struct belt_chain_stage {
    struct belt_stage stage;
    const struct belt_processor_spec *processor;
    struct belt_intake intake; /* from sources, or: */
    struct belt_link_in *ins;  /* [ins_used], from other processors */
    uint32_t ins_used, in_turn;
    struct belt_link_in *in;         /* whose frame is in hand */
    struct belt_link_frame *link;    /* that frame, */
    struct belt_input_frame *linked; /* and what chain->frame is then */
    const struct belt_link_shape *shape;
    struct belt_fanout *fanouts; /* [fanouts_used]: processors that it sends to */
    uint32_t fanouts_used;
    uint32_t copies;        /* of each message, by these */
    struct belt_kids *kids; /* what its last step emitted; NULL: it does not */
    uint32_t leaf;          /* of those that send to batchers, which one */
    void *states[BELT_STEPS];
    int steps_ready; /* states that init saw */
    struct belt_engine engine;
    struct belt_input_frame *frame; /* in hand, or NULL */
    /* [frame->count]: what is still owed of each message: no bit: nothing, several: so many
     * rows to come. NULL: frame->word onwards. */
    struct belt_ticket *sparse;
    const struct belt_origin *origins; /* [frame->count]; NULL: frame->file and place */
    struct belt_ticket *tickets;       /* [BELT_FRAME]: ours, for `sparse` */
    uint32_t number;                   /* of all processors' instances */
    uint64_t disowned;                 /* words of tickets that settle nothing */
    struct belt_joins joins;
    bool pressing;   /* no join was free: batches are to be cut */
    uint32_t joined; /* of `part`: up to here messages have their joins */
    struct belt_segment segments[BELT_STEPS + 1];
    int segments_used;
    struct belt_segment part; /* through the steps, being sorted; empty: none */
    bool dispatching;
    /* [outlets_used]: the batchers, unless it sends to processors; then `failed`, if any. */
    struct belt_outlet *outlets;
    struct belt_column failed_columns[BELT_FAILED_COLUMNS]; /* what a failed one's format sees */
    struct belt_span *failed_spans; /* [3 * BELT_FRAME]: reasons, files, batchers */
    int64_t *failed_places;         /* [2 * BELT_FRAME]: places, attempts */
    int outlets_used;
    struct belt_retry *retry; /* NULL: what fails once has failed */
    bool holds;               /* rows may wait beside the edge of an outlet */
    bool idle;                /* a resize left it without messages (resize.c) */
    struct belt_failure_seen failures[BELT_FAILURES];
    uint32_t failures_used;
    struct belt_worker *worker;       /* isolation: process */
    const struct belt_result *result; /* of the worker, in hand */
    uint64_t taken;                   /* frames that it is through with */
};

struct belt_batcher_stage {
    struct belt_stage stage;
    const struct belt_batcher_spec *spec;
    const struct belt_sink *sink;
    void *state;
    struct belt_instance in;
    struct belt_row_in *ins; /* [processors] */
    uint32_t ins_used, turn;
    uint64_t chunk; /* whose rows are next, when ordered */
    struct belt_batches *batches;
    char *arena;                     /* of the batches, when they are shared with: */
    struct belt_sink_worker *worker; /* isolation: process */
    bool failed;                     /* settles as failed */
    bool finished;                   /* the sink's finish() was called */
    uint64_t now;                    /* of this turn */
    struct belt_row_out refused;     /* to `failed`: the rows of batches that failed for good */
    bool sends_refused;              /* there is such an edge */
    uint64_t sample_due;             /* when a batch is timed next */
    uint64_t tick_due;               /* when the sink wants to be told the time, at the latest */
    uint64_t failures;               /* batches that the sink refused */
    struct belt_failure failure;     /* the first of them */
    struct belt_agg *total;          /* aggregate: the merged table */
    struct belt_agg_store *store;    /* and where full tables go */
    uint64_t epoch;                  /* last emitted */
    bool emitting, sorted;
    uint64_t emit_at;             /* next group */
    struct belt_error sink_error; /* of a batch that fails the run */
};

/* Bytes of the region whose pages are to come from one node; -1: from any. */
struct belt_extent {
    uint64_t from, to;
    int node;
};

struct belt_engine_run {
    const struct belt_spec *spec;
    const struct belt_plan *plan;
    struct belt_zygote *zygote;  /* isolation: process; the pipeline's */
    struct belt_mem region;      /* all edges, arenas, ledgers, columns */
    uint64_t carved;             /* bytes given out of it so far (build.c) */
    int node, last_node;         /* that what is carved next, was carved last is of; -1: any */
    struct belt_extent *extents; /* [extents_used]: whose the region is, in its order */
    uint32_t extents_used, extents_room;
    uint64_t memory; /* bytes in all: region and open batches; tables of groups apart */
    struct belt_source_stage *sources;
    struct belt_chain_stage *chains;
    struct belt_batcher_stage *batchers[BELT_BATCHERS]; /* [batcher] -> [instances] */
    struct belt_rate_state rates[BELT_SOURCES];
    uint32_t sources_used, chains_used;
    uint32_t heads_used; /* chains that sources send to: the first ones */
    uint32_t leafs_used; /* chains that send to batchers */
    bool wants_reasons;  /* some source tells why messages failed */
    bool ordered;        /* some batcher keeps the order of the input */
    struct belt_link_shape shapes[BELT_PROCESSORS];
    int batchers_used; /* the `failed` one included */
    /* Instances that get messages; changed while all lanes stand (resize.c). */
    uint32_t processors_active[BELT_PROCESSORS], batchers_active[BELT_BATCHERS];
    struct belt_pool pool;
    struct belt_holds *holds;     /* NULL: steps may hold nothing */
    struct belt_spiller *spiller; /* NULL: nothing waits in files */
    struct belt_lane *lanes;
    struct belt_hist *hists; /* of all stages */
    uint32_t lanes_used;
    uint64_t started_ns, ended_ns;
    struct belt_barrier barrier;
    void *context;                    /* the application's; changes while no lane makes a turn */
    uint32_t stopping, aborting;      /* atomics: drain; leave at once */
    uint32_t incomplete;              /* atomic: a source was stopped before its end */
    uint32_t pressure;                /* atomic: a source has no ticket left: cut open batches */
    uint64_t stop_deadline;           /* atomic */
    uint64_t wanted;                  /* atomic: events that somebody wants, a bit each */
    uint64_t events;                  /* atomic: struct belt_events *, one for each lane, or 0 */
    uint64_t failed_seen;             /* atomic: failures of all lanes, for fail_limit */
    uint32_t lanes_ready, lanes_left; /* under `lock` */
    bool go;
    uint32_t ready; /* atomic: every stage's init() is done */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct belt_error error; /* first one; under `lock` */
    bool error_placed;       /* it is about the message at: */
    struct belt_failure_seen error_at;
};

/* How many of everything, and where: from a spec and a machine (plan.c). */
struct belt_plan {
    struct belt_topology *topology;
    struct belt_plan_in *in; /* what the planner was told (plan_priv.h) */
    struct belt_place *place;
    uint32_t sources, processors, heads;     /* instances in all; heads: of the first processor */
    uint32_t first_processor, first_batcher; /* index of the planner's stages, sources first */
    uint32_t source_instances[BELT_SOURCES];
    uint32_t processor_instances[BELT_PROCESSORS];
    uint32_t processor_active[BELT_PROCESSORS]; /* of these, at the start */
    bool processor_paired[BELT_PROCESSORS];     /* each with its counterpart of the sender's */
    uint32_t processor_chains[BELT_PROCESSORS]; /* the first of its instances, of all processors' */
    bool pooled; /* sources and processors share one pool of frames */
    bool caller; /* no threads: belt_pipeline_turn */
};
int belt_plan_new(struct belt_plan **out, const struct belt_spec *spec, bool caller,
                  struct belt_error *err);
void belt_plan_free(struct belt_plan *plan);
/* Instance `number` of source `s`, counted over all sources. */
static inline uint32_t belt_plan_source(const struct belt_plan *plan, uint32_t s, uint32_t number)
{
    for (uint32_t before = 0; before < s; before++)
        number += plan->source_instances[before];
    return number;
}

/* Lanes without stages, and the stages on them; before and after these are made
 * (build_lanes.c). */
int belt_lanes_new(struct belt_engine_run *run, struct belt_error *err);
int belt_lanes_fill(struct belt_engine_run *run, struct belt_error *err);
/* Everything made and wired, nothing opened or started (build.c). */
/* open() of every part, sources first, but (`workers`) those that run in workers. */
int belt_run_open(struct belt_spec *spec, bool workers, struct belt_error *err);
int belt_use_open(struct belt_use *use, struct belt_error *err);
int belt_steps_open(struct belt_spec *spec, const struct belt_processor_spec *processor,
                    struct belt_error *err);
int belt_run_new(struct belt_engine_run **out, const struct belt_spec *spec,
                 const struct belt_plan *plan, struct belt_zygote *zygote, struct belt_error *err);
void belt_run_free(struct belt_engine_run *run);
/* Batches and tables of all batchers, once their stages are made (contents.c). */
int belt_run_fill(struct belt_engine_run *run, struct belt_error *err);
/* Other limits for the batches of all instances of this batcher (batchers_used: `failed`);
 * nothing runs meanwhile. All or none. */
int belt_run_set_batches(struct belt_engine_run *run, int batcher, uint32_t size, uint64_t bytes,
                         uint64_t timeout_ns, struct belt_error *err);
/* Remembers the first error and makes every lane leave. Any thread. */
void belt_run_fail(struct belt_engine_run *run, const struct belt_error *err);
/* Remembers it, and makes every source end: what they read is still worked off. */
void belt_run_stop_failed(struct belt_engine_run *run, const struct belt_error *err);
/* As belt_run_fail(), for an error that has to do with a message; NULL: with none. */
void belt_run_fail_at(struct belt_engine_run *run, const struct belt_error *err,
                      const struct belt_failure_seen *at);
/* Adds the message's place to the error's text, once; after the lanes have ended. */
void belt_run_place_error(struct belt_engine_run *run);
void belt_run_wake(struct belt_engine_run *run);

static inline void belt_run_ready(struct belt_engine_run *run)
{
    /* R1, pairs with A1 in add_source(): the states of the parts. */
    belt_store_release32(&run->ready, 1);
}

static inline bool belt_run_aborting(const struct belt_engine_run *run)
{
    /* Relaxed: a flag without data; a turn later is early enough. */
    return belt_load_relaxed32(&run->aborting) != 0;
}

/* More failed than `fail_limit` allows. */
static inline bool belt_run_failed_too_often(struct belt_engine_run *run)
{
    return run->spec->fail_limit >= 0 &&
           belt_load_relaxed(&run->failed_seen) > (uint64_t)run->spec->fail_limit;
}

static inline bool belt_run_stopping(const struct belt_engine_run *run)
{
    return belt_load_relaxed32(&run->stopping) != 0;
}

/* What the source that a ledger's ticket is from is told to be. */
static inline const struct belt_source_spec *belt_run_source(const struct belt_engine_run *run,
                                                             uint64_t word)
{
    return run->sources[BELT_RUN_SOURCE(word)].spec;
}

/* Where the memory of a lane's stages is to come from; -1: anywhere. */
static inline int belt_lane_node(const struct belt_engine_run *run, const struct belt_lane *lane)
{
    return run->plan->place->lanes[lane->index].memory;
}

/* Somebody waits for tickets or joins (or no longer): batches that wait for more
 * messages may hold them. */
void belt_run_press(struct belt_engine_run *run, bool on);

/* ---- resize.c ----------------------------------------------------------------- */

/* Who gets messages is as processors_active and batchers_active say. Nobody moves. */
void belt_run_apply_sizes(struct belt_engine_run *run);
bool belt_stage_is_idle(const struct belt_stage *stage);
/* Sets an idle instance up to get messages, and lets one end that gets none any more; in
 * its lane, at rest. What it may still have to do keeps it from ending. (stage_chain.c) */
int belt_chain_begin(struct belt_stage *stage, struct belt_error *err);
int belt_chain_end(struct belt_stage *stage, struct belt_error *err);

/* ---- settle.c ----------------------------------------------------------------- */

/* Messages are done, or failed: `mask` of the 64 of this ticket word. Any thread. */
void belt_run_settle(struct belt_engine_run *run, uint64_t word, uint64_t mask);
void belt_run_settle_failed(struct belt_engine_run *run, uint64_t word, uint64_t mask);

/* The source's own ticket behind a child's, which is not settled; a bit of 0: nobody's. */
struct belt_ticket belt_run_root(const struct belt_engine_run *run, struct belt_ticket ticket);

/* So many more messages failed: beyond fail_limit the run stops. Any thread. */
void belt_run_count_failed(struct belt_engine_run *run, uint64_t count);

/* Of message i of the frame in hand: one bit, or those of all rows to come. */
static inline struct belt_ticket belt_chain_ticket(const struct belt_chain_stage *chain, uint32_t i)
{
    if (chain->sparse)
        return chain->sparse[i];
    return (struct belt_ticket){ chain->frame->word + i / 64, UINT64_C(1) << (i % 64) };
}

/* The ticket for one row of message i; it is then no longer owed. */
struct belt_ticket belt_chain_take_sparse(struct belt_chain_stage *chain, uint32_t i);
static inline struct belt_ticket belt_chain_take(struct belt_chain_stage *chain, uint32_t i)
{
    return chain->sparse ? belt_chain_take_sparse(chain, i) : belt_chain_ticket(chain, i);
}
/* Messages of the frame in hand are done, or failed: `mask` of the 64 from 64 * w. */
void belt_chain_settle(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed);
/* The same for one of the rows to come of each. */
void belt_chain_settle_one(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed);
/* From now on each message of the frame in hand has a ticket of its own: chain->sparse. */
void belt_chain_own_tickets(struct belt_chain_stage *chain);
/* These tickets of chain->sparse settle nothing: their messages are done. */
uint64_t belt_chain_nobody(struct belt_chain_stage *chain); /* a word of such tickets */
void belt_chain_disown(struct belt_chain_stage *chain, uint32_t w, uint64_t mask);

static inline struct belt_origin belt_chain_origin(const struct belt_chain_stage *chain, uint32_t i)
{
    const struct belt_input_frame *frame = chain->frame;
    if (chain->origins)
        return chain->origins[i];
    return (struct belt_origin){ belt_input_place(frame, i), frame->file, frame->source };
}

/* What its worker reads. */
static inline const struct belt_rx *belt_worker_input(const struct belt_chain_stage *chain)
{
    if (chain->retry)
        return &chain->retry->fed.rx;
    return chain->ins_used ? &chain->ins[0].rx : &chain->intake.rx;
}

/* ---- stage_chain.c, steps.c ------------------------------------------------- */

#define BELT_TEXT_TOO_LONG "its new text is longer than a frame's room"

/* After belt_engine_load(): sets the columns that messages bring along from their source;
 * of the frame in hand, whose origins are known; and the bytes needed to do so again. */
void belt_source_load(const struct belt_source_spec *source, struct belt_engine *engine,
                      uint32_t first, uint32_t end);
void belt_chain_load(struct belt_chain_stage *chain);
struct belt_span belt_chain_extent(const struct belt_chain_stage *chain, uint32_t i);
/* The steps of one processor. */
struct belt_chain {
    const struct belt_use *steps; /* [steps_used] */
    int steps_used;
};
static inline struct belt_chain belt_chain_of(const struct belt_spec *spec,
                                              const struct belt_processor_spec *processor)
{
    return (struct belt_chain){ spec->steps + processor->first_step, processor->steps_used };
}
/* init() of every step. *ready counts those that fini() owes. */
int belt_steps_init(struct belt_chain chain, void *states[BELT_STEPS], int *ready,
                    const struct belt_instance *in, struct belt_error *err);
void belt_steps_fini(struct belt_chain chain, void *states[BELT_STEPS], int *ready);
/* Runs the steps from segment.step on. A step that runs out of room splits the
 * segment: what it did not handle goes to `rest`, to go on at that very step.
 * `fresh`: no room is used but for texts kept; then a message that does not fit
 * alone fails. The segment that went through. */
struct belt_segment belt_segment_run(struct belt_chain chain, void *const states[BELT_STEPS],
                                     struct belt_engine *engine, struct belt_segment segment,
                                     bool fresh, struct belt_segment *rest, int *rest_used);

extern const struct belt_stage_kind belt_source_kind;
extern const struct belt_stage_kind belt_chain_kind;
extern const struct belt_stage_kind belt_batcher_kind;

/* ---- restart.c --------------------------------------------------------------- */

/* It cannot go on: true when it is to be set up again, by belt_source_restart(). */
bool belt_source_may_restart(struct belt_source_stage *s, uint64_t now);
enum belt_turn belt_source_restart(struct belt_source_stage *s, uint64_t now,
                                   struct belt_error *err);

/* ---- dispatch.c: from a frame's columns to the batchers' edges -------------- */

/* Sorts the messages of chain->part by what became of them. 1: done, 0: has to wait
 * for joins: again in a later turn. */
int belt_dispatch_begin(struct belt_chain_stage *chain, struct belt_error *err);
/* A division takes as long as the hash. */
static inline uint32_t belt_edge_of(uint32_t hash, uint32_t instances)
{
    return instances & (instances - 1) ? hash % instances : hash & (instances - 1);
}

/* Which of an outlet's edges a row goes to. Without a key each processor keeps to one
 * batcher, if there are enough on its own lane: nothing need cross. */
static inline uint32_t belt_outlet_edge(const struct belt_chain_stage *chain,
                                        const struct belt_outlet *outlet, uint32_t hash)
{
    if (outlet->active == 1)
        return 0;
    bool spread = outlet->batcher->key < 0 && outlet->batcher->partition < 0;
    return belt_edge_of(spread ? chain->stage.index : hash, outlet->active);
}

/* Rows of the messages in outlet->todo[w], which loses them. False: some are left,
 * to be written one by one (row_words.c). */
bool belt_row_word(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                   const struct belt_view *view, uint32_t w);
/* Writes rows while there is room; 1 when all are written, 0 when not, or negative. */
int belt_dispatch_rows(struct belt_chain_stage *chain, struct belt_error *err);
/* A row, or one of several, that cannot be: its message fails. */
void belt_dispatch_fail(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                        uint32_t i, const char *reason);
/* The same for `mask` of word w. */
void belt_dispatch_fail_word(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                             uint32_t w, uint64_t mask, const char *reason);
/* The frame is through: marks of chunks. True when all marks are out. */
bool belt_dispatch_mark(struct belt_chain_stage *chain);
/* A row that no frame of this outlet can hold: its message fails. */
void belt_dispatch_too_long(struct belt_chain_stage *chain, struct belt_outlet *outlet, uint32_t i,
                            size_t size);
/* Nothing more right now: what is half full leaves. */
void belt_dispatch_flush(struct belt_chain_stage *chain);
/* Sends the partial tables whose epoch is over, or (ended) the last. 1: through, 0: no
 * room now, or negative. */
int belt_dispatch_partials(struct belt_chain_stage *chain, uint64_t now, bool ended,
                           struct belt_error *err);

/* ---- overflow_run.c: rows beside full edges (overflow_priv.h) -------------------------- */

/* A row without room: true when its message fails for it, false when it waits. */
bool belt_overflow_refuse(struct belt_chain_stage *chain, struct belt_outlet *outlet, uint32_t i);
/* Moves on what waits beside the edges of a chain that holds. */
int belt_overflow_serve(struct belt_chain_stage *chain, struct belt_error *err);
/* The files, before anything is read. */
int belt_overflow_start(struct belt_engine_run *run, struct belt_error *err);
void belt_overflow_stop(struct belt_engine_run *run);

/* ---- stage_batcher.c -------------------------------------------------------- */

/* Cuts the oldest batch and hands it to the sink. False: there is none to cut. */
bool belt_batcher_make_room(struct belt_batcher_stage *b);
/* After belt_batch_room(): the row is written, or still elsewhere. Cuts as the sink says. */
void belt_batcher_add(struct belt_batcher_stage *b, const char *row, uint32_t size, uint64_t word,
                      uint64_t bit);

/* ---- refused.c: what becomes of batches that their sink did not take ----------- */

/* The sink has heard that this batch failed for good: its rows go to `failed`. */
void belt_refused_gone(struct belt_batcher_stage *b, struct belt_open_batch *open);
/* Moves rows of failed batches on to `failed`. True when any moved. */
bool belt_refused_move(struct belt_batcher_stage *b);

/* ---- total.c: the merged side of an aggregate ------------------------------- */

/* emit: early: there is no room for these groups; those that are there are emitted first. */
bool belt_total_full(struct belt_batcher_stage *b, const struct belt_row_frame *frame);
int belt_total_take(struct belt_batcher_stage *b, struct belt_row_in *in,
                    const struct belt_row_frame *frame, struct belt_error *err);
/* All edges have sent their tables of an epoch, or (ended) the last: emission begins. */
bool belt_total_due(struct belt_batcher_stage *b, bool ended);
/* Emission: BUSY while rows were written, OUT without room, IN when through. */
enum belt_turn belt_total_emit(struct belt_batcher_stage *b, uint64_t now, struct belt_error *err);

#endif
