#include "core/buddy_priv.h"

#include <assert.h>
#include <string.h>

#define USED 128u

struct belt_buddy_free {
    struct belt_buddy_free *next, *prev;
};

static unsigned order_of(uint64_t size)
{
    uint64_t units = (size + BELT_BUDDY_MIN - 1) / BELT_BUDDY_MIN;
    return units <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(units - 1);
}

static uint64_t unit_of(const struct belt_buddy *buddy, const void *block)
{
    return (uint64_t)((const char *)block - buddy->arena) / BELT_BUDDY_MIN;
}

static struct belt_buddy_free *block_at(const struct belt_buddy *buddy, uint64_t unit)
{
    return (void *)(buddy->arena + unit * BELT_BUDDY_MIN);
}

static void put_free(struct belt_buddy *buddy, uint64_t unit, unsigned order)
{
    struct belt_buddy_free *block = block_at(buddy, unit), *head = buddy->free[order];
    block->prev = NULL;
    block->next = head;
    if (head)
        head->prev = block;
    buddy->free[order] = block;
    buddy->filled |= 1ull << order;
    buddy->tags[unit] = (uint8_t)(order + 1);
}

static void cut_free(struct belt_buddy *buddy, struct belt_buddy_free *block, unsigned order)
{
    if (block->next)
        block->next->prev = block->prev;
    if (block->prev)
        block->prev->next = block->next;
    else
        buddy->free[order] = block->next;
    if (!buddy->free[order])
        buddy->filled &= ~(1ull << order);
    buddy->tags[unit_of(buddy, block)] = 0;
}

uint64_t belt_buddy_tags(uint64_t size)
{
    return size / BELT_BUDDY_MIN;
}

void belt_buddy_init(struct belt_buddy *buddy, char *arena, uint64_t size, uint8_t *tags)
{
    assert((uintptr_t)arena % BELT_BUDDY_MIN == 0);
    *buddy = (struct belt_buddy){ .arena = arena, .tags = tags, .units = size / BELT_BUDDY_MIN };
    memset(tags, 0, belt_buddy_tags(size));
    /* Any number of units is a row of shrinking powers of two, each aligned to itself. */
    for (uint64_t unit = 0; unit < buddy->units;) {
        unsigned order = 63 - (unsigned)__builtin_clzll(buddy->units - unit);
        assert(order < BELT_BUDDY_ORDERS);
        put_free(buddy, unit, order);
        unit += 1ull << order;
    }
}

void *belt_buddy_take(struct belt_buddy *buddy, uint64_t size)
{
    if (size > buddy->units * BELT_BUDDY_MIN)
        return NULL;
    unsigned order = order_of(size);
    uint64_t enough = buddy->filled >> order;
    if (!enough)
        return NULL;
    unsigned from = order + (unsigned)__builtin_ctzll(enough);
    struct belt_buddy_free *block = buddy->free[from];
    cut_free(buddy, block, from);
    uint64_t unit = unit_of(buddy, block);
    while (from-- > order)
        put_free(buddy, unit + (1ull << from), from);
    buddy->tags[unit] = (uint8_t)(USED + order + 1);
    buddy->used += (uint64_t)BELT_BUDDY_MIN << order;
    if (buddy->used > buddy->peak)
        buddy->peak = buddy->used;
    return block;
}

void belt_buddy_give(struct belt_buddy *buddy, void *block)
{
    uint64_t unit = unit_of(buddy, block);
    assert(unit < buddy->units && buddy->tags[unit] > USED);
    unsigned order = buddy->tags[unit] - USED - 1;
    buddy->used -= (uint64_t)BELT_BUDDY_MIN << order;
    buddy->tags[unit] = 0;
    for (;; order++) {
        uint64_t other = unit ^ 1ull << order;
        if (other >= buddy->units || buddy->tags[other] != order + 1)
            break;
        cut_free(buddy, block_at(buddy, other), order);
        unit &= other;
    }
    put_free(buddy, unit, order);
}

uint64_t belt_buddy_rounded(uint64_t size)
{
    return (uint64_t)BELT_BUDDY_MIN << order_of(size);
}

uint64_t belt_buddy_size(const struct belt_buddy *buddy, const void *block)
{
    uint8_t tag = buddy->tags[unit_of(buddy, block)];
    assert(tag > USED);
    return (uint64_t)BELT_BUDDY_MIN << (tag - USED - 1);
}

uint64_t belt_buddy_biggest(const struct belt_buddy *buddy)
{
    if (!buddy->units)
        return 0;
    return (uint64_t)BELT_BUDDY_MIN << (63 - __builtin_clzll(buddy->units));
}

static int check_list(const struct belt_buddy *buddy, unsigned order, uint64_t *blocks)
{
    const struct belt_buddy_free *before = NULL;
    for (const struct belt_buddy_free *block = buddy->free[order]; block; block = block->next) {
        if (buddy->tags[unit_of(buddy, block)] != order + 1)
            return 1;
        if (block->prev != before)
            return 2;
        before = block;
        ++*blocks;
    }
    return !(buddy->filled >> order & 1) != !before ? 3 : 0;
}

int belt_buddy_check(const struct belt_buddy *buddy)
{
    uint64_t listed = 0, free_heads = 0, used = 0;
    for (unsigned order = 0; order < BELT_BUDDY_ORDERS; order++) {
        int rule = check_list(buddy, order, &listed);
        if (rule)
            return rule;
    }
    for (uint64_t unit = 0, size; unit < buddy->units; unit += size) {
        uint8_t tag = buddy->tags[unit];
        if (tag == 0 || tag == USED)
            return 4;
        unsigned order = (tag & (USED - 1)) - 1u;
        size = 1ull << order;
        if (unit % size || unit + size > buddy->units)
            return 5;
        for (uint64_t i = 1; i < size; i++)
            if (buddy->tags[unit + i])
                return 6;
        uint64_t other = unit ^ size;
        /* Two free halves left apart could never serve a request for their whole. */
        if (tag < USED && other < buddy->units && buddy->tags[other] == tag)
            return 7;
        free_heads += tag < USED;
        used += tag > USED ? size * BELT_BUDDY_MIN : 0;
    }
    if (listed != free_heads)
        return 8;
    return used == buddy->used && buddy->used <= buddy->peak ? 0 : 9;
}
