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
    struct belt_reaped out;
    if (fate == MODEL_DIED)
        belt_ring_reap(scene->mem, &out);
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

/* ---- ends that open late --------------------------------------------------------- */

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

/* Nothing published is lost, nothing comes twice but what a dead reader held. */
static void check_deaths(const struct model_scenario *s)
{
    unsigned writers = scene_writers(s), ends = writers + scene_readers(s);
    scene_check_ring();
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
    { MPMC("mpmc.reaper.dies", "2 slots, 2 items, writer and reaper die", SAFE, 2, 1, 2, 2, 0, 1,
           0),
      .thread = { scene_writer, reaper, reaping_reader }, .mortal = 3, .deaths = 2,
      .check = check_deaths },

    { MPMC("unsafe", "2 slots, 1 writer, 1 reader, 5 items", UNSAFE, 2, 1, 1, 5, 0, 1, 0), ONE_ONE,
      .quick = true },
    { MPMC("unsafe.batch", "4 slots, 6 items, claim 3, peek 3", UNSAFE, 4, 1, 1, 6, BOTH_SPANS, 3,
           0),
      ONE_ONE, .quick = true },
    { MPMC("unsafe.many", "4 slots, 6 items, push_n 3, pop_n 3", UNSAFE, 4, 1, 1, 6, BOTH_N, 3, 0),
      ONE_ONE },
    { MPMC("unsafe.part", "4 slots, 5 items, claim 2 publish 1, peek 2 release 1", UNSAFE, 4, 1, 1,
           5, SCENE_PART | SCENE_PIECES, 2, 0),
      ONE_ONE },
    { MPMC("unsafe.end", "2 slots, 3 items, then closed", UNSAFE, 2, 1, 1, 3, SCENE_CLOSE, 1, 0),
      ONE_ONE, .quick = true },
    { MPMC("unsafe.writers", "2 slots, 2 writers, 1 reader, 2 items each", UNSAFE, 2, 2, 1, 2, 0, 1,
           0),
      TWO_ONE },
    { MPMC("unsafe.readers", "2 slots, 1 writer, 2 readers of 2 and 1 items", UNSAFE, 2, 1, 2, 3, 0,
           1, 2 + 16),
      ONE_TWO },
    { MPMC("unsafe.two.two", "2 slots, 2 writers, 2 readers, 1 item each", UNSAFE, 2, 2, 2, 1, 0, 1,
           1),
      TWO_TWO },
};

const struct model_suite mpmc_suite = { "mpmc", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
