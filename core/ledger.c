#include "core/ledger_priv.h"

#include <string.h>

#define ALL UINT64_MAX

/* Words other than the bits are written by the source alone, and read by others
 * for show only: relaxed, to be whole. */

uint64_t belt_ledger_room(const struct belt_ledger *ledger)
{
    return ledger->words - (ledger->next - ledger->low);
}

uint64_t belt_ledger_issue(struct belt_ledger *ledger, uint32_t count)
{
    uint64_t first = ledger->next;
    uint32_t words = (count + 63) / 64;
    for (uint32_t i = 0; i < words; i++) {
        uint64_t at = (first + i) & ledger->mask;
        uint32_t here = count - i * 64;
        /* Relaxed: nobody knows these tickets before the frame is published. */
        belt_store_relaxed(&ledger->failed[at], 0);
        belt_store_relaxed(&ledger->done[at], here >= 64 ? 0 : ALL << here);
        if (ledger->options)
            memset(ledger->options + at * 64, 0, 64);
        if (ledger->owed)
            ledger->owed[at] = here >= 64 ? ALL : ~(ALL << here);
    }
    belt_store_relaxed(&ledger->issued, ledger->issued + count);
    belt_store_relaxed(&ledger->next, first + words);
    return first;
}

uint64_t belt_ledger_free(struct belt_ledger *ledger)
{
    uint64_t from = ledger->low, low = from, failed = 0;
    for (; low < ledger->next; low++) {
        uint64_t at = low & ledger->mask;
        /* A1, pairs with R1 in belt_ledger_settle(). */
        if (belt_load_acquire(&ledger->done[at]) != ALL)
            break;
        if (ledger->owed && ledger->owed[at])
            break; /* settled since belt_ledger_tell() looked */
        failed += (uint64_t)__builtin_popcountll(belt_load_relaxed(&ledger->failed[at]));
    }
    if (failed)
        belt_store_relaxed(&ledger->settled_failed, ledger->settled_failed + failed);
    belt_store_relaxed(&ledger->low, low);
    return low - from;
}

void belt_ledger_tell(struct belt_ledger *ledger, bool any, belt_tell_fn *tell, void *ctx)
{
    for (uint64_t word = ledger->low; word < ledger->next; word++) {
        uint64_t at = word & ledger->mask;
        /* A2, pairs with R1 in belt_ledger_settle(): what is acknowledged upstream has
         * been done; without it the sink's stores could come after. */
        uint64_t done = belt_load_acquire(&ledger->done[at]);
        if (!any && done != ALL)
            return;
        uint64_t ready = done & ledger->owed[at];
        if (!ready)
            continue;
        uint64_t failed = belt_load_relaxed(&ledger->failed[at]) & ready;
        ledger->owed[at] &= ~ready;
        tell(ctx, word, ready & ~failed, failed);
    }
}

struct belt_ledger_counts belt_ledger_count(const struct belt_ledger *ledger)
{
    struct belt_ledger_counts c = { 0 };
    uint64_t next = belt_load_relaxed(&ledger->next);
    c.failed = belt_load_relaxed(&ledger->settled_failed);
    for (uint64_t word = belt_load_relaxed(&ledger->low); word < next; word++) {
        uint64_t at = word & ledger->mask;
        uint64_t done = belt_load_relaxed(&ledger->done[at]);
        c.unsettled += 64 - (uint64_t)__builtin_popcountll(done);
        c.failed += (uint64_t)__builtin_popcountll(belt_load_relaxed(&ledger->failed[at]));
    }
    c.issued = belt_load_relaxed(&ledger->issued);
    return c;
}
