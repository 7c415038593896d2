/* Sharded rings: a lane a pair. */
#include "tests/proofs/scene.h"

/* Both readers together take everything; each until the end. */
#define SHARDED(name_, bounds_, body, slots, w, r, items, how, batch, share)                       \
    .name = name_, .bounds = bounds_, .setup = scene_setup, .check = scene_check,                  \
    .p = { BELT_SHARDED | (body), slots, (w)*16 + (r), items, how, batch, 0, share },              \
    .no_retries = true

enum { BOTH_SPANS = SCENE_SPANS | SCENE_PEEK, BOTH_N = SCENE_PUSH_N | SCENE_POP_N };
#define TWO_ONE .thread = { scene_writer, scene_writer, scene_reader }
#define ONE_TWO .thread = { scene_writer, scene_reader, scene_reader }
#define TWO_TWO .thread = { scene_writer, scene_writer, scene_reader, scene_reader }

static const struct model_scenario scenarios[] = {
    { SHARDED("sharded.writers", "2 slots a lane, 2 writers, 1 reader, 3 items each", 0, 2, 2, 1, 3,
              0, 1, 0),
      TWO_ONE, .quick = true },
    { SHARDED("sharded.writers.batch", "4 slots, 2 writers, 1 reader, 4 items each, claim 2", 0, 4,
              2, 1, 4, BOTH_SPANS, 2, 0),
      TWO_ONE },
    { SHARDED("sharded.writers.many", "2 slots, 2 writers, 1 reader, 3 items each, push_n", 0, 2, 2,
              1, 3, BOTH_N, 3, 0),
      TWO_ONE },
    { SHARDED("sharded.readers.end", "2 slots, 1 writer, 2 readers, 3 items, closed", 0, 2, 1, 2, 3,
              SCENE_CLOSE, 1, 0),
      ONE_TWO, .quick = true },
    { SHARDED("sharded.readers.many", "2 slots, 1 writer, 2 readers, 4 items, push_n, closed", 0, 2,
              1, 2, 4, BOTH_N | SCENE_CLOSE, 4, 0),
      ONE_TWO },
    { SHARDED("sharded.end", "2 slots, 2 writers, 1 reader, 2 items each, closed", 0, 2, 2, 1, 2,
              SCENE_CLOSE, 1, 0),
      TWO_ONE },
    { SHARDED("sharded.inband", "2 lines of 2, 2 writers, 1 reader, 3 items each", SCENE_INBAND, 2,
              2, 1, 3, SCENE_BIG, 1, 0),
      TWO_ONE },
    { SHARDED("sharded.two.two", "2 slots, 2 writers, 2 readers, 1 item each, closed", 0, 2, 2, 2,
              1, SCENE_CLOSE, 1, 0),
      TWO_TWO },
};

const struct model_suite sharded_suite = { "sharded", scenarios,
                                           sizeof scenarios / sizeof scenarios[0], false };
