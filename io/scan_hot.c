/* The line scanners that want vectors: AVX2 compares 32 bytes at once, SSE2 16. */
#include "core/isa.h"
#include "io/scan_priv.h"

#if defined(__AVX2__)
#include <immintrin.h>

static inline uint64_t block_mask(const char *text, belt_scan_cr *any)
{
    const __m256i lf = _mm256_set1_epi8('\n'), cr = _mm256_set1_epi8('\r');
    __m256i low = _mm256_loadu_si256((const void *)text);
    __m256i high = _mm256_loadu_si256((const void *)(text + 32));
    *any |= (belt_scan_cr)_mm256_or_si256(_mm256_cmpeq_epi8(low, cr), _mm256_cmpeq_epi8(high, cr));
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, lf)) << 32 |
           (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, lf));
}

static inline void spans_of(const uint32_t *starts, struct belt_span *spans, uint32_t count)
{
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256i at = _mm256_loadu_si256((const void *)(starts + i));
        __m256i next = _mm256_loadu_si256((const void *)(starts + i + 1));
        __m256i size = _mm256_sub_epi32(_mm256_sub_epi32(next, at), _mm256_set1_epi32(1));
        __m256i even = _mm256_unpacklo_epi32(at, size), odd = _mm256_unpackhi_epi32(at, size);
        _mm256_storeu_si256((void *)(spans + i), _mm256_permute2x128_si256(even, odd, 0x20));
        _mm256_storeu_si256((void *)(spans + i + 4), _mm256_permute2x128_si256(even, odd, 0x31));
    }
    belt_scan_spans(starts + i, spans + i, count - i);
}

#elif defined(__SSE2__)
#include <emmintrin.h>

static inline uint64_t block_mask(const char *text, belt_scan_cr *any)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    __m128i all = _mm_setzero_si128();
    uint64_t newline = 0;
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text + i);
        uint32_t hit = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, lf));
        newline |= (uint64_t)hit << (16 * i);
        all = _mm_or_si128(all, _mm_cmpeq_epi8(bytes, cr));
    }
    (*any)[0] |= (uint32_t)_mm_movemask_epi8(all);
    return newline;
}

#define spans_of belt_scan_spans

#endif

uint32_t BELT_HOT(belt_scan)(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                             uint32_t room, uint32_t *next)
{
#if defined(__SSE2__)
    return belt_scan_blocks(block_mask, spans_of, text, at, end, spans, room, next);
#else
    return belt_scan_swar(text, at, end, spans, room, next);
#endif
}
