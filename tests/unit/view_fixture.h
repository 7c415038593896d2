/* A chain of built-in steps over one frame, without a pipeline around it. */
#ifndef VIEW_FIXTURE_H
#define VIEW_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"
#include "core/view_priv.h"

#define ROOM 8192 /* bytes of text that steps may make before they have to stop */
#define UNUSED __attribute__((unused))

extern const struct belt_part *const belt_steps_parts[];

struct chain {
    struct belt_tree *tree;
    struct belt_spec *spec;
    struct belt_use steps[BELT_STEPS];
    void *states[BELT_STEPS];
    int count;
    bool started;
    struct belt_engine engine;
    char *memory, *text;
    struct belt_span spans[BELT_FRAME];
    struct belt_error err;
};

static const struct belt_part *fixture_part(const char *name)
{
    for (size_t i = 0; belt_steps_parts[i]; i++)
        if (strcmp(belt_steps_parts[i]->name, name) == 0)
            return belt_steps_parts[i];
    cr_assert_fail("no step %s", name);
    return NULL;
}

static int fixture_prepare(struct chain *c, const struct belt_node *node)
{
    struct belt_use *use = &c->steps[c->count++];
    use->part = fixture_part(belt_node_key(node, 0));
    use->node = belt_node_at(node, 0);
    use->conf = calloc(1, use->part->conf_size);
    struct belt_settings_in in = { .table = use->part->settings,
                                   .node = use->node,
                                   .at = node,
                                   .what = use->part->name,
                                   .scalar = use->part->scalar };
    struct belt_setup setup = { .spec = c->spec,
                                .node = use->node,
                                .path = "processor.steps",
                                .columns = c->spec->columns,
                                .columns_used = &c->spec->columns_used,
                                .batchers = true };
    int rc = belt_settings_read(&in, use->conf, c->tree, &c->err);
    return rc < 0 ? rc : use->part->prepare(use->conf, &setup, &c->err);
}

/* `steps` is a YAML list. There are the batchers first, second and third. What
 * went wrong is in c->err, whose code is 0 else. */
static struct chain *chain_try(const char *steps)
{
    struct chain *c = calloc(1, sizeof *c);
    c->tree = belt_tree_new();
    c->spec = calloc(1, sizeof *c->spec);
    c->spec->columns[0] = (struct belt_column_info){ "payload", BELT_TEXT, 0 };
    c->spec->columns_used = 1;
    c->spec->batchers_used = 3;
    strcpy(c->spec->batchers[0].name, "first");
    strcpy(c->spec->batchers[1].name, "second");
    strcpy(c->spec->batchers[2].name, "third");
    char yaml[20000];
    snprintf(yaml, sizeof yaml, "steps:\n%s\n", steps);
    cr_assert_eq(belt_tree_load_text(c->tree, yaml, "p.yaml", &c->err), 0, "%s", c->err.text);
    const struct belt_node *list = belt_node_get(belt_tree_root(c->tree), "steps");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < belt_node_count(list); i++)
        rc = fixture_prepare(c, belt_node_at(list, i));
    c->err.code = rc;
    return c;
}

UNUSED static struct chain *chain_new(const char *steps)
{
    struct chain *c = chain_try(steps);
    cr_assert_eq(c->err.code, 0, "%s", c->err.text);
    int columns = c->spec->columns_used;
    size_t size = belt_engine_size(columns, ROOM);
    c->memory = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    belt_engine_init(&c->engine, c->spec->columns, columns, ROOM, 1, c->memory);
    struct belt_instance in = { .size = sizeof in, .count = 1, .stage = "processor" };
    for (int s = 0; s < c->count; s++) {
        const struct belt_part *part = c->steps[s].part;
        c->states[s] = calloc(1, part->state_size);
        cr_assert_eq(part->init(c->states[s], c->steps[s].conf, &in, &c->err), 0);
    }
    c->started = true;
    return c;
}

static void chain_free(struct chain *c)
{
    for (int s = 0; s < c->count; s++) {
        const struct belt_part *part = c->steps[s].part;
        if (c->started && part->fini)
            part->fini(c->states[s], c->steps[s].conf);
        if (part->close)
            part->close(c->steps[s].conf);
        free(c->states[s]);
        free(c->steps[s].conf);
    }
    belt_tree_free(c->tree);
    free(c->spec);
    free(c->memory);
    free(c->text);
    free(c);
}

/* The lines of `text` become the frame's messages; `shift` moves their bytes in memory. */
static void chain_load(struct chain *c, const char *text, size_t size, size_t shift)
{
    static const uint64_t none[BELT_WORDS];
    free(c->text);
    c->text = malloc(shift + size + 2 * BELT_PAD);
    memset(c->text, ';', shift + size + 2 * BELT_PAD);
    char *base = c->text + BELT_PAD + shift;
    memcpy(base, text, size);
    uint32_t count = 0;
    for (size_t at = 0; at < size && count < BELT_FRAME;) {
        const char *end = memchr(base + at, '\n', size - at);
        size_t stop = end ? (size_t)(end - base) : size;
        c->spans[count++] = (struct belt_span){ (uint32_t)at, (uint32_t)(stop - at) };
        at = stop + 1;
    }
    belt_engine_load(&c->engine, base, c->spans, count, none, NULL, 0);
}

/* What step `s` answers, as the engine asks it. */
static uint32_t chain_step(struct chain *c, int s)
{
    const struct belt_step *step = (const struct belt_step *)(const void *)c->steps[s].part;
    struct belt_view *view = &c->engine.view;
    if (step->frame)
        return step->frame(c->states[s], view);
    BELT_EACH (view, i)
        if (step->message(c->states[s], view, i) < 0)
            return i;
    return view->end;
}

UNUSED static void chain_run(struct chain *c, const char *text)
{
    chain_load(c, text, strlen(text), 0);
    for (int s = 0; s < c->count; s++)
        cr_assert_eq(chain_step(c, s), c->engine.view.end);
}

UNUSED static int chain_column(const struct chain *c, const char *name)
{
    for (int i = 0; i < c->spec->columns_used; i++)
        if (strcmp(c->spec->columns[i].name, name) == 0)
            return i;
    cr_assert_fail("no column %s", name);
    return -1;
}

UNUSED static const char *chain_text(const struct chain *c, const char *name, uint32_t i)
{
    static char text[ROOM];
    uint32_t size;
    const char *bytes = belt_text(&c->engine.view, chain_column(c, name), i, &size);
    memcpy(text, bytes, size);
    text[size] = 0;
    return text;
}

UNUSED static int64_t chain_number(const struct chain *c, const char *name, uint32_t i)
{
    return belt_number(&c->engine.view, chain_column(c, name), i);
}

UNUSED static double chain_float(const struct chain *c, const char *name, uint32_t i)
{
    return c->engine.view.columns[chain_column(c, name)].as.floats[i];
}

/* Why message `i` failed; NULL when it did not. */
UNUSED static const char *chain_reason(const struct chain *c, uint32_t i)
{
    return c->engine.failed[i / 64] >> (i % 64) & 1 ? c->engine.reasons[i] : NULL;
}

UNUSED static bool chain_live(const struct chain *c, uint32_t i)
{
    return belt_is_live(&c->engine.view, i);
}

/* One letter for each message: live +, dropped -, failed !. */
UNUSED static const char *chain_fates(const struct chain *c)
{
    static char fates[BELT_FRAME + 1];
    for (uint32_t i = 0; i < c->engine.count; i++)
        fates[i] = chain_live(c, i) ? '+' : chain_reason(c, i) ? '!' : '-';
    fates[c->engine.count] = 0;
    return fates;
}

/* The configuration is refused with these words. */
UNUSED static void refused(const char *steps, const char *words)
{
    struct chain *c = chain_try(steps);
    cr_assert_lt(c->err.code, 0, "taken: %s", steps);
    cr_assert_str_eq(c->err.text, words);
    cr_assert_eq(c->err.config, 1);
    chain_free(c);
}

#endif
