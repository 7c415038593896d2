/* Rows beside a full edge: a slow batcher does not stop the others, order is kept,
 * memory and files are bounded, and nothing is lost on the way. */
#include <errno.h>

#include "core/overflow_priv.h"
#include "core/pipeline_priv.h"
#include "core/telemetry.h"
#include "tests/unit/pipeline_fixture.h"

/* ---- step `sides`: odd numbers to the batcher `slow` -------------------------------- */

static bool both_ways; /* all numbers to both of them */

struct sides_conf {
    int slow;
};

static int sides_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct sides_conf *c = conf;
    c->slow = belt_setup_batcher(setup, NULL, "slow", err);
    return c->slow < 0 ? c->slow : 0;
}

static int sides_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)in, (void)err;
    *(int *)state = ((struct sides_conf *)conf)->slow;
    return 0;
}

static int sides_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    if (both_ways)
        belt_route_also(view, i, *(int *)state);
    else
        belt_route(view, i, text[0] & 1 ? *(int *)state : 0);
    return 0;
}

static const struct belt_step sides_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "sides",
              .help = "odd numbers to `slow`",
              .conf_size = sizeof(struct sides_conf),
              .state_size = sizeof(int),
              .prepare = sides_prepare,
              .init = sides_init },
    .message = sides_message,
};

/* ---- sink `pace`: one batch every so many turns, numbers must rise ------------------ */

static struct {
    struct belt_batch *waiting[64];
    int count, turn;
    uint64_t rows[2];          /* that arrived: fast, slow */
    uint64_t slow_at_fast_end; /* slow rows when the last fast one had come */
    uint64_t last[2];
    bool unordered;
} paced;

struct pace_conf {
    int64_t every;
};

static const struct belt_setting pace_settings[] = {
    { "every", BELT_SET_INT, offsetof(struct pace_conf, every), "0", "", NULL, 0, 1000 },
    { 0 },
};

#define NUMBERS 200000

static int pace_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)in, (void)err;
    *(int64_t *)state = ((struct pace_conf *)conf)->every;
    return 0;
}

static void look_at(int side, const struct belt_batch *batch)
{
    for (uint32_t r = 0; r < batch->count; r++) {
        uint64_t number;
        memcpy(&number, batch->bytes + batch->spans[r].at, sizeof number);
        paced.unordered |= paced.rows[side] && number <= paced.last[side];
        paced.last[side] = number;
        paced.rows[side]++;
    }
    if (!side && paced.rows[0] == NUMBERS / 2)
        paced.slow_at_fast_end = paced.rows[1];
}

static int pace_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)err;
    if (!*(int64_t *)state) {
        look_at(0, batch);
        return 0;
    }
    paced.waiting[paced.count++] = batch;
    return BELT_PENDING;
}

static int pace_poll(void *state)
{
    int64_t every = *(int64_t *)state;
    if (!every || !paced.count || ++paced.turn % every)
        return 0;
    struct belt_batch *batch = paced.waiting[0];
    memmove(paced.waiting, paced.waiting + 1, (size_t)--paced.count * sizeof batch);
    look_at(1, batch);
    belt_batch_done(batch, 0, NULL);
    return 1;
}

static const struct belt_sink pace_sink = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "pace",
              .help = "as slow as told",
              .settings = pace_settings,
              .conf_size = sizeof(struct pace_conf),
              .state_size = sizeof(int64_t),
              .init = pace_init },
    .batch = pace_batch,
    .poll = pace_poll,
};

/* ---- pipelines ---------------------------------------------------------------------- */

/* Half of 200,000 numbers go to a batcher that takes a hundred every fourth turn. */
static struct belt_pipeline *two_sides(const char *slow_settings, const char *more)
{
    char yaml[1000];
    struct belt_error err = { 0 };
    memset(&paced, 0, sizeof paced);
    snprintf(yaml, sizeof yaml,
             "source: { counter: { count: 200000 } }\n"
             "processor: { steps: [ sides: {} ] }\n"
             "batchers:\n"
             "  fast: { size: 100, sink: { pace: { every: 0 } } }\n"
             "  slow: { size: 100, memory: 1MiB, sink: { pace: { every: 4 } }, %s }\n%s",
             slow_settings, more);
    struct belt_pipeline *p = pipeline_with(&sides_step.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &pace_sink.part, &err), 0, "%s", err.text);
    return p;
}

static void runs_through(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.received, NUMBERS);
    cr_assert_eq(t.unsettled, 0);
    cr_assert_eq(t.done + t.failed, NUMBERS);
    cr_assert_eq(paced.rows[0], NUMBERS / 2, "%lu %lu", paced.rows[0], paced.rows[1]);
    cr_assert_not(paced.unordered, "rows overtook one another");
}

static const struct belt_stats *chain_stats(struct belt_pipeline *p)
{
    return &p->run->chains[0].stage.stats;
}

Test(overflow, without_it_the_fast_side_waits_for_the_slow_one)
{
    struct belt_pipeline *p = two_sides("order: input", "");
    runs_through(p);
    cr_assert_eq(paced.rows[1], NUMBERS / 2);
    cr_assert_gt(paced.slow_at_fast_end, 40000, "%lu", paced.slow_at_fast_end);
    cr_assert_eq(chain_stats(p)->held_back, 0);
    belt_pipeline_free(p);
}

Test(overflow, the_fast_side_goes_on_while_the_slow_sides_rows_are_held)
{
    struct belt_pipeline *p = two_sides("hold: 8MiB", "");
    runs_through(p);
    cr_assert_eq(paced.rows[1], NUMBERS / 2);
    cr_assert_lt(paced.slow_at_fast_end, 10000, "%lu", paced.slow_at_fast_end);
    cr_assert_gt(chain_stats(p)->held_back, 1000);
    belt_pipeline_free(p);
}

Test(overflow, waits_when_what_may_be_held_is_used_up)
{
    struct belt_pipeline *p = two_sides("hold: 1B", "");
    runs_through(p);
    cr_assert_eq(paced.rows[1], NUMBERS / 2);
    cr_assert_gt(chain_stats(p)->held_back, 0);
    uint64_t most = 2 * belt_overflow_record(128 << 10);
    cr_assert_eq(p->run->chains[0].outlets[1].outs[0].over->held.size, most);
    belt_pipeline_free(p);
}

Test(overflow, spills_to_a_file_without_a_name_in_order)
{
    struct belt_pipeline *p = two_sides("when_full: spill, spill: { path: /tmp, size: 16MiB }", "");
    runs_through(p);
    cr_assert_eq(paced.rows[1], NUMBERS / 2);
    cr_assert_lt(paced.slow_at_fast_end, 10000, "%lu", paced.slow_at_fast_end);
    cr_assert_gt(chain_stats(p)->spilled, 10000);
    belt_pipeline_free(p);
}

Test(overflow, memory_comes_first_and_the_file_behind_it)
{
    struct belt_pipeline *p =
        two_sides("hold: 1B, when_full: spill, spill: { path: /tmp, size: 1MiB }", "");
    struct belt_overflow *over = NULL;
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    bool both = false;
    while (belt_pipeline_turn(p, now += 1000000, &err) >= 0) {
        over = p->run->chains[0].outlets[1].outs[0].over;
        both |= over->held.tail != over->held.head && over->filed.tail != over->filed.head;
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
    cr_assert(both);
    cr_assert_eq(paced.rows[1], NUMBERS / 2);
    cr_assert_not(paced.unordered);
    belt_pipeline_free(p);
}

Test(overflow, messages_for_several_batchers_wait_for_the_slow_one_alone)
{
    struct belt_error err = { 0 };
    both_ways = true;
    struct belt_pipeline *p =
        two_sides("hold: 1MiB, when_full: spill, spill: { path: /tmp, size: 16MiB }", "");
    cr_assert_eq(belt_pipeline_set(p, "source.counter.count", "60000", &err), 0, "%s", err.text);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 60000);
    cr_assert_eq(paced.rows[0], 60000);
    cr_assert_eq(paced.rows[1], 60000);
    cr_assert_gt(chain_stats(p)->held_back, 1000, "%lu", chain_stats(p)->held_back);
    cr_assert_not(paced.unordered);
    belt_pipeline_free(p);
}

Test(overflow, messages_fail_instead_where_asked_for)
{
    struct belt_pipeline *p =
        two_sides("order: any, when_full: fail", "failed: { sink: { keep_all: {} } }\n");
    runs_through(p);
    struct belt_totals t = totals_of(p);
    cr_assert_gt(t.failed, 1000);
    cr_assert_eq(kept.rows, t.failed);
    cr_assert_eq(paced.rows[1], NUMBERS / 2 - t.failed);
    cr_assert(strstr(kept.text, "batchers.slow is behind, and what may wait for it is full"));
    belt_pipeline_free(p);
}

Test(overflow, what_waits_is_counted_as_unsettled_when_a_drain_is_cut_off)
{
    struct belt_pipeline *p = two_sides("hold: 8MiB", "");
    struct belt_error err = { 0 };
    uint64_t now = 1000000000;
    for (int i = 0; i < 100; i++)
        cr_assert_geq(belt_pipeline_turn(p, now += 1000000, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_gt(t.unsettled, 1000);
    cr_assert_eq(t.received, t.done + t.unsettled);
    belt_pipeline_free(p);
}

/* ---- what is refused ---------------------------------------------------------------- */

static void refuses(const char *slow_settings, const char *more, const char *why)
{
    struct belt_pipeline *p = two_sides(slow_settings, more);
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_validate(p, &err), 0, "%s was taken", slow_settings);
    cr_assert(strstr(err.text, why), "%s", err.text);
    cr_assert(strstr(err.text, "test.yaml:"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(overflow, refuses_settings_that_mean_nothing)
{
    refuses("when_full: spill", "", "needs a folder and a limit");
    refuses("spill: { path: /tmp, size: 1MiB }", "", "spill is for when_full: spill");
    refuses("when_full: spill, spill: { path: /tmp }", "", "needs 'size'");
    refuses("when_full: spill, spill: { path: /tmp, size: 1MiB, sise: 1 }", "", "sise");
    refuses("when_full: fail", "", "wants order: any");
    refuses("when_full: wiat", "", "wiat");
    refuses("", "failed: { sink: 'null', when_full: fail }", "have not failed yet");
    refuses("order: any, hold: 1MiB, aggregate: { columns: { n: count() } }", "",
            "an aggregate holds nothing");
}

Test(overflow, a_folder_that_cannot_be_written_stops_the_start)
{
    struct belt_pipeline *p =
        two_sides("when_full: spill, spill: { path: /nowhere, size: 1MiB }", "");
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_start(p, &err), 0);
    cr_assert(strstr(err.text, "batchers.slow.spill: '/nowhere'"), "%s", err.text);
    belt_pipeline_free(p);
}

/* ---- where records lie -------------------------------------------------------------- */

Test(overflow, records_are_never_cut_and_come_in_order)
{
    struct belt_fifo fifo = { .size = 1000 };
    uint64_t sizes[4096], first = 0, end = 0, seed = 7, at, puts = 0;
    for (int i = 0; i < 4000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t size = 8 + (seed >> 33) % 40 * 8;
        if ((seed >> 60) < 9 && belt_fifo_put(&fifo, size, &at)) {
            cr_assert_leq(at + size, 1000);
            sizes[end++] = size;
            puts++;
        } else if (first < end) {
            uint64_t cursor = fifo.head, sum = 0;
            for (uint64_t k = first; k < end; k++) {
                cr_assert(belt_fifo_at(&fifo, &cursor, &at));
                cr_assert_leq(at + sizes[k], 1000);
                cursor += sizes[k];
                sum += sizes[k];
            }
            cr_assert_not(belt_fifo_at(&fifo, &cursor, &at));
            cr_assert_leq(sum, 1000);
            belt_fifo_drop(&fifo, sizes[first++]);
        }
    }
    cr_assert_gt(puts, 1000);
}

/* ---- what is told of it ---------------------------------------------------------------- */

static struct {
    uint64_t starts, stops, discarded;
    bool misnamed;
} told;

static void note(const struct belt_event *event, void *arg)
{
    (void)arg;
    told.starts += event->kind == BELT_EVENT_OVERFLOW_START;
    told.stops += event->kind == BELT_EVENT_OVERFLOW_STOP;
    if (event->kind == BELT_EVENT_DISCARD)
        told.discarded += belt_event_value(event, BELT_FIELD_MESSAGES);
    told.misnamed |= strcmp(event->text, "batchers.slow") != 0;
}

static void told_of(const char *slow_settings)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = two_sides(slow_settings, "");
    memset(&told, 0, sizeof told);
    for (int i = 0; i < 2; i++) {
        const char *prefix = i ? "beltway.processor.discard" : "beltway.processor.overflow";
        cr_assert_geq(belt_telemetry_attach(p, prefix, note, NULL, &err), 0, "%s", err.text);
    }
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_not(told.misnamed);
    cr_assert_eq(told.discarded, totals_of(p).failed);
    belt_pipeline_free(p);
}

Test(overflow, telemetry_tells_when_rows_wait_and_when_none_does_any_more)
{
    told_of("hold: 8MiB");
    cr_assert_gt(told.starts, 0);
    cr_assert_eq(told.stops, told.starts);
    cr_assert_eq(told.discarded, 0);
}

Test(overflow, telemetry_tells_how_many_found_no_room)
{
    told_of("hold: 64KiB, when_full: fail, order: any");
    cr_assert_gt(told.discarded, 0);
}

Test(overflow, an_empty_store_takes_a_record_as_long_as_itself)
{
    struct belt_fifo fifo = { .size = 64 };
    uint64_t at;
    cr_assert(belt_fifo_put(&fifo, 40, &at));
    cr_assert_not(belt_fifo_put(&fifo, 40, &at));
    belt_fifo_drop(&fifo, 40);
    cr_assert(belt_fifo_put(&fifo, 64, &at));
    cr_assert_eq(at, 0);
    cr_assert_not(belt_fifo_put(&fifo, 65, &at));
}
