/* How fast a source may give: a bucket of `burst` messages that fills evenly,
 * shared by all instances of the source.
 *
 * One word says when the bucket will be full again (the theoretical arrival time
 * of GCRA): a time is right whatever the rate becomes, so a change needs nothing
 * but new figures. In any stretch of time t at most burst + t * messages / per
 * messages are let through; there is no window with an edge to cheat at. */
#ifndef BELT_RATE_PRIV_H
#define BELT_RATE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "rings/api.h"

/* messages 0: no limit; per in ns. */
struct belt_rate_conf {
    uint64_t messages, per, burst;
};

struct belt_rate_state {
    uint64_t messages, per, burst;                         /* atomics; messages 0: no limit */
    uint64_t full_at __attribute__((aligned(BELT_LINES))); /* atomic; ns * BELT_RATE_FINE */
};

/* Parts of a nanosecond: a message costs at most one too many. 9 years fit. */
#define BELT_RATE_FINE 64

/* The messages of a millisecond, at least one. */
uint64_t belt_rate_burst(uint64_t messages, uint64_t per);
/* Control thread. What was let through counts on, unless `reset`: a full bucket. */
void belt_rate_set(struct belt_rate_state *rate, const struct belt_rate_conf *conf, uint64_t now,
                   bool reset);
/* Up to `want` (at least 1) messages may pass now; 0: none before *due (ns). Where
 * the burst allows it, waits for the messages of 100 us: a fast source is not woken for each. */
uint32_t belt_rate_take(struct belt_rate_state *rate, uint32_t want, uint64_t now, uint64_t *due);
/* Of those taken, `count` did not come. */
void belt_rate_give_back(struct belt_rate_state *rate, uint32_t count);

#endif
