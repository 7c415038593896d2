/* The hashes of 64 texts, most often short ones of one size. */
#include "core/row_edges_priv.h"

#include <string.h>

#include "core/isa.h"
#include "core/partition_priv.h"
#include "core/spans_priv.h"

/* In locals: stores of bytes may be to anything, so that all else would be read again for
 * each row. */
struct short_texts {
    const struct belt_span *spans;
    const char *base;
    uint64_t keep, seed; /* what is the same for all of one size from 1 to 7 */
    uint32_t instances;
};

/* belt_hash() of one of them. */
static inline uint8_t edge_of(const struct short_texts *texts, uint32_t k)
{
    uint64_t text;
    memcpy(&text, texts->base + texts->spans[k].at, sizeof text);
    return (uint8_t)belt_edge_of(belt_hash_end(texts->seed, text & texts->keep), texts->instances);
}

static inline void choose_short(struct short_texts texts, uint64_t mask, uint8_t edges[64])
{
    if (mask == UINT64_MAX) {
        for (uint32_t k = 0; k < 64; k++)
            edges[k] = edge_of(&texts, k);
        return;
    }
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask);
        edges[k] = edge_of(&texts, k);
    }
}

void BELT_HOT(belt_row_edges)(const struct belt_span *spans, const char *base, uint64_t mask,
                              uint32_t instances, uint8_t edges[64])
{
    uint32_t size = belt_spans_size(spans, mask);
    if (size && size < 8) {
        struct short_texts texts = { spans, base, ~(UINT64_MAX << 8 * size), BELT_HASH_SEED ^ size,
                                     instances };
        choose_short(texts, mask, edges);
        return;
    }
    for (; mask; mask &= mask - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(mask);
        uint32_t hash = belt_hash(base + spans[k].at, spans[k].size);
        edges[k] = (uint8_t)belt_edge_of(hash, instances);
    }
}
