/* Between csv.c (settings, frames), csv_row.c (one row, exactly) and csv_hot.c (many). */
#ifndef BELT_STEPS_CSV_PRIV_H
#define BELT_STEPS_CSV_PRIV_H

#include "steps/split_priv.h"

enum belt_csv_quotes { BELT_CSV_STRICT, BELT_CSV_LENIENT };
enum belt_csv_missing { BELT_CSV_MISSING_FAIL, BELT_CSV_MISSING_EMPTY };

struct belt_csv_state;

struct belt_csv {
    struct belt_split split; /* rows without quotes, where columns are by position */
    const char *quote_text;
    int quotes, missing;
    bool header;
    /* Made by prepare. */
    struct belt_split any; /* all other rows: with a cut of its own */
    char delimiter, quote;
    bool has_quote;
    bool by_place; /* rows without quotes may go split's way */
    void (*frame)(struct belt_csv_state *own, struct belt_view *view);
};

/* Which column of a row each field is. */
struct belt_csv_layout {
    const char *header; /* that it was made of; NULL: columns are by position */
    uint32_t header_size;
    int lacks; /* a field that the header has not, or twice; -1: none */
    bool twice;
    uint32_t columns; /* that a row has */
    uint32_t count;
    struct {
        uint32_t column, field;
    } order[BELT_SPLIT_FIELDS]; /* [count], by column */
};

#define BELT_CSV_LAYOUTS 4 /* kept of headers seen last */

struct belt_csv_state {
    const struct belt_csv *csv;
    const struct belt_csv_layout *layout; /* of the rows in work */
    struct belt_split_work work;
    struct belt_csv_layout layouts[BELT_CSV_LAYOUTS]; /* the first one: by position */
    uint32_t next_layout;
    belt_split_rows rows; /* texts with doubled quotes, and the like */
    bool any_rows;
};

/* The layout of rows whose columns are by position. */
void belt_csv_places(const struct belt_csv *csv, struct belt_csv_layout *layout);
/* That of rows below a header; NULL, 0: there is none. */
void belt_csv_read_header(const struct belt_csv *csv, const char *header, uint32_t size,
                          struct belt_csv_layout *layout);
/* The layout of message i, and those of the 64 messages `rows` of word w that have the same. */
const struct belt_csv_layout *belt_csv_layout_of(struct belt_csv_state *own,
                                                 const struct belt_view *view, uint32_t w,
                                                 uint64_t rows, uint64_t *same);

/* ---- one row --------------------------------------------------------------------- */

enum belt_csv_flaw {
    BELT_CSV_GOOD,
    BELT_CSV_AFTER,  /* text behind a closing quote */
    BELT_CSV_WITHIN, /* a quote in a field that has none around it */
    BELT_CSV_OPEN    /* no closing quote */
};

struct belt_csv_field {
    uint32_t at, size; /* in the row, with its quotes */
    enum belt_csv_flaw flaw;
    bool quoted;
    bool plain; /* quoted, and what is within is the text: nothing is doubled */
};

/* The field that begins at `at`; the row goes on behind at + size when that is less than
 * the row's size. */
struct belt_csv_field belt_csv_field_at(const struct belt_csv *csv, const char *row, uint32_t size,
                                        uint32_t at);
/* The text of a field that begins with a quote, into out[size]. */
uint32_t belt_csv_unquote(const struct belt_csv *csv, char *out, const char *field, uint32_t size);
/* As belt_csv_cut, for row `k` of the work. */
bool belt_csv_cut_row(struct belt_csv_state *own, const char *base, uint32_t k, uint32_t w);
/* Says why, by the layout that message `i` has. */
void belt_csv_fail(const struct belt_csv *csv, const struct belt_csv_layout *layout,
                   struct belt_view *view, uint32_t i);

/* ---- many ------------------------------------------------------------------------ */

static inline void belt_csv_mark(struct belt_csv_state *own, uint32_t field, uint32_t i)
{
    int text = own->csv->split.fields[field].text;
    if (text < 0)
        return;
    own->rows[text][i / 64] |= UINT64_C(1) << (i % 64);
    own->any_rows = true;
}

/* All messages of the view. */
typedef void belt_csv_frame_fn(struct belt_csv_state *own, struct belt_view *view);
belt_csv_frame_fn belt_csv_frame_v2, belt_csv_frame_v3;
belt_split_cut_fn belt_csv_cut_v2, belt_csv_cut_v3;

#endif
