/* What a run does with the rows that wait beside its edges. */
#include <errno.h>
#include <unistd.h>

#include "core/telemetry_priv.h"

static int each_overflow(struct belt_chain_stage *chain,
                         int (*fn)(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                                   struct belt_row_out *out, struct belt_error *err),
                         struct belt_error *err)
{
    int rc = 0;
    for (int o = 0; chain->outlets && o < chain->outlets_used; o++) {
        struct belt_outlet *outlet = &chain->outlets[o];
        for (uint32_t i = 0; rc == 0 && outlet->outs && i < outlet->batcher->instances; i++)
            if (outlet->outs[i].over)
                rc = fn(chain, outlet, &outlet->outs[i], err);
    }
    return rc;
}

static int drain(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                 struct belt_row_out *out, struct belt_error *err)
{
    int rc = belt_overflow_drain(out, err);
    if (belt_wants(&chain->stage, BELT_WANT_OVERFLOW))
        belt_tell_overflow(chain, outlet, out->over);
    return rc;
}

int belt_overflow_serve(struct belt_chain_stage *chain, struct belt_error *err)
{
    return each_overflow(chain, drain, err);
}

bool belt_overflow_refuse(struct belt_chain_stage *chain, struct belt_outlet *outlet, uint32_t i)
{
    char reason[BELT_REASON];
    if (outlet->batcher->when_full != BELT_FULL_FAIL)
        return false;
    snprintf(reason, sizeof reason, "%s is behind, and what may wait for it is full",
             outlet->batcher->path);
    /* Another instance may have room for the next row; without one it is full for all. */
    bool others = outlet->batcher->instances > 1;
    uint64_t count = 0;
    for (uint32_t w = i / 64; w < (others ? i / 64 + 1 : BELT_WORDS); w++) {
        uint64_t rest = others ? UINT64_C(1) << (i % 64) : outlet->todo[w];
        outlet->todo[w] &= ~rest;
        count += (uint64_t)__builtin_popcountll(rest);
        if (rest)
            belt_dispatch_fail_word(chain, outlet, w, rest, reason);
    }
    if (belt_wants(&chain->stage, BELT_WANT(DISCARD)))
        belt_tell_discard(chain, outlet, count);
    return true;
}

static int start(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                 struct belt_row_out *out, struct belt_error *err)
{
    struct belt_engine_run *run = chain->stage.run;
    if (!out->over->filed.size)
        return 0;
    if (!run->spiller && !(run->spiller = belt_spiller_new(run->plan->topology)))
        return belt_error_set(err, -ENOMEM, "spill: out of memory");
    out->over->spiller = run->spiller;
    return belt_spill_open(out->over, outlet->batcher, err);
}

int belt_overflow_start(struct belt_engine_run *run, struct belt_error *err)
{
    int rc = 0;
    for (uint32_t c = 0; rc == 0 && c < run->chains_used; c++)
        rc = each_overflow(&run->chains[c], start, err);
    return rc == 0 && run->spiller && !run->plan->caller ? belt_spiller_start(run->spiller, err)
                                                         : rc;
}

static int stop(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                struct belt_row_out *out, struct belt_error *err)
{
    (void)chain, (void)outlet, (void)err;
    if (out->over->fd >= 0)
        close(out->over->fd);
    out->over->fd = -1;
    return 0;
}

void belt_overflow_stop(struct belt_engine_run *run)
{
    belt_spiller_free(run->spiller);
    run->spiller = NULL;
    for (uint32_t c = 0; run->chains && c < run->chains_used; c++)
        each_overflow(&run->chains[c], stop, NULL);
}
