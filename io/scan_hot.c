/* The line scanners that want vectors: AVX2 compares 32 bytes at once, SSE2 16. */
#include "core/isa.h"
#include "io/scan_priv.h"

#if defined(__AVX2__)
#include <immintrin.h>

static inline struct belt_scan_mask block_mask(const char *text)
{
    const __m256i lf = _mm256_set1_epi8('\n'), cr = _mm256_set1_epi8('\r');
    const __m256i *at = (const void *)text, *before = (const void *)(text - 1);
    __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256(at), lf);
    __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256(at + 1), lf);
    __m256i low_cr = _mm256_and_si256(low, _mm256_cmpeq_epi8(_mm256_loadu_si256(before), cr));
    __m256i high_cr = _mm256_and_si256(high, _mm256_cmpeq_epi8(_mm256_loadu_si256(before + 1), cr));
    __m256i any_cr = _mm256_or_si256(low_cr, high_cr);
    return (struct belt_scan_mask){
        .newline = (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32 |
                   (uint32_t)_mm256_movemask_epi8(low),
        .after_cr = !_mm256_testz_si256(any_cr, any_cr),
    };
}

#elif defined(__SSE2__)
#include <emmintrin.h>

static inline struct belt_scan_mask block_mask(const char *text)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    const __m128i *at = (const void *)text, *before = (const void *)(text - 1);
    __m128i any_cr = _mm_setzero_si128();
    uint64_t newline = 0;
    for (int i = 0; i < 4; i++) {
        __m128i hit = _mm_cmpeq_epi8(_mm_loadu_si128(at + i), lf);
        __m128i after = _mm_cmpeq_epi8(_mm_loadu_si128(before + i), cr);
        newline |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
        any_cr = _mm_or_si128(any_cr, _mm_and_si128(hit, after));
    }
    return (struct belt_scan_mask){ newline, (uint64_t)_mm_movemask_epi8(any_cr) };
}

#endif

uint32_t BELT_HOT(belt_scan)(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                             uint32_t room, uint32_t *next)
{
#if defined(__SSE2__)
    return belt_scan_blocks(block_mask, text, at, end, spans, room, next);
#else
    return belt_scan_swar(text, at, end, spans, room, next);
#endif
}
