/* Open batches for tests: small ones, filled by hand. */
#ifndef BATCH_FIXTURE_H
#define BATCH_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch_state_priv.h"

#define WHERE (UINT64_C(3) << 48)

static const struct belt_batches_conf usual = {
    .size = 4,
    .bytes = 1024,
    .timeout_ns = 100,
    .arena_bytes = 64 * 1024,
    .max_keys = 16,
    .max_batches_in_flight = 8,
};

static inline struct belt_batches *made(const struct belt_batches_conf *conf)
{
    struct belt_batches *batches = NULL;
    struct belt_error err = { 0 };
    cr_assert_eq(belt_batches_new(&batches, conf, &err), 0, "%s", err.text);
    return batches;
}

/* One multiplication per byte is enough here; test keys are short. */
static inline uint32_t hash_of(const char *key)
{
    uint32_t hash = 17;
    for (; *key; key++)
        hash = hash * 31 + (unsigned char)*key;
    return hash;
}

static inline bool add(struct belt_batches *batches, const char *key, const char *row,
                       uint64_t ticket, uint64_t now)
{
    uint32_t size = (uint32_t)strlen(row);
    char *room = belt_batch_room(batches, key, (uint32_t)strlen(key), hash_of(key), size, now);
    if (!room)
        return false;
    memcpy(room, row, size);
    belt_batch_add(batches, size, WHERE | ticket / 64, 1ull << ticket % 64);
    cr_assert_eq(belt_batches_check(batches), 0);
    return true;
}

static inline void expect(const struct belt_open_batch *open, const char *key, const char *bytes,
                          uint32_t count, enum belt_trigger trigger)
{
    cr_assert_not_null(open);
    const struct belt_batch *batch = &open->batch;
    cr_assert_eq(batch->size, sizeof *batch);
    cr_assert_eq(batch->count, count);
    cr_assert_eq(batch->trigger, (uint32_t)trigger);
    cr_assert_eq(batch->key_size, strlen(key));
    cr_assert_eq(memcmp(batch->key, key, batch->key_size), 0);
    cr_assert_eq(batch->bytes_size, strlen(bytes));
    cr_assert_eq(memcmp(batch->bytes, bytes, batch->bytes_size), 0);
}

#endif
