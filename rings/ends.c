/* What both ends do in every kind: closing, leaving, being looked at; and the
 * calls that the kinds answer out of line. */
#include "rings/kind_priv.h"

#include <errno.h>
#include <unistd.h>

static const struct belt_kind_ops *tx_ops(const struct belt_tx *tx)
{
    return belt_ops_of(tx->way);
}

static const struct belt_kind_ops *rx_ops(const struct belt_rx *rx)
{
    return belt_ops_of(rx->way);
}

/* ---- closing, leaving ------------------------------------------------------------ */

void belt_close(struct belt_tx *tx)
{
    if (tx->closed)
        return;
    tx->closed = true;
    tx->limit = tx->next; /* gives back what was claimed */
    if (tx_ops(tx)->close)
        tx_ops(tx)->close(tx);
    if (tx->lanes_used) /* they count for themselves */
        return;
    /* R3, pairs with A3 in belt_rx_ended(): our last publish. */
    belt_fetch_add_release32(&tx->ring->closed, 1);
    belt_bell_ring(&tx->ring->readers_bell);
}

bool belt_rx_ended(const struct belt_rx *rx)
{
    const struct belt_ring *ring = rx->ring;
    /* A3, pairs with R3 in belt_close(): a writer closes after its last publish,
     * so what is looked at next is final. The other way round an item published
     * in between would be lost. Lanes count for themselves. */
    if (!rx->lanes_used && belt_load_acquire32(&ring->closed) < ring->writers)
        return false;
    return rx_ops(rx)->ended(rx);
}

void belt_tx_leave(struct belt_tx *tx)
{
    const struct belt_kind_ops *ops = tx->readers ? &belt_broadcast_ops : tx_ops(tx);
    if (ops->tx_leave)
        ops->tx_leave(tx);
    belt_role_leave(tx->ring, (enum belt_way)tx->way, tx->role, tx->owner);
    tx->owner = 0;
}

void belt_rx_leave(struct belt_rx *rx)
{
    bool broadcast = rx->released != &rx->ring->released;
    const struct belt_kind_ops *ops = broadcast ? &belt_broadcast_ops : rx_ops(rx);
    if (ops->rx_leave)
        ops->rx_leave(rx);
    if (rx->fd >= 0)
        close(rx->fd);
    rx->fd = -1;
    belt_role_leave(rx->ring, (enum belt_way)rx->way, rx->role, rx->owner);
    rx->owner = 0;
}

/* ---- looking in ------------------------------------------------------------------ */

static uint32_t roles_taken(const belt_owner *words, uint32_t count)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count; i++)
        taken += belt_load_relaxed(&words[i]) + 1 > 1; /* relaxed: a figure; 0 or LEFT: nobody */
    return taken;
}

void belt_ring_stat_of(const struct belt_ring *ring, const struct belt_ring *head,
                       struct belt_ring_stat *out)
{
    bool inband = head->body == BELT_BODY_INBAND;
    *out = (struct belt_ring_stat){
        .slots = head->slots * (inband ? belt_inband_per_line(head->slot_size) : 1),
        .slot_size = head->slot_size,
        .kind = (enum belt_kind)head->kind,
        .body = (enum belt_body)head->body,
        .closed = belt_load_relaxed32(&ring->closed) >= head->writers, /* relaxed: a figure */
    };
    const belt_owner *words = belt_ring_owners(ring);
    bool processes = head->kind == BELT_MPMC;
    out->writers = roles_taken(words, processes ? head->owners : head->owners ? head->writers : 0);
    out->readers =
        processes || !head->owners ? 0 : roles_taken(words + head->writers, head->readers);
    belt_cold_ops_of(head)->stat(ring, head, out);
}

int belt_ring_stat(struct belt_mem mem, struct belt_ring_stat *out)
{
    struct belt_ring head;
    int rc = belt_ring_at(mem, &head);
    if (rc == 0)
        belt_ring_stat_of((const struct belt_ring *)mem.base, &head, out);
    return rc;
}

int belt_ring_check(const struct belt_ring *ring, size_t size)
{
    struct belt_ring head;
    /* Relaxed: no access to items; what is being formatted at this moment is no ring yet. */
    if (size < sizeof *ring || belt_load_relaxed(&ring->magic) != BELT_RING_MAGIC)
        return 1;
    belt_ring_copy_head(&head, ring);
    if (head.layout != BELT_RING_LAYOUT)
        return 2;
    int broken = belt_geometry_broken(&head, size);
    return broken ? broken : belt_cold_ops_of(&head)->check(ring, &head);
}

/* ---- recovery -------------------------------------------------------------------- */

/* `a` later than `b`, for cursors at most 2^63 apart. */
static bool later(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) > 0;
}

static bool is_spans(const struct belt_ring *ring)
{
    return ring->kind == BELT_SPSC && ring->body == BELT_BODY_SPANS;
}

int belt_ring_redo_publish(struct belt_ring *ring, uint64_t published)
{
    if (!is_spans(ring))
        return -ENOTSUP;
    /* Relaxed: the owner is dead, so only we write it. */
    if (!later(published, belt_load_relaxed(&ring->published)))
        return 0;
    /* Relaxed: a bound; the reader may move it on at any time, which only widens it. */
    if (later(published, belt_load_relaxed(&ring->released) + ring->slots))
        return -EINVAL;
    /* R2 in the dead writer's place, pairs with A2 in belt_spans_filled(). Its slot
     * contents reach us with the commit word that told us this cursor. */
    belt_store_release(&ring->published, published);
    belt_bell_ring(&ring->readers_bell);
    return 0;
}

int belt_ring_redo_release(struct belt_ring *ring, uint64_t released)
{
    if (!is_spans(ring))
        return -ENOTSUP;
    /* Relaxed, twice: as in belt_ring_redo_publish(). */
    if (!later(released, belt_load_relaxed(&ring->released)))
        return 0;
    if (later(released, belt_load_relaxed(&ring->published)))
        return -EINVAL;
    /* R1 in the dead reader's place, pairs with A1 in belt_spans_released(). */
    belt_store_release(&ring->released, released);
    belt_bell_ring(&ring->writers_bell);
    return 0;
}

/* ---- the kinds' own calls -------------------------------------------------------- */

struct belt_slots belt_claim_other(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    return tx_ops(tx)->claim(tx, skip, want);
}

void belt_publish_other(struct belt_tx *tx, uint32_t count)
{
    tx_ops(tx)->publish(tx, count);
}

struct belt_slots belt_peek_other(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    return rx_ops(rx)->peek(rx, skip, want);
}

bool belt_release_other(struct belt_rx *rx, uint32_t count)
{
    return rx_ops(rx)->release(rx, count);
}

bool belt_push_other(struct belt_tx *tx, const void *item, size_t size)
{
    return tx_ops(tx)->push(tx, item, size);
}

bool belt_pop_other(struct belt_rx *rx, void *item, size_t size)
{
    return rx_ops(rx)->pop(rx, item, size);
}

uint32_t belt_push_n(struct belt_tx *tx, const void *items, uint32_t count, size_t size)
{
    assert(size <= tx->item_size);
    return tx_ops(tx)->push_n(tx, (const char *)items, count, size);
}

uint32_t belt_pop_n(struct belt_rx *rx, void *items, uint32_t count, size_t size)
{
    assert(size <= rx->item_size);
    return rx_ops(rx)->pop_n(rx, (char *)items, count, size);
}
