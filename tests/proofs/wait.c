/* Bells: nobody sleeps beside a ring that has what he waits for. A lost wake-up
 * wedges, since time stands still here. */
#include "tests/proofs/scene.h"

/* ---- some wait, some do not ------------------------------------------------------ */

static void takes_one(const struct model_scenario *s, unsigned me)
{
    MODEL_UNTIL(scene_take(s, &scene->end[me]));
}

/* The ring is full: all items but the last are in it. */
static void setup_full(const struct model_scenario *s)
{
    struct model_scenario first = *s;
    first.p[P_HOW] &= ~SCENE_WAIT_TX;
    first.p[P_ITEMS]--;
    scene_setup(s);
    scene_write_from(&first, &scene->end[0], 0);
}

static void check_written(const struct model_scenario *s)
{
    scene_check_ring();
    MODEL_CHECK(scene->end[0].sent == scene_items(s, 0), "the writer stopped");
}

/* ---- descriptors ----------------------------------------------------------------- */

/* Sleeps as an epoll loop does, beside its ring's descriptor. */
static void fd_reader(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    uint32_t share = 0;
    for (unsigned w = 0; w < scene_writers(s); w++)
        share += scene_items(s, w);
    int fd = belt_rx_fd(&end->rx);
    MODEL_CHECK(fd >= 0, "belt_rx_fd: %d", fd);
    while (end->got_n < share) {
        if (scene_take(s, end) || belt_rx_arm(&end->rx))
            continue;
        MODEL_UNTIL(model_readable());
        belt_rx_disarm(&end->rx);
    }
}

/* ---- belt_sleep: without a ring -------------------------------------------------- */

static struct belt_sleep *sleeper;
static int sleeper_fd; /* thread 0's */

static void setup_sleep(const struct model_scenario *s)
{
    sleeper = model_alloc(sizeof *sleeper, 128);
    scene = model_alloc(sizeof *scene, 128);
    belt_sleep_init(sleeper, (enum belt_scope)s->p[1]);
    sleeper->asleep = (uint32_t)s->p[0]; /* BELT_FENCED: as where membarrier is forbidden */
    model_be(0);
    sleeper_fd = belt_sleep_fd();
    model_name(&sleeper->asleep, 4, 1, "asleep");
    model_name(&scene->flag, 8, 1, "done");
}

static void waker(const struct model_scenario *s, unsigned me)
{
    (void)me;
    for (uint64_t i = 1; i <= (uint64_t)s->p[2]; i++) {
        belt_store_release(&scene->flag, i);
        belt_wake(sleeper, sleeper_fd);
    }
}

static void sleeps(const struct model_scenario *s, unsigned me)
{
    (void)me;
    for (uint64_t i = 1; i <= (uint64_t)s->p[2]; i++)
        while (belt_load_acquire(&scene->flag) < i) {
            belt_sleep_prepare(sleeper);
            if (belt_load_acquire(&scene->flag) < i)
                MODEL_UNTIL(model_readable());
            belt_sleep_done(sleeper, sleeper_fd);
        }
}

/* ---- the table ------------------------------------------------------------------- */

#define WAIT(name_, bounds_, kind, slots, w, r, items, how, share)                                 \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .p = { kind, slots, (w)*16 + (r), items, how, (how)&SCENE_PUSH_N ? 2 : 1, 0, share }
#define SLEEP(name_, bounds_, asleep, scope, n)                                                    \
    .name = name_, .bounds = bounds_, .setup = setup_sleep, .thread = { sleeps, waker },           \
    .p = { asleep, scope, n }
#define ONE_ONE .thread = { scene_writer, scene_reader }

static const struct model_scenario scenarios[] = {
    { WAIT("wait.reader", "2 slots, 2 items", BELT_SPSC, 2, 1, 1, 2, SCENE_WAIT, 0), ONE_ONE,
      .quick = true },
    { WAIT("wait.writer", "2 slots, 3 items; the writer waits", BELT_SPSC, 2, 1, 1, 3,
           SCENE_WAIT_TX, 0),
      ONE_ONE, .quick = true },
    { WAIT("wait.end", "2 slots, 1 item, then closed", BELT_SPSC, 2, 1, 1, 1,
           SCENE_WAIT | SCENE_CLOSE, 0),
      ONE_ONE, .quick = true },
    { WAIT("wait.inband", "2 lines of 2, 2 items", BELT_SPSC | SCENE_INBAND, 2, 1, 1, 2,
           SCENE_WAIT | SCENE_BIG, 0),
      ONE_ONE },
    { WAIT("wait.inband.writer", "2 lines of 2, 5 items; the writer waits",
           BELT_SPSC | SCENE_INBAND, 2, 1, 1, 5, SCENE_WAIT_TX | SCENE_BIG, 0),
      ONE_ONE },
    { WAIT("wait.mpmc", "2 slots, 1 writer, 1 reader, 2 items", BELT_MPMC, 2, 1, 1, 2, SCENE_WAIT,
           0),
      ONE_ONE },
    { WAIT("wait.readers", "MPMC, 2 slots, push_n 2, 2 readers, one waits", BELT_MPMC, 2, 1, 2, 2,
           SCENE_WAIT | SCENE_PUSH_N, 1),
      .thread = { scene_writer, takes_one, scene_reader } },
    { WAIT("wait.sharded", "2 slots, 2 writers of 1 item, 1 reader", BELT_SHARDED, 2, 2, 1, 1,
           SCENE_WAIT, 0),
      .thread = { scene_writer, scene_writer, scene_reader } },
    { WAIT("wait.broadcast", "2 slots, 1 item, 2 readers", BELT_BROADCAST, 2, 1, 2, 1, SCENE_WAIT,
           0),
      .thread = { scene_writer, scene_reader, scene_reader } },
    { WAIT("wait.broadcast.writer", "2 slots, full, 2 readers; the writer waits", BELT_BROADCAST, 2,
           1, 2, 3, SCENE_WAIT_TX, 1),
      .thread = { scene_writer, takes_one, takes_one }, .setup = setup_full,
      .check = check_written },
    { WAIT("wait.fd", "2 slots, 2 items, a descriptor", BELT_SPSC, 2, 1, 1, 2, 0, 0),
      .thread = { scene_writer, fd_reader }, .quick = true },
    { WAIT("wait.fd.sharded", "2 slots, 2 writers of 1 item, one descriptor", BELT_SHARDED, 2, 2, 1,
           1, 0, 0),
      .thread = { scene_writer, scene_writer, fd_reader } },
    { WAIT("wait.fd.readers", "broadcast, 2 slots, 1 item, 2 descriptors", BELT_BROADCAST, 2, 1, 2,
           1, 0, 0),
      .thread = { scene_writer, fd_reader, fd_reader } },
    { SLEEP("wait.sleep", "an eventfd, woken twice", 0, BELT_THREADS, 2), .quick = true },
    { SLEEP("wait.sleep.fenced", "the same where membarrier is forbidden", BELT_FENCED,
            BELT_PROCESSES, 2),
      .quick = true },
};

const struct model_suite wait_suite = { "wait", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
