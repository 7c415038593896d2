/* What a run's batchers hold: open batches, and the tables of aggregates. */
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "core/aggregate_priv.h"
#include "core/run_priv.h"
#include "numa/pin.h"

#define MOST_IN_FLIGHT 16
#define MOST_KEYS 16384

static int make_batches(struct belt_engine_run *run, struct belt_batcher_stage *b,
                        struct belt_error *err)
{
    struct belt_batches_conf conf = {
        .size = (uint32_t)b->spec->size,
        .bytes = b->spec->bytes,
        .timeout_ns = b->spec->timeout,
        .arena_bytes = b->spec->memory,
        .arena = b->arena,
        .max_keys = b->spec->key >= 0 ? MOST_KEYS : 1,
        .max_batches_in_flight = MOST_IN_FLIGHT,
        .owner = b,
        .name = b->spec->name,
        .partition = b->spec->partition >= 0 ? b->stage.index : BELT_NO_PARTITION,
        .user_bytes = b->sink->cut ? BELT_CUT_STATE : 0,
        .in_turn = b->spec->retry.attempts > 1 || b->spec->partition >= 0,
    };
    run->memory += belt_batches_footprint(&conf);
    int rc = belt_batches_new(&b->batches, &conf, err);
    if (rc == 0) {
        uint64_t size;
        void *arena = belt_batches_arena(b->batches, &size);
        belt_bind_memory(run->plan->topology, arena, size, belt_lane_node(run, b->stage.lane));
    }
    return rc;
}

static int make_tables(struct belt_engine_run *run, int o, struct belt_error *err)
{
    const struct belt_agg_spec *spec = run->spec->batchers[o].aggregate;
    uint64_t seed = 0;
    /* So that nobody can choose keys that meet. Early at boot there may be no entropy yet,
     * but the kernel has given this process 16 random bytes. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof seed);
    struct belt_batcher_stage *b = &run->batchers[o][0];
    struct belt_agg_conf conf = { .tables = 1 };
    for (uint32_t c = 0; c < run->chains_used; c++)
        conf.tables += !run->chains[c].processor->children;
    int rc = belt_agg_check(spec, conf.tables, err);
    if (rc == 0)
        rc = belt_agg_store_open(&b->store, spec, err);
    conf.store = b->store;
    if (rc == 0)
        rc = belt_agg_new(&b->total, spec, &conf, seed, err);
    for (uint32_t c = 0; rc == 0 && c < run->chains_used; c++)
        if (!run->chains[c].processor->children)
            rc = belt_agg_new(&run->chains[c].outlets[o].partial, spec, &conf, seed + c + 1, err);
    return rc;
}

int belt_run_fill(struct belt_engine_run *run, struct belt_error *err)
{
    for (int o = 0; o < run->batchers_used; o++) {
        for (uint32_t i = 0; i < run->spec->batchers[o].instances; i++) {
            int rc = make_batches(run, &run->batchers[o][i], err);
            if (rc < 0)
                return rc;
        }
        int rc = run->spec->batchers[o].aggregate ? make_tables(run, o, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int belt_run_set_batches(struct belt_engine_run *run, int batcher, uint32_t size, uint64_t bytes,
                         uint64_t timeout_ns, struct belt_error *err)
{
    int rc = 0;
    /* Instances have the same memory: the first one refuses what any would. */
    for (uint32_t i = 0; rc == 0 && i < run->spec->batchers[batcher].instances; i++)
        rc = belt_batches_set_limits(run->batchers[batcher][i].batches, size, bytes, timeout_ns,
                                     err);
    return rc;
}
