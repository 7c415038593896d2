/* Lossy rings: the writer never waits, readers that were too slow are told so.
 *
 * A seqlock over the whole ring. Before the writer touches a slot it says in
 * `claimed` how far it goes; a slot's item is good as long as `claimed` is not a
 * lap beyond it. So a reader copies first and looks at `claimed` afterwards. The
 * words of the items are atomics, each stored with release after the claim and
 * loaded with acquire before the look: a reader that got a newer word sees the
 * claim that came before it. No fence, and no race for the language either. */
#include "rings/kind_priv.h"

/* How often one call starts over, lapped again: then nothing is there for it. */
enum { TRIES = 3 };

/* ---- cold ------------------------------------------------------------------------ */

static void lossy_format(struct belt_ring *ring, uint64_t start)
{
    /* Relaxed: belt_ring_format() publishes them with the magic. Nobody releases in a
     * lossy ring: the word keeps where it began. */
    belt_store_relaxed(&ring->published, start);
    belt_store_relaxed(&ring->claimed, start);
    belt_store_relaxed(&ring->released, start);
}

static int lossy_tx_open(struct belt_tx *tx)
{
    /* Relaxed, twice: who stored them last was this end's owner, seen with its role.
     * What it claimed and did not publish stays claimed: its slots may be half
     * written. */
    tx->next = belt_load_relaxed(&tx->ring->published);
    tx->limit = belt_load_relaxed(&tx->ring->claimed);
    return 0;
}

/* The first ticket that is still there. Cursors may have wrapped: only differences. */
static uint64_t oldest(const struct belt_ring *ring, uint32_t slots)
{
    /* Relaxed, twice: who copies by it looks at `claimed` again afterwards. */
    uint64_t claimed = belt_load_relaxed(&ring->claimed);
    uint64_t start = belt_load_relaxed(&ring->released);
    return claimed - start > slots ? claimed - slots : start;
}

static int lossy_rx_open(struct belt_rx *rx)
{
    rx->next = rx->limit = oldest(rx->ring, rx->mask + 1);
    return 0;
}

static void lossy_stat(const struct belt_ring *ring, const struct belt_ring *head,
                       struct belt_ring_stat *out)
{
    (void)head; /* told in out already */
    out->released = oldest(ring, out->slots);
    out->published = belt_load_relaxed(&ring->published); /* relaxed: a figure */
    uint64_t items = out->published - out->released;
    out->items = items <= out->slots ? items : 0;
}

static int lossy_check(const struct belt_ring *ring, const struct belt_ring *head)
{
    /* Relaxed, twice: no access to slots. */
    uint64_t published = belt_load_relaxed(&ring->published);
    return belt_load_relaxed(&ring->claimed) - published > head->slots ? 7 : 0;
}

static bool lossy_ended(const struct belt_rx *rx)
{
    /* Relaxed: the writer had closed before, so it is final. */
    return belt_load_relaxed(&rx->ring->published) == rx->next;
}

/* ---- items, word by word --------------------------------------------------------- */

static void words_in(uint64_t *slot, const char *item, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof *slot) {
        uint64_t word = 0;
        memcpy(&word, item + at, size - at < sizeof word ? size - at : sizeof word);
        /* K5, pairs with L5 in words_out(): the claim before the item. Without it a reader
         * could get this word and still find the claim of a lap ago. */
        belt_store_release(slot++, word);
    }
}

static void words_out(char *item, const uint64_t *slot, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof *slot) {
        /* L5, pairs with K5 in words_in(): as there. */
        uint64_t word = belt_load_acquire(slot++);
        memcpy(item + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

/* ---- writing --------------------------------------------------------------------- */

/* Says that slots before `ticket` are being written. It never moves back. */
static bool intend(struct belt_tx *tx, uint64_t ticket)
{
    if ((int64_t)(ticket - tx->limit) <= 0)
        return false;
    tx->limit = ticket;
    belt_store_relaxed(&tx->ring->claimed, ticket); /* relaxed: K5 or K7 orders it */
    return true;
}

/* At most the whole ring: one lap at a time. */
static struct belt_slots next_slots(const struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    if (tx->closed || skip > tx->mask)
        return belt_no_slots(tx->next + skip);
    uint32_t room = tx->mask + 1 - skip;
    return belt_slots_at(tx->first, tx->mask, tx->slot_size, tx->next + skip,
                         want < room ? want : room);
}

static struct belt_slots lossy_claim(struct belt_tx *tx, uint32_t skip, uint32_t want)
{
    struct belt_slots s = next_slots(tx, skip, want);
    if (intend(tx, s.ticket + s.count))
        /* K7, pairs with L7 in lossy_release(): the claim before the caller's stores. */
        belt_fence_seq();
    return s;
}

static void lossy_publish(struct belt_tx *tx, uint32_t count)
{
    assert(tx->limit - tx->next >= count);
    tx->next += count;
    /* K6, pairs with L6 in look(): slot contents before the cursor. */
    belt_store_release(&tx->ring->published, tx->next);
    belt_bell_ring(&tx->ring->readers_bell);
}

/* Ring after ring, when there are more than it holds: only the last can be read. */
static uint32_t lossy_push_n(struct belt_tx *tx, const char *items, uint32_t count, size_t size)
{
    uint32_t done = 0;
    while (done < count) {
        struct belt_slots s = next_slots(tx, 0, count - done);
        if (s.count == 0)
            break;
        intend(tx, s.ticket + s.count);
        for (uint32_t i = 0; i < s.count; i++, done++)
            words_in((uint64_t *)(void *)((char *)s.first + (size_t)i * tx->slot_size),
                     items + done * size, size);
        lossy_publish(tx, s.count);
    }
    return done;
}

static bool lossy_push(struct belt_tx *tx, const void *item, size_t size)
{
    return lossy_push_n(tx, (const char *)item, 1, size) == 1;
}

static bool lossy_tx_ready(struct belt_tx *tx)
{
    (void)tx;
    return true;
}

/* ---- reading --------------------------------------------------------------------- */

static void look(struct belt_rx *rx)
{
    /* L6, pairs with K6 in lossy_publish(): what was written before. Without it we could
     * copy a slot's item of a lap ago, and no claim would tell. It may be older than
     * the claim that moved us on. */
    uint64_t published = belt_load_acquire(&rx->ring->published);
    rx->limit = (int64_t)(published - rx->next) > 0 ? published : rx->next;
}

/* How many tickets from the next one on have been overwritten, or are being. */
static uint64_t lost(const struct belt_rx *rx)
{
    /* Relaxed: L5 or L7 ordered it behind our loads of the slots. */
    uint64_t first_good = belt_load_relaxed(&rx->ring->claimed) - rx->mask - 1;
    return (int64_t)(first_good - rx->next) > 0 ? first_good - rx->next : 0;
}

/* To the oldest that is good, and at each further try in one call nearer to the
 * writer, so that there are few: 1/4, 1/2, all of a ring. */
static void catch_up(struct belt_rx *rx, uint32_t tries)
{
    uint64_t by = lost(rx), slots = (uint64_t)rx->mask + 1;
    look(rx);
    if (tries > 0)
        by += tries < TRIES ? slots / 8 << tries : slots;
    uint64_t most = rx->limit - rx->next;
    by = by < most ? by : most;
    rx->next += by;
    rx->missed += by;
}

static struct belt_slots filled(const struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    uint64_t there = rx->limit - rx->next;
    if (there <= skip)
        return belt_no_slots(rx->next + skip);
    return belt_slots_at((char *)rx->first, rx->mask, rx->slot_size, rx->next + skip,
                         there - skip < want ? there - skip : want);
}

static struct belt_slots lossy_peek(struct belt_rx *rx, uint32_t skip, uint32_t want)
{
    if (rx->limit - rx->next < (uint64_t)skip + want)
        look(rx);
    if (skip == 0 && lost(rx))
        catch_up(rx, 0);
    return filled(rx, skip, want);
}

static bool lossy_release(struct belt_rx *rx, uint32_t count)
{
    /* L7, pairs with K7 in lossy_claim(): the caller's loads before our look. */
    belt_fence_seq();
    uint64_t gone = lost(rx);
    uint64_t by = gone > count ? gone : count;
    rx->next += by;
    if (gone)
        rx->missed += by;
    if ((int64_t)(rx->limit - rx->next) < 0)
        rx->limit = rx->next;
    return gone == 0;
}

/* Those of a run that are still good, to the front of `items`; how many. */
static uint32_t take_run(struct belt_rx *rx, struct belt_slots s, char *items, size_t size)
{
    for (uint32_t i = 0; i < s.count; i++)
        words_out(items + i * size,
                  (const uint64_t *)(const void *)((char *)s.first + (size_t)i * rx->slot_size),
                  size);
    uint64_t gone = lost(rx);
    if (gone >= s.count)
        return 0;
    uint32_t good = s.count - (uint32_t)gone;
    if (gone)
        memmove(items, items + gone * size, good * size);
    rx->missed += gone;
    rx->next += s.count;
    return good;
}

static uint32_t lossy_pop_n(struct belt_rx *rx, char *items, uint32_t count, size_t size)
{
    uint32_t done = 0, tries = 0;
    while (done < count && tries <= TRIES) {
        if (rx->limit == rx->next)
            look(rx);
        struct belt_slots s = filled(rx, 0, count - done);
        if (s.count == 0)
            break;
        uint32_t good = take_run(rx, s, items + done * size, size);
        done += good;
        if (good == 0)
            catch_up(rx, tries++);
    }
    return done;
}

static bool lossy_pop(struct belt_rx *rx, void *item, size_t size)
{
    return lossy_pop_n(rx, (char *)item, 1, size) == 1;
}

static bool lossy_rx_ready(struct belt_rx *rx)
{
    if (rx->limit == rx->next)
        look(rx);
    return rx->limit != rx->next;
}

const struct belt_kind_ops belt_lossy_ops = {
    .format = lossy_format,
    .tx_open = lossy_tx_open,
    .rx_open = lossy_rx_open,
    .stat = lossy_stat,
    .check = lossy_check,
    .ended = lossy_ended,
    .claim = lossy_claim,
    .publish = lossy_publish,
    .peek = lossy_peek,
    .release = lossy_release,
    .push = lossy_push,
    .pop = lossy_pop,
    .push_n = lossy_push_n,
    .pop_n = lossy_pop_n,
    .rx_ready = lossy_rx_ready,
    .tx_ready = lossy_tx_ready,
};
