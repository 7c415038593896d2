/* Records out of bytes: `records:` of a source, without its reading. Lines are
 * apart (scan_priv.h); here is what needs to know more than a newline. */
#ifndef BELT_IO_RECORDS_PRIV_H
#define BELT_IO_RECORDS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/part.h"

enum {
    BELT_RECORD_MAX = 16 << 20, /* most bytes of a record */
    BELT_RECORD_EDGE = 16,      /* bytes around a record that must be seen: prefix, line's end */
    BELT_CSV_NO_QUOTE = '\n'    /* as the quote: there is none */
};

enum belt_records_kind {
    BELT_RECORDS_LINES,
    BELT_RECORDS_CSV,
    BELT_RECORDS_FIXED,
    BELT_RECORDS_LENGTH
};

struct belt_records {
    enum belt_records_kind kind;
    uint32_t limit;        /* max_record */
    char delimiter, quote; /* CSV */
    bool vectors;          /* of 32 bytes may be used */
    bool header;           /* CSV: the first record of each file names the columns */
    uint32_t size;         /* FIXED: of each record */
    uint32_t prefix;       /* LENGTH: its bytes; 0: a varint */
    bool big, counts_all;  /* most significant byte first; the length counts the prefix, too */
    /* Reasons of records that cannot be taken whole. */
    char too_long[80], unclosed[80], bad_length[112];
};

/* Where in a CSV record a byte is. */
enum belt_csv_state {
    BELT_CSV_OPEN,  /* a quote would open a field here, or double the one before */
    BELT_CSV_PLAIN, /* it would be a byte like others: within a field, outside quotes */
    BELT_CSV_QUOTED /* it would close the field */
};

/* How far a text has been cut. Positions are bytes from its start. */
struct belt_cut {
    uint32_t at;          /* the next record begins here */
    uint32_t seen;        /* CSV: looked through as far as here, `at` or later, */
    uint32_t state;       /* ... where the state is this */
    uint32_t careful;     /* CSV: before here, no look goes further than a record may be long */
    uint32_t known;       /* CSV: a record that failed had no end before here, */
    uint32_t known_state; /* ... where the state was this */
    bool seeks; /* in bytes that belong to a record which has failed: up to a newline, or all */
};

/* Records that are found, from `count` on. Failed ones get their bit; all that fail
 * together fail for the same reason. */
struct belt_records_out {
    struct belt_span *spans; /* [room] */
    uint32_t count, room;    /* room: at most BELT_FRAME */
    uint64_t *failed;
    const char *reason; /* of those that failed; NULL: none did */
};

/* `records:` as written, with max_record. 0, or negative with err set. */
int belt_records_read(struct belt_records *records, const struct belt_node *node, uint64_t limit,
                      struct belt_error *err);

/* Cuts records off text[cut->at, have) that begin before `stop`, and whose end can be seen,
 * into `out`. `ended`: the input ends at `have`; `torn`: no, but no more can be had: the
 * record there fails for this reason. True: there is room, and more of the text is needed;
 * never more than limit + BELT_RECORD_EDGE bytes from cut->at. Reads a byte before `at` and
 * BELT_PAD past `have`. What comes out does not depend on how the text comes in pieces. */
bool belt_records_cut(const struct belt_records *records, struct belt_cut *cut, const char *text,
                      uint32_t have, uint32_t stop, bool ended, const char *torn,
                      struct belt_records_out *out);

/* Passes over records as belt_records_cut would, where that is quicker: to one that begins
 * before `end`, no further than to the last that does. */
void belt_records_skip(const struct belt_records *records, struct belt_cut *cut, const char *text,
                       uint32_t end);

/* Complete records of CSV from cut->at up to `end`, at most `room`, and where that leaves
 * the cut. Sizes are not looked at. */
typedef uint32_t belt_csv_scan_fn(const struct belt_records *records, struct belt_cut *cut,
                                  const char *text, uint32_t end, struct belt_span *spans,
                                  uint32_t room);
belt_csv_scan_fn belt_csv_scan_v2, belt_csv_scan_v3;
/* The same, of records that nobody wants to see: to the last one that begins before `end`. False,
 * and the cut where it was: one may be over the limit. */
typedef bool belt_csv_skip_fn(const struct belt_records *records, struct belt_cut *cut,
                              const char *text, uint32_t end);
belt_csv_skip_fn belt_csv_skip_v2, belt_csv_skip_v3;

/* What follows one more byte. */
static inline enum belt_csv_state belt_csv_next(const struct belt_records *records,
                                                enum belt_csv_state state, char byte)
{
    bool cut = byte == records->delimiter || byte == '\n';
    if (state == BELT_CSV_QUOTED)
        return byte == records->quote ? BELT_CSV_OPEN : BELT_CSV_QUOTED;
    if (byte == records->quote && byte != BELT_CSV_NO_QUOTE && state == BELT_CSV_OPEN)
        return BELT_CSV_QUOTED;
    return cut ? BELT_CSV_OPEN : BELT_CSV_PLAIN;
}

#endif
