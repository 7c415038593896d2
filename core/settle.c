/* What becomes of tickets: the only place that knows whose they are. */
#include "core/run_priv.h"

void belt_run_settle(struct belt_engine_run *run, uint64_t word, uint64_t mask)
{
    belt_ledger_settle(belt_run_ledger(run, word), BELT_RUN_WORD(word), mask);
}

void belt_run_settle_failed(struct belt_engine_run *run, uint64_t word, uint64_t mask)
{
    belt_ledger_fail(belt_run_ledger(run, word), BELT_RUN_WORD(word), mask);
}

static void settle(struct belt_engine_run *run, uint64_t word, uint64_t mask, bool failed)
{
    if (failed)
        belt_run_settle_failed(run, word, mask);
    else
        belt_run_settle(run, word, mask);
}

/* Neighbours usually share a word: one atomic for all of them. */
static void settle_sparse(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed)
{
    struct belt_ticket sum = { 0 };
    for (; mask; mask &= mask - 1) {
        struct belt_ticket t = chain->sparse[w * 64 + (uint32_t)__builtin_ctzll(mask)];
        if (sum.bit && sum.word != t.word) {
            settle(chain->stage.run, sum.word, sum.bit, failed);
            sum.bit = 0;
        }
        sum = (struct belt_ticket){ t.word, sum.bit | t.bit };
    }
    settle(chain->stage.run, sum.word, sum.bit, failed);
}

void belt_chain_settle(struct belt_chain_stage *chain, uint32_t w, uint64_t mask, bool failed)
{
    if (!mask)
        return;
    if (chain->sparse)
        settle_sparse(chain, w, mask, failed);
    else
        settle(chain->stage.run, chain->frame->word + w, mask, failed);
}
