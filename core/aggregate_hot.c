/* The loops of a fold, each over up to 64 messages: their keys, then their groups,
 * then the cells. One at a time, a message would wait for its cache misses and
 * for the stores of the one before; apart, those of many overlap. */
#include <string.h>

#include "core/aggregate_table_priv.h"
#include "core/isa.h"

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

/* Returns bits above 31 when a text fits no line. */
static inline uint64_t make_lines(struct belt_agg *agg, const char *base,
                                  const struct belt_span *spans)
{
    const struct seeds seeds = seeds_of(agg);
    __m256i bits = _mm256_setzero_si256();
    for (size_t k = 0, count = agg->block.count; k < count; k += 4) {
        __m256i line[4];
        __m256i size = _mm256_srli_epi64(_mm256_loadu_si256((const void *)&spans[k]), 32);
        __m256i less = _mm256_sub_epi64(size, _mm256_set1_epi64x(1));
        bits = _mm256_or_si256(bits, _mm256_or_si256(size, less));
        for (size_t i = 0; i < 4; i++) {
            line[i] = text_line(base + spans[k + i].at, &spans[k + i].size);
            _mm256_store_si256((void *)&agg->block.keys[k + i], line[i]);
        }
        _mm256_store_si256((void *)&agg->block.hashes[k], hash_four(seeds, line));
    }
    return (uint64_t)(bits[0] | bits[1] | bits[2] | bits[3]);
}

static void hash(struct belt_agg *agg)
{
    const struct seeds seeds = seeds_of(agg);
    for (size_t k = 0, count = agg->block.count; k < count; k += 4) {
        __m256i line[4];
        memcpy(line, &agg->block.keys[k], sizeof line);
        _mm256_store_si256((void *)&agg->block.hashes[k], hash_four(seeds, line));
    }
}
#else
static void hash(struct belt_agg *agg)
{
    for (size_t k = 0, count = agg->block.count; k < count; k++)
        agg->block.hashes[k] = belt_agg_hash_line(agg, &agg->block.keys[k]);
}

/* Read from byte 32 - n on: n zeros, then 0xff. */
static const uint64_t tail[8] = { 0, 0, 0, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };

static inline uint64_t make_lines(struct belt_agg *agg, const char *base,
                                  const struct belt_span *spans)
{
    uint64_t bits = 0;
    for (size_t k = 0, count = agg->block.count; k < count; k++) {
        bits |= spans[k].size | (spans[k].size - UINT64_C(1));
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
    return bits;
}
#endif

static uint64_t text_keys(struct belt_agg *agg, const char *base, const struct belt_span *spans)
{
    uint64_t bits = make_lines(agg, base, spans), unfit = 0;
    for (size_t k = 0; bits > BELT_AGG_INLINE && k < agg->block.count; k++)
        unfit |= (uint64_t)!belt_agg_fits_line(spans[k].size) << k;
    return unfit;
}

/* Bit i: group i of four has key i. */
#ifdef __AVX2__
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

static inline __attribute__((always_inline)) uint64_t find_by(struct belt_agg *agg, size_t stride)
{
    struct belt_agg_block *block = &agg->block;
    char *slots = agg->slots;
    uint64_t slot_mask = agg->mask, missed = 0;
    for (size_t k = 0, count = (block->count + 3u) & ~(size_t)3; k < count; k++)
        block->groups[k] = (void *)(slots + (block->hashes[k] & slot_mask) * stride);
    for (size_t k = 0, count = block->count; k < count; k += 4)
        missed |= (uint64_t)(same_four(&block->groups[k], &block->keys[k]) ^ 15) << k;
    return missed & (UINT64_MAX >> (BELT_AGG_BLOCK - block->count));
}

static uint64_t find(struct belt_agg *agg)
{
    if (agg->stride == 64)
        return find_by(agg, 64);
    return find_by(agg, agg->stride);
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
    *hot = (struct belt_agg_hot){ text_keys,  hash,      find,        add,
                                  add_floats, add_apart, add_squares, bound };
}
