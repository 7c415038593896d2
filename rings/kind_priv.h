/* What ring.c asks of a kind. One table a way, each at the end of its file. */
#ifndef BELT_KIND_PRIV_H
#define BELT_KIND_PRIV_H

#include "rings/ring.h"

struct belt_kind_ops {
    /* Cold. The geometry in *ring is set and cursors, owners and bells are 0;
     * format stores where the first ticket is. */
    void (*format)(struct belt_ring *ring, uint64_t start);
    /* ring, first, mask, slot_size, item_size, way, owner and me (the number of the
     * role taken, from 0; MPMC: index + 1 among the owners) are set, sharded: lanes_used,
     * broadcast: tx->readers; the rest is 0. Nothing of the ring's head needs reading. */
    int (*tx_open)(struct belt_tx *tx);
    int (*rx_open)(struct belt_rx *rx);
    void (*tx_leave)(struct belt_tx *tx); /* NULL: nothing to do but the role */
    void (*rx_leave)(struct belt_rx *rx);
    /* published, released, items (sharded: closed); the rest is filled in. From any
     * process, at any time. `head`: our own copy of the geometry, checked. */
    void (*stat)(const struct belt_ring *ring, const struct belt_ring *head,
                 struct belt_ring_stat *out);
    /* 0 or 7 and up, as in belt_ring_check(); `head` as for stat. */
    int (*check)(const struct belt_ring *ring, const struct belt_ring *head);
    void (*close)(struct belt_tx *tx); /* before it counts as closed; NULL: nothing to do */
    bool (*ended)(const struct belt_rx *rx);

    /* Hot, out of line. */
    struct belt_slots (*claim)(struct belt_tx *tx, uint32_t skip, uint32_t want);
    void (*publish)(struct belt_tx *tx, uint32_t count);
    struct belt_slots (*peek)(struct belt_rx *rx, uint32_t skip, uint32_t want);
    bool (*release)(struct belt_rx *rx, uint32_t count);
    bool (*push)(struct belt_tx *tx, const void *item, size_t size);
    bool (*pop)(struct belt_rx *rx, void *item, size_t size);
    uint32_t (*push_n)(struct belt_tx *tx, const char *items, uint32_t count, size_t size);
    uint32_t (*pop_n)(struct belt_rx *rx, char *items, uint32_t count, size_t size);
    /* Is something there (is there room)? Looks, and changes nothing that a peer sees;
     * never lingers. What the waiting calls look with. */
    bool (*rx_ready)(struct belt_rx *rx);
    bool (*tx_ready)(struct belt_tx *tx);
};

extern const struct belt_kind_ops belt_spans_ops, belt_inband_ops, belt_mpmc_ops,
    belt_broadcast_ops, belt_lossy_ops, belt_sharded_ops;

/* Of belt_broadcast_ops the cold part alone; all else is the spans' (BELT_WAY_SPANS). */
const struct belt_kind_ops *belt_ops_of(unsigned way); /* enum belt_way */

/* ---- owners (owner.c) ------------------------------------------------------------ */

/* This process; 0 and -errno in *rc when /proc does not tell. */
belt_owner belt_owner_self(int *rc);
/* By the kernel's word: false once no thread of it can run again (a zombie is dead). */
bool belt_owner_alive(belt_owner owner);
/* A role that its owner gave back: taken again only when no other is vacant, since
 * what it had may be finished (a closed writer's lanes). Nobody's pid. */
#define BELT_OWNER_LEFT UINT64_MAX
static inline bool belt_owner_died(belt_owner owner)
{
    return owner != 0 && owner != BELT_OWNER_LEFT && !belt_owner_alive(owner);
}
/* Takes one of `n` words: a dead owner's, who has left things undone; else one that
 * nobody had yet; else one that was given back. Its index, or -EBUSY. */
int belt_owner_take(belt_owner *words, uint32_t n, belt_owner self);
/* MPMC: the index of the word that names this process already, else of one that is 0
 * (a dead process's claims name it until they are reaped), or -EBUSY. */
int belt_owner_join(belt_owner *words, uint32_t n, belt_owner self);

/* Where they lie in every ring, without asking its head. */
static inline belt_owner *belt_ring_owners(const struct belt_ring *ring)
{
    return (belt_owner *)(void *)((char *)(uintptr_t)ring + sizeof *ring);
}

/* Gives the word back that names us. MPMC: other ends of the process may still use it. */
void belt_role_leave(struct belt_ring *ring, enum belt_way way, uint32_t role, belt_owner self);

/* ---- geometry (ring.c) ----------------------------------------------------------- */

/* *head: our own copy of the geometry, checked. 0 or as belt_rx_open(). */
int belt_ring_at(struct belt_mem mem, struct belt_ring *head);
/* Our own copy of what belt_ring_format() set. */
void belt_ring_copy_head(struct belt_ring *head, const struct belt_ring *ring);
/* The first broken rule's number up to 6, as in belt_ring_check(), or 0. Of a copy
 * that nobody else changes. */
int belt_geometry_broken(const struct belt_ring *head, size_t size);
const struct belt_kind_ops *belt_cold_ops_of(const struct belt_ring *ring);

/* A lane's conf, from its sharded ring's. */
void belt_lane_conf(struct belt_ring_conf *lane, const struct belt_ring *ring);
/* belt_ring_at() of a lane: -EMSGSIZE too when it is not as its sharded ring's geometry
 * says, however well it may fit into its memory. */
int belt_lane_at(struct belt_mem mem, uint32_t slots, uint32_t slot_size, uint32_t item_size,
                 struct belt_ring *head);
/* Opens an end of such a lane. Takes no role. */
int belt_tx_open_lane(struct belt_tx *lane, const struct belt_tx *tx, struct belt_mem mem);
int belt_rx_open_lane(struct belt_rx *lane, const struct belt_rx *rx, struct belt_mem mem);
/* belt_ring_stat() of a ring whose geometry was copied and checked. */
void belt_ring_stat_of(const struct belt_ring *ring, const struct belt_ring *head,
                       struct belt_ring_stat *out);

/* How long a sleeper sleeps before it asks whether its peers live. */
enum { BELT_LIVENESS_NS = 20 * 1000 * 1000 };

#endif
