/* MPMC rings: many ends, batches, gaps, and who dies where. */
#include "tests/proofs/scene.h"

#include <errno.h>

/* ---- deaths ---------------------------------------------------------------------- */

/* What this reader knows of a thread that may die: it finished, or it died and was
 * reaped. */
struct reaping {
    bool reaped[MODEL_THREADS];
};

static bool is_settled(const struct model_scenario *s, const struct reaping *known, unsigned t)
{
    bool mortal = s->mortal >> t & 1;
    if (!mortal && t >= scene_writers(s))
        return true;
    return known->reaped[t] || model_fate_of(t) == MODEL_FINISHED;
}

/* False: another one who lives is at it. */
static bool reap(void)
{
    struct belt_reaped out = { 0, 0, 0 };
    int rc = belt_ring_reap(scene->mem, &out);
    MODEL_CHECK(rc == 0 || rc == -EBUSY, "belt_ring_reap: %d", rc);
    model_note("reaped %u: %u gaps, %u returned", out.processes, out.gaps, out.returned);
    scene->flag += out.returned;
    return rc == 0;
}

/* Takes, or reaps, or finds that all is over. False: nothing of it now. */
static bool take_or_reap(const struct model_scenario *s, struct reaping *known, unsigned me,
                         bool *over)
{
    bool settled = true;
    for (unsigned t = 0; t < scene_writers(s) + scene_readers(s); t++)
        settled = settled && (t == me || is_settled(s, known, t));
    if (scene_take(s, &scene->end[me]))
        return true;
    *over = settled;
    for (unsigned t = 0; t < MODEL_THREADS && !*over; t++)
        if (t != me && s->mortal >> t & 1 && !known->reaped[t] && model_fate_of(t) == MODEL_DIED)
            return known->reaped[t] = reap();
    return *over;
}

/* Reads all there will ever be. */
static void reaping_reader(const struct model_scenario *s, unsigned me)
{
    struct reaping known = { { false } };
    bool over = false;
    while (!over)
        MODEL_UNTIL(take_or_reap(s, &known, me, &over));
}

/* Reaps a thread, when that dies. */
static void reap_after(unsigned thread)
{
    enum model_fate fate;
    MODEL_UNTIL((fate = model_fate_of(thread)) != MODEL_RUNS);
    if (fate == MODEL_DIED)
        reap();
}

static void reaper(const struct model_scenario *s, unsigned me)
{
    (void)s;
    (void)me;
    reap_after(0);
}

static void reaper_of_reader(const struct model_scenario *s, unsigned me)
{
    (void)s;
    (void)me;
    reap_after(1);
}

/* Reads all there will ever be, while thread 3 reaps. */
static void reader_beside(const struct model_scenario *s, unsigned me)
{
    bool over = false;
    while (!over) {
        bool settled = false;
        MODEL_UNTIL(
            (settled = model_fate_of(3) == MODEL_FINISHED && model_fate_of(0) == MODEL_FINISHED,
             scene_take(s, &scene->end[me])) ||
            (over = settled));
    }
}

/* The same, of an end that opens only now. */
static void late_reader_beside(const struct model_scenario *s, unsigned me)
{
    int rc = belt_rx_open(&scene->end[me].rx, scene->mem);
    MODEL_CHECK(rc == 0, "belt_rx_open: %d", rc);
    reader_beside(s, me);
}

/* All is written already. */
static void setup_written(const struct model_scenario *s)
{
    scene_setup(s);
    scene_write_from(s, &scene->end[0], 0);
}

/* ---- two that reap, one after the other ------------------------------------------ */

/* One item, which a process that is dead took. */
static void setup_dead(const struct model_scenario *s)
{
    struct belt_rx dead;
    setup_written(s);
    model_be(MODEL_THREADS); /* none of the threads: nobody lives behind its number */
    int rc = belt_rx_open(&dead, scene->mem);
    MODEL_CHECK(rc == 0 && belt_peek(&dead, 1).count == 1, "the dead had nothing: %d", rc);
}

static void reaps(const struct model_scenario *s, unsigned me)
{
    (void)s;
    (void)me;
    reap();
}

/* Thread 0 reads while 1 and 2 reap. */
static void reader_of_returned(const struct model_scenario *s, unsigned me)
{
    bool over = false;
    (void)me;
    while (!over) {
        bool settled = false;
        MODEL_UNTIL(
            (settled = model_fate_of(1) == MODEL_FINISHED && model_fate_of(2) == MODEL_FINISHED,
             scene_take(s, &scene->end[1])) ||
            (over = settled));
    }
}

static void check_returned(const struct model_scenario *s)
{
    struct belt_ring_stat stat;
    (void)s;
    scene_check_ring();
    MODEL_CHECK(scene->flag == 1, "%llu came back", (unsigned long long)scene->flag);
    MODEL_CHECK(scene->end[1].got_n == 1, "the item came %u times", scene->end[1].got_n);
    int rc = belt_ring_stat(scene->mem, &stat);
    MODEL_CHECK(rc == 0 && stat.items == 0, "%llu are left", (unsigned long long)stat.items);
}

/* ---- a reader leaves what it peeked ---------------------------------------------- */

static void setup_peeked(const struct model_scenario *s)
{
    setup_written(s);
    MODEL_CHECK(belt_peek(&scene->end[1].rx, 1).count == 1, "nothing to peek at");
}

static void reader_leaves(const struct model_scenario *s, unsigned me)
{
    (void)s;
    belt_rx_leave(&scene->end[me].rx);
}

/* What was left comes behind what came after it. */
static void reader_takes_all(const struct model_scenario *s, unsigned me)
{
    while (scene->end[me].got_n < scene_items(s, 0))
        MODEL_UNTIL(scene_take(s, &scene->end[me]));
}

/* ---- ends that open late --------------------------------------------------------- */

/* Four slots, all filled; in the second and third a run of two, whose middle is where
 * the hint sends who opens after one more item. */
static void setup_run(const struct model_scenario *s)
{
    static const uint32_t batches[] = { 1, 2, 1, 1 };
    uint64_t popped;
    scene_setup(s);
    struct scene_end *end = &scene->end[0];
    for (unsigned i = 0; i < 4; i++) {
        uint64_t items[] = { scene_item(0, end->sent), scene_item(0, end->sent + 1) };
        if (i == 3)
            MODEL_CHECK(belt_pop(&scene->end[1].rx, &popped, sizeof popped), "empty");
        end->sent += belt_push_n(&end->tx, items, batches[i], sizeof items[0]);
    }
}

static void takes_run(const struct model_scenario *s, unsigned me)
{
    (void)s;
    MODEL_CHECK(scene_take(s, &scene->end[me]), "the run is not there");
}

static void late_reader_of_one(const struct model_scenario *s, unsigned me)
{
    int rc = belt_rx_open(&scene->end[me].rx, scene->mem);
    MODEL_CHECK(rc == 0, "belt_rx_open: %d", rc);
    MODEL_UNTIL(scene_take(s, &scene->end[me]));
}

/* Whatever came came once, in any order. */
static void check_once(const struct model_scenario *s)
{
    uint32_t came[SCENE_GOT] = { 0 };
    scene_check_ring();
    for (unsigned r = 1; r < MODEL_THREADS; r++)
        for (uint32_t i = 0; i < scene->end[r].got_n; i++) {
            uint64_t item = scene->end[r].got[i] - scene_item(0, 0);
            MODEL_CHECK(item < scene_items(s, 0), "no item came");
            MODEL_CHECK(++came[item] == 1, "item %u came twice", (unsigned)item);
        }
}

static void late_writer(const struct model_scenario *s, unsigned me)
{
    int rc = belt_tx_open(&scene->end[me].tx, scene->mem);
    MODEL_CHECK(rc == 0, "belt_tx_open: %d", rc);
    scene_writer(s, me);
}

static void late_reader(const struct model_scenario *s, unsigned me)
{
    int rc = belt_rx_open(&scene->end[me].rx, scene->mem);
    MODEL_CHECK(rc == 0, "belt_rx_open: %d", rc);
    scene_reader(s, me);
}

/* ---- what is true afterwards ----------------------------------------------------- */

/* What the dead released is gone, and may be gone of what they were about to; but not
 * what was found with them and returned. */
static void check_returns(const struct model_scenario *s)
{
    unsigned writers = scene_writers(s), ends = writers + scene_readers(s);
    bool peeks = (s->p[P_HOW] & SCENE_READS) >= SCENE_PEEK; /* counted as got before release */
    uint32_t missing = 0, gone = 0;
    for (unsigned r = writers; r < ends; r++)
        if (model_end_of(r) == MODEL_DIED)
            gone += scene->end[r].got_n + (peeks ? 0 : scene->end[r].under);
    for (unsigned w = 0; w < writers; w++)
        for (uint32_t i = 0; i < scene->end[w].sent; i++) {
            bool came = false;
            for (unsigned r = writers; r < ends; r++)
                for (uint32_t k = 0; k < scene->end[r].got_n; k++)
                    came |=
                        model_end_of(r) != MODEL_DIED && scene->end[r].got[k] == scene_item(w, i);
            missing += !came;
        }
    MODEL_CHECK(missing + scene->flag <= gone || missing == 0,
                "%u are missing, of %u that the dead had %llu were returned", missing, gone,
                (unsigned long long)scene->flag);
}

/* Nothing published is lost, nothing comes twice but what a dead reader held. */
static void check_deaths(const struct model_scenario *s)
{
    unsigned writers = scene_writers(s), ends = writers + scene_readers(s);
    scene_check_ring();
    check_returns(s);
    for (unsigned w = 0; w < writers; w++) {
        const struct scene_end *end = &scene->end[w];
        uint32_t held = 0;
        for (uint32_t i = 0; i < scene_items(s, w); i++) {
            uint32_t came = 0;
            for (unsigned r = writers; r < ends; r++)
                for (uint32_t k = 0; k < scene->end[r].got_n; k++)
                    came += scene->end[r].got[k] == scene_item(w, i);
            uint32_t under = 0;
            for (unsigned r = writers; r < ends; r++)
                under += model_end_of(r) == MODEL_DIED ? scene->end[r].under : 0;
            held += came != 1 && i < end->sent;
            MODEL_CHECK(came <= 1 || under, "item %u of writer %u came %u times", i, w, came);
            MODEL_CHECK(came || i >= end->sent || under, "item %u of writer %u is lost", i, w);
            MODEL_CHECK(!came || i < end->sent + end->under,
                        "item %u of writer %u came from nowhere", i, w);
            MODEL_CHECK(held <= under, "more than a dead reader held is lost or came again");
        }
        MODEL_CHECK(model_end_of(w) == MODEL_DIED || end->sent == scene_items(s, w),
                    "writer %u did not finish", w);
    }
}

/* ---- the table ------------------------------------------------------------------- */

#define MPMC(name_, bounds_, kind, slots, w, r, items, how, batch, share)                          \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .p = { kind, slots, (w)*16 + (r), items, how, batch, 0, share }, .no_retries = true

enum { SAFE = BELT_MPMC, UNSAFE = BELT_MPMC_CRASH_UNSAFE };
enum { BOTH_SPANS = SCENE_SPANS | SCENE_PEEK, BOTH_N = SCENE_PUSH_N | SCENE_POP_N };
#define ONE_ONE .thread = { scene_writer, scene_reader }
#define TWO_ONE .thread = { scene_writer, scene_writer, scene_reader }
#define ONE_TWO .thread = { scene_writer, scene_reader, scene_reader }
#define TWO_TWO .thread = { scene_writer, scene_writer, scene_reader, scene_reader }

static const struct model_scenario scenarios[] = {
    { MPMC("mpmc", "2 slots, 1 writer, 1 reader, 5 items", SAFE, 2, 1, 1, 5, 0, 1, 0), ONE_ONE,
      .quick = true },
    { MPMC("mpmc.batch", "4 slots, 6 items, claim 3, peek 3", SAFE, 4, 1, 1, 6, BOTH_SPANS, 3, 0),
      ONE_ONE, .quick = true },
    { MPMC("mpmc.part", "4 slots, 5 items, claim 2 publish 1, peek 2 release 1", SAFE, 4, 1, 1, 5,
           SCENE_PART | SCENE_PIECES, 2, 0),
      ONE_ONE },
    { MPMC("mpmc.many", "4 slots, 6 items, push_n 3, pop_n 3", SAFE, 4, 1, 1, 6, BOTH_N, 3, 0),
      ONE_ONE },
    { MPMC("mpmc.end", "2 slots, 3 items, then closed", SAFE, 2, 1, 1, 3, SCENE_CLOSE, 1, 0),
      ONE_ONE, .quick = true },
    { MPMC("mpmc.writers", "2 slots, 2 writers of 2 and 1 items, 1 reader", SAFE, 2, 2, 1, 2 + 16,
           0, 1, 0),
      TWO_ONE },
    { MPMC("mpmc.readers", "2 slots, 1 writer, 2 readers of 2 and 1 items", SAFE, 2, 1, 2, 3, 0, 1,
           2 + 16),
      ONE_TWO },
    { MPMC("mpmc.two.two", "2 slots, 2 writers, 2 readers, 1 item each", SAFE, 2, 2, 2, 1, 0, 1, 1),
      TWO_TWO },
    { MPMC("mpmc.writers.batch", "4 slots, 2 writers, 1 reader, claim 2", SAFE, 4, 2, 1, 2,
           BOTH_SPANS, 2, 0),
      TWO_ONE },
    { MPMC("mpmc.writers.part", "4 slots, 2 writers of 2 and 1, claim 2 publish 1", SAFE, 4, 2, 1,
           2 + 16, SCENE_PART | SCENE_PEEK, 2, 0),
      TWO_ONE },
    { MPMC("mpmc.readers.batch", "4 slots, 1 writer, 2 readers, peek 2", SAFE, 4, 1, 2, 4,
           BOTH_SPANS, 2, 2),
      ONE_TWO },
    { MPMC("mpmc.late.writer", "2 slots, 2 writers of 2 and 1, one opens late", SAFE, 2, 2, 1,
           2 + 16, 0, 1, 0),
      .thread = { scene_writer, late_writer, scene_reader } },
    { MPMC("mpmc.late.batch", "4 slots, 2 writers of 3 and 1, push_n 2, one opens late", SAFE, 4, 2,
           1, 3 + 16, BOTH_N, 2, 0),
      .thread = { scene_writer, late_writer, scene_reader } },
    { MPMC("mpmc.late.reader", "2 slots, 2 items, 2 readers of 1 that open late", SAFE, 2, 1, 2, 2,
           SCENE_LATE, 1, 1),
      .thread = { scene_writer, late_reader, late_reader } },
    { MPMC("mpmc.writer.dies", "2 slots, 2 items, a reader reaps", SAFE, 2, 1, 1, 2, 0, 1, 0),
      .thread = { scene_writer, reaping_reader }, .mortal = 1, .check = check_deaths,
      .quick = true },
    { MPMC("mpmc.writer.dies.batch", "4 slots, 4 items, claim 2, a reader reaps", SAFE, 4, 1, 1, 4,
           BOTH_SPANS, 2, 0),
      .thread = { scene_writer, reaping_reader }, .mortal = 1, .check = check_deaths },
    { MPMC("mpmc.writer.dies.beside", "2 slots, 2 writers, 1 item each, a reader reaps", SAFE, 2, 2,
           1, 1, 0, 1, 0),
      .thread = { scene_writer, scene_writer, reaping_reader }, .mortal = 1,
      .check = check_deaths },
    { MPMC("mpmc.reader.dies", "2 slots, 2 items, 2 readers, one reaps", SAFE, 2, 1, 2, 2,
           SCENE_PEEK | SCENE_CLOSE, 1, 1),
      .thread = { scene_writer, scene_reader, reaping_reader }, .mortal = 2,
      .check = check_deaths },
    { MPMC("mpmc.reader.dies.batch", "4 slots, 4 items, peek 2, one of 2 reaps", SAFE, 4, 1, 2, 4,
           BOTH_SPANS | SCENE_CLOSE, 2, 2),
      .thread = { scene_writer, scene_reader, reaping_reader }, .mortal = 2,
      .check = check_deaths },
    { MPMC("mpmc.reader.reaped", "2 slots, 2 items, 2 readers, a third process reaps", SAFE, 2, 1,
           2, 2, SCENE_PEEK | SCENE_CLOSE, 1, 1),
      .thread = { scene_writer, scene_reader, reader_beside, reaper_of_reader }, .mortal = 2,
      .check = check_deaths },
    { MPMC("mpmc.reader.reaped.late", "2 slots, 1 item, 2 readers, one opens while one is reaped",
           SAFE, 2, 1, 2, 1, SCENE_PEEK | SCENE_CLOSE, 1, 1),
      .thread = { scene_writer, scene_reader, late_reader_beside, reaper_of_reader }, .mortal = 2,
      .setup = setup_written, .check = check_deaths },
    { MPMC("mpmc.reaped.twice", "2 slots, 1 item that a dead one had, a reader, 2 reap", SAFE, 2, 1,
           1, 1, 0, 1, 0),
      .thread = { reader_of_returned, reaps, reaps }, .setup = setup_dead, .check = check_returned,
      .quick = true },
    { MPMC("mpmc.reader.leaves", "2 slots, 2 items, a reader leaves what it peeked, one reads",
           SAFE, 2, 1, 2, 2, 0, 1, 0),
      .thread = { scene_writer, reader_leaves, reader_takes_all }, .setup = setup_peeked,
      .check = check_once },
    { MPMC("mpmc.late.run", "4 slots, a run of 2 is read, one opens late in its middle", SAFE, 4, 1,
           2, 6, SCENE_POP_N, 2, 0),
      .thread = { scene_writer, takes_run, late_reader_of_one }, .setup = setup_run,
      .check = check_once, .quick = true },
    { MPMC("mpmc.reaper.dies", "2 slots, 2 items, writer and reaper die", SAFE, 2, 1, 2, 2, 0, 1,
           0),
      .thread = { scene_writer, reaper, reaping_reader }, .mortal = 3, .deaths = 2,
      .check = check_deaths },

    /* The same code without roles: what each of its calls does is above. */
    { MPMC("unsafe", "2 slots, 1 writer, 1 reader, 5 items", UNSAFE, 2, 1, 1, 5, 0, 1, 0), ONE_ONE,
      .quick = true },
    { MPMC("unsafe.batch", "4 slots, 6 items, claim 3, peek 3", UNSAFE, 4, 1, 1, 6, BOTH_SPANS, 3,
           0),
      ONE_ONE, .quick = true },
    { MPMC("unsafe.end", "2 slots, 3 items, then closed", UNSAFE, 2, 1, 1, 3, SCENE_CLOSE, 1, 0),
      ONE_ONE, .quick = true },
    { MPMC("unsafe.two.two", "2 slots, 2 writers, 2 readers, 1 item each", UNSAFE, 2, 2, 2, 1, 0, 1,
           1),
      TWO_TWO },
};

const struct model_suite mpmc_suite = { "mpmc", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
