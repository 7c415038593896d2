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

/* What all of them would take at most. */
static uint64_t room_for_all(const struct belt_view *view, const struct belt_rewrite *rewrite,
                             uint32_t moving)
{
    uint64_t room = 0;
    for (uint32_t c = 0; c < rewrite->count; c++) {
        const struct belt_span *spans = view->columns[rewrite->columns[c]].as.spans;
        for (uint32_t i = view->first; moving >> c & 1 && i < view->end; i++)
            room += spans[i].size;
    }
    return room * (1 + rewrite->growth);
}

/* How many messages can be ready in one go: those whose texts fit the room for sure. */
static uint32_t fitting(struct belt_view *view, const struct belt_rewrite *rewrite, uint32_t moving)
{
    uint64_t used = 0, limit = belt_room_limit(view);
    if (room_for_all(view, rewrite, moving) <= limit)
        return view->end;
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

/* A column moves as a whole, but nobody has set the texts of messages that are not live. */
static void clear_dead(const struct belt_view *view, struct belt_span *spans)
{
    for (uint32_t w = view->first / 64; w * 64 < view->end; w++) {
        uint64_t live = belt_live_word(view, w);
        for (uint32_t i = w * 64; live != UINT64_MAX && i < (w + 1) * 64; i++)
            if (i >= view->first && !(live >> (i % 64) & 1))
                spans[i] = (struct belt_span){ 0, 0 };
    }
}

/* Of the messages in [first, end), those in whose word any text is to be made anew. */
static uint64_t wanted(const struct belt_view *view, const struct belt_rewrite *rewrite, uint32_t w)
{
    uint64_t rows = 0;
    for (uint32_t c = 0; c < rewrite->count; c++)
        rows |= rewrite->rows[c][w];
    return rows & belt_live_word(view, w);
}

uint32_t belt_rewrite(struct belt_view *view, const struct belt_rewrite *rewrite)
{
    uint32_t moving = 0;
    for (uint32_t c = 0; c < rewrite->count; c++)
        moving |= (uint32_t)any(view, rewrite->rows[c]) << c;
    if (!moving)
        return view->end;
    for (uint32_t c = 0; c < rewrite->count; c++)
        if (moving >> c & 1)
            clear_dead(view, view->columns[rewrite->columns[c]].as.spans);
    uint32_t end = fitting(view, rewrite, moving);
    /* Those behind will be set again: they are not to be moved. */
    for (uint32_t c = 0; c < rewrite->count; c++)
        if (moving >> c & 1)
            memset(view->columns[rewrite->columns[c]].as.spans + end, 0,
                   (BELT_FRAME - end) * sizeof(struct belt_span));
    for (uint32_t w = view->first / 64; w * 64 < end; w++)
        for (uint64_t rows = wanted(view, rewrite, w); rows; rows &= rows - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rows);
            for (uint32_t c = 0; i < end && c < rewrite->count; c++)
                if (has(rewrite->rows[c], i) && !put(view, rewrite, c, i))
                    return i;
        }
    return end;
}
