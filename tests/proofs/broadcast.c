/* Broadcast, reliable: readers that come and go; and lossy: readers that are
 * lapped. */
#include "tests/proofs/scene.h"

/* ---- leaving and joining --------------------------------------------------------- */

/* Reads p[P_SHARE] items and leaves: the writer waits for it no longer. */
static void reader_leaves(const struct model_scenario *s, unsigned me)
{
    scene_reader(s, me);
    belt_rx_leave(&scene->end[me].rx);
}

/* Left before it began; joins now and reads to the end. */
static void reader_joins(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    int rc = belt_rx_open(&end->rx, scene->mem);
    MODEL_CHECK(rc == 0, "the place that was left cannot be opened: %d", rc);
    model_note("joined at %llu", (unsigned long long)end->rx.next);
    bool ended = false;
    while (!ended)
        MODEL_UNTIL(scene_take(s, end) || (ended = belt_rx_ended(&end->rx)));
}

/* Left before it began; joins, takes an item or finds the end, and leaves again. */
static void reader_visits(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    int rc = belt_rx_open(&end->rx, scene->mem);
    MODEL_CHECK(rc == 0, "the place that was left cannot be opened: %d", rc);
    MODEL_UNTIL(scene_take(s, end) || belt_rx_ended(&end->rx));
    belt_rx_leave(&end->rx);
}

/* The last reader's place has been left. */
static void setup_left(const struct model_scenario *s)
{
    scene_setup(s);
    belt_rx_leave(&scene->end[scene_readers(s)].rx);
}

/* Comes after the one before has left: the same place. */
static void reader_follows(const struct model_scenario *s, unsigned me)
{
    MODEL_UNTIL(model_fate_of(me - 1) == MODEL_FINISHED);
    reader_joins(s, me);
}

/* Takes a dead reader's place: what it had not released comes again. */
static void reader_succeeds(const struct model_scenario *s, unsigned me)
{
    enum model_fate fate;
    MODEL_UNTIL((fate = model_fate_of(me - 1)) != MODEL_RUNS);
    if (fate == MODEL_DIED)
        reader_joins(s, me);
}

/* Goes on where a dead writer stopped. */
static void writer_succeeds(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    enum model_fate fate;
    MODEL_UNTIL((fate = model_fate_of(0)) != MODEL_RUNS);
    if (fate != MODEL_DIED)
        return;
    int rc = belt_tx_open(&end->tx, scene->mem);
    MODEL_CHECK(rc == 0, "the dead writer's role is not to be had: %d", rc);
    end->sent = (uint32_t)end->tx.next;
    scene_write_from(s, end, 0);
}

/* Each reader's items are in order and without gaps; thread 1 got all of them. */
static void check_parts(const struct model_scenario *s)
{
    scene_check_ring();
    uint32_t items = (uint32_t)s->p[P_ITEMS], share = (uint32_t)s->p[P_SHARE];
    for (unsigned r = 1; r < MODEL_THREADS; r++) {
        uint32_t first = 0, n = scene_got_of(&scene->end[r], 0, &first);
        MODEL_CHECK(r != 1 || (first == 0 && n == (share ? share : items)),
                    "reader 1 got %u items from %u on", n, first);
        MODEL_CHECK(r == 1 || n == 0 || first + n == items, "reader %u ended at %u", r, first + n);
    }
}

static void check_visit(const struct model_scenario *s)
{
    scene_check_ring();
    MODEL_CHECK(scene->end[0].sent == (uint32_t)s->p[P_ITEMS], "the writer stopped");
}

static void check_succession(const struct model_scenario *s)
{
    uint32_t items = (uint32_t)s->p[P_ITEMS], first = 0;
    uint32_t before = scene_got_of(&scene->end[1], 0, &first), next = items;
    uint32_t n = scene_got_of(&scene->end[2], 0, &next);
    scene_check_ring();
    MODEL_CHECK(before + scene->end[1].under >= next, "items %u to %u are lost", before, next);
    MODEL_CHECK(model_end_of(1) == MODEL_FINISHED || next + n == items, "the successor stopped");
}

/* Where it joined depends; from there on nothing is lost. */
static void check_joiner(const struct model_scenario *s)
{
    uint32_t items = (uint32_t)s->p[P_ITEMS], first = items, next = items;
    uint32_t before = scene_got_of(&scene->end[1], 0, &first);
    uint32_t n = scene_got_of(&scene->end[2], 0, &next);
    scene_check_ring();
    MODEL_CHECK(model_end_of(1) == MODEL_FINISHED || next + n == items, "the successor stopped");
    MODEL_CHECK(!before || first + before + scene->end[1].under >= next, "items %u to %u are lost",
                first + before, next);
}

/* ---- lossy ----------------------------------------------------------------------- */

/* Items of two words that must belong together. */
struct pair {
    uint64_t number, same;
};

static void setup_lossy(const struct model_scenario *s)
{
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .item_size = sizeof(struct pair),
                                   .items = (uint32_t)s->p[P_SLOTS],
                                   .kind = BELT_LOSSY,
                                   .wait = BELT_WAIT_BLOCK };
    scene = model_alloc(sizeof *scene, 128);
    size_t size = belt_ring_footprint(&conf);
    scene->mem = belt_mem_of(model_alloc(size, 128), size);
    scene->ring = scene->mem.base;
    int rc = belt_ring_format(scene->mem, &conf);
    rc = rc ? rc : belt_tx_open(&scene->end[0].tx, scene->mem);
    model_be(1);
    rc = rc ? rc : belt_rx_open(&scene->end[1].rx, scene->mem);
    MODEL_CHECK(rc == 0, "the ring cannot be made: %d", rc);
    model_name(&scene->ring->published, 8, 1, "published");
    model_name(&scene->ring->claimed, 8, 1, "claimed");
    model_name(scene->end[0].tx.first, scene->ring->slot_size, scene->ring->slots, "slot");
}

static void lossy_writer(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    bool spans = s->p[P_HOW] & SCENE_SPANS;
    uint32_t batch = (uint32_t)s->p[P_BATCH];
    /* Ticket by ticket, so that a successor goes on with the next. */
    for (uint64_t i = end->tx.next; i < (uint64_t)s->p[P_ITEMS] && !end->tx.closed; i += batch) {
        struct pair items[4];
        for (uint32_t k = 0; k < batch; k++)
            items[k] = (struct pair){ i + k + 1, i + k + 1 };
        if (!spans) {
            uint32_t n = belt_push_n(&end->tx, items, batch, sizeof items[0]);
            MODEL_CHECK(n == batch, "a lossy ring was full");
            continue;
        }
        struct belt_slots slots = belt_claim(&end->tx, batch);
        MODEL_CHECK(slots.count == batch, "a lossy ring was full");
        for (uint32_t k = 0; k < batch; k++)
            belt_data_store((char *)slots.first + (size_t)k * end->tx.slot_size, &items[k],
                            sizeof items[k]);
        belt_publish(&end->tx, batch);
    }
    belt_close(&end->tx);
}

static void lossy_writer_succeeds(const struct model_scenario *s, unsigned me)
{
    enum model_fate fate;
    MODEL_UNTIL((fate = model_fate_of(0)) != MODEL_RUNS);
    if (fate != MODEL_DIED)
        return;
    int rc = belt_tx_open(&scene->end[me].tx, scene->mem);
    MODEL_CHECK(rc == 0, "the dead writer's role is not to be had: %d", rc);
    lossy_writer(s, me);
}

static void lossy_got(struct scene_end *end, struct pair item)
{
    MODEL_CHECK(item.number == item.same, "half of item %llu, half of %llu",
                (unsigned long long)item.number, (unsigned long long)item.same);
    MODEL_CHECK(item.number > (end->got_n ? end->got[end->got_n - 1] : 0), "item %llu came late",
                (unsigned long long)item.number);
    model_note("got %llu", (unsigned long long)item.number);
    end->got[end->got_n++] = item.number;
}

static bool lossy_take(const struct model_scenario *s, struct scene_end *end)
{
    struct pair items[4];
    uint32_t n;
    if (!(s->p[P_HOW] & SCENE_SPANS)) {
        n = belt_pop_n(&end->rx, items, (uint32_t)s->p[P_BATCH], sizeof items[0]);
    } else {
        struct belt_slots slots = belt_peek(&end->rx, (uint32_t)s->p[P_BATCH]);
        n = slots.count;
        for (uint32_t k = 0; k < n; k++)
            belt_data_load(&items[k], (char *)slots.first + (size_t)k * end->rx.slot_size,
                           sizeof items[k]);
        if (n && !belt_release(&end->rx, n))
            return false;
    }
    for (uint32_t k = 0; k < n; k++)
        lossy_got(end, items[k]);
    return n > 0;
}

static void lossy_reader(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    bool ended = false;
    while (!ended)
        MODEL_UNTIL(lossy_take(s, end) || (ended = belt_rx_ended(&end->rx)));
}

static void check_lossy(const struct model_scenario *s)
{
    const struct scene_end *end = &scene->end[1];
    scene_check_ring();
    MODEL_CHECK(end->got_n + end->rx.missed == (uint64_t)s->p[P_ITEMS],
                "%u items came and %llu were missed, of %d", end->got_n,
                (unsigned long long)end->rx.missed, s->p[P_ITEMS]);
    model_outcome("missed %llu", (unsigned long long)end->rx.missed);
}

/* ---- the table ------------------------------------------------------------------- */

#define BROADCAST(name_, bounds_, slots, r, items, how, batch, share)                              \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .p = { BELT_BROADCAST, slots, 16 + (r), items, how, batch, 0, share }, .no_retries = true
#define LOSSY(name_, bounds_, slots, items, how, batch)                                            \
    .name = name_, .bounds = bounds_, .setup = setup_lossy, .check = check_lossy,                  \
    .thread = { lossy_writer, lossy_reader }, .p = { BELT_LOSSY, slots, 17, items, how, batch },   \
    .racing_data = ((how)&SCENE_SPANS) != 0

enum { BOTH_SPANS = SCENE_SPANS | SCENE_PEEK };

static const struct model_scenario scenarios[] = {
    { BROADCAST("broadcast", "2 slots, 2 readers, 3 items", 2, 2, 3, 0, 1, 0),
      .thread = { scene_writer, scene_reader, scene_reader }, .quick = true },
    { BROADCAST("broadcast.batch", "4 slots, 2 readers, 6 items, claim 2, peek 2", 4, 2, 6,
                BOTH_SPANS, 2, 0),
      .thread = { scene_writer, scene_reader, scene_reader } },
    { BROADCAST("broadcast.end", "2 slots, 2 readers, 2 items, then closed", 2, 2, 2, SCENE_CLOSE,
                1, 0),
      .thread = { scene_writer, scene_reader, scene_reader } },
    { BROADCAST("broadcast.three", "2 slots, 3 readers, 3 items", 2, 3, 3, 0, 1, 0),
      .thread = { scene_writer, scene_reader, scene_reader, scene_reader } },
    { BROADCAST("broadcast.leaves", "2 slots, 3 items, the reader leaves after 1", 2, 1, 3, 0, 1,
                1),
      .thread = { scene_writer, reader_leaves }, .check = check_parts, .quick = true },
    { BROADCAST("broadcast.joins", "2 slots, 3 items, a second reader joins", 2, 2, 3,
                SCENE_CLOSE | SCENE_ROLES, 1, 0),
      .thread = { scene_writer, scene_reader, reader_joins }, .setup = setup_left,
      .check = check_parts, .quick = true },
    { BROADCAST("broadcast.follows", "2 slots, 3 items, one leaves after 1, one joins", 2, 1, 3,
                SCENE_CLOSE | SCENE_ROLES, 1, 1),
      .thread = { scene_writer, reader_leaves, reader_follows }, .check = check_parts },
    { BROADCAST("broadcast.visits", "2 slots, 4 items, one joins, takes 1, leaves", 2, 1, 4,
                SCENE_CLOSE | SCENE_ROLES, 1, 1),
      .thread = { scene_writer, reader_visits }, .setup = setup_left, .check = check_visit,
      .quick = true },
    { BROADCAST("broadcast.reader.dies", "2 slots, 3 items, a successor", 2, 1, 3,
                SCENE_CLOSE | SCENE_ROLES | SCENE_PEEK, 1, 0),
      .thread = { scene_writer, scene_reader, reader_succeeds }, .mortal = 2,
      .check = check_succession },
    { BROADCAST("broadcast.writer.dies", "2 slots, 4 items, push; a successor", 2, 1, 4,
                SCENE_ROLES, 1, 0),
      .thread = { scene_writer, scene_reader, writer_succeeds }, .mortal = 1 },
    { BROADCAST("broadcast.joiner.dies", "2 slots, 4 items, it joins and dies, a successor", 2, 1,
                4, SCENE_CLOSE | SCENE_ROLES, 1, 0),
      .thread = { scene_writer, reader_joins, reader_succeeds }, .setup = setup_left, .mortal = 2,
      .check = check_joiner },
    { LOSSY("lossy", "2 slots, 4 items of 2 words, push, pop", 2, 4, 0, 1), .quick = true },
    { LOSSY("lossy.many", "2 slots, 4 items, push_n 2, pop_n 2", 2, 4, 0, 2) },
    { LOSSY("lossy.writer.dies", "2 slots, 3 items, push; a successor", 2, 3, 0, 1),
      .thread = { lossy_writer, lossy_reader, lossy_writer_succeeds }, .mortal = 1 },
    { LOSSY("lossy.spans", "2 slots, 4 items, claim, peek", 2, 4, SCENE_SPANS, 1) },
    { LOSSY("lossy.four", "4 slots, 6 items, push_n 2, pop_n 2", 4, 6, 0, 2) },
};

const struct model_suite broadcast_suite = { "broadcast", scenarios,
                                             sizeof scenarios / sizeof scenarios[0], false };
