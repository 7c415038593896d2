/* The formats `lines` and `raw`: the payload as it is, a line each, or nothing between. */
#include <string.h>

#include "core/spans_priv.h"
#include "io/rows_priv.h"

/* ---- one row ---------------------------------------------------------------- */

static size_t line_bound(const void *conf, const struct belt_view *view, uint32_t i)
{
    (void)conf;
    return (size_t)view->columns[0].as.spans[i].size + 1;
}

static size_t line(const void *conf, const struct belt_view *view, uint32_t i, char *out)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)conf;
    memcpy(out, text, size);
    out[size] = '\n';
    return (size_t)size + 1;
}

static size_t raw_bound(const void *conf, const struct belt_view *view, uint32_t i)
{
    (void)conf;
    return view->columns[0].as.spans[i].size;
}

static size_t raw(const void *conf, const struct belt_view *view, uint32_t i, char *out)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)conf;
    memcpy(out, text, size);
    return size;
}

/* ---- many ------------------------------------------------------------------- */

static size_t text_bytes(const struct belt_view *view, uint32_t w, uint64_t mask)
{
    const struct belt_span *spans = view->columns[0].as.spans + (size_t)w * 64;
    size_t bytes = 0;
    if (mask == UINT64_MAX)
        return belt_spans_bytes(spans, 64);
    for (; mask; mask &= mask - 1)
        bytes += spans[__builtin_ctzll(mask)].size;
    return bytes;
}

static inline size_t put_texts(const struct belt_view *view, uint32_t w, uint64_t mask, char *out,
                               uint32_t at, struct belt_span *places, uint32_t end)
{
    const struct belt_span *spans = view->columns[0].as.spans + (size_t)w * 64;
    const char *base = view->columns[0].base;
    char *to = out;
    for (; mask; mask &= mask - 1) {
        struct belt_span text = spans[__builtin_ctzll(mask)];
        belt_copy_text(to, base + text.at, text.size);
        to += text.size;
        if (end)
            *to++ = '\n';
        if (places)
            *places++ = (struct belt_span){ at, text.size + end };
        at += text.size + end;
    }
    return (size_t)(to - out);
}

static size_t text_size(const struct belt_view *view, uint32_t w, uint64_t mask)
{
    return belt_spans_size(view->columns[0].as.spans + (size_t)w * 64, mask);
}

static size_t line_even(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    size_t size = text_size(view, w, mask);
    (void)conf;
    return size ? size + 1 : 0;
}

static size_t line_bounds(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    (void)conf;
    return text_bytes(view, w, mask) + (size_t)__builtin_popcountll(mask);
}

static size_t lines(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask,
                    char *out, uint32_t at, struct belt_span *places)
{
    (void)conf;
    return put_texts(view, w, mask, out, at, places, 1);
}

static size_t raw_bounds(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    (void)conf;
    return text_bytes(view, w, mask);
}

static size_t raw_even(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask)
{
    (void)conf;
    return text_size(view, w, mask);
}

/* Whether texts lie one after another, as a source leaves them. */
static bool lie_together(const struct belt_span *spans, uint32_t count)
{
    uint32_t apart = 0;
    for (uint32_t k = 0; k + 1 < count; k++)
        apart |= (spans[k].at + spans[k].size) ^ spans[k + 1].at;
    return !apart;
}

static size_t raws(const void *conf, const struct belt_view *view, uint32_t w, uint64_t mask,
                   char *out, uint32_t at, struct belt_span *places)
{
    uint32_t first = (uint32_t)__builtin_ctzll(mask);
    uint32_t count = (uint32_t)__builtin_popcountll(mask);
    const struct belt_span *spans = view->columns[0].as.spans + (size_t)w * 64 + first;
    bool gaps = mask >> first & ((mask >> first) + 1);
    (void)conf;
    if (gaps || !(places ? lie_together(spans, count) : belt_spans_follow(spans, count)))
        return put_texts(view, w, mask, out, at, places, 0);
    uint32_t bytes = spans[count - 1].at + spans[count - 1].size - spans[0].at;
    if (places)
        belt_spans_move(places, spans, count, at - spans[0].at);
    memcpy(out, view->columns[0].base + spans[0].at, bytes);
    return bytes;
}

const struct belt_format belt_format_lines = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "lines",
        .help = "the payload as it is, a line each",
    },
    .bound = line_bound,
    .row = line,
    .end_size = 1,
    .bounds = line_bounds,
    .rows = lines,
    .even = line_even,
};

const struct belt_format belt_format_raw = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "raw",
        .help = "the payload as it is, with nothing between two of them",
    },
    .bound = raw_bound,
    .row = raw,
    .bounds = raw_bounds,
    .rows = raws,
    .even = raw_even,
};
