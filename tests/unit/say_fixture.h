/* A source that says what it is told, word by word. */
#ifndef SAY_FIXTURE_H
#define SAY_FIXTURE_H

#include <string.h>

#include "core/part.h"

/* ---- `say`: a record per comma-separated word, a chunk per round ---- */

struct say_conf {
    const char *words;
    int64_t repeat;
    bool endless;
};

struct say_state {
    char *arena;
    uint32_t slabs, slab_size;
    bool busy[64];
    uint64_t round;
    uint32_t at; /* in the words of the round */
    bool stopped;
};

#define SAY(field) offsetof(struct say_conf, field)
static const struct belt_setting say_settings[] = {
    { "words", BELT_SET_TEXT, SAY(words), NULL, "", NULL, 0, 0 },
    { "repeat", BELT_SET_INT, SAY(repeat), "1", "", NULL, 0, INT64_MAX },
    { "endless", BELT_SET_BOOL, SAY(endless), "false", "", NULL, 0, 0 },
    { 0 },
};

static int say_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf;
    (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, 65536, 8);
    return 0;
}

static int say_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct say_state *s = state;
    (void)err;
    s->arena = in->arena;
    s->slabs = in->slabs;
    s->slab_size = in->slab;
    *(void **)(void *)(s->arena + s->slabs * s->slab_size - 8) = conf;
    return 0;
}

/* One round of words is one chunk, and one frame and one slab where it is let. */
static int say_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct say_state *s = state;
    const struct say_conf *conf = *(void **)(void *)(s->arena + s->slabs * s->slab_size - 8);
    (void)err;
    if (s->stopped || (!conf->endless && s->round == (uint64_t)conf->repeat))
        return BELT_FILL_END;
    uint32_t slab = 0;
    while (slab + 1 < s->slabs && s->busy[slab])
        slab++;
    if (slab + 1 == s->slabs)
        return BELT_FILL_IDLE;
    char *text = s->arena + slab * s->slab_size;
    size_t size = strlen(conf->words);
    memcpy(text, conf->words, size);
    int count = 0;
    while (s->at <= size && count < (int)out->most) {
        uint32_t length = (uint32_t)strcspn(conf->words + s->at, ",");
        out->spans[count++] = (struct belt_span){ s->at, length };
        s->at += length + 1;
    }
    if (!count)
        return BELT_FILL_IDLE;
    s->busy[slab] = true;
    out->base = text;
    out->slab = slab;
    out->last_of_slab = true;
    out->chunk = s->round;
    out->last_of_chunk = s->at > size;
    if (out->last_of_chunk) {
        s->round++;
        s->at = 0;
    }
    return count;
}

static void say_recycle(void *state, uint32_t slab)
{
    ((struct say_state *)state)->busy[slab] = false;
}

static void say_stop(void *state)
{
    ((struct say_state *)state)->stopped = true;
}

static const struct belt_source say_source = {
    .part = { BELT_ABI, BELT_SOURCE, "say", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = say_fill,
    .recycle = say_recycle,
    .stop = say_stop,
};

/* The same words for those who must be able to read them again. */
static const struct belt_source again_source = {
    .part = { BELT_ABI, BELT_SOURCE, "again", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = say_fill,
    .recycle = say_recycle,
    .stop = say_stop,
    .rewinds = true,
};

#endif
