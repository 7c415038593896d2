/* Rows of 64 messages at a time: room is asked for once, the format is called
 * once, and one run holds all tickets (a third of the time a row of 8 bytes). */
#include <string.h>

#include "core/partition_priv.h"
#include "core/run_priv.h"

struct word {
    struct belt_chain_stage *chain;
    const struct belt_outlet *outlet;
    const struct belt_view *view;
    uint32_t w;
    uint32_t hashes[64]; /* of the keys, when there are any */
    uint8_t edges[64];   /* the instance that each row goes to, when there are several */
};

static struct belt_span key_of(const struct word *word, uint32_t k)
{
    return word->view->columns[word->outlet->batcher->key].as.spans[word->w * 64 + k];
}

static uint32_t hash_keys(struct word *word, uint64_t mask)
{
    const char *base = word->view->columns[word->outlet->batcher->key].base;
    uint32_t bytes = 0;
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask);
        struct belt_span key = key_of(word, k);
        word->hashes[k] = belt_hash(base + key.at, key.size);
        bytes += key.size;
    }
    return bytes;
}

_Static_assert(BELT_INSTANCES <= 256, "an instance is a byte");

/* In locals: stores of bytes may be to anything, so that all else would be read again
 * for each row. */
static void choose_by_text(struct word *word, const struct belt_column *column, uint64_t mask)
{
    const struct belt_span *spans = column->as.spans + (size_t)word->w * 64;
    const char *base = column->base;
    uint32_t instances = word->outlet->active;
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask);
        uint32_t hash = belt_hash(base + spans[k].at, spans[k].size);
        word->edges[k] = (uint8_t)belt_edge_of(hash, instances);
    }
}

static void choose_edges(struct word *word, uint64_t mask)
{
    const struct belt_batcher_spec *to = word->outlet->batcher;
    if (to->partition >= 0 && to->columns[to->partition].type == BELT_TEXT) {
        choose_by_text(word, &word->view->columns[to->partition], mask);
        return;
    }
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask), hash = to->key >= 0 ? word->hashes[k] : 0;
        word->edges[k] =
            (uint8_t)belt_row_edge(word->chain, word->outlet, word->view, word->w * 64 + k, hash);
    }
}

static size_t bound_of(const struct word *word, uint64_t mask)
{
    const struct belt_format *format = word->outlet->format;
    const void *conf = word->outlet->batcher->format.conf;
    if (format->rows)
        return format->bounds(conf, word->view, word->w, mask);
    size_t bytes = 0;
    for (; mask; mask &= mask - 1)
        bytes += format->bound(conf, word->view, word->w * 64 + (uint32_t)__builtin_ctzll(mask));
    return bytes;
}

/* The bytes of the rows, whose places from `at` on go to rows[]. */
static size_t put_rows(const struct word *word, uint64_t mask, char *to, uint32_t at,
                       struct belt_span *rows)
{
    const struct belt_format *format = word->outlet->format;
    const void *conf = word->outlet->batcher->format.conf;
    if (format->rows)
        return format->rows(conf, word->view, word->w, mask, to, at, rows);
    size_t bytes = 0;
    for (; mask; mask &= mask - 1) {
        uint32_t i = word->w * 64 + (uint32_t)__builtin_ctzll(mask);
        size_t size = format->row(conf, word->view, i, to + bytes);
        *rows++ = (struct belt_span){ at + (uint32_t)bytes, (uint32_t)size };
        bytes += size;
    }
    return bytes;
}

static void put_keys(const struct word *word, uint64_t mask, struct belt_row_frame *frame,
                     uint32_t capacity, uint32_t first)
{
    const char *base = word->view->columns[word->outlet->batcher->key].base;
    frame->count = first;
    for (; mask; mask &= mask - 1, frame->count++) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask);
        struct belt_span key = key_of(word, k);
        belt_row_key(frame, capacity, base + key.at, key.size, word->hashes[k]);
    }
}

/* Those of the word that one edge takes, of at most `bound` bytes. False: no room for all
 * of them. */
static bool put_word(const struct word *word, struct belt_row_out *out, uint64_t mask, size_t bound,
                     uint32_t key_bytes)
{
    uint32_t count = (uint32_t)__builtin_popcountll(mask);
    if (bound + key_bytes > out->capacity)
        return false;
    struct belt_row_frame *frame = belt_row_out_rooms(out, count, (uint32_t)bound, key_bytes);
    if (!frame)
        return false;
    uint32_t first = frame->count;
    frame->bytes += (uint32_t)put_rows(word, mask, frame->data + frame->bytes, frame->bytes,
                                       frame->rows + first);
    if (word->outlet->batcher->key >= 0)
        put_keys(word, mask, frame, out->capacity, first);
    frame->count = first + count;
    frame->chunk = word->chain->frame->chunk;
    frame->runs[frame->runs_used++] = (struct belt_run){ word->chain->frame->word + word->w, mask };
    return true;
}

/* The first `most` of them. */
static uint64_t first_of(uint64_t mask, uint32_t most)
{
    uint64_t rest = mask;
    if ((uint32_t)__builtin_popcountll(mask) <= most)
        return mask;
    for (; most; most--)
        rest &= rest - 1;
    return mask & ~rest;
}

/* As put_word(), but over the end of a frame, which is filled. Those that are put. */
static uint64_t put_words(const struct word *word, struct belt_row_out *out, uint64_t mask,
                          size_t bound, uint32_t key_bytes)
{
    uint64_t rest = mask;
    while (rest) {
        uint64_t part = first_of(rest, belt_row_out_left(out));
        if (!put_word(word, out, part, bound, key_bytes))
            break;
        rest &= ~part;
    }
    return mask & ~rest;
}

bool belt_row_word(struct belt_chain_stage *chain, struct belt_outlet *outlet,
                   const struct belt_view *view, uint32_t w)
{
    struct word word; /* not all of it is used: zeroing its arrays was a tenth of the work */
    uint64_t *todo = &outlet->todo[w];
    /* Of one or two rows nothing is gained; those with tickets of their own, those that
     * may flush, and failed ones, whose columns lie apart, go one by one. */
    if (__builtin_popcountll(*todo) < 3 || chain->sparse || outlet->failed ||
        chain->engine.any_flush)
        return false;
    word.chain = chain;
    word.outlet = outlet;
    word.view = view;
    word.w = w;
    /* Of all rows, even where an edge takes a part: it is asked for once. */
    size_t bound = bound_of(&word, *todo);
    if (outlet->batcher->key < 0 && outlet->batcher->partition < 0) {
        struct belt_row_out *out = &outlet->outs[belt_outlet_edge(chain, outlet, 0)];
        *todo &= ~put_words(&word, out, *todo, bound, 0);
        return !*todo;
    }
    uint32_t key_bytes = outlet->batcher->key >= 0 ? hash_keys(&word, *todo) : 0;
    uint32_t instances = outlet->active;
    if (instances > 1)
        choose_edges(&word, *todo);
    for (uint32_t i = 0; i < instances && *todo; i++) {
        uint64_t mask = *todo & (instances > 1 ? belt_equal_mask(word.edges, (uint8_t)i) : *todo);
        *todo &= ~put_words(&word, &outlet->outs[i], mask, bound, key_bytes);
    }
    return !*todo;
}
