/* Records that are put together as one before them was, but for their values: what is between
 * these is compared with it, and the values are read where they then must be. A record that
 * passes has the same tokens, a value of the same kind for each, and so is JSON if that one
 * was, with the same members; one that does not is left to the walk (json_walk.c).
 *
 *     {"level":"info","ms":12,"ok":true}      as walked
 *     ----------    -------  ------    -      pieces
 *               ssss       nn      wwww       values: string, number, word */
#ifndef BELT_JSON_SHAPE_PRIV_H
#define BELT_JSON_SHAPE_PRIV_H

#include "steps/json_priv.h"

enum {
    BELT_JSON_SHAPES = 4,    /* that a step remembers */
    BELT_JSON_PIECES = 64,   /* values of a record that is remembered */
    BELT_JSON_PIECE = 256,   /* most bytes of a piece */
    BELT_JSON_BETWEEN = 2048 /* and of all pieces */
};

/* Bytes that are between values, and the value that follows them. */
struct belt_json_piece {
    uint16_t at, size; /* in `between` */
    uint8_t kind;      /* BELT_JSON_STRING, NUMBER, or NULL for all three words */
    int8_t slot;       /* of the value, or -1 */
};

struct belt_json_shape {
    uint32_t values; /* 0: there is none */
    uint32_t last;   /* bytes behind the last value */
    uint32_t used;   /* bytes in `between` */
    uint64_t found;  /* slots that have a value */
    struct belt_json_piece pieces[BELT_JSON_PIECES];
    char between[BELT_JSON_BETWEEN + BELT_JSON_PIECE];
};

/* Remembers the record from `begin` on, whose tokens from `first` on the walk has just found
 * to be JSON. Nothing is remembered (values is 0) of one that is too large, or of which an
 * object or an array is wanted. */
void belt_json_shape_learn(struct belt_json_shape *shape, const struct belt_json_walk *walk,
                           const uint32_t *first, uint32_t begin);

/* The record `text` has this shape: then the walk's text, escapes (in values), found and values
 * are set. BELT_PAD bytes behind it may be read. */
typedef bool belt_json_match_fn(const struct belt_json_shape *shape, struct belt_json_walk *walk,
                                const char *text, uint32_t size);
belt_json_match_fn belt_json_match_v2, belt_json_match_v3;

#endif
