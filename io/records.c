/* What `records:` means, and records cut off a text accordingly. */
#include "io/records_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/isa.h"
#include "core/settings_priv.h"

#define KINDS "lines, csv, { csv: { ... } }, { fixed: SIZE } or { length: ... }"

static const char torn_reason[] = "the input ends inside this record";
static const char open_reason[] = "a quoted field does not end before the input does";

/* ---- settings ------------------------------------------------------------------ */

static int one_byte(const struct belt_node *map, const char *key, bool none, char *out,
                    struct belt_error *err)
{
    const struct belt_node *node = belt_node_get(map, key);
    const char *text = node ? belt_node_text(node) : NULL;
    if (!node)
        return 0;
    if (text && !*text && none) {
        *out = BELT_CSV_NO_QUOTE;
        return 0;
    }
    if (!text || strlen(text) != 1 || *text == '\n' || *text == '\r')
        return belt_node_error(err, node,
                               "'%s' of records csv must be one byte, and no line's end%s", key,
                               none ? ", or \"\" for none" : "");
    *out = *text;
    return 0;
}

static int yes_or_no(const struct belt_node *map, const char *key, const char *what, bool *out,
                     struct belt_error *err)
{
    const struct belt_node *node = belt_node_get(map, key);
    const char *text = node ? belt_node_text(node) : "false";
    *out = text && strcmp(text, "true") == 0;
    if (*out || (text && strcmp(text, "false") == 0))
        return 0;
    return belt_node_error(err, node, "'%s' of records %s must be true or false", key, what);
}

static int read_csv(struct belt_records *records, const struct belt_node *node,
                    struct belt_error *err)
{
    static const char *const known[] = { "delimiter", "quote", "header", NULL };
    int rc = node ? belt_keys_check(node, "records csv", known, false, err) : 0;
    records->kind = BELT_RECORDS_CSV;
    if (rc == 0 && node)
        rc = one_byte(node, "delimiter", false, &records->delimiter, err);
    if (rc == 0 && node)
        rc = one_byte(node, "quote", true, &records->quote, err);
    if (rc == 0 && node)
        rc = yes_or_no(node, "header", "csv", &records->header, err);
    if (rc == 0 && records->delimiter == records->quote)
        rc = belt_node_error(err, node, "records csv: the delimiter and the quote are the same");
    return rc;
}

static int read_fixed(struct belt_records *records, const struct belt_node *node,
                      struct belt_error *err)
{
    struct belt_error inner;
    uint64_t size;
    const char *text = belt_node_text(node);
    records->kind = BELT_RECORDS_FIXED;
    if (!text)
        return belt_node_error(err, node, "fixed needs a size like 128B");
    if (belt_parse_size(text, &size, &inner) < 0)
        return belt_node_error(err, node, "fixed: %s", inner.text);
    if (size < 1 || size > BELT_RECORD_MAX)
        return belt_node_error(err, node, "fixed must be 1B to 16MiB, not %.60s", text);
    records->size = (uint32_t)size;
    if (records->limit < size)
        records->limit = (uint32_t)size;
    return 0;
}

static int read_prefix(struct belt_records *records, const struct belt_node *node,
                       struct belt_error *err)
{
    static const struct {
        const char *name;
        uint32_t size;
        bool big;
    } prefixes[] = { { "u8", 1, false },    { "u16le", 2, false }, { "u16be", 2, true },
                     { "u32le", 4, false }, { "u32be", 4, true },  { "u64le", 8, false },
                     { "u64be", 8, true },  { "varint", 0, false } };
    const char *names[sizeof prefixes / sizeof *prefixes],
        *text = node ? belt_node_text(node) : NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        names[i] = prefixes[i].name;
        if (!text || strcmp(text, names[i]) != 0)
            continue;
        records->prefix = prefixes[i].size;
        records->big = prefixes[i].big;
        return 0;
    }
    const char *near = text ? belt_nearest(text, names, sizeof names / sizeof *names) : NULL;
    if (near)
        return belt_node_error(err, node, "length: no prefix '%.60s'; did you mean '%s'?", text,
                               near);
    return belt_node_error(err, node,
                           "length: the prefix must be one of u8, u16le, u16be, u32le, u32be, "
                           "u64le, u64be, varint");
}

static int read_length(struct belt_records *records, const struct belt_node *node,
                       struct belt_error *err)
{
    static const char *const known[] = { "prefix", "counts_itself", NULL };
    records->kind = BELT_RECORDS_LENGTH;
    if (belt_node_kind(node) != BELT_NODE_MAP)
        return read_prefix(records, node, err);
    int rc = belt_keys_check(node, "records length", known, false, err);
    if (rc < 0)
        return rc;
    rc = yes_or_no(node, "counts_itself", "length", &records->counts_all, err);
    if (rc < 0)
        return rc;
    const struct belt_node *prefix = belt_node_get(node, "prefix");
    if (!prefix)
        return belt_node_error(err, node, "length needs 'prefix': u8, u16le, u32be, varint, ...");
    return read_prefix(records, prefix, err);
}

static int read_kind(struct belt_records *records, const struct belt_node *node,
                     struct belt_error *err)
{
    static const char *const known[] = { "csv", "fixed", "length", NULL };
    const char *text = belt_node_text(node);
    if (text) {
        if (strcmp(text, "csv") == 0)
            return read_csv(records, NULL, err);
        if (strcmp(text, "lines") == 0)
            return 0;
        return belt_node_error(err, node, "'records' must be " KINDS ", not '%.60s'", text);
    }
    if (belt_node_kind(node) != BELT_NODE_MAP || belt_node_count(node) != 1)
        return belt_node_error(err, node, "'records' must be " KINDS);
    int rc = belt_keys_check(node, "records", known, false, err);
    if (rc < 0)
        return rc;
    const struct belt_node *own = belt_node_at(node, 0);
    const char *kind = belt_node_key(node, 0);
    if (strcmp(kind, "csv") == 0)
        return read_csv(records, own, err);
    return strcmp(kind, "fixed") == 0 ? read_fixed(records, own, err)
                                      : read_length(records, own, err);
}

int belt_records_read(struct belt_records *records, const struct belt_node *node, uint64_t limit,
                      struct belt_error *err)
{
    char size[BELT_UNIT_ROOM];
    *records = (struct belt_records){
        .limit = (uint32_t)limit, .delimiter = ',', .quote = '"', .vectors = belt_isa_v3()
    };
    int rc = node ? read_kind(records, node, err) : 0;
    belt_format_size(records->limit, size);
    snprintf(records->too_long, sizeof records->too_long, "record longer than max_record (%s)",
             size);
    snprintf(records->unclosed, sizeof records->unclosed,
             "a quoted field does not end within max_record (%s)", size);
    snprintf(records->bad_length, sizeof records->bad_length,
             "no length, or one above max_record (%s): the input from here on cannot be cut", size);
    return rc;
}

/* ---- what the kinds share ------------------------------------------------------ */

/* False: others in this frame failed for another reason, they go first. */
static bool put_failed(struct belt_records_out *out, uint32_t at, uint32_t size, const char *reason)
{
    if (out->reason && out->reason != reason) {
        out->room = out->count;
        return false;
    }
    out->reason = reason;
    out->failed[out->count / 64] |= UINT64_C(1) << (out->count % 64);
    out->spans[out->count++] = (struct belt_span){ at, size };
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- CSV ----------------------------------------------------------------------- */

static void go_on_at(struct belt_cut *cut, uint32_t at)
{
    cut->at = cut->seen = at;
    cut->state = BELT_CSV_OPEN;
}

/* The record at cut->at is none. Its first line fails, whatever is behind that may be
 * one: a quote too many costs a line, not all that follows. */
static void fail_line(const struct belt_records *records, struct belt_cut *cut, const char *text,
                      uint32_t have, const char *reason, struct belt_records_out *out)
{
    uint32_t at = cut->at, size = least(have - at, records->limit + 2);
    const char *newline = memchr(text + at, '\n', size);
    uint32_t line = newline ? (uint32_t)(newline - text) - at : size;
    if (newline && line && newline[-1] == '\r')
        line--;
    if (!reason) /* it goes on behind a newline only within quotes */
        reason = newline && line <= records->limit ? records->unclosed : records->too_long;
    if (!put_failed(out, at, least(line, records->limit), reason))
        return;
    cut->careful = at + records->limit + 2;
    cut->seeks = !newline;
    go_on_at(cut, newline ? (uint32_t)(newline - text) + 1 : at + size);
}

/* Takes back the records from the first one on that is over the limit, and fails it. */
static bool limit_csv(const struct belt_records *records, struct belt_cut *cut, const char *text,
                      uint32_t have, uint32_t from, struct belt_records_out *out)
{
    uint32_t i = from;
    const struct belt_span *last = &out->spans[out->count - 1];
    if (out->count == from || last->at + last->size - out->spans[from].at <= records->limit)
        return false;
    while (i < out->count && out->spans[i].size <= records->limit)
        i++;
    if (i == out->count)
        return false;
    go_on_at(cut, out->spans[i].at);
    out->count = i;
    fail_line(records, cut, text, have, NULL, out);
    return true;
}

/* The last bytes of the input, without a newline. */
static void csv_rest(const struct belt_records *records, struct belt_cut *cut, const char *text,
                     uint32_t have, const char *torn, struct belt_records_out *out)
{
    uint32_t size = have - cut->at;
    bool open = cut->state == BELT_CSV_QUOTED;
    if (torn || open || size > records->limit) {
        fail_line(records, cut, text, have, torn ? torn : open ? open_reason : NULL, out);
        return;
    }
    out->spans[out->count++] = (struct belt_span){ cut->at, size };
    go_on_at(cut, have);
}

static bool seek_newline(struct belt_cut *cut, const char *text, uint32_t have)
{
    const char *newline = cut->at < have ? memchr(text + cut->at, '\n', have - cut->at) : NULL;
    cut->seeks = !newline;
    go_on_at(cut, newline ? (uint32_t)(newline - text) + 1 : have);
    return newline;
}

/* A record that is within quotes at its first newline is where the one was that began before
 * it and had no end: neither has this one, as far as was looked. Without this, each line of
 * a text without an end would be looked through as far as a record may be long. */
static void leap(const struct belt_records *records, struct belt_cut *cut, const char *text)
{
    enum belt_csv_state state = BELT_CSV_OPEN;
    uint32_t at = cut->at;
    if (cut->seen != at)
        return;
    for (; at < cut->known && text[at] != '\n'; at++)
        state = belt_csv_next(records, state, text[at]);
    if (at < cut->known && state == BELT_CSV_QUOTED) {
        cut->seen = cut->known;
        cut->state = cut->known_state;
    }
}

/* One round: false when it brought nothing, and more is needed. */
static bool csv_round(const struct belt_records *records, struct belt_cut *cut, const char *text,
                      uint32_t have, uint32_t stop, struct belt_records_out *out)
{
    static belt_csv_scan_fn *const scans[] = { belt_csv_scan_v2, belt_csv_scan_v3 };
    uint32_t from = out->count, whole = least(stop, have);
    /* Behind a record without an end, lines are looked at one by one, not each as far
     * as the text goes. */
    uint64_t far = (uint64_t)cut->at + records->limit + BELT_RECORD_EDGE;
    bool careful = cut->at < cut->careful;
    if (cut->at < cut->known)
        leap(records, cut, text);
    uint32_t end = careful && far < have ? (uint32_t)far : have;
    belt_csv_scan_fn *scan = scans[records->vectors];
    if (!careful && cut->seen < whole)
        out->count += scan(records, cut, text, whole, out->spans + from, out->room - from);
    if (cut->at < stop && out->count < out->room && cut->seen < end)
        out->count += scan(records, cut, text, end, out->spans + out->count, 1);
    if (limit_csv(records, cut, text, have, from, out) || out->count > from)
        return true;
    if (have - cut->at < records->limit + 2)
        return false;
    uint32_t known = cut->seen, state = cut->state;
    fail_line(records, cut, text, have, NULL, out);
    cut->known = known;
    cut->known_state = state;
    return true;
}

static bool cut_csv(const struct belt_records *records, struct belt_cut *cut, const char *text,
                    uint32_t have, uint32_t stop, bool ended, const char *torn,
                    struct belt_records_out *out)
{
    while (cut->at < stop && out->count < out->room) {
        if (cut->seeks ? !seek_newline(cut, text, have)
                       : !csv_round(records, cut, text, have, stop, out)) {
            if (!ended && !torn)
                return true;
            if (cut->at >= have)
                return false;
            csv_rest(records, cut, text, have, torn, out);
        }
    }
    return false;
}

/* ---- fixed --------------------------------------------------------------------- */

static bool cut_fixed(const struct belt_records *records, struct belt_cut *cut, uint32_t have,
                      uint32_t stop, bool ended, const char *torn, struct belt_records_out *out)
{
    while (cut->at < stop && out->count < out->room) {
        uint32_t left = have - cut->at;
        if (left >= records->size) {
            out->spans[out->count++] = (struct belt_span){ cut->at, records->size };
            cut->at += records->size;
        } else if (!ended && !torn) {
            return true;
        } else {
            if (left && put_failed(out, cut->at, left, torn ? torn : torn_reason))
                cut->at = have;
            return false;
        }
    }
    return false;
}

/* ---- lengths ------------------------------------------------------------------- */

/* Seven bits a byte, the lowest first; the highest bit: another follows. */
static int read_varint(const char *text, uint32_t left, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < 10; i++) {
        if (i == left)
            return 0;
        uint64_t byte = (unsigned char)text[i];
        if (i == 9 && byte > 1)
            return -1;
        *value |= (byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return (int)i + 1;
    }
    return -1;
}

/* The prefix's size, and the record's behind it; 0: it is not all there, negative: it is none. */
static int read_head(const struct belt_records *records, const char *text, uint32_t left,
                     uint32_t *size)
{
    uint64_t value = 0;
    int head = (int)records->prefix;
    if (!head)
        head = read_varint(text, left, &value);
    else if (left < records->prefix)
        head = 0;
    for (int i = 0; records->prefix && i < head; i++)
        value = value << 8 | (unsigned char)text[records->big ? i : head - 1 - i];
    if (head <= 0)
        return head;
    uint64_t own = records->counts_all ? (uint64_t)head : 0;
    if (value < own || value - own > records->limit)
        return -1;
    *size = (uint32_t)(value - own);
    return head;
}

/* Where no length can be trusted, none behind it can. False: more is needed. */
static bool fail_all(const struct belt_records *records, struct belt_cut *cut, uint32_t have,
                     bool ended, struct belt_records_out *out)
{
    uint32_t size = least(have - cut->at, records->limit);
    if (size < records->limit && !ended)
        return false;
    if (put_failed(out, cut->at, size, records->bad_length)) {
        cut->seeks = true;
        cut->at = have;
    }
    return true;
}

static bool cut_lengths(const struct belt_records *records, struct belt_cut *cut, const char *text,
                        uint32_t have, uint32_t stop, bool ended, const char *torn,
                        struct belt_records_out *out)
{
    while (cut->at < stop && out->count < out->room) {
        uint32_t left = have - cut->at, size = 0;
        if (cut->seeks) {
            cut->at = have;
            return have < stop && !ended && !torn;
        }
        int head = read_head(records, text + cut->at, left, &size);
        if (head < 0) {
            if (!fail_all(records, cut, have, ended || torn, out))
                return true;
        } else if (head && left - (uint32_t)head >= size) {
            out->spans[out->count++] = (struct belt_span){ cut->at + (uint32_t)head, size };
            cut->at += (uint32_t)head + size;
        } else if (!ended && !torn) {
            return true;
        } else {
            if (left && put_failed(out, cut->at + (uint32_t)head, left - (uint32_t)head,
                                   torn ? torn : torn_reason))
                cut->at = have;
            return false;
        }
    }
    return false;
}

bool belt_records_cut(const struct belt_records *records, struct belt_cut *cut, const char *text,
                      uint32_t have, uint32_t stop, bool ended, const char *torn,
                      struct belt_records_out *out)
{
    if (records->kind == BELT_RECORDS_CSV)
        return cut_csv(records, cut, text, have, stop, ended, torn, out);
    if (records->kind == BELT_RECORDS_FIXED)
        return cut_fixed(records, cut, have, stop, ended, torn, out);
    return cut_lengths(records, cut, text, have, stop, ended, torn, out);
}

void belt_records_skip(const struct belt_records *records, struct belt_cut *cut, const char *text,
                       uint32_t end)
{
    static belt_csv_skip_fn *const skips[] = { belt_csv_skip_v2, belt_csv_skip_v3 };
    if (records->kind == BELT_RECORDS_CSV && !cut->seeks && cut->careful <= cut->at &&
        cut->seen < end)
        skips[records->vectors](records, cut, text, end);
}
