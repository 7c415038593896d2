#include "core/control.h"
#include "core/stages.h"
#include "tests/unit/worker_fixture.h"

#include <errno.h>
#include <stdatomic.h>

#define MS UINT64_C(1000000)
#define MOST 8
#define PARTS 7

/* ---- step `who`: which instances live, and how many messages each had -------------------- */

static struct {
    _Atomic uint64_t got[MOST];
    atomic_int inits, finis;
    atomic_int refuse; /* 1 + the instance whose init() refuses */
} who;

static int who_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)conf;
    if (in->index + 1 == (uint32_t)atomic_load(&who.refuse))
        return belt_error_set(err, -ENOENT, "no model for %s", in->stage);
    *(uint32_t *)state = in->index;
    atomic_fetch_add(&who.inits, 1);
    return 0;
}

static void who_fini(void *state, void *conf)
{
    (void)state, (void)conf;
    atomic_fetch_add(&who.finis, 1);
}

static int who_message(void *state, struct belt_view *view, uint32_t i)
{
    (void)view, (void)i;
    atomic_fetch_add(&who.got[*(uint32_t *)state], 1);
    return 0;
}

static const struct belt_step who_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "who",
              .help = "counts",
              .state_size = sizeof(uint32_t),
              .init = who_init,
              .fini = who_fini },
    .message = who_message,
};

/* ---- step `share`: number % PARTS as the field `share` ----------------------------------- */

static int share_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    *(int *)conf = belt_setup_add(setup, NULL, "share", BELT_INT, 0, err);
    return *(int *)conf < 0 ? *(int *)conf : 0;
}

static int share_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)in, (void)err;
    *(int *)state = *(int *)conf;
    return 0;
}

static uint64_t number_of(const char *text)
{
    uint64_t value;
    memcpy(&value, text, sizeof value);
    return value;
}

static uint32_t share_frame(void *state, struct belt_view *view)
{
    struct belt_column *column = &view->columns[*(int *)state];
    BELT_EACH (view, i) {
        uint32_t size;
        column->as.numbers[i] = (int64_t)(number_of(belt_text(view, 0, i, &size)) % PARTS);
    }
    return view->end;
}

static const struct belt_step share_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "share",
              .help = "a partition",
              .conf_size = sizeof(int),
              .state_size = sizeof(int),
              .prepare = share_prepare,
              .init = share_init },
    .frame = share_frame,
};

/* ---- sink `numbers`: that each part's numbers rise; instances share it ------------------- */

static struct {
    pthread_mutex_t lock;
    uint64_t rows, sum, falls, last[PARTS], last_of_all, all_falls;
    uint64_t by[MOST];
    _Atomic bool hold;
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int numbers_init(void *state, void *conf, const struct belt_instance *in,
                        struct belt_error *err)
{
    (void)conf, (void)err;
    *(uint32_t *)state = in->index;
    return 0;
}

static int numbers_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    if (atomic_load(&told.hold))
        return belt_error_set(err, -EAGAIN, "not now");
    pthread_mutex_lock(&told.lock);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value = number_of(batch->bytes + batch->spans[i].at) + 1;
        told.falls += value <= told.last[value % PARTS];
        told.last[value % PARTS] = value;
        told.all_falls += value <= told.last_of_all;
        told.last_of_all = value;
        told.sum += value;
        told.rows++;
        told.by[*(uint32_t *)state]++;
    }
    pthread_mutex_unlock(&told.lock);
    return 0;
}

static const struct belt_sink numbers_sink = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "numbers",
              .help = "reads numbers",
              .state_size = sizeof(uint32_t),
              .init = numbers_init },
    .batch = numbers_batch,
};

/* ---- pipelines --------------------------------------------------------------------------- */

static uint64_t now;

static struct belt_pipeline *sized(const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&who_step.part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &share_step.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_add(p, &numbers_sink.part, &err), 0, "%s", err.text);
    return p;
}

static void turn(struct belt_pipeline *p, int turns)
{
    struct belt_error err = { 0 };
    for (int i = 0; i < turns; i++) {
        cr_assert_geq(belt_pipeline_turn(p, now += MS, &err), 0, "%s", err.text);
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
}

static void resize(struct belt_pipeline *p, const char *stage, uint32_t instances)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_resize(p, stage, instances, 20000 * MS, &err), 0, "%s", err.text);
}

static void refused(struct belt_pipeline *p, const char *stage, uint32_t instances, int rc,
                    const char *text)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_resize(p, stage, instances, 0, &err), rc, "%s", err.text);
    cr_assert_str_eq(err.text, text);
}

/* Instances that had messages since the last call, a bit each. */
static unsigned busy(void)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < MOST; i++)
        bits |= atomic_exchange(&who.got[i], 0) ? 1u << i : 0;
    return bits;
}

static uint32_t active(struct belt_pipeline *p, uint32_t stage)
{
    struct belt_error err = { 0 };
    struct belt_stage_info info = { .size = sizeof info };
    cr_assert_eq(belt_pipeline_stage(p, stage, &info, &err), 0, "%s", err.text);
    return info.active;
}

/* All numbers below `count`, each once; parts in order. */
static void expect_numbers(struct belt_pipeline *p, uint64_t count)
{
    struct belt_error err = { 0 };
    cr_assert_eq(told.rows, count);
    cr_assert_eq(told.sum, count * (count + 1) / 2);
    cr_assert_eq(totals_of(p).done, count);
    cr_assert_eq(totals_of(p).failed, 0);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
}

static void end_by_turns(struct belt_pipeline *p, uint64_t count)
{
    struct belt_error err = { 0 };
    int rc = 0;
    for (int i = 0; i < 1000000 && rc >= 0; i++)
        rc = belt_pipeline_turn(p, now += MS, &err);
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    expect_numbers(p, count);
}

#define COUNTER "source: { counter: { count: 1000000 }, concurrency: 1 }\n"
/* A frame for each processor in every turn. */
#define COUNTERS "source: { counter: { count: 1000000 }, concurrency: 4 }\n"
#define ANY "batcher: { size: 1000, order: any, sink: numbers }\n"

#define FOUR "processor: { concurrency: 1, max_concurrency: 4, steps: [ who: {} ] }\n"

Test(resize, gives_messages_to_more_and_to_fewer, .timeout = 20)
{
    struct belt_pipeline *p = sized(COUNTERS FOUR ANY);
    turn(p, 20);
    cr_assert_eq(busy(), 1);
    cr_assert_eq(who.inits, 1);
    resize(p, "processor", 3);
    cr_assert_eq(who.inits, 3);
    turn(p, 20);
    cr_assert_eq(busy(), 7);
    resize(p, "processor", 2);
    cr_assert_eq(who.finis, 1);
    busy();
    turn(p, 20);
    cr_assert_eq(busy(), 3);
    resize(p, "processor", 4);
    turn(p, 20);
    cr_assert_eq(busy(), 15);
    end_by_turns(p, 1000000);
    cr_assert_eq(who.inits, 5);
    cr_assert_eq(who.finis, 5);
    belt_pipeline_free(p);
}

Test(resize, keeps_the_order_of_the_input, .timeout = 20)
{
    struct belt_pipeline *p =
        sized(COUNTER "processor: { concurrency: 3, max_concurrency: 4, steps: [ who: {} ] }\n"
                      "batcher: { size: 1000, sink: numbers }\n");
    /* Chunks of 64 frames: some change hands halfway. */
    for (uint32_t i = 0; i < 24; i++) {
        turn(p, 37);
        resize(p, "processor", 2 + i % 3);
    }
    cr_assert_eq(busy() & 7, 7);
    end_by_turns(p, 1000000);
    cr_assert_eq(told.all_falls, 0);
    belt_pipeline_free(p);
}

#define SHARED                                                                                     \
    COUNTER "processors: { in: { concurrency: 1, steps: [ share: {} ] },\n"                        \
            "  work: { concurrency: 2, max_concurrency: 6, partition_by: share,\n"                 \
            "          steps: [ who: {} ] } }\n"

Test(resize, keeps_the_order_of_partitions, .timeout = 20)
{
    struct belt_pipeline *p = sized(SHARED ANY);
    turn(p, 20);
    cr_assert_eq(busy(), 3);
    for (uint32_t i = 0; i < 100; i++) {
        resize(p, "processors.work", 1 + i * 5 % 6);
        turn(p, 3);
    }
    cr_assert_eq(busy() & 15, 15);
    end_by_turns(p, 1000000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

/* Rows that wait beside a full edge would be passed. */
Test(resize, waits_for_rows_beside_full_edges, .timeout = 20)
{
    struct belt_pipeline *p =
        sized(SHARED "batcher: { size: 100, order: any, hold: 16MiB, sink: numbers,\n"
                     "           attempts: 1000000, backoff: 5ms, backoff_max: 5ms }\n");
    told.hold = true;
    turn(p, 200);
    refused(p, "processors.work", 4, -ETIMEDOUT,
            "pipeline did not come to rest in time: it goes on");
    cr_assert_eq(active(p, 2), 2);
    told.hold = false;
    turn(p, 20);
    resize(p, "processors.work", 4);
    end_by_turns(p, 1000000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

Test(resize, of_those_that_get_copies_of_every_message, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sized("source: { counter: { count: 100000 }, concurrency: 1 }\n"
              "processors: { in: { concurrency: 1 },\n"
              "  all: { concurrency: 1, max_concurrency: 3, dispatch: broadcast,\n"
              "         steps: [ who: {} ] } }\n" ANY);
    turn(p, 3);
    resize(p, "processors.all", 3);
    uint64_t before = totals_of(p).received;
    int rc = 0;
    while (rc >= 0)
        rc = belt_pipeline_turn(p, now += MS, &err);
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(told.rows, before + 3 * (100000 - before));
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(resize, of_a_batcher_moves_its_partitions, .timeout = 20)
{
    struct belt_pipeline *p =
        sized(COUNTER "processor: { concurrency: 1, steps: [ share: {} ] }\n"
                      "batcher: { size: 300, order: any, concurrency: 2, max_concurrency: 5,\n"
                      "           partition_by: share, timeout: 1h, sink: numbers }\n");
    turn(p, 20);
    cr_assert(told.by[0] && told.by[1] && !told.by[2]);
    for (uint32_t i = 0; i < 50; i++) {
        resize(p, "batcher", 1 + i * 3 % 5);
        cr_assert_eq(totals_of(p).unsettled, 0);
        turn(p, 4);
    }
    cr_assert(told.by[2] && told.by[3]);
    end_by_turns(p, 1000000);
    cr_assert_eq(told.falls, 0);
    belt_pipeline_free(p);
}

Test(resize, takes_those_along_that_are_paired, .timeout = 20)
{
    struct belt_pipeline *p =
        sized(COUNTERS "processors: { in: { concurrency: 1, max_concurrency: 3 },\n"
                       "  out: { blocking: true, steps: [ who: {} ] } }\n" ANY);
    turn(p, 10);
    cr_assert_eq(busy(), 1);
    resize(p, "processors.out", 3);
    cr_assert_eq(active(p, 1), 3);
    cr_assert_eq(active(p, 2), 3);
    turn(p, 10);
    cr_assert_eq(busy(), 7);
    end_by_turns(p, 1000000);
    belt_pipeline_free(p);
}

Test(resize, that_init_refuses_changes_nothing, .timeout = 20)
{
    struct belt_pipeline *p = sized(COUNTERS FOUR ANY);
    who.refuse = 3;
    turn(p, 10);
    refused(p, "processor", 4, -ENOENT, "no model for processor");
    cr_assert_eq(active(p, 1), 1);
    cr_assert_eq(who.inits, 2);
    cr_assert_eq(who.finis, 1);
    busy();
    turn(p, 10);
    cr_assert_eq(busy(), 1);
    who.refuse = 0;
    resize(p, "processor", 4);
    turn(p, 10);
    cr_assert_eq(busy(), 15);
    end_by_turns(p, 1000000);
    belt_pipeline_free(p);
}

Test(resize, leaves_a_paused_pipeline_paused, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sized(COUNTERS FOUR ANY);
    turn(p, 10);
    cr_assert_eq(belt_pipeline_pause(p, 0, 0, &err), 0);
    uint64_t received = totals_of(p).received;
    resize(p, "processor", 2);
    turn(p, 10);
    cr_assert_eq(totals_of(p).received, received);
    belt_pipeline_resume(p);
    end_by_turns(p, 1000000);
    belt_pipeline_free(p);
}

Test(resize, lets_an_instance_finish_what_it_tries_again, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        sized("sources: { x: { say: { words: 'bad,a,bad', repeat: 25 } },\n"
              "           y: { say: { words: 'bad,a,bad', repeat: 25 } } }\n"
              "processor: { concurrency: 2, max_concurrency: 2, steps: [ mark: {}, who: {} ] }\n"
              "batcher: { order: any, sink: keep_all }\n"
              "failed: { attempts: 3, backoff: 1s, sink: 'null' }\n");
    turn(p, 10);
    resize(p, "processor", 1);
    cr_assert_eq(who.finis, 0);
    int rc = 0;
    while (rc >= 0) {
        rc = belt_pipeline_turn(p, now += 10 * MS, &err);
        cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    }
    cr_assert_eq(rc, -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 100);
    cr_assert_eq(totals_of(p).done, 50);
    cr_assert_eq(totals_of(p).unsettled, 0);
    cr_assert_eq(who.finis, 2);
    belt_pipeline_free(p);
}

Test(resize, is_told_by_topology_and_report, .timeout = 20)
{
    struct belt_error err = { 0 };
    char *text = NULL;
    size_t size;
    struct belt_pipeline *p =
        sized(COUNTER "processor: { concurrency: 2, max_concurrency: 3 }\n"
                      "batcher: { order: any, max_concurrency: 2, sink: 'null' }\n");
    turn(p, 1);
    resize(p, "processor", 1);
    resize(p, "batcher", 2);
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(belt_pipeline_topology(p, out, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_report(p, out, &err), 0, "%s", err.text);
    fclose(out);
    cr_assert_not_null(strstr(text, "\"processor\", \"instances\": 3, \"active\": 1"), "%s", text);
    cr_assert_not_null(strstr(text, "\"instances\": 2, \"active\": 2"), "%s", text);
    cr_assert_not_null(strstr(text, "\"processor.0\", \"lane\": 0, \"active\": true"), "%s", text);
    cr_assert_not_null(strstr(text, "\"processor.1\", \"lane\": 0, \"active\": false"), "%s", text);
    cr_assert_not_null(strstr(text, "\"batcher.1\", \"lane\": 0, \"active\": true"), "%s", text);
    free(text);
    belt_pipeline_free(p);
}

Test(resize, that_cannot_be_is_refused, .timeout = 20)
{
    struct belt_pipeline *p =
        sized(COUNTER "processors: { parse: { concurrency: 1 }, enrich: {}, \n"
                      "              work: { max_concurrency: 3, steps: [ who: {} ] } }\n"
                      "batchers: { x: { order: any, sink: numbers } }\n");
    refused(p, "processor", 2, -EINVAL, "the pipeline was not started");
    turn(p, 1);
    refused(p, "processors.enrich", 2, -EINVAL,
            "processors.parse+enrich cannot be resized: start it with max_concurrency: N");
    refused(p, "processors.enric", 2, -EINVAL,
            "pipeline has no processor or batcher 'processors.enric'; did you mean "
            "'processors.enrich'?");
    refused(p, "processors.wrk", 2, -EINVAL,
            "pipeline has no processor or batcher 'processors.wrk'; did you mean "
            "'processors.work'?");
    refused(p, "source", 2, -EINVAL,
            "source: a source shares out its input at the start and cannot be resized: its rate "
            "can be set, and processors be resized");
    refused(p, "processors.work", 4, -EINVAL,
            "processors.work may have 1 to 3 instances, not 4: its max_concurrency, from the "
            "start, is the most");
    refused(p, "processors.work", 0, -EINVAL,
            "processors.work may have 1 to 3 instances, not 0: its max_concurrency, from the "
            "start, is the most");
    refused(p, "batchers.x", 2, -EINVAL,
            "batchers.x cannot be resized: start it with max_concurrency: N");
    end_by_turns(p, 1000000);
    refused(p, "processors.work", 2, -EPIPE, "pipeline has ended");
    belt_pipeline_free(p);
}

static void invalid(const char *yaml, const char *text)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sized(yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, text);
    belt_pipeline_free(p);
}

Test(resize, settings_that_contradict_are_refused)
{
    invalid(COUNTER "processor: { concurrency: 4, max_concurrency: 3 }\n" ANY,
            "test.yaml:2:47: max_concurrency of processor is less than its concurrency: 4");
    invalid(COUNTER "batcher: { concurrency: 4, max_concurrency: 3, sink: numbers }\n",
            "test.yaml:2:45: max_concurrency of batcher is less than its concurrency: 4");
    invalid("source: { counter: { count: 9 }, concurrency: 2 }\n"
            "processor: { max_concurrency: 2 }\nbatcher: { sink: numbers }\n",
            "max_concurrency of processor, with order: input or isolation: process, wants one "
            "source with concurrency: 1, not 2: or set order: any");
}

/* ---- reload ------------------------------------------------------------------------------ */

#define LIVE(rate, active, size)                                                                   \
    "source: { counter: { count: 1000000 }, concurrency: 4, rate: " rate " }\n"                    \
    "processor: { concurrency: " active ", max_concurrency: 4, steps: [ who: {} ] }\n"             \
    "batcher: { size: " size ", order: any, max_concurrency: 2, sink: numbers }\n"

Test(reload, changes_what_can_be_changed_live, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sized(LIVE("1000000000", "1", "1000"));
    struct belt_pipeline *same = sized(LIVE("1000000000", "1", "1000"));
    struct belt_pipeline *told = sized(LIVE("1000000000", "3", "77"));
    struct belt_pipeline *slow = sized(LIVE("1000", "3", "77"));
    turn(p, 5);
    cr_assert_eq(belt_pipeline_reload(p, same, 0, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_reload(p, told, 0, &err), 2, "%s", err.text);
    cr_assert_eq(active(p, 1), 3);
    busy();
    turn(p, 20);
    cr_assert_eq(busy(), 7);
    cr_assert_eq(belt_pipeline_reload(p, told, 0, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_reload(p, slow, 0, &err), 1, "%s", err.text);
    struct belt_rate rate = { .size = sizeof rate };
    cr_assert_eq(belt_pipeline_rate(p, NULL, &rate, &err), 0);
    cr_assert_eq(rate.messages, 1000);
    cr_assert_eq(belt_pipeline_reload(p, told, 0, &err), 1, "%s", err.text);
    end_by_turns(p, 1000000);
    cr_assert_eq(belt_pipeline_reload(p, told, 0, &err), -EINVAL);
    belt_pipeline_free(p);
    belt_pipeline_free(same);
    belt_pipeline_free(told);
    belt_pipeline_free(slow);
}

Test(reload, of_what_is_wrong_changes_nothing, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sized(LIVE("1000000000", "1", "1000"));
    struct belt_pipeline *wrong = sized(LIVE("1000000000", "5", "1000"));
    turn(p, 5);
    cr_assert_lt(belt_pipeline_reload(p, wrong, 0, &err), 0);
    cr_assert_str_eq(err.text, "test.yaml:2:47: max_concurrency of processor is less than its "
                               "concurrency: 5");
    cr_assert_eq(active(p, 1), 1);
    end_by_turns(p, 1000000);
    belt_pipeline_free(p);
    belt_pipeline_free(wrong);
}

/* ---- lanes and workers ------------------------------------------------------------------- */

static void storm(const char *yaml, const char *stage, uint32_t most, uint64_t count)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = sized(yaml);
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    for (uint32_t i = 0; belt_pipeline_wait(p, MS, &err) == -ETIMEDOUT; i++) {
        int rc = belt_pipeline_resize(p, stage, 1 + i * 3 % most, 20000 * MS, &err);
        cr_assert(rc == 0 || rc == -EPIPE, "%s", err.text);
    }
    expect_numbers(p, count);
    cr_assert_eq(told.falls, 0);
    cr_assert_eq(who.inits, who.finis);
    belt_pipeline_free(p);
}

Test(resize, again_and_again_over_lanes, .timeout = 60)
{
    storm("source: { counter: { count: 3000000 }, concurrency: 1 }\nplacement: { fuse: none }\n"
          "processors: { in: { concurrency: 1, steps: [ share: {} ] },\n"
          "  work: { max_concurrency: 4, partition_by: share, steps: [ who: {} ] } }\n" ANY,
          "processors.work", 4, 3000000);
}

Test(resize, of_workers_starts_and_ends_them, .timeout = 60)
{
    storm("source: { counter: { count: 300000 }, concurrency: 1 }\n"
          "processor: { concurrency: 1, max_concurrency: 3, isolation: process,\n"
          "             steps: [ who: {} ] }\n"
          "batcher: { size: 1000, sink: numbers }\n",
          "processor", 3, 300000);
    cr_assert_eq(told.all_falls, 0);
}
