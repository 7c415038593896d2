/* SPSC rings whose lines say themselves what is in them: the cold part, going from
 * line to line, and the copies of many. */
#include "rings/copy_priv.h"
#include "rings/linger_priv.h"

enum {
    TOUCH = 16,                   /* lines made ours at a time */
    NEAR = 4,                     /* lines between the ends from which on that pays */
    AHEAD = 8 * BELT_LINE_TICKETS /* prefetched by the reader */
};

/* Where an SPSC ring's lines begin: after the head and two owners. Not read from
 * the ring, where a hostile peer could change it. */
static char *lines_of(const struct belt_ring *ring)
{
    return (char *)(uintptr_t)ring + sizeof *ring + BELT_LINES;
}

static uint64_t lap_of(uint32_t mask)
{
    return ((uint64_t)mask + 1) * BELT_LINE_TICKETS;
}

static uint64_t bytes_of(uint32_t mask)
{
    return ((uint64_t)mask + 1) * BELT_LINE;
}

/* The same place, or the next line's first when its own is used up. */
static uint64_t onward(uint64_t ticket, uint32_t per_line)
{
    bool used = belt_inband_place(ticket) == per_line;
    return used ? belt_inband_line(ticket) + BELT_LINE_TICKETS : ticket;
}

/* Relaxed: nobody but the writer stores headers. */
static uint32_t filled_at(char *first, uint32_t mask, uint64_t line, uint32_t per_line)
{
    uint64_t header = belt_load_relaxed(belt_inband_header(first, mask, line));
    return belt_inband_filled(header, line, per_line);
}

/* The first ticket not yet published, from the headers of the lines in use; *items:
 * how many are from `released` on. */
static uint64_t find_end(char *first, uint32_t mask, uint64_t released, uint32_t per_line,
                         uint64_t *items)
{
    uint64_t line = belt_inband_line(released);
    uint64_t place = belt_inband_place(released);
    *items = 0;
    for (uint64_t i = 0; i <= mask; i++, line += BELT_LINE_TICKETS) {
        uint32_t filled = filled_at(first, mask, line, per_line);
        *items += filled > place ? filled - place : 0;
        place = 0;
        if (filled < per_line)
            return line + filled;
    }
    return line;
}

/* ---- cold ------------------------------------------------------------------------ */

/* Every line as after a lap before `start`: full, and used up. */
static void inband_format(struct belt_ring *ring, uint64_t start)
{
    uint64_t line = belt_inband_line(start), lap = lap_of(ring->slots - 1);
    uint32_t per_line = belt_inband_per_line(ring->slot_size);
    /* Relaxed, all: belt_ring_format() publishes them with the magic. */
    belt_store_relaxed(&ring->released, line);
    belt_store_relaxed(&ring->published, line);
    for (uint64_t i = 0; i < ring->slots; i++, line += BELT_LINE_TICKETS)
        belt_store_relaxed(belt_inband_header(lines_of(ring), ring->slots - 1, line),
                           line - lap + per_line);
}

static int inband_tx_open(struct belt_tx *tx)
{
    uint64_t items;
    /* J2, as in look_for_room(). The lines' last owner's stores we have seen with its role,
     * or our caller with its end. */
    uint64_t released = belt_inband_line(belt_load_acquire(&tx->ring->released));
    tx->per_line = belt_inband_per_line(tx->slot_size);
    tx->next = tx->limit = find_end(tx->first, tx->mask, released, tx->per_line, &items);
    tx->line = belt_inband_header(tx->first, tx->mask, tx->next);
    if (belt_inband_place(tx->next) != 0)
        tx->limit = belt_inband_line(tx->next) + tx->per_line;
    tx->room = released + lap_of(tx->mask);
    tx->flow.seen = tx->next;
    tx->linger = belt_linger_for(tx->ring, tx->mask + 1, bytes_of(tx->mask));
    return 0;
}

static int inband_rx_open(struct belt_rx *rx)
{
    rx->per_line = belt_inband_per_line(rx->slot_size);
    /* Relaxed: who stored it last was this end's owner, as in inband_tx_open(). In the middle
     * of a line after belt_rx_leave(). */
    uint64_t released = belt_load_relaxed(rx->released);
    bool within = belt_inband_place(released) < rx->per_line;
    rx->next = rx->limit = within ? released : belt_inband_line(released);
    rx->line = belt_inband_header(rx->first, rx->mask, rx->next);
    rx->flow.seen = rx->safe = rx->next;
    rx->linger = belt_linger_for(rx->ring, rx->mask + 1, bytes_of(rx->mask));
    return 0;
}

/* To the item, so that none comes again. The writer takes it for its line. */
static void inband_rx_leave(struct belt_rx *rx)
{
    /* I2, pairs with J2 in look_for_room(): our loads of what was released. */
    belt_store_release(rx->released, onward(rx->next, rx->per_line));
    belt_bell_ring(&rx->ring->writers_bell);
}

/* slots and slot_size are there already. */
static void inband_stat(const struct belt_ring *ring, const struct belt_ring *head,
                        struct belt_ring_stat *out)
{
    (void)head; /* told in out already */
    uint32_t per_line = belt_inband_per_line(out->slot_size);
    uint32_t mask = out->slots / per_line - 1;
    /* Relaxed, as the headers: figures, no access to items. */
    out->released = belt_load_relaxed(&ring->released);
    out->published = find_end(lines_of(ring), mask, out->released, per_line, &out->items);
}

/* From `released` on: full lines, at most one filled in part, then those of the
 * lap before. */
static int inband_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    uint32_t mask = head->slots - 1, per_line = belt_inband_per_line(head->slot_size);
    /* Relaxed, as the headers: no access to items. */
    uint64_t released = belt_load_relaxed(&ring->released);
    uint64_t line = belt_inband_line(released), lap = lap_of(mask);
    bool past = false;
    if (belt_inband_place(released) > filled_at(lines_of(ring), mask, line, per_line))
        return 8;
    for (uint64_t i = 0; i <= mask; i++, line += BELT_LINE_TICKETS) {
        uint64_t header = belt_load_relaxed(belt_inband_header(lines_of(ring), mask, line));
        uint32_t filled = belt_inband_filled(header, line, per_line);
        if (filled == 0 ? header != line - lap + per_line : past)
            return 8;
        past = filled < per_line;
    }
    return 0;
}

/* ---- hot ------------------------------------------------------------------------- */

/* Relaxed: whether something is there; the items are read after J1, and an ended
 * ring's writer had closed before. */
static bool is_there(const struct belt_rx *rx)
{
    uint64_t next = onward(rx->next, rx->per_line);
    uint64_t header = belt_load_relaxed(belt_inband_header(rx->first, rx->mask, next));
    return rx->next != rx->limit || belt_inband_filled(header, next, rx->per_line) != 0;
}

/* Lines free from `next` on, as far as the reader has told. */
static uint64_t look_for_room(struct belt_tx *tx, uint64_t next)
{
    uint64_t lap = lap_of(tx->mask);
    /* J2, pairs with I2 in next_line(): having seen `released` move, we know
     * that the reader's loads of those lines are over. A plain load would let our
     * stores overtake them and change what it reads. */
    tx->room = belt_inband_line(belt_load_acquire(&tx->ring->released)) + lap;
    return (tx->room - next) / BELT_LINE_TICKETS;
}

/* Stores the next lines' headers as they are, to make the lines ours before their
 * items come. With one store a line the core asks for many lines at a time; the
 * stores of 7 items fill its queue after two or three lines (docs/decisions). */
static void touch(struct belt_tx *tx, uint64_t line)
{
    uint64_t lap = lap_of(tx->mask);
    /* Relaxed: the value is there already. */
    for (uint32_t i = 0; i < TOUCH && line != tx->room; i++, line += BELT_LINE_TICKETS)
        belt_store_relaxed(belt_inband_header(tx->first, tx->mask, line),
                           line - lap + tx->per_line);
}

/* The tickets of a line that do not exist do not count. */
static bool flows(struct belt_flow *flow, uint64_t next, uint32_t per_line, bool in_vain)
{
    if (in_vain) {
        uint64_t lines =
            (belt_inband_line(next) - belt_inband_line(flow->seen)) / BELT_LINE_TICKETS;
        belt_flow_count(flow,
                        lines * per_line + belt_inband_place(next) - belt_inband_place(flow->seen));
        flow->seen = next;
    }
    return belt_flows(flow);
}

/* Looks again; in a flow, waits a moment for more than a few lines. */
static bool find_room(struct belt_tx *tx, uint64_t next)
{
    uint64_t lines = look_for_room(tx, next);
    /* Not with the reader at our heels: single items go without that delay. */
    tx->touch = lines + NEAR < (uint64_t)tx->mask + 1;
    if (lines >= tx->linger || !flows(&tx->flow, next, tx->per_line, lines == 0))
        return lines != 0;
    uint64_t before = lines;
    for (uint32_t pauses = 0; lines < tx->linger; pauses++) {
        if (pauses % BELT_LINGER_IDLE == BELT_LINGER_IDLE - 1) {
            if (lines == before)
                tx->flow.stream = 0;
            if (lines == before || pauses > BELT_LINGER)
                break;
            before = lines;
        }
        belt_pause();
        if (pauses % 4 == 3)
            lines = look_for_room(tx, next);
    }
    return lines != 0;
}

bool belt_inband_enter(struct belt_tx *tx)
{
    uint64_t next = onward(tx->next, tx->per_line);
    if (tx->closed || (next == tx->room && !find_room(tx, next)))
        return false;
    tx->next = next;
    tx->limit = next + tx->per_line;
    tx->line = belt_inband_header(tx->first, tx->mask, next);
    if (tx->touch && next / BELT_LINE_TICKETS % TOUCH == 0)
        touch(tx, next);
    return true;
}

/* Relaxed: a hint how far the writer is; items are read after J1. */
static bool is_full(const struct belt_rx *rx, uint64_t line)
{
    return filled_at(rx->first, rx->mask, line, rx->per_line) == rx->per_line;
}

/* In a flow, until the line rx->linger lines on is full, while lines keep coming: a
 * sixteenth of the way at least between two looks, so it ends. */
static void linger(struct belt_rx *rx)
{
    uint64_t far = (uint64_t)rx->linger * BELT_LINE_TICKETS;
    uint64_t line = belt_inband_line(rx->next),
             step = belt_inband_line(far / 16) + BELT_LINE_TICKETS;
    uint64_t mark = line + step;
    for (uint32_t pauses = 0; !is_full(rx, line + far); pauses++) {
        if (pauses % BELT_LINGER_IDLE == BELT_LINGER_IDLE - 1) {
            if (!is_full(rx, mark)) {
                rx->flow.stream = 0;
                return;
            }
            while (mark - line < far && is_full(rx, mark))
                mark += step;
        }
        belt_pause();
    }
    rx->safe = line + far;
}

static void next_line(struct belt_rx *rx)
{
    rx->next = rx->limit = belt_inband_line(rx->next) + BELT_LINE_TICKETS;
    rx->line = belt_inband_header(rx->first, rx->mask, rx->next);
    /* I2, pairs with J2 in look_for_room(): our loads of the line before. */
    belt_store_release(&rx->ring->released, rx->next);
    belt_bell_ring(&rx->ring->writers_bell);
}

/* Without lingering. */
static uint32_t look(struct belt_rx *rx)
{
    /* J1, pairs with I1 in belt_inband_push() and belt_inband_publish() of rings/inband.h:
     * having seen the header move, we see the items before it. A plain load could
     * show us what lay there a lap ago. */
    uint64_t header = belt_load_acquire(rx->line);
    uint32_t filled = belt_inband_filled(header, rx->next, rx->per_line);
    if (filled > rx->limit - rx->next) /* what is lent stays lent */
        rx->limit = rx->next + filled;
    return (uint32_t)(rx->limit - rx->next);
}

bool belt_inband_look(struct belt_rx *rx)
{
    if (belt_inband_place(rx->next) == rx->per_line)
        next_line(rx);
    if (rx->linger && belt_flows(&rx->flow)) {
        if (rx->next == rx->safe)
            linger(rx);
        __builtin_prefetch(belt_inband_header(rx->first, rx->mask, rx->next + AHEAD));
        return look(rx) != 0;
    }
    uint32_t filled = look(rx);
    if (rx->linger && flows(&rx->flow, rx->next, rx->per_line, filled == 0))
        rx->safe = belt_inband_line(rx->next) + BELT_LINE_TICKETS;
    return filled != 0;
}

static struct belt_slots inband_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    if (skip || (tx->next == tx->limit && !belt_inband_enter(tx)))
        return belt_no_slots(tx->next + skip);
    uint64_t *header = belt_inband_header(tx->first, tx->mask, tx->next);
    uint32_t room = tx->per_line - belt_inband_place(tx->next);
    return (struct belt_slots){ .first = belt_inband_item(header, tx->slot_size, tx->next),
                                .count = want < room ? want : room,
                                .ticket = tx->next };
}

static void inband_publish(struct belt_tx *tx, uint32_t count)
{
    assert(count <= tx->per_line - belt_inband_place(tx->next));
    if (count)
        belt_inband_publish(tx, count);
}

static struct belt_slots inband_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    if (skip || (rx->limit - rx->next < want && !belt_inband_look(rx)))
        return belt_no_slots(rx->next + skip);
    uint64_t *header = belt_inband_header(rx->first, rx->mask, rx->next);
    uint64_t filled = rx->limit - rx->next;
    return (struct belt_slots){ .first = belt_inband_item(header, rx->slot_size, rx->next),
                                .count = want < filled ? want : (uint32_t)filled,
                                .ticket = rx->next };
}

static bool inband_release(struct belt_rx *rx, uint32_t count)
{
    assert(count <= rx->limit - rx->next);
    rx->next += count;
    return true;
}

static uint32_t inband_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = inband_claim(tx, 0, count - done);
        if (s.count == 0)
            break;
        belt_copy_in((char *)s.first, tx->slot_size, items + done * size, s.count, size);
        belt_inband_publish(tx, s.count);
        done += s.count;
    }
    return done;
}

static uint32_t inband_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = inband_peek(rx, 0, count - done);
        if (s.count == 0)
            break;
        belt_copy_out(items + done * size, (const char *)s.first, rx->slot_size, s.count, size);
        rx->next += s.count;
        done += s.count;
    }
    return done;
}

static bool inband_ended(const struct belt_rx *rx)
{
    return !is_there(rx);
}

static bool inband_rx_ready(struct belt_rx *rx)
{
    return is_there(rx);
}

static bool inband_tx_ready(struct belt_tx *tx)
{
    uint64_t next = onward(tx->next, tx->per_line);
    return tx->next != tx->limit ||
           (!tx->closed && (next != tx->room || look_for_room(tx, next) != 0));
}

/* push and pop are inline. */
const struct belt_kind_ops belt_inband_ops = {
    .format = inband_format,
    .tx_open = inband_tx_open,
    .rx_open = inband_rx_open,
    .rx_leave = inband_rx_leave,
    .stat = inband_stat,
    .check = inband_check,
    .ended = inband_ended,
    .claim = inband_claim,
    .publish = inband_publish,
    .peek = inband_peek,
    .release = inband_release,
    .push_n = inband_push_n,
    .pop_n = inband_pop_n,
    .rx_ready = inband_rx_ready,
    .tx_ready = inband_tx_ready,
};
