/* Between split.c (settings, reasons) and split_hot.c (the work). */
#ifndef BELT_SPLIT_PRIV_H
#define BELT_SPLIT_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/part.h"
#include "steps/number_priv.h"

enum {
    BELT_SPLIT_FIELDS = 64,   /* most fields of a record, skipped ones included */
    BELT_SPLIT_DELIMITER = 8, /* most bytes of a delimiter */
    BELT_SPLIT_SKIP = -1      /* column of a field that nobody wants */
};

enum belt_split_extra { BELT_EXTRA_FAIL, BELT_EXTRA_IGNORE, BELT_EXTRA_REST };

/* How the last 8 bytes of a number lie in a little-endian word: "..-12.3" has
 * its last digit in the highest byte, so a point with one digit after it is
 * byte 6. All constants of that kind for one field. */
struct belt_split_layout {
    uint64_t need;          /* bytes that must be the number's own, without a sign */
    uint64_t dot, dot_byte; /* where the point is, and what it reads there */
    uint64_t before, after; /* the digits on its two sides */
};

struct belt_split_field {
    const char *name, *called; /* called: its column in a header */
    enum belt_type type;
    unsigned digits;
    int column; /* BELT_SPLIT_SKIP: none */
    int text;   /* which of the texts it is, from 0; -1: none */
    bool wide;  /* more digits after the point than a word holds: always read slowly */
    struct belt_split_layout layout;
};

/* Texts to be made anew: by number of the text, a bit a message. */
typedef uint64_t belt_split_rows[BELT_COLUMNS][BELT_WORDS];

struct belt_split;
struct belt_split_work;
typedef void belt_split_frame_fn(const struct belt_split *split, struct belt_split_work *work,
                                 struct belt_view *view);
/* The messages `rows` of word w alone. */
typedef void belt_split_word_fn(const struct belt_split *split, struct belt_split_work *work,
                                struct belt_view *view, uint32_t w, uint64_t rows);
/* Finds the fields of all records in work; the bits of those that have not what is asked for. */
typedef uint64_t belt_split_cut_fn(const struct belt_split *split, struct belt_split_work *work,
                                   const char *base, uint32_t w);

struct belt_split {
    /* Settings. */
    const char *delimiter, *from;
    const struct belt_node *into;
    int extra, utf8;
    bool named; /* fields may say which column of a header they are; set before prepare */
    /* Made by prepare. */
    struct belt_split_field *fields;
    uint32_t count, delimiter_size;
    struct { /* the text columns */
        int columns[BELT_COLUMNS];
        const char *names[BELT_COLUMNS];
        uint32_t count;
    } texts;
    int source;
    uint64_t delimiter_word, delimiter_mask; /* its bytes, and which bytes of a word they are */
    bool two; /* text (or nothing), one byte, number: the short way */
    belt_split_frame_fn *frame;
    /* Another step's way to find fields, and to say why a message failed; NULL: split's. */
    belt_split_cut_fn *cut;
    void (*fail)(const struct belt_split *split, struct belt_view *view, uint32_t i);
    const void *own;
};

/* Up to 64 messages in work: those of one live word, without gaps. */
struct belt_split_work {
    void *own;         /* of the step's own cut */
    uint32_t others;   /* words for which delimiters are not looked for at the ends */
    uint32_t count;    /* messages */
    uint64_t all;      /* a bit for each */
    uint8_t index[64]; /* where each is in its word of the frame */
    struct belt_span records[64];
    struct belt_span names[64]; /* the two-field way: first fields */
    int64_t numbers[64];        /* values of the field in work */
    uint64_t words[64];         /* its last 8 bytes */
    uint32_t sizes[64];         /* its size; above any record's: it was not found */
    uint32_t at[BELT_SPLIT_FIELDS][64], size[BELT_SPLIT_FIELDS][64]; /* from the column's base */
};

/* Record k could not be cut. The stages to come read its fields all the same, so they
 * must be readable. */
static inline void belt_split_blank(const struct belt_split *split, struct belt_split_work *work,
                                    uint32_t k)
{
    for (uint32_t f = 0; f < split->count; f++) {
        work->at[f][k] = work->records[k].at;
        work->size[f][k] = 0;
    }
}

/* Delimiter, source and fields, as the settings have them. 0, or negative with err set. */
int belt_split_make(struct belt_split *split, struct belt_setup *setup, struct belt_error *err);
void belt_split_close(void *split);
/* Texts are to lie where the record does, from here on. */
void belt_split_base(const struct belt_split *split, struct belt_view *view);
/* When all fields are found: sees to UTF-8, and has `make` (belt_rewrite) make the texts of
 * `rows`, and those that are wrong, anew. What the step's frame() returns. */
uint32_t belt_split_end(const struct belt_split *split, struct belt_view *view,
                        belt_split_rows rows,
                        uint32_t (*make)(void *own, uint32_t c, char *out, const char *text,
                                         uint32_t size));
/* The flaw of a field's text, for its type. */
enum belt_flaw belt_split_flaw(const struct belt_split_field *field, const char *text, size_t size);

/* Fails message `i`, known to be bad, with the reason that its text has. Cold. */
void belt_split_fail(const struct belt_split *split, struct belt_view *view, uint32_t i);

belt_split_frame_fn belt_split_frame_v2, belt_split_frame_v3;
belt_split_word_fn belt_split_word_v2, belt_split_word_v3;

#endif
