/* The lane's turn: what a worker means to have done is written down, one word says
 * that it counts, then it is published. Killed before and after each store. */
#include "core/turn_priv.h"
#include "tests/proofs/scene.h"

/* One result a turn for each input frame 0, 1, ...; the frames are only counted. */
struct lane {
    struct belt_turns turns;
    uint64_t started; /* workers that may run */
};

static struct lane *lane;

static void setup_turns(const struct model_scenario *s)
{
    scene_setup(s);
    lane = model_alloc(sizeof *lane, 128);
    model_name(&lane->turns.commit, 8, 1, "commit");
    model_name(&lane->started, 8, 1, "started");
    lane->started = 1;
}

/* Goes on where the last committed turn ended. Thread 1 is the chain stage, 0, 2 and
 * 3 are workers one after the other. */
static void worker(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    uint64_t nth = me ? me - 1 : 0;
    if (nth) {
        bool over = false;
        MODEL_UNTIL(belt_load_acquire(&lane->started) > nth ||
                    (over = model_fate_of(1) == MODEL_FINISHED));
        if (over)
            return;
        int rc = belt_tx_open(&end->tx, scene->mem);
        MODEL_CHECK(rc == 0, "the dead worker's role is not to be had: %d", rc);
    }
    struct belt_intent now = belt_turn_last(&lane->turns);
    while (now.in < (uint64_t)s->p[P_ITEMS]) {
        struct belt_slots slots;
        uint64_t result = scene_item(0, (uint32_t)now.in);
        MODEL_UNTIL((slots = belt_claim(&end->tx, 1)).count == 1);
        MODEL_CHECK(slots.ticket == now.out, "ticket %llu, turn %llu",
                    (unsigned long long)slots.ticket, (unsigned long long)now.out);
        belt_data_store(slots.first, &result, sizeof result);
        struct belt_intent next = { .in = now.in + 1, .first = 0, .out = now.out + 1 };
        belt_turn_commit(&lane->turns, &next);
        belt_publish(&end->tx, 1);
        now = next;
    }
}

/* The worker under way has died: finishes its turn, starts the next. */
static bool finish_turn(unsigned under_way)
{
    if (model_fate_of(under_way) != MODEL_DIED)
        return false;
    struct belt_intent last = belt_turn_last(&lane->turns);
    int rc = belt_ring_redo_publish(scene->ring, last.out);
    MODEL_CHECK(rc == 0, "belt_ring_redo_publish: %d", rc);
    belt_store_release(&lane->started, belt_load_relaxed(&lane->started) + 1);
    return true;
}

static void chain_stage(const struct model_scenario *s, unsigned me)
{
    struct scene_end *end = &scene->end[me];
    unsigned under_way = 0;
    while (end->got_n < (uint32_t)s->p[P_ITEMS]) {
        bool died = false;
        MODEL_UNTIL(scene_take(s, end) || (died = finish_turn(under_way)));
        under_way = !died ? under_way : under_way ? under_way + 1 : 2;
    }
}

static void check_turns(const struct model_scenario *s)
{
    uint32_t first = 0, n = scene_got_of(&scene->end[1], 0, &first);
    scene_check_ring();
    MODEL_CHECK(first == 0 && n == (uint32_t)s->p[P_ITEMS], "results %u to %u came", first, n);
}

#define TURN(name_, bounds_, slots, items)                                                         \
    .name = name_, .bounds = bounds_, .setup = setup_turns, .check = check_turns,                  \
    .p = { BELT_SPSC, slots, 17, items, SCENE_ROLES, 1 }

static const struct model_scenario scenarios[] = {
    { TURN("turn", "2 slots, 3 turns, a worker dies, another goes on", 2, 3),
      .thread = { worker, chain_stage, worker }, .mortal = 1, .quick = true },
    { TURN("turn.dies.twice", "2 slots, 3 turns, two workers die", 2, 3),
      .thread = { worker, chain_stage, worker, worker }, .mortal = 5, .deaths = 2 },
};

const struct model_suite turn_suite = { "turn", scenarios, sizeof scenarios / sizeof scenarios[0],
                                        false };
