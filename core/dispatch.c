/* From a processor's columns to the batchers: dropped messages are settled,
 * aggregated ones folded, all others written as rows into the edge of their
 * batcher. Nothing waits: without room the rest stays in `todo`. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_priv.h"
#include "core/partition_priv.h"
#include "core/run_priv.h"

/* Settling whole words of many messages is what makes the ledger cheap: one
 * atomic per 64 (docs/decisions/001). */
static void settle_all(struct belt_chain_stage *chain, const uint64_t mask[BELT_WORDS])
{
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        belt_chain_settle_one(chain, w, mask[w], false);
}

static uint64_t count_bits(const uint64_t mask[BELT_WORDS])
{
    uint64_t n = 0;
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        n += (uint64_t)__builtin_popcountll(mask[w]);
    return n;
}

static struct belt_outlet *failed_outlet(struct belt_chain_stage *chain)
{
    struct belt_outlet *last = &chain->outlets[chain->outlets_used - 1];
    return chain->outlets_used && last->failed ? last : NULL;
}

/* ---- sorting messages ------------------------------------------------------- */

static int batchers_of(struct belt_chain_stage *chain)
{
    return chain->outlets_used - (failed_outlet(chain) ? 1 : 0);
}

/* The batchers that message i goes to, a bit each. */
static uint32_t targets_of(const struct belt_engine *engine, uint32_t i)
{
    uint32_t first = 1u << (engine->routed ? engine->batcher[i] : 0);
    return first | (engine->any_also ? engine->also[i] : 0);
}

/* What steps said is done; before anything else is decided about the message. */
static void settle_acked(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    belt_chain_own_tickets(chain);
    for (uint32_t w = first / 64; w < BELT_WORDS && w * 64 < end; w++) {
        uint64_t acked = chain->engine.acked[w] & belt_range_mask(w, first, end);
        if (!acked)
            continue;
        belt_chain_settle(chain, w, acked, false);
        belt_chain_disown(chain, w, acked);
    }
}

static bool join_message(struct belt_chain_stage *chain, uint32_t i)
{
    uint32_t children = chain->fanouts_used
                            ? chain->copies
                            : (uint32_t)__builtin_popcount(targets_of(&chain->engine, i));
    struct belt_ticket parent = chain->sparse[i];
    if (children < 2 || BELT_RUN_SOURCE(parent.word) == BELT_RUN_NOBODY)
        return true;
    struct belt_ticket join = belt_join_group(&chain->joins, children, parent);
    if (join.bit)
        chain->sparse[i] = join;
    return join.bit != 0;
}

/* Messages for several batchers. False: no join is free; the rest in a later turn. */
static bool join_live(struct belt_chain_stage *chain, uint32_t end)
{
    const uint64_t *live = chain->engine.live;
    belt_chain_own_tickets(chain);
    for (; chain->joined < end; chain->joined++) {
        uint32_t i = chain->joined;
        if ((live[i / 64] >> (i % 64) & 1) && !join_message(chain, i))
            break;
    }
    bool all = chain->joined == end;
    if (chain->pressing == all) {
        chain->pressing = !all;
        belt_run_press(chain->stage.run, !all);
    }
    return all;
}

static void sort_live(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    struct belt_engine *engine = &chain->engine;
    bool links = chain->fanouts_used && !chain->kids;
    int batchers = batchers_of(chain), sends = links || batchers;
    for (uint32_t w = first / 64; w < BELT_WORDS && w * 64 < end; w++) {
        uint64_t range = belt_range_mask(w, first, end);
        uint64_t live = engine->live[w] & range, dropped = engine->dropped[w] & range;
        belt_chain_settle(chain, w, sends ? dropped : dropped | live, false);
        belt_count(&chain->stage.stats.dropped, (uint64_t)__builtin_popcountll(dropped));
        if (links)
            belt_links_sort(chain, w, live);
        if (!batchers)
            continue;
        if (!engine->routed && !engine->any_also) {
            chain->outlets[0].todo[w] |= live;
            continue;
        }
        for (int o = 0; o < batchers && !engine->any_also; o++)
            chain->outlets[o].todo[w] |=
                live & belt_equal_mask(engine->batcher + (size_t)w * 64, (uint8_t)o);
        for (; engine->any_also && live; live &= live - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(live);
            for (uint32_t to = targets_of(engine, i); to; to &= to - 1)
                chain->outlets[__builtin_ctz(to)].todo[w] |= live & -live;
        }
    }
}

/* Messages that are in the table are settled, those that cannot be are failed. */
static void settle_folded(struct belt_chain_stage *chain, struct belt_outlet *out,
                          uint64_t folded[BELT_WORDS], const uint64_t refused[BELT_WORDS])
{
    for (uint32_t w = 0; w < BELT_WORDS; w++) {
        folded[w] &= ~(refused[w] | out->todo[w]);
        for (uint64_t rest = refused[w]; rest; rest &= rest - 1)
            belt_dispatch_fail(chain, out, w * 64 + (uint32_t)__builtin_ctzll(rest),
                               "group key longer than 65535 bytes");
    }
    belt_count(&chain->stage.stats.folded, count_bits(folded));
    settle_all(chain, folded);
}

/* One frame of partial results; false: no room. */
static bool pack_frame(struct belt_outlet *outlet, bool epoch)
{
    struct belt_row_out *out = &outlet->outs[0];
    struct belt_row_frame *frame = belt_row_out_room(out, out->capacity, 0);
    if (!frame)
        return false;
    frame->bytes = (uint32_t)belt_agg_pack(outlet->partial, &outlet->packed, frame->data,
                                           out->capacity, frame->rows, BELT_FRAME, &frame->count);
    bool last = epoch && outlet->packed == UINT64_MAX;
    return belt_row_out_flush(out, BELT_EPOCH * last, 0, outlet->epoch);
}

/* All of the table, or (`epoch`) the last of an epoch; it is empty then. False: no room. */
static bool send_table(struct belt_outlet *outlet, bool epoch)
{
    if (!outlet->packing)
        outlet->packed = 0;
    outlet->packing = true;
    while (outlet->packed != UINT64_MAX)
        if (!pack_frame(outlet, epoch))
            return false;
    outlet->packing = false;
    belt_agg_clear(outlet->partial);
    return true;
}

/* 1: all folded. 0: a full table is to be emitted, and there is no room for it. */
static int fold(struct belt_chain_stage *chain, struct belt_outlet *out, struct belt_error *err)
{
    while (!out->packing || send_table(out, false)) {
        uint64_t refused[BELT_WORDS] = { 0 }, folded[BELT_WORDS];
        uint64_t spilled = belt_agg_spilled(out->partial);
        memcpy(folded, out->todo, sizeof folded);
        int rc = belt_agg_fold(out->partial, &chain->engine.view, out->todo, refused, err);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
        settle_folded(chain, out, folded, refused);
        spilled = belt_agg_spilled(out->partial) - spilled;
        if (spilled)
            belt_count(&chain->stage.stats.spilled, spilled);
        if (rc == 0)
            return 1;
        if (!send_table(out, false))
            return 0;
    }
    return 0;
}

static void remember_failure(struct belt_chain_stage *chain, uint32_t i)
{
    belt_acks_reason(chain->stage.run, belt_chain_ticket(chain, i), chain->engine.reasons[i]);
    if (chain->failures_used == BELT_FAILURES)
        return;
    struct belt_failure_seen *seen = &chain->failures[chain->failures_used++];
    struct belt_origin origin = belt_chain_origin(chain, i);
    seen->chunk = chain->frame->chunk;
    seen->file = origin.file;
    seen->place = origin.place;
    seen->source = origin.source;
    memcpy(seen->reason, chain->engine.reasons[i], BELT_REASON);
}

static void count_failed(struct belt_chain_stage *chain, uint64_t count)
{
    belt_count(&chain->stage.stats.failed, count);
    belt_run_count_failed(chain->stage.run, count);
}

static void sort_failed(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    struct belt_engine *engine = &chain->engine;
    struct belt_outlet *out = failed_outlet(chain);
    uint64_t count = 0;
    for (uint32_t w = first / 64; w < BELT_WORDS && w * 64 < end; w++) {
        uint64_t failed = engine->failed[w] & belt_range_mask(w, first, end);
        count += (uint64_t)__builtin_popcountll(failed);
        for (uint64_t rest = failed; rest; rest &= rest - 1)
            remember_failure(chain, w * 64 + (uint32_t)__builtin_ctzll(rest));
        if (out)
            out->todo[w] |= failed;
        else
            belt_chain_settle(chain, w, failed, true);
    }
    count_failed(chain, count);
}

void belt_dispatch_fail_word(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                             uint32_t w, uint64_t mask, const char *reason)
{
    struct belt_outlet *failed = failed_outlet(chain);
    for (uint64_t rest = mask; rest; rest &= rest - 1) {
        uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
        belt_fail_message(&chain->engine.view, i, reason);
        remember_failure(chain, i);
    }
    count_failed(chain, (uint64_t)__builtin_popcountll(mask));
    /* One row in `failed` for a message, even when several of its rows failed. */
    uint64_t rows = failed && failed != outlet ? mask & ~failed->todo[w] : 0;
    if (rows)
        failed->todo[w] |= rows;
    if (mask & ~rows)
        belt_chain_settle_one(chain, w, mask & ~rows, true);
}

void belt_dispatch_fail(struct belt_chain_stage *chain, const struct belt_outlet *outlet,
                        uint32_t i, const char *reason)
{
    belt_dispatch_fail_word(chain, outlet, i / 64, UINT64_C(1) << (i % 64), reason);
}

int belt_dispatch_begin(struct belt_chain_stage *chain, struct belt_error *err)
{
    uint32_t first = chain->part.first, end = chain->part.end;
    if (chain->engine.any_held)
        belt_holds_sort(chain);
    if (chain->engine.any_option)
        belt_acks_sort(chain, first, end);
    if (chain->engine.any_acked)
        settle_acked(chain, first, end);
    if (chain->retry)
        belt_retry_sort(chain, first, end);
    if (chain->kids && !belt_kids_sort(chain))
        return 0;
    bool several =
        (chain->copies > 1 && !chain->kids) || (chain->engine.any_also && batchers_of(chain) > 1);
    if (several && !join_live(chain, end))
        return 0;
    chain->part.end = first;
    if (chain->engine.any_failed)
        sort_failed(chain, first, end);
    sort_live(chain, first, end);
    for (int o = 0; o < chain->outlets_used; o++)
        if (chain->outlets[o].partial) {
            int rc = fold(chain, &chain->outlets[o], err);
            if (rc < 0)
                return rc;
        }
    return 1; /* what is not folded is the first of the rows */
}

/* ---- writing rows ----------------------------------------------------------- */

/* The columns of `failed` (spec_batchers.c names them). */
static struct belt_view failed_view(struct belt_chain_stage *chain)
{
    struct belt_engine *engine = &chain->engine;
    struct belt_span *reasons = chain->failed_spans, *files = reasons + BELT_FRAME;
    int64_t *attempts = chain->failed_places + BELT_FRAME;
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        for (uint64_t rest = engine->failed[w]; rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
            reasons[i] =
                (struct belt_span){ i * BELT_REASON, (uint32_t)strlen(engine->reasons[i]) };
            chain->failed_places[i] = (int64_t)belt_chain_origin(chain, i).place;
            attempts[i] = 1 + (int64_t)belt_attempt(&engine->view, i);
        }
    struct belt_column *c = chain->failed_columns;
    c[BELT_FAILED_PAYLOAD] = engine->columns[0];
    c[BELT_FAILED_REASON] = (struct belt_column){ engine->reasons[0], { .spans = reasons } };
    c[BELT_FAILED_FILE] = (struct belt_column){ "", { .spans = files } };
    c[BELT_FAILED_PLACE] = (struct belt_column){ NULL, { .numbers = chain->failed_places } };
    c[BELT_FAILED_ATTEMPTS] = (struct belt_column){ NULL, { .numbers = attempts } };
    /* Of none: these spans stay empty. */
    c[BELT_FAILED_BATCHER] = (struct belt_column){ "", { .spans = files + BELT_FRAME } };
    struct belt_view view = engine->view;
    view.live = engine->failed;
    view.columns = c;
    view.columns_used = BELT_FAILED_COLUMNS;
    return view;
}

/* Each has the column `file` alone: names of several files have no common base. */
static void name_file(struct belt_chain_stage *chain, uint32_t i)
{
    struct belt_origin origin = belt_chain_origin(chain, i);
    const struct belt_use *use = &chain->stage.run->spec->sources[origin.source].use;
    const struct belt_source *source = (const struct belt_source *)(const void *)use->part;
    struct belt_column *column = &chain->failed_columns[BELT_FAILED_FILE];
    column->base = source->name ? source->name(use->conf, origin.file) : "";
    column->as.spans[i] = (struct belt_span){ 0, (uint32_t)strlen(column->base) };
}

/* False: no room now. A row that never fits fails its message. */
static bool write_row(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                      const struct belt_view *view, uint32_t i)
{
    const void *conf = outlet->batcher->format.conf;
    uint32_t key_size = 0, hash = 0;
    const char *key = "";
    if (outlet->batcher->key >= 0) {
        key = belt_text(view, outlet->batcher->key, i, &key_size);
        hash = belt_hash(key, key_size);
    }
    struct belt_row_out *out = &outlet->outs[belt_row_edge(chain, outlet, view, i, hash)];
    size_t bound = outlet->format->bound(conf, view, i);
    if (bound + key_size > out->capacity) {
        belt_dispatch_too_long(chain, outlet, i, bound + key_size);
        return true;
    }
    struct belt_row_frame *frame = belt_row_out_room(out, (uint32_t)bound, key_size);
    if (!frame)
        return belt_overflow_refuse(chain, outlet, i);
    frame->chunk = chain->frame->chunk;
    size_t size = outlet->format->row(conf, view, i, frame->data + frame->bytes);
    belt_row_key(frame, out->capacity, key, key_size, hash);
    struct belt_ticket ticket = belt_chain_take(chain, i);
    belt_row_add(frame, (uint32_t)size, ticket.word, ticket.bit);
    if (chain->engine.any_flush && (chain->engine.flush[i / 64] >> (i % 64) & 1))
        belt_row_flush(frame, outlet->batcher->key >= 0);
    return true;
}

void belt_dispatch_too_long(struct belt_chain_stage *chain, struct belt_outlet *outlet, uint32_t i,
                            size_t size)
{
    char reason[BELT_REASON];
    snprintf(reason, sizeof reason,
             "a row of %zu bytes is longer than %.80s takes: raise its memory", size,
             outlet->batcher->path);
    belt_dispatch_fail(chain, outlet, i, reason);
}

static bool write_rows(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                       const struct belt_view *view)
{
    for (uint32_t w = 0; w < BELT_WORDS; w++)
        while (outlet->todo[w] && !belt_row_word(chain, outlet, view, w)) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(outlet->todo[w]);
            if (outlet->failed)
                name_file(chain, i);
            if (!write_row(chain, outlet, view, i))
                return false;
            outlet->todo[w] &= ~(UINT64_C(1) << (i % 64));
        }
    return true;
}

/* Frames with rows that are to leave at once do not wait for more. */
static void send_flushes(struct belt_chain_stage *chain)
{
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++) {
            struct belt_row_out *out = &chain->outlets[o].outs[i];
            if (out->open && (out->open->flags & BELT_FLUSHES))
                belt_row_out_flush(out, 0, out->open->chunk, 0);
        }
}

int belt_dispatch_rows(struct belt_chain_stage *chain, struct belt_error *err)
{
    bool all = belt_links_write(chain);
    for (int o = 0; o < chain->outlets_used; o++) {
        struct belt_outlet *outlet = &chain->outlets[o];
        int rc = outlet->partial && count_bits(outlet->todo) ? fold(chain, outlet, err) : 1;
        if (rc < 0)
            return rc;
        all &= rc > 0;
        if (outlet->failed || outlet->partial)
            continue;
        all &= write_rows(chain, outlet, &chain->engine.view);
    }
    struct belt_outlet *failed = failed_outlet(chain);
    if (failed && chain->engine.any_failed) {
        struct belt_view view = failed_view(chain);
        all &= write_rows(chain, failed, &view);
    }
    if (chain->engine.any_flush)
        send_flushes(chain);
    return all;
}

/* ---- marks and partial results ---------------------------------------------- */

bool belt_dispatch_mark(struct belt_chain_stage *chain)
{
    const struct belt_input_frame *frame = chain->frame;
    if (!(frame->flags & BELT_LAST_OF_CHUNK))
        return true;
    if (!belt_links_mark(chain))
        return false;
    for (int o = 0; o < chain->outlets_used; o++) {
        struct belt_outlet *outlet = &chain->outlets[o];
        if (!outlet->batcher->ordered || outlet->partial)
            continue;
        for (; outlet->marked < outlet->batcher->instances; outlet->marked++)
            if (!belt_row_out_flush(&outlet->outs[outlet->marked], BELT_LAST_OF_CHUNK, frame->chunk,
                                    0))
                return false;
    }
    for (int o = 0; o < chain->outlets_used; o++)
        chain->outlets[o].marked = 0;
    return true;
}

void belt_dispatch_flush(struct belt_chain_stage *chain)
{
    for (int o = 0; o < chain->outlets_used; o++)
        for (uint32_t i = 0; i < chain->outlets[o].batcher->instances; i++) {
            struct belt_row_out *out = &chain->outlets[o].outs[i];
            if (out->open && !belt_row_out_held(out))
                chain->stage.lane->worked |= belt_row_out_flush(out, 0, out->open->chunk, 0);
        }
}

/* The last epoch of this aggregate that is over; each has a time of its own. */
static uint64_t epoch_over(const struct belt_outlet *outlet, uint64_t started, uint64_t now)
{
    uint64_t every = belt_agg_every(outlet->batcher->aggregate);
    return every && now > started ? (now - started) / every : 0;
}

/* 1: sent. 0: no room. */
static int send_partial(struct belt_outlet *outlet, uint64_t epoch, struct belt_error *err)
{
    while (outlet->packing || outlet->epoch < epoch) {
        int rc = outlet->packing ? 0 : belt_agg_finish(outlet->partial, err);
        if (rc < 0)
            return rc;
        if (!outlet->packing)
            outlet->epoch = epoch;
        if (!send_table(outlet, true))
            return 0;
    }
    return 1;
}

int belt_dispatch_partials(struct belt_chain_stage *chain, uint64_t now, bool ended,
                           struct belt_error *err)
{
    uint64_t started = chain->stage.run->started_ns;
    for (int o = 0; o < chain->outlets_used; o++) {
        struct belt_outlet *outlet = &chain->outlets[o];
        if (!outlet->partial)
            continue;
        int rc = send_partial(outlet, ended ? UINT64_MAX : epoch_over(outlet, started, now), err);
        if (rc <= 0)
            return rc;
    }
    return 1;
}
