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

/* Lists of the bits that are set, from the lowest on, a byte each; by those of 8 bits. */
#define LIST1(list) (list), (list) << 8
#define LIST2(list) LIST1(list), LIST1((list) << 8 | 1)
#define LIST3(list) LIST2(list), LIST2((list) << 8 | 2)
#define LIST4(list) LIST3(list), LIST3((list) << 8 | 3)
#define LIST5(list) LIST4(list), LIST4((list) << 8 | 4)
#define LIST6(list) LIST5(list), LIST5((list) << 8 | 5)
#define LIST7(list) LIST6(list), LIST6((list) << 8 | 6)
#define LIST8(list) LIST7(list), LIST7((list) << 8 | 7)
static const uint64_t lists[256] = { LIST8(UINT64_C(0)) };

#define FOUND 0x80 /* added to a newline's place among 8 bytes */

/* For every 8 of 64 bytes the sum of FOUND + place of its newlines. */
static inline __m256i eight_sums(const char *text, belt_scan_cr *any)
{
    const __m256i lf = _mm256_set1_epi8('\n'), cr = _mm256_set1_epi8('\r');
    const __m256i places = _mm256_set1_epi64x((int64_t)UINT64_C(0x8786858483828180));
    const __m256i zero = _mm256_setzero_si256();
    __m256i low = _mm256_loadu_si256((const void *)text);
    __m256i high = _mm256_loadu_si256((const void *)(text + 32));
    *any |= (belt_scan_cr)_mm256_or_si256(_mm256_cmpeq_epi8(low, cr), _mm256_cmpeq_epi8(high, cr));
    low = _mm256_sad_epu8(_mm256_and_si256(_mm256_cmpeq_epi8(low, lf), places), zero);
    high = _mm256_sad_epu8(_mm256_and_si256(_mm256_cmpeq_epi8(high, lf), places), zero);
    __m256 both = _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high),
                                    _MM_SHUFFLE(2, 0, 2, 0));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(both), _MM_SHUFFLE(3, 1, 2, 0));
}

/* Starts of the lines behind these newlines, up to 8 numbers written; how many count. */
static inline uint32_t put_eight(uint32_t *to, __m256i sums, __m256i after)
{
    uint32_t found = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(sums, 24)));
    __m256i list = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)&lists[found]));
    __m256i starts = _mm256_add_epi32(sums, after);
    _mm256_storeu_si256((void *)to, _mm256_permutevar8x32_epi32(starts, list));
    return (uint32_t)__builtin_popcount(found);
}

/* Where hardly ever two newlines are among 8 bytes: eight groups of these at once, a third of
 * the instructions that single newlines take. */
static inline void take_eights(struct belt_scan_work *work)
{
    const char *text = work->text;
    uint32_t from = work->from, count = work->count, end = work->end, room = work->room;
    belt_scan_cr cr = work->cr;
    const __m256i next = _mm256_set1_epi32(64), several = _mm256_set1_epi32(0xf00);
    __m256i after = _mm256_setr_epi32(0, 8, 16, 24, 32, 40, 48, 56);
    after = _mm256_add_epi32(after, _mm256_set1_epi32((int)from + 1 - FOUND));
    for (; end - from >= 128 && count < room; from += 128) {
        uint32_t *to = work->starts + 1 + count;
        __m256i one = eight_sums(text + from, &cr), two = eight_sums(text + from + 64, &cr);
        uint32_t found = put_eight(to, one, after);
        after = _mm256_add_epi32(after, next);
        found += put_eight(to + found, two, after);
        after = _mm256_add_epi32(after, next);
        if (__builtin_expect(!_mm256_testz_si256(_mm256_or_si256(one, two), several), 0)) {
            uint32_t *all = belt_scan_put_all(to, from + 1, block_mask(text + from, &cr));
            all = belt_scan_put_all(all, from + 65, block_mask(text + from + 64, &cr));
            found = (uint32_t)(all - to);
        }
        count += found;
    }
    work->from = from;
    work->count = count;
    work->cr = cr;
}

static inline __attribute__((always_inline)) void many(struct belt_scan_work *work,
                                                       belt_scan_mask_fn *mask_of, uint32_t density)
{
    if (density > 1 && density <= 6)
        take_eights(work);
    else
        belt_scan_many(work, mask_of, density);
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

#define many belt_scan_many
#define spans_of belt_scan_spans

#endif

uint32_t BELT_HOT(belt_scan)(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                             uint32_t room, uint32_t *next)
{
#if defined(__SSE2__)
    return belt_scan_blocks(block_mask, many, spans_of, text, at, end, spans, room, next);
#else
    return belt_scan_swar(text, at, end, spans, room, next);
#endif
}
