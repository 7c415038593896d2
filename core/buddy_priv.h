/* A buddy allocator over memory that the caller owns: power-of-two blocks of at
 * least BELT_BUDDY_MIN bytes, eagerly merged, so what was given back is whole
 * again. Allocation and return are O(log size), never call the system, and use
 * one byte of tags per BELT_BUDDY_MIN bytes beside the arena. One thread. */
#ifndef BELT_BUDDY_PRIV_H
#define BELT_BUDDY_PRIV_H

#include <stddef.h>
#include <stdint.h>

#define BELT_BUDDY_MIN 256u
#define BELT_BUDDY_ORDERS 33 /* 256 B << 32 = 1 TiB */

struct belt_buddy_free; /* lies in the free block itself */

struct belt_buddy {
    char *arena;
    uint8_t *tags;  /* per unit: 0 inside a block, order + 1 free head, 128 + order + 1 used head */
    uint64_t units; /* of BELT_BUDDY_MIN bytes */
    uint64_t used;  /* bytes in blocks handed out, rounding included */
    uint64_t peak;
    uint64_t filled; /* bit k: free[k] is not empty */
    struct belt_buddy_free *free[BELT_BUDDY_ORDERS];
};

/* Bytes of tags that an arena of `size` bytes needs. */
uint64_t belt_buddy_tags(uint64_t size);
/* Both memories stay the caller's. `arena` is aligned to BELT_BUDDY_MIN; what is
 * left of `size` after the last whole unit is not used. */
void belt_buddy_init(struct belt_buddy *buddy, char *arena, uint64_t size, uint8_t *tags);
/* A block of at least `size` bytes, or NULL when no free block is big enough. */
void *belt_buddy_take(struct belt_buddy *buddy, uint64_t size);
void belt_buddy_give(struct belt_buddy *buddy, void *block);
/* What a request of `size` really takes: rounded up to a power of two. */
uint64_t belt_buddy_rounded(uint64_t size);
/* Size of a block handed out. */
uint64_t belt_buddy_size(const struct belt_buddy *buddy, const void *block);
/* The biggest block of an arena with nothing handed out. */
uint64_t belt_buddy_biggest(const struct belt_buddy *buddy);
/* 0, or the number of the first broken rule. */
int belt_buddy_check(const struct belt_buddy *buddy);

#endif
