/* Rows of 64 messages at a time: room is asked for once, the format is called
 * once, and one run holds all tickets (a third of the time a row of 8 bytes). */
#include <string.h>

#include "core/partition_priv.h"
#include "core/run_priv.h"
#include "core/spans_priv.h"

struct word {
    struct belt_chain_stage *chain;
    const struct belt_outlet *outlet;
    const struct belt_view *view;
    uint32_t w;
    uint32_t row_size;   /* of every row; 0: they differ, or their keys matter more */
    uint32_t hashes[64]; /* of the keys, when there are any */
    uint8_t tags[64];    /* a byte of each: 64 are compared at once */
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
        word->tags[k] = (uint8_t)(word->hashes[k] >> 24);
        bytes += key.size;
    }
    return bytes;
}

_Static_assert(BELT_INSTANCES <= 256, "an instance is a byte");

/* Rows of a key among 64, for which they are put together. */
#define WORTH_IT 4

static void choose_edges(struct word *word, uint64_t mask)
{
    const struct belt_batcher_spec *to = word->outlet->batcher;
    if (to->partition >= 0 && to->columns[to->partition].type == BELT_TEXT) {
        const struct belt_column *texts = &word->view->columns[to->partition];
        word->outlet->edges_of(texts->as.spans + (size_t)word->w * 64, texts->base, mask,
                               word->outlet->active, word->edges);
        return;
    }
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask), hash = to->key >= 0 ? word->hashes[k] : 0;
        word->edges[k] =
            (uint8_t)belt_row_edge(word->chain, word->outlet, word->view, word->w * 64 + k, hash);
    }
}

/* Rows with keys are looked at one by one: their places are listed in any case. */
static uint32_t size_of(const struct word *word, uint64_t mask)
{
    const struct belt_format *format = word->outlet->format;
    if (!format->even || word->outlet->batcher->key >= 0)
        return 0;
    return (uint32_t)format->even(word->outlet->batcher->format.conf, word->view, word->w, mask);
}

static size_t bound_of(const struct word *word, uint64_t mask)
{
    const struct belt_format *format = word->outlet->format;
    const void *conf = word->outlet->batcher->format.conf;
    if (word->row_size)
        return (size_t)word->row_size * (uint32_t)__builtin_popcountll(mask);
    if (format->rows)
        return format->bounds(conf, word->view, word->w, mask);
    size_t bytes = 0;
    for (; mask; mask &= mask - 1)
        bytes += format->bound(conf, word->view, word->w * 64 + (uint32_t)__builtin_ctzll(mask));
    return bytes;
}

/* The bytes of the rows, whose places from `at` on go to rows[], if that is not NULL. */
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

/* Rows of one key. */
static void put_key(const struct word *word, uint64_t group, struct belt_row_frame *frame,
                    uint32_t capacity, uint32_t first, uint32_t count)
{
    put_keys(word, group & -group, frame, capacity, first);
    for (uint32_t i = first + 1; i < first + count; i++) {
        frame->keys[i] = frame->keys[first];
        frame->hashes[i] = frame->hashes[first];
    }
}

/* Texts may be read beyond their ends, as any. */
static bool same_text(const char *a, const char *b, uint32_t size)
{
    uint64_t x, y;
    if (size > 8)
        return memcmp(a, b, size) == 0;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return !size || !((x ^ y) << (64 - 8 * size));
}

/* Those of `mask` that have the key of its first row. */
static uint64_t group_of(const struct word *word, uint64_t mask)
{
    const char *base = word->view->columns[word->outlet->batcher->key].base;
    uint32_t first = (uint32_t)__builtin_ctzll(mask);
    struct belt_span key = key_of(word, first);
    uint64_t group = belt_equal_mask(word->tags, word->tags[first]) & mask;
    for (uint64_t rest = group; rest; rest &= rest - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(rest);
        struct belt_span other = key_of(word, k);
        if (word->hashes[k] != word->hashes[first] || other.size != key.size ||
            !same_text(base + other.at, base + key.at, key.size))
            group &= ~(rest & -rest);
    }
    return group;
}

/* Where the places of the next rows go; NULL: all rows of the frame have their size. */
static struct belt_span *places_in(struct belt_row_frame *frame, uint32_t row_size)
{
    if (row_size && !frame->count)
        frame->row_size = row_size;
    if (row_size && frame->row_size == row_size)
        return NULL;
    belt_row_list(frame);
    return frame->rows + frame->count;
}

/* `one_key`: of all of them. */
static void put_group(const struct word *word, struct belt_row_out *out,
                      struct belt_row_frame *frame, uint64_t group, bool one_key)
{
    uint32_t first = frame->count, count = (uint32_t)__builtin_popcountll(group);
    struct belt_span *places = places_in(frame, word->row_size);
    frame->bytes +=
        (uint32_t)put_rows(word, group, frame->data + frame->bytes, frame->bytes, places);
    if (one_key)
        put_key(word, group, frame, out->capacity, first, count);
    else if (word->outlet->batcher->key >= 0)
        put_keys(word, group, frame, out->capacity, first);
    frame->count = first + count;
    frame->runs[frame->runs_used++] =
        (struct belt_run){ word->chain->frame->word + word->w, group };
}

/* Those of the word that one edge takes, of at most `bound` bytes. False: no room for all
 * of them. Rows of one key go together as long as some keys have many of 64: the batcher
 * then looks it up once and copies once. Between keys there is no order to keep: they
 * never meet in a batch. */
static bool put_word(const struct word *word, struct belt_row_out *out, uint64_t mask, size_t bound,
                     uint32_t key_bytes)
{
    uint32_t count = (uint32_t)__builtin_popcountll(mask);
    if (bound + key_bytes > out->capacity)
        return false;
    struct belt_row_frame *frame = belt_row_out_rooms(out, count, (uint32_t)bound, key_bytes);
    if (!frame)
        return false;
    frame->chunk = word->chain->frame->chunk;
    bool groups = word->outlet->batcher->key >= 0;
    for (uint64_t group; mask; mask &= ~group) {
        group = groups ? group_of(word, mask) : mask;
        groups = groups && __builtin_popcountll(group) >= WORTH_IT;
        group = groups ? group : mask;
        put_group(word, out, frame, group, groups);
    }
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
    word.row_size = size_of(&word, *todo);
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
