/* Many items between slots, which may have gaps, and an array, which has none. */
#ifndef BELT_COPY_PRIV_H
#define BELT_COPY_PRIV_H

#include "rings/atomic.h"

static inline void belt_copy_in(char *slot, uint32_t slot_size, const char *items, uint32_t count,
                                size_t size)
{
    if (size == slot_size) {
        belt_data_store(slot, items, count * size);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        belt_data_store(slot + (size_t)i * slot_size, items + i * size, size);
}

static inline void belt_copy_out(char *items, const char *slot, uint32_t slot_size, uint32_t count,
                                 size_t size)
{
    if (size == slot_size) {
        belt_data_load(items, slot, count * size);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        belt_data_load(items + i * size, slot + (size_t)i * slot_size, size);
}

#endif
