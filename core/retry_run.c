/* Trying again, as a processor sees it. */
#include <string.h>

#include "core/hash_priv.h"
#include "core/run_priv.h"
#include "core/worker_priv.h"

#define NONE BELT_RETRY_NONE

static bool is_private(const struct belt_chain_stage *chain)
{
    return chain->frame == &chain->retry->frame;
}

/* ---- frames -------------------------------------------------------------------- */

bool belt_retry_may_take(struct belt_chain_stage *chain, struct belt_input_frame *frame)
{
    const struct belt_retry *r = chain->retry;
    uint64_t bytes = 0;
    if (!r->used)
        return true;
    chain->frame = frame;
    for (uint32_t i = 0; i < frame->count; i++)
        bytes += belt_chain_extent(chain, i).size;
    chain->frame = NULL;
    return r->used + frame->count <= r->count && r->held + bytes <= r->size;
}

/* A field of the source, or of a processor before this one, is known from the start. */
int belt_retry_keyed_step(const struct belt_spec *spec, const struct belt_processor_spec *p)
{
    int step = spec->retry_ordered > 0 ? spec->column_step[spec->retry_ordered] : 0;
    return step > p->first_step ? step - p->first_step : 0;
}

/* The next one may be in a frame with the first: where sources have steps of their own,
 * and in workers, a frame is of one source; a worker's has room for so many bytes. */
static bool is_alike(const struct belt_chain_stage *chain, uint64_t now, uint64_t bytes)
{
    const struct belt_engine_run *run = chain->stage.run;
    const struct belt_retry *r = chain->retry;
    if (!run->spec->transforms && !chain->worker)
        return true;
    uint32_t e = belt_retry_peek(r, now), first = r->origins[0].source;
    return e != NONE && r->entries[e].source == first &&
           (!chain->worker || bytes + r->entries[e].size <= r->fed.room);
}

struct belt_input_frame *belt_retry_frame(struct belt_chain_stage *chain, uint64_t now)
{
    struct belt_retry *r = chain->retry;
    struct belt_input_frame *frame = &r->frame;
    uint32_t e, count = 0;
    uint64_t bytes = 0;
    if (!r->used)
        return NULL;
    while (count < BELT_FRAME && (!count || is_alike(chain, now, bytes)) &&
           (e = belt_retry_take(r, now)) != NONE) {
        const struct belt_retry_entry *entry = &r->entries[e];
        r->in_hand[count] = e;
        r->tickets[count] = (struct belt_ticket){ entry->word, entry->bits };
        r->origins[count] = (struct belt_origin){ entry->place, entry->file, entry->source };
        r->tries[count] = (uint16_t)(entry->attempt < UINT16_MAX ? entry->attempt : UINT16_MAX);
        bytes += entry->size;
        frame->spans[count++] = (struct belt_span){ entry->at + entry->before, entry->payload };
    }
    frame->count = count;
    /* Rows of it go out with those of the chunk in work: its own may be long over. */
    frame->chunk = r->chunk;
    frame->base = (uint64_t)(r->arena - (const char *)chain->stage.run->region.base);
    return count ? frame : NULL;
}

void belt_retry_loaded(struct belt_chain_stage *chain)
{
    struct belt_retry *r = chain->retry;
    memset(chain->engine.keyed, chain->engine.keyed_step ? 0 : 0xff, sizeof chain->engine.keyed);
    if (!is_private(chain)) {
        r->chunk = chain->frame->chunk;
        return;
    }
    chain->sparse = r->tickets;
    chain->origins = r->origins;
    chain->engine.tries = r->tries;
    belt_count(&chain->stage.stats.retried, chain->frame->count);
}

bool belt_retry_done(struct belt_chain_stage *chain)
{
    struct belt_retry *r = chain->retry;
    if (!is_private(chain))
        return false;
    for (uint32_t i = 0; i < chain->frame->count; i++)
        if (r->in_hand[i] != NONE)
            belt_retry_remove(r, r->in_hand[i]);
    chain->engine.tries = NULL;
    chain->origins = NULL;
    return true;
}

/* ---- what became of messages --------------------------------------------------- */

/* Hash of the ordered field. Of the payload: as it came, a step may have changed it. */
static bool hash_of(const struct belt_chain_stage *chain, uint32_t i, uint32_t *hash)
{
    const struct belt_engine *engine = &chain->engine;
    const struct belt_column *c = &engine->columns[chain->retry->ordered];
    const char *base = c->base;
    struct belt_span span = { i * 8, 8 };
    if (!(engine->keyed[i / 64] >> (i % 64) & 1))
        return false;
    if (!chain->retry->ordered) {
        base = (const char *)chain->stage.run->region.base + chain->frame->base;
        span = chain->frame->spans[i];
    } else if (engine->types[chain->retry->ordered] == BELT_TEXT) {
        span = c->as.spans[i];
    } else {
        base = (const char *)c->as.numbers;
    }
    *hash = belt_hash(base + span.at, span.size);
    return true;
}

/* Of the private frame: has it failed for the last time? */
static bool fail_again(struct belt_chain_stage *chain, uint32_t i)
{
    struct belt_retry *r = chain->retry;
    uint32_t e = r->in_hand[i];
    struct belt_retry_entry *entry = &r->entries[e];
    if (entry->attempt + 1 >= r->attempts)
        return false;
    entry->attempt++;
    entry->word = chain->sparse[i].word;
    entry->bits = chain->sparse[i].bit;
    r->in_hand[i] = NONE;
    belt_retry_wait(r, e, chain->engine.view.now);
    return true;
}

/* Of a frame from upstream: into the store, if it may be or must. */
static bool keep(struct belt_chain_stage *chain, uint32_t i, bool failed)
{
    struct belt_retry *r = chain->retry;
    const struct belt_input_frame *frame = chain->frame;
    uint32_t hash = 0, first = NONE;
    bool keyed = r->ordered >= 0 && hash_of(chain, i, &hash);
    if (keyed)
        first = belt_retry_find(r, hash);
    if (!failed && first == NONE)
        return false;
    const char *base = (const char *)chain->stage.run->region.base + frame->base;
    struct belt_span whole = belt_chain_extent(chain, i);
    uint32_t e = belt_retry_add(r, base + whole.at, whole.size);
    if (e == NONE) /* longer than the whole store: there is no second attempt */
        return false;
    struct belt_origin origin = belt_chain_origin(chain, i);
    struct belt_retry_entry *entry = &r->entries[e];
    entry->before = frame->spans[i].at - whole.at;
    entry->payload = frame->spans[i].size;
    entry->word = chain->sparse[i].word;
    entry->bits = chain->sparse[i].bit;
    entry->place = origin.place;
    entry->file = origin.file;
    entry->source = origin.source;
    entry->hash = hash;
    entry->keyed = keyed;
    entry->attempt = failed;
    if (first != NONE)
        belt_retry_park(r, first, e);
    else
        belt_retry_wait(r, e, chain->engine.view.now);
    return true;
}

/* The message is in the store: this frame has nothing to do with it any more. */
static void take_out(struct belt_chain_stage *chain, uint32_t i)
{
    uint64_t bit = UINT64_C(1) << (i % 64);
    chain->sparse[i].bit = 0;
    chain->engine.live[i / 64] &= ~bit;
    chain->engine.failed[i / 64] &= ~bit;
}

static void sort_word(struct belt_chain_stage *chain, uint32_t w, uint64_t range)
{
    struct belt_engine *engine = &chain->engine;
    bool again = is_private(chain);
    /* What the source could not take whole will be no better the next time. */
    uint64_t failed = engine->failed[w] & range & ~chain->frame->failed[w];
    if (chain->result && chain->result->any_final) /* nor what workers died of */
        failed &= ~chain->result->final[w];
    uint64_t look = failed;
    if (chain->retry->ordered >= 0 && !again)
        look |= engine->live[w] & range;
    for (; look; look &= look - 1) {
        uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(look);
        bool has_failed = failed & look & -look;
        if (again ? fail_again(chain, i) : keep(chain, i, has_failed))
            take_out(chain, i);
    }
}

void belt_retry_sort(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    bool waits = chain->retry->ordered >= 0 && chain->retry->used;
    if (!chain->engine.any_failed && !waits)
        return;
    belt_chain_own_tickets(chain);
    for (uint32_t w = first / 64; w * 64 < end; w++)
        sort_word(chain, w, belt_range_mask(w, first, end));
}
