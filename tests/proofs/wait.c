/* Bells: nobody sleeps beside a ring that has what he waits for. A lost wake-up
 * wedges, since time stands still here. */
#include "tests/proofs/scene.h"

#define WAIT(name_, bounds_, kind, slots, w, r, items, how, share)                                 \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .p = { kind, slots, (w)*16 + (r), items, how, 1, 0, share }
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
    { WAIT("wait.inband", "2 lines of 2, 2 items", BELT_SPSC | SCENE_INBAND, 4, 1, 1, 2,
           SCENE_WAIT | SCENE_BIG, 0),
      ONE_ONE },
    { WAIT("wait.inband.writer", "2 lines of 2, 5 items; the writer waits",
           BELT_SPSC | SCENE_INBAND, 4, 1, 1, 5, SCENE_WAIT_TX | SCENE_BIG, 0),
      ONE_ONE },
    { WAIT("wait.mpmc", "2 slots, 1 writer, 1 reader, 2 items", BELT_MPMC, 2, 1, 1, 2, SCENE_WAIT,
           0),
      ONE_ONE },
    { WAIT("wait.readers", "crash-unsafe MPMC, 2 slots, 2 items, 2 readers of 1",
           BELT_MPMC_CRASH_UNSAFE, 2, 1, 2, 2, SCENE_WAIT, 1),
      .thread = { scene_writer, scene_reader, scene_reader } },
    { WAIT("wait.sharded", "2 slots, 2 writers of 1 item, 1 reader", BELT_SHARDED, 2, 2, 1, 1,
           SCENE_WAIT, 0),
      .thread = { scene_writer, scene_writer, scene_reader } },
    { WAIT("wait.broadcast", "2 slots, 1 item, 2 readers", BELT_BROADCAST, 2, 1, 2, 1, SCENE_WAIT,
           0),
      .thread = { scene_writer, scene_reader, scene_reader } },
};

const struct model_suite wait_suite = { "wait", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
