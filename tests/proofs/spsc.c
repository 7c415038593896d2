/* SPSC rings, both bodies: items, batches, wraps, ends, deaths. */
#include "tests/proofs/scene.h"

/* ---- a successor takes over the end of a thread that died ------------------------ */

static bool died(unsigned thread)
{
    enum model_fate fate;
    MODEL_UNTIL((fate = model_fate_of(thread)) != MODEL_RUNS);
    return fate == MODEL_DIED;
}

/* Items published before a ticket. */
static uint32_t index_of(uint64_t ticket)
{
    uint32_t per_line = 56 / scene->ring->slot_size;
    if (scene->ring->body == BELT_BODY_INBAND)
        return (uint32_t)(ticket / 8) * per_line + ticket % 8;
    return (uint32_t)ticket;
}

/* Goes on where the dead one stopped, and takes its place in end[0]. */
static void next_writer(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    if (!died(0))
        return;
    int rc = belt_tx_open(&end->tx, scene->mem);
    MODEL_CHECK(rc == 0, "the dead writer's role is not to be had: %d", rc);
    end->sent = index_of(end->tx.next);
    scene_write_from(s, end, 0);
}

/* What was popped since the last release store comes again. */
static void next_reader(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    if (!died(1))
        return;
    int rc = belt_rx_open(&end->rx, scene->mem);
    MODEL_CHECK(rc == 0, "the dead reader's role is not to be had: %d", rc);
    uint32_t from = index_of(end->rx.next), left = (uint32_t)s->p[P_ITEMS] - from;
    scene->flag = from + 1;
    while (end->got_n < left)
        MODEL_UNTIL(scene_take(s, end));
}

static void check_next_reader(const struct model_scenario *s)
{
    const struct scene_end *dead = &scene->end[1], *next = &scene->end[2];
    uint32_t first = 0, items = (uint32_t)s->p[P_ITEMS], from = (uint32_t)scene->flag - 1;
    uint32_t before = scene_got_of(dead, 0, &first);
    scene_check_ring();
    MODEL_CHECK(first == 0, "the first item was not the first");
    if (model_end_of(1) == MODEL_FINISHED) {
        MODEL_CHECK(before == items, "%u of %u items came", before, items);
        return;
    }
    bool inband = scene->ring->body == BELT_BODY_INBAND;
    uint32_t window = inband ? 56 / scene->ring->slot_size : dead->under;
    first = from;
    MODEL_CHECK(scene_got_of(next, 0, &first) == items - from, "not all items came");
    MODEL_CHECK(items == from || first == from, "the next reader did not begin where it opened");
    MODEL_CHECK(from <= before + dead->under, "items %u to %u are lost", before, from);
    MODEL_CHECK(from + window >= before, "items from %u on came again after %u", from, before);
}

/* ---- roles and set-up ------------------------------------------------------------ */

/* Half of the items, then gives the end to whoever opens it next. */
static void writer_leaves(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    while (end->sent < (uint32_t)s->p[P_ITEMS] / 2) {
        uint64_t item = scene_item(0, end->sent);
        MODEL_UNTIL(belt_push(&end->tx, &item, sizeof item));
        end->sent++;
    }
    belt_tx_leave(&end->tx);
}

static void reader_leaves(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    while (end->got_n < (uint32_t)s->p[P_ITEMS] / 2)
        MODEL_UNTIL(scene_take(s, end));
    belt_rx_leave(&end->rx);
}

static void writer_follows(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    MODEL_UNTIL(belt_tx_open(&end->tx, scene->mem) == 0);
    end->sent = (uint32_t)s->p[P_ITEMS] / 2;
    scene_write_from(s, end, 0);
}

static void reader_follows(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    MODEL_UNTIL(belt_rx_open(&end->rx, scene->mem) == 0);
    while (end->got_n < (uint32_t)s->p[P_ITEMS] - (uint32_t)s->p[P_ITEMS] / 2)
        MODEL_UNTIL(scene_take(s, end));
}

/* The memory is zeroed; one thread makes the ring, the others open it as soon as it
 * is one. */
static struct belt_ring_conf late_conf;

static void setup_memory(const struct model_scenario *s)
{
    late_conf = (struct belt_ring_conf){
        .size = sizeof late_conf,
        .item_size = 8,
        .items = (uint32_t)s->p[P_SLOTS],
        .kind = (enum belt_kind)(s->p[P_KIND] & ~SCENE_INBAND),
        .body = s->p[P_KIND] & SCENE_INBAND ? BELT_BODY_INBAND : BELT_BODY_AUTO,
        .start = 16,
    };
    if (late_conf.kind == BELT_SPSC && !(s->p[P_KIND] & SCENE_INBAND))
        late_conf.body = BELT_BODY_SPANS;
    size_t size = belt_ring_footprint(&late_conf);
    scene = model_alloc(sizeof *scene, 128);
    scene->mem = belt_mem_of(model_alloc(size, 128), size);
    scene->ring = scene->mem.base;
}

static void maker(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    int rc = belt_ring_format(scene->mem, &late_conf);
    rc = rc ? rc : belt_tx_open(&end->tx, scene->mem);
    MODEL_CHECK(rc == 0, "the ring cannot be made: %d", rc);
    scene_writer(s, me);
}

static void reader_opens(const struct model_scenario *s, unsigned me)
{
    MODEL_UNTIL(belt_rx_open(&scene->end[me].rx, scene->mem) == 0);
    scene_reader(s, me);
}

/* ---- belt_claim_at, belt_peek_at: more than one run at a time -------------------- */

static void writer_ahead(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    struct belt_slots slots;
    while (end->sent < (uint32_t)s->p[P_ITEMS]) {
        uint32_t n = 0;
        for (; n < 2 && end->sent + n < (uint32_t)s->p[P_ITEMS]; n++) {
            uint64_t item = scene_item(0, end->sent + n);
            MODEL_UNTIL((slots = belt_claim_at(&end->tx, n, 1)).count == 1);
            belt_data_store(slots.first, &item, sizeof item);
        }
        belt_publish(&end->tx, n);
        end->sent += n;
    }
}

static void reader_ahead(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    struct belt_slots slots;
    while (end->got_n < (uint32_t)s->p[P_ITEMS]) {
        uint32_t n = 0, from = end->got_n;
        for (; n < 2 && from + n < (uint32_t)s->p[P_ITEMS]; n++) {
            MODEL_UNTIL((slots = belt_peek_at(&end->rx, n, 1)).count == 1);
            belt_data_load(&end->got[end->got_n++], slots.first, sizeof end->got[0]);
        }
        belt_release(&end->rx, n);
    }
}

/* ---- redo: the supervisor stores what a dead end meant to store ------------------- */

/* Writes two items, says so, publishes; dies anywhere. */
static void writer_says(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    for (uint32_t i = 0; i < (uint32_t)s->p[P_ITEMS]; i += 2) {
        struct belt_slots slots;
        MODEL_UNTIL((slots = belt_claim(&end->tx, 2)).count == 2);
        for (uint32_t k = 0; k < 2; k++) {
            uint64_t item = scene_item(0, i + k);
            belt_data_store((char *)slots.first + k * end->tx.slot_size, &item, sizeof item);
        }
        belt_store_release(&scene->flag, end->tx.next + 2);
        belt_publish(&end->tx, 2);
    }
}

static void redo_writer(const struct model_scenario *s, unsigned me)
{
    (void)s;
    (void)me;
    if (!died(0))
        return;
    uint64_t meant = belt_load_acquire(&scene->flag);
    for (int i = 0; i < 2; i++) {
        int rc = belt_ring_redo_publish(scene->ring, meant);
        MODEL_CHECK(rc == 0, "belt_ring_redo_publish: %d", rc);
    }
    model_name(&scene->flag, 8, 1, "meant");
}

/* Takes what there is for certain: all that was said to be published. */
static void reader_until_said(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    while (end->got_n < (uint32_t)s->p[P_ITEMS]) {
        bool over = false;
        MODEL_UNTIL(scene_take(s, end) ||
                    (over = model_fate_of(2) == MODEL_FINISHED && model_fate_of(0) == MODEL_DIED &&
                            belt_load_acquire(&scene->flag) == end->got_n));
        if (over)
            return;
    }
}

/* Says that two are read, releases them; dies anywhere. */
static void reader_says(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    for (uint32_t i = 0; i < (uint32_t)s->p[P_ITEMS]; i += 2) {
        struct belt_slots slots;
        MODEL_UNTIL((slots = belt_peek(&end->rx, 2)).count == 2);
        for (uint32_t k = 0; k < 2; k++)
            belt_data_load(&end->got[end->got_n + k], (char *)slots.first + k * end->rx.slot_size,
                           8);
        end->got_n += 2;
        belt_store_release(&scene->flag, end->rx.next + 2);
        belt_release(&end->rx, 2);
    }
}

/* And goes on reading in its place. */
static void redo_reader(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    if (!died(1))
        return;
    uint64_t meant = belt_load_acquire(&scene->flag);
    for (int i = 0; i < 2; i++) {
        int rc = belt_ring_redo_release(scene->ring, meant);
        MODEL_CHECK(rc == 0, "belt_ring_redo_release: %d", rc);
    }
    int rc = belt_rx_open(&end->rx, scene->mem);
    MODEL_CHECK(rc == 0 && end->rx.next == meant, "the successor does not begin there");
    while (meant + end->got_n < (uint64_t)s->p[P_ITEMS])
        MODEL_UNTIL(scene_take(s, end));
}

static void check_redo_writer(const struct model_scenario *s)
{
    uint32_t first = 0;
    uint32_t n = scene_got_of(&scene->end[1], 0, &first);
    scene_check_ring();
    MODEL_CHECK(first == 0 && n == scene->flag, "%u items came, %llu were meant", n,
                (unsigned long long)scene->flag);
    MODEL_CHECK(model_end_of(0) == MODEL_DIED || n == (uint32_t)s->p[P_ITEMS], "items are lost");
}

static void check_redo_reader(const struct model_scenario *s)
{
    /* What the dead one read and did not say, its successor reads again. */
    uint32_t said = model_end_of(1) == MODEL_DIED ? (uint32_t)scene->flag : scene->end[1].got_n;
    uint32_t first = said;
    uint32_t n = scene_got_of(&scene->end[2], 0, &first);
    scene_check_ring();
    MODEL_CHECK(first == said && said + n == (uint32_t)s->p[P_ITEMS], "items are lost");
}

/* ---- the table ------------------------------------------------------------------- */

#define SPSC(name_, bounds_, kind, slots, items, how, batch, start)                                \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .thread = { scene_writer, scene_reader },                                                      \
    .p = { kind, slots, 17, items, (how) | SCENE_ROLES, batch, start }

enum { SPANS = BELT_SPSC, INBAND = BELT_SPSC | SCENE_INBAND };
enum { BOTH_SPANS = SCENE_SPANS | SCENE_PEEK, BOTH_N = SCENE_PUSH_N | SCENE_POP_N };

static const struct model_scenario scenarios[] = {
    { SPSC("spans", "2 slots, 6 items, one at a time", SPANS, 2, 6, 0, 1, 0), .quick = true },
    { SPSC("spans.four", "4 slots, 6 items, one at a time", SPANS, 4, 6, 0, 1, 0) },
    { SPSC("spans.wrap", "2 slots, 5 items, tickets wrap", SPANS, 2, 5, 0, 1, 3), .quick = true },
    { SPSC("spans.batch", "4 slots, 6 items, claim 3, peek 3", SPANS, 4, 6, BOTH_SPANS, 3, 0),
      .quick = true },
    { SPSC("spans.part", "4 slots, 6 items, claim 2 publish 1, peek 2 release 1 by 1", SPANS, 4, 6,
           SCENE_PART | SCENE_PIECES, 2, 0) },
    { SPSC("spans.many", "4 slots, 6 items, push_n 3, pop_n 3", SPANS, 4, 6, BOTH_N, 3, 2),
      .quick = true },
    { SPSC("spans.end", "2 slots, 4 items, then closed", SPANS, 2, 4, SCENE_CLOSE, 1, 0),
      .quick = true },
    { SPSC("spans.ahead", "4 slots, 6 items, claim_at and peek_at", SPANS, 4, 6, 0, 1, 0),
      .thread = { writer_ahead, reader_ahead } },
    { SPSC("spans.writer.dies", "2 slots, 4 items, push; a successor", SPANS, 2, 4, 0, 1, 0),
      .thread = { scene_writer, scene_reader, next_writer }, .mortal = 1, .quick = true },
    { SPSC("spans.writer.dies.many", "4 slots, 5 items, push_n 2; a successor", SPANS, 4, 5,
           SCENE_PUSH_N, 2, 0),
      .thread = { scene_writer, scene_reader, next_writer }, .mortal = 1 },
    { SPSC("spans.reader.dies", "2 slots, 4 items, pop; a successor", SPANS, 2, 4, 0, 1, 0),
      .thread = { scene_writer, scene_reader, next_reader }, .mortal = 2,
      .check = check_next_reader, .quick = true },
    { SPSC("spans.reader.dies.many", "4 slots, 5 items, peek 2; a successor", SPANS, 4, 5,
           SCENE_PIECES, 2, 0),
      .thread = { scene_writer, scene_reader, next_reader }, .mortal = 2,
      .check = check_next_reader },
    { SPSC("spans.writer.leaves", "2 slots, 4 items, another writes the rest", SPANS, 2, 4, 0, 1,
           0),
      .thread = { writer_leaves, scene_reader, writer_follows }, .quick = true },
    { SPSC("spans.reader.leaves", "2 slots, 4 items, another reads the rest", SPANS, 2, 4, 0, 1, 0),
      .thread = { scene_writer, reader_leaves, reader_follows }, .quick = true },
    { SPSC("inband.reader.leaves", "2 lines of 2, 6 items, another reads the rest", INBAND, 2, 6,
           SCENE_BIG, 1, 0),
      .thread = { scene_writer, reader_leaves, reader_follows } },
    { SPSC("inband.writer.leaves", "2 lines of 2, 6 items, another writes the rest", INBAND, 2, 6,
           SCENE_BIG, 1, 0),
      .thread = { writer_leaves, scene_reader, writer_follows } },
    { SPSC("spans.made", "2 slots, 1 item, opened as soon as it is a ring", SPANS, 2, 1, 0, 1, 0),
      .setup = setup_memory, .thread = { maker, reader_opens } },
    { SPSC("inband.made", "2 lines of 7, 1 item, opened as soon as it is a ring", INBAND, 7, 1, 0,
           1, 0),
      .setup = setup_memory, .thread = { maker, reader_opens } },
    { SPSC("spans.redo.publish", "4 slots, 6 items, 2 at a time; a supervisor", SPANS, 4, 6, 0, 1,
           0),
      .thread = { writer_says, reader_until_said, redo_writer }, .mortal = 1,
      .check = check_redo_writer },
    { SPSC("spans.redo.release", "4 slots, 6 items, 2 at a time; a supervisor", SPANS, 4, 6, 0, 1,
           0),
      .thread = { scene_writer, reader_says, redo_reader }, .mortal = 2,
      .check = check_redo_reader },

    { SPSC("inband", "2 lines of 2, 6 items, one at a time", INBAND, 2, 6, SCENE_BIG, 1, 0),
      .quick = true },
    { SPSC("inband.seven", "2 lines of 7, 9 items, pop_n 9", INBAND, 7, 9, SCENE_POP_N, 9, 0) },
    { SPSC("inband.wrap", "2 lines of 2, 6 items, tickets wrap", INBAND, 2, 6, SCENE_BIG, 1, 16),
      .quick = true },
    { SPSC("inband.batch", "2 lines of 2, 6 items, claim 2, peek 2", INBAND, 2, 6,
           SCENE_BIG | BOTH_SPANS, 2, 0),
      .quick = true },
    { SPSC("inband.part", "2 lines of 2, 6 items, claim 2 publish 1, peek 2 release 1 by 1", INBAND,
           2, 6, SCENE_BIG | SCENE_PART | SCENE_PIECES, 2, 0) },
    { SPSC("inband.many", "2 lines of 2, 7 items, push_n 3, pop_n 3", INBAND, 2, 7,
           SCENE_BIG | BOTH_N, 3, 0),
      .quick = true },
    { SPSC("inband.end", "2 lines of 2, 5 items, then closed", INBAND, 2, 5,
           SCENE_BIG | SCENE_CLOSE, 1, 0),
      .quick = true },
    { SPSC("inband.writer.dies", "2 lines of 2, 5 items, push; a successor", INBAND, 2, 5,
           SCENE_BIG, 1, 0),
      .thread = { scene_writer, scene_reader, next_writer }, .mortal = 1, .quick = true },
    { SPSC("inband.reader.dies", "2 lines of 2, 5 items, pop; a successor", INBAND, 2, 5, SCENE_BIG,
           1, 0),
      .thread = { scene_writer, scene_reader, next_reader }, .mortal = 2,
      .check = check_next_reader, .quick = true },
};

const struct model_suite spsc_suite = { "spsc", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
