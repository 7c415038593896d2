/* Broadcast: spans with a cursor per reader, the slowest of which holds the writer
 * back. What differs from an SPSC ring is cold, but for the search of the slowest:
 * that happens only when the room last seen is used up.
 *
 * A place gates from the start, so that nothing is lost before its reader comes,
 * and while its reader is dead. Only belt_rx_leave() ends it. Who opens a place
 * that was left begins at `published`, and must not trust that the writer saw it
 * in time: see rx_open(). */
#include "rings/kind_priv.h"
#include "rings/wait_priv.h"

/* They lie right before the first slot, whose place is our private geometry. */
static struct belt_cursor *cursor_at(const char *first, uint32_t readers, uint32_t number)
{
    return (struct belt_cursor *)(void *)((char *)(uintptr_t)first -
                                          (size_t)(readers - number) * sizeof(struct belt_cursor));
}

/* In a ring that we have not opened: `head` is its geometry. */
static struct belt_cursor *cursor_in(const struct belt_ring *ring, const struct belt_ring *head,
                                     uint32_t number)
{
    return cursor_at((char *)(uintptr_t)ring + head->head_size, head->readers, number);
}

/* ---- the writer ------------------------------------------------------------------ */

/* Does the writer wait for it? */
static bool gates(const struct belt_cursor *cursor)
{
    /* Relaxed: who gates is asked for its cursor, and who left is looked at again. */
    if (belt_load_relaxed32(&cursor->left) != BELT_LEFT)
        return true;
    /* L2, pairs with K2 in join(): either we see here that somebody joins, or it
     * sees all that we have published and begins behind that. Without it both would
     * miss, and it would read slots that we then take to be free. */
    belt_fence_seq();
    /* L1, pairs with K1 in broadcast_rx_leave(): its reader's loads of slots are over;
     * otherwise we would write what it still reads. It may have joined, read and left
     * again since our first look, so the fence does not do for that. */
    return belt_load_acquire32(&cursor->left) != BELT_LEFT;
}

/* How many tickets it is behind, at most all of the ring whatever it says. */
static uint64_t behind(const struct belt_tx *tx, const struct belt_cursor *cursor)
{
    /* A1 for each reader, pairs with R1 in belt_spans_release() of rings/spans.h. */
    uint64_t distance = tx->next - belt_load_acquire(&cursor->released);
    return distance <= tx->mask ? distance : (uint64_t)tx->mask + 1;
}

uint64_t belt_spans_slowest(const struct belt_tx *tx)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < tx->readers; i++) {
        const struct belt_cursor *cursor = cursor_at(tx->first, tx->readers, i);
        uint64_t distance = gates(cursor) ? behind(tx, cursor) : 0;
        most = distance > most ? distance : most;
    }
    return tx->next - most;
}

bool belt_broadcast_orphaned(const struct belt_tx *tx)
{
    const belt_owner *readers = belt_ring_owners(tx->ring) + 1;
    for (uint32_t i = 0; i < tx->readers; i++) {
        const struct belt_cursor *cursor = cursor_at(tx->first, tx->readers, i);
        belt_owner owner = belt_load_relaxed(&readers[i]); /* relaxed: a name to ask about */
        if (gates(cursor) && behind(tx, cursor) > tx->mask && belt_owner_died(owner))
            return true;
    }
    return false;
}

static int broadcast_tx_open(struct belt_tx *tx)
{
    /* Relaxed: who stored it last was this end's owner, seen with its role. */
    tx->next = tx->limit = belt_load_relaxed(&tx->ring->published);
    return 0;
}

/* ---- a reader -------------------------------------------------------------------- */

/* Of the writer's last published ticket, whatever it did to the slots before. */
static uint64_t published(const struct belt_ring *ring)
{
    /* Relaxed: a place to begin; slots are read after A2 in belt_spans_filled(). */
    return belt_load_relaxed(&ring->published);
}

/* The place was left: the writer may have gone round any number of times, and may
 * still think that nobody is here. */
static void join(struct belt_cursor *cursor, const struct belt_ring *ring)
{
    /* R1 of belt_spans_release() in the place of the reader that left it: its loads of
     * slots, which came to us with the role. In either order the writer finds less room
     * than there is. From the mark on we gate, but who dies before the end has its
     * successor begin anew. */
    belt_store_release(&cursor->released, published(ring));
    belt_store_relaxed32(&cursor->left, BELT_JOINING);
    /* K2, pairs with L2 in gates(): a writer that missed the mark had published,
     * before it looked, at least as far as we see now, and the room it found
     * there ends a lap behind that. */
    belt_fence_seq();
    /* Only moves on. Relaxed: the fence has released what R1 above releases. */
    belt_store_relaxed(&cursor->released, published(ring));
    /* K3: the cursor before the mark that says that it may be trusted, wherever a death
     * stops us; see broadcast_rx_open(). */
    belt_store_release32(&cursor->left, BELT_GATES);
}

static int broadcast_rx_open(struct belt_rx *rx)
{
    struct belt_cursor *cursor = cursor_at(rx->first, rx->readers, rx->me);
    rx->released = &cursor->released;
    /* Relaxed: the mark of a reader that died, by the kernel's word, which comes with all
     * that it did. K3 is for its own order. */
    if (belt_load_relaxed32(&cursor->left) != BELT_GATES)
        join(cursor, rx->ring);
    rx->next = rx->limit = belt_load_relaxed(rx->released); /* relaxed: ours alone by now */
    return 0;
}

static void broadcast_rx_leave(struct belt_rx *rx)
{
    struct belt_cursor *cursor = (struct belt_cursor *)(void *)rx->released;
    /* K1, pairs with L1 in gates(): our loads of slots. */
    belt_store_release32(&cursor->left, BELT_LEFT);
    belt_bell_ring(&rx->ring->writers_bell);
}

/* ---- looking in ------------------------------------------------------------------ */

static void broadcast_format(struct belt_ring *ring, uint64_t start)
{
    /* Relaxed: belt_ring_format() publishes all of it with the magic. */
    belt_store_relaxed(&ring->published, start);
    for (uint32_t i = 0; i < ring->readers; i++)
        belt_store_relaxed(&cursor_in(ring, ring, i)->released, start);
}

static uint64_t most_behind(const struct belt_ring *ring, const struct belt_ring *head,
                            uint64_t last)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < head->readers; i++) {
        const struct belt_cursor *cursor = cursor_in(ring, head, i);
        /* Relaxed, twice: figures, no access to slots. */
        uint64_t distance = last - belt_load_relaxed(&cursor->released);
        if (belt_load_relaxed32(&cursor->left) != BELT_LEFT && distance > most)
            most = distance;
    }
    return most;
}

static void broadcast_stat(const struct belt_ring *ring, const struct belt_ring *head,
                           struct belt_ring_stat *out)
{
    out->published = published(ring);
    out->items = most_behind(ring, head, out->published);
    out->released = out->published - out->items;
    if (out->items > out->slots)
        out->items = out->slots;
}

static int broadcast_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    return most_behind(ring, head, published(ring)) > head->slots ? 7 : 0;
}

const struct belt_kind_ops belt_broadcast_ops = {
    .format = broadcast_format,
    .tx_open = broadcast_tx_open,
    .rx_open = broadcast_rx_open,
    .rx_leave = broadcast_rx_leave,
    .stat = broadcast_stat,
    .check = broadcast_check,
};
