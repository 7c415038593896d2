/* Folding messages into groups: the `aggregate:` block of a batcher.
 *
 * A spec is the parsed block: made once, read-only, shared by all lanes. A table
 * (struct belt_agg) belongs to one lane at a time. Every lane folds its frames
 * into a table of its own; at an emission the tables are packed into blobs,
 * shipped and merged into one, which is then sorted and read out as frames.
 *
 * Sums of int and decimal columns are exact, whatever their size (128 bits).
 * Groups are told apart by the bytes of their keys, never by a hash alone.
 * All memory is reserved by belt_agg_new() for `max_keys` groups, or for as many as
 * `memory` allows, and touched as the table grows; after it nothing allocates.
 *
 * A full table fails the run, unless `spill` says where its groups go: sorted by
 * key, as a run in a file that all tables of the aggregate share. At an emission
 * the runs of all tables are merged. Or (`emit: early`) they are emitted. */
#ifndef BELT_AGGREGATE_PRIV_H
#define BELT_AGGREGATE_PRIV_H

#include "core/part.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_AGG_KEY 65535u /* most bytes of a group's key, all its fields together */
#define BELT_AGG_BLOB (8u + 72u * BELT_COLUMNS + BELT_AGG_KEY + 1u) /* most bytes of one blob */

struct belt_agg_spec;
struct belt_agg_store;
struct belt_agg;

/* Reads { group_by, columns, emit, sort_by, max_keys, memory, spill }; without group_by there is
 * one group, without columns there are just the groups. 0, or negative with err
 * set to "FILE:LINE:COLUMN: ...". Output columns: the fields of group_by with
 * their names and types, then `columns` in order:
 *   min max sum   type and digits of their input; float stays float
 *   mean          decimal: same digits, half rounded up (towards +infinity)
 *                 int, float: float
 *   var stddev    float; of a sample (n - 1), NaN for one value
 *   var_pop stddev_pop
 *                 float; of all there is (n)
 *   count         int
 *   emission      int, the same for all rows of one: 1, 2, ...
 * A NaN makes sums, means and the like NaN; as min and max it counts only when alone.
 * Ints and decimals give the same bits however they were spread over tables; floats
 * may differ in the last ones (their sums are compensated, their squares Welford's). */
int belt_agg_spec_new(struct belt_agg_spec **out, const struct belt_node *node,
                      struct belt_setup *in_columns, struct belt_error *err);
void belt_agg_spec_free(struct belt_agg_spec *spec);
/* Nanoseconds between emissions; 0: one emission at the end. */
uint64_t belt_agg_every(const struct belt_agg_spec *spec);
/* Full tables are emitted: groups may come several times. */
bool belt_agg_early(const struct belt_agg_spec *spec);
/* The number of output columns; they become columns 1, 2, ... of an emitted
 * frame (column 0, the payload, is empty unless group_by has it). Lives as long
 * as the spec. */
int belt_agg_outputs(const struct belt_agg_spec *spec, const struct belt_column_info **infos);

/* The file of an aggregate's tables, which has no name: gone with the process. Any
 * number of lanes may use it at a time. Makes *out NULL when `spill` is not set. */
int belt_agg_store_open(struct belt_agg_store **out, const struct belt_agg_spec *spec,
                        struct belt_error *err);
void belt_agg_store_free(struct belt_agg_store *store);

/* Of how many tables `memory` is the sum, and where they go when they are full. */
struct belt_agg_conf {
    uint32_t tables;
    struct belt_agg_store *store; /* NULL: nowhere */
};
/* 0, or -EINVAL: `memory` is too small for so many. */
int belt_agg_check(const struct belt_agg_spec *spec, uint32_t tables, struct belt_error *err);
/* Bytes of address space that one table reserves: the most it can ever touch. */
size_t belt_agg_memory(const struct belt_agg_spec *spec, uint32_t tables);
/* `seed` guards against keys made to collide: any random number, tables that
 * exchange blobs may differ in it. The spec must outlive the table. */
int belt_agg_new(struct belt_agg **out, const struct belt_agg_spec *spec,
                 const struct belt_agg_conf *conf, uint64_t seed, struct belt_error *err);
void belt_agg_free(struct belt_agg *agg);

/* Folds the messages of `mask` (whatever the view's live, first and end say) and
 * takes them out of it. Sets failed[] to those that cannot be taken because their
 * key is longer than BELT_AGG_KEY: they are not folded and the caller fails them one by one.
 * 0; -EAGAIN: the table is full and to be emitted, then what is left of `mask` comes
 * again; or with err set: the table is full (-ENOSPC: max_keys, memory, or the room
 * for keys longer than 31 bytes: 256 bytes * max_keys, 16 MiB at least) or its file
 * cannot be written. Part of the frame has then been folded and the run cannot go on. */
int belt_agg_fold(struct belt_agg *agg, const struct belt_view *view, uint64_t mask[BELT_WORDS],
                  uint64_t failed[BELT_WORDS], struct belt_error *err);
/* In memory. */
uint64_t belt_agg_groups(const struct belt_agg *agg);
/* Bytes that went to the file so far. */
uint64_t belt_agg_spilled(const struct belt_agg *agg);
/* Emission goes before more is merged into this table: it has no room for so many. */
bool belt_agg_is_full(const struct belt_agg *agg, uint64_t groups, size_t bytes);

/* Before packing: with runs in the file, the rest goes there, too. */
int belt_agg_finish(struct belt_agg *agg, struct belt_error *err);

/* Writes groups from *cursor on (0 at first) as blobs, at most `most` of them:
 * blob k at out + spans[k].at. `out` is 8-aligned; blobs are multiples of 8
 * bytes, one after the other, and mean the same in any process. *cursor becomes
 * UINT64_MAX after the last group. Returns the bytes written; with room for
 * BELT_AGG_BLOB bytes every call gets on. The table must not change between. */
size_t belt_agg_pack(struct belt_agg *agg, uint64_t *cursor, char *out, size_t room,
                     struct belt_span *spans, uint32_t most, uint32_t *count);
/* Adds blobs, one or several, from a table of the same spec. 0, or with err set as in
 * fold, or -EBADMSG: no such blob. */
int belt_agg_merge(struct belt_agg *agg, const char *blobs, size_t size, struct belt_error *err);
/* Forgets all groups. Memory goes back to the system, the reservation stays. */
void belt_agg_clear(struct belt_agg *agg);

/* Begins an emission. The order: by sort_by (texts by their bytes), then by the
 * fields of group_by; without sort_by as the groups happen to lie. 0, or
 * -EOVERFLOW with err set: a sum does not fit its column (both are named), or the
 * file cannot be written. */
int belt_agg_sort(struct belt_agg *agg, struct belt_error *err);
/* After belt_agg_sort(), before each belt_agg_rows(): a bounded part of the work that
 * groups in the file are. 1: call again. 0: group `from` is at hand, if there is
 * one. Negative with err set as above, or the file cannot be read. */
int belt_agg_load(struct belt_agg *agg, uint64_t from, struct belt_error *err);
/* After belt_agg_load(): the groups from `from` on, in order. Fills the view's
 * size, first, end, columns_used, columns and live with arrays of the table's
 * own, valid until the next call; now and engine are left alone. Returns how
 * many rows; fewer than BELT_FRAME when their texts are long; 0 after the last. */
uint32_t belt_agg_rows(struct belt_agg *agg, uint64_t from, struct belt_view *view);

#ifdef __cplusplus
}
#endif
#endif
