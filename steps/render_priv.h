/* How `render` writes a field: {field:WAY:WAY|what to write when it is empty}. */
#ifndef BELT_RENDER_PRIV_H
#define BELT_RENDER_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/part.h"

enum {
    BELT_WAY_NUMBER = 64,  /* bytes of a number with places */
    BELT_WAY_WIDTH = 1000, /* most that a field is widened to */
    BELT_WAY_PLACES = 18
};

struct belt_way_out;

/* What surrounds a text, and what becomes of bytes in it. */
struct belt_way_quote {
    const char *name;
    void (*put)(struct belt_way_out *out, const char *text, uint32_t size);
    bool numbers; /* of numbers, too */
};

struct belt_way {
    bool given, trim;
    char (*letter)(char); /* what becomes of letters; NULL: nothing */
    const struct belt_way_quote *quote;
    char side;             /* of its width: '<', '>', '0'; 0: none */
    uint32_t width;        /* bytes */
    int places;            /* of numbers, behind the point; -1: as they are */
    const char *otherwise; /* for an empty text; NULL: nothing */
    uint32_t otherwise_size;
};

/* `spec` is what stands behind the name, up to the brace: "", ":json", ":>8|none". 0, or
 * negative with err set. Texts of `spec` stay in use. */
int belt_way_read(struct belt_way *way, const char *spec, size_t size,
                  const struct belt_column_info *info, const struct belt_node *node,
                  struct belt_error *err);
/* The value of message i as the way's places say, into number[]; or the text itself. */
const char *belt_way_value(const struct belt_way *way, const struct belt_view *view, int column,
                           const struct belt_column_info *info, uint32_t i,
                           char number[BELT_WAY_NUMBER], uint32_t *size);
/* Writes the value to `out`; NULL: writes nothing. The bytes that it takes. */
uint64_t belt_way_write(const struct belt_way *way, const struct belt_column_info *info,
                        const char *text, uint32_t size, char *out);

#endif
