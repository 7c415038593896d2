/* Rings and numbered items for scenarios: see scene.h. */
#include "tests/proofs/scene.h"

#include <errno.h>

struct scene *scene;

/* ---- set-up ---------------------------------------------------------------------- */

static void name_parts(struct belt_ring *ring)
{
    model_name(&ring->published, 8, 1, "published");
    model_name(&ring->claimed, 8, 1, "claimed");
    model_name(&ring->closed, 4, 1, "closed");
    model_name(&ring->released, 8, 1, "released");
    model_name(&ring->readers_bell.asleep, 4, 1, "readers' asleep");
    model_name(&ring->readers_bell.rung, 4, 1, "readers' rung");
    model_name(&ring->writers_bell.asleep, 4, 1, "writers' asleep");
    model_name(&ring->writers_bell.rung, 4, 1, "writers' rung");
    model_name(&ring->reaps, 8, 1, "reaps");
    model_name(&ring->reaper, 8, 1, "reaper");
    model_name((char *)ring + ring->owners_at, 8, ring->owners, "owner");
    if (ring->kind == BELT_BROADCAST)
        model_name((char *)ring + ring->cursors_at, sizeof(struct belt_cursor), ring->readers,
                   "cursor");
    if (ring->kind != BELT_SHARDED)
        model_name((char *)ring + ring->head_size,
                   ring->body == BELT_BODY_INBAND ? 64 : ring->slot_size, ring->slots, "slot");
}

static void open_ends(const struct model_scenario *s)
{
    unsigned writers = scene_writers(s), readers = scene_readers(s);
    for (unsigned t = 0; t < writers + readers; t++) {
        model_be(t);
        int rc = 0;
        if (t < writers)
            rc = belt_tx_open(&scene->end[t].tx, scene->mem);
        else if (!(s->p[P_HOW] & SCENE_LATE))
            rc = belt_rx_open(&scene->end[t].rx, scene->mem);
        MODEL_CHECK(rc == 0, "end %u cannot be opened: %d", t, rc);
    }
}

void scene_setup(const struct model_scenario *s)
{
    struct belt_ring_conf conf = {
        .size = sizeof conf,
        .item_size = s->p[P_HOW] & SCENE_BIG ? 24 : 8,
        .items = (uint32_t)s->p[P_SLOTS],
        .kind = (enum belt_kind)(s->p[P_KIND] & ~SCENE_INBAND),
        .wait = BELT_WAIT_BLOCK,
        .writers = scene_writers(s),
        .readers = scene_readers(s),
        .start = 0 - (uint64_t)s->p[P_START],
        .flags = s->p[P_HOW] & SCENE_ROLES ? 0 : BELT_NO_ROLES,
    };
    if (conf.kind == BELT_SPSC || conf.kind == BELT_SHARDED)
        conf.body = s->p[P_KIND] & SCENE_INBAND ? BELT_BODY_INBAND : BELT_BODY_SPANS;
    if (conf.kind != BELT_SPSC)
        conf.flags = 0;
    scene = model_alloc(sizeof *scene, 128);
    size_t size = belt_ring_footprint(&conf);
    MODEL_CHECK(size > 0, "the ring's conf is refused: %d", belt_ring_conf_check(&conf));
    scene->mem = belt_mem_of(model_alloc(size, 128), size);
    scene->ring = scene->mem.base;
    int rc = belt_ring_format(scene->mem, &conf);
    MODEL_CHECK(rc == 0, "the ring cannot be made: %d", rc);
    name_parts(scene->ring);
    open_ends(s);
}

static uint32_t of_nth(int both, unsigned nth)
{
    return (uint32_t)(nth && both / 16 ? both / 16 : both % 16);
}

uint32_t scene_items(const struct model_scenario *s, unsigned writer)
{
    return of_nth(s->p[P_ITEMS], writer);
}

uint64_t scene_item(unsigned writer, uint32_t i)
{
    return (writer + 1) * 100 + i;
}

/* ---- writing --------------------------------------------------------------------- */

static bool push_some(const struct model_scenario *s, struct scene_end *end, unsigned writer)
{
    uint64_t items[16];
    uint32_t n = scene_items(s, writer) - end->sent;
    n = n < (uint32_t)s->p[P_BATCH] ? n : (uint32_t)s->p[P_BATCH];
    for (uint32_t i = 0; i < n; i++)
        items[i] = scene_item(writer, end->sent + i);
    end->under = n;
    if ((s->p[P_HOW] & SCENE_WRITES) == SCENE_PUSH)
        n = belt_push(&end->tx, items, sizeof items[0]);
    else
        n = belt_push_n(&end->tx, items, n, sizeof items[0]);
    end->sent += n;
    end->under = 0;
    return n > 0;
}

static bool write_spans(const struct model_scenario *s, struct scene_end *end, unsigned writer)
{
    uint32_t most = scene_items(s, writer) - end->sent;
    bool part = (s->p[P_HOW] & SCENE_WRITES) == SCENE_PART;
    if (most > (uint32_t)s->p[P_BATCH])
        most = (uint32_t)s->p[P_BATCH];
    struct belt_slots slots = belt_claim(&end->tx, most);
    if (slots.count == 0)
        return false;
    uint32_t n = part ? 1 : slots.count;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t item = scene_item(writer, end->sent + i);
        belt_data_store((char *)slots.first + (size_t)i * end->tx.slot_size, &item, sizeof item);
    }
    end->under = n;
    belt_publish(&end->tx, n);
    end->sent += n;
    end->under = 0;
    return true;
}

static bool write_some(const struct model_scenario *s, struct scene_end *end, unsigned writer)
{
    if (s->p[P_HOW] & SCENE_WAIT_TX) {
        int rc = belt_tx_wait(&end->tx, BELT_FOR_EVER);
        MODEL_CHECK(rc == 0, "belt_tx_wait: %d", rc);
    }
    return (s->p[P_HOW] & SCENE_WRITES) >= SCENE_SPANS ? write_spans(s, end, writer)
                                                       : push_some(s, end, writer);
}

void scene_write_from(const struct model_scenario *s, struct scene_end *end, unsigned writer)
{
    while (end->sent < scene_items(s, writer)) {
        MODEL_UNTIL(write_some(s, end, writer));
        model_note("sent %u", end->sent);
    }
    if (s->p[P_HOW] & SCENE_CLOSE)
        belt_close(&end->tx);
}

void scene_writer(const struct model_scenario *s, unsigned me)
{
    scene_write_from(s, &scene->end[me], me);
}

/* ---- reading --------------------------------------------------------------------- */

static void got(struct scene_end *end, uint64_t item)
{
    MODEL_CHECK(end->got_n < SCENE_GOT, "too many items came");
    model_note("got %llu", (unsigned long long)item);
    end->got[end->got_n++] = item;
}

static bool peek_some(const struct model_scenario *s, struct scene_end *end)
{
    struct belt_slots slots = belt_peek(&end->rx, (uint32_t)s->p[P_BATCH]);
    bool pieces = (s->p[P_HOW] & SCENE_READS) == SCENE_PIECES;
    for (uint32_t i = 0; i < slots.count; i++) {
        uint64_t item;
        belt_data_load(&item, (char *)slots.first + (size_t)i * end->rx.slot_size, sizeof item);
        got(end, item);
    }
    for (end->under = slots.count; end->under > 0;) {
        uint32_t n = pieces ? 1 : end->under;
        MODEL_CHECK(belt_release(&end->rx, n), "belt_release: lapped");
        end->under -= n;
    }
    return slots.count > 0;
}

static bool pop_some(const struct model_scenario *s, struct scene_end *end)
{
    uint64_t items[16];
    uint32_t n = (uint32_t)s->p[P_BATCH];
    end->under = n;
    if ((s->p[P_HOW] & SCENE_READS) == SCENE_POP)
        n = belt_pop(&end->rx, items, sizeof items[0]);
    else
        n = belt_pop_n(&end->rx, items, n, sizeof items[0]);
    end->under = 0;
    for (uint32_t i = 0; i < n; i++)
        got(end, items[i]);
    return n > 0;
}

bool scene_take(const struct model_scenario *s, struct scene_end *end)
{
    return (s->p[P_HOW] & SCENE_READS) >= SCENE_PEEK ? peek_some(s, end) : pop_some(s, end);
}

/* False: the ring has ended. */
static bool take_or_end(const struct model_scenario *s, struct scene_end *end)
{
    if (s->p[P_HOW] & SCENE_WAIT) {
        int rc = belt_rx_wait(&end->rx, BELT_FOR_EVER);
        if (rc == -EPIPE)
            return false;
        MODEL_CHECK(rc == 0, "belt_rx_wait: %d", rc);
    }
    bool ended = false;
    MODEL_UNTIL(scene_take(s, end) ||
                (s->p[P_HOW] & SCENE_CLOSE && (ended = belt_rx_ended(&end->rx))));
    return !ended;
}

void scene_reader(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    uint32_t share = of_nth(s->p[P_SHARE], me - scene_writers(s));
    for (unsigned w = 0; !s->p[P_SHARE] && w < scene_writers(s); w++)
        share += scene_items(s, w);
    if (!s->p[P_SHARE] && s->p[P_HOW] & SCENE_CLOSE)
        share = SCENE_GOT;
    while (end->got_n < share && take_or_end(s, end))
        ;
}

/* ---- in the end ------------------------------------------------------------------ */

void scene_check_ring(void)
{
    int broken = belt_ring_check(scene->ring, scene->mem.size);
    MODEL_CHECK(broken == 0, "belt_ring_check: rule %d is broken", broken);
}

uint32_t scene_got_of(const struct scene_end *end, unsigned writer, uint32_t *first)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < end->got_n; i++) {
        uint64_t item = end->got[i];
        if (item / 100 != writer + 1)
            continue;
        if (n == 0)
            *first = (uint32_t)(item % 100);
        MODEL_CHECK(item == scene_item(writer, *first + n), "item %llu came, not %llu",
                    (unsigned long long)item, (unsigned long long)scene_item(writer, *first + n));
        n++;
    }
    return n;
}

/* How often an item came; with one reader its writer's others around it in order. */
static uint32_t times(const struct model_scenario *s, uint64_t item)
{
    uint32_t n = 0;
    for (unsigned r = scene_writers(s); r < MODEL_THREADS; r++)
        for (uint32_t i = 0; i < scene->end[r].got_n; i++)
            n += scene->end[r].got[i] == item;
    return n;
}

static void check_order(const struct scene_end *end)
{
    uint64_t last[MODEL_THREADS] = { 0 };
    for (uint32_t i = 0; i < end->got_n; i++) {
        uint64_t writer = end->got[i] / 100 - 1;
        MODEL_CHECK(writer < MODEL_THREADS, "%llu is no item", (unsigned long long)end->got[i]);
        MODEL_CHECK(end->got[i] > last[writer], "item %llu came after %llu",
                    (unsigned long long)end->got[i], (unsigned long long)last[writer]);
        last[writer] = end->got[i];
    }
}

void scene_check(const struct model_scenario *s)
{
    unsigned writers = scene_writers(s);
    uint32_t copies = s->p[P_KIND] == BELT_BROADCAST ? scene_readers(s) : 1;
    for (unsigned w = 0; w < writers; w++)
        for (uint32_t i = 0; i < scene_items(s, w); i++) {
            uint32_t n = times(s, scene_item(w, i));
            MODEL_CHECK(n == copies, "item %llu came %u times",
                        (unsigned long long)scene_item(w, i), n);
        }
    for (unsigned r = writers; r < MODEL_THREADS; r++)
        check_order(&scene->end[r]);
    scene_check_ring();
}
