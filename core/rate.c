#include "core/rate_priv.h"

#include "rings/atomic.h"

#define GRAIN_NS 100000u /* a source that waits is not woken more often */

typedef unsigned __int128 wide;

/* All orders are relaxed: no data is handed over, and figures of two rates at once
 * let at most one take through by a mixture of both. */

/* What `count` messages cost, rounded up: never faster than asked for. */
static uint64_t cost(uint64_t count, uint64_t messages, uint64_t per)
{
    return (uint64_t)(((wide)count * per * BELT_RATE_FINE + messages - 1) / messages);
}

uint64_t belt_rate_burst(uint64_t messages, uint64_t per)
{
    uint64_t burst = (uint64_t)((wide)messages * 1000000u / per);
    return burst ? burst : 1;
}

/* The same number of messages is owed, at their new cost. */
static uint64_t moved(uint64_t full_at, uint64_t now, const struct belt_rate_conf *from,
                      const struct belt_rate_conf *to)
{
    if (full_at <= now || !from->messages || !to->messages)
        return 0;
    uint64_t owed =
        (uint64_t)((wide)(full_at - now) * from->messages / ((wide)from->per * BELT_RATE_FINE));
    return now + cost(owed < to->burst ? owed : to->burst, to->messages, to->per);
}

void belt_rate_set(struct belt_rate_state *rate, const struct belt_rate_conf *conf, uint64_t now,
                   bool reset)
{
    struct belt_rate_conf old = { belt_load_relaxed(&rate->messages), belt_load_relaxed(&rate->per),
                                  belt_load_relaxed(&rate->burst) };
    uint64_t full_at = belt_load_relaxed(&rate->full_at), next;
    belt_store_relaxed(&rate->per, conf->per);
    belt_store_relaxed(&rate->burst, conf->burst);
    belt_store_relaxed(&rate->messages, conf->messages);
    do
        next = reset ? 0 : moved(full_at, now * BELT_RATE_FINE, &old, conf);
    while (!belt_cas_relaxed(&rate->full_at, &full_at, next));
}

uint32_t belt_rate_take(struct belt_rate_state *rate, uint32_t want, uint64_t now, uint64_t *due)
{
    uint64_t messages = belt_load_relaxed(&rate->messages);
    uint64_t per = belt_load_relaxed(&rate->per), burst = belt_load_relaxed(&rate->burst);
    uint64_t full_at = belt_load_relaxed(&rate->full_at), fine = now * BELT_RATE_FINE;
    if (!messages)
        return want;
    uint64_t depth = cost(burst, messages, per);
    uint64_t least = (uint64_t)((wide)messages * GRAIN_NS / per);
    least = least < burst / 2 ? least : burst / 2;
    least = !least ? 1 : least < want ? least : want;
    for (;;) {
        uint64_t base = full_at > fine ? full_at : fine;
        uint64_t spare = fine + depth > base ? fine + depth - base : 0;
        uint64_t fits = (uint64_t)((wide)spare * messages / ((wide)per * BELT_RATE_FINE));
        if (fits < least) {
            uint64_t at = base + cost(least, messages, per) - depth;
            *due = (at + BELT_RATE_FINE - 1) / BELT_RATE_FINE;
            return 0;
        }
        uint32_t count = fits < want ? (uint32_t)fits : want;
        if (belt_cas_relaxed(&rate->full_at, &full_at, base + cost(count, messages, per)))
            return count;
    }
}

void belt_rate_give_back(struct belt_rate_state *rate, uint32_t count)
{
    uint64_t messages = belt_load_relaxed(&rate->messages), per = belt_load_relaxed(&rate->per);
    uint64_t full_at = belt_load_relaxed(&rate->full_at);
    if (!messages || !count)
        return;
    uint64_t back = (uint64_t)((wide)count * per * BELT_RATE_FINE / messages);
    while (!belt_cas_relaxed(&rate->full_at, &full_at, full_at > back ? full_at - back : 0))
        ;
}
