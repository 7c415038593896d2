/* A source's instance that cannot go on is set up again, within its budget. */
#include <string.h>

#include "core/run_priv.h"

bool belt_source_may_restart(struct belt_source_stage *s, uint64_t now)
{
    const struct belt_restart_conf *conf = &s->spec->restart;
    if (!conf->max || s->stopping)
        return false;
    uint64_t *oldest = &s->restarts[s->restarts_used % conf->max];
    if (s->restarts_used >= conf->max && now - *oldest <= conf->within)
        return false;
    *oldest = now;
    s->restarts_used++;
    s->broken = true;
    s->due = now + conf->backoff;
    return true;
}

/* Its slabs are read until their frames are released; and whom it acknowledges to, only
 * the old one knows. */
static bool is_at_rest(const struct belt_source_stage *s)
{
    return s->on_way == 0 && (!belt_source_acks(s->spec) || s->ledger.low == s->ledger.next);
}

static void forget_slabs(struct belt_source_stage *s)
{
    memset(s->slab_frames, 0, s->in.slabs * sizeof *s->slab_frames);
    memset(s->slab_closed, 0, s->in.slabs * sizeof *s->slab_closed);
}

enum belt_turn belt_source_restart(struct belt_source_stage *s, uint64_t now,
                                   struct belt_error *err)
{
    const struct belt_use *use = &s->spec->use;
    if (!is_at_rest(s) || now < s->due)
        return BELT_TURN_IN;
    if (s->stage.inited && use->part->fini)
        use->part->fini(s->state, use->conf);
    memset(s->state, 0, use->part->state_size);
    forget_slabs(s);
    s->due = UINT64_MAX;
    belt_count(&s->stage.stats.restarts, 1);
    s->stage.inited = !use->part->init || use->part->init(s->state, use->conf, &s->in, err) == 0;
    s->broken = !s->stage.inited;
    if (s->broken && !belt_source_may_restart(s, now))
        return BELT_TURN_FAILED;
    return BELT_TURN_BUSY;
}
