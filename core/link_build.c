/* Wires the links between processors. */
#include <stdlib.h>

#include "core/build_priv.h"

#define SLOTS_MOST 16 /* of one link; fewer when there are many */
#define SLOTS_LEAST 4
#define SLOTS_ALL 256 /* about, between two processors */

static struct belt_chain_stage *instance_of(struct belt_engine_run *run, int p, uint32_t i)
{
    return &run->chains[run->plan->processor_chains[p] + i];
}

/* ---- structs ---------------------------------------------------------------- */

static bool make_fanout(struct belt_engine_run *run, struct belt_chain_stage *chain, int p)
{
    struct belt_fanout *fan = &chain->fanouts[chain->fanouts_used++];
    fan->to = &run->spec->processors[p];
    fan->shape = &run->shapes[p];
    fan->dispatch = (enum belt_dispatch)fan->to->dispatch;
    fan->outs_used = run->plan->processor_paired[p] ? 1 : run->plan->processor_instances[p];
    fan->active = fan->outs_used;
    fan->outs = calloc(fan->outs_used, sizeof *fan->outs);
    chain->copies += fan->dispatch == BELT_DISPATCH_BROADCAST ? fan->outs_used : 1;
    return fan->outs != NULL;
}

static bool make_outs(struct belt_engine_run *run, struct belt_chain_stage *chain, int from)
{
    const struct belt_processor_spec *spec = chain->processor;
    bool ok = true;
    if (!spec->children)
        return true;
    chain->fanouts = calloc((size_t)spec->children, sizeof *chain->fanouts);
    if (!chain->fanouts)
        return false;
    for (int p = from + 1; ok && p < run->spec->processors_used; p++)
        if (run->spec->processors[p].from == from)
            ok = make_fanout(run, chain, p);
    return ok;
}

static bool make_ins(struct belt_engine_run *run, struct belt_chain_stage *chain, int p)
{
    int from = run->spec->processors[p].from;
    chain->shape = &run->shapes[p];
    if (from < 0)
        return true;
    chain->ins_used = run->plan->processor_paired[p] ? 1 : run->plan->processor_instances[from];
    chain->ins = calloc(chain->ins_used, sizeof *chain->ins);
    chain->linked = calloc(1, sizeof *chain->linked);
    return chain->ins && chain->linked;
}

bool belt_links_make(struct belt_engine_run *run)
{
    bool ok = true;
    for (int p = 0; p < run->spec->processors_used; p++) {
        belt_link_shape(&run->shapes[p], run->spec, p);
        for (uint32_t i = 0; ok && i < run->plan->processor_instances[p]; i++) {
            struct belt_chain_stage *chain = instance_of(run, p, i);
            ok = make_outs(run, chain, p) && make_ins(run, chain, p);
        }
    }
    return ok;
}

void belt_links_free(struct belt_chain_stage *chain)
{
    for (uint32_t f = 0; f < chain->fanouts_used; f++)
        free(chain->fanouts[f].outs);
    free(chain->fanouts);
    free(chain->ins);
    free(chain->linked);
}

/* ---- rings ------------------------------------------------------------------ */

static void link_ring(struct belt_engine_run *run, struct belt_chain_stage *from,
                      struct belt_link_out *out, struct belt_chain_stage *to,
                      struct belt_link_in *in, uint32_t slots)
{
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = slots,
                                   .item_size = (uint32_t)belt_link_frame_size(to->shape) };
    belt_carve_for(run, &from->stage);
    struct belt_mem mem = belt_carve_ring(run, conf);
    out->reader = belt_other_lane(&from->stage, &to->stage);
    in->writer = belt_other_lane(&to->stage, &from->stage);
    if (mem.base) {
        belt_tx_open(&out->tx, mem);
        belt_rx_open(&in->rx, mem);
    }
}

static void link_chain(struct belt_engine_run *run, struct belt_chain_stage *from, uint32_t i)
{
    for (uint32_t f = 0; f < from->fanouts_used; f++) {
        struct belt_fanout *fan = &from->fanouts[f];
        int p = (int)(fan->to - run->spec->processors);
        bool paired = run->plan->processor_paired[p];
        uint32_t slots = SLOTS_ALL / (fan->outs_used * fan->outs_used);
        slots = slots > SLOTS_MOST ? SLOTS_MOST : slots < SLOTS_LEAST ? SLOTS_LEAST : slots;
        for (uint32_t o = 0; o < fan->outs_used; o++) {
            struct belt_chain_stage *to = instance_of(run, p, paired ? i : o);
            link_ring(run, from, &fan->outs[o], to, &to->ins[paired ? 0 : i], slots);
        }
    }
}

void belt_links_lay_out(struct belt_engine_run *run)
{
    for (int p = 0; p < run->spec->processors_used; p++)
        for (uint32_t i = 0; i < run->plan->processor_instances[p]; i++)
            link_chain(run, instance_of(run, p, i), i);
}
