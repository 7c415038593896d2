/* The format `lines`: the payload as it is, a line each. */
#include <string.h>

#include "core/part.h"

static size_t bound(const void *conf, const struct belt_view *view, uint32_t i)
{
    (void)conf;
    return (size_t)view->columns[0].as.spans[i].size + 1;
}

static size_t row(const void *conf, const struct belt_view *view, uint32_t i, char *out)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)conf;
    memcpy(out, text, size);
    out[size] = '\n';
    return (size_t)size + 1;
}

const struct belt_format belt_format_lines = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_FORMAT,
        .name = "lines",
        .help = "the payload as it is, a line each",
    },
    .bound = bound,
    .row = row,
    .end_size = 1,
};
