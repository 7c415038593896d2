/* The inside of an aggregate: the parsed block, the table, and what its files
 * (aggregate*.c) share.
 *
 * A group is 32 bytes of key and 32 bytes for each value column (a cell); with
 * one value column that is one cache line, found by open addressing without
 * another look-up. Keys of 1 to 31 bytes lie in the line, which their size fills up:
 *     bytes of the key, size, size, ...
 * Byte 31 is the size and tells which of the others are the key's. Other keys
 * lie in the key store, the line says where:
 *     hash, offset in the store, size, 0xff << 56
 * All zeros is a free slot. */
#ifndef BELT_AGGREGATE_TABLE_PRIV_H
#define BELT_AGGREGATE_TABLE_PRIV_H

#include <string.h>

#include "core/aggregate_priv.h"

#define BELT_AGG_INLINE 31u /* most bytes of a key in the line */
#define BELT_AGG_LONG (UINT64_C(0xff) << 56)
#define BELT_AGG_BLOCK 64u /* messages folded in one go: a word of the mask */

enum belt_agg_op {
    BELT_AGG_KEY_FIELD,
    BELT_AGG_MIN,
    BELT_AGG_MAX,
    BELT_AGG_MEAN,
    BELT_AGG_SUM,
    BELT_AGG_VAR, /* of a sample; the other two of all there is */
    BELT_AGG_STDDEV,
    BELT_AGG_VAR_POP,
    BELT_AGG_STDDEV_POP,
    BELT_AGG_COUNT,
    BELT_AGG_EMISSION
};

struct belt_agg_output {
    enum belt_agg_op op;
    int cell; /* of a KEY_FIELD: which field of the key */
};

struct belt_agg_field {
    int column; /* of the messages; -1: none, every value is 0 (nothing but count() asked for) */
    enum belt_type type;
    unsigned digits; /* after the point */
    int more;        /* which of the group's cells has the rest: struct belt_agg_more; 0: none */
    bool squares;    /* how far its values lie apart is wanted */
};

struct belt_agg_spec {
    struct belt_agg_field keys[BELT_COLUMNS], cells[BELT_COLUMNS];
    struct belt_agg_output outputs[BELT_COLUMNS];
    struct belt_column_info infos[BELT_COLUMNS]; /* of the outputs; names are the tree's */
    int sort[2 * BELT_COLUMNS];                  /* outputs, the most important first */
    int keys_used, cells_used, outputs_used, sort_used;
    int cells_all; /* of a group: one for each of `cells`, then their `more` */
    uint64_t every, max_keys;
    uint64_t memory;  /* of all tables together, in bytes; 0: as max_keys allows */
    bool early;       /* what a full table holds is emitted */
    const char *path; /* of the batcher, for errors */
    const struct belt_node *node;
    const char *spill_path; /* a folder, for what a full table holds; NULL: none */
    uint64_t spill_size;
};

/* Integers start at { INT64_MAX, INT64_MIN, 0, 0 }, floats at { NaN, NaN, 0, 0 }. */
struct belt_agg_cell {
    union {
        struct {
            int64_t min, max;
            uint64_t sum; /* low 64 bits; the rest is in belt_agg.high */
        } n;
        struct {
            double min, max, sum;
        } f;
    };
    uint64_t count;
};

/* The second cell of a column: of floats always, else for squares; all zeros at first. */
struct belt_agg_more {
    union {
        uint64_t square[3]; /* of integers, exact: |value| < 2^63, and at most 2^64 of them */
        struct {
            double lost;        /* what the sum should be more by */
            double mean, apart; /* Welford: apart is the sum of (value - mean)^2 */
        } f;
    };
    uint64_t unused;
};

union belt_agg_line {
    uint64_t word[4];
    char bytes[32];
};

struct belt_agg_group {
    union belt_agg_line key;
    struct belt_agg_cell cells[]; /* [cells_all] */
};

_Static_assert(sizeof(struct belt_agg_more) == sizeof(struct belt_agg_cell),
               "one follows the other in a group");
_Static_assert(sizeof(struct belt_agg_cell) == 32 && sizeof(union belt_agg_line) == 32,
               "a group with one value is one cache line");

struct belt_agg_entry {
    uint64_t prefix; /* what the order is mostly decided by */
    struct belt_agg_group *group;
};

/* Groups in a file, in the order of their keys' bytes (or, at the end, of sort_by). */
struct belt_agg_run {
    uint64_t at, size; /* in the file */
    uint64_t largest;  /* bytes of its longest blob */
};

#define BELT_AGG_RUNS 65536u

#define BELT_AGG_TEXT (1u << 20) /* bytes of texts in an emitted frame */

struct belt_agg_frame {
    uint64_t live[BELT_WORDS];
    struct belt_column columns[BELT_COLUMNS];
    union {
        struct belt_span spans[BELT_FRAME];
        int64_t numbers[BELT_FRAME];
        double floats[BELT_FRAME];
    } values[BELT_COLUMNS];
    char text[BELT_PAD + BELT_AGG_TEXT + BELT_PAD];
};

/* Up to 64 messages on their way through the stages of a fold. */
struct belt_agg_block {
    union belt_agg_line keys[BELT_AGG_BLOCK];
    struct belt_agg_group *groups[BELT_AGG_BLOCK];
    uint64_t hashes[BELT_AGG_BLOCK];
    struct belt_span spans[BELT_AGG_BLOCK]; /* the messages' values, one after the other */
    int64_t numbers[BELT_AGG_BLOCK];
    uint8_t index[BELT_AGG_BLOCK]; /* which message of the mask's word */
    uint32_t count;
};

/* The hot loops, of which there are several builds (core/isa.h). */
struct belt_agg_hot {
    /* Keys of a text column into block->keys, with hashes and the groups at their first
     * slots; bit k: fits no line. Spans are read up to the next multiple of 4. */
    uint64_t (*text_keys)(struct belt_agg *agg, const char *base, const struct belt_span *spans);
    /* Hashes and groups of block->keys, up to the next multiple of 4. */
    void (*hash)(struct belt_agg *agg);
    /* Those of texts that fit no line, instead. */
    void (*hash_long)(struct belt_agg *agg, const char *base, const struct belt_span *spans,
                      uint64_t which);
    /* Bit k: block->groups[k] is not that of block->keys[k]; those of `unfit` are not. */
    uint64_t (*find)(struct belt_agg *agg, uint64_t unfit);
    /* The same of these texts, which fit no line; bits of those that are found. */
    uint64_t (*find_long)(struct belt_agg *agg, const char *base, const struct belt_span *spans,
                          uint64_t which);
    /* Folds values into the groups' cells at `offset`; sums may not overflow. */
    void (*add)(struct belt_agg_block *block, size_t offset, const int64_t *values);
    void (*add_floats)(struct belt_agg_block *block, size_t offset, size_t more,
                       const double *values);
    /* The same, and what spread needs. */
    void (*add_apart)(struct belt_agg_block *block, size_t offset, size_t more,
                      const double *values);
    /* Beside `add`, into the cells at `more`. */
    void (*add_squares)(struct belt_agg_block *block, size_t more, const int64_t *values);
    /* Some number that no |value| exceeds, at most twice the greatest. */
    uint64_t (*bound)(const int64_t *values, uint32_t count);
};

/* Whether a comes before b. */
typedef bool belt_agg_before(const struct belt_agg *agg, const struct belt_agg_entry *a,
                             const struct belt_agg_entry *b);

struct belt_agg {
    char *slots;     /* the level in use */
    uint64_t mask;   /* slots - 1 */
    size_t stride;   /* bytes of a group */
    uint32_t factor; /* odd */
    _Alignas(32) uint64_t seed[4];
    struct belt_agg_hot hot;
    const struct belt_agg_spec *spec;
    uint64_t used;
    uint64_t keys_used;            /* bytes in `keys` */
    uint64_t bounds[BELT_COLUMNS]; /* no |sum| of the cell exceeds it; UINT64_MAX: unknown */
    bool wide;                     /* something in `high` is not 0 */
    int64_t *high;                 /* [slot * cells_used + cell]: what a sum is above 64 bits */
    /* Reserved address space, touched as needed. A level of S slots lies at S
     * times the size of its slot, so that the next one is beside it. */
    char *levels, *highs, *keys, *scratch;
    struct belt_agg_entry *order, *order_spare;
    struct belt_agg_frame *frame;
    uint64_t first, sorted;       /* groups in `order`: from which one on, and how many */
    uint64_t emission;            /* belt_agg_sort() counts them */
    uint64_t most, most_slots;    /* groups, and slots for them */
    uint64_t share;               /* bytes that the table may take; 0: any number */
    struct belt_agg_store *store; /* where a full table goes; NULL: nowhere */
    uint64_t spilled;             /* bytes that went there */
    struct belt_agg_run *runs;    /* [BELT_AGG_RUNS] */
    uint32_t runs_used;
    bool merging; /* they are being emitted, through the slots */
    struct belt_agg_merge *merge;
    char *windows; /* what it reads of them */
    size_t windows_room;
    void *map;
    size_t map_size, keys_room;
    _Alignas(64) struct belt_agg_block block;
};

void belt_agg_hot_v2(struct belt_agg_hot *hot);
void belt_agg_hot_v3(struct belt_agg_hot *hot);

static inline struct belt_agg_group *belt_agg_slot(const struct belt_agg *agg, uint64_t slot)
{
    return (struct belt_agg_group *)(void *)(agg->slots + slot * agg->stride);
}

static inline uint64_t belt_agg_slot_of(const struct belt_agg *agg,
                                        const struct belt_agg_group *group)
{
    return (uint64_t)((const char *)group - agg->slots) / agg->stride;
}

static inline int64_t *belt_agg_high(const struct belt_agg *agg, const struct belt_agg_group *group)
{
    return agg->high + belt_agg_slot_of(agg, group) * (uint64_t)agg->spec->cells_used;
}

static inline bool belt_agg_is_long(const union belt_agg_line *line)
{
    return line->word[3] == BELT_AGG_LONG;
}

static inline bool belt_agg_is_free(const struct belt_agg_group *group)
{
    return !group->key.word[3];
}

static inline struct belt_agg_more *belt_agg_more(struct belt_agg_group *group, int cell)
{
    return (struct belt_agg_more *)(void *)&group->cells[cell];
}

/* Where a cell begins in a group. */
static inline size_t belt_agg_offset(int cell)
{
    return sizeof(struct belt_agg_group) + (size_t)cell * sizeof(struct belt_agg_cell);
}

static inline uint64_t belt_agg_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of a key that fits no line: empty, or of 32 bytes and more. 64 bytes at a time, however
 * few are left: what is constant is predicted. Pieces may overlap those before. */
static inline uint64_t belt_agg_hash_long(const char *key, uint32_t size, const uint64_t seed[4])
{
    uint64_t hash = seed[0] ^ size, word[2];
    for (uint32_t at = 0, last = size - 16; at < size; at += 64)
        for (uint32_t piece = at; piece < at + 64; piece += 16) {
            memcpy(word, key + (piece < last ? piece : last), 16);
            hash = belt_agg_mix(word[0] ^ seed[1], word[1] ^ hash);
        }
    return belt_agg_mix(hash ^ seed[2], seed[3]);
}

/* NH (of UMAC): a product for every 8 bytes and one sum, which vectors of 32-bit
 * numbers do well, and without the seeds no two keys can be made to meet. The
 * last multiplication spreads it over the low bits, which choose the slot. */
static inline uint64_t belt_agg_hash_line(const struct belt_agg *agg,
                                          const union belt_agg_line *line)
{
    uint64_t sum = 0;
    for (int w = 0; w < 4; w++) {
        uint32_t low = (uint32_t)line->word[w] + (uint32_t)agg->seed[w];
        uint32_t high = (uint32_t)(line->word[w] >> 32) + (uint32_t)(agg->seed[w] >> 32);
        sum += (uint64_t)low * high;
    }
    sum ^= sum >> 32;
    return (uint64_t)(uint32_t)sum * agg->factor >> 32;
}

/* ---- aggregate_keys.c: from fields to key bytes and back -------------------- */

/* The key of message i: its bytes, perhaps in agg->scratch; NULL: longer than BELT_AGG_KEY. */
const char *belt_agg_key_of(struct belt_agg *agg, const struct belt_view *view, uint32_t i,
                            uint32_t *size);
/* The bytes of a group's key, in its line or in the key store. */
const char *belt_agg_key_bytes(const struct belt_agg *agg, const struct belt_agg_group *group,
                               uint32_t *size);
/* Field `f` in such bytes. */
const char *belt_agg_key_field(const struct belt_agg_spec *spec, const char *key, uint32_t key_size,
                               int f, uint32_t *size);

/* ---- aggregate_table.c: slots ----------------------------------------------- */

/* The level with so many slots; what lies in it stays. */
void belt_agg_use_level(struct belt_agg *agg, uint64_t slots);
uint64_t belt_agg_most_slots(const struct belt_agg *agg);
void belt_agg_start_cells(const struct belt_agg_spec *spec, struct belt_agg_group *group);
/* Room for `more` new groups without another call: groups stay where they are. */
void belt_agg_reserve(struct belt_agg *agg, uint64_t more);
static inline bool belt_agg_fits_line(uint32_t key_size)
{
    return key_size - 1 < BELT_AGG_INLINE;
}

/* The line of a key that fits one. */
void belt_agg_line(union belt_agg_line *line, const char *key, uint32_t size);
/* The group of a key, made if it is new; NULL: no room. Room must have been reserved. */
struct belt_agg_group *belt_agg_group(struct belt_agg *agg, const char *key, uint32_t size);
/* The same for a line that is known not to be a long key's, and its hash. */
struct belt_agg_group *belt_agg_group_of_line(struct belt_agg *agg, const union belt_agg_line *line,
                                              uint64_t hash);
/* Forgets the groups, not the runs. */
void belt_agg_clear_groups(struct belt_agg *agg);
/* The first group at or behind a slot; NULL: none. */
struct belt_agg_group *belt_agg_next(const struct belt_agg *agg, uint64_t slot);

/* ---- aggregate_spread.c: variance ------------------------------------------- */

void belt_agg_merge_squares(uint64_t to[3], const uint64_t from[3]);
/* Of two floats cells and what follows them; before their counts are added. */
void belt_agg_merge_floats(struct belt_agg_cell *to, struct belt_agg_more *more,
                           const struct belt_agg_cell *from, const struct belt_agg_more *others);
double belt_agg_float_sum(const struct belt_agg_cell *cell, const struct belt_agg_more *more);
/* BELT_AGG_VAR to STDDEV_POP, in the unit of the column (or its square). NaN: of too few. */
double belt_agg_spread(const struct belt_agg_spec *spec, const struct belt_agg_group *group,
                       int cell, enum belt_agg_op op, __int128 sum);

/* ---- aggregate_rows.c, aggregate_order.c ------------------------------------- */

/* An output of a group that is no text, as its 8 bytes. */
uint64_t belt_agg_value(const struct belt_agg *agg, const struct belt_agg_group *group, int o);
/* A field of group_by. */
const char *belt_agg_field_of(const struct belt_agg *agg, const struct belt_agg_group *group,
                              const struct belt_agg_output *output, uint32_t *size);
/* A group for the order of emission, or (by_key) for that of its key's bytes. */
struct belt_agg_entry belt_agg_entry(const struct belt_agg *agg, struct belt_agg_group *group,
                                     bool by_key);
belt_agg_before belt_agg_row_before, belt_agg_key_before;
/* agg->order[0 .. sorted). */
void belt_agg_sort_entries(struct belt_agg *agg, belt_agg_before *before);
/* 0, or -EOVERFLOW with err set. */
int belt_agg_check_sums(const struct belt_agg *agg, const struct belt_agg_group *group,
                        struct belt_error *err);

/* ---- aggregate_pack.c: groups as bytes ---------------------------------------- */

size_t belt_agg_blob_size(const struct belt_agg *agg, const struct belt_agg_group *group);
void belt_agg_blob_put(const struct belt_agg *agg, const struct belt_agg_group *group, char *out);
/* Of a blob: its size, and where its key lies. */
uint32_t belt_agg_blob_key(const struct belt_agg *agg, const char *blob, const char **key,
                           uint32_t *key_size);
/* A slot becomes the group of a blob, whose key stays where it is if it is long. */
void belt_agg_blob_take(struct belt_agg *agg, struct belt_agg_group *group, const char *blob);
/* Adds a blob to a group. */
void belt_agg_blob_add(struct belt_agg *agg, struct belt_agg_group *group, const char *blob);

/* How large a blob with such a key is; 0: there is no such key. */
uint32_t belt_agg_blob_size_of(const struct belt_agg *agg, uint32_t key_size);

/* ---- aggregate_run.c: runs of groups in a file -------------------------------- */

/* In the file a seal stands where a blob's size would: what is read is known to be what was
 * written, and written there. */
uint32_t belt_agg_seal(const char *blob, size_t size, uint64_t at);

struct belt_agg_writer {
    uint64_t at, end;  /* in the file, claimed */
    uint32_t buffered; /* bytes in agg->frame->text */
    struct belt_agg_run run;
};
int belt_agg_write_begin(struct belt_agg *agg, struct belt_agg_writer *to, uint64_t most,
                         struct belt_error *err);
int belt_agg_write(struct belt_agg *agg, struct belt_agg_writer *to,
                   const struct belt_agg_group *group, struct belt_error *err);
/* The run is one more of agg->runs. */
int belt_agg_write_end(struct belt_agg *agg, struct belt_agg_writer *to, struct belt_error *err);
/* The table becomes a run and is empty again. */
int belt_agg_spill(struct belt_agg *agg, struct belt_error *err);
/* -ENOSPC, err says which setting raises what is full. */
int belt_agg_full(const struct belt_agg *agg, struct belt_error *err);
int belt_agg_run_add(struct belt_agg *agg, const struct belt_agg_run *run, struct belt_error *err);

/* ---- aggregate_merge.c -------------------------------------------------------- */

size_t belt_agg_merge_size(void);
int belt_agg_merge_begin(struct belt_agg *agg, struct belt_error *err);

/* Adds to an integer cell's exact sum. */
void belt_agg_add_sum(struct belt_agg *agg, struct belt_agg_group *group, int cell, uint64_t low,
                      int64_t high);

#endif
