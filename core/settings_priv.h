/* From the configuration tree to a part's conf: settings tables, units, and
 * the strict check of keys. */
#ifndef BELT_SETTINGS_PRIV_H
#define BELT_SETTINGS_PRIV_H

#include <stdint.h>

#include "core/part.h"
#include "core/tree_priv.h"

#define BELT_SETTINGS_MAX 64 /* settings of a part, with those read by others */
#define BELT_UNIT_ROOM 32    /* bytes for belt_format_size and belt_format_time */

struct belt_settings_in {
    const struct belt_setting *table; /* ended by a name of NULL; NULL: no settings */
    const struct belt_node *node;     /* map, scalar, list, or NULL: nothing given */
    const struct belt_node *at;       /* place for messages when `node` is NULL; may be NULL */
    const char *what;                 /* "source file", "step split" */
    const char *scalar;               /* belt_part.scalar */
    const char *const *also;          /* keys somebody else reads, NULL-ended; or NULL */
};

/* Fills `conf` by the table, strictly. What it points to lives as long as `tree`.
 *
 * A value of ~ or null counts as not given. A node that is no map stands for the
 * setting `scalar` (a list only if that is a LIST or TREE); where that setting is
 * a TREE and the table's only one, a map does too: `keep: { level: error }`. */
int belt_settings_read(const struct belt_settings_in *in, void *conf, struct belt_tree *tree,
                       struct belt_error *err);

/* What is read of a pipeline beside its parts (sections.c). */
extern const struct belt_setting belt_top_settings[], belt_hold_settings[], belt_source_settings[],
    belt_rate_settings[], belt_restart_settings[], belt_processor_settings[],
    belt_batcher_settings[], belt_aggregate_settings[], belt_spill_settings[],
    belt_worker_settings[], belt_retry_settings[], belt_placement_settings[];
extern const char *const belt_failed_without[]; /* of a batcher's, what `failed` has not */

/* Fails on the first key of `map` not in `known` (NULL-ended), saying what was
 * meant. A NULL or null `map` has no keys; any other that is no map fails. */
int belt_keys_check(const struct belt_node *map, const char *what, const char *const *known,
                    bool allow_x, struct belt_error *err);

/* Quantities as written: "64KiB", "1.5s" (exact fractions only), "-12". Up to
 * INT64_MAX. The message has no place and config set: "10 needs a unit: ...". */
int belt_parse_size(const char *text, uint64_t *out, struct belt_error *err);
int belt_parse_time(const char *text, uint64_t *out, struct belt_error *err);
int belt_parse_int(const char *text, int64_t *out, struct belt_error *err);

/* In the largest unit that gives a whole number; parses back to the same. Returns `out`. */
const char *belt_format_size(uint64_t bytes, char out[BELT_UNIT_ROOM]);
const char *belt_format_time(uint64_t ns, char out[BELT_UNIT_ROOM]);

#endif
