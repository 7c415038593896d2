/* Records of CSV, 64 bytes at a time. While quotes stand where they belong (one
 * that opens follows a delimiter, a newline, or the quote it doubles) a byte is
 * within quotes just when an odd number of them lies before it; a block in which
 * one stands elsewhere is gone through byte by byte. */
#include "core/isa.h"
#include "io/records_priv.h"
#include "io/scan_priv.h"

#if defined(__AVX2__)
#include <immintrin.h>

static inline uint64_t find(const char *text, char byte)
{
    const __m256i all = _mm256_set1_epi8(byte), *at = (const void *)text;
    __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256(at), all);
    __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256(at + 1), all);
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32 |
           (uint32_t)_mm256_movemask_epi8(low);
}

#elif defined(__SSE2__)
#include <emmintrin.h>

static inline uint64_t find(const char *text, char byte)
{
    const __m128i all = _mm_set1_epi8(byte), *at = (const void *)text;
    uint64_t hits = 0;
    for (int i = 0; i < 4; i++)
        hits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(at + i), all))
                << (16 * i);
    return hits;
}

#else

static inline uint64_t find(const char *text, char byte)
{
    uint64_t hits = 0;
    for (int i = 0; i < 64; i++)
        hits |= (uint64_t)(text[i] == byte) << i;
    return hits;
}

#endif

/* Bit i: the parity of bits 0 to i. */
static inline uint64_t parity(uint64_t bits)
{
    for (int by = 1; by < 64; by *= 2)
        bits ^= bits << by;
    return bits;
}

static inline bool opens_after(const struct belt_records *records, char byte)
{
    return byte == records->delimiter || byte == '\n' || byte == records->quote;
}

/* The exact way for `count` bytes. The newlines among them that end records. */
static __attribute__((noinline)) uint64_t by_bytes(const struct belt_records *records,
                                                   const char *text, uint32_t count,
                                                   enum belt_csv_state *state)
{
    uint64_t newline = 0;
    for (uint32_t i = 0; i < count; i++) {
        newline |= (uint64_t)(text[i] == '\n' && *state != BELT_CSV_QUOTED) << i;
        *state = belt_csv_next(records, *state, text[i]);
    }
    return newline;
}

/* Where a scan is. `opens`: a quote right here would open a field, or double the one
 * before; that can be told from the byte before, but behind a block with odd quotes. */
struct scan {
    uint64_t inside; /* all ones within quotes */
    bool exact, opens;
};

static inline bool may_open(const struct belt_records *records, const struct scan *scan,
                            const char *text)
{
    return scan->exact ? scan->opens : opens_after(records, text[-1]);
}

static void take_state(struct scan *scan, enum belt_csv_state state)
{
    *scan = (struct scan){ .inside = state == BELT_CSV_QUOTED ? UINT64_MAX : 0,
                           .exact = true,
                           .opens = state != BELT_CSV_PLAIN };
}

static enum belt_csv_state state_of(const struct belt_records *records, const struct scan *scan,
                                    const char *text)
{
    if (scan->inside)
        return BELT_CSV_QUOTED;
    return may_open(records, scan, text) ? BELT_CSV_OPEN : BELT_CSV_PLAIN;
}

/* A block with quotes, or within them. */
static inline uint64_t quoted(const struct belt_records *records, struct scan *scan,
                              const char *text, uint64_t newline, uint64_t quote, uint32_t count)
{
    uint64_t inside = parity(quote) ^ scan->inside, opening = quote & inside;
    if (opening) {
        uint64_t before = find(text, records->delimiter) | newline | quote;
        before = before << 1 | may_open(records, scan, text);
        if (opening & ~before) {
            enum belt_csv_state state = state_of(records, scan, text);
            newline = by_bytes(records, text, count, &state);
            take_state(scan, state);
            return newline;
        }
    }
    scan->inside = (uint64_t)((int64_t)inside >> 63);
    scan->exact = false;
    return newline & ~inside;
}

/* The newlines of the block at `from` that end records. */
static inline uint64_t ends(const struct belt_records *records, struct scan *scan, const char *text,
                            uint32_t from, uint32_t end)
{
    uint64_t valid = belt_scan_low(end - from);
    uint64_t newline = find(text + from, '\n') & valid;
    uint64_t quote = find(text + from, records->quote) & valid;
    if (records->quote == BELT_CSV_NO_QUOTE)
        quote = 0;
    if (quote | scan->inside)
        return quoted(records, scan, text + from, newline, quote,
                      end - from < 64 ? end - from : 64);
    scan->exact = false;
    return newline;
}

uint32_t BELT_HOT(belt_csv_scan)(const struct belt_records *records, struct belt_cut *cut,
                                 const char *text, uint32_t end, struct belt_span *spans,
                                 uint32_t room)
{
    uint32_t starts[1 + BELT_FRAME + 64], count = 0, from = cut->seen;
    uint64_t after_cr = 0;
    struct scan scan;
    take_state(&scan, cut->state);
    starts[0] = cut->at;
    for (; from < end && count < room; from += 64) {
        uint64_t newline = ends(records, &scan, text, from, end);
        if (!newline)
            continue;
        after_cr |= newline & find(text + from - 1, '\r');
        count += belt_scan_starts(from, newline, starts + 1 + count);
    }
    if (count < room) {
        cut->state = state_of(records, &scan, text + end);
        cut->seen = end;
    } else {
        count = room;
        cut->state = BELT_CSV_OPEN;
        cut->seen = starts[count];
    }
    cut->at = starts[count];
    belt_scan_spans(starts, spans, count);
    for (uint32_t i = 0; after_cr && i < count; i++)
        spans[i].size -= spans[i].size && text[spans[i].at + spans[i].size - 1] == '\r';
    return count;
}

bool BELT_HOT(belt_csv_skip)(const struct belt_records *records, struct belt_cut *cut,
                             const char *text, uint32_t end)
{
    uint32_t at = cut->at, longest = 64; /* newlines of one block are no further apart */
    struct scan scan;
    take_state(&scan, cut->state);
    for (uint32_t from = cut->seen; from < end; from += 64) {
        uint64_t newline = ends(records, &scan, text, from, end);
        if (!newline)
            continue;
        uint32_t size = from + (uint32_t)__builtin_ctzll(newline) - at;
        longest = size > longest ? size : longest;
        at = from + 64 - (uint32_t)__builtin_clzll(newline);
    }
    if (longest > records->limit)
        return false;
    cut->state = state_of(records, &scan, text + end);
    cut->seen = end;
    cut->at = at;
    return true;
}
