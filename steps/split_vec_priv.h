/* Vectors of 64-bit lanes under one name in both compilations of a hot file:
 * four lanes with AVX2, two with SSE4.2. The operators & | ^ ~ << + - are the
 * compiler's own for such vectors. */
#ifndef BELT_SPLIT_VEC_PRIV_H
#define BELT_SPLIT_VEC_PRIV_H

#include <immintrin.h>
#include <stdint.h>

#ifdef __AVX2__
#define LANES 4
#define V(operation) _mm256_##operation
typedef __m256i vec;
#else
#define LANES 2
#define V(operation) _mm_##operation
typedef __m128i vec;
#endif

static inline vec v_load(const void *p)
{
#ifdef __AVX2__
    return _mm256_loadu_si256(p);
#else
    return _mm_loadu_si128(p);
#endif
}

static inline void v_store(void *p, vec a)
{
#ifdef __AVX2__
    _mm256_storeu_si256(p, a);
#else
    _mm_storeu_si128(p, a);
#endif
}

static inline vec v_all8(char x)
{
    return V(set1_epi8)(x);
}

static inline vec v_all16(short x)
{
    return V(set1_epi16)(x);
}

static inline vec v_all32(int x)
{
    return V(set1_epi32)(x);
}

static inline vec v_all64(uint64_t x)
{
    return V(set1_epi64x)((long long)x);
}

/* All ones where equal. */
static inline vec v_equal8(vec a, vec b)
{
    return V(cmpeq_epi8)(a, b);
}

static inline vec v_equal64(vec a, vec b)
{
    return V(cmpeq_epi64)(a, b);
}

/* Bytes: not 0 where a > b, unsigned. */
static inline vec v_above8(vec a, vec b)
{
    return V(subs_epu8)(a, b);
}

static inline vec v_right(vec a, int bits)
{
    return V(srli_epi64)(a, bits);
}

/* Sums of neighbours, each times its weight: bytes to 16 bits, 16 to 32 bits. */
static inline vec v_pairs8(vec a, vec weights)
{
    return V(maddubs_epi16)(a, weights);
}

static inline vec v_pairs16(vec a, vec weights)
{
    return V(madd_epi16)(a, weights);
}

/* The low halves of the lanes, multiplied. */
static inline vec v_times32(vec a, vec b)
{
    return V(mul_epu32)(a, b);
}

/* Byte by byte. */
static inline vec v_minus8(vec a, vec b)
{
    return V(sub_epi8)(a, b);
}

/* The sum of each lane's bytes. */
static inline vec v_sum8(vec a)
{
    return V(sad_epu8)(a, v_all64(0));
}

/* The greater of each 32 bits, unsigned. */
static inline vec v_most32(vec a, vec b)
{
    return V(max_epu32)(a, b);
}

/* Lane k: 8 bytes at p[k]. */
static inline vec v_gather(const char *const p[LANES])
{
    __m128i low = _mm_loadl_epi64((const void *)p[0]), high = _mm_loadl_epi64((const void *)p[1]);
    low = _mm_unpacklo_epi64(low, high);
#ifdef __AVX2__
    __m128i third = _mm_loadl_epi64((const void *)p[2]), last = _mm_loadl_epi64((const void *)p[3]);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_unpacklo_epi64(third, last), 1);
#else
    return low;
#endif
}

/* Bit k: the highest bit of lane k. */
static inline uint32_t v_bits64(vec a)
{
#ifdef __AVX2__
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(a));
#else
    return (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(a));
#endif
}

/* Bit k: byte k of the 32 at p is `x`. */
static inline uint32_t v_find32(const char *p, vec x)
{
    uint32_t hits = (uint32_t)V(movemask_epi8)(v_equal8(v_load(p), x));
#ifndef __AVX2__
    hits |= (uint32_t)V(movemask_epi8)(v_equal8(v_load(p + 16), x)) << 16;
#endif
    return hits;
}

/* The high bytes of lane k, size[k] of them; none when that is 0 or above 8. */
static inline vec v_high_bytes64(vec size)
{
#ifdef __AVX2__
    return _mm256_sllv_epi64(v_all64(UINT64_MAX), v_all64(64) - (size << 3));
#else
    uint64_t first = (uint64_t)size[0], second = (uint64_t)size[1];
    return _mm_set_epi64x(second - 1 < 8 ? (long long)(UINT64_MAX << (64 - 8 * second)) : 0,
                          first - 1 < 8 ? (long long)(UINT64_MAX << (64 - 8 * first)) : 0);
#endif
}

/* The high size[k] bytes of lane k; none when a size is 0 or above 8. */
static inline vec v_high_bytes(const uint32_t *size)
{
#ifdef __AVX2__
    vec bits = _mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)size)) << 3;
    return _mm256_sllv_epi64(v_all64(UINT64_MAX), v_all64(64) - bits);
#else
    static const uint64_t high[10] = { [1] = UINT64_MAX << 56, UINT64_MAX << 48, UINT64_MAX << 40,
                                       UINT64_MAX << 32,       UINT64_MAX << 24, UINT64_MAX << 16,
                                       UINT64_MAX << 8,        UINT64_MAX };
    uint32_t first = size[0] < 9 ? size[0] : 9, second = size[1] < 9 ? size[1] : 9;
    return _mm_set_epi64x((long long)high[second], (long long)high[first]);
#endif
}

#endif
