/* How often a worker may die, how soon the next one starts, and when one that
 * does not get on counts as hanging. No clocks, no processes: just counting. */
#include "core/worker_priv.h"

bool belt_budget_allows(const struct belt_budget *budget, uint64_t now)
{
    if (budget->used < budget->deaths)
        return true;
    return budget->deaths && now - budget->times[budget->next] >= budget->window; /* the oldest */
}

bool belt_budget_spend(struct belt_budget *budget, uint64_t now)
{
    if (!belt_budget_allows(budget, now))
        return false;
    budget->used += budget->used < budget->deaths;
    budget->times[budget->next] = now;
    budget->next = (budget->next + 1) % budget->deaths;
    return true;
}

uint64_t belt_budget_wait(struct belt_budget *budget, bool got_on)
{
    uint64_t doubled = budget->wait > budget->most / 2 ? budget->most : 2 * budget->wait;
    if (got_on)
        budget->wait = 0;
    else
        budget->wait = budget->wait ? doubled : budget->first;
    return budget->wait;
}

/* Looks within one limit. A hanging worker is found after 1 to 1.25 limits. */
#define LOOKS 4

bool belt_watch_look(struct belt_watch *watch, uint64_t now, uint64_t count, uint64_t limit)
{
    /* A lane that was kept from looking, because all of the process was stopped or
     * the CPU was taken, cannot tell who stood still in the meantime. */
    uint64_t passed = now - watch->looked, most = limit / LOOKS + 1;
    watch->looked = now;
    if (count != watch->seen) {
        watch->seen = count;
        watch->still = 0;
        return false;
    }
    watch->still += passed < most ? passed : most;
    return watch->still >= limit;
}

uint64_t belt_watch_due(const struct belt_watch *watch, uint64_t limit)
{
    return watch->looked + limit / LOOKS + 1;
}
