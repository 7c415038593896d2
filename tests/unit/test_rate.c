#include "core/control.h"
#include "core/rate_priv.h"
#include "tests/unit/pipeline_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "rings/atomic.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define START (100 * SECOND)

static struct belt_rate_state rate_of(uint64_t messages, uint64_t per, uint64_t burst)
{
    struct belt_rate_state rate = { 0 };
    belt_rate_set(&rate, &(struct belt_rate_conf){ messages, per, burst }, 0, true);
    return rate;
}

Test(rate, lets_a_burst_through_and_then_one_at_its_time)
{
    struct belt_rate_state rate = rate_of(10, SECOND, 3);
    uint64_t due = 0;
    cr_assert_eq(belt_rate_take(&rate, 100, START, &due), 3);
    cr_assert_eq(belt_rate_take(&rate, 100, START, &due), 0);
    cr_assert_eq(due, START + 100 * MS);
    cr_assert_eq(belt_rate_take(&rate, 100, due - 1, &due), 0);
    cr_assert_eq(belt_rate_take(&rate, 100, due, &due), 1);
}

Test(rate, is_never_faster_than_asked_in_any_window)
{
    struct belt_rate_state rate = rate_of(7, SECOND / 3, 5);
    static uint64_t at[4000];
    uint32_t used = 0;
    uint64_t due;
    for (uint64_t now = START; used < 3000; now += 1 + (now * 2654435761u) % (40 * MS))
        for (uint32_t n = belt_rate_take(&rate, 1 + used % 3, now, &due); n; n--)
            at[used++] = now;
    for (uint32_t i = 0; i < used; i++)
        for (uint32_t j = i; j < used && j < i + 100; j++) {
            double most = 5 + (double)(at[j] - at[i]) * 21 / (double)SECOND;
            cr_assert_leq(j - i + 1, (uint32_t)(most + 1e-6) + 0.0, "%u in %llu ns", j - i + 1,
                          (unsigned long long)(at[j] - at[i]));
        }
}

Test(rate, has_no_edge_at_which_twice_as_much_passes)
{
    struct belt_rate_state rate = rate_of(1000, SECOND, 1);
    uint32_t passed = 0;
    uint64_t due;
    for (uint64_t now = START + SECOND - 50 * MS; now < START + SECOND + 50 * MS; now += 100000)
        passed += belt_rate_take(&rate, 1000, now, &due);
    cr_assert_leq(passed, 101);
    cr_assert_geq(passed, 99);
}

Test(rate, keeps_its_pace_over_a_long_time)
{
    struct belt_rate_state rate = rate_of(3, SECOND, 1);
    uint64_t due = START, passed = 0;
    for (uint64_t now = START; now <= START + 1000 * SECOND; now = due)
        while (belt_rate_take(&rate, 10, now, &due))
            passed++;
    cr_assert_geq(passed, 3000);
    cr_assert_leq(passed, 3001);
}

Test(rate, what_did_not_come_may_come_later)
{
    struct belt_rate_state rate = rate_of(10, SECOND, 10);
    uint64_t due;
    cr_assert_eq(belt_rate_take(&rate, 10, START, &due), 10);
    belt_rate_give_back(&rate, 7);
    cr_assert_eq(belt_rate_take(&rate, 10, START, &due), 7);
    cr_assert_eq(belt_rate_take(&rate, 10, START, &due), 0);
}

Test(rate, a_new_one_owes_as_many_messages_as_the_old)
{
    struct belt_rate_state rate = rate_of(1, 3600 * SECOND, 1);
    uint64_t due;
    cr_assert_eq(belt_rate_take(&rate, 1, START, &due), 1);
    belt_rate_set(&rate, &(struct belt_rate_conf){ 10, SECOND, 1 }, START, false);
    cr_assert_eq(belt_rate_take(&rate, 1, START, &due), 0);
    cr_assert_leq(due, START + 100 * MS);
    belt_rate_set(&rate, &(struct belt_rate_conf){ 10, SECOND, 1 }, START, true);
    cr_assert_eq(belt_rate_take(&rate, 1, START, &due), 1);
}

/* ---- threads share it exactly ------------------------------------------------ */

static struct belt_rate_state shared;
static uint64_t clock_ms, taken;

static void *take_many(void *arg)
{
    uint64_t due;
    (void)arg;
    for (int i = 0; i < 200000; i++) {
        uint64_t now = START + belt_fetch_add_relaxed(&clock_ms, 1) * 1000;
        uint32_t count = belt_rate_take(&shared, 5, now, &due);
        uint32_t back = count ? (uint32_t)i % count : 0;
        belt_rate_give_back(&shared, back);
        belt_fetch_add_relaxed(&taken, count - back);
    }
    return NULL;
}

Test(rate, is_shared_by_threads_to_the_message, .timeout = 20)
{
    shared = rate_of(50000, SECOND, 10);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_many, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    /* 600,000 us at 50,000 a second */
    cr_assert_leq(taken, 30010);
    cr_assert_geq(taken, 29000);
}

/* ---- in a pipeline ------------------------------------------------------------ */

static uint64_t turns(struct belt_pipeline *p, uint64_t from, uint64_t to)
{
    struct belt_error err = { 0 };
    for (uint64_t now = from; now < to; now += MS / 2)
        cr_assert_geq(belt_pipeline_turn(p, now, &err), 0, "%s", err.text);
    return totals_of(p).received;
}

#define SLOW                                                                                       \
    "source: { say: { words: 'a,b,c', endless: true }, rate: { messages: 100, per: 1s } }\n"

Test(rate, of_a_source_is_exact_by_the_fake_clock, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(SLOW "batcher: { sink: 'null' }\n");
    cr_assert_eq(turns(p, START, START + 995 * MS), 100);
    cr_assert_eq(turns(p, START + 995 * MS, START + 1995 * MS), 200);
    belt_pipeline_free(p);
}

Test(rate, holds_for_all_instances_together, .timeout = 20)
{
    struct belt_pipeline *p = pipeline_of(
        "source: { counter: 100000, concurrency: 3, rate: { messages: 100, burst: 10 } }\n"
        "processor: { concurrency: 3 }\nbatcher: { sink: 'null' }\n");
    cr_assert_eq(turns(p, START, START + 996 * MS), 109);
    belt_pipeline_free(p);
}

Test(rate, is_read_and_changed_while_it_runs, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(SLOW "batcher: { sink: 'null' }\n");
    cr_assert_eq(turns(p, START, START + 995 * MS), 100);
    struct belt_rate rate = { .size = sizeof rate };
    cr_assert_eq(belt_pipeline_rate(p, NULL, &rate, &err), 0, "%s", err.text);
    cr_assert_eq(rate.messages, 100);
    cr_assert_eq(rate.per_ns, SECOND);
    rate.messages = 20;
    cr_assert_eq(belt_pipeline_set_rate(p, "source", &rate, false, &err), 0, "%s", err.text);
    cr_assert_eq(turns(p, START + 995 * MS, START + 1995 * MS), 120);
    rate = (struct belt_rate){ .size = sizeof rate };
    cr_assert_eq(belt_pipeline_set_rate(p, NULL, &rate, true, &err), 0, "%s", err.text);
    cr_assert_geq(turns(p, START + 1995 * MS, START + 2095 * MS), 120 + 3 * 200);
    cr_assert_lt(belt_pipeline_set_rate(p, "sorce", &rate, true, &err), 0);
    cr_assert_not_null(strstr(err.text, "did you mean 'source'?"), "%s", err.text);
    belt_pipeline_free(p);
}

Test(rate, a_sleeping_lane_wakes_for_it, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { counter: 30, rate: { messages: 100 } }\n"
                                          "batcher: { sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, 30);
    cr_assert_geq(t.elapsed_ns, 289 * MS);
    cr_assert_leq(t.elapsed_ns, 900 * MS);
    belt_pipeline_free(p);
}

Test(rate, does_not_hold_up_a_stop, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { counter: 1000, rate: { messages: 1, per: 1h } }\n"
                    "batcher: { sink: 'null' }\n");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_wait(p, 50 * MS, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, BELT_FOREVER);
    cr_assert_eq(belt_pipeline_wait(p, 5 * SECOND, &err), 0, "%s", err.text);
    cr_assert_leq(totals_of(p).received, 1);
    belt_pipeline_free(p);
}

static void refuses(const char *yaml, const char *text)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, text);
    belt_pipeline_free(p);
}

Test(rate, settings_are_checked)
{
    refuses("source: { say: a, rate: { messages: 0 } }\n",
            "test.yaml:1:37: 'messages' of source rate must be at least 1, not 0");
    refuses("source: { say: a, rate: { messages: 1, per: 0s } }\n",
            "test.yaml:1:45: source rate: per must be longer than 0s");
    refuses("source: { say: a, rate: { mesages: 1 } }\n",
            "test.yaml:1:27: unknown setting 'mesages' of source rate; did you mean 'messages'?");
    refuses("source: { say: a, max_demand: 5, min_demand: 5 }\n",
            "test.yaml:1:46: 'min_demand' of source must be below max_demand");
}

/* ---- demand ------------------------------------------------------------------- */

static uint32_t largest;

static uint32_t measure_frame(void *state, struct belt_view *view)
{
    (void)state;
    largest = view->end - view->first > largest ? view->end - view->first : largest;
    return view->end;
}

static const struct belt_step measure_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "measure", .help = "frames" },
    .frame = measure_frame,
};

Test(demand, bounds_what_is_in_a_frame_and_on_the_way, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_with(&measure_step.part, "source: { counter: 5000, max_demand: 10 }\n"
                                          "processor: { steps: [ measure: {} ] }\n"
                                          "batcher: { sink: 'null' }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(largest, 10);
    cr_assert_eq(totals_of(p).done, 5000);
    belt_pipeline_free(p);
}

Test(demand, a_window_smaller_than_a_frame_is_kept, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { counter: 5000, window: 100 }\n"
                                          "batcher: { size: 1000, timeout: 1h, sink: keep_all }\n");
    kept.hold = true;
    for (uint64_t now = 1; now < 1000; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 128);
    kept.hold = false;
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 5000);
    belt_pipeline_free(p);
}
