/* The source `counter`: numbers, as fast as frames can be filled. For tests and
 * benches: what it costs to move a message that costs nothing to make. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/part.h"
#include "core/spans_priv.h"
#include "rings/atomic.h"

#define CHUNK (64 * BELT_FRAME) /* numbers that an instance claims at a time */
#define SLAB (BELT_FRAME * 8)   /* a frame each */
#define SLABS 8
#define PLACE_COUNTS 0x80000000u /* in belt_fill.file: `place` counts records, not bytes */

struct counter_conf {
    int64_t count;
    char apart[128]; /* the word that all instances write, on a line of its own */
    uint64_t next;   /* chunk to be claimed next */
    char apart_too[128];
};

struct counter_state {
    struct counter_conf *conf;
    char *arena;
    uint32_t free[64], free_used;
    uint64_t chunk, at, end; /* the chunk under way: numbers [at, end) are to come */
    bool stopped;
    uint64_t consumed; /* bytes; written here only, read by the progress line */
};

static const struct belt_setting settings[] = {
    { "count", BELT_SET_INT, offsetof(struct counter_conf, count), NULL,
      "how many messages: 0, 1, 2, ... as 8 bytes, lowest first", NULL, 0, 0 },
    { 0 },
};

static int prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf, (void)err;
    belt_setup_arena(setup, SLAB, SLABS);
    return 0;
}

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct counter_state *s = state;
    (void)err;
    s->conf = conf;
    s->arena = in->arena;
    s->free_used = in->slabs < 64 ? in->slabs : 64;
    for (uint32_t i = 0; i < s->free_used; i++)
        s->free[i] = i;
    return 0;
}

static bool claim(struct counter_state *s)
{
    uint64_t count = (uint64_t)s->conf->count;
    /* Relaxed: the number is all that is handed over. */
    s->chunk = belt_fetch_add_relaxed(&s->conf->next, 1);
    s->at = s->chunk * CHUNK;
    s->end = s->at + CHUNK < count ? s->at + CHUNK : count;
    return s->at < count;
}

static void write_numbers(char *to, uint64_t from, uint32_t count)
{
    for (size_t i = 0; i < count; i++) { /* one of 32 bits may wrap: no vector then */
        uint64_t number = from + i;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        number = __builtin_bswap64(number);
#endif
        memcpy(to + 8 * i, &number, 8);
    }
}

static int fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct counter_state *s = state;
    (void)err;
    if (s->stopped)
        return BELT_FILL_END;
    if (!s->free_used)
        return BELT_FILL_IDLE;
    if (s->at >= s->end && !claim(s)) {
        s->at = s->end;
        return BELT_FILL_END;
    }
    uint32_t count = s->end - s->at < out->most ? (uint32_t)(s->end - s->at) : out->most;
    out->slab = s->free[--s->free_used];
    char *slab = s->arena + (size_t)out->slab * SLAB;
    out->base = slab;
    out->chunk = s->chunk;
    out->file = PLACE_COUNTS;
    out->place = s->at;
    belt_spans_fill(out->spans, count, 8);
    write_numbers(slab, s->at, count);
    s->at += count;
    out->last_of_slab = true;
    out->last_of_chunk = s->at == s->end;
    /* Relaxed: a figure for the progress line; only this thread writes it. */
    belt_store_relaxed(&s->consumed, s->consumed + 8 * (uint64_t)count);
    return (int)count;
}

static void recycle(void *state, uint32_t slab)
{
    struct counter_state *s = state;
    s->free[s->free_used++] = slab;
}

static void stop(void *state)
{
    ((struct counter_state *)state)->stopped = true;
}

static int where(void *conf, uint32_t file, uint64_t place, char *out, size_t room)
{
    (void)conf, (void)file;
    return snprintf(out, room, "counter:%llu", (unsigned long long)place);
}

static uint64_t progress(void *state, uint64_t *total)
{
    struct counter_state *s = state;
    *total = 8 * (uint64_t)s->conf->count;
    return belt_load_relaxed(&s->consumed); /* a figure to look at, orders nothing */
}

const struct belt_source belt_source_counter = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SOURCE,
        .name = "counter",
        .help = "numbers from 0, for tests and benches",
        .settings = settings,
        .conf_size = sizeof(struct counter_conf),
        .state_size = sizeof(struct counter_state),
        .prepare = prepare,
        .init = init,
        .scalar = "count",
    },
    .fill = fill,
    .recycle = recycle,
    .stop = stop,
    .where = where,
    .progress = progress,
    .rewinds = true,
};
