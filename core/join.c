#include "core/join_priv.h"

#include <string.h>

#include "core/run_priv.h"

#define GLANCES 16 /* joins looked at before a fresh one is begun */

/* ---- the owner's side ------------------------------------------------------------- */

static bool is_free(const struct belt_joins *joins, uint32_t i)
{
    /* A1, pairs with R1 in leave(): the last settler is through with the join. */
    return joins->open != i + 1 && belt_load_acquire32(&joins->at[i].left) == 0;
}

/* A free join among those made, looking at `most` of them; or `made`. */
static uint32_t look(struct belt_joins *joins, uint32_t most)
{
    for (uint32_t n = 0; n < most && n < joins->made; n++) {
        uint32_t i = joins->next;
        joins->next = i + 1 < joins->made ? i + 1 : 0;
        if (is_free(joins, i))
            return i;
    }
    return joins->made;
}

/* Few are made where few are needed: their pages stay in the cache. */
static struct belt_join *take_free(struct belt_joins *joins, uint32_t *number)
{
    uint32_t i = look(joins, GLANCES);
    if (i == joins->made && joins->made == joins->count)
        i = look(joins, joins->count);
    else if (i == joins->made)
        joins->made++;
    if (i == joins->count)
        return NULL;
    struct belt_join *join = &joins->at[i];
    join->done = join->failed = 0;
    join->units = join->groups = join->bits = 0;
    join->counts = false;
    *number = i;
    return join;
}

static uint64_t word_of(const struct belt_joins *joins, uint32_t i)
{
    return (uint64_t)(BELT_RUN_JOINS + joins->number) << 48 | i;
}

/* The open join with room for a group of so many, or NULL. */
static struct belt_join *with_room(struct belt_joins *joins, uint32_t children)
{
    struct belt_join *join = joins->open ? &joins->at[joins->open - 1] : NULL;
    if (join && join->groups < BELT_JOIN_GROUPS && join->bits + children <= 64)
        return join;
    uint32_t i;
    join = take_free(joins, &i);
    if (join)
        joins->open = i + 1;
    return join;
}

struct belt_ticket belt_join_group(struct belt_joins *joins, uint32_t children,
                                   struct belt_ticket parent)
{
    struct belt_join *join = with_room(joins, children);
    if (!join)
        return (struct belt_ticket){ 0 };
    uint64_t mask = (children == 64 ? UINT64_MAX : (UINT64_C(1) << children) - 1) << join->bits;
    uint32_t g = join->groups++;
    memset(join->group_of + join->bits, (int)g, children);
    join->bits += children;
    join->masks[g] = mask;
    join->parents[g] = parent;
    /* Others may be settling groups of this join: only the count is shared. */
    belt_fetch_add32(&join->left, 1);
    return (struct belt_ticket){ word_of(joins, joins->open - 1), mask };
}

struct belt_ticket belt_join_count(struct belt_joins *joins, struct belt_ticket parent)
{
    uint32_t i;
    struct belt_join *join = take_free(joins, &i);
    if (!join)
        return (struct belt_ticket){ 0 };
    join->counts = true;
    join->units = 1;
    join->parents[0] = parent;
    belt_store_relaxed32(&join->left, 1); /* nobody knows of it yet */
    return (struct belt_ticket){ word_of(joins, i), 1 };
}

bool belt_join_is_count(const struct belt_joins *joins, struct belt_ticket ticket)
{
    return BELT_RUN_SOURCE(ticket.word) == BELT_RUN_JOINS + joins->number && ticket.bit &&
           joins->at[BELT_RUN_WORD(ticket.word)].counts;
}

void belt_join_add(struct belt_joins *joins, struct belt_ticket count, uint32_t units)
{
    belt_fetch_add32(&joins->at[BELT_RUN_WORD(count.word)].units, units);
}

struct belt_ticket belt_join_parent(const struct belt_joins *joins, struct belt_ticket child)
{
    const struct belt_join *join = &joins->at[BELT_RUN_WORD(child.word)];
    return join->parents[join->counts ? 0 : join->group_of[__builtin_ctzll(child.bit)]];
}

/* ---- settling, in any thread ------------------------------------------------------ */

static void settle_parent(struct belt_engine_run *run, struct belt_ticket parent, bool failed)
{
    if (failed)
        belt_run_settle_failed(run, parent.word, parent.bit);
    else
        belt_run_settle(run, parent.word, parent.bit);
}

static void leave(struct belt_join *join, uint32_t groups)
{
    /* R1, pairs with A1 in is_free(): the parents are settled, and nothing of the
     * join is read any more; else the owner would put other groups under our eyes. */
    belt_fetch_add32(&join->left, -groups);
}

static void settle_units(struct belt_engine_run *run, struct belt_join *join, uint32_t units,
                         bool failed)
{
    if (failed)
        belt_fetch_or(&join->failed, 1);
    /* Both ends of this one word: who takes the last unit sees what the others did. */
    if (belt_fetch_add32(&join->units, -units) != units)
        return;
    settle_parent(run, join->parents[0], belt_load_relaxed(&join->failed) != 0);
    leave(join, 1);
}

/* Groups that some of these children are of. */
struct touched {
    uint32_t count;
    uint8_t groups[BELT_JOIN_GROUPS];
    uint64_t masks[BELT_JOIN_GROUPS];
};

static struct touched look_up(const struct belt_join *join, uint64_t mask)
{
    struct touched t;
    for (t.count = 0; mask; t.count++) {
        uint8_t g = join->group_of[__builtin_ctzll(mask)];
        t.groups[t.count] = g;
        t.masks[t.count] = join->masks[g];
        mask &= ~join->masks[g];
    }
    return t;
}

void belt_join_settle(struct belt_engine_run *run, struct belt_joins *joins, uint64_t word,
                      uint64_t mask, bool failed)
{
    struct belt_join *join = &joins->at[word];
    if (join->counts) {
        settle_units(run, join, (uint32_t)__builtin_popcountll(mask), failed);
        return;
    }
    /* Looked up while our children hold the join: the moment that their bits are set, it
     * may be another's, but for the groups that we complete. */
    struct touched touched = look_up(join, mask);
    if (failed)
        belt_fetch_or(&join->failed, mask);
    /* Of all who settle children of a group, exactly one sees it become complete. It
     * sees the others' failures, too: each is before its own child's bit in here. */
    uint64_t before = belt_fetch_or(&join->done, mask), after = before | mask;
    uint32_t completed = 0;
    for (uint32_t n = 0; n < touched.count; n++) {
        uint64_t group = touched.masks[n];
        if ((after & group) != group || (before & group) == group)
            continue;
        bool any_failed = (belt_load_relaxed(&join->failed) & group) != 0;
        settle_parent(run, join->parents[touched.groups[n]], any_failed);
        completed++;
    }
    if (completed)
        leave(join, completed);
}
