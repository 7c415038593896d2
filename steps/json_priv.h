/* The step `json` between its files: paths (json_path.c), the walk over a record's tokens
 * (json_walk.c), texts with escapes (json_text.c), values as columns (json_value.c), and
 * the settings `into` (json_into.c) and `where` (json_where.c). */
#ifndef BELT_JSON_PRIV_H
#define BELT_JSON_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/part.h"
#include "steps/json_index_priv.h"

enum {
    BELT_JSON_SLOTS = 64,  /* different paths that one step may ask for */
    BELT_JSON_DEPTH = 256, /* objects and arrays inside each other */
    BELT_JSON_NEEDLES = 8, /* most values that the search beforehand looks for */
    BELT_JSON_EQUAL = 256  /* most bytes of a value in `where` */
};

/* ---- paths ----------------------------------------------------------------------- */

/* An object's member or an array's element that some path goes through. */
struct belt_json_node {
    char *name; /* of a member; NULL: element `index` */
    uint32_t name_size, index;
    int slot;             /* what ends here, or -1 */
    uint32_t child, next; /* in nodes[]; 0: none */
    uint64_t below;       /* slots that end here or deeper */
    uint64_t members;     /* belt_json_hash() of each child's name, as a bit */
    uint64_t word, mask;  /* the name's first 8 bytes, and which of them it has */
};

/* 0 to 63 for a name as it lies in a record, where at least a quote is behind it. */
static inline uint32_t belt_json_hash(const char *name, uint32_t size)
{
    return (size * 8 + (unsigned char)*name) & 63;
}

struct belt_json_paths {
    struct belt_json_node *nodes; /* [0]: the record itself */
    uint32_t count, room;
    int slots;
};

/* The slot of `path` ("a.b[2]", or "/a/b/2" as in RFC 6901); negative with err set. */
int belt_json_path_add(struct belt_json_paths *paths, const char *path, const struct belt_node *at,
                       struct belt_error *err);
void belt_json_paths_free(struct belt_json_paths *paths);

/* ---- the walk -------------------------------------------------------------------- */

enum belt_json_kind {
    BELT_JSON_NULL,
    BELT_JSON_FALSE,
    BELT_JSON_TRUE,
    BELT_JSON_NUMBER,
    BELT_JSON_STRING,
    BELT_JSON_OBJECT,
    BELT_JSON_ARRAY
};

struct belt_json_value {
    enum belt_json_kind kind;
    uint32_t at, size; /* from the walk's text; a string's without its quotes */
};

/* One record's tokens. Set by the caller but for `found`, `values` and the flaw. */
struct belt_json_walk {
    const struct belt_json_paths *paths;
    const char *text;      /* what offsets count from */
    const uint32_t *token; /* its first; afterwards, if it is JSON, the one behind it */
    uint32_t end;          /* of the record */
    bool escapes;          /* there is a backslash in it */
    uint64_t found;        /* slots that have a value */
    const char *flaw;      /* what was expected in vain, and where; NULL: anything at all */
    uint32_t flaw_at;
    struct belt_json_value values[BELT_JSON_SLOTS];
};

/* False: it is not JSON, and why. Of members that have the same name the last one counts. */
bool belt_json_walk(struct belt_json_walk *walk);

/* Where the word or string that begins at `at`, before this token, ends. */
static inline uint32_t belt_json_end_of(const struct belt_json_walk *walk, const uint32_t *token,
                                        uint32_t at)
{
    uint32_t end = *token < walk->end ? *token : walk->end;
    for (; end > at + 1; end--) {
        char c = walk->text[end - 1];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
    }
    return end;
}

/* These bytes, at least one, are a number. Reads BELT_PAD bytes behind them. */
bool belt_json_is_number(const char *at, const char *end);

/* ---- texts ----------------------------------------------------------------------- */

/* Every backslash in [at, at + size), a string without its quotes, begins an escape. */
bool belt_json_escapes_valid(const char *at, uint32_t size);
/* What the string says, at most `size` bytes; escapes must be valid. *lone: a surrogate
 * without its other half was in it, and became U+FFFD. Returns how many. */
uint32_t belt_json_decode(char *out, const char *at, uint32_t size, bool *lone);
/* The string says just this. */
bool belt_json_says(const char *at, uint32_t size, const char *want, uint32_t want_size);
/* A copy with an 'x' for every byte that is wrong, for the same offsets in UTF-8. BELT_PAD
 * bytes behind it may be read. */
void belt_json_mask(char *out, const char *text, uint32_t size);

/* ---- where ----------------------------------------------------------------------- */

struct belt_json_text {
    const char *bytes;
    uint32_t size;
};

/* The value at `slot` is one of these texts. */
struct belt_json_test {
    int slot;
    uint32_t count;
    struct belt_json_text *texts;
};

/* ---- the step -------------------------------------------------------------------- */

struct belt_json_field {
    const char *name, *path;
    enum belt_type type;
    unsigned digits;
    bool raw, truth; /* raw: the JSON text; truth: true and false as 1 and 0 */
    int slot, column;
    const char *fallback; /* for what is not there, or null; NULL: the message fails */
    uint32_t fallback_size;
    int64_t number; /* the fallback as a number */
    double real;
};

struct belt_json {
    /* Settings. */
    const struct belt_node *into, *where;
    const char *from;
    int check, utf8;
    uint64_t longest;
    /* Made by prepare. */
    struct belt_json_paths paths;
    struct belt_json_field *fields;
    uint32_t fields_used;
    struct belt_json_test *tests;
    uint32_t tests_used;
    /* One of them is in every record that `where` might keep, or else a backslash, by which
     * the same text may be written in other ways. needles is NULL: nothing can be told
     * beforehand; backslash is NULL: needles look for it as well. */
    struct belt_needles *needles, *backslash;
    int source;
};

enum { BELT_JSON_CHECK_KEPT, BELT_JSON_CHECK_ALL };

/* A record as its columns. False: it has failed. `delta`: of the walk's text, from the
 * column's base. */
bool belt_json_store(const struct belt_json *json, const struct belt_json_walk *walk,
                     struct belt_view *view, uint32_t i, uint32_t delta);
/* Those of `rows` that `where` might keep, or that do not begin and end as an object does;
 * with needles. */
uint64_t belt_json_maybe(const struct belt_json *json, const char *base,
                         const struct belt_span *spans, uint64_t rows);
/* Every test of `where` holds. */
bool belt_json_holds(const struct belt_json *json, const struct belt_json_walk *walk);
/* A text column's span that stands for the field's default. */
#define BELT_JSON_FALLBACK UINT32_MAX

int belt_json_read_into(struct belt_json *json, struct belt_setup *setup, struct belt_error *err);
void belt_json_where_free(struct belt_json *json);
int belt_json_read_where(struct belt_json *json, struct belt_setup *setup, struct belt_error *err);

#endif
