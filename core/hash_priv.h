/* The hash of batch keys: decides the batcher instance and the table slot. The
 * same on every machine and in every run, so that a key keeps its instance. */
#ifndef BELT_HASH_PRIV_H
#define BELT_HASH_PRIV_H

#include <stdint.h>
#include <string.h>

static inline uint64_t belt_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define BELT_HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Of the 1 to 7 low bytes of `word`, which has zeros above them; `hash`: of what is before. */
static inline uint32_t belt_hash_end(uint64_t hash, uint64_t word)
{
    hash = belt_mix(hash ^ word, UINT64_C(0xa0761d6478bd642f));
    return (uint32_t)(hash ^ hash >> 32);
}

/* Reads up to BELT_PAD bytes behind the text, as any text allows. */
static inline uint32_t belt_hash(const char *bytes, uint32_t size)
{
    uint64_t hash = BELT_HASH_SEED ^ size, word;
    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = belt_mix(hash ^ word, UINT64_C(0xd6e8feb86659fd93));
    }
    if (!size)
        return (uint32_t)(hash ^ hash >> 32);
    /* Whole and masked: a copy of `size` bytes would be read back before its pieces
     * have reached the cache, which costs more than all else here (12 ns). */
    memcpy(&word, bytes, 8);
    word &= ~(UINT64_MAX << (8 * size));
    return belt_hash_end(hash, word);
}

#endif
