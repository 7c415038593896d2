#include "tests/unit/pipeline_fixture.h"

#include <errno.h>
#include <pthread.h>

/* Sources that remember what they are told. */
#define MOST 200000

static struct {
    unsigned char told[MOST]; /* by ticket: 1 done, 2 failed, 3: twice */
    uint64_t given[MOST], given_used;
    uint64_t order[MOST], used; /* tickets, as told */
    pthread_t thread;           /* of fill */
    int strangers;              /* calls from other threads */
} acks;

static int give(void *state, struct belt_fill *out, struct belt_error *err)
{
    acks.thread = pthread_self();
    int count = say_fill(state, out, err);
    for (int i = 0; i < count; i++)
        acks.given[acks.given_used++] = out->ticket + (uint64_t)i;
    return count;
}

static void told(uint64_t ticket, unsigned char what)
{
    acks.told[ticket] = acks.told[ticket] ? 3 : what;
    acks.order[acks.used++] = ticket;
}

static void hear(void *state, const struct belt_acked *acked)
{
    (void)state;
    acks.strangers += !pthread_equal(acks.thread, pthread_self());
    cr_assert_eq(acked->ticket % 64, 0);
    cr_assert_eq(acked->done & acked->failed, 0);
    for (uint32_t i = 0; i < 64; i++) {
        if (acked->done >> i & 1)
            told(acked->ticket + i, 1);
        if (acked->failed >> i & 1)
            told(acked->ticket + i, 2);
    }
}

#define PART(name)                                                                                 \
    {                                                                                              \
        BELT_ABI, BELT_SOURCE, name, "words", say_settings, sizeof(struct say_conf),               \
            sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words"             \
    }

static const struct belt_source ordered_source = {
    .part = PART("ordered"),
    .fill = give,
    .recycle = say_recycle,
    .stop = say_stop,
    .ack = hear,
};

static const struct belt_source any_source = {
    .part = PART("any"),
    .fill = give,
    .recycle = say_recycle,
    .stop = say_stop,
    .ack = hear,
    .ack_any = true,
};

static struct belt_pipeline *acked(const struct belt_source *source, const char *yaml)
{
    memset(&acks, 0, sizeof acks);
    return pipeline_with(&source->part, yaml);
}

static void ends(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
}

static void expect_all_once(void)
{
    cr_assert_eq(acks.used, acks.given_used);
    for (uint64_t i = 0; i < acks.given_used; i++)
        cr_assert(acks.told[acks.given[i]] == 1 || acks.told[acks.given[i]] == 2, "message %llu",
                  (unsigned long long)i);
}

Test(acks, every_message_is_told_once_with_its_outcome, .timeout = 10)
{
    struct belt_pipeline *p =
        acked(&ordered_source, "source: { ordered: { words: 'a,bad,no,b', repeat: 300 } }\n"
                               "processor: { steps: [ mark: {} ] }\n"
                               "batcher: { size: 7, sink: keep_all }\n");
    ends(p);
    cr_assert_eq(acks.given_used, 1200);
    expect_all_once();
    for (uint64_t i = 0; i < acks.given_used; i++)
        cr_assert_eq(acks.told[acks.given[i]], i % 4 == 1 ? 2 : 1);
    belt_pipeline_free(p);
}

/* A sink that keeps its first batch for itself until it is let go. */
static bool late_go;
static struct belt_batch *late;

static int late_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    if (late || late_go)
        return 0;
    late = batch;
    return BELT_PENDING;
}

static int late_poll(void *state)
{
    (void)state;
    if (!late || !late_go)
        return 0;
    belt_batch_done(late, 0, NULL);
    late = NULL;
    return 1;
}

static const struct belt_sink late_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "late", .help = "keeps the first" },
    .batch = late_batch,
    .poll = late_poll,
};

static struct belt_pipeline *with_late_sink(const struct belt_source *source, const char *yaml)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p;
    memset(&acks, 0, sizeof acks);
    late = NULL;
    late_go = false;
    cr_assert_eq(belt_pipeline_new(&p, &err), 0);
    cr_assert_eq(belt_pipeline_add(p, &source->part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_add(p, &late_sink.part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_load_text(p, yaml, "test.yaml", &err), 0, "%s", err.text);
    for (uint64_t now = 1; now < 200; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000000, &err), 0, "%s", err.text);
    return p;
}

Test(acks, in_order_wait_for_the_first_that_is_not_settled, .timeout = 10)
{
    struct belt_pipeline *p =
        with_late_sink(&ordered_source, "source: { ordered: { words: 'a,b', repeat: 50 } }\n"
                                        "batcher: { size: 2, timeout: 1ms, sink: late }\n");
    cr_assert_eq(acks.used, 0);
    late_go = true;
    ends(p);
    expect_all_once();
    for (uint64_t i = 1; i < acks.used; i++)
        cr_assert_gt(acks.order[i], acks.order[i - 1]);
    belt_pipeline_free(p);
}

Test(acks, in_any_order_come_as_they_settle, .timeout = 10)
{
    struct belt_pipeline *p =
        with_late_sink(&any_source, "source: { any: { words: 'a,b', repeat: 50 } }\n"
                                    "batcher: { size: 2, timeout: 1ms, sink: late }\n");
    cr_assert_eq(acks.used, 98);
    cr_assert_eq(acks.told[acks.given[0]], 0);
    late_go = true;
    ends(p);
    expect_all_once();
    belt_pipeline_free(p);
}

Test(acks, unsettled_messages_of_a_stopped_run_are_not_told, .timeout = 10)
{
    struct belt_pipeline *p =
        with_late_sink(&any_source, "source: { any: { words: 'a,b', repeat: 50 } }\n"
                                    "batcher: { size: 2, timeout: 1ms, sink: late }\n");
    belt_pipeline_free(p);
    cr_assert_eq(acks.used, 98);
    cr_assert_eq(acks.told[acks.given[0]] + acks.told[acks.given[1]], 0);
}

Test(acks, come_in_the_source_s_own_thread_and_all_of_them, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        acked(&any_source, "source: { any: { words: 'a,bad,b', repeat: 900 } }\n"
                           "placement: { fuse: none }\n"
                           "processor: { concurrency: 2, steps: [ mark: {} ] }\n"
                           "batcher: { size: 10, order: any, sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(acks.given_used, 2700);
    cr_assert_eq(acks.strangers, 0);
    expect_all_once();
    belt_pipeline_free(p);
}

Test(acks, with_an_aggregate_are_refused_where_nothing_can_be_read_again, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = acked(
        &any_source, "source: { any: a }\n"
                     "batcher:\n"
                     "  aggregate: { group_by: payload, columns: { n: count() }, emit: at_end }\n"
                     "  sink: keep_all\n");
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text,
                     "test.yaml:3:14: an aggregate keeps messages in memory, and source (any) "
                     "would be told that they are done: it cannot give them again");
    belt_pipeline_free(p);
}
