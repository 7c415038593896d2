/* Rings, the cold part that all kinds share: geometry, set-up, opening, looking
 * in; and the way to each kind's own code. */
#include "rings/kind_priv.h"

#include <errno.h>

#define DEFAULT_BYTES (16u << 10) /* 16 KiB of slots stay in L1: the fastest footprint measured */
#define DEFAULT_LEAST 8u
#define ENDS_MAX 255u /* roles of one side */

/* ---- geometry ------------------------------------------------------------------- */

/* All that follows from a conf, in the words of struct belt_ring. */
struct shape {
    uint32_t body, slots, slot_size, owners, owners_at, cursors_at, head_size;
    uint64_t lane_size, footprint;
};

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

static uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static bool has_bodies(uint32_t kind)
{
    return kind == BELT_SPSC || kind == BELT_SHARDED;
}

static bool is_mpmc(uint32_t kind)
{
    return kind == BELT_MPMC || kind == BELT_MPMC_CRASH_UNSAFE;
}

static uint32_t body_for(const struct belt_ring_conf *conf)
{
    if (conf->body != BELT_BODY_AUTO)
        return conf->body;
    bool small = conf->item_size <= BELT_INBAND_ITEM_MAX && conf->batch <= 1;
    return has_bodies(conf->kind) && small ? BELT_BODY_INBAND : BELT_BODY_SPANS;
}

/* From a line on, slots begin on lines: two of them never share one. */
static uint32_t slot_size_for(uint32_t kind, uint32_t body, uint32_t item_size)
{
    uint32_t used = item_size + (is_mpmc(kind) ? BELT_SEQUENCE_SIZE : 0);
    return round_up(used, body == BELT_BODY_SPANS && used >= BELT_LINE ? BELT_LINE : 8);
}

/* The biggest power of two of slots that DEFAULT_BYTES holds. */
static uint32_t default_slots(uint32_t bytes)
{
    uint32_t fit = DEFAULT_BYTES / bytes, up = round_up_pow2(fit);
    uint32_t slots = up > fit ? up / 2 : up;
    return slots < DEFAULT_LEAST ? DEFAULT_LEAST : slots;
}

static uint32_t slots_for(const struct belt_ring_conf *conf, uint32_t body, uint32_t slot_size)
{
    if (body == BELT_BODY_SPANS)
        return conf->items ? round_up_pow2(conf->items) : default_slots(slot_size);
    if (!conf->items)
        return default_slots(BELT_LINE);
    /* A line more: that of the oldest item may be half used up. */
    uint32_t per_line = belt_inband_per_line(slot_size);
    return round_up_pow2((conf->items + per_line - 1) / per_line + 1);
}

static uint32_t owners_for(uint32_t kind, uint32_t writers, uint32_t readers)
{
    if (kind == BELT_MPMC)
        return BELT_MPMC_OWNERS;
    return kind == BELT_MPMC_CRASH_UNSAFE ? 0 : writers + readers;
}

/* The rest, from kind, body, slots, slot_size and the ends. */
static void place_parts(struct shape *shape, uint32_t kind, uint32_t writers, uint32_t readers)
{
    shape->owners = owners_for(kind, writers, readers);
    shape->owners_at = sizeof(struct belt_ring);
    uint32_t owned = round_up(shape->owners * (uint32_t)sizeof(belt_owner), BELT_LINES);
    shape->cursors_at = shape->owners_at + owned;
    uint32_t cursors = kind == BELT_BROADCAST ? readers : 0;
    shape->head_size = shape->cursors_at + cursors * (uint32_t)sizeof(struct belt_cursor);
    uint32_t stride = shape->body == BELT_BODY_INBAND ? BELT_LINE : shape->slot_size;
    uint64_t slots_size =
        ((uint64_t)shape->slots * stride + BELT_LINES - 1) / BELT_LINES * BELT_LINES;
    shape->lane_size = 0;
    if (kind == BELT_SHARDED) {
        struct shape lane = *shape;
        place_parts(&lane, BELT_SPSC, 1, 1);
        shape->lane_size = lane.footprint;
        slots_size = (uint64_t)writers * readers * lane.footprint;
    }
    shape->footprint = shape->head_size + slots_size;
}

static struct shape shape_of(const struct belt_ring_conf *conf)
{
    struct shape shape = { .body = body_for(conf) };
    shape.slot_size = slot_size_for(conf->kind, shape.body, conf->item_size);
    shape.slots = slots_for(conf, shape.body, shape.slot_size);
    place_parts(&shape, conf->kind, conf->writers, conf->readers);
    return shape;
}

/* ---- set-up --------------------------------------------------------------------- */

/* The caller's conf in our own size: a shorter one is from an older header, its
 * missing fields 0; a longer one may hold nothing we do not know. */
static int conf_read(struct belt_ring_conf *out, const struct belt_ring_conf *conf)
{
    size_t oldest = offsetof(struct belt_ring_conf, flags);
    if (!conf || conf->size < oldest)
        return -EINVAL;
    const unsigned char *rest = (const unsigned char *)conf;
    for (uint32_t i = sizeof *out; i < conf->size; i++)
        if (rest[i])
            return -E2BIG;
    memset(out, 0, sizeof *out);
    memcpy(out, conf, conf->size < sizeof *out ? conf->size : sizeof *out);
    if (out->writers == 0)
        out->writers = 1;
    if (out->readers == 0)
        out->readers = 1;
    return 0;
}

/* How many ends of each side a kind takes, and what it can do without. */
static const struct {
    uint32_t writers, readers, flags;
} most[] = {
    [BELT_SPSC] = { 1, 1, BELT_NO_ROLES | BELT_NO_LINGER },
    [BELT_MPMC] = { UINT32_MAX, UINT32_MAX, BELT_NO_LINGER },
    [BELT_MPMC_CRASH_UNSAFE] = { UINT32_MAX, UINT32_MAX, BELT_NO_ROLES | BELT_NO_LINGER },
    [BELT_SHARDED] = { ENDS_MAX, ENDS_MAX, BELT_NO_LINGER },
    [BELT_BROADCAST] = { 1, ENDS_MAX, BELT_NO_LINGER },
    [BELT_LOSSY] = { 1, ENDS_MAX, BELT_NO_LINGER },
};

static int conf_refused(const struct belt_ring_conf *conf)
{
    if ((unsigned)conf->kind > BELT_LOSSY || (unsigned)conf->body > BELT_BODY_INBAND ||
        (unsigned)conf->wait > BELT_WAIT_BLOCK)
        return -EINVAL;
    if (conf->item_size == 0 || conf->item_size > BELT_RING_ITEM_SIZE_MAX ||
        conf->items > BELT_RING_ITEMS_MAX)
        return -EINVAL;
    if (conf->writers > most[conf->kind].writers || conf->readers > most[conf->kind].readers ||
        (conf->flags & ~most[conf->kind].flags))
        return -EINVAL;
    if (conf->body == BELT_BODY_INBAND &&
        (!has_bodies(conf->kind) || conf->item_size > BELT_INBAND_ITEM_MAX))
        return -EINVAL;
    return 0;
}

static int conf_take(struct belt_ring_conf *own, const struct belt_ring_conf *conf)
{
    int rc = conf_read(own, conf);
    if (rc == 0)
        rc = conf_refused(own);
    if (rc < 0)
        return rc;
    struct shape shape = shape_of(own);
    if (shape.slots > BELT_RING_ITEMS_MAX)
        return -EINVAL;
    /* One lane is at most 2^61 bytes; the sum of all may be more than there is. */
    uint64_t lanes = (uint64_t)own->writers * own->readers;
    return shape.lane_size > PTRDIFF_MAX / lanes ? -E2BIG : 0;
}

int belt_ring_conf_check(const struct belt_ring_conf *conf)
{
    struct belt_ring_conf own;
    return conf_take(&own, conf);
}

size_t belt_ring_footprint(const struct belt_ring_conf *conf)
{
    struct belt_ring_conf own;
    return conf_take(&own, conf) < 0 ? 0 : (size_t)shape_of(&own).footprint;
}

/* ---- kinds ----------------------------------------------------------------------- */

static const struct belt_kind_ops *const ops_by_way[] = {
    [BELT_WAY_SPANS] = &belt_spans_ops, [BELT_WAY_INBAND] = &belt_inband_ops,
    [BELT_WAY_MPMC] = &belt_mpmc_ops,   [BELT_WAY_MPMC_CRASH_UNSAFE] = &belt_mpmc_ops,
    [BELT_WAY_LOSSY] = &belt_lossy_ops, [BELT_WAY_SHARDED] = &belt_sharded_ops,
};

const struct belt_kind_ops *belt_ops_of(unsigned way)
{
    return ops_by_way[way];
}

static enum belt_way way_of(const struct belt_ring *ring)
{
    static const enum belt_way by_kind[] = {
        [BELT_SPSC] = BELT_WAY_SPANS,      [BELT_MPMC] = BELT_WAY_MPMC,
        [BELT_SHARDED] = BELT_WAY_SHARDED, [BELT_MPMC_CRASH_UNSAFE] = BELT_WAY_MPMC_CRASH_UNSAFE,
        [BELT_BROADCAST] = BELT_WAY_SPANS, [BELT_LOSSY] = BELT_WAY_LOSSY,
    };
    bool inband = ring->kind == BELT_SPSC && ring->body == BELT_BODY_INBAND;
    return inband ? BELT_WAY_INBAND : by_kind[ring->kind];
}

/* Broadcast rings share their hot code with spans. */
const struct belt_kind_ops *belt_cold_ops_of(const struct belt_ring *ring)
{
    return ring->kind == BELT_BROADCAST ? &belt_broadcast_ops : ops_by_way[way_of(ring)];
}

int belt_ring_format(struct belt_mem mem, const struct belt_ring_conf *conf)
{
    struct belt_ring_conf own;
    int rc = conf_take(&own, conf);
    if (rc < 0)
        return rc;
    if (!mem.base || (uintptr_t)mem.base % BELT_LINES)
        return -EINVAL;
    struct shape shape = shape_of(&own);
    if (mem.size < shape.footprint)
        return -ENOSPC;

    struct belt_ring *ring = (struct belt_ring *)mem.base;
    memset(ring, 0, shape.head_size);
    ring->layout = BELT_RING_LAYOUT;
    ring->kind = own.kind;
    ring->body = shape.body;
    ring->wait = own.wait;
    ring->flags = own.flags;
    ring->slots = shape.slots;
    ring->slot_size = shape.slot_size;
    ring->item_size = own.item_size;
    ring->writers = own.writers;
    ring->readers = own.readers;
    ring->head_size = shape.head_size;
    ring->owners = shape.owners;
    ring->owners_at = shape.owners_at;
    ring->cursors_at = shape.cursors_at;
    ring->lane_size = shape.lane_size;
    ring->footprint = shape.footprint;
    belt_cold_ops_of(ring)->format(ring, own.start);
    /* R5, pairs with A5 in belt_ring_at(): the geometry before the magic. */
    belt_store_release(&ring->magic, BELT_RING_MAGIC);
    return 0;
}

void belt_lane_conf(struct belt_ring_conf *lane, const struct belt_ring *ring)
{
    bool inband = ring->body == BELT_BODY_INBAND;
    uint32_t lines_items = (ring->slots - 1) * belt_inband_per_line(ring->slot_size);
    *lane = (struct belt_ring_conf){ .size = sizeof *lane,
                                     .item_size = ring->item_size,
                                     .items = inband ? lines_items : ring->slots,
                                     .body = (enum belt_body)ring->body,
                                     .wait = (enum belt_wait)ring->wait,
                                     .flags = ring->flags | BELT_NO_ROLES };
}

/* ---- opening --------------------------------------------------------------------- */

int belt_geometry_broken(const struct belt_ring *head, size_t size)
{
    if (!is_pow2(head->slots) || head->slots < 2 || head->slots > BELT_RING_ITEMS_MAX)
        return 3;
    if (head->kind > BELT_LOSSY || head->body < BELT_BODY_SPANS || head->body > BELT_BODY_INBAND ||
        head->wait > BELT_WAIT_BLOCK || head->writers == 0 || head->readers == 0 ||
        head->writers > most[head->kind].writers || head->readers > most[head->kind].readers ||
        (head->flags & ~most[head->kind].flags))
        return 6;
    bool inband = head->body == BELT_BODY_INBAND;
    if (inband && (!has_bodies(head->kind) || head->item_size > BELT_INBAND_ITEM_MAX))
        return 6;
    if (head->item_size == 0 || head->item_size > BELT_RING_ITEM_SIZE_MAX ||
        head->slot_size != slot_size_for(head->kind, head->body, head->item_size))
        return 4;
    struct shape shape = { .body = head->body, .slots = head->slots, .slot_size = head->slot_size };
    place_parts(&shape, head->kind, head->writers, head->readers);
    bool same = head->owners == shape.owners && head->owners_at == shape.owners_at &&
                head->cursors_at == shape.cursors_at && head->head_size == shape.head_size &&
                head->lane_size == shape.lane_size && head->footprint == shape.footprint;
    return same && shape.footprint <= size ? 0 : 5;
}

/* The fence: no compiler may read a word of the ring again that it knows to be equal;
 * a hostile peer may have changed it meanwhile. */
void belt_ring_copy_head(struct belt_ring *head, const struct belt_ring *ring)
{
    memcpy(head, ring, offsetof(struct belt_ring, published));
    belt_fence_compiler();
}

int belt_ring_at(struct belt_mem mem, struct belt_ring *head)
{
    struct belt_ring *ring = (struct belt_ring *)mem.base;
    if (!ring || (uintptr_t)ring % BELT_LINES || mem.size < sizeof *ring)
        return -EINVAL;
    /* A5, pairs with R5 in belt_ring_format(): the geometry is complete. */
    if (belt_load_acquire(&ring->magic) != BELT_RING_MAGIC)
        return -EINVAL;
    belt_ring_copy_head(head, ring);
    if (head->layout != BELT_RING_LAYOUT)
        return -EPROTO;
    return belt_geometry_broken(head, mem.size) ? -EMSGSIZE : 0;
}

/* The role's number, or -errno. `first` and `count`: its side's words. */
static int role_take(struct belt_ring *ring, const struct belt_ring *head, uint32_t first,
                     uint32_t count, belt_owner *self)
{
    int rc = 0;
    *self = 0;
    if (head->owners == 0 || (head->flags & BELT_NO_ROLES))
        return 0;
    *self = belt_owner_self(&rc);
    if (rc < 0)
        return rc;
    belt_owner *words = belt_ring_owners(ring);
    if (head->kind != BELT_MPMC)
        return belt_owner_take(words + first, count, *self);
    rc = belt_owner_join(words, head->owners, *self);
    /* Only the dead make room, and only reaped. */
    if (rc == -EBUSY && belt_ring_reap(belt_mem_of(ring, head->footprint), NULL) == 0)
        rc = belt_owner_join(words, head->owners, *self);
    return rc < 0 ? rc : rc + 1;
}

/* Gives the word back that names us. MPMC: other ends of the process may still use it. */
void belt_role_leave(struct belt_ring *ring, enum belt_way way, uint32_t role, belt_owner self)
{
    uint64_t mine = self;
    if (self && way != BELT_WAY_MPMC)
        /* R6, pairs with O1 in belt_owner_take(): our loads and stores of the ring are
         * over before the next owner's begin, as if one thread had done both. */
        belt_cas_release(belt_ring_owners(ring) + role, &mine, BELT_OWNER_LEFT);
}

/* Sleepers rely on membarrier to reach every process that has the ring open. */
static void reach(struct belt_ring *ring)
{
    if (belt_wait_setup() < 0)
        belt_store_relaxed32(&ring->without_expedited, 1); /* relaxed: sleepers poll anyway */
}

static int tx_fill(struct belt_tx *tx, struct belt_ring *ring, const struct belt_ring *head,
                   uint32_t number, belt_owner owner)
{
    *tx = (struct belt_tx){ .ring = ring,
                            .first = (char *)ring + head->head_size,
                            .mask = head->slots - 1,
                            .slot_size = head->slot_size,
                            .item_size = head->item_size,
                            .way = (uint8_t)way_of(head),
                            .me = (uint16_t)number,
                            .wait = (uint8_t)head->wait,
                            .readers = head->kind == BELT_BROADCAST ? head->readers : 0,
                            .lanes_used = head->kind == BELT_SHARDED ? head->readers : 0,
                            .stride = head->writers,
                            .lane_size = head->lane_size,
                            .owner = owner };
    /* Relaxed: a closed SPSC writer's successor has seen its end. */
    tx->closed = belt_load_relaxed32(&ring->closed) >= head->writers;
    return belt_cold_ops_of(head)->tx_open(tx);
}

static int rx_fill(struct belt_rx *rx, struct belt_ring *ring, const struct belt_ring *head,
                   uint32_t number, belt_owner owner)
{
    *rx = (struct belt_rx){ .ring = ring,
                            .first = (char *)ring + head->head_size,
                            .released = &ring->released,
                            .mask = head->slots - 1,
                            .slot_size = head->slot_size,
                            .item_size = head->item_size,
                            .way = (uint8_t)way_of(head),
                            .me = (uint16_t)number,
                            .wait = (uint8_t)head->wait,
                            .readers = head->readers,
                            .lanes_used = head->kind == BELT_SHARDED ? head->writers : 0,
                            .lane_size = head->lane_size,
                            .owner = owner,
                            .fd = -1 };
    return belt_cold_ops_of(head)->rx_open(rx);
}

int belt_lane_at(struct belt_mem mem, uint32_t slots, uint32_t slot_size, uint32_t item_size,
                 struct belt_ring *head)
{
    int rc = belt_ring_at(mem, head);
    if (rc < 0)
        return rc;
    bool same = head->kind == BELT_SPSC && head->slots == slots && head->slot_size == slot_size &&
                head->item_size == item_size;
    return same ? 0 : -EMSGSIZE;
}

int belt_tx_open_lane(struct belt_tx *lane, const struct belt_tx *tx, struct belt_mem mem)
{
    struct belt_ring head;
    int rc = belt_lane_at(mem, tx->mask + 1, tx->slot_size, tx->item_size, &head);
    return rc < 0 ? rc : tx_fill(lane, (struct belt_ring *)mem.base, &head, 0, 0);
}

int belt_rx_open_lane(struct belt_rx *lane, const struct belt_rx *rx, struct belt_mem mem)
{
    struct belt_ring head;
    int rc = belt_lane_at(mem, rx->mask + 1, rx->slot_size, rx->item_size, &head);
    return rc < 0 ? rc : rx_fill(lane, (struct belt_ring *)mem.base, &head, 0, 0);
}

int belt_tx_open(struct belt_tx *tx, struct belt_mem mem)
{
    struct belt_ring head, *ring = (struct belt_ring *)mem.base;
    belt_owner self;
    int rc = belt_ring_at(mem, &head);
    int number = rc < 0 ? rc : role_take(ring, &head, 0, head.writers, &self);
    if (number < 0)
        return number;
    reach(ring);
    rc = tx_fill(tx, ring, &head, (uint32_t)number, self);
    tx->role = (uint16_t)number;
    if (rc < 0)
        belt_role_leave(ring, way_of(&head), tx->role, self);
    return rc;
}

int belt_rx_open(struct belt_rx *rx, struct belt_mem mem)
{
    struct belt_ring head, *ring = (struct belt_ring *)mem.base;
    belt_owner self;
    int rc = belt_ring_at(mem, &head);
    int number = rc < 0 ? rc : role_take(ring, &head, head.writers, head.readers, &self);
    if (number < 0)
        return number;
    reach(ring);
    rc = rx_fill(rx, ring, &head, (uint32_t)number, self);
    rx->role = (uint16_t)(head.writers + (uint32_t)number);
    if (rc < 0)
        belt_role_leave(ring, way_of(&head), rx->role, self);
    return rc;
}
