/* Rings, the cold part: set-up, opening, looking in, recovery; and the copies
 * of many items, where a call more is nothing. */
#include "rings/ring.h"

#include <errno.h>

#define DEFAULT_BYTES (16u << 10) /* 16 KiB of slots stay in L1: the fastest footprint measured */
#define DEFAULT_LEAST 8u
#define LINE 64u

/* ---- geometry ------------------------------------------------------------------ */

static bool is_pow2(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static uint32_t round_up_pow2(uint32_t n)
{
    uint32_t power = 2;
    while (power < n)
        power *= 2;
    return power;
}

/* From a line on, slots begin on lines: two of them never share one. */
static uint32_t slot_size_for(enum belt_kind kind, uint32_t item_size)
{
    uint32_t used = item_size + (kind == BELT_MPMC ? BELT_SEQUENCE_SIZE : 0);
    uint32_t unit = used >= LINE ? LINE : 8;
    return (used + unit - 1) / unit * unit;
}

static uint32_t slots_for(const struct belt_ring_conf *conf)
{
    if (conf->items)
        return round_up_pow2(conf->items);
    uint32_t fit = DEFAULT_BYTES / slot_size_for(conf->kind, conf->item_size);
    /* Half of the rounded-up is the rounded-down, but for an exact power. */
    uint32_t up = round_up_pow2(fit);
    uint32_t slots = up > fit ? up / 2 : up;
    return slots < DEFAULT_LEAST ? DEFAULT_LEAST : slots;
}

static uint64_t footprint_of(uint32_t slots, uint32_t slot_size)
{
    return sizeof(struct belt_ring) + (uint64_t)slots * slot_size;
}

/* ---- set-up -------------------------------------------------------------------- */

/* The caller's conf in our own size: a shorter one is from an older header, its
 * missing fields 0; a longer one may hold nothing we do not know. */
static int conf_read(struct belt_ring_conf *out, const struct belt_ring_conf *conf)
{
    if (!conf || conf->size < offsetof(struct belt_ring_conf, start) + sizeof conf->start)
        return -EINVAL;
    const unsigned char *rest = (const unsigned char *)conf;
    for (uint32_t i = sizeof *out; i < conf->size; i++)
        if (rest[i])
            return -E2BIG;
    *out = *conf;
    if (out->writers == 0)
        out->writers = 1;
    if (out->readers == 0)
        out->readers = 1;
    return 0;
}

static int conf_refused(const struct belt_ring_conf *conf)
{
    if ((unsigned)conf->kind > BELT_BROADCAST || (unsigned)conf->body > BELT_BODY_INBAND ||
        (unsigned)conf->wait > BELT_WAIT_BLOCK)
        return -EINVAL;
    if (conf->kind > BELT_MPMC || conf->body == BELT_BODY_INBAND)
        return -ENOTSUP;
    if (conf->item_size == 0 || conf->item_size > BELT_RING_ITEM_SIZE_MAX ||
        conf->items > BELT_RING_ITEMS_MAX)
        return -EINVAL;
    if (conf->kind == BELT_SPSC && (conf->writers > 1 || conf->readers > 1))
        return -EINVAL;
    return 0;
}

int belt_ring_conf_check(const struct belt_ring_conf *conf)
{
    struct belt_ring_conf own;
    int rc = conf_read(&own, conf);
    return rc < 0 ? rc : conf_refused(&own);
}

size_t belt_ring_footprint(const struct belt_ring_conf *conf)
{
    if (belt_ring_conf_check(conf) < 0)
        return 0;
    return (size_t)footprint_of(slots_for(conf), slot_size_for(conf->kind, conf->item_size));
}

static void sequences_format(struct belt_ring *ring, uint64_t start)
{
    char *first = (char *)ring + ring->head_size;
    /* Relaxed: belt_ring_format() publishes them all with the magic. */
    for (uint64_t i = 0; i < ring->slots; i++)
        belt_store_relaxed(belt_mpmc_slot(first, ring->slots - 1, ring->slot_size, start + i),
                           start + i);
}

int belt_ring_format(struct belt_mem mem, const struct belt_ring_conf *conf)
{
    struct belt_ring_conf own;
    int rc = conf_read(&own, conf);
    if (rc == 0)
        rc = conf_refused(&own);
    if (rc < 0)
        return rc;
    if (!mem.base || (uintptr_t)mem.base % BELT_LINES)
        return -EINVAL;
    uint32_t slots = slots_for(&own), slot_size = slot_size_for(own.kind, own.item_size);
    if (mem.size < footprint_of(slots, slot_size))
        return -ENOSPC;

    struct belt_ring *ring = mem.base;
    belt_store_relaxed(&ring->magic, 0); /* relaxed: nobody has it open */
    ring->layout = BELT_RING_LAYOUT;
    ring->kind = own.kind;
    ring->body = BELT_BODY_SPANS;
    ring->wait = own.wait;
    ring->slots = slots;
    ring->slot_size = slot_size;
    ring->item_size = own.item_size;
    ring->writers = own.writers;
    ring->readers = own.readers;
    ring->head_size = sizeof *ring;
    ring->footprint = footprint_of(slots, slot_size);
    ring->published = ring->released = own.start;
    ring->closed = 0;
    if (own.kind == BELT_MPMC)
        sequences_format(ring, own.start);
    /* R5, pairs with A5 in ring_at(): the geometry before the magic. */
    belt_store_release(&ring->magic, BELT_RING_MAGIC);
    return 0;
}

/* ---- opening ------------------------------------------------------------------- */

static bool geometry_holds(const struct belt_ring *ring)
{
    return is_pow2(ring->slots) && ring->slots >= 2 && ring->slots <= BELT_RING_ITEMS_MAX;
}

static bool slot_size_holds(const struct belt_ring *ring)
{
    return ring->item_size > 0 && ring->item_size <= BELT_RING_ITEM_SIZE_MAX &&
           ring->slot_size == slot_size_for((enum belt_kind)ring->kind, ring->item_size);
}

static bool footprint_holds(const struct belt_ring *ring, size_t size)
{
    return ring->head_size == sizeof *ring && ring->footprint <= size &&
           ring->footprint == footprint_of(ring->slots, ring->slot_size);
}

static int ring_at(struct belt_mem mem, struct belt_ring **out)
{
    struct belt_ring *ring = mem.base;
    if (!ring || (uintptr_t)ring % BELT_LINES || mem.size < sizeof *ring)
        return -EINVAL;
    /* A5, pairs with R5 in belt_ring_format(): the geometry is complete. */
    if (belt_load_acquire(&ring->magic) != BELT_RING_MAGIC)
        return -EINVAL;
    if (ring->layout != BELT_RING_LAYOUT)
        return -EPROTO;
    if (ring->kind > BELT_MPMC)
        return -ENOTSUP;
    if (!geometry_holds(ring) || !slot_size_holds(ring) || !footprint_holds(ring, mem.size))
        return -EMSGSIZE;
    *out = ring;
    return 0;
}

int belt_tx_open(struct belt_tx *tx, struct belt_mem mem)
{
    struct belt_ring *ring;
    int rc = ring_at(mem, &ring);
    if (rc < 0)
        return rc;
    *tx = (struct belt_tx){
        .ring = ring,
        .first = (char *)ring + ring->head_size,
        .mask = ring->slots - 1,
        .slot_size = ring->slot_size,
        .item_size = ring->item_size,
        .shared = ring->kind == BELT_MPMC,
    };
    /* Relaxed: whoever stored it last was this end's owner, whose end the caller has seen. */
    tx->next = tx->limit = belt_load_relaxed(&ring->published);
    tx->closed = belt_load_relaxed32(&ring->closed) >= ring->writers;
    return 0;
}

int belt_rx_open(struct belt_rx *rx, struct belt_mem mem)
{
    struct belt_ring *ring;
    int rc = ring_at(mem, &ring);
    if (rc < 0)
        return rc;
    *rx = (struct belt_rx){
        .ring = ring,
        .first = (char *)ring + ring->head_size,
        .mask = ring->slots - 1,
        .slot_size = ring->slot_size,
        .item_size = ring->item_size,
        .shared = ring->kind == BELT_MPMC,
    };
    /* Relaxed: as in belt_tx_open(). */
    rx->next = rx->limit = belt_load_relaxed(&ring->released);
    return 0;
}

void belt_close(struct belt_tx *tx)
{
    if (tx->closed)
        return;
    tx->closed = true;
    tx->limit = tx->next; /* gives back what was claimed */
    /* R3, pairs with A3 in belt_rx_ended(): our last publish. */
    belt_fetch_add32(&tx->ring->closed, 1);
}

/* ---- looking in ---------------------------------------------------------------- */

void belt_ring_stat(const struct belt_ring *ring, struct belt_ring_stat *out)
{
    /* `released` first, and acquired: read second it could be past `published`. */
    out->released = belt_load_acquire(&ring->released);
    out->published = belt_load_relaxed(&ring->published); /* a figure, no access to slots */
    out->slots = ring->slots;
    out->slot_size = ring->slot_size;
    out->closed = belt_load_relaxed32(&ring->closed) >= ring->writers;
}

/* Filled from released to published, free for the next lap elsewhere. */
static bool sequences_hold(const struct belt_ring *ring)
{
    char *first = (char *)(uintptr_t)ring + ring->head_size;
    uint64_t filled = ring->published - ring->released;
    for (uint64_t i = 0; i < ring->slots; i++) {
        uint64_t ticket = ring->released + i;
        uint64_t *slot = belt_mpmc_slot(first, ring->slots - 1, ring->slot_size, ticket);
        if (belt_load_relaxed(slot) != ticket + (i < filled)) /* relaxed: nobody moves */
            return false;
    }
    return true;
}

int belt_ring_check(const struct belt_ring *ring, size_t size)
{
    if (size < sizeof *ring || ring->magic != BELT_RING_MAGIC)
        return 1;
    if (ring->layout != BELT_RING_LAYOUT)
        return 2;
    if (!geometry_holds(ring))
        return 3;
    if (ring->kind > BELT_MPMC)
        return 6;
    if (!slot_size_holds(ring))
        return 4;
    if (!footprint_holds(ring, size))
        return 5;
    /* A difference, not an order: both cursors may have wrapped. */
    if (ring->published - ring->released > ring->slots)
        return 7;
    return ring->kind == BELT_MPMC && !sequences_hold(ring) ? 8 : 0;
}

/* ---- recovery ------------------------------------------------------------------ */

/* `a` later than `b`, for cursors at most 2^63 apart. */
static bool later(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) > 0;
}

int belt_ring_redo_publish(struct belt_ring *ring, uint64_t published)
{
    if (ring->kind != BELT_SPSC)
        return -ENOTSUP;
    /* Relaxed: the owner is dead, so only we write it. */
    if (!later(published, belt_load_relaxed(&ring->published)))
        return 0;
    /* Relaxed: a bound; the reader may move it on at any time, which only widens it. */
    if (later(published, belt_load_relaxed(&ring->released) + ring->slots))
        return -EINVAL;
    /* R2 in the dead writer's place, pairs with A2 in belt_peek_at(). Its slot
     * contents reach us with the commit word that told us this cursor. */
    belt_store_release(&ring->published, published);
    return 0;
}

int belt_ring_redo_release(struct belt_ring *ring, uint64_t released)
{
    if (ring->kind != BELT_SPSC)
        return -ENOTSUP;
    /* Relaxed, twice: as in belt_ring_redo_publish(). */
    if (!later(released, belt_load_relaxed(&ring->released)))
        return 0;
    if (later(released, belt_load_relaxed(&ring->published)))
        return -EINVAL;
    /* R1 in the dead reader's place, pairs with A1 in belt_claim_at(). */
    belt_store_release(&ring->released, released);
    return 0;
}

/* ---- many items by copy -------------------------------------------------------- */

/* Between an array without gaps and slots, which may have some. */
static void copy_in(char *slot, uint32_t slot_size, const char *items, uint32_t count, size_t size)
{
    if (size == slot_size) {
        memcpy(slot, items, count * size);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        memcpy(slot + (size_t)i * slot_size, items + i * size, size);
}

static void copy_out(char *items, const char *slot, uint32_t slot_size, uint32_t count, size_t size)
{
    if (size == slot_size) {
        memcpy(items, slot, count * size);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        memcpy(items + i * size, slot + (size_t)i * slot_size, size);
}

static uint32_t mpmc_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    uint64_t ticket;
    if (tx->closed)
        return 0;
    uint32_t n =
        belt_mpmc_take(&tx->ring->published, tx->first, tx->mask, tx->slot_size, count, 0, &ticket);
    for (uint32_t i = 0; i < n; i++, ticket++) {
        uint64_t *slot = belt_mpmc_slot(tx->first, tx->mask, tx->slot_size, ticket);
        memcpy(slot + 1, items + i * size, size);
        belt_mpmc_pass(slot, ticket + 1);
    }
    return n;
}

static uint32_t mpmc_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    uint64_t ticket;
    uint32_t n =
        belt_mpmc_take(&rx->ring->released, rx->first, rx->mask, rx->slot_size, count, 1, &ticket);
    for (uint32_t i = 0; i < n; i++, ticket++) {
        uint64_t *slot = belt_mpmc_slot(rx->first, rx->mask, rx->slot_size, ticket);
        memcpy(items + i * size, slot + 1, size);
        belt_mpmc_pass(slot, ticket + rx->mask + 1);
    }
    return n;
}

uint32_t belt_push_n(struct belt_tx *tx, const void *items, uint32_t count, size_t size)
{
    assert(size <= tx->item_size);
    const char *from = items;
    if (tx->shared)
        return mpmc_push_n(tx, from, count, size);
    uint32_t done = 0;
    /* Twice at most: up to the ring's end, then from its beginning; one publish. */
    while (done < count) {
        struct belt_slots s = belt_claim_at(tx, done, count - done);
        if (s.count == 0)
            break;
        copy_in(s.first, tx->slot_size, from + done * size, s.count, size);
        done += s.count;
    }
    if (done)
        belt_publish(tx, done);
    return done;
}

uint32_t belt_pop_n(struct belt_rx *rx, void *items, uint32_t count, size_t size)
{
    assert(size <= rx->item_size);
    char *to = items;
    if (rx->shared)
        return mpmc_pop_n(rx, to, count, size);
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = belt_peek_at(rx, done, count - done);
        if (s.count == 0)
            break;
        copy_out(to + done * size, s.first, rx->slot_size, s.count, size);
        done += s.count;
    }
    if (done)
        belt_release(rx, done);
    return done;
}
