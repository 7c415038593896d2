/* Conservation: every message that was issued and is not settled lies in exactly
 * one committed place, and nothing settled lies anywhere. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/control_priv.h"

/* A bit for every unsettled thing that was found somewhere: per source for every
 * sequence of the window, per processor for every child of its joins. */
struct finds {
    const struct belt_engine_run *run;
    uint64_t **found;                   /* [sources][words of the window] */
    uint64_t **joined;                  /* [chains][joins]; of a count: how many units */
    uint64_t (*places)[BELT_IN_PLACES]; /* [sources]: messages by where they are; or NULL */
    enum belt_remainder_place place;    /* where we are looking */
    const char *broken;
    uint64_t word;
    uint64_t mask;
};

static void broken(struct finds *f, const char *rule, uint64_t word, uint64_t mask)
{
    if (f->broken)
        return;
    f->broken = rule;
    f->word = word;
    f->mask = mask;
}

static const struct belt_joins *joins_of(const struct finds *f, uint64_t word)
{
    return &f->run->chains[BELT_RUN_SOURCE(word) - BELT_RUN_JOINS].joins;
}

static void find_child(struct finds *f, const struct belt_run *run)
{
    const struct belt_joins *joins = joins_of(f, run->word);
    uint64_t at = BELT_RUN_WORD(run->word);
    uint64_t *seen = &f->joined[BELT_RUN_SOURCE(run->word) - BELT_RUN_JOINS][at];
    const struct belt_join *join = &joins->at[at];
    if (at >= joins->made || !join->left)
        broken(f, "a child of a join that is free", at, run->mask);
    else if (join->counts)
        *seen += (uint64_t)__builtin_popcountll(run->mask);
    else if (*seen & run->mask)
        broken(f, "a child in two places", at, *seen & run->mask);
    else if (join->done & run->mask)
        broken(f, "a settled child still in a place", at, join->done & run->mask);
    else
        *seen |= run->mask;
}

static void find(void *ctx, const struct belt_run *run)
{
    struct finds *f = ctx;
    uint32_t whose = BELT_RUN_SOURCE(run->word);
    if (!run->mask || whose == BELT_RUN_NOBODY)
        return;
    if (whose >= BELT_RUN_JOINS) {
        find_child(f, run);
        return;
    }
    const struct belt_ledger *ledger = &f->run->sources[whose].ledger;
    uint64_t word = BELT_RUN_WORD(run->word), at = word & ledger->mask;
    if (word < ledger->low || word >= ledger->next) {
        broken(f, "a message outside of its ledger's window", word, run->mask);
        return;
    }
    uint64_t *seen = &f->found[BELT_RUN_SOURCE(run->word)][at];
    if (*seen & run->mask)
        broken(f, "a message in two places", word, *seen & run->mask);
    if (ledger->done[at] & run->mask)
        broken(f, "a settled message still in a place", word, ledger->done[at] & run->mask);
    *seen |= run->mask;
    if (f->places)
        f->places[whose][f->place] += (uint64_t)__builtin_popcountll(run->mask);
}

/* What the frame in hand still owes, message by message. */
static void find_tickets(struct finds *f, const struct belt_chain_stage *chain)
{
    for (uint32_t i = 0; i < chain->frame->count; i++) {
        struct belt_run run = { chain->sparse[i].word, chain->sparse[i].bit };
        find(f, &run);
    }
}

/* Parents of children that are not all settled. */
static void find_parents(struct finds *f, const struct belt_joins *joins)
{
    for (uint32_t i = 0; i < joins->made; i++) {
        const struct belt_join *join = &joins->at[i];
        for (uint32_t g = 0; join->left && g < join->groups; g++) {
            struct belt_run parent = { join->parents[g].word, join->parents[g].bit };
            if ((join->done & join->masks[g]) != join->masks[g])
                find(f, &parent);
        }
        struct belt_run parent = { join->parents[0].word, join->parents[0].bit };
        if (join->counts && join->units)
            find(f, &parent);
    }
}

/* A frame that a processor has not finished: what is not settled and not written
 * on as a row is still here. */
static void find_input(struct finds *f, const struct belt_input_frame *frame,
                       const struct belt_chain_stage *chain)
{
    const struct belt_ledger *ledger = &f->run->sources[BELT_RUN_SOURCE(frame->word)].ledger;
    bool in_hand = chain && chain->frame == frame;
    if (in_hand && chain->sparse) {
        find_tickets(f, chain);
        return;
    }
    for (uint32_t w = 0; w * 64 < frame->count; w++) {
        uint64_t word = frame->word + w, mask = 0;
        uint32_t here = frame->count - w * 64;
        mask = here >= 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1;
        if (in_hand) {
            uint64_t todo =
                belt_range_mask(w, chain->part.first, chain->part.end) | belt_links_todo(chain, w);
            for (int s = 0; s < chain->segments_used; s++)
                todo |= belt_range_mask(w, chain->segments[s].first, chain->segments[s].end);
            for (int o = 0; o < chain->outlets_used; o++)
                todo |= chain->outlets[o].todo[w];
            mask &= todo;
        }
        struct belt_run run = { word, mask & ~ledger->done[BELT_RUN_WORD(word) & ledger->mask] };
        find(f, &run);
    }
}

static void find_ring(struct finds *f, const struct belt_rx *rx,
                      void (*each)(struct finds *, const void *slot, const void *who),
                      const void *who)
{
    /* Nobody moves: the cursors are what they are. */
    uint64_t end = rx->ring->published;
    for (uint64_t at = rx->next; at != end; at++)
        each(f, rx->first + (size_t)((uint32_t)at & rx->mask) * rx->slot_size, who);
}

static void each_input(struct finds *f, const void *slot, const void *who)
{
    find_input(f, slot, who);
}

static void each_rows(struct finds *f, const void *slot, const void *who)
{
    const struct belt_row_frame *frame = slot;
    (void)who;
    for (uint32_t r = 0; r < frame->runs_used; r++)
        find(f, &frame->runs[r]);
}

/* What waits to be tried again, and the frame in hand when that is made of such. */
static void find_retry(struct finds *f, const struct belt_chain_stage *chain)
{
    const struct belt_retry *r = chain->retry;
    belt_retry_each_run(r, find, f);
    for (uint32_t i = 0; r->fed.out && i < r->frame.count; i++)
        find(f, &(struct belt_run){ r->tickets[i].word, r->tickets[i].bit });
    if (chain->frame == &chain->retry->frame && !f->run->plan->pooled)
        find_tickets(f, chain);
}

/* Rows not sent yet: of the open frame, and those that wait beside a full edge. */
static void find_out(struct finds *f, const struct belt_row_out *out)
{
    if (out->open)
        each_rows(f, out->open, NULL);
    if (out->over)
        belt_overflow_each_run(out->over, find, f);
}

/* Of a link: the frame in hand, too, says what is still owed. */
static void each_link(struct finds *f, const void *slot, const void *who)
{
    const struct belt_link_frame *frame = slot;
    (void)who;
    for (uint32_t i = 0; i < frame->count; i++) {
        struct belt_run run = { frame->tickets[i].word, frame->tickets[i].bit };
        find(f, &run);
    }
}

static void find_links(struct finds *f, const struct belt_chain_stage *chain)
{
    for (uint32_t k = 0; chain->kids && k < chain->kids->ticketed; k++) {
        struct belt_run run = { chain->kids->tickets[k].word, chain->kids->tickets[k].bit };
        find(f, &run);
    }
    for (uint32_t n = 0; n < chain->ins_used; n++)
        find_ring(f, &chain->ins[n].rx, each_link, NULL);
    for (uint32_t o = 0; o < chain->fanouts_used; o++)
        for (uint32_t i = 0; i < chain->fanouts[o].outs_used; i++)
            if (chain->fanouts[o].outs[i].open)
                each_link(f, chain->fanouts[o].outs[i].open, NULL);
}

/* Frames of a pool that wait for a processor: their numbers are in the ring. */
static void find_pool(struct finds *f)
{
    const struct belt_pool *pool = &f->run->pool;
    const struct belt_rx *rx = &f->run->chains[0].intake.rx;
    for (uint64_t at = 0; at <= rx->mask; at++) {
        const uint64_t *slot = belt_mpmc_slot(rx->first, rx->mask, rx->slot_size, at);
        uint32_t number;
        if (belt_mpmc_state_of(*slot) != BELT_MPMC_FILLED)
            continue;
        memcpy(&number, slot + 1, sizeof number);
        const char *frame = pool->frames + (size_t)number * sizeof(struct belt_input_frame);
        find_input(f, (const void *)frame, NULL);
    }
}

static void find_everywhere(struct finds *f)
{
    const struct belt_engine_run *run = f->run;
    for (uint32_t c = 0; c < run->chains_used; c++) {
        const struct belt_chain_stage *chain = &run->chains[c];
        f->place = BELT_IN_SHARED;
        find_parents(f, &chain->joins);
        f->place = BELT_IN_PROCESSORS;
        find_links(f, chain);
        if (!run->plan->pooled && !chain->ins_used)
            find_ring(f, &chain->intake.rx, each_input, chain);
        else if (chain->frame && !chain->ins_used)
            find_input(f, chain->frame, chain);
        f->place = BELT_IN_STORES;
        if (chain->retry)
            find_retry(f, chain);
        f->place = BELT_IN_EDGES;
        for (int o = 0; o < chain->outlets_used; o++)
            for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++)
                find_out(f, &chain->outlets[o].outs[i]);
    }
    for (int o = 0; o < run->batchers_used; o++)
        for (uint32_t i = 0; i < run->spec->batchers[o].instances; i++) {
            const struct belt_batcher_stage *b = &run->batchers[o][i];
            f->place = BELT_IN_EDGES;
            for (uint32_t e = 0; e < b->ins_used; e++)
                find_ring(f, &b->ins[e].rx, each_rows, NULL);
            if (b->refused.open)
                each_rows(f, b->refused.open, NULL);
            f->place = BELT_IN_BATCHES;
            belt_batches_each_run(b->batches, find, f);
        }
    f->place = BELT_IN_STORES;
    if (run->holds)
        belt_holds_each_run(run->holds, find, f);
    f->place = BELT_IN_PROCESSORS;
    if (run->plan->pooled)
        find_pool(f);
}

static void compare(struct finds *f)
{
    for (uint32_t s = 0; s < f->run->sources_used && !f->broken; s++) {
        const struct belt_ledger *ledger = &f->run->sources[s].ledger;
        for (uint64_t word = ledger->low; word < ledger->next; word++) {
            uint64_t at = word & ledger->mask;
            uint64_t lost = ~ledger->done[at] & ~f->found[s][at];
            if (lost)
                broken(f, "a message that is not settled and in no place", word, lost);
        }
    }
}

static void compare_joins(struct finds *f)
{
    for (uint32_t c = 0; c < f->run->chains_used; c++) {
        const struct belt_joins *joins = &f->run->chains[c].joins;
        for (uint32_t i = 0; i < joins->made && !f->broken; i++) {
            const struct belt_join *join = &joins->at[i];
            uint64_t want = 0;
            for (uint32_t g = 0; join->left && g < join->groups; g++)
                want |= join->masks[g] & ~join->done;
            if (join->counts)
                want = join->units;
            if (want != f->joined[c][i])
                broken(f, "a child that is not settled and in no place", i, want);
        }
    }
}

static bool make_finds(struct finds *f)
{
    const struct belt_engine_run *run = f->run;
    f->found = calloc(run->sources_used, sizeof *f->found);
    f->joined = calloc(run->chains_used, sizeof *f->joined);
    bool ok = f->found && f->joined;
    for (uint32_t s = 0; ok && s < run->sources_used; s++)
        ok = (f->found[s] = calloc(run->sources[s].ledger.mask + 1, sizeof **f->found)) != NULL;
    for (uint32_t c = 0; ok && c < run->chains_used; c++)
        ok = (f->joined[c] = calloc(run->chains[c].joins.made + 1, sizeof **f->joined)) != NULL;
    return ok;
}

static void free_finds(struct finds *f)
{
    for (uint32_t s = 0; f->found && s < f->run->sources_used; s++)
        free(f->found[s]);
    for (uint32_t c = 0; f->joined && c < f->run->chains_used; c++)
        free(f->joined[c]);
    free(f->found);
    free(f->joined);
}

int belt_check(struct belt_pipeline *p, struct belt_error *err)
{
    struct belt_engine_run *run = p->run;
    if (!run)
        return 0;
    if (p->started && !p->joined)
        return belt_error_set(err, -EBUSY, "check: the lanes are running");
    struct finds f = { .run = run };
    bool ok = make_finds(&f);
    if (ok) {
        find_everywhere(&f);
        compare(&f);
        compare_joins(&f);
    }
    free_finds(&f);
    if (!ok)
        return belt_error_set(err, -ENOMEM, "check: out of memory");
    if (f.broken)
        return belt_error_set(err, -EPROTO, "check: %s: source word %llu, messages %#llx", f.broken,
                              (unsigned long long)f.word, (unsigned long long)f.mask);
    return 0;
}

int belt_check_places(const struct belt_engine_run *run, uint64_t (*places)[BELT_IN_PLACES],
                      struct belt_error *err)
{
    struct finds f = { .run = run, .places = places };
    bool ok = make_finds(&f);
    if (ok)
        find_everywhere(&f);
    free_finds(&f);
    return ok ? 0 : belt_error_set(err, -ENOMEM, "check: out of memory");
}
