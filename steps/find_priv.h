/* Texts that are looked for in messages: one or many at once, over a frame's bytes at a
 * time where they lie together. */
#ifndef BELT_FIND_PRIV_H
#define BELT_FIND_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/part.h"

enum {
    BELT_FIND_BUCKETS = 8, /* groups of needles: a bit of a byte each */
    BELT_FIND_BYTES = 3,   /* most first bytes of a needle that are looked at together */
    BELT_FIND_REACH = 24   /* a single needle's two bytes are among so many first ones */
};

struct belt_needle {
    const char *bytes;
    uint32_t size;
    uint64_t head, mask, tail;     /* its first 8 bytes, which of them it has; its last 8 */
    uint64_t head_fold, tail_fold; /* bits that do not matter in them */
};

struct belt_needles;
typedef uint64_t belt_find_fn(const struct belt_needles *needles, const char *base,
                              const struct belt_span *spans, uint64_t rows);

struct belt_needles {
    struct belt_needle *needle; /* [count], by bucket */
    uint32_t count;
    bool everywhere; /* one of them is empty */
    bool fold;       /* a-z are A-Z, too; needles are in small letters */
    char *bytes;     /* of all needles */
    belt_find_fn *find;
    /* One needle: two of its bytes, as rare as it has. */
    uint32_t at[2];
    char byte[2], byte_fold[2];
    char or_byte; /* a row that has it counts, too; by belt_needles_or() */
    /* Several: which buckets have a byte of this low and high half at the place. */
    uint32_t looked_at; /* bytes of each needle, up to BELT_FIND_BYTES */
    uint8_t low[BELT_FIND_BYTES][16], high[BELT_FIND_BYTES][16];
    uint32_t first[BELT_FIND_BUCKETS + 1]; /* bucket b: needle[first[b]] to first[b + 1] */
};

/* The texts are copied. The second: the letters a-z and A-Z are the same. */
int belt_needles_new(struct belt_needles **out, const char *const *texts, size_t count,
                     struct belt_error *err);
int belt_needles_folded(struct belt_needles **out, const char *const *texts, size_t count,
                        struct belt_error *err);
/* The same for one needle; rows that have `byte` are found as well. */
int belt_needles_or(struct belt_needles **out, const char *text, char byte, struct belt_error *err);
void belt_needles_free(struct belt_needles *needles);

/* Those of `rows`, a bit for each of spans[64], that have one of them. */
static inline uint64_t belt_find_rows(const struct belt_needles *needles, const char *base,
                                      const struct belt_span *spans, uint64_t rows)
{
    return needles->everywhere ? rows : needles->find(needles, base, spans, rows);
}

belt_find_fn belt_find_one_v2, belt_find_one_v3, belt_find_many_v2, belt_find_many_v3;
belt_find_fn belt_find_one_or_v2, belt_find_one_or_v3;

#endif
