/* What becomes of tickets: the only place that knows whose they are. */
#include "core/run_priv.h"

static void settle(struct belt_engine_run *run, uint64_t word, uint64_t mask, bool failed)
{
    uint32_t whose = BELT_RUN_SOURCE(word);
    if (whose < BELT_RUN_JOINS && failed)
        belt_ledger_fail(&run->sources[whose].ledger, BELT_RUN_WORD(word), mask);
    else if (whose < BELT_RUN_JOINS)
        belt_ledger_settle(&run->sources[whose].ledger, BELT_RUN_WORD(word), mask);
    else if (whose != BELT_RUN_NOBODY)
        belt_join_settle(run, &run->chains[whose - BELT_RUN_JOINS].joins, BELT_RUN_WORD(word), mask,
                         failed);
}

void belt_run_settle(struct belt_engine_run *run, uint64_t word, uint64_t mask)
{
    settle(run, word, mask, false);
}

void belt_run_settle_failed(struct belt_engine_run *run, uint64_t word, uint64_t mask)
{
    settle(run, word, mask, true);
}

struct belt_ticket belt_run_root(const struct belt_engine_run *run, struct belt_ticket ticket)
{
    for (;;) {
        uint32_t whose = BELT_RUN_SOURCE(ticket.word);
        if (whose == BELT_RUN_NOBODY)
            return (struct belt_ticket){ 0 };
        if (whose < BELT_RUN_JOINS || !ticket.bit)
            return ticket;
        ticket = belt_join_parent(&run->chains[whose - BELT_RUN_JOINS].joins, ticket);
    }
}

void belt_run_count_failed(struct belt_engine_run *run, uint64_t count)
{
    belt_fetch_add(&run->failed_seen, count);
    if (belt_run_failed_too_often(run))
        belt_store_release32(&run->stopping, 1);
}

/* ---- of the frame in hand ----------------------------------------------------- */

struct belt_ticket belt_chain_take_sparse(struct belt_chain_stage *chain, uint32_t i)
{
    struct belt_ticket t = chain->sparse[i];
    if (BELT_RUN_SOURCE(t.word) == BELT_RUN_NOBODY)
        return t;
    t.bit &= -t.bit;
    chain->sparse[i].bit &= ~t.bit;
    return t;
}

/* Neighbours usually share a word: one atomic for all of them. */
static void settle_sparse(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed,
                          bool one)
{
    struct belt_ticket sum = { 0 };
    for (; mask; mask &= mask - 1) {
        struct belt_ticket *at = &chain->sparse[w * 64 + (uint32_t)__builtin_ctzll(mask)];
        uint64_t bits = one ? at->bit & -at->bit : at->bit;
        if (sum.bit && sum.word != at->word) {
            settle(chain->stage.run, sum.word, sum.bit, failed);
            sum.bit = 0;
        }
        sum = (struct belt_ticket){ at->word, sum.bit | bits };
        at->bit &= ~bits;
    }
    if (sum.bit)
        settle(chain->stage.run, sum.word, sum.bit, failed);
}

void belt_chain_settle(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed)
{
    if (!mask)
        return;
    if (chain->sparse)
        settle_sparse(chain, w, mask, failed, false);
    else
        settle(chain->stage.run, chain->frame->word + w, mask, failed);
}

void belt_chain_settle_one(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed)
{
    if (chain->sparse && mask)
        settle_sparse(chain, w, mask, failed, true);
    else
        belt_chain_settle(chain, w, mask, failed);
}

/* ---- tickets of single messages ----------------------------------------------- */

/* Of word w: not gone through the steps yet, or sorted in this moment. */
static uint64_t still_here(const struct belt_chain_stage *chain, uint32_t w)
{
    uint64_t here = belt_range_mask(w, chain->part.first, chain->part.end);
    for (int s = 0; s < chain->segments_used; s++)
        here |= belt_range_mask(w, chain->segments[s].first, chain->segments[s].end);
    return here;
}

void belt_chain_own_tickets(struct belt_chain_stage *chain)
{
    if (chain->sparse)
        return;
    for (uint32_t i = 0; i < chain->frame->count; i++) {
        struct belt_ticket t = belt_chain_ticket(chain, i);
        t.bit &= still_here(chain, i / 64);
        chain->tickets[i] = t;
    }
    chain->sparse = chain->tickets;
}

uint64_t belt_chain_nobody(struct belt_chain_stage *chain)
{
    return (uint64_t)BELT_RUN_NOBODY << 48 | (uint64_t)chain->number << 36 |
           (chain->disowned++ & ((UINT64_C(1) << 36) - 1));
}

/* Tickets for a frame that settle nothing. Each has a bit of its own all the same:
 * tickets of rows are counted. */
void belt_chain_disown(struct belt_chain_stage *chain, uint32_t w, uint64_t mask)
{
    uint64_t word = belt_chain_nobody(chain);
    for (; mask; mask &= mask - 1)
        chain->sparse[w * 64 + (uint32_t)__builtin_ctzll(mask)] =
            (struct belt_ticket){ word, mask & -mask };
}
