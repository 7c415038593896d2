/* Where Broadway stalls, discards or reorders: ours, decided otherwise. The comment above a
 * test says what Broadway does. */
#include "core/control.h"
#include "tests/conformance/conformance.h"

/* ---- a fast and a slow side ------------------------------------------------------------- */

static uint64_t fast_rows;

static int count_rows(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    fast_rows += batch->count;
    return 0;
}

static const struct belt_sink counting = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "counting", .help = "for a test" },
    .batch = count_rows,
};

#define ROUNDS 20000

/* Two partitions of which one is slow: its backlog stops the other (103 messages a second both). */
Test(better, a_slow_batcher_does_not_stall_the_other, .timeout = 60)
{
    char yaml[800];
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: 'f,s', repeat: %d } }\n"
             "processor: { steps: [ { letter: {} },\n"
             "  { route: { field: letter, to: { f: fast, s: slow } } } ] }\n"
             "batchers: { fast: { size: 100, sink: counting },\n"
             "            slow: { size: 10000, hold: 16MiB, memory: 1MiB, sink: keep_all } }\n",
             ROUNDS);
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(&counting.part, yaml);
    fast_rows = 0;
    kept.hold = true; /* the slow side takes nothing at all */
    uint64_t now = 1;
    while (fast_rows < ROUNDS && now < 200000)
        cr_assert_geq(belt_pipeline_turn(p, now++ * MS, &err), 0, "%s", err.text);
    cr_assert_eq(fast_rows, ROUNDS, "%d only", (int)fast_rows);
    cr_assert_eq(totals_of(p).unsettled, ROUNDS);
    kept.hold = false;
    expect_end(p);
    cr_assert_eq(kept.rows, ROUNDS);
    belt_pipeline_free(p);
}

/* ---- nothing is discarded ---------------------------------------------------------------- */

/* A producer's buffer keeps 10,000 messages; the others are discarded and only logged. */
Test(better, nothing_is_discarded_when_nobody_takes, .timeout = 60)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        acked_pipeline(NULL, "source: { acked: { words: 'a,b,c,d,e', repeat: 5000 } }\n"
                             "batcher: { size: 1000, memory: 1MiB, sink: keep_all }\n");
    kept.hold = true;
    for (uint64_t now = 1; now < 500; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * MS, &err), 0, "%s", err.text);
    kept.hold = false;
    expect_end(p);
    cr_assert_eq(kept.rows, 25000);
    cr_assert_eq(acks.done, 25000);
    belt_pipeline_free(p);
}

/* ---- rate -------------------------------------------------------------------------------- */

/* A window refilled by a timer lets twice the limit pass around its edge. */
Test(better, no_window_edge_lets_twice_as_much_pass, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: 'a', endless: true }, rate: { messages: 100, per: 1s } }\n");
    static uint64_t at[8000]; /* received by each half millisecond */
    for (uint64_t i = 0; i < 8000; i++) {
        cr_assert_geq(belt_pipeline_turn(p, 1000 * MS + i * MS / 2, &err), 0, "%s", err.text);
        at[i] = totals_of(p).received;
        if (i >= 200) /* any tenth of a second */
            cr_assert_leq(at[i] - at[i - 200], 11, "%d at %d", (int)(at[i] - at[i - 200]), (int)i);
    }
    cr_assert_geq(at[7999], 395);
    belt_pipeline_free(p);
}

/* ---- order, keys, ends ------------------------------------------------------------------ */

/* Across processors there is no order. */
Test(better, order_is_kept_over_all_processors, .timeout = 30)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'a,b,c', repeat: 5000 } }\n"
                                          "processor: { concurrency: 3 }\n"
                                          "batcher: { size: 30000, sink: keep_all }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    const char *all = rows();
    for (size_t i = 0; i < 15000; i++)
        cr_assert_eq(all[2 * i], "abc"[i % 3], "row %d", (int)i);
    belt_pipeline_free(p);
}

static unsigned seen_by[128]; /* by the key's letter: instances, a bit each */

static int note_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)err;
    *(uint32_t *)state = in->index;
    return 0;
}

static int note_key(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)err;
    seen_by[batch->key[0] & 127] |= 1u << *(uint32_t *)state;
    return 0;
}

static const struct belt_sink noting_keys = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "noting_keys",
              .help = "for a test",
              .state_size = sizeof(uint32_t),
              .init = note_init },
    .batch = note_key,
};

/* A batch key does not pin a batch processor, though its documentation says so. */
Test(better, a_key_stays_with_one_instance_of_its_batcher)
{
    memset(seen_by, 0, sizeof seen_by);
    struct belt_pipeline *p = pipeline_with(
        &noting_keys.part, "source: { say: { words: 'a,b,c,d,e,f,g,h', repeat: 50 } }\n"
                           "processor: { steps: [ letter: {} ] }\n"
                           "batcher: { key: letter, size: 5, concurrency: 3,\n"
                           "           sink: noting_keys }\n");
    end_and_free(p);
    unsigned all = 0;
    for (int key = 'a'; key <= 'h'; key++) {
        cr_assert_eq(__builtin_popcount(seen_by[key]), 1, "key %c", key);
        all |= seen_by[key];
    }
    cr_assert_neq(all & (all - 1), 0, "more than one instance worked");
}

/* Open batches are outside of demand: 1,000 keys held 9,000 messages with max_demand 10. */
Test(better, open_batches_are_bounded_by_memory, .timeout = 60)
{
    struct belt_error err = { 0 };
    char yaml[3000] = "source: { say: { words: '", *at = yaml + strlen(yaml);
    for (int i = 0; i < 260; i++)
        at += sprintf(at, "%s%c%d", i ? "," : "", 'a' + i % 26, i);
    sprintf(at, "', repeat: 400 } }\n"
                "processor: { steps: [ letter: {} ] }\n"
                "batcher: { key: letter, size: 1000000, timeout: 1h, memory: 1MiB,\n"
                "           sink: 'null' }\n");
    struct belt_pipeline *p = pipeline_of(yaml);
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    expect_totals(p, 260 * 400, 0);
    cr_assert_gt(p->run->batchers[0][0].stage.stats.batches_pressure, 0);
    belt_pipeline_free(p);
}

/* A producer cannot say that there is nothing more: pipelines do not end by themselves. */
Test(better, a_finite_source_ends_the_run)
{
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,b,c' }\n"
                                          "batcher: { size: 100, timeout: 1h, sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[e:a|b|c|]");
    cr_assert(totals_of(p).complete);
    belt_pipeline_free(p);
}

/* ---- flush and cut ------------------------------------------------------------------------ */

static int flush_all(void *state, struct belt_view *view, uint32_t i)
{
    (void)state;
    belt_flush(view, i);
    return 0;
}

static const struct belt_step flush_step = STEP("flush", flush_all);

/* Only neighbours of one key leave together: keys a a b a b gave four batches. */
Test(better, a_flush_takes_all_of_its_key)
{
    struct belt_pipeline *p =
        pipeline_with(&flush_step.part, "source: { say: 'a1,a2,b1,a3,b2' }\n"
                                        "processor: { steps: [ { flush: {} }, { letter: {} } ] }\n"
                                        "batcher: { key: letter, sink: keep_all }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "a[f:a1|a2|a3|]b[f:b1|b2|]");
    belt_pipeline_free(p);
}

/* So many rows as the first one says; the state is kept in between. */
static bool cut_by_first(void *state, void *per_batch, const struct belt_batch *so_far,
                         const char *row, uint32_t size)
{
    int64_t *left = per_batch;
    (void)state, (void)size;
    cr_assert(so_far->count || !*left, "a new batch begins with zeros");
    if (!so_far->count)
        *left = row[0] - '0';
    return --*left <= 0;
}

static const struct belt_sink cutter = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "cutter", .help = "for a test" },
    .batch = keep_batch,
    .cut = cut_by_first,
};

/* The state that a splitter returns with `emit` is forgotten, though documented to be kept. */
Test(better, the_state_of_a_cut_is_what_the_documentation_says)
{
    struct belt_pipeline *p = pipeline_with(&cutter.part, "source: { say: '2,0,5,1,1,1,1,3,0' }\n"
                                                          "batcher: { sink: cutter }\n");
    expect_end(p);
    cr_assert_str_eq(kept.text, "[c:2|0|][c:5|1|1|1|1|][e:3|0|]");
    belt_pipeline_free(p);
}
