#include "core/headers_priv.h"

#include <string.h>

#include "core/build_priv.h"
#include "core/run_priv.h"

struct belt_headers {
    uint64_t used; /* of the room */
    uint64_t of[]; /* [files]: place << 32 | size, from the room's start; 0: none yet. Then
                        the room, with BELT_PAD on both sides */
};

static char *room_of(const struct belt_header_use *use)
{
    return (char *)&use->at->of[use->files] + BELT_PAD;
}

static uint64_t footprint(const struct belt_header_use *use)
{
    return sizeof(struct belt_headers) + use->files * sizeof(uint64_t) + use->room + 2 * BELT_PAD;
}

void belt_setup_headers(struct belt_setup *setup, struct belt_header_use *use)
{
    if (setup->source)
        setup->source->headers = use;
}

static bool any(const struct belt_spec *spec)
{
    for (int s = 0; s < spec->sources_used; s++)
        if (spec->sources[s].headers)
            return true;
    return false;
}

bool belt_setup_has_headers(const struct belt_setup *setup)
{
    return any(setup->spec);
}

/* ---- in the region ---------------------------------------------------------------- */

/* Where each source's headers are is said at the region's start: a worker was forked
 * before anybody knew how many files there are, and finds their number there, too. */
struct directory {
    struct {
        uint64_t offset;
        uint32_t files;
    } of[BELT_SOURCES];
};

void belt_headers_carve(struct belt_engine_run *run)
{
    if (!any(run->spec))
        return;
    struct directory *directory = belt_carve(run, sizeof *directory, 64);
    for (int s = 0; s < run->spec->sources_used; s++) {
        struct belt_header_use *use = run->spec->sources[s].headers;
        if (!use)
            continue;
        use->at = belt_carve(run, footprint(use), 64);
        if (!directory)
            continue;
        directory->of[s].offset = (uint64_t)((char *)use->at - (char *)run->region.base);
        directory->of[s].files = use->files;
    }
}

void belt_headers_map(const struct belt_spec *spec, char *region)
{
    const struct directory *directory = (const void *)region;
    for (int s = 0; s < spec->sources_used; s++) {
        struct belt_header_use *use = spec->sources[s].headers;
        if (!use)
            continue;
        use->at = (void *)(region + directory->of[s].offset);
        use->files = directory->of[s].files;
    }
}

/* ---- writing ---------------------------------------------------------------------- */

/* The same header, put down for another file before; 0: not found. */
static uint64_t find(const struct belt_header_use *use, const char *text, uint32_t size)
{
    const char *room = room_of(use);
    for (uint32_t f = 0; f < use->files; f++) {
        /* A1, pairs with R1 in belt_header_put(): its bytes are there. */
        uint64_t word = belt_load_acquire(&use->at->of[f]);
        if (word && (uint32_t)word == size && memcmp(room + (word >> 32), text, size) == 0)
            return word;
    }
    return 0;
}

bool belt_header_put(const struct belt_header_use *use, uint32_t file, const char *text,
                     uint32_t size)
{
    uint64_t word = size && file < use->files ? find(use, text, size) : 0;
    if (!size || file >= use->files)
        return false;
    if (!word) {
        /* Relaxed: nothing but room is handed out. Place 0 is never taken: a word of 0 is none. */
        uint64_t at = belt_fetch_add_relaxed(&use->at->used, size) + 1;
        if (at + size > use->room)
            return false;
        memcpy(room_of(use) + at, text, size);
        word = at << 32 | size;
    }
    /* R1, pairs with A1 in find() and A1 in belt_header_of(): the bytes before their place. */
    belt_store_release(&use->at->of[file], word);
    return true;
}

/* ---- reading ---------------------------------------------------------------------- */

static struct belt_origin origin_of(const struct belt_engine *engine, uint32_t i)
{
    if (engine->chain)
        return belt_chain_origin(engine->chain, i);
    return engine->origins ? engine->origins[i]
                           : (struct belt_origin){ 0, engine->file, engine->source };
}

bool belt_header_alike(const struct belt_view *view)
{
    const struct belt_engine *engine = view->engine;
    return engine->chain ? !engine->chain->origins : !engine->origins;
}

const char *belt_header_of(const struct belt_view *view, uint32_t i, uint32_t *size)
{
    const struct belt_engine *engine = view->engine;
    const struct belt_spec *spec = engine->chain ? engine->chain->stage.run->spec : engine->spec;
    struct belt_origin origin = origin_of(engine, i);
    *size = 0;
    if (!spec || origin.source >= (uint32_t)spec->sources_used)
        return NULL;
    const struct belt_header_use *use = spec->sources[origin.source].headers;
    uint32_t file = origin.file & ~(UINT32_C(1) << 31); /* belt_fill.file */
    if (!use || !use->at || file >= use->files)
        return NULL;
    /* A1, pairs with R1 in belt_header_put(): its bytes are there. */
    uint64_t word = belt_load_acquire(&use->at->of[file]);
    *size = (uint32_t)word;
    return word ? room_of(use) + (word >> 32) : NULL;
}
