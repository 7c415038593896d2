/* The hot part of in-band rings; included by ring.h, which says what it promises.
 *
 * A line of 64 bytes is a header and up to 7 items. Tickets count lines in eights:
 * line number times 8, plus the item's place. The header is the ticket after
 * the line's last filled item: a reader that expects ticket t finds a header
 * 1 to 7 beyond it, or one of a lap ago, so every payload is allowed and no cursor
 * is read to find an item. The writer stores the header anew after each item, so
 * that none waits for the rest of its line. Lines, not items, go back to the
 * writer, by the cursor `released`: the ticket of the first line in use, stored when
 * the reader goes on to the next one. */
#ifndef BELT_INBAND_H
#define BELT_INBAND_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

enum { BELT_LINE = 64, BELT_LINE_HEADER = 8, BELT_LINE_TICKETS = 8 };

static inline uint32_t belt_inband_per_line(uint32_t slot_size)
{
    return (BELT_LINE - BELT_LINE_HEADER) / slot_size;
}

/* The ticket of the first item in the same line. */
static inline uint64_t belt_inband_line(uint64_t ticket)
{
    return ticket & ~(uint64_t)(BELT_LINE_TICKETS - 1);
}

static inline uint32_t belt_inband_place(uint64_t ticket)
{
    return (uint32_t)ticket & (BELT_LINE_TICKETS - 1);
}

static inline uint64_t *belt_inband_header(char *first, uint32_t mask, uint64_t ticket)
{
    return (uint64_t *)(void *)(first + ((ticket / BELT_LINE_TICKETS) & mask) * BELT_LINE);
}

static inline char *belt_inband_item(uint64_t *header, uint32_t slot_size, uint64_t ticket)
{
    return (char *)(header + 1) + belt_inband_place(ticket) * slot_size;
}

/* How many items from `ticket` on a header says are there. Whatever it says, none
 * beyond the line. */
static inline uint32_t belt_inband_filled(uint64_t header, uint64_t ticket, uint32_t per_line)
{
    uint64_t filled = header - ticket;
    return filled <= per_line - belt_inband_place(ticket) ? (uint32_t)filled : 0;
}

/* The line at hand is full: goes on to the next one, if that is free. */
BELT_API bool belt_inband_enter(struct belt_tx *tx);
/* What we knew of is taken: gives a used line back and looks at the header. */
BELT_API bool belt_inband_look(struct belt_rx *rx);

/* Our own state is stored before the item: a compiler must assume that they
 * overlap, and would load it again. */
static inline void belt_inband_publish(struct belt_tx *tx, uint32_t count)
{
    uint64_t *line = tx->line, next = tx->next + count;
    tx->next = next;
    /* I1, pairs with J1 in look() of rings/inband.c: the items before the header. */
    belt_store_release(line, next);
    belt_bell_ring(&tx->ring->readers_bell);
}

BELT_INLINE bool belt_inband_push(struct belt_tx *tx, const void *item, size_t size)
{
    if (__builtin_expect(tx->next == tx->limit, 0) && !belt_inband_enter(tx))
        return false;
    uint64_t *line = tx->line, next = tx->next;
    tx->next = next + 1;
    belt_data_store(belt_inband_item(line, tx->slot_size, next), item, size);
    /* I1, pairs with J1 in look() of rings/inband.c: the item before the header. */
    belt_store_release(line, next + 1);
    belt_bell_ring(&tx->ring->readers_bell);
    return true;
}

BELT_INLINE bool belt_inband_pop(struct belt_rx *rx, void *item, size_t size)
{
    if (__builtin_expect(rx->next == rx->limit, 0) && !belt_inband_look(rx))
        return false;
    uint64_t *line = rx->line, next = rx->next;
    rx->next = next + 1;
    belt_data_load(item, belt_inband_item(line, rx->slot_size, next), size);
    return true;
}

#endif
