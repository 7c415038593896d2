/* The loops of a fold, each over up to 64 messages: their keys, then their groups,
 * then the cells. One at a time, a message would wait for its cache misses and
 * for the stores of the one before; apart, those of many overlap. */
#include <string.h>

#include "core/aggregate_table_priv.h"
#include "core/isa.h"

#define NEAR_CACHE (64u << 10) /* bytes of groups */

/* Groups that do not fit the nearest cache are fetched before any is looked at. */
static inline bool is_far(const struct belt_agg *agg)
{
    return agg->used * agg->stride > NEAR_CACHE;
}

#ifdef __AVX2__
#include <immintrin.h>

/* Meaningless for texts that fit no line, except that all of it may be read. */
static inline __m256i text_line(const char *text, const uint32_t *size)
{
    const __m256i place =
        _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    __m256i fill = _mm256_set1_epi8((char)*size);
    return _mm256_blendv_epi8(fill, _mm256_loadu_si256((const void *)text),
                              _mm256_cmpgt_epi8(fill, place));
}

struct seeds {
    __m256i seed, factor; /* apart from the table, whose stores could change it */
};

static inline struct seeds seeds_of(const struct belt_agg *agg)
{
    return (struct seeds){ _mm256_load_si256((const void *)agg->seed),
                           _mm256_set1_epi64x(agg->factor) };
}

/* belt_agg_hash_line() of four lines. */
static inline __m256i hash_four(struct seeds seeds, const __m256i line[4])
{
    __m256i product[4];
    for (int i = 0; i < 4; i++) {
        __m256i sum = _mm256_add_epi32(line[i], seeds.seed);
        product[i] = _mm256_mul_epu32(sum, _mm256_srli_epi64(sum, 32));
    }
    __m256i ab = _mm256_add_epi64(_mm256_unpacklo_epi64(product[0], product[1]),
                                  _mm256_unpackhi_epi64(product[0], product[1]));
    __m256i cd = _mm256_add_epi64(_mm256_unpacklo_epi64(product[2], product[3]),
                                  _mm256_unpackhi_epi64(product[2], product[3]));
    __m256i sum = _mm256_add_epi64(_mm256_permute2x128_si256(ab, cd, 0x20),
                                   _mm256_permute2x128_si256(ab, cd, 0x31));
    sum = _mm256_xor_si256(sum, _mm256_srli_epi64(sum, 32));
    sum = _mm256_mul_epu32(sum, seeds.factor);
    return _mm256_srli_epi64(sum, 32);
}

struct places {
    __m256i slots, mask, stride;
    bool fetch;
};

static inline struct places places_of(const struct belt_agg *agg)
{
    return (struct places){ _mm256_set1_epi64x((int64_t)(uintptr_t)agg->slots),
                            _mm256_set1_epi64x((int64_t)agg->mask),
                            _mm256_set1_epi64x((int64_t)agg->stride), is_far(agg) };
}

/* Hashes and groups of four lines from k on. */
static inline void place_four(struct belt_agg_block *block, size_t k, struct places places,
                              __m256i hashes)
{
    __m256i slot = _mm256_and_si256(hashes, places.mask);
    __m256i groups = _mm256_add_epi64(places.slots, _mm256_mul_epu32(slot, places.stride));
    _mm256_store_si256((void *)&block->hashes[k], hashes);
    _mm256_storeu_si256((void *)&block->groups[k], groups);
    for (size_t i = 0; places.fetch && i < 4; i++)
        __builtin_prefetch(block->groups[k + i], 1);
}

/* Bit k: text k fits no line. */
static inline __attribute__((always_inline)) uint64_t lines_by(struct belt_agg *agg,
                                                               const char *base,
                                                               const struct belt_span *spans,
                                                               struct places places)
{
    const struct seeds seeds = seeds_of(agg);
    uint64_t unfit = 0;
    for (size_t k = 0, count = agg->block.count; k < count; k += 4) {
        __m256i line[4];
        __m256i size = _mm256_srli_epi64(_mm256_loadu_si256((const void *)&spans[k]), 32);
        __m256i less = _mm256_sub_epi64(size, _mm256_set1_epi64x(1)); /* negative: empty */
        __m256i more = _mm256_cmpgt_epi64(size, _mm256_set1_epi64x(BELT_AGG_INLINE));
        more = _mm256_or_si256(less, more);
        unfit |= (uint64_t)(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(more)) << k;
        for (size_t i = 0; i < 4; i++) {
            line[i] = text_line(base + spans[k + i].at, &spans[k + i].size);
            _mm256_store_si256((void *)&agg->block.keys[k + i], line[i]);
        }
        place_four(&agg->block, k, places, hash_four(seeds, line));
    }
    return unfit & (UINT64_MAX >> (BELT_AGG_BLOCK - agg->block.count));
}

static uint64_t text_keys(struct belt_agg *agg, const char *base, const struct belt_span *spans)
{
    struct places places = places_of(agg);
    bool fetch = places.fetch;
    places.fetch = true;
    if (fetch)
        return lines_by(agg, base, spans, places);
    places.fetch = false;
    return lines_by(agg, base, spans, places);
}

static void hash(struct belt_agg *agg)
{
    const struct seeds seeds = seeds_of(agg);
    const struct places places = places_of(agg);
    for (size_t k = 0, count = agg->block.count; k < count; k += 4) {
        __m256i line[4];
        memcpy(line, &agg->block.keys[k], sizeof line);
        place_four(&agg->block, k, places, hash_four(seeds, line));
    }
}
#else
static void hash(struct belt_agg *agg)
{
    struct belt_agg_block *block = &agg->block;
    bool fetch = is_far(agg);
    for (size_t k = 0, count = (block->count + 3u) & ~(size_t)3; k < count; k++) {
        block->hashes[k] = belt_agg_hash_line(agg, &block->keys[k]);
        block->groups[k] = belt_agg_slot(agg, block->hashes[k] & agg->mask);
        if (fetch)
            __builtin_prefetch(block->groups[k], 1);
    }
}

/* Read from byte 32 - n on: n zeros, then 0xff. */
static const uint64_t tail[8] = { 0, 0, 0, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };

static uint64_t text_keys(struct belt_agg *agg, const char *base, const struct belt_span *spans)
{
    uint64_t unfit = 0;
    for (size_t k = 0, count = agg->block.count; k < count; k++) {
        unfit |= (uint64_t)!belt_agg_fits_line(spans[k].size) << k;
        const char *text = base + spans[k].at;
        const char *mask = (const char *)tail + 32 - (spans[k].size & 31);
        uint64_t fill = (spans[k].size & 31) * UINT64_C(0x0101010101010101);
        for (uint32_t w = 0; w < 4; w++) {
            uint64_t bytes, drop;
            memcpy(&bytes, text + 8 * w, 8);
            memcpy(&drop, mask + 8 * w, 8);
            agg->block.keys[k].word[w] = (bytes & ~drop) | (fill & drop);
        }
    }
    hash(agg);
    return unfit;
}
#endif

/* Bit i: group i of four has key i. */
#ifdef __AVX2__
static inline bool all_same_four(struct belt_agg_group *const *groups,
                                 const union belt_agg_line *keys)
{
    __m256i differ[4];
    for (int i = 0; i < 4; i++)
        differ[i] = _mm256_xor_si256(_mm256_load_si256((const void *)groups[i]),
                                     _mm256_load_si256((const void *)&keys[i]));
    __m256i ab = _mm256_or_si256(differ[0], differ[1]), cd = _mm256_or_si256(differ[2], differ[3]);
    __m256i any = _mm256_or_si256(ab, cd);
    return _mm256_testz_si256(any, any);
}

static inline uint32_t same_four(struct belt_agg_group *const *groups,
                                 const union belt_agg_line *keys)
{
    __m256i same[4];
    for (int i = 0; i < 4; i++)
        same[i] = _mm256_cmpeq_epi64(_mm256_load_si256((const void *)groups[i]),
                                     _mm256_load_si256((const void *)&keys[i]));
    __m256i ab = _mm256_packs_epi32(same[0], same[1]), cd = _mm256_packs_epi32(same[2], same[3]);
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(ab, cd));
    bits &= bits >> 16; /* now 4 bits for each key, which go by twos */
    bits &= bits >> 2;
    return ((bits & 0x1111) * 0x1248) >> 12 & 15;
}
#else
static inline bool all_same_four(struct belt_agg_group *const *groups,
                                 const union belt_agg_line *keys)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < 4; i++)
        for (int w = 0; w < 4; w++)
            differ |= groups[i]->key.word[w] ^ keys[i].word[w];
    return !differ;
}

static inline uint32_t same_four(struct belt_agg_group *const *groups,
                                 const union belt_agg_line *keys)
{
    uint32_t same = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint64_t *a = groups[i]->key.word, *b = keys[i].word;
        uint64_t differ = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);
        same |= (uint32_t)!differ << i;
    }
    return same;
}
#endif

/* One branch for four keys, unless some of them are known not to be there. */
static uint64_t find(struct belt_agg *agg, uint64_t unfit)
{
    struct belt_agg_block *block = &agg->block;
    uint64_t missed = 0;
    for (size_t k = 0, count = block->count; k < count && !unfit; k += 4)
        if (!all_same_four(&block->groups[k], &block->keys[k]))
            missed |= (uint64_t)(same_four(&block->groups[k], &block->keys[k]) ^ 15) << k;
    for (size_t k = 0, count = block->count; k < count && unfit; k += 4)
        missed |= (uint64_t)(same_four(&block->groups[k], &block->keys[k]) ^ 15) << k;
    return (missed | unfit) & (UINT64_MAX >> (BELT_AGG_BLOCK - block->count));
}

#ifdef __AVX2__
static inline bool same64(const char *a, const char *b, size_t first, size_t second)
{
    __m256i x = _mm256_xor_si256(_mm256_loadu_si256((const void *)(a + first)),
                                 _mm256_loadu_si256((const void *)(b + first)));
    __m256i y = _mm256_xor_si256(_mm256_loadu_si256((const void *)(a + second)),
                                 _mm256_loadu_si256((const void *)(b + second)));
    x = _mm256_or_si256(x, y);
    return _mm256_testz_si256(x, x);
}
#else
static inline bool same64(const char *a, const char *b, size_t first, size_t second)
{
    return memcmp(a + first, b + first, 32) == 0 && memcmp(a + second, b + second, 32) == 0;
}
#endif

/* Both of 32 bytes at least; later pieces may overlap those before. */
static inline bool same_long(const char *a, const char *b, uint32_t size)
{
    bool same = true;
    for (uint32_t at = 0, last = size - 32; at < size; at += 64)
        same &= same64(a, b, at < last ? at : last, at + 32 < last ? at + 32 : last);
    return same;
}

/* Before find(), so that their slots are fetched meanwhile. */
static void hash_long(struct belt_agg *agg, const char *base, const struct belt_span *spans,
                      uint64_t which)
{
    for (; which; which &= which - 1) {
        size_t k = (size_t)__builtin_ctzll(which);
        uint64_t hash = belt_agg_hash_long(base + spans[k].at, spans[k].size, agg->seed);
        agg->block.hashes[k] = hash;
        agg->block.groups[k] = belt_agg_slot(agg, hash & agg->mask);
        agg->block.keys[k].word[3] = BELT_AGG_LONG | 1; /* no group has it */
        __builtin_prefetch(agg->block.groups[k], 1);
    }
}

/* Of those that find() could not tell. Twice over them: what one waits for is fetched
 * while the others are looked at. */
static uint64_t find_long(struct belt_agg *agg, const char *base, const struct belt_span *spans,
                          uint64_t which)
{
    struct belt_agg_block *block = &agg->block;
    uint64_t found = 0;
    for (uint64_t rest = which; rest; rest &= rest - 1) {
        size_t k = (size_t)__builtin_ctzll(rest);
        const uint64_t *word = block->groups[k]->key.word;
        if (word[0] != block->hashes[k] || word[2] != spans[k].size || word[3] != BELT_AGG_LONG)
            continue;
        __builtin_prefetch(agg->keys + word[1]);
        __builtin_prefetch(agg->keys + word[1] + 64);
        found |= rest & -rest;
    }
    for (uint64_t rest = found; rest; rest &= rest - 1) {
        size_t k = (size_t)__builtin_ctzll(rest);
        const char *key = agg->keys + block->groups[k]->key.word[1];
        if (spans[k].size < 32 || !same_long(key, base + spans[k].at, spans[k].size))
            found &= ~(rest & -rest);
    }
    return found;
}

static inline void add_one(struct belt_agg_cell *cell, int64_t value)
{
#ifdef __AVX2__
    const __m256i one = _mm256_setr_epi64x(0, 0, 0, 1), max = _mm256_setr_epi64x(0, -1, 0, 0);
    __m256i old = _mm256_load_si256((const void *)cell), new = _mm256_set1_epi64x(value);
    __m256i take = _mm256_xor_si256(_mm256_cmpgt_epi64(old, new), max);
    __m256i sums = _mm256_add_epi64(old, _mm256_blend_epi32(new, one, 0xc0));
    __m256i ends = _mm256_blendv_epi8(old, new, take);
    _mm256_store_si256((void *)cell, _mm256_blend_epi32(ends, sums, 0xf0));
#else
    cell->n.min = value < cell->n.min ? value : cell->n.min;
    cell->n.max = value > cell->n.max ? value : cell->n.max;
    cell->n.sum += (uint64_t)value;
    cell->count++;
#endif
}

static void add(struct belt_agg_block *block, size_t offset, const int64_t *values)
{
    for (size_t k = 0, count = block->count; k < count; k++)
        add_one((void *)((char *)block->groups[k] + offset), values[k]);
}

/* NaN is no end as long as there is a number: it replaces only another NaN. */
static inline void add_float(struct belt_agg_cell *cell, struct belt_agg_more *more, double value)
{
    if (value < cell->f.min || cell->f.min != cell->f.min)
        cell->f.min = value;
    if (value > cell->f.max || cell->f.max != cell->f.max)
        cell->f.max = value;
    double sum = cell->f.sum + value; /* Neumaier: what the addition loses is kept */
    more->f.lost += __builtin_fabs(value) > __builtin_fabs(cell->f.sum)
                        ? (value - sum) + cell->f.sum
                        : (cell->f.sum - sum) + value;
    cell->f.sum = sum;
    cell->count++;
}

static void add_floats(struct belt_agg_block *block, size_t offset, size_t more,
                       const double *values)
{
    for (size_t k = 0, count = block->count; k < count; k++) {
        char *group = (char *)block->groups[k];
        add_float((void *)(group + offset), (void *)(group + more), values[k]);
    }
}

static void add_apart(struct belt_agg_block *block, size_t offset, size_t more,
                      const double *values)
{
    for (size_t k = 0, count = block->count; k < count; k++) {
        char *group = (char *)block->groups[k];
        struct belt_agg_cell *cell = (void *)(group + offset);
        struct belt_agg_more *rest = (void *)(group + more);
        add_float(cell, rest, values[k]);
        double from = values[k] - rest->f.mean;
        rest->f.mean += from / (double)cell->count;
        rest->f.apart += from * (values[k] - rest->f.mean);
    }
}

static void add_squares(struct belt_agg_block *block, size_t more, const int64_t *values)
{
    for (size_t k = 0, count = block->count; k < count; k++) {
        struct belt_agg_more *rest = (void *)((char *)block->groups[k] + more);
        unsigned __int128 square = (unsigned __int128)((__int128)values[k] * values[k]);
        unsigned __int128 low = square + rest->square[0], high = (low >> 64) + rest->square[1];
        rest->square[0] = (uint64_t)low;
        rest->square[1] = (uint64_t)high;
        rest->square[2] += (uint64_t)(high >> 64);
    }
}

static uint64_t bound(const int64_t *values, uint32_t count)
{
    uint64_t bits = 0;
    for (size_t k = 0; k < count; k++)
        bits |= (uint64_t)(values[k] ^ values[k] >> 63); /* ~value of a negative one */
    return bits + 1;
}

void BELT_HOT(belt_agg_hot)(struct belt_agg_hot *hot)
{
    *hot = (struct belt_agg_hot){ text_keys, hash,       hash_long, find,        find_long,
                                  add,       add_floats, add_apart, add_squares, bound };
}
