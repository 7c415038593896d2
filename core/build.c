/* Makes a run from a spec and a plan: all memory is obtained here, every edge is
 * wired. After this nothing allocates but the parts themselves.
 *
 * The region is laid out by one walk that is done twice: first without memory,
 * to count, then with it. Nothing is touched in the first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/build_priv.h"
#include "core/headers_priv.h"
#include "core/run_priv.h"
#include "core/sink_worker_priv.h"

/* Sizes by measurement (docs/decisions/001): an exchange wants 16 slots, an
 * ordered merge room for several chunks of 256 KiB, a fused edge two frames. */
#define ROW_SLOTS 16
#define ROW_BYTES (128u << 10)
#define ROW_EDGE (4u << 20) /* frames for large rows are fewer: most have a huge page each */
#define FAILED_SLOTS 4
#define FAILED_BYTES (512u << 10)
#define PARTIAL_SLOTS 4
#define FUSED_FRAMES 2
#define LINK_FRAMES 64
#define LINK_SLABS 6 /* more slabs for a source that feeds other lanes */
#define JOINS 4096   /* 128 K messages of two children unsettled per processor, 3 MiB */

void belt_carve_for(struct belt_engine_run *run, const struct belt_stage *stage)
{
    run->node = belt_lane_node(run, stage->lane);
}

/* A page is of one node: where the node changes a new one begins. */
void *belt_carve(struct belt_engine_run *run, uint64_t size, uint64_t align)
{
    uint64_t page = belt_region_page(run);
    if (run->node != run->last_node && align < page)
        align = page;
    run->last_node = run->node;
    run->carved = (run->carved + align - 1) / align * align;
    uint64_t from = run->carved;
    run->carved += size;
    return run->region.base ? belt_homes_add(run, from, run->carved) : NULL;
}

/* Lanes and workers have their roles from us, who also know when one died; what
 * a turn commits are cursors; and a lane with other work does not linger. */
struct belt_mem belt_carve_ring(struct belt_engine_run *run, struct belt_ring_conf conf)
{
    conf.size = sizeof conf;
    conf.body = BELT_BODY_SPANS;
    conf.flags = BELT_NO_ROLES | BELT_NO_LINGER;
    size_t size = belt_ring_footprint(&conf);
    struct belt_mem mem = belt_mem_of(belt_carve(run, size, 4096), size);
    int rc = mem.base ? belt_ring_format(mem, &conf) : 0;
    assert(rc == 0); /* sizes are ours */
    (void)rc;
    return mem;
}

static struct belt_lane *lane_of(struct belt_engine_run *run, uint32_t stage, uint32_t instance)
{
    return &run->lanes[belt_place_lane_of(run->plan->place, stage, instance)];
}

/* Frames that only one thread touches need not queue. */
static bool is_fused(const struct belt_engine_run *run, bool same_lane)
{
    return same_lane && run->sources_used == run->heads_used && !run->chains[0].worker;
}

/* ---- source to processor ---------------------------------------------------- */

static void link_ring(struct belt_engine_run *run, struct belt_source_stage *s, uint32_t f,
                      struct belt_chain_stage *chain)
{
    bool fused = is_fused(run, s->stage.lane == chain->stage.lane);
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .item_size = sizeof(struct belt_input_frame),
                                   .items = fused ? FUSED_FRAMES : LINK_FRAMES };
    belt_carve_for(run, &s->stage);
    struct belt_mem mem = belt_carve_ring(run, conf);
    struct belt_feed *feed = &s->feeds[f];
    struct belt_intake *intake = &chain->intake;
    feed->readers[0] = belt_other_lane(&s->stage, &chain->stage);
    feed->readers_used = 1;
    intake->writers[0] = belt_other_lane(&chain->stage, &s->stage);
    if (chain->worker)
        chain->worker->feed = feed;
    if (mem.base) {
        belt_tx_open(&feed->tx, mem);
        belt_rx_open(&intake->rx, mem);
    }
}

static void link_pool(struct belt_engine_run *run)
{
    struct belt_pool *pool = &run->pool;
    uint32_t sources = run->sources_used, chains = run->heads_used;
    pool->each = LINK_FRAMES;
    pool->count = LINK_FRAMES * sources;
    pool->frames = belt_carve(run, (uint64_t)pool->count * sizeof(struct belt_input_frame), 4096);
    struct belt_ring_conf conf = { .kind = BELT_MPMC_CRASH_UNSAFE,
                                   .item_size = sizeof(uint32_t),
                                   .items = pool->count,
                                   .writers = sources,
                                   .readers = chains };
    pool->ready = belt_carve_ring(run, conf);
    conf.items = pool->each;
    conf.writers = chains;
    conf.readers = 1;
    for (uint32_t s = 0; s < sources; s++)
        pool->free[s] = belt_carve_ring(run, conf);
    for (uint32_t s = 0; run->region.base && s < sources; s++) {
        struct belt_feed *feed = &run->sources[s].feeds[0];
        feed->pool = pool;
        feed->source = s;
        belt_tx_open(&feed->tx, pool->ready);
        belt_rx_open(&feed->free, pool->free[s]);
        feed->readers_used = chains;
        for (uint32_t c = 0; c < chains; c++)
            feed->readers[c] = belt_other_lane(&run->sources[s].stage, &run->chains[c].stage);
    }
    for (uint32_t c = 0; run->region.base && c < chains; c++) {
        struct belt_intake *intake = &run->chains[c].intake;
        intake->pool = pool;
        belt_rx_open(&intake->rx, pool->ready);
        for (uint32_t s = 0; s < sources; s++) {
            belt_tx_open(&intake->free[s], pool->free[s]);
            intake->writers[s] = belt_other_lane(&run->chains[c].stage, &run->sources[s].stage);
        }
    }
}

static void link_sources(struct belt_engine_run *run)
{
    if (run->plan->pooled)
        link_pool(run);
    else if (run->sources_used == run->heads_used)
        for (uint32_t i = 0; i < run->sources_used; i++)
            link_ring(run, &run->sources[i], 0, &run->chains[i]);
    else
        for (uint32_t c = 0; c < run->heads_used; c++)
            link_ring(run, &run->sources[0], c, &run->chains[c]);
}

/* ---- processor to batcher --------------------------------------------------- */

/* An instance's budget is shared by its edges; each holds two full frames at least. */
static uint64_t share_of(uint64_t budget, uint32_t edges, uint32_t capacity)
{
    uint64_t least = budget ? 2 * belt_overflow_record(capacity) : 0;
    uint64_t share = (budget / edges + 7) & ~UINT64_C(7);
    return share > least ? share : least;
}

static void carve_overflow(struct belt_engine_run *run, struct belt_chain_stage *chain,
                           const struct belt_batcher_spec *batcher, struct belt_row_out *out)
{
    struct belt_overflow *over = belt_carve(run, sizeof *over, 64);
    void *staging = belt_carve(run, belt_row_frame_size(out->capacity), 64);
    uint32_t *sizes = belt_carve(run, BELT_FRAME * sizeof *sizes, 64);
    uint64_t hold = share_of(batcher->hold, run->leafs_used, out->capacity);
    char *memory = belt_carve(run, hold, 4096);
    uint64_t blocks = batcher->spill_size ? BELT_SPILL_BLOCKS * BELT_SPILL_BLOCK : 0;
    char *bytes = belt_carve(run, blocks, 4096);
    if (!over)
        return;
    for (uint64_t b = 0; blocks && b < BELT_SPILL_BLOCKS; b++)
        over->blocks[b].bytes = bytes + b * BELT_SPILL_BLOCK;
    over->staging = staging;
    over->capacity = out->capacity;
    over->keyed = out->keyed;
    over->sizes = sizes;
    over->memory = memory;
    over->held.size = hold;
    over->filed.size = share_of(batcher->spill_size, run->leafs_used, out->capacity);
    over->fd = -1;
    over->stats = &chain->stage.stats;
    out->over = over;
    chain->holds = true;
}

/* Batches that are whole in one frame need no copy; at least half of a frame is used. */
static uint32_t rows_less(const struct belt_batcher_spec *batcher)
{
    bool cut = batcher->key < 0 && !batcher->aggregate && batcher->size <= BELT_FRAME;
    return cut ? BELT_FRAME % (uint32_t)batcher->size : 0;
}

static void link_rows(struct belt_engine_run *run, struct belt_chain_stage *chain,
                      struct belt_outlet *outlet, uint32_t i)
{
    struct belt_batcher_stage *b = &run->batchers[outlet->batcher - run->spec->batchers][i];
    struct belt_row_out *out = &outlet->outs[i];
    struct belt_row_in *in = &b->ins[outlet->failed ? chain->number : chain->leaf];
    uint32_t slots = ROW_SLOTS;
    out->capacity = ROW_BYTES;
    if (outlet->batcher->memory / 16 > out->capacity)
        out->capacity = (uint32_t)(outlet->batcher->memory / 16 & ~UINT64_C(4095));
    if (outlet->failed) {
        out->capacity = out->capacity > FAILED_BYTES ? out->capacity : FAILED_BYTES;
        slots = FAILED_SLOTS;
    } else if (outlet->batcher->aggregate) {
        slots = PARTIAL_SLOTS;
    } else if (!outlet->batcher->ordered && chain->stage.lane == b->stage.lane) {
        slots = FUSED_FRAMES; /* taken in the next turn: what stays in the cache is best */
    }
    /* Whatever fits a frame must fit an open batch: belt_batches_row_limit(). */
    if (out->capacity > outlet->batcher->memory / 4)
        out->capacity = (uint32_t)(outlet->batcher->memory / 4 & ~UINT64_C(4095));
    while (slots > PARTIAL_SLOTS && (uint64_t)slots * out->capacity > ROW_EDGE)
        slots /= 2;
    out->less = rows_less(outlet->batcher);
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = slots,
                                   .item_size = (uint32_t)belt_row_frame_size(out->capacity) };
    belt_carve_for(run, &chain->stage);
    struct belt_mem mem = belt_carve_ring(run, conf);
    out->reader = belt_other_lane(&chain->stage, &b->stage);
    out->keyed = outlet->batcher->key >= 0;
    if (belt_batcher_holds(outlet->batcher))
        carve_overflow(run, chain, outlet->batcher, out);
    else if (out->reader && !outlet->failed && !outlet->batcher->aggregate)
        out->local = belt_carve(run, belt_row_frame_size(out->capacity), 64);
    in->writer = belt_other_lane(&b->stage, &chain->stage);
    if (mem.base) {
        belt_tx_open(&out->tx, mem);
        belt_rx_open(&in->rx, mem);
    }
}

/* A batcher's way to `failed`, after the processors' ways there. */
static void link_refused(struct belt_engine_run *run, struct belt_batcher_stage *b, uint32_t in)
{
    struct belt_batcher_stage *to = run->batchers[run->spec->failed];
    uint64_t most = to->spec->memory / 4;
    b->refused.capacity = most < FAILED_BYTES ? (uint32_t)(most & ~UINT64_C(4095)) : FAILED_BYTES;
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = FAILED_SLOTS,
                                   .item_size =
                                       (uint32_t)belt_row_frame_size(b->refused.capacity) };
    struct belt_mem mem = belt_carve_ring(run, conf);
    b->sends_refused = true;
    b->refused.reader = belt_other_lane(&b->stage, &to->stage);
    to->ins[in].writer = belt_other_lane(&to->stage, &b->stage);
    if (mem.base) {
        belt_tx_open(&b->refused.tx, mem);
        belt_rx_open(&to->ins[in].rx, mem);
    }
}

static void link_all_refused(struct belt_engine_run *run)
{
    uint32_t in = run->chains_used;
    for (int o = 0; run->spec->failed >= 0 && o < run->batchers_used; o++)
        for (uint32_t i = 0; o != run->spec->failed && i < run->spec->batchers[o].instances; i++)
            link_refused(run, &run->batchers[o][i], in++);
}

/* ---- memory of the stages --------------------------------------------------- */

static void carve_source(struct belt_engine_run *run, struct belt_source_stage *s)
{
    const struct belt_source_spec *spec = s->spec;
    bool paired = !run->plan->pooled && run->sources_used == run->heads_used;
    bool fused = paired && is_fused(run, s->stage.lane == run->chains[s->stage.index].stage.lane);
    s->in = (struct belt_instance){ .size = sizeof s->in,
                                    .index = s->number,
                                    .count = run->plan->source_instances[spec - run->spec->sources],
                                    .stage = spec->path,
                                    .slab = spec->slab,
                                    .header = "",
                                    .backend = run->spec->backend };
    s->in.context = &run->context;
    s->in.tickets = belt_ledger_words(spec->window / 64) * 64;
    s->in.slabs = spec->slabs ? spec->slabs + (fused ? 0 : LINK_SLABS) : 0;
    uint64_t arena = (uint64_t)s->in.slabs * s->in.slab;
    belt_carve_for(run, &s->stage);
    char *memory = belt_carve(run, arena + 2 * 4096, 4096);
    s->in.arena = memory ? memory + 4096 : NULL;
    uint64_t words = spec->window / 64, room = belt_ledger_words(words);
    s->ledger.words = words;
    s->ledger.mask = room - 1;
    s->ledger.done = belt_carve(run, room * sizeof(uint64_t), 4096);
    s->ledger.failed = belt_carve(run, room * sizeof(uint64_t), 4096);
    if (belt_source_acks(spec))
        s->ledger.owed = belt_carve(run, room * sizeof(uint64_t), 4096);
    belt_acks_carve(run, s);
}

static void carve_retry(struct belt_engine_run *run, struct belt_chain_stage *chain)
{
    const struct belt_spec *spec = run->spec;
    belt_carve_for(run, &chain->stage);
    char *memory = belt_carve(run, belt_retry_footprint(spec->retry_memory), 4096);
    if (!memory)
        return;
    chain->retry = belt_retry_init(memory, spec->retry_memory, &spec->retry, spec->retry_ordered);
    chain->engine.keyed_step = belt_retry_keyed_step(spec, chain->processor);
}

static void carve_holds(struct belt_engine_run *run)
{
    uint64_t messages = run->spec->hold_messages, memory = run->spec->hold_memory;
    char *at = belt_carve(run, belt_holds_footprint(messages, memory), 4096);
    if (at)
        run->holds = belt_holds_init(at, messages, memory, run);
}

/* For new texts, and for those of a frame that have to move. */
static uint32_t room_of(const struct belt_engine_run *run, const struct belt_chain_stage *chain)
{
    return run->spec->slab + (1u << 20) + (chain->ins_used ? 2 * chain->shape->capacity : 0);
}

static void carve_kids(struct belt_engine_run *run, struct belt_chain_stage *chain)
{
    char *memory = belt_carve(run, belt_kids_size(run, chain), 4096);
    if (memory)
        belt_kids_init(run, chain, memory);
}

static void carve_chain(struct belt_engine_run *run, struct belt_chain_stage *chain)
{
    const struct belt_spec *spec = run->spec;
    uint32_t room = room_of(run, chain);
    size_t size = belt_engine_size(spec->columns_used, room);
    belt_carve_for(run, &chain->stage);
    char *memory = belt_carve(run, size, 4096);
    chain->failed_spans = belt_carve(run, 3 * BELT_FRAME * sizeof(struct belt_span), 64);
    chain->failed_places = belt_carve(run, 2 * BELT_FRAME * sizeof(int64_t), 64);
    chain->tickets = belt_carve(run, BELT_FRAME * sizeof(struct belt_ticket), 64);
    if (chain->processor->emits)
        carve_kids(run, chain);
    if (chain->copies > 1 || chain->processor->emits ||
        (spec->batchers_used > 1 && !chain->fanouts_used)) {
        chain->joins.count = JOINS;
        chain->joins.at = belt_carve(run, JOINS * sizeof(struct belt_join), 4096);
    }
    if (!memory)
        return;
    chain->engine.targets = (uint32_t)spec->batchers_used;
    belt_engine_init(&chain->engine, spec->columns, spec->columns_used, room,
                     chain->processor->steps_used, memory);
}

static void link_outlets(struct belt_engine_run *run, struct belt_chain_stage *chain,
                         const struct belt_batcher_spec *batcher)
{
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; chain->outlets[o].batcher == batcher && i < batcher->instances; i++)
            link_rows(run, chain, &chain->outlets[o], i);
}

/* The walk. Links come before the workers that read them; failed messages' edges come
 * last: their pages are seldom touched. */
static void lay_out(struct belt_engine_run *run)
{
    belt_headers_carve(run);
    for (uint32_t s = 0; s < run->sources_used; s++)
        carve_source(run, &run->sources[s]);
    for (uint32_t c = 0; c < run->chains_used; c++)
        carve_chain(run, &run->chains[c]);
    for (uint32_t c = 0; c < run->chains_used && run->spec->retry.attempts > 1; c++)
        carve_retry(run, &run->chains[c]);
    if (run->spec->hold_messages)
        carve_holds(run);
    link_sources(run);
    belt_links_lay_out(run);
    for (uint32_t c = 0; c < run->chains_used; c++)
        if (run->chains[c].worker)
            belt_worker_carve(run, &run->chains[c], room_of(run, &run->chains[c]));
    for (int o = 0; o < run->batchers_used; o++) {
        for (uint32_t c = 0; c < run->chains_used; c++)
            link_outlets(run, &run->chains[c], &run->spec->batchers[o]);
        for (uint32_t i = 0; i < run->spec->batchers[o].instances; i++)
            if (run->batchers[o][i].worker)
                belt_sink_worker_carve(run, &run->batchers[o][i]);
    }
    link_all_refused(run);
}

/* ---- the structs ------------------------------------------------------------ */

/* Zeroed; freed by belt_run_free() through the pointer it is stored in. */
static void *need(void *memory, bool *ok)
{
    *ok &= memory != NULL;
    return memory;
}

static void place_stage(struct belt_engine_run *run, struct belt_stage *stage,
                        const struct belt_stage_kind *kind, uint32_t in_plan, const char *name,
                        uint32_t number)
{
    stage->kind = kind;
    stage->index = number;
    stage->run = run;
    stage->lane = lane_of(run, in_plan, number);
    snprintf(stage->name, sizeof stage->name, "%.74s.%u", name, number);
}

static bool make_source(struct belt_engine_run *run, uint32_t of, uint32_t number)
{
    uint32_t index = belt_plan_source(run->plan, of, number);
    struct belt_source_stage *s = &run->sources[index];
    s->spec = &run->spec->sources[of];
    s->number = number;
    const struct belt_part *part = s->spec->use.part;
    bool ok = true, paired = run->sources_used == run->heads_used;
    s->part = (const struct belt_source *)(const void *)part;
    s->rate = &run->rates[of];
    s->due = UINT64_MAX;
    s->state = need(calloc(1, part->state_size + 1), &ok);
    s->feeds_used = paired || run->plan->pooled ? 1 : run->heads_used;
    s->feeds = need(calloc(s->feeds_used, sizeof *s->feeds), &ok);
    uint32_t slabs = s->spec->slabs + LINK_SLABS;
    s->slab_frames = need(calloc(slabs, sizeof *s->slab_frames), &ok);
    s->slab_closed = need(calloc(slabs, sizeof *s->slab_closed), &ok);
    uint32_t readers = run->plan->pooled ? run->heads_used : 1;
    for (uint32_t f = 0; ok && f < s->feeds_used; f++)
        s->feeds[f].readers = need(calloc(readers, sizeof *s->feeds[f].readers), &ok);
    place_stage(run, &s->stage, &belt_source_kind, of, s->spec->path, number);
    s->stage.index = index;
    return ok;
}

static bool make_outlet(struct belt_engine_run *run, struct belt_outlet *outlet, int o)
{
    const struct belt_batcher_spec *spec = &run->spec->batchers[o];
    outlet->batcher = spec;
    outlet->format = (const struct belt_format *)(const void *)spec->format.part;
    outlet->edges_of = belt_row_edges();
    outlet->outs = calloc(spec->instances, sizeof *outlet->outs);
    outlet->failed = o == run->spec->failed;
    return outlet->outs != NULL;
}

static bool make_chain(struct belt_engine_run *run, int p, uint32_t index)
{
    struct belt_chain_stage *chain = &run->chains[index];
    const struct belt_spec *spec = run->spec;
    const struct belt_processor_spec *processor = &spec->processors[p];
    bool ok = true;
    chain->number = chain->joins.number = index;
    chain->intake.writers = need(calloc(run->sources_used, sizeof(void *)), &ok);
    chain->intake.free = need(calloc(run->sources_used, sizeof(struct belt_tx)), &ok);
    chain->processor = processor;
    struct belt_chain steps = belt_chain_of(spec, processor);
    for (int s = 0; s < steps.steps_used; s++) {
        size_t state = steps.steps[s].part->state_size + 1;
        chain->states[s] = need(calloc(1, state), &ok);
        run->memory += state + steps.steps[s].memory;
    }
    if (run->zygote && processor->isolation == BELT_ISOLATION_PROCESS) {
        chain->worker = need(calloc(1, belt_worker_size(&processor->workers)), &ok);
        if (chain->worker)
            belt_worker_init(chain->worker, run->zygote, &processor->workers);
    }
    chain->engine.chain = chain;
    chain->engine.spec = spec;
    chain->engine.context = &run->context;
    chain->outlets = need(calloc((size_t)run->batchers_used + 1, sizeof *chain->outlets), &ok);
    for (int o = processor->children ? spec->batchers_used : 0; ok && o < run->batchers_used; o++)
        ok = make_outlet(run, &chain->outlets[chain->outlets_used++], o);
    chain->leaf = run->leafs_used;
    run->leafs_used += !processor->children;
    place_stage(run, &chain->stage, &belt_chain_kind, run->plan->first_processor + (uint32_t)p,
                processor->name, index - run->plan->processor_chains[p]);
    return ok;
}

static bool make_batcher(struct belt_engine_run *run, int o, uint32_t index)
{
    const struct belt_batcher_spec *spec = &run->spec->batchers[o];
    struct belt_batcher_stage *b = &run->batchers[o][index];
    bool ok = true;
    b->spec = spec;
    b->sink = (const struct belt_sink *)(const void *)spec->sink.part;
    b->state = need(calloc(1, spec->sink.part->state_size + 1), &ok);
    run->memory += spec->sink.part->state_size + 1 + spec->sink.memory;
    b->ins_used = o == run->spec->failed ? run->chains_used : run->leafs_used;
    b->failed = o == run->spec->failed;
    for (int other = 0; b->failed && other < o; other++)
        b->ins_used += run->spec->batchers[other].instances;
    b->ins = need(calloc(b->ins_used, sizeof *b->ins), &ok);
    b->in = belt_sink_instance(spec, index, spec->instances, run->spec->backend, &run->context);
    place_stage(run, &b->stage, &belt_batcher_kind, run->plan->first_batcher + (uint32_t)o,
                spec->path, index);
    if (run->zygote && spec->isolation == BELT_ISOLATION_PROCESS)
        b->worker = need(belt_sink_worker_new(b), &ok);
    return ok;
}

static bool make_stages(struct belt_engine_run *run)
{
    bool ok = true;
    run->sources = need(calloc(run->sources_used, sizeof *run->sources), &ok);
    run->chains = need(calloc(run->chains_used, sizeof *run->chains), &ok);
    run->pool.free = need(calloc(run->sources_used, sizeof *run->pool.free), &ok);
    for (uint32_t s = 0; s < run->plan->first_processor; s++) {
        belt_rate_set(&run->rates[s], &run->spec->sources[s].rate, 0, true);
        for (uint32_t i = 0; ok && i < run->plan->source_instances[s]; i++)
            ok = make_source(run, s, i);
    }
    for (int p = 0; p < run->spec->processors_used; p++)
        for (uint32_t i = 0; ok && i < run->plan->processor_instances[p]; i++)
            ok = make_chain(run, p, run->plan->processor_chains[p] + i);
    ok = ok && belt_links_make(run);
    for (int o = 0; ok && o < run->batchers_used; o++) {
        uint32_t instances = run->spec->batchers[o].instances;
        run->batchers[o] = need(calloc(instances, sizeof *run->batchers[o]), &ok);
        for (uint32_t i = 0; ok && i < instances; i++)
            ok = make_batcher(run, o, i);
    }
    return ok;
}

static void set_sizes(struct belt_engine_run *run)
{
    for (int p = 0; p < run->spec->processors_used; p++)
        run->processors_active[p] = run->plan->processor_active[p];
    for (int o = 0; o < run->batchers_used; o++)
        run->batchers_active[o] = run->spec->batchers[o].starts;
    belt_run_apply_sizes(run);
}

/* ---- all of it -------------------------------------------------------------- */

/* Every page is bound to its lane's node by now, so it does not matter who touches it. */
static int touch(struct belt_engine_run *run, struct belt_error *err)
{
    int rc = belt_mem_populate(&run->region);
    if (rc < 0)
        return belt_error_set(err, rc, "placement.touch: %llu bytes before the start: %s",
                              (unsigned long long)run->region.size, strerror(-rc));
    return 0;
}

int belt_run_new(struct belt_engine_run **out, const struct belt_spec *spec,
                 const struct belt_plan *plan, struct belt_zygote *zygote, struct belt_error *err)
{
    struct belt_engine_run *run = calloc(1, sizeof *run);
    if (!run)
        return belt_error_set(err, -ENOMEM, "run: out of memory");
    run->spec = spec;
    run->plan = plan;
    run->zygote = zygote;
    run->sources_used = plan->sources;
    run->chains_used = plan->processors;
    run->heads_used = plan->heads;
    run->batchers_used = belt_spec_outlets(spec);
    for (int o = 0; o < run->batchers_used; o++)
        run->ordered |= spec->batchers[o].ordered;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    belt_wait_setup();
    int rc = belt_lanes_new(run, err);
    if (rc == 0 && !make_stages(run))
        rc = belt_error_set(err, -ENOMEM, "run: out of memory");
    if (rc == 0) {
        run->last_node = -1;
        lay_out(run);
        rc = belt_region_map(run, run->carved, err);
        run->memory += run->region.size;
    }
    if (rc == 0) {
        run->carved = 0;
        run->last_node = -1;
        lay_out(run);
        set_sizes(run);
        rc = belt_lanes_fill(run, err);
    }
    if (rc == 0 && spec->placement.touch)
        rc = touch(run, err);
    if (rc == 0)
        rc = belt_run_fill(run, err);
    if (rc == 0)
        rc = belt_overflow_start(run, err);
    if (rc == 0 && run->holds)
        rc = belt_holds_open(run->holds, err);
    if (rc == 0 && zygote)
        rc = belt_zygote_region(zygote, run->region.fd, err);
    if (rc < 0) {
        belt_run_free(run);
        return rc;
    }
    *out = run;
    return 0;
}
