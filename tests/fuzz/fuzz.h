/* What the fuzz targets share. A target is tests/fuzz/fuzz_NAME.c with the function below;
 * its inputs are the files of tests/fuzz/corpus/NAME/. `./dev fuzz NAME SECONDS` looks for
 * more of them; the test fuzz/NAME runs those that are there, with any compiler. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"
#include "core/view_priv.h"

/* 0; aborts when the input breaks a promise. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_UNUSED __attribute__((unused))
#define FUZZ_ROOM 65536 /* bytes of text that steps may make */

#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: " #condition ": ", __FILE__, __LINE__);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy with an end mark, as long as it is: reading past it is noticed. The caller frees. */
FUZZ_UNUSED static char *fuzz_text(const void *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    return text;
}

/* A part with its settings read and prepare() done. */
struct fuzz_part {
    const struct belt_part *part;
    struct belt_tree *tree;
    struct belt_spec *spec;
    struct belt_setup setup;
    void *conf, *state;
    struct belt_error err;
};

static const struct belt_column_info fuzz_payload = { "payload", BELT_TEXT, 0 };

/* `yaml` is what stands behind the part's name. Columns: the payload and `columns`. What went
 * wrong, as an error of the configuration would. */
FUZZ_UNUSED static int fuzz_prepare(struct fuzz_part *p, const struct belt_part *part,
                                    const char *yaml, const struct belt_column_info *columns,
                                    int count)
{
    *p = (struct fuzz_part){ .part = part, .tree = belt_tree_new() };
    p->spec = calloc(1, sizeof *p->spec);
    p->spec->columns[0] = fuzz_payload;
    for (int c = 0; c < count; c++)
        p->spec->columns[1 + c] = columns[c];
    p->spec->columns_used = 1 + count;
    p->conf = calloc(1, part->conf_size + 1);
    p->state = calloc(1, part->state_size + 1);
    int rc = belt_tree_load_text(p->tree, yaml, "fuzz.yaml", &p->err);
    if (rc < 0)
        return rc;
    const struct belt_node *node = belt_tree_root(p->tree);
    struct belt_settings_in in = { .table = part->settings,
                                   .node = node,
                                   .at = node,
                                   .what = part->name,
                                   .scalar = part->scalar };
    p->setup = (struct belt_setup){ .spec = p->spec,
                                    .source = &p->spec->sources[0],
                                    .limit = &p->spec->sources[0].use.limit,
                                    .node = node,
                                    .path = part->name,
                                    .columns = p->spec->columns,
                                    .columns_used = &p->spec->columns_used };
    rc = belt_settings_read(&in, p->conf, p->tree, &p->err);
    return rc < 0 || !part->prepare ? rc : part->prepare(p->conf, &p->setup, &p->err);
}

FUZZ_UNUSED static void fuzz_free(struct fuzz_part *p)
{
    if (p->part->close)
        p->part->close(p->conf);
    free(p->state);
    free(p->conf);
    free(p->spec);
    belt_tree_free(p->tree);
}

/* ---- steps ---------------------------------------------------------------------- */

/* A frame of the lines of a text, in memory that ends BELT_PAD bytes after it. Zeroed at
 * first; the engine's memory is kept for the next input. */
struct fuzz_frame {
    struct belt_engine engine;
    char *memory, *text;
    int columns;
    struct belt_span spans[BELT_FRAME];
    uint32_t count;
};

FUZZ_UNUSED static void fuzz_frame_new(struct fuzz_frame *f, const struct belt_column_info *columns,
                                       int columns_used, const uint8_t *data, size_t size)
{
    static const uint64_t none[BELT_WORDS];
    if (f->columns != columns_used) {
        size_t bytes = belt_engine_size(columns_used, FUZZ_ROOM);
        free(f->memory);
        f->memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
        f->columns = columns_used;
    }
    f->text = malloc(size + 2 * BELT_PAD);
    memset(f->text, ';', size + 2 * BELT_PAD);
    memcpy(f->text + BELT_PAD, data, size);
    f->count = 0;
    for (size_t at = 0; at < size && f->count < BELT_FRAME;) {
        const char *end = memchr(f->text + BELT_PAD + at, '\n', size - at);
        size_t stop = end ? (size_t)(end - f->text) - BELT_PAD : size;
        f->spans[f->count++] = (struct belt_span){ (uint32_t)at, (uint32_t)(stop - at) };
        at = stop + 1;
    }
    belt_engine_init(&f->engine, columns, columns_used, FUZZ_ROOM, 1, f->memory);
    belt_engine_load(&f->engine, f->text + BELT_PAD, f->spans, f->count, none, NULL, 0);
}

FUZZ_UNUSED static void fuzz_frame_end(struct fuzz_frame *f)
{
    free(f->text);
    f->text = NULL;
}

/* Runs a prepared step over the frame; what it answers. */
FUZZ_UNUSED static uint32_t fuzz_step(struct fuzz_part *p, struct fuzz_frame *f)
{
    const struct belt_step *step = (const struct belt_step *)(const void *)p->part;
    struct belt_instance in = { .size = sizeof in, .count = 1, .stage = "processor" };
    if (p->part->init)
        FUZZ_CHECK(p->part->init(p->state, p->conf, &in, &p->err) == 0, "%s", p->err.text);
    uint32_t handled = f->engine.view.end;
    if (step->frame)
        handled = step->frame(p->state, &f->engine.view);
    else
        BELT_EACH (&f->engine.view, i)
            if (step->message(p->state, &f->engine.view, i) < 0) {
                handled = i;
                break;
            }
    if (p->part->fini)
        p->part->fini(p->state, p->conf);
    return handled;
}

FUZZ_UNUSED static const struct belt_part *fuzz_find(const struct belt_part *const *parts,
                                                     const char *name)
{
    while (*parts && strcmp((*parts)->name, name) != 0)
        parts++;
    FUZZ_CHECK(*parts, "no part %s", name);
    return *parts;
}

FUZZ_UNUSED static bool fuzz_live(const struct fuzz_frame *f, uint32_t i)
{
    return f->engine.live[i / 64] >> (i % 64) & 1;
}

FUZZ_UNUSED static bool fuzz_failed(const struct fuzz_frame *f, uint32_t i)
{
    return f->engine.failed[i / 64] >> (i % 64) & 1;
}

#endif
