#include "steps/rewrite_priv.h"

#include <stdio.h>
#include <string.h>

static bool has(const uint64_t rows[BELT_WORDS], uint32_t i)
{
    return rows[i / 64] >> (i % 64) & 1;
}

static bool any(const struct belt_view *view, const uint64_t rows[BELT_WORDS])
{
    for (uint32_t w = view->first / 64; w * 64 < view->end; w++)
        if (rows[w] & belt_live_word(view, w))
            return true;
    return false;
}

/* Room that message i takes: new texts, and, for a column moves as a whole, all other texts
 * of the columns that have new ones. */
static uint64_t room_for(const struct belt_view *view, const struct belt_rewrite *rewrite,
                         uint32_t moving, uint32_t i)
{
    uint64_t room = 0;
    for (uint32_t c = 0; c < rewrite->count; c++) {
        uint32_t size = view->columns[rewrite->columns[c]].as.spans[i].size;
        if (moving >> c & 1)
            room += size + (has(rewrite->rows[c], i) ? (uint64_t)size * rewrite->growth : 0);
    }
    return room;
}

/* How many messages can be ready in one go: those whose texts fit the room for sure. */
static uint32_t fitting(struct belt_view *view, const struct belt_rewrite *rewrite, uint32_t moving)
{
    uint64_t used = 0, limit = belt_room_limit(view);
    uint32_t first = belt_next_live(view, view->first);
    BELT_EACH (view, i) {
        uint64_t room = room_for(view, rewrite, moving, i);
        if (used + room > limit && i > first)
            return i;
        if (room > limit) { /* alone, and still too much */
            char reason[BELT_REASON];
            snprintf(reason, sizeof reason, "new texts of %llu bytes, %llu fit",
                     (unsigned long long)room, (unsigned long long)limit);
            belt_fail_message(view, i, reason);
            first = belt_next_live(view, i + 1);
            continue;
        }
        used += room;
    }
    return view->end;
}

static bool put(struct belt_view *view, const struct belt_rewrite *rewrite, uint32_t c, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, rewrite->columns[c], i, &size);
    char *out = belt_room(view, size * rewrite->growth);
    if (!out)
        return false;
    size = rewrite->make(rewrite->own, c, out, text, size);
    return belt_put_text(view, rewrite->columns[c], i, out, size);
}

/* A column moves as a whole, but nobody has set the texts of messages that are not live,
 * and those from `end` on will be set again. */
static void clear_others(const struct belt_view *view, struct belt_span *spans, uint32_t end)
{
    for (uint32_t i = view->first; i < end; i++)
        if (!belt_is_live(view, i))
            spans[i] = (struct belt_span){ 0, 0 };
    memset(spans + end, 0, (BELT_FRAME - end) * sizeof *spans);
}

uint32_t belt_rewrite(struct belt_view *view, const struct belt_rewrite *rewrite)
{
    uint32_t moving = 0;
    for (uint32_t c = 0; c < rewrite->count; c++)
        moving |= (uint32_t)any(view, rewrite->rows[c]) << c;
    if (!moving)
        return view->end;
    uint32_t end = fitting(view, rewrite, moving);
    for (uint32_t c = 0; c < rewrite->count; c++)
        if (moving >> c & 1)
            clear_others(view, view->columns[rewrite->columns[c]].as.spans, end);
    for (uint32_t i = belt_next_live(view, view->first); i < end; i = belt_next_live(view, i + 1))
        for (uint32_t c = 0; c < rewrite->count; c++)
            if (has(rewrite->rows[c], i) && !put(view, rewrite, c, i))
                return i;
    return end;
}
