/* The file of an aggregate's tables (aggregate_store.c). Any lane, any number at a time;
 * a range of it belongs to who claimed it, until it is named in a blob. */
#ifndef BELT_AGGREGATE_STORE_PRIV_H
#define BELT_AGGREGATE_STORE_PRIV_H

#include "core/aggregate_table_priv.h"

/* Room for `size` bytes at *at. 0, or -ENOSPC with err set. */
int belt_agg_store_claim(struct belt_agg_store *store, uint64_t size, uint64_t *at,
                         struct belt_error *err);
/* Gives part of it back. */
void belt_agg_store_drop(struct belt_agg_store *store, uint64_t at, uint64_t size);
/* All of it; 0, or negative with err set. */
int belt_agg_store_write(struct belt_agg_store *store, uint64_t at, const char *bytes, size_t size,
                         struct belt_error *err);
/* What is there from byte `at` on is not what was written: -EIO with err set. */
int belt_agg_store_spoilt(const struct belt_agg_store *store, uint64_t at, struct belt_error *err);
int belt_agg_store_read(struct belt_agg_store *store, uint64_t at, char *bytes, size_t size,
                        struct belt_error *err);

#endif
