/* The stage behind a view: what became of each message of the frame in hand,
 * and the memory for the texts that steps make. One lane. */
#ifndef BELT_VIEW_PRIV_H
#define BELT_VIEW_PRIV_H

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/part.h"

#define BELT_ROOMS 2 /* texts kept over a pause move from one to the other */

struct belt_chain_stage;

struct belt_kids;
struct belt_origin;
struct belt_spec;

struct belt_engine {
    struct belt_view view;
    struct belt_kids *kids; /* where what is emitted goes, or NULL */
    uint32_t count;         /* messages of the frame */
    uint64_t live[BELT_WORDS], dropped[BELT_WORDS], failed[BELT_WORDS];
    uint64_t acked[BELT_WORDS]; /* when any_acked */
    bool any_failed, any_acked, any_flush, routed, any_also;
    const struct belt_spec *spec;      /* whose sources messages are of; NULL: of nobody's */
    const struct belt_origin *origins; /* in a worker: of each message; NULL: see `source` */
    bool any_option;
    uint8_t option[BELT_FRAME];     /* when any_option: the source's number, or 0 */
    bool any_held, hold_full;       /* hold_full: nothing could be held in this call of a step */
    uint64_t held[BELT_WORDS];      /* when any_held: not sorted yet */
    struct belt_chain_stage *chain; /* NULL in a worker */
    void *const *context;           /* the application's pointer; NULL in a worker */
    uint32_t source;                /* in the spec, that all messages of the frame are from */
    uint32_t file;                  /* in a worker, without origins: that they are all from */
    uint64_t heard, heard_ns;       /* in a worker: messages that `failed` was called for */
    int keyed_step;               /* 1 + the step after which the ordered field is known; 0: none */
    uint64_t keyed[BELT_WORDS];   /* messages for which it is */
    const uint16_t *tries;        /* how often each message has failed before; NULL: never */
    uint64_t flush[BELT_WORDS];   /* when any_flush */
    uint8_t batcher[BELT_FRAME];  /* when routed */
    uint16_t also[BELT_FRAME];    /* when any_also: a bit for each further batcher */
    char (*reasons)[BELT_REASON]; /* [BELT_FRAME]; pages are touched by failures only */
    struct belt_column columns[BELT_COLUMNS];
    uint64_t *storage[BELT_COLUMNS]; /* [BELT_FRAME] of 8 bytes each: ours */
    enum belt_type types[BELT_COLUMNS];
    char *rooms[BELT_ROOMS]; /* room_size bytes and BELT_PAD around */
    uint32_t room, room_size, room_used;
    uint32_t room_share; /* of room_size, for the step that runs */
    uint32_t reserve;    /* of room_size, for the frame's own payloads, and what of it */
    uint32_t moved;      /* was used: they move into the room with the first new one */
    uint32_t targets;    /* batchers that there are */
    int steps;           /* of the chain: each has an equal share */
};

/* The bits of word w that lie in [first, end). */
static inline uint64_t belt_range_mask(uint32_t w, uint32_t first, uint32_t end)
{
    uint32_t from = first > w * 64 ? first - w * 64 : 0;
    uint32_t to = end > w * 64 ? end - w * 64 : 0;
    uint64_t below_to = to >= 64 ? UINT64_MAX : (UINT64_C(1) << to) - 1;
    return from >= 64 ? 0 : below_to & (UINT64_MAX << from);
}

#if defined(__SSE2__)

/* Bit k: byte k of the 64 is `value`. */
static inline uint64_t belt_equal_mask(const uint8_t bytes[64], uint8_t value)
{
    const __m128i values = _mm_set1_epi8((char)value);
    uint64_t mask = 0;
    for (uint32_t k = 0; k < 64; k += 16) {
        __m128i some = _mm_loadu_si128((const void *)(bytes + k));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(some, values)) << k;
    }
    return mask;
}

#else

/* Bit k: byte k of the 64 is `value`. Eight at a time: a byte that differs keeps or
 * gets its highest bit, and the product collects the others' ones. */
static inline uint64_t belt_equal_mask(const uint8_t bytes[64], uint8_t value)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t mask = 0;
    for (uint32_t k = 0; k < 64; k += 8) {
        uint64_t differ;
        memcpy(&differ, bytes + k, sizeof differ);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        differ = __builtin_bswap64(differ);
#endif
        differ ^= value * UINT64_C(0x0101010101010101);
        uint64_t equal = ~(((differ & low) + low) | differ | low) >> 7;
        mask |= (equal * UINT64_C(0x0102040810204080) >> 56) << k;
    }
    return mask;
}

#endif

/* Byte k of the 64 becomes `value` where bit k is set. Eight at a time, without a loop over
 * bits: byte k of a product keeps bit k, and any bit in a byte becomes all of them. */
static inline void belt_put_mask(uint8_t bytes[64], uint64_t mask, uint8_t value)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    for (uint32_t k = 0; k < 64; k += 8) {
        uint64_t old, put = (mask >> k & 0xff) * each & UINT64_C(0x8040201008040201);
        put = ((put + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & each) * 0xff;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        put = __builtin_bswap64(put);
#endif
        memcpy(&old, bytes + k, sizeof old);
        old = (old & ~put) | (value * each & put);
        memcpy(bytes + k, &old, sizeof old);
    }
}

/* Bytes of one lane's memory for this; carved from `memory` by belt_engine_init. */
size_t belt_engine_size(int columns, uint32_t room_size);
void belt_engine_init(struct belt_engine *engine, const struct belt_column_info *columns, int count,
                      uint32_t room_size, int steps, char *memory);
/* A new frame: `spans` into `base`, `failed` already by the source. */
void belt_engine_load(struct belt_engine *engine, const char *base, struct belt_span *spans,
                      uint32_t count, const uint64_t failed[BELT_WORDS], const char *reason,
                      uint64_t now);
struct belt_result;
/* What a worker made of a frame of `count`, in place: `region` is where it is mapped here. */
void belt_engine_adopt(struct belt_engine *engine, const struct belt_result *result, char *region,
                       uint32_t count, uint64_t now);
/* Fresh room for the messages from `from` on: what the others made is forgotten. */
void belt_engine_fresh_room(struct belt_engine *engine, uint32_t from);

#endif
