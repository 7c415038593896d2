/* Joins: a message that became several (rows for several batchers, copies for
 * several processors, messages emitted) is settled when all of them are.
 *
 * A join is 64 bits, one for each child, in groups: a group's parent is settled
 * by whoever settles the group's last child, once, as failed when any child was.
 * A count is the same for a parent with any number of children, whose groups lie
 * in several joins: it is done when as many units are settled as were added.
 *
 *            group, count, add     settle
 *   owner            X               X     the lane of the processor that makes children
 *   any thread       -               X
 *
 * A join is free again when the parents of all its groups are settled; the owner
 * finds it by looking. */
#ifndef BELT_JOIN_PRIV_H
#define BELT_JOIN_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ledger_priv.h"

#define BELT_JOIN_GROUPS 32

/* One message's place in a ledger, or (several bits) in a join. */
struct belt_ticket {
    uint64_t word, bit; /* as in struct belt_run */
};

struct belt_join {
    uint64_t done, failed; /* atomics: a bit for each child */
    uint32_t left;         /* atomic: groups whose parent is not settled; 0: free */
    uint32_t units;        /* atomic: of a count, not settled yet */
    uint32_t groups, bits; /* used; owner only */
    bool counts;
    uint8_t group_of[64];
    uint64_t masks[BELT_JOIN_GROUPS];
    struct belt_ticket parents[BELT_JOIN_GROUPS];
};

/* The joins of one processor instance. */
struct belt_joins {
    struct belt_join *at; /* [count]; NULL: this processor needs none */
    uint32_t count, made; /* made: used at least once */
    uint32_t next;        /* where to look for a free one */
    uint32_t open;        /* 1 + the one that takes more groups, 0: none */
    uint32_t number;      /* of the processor instance */
};

struct belt_engine_run;

/* `children` (2 to 64) tickets, all bits of the result's word, for one parent. A bit of
 * 0: no join is free now. */
struct belt_ticket belt_join_group(struct belt_joins *joins, uint32_t children,
                                   struct belt_ticket parent);
/* A count with one unit, its ticket; a bit of 0 as above. Units are added by the owner
 * while it holds one itself. */
struct belt_ticket belt_join_count(struct belt_joins *joins, struct belt_ticket parent);
bool belt_join_is_count(const struct belt_joins *joins, struct belt_ticket ticket);
void belt_join_add(struct belt_joins *joins, struct belt_ticket count, uint32_t units);
/* Whose child this is, while it is not settled. Any thread. */
struct belt_ticket belt_join_parent(const struct belt_joins *joins, struct belt_ticket child);
/* Children are done, or failed: through belt_run_settle() and belt_run_settle_failed(). */
void belt_join_settle(struct belt_engine_run *run, struct belt_joins *joins, uint64_t word,
                      uint64_t mask, bool failed);

#endif
