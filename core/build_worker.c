/* Memory that an instance of a processor or a batcher shares with its worker. */
#include "core/build_priv.h"
#include "core/sink_worker_priv.h"

/* The lane is woken for half of them at once (broadway/a on 2 CPUs, 16: 257, 32: 281
 * M messages/s). Pages of their rooms are touched by new texts only. */
#define RESULT_SLOTS 16
#define REPLY_SLOTS 32

/* Who writes the worker's input is woken by it, and for many frames at once. */
static void wire_worker(struct belt_chain_stage *chain)
{
    struct belt_worker *worker = chain->worker;
    if (chain->retry)
        return; /* its own lane does */
    struct belt_lane **writer = chain->ins_used ? &chain->ins[0].writer : chain->intake.writers;
    worker->writer = *writer;
    *writer = NULL;
    if (worker->feed)
        worker->feed->nap = &worker->block->asleep;
}

static uint64_t offset_in(const struct belt_engine_run *run, const void *at)
{
    return run->region.base ? (uint64_t)((const char *)at - (const char *)run->region.base) : 0;
}

void belt_worker_carve(struct belt_engine_run *run, struct belt_chain_stage *chain, uint32_t room)
{
    struct belt_worker *worker = chain->worker;
    uint32_t p = (uint32_t)(chain->processor - run->spec->processors);
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = RESULT_SLOTS,
                                   .item_size = (uint32_t)belt_result_size(run->spec, room) };
    belt_carve_for(run, &chain->stage);
    struct belt_mem results = belt_carve_ring(run, conf);
    worker->block = belt_carve(run, sizeof *worker->block, 4096);
    if (run->spec->retry.attempts > 1)
        belt_fed_carve(run, chain);
    if (!results.base)
        return;
    const struct belt_rx *input = belt_worker_input(chain);
    const struct belt_ring *intake = input->ring;
    belt_rx_open(&worker->results, results);
    worker->slots = worker->results.ring->slots;
    wire_worker(chain);
    worker->map = (struct belt_worker_map){ .index = chain->stage.index,
                                            .count = run->plan->processor_instances[p],
                                            .processor = p,
                                            .block = offset_in(run, worker->block),
                                            .intake = offset_in(run, intake),
                                            .intake_size = intake->footprint,
                                            .results = offset_in(run, results.base),
                                            .results_size = results.size,
                                            .room_size = room,
                                            .slots = worker->slots,
                                            .fed = chain->retry != NULL,
                                            /* Its lane sleeps while it works; left to the kernel,
                                             * two workers are on one CPU now and then. */
                                            .cpu = chain->stage.lane->cpu };
    worker->wake_fd = chain->stage.lane->fd;
}

void belt_sink_worker_carve(struct belt_engine_run *run, struct belt_batcher_stage *b)
{
    struct belt_worker *worker = &b->worker->worker;
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = REPLY_SLOTS,
                                   .item_size = sizeof(struct belt_sink_reply) };
    belt_carve_for(run, &b->stage);
    struct belt_mem replies = belt_carve_ring(run, conf);
    worker->block = belt_carve(run, sizeof *worker->block, 4096);
    b->worker->jobs = belt_carve(run, sizeof *b->worker->jobs, 4096);
    char *arena = belt_carve(run, b->spec->memory + 2 * 4096, 4096); /* BELT_PAD around it */
    if (!replies.base)
        return;
    b->arena = arena + 4096;
    belt_rx_open(&worker->results, replies);
    worker->slots = worker->results.ring->slots;
    worker->map = (struct belt_worker_map){ .index = b->stage.index,
                                            .count = b->spec->instances,
                                            .sink = 1 + (uint32_t)(b->spec - run->spec->batchers),
                                            .block = offset_in(run, worker->block),
                                            .intake = offset_in(run, b->worker->jobs),
                                            .results = offset_in(run, replies.base),
                                            .results_size = replies.size,
                                            .slots = worker->slots,
                                            .cpu = -1 };
    worker->wake_fd = b->stage.lane->fd;
}
