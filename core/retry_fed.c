/* Trying again where the steps run in a worker. It reads frames of a ring that its lane
 * writes: those of the intake, and between them frames of what is due again. So there is
 * one order of frames, as without, by which a death is told from a turn. A frame goes in
 * while all of it would find room in the store if it failed: a result never waits. */
#include <string.h>

#include "core/build_priv.h"
#include "core/run_priv.h"
#include "core/worker_priv.h"

#define FED_SLOTS 16

void belt_fed_carve(struct belt_engine_run *run, struct belt_chain_stage *chain)
{
    struct belt_retry *r = chain->retry; /* NULL while only sizes are summed up */
    struct belt_ring_conf conf = { .kind = BELT_SPSC,
                                   .items = FED_SLOTS,
                                   .item_size = sizeof(struct belt_fed_frame) };
    struct belt_mem ring = belt_carve_ring(run, conf);
    char *copy = belt_carve(run, run->spec->slab + 2 * BELT_PAD, 4096);
    if (!ring.base)
        return;
    belt_tx_open(&r->fed.tx, ring);
    belt_rx_open(&r->fed.rx, ring);
    r->fed.copy = copy + BELT_PAD;
    r->fed.room = (uint32_t)run->spec->slab;
}

/* ---- giving ----------------------------------------------------------------------- */

static void copy_frame(struct belt_input_frame *to, const struct belt_input_frame *from)
{
    memcpy(to, from, offsetof(struct belt_input_frame, spans));
    memcpy(to->spans, from->spans, from->count * sizeof *from->spans);
}

static uint64_t bytes_of(struct belt_chain_stage *chain, struct belt_input_frame *frame)
{
    struct belt_input_frame *in_hand = chain->frame;
    uint64_t bytes = 0;
    chain->frame = frame;
    for (uint32_t i = 0; i < frame->count; i++)
        bytes += belt_chain_extent(chain, i).size;
    chain->frame = in_hand;
    return bytes;
}

/* The next frame of the intake. False: there is none, or no room for all of it to fail. */
static bool give_new(struct belt_chain_stage *chain, struct belt_fed_frame *slot)
{
    struct belt_retry *r = chain->retry;
    struct belt_slots in = belt_peek_at(&chain->intake.rx, r->fed.frames, 1);
    if (!in.count)
        return false;
    struct belt_input_frame *frame = in.first;
    uint64_t bytes = bytes_of(chain, frame);
    bool alone = !r->used && !r->fed.frames;
    if (!alone && (r->used + r->fed.messages + frame->count > r->count ||
                   r->held + r->fed.bytes + bytes > r->size))
        return false;
    copy_frame(&slot->frame, frame);
    slot->again = false;
    slot->bytes = bytes;
    r->fed.frames++;
    r->fed.messages += frame->count;
    r->fed.bytes += bytes;
    return true;
}

/* Its payloads are copied: those in the store move. */
static bool give_again(struct belt_chain_stage *chain, struct belt_fed_frame *slot, uint64_t now)
{
    struct belt_retry *r = chain->retry;
    const struct belt_input_frame *frame = r->fed.out ? NULL : belt_retry_frame(chain, now);
    uint32_t at = 0;
    if (!frame)
        return false;
    copy_frame(&slot->frame, frame);
    for (uint32_t i = 0; i < frame->count; i++) {
        const struct belt_retry_entry *entry = &r->entries[r->in_hand[i]];
        memcpy(r->fed.copy + at, r->arena + entry->at, entry->size);
        slot->frame.spans[i].at = at + entry->before;
        at += entry->size;
    }
    slot->frame.base = (uint64_t)(r->fed.copy - (const char *)chain->stage.run->region.base);
    slot->frame.source = r->origins[0].source;
    memcpy(slot->tries, r->tries, frame->count * sizeof *slot->tries);
    memcpy(slot->origins, r->origins, frame->count * sizeof *slot->origins);
    slot->again = r->fed.out = true;
    return true;
}

void belt_fed_give(struct belt_chain_stage *chain, uint64_t now)
{
    struct belt_retry *r = chain->retry;
    struct belt_slots slot;
    while ((slot = belt_claim(&r->fed.tx, 1)).count &&
           (give_again(chain, slot.first, now) || (!chain->idle && give_new(chain, slot.first))))
        belt_publish(&r->fed.tx, 1);
}

/* ---- taking back ------------------------------------------------------------------ */

bool belt_fed_take(struct belt_chain_stage *chain)
{
    struct belt_retry *r = chain->retry;
    struct belt_slots slot = belt_peek(&r->fed.rx, 1);
    const struct belt_fed_frame *fed = slot.first;
    if (!slot.count)
        return false;
    chain->sparse = NULL;
    chain->frame = fed->again ? &r->frame : belt_intake_peek(&chain->intake);
    r->frame.chunk = r->chunk;
    belt_retry_loaded(chain);
    return true;
}

void belt_fed_release(struct belt_chain_stage *chain)
{
    struct belt_retry *r = chain->retry;
    struct belt_slots slot = belt_peek(&r->fed.rx, 1);
    const struct belt_fed_frame *fed = slot.first;
    if (fed->again) {
        r->fed.out = false;
    } else {
        r->fed.frames--;
        r->fed.messages -= fed->frame.count;
        r->fed.bytes -= fed->bytes;
    }
    belt_release(&r->fed.rx, 1);
}
