/* Needles in 32 bytes at a time: where they may begin, by a few of their bytes; then
 * what is there, compared. Of rows that lie one behind the other the bytes are gone
 * through once, across their ends, and a row that has one is left at once. */
#include <string.h>

#include "core/isa.h"
#include "steps/find_priv.h"
#include "steps/split_vec_priv.h"

enum { STEP = 32, VECS = STEP / sizeof(vec) };

/* Bit i: a needle may begin at p + i. Reads up to BELT_FIND_REACH behind the 32. */
typedef uint32_t maybe_fn(const struct belt_needles *needles, const char *p);
/* One is there, and ends before `end`. */
typedef bool is_there_fn(const struct belt_needles *needles, const char *p, const char *end);

static inline uint32_t maybe_one(const struct belt_needles *needles, const char *p)
{
    const vec first = v_all8(needles->byte[0]), second = v_all8(needles->byte[1]);
    const vec first_fold = v_all8(needles->byte_fold[0]);
    const vec second_fold = v_all8(needles->byte_fold[1]);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < VECS; i++) {
        const char *at = p + i * sizeof(vec);
        vec both = v_equal8(v_load(at + needles->at[0]) | first_fold, first) &
                   v_equal8(v_load(at + needles->at[1]) | second_fold, second);
        hits |= (uint32_t)V(movemask_epi8)(both) << (i * sizeof(vec) % 32);
    }
    return hits;
}

static inline uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* What is not among the first and the last 8 bytes. */
static bool is_middle(const struct belt_needle *needle, const char *p, bool fold)
{
    const char *bytes = needle->bytes;
    if (!fold)
        return memcmp(p + 8, bytes + 8, needle->size - 16) == 0;
    for (uint32_t i = 8; i + 8 < needle->size; i++) {
        bool letter = bytes[i] >= 'a' && bytes[i] <= 'z';
        if ((p[i] | (letter ? 0x20 : 0)) != bytes[i])
            return false;
    }
    return true;
}

/* Without a call up to 16 bytes: a library's memcmp() was half of the search's time
 * where every row has the needle's rare bytes. */
static inline bool is_it(const struct belt_needle *needle, const char *p, const char *end,
                         bool fold)
{
    const uint32_t size = needle->size;
    if ((size_t)(end - p) < size || ((load8(p) | needle->head_fold) & needle->mask) != needle->head)
        return false;
    if (size <= 8)
        return true;
    if ((load8(p + size - 8) | needle->tail_fold) != needle->tail)
        return false;
    return size <= 16 || is_middle(needle, p, fold);
}

static inline bool is_one_there(const struct belt_needles *needles, const char *p, const char *end)
{
    return is_it(&needles->needle[0], p, end, needles->fold);
}

static inline uint32_t maybe_one_or(const struct belt_needles *needles, const char *p)
{
    const vec first = v_all8(needles->byte[0]), second = v_all8(needles->byte[1]);
    const vec byte = v_all8(needles->or_byte);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < VECS; i++) {
        const char *at = p + i * sizeof(vec);
        vec both = v_equal8(v_load(at + needles->at[0]), first) &
                   v_equal8(v_load(at + needles->at[1]), second);
        vec any = both | v_equal8(v_load(at), byte);
        hits |= (uint32_t)V(movemask_epi8)(any) << (i * sizeof(vec) % 32);
    }
    return hits;
}

static inline bool is_one_or_there(const struct belt_needles *needles, const char *p,
                                   const char *end)
{
    return *p == needles->or_byte || is_one_there(needles, p, end);
}

static inline vec table(const uint8_t half[16])
{
#ifdef __AVX2__
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)half));
#else
    return _mm_loadu_si128((const void *)half);
#endif
}

static inline uint32_t maybe_many(const struct belt_needles *needles, const char *p)
{
    const vec low_half = v_all8(15);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < VECS; i++) {
        vec buckets = v_all8(-1);
        for (uint32_t k = 0; k < needles->looked_at; k++) {
            vec bytes = v_load(p + i * sizeof(vec) + k);
            vec high = v_right(bytes, 4) & low_half;
            buckets &= V(shuffle_epi8)(table(needles->low[k]), bytes & low_half) &
                       V(shuffle_epi8)(table(needles->high[k]), high);
        }
        uint32_t none = (uint32_t)V(movemask_epi8)(v_equal8(buckets, v_all8(0)));
        hits |= (uint32_t)(~none & (UINT64_MAX >> (64 - sizeof(vec)))) << (i * sizeof(vec) % 32);
    }
    return hits;
}

static inline bool is_any_there(const struct belt_needles *needles, const char *p, const char *end)
{
    uint32_t buckets = (1u << BELT_FIND_BUCKETS) - 1;
    for (uint32_t k = 0; k < needles->looked_at; k++) {
        unsigned char byte = (unsigned char)p[k];
        buckets &= needles->low[k][byte & 15] & needles->high[k][byte >> 4];
    }
    for (; buckets; buckets &= buckets - 1) {
        uint32_t b = (uint32_t)__builtin_ctz(buckets);
        for (uint32_t i = needles->first[b]; i < needles->first[b + 1]; i++)
            if (is_it(&needles->needle[i], p, end, needles->fold))
                return true;
    }
    return false;
}

/* The row in hand of those that lie one behind the other. */
struct walk {
    const char *base, *from, *to;
    const struct belt_span *spans;
    uint64_t rest; /* rows from the one in hand on */
};

static inline bool next_row(struct walk *walk, uint64_t rest)
{
    walk->rest = rest;
    if (!rest)
        return false;
    struct belt_span span = walk->spans[__builtin_ctzll(rest)];
    walk->from = walk->base + span.at;
    walk->to = walk->from + span.size;
    return true;
}

/* Goes through the bytes of rows in ascending order, and what is between them. */
static inline __attribute__((always_inline)) uint64_t across(maybe_fn *maybe, is_there_fn *is_there,
                                                             const struct belt_needles *needles,
                                                             struct walk walk, const char *end)
{
    const char *at = walk.from;
    uint64_t found = 0;
    while (at < end) {
        uint32_t hits = maybe(needles, at);
        while (hits) {
            const char *p = at + __builtin_ctz(hits);
            hits &= hits - 1;
            while (p >= walk.to)
                if (!next_row(&walk, walk.rest & (walk.rest - 1)))
                    return found;
            if (p < walk.from || !is_there(needles, p, walk.to))
                continue;
            found |= walk.rest & -walk.rest;
            if (!next_row(&walk, walk.rest & (walk.rest - 1)))
                return found;
            if (walk.from - at >= STEP) {
                at = walk.from - STEP;
                break;
            }
            if (walk.from > at)
                hits &= UINT32_MAX << (walk.from - at);
        }
        at += STEP;
    }
    return found;
}

/* One row's bytes alone. */
static inline __attribute__((always_inline)) bool within(maybe_fn *maybe, is_there_fn *is_there,
                                                         const struct belt_needles *needles,
                                                         const char *at, const char *end)
{
    for (; at < end; at += STEP)
        for (uint32_t hits = maybe(needles, at); hits; hits &= hits - 1) {
            const char *p = at + __builtin_ctz(hits);
            if (p >= end)
                return false;
            if (is_there(needles, p, end))
                return true;
        }
    return false;
}

/* Rows that ascend, and with no more between them than in them. */
static bool lie_together(const struct belt_span *spans, uint64_t rows)
{
    uint32_t first = spans[__builtin_ctzll(rows)].at, end = first;
    uint64_t bytes = 0;
    for (uint64_t rest = rows; rest; rest &= rest - 1) {
        struct belt_span span = spans[__builtin_ctzll(rest)];
        if (span.at < end)
            return false;
        end = span.at + span.size;
        bytes += span.size;
    }
    return end - first <= 2 * bytes;
}

static inline __attribute__((always_inline)) uint64_t find(maybe_fn *maybe, is_there_fn *is_there,
                                                           const struct belt_needles *needles,
                                                           const char *base,
                                                           const struct belt_span *spans,
                                                           uint64_t rows)
{
    uint64_t found = 0;
    if (rows && lie_together(spans, rows)) {
        struct walk walk = { .base = base, .spans = spans };
        struct belt_span last = spans[63 - __builtin_clzll(rows)];
        next_row(&walk, rows);
        return across(maybe, is_there, needles, walk, base + last.at + last.size);
    }
    for (; rows; rows &= rows - 1) {
        struct belt_span span = spans[__builtin_ctzll(rows)];
        const char *at = base + span.at;
        if (within(maybe, is_there, needles, at, at + span.size))
            found |= rows & -rows;
    }
    return found;
}

uint64_t BELT_HOT(belt_find_one)(const struct belt_needles *needles, const char *base,
                                 const struct belt_span *spans, uint64_t rows)
{
    return find(maybe_one, is_one_there, needles, base, spans, rows);
}

uint64_t BELT_HOT(belt_find_one_or)(const struct belt_needles *needles, const char *base,
                                    const struct belt_span *spans, uint64_t rows)
{
    return find(maybe_one_or, is_one_or_there, needles, base, spans, rows);
}

uint64_t BELT_HOT(belt_find_many)(const struct belt_needles *needles, const char *base,
                                  const struct belt_span *spans, uint64_t rows)
{
    return find(maybe_many, is_any_there, needles, base, spans, rows);
}
